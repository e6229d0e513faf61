/* SPDX-License-Identifier: Apache-2.0 */
/* Holding, voting, deciding, expiring. */
#include <config.h>

#include "approval.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "grant.h"
#include "webhook.h"
#include "metrics.h"
#include "row.h"

#define WAITING_MAX 50       /* of one principal (AP9) */
#define WAITING_ALL_MAX 2000 /* of all together */
#define WAITING_SIZE (4u << 20) /* letters that they show: the last one may be beyond */
#define WAITING_ALL_SIZE (64u << 20)
#define WITHIN_MAX (7ull * 24 * 3600 * 1000)
#define COUNT_MAX 16
#define NEXT_RUN_US (600ull * 1000000) /* an approved next run may come within ten minutes */
#define VIEW_MAX (2u << 20)
#define SHORT_HASH 12
#define ESTIMATE_MAX 300
#define LATELY 256u
#define SHOWN 1024u
#define LIST_ARENA (8u << 20)
#define VOTES_ARENA (256u << 10)

enum { F_SESSION, F_OP, F_HASH, F_RULE, F_RULE_HASH, F_BY, F_COUNT, F_WITHIN, F_NEXT_RUN, F_VIEW, F_REASON, F_NO_WAIT, F_SPONSOR };

static const char *const state_names[] = {
	[APPROVAL_WAITING] = "waiting", [APPROVAL_APPROVED] = "approved", [APPROVAL_DENIED] = "denied", [APPROVAL_EXPIRED] = "expired",
	[APPROVAL_WITHDRAWN] = "withdrawn", [APPROVAL_USED] = "used", [APPROVAL_GRANTED] = "approved",
};
_Static_assert(sizeof(state_names) / sizeof(*state_names) == APPROVAL_STATES, "every state has a name");

static const char *const kind_names[] = {
	[APPROVAL_OPERATION] = "operation", [APPROVAL_GRANT] = "grant", [APPROVAL_FILE] = "file", [APPROVAL_INCIDENT] = "incident",
};
_Static_assert(sizeof(kind_names) / sizeof(*kind_names) == APPROVAL_KINDS, "every kind has a name");

const char *
approval_kind_name(unsigned kind)
{
	return kind < APPROVAL_KINDS ? kind_names[kind] : "?";
}

const char *
approval_state_name(unsigned state)
{
	return state < APPROVAL_STATES ? state_names[state] : "?";
}

/* ---- rows ---- */

static bool
copy(uint8_t *into, size_t n, struct sp_bytes from)
{
	if (from.len == n)
		memcpy(into, from.p, n);
	return from.len == n;
}

static const char *
text_of(const struct approval *r, enum approval_column i)
{
	return (const char *)r->column[i].s.p;
}

static int
approval_load(struct arena *a, const struct field *row, struct approval *r)
{
	*r = (struct approval){ .op = (uint32_t)row[A_OP].q, .count = row[A_COUNT].q, .created = row[A_CREATED].q,
		.expires = row[A_EXPIRES].q, .next_run = row[A_NEXT_RUN].q == 1, .need_reason = row[A_NEED_REASON].q == 1,
		.state = row[A_STATE].q < APPROVAL_STATES ? (enum approval_state)row[A_STATE].q : APPROVAL_DENIED,
		.kind = row[A_KIND].q < APPROVAL_KINDS ? (enum approval_kind)row[A_KIND].q : APPROVAL_OPERATION,
		.decided = row[A_DECIDED].q, .span = row[A_SPAN].q, .spent = row[A_SPENT].q, .sponsor = row[A_SPONSOR].q == 1 };
	if (row_copy(a, APPROVAL_MARKED "b", row, r->column) != SP_OK)
		return SP_ENOMEM;
	r->id = text_of(r, A_ID);
	r->rule = text_of(r, A_RULE);
	r->by = text_of(r, A_BY);
	r->view = text_of(r, A_VIEW);
	r->target = text_of(r, A_TARGET);
	r->text = text_of(r, A_TEXT);
	r->reason = text_of(r, A_REASON);
	if (!copy(r->session, ID_LEN, row[A_SESSION].s) || !copy(r->hash, DIGEST_LEN, row[A_HASH].s) ||
	    !copy(r->rule_hash, DIGEST_LEN, row[A_RULE_HASH].s))
		return SP_EPROTO;
	return principal_parse(a, row[A_PRINCIPAL].s, &r->who);
}

/* What has ended grants nothing, and may be of an older time. */
static bool
genuine(struct keeper *k, const struct field *row)
{
	uint64_t state = row[A_STATE].q;
	bool grants = state == APPROVAL_WAITING || state == APPROVAL_APPROVED || state == APPROVAL_GRANTED;
	return !grants || row_good(&k->keys, "approval", APPROVAL_MARKED, row, row[A_MAC].s);
}

struct one {
	struct keeper *k;
	struct arena *arena;
	struct approval *a;
	bool found;
};

static int
take_one(void *owner, const struct field *row)
{
	struct one *o = owner;
	if (!genuine(o->k, row))
		return SP_OK;
	o->found = true;
	return approval_load(o->arena, row, o->a);
}

/* 1 found, 0 none. */
static int
find(struct keeper *k, struct arena *arena, enum store_statement which, const struct field *args, struct approval *a_r)
{
	struct one o = { k, arena, a_r, false };
	int rc = store_read(k->store, which, args, take_one, &o);
	return rc == SP_OK ? o.found : rc;
}

struct prefix {
	char id[ID_TEXT];
	unsigned n;
};

static int
take_prefix(void *owner, const struct field *row)
{
	struct prefix *p = owner;
	p->n++;
	(void)snprintf(p->id, sizeof(p->id), "%.*s", (int)row[0].s.len, (const char *)row[0].s.p);
	return SP_OK;
}

