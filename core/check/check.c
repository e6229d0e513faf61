/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check process: the only one that reads the configuration's text, and never as root.
 *
 *   sallyport-check --serve CONF      for master: the answer goes over fd 3, with the sealed epoch
 *   sallyport-check -t CONF           for people: what is wrong, or that nothing is
 *   sallyport-check -T CONF           the configuration as read
 *   sallyport-check --pid-file CONF   where the running master's process id is
 */
#include <config.h>

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../base/link.h"
#include "../base/log.h"
#include "../base/role.h"
#include "try.h"

#define ANSWER_MS 5000
#define STACK_BYTES (256u << 20)

/* ---- for people ---- */

/* Root reads nothing here: modules and policies run code.  The default user is who workers are. */
static void
give_up_root(void)
{
	const struct passwd *pw = geteuid() == 0 ? getpwnam("sallyport") : NULL;
	if (pw == NULL)
		return;
	if (setgroups(1, &pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0) {
		fputs("sallyport-check: cannot give up root\n", stderr);
		exit(1);
	}
}

static void
say(FILE *to, const struct buffer *b)
{
	if (b->len > 0)
		fwrite(buffer_bytes(b).p, 1, b->len, to);
}

static int
test(const char *path, const struct epoch *e)
{
	struct trial t = { 0 };
	trial_run(e, &t);
	say(stderr, &t.warnings);
	say(stderr, &t.text);
	if (geteuid() != 0 && getpwnam(e->settings.user) == NULL)
		fprintf(stderr, "warning: there is no user %s: without root and four users the processes can reach one another\n", e->settings.user);
	if (t.problems == 0)
		printf("%s: syntax is ok, %u targets, %u modules, %u policy tests passed\n", path, t.targets, t.modules, t.tests);
	else
		fprintf(stderr, "%s: test failed: %u problems\n", path, t.problems);
	buffer_free(&t.text);
	buffer_free(&t.warnings);
	return t.problems == 0 ? 0 : 1;
}

static int
print(const struct epoch *e)
{
	struct buffer out = { 0 };
	if (conf_print(e->tree, &out) != SP_OK)
		return 1;
	say(stdout, &out);
	buffer_free(&out);
	return 0;
}

static int
for_people(const char *what, const char *path)
{
	struct epoch *e = NULL;
	const char *err = NULL;
	give_up_root();
	log_init("check", STDERR_FILENO, SP_WARN);
	if (epoch_read(path, &e, &err) != SP_OK) {
		fprintf(stderr, "%s\n", err == NULL ? path : err);
		return 1;
	}
	int status = 2;
	if (strcmp(what, "-t") == 0)
		status = test(path, e);
	else if (strcmp(what, "-T") == 0)
		status = print(e);
	else if (strcmp(what, "--pid-file") == 0)
		status = puts(e->settings.pid) < 0;
	epoch_free(&e);
	return status;
}

/* ---- for master ---- */

static int
told(void *owner, struct link *l, struct message *m)
{
	(void)owner;
	(void)l;
	(void)m;
	return SP_EPROTO; /* nobody has anything to say to us */
}

static void
gone(void *owner, struct link *l, const char *why)
{
	(void)owner;
	(void)l;
	(void)why;
}

static int
answer(bool ok, struct sp_bytes text, int fd)
{
	const struct link_handler h = { told, gone, NULL };
	struct event_base *base = event_base_new();
	struct link *l = link_new(base, ROLE_MASTER_FD, ROLE_CHECK, ROLE_MASTER, 0, &h);
	struct message m = { .type = MSG_CHECKED, .f = { Q(ok), S(text) }, .fd = { fd, -1, -1 }, .nfds = ok ? 1 : 0 };
	int rc = link_send(l, &m);
	link_flush(l, ANSWER_MS);
	link_free(&l);
	event_base_free(base);
	return rc == SP_OK ? 0 : 1;
}

static int
serve(const char *path)
{
	struct epoch *e = NULL;
	struct trial t = { 0 };
	const char *err = NULL;
	int fd = -1, status;
	log_init("check", STDERR_FILENO, SP_INFO);
	if (epoch_read(path, &e, &err) != SP_OK)
		return answer(false, sp_str(err == NULL ? "the configuration cannot be read" : err), -1);
	trial_run(e, &t);
	if (t.problems > 0)
		status = answer(false, buffer_bytes(&t.text), -1);
	else if (epoch_seal(e, EPOCH_ALL, &fd) != SP_OK)
		status = answer(false, SP_LIT("the configuration is too large"), -1);
	else
		status = answer(true, buffer_bytes(&t.warnings), fd);
	buffer_free(&t.text);
	buffer_free(&t.warnings);
	epoch_free(&e);
	return status;
}

/* Statements in policy tests are parsed here as in a worker: a stack as deep. */
static void
deep_stack(char **argv)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_STACK, &l) != 0 || l.rlim_cur == RLIM_INFINITY || l.rlim_cur >= STACK_BYTES || l.rlim_max < STACK_BYTES)
		return;
	l.rlim_cur = STACK_BYTES;
	if (setrlimit(RLIMIT_STACK, &l) == 0)
		execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("sallyport-check is a part of sallyportd: use sallyportd -t or -T\n", stderr);
		return 2;
	}
	role_no_dumps();
	deep_stack(argv);
	if (strcmp(argv[1], "--serve") == 0)
		return serve(argv[2]);
	return for_people(argv[1], argv[2]);
}
