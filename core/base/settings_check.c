/* SPDX-License-Identifier: Apache-2.0 */
/* What tables can't say about settings: names that refer to nothing, doors left open by a contradiction. */
#include <config.h>

#include "settings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <regex.h>
#include <sys/un.h>

#include "address.h"
#include "helpers.h"
#include "log.h"
#include "network.h"
#include "principal.h"
#include "sealed.h"
#include "url.h"

struct check {
	struct arena *arena;
	const struct settings *s;
	const char **err_r;
};

#define FAIL_AT(c, b, ...) conf_error((c)->arena, (c)->err_r, (b)->file, (b)->line, __VA_ARGS__)
#define FAIL_TOP(c, name, ...) \
	conf_error((c)->arena, (c)->err_r, file_of((c)->s, (name)), line_of((c)->s, (name)), __VA_ARGS__)
#define RECHECK_MAX 3600000u /* ms */
#define QUOTE(word) log_quote(sp_str(word))
#define WARM_MAX 1000u
#define WARM_AGE_MAX 3600000u

/* Where a directive of the top stands, for errors about it. */
static const char *
file_of(const struct settings *s, const char *name)
{
	const struct conf_node *node = conf_find(s->tree, name);
	return node == NULL ? "configuration" : node->file;
}

static unsigned
line_of(const struct settings *s, const char *name)
{
	const struct conf_node *node = conf_find(s->tree, name);
	return node == NULL ? 0 : node->line;
}

static bool
starts(const char *word, const char *prefix)
{
	return strncmp(word, prefix, strlen(prefix)) == 0 && word[strlen(prefix)] != '\0';
}

static bool
only(const char *word, const char *letters, size_t len)
{
	return strlen(word) == len && strspn(word, letters) == len;
}

static bool
is_loaded(const struct settings *s, const char *protocol)
{
	for (size_t i = 0; i < s->load_module.n; i++)
		if (sp_bytes_is(settings_module_name(s->load_module.v[i]), protocol))
			return true;
	return false;
}

static int
check_protocol(struct check *c, const struct conf_block *b, const char *protocol)
{
	if (is_loaded(c->s, protocol))
		return SP_OK;
	return FAIL_AT(c, b, "protocol \"%s\" has no module: \"load_module %s;\" is missing", QUOTE(protocol), QUOTE(protocol));
}

/* ---- listeners ---- */

#define SOCKET_PATH_MAX 100 /* of the 108 that the kernel takes */

static bool
certificates_known(const struct settings *s)
{
	const struct identity *i = s->identities;
	while (i != NULL && i->certificate.ca[0] == '\0')
		i = (const struct identity *)i->b.next;
	return i != NULL;
}

static int
check_listener_secrecy(struct check *c, const struct listener *l, const struct hostport *at)
{
	bool tls = l->tls.cert[0] != '\0';
	if (tls && l->tls.key[0] == '\0')
		return FAIL_AT(c, &l->b, "\"tls\" needs both cert= and key=");
	if (l->tls.certificates && !certificates_known(c->s))
		return FAIL_AT(c, &l->b, "\"tls certificates=on\" needs an \"identity\" with \"certificate ca=…\": who else would vouch for clients?");
	if (tls && l->cleartext)
		return FAIL_AT(c, &l->b, "\"cleartext\" contradicts \"tls\": leave one of them out");
	if (l->host_key[0] != '\0' && (tls || l->cleartext))
		return FAIL_AT(c, &l->b, "\"host_key\" is for a protocol that encrypts itself: it takes neither \"tls\" nor \"cleartext\"");
	if (!tls && !l->cleartext && l->host_key[0] == '\0')
		return FAIL_AT(c, &l->b, "\"tls cert=… key=…\" is missing (or, for clients on this machine, \"cleartext loopback\")");
	if (l->cleartext && !at->loopback)
		return FAIL_AT(c, &l->b, "\"cleartext loopback\" on %s, which others reach too: tokens need TLS there", QUOTE(l->listen));
	return SP_OK;
}

static int
check_listener_target(struct check *c, const struct listener *l)
{
	if (l->target[0] == '\0')
		return SP_OK;
	const struct target *t = settings_target(c->s, l->target);
	if (t == NULL)
		return FAIL_AT(c, &l->b, "there is no target \"%s\"", QUOTE(l->target));
	if (strcmp(t->protocol, l->protocol) != 0)
		return FAIL_AT(c, &l->b, "the target \"%s\" speaks %s, not %s", t->b.name, QUOTE(t->protocol), QUOTE(l->protocol));
	return SP_OK;
}

static int
check_listener(struct check *c, const struct conf_block *b)
{
	const struct listener *l = (const struct listener *)b;
	struct hostport at;
	struct network net;
	const char *path = settings_unix(l->listen);
	if (path != NULL ? path[0] != '/' || strlen(path) > SOCKET_PATH_MAX :
	    settings_systemd(l->listen) == NULL && (settings_hostport(l->listen, &at) != SP_OK || !at.literal))
		return FAIL_AT(c, b, "\"listen\" takes an address and a port, 127.0.0.1:5432 or [::1]:5432, unix:/PATH or systemd:NAME, not \"%s\"", QUOTE(l->listen));
	if (l->public[0] != '\0' && settings_hostport(l->public, &at) != SP_OK)
		return FAIL_AT(c, b, "\"public\" takes a host and a port, db.example.com:5432, not \"%s\"", QUOTE(l->public));
	for (const struct conf_block *o = &c->s->listeners->b; o != b; o = o->next)
		if (strcmp(((const struct listener *)o)->listen, l->listen) == 0)
			return FAIL_AT(c, b, "listener \"%s\" at %s:%u has the same address", o->name, o->file, o->line);
	if (l->handshake == 0 || l->login == 0)
		return FAIL_AT(c, b, "\"timeout\" of a listener can't be off: a silent client would stay for ever");
	for (size_t i = 0; i < l->proxy_from.n; i++)
		if (!network_parse(l->proxy_from.v[i], &net))
			return FAIL_AT(c, b, "\"proxy_from\" takes networks, 10.0.0.0/24, not \"%s\"", QUOTE(l->proxy_from.v[i]));
	if (settings_hostport(l->listen, &at) != SP_OK)
		at.loopback = true; /* a socket of this machine; what systemd hands over is looked at by master */
	int rc = check_listener_secrecy(c, l, &at);
	if (rc == SP_OK)
		rc = check_protocol(c, b, l->protocol);
	return rc == SP_OK ? check_listener_target(c, l) : rc;
}

