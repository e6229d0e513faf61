/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL module: which message may come when, and what is done with it.
 *
 *   C_START ─TLS─▶ C_STARTUP ─▶ C_PASSWORD ─▶ C_LOGIN ─▶ C_READY ◀─▶ C_COPY
 *            C_SASL ◀─┘            a ticket:  ▲ │          │ ▲
 *              └─▶ C_SASL_WAIT ─▶ C_SASL_PROOF┘ │          ▼ │ Sync
 *   T_NONE ─▶ T_SSL ─▶ T_AUTH ◀─▶ T_PROVING ─▶ T_SETUP    C_SKIP
 *
 * The table below is the whole protocol.  A message without a row in the state it comes in ends
 * the session; so does one that is longer than its row allows.
 */
#include "postgres.h"

#include "analyse.h"
#include "attributes.h"
#include "catalogue.h"
#include "defined.h"
#include "settings_table.h"
#include "track.h"

#include <stdio.h>
#include <stdlib.h>

#define IN(state) (1ull << (state))

static const char *const state_name[] = {
	[C_START] = "start", [C_SECURING] = "securing", [C_STARTUP] = "startup", [C_SASL] = "sasl",
	[C_SASL_WAIT] = "sasl wait", [C_SASL_PROOF] = "sasl proof", [C_PASSWORD] = "password",
	[C_LOGIN] = "login", [C_READY] = "ready", [C_SKIP] = "skip", [C_COPY] = "copy", [C_GONE] = "gone",
	[T_NONE] = "none", [T_SSL] = "ssl", [T_SECURING] = "securing", [T_AUTH] = "authentication",
	[T_SASL] = "sasl", [T_PROVING] = "proving", [T_SETUP] = "setup", [T_WARM] = "warm", [T_IDLE] = "idle",
	[T_QUERY] = "query", [T_QUERY_ROWS] = "query rows", [T_COPY_IN] = "copy in",
	[T_COPY_OUT] = "copy out", [T_PARSE] = "parse", [T_BIND] = "bind",
	[T_DESCRIBE_STATEMENT] = "describe statement", [T_DESCRIBE_FIELDS] = "describe fields",
	[T_DESCRIBE_PORTAL] = "describe portal", [T_EXECUTE] = "execute",
	[T_EXECUTE_COPY_IN] = "execute copy in", [T_EXECUTE_COPY_OUT] = "execute copy out",
	[T_CLOSE] = "close", [T_SYNC] = "sync", [T_OWN] = "own", [T_REFUSED] = "refused", [T_LOCAL] = "local",
};
_Static_assert(sizeof(state_name) / sizeof(*state_name) == PG_STATES, "a name for every state");
_Static_assert(PG_STATES <= 64, "a state is a bit");

/* Longest message of a row: a number, or one of these, which no length can be. */
#define MAX_STATEMENT SIZE_MAX
#define MAX_ROW (SIZE_MAX - 1)
#define MAX_STREAM (SIZE_MAX - 2)

struct row {
	enum sp_side side;
	uint64_t in;
	uint8_t type;
	size_t min, max; /* of the body; MAX_STREAM: the handler may get the beginning only */
	int (*handle)(struct pg *p, const struct pg_message *m);
};

#define FRONT (IN(C_START) | IN(C_STARTUP))
#define COPYING_IN (IN(T_COPY_IN) | IN(T_EXECUTE_COPY_IN))
#define COPYING_OUT (IN(T_COPY_OUT) | IN(T_EXECUTE_COPY_OUT))
#define EXTENDED (IN(T_PARSE) | IN(T_BIND) | IN(T_DESCRIBE_STATEMENT) | IN(T_DESCRIBE_FIELDS) | \
	IN(T_DESCRIBE_PORTAL) | IN(T_EXECUTE) | IN(T_EXECUTE_COPY_IN) | IN(T_EXECUTE_COPY_OUT) | IN(T_CLOSE))
#define ANSWERING (IN(T_QUERY) | IN(T_QUERY_ROWS) | IN(T_COPY_IN) | IN(T_COPY_OUT) | EXTENDED | \
	IN(T_SYNC) | IN(T_REFUSED))
#define RUNNING (IN(T_IDLE) | IN(T_OWN) | ANSWERING)
#define CLIENT_MAX (64u << 10)
#define SASL_MAX 4096 /* a message of SCRAM */

