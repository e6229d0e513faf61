/* SPDX-License-Identifier: Apache-2.0 */
/* From AUTHENTICATE to ADMITTED. */
#include <config.h>

#include "admission.h"

#include <stdio.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "approval.h"
#include "device.h"
#include "gateways.h"
#include "grant.h"
#include "lend.h"
#include "metrics.h"
#include "provider.h"
#include "ssh_key.h"
#include "ticket.h"

#define PART_MAX 63

struct admission {
	struct keeper *k;
	struct live *s;
	const struct message *m;
	struct verified who;
	const struct target *target;
	const char *name; /* of the target that is asked for */
	const char *why;  /* for the log */
	const char *tell; /* for the client, when it may know more than "no" */
	uint64_t until;   /* of its grant; 0: it needs none */
	struct ticket *ticket; /* NULL: a token */
	bool again;       /* refused, but it may show something else: there is no knowing whether the key is anybody's */
};

enum { F_SESSION, F_KIND, F_SECRET, F_USER, F_TARGET, F_PART, F_ADDRESS, F_PROTOCOL, F_TLS };

static int
refuse(struct admission *a, const char *why)
{
	a->why = why;
	return SP_EDENIED;
}

/* By the ticket it is the principal that it was made for; its target is looked at first, so that it opens no other. */
static int
check_proof(struct admission *a)
{
	a->ticket = arena_alloc(a->s->arena, sizeof(*a->ticket));
	if (a->ticket == NULL)
		return refuse(a, "no memory for a session");
	struct buffer final = { 0 };
	int rc = SP_EDENIED;
	if (a->m->f[F_KIND].q == SP_PROOF_TICKET)
		rc = ticket_check(a->k, a->m->f[F_USER].s, a->m->f[F_SECRET].s, a->s->arena, a->ticket, &a->why);
	else if (a->m->f[F_KIND].q == SP_PROOF_SSH)
		rc = ssh_key_check(a->k, a->m->f[F_SECRET].s, a->s->host, a->s->arena, a->ticket, &a->why);
	else
		rc = ticket_prove(a->k, a->m->f[F_SESSION].s, a->m->f[F_SECRET].s, a->s->arena, a->ticket, &final, &a->why);
	a->s->final = arena_bytes(a->s->arena, buffer_bytes(&final));
	buffer_free(&final);
	if (rc != SP_OK)
		return SP_EDENIED;
	if (a->m->f[F_KIND].q == SP_PROOF_TICKET && a->name[0] == '\0')
		a->name = a->ticket->target;
	a->tell = ticket_refuses(a->k, a->s->arena, a->ticket, a->name, a->s->host);
	a->s->principal = a->ticket->who;
	a->who = (struct verified){ .principal = a->ticket->who, .token_use = TOKEN_ANY, .issued = a->ticket->issued };
	return a->tell == NULL ? SP_OK : refuse(a, a->tell);
}

static int
check_plain_key(struct admission *a)
{
	if (ssh_key_listed(a->k, a->m->f[F_SECRET].s, a->s->arena, &a->who, &a->why) != SP_OK) {
		a->again = true;
		return SP_EDENIED;
	}
	a->s->principal = a->who.principal;
	return SP_OK;
}

static int
check_certificate(struct admission *a)
{
	if (identity_certificate(a->k->trust, a->m->f[F_SECRET].s, a->s->arena, &a->who, &a->why) != SP_OK)
		return SP_EDENIED;
	a->s->principal = a->who.principal;
	return SP_OK;
}

static int
check_token(struct admission *a)
{
	a->name = arena_string(a->s->arena, a->m->f[F_TARGET].s);
	if (a->name == NULL || strlen(a->name) != a->m->f[F_TARGET].s.len)
		return refuse(a, "there is no such target");
	bool plain = a->m->f[F_KIND].q == SP_PROOF_SSH && ssh_key_is_plain(a->m->f[F_SECRET].s);
	if (plain)
		return check_plain_key(a);
	if (a->m->f[F_KIND].q == SP_PROOF_SCRAM || a->m->f[F_KIND].q == SP_PROOF_TICKET || a->m->f[F_KIND].q == SP_PROOF_SSH)
		return check_proof(a);
	if (a->m->f[F_KIND].q == SP_PROOF_CERTIFICATE)
		return check_certificate(a);
	bool device = a->m->f[F_KIND].q == SP_PROOF_DEVICE;
	if (!device && a->m->f[F_KIND].q != SP_PROOF_BEARER)
		return refuse(a, "the kind of proof is not known here");
	int rc = device ? device_prove(a->k, a->s->worker->link, a->m, a->s->arena, &a->who, &a->why)
			: identity_verify(a->k->trust, a->m->f[F_SECRET].s, AUDIENCE_DATA, a->s->arena, &a->who, &a->why);
	a->tell = device ? a->why : a->who.tell;
	if (rc != SP_OK)
		return rc;
	a->tell = NULL;
	a->s->principal = a->who.principal;
	return SP_OK;
}

