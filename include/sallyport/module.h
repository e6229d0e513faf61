/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module ABI: everything a protocol needs to stand in the gateway, and nothing else.
 *
 *   client ──bytes──▶ data() ─▶ sp_op_new() ─▶ sp_ask() ─▶ verdict() ─allow─▶ sp_pass()/sp_put() ──▶ target
 *   target ──bytes──▶ data() ─▶ sp_column…() masks ─▶ sp_record() ─▶ sp_pass()/sp_put() ─▶ sp_done() ──▶ client
 *
 * A module is one shared object that exports one `const struct sp_module sallyport_module`
 * (see SP_MODULE).  It includes this header, <sallyport/wire.h> and its own files.  It opens no
 * file and no socket, starts no thread and never blocks: the core calls it from one thread, and
 * it asks the core.  modules/README.md builds one in eight steps.
 *
 * Ownership: every sp_bytes handed to a callback is borrowed until the callback returns; every
 * sp_bytes handed to the core is copied by the core before the call returns.
 * Units: sizes in bytes, times in milliseconds unless a name says otherwise.
 * Errors: 0 (SP_OK) or a negative enum sp_rc; a callback that returns one ends its session.
 */
#ifndef SALLYPORT_MODULE_H
#define SALLYPORT_MODULE_H

#include <sallyport/wire.h>

#define SP_ABI_MAJOR 1
#define SP_ABI_MINOR 0

#if defined(__GNUC__)
#define SP_MUST __attribute__((warn_unused_result))
#define SP_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SP_EXPORT __attribute__((visibility("default")))
#else
#define SP_MUST
#define SP_PRINTF(f, a)
#define SP_EXPORT
#endif

enum sp_rc {
	SP_OK = 0,
	SP_EPROTO = -1,   /* malformed, out of phase or unknown */
	SP_ETOOBIG = -2,  /* over a limit */
	SP_ENOMEM = -3,
	SP_EDENIED = -4,  /* refused by identity, policy or limit */
	SP_EIO = -5,      /* peer gone, disk, socket */
	SP_ECONF = -6,    /* configuration or policy text */
	SP_ETIME = -7,    /* a deadline passed */
	SP_EINTERNAL = -8 /* an invariant of ours */
};

struct sp_session; /* one client connection with one principal to one target */
struct sp_op;      /* one thing asked for */
struct sp_mask;    /* how one column is hidden */
struct sp_shared;  /* what the keeper says of a fact */

enum sp_side { SP_CLIENT, SP_TARGET };
#define SP_OTHER(side) ((side) == SP_CLIENT ? SP_TARGET : SP_CLIENT)

/* ---- what a module declares ---- */

enum sp_type {
	SP_TYPE_STRING = 1, /* const char *; attribute: one text */
	SP_TYPE_BOOL,       /* bool; written on|off; attribute: true, false */
	SP_TYPE_INT,        /* uint64_t */
	SP_TYPE_SIZE,       /* uint64_t bytes; written 16m */
	SP_TYPE_DURATION,   /* uint64_t milliseconds; written 30s */
	SP_TYPE_STRINGS,    /* struct sp_strings; attribute: a set of texts */
	SP_TYPE_COLUMNS     /* attribute only: a set of schema.table.column, what tags match */
};

struct sp_strings {
	const char *const *v;
	size_t n;
};

enum sp_where { SP_IN_MODULE = 1, SP_IN_LISTENER = 2, SP_IN_TARGET = 4 };

/* One directive of the module's own: `NAME VALUE;`, stored at offset in the conf block. */
struct sp_directive {
	const char *name;
	enum sp_type type;
	unsigned where; /* enum sp_where, or-ed */
	size_t offset;
	const char *dflt; /* as it would be written; NULL: must be given */
	const char *help; /* one sentence, for the manual */
};

enum sp_whose { SP_OF_OPERATION = 1, SP_OF_PRINCIPAL, SP_OF_TARGET };

/* One attribute that policies may read.  Operations name it by its index in this table. */
struct sp_attr {
	const char *name;
	enum sp_type type;
	enum sp_whose whose;
	const char *on;   /* kinds of operation that have it, by space: "sql.statement sql.prepare" */
	const char *help;
};

enum sp_caps {
	SP_CAP_STARTTLS = 1,  /* TLS begins in mid-stream, by sp_starttls() */
	SP_CAP_MASK = 2,      /* hides columns */
	SP_CAP_CREDENTIAL = 4, /* logs in to targets with sp_prove() */
	SP_CAP_OWNS_TRANSPORT = 8 /* encrypts by itself on both sides: its listeners have a `host_key` instead of `tls` */
};

/* ---- what the core tells a module ---- */

enum sp_what { SP_DENY, SP_ALLOW, SP_KILL }; /* zero denies */
enum sp_because { SP_BY_RULE, SP_BY_LIMIT, SP_BY_UNCLEAR, SP_BY_ERROR, SP_BY_PERSON, SP_BY_SIZE };

