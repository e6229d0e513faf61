/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of all directives of the core, and how they fill struct settings.  What a table can't say is in settings_check.c. */
#include <config.h>

#include "settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#define END { .name = NULL }

/* ---- what several share ---- */

static const char *const tls_modes[] = { "verify-full", "require", "off", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL }; /* from SP_ERROR on */

/* ---- listener ---- */

#define L(member) offsetof(struct listener, member)
static const struct directive listener_tls[] = {
	{ .name = "cert", .type = DIR_STRING, .offset = offsetof(struct tls_settings, cert), .help = "certificate chain, PEM" },
	{ .name = "key", .type = DIR_STRING, .offset = offsetof(struct tls_settings, key), .help = "its private key, PEM" },
	{ .name = "certificates", .type = DIR_BOOL, .offset = offsetof(struct tls_settings, certificates), .dflt = "off",
	    .help = "clients are asked for a certificate, which proves who they are to an `identity` with `certificate` (docker, http)" },
	END,
};
static const struct directive console_tls[] = {
	{ .name = "cert", .type = DIR_STRING, .offset = offsetof(struct tls_settings, cert), .help = "certificate chain, PEM" },
	{ .name = "key", .type = DIR_STRING, .offset = offsetof(struct tls_settings, key), .help = "its private key, PEM" },
	END,
};
static const struct directive listener_cleartext[] = {
	{ .name = "loopback", .type = DIR_FLAG, .offset = L(cleartext),
	    .help = "clients on this machine may send tokens without TLS" },
	END,
};
static const struct directive listener_timeout[] = {
	{ .name = "handshake", .type = DIR_DURATION, .offset = L(handshake), .dflt = "10s", .help = "until TLS stands" },
	{ .name = "login", .type = DIR_DURATION, .offset = L(login), .dflt = "30s", .help = "until the client is admitted" },
	{ .name = "sign_in", .type = DIR_DURATION, .offset = L(sign_in), .dflt = "5m",
	    .help = "SSH: so long a client may wait for a person who confirms it in a browser; 10 minutes are the most" },
	END,
};
const struct directive settings_listener_table[] = {
	{ .name = "listen", .type = DIR_STRING, .offset = L(listen),
	    .help = "address and port: `0.0.0.0:5432`, `[::1]:5432`; `unix:PATH`; or `systemd:NAME`, a socket that systemd hands over" },
	{ .name = "protocol", .type = DIR_STRING, .offset = L(protocol), .help = "module that speaks with the clients" },
	{ .name = "public", .type = DIR_STRING, .offset = L(public), .dflt = "",
	    .help = "host and port that clients are told with a ticket, `db.example.com:5432`; without it those of `listen`" },
	{ .name = "target", .type = DIR_STRING, .offset = L(target), .dflt = "", .help = "the one target; without it the client names one" },
	{ .name = "tls", .type = DIR_PARAMS, .offset = L(tls), .dflt = "", .params = listener_tls, .help = "TLS to clients" },
	{ .name = "host_key", .type = DIR_STRING, .offset = L(host_key), .dflt = "",
	    .help = "private key of the gateway towards clients, for a protocol that encrypts itself (ssh), instead of `tls`" },
	{ .name = "cleartext", .type = DIR_PARAMS, .dflt = "", .params = listener_cleartext,
	    .help = "without `tls`: refused on any other address than loopback" },
	{ .name = "proxy_from", .type = DIR_STRINGS, .offset = L(proxy_from), .dflt = "",
	    .help = "networks of load balancers: each of their connections begins with a PROXY header (v1 or v2), which says who the client is; nobody else's may" },
	{ .name = "keepalive", .type = DIR_DURATION, .offset = L(keepalive), .dflt = "1m", .help = "TCP asks whether a silent client is still there; `off`: as the kernel does" },
	{ .name = "timeout", .type = DIR_PARAMS, .dflt = "", .params = listener_timeout, .help = "deadlines of a new connection" },
	END,
};

/* ---- target ---- */

#define T(member) offsetof(struct target, member)
#define SECRET_PARAMS(OF) \
	{ .name = "secret", .type = DIR_STRING, .offset = T(OF.secret), .dflt = "", .help = "where its password is: `file:PATH`, `env:NAME` or `sealed:NAME`" }, \
	{ .name = "cert", .type = DIR_STRING, .offset = T(OF.cert), .dflt = "", .help = "client certificate chain for the target, PEM" }, \
	{ .name = "key", .type = DIR_STRING, .offset = T(OF.key), .dflt = "", \
	    .help = "where its private key is, PEM: `file:PATH` or `sealed:NAME`; the keeper signs with it, TLS 1.3 only; or, without `cert=`, of an SSH login: Ed25519, and known to the target" }, \
	{ .name = "cleartext", .type = DIR_BOOL, .offset = T(OF.cleartext), .dflt = "off", .help = "the target may be told the password as it is, over TLS, or over SSH once its host key was recognised" }