/* ---- targets ---- */

static int
check_sealed(struct check *c, const struct conf_block *b, const char *secret)
{
	if (!sealed_name_ok(secret))
		return FAIL_AT(c, b, "\"sealed:%s\": a name has letters, digits, - _ and ., at most %d, and no . at its start", QUOTE(secret),
		    SEALED_NAME_MAX);
	if (c->s->secrets.key[0] == '\0')
		return FAIL_AT(c, b, "\"sealed:%s\" needs \"secrets key=file:PATH;\", which says what it is sealed under", secret);
	return SP_OK;
}

/* Where a secret may be. */
static int
check_where(struct check *c, const struct conf_block *b, const char *name, const char *where)
{
	if (starts(where, "sealed:"))
		return check_sealed(c, b, where + 7);
	if (!starts(where, "file:") && !starts(where, "env:"))
		return FAIL_AT(c, b, "\"%s secret=\" says where the secret is: file:PATH, env:NAME or sealed:NAME", name);
	return SP_OK;
}

static int
check_secret(struct check *c, const struct conf_block *b, const char *name, const struct secret_settings *s)
{
	if (s->user[0] == '\0' && (s->secret[0] != '\0' || s->cert[0] != '\0' || s->key[0] != '\0'))
		return FAIL_AT(c, b, "\"%s\" needs \"user=\"", name);
	int rc = s->secret[0] == '\0' ? SP_OK : check_where(c, b, name, s->secret);
	if (rc != SP_OK)
		return rc;
	bool tls = ((const struct target *)b)->tls.mode != TLS_OFF;
	if (s->cleartext && !tls)
		return FAIL_AT(c, b, "\"%s … cleartext on\" needs TLS to the target", name);
	if (s->cert[0] != '\0' && s != &((const struct target *)b)->login)
		return FAIL_AT(c, b, "\"%s\" takes no cert=: its connection shows that of \"login\"", name);
	bool ssh = strcmp(((const struct target *)b)->protocol, "ssh") == 0; /* whose keys have no certificate */
	if (ssh && s->cert[0] != '\0')
		return FAIL_AT(c, b, "\"%s cert=\" is for TLS: SSH takes ca=, key= or secret=", name);
	if (!ssh && (s->cert[0] == '\0') != (s->key[0] == '\0'))
		return FAIL_AT(c, b, "\"%s\" needs both cert= and key=, or none", name);
	if (s->key[0] != '\0' && !starts(s->key, "file:") && !starts(s->key, "sealed:"))
		return FAIL_AT(c, b, "\"%s key=\" says where the key is: file:PATH or sealed:NAME", name);
	if (starts(s->key, "sealed:") && (rc = check_sealed(c, b, s->key + 7)) != SP_OK)
		return rc;
	if (s->cert[0] != '\0' && !tls)
		return FAIL_AT(c, b, "\"%s cert=\" needs TLS to the target", name);
	return SP_OK;
}

static bool
is_path(const char *path)
{
	return path[0] != '\0' && path[0] != '/' && strstr(path, "..") == NULL && strstr(path, "//") == NULL &&
	    path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./")] == '\0';
}

static int
check_vault_login(struct check *c, const struct target *t)
{
	const struct secret_settings *l = &t->login;
	const struct conf_block *b = &t->b;
	if (l->vault[0] == '\0' && (l->path[0] != '\0' || l->dynamic))
		return FAIL_AT(c, b, "\"login path= dynamic\" go with \"login vault=NAME\"");
	if (l->vault[0] == '\0')
		return SP_OK;
	if (t->pool.warm > 0)
		return FAIL_AT(c, b, "\"pool\" does not go with \"login vault=\": each session's secret is read for it");
	if (settings_vault(c->s, l->vault) == NULL)
		return FAIL_AT(c, b, "there is no \"vault %s { … }\"", QUOTE(l->vault));
	if (!is_path(l->path))
		return FAIL_AT(c, b, "\"login vault= path=\" is like secret/data/orders or database/creds/orders, not \"%s\"", QUOTE(l->path));
	if (l->secret[0] != '\0' || l->cert[0] != '\0' || l->ephemeral)
		return FAIL_AT(c, b, "\"login vault=\" has its secret there: leave secret=, cert= and ephemeral out");
	if (l->dynamic == (l->user[0] != '\0'))
		return FAIL_AT(c, b, l->dynamic ? "\"login vault= dynamic\" has its user from there: leave user= out" : "\"login vault=\" needs \"user=\", or \"dynamic\"");
	if (t->catalogue.user[0] == '\0' && strcmp(t->protocol, "ssh") != 0)
		return FAIL_AT(c, b, "\"login vault=\" needs \"catalogue user=… secret=…\": for the gateway's own connection nothing is read there");
	return SP_OK;
}

static int
check_command_login(struct check *c, const struct target *t)
{
	const struct secret_settings *l = &t->login;
	const struct conf_block *b = &t->b;
	if (l->command[0] == '\0')
		return SP_OK;
	if (t->pool.warm > 0)
		return FAIL_AT(c, b, "\"pool\" does not go with \"login command=\": each session's secret is read for it");
	if (settings_command(c->s, l->command) == NULL)
		return FAIL_AT(c, b, "there is no \"command %s { … }\"", QUOTE(l->command));
	if (l->secret[0] != '\0' || l->cert[0] != '\0' || l->ephemeral || l->vault[0] != '\0' || l->user[0] == '\0')
		return FAIL_AT(c, b, "\"login command=\" needs user=, and prints the secret: leave secret=, cert=, vault= and ephemeral out");
	if (t->catalogue.user[0] == '\0' && strcmp(t->protocol, "ssh") != 0)
		return FAIL_AT(c, b, "\"login command=\" needs \"catalogue user=… secret=…\": for the gateway's own connection nothing is run");
	return SP_OK;
}

