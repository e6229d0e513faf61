/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's connections against a fake keeper: default deny of routes and arguments, limits,
 * keep-alive and pipelining, files in bounded memory, a keeper that dies; and what master says (console.c).
 * Recordings: test_console_recordings.c.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
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
	uint32_t id;
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
	fake.id = m->id;
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

/* A form's body, where the call is one that is told by forms, and nowhere else. */
static void
test_form(void)
{
#define FORM "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\nlogout_token=a%2Eb"
	begin();
	int fd = connect_caller(7);
	CU_ASSERT(begins(say(fd, "POST /backchannel-logout/corp_1-x HTTP/1.1\r\n" HOST FORM), "HTTP/1.1 200 OK\r\n"));
	CU_ASSERT_EQUAL(fake.call, CALL_BACKCHANNEL);
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"id\":\"corp_1-x\",\"logout_token\":\"a.b\",\"address\":\"\"}");
	CU_ASSERT(begins(say(fd, "POST /api/v1/renew HTTP/1.1\r\n" HOST FORM), "HTTP/1.1 415"));
	close(fd);
	loop();
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

/* What lines and frames are compared with is short: else one caller has the time of all. */
static void
test_long_words(void)
{
	static const char *const words[] = { "audit?text", "audit?user", "audit?target", "audit?event", "audit?verdict", "audit?would", "audit?session",
		"audit?cursor", "search?text", "search?text=a&user", "search?text=a&target" };
	char long_one[256] = "", text[512];
	begin();
	memset(long_one, 'a', 201);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		int fd = connect_caller(i);
		(void)snprintf(text, sizeof(text), "GET /api/v1/%s=%s HTTP/1.1\r\n" HOST "\r\n", words[i], long_one);
		CU_ASSERT(begins(say(fd, text), "HTTP/1.1 400"));
		CU_ASSERT_PTR_NOT_NULL(strstr(reply, "has at most 200 bytes"));
		CU_ASSERT_EQUAL(fake.asked, i);
		(void)snprintf(text, sizeof(text), "GET /api/v1/%s=%.200s HTTP/1.1\r\n" HOST "\r\n", words[i], long_one);
		(void)say(fd, text);
		CU_ASSERT_EQUAL(fake.asked, i + 1);
		close(fd);
		loop();
	}
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

/* ---- the audit log ---- */

/* What a caller is told who asks so. */
static const char *
audit_of(int fd, const char *query)
{
	char text[256];
	int c = connect_caller(1);
	(void)snprintf(text, sizeof(text), "GET /api/v1/audit%s HTTP/1.1\r\nHost: l\r\n\r\n", query);
	fake.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	CU_ASSERT(strstr(say(c, text), "{\"done\":") != NULL);
	close(fake.fd);
	close(c);
	return reply;
}

static unsigned
count_of(const char *in, const char *what)
{
	unsigned n = 0;
	for (; (in = strstr(in, what)) != NULL; in++)
		n++;
	return n;
}

