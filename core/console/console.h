/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console process: HTTP in, questions to the keeper out.  It names nobody: every question
 * carries the connection's number, which master gave, and the caller's own token.
 *
 *   master ─ CALLER(fd, number) ─▶ caller.c  reads a request, writes the answer
 *                                    api.c   route, arguments, what to do with the answer
 *                                    ask.c   MSG_CALL ─▶ keeper ─▶ MSG_RESULT
 *                                    search.c, verify.c, explain.c   work on recordings, slice by slice
 */
#ifndef SALLYPORT_CONSOLE_H
#define SALLYPORT_CONSOLE_H

#include <jansson.h>

#include "../base/role.h"
#include "../base/route.h"

struct caller;
struct ask;

struct console {
	struct role_process role;
	struct epoch *epoch;
	struct link *keeper;    /* NULL: it is away */
	struct ask *asks;       /* without an answer */
	uint32_t last_ask;
	struct caller *callers;
	unsigned ncallers;
	bool quitting;
};

extern const struct role_handler console_handler; /* the owner is the console */

/* ---- asking the keeper (ask.c) ---- */

struct question {
	uint64_t connection;
	struct sp_bytes token; /* borrowed until ask_keeper() returns */
	enum call call;
	const json_t *args;    /* an object, or NULL */
};

struct answer {
	unsigned status;
	struct sp_bytes json;  /* borrowed */
	int fd;                /* the receiver sets -1 on taking it; else it is closed */
};

typedef void (*answer_function)(void *owner, struct answer *a);

/* answer() is called exactly once, later, unless ask_cancel() comes first.  NULL: no memory. */
struct ask *ask_keeper(struct console *c, const struct question *q, answer_function answer, void *owner);
void ask_cancel(struct ask **a);
/* What the keeper said; when nobody waits for it any more, it is dropped. */
int ask_answered(struct console *c, struct message *m);
/* The keeper is gone: every question is answered with 503. */
void ask_lost(struct console *c);

/* ---- one connection (caller.c) ---- */

/* Takes fd over. */
void caller_new(struct console *c, int fd, uint64_t connection, uint64_t uid);
void caller_free(struct caller **c);
/* Stop taking requests; those under way are answered. */
void callers_finish(struct console *c);
struct console *caller_console(const struct caller *c);
uint64_t caller_connection(const struct caller *c);

/* One answer per request, in one of these three ways. */
void caller_reply(struct caller *c, unsigned status, struct sp_bytes json);
void caller_refuse(struct caller *c, unsigned status, const char *fmt, ...) SP_PRINTF(3, 4);
void caller_send_file(struct caller *c, int fd, const char *name); /* takes fd over */
/* …or bit by bit: one JSON object a line. */
void caller_lines_begin(struct caller *c);
void caller_line(struct caller *c, json_t *object); /* takes over a reference */
void caller_lines_end(struct caller *c);
bool caller_full(const struct caller *c); /* a slow reader: work on later */

/* Work that goes on while the caller waits; ended with it.  A second one ends the first. */
struct job {
	void (*step)(struct job *j); /* one slice, when the caller can take more */
	void (*end)(struct job *j);  /* frees it: the answer is complete, or the caller is gone */
};
void caller_work(struct caller *c, struct job *j);
/* There is, or is not, something to do for step(). */
void caller_work_ready(struct caller *c, bool ready);

/* ---- requests (api.c) ---- */

struct request {
	struct sp_bytes method, path, query, type, authorization, body; /* borrowed until api_begin() returns */
};
void api_begin(struct caller *c, const struct request *r);

/* ---- work on recordings ---- */

void search_begin(struct caller *c, struct sp_bytes token, json_t *args); /* takes over a reference */
/* The keeper's answer to CALL_VERIFY, fd and entries, checked slice by slice.  NULL: refused, the caller knows. */
struct verify_call;
struct verify_call *verify_call_new(struct caller *c, struct answer *a);
void verify_call_step(struct verify_call *v); /* replies once it is done */
void verify_call_free(struct verify_call **v);
/* The keeper's answer to CALL_EXPLAIN: fd and op. */
void explain_answer(struct caller *c, struct answer *a);

#endif
