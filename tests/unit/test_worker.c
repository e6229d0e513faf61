/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's sessions: their states, what is recorded before what leaves, holds, limits, ends. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/worker/budget.h"
#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"
#define ALWAYS "record { sync always; sync_wait 1s; }"
#define NO_DELETE "rule 'no-delete' { on = 'toy.statement', when = { verb = 'delete' }, deny = 'no deletes' }\n"
#define AGREE "rule 'agree' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'dba', within = '10m' } }\n"
#define AGREE_TOO "rule 'agree-too' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'owners', within = '10m' } }\n"
#define KILL "rule 'out' { on = 'toy.statement', when = { verb = 'kill' }, kill = 'out with you' }\n"
#define POLICY NO_DELETE AGREE KILL
#define START "header operation verdict"

static struct world v;

/* ---- states ---- */

static void
test_states(void)
{
	world_begin(&v, WRITE, POLICY);
	world_connect(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_ACCEPTED);
	world_hello(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_WHO);
	const struct message *m = world_heard(&v, MSG_AUTHENTICATE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(sp_bytes_is(m->f[2].s, "s3cret-token") && sp_bytes_is(m->f[4].s, "t") && sp_bytes_is(m->f[6].s, "10.1.2.3"));
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), ""); /* nobody yet */
	world_admit(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_RUN);
	CU_ASSERT_PTR_NOT_NULL(world_heard(&v, MSG_OPENED));
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), START);
	world_accept_target(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	close(v.client);
	v.client = -1;
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), START " end");
	m = world_heard(&v, MSG_CLOSED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->f[4].q == 0 || m->f[3].q == 1);
	world_end(&v);
}

static struct message
admission(enum sp_admit what)
{
	return (struct message){ .type = MSG_ADMITTED, .f = { S(((struct sp_bytes){ v.s->id, ID_LEN })), Q(what), Z("no"), Z(""), Z(""),
		Z("t"), Z(""), Q(0), Q(0) } };
}

static void
test_refused(void)
{
	world_begin(&v, WRITE, POLICY);
	world_connect(&v);
	world_hello(&v);
	struct message m = admission(SP_RETRY);
	world_tell(&v, &m);
	CU_ASSERT_EQUAL(v.s->state, SESSION_ACCEPTED);
	world_hello(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_WHO);
	m = admission(SP_REFUSE);
	world_tell(&v, &m);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_ERROR);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "");
	CU_ASSERT_EQUAL(accept(v.listening, NULL, NULL), -1); /* nobody was dialled */
	world_end(&v);
}

/* An answer that comes twice, or to nobody, changes nothing. */
static void
test_late_answers(void)
{
	world_begin(&v, WRITE, POLICY);
	world_run(&v);
	struct message m = admission(SP_REFUSE);
	world_tell(&v, &m);
	CU_ASSERT_EQUAL(v.s->state, SESSION_RUN);
	m.f[0].s = SP_LIT("no such session!");
	world_tell(&v, &m);
	world_decide(&v, 99, "a1", true);
	world_held(&v, 99, "a1");
	CU_ASSERT(v.s->state == SESSION_RUN && v.verdicts == 0 && v.held == 0);
	world_end(&v);
}

/* What came before a principal is wiped from the memory it was read into (P5). */
static void
test_wiped(void)
{
	world_begin(&v, WRITE, POLICY);
	world_connect(&v);
	world_say(&v, "s3cret-"); /* half of it waits in a buffer */
	CU_ASSERT_EQUAL(v.s->state, SESSION_ACCEPTED);
	CU_ASSERT_PTR_NULL(memmem(v.w->scratch, SCRATCH, "s3cret", 6));
	world_say(&v, "token\nselect 1\n");
	CU_ASSERT_EQUAL(v.s->state, SESSION_WHO);
	CU_ASSERT_PTR_NULL(memmem(v.w->scratch, SCRATCH, "s3cret", 6));
	CU_ASSERT_PTR_NULL(memmem(v.s->side[SP_CLIENT].in.p, v.s->side[SP_CLIENT].in.cap, "token", 5));
	world_admit(&v); /* what stood behind the token was kept */
	world_accept_target(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
}

static void
test_deadlines(void)
{
	world_begin(&v, WRITE, POLICY);
	world_connect(&v);
	v.w->now = v.s->deadline;
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && strstr(v.end, "did not say who it is") != NULL);
	v.slow_login = true;
	world_connect(&v);
	world_hello(&v);
	world_admit(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_LOGIN);
	world_accept_target(&v);
	v.w->now = v.s->deadline;
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 2 && strstr(v.end, "did not log us in") != NULL);
	world_end(&v);
}

