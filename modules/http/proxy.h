/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests between a client and a target, one at a time, each an operation: what http.so and docker.so share.
 *
 *   HELLO ─▶ KEEPER ─▶ DIALING ─▶ LOGIN ─▶ READY ◀────────────────────────────────┐
 *    the first request's token              │ head                                 │
 *                                           ├─▶ SPOOL ─▶ FETCH ─▶ ASKED ─ allow ─▶ EXCHANGE ─▶ STREAM
 *                                           │   body     facts      │                (101, hijacked)
 *                                           │                       └─ deny ─▶ DRAIN ─▶ READY
 *                                           └─ malformed ─▶ OVER
 *
 * WAIT: a hook has asked the keeper, before the request is judged or before its answer is shown; it is called once more then.
 *
 * Nothing goes on as it came: heads are written anew from what was parsed, bodies are framed anew.  A
 * request waits in the input until the one before it is answered (pipelining in order, back-pressure).
 * One connection is one principal's: the first request's proof has to come with each further one.
 */
#ifndef SALLYPORT_HTTP_PROXY_H
#define SALLYPORT_HTTP_PROXY_H

#include <sallyport/module.h>

#include "http.h"

#define PROXY_FETCH_MAX (4u << 20) /* an answer to a question of the gateway's own */

struct proxy_conf { /* a module's own conf begins with it */
	struct sp_strings headers;   /* of clients that pass */
	struct sp_strings judged;    /* of these: in the operation's text */
	const char *credential;      /* none, bearer, basic, or a header's name */
	const char *host;            /* "": the target's name */
	const char *user_header;
	bool by_host;
	uint64_t body, head, hold, stall, whole;
};

enum proxy_state {
	PROXY_HELLO, PROXY_KEEPER, PROXY_DIALING, PROXY_LOGIN, PROXY_READY, PROXY_SPOOL, PROXY_FETCH, PROXY_ASKED, PROXY_EXCHANGE,
	PROXY_STREAM, PROXY_WAIT, PROXY_DRAIN, PROXY_OVER, PROXY_STATES
};

enum proxy_down { DOWN_HEAD, DOWN_BODY, DOWN_SPOOL, DOWN_DONE };

struct proxy_request {
	char method[24];
	struct sp_writer target;  /* "/path?query", as it goes on */
	struct sp_writer fields;  /* header lines for the target */
	struct sp_writer lines;   /* "name: value\n" for the operation's text */
	struct sp_writer body;    /* what was spooled */
	struct sp_writer fetched; /* DOWN_SPOOL and FETCH: of the answer */
	struct sp_writer held;    /* DOWN_SPOOL: the answer's head, until its body can go on */
	bool head_only, keep_alive, chunks_ok, expects, continued;
	struct http_body up;      /* the client's body */
	bool up_done;
	enum proxy_down down;
	struct http_body down_body;
	bool chunked;             /* … goes on in chunks */
	bool close;               /* the connection ends with this answer */
	unsigned status;
	uint64_t bytes;

	const char *kind;         /* route() says: which operation it is */
	unsigned refused;         /* … or that it is none: a status; message says why */
	bool spool;               /* … its body has to be seen whole */
	bool unseen;              /* … its body goes on unseen: the operation's text says so */
	bool hijack;              /* … the connection becomes a stream */
	const char *upgrade;      /* … by Upgrade to this protocol and 101; NULL: by an answer without an end */
	bool rewrite;             /* … rewrite() sees the answer whole */
	bool pieces;              /* … pieces() sees the answer's body as it comes, before the filter */
	bool unbounded;           /* … its answer may take for ever */
	char said[48];            /* the hooks' word for how it ended, for the recording: "exit 3"; "": none */
	const struct sp_strings *shown; /* begin() says: of the answer's fields only these go on, and those that are about the message alone; NULL: all */
	uint64_t silence;         /* prepare() says: of a stream, or an answer that may take for ever: the longest, ms; 0: none is too long */
	bool progress;            /* route() says: its answer is JSON, line by line, in which the client may be told that it waits (announce()) */
	bool early;               /* … and was: the answer's head is out */
	bool framed;              /* begin() says: show() looks through the answer, not the filter here */
	void *own;                /* the hooks', freed by their forget() */
	const char *group;        /* prepare() says: with which operations of other sessions it belongs (sp_group()); NULL: with none */
	enum proxy_state waits;   /* WAIT: and then? */

	struct sp_op *op;
	bool asking, decided;
	enum sp_what what;
	char message[1600];
	struct sp_filter *filter;
	uint64_t hold_until;      /* ms; 0: the filter holds nothing */
};

