/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policy scripts may call: Lua's own functions as far as their time is bounded by what was
 * charged for them, and the words of lua/prelude.lua.  Whatever is not in a table here is not there.
 */
#include <config.h>

#include "library.h"

#include <lauxlib.h>
#include <lualib.h>

#include "sandbox.h"

static const uint8_t prelude[] = {
#include "core/policy/prelude.inc"
};


static const char library_key;

#define TEXT_MADE (1u << 20) /* longest text that string.rep() makes */
#define SPREAD_MAX 200       /* most values that table.unpack() and string.byte() spread on the stack */

/* ---- what a call will cost, by its arguments ---- */

typedef uint64_t cost_fn(lua_State *L);

static uint64_t
cost_none(lua_State *L)
{
	(void)L;
	return 1;
}

/* Every text among the arguments is read or copied once. */
static uint64_t
cost_texts(lua_State *L)
{
	uint64_t sum = 1;

	for (int i = 1; i <= lua_gettop(L); i++)
		sum += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 64;
	return sum;
}

static uint64_t
cost_rep(lua_State *L)
{
	size_t len, sep;

	(void)luaL_checklstring(L, 1, &len);
	lua_Integer n = luaL_checkinteger(L, 2);
	(void)luaL_optlstring(L, 3, "", &sep);
	uint64_t unit = (uint64_t)len + sep;
	if (n > 0 && unit > 0 && (uint64_t)n > TEXT_MADE / unit)
		luaL_error(L, "string.rep makes at most %d bytes", (int)TEXT_MADE);
	/* Nothing is repeated without being counted: empty texts cost a turn each. */
	return n <= 0 ? 1 : (uint64_t)n * (unit + 1);
}

static uint64_t
cost_byte(lua_State *L)
{
	lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, from);

	if (from < -SPREAD_MAX || to - from >= SPREAD_MAX || (from < 0) != (to < 0))
		luaL_error(L, "string.byte gives at most %d bytes", SPREAD_MAX);
	return SPREAD_MAX;
}

static uint64_t
cost_table(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	return 1 + lua_rawlen(L, 1);
}

static uint64_t
cost_concat(lua_State *L)
{
	size_t sep;
	uint64_t sum = 1;

	luaL_checktype(L, 1, LUA_TTABLE);
	(void)luaL_optlstring(L, 2, "", &sep);
	lua_Integer i = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, (lua_Integer)lua_rawlen(L, 1));
	for (; i <= last && sum < (8u << 20); i++) {
		int type = lua_rawgeti(L, 1, i);
		sum += sep + (type == LUA_TSTRING ? lua_rawlen(L, -1) : 32);
		lua_pop(L, 1);
		if (type != LUA_TSTRING && type != LUA_TNUMBER)
			break; /* table.concat() refuses it by itself */
	}
	return sum;
}

/* n log n comparisons inside of one C call; those that call back into Lua meet the deadline there. */
static uint64_t
cost_sort(lua_State *L)
{
	return 400 * cost_table(L);
}

static uint64_t
cost_unpack(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, (lua_Integer)lua_rawlen(L, 1));
	if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= SPREAD_MAX)
		luaL_error(L, "table.unpack gives at most %d values", SPREAD_MAX);
	return SPREAD_MAX;
}

/* upvalues: the function of Lua's library, the row that prices it */
static int call_charged(lua_State *L);

/* ---- functions of our own ---- */

/* pcall() that does not keep what must end the whole call. */
static int
guarded_pcall(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushboolean(L, true);
	lua_insert(L, 1);
	int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
	if (sandbox_killed(L, status))
		return lua_error(L);
	if (status == LUA_OK)
		return lua_gettop(L);
	lua_pushboolean(L, false);
	lua_insert(L, -2);
	return 2;
}

/* Plain search in linear time; there are no patterns here. */
static int
text_contains(lua_State *L)
{
	size_t len, n;
	const char *text = luaL_checklstring(L, 1, &len), *word = luaL_checklstring(L, 2, &n);

	sandbox_charge(L, len + n);
	lua_pushboolean(L, memmem(text, len, word, n) != NULL);
	return 1;
}

static int
call_script(lua_State *L, int (*f)(struct script *, lua_State *), const char *what)
{
	struct script *script = sandbox_owner(L);

	if (script == NULL || f == NULL)
		return luaL_error(L, "%s belongs at the top of a policy file, not into a function", what);
	return f(script, L);
}

static int
script_begin(lua_State *L)
{
	struct script *script = sandbox_owner(L);

	return call_script(L, script == NULL ? NULL : script->begin, "this");
}

static int
script_collect(lua_State *L)
{
	struct script *script = sandbox_owner(L);

	return call_script(L, script == NULL ? NULL : script->collect, "this");
}

/* fits(value, predicate): for code, what a `when` table does by itself. */
static int
script_fits(lua_State *L)
{
	struct script *script = sandbox_owner(L);

	if (script == NULL || script->fits == NULL)
		return luaL_error(L, "fits() belongs into a function of a rule");
	return script->fits(script, L);
}

/* ---- the tables ---- */

struct entry {
	const char *name;
	cost_fn *cost;
};

static const struct entry base_entries[] = {
	{ "assert", cost_none }, { "error", cost_none }, { "ipairs", cost_none }, { "next", cost_none },
	{ "pairs", cost_none }, { "rawequal", cost_texts }, { "rawlen", cost_none }, { "select", cost_none },
	{ "tonumber", cost_texts }, { "tostring", cost_texts }, { "type", cost_none }, { NULL, NULL },
};

