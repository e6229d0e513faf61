/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper must not forget: sessions, approvals and votes, the ledger, revocations, where
 * tokens were seen.  In one SQLite file, or shared with other gateways at a PostgreSQL server.
 *
 * Every statement is a row of one table (store.c) with the types of its arguments and columns, and
 * is prepared once.  The first write opens a transaction; store_commit() ends it with an fsync, for
 * all that was written since: whoever promises something waits for it (reply.h).
 */
#ifndef SALLYPORT_KEEPER_STORE_H
#define SALLYPORT_KEEPER_STORE_H

#include <event2/event.h>

#include "../base/digest.h"
#include "../base/message.h"

struct store;

enum store_statement {
	STORE_SESSION_ADD,       /* id, principal, issuer, subject, user, target, part, address, protocol, started, gateway, token */
	STORE_SESSIONS_OF_TOKEN, /* token, gateway → how many of other gateways are live */
	STORE_SESSION_END,       /* ended, why, text, operations, denied, rows, bytes, id */
	STORE_SESSION_OPEN_IDS,  /* gateway, gateway or "" → id */
	STORE_SESSION_LIST,      /* before, live only, user, target, issuer, subject, limit, and of those of `before` itself ids below, since, with a verdict (0 any, allow, deny, held), words (in small letters, as LIKE has them, or ""), of a group or "" → the columns of a session */
	STORE_SESSION_GET,       /* id → the columns of a session */
	STORE_TOKEN_SEEN,        /* token, address, expires; does nothing when it is there */
	STORE_TOKEN_GET,         /* token → address */
	STORE_TOKEN_FORGET,      /* now */
	STORE_REVOKE,            /* kind, issuer, name, not before */
	STORE_REVOKED,           /* issuer, subject, issuer, user → not before */
	STORE_REVOKED_FORGET,    /* not before */
	STORE_LEDGER_ADD,        /* number, session, kind, entry */
	STORE_LEDGER_LAST,       /* → entry */
	STORE_LEDGER_SESSION,    /* session → entry */
	STORE_LEDGER_LAST_OF,    /* session → entry */
	STORE_LEDGER_SINCE,      /* number → entries after it */
	STORE_APPROVAL_ADD,      /* the columns of an approval: approval_column, mac */
	STORE_APPROVAL_GET,      /* id → the columns of an approval */
	STORE_APPROVAL_PREFIX,   /* first id, last id → id */
	STORE_APPROVAL_LIST,     /* state or -1, limit → the columns of an approval */
	STORE_APPROVAL_OF_OP,    /* session, op, hash, rule hash → the columns of an approval */
	STORE_APPROVAL_OF_RUN,   /* hash, rule hash, issuer, subject, target, now → the columns of an approval */
	STORE_APPROVAL_OF_SESSION, /* session, state → the columns of an approval: operations, and files begun there */
	STORE_APPROVAL_FILES,    /* issuer, subject, target, now → the columns of an approval */
	STORE_APPROVAL_STATE,    /* session, view, expires, state, decided, text, spent, mac, id, state and mac it must have, now */
	STORE_APPROVAL_PENDING,  /* issuer, subject; "" for all → how many */
	STORE_APPROVAL_DUE,      /* now → the columns of an approval */
	STORE_VOTE_ADD,          /* the columns of a vote: vote_column, mac */
	STORE_VOTES,             /* approval → the columns of a vote */
	STORE_GRANT_ADD,         /* the columns of a grant: grant_column, mac */
	STORE_GRANT_PREFIX,      /* first id, last id → id */
	STORE_GRANT_GET,         /* id → the columns of a grant */
	STORE_GRANT_OF,          /* issuer, subject, target, now → the columns of a grant */
	STORE_GRANT_LIST,        /* live only, limit → the columns of a grant */
	STORE_GRANT_DUE,         /* now → the columns of a grant */
	STORE_GRANT_END,         /* state, ended, text, mac, id, mac it must have */
	STORE_TICKET_ADD,        /* the columns of a ticket: ticket_column, mac */
	STORE_TICKET_GET,        /* id → the columns of a ticket */
	STORE_TICKET_LIST,       /* now → the columns of a ticket */
	STORE_TICKET_OF,         /* parent → the columns of a ticket */
	STORE_TICKET_COUNT,      /* issuer, subject, now → how many are live */
	STORE_TICKET_CHANGE,     /* host, used, state, text, mac, id, mac it must have */
	STORE_TICKET_USE,        /* the same, of which nobody else is told */
	STORE_TICKET_FORGET,     /* window before that */
	STORE_CODE_ADD,          /* the columns of a code: code_column, mac */
	STORE_CODE_GET,          /* id → the columns of a code */
	STORE_CODE_OF_HASH,      /* hash → the columns of a code */
	STORE_CODE_LIST,         /* → the columns of a code */
	STORE_CODE_CHANGE,       /* state, changed, text, mac, id, mac it must have */
	STORE_SIGNIN_LAST,       /* → the columns of sign-ins, the latest first */
	STORE_GATEWAY_SEEN,      /* gateway, now */
	STORE_GATEWAYS_SILENT,   /* but this one, seen before → gateway */
	STORE_GATEWAY_GONE,      /* gateway, seen before */
	STORE_WISH_ADD,          /* session, gateway, text, at */
	STORE_WISHES,            /* gateway → session, text */
	STORE_WISHES_DONE,       /* gateway */
	STORE_PROVIDER_KEEP,     /* issuer, where its keys are, what, text, at, mark */
	STORE_PROVIDER_GET,      /* issuer, where its keys are → these six */
	STORE_RENEWAL_KEEP,      /* session, token, until, mark */
	STORE_RENEWAL_GET,       /* session → these four */
	STORE_RENEWAL_FORGET,    /* until before */
	STORE_SIGNIN_KEEP,       /* id, hash, parent, principal, identity, issuer, subject, sid, created, expires, checked, ended, why,
	                            sealed refresh token, mark; the same id: in place of what was there */
	STORE_SIGNIN_GET,        /* id → these fifteen */
	STORE_SIGNIN_OF_HASH,    /* hash → these fifteen */
	STORE_SIGNIN_OF,         /* issuer, subject or "", sid or "" → the first that live */
	STORE_SIGNIN_CHILDREN,   /* parent → the first that live */
	STORE_SIGNIN_DUE,        /* identity, checked before, now → the first that live and have a refresh token */
	STORE_SIGNIN_FORGET,     /* expired before */
	STORE_CHANGE_ADD,        /* gateway, number, topic, key */
	STORE_CHANGERS,          /* gateway → all others of whom there is any */
	STORE_CHANGE_LAST,       /* gateway → its highest number; 0: none */
	STORE_CHANGES,           /* gateway, number → gateway, number, topic, key of the next, but for limits */
	STORE_CHANGES_LIMIT,     /* the same of limits only */
	STORE_CHANGES_FORGET,    /* gateway, number before, number of limits before */
	STORE_HOOK_ADD,          /* delivery, hook, gateway, body, created, due */
	STORE_HOOK_COUNT,        /* hook, gateway → how many */
	STORE_HOOKS_DUE,         /* gateway, now, limit → delivery, hook, body, attempts */
	STORE_HOOK_AGAIN,        /* attempts, due, delivery */
	STORE_HOOK_DONE,         /* delivery */
	STORE_SIGNIN_LIVE,       /* identity, subject, now → the columns of a sign-in, newest first */
	STORE_SHARE_PUT,         /* id, owner, value, until, mac; the same id: in place of what was there */
	STORE_SHARE_GET,         /* id → these five */
	STORE_SHARE_ROOM,        /* owner, how many may stay: those that last longest */
	STORE_SHARE_FORGET,      /* until before */
	STORE_GROUP_ADD,         /* name, session */
	STORE_GROUPS,            /* session → name */
	STORE_ESTIMATE_KEEP,     /* approval, text, mac */
	STORE_ESTIMATE_GET,      /* approval → approval, text, mac */
	STORE_STATEMENTS
};

