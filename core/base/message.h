/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes say to one another: one table of messages, one codec.
 *
 *   be32 length of what follows | be16 type | be16 number of fds | be32 id | fields
 *   field 'q': be64      field 's': be32 length, bytes
 *
 * The table (message.c) says who may send what to whom and which fields it has.  A message that is
 * not in it, from the wrong role, too long, or with a byte too many or too few ends the link: the
 * peer is broken or hostile.  An id is the sender's own; a reply carries the id of its request.
 */
#ifndef SALLYPORT_MESSAGE_H
#define SALLYPORT_MESSAGE_H

#include "memory.h"

enum role {
	ROLE_NONE, ROLE_MASTER, ROLE_KEEPER, ROLE_RECORDER, ROLE_WORKER, ROLE_CONSOLE, ROLE_CHECK,
	ROLE_FETCH, ROLE_SAML, ROLE_LEND, ROLE_SHIP, ROLE_DIAL, /* helpers (core/helper/helper.h) */
	ROLES
};
const char *role_name(enum role r);
static inline bool
role_is_helper(enum role r)
{
	return r >= ROLE_FETCH && r < ROLES;
}

#define RAN_TEXT_MAX (512u << 10) /* no approved file holds more than half of it */
enum ran { RAN_RENAMES = 1, RAN_FAILED = 2 }; /* bits: names may mean something else behind it; it has failed, or was refused */

enum message_type {
	/* master → any */
	MSG_EPOCH = 1,   /* fd: sealed memfd (epoch.h) | number */
	MSG_LINK,        /* fd: socket | role of the peer, its index */
	MSG_LISTENER,    /* fd: listening socket | name */
	MSG_RING,        /* fds: memory, doorbell to recorder, doorbell to worker | worker index */
	MSG_BOARD,       /* fd: memory | slot; the keeper only reads there */
	MSG_REOPEN,      /* fds: error log [, for the recorder: audit and access log; for ship: audit log to read, how far it came; for the keeper: audit log to read] */
	MSG_QUIT,        /* graceful: 1 or 0 */
	MSG_CALLER,      /* keeper: no fd; console: fd of the accepted connection | connection, uid, name */
	MSG_WORKER_GONE, /* to keeper and recorder | worker index */
	/* any → master */
	MSG_READY,       /* up and locked down */
	MSG_EPOCH_TAKEN, /* number, ok, text */
	MSG_DRAINED,     /* worker: no session left, or all is tried */
	MSG_ANCHOR,      /* recorder: an anchor's line, for a log host | line */
	MSG_CHECKED,     /* check: fd: memfd when ok | ok, text */

	/* worker → keeper, and the answers */
	MSG_AUTHENTICATE, /* session, kind, secret, user, target, part, address, protocol, tls */
	MSG_ADMITTED,     /* session, what (enum sp_admit), text, bytes, principal (JSON), target, login, expires (wall µs), start (wall µs),
	                     reports: what runs is said to the keeper (MSG_RAN) */
	MSG_PROVE,        /* session, mechanism, step, transcript, binding */
	MSG_PROVED,       /* session, ok, bytes, text */
	MSG_OPENED,       /* session */
	MSG_CLOSED,       /* session, why (enum sp_why), text, operations, denied, rows, bytes */
	MSG_RESUME,       /* session, principal (JSON), target, part, address, start, expires: after a keeper's restart */
	MSG_CANCEL_KEY,   /* session, pid, key */
	MSG_CANCEL,       /* address, pid, key */
	MSG_CANCELLED,    /* session */
	MSG_HOLD,         /* session, op, hash, rule, rule hash, by, count, within ms, next run, view (JSON for the approver), need reason,
	                     may not wait: its transaction has written,
	                     an agent's sponsor may decide */
	MSG_HELD,         /* session, op, approval, short hash, text for the client */
	MSG_DECISION,     /* session, op, approval, allow, by (JSON), text, the hash that was asked for */
	MSG_WITHDRAW,     /* session, op, text */
	MSG_RAN,          /* session, op, text, what (enum ran): in a session that was admitted with `reports`: what is allowed without
	                     a hold, and what failed; text: empty when it has parameters or more than RAN_TEXT_MAX bytes */
	MSG_DERIVE,       /* purpose, name */
	MSG_DERIVED,      /* purpose, name, key */
	MSG_TLS_SIGN,     /* session, GnuTLS's number of the algorithm, what a client's CertificateVerify signs */
	MSG_TLS_SIGNED,   /* session, ok, signature */
	MSG_ESTIMATE,     /* approval, what the planner expects it to be about, or why it was not asked */
	MSG_SHARE_PUT,    /* session, scope (enum sp_share), key, value, ms to live */
	MSG_SHARE_GET,    /* session, scope, key */
	MSG_SHARED,       /* session, ok, found, value, ms that it still lives; the id is the question's */
	MSG_GROUP,        /* session, name: it belongs to all others that say the same */
	MSG_CONNECT,      /* session: a connection to its target, which is a socket of this machine's (unix:) */
	MSG_CONNECTED,    /* [fd] | session, ok, text */
	MSG_SIDE,         /* session id of a connection of the gateway's own, target, part, purpose: proofs for it are wanted */
	/* keeper → worker */
	MSG_LEAVING,      /* nothing: it ends in order, and answers no new MSG_AUTHENTICATE: ask the one that comes */
	MSG_KILL,         /* session, why (enum sp_why), text */
	MSG_EXPIRES,      /* session, wall µs */
	MSG_RULES,        /* about the rules in force (JSON, rules.c of both) */
	MSG_RULED,        /* worker → keeper: status as HTTP counts, JSON */