int
approval_get(struct keeper *k, struct arena *a, const char *id, struct approval *a_r)
{
	char last[ID_TEXT + 1];
	struct prefix p = { .n = 0 };
	size_t n = strlen(id);
	if (n < 4 || n >= ID_TEXT || strspn(id, "0123456789abcdefghjkmnpqrstvwxyz") != n)
		return SP_EPROTO;
	(void)snprintf(last, sizeof(last), "%s~", id);
	const struct field range[] = { Z(id), Z(last) };
	int rc = store_read(k->store, STORE_APPROVAL_PREFIX, range, take_prefix, &p);
	if (rc != SP_OK || p.n != 1)
		return rc != SP_OK ? rc : p.n > 1 ? SP_ETOOBIG : SP_EPROTO;
	const struct field args[] = { Z(p.id) };
	rc = find(k, a, STORE_APPROVAL_GET, args, a_r);
	return rc == 1 ? SP_OK : rc == 0 ? SP_EPROTO : rc;
}

struct walk {
	struct keeper *k;
	struct arena *arena;
	struct approval *list;
	size_t n, cap;
};

static int
take_each(void *owner, const struct field *row)
{
	struct walk *w = owner;
	if (!genuine(w->k, row))
		return SP_OK;
	if (w->n == w->cap) {
		size_t cap = w->cap == 0 ? 32 : 2 * w->cap;
		struct approval *list = mem_alloc(cap * sizeof(*list));
		if (w->n > 0)
			memcpy(list, w->list, w->n * sizeof(*list));
		free(w->list);
		w->list = list;
		w->cap = cap;
	}
	int rc = approval_load(w->arena, row, &w->list[w->n]);
	w->n += rc == SP_OK;
	/* Beyond the arena the rest is left for the next time. */
	return rc == SP_ENOMEM && w->n > 0 ? SP_OK : rc;
}

/* Collected first: what is called for each may write. */
static int
for_each(struct keeper *k, enum store_statement which, const struct field *args, int (*each)(void *owner, const struct approval *a),
    void *owner)
{
	struct walk w = { .k = k, .arena = arena_new(LIST_ARENA) };
	int rc = w.arena == NULL ? SP_ENOMEM : store_read(k->store, which, args, take_each, &w);
	for (size_t i = 0; rc == SP_OK && i < w.n; i++)
		rc = each(owner, &w.list[i]);
	free(w.list);
	arena_free(&w.arena);
	return rc;
}

struct listing {
	struct keeper *k;
	int (*each)(void *owner, const struct approval *a);
	void *owner;
};

static int
list_one(void *owner, const struct field *row)
{
	const struct listing *l = owner;
	struct approval a;
	if (!genuine(l->k, row))
		return SP_OK;
	struct arena *arena = arena_new(LIST_ARENA);
	int rc = arena == NULL ? SP_ENOMEM : approval_load(arena, row, &a);
	if (rc == SP_OK)
		rc = l->each(l->owner, &a);
	arena_free(&arena);
	return rc;
}

/* One after the other: how much one of them shows takes no other's room. */
int
approval_list(struct keeper *k, int state, uint64_t limit, int (*each)(void *owner, const struct approval *a), void *owner)
{
	struct listing l = { k, each, owner };
	const struct field args[] = { Q((int64_t)state), Q(limit) };
	return store_read(k->store, STORE_APPROVAL_LIST, args, list_one, &l);
}

/* ---- votes ---- */

struct votes {
	struct keeper *k;
	struct arena *arena;
	json_t *list;
	struct principal counted[COUNT_MAX];
	uint64_t allow;
	bool no;           /* somebody said it */
};

static const char *
text_in(struct arena *a, const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	const char *copied = text == NULL ? NULL : arena_string(a, sp_str(text));
	return copied == NULL ? "" : copied;
}

/* As much of a voter as a vote remembers, in the arena. */
static struct principal
voter_of(struct arena *a, const json_t *by, struct sp_bytes person)
{
	const char *who = arena_string(a, person), *issuer = text_in(a, by, "issuer");
	return (struct principal){ .user = text_in(a, by, "user"), .name = text_in(a, by, "name"), .issuer = issuer,
		.subject = text_in(a, by, "subject"), .person = who == NULL ? "" : who, .identity = issuer };
}

/* Two rows may be one person's: by two ways, at two gateways, in one moment. */
static bool
counts(struct votes *v, const struct principal *p, uint64_t at)
{
	if (v->allow == COUNT_MAX || p->person[0] == '\0' || identity_revoked(v->k->store, p, at))
		return false; /* who was revoked since then does not count any more */
	for (uint64_t i = 0; i < v->allow; i++)
		if (identity_same(&v->counted[i], p))
			return false;
	v->counted[v->allow] = *p;
	return true;
}

static int
take_vote(void *owner, const struct field *row)
{
	struct votes *v = owner;
	char when[32];
	if (!row_good(&v->k->keys, "vote", VOTE_MARKED, row, row[V_MAC].s))
		return SP_OK;
	json_t *by = json_loadb((const char *)row[V_BY].s.p, row[V_BY].s.len, 0, NULL);
	if (by == NULL)
		return SP_EPROTO;
	const struct principal p = voter_of(v->arena, by, row[V_PERSON].s);
	v->allow += row[V_ALLOW].q == 1 && counts(v, &p, row[V_AT].q);
	v->no = v->no || row[V_ALLOW].q != 1;
	(void)json_object_del(by, "subject"); /* nobody's business */
	(void)json_object_set_new(by, "allow", json_boolean(row[V_ALLOW].q == 1));
	(void)json_object_set_new(by, "comment", json_stringn((const char *)row[V_REASON].s.p, row[V_REASON].s.len));
	(void)json_object_set_new(by, "at", json_string(clock_format(row[V_AT].q, when)));
	return json_array_append_new(v->list, by) == 0 ? SP_OK : SP_ENOMEM;
}

/* The list is the caller's. */
static struct votes
votes_on(struct keeper *k, const struct approval *a)
{
	struct votes v = { .k = k, .list = json_array(), .arena = arena_new(VOTES_ARENA) };
	const struct field args[] = { Z(a->id) };
	if (v.arena == NULL || store_read(k->store, STORE_VOTES, args, take_vote, &v) != SP_OK) {
		log_error("the votes on request %s cannot be read", a->id);
		v.allow = 0;
	}
	arena_free(&v.arena);
	return v;
}