static int
check_ephemeral(struct check *c, const struct target *t)
{
	const struct secret_settings *l = &t->login;
	const struct conf_block *b = &t->b;
	if (!l->ephemeral && t->admin.user[0] != '\0')
		return FAIL_AT(c, b, "\"admin\" is for \"login ephemeral role=…\" only");
	if (!l->ephemeral && l->role[0] != '\0')
		return FAIL_AT(c, b, "\"login role=\" goes with \"login ephemeral\"");
	if (!l->ephemeral)
		return SP_OK;
	if (t->pool.warm > 0)
		return FAIL_AT(c, b, "\"pool\" does not go with \"login ephemeral\": each session has a role of its own");
	if (strcmp(t->protocol, "postgres") != 0)
		return FAIL_AT(c, b, "\"login ephemeral\" is for PostgreSQL, not for %s", QUOTE(t->protocol));
	if (l->user[0] != '\0' || l->secret[0] != '\0' || l->cert[0] != '\0' || l->cleartext)
		return FAIL_AT(c, b, "\"login ephemeral\" has its own user and secret: leave user=, secret=, cert= and cleartext out");
	if (l->role[0] == '\0' || strlen(l->role) > 63)
		return FAIL_AT(c, b, "\"login ephemeral\" needs \"role=\", whose rights its sessions have");
	if (t->admin.user[0] == '\0' || t->admin.secret[0] == '\0')
		return FAIL_AT(c, b, "\"login ephemeral\" needs \"admin user=… secret=…\", who may create roles");
	if (t->catalogue.user[0] == '\0')
		return FAIL_AT(c, b, "\"login ephemeral\" needs \"catalogue user=… secret=…\": for the gateway's own connection no role is made");
	if (strcmp(l->role, t->admin.user) == 0)
		return FAIL_AT(c, b, "\"login ephemeral role=\" is the admin itself: give sessions a role that may do less");
	if (l->valid < 60000 || l->valid > 24 * 3600000)
		return FAIL_AT(c, b, "\"login ephemeral … valid=\" is between 1m and 24h");
	return check_where(c, b, "admin", t->admin.secret);
}

static int
check_login_ca(struct check *c, const struct target *t)
{
	const struct secret_settings *s = &t->login;
	if (s->ca[0] != '\0' && !starts(s->ca, "file:") && !starts(s->ca, "sealed:"))
		return FAIL_AT(c, &t->b, "\"login ca=\" says where the key is: file:PATH or sealed:NAME");
	if ((s->ca[0] == '\0') != (s->from[0] == '\0'))
		return FAIL_AT(c, &t->b, "\"login ca=\" needs from=: the addresses at which the target sees the gateway");
	if ((s->ca[0] != '\0') + (s->secret[0] != '\0') + (s->key[0] != '\0' && s->cert[0] == '\0') > 1)
		return FAIL_AT(c, &t->b, "\"login\" takes one of ca=, secret= and key=");
	return starts(s->ca, "sealed:") ? check_sealed(c, &t->b, s->ca + 7) : SP_OK;
}

static int
check_target_tls(struct check *c, const struct target *t)
{
	const struct tls_settings *tls = &t->tls;
	if (tls->mode == TLS_OFF && (tls->ca[0] != '\0' || tls->crl[0] != '\0' || tls->name[0] != '\0'))
		return FAIL_AT(c, &t->b, "\"tls off\" takes no ca=, crl= or name=");
	if (tls->mode == TLS_REQUIRE && (tls->ca[0] != '\0' || tls->crl[0] != '\0' || tls->name[0] != '\0'))
		return FAIL_AT(c, &t->b, "\"tls require\" verifies nothing: ca=, crl= and name= go with \"tls verify-full\"");
	if (tls->crl[0] != '\0' && tls->ca[0] == '\0')
		return FAIL_AT(c, &t->b, "\"tls crl=\" needs ca=: the authorities whose lists these are");
	return SP_OK;
}

static int
check_catalogue(struct check *c, const struct target *t)
{
	const struct secret_settings *s = &t->catalogue;
	if (s->user[0] == '\0' && (s->secret[0] != '\0' || s->cert[0] != '\0' || s->key[0] != '\0' || s->cleartext))
		return FAIL_AT(c, &t->b, "\"catalogue\" has a secret and no user=");
	if (t->recheck > RECHECK_MAX)
		return FAIL_AT(c, &t->b, "\"catalogue recheck=\" is at most 1h");
	return check_secret(c, &t->b, "catalogue", s);
}

/* A statement that somebody else wrote goes to the planner as this user: what others may do is not for it. */
static int
check_estimate(struct check *c, const struct target *t)
{
	const struct secret_settings *s = &t->estimate;
	if (!settings_estimates(t))
		return SP_OK;
	if (strcmp(t->protocol, "postgres") != 0)
		return FAIL_AT(c, &t->b, "\"estimate\" is for PostgreSQL, not for %s", QUOTE(t->protocol));
	if (s->secret[0] == '\0')
		return FAIL_AT(c, &t->b, "\"estimate\" needs \"secret=\"");
	if (strcmp(s->user, t->login.user) == 0 || strcmp(s->user, t->catalogue.user) == 0 ||
	    (t->login.ephemeral && strcmp(s->user, t->admin.user) == 0))
		return FAIL_AT(c, &t->b, "\"estimate user=%s\" is the user of another login: give it one of its own", QUOTE(s->user));
	return check_secret(c, &t->b, "estimate", s);
}