/* ---- recorded before it leaves (P1) ---- */

static void
test_recorded_first(void)
{
	world_begin(&v, WRITE, POLICY);
	world_run(&v);
	world_say(&v, "select 1\n");
	CU_ASSERT_STRING_EQUAL(v.at_send, START " operation verdict");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
}

static void
test_synced_first(void)
{
	world_begin(&v, ALWAYS, POLICY);
	world_run(&v);
	world_synced(&v);
	world_say(&v, "select 1\n");
	CU_ASSERT_EQUAL(v.verdicts, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), START " operation verdict"); /* taken, not on disk */
	v.w->now = clock_mono_ms();
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_synced(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
}

/* group: forwarding goes on while the disk is in time, and waits when it is late. */
static void
test_synced_in_groups(void)
{
	world_begin(&v, "record { sync group; }", POLICY);
	world_run(&v);
	world_synced(&v);
	world_say(&v, "select 1\n");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	v.w->unsynced_at = 1; /* as if the frames of that were old by now */
	world_say(&v, "select 2\n");
	CU_ASSERT_EQUAL(v.verdicts, 2);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_synced(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 2\n");
	world_end(&v);
}

/* The disk that never comes: the session ends, and what waited never leaves (P8). */
static void
test_disk_too_slow(void)
{
	world_begin(&v, ALWAYS, POLICY);
	world_run(&v);
	world_synced(&v);
	world_say(&v, "select 1\n");
	record_progress(v.w);
	v.w->now += 1001;
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_RECORDER);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* A record that is on disk holds nobody up, also when nothing was sent that would have waited for it. */
static void
test_disk_was_in_time(void)
{
	world_begin(&v, ALWAYS, POLICY);
	world_run(&v);
	v.keep = true;
	world_say(&v, "select 1\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	world_synced(&v);
	v.w->now += 1001;
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 0 && v.s->state == SESSION_RUN);
	world_end(&v);
}

/* …nor while the target is slow to answer. */
static void
test_slow_target(void)
{
	world_begin(&v, ALWAYS, POLICY);
	v.slow_login = true;
	world_connect(&v);
	world_hello(&v);
	world_admit(&v);
	world_synced(&v);
	v.w->now += 1001;
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 0 && v.s->state == SESSION_LOGIN);
	world_end(&v);
}

static void
test_recorder_fails(void)
{
	world_begin(&v, WRITE, POLICY);
	world_run(&v);
	ring_fail(v.recorder, true);
	world_say(&v, "select 1\n"); /* before the worker's own look at it */
	CU_ASSERT(v.closed == 1 && v.why == SP_END_RECORDER);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* ---- verdicts ---- */

static void
test_denied(void)
{
	world_begin(&v, WRITE, POLICY);
	world_run(&v);
	world_say(&v, "delete all\n");
	CU_ASSERT(v.what == SP_DENY && v.because == SP_BY_RULE && v.s->denied == 1);
	CU_ASSERT_STRING_EQUAL(v.message, "blocked by rule \"no-delete\": no deletes");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "NO blocked by rule \"no-delete\": no deletes\n");
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), START " operation verdict why");
	world_say(&v, "select 1\n"); /* and the session lives on */
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_say(&v, "kill me\n");
	CU_ASSERT(v.closed == 1 && v.why == SP_END_RULE);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

