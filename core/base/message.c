/* SPDX-License-Identifier: Apache-2.0 */
/* The table of messages, and the codec that obeys it. */
#include <config.h>

#include "message.h"

#include "digest.h"

#define MESSAGE_HEAD 12 /* length, type, number of fds, id */

static const char *const role_names[] = {
	[ROLE_NONE] = "none",
	[ROLE_MASTER] = "master",
	[ROLE_KEEPER] = "keeper",
	[ROLE_RECORDER] = "recorder",
	[ROLE_WORKER] = "worker",
	[ROLE_CONSOLE] = "console",
	[ROLE_CHECK] = "check",
	[ROLE_FETCH] = "fetch",
	[ROLE_SAML] = "saml",
	[ROLE_LEND] = "lend",
	[ROLE_SHIP] = "ship",
	[ROLE_DIAL] = "dial",
};
_Static_assert(sizeof(role_names) / sizeof(*role_names) == ROLES, "every role has a name");

enum { /* sets of roles */
	M = 1 << ROLE_MASTER,
	K = 1 << ROLE_KEEPER,
	R = 1 << ROLE_RECORDER,
	W = 1 << ROLE_WORKER,
	C = 1 << ROLE_CONSOLE,
	T = 1 << ROLE_CHECK, /* tries a configuration */
	F = 1 << ROLE_FETCH,
	S = 1 << ROLE_SAML,
	L = 1 << ROLE_LEND,
	P = 1 << ROLE_SHIP,
	D = 1 << ROLE_DIAL,
	ALL = K | R | W | C | F | S | L | P | D
};

struct row {
	const char *name, *fields;
	unsigned from, to;
	unsigned min_fds, max_fds;
};