static void
test_audit_long(void)
{
	static const struct {
		const char *query;
		unsigned entries, unreadable;
	} row[] = {
		{ "", 5, 2 },
		{ "?user=ann", 3, 1 }, /* it may be about ann, and the torn one isn't */
		{ "?until=2026-01-01T00:00:02Z", 1, 0 },
		{ "?since=2026-01-01T00:00:03Z", 3, 1 },
		{ "?last=4", 4, 2 },
		{ "?last=1", 1, 0 },
		{ "?limit=1", 1, 0 },
		{ "?limit=2", 2, 1 },
	};
	static char big[3u << 19];
	int fd = memfd_create("audit", MFD_CLOEXEC);
	begin();
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	memcpy(big, "{\"time\":\"2026-01-01T00:00:02.000Z\",", 36);
	unsigned first = (unsigned)dprintf(fd, "{\"time\":\"2026-01-01T00:00:01.000Z\",\"event\":\"first\",\"user\":\"ann\"}\n");
	CU_ASSERT_EQUAL(write(fd, big, sizeof(big)), (ssize_t)sizeof(big));
	dprintf(fd, "{\"time\":\"2026-01-01T00:00:03.000Z\",\"event\":\"zero\",\"why\":\"\\u0000\"}\n");
	dprintf(fd, "{\"time\":\"2026-01-01T00:00:04.000Z\",\"event\":\"to\n");
	dprintf(fd, "{\"time\":\"2026-01-01T00:00:05.000Z\",\"event\":\"last\",\"user\":\"ann\"}\n");
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *all = audit_of(fd, row[i].query);
		CU_ASSERT_EQUAL(count_of(all, "{\"entry\":"), row[i].entries);
		CU_ASSERT_EQUAL(count_of(all, "\"unreadable line\""), row[i].unreadable);
	}
	char told[128];
	(void)snprintf(told, sizeof(told), "{\"time\":\"2026-01-01T00:00:02.000Z\",\"event\":\"unreadable line\",\"at\":%u,\"bytes\":%zu,", first, sizeof(big) - 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_of(fd, "?last=4"), told));
	const char *said = strstr(audit_of(fd, "?limit=2"), "\"next\":\"");
	CU_ASSERT_PTR_NOT_NULL_FATAL(said);
	char query[64];
	(void)snprintf(query, sizeof(query), "?cursor=%.*s", (int)strcspn(said + 8, "\""), said + 8);
	CU_ASSERT_EQUAL(count_of(audit_of(fd, query), "{\"entry\":"), 3);
	end();
	close(fd);
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

/* ---- what master and the keeper say (console.c) ---- */

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A link as master hands it out; the keeper's end is ours. */
static int
hand_link(enum role peer, int *far_r)
{
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	int rc = console_handler.link(&console, peer, 0, fd[0]);
	*far_r = fd[1];
	CU_ASSERT_EQUAL(is_open(fd[0]), rc == SP_OK); /* what is not taken is closed */
	return rc;
}

static void
keeper_at(int far)
{
	const struct link_handler h = { on_console, on_console_gone, NULL };
	link_free(&keeper);
	keeper = link_new(console.role.base, far, ROLE_KEEPER, ROLE_CONSOLE, 0, &h);
}

#define WHOAMI "GET /api/v1/whoami HTTP/1.1\r\n" HOST "\r\n"

static void
test_links(void)
{
	static const enum role strangers[] = { ROLE_NONE, ROLE_MASTER, ROLE_RECORDER, ROLE_WORKER, ROLE_CONSOLE, ROLE_CHECK };
	int far;
	begin();
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		struct link *before = console.keeper;
		CU_ASSERT_EQUAL(hand_link(strangers[i], &far), SP_EPROTO);
		CU_ASSERT_PTR_EQUAL(console.keeper, before);
		close(far);
	}
	fake.silent = true;
	int fd = connect_caller(1);
	(void)say(fd, WHOAMI);
	CU_ASSERT_EQUAL(fake.asked, 1);
	CU_ASSERT_EQUAL(hand_link(ROLE_KEEPER, &far), SP_OK); /* another keeper: it knows nothing of the question */
	CU_ASSERT(begins(hear(fd), "HTTP/1.1 503 "));
	keeper_at(far);
	fake.silent = false;
	CU_ASSERT(begins(say(fd, WHOAMI), "HTTP/1.1 200 "));
	link_free(&keeper); /* it dies */
	CU_ASSERT_STRING_EQUAL(hear(fd), "");
	CU_ASSERT_PTR_NULL(console.keeper);
	CU_ASSERT(begins(say(fd, WHOAMI), "HTTP/1.1 503 "));
	close(fd);
	loop();
	end();
}

/* A status that HTTP has not, or something else than an answer: that keeper is not heard any more. */
static void
test_keeper_lies(void)
{
	static const uint8_t garbage[] = { 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0 }, huge[] = { 0xff, 0xff, 0xff, 0xff, 0, 45, 0, 0, 0, 0, 0, 0 };
	const struct { const uint8_t *p; size_t n; } row[] = { { NULL, 0 }, { garbage, sizeof(garbage) }, { huge, sizeof(huge) } };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		int far;
		begin();
		CU_ASSERT_EQUAL(hand_link(ROLE_KEEPER, &far), SP_OK);
		int fd = connect_caller(1), raw = dup(far);
		keeper_at(far);
		fake.silent = true;
		(void)say(fd, WHOAMI);
		if (row[i].p == NULL) {
			const struct message m = { .type = MSG_RESULT, .id = fake.id, .f = { Q(700), Z("{}") } };
			CU_ASSERT_EQUAL(link_send(keeper, &m), SP_OK);
		} else {
			CU_ASSERT_EQUAL(write(raw, row[i].p, row[i].n), (ssize_t)row[i].n);
		}
		CU_ASSERT(begins(hear(fd), "HTTP/1.1 503 "));
		CU_ASSERT_PTR_NULL(console.keeper);
		close(raw);
		close(fd);
		loop();
		end();
	}
}

