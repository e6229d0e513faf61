/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says, as plain structs.  Every process fills its own copy from the
 * epoch's tree by the same tables (settings.c); nothing here is a secret, only where to find one.
 *
 * No string is NULL: what is not configured is "".  Files are absolute, or relative to the folder
 * of the main file when `folder` is not set.
 */
#ifndef SALLYPORT_SETTINGS_H
#define SALLYPORT_SETTINGS_H

#include "directive.h"

struct tls_settings {
	unsigned mode; /* target: TLS_OFF, TLS_REQUIRE, TLS_VERIFY_FULL */
	const char *cert, *key; /* listener */
	const char *ca;   /* target: "" for the system's */
	const char *crl;  /* target: lists of certificates that ca has revoked, "" for none */
	const char *name; /* target: server name to verify, "" for the host */
	bool certificates; /* listener: clients are asked for theirs */
};
enum { TLS_VERIFY_FULL, TLS_REQUIRE, TLS_OFF }; /* zero verifies */

struct secret_settings { /* login, catalogue */
	const char *user, *secret; /* secret: file:PATH, env:NAME or sealed:NAME, "" for none */
	const char *cert, *key;    /* client certificate: PATH of the chain, file:PATH or sealed:NAME of its key; "" for none */
	bool cleartext;            /* may be told to the target as it is */
	bool ephemeral;            /* login: a role of its own for each session, made by the target's `admin` */
	const char *role;          /* …that is a member of this one, and acts as it */
	uint64_t valid;            /* …ms in which it may log in */
	const char *vault, *path;  /* login: a `vault` block's name, "" for none; what is read there */
	const char *field;         /* …its field that is the password */
	bool dynamic;              /* …makes user and password for each session */
	const char *command;       /* login: a `command` block's name, "" for none; it prints the password */
	const char *ca;            /* SSH: file:PATH of the key that certifies a key pair for each session; "" for none */
	const char *from;          /* … and the addresses that these certificates are good from */
	bool forwarding;           /* … and whether the target may forward ports for them */
};

struct listener {
	struct conf_block b;       /* b.next: the next listener */
	const char *listen;   /* ADDRESS:PORT, [V6]:PORT */
	const char *protocol;
	const char *target;   /* "": chosen by the client */
	const char *public;   /* HOST:PORT that clients are told; "": listen */
	struct tls_settings tls;
	const char *host_key; /* of a protocol that encrypts itself; "" for none */
	bool cleartext;       /* tokens without TLS, on loopback only */
	struct sp_strings proxy_from; /* networks whose connections begin with a PROXY header */
	uint64_t keepalive;   /* ms; 0: the kernel's */
	uint64_t handshake, login, sign_in; /* deadlines, ms */
};

struct target {
	struct conf_block b;
	const char *protocol;
	struct sp_strings standby; /* HOST:PORT: where it is when it is not there */
	uint64_t keepalive;   /* ms; 0: the kernel's */
	const char *server;   /* HOST:PORT */
	struct tls_settings tls;
	struct secret_settings login, catalogue; /* catalogue.user "": login's */
	struct secret_settings admin;            /* user and secret: makes the roles of an ephemeral login */
	struct secret_settings estimate;         /* user and secret: asks the planner for an approver; user "": nobody does */
	uint64_t recheck;     /* ms that what was read of the catalogue is taken for true */
	const char *database; /* default part */
	struct sp_strings databases; /* further parts allowed; "*" any */
	struct sp_strings logins;    /* SSH: further login names allowed; "*" any */
	struct { struct sp_strings groups, users; } allow;
	struct pairs label;
	struct sp_strings policy;
	struct { uint64_t connect, idle, login; } timeout; /* ms; idle 0: none */
	struct { uint64_t sessions, per_user; } limit;     /* 0: only the gateway's own */
	struct { uint64_t warm, age; } pool;               /* connections kept ready by each worker; ms that one waits */
	unsigned mode; /* MODE_ENFORCE, MODE_OBSERVE */
	struct {
		unsigned mode; /* ACCESS_… */
		const char *approvers;         /* group */
		uint64_t count, max, expire;   /* persons; ms of a grant, of a request */
		const char *reason;            /* pattern (POSIX, extended) that a reason must hold; "" any */
		struct sp_strings break_glass; /* groups */
		bool sponsor;                  /* an agent's may decide on its grants */
	} access;
};
enum { ACCESS_STANDING, ACCESS_GRANT };
enum { MODE_ENFORCE, MODE_OBSERVE };

struct secret_command {
	struct conf_block b;
	struct sp_strings run; /* argv; the first is a path */
	uint64_t timeout;      /* ms */
};

struct vault {
	struct conf_block b;
	const char *server;          /* https://HOST[:PORT] */
	const char *ca, *namespace;  /* "" for none */
	const char *token;           /* as a secret */
};