static const struct row table[MESSAGES] = {
	[MSG_EPOCH] = { "epoch", "q", M, ALL, 1, 1 },
	[MSG_LINK] = { "link", "qq", M, ALL, 1, 1 },
	[MSG_LISTENER] = { "listener", "s", M, W | C, 1, 1 },
	[MSG_RING] = { "ring", "q", M, R | W, 3, 3 },
	[MSG_BOARD] = { "board", "q", M, W | K, 1, 1 },
	[MSG_REOPEN] = { "reopen", "", M, ALL, 1, 3 },
	[MSG_QUIT] = { "quit", "q", M, ALL, 0, 0 },
	[MSG_RECORDER] = { "recorder", "q", M, W, 0, 0 },
	[MSG_CALLER] = { "caller", "qqs", M, K | C, 0, 1 },
	[MSG_WORKER_GONE] = { "worker-gone", "q", M, K | R, 0, 0 },

	[MSG_READY] = { "ready", "", ALL, M, 0, 0 },
	[MSG_EPOCH_TAKEN] = { "epoch-taken", "qqs", ALL, M, 0, 0 },
	[MSG_ANCHOR] = { "anchor", "s", R, M, 0, 0 },
	[MSG_DRAINED] = { "drained", "", W, M, 0, 0 },
	[MSG_CHECKED] = { "checked", "qs", T, M, 0, 1 },

	[MSG_AUTHENTICATE] = { "authenticate", "sqssssssq", W, K, 0, 0 },
	[MSG_ADMITTED] = { "admitted", "sqsssssqqq", K, W, 0, 0 },
	[MSG_PROVE] = { "prove", "ssqss", W, K, 0, 0 },
	[MSG_PROVED] = { "proved", "sqss", K, W, 0, 0 },
	[MSG_OPENED] = { "opened", "s", W, K, 0, 0 },
	[MSG_CLOSED] = { "closed", "sqsqqqq", W, K, 0, 0 },
	[MSG_RESUME] = { "resume", "sssssqq", W, K, 0, 0 },
	[MSG_CANCEL_KEY] = { "cancel-key", "sqs", W, K, 0, 0 },
	[MSG_CANCEL] = { "cancel", "sqs", W, K, 0, 0 },
	[MSG_CANCELLED] = { "cancelled", "s", K, W, 0, 0 },
	[MSG_HOLD] = { "hold", "sqssssqqqsqqq", W, K, 0, 0 },
	[MSG_HELD] = { "held", "sqsss", K, W, 0, 0 },
	[MSG_DECISION] = { "decision", "sqsqsss", K, W, 0, 0 },
	[MSG_WITHDRAW] = { "withdraw", "sqs", W, K, 0, 0 },
	[MSG_RAN] = { "ran", "sqsq", W, K, 0, 0 },
	[MSG_DERIVE] = { "derive", "ss", W, K, 0, 0 },
	[MSG_DERIVED] = { "derived", "sss", K, W, 0, 0 },
	[MSG_TLS_SIGN] = { "tls-sign", "sqs", W, K, 0, 0 },
	[MSG_TLS_SIGNED] = { "tls-signed", "sqs", K, W, 0, 0 },
	[MSG_ESTIMATE] = { "estimate", "ss", W, K, 0, 0 },
	[MSG_SHARE_PUT] = { "share-put", "sqssq", W, K, 0, 0 },
	[MSG_SHARE_GET] = { "share-get", "sqs", W, K, 0, 0 },
	[MSG_SHARED] = { "shared", "sqqsq", K, W, 0, 0 },
	[MSG_GROUP] = { "group", "ss", W, K, 0, 0 },
	[MSG_CONNECT] = { "connect", "s", W, K, 0, 0 },
	[MSG_CONNECTED] = { "connected", "sqs", K, W, 0, 1 },
	[MSG_SIDE] = { "side", "ssss", W, K, 0, 0 },
	[MSG_LEAVING] = { "leaving", "", K, W, 0, 0 },
	[MSG_KILL] = { "kill", "sqs", K, W, 0, 0 },
	[MSG_EXPIRES] = { "expires", "sq", K, W, 0, 0 },
	[MSG_RULES] = { "rules", "s", K, W, 0, 0 },
	[MSG_RULED] = { "ruled", "qs", W, K, 0, 0 },

	[MSG_SIGN] = { "sign", "qsqqsqq", R, K, 0, 0 },
	[MSG_SIGNED] = { "signed", "ss", K, R, 0, 0 },
	[MSG_FETCH] = { "fetch", "s", K, R, 0, 0 },
	[MSG_FETCHED] = { "fetched", "sqs", R, K, 0, 1 },
	[MSG_AUDIT] = { "audit", "s", K, R, 0, 0 },
	[MSG_REMOVE] = { "remove", "s", R, K, 0, 0 },
	[MSG_KEYS] = { "keys", "ss", K, R, 0, 0 },
	[MSG_MEASURE] = { "measure", "", K, R, 0, 0 },
	[MSG_MEASURED] = { "measured", "s", R, K, 0, 0 },
	[MSG_HAVE] = { "have", "q", R, K, 0, 0 },

	[MSG_CALL] = { "call", "qsqs", C, K, 0, 0 },
	[MSG_RESULT] = { "result", "qs", K, C, 0, 1 },

	[MSG_OUTSIDE] = { "outside", "sssssqq", K, F, 0, 0 },
	[MSG_OUTSIDE_TOLD] = { "outside-told", "qsss", F, K, 0, 0 },
	[MSG_SAML] = { "saml", "sss", K, S, 0, 0 },
	[MSG_SAML_TOLD] = { "saml-told", "qss", S, K, 0, 0 },
	[MSG_LEND] = { "lend", "ssss", K, L, 0, 0 },
	[MSG_LENT] = { "lent", "sqssqs", L, K, 0, 0 },
	[MSG_RETURN] = { "return", "sssss", K, L, 0, 0 },
	[MSG_RETURNED] = { "returned", "sqss", L, K, 0, 0 },

	[MSG_DIAL] = { "dial", "ss", K, D, 0, 0 },
	[MSG_DIALED] = { "dialed", "sqs", D, K, 0, 1 },

	[MSG_TRY] = { "try", "", M, W, 0, 0 },
	[MSG_FOUND] = { "found", "qss", W, M, 0, 0 },
};

