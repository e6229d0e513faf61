/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's connections against a fake keeper: default deny of routes and arguments, limits,
 * keep-alive and pipelining, files in bounded memory, a keeper that dies.  Recordings: test_console_recordings.c.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/base/log.h"
#include "../../core/console/console.h"
#include "../../modules/http/http.h"
#include "cunit_main.h"

static struct console console;
static struct link *keeper; /* the fake's end */

/* What the fake keeper was asked last, and what it says. */
static struct {
	unsigned asked;
	uint64_t connection, call;
	char token[256], args[1024];
	unsigned status;
	const char *json;
	int fd;      /* goes with the answer, -1: none */
	bool silent;
} fake;

static int
on_console(void *owner, struct link *l, struct message *m)
{
	(void)owner;
	CU_ASSERT_EQUAL(m->type, MSG_CALL);
	fake.asked++;
	fake.connection = m->f[0].q;
	(void)snprintf(fake.token, sizeof(fake.token), "%.*s", (int)m->f[1].s.len, (const char *)m->f[1].s.p);
	fake.call = m->f[2].q;
	(void)snprintf(fake.args, sizeof(fake.args), "%.*s", (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	if (fake.silent)
		return SP_OK;
	struct message answer = { .type = MSG_RESULT, .id = m->id, .f = { Q(fake.status), Z(fake.json) }, .fd = { fake.fd, -1, -1 },
		.nfds = fake.fd >= 0 };
	return link_send(l, &answer);
}

static void
on_console_gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

static int
on_keeper_said(void *owner, struct link *l, struct message *m)
{
	(void)l;
	return ask_answered(owner, m);
}

static void
begin(void)
{
	int fd[2];
	console = (struct console){ .keeper = NULL };
	console.role.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler near = { on_keeper_said, on_console_gone, &console }, far = { on_console, on_console_gone, NULL };
	console.keeper = link_new(console.role.base, fd[0], ROLE_CONSOLE, ROLE_KEEPER, 0, &near);
	keeper = link_new(console.role.base, fd[1], ROLE_KEEPER, ROLE_CONSOLE, 0, &far);
	memset(&fake, 0, sizeof(fake));
	fake.status = 200;
	fake.json = "{\"yes\":1}";
	fake.fd = -1;
}

static void
end(void)
{
	while (console.callers != NULL) {
		struct caller *c = console.callers;
		caller_free(&c);
	}
	CU_ASSERT_PTR_NULL(console.asks);
	link_free(&console.keeper);
	link_free(&keeper);
	event_base_free(console.role.base);
}

static int
connect_caller(uint64_t connection)
{
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	caller_new(&console, fd[0], connection, 1000);
	return fd[1];
}

static void
loop(void)
{
	for (int i = 0; i < 50; i++)
		event_base_loop(console.role.base, EVLOOP_NONBLOCK);
}

static char reply[1 << 20];

/* Everything the caller gets while the loop runs. */
static const char *
hear(int fd)
{
	size_t n = 0;
	for (int i = 0; i < 200; i++) {
		loop();
		ssize_t got = recv(fd, reply + n, sizeof(reply) - 1 - n, MSG_DONTWAIT);
		if (got > 0)
			n += (size_t)got;
		else if (i > 2)
			break;
	}
	reply[n] = '\0';
	return reply;
}

static const char *
say(int fd, const char *text)
{
	size_t len = strlen(text);
	CU_ASSERT_EQUAL(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
	return hear(fd);
}

static bool
begins(const char *text, const char *with)
{
	bool yes = strncmp(text, with, strlen(with)) == 0;
	if (!yes)
		printf("\n  \"%.80s\" does not begin with \"%s\"\n", text, with);
	return yes;
}

#define HOST "Host: sallyport\r\n"

static void
test_call(void)
{
	begin();
	int fd = connect_caller(7);
	CU_ASSERT(begins(say(fd, "GET /api/v1/sessions?live=1&user=a%20b HTTP/1.1\r\n" HOST "Authorization: Bearer abc.def\r\n\r\n"),
	    "HTTP/1.1 200 OK\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "Content-Length: 9\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "Cache-Control: no-store\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\n\r\n{\"yes\":1}"));
	CU_ASSERT_EQUAL(fake.connection, 7);
	CU_ASSERT_EQUAL(fake.call, CALL_SESSIONS);
	CU_ASSERT_STRING_EQUAL(fake.token, "abc.def");
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"live\":true,\"user\":\"a b\"}");
	/* the same connection again, and two at once */
	CU_ASSERT(begins(say(fd, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\nGET /api/v1/keys HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply + 10, "HTTP/1.1 200"));
	CU_ASSERT_EQUAL(fake.call, CALL_KEYS);
	CU_ASSERT_STRING_EQUAL(fake.token, "");
	CU_ASSERT_EQUAL(fake.asked, 3);
	CU_ASSERT(begins(say(fd, "POST /api/v1/token HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nConnection: close\r\n"
				 "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"user\":\"ann\",\"g\r\n11\r\nroups\":[\"a\",\"b\"]}\r\n0\r\n\r\n"),
	    "HTTP/1.1 200"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"user\":\"ann\",\"groups\":[\"a\",\"b\"]}");
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "Connection: close\r\n"));
	CU_ASSERT_EQUAL(recv(fd, reply, 1, MSG_DONTWAIT), 0);
	close(fd);
	loop();
	CU_ASSERT_EQUAL(console.ncallers, 0);
	end();
}

#define POST_JSON(path, length, body) \
	"POST " path " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: " length "\r\n\r\n" body

static void
test_refused(void)
{
	static const struct {
		const char *request, *answer;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404" },
		{ "GET /api/v1/nothing HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404" },
		{ "GET /api/v1/whoami/ HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404" },
		{ "GET /api/v1/sessions/../keys HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions/%2e%2e HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions/a%41 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404" },
		{ "GET /api/v1/sessions/ABC HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404" },
		{ "DELETE /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405" },
		{ "POST /api/v1/whoami HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 405" },
		{ "GET /api/v1/whoami?x=1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions?live=perhaps HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions?user=a&user=b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions?user=%ff HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/sessions?id=abcd HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/search HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/whoami HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}", "HTTP/1.1 400" },
		{ "POST /api/v1/revoke?user=a HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 400" },
		{ "POST /api/v1/revoke HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 415" },
		{ POST_JSON("/api/v1/revoke", "8", "{\"x\": 1}"), "HTTP/1.1 400" },
		{ POST_JSON("/api/v1/revoke", "10", "{\"user\":1}"), "HTTP/1.1 400" },
		{ POST_JSON("/api/v1/revoke", "23", "{\"user\":\"a\",\"user\":\"b\"}"), "HTTP/1.1 400" },
		{ POST_JSON("/api/v1/revoke", "2", "[]"), "HTTP/1.1 400" },
		{ POST_JSON("/api/v1/revoke", "2", "{x"), "HTTP/1.1 400" },
		{ "GET /api/v1/whoami HTTP/1.1\r\n" HOST "Authorization: Basic abc\r\n\r\n", "HTTP/1.1 401" },
		{ "GET /api/v1/whoami HTTP/1.1\r\n" HOST "Authorization: Bearer\r\n\r\n", "HTTP/1.1 401" },
		{ "GET /api/v1/whoami HTTP/1.1\r\n" HOST "Authorization: Bearer a b\r\n\r\n", "HTTP/1.1 401" },
		{ "GET /api/v1/whoami HTTP/1.1\r\n\r\n", "HTTP/1.1 400" },
		{ "GET /api/v1/whoami HTTP/3.0\r\n" HOST "\r\n", "HTTP/1.1 505" },
		{ "POST /api/v1/revoke HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501" },
		{ "POST /api/v1/revoke HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", "HTTP/1.1 413" },
		{ "POST /api/v1/revoke HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400" },
		{ "garbage\r\n\r\n", "HTTP/1.1 400" },
	};
	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int fd = connect_caller(i);
		CU_ASSERT(begins(say(fd, rows[i].request), rows[i].answer));
		CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\n\r\n{\"error\":"));
		close(fd);
		loop();
	}
	CU_ASSERT_EQUAL(fake.asked, 0); /* none of them reached the keeper */
	CU_ASSERT_EQUAL(console.ncallers, 0);
	end();
}