json_t *
approval_votes(struct keeper *k, const struct approval *a, uint64_t *allow_r)
{
	struct votes v = votes_on(k, a);
	*allow_r = v.allow;
	return v.list;
}

struct voting {
	struct arena *arena;
	const struct principal *p;
	bool before;
};

static int
take_voter(void *owner, const struct field *row)
{
	struct voting *v = owner;
	json_t *by = json_loadb((const char *)row[V_BY].s.p, row[V_BY].s.len, 0, NULL);
	const struct principal voter = voter_of(v->arena, by, row[V_PERSON].s);
	v->before = v->before || by == NULL || voter.person[0] == '\0' || identity_same(&voter, v->p);
	json_decref(by);
	return SP_OK;
}

/* Also by another way: with a token, and at the control socket.  What cannot be read counts as a yes. */
static bool
voted_before(struct keeper *k, const struct approval *a, const struct principal *p)
{
	struct voting v = { arena_new(VOTES_ARENA), p, false };
	const struct field args[] = { Z(a->id) };
	bool before = v.arena == NULL || store_read(k->store, STORE_VOTES, args, take_voter, &v) != SP_OK || v.before;
	arena_free(&v.arena);
	return before;
}

/* ---- telling the worker ---- */

static void
tell(struct keeper *k, const struct approval *a, bool allow, const char *text)
{
	struct live *s = live_find(k, (struct sp_bytes){ a->session, ID_LEN });
	uint64_t votes;
	if (s == NULL)
		return; /* told when its worker announces it */
	json_t *by = approval_votes(k, a, &votes);
	char *json = json_dumps(by, JSON_COMPACT);
	const struct message m = { .type = MSG_DECISION, .f = { S(((struct sp_bytes){ a->session, ID_LEN })), Q(a->op), Z(a->id), Q(allow),
		Z(json == NULL ? "[]" : json), Z(text), S(((struct sp_bytes){ a->hash, DIGEST_LEN })) } };
	reply(k, s->worker->link, &m);
	free(json);
	json_decref(by);
}

static json_t *
about(const struct approval *a, const char *text)
{
	char hash[2 * DIGEST_LEN + 1], session[ID_TEXT];
	text_hex((struct sp_bytes){ a->hash, DIGEST_LEN }, hash);
	return json_pack("{s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s}", "request", a->id, "session", id_format(a->session, session), "op",
	    (json_int_t)a->op, "user", a->who.user, "target", a->target, "rule", a->rule, "hash", hash, "text", text, "kind", approval_kind_name(a->kind));
}

/* The row as it will be. */
static bool
change(struct keeper *k, const struct approval *a, struct field next[A_MAC + 1], uint64_t now)
{
	uint8_t mac[DIGEST_LEN];
	bool keeps = next[A_STATE].q == APPROVAL_WAITING || next[A_STATE].q == APPROVAL_APPROVED;
	/* A decision must come in time; an end comes whenever it comes. */
	bool ends = next[A_STATE].q == APPROVAL_EXPIRED || next[A_STATE].q == APPROVAL_WITHDRAWN;
	if (!keeps)
		next[A_VIEW] = (struct field)Z("{}");
	row_mac(&k->keys, "approval", APPROVAL_MARKED, next, mac);
	const struct field args[] = { next[A_SESSION], next[A_VIEW], next[A_EXPIRES], next[A_STATE], next[A_DECIDED], next[A_TEXT],
		next[A_SPENT], S(((struct sp_bytes){ mac, sizeof(mac) })), Z(a->id), Q(a->state), a->column[A_MAC], Q(ends ? 0 : now) };
	return keeper_write(k, STORE_APPROVAL_STATE, args) == 1;
}

bool
approval_enter(struct keeper *k, const struct approval *a, enum approval_state to, uint64_t expires, const char *text)
{
	static const char *const events[] = { [APPROVAL_WAITING] = "held", [APPROVAL_APPROVED] = "approved", [APPROVAL_DENIED] = "denied",
		[APPROVAL_EXPIRED] = "expired", [APPROVAL_WITHDRAWN] = "withdrawn", [APPROVAL_USED] = "used", [APPROVAL_GRANTED] = "approved" };
	uint64_t now = clock_wall_us();
	struct field next[A_MAC + 1];
	memcpy(next, a->column, sizeof(next));
	next[A_STATE].q = to;
	next[A_DECIDED].q = now;
	next[A_EXPIRES].q = expires;
	next[A_TEXT] = (struct field)Z(text);
	if (!change(k, a, next, now))
		return false;
	audit(k, events[to], about(a, text));
	if (a->state == APPROVAL_WAITING)
		webhook_event(k, events[to], a);
	return true;
}

/* ---- holding ---- */

struct waiting {
	uint64_t n, size; /* size: of all that is shown of them */
};

static int
take_waiting(void *owner, const struct field *row)
{
	*(struct waiting *)owner = (struct waiting){ row[0].q, row[1].q };
	return SP_OK;
}

static bool
waiting_reach(struct keeper *k, const char *issuer, const char *subject, struct waiting most)
{
	struct waiting now = { 0, 0 };
	const struct field args[] = { Z(issuer), Z(subject) };
	return store_read(k->store, STORE_APPROVAL_PENDING, args, take_waiting, &now) != SP_OK || now.n >= most.n || now.size >= most.size;
}

/* AP9: one can't crowd out the others, and all together not the approvers. */
static const char *
too_many(struct keeper *k, const struct principal *p)
{
	if (waiting_reach(k, p->issuer, p->subject, (struct waiting){ WAITING_MAX, WAITING_SIZE }))
		return "too many of your requests are waiting";
	return waiting_reach(k, "", "", (struct waiting){ WAITING_ALL_MAX, WAITING_ALL_SIZE }) ?
	    "too many requests of everybody are waiting: try again later" : NULL;
}

