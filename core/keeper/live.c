/* SPDX-License-Identifier: Apache-2.0 */
/* The table of live sessions, and what workers say of them. */
#include <config.h>

#include "live.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "api.h"
#include "approval.h"
#include "cancel.h"
#include "device.h"
#include "gateways.h"
#include "lend.h"
#include "grant.h"
#include "proof.h"
#include "ticket.h"

#define BUCKETS 4096
#define ARENA (256u << 10)

struct live_table {
	struct live *bucket[BUCKETS];
	struct live *all;
	size_t n;
};

void
live_open(struct keeper *k)
{
	k->live = mem_alloc(sizeof(*k->live));
}

void
live_close(struct keeper *k)
{
	if (k->live == NULL)
		return;
	while (k->live->all != NULL)
		live_remove(k, k->live->all);
	free(k->live);
	k->live = NULL;
}

static struct live **
slot(struct keeper *k, struct sp_bytes id)
{
	struct live **at = &k->live->bucket[(id.p[0] << 8 | id.p[1]) % BUCKETS];
	while (*at != NULL && memcmp((*at)->id, id.p, ID_LEN) != 0)
		at = &(*at)->next;
	return at;
}

struct live *
live_find(struct keeper *k, struct sp_bytes id)
{
	return id.len == ID_LEN ? *slot(k, id) : NULL;
}

struct live *
live_of(struct keeper *k, struct sp_bytes id, const struct link *l)
{
	struct live *s = live_find(k, id);
	return s != NULL && s->worker->link == l ? s : NULL;
}

struct live *
live_add(struct keeper *k, struct sp_bytes id, struct worker *w)
{
	if (id.len != ID_LEN || w == NULL || *slot(k, id) != NULL)
		return NULL;
	struct live *s = mem_alloc(sizeof(*s));
	s->arena = arena_new(ARENA);
	if (s->arena == NULL) {
		free(s);
		return NULL;
	}
	memcpy(s->id, id.p, ID_LEN);
	(void)id_format(s->id, s->name);
	s->worker = w;
	s->started = clock_wall_us();
	*slot(k, id) = s;
	s->all_next = k->live->all;
	s->all_at = &k->live->all;
	if (s->all_next != NULL)
		s->all_next->all_at = &s->all_next;
	k->live->all = s;
	k->live->n++;
	return s;
}

void
live_remove(struct keeper *k, struct live *s)
{
	*slot(k, (struct sp_bytes){ s->id, ID_LEN }) = s->next;
	*s->all_at = s->all_next;
	if (s->all_next != NULL)
		s->all_next->all_at = s->all_at;
	k->live->n--;
	proof_end(k, s);
	lend_end(k, s);
	cancel_forget(k, s);
	file_forget(s);
	arena_free(&s->arena);
	free(s);
}

struct live *
live_first(struct keeper *k)
{
	return k->live->all;
}

const char *
live_host(struct arena *a, struct sp_bytes address)
{
	const char *text = (const char *)address.p, *end = NULL;
	size_t len = address.len;
	if (len > 0 && text[0] == '[') { /* [v6]:port */
		end = memchr(text, ']', len);
		if (end != NULL)
			return arena_string(a, (struct sp_bytes){ address.p + 1, (size_t)(end - text) - 1 });
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] != ':')
			continue;
		if (end != NULL) /* a bare v6 address has no port */
			return arena_string(a, address);
		end = text + i;
	}
	return arena_string(a, (struct sp_bytes){ address.p, end == NULL ? len : (size_t)(end - text) });
}

struct live_count
live_count(struct keeper *k, const struct principal *p, const char *host, const char *target)
{
	struct live_count c = { 0 };
	for (const struct live *s = k->live->all; s != NULL; s = s->all_next) {
		if (s->side)
			continue;
		bool user = strcmp(s->principal.subject, p->subject) == 0 && strcmp(s->principal.issuer, p->issuer) == 0;
		bool there = strcmp(s->target, target) == 0;
		c.all++;
		c.user += user;
		c.address += strcmp(s->host, host) == 0;
		c.target += there;
		c.target_user += user && there;
	}
	return c;
}

bool
live_may(const struct live *s)
{
	return !s->ended && (s->expires == 0 || clock_wall_us() < s->expires);
}

void
live_kill(struct keeper *k, struct live *s, enum sp_why why, const char *text)
{
	const struct message m = { .type = MSG_KILL, .f = { S(((struct sp_bytes){ s->id, ID_LEN })), Q(why), Z(text) } };
	s->ended = true;
	log_info("session %s of %s ends: %s", s->name, s->side ? "the gateway itself" : log_quote(sp_str(s->principal.user)), text);
	reply(k, s->worker->link, &m);
}

