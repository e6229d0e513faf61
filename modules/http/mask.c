/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON answers, masked by tags: {"customer": {"email": "ann@…"}} has the column ?.customer.email.
 *
 *   whole answer ─▶ its columns, each once ─▶ judged ─▶ values hidden ─▶ written anew
 *
 * A member is a column whatever its value is: a tagged object or list is hidden whole.  Members of a list's
 * objects are those of the list.
 */
#include "mask.h"

#include <jansson.h>
#include <stdlib.h>

#include "proxy.h"

#define COLUMNS 512
#define DEPTH 64
#define NAME_MAX_LEN 200

#define SLOTS 1024 /* a power of two, never full */
_Static_assert(SLOTS > COLUMNS, "a search ends at an empty slot");

struct column {
	uint32_t hash;
	char name[NAME_MAX_LEN + 1];
	char source[2 * NAME_MAX_LEN + 8];
};

struct masking {
	struct sp_op *op;
	struct column *column;
	unsigned n;
	uint16_t slot[SLOTS]; /* of a column, by its hash: its number + 1 */
	bool hide; /* the second walk */
	int rc;
};

/* A part of a column's name: dots would be read as more parts. */
static bool
put_part(struct sp_writer *w, const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < n; i++)
		sp_wr_u8(w, text[i] == '.' ? '_' : (uint8_t)text[i]);
	return true;
}

static uint32_t
hash_of(struct sp_bytes text)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ text.p[i]) * 16777619u;
	return h;
}

static bool
is_column(const struct column *c, uint32_t hash, struct sp_bytes source)
{
	return c->hash == hash && sp_bytes_is(source, c->source);
}

/* Which column it is, the next free one when it is new; SP_ETOOBIG: too many, or a name that can't be one. */
static int
column_of(struct masking *m, const char *parent, const char *key, unsigned *i_r)
{
	char source[2 * NAME_MAX_LEN + 8];
	struct sp_writer w = sp_writer((uint8_t *)source, sizeof(source) - 1);
	sp_wr_put(&w, SP_LIT("?."));
	if (!put_part(&w, parent[0] == '\0' ? "body" : parent))
		return SP_ETOOBIG;
	sp_wr_u8(&w, '.');
	if (!put_part(&w, key) || w.bad)
		return SP_ETOOBIG;
	uint32_t hash = hash_of(sp_written(&w)), at = hash % SLOTS;
	while (m->slot[at] != 0 && !is_column(&m->column[m->slot[at] - 1], hash, sp_written(&w)))
		at = (at + 1) % SLOTS;
	*i_r = m->slot[at] == 0 ? m->n : m->slot[at] - 1u;
	if (m->slot[at] != 0)
		return SP_OK;
	if (m->n == COLUMNS)
		return SP_ETOOBIG;
	struct column *c = &m->column[m->n++];
	m->slot[at] = (uint16_t)m->n;
	c->hash = hash;
	memcpy(c->name, key, strlen(key));
	memcpy(c->source, source, w.len);
	return SP_OK;
}

static json_t *
hidden_text(const struct sp_mask *mask, struct sp_bytes in)
{
	struct sp_writer out = proxy_buffer();
	json_t *shown = sp_mask_value(mask, in, &out) == SP_OK && !out.bad ? json_stringn(out.len == 0 ? "" : (const char *)out.p, out.len) : json_null();
	proxy_free(&out);
	return shown;
}

/* What stands in a value's place; what can't be masked is null. */
static json_t *
hidden(const struct sp_mask *mask, const json_t *j)
{
	const char *text = json_string_value(j);
	enum sp_mask_kind kind = sp_mask_kind(mask);
	if (json_is_string(j) && (kind == SP_MASK_TEXT || kind == SP_MASK_DETECT))
		return hidden_text(mask, (struct sp_bytes){ (const uint8_t *)text, json_string_length(j) });
	if (json_is_string(j) && kind == SP_MASK_YEAR && strspn(text, "0123456789") == 4 && text[4] == '-')
		return json_stringn(text, 4);
	if (kind == SP_MASK_DETECT && (json_is_boolean(j) || json_is_null(j)))
		return json_incref((json_t *)(uintptr_t)j);
	if ((kind != SP_MASK_TEXT && kind != SP_MASK_DETECT) || !json_is_number(j))
		return json_null();
	char *number = json_dumps(j, JSON_ENCODE_ANY);
	json_t *shown = number == NULL ? json_null() : hidden_text(mask, sp_str(number));
	bool same = json_is_string(shown) && number != NULL && strcmp(json_string_value(shown), number) == 0;
	if (same) { /* nothing was found in it: it stays a number */
		json_decref(shown);
		shown = json_incref((json_t *)(uintptr_t)j);
	}
	free(number);
	return shown;
}

