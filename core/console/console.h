/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console process: HTTP in, questions to the keeper out.  It names nobody: every question
 * carries the connection's number, which master gave, and the caller's own token.
 *
 *   master ─ CALLER(fd, number) ──▶ caller.c  reads a request, writes the answer
 *   master ─ LISTENER ─ listen.c ─▶   │
 *      accept, TLS, count by address   guard.c  over HTTPS: Host, Origin, cookie, CSRF; attempts.c: how often
 *                                      api.c    route, arguments, what to do with the answer
 *                                      page.c   the pages of signing in, pages/ as text with holes; files.c: those of web/
 *                                      ask.c    MSG_CALL ─▶ keeper ─▶ MSG_RESULT
 *                                      search.c, verify.c, explain.c, replay.c   work on recordings, slice by slice
 *                                      audit.c  the audit log; watch.c  what follows it, or a live session
 *                                      events.c what changes, as server-sent events
 */
#ifndef SALLYPORT_CONSOLE_H
#define SALLYPORT_CONSOLE_H

#include <jansson.h>

#include "../base/role.h"
#include "../base/route.h"
#include "../base/tls.h"

struct caller;
struct ask;
struct attempts;
struct files;

struct door { /* a certificate: of one epoch, and of who came in by it */
	struct tls_credentials *tls;
	unsigned users;
};

struct visitor { /* over HTTPS */
	char address[64];
	uint8_t net[16]; /* IPv4-mapped, or the first 64 bits of IPv6: what one may be taken for one's own */
	bool local;      /* of a Unix socket: a proxy of one's own, which brings everybody */
};

