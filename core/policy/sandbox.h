/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Lua state that can be trusted with nothing, and needs not be.
 *
 *   memory    an allocator with a cap; out of it, the call is over, whatever pcall() wants
 *   time      no hook while Lua runs: a timer of this thread's CPU time fires a signal, whose handler
 *             sets a hook that ends the call at its next instruction
 *   C code    Lua's library functions that work for as long as their arguments are large are charged
 *             for before they run, or are not there: find, match, gmatch, gsub, pack, move, utf8 …
 *   world     no io, os, debug, package, coroutine, load, require, metatables, random
 *
 * sandbox_prepare() makes the timer, and so comes before the system call filter; what remains to be
 * called afterwards is timer_settime and rt_sigreturn.
 */
#ifndef SALLYPORT_SANDBOX_H
#define SALLYPORT_SANDBOX_H

#include <lua.h>

#include "../base/memory.h"

struct sandbox;

enum sandbox_end {
	SANDBOX_DONE,
	SANDBOX_ERROR,   /* the script's own error; its text is in sandbox_text() */
	SANDBOX_TIME,
	SANDBOX_MEMORY,
	SANDBOX_UNKNOWN, /* it read a value that is not known: sandbox_stop_unknown() */
	SANDBOX_SKIP     /* it asked for what is not there yet: sandbox_stop_skip() */
};

/* What scripts may call: of this file's user. */
struct sandbox_library {
	void (*open)(lua_State *L);         /* makes it, once in a state; by lua_error() when it can't */
	void (*push_globals)(lua_State *L); /* pushes a table that reads from a private copy, and keeps what the script sets */
};

int sandbox_prepare(void) SP_MUST;
struct sandbox *sandbox_new(const struct sandbox_library *library, size_t memory);
void sandbox_free(struct sandbox **s);
lua_State *sandbox_lua(const struct sandbox *s);

/* The time that the calls up to sandbox_disarm() may take together. */
void sandbox_arm(struct sandbox *s, uint64_t deadline_ms);
void sandbox_disarm(struct sandbox *s);
/* lua_pcall() that ends by the deadline.  On anything but SANDBOX_DONE the stack is as before the function was pushed. */
enum sandbox_end sandbox_call(struct sandbox *s, int nargs, int nresults);
/* The same for C code that uses the Lua API and so may run out of memory: f(L, arg) with an empty stack. */
enum sandbox_end sandbox_protect(struct sandbox *s, void (*f)(lua_State *L, void *arg), void *arg);
/* Why the last call ended; good until the next one. */
const char *sandbox_text(const struct sandbox *s);

/* For C functions that a script calls. */
struct script; /* library.h */
struct script *sandbox_owner(lua_State *L);
void sandbox_set_owner(struct sandbox *s, struct script *owner);
bool sandbox_frozen(lua_State *L);
bool sandbox_killed(lua_State *L, int status); /* after a protected call: the error must be passed on */
void sandbox_charge(lua_State *L, uint64_t cost); /* about one per byte or element touched; may not return */
int sandbox_stop_unknown(lua_State *L, const char *what); /* does not return */
int sandbox_stop_skip(lua_State *L, const char *what);    /* does not return */

/* Loads a chunk of text as a function whose globals are a copy of the library's, and pushes it. */
int sandbox_load(struct sandbox *s, const char *name, struct sp_bytes text) SP_MUST;
/* The same for what lua_dump() of ours made of such a chunk. */
int sandbox_load_compiled(struct sandbox *s, const char *name, struct sp_bytes code) SP_MUST;
/* After this no script can set a global. */
void sandbox_freeze(struct sandbox *s);

#endif