void
live_bound(struct keeper *k, struct live *s)
{
	const struct target *t = settings_target(keeper_settings(k), s->target);
	uint64_t expires = s->proved;
	struct grant_now now;
	if (t != NULL && grant_needed(t)) {
		if (!grant_current(k, &s->principal, s->target, &now)) {
			live_kill(k, s, SP_END_REVOKED, "its grant has ended");
			return;
		}
		expires = expires == 0 || now.until < expires ? now.until : expires;
	}
	if (expires == s->expires)
		return;
	s->expires = expires;
	const struct message m = { .type = MSG_EXPIRES, .f = { S(((struct sp_bytes){ s->id, ID_LEN })), Q(expires) } };
	reply(k, s->worker->link, &m);
}

void
live_check(struct keeper *k, struct live *s)
{
	const struct target *t = settings_target(keeper_settings(k), s->target);
	if (t == NULL)
		live_kill(k, s, SP_END_REVOKED, "its target is gone from the configuration");
	else if (!s->side && !identity_stands(keeper_settings(k), &s->principal))
		live_kill(k, s, SP_END_REVOKED, "the identity that vouched for this principal is gone from the configuration");
	else if (!s->side && !admission_allows(t, &s->principal))
		live_kill(k, s, SP_END_REVOKED, "the target does not allow this principal any more");
	else if (!s->side)
		live_bound(k, s);
}

void
live_check_all(struct keeper *k)
{
	/* Clients first: a session that waits for one of the gateway's own must not end for the want of it. */
	for (unsigned side = 0; side < 2; side++)
		for (struct live *s = k->live->all; s != NULL; s = s->all_next)
			if (s->side == (side == 1))
				live_check(k, s);
}

void
live_check_revoked(struct keeper *k)
{
	for (struct live *s = k->live->all; s != NULL; s = s->all_next)
		if (!s->side && !s->ended && identity_revoked(k->store, &s->principal, s->started))
			live_kill(k, s, SP_END_REVOKED, "the principal was revoked");
}

/* ---- what workers say ---- */

int
live_opened(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	if (s == NULL)
		return SP_OK; /* killed a moment ago */
	s->state = LIVE_OPEN;
	proof_end(k, s);
	return SP_OK;
}

static void
store_end(struct keeper *k, const uint8_t id[ID_LEN], uint64_t why, struct sp_bytes text, const struct field counts[4])
{
	const struct field args[] = { Q(clock_wall_us()), Q(why), S(text), counts[0], counts[1], counts[2], counts[3],
		S(((struct sp_bytes){ id, ID_LEN })) };
	(void)keeper_write(k, STORE_SESSION_END, args);
}

int
live_closed(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	if (s == NULL) {
		ticket_forget(k, m->f[0].s);
		device_forget(k, m->f[0].s);
		return SP_OK; /* it was never admitted */
	}
	approval_withdraw_session(k, s, "its session ended");
	if (!s->side)
		store_end(k, s->id, m->f[1].q, m->f[2].s, &m->f[3]);
	live_remove(k, s);
	return SP_OK;
}

struct stored {
	struct live *s;
	bool found, matches;
};

/* The worker repeats what it was told; what counts is what was stored when it was told so. */
static int
take_stored(void *owner, const struct field *row)
{
	struct stored *w = owner;
	struct live *s = w->s;
	w->found = row[8].q == 0; /* not ended */
	s->principal_json = arena_string(s->arena, row[1].s);
	s->target = arena_string(s->arena, row[3].s);
	s->part = arena_string(s->arena, row[4].s);
	s->address = arena_string(s->arena, row[5].s);
	s->host = live_host(s->arena, row[5].s);
	s->protocol = arena_string(s->arena, row[6].s);
	s->started = row[7].q;
	return principal_parse(s->arena, row[1].s, &s->principal);
}

int
live_resume(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_add(k, m->f[0].s, worker_of(k, l));
	if (s == NULL)
		return live_of(k, m->f[0].s, l) != NULL ? SP_OK : SP_EPROTO;
	struct stored w = { .s = s };
	const struct field args[] = { S(m->f[0].s) };
	int rc = store_read(k->store, STORE_SESSION_GET, args, take_stored, &w);
	bool good = rc == SP_OK && w.found && sp_bytes_is(m->f[1].s, s->principal_json) && sp_bytes_is(m->f[2].s, s->target);
	if (!good) {
		log_warn("worker[%u] resumes session %s, which was not admitted like that", link_peer_index(l), s->name);
		const struct message kill = { .type = MSG_KILL, .f = { S(m->f[0].s), Q(SP_END_REVOKED), Z("the keeper does not know this session") } };
		live_remove(k, s);
		reply(k, l, &kill);
		return SP_OK;
	}
	s->expires = m->f[6].q; /* what its worker goes by: live_check() corrects it */
	s->proved = s->principal.expires;
	s->state = LIVE_OPEN;
	renewal_resume(k, s);
	if (identity_revoked(k->store, &s->principal, s->started))
		live_kill(k, s, SP_END_REVOKED, "the principal was revoked");
	else
		live_check(k, s);
	if (!s->ended) {
		(void)file_follow(k, s, true);
		approval_resume(k, s);
	}
	return SP_OK;
}

