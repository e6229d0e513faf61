/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of lending: jobs, answers, what has to be given back, and when to sweep. */
#include <config.h>

#include "lend.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/helpers.h"
#include "../base/log.h"
#include "admission.h"
#include "scram.h"

#define RETURN_FIRST 15000 /* ms until it is given back once more; then twice that … */
#define RETURN_LAST 600000
#define SWEEP_MS 600000
#define USER_MAX 63
#define LEASE_MAX 255

/* How roles of one target are made under one configuration. */
struct access {
	struct access *next;
	unsigned refs;
	char *target;
	unsigned lender;
	uint64_t within;   /* ms that an answer may take */
	const char *what;  /* role, kv, dynamic, command */
	json_t *job;
	struct sp_secret *secret;
	uint64_t swept;    /* mono ms; 0: has to be */
};

enum lent_state { LENT_ASKED, LENT_HELD, LENT_ORPHAN, LENT_RETURNING };

struct lent {
	struct lent *next; /* of those whose session is gone */
	enum lent_state state;
	struct access *access;
	uint8_t session[ID_LEN];
	uint32_t request;  /* of the worker */
	bool sent;
	bool renewing;     /* that was asked for, and not answered */
	uint64_t since;    /* mono ms: asked; or last given back */
	uint64_t again;    /* ms until it is given back once more */
	char user[USER_MAX + 1];
	char lease[LEASE_MAX + 1]; /* dynamic */
	uint64_t lasts, renew;     /* wall µs: its end; mono ms: when to renew it.  0: no end */
	struct credential credential;
};

struct lending {
	struct access *accesses; /* of the configuration in force */
	struct lent *ended;
};

void
lend_open(struct keeper *k)
{
	k->lending = mem_alloc(sizeof(*k->lending));
}

/* ---- access ---- */

static void
access_unref(struct access **at)
{
	struct access *a = *at;
	*at = NULL;
	if (a == NULL || --a->refs > 0)
		return;
	json_decref(a->job);
	secret_free(&a->secret);
	free(a->target);
	free(a);
}

/* What only this gateway can have marked. */
static void
mark_key(const struct keeper *k, char out[2 * DIGEST_LEN + 1])
{
	uint8_t key[DIGEST_LEN];
	keys_derive(&k->keys, "lend mark", (struct sp_bytes){ k->keys.signing.public, sizeof(k->keys.signing.public) }, key);
	text_hex((struct sp_bytes){ key, sizeof(key) }, out);
	mem_wipe(key, sizeof(key));
}

static json_t *
access_job(const struct keeper *k, const struct target *t)
{
	static const char *const modes[] = { [TLS_VERIFY_FULL] = "verify-full", [TLS_REQUIRE] = "require", [TLS_OFF] = "disable" };
	const struct epoch_file *ca = t->tls.ca[0] == '\0' ? NULL : epoch_find_file(k->epoch, t->tls.ca);
	const struct epoch_file *crl = t->tls.crl[0] == '\0' ? NULL : epoch_find_file(k->epoch, t->tls.crl);
	char mark[2 * DIGEST_LEN + 1];
	mark_key(k, mark);
	json_t *job = json_pack("{ss,ss,ss,ss,ss,ss#,ss#,ss,ss,sI,sI}", "server", t->server, "database", t->database[0] == '\0' ? t->b.name : t->database,
	    "admin", t->admin.user, "tls", modes[t->tls.mode], "name", t->tls.name, "ca", ca == NULL ? "" : (const char *)ca->content.p,
	    ca == NULL ? (size_t)0 : ca->content.len, "crl", crl == NULL ? "" : (const char *)crl->content.p,
	    crl == NULL ? (size_t)0 : crl->content.len, "mark", mark, "role", t->login.role, "valid", (json_int_t)t->login.valid, "within",
	    (json_int_t)t->timeout.connect);
	mem_wipe(mark, sizeof(mark));
	return job;
}