struct sp_verdict {
	enum sp_what what;
	enum sp_because because;
	const char *rule;    /* name of the rule that decided, or "" */
	const char *message; /* for the user: `blocked by rule "x": …`, whole */
	const char *hint;    /* what to do, ending in `sallyport explain ID`; or "" */
	const char *unclear; /* for SP_BY_UNCLEAR: the reason, as classify() gave it to sp_op_unclear(); else NULL */
	uint32_t retry_after; /* seconds, for SP_BY_LIMIT */
	uint64_t max_rows;   /* 0: no row limit; else end the answer in an error beyond it */
};

/* A verdict that has to wait for a person. */
struct sp_hold {
	const char *id;    /* the approval */
	const char *hash;  /* short form of what is approved */
	const char *rule, *text;
	const char *by;    /* group of the approvers */
	uint64_t within;   /* milliseconds left to decide */
};

enum sp_admit { SP_REFUSE, SP_ADMIT, SP_CHALLENGE, SP_RETRY };

struct sp_admission {
	enum sp_admit what;
	const char *text;      /* SP_REFUSE, SP_RETRY: why, for the user */
	struct sp_bytes bytes; /* SP_CHALLENGE: next message of the mechanism; SP_ADMIT: its last, if it has one */
	const char *principal; /* SP_ADMIT: display name */
	const char *login;     /* SP_ADMIT: login name of the principal */
};

struct sp_answer { /* of sp_prove() */
	bool ok;
	struct sp_bytes bytes; /* the proof, ready for the wire */
	const char *text;      /* !ok: why */
};

struct sp_tls { /* a finished handshake */
	const char *alpn; /* "" when none */
	const char *sni;
	bool certified; /* the client has shown a certificate: sp_client_certificate() */
};

enum sp_why {
	SP_END_EOF,      /* the other side left */
	SP_END_SHUTDOWN, /* the gateway stops */
	SP_END_REVOKED,  /* principal, grant or target gone; killed by a person */
	SP_END_EXPIRED,
	SP_END_IDLE,
	SP_END_RULE,     /* a rule said kill */
	SP_END_RECORDER, /* P8: the session can no longer be recorded */
	SP_END_ERROR
};

struct sp_span { size_t offset, len; }; /* of a text */

/* Where classify() stands.  A policy test has no view and no session. */
struct sp_scope {
	const void *conf;
	const void *view; /* the module's picture of the target's names, or NULL */
};

struct sp_module {
	uint16_t abi_major, abi_minor; /* major ==, minor <=; these three never move */
	uint32_t size;
	const char *name;
	unsigned caps; /* enum sp_caps */
	const struct sp_directive *directives; /* ends with a NULL name */
	const struct sp_attr *attrs;           /* ends with a NULL name */
	const char *const *kinds;              /* kinds of operation, ends with NULL */
	size_t conf_size, session_size;        /* zeroed blocks that the core owns */

	/* A whole conf block is there: refuse it with a sentence in *err_r. */
	int (*check)(void *conf, const char **err_r);
	/* text → nodes and attributes of op.  Pure: the same for sessions, tests, explain, backtest. */
	int (*classify)(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text);

	/*
	 * The text without literals that need not matter: to `key` what is left of it, with a mark for each,
	 * and where each stood.  Two texts with equal keys differ in these literals only.  How many there
	 * are, or negative: this text is like no other.  NULL: no text is.
	 */
	long (*skeleton)(struct sp_bytes text, struct sp_writer *key, struct sp_span *span, size_t max);

	/* A client is there, no principal yet. */
	int (*accept)(struct sp_session *s);
	/* The keeper's answer to sp_authenticate(). */
	int (*admitted)(struct sp_session *s, const struct sp_admission *a);
	/* The target is connected: log in with sp_prove(), then sp_ready(). */
	int (*open)(struct sp_session *s);
	/* Log-in's answer from the keeper. */
	int (*proved)(struct sp_session *s, const struct sp_answer *a);
	/*
	 * Unconsumed bytes are there.  Called again when more come, and for what is left after any
	 * other callback of this session: a module that waits for something returns SP_OK.
	 */
	int (*data)(struct sp_session *s, enum sp_side from);
	/* The verdict waits for a person: tell the client. */
	int (*held)(struct sp_session *s, struct sp_op *op, const struct sp_hold *h);
	/* Exactly once per sp_ask() unless close() comes first; maybe before sp_ask() returns. */
	int (*verdict)(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v);
	int (*secure)(struct sp_session *s, enum sp_side side, const struct sp_tls *t);
	/* Output to `side` went from full to drained. */
	int (*drained)(struct sp_session *s, enum sp_side side);
	/* The peer's half of the stream ended.  NULL: the session ends. */
	int (*eof)(struct sp_session *s, enum sp_side side);
	/* Someone proved to hold this session's cancel key. */
	int (*cancel)(struct sp_session *s);
	/* Tell the user, if the protocol can: expiry is near, shutdown. */
	int (*notice)(struct sp_session *s, const char *text);
	/* The protocol's own farewell to the client; close() follows once it is out. */
	int (*end)(struct sp_session *s, enum sp_why why, const char *text);
	void (*close)(struct sp_session *s);
	/*
	 * Markdown about tables of the module's own, written from those tables, for `sallyport doc`; a
	 * section begins with "\n## ".  NULL: there is nothing but directives, attributes and kinds.
	 */
	void (*manual)(struct sp_writer *out);
	/*
	 * May a rule pin this setting to this value (sp_pin())?  Asked when policies are loaded; a refusal
	 * says in *err_r what can be pinned, in a static text.  NULL: nothing can.
	 */
	int (*pinnable)(const char *name, const char *value, const char **err_r);
	/*
	 * In place of open(): the target side is the unused connection of a session with the purpose
	 * "warm", whose sp_pool_key() and pins were the same.  What that one left unconsumed is there to be
	 * read.  NULL: no connection is ever kept ready.
	 */
	int (*adopt)(struct sp_session *s);
	/*
	 * It waits for a person, as that request, who may want to know how much it is about: find it out by
	 * a side session with the purpose "estimate", and say so by sp_estimated(), now or later, or why it
	 * can't be told.  Nothing waits for it.  Called only where the target has a login for it.
	 */
	void (*estimate)(struct sp_session *s, struct sp_op *op, const char *request);
	/* The answer to sp_share_put() or sp_share_get(); maybe before that returns. */
	int (*shared)(struct sp_session *s, const struct sp_shared *f);
};