static const struct directive target_login[] = {
	{ .name = "user", .type = DIR_STRING, .offset = T(login.user), .dflt = "", .help = "login name at the target" },
	SECRET_PARAMS(login),
	{ .name = "ephemeral", .type = DIR_FLAG, .offset = T(login.ephemeral),
	    .help = "no login of its own: `admin` makes a role for each session, and drops it" },
	{ .name = "role", .type = DIR_STRING, .offset = T(login.role), .dflt = "",
	    .help = "…which is a member of this role, acts as it and leaves it what it made" },
	{ .name = "valid", .type = DIR_DURATION, .offset = T(login.valid), .dflt = "15m",
	    .help = "…and may log in for so long; a session that is open lasts longer" },
	{ .name = "vault", .type = DIR_STRING, .offset = T(login.vault), .dflt = "", .help = "the password is read for each session from this `vault`" },
	{ .name = "path", .type = DIR_STRING, .offset = T(login.path), .dflt = "",
	    .help = "…what is read there: `secret/data/NAME` of KV version 2, `database/creds/ROLE` with `dynamic`" },
	{ .name = "field", .type = DIR_STRING, .offset = T(login.field), .dflt = "password", .help = "…its field that is the password" },
	{ .name = "dynamic", .type = DIR_FLAG, .offset = T(login.dynamic),
	    .help = "…Vault makes user and password for each session: renewed while it lasts, revoked when it ends" },
	{ .name = "command", .type = DIR_STRING, .offset = T(login.command), .dflt = "", .help = "the password is what this `command` prints, run for each session" },
	{ .name = "ca", .type = DIR_STRING, .offset = T(login.ca), .dflt = "",
	    .help = "SSH: where the Ed25519 key is that certifies a key pair for each session: `file:PATH` or `sealed:NAME`" },
	{ .name = "from", .type = DIR_STRING, .offset = T(login.from), .dflt = "",
	    .help = "SSH, with `ca=`: the gateway's addresses as the target sees them, ADDRESS[/BITS] with commas; certificates are good from there only" },
	{ .name = "forwarding", .type = DIR_BOOL, .offset = T(login.forwarding), .dflt = "off",
	    .help = "SSH, with `ca=`: certificates permit port forwarding too" },
	END,
};
static const struct directive target_admin[] = {
	{ .name = "user", .type = DIR_STRING, .offset = T(admin.user), .help = "login name at the target" },
	{ .name = "secret", .type = DIR_STRING, .offset = T(admin.secret), .help = "where its password is: `file:PATH`, `env:NAME` or `sealed:NAME`" },
	END,
};
static const struct directive target_catalogue[] = {
	{ .name = "user", .type = DIR_STRING, .offset = T(catalogue.user), .dflt = "", .help = "login name at the target; without it `login`'s" },
	SECRET_PARAMS(catalogue),
	{ .name = "recheck", .type = DIR_DURATION, .offset = T(recheck), .dflt = "1s",
	    .help = "how long what names mean is taken for true: a statement after that waits until the target was asked whether definitions "
		    "have changed; `0s`: asked before each" },
	END,
};
static const struct directive target_estimate[] = {
	{ .name = "user", .type = DIR_STRING, .offset = T(estimate.user), .help = "login name at the target, not that of `login` or `catalogue`" },
	SECRET_PARAMS(estimate),
	END,
};
static const char *const target_modes[] = { "enforce", "observe", NULL };
static const struct directive target_tls[] = {
	{ .name = ":mode", .type = DIR_CHOICE, .offset = offsetof(struct tls_settings, mode), .dflt = "verify-full", .choices = tls_modes,
	    .help = "certificate and name are verified; or TLS without a look at who answers; or none" },
	{ .name = "ca", .type = DIR_STRING, .offset = offsetof(struct tls_settings, ca), .dflt = "",
	    .help = "authorities to trust, PEM; without it the system's" },
	{ .name = "crl", .type = DIR_STRING, .offset = offsetof(struct tls_settings, crl), .dflt = "",
	    .help = "lists of certificates that these have revoked (CRLs), PEM: all of them that issue; who is on one, or whose issuer has no "
		    "list that is up to date, is not trusted" },
	{ .name = "name", .type = DIR_STRING, .offset = offsetof(struct tls_settings, name), .dflt = "",
	    .help = "name in the certificate, when it is not the host of `server`" },
	END,
};
static const struct directive target_allow[] = {
	{ .name = "groups", .type = DIR_STRINGS, .offset = T(allow.groups), .dflt = "", .help = "members of any of these groups" },
	{ .name = "users", .type = DIR_STRINGS, .offset = T(allow.users), .dflt = "", .help = "these users" },
	END,
};
static const char *const access_modes[] = { "standing", "grant", NULL };
static const struct directive target_access[] = {
	{ .name = ":mode", .type = DIR_CHOICE, .offset = T(access.mode), .dflt = "standing", .choices = access_modes,
	    .help = "whom `allow` names may connect at any time; or only with a grant, for which they ask" },
	{ .name = "approvers", .type = DIR_STRING, .offset = T(access.approvers), .dflt = "",
	    .help = "group whose members decide on grants, and close incidents" },
	{ .name = "count", .type = DIR_INT, .offset = T(access.count), .dflt = "1", .help = "persons who must agree, 1 to 10" },
	{ .name = "max", .type = DIR_DURATION, .offset = T(access.max), .dflt = "1h", .help = "longest grant" },
	{ .name = "expire", .type = DIR_DURATION, .offset = T(access.expire), .dflt = "1h", .help = "how long a request waits for a decision" },
	{ .name = "reason", .type = DIR_STRING, .offset = T(access.reason), .dflt = "",
	    .help = "pattern (POSIX extended) that the reason must hold, such as `INC-[0-9]+`; without it any reason does" },
	{ .name = "break_glass", .type = DIR_STRINGS, .offset = T(access.break_glass), .dflt = "",
	    .help = "groups whose members may go in at once, without grant and approval, under an incident; without it nobody" },
	{ .name = "sponsor", .type = DIR_FLAG, .offset = T(access.sponsor),
	    .help = "whether the person whom an agent works for may decide on the agent's requests" },
	END,
};
static const struct directive target_timeout[] = {
	{ .name = "connect", .type = DIR_DURATION, .offset = T(timeout.connect), .dflt = "5s", .help = "to connect, TLS included" },
	{ .name = "login", .type = DIR_DURATION, .offset = T(timeout.login), .dflt = "15s", .help = "to log in" },
	{ .name = "idle", .type = DIR_DURATION, .offset = T(timeout.idle), .dflt = "off", .help = "a session without operations ends after it" },
	END,
};
static const struct directive target_limit[] = {
	{ .name = "sessions", .type = DIR_INT, .offset = T(limit.sessions), .dflt = "0", .help = "sessions at once; 0: only the gateway's limit" },
	{ .name = "per_user", .type = DIR_INT, .offset = T(limit.per_user), .dflt = "0", .help = "of these, one user's; 0: only the gateway's limit" },
	END,
};
static const struct directive target_pool[] = {
	{ .name = "warm", .type = DIR_INT, .offset = T(pool.warm), .dflt = "0",
	    .help = "connections that each worker keeps logged in and unused, for the sessions to come" },
	{ .name = "age", .type = DIR_DURATION, .offset = T(pool.age), .dflt = "1m", .help = "one that nobody took is closed after it" },
	END,
};
const struct directive settings_target_table[] = {
	{ .name = "protocol", .type = DIR_STRING, .offset = T(protocol), .help = "module that speaks with the target" },
	{ .name = "server", .type = DIR_STRING, .offset = T(server), .help = "host and port: `10.0.3.7:5432`; for docker and http also `unix:/run/docker.sock`, which the dial helper connects" },
	{ .name = "standby", .type = DIR_STRINGS, .offset = T(standby), .dflt = "",
	    .help = "further addresses, host and port each: tried in this order when nothing answers at `server`" },
	{ .name = "keepalive", .type = DIR_DURATION, .offset = T(keepalive), .dflt = "1m", .help = "TCP asks whether a silent target is still there; `off`: as the kernel does" },
	{ .name = "tls", .type = DIR_PARAMS, .offset = T(tls), .dflt = "", .params = target_tls, .help = "TLS to the target" },
	{ .name = "login", .type = DIR_PARAMS, .dflt = "", .params = target_login,
	    .help = "how the gateway logs in; the password stays with the keeper" },
	{ .name = "catalogue", .type = DIR_PARAMS, .dflt = "", .params = target_catalogue,
	    .help = "the connection of the gateway's own that reads what names mean at the target" },
	{ .name = "estimate", .type = DIR_PARAMS, .dflt = "", .params = target_estimate,
	    .help = "PostgreSQL: login of a connection that asks the planner how many rows a held statement is about, for who decides; "
		    "without it nobody is asked" },
	{ .name = "admin", .type = DIR_PARAMS, .dflt = "", .params = target_admin,
	    .help = "login that makes and drops the roles of `login ephemeral`; only the lend helper uses it" },
	{ .name = "database", .type = DIR_STRING, .offset = T(database), .dflt = "", .help = "part of the target that `NAME` means; without it the target's name" },
	{ .name = "databases", .type = DIR_STRINGS, .offset = T(databases), .dflt = "", .help = "further parts, asked for as `NAME/PART`; `*` for any" },
	{ .name = "logins", .type = DIR_STRINGS, .offset = T(logins), .dflt = "", .help = "SSH: further login names at the target, asked for as `LOGIN%NAME`; `*` for any" },
	{ .name = "allow", .type = DIR_PARAMS, .dflt = "", .params = target_allow, .help = "who may have sessions; without it nobody" },
	{ .name = "access", .type = DIR_PARAMS, .dflt = "", .params = target_access, .help = "when those whom `allow` names may have sessions" },
	{ .name = "label", .type = DIR_PAIRS, .offset = T(label), .dflt = "", .help = "facts about the target that policies read" },
	{ .name = "policy", .type = DIR_STRINGS, .offset = T(policy), .flags = DIR_MANY, .help = "policy files; all rules of all of them are asked" },
	{ .name = "timeout", .type = DIR_PARAMS, .dflt = "", .params = target_timeout, .help = "deadlines of the target and of sessions" },
	{ .name = "limit", .type = DIR_PARAMS, .dflt = "", .params = target_limit, .help = "how many sessions" },
	{ .name = "pool", .type = DIR_PARAMS, .dflt = "", .params = target_pool,
	    .help = "connections that are ready before a session comes; each is one session's, and closed with it" },
	{ .name = "mode", .type = DIR_CHOICE, .offset = T(mode), .dflt = "enforce", .choices = target_modes,
	    .help = "`observe` lets everything run that the rules would refuse, and records what they would have done" },
	END,
};

