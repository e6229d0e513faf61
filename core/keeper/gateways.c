/* SPDX-License-Identifier: Apache-2.0 */
/* The store's place, the names of those that share it, and hearing them. */
#include <config.h>

#include "gateways.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/board.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "approval.h"
#include "events.h"
#include "grant.h"
#include "metrics.h"
#include "proof.h"
#include "signin.h"
#include "ticket.h"

#define SEEN_EVERY 5       /* seconds */
#define SILENT_US 30000000 /* beyond store_grace: then it is gone, whatever its clock says */
#define DEAD_MAX 16        /* a second */
#define CHANGE_KEPT_US 60000000
#define LIMIT_KEPT_US 5000000
#define BLIND_MS 45000     /* less than changes are kept */

#define LATELY 1024

#define PAGE 1000          /* as the store's statements say, or more */
#define PAGES 20           /* a second and gateway */
#define AHEAD_US 3600000000ull /* no clock of a gateway is that far ahead: such a number is nobody's */
#define PEER_NAME 256

struct lately { /* what is found in the table has mostly been heard before */
	uint64_t mark[LATELY];
	unsigned next;
};

struct peer { /* another gateway, and to which of its numbers was looked */
	struct peer *next;
	char name[PEER_NAME];
	uint64_t heard, limits;
	bool there;
};

struct gateways {
	struct lately heard;
	struct peer *peers;
	uint64_t looked; /* mono ms; 0: not yet */
};

static char self[64];

const char *
gateways_self(void)
{
	return self;
}

bool
gateways_own(struct sp_bytes gateway)
{
	return gateway.len == 0 || sp_bytes_is(gateway, self);
}

static void
name_self(const struct keys *keys)
{
	char host[32] = "gateway", key[65];
	(void)gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	for (char *c = host; *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) ? *c : '-';
	text_hex((struct sp_bytes){ keys->signing.public, 32 }, key);
	(void)snprintf(self, sizeof(self), "%s-%.8s", host, key);
}

/* ---- hearing others ---- */

struct wishes {
	struct keeper *k;
	unsigned n;
};

static int
take_wish(void *owner, const struct field *row)
{
	struct wishes *w = owner;
	struct live *s = live_find(w->k, row[0].s);
	const char *text = s == NULL ? NULL : arena_string(s->arena, row[1].s);
	if (s != NULL && !s->ended)
		live_kill(w->k, s, SP_END_REVOKED, text == NULL ? "ended by an operator" : text);
	w->n++;
	return SP_OK;
}

static void
grant_wishes(struct keeper *k)
{
	struct wishes w = { k, 0 };
	const struct field args[] = { Z(self) };
	if (store_read(k->store, STORE_WISHES, args, take_wish, &w) == SP_OK && w.n > 0)
		(void)keeper_write(k, STORE_WISHES_DONE, args);
}

static void
hear_approval(struct keeper *k, const char *id)
{
	approval_heard(k, id);
	events_heard(k, "approval", id);
}

static void
hear_grant(struct keeper *k, const char *id)
{
	grant_heard(k, id);
	events_heard(k, "grant", id);
}

static void
hear_ticket(struct keeper *k, const char *id)
{
	ticket_heard(k, id);
}

static void
hear_revoked(struct keeper *k, const char *name)
{
	(void)name;
	live_check_revoked(k);
}

static void
hear_wish(struct keeper *k, const char *gateway)
{
	if (strcmp(gateway, self) == 0)
		grant_wishes(k);
}

static void
hear_signin(struct keeper *k, const char *id)
{
	signin_heard(k, id);
}

static bool
is_new(struct lately *l, const struct store_change *c)
{
	uint64_t mark = c->number * 31;
	for (const char *g = c->gateway; *g != '\0'; g++)
		mark = mark * 1099511628211u + (uint8_t)*g;
	for (unsigned i = 0; i < LATELY; i++)
		if (l->mark[i] == mark)
			return false;
	l->mark[l->next++ % LATELY] = mark;
	return true;
}