static void
test_hold(void)
{
	world_begin(&v, WRITE, POLICY);
	world_run(&v);
	world_say(&v, "update x\n");
	const struct message *m = world_heard(&v, MSG_HOLD);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->f[1].q == 2 && sp_bytes_is(m->f[3].s, "agree") && sp_bytes_is(m->f[5].s, "dba") && m->f[7].q == 600000);
	world_held(&v, 2, "a1");
	CU_ASSERT(v.held == 1 && v.verdicts == 0);
	CU_ASSERT_STRING_EQUAL(v.hold, "a1");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	v.at_send[0] = '\0';
	world_decide(&v, 2, "a1", true);
	CU_ASSERT(v.verdicts == 1 && v.what == SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(v.at_send, START " operation why held verdict");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "update x\n");
	world_decide(&v, 2, "a1", true);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), ""); /* once */
	world_say(&v, "update x\n"); /* the next run needs its own */
	CU_ASSERT(v.verdicts == 1 && world_heard_times(&v, MSG_HOLD) == 2);
	world_held(&v, 3, "a2");
	world_decide(&v, 3, "a2", false);
	CU_ASSERT(v.verdicts == 2 && v.what == SP_DENY && v.because == SP_BY_PERSON);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* The keeper hears that others would wait, unless the rule accepts that (AP9). */
static void
test_hold_when_written(void)
{
	static const struct { const char *policy; bool wrote, refuse; } row[] = {
		{ AGREE, false, false }, { AGREE, true, true },
		{ "rule 'agree' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'dba', in_transaction = true } }", true, false },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		world_begin(&v, WRITE, row[i].policy);
		world_run(&v);
		sp_wrote(v.s, row[i].wrote);
		world_say(&v, "update x\n");
		const struct message *m = world_heard(&v, MSG_HOLD);
		CU_ASSERT(m != NULL && m->f[11].q == row[i].refuse);
		world_end(&v);
	}
}

/* A decision counts for the request it was made on, and for no other of the same operation. */
static void
test_two_approvals(void)
{
	world_begin(&v, WRITE, AGREE AGREE_TOO);
	world_run(&v);
	world_say(&v, "update x\n");
	world_held(&v, 2, "a1");
	world_decide(&v, 2, "a1", true);
	CU_ASSERT(v.verdicts == 0 && world_heard_times(&v, MSG_HOLD) == 2);
	world_decide(&v, 2, "a1", true); /* a new keeper tells it again, before it says what the second is called */
	CU_ASSERT_EQUAL(v.verdicts, 0);
	world_held(&v, 2, "a2");
	world_decide(&v, 2, "a1", true);
	CU_ASSERT_EQUAL(v.verdicts, 0);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_decide(&v, 2, "a2", true);
	CU_ASSERT(v.verdicts == 1 && v.what == SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "update x\n");
	world_end(&v);
}

/* The rules changed while it was held: withdrawn, held anew, and the old request's yes is none for the new one. */
static void
test_hold_under_new_rules(void)
{
	world_begin(&v, WRITE, AGREE);
	world_run(&v);
	world_say(&v, "update x\n");
	world_held(&v, 2, "a1");
	world_epoch(&v, WRITE, AGREE);
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_WITHDRAW), 0); /* the same rule */
	world_epoch(&v, WRITE, AGREE_TOO);
	CU_ASSERT(world_heard_times(&v, MSG_WITHDRAW) == 1 && world_heard_times(&v, MSG_HOLD) == 2);
	world_decide(&v, 2, "a1", true); /* on its way when the rules changed */
	CU_ASSERT_EQUAL(v.verdicts, 0);
	world_held(&v, 2, "a2");
	world_epoch(&v, WRITE, "rule 'none' { on = 'toy.statement', when = { verb = 'update' }, deny = 'no updates' }");
	CU_ASSERT(v.verdicts == 1 && v.what == SP_DENY && world_heard_times(&v, MSG_WITHDRAW) == 2);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* A new rule ends the session of a held operation while others of it are there. */
static void
test_killed_by_new_rules(void)
{
	world_begin(&v, WRITE, AGREE);
	world_run(&v);
	world_say(&v, "update x\nupdate y\nselect 1\n");
	world_held(&v, 2, "a1");
	world_held(&v, 3, "a2");
	world_epoch(&v, WRITE, "rule 'out' { on = 'toy.statement', when = { verb = 'update' }, kill = 'out' }");
	CU_ASSERT(v.closed == 1 && v.why == SP_END_RULE);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
}