#if defined(__GNUC__)
#pragma GCC visibility push(default) /* the core's side of the ABI, found by modules at load */
#endif

/* ---- bytes ---- */

/*
 * What came from `from` and is not consumed.  Borrowed until the next call that consumes from that
 * side, or the callback's return.  Never fails; empty when nothing is there.
 */
struct sp_bytes sp_peek(struct sp_session *s, enum sp_side from);
/*
 * Consume n bytes from the front: to the other side as they are (no copy; in the order of sp_put()
 * and sp_pass()), or nowhere.  SP_EINTERNAL: so many are not there.
 */
int sp_pass(struct sp_session *s, enum sp_side from, size_t n) SP_MUST;
int sp_drop(struct sp_session *s, enum sp_side from, size_t n) SP_MUST;
/*
 * Do not call data() for this side before n bytes are there, counted from the first that is not
 * consumed; forgotten by the next call that consumes.  Nothing is allocated for n before they come.
 * SP_ETOOBIG when n is over `max`: check a length that somebody sent by this.
 */
int sp_want(struct sp_session *s, enum sp_side from, size_t n, size_t max) SP_MUST;
/*
 * Append to what goes to `to`: copied by sp_put(), or written in place by the core's writer, which is
 * valid until the next call for another side or session, or the callback's return.  SP_ENOMEM, and
 * `bad` in the writer: more than fits; then nothing of it is sent, and the session ends.
 */
int sp_put(struct sp_session *s, enum sp_side to, struct sp_bytes b) SP_MUST;
struct sp_writer *sp_out(struct sp_session *s, enum sp_side to);
/* True while more than 256 kB wait for the peer: stop producing, drained() will come.  A hint: nothing breaks. */
bool sp_full(struct sp_session *s, enum sp_side to);
/*
 * Send what is there, then half-close.  A session whose client's side is shut (a side session:
 * whose target's side is) ends as SP_END_EOF once that is out; end() is not called.  Never fails.
 */
int sp_shut(struct sp_session *s, enum sp_side side) SP_MUST;

enum sp_tls_mode { SP_TLS_OFF, SP_TLS_OPTIONAL, SP_TLS_REQUIRED };
/*
 * What the configuration wants of a side.  REQUIRED: nothing secret before TLS is active.  The
 * target's side is known from open() on.
 */
enum sp_tls_mode sp_tls_mode(const struct sp_session *s, enum sp_side side);
bool sp_tls_active(const struct sp_session *s, enum sp_side side);
/*
 * Begin TLS on a side once its pending output is out.  Input must be fully consumed (bytes that
 * came before the handshake are an attack), unless `direct`: they are the handshake's start, and the
 * client must offer `alpn`, a text that outlives the session.  secure() follows, or the end.
 * SP_EPROTO: bytes are there, or TLS was begun before.
 */
int sp_starttls(struct sp_session *s, enum sp_side side, bool direct, const char *alpn) SP_MUST;
/*
 * For SP_CAP_OWNS_TRANSPORT.  The listener's private key as its file has it, borrowed until the session
 * ends; and: the client's encryption stands, from now on the deadline of the log-in counts.
 */
struct sp_bytes sp_host_key(const struct sp_session *s);
void sp_handshaken(struct sp_session *s);
/*
 * Two descriptors that are connected to one another and don't block, for a library that takes bytes
 * from nothing else: the module moves them.  They are the module's to close.  SP_EIO: none is left.
 */
int sp_descriptors(struct sp_session *s, int fd_r[2]) SP_MUST;
/* RFC 5929 tls-server-end-point of the target's certificate, borrowed until the session ends; empty without TLS. */
struct sp_bytes sp_channel_binding(struct sp_session *s);

/* ---- who ---- */

