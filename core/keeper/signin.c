/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of sign-ins: made, checked, ended; and their re-checks at the provider. */
#include <config.h>

#include "signin.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "gateways.h"
#include "jwt.h"
#include "live.h"
#include "oidc.h"
#include "row.h"
#include "ticket.h"

#define SECRET_BYTES 32
#define TYPES "tbttttttqqqqtb"  /* what the mark is over: every column before it */
enum { C_ID, C_HASH, C_PARENT, C_PRINCIPAL, C_IDENTITY, C_ISSUER, C_SUBJECT, C_SID, C_CREATED, C_EXPIRES, C_CHECKED, C_ENDED, C_WHY,
	C_REFRESH, C_MAC, COLUMNS };
#define AT_ONCE 8                /* as the store's statements say */
#define DUE 64
#define UNHEARD 12               /* times `recheck` without a word of the provider: then it ends */
#define RETRY (60u * 1000)       /* ms */
#define KEPT (24ull * 3600 * 1000000) /* µs that an ended one is kept, to say why */
#define ROW_ARENA (64u << 10)
#define ROW_ID 256               /* more than an id of ours has: of a row that is not */
#define DEPTH 8                  /* of sign-ins that confirmed each other: those of older stores */
#define CLAIM_US (50ull * 1000000) /* so long a re-check is one gateway's: less than RETRY */

/* A re-check under way. */
struct recheck {
	struct recheck *next;
	char id[ID_TEXT];
	uint32_t question;
	uint64_t again; /* mono ms: not before; when no question is open */
};

struct signins {
	struct recheck *first;
};

static struct sp_bytes
digest_of(struct sp_bytes secret, uint8_t hash[DIGEST_LEN])
{
	digest_sha256(secret, hash);
	return (struct sp_bytes){ hash, DIGEST_LEN };
}

/* ---- rows ---- */

static void
as_row(const struct signin *s, struct field row[COLUMNS])
{
	const struct field all[] = { Z(s->id), S(s->hash), Z(s->parent), Z(s->principal), Z(s->identity), Z(s->issuer), Z(s->subject), Z(s->sid),
		Q(s->created), Q(s->expires), Q(s->checked), Q(s->ended), Z(s->why), S(s->refresh) };
	memcpy(row, all, sizeof(all));
}

struct found {
	struct keeper *k;
	struct arena *arena;
	struct signin *list;
	size_t n, max;
	size_t read;  /* rows, ours or not */
	char *last;   /* the id of the last of them; NULL: nobody asks */
};

static const char *
text(struct arena *a, const struct field *f)
{
	return arena_string(a, f->s);
}

static struct sp_bytes
bytes(struct arena *a, struct sp_bytes b)
{
	void *p = arena_alloc(a, b.len);
	if (p != NULL && b.len > 0)
		memcpy(p, b.p, b.len);
	return (struct sp_bytes){ p, p == NULL ? 0 : b.len };
}

/* A row that is not ours is passed over: it is as if it were not there. */
static int
take_row(void *owner, const struct field *row)
{
	struct found *w = owner;
	w->read++;
	if (w->last != NULL)
		(void)snprintf(w->last, ROW_ID, "%.*s", (int)row[C_ID].s.len, (const char *)row[C_ID].s.p);
	if (w->n == w->max || !row_good(&w->k->keys, "signin", TYPES, row, row[C_MAC].s))
		return SP_OK;
	struct arena *a = w->arena;
	struct signin *s = &w->list[w->n];
	*s = (struct signin){ .id = text(a, &row[C_ID]), .parent = text(a, &row[C_PARENT]), .principal = text(a, &row[C_PRINCIPAL]),
		.identity = text(a, &row[C_IDENTITY]), .issuer = text(a, &row[C_ISSUER]), .subject = text(a, &row[C_SUBJECT]),
		.sid = text(a, &row[C_SID]), .why = text(a, &row[C_WHY]), .created = row[C_CREATED].q, .expires = row[C_EXPIRES].q,
		.checked = row[C_CHECKED].q, .ended = row[C_ENDED].q, .hash = bytes(a, row[C_HASH].s), .refresh = bytes(a, row[C_REFRESH].s) };
	if (s->id == NULL || s->principal == NULL || s->identity == NULL || s->issuer == NULL || s->subject == NULL || s->sid == NULL ||
	    s->parent == NULL || s->hash.len != DIGEST_LEN || s->refresh.len != row[C_REFRESH].s.len)
		return SP_ENOMEM;
	w->n++;
	return SP_OK;
}

