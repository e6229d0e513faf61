/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch helper by its messages, before a server in the same process that says what a test wants: odd
 * jobs, odd answers, places that are not asked (ID9).
 */
#include <config.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cunit_main.h"

#include "core/base/clock.h"
#include "core/base/epoch.h"
#include "core/base/link.h"
#include "core/base/log.h"
#include "core/helper/fetch.h"
#include "core/helper/fetch_address.h"

static struct {
	struct event_base *base;
	struct helper helper;
	struct epoch *epoch;
	struct link *keeper;
	/* the server */
	struct event *accept;
	unsigned port;
	const char *says; /* NULL: nothing */
	size_t repeat;    /* its last byte, so many times */
	unsigned asked;
	char heard[4096];
	/* answers */
	unsigned told, status;
	char type[128], why[256], body[256];
	size_t body_len;
} world;

static int
on_told(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	CU_ASSERT_EQUAL(m->type, MSG_OUTSIDE_TOLD);
	world.told++;
	world.status = (unsigned)m->f[0].q;
	(void)snprintf(world.type, sizeof(world.type), "%.*s", (int)m->f[1].s.len, (const char *)m->f[1].s.p);
	(void)snprintf(world.body, sizeof(world.body), "%.*s", (int)(m->f[2].s.len < 200 ? m->f[2].s.len : 200), (const char *)m->f[2].s.p);
	world.body_len = m->f[2].s.len;
	(void)snprintf(world.why, sizeof(world.why), "%.*s", (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	return SP_OK;
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
	CU_FAIL("the helper ended its link");
}

static void
on_request(evutil_socket_t fd, short what, void *arg)
{
	struct event *self = *(struct event **)arg;
	(void)what;
	ssize_t n = recv(fd, world.heard, sizeof(world.heard) - 1, 0);
	if (n > 0) {
		world.heard[n] = '\0';
		world.asked++;
		if (world.says == NULL)
			return; /* it waits and waits */
		(void)send(fd, world.says, strlen(world.says), MSG_NOSIGNAL);
		char piece[8192];
		memset(piece, 'x', sizeof(piece));
		for (size_t left = world.repeat; left > 0;) {
			ssize_t sent = send(fd, piece, left < sizeof(piece) ? left : sizeof(piece), MSG_NOSIGNAL);
			if (sent <= 0)
				break;
			left -= (size_t)sent;
		}
	}
	event_free(self);
	free(arg);
	(void)close(fd);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	int c = accept(fd, NULL, NULL);
	(void)what, (void)arg;
	if (c < 0)
		return;
	struct event **self = malloc(sizeof(*self));
	*self = event_new(world.base, c, EV_READ | EV_PERSIST, on_request, self);
	(void)event_add(*self, NULL);
}

static struct epoch *
epoch_of(const char *text)
{
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *why = "";
	e->arena = arena_new(0);
	CU_ASSERT_EQUAL_FATAL(conf_parse(e->arena, "t", sp_str(arena_string(e->arena, sp_str(text))), &top, &why), SP_OK);
	CU_ASSERT_EQUAL_FATAL(settings_fill(e->arena, top, &e->settings, &why), SP_OK);
	return e;
}

static void
begin(void)
{
	char text[512];
	int fd[2];
	const char *why = "";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	memset(&world, 0, sizeof(world));
	world.base = event_base_new();
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(s, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(s, 100), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(s, (struct sockaddr *)&at, &len), 0);
	world.port = ntohs(at.sin_port);
	world.accept = event_new(world.base, s, EV_READ | EV_PERSIST, on_accept, NULL);
	(void)event_add(world.accept, NULL);
	(void)snprintf(text, sizeof(text), "identity a { oidc issuer=http://127.0.0.1:%u/a client=c insecure_loopback=on; }"
	    " identity b { oidc issuer=http://localhost:%u client=c insecure_loopback=on; }"
	    " identity c { oidc issuer=https://10.1.2.3/c client=c; }", world.port, world.port);
	world.helper = (struct helper){ .kind = &fetch_kind, .epoch = epoch_of(text) };
	world.helper.process.base = world.base;
	CU_ASSERT_EQUAL_FATAL(fetch_kind.start(&world.helper, &why), SP_OK);
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler ours = { on_told, on_gone, NULL }, theirs = { NULL, on_gone, NULL };
	world.keeper = link_new(world.base, fd[0], ROLE_KEEPER, ROLE_FETCH, 0, &ours);
	world.helper.keeper = link_new(world.base, fd[1], ROLE_FETCH, ROLE_KEEPER, 0, &theirs);
}

static void
end(void)
{
	fetch_kind.void_jobs(&world.helper);
	fetch_kind.close(&world.helper);
	link_free(&world.keeper);
	link_free(&world.helper.keeper);
	(void)close(event_get_fd(world.accept));
	event_free(world.accept);
	event_base_free(world.base);
	epoch_free(&world.helper.epoch);
}

static void
job(const char *method, const char *url, const char *headers, const char *body, const char *ca, uint64_t within, uint64_t most)
{
	struct message m = { .type = MSG_OUTSIDE, .id = 7, .f = { Z(method), Z(url), Z(headers), Z(body), Z(ca), Q(within), Q(most) } };
	world.why[0] = world.body[0] = '\0';
	world.status = 999;
	CU_ASSERT_EQUAL(fetch_kind.job(&world.helper, &m), SP_OK);
}

static void
until_told(unsigned n)
{
	const struct timeval soon = { 0, 50000 };
	for (unsigned i = 0; i < 400 && world.told < n; i++) {
		(void)event_base_loopexit(world.base, &soon);
		(void)event_base_dispatch(world.base);
	}
	CU_ASSERT_EQUAL(world.told, n);
}

static const char *
ours(const char *path)
{
	static char url[256];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", world.port, path);
	return url;
}

static void
test_answers(void)
{
	begin();
	world.says = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"keys\":1";
	job("GET", ours("/a/keys?x=1"), "", "", "", 5000, 1000);
	until_told(1);
	CU_ASSERT_EQUAL(world.status, 200);
	CU_ASSERT_STRING_EQUAL(world.type, "application/json");
	CU_ASSERT_STRING_EQUAL(world.body, "{\"keys\":1");
	CU_ASSERT_PTR_NOT_NULL(strstr(world.heard, "GET /a/keys?x=1 HTTP/1.1\r\n"));
	CU_ASSERT_PTR_NULL(strstr(world.heard, "Accept-Encoding"));
	/* What is posted, and an error that has something to say. */
	world.says = "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}";
	job("POST", ours("/a/token"), "Authorization: Basic eA==\nAccept: application/json", "grant_type=x", "", 5000, 1000);
	until_told(2);
	CU_ASSERT_EQUAL(world.status, 400);
	CU_ASSERT_STRING_EQUAL(world.body, "{}");
	CU_ASSERT_PTR_NOT_NULL(strstr(world.heard, "POST /a/token HTTP/1.1\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(world.heard, "Authorization: Basic eA==\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(world.heard, "\r\n\r\ngrant_type=x"));
	/* By a name; the answer ends with the connection. */
	char url[64];
	(void)snprintf(url, sizeof(url), "http://localhost:%u/", world.port);
	world.says = "HTTP/1.0 200 OK\r\n\r\nhere";
	job("GET", url, "", "", "", 5000, 1000);
	until_told(3);
	CU_ASSERT_EQUAL(world.status, 200);
	CU_ASSERT_STRING_EQUAL(world.body, "here");
	end();
}

static void
test_redirects(void)
{
	char says[512];
	begin();
	(void)snprintf(says, sizeof(says), "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", ours("/a/other"));
	world.says = says;
	job("GET", ours("/a/keys"), "", "", "", 5000, 1000);
	until_told(1);
	CU_ASSERT_EQUAL(world.status, 302); /* told as it is; nobody goes there */
	CU_ASSERT_EQUAL(world.asked, 1);
	end();
}

static void
test_odd_answers(void)
{
	static const struct {
		const char *says;
		size_t repeat;
	} row[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", 1001 },                 /* said to be too large */
		{ "HTTP/1.1 200 OK\r\n\r\n", 100000 },                                       /* too large */
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 100000 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 10 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 10 },
		{ "HTTP/1.1 200 OK\r\nX: ", 500000 },                                        /* a head without end */
		{ "just text", 0 },
		{ "SSH-2.0-x\r\n", 0 },
		{ "", 0 },
		{ "HTTP/1.1 999999 OK\r\n\r\n", 0 },
	};
	begin();
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		world.says = row[i].says;
		world.repeat = row[i].repeat;
		job("GET", ours("/a/keys"), "", "", "", 5000, 1000);
		until_told(i + 1);
		if (world.status != 0)
			printf("%s: %u\n", row[i].says, world.status);
		CU_ASSERT_EQUAL(world.status, 0);
		CU_ASSERT_EQUAL(world.body_len, 0);
		CU_ASSERT(strlen(world.why) > 0);
	}
	/* Exactly as much as is allowed. */
	world.says = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
	world.repeat = 1000;
	unsigned n = world.told;
	job("GET", ours("/a/keys"), "", "", "", 5000, 1000);
	until_told(n + 1);
	CU_ASSERT(world.status == 200 && world.body_len == 1000);
	end();
}

static void
test_deadline(void)
{
	begin();
	job("GET", ours("/a/keys"), "", "", "", 100, 1000);
	until_told(1);
	CU_ASSERT_EQUAL(world.status, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(world.why, "in time"));
	/* At most sixteen at once: the others wait for them, and are told in time too. */
	for (unsigned i = 0; i < 40; i++)
		job("GET", ours("/a/keys"), "", "", "", 300, 1000);
	until_told(41);
	CU_ASSERT(world.asked <= 1 + 40);
	/* More than anybody asks for. */
	for (unsigned i = 0; i < 400; i++)
		job("GET", ours("/a/keys"), "", "", "", 200, 1000);
	until_told(441);
	/* And it is still there. */
	world.says = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	job("GET", ours("/a/keys"), "", "", "", 5000, 1000);
	until_told(442);
	CU_ASSERT_EQUAL(world.status, 200);
	/* The keeper went: nothing is told. */
	world.says = NULL;
	job("GET", ours("/a/keys"), "", "", "", 50, 1000);
	fetch_kind.void_jobs(&world.helper);
	(void)event_base_loop(world.base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(world.told, 442);
	end();
}

static void
test_odd_jobs(void)
{
	static const char *const urls[] = { "", "/", "ftp://127.0.0.1/", "file:///etc/passwd", "https://", "gopher://127.0.0.1:70/x", "dict://x/",
		"http://example.com/", "http://10.1.2.3/", "https://u:p@127.0.0.1/", "https://127.0.0.1/#x", "http://127.0.0.1:1/",
		"https://127.0.0.1:1/\r\nX: y", "https://169.254.169.254/latest/meta-data", "https://[fe80::1]/", "https://0.0.0.0/", "https://[::]/",
		"https://127.0.0.1:1/", "https://[::1]:1/", "https://10.0.0.1/", "https://192.168.1.1/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]/",
		"https://localhost:1/", "https://224.0.0.1/", "https://0177.0.0.1/", "https://2130706433/" };
	unsigned n = 0;
	begin();
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		job("GET", urls[i], "", "", "", 2000, 1000);
		until_told(++n);
		if (world.status != 0 || strstr(world.why, "onnect") != NULL)
			printf("%s: %u %s\n", urls[i], world.status, world.why);
		CU_ASSERT(world.status == 0 && strlen(world.why) > 0 && strstr(world.why, "onnect") == NULL);
	}
	static const char *const methods[] = { "", "PUT", "get", "DELETE", "CONNECT" };
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++, n++) {
		job(methods[i], ours("/a"), "", "", "", 2000, 1000);
		until_told(n + 1);
		CU_ASSERT_EQUAL(world.status, 0);
	}
	static const char *const headers[] = { "\n", "no colon", "X: y\r\nZ: w", "X: y\n\nZ: w" };
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++, n++) {
		job("GET", ours("/a"), headers[i], "", "", 2000, 1000);
		until_told(n + 1);
		CU_ASSERT_EQUAL(world.status, 0);
	}
	job("GET", ours("/a"), "", "", "/no/such/file", 2000, 1000);
	until_told(n + 1);
	CU_ASSERT_EQUAL(world.status, 0);
	CU_ASSERT_EQUAL(world.asked, 0);
	end();
}