static int
check_revoked(struct admission *a)
{
	return identity_revoked(a->k->store, &a->s->principal, a->who.issued) ? refuse(a, "the principal was revoked") : SP_OK;
}

static int
check_user(struct admission *a)
{
	struct sp_bytes user = a->m->f[F_USER].s;
	if (a->ticket != NULL || sp_bytes_is(user, a->s->principal.user) || sp_bytes_is(user, "token"))
		return SP_OK;
	return refuse(a, "the client's user name is neither the principal's nor \"token\"");
}

static bool
part_fits(const struct target *t, struct sp_bytes part)
{
	char text[PART_MAX + 1] = { 0 };
	if (part.len == 0)
		return true;
	if (part.len > PART_MAX)
		return false;
	for (size_t i = 0; i < part.len; i++) {
		if (part.p[i] < 0x20 || part.p[i] == 0x7f)
			return false;
	}
	memcpy(text, part.p, part.len);
	if (strcmp(t->protocol, "ssh") == 0) /* a login name */
		return strcmp(text, t->login.user) == 0 || strings_have(&t->logins, text) || strings_have(&t->logins, "*");
	return strcmp(text, t->database[0] == '\0' ? t->b.name : t->database) == 0 || strings_have(&t->databases, text) ||
	    strings_have(&t->databases, "*");
}

static int
check_target(struct admission *a)
{
	a->target = settings_target(keeper_settings(a->k), a->name);
	if (a->target == NULL)
		return refuse(a, "there is no such target");
	if (a->ticket != NULL && !sp_bytes_is(a->m->f[F_PROTOCOL].s, a->target->protocol))
		a->tell = "this ticket is for another target";
	if (!sp_bytes_is(a->m->f[F_PROTOCOL].s, a->target->protocol))
		return refuse(a, "the target speaks another protocol than the listener");
	if (!admission_allows(a->target, &a->s->principal))
		return refuse(a, "the target's allow names neither the user nor one of the groups");
	if (!part_fits(a->target, a->m->f[F_PART].s))
		return refuse(a, "the target does not allow that part (`databases`)");
	return SP_OK;
}

/* The principal is known by now, and allowed: it may hear what is missing. */
static int
check_grant(struct admission *a)
{
	struct grant_now now;
	if (!grant_needed(a->target))
		return SP_OK;
	if (grant_current(a->k, &a->s->principal, a->target->b.name, &now)) {
		a->until = now.until;
		return SP_OK;
	}
	a->tell = arena_printf(a->s->arena, "you have no grant for this now: sallyport request %s --for 1h --reason …", a->target->b.name);
	return refuse(a, "there is no current grant");
}