static const struct row table[] = {
	/* the client, before it is somebody */
	{ SP_CLIENT, IN(C_START), M_DIRECT_TLS, 0, 0, pg_direct_tls },
	{ SP_CLIENT, IN(C_START), M_SSL, 8, 8, pg_ssl_request },
	{ SP_CLIENT, IN(C_START), M_GSS, 8, 8, pg_gss_request },
	{ SP_CLIENT, FRONT, M_CANCEL, 16, 76, pg_cancel_request },
	{ SP_CLIENT, FRONT, M_STARTUP, 9, PG_STARTUP_MAX, pg_startup_message },
	{ SP_CLIENT, IN(C_PASSWORD), 'p', 1, CLIENT_MAX, pg_password },
	{ SP_CLIENT, IN(C_SASL), 'p', 5, SASL_MAX, pg_sasl_first },
	{ SP_CLIENT, IN(C_SASL_PROOF), 'p', 1, SASL_MAX, pg_sasl_proof },
	{ SP_CLIENT, IN(C_PASSWORD) | IN(C_SASL) | IN(C_SASL_PROOF), 'X', 0, 0, pg_terminate },
	/* the client, asking */
	{ SP_CLIENT, IN(C_READY), 'Q', 1, MAX_STATEMENT, pg_query },
	{ SP_CLIENT, IN(C_READY), 'F', 0, MAX_STREAM, pg_function_call },
	{ SP_CLIENT, IN(C_READY), 'P', 4, MAX_STATEMENT, pg_parse },
	{ SP_CLIENT, IN(C_READY), 'B', 8, MAX_ROW, pg_bind },
	{ SP_CLIENT, IN(C_READY), 'D', 2, 1024, pg_describe },
	{ SP_CLIENT, IN(C_READY), 'E', 5, 1024, pg_execute },
	{ SP_CLIENT, IN(C_READY), 'C', 2, 1024, pg_close_object },
	{ SP_CLIENT, IN(C_READY), 'H', 0, 0, pg_flush },
	{ SP_CLIENT, IN(C_READY), 'S', 0, 0, pg_sync },
	{ SP_CLIENT, IN(C_READY), 'd', 0, MAX_STREAM, pg_copy_stray },
	{ SP_CLIENT, IN(C_READY), 'c', 0, 0, pg_copy_stray },
	{ SP_CLIENT, IN(C_READY), 'f', 1, CLIENT_MAX, pg_copy_stray },
	{ SP_CLIENT, IN(C_READY) | IN(C_SKIP), 'X', 0, 0, pg_terminate },
	/* after an error in extended query */
	{ SP_CLIENT, IN(C_SKIP), 'S', 0, 0, pg_sync },
	{ SP_CLIENT, IN(C_SKIP), 'Q', 1, MAX_STREAM, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'F', 0, MAX_STREAM, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'P', 4, MAX_STREAM, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'B', 8, MAX_STREAM, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'D', 2, 1024, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'E', 5, 1024, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'C', 2, 1024, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'H', 0, 0, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'd', 0, MAX_STREAM, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'c', 0, 0, pg_skip },
	{ SP_CLIENT, IN(C_SKIP), 'f', 1, CLIENT_MAX, pg_skip },
	/* COPY … FROM STDIN; the server ignores Flush and Sync here, and so do we */
	{ SP_CLIENT, IN(C_COPY), 'd', 0, MAX_STREAM, pg_copy_data_in },
	{ SP_CLIENT, IN(C_COPY), 'c', 0, 0, pg_copy_done_in },
	{ SP_CLIENT, IN(C_COPY), 'f', 1, CLIENT_MAX, pg_copy_fail },
	{ SP_CLIENT, IN(C_COPY), 'H', 0, 0, pg_skip },
	{ SP_CLIENT, IN(C_COPY), 'S', 0, 0, pg_skip },
	/* the target, letting us in */
	{ SP_TARGET, IN(T_SSL), M_SSL_ANSWER, 1, 1, pg_ssl_answer },
	{ SP_TARGET, IN(T_AUTH) | IN(T_SASL), 'R', 4, PG_STARTUP_MAX, pg_authentication },
	{ SP_TARGET, IN(T_AUTH) | IN(T_SASL) | IN(T_PROVING) | IN(T_SETUP), 'E', 1, 32768, pg_login_error },
	{ SP_TARGET, IN(T_AUTH) | IN(T_SETUP), 'N', 1, 32768, pg_login_notice },
	{ SP_TARGET, IN(T_SETUP) | RUNNING, 'S', 2, 16384, pg_parameter_status },
	{ SP_TARGET, IN(T_SETUP), 'K', 8, 8, pg_key_data },
	{ SP_TARGET, IN(T_SETUP), 'Z', 1, 1, pg_login_ready },
	/* the target, at any time */
	{ SP_TARGET, RUNNING, 'N', 1, 1u << 20, pg_notice },
	{ SP_TARGET, RUNNING, 'A', 6, 16384, pg_notification },
	{ SP_TARGET, IN(T_IDLE), 'E', 1, 1u << 20, pg_error_idle },
	{ SP_TARGET, ANSWERING, 'E', 1, 1u << 20, pg_error },
	/* the target, answering */
	{ SP_TARGET, IN(T_QUERY), 'T', 2, 512u << 10, pg_row_description },
	{ SP_TARGET, IN(T_QUERY_ROWS) | IN(T_EXECUTE), 'D', 2, MAX_STREAM, pg_rows },
	{ SP_TARGET, IN(T_QUERY) | IN(T_QUERY_ROWS), 'C', 1, 1024, pg_query_complete },
	{ SP_TARGET, IN(T_QUERY), 'I', 0, 0, pg_query_empty },
	{ SP_TARGET, IN(T_QUERY) | IN(T_SYNC), 'Z', 1, 1, pg_ready },
	{ SP_TARGET, IN(T_QUERY) | IN(T_EXECUTE), 'G', 3, 4096, pg_copy_in },
	{ SP_TARGET, IN(T_QUERY) | IN(T_EXECUTE), 'H', 3, 4096, pg_copy_out },
	{ SP_TARGET, COPYING_OUT, 'd', 0, MAX_STREAM, pg_copy_data_out },
	{ SP_TARGET, COPYING_OUT, 'c', 0, 0, pg_copy_done_out },
	{ SP_TARGET, IN(T_PARSE), '1', 0, 0, pg_parse_complete },
	{ SP_TARGET, IN(T_BIND), '2', 0, 0, pg_bind_complete },
	{ SP_TARGET, IN(T_CLOSE), '3', 0, 0, pg_close_complete },
	{ SP_TARGET, IN(T_DESCRIBE_STATEMENT), 't', 2, 512u << 10, pg_parameter_description },
	{ SP_TARGET, IN(T_DESCRIBE_FIELDS), 'T', 2, 512u << 10, pg_statement_fields },
	{ SP_TARGET, IN(T_DESCRIBE_PORTAL), 'T', 2, 512u << 10, pg_row_description },
	{ SP_TARGET, IN(T_DESCRIBE_FIELDS) | IN(T_DESCRIBE_PORTAL), 'n', 0, 0, pg_no_data },
	{ SP_TARGET, IN(T_EXECUTE), 'C', 1, 1024, pg_execute_complete },
	{ SP_TARGET, IN(T_EXECUTE), 'I', 0, 0, pg_execute_empty },
	{ SP_TARGET, IN(T_EXECUTE), 's', 0, 0, pg_suspended },
	/* the target, answering us */
	{ SP_TARGET, IN(T_OWN), '1', 0, 0, pg_own_step },
	{ SP_TARGET, IN(T_OWN), '2', 0, 0, pg_own_step },
	{ SP_TARGET, IN(T_OWN), '3', 0, 0, pg_own_step },
	{ SP_TARGET, IN(T_OWN), 't', 2, 512u << 10, pg_own_step },
	{ SP_TARGET, IN(T_OWN), 'n', 0, 0, pg_own_step },
	{ SP_TARGET, IN(T_OWN), 'T', 2, 512u << 10, pg_own_step },
	{ SP_TARGET, IN(T_OWN), 'D', 2, MAX_ROW, pg_own_row },
	{ SP_TARGET, IN(T_OWN), 'C', 1, 1024, pg_own_step },
	{ SP_TARGET, IN(T_OWN), 'Z', 1, 1, pg_own_ready },
	{ SP_TARGET, IN(T_OWN), 'E', 1, 1u << 20, pg_own_error },
};
#define ROWS (sizeof(table) / sizeof(*table))
_Static_assert(ROWS < UINT8_MAX, "a row's number is a byte");