/* Where the lend helper goes: to PostgreSQL as an admin, to a vault (ID9). */
static void
test_helpers(void)
{
	static const struct {
		const char *server;
		int rc;
	} row[] = {
		{ "127.0.0.1:5432", SP_OK }, { "localhost:5432", SP_OK }, { "[::1]:5432", SP_OK }, { "10.0.0.7:1", SP_OK }, { "169.254.169.254:80", SP_EDENIED },
		{ "[::ffff:169.254.169.254]:80", SP_EDENIED }, { "0.0.0.0:5432", SP_EDENIED }, { "100.100.100.200:80", SP_EDENIED }, { "224.0.0.1:1", SP_EDENIED },
		{ "127.1:5432", SP_EDENIED }, { "0:5432", SP_EDENIED }, { "2130706433:5432", SP_EDENIED }, { "localhost", SP_EIO }, { "", SP_EIO },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct hostport h;
		char digits[ADDRESS_DIGITS];
		const char *why;
		int rc = address_find(row[i].server, &h, digits, &why);
		if (rc != row[i].rc)
			printf("%s: %d, %s\n", row[i].server, rc, why == NULL ? "fine" : why);
		CU_ASSERT_EQUAL(rc, row[i].rc);
		CU_ASSERT_EQUAL(why == NULL, rc == SP_OK);
		CU_ASSERT_EQUAL(digits[0] == '\0', rc != SP_OK);
	}
}

