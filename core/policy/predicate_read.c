/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predicates from Lua: what the words of lua/prelude.lua made, checked against the attribute they
 * are about.  A table without a `predicate` is a list of alternatives.
 */
#include <config.h>

#include <lauxlib.h>

#include "../base/directive.h"
#include "rule.h"

#define DEPTH_MAX 6
#define PARTS_MAX 1000

struct reading {
	struct loader *l;
	lua_State *L;
	const struct attribute *a;
	const char *where;
	unsigned line, depth;
};

static struct test *read_test(struct reading *r, int index);

static struct test *
wrong(struct reading *r, const char *what)
{
	loader_error(r->l, r->line, "%s: %s", r->where, what);
	return NULL;
}

static struct test *
new_test(struct reading *r, enum test_kind kind)
{
	struct test *t = arena_alloc(r->l->arena, sizeof(*t));

	if (t == NULL)
		r->l->no_memory = true;
	else
		t->kind = kind;
	return t;
}

static const char *
type_words(enum sp_type type)
{
	switch (type) {
	case SP_TYPE_BOOL:
		return "is true or false";
	case SP_TYPE_INT:
		return "is a number";
	case SP_TYPE_SIZE:
		return "is a size, like \"16m\"";
	case SP_TYPE_DURATION:
		return "is a time, like \"3s\"";
	case SP_TYPE_COLUMNS:
		return "is a set of columns";
	default:
		return "is a text";
	}
}

static bool
of_text(enum sp_type type)
{
	return type == SP_TYPE_STRING || type == SP_TYPE_STRINGS || type == SP_TYPE_COLUMNS;
}

static bool
of_number(enum sp_type type)
{
	return type == SP_TYPE_INT || type == SP_TYPE_SIZE || type == SP_TYPE_DURATION;
}

static bool
is_time(const struct attribute *a)
{
	return a->source == FROM_CORE && a->index[0] == CORE_TIME;
}

/* 5, "16m", "3s", by the attribute's type. */
static bool
read_number(struct reading *r, int index, uint64_t *n_r)
{
	int is_integer;
	lua_Integer n;
	const char *word;

	switch (lua_type(r->L, index)) {
	case LUA_TNUMBER:
		n = lua_tointegerx(r->L, index, &is_integer);
		*n_r = (uint64_t)n;
		return is_integer && n >= 0;
	case LUA_TSTRING:
		word = lua_tostring(r->L, index);
		if (r->a->type == SP_TYPE_SIZE)
			return directive_size(word, n_r) == SP_OK;
		return r->a->type == SP_TYPE_DURATION && directive_duration(word, n_r) == SP_OK;
	default:
		return false;
	}
}

static struct test *
read_literal(struct reading *r, int index)
{
	struct test *t;
	int type = lua_type(r->L, index);

	if (is_time(r->a))
		return wrong(r, "time is compared with within \"Mon-Fri 09:00-18:00 Europe/Berlin\" or outside \"…\"");
	if (type == LUA_TBOOLEAN && r->a->type == SP_TYPE_BOOL) {
		if ((t = new_test(r, TEST_BOOL)) != NULL)
			t->number = (uint64_t)lua_toboolean(r->L, index);
		return t;
	}
	if (of_number(r->a->type)) {
		if ((t = new_test(r, TEST_NUMBER)) != NULL && !read_number(r, index, &t->number))
			return wrong(r, type_words(r->a->type));
		return t;
	}
	if (type == LUA_TSTRING && of_text(r->a->type)) {
		if ((t = new_test(r, TEST_EQUAL)) != NULL)
			t->text = sp_str(loader_string(r->l, r->L, index));
		if (t != NULL && r->a->type == SP_TYPE_COLUMNS && memchr(t->text.p, '*', t->text.len) != NULL)
			return wrong(r, "a column by its whole name; patterns stand in a tag: tagged \"…\"");
		return t;
	}
	return wrong(r, type_words(r->a->type));
}

/* The parts of any_of, all_of, none_of: the list at index, from 1; or one list as the only part. */
static struct test *
read_parts(struct reading *r, int index, enum test_kind kind)
{
	lua_State *L = r->L;
	struct test *t = new_test(r, kind);

	if (t == NULL)
		return NULL;
	size_t n = lua_rawlen(L, index);
	lua_rawgeti(L, index, 1);
	bool nested = n == 1 && lua_type(L, -1) == LUA_TTABLE;
	if (nested) {
		lua_pushliteral(L, "predicate");
		nested = lua_rawget(L, -2) == LUA_TNIL;
		lua_pop(L, 1);
	}
	if (nested) {
		index = lua_gettop(L);
		n = lua_rawlen(L, index);
	}
	if (n == 0 || n > PARTS_MAX) {
		lua_pop(L, 1);
		return wrong(r, n == 0 ? "an empty list fits nothing" : "a list of more than 1000 parts");
	}
	t->part = arena_alloc(r->l->arena, n * sizeof(*t->part));
	for (size_t i = 0; t->part != NULL && i < n; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		struct test *part = read_test(r, lua_gettop(L));
		lua_pop(L, 1);
		if (part != NULL)
			t->part[t->n++] = part;
	}
	lua_pop(L, 1);
	return t->n == n ? t : NULL;
}

static struct test *
read_regex(struct reading *r, struct test *t)
{
	const char *err;
	struct regex_list *item = arena_alloc(r->l->arena, sizeof(*item));

	if (item == NULL || regex_new(r->l->arena, (const char *)t->text.p, &t->regex, &err) != SP_OK)
		return wrong(r, item == NULL ? "out of memory" : err);
	item->regex = t->regex;
	item->next = *r->l->regexes;
	*r->l->regexes = item;
	return t;
}