static int
find_one(struct keeper *k, enum store_statement how, const struct field *args, struct arena *a, struct signin *s_r)
{
	struct found w = { .k = k, .arena = a, .list = s_r, .max = 1 };
	*s_r = (struct signin){ 0 };
	int rc = store_read(k->store, how, args, take_row, &w);
	return rc != SP_OK ? rc : w.n == 1 ? SP_OK : SP_EDENIED;
}

/* SP_EDENIED: it has ended meanwhile, here or at another gateway, and stays so. */
static int
write_row(struct keeper *k, const struct signin *s)
{
	uint8_t mac[DIGEST_LEN];
	struct field row[COLUMNS];
	as_row(s, row);
	row_mac(&k->keys, "signin", TYPES, row, mac);
	row[C_MAC] = (struct field)S(((struct sp_bytes){ mac, sizeof(mac) }));
	long n = keeper_write(k, STORE_SIGNIN_KEEP, row);
	return n == 1 ? SP_OK : n == 0 ? SP_EDENIED : SP_EIO;
}

int
signin_find(struct keeper *k, const char *id, struct arena *a, struct signin *s_r)
{
	const struct field args[] = { Z(id) };
	int rc = find_one(k, STORE_SIGNIN_GET, args, a, s_r);
	if (rc == SP_OK && (s_r->ended != 0 || clock_wall_us() >= s_r->expires))
		rc = SP_EDENIED;
	return rc;
}

bool
signin_alive(struct keeper *k, const char *id)
{
	struct signin s;
	struct arena *a = arena_new(ROW_ARENA);
	bool yes = a != NULL && signin_find(k, id, a, &s) == SP_OK;
	arena_free(&a);
	return yes;
}

/* As the re-checks left whom it began with: what one is not any more there, no device of theirs is. */
static int
principal_now(struct keeper *k, struct arena *a, const struct signin *s, struct principal *p_r)
{
	struct arena *rows = arena_new(DEPTH * ROW_ARENA);
	struct signin root = *s;
	int rc = rows == NULL ? SP_ENOMEM : SP_OK;
	for (unsigned i = 0; rc == SP_OK && root.parent[0] != '\0'; i++) {
		char *parent = arena_string(rows, sp_str(root.parent));
		rc = parent == NULL || i == DEPTH || signin_find(k, parent, rows, &root) != SP_OK ? SP_EDENIED : SP_OK;
	}
	if (rc == SP_OK)
		rc = principal_parse(a, sp_str(root.principal), p_r);
	if (rc == SP_OK) {
		p_r->token = arena_string(a, sp_str(s->id));
		p_r->expires = s->expires;
		rc = p_r->token == NULL ? SP_ENOMEM : SP_OK;
	}
	arena_free(&rows);
	return rc;
}

int
signin_now(struct keeper *k, const char *id, struct arena *a, struct principal *p_r)
{
	struct signin s;
	struct arena *rows = arena_new(ROW_ARENA);
	struct found w = { .k = k, .arena = rows, .list = &s, .max = 1 };
	const struct field args[] = { Z(id) };
	int rc = rows == NULL ? SP_ENOMEM : store_read(k->store, STORE_SIGNIN_GET, args, take_row, &w);
	if (rc == SP_OK && w.read == 0)
		rc = SP_EPROTO;
	else if (rc == SP_OK)
		rc = w.n == 1 && s.ended == 0 && clock_wall_us() < s.expires ? principal_now(k, a, &s, p_r) : SP_EDENIED;
	arena_free(&rows);
	return rc == SP_OK || rc == SP_EPROTO ? rc : SP_EDENIED;
}

struct last {
	struct keeper *k;
	struct arena *arena;
	const char *user, *identity;
	struct principal *p;
	bool found, several;
};

