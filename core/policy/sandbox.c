/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua state that policies run in: memory, time and library under our control.
 *
 *   sandbox_arm() ─▶ timer ─▶ signal ─▶ lua_sethook(stop) ─▶ error that no pcall() keeps ─▶ SANDBOX_TIME
 */
#include <config.h>

#include "sandbox.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define CHARGE_CALL (4u << 20) /* what one call may cost, and what all may before the clock is asked */
#define TEXT_MAX 512

struct sandbox {
	lua_State *L;
	size_t used, cap;
	uint64_t charged;
	enum sandbox_end killed; /* set: every pcall() passes the error on */
	bool armed, frozen;
	const struct sandbox_library *library;
	struct script *owner;
	char text[TEXT_MAX];
};

/* What the signal handler sees: the state that runs in this thread. */
static _Thread_local lua_State *volatile running;
static _Thread_local timer_t timer;
static _Thread_local pid_t timer_of;

static struct sandbox *
sandbox_of(lua_State *L)
{
	return *(struct sandbox **)lua_getextraspace(L);
}

/* ---- time ---- */

static void
stop(lua_State *L, lua_Debug *ar)
{
	struct sandbox *s = sandbox_of(L);

	(void)ar;
	if (s->killed == SANDBOX_DONE)
		s->killed = SANDBOX_TIME;
	lua_pushliteral(L, "out of time");
	lua_error(L);
}

