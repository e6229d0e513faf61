/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See session.h.
 *
 *     ACCEPTED ─▶ WHO ─▶ DIALING ─▶ LOGIN ─▶ RUN ─▶ ENDING ─▶ CLOSED
 *        ▲─────────┘ (RETRY)              any state may end
 *
 * A closed session is freed at the next turn of the loop, when no event of its can be on the stack.
 */
#include <config.h>

#include "session.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "budget.h"
#include "dial.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "operation.h"
#include "pool.h"
#include "reads.h"
#include "record.h"
#include "trial.h"

#define SESSION_MEMORY (64u << 20)
#define FAREWELL_MS 2000
#define NOTICE_LATE_US (10u * 1000000u)

static const char *const state_names[] = { "accepted", "who", "dialing", "login", "run", "ending", "closed" };
_Static_assert(sizeof(state_names) / sizeof(*state_names) == SESSION_STATES, "a name for each state");

/* Which states may follow which. */
#define TO(st) (1u << SESSION_##st)
static const unsigned state_edges[SESSION_STATES] = {
	[SESSION_ACCEPTED] = TO(WHO) | TO(ENDING) | TO(CLOSED),
	[SESSION_WHO] = TO(ACCEPTED) | TO(DIALING) | TO(ENDING) | TO(CLOSED),
	[SESSION_DIALING] = TO(LOGIN) | TO(ENDING) | TO(CLOSED),
	[SESSION_LOGIN] = TO(RUN) | TO(ENDING) | TO(CLOSED),
	[SESSION_RUN] = TO(ENDING) | TO(CLOSED),
	[SESSION_ENDING] = TO(CLOSED),
	[SESSION_CLOSED] = 0,
};

const char *
session_state_name(enum session_state st)
{
	return state_names[st];
}

void
session_enter(struct sp_session *s, enum session_state to)
{
	if (!(state_edges[s->state] & 1u << to)) {
		log_error("session %s cannot go from %s to %s", s->name, state_names[s->state], state_names[to]);
		abort();
	}
	sp_log(s, SP_DEBUG, "session goes from %s to %s", state_names[s->state], state_names[to]);
	s->state = to;
}

/* ---- making ---- */

static struct sp_session **
bucket_of(struct worker *w, const uint8_t id[ID_LEN])
{
	return &w->by_id[(unsigned)(id[0] << 8 | id[1]) % SESSION_BUCKETS];
}

static struct sp_session *
session_new(struct worker *w, const struct sp_module *m)
{
	struct arena *a = arena_new(SESSION_MEMORY);
	struct sp_session *s = arena_alloc(a, sizeof(*s));
	s->arena = a;
	s->w = w;
	s->module = m;
	s->purpose = "";
	s->state_block = m->session_size > 0 ? arena_alloc(a, m->session_size) : NULL;
	id_new(s->id);
	id_format(s->id, s->name);
	worker_clock(w);
	s->started = w->wall;
	s->started_mono = w->now_us;
	s->active = w->now;
	list_init(&s->ops);
	stream_init(&s->side[SP_CLIENT], s, SP_CLIENT);
	stream_init(&s->side[SP_TARGET], s, SP_TARGET);
	list_add(&w->sessions, &s->all);
	s->next_by_id = *bucket_of(w, s->id);
	*bucket_of(w, s->id) = s;
	w->nsessions++;
	return s;
}

void
session_accept(struct worker *w, const struct listener *l, int fd, const char *address)
{
	struct listener_use *use = epoch_use_listener(w->epoch, l->b.name);
	struct sp_session *s = session_new(w, use->module);
	s->epoch = epoch_use_ref(w->epoch);
	s->heard = epoch_use_ref(w->epoch);
	s->listener = use->listener;
	s->conf = use->conf;
	snprintf(s->address, sizeof(s->address), "%s", address);
	s->side[SP_CLIENT].wipe = true;
	s->deadline = w->now + s->listener->handshake;
	stream_open(&s->side[SP_CLIENT], fd);
	session_enter_module(s);
	(void)session_leave_module(s, s->module->accept == NULL ? SP_OK : s->module->accept(s));
}

