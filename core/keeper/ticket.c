/* SPDX-License-Identifier: Apache-2.0 */
/* Making, proving, using and ending tickets. */
#include <config.h>

#include "ticket.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "gateways.h"
#include "grant.h"
#include "row.h"
#include "scram.h"
#include "signin.h"

#define USE_TRIES 5      /* of a ticket that is used at several gateways at once */
#define LIST_ARENA (8u << 20)
#define LIST_MAX 200     /* as the store's statements say */
#define ROW_ID 256       /* more than an id of ours has: of a row that is not */
#define TICKETS_MAX 100u /* of one principal: live, or made in the last … */
#define MADE_US (TICKET_WINDOW * 1000)  /* … quarter of an hour, be its window as short as it may */
#define ENDED_US (10ull * 1000000)      /* … ten seconds, also when it was ended: making one takes some milliseconds of us all */
#define LOGINS_MAX 4096
#define LOGIN_MS 60000
#define PASSWORD_BYTES 24
#define KEPT_US (24ull * 3600 * 1000000)    /* so long its client hears that it has expired */
#define OWN_LIFE_US (8ull * 3600 * 1000000) /* of a caller whose sign-in never ends: at the control socket */

/* What is kept of a password: for SCRAM, and for who sends it as it is.  192 random bits need no slow hash. */
struct kept {
	struct scram_verifier scram;
	uint8_t digest[DIGEST_LEN];
};

struct login {
	struct login *next;
	uint8_t session[ID_LEN];
	const struct worker *worker;
	uint64_t since;          /* mono ms */
	char id[TICKET_ID];
	bool known;              /* there is such a ticket: else the proof fails, whatever it is */
	struct scram_server scram;
	struct scram_verifier verifier;
};

struct ticket_logins {
	struct login *all;
	size_t n;
};

void
ticket_open(struct keeper *k)
{
	k->tickets = mem_alloc(sizeof(*k->tickets));
}

static void
drop(struct keeper *k, struct login **at)
{
	struct login *o = *at;
	*at = o->next;
	scram_server_clear(&o->scram);
	mem_wipe(o, sizeof(*o));
	free(o);
	k->tickets->n--;
}

void
ticket_close(struct keeper *k)
{
	if (k->tickets == NULL)
		return;
	while (k->tickets->all != NULL)
		drop(k, &k->tickets->all);
	free(k->tickets);
	k->tickets = NULL;
}

/* ---- rows ---- */

static const char *
text_of(const struct ticket *t, enum ticket_column i)
{
	return (const char *)t->column[i].s.p;
}

static int
ticket_load(struct arena *a, const struct field *row, struct ticket *t)
{
	*t = (struct ticket){ .kind = row[T_KIND].q == TICKET_MANY || row[T_KIND].q == TICKET_KEY ? (enum ticket_kind)row[T_KIND].q : TICKET_CONNECT,
		.state = row[T_STATE].q == TICKET_LIVE ? TICKET_LIVE : TICKET_ENDED, .created = row[T_CREATED].q, .window = row[T_WINDOW].q,
		.issued = row[T_ISSUED].q, .used = row[T_USED].q };
	if (row_copy(a, TICKET_MARKED "b", row, t->column) != SP_OK)
		return SP_ENOMEM;
	t->id = text_of(t, T_ID);
	t->target = text_of(t, T_TARGET);
	t->host = text_of(t, T_HOST);
	t->grant = text_of(t, T_GRANT);
	t->parent = text_of(t, T_PARENT);
	t->text = text_of(t, T_TEXT);
	t->verifier = t->column[T_VERIFIER].s;
	return principal_parse(a, row[T_PRINCIPAL].s, &t->who);
}

static bool
genuine(struct keeper *k, const struct field *row)
{
	return row_good(&k->keys, "ticket", TICKET_MARKED, row, row[T_MAC].s);
}

struct one {
	struct keeper *k;
	struct arena *arena;
	struct ticket *t;
	bool found;
};

static int
take_one(void *owner, const struct field *row)
{
	struct one *o = owner;
	if (!genuine(o->k, row))
		return SP_OK;
	o->found = true;
	return ticket_load(o->arena, row, o->t);
}