/* The table by state and message: number of the row + 1, 0 where there is none. */
static uint8_t row_at[PG_STATES][128];

static void
table_index(void)
{
	for (unsigned i = 0; i < ROWS; i++)
		for (unsigned state = 0; state < PG_STATES; state++)
			if ((table[i].in & IN(state)) != 0)
				row_at[state][table[i].type] = (uint8_t)(i + 1);
}

const char *
pg_state_name(enum pg_state state)
{
	return state < PG_STATES ? state_name[state] : "?";
}

void
pg_enter(struct pg *p, enum pg_state client)
{
	if (p->client == client)
		return;
	sp_log(p->s, SP_DEBUG, "client: %s, then %s", pg_state_name(p->client), pg_state_name(client));
	p->client = client;
}

void
pg_enter_login(struct pg *p, enum pg_state target)
{
	sp_log(p->s, SP_DEBUG, "target: %s, then %s", pg_state_name(p->login), pg_state_name(target));
	p->login = target;
}

enum pg_state
pg_target_state(const struct pg *p)
{
	if (p->login != T_IDLE || p->queue.n == 0)
		return p->login;
	return p->queue.v[p->queue.first].state;
}

bool
pg_settled(const struct pg *p)
{
	return p->queue.n == 0;
}

struct sp_writer *
pg_out(struct pg *p, enum sp_side to)
{
	return sp_out(p->s, to);
}

