/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One PostgreSQL session of the gateway: two state machines with a queue between them.
 *
 *   client ─message─▶ row of the table ─▶ handler ─▶ judged ─▶ target
 *                                            │ pushes what the target must answer
 *                                            ▼
 *                       queue of expected answers, oldest first
 *                                            │ its head is the target's state
 *   client ◀─masked─ handler ◀─ row of the table ◀─message─ target
 *
 * A handler never sends its message on itself: it says what shall become of it (enum pg_fate), so
 * that a run of accepted messages moves in one sp_pass() without being copied.
 */
#ifndef PG_POSTGRES_H
#define PG_POSTGRES_H

#include "copy_form.h"
#include "message.h"

/* What a handler wants done with its message; negative: an sp_rc that ends the session. */
enum pg_fate {
	PG_PASS = 1, /* to the other side as it stands: every byte was accounted for */
	PG_DROP,     /* consumed, answered or rewritten by us */
	PG_WAIT,     /* leave it: a verdict, the catalogue or an empty queue must come first */
	PG_AGAIN,    /* send on what was accepted before it, then ask me again */
	PG_TAKEN     /* the handler has consumed bytes itself */
};

enum pg_state {
	/* the client's */
	C_START,     /* nothing yet: startup packets, untyped */
	C_SECURING,  /* TLS handshake under way: not a byte of plain text is acceptable */
	C_STARTUP,   /* inside TLS, or after 'N' */
	C_SASL,      /* a ticket: the client's choice of a mechanism, and its first message */
	C_SASL_WAIT, /* … the keeper makes the challenge */
	C_SASL_PROOF,
	C_PASSWORD,
	C_LOGIN,     /* the keeper, then the target, decide; the client has to wait */
	C_READY,
	C_SKIP,      /* after an error in extended query: all is ignored until Sync */
	C_COPY,      /* sends COPY data */
	C_GONE,
	/* the target's, while logging in */
	T_NONE,
	T_SSL,       /* one byte answers our SSLRequest */
	T_SECURING,
	T_AUTH,      /* its choice of authentication */
	T_SASL,      /* the middle of SCRAM */
	T_PROVING,   /* the keeper computes: the target has to wait */
	T_SETUP,     /* authenticated: parameters, key, ReadyForQuery */
	T_WARM,      /* the same, kept unread for the session that will take this connection */
	/* the target's, once logged in: what the oldest unanswered message expects */
	T_IDLE,      /* nothing: only asynchronous messages */
	T_QUERY,     /* a simple query: rows, copies, tags, errors … until ReadyForQuery */
	T_QUERY_ROWS,
	T_COPY_IN,   /* simple query's COPY: the client sends */
	T_COPY_OUT,
	T_PARSE,
	T_BIND,
	T_DESCRIBE_STATEMENT,
	T_DESCRIBE_FIELDS, /* ParameterDescription came, RowDescription or NoData follows */
	T_DESCRIBE_PORTAL,
	T_EXECUTE,
	T_EXECUTE_COPY_IN,
	T_EXECUTE_COPY_OUT,
	T_CLOSE,
	T_SYNC,
	T_OWN,       /* a question of ours */
	T_REFUSED,   /* our own statement that fails the transaction: an error */
	T_LOCAL,     /* nothing from the target: an error of ours waits for its turn */
	PG_STATES
};

struct pg;

/* An error of ours, kept until its turn. */
struct pg_refusal {
	char code[6];
	char message[512], hint[256];
};

/* ---- what extended query names ---- */

struct pg_statement {
	struct pg_statement *next;   /* in its bucket or the free list; newest first */
	struct sp_op *op;            /* the model of its runs */
	unsigned refs;               /* the table, answers, portals */
	uint32_t batch;              /* Syncs seen when it was parsed */
	unsigned traits;             /* enum pg_trait */
	bool listed;                 /* can be found by name */
	bool confirmed;              /* ParseComplete came */
	bool closing;                /* Close went out, CloseComplete has not come */
	bool seen;                   /* by the check of what the server has */
	uint8_t name_len;
	char name[PG_NAME_MAX + 1];
	uint16_t ntypes;             /* parameter types that the client gave */
	uint32_t *types;             /* NULL when none */
	unsigned types_cap;
};