#define PROXY_LATER 1 /* of a hook: it waits for the keeper */

struct proxy;

/* What a protocol on top of HTTP brings.  All are called with a request under way. */
struct proxy_hooks {
	/* The head is there: which kind of operation?  Or r.refused, and the words for it in r.message. */
	int (*route)(struct sp_session *s, struct sp_bytes head);
	/* The body is there, if it was to be spooled: proxy_fetch() to learn more, or proxy_judge(); PROXY_LATER: proxy_again() will follow. */
	int (*prepare)(struct sp_session *s);
	int (*fetched)(struct sp_session *s, unsigned status, struct sp_bytes body);
	/* r.rewrite: the answer's body, whole; what goes to the client is appended to out.  An error: r.message says why, the client gets 502.
	   PROXY_LATER: as above, and what was appended is forgotten. */
	int (*rewrite)(struct sp_session *s, unsigned status, struct sp_bytes body, struct sp_writer *out);
	/* r.pieces: what of the next piece can be shown by now is appended to out.  An error: nothing more is, and the connection ends. */
	int (*pieces)(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out);
	/* The answer's head is there, r.status; NULL: nothing to do.  An error: it is hidden whole. */
	int (*begin)(struct sp_session *s);
	/* r.framed: what can be shown of a piece to out, and what of that is recorded to plain. */
	int (*show)(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out, struct sp_writer *plain);
	bool (*holds)(struct sp_session *s);
	/* r.hijack, and the target has left HTTP: bytes of one side; consume them. */
	int (*stream)(struct sp_session *s, enum sp_side from);
	int (*stream_eof)(struct sp_session *s, enum sp_side from);
	/* The timer of stream(): what a filter held. */
	int (*stream_due)(struct sp_session *s);
	void (*forget)(struct sp_session *s);
	/* A stream is open: a line of the gateway's own in it. */
	int (*stream_say)(struct sp_session *s, const char *text);
	/* r.progress: a line about something that waits, or (failed) that ends it. */
	void (*announce)(struct sp_writer *out, bool failed, const char *text);
	/* The body of a refusal. */
	void (*refusal)(struct sp_writer *out, unsigned status, const char *message);
};

struct proxy { /* the session's state begins with it */
	enum proxy_state state;
	const struct proxy_hooks *hooks;
	bool proven;
	bool certified;          /* the client has shown a certificate: its proof where a request has none of its own */
	bool by_browser;         /* its proof is one that a browser shows by itself: a certificate, or Basic */
	uint8_t proof[32];
	struct http_head head;   /* of the request */
	size_t head_len;         /* 0: not whole yet */
	bool head_begun;
	struct http_head answer; /* of the target */
	struct sp_writer credential; /* a header line for the target; wiped */
	struct proxy_request r;
	uint64_t since;          /* ms: when something last moved */
};

int proxy_check(const struct proxy_conf *c, const char **err_r);
#define PROXY_DIRECTIVES(HEADERS) \
	{ "headers", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, headers), HEADERS, \
	    "Header fields of clients that go on to the target, in any case; all others are dropped, and what says who somebody is always." }, \
	{ "judged", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, judged), "", \
	    "Which of these belong to the operation: policies read them, approvals are bound to them." }, \
	{ "credential", SP_TYPE_STRING, SP_IN_TARGET, offsetof(struct proxy_conf, credential), "none", \
	    "How the login's secret goes to the target, with `login … cleartext on`: none, bearer, basic, or the name of a header field." }, \
	{ "host", SP_TYPE_STRING, SP_IN_TARGET, offsetof(struct proxy_conf, host), "", "The Host that the target is asked for; without it the target's name." }, \
	{ "user_header", SP_TYPE_STRING, SP_IN_TARGET, offsetof(struct proxy_conf, user_header), "", \
	    "A header field in which the target is told who asks: the gateway writes it, never the client." }, \
	{ "by_host", SP_TYPE_BOOL, SP_IN_LISTENER, offsetof(struct proxy_conf, by_host), "off", \
	    "The target is the first label of the client's Host: orders.gate.example.com asks for orders." }, \
	{ "body", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, body), "1m", "Longest body that is read whole before it is judged." }, \
	{ "whole", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, whole), "256k", \
	    "Longest answer that is read whole, where parts of it have to be hidden; a longer one is refused." }, \
	{ "head", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_LISTENER | SP_IN_TARGET, offsetof(struct proxy_conf, head), "32k", "Longest head of a message, either way." }, \
	{ "hold", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, hold), "50ms", \
	    "How long output that may begin a detector's finding is held back while nothing more comes." }, \
	{ "stall", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct proxy_conf, stall), "5m", \
	    "Longest silence of the side whose turn it is while a request is under way; 0s: none is too long." }

