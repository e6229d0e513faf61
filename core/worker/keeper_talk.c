/* SPDX-License-Identifier: Apache-2.0 */
/* See keeper_talk.h. */
#include <config.h>

#include "keeper_talk.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <stdio.h>

#include "../base/clock.h"
#include "approval_hash.h"
#include "dial.h"
#include "epoch_use.h"
#include "reads.h"
#include "record.h"
#include "rules.h"
#include "session.h"
#include "share.h"

#define MASK_KEYS 64
#define SIGN_MS 100
#define SIGN_OF_LIFE_MS 1000
#define UNHEARD_MS 5000 /* then who waits to be admitted is told so */

static struct {
	char tag[64];
	uint8_t key[DIGEST_LEN];
	bool have;
} mask_key[MASK_KEYS];
static size_t nmask_keys;

static struct sp_bytes
id_of(const struct sp_session *s)
{
	return (struct sp_bytes){ s->id, ID_LEN };
}

static int
keeper_say(struct worker *w, const struct message *m)
{
	return w->keeper == NULL ? SP_EIO : link_send(w->keeper, m);
}

/* ---- asking ---- */

/* A question that can be put once more, to the next keeper. */
struct question {
	uint64_t kind, encrypted;
	const char *user;
	struct sp_secret *secret;
};

static void
question_keep(struct sp_session *s, const struct message *m)
{
	struct sp_secret *secret = secret_new(m->f[2].s);
	if (secret == NULL)
		return; /* no locked memory: it can be asked only now */
	s->question = arena_alloc(s->arena, sizeof(*s->question));
	*s->question = (struct question){ m->f[1].q, m->f[8].q, arena_string(s->arena, m->f[3].s), secret };
}

void
keeper_answered(struct sp_session *s, bool challenged)
{
	s->challenged = challenged;
	if (s->question != NULL)
		secret_free(&s->question->secret);
	s->question = NULL;
}

/* By a keeper's successor: the former one has said that it leaves, and has not answered. */
static int
question_repeat(struct worker *w, struct sp_session *s)
{
	const struct question *q = s->question;
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id_of(s)), Q(q->kind), S(secret_bytes(q->secret)), Z(q->user),
		Z(s->target_name), Z(s->part), Z(s->address), Z(s->module->name), Q(q->encrypted) } };
	return keeper_say(w, &m);
}

int
keeper_authenticate(struct sp_session *s, const struct sp_proof *p)
{
	const char *target = p->target[0] == '\0' ? s->listener->target : p->target;
	bool encrypted = s->side[SP_CLIENT].tls != NULL || (s->module->caps & SP_CAP_OWNS_TRANSPORT) != 0;
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id_of(s)), Q(p->kind), S(p->secret), Z(p->user), Z(target),
		Z(p->part), Z(s->address), Z(s->module->name), Q(encrypted) } };
	keeper_answered(s, s->challenged);
	if (!s->challenged)
		question_keep(s, &m);
	s->target_name = arena_string(s->arena, sp_str(target));
	s->part = arena_string(s->arena, sp_str(p->part == NULL ? "" : p->part));
	s->of_person = p->kind == SP_PROOF_DEVICE; /* it may give up: that is to be seen */
	session_enter(s, SESSION_WHO);
	s->deadline = s->w->now + (p->kind == SP_PROOF_DEVICE ? s->listener->sign_in : s->listener->login);
	if (s->w->keeper_leaves && s->question != NULL)
		return SP_OK; /* its successor will be asked */
	if (keeper_say(s->w, &m) != SP_OK)
		session_kick(s); /* where it is told, in its protocol's own words */
	return SP_OK;
}

void
keeper_unheard(struct sp_session *s)
{
	session_finish(s, SP_END_SHUTDOWN, "the keeper is away: nobody can be admitted now; try again in a few seconds");
}

int
keeper_prove(struct sp_session *s, const struct sp_challenge *c)
{
	struct message m = { .type = MSG_PROVE, .f = { S(id_of(s)), Z(c->mechanism), Q(c->step), S(c->transcript), S(c->binding) } };
	int rc = keeper_say(s->w, &m);
	return rc == SP_OK ? rc : sp_fail(s, rc, "the keeper is away: the target's credential cannot be used");
}

struct signing {
	struct tls_signature *out;
	bool ok;
};