/* The columns of rows under way. */
struct pg_shape {
	struct sp_op *judged;        /* operation whose masks apply; NULL: not judged yet */
	uint16_t ncolumns;
	bool known, masked;
	struct pg_refusal *denied;   /* NULL: it may be shown */
	uint32_t *type;              /* of masked results only */
	uint8_t *binary;
	unsigned cap;
};

struct pg_portal {
	struct pg_portal *next;
	struct pg_statement *statement; /* counted */
	struct sp_op *op;
	struct pg_shape shape;
	uint64_t rows, max_rows;
	unsigned refs;
	uint32_t batch;
	bool listed, confirmed, closing;
	bool described;              /* a Describe went out, the client's or ours */
	bool finished;               /* its operation is done with */
	bool ran;                    /* … or some rows of it have come */
	uint8_t name_len;
	char name[PG_NAME_MAX + 1];
};

/* ---- the queue of expected answers ---- */

#define PG_QUEUE 128u /* a power of two; a full queue makes the client wait */

struct pg_answer {
	uint8_t state;        /* T_… */
	bool swallow;         /* the client did not ask: our Describe */
	bool cut;             /* rows are withheld: an error of ours stands for the rest */
	uint8_t own;          /* T_OWN: enum pg_own */
	uint8_t last;         /* T_OWN: the message that ends it */
	struct pg_statement *statement; /* counted; of a refusal: one that is forgotten with it */
	struct pg_portal *portal;       /* counted */
	struct sp_op *op;     /* simple query only; owned */
};

struct pg_queue {
	unsigned first, n;
	struct pg_answer v[PG_QUEUE];
};

/* The operation that waits for its verdict; its message stays in the input until then. */
struct pg_question {
	struct sp_op *op;
	bool answered, held;
	enum sp_what what;
	uint64_t max_rows;
	struct pg_names *names;    /* counted: the view's, which the core may look at while it is open */
	struct pg_refusal refusal; /* answered, and not allowed */
};

/* A message that passes in pieces. */
struct pg_stream {
	uint8_t type;
	size_t left;          /* of the message */
	size_t value;         /* of the current field; DataRow only */
	uint16_t fields;
	bool discard;
};

/* A COPY … TO STDOUT: its columns, as the server described them, and how its rows are written. */
struct pg_copy_column {
	uint32_t table, type;
	uint16_t attnum;
};

struct pg_copy_out {
	struct pg_copy_form form;
	bool masked, begun;          /* begun: what stands before the first row is past */
	uint16_t expected;           /* columns, by the answer itself */
	uint16_t ncolumns;           /* … described; 0: none were */
	struct pg_copy_column *column;
	unsigned cap;
};

struct pg_conf {
	uint64_t row_max, statement_max, portals_max, prepared_max;
};

#define PG_BUCKETS 32u
#define PG_STREAM_FROM (64u << 10) /* longer messages pass in pieces, where the table allows it */
#define PG_OWN_STATEMENT "sallyport: statement refused" /* no server parses it: fails a transaction */

