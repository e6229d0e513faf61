/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner, and the queue before it. */
#include <config.h>

#include "lend_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "../base/helpers.h"
#include "../base/log.h"

enum { OUTPUT_MAX = 8192, ARGUMENTS = 64 };

struct waiting {
	struct waiting *next;
	uint32_t id;
	uint8_t session[ID_LEN];
	char *user;
	bool tell;
};

static struct {
	struct helper *h;
	int fd; /* to the spawner; -1: this lender is no command */
	struct event *event;
	struct waiting *first;
	char *text; /* of the command that the spawner has */
} own = { .fd = -1 };

/* ---- in the spawner ---- */

static void
run(const struct secret_command *c, int out)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", home[] = "HOME=/", locale[] = "LC_ALL=C.UTF-8";
	static char *const environment[] = { path, home, locale, NULL };
	char *argv[ARGUMENTS + 1] = { NULL };
	for (size_t i = 0; i < c->run.n && i < ARGUMENTS; i++)
		argv[i] = mem_string(sp_str(c->run.v[i]));
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 || close_range(3, ~0U, 0) != 0)
		_exit(126);
	(void)execve(argv[0], argv, environment);
	_exit(127);
}

/* Until it closes its output, is over its time, or says too much. */
static ssize_t
listen_to(int in, uint64_t deadline, uint8_t out[OUTPUT_MAX + 2])
{
	size_t len = 0;
	for (;;) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		uint64_t now = clock_mono_ms();
		if (now >= deadline || poll(&p, 1, (int)(deadline - now)) == 0)
			return -1;
		ssize_t n = read(in, out + len, OUTPUT_MAX + 2 - len);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return (ssize_t)len;
		len += n > 0 ? (size_t)n : 0;
		if (len == OUTPUT_MAX + 2)
			return (ssize_t)len;
	}
}

/* True when it ended by itself, and well; then, and else, all that it started is killed. */
static bool
ended_well(pid_t pid, uint64_t deadline)
{
	int status = 0;
	pid_t gone = 0;
	while ((gone = waitpid(pid, &status, WNOHANG)) == 0 && clock_mono_ms() < deadline)
		(void)usleep(2000);
	(void)kill(-pid, SIGKILL);
	if (gone == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	return gone == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* 0 and the secret, or 1 and why there is none. */
static size_t
run_once(const struct secret_command *c, uint8_t answer[OUTPUT_MAX + 8])
{
	int p[2];
	bool well = false;
	uint64_t deadline = clock_mono_ms() + c->timeout;
	pid_t pid = pipe2(p, O_CLOEXEC) == 0 ? fork() : -1;
	if (pid == 0)
		run(c, p[1]);
	const char *why = pid < 0 ? "it cannot be started" : NULL;
	uint8_t *out = answer + 1;
	ssize_t n = 0;
	if (pid > 0) {
		(void)close(p[1]);
		n = listen_to(p[0], deadline, out);
		(void)close(p[0]);
		well = ended_well(pid, n < 0 || n > OUTPUT_MAX ? 0 : deadline);
	}
	if (n > 0 && out[n - 1] == '\n')
		n--;
	if (why == NULL && n < 0)
		why = "it did not end in time";
	else if (why == NULL && n <= OUTPUT_MAX && !well)
		why = "it failed";
	else if (why == NULL && (n == 0 || n > OUTPUT_MAX || memchr(out, 0, (size_t)n) != NULL))
		why = "it printed nothing, too much, or a NUL";
	if (why != NULL)
		n = snprintf((char *)out, OUTPUT_MAX, "%s", why);
	answer[0] = why != NULL;
	return (size_t)n + 1;
}

static void
spawner(const struct secret_command *c, int fd)
{
	uint8_t go, answer[OUTPUT_MAX + 8];
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_DFL);
	while (read(fd, &go, 1) == 1) {
		size_t n = run_once(c, answer);
		bool sent = send(fd, answer, n, MSG_NOSIGNAL) == (ssize_t)n;
		mem_wipe(answer, sizeof(answer));
		if (!sent)
			break;
	}
	_exit(0);
}

/* ---- in the helper ---- */

static char *
text_of(const struct secret_command *c)
{
	struct buffer b = { 0 };
	int rc = buffer_printf(&b, "%llu", (unsigned long long)c->timeout);
	for (size_t i = 0; i < c->run.n && rc == SP_OK; i++)
		rc = buffer_printf(&b, "\n%s", c->run.v[i]);
	char *text = mem_string(rc == SP_OK ? buffer_bytes(&b) : SP_LIT(""));
	buffer_free(&b);
	return text;
}

static void
answer(const struct waiting *w, const uint8_t *p, size_t n)
{
	bool ok = n > 1 && p[0] == 0;
	struct sp_bytes said = { p + 1, n > 1 ? n - 1 : 0 };
	const struct message m = { .type = MSG_LENT, .id = w->id, .f = { S(((struct sp_bytes){ w->session, ID_LEN })), Q(ok), Z(ok ? w->user : ""),
	    S(ok ? said : ((struct sp_bytes){ NULL, 0 })), Q(0), S(ok ? ((struct sp_bytes){ NULL, 0 }) : said) } };
	if (w->tell)
		helper_answer(own.h, &m);
}

static void
drop_first(void)
{
	struct waiting *w = own.first;
	own.first = w->next;
	free(w->user);
	free(w);
}

static void
on_answer(evutil_socket_t fd, short what, void *owner)
{
	uint8_t text[OUTPUT_MAX + 8];
	(void)what, (void)owner;
	ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_error("who starts the command is gone");
		role_end(&own.h->process, 1);
		return;
	}
	if (own.first != NULL) {
		answer(own.first, text, (size_t)n);
		drop_first();
	}
	mem_wipe(text, sizeof(text));
}