static void
take_signature(void *owner, const struct message *m)
{
	struct signing *g = owner;
	struct sp_bytes b = m->f[2].s;
	g->ok = m->f[1].q == 1 && b.len > 0 && b.len <= sizeof(g->out->bytes);
	g->out->len = g->ok ? b.len : 0;
	if (g->ok)
		memcpy(g->out->bytes, b.p, b.len);
}

/* GnuTLS can't wait: the worker does, for as long as the design allows and no longer. */
int
keeper_tls_sign(void *owner, unsigned algorithm, struct sp_bytes data, struct tls_signature *out_r)
{
	static uint32_t last;
	const struct sp_session *s = owner;
	struct signing g = { out_r, false };
	struct message m = { .type = MSG_TLS_SIGN, .id = ++last, .f = { S(id_of(s)), Q(algorithm), S(data) } };
	int rc = keeper_say(s->w, &m);
	if (rc == SP_OK)
		rc = link_await(s->w->keeper, MSG_TLS_SIGNED, &m.id, SIGN_MS, take_signature, &g);
	if (rc != SP_OK || !g.ok)
		sp_log(s, SP_WARN, "the keeper did not sign with the target's client certificate%s", rc == SP_ETIME ? " in time" : "");
	return rc != SP_OK ? rc : g.ok ? SP_OK : SP_EDENIED;
}

int
keeper_connect_target(struct sp_session *s)
{
	struct message m = { .type = MSG_CONNECT, .f = { S(id_of(s)) } };
	return keeper_say(s->w, &m);
}

void
keeper_side(struct sp_session *s)
{
	struct message m = { .type = MSG_SIDE, .f = { S(id_of(s)), Z(s->target_name), Z(s->part), Z(s->purpose) } };
	if (keeper_say(s->w, &m) != SP_OK)
		sp_log(s, SP_WARN, "the keeper is away: the gateway's own connection cannot log in");
}

void
keeper_opened(struct sp_session *s)
{
	struct message m = { .type = MSG_OPENED, .f = { S(id_of(s)) } };
	if (keeper_say(s->w, &m) != SP_OK)
		sp_log(s, SP_DEBUG, "the keeper is away and will hear of this session later");
}

void
keeper_closed(struct sp_session *s)
{
	struct message m = { .type = MSG_CLOSED, .f = { S(id_of(s)), Q(s->why), Z(s->end_text == NULL ? "" : s->end_text),
		Q(s->operations), Q(s->denied), Q(s->rows), Q(s->bytes) } };
	if (s->target_name != NULL && keeper_say(s->w, &m) != SP_OK)
		sp_log(s, SP_DEBUG, "the keeper is away and will not hear of this session's end");
}

static int
say_cancel_key(const struct sp_session *s)
{
	struct message m = { .type = MSG_CANCEL_KEY, .f = { S(id_of(s)), Q(s->cancel.pid),
		S(((struct sp_bytes){ s->cancel.secret, s->cancel.len })) } };
	return keeper_say(s->w, &m);
}

int
keeper_cancel_key(struct sp_session *s, uint32_t pid, struct sp_bytes key)
{
	if (key.len < 4 || key.len > sizeof(s->cancel.secret))
		return SP_EINTERNAL;
	s->cancel.pid = pid;
	s->cancel.len = key.len;
	memcpy(s->cancel.secret, key.p, key.len);
	return say_cancel_key(s);
}

int
keeper_cancel(struct sp_session *s, uint32_t pid, struct sp_bytes key)
{
	struct message m = { .type = MSG_CANCEL, .f = { Z(s->address), Q(pid), S(key) } };
	return keeper_say(s->w, &m);
}

/* ---- holding ---- */

static json_t *
json_text(struct sp_bytes b)
{
	json_t *j = json_stringn((const char *)b.p, b.len);
	if (j != NULL)
		return j;
	char *hex = mem_alloc(2 * b.len + 1);
	text_hex(b, hex);
	j = json_pack("{s:s}", "hex", hex);
	free(hex);
	return j;
}

/* What the text means beside its bytes: { name: [value, …] }; NULL: not all of it can be shown. */
static json_t *
meanings(const struct shape *shape)
{
	json_t *all = json_object();
	bool whole = all != NULL;
	for (size_t i = 0; i < shape->nmeanings && whole; i++) {
		const struct meaning *m = &shape->meaning[i];
		json_t *values = json_object_get(all, m->name);
		if (values == NULL) {
			whole = json_object_set_new(all, m->name, json_array()) == 0;
			values = json_object_get(all, m->name);
		}
		whole = whole && json_array_append_new(values, json_text(m->value)) == 0;
	}
	if (whole)
		return all;
	json_decref(all);
	return NULL;
}

