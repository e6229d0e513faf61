/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console reads recordings for its callers: search.c, verify.c and explain.c, over real recordings, with a
 * keeper in the test's hand that hands them out, refuses, or lies about what it signed.
 */
#include <config.h>
#include "cunit_main.h"

#include <jansson.h>
#include <sys/socket.h>

#include "core/console/console.h"
#include "recorder_world.h"

static struct console console;
static struct link *keeper;
static struct world *w;
static uint8_t id[3][ID_LEN];
static char name[3][ID_TEXT];
static bool refuse; /* recordings */
static char evidence[4096];
static unsigned calls[64];

/* ---- the keeper ---- */

static unsigned
which(struct sp_bytes args)
{
	for (unsigned i = 0; i < 3; i++)
		if (memmem(args.p, args.len, name[i], strlen(name[i])) != NULL)
			return i;
	return 0;
}

static int
asked(void *owner, struct link *l, struct message *m)
{
	char path[256], list[512];
	(void)owner;
	calls[m->f[2].q % 64]++;
	CU_ASSERT(sp_bytes_is(m->f[1].s, "a.b.c")); /* with the caller's own token, each time */
	struct message answer = { .type = MSG_RESULT, .id = m->id, .f = { Q(200), Z("{}") }, .fd = { -1, -1, -1 } };
	(void)snprintf(list, sizeof(list), "{\"sessions\":[{\"id\":\"%s\",\"user\":\"ann\",\"target\":\"t\"},{\"id\":\"%s\",\"user\":\"ann\",\"target\":\"t\"}]}",
	    name[0], name[1]);
	if (m->f[2].q == CALL_SEARCH) {
		answer.f[1] = (struct field)Z(list);
		return link_send(l, &answer);
	}
	if (m->f[2].q == CALL_VERIFY)
		answer.f[1] = (struct field)Z(evidence);
	if (m->f[2].q == CALL_EXPLAIN)
		answer.f[1] = (struct field)Z("{\"op\":1}");
	session_file(w, id[which(m->f[3].s)], path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (refuse)
		answer.f[0] = (struct field)Q(404);
	else if (fd >= 0) {
		answer.fd[0] = fd;
		answer.nfds = 1;
	}
	int rc = link_send(l, &answer);
	close(fd);
	return rc;
}

static void
gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

static int
answered(void *owner, struct link *l, struct message *m)
{
	(void)l;
	return ask_answered(owner, m);
}

/* ---- a store with two sessions ---- */

static void
begin(void)
{
	int fd[2];
	w = world_new();
	world_start(w);
	for (unsigned i = 0; i < 2; i++) {
		say_header(w, id[i]);
		(void)id_format(id[i], name[i]);
		say_statement(w, id[i], 1, i == 0 ? "SELECT needle \x1b[2J" : "SELECT hay");
		say_end(w, id[i]);
		world_tick(w);
	}
	world_stop(w, false);
	refuse = false;
	memset(calls, 0, sizeof(calls));
	console = (struct console){ .keeper = NULL };
	console.role.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler near = { answered, gone, &console }, far = { asked, gone, NULL };
	console.keeper = link_new(console.role.base, fd[0], ROLE_CONSOLE, ROLE_KEEPER, 0, &near);
	keeper = link_new(console.role.base, fd[1], ROLE_KEEPER, ROLE_CONSOLE, 0, &far);
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
	world_free(&w);
}

static char reply[1 << 16];

/* One request on a connection of its own, until the console closes it. */
static const char *
get(const char *path)
{
	int fd[2];
	char text[512];
	size_t n = 0;
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	caller_new(&console, fd[0], 1, 1000);
	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: sallyport\r\nConnection: close\r\nAuthorization: Bearer a.b.c\r\n\r\n", path);
	CU_ASSERT_EQUAL(send(fd[1], text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	for (ssize_t got = -1; got != 0 && n + 1 < sizeof(reply);) {
		(void)event_base_loop(console.role.base, EVLOOP_NONBLOCK);
		got = recv(fd[1], reply + n, sizeof(reply) - 1 - n, MSG_DONTWAIT);
		n += got > 0 ? (size_t)got : 0;
	}
	reply[n] = '\0';
	close(fd[1]);
	return reply;
}

static bool
has(const char *text)
{
	bool yes = strstr(reply, text) != NULL;
	if (!yes)
		printf("\n  no \"%s\" in \"%.1500s\"\n", text, reply);
	return yes;
}

/* ---- tests ---- */

static void
test_search(void)
{
	begin();
	(void)get("/api/v1/search?text=NEEDLE");
	CU_ASSERT(has("HTTP/1.1 200") && has("\"match\"") && has(name[0]) && has("\"kind\":\"operation\""));
	CU_ASSERT_PTR_NULL(strchr(reply, 0x1b));
	CU_ASSERT_PTR_NULL(strstr(reply, name[1]));
	CU_ASSERT(has("\"done\":{\"matches\":1,\"searched\":2,\"sealed\":0,\"unreadable\":0,\"more\":false}"));
	CU_ASSERT(calls[CALL_SEARCH] == 1 && calls[CALL_RECORDING] == 2);
	(void)get("/api/v1/search?text=select&limit=1");
	CU_ASSERT(has("\"matches\":1,") && has("\"more\":true"));
	(void)get("/api/v1/search?text=");
	CU_ASSERT(has("HTTP/1.1 400"));
	refuse = true; /* what could not be looked into is told, never passed over */
	(void)get("/api/v1/search?text=needle");
	CU_ASSERT(has("\"matches\":0,\"searched\":0,\"sealed\":0,\"unreadable\":2"));
	end();
}

static void
put_evidence(const char *key, unsigned change)
{
	char hex[2 * LEDGER_ENTRY + 1];
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL(buffer_printf(&b, "{\"id\":\"%s\",\"key\":\"%s\",\"entries\":[", name[0], key), SP_OK);
	unsigned n = 0;
	for (unsigned i = 0; i < w->entries; i++) {
		if (memcmp(w->entry[i] + 9, id[0], ID_LEN) != 0)
			continue;
		text_hex((struct sp_bytes){ w->entry[i], LEDGER_ENTRY }, hex);
		hex[40] = change > 0 ? (hex[40] == '0' ? '1' : '0') : hex[40];
		CU_ASSERT_EQUAL(buffer_printf(&b, "%s\"%s\"", n++ == 0 ? "" : ",", hex), SP_OK);
	}
	CU_ASSERT_EQUAL(buffer_printf(&b, "]}"), SP_OK);
	(void)snprintf(evidence, sizeof(evidence), "%.*s", (int)b.len, (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	CU_ASSERT(n > 0);
}

static void
test_verify(void)
{
	char path[128], key[65], file[256];
	uint8_t byte = 0;
	begin();
	text_hex((struct sp_bytes){ w->public, 32 }, key);
	(void)snprintf(path, sizeof(path), "/api/v1/sessions/%s/verify", name[0]);
	put_evidence(key, 0);
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 200") && has("\"ok\":true"));
	put_evidence(key, 1);
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 502") && has("not signed by the keeper's key"));
	put_evidence("00", 0);
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 502"));
	put_evidence(key, 0);
	session_file(w, id[0], file);
	int fd = open(file, O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(pread(fd, &byte, 1, 200), 1);
	byte ^= 1;
	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, 200), 1);
	close(fd);
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 200") && has("\"ok\":false"));
	end();
}

static void
test_explain(void)
{
	char path[128];
	begin();
	(void)snprintf(path, sizeof(path), "/api/v1/sessions/%s/explain?op=1", name[1]);
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 200") && has("SELECT hay") && has("\"sealed\":false"));
	refuse = true;
	(void)get(path);
	CU_ASSERT(has("HTTP/1.1 404"));
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "search", test_search }, { "verify (RC1)", test_verify }, { "explain", test_explain }, CU_TEST_INFO_NULL,
	};
	return cunit_main("console recordings", tests);
}