static const struct row *
row_of(unsigned type)
{
	return type < MESSAGES && table[type].name != NULL ? &table[type] : NULL;
}

const char *
role_name(enum role r)
{
	return (unsigned)r < ROLES ? role_names[r] : "?";
}

const char *
message_name(unsigned type)
{
	const struct row *row = row_of(type);
	return row == NULL ? "?" : row->name;
}

bool
message_allowed(enum message_type type, enum role from, enum role to)
{
	const struct row *row = row_of(type);
	return row != NULL && (unsigned)from < ROLES && (unsigned)to < ROLES && (row->from & 1u << from) != 0 &&
	    (row->to & 1u << to) != 0;
}

void
message_dialect(uint8_t out[32])
{
	struct digest *d = digest_begin();
	uint32_t dialect = DIALECT;
	digest_add(d, (struct sp_bytes){ (const uint8_t *)&dialect, sizeof(dialect) });
	for (unsigned i = 0; i < MESSAGES; i++) {
		const struct row *r = &table[i];
		const uint32_t numbers[] = { i, r->from, r->to, r->min_fds, r->max_fds };
		digest_add(d, (struct sp_bytes){ (const uint8_t *)numbers, sizeof(numbers) });
		digest_add_part(d, sp_str(r->name == NULL ? "" : r->name));
		digest_add_part(d, sp_str(r->fields == NULL ? "" : r->fields));
	}
	digest_end(&d, out);
}

int
message_encode(const struct message *m, struct buffer *out)
{
	const struct row *row = row_of(m->type);
	if (row == NULL || m->nfds < row->min_fds || m->nfds > row->max_fds)
		return SP_EINTERNAL;
	struct sp_writer w = buffer_writer(out);
	sp_wr_be32(&w, 0);
	sp_wr_be16(&w, m->type);
	sp_wr_be16(&w, (uint16_t)m->nfds);
	sp_wr_be32(&w, m->id);
	for (size_t i = 0; row->fields[i] != '\0'; i++) {
		if (row->fields[i] == 'q') {
			sp_wr_be64(&w, m->f[i].q);
			continue;
		}
		if (m->f[i].s.len > MESSAGE_MAX)
			return SP_ETOOBIG;
		sp_wr_be32(&w, (uint32_t)m->f[i].s.len);
		sp_wr_put(&w, m->f[i].s);
	}
	if (w.bad || w.len - 4 > MESSAGE_MAX)
		return SP_ETOOBIG;
	sp_wr_patch32(&w, 0, w.len - 4);
	return buffer_written(out, &w);
}

static void
message_clear(struct message *m)
{
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < MESSAGE_FDS; i++)
		m->fd[i] = -1;
}

long
message_decode(struct sp_bytes in, struct message *m_r)
{
	message_clear(m_r);
	if (in.len < MESSAGE_HEAD)
		return 0;
	struct sp_reader r = sp_reader(in);
	size_t length = sp_rd_be32(&r);
	unsigned type = sp_rd_be16(&r);
	const struct row *row = row_of(type);
	if (length > MESSAGE_MAX)
		return SP_ETOOBIG;
	if (row == NULL || length < MESSAGE_HEAD - 4)
		return SP_EPROTO;
	m_r->type = (uint16_t)type;
	m_r->nfds = sp_rd_be16(&r);
	m_r->id = sp_rd_be32(&r);
	if (m_r->nfds < row->min_fds || m_r->nfds > row->max_fds)
		return SP_EPROTO;
	if (length - (MESSAGE_HEAD - 4) > r.left)
		return 0;
	r = sp_reader(sp_rd_take(&r, length - (MESSAGE_HEAD - 4)));
	for (size_t i = 0; row->fields[i] != '\0'; i++) {
		if (row->fields[i] == 'q')
			m_r->f[i].q = sp_rd_be64(&r);
		else
			m_r->f[i].s = sp_rd_take(&r, sp_rd_be32(&r));
	}
	return sp_rd_done(&r) ? (long)length + 4 : SP_EPROTO;
}