static void
test_withdrawn(void)
{
	world_begin(&v, WRITE, AGREE);
	world_run(&v);
	world_say(&v, "update x\nupdate y\n");
	world_held(&v, 2, "a1");
	sp_withdraw(v.op[0]);
	world_turn(&v);
	const struct message *m = world_heard(&v, MSG_WITHDRAW);
	CU_ASSERT(m != NULL && m->f[1].q == 2);
	world_decide(&v, 2, "a1", true);
	sp_op_free(&v.op[1]); /* given back while it is held */
	world_turn(&v);
	m = world_heard(&v, MSG_WITHDRAW);
	CU_ASSERT(m != NULL && m->f[1].q == 3);
	world_decide(&v, 3, "a2", true);
	CU_ASSERT_EQUAL(v.verdicts, 0);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* The keeper went away between the question and its answer: the next one is asked again. */
static void
test_held_by_another_keeper(void)
{
	world_begin(&v, WRITE, AGREE);
	world_run(&v);
	world_say(&v, "update x\n");
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_HOLD), 1);
	world_keeper_away(&v);
	world_say(&v, "update y\n"); /* nobody could be asked: no */
	CU_ASSERT(v.verdicts == 1 && v.what == SP_DENY);
	world_forget(&v);
	world_keeper(&v);
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_RESUME), 1);
	const struct message *m = world_heard(&v, MSG_HOLD);
	CU_ASSERT(m != NULL && m->f[1].q == 2 && world_heard_times(&v, MSG_HOLD) == 1);
	world_held(&v, 2, "a1");
	world_decide(&v, 2, "a1", true);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "update x\n");
	world_end(&v);
}

/* ---- expiry ---- */

static void
test_expired(void)
{
	world_begin(&v, WRITE, AGREE);
	world_run(&v);
	world_say(&v, "update x\n");
	world_held(&v, 2, "a1");
	session_set_expires(v.s, clock_wall_us() - 1);
	world_decide(&v, 2, "a1", true); /* agreed to, too late */
	CU_ASSERT(v.what == SP_DENY && strstr(v.message, "expired") != NULL);
	world_say(&v, "select 1\n");
	CU_ASSERT(v.closed == 1 && v.why == SP_END_EXPIRED);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* The wall's clock was put back: what was left then is over all the same; and forward: so is what ends by it. */
static void
test_expired_by_either_clock(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	session_set_expires(v.s, clock_wall_us() + 3600 * UINT64_C(1000000));
	CU_ASSERT_EQUAL(session_expired_us(v.s), 0);
	uint64_t ends = v.s->ends;
	v.s->ends = clock_mono_us() - 5;
	CU_ASSERT(session_expired_us(v.s) > 5);
	v.s->ends = ends;
	v.s->expires = clock_wall_us() - 5;
	CU_ASSERT(session_expired_us(v.s) > 5);
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_EXPIRED);
	world_end(&v);
}

/* `drain`: what runs may finish, and nothing new begins. */
static void
test_expired_while_running(void)
{
	world_begin(&v, WRITE " drain 1h;", NO_DELETE);
	world_run(&v);
	world_say(&v, "select 1\n");
	struct message m = { .type = MSG_EXPIRES, .f = { S(((struct sp_bytes){ v.s->id, ID_LEN })), Q(clock_wall_us() - 1) } };
	world_tell(&v, &m);
	session_tick(v.s);
	world_say(&v, "select 2\n");
	CU_ASSERT(v.what == SP_DENY && v.closed == 0);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	sp_op_free(&v.op[0]);
	sp_op_free(&v.op[1]);
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_EXPIRED);
	world_end(&v);
}

static void
test_notices(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	session_set_expires(v.s, clock_wall_us() + 299u * 1000000u);
	session_tick(v.s);
	session_tick(v.s);
	CU_ASSERT_EQUAL(v.notices, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "your access expires in 5 minutes");
	session_set_expires(v.s, clock_wall_us() + 30u * 1000000u); /* said too late, it would not be true */
	session_tick(v.s);
	CU_ASSERT(v.notices == 1 && v.s->warned == 2);
	world_end(&v);
}