/* ---- vault, command ---- */

static const struct directive command_table[] = {
	{ .name = "run", .type = DIR_STRINGS, .offset = offsetof(struct secret_command, run),
	    .help = "a program's path and its arguments, without a shell; the first 8192 bytes that it prints are the password" },
	{ .name = "timeout", .type = DIR_DURATION, .offset = offsetof(struct secret_command, timeout), .dflt = "5s", .help = "it is killed after it" },
	END,
};

#define V(member) offsetof(struct vault, member)
static const struct directive vault_table[] = {
	{ .name = "server", .type = DIR_STRING, .offset = V(server), .help = "`https://HOST:PORT`" },
	{ .name = "ca", .type = DIR_STRING, .offset = V(ca), .dflt = "", .help = "authorities to trust, PEM; without it the system's" },
	{ .name = "token", .type = DIR_STRING, .offset = V(token), .help = "where its token is: `file:PATH`, `env:NAME` or `sealed:NAME`" },
	{ .name = "namespace", .type = DIR_STRING, .offset = V(namespace), .dflt = "", .help = "the server's namespace" },
	END,
};

/* ---- identity ---- */

#define I(member) offsetof(struct identity, member)
static const char *const classes[] = { "human", "workload", "agent", NULL };
static const char *const token_uses[] = { "address", "once", "any", NULL };
static const struct directive identity_oidc[] = {
	{ .name = "issuer", .type = DIR_STRING, .offset = I(oidc.issuer), .help = "what `iss` must be" },
	{ .name = "client", .type = DIR_STRING, .offset = I(oidc.client), .dflt = "",
	    .help = "the gateway's client id at the provider: people sign in with a browser" },
	{ .name = "secret", .type = DIR_STRING, .offset = I(oidc.secret), .dflt = "",
	    .help = "where that client's secret is, if it has one: `file:PATH`, `env:NAME` or `sealed:NAME`" },
	{ .name = "scope", .type = DIR_STRINGS, .offset = I(oidc.scope), .dflt = "openid,profile,email",
	    .help = "what a sign-in asks the provider for; `offline_access` for a refresh token, where it wants that said" },
	{ .name = "audience", .type = DIR_STRING, .offset = I(oidc.audience), .dflt = "",
	    .help = "what `aud` must hold of tokens that are shown to open a session; without it none is good for that" },
	{ .name = "api_audience", .type = DIR_STRING, .offset = I(oidc.api_audience), .dflt = "",
	    .help = "what `aud` must hold, for the API; without it none of its tokens is good there" },
	{ .name = "jwks", .type = DIR_STRING, .offset = I(oidc.jwks), .dflt = "",
	    .help = "the issuer's public keys: `file:PATH` or an https URL; without it, where the issuer's discovery document says" },
	{ .name = "ca", .type = DIR_STRING, .offset = I(oidc.ca), .dflt = "",
	    .help = "authorities to trust for the provider's https, PEM; without it the system's" },
	{ .name = "insecure_loopback", .type = DIR_BOOL, .offset = I(oidc.insecure_loopback), .dflt = "off",
	    .help = "a provider on this machine may be asked by http; for tests" },
	END,
};
static const struct directive identity_saml[] = {
	{ .name = "metadata", .type = DIR_STRING, .offset = I(saml.metadata), .help = "the identity provider's metadata, an XML file" },
	{ .name = "entity_id", .type = DIR_STRING, .offset = I(saml.entity), .dflt = "",
	    .help = "what the provider calls the gateway; without it the URL of `/saml/metadata/NAME`" },
	{ .name = "idp_initiated", .type = DIR_BOOL, .offset = I(saml.idp_initiated), .dflt = "off",
	    .help = "the provider may begin a sign-in, unasked: who is tricked into opening such a page is signed in as somebody else" },
	{ .name = "sp_key", .type = DIR_STRING, .offset = I(saml.key), .dflt = "",
	    .help = "where the private key is that requests are signed with, PEM: `file:PATH`, `env:NAME` or `sealed:NAME`; the keeper signs" },
	{ .name = "sp_cert", .type = DIR_STRING, .offset = I(saml.cert), .dflt = "", .help = "its certificate, PEM, for the gateway's metadata" },
	END,
};
static const struct directive identity_certificate[] = {
	{ .name = "ca", .type = DIR_STRING, .offset = I(certificate.ca),
	    .help = "authorities that vouch for clients, PEM; claims are sub (the whole name), cn, o, ou, email, dns and uri" },
	{ .name = "crl", .type = DIR_STRING, .offset = I(certificate.crl), .dflt = "",
	    .help = "lists of certificates that these have revoked (CRLs), PEM: all of them that issue; who is on one, or whose issuer has no "
		    "list that is up to date, is nobody" },
	END,
};
static const struct directive identity_user[] = {
	{ .name = "claim", .type = DIR_STRING, .offset = I(user.claim), .dflt = "sub", .help = "claim that is the login name" },
	{ .name = "show", .type = DIR_STRING, .offset = I(user.show), .dflt = "", .help = "claim, or attribute, to show to people; without it the login name" },
	{ .name = "attribute", .type = DIR_STRING, .offset = I(user.attribute), .dflt = "", .help = "SAML: attribute that is the login name" },
	{ .name = "nameid", .type = DIR_FLAG, .offset = I(user.nameid), .help = "SAML: the NameID is the login name, which it is without `attribute=`" },
	END,
};
static const struct directive identity_person[] = {
	{ .name = "claim", .type = DIR_STRING, .offset = I(person.claim), .dflt = "", .help = "claim that tells persons apart, so that one has one vote" },
	{ .name = "attribute", .type = DIR_STRING, .offset = I(person.attribute), .dflt = "", .help = "the same of SAML: an attribute" },
	{ .name = "nameid", .type = DIR_FLAG, .offset = I(person.nameid), .help = "the same of SAML: the NameID" },
	END,
};
static const struct directive identity_groups[] = {
	{ .name = "claim", .type = DIR_STRING, .offset = I(groups.claim), .dflt = "groups", .help = "claim with the list of groups" },
	{ .name = "attribute", .type = DIR_STRING, .offset = I(groups.attribute), .dflt = "", .help = "SAML: attribute with the groups; without it nobody is in any" },
	END,
};
static const struct directive identity_sponsor[] = {
	{ .name = "claim", .type = DIR_STRING, .offset = I(sponsor.claim), .dflt = "",
	    .help = "claim that names the person whom an agent works for; a token without it is refused" },
	END,
};
static const struct directive identity_roles[] = {
	{ .name = "approver", .type = DIR_STRINGS, .offset = I(roles.approver), .dflt = "", .help = "groups whose members may decide requests" },
	{ .name = "auditor", .type = DIR_STRINGS, .offset = I(roles.auditor), .dflt = "", .help = "groups whose members may read all recordings" },
	{ .name = "admin", .type = DIR_STRINGS, .offset = I(roles.admin), .dflt = "", .help = "groups whose members may end sessions" },
	{ .name = "metrics", .type = DIR_STRINGS, .offset = I(roles.metrics), .dflt = "", .help = "groups whose members may read /metrics" },
	END,
};
static const struct directive identity_table[] = {
	{ .name = "oidc", .type = DIR_PARAMS, .dflt = "", .params = identity_oidc, .help = "tokens of an OpenID provider" },
	{ .name = "saml", .type = DIR_PARAMS, .dflt = "", .params = identity_saml, .help = "sign-ins at a SAML 2.0 identity provider, in place of `oidc`" },
	{ .name = "certificate", .type = DIR_PARAMS, .dflt = "", .params = identity_certificate,
	    .help = "clients that show a certificate where a listener's `tls` says `certificates=on`, in place of `oidc`" },
	{ .name = "class", .type = DIR_CHOICE, .offset = I(class), .dflt = "human", .choices = classes, .help = "what its principals are" },
	{ .name = "user", .type = DIR_PARAMS, .dflt = "", .params = identity_user, .help = "where the user's name is" },
	{ .name = "person", .type = DIR_PARAMS, .dflt = "", .params = identity_person, .help = "who counts as one person" },
	{ .name = "groups", .type = DIR_PARAMS, .dflt = "", .params = identity_groups, .help = "where the groups are" },
	{ .name = "sponsor", .type = DIR_PARAMS, .dflt = "", .params = identity_sponsor, .help = "who answers for an agent" },
	{ .name = "allow", .type = DIR_PAIRS, .offset = I(allow), .dflt = "", 
	    .help = "claims that must have these values, all of them; of a list, one element must" },
	{ .name = "roles", .type = DIR_PARAMS, .dflt = "", .params = identity_roles, .help = "which groups may do more than use targets" },
	{ .name = "token_use", .type = DIR_CHOICE, .offset = I(token_use), .dflt = "address", .choices = token_uses,
	    .help = "from where one token is good again: the first address seen, nowhere, anywhere" },
	{ .name = "session", .type = DIR_DURATION, .offset = I(session), .dflt = "8h",
	    .help = "how long a sign-in is good, whatever its token says; what the provider says of the user ends it earlier" },
	{ .name = "recheck", .type = DIR_DURATION, .offset = I(recheck), .dflt = "5m",
	    .help = "how often the provider is asked whether a signed-in user is still good, where it gives refresh tokens; `off`: never" },
	{ .name = "max_age", .type = DIR_DURATION, .offset = I(max_age), .dflt = "12h", .help = "tokens with a longer life are refused" },
	END,
};

