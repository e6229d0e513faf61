/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: a job whose token lives shorter than the job.
 *
 *   --token-command ─▶ token ─▶ files that the job reads ─▶ the job
 *          ▲                                                  │
 *          └── before its end: a fresh one, into the files, and POST /renew, so that open sessions go on
 *
 * What the job finds in its environment: SALLYPORT_TOKEN_FILE, and PGPASSFILE for libpq, which reads it at each connection;
 * never the token itself, which would be an old one soon.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/digest.h"
#include "command.h"

#define TOKEN_MAX (64u << 10)
#define COMMAND_WORDS 32
#define LEAD 60           /* seconds before its end that a token is renewed; less, when it lives shorter than three times that */
#define AGAIN 5           /* seconds after a failure */
#define LONGEST 3600      /* seconds that one sleeps at most */

struct job {
	struct run *r;
	const char *command;  /* that prints a token */
	char folder[256];
	char *token;          /* by which its sessions live */
	int64_t issued, expires; /* seconds */
	pid_t pid;
};

static volatile sig_atomic_t child;

static void
pass_on(int signal_number)
{
	if (child > 0)
		(void)kill((pid_t)child, signal_number);
}

/* ---- tokens ---- */

/* When it was issued and when it ends, as it says itself: only to know when to ask for the next. */
static int
read_dates(const char *token, int64_t *issued_r, int64_t *expires_r)
{
	struct sp_reader r = sp_reader(sp_str(token));
	struct buffer text = { .max = TOKEN_MAX };
	(void)sp_rd_until(&r, '.');
	struct sp_bytes claims = sp_rd_until(&r, '.');
	json_t *j = NULL;
	if (!r.bad && text_unbase64url(claims, &text) == SP_OK && text.len > 0)
		j = json_loadb((const char *)buffer_bytes(&text).p, text.len, 0, NULL);
	buffer_free(&text);
	*issued_r = (int64_t)json_integer_value(json_object_get(j, "iat"));
	*expires_r = (int64_t)json_integer_value(json_object_get(j, "exp"));
	json_decref(j);
	return *expires_r > 0 ? DONE : FAILED;
}

/* Words between spaces, and no shell: what needs more is a script. */
static void
become_command(const char *command, int out)
{
	char *words = mem_string(sp_str(command)), *rest = NULL, *argv[COMMAND_WORDS + 1];
	size_t n = 0;
	for (char *word = strtok_r(words, " ", &rest); word != NULL && n < COMMAND_WORDS; word = strtok_r(NULL, " ", &rest))
		argv[n++] = word;
	argv[n] = NULL;
	if (n > 0 && dup2(out, STDOUT_FILENO) >= 0)
		(void)execvp(argv[0], argv);
	(void)failed("%s: %s", command, strerror(errno));
	_exit(127);
}

/* All that it prints, up to a bound. */
static size_t
read_all(int fd, char *text, size_t size)
{
	size_t n = 0;
	ssize_t got = 1;
	while (n < size - 1 && (got > 0 || (got < 0 && errno == EINTR))) {
		got = read(fd, text + n, size - 1 - n);
		n += got > 0 ? (size_t)got : 0;
	}
	text[n] = '\0';
	return n;
}

/* The first line of what the command prints. */
static char *
ask_for_token(const char *command)
{
	char *text = mem_alloc(TOKEN_MAX);
	int pair[2], status = -1;
	if (pipe2(pair, O_CLOEXEC) == 0) {
		(void)fflush(NULL);
		pid_t pid = fork();
		if (pid == 0)
			become_command(command, pair[1]);
		(void)close(pair[1]);
		if (pid > 0) {
			(void)read_all(pair[0], text, TOKEN_MAX);
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
		}
		(void)close(pair[0]);
	}
	text[strcspn(text, " \t\r\n")] = '\0';
	if (status == 0 && text[0] != '\0')
		return text;
	(void)failed("the token command %s", status != 0 ? "failed" : "printed nothing");
	free(text);
	return NULL;
}

/* ---- the job's files ---- */

static int
write_file(const struct job *j, const char *name, const char *before, const char *text)
{
	char path[300], next[310];
	(void)snprintf(path, sizeof(path), "%s/%s", j->folder, name);
	(void)snprintf(next, sizeof(next), "%s.next", path);
	int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (out == NULL)
		return failed("%s: %s", next, strerror(errno));
	(void)fprintf(out, "%s%s\n", before, text);
	if (fclose(out) != 0 || rename(next, path) != 0)
		return failed("%s: %s", path, strerror(errno));
	return DONE;
}

static int
write_files(const struct job *j)
{
	int rc = write_file(j, "token", "", j->token);
	return rc == DONE ? write_file(j, "pgpass", "*:*:*:*:", j->token) : rc;
}