static void
session_begin_side(struct sp_session *s, const char *target, const char *part, const char *purpose)
{
	s->purpose = arena_string(s->arena, sp_str(purpose));
	s->login_as = s->login;
	s->target_name = arena_string(s->arena, sp_str(target));
	s->part = arena_string(s->arena, sp_str(part));
	s->state = SESSION_WHO;
	session_enter(s, SESSION_DIALING);
	keeper_side(s);
	session_dial_soon(s); /* its caller is on the stack */
}

static const char *
side_login(const struct target *t, const char *purpose)
{
	if (strcmp(purpose, "estimate") == 0)
		return t->estimate.user;
	return strcmp(purpose, "login") == 0 || t->catalogue.user[0] == '\0' ? t->login.user : t->catalogue.user;
}

struct sp_session *
session_trial(struct worker *w, const struct target_use *t, const void *conf, const struct trial_of *of)
{
	struct sp_session *s = session_new(w, t->module);
	s->epoch = epoch_use_ref(w->epoch);
	s->dialled = epoch_use_ref(w->epoch);
	s->target = s->home = t->target;
	s->conf = conf;
	s->login = side_login(t->target, of->purpose);
	if (of->server != NULL)
		s->reached = arena_string(s->arena, sp_str(of->server));
	session_begin_side(s, t->target->b.name, of->part, of->purpose);
	return s;
}

struct sp_session *
session_side(struct sp_session *like, const char *purpose, void *cookie)
{
	struct sp_session *s = session_new(like->w, like->module);
	s->epoch = epoch_use_ref(like->dialled);
	s->dialled = epoch_use_ref(like->dialled);
	s->target = s->home = like->home;
	s->conf = like->conf; /* in dialled */
	s->cookie = cookie;
	s->login = side_login(s->home, purpose);
	if (like->reached != NULL) /* a cancel, above all, is for the server that has the session */
		s->reached = arena_string(s->arena, sp_str(like->reached));
	session_begin_side(s, like->target_name, like->part, purpose);
	return s;
}

struct sp_session *
session_find(struct worker *w, struct sp_bytes id)
{
	struct sp_session *s = id.len == ID_LEN ? *bucket_of(w, id.p) : NULL;
	while (s != NULL && memcmp(s->id, id.p, ID_LEN) != 0)
		s = s->next_by_id;
	return s == NULL || s->state == SESSION_CLOSED ? NULL : s;
}

/* ---- the way into a module and out again ---- */

void
session_enter_module(struct sp_session *s)
{
	struct worker *w = s->w;
	if (w->running != NULL) {
		log_error("session %s is entered while %s runs", s->name, w->running->name);
		abort();
	}
	w->running = s;
	for (unsigned i = 0; i < 2; i++)
		if (!s->side[i].view_in_scratch)
			stream_begin(&s->side[i]);
}

static bool
side_speaks(const struct sp_session *s, unsigned side)
{
	if (s->broken || s->state >= SESSION_ENDING || s->state == SESSION_DIALING)
		return false;
	if (side == SP_TARGET)
		return s->state >= SESSION_LOGIN;
	return s->state != SESSION_WHO;
}

static int
session_eof(struct sp_session *s, struct stream *st)
{
	st->eof_told = true;
	if (s->module->eof != NULL && s->state == SESSION_RUN)
		return s->module->eof(s, st->side);
	s->broken = true;
	s->why = SP_END_EOF;
	s->end_text = st->side == SP_CLIENT ? "the client left" : "the target closed the connection";
	return SP_OK;
}

/* Offers what is unconsumed until nobody consumes any more. */
static int
session_pump(struct sp_session *s)
{
	bool progress = true;
	int rc = SP_OK;
	while (progress && rc == SP_OK) {
		progress = false;
		for (unsigned i = 0; i < 2 && rc == SP_OK; i++) {
			struct stream *st = &s->side[i];
			size_t before = st->view.len;
			if (before == 0 || before < st->want || !side_speaks(s, i) || s->side[SP_OTHER(i)].full)
				continue;
			if (i == SP_CLIENT && budget_waits(s))
				continue;
			rc = s->module->data(s, (enum sp_side)i);
			progress = progress || st->view.len < before;
		}
	}
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		if (s->side[i].eof && !s->side[i].eof_told && s->state < SESSION_ENDING)
			rc = session_eof(s, &s->side[i]);
	return rc;
}