int
ticket_get(struct keeper *k, struct arena *a, const char *id, struct ticket *t_r)
{
	struct one o = { k, a, t_r, false };
	const struct field args[] = { Z(id) };
	int rc = store_read(k->store, STORE_TICKET_GET, args, take_one, &o);
	return rc == SP_OK && !o.found ? SP_EPROTO : rc;
}

struct walk {
	struct keeper *k;
	struct arena *arena;
	struct ticket list[LIST_MAX];
	size_t n, read;      /* read: rows, ours or not */
	bool full;           /* the arena: the rest is for the next time */
	char last[ROW_ID];   /* the id of the last that was read */
};

static int
take_walk(void *owner, const struct field *row)
{
	struct walk *w = owner;
	int rc = SP_OK;
	if (w->full || w->n == LIST_MAX)
		return SP_OK;
	if (genuine(w->k, row)) {
		rc = ticket_load(w->arena, row, &w->list[w->n]);
		w->full = rc == SP_ENOMEM && w->n > 0;
		w->n += rc == SP_OK;
	}
	if (w->full)
		return SP_OK;
	w->read++;
	(void)snprintf(w->last, sizeof(w->last), "%.*s", (int)row[T_ID].s.len, (const char *)row[T_ID].s.p);
	return rc;
}

/* Collected first: what is called for each may write. */
static int
for_each(struct keeper *k, enum store_statement which, const struct field *args, int (*each)(void *owner, const struct ticket *t), void *owner)
{
	struct walk *w = mem_alloc(sizeof(*w));
	w->k = k;
	w->arena = arena_new(LIST_ARENA);
	int rc = w->arena == NULL ? SP_ENOMEM : store_read(k->store, which, args, take_walk, w);
	for (size_t i = 0; rc == SP_OK && i < w->n; i++)
		rc = each(owner, &w->list[i]);
	arena_free(&w->arena);
	free(w);
	return rc;
}

int
ticket_list(struct keeper *k, int (*each)(void *owner, const struct ticket *t), void *owner)
{
	const struct field args[] = { Q(clock_wall_us()) };
	return for_each(k, STORE_TICKET_LIST, args, each, owner);
}

/* The row with a new state, host and count, when it is still as it was read. */
static bool
change(struct keeper *k, enum store_statement how, const struct ticket *t, struct field next[T_MAC + 1])
{
	uint8_t mac[DIGEST_LEN];
	row_mac(&k->keys, "ticket", TICKET_MARKED, next, mac);
	const struct field args[] = { next[T_HOST], next[T_USED], next[T_STATE], next[T_TEXT], S(((struct sp_bytes){ mac, sizeof(mac) })), Z(t->id),
		t->column[T_MAC] };
	return keeper_write(k, how, args) == 1;
}

/* ---- making ---- */

static json_t *
about(const char *id, const struct principal *who, const char *target, const char *text)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "ticket", id, "user", who->user, "issuer", who->issuer, "target", target, "text", text);
}

static const char *
new_secret(struct keeper *k, const char *id, char password[64], struct buffer *sealed)
{
	uint8_t random[PASSWORD_BYTES];
	struct buffer text = { 0 };
	struct kept v = { .digest = { 0 } };
	random_bytes(random, sizeof(random));
	int rc = text_base64url((struct sp_bytes){ random, sizeof(random) }, &text);
	(void)snprintf(password, 64, "%.*s", (int)text.len, (const char *)buffer_bytes(&text).p);
	scram_verifier_make(sp_str(password), &v.scram);
	keys_derive(&k->keys, "ticket password", sp_str(password), v.digest);
	if (rc == SP_OK)
		rc = row_seal(&k->keys, "ticket", sp_str(id), (struct sp_bytes){ (const uint8_t *)&v, sizeof(v) }, sealed);
	mem_wipe(random, sizeof(random));
	mem_wipe(&v, sizeof(v));
	if (text.len > 0)
		mem_wipe(text.p + text.start, text.len);
	buffer_free(&text);
	return rc == SP_OK ? NULL : "no password could be made";
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return b != 0 && b < a ? b : a;
}

static const char *
target_of(const struct ticket_wish *w)
{
	return w->target == NULL ? TICKET_ANY_TARGET : w->target->b.name;
}