static int
take_last(void *owner, const struct field *row)
{
	struct last *w = owner;
	struct principal p;
	struct arena *mine = w->found ? arena_new(ROW_ARENA) : NULL;
	bool fits = row_good(&w->k->keys, "signin", TYPES, row, row[C_MAC].s) && (w->identity[0] == '\0' || sp_bytes_is(row[C_IDENTITY].s, w->identity)) &&
	    principal_parse(w->found ? mine : w->arena, row[C_PRINCIPAL].s, &p) == SP_OK && strcmp(p.user, w->user) == 0;
	if (fits && !w->found)
		*w->p = p;
	else if (fits)
		w->several = w->several || strcmp(p.issuer, w->p->issuer) != 0 || strcmp(p.subject, w->p->subject) != 0;
	w->found = w->found || fits;
	arena_free(&mine);
	return SP_OK;
}

int
signin_last(struct keeper *k, struct arena *a, const char *user, const char *identity, struct principal *p_r)
{
	struct last w = { k, a, user, identity, p_r, false, false };
	int rc = store_read(k->store, STORE_SIGNIN_LAST, NULL, take_last, &w);
	return rc != SP_OK ? rc : !w.found ? SP_EDENIED : w.several ? SP_ETOOBIG : SP_OK;
}

/* ---- made and shown ---- */

static int
principal_text(struct arena *a, const struct principal *p, const char **text_r)
{
	struct buffer json = { 0 };
	int rc = principal_print(p, &json);
	*text_r = rc == SP_OK ? arena_string(a, buffer_bytes(&json)) : NULL;
	buffer_free(&json);
	return rc == SP_OK && *text_r == NULL ? SP_ENOMEM : rc;
}

static int
fill(struct keeper *k, const struct signin_wanted *w, struct sp_bytes secret, struct arena *a)
{
	uint8_t id[ID_LEN], hash[DIGEST_LEN];
	char name[ID_TEXT];
	struct principal p = *w->principal;
	struct buffer sealed = { 0 };
	id_new(id);
	p.token = id_format(id, name);
	p.expires = w->expires;
	uint64_t now = clock_wall_us();
	struct signin s = { .id = name, .parent = w->parent, .identity = p.identity, .issuer = p.issuer, .subject = p.subject, .sid = w->sid,
		.why = "", .created = now, .checked = now, .expires = w->expires, .hash = digest_of(secret, hash) };
	int rc = principal_text(a, &p, &s.principal);
	if (rc == SP_OK && w->refresh.len > 0)
		rc = row_seal(&k->keys, "signin", sp_str(name), w->refresh, &sealed);
	s.refresh = buffer_bytes(&sealed);
	if (rc == SP_OK)
		rc = write_row(k, &s);
	buffer_free(&sealed);
	if (rc == SP_OK)
		audit(k, "signin", json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", name, "user", p.user, "identity", p.identity, "issuer", p.issuer, "by",
		    w->parent[0] == '\0' ? "browser" : "device"));
	return rc;
}

int
signin_new(struct keeper *k, const struct signin_wanted *w, struct buffer *secret_r)
{
	uint8_t random[SECRET_BYTES];
	struct buffer secret = { 0 };
	struct arena *a = arena_new(1u << 20);
	random_bytes(random, sizeof(random));
	int rc = a == NULL ? SP_ENOMEM : buffer_put(&secret, SP_LIT(SIGNIN_PREFIX));
	if (rc == SP_OK)
		rc = text_base64url((struct sp_bytes){ random, sizeof(random) }, &secret);
	if (rc == SP_OK)
		rc = fill(k, w, buffer_bytes(&secret), a);
	if (rc == SP_OK)
		rc = buffer_put(secret_r, buffer_bytes(&secret));
	mem_wipe(random, sizeof(random));
	if (secret.p != NULL)
		mem_wipe(secret.p, secret.cap);
	buffer_free(&secret);
	arena_free(&a);
	return rc;
}

bool
signin_is(struct sp_bytes token)
{
	size_t n = strlen(SIGNIN_PREFIX);
	return token.len > n && memcmp(token.p, SIGNIN_PREFIX, n) == 0;
}

static int
fail(const char **err_r, const char *why)
{
	*err_r = why;
	return SP_EDENIED;
}