static void
writer_reset(struct worker *w)
{
	w->writer_stream = NULL;
	w->writer.len = 0;
	w->writer.bad = false;
	if (w->writer.cap > 8 * SCRATCH) {
		w->writer.p = realloc(w->writer.p, SCRATCH);
		w->writer.cap = SCRATCH;
	}
}

/* Frames first, then bytes; what is left of the input is kept. */
static int
session_settle(struct sp_session *s)
{
	op_record_announced(s);
	record_publish(s->w);
	stream_foreign(s->w);
	int rc = stream_flush(&s->side[SP_TARGET]);
	int client = stream_flush(&s->side[SP_CLIENT]);
	for (unsigned i = 0; i < 2; i++)
		stream_end(&s->side[i]);
	writer_reset(s->w);
	if (client != SP_OK && s->state < SESSION_ENDING) {
		s->why = SP_END_EOF;
		s->end_text = "the client left";
	}
	return rc != SP_OK ? rc : client;
}

static void
session_close(struct sp_session *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	session_enter(s, SESSION_CLOSED);
	s->w->running = s;
	if (s->module->close != NULL)
		s->module->close(s);
	s->w->running = NULL;
	op_end_all(s); /* what the module still had it has freed itself */
	if (s->header_written)
		record_end(s);
	record_publish(s->w);
	writer_reset(s->w);
	dial_stop(s);
	pool_left(s);
	stream_close(&s->side[SP_CLIENT]);
	stream_close(&s->side[SP_TARGET]);
	if (s->timer_made)
		event_del(&s->timer);
	keeper_answered(s, false);
	keeper_closed(s);
	if (s->trial)
		trial_closed(s);
	session_kick(s);
}

/* Output that was full and is no longer: its module goes on. */
static int
session_drained(struct sp_session *s)
{
	int rc = SP_OK;
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++) {
		struct stream *st = &s->side[i];
		if (!st->full || st->out.len > STREAM_LOW)
			continue;
		st->full = false;
		rc = s->module->drained == NULL ? SP_OK : s->module->drained(s, st->side);
	}
	return rc;
}

static void
session_arm(struct sp_session *s)
{
	/* full when the module was asked, and sent since: no event of the socket will tell */
	for (unsigned i = 0; i < 2; i++)
		if (s->side[i].full && s->side[i].out.len <= STREAM_LOW)
			session_kick(s);
	stream_arm(&s->side[SP_CLIENT]);
	stream_arm(&s->side[SP_TARGET]);
}

bool
session_leave_module(struct sp_session *s, int rc)
{
	if (rc == SP_OK)
		rc = session_pump(s);
	int sent = session_settle(s);
	s->w->running = NULL;
	if (s->state == SESSION_CLOSED)
		return true;
	if (s->state == SESSION_ENDING) {
		if (sent != SP_OK || stream_idle(&s->side[SP_CLIENT]))
			session_close(s);
		else
			session_arm(s);
		return s->state == SESSION_CLOSED;
	}
	s->failed = s->failed || rc != SP_OK; /* the module knows: no farewell */
	if (sent == SP_OK && stream_shut_out(&s->side[s->purpose[0] == '\0' ? SP_CLIENT : SP_TARGET])) {
		if (s->end_text == NULL && s->side[SP_CLIENT].eof)
			s->end_text = "the client left";
		s->why = SP_END_EOF;
		s->failed = s->broken = true;
	}
	if (rc != SP_OK || sent != SP_OK || s->broken) {
		session_finish(s, s->why == 0 && (rc != SP_OK || sent != SP_OK) && s->end_text == NULL ? SP_END_ERROR : s->why,
		    s->end_text != NULL ? s->end_text : "the connection is closed");
		return s->state == SESSION_CLOSED;
	}
	session_begin_tls(s);
	session_arm(s);
	return false;
}

/* ---- from the streams ---- */

bool
session_input(struct stream *st)
{
	struct sp_session *s = st->s;
	if (s->state == SESSION_CLOSED)
		return true;
	worker_clock(s->w);
	if (s->state == SESSION_ENDING) {
		stream_end(st);
		if (st->eof && st->side == SP_CLIENT)
			session_close(s);
		return true;
	}
	session_enter_module(s);
	return session_leave_module(s, SP_OK);
}

