/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport` as a process of its own, forked from the test, and a gateway that answers it word for word
 * what the test says: one prepared answer for each connection, in their order.
 */
#ifndef COMMAND_WORLD_H
#define COMMAND_WORLD_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "files.h"

#define SAID (4u << 20)

int command_main(int argc, char **argv); /* main() of core/command/main.c */

static struct {
	char folder[64], socket[96];
	const char *const *answer; /* what the gateway says, ends with NULL; NULL: there is none */
	unsigned asked;            /* how many connections came */
	char question[8][4096];    /* what each of them sent */
	int code;
	char out[SAID], err[SAID];
} command;

static inline void
command_begin(void)
{
	(void)snprintf(command.folder, sizeof(command.folder), "/tmp/sallyport-command.XXXXXX");
	if (mkdtemp(command.folder) == NULL)
		exit(1);
	(void)snprintf(command.socket, sizeof(command.socket), "%s/control.sock", command.folder);
	(void)setenv("SALLYPORT_CONTROL", command.socket, 1);
	(void)unsetenv("SALLYPORT_TOKEN");
}

static inline void
command_end(void)
{
	(void)files_remove(command.folder);
}

static inline const char *
command_file(const char *name, const char *text)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];
	(void)snprintf(p, sizeof(path[0]), "%s/%s", command.folder, name);
	FILE *f = text == NULL ? NULL : fopen(p, "w");
	if (text != NULL) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		(void)fputs(text, f);
		(void)fclose(f);
	}
	return p;
}

/* ---- the gateway ---- */

static inline int
command_listen(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(at.sun_path, command.socket, strlen(command.socket) + 1);
	(void)unlink(command.socket);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
	return fd;
}

static inline void
command_answer(int listener)
{
	char *q = command.question[command.asked % 8];
	size_t n = 0;
	int fd = accept(listener, NULL, NULL);
	const char *a = command.answer[command.asked], *head = NULL;
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	for (ssize_t got = 1; got > 0 && head == NULL; q[n] = '\0') {
		got = recv(fd, q + n, sizeof(command.question[0]) - 1 - n, 0);
		n += got > 0 ? (size_t)got : 0;
		q[n] = '\0';
		head = strstr(q, "\r\n\r\n");
		const char *length = strstr(q, "Content-Length: ");
		if (head != NULL && length != NULL && n < (size_t)(head + 4 - q) + strtoul(length + 16, NULL, 10))
			head = NULL; /* its body is on the way */
	}
	for (size_t at = 0, len = strlen(a); at < len;) {
		ssize_t put = send(fd, a + at, len - at, MSG_NOSIGNAL);
		at = put > 0 ? at + (size_t)put : len; /* it may hang up in the middle */
	}
	close(fd);
	command.asked++;
}

/* ---- the command ---- */

static inline void
command_read(FILE *f, char *into)
{
	rewind(f);
	into[fread(into, 1, SAID - 1, f)] = '\0';
	(void)fclose(f);
}

static inline void
command_child(char **argv, FILE *out, FILE *err)
{
	int argc = 0;
	while (argv[argc] != NULL)
		argc++;
	(void)dup2(fileno(out), STDOUT_FILENO);
	(void)dup2(fileno(err), STDERR_FILENO);
	exit(command_main(argc, argv));
}

/* Runs it with these words; the gateway's answers, when it has any, are used up one by one. */
static inline int
command_run(const char *const *answer, const char *const *words)
{
	char *argv[24] = { (char *)(uintptr_t)"sallyport" };
	FILE *out = tmpfile(), *err = tmpfile();
	int alive[2], listener = -1, status = 0;
	for (size_t i = 0; words[i] != NULL && i < 22; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	command.answer = answer;
	command.asked = 0;
	(void)unlink(command.socket);
	CU_ASSERT_FATAL(out != NULL && err != NULL && pipe(alive) == 0);
	if (answer != NULL)
		listener = command_listen();
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(alive[0]);
		command_child(argv, out, err);
	}
	close(alive[1]);
	struct pollfd wait[2] = { { .fd = alive[0], .events = POLLIN }, { .fd = listener, .events = POLLIN } };
	while (poll(wait, 2, -1) > 0 && wait[0].revents == 0)
		if (wait[1].revents != 0)
			command_answer(listener);
	close(alive[0]);
	if (listener >= 0)
		close(listener);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	command.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	command_read(out, command.out);
	command_read(err, command.err);
	return command.code;
}

#define RUN(answer, ...) command_run(answer, (const char *const[]){ __VA_ARGS__, NULL })
#define ANSWER(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* What is expected of the last run; prints what came instead. */
static inline void
command_expect(int code, const char *out, const char *err)
{
	bool good = command.code == code && (out == NULL ? command.out[0] == '\0' : strstr(command.out, out) != NULL) &&
	    (err == NULL ? command.err[0] == '\0' : strstr(command.err, err) != NULL);
	if (!good)
		printf("\n  wanted %d, \"%s\", \"%s\"\n  got    %d, \"%.2000s\", \"%.2000s\"\n", code, out == NULL ? "" : out, err == NULL ? "" : err,
		    command.code, command.out, command.err);
	CU_ASSERT(good);
}

#endif