bool
pg_behind(const struct pg *p, enum sp_side from)
{
	return p->run[from] > 0;
}

bool
pg_unsent(const struct pg *p, enum sp_side from)
{
	return p->run[from] > 0 || p->done[from] > 0;
}

/* ---- framing ---- */

static enum pg_state
state_of_side(const struct pg *p, enum sp_side side)
{
	return side == SP_CLIENT ? p->client : pg_target_state(p);
}

static size_t
row_max(const struct pg *p, const struct row *row)
{
	switch (row->max) {
	case MAX_STATEMENT:
		return p->conf->statement_max + 1024; /* the text, a name, parameter types */
	case MAX_ROW:
		return p->conf->row_max;
	case MAX_STREAM:
		return PG_MESSAGE_MAX - 4;
	default:
		return row->max;
	}
}

/* What starts at the reader: its pseudo type and length, or 0 when too little is there. */
static int
frame_startup(struct sp_reader r, struct pg_message *m_r)
{
	static const struct { uint32_t code; uint8_t type; } code[] = {
		{ 80877102, M_CANCEL }, { 80877103, M_SSL }, { 80877104, M_GSS },
	};
	if (r.left > 0 && r.p[0] == 0x16) { /* a TLS handshake record */
		*m_r = (struct pg_message){ .type = M_DIRECT_TLS };
		return SP_OK;
	}
	if (r.left < 8)
		return 8;
	uint32_t length = sp_rd_be32(&r), request = sp_rd_be32(&r);
	*m_r = (struct pg_message){ .type = M_STARTUP, .size = length };
	for (size_t i = 0; i < sizeof(code) / sizeof(*code); i++)
		if (code[i].code == request)
			m_r->type = code[i].type;
	return length < 8 ? SP_EPROTO : SP_OK;
}

static int
frame(enum pg_state state, struct sp_reader r, struct pg_message *m_r)
{
	if (state == C_START || state == C_STARTUP)
		return frame_startup(r, m_r);
	if (state == T_SSL) {
		*m_r = (struct pg_message){ .type = M_SSL_ANSWER, .size = 1 };
		return SP_OK;
	}
	if (r.left < PG_HEADER)
		return PG_HEADER;
	m_r->type = sp_rd_u8(&r);
	uint32_t length = sp_rd_be32(&r);
	m_r->size = (size_t)length + 1;
	return length < 4 ? SP_EPROTO : SP_OK;
}

static size_t
header_size(const struct pg_message *m)
{
	return m->type < ' ' ? 0 : PG_HEADER;
}

/* A message's name in a log line. */
static const char *
type_name(uint8_t type, char text[8])
{
	static const char *const untyped[] = {
		[M_STARTUP] = "StartupMessage", [M_SSL] = "SSLRequest", [M_GSS] = "GSSENCRequest",
		[M_CANCEL] = "CancelRequest", [M_DIRECT_TLS] = "ClientHello", [M_SSL_ANSWER] = "answer to SSLRequest",
	};
	if (type < sizeof(untyped) / sizeof(*untyped) && untyped[type] != NULL)
		return untyped[type];
	(void)snprintf(text, 8, type > ' ' && type < 0x7f ? "'%c'" : "%u", type);
	return text;
}