void
session_output(struct stream *st)
{
	struct sp_session *s = st->s;
	int rc = stream_flush(st);
	if (rc != SP_OK) {
		if (s->state < SESSION_ENDING)
			session_finish(s, SP_END_EOF, st->side == SP_CLIENT ? "the client left" : "the target closed the connection");
		else
			session_close(s);
		return;
	}
	if (s->state == SESSION_ENDING && stream_idle(&s->side[SP_CLIENT])) {
		session_close(s);
		return;
	}
	if (s->state < SESSION_ENDING && stream_shut_out(&s->side[s->purpose[0] == '\0' ? SP_CLIENT : SP_TARGET])) {
		s->failed = true;
		session_finish(s, SP_END_EOF, s->end_text == NULL ? "the client left" : s->end_text);
		return;
	}
	if (st->full && st->out.len <= STREAM_LOW && s->state < SESSION_ENDING) {
		session_enter_module(s);
		(void)session_leave_module(s, session_drained(s));
		return;
	}
	if (s->state < SESSION_ENDING)
		session_begin_tls(s);
	session_arm(s);
}

void
session_secured(struct stream *st)
{
	struct sp_session *s = st->s;
	struct sp_tls t = { .alpn = tls_alpn(st->tls), .sni = "", .certified = tls_certified(st->tls) };
	session_enter_module(s);
	(void)session_leave_module(s, s->module->secure == NULL ? SP_OK : s->module->secure(s, st->side, &t));
}

void
session_begin_tls(struct sp_session *s)
{
	for (unsigned i = 0; i < 2; i++) {
		struct stream *st = &s->side[i];
		if (s->starttls[i].wanted && stream_idle(st) && s->state < SESSION_ENDING) {
			s->starttls[i].wanted = false;
			stream_begin_tls(st, s->starttls[i].direct, s->starttls[i].alpn);
		}
	}
}

/* ---- ends ---- */

void
session_fail(struct sp_session *s, int rc, const char *text)
{
	if (s->state >= SESSION_ENDING)
		return;
	(void)sp_fail(s, rc, "%s", text);
	if (s->w->running == NULL || s->w->running == s) /* in its own turn: at the end of that */
		session_finish(s, SP_END_ERROR, s->end_text);
}

void
session_finish(struct sp_session *s, enum sp_why why, const char *text)
{
	bool ends = s->w->running == s && s->broken; /* the first reason counts */
	if (s->state >= SESSION_ENDING || ends)
		return;
	s->why = why;
	s->end_text = arena_string(s->arena, sp_str(text));
	if (s->w->running == s) {
		s->broken = true;
		return;
	}
	session_enter(s, SESSION_ENDING);
	s->deadline = s->w->now + FAREWELL_MS;
	sp_log(s, s->end_told ? SP_DEBUG : SP_INFO, "session ends: %s", s->end_text == NULL ? "" : s->end_text);
	session_enter_module(s);
	if (s->module->end != NULL && !s->failed)
		(void)s->module->end(s, why, s->end_text == NULL ? "" : s->end_text);
	/* what waited for the recorder in vain never leaves (P1), however late it is told yes */
	s->side[SP_TARGET].gate = record_durable(s->w, s->side[SP_TARGET].gate) ? 0 : UINT64_MAX;
	(void)session_leave_module(s, SP_OK);
}

void
session_free(struct sp_session *s)
{
	struct worker *w = s->w;
	struct sp_session **at = bucket_of(w, s->id);
	while (*at != s)
		at = &(*at)->next_by_id;
	*at = s->next_by_id;
	list_remove(&s->all);
	list_remove(&s->kicked);
	w->nsessions--;
	for (size_t i = 0; i < s->nfacts; i++)
		free((void *)(uintptr_t)s->fact[i].value.p);
	policy_run_free(&s->run);
	scope_unref(&s->scope);
	epoch_use_unref(&s->epoch);
	epoch_use_unref(&s->heard);
	epoch_use_unref(&s->dialled);
	struct arena *a = s->arena;
	arena_free(&a);
}

/* ---- who, and the target ---- */