/*
 * SCRAM: a ticket's password, in two messages of SCRAM-SHA-256 without channel binding, each by an
 * sp_authenticate() of its own.  admitted() answers the first with SP_CHALLENGE (server-first-message),
 * and brings with SP_ADMIT the server-final-message for the client.
 * TICKET: the same password as it is, where the protocol knows no other way and its transport hides it.
 * SSH: an OpenSSH user certificate as on the wire.  The module has checked that the client signed this
 * connection with its key; whether the certificate is ours and in force, the keeper says.
 * DEVICE: nothing; a person confirms it in a browser.  The first answer is SP_CHALLENGE with the URL to open, the code in
 * it; the second one comes when somebody did, or nobody in time (`timeout sign_in=` of the listener).
 */
enum sp_proof_kind { SP_PROOF_BEARER = 1, SP_PROOF_SCRAM, SP_PROOF_TICKET, SP_PROOF_SSH, SP_PROOF_DEVICE, SP_PROOF_CERTIFICATE };

struct sp_proof {
	enum sp_proof_kind kind;
	struct sp_bytes secret; /* the token, the client's message, or what sp_client_certificate() gave; the core wipes its own copies */
	const char *user;       /* the login name the client gave; with SCRAM and TICKET the ticket's */
	const char *target;     /* name of the target it asks for; "": the listener's `target`, or with TICKET the ticket's own */
	const char *part;       /* further part of the target (a database), or "" for its default */
};
/*
 * Ask the keeper; admitted() answers, from the loop and never before this returns.  The proof is
 * copied; input consumed until then is wiped.  SP_EPROTO: somebody is asked for already.
 */
int sp_authenticate(struct sp_session *s, const struct sp_proof *proof) SP_MUST;

/*
 * What the client showed in its TLS handshake, where the listener says `certificates=on`: appended, to be a proof
 * (SP_PROOF_CERTIFICATE).  That the client has its key is certain, who vouches for it the keeper finds out.  Nothing where it
 * showed none.  SP_ETOOBIG: more than 16 kB.
 */
int sp_client_certificate(const struct sp_session *s, struct sp_writer *out) SP_MUST;

struct sp_challenge {
	const char *mechanism;  /* "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "md5", "password", "ssh-certificate", "ssh-key" */
	/*
	 * SCRAM: 0 → client-first-message, 1 → client-final-message, 2 → ok with no bytes: the target's
	 * signature is right.  ssh-key: 0 → the public key, 1 → the signature.  Others: 0 only.
	 */
	unsigned step;
	/*
	 * What the target sent at this step.  SCRAM: 0 its list of mechanisms (NUL-terminated names), 1
	 * server-first-message, 2 server-final-message.  md5: the salt.  password: empty.  ssh-certificate:
	 * nothing of the target's, but the session's own public key (ssh-ed25519, as on the wire).  ssh-key: at 1 what
	 * publickey authentication signs (RFC 4252, 7).
	 */
	struct sp_bytes transcript;
	/*
	 * tls-server-end-point, or empty.  Given with plain SCRAM-SHA-256 too: then the target offered no
	 * PLUS over TLS, and gs2 says "y", so that a stripped offer is noticed.
	 */
	struct sp_bytes binding;
};
/*
 * Let the keeper answer the target's challenge, which is copied; proved() brings the answer, from the
 * loop.  SP_EPROTO: outside the log-in, that is before open() or after sp_ready().
 */
int sp_prove(struct sp_session *s, const struct sp_challenge *c) SP_MUST;
/*
 * How the target's `login` proves itself, where the protocol leaves a choice: "ssh-certificate", "ssh-key" or
 * "password"; "" when it has no secret.  For sp_prove(), from open() on.
 */
const char *sp_login_mechanism(const struct sp_session *s);
/*
 * Name under which the gateway logs in to the target, and what it may tell there of the user.
 * Borrowed until the session ends; "" while it is not known yet.
 */
const char *sp_login(const struct sp_session *s);
const char *sp_principal(const struct sp_session *s);
const char *sp_session_id(const struct sp_session *s);
const char *sp_target_name(const struct sp_session *s);
const char *sp_target_part(const struct sp_session *s);
/*
 * The name of the target's server that this session is connected to, or its address where the operator gave that, without the
 * port; "": a socket of this machine's, or none yet.  Borrowed until the session ends.
 */
const char *sp_server(const struct sp_session *s);
/*
 * Settings that rules pin for this session, from open() on: the module gives them to the target with
 * the log-in, and the core refuses what sp_op_changes() says of them.  False: there is no i-th; texts
 * are borrowed until the session ends.
 */
struct sp_setting {
	const char *name, *value;
};
bool sp_pin(const struct sp_session *s, size_t i, struct sp_setting *pin_r);
/* Connected and logged in: operations may come.  SP_EINTERNAL: not between open() and this, or twice. */
int sp_ready(struct sp_session *s) SP_MUST;
/*
 * No route from here: tell the log why, in the one line that a session's end is worth: the first
 * reason counts.  Returns rc, to be returned by the callback.  What was put
 * for the client before still goes out (unless a record failed: P8); end() is not called.
 */
int sp_fail(struct sp_session *s, int rc, const char *fmt, ...) SP_PRINTF(3, 4);