static int
check_access(struct check *c, const struct target *t)
{
	regex_t pattern;
	if ((t->access.mode == ACCESS_GRANT || t->access.break_glass.n > 0) && t->access.approvers[0] == '\0')
		return FAIL_AT(c, &t->b, "\"access\" needs approvers=GROUP: somebody has to decide");
	if (t->access.count < 1 || t->access.count > 10)
		return FAIL_AT(c, &t->b, "\"access … count=\" is from 1 to 10 persons");
	if (t->access.max == 0 || t->access.expire == 0 || t->access.max > 30ull * 24 * 3600 * 1000 || t->access.expire > 7ull * 24 * 3600 * 1000)
		return FAIL_AT(c, &t->b, "\"access … max= expire=\" can't be off: at most 30d, and 7d for a request");
	if (t->access.reason[0] == '\0')
		return SP_OK;
	if (regcomp(&pattern, t->access.reason, REG_EXTENDED | REG_NOSUB) != 0)
		return FAIL_AT(c, &t->b, "\"access … reason=%s\" is no regular expression", QUOTE(t->access.reason));
	regfree(&pattern);
	return SP_OK;
}

/* What an address that is written down says at once; of names dial.c asks when it connects. */
static const char *
literal_refused(const struct hostport *at)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	if (inet_pton(AF_INET, at->host, &v4.sin_addr) == 1)
		return address_refused(NULL, at->host, (const struct sockaddr *)(const void *)&v4, false);
	return inet_pton(AF_INET6, at->host, &v6.sin6_addr) == 1 ? address_refused(NULL, at->host, (const struct sockaddr *)(const void *)&v6, false) : NULL;
}

/* A socket of this machine's, connected by the dial helper; what logs in, or asks, by itself knows addresses alone. */
static int
check_unix(struct check *c, const struct target *t, const char *path)
{
	if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return FAIL_AT(c, &t->b, "\"server unix:PATH\" takes an absolute path of at most 107 bytes, not \"%s\"", QUOTE(path));
	if (strcmp(t->protocol, "docker") != 0 && strcmp(t->protocol, "http") != 0)
		return FAIL_AT(c, &t->b, "\"server unix:PATH\" is for docker and http, not for %s", QUOTE(t->protocol));
	return t->tls.mode == TLS_OFF ? SP_OK : FAIL_AT(c, &t->b, "\"server unix:PATH\" has no TLS: write \"tls off\"");
}

static int
check_server(struct check *c, const struct target *t)
{
	const char *path = settings_unix(t->server);
	struct hostport at;
	if (path != NULL)
		return check_unix(c, t, path);
	if (settings_hostport(t->server, &at) != SP_OK)
		return FAIL_AT(c, &t->b, "\"server\" takes a host and a port, db.example.com:5432, not \"%s\"", QUOTE(t->server));
	const char *refused = literal_refused(&at);
	return refused == NULL ? SP_OK : FAIL_AT(c, &t->b, "\"server\" %s can't be a target: %s", QUOTE(t->server), refused);
}

static int
check_standby(struct check *c, const struct target *t)
{
	struct hostport at;
	for (size_t i = 0; i < t->standby.n; i++) {
		if (settings_unix(t->server) != NULL || settings_hostport(t->standby.v[i], &at) != SP_OK)
			return FAIL_AT(c, &t->b, "\"standby\" takes hosts with their ports beside a \"server\" that is one too, not \"%s\"", QUOTE(t->standby.v[i]));
		const char *refused = literal_refused(&at);
		if (refused != NULL)
			return FAIL_AT(c, &t->b, "\"standby\" %s can't be a target: %s", QUOTE(t->standby.v[i]), refused);
	}
	if (t->standby.n > 0 && t->login.ephemeral)
		return FAIL_AT(c, &t->b, "\"standby\" does not go with an ephemeral login: its roles are made at \"server\" alone");
	return SP_OK;
}

static int
check_target(struct check *c, const struct conf_block *b)
{
	const struct target *t = (const struct target *)b;
	int rc = check_server(c, t);
	if (rc == SP_OK)
		rc = check_standby(c, t);
	if (rc != SP_OK)
		return rc;
	if (t->timeout.connect == 0 || t->timeout.login == 0)
		return FAIL_AT(c, b, "\"timeout connect= login=\" can't be off: a hung target would hold sessions for ever");
	if (t->pool.warm > WARM_MAX || t->pool.age == 0 || t->pool.age > WARM_AGE_MAX)
		return FAIL_AT(c, b, "\"pool\" takes warm= of at most %u and age= of at most 1h: a login that was changed at the target must end", WARM_MAX);
	for (size_t i = 0; i < t->policy.n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(t->policy.v[i], t->policy.v[k]) == 0)
				return FAIL_AT(c, b, "\"policy\" has %s twice", QUOTE(t->policy.v[i]));
	rc = check_protocol(c, b, t->protocol);
	if (rc == SP_OK)
		rc = check_target_tls(c, t);
	if (rc == SP_OK)
		rc = check_access(c, t);
	if (rc == SP_OK)
		rc = check_secret(c, b, "login", &t->login);
	if (rc == SP_OK)
		rc = check_login_ca(c, t);
	if (rc == SP_OK)
		rc = check_catalogue(c, t);
	if (rc == SP_OK)
		rc = check_estimate(c, t);
	if (rc == SP_OK)
		rc = check_vault_login(c, t);
	if (rc == SP_OK)
		rc = check_command_login(c, t);
	if (rc == SP_OK && helpers_wanted(c->s, ROLE_LEND) > HELPERS_MAX)
		return FAIL_AT(c, b, "there are more than %d admin logins, vaults and commands", HELPERS_MAX);
	return rc == SP_OK ? check_ephemeral(c, t) : rc;
}

static int
check_command(struct check *c, const struct conf_block *b)
{
	const struct secret_command *p = (const struct secret_command *)b;
	if (p->run.n == 0 || p->run.n > 64 || p->run.v[0][0] != '/')
		return FAIL_AT(c, b, "\"run\" takes a program's path, from / on, and at most 63 arguments");
	if (p->timeout < 100 || p->timeout > 60000)
		return FAIL_AT(c, b, "\"timeout\" of a command is between 100ms and 60s");
	return SP_OK;
}