/* From here on the epoch in force counts, which may be newer than the one the client came under. */
static int
session_take_admission(struct sp_session *s)
{
	epoch_use_unref(&s->epoch);
	s->epoch = epoch_use_ref(s->w->epoch);
	struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	if (t == NULL || t->module != s->module)
		return sp_fail(s, SP_EDENIED, "target %s is not in this configuration", log_quote(sp_str(s->target_name)));
	const char *err = "";
	const void *conf = epoch_use_conf(s->epoch, t, s->listener, &err);
	if (conf == NULL)
		return sp_fail(s, SP_ECONF, "%s", err);
	s->dialled = epoch_use_ref(s->epoch);
	s->target = s->home = t->target;
	s->login = settings_login(s->home);
	if (!settings_lends(s->home))
		s->login_as = s->login;
	s->part = s->part[0] != '\0' ? s->part : s->home->database;
	s->conf = conf;
	s->run = policy_run_new(t->policy);
	return SP_OK;
}

void
session_admitted(struct sp_session *s, const struct sp_admission *a)
{
	if (s->state != SESSION_WHO)
		return;
	keeper_answered(s, a->what == SP_CHALLENGE);
	int rc = a->what == SP_ADMIT ? session_take_admission(s) : SP_OK;
	if (rc == SP_OK && a->what == SP_ADMIT) {
		record_header(s);
		session_enter(s, SESSION_DIALING);
		s->side[SP_CLIENT].wipe = false;
		s->deadline = s->w->now + s->target->timeout.connect;
	} else if (a->what == SP_CHALLENGE || a->what == SP_RETRY) {
		session_enter(s, SESSION_ACCEPTED);
	}
	session_enter_module(s);
	if (rc == SP_OK)
		rc = s->module->admitted(s, a);
	if (session_leave_module(s, rc) || s->state != SESSION_DIALING)
		return;
	op_ask_session(s);
}

static void
session_log_in(struct sp_session *s, int (*begin)(struct sp_session *s))
{
	session_enter(s, SESSION_LOGIN);
	s->deadline = s->w->now + s->home->timeout.login;
	session_enter_module(s);
	(void)session_leave_module(s, begin(s));
}

void
session_connected(struct sp_session *s, int fd)
{
	stream_open(&s->side[SP_TARGET], fd);
	session_log_in(s, s->module->open);
}

void
session_dial_soon(struct sp_session *s)
{
	s->to_dial = true;
	session_kick(s);
}

static void
session_dial(struct sp_session *s)
{
	s->to_dial = false;
	if (pool_take(s))
		session_log_in(s, s->module->adopt);
	else
		dial_start(s);
}

/* ---- time ---- */

static void
session_warn_expiry(struct sp_session *s, uint64_t now)
{
	static const struct { uint64_t before; const char *text; } notices[] = {
		{ 300u * 1000000u, "your access expires in 5 minutes" },
		{ 60u * 1000000u, "your access expires in 1 minute" },
	};
	while (s->warned < 2 && s->expires - now <= notices[s->warned].before) {
		/* A token that came with less to live would get a notice that is not true. */
		bool late = s->expires - now < notices[s->warned].before - NOTICE_LATE_US;
		const char *text = notices[s->warned++].text;
		if (late || s->module->notice == NULL)
			continue;
		session_enter_module(s);
		if (session_leave_module(s, s->module->notice(s, text)))
			return;
	}
}

void
session_set_expires(struct sp_session *s, uint64_t expires)
{
	uint64_t wall = clock_wall_us();
	s->expires = expires;
	s->ends = clock_mono_us() + (expires > wall ? expires - wall : 0);
	s->warned = 0;
}

uint64_t
session_expired_us(const struct sp_session *s)
{
	if (s->expires == 0)
		return 0;
	uint64_t wall = clock_wall_us(), mono = clock_mono_us();
	if (wall < s->expires && mono < s->ends)
		return 0;
	uint64_t by_wall = wall < s->expires ? 0 : wall - s->expires, by_mono = mono < s->ends ? 0 : mono - s->ends;
	return 1 + (by_wall > by_mono ? by_wall : by_mono);
}