static const char *
side_name(enum sp_side side)
{
	return side == SP_CLIENT ? "client" : "target";
}

/* The one line in the log of a session that a message ends; a handler may have said it better. */
static int
refuse_message(struct pg *p, enum sp_side from, const struct pg_message *m, enum pg_state state, int rc)
{
	char text[8];
	const char *why = rc == SP_EPROTO ? "is malformed or out of place" : rc == SP_ETOOBIG ? "is too long" : "could not be handled";
	return sp_fail(p->s, rc, "message %s from the %s %s in state %s", type_name(m->type, text), side_name(from), why,
	    pg_state_name(state));
}

/* The first message of `left`: its row and, once enough of it is there, the message. */
static int
message_next(struct pg *p, enum sp_side from, struct sp_reader left, const struct row **row_r, struct pg_message *m_r)
{
	enum pg_state state = state_of_side(p, from);
	int rc = frame(state, left, m_r);
	if (rc > 0)
		return rc;
	unsigned at = rc < 0 || m_r->type >= 128 ? 0 : row_at[state][m_r->type];
	char text[8];
	if (at == 0)
		return sp_fail(p->s, SP_EPROTO, "message %s of %zu bytes is not acceptable from the %s in state %s",
		    type_name(m_r->type, text), m_r->size, side_name(from), pg_state_name(state));
	const struct row *row = &table[at - 1];
	size_t head = header_size(m_r), body = m_r->size - head;
	if (body < row->min || body > row_max(p, row))
		return sp_fail(p->s, SP_EPROTO, "message %s from the %s has an impossible length of %zu bytes",
		    type_name(m_r->type, text), side_name(from), body);
	size_t needed = row->max == MAX_STREAM && m_r->size > PG_STREAM_FROM ? head + row->min : m_r->size;
	if (left.left < needed)
		return (int)needed;
	(void)sp_rd_take(&left, head);
	m_r->body = sp_rd_take(&left, body < left.left ? body : left.left);
	*row_r = row;
	return SP_OK;
}

/* ---- moving ---- */

/* Send on what was accepted, drop what is done with; what is recorded of it goes first. */
static int
run_flush(struct pg *p, enum sp_side from)
{
	size_t run = p->run[from], done = p->done[from];
	int rc = pg_record_flush();
	p->run[from] = p->done[from] = 0;
	if (rc == SP_OK && run > 0) {
		if (from == SP_CLIENT)
			p->flushed = false;
		rc = sp_pass(p->s, from, run);
	}
	if (rc == SP_OK && done > 0)
		rc = sp_drop(p->s, from, done);
	return rc;
}

/* Messages that come by themselves reach the client even when an answer is withheld. */
static bool
is_asynchronous(uint8_t type)
{
	return type == 'N' || type == 'A' || type == 'S';
}

/* What becomes of a message: SP_OK to look at the next in the same bytes, PG_AGAIN to look anew. */
static int
settle(struct pg *p, enum sp_side from, int fate, const struct pg_message *m)
{
	size_t before = p->run[from] + p->done[from];
	bool moved = false;
	if (fate == PG_PASS && from == SP_TARGET && p->muted && !is_asynchronous(m->type))
		fate = PG_DROP;
	if (fate < 0)
		return fate;
	if (fate == PG_AGAIN && before == 0)
		return sp_fail(p->s, SP_EINTERNAL, "a message goes round in circles");
	if ((fate == PG_PASS && p->done[from] > 0) || (fate == PG_DROP && p->run[from] > 0) || fate >= PG_WAIT) {
		int rc = run_flush(p, from);
		if (rc != SP_OK)
			return rc;
		moved = true;
	}
	if (fate == PG_PASS)
		p->run[from] += m->size;
	else if (fate == PG_DROP)
		p->done[from] += m->size;
	return fate == PG_WAIT ? PG_WAIT : moved ? PG_AGAIN : SP_OK;
}

static int
incomplete(struct pg *p, enum sp_side from, size_t wanted)
{
	int rc = run_flush(p, from);
	p->partial[from] = true;
	if (rc == SP_OK)
		rc = sp_want(p->s, from, wanted, PG_MESSAGE_MAX);
	return rc == SP_OK ? PG_WAIT : rc;
}

