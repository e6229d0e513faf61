/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy script may call: a table of Lua's own functions that are bounded, or charged for. */
#ifndef SALLYPORT_LIBRARY_H
#define SALLYPORT_LIBRARY_H

#include "sandbox.h"

/* open runs lua/prelude.lua, too, which adds the words of the policy language. */
extern const struct sandbox_library policy_library;

/* The core's side of what a script calls; the sandbox's owner.  NULL: not now. */
struct script {
	int (*begin)(struct script *s, lua_State *L);   /* (what, name) */
	int (*collect)(struct script *s, lua_State *L); /* (what, name, body) */
	int (*fits)(struct script *s, lua_State *L);    /* (value, predicate) → boolean */
};

#endif