/* What the approver sees: all of it. */
static char *
approval_view(const struct sp_op *op, const struct approval_rule *a)
{
	const struct sp_session *s = op->s;
	json_t *params = json_array(), *facts = json_object();
	for (unsigned i = 0; i < op->op.nparams; i++)
		json_array_append_new(params, op->op.param[i].null ? json_null() : json_text(op->op.param[i].value));
	for (size_t i = 0; i < s->nfacts; i++)
		json_object_set_new(facts, s->fact[i].name, json_text(s->fact[i].value));
	json_t *j = json_pack("{s:o,s:o,s:o,s:o,s:o,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b}", "text", json_text(op->op.shape->text), "params", params,
	    "means", meanings(op->op.shape), "statements", policy_statements(&op->op), "facts", facts, "target", s->target_name, "database", s->part, "login", s->login, "session", s->name, "address", s->address,
	    "tag", op->op.shape->tag == NULL ? "" : op->op.shape->tag, "rule_text", a->text == NULL ? "" : a->text, "next_run", a->next_run, "unseen", op->op.shape->unseen);
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

int
keeper_hold(struct sp_op *op, const struct approval_rule *a)
{
	char *view = approval_view(op, a);
	if (view == NULL)
		return op_deny(op, SP_BY_ERROR, a->rule, "an approver could not be shown all of it", 0);
	approval_hash(op, a, op->approvals->hash);
	op->approvals->request[0] = '\0';
	struct message m = { .type = MSG_HOLD, .f = { S(id_of(op->s)), Q(op->number), S(((struct sp_bytes){ op->approvals->hash, DIGEST_LEN })),
		Z(a->rule), S(((struct sp_bytes){ a->hash, DIGEST_LEN })), Z(a->by), Q(a->count), Q(a->within), Q(a->next_run), Z(view),
		Q(a->reason), Q(op->s->wrote && !a->in_transaction), Q(a->sponsor) } };
	int rc = keeper_say(op->s->w, &m);
	free(view);
	return rc == SP_OK ? rc : op_deny(op, SP_BY_ERROR, a->rule, "it needs an approval, and the keeper is away; try again", 0);
}

void
keeper_ran(const struct sp_op *op, bool failed)
{
	struct sp_session *s = op->s;
	struct sp_bytes text = op->op.shape->text;
	uint64_t what = (failed ? RAN_FAILED : 0u) | (op->op.shape->renames ? RAN_RENAMES : 0u);
	if (failed || op->op.nparams > 0 || text.len > RAN_TEXT_MAX)
		text.len = 0;
	if (text.len == 0 && what == 0)
		return;
	struct message m = { .type = MSG_RAN, .f = { S(id_of(s)), Q(op->number), S(text), Q(what) } };
	if (keeper_say(s->w, &m) == SP_OK)
		return;
	s->unheard = s->unheard || what != 0;
	sp_log(s, SP_WARN, "the keeper is away: how far an approved file has come is lost");
}

void
keeper_withdraw(struct sp_op *op, const char *text)
{
	struct message m = { .type = MSG_WITHDRAW, .f = { S(id_of(op->s)), Q(op->number), Z(text) } };
	if (keeper_say(op->s->w, &m) != SP_OK)
		sp_log(op->s, SP_WARN, "the keeper is away and could not be told of a withdrawal");
}

void
keeper_estimate(struct sp_session *s, const char *approval, const char *text)
{
	struct message m = { .type = MSG_ESTIMATE, .f = { Z(approval), Z(text) } };
	if (keeper_say(s->w, &m) != SP_OK)
		sp_log(s, SP_INFO, "the keeper is away and could not be told of an estimate");
}

/* ---- keys ---- */

static void
keeper_derive(struct worker *w, const char *purpose, const char *name)
{
	struct message m = { .type = MSG_DERIVE, .f = { Z(purpose), Z(name) } };
	if (keeper_say(w, &m) != SP_OK)
		log_warn("the keeper is away and could not be asked for a key");
}

bool
keeper_mask_key(void *owner, const char *tag, uint8_t key_r[DIGEST_LEN])
{
	for (size_t i = 0; i < nmask_keys; i++) {
		if (strcmp(mask_key[i].tag, tag) != 0)
			continue;
		if (mask_key[i].have)
			memcpy(key_r, mask_key[i].key, DIGEST_LEN);
		return mask_key[i].have;
	}
	if (nmask_keys < MASK_KEYS && strlen(tag) < sizeof(mask_key[0].tag)) {
		snprintf(mask_key[nmask_keys++].tag, sizeof(mask_key[0].tag), "%s", tag);
		keeper_derive(owner, "mask", tag);
	}
	return false;
}

static void
take_key(struct worker *w, const struct message *m)
{
	if (m->f[2].s.len != DIGEST_LEN)
		return;
	if (sp_bytes_is(m->f[0].s, "redact")) {
		memcpy(w->redact_key, m->f[2].s.p, DIGEST_LEN);
		w->have_redact_key = true;
	}
	for (size_t i = 0; i < nmask_keys && sp_bytes_is(m->f[0].s, "mask"); i++) {
		if (!sp_bytes_is(m->f[1].s, mask_key[i].tag))
			continue;
		memcpy(mask_key[i].key, m->f[2].s.p, DIGEST_LEN);
		mask_key[i].have = true;
	}
}

/* ---- being told ---- */

static int
on_admitted(struct worker *w, struct sp_session *s, const struct message *m)
{
	struct sp_admission a = { .what = (enum sp_admit)m->f[1].q, .bytes = m->f[3].s };
	(void)w;
	if (s->state != SESSION_WHO)
		return SP_OK;
	a.text = arena_string(s->arena, m->f[2].s);
	if (a.what == SP_ADMIT) {
		s->principal_json = arena_string(s->arena, m->f[4].s);
		if (principal_parse(s->arena, m->f[4].s, &s->principal) != SP_OK)
			return SP_EPROTO;
		s->target_name = arena_string(s->arena, m->f[5].s);
		s->login_as = arena_string(s->arena, m->f[6].s);
		session_set_expires(s, m->f[7].q);
		s->reports = m->f[9].q == 1;
		a.principal = s->principal.name != NULL && s->principal.name[0] != '\0' ? s->principal.name : s->principal.user;
		a.login = s->principal.user;
	}
	session_admitted(s, &a);
	return SP_OK;
}

static int
on_proved(struct worker *w, struct sp_session *s, const struct message *m)
{
	(void)w;
	if (s->state != SESSION_LOGIN)
		return SP_OK;
	struct sp_answer a = { .ok = m->f[1].q == 1, .bytes = m->f[2].s, .text = arena_string(s->arena, m->f[3].s) };
	session_enter_module(s);
	(void)session_leave_module(s, s->module->proved(s, &a));
	return SP_OK;
}

static int
on_connected(struct worker *w, struct sp_session *s, const struct message *m)
{
	int fd = m->nfds > 0 ? fcntl(m->fd[0], F_DUPFD_CLOEXEC, 3) : -1; /* the message's own is closed with it */
	(void)w;
	dial_done(s, m->f[1].q == 1 ? fd : -1, m->f[2].s);
	return SP_OK;
}

static int
on_cancelled(struct worker *w, struct sp_session *s, const struct message *m)
{
	(void)w;
	(void)m;
	if (s->state != SESSION_RUN || s->module->cancel == NULL)
		return SP_OK;
	session_enter_module(s);
	(void)session_leave_module(s, s->module->cancel(s));
	return SP_OK;
}

static int
on_held(struct worker *w, struct sp_session *s, const struct message *m)
{
	char id[64], hash[32];
	(void)w;
	snprintf(id, sizeof(id), "%.*s", (int)(m->f[2].s.len < 63 ? m->f[2].s.len : 63), (const char *)m->f[2].s.p);
	snprintf(hash, sizeof(hash), "%.*s", (int)(m->f[3].s.len < 31 ? m->f[3].s.len : 31), (const char *)m->f[3].s.p);
	struct sp_hold h = { .id = id, .hash = hash };
	op_held(s, (uint32_t)m->f[1].q, &h);
	return SP_OK;
}

static int
on_decision(struct worker *w, struct sp_session *s, const struct message *m)
{
	(void)w;
	const struct op_decision d = { .allow = m->f[3].q == 1, .by = m->f[4].s, .text = m->f[5].s, .hash = m->f[6].s };
	op_decided(s, (uint32_t)m->f[1].q, &d);
	return SP_OK;
}

static int
on_kill(struct worker *w, struct sp_session *s, const struct message *m)
{
	char text[256];
	(void)w;
	snprintf(text, sizeof(text), "%.*s", (int)(m->f[2].s.len < 255 ? m->f[2].s.len : 255), (const char *)m->f[2].s.p);
	session_finish(s, m->f[1].q > SP_END_ERROR ? SP_END_REVOKED : (enum sp_why)m->f[1].q, text);
	return SP_OK;
}

static int
on_expires(struct worker *w, struct sp_session *s, const struct message *m)
{
	(void)w;
	session_set_expires(s, m->f[1].q);
	return SP_OK;
}

/* Each of these names its session first. */
static const struct {
	enum message_type type;
	int (*take)(struct worker *w, struct sp_session *s, const struct message *m);
} told[] = {
	{ MSG_ADMITTED, on_admitted }, { MSG_PROVED, on_proved }, { MSG_CANCELLED, on_cancelled }, { MSG_HELD, on_held },
	{ MSG_DECISION, on_decision }, { MSG_CONNECTED, on_connected }, { MSG_KILL, on_kill },	  { MSG_EXPIRES, on_expires },
	{ MSG_SHARED, share_told },
};

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct worker *w = owner;
	(void)l;
	reads_go(w->reads);
	worker_clock(w);
	w->keeper_heard = w->now;
	if (m->type == MSG_DERIVED) {
		take_key(w, m);
		return SP_OK;
	}
	if (m->type == MSG_LEAVING) {
		w->keeper_leaves = true;
		return SP_OK;
	}
	if (m->type == MSG_RULES)
		return rules_asked(w, m);
	if (m->type == MSG_TLS_SIGNED) /* too late: its handshake has failed */
		return SP_OK;
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
		if (told[i].type != m->type)
			continue;
		struct sp_session *s = session_find(w, m->f[0].s);
		return s == NULL ? SP_OK : told[i].take(w, s, m);
	}
	return SP_EPROTO;
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	struct worker *w = owner;
	(void)l;
	log_warn("the keeper is away: %s", why);
	link_free(&w->keeper);
}