/* Most of a long answer: rows, many at a time. */
static int
take_rows(struct pg *p, enum sp_side from, struct sp_reader *left)
{
	size_t n = 0, *to = p->done[from] > 0 ? &p->done[from] : &p->run[from];
	int rc = from == SP_CLIENT ? SP_OK : pg_rows_run(p, (struct sp_bytes){ left->p, left->left }, &n);
	*to += n;
	(void)sp_rd_take(left, n);
	return rc;
}

/* Handle messages of what is there now: PG_WAIT, PG_AGAIN or an error. */
static int
pump_some(struct pg *p, enum sp_side from)
{
	struct sp_reader left = sp_reader(sp_peek(p->s, from));
	struct pg_message m = { .type = 0 };
	(void)sp_rd_take(&left, p->run[from] + p->done[from]);
	while (left.left > 0) {
		const struct row *row = NULL;
		if (sp_full(p->s, SP_OTHER(from)) || (from == SP_CLIENT && sp_full(p->s, SP_CLIENT)))
			break;
		if (from == SP_TARGET && (p->login == T_PROVING || p->login == T_WARM))
			break; /* the keeper computes; what came with the challenge is read after it.  Or it is another session's */
		if (from == SP_TARGET && pg_target_state(p) == T_LOCAL) {
			int rc = run_flush(p, from);
			if (rc == SP_OK)
				rc = pg_local(p);
			return rc != SP_OK ? rc : PG_AGAIN;
		}
		if (p->stream[from].left > 0) {
			m.type = p->stream[from].type;
			int rc = pg_stream(p, from, (struct sp_bytes){ left.p, left.left });
			return rc < 0 ? refuse_message(p, from, &m, state_of_side(p, from), rc) : settle(p, from, rc, &m);
		}
		m.type = 'D';
		int rc = take_rows(p, from, &left);
		if (left.left == 0 && rc == SP_OK)
			break;
		if (rc == SP_OK)
			rc = message_next(p, from, left, &row, &m);
		if (rc > 0)
			return incomplete(p, from, (size_t)rc);
		enum pg_state state = state_of_side(p, from);
		if (rc == SP_OK)
			rc = settle(p, from, row->handle(p, &m), &m);
		if (rc != SP_OK)
			return rc < 0 ? refuse_message(p, from, &m, state, rc) : rc;
		(void)sp_rd_take(&left, m.size);
	}
	return settle(p, from, PG_WAIT, &m);
}

static int
pump(struct pg *p, enum sp_side from)
{
	int rc;
	p->partial[from] = false;
	do
		rc = pump_some(p, from);
	while (rc == PG_AGAIN);
	if (rc == PG_WAIT)
		rc = p->unrecorded ? SP_EIO : pg_local(p);
	else
		pg_record_discard();
	if (rc < 0) /* unless a message has said it */
		rc = sp_fail(p->s, rc, "what came from the %s could not be recorded or passed on", side_name(from));
	/* We stop reading: the target must not sit on answers that we wait for. */
	bool stopped = from == SP_CLIENT && p->client == C_READY && !p->partial[from] && sp_peek(p->s, from).len > 0;
	if (rc == SP_OK && stopped && p->batch_sent && !p->flushed && p->queue.n > 0) {
		p->flushed = true;
		rc = pg_write_empty(pg_out(p, SP_TARGET), 'H');
	}
	return rc;
}

/* ---- callbacks ---- */

static struct pg *
state_of(struct sp_session *s)
{
	struct pg *p = sp_state(s);
	p->s = s;
	p->conf = sp_conf(s);
	return p;
}

static int
on_accept(struct sp_session *s)
{
	struct pg *p = state_of(s);
	table_index(); /* cheap, and check() may not have been asked yet in this process */
	p->client = C_START;
	p->login = T_NONE;
	return SP_OK;
}

static int
on_open(struct sp_session *s)
{
	struct pg *p = state_of(s);
	return pg_login_open(p);
}

static int
on_data(struct sp_session *s, enum sp_side from)
{
	struct pg *p = sp_state(s);
	if (from == SP_CLIENT && p->client == C_GONE)
		return sp_drop(s, from, sp_peek(s, from).len);
	if (p->login == T_WARM)
		return pg_login_warm(p);
	int rc = *sp_purpose(s) == '\0' ? pg_delayed_notice(p) : strcmp(sp_purpose(s), "estimate") == 0 ? pg_estimate_turn(p, from) : pg_catalogue_turn(p);
	return rc != SP_OK ? rc : pump(p, from);
}