static const char *
odd_hold(struct keeper *k, const struct live *s, const struct message *m)
{
	json_t *view = m->f[F_VIEW].s.len > VIEW_MAX ? NULL : json_loadb((const char *)m->f[F_VIEW].s.p, m->f[F_VIEW].s.len,
	    JSON_REJECT_DUPLICATES, NULL);
	bool shown = json_is_object(view);
	json_decref(view);
	if (!shown)
		return "an approver could not be shown all of it";
	if (m->f[F_BY].s.len == 0 && m->f[F_SPONSOR].q == 1 && s->principal.sponsor[0] == '\0')
		return "the rule leaves it to the agent's sponsor, and this is no agent, or has none";
	if ((m->f[F_BY].s.len == 0 && m->f[F_SPONSOR].q != 1) || m->f[F_COUNT].q < 1 || m->f[F_COUNT].q > COUNT_MAX || m->f[F_WITHIN].q < 1 ||
	    m->f[F_WITHIN].q > WITHIN_MAX)
		return "the rule does not say who may approve it, how many, or for how long it waits";
	return too_many(k, &s->principal);
}

/* Which worker was told lately that a request of its waits: it, and nobody else, may say what the planner expects. */
static struct {
	char id[ID_TEXT];
	const struct link *l;
} lately[LATELY];

static void
remember(const struct link *l, const char *id)
{
	static size_t next;
	(void)snprintf(lately[next % LATELY].id, ID_TEXT, "%s", id);
	lately[next++ % LATELY].l = l;
}

static bool
held_lately(const struct link *l, const char *id)
{
	for (size_t i = 0; i < LATELY; i++)
		if (lately[i].l == l && strcmp(lately[i].id, id) == 0)
			return true;
	return false;
}

static void
tell_held(struct keeper *k, struct link *l, const struct message *m, const struct approval *a)
{
	remember(l, a->id);
	char hash[2 * DIGEST_LEN + 1], text[512];
	const char *by = a->by[0] == '\0' ? "the agent's sponsor" : a->by;
	text_hex((struct sp_bytes){ a->hash, DIGEST_LEN }, hash);
	hash[SHORT_HASH] = '\0';
	if (a->next_run)
		(void)snprintf(text, sizeof(text), "request %s (%s) waits for %s%s; once approved, run the same again within 10 minutes", a->id,
		    hash, by, a->count > 1 ? ", more than one person" : "");
	else
		(void)snprintf(text, sizeof(text), "request %s (%s) waits for %s%s", a->id, hash, by,
		    a->count > 1 ? ", more than one person" : "");
	const struct message held = { .type = MSG_HELD, .id = m->id, .f = { m->f[F_SESSION], m->f[F_OP], Z(a->id), Z(hash), Z(text) } };
	reply(k, l, &held);
}

/* An operation that asks again, after one of us was started anew, or a next run. */
static bool
known(struct keeper *k, struct link *l, struct live *s, const struct message *m)
{
	struct approval a;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct principal *p = &s->principal;
	const struct field again[] = { m->f[F_SESSION], m->f[F_OP], m->f[F_HASH], m->f[F_RULE_HASH] };
	const struct field run[] = { m->f[F_HASH], m->f[F_RULE_HASH], Z(p->issuer), Z(p->subject), Z(s->target), Q(clock_wall_us()) };
	bool next_run = m->f[F_NEXT_RUN].q == 1, done = false;
	int rc = arena == NULL ? 0 : find(k, arena, next_run ? STORE_APPROVAL_OF_RUN : STORE_APPROVAL_OF_OP, next_run ? run : again, &a);
	if (rc == 1 && a.state == APPROVAL_WAITING) {
		tell_held(k, l, m, &a);
		done = true;
	} else if (rc == 1 && a.state == APPROVAL_APPROVED) {
		memcpy(a.session, s->id, ID_LEN);
		a.op = (uint32_t)m->f[F_OP].q;
		done = approval_enter(k, &a, APPROVAL_USED, a.expires, a.text);
		if (done)
			tell(k, &a, true, a.text);
	} else if (rc == 1 && a.state == APPROVAL_GRANTED) {
		tell(k, &a, true, a.text);
		done = true;
	}
	arena_free(&arena);
	return done;
}

int
approval_files(struct keeper *k, const struct live *s, int (*each)(void *owner, const struct approval *a), void *owner)
{
	const struct principal *p = &s->principal;
	const struct field args[] = { Z(p->issuer), Z(p->subject), Z(s->target), Q(clock_wall_us()) };
	return for_each(k, STORE_APPROVAL_FILES, args, each, owner);
}

/* It goes on behind that, in this session and in no other. */
static bool
file_moves(struct keeper *k, const struct approval *a, const struct live *s, size_t next, bool over)
{
	struct field row[A_MAC + 1];
	if (!over && a->spent == next)
		return true; /* by the rule before this one */
	memcpy(row, a->column, sizeof(row));
	row[A_SESSION].s = (struct sp_bytes){ s->id, ID_LEN };
	row[A_SPENT].q = next;
	row[A_STATE].q = over ? APPROVAL_USED : APPROVAL_APPROVED;
	if (!change(k, a, row, clock_wall_us()))
		return false;
	audit(k, over ? "used" : "file run", about(a, a->text));
	return true;
}

void
approval_file_over(struct keeper *k, const struct live *s, const struct file_run *r)
{
	struct approval a;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct field args[] = { Z(r->id) };
	if (arena != NULL && find(k, arena, STORE_APPROVAL_GET, args, &a) == 1 && memcmp(a.session, s->id, ID_LEN) == 0 &&
	    a.state == APPROVAL_APPROVED)
		(void)file_moves(k, &a, s, r->at, true);
	arena_free(&arena);
}

void
approval_file_ended(struct keeper *k, const struct live *s, const struct file_run *r)
{
	struct approval a;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct field args[] = { Z(r->id) };
	static const char why[] = "something that is not of the file rolled back, failed, or changed what names mean";
	if (arena != NULL && find(k, arena, STORE_APPROVAL_GET, args, &a) == 1 && memcmp(a.session, s->id, ID_LEN) == 0 &&
	    a.state == APPROVAL_APPROVED)
		(void)approval_enter(k, &a, APPROVAL_WITHDRAWN, a.expires, why);
	arena_free(&arena);
	log_info("session %s: the approved file %s is over: %s", s->name, r->id, why);
}