/* Columns of rows that grant something, in order, each table's mac being the one after the last (row.h): their types. */
enum approval_column {
	A_ID, A_SESSION, A_OP, A_HASH, A_RULE, A_RULE_HASH, A_BY, A_COUNT, A_CREATED, A_EXPIRES, A_NEXT_RUN, A_VIEW, A_NEED_REASON,
	A_PRINCIPAL, A_ISSUER, A_SUBJECT, A_PERSON, A_USER, A_TARGET, A_STATE, A_DECIDED, A_TEXT, A_KIND, A_SPAN, A_REASON, A_SPENT,
	A_SPONSOR, A_MAC
};
#define APPROVAL_MARKED "tbqbtbtqqqqtqttttttqqtqqtqq"
enum vote_column { V_APPROVAL, V_PERSON, V_ALLOW, V_BY, V_REASON, V_AT, V_MAC };
#define VOTE_MARKED "ttqttq"
#define ESTIMATE_MARKED "tt"
enum grant_column {
	G_ID, G_KIND, G_PRINCIPAL, G_ISSUER, G_SUBJECT, G_USER, G_TARGET, G_REASON, G_BY, G_SINCE, G_UNTIL, G_STATE, G_ENDED, G_TEXT, G_MAC
};
#define GRANT_MARKED "tqtttttttqqqqt"
enum ticket_column {
	T_ID, T_KIND, T_PRINCIPAL, T_ISSUER, T_SUBJECT, T_USER, T_TARGET, T_VERIFIER, T_CREATED, T_WINDOW, T_ISSUED, T_USED, T_HOST, T_GRANT,
	T_PARENT, T_STATE, T_TEXT, T_MAC
};
#define TICKET_MARKED "tqtttttbqqqqtttqt"