static const struct entry string_entries[] = {
	{ "byte", cost_byte }, { "char", cost_none }, { "format", cost_texts }, { "len", cost_none },
	{ "lower", cost_texts }, { "rep", cost_rep }, { "reverse", cost_texts }, { "sub", cost_texts },
	{ "upper", cost_texts }, { NULL, NULL },
};

static const struct entry table_entries[] = {
	{ "concat", cost_concat }, { "insert", cost_table }, { "pack", cost_none }, { "remove", cost_table },
	{ "sort", cost_sort }, { "unpack", cost_unpack }, { NULL, NULL },
};

static const struct entry math_entries[] = {
	{ "abs", cost_none }, { "ceil", cost_none }, { "floor", cost_none }, { "fmod", cost_none },
	{ "max", cost_none }, { "min", cost_none }, { "modf", cost_none }, { "sqrt", cost_none },
	{ "tointeger", cost_none }, { "type", cost_none }, { "ult", cost_none }, { NULL, NULL },
};

static int
call_charged(lua_State *L)
{
	const struct entry *e = lua_touserdata(L, lua_upvalueindex(2));

	sandbox_charge(L, e->cost(L));
	/* None of the functions named here has upvalues of its own. */
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Copies the named functions of the table on top into the table below it, priced, and pops it. */
static void
take(lua_State *L, const struct entry *entries)
{
	for (const struct entry *e = entries; e->name != NULL; e++) {
		if (lua_getfield(L, -1, e->name) != LUA_TFUNCTION)
			luaL_error(L, "this Lua has no %s", e->name);
		if (e->cost != cost_none) {
			lua_pushlightuserdata(L, (void *)(uintptr_t)e);
			lua_pushcclosure(L, call_charged, 2);
		}
		lua_setfield(L, -3, e->name);
	}
	lua_pop(L, 1);
}

/* A library of Lua's as a new field of the table on top. */
static void
take_library(lua_State *L, const char *name, lua_CFunction open, const struct entry *entries)
{
	lua_newtable(L);
	luaL_requiref(L, name, open, 0);
	take(L, entries);
	lua_setfield(L, -2, name);
}

static void
forget(lua_State *L, const char *name)
{
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, name);
}

static void
open_library(lua_State *L)
{
	static const luaL_Reg own[] = {
		{ "pcall", guarded_pcall }, { "contains", text_contains }, { "fits", script_fits }, { NULL, NULL },
	};

	lua_newtable(L);
	luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
	take(L, base_entries);
	take_library(L, LUA_STRLIBNAME, luaopen_string, string_entries);
	take_library(L, LUA_TABLIBNAME, luaopen_table, table_entries);
	take_library(L, LUA_MATHLIBNAME, luaopen_math, math_entries);
	luaL_setfuncs(L, own, 0);

	/* ("x"):len() goes by the strings' metatable, which must not lead to what was left out. */
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_newtable(L);
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
	take(L, string_entries);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 2);

	/* Nothing else keeps the originals: not the globals, not the table of loaded libraries. */
	lua_rawsetp(L, LUA_REGISTRYINDEX, &library_key);
	lua_newtable(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	forget(L, LUA_LOADED_TABLE);

	if (luaL_loadbufferx(L, (const char *)prelude, sizeof(prelude), "=prelude", "t") != LUA_OK)
		lua_error(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &library_key);
	lua_setupvalue(L, -2, 1);
	lua_pushcfunction(L, script_begin);
	lua_pushcfunction(L, script_collect);
	lua_call(L, 2, 0);
}

/* upvalue: the table that holds what the script set */
static int
globals_set(lua_State *L)
{
	if (sandbox_frozen(L))
		return luaL_error(L, "a function of a rule must not set globals: operations are judged independently");
	lua_settop(L, 3);
	lua_rawset(L, lua_upvalueindex(1));
	return 0;
}

/* Copies the table at `from` into the one on top; tables in it are copied too, one level deep. */
static void
copy_table(lua_State *L, int from, bool deep)
{
	lua_pushnil(L);
	while (lua_next(L, from) != 0) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		if (deep && lua_type(L, -1) == LUA_TTABLE) {
			lua_newtable(L);
			copy_table(L, lua_gettop(L) - 1, false);
			lua_remove(L, -2);
		}
		lua_rawset(L, -4);
	}
}

static void
push_globals(lua_State *L)
{
	luaL_checkstack(L, 20, NULL);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &library_key);
	lua_newtable(L);
	copy_table(L, lua_gettop(L) - 1, true);
	lua_remove(L, -2);

	lua_newtable(L); /* metatable of what the script sets: leads to the copy */
	lua_insert(L, -2);
	lua_setfield(L, -2, "__index");
	lua_newtable(L); /* what the script sets */
	lua_insert(L, -2);
	lua_setmetatable(L, -2);

	lua_newtable(L); /* metatable of what the script sees */
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "__index");
	lua_insert(L, -2);
	lua_pushcclosure(L, globals_set, 1);
	lua_setfield(L, -2, "__newindex");
	lua_newtable(L); /* what the script sees: always empty, so that each assignment is noticed */
	lua_insert(L, -2);
	lua_setmetatable(L, -2);
}

const struct sandbox_library policy_library = { open_library, push_globals };
