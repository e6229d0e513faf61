/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says, as plain structs.  Every process fills its own copy from the
 * epoch's tree by the same tables (settings.c); nothing here is a secret, only where to find one.
 */
#ifndef SALLYPORT_SETTINGS_H
#define SALLYPORT_SETTINGS_H

#include "directive.h"

struct tls_settings {
	unsigned mode; /* target: TLS_OFF, TLS_REQUIRE, TLS_VERIFY_FULL */
	const char *cert, *key, *ca;
	const char *name; /* target: server name to verify, default the host */
};
enum { TLS_VERIFY_FULL, TLS_REQUIRE, TLS_OFF }; /* zero verifies */

struct secret_settings { /* login, catalogue */
	const char *user, *secret; /* secret: file:PATH or env:NAME */
	bool cleartext;            /* may be told to the target as it is */
};

struct listener {
	struct block b;
	const char *listen;   /* ADDRESS:PORT, [V6]:PORT */
	const char *protocol;
	const char *target;   /* "": chosen by the client */
	struct tls_settings tls;
	bool cleartext;       /* tokens without TLS, on loopback only */
	uint64_t handshake, login; /* deadlines, ms */
};

struct target {
	struct block b;
	const char *protocol;
	const char *server;   /* HOST:PORT */
	struct tls_settings tls;
	struct secret_settings login, catalogue;
	const char *database; /* default part */
	struct sp_strings databases; /* further parts allowed; "*" any */
	struct { struct sp_strings groups, users; } allow;
	struct pairs label;
	struct sp_strings policy;
	struct { uint64_t connect, idle, login; } timeout;
	struct { uint64_t sessions, per_user; } limit;
	unsigned mode; /* MODE_ENFORCE, MODE_OBSERVE */
};
enum { MODE_ENFORCE, MODE_OBSERVE };

struct identity {
	struct block b;
	struct { const char *issuer, *audience, *api_audience, *jwks; } oidc; /* jwks: file:PATH */
	unsigned class; /* CLASS_… */
	struct { const char *claim, *show; } user;
	struct { const char *claim; } person, groups;
	struct pairs allow; /* claim=value, all must hold */
	struct { struct sp_strings approver, auditor, admin; } roles; /* groups that give a role */
	unsigned token_use; /* TOKEN_… */
	uint64_t max_age;   /* longest lifetime of a token that is accepted, ms */
};
enum { CLASS_HUMAN, CLASS_WORKLOAD, CLASS_AGENT };
enum { TOKEN_ADDRESS, TOKEN_ONCE, TOKEN_ANY };

struct settings {
	const char *user;
	uint64_t workers; /* 0: auto */
	struct sp_strings load_module;
	struct { const char *path; unsigned level; } log;
	const char *audit, *access;
	struct { const char *path; const char *mode, *group; struct sp_strings may; } control; /* may: mint approve */
	const char *store; /* sqlite:PATH */
	struct {
		const char *store;
		uint64_t keep, max; /* age in ms, bytes; 0: for ever */
		unsigned sync;      /* SYNC_… */
		uint64_t sync_wait;
		const char *output; /* full, off, head=1m */
		uint64_t output_head; /* from output; UINT64_MAX for full */
		const char *anchor;   /* file:PATH, syslog:FACILITY, "" */
		const char *encrypt;  /* hex X25519 public key of the auditors, "" */
		uint64_t ring;        /* bytes of each worker's ring */
	} record;
	struct { uint64_t deadline, memory; uint64_t statement_cache; } policy;
	bool local_issuer;
	bool local_issuer_beside; /* allowed beside real issuers */
	struct { uint64_t sessions, per_user, per_address; } limit;
	uint64_t shutdown_timeout, store_grace, drain;
	struct listener *listeners;
	struct target *targets;
	struct identity *identities;
	struct module_settings *modules; /* `module NAME { … }` */
};
enum { SYNC_GROUP, SYNC_WRITE, SYNC_ALWAYS };

struct module_settings {
	struct block b;
};

extern const struct directive settings_table[];

/* From the tree; all in the arena. */
int settings_fill(struct arena *a, const struct conf_node *top, struct settings *into, const char **err_r) SP_MUST;
/* What the tables can't say: names that refer to nothing, local issuer beside real ones, … */
int settings_check(const struct settings *s, const char **err_r) SP_MUST;
const struct target *settings_target(const struct settings *s, const char *name);

#endif
