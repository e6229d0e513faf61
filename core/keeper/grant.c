/* SPDX-License-Identifier: Apache-2.0 */
/* Beginning, ending and finding grants. */
#include <config.h>

#include "grant.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "approval.h"
#include "live.h"
#include "row.h"

#define LIST_ARENA (8u << 20)
#define INCIDENT_US (365ull * 24 * 3600 * 1000000) /* an incident waits until somebody closes it */

/* ---- rows ---- */

static const char *
text_of(const struct grant *g, enum grant_column i)
{
	return (const char *)g->column[i].s.p;
}

static int
grant_load(struct arena *a, const struct field *row, struct grant *g)
{
	*g = (struct grant){ .kind = row[G_KIND].q == GRANT_GLASS ? GRANT_GLASS : GRANT_ASKED,
		.state = row[G_STATE].q == GRANT_LIVE ? GRANT_LIVE : GRANT_ENDED, .since = row[G_SINCE].q, .until = row[G_UNTIL].q,
		.ended = row[G_ENDED].q };
	if (row_copy(a, GRANT_MARKED "b", row, g->column) != SP_OK)
		return SP_ENOMEM;
	g->id = text_of(g, G_ID);
	g->target = text_of(g, G_TARGET);
	g->reason = text_of(g, G_REASON);
	g->by = text_of(g, G_BY);
	g->text = text_of(g, G_TEXT);
	return principal_parse(a, row[G_PRINCIPAL].s, &g->who);
}

static bool
genuine(struct keeper *k, const struct field *row)
{
	return row_good(&k->keys, "grants", GRANT_MARKED, row, row[G_MAC].s);
}

struct current {
	struct keeper *k;
	struct grant_now *now;
};

static void
take_id(char to[ID_TEXT], struct sp_bytes id)
{
	(void)snprintf(to, ID_TEXT, "%.*s", (int)id.len, (const char *)id.p);
}

static int
take_current(void *owner, const struct field *row)
{
	struct current *c = owner;
	if (!genuine(c->k, row))
		return SP_OK;
	if (row[G_KIND].q == GRANT_GLASS)
		take_id(c->now->glass, row[G_ID].s);
	if (row[G_UNTIL].q <= c->now->until)
		return SP_OK;
	c->now->until = row[G_UNTIL].q;
	take_id(c->now->id, row[G_ID].s);
	return SP_OK;
}

bool
grant_current(struct keeper *k, const struct principal *p, const char *target, struct grant_now *now_r)
{
	struct current c = { k, now_r };
	const struct field args[] = { Z(p->issuer), Z(p->subject), Z(target), Q(clock_wall_us()) };
	*now_r = (struct grant_now){ .until = 0 };
	if (store_read(k->store, STORE_GRANT_OF, args, take_current, &c) != SP_OK)
		*now_r = (struct grant_now){ .until = 0 };
	return now_r->id[0] != '\0';
}

bool
grant_needed(const struct target *t)
{
	return t->access.mode == ACCESS_GRANT;
}

struct one {
	struct keeper *k;
	struct arena *arena;
	struct grant *g;
	bool found;
};

static int
take_one(void *owner, const struct field *row)
{
	struct one *o = owner;
	if (!genuine(o->k, row))
		return SP_OK;
	o->found = true;
	return grant_load(o->arena, row, o->g);
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
	take_id(p->id, row[0].s);
	return SP_OK;
}

int
grant_get(struct keeper *k, struct arena *a, const char *id, struct grant *g_r)
{
	char last[ID_TEXT + 1];
	struct prefix p = { .n = 0 };
	struct one o = { k, a, g_r, false };
	size_t n = strlen(id);
	if (n < 4 || n >= ID_TEXT || strspn(id, "0123456789abcdefghjkmnpqrstvwxyz") != n)
		return SP_EPROTO;
	(void)snprintf(last, sizeof(last), "%s~", id);
	const struct field range[] = { Z(id), Z(last) };
	int rc = store_read(k->store, STORE_GRANT_PREFIX, range, take_prefix, &p);
	if (rc != SP_OK || p.n != 1)
		return rc != SP_OK ? rc : p.n > 1 ? SP_ETOOBIG : SP_EPROTO;
	const struct field args[] = { Z(p.id) };
	rc = store_read(k->store, STORE_GRANT_GET, args, take_one, &o);
	return rc == SP_OK && !o.found ? SP_EPROTO : rc;
}

struct walk {
	struct keeper *k;
	struct arena *arena;
	struct grant list[100];
	size_t n;
	int (*each)(void *owner, const struct grant *g);
	void *owner;
};