/* ---- proxy.c: the module's callbacks, by their names ---- */

int proxy_accept(struct sp_session *s, const struct proxy_hooks *hooks);
int proxy_admitted(struct sp_session *s, const struct sp_admission *a);
int proxy_open(struct sp_session *s);
int proxy_proved(struct sp_session *s, const struct sp_answer *a);
int proxy_secure(struct sp_session *s, enum sp_side side, const struct sp_tls *t);
int proxy_data(struct sp_session *s, enum sp_side from);
int proxy_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h);
int proxy_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v);
int proxy_eof(struct sp_session *s, enum sp_side side);
int proxy_end(struct sp_session *s, enum sp_why why, const char *text);
void proxy_close(struct sp_session *s);

void proxy_enter(struct sp_session *s, enum proxy_state to);
uint64_t proxy_now(void); /* ms, of a clock that only goes on */
/* Something moved: the silence begins anew. */
void proxy_moved(struct sp_session *s);
/* Ask the core to judge what route() and prepare() said. */
int proxy_judge(struct sp_session *s) SP_MUST;
/* A GET of the gateway's own; fetched() has the answer. */
int proxy_fetch(struct sp_session *s, struct sp_bytes target) SP_MUST;
/*
 * An answer of the gateway's own in place of the target's.  `fatal`: the connection ends with it;
 * else it lives on, once the request's body is through.
 */
int proxy_refuse(struct sp_session *s, unsigned status, bool fatal, const char *message) SP_MUST;
/* In state WAIT: the hook that said PROXY_LATER is called again.  In another: nothing happens. */
int proxy_again(struct sp_session *s) SP_MUST;
int proxy_wait(struct sp_session *s) SP_MUST;
/* The request is over, whoever answered it. */
int proxy_finish(struct sp_session *s) SP_MUST;

/* ---- identity.c: who asks, and what of a head goes on ---- */

/*
 * SP_EDENIED: there is none, or it is malformed.  `certified` and no word of a proof: the client's certificate is it, and the
 * secret is not filled in.  What *proof_r points at is in the head or in `space`.
 */
int proxy_find_proof(struct proxy *p, struct sp_bytes head, struct sp_proof *proof_r, struct sp_writer *space) SP_MUST;
void proxy_hash_proof(const struct sp_proof *proof, uint8_t hash[32]);
/* Does a field of this name say who somebody is, or where a request came from? */
bool proxy_is_consoles(struct sp_bytes pair); /* of a Cookie or Set-Cookie field */
bool proxy_is_identity(struct sp_bytes name);
/* The client's fields that go on, and those that belong to the operation. */
int proxy_put_fields(struct sp_session *s, struct sp_bytes head) SP_MUST;
/* The header line with the target's secret. */
int proxy_make_credential(struct sp_session *s, struct sp_bytes secret) SP_MUST;

/* ---- answer.c: from the target to the client ---- */

int proxy_answer(struct sp_session *s) SP_MUST;
int proxy_answer_eof(struct sp_session *s) SP_MUST;
/* r.early: a line, in its chunk. */
int proxy_announce(struct sp_session *s, bool failed, const char *text) SP_MUST;
/* Its body is whole: shown, recorded, done. */
int proxy_answer_finish(struct sp_session *s) SP_MUST;
/* What the filter held too long. */
int proxy_answer_due(struct sp_session *s) SP_MUST;

/* ---- text.c: an operation's text ---- */

/*
 *   POST /orders?dry=1
 *   content-type: application/json
 *
 *   {"item": 4711}
 */
struct proxy_text {
	struct sp_bytes method, path, query, lines, body;
	bool has_body;
};
/* false: it is no such text. */
bool proxy_read_text(struct sp_bytes text, struct proxy_text *t_r);
/* The next "name: value" of the lines. */
bool proxy_next_line(struct sp_reader *r, struct sp_bytes *name_r, struct sp_bytes *value_r);

/* A writer that takes memory as it needs it, at most 64 MB; given back by proxy_free(). */
struct sp_writer proxy_buffer(void);
void proxy_free(struct sp_writer *w);
/* JSON text in quotes. */
void proxy_put_json(struct sp_writer *w, const char *text);

#endif
