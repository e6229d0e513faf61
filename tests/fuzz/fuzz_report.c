/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that `report` found in an audit log and in recordings, in the policy that it suggests: it loads, and calls what it is
 * meant to call and nothing else.  The input is the texts, with a NUL between two.
 */
#include <config.h>

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "core/command/report_lua.c"
#include "core/record/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *policies, *example;

/* ---- what the command has around it ---- */

int
client_call(const struct run *r, const char *method, const char *path, json_t *args, json_t **answer_r)
{
	(void)r, (void)method, (void)path;
	json_decref(args);
	*answer_r = json_incref(policies);
	return DONE;
}

int
client_try(const struct run *r, const char *method, const char *path, json_t *args, unsigned *status_r, json_t **answer_r)
{
	(void)r, (void)method, (void)path;
	json_decref(args);
	*status_r = 200;
	*answer_r = json_incref(example);
	return DONE;
}

void
print_safe(FILE *out, struct sp_bytes text, size_t most)
{
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	(void)most;
	text_shown(&w, text);
	if (buffer_written(&b, &w) == SP_OK && b.len > 0)
		(void)fwrite(buffer_bytes(&b).p, 1, b.len, out);
	buffer_free(&b);
}

/* ---- the policy's world: the words that a suggestion is made of ---- */

static unsigned rules;

static int
take_table(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	return 1;
}

static int
take_rule(lua_State *L)
{
	luaL_checkstring(L, 1);
	rules++;
	lua_pushcfunction(L, take_table);
	return 1;
}

static int
take_tag(lua_State *L)
{
	luaL_checkstring(L, 1);
	lua_pushcfunction(L, take_table);
	return 1;
}

static int
no_such(lua_State *L)
{
	return luaL_error(L, "%s is none of the words", luaL_tolstring(L, 2, NULL));
}

static void
check_lua(const char *text, size_t n)
{
	static const struct luaL_Reg words[] = { { "rule", take_rule }, { "tag", take_tag }, { "any_of", take_table }, { "none_of", take_table }, { NULL, NULL } };
	lua_State *L = luaL_newstate();
	if (L == NULL)
		return;
	lua_newtable(L);
	luaL_setfuncs(L, words, 0);
	lua_newtable(L);
	lua_pushcfunction(L, no_such);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	rules = 0;
	if (luaL_loadbufferx(L, text, n, "=suggested", "t") != LUA_OK)
		abort();
	lua_pushvalue(L, 1);
	if (lua_setupvalue(L, 2, 1) == NULL || lua_pcall(L, 0, 0, 0) != LUA_OK || rules > 4)
		abort();
	lua_close(L);
}

/* ---- */

static json_t *
next(struct sp_reader *r)
{
	struct sp_bytes text = r->left > 0 && memchr(r->p, 0, r->left) == NULL ? sp_rd_rest(r) : sp_rd_until(r, 0);
	json_t *o = r->bad ? NULL : json_stringn((const char *)text.p, text.len);
	return o == NULL ? json_string("") : o;
}

/* A rule that denies, and one that hides what a tag names, of the target that the second text is. */
static json_t *
policies_of(struct sp_reader *r, json_t *rule, json_t *target)
{
	json_t *doc = next(r), *file = next(r), *tag = next(r), *column = next(r);
	return json_pack("{s:[{s:O,s:[{s:o,s:[o]}],s:[{s:O,s:O,s:O,s:i,s:[s],s:[s],s:s},{s:s,s:o,s:o,s:i,s:[s],s:[],s:[s],s:s}]}]}", "policies", "target", target, "tags",
	    "tag", tag, "columns", column, "rules", "rule", rule, "doc", doc, "file", file, "line", 7, "on", "sql.statement", "when", "verb = \"delete\"", "decides",
	    "deny = \"no\"", "rule", "hides", "doc", doc, "file", file, "line", 8, "on", "sql.result", "when", "unless", "groups = \"fraud\"", "decides", "deny = \"x\"");
}

static json_t *
group(json_t *target, json_t *would, json_t *rule, json_t *text, json_t *user)
{
	json_t *o = json_pack("{s:O,s:O,s:O,s:O,s:i,s:{},s:[s]}", "target", target, "would", would, "rule", rule, "text", text, "n", 2, "users", "examples", "abc.1");
	(void)json_object_set_new(json_object_get(o, "users"), json_string_value(user), json_integer(2));
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	struct run run = { .json = false };
	char *lua = NULL;
	size_t n = 0;
	json_t *rule = next(&r), *target = next(&r), *would = next(&r), *text = next(&r), *user = next(&r), *hides = json_string("hides"), *none = json_string("");
	policies = policies_of(&r, rule, target);
	example = json_pack("{s:[{s:o}],s:{s:[{s:o,s:o}]}}", "statements", "tables", next(&r), "why", "unclear", "why", next(&r), "name", next(&r));
	json_t *groups = json_pack("{s:o,s:o,s:o}", "1", group(target, would, rule, text, user), "2", group(target, would, hides, text, user), "3",
	    group(target, would, none, text, user));
	FILE *out = open_memstream(&lua, &n);
	if (policies == NULL || example == NULL || groups == NULL || out == NULL || report_suggest(&run, groups, false, out) != DONE)
		abort();
	(void)fclose(out);
	check_lua(lua, n);
	free(lua);
	json_t *const all[] = { rule, target, would, text, user, hides, none, policies, example, groups };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		json_decref(all[i]);
	return 0;
}
