/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-recorder: rings in, files out; a tick while there is work, doorbells when there is none.
 */
#include <config.h>

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/role.h"
#include "../base/sandbox.h"
#include "recorder.h"

#define TICK_US 8000  /* P1: on disk within 20 ms */
#define REST_US 250000 /* asleep: signing, retention */

static struct role_process process;
static struct recorder recorder;
static struct link *keeper;
static struct event *tick;
static bool quitting;

/* ---- the loop ---- */

static void
tick_after(unsigned us)
{
	struct timeval tv = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
	event_add(tick, &tv);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	bool work = recorder_tick(&recorder);
	if (recorder_pressed(&recorder))
		tick_after(0);
	else if (work || !recorder_sleep(&recorder))
		tick_after(TICK_US);
	else
		tick_after(REST_US);
}

static void
on_bell(evutil_socket_t fd, short what, void *arg)
{
	uint64_t rung;
	(void)what;
	(void)arg;
	if (read(fd, &rung, sizeof(rung)) > 0)
		tick_after(recorder.options.sync == SYNC_ALWAYS ? 0 : TICK_US / 4);
}

/* ---- the keeper ---- */

static int
say(void *owner, const struct message *m)
{
	(void)owner;
	return keeper == NULL ? SP_EIO : link_send(keeper, m);
}

static int
fetch(const struct message *m)
{
	const char *err = "";
	int fd = recorder_fetch(&recorder, m->f[0].s, &err);
	const struct message answer = { .type = MSG_FETCHED, .id = m->id, .f = { S(m->f[0].s), Q(fd >= 0), Z(fd >= 0 ? "" : err) },
		.fd = { fd, -1, -1 }, .nfds = fd >= 0 ? 1 : 0 };
	int rc = link_send(keeper, &answer);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
on_keeper(void *owner, struct link *l, struct message *m)
{
	(void)owner;
	(void)l;
	switch (m->type) {
	case MSG_KEYS:
		return sign_keys(&recorder, m->f[0].s);
	case MSG_SIGNED:
		/* empty: the keeper would not sign, and its log says why */
		return m->f[0].s.len == 0 ? SP_OK : sign_answer(&recorder, m->f[0].s, m->f[1].s);
	case MSG_FETCH:
		return fetch(m);
	case MSG_AUDIT: {
		int rc = recorder_audit(&recorder, m->f[0].s);
		recorder.stage = recorder.stage == STAGE_IDLE ? STAGE_LINES : recorder.stage;
		tick_after(TICK_US);
		return rc;
	}
	default:
		return SP_EPROTO;
	}
}

static void
on_keeper_gone(void *owner, struct link *l, const char *why)
{
	(void)owner;
	(void)l;
	log_warn("the keeper is away: %s", why);
	link_free(&keeper);
	sign_keeper_gone(&recorder);
	if (quitting)
		role_end(&process, 0);
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
on_start(void *owner, struct epoch *e, const char **err_r)
{
	struct recorder *r = owner;
	const struct settings *s = &e->settings;
	struct options o;
	const struct paths p = { s->record.store, "", "", s->record.anchor };
	int rc = options_from(s, &o, err_r);
	if (rc == SP_OK)
		rc = recorder_open(r, &p, &o, err_r);
	tick = evtimer_new(process.base, on_tick, NULL);
	if (rc == SP_OK && lock_down(s) != SP_OK) {
		*err_r = "the sandbox can't be entered";
		rc = SP_EIO;
	}
	epoch_free(&e);
	if (rc == SP_OK)
		tick_after(TICK_US);
	return rc;
}

static int
on_epoch(void *owner, struct epoch *e, const char **err_r)
{
	struct recorder *r = owner;
	struct options o;
	int rc = options_from(&e->settings, &o, err_r);
	if (rc != SP_OK)
		return rc;
	r->options = o;
	epoch_free(&e);
	return SP_OK;
}

static int
on_link(void *owner, enum role peer, unsigned index, int fd)
{
	const struct link_handler h = { on_keeper, on_keeper_gone, owner };
	(void)index;
	if (peer != ROLE_KEEPER)
		return SP_EPROTO;
	link_free(&keeper);
	keeper = link_new(process.base, fd, ROLE_RECORDER, ROLE_KEEPER, 0, &h);
	recorder.send = say;
	return SP_OK;
}

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct recorder *r = owner;
	struct source *src;
	(void)l;
	if (m->type == MSG_WORKER_GONE) {
		recorder_worker_gone(r, (unsigned)m->f[0].q);
		tick_after(0);
		return SP_OK;
	}
	if (m->type != MSG_RING)
		return SP_EPROTO;
	int rc = recorder_ring(r, (unsigned)m->f[0].q, m->fd[0], m->fd[2], m->fd[1], &src);
	if (rc != SP_OK)
		return SP_OK; /* its worker sees that nothing is taken, and stops */
	m->fd[1] = m->fd[2] = -1;
	(void)fcntl(src->bell, F_SETFL, O_NONBLOCK);
	(void)fcntl(src->wake, F_SETFL, O_NONBLOCK);
	src->event = event_new(process.base, src->bell, EV_READ | EV_PERSIST, on_bell, src);
	event_add(src->event, NULL);
	tick_after(TICK_US);
	return SP_OK;
}

static void
on_reopen(void *owner, int audit, int access)
{
	recorder_reopen(owner, audit, access);
}

static void
end_now(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	role_end(&process, 0);
}

/* Everything is written at once; a moment is left for the keeper's last signatures. */
static void
on_quit(void *owner, bool graceful)
{
	struct timeval moment = { .tv_usec = 300000 };
	(void)graceful;
	quitting = true;
	recorder_finish(owner, true);
	if (keeper == NULL)
		role_end(&process, 0);
	else
		event_base_once(process.base, -1, EV_TIMEOUT, end_now, NULL, &moment);
}

int
main(int argc, char **argv)
{
	static const struct role_handler handler = { .start = on_start, .epoch = on_epoch, .link = on_link, .message = on_message,
		.reopen = on_reopen, .quit = on_quit };
	role_init(&process, ROLE_RECORDER, argc, argv, &handler, &recorder);
	int status = role_run(&process);
	recorder_close(&recorder);
	return status;
}