struct identity {
	struct conf_block b;
	struct {
		const char *issuer;                  /* a URL, unless jwks is a file and there is no client */
		const char *client, *secret;         /* sign-ins; secret: as a target's; "" for none */
		const char *audience, *api_audience; /* tokens shown as they are; "" for none */
		const char *jwks;                    /* file:PATH, https:…, "": as discovery says */
		const char *ca;                      /* PEM; "" for the system's */
		struct sp_strings scope;
		bool insecure_loopback;              /* http:, on this machine */
	} oidc;
	struct {
		const char *metadata;   /* a file; "": this identity is not of SAML */
		const char *entity;     /* ours; "": the URL of our metadata */
		const char *key, *cert; /* requests are signed; key: as a target's secret; "" for none */
		bool idp_initiated;
	} saml;
	struct { const char *ca, *crl; } certificate; /* authorities of its clients' certificates, and what they revoked, PEM; ca "": it is not of these */
	unsigned class; /* CLASS_… */
	struct { const char *claim, *show, *attribute; bool nameid; } user; /* claim: of oidc; attribute, nameid: of saml */
	struct { const char *claim, *attribute; bool nameid; } person;
	struct { const char *claim, *attribute; } groups;
	struct { const char *claim; } sponsor;
	struct pairs allow; /* claim=value, all must hold */
	struct { struct sp_strings approver, auditor, admin, metrics; } roles; /* groups that give a role */
	unsigned token_use; /* TOKEN_… */
	uint64_t max_age;   /* longest lifetime of a token that is accepted, ms */
	uint64_t session;   /* life of a sign-in, ms */
	uint64_t recheck;   /* of a sign-in at its provider, ms; 0: never */
};
enum { SIEM_RFC5424, SIEM_JSON };
enum { CLASS_HUMAN, CLASS_WORKLOAD, CLASS_AGENT };
enum { TOKEN_ADDRESS, TOKEN_ONCE, TOKEN_ANY };

struct console_settings {
	const char *listen;      /* ADDRESS:PORT; "": the control socket is the only way in */
	struct tls_settings tls;
	const char *url;         /* https://HOST[:PORT], as browsers name its origin */
	struct { uint64_t connections, per_address; } limit;
};

struct settings {
	const char *folder; /* of the main file; set before settings_fill() to make paths absolute */
	const struct conf_node *tree; /* what it was filled from */
	const char *user;
	uint64_t workers; /* 0: auto */
	bool io_uring;    /* workers send by it */
	struct sp_strings load_module;
	const char *pid;
	struct { const char *path; unsigned level; } log; /* path: stderr or a file; level: enum sp_level */
	const char *audit;
	const char *access; /* "": none */
	struct { const char *path; const char *mode, *group; struct sp_strings may; } control; /* may: mint approve */
	struct console_settings console;
	struct { const char *to, *ca, *facility; unsigned facility_number, format; } siem; /* to: tls://HOST:PORT, tcp://HOST:PORT, ""; format: SIEM_… */
	struct {
		const char *where;      /* sqlite:PATH, postgresql://USER@HOST[:PORT]/DATABASE */
		const char *secret, *ca, *folder;
		unsigned tls;
		const char *file;       /* from where and folder: what this gateway has for itself */
	} store;
	struct { const char *key, *folder; } secrets; /* sealed ones; key: file:PATH, "" for none */
	struct {
		const char *store;
		uint64_t keep, max; /* age in ms, bytes; 0: for ever */
		unsigned sync;      /* SYNC_… */
		uint64_t sync_wait;
		const char *output; /* full, off, head=1m */
		uint64_t output_head; /* from output; UINT64_MAX for full */
		const char *anchor;   /* file:PATH, syslog:FACILITY, syslog://HOST[:PORT], "" */
		const char *encrypt;  /* hex X25519 public key of the auditors, "" */
		uint64_t ring;        /* bytes of each worker's ring */
	} record;
	struct {
		uint64_t deadline, memory;
		uint64_t budget;          /* ms of each second that one user's parsing and rules may take; 0: any */
		uint64_t statement_cache; /* bytes of classified statements that a worker keeps */
	} policy;
	bool local_issuer;
	bool local_issuer_beside; /* allowed beside real issuers */
	struct { uint64_t sessions, per_user, per_address; } limit;
	uint64_t shutdown_timeout, store_grace, drain;
	struct listener *listeners;
	struct target *targets;
	struct identity *identities;
	struct vault *vaults;
	struct webhook *webhooks;
	struct ssh_key *ssh_keys;
	struct secret_command *commands;
	struct module_settings *modules; /* `module NAME { … }` */
};
enum { SYNC_GROUP, SYNC_WRITE, SYNC_ALWAYS };