/* ---- dial ---- */

/*
 * A key of ours by which another connection may cancel; 4 to 64 bytes, copied, unique to the session;
 * forgotten with it.
 */
int sp_cancel_key(struct sp_session *s, uint32_t pid, struct sp_bytes secret) SP_MUST;
/*
 * Someone presents a key: find its session on any worker and call its cancel().  Says nothing about
 * whether there was one: the peer must not learn it.
 */
int sp_cancel(struct sp_session *s, uint32_t pid, struct sp_bytes secret) SP_MUST;
/*
 * A connection of the gateway's own to the same target and part, with no client: open(), data()
 * and close() run on it as on any other; close() also when it could not be connected, but never
 * before this call has returned (NULL: it was not made, and the cookie is still the caller's).  It
 * outlives `s`.  Not an operation, never a user's text but in what estimate() asks.  `purpose` is copied; `cookie` is the
 * module's to give back in close().
 */
struct sp_session *sp_side_session(struct sp_session *s, const char *purpose, void *cookie);
/* For who decides on that request, printable ASCII of at most 300 bytes; s: any of this worker's. */
void sp_estimated(struct sp_session *s, const char *request, const char *text);
const char *sp_purpose(const struct sp_session *s); /* "" for a client's session */
void *sp_cookie(const struct sp_session *s);
/*
 * A side session of a trial (`sallyportd -t --connect`), "catalogue" or "login": once it is ready, the module looks at what its
 * login may do, says so (refuse: the trial fails), and ends it with what sp_inspected() returns.
 */
bool sp_inspects(const struct sp_session *s);
void sp_found(struct sp_session *s, bool refuse, const char *fmt, ...) SP_PRINTF(3, 4);
int sp_inspected(struct sp_session *s) SP_MUST;
/* ms that what a side session read may be taken for true: `catalogue recheck=`; 0: it has to be asked anew each time. */
uint64_t sp_recheck(const struct sp_session *s);
/*
 * A zeroed block shared by this worker's sessions on one target and part; made at first need, by the
 * core and of the first size asked for; it lives as long as the worker.  end() may be called before
 * it goes.  NULL: no memory.
 */
void *sp_target_block(struct sp_session *s, size_t size, void (*end)(void *block));
/*
 * Where the target's `pool` wants connections kept ready (adopt()): what a log-in to the target depends
 * on besides user, part and pins, given by admitted().  Copied.  A session with the purpose "warm" has
 * that of the session that it was made for: it logs in by it, calls sp_ready() and then waits.
 */
int sp_pool_key(struct sp_session *s, struct sp_bytes key) SP_MUST;
struct sp_bytes sp_pool_key_of(const struct sp_session *s); /* borrowed; empty where none was given */
/*
 * Some other session of this worker: call its data() soon, for both sides that have bytes waiting,
 * and for a side session's target in any case.  Nobody else may write to it: sp_out(), sp_put() are
 * for the session whose callback runs.
 */
void sp_wake(struct sp_session *s);

/* ---- beside sessions ---- */

/*
 * Small facts across sessions, workers and restarts, kept by the keeper in the store.  Whose they are is no matter of trust in this
 * worker: PRINCIPAL, of this principal at this target, and nobody else can read, replace or notice them; TARGET, of all who come
 * to this target: whoever may put such a fact, may replace another's, so nothing may be allowed because of it.
 *
 * One question at a time: shared() answers, from the loop, or before these return where this session has put or read that fact in
 * the last ten seconds (so long may pass until it notices that another has replaced it).  A put is on disk when it is answered.
 * Of one owner 4096 facts are kept; the one that would end first makes room, so that a fact that is not there means nothing else.
 * While the keeper is away the question waits for the next one: give the wait an end of your own.
 * SP_EPROTO: one is asked already, or nobody is admitted; SP_ETOOBIG: the key (1 to 256 bytes), the value (1024), or ttl (a week).
 */
enum sp_share { SP_SHARE_PRINCIPAL, SP_SHARE_TARGET }; /* zero is the narrowest */
#define SP_SHARE_KEY 256u
#define SP_SHARE_VALUE 1024u
#define SP_SHARE_TTL (7ull * 24 * 3600 * 1000) /* ms */
struct sp_shared {
	bool ok;               /* false: the keeper could not say, or keep it */
	bool found;            /* get: it is there; put: it is kept */
	struct sp_bytes value; /* borrowed for the call */
};
int sp_share_put(struct sp_session *s, enum sp_share scope, struct sp_bytes key, struct sp_bytes value, uint64_t ttl) SP_MUST;
int sp_share_get(struct sp_session *s, enum sp_share scope, struct sp_bytes key) SP_MUST;
/*
 * This operation (NULL: all of the session) belongs to those of other sessions that say the same name, printable ASCII without
 * spaces, at most 128 bytes, which the target has made or the module has found to be this principal's: they are shown and
 * replayed as one.  Before sp_ask(), and as often as there are operations.  A session may belong to several.
 */
#define SP_GROUP_NAME 128u
int sp_group(struct sp_session *s, const struct sp_op *op, struct sp_bytes name) SP_MUST;