static void
on_heard(void *owner, const struct store_change *c)
{
	static const struct {
		const char *topic;
		void (*hear)(struct keeper *k, const char *key);
	} row[] = { { "approval", hear_approval }, { "grant", hear_grant }, { "ticket", hear_ticket },
		{ "revoked", hear_revoked }, { "wish", hear_wish }, { "signin", hear_signin } };
	struct keeper *k = owner;
	char key[257];
	(void)snprintf(key, sizeof(key), "%.*s", (int)(c->key.len < 256 ? c->key.len : 256), c->key.len == 0 ? "" : (const char *)c->key.p);
	if (!is_new(&k->gateways->heard, c))
		return;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (strcmp(row[i].topic, c->topic) == 0)
			row[i].hear(k, key);
}

/* ---- limits: what each lets through, told once a second ---- */

#define TOLD_MAX 2000 /* keys */
#define TOLD 24       /* bytes: key, ns */

static bool
put_charged(void *owner, const uint8_t key[16], uint64_t ns)
{
	struct buffer *b = owner;
	uint8_t number[8];
	for (unsigned i = 0; i < 8; i++)
		number[i] = (uint8_t)(ns >> (56 - 8 * i));
	return b->len < TOLD_MAX * TOLD && buffer_put(b, (struct sp_bytes){ key, 16 }) == SP_OK &&
	    buffer_put(b, (struct sp_bytes){ number, 8 }) == SP_OK;
}

static void
tell_limits(struct keeper *k)
{
	struct buffer b = { 0 };
	if (metrics_shared(k) != NULL)
		board_take(metrics_shared(k), put_charged, &b);
	const struct field args[] = { Z(self), Q(store_number()), Z("limit"), S(buffer_bytes(&b)) };
	if (b.len > 0)
		(void)keeper_write(k, STORE_CHANGE_ADD, args);
	buffer_free(&b);
}

static void
hear_limits(struct keeper *k, struct sp_bytes told)
{
	struct sp_reader r = sp_reader(told);
	while (r.left >= TOLD) {
		struct sp_bytes key = sp_rd_take(&r, 16);
		board_pay(metrics_shared(k), key.p, sp_rd_be64(&r), clock_mono_ms());
	}
}

/* ---- looking, beside listening ---- */

struct found { /* collected first: who hears of one may read and write */
	struct arena *arena;
	struct store_change *list;
	size_t n, max, read;
};

static int
take_change(void *owner, const struct field *row)
{
	struct found *f = owner;
	if (f->n < f->read)
		return SP_OK; /* the arena is full: the rest is for the next page */
	f->read++;
	if (f->n == f->max) {
		size_t max = f->max == 0 ? 64 : 2 * f->max;
		struct store_change *list = arena_alloc(f->arena, max * sizeof(*list));
		if (list == NULL)
			return SP_OK;
		if (f->n > 0)
			memcpy(list, f->list, f->n * sizeof(*list));
		f->list = list;
		f->max = max;
	}
	struct store_change *c = &f->list[f->n];
	*c = (struct store_change){ arena_string(f->arena, row[0].s), row[1].q, arena_string(f->arena, row[2].s), arena_bytes(f->arena, row[3].s) };
	f->n += c->gateway != NULL && c->topic != NULL && c->key.len == row[3].s.len;
	return SP_OK;
}

static void
hear_found(struct keeper *k, struct peer *p, const struct store_change *c, bool first)
{
	bool limit = strcmp(c->topic, "limit") == 0;
	uint64_t *at = limit ? &p->limits : &p->heard;
	bool again = c->number > clock_wall_us() + AHEAD_US;
	if (!again)
		*at = c->number;
	if (!limit)
		on_heard(k, c);
	else if (!again && (!first || c->number > k->started) && metrics_shared(k) != NULL)
		hear_limits(k, c->key); /* the board outlives a keeper: what stood there at its start was counted */
}