static int
check_vault(struct check *c, const struct conf_block *b)
{
	const struct vault *v = (const struct vault *)b;
	struct hostport at;
	bool tls = starts(v->server, "https://");
	const char *host = tls ? v->server + 8 : starts(v->server, "http://") ? v->server + 7 : "";
	if (settings_hostport(host, &at) != SP_OK)
		return FAIL_AT(c, b, "\"server\" of a vault is https://HOST:PORT, not \"%s\"", QUOTE(v->server));
	if (!tls && !at.loopback)
		return FAIL_AT(c, b, "\"server\" of a vault is https: a token and passwords pass there (http on this machine only)");
	if (starts(v->token, "sealed:"))
		return check_sealed(c, b, v->token + 7);
	if (!starts(v->token, "file:") && !starts(v->token, "env:"))
		return FAIL_AT(c, b, "\"token\" says where the token is: file:PATH, env:NAME or sealed:NAME");
	return SP_OK;
}

static int
check_reference(struct check *c, const struct conf_block *b, const char *what, const char *where)
{
	if (starts(where, "sealed:"))
		return check_sealed(c, b, where + 7);
	if (starts(where, "file:") || starts(where, "env:"))
		return SP_OK;
	return FAIL_AT(c, b, "\"%s\" says where it is: file:PATH, env:NAME or sealed:NAME", what);
}

/* Who clicks is tied to a sign-in here, never to Slack's word alone. */
static int
check_clicks(struct check *c, const struct conf_block *b)
{
	const struct webhook *w = (const struct webhook *)b;
	if (w->signing[0] == '\0' && (w->team[0] != '\0' || w->users.n > 0 || w->decide != SLACK_DECIDE_DENY))
		return FAIL_AT(c, b, "\"team\", \"decide\" and \"users\" go with \"signing\"");
	if (w->signing[0] == '\0')
		return SP_OK;
	if (w->format != WEBHOOK_SLACK || w->team[0] == '\0' || c->s->console.url[0] == '\0')
		return FAIL_AT(c, b, "\"signing\" needs \"format slack\", \"team\" and \"console { url … }\"");
	for (size_t i = 0; i < w->users.n; i++) {
		const char *slash = strchr(w->users.value[i], '/');
		const struct identity *of = c->s->identities;
		while (slash != NULL && of != NULL && (strncmp(of->b.name, w->users.value[i], (size_t)(slash - w->users.value[i])) != 0 ||
		    of->b.name[slash - w->users.value[i]] != '\0'))
			of = (const struct identity *)of->b.next;
		if (slash == NULL || slash[1] == '\0' || of == NULL || of->class != CLASS_HUMAN)
			return FAIL_AT(c, b, "\"users %s=%s\": give IDENTITY/SUBJECT of an identity of people", QUOTE(w->users.key[i]), QUOTE(w->users.value[i]));
		for (size_t n = 0; n < i; n++)
			if (strcmp(w->users.key[n], w->users.key[i]) == 0)
				return FAIL_AT(c, b, "\"users\" has %s twice", QUOTE(w->users.key[i]));
	}
	return check_reference(c, b, "signing", w->signing);
}

static int
check_webhook(struct check *c, const struct conf_block *b)
{
	static const char *const events[] = { "asked", "approved", "denied", "expired", "withdrawn", "break-glass" };
	const struct webhook *w = (const struct webhook *)b;
	int rc = starts(w->url, "https://") ? SP_OK : check_reference(c, b, "url", w->url);
	if (rc == SP_OK && w->secret[0] != '\0')
		rc = check_reference(c, b, "secret", w->secret);
	if (rc == SP_OK && w->server[0] != '\0' && !url_fits(w->server, false))
		return FAIL_AT(c, b, "\"server\" is https://HOST[:PORT], not \"%s\"", QUOTE(w->server));
	if (rc == SP_OK && w->secret[0] != '\0' && w->format != WEBHOOK_GENERIC)
		return FAIL_AT(c, b, "\"secret\" signs for \"format generic\": Slack and Teams know a hook by its url");
	for (size_t i = 0; rc == SP_OK && i < w->events.n; i++) {
		size_t k = 0;
		while (k < sizeof(events) / sizeof(*events) && strcmp(events[k], w->events.v[i]) != 0)
			k++;
		if (k == sizeof(events) / sizeof(*events))
			return FAIL_AT(c, b, "\"events\" are asked, approved, denied, expired, withdrawn and break-glass, not \"%s\"", QUOTE(w->events.v[i]));
	}
	for (size_t i = 0; rc == SP_OK && i < w->targets.n; i++)
		if (settings_target(c->s, w->targets.v[i]) == NULL)
			return FAIL_AT(c, b, "there is no \"target %s { … }\"", QUOTE(w->targets.v[i]));
	return rc == SP_OK ? check_clicks(c, b) : rc;
}

static int
check_ssh_key(struct check *c, const struct conf_block *b)
{
	const struct ssh_key *k = (const struct ssh_key *)b;
	size_t word = strlen("ssh-ed25519 ");
	if (strncmp(k->key, "ssh-ed25519 ", word) != 0 || strcspn(k->key + word, " =") != 68)
		return FAIL_AT(c, b, "\"key\" is an Ed25519 public key, in quotes: \"ssh-ed25519 AAAA…\", as its .pub file has it");
	if (k->user[0] == '\0' || strlen(k->user) > 128 || k->session == 0)
		return FAIL_AT(c, b, "it needs a \"user\", and a \"session\" that is longer than nothing");
	if (k->class == CLASS_AGENT)
		return FAIL_AT(c, b, "\"class agent\" needs a sponsor, which a key can't name: let the agent show tokens of an identity");
	for (const struct conf_block *o = b->next; o != NULL; o = o->next)
		if (strncmp(((const struct ssh_key *)o)->key, k->key, word + 68) == 0)
			return FAIL_AT(c, o, "\"ssh_key %s\" has the same key: a key is one principal's", b->name);
	return SP_OK;
}

/* ---- identities and modules ---- */

static const char *
class_name(unsigned class)
{
	return class == CLASS_AGENT ? "agent" : "workload";
}