static int
take_walk(void *owner, const struct field *row)
{
	struct walk *w = owner;
	if (w->n == sizeof(w->list) / sizeof(*w->list) || !genuine(w->k, row))
		return SP_OK;
	int rc = grant_load(w->arena, row, &w->list[w->n]);
	w->n += rc == SP_OK;
	return rc == SP_ENOMEM && w->n > 0 ? SP_OK : rc;
}

/* Collected first: what is called for each may write.  What is more than fits comes the next time. */
static int
for_each(struct keeper *k, enum store_statement which, const struct field *args, int (*each)(void *owner, const struct grant *g),
    void *owner)
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
grant_list(struct keeper *k, bool live, uint64_t limit, int (*each)(void *owner, const struct grant *g), void *owner)
{
	const struct field args[] = { Q(live), Q(limit) };
	return for_each(k, STORE_GRANT_LIST, args, each, owner);
}

/* ---- beginning ---- */

static json_t *
about(const struct grant *g, const char *text)
{
	char until[32];
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:s}", "grant", g->id, "user", g->who.user, "issuer", g->who.issuer, "target", g->target,
	    "reason", g->reason, "until", clock_format(g->until, until), "break_glass", g->kind == GRANT_GLASS, "text", text);
}

static int
store_new(struct keeper *k, const struct grant *g)
{
	uint8_t mac[DIGEST_LEN];
	struct buffer who = { 0 };
	int rc = principal_print(&g->who, &who);
	char *who_json = mem_string(buffer_bytes(&who));
	const struct field row[G_MAC + 1] = { [G_ID] = Z(g->id), [G_KIND] = Q(g->kind), [G_PRINCIPAL] = Z(who_json),
		[G_ISSUER] = Z(g->who.issuer), [G_SUBJECT] = Z(g->who.subject), [G_USER] = Z(g->who.user), [G_TARGET] = Z(g->target),
		[G_REASON] = Z(g->reason), [G_BY] = Z(g->by), [G_SINCE] = Q(g->since), [G_UNTIL] = Q(g->until), [G_STATE] = Q(GRANT_LIVE),
		[G_ENDED] = Q(0), [G_TEXT] = Z(g->text), [G_MAC] = S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "grants", GRANT_MARKED, row, mac);
	if (rc == SP_OK && keeper_write(k, STORE_GRANT_ADD, row) != 1)
		rc = SP_EIO;
	free(who_json);
	buffer_free(&who);
	return rc;
}

/* Sessions that stand on a grant of theirs get its end, or end. */
static void
apply(struct keeper *k, const struct grant *g)
{
	for (struct live *s = live_first(k); s != NULL; s = s->all_next)
		if (!s->side && !s->ended && strcmp(s->principal.subject, g->who.subject) == 0 &&
		    strcmp(s->principal.issuer, g->who.issuer) == 0 && strcmp(s->target, g->target) == 0)
			live_bound(k, s);
}

static bool
begin(struct keeper *k, const struct grant *g)
{
	if (store_new(k, g) != SP_OK) {
		log_error("the grant %s could not be stored", g->id);
		return false;
	}
	audit(k, g->kind == GRANT_GLASS ? "break-glass" : "granted", about(g, g->text));
	log_info("%s may use target %s from now on%s: grant %s, %s", log_quote(sp_str(g->who.user)), g->target,
	    g->kind == GRANT_GLASS ? ", having broken the glass" : "", g->id, log_quote(sp_str(g->reason)));
	apply(k, g);
	return true;
}

const char *
grant_overtaken(struct keeper *k, const struct approval *a)
{
	const struct target *t = settings_target(keeper_settings(k), a->target);
	if (t == NULL || !grant_needed(t))
		return "the target is gone, or needs no grant any more";
	return a->span > t->access.max ? "the target's `max` became shorter than what was asked for" : NULL;
}

void
grant_begin(struct keeper *k, const struct approval *a, const char *text)
{
	uint64_t now = clock_wall_us();
	const struct grant g = { .id = a->id, .kind = GRANT_ASKED, .who = a->who, .target = a->target, .reason = a->reason, .by = a->by,
		.since = now, .until = now + a->span * 1000, .text = text };
	(void)begin(k, &g);
}

/* ---- breaking the glass ---- */

static char *
incident_view(const struct glass *g, uint64_t until)
{
	char text[512], when[32];
	(void)snprintf(text, sizeof(text), "%s broke the glass of %s: %s", g->who->user, g->target->b.name, g->reason);
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:b,s:s}", "text", text, "target", g->target->b.name, "reason_given", g->reason, "until",
	    clock_format(until, when), "by_code", g->by_code, "rule_text", "look at what was done (sallyport sessions), then close the incident");
	char *view = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return view;
}