static void
test_idle(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	((struct target *)(uintptr_t)v.s->target)->timeout.idle = 5000;
	v.w->now = v.s->active + 4999;
	session_tick(v.s);
	CU_ASSERT_EQUAL(v.s->state, SESSION_RUN);
	v.w->now = v.s->active + 5000;
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_IDLE);
	world_end(&v);
}

/* ---- the keeper ---- */

static void
test_keeper_away(void)
{
	world_begin(&v, WRITE " store_grace 30s;", NO_DELETE);
	world_connect(&v);
	world_hello(&v);
	world_keeper_away(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_WHO);
	world_keeper(&v); /* the new one knows of no question */
	CU_ASSERT(v.closed == 1 && strstr(v.end, "the keeper is away: nobody can be admitted now") != NULL);
	world_run(&v);
	int client = v.client;
	const struct sp_session *runs = v.s;
	world_keeper_away(&v);
	v.client = -1;
	world_connect(&v);
	world_hello(&v);
	CU_ASSERT(v.closed == 2 && strstr(v.end, "the keeper is away") != NULL);
	v.w->now = v.w->keeper_heard + 29999;
	keeper_tick(v.w);
	CU_ASSERT_EQUAL(runs->state, SESSION_RUN);
	v.w->now = v.w->keeper_heard + 30000;
	keeper_tick(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 3 && v.why == SP_END_REVOKED);
	close(client);
	world_end(&v);
}