struct module_settings {
	struct conf_block b;
};

/* A public key that opens sessions as this principal, where a listener says `keys on`. */
struct ssh_key {
	struct conf_block b;
	const char *key;       /* "ssh-ed25519 AAAA… comment" */
	const char *user;
	struct sp_strings groups;
	unsigned class;        /* CLASS_… */
	uint64_t session;      /* ms: each of its sessions ends after it */
};

struct webhook {
	struct conf_block b;
	const char *url, *secret; /* url: https://…, or like secret where it is: file:PATH, env:NAME, sealed:NAME */
	const char *server;       /* https://HOST[:PORT]: where a url that is kept elsewhere may lead to inside; or "" */
	const char *ca;           /* "" for the system's */
	unsigned format;
	struct sp_strings events, targets; /* empty: all */
	const char *signing;      /* Slack's key for clicks, like secret; "": there are no buttons */
	const char *team;         /* …that they come from */
	unsigned decide;          /* SLACK_DECIDE_…: what a click may */
	struct pairs users;       /* Slack's user id → IDENTITY/SUBJECT */
};
enum { SLACK_DECIDE_DENY, SLACK_DECIDE_BOTH };
enum webhook_format { WEBHOOK_GENERIC, WEBHOOK_SLACK, WEBHOOK_TEAMS };

extern const struct directive settings_table[];

/* From the tree; all in the arena. */
int settings_fill(struct arena *a, const struct conf_node *top, struct settings *into, const char **err_r) SP_MUST;
/* What the tables can't say: names that refer to nothing, local issuer beside real ones, … */
int settings_check(struct arena *a, const struct settings *s, const char **err_r) SP_MUST;
const struct target *settings_target(const struct settings *s, const char *name);
const struct identity *settings_identity(const struct settings *s, const char *name);

/*
 * Folders that the keeper has to read for its secrets: made with mem_alloc(), the caller's.  Landlock
 * lets a process name them at its start only.
 */
#define SECRET_FOLDERS 256
size_t settings_secret_folders(const struct settings *s, char **folder_r, size_t max);

const struct vault *settings_vault(const struct settings *s, const char *name);
const struct secret_command *settings_command(const struct settings *s, const char *name);

/*
 * What policies, recordings and approvals call a target's login: its user, the role that ephemeral ones
 * act as, or what Vault makes them by.
 */
static inline const char *
settings_login(const struct target *t)
{
	return t->login.ephemeral ? t->login.role : t->login.dynamic ? t->login.path : t->login.user;
}

/* Each session's credential is asked of a lend helper. */
static inline bool
settings_lends(const struct target *t)
{
	return t->login.ephemeral || t->login.vault[0] != '\0' || t->login.command[0] != '\0';
}

/* Has it a login that asks the planner for who decides? */
static inline bool
settings_estimates(const struct target *t)
{
	return t->estimate.user != NULL && t->estimate.user[0] != '\0';
}

struct hostport {
	char host[256]; /* without brackets */
	uint16_t port;
	bool literal;   /* an IP address, not a name */
	bool loopback;  /* 127.0.0.0/8, ::1 */
};
/* "HOST:PORT", "[V6]:PORT". */
int settings_hostport(const char *text, struct hostport *h_r) SP_MUST;
/* "unix:/run/docker.sock": the path, of text; NULL: it is none. */
const char *settings_unix(const char *text);
/* Of `siem tls://HOST[:PORT]` or tcp://…; 6514 or 601 where there is none. */
int settings_siem_host(const char *to, struct hostport *h_r) SP_MUST;
/* NAME of `systemd:NAME`, or NULL. */
const char *settings_systemd(const char *listen);
/* "https://gate.example.com:8443" → "gate.example.com:8443"; NULL when it is no origin. */
const char *settings_console_host(const char *url);
/* The same of `anchor syslog://HOST[:PORT]`; 514 where there is none. */
int settings_anchor_host(const char *anchor, struct hostport *h_r) SP_MUST;
/* The parts of postgresql://USER@HOST[:PORT]/DATABASE; strings in the arena. */
struct store_address {
	const char *user, *database;
	struct hostport at;
};
int settings_store_address(struct arena *a, const char *where, struct store_address *s_r) SP_MUST;
/* The number, as of syslog(3), of `anchor syslog:FACILITY`; authpriv where none is named. */
int settings_anchor_facility(const char *anchor, int *facility_r) SP_MUST;
/* The name that load_module's word stands for: "postgres" for itself and for "/x/postgres.so". */
struct sp_bytes settings_module_name(const char *word);
/* The rows of a listener and of a target: beside them stand directives of modules. */
extern const struct directive settings_listener_table[], settings_target_table[];

#endif