static int
verify_row(struct keeper *k, const struct signin *s, struct arena *a, struct verified *v_r, const char **err_r)
{
	*v_r = (struct verified){ 0 };
	if (s->ended != 0)
		return fail(err_r, "the sign-in has ended");
	if (clock_wall_us() >= s->expires)
		return fail(err_r, "the sign-in has expired");
	if (principal_now(k, a, s, &v_r->principal) != SP_OK) {
		*v_r = (struct verified){ 0 };
		return fail(err_r, "the sign-in cannot be read, or that which confirmed it has ended");
	}
	v_r->issued = s->created;
	v_r->signin = true;
	v_r->device = s->parent[0] != '\0';
	if (identity_renew(keeper_settings(k), a, v_r) != SP_OK) {
		*v_r = (struct verified){ 0 };
		return fail(err_r, "the sign-in's identity is not in the configuration any more, or is another one");
	}
	if (strcmp(s->identity, "unix") == 0 && strcmp(s->sid, gateways_self()) != 0) {
		*v_r = (struct verified){ 0 };
		return fail(err_r, "an account of the control socket is one of its machine: the sign-in is of another gateway");
	}
	if (identity_revoked_since(k->store, &v_r->principal, s->created)) {
		*v_r = (struct verified){ 0 };
		return fail(err_r, "the principal was revoked");
	}
	return SP_OK;
}

int
signin_verify(struct keeper *k, struct sp_bytes secret, struct arena *a, struct verified *v_r, const char **err_r)
{
	uint8_t hash[DIGEST_LEN];
	struct signin s;
	const struct field args[] = { S(digest_of(secret, hash)) };
	*v_r = (struct verified){ 0 };
	if (find_one(k, STORE_SIGNIN_OF_HASH, args, a, &s) != SP_OK)
		return fail(err_r, "there is no such sign-in");
	return verify_row(k, &s, a, v_r, err_r);
}

int
signin_stands(struct keeper *k, const char *id, struct arena *a, struct verified *v_r, const char **err_r)
{
	struct signin s;
	const struct field args[] = { Z(id) };
	*v_r = (struct verified){ 0 };
	if (find_one(k, STORE_SIGNIN_GET, args, a, &s) != SP_OK)
		return fail(err_r, "the sign-in that confirmed it is gone");
	return verify_row(k, &s, a, v_r, err_r);
}

int
signin_of(struct keeper *k, const char *identity, const char *subject, struct arena *a, struct verified *v_r, const char **err_r)
{
	struct signin s;
	const struct field args[] = { Z(identity), Z(subject), Q(clock_wall_us()) };
	*v_r = (struct verified){ 0 };
	if (find_one(k, STORE_SIGNIN_LIVE, args, a, &s) != SP_OK)
		return fail(err_r, "there is no such sign-in");
	return verify_row(k, &s, a, v_r, err_r);
}

/* ---- the end ---- */

static unsigned
end_sessions(struct keeper *k, const char *id, const char *why)
{
	ticket_end_of(k, id, why);
	unsigned n = 0;
	for (struct live *l = live_first(k); l != NULL; l = l->all_next) {
		if (l->side || l->ended || strcmp(l->principal.token, id) != 0)
			continue;
		live_kill(k, l, SP_END_REVOKED, why);
		n++;
	}
	return n;
}

static unsigned
end_one(struct keeper *k, struct signin *s, const char *why)
{
	if (s->ended != 0)
		return 0;
	s->ended = clock_wall_us();
	s->why = why;
	s->refresh = (struct sp_bytes){ 0 };
	int rc = write_row(k, s);
	if (rc == SP_EDENIED)
		return end_sessions(k, s->id, why);
	if (rc != SP_OK)
		log_error("the end of sign-in %s could not be stored", s->id);
	audit(k, "signout", json_pack("{s:s,s:s,s:s,s:s}", "id", s->id, "issuer", s->issuer, "subject", s->subject, "why", why));
	log_info("sign-in %s of %s ends: %s", s->id, log_quote(sp_str(s->subject)), why);
	return end_sessions(k, s->id, why);
}