struct pg {
	/* What every message looks at stands together: of many sessions the processor keeps little at hand. */
	struct sp_session *s;
	const struct pg_conf *conf;
	enum pg_state client, login; /* `login` rules until the target is ready, then the queue does */
	uint32_t batch;
	uint8_t status;       /* the target's last word: I, T or E */
	bool began;           /* a BEGIN went out since */
	bool block;           /* a transaction block may have begun since the target's last word on all that was sent */
	bool batch_sent;      /* something of this batch went to the target */
	bool batch_ran;       /* … and it may have changed data */
	bool pinned;          /* rules pin settings: the target's word on them, at ReadyForQuery, comes before the next transaction */
	bool ended;           /* … which this batch would begin: nothing more of it but Sync */
	bool barrier;         /* the next client message waits until the queue is empty */
	bool fail_next;       /* after a cut answer: the open transaction must fail */
	bool stray_copy;      /* COPY ended early: leftover data may still come */
	bool muted;           /* answers are dropped until the batch's ReadyForQuery */
	bool flushed;         /* a Flush of ours went out after all that was sent */
	bool checking;        /* it waits to hear whether the catalogue has changed */
	bool dirty;           /* names may mean something else: ask before the next statement */
	bool touched;         /* … and may do so again when the transaction ends */
	bool defined;         /* DDL ran in it */
	bool may_define;      /* … or may have, where nobody saw it */
	bool unclaimed;       /* the connection has to be told whose it is, before the next statement */
	bool unrecorded;      /* the end of an operation could not be written: P8 */
	bool doubtful;        /* prepared statements may have come or gone by SQL */
	size_t run[2];        /* bytes accepted at the front of a side's input, not yet passed on */
	size_t done[2];       /* … or not yet dropped; never both */
	bool partial[2];      /* what is left of a side's input is the beginning of a message */
	struct pg_stream stream[2];
	struct track *track;
	struct catalogue *catalogue;
	uint64_t reading;     /* of the catalogue that this session needs */
	char *delayed;        /* a notice that waits for the end of a streaming message; NULL: none */
	struct pg_cancel *cancels; /* under way: the next message of the client waits for their end */
	struct pg_portal *portals, *free_portals;
	unsigned nstatements, nportals;
	size_t warm;          /* length of what a connection that waits keeps unread; 0: not yet whole */
	struct pg_queue queue;
	struct pg_question question;
	struct pg_refusal refusal;   /* of T_REFUSED, T_LOCAL and cut answers: one at a time */
	struct pg_statement *bucket[PG_BUCKETS], *free_statements;
	uint64_t rows, max_rows;     /* of the simple query under way */
	struct pg_shape shape;       /* of the simple query under way */
	struct pg_copy_out copy;     /* the one under way */
	bool ssl_answered, gss_answered, direct_tls;
	bool iso_dates;
	uint32_t version;     /* of the client: 3.0 or 3.2 */
	struct sp_bytes settings;    /* NUL-terminated names and values that go to the target */
	struct sp_bytes options_refused; /* _pq_ names that the client asked for, same form */
	char tag[64], error_code[6]; /* of the simple query under way */
	char user[PG_NAME_MAX + 1], target[PG_NAME_MAX + 1], part[PG_NAME_MAX + 1];
	char mechanism[24];
	unsigned step;
	uint32_t pid;
	uint8_t secret[4];    /* the target's */
	bool keyed;           /* BackendKeyData came */
	unsigned traits;      /* of the simple query under way */
	struct pg *next_member;      /* of the catalogue's sessions */
	bool joined;
	uint32_t unknown[8];  /* the last tables nobody knew, and the reading that looked for them */
	unsigned nunknown;
	bool looking;         /* for those of the description under way: one reading is enough */
	uint64_t lookup;
	unsigned asked, told; /* inspect.c */
	struct prepared *prepared;   /* by SQL, with their texts */
	size_t prepared_bytes;
	bool missing;         /* the text just classified names a table that the catalogue lacks */
	bool missed;          /* … and it is being read again for it */
	struct defined *definitions; /* what it has defined */
	bool adopted;         /* the connection was logged in before the session came */
	bool secret_cursor;   /* one was opened over columns that are masked for this principal */
	unsigned cursor_traits; /* of what cursors were opened for in this transaction: PG_NAMES, PG_SETTINGS, PG_MAY_DEFINE, PG_PREPARED */
};

/* ---- postgres.c ---- */
void pg_enter(struct pg *p, enum pg_state client);
void pg_enter_login(struct pg *p, enum pg_state target);
const char *pg_state_name(enum pg_state state);
enum pg_state pg_target_state(const struct pg *p);
/* The writer towards a side.  Whoever writes while messages before it wait to be passed on must
 * return PG_AGAIN first: pg_behind() says so. */