static void walk(struct masking *m, json_t *j, const char *parent, unsigned depth);

/* NULL: it is shown, perhaps with parts of it hidden. */
static json_t *
member(struct masking *m, json_t *j, const char *parent, const char *key, unsigned depth)
{
	unsigned i;
	m->rc = column_of(m, parent, key, &i);
	if (m->rc != SP_OK)
		return NULL;
	const struct sp_mask *mask = m->hide ? sp_column_mask(m->op, i) : NULL;
	bool parts = json_is_object(j) || json_is_array(j);
	if (mask != NULL && !(parts && sp_mask_kind(mask) == SP_MASK_DETECT))
		return hidden(mask, j);
	if (json_is_object(j))
		walk(m, j, key, depth + 1);
	for (size_t k = 0; json_is_array(j) && k < json_array_size(j) && m->rc == SP_OK; k++) {
		json_t *one = json_array_get(j, k), *shown = NULL;
		if (json_is_object(one) || depth > DEPTH)
			walk(m, one, key, depth + 1);
		else
			shown = member(m, one, parent, key, depth + 1);
		if (shown != NULL)
			(void)json_array_set_new(j, k, shown);
	}
	return NULL;
}

static void
walk(struct masking *m, json_t *j, const char *parent, unsigned depth)
{
	const char *key;
	json_t *value;
	if (depth > DEPTH) {
		m->rc = SP_ETOOBIG;
		return;
	}
	json_object_foreach(j, key, value) {
		json_t *shown = member(m, value, parent, key, depth);
		if (m->rc != SP_OK)
			return;
		if (shown != NULL)
			(void)json_object_set_new(j, key, shown); /* of a key that is there: the walk goes on */
	}
}

static void
walk_all(struct masking *m, json_t *j)
{
	if (json_is_object(j)) {
		walk(m, j, "", 0);
		return;
	}
	json_t *shown = member(m, j, "", "value", 0); /* a list, or a value by itself */
	if (shown == NULL)
		return;
	m->rc = json_is_array(j) && json_array_clear(j) == 0 ? m->rc : SP_EDENIED;
	json_decref(shown);
}

static int
judge(struct masking *m)
{
	const struct sp_verdict *denied;
	int rc = sp_columns_begin(m->op, m->n);
	for (unsigned i = 0; i < m->n && rc == SP_OK; i++) {
		const struct sp_column c = { .name = sp_str(m->column[i].name), .known = SP_SOURCE_COLUMN, .source = sp_str(m->column[i].source), .text = true };
		rc = sp_column(m->op, i, &c);
	}
	return rc == SP_OK ? sp_columns_judge(m->op, &denied) : rc;
}

int
mask_json(struct sp_op *op, struct sp_bytes body, struct sp_writer *out)
{
	struct masking m = { .op = op, .column = calloc(COLUMNS, sizeof(*m.column)) };
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	m.rc = j == NULL ? SP_EPROTO : m.column == NULL ? SP_ENOMEM : SP_OK;
	if (m.rc == SP_OK)
		walk_all(&m, j);
	int masked = m.rc != SP_OK ? m.rc : m.n > 0 ? judge(&m) : 0;
	if (masked > 0) {
		m.hide = true;
		walk_all(&m, j);
		masked = m.rc != SP_OK ? m.rc : masked;
	}
	char *text = masked < 0 ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text != NULL)
		sp_wr_put(out, sp_str(text));
	int rc = masked < 0 ? masked : text == NULL || out->bad ? SP_ENOMEM : SP_OK;
	free(text);
	free(m.column);
	json_decref(j);
	return rc;
}

bool
mask_wanted(const struct sp_session *s)
{
	return sp_column_tagged(s, SP_LIT("?.?.?"));
}