static int
on_secure(struct sp_session *s, enum sp_side side, const struct sp_tls *t)
{
	struct pg *p = sp_state(s);
	if (side == SP_TARGET)
		return pg_login_secured(p);
	if (p->direct_tls && strcmp(t->alpn, "postgresql") != 0)
		return sp_fail(s, SP_EPROTO, "direct TLS without the ALPN \"postgresql\"");
	pg_enter(p, C_STARTUP);
	return SP_OK;
}

static int
on_notice(struct sp_session *s, const char *text)
{
	return pg_notice_text(sp_state(s), text, "");
}

static int
on_end(struct sp_session *s, enum sp_why why, const char *text)
{
	static const char *const code[] = {
		[SP_END_EOF] = "08006", [SP_END_SHUTDOWN] = "57P01", [SP_END_REVOKED] = "28000",
		[SP_END_EXPIRED] = "28000", [SP_END_IDLE] = "57P05", [SP_END_RULE] = "42501",
		[SP_END_RECORDER] = "58030", [SP_END_ERROR] = "08P01",
	};
	struct pg *p = sp_state(s);
	bool listens = p->client >= C_PASSWORD && p->client < C_GONE && p->stream[SP_TARGET].left == 0;
	if (*sp_purpose(s) != '\0')
		return SP_OK;
	int rc = why == SP_END_EOF || pg_settled(p) ? SP_OK : pg_cancel_target(p);
	if (rc != SP_OK || !listens)
		return rc;
	pg_enter(p, C_GONE);
	struct pg_report e = { "FATAL", code[why], text, pg_last_hint(p) };
	return pg_write_report(pg_out(p, SP_CLIENT), 'E', &e);
}

static void
on_close(struct sp_session *s)
{
	struct pg *p = state_of(s); /* a side session may end before it began */
	pg_question_clear(p);
	pg_queue_clear(p);
	free(p->delayed);
	pg_objects_end(p);
	pg_prepared_forget(p);
	pg_defined_end(p);
	pg_catalogue_leave(p);
	pg_cancel_close(p);
	pg_estimate_close(p);
}

static int
on_check(void *conf, const char **err_r)
{
	const struct pg_conf *c = conf;
	*err_r = NULL;
	if (c->row_max < 64u << 10 || c->row_max > 512u << 20)
		*err_r = "row_max must be between 64k and 512m";
	else if (c->statement_max < 1024 || c->statement_max > 16u << 20)
		*err_r = "statement_max must be between 1k and 16m";
	else if (c->portals_max == 0 || c->prepared_max == 0 || c->portals_max > 10000 || c->prepared_max > 100000)
		*err_r = "portals_max must be between 1 and 10000, prepared_max between 1 and 100000";
	table_index();
	return *err_r == NULL ? SP_OK : SP_ECONF;
}

static const struct sp_directive directives[] = {
	{ "row_max", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct pg_conf, row_max), "16m",
	    "Longest row that is buffered to be masked, and longest set of parameters; longer ones are an error." },
	{ "statement_max", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct pg_conf, statement_max), "1m",
	    "Longest statement text that is analysed; a longer one ends the session." },
	{ "prepared_max", SP_TYPE_INT, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct pg_conf, prepared_max), "1000",
	    "Prepared statements that a session may hold at once." },
	{ "portals_max", SP_TYPE_INT, SP_IN_MODULE | SP_IN_TARGET, offsetof(struct pg_conf, portals_max), "100",
	    "Portals that a session may hold open at once." },
	{ .name = NULL }
};

SP_MODULE(postgres) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "postgres",
	.caps = SP_CAP_STARTTLS | SP_CAP_MASK | SP_CAP_CREDENTIAL,
	.directives = directives,
	.attrs = pg_attrs,
	.kinds = pg_kinds,
	.conf_size = sizeof(struct pg_conf),
	.session_size = sizeof(struct pg),
	.check = on_check,
	.classify = pg_classify,
	.skeleton = pg_skeleton,
	.accept = on_accept,
	.admitted = pg_admitted,
	.open = on_open,
	.proved = pg_login_proved,
	.data = on_data,
	.held = pg_held,
	.verdict = pg_verdict,
	.secure = on_secure,
	.drained = NULL,
	.cancel = pg_cancelled,
	.notice = on_notice,
	.end = on_end,
	.close = on_close,
	.manual = pg_setting_manual,
	.pinnable = pg_setting_pinnable,
	.adopt = pg_login_adopt,
	.estimate = pg_estimate,
};
