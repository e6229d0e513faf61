/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy script may call: a table of Lua's own functions that are bounded, or charged for. */
#ifndef SALLYPORT_LIBRARY_H
#define SALLYPORT_LIBRARY_H

#include <lua.h>

#include <sallyport/wire.h>

/* Makes the library table; runs lua/prelude.lua, which adds the words of the policy language. */
void library_open(lua_State *L);
/* Pushes a table that reads from a private copy of the library, and keeps what the script sets. */
void library_push_globals(lua_State *L);

/* The core's side of what a script calls; the sandbox's owner.  NULL: not now. */
struct script {
	int (*begin)(struct script *s, lua_State *L);   /* (what, name) */
	int (*collect)(struct script *s, lua_State *L); /* (what, name, body) */
	int (*fits)(struct script *s, lua_State *L);    /* (value, predicate) → boolean */
};

/* sandbox.c */
bool sandbox_frozen(lua_State *L);
/* After a protected call: the error must be passed on. */
bool sandbox_killed(lua_State *L, int status);

#endif