/* ---- the top ---- */

#define TOP(member) offsetof(struct settings, member)
static const char *const syncs[] = { "group", "write", "always", NULL };
static const struct directive log_params[] = {
	{ .name = ":path", .type = DIR_STRING, .offset = TOP(log.path), .dflt = "stderr", .help = "a file, or `stderr`" },
	{ .name = "level", .type = DIR_CHOICE, .offset = TOP(log.level), .dflt = "info", .choices = levels, .help = "what is written" },
	END,
};
static const struct directive control_params[] = {
	{ .name = ":path", .type = DIR_STRING, .offset = TOP(control.path), .dflt = "/run/sallyport/control.sock", .help = "a file" },
	{ .name = "mode", .type = DIR_STRING, .offset = TOP(control.mode), .dflt = "0660", .help = "its permissions; never for everybody" },
	{ .name = "group", .type = DIR_STRING, .offset = TOP(control.group), .dflt = "", .help = "its group" },
	{ .name = "may", .type = DIR_STRINGS, .offset = TOP(control.may), .dflt = "",
	    .help = "what callers may do beside operating: `mint` tokens, `approve`" },
	END,
};
static const struct directive secrets_params[] = {
	{ .name = "key", .type = DIR_STRING, .offset = TOP(secrets.key), .help = "the key that they are sealed under: `file:PATH`" },
	{ .name = "folder", .type = DIR_STRING, .offset = TOP(secrets.folder), .dflt = "/var/lib/sallyport/secrets", .help = "where they are" },
	END,
};
#define R(member) (offsetof(struct settings, record.member) - offsetof(struct settings, record))
static const struct directive encrypt_params[] = {
	{ .name = "to", .type = DIR_STRING, .offset = R(encrypt), .help = "the auditors' X25519 public key, 64 hexadecimal digits" },
	END,
};
static const struct directive record_table[] = {
	{ .name = "store", .type = DIR_STRING, .offset = R(store), .dflt = "/var/lib/sallyport/sessions", .help = "folder of the recordings" },
	{ .name = "output", .type = DIR_STRING, .offset = R(output), .dflt = "full",
	    .help = "how much of the answers: `full`, `off`, or `head=1m`, then size, rows and hash of the rest" },
	{ .name = "sync", .type = DIR_CHOICE, .offset = R(sync), .dflt = "group", .choices = syncs,
	    .help = "when a record is safe: on disk within 20 ms; in memory that outlives the worker; on disk before the operation goes on" },
	{ .name = "sync_wait", .type = DIR_DURATION, .offset = R(sync_wait), .dflt = "1s", .help = "how long sessions wait for a slow disk before they end" },
	{ .name = "keep", .type = DIR_DURATION, .offset = R(keep), .dflt = "off", .help = "recordings older than this are removed; `off`: none" },
	{ .name = "max", .type = DIR_SIZE, .offset = R(max), .dflt = "off", .help = "the oldest are removed beyond this; `off`: none" },
	{ .name = "anchor", .type = DIR_STRING, .offset = R(anchor), .dflt = "",
	    .help = "where checkpoints also go, out of reach: `file:PATH`, `syslog:FACILITY`, `syslog://HOST[:PORT]`" },
	{ .name = "encrypt", .type = DIR_PARAMS, .dflt = "", .params = encrypt_params, .help = "seals recordings: only the auditors read them" },
	{ .name = "ring", .type = DIR_SIZE, .offset = R(ring), .dflt = "8m", .help = "memory between each worker and the recorder" },
	END,
};
#define P(member) (offsetof(struct settings, policy.member) - offsetof(struct settings, policy))
static const struct directive policy_table[] = {
	{ .name = "deadline", .type = DIR_DURATION, .offset = P(deadline), .dflt = "20ms", .help = "for all function rules of one operation" },
	{ .name = "memory", .type = DIR_SIZE, .offset = P(memory), .dflt = "8m", .help = "for the function rules of one session" },
	{ .name = "budget", .type = DIR_DURATION, .offset = P(budget), .dflt = "500ms",
	    .help = "processor time of each second that parsing and rules may take for one user, who waits beyond it; `off`: no bound" },
	{ .name = "statement_cache", .type = DIR_SIZE, .offset = P(statement_cache), .dflt = "16m", .help = "classified statements that a worker keeps" },
	END,
};
#define C(member) offsetof(struct console_settings, member)
static const struct directive console_limit[] = {
	{ .name = "connections", .type = DIR_INT, .offset = C(limit.connections), .dflt = "256", .help = "open at once, control socket not counted" },
	{ .name = "per_address", .type = DIR_INT, .offset = C(limit.per_address), .dflt = "32", .help = "of these, from one address" },
	END,
};
static const struct directive console_table[] = {
	{ .name = "listen", .type = DIR_STRING, .offset = C(listen), .dflt = "", .help = "address and port of the API and its pages: `0.0.0.0:8443`; `unix:PATH`, `systemd:NAME` as listeners have them, with TLS, too" },
	{ .name = "tls", .type = DIR_PARAMS, .offset = C(tls), .dflt = "", .params = console_tls, .help = "its certificate; there is no HTTP without TLS" },
	{ .name = "url", .type = DIR_STRING, .offset = C(url), .dflt = "",
	    .help = "how browsers and `sallyport --server` reach it: `https://gate.example.com:8443`; requests that name another host are refused" },
	{ .name = "limit", .type = DIR_PARAMS, .dflt = "", .params = console_limit, .help = "how many connections" },
	END,
};
static const char *const siem_formats[] = { "rfc5424", "json", NULL };
static const struct directive siem_params[] = {
	{ .name = ":to", .type = DIR_STRING, .offset = TOP(siem.to), .dflt = "", .help = "`tls://HOST:PORT`, or `tcp://HOST:PORT` for a relay nearby" },
	{ .name = "ca", .type = DIR_STRING, .offset = TOP(siem.ca), .dflt = "", .help = "authorities to trust, PEM; without it the system's" },
	{ .name = "facility", .type = DIR_STRING, .offset = TOP(siem.facility), .dflt = "authpriv", .help = "of each line: `authpriv`, `local0` …" },
	{ .name = "format", .type = DIR_CHOICE, .offset = TOP(siem.format), .dflt = "rfc5424", .choices = siem_formats,
	    .help = "`rfc5424`: each line a syslog message; `json`: the lines as they are" },
	END,
};
static const struct directive issuer_params[] = {
	{ .name = ":switch", .type = DIR_BOOL, .offset = TOP(local_issuer), .dflt = "off", .help = "the keeper may mint tokens" },
	{ .name = "beside", .type = DIR_FLAG, .offset = TOP(local_issuer_beside), .help = "also beside real identities" },
	END,
};
static const struct directive store_params[] = {
	{ .name = ":where", .type = DIR_STRING, .offset = TOP(store.where), .dflt = "sqlite:/var/lib/sallyport/state.db",
	    .help = "`sqlite:PATH`; or, shared by several gateways, `postgresql://USER@HOST[:PORT]/DATABASE`" },
	{ .name = "secret", .type = DIR_STRING, .offset = TOP(store.secret), .dflt = "", .help = "where the server's password is: `file:PATH`, `env:NAME` or `sealed:NAME`" },
	{ .name = "tls", .type = DIR_CHOICE, .offset = TOP(store.tls), .dflt = "verify-full", .choices = tls_modes, .help = "TLS to the server" },
	{ .name = "ca", .type = DIR_STRING, .offset = TOP(store.ca), .dflt = "", .help = "authorities to trust, PEM; `verify-full` needs it" },
	{ .name = "folder", .type = DIR_STRING, .offset = TOP(store.folder), .dflt = "/var/lib/sallyport",
	    .help = "with a server: where keys and ledger of this gateway are" },
	END,
};
static const struct directive limit_params[] = {
	{ .name = "sessions", .type = DIR_INT, .offset = TOP(limit.sessions), .dflt = "10000", .help = "on the whole gateway" },
	{ .name = "per_user", .type = DIR_INT, .offset = TOP(limit.per_user), .dflt = "200", .help = "of one user" },
	{ .name = "per_address", .type = DIR_INT, .offset = TOP(limit.per_address), .dflt = "1000", .help = "from one address" },
	END,
};
static const struct directive module_table[] = { END };