/* It said that it leaves: who waits is asked for again, of the next one, with the same proof. */
static void
test_keeper_leaves(void)
{
	struct message leaving = { .type = MSG_LEAVING };
	world_begin(&v, WRITE, NO_DELETE);
	world_connect(&v);
	world_hello(&v);
	world_tell(&v, &leaving);
	world_keeper_away(&v);
	world_hear_anew(&v);
	session_kick(v.s);
	world_turn(&v);
	CU_ASSERT(v.closed == 0 && v.s->state == SESSION_WHO);
	world_keeper(&v);
	const struct message *again = world_heard(&v, MSG_AUTHENTICATE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(again);
	CU_ASSERT(sp_bytes_is(again->f[2].s, "s3cret-token") && sp_bytes_is(again->f[4].s, v.s->target_name));
	world_admit(&v);
	CU_ASSERT(v.closed == 0 && v.s->question == NULL);
	world_accept_target(&v);
	CU_ASSERT_EQUAL(v.s->state, SESSION_RUN);
	/* One that comes while it leaves is not even asked about; without a next one it hears so. */
	int client = v.client;
	v.client = -1;
	world_tell(&v, &leaving);
	world_hear_anew(&v);
	world_connect(&v);
	world_hello(&v);
	CU_ASSERT(v.s->state == SESSION_WHO && world_heard(&v, MSG_AUTHENTICATE) == NULL);
	world_keeper_away(&v);
	v.w->now = v.w->keeper_heard + 5000;
	keeper_tick(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && strstr(v.end, "the keeper is away") != NULL);
	close(client);
	world_end(&v);
}

/* Who has asked one that hangs hears so, long before the others' grace is over. */
static void
test_keeper_hangs(void)
{
	world_begin(&v, WRITE " store_grace 30s;", NO_DELETE);
	world_connect(&v);
	world_hello(&v);
	v.w->now = v.w->keeper_heard + 4999;
	keeper_tick(v.w);
	CU_ASSERT_EQUAL(v.s->state, SESSION_WHO);
	v.w->now = v.w->keeper_heard + 5000;
	keeper_tick(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_SHUTDOWN && strstr(v.end, "the keeper is away") != NULL);
	world_end(&v);
}

/* One that is there and says nothing is as good as away. */
static void
test_keeper_silent(void)
{
	world_begin(&v, WRITE " store_grace 5s;", NO_DELETE);
	world_run(&v);
	world_forget(&v);
	v.w->now = v.w->keeper_heard + 4999;
	keeper_tick(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 0 && world_heard(&v, MSG_DERIVE) != NULL); /* asked for a sign of life */
	v.w->now = v.w->keeper_heard + 5000;
	keeper_tick(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_REVOKED);
	world_end(&v);
}

/* A key of ours is the session's as long as it lives: a new keeper is told, too. */
static void
test_cancel_key(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	CU_ASSERT_EQUAL(sp_cancel_key(v.s, 7, SP_LIT("abc")), SP_EINTERNAL);
	CU_ASSERT_EQUAL(sp_cancel_key(v.s, 7, SP_LIT("k3y!")), SP_OK);
	world_forget(&v);
	world_keeper_away(&v);
	world_keeper(&v);
	const struct message *m = world_heard(&v, MSG_CANCEL_KEY);
	CU_ASSERT(m != NULL && m->f[1].q == 7 && sp_bytes_is(m->f[2].s, "k3y!"));
	world_end(&v);
}

static struct {
	unsigned n;
	bool ok, found;
	char value[16];
} fact;

static int
take_fact(struct sp_session *s, const struct sp_shared *f)
{
	(void)s;
	fact.n++;
	fact.ok = f->ok;
	fact.found = f->found;
	(void)snprintf(fact.value, sizeof(fact.value), "%.*s", (int)f->value.len, f->value.p == NULL ? "" : (const char *)f->value.p);
	return SP_OK;
}

static void
answer_fact(uint32_t id, bool ok, bool found, const char *value, uint64_t ms)
{
	struct message m = { .type = MSG_SHARED, .id = id, .f = { S(((struct sp_bytes){ v.s->id, ID_LEN })), Q(ok), Q(found), Z(value), Q(ms) } };
	world_tell(&v, &m);
}

/* One question at a time; late answers are nobody's; what was read is known for a while; a new keeper is asked anew. */
static void
test_share(void)
{
	static const uint8_t long_key[SP_SHARE_KEY + 1] = { 1 }, long_value[SP_SHARE_VALUE + 1] = { 1 };
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k")), SP_EPROTO); /* nobody to answer */
	toy.shared = take_fact;
	memset(&fact, 0, sizeof(fact));
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("")), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, (struct sp_bytes){ long_key, sizeof(long_key) }), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_share_put(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k"), (struct sp_bytes){ long_value, sizeof(long_value) }, 1), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_share_put(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k"), SP_LIT("v"), 0), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_share_put(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k"), SP_LIT("v"), SP_SHARE_TTL + 1), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_share_get(v.s, (enum sp_share)2, SP_LIT("k")), SP_EPROTO);

	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k")), SP_OK);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("other")), SP_EPROTO); /* one at a time */
	world_turn(&v);
	const struct message *m = world_heard(&v, MSG_SHARE_GET);
	CU_ASSERT_FATAL(m != NULL && m->f[1].q == SP_SHARE_PRINCIPAL && sp_bytes_is(m->f[2].s, "k"));
	uint32_t id = m->id;
	answer_fact(id - 1, true, true, "old", 60000);
	CU_ASSERT_EQUAL(fact.n, 0);
	answer_fact(id, true, false, "", 0);
	CU_ASSERT(fact.n == 1 && fact.ok && !fact.found);
	answer_fact(id, true, true, "again", 60000); /* it was answered */
	CU_ASSERT_EQUAL(fact.n, 1);

	/* what was put is known at once, of that key and scope alone */
	CU_ASSERT_EQUAL(sp_share_put(v.s, SP_SHARE_TARGET, SP_LIT("k"), SP_LIT("mine"), 60000), SP_OK);
	world_turn(&v);
	m = world_heard(&v, MSG_SHARE_PUT);
	CU_ASSERT_FATAL(m != NULL && m->f[1].q == SP_SHARE_TARGET && sp_bytes_is(m->f[3].s, "mine") && m->f[4].q == 60000);
	answer_fact(m->id, true, false, "", 0);
	CU_ASSERT(fact.n == 2 && fact.ok && fact.found);
	world_hear_anew(&v);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_TARGET, SP_LIT("k")), SP_OK);
	CU_ASSERT(fact.n == 3 && fact.found && strcmp(fact.value, "mine") == 0);
	world_turn(&v);
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_SHARE_GET), 0);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k")), SP_OK);
	CU_ASSERT_EQUAL(fact.n, 3);

	/* the keeper goes between question and answer */
	world_keeper_away(&v);
	world_keeper(&v);
	m = world_heard(&v, MSG_SHARE_GET);
	CU_ASSERT_FATAL(m != NULL && world_heard_times(&v, MSG_RESUME) == 1);
	answer_fact(m->id, true, true, "short", 1); /* … for one ms */
	CU_ASSERT(fact.n == 4 && fact.found && strcmp(fact.value, "short") == 0);
	v.w->now += 2;
	world_hear_anew(&v);
	CU_ASSERT_EQUAL(sp_share_get(v.s, SP_SHARE_PRINCIPAL, SP_LIT("k")), SP_OK);
	world_turn(&v);
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_SHARE_GET), 1);
	CU_ASSERT_EQUAL(fact.n, 4);
	toy.shared = NULL;
	world_end(&v);
}