static bool
spend(struct keeper *k, struct live *s, const struct message *m, struct file_run *r, const json_t *asked)
{
	size_t next;
	struct approval a;
	if (!file_is_next(r, m->f[F_OP].q, asked, &next))
		return false;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct field args[] = { Z(r->id) };
	const struct file_ask ask = { m->f[F_BY].s, m->f[F_COUNT].q, m->f[F_REASON].q == 1, asked };
	bool done = arena != NULL && find(k, arena, STORE_APPROVAL_GET, args, &a) == 1 && file_covers(k, &a, s, &ask) &&
	    file_moves(k, &a, s, next, false);
	if (done) {
		file_moved(r, m->f[F_OP].q, next);
		file_first(s, r);
		/* The answer is for the operation, not for the file. */
		memcpy(a.session, s->id, ID_LEN);
		memcpy(a.hash, m->f[F_HASH].s.p, DIGEST_LEN);
		a.op = (uint32_t)m->f[F_OP].q;
		tell(k, &a, true, a.text);
	}
	arena_free(&arena);
	return done;
}

static bool
of_file(struct keeper *k, struct live *s, const struct message *m)
{
	bool done = false;
	json_t *asked = s->files == NULL ? NULL : json_loadb((const char *)m->f[F_VIEW].s.p, m->f[F_VIEW].s.len, JSON_REJECT_DUPLICATES, NULL);
	for (struct file_run *r = s->files; r != NULL && asked != NULL && !done; r = r->next)
		done = spend(k, s, m, r, asked);
	json_decref(asked);
	return done;
}

static void
answer_no(struct keeper *k, struct link *l, const struct message *m, const char *why)
{
	const struct message no = { .type = MSG_DECISION, .id = m->id, .f = { m->f[F_SESSION], m->f[F_OP], Z(""), Q(0), Z("[]"), Z(why),
	    m->f[F_HASH] } };
	reply(k, l, &no);
}

/* Who broke the glass waits for nobody: that it was so is recorded and audited, and an incident stands open. */
static bool
behind_glass(struct keeper *k, struct link *l, const struct live *s, const struct message *m)
{
	struct grant_now now;
	char text[128], by[256];
	if (!grant_current(k, &s->principal, s->target, &now) || now.glass[0] == '\0')
		return false;
	(void)snprintf(text, sizeof(text), "break-glass %s", now.glass);
	(void)snprintf(by, sizeof(by), "[{\"user\":\"(break-glass %s)\",\"allow\":true}]", now.glass);
	const struct message yes = { .type = MSG_DECISION, .id = m->id, .f = { m->f[F_SESSION], m->f[F_OP], Z(now.glass), Q(1), Z(by), Z(text),
	    m->f[F_HASH] } };
	char *rule = mem_string(m->f[F_RULE].s);
	audit(k, "break-glass run", json_pack("{s:s,s:s,s:I,s:s,s:s,s:s}", "grant", now.glass, "session", s->name, "op",
	    (json_int_t)m->f[F_OP].q, "user", s->principal.user, "target", s->target, "rule", rule));
	free(rule);
	reply(k, l, &yes);
	return true;
}

/* Everything of `a` but what is only decided later; who_json stands for who. */
static bool
store_new(struct keeper *k, const struct approval *a, const char *who_json)
{
	uint8_t mac[DIGEST_LEN];
	const struct principal *p = &a->who;
	const struct field row[A_MAC + 1] = {
		[A_ID] = Z(a->id), [A_SESSION] = S(((struct sp_bytes){ a->session, ID_LEN })), [A_OP] = Q(a->op),
		[A_HASH] = S(((struct sp_bytes){ a->hash, DIGEST_LEN })), [A_RULE] = Z(a->rule),
		[A_RULE_HASH] = S(((struct sp_bytes){ a->rule_hash, DIGEST_LEN })), [A_BY] = Z(a->by), [A_COUNT] = Q(a->count),
		[A_CREATED] = Q(a->created), [A_EXPIRES] = Q(a->expires), [A_NEXT_RUN] = Q(a->next_run), [A_VIEW] = Z(a->view),
		[A_NEED_REASON] = Q(a->need_reason), [A_PRINCIPAL] = Z(who_json), [A_ISSUER] = Z(p->issuer), [A_SUBJECT] = Z(p->subject),
		[A_PERSON] = Z(p->person), [A_USER] = Z(p->user), [A_TARGET] = Z(a->target), [A_STATE] = Q(APPROVAL_WAITING),
		[A_TEXT] = Z(""), [A_KIND] = Q(a->kind), [A_SPAN] = Q(a->span), [A_REASON] = Z(a->reason),
		[A_SPONSOR] = Q(a->sponsor),
		[A_MAC] = S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "approval", APPROVAL_MARKED, row, mac);
	return keeper_write(k, STORE_APPROVAL_ADD, row) == 1;
}

static int
add(struct keeper *k, struct link *l, const struct live *s, const struct message *m)
{
	uint8_t id[ID_LEN];
	char text[ID_TEXT];
	uint64_t now = clock_wall_us();
	id_new(id);
	struct approval a = { .id = id_format(id, text), .op = (uint32_t)m->f[F_OP].q, .by = arena_string(s->arena, m->f[F_BY].s),
		.rule = arena_string(s->arena, m->f[F_RULE].s), .count = m->f[F_COUNT].q, .next_run = m->f[F_NEXT_RUN].q == 1,
		.who = s->principal, .target = s->target, .created = now, .expires = now + m->f[F_WITHIN].q * 1000, .reason = "",
		.need_reason = m->f[F_REASON].q == 1, .sponsor = m->f[F_SPONSOR].q == 1 };
	char *view = mem_string(m->f[F_VIEW].s);
	a.view = view;
	memcpy(a.session, s->id, ID_LEN);
	memcpy(a.hash, m->f[F_HASH].s.p, DIGEST_LEN);
	memcpy(a.rule_hash, m->f[F_RULE_HASH].s.p, DIGEST_LEN);
	bool stored = a.by != NULL && a.rule != NULL && store_new(k, &a, s->principal_json);
	if (stored)
		webhook_event(k, "asked", &a);
	free(view);
	if (!stored)
		return SP_EIO;
	audit(k, "held", about(&a, ""));
	log_info("session %s: operation %u of %s waits for %s, request %s", s->name, a.op, log_quote(sp_str(a.who.user)),
	    log_quote(m->f[F_BY].s), a.id);
	tell_held(k, l, m, &a);
	return SP_OK;
}