/* All that a question finds, a handful at a time, each time behind the last: rows that are not ours hide none. */
static unsigned
end_found(struct keeper *k, enum store_statement how, struct field *args, unsigned behind, const char *why)
{
	unsigned n = 0;
	size_t read = AT_ONCE;
	char last[ROW_ID] = "", before[ROW_ID] = "";
	do {
		struct signin list[AT_ONCE];
		struct arena *a = arena_new(1u << 20);
		struct found w = { .k = k, .arena = a, .list = list, .max = AT_ONCE, .last = last };
		(void)snprintf(before, sizeof(before), "%s", last);
		args[behind] = (struct field)Z(before);
		if (a == NULL || store_read(k->store, how, args, take_row, &w) != SP_OK) {
			log_error("not all sign-ins that had to end could be read: %s", why);
			w.read = 0;
		}
		for (size_t i = 0; i < w.n; i++)
			n += end_one(k, &list[i], why);
		read = w.read;
		arena_free(&a);
	} while (read == AT_ONCE && strcmp(last, before) != 0);
	return n;
}

unsigned
signin_end(struct keeper *k, const char *id, const char *why)
{
	struct signin s;
	struct arena *a = arena_new(ROW_ARENA);
	struct field args[2] = { Z(id) };
	unsigned n = 0;
	if (a != NULL && find_one(k, STORE_SIGNIN_GET, args, a, &s) == SP_OK) {
		n = end_one(k, &s, why);
		n += end_found(k, STORE_SIGNIN_CHILDREN, args, 1, why);
	}
	arena_free(&a);
	return n;
}

void
signin_heard(struct keeper *k, const char *id)
{
	if (!signin_alive(k, id))
		(void)end_sessions(k, id, "the sign-in has ended");
}

unsigned
signin_end_all(struct keeper *k, const char *issuer, const char *subject, const char *sid, const char *why)
{
	struct field args[4] = { Z(issuer), Z(subject), Z(sid) };
	return subject[0] == '\0' && sid[0] == '\0' ? 0 : end_found(k, STORE_SIGNIN_OF, args, 3, why);
}

/* ---- re-checks ---- */