/* ---- operations ---- */

/*
 * What names mean from here on, and facts that policies, approvals and recordings see (database,
 * role, search_path, transaction …).  Every change is a new scope: remembered verdicts do not cross.
 * The view is the module's, and lives until another is given or the session ends; facts are copied.
 * version: sessions of a target whose views have the same one share what was found under it; so equal
 * numbers must mean equal views, which numbers from one counter of the module's do.
 * SP_ETOOBIG: more than twelve names of facts.
 */
void sp_view(struct sp_session *s, const void *view, uint64_t version);
int sp_fact(struct sp_session *s, const char *name, struct sp_bytes value) SP_MUST;

/*
 * Something was written that the target has not committed: who waits now keeps others waiting. A rule's
 * approval is not waited for then, unless the rule says `in_transaction = true`.
 */
void sp_wrote(struct sp_session *s, bool wrote);

/*
 * A new operation, the module's until sp_op_free() (what is left is freed with the session); its text
 * is copied and classified, from the worker's cache when it was seen before.  NULL: no memory, or
 * `kind` is not in the module's table.
 */
struct sp_op *sp_op_new(struct sp_session *s, unsigned channel, const char *kind, struct sp_bytes text);
/*
 * The same text again, without a look-up: a prepared statement's next run.  Parameters of the model
 * go with it until sp_op_param() gives others.  The model stays the caller's.  NULL: no memory.
 * Of a model that was announced ("NAME.prepare") in the same callback, and a run of it that is allowed in
 * it, too, the recording has the run alone.
 */
struct sp_op *sp_op_again(struct sp_session *s, struct sp_op *model, const char *kind);
/* Gives it back and sets *op to NULL; NULL is fine.  One that is held is withdrawn. */
void sp_op_free(struct sp_op **op);
/* Which of the module's kinds it is: the table's own text. */
const char *sp_op_kind(const struct sp_op *op);
/* Borrowed until the operation is freed. */
struct sp_bytes sp_op_text(const struct sp_op *op);
void *sp_op_cookie(const struct sp_op *op);
void sp_op_set_cookie(struct sp_op *op, void *cookie);
/*
 * Which values go with it: copied, hashed into approvals, recorded, read by function rules.  `type` and
 * `format` are the protocol's own numbers.  Only before sp_ask().
 */
int sp_op_param(struct sp_op *op, unsigned index, uint32_t type, uint16_t format, bool null, struct sp_bytes value) SP_MUST;

struct sp_value {
	uint32_t type;
	uint16_t format;
	bool null;
	struct sp_bytes bytes; /* borrowed until the operation is freed, or has others */
};
/* The i-th of them, as it was given; false: there are no more. */
bool sp_op_param_at(const struct sp_op *op, unsigned i, struct sp_value *v_r);

/*
 * For classify(): attributes of the current node (the first is the root's own), each by its index in
 * the module's table; values are copied.  SP_EINTERNAL: no such attribute, or not of that type;
 * SP_ETOOBIG: more than can be judged; both make the operation unclear when classify() returns them.
 */
int sp_op_node(struct sp_op *op) SP_MUST;
int sp_op_str(struct sp_op *op, unsigned attr, struct sp_bytes value) SP_MUST;
int sp_op_add(struct sp_op *op, unsigned attr, struct sp_bytes value) SP_MUST; /* to a set */
int sp_op_int(struct sp_op *op, unsigned attr, uint64_t value) SP_MUST;
int sp_op_bool(struct sp_op *op, unsigned attr, bool value) SP_MUST;
int sp_op_unknown(struct sp_op *op, unsigned attr) SP_MUST;
/* We can't see into it: denied unless a rule allows exactly this (`allow = { unclear = why, name = … }`). */
int sp_op_unclear(struct sp_op *op, const char *why, struct sp_bytes name) SP_MUST;
/*
 * For classify(): it sets a setting that can be pinned; value NULL: to what is not known; name NULL: it
 * runs what can't be seen, which may set any.  Refused where the setting is pinned to another value.
 */
int sp_op_changes(struct sp_op *op, const char *name, const char *value) SP_MUST;
/*
 * For classify(): what the text means in this session beside its bytes, where the same bytes may mean something else in
 * another or later: a table that a name stands for, the text that an EXECUTE runs.  Shown to whoever decides on it, and part of
 * what an approval is for, in the order of the calls.
 */
int sp_op_means(struct sp_op *op, const char *name, struct sp_bytes value) SP_MUST;
/*
 * For classify(): it brings data that come later, which nobody who decides on it can have seen: a rule's approval
 * holds it only where the rule says `unseen = true`.
 */
int sp_op_unseen(struct sp_op *op) SP_MUST;
/*
 * For classify(): behind it names may mean something else in this session: it defines, drops, rolls back, sets a path or role,
 * or runs what can't be seen.  An approved file that was begun ends when such a statement is not its own.
 */
int sp_op_renames(struct sp_op *op) SP_MUST;
/*
 * Of what was said of this text nothing depends on what its skeleton() leaves out, but for places and
 * the attribute `length`, the text's length: it will be said of others with the same skeleton.
 */