/* What one has done since the last look, oldest first.  Each writes in the order of its numbers. */
static int
look_at(struct keeper *k, struct peer *p, enum store_statement which, uint64_t *at)
{
	bool first = k->gateways->looked == 0;
	size_t n = PAGE;
	int rc = SP_OK;
	for (unsigned page = 0; rc == SP_OK && n > 0 && page < PAGES; page++) {
		struct found f = { .arena = arena_new(8u << 20) };
		uint64_t before = *at;
		const struct field args[] = { Z(p->name), Q(before) };
		rc = f.arena == NULL ? SP_ENOMEM : store_read(k->store, which, args, take_change, &f);
		for (size_t i = 0; rc == SP_OK && i < f.n; i++)
			hear_found(k, p, &f.list[i], first);
		n = *at == before ? 0 : f.n;
		arena_free(&f.arena);
	}
	return rc;
}

static int
take_peer(void *owner, const struct field *row)
{
	struct gateways *g = owner;
	char name[PEER_NAME];
	(void)snprintf(name, sizeof(name), "%.*s", (int)row[0].s.len, (const char *)row[0].s.p);
	struct peer *p = g->peers;
	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	if (p == NULL) {
		p = mem_alloc(sizeof(*p));
		memcpy(p->name, name, sizeof(name));
		p->next = g->peers;
		g->peers = p;
	}
	p->there = true;
	return SP_OK;
}

/* Of whom nothing is kept, nothing is remembered. */
static void
forget_peers(struct gateways *g)
{
	for (struct peer **at = &g->peers; *at != NULL;) {
		struct peer *p = *at;
		if (p->there) {
			p->there = false;
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p);
	}
}

/* NOTIFY is quick, and may be lost on the way (a pooler, a broken LISTEN): what is in the table is not. */
static void
look(struct keeper *k)
{
	const struct field args[] = { Z(self) };
	struct gateways *g = k->gateways;
	int rc = store_read(k->store, STORE_CHANGERS, args, take_peer, g);
	if (rc == SP_OK)
		forget_peers(g);
	for (struct peer *p = g->peers; rc == SP_OK && p != NULL; p = p->next) {
		rc = look_at(k, p, STORE_CHANGES, &p->heard);
		if (rc == SP_OK)
			rc = look_at(k, p, STORE_CHANGES_LIMIT, &p->limits);
	}
	if (rc == SP_OK)
		g->looked = clock_mono_ms();
}

static void
forget_changes(struct keeper *k)
{
	uint64_t now = clock_wall_us();
	const struct field args[] = { Z(self), Q(now - CHANGE_KEPT_US), Q(now - LIMIT_KEPT_US) };
	(void)keeper_write(k, STORE_CHANGES_FORGET, args);
}

int
gateways_wish(struct keeper *k, const uint8_t session[ID_LEN], const char *gateway, const char *text)
{
	const struct field args[] = { S(((struct sp_bytes){ session, ID_LEN })), Z(gateway), Z(text), Q(clock_wall_us()) };
	return keeper_write(k, STORE_WISH_ADD, args) >= 0 ? SP_OK : SP_EIO;
}

/* ---- who is there ---- */

struct dead {
	char name[DEAD_MAX][64];
	unsigned n;
};

static int
take_dead(void *owner, const struct field *row)
{
	struct dead *d = owner;
	if (d->n < DEAD_MAX)
		(void)snprintf(d->name[d->n++], sizeof(d->name[0]), "%.*s", (int)row[0].s.len, (const char *)row[0].s.p);
	return SP_OK;
}

static void
bury(struct keeper *k)
{
	struct dead d = { .n = 0 };
	uint64_t silent = SILENT_US + keeper_settings(k)->store_grace * 1000;
	const struct field args[] = { Z(self), Q(clock_wall_us() - silent) };
	if (store_read(k->store, STORE_GATEWAYS_SILENT, args, take_dead, &d) != SP_OK)
		return;
	for (unsigned i = 0; i < d.n; i++) {
		const struct field gone[] = { Z(d.name[i]), args[1] };
		if (keeper_write(k, STORE_GATEWAY_GONE, gone) != 1)
			continue; /* another was quicker, or it is back */
		log_warn("gateway %s has not been heard of for a while: its sessions are torn", d.name[i]);
		audit(k, "gateway gone", json_pack("{s:s}", "gateway", d.name[i]));
		const struct field changes[] = { Z(d.name[i]), args[1], args[1] }; /* which nobody else takes away */
		(void)keeper_write(k, STORE_CHANGES_FORGET, changes);
		live_bury(k, d.name[i]);
	}
}

