/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verified identity, to JSON and back.  The tables name the members; all of them must be there,
 * once, and no others.
 */
#include <config.h>

#include "principal.h"

#include <jansson.h>
#include <stdlib.h>

static const struct {
	const char *key;
	size_t at;
} text_member[] = {
	{ "identity", offsetof(struct principal, identity) },
	{ "issuer", offsetof(struct principal, issuer) },
	{ "subject", offsetof(struct principal, subject) },
	{ "user", offsetof(struct principal, user) },
	{ "name", offsetof(struct principal, name) },
	{ "person", offsetof(struct principal, person) },
	{ "class", offsetof(struct principal, class) },
	{ "token", offsetof(struct principal, token) },
}, set_member[] = {
	{ "groups", offsetof(struct principal, groups) },
	{ "roles", offsetof(struct principal, roles) },
};
#define TEXTS (sizeof(text_member) / sizeof(*text_member))
#define SETS (sizeof(set_member) / sizeof(*set_member))

static const char **
text_at(struct principal *p, size_t i)
{
	return (const char **)((char *)p + text_member[i].at);
}

static struct sp_strings *
set_at(struct principal *p, size_t i)
{
	return (struct sp_strings *)((char *)p + set_member[i].at);
}

static int
take_text(struct arena *a, const json_t *v, const char **out_r)
{
	if (!json_is_string(v))
		return SP_EPROTO;
	*out_r = arena_string(a, sp_str(json_string_value(v)));
	return *out_r == NULL ? SP_ENOMEM : SP_OK;
}

static int
take_set(struct arena *a, const json_t *v, struct sp_strings *out_r)
{
	if (!json_is_array(v))
		return SP_EPROTO;
	size_t n = json_array_size(v);
	const char **list = arena_alloc(a, n * sizeof(*list));
	if (list == NULL)
		return SP_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int rc = take_text(a, json_array_get(v, i), &list[i]);
		if (rc != SP_OK)
			return rc;
	}
	*out_r = (struct sp_strings){ list, n };
	return SP_OK;
}

static int
take_members(struct arena *a, const json_t *top, struct principal *p)
{
	int rc = SP_OK;
	if (!json_is_object(top) || json_object_size(top) != TEXTS + SETS + 1)
		return SP_EPROTO;
	for (size_t i = 0; rc == SP_OK && i < TEXTS; i++)
		rc = take_text(a, json_object_get(top, text_member[i].key), text_at(p, i));
	for (size_t i = 0; rc == SP_OK && i < SETS; i++)
		rc = take_set(a, json_object_get(top, set_member[i].key), set_at(p, i));
	const json_t *expires = json_object_get(top, "expires");
	if (rc == SP_OK && (!json_is_integer(expires) || json_integer_value(expires) < 0))
		rc = SP_EPROTO;
	if (rc == SP_OK)
		p->expires = (uint64_t)json_integer_value(expires);
	return rc;
}

int
principal_parse(struct arena *a, struct sp_bytes json, struct principal *p_r)
{
	memset(p_r, 0, sizeof(*p_r));
	json_t *top = json.len == 0 ? NULL : json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
	if (top == NULL)
		return SP_EPROTO;
	int rc = take_members(a, top, p_r);
	json_decref(top);
	if (rc != SP_OK)
		memset(p_r, 0, sizeof(*p_r));
	return rc;
}

static json_t *
give_set(const struct sp_strings *set)
{
	json_t *list = json_array();
	for (size_t i = 0; i < set->n; i++) {
		if (json_array_append_new(list, json_string(set->v[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int
principal_print(const struct principal *p, struct buffer *out)
{
	struct principal copy = *p;
	json_t *top = json_object();
	int rc = top == NULL ? SP_ENOMEM : SP_OK;
	for (size_t i = 0; rc == SP_OK && i < TEXTS; i++) {
		const char *text = *text_at(&copy, i);
		if (json_object_set_new(top, text_member[i].key, json_string(text == NULL ? "" : text)) != 0)
			rc = SP_EPROTO;
	}
	for (size_t i = 0; rc == SP_OK && i < SETS; i++) {
		if (json_object_set_new(top, set_member[i].key, give_set(set_at(&copy, i))) != 0)
			rc = SP_EPROTO;
	}
	if (rc == SP_OK && (p->expires > INT64_MAX ||
	    json_object_set_new(top, "expires", json_integer((json_int_t)p->expires)) != 0))
		rc = SP_EPROTO;
	char *text = rc == SP_OK ? json_dumps(top, JSON_COMPACT) : NULL;
	if (rc == SP_OK)
		rc = text == NULL ? SP_ENOMEM : buffer_put(out, sp_str(text));
	free(text);
	json_decref(top);
	return rc;
}

bool
strings_have(const struct sp_strings *set, const char *word)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->v[i], word) == 0)
			return true;
	}
	return false;
}