#define K(member) offsetof(struct ssh_key, member)
static const struct directive ssh_key_table[] = {
	{ .name = "key", .type = DIR_STRING, .offset = K(key), .help = "the public key, as its file has it: `\"ssh-ed25519 AAAA…\"`" },
	{ .name = "user", .type = DIR_STRING, .offset = K(user), .help = "whose it is: `user` in policies and in `allow users=`" },
	{ .name = "groups", .type = DIR_STRINGS, .offset = K(groups), .dflt = "", .help = "its groups" },
	{ .name = "class", .type = DIR_CHOICE, .offset = K(class), .dflt = "workload", .choices = classes, .help = "what its principal is" },
	{ .name = "session", .type = DIR_DURATION, .offset = K(session), .dflt = "12h", .help = "each of its sessions ends after it" },
	END,
};

#define H(member) offsetof(struct webhook, member)
static const char *const webhook_decide[] = { "deny", "both", NULL };
static const char *const webhook_formats[] = { "generic", "slack", "teams", NULL };
static const struct directive webhook_table[] = {
	{ .name = "url", .type = DIR_STRING, .offset = H(url),
	    .help = "where to: `https://…`, or, when it is itself a secret, `file:PATH`, `env:NAME` or `sealed:NAME`" },
	{ .name = "secret", .type = DIR_STRING, .offset = H(secret), .dflt = "",
	    .help = "key of the signature, HMAC-SHA256: `file:PATH`, `env:NAME` or `sealed:NAME`" },
	{ .name = "server", .type = DIR_STRING, .offset = H(server), .dflt = "",
	    .help = "`https://HOST[:PORT]` of a `url` that is kept elsewhere, when it is a private address: no other one is gone to unless it is written down here" },
	{ .name = "ca", .type = DIR_STRING, .offset = H(ca), .dflt = "", .help = "authorities to trust, PEM; without it the system's" },
	{ .name = "format", .type = DIR_CHOICE, .offset = H(format), .dflt = "generic", .choices = webhook_formats,
	    .help = "JSON of our own, a Slack message, an adaptive card for Teams" },
	{ .name = "events", .type = DIR_STRINGS, .offset = H(events), .dflt = "",
	    .help = "`asked`, `approved`, `denied`, `expired`, `withdrawn`, `break-glass`; without it all" },
	{ .name = "targets", .type = DIR_STRINGS, .offset = H(targets), .dflt = "", .help = "requests for these only" },
	{ .name = "signing", .type = DIR_STRING, .offset = H(signing), .dflt = "",
	    .help = "Slack: messages have buttons, and this is the app's signing secret, `file:PATH`, `env:NAME` or `sealed:NAME`; its request URL is `/api/v1/slack/NAME` of the console" },
	{ .name = "team", .type = DIR_STRING, .offset = H(team), .dflt = "", .help = "Slack, with `signing`: id of the workspace that clicks come from" },
	{ .name = "decide", .type = DIR_CHOICE, .offset = H(decide), .dflt = "deny", .choices = webhook_decide,
	    .help = "Slack, with `signing`: a click may deny; or approve, too, once that person was shown the request by the gateway" },
	{ .name = "users", .type = DIR_PAIRS, .offset = H(users), .dflt = "",
	    .help = "Slack, with `signing`: who is who, `U012AB3CD=IDENTITY/SUBJECT`; a click counts while that one is signed in at the gateway" },
	END,
};