/* How long: its own window, its maker's sign-in, the grant. */
static const char *
bounds(struct keeper *k, const struct ticket_wish *w, struct ticket_made *made, struct grant_now *grant)
{
	const struct principal *p = &w->who->principal;
	uint64_t now = clock_wall_us(), span = w->span == 0 ? TICKET_WINDOW : w->span;
	*grant = (struct grant_now){ .until = 0 };
	if (span > TICKET_WINDOW_MAX)
		return "a ticket's window is at most 24h";
	made->ends = made->until = p->expires >= INT64_MAX || p->expires == 0 ? now + OWN_LIFE_US : p->expires;
	if (w->target != NULL && grant_needed(w->target)) { /* without one each session asks for itself */
		if (!grant_current(k, p, w->target->b.name, grant))
			return "you have no grant for this target now: sallyport request TARGET --for 1h --reason …";
		made->until = earlier(made->until, grant->until);
	}
	made->window = earlier(now + span * 1000, made->until);
	return made->window <= now ? "your sign-in ends now" : NULL;
}

static const char *
store_new(struct keeper *k, const struct ticket_wish *w, const struct ticket_made *made, const struct grant_now *grant, struct sp_bytes sealed)
{
	uint8_t mac[DIGEST_LEN];
	uint64_t now = clock_wall_us();
	struct buffer who = { 0 };
	struct principal p = w->who->principal;
	p.token = made->id;
	p.expires = made->ends; /* a grant's end is looked up: it may be put off */
	int rc = principal_print(&p, &who);
	const struct field row[T_MAC + 1] = { [T_ID] = Z(made->id), [T_KIND] = Q(w->kind), [T_PRINCIPAL] = S(buffer_bytes(&who)),
		[T_ISSUER] = Z(p.issuer), [T_SUBJECT] = Z(p.subject), [T_USER] = Z(p.user), [T_TARGET] = Z(target_of(w)),
		[T_VERIFIER] = S(sealed), [T_CREATED] = Q(now), [T_WINDOW] = Q(made->window), [T_ISSUED] = Q(w->who->issued == 0 ? now : w->who->issued),
		[T_USED] = Q(0), [T_HOST] = Z(""), [T_GRANT] = Z(grant->id), [T_PARENT] = Z(w->who->principal.token), [T_STATE] = Q(TICKET_LIVE),
		[T_TEXT] = Z(""), [T_MAC] = S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "ticket", TICKET_MARKED, row, mac);
	if (rc == SP_OK && keeper_write(k, STORE_TICKET_ADD, row) != 1)
		rc = SP_EIO;
	buffer_free(&who);
	return rc == SP_OK ? NULL : "the ticket could not be stored";
}

static int
take_count(void *owner, const struct field *row)
{
	*(uint64_t *)owner = row[0].q;
	return SP_OK;
}

static uint64_t
live_tickets(struct keeper *k, const struct principal *p)
{
	uint64_t n = TICKETS_MAX;
	uint64_t now = clock_wall_us();
	const struct field args[] = { Z(p->issuer), Z(p->subject), Q(now), Q(now - MADE_US), Q(now - ENDED_US) };
	return store_read(k->store, STORE_TICKET_COUNT, args, take_count, &n) == SP_OK ? n : TICKETS_MAX;
}

const char *
ticket_make(struct keeper *k, const struct ticket_wish *w, struct ticket_made *made_r)
{
	uint8_t id[ID_LEN];
	char letters[ID_TEXT];
	struct grant_now grant;
	struct buffer sealed = { 0 };
	*made_r = (struct ticket_made){ .window = 0 };
	const char *why = bounds(k, w, made_r, &grant);
	if (why == NULL && live_tickets(k, &w->who->principal) >= TICKETS_MAX)
		why = "too many tickets of yours are live: end some (sallyport end), or wait";
	if (why != NULL)
		return why;
	id_new(id);
	(void)snprintf(made_r->id, sizeof(made_r->id), TICKET_PREFIX "%.20s", id_format(id, letters));
	why = new_secret(k, made_r->id, made_r->password, &sealed);
	if (why == NULL)
		why = store_new(k, w, made_r, &grant, buffer_bytes(&sealed));
	buffer_free(&sealed);
	if (why != NULL) {
		mem_wipe(made_r->password, sizeof(made_r->password));
		return why;
	}
	audit(k, "ticket", about(made_r->id, &w->who->principal, target_of(w),
	    w->kind == TICKET_CONNECT ? "one session" : w->kind == TICKET_MANY ? "many sessions" : "an SSH certificate"));
	return NULL;
}