struct sp_writer *pg_out(struct pg *p, enum sp_side to);
bool pg_behind(const struct pg *p, enum sp_side from);
/* The same for handlers that consume their message themselves: something stands before it. */
bool pg_unsent(const struct pg *p, enum sp_side from);
bool pg_settled(const struct pg *p); /* nothing is owed by the target */

/* ---- answer.c ---- */
bool pg_room(const struct pg *p);               /* for all that one message may add */
int pg_local(struct pg *p) SP_MUST;             /* errors of ours whose turn has come */
struct pg_answer *pg_expect(struct pg *p, enum pg_state state); /* NULL: full */
struct pg_answer *pg_head(struct pg *p);
bool pg_sync_expected(const struct pg *p);      /* a ReadyForQuery is on its way */
int pg_answered(struct pg *p) SP_MUST;          /* the head is complete: next */
int pg_void_batch(struct pg *p) SP_MUST;        /* an error: what follows until Sync stays unanswered */
void pg_queue_clear(struct pg *p);

/* ---- startup.c (client) ---- */
int pg_ssl_request(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_gss_request(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_direct_tls(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_cancel_request(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_startup_message(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_password(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_sasl_first(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_sasl_proof(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_admitted(struct sp_session *s, const struct sp_admission *a) SP_MUST;
int pg_welcome(struct pg *p) SP_MUST;           /* AuthenticationOk: the target is logged in */

/* ---- login.c (target) ---- */
int pg_login_open(struct pg *p) SP_MUST;
int pg_login_secured(struct pg *p) SP_MUST;
/* False, and *pin_r: the setting is pinned to another value than this. */
bool pg_pin_allows(const struct pg *p, struct sp_bytes name, struct sp_bytes value, struct sp_setting *pin_r);
int pg_login_proved(struct sp_session *s, const struct sp_answer *a) SP_MUST;
void pg_login_pool(struct pg *p);               /* which connections kept ready would do */
int pg_login_adopt(struct sp_session *s) SP_MUST;
int pg_login_warm(struct pg *p) SP_MUST;        /* a connection that waits: nothing may come there */
int pg_login_named(struct pg *p) SP_MUST;       /* ParameterStatus of application_name */
int pg_claim(struct pg *p) SP_MUST;             /* say at the target whose connection it is */
bool pg_claim_stands(const struct pg *p, const struct sp_op *op);
int pg_ssl_answer(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_authentication(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_login_error(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_login_notice(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_key_data(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_login_ready(struct pg *p, const struct pg_message *m) SP_MUST;

/* ---- cancel.c ---- */
int pg_cancel_target(struct pg *p) SP_MUST;     /* ask the target to stop what runs now */
int pg_cancel_open(struct pg *p) SP_MUST;       /* on the side session that carries the request */
int pg_cancel_secured(struct pg *p) SP_MUST;
int pg_cancelled(struct sp_session *s) SP_MUST;
void pg_cancel_close(struct pg *p);

/* ---- question.c: asking for verdicts ---- */
/* PG_PASS: allowed; PG_WAIT; PG_DROP: refused, p->question.refusal says why.  Owns op from here. */
int pg_ask(struct pg *p, struct sp_op *op) SP_MUST;
int pg_asked(struct pg *p) SP_MUST;             /* the same, once it was asked */
struct sp_op *pg_question_take(struct pg *p);   /* the allowed operation, now the caller's */
void pg_question_clear(struct pg *p);
int pg_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h) SP_MUST;
int pg_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v) SP_MUST;
void pg_question_withdraw(struct pg *p, const char *code, const char *why);
int pg_question_skipped(struct pg *p) SP_MUST;  /* an earlier statement of the batch failed: the message that asked does not run */
/* The rules allow what is asked, and it is refused all the same. */
int pg_question_refuse(struct pg *p, const char *code, const char *message, const char *hint) SP_MUST;

/* ---- estimate.c: asking the planner, for who decides ---- */
void pg_estimate(struct sp_session *s, struct sp_op *op, const char *request);
/* On its side session: its turn; it is logged in; a row; the end of a query; an error; close(). */
int pg_estimate_turn(struct pg *p, enum sp_side from) SP_MUST;
int pg_estimate_ready(struct pg *p) SP_MUST;
int pg_estimate_row(struct pg *p, struct sp_bytes body) SP_MUST;
int pg_estimate_next(struct pg *p) SP_MUST;
void pg_estimate_failed(struct pg *p, const char *code);
void pg_estimate_close(struct pg *p);

/* ---- simple.c ---- */
int pg_fail_transaction(struct pg *p) SP_MUST;  /* by a query of our own that no server parses */
int pg_function_call(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_query(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_query_complete(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_query_empty(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_ready(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_terminate(struct pg *p, const struct pg_message *m) SP_MUST;

/* ---- extended.c ---- */
int pg_parse(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_bind(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_describe(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_execute(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_close_object(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_flush(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_sync(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_sync_skipped(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_skip(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_parse_complete(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_bind_complete(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_close_complete(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_parameter_description(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_no_data(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_execute_complete(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_execute_empty(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_suspended(struct pg *p, const struct pg_message *m) SP_MUST;
/* Refuse what the client asked in extended query: an error in its turn, then skip to Sync. */
int pg_refuse_batch(struct pg *p, const struct pg_refusal *r) SP_MUST;

/* ---- object.c: statements and portals ---- */
struct pg_statement *pg_statement_find(struct pg *p, struct sp_bytes name);
struct pg_statement *pg_statement_add(struct pg *p, struct sp_bytes name); /* NULL: too many */
void pg_statement_confirm(struct pg *p, struct pg_statement *t);
void pg_statement_unlist(struct pg *p, struct pg_statement *t);
void pg_statements_check(struct pg *p, struct sp_bytes name, struct sp_bytes text);
void pg_statements_checked(struct pg *p);       /* those not seen since are gone */
void pg_statement_drop(struct pg *p, struct pg_statement **t); /* one reference */
struct pg_portal *pg_portal_find(struct pg *p, struct sp_bytes name);
struct pg_portal *pg_portal_add(struct pg *p, struct sp_bytes name);
void pg_portal_unlist(struct pg *p, struct pg_portal *t);
void pg_portal_drop(struct pg *p, struct pg_portal **t);
void pg_portals_end(struct pg *p);      /* the transaction ended, and they with it */
void pg_objects_end(struct pg *p);      /* the session ended */
int pg_finish(struct sp_op *op, uint64_t rows, const char *code, struct sp_bytes text) SP_MUST;

/* ---- own.c: answers to the gateway's own statements ---- */
enum pg_own { OWN_NAMES = 1, OWN_PREPARED, OWN_CLOSE, OWN_COPY, OWN_SYNC, OWN_CATALOGUE, OWN_INSPECT, OWN_CLAIM, OWN_ESTIMATE, OWN_MAY, OWN_DEFINED };
struct pg_answer *pg_expect_own(struct pg *p, enum pg_own own, uint8_t last);
int pg_own_step(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_own_row(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_own_ready(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_own_error(struct pg *p, const struct pg_message *m) SP_MUST;

/* ---- result.c ---- */
int pg_row_description(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_statement_fields(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_rows(struct pg *p, const struct pg_message *m) SP_MUST;
/* Rows at the front of what came from the target, taken together: n_r bytes of them were accounted for.  0: it takes pg_rows(). */
int pg_rows_run(struct pg *p, struct sp_bytes in, size_t *n_r) SP_MUST;
void pg_shape_clear(struct pg_shape *shape);
/* What is recorded of a run of rows or data, in batches; flushed before the run is sent. */
int pg_record(struct pg *p, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b) SP_MUST;
int pg_record_flush(void) SP_MUST;
void pg_record_discard(void);
/* The next piece of a message that passes in pieces. */
int pg_stream(struct pg *p, enum sp_side from, struct sp_bytes in) SP_MUST;
int pg_stream_begin(struct pg *p, enum sp_side from, const struct pg_message *m, bool discard) SP_MUST;
/* Withhold the rest of an answer; an error of ours ends it. */
int pg_cut(struct pg *p, const char *code, const char *message, const char *hint) SP_MUST;

/* ---- mask_value.c ---- */
bool pg_type_is_text(uint32_t type);
int pg_mask_field(struct pg *p, const struct sp_mask *mask, uint32_t type, bool binary, struct pg_value v,
    struct sp_writer *out) SP_MUST; /* length and bytes */
/* True: the value would come out as it is. */
bool pg_mask_spares(const struct sp_mask *mask, uint32_t type, struct pg_value v);

/* ---- copy.c ---- */
int pg_copy_in(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_out(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_data_in(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_data_out(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_done_in(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_fail(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_done_out(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_copy_stray(struct pg *p, const struct pg_message *m) SP_MUST;

/* ---- copy_mask.c ---- */
int pg_copy_describe(struct pg *p, const struct sp_op *op, bool whole) SP_MUST;
int pg_copy_fields(struct pg *p, struct sp_bytes body) SP_MUST;
int pg_copy_columns(struct pg *p, struct sp_op *op, uint16_t n) SP_MUST;
int pg_copy_mask(struct pg *p, const struct sp_op *op, struct sp_bytes body, struct sp_writer *out) SP_MUST;

/* ---- error.c ---- */
struct pg_report {
	const char *severity, *code, *message, *hint; /* hint: NULL or "" for none */
};
int pg_write_report(struct sp_writer *w, uint8_t type, const struct pg_report *e) SP_MUST;
/* The last words to a client: FATAL, then the session ends for this reason. */
int pg_fatal(struct pg *p, const char *code, const char *fmt, ...) SP_PRINTF(3, 4) SP_MUST;
const char *pg_last_hint(const struct pg *p); /* whom to ask why a rule ended the session; NULL: none did */
int pg_refuse(struct pg *p, const struct pg_refusal *r) SP_MUST; /* ErrorResponse now */
void pg_refusal_set(struct pg_refusal *r, const char *code, const char *message, const char *hint);
int pg_notice_text(struct pg *p, const char *message, const char *hint) SP_MUST;
int pg_delayed_notice(struct pg *p) SP_MUST;
int pg_error(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_notice(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_error_idle(struct pg *p, const struct pg_message *m) SP_MUST;

/* ---- track.c ---- */
int pg_parameter_status(struct pg *p, const struct pg_message *m) SP_MUST;
int pg_notification(struct pg *p, const struct pg_message *m) SP_MUST;

enum pg_trait {         /* of a statement's text, looked up once */
	PG_PLAIN = 1,   /* changes nothing that judging depends on */
	PG_BEGINS = 2,  /* opens a transaction or a savepoint, and does nothing else */
	PG_COPIES_IN = 4,
	PG_COPIES_OUT = 8,
	PG_NAMES = 16,  /* DDL: the catalogue may have changed */
	PG_SETTINGS = 32, /* settings, among them search_path, may have changed */
	PG_PREPARED = 64, /* prepared statements may have come or gone */
	PG_ENDS = 128,    /* ends a transaction */
	PG_RESETS = 256,  /* settings may be what the connection began with */
	PG_UNDOES = 1024, /* takes back what was defined, or lets it stand for good */
	PG_FETCHES = 2048, /* runs an open cursor, which does what its query does */
	PG_MAY_DEFINE = 4096, /* code that no statement shows runs: DDL it may be, and other than at its Parse */
	PG_WRITES = 512,  /* may write, or lock: until the transaction ends others may wait for it */
	PG_OPENS = 16384, /* opens a cursor, or may */
	PG_DECLARES = 32768, /* a cursor by its name */
	PG_LOOKED = 8192, /* of what was noted: looked up, and there may be none */
};
unsigned pg_traits(const struct sp_op *op);

#endif