const struct directive settings_table[] = {
	{ .name = "user", .type = DIR_STRING, .offset = TOP(user), .dflt = "sallyport", .help = "whom workers run as" },
	{ .name = "workers", .type = DIR_INT, .offset = TOP(workers), .dflt = "auto", .flags = DIR_AUTO, .help = "worker processes; `auto`: one for each processor" },
	{ .name = "io_uring", .type = DIR_BOOL, .offset = TOP(io_uring), .dflt = "on",
	    .help = "workers send what is ready for many sessions in one system call, by a ring that the kernel lets send and do nothing else" },
	{ .name = "load_module", .type = DIR_STRINGS, .offset = TOP(load_module), .dflt = "", .flags = DIR_MANY, .help = "protocols, by name or by absolute path" },
	{ .name = "pid", .type = DIR_STRING, .offset = TOP(pid), .dflt = "/run/sallyport/sallyportd.pid", .help = "file with the master's process id" },
	{ .name = "log", .type = DIR_PARAMS, .dflt = "", .params = log_params, .help = "the error log" },
	{ .name = "audit", .type = DIR_STRING, .offset = TOP(audit), .dflt = "/var/log/sallyport/audit.jsonl", .help = "file with a line for each decision" },
	{ .name = "access", .type = DIR_STRING, .offset = TOP(access), .dflt = "/var/log/sallyport/access.log", .help = "file with a line for each session, or `off`" },
	{ .name = "control", .type = DIR_PARAMS, .dflt = "", .params = control_params, .help = "socket of the `sallyport` command" },
	{ .name = "store", .type = DIR_PARAMS, .dflt = "", .params = store_params, .help = "where the keeper's state is" },
	{ .name = "secrets", .type = DIR_PARAMS, .dflt = "", .params = secrets_params,
	    .help = "secrets that `sallyport secret set NAME` sealed, for `sealed:NAME`" },
	{ .name = "record", .type = DIR_GROUP, .offset = TOP(record), .params = record_table, .help = "recordings" },
	{ .name = "policy", .type = DIR_GROUP, .offset = TOP(policy), .params = policy_table, .help = "bounds of policies" },
	{ .name = "siem", .type = DIR_PARAMS, .dflt = "", .params = siem_params, .help = "log host for the audit log: RFC 5424, or JSON lines" },
	{ .name = "local_issuer", .type = DIR_PARAMS, .dflt = "", .params = issuer_params, .help = "tokens of the gateway's own, for a first start" },
	{ .name = "limit", .type = DIR_PARAMS, .dflt = "", .params = limit_params, .help = "sessions at once" },
	{ .name = "shutdown_timeout", .type = DIR_DURATION, .offset = TOP(shutdown_timeout), .dflt = "5m", .help = "on `quit`, sessions may go on for this long" },
	{ .name = "store_grace", .type = DIR_DURATION, .offset = TOP(store_grace), .dflt = "60s", .help = "how long sessions go on while the keeper does not answer" },
	{ .name = "drain", .type = DIR_DURATION, .offset = TOP(drain), .dflt = "off", .help = "how long a running operation may go on after its token expired" },
	{ .name = "listener", .type = DIR_BLOCK, .offset = TOP(listeners), .params = settings_listener_table, .size = sizeof(struct listener),
	    .flags = DIR_OPEN, .help = "where clients connect" },
	{ .name = "target", .type = DIR_BLOCK, .offset = TOP(targets), .params = settings_target_table, .size = sizeof(struct target),
	    .flags = DIR_OPEN, .help = "what they connect to" },
	{ .name = "identity", .type = DIR_BLOCK, .offset = TOP(identities), .params = identity_table, .size = sizeof(struct identity),
	    .help = "who vouches for principals" },
	{ .name = "console", .type = DIR_GROUP, .offset = TOP(console), .params = console_table, .help = "the API over HTTPS" },
	{ .name = "vault", .type = DIR_BLOCK, .offset = TOP(vaults), .params = vault_table, .size = sizeof(struct vault),
	    .help = "a HashiCorp Vault that has passwords of targets" },
	{ .name = "ssh_key", .type = DIR_BLOCK, .offset = TOP(ssh_keys), .params = ssh_key_table, .size = sizeof(struct ssh_key),
	    .help = "a long-lived public key that opens SSH sessions, where the listener says `keys on`" },
	{ .name = "webhook", .type = DIR_BLOCK, .offset = TOP(webhooks), .params = webhook_table, .size = sizeof(struct webhook),
	    .help = "who is told, by HTTPS, that somebody is asked and what was decided" },
	{ .name = "command", .type = DIR_BLOCK, .offset = TOP(commands), .params = command_table, .size = sizeof(struct secret_command),
	    .help = "a program that prints a password, run as the user of the lend helper" },
	{ .name = "module", .type = DIR_BLOCK, .offset = TOP(modules), .params = module_table, .size = sizeof(struct module_settings),
	    .flags = DIR_OPEN, .help = "directives of a module for all its sessions" },
	END,
};

/* ---- after the tables ---- */

struct paths {
	struct arena *arena;
	const char *folder;
	bool failed;
};

/* Makes what follows the prefix absolute; words without the prefix, and empty ones, stay. */
static void
resolve(struct paths *p, const char *prefix, const char **word)
{
	size_t skip = strlen(prefix);
	if ((*word)[0] == '\0' || strncmp(*word, prefix, skip) != 0 || (*word)[skip] == '\0' || (*word)[skip] == '/')
		return;
	const char *whole = arena_printf(p->arena, "%s%s/%s", prefix, p->folder, *word + skip);
	p->failed = p->failed || whole == NULL;
	if (whole != NULL)
		*word = whole;
}