const char *
approval_ask(struct keeper *k, struct approval *a, char id_r[ID_TEXT])
{
	uint8_t id[ID_LEN];
	struct buffer who = { 0 };
	const char *why = a->kind == APPROVAL_INCIDENT ? NULL : too_many(k, &a->who);
	id_r[0] = '\0';
	if (why != NULL)
		return why;
	id_new(id);
	a->id = id_format(id, id_r);
	a->created = clock_wall_us();
	a->next_run = true; /* no session waits for it */
	int rc = principal_print(&a->who, &who);
	char *who_json = mem_string(buffer_bytes(&who));
	buffer_free(&who);
	bool stored = rc == SP_OK && store_new(k, a, who_json);
	free(who_json);
	if (!stored)
		return "the request could not be stored";
	audit(k, "asked", about(a, a->reason));
	webhook_event(k, a->kind == APPROVAL_INCIDENT ? "break-glass" : "asked", a);
	log_info("%s asks for %s: request %s", log_quote(sp_str(a->who.user)), approval_kind_name(a->kind), a->id);
	return NULL;
}

static const char no_wait[] = "its transaction has written, and others would wait for it as long as it waits for a person: "
			      "ask before anything is written (or `in_transaction = true` in the rule)";

int
approval_hold(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[F_SESSION].s, l);
	if (m->f[F_HASH].s.len != DIGEST_LEN || m->f[F_RULE_HASH].s.len != DIGEST_LEN || m->f[F_OP].q > UINT32_MAX)
		return SP_EPROTO;
	if (s == NULL || s->side || !live_may(s)) {
		answer_no(k, l, m, s == NULL || s->side ? "the keeper does not know this session" : "the session has to end");
		return SP_OK;
	}
	/* A file first: the same may wait already, since it was tried before the file was approved. */
	if (of_file(k, s, m) || known(k, l, s, m) || behind_glass(k, l, s, m))
		return SP_OK;
	const char *why = m->f[F_NO_WAIT].q == 1 && m->f[F_NEXT_RUN].q != 1 ? no_wait : odd_hold(k, s, m);
	if (why == NULL && add(k, l, s, m) != SP_OK)
		why = "the request could not be stored";
	if (why != NULL)
		answer_no(k, l, m, why);
	return SP_OK;
}

/* ---- what the planner expects ---- */

struct estimate {
	struct keeper *k;
	json_t *text;
};

static int
take_estimate(void *owner, const struct field *row)
{
	struct estimate *e = owner;
	if (row_good(&e->k->keys, "estimate", ESTIMATE_MARKED, row, row[2].s))
		e->text = json_stringn((const char *)row[1].s.p, row[1].s.len);
	return SP_OK;
}

json_t *
approval_estimated(struct keeper *k, const struct approval *a)
{
	struct estimate e = { k, NULL };
	const struct field args[] = { Z(a->id) };
	if (a->kind != APPROVAL_OPERATION || store_read(k->store, STORE_ESTIMATE_GET, args, take_estimate, &e) != SP_OK)
		return NULL;
	return e.text;
}

static bool
is_plain(struct sp_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < ' ' || text.p[i] > '~')
			return false;
	return text.len > 0 && text.len <= ESTIMATE_MAX;
}

int
approval_estimate(struct keeper *k, struct link *l, struct message *m)
{
	struct approval a;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct field args[] = { m->f[0] };
	bool known = arena != NULL && is_plain(m->f[1].s) && find(k, arena, STORE_APPROVAL_GET, args, &a) == 1 && a.state == APPROVAL_WAITING;
	/* Its session may be gone, when it is for a next run. */
	if (known && held_lately(l, a.id)) {
		uint8_t mac[DIGEST_LEN];
		const struct field row[] = { m->f[0], m->f[1], S(((struct sp_bytes){ mac, sizeof(mac) })) };
		row_mac(&k->keys, "estimate", ESTIMATE_MARKED, row, mac);
		if (keeper_write(k, STORE_ESTIMATE_KEEP, row) != 1)
			log_warn("the estimate for request %s could not be stored", a.id);
	}
	arena_free(&arena);
	return SP_OK;
}

/* ---- ends that nobody decides ---- */

struct ending {
	struct keeper *k;
	uint64_t op; /* only this operation, or all: UINT64_MAX */
	const char *why;
};

static int
withdraw_one(void *owner, const struct approval *a)
{
	const struct ending *e = owner;
	if (e->op == UINT64_MAX || e->op == a->op)
		(void)approval_enter(e->k, a, APPROVAL_WITHDRAWN, a->expires, e->why);
	return SP_OK;
}

static void
withdraw(struct keeper *k, struct sp_bytes session, uint64_t op, const char *why)
{
	struct ending e = { k, op, why };
	char name[ID_TEXT];
	const struct field args[] = { S(session), Q(APPROVAL_WAITING) }, begun[] = { S(session), Q(APPROVAL_APPROVED) };
	int rc = for_each(k, STORE_APPROVAL_OF_SESSION, args, withdraw_one, &e);
	if (rc == SP_OK && op == UINT64_MAX) /* a file that was begun there ends there */
		rc = for_each(k, STORE_APPROVAL_OF_SESSION, begun, withdraw_one, &e);
	if (rc != SP_OK)
		log_error("the requests of session %s could not be withdrawn", id_format(session.p, name));
}

void
approval_withdraw_of(struct keeper *k, struct sp_bytes session, const char *why)
{
	withdraw(k, session, UINT64_MAX, why);
}