/* ---- logging in ---- */

static struct login **
login_at(struct keeper *k, struct sp_bytes session)
{
	struct login **at = &k->tickets->all;
	while (*at != NULL && !sp_bytes_eq((struct sp_bytes){ (*at)->session, ID_LEN }, session))
		at = &(*at)->next;
	return at;
}

bool
ticket_under_way(struct keeper *k, struct sp_bytes session)
{
	return *login_at(k, session) != NULL;
}

bool
ticket_any_under_way(const struct keeper *k)
{
	return k->tickets->all != NULL;
}

/* SP_EDENIED: there is no such ticket, or it is none of ours. */
static int
open_kept(struct keeper *k, struct arena *a, const char *id, struct ticket *t_r, struct kept *kept_r)
{
	struct buffer plain = { 0 };
	int rc = ticket_get(k, a, id, t_r);
	if (rc == SP_OK)
		rc = row_open(&k->keys, "ticket", sp_str(id), t_r->verifier, &plain);
	if (rc == SP_OK && plain.len != sizeof(*kept_r))
		rc = SP_EDENIED;
	if (rc == SP_OK)
		memcpy(kept_r, buffer_bytes(&plain).p, sizeof(*kept_r));
	else
		*kept_r = (struct kept){ .digest = { 0 } };
	if (plain.len > 0)
		mem_wipe(plain.p + plain.start, plain.len);
	buffer_free(&plain);
	return rc;
}

/* Nobody learns whether there is such a ticket: without one the salt is a function of the name, and no proof fits. */
static void
take_verifier(struct keeper *k, struct login *o)
{
	struct ticket t;
	struct kept kept;
	uint8_t mock[DIGEST_LEN];
	struct arena *a = arena_new(256u << 10);
	keys_derive(&k->keys, "no ticket", sp_str(o->id), mock);
	random_bytes(&o->verifier, sizeof(o->verifier));
	memcpy(o->verifier.salt, mock, SCRAM_SALT);
	o->verifier.iterations = SCRAM_ITERATIONS_MIN;
	o->known = a != NULL && open_kept(k, a, o->id, &t, &kept) == SP_OK;
	if (o->known)
		o->verifier = kept.scram;
	mem_wipe(&kept, sizeof(kept));
	arena_free(&a);
}

static int
refuse_login(struct keeper *k, struct link *l, const struct message *m, const char *why)
{
	log_warn("a log-in by ticket from %s was refused: %s", log_quote(m->f[6].s), why);
	const struct message no = { .type = MSG_ADMITTED, .id = m->id, .f = { m->f[0], Q(SP_REFUSE), Z("access denied") } };
	reply(k, l, &no);
	return SP_OK;
}