const char *
grant_may_not_break(const struct glass *g)
{
	const struct target *t = g->target;
	bool may = false;
	for (size_t i = 0; i < t->access.break_glass.n; i++)
		may = may || strings_have(&g->who->groups, t->access.break_glass.v[i]);
	if (!may)
		return "you are in no group that may break the glass of this target (`access … break_glass=`)";
	if (strcmp(g->who->class, "human") != 0)
		return "only a person may break the glass";
	if (g->reason[0] == '\0' || strlen(g->reason) > REASON_MAX)
		return "say why: a reason of 1 to 200 bytes";
	return g->span == 0 || g->span > GRANT_GLASS_MAX ? "a broken glass lasts at most 1h" : NULL;
}

/* root at the control socket is root by a token. */
void
grant_made_by(const char *person, uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("made by "));
	digest_add(d, sp_str(strncmp(person, "unix:", 5) == 0 ? person + 5 : person));
	digest_end(&d, out);
}

const char *
grant_break_glass(struct keeper *k, const struct glass *g, char id_r[ID_TEXT], uint64_t *until_r)
{
	const char *why = grant_may_not_break(g);
	uint64_t now = clock_wall_us();
	id_r[0] = '\0';
	*until_r = now + g->span * 1000;
	if (why != NULL)
		return why;
	char *view = incident_view(g, *until_r);
	if (view == NULL)
		return "the reason is no text";
	struct approval a = { .kind = APPROVAL_INCIDENT, .who = *g->who, .target = g->target->b.name, .rule = "break-glass",
		.by = g->target->access.approvers, .count = 1, .expires = now + INCIDENT_US, .view = view, .reason = g->reason, .span = g->span,
		.need_reason = true };
	digest_sha256(sp_str(view), a.hash);
	if (g->by_code)
		grant_made_by(g->made_by, a.rule_hash);
	why = approval_ask(k, &a, id_r);
	const struct grant made = { .id = id_r, .kind = GRANT_GLASS, .who = *g->who, .target = g->target->b.name, .reason = g->reason,
		.by = a.by, .since = now, .until = *until_r, .text = g->by_code ? "by an offline code" : "" };
	if (why == NULL && !begin(k, &made))
		why = "it could not be stored";
	free(view);
	return why;
}

/* ---- ending ---- */

bool
grant_end(struct keeper *k, const struct grant *g, const char *text)
{
	uint8_t mac[DIGEST_LEN];
	struct field next[G_MAC + 1];
	memcpy(next, g->column, sizeof(next));
	next[G_STATE].q = GRANT_ENDED;
	next[G_ENDED].q = clock_wall_us();
	next[G_TEXT] = (struct field)Z(text);
	row_mac(&k->keys, "grants", GRANT_MARKED, next, mac);
	const struct field args[] = { next[G_STATE], next[G_ENDED], next[G_TEXT], S(((struct sp_bytes){ mac, sizeof(mac) })), Z(g->id),
		g->column[G_MAC] };
	if (keeper_write(k, STORE_GRANT_END, args) != 1)
		return false;
	audit(k, "grant ended", about(g, text));
	log_info("the grant %s of %s to target %s has ended: %s", g->id, log_quote(sp_str(g->who.user)), g->target, log_quote(sp_str(text)));
	apply(k, g);
	return true;
}

void
grant_reviewed(struct keeper *k, const struct approval *a, bool allow, const char *text)
{
	struct grant g;
	struct arena *arena = arena_new(LIST_ARENA);
	if (!allow && arena != NULL && grant_get(k, arena, a->id, &g) == SP_OK && g.state == GRANT_LIVE)
		(void)grant_end(k, &g, text);
	arena_free(&arena);
}

void
grant_heard(struct keeper *k, const char *id)
{
	struct grant g;
	struct arena *arena = arena_new(LIST_ARENA);
	if (arena != NULL && grant_get(k, arena, id, &g) == SP_OK)
		apply(k, &g);
	arena_free(&arena);
}

static int
end_one(void *owner, const struct grant *g)
{
	(void)grant_end(owner, g, "its time was over");
	return SP_OK;
}

void
grant_tick(struct keeper *k)
{
	const struct field args[] = { Q(clock_wall_us()) };
	if (for_each(k, STORE_GRANT_DUE, args, end_one, k) != SP_OK)
		log_error("grants whose time is over could not be ended");
}