void
session_tick(struct sp_session *s)
{
	uint64_t wall = clock_wall_us();
	if (s->state == SESSION_CLOSED)
		return;
	if (s->deadline != 0 && s->w->now >= s->deadline) {
		if (s->state == SESSION_ENDING)
			session_close(s);
		else
			session_fail(s, SP_ETIME, s->state == SESSION_DIALING ? "the target did not answer in time"
						: s->state == SESSION_LOGIN   ? "the target did not log us in in time"
									      : "the client did not say who it is in time");
		return;
	}
	if (s->state != SESSION_RUN || s->purpose[0] != '\0')
		return;
	if (s->paused_until != 0 && !budget_waits(s)) {
		s->paused_until = 0;
		session_kick(s);
	}
	if (session_expired_us(s) > 0) {
		if (!op_may_finish(s))
			session_finish(s, SP_END_EXPIRED, "your access has expired: log in again, or ask for another grant");
		return;
	}
	if (s->target->timeout.idle != 0 && s->w->now - s->active >= s->target->timeout.idle && s->ops.node.next == &s->ops.node) {
		session_finish(s, SP_END_IDLE, "the session was idle for too long");
		return;
	}
	if (s->expires > wall)
		session_warn_expiry(s, wall);
}

void
session_kick(struct sp_session *s)
{
	if (s->woken)
		return;
	s->woken = true;
	list_add(&s->w->kicked, &s->kicked);
	event_active(&s->w->kick, EV_TIMEOUT, 0);
}

static void
session_run_one(struct sp_session *s)
{
	if (s->state == SESSION_CLOSED) {
		session_free(s);
		return;
	}
	if (s->state == SESSION_ENDING)
		return;
	if (s->state == SESSION_WHO && s->w->keeper == NULL && !s->w->keeper_leaves) {
		keeper_unheard(s);
		return;
	}
	if (s->state == SESSION_DIALING && s->to_dial) {
		session_dial(s);
		return;
	}
	if (s->to_fill)
		pool_fill(s);
	session_enter_module(s);
	bool turn = s->purpose[0] != '\0' && side_speaks(s, SP_TARGET);
	int rc = session_drained(s);
	(void)session_leave_module(s, turn && rc == SP_OK ? s->module->data(s, SP_TARGET) : rc);
}

void
session_run_kicked(struct worker *w)
{
	struct list_head now;
	reads_go(w->reads);
	worker_clock(w);
	list_take(&now, &w->kicked); /* who is kicked meanwhile comes at the next turn */
	while (now.node.next != &now.node) {
		struct sp_session *s = LIST_OF(now.node.next, struct sp_session, kicked);
		list_remove(&s->kicked);
		s->woken = false;
		session_run_one(s);
	}
}

/* Amid a log-in only whether it may be: sp_ready() calls again.  Before the dial a rule of the old epoch may hold it. */
void
session_follow(struct sp_session *s)
{
	bool logs_in = s->state == SESSION_LOGIN || (s->state == SESSION_DIALING && (s->dial != NULL || s->to_dial || s->purpose[0] != '\0'));
	if (s->state >= SESSION_ENDING || s->epoch == s->w->epoch || s->target == NULL)
		return;
	struct target_use *t = epoch_use_target(s->w->epoch, s->target_name);
	if (t == NULL || t->module != s->module) {
		session_finish(s, SP_END_REVOKED, "the target is no longer configured");
		return;
	}
	if (s->purpose[0] == '\0' && !session_allowed(s, t->target)) {
		session_finish(s, SP_END_REVOKED, "you are no longer allowed to use this target");
		return;
	}
	if (logs_in)
		return;
	struct worker_epoch *old = s->epoch;
	s->epoch = epoch_use_ref(s->w->epoch);
	s->target = t->target;
	if (s->run != NULL)
		policy_run_switch(s->run, t->policy);
	scope_unref(&s->scope);
	if (s->run != NULL && !session_pins_stand(s)) {
		session_finish(s, SP_END_REVOKED, "the policy now pins settings of this session: connect again");
		epoch_use_unref(&old);
		return;
	}
	op_rejudge_all(s);
	epoch_use_unref(&old);
}

bool
session_allowed(const struct sp_session *s, const struct target *t)
{
	for (size_t i = 0; i < t->allow.users.n; i++)
		if (strcmp(t->allow.users.v[i], s->principal.user) == 0)
			return true;
	for (size_t i = 0; i < t->allow.groups.n; i++)
		if (strings_have(&s->principal.groups, t->allow.groups.v[i]))
			return true;
	return false;
}