	/* recorder → keeper, and the answers */
	MSG_SIGN,         /* kind, session, blocks, frames, chain hash, bytes, wall µs */
	MSG_SIGNED,       /* entry (ledger.h), signature */
	MSG_FETCH,        /* keeper → recorder: session */
	MSG_FETCHED,      /* fd: read only | session, ok, text */
	MSG_AUDIT,        /* keeper → recorder: one JSON line */
	MSG_REMOVE,       /* recorder → keeper: session whose retention ended; answered by MSG_SIGNED (tombstone) */
	MSG_KEYS,         /* keeper → recorder: public signing key, redaction key */
	MSG_MEASURE,      /* keeper → recorder: what has it counted? */
	MSG_MEASURED,     /* recorder → keeper: JSON (count.c) */
	MSG_HAVE,         /* recorder → keeper: number of the last ledger entry it holds; every later one follows as MSG_SIGNED */

	/* console → keeper, and the answer */
	MSG_CALL,         /* connection, bearer token, call (route.h), arguments (JSON) */
	MSG_RESULT,       /* [fd] | status, JSON */

	/* keeper → helpers, and their answers; every job stands alone, its id names it */
	MSG_OUTSIDE,      /* fetch: method, URL, header lines, body, authorities (a file of the epoch, or ""), within ms, at most bytes */
	MSG_OUTSIDE_TOLD, /* status as HTTP counts, or 0; content type, body, why there is no status */
	MSG_SAML,         /* saml: what, identity, its input (JSON) */
	MSG_SAML_TOLD,    /* ok, JSON, text */
	MSG_LEND,         /* lend: session, target, job (JSON), secret */
	MSG_LENT,         /* session, ok, user, secret, until (wall µs), text */
	MSG_RETURN,       /* lend: session, target, user, job (JSON), secret */
	MSG_RETURNED,     /* session, ok, text, user */

	MSG_DIAL,         /* dial: session, path */
	MSG_DIALED,       /* [fd] | session, ok, text */

	/* sallyportd -t --connect: master → worker, and its answers */
	MSG_TRY,          /* log in at each target, and say what those logins may do */
	MSG_FOUND,        /* whether it is refused, target, text */
	/* an upgrade: master → worker */
	MSG_RECORDER,     /* another recorder follows in order: sessions wait for it, without sync_wait | ms, at most */
	MESSAGES
};

#define MESSAGE_FIELDS 13
#define MESSAGE_FDS 3
#define MESSAGE_MAX (8u << 20)

struct field {
	uint64_t q;
	struct sp_bytes s;
};

/* Field positions, by message: F(session) is 0 wherever a message names a session first. */
struct message {
	uint16_t type;
	uint32_t id;
	struct field f[MESSAGE_FIELDS];
	int fd[MESSAGE_FDS]; /* -1: none.  Received fds belong to the receiver, who sets -1 on taking one */
	unsigned nfds;
};

#define Q(v) { .q = (uint64_t)(v) }
#define S(b) { .s = (b) }
#define Z(str) { .s = sp_str(str) }

/* True when the table lets `from` say this to `to`. */
bool message_allowed(enum message_type type, enum role from, enum role to);
const char *message_name(unsigned type);
/*
 * A hash of the table and of DIALECT: processes of two versions understand one another when both have the same.  DIALECT
 * changes when a field's meaning does, or the layout of what they share: rings, the board, an epoch, what upgrade.c hands on.
 */
#define DIALECT 2
void message_dialect(uint8_t out[32]);
/* Appends the encoded message. */
int message_encode(const struct message *m, struct buffer *out) SP_MUST;
/*
 * Decodes one message from the front of `in`: bytes used, 0 when more are needed, or a negative
 * sp_rc.  Fields borrow from `in`.
 */
long message_decode(struct sp_bytes in, struct message *m_r) SP_MUST;

#endif