int
ticket_begin(struct keeper *k, struct link *l, struct message *m)
{
	const char *why = "no memory";
	struct buffer out = { 0 };
	if (m->f[0].s.len != ID_LEN || live_find(k, m->f[0].s) != NULL)
		return SP_EPROTO;
	if (m->f[3].s.len >= TICKET_ID || k->tickets->n == LOGINS_MAX)
		return refuse_login(k, l, m, k->tickets->n == LOGINS_MAX ? "too many log-ins are under way" : "that is no ticket");
	struct login *o = mem_alloc(sizeof(*o));
	*o = (struct login){ .next = k->tickets->all, .worker = worker_of(k, l), .since = clock_mono_ms() };
	memcpy(o->session, m->f[0].s.p, ID_LEN);
	(void)snprintf(o->id, sizeof(o->id), "%.*s", (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	k->tickets->all = o;
	k->tickets->n++;
	take_verifier(k, o);
	int rc = scram_serve_first(&o->scram, &o->verifier, m->f[2].s, &out, &why);
	if (rc == SP_OK) {
		const struct message ask = { .type = MSG_ADMITTED, .id = m->id, .f = { m->f[0], Q(SP_CHALLENGE), Z(""), S(buffer_bytes(&out)) } };
		reply(k, l, &ask);
	} else {
		drop(k, &k->tickets->all);
		rc = refuse_login(k, l, m, why);
	}
	buffer_free(&out);
	return rc;
}

int
ticket_prove(struct keeper *k, struct sp_bytes session, struct sp_bytes proof, struct arena *a, struct ticket *t_r, struct buffer *final_r,
    const char **why_r)
{
	struct login **at = login_at(k, session);
	*why_r = "no log-in is under way";
	if (*at == NULL)
		return SP_EDENIED;
	int rc = scram_serve_final(&(*at)->scram, &(*at)->verifier, proof, final_r, why_r);
	if (rc == SP_OK && !(*at)->known)
		rc = SP_EDENIED;
	if (rc == SP_OK && ticket_get(k, a, (*at)->id, t_r) != SP_OK) {
		*why_r = "the ticket is gone";
		rc = SP_EDENIED;
	}
	drop(k, at); /* one guess for each challenge */
	return rc;
}

int
ticket_check(struct keeper *k, struct sp_bytes id, struct sp_bytes password, struct arena *a, struct ticket *t_r, const char **why_r)
{
	struct kept kept;
	uint8_t digest[DIGEST_LEN];
	const char *name = id.len < TICKET_ID ? arena_string(a, id) : NULL;
	*why_r = "there is no such ticket";
	if (name == NULL || strlen(name) != id.len)
		return SP_EDENIED;
	keys_derive(&k->keys, "ticket password", password, digest);
	int rc = open_kept(k, a, name, t_r, &kept);
	if (rc == SP_OK && !mem_equal((struct sp_bytes){ kept.digest, DIGEST_LEN }, (struct sp_bytes){ digest, DIGEST_LEN })) {
		*why_r = "the password is wrong";
		rc = SP_EDENIED;
	}
	mem_wipe(&kept, sizeof(kept));
	mem_wipe(digest, sizeof(digest));
	return rc;
}

/* Here, and at other gateways of the same store.  A store that can't tell counts as many. */
static uint64_t
open_sessions(struct keeper *k, const struct ticket *t)
{
	uint64_t n = 0;
	const struct field of[] = { Z(t->id), Z(gateways_self()) };
	if (store_shared(k->store) && store_read(k->store, STORE_SESSIONS_OF_TOKEN, of, take_count, &n) != SP_OK)
		return UINT64_MAX;
	for (const struct live *s = live_first(k); s != NULL; s = s->all_next)
		n += !s->side && strcmp(s->principal.token, t->id) == 0;
	return n;
}

static bool
grant_stands(struct keeper *k, const struct ticket *t)
{
	struct grant g;
	struct arena *a = arena_new(256u << 10);
	bool stands = t->grant[0] == '\0' || (a != NULL && grant_get(k, a, t->grant, &g) == SP_OK && g.state == GRANT_LIVE && g.until > clock_wall_us());
	arena_free(&a);
	return stands;
}

/* For whom the sign-in that made it stands now; a token stands for itself.  False: the sign-in has ended. */
static bool
parent_stands(struct keeper *k, struct arena *a, struct ticket *t)
{
	struct principal now;
	int rc = signin_now(k, t->parent, a, &now);
	if (rc != SP_OK)
		return rc == SP_EPROTO;
	now.token = t->who.token;
	now.expires = t->who.expires;
	t->who = now;
	return true;
}

const char *
ticket_refuses(struct keeper *k, struct arena *a, struct ticket *t, const char *target, const char *host)
{
	bool key = t->kind == TICKET_KEY;
	if (!key && strcmp(t->target, target) != 0)
		return "this ticket is for another target";
	if (t->state != TICKET_LIVE || !identity_stands(keeper_settings(k), &t->who) || !parent_stands(k, a, t) || identity_revoked(k->store, &t->who, t->issued) ||
	    !grant_stands(k, t))
		return "this ticket was revoked, or the grant or sign-in behind it has ended";
	if (t->kind == TICKET_CONNECT && t->used > 0)
		return "this ticket is used up: it was for one session, get another";
	if (t->window <= clock_wall_us() || t->who.expires <= clock_wall_us())
		return "this ticket has expired: its window for new sessions is over";
	if (t->host[0] != '\0' && strcmp(t->host, host) != 0)
		return "this ticket was first used from another address";
	return !key && open_sessions(k, t) >= TICKET_AT_ONCE ? "this ticket has ten open sessions, which is the most" : NULL;
}

static bool
count_use(struct keeper *k, const struct ticket *t, const char *host)
{
	struct field next[T_MAC + 1];
	memcpy(next, t->column, sizeof(next));
	next[T_USED].q++;
	if (t->kind != TICKET_KEY) /* whose holder proves at each session to have the private key, from wherever */
		next[T_HOST] = (struct field)Z(host);
	return change(k, STORE_TICKET_USE, t, next); /* which no other gateway has to hear of */
}

/* Another gateway that uses it in the same moment changes the row first: what then stands is looked at anew. */
const char *
ticket_use(struct keeper *k, struct arena *a, struct ticket *t, const char *target, const char *host)
{
	const char *why = NULL;
	for (unsigned tries = 0; tries < USE_TRIES && why == NULL; tries++) {
		if (count_use(k, t, host))
			return NULL;
		const char *id = t->id;
		why = ticket_get(k, a, id, t) == SP_OK ? ticket_refuses(k, a, t, target, host) : "the ticket is gone";
	}
	return why != NULL ? why : "too many use this ticket in the same moment: try again";
}

void
ticket_forget(struct keeper *k, struct sp_bytes session)
{
	struct login **at = login_at(k, session);
	if (*at != NULL)
		drop(k, at);
}

void
ticket_worker_gone(struct keeper *k, const struct worker *w)
{
	for (struct login **at = &k->tickets->all; *at != NULL;) {
		if ((*at)->worker == w)
			drop(k, at);
		else
			at = &(*at)->next;
	}
}

void
ticket_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	for (struct login **at = &k->tickets->all; *at != NULL;) {
		if (now - (*at)->since >= LOGIN_MS)
			drop(k, at);
		else
			at = &(*at)->next;
	}
	if (k->ticks % 60 != 0)
		return;
	const struct field args[] = { Q(clock_wall_us() - KEPT_US) };
	(void)keeper_write(k, STORE_TICKET_FORGET, args);
}

/* ---- ending ---- */

static void
kill_sessions(struct keeper *k, const struct ticket *t)
{
	for (struct live *s = live_first(k); s != NULL; s = s->all_next)
		if (!s->side && !s->ended && strcmp(s->principal.token, t->id) == 0)
			live_kill(k, s, SP_END_REVOKED, "its ticket was ended");
}

void
ticket_heard(struct keeper *k, const char *id)
{
	struct ticket t;
	struct arena *a = arena_new(256u << 10);
	if (a != NULL && ticket_get(k, a, id, &t) == SP_OK && t.state != TICKET_LIVE)
		kill_sessions(k, &t);
	arena_free(&a);
}

bool
ticket_end(struct keeper *k, const struct ticket *t, const char *text)
{
	struct field next[T_MAC + 1];
	memcpy(next, t->column, sizeof(next));
	next[T_STATE].q = TICKET_ENDED;
	next[T_TEXT] = (struct field)Z(text);
	if (t->state != TICKET_LIVE || !change(k, STORE_TICKET_CHANGE, t, next))
		return false;
	audit(k, "ticket ended", about(t->id, &t->who, t->target, text));
	kill_sessions(k, t);
	return true;
}

/* Some of them, behind the one of that id; its last one's is there then.  False: there are no more. */
static bool
end_some(struct keeper *k, const char *parent, char behind[ROW_ID], const char *text)
{
	struct walk *w = mem_alloc(sizeof(*w));
	const struct field args[] = { Z(parent), Z(behind) };
	w->k = k;
	w->arena = arena_new(LIST_ARENA);
	if (w->arena == NULL || store_read(k->store, STORE_TICKET_OF, args, take_walk, w) != SP_OK)
		log_error("the tickets of a sign-in that has ended could not be ended: %s", text);
	else
		for (size_t i = 0; i < w->n; i++)
			(void)ticket_end(k, &w->list[i], text);
	bool more = (w->full || w->read == LIST_MAX) && strcmp(w->last, behind) != 0;
	(void)snprintf(behind, ROW_ID, "%s", w->last);
	arena_free(&w->arena);
	free(w);
	return more;
}

void
ticket_end_of(struct keeper *k, const char *parent, const char *text)
{
	char behind[ROW_ID] = "";
	while (end_some(k, parent, behind, text))
		;
}