/* ---- coming and going ---- */

static void
keeper_resume(struct worker *w, struct sp_session *s)
{
	struct message m = { .type = MSG_RESUME, .f = { S(id_of(s)), Z(s->principal_json), Z(s->target_name), Z(s->part), Z(s->address),
		Q(s->started), Q(s->expires) } };
	struct message lost = { .type = MSG_RAN, .f = { S(id_of(s)), Q(0), Z(""), Q(RAN_FAILED) } };
	if (keeper_say(w, &m) == SP_OK && (!s->unheard || keeper_say(w, &lost) == SP_OK) && (s->cancel.len == 0 || say_cancel_key(s) == SP_OK)) {
		share_again(s);
		op_hold_again(s);
	}
}

void
keeper_connect(struct worker *w, int fd)
{
	struct link_handler h = { on_message, on_gone, w };
	bool left = w->keeper_leaves;
	link_free(&w->keeper);
	w->keeper_leaves = false;
	w->keeper = link_new(w->base, fd, ROLE_WORKER, ROLE_KEEPER, 0, &h);
	if (w->keeper_heard == 0)
		w->keeper_heard = clock_mono_ms();
	keeper_derive(w, "redact", "");
	for (size_t i = 0; i < nmask_keys; i++)
		keeper_derive(w, "mask", mask_key[i].tag);
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		bool again = s->state == SESSION_WHO && left && s->question != NULL && question_repeat(w, s) == SP_OK;
		if (s->state == SESSION_WHO && !again)
			keeper_unheard(s);
		else if (s->purpose[0] != '\0' && s->state < SESSION_ENDING)
			keeper_side(s);
		else if (s->state >= SESSION_DIALING && s->state < SESSION_ENDING)
			keeper_resume(w, s);
	}
}

/* One that hangs, or that comes and goes without its store, is as good as away: a question that is always answered tells. */
static bool
keeper_silent(struct worker *w, uint64_t grace)
{
	if (w->keeper != NULL && w->now - w->keeper_asked >= SIGN_OF_LIFE_MS) {
		w->keeper_asked = w->now;
		keeper_derive(w, "redact", "");
	}
	return w->now - w->keeper_heard >= grace;
}

void
keeper_tick(struct worker *w)
{
	bool gone = keeper_silent(w, w->epoch->epoch->settings.store_grace), unheard = w->now - w->keeper_heard >= UNHEARD_MS;
	LIST_EACH(n, next, &w->sessions) {
		struct sp_session *s = LIST_OF(n, struct sp_session, all);
		if (unheard && s->state == SESSION_WHO)
			keeper_unheard(s);
		if (gone)
			session_finish(s, SP_END_REVOKED, "the gateway could not check for too long whether you are still allowed");
	}
}