int
approval_withdraw(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	struct arena *a = arena_new(4096);
	const char *why = a == NULL ? NULL : arena_string(a, sp_str(log_quote(m->f[2].s)));
	if (s != NULL)
		withdraw(k, m->f[0].s, m->f[1].q, why == NULL ? "" : why);
	arena_free(&a);
	return SP_OK;
}

void
approval_withdraw_session(struct keeper *k, struct live *s, const char *why)
{
	if (!s->side)
		withdraw(k, (struct sp_bytes){ s->id, ID_LEN }, UINT64_MAX, why);
}

static int
resend_one(void *owner, const struct approval *a)
{
	if (a->kind == APPROVAL_OPERATION)
		tell(owner, a, a->state == APPROVAL_GRANTED, a->text);
	return SP_OK;
}

void
approval_resume(struct keeper *k, struct live *s)
{
	static const enum approval_state decided[] = { APPROVAL_GRANTED, APPROVAL_DENIED, APPROVAL_EXPIRED };
	for (size_t i = 0; i < sizeof(decided) / sizeof(*decided); i++) {
		const struct field args[] = { S(((struct sp_bytes){ s->id, ID_LEN })), Q(decided[i]) };
		if (for_each(k, STORE_APPROVAL_OF_SESSION, args, resend_one, k) != SP_OK)
			log_error("session %s could not be told what was decided on its requests", s->name);
	}
}

static int
expire_one(void *owner, const struct approval *a)
{
	struct keeper *k = owner;
	const char *why = "nobody decided in time";
	if (approval_enter(k, a, APPROVAL_EXPIRED, a->expires, why) && a->state == APPROVAL_WAITING && !a->next_run)
		tell(k, a, false, why);
	return SP_OK;
}

void
approval_tick(struct keeper *k)
{
	const struct field args[] = { Q(clock_wall_us()) };
	if (for_each(k, STORE_APPROVAL_DUE, args, expire_one, k) != SP_OK)
		log_error("requests that nobody decided could not be ended");
}

/* ---- deciding ---- */

bool
approval_visible(const struct approval *a, const struct verified *v)
{
	if ((v->may & (MAY_AUDIT | MAY_OPERATE)) != 0 || strings_have(&v->principal.groups, a->by) ||
	    (a->sponsor && identity_is_sponsor(&v->principal, &a->who)))
		return true;
	return strcmp(v->principal.issuer, a->who.issuer) == 0 && strcmp(v->principal.subject, a->who.subject) == 0;
}

/* By whatever name: a code remembers one of its maker's. */
static bool
made_its_code(const struct approval *a, const struct principal *p)
{
	const char *const names[] = { p->person, p->user, p->name, p->subject };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char text[512];
		const char *bare = names[i];
		/* At the control socket, and without it. */
		if (strcmp(p->identity, "unix") == 0 && strncmp(bare, "unix:", 5) == 0)
			bare += 5;
		int n = snprintf(text, sizeof(text), "unix:%s", bare);
		uint8_t by[2][DIGEST_LEN];
		grant_made_by(bare, by[0]);
		grant_made_by(text, by[1]);
		if (n < 0 || (size_t)n >= sizeof(text) || memcmp(by[0], a->rule_hash, DIGEST_LEN) == 0 || memcmp(by[1], a->rule_hash, DIGEST_LEN) == 0)
			return true;
	}
	return false;
}

const char *
approval_may_not(const struct approval *a, const struct verified *v)
{
	const struct principal *p = &v->principal;
	/* The operator of this host, where the conf says `control … may=approve`, stands for any group. */
	bool by_socket = strcmp(p->identity, "unix") == 0;
	if (strcmp(p->class, "human") != 0)
		return "only a person may decide";
	if ((v->may & MAY_APPROVE) == 0)
		return by_socket ? "accounts of the control socket decide only where the configuration says `control … may=approve`"
				 : "you are no approver at this gateway";
	if (p->person[0] == '\0')
		return "your identity does not say which person you are (`person claim=`), so you can't be counted";
	if (identity_same(p, &a->who))
		return "nobody decides on their own request";
	if (a->kind == APPROVAL_INCIDENT && made_its_code(a, p))
		return "you made the code by which it was opened: somebody else closes it";
	if (a->sponsor && identity_is_sponsor(p, &a->who))
		return NULL;
	if (identity_sponsors(p, &a->who))
		return "it is your agent's: somebody else decides, unless the rule says `sponsor = true` (of a grant: `access … sponsor`)";
	if (a->by[0] == '\0' || (!by_socket && !strings_have(&p->groups, a->by)))
		return "you are not in the group that the rule asks";
	return NULL;
}

bool
approval_hash_fits(const struct approval *a, const char *hash)
{
	char whole[2 * DIGEST_LEN + 1];
	size_t n = strlen(hash);
	text_hex((struct sp_bytes){ a->hash, DIGEST_LEN }, whole);
	return n == 0 || (n >= SHORT_HASH && n <= 2 * DIGEST_LEN && mem_equal((struct sp_bytes){ (const uint8_t *)whole, n }, (struct sp_bytes){ (const uint8_t *)hash, n }));
}

/* Who was shown what, by a digest of both; forgotten, it has to be looked at once more. */
static uint8_t shown[SHOWN][DIGEST_LEN];

static void
shown_key(const struct approval *a, const struct principal *p, uint8_t key[DIGEST_LEN])
{
	struct buffer text = { 0 };
	char hash[2 * DIGEST_LEN + 1];
	text_hex((struct sp_bytes){ a->hash, DIGEST_LEN }, hash);
	if (buffer_printf(&text, "%s\n%s\n%s", a->id, hash, p->person) != SP_OK || p->person[0] == '\0')
		random_bytes(key, DIGEST_LEN); /* nobody's */
	else
		digest_sha256(buffer_bytes(&text), key);
	buffer_free(&text);
}

void
approval_shown(const struct approval *a, const struct principal *p)
{
	static size_t next;
	if (!approval_was_shown(a, p))
		shown_key(a, p, shown[next++ % SHOWN]);
}