/* … and not where this gateway itself listens: at one address, or at all of this machine's. */
static void
test_helpers_own(void)
{
	static const struct {
		const char *server;
		bool found;
	} row[] = { { "127.0.0.1:6001", false }, { "localhost:6001", false }, { "127.0.0.2:6001", true }, { "127.0.0.1:6002", false }, { "127.0.0.2:6002", false },
		{ "127.0.0.1:6003", false }, { "127.0.0.1:6004", true }, { "192.0.2.7:6002", true }, { "[::1]:6005", false },
		{ "[::1]:6001", true } };
	struct listener six = { .listen = "[::0]:6005" }, all = { .b.next = &six.b, .listen = "0.0.0.0:6002" }, one = { .b.next = &all.b, .listen = "127.0.0.1:6001" };
	const struct settings s = { .listeners = &one, .console.listen = "127.0.0.1:6003" };
	address_ours(&s);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct hostport h;
		char digits[ADDRESS_DIGITS];
		const char *why;
		int rc = address_find(row[i].server, &h, digits, &why);
		if ((rc == SP_OK) != row[i].found)
			printf("%s: %d, %s\n", row[i].server, rc, why == NULL ? "fine" : why);
		CU_ASSERT_EQUAL(rc == SP_OK, row[i].found);
		CU_ASSERT(row[i].found || strstr(why, "this gateway itself listens") != NULL);
	}
	address_ours(NULL);
}