static void
test_callers_come(void)
{
	int fd[2];
	begin();
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	struct message m = { .type = MSG_CALLER, .f = { Q(9), Q(1000), Z("") }, .fd = { -1, -1, -1 } };
	CU_ASSERT_EQUAL(console_handler.message(&console, NULL, &m), SP_EPROTO); /* a caller without a connection */
	m.fd[0] = fd[0];
	m.nfds = 1;
	CU_ASSERT_EQUAL(console_handler.message(&console, NULL, &m), SP_OK);
	CU_ASSERT(m.fd[0] == -1 && console.ncallers == 1);
	CU_ASSERT(begins(say(fd[1], WHOAMI), "HTTP/1.1 200 "));
	CU_ASSERT_EQUAL(fake.connection, 9); /* master's number, nothing of the caller's */
	for (uint16_t type = 0; type < MESSAGES; type++) {
		struct message other = { .type = type, .fd = { -1, -1, -1 } };
		if (type != MSG_CALLER)
			CU_ASSERT_EQUAL(console_handler.message(&console, NULL, &other), SP_EPROTO);
	}
	close(fd[1]);
	loop();
	end();
}

static void
test_told_to_quit(void)
{
	begin();
	fake.silent = true;
	int busy = connect_caller(1);
	(void)say(busy, WHOAMI);
	console_handler.quit(&console, true);
	CU_ASSERT(console.quitting && !event_base_got_break(console.role.base)); /* one is under way */
	console_handler.quit(&console, false);
	CU_ASSERT_TRUE(event_base_got_break(console.role.base));
	close(busy);
	end();
	begin();
	console_handler.quit(&console, true);
	CU_ASSERT_TRUE(event_base_got_break(console.role.base)); /* nobody is there */
	CU_ASSERT_EQUAL(console.role.status, 0);
	end();
}

/* It starts locked down: nothing can be opened, nobody dialled. */
static void
test_starts(void)
{
	begin();
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		const char *err = NULL;
		struct epoch e = { .number = 1, .settings.console.listen = "" };
		int status = console_handler.start(&console, &e, &err) != SP_OK;
		status |= console.epoch == &e ? 0 : 2;
		status |= open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 4;
		status |= socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? 0 : 8;
		_exit(status);
	}
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	struct epoch *first = mem_alloc(sizeof(*first)), *second = mem_alloc(sizeof(*second));
	const char *err = NULL;
	*first = (struct epoch){ .arena = arena_new(0), .settings.console.listen = "" };
	*second = (struct epoch){ .arena = arena_new(0), .settings.console.listen = "" };
	console.epoch = first;
	CU_ASSERT_EQUAL(console_handler.epoch(&console, second, &err), SP_OK);
	CU_ASSERT_PTR_EQUAL(console.epoch, second); /* the first is gone: the leak check sees to it */
	epoch_free(&console.epoch);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "call", test_call },
		{ "forms", test_form },
		{ "refused", test_refused },
		{ "limits", test_limits },
		{ "long words", test_long_words },
		{ "recording", test_recording },
		{ "lines of the audit log that can't be read", test_audit_long },
		{ "keeper gone", test_keeper_gone },
		{ "quit", test_quit },
		{ "links", test_links },
		{ "a keeper that lies", test_keeper_lies },
		{ "callers come", test_callers_come },
		{ "told to quit", test_told_to_quit },
		{ "starts and follows", test_starts },
		CU_TEST_INFO_NULL,
	};
	log_init("test", STDERR_FILENO, SP_ERROR);
	return cunit_main("console", tests);
}