void
gateways_tick(struct keeper *k)
{
	if (!store_shared(k->store))
		return;
	if (k->gateways->looked != 0 && clock_mono_ms() - k->gateways->looked > BLIND_MS) {
		log_error("for too long nobody looked what other gateways do: the keeper ends, and starts again");
		k->failed(k);
		return;
	}
	grant_wishes(k);
	tell_limits(k);
	look(k);
	if (k->ticks % SEEN_EVERY != 0)
		return;
	forget_changes(k);
	const struct field args[] = { Z(self), Q(clock_wall_us()) };
	(void)keeper_write(k, STORE_GATEWAY_SEEN, args);
	bury(k);
}

/* ---- opening ---- */

static void
on_lost(void *owner)
{
	struct keeper *k = owner;
	log_error("the store is lost: the keeper ends, and starts again when it answers");
	k->failed(k);
}

/* Others look behind the last number of ours that they saw, also when our clock was put back since. */
static int
take_own_last(void *owner, const struct field *row)
{
	(void)owner;
	if (row[0].q < clock_wall_us() + AHEAD_US)
		store_number_after(row[0].q);
	return SP_OK;
}

static int
open_server(struct keeper *k, struct arena *a, const char **err_r)
{
	static const char *const modes[] = { [TLS_VERIFY_FULL] = "verify-full", [TLS_REQUIRE] = "require", [TLS_OFF] = "disable" };
	const struct settings *s = keeper_settings(k);
	struct store_address at;
	struct sp_secret *password = NULL;
	const char *why = "";
	if (settings_store_address(a, s->store.where, &at) != SP_OK) {
		*err_r = "store must be sqlite:/PATH or postgresql://USER@HOST[:PORT]/DATABASE";
		return SP_ECONF;
	}
	if (s->store.secret[0] != '\0' && credential_read(s, s->store.secret, &password, &why) != SP_OK) {
		const char *text = arena_printf(a, "the store's secret %s %s", s->store.secret, why);
		log_error("%s", text == NULL ? why : text);
		*err_r = "the store's secret can't be read: the error log says why";
		return SP_ECONF;
	}
	struct store_server server = { .host = at.at.host, .port = arena_printf(a, "%u", at.at.port), .user = at.user, .database = at.database,
		.tls = modes[s->store.tls], .ca = s->store.ca, .password = password, .gateway = self, .base = k->base, .heard = on_heard,
		.lost = on_lost, .owner = k };
	keys_derive(&k->keys, "store", SP_LIT("check"), server.key_check);
	int rc = store_open(s->store.file, &server, &k->store, err_r);
	secret_free(&password);
	const struct field own[] = { Z(self) };
	*err_r = rc == SP_OK ? "the store's changes can't be read" : *err_r;
	return rc == SP_OK ? store_read(k->store, STORE_CHANGE_LAST, own, take_own_last, NULL) : rc;
}

int
gateways_open(struct keeper *k, const char **err_r)
{
	const struct settings *s = keeper_settings(k);
	k->gateways = mem_alloc(sizeof(*k->gateways));
	name_self(&k->keys);
	if (k->trial)
		return store_open(STORE_MEMORY, NULL, &k->store, err_r);
	if (strncmp(s->store.where, "sqlite:", 7) == 0)
		return store_open(s->store.file, NULL, &k->store, err_r);
	struct arena *a = arena_new(8192);
	int rc = a == NULL ? SP_ENOMEM : open_server(k, a, err_r);
	arena_free(&a);
	return rc;
}

void
gateways_close(struct keeper *k)
{
	for (struct peer *p = k->gateways == NULL ? NULL : k->gateways->peers, *next; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	free(k->gateways);
	k->gateways = NULL;
}