/* Where the provider is asked, its issuer is the URL that everything begins with. */
static int
check_oidc_urls(struct check *c, const struct identity *i)
{
	const char *jwks = i->oidc.jwks, *how = "https://HOST/… (or, with insecure_loopback=on, http:// on this machine)";
	bool file = starts(jwks, "file:");
	if (jwks[0] != '\0' && !file && !url_fits(jwks, i->oidc.insecure_loopback))
		return FAIL_AT(c, &i->b, "\"oidc jwks=\" takes file:PATH or %s", how);
	if ((!file || i->oidc.client[0] != '\0') && (!url_fits(i->oidc.issuer, i->oidc.insecure_loopback) || strchr(i->oidc.issuer, '?') != NULL))
		return FAIL_AT(c, &i->b, "\"oidc issuer=\" is %s, since the provider is asked there; or give jwks=file:PATH, and no client=", how);
	return SP_OK;
}

static int
check_oidc(struct check *c, const struct identity *i)
{
	const char *secret = i->oidc.secret, *const audience[] = { i->oidc.client, i->oidc.audience, i->oidc.api_audience };
	if (i->oidc.issuer[0] == '\0' || (audience[0][0] == '\0' && audience[1][0] == '\0' && audience[2][0] == '\0'))
		return FAIL_AT(c, &i->b, "\"oidc\" needs issuer=, and client= (sign-ins) or audience= (tokens as they are)");
	for (size_t n = 0; n < 3; n++)
		for (size_t o = 0; o < n; o++)
			if (audience[n][0] != '\0' && strcmp(audience[n], audience[o]) == 0)
				return FAIL_AT(c, &i->b, "client=, audience= and api_audience= must differ: a token for one is not good for the other");
	int rc = secret[0] == '\0' ? SP_OK : check_where(c, &i->b, "oidc", secret);
	if (rc != SP_OK)
		return rc;
	if (secret[0] != '\0' && i->oidc.client[0] == '\0')
		return FAIL_AT(c, &i->b, "\"oidc secret=\" goes with client=");
	if (!strings_have(&i->oidc.scope, "openid"))
		return FAIL_AT(c, &i->b, "\"oidc scope=\" needs openid");
	return check_oidc_urls(c, i);
}

static bool
share_an_audience(const struct identity *a, const struct identity *b)
{
	const char *const of_a[] = { a->oidc.client, a->oidc.audience, a->oidc.api_audience };
	const char *const of_b[] = { b->oidc.client, b->oidc.audience, b->oidc.api_audience };
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++)
			if (of_a[i][0] != '\0' && strcmp(of_a[i], of_b[k]) == 0)
				return true;
	return false;
}

static int
check_saml(struct check *c, const struct conf_block *b)
{
	const struct identity *i = (const struct identity *)b;
	const char *entity = i->saml.entity;
	if (i->oidc.issuer[0] != '\0')
		return FAIL_AT(c, b, "an identity is of \"oidc\" or of \"saml\", not of both: make two blocks");
	if (c->s->console.url[0] == '\0')
		return FAIL_AT(c, b, "\"saml\" needs \"console { url https://…; }\": responses are posted there");
	if (i->class != CLASS_HUMAN)
		return FAIL_AT(c, b, "\"saml\" is for people: \"class\" must be human");
	if ((i->saml.key[0] == '\0') != (i->saml.cert[0] == '\0'))
		return FAIL_AT(c, b, "\"saml\" takes sp_key= and sp_cert= together");
	if (i->session == 0)
		return FAIL_AT(c, b, "\"session\" can't be off");
	if (strlen(entity) > 1024 || entity[strcspn(entity, " \t<>\"'&")] != '\0')
		return FAIL_AT(c, b, "\"saml entity_id=\" is a URI of at most 1024 letters, not \"%s\"", QUOTE(entity));
	if ((i->user.nameid && i->user.attribute[0] != '\0') || (i->person.nameid && i->person.attribute[0] != '\0'))
		return FAIL_AT(c, b, "\"user\" and \"person\" take nameid or attribute=, not both");
	return i->saml.key[0] == '\0' ? SP_OK : check_where(c, b, "saml", i->saml.key);
}

/* What its principals are: of oidc and certificates alike. */
static int
check_class(struct check *c, const struct conf_block *b)
{
	const struct identity *i = (const struct identity *)b;
	if (i->user.claim[0] == '\0')
		return FAIL_AT(c, b, "\"user claim=\" is empty");
	if (i->class != CLASS_HUMAN && i->allow.n == 0)
		return FAIL_AT(c, b, "an identity of class %s needs \"allow claim=value\": its issuer vouches for others' workloads too",
		    class_name(i->class));
	if (i->class == CLASS_AGENT && i->sponsor.claim[0] == '\0')
		return FAIL_AT(c, b, "\"class agent\" needs \"sponsor claim=\": who answers for an agent may not approve what it asks");
	if (i->sponsor.claim[0] != '\0' && i->class != CLASS_AGENT)
		return FAIL_AT(c, b, "\"sponsor\" goes with \"class agent\"");
	return SP_OK;
}

static int
check_certificate(struct check *c, const struct conf_block *b)
{
	static const char *const claims[] = { "sub", "cn", "email", "dns", "uri" };
	const struct sp_strings known = { claims, sizeof(claims) / sizeof(*claims) };
	const struct identity *i = (const struct identity *)b;
	if (i->oidc.issuer[0] != '\0' || i->saml.metadata[0] != '\0')
		return FAIL_AT(c, b, "an identity is of one of \"oidc\", \"saml\" and \"certificate\": make two blocks");
	if (!strings_have(&known, i->user.claim))
		return FAIL_AT(c, b, "of a certificate \"user claim=\" is cn, email, dns, uri or sub, not \"%s\"", QUOTE(i->user.claim));
	if (i->session == 0)
		return FAIL_AT(c, b, "\"session\" can't be off");
	for (const struct identity *o = c->s->identities; o != i; o = (const struct identity *)o->b.next)
		if (strcmp(o->certificate.ca, i->certificate.ca) == 0 && strcmp(o->certificate.crl, i->certificate.crl) != 0)
			return FAIL_AT(c, b, "identity %s has the same \"certificate ca=\" and another crl=: whom one refuses as revoked, the other would take",
			    o->b.name);
	return check_class(c, b);
}

