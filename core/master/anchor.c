/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints on their way to a log host: RFC 5424 messages, RFC 5426 datagrams.
 *
 *   recorder ─ MSG_ANCHOR ─▶ master ─ UDP, connected, nothing is ever read from it ─▶ record { anchor syslog://… }
 *
 * The recorder has no network, and what it says goes to this one address only.  A name is looked up in a
 * process without rights: what a name server answers is not for master to read.
 */
#include <config.h>

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/ready.h"

#define LOOKUP_MS 10000
#define ANSWER_FD 3 /* of the process that looks a name up */
#define LINE_MAX_LEN 1500
#define PRIORITY (LOG_AUTHPRIV | LOG_NOTICE)

struct address {
	struct sockaddr_storage at;
	socklen_t len; /* 0: not found */
};

/* ---- the address ---- */

static void
look_up(const struct hostport *to, struct address *a_r)
{
	char port[8];
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
	hints.ai_flags |= to->literal ? AI_NUMERICHOST : 0;
	*a_r = (struct address){ .len = 0 };
	(void)snprintf(port, sizeof(port), "%u", (unsigned)to->port);
	if (getaddrinfo(to->host, port, &hints, &list) != 0 || list == NULL)
		return;
	memcpy(&a_r->at, list->ai_addr, list->ai_addrlen);
	a_r->len = list->ai_addrlen;
	freeaddrinfo(list);
}

/* Of master's descriptors it keeps the one to answer on, as 3, and the log. */
static bool
keep_only(int fd)
{
	if (fd != ANSWER_FD && dup2(fd, ANSWER_FD) < 0)
		return false;
	return close_range(ANSWER_FD + 1, ~0U, 0) == 0;
}

/* In another process, as the recorder's user. */
static void
look_up_elsewhere(struct master *m, const struct hostport *to, struct address *a_r)
{
	int fd[2];
	*a_r = (struct address){ .len = 0 };
	if (pipe2(fd, O_CLOEXEC) != 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		if (child_become(m, ROLE_RECORDER) != SP_OK || !keep_only(fd[1]))
			_exit(1);
		look_up(to, a_r);
		_exit(write(ANSWER_FD, a_r, sizeof(*a_r)) == (ssize_t)sizeof(*a_r) ? 0 : 1);
	}
	(void)close(fd[1]);
	bool whole = pid > 0 && ready_by(fd[0], POLLIN, clock_mono_ms() + LOOKUP_MS) && read(fd[0], a_r, sizeof(*a_r)) == (ssize_t)sizeof(*a_r);
	if (!whole || a_r->len > sizeof(a_r->at))
		a_r->len = 0;
	(void)close(fd[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

void
anchor_close(struct master *m)
{
	if (m->anchor.to != NULL)
		(void)close(m->anchor.fd);
	free(m->anchor.to);
	m->anchor = (struct anchor){ .fd = -1 };
}

int
anchor_open(struct master *m, const char *to)
{
	struct hostport host;
	struct address a;
	if (m->anchor.to != NULL && strcmp(m->anchor.to, to) == 0)
		return SP_OK;
	anchor_close(m);
	if (strncmp(to, "syslog://", 9) != 0)
		return SP_OK;
	if (settings_anchor_host(to, &host) != SP_OK)
		return SP_ECONF;
	if (host.literal)
		look_up(&host, &a);
	else
		look_up_elsewhere(m, &host, &a);
	if (a.len == 0) {
		log_error("record { anchor %s }: %s is not found; write its address instead, or start again when names can be looked up", to, host.host);
		return SP_EIO;
	}
	int fd = socket(a.at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a.at, a.len) != 0 || shutdown(fd, SHUT_RD) != 0) {
		log_error("record { anchor %s }: no datagram can be sent there: %s", to, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return SP_EIO;
	}
	m->anchor = (struct anchor){ .fd = fd, .to = strdup(to) };
	if (m->anchor.to == NULL)
		(void)close(fd);
	return m->anchor.to == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- messages ---- */

/* RFC 5424's HOSTNAME: printable ASCII, or "-". */
static const char *
host_name(char name[256])
{
	if (gethostname(name, 256) != 0)
		name[0] = '\0';
	name[255] = '\0';
	for (const char *p = name; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return "-";
	return name[0] == '\0' ? "-" : name;
}

/* What the recorder says may be anything: a log host gets an anchor's line or nothing. */
static bool
is_anchor_line(struct sp_bytes line)
{
	static const char mark[] = "sallyport-anchor ";
	if (line.len < sizeof(mark) || line.len > LINE_MAX_LEN - 300 || memcmp(line.p, mark, sizeof(mark) - 1) != 0)
		return false;
	for (size_t i = sizeof(mark) - 1; i < line.len; i++)
		if (line.p[i] != ' ' && (line.p[i] < '0' || line.p[i] > '9') && (line.p[i] < 'a' || line.p[i] > 'f'))
			return false;
	return true;
}

/* An error that an earlier datagram met comes with the next send, which is made once more. */
static bool
send_out(int fd, const char *text, size_t n, int *error_r)
{
	bool sent = send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
	*error_r = sent ? 0 : errno;
	if (!sent && errno == ECONNREFUSED)
		(void)send(fd, text, n, MSG_NOSIGNAL);
	return sent;
}

int
anchor_send(struct master *m, struct sp_bytes line)
{
	char text[LINE_MAX_LEN], when[32], name[256];
	int error;
	if (!is_anchor_line(line))
		return SP_EPROTO;
	if (m->anchor.to == NULL) {
		log_error("the anchor: the recorder has an entry for a log host, and there is none");
		return SP_OK;
	}
	int n = snprintf(text, sizeof(text), "<%d>1 %s %s sallyport %ld anchor - %.*s", PRIORITY, clock_format(clock_wall_us(), when),
	    host_name(name), (long)getpid(), (int)line.len, (const char *)line.p);
	if (n < 0 || (size_t)n >= sizeof(text))
		return SP_EINTERNAL;
	bool sent = send_out(m->anchor.fd, text, (size_t)n, &error);
	if (!sent && !m->anchor.deaf)
		log_error("the anchor: %s takes nothing: %s; entries until it does are not anchored", m->anchor.to, strerror(error));
	if (sent && m->anchor.deaf)
		log_info("the anchor: entries go to %s again", m->anchor.to);
	m->anchor.deaf = !sent;
	return SP_OK;
}