static void
resolve_secret(struct paths *p, struct secret_settings *s)
{
	resolve(p, "file:", &s->secret);
	resolve(p, "", &s->cert);
	resolve(p, "file:", &s->key);
}

static void
resolve_set(struct paths *p, struct sp_strings *set, bool only_with_slash)
{
	const char **v = arena_alloc(p->arena, (set->n + 1) * sizeof(*v));
	if (v == NULL) {
		p->failed = true;
		return;
	}
	for (size_t i = 0; i < set->n; i++) {
		v[i] = set->v[i];
		if (!only_with_slash || strchr(v[i], '/') != NULL)
			resolve(p, "", &v[i]);
	}
	set->v = v;
}

/* What SAML calls an attribute is a claim to the keeper, and the NameID is its `sub`. */
static void
name_attributes(struct identity *i)
{
	if (i->saml.metadata[0] == '\0')
		return;
	i->user.claim = i->user.attribute[0] == '\0' ? "sub" : i->user.attribute;
	i->person.claim = i->person.nameid ? "sub" : i->person.attribute;
	i->groups.claim = i->groups.attribute;
}

static int
resolve_all(struct arena *a, struct settings *s)
{
	struct paths p = { a, s->folder, false };
	if (strcmp(s->log.path, "stderr") != 0)
		resolve(&p, "", &s->log.path);
	const char **plain[] = { &s->pid, &s->audit, &s->access, &s->control.path, &s->record.store, &s->secrets.folder };
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		resolve(&p, "", plain[i]);
	resolve(&p, "sqlite:", &s->store.where);
	resolve(&p, "file:", &s->store.secret);
	resolve(&p, "", &s->store.ca);
	resolve(&p, "", &s->store.folder);
	resolve(&p, "file:", &s->secrets.key);
	resolve(&p, "file:", &s->record.anchor);
	resolve_set(&p, &s->load_module, true);
	resolve(&p, "", &s->siem.ca);
	resolve(&p, "", &s->console.tls.cert), resolve(&p, "", &s->console.tls.key);
	for (struct listener *l = s->listeners; l != NULL; l = (struct listener *)l->b.next)
		resolve(&p, "", &l->tls.cert), resolve(&p, "", &l->tls.key), resolve(&p, "", &l->host_key);
	for (struct target *t = s->targets; t != NULL; t = (struct target *)t->b.next) {
		resolve(&p, "", &t->tls.ca), resolve(&p, "", &t->tls.crl);
		resolve_secret(&p, &t->login);
		resolve(&p, "file:", &t->login.ca);
		resolve_secret(&p, &t->catalogue);
		resolve_secret(&p, &t->estimate);
		resolve(&p, "file:", &t->admin.secret);
		resolve_set(&p, &t->policy, false);
	}
	for (struct vault *v = s->vaults; v != NULL; v = (struct vault *)v->b.next) {
		resolve(&p, "", &v->ca);
		resolve(&p, "file:", &v->token);
	}
	for (struct webhook *w = s->webhooks; w != NULL; w = (struct webhook *)w->b.next)
		resolve(&p, "file:", &w->url), resolve(&p, "file:", &w->secret), resolve(&p, "", &w->ca), resolve(&p, "file:", &w->signing);
	for (struct identity *i = s->identities; i != NULL; i = (struct identity *)i->b.next) {
		resolve(&p, "file:", &i->oidc.jwks), resolve(&p, "file:", &i->oidc.secret), resolve(&p, "", &i->oidc.ca);
		resolve(&p, "", &i->saml.metadata), resolve(&p, "file:", &i->saml.key), resolve(&p, "", &i->saml.cert);
		resolve(&p, "", &i->certificate.ca), resolve(&p, "", &i->certificate.crl);
	}
	return p.failed ? SP_ENOMEM : SP_OK;
}

/* What of the store is here whatever else it is. */
static int
derive_store(struct arena *a, struct settings *s)
{
	bool here = strncmp(s->store.where, "sqlite:", 7) == 0;
	s->store.file = here ? s->store.where + 7 : arena_printf(a, "%s/state.db", s->store.folder);
	return s->store.file == NULL ? SP_ENOMEM : SP_OK;
}

static int
derive_facility(struct settings *s)
{
	char text[32];
	int number = 0, rc;
	(void)snprintf(text, sizeof(text), "syslog:%s", s->siem.facility);
	rc = settings_anchor_facility(text, &number);
	s->siem.facility_number = (unsigned)number >> 3;
	return rc;
}

static int
derive_output(struct settings *s)
{
	if (strcmp(s->record.output, "full") == 0)
		s->record.output_head = UINT64_MAX;
	else if (strcmp(s->record.output, "off") == 0)
		s->record.output_head = 0;
	else if (strncmp(s->record.output, "head=", 5) != 0 || directive_size(s->record.output + 5, &s->record.output_head) != SP_OK)
		return SP_ECONF;
	return SP_OK;
}

int
settings_fill(struct arena *a, const struct conf_node *top, struct settings *into, const char **err_r)
{
	struct place place = { .first = top, .file = top == NULL ? "configuration" : top->file };
	int rc = directive_fill(a, settings_table, &place, into, err_r);
	if (rc != SP_OK)
		return rc;
	into->tree = top;
	for (struct listener *l = into->listeners; l != NULL; l = (struct listener *)l->b.next)
		l->tls.ca = l->tls.crl = l->tls.name = ""; /* no rows for these */
	into->console.tls.ca = into->console.tls.crl = into->console.tls.name = "";
	for (struct target *t = into->targets; t != NULL; t = (struct target *)t->b.next)
		t->admin.cert = t->admin.key = t->admin.role = t->admin.vault = t->admin.command = t->catalogue.role = t->catalogue.vault =
		    t->catalogue.command = "";
	for (struct identity *i = into->identities; i != NULL; i = (struct identity *)i->b.next)
		name_attributes(i);
	into->log.level += SP_ERROR;
	if (strcmp(into->access, "off") == 0)
		into->access = "";
	if (derive_facility(into) != SP_OK) {
		const struct conf_node *at = conf_find(top, "siem");
		return conf_error(a, err_r, at->file, at->line, "\"siem facility=\" is authpriv, auth, daemon, user or local0 to local7");
	}
	if (derive_output(into) != SP_OK) {
		const struct conf_node *at = conf_find(top, "record");
		return conf_error(a, err_r, at->file, at->line, "\"output\" is full, off, or head=SIZE such as head=1m");
	}
	if ((into->folder != NULL && resolve_all(a, into) != SP_OK) || derive_store(a, into) != SP_OK) {
		*err_r = "the configuration takes more memory than it may";
		return SP_ENOMEM;
	}
	return SP_OK;
}

/* ---- looking up ---- */

const struct identity *
settings_identity(const struct settings *s, const char *name)
{
	const struct identity *i = s->identities;
	while (i != NULL && strcmp(i->b.name, name) != 0)
		i = (const struct identity *)i->b.next;
	return i;
}

const struct target *
settings_target(const struct settings *s, const char *name)
{
	const struct target *t = s->targets;
	while (t != NULL && strcmp(t->b.name, name) != 0)
		t = (const struct target *)t->b.next;
	return t;
}