enum code_column {
	O_ID, O_HASH, O_PRINCIPAL, O_ISSUER, O_SUBJECT, O_USER, O_BY, O_CREATED, O_EXPIRES, O_STATE, O_CHANGED, O_TEXT, O_MAC
};
#define CODE_MARKED "tbtttttqqqqt"

/* A change by a gateway that shares the store; its texts are borrowed. */
struct store_change {
	const char *gateway;
	uint64_t number;       /* by that gateway's own count, roughly wall µs */
	const char *topic;     /* what was written (store.c) */
	struct sp_bytes key;
};
typedef void store_heard(void *owner, const struct store_change *c);

struct store_server {
	const char *host, *port, *user, *database;
	const char *tls;            /* as libpq's sslmode: verify-full, require, disable */
	const char *ca;             /* PEM file, or "" */
	struct sp_secret *password; /* NULL: none */
	const char *gateway;        /* who we are, among those that share */
	uint8_t key_check[DIGEST_LEN]; /* the same for all that may share: rows carry MACs by one key */
	struct event_base *base;
	store_heard *heard;         /* from the loop, never from within a call of the store */
	void (*lost)(void *owner);  /* the connection broke: nothing more can be read or written */
	void *owner;
};

#define STORE_MEMORY ":memory:" /* a path: it goes with the process */
/* Makes the file (0600) and its tables, or brings an older one up.  server NULL: nothing is shared. */
int store_open(const char *path, const struct store_server *server, struct store **s_r, const char **err_r) SP_MUST;
/* The next number of a change of our own: ascending. */
uint64_t store_number(void);
/* … and beyond that one. */
void store_number_after(uint64_t number);
/* True when other gateways may read and write the same. */
bool store_shared(const struct store *s);
void store_close(struct store **s);

/* A write; rows changed, or a negative sp_rc.  args as the statement's row says: Q() S() Z(). */
long store_write(struct store *s, enum store_statement which, const struct field *args) SP_MUST;
/* Each row's columns are borrowed until `row` returns; not SP_OK ends the walk and is returned.  NULL: none wanted. */
typedef int store_row(void *owner, const struct field *row);
int store_read(struct store *s, enum store_statement which, const struct field *args, store_row *row, void *owner) SP_MUST;
/* Something was written that is not on disk yet. */
bool store_dirty(const struct store *s);
int store_commit(struct store *s) SP_MUST;

#endif