struct console {
	struct role_process role;
	struct epoch *epoch;
	struct link *keeper;    /* NULL: it is away */
	struct ask *asks;       /* without an answer */
	uint32_t last_ask;
	struct caller *callers;
	unsigned ncallers, nvisitors; /* all of them; those over HTTPS */
	int listening;                /* HTTPS, or -1 */
	struct event *accept, *rest;  /* rest: after descriptors ran out */
	struct door *door;            /* NULL: no HTTPS */
	struct attempts *attempts;
	struct files *files;          /* the pages of web/; NULL: there are none */
	uint64_t reopened;            /* how often logs were rotated */
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

/* ---- HTTPS (listen.c) ---- */

/* The socket is the console's from here on; it replaces an older one. */
int listen_take(struct console *c, int fd) SP_MUST;
/* Certificate and limits of c->epoch; closes the door where there is none.  SP_ECONF: nothing has changed. */
int listen_epoch(struct console *c, const struct epoch *e, const char **err_r) SP_MUST;
void listen_end(struct console *c);
void door_leave(struct door **d);

/* ---- how often one may try (attempts.c) ---- */

#define ATTEMPTS_POLL 1
#define ATTEMPTS_SIGN_IN 4 /* beginning or confirming one; a proof that was refused */
/* Charges so much to the address; 0: only says whether it might still try.  false: nothing was charged, it has to wait *seconds_r. */
bool attempts_charge(struct console *c, const struct visitor *v, unsigned cost, unsigned *seconds_r);
void attempts_free(struct attempts **a);

/* ---- one connection (caller.c) ---- */

/* Takes fd over. */
void caller_new(struct console *c, int fd, uint64_t connection, uint64_t uid);
/* The same for a visitor; the door is c's. */
void caller_visit(struct console *c, int fd, const struct visitor *v);
const struct visitor *caller_visitor(const struct caller *c); /* NULL: at the control socket */
void caller_free(struct caller **c);
/* Stop taking requests; those under way are answered. */
void callers_finish(struct console *c);
struct console *caller_console(const struct caller *c);
uint64_t caller_connection(const struct caller *c);

/* One answer per request, in one of these ways. */
void caller_reply(struct caller *c, unsigned status, struct sp_bytes json);
struct page_reply {
	unsigned status;
	const char *type;
	struct sp_bytes body;
	const char *location;    /* or NULL */
	const char *cookie[2];   /* Set-Cookie, or NULL */
	const char *cache;       /* Cache-Control; NULL: not to be kept */
	const char *etag;        /* or NULL */
	bool scripts;            /* a page that runs those of ours */
	bool packed, varies;     /* the body is gzip; it could be, or could not */
};
void caller_page(struct caller *c, const struct page_reply *p);
void caller_retry_after(struct caller *c, unsigned seconds); /* 429 */
void caller_refuse(struct caller *c, unsigned status, const char *fmt, ...) SP_PRINTF(3, 4);
void caller_send_file(struct caller *c, int fd, const char *name); /* takes fd over; the part that Range asks for */
/* …or bit by bit. */
void caller_stream_begin(struct caller *c, const char *type);
void caller_piece(struct caller *c, struct sp_bytes piece);
void caller_alive(struct caller *c); /* a stream that has nothing to say yet has no slow reader */
void caller_cut(struct caller *c);   /* no whole answer: the connection ends in the middle, as everybody can see */
/* …one JSON object a line. */
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

/* ---- what a browser could be made to send (guard.c) ---- */

struct request;
enum carrier { CARRIER_NONE, CARRIER_BEARER, CARRIER_COOKIE };
struct proof {
	enum carrier carrier;
	struct sp_bytes token; /* borrowed from the request; empty without one */
};
/* Whom the request says it is from.  false: refused, the caller has its answer. */
bool guard_proof(struct caller *c, const struct request *r, struct proof *p_r);
/* It names us. */
bool guard_host(struct caller *c, const struct request *r);
/* Host and Origin, and for a cookie's writes the CSRF token.  false: refused, the caller has its answer. */
bool guard_request(struct caller *c, const struct request *r, const struct proof *p, struct sp_bytes csrf);
/* What a page of that sign-in writes into its forms. */
#define CSRF_TEXT 44
void guard_csrf(struct sp_bytes secret, char out[CSRF_TEXT]);

/* ---- requests (api.c) ---- */

struct request { /* borrowed until api_begin() returns */
	struct sp_bytes method, path, query, type, authorization, body;
	struct sp_bytes host, origin, site, csrf; /* site: Sec-Fetch-Site */
	struct sp_bytes slack_time, slack_signature; /* X-Slack-Request-Timestamp, X-Slack-Signature */
	struct sp_bytes cookie, flow;             /* __Host-sallyport, __Host-sallyport-flow: their values */
	struct sp_bytes unless;                   /* If-None-Match */
	bool gzip;                                /* may be answered so */
	struct sp_bytes last_event;               /* Last-Event-ID */
};
void api_begin(struct caller *c, const struct request *r);
/* A query's words, or a form's, as that call's arguments.  false: the caller has its answer already. */
bool api_words(struct caller *c, enum call call, struct sp_bytes words, json_t *args);
/* Before a call is asked: false when the address has tried too often, and has its answer.  Adds where it is from to args. */
bool api_may_ask(struct caller *c, enum call call, const struct proof *p, json_t *args);
/* After it: what was refused counts as an attempt. */
void api_was_told(struct caller *c, unsigned status);
#define COOKIE_GONE "__Host-sallyport=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"

/* ---- pages (page.c) ---- */

/* True when the path is a page's, or /healthz …: the request is taken. */
bool page_begin(struct caller *c, const struct request *r);

/* ---- what goes on without an end (watch.c) ---- */

/*
 * Looks every half a second for more to tell, and asks every two whether its caller may still be told: over() says why
 * not, or that we end, and is the last thing that happens.
 */
struct watch;
struct watch_use {
	void (*look)(void *owner);
	void (*over)(void *owner, const char *why);
	void *owner;
};
struct watch *watch_new(struct caller *c, struct sp_bytes token, const struct watch_use *use); /* NULL: no memory */
void watch_free(struct watch **w);

/* ---- work on recordings ---- */

void search_begin(struct caller *c, struct sp_bytes token, json_t *args); /* takes over a reference */
/* The keeper's answer to CALL_VERIFY, fd and entries, checked slice by slice.  NULL: refused, the caller knows. */
struct verify_call;
struct verify_call *verify_call_new(struct caller *c, struct answer *a);
void verify_call_step(struct verify_call *v); /* replies once it is done */
void verify_call_free(struct verify_call **v);
/* The keeper's answer to CALL_EXPLAIN: fd and op. */
void explain_answer(struct caller *c, struct answer *a);
/* The line's bytes may be of an entry that fits; and whether the entry does. */
bool audit_might_fit(const json_t *args, struct sp_bytes line);
bool audit_fits(const json_t *args, const json_t *entry);
void audit_begin(struct caller *c, struct sp_bytes token, json_t *args); /* takes over a reference */
void replay_begin(struct caller *c, struct sp_bytes token, json_t *args); /* takes over a reference */

/* ---- what changes (events.c) ---- */

void events_begin(struct caller *c, struct sp_bytes token, json_t *args); /* takes over a reference */

#endif
