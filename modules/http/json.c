/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and form bodies as attributes: {"a": {"b": [{"c": 1}]}} has the field "a.b[].c=1".
 *
 * Strict: a key twice, or in two cases, a NUL, bad UTF-8, a number that is none, bytes after the end: all refused.
 */
#include "fields.h"

#include <jansson.h>
#include <stdio.h>

#include "proxy.h"

#define DEPTH 32
#define VALUE_MAX 4096

struct walk {
	struct sp_op *op;
	unsigned fields, names;
	bool any_case;
	char path[512];
};

static int
add(struct walk *w, size_t len, struct sp_bytes value)
{
	uint8_t space[sizeof(w->path) + 1 + VALUE_MAX];
	struct sp_writer out = sp_writer(space, sizeof(space));
	struct sp_bytes name = { (const uint8_t *)w->path, len };
	sp_wr_put(&out, name);
	sp_wr_u8(&out, '=');
	sp_wr_put(&out, value);
	if (out.bad)
		return SP_ETOOBIG;
	int rc = sp_op_add(w->op, w->names, name);
	return rc == SP_OK ? sp_op_add(w->op, w->fields, sp_written(&out)) : rc;
}

static int
add_scalar(struct walk *w, size_t len, const json_t *j)
{
	char number[64];
	switch (json_typeof(j)) {
	case JSON_STRING:
		return add(w, len, (struct sp_bytes){ (const uint8_t *)json_string_value(j), json_string_length(j) });
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		return add(w, len, sp_str(number));
	case JSON_REAL:
		snprintf(number, sizeof(number), "%.17g", json_real_value(j));
		return add(w, len, sp_str(number));
	default:
		return add(w, len, sp_str(json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null"));
	}
}

static int walk_value(struct walk *w, size_t len, const json_t *j, unsigned depth);

/*
 * A key as a server sees it that takes names in any case: ASCII's letters, and the two others that Go's encoding/json takes for
 * one of them, the long s and the Kelvin sign.
 */
static size_t
fold(char *key)
{
	size_t n = 0;
	for (const char *c = key; *c != '\0'; n++) {
		bool s = strncmp(c, "\xc5\xbf", 2) == 0, k = strncmp(c, "\xe2\x84\xaa", 3) == 0;
		key[n] = s ? 's' : k ? 'k' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
		c += s ? 2 : k ? 3 : 1;
	}
	key[n] = '\0';
	return n;
}

/* Of two names that differ in case alone a server may take either. */
static int
check_case(json_t *seen, const char *key)
{
	char folded[sizeof(((struct walk *)NULL)->path)];
	size_t n = strlen(key);
	if (n >= sizeof(folded))
		return SP_ETOOBIG;
	memcpy(folded, key, n + 1);
	(void)fold(folded);
	if (json_object_get(seen, folded) != NULL)
		return SP_EPROTO;
	return json_object_set_new(seen, folded, json_true()) == 0 ? SP_OK : SP_ENOMEM;
}

static int
walk_member(struct walk *w, size_t len, const char *key, const json_t *j, unsigned depth)
{
	size_t n = strlen(key);
	if (n + 4 > sizeof(w->path) - len)
		return SP_ETOOBIG;
	if (len > 0)
		w->path[len++] = '.';
	memcpy(w->path + len, key, n + 1);
	if (w->any_case)
		n = fold(w->path + len);
	return walk_value(w, len + n, j, depth);
}

static int
walk_object(struct walk *w, size_t len, json_t *j, unsigned depth)
{
	const char *key;
	json_t *value, *seen = json_object();
	int rc = seen == NULL ? SP_ENOMEM : SP_OK;
	json_object_foreach(j, key, value) {
		rc = rc == SP_OK ? check_case(seen, key) : rc;
		rc = rc == SP_OK ? walk_member(w, len, key, value, depth + 1) : rc;
		if (rc != SP_OK)
			break;
	}
	json_decref(seen);
	return rc;
}

static int
walk_value(struct walk *w, size_t len, const json_t *j, unsigned depth)
{
	json_t *value;
	size_t i;
	int rc = SP_OK;
	if (depth > DEPTH)
		return SP_ETOOBIG;
	if (json_is_object(j))
		return walk_object(w, len, (json_t *)(uintptr_t)j, depth);
	if (!json_is_array(j))
		return add_scalar(w, len, j);
	if (4 > sizeof(w->path) - len)
		return SP_ETOOBIG;
	memcpy(w->path + len, "[]", 2);
	json_array_foreach(j, i, value)
		if ((rc = walk_value(w, len + 2, value, depth + 1)) != SP_OK)
			return rc;
	return SP_OK;
}

int
fields_of_json(struct sp_op *op, const struct fields_json *as, struct sp_bytes body)
{
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct walk w = { .op = op, .fields = as->fields, .names = as->names, .any_case = as->any_case };
	if (j == NULL)
		return sp_op_unclear(op, "body", SP_LIT("malformed"));
	int rc = walk_value(&w, 0, j, 0);
	json_decref(j);
	return rc == SP_EPROTO ? sp_op_unclear(op, "body", SP_LIT("ambiguous")) : rc;
}

int
fields_of_form(struct sp_op *op, unsigned fields, unsigned names, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	struct sp_bytes key, value;
	int rc = SP_OK;
	while (rc == SP_OK && http_query_next(&r, &key, &value)) {
		uint8_t space[VALUE_MAX + 512];
		struct sp_writer w = sp_writer(space, sizeof(space));
		http_decode(key, true, &w);
		if (w.bad)
			return sp_op_unclear(op, "body", SP_LIT("malformed"));
		if (names != fields && http_name_is(sp_written(&w), "_charset_")) /* HTML section 4.10.5.1: how the rest is to be read */
			return sp_op_unclear(op, "body", SP_LIT("charset"));
		if (names != fields)
			rc = sp_op_add(op, names, sp_written(&w));
		sp_wr_u8(&w, '=');
		http_decode(value, true, &w);
		if (w.bad)
			return sp_op_unclear(op, "body", SP_LIT("malformed"));
		if (rc == SP_OK)
			rc = sp_op_add(op, fields, sp_written(&w));
	}
	return rc;
}