/* lua_sethook() may be called from a signal handler of the thread that runs the state. */
static void
on_timer(int sig)
{
	lua_State *L = running;

	(void)sig;
	if (L != NULL)
		lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

int
sandbox_prepare(void)
{
	struct sigaction act = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM };

	if (timer_of == getpid())
		return SP_OK;
	sigemptyset(&act.sa_mask);
	event.sigev_notify_thread_id = gettid();
	if (sigaction(SIGVTALRM, &act, NULL) != 0 || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
		return SP_EINTERNAL;
	timer_of = getpid();
	return SP_OK;
}

static void
timer_set(uint64_t ms)
{
	struct timespec at = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
	/* Again every 2 ms: were the hook set just before it is taken off, the next tick sets it anew. */
	struct itimerspec when = { .it_value = at, .it_interval = { .tv_nsec = ms == 0 ? 0 : 2000000 } };

	(void)timer_settime(timer, 0, &when, NULL);
}

void
sandbox_arm(struct sandbox *s, uint64_t deadline_ms)
{
	if (sandbox_prepare() != SP_OK) {
		s->killed = SANDBOX_TIME; /* nothing runs that nothing could stop */
		return;
	}
	s->killed = SANDBOX_DONE;
	s->charged = 0;
	s->armed = true;
	running = s->L;
	timer_set(deadline_ms == 0 ? 1 : deadline_ms);
}

void
sandbox_disarm(struct sandbox *s)
{
	if (!s->armed)
		return;
	timer_set(0);
	running = NULL;
	s->armed = false;
	lua_sethook(s->L, NULL, 0, 0);
}

/* ---- memory ---- */

static void *
allocate(void *ud, void *p, size_t old, size_t new)
{
	struct sandbox *s = ud;
	size_t had = p == NULL ? 0 : old; /* without a block, `old` says what kind of object it is for */

	if (new == 0) {
		free(p);
		s->used -= had;
		return NULL;
	}
	if (new > had && new - had > s->cap - s->used)
		return NULL;
	void *q = realloc(p, new);
	if (q != NULL)
		s->used = s->used - had + new;
	return q;
}

static int
on_panic(lua_State *L)
{
	(void)L;
	abort(); /* an API call of ours outside of protected code: no answer would be safe */
}

/* ---- calls ---- */

/* Text of the error on top of the stack, cut and without control characters. */
static void
keep_text(struct sandbox *s, lua_State *L)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is no text";

	snprintf(s->text, sizeof(s->text), "%s", text);
	for (char *c = s->text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}

static enum sandbox_end
end_of(struct sandbox *s, int status)
{
	if (status == LUA_OK && s->killed == SANDBOX_DONE)
		return SANDBOX_DONE;
	if (s->killed == SANDBOX_DONE)
		s->killed = status == LUA_ERRMEM ? SANDBOX_MEMORY : SANDBOX_ERROR;
	enum sandbox_end end = s->killed;
	if (end == SANDBOX_TIME)
		snprintf(s->text, sizeof(s->text), "out of time");
	if (end == SANDBOX_MEMORY)
		snprintf(s->text, sizeof(s->text), "out of memory");
	/* The time that is up stays up until the next sandbox_arm(). */
	if (end != SANDBOX_TIME)
		s->killed = SANDBOX_DONE;
	return end;
}

enum sandbox_end
sandbox_call(struct sandbox *s, int nargs, int nresults)
{
	lua_State *L = s->L;
	int base = lua_gettop(L) - nargs - 1;

	if (!s->armed || s->killed != SANDBOX_DONE) {
		lua_settop(L, base);
		snprintf(s->text, sizeof(s->text), "out of time");
		return SANDBOX_TIME;
	}
	int status = lua_pcall(L, nargs, nresults, 0);
	if (status != LUA_OK)
		keep_text(s, L);
	enum sandbox_end end = end_of(s, status);
	if (end != SANDBOX_DONE)
		lua_settop(L, base);
	return end;
}

struct protected {
	void (*f)(lua_State *L, void *arg);
	void *arg;
};

static int
protected_call(lua_State *L)
{
	struct protected *p = lua_touserdata(L, 1);

	lua_settop(L, 0);
	p->f(L, p->arg);
	return 0;
}

enum sandbox_end
sandbox_protect(struct sandbox *s, void (*f)(lua_State *L, void *arg), void *arg)
{
	struct protected p = { f, arg };

	/* A light C function and a light userdata need no memory. */
	lua_pushcfunction(s->L, protected_call);
	lua_pushlightuserdata(s->L, &p);
	return sandbox_call(s, 1, 0);
}

const char *
sandbox_text(const struct sandbox *s)
{
	return s->text;
}

/* ---- for C functions that scripts call ---- */

struct script *
sandbox_owner(lua_State *L)
{
	return sandbox_of(L)->owner;
}

void
sandbox_set_owner(struct sandbox *s, struct script *owner)
{
	s->owner = owner;
}

bool
sandbox_frozen(lua_State *L)
{
	return sandbox_of(L)->frozen;
}

bool
sandbox_killed(lua_State *L, int status)
{
	struct sandbox *s = sandbox_of(L);

	if (status == LUA_ERRMEM && s->killed == SANDBOX_DONE)
		s->killed = SANDBOX_MEMORY;
	return s->killed != SANDBOX_DONE;
}

void
sandbox_charge(lua_State *L, uint64_t cost)
{
	struct sandbox *s = sandbox_of(L);

	if (cost > CHARGE_CALL || s->charged > 8 * (uint64_t)CHARGE_CALL) {
		s->killed = SANDBOX_TIME;
		lua_pushliteral(L, "out of time");
		lua_error(L);
	}
	s->charged += cost;
}

static int
stop_for(lua_State *L, enum sandbox_end why, const char *what)
{
	sandbox_of(L)->killed = why;
	lua_pushstring(L, what);
	return lua_error(L);
}

int
sandbox_stop_unknown(lua_State *L, const char *what)
{
	return stop_for(L, SANDBOX_UNKNOWN, what);
}

int
sandbox_stop_skip(lua_State *L, const char *what)
{
	return stop_for(L, SANDBOX_SKIP, what);
}

/* ---- life ---- */

static void
open_library(lua_State *L, void *arg)
{
	((const struct sandbox_library *)arg)->open(L);
}

struct sandbox *
sandbox_new(const struct sandbox_library *library, size_t memory)
{
	enum { LEAST = 256 * 1024, OPENING_MS = 250 };
	struct sandbox *s = mem_alloc(sizeof(*s));

	s->library = library;
	s->cap = memory < LEAST ? LEAST : memory;
	s->L = lua_newstate(allocate, s);
	if (s->L == NULL) {
		free(s);
		return NULL;
	}
	*(struct sandbox **)lua_getextraspace(s->L) = s;
	lua_atpanic(s->L, on_panic);
	sandbox_arm(s, OPENING_MS);
	enum sandbox_end end = sandbox_protect(s, open_library, (void *)(uintptr_t)library);
	sandbox_disarm(s);
	if (end != SANDBOX_DONE)
		sandbox_free(&s);
	return s;
}

void
sandbox_free(struct sandbox **sp)
{
	struct sandbox *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	sandbox_disarm(s);
	lua_close(s->L);
	free(s);
}

lua_State *
sandbox_lua(const struct sandbox *s)
{
	return s->L;
}

static const char loaded; /* its address is the key of the chunk just loaded */

struct loading {
	const char *name, *mode;
	struct sp_bytes text;
};

static void
load_chunk(lua_State *L, void *arg)
{
	const struct loading *l = arg;

	if (luaL_loadbufferx(L, (const char *)l->text.p, l->text.len, l->name, l->mode) != LUA_OK)
		lua_error(L);
	sandbox_of(L)->library->push_globals(L);
	lua_setupvalue(L, 1, 1); /* _ENV */
	lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded);
}

static int
load(struct sandbox *s, struct loading *l)
{
	if (sandbox_protect(s, load_chunk, l) != SANDBOX_DONE)
		return SP_ECONF;
	lua_rawgetp(s->L, LUA_REGISTRYINDEX, &loaded);
	return SP_OK;
}

int
sandbox_load(struct sandbox *s, const char *name, struct sp_bytes text)
{
	/* "t": text only; bytecode that somebody made could do anything to the state. */
	struct loading l = { name, "t", text };

	return load(s, &l);
}

int
sandbox_load_compiled(struct sandbox *s, const char *name, struct sp_bytes code)
{
	struct loading l = { name, "b", code };

	return load(s, &l);
}

void
sandbox_freeze(struct sandbox *s)
{
	s->frozen = true;
}