/* A predicate of one text: prefix "x". */
static struct test *
read_text_test(struct reading *r, int index, enum test_kind kind)
{
	struct test *t = new_test(r, kind);
	const char *err;

	if (t == NULL)
		return NULL;
	if (lua_rawgeti(r->L, index, 1) != LUA_TSTRING || lua_rawlen(r->L, index) != 1) {
		lua_pop(r->L, 1);
		return wrong(r, "a predicate that needs one text");
	}
	const char *word = loader_string(r->l, r->L, -1);
	lua_pop(r->L, 1);
	if (word == NULL)
		return NULL;
	t->text = sp_str(word);
	switch (kind) {
	case TEST_MATCHES:
		return read_regex(r, t);
	case TEST_CIDR:
		return network_parse(word, &t->network) ? t : wrong(r, "is no network like \"10.0.0.0/8\"");
	case TEST_WITHIN:
	case TEST_OUTSIDE:
		return window_parse(r->l->arena, word, &t->window, &err) == SP_OK ? t : wrong(r, err);
	default:
		return t; /* tags are looked up once all files are read */
	}
}

static struct test *
read_number_test(struct reading *r, int index, enum test_kind kind)
{
	struct test *t = new_test(r, kind);

	lua_rawgeti(r->L, index, 1);
	bool good = t != NULL && read_number(r, lua_gettop(r->L), &t->number);
	lua_pop(r->L, 1);
	return good ? t : wrong(r, type_words(r->a->type));
}

/* Which predicates suit which types. */
static bool
suits(const struct attribute *a, enum test_kind kind)
{
	switch (kind) {
	case TEST_PREFIX:
	case TEST_SUFFIX:
	case TEST_MATCHES:
		return of_text(a->type);
	case TEST_TAGGED:
		return a->type == SP_TYPE_COLUMNS;
	case TEST_CIDR:
		return a->source == FROM_CORE && a->index[0] == CORE_ADDRESS;
	case TEST_AT_LEAST:
	case TEST_AT_MOST:
	case TEST_MORE_THAN:
	case TEST_LESS_THAN:
		return of_number(a->type) && !is_time(a);
	case TEST_WITHIN:
	case TEST_OUTSIDE:
		return is_time(a);
	case TEST_ABSENT:
	case TEST_PRESENT:
		return !is_time(a);
	default:
		return true;
	}
}

static struct test *
read_named(struct reading *r, int index, const char *name)
{
	static const char *const names[] = { "prefix", "suffix", "matches", "tagged", "cidr", "at_least", "at_most",
		"more_than", "less_than", "within", "outside", "absent", "present", "any_of", "all_of", "none_of", NULL };
	enum test_kind kind = 0; /* "is" is none: literals are written as they are */

	while (kind < TESTS && (strcmp(name, "is") == 0 || strcmp(test_name[kind], name) != 0))
		kind++;
	if (kind == TESTS) {
		loader_error(r->l, r->line, "%s: unknown predicate \"%s\"%s", r->where, name, loader_hint(r->l, name, names));
		return NULL;
	}
	if (!suits(r->a, kind)) {
		loader_error(r->l, r->line, "%s: %s does not suit it: it %s", r->where, name,
		    is_time(r->a) ? "is the time of day" : type_words(r->a->type));
		return NULL;
	}
	switch (kind) {
	case TEST_ANY_OF:
	case TEST_ALL_OF:
	case TEST_NONE_OF:
		return read_parts(r, index, kind);
	case TEST_ABSENT:
	case TEST_PRESENT:
		return new_test(r, kind);
	case TEST_AT_LEAST:
	case TEST_AT_MOST:
	case TEST_MORE_THAN:
	case TEST_LESS_THAN:
		return read_number_test(r, index, kind);
	default:
		return read_text_test(r, index, kind);
	}
}

static struct test *
read_test(struct reading *r, int index)
{
	struct test *t;

	switch (lua_type(r->L, index)) {
	case LUA_TSTRING:
	case LUA_TNUMBER:
	case LUA_TBOOLEAN:
		return read_literal(r, index);
	case LUA_TTABLE:
		break;
	case LUA_TFUNCTION:
		return wrong(r, "is a function; code belongs to the whole clause: when = function(op) … end, "
		    "and a predicate wants its argument");
	default:
		return wrong(r, "has no value that can be compared");
	}
	if (++r->depth > DEPTH_MAX)
		return wrong(r, "predicates are nested too deep");
	luaL_checkstack(r->L, 10, NULL);
	lua_pushliteral(r->L, "predicate");
	int type = lua_rawget(r->L, index);
	if (type == LUA_TSTRING) {
		const char *name = loader_string(r->l, r->L, -1);
		t = name == NULL ? NULL : read_named(r, index, name);
	} else if (type == LUA_TNIL) {
		t = read_parts(r, index, TEST_ANY_OF);
	} else {
		t = wrong(r, "is no predicate");
	}
	lua_pop(r->L, 1);
	r->depth--;
	return t;
}

struct test *
test_read(struct loader *l, lua_State *L, int index, const struct attribute *a, const struct rule_place *at)
{
	struct reading r = { .l = l, .L = L, .a = a, .where = at->where, .line = at->line };

	return read_test(&r, lua_absindex(L, index));
}