static void
remove_files(const struct job *j)
{
	static const char *const names[] = { "token", "pgpass", "token.next", "pgpass.next" };
	char path[300];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", j->folder, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(j->folder);
}

static int
make_folder(struct job *j)
{
	const char *at = getenv("XDG_RUNTIME_DIR");
	if (at == NULL || at[0] != '/')
		at = getenv("TMPDIR");
	(void)snprintf(j->folder, sizeof(j->folder), "%s/sallyport-run.XXXXXX", at == NULL || at[0] != '/' ? "/tmp" : at);
	return mkdtemp(j->folder) == NULL ? failed("%s: %s", j->folder, strerror(errno)) : DONE;
}

/* ---- renewing ---- */

static int64_t
next_at(const struct job *j)
{
	int64_t lead = j->expires > j->issued && (j->expires - j->issued) / 3 < LEAD ? (j->expires - j->issued) / 3 : LEAD;
	return j->expires - lead;
}

/* DONE: the sessions live by the fresh one now. */
static int
renew(struct job *j)
{
	int64_t issued, expires;
	json_t *answer = NULL;
	char *fresh = ask_for_token(j->command);
	if (fresh == NULL)
		return FAILED;
	if (read_dates(fresh, &issued, &expires) != DONE || expires <= j->expires) {
		free(fresh);
		return failed("the token command gave no token that ends later than the last one");
	}
	int rc = client_call(j->r, "POST", "/api/v1/renew", json_pack("{s:s,s:s}", "old", j->token, "token", fresh), &answer);
	json_decref(answer);
	if (rc != DONE) {
		free(fresh);
		return rc;
	}
	mem_wipe(j->token, strlen(j->token));
	free(j->token);
	j->token = fresh;
	j->issued = issued;
	j->expires = expires;
	return write_files(j);
}

/* ---- the job ---- */

static void
become(const struct job *j)
{
	char path[300];
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	(void)snprintf(path, sizeof(path), "%s/token", j->folder);
	(void)setenv("SALLYPORT_TOKEN_FILE", path, 1);
	(void)snprintf(path, sizeof(path), "%s/pgpass", j->folder);
	(void)setenv("PGPASSFILE", path, 1);
	(void)setenv("PGUSER", "token", 0);
	(void)unsetenv("PGPASSWORD");
	(void)unsetenv("SALLYPORT_TOKEN");
	(void)execvp(j->r->rest[0], j->r->rest);
	(void)failed("%s: %s", j->r->rest[0], strerror(errno));
	_exit(127);
}

static int
start(struct job *j)
{
	const struct sigaction on = { .sa_handler = pass_on };
	(void)fflush(NULL);
	j->pid = fork();
	if (j->pid == 0)
		become(j);
	if (j->pid < 0)
		return failed("no process for the job: %s", strerror(errno));
	child = (sig_atomic_t)j->pid;
	/* From a terminal they reach the job by themselves. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)sigaction(SIGTERM, &on, NULL);
	(void)sigaction(SIGHUP, &on, NULL);
	return DONE;
}

/* Its exit status, as a shell would say it. */
static int
watch(struct job *j)
{
	int status = 0;
	int64_t at = next_at(j);
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, j->pid, 0), .events = POLLIN };
	if (ended.fd < 0)
		(void)failed("this kernel cannot watch the job: its token will not be renewed");
	while (ended.fd >= 0) {
		int64_t wait = at - (int64_t)time(NULL);
		int n = poll(&ended, 1, (int)(wait <= 0 ? 0 : wait > LONGEST ? LONGEST : wait) * 1000);
		if (n > 0 || (n < 0 && errno != EINTR))
			break;
		if (n == 0 && (int64_t)time(NULL) >= at)
			at = renew(j) == DONE ? next_at(j) : (int64_t)time(NULL) + AGAIN;
	}
	while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ended.fd >= 0)
		(void)close(ended.fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
run_run(struct run *r)
{
	struct job j = { .r = r, .command = option(r, "token-command") };
	if (j.command == NULL || j.command[0] == '\0')
		return misused(r, "it needs --token-command COMMAND, which prints a token");
	if (r->rest == NULL || r->rest[0] == NULL)
		return misused(r, "the job stands behind --: sallyport run --token-command … -- COMMAND");
	r->nobody = true; /* the tokens are proof enough */
	j.token = ask_for_token(j.command);
	if (j.token == NULL)
		return FAILED;
	int rc = read_dates(j.token, &j.issued, &j.expires);
	if (rc != DONE)
		(void)failed("what the token command printed is no token with an end");
	if (rc == DONE)
		rc = make_folder(&j);
	if (rc == DONE) {
		rc = write_files(&j);
		if (rc == DONE)
			rc = start(&j);
		if (rc == DONE)
			rc = watch(&j);
		remove_files(&j);
	}
	mem_wipe(j.token, strlen(j.token));
	free(j.token);
	return rc;
}