static json_t *
vault_job(const struct keeper *k, const struct target *t)
{
	const struct vault *v = settings_vault(keeper_settings(k), t->login.vault);
	const struct epoch_file *ca = v == NULL || v->ca[0] == '\0' ? NULL : epoch_find_file(k->epoch, v->ca);
	return v == NULL ? NULL : json_pack("{ss,ss#,ss,ss,ss,ss,sI}", "server", v->server, "ca", ca == NULL ? "" : (const char *)ca->content.p,
	    ca == NULL ? (size_t)0 : ca->content.len, "namespace", v->namespace, "path", t->login.path, "field", t->login.field, "user",
	    t->login.user, "within", (json_int_t)t->timeout.connect);
}

static uint64_t
within_of(const struct keeper *k, const struct target *t)
{
	const struct secret_command *c = settings_command(keeper_settings(k), t->login.command);
	return c == NULL || c->timeout < t->timeout.connect ? t->timeout.connect : c->timeout;
}

static struct access *
access_of(struct keeper *k, const struct target *t)
{
	for (struct access *a = k->lending->accesses; a != NULL; a = a->next)
		if (strcmp(a->target, t->b.name) == 0)
			return a;
	const struct credential *admin = credentials_admin(k->credentials, t->b.name);
	struct sp_secret *secret = admin == NULL ? NULL : secret_new(secret_bytes(admin->secret));
	json_t *job = secret == NULL ? NULL : t->login.ephemeral ? access_job(k, t) : t->login.command[0] != '\0' ? json_pack("{ss}", "user", t->login.user) : vault_job(k, t);
	if (job == NULL) {
		secret_free(&secret);
		return NULL;
	}
	struct access *a = mem_alloc(sizeof(*a));
	*a = (struct access){ .next = k->lending->accesses, .refs = 1, .target = mem_string(sp_str(t->b.name)),
		.what = t->login.ephemeral ? "role" : t->login.command[0] != '\0' ? "command" : t->login.dynamic ? "dynamic" : "kv",
		.lender = helpers_lender(keeper_settings(k), t), .within = within_of(k, t), .job = job, .secret = secret };
	k->lending->accesses = a;
	return a;
}

static void
accesses_drop(struct keeper *k)
{
	while (k->lending->accesses != NULL) {
		struct access *a = k->lending->accesses;
		k->lending->accesses = a->next;
		access_unref(&a);
	}
}

/* `more` is the callee's: members of this job beside those of the access. */
static int
send_job(struct keeper *k, const struct access *a, unsigned type, struct sp_bytes session, const char *user, json_t *more)
{
	struct link *l = keeper_helper(k, ROLE_LEND, a->lender);
	json_t *job = more == NULL ? NULL : json_copy(a->job);
	int rc = SP_EIO;
	if (l != NULL && job != NULL && json_object_update(job, more) == 0) {
		char *text = json_dumps(job, JSON_COMPACT);
		struct message m = { .type = (uint16_t)type, .f = { S(session), Z(a->target) } };
		struct field body = { .s = sp_str(text == NULL ? "" : text) }, secret = { .s = secret_bytes(a->secret) };
		bool back = type == MSG_RETURN;
		if (back)
			m.f[2] = (struct field)Z(user);
		m.f[back ? 3 : 2] = body;
		m.f[back ? 4 : 3] = secret;
		rc = text == NULL ? SP_ENOMEM : link_send(l, &m);
		free(text);
	}
	json_decref(job);
	json_decref(more);
	return rc;
}

/* ---- asking ---- */

static bool
is_role(const struct access *a)
{
	return strcmp(a->what, "role") == 0;
}

static struct sp_bytes
session_of(const struct lent *n)
{
	return (struct sp_bytes){ n->session, ID_LEN };
}

static void
lent_free(struct lent *n)
{
	access_unref(&n->access);
	secret_free(&n->credential.scram);
	secret_free(&n->credential.secret);
	free(n);
}

static void
ask(struct keeper *k, struct live *s)
{
	struct lent *n = s->lent;
	json_t *more = json_pack("{ss,ss}", "what", n->access->what, "session", s->name);
	if (is_role(n->access) && more != NULL)
		(void)json_object_set_new(more, "user", json_string(s->principal.user));
	n->sent = send_job(k, n->access, MSG_LEND, session_of(n), NULL, more) == SP_OK;
}