static int
check_limits(struct admission *a)
{
	const struct settings *s = keeper_settings(a->k);
	struct live_count c = live_count(a->k, &a->s->principal, a->s->host, a->target->b.name);
	const struct {
		uint64_t have, limit;
		bool set;
		const char *why;
	} row[] = {
		{ c.all, s->limit.sessions, true, "limit sessions is reached" },
		{ c.user, s->limit.per_user, true, "limit per_user is reached" },
		{ c.address, s->limit.per_address, true, "limit per_address is reached" },
		{ c.target, a->target->limit.sessions, a->target->limit.sessions > 0, "the target's limit sessions is reached" },
		{ c.target_user, a->target->limit.per_user, a->target->limit.per_user > 0, "the target's limit per_user is reached" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		if (!row[i].set || row[i].have < row[i].limit)
			continue;
		a->tell = "too many sessions; close one and try again";
		return refuse(a, row[i].why);
	}
	return SP_OK;
}

static int
same_address(void *owner, const struct field *row)
{
	return sp_bytes_is(row[0].s, owner) ? SP_OK : SP_EDENIED;
}

int
admission_use(struct keeper *k, const struct verified *who, const char *host, const char **why_r)
{
	const struct principal *p = &who->principal;
	if (who->token_use == TOKEN_ANY)
		return SP_OK;
	const struct field args[] = { Z(p->token), Z(host), Q(p->expires) };
	long fresh = keeper_write(k, STORE_TOKEN_SEEN, args);
	*why_r = "the store cannot be written";
	if (fresh < 0)
		return SP_EIO;
	if (fresh > 0)
		return SP_OK;
	*why_r = "the token was used before (token_use once)";
	if (who->token_use == TOKEN_ONCE)
		return SP_EDENIED;
	*why_r = "the token was first seen from another address (token_use address)";
	return store_read(k->store, STORE_TOKEN_GET, args, same_address, (void *)(uintptr_t)host) == SP_OK ? SP_OK : SP_EDENIED;
}

/* Last, so that a refusal does not use the token up. */
static int
check_use(struct admission *a)
{
	const char *why;
	if (a->ticket != NULL) {
		a->tell = ticket_use(a->k, a->s->arena, a->ticket, a->name, a->s->host);
		return a->tell == NULL ? SP_OK : refuse(a, a->tell);
	}
	return admission_use(a->k, &a->who, a->s->host, &why) == SP_OK ? SP_OK : refuse(a, why);
}

static int (*const checks[])(struct admission *a) = {
	check_token, check_revoked, check_user, check_target, check_grant, check_limits, check_use,
};

bool
admission_allows(const struct target *t, const struct principal *p)
{
	for (size_t i = 0; i < t->allow.groups.n; i++) {
		if (strings_have(&p->groups, t->allow.groups.v[i]))
			return true;
	}
	return strings_have(&t->allow.users, p->user);
}

/* ---- answers ---- */

/* What is known of it from here on. */
static int
describe(struct admission *a)
{
	struct live *s = a->s;
	struct buffer json = { 0 };
	int rc = principal_print(&s->principal, &json);
	if (rc == SP_OK)
		s->principal_json = arena_string(s->arena, buffer_bytes(&json));
	buffer_free(&json);
	s->target = arena_string(s->arena, sp_str(a->target->b.name));
	s->part = arena_string(s->arena, a->m->f[F_PART].s);
	s->protocol = arena_string(s->arena, a->m->f[F_PROTOCOL].s);
	s->proved = s->principal.expires;
	s->expires = a->until > 0 && (s->principal.expires == 0 || a->until < s->principal.expires) ? a->until : s->principal.expires;
	if (rc != SP_OK || s->principal_json == NULL || s->target == NULL || s->part == NULL || s->protocol == NULL)
		return refuse(a, "no memory for a session");
	return SP_OK;
}

static int
remember(struct admission *a)
{
	const struct live *s = a->s;
	const struct principal *p = &s->principal;
	const struct field args[] = { S(((struct sp_bytes){ s->id, ID_LEN })), Z(s->principal_json), Z(p->issuer), Z(p->subject),
		Z(p->user), Z(s->target), Z(s->part), Z(s->address), Z(s->protocol), Q(s->started),
		Z(gateways_self()), Z(p->token == NULL ? "" : p->token) };
	return keeper_write(a->k, STORE_SESSION_ADD, args) == 1 ? SP_OK : refuse(a, "there was a session with its id");
}

static void
audit_admission(const struct admission *a, bool admitted)
{
	metrics_login(a->k, admitted);
	const struct live *s = a->s;
	const char *user = s->principal.user;
	const char *target = a->target == NULL ? log_quote(sp_str(a->name)) : a->target->b.name;
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "session", s->name, "target", target, "address", s->address, "user",
	    user == NULL ? "" : user, "issuer", user == NULL ? "" : s->principal.issuer, "tls", a->m->f[F_TLS].q == 1);
	if (!admitted)
		(void)json_object_set_new(j, "why", json_string(a->why));
	else
		(void)json_object_set_new(j, "token", json_string(s->principal.token));
	audit(a->k, admitted ? "admitted" : "refused", j);
}

static void
answer_no(struct admission *a, struct link *l)
{
	char text[160];
	log_warn("session %s: %s from %s may not use target %s: %s", a->s->name,
	    a->s->principal.user == NULL ? "somebody" : log_quote(sp_str(a->s->principal.user)), log_quote(sp_str(a->s->address)),
	    log_quote(sp_str(a->name)), a->why);
	audit_admission(a, false);
	(void)snprintf(text, sizeof(text), "%s (session %s)", a->tell == NULL ? "access denied" : a->tell, a->s->name);
	const struct message no = { .type = MSG_ADMITTED, .id = a->m->id, .f = { a->m->f[F_SESSION], Q(a->again ? SP_RETRY : SP_REFUSE), Z(text) } };
	reply(a->k, l, &no);
	live_remove(a->k, a->s);
}