const struct vault *
settings_vault(const struct settings *s, const char *name)
{
	const struct vault *v = s->vaults;
	while (v != NULL && strcmp(v->b.name, name) != 0)
		v = (const struct vault *)v->b.next;
	return v;
}

const struct secret_command *
settings_command(const struct settings *s, const char *name)
{
	const struct secret_command *c = s->commands;
	while (c != NULL && strcmp(c->b.name, name) != 0)
		c = (const struct secret_command *)c->b.next;
	return c;
}

static int
parse_port(const char *text, uint16_t *port_r)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return SP_ECONF;
	unsigned long port = strtoul(text, &end, 10);
	if (*end != '\0' || port == 0 || port > UINT16_MAX)
		return SP_ECONF;
	*port_r = (uint16_t)port;
	return SP_OK;
}

static bool
is_hostname(const char *host)
{
	return host[0] != '\0' && host[0] != '-' && host[0] != '.' &&
	       host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == '\0';
}

int
settings_hostport(const char *text, struct hostport *h)
{
	*h = (struct hostport){ .port = 0 };
	bool bracket = text[0] == '[';
	const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
	const char *start = bracket ? text + 1 : text;
	if (end == NULL || (size_t)(end - start) >= sizeof(h->host))
		return SP_ECONF;
	memcpy(h->host, start, (size_t)(end - start));
	if (bracket && *++end != ':')
		return SP_ECONF;
	if (parse_port(end + 1, &h->port) != SP_OK)
		return SP_ECONF;
	struct in_addr v4;
	struct in6_addr v6;
	if (bracket) {
		h->literal = inet_pton(AF_INET6, h->host, &v6) == 1;
		h->loopback = h->literal && IN6_IS_ADDR_LOOPBACK(&v6);
		return h->literal ? SP_OK : SP_ECONF;
	}
	h->literal = inet_pton(AF_INET, h->host, &v4) == 1;
	h->loopback = h->literal && ntohl(v4.s_addr) >> 24 == 127;
	return h->literal || is_hostname(h->host) ? SP_OK : SP_ECONF;
}

const char *
settings_unix(const char *text)
{
	static const char scheme[] = "unix:";
	size_t n = sizeof(scheme) - 1;
	return strncmp(text, scheme, n) == 0 ? text + n : NULL;
}

const char *
settings_systemd(const char *text)
{
	static const char scheme[] = "systemd:";
	size_t n = sizeof(scheme) - 1;
	return strncmp(text, scheme, n) == 0 && text[n] != '\0' ? text + n : NULL;
}

const char *
settings_console_host(const char *url)
{
	struct hostport h;
	char text[sizeof(h.host) + 16];
	const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 : "";
	size_t len = strlen(host);
	bool port = host[0] == '[' ? len > 0 && host[len - 1] != ']' : strchr(host, ':') != NULL;
	if (len == 0 || len >= sizeof(text) - 8 || host[strcspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] != '\0')
		return NULL; /* browsers write it in small letters */
	(void)snprintf(text, sizeof(text), "%s%s", host, port ? "" : ":443");
	if (settings_hostport(text, &h) != SP_OK || (port && h.port == 443))
		return NULL; /* … and without the port that goes without saying */
	return host;
}

/* No escapes: a name that would need them is refused. */
static bool
is_plain_name(const char *name)
{
	return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == '\0';
}

int
settings_store_address(struct arena *a, const char *where, struct store_address *s_r)
{
	static const char scheme[] = "postgresql://";
	*s_r = (struct store_address){ .at.port = 5432 };
	if (strncmp(where, scheme, sizeof(scheme) - 1) != 0)
		return SP_ECONF;
	const char *user = where + sizeof(scheme) - 1, *at = strchr(user, '@'), *slash = at == NULL ? NULL : strchr(at, '/');
	if (slash == NULL)
		return SP_ECONF;
	const char *host = arena_printf(a, "%.*s", (int)(slash - at - 1), at + 1);
	s_r->user = arena_printf(a, "%.*s", (int)(at - user), user);
	s_r->database = slash + 1;
	if (host == NULL || s_r->user == NULL)
		return SP_ENOMEM;
	bool port = strrchr(host, ':') != NULL && host[strlen(host) - 1] != ']';
	const char *both = port ? host : arena_printf(a, "%s:5432", host);
	if (both == NULL || settings_hostport(both, &s_r->at) != SP_OK || !is_plain_name(s_r->user) || !is_plain_name(s_r->database))
		return SP_ECONF;
	return SP_OK;
}

int
settings_anchor_host(const char *anchor, struct hostport *h)
{
	char text[sizeof(h->host) + 16];
	const char *host = strncmp(anchor, "syslog://", 9) == 0 ? anchor + 9 : "";
	size_t len = strlen(host);
	bool port = host[0] == '[' ? len > 0 && host[len - 1] != ']' : strchr(host, ':') != NULL;
	*h = (struct hostport){ .port = 0 };
	if (len == 0 || len >= sizeof(text) - 8)
		return SP_ECONF;
	(void)snprintf(text, sizeof(text), "%s%s", host, port ? "" : ":514");
	return settings_hostport(text, h);
}

int
settings_siem_host(const char *to, struct hostport *h)
{
	char text[sizeof(h->host) + 16];
	bool tls = strncmp(to, "tls://", 6) == 0;
	const char *host = tls || strncmp(to, "tcp://", 6) == 0 ? to + 6 : "";
	size_t len = strlen(host);
	bool port = host[0] == '[' ? len > 0 && host[len - 1] != ']' : strchr(host, ':') != NULL;
	*h = (struct hostport){ .port = 0 };
	if (len == 0 || len >= sizeof(text) - 8)
		return SP_ECONF;
	(void)snprintf(text, sizeof(text), "%s%s", host, port ? "" : tls ? ":6514" : ":601");
	return settings_hostport(text, h);
}

int
settings_anchor_facility(const char *anchor, int *facility_r)
{
	static const struct { const char *name; int number; } facility[] = {
		{ "", LOG_AUTHPRIV }, { "authpriv", LOG_AUTHPRIV }, { "auth", LOG_AUTH }, { "daemon", LOG_DAEMON },
		{ "user", LOG_USER }, { "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 },
		{ "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
		{ "local7", LOG_LOCAL7 },
	};
	*facility_r = 0;
	if (strncmp(anchor, "syslog:", 7) != 0)
		return SP_ECONF;
	for (size_t i = 0; i < sizeof(facility) / sizeof(*facility); i++)
		if (strcmp(anchor + 7, facility[i].name) == 0) {
			*facility_r = facility[i].number;
			return SP_OK;
		}
	return SP_ECONF;
}

struct sp_bytes
settings_module_name(const char *word)
{
	const char *slash = strrchr(word, '/');
	struct sp_bytes name = sp_str(slash == NULL ? word : slash + 1);
	if (slash != NULL && name.len > 3 && memcmp(name.p + name.len - 3, ".so", 3) == 0)
		name.len -= 3;
	return name;
}
