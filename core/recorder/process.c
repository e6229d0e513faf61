/* SPDX-License-Identifier: Apache-2.0 */
/* What master and the keeper say to the recorder; a tick while there is work, doorbells when there is none. */
#include <config.h>

#include "process.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/sandbox.h"

#define TICK_US 12000  /* P1: on disk within 20 ms, the sync itself included: from tick to tick, so a long one is followed soon */
#define PAUSE_US 2000  /* the least of it for others */
#define FLOOD_US 500   /* …in a flood, which is not to be older than 20 ms either */
#define LATE_US 1500   /* the clock of the loop has milliseconds; a tick that comes later was waited for by others, and is done in one go */
#define POLITE_US 2000 /* one that is on time steps aside for them now and then, for so long */
#define REST_US 250000 /* asleep: signing, retention */

/* ---- the loop ---- */

static void
tick_after(struct recorder_process *p, unsigned us)
{
	struct timeval tv = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
	p->due = clock_mono_us() + us;
	event_add(p->tick, &tv);
}

/* Never later than it would come anyway: what is in the rings has its own time to be on disk. */
static void
tick_within(struct recorder_process *p, unsigned us)
{
	if (!event_pending(p->tick, EV_TIMEOUT, NULL) || clock_mono_us() + us < p->due)
		tick_after(p, us);
}

/* `sync always`: what is published is waited for. */
static unsigned
pause_of(const struct recorder_process *p, unsigned us)
{
	return p->recorder.options.sync == SYNC_ALWAYS ? 0 : us;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct recorder_process *p = arg;
	uint64_t begun = clock_mono_us();
	(void)fd;
	(void)what;
	p->recorder.polite = begun < p->due + LATE_US ? begun + POLITE_US : 0;
	bool work = recorder_tick(&p->recorder);
	uint64_t used = clock_mono_us() - begun;
	unsigned pause = p->recorder.straight > 0 ? FLOOD_US : used < TICK_US - PAUSE_US ? TICK_US - (unsigned)used : PAUSE_US;
	if (recorder_pressed(&p->recorder))
		tick_after(p, 0);
	else if (work || !recorder_sleep(&p->recorder))
		tick_after(p, work && !p->recorder.failing ? pause_of(p, pause) : TICK_US);
	else
		tick_after(p, REST_US);
}

static void
on_bell(evutil_socket_t fd, short what, void *arg)
{
	struct recorder_process *p = arg;
	uint64_t rung;
	(void)what;
	if (read(fd, &rung, sizeof(rung)) > 0)
		tick_within(p, pause_of(p, p->recorder.straight > 0 ? FLOOD_US : TICK_US / 4));
}

/* ---- the keeper ---- */

static int
say(void *owner, const struct message *m)
{
	const struct recorder_process *p = owner;
	return p->keeper == NULL ? SP_EIO : link_send(p->keeper, m);
}