static struct recheck **
recheck_at(struct keeper *k, const char *id)
{
	struct recheck **at = &k->signins->first;
	while (*at != NULL && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static void
recheck_done(struct keeper *k, struct recheck *r)
{
	struct recheck **at = recheck_at(k, r->id);
	*at = r->next;
	free(r);
}

/* The provider was not reached: later again, but not for ever. */
static void
unheard(struct keeper *k, struct recheck *r, const struct signin *s, const char *why)
{
	const struct identity *i = settings_identity(keeper_settings(k), s->identity);
	uint64_t longest = (i == NULL ? 0 : i->recheck) * 1000 * UNHEARD;
	/* While we were not there ourselves nobody could say anything. */
	uint64_t since = s->checked > k->started ? s->checked : k->started;
	log_warn("sign-in %s could not be re-checked: %s", s->id, why);
	if (clock_wall_us() <= since + longest) {
		r->again = clock_mono_ms() + RETRY;
		return;
	}
	char id[ID_TEXT];
	(void)snprintf(id, sizeof(id), "%s", s->id);
	recheck_done(k, r);
	(void)signin_end(k, id, "the provider has not answered for too long whether the user is still good");
}

static int
renewed(struct keeper *k, struct signin *s, struct arena *a, const struct oidc_answer *o)
{
	struct buffer sealed = { 0 };
	int rc = SP_OK;
	if (o->refresh != NULL) {
		rc = row_seal(&k->keys, "signin", sp_str(s->id), sp_str(o->refresh), &sealed);
		s->refresh = buffer_bytes(&sealed);
	}
	if (rc == SP_OK && o->has_principal) {
		struct principal p = o->principal;
		p.token = s->id;
		p.expires = s->expires;
		rc = principal_text(a, &p, &s->principal);
	}
	s->checked = clock_wall_us();
	if (rc == SP_OK)
		rc = write_row(k, s);
	buffer_free(&sealed);
	return rc;
}

static void
on_recheck(struct keeper *k, void *owner, const struct outside_told *t)
{
	struct recheck *r = owner;
	struct signin s;
	struct oidc_answer o;
	const char *why = "";
	struct arena *a = arena_new(1u << 20);
	r->question = 0;
	if (a == NULL || signin_find(k, r->id, a, &s) != SP_OK) {
		recheck_done(k, r); /* it ended meanwhile */
		arena_free(&a);
		return;
	}
	int rc = oidc_refreshed(k, &s, t, a, &o, &why);
	int kept = rc == SP_OK ? renewed(k, &s, a, &o) : rc;
	if (rc == SP_OK && (kept == SP_OK || kept == SP_EDENIED)) { /* denied: it ended meanwhile, and stays so */
		recheck_done(k, r);
	} else if (rc == SP_EDENIED) {
		log_warn("sign-in %s: %s", s.id, why);
		recheck_done(k, r);
		(void)signin_end(k, s.id, "the provider does not vouch for the user any more");
	} else {
		unheard(k, r, &s, why);
	}
	arena_free(&a);
}

static int
take_own(void *owner, const struct field *row)
{
	*(bool *)owner = gateways_own(row[0].s);
	return SP_OK;
}

/* One gateway asks, while the others leave it to it: a refresh token is good for one of them. */
static bool
claimed(struct keeper *k, const struct signin *s)
{
	char key[ID_TEXT + 48];
	bool own = false;
	(void)snprintf(key, sizeof(key), "recheck %s %llu", s->id, (unsigned long long)s->checked);
	const struct field add[] = { Z(key), Z(gateways_self()), Q(clock_wall_us() + CLAIM_US) };
	long n = keeper_write(k, STORE_TOKEN_SEEN, add);
	return n == 1 || (n == 0 && store_read(k->store, STORE_TOKEN_GET, add, take_own, &own) == SP_OK && own);
}

static void
recheck(struct keeper *k, const struct signin *s)
{
	struct recheck *r = *recheck_at(k, s->id);
	struct buffer token = { 0 };
	if (r != NULL && (r->question != 0 || clock_mono_ms() < r->again))
		return;
	if (!claimed(k, s))
		return;
	if (r == NULL) {
		r = mem_alloc(sizeof(*r));
		(void)snprintf(r->id, sizeof(r->id), "%s", s->id);
		r->next = k->signins->first;
		k->signins->first = r;
	}
	const char *why = "its refresh token cannot be read";
	int rc = row_open(&k->keys, "signin", sp_str(s->id), s->refresh, &token);
	if (rc == SP_OK)
		rc = oidc_ask_refresh(k, s->identity, buffer_bytes(&token), on_recheck, r, &r->question, &why);
	if (token.p != NULL)
		mem_wipe(token.p, token.cap);
	buffer_free(&token);
	if (rc != SP_OK)
		unheard(k, r, s, why);
}

void
signin_tick(struct keeper *k)
{
	uint64_t now = clock_wall_us();
	for (const struct identity *i = keeper_settings(k)->identities; i != NULL; i = (const struct identity *)i->b.next) {
		struct signin list[DUE];
		if (i->oidc.client[0] == '\0' || i->recheck == 0)
			continue;
		const struct field args[] = { Z(i->b.name), Q(now - i->recheck * 1000), Q(now) };
		struct arena *a = arena_new(1u << 20);
		struct found w = { .k = k, .arena = a, .list = list, .max = DUE };
		if (a != NULL && store_read(k->store, STORE_SIGNIN_DUE, args, take_row, &w) == SP_OK)
			for (size_t n = 0; n < w.n; n++)
				recheck(k, &list[n]);
		arena_free(&a);
	}
	if (k->ticks % 60 == 0) {
		const struct field old[] = { Q(now > KEPT ? now - KEPT : 0) };
		(void)keeper_write(k, STORE_SIGNIN_FORGET, old);
	}
}

void
signin_open(struct keeper *k)
{
	k->signins = mem_alloc(sizeof(*k->signins));
}

void
signin_close(struct keeper *k)
{
	if (k->signins == NULL)
		return;
	while (k->signins->first != NULL) {
		struct recheck *r = k->signins->first;
		k->signins->first = r->next;
		free(r);
	}
	free(k->signins);
	k->signins = NULL;
}