int sp_op_alike(struct sp_op *op, unsigned length) SP_MUST;
/* A short stable name of what it does, for answers and logs: "UPDATE", "SELECT".  Copied. */
int sp_op_tag(struct sp_op *op, const char *tag) SP_MUST;

/* A value inside the text or a parameter that recordings must not hold. */
struct sp_literal {
	size_t offset, len; /* in the text; len 0: it is a parameter */
	unsigned param;
	const char *column; /* hidden when this column is tagged; NULL: hidden always */
};
int sp_op_literal(struct sp_op *op, const struct sp_literal *l) SP_MUST;
/* Reading attributes back (a module's own decisions, e.g. "does it return rows"). */
bool sp_op_has(const struct sp_op *op, unsigned attr, const char *value);
bool sp_op_is_unclear(const struct sp_op *op);
/*
 * A word of the module's own beside what was classified, 0 until it is set: for what follows from
 * attributes and unclear alone.  All operations of which the same was said share it, also those of texts
 * that are alike (sp_op_alike()).  NULL: nothing is kept of this one.
 */
unsigned *sp_op_note(const struct sp_op *op);

/*
 * Judge it.  verdict() comes, now (before sp_ask() returns) or after a person's decision; the texts
 * it brings are borrowed until it returns.  Each operation once: SP_EINTERNAL else.  SP_ETOOBIG: too
 * many of this session are asked and not freed.
 */
int sp_ask(struct sp_op *op) SP_MUST;
/* The client gave up waiting, or the session did: no verdict() comes any more. */
void sp_withdraw(struct sp_op *op);
/*
 * True while an allowed operation is still covered: epoch, principal, grant and target are what they
 * were when it was judged.  False: what goes on of it (a cursor's next rows) must be asked anew, as
 * sp_op_again() of it.
 */
bool sp_op_stands(const struct sp_op *op);

struct sp_outcome {
	uint64_t rows;
	const char *error; /* the target's error code, or "" */
	const char *text;  /* its tag or message, masked */
};
/*
 * The answer is complete: recorded, counted.  What is recorded of it must be recorded before.  The
 * operation stays the module's, until sp_op_free().  SP_EIO: it could not be recorded (P8).
 */
int sp_done(struct sp_op *op, const struct sp_outcome *o) SP_MUST;
/* A statement of the gateway's own that the caller sends to the target now: recorded before it leaves. */
int sp_own_statement(struct sp_session *s, struct sp_bytes text) SP_MUST;

/* ---- masks ---- */

enum sp_source { SP_SOURCE_UNKNOWN, SP_SOURCE_COLUMN, SP_SOURCE_NONE, SP_SOURCE_FILE }; /* zero hides; FILE: see sp_file_filter() */

struct sp_column {
	struct sp_bytes name;    /* as the client sees it */
	enum sp_source known;
	struct sp_bytes source;  /* SP_SOURCE_COLUMN: schema.table.column; "?" for a part that nobody knows */
	const struct sp_bytes *behind; /* SP_SOURCE_COLUMN: others whose values it may hold, as of a view; borrowed */
	size_t nbehind;
	uint32_t type;           /* the protocol's own type number */
	uint16_t format;
	bool text;               /* the wire bytes are the text itself */
};
/*
 * Describe an answer's columns, in order, then judge them: how many are masked, or SP_EDENIED with the
 * verdict, which is borrowed until the next judgement.  Texts are copied.  Not before the verdict on
 * the operation, and again for each answer of it.  SP_EINTERNAL: out of order.
 */
int sp_columns_begin(struct sp_op *op, unsigned n) SP_MUST;
int sp_column(struct sp_op *op, unsigned i, const struct sp_column *c) SP_MUST;
int sp_columns_judge(struct sp_op *op, const struct sp_verdict **denied_r) SP_MUST;
/*
 * Most answers are described as the last one was.  Keep the description, as the target sent it, after
 * a judgement that depended on nothing else than the operation, its view and `version`; next time
 * sp_columns_again() is true when it stands for sp_columns_begin() and every sp_column().
 */
void sp_columns_keep(struct sp_op *op, struct sp_bytes description, uint64_t version);
bool sp_columns_again(struct sp_op *op, struct sp_bytes description, uint64_t version);

enum sp_mask_kind {
	SP_MASK_NULL,   /* the value becomes NULL; zero hides most */
	SP_MASK_TEXT,   /* text in, text out, by sp_mask_value() */
	SP_MASK_YEAR,   /* a date or time keeps its year */
	SP_MASK_DETECT  /* text in, text out; only what a detector finds is hidden */
};
/* NULL: column i is shown.  Borrowed until the columns are described again or the operation is freed. */
const struct sp_mask *sp_column_mask(const struct sp_op *op, unsigned i);
enum sp_mask_kind sp_mask_kind(const struct sp_mask *m);
/*
 * Append the masked text to `out`; on an error set its `len` back.  SP_EDENIED: it can't be
 * masked, send NULL.  SP_ETOOBIG: no room in `out`.
 */