static void
test_limits(void)
{
	static char big[80 << 10];
	begin();
	/* a head that does not end */
	int fd = connect_caller(1);
	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /", 5);
	(void)send(fd, big, sizeof(big), MSG_NOSIGNAL | MSG_DONTWAIT);
	CU_ASSERT(begins(hear(fd), "HTTP/1.1 431"));
	close(fd);
	loop();
	/* a chunked body beyond 1 MB, not announced */
	fd = connect_caller(1);
	CU_ASSERT_STRING_EQUAL(say(fd, "POST /api/v1/revoke HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), "");
	memcpy(big, "10000\r\n", 7);
	memcpy(big + 7 + 65536, "\r\n", 2);
	for (int i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL(send(fd, big, 7 + 65536 + 2, MSG_NOSIGNAL), 7 + 65536 + 2);
		CU_ASSERT_STRING_EQUAL(hear(fd), "");
	}
	(void)send(fd, big, 7 + 100, MSG_NOSIGNAL);
	CU_ASSERT(begins(hear(fd), "HTTP/1.1 413"));
	close(fd);
	loop();
	/* too many connections of one uid */
	int many[200];
	for (int i = 0; i < 200; i++)
		many[i] = connect_caller((uint64_t)i);
	CU_ASSERT_EQUAL(console.ncallers, 128);
	for (int i = 0; i < 200; i++)
		close(many[i]);
	loop();
	CU_ASSERT_EQUAL(console.ncallers, 0);
	end();
}

static int
memory_file(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(write(fd, p, n), (ssize_t)n);
	return fd;
}

static void
test_recording(void)
{
	static char big[700000];
	begin();
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 26);
	fake.fd = memory_file(big, sizeof(big));
	int fd = connect_caller(1);
	const char *text = say(fd, "GET /api/v1/sessions/abcd/recording HTTP/1.1\r\n" HOST "\r\n");
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"id\":\"abcd\"}");
	CU_ASSERT(begins(text, "HTTP/1.1 200"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "Content-Length: 700000\r\n"));
	const char *body = strstr(text, "\r\n\r\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	CU_ASSERT_EQUAL(strlen(body + 4), sizeof(big));
	CU_ASSERT_EQUAL(memcmp(body + 4, big, sizeof(big)), 0);
	close(fake.fd);
	fake.fd = -1;
	CU_ASSERT(begins(say(fd, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200"));
	close(fd);
	loop();
	end();
}

static void
test_keeper_gone(void)
{
	begin();
	fake.silent = true;
	int fd = connect_caller(1), left = connect_caller(2);
	CU_ASSERT_STRING_EQUAL(say(fd, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n"), "");
	(void)say(left, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n");
	CU_ASSERT_PTR_NOT_NULL(console.asks);
	close(left); /* leaves before its answer */
	loop();
	CU_ASSERT_EQUAL(console.ncallers, 1);
	link_free(&console.keeper);
	ask_lost(&console);
	CU_ASSERT(begins(hear(fd), "HTTP/1.1 503"));
	CU_ASSERT(begins(say(fd, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 503"));
	close(fd);
	loop();
	end();
}

static void
test_quit(void)
{
	begin();
	fake.silent = true;
	int idle = connect_caller(1), busy = connect_caller(2);
	(void)say(busy, "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n");
	console.quitting = true;
	callers_finish(&console);
	CU_ASSERT_EQUAL(console.ncallers, 1);
	CU_ASSERT_EQUAL(recv(idle, reply, 1, MSG_DONTWAIT), 0);
	close(busy);
	loop();
	CU_ASSERT_EQUAL(console.ncallers, 0);
	close(idle);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "call", test_call },
		{ "refused", test_refused },
		{ "limits", test_limits },
		{ "recording", test_recording },
		{ "keeper gone", test_keeper_gone },
		{ "quit", test_quit },
		CU_TEST_INFO_NULL,
	};
	log_init("test", STDERR_FILENO, SP_ERROR);
	return cunit_main("console", tests);
}