static int
check_identity(struct check *c, const struct conf_block *b)
{
	const struct identity *i = (const struct identity *)b;
	if (strcmp(b->name, "local") == 0 || strcmp(b->name, "unix") == 0 || strcmp(b->name, "ssh_key") == 0)
		return FAIL_AT(c, b, "the name \"%s\" is the gateway's own: choose another", b->name);
	if (i->certificate.ca[0] != '\0')
		return check_certificate(c, b);
	if (i->saml.metadata[0] != '\0')
		return check_saml(c, b);
	if (i->oidc.issuer[0] == '\0')
		return FAIL_AT(c, b, "it needs \"oidc issuer=…\", \"saml metadata=…\" or \"certificate ca=…\"");
	if (i->user.nameid || i->user.attribute[0] != '\0' || i->person.nameid || i->person.attribute[0] != '\0' || i->groups.attribute[0] != '\0')
		return FAIL_AT(c, b, "nameid and attribute= are of \"saml\": an identity of \"oidc\" takes claim=");
	int rc = check_oidc(c, i);
	if (rc != SP_OK)
		return rc;
	if (i->class != CLASS_HUMAN && i->oidc.client[0] != '\0')
		return FAIL_AT(c, b, "\"oidc client=\" is for people: an identity of class %s shows tokens", class_name(i->class));
	rc = check_class(c, b);
	if (rc != SP_OK)
		return rc;
	if (i->max_age == 0 || i->session == 0)
		return FAIL_AT(c, b, "\"%s\" can't be off", i->max_age == 0 ? "max_age" : "session");
	for (const struct conf_block *o = &c->s->identities->b; o != b; o = o->next) {
		const struct identity *other = (const struct identity *)o;
		if (strcmp(other->oidc.issuer, i->oidc.issuer) == 0 && share_an_audience(other, i))
			return FAIL_AT(c, b, "identity \"%s\" has the same issuer and audience", o->name);
	}
	return SP_OK;
}

static int
check_module(struct check *c, const struct conf_block *b)
{
	if (is_loaded(c->s, b->name))
		return SP_OK;
	return FAIL_AT(c, b, "module \"%s\" is not loaded: \"load_module %s;\" is missing", b->name, b->name);
}

/* ---- the top ---- */

static int
check_load_module(struct check *c)
{
	const struct sp_strings *list = &c->s->load_module;
	for (size_t i = 0; i < list->n; i++) {
		struct sp_bytes name = settings_module_name(list->v[i]);
		if (name.len == 0 || name.len > 63)
			return FAIL_TOP(c, "load_module", "\"load_module %s\" is not a module's name", QUOTE(list->v[i]));
		for (size_t k = 0; k < i; k++)
			if (sp_bytes_eq(name, settings_module_name(list->v[k])))
				return FAIL_TOP(c, "load_module", "\"load_module %s\" is given twice", QUOTE(list->v[i]));
	}
	return SP_OK;
}

static int
check_control(struct check *c)
{
	const char *mode = c->s->control.mode;
	if (!only(mode, "01234567", 4) || mode[0] != '0' || mode[3] != '0')
		return FAIL_TOP(c, "control", "\"control mode=\" is like 0660, with nothing for others, not \"%s\"", QUOTE(mode));
	for (size_t i = 0; i < c->s->control.may.n; i++)
		if (strcmp(c->s->control.may.v[i], "mint") != 0 && strcmp(c->s->control.may.v[i], "approve") != 0)
			return FAIL_TOP(c, "control", "\"control may=\" takes mint and approve, not \"%s\"", QUOTE(c->s->control.may.v[i]));
	return SP_OK;
}

static int
check_record(struct check *c)
{
	const char *anchor = c->s->record.anchor, *key = c->s->record.encrypt;
	struct hostport host;
	int facility;
	if (anchor[0] != '\0' && !starts(anchor, "file:") && !starts(anchor, "syslog:"))
		return FAIL_TOP(c, "record", "\"anchor\" takes file:PATH, syslog:FACILITY or syslog://HOST[:PORT], not \"%s\"", QUOTE(anchor));
	if (strncmp(anchor, "syslog:/", 8) == 0 && settings_anchor_host(anchor, &host) != SP_OK)
		return FAIL_TOP(c, "record", "\"anchor\" takes syslog://HOST[:PORT]: a name, an address, or an IPv6 address in brackets, not \"%s\"",
		    QUOTE(anchor));
	if (starts(anchor, "syslog:") && anchor[7] != '/' && settings_anchor_facility(anchor, &facility) != SP_OK)
		return FAIL_TOP(c, "record", "\"anchor\" takes the facilities authpriv, auth, daemon, user and local0 to local7, not \"%s\"",
		    QUOTE(anchor + 7));
	if (key[0] != '\0' && !only(key, "0123456789abcdefABCDEF", 64))
		return FAIL_TOP(c, "record", "\"encrypt to=\" takes 64 hexadecimal digits");
	if (c->s->record.sync_wait == 0)
		return FAIL_TOP(c, "record", "\"sync_wait\" can't be off");
	if (c->s->record.ring < 1 << 20 || c->s->record.ring > 1 << 30)
		return FAIL_TOP(c, "record", "\"ring\" is between 1m and 1g");
	return SP_OK;
}

static int
check_secrets(struct check *c)
{
	const char *key = c->s->secrets.key, *folder = c->s->secrets.folder;
	if (key[0] == '\0')
		return SP_OK;
	if (!starts(key, "file:"))
		return FAIL_TOP(c, "secrets", "\"secrets key=\" takes file:PATH, not \"%s\"", QUOTE(key));
	size_t n = strlen(folder);
	/* A copy of the folder would be a copy of both. */
	if (n > 0 && strncmp(key + 5, folder, n) == 0 && key[5 + n] == '/')
		return FAIL_TOP(c, "secrets", "\"secrets key=\" is in the folder of what it seals: keep it elsewhere");
	return SP_OK;
}