/* Each operation says so in the recording; the keeper hears of a name once. */
static void
test_group(void)
{
	static const uint8_t long_name[SP_GROUP_NAME + 1] = { 'x' };
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	world_forget(&v);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("")), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, (struct sp_bytes){ long_name, sizeof(long_name) }), SP_ETOOBIG);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("two words")), SP_EPROTO);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("line\n")), SP_EPROTO);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("one")), SP_OK);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("one")), SP_OK);
	world_turn(&v);
	const struct message *m = world_heard(&v, MSG_GROUP);
	CU_ASSERT(m != NULL && sp_bytes_is(m->f[1].s, "one") && world_heard_times(&v, MSG_GROUP) == 1);
	CU_ASSERT_EQUAL(sp_group(v.s, NULL, SP_LIT("two")), SP_OK);
	world_turn(&v);
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_GROUP), 2);
	record_publish(v.w);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "group group group");
	world_end(&v);
}

/* A connection of the gateway's own: told to the keeper, not recorded, gone when nobody needs it. */
static void
test_side_session(void)
{
	world_begin(&v, ALWAYS, NO_DELETE);
	world_run(&v);
	world_forget(&v);
	struct sp_session *client = v.s, *side = sp_side_session(v.s, "catalogue", &v);
	CU_ASSERT(side != NULL && sp_cookie(side) == &v && v.closed == 0);
	world_turn(&v);
	int own = accept(v.listening, NULL, NULL);
	CU_ASSERT(own >= 0 && side->state == SESSION_RUN);
	const struct message *m = world_heard(&v, MSG_SIDE);
	CU_ASSERT(m != NULL && sp_bytes_is(m->f[3].s, "catalogue") && world_heard(&v, MSG_OPENED) == NULL);
	session_enter_module(side);
	CU_ASSERT_EQUAL(sp_own_statement(side, SP_LIT("what is there?")), SP_OK);
	CU_ASSERT_EQUAL(sp_put(side, SP_TARGET, SP_LIT("what is there?")), SP_OK);
	(void)session_leave_module(side, SP_OK);
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "");
	char c[14];
	CU_ASSERT_EQUAL(recv(own, c, sizeof(c), MSG_DONTWAIT), 14);
	ring_fail(v.recorder, true); /* ends who is recorded, and not this one */
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.s == NULL && client != side && side->state == SESSION_RUN);
	close(own);
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 2);
	world_end(&v);
}

static void
test_killed_by_person(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	struct message m = { .type = MSG_KILL, .f = { S(((struct sp_bytes){ v.s->id, ID_LEN })), Q(99), Z("ended by bob") } };
	world_tell(&v, &m);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_REVOKED);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "BYE ended by bob");
	world_end(&v);
}

/* ---- dialling, and what a new configuration does ---- */

static void
test_no_target(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	close(v.listening);
	v.listening = -1;
	world_connect(&v);
	world_hello(&v);
	world_admit(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(v.end, "cannot reach target t: Connection refused");
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), START " end");
	world_end(&v);
}

/* A rule on sessions is asked before the target is dialled. */
static void
test_session_refused(void)
{
	world_begin(&v, WRITE, "rule 'nobody' { on = 'session', when = { user = 'ann' }, deny = 'not today' }");
	world_connect(&v);
	world_hello(&v);
	world_admit(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_REVOKED);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "BYE blocked by rule \"nobody\": not today");
	CU_ASSERT_EQUAL(accept(v.listening, NULL, NULL), -1);
	world_end(&v);
}

