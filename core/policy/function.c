/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that are code: `when = function(op) … end`.
 *
 * A session gets a Lua state when the first such rule is asked.  It runs the policy's files once
 * more, only to have their functions; then globals are frozen.  A function sees one read-only view
 * of what is judged, and answers true or false.  When it reads what is not known, it is ended, and
 * its answer is that it is not known.
 */
#include <config.h>

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "judge.h"

#define FITS_MAX 200
#define LIST_MAX 10000

static const char functions_key, node_key, root_key;

static struct policy_run *
run_of(struct script *s)
{
	return (struct policy_run *)s;
}

static struct judging *
judging_of(lua_State *L)
{
	struct policy_run *run = run_of(sandbox_owner(L));

	if (run->j == NULL)
		luaL_error(L, "an operation can be looked at only while it is judged");
	return run->j;
}

/* ---- the view of an operation ---- */

static int
push_value(lua_State *L, const struct value *v, const struct attribute *a)
{
	bool set = a->type == SP_TYPE_STRINGS || a->type == SP_TYPE_COLUMNS;

	if (v->known == UNKNOWN)
		return sandbox_stop_unknown(L, a->name);
	if (set) {
		if (v->n > LIST_MAX)
			return luaL_error(L, "%s has more than %d elements", a->name, LIST_MAX);
		lua_createtable(L, (int)v->n, 0);
		for (size_t i = 0; i < v->n; i++) {
			lua_pushlstring(L, (const char *)v->set[i].p, v->set[i].len);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
		return 1;
	}
	if (v->known == ABSENT)
		lua_pushnil(L);
	else if (a->type == SP_TYPE_STRING)
		lua_pushlstring(L, v->text.len == 0 ? "" : (const char *)v->text.p, v->text.len);
	else if (a->type == SP_TYPE_BOOL)
		lua_pushboolean(L, v->number != 0);
	else
		lua_pushinteger(L, v->number > INT64_MAX ? INT64_MAX : (lua_Integer)v->number);
	return 1;
}

/* What a name stands for in the operation that is judged. */
static bool
view_find(struct judging *j, const char *name, bool root, struct attribute *a)
{
	char full[80];
	const char *other;

	if (snprintf(full, sizeof(full), "%s%s", root ? "root." : "", name) >= (int)sizeof(full))
		return false;
	if (attribute_find(j->q.schema, j->kind, full, a, &other)) {
		a->name = name;
		return true;
	}
	attribute_label(name, a);
	const struct target *t = j->q.who->target;
	for (size_t i = 0; !root && t != NULL && i < t->label.n; i++)
		if (strcmp(t->label.key[i], name) == 0)
			return true;
	return false;
}

static void
note_read(struct judging *j, const struct attribute *a)
{
	if (a->source != FROM_CORE)
		return;
	if (a->index[0] == CORE_TIME)
		j->uncacheable = true;
	if (a->index[0] == CORE_SESSION)
		j->of_session = true;
}

/* op.param(1): value, type, format of $1. */
static int
view_param(lua_State *L)
{
	struct judging *j = judging_of(L);
	lua_Integer i = luaL_checkinteger(L, 1);
	const struct op *op = j->q.op;

	j->uncacheable = true;
	if (j->prepare)
		return sandbox_stop_skip(L, "parameters");
	if (op == NULL || i < 1 || i > (lua_Integer)op->nparams)
		return 0;
	const struct param *p = &op->param[i - 1];
	sandbox_charge(L, p->value.len);
	if (p->null)
		lua_pushnil(L);
	else
		lua_pushlstring(L, p->value.len == 0 ? "" : (const char *)p->value.p, p->value.len);
	lua_pushinteger(L, p->type);
	lua_pushinteger(L, p->format);
	return 3;
}

/* op.known("tables"): may it be read? */
static int
view_known(lua_State *L)
{
	struct judging *j = judging_of(L);
	const char *name = luaL_checkstring(L, 1);
	bool root = strncmp(name, "root.", 5) == 0;
	struct attribute a;

	if (!view_find(j, root ? name + 5 : name, root, &a))
		return luaL_error(L, "%s has no attribute \"%s\"", j->kind, name);
	struct value v = attribute_value(&a, &j->q);
	note_read(j, &a);
	lua_pushboolean(L, v.known != UNKNOWN);
	return 1;
}

static struct note *
note_find(struct policy_run *run, const char *name, bool make)
{
	if (run->note == NULL)
		run->note = mem_alloc(NOTES_MAX * sizeof(*run->note));
	for (size_t i = 0; i < NOTES_MAX; i++)
		if (run->note[i].used && strcmp(run->note[i].name, name) == 0)
			return &run->note[i];
	for (size_t i = 0; make && i < NOTES_MAX; i++)
		if (!run->note[i].used)
			return &run->note[i];
	return NULL;
}

/* op.note("name") reads what op.note("name", "text") kept for this session. */
static int
view_note(lua_State *L)
{
	struct judging *j = judging_of(L);
	const char *name = luaL_checkstring(L, 1);
	bool set = !lua_isnoneornil(L, 2);
	size_t len = 0;
	const char *text = set ? luaL_checklstring(L, 2, &len) : "";
	struct note *note = note_find(j->run, name, set);

	j->uncacheable = true;
	if (!set) {
		if (note != NULL)
			lua_pushlstring(L, note->text, note->len);
		return note != NULL;
	}
	if (note == NULL || strlen(name) >= sizeof(note->name) || len > sizeof(note->text))
		return luaL_error(L, "a session keeps %d notes of %d bytes", NOTES_MAX, NOTE_LEN);
	note->used = true;
	memcpy(note->name, name, strlen(name) + 1);
	memcpy(note->text, text, len);
	note->len = len;
	return 0;
}

struct view_row {
	const char *name;
	lua_CFunction function;
};

static const struct view_row view_row[] = {
	{ "param", view_param }, { "known", view_known }, { "note", view_note }, { NULL, NULL },
};

/* upvalue: true for op.root */
static int
view_index(lua_State *L)
{
	struct judging *j = judging_of(L);
	const char *name = luaL_checkstring(L, 2);
	bool root = lua_toboolean(L, lua_upvalueindex(1));
	const struct op *op = j->q.op;
	struct attribute a;

	for (const struct view_row *row = view_row; !root && row->name != NULL; row++) {
		if (strcmp(row->name, name) == 0) {
			lua_pushcfunction(L, row->function);
			return 1;
		}
	}
	if (!root && strcmp(name, "root") == 0)
		return lua_rawgetp(L, LUA_REGISTRYINDEX, &root_key) != LUA_TNIL;
	if (!root && strcmp(name, "kind") == 0) {
		lua_pushstring(L, j->kind);
		return 1;
	}
	if (!root && strcmp(name, "text") == 0) {
		struct sp_bytes text = op == NULL || op->shape == NULL ? (struct sp_bytes){ NULL, 0 } : op->shape->text;
		sandbox_charge(L, text.len);
		lua_pushlstring(L, text.len == 0 ? "" : (const char *)text.p, text.len);
		return 1;
	}
	if (!view_find(j, name, root, &a))
		return luaL_error(L, "%s has no attribute \"%s\"", j->kind, name);
	struct value v = attribute_value(&a, &j->q);
	/* Of a column without a source nothing is known but its name and type. */
	if (a.source == FROM_RESULT && j->q.column != NULL && j->q.column->unknown && a.index[0] <= RESULT_TABLE)
		v.known = UNKNOWN;
	note_read(j, &a);
	return push_value(L, &v, &a);
}

static int
view_newindex(lua_State *L)
{
	return luaL_error(L, "an operation can't be changed");
}

/* An empty userdata whose metatable answers for it. */
static void
make_view(lua_State *L, bool root, const void *key)
{
	(void)lua_newuserdatauv(L, 1, 0);
	lua_newtable(L);
	lua_pushboolean(L, root);
	lua_pushcclosure(L, view_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, view_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_setmetatable(L, -2);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* ---- fits(value, predicate) ---- */

struct fit {
	const void *table; /* kept alive by ref, so that its address stays its own */
	int ref;
	enum sp_type type;
	struct test *test;
};

static const struct attribute fit_text = { .name = "fits", .type = SP_TYPE_COLUMNS, .of_operation = true };
static const struct attribute fit_number = { .name = "fits", .type = SP_TYPE_INT, .of_operation = true };

static void
find_tags(lua_State *L, const struct policy *p, struct test *t)
{
	for (size_t i = 0; i < t->n; i++)
		find_tags(L, p, t->part[i]);
	if (t->kind != TEST_TAGGED)
		return;
	t->tag = tag_find(p, (const char *)t->text.p);
	if (t->tag == NULL)
		luaL_error(L, "there is no tag \"%s\"", (const char *)t->text.p);
}

static struct test *
fit_read(struct policy_run *run, lua_State *L, const struct attribute *a)
{
	struct policy_source none = { .path = "fits()" };
	struct loader l = { .p = run->p, .file = &none, .arena = run->fits_arena, .regexes = &run->regexes };
	struct rule_place at = { "fits()", 0 };
	struct test *t = test_read(&l, L, 2, a, &at);
	char text[200] = "a predicate too large";

	if (t == NULL) {
		struct sp_bytes err = buffer_bytes(&l.errors);
		if (err.len > 0)
			snprintf(text, sizeof(text), "%.*s", (int)err.len, (const char *)err.p);
		buffer_free(&l.errors);
		luaL_error(L, "%s", text);
	}
	return t;
}

static struct test *
fit_find(struct policy_run *run, lua_State *L, const struct attribute *a)
{
	const void *table = lua_topointer(L, 2);

	for (size_t i = 0; i < run->nfits; i++)
		if (run->fits[i].table == table && run->fits[i].type == a->type)
			return run->fits[i].test;
	if (run->fits == NULL)
		run->fits = mem_alloc(FITS_MAX * sizeof(*run->fits));
	if (run->fits_arena == NULL)
		run->fits_arena = arena_new(1u << 20);
	if (run->nfits == FITS_MAX || run->fits_arena == NULL)
		luaL_error(L, "fits() with more than %d predicates: make them once, outside of functions", FITS_MAX);
	struct test *t = fit_read(run, L, a);
	find_tags(L, run->p, t);
	lua_pushvalue(L, 2);
	run->fits[run->nfits] = (struct fit){ table, luaL_ref(L, LUA_REGISTRYINDEX), a->type, t };
	run->nfits++;
	return t;
}

static int
script_fits(struct script *s, lua_State *L)
{
	struct policy_run *run = run_of(s);
	struct judging *j = judging_of(L);
	enum truth answer;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	if (lua_type(L, 1) == LUA_TNUMBER) {
		lua_Integer n = luaL_checkinteger(L, 1);
		struct value v = { .known = PRESENT, .number = n < 0 ? 0 : (uint64_t)n };
		answer = test_fits(fit_find(run, L, &fit_number), &v, &fit_number, false, &j->budget);
	} else {
		size_t len;
		const char *text = luaL_checklstring(L, 1, &len);
		struct sp_bytes b = { (const uint8_t *)text, len };
		sandbox_charge(L, len);
		answer = test_fits_text(fit_find(run, L, &fit_text), b, false, &j->budget);
	}
	if (answer == MAYBE)
		return sandbox_stop_unknown(L, "fits()");
	lua_pushboolean(L, answer == YES);
	return 1;
}

/* ---- the session's state ---- */

static int
run_begin(struct script *s, lua_State *L)
{
	(void)s;
	(void)L;
	return 0;
}

/* (what, name, body): only functions are wanted; the rest was read when the policy was loaded. */
static int
run_collect(struct script *s, lua_State *L)
{
	static const char *const clause[] = { "when", "unless" };

	(void)s;
	if (strcmp(luaL_checkstring(L, 1), "rule") != 0 || lua_type(L, 3) != LUA_TTABLE)
		return 0;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
	for (unsigned i = 0; i < 2; i++) {
		lua_pushfstring(L, "%s/%s", luaL_checkstring(L, 2), clause[i]);
		lua_pushstring(L, clause[i]);
		if (lua_rawget(L, 3) != LUA_TFUNCTION) {
			lua_pop(L, 2);
			continue;
		}
		lua_rawset(L, -3);
	}
	return 0;
}

static void
prepare_state(lua_State *L, void *arg)
{
	(void)arg;
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
	make_view(L, false, &node_key);
	make_view(L, true, &root_key);
}

static bool
run_files(struct policy_run *run)
{
	const struct policy *p = run->p;

	if (sandbox_protect(run->box, prepare_state, NULL) != SANDBOX_DONE)
		return false;
	for (size_t i = 0; i < p->nfiles; i++) {
		if (sandbox_load_compiled(run->box, p->file[i].chunk, p->file[i].code) != SP_OK)
			return false;
		if (sandbox_call(run->box, 0, 0) != SANDBOX_DONE)
			return false;
	}
	return true;
}

static bool
function_open(struct policy_run *run)
{
	run->box = sandbox_new(&policy_library, (size_t)run->p->limits.memory);
	if (run->box == NULL)
		return false;
	run->script = (struct script){ .begin = run_begin, .collect = run_collect };
	sandbox_set_owner(run->box, &run->script);
	sandbox_arm(run->box, LOAD_MS);
	bool good = run_files(run);
	sandbox_disarm(run->box);
	run->script = (struct script){ .fits = script_fits };
	sandbox_freeze(run->box);
	if (!good)
		function_close(run);
	return good;
}

void
function_close(struct policy_run *run)
{
	sandbox_free(&run->box);
	for (struct regex_list *r = run->regexes; r != NULL; r = r->next)
		regex_free(&r->regex);
	run->regexes = NULL;
	arena_free(&run->fits_arena);
	free(run->fits);
	run->fits = NULL;
	run->nfits = 0;
	free(run->note);
	run->note = NULL;
}

/* ---- asking ---- */

struct question {
	const struct rule *rule;
	const char *clause;
	bool answer;
};

static void
ask(lua_State *L, void *arg)
{
	struct question *q = arg;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
	lua_pushfstring(L, "%s/%s", q->rule->name, q->clause);
	if (lua_rawget(L, -2) != LUA_TFUNCTION)
		luaL_error(L, "the rule's function is not there");
	lua_rawgetp(L, LUA_REGISTRYINDEX, &node_key);
	lua_call(L, 1, 1);
	if (lua_type(L, -1) != LUA_TBOOLEAN)
		luaL_error(L, "the function has to say true or false, not %s", luaL_typename(L, -1));
	q->answer = lua_toboolean(L, -1);
}

static enum truth
fail(struct judging *j, const struct rule *r, const char *why)
{
	judging_fail(j, r, why, j->run->box == NULL ? "" : sandbox_text(j->run->box));
	return MAYBE;
}

enum truth
function_ask(struct judging *j, const struct rule *r, bool when)
{
	struct policy_run *run = j->run;
	struct question q = { .rule = r, .clause = when ? "when" : "unless" };

	if (run->box == NULL && !function_open(run))
		return fail(j, r, "its functions could not be loaded");
	if (!j->armed)
		sandbox_arm(run->box, run->p->limits.deadline_ms);
	j->armed = true;
	run->j = j;
	enum sandbox_end end = sandbox_protect(run->box, ask, &q);
	run->j = NULL;
	switch (end) {
	case SANDBOX_DONE:
		return truth_of(q.answer);
	case SANDBOX_UNKNOWN:
		return MAYBE;
	case SANDBOX_SKIP:
		j->skipped = true;
		return MAYBE;
	case SANDBOX_TIME:
		j->spent = j->spent || !judging_observes(j, r);
		return fail(j, r, "it ran out of time");
	case SANDBOX_MEMORY:
		j->spent = j->spent || !judging_observes(j, r);
		return fail(j, r, "it ran out of memory");
	case SANDBOX_ERROR:
		break;
	}
	return fail(j, r, "an error in its code");
}