int
lend_begin(struct keeper *k, struct live *s, const struct target *t, const struct message *m, const char **why_r)
{
	struct access *a = access_of(k, t);
	*why_r = "the admin's secret is not there";
	if (a == NULL)
		return SP_EDENIED;
	struct lent *n = mem_alloc(sizeof(*n));
	a->refs++;
	*n = (struct lent){ .state = LENT_ASKED, .access = a, .request = m->id, .since = clock_mono_ms() };
	memcpy(n->session, s->id, ID_LEN);
	s->lent = n;
	s->state = LIVE_BORROWING;
	ask(k, s); /* a helper that is being started is asked once it is there */
	return SP_OK;
}

const struct credential *
lend_credential(const struct live *s)
{
	return s->lent == NULL ? NULL : &s->lent->credential;
}

/* The session is refused: what was lent for it after all goes back. */
static void
refuse(struct keeper *k, struct live *s, const char *why)
{
	admission_lent(k, s, s->lent->request, why);
}

/* How long it lasts, and when it has to be renewed: after half of it. */
static void
take_end(struct lent *n, uint64_t until)
{
	uint64_t now = clock_wall_us();
	n->lasts = until;
	n->renew = until <= now ? 0 : clock_mono_ms() + (until - now) / 1000 / 2;
}