int sp_mask_value(const struct sp_mask *m, struct sp_bytes in, struct sp_writer *out) SP_MUST;
/* True: sp_mask_value() would append the text as it is; a row of such values may be passed on.  False: it may not. */
bool sp_mask_spares(const struct sp_mask *m, struct sp_bytes in);
/* True when errors, notices and the like of this operation must lose their values; also before its verdict. */
bool sp_op_sensitive(const struct sp_op *op);
/* Does a rule hide something by a tag that fits this column (schema.table.column; ? where not known)? */
bool sp_column_tagged(const struct sp_session *s, struct sp_bytes column);
/* Does some rule keep this setting of the target at this value for sessions here? */
bool sp_pins(const struct sp_session *s, const char *setting, const char *value);
/*
 * All columns of the target are known: `each` gives their names (schema.table.column, borrowed for
 * the call) to take(), until that returns non-zero.  It is called before this returns, once for an
 * epoch and a target, or not at all: the core warns of tags that match none.
 */
typedef void sp_columns_fn(void *owner, int (*take)(void *to, struct sp_bytes column), void *to);
void sp_columns_known(struct sp_session *s, sp_columns_fn *each, void *owner);

/*
 * Unstructured output of an allowed operation, looked through by the detectors that rules on "output"
 * name.  A filter is one stream's, the caller's until sp_filter_free(); NULL from sp_stream_filter():
 * no rule asks for one, and the bytes are shown as they are.  sp_filter_feed() appends what can be shown;
 * what may be the beginning of a finding is held back until more comes, at most 64 kB, or until `last`.
 * Escape sequences of a terminal inside of a finding hide it from nobody.
 */
struct sp_filter;
int sp_stream_filter(struct sp_op *op, struct sp_filter **filter_r) SP_MUST;
/*
 * The same for the contents of a file, where what is hidden keeps its length, and `last` is the file's end.  Only rules count
 * that say something of the operation's own (`path`): files may be no text.  all: the others, too.
 */
int sp_file_filter(struct sp_op *op, bool all, struct sp_filter **filter_r) SP_MUST;
int sp_filter_feed(struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out) SP_MUST;
/* Is something held back now?  When the peer waits for it, `last` lets it out before the end too. */
bool sp_filter_holds(const struct sp_filter *filter);
void sp_filter_free(struct sp_filter **filter);

/* ---- record ---- */

enum sp_stream {
	/*
	 * Rows as sent: be16 fields, then per field be32 length (-1 NULL) and bytes; one after another.
	 * Calls may cut anywhere: a reader joins them per operation.
	 */
	SP_REC_ROWS = 1,
	SP_REC_OUTPUT,   /* unstructured bytes to the client */
	SP_REC_INPUT,    /* bytes from the client beside the operation's text (COPY in, stdin) */
	SP_REC_NOTICE    /* a message to the client */
};
/*
 * Copied into the recording before the call returns, and on its way before what is sent after it.
 * `op` NULL: of the session itself.  SP_EIO: it can't be recorded any more, and the session ends (P8).
 */
int sp_record(struct sp_session *s, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b) SP_MUST;

/* The terminal of its output has this size from now on; an asciicast follows it.  Errors as sp_record(). */
int sp_record_size(struct sp_session *s, const struct sp_op *op, unsigned columns, unsigned rows) SP_MUST;

/* ---- other ---- */

void *sp_state(const struct sp_session *s);      /* session_size bytes, the module's own until close() returns */
/* conf_size bytes, read-only: module, then listener and, once admitted, target directives. */
const void *sp_conf(const struct sp_session *s);
/* Zeroed, for any type; freed with the session and not before.  NULL: no memory, or over the session's 64 MB. */
void *sp_alloc(struct sp_session *s, size_t n);

enum sp_level { SP_ERROR = 1, SP_WARN, SP_INFO, SP_DEBUG };
/* One sentence, about one subject; never a secret, never row data; what a peer sent only as printable ASCII. */
void sp_log(const struct sp_session *s, enum sp_level level, const char *fmt, ...) SP_PRINTF(3, 4);
/* One timer per session: data() is called with SP_CLIENT once, `after` ms from now; 0 stops it. */
void sp_timer(struct sp_session *s, uint64_t after);
/* n random bytes fit for keys, to p. */
int sp_random(void *p, size_t n) SP_MUST;

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

/* ---- the one symbol ---- */

#define SP_MODULE_SYMBOL "sallyport_module"
#ifdef SP_STATIC /* linked into a test or fuzzer: several modules side by side */
#define SP_MODULE(id) const struct sp_module sallyport_module_##id
#else
#define SP_MODULE(id) \
	__asm__(".pushsection .note.sallyport,\"a\",@note\n" \
		".balign 4\n.long 10, 8, 1\n.asciz \"Sallyport\"\n.balign 4\n" \
		".long " SP_STRING(SP_ABI_MAJOR) ", " SP_STRING(SP_ABI_MINOR) "\n.popsection"); \
	SP_EXPORT extern const struct sp_module sallyport_module; \
	const struct sp_module sallyport_module
#endif
#define SP_STRING_(x) #x
#define SP_STRING(x) SP_STRING_(x)

#endif