/* What a connection of the gateway's own is for, and whether this target has such. */
static bool
side_use(struct keeper *k, struct sp_bytes target, struct sp_bytes purpose, enum credential_use *use_r)
{
	const struct target *t = keeper_settings(k)->targets;
	*use_r = OF_CATALOGUE;
	while (t != NULL && !sp_bytes_is(target, t->b.name))
		t = (const struct target *)t->b.next;
	if (sp_bytes_is(purpose, "warm") || (k->trial && sp_bytes_is(purpose, "login")))
		*use_r = OF_LOGIN;
	if (sp_bytes_is(purpose, "estimate"))
		*use_r = OF_ESTIMATE;
	return t != NULL && (*use_r != OF_ESTIMATE || settings_estimates(t)) && (!sp_bytes_is(purpose, "warm") || t->pool.warm > 0);
}

int
live_side(struct keeper *k, struct link *l, struct message *m)
{
	struct worker *w = worker_of(k, l);
	bool served = k->trial;
	enum credential_use use;
	/* A worker without a session to that target has no business there. */
	for (const struct live *s = k->live->all; s != NULL && !served; s = s->all_next)
		served = s->worker == w && !s->side && live_may(s) && sp_bytes_is(m->f[1].s, s->target);
	served = side_use(k, m->f[1].s, m->f[3].s, &use) && served;
	struct live *s = served ? live_add(k, m->f[0].s, w) : NULL;
	if (s == NULL) {
		log_warn("worker[%u] may not open a connection of the gateway's own to %s", link_peer_index(l), log_quote(m->f[1].s));
		return SP_OK; /* its proofs will be refused */
	}
	s->side = true;
	s->use = use;
	s->target = arena_string(s->arena, m->f[1].s);
	s->part = arena_string(s->arena, m->f[2].s);
	return s->target == NULL || s->part == NULL ? SP_ENOMEM : SP_OK;
}

void
live_worker_gone(struct keeper *k, struct worker *w)
{
	static const struct field nothing[4];
	ticket_worker_gone(k, w);
	device_link_gone(k, w->link);
	for (struct live *s = k->live->all, *next; s != NULL; s = next) {
		next = s->all_next;
		if (s->worker != w)
			continue;
		approval_withdraw_session(k, s, "its worker ended");
		if (!s->side)
			store_end(k, s->id, LIVE_TORN, SP_LIT("the worker ended"), nothing);
		live_remove(k, s);
	}
}

struct torn {
	struct keeper *k;
	struct buffer ids;
};

static int
take_torn(void *owner, const struct field *row)
{
	struct torn *t = owner;
	return row[0].s.len == ID_LEN && live_find(t->k, row[0].s) == NULL ? buffer_put(&t->ids, row[0].s) : SP_OK;
}

/* What the store calls live at a gateway, and nobody here knows. */
static void
tear(struct keeper *k, const struct field gateways[2], const char *requests, struct sp_bytes why)
{
	static const struct field nothing[4];
	struct torn t = { .k = k };
	if (store_read(k->store, STORE_SESSION_OPEN_IDS, gateways, take_torn, &t) == SP_OK) {
		struct sp_reader r = sp_reader(buffer_bytes(&t.ids));
		while (r.left > 0) {
			struct sp_bytes id = sp_rd_take(&r, ID_LEN);
			approval_withdraw_of(k, id, requests);
			store_end(k, id.p, LIVE_TORN, why, nothing);
		}
	}
	buffer_free(&t.ids);
}

void
live_settle(struct keeper *k)
{
	const struct field own[] = { Z(gateways_self()), Z("") };
	tear(k, own, "its session was gone when the keeper came back", SP_LIT("nobody knew of it after the keeper's start"));
}

void
live_bury(struct keeper *k, const char *gateway)
{
	const struct field its[] = { Z(gateway), Z(gateway) };
	tear(k, its, "its gateway is gone", SP_LIT("its gateway was not heard of any more"));
}