static int
fetch(struct recorder_process *p, const struct message *m)
{
	const char *err = "";
	int fd = recorder_fetch(&p->recorder, m->f[0].s, &err);
	const struct message answer = { .type = MSG_FETCHED, .id = m->id, .f = { S(m->f[0].s), Q(fd >= 0), Z(fd >= 0 ? "" : err) },
		.fd = { fd, -1, -1 }, .nfds = fd >= 0 ? 1 : 0 };
	int rc = link_send(p->keeper, &answer);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
measure(struct recorder_process *p)
{
	char *text = counts_json(&p->recorder);
	int rc = link_send(p->keeper, &(struct message){ .type = MSG_MEASURED, .f = { Z(text == NULL ? "" : text) } });
	free(text);
	return rc;
}

static int
on_keeper(void *owner, struct link *l, struct message *m)
{
	struct recorder_process *p = owner;
	struct recorder *r = &p->recorder;
	int rc;
	(void)l;
	switch (m->type) {
	case MSG_KEYS:
		return sign_keys(r, m->f[0].s);
	case MSG_SIGNED:
		/* empty: the keeper would not sign, and its log says why */
		return m->f[0].s.len == 0 ? SP_OK : sign_answer(r, m->f[0].s, m->f[1].s);
	case MSG_FETCH:
		return fetch(p, m);
	case MSG_MEASURE:
		return measure(p);
	case MSG_AUDIT:
		rc = recorder_audit(r, m->f[0].s);
		r->stage = r->stage == STAGE_IDLE ? STAGE_LINES : r->stage;
		tick_within(p, TICK_US);
		return rc;
	default:
		return SP_EPROTO;
	}
}

static void
on_keeper_gone(void *owner, struct link *l, const char *why)
{
	struct recorder_process *p = owner;
	(void)l;
	log_warn("the keeper is away: %s", why);
	link_free(&p->keeper);
	sign_keeper_gone(&p->recorder);
	if (p->quitting)
		role_end(&p->role, 0);
}

/* ---- master ---- */

static int
lock_down(const struct settings *s)
{
	/* a folder above a file that is reopened by master needs nothing: master hands the new fd */
	const char *write[2] = { s->record.store, NULL };
	const struct sandbox_paths paths = { NULL, write };
	return sandbox_enter(ROLE_RECORDER, &paths);
}

static int
tell_master(void *owner, struct sp_bytes line)
{
	const struct recorder_process *p = owner;
	return p->role.master == NULL ? SP_EIO : link_send(p->role.master, &(struct message){ .type = MSG_ANCHOR, .f = { S(line) } });
}

int
recorder_process_open(struct recorder_process *p, const struct settings *s, const char **err_r)
{
	struct options o;
	const struct paths paths = { s->record.store, "", "", s->record.anchor, "/proc/sys/kernel/random/boot_id" };
	int rc = options_from(s, &o, err_r);
	if (rc == SP_OK)
		rc = recorder_open(&p->recorder, &paths, &o, err_r);
	if (rc != SP_OK)
		return rc;
	p->recorder.anchor = tell_master;
	p->recorder.anchor_owner = p;
	p->tick = evtimer_new(p->role.base, on_tick, p);
	tick_after(p, TICK_US);
	return SP_OK;
}

static int
on_start(void *owner, struct epoch *e, const char **err_r)
{
	int rc = recorder_process_open(owner, &e->settings, err_r);
	if (rc == SP_OK && lock_down(&e->settings) != SP_OK) {
		*err_r = "the sandbox can't be entered";
		rc = SP_EIO;
	}
	epoch_free(&e);
	return rc;
}

static int
on_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct recorder_process *p = owner;
	struct options o;
	int rc = options_from(&e->settings, &o, err_r);
	if (rc != SP_OK)
		return rc;
	p->recorder.options = o;
	epoch_free(&e);
	return SP_OK;
}

static int
on_link(void *owner, enum role peer, unsigned index, int fd)
{
	struct recorder_process *p = owner;
	const struct link_handler h = { on_keeper, on_keeper_gone, owner };
	(void)index;
	if (peer != ROLE_KEEPER) {
		close(fd);
		return SP_EPROTO;
	}
	link_free(&p->keeper);
	p->keeper = link_new(p->role.base, fd, ROLE_RECORDER, ROLE_KEEPER, 0, &h);
	p->recorder.send = say;
	p->recorder.send_owner = p;
	return SP_OK;
}

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct recorder_process *p = owner;
	struct source *src;
	(void)l;
	if (m->type == MSG_WORKER_GONE) {
		recorder_worker_gone(&p->recorder, (unsigned)m->f[0].q);
		tick_after(p, 0);
		return SP_OK;
	}
	if (m->type != MSG_RING)
		return SP_EPROTO;
	int rc = recorder_ring(&p->recorder, (unsigned)m->f[0].q, m->fd[0], m->fd[2], m->fd[1], &src);
	if (rc != SP_OK)
		return SP_OK; /* its worker sees that nothing is taken, and stops */
	m->fd[1] = m->fd[2] = -1;
	(void)fcntl(src->bell, F_SETFL, O_NONBLOCK);
	(void)fcntl(src->wake, F_SETFL, O_NONBLOCK);
	src->event = event_new(p->role.base, src->bell, EV_READ | EV_PERSIST, on_bell, p);
	event_add(src->event, NULL);
	tick_after(p, TICK_US);
	return SP_OK;
}

static void
on_reopen(void *owner, int audit, int access)
{
	struct recorder_process *p = owner;
	recorder_reopen(&p->recorder, audit, access);
}

static void
end_now(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	role_end(arg, 0);
}

/*
 * Everything is written at once; a moment is left for the keeper's last signatures.  Gracefully: another recorder follows
 * at once, and goes on with the sessions as after a crash; else there is none, and what has no end yet is torn.
 */
static void
on_quit(void *owner, bool graceful)
{
	struct timeval moment = { .tv_usec = 300000 };
	struct recorder_process *p = owner;
	p->quitting = true;
	recorder_finish(&p->recorder, !graceful);
	if (p->keeper == NULL || graceful)
		role_end(&p->role, 0);
	else
		event_base_once(p->role.base, -1, EV_TIMEOUT, end_now, &p->role, &moment);
}

const struct role_handler recorder_handler = { .start = on_start, .epoch = on_epoch, .link = on_link, .message = on_message,
	.reopen = on_reopen, .quit = on_quit };