static int
check_siem(struct check *c)
{
	struct hostport h;
	const char *to = c->s->siem.to;
	if (to[0] == '\0' && c->s->siem.ca[0] != '\0')
		return FAIL_TOP(c, "siem", "\"siem\" lacks where to: tls://HOST:PORT");
	if (to[0] == '\0' || settings_siem_host(to, &h) == SP_OK)
		return SP_OK;
	return FAIL_TOP(c, "siem", "\"siem\" takes tls://HOST:PORT or tcp://HOST:PORT, not \"%s\"", QUOTE(to));
}

static int
check_console(struct check *c)
{
	const struct console_settings *s = &c->s->console;
	struct hostport at;
	if (s->url[0] != '\0' && settings_console_host(s->url) == NULL)
		return FAIL_TOP(c, "console", "\"url\" is https://HOST or https://HOST:PORT in small letters, without a path and without :443, not \"%s\"",
		    QUOTE(s->url));
	if (s->listen[0] == '\0')
		return SP_OK;
	const char *path = settings_unix(s->listen);
	if (path != NULL ? path[0] != '/' : settings_systemd(s->listen) == NULL && (settings_hostport(s->listen, &at) != SP_OK || !at.literal))
		return FAIL_TOP(c, "console", "\"listen\" takes an address and a port, 0.0.0.0:8443 or [::1]:8443, unix:/PATH or systemd:NAME, not \"%s\"",
		    QUOTE(s->listen));
	if (s->tls.cert[0] == '\0' || s->tls.key[0] == '\0')
		return FAIL_TOP(c, "console", "\"listen\" needs \"tls cert=… key=…\": tokens and cookies pass through it");
	if (s->url[0] == '\0')
		return FAIL_TOP(c, "console", "\"listen\" needs \"url https://HOST:PORT\": how browsers and `sallyport --server` reach it");
	if (s->limit.connections == 0 || s->limit.connections > 10000 || s->limit.per_address == 0)
		return FAIL_TOP(c, "console", "\"limit\" takes connections= from 1 to 10000, and per_address= from 1");
	for (const struct listener *l = c->s->listeners; l != NULL; l = (const struct listener *)l->b.next)
		if (strcmp(l->listen, s->listen) == 0)
			return FAIL_AT(c, &l->b, "\"console\" has the same address: %s", l->listen);
	return SP_OK;
}

static int
check_store(struct check *c)
{
	const struct settings *s = c->s;
	struct store_address at;
	if (starts(s->store.where, "sqlite:"))
		return SP_OK;
	if (settings_store_address(c->arena, s->store.where, &at) != SP_OK)
		return FAIL_TOP(c, "store", "\"store\" takes sqlite:PATH or postgresql://USER@HOST[:PORT]/DATABASE, not \"%s\"", QUOTE(s->store.where));
	if (s->store.secret[0] != '\0' && !starts(s->store.secret, "file:") && !starts(s->store.secret, "env:") && !starts(s->store.secret, "sealed:"))
		return FAIL_TOP(c, "store", "\"store … secret=\" takes file:PATH, env:NAME or sealed:NAME, never the password itself");
	if (s->store.tls == TLS_VERIFY_FULL && s->store.ca[0] == '\0')
		return FAIL_TOP(c, "store", "\"store … tls=verify-full\" needs ca=PATH");
	if (s->store.tls == TLS_OFF && !at.at.loopback)
		return FAIL_TOP(c, "store", "\"store … tls=off\" is for a server on this machine: its rows and its password would go in the clear");
	return SP_OK;
}

static int
check_numbers(struct check *c)
{
	const struct settings *s = c->s;
	if (s->workers > 256)
		return FAIL_TOP(c, "workers", "\"workers\" is at most 256");
	if (s->policy.deadline == 0 || s->policy.deadline > 1000)
		return FAIL_TOP(c, "policy", "\"policy { deadline }\" is between 1ms and 1s");
	if (s->policy.memory < 1 << 20 || s->policy.memory > 1 << 30)
		return FAIL_TOP(c, "policy", "\"policy { memory }\" is between 1m and 1g");
	if (s->limit.sessions == 0 || s->limit.per_user == 0 || s->limit.per_address == 0)
		return FAIL_TOP(c, "limit", "\"limit\" of 0 would let nobody in");
	if (s->audit[0] == '\0' || s->user[0] == '\0')
		return FAIL_TOP(c, "audit", "\"audit\" and \"user\" can't be empty");
	if (s->local_issuer && s->identities != NULL && !s->local_issuer_beside)
		return FAIL_TOP(c, "local_issuer", "\"local_issuer on\" beside real identities: say \"local_issuer on beside\" if it is meant");
	return SP_OK;
}

static int
check_blocks(struct check *c, const struct conf_block *first, int (*check)(struct check *c, const struct conf_block *b))
{
	int rc = SP_OK;
	for (const struct conf_block *b = first; b != NULL && rc == SP_OK; b = b->next)
		rc = check(c, b);
	return rc;
}

int
settings_check(struct arena *a, const struct settings *s, const char **err_r)
{
	struct check c = { a, s, err_r };
	int (*const top[])(struct check *) = { check_load_module, check_control, check_record, check_secrets, check_store, check_console, check_siem, check_numbers };
	for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++) {
		int rc = top[i](&c);
		if (rc != SP_OK)
			return rc;
	}
	int rc = check_blocks(&c, (const struct conf_block *)s->modules, check_module);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->identities, check_identity);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->vaults, check_vault);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->webhooks, check_webhook);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->ssh_keys, check_ssh_key);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->commands, check_command);
	if (rc == SP_OK)
		rc = check_blocks(&c, (const struct conf_block *)s->targets, check_target);
	return rc == SP_OK ? check_blocks(&c, (const struct conf_block *)s->listeners, check_listener) : rc;
}