static void
answer_yes(struct admission *a, struct link *l)
{
	const struct live *s = a->s;
	log_info("session %s: %s from %s to target %s", s->name, log_quote(sp_str(s->principal.user)), log_quote(sp_str(s->address)),
	    s->target);
	audit_admission(a, true);
	const struct credential *lent = lend_credential(s);
	const char *login = lent != NULL ? lent->user : a->target->login.user;
	const struct message yes = { .type = MSG_ADMITTED, .id = a->m->id,
		.f = { a->m->f[F_SESSION], Q(SP_ADMIT), Z(""), S(s->final), Z(s->principal_json), Z(s->target), Z(login),
		    Q(s->expires), Q(s->started), Q(file_follow(a->k, a->s, false)) } };
	reply(a->k, l, &yes);
}

static void
answer(struct admission *a, struct link *l, int rc)
{
	if (rc == SP_OK)
		rc = remember(a);
	if (rc == SP_OK)
		answer_yes(a, l);
	else
		answer_no(a, l);
}

int
admission_authenticate(struct keeper *k, struct link *l, struct message *m)
{
	if (k->leaving && !ticket_under_way(k, m->f[F_SESSION].s))
		return SP_OK; /* its worker knows, and asks who comes */
	if (m->f[F_KIND].q == SP_PROOF_SCRAM && !ticket_under_way(k, m->f[F_SESSION].s))
		return ticket_begin(k, l, m);
	if (m->f[F_KIND].q == SP_PROOF_DEVICE && !device_begun(k, m->f[F_SESSION].s))
		return device_begin(k, l, m);
	struct live *s = live_add(k, m->f[F_SESSION].s, worker_of(k, l));
	if (s == NULL) {
		log_error("worker[%u] used a session id twice, or an odd one", link_peer_index(l));
		return SP_EPROTO;
	}
	struct admission a = { .k = k, .s = s, .m = m, .name = "" };
	s->address = arena_string(s->arena, m->f[F_ADDRESS].s);
	s->host = live_host(s->arena, m->f[F_ADDRESS].s);
	s->target = s->part = s->protocol = "";
	s->tls = m->f[F_TLS].q == 1;
	/* Until it is admitted it is nobody's and must not be counted. */
	s->side = true;
	int rc = s->address == NULL || s->host == NULL ? refuse(&a, "no memory for a session") : SP_OK;
	for (size_t i = 0; rc == SP_OK && i < sizeof(checks) / sizeof(*checks); i++)
		rc = checks[i](&a);
	s->side = false;
	if (rc == SP_ETIME && (m->f[F_KIND].q == SP_PROOF_DEVICE || provider_park(k, admission_authenticate, l, m) == SP_OK)) {
		live_remove(k, s); /* as if nobody had asked yet */
		return SP_OK;
	}
	if (rc == SP_OK)
		rc = describe(&a);
	if (rc == SP_OK && settings_lends(a.target)) {
		if (lend_begin(k, s, a.target, m, &a.why) == SP_OK)
			return SP_OK; /* admission_lent() goes on */
		rc = SP_EDENIED;
	}
	answer(&a, l, rc);
	return SP_OK;
}

void
admission_lent(struct keeper *k, struct live *s, uint32_t id, const char *why)
{
	/* What the answer repeats of the request. */
	const struct message m = { .type = MSG_AUTHENTICATE, .id = id, .f = { [F_SESSION] = S(((struct sp_bytes){ s->id, ID_LEN })),
		[F_TARGET] = Z(s->target), [F_TLS] = Q(s->tls) } };
	struct admission a = { .k = k, .s = s, .m = &m, .name = s->target, .target = settings_target(keeper_settings(k), s->target) };
	int rc = SP_OK;
	if (why != NULL) {
		a.tell = "the target's credential could not be had; try again, then ask who runs the gateway";
		rc = refuse(&a, why);
	} else if (a.target == NULL || !live_may(s)) {
		rc = refuse(&a, "it has to end while it waits for its role");
	}
	answer(&a, s->worker->link, rc);
}