static int
take_lent(struct lent *n, const struct message *m)
{
	struct sp_reader r = sp_reader(m->f[3].s);
	if (m->f[2].s.len == 0 || m->f[2].s.len > USER_MAX || memchr(m->f[2].s.p, 0, m->f[2].s.len) != NULL)
		return SP_EPROTO;
	memcpy(n->user, m->f[2].s.p, m->f[2].s.len);
	n->user[m->f[2].s.len] = '\0';
	if (!is_role(n->access)) {
		if (m->f[5].s.len > LEASE_MAX || m->f[3].s.len == 0 || memchr(m->f[3].s.p, 0, m->f[3].s.len) != NULL)
			return SP_EPROTO;
		(void)snprintf(n->lease, sizeof(n->lease), "%.*s", (int)m->f[5].s.len, (const char *)m->f[5].s.p);
		take_end(n, m->f[4].q);
		n->credential = (struct credential){ .user = n->user, .secret = secret_new(m->f[3].s) };
		return n->credential.secret == NULL ? SP_ENOMEM : SP_OK;
	}
	if (sp_rd_take(&r, sizeof(struct lent_scram)).p == NULL || !sp_rd_done(&r))
		return SP_EPROTO;
	n->credential = (struct credential){ .user = n->user, .scram = secret_new(m->f[3].s) };
	return n->credential.scram == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- giving back ---- */

static void
give_back(struct keeper *k, struct lent *n)
{
	n->state = LENT_RETURNING;
	n->since = clock_mono_ms();
	n->again = n->again == 0 ? RETURN_FIRST : n->again * 2 > RETURN_LAST ? RETURN_LAST : n->again * 2;
	secret_free(&n->credential.scram);
	secret_free(&n->credential.secret);
	char name[ID_TEXT];
	json_t *more = json_pack("{ss,ss,ss}", "what", n->access->what, "session", id_format(n->session, name), "lease", n->lease);
	if (send_job(k, n->access, MSG_RETURN, session_of(n), n->user, more) != SP_OK)
		log_debug("what was lent is given back later: the lender is away");
}

void
lend_end(struct keeper *k, struct live *s)
{
	struct lent *n = s->lent;
	s->lent = NULL;
	if (n == NULL) {
		/* One that a former keeper was lent: it has a mark. */
		for (struct access *a = k->lending == NULL ? NULL : k->lending->accesses; a != NULL && !s->side; a = a->next)
			if (s->target != NULL && strcmp(a->target, s->target) == 0)
				a->swept = 0;
		return;
	}
	bool kept = n->state == LENT_HELD && !is_role(n->access) && n->lease[0] == '\0';
	if ((n->state == LENT_ASKED && !n->sent) || kept) { /* there is nothing to give back */
		lent_free(n);
		return;
	}
	n->next = k->lending->ended;
	k->lending->ended = n;
	if (n->state == LENT_ASKED)
		n->state = LENT_ORPHAN;
	else
		give_back(k, n);
}

static struct lent **
ended_find(struct keeper *k, struct sp_bytes session, unsigned lender)
{
	struct lent **at = &k->lending->ended;
	while (*at != NULL && ((*at)->access->lender != lender || !sp_bytes_eq(session, session_of(*at))))
		at = &(*at)->next;
	return at;
}

static void
ended_drop(struct lent **at)
{
	struct lent *n = *at;
	*at = n->next;
	lent_free(n);
}

/* ---- what helpers say ---- */

static int
orphan_lent(struct keeper *k, struct link *l, const struct message *m)
{
	struct lent **at = ended_find(k, m->f[0].s, link_peer_index(l));
	if (*at != NULL && (*at)->state == LENT_RETURNING && (*at)->renewing) {
		(*at)->renewing = false; /* its session ended meanwhile */
		return SP_OK;
	}
	if (*at == NULL || (*at)->state != LENT_ORPHAN) {
		log_warn("lend[%u] lends what nobody asked for", link_peer_index(l));
		return SP_EPROTO;
	}
	if (m->f[1].q != 1 || take_lent(*at, m) != SP_OK)
		ended_drop(at);
	else
		give_back(k, *at);
	return SP_OK;
}

static void
swept(struct keeper *k, const struct message *m)
{
	if (m->f[1].q != 1)
		log_warn("what was left over could not be looked for, and will be again: %s", log_quote(m->f[5].s));
	else if (m->f[5].s.len > 0)
		log_info("left over from sessions that are no more: %s", log_quote(m->f[5].s));
	if (m->f[1].q == 1 && m->f[5].s.len > 0)
		audit(k, "swept", json_pack("{ss#}", "roles", (const char *)m->f[5].s.p, m->f[5].s.len));
}

static int
renewed(struct live *s, const struct message *m)
{
	struct lent *n = s->lent;
	if (n->lease[0] == '\0')
		return SP_EPROTO;
	n->renewing = false;
	if (m->f[1].q == 1)
		take_end(n, m->f[4].q);
	else
		log_warn("session %s: the lease of its credential is not renewed: %s", s->name, log_quote(m->f[5].s));
	return SP_OK;
}

int
lend_lent(struct keeper *k, struct link *l, struct message *m)
{
	if (m->f[0].s.len == 0) {
		swept(k, m);
		return SP_OK;
	}
	struct live *s = live_find(k, m->f[0].s);
	if (s != NULL && s->lent != NULL && s->lent->state == LENT_HELD && s->lent->access->lender == link_peer_index(l))
		return renewed(s, m);
	if (s == NULL || s->lent == NULL || s->lent->state != LENT_ASKED || s->lent->access->lender != link_peer_index(l))
		return orphan_lent(k, l, m);
	struct lent *n = s->lent;
	if (m->f[1].q != 1) {
		char why[256];
		(void)snprintf(why, sizeof(why), "the lender says no: %s", log_quote(m->f[5].s));
		n->sent = false;
		refuse(k, s, why);
		return SP_OK;
	}
	int rc = take_lent(n, m);
	const struct target *t = settings_target(keeper_settings(k), s->target);
	n->credential.cleartext = t != NULL && t->login.cleartext && t->tls.mode != TLS_OFF;
	n->state = LENT_HELD;
	if (rc == SP_OK && s->state == LIVE_BORROWING)
		s->state = LIVE_ADMITTED;
	audit(k, "lent", json_pack("{ss,ss,ss}", "session", s->name, "target", n->access->target, "login", n->user));
	admission_lent(k, s, n->request, rc == SP_OK ? NULL : "the lender's answer is malformed");
	return SP_OK;
}

int
lend_returned(struct keeper *k, struct link *l, struct message *m)
{
	struct lent **at = ended_find(k, m->f[0].s, link_peer_index(l));
	if (*at == NULL)
		return SP_OK; /* given back twice, since an answer took long */
	if (m->f[1].q != 1) {
		log_warn("login %s is not gone yet: %s", (*at)->user, log_quote(m->f[2].s));
		return SP_OK;
	}
	audit(k, "returned", json_pack("{ss,ss}", "target", (*at)->access->target, "login", (*at)->user));
	ended_drop(at);
	return SP_OK;
}

/* ---- helpers come and go ---- */

void
lend_linked(struct keeper *k, unsigned index)
{
	for (struct live *s = live_first(k), *next; s != NULL; s = next) {
		next = s->all_next;
		if (s->lent != NULL && s->lent->state == LENT_ASKED && !s->lent->sent && s->lent->access->lender == index)
			ask(k, s);
	}
	for (struct lent *n = k->lending->ended; n != NULL; n = n->next)
		if (n->state == LENT_RETURNING && n->access->lender == index)
			give_back(k, n);
	for (struct access *a = k->lending->accesses; a != NULL; a = a->next)
		a->swept = a->lender == index ? 0 : a->swept;
}

void
lend_lost(struct keeper *k, unsigned index)
{
	for (struct live *s = live_first(k), *next; s != NULL; s = next) {
		next = s->all_next;
		if (s->lent == NULL || s->lent->state != LENT_ASKED || !s->lent->sent || s->lent->access->lender != index)
			continue;
		s->lent->sent = false; /* what it may have made bears a mark, and is swept */
		refuse(k, s, "the lender ended before it answered");
	}
	for (struct lent **at = &k->lending->ended; *at != NULL;) {
		if ((*at)->state == LENT_ORPHAN && (*at)->access->lender == index)
			ended_drop(at);
		else
			at = &(*at)->next;
	}
}

void
lend_epoch(struct keeper *k)
{
	if (k->lending != NULL)
		accesses_drop(k);
}

void
lend_close(struct keeper *k)
{
	if (k->lending == NULL)
		return;
	while (k->lending->ended != NULL)
		ended_drop(&k->lending->ended);
	accesses_drop(k);
	free(k->lending);
	k->lending = NULL;
}

/* ---- time ---- */

/* Everybody who lives is kept: a role is of one of them, or nobody's. */
static void
sweep(struct keeper *k, struct access *a)
{
	json_t *keep = json_array();
	for (const struct live *s = live_first(k); s != NULL; s = s->all_next)
		if (!s->side && strcmp(s->target, a->target) == 0)
			(void)json_array_append_new(keep, json_string(s->name));
	if (send_job(k, a, MSG_LEND, (struct sp_bytes){ NULL, 0 }, NULL, json_pack("{ss,so}", "what", "sweep", "keep", keep)) == SP_OK)
		a->swept = clock_mono_ms();
}

/* A lease that could not be renewed ends, and with it what was logged in by it. */
static void
renew(struct keeper *k, struct live *s, uint64_t now)
{
	struct lent *n = s->lent;
	if (n->lease[0] == '\0' || n->lasts == 0 || s->ended)
		return;
	if (clock_wall_us() > n->lasts) {
		live_kill(k, s, SP_END_EXPIRED, "the lease of its login at the target has ended");
		return;
	}
	if (now < n->renew)
		return;
	n->renew = now + 10000; /* unless the answer says when */
	json_t *more = json_pack("{ss,ss}", "what", "renew", "lease", n->lease);
	if (send_job(k, n->access, MSG_LEND, session_of(n), NULL, more) != SP_OK)
		log_debug("a lease is renewed later: the lender is away");
	else
		n->renewing = true;
}

void
lend_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	for (struct live *s = live_first(k), *next; s != NULL; s = next) {
		next = s->all_next;
		if (s->lent != NULL && s->lent->state == LENT_ASKED && now - s->lent->since > s->lent->access->within + 1000)
			refuse(k, s, s->lent->sent ? "the lender did not answer in time" : "the lender is away");
		else if (s->lent != NULL && s->lent->state == LENT_HELD)
			renew(k, s, now);
	}
	for (struct lent *n = k->lending->ended; n != NULL; n = n->next)
		if (n->state == LENT_RETURNING && now - n->since > n->again)
			give_back(k, n);
	if (!k->settled)
		return;
	for (const struct target *t = keeper_settings(k)->targets; t != NULL; t = (const struct target *)t->b.next) {
		struct access *a = t->login.ephemeral ? access_of(k, t) : NULL;
		if (a != NULL && (a->swept == 0 || now - a->swept > SWEEP_MS) && keeper_helper(k, ROLE_LEND, a->lender) != NULL)
			sweep(k, a);
	}
}
