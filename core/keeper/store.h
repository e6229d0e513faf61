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
	STORE_SESSION_ADD,       /* id, principal, issuer, subject, user, target, part, address, protocol, started, gateway */
	STORE_SESSION_END,       /* ended, why, text, operations, denied, rows, bytes, id */
	STORE_SESSION_OPEN_IDS,  /* gateway, gateway or "" → id */
	STORE_SESSION_LIST,      /* before, live only, user, target, issuer, subject, limit → the columns of a session */
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
	STORE_APPROVAL_ADD,      /* id, session, op, hash, rule, rule hash, by, count, created, expires, next run,
	                            view, need reason, principal, issuer, subject, person, user, target */
	STORE_APPROVAL_GET,      /* id → the columns of an approval */
	STORE_APPROVAL_PREFIX,   /* first id, last id → id */
	STORE_APPROVAL_LIST,     /* state or -1, limit → the columns of an approval */
	STORE_APPROVAL_OF_OP,    /* session, op, hash, rule hash → the columns of an approval */
	STORE_APPROVAL_OF_RUN,   /* hash, rule hash, issuer, subject, target, now → the columns of an approval */
	STORE_APPROVAL_OF_SESSION, /* session, state → the columns of an approval */
	STORE_APPROVAL_STATE,    /* state, decided, text, expires, id, state it must be in, now */
	STORE_APPROVAL_PENDING,  /* issuer, subject → how many */
	STORE_APPROVAL_DUE,      /* now → the columns of an approval */
	STORE_VOTE_ADD,          /* approval, person, allow, by, reason, at */
	STORE_VOTES,             /* approval → person, allow, by, reason, at */
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
	STORE_HOOK_ADD,          /* delivery, hook, gateway, body, created, due */
	STORE_HOOK_COUNT,        /* hook, gateway → how many */
	STORE_HOOKS_DUE,         /* gateway, now, limit → delivery, hook, body, attempts */
	STORE_HOOK_AGAIN,        /* attempts, due, delivery */
	STORE_HOOK_DONE,         /* delivery */
	STORE_STATEMENTS
};

/* Another gateway on the same server wrote something under that topic (store.c); key is borrowed. */
typedef void store_heard(void *owner, const char *topic, const char *key);

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