/* A target's address, by how the operator wrote it (ID9). */
static void
test_targets(void)
{
	static const struct {
		const char *host, *address;
		uint16_t port;
		bool here, fine;
	} row[] = {
		{ "db.corp", "10.0.0.7", 5432, false, true }, { "10.0.0.7", "10.0.0.7", 5432, false, true }, { "db.corp", "8.8.8.8", 5432, false, true },
		{ "db.corp", "127.0.0.1", 5432, false, false }, { "db.corp", "::1", 5432, false, false }, { "db.corp", "::ffff:127.0.0.1", 5432, false, false },
		{ "localhost", "127.0.0.1", 5432, false, true }, { "localhost", "::1", 5432, false, true }, { "127.0.0.2", "127.0.0.2", 5432, false, true },
		{ "db.corp", "169.254.169.254", 80, false, false }, { "169.254.169.254", "169.254.169.254", 80, false, false },
		{ "0.0.0.0", "0.0.0.0", 80, false, false }, { "x", "fe80::1", 80, false, false }, { "x", "fd00:ec2::254", 80, false, false }, { "x", "100.100.100.200", 80, false, false },
		{ "x", "168.63.129.16", 80, false, false }, { "x", "fd00:ec2::253", 80, false, true },
		{ "127.0.0.1", "127.0.0.1", 6000, false, false }, { "127.0.0.1", "127.0.0.1", 6001, false, false }, { "127.0.0.2", "127.0.0.2", 6000, false, false },
		{ "127.0.0.2", "127.0.0.2", 6001, false, true }, { "10.0.0.7", "10.0.0.7", 6000, false, true }, { "10.0.0.7", "10.0.0.7", 6000, true, false },
		{ "127.0.0.1", "127.0.0.1", 6002, false, false }, { "127.0.0.1", "127.0.0.1", 6003, false, true },
	};
	struct epoch *e = epoch_of("listener a { listen 0.0.0.0:6000; protocol line; cleartext loopback; } listener b { listen 127.0.0.1:6001; protocol line; cleartext loopback; }"
	    " console { listen 127.0.0.1:6002; url https://localhost:6002; }");
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(row[i].port) };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(row[i].port) };
		bool six = strchr(row[i].address, ':') != NULL;
		CU_ASSERT_EQUAL_FATAL(inet_pton(six ? AF_INET6 : AF_INET, row[i].address, six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr), 1);
		const char *why = address_refused(&e->settings, row[i].host, six ? (const struct sockaddr *)(const void *)&v6 : (const struct sockaddr *)(const void *)&v4, row[i].here);
		if ((why == NULL) != row[i].fine)
			printf("%s %s %u: %s\n", row[i].host, row[i].address, row[i].port, why == NULL ? "fine" : why);
		CU_ASSERT_EQUAL(why == NULL, row[i].fine);
	}
	epoch_free(&e);
}

