/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-dial: connects to sockets of this machine's for targets with `server unix:PATH`, a Docker engine's say.
 *
 *   keeper ─ MSG_DIAL ─▶ is it a target of the epoch's? connect ─ MSG_DIALED, the descriptor ─▶ keeper, and on to the worker
 *
 * It alone has the groups that may (the system's, of its user), and never reads or writes what it connects.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/log.h"
#include "helper.h"

static bool
is_target(const struct helper *h, struct sp_bytes path)
{
	for (const struct target *t = h->epoch->settings.targets; t != NULL; t = (const struct target *)t->b.next) {
		const char *own = settings_unix(t->server);
		if (own != NULL && sp_bytes_is(path, own))
			return true;
	}
	return false;
}

/* The descriptor, or -1 and why. */
static int
connect_to(const struct helper *h, struct sp_bytes path, const char **why_r)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	*why_r = "it is no target's";
	if (!is_target(h, path) || path.len >= sizeof(at.sun_path))
		return -1;
	memcpy(at.sun_path, path.p, path.len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	*why_r = strerror(errno); /* also EAGAIN: too many wait there already */
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static int
dial(struct helper *h, struct message *m)
{
	if (m->type != MSG_DIAL)
		return SP_EPROTO;
	const char *why;
	int fd = connect_to(h, m->f[1].s, &why);
	if (fd < 0)
		log_warn("%s cannot be connected: %s", log_quote(m->f[1].s), why);
	const struct message done = { .type = MSG_DIALED, .f = { m->f[0], Q(fd >= 0), Z(fd >= 0 ? "" : why) }, .fd = { fd, -1, -1 }, .nfds = fd >= 0 };
	helper_answer(h, &done);
	if (fd >= 0)
		(void)close(fd); /* a copy went */
	return SP_OK;
}

int
main(int argc, char **argv)
{
	static const struct helper_kind kind = { .role = ROLE_DIAL, .job = dial };
	return helper_main(&kind, argc, argv);
}