bool
approval_was_shown(const struct approval *a, const struct principal *p)
{
	uint8_t key[DIGEST_LEN];
	shown_key(a, p, key);
	for (size_t i = 0; i < SHOWN; i++)
		if (memcmp(shown[i], key, DIGEST_LEN) == 0)
			return true;
	return false;
}

static void
refuse(struct decision *d, unsigned status, const char *text)
{
	d->status = status;
	d->text = text;
}

/* False: this person has voted before. */
static bool
vote(struct keeper *k, const struct verified *v, const struct approval *a, const struct decision *d)
{
	const struct principal *p = &v->principal;
	json_t *by = json_pack("{s:s,s:s,s:s,s:s}", "user", p->user, "name", p->name, "issuer", p->issuer, "subject", p->subject);
	char *text = json_dumps(by, JSON_COMPACT);
	json_decref(by);
	uint8_t mac[DIGEST_LEN];
	struct field args[] = { Z(a->id), Z(p->person), Q(d->allow), Z(text == NULL ? "{}" : text), Z(d->comment), Q(clock_wall_us()),
		S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "vote", VOTE_MARKED, args, mac);
	long n = keeper_write(k, STORE_VOTE_ADD, args);
	free(text);
	return n == 1;
}

/* What somebody said yes to may have become impossible meanwhile. */
static const char *
overtaken(struct keeper *k, const struct approval *a)
{
	if (a->kind == APPROVAL_INCIDENT)
		return NULL;
	if (identity_revoked(k->store, &a->who, a->created))
		return "who asked was revoked since then: let them ask again";
	return a->kind == APPROVAL_GRANT ? grant_overtaken(k, a) : a->kind == APPROVAL_FILE ? file_overtaken(k, a) : NULL;
}

static enum approval_state
decided(const struct approval *a, bool allow)
{
	if (!allow)
		return APPROVAL_DENIED;
	return a->kind == APPROVAL_FILE || (a->kind == APPROVAL_OPERATION && a->next_run) ? APPROVAL_APPROVED : APPROVAL_GRANTED;
}

static void
decide(struct keeper *k, const struct approval *a, struct decision *d, const char *by)
{
	char text[512];
	uint64_t now = clock_wall_us();
	(void)snprintf(text, sizeof(text), "%s by %s%s%s", d->allow ? "approved" : "denied", by, d->comment[0] == '\0' ? "" : ": ",
	    d->comment);
	d->state = decided(a, d->allow);
	uint64_t until = d->state != APPROVAL_APPROVED ? a->expires : a->kind == APPROVAL_FILE ? now + a->span * 1000 : now + NEXT_RUN_US;
	if (!approval_enter(k, a, d->state, until, text)) {
		refuse(d, 409, "it was decided, withdrawn or expired a moment ago");
		return;
	}
	metrics_decided(k, now > a->created ? now - a->created : 0);
	if (a->kind == APPROVAL_GRANT && d->allow)
		grant_begin(k, a, text);
	else if (a->kind == APPROVAL_INCIDENT)
		grant_reviewed(k, a, d->allow, text);
	else if (!a->next_run)
		tell(k, a, d->allow, text);
}

/* Two who vote at two gateways in one moment each see one vote: who hears of the other's counts again. */
static void
recount(struct keeper *k, const struct approval *a)
{
	struct votes v = votes_on(k, a);
	size_t n = json_array_size(v.list);
	const char *by = json_string_value(json_object_get(json_array_get(v.list, n == 0 ? 0 : n - 1), "name"));
	struct decision d = { .allow = true, .comment = "" };
	if (!v.no && v.allow >= a->count && a->expires > clock_wall_us() && overtaken(k, a) == NULL)
		decide(k, a, &d, by == NULL ? "?" : by);
	json_decref(v.list);
}

void
approval_heard(struct keeper *k, const char *id)
{
	struct approval a;
	struct arena *arena = arena_new(LIST_ARENA);
	const struct field args[] = { Z(id) };
	if (arena == NULL || find(k, arena, STORE_APPROVAL_GET, args, &a) != 1)
		log_warn("request %s, of which another gateway told, cannot be read", log_quote(sp_str(id)));
	else if (a.state == APPROVAL_WAITING)
		recount(k, &a);
	else if (!a.next_run)
		(void)resend_one(k, &a);
	arena_free(&arena);
}

const char *
approval_may_not_now(struct keeper *k, const struct approval *a, const struct verified *v)
{
	const char *why = approval_may_not(a, v);
	if (why == NULL && (a->state != APPROVAL_WAITING || a->expires <= clock_wall_us()))
		why = "it does not wait for a decision any more";
	return why == NULL && voted_before(k, a, &v->principal) ? "you have decided: it waits for others" : why;
}

void
approval_decide(struct keeper *k, const struct verified *v, const struct approval *a, struct decision *d)
{
	const char *why = approval_may_not(a, v);
	*d = (struct decision){ .allow = d->allow, .comment = d->comment, .status = 200, .text = "", .state = a->state };
	if (why != NULL) {
		refuse(d, 403, why);
		return;
	}
	if (a->state != APPROVAL_WAITING || a->expires <= clock_wall_us()) {
		refuse(d, 409, "it does not wait for a decision any more");
		return;
	}
	if (a->need_reason && d->comment[0] == '\0') {
		refuse(d, 400, a->kind == APPROVAL_INCIDENT ? "an incident is closed with a comment" : "the rule wants a reason: give a comment");
		return;
	}
	why = d->allow ? overtaken(k, a) : NULL;
	if (why != NULL) {
		refuse(d, 409, why);
		return;
	}
	if (voted_before(k, a, &v->principal) || !vote(k, v, a, d)) {
		refuse(d, 409, "this person has voted before");
		return;
	}
	json_t *votes = approval_votes(k, a, &d->votes);
	json_decref(votes);
	audit(k, d->allow ? "vote for" : "vote against", json_pack("{s:s,s:s,s:s,s:s}", "request", a->id, "by", v->principal.user, "issuer",
	    v->principal.issuer, "comment", d->comment));
	if (!d->allow || d->votes >= a->count)
		decide(k, a, d, v->principal.name);
}
