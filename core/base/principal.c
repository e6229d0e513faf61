/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verified identity, to JSON and back.  The tables name the members; all of them must be there,
 * once, and no others; but those that came later may be missing in what an older store holds.
 */
#include <config.h>

#include "principal.h"

#include <jansson.h>
#include <stdlib.h>

static const struct {
	const char *key;
	size_t at;
	bool optional;
} text_member[] = {
	{ "identity", offsetof(struct principal, identity), false },
	{ "issuer", offsetof(struct principal, issuer), false },
	{ "subject", offsetof(struct principal, subject), false },
	{ "user", offsetof(struct principal, user), false },
	{ "name", offsetof(struct principal, name), false },
	{ "person", offsetof(struct principal, person), false },
	{ "class", offsetof(struct principal, class), false },
	{ "token", offsetof(struct principal, token), false },
	{ "sponsor", offsetof(struct principal, sponsor), true },
}, set_member[] = {
	{ "groups", offsetof(struct principal, groups), false },
	{ "roles", offsetof(struct principal, roles), false },
	{ "methods", offsetof(struct principal, methods), true },
}, time_member[] = {
	{ "expires", offsetof(struct principal, expires), false },
	{ "authenticated", offsetof(struct principal, authenticated), true },
};
#define TEXTS (sizeof(text_member) / sizeof(*text_member))
#define SETS (sizeof(set_member) / sizeof(*set_member))
#define TIMES (sizeof(time_member) / sizeof(*time_member))

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

static uint64_t *
time_at(struct principal *p, size_t i)
{
	return (uint64_t *)((char *)p + time_member[i].at);
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
take_time(const json_t *v, uint64_t *out_r)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return SP_EPROTO;
	*out_r = (uint64_t)json_integer_value(v);
	return SP_OK;
}

static int
take_members(struct arena *a, const json_t *top, struct principal *p)
{
	int rc = SP_OK;
	size_t found = 0;
	const json_t *v;
	if (!json_is_object(top))
		return SP_EPROTO;
	for (size_t i = 0; rc == SP_OK && i < TEXTS; i++) {
		*text_at(p, i) = "";
		v = json_object_get(top, text_member[i].key);
		found += v != NULL;
		if (v != NULL || !text_member[i].optional)
			rc = take_text(a, v, text_at(p, i));
	}
	for (size_t i = 0; rc == SP_OK && i < SETS; i++) {
		v = json_object_get(top, set_member[i].key);
		found += v != NULL;
		if (v != NULL || !set_member[i].optional)
			rc = take_set(a, v, set_at(p, i));
	}
	for (size_t i = 0; rc == SP_OK && i < TIMES; i++) {
		v = json_object_get(top, time_member[i].key);
		found += v != NULL;
		if (v != NULL || !time_member[i].optional)
			rc = take_time(v, time_at(p, i));
	}
	return rc == SP_OK && found != json_object_size(top) ? SP_EPROTO : rc;
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
	for (size_t i = 0; rc == SP_OK && i < TIMES; i++) {
		uint64_t at = *time_at(&copy, i);
		if (at > INT64_MAX || json_object_set_new(top, time_member[i].key, json_integer((json_int_t)at)) != 0)
			rc = SP_EPROTO;
	}
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