int
command_open(struct helper *h, const char **err_r)
{
	const struct secret_command *c = helpers_command(&h->epoch->settings, h->process.index);
	int pair[2];
	own.h = h;
	if (c == NULL)
		return SP_OK;
	*err_r = "who starts the command cannot be started";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return SP_EIO;
	pid_t pid = fork();
	if (pid == 0) {
		(void)close_range(4, (unsigned)pair[1] - 1, 0);
		(void)close(ROLE_MASTER_FD);
		spawner(c, pair[1]);
	}
	(void)close(pair[1]);
	own.fd = pair[0];
	own.text = text_of(c);
	own.event = pid < 0 ? NULL : event_new(h->process.base, own.fd, EV_READ | EV_PERSIST, on_answer, NULL);
	return own.event != NULL && event_add(own.event, NULL) == 0 ? SP_OK : SP_EIO;
}

bool
command_same(const struct helper *h)
{
	const struct secret_command *c = helpers_command(&h->epoch->settings, h->process.index);
	char *text = c == NULL ? NULL : text_of(c);
	bool same = (text == NULL) == (own.text == NULL) && (text == NULL || strcmp(text, own.text) == 0);
	free(text);
	return same;
}

bool
command_job(struct helper *h, const json_t *job, const struct message *m)
{
	const char *what = json_string_value(json_object_get(job, "what")), *user = json_string_value(json_object_get(job, "user"));
	if (what == NULL || strcmp(what, "command") != 0 || m->f[0].s.len != ID_LEN)
		return false;
	if (m->type == MSG_RETURN) { /* nothing to do */
		const struct message done = { .type = MSG_RETURNED, .id = m->id, .f = { m->f[0], Q(1), Z(""), m->f[2] } };
		helper_answer(h, &done);
		return true;
	}
	struct waiting *w = mem_alloc(sizeof(*w)), **at = &own.first;
	*w = (struct waiting){ .id = m->id, .user = mem_string(sp_str(user == NULL ? "" : user)), .tell = true };
	memcpy(w->session, m->f[0].s.p, ID_LEN);
	if (own.fd < 0 || send(own.fd, "g", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
		static const char text[] = "\1too many wait for it, or another configuration is coming";
		answer(w, (const uint8_t *)text, sizeof(text) - 1);
		free(w->user);
		free(w);
		return true;
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = w;
	return true;
}

void
command_void(void)
{
	for (struct waiting *w = own.first; w != NULL; w = w->next)
		w->tell = false;
}

bool
command_idle(void)
{
	return own.first == NULL;
}