static void
test_reach(void)
{
	static const struct {
		const char *address;
		enum reach reach;
	} row[] = {
		{ "8.8.8.8", REACH_PUBLIC }, { "1.1.1.1", REACH_PUBLIC }, { "172.32.0.1", REACH_PUBLIC }, { "100.128.0.1", REACH_PUBLIC },
		{ "10.0.0.1", REACH_NAMED }, { "172.16.0.1", REACH_NAMED }, { "172.31.255.255", REACH_NAMED }, { "192.168.0.1", REACH_NAMED },
		{ "127.0.0.1", REACH_NAMED }, { "127.255.255.255", REACH_NAMED }, { "100.100.100.200", REACH_NAMED },
		{ "169.254.169.254", REACH_NEVER }, { "169.254.0.1", REACH_NEVER }, { "0.0.0.0", REACH_NEVER }, { "0.1.2.3", REACH_NEVER },
		{ "224.0.0.1", REACH_NEVER }, { "255.255.255.255", REACH_NEVER }, { "240.0.0.1", REACH_NEVER }, { "192.0.0.192", REACH_NEVER },
		{ "2606:4700::1", REACH_PUBLIC }, { "2001:db9::1", REACH_PUBLIC }, { "::1", REACH_NAMED }, { "fd00:ec2::254", REACH_NAMED },
		{ "fe80::1", REACH_NEVER }, { "::", REACH_NEVER }, { "ff02::1", REACH_NEVER }, { "2001::1", REACH_NEVER },
		{ "::ffff:8.8.8.8", REACH_PUBLIC }, { "::ffff:169.254.169.254", REACH_NEVER }, { "::ffff:127.0.0.1", REACH_NAMED },
		{ "64:ff9b::a9fe:a9fe", REACH_NEVER }, { "64:ff9b::808:808", REACH_PUBLIC }, { "2002:a9fe:a9fe::1", REACH_NEVER },
		{ "2002:7f00:1::1", REACH_NAMED }, { "::127.0.0.1", REACH_NEVER },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
		bool six = strchr(row[i].address, ':') != NULL;
		CU_ASSERT_EQUAL_FATAL(inet_pton(six ? AF_INET6 : AF_INET, row[i].address, six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr), 1);
		enum reach reach = address_reach(six ? (const struct sockaddr *)(const void *)&v6 : (const struct sockaddr *)(const void *)&v4);
		if (reach != row[i].reach)
			printf("%s: %d\n", row[i].address, (int)reach);
		CU_ASSERT_EQUAL(reach, row[i].reach);
	}
	struct sockaddr un = { .sa_family = AF_UNIX };
	CU_ASSERT_EQUAL(address_reach(&un), REACH_NEVER);
	CU_ASSERT_PTR_NOT_NULL(address_refused(NULL, "x", &un, false));
	bool insecure;
	struct epoch *e = epoch_of("identity a { oidc issuer=https://idp.corp/realm jwks=https://keys.corp:8443/x audience=a; }"
	    " identity b { oidc issuer=http://127.0.0.1:5/ client=c insecure_loopback=on; }");
	CU_ASSERT(fetch_named(&e->settings, "https://idp.corp/other", &insecure) && !insecure);
	CU_ASSERT(fetch_named(&e->settings, "https://keys.corp:8443/", &insecure) && !insecure);
	CU_ASSERT(fetch_named(&e->settings, "http://127.0.0.1:5/x", &insecure) && insecure);
	CU_ASSERT(!fetch_named(&e->settings, "https://keys.corp/", &insecure) && !fetch_named(&e->settings, "http://idp.corp/", &insecure));
	CU_ASSERT(!fetch_named(&e->settings, "https://other.corp/", &insecure) && !fetch_named(&e->settings, "http://127.0.0.1:6/", &insecure));
	epoch_free(&e);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "answers", test_answers },
		{ "no redirect is followed", test_redirects },
		{ "odd answers", test_odd_answers },
		{ "deadlines and crowds", test_deadline },
		{ "odd jobs, and places that are not asked", test_odd_jobs },
		{ "addresses", test_reach }, { "targets", test_targets }, { "where helpers go", test_helpers }, { "helpers and our own listeners", test_helpers_own },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("fetch", tests);
}