static void
test_new_rules(void)
{
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	world_say(&v, "update x\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	world_epoch(&v, WRITE, AGREE);
	world_say(&v, "delete x\nupdate x\n");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "update x\ndelete x\n");
	CU_ASSERT_EQUAL(world_heard_times(&v, MSG_HOLD), 1);
	v.s->principal.user = "eve"; /* not in `allow` */
	world_epoch(&v, WRITE, AGREE);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_REVOKED);
	world_end(&v);
}

/* Without its target a session is revoked, also while it logs in and waits for a connection of the gateway's own. */
static void
test_target_gone(void)
{
	for (unsigned logs_in = 0; logs_in < 2; logs_in++) {
		world_begin(&v, WRITE, NO_DELETE);
		v.slow_login = logs_in == 1;
		world_connect(&v);
		world_hello(&v);
		world_admit(&v);
		CU_ASSERT_EQUAL_FATAL(v.s->state, logs_in == 1 ? SESSION_LOGIN : SESSION_RUN);
		CU_ASSERT_PTR_NOT_NULL(sp_side_session(v.s, "catalogue", &v));
		world_turn(&v);
		(void)snprintf(v.target_name, sizeof(v.target_name), "u");
		world_epoch(&v, WRITE, NO_DELETE);
		CU_ASSERT_PTR_NULL(v.s);
		CU_ASSERT_STRING_EQUAL(world_read(v.client), "BYE the target is no longer configured");
		world_end(&v);
	}
}

/* A module that came later is not in this worker: it drains, and its sessions follow the new rules all the same. */
static void
test_new_module(void)
{
	const char *why = "";
	static const char other[] = WRITE "target u { protocol other; server 127.0.0.1:1; tls off; policy p.lua; allow users=ann; login user=gate; }"
	    "listener m { listen 127.0.0.1:2; protocol other; cleartext loopback; }";
	world_begin(&v, WRITE, NO_DELETE);
	world_run(&v);
	struct epoch *e = world_make_epoch(&v, other, AGREE);
	CU_ASSERT_EQUAL(worker_handler.epoch(v.w, e, &why), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(why, "a target's protocol has no module");
	epoch_free(&e);
	worker_handler.quit(v.w, true);
	world_epoch(&v, other, AGREE);
	world_say(&v, "delete x\n");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "delete x\n");
	world_end(&v);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "states", test_states },
		{ "refused", test_refused },
		{ "answers that come late", test_late_answers },
		{ "what came before a principal is wiped", test_wiped },
		{ "deadlines", test_deadlines },
		{ "recorded before it leaves", test_recorded_first },
		{ "on disk before it leaves", test_synced_first },
		{ "on disk in time", test_synced_in_groups },
		{ "the disk is too slow", test_disk_too_slow },
		{ "the disk was in time", test_disk_was_in_time },
		{ "the target is slow", test_slow_target },
		{ "the recorder fails", test_recorder_fails },
		{ "denied and killed", test_denied },
		{ "held", test_hold },
		{ "held when others would wait (AP9)", test_hold_when_written },
		{ "two approvals", test_two_approvals },
		{ "held under new rules", test_hold_under_new_rules },
		{ "killed by new rules", test_killed_by_new_rules },
		{ "withdrawn", test_withdrawn },
		{ "held, and the keeper went away", test_held_by_another_keeper },
		{ "expired", test_expired }, { "expired by either clock", test_expired_by_either_clock },
		{ "expired while something runs", test_expired_while_running },
		{ "notices", test_notices },
		{ "idle", test_idle },
		{ "the keeper is away", test_keeper_away },
		{ "the keeper leaves, and another comes", test_keeper_leaves },
		{ "the keeper hangs", test_keeper_hangs },
		{ "the keeper is silent", test_keeper_silent },
		{ "a cancel key", test_cancel_key },
		{ "facts beside sessions", test_share }, { "what belongs together", test_group },
		{ "a side session", test_side_session },
		{ "killed by a person", test_killed_by_person },
		{ "no target", test_no_target },
		{ "a session refused", test_session_refused },
		{ "new rules", test_new_rules },
		{ "a target that is gone", test_target_gone },
		{ "a module that came later", test_new_module },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("worker", tests);
}
