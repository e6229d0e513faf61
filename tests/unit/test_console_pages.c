/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A browser before the console, over TLS, with a fake keeper behind it: signing in and out, a device that asks,
 * where one is sent (ID5), what cookies say, and what is refused before the keeper hears of it (ID10, MC1).
 */
#include <config.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../core/base/log.h"
#include "../../core/console/console.h"
#include "../../core/console/files.h"
#include "cunit_main.h"

#define URL "https://gate.test:8443"
#define SECRET "sps_0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
#define COOKIE "Cookie: __Host-sallyport=" SECRET "\r\n"

static struct console console;
static struct link *keeper;
static struct epoch epoch = { .settings.console = { "127.0.0.1:8443", { .cert = "c", .key = "k", .ca = "", .name = "" }, URL, { 64, 40 } } };
static struct epoch_file file[2];
static char cert[4096], key[4096];

/* ---- the keeper ---- */

static struct {
	unsigned asked, status[CALLS];
	const char *json[CALLS];
	uint64_t connection;
	enum call call;
	char token[256], args[1024];
} fake;

static int
on_console(void *owner, struct link *l, struct message *m)
{
	(void)owner;
	enum call call = (enum call)m->f[2].q;
	fake.asked++;
	fake.call = call;
	fake.connection = m->f[0].q;
	(void)snprintf(fake.token, sizeof(fake.token), "%.*s", (int)m->f[1].s.len, (const char *)m->f[1].s.p);
	(void)snprintf(fake.args, sizeof(fake.args), "%.*s", (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	const char *json = fake.json[call] == NULL ? "{\"error\":\"no such answer\"}" : fake.json[call];
	struct message answer = { .type = MSG_RESULT, .id = m->id, .f = { Q(fake.status[call] == 0 ? 500 : fake.status[call]), Z(json) }, .fd = { -1, -1, -1 } };
	return link_send(l, &answer);
}

static void
on_gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

static int
on_keeper(void *owner, struct link *l, struct message *m)
{
	(void)l;
	return ask_answered(owner, m);
}

static void
says(enum call call, unsigned status, const char *json)
{
	fake.status[call] = status;
	fake.json[call] = json;
}

/* ---- a certificate ---- */

static void
export(gnutls_datum_t d, char *to, size_t room)
{
	CU_ASSERT_FATAL(d.size < room);
	memcpy(to, d.data, d.size);
	gnutls_free(d.data);
}

static void
make_certificate(void)
{
	gnutls_x509_privkey_t k;
	gnutls_x509_crt_t c;
	gnutls_datum_t d;
	CU_ASSERT_FATAL(gnutls_x509_privkey_init(&k) == 0 && gnutls_x509_crt_init(&c) == 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	(void)gnutls_x509_crt_set_version(c, 3);
	(void)gnutls_x509_crt_set_serial(c, "\1", 1);
	(void)gnutls_x509_crt_set_activation_time(c, time(NULL) - 60);
	(void)gnutls_x509_crt_set_expiration_time(c, time(NULL) + 86400);
	(void)gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, "gate.test", 9);
	(void)gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, "gate.test", 9, GNUTLS_FSAN_SET);
	(void)gnutls_x509_crt_set_key(c, k);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &d), 0);
	export(d, cert, sizeof(cert));
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d), 0);
	export(d, key, sizeof(key));
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(k);
}

/* ---- the browser ---- */

static struct tls_credentials *trust;
static struct tls *browser;
static int browser_fd;
static char page[64u << 10];

static void
turn(void)
{
	for (int i = 0; i < 30; i++)
		event_base_loop(console.role.base, EVLOOP_NONBLOCK);
}

static bool behind_proxy; /* who visits comes by a Unix socket */

static void
visit(const char *address)
{
	const struct tls_start start = { .alpn = "http/1.1", .name = "gate.test", .verify = true };
	struct visitor v = { .net = { 0 }, .local = behind_proxy };
	int fd[2], rc = 0;
	bool wants_write;
	const char *why = "";
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	(void)snprintf(v.address, sizeof(v.address), "%s", address);
	v.net[15] = behind_proxy ? 0 : (uint8_t)atoi(strrchr(address, '.') + 1);
	(void)evutil_make_socket_nonblocking(fd[1]);
	caller_visit(&console, fd[0], &v);
	browser_fd = fd[1];
	CU_ASSERT_EQUAL_FATAL(tls_new(trust, fd[1], &start, &browser), SP_OK);
	for (int i = 0; i < 50 && rc == 0; i++) {
		rc = tls_handshake(browser, &wants_write, &why);
		turn();
	}
	CU_ASSERT_EQUAL(rc, 1);
}

static void
leave(void)
{
	tls_free(&browser);
	close(browser_fd);
	turn();
}

static void
begin(void)
{
	int fd[2];
	const char *why = "";
	if (cert[0] == '\0')
		make_certificate();
	memset(&fake, 0, sizeof(fake));
	file[0] = (struct epoch_file){ .path = "c", .content = sp_str(cert) };
	file[1] = (struct epoch_file){ .path = "k", .content = sp_str(key), .private = EPOCH_CONSOLE };
	epoch.files = file;
	epoch.nfiles = 2;
	console = (struct console){ .epoch = &epoch, .listening = -1 };
	console.role.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	const struct link_handler near = { on_keeper, on_gone, &console }, far = { on_console, on_gone, NULL };
	console.keeper = link_new(console.role.base, fd[0], ROLE_CONSOLE, ROLE_KEEPER, 0, &near);
	keeper = link_new(console.role.base, fd[1], ROLE_KEEPER, ROLE_CONSOLE, 0, &far);
	CU_ASSERT_EQUAL_FATAL(listen_epoch(&console, &epoch, &why), SP_OK);
	CU_ASSERT_EQUAL_FATAL(tls_credentials_trust(sp_str(cert), &trust, &why), SP_OK);
	says(CALL_WHOAMI, 200, "{\"user\":\"ann\",\"name\":\"Ann <b>\",\"identity\":\"corp\",\"expires\":\"2026-11-26T10:00:00.000Z\"}");
	says(CALL_IDENTITIES, 200, "{\"identities\":[{\"name\":\"corp\",\"kind\":\"oidc\",\"class\":\"human\"},{\"name\":\"okta\",\"kind\":\"saml\",\"class\":\"human\"}]}");
	visit("192.0.2.7");
}

static void
end(void)
{
	leave();
	while (console.callers != NULL) {
		struct caller *c = console.callers;
		caller_free(&c);
	}
	CU_ASSERT_PTR_NULL(console.asks);
	CU_ASSERT_EQUAL(console.nvisitors, 0);
	listen_end(&console);
	tls_credentials_free(&trust);
	link_free(&console.keeper);
	link_free(&keeper);
	event_base_free(console.role.base);
}

/* What the console answers to this. */
static const char *
ask(const char *request)
{
	size_t n = 0;
	CU_ASSERT_EQUAL(tls_write(browser, request, strlen(request)), (long)strlen(request));
	for (int i = 0; i < 20; i++) {
		turn();
		long got;
		while (n < sizeof(page) - 1 && (got = tls_read(browser, page + n, sizeof(page) - 1 - n)) > 0)
			n += (size_t)got;
		if (n > 0 && i > 2)
			break;
	}
	page[n] = '\0';
	return page;
}

static bool
has(const char *text)
{
	bool yes = strstr(page, text) != NULL;
	if (!yes)
		printf("\n  no \"%s\" in \"%.900s\"\n", text, page);
	return yes;
}

static bool
is(unsigned status)
{
	char line[32];
	(void)snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
	bool yes = strncmp(page, line, strlen(line)) == 0;
	if (!yes)
		printf("\n  no %u but \"%.300s\"\n", status, page);
	return yes;
}

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: gate.test:8443\r\n" more "\r\n"

static const char *
post(const char *path, const char *fields, const char *body)
{
	static char text[4096];
	(void)snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: gate.test:8443\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n%s\r\n%s",
	    path, strlen(body), fields, body);
	return ask(text);
}

/* ---- the pages of web/ ---- */

static char folder[64];

static void
put(const char *name, const char *text)
{
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	CU_ASSERT_EQUAL(fclose(f), 0);
}

static void
make_files(void)
{
	char assets[96];
	const char *why = "";
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-pages-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	(void)snprintf(assets, sizeof(assets), "%s/assets", folder);
	CU_ASSERT_EQUAL_FATAL(mkdir(assets, 0755), 0);
	put("index.html", "<title>the index</title>");
	put("assets/console-ABCD.js", "the script");
	put("assets/console-ABCD.js.gz", "the packed script");
	put("assets/console-ABCD.css", "the style");
	put("assets/notes.txt", "no file of a page");
	put("secret", "no file of a page");
	CU_ASSERT_EQUAL(chmod(assets, 0757), 0);
	CU_ASSERT_EQUAL(files_read(folder, &console.files, &why), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(why, "everybody may write there");
	CU_ASSERT_EQUAL(chmod(assets, 0755), 0);
	CU_ASSERT_EQUAL_FATAL(files_read(folder, &console.files, &why), SP_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(console.files);
}

static void
remove_files(void)
{
	static const char *const names[] = { "index.html", "assets/console-ABCD.js", "assets/console-ABCD.js.gz", "assets/console-ABCD.css", "assets/notes.txt", "secret" };
	char path[160];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		CU_ASSERT_EQUAL(unlink(path), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/assets", folder);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void
test_app(void)
{
	char request[256], etag[64];
	begin();
	CU_ASSERT(ask(GET("/approvals", "")) && is(404) && has("--without-console"));
	CU_ASSERT(ask(GET("/assets/console-ABCD.js", "")) && is(404));
	make_files();
	remove_files(); /* what was read is served, whatever becomes of the folder */
	static const char *const pages[] = { "/", "/home", "/approvals", "/approvals/01ABC", "/sessions", "/sessions/01ABC", "/policies", "/audit", "/overview" };
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: gate.test:8443\r\n\r\n", pages[i]);
		CU_ASSERT(ask(request) && is(200) && has("<title>the index</title>") && has("Content-Type: text/html; charset=utf-8\r\n") &&
		    has("Cache-Control: no-cache\r\n"));
		CU_ASSERT(has("script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'") && has("default-src 'none'") && has("frame-ancestors 'none'"));
		CU_ASSERT(has("X-Content-Type-Options: nosniff\r\n") && has("Cross-Origin-Opener-Policy: same-origin\r\n") &&
		    has("Cross-Origin-Resource-Policy: same-origin\r\n") && has("Referrer-Policy: same-origin\r\n"));
		CU_ASSERT_PTR_NULL(strstr(page, "'unsafe-inline'"));
		CU_ASSERT_PTR_NULL(strstr(page, "'unsafe-eval'"));
	}
	CU_ASSERT_EQUAL(fake.asked, 0);
	CU_ASSERT(ask(GET("/assets/console-ABCD.js", "")) && is(200) && has("\r\n\r\nthe script") && has("Content-Type: text/javascript; charset=utf-8\r\n"));
	CU_ASSERT(has("Cache-Control: public, max-age=31536000, immutable\r\n") && has("Vary: Accept-Encoding\r\n"));
	CU_ASSERT_PTR_NULL(strstr(page, "Content-Encoding"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(page, "ETag: "));
	(void)snprintf(etag, sizeof(etag), "%.22s", strstr(page, "ETag: ") + 6);
	CU_ASSERT(ask(GET("/assets/console-ABCD.js", "Accept-Encoding: gzip, deflate, br\r\n")) && is(200) && has("\r\n\r\nthe packed script") &&
	    has("Content-Encoding: gzip\r\n"));
	CU_ASSERT(ask(GET("/assets/console-ABCD.css", "Accept-Encoding: gzip\r\n")) && is(200) && has("\r\n\r\nthe style"));
	(void)snprintf(request, sizeof(request), "GET /assets/console-ABCD.js HTTP/1.1\r\nHost: gate.test:8443\r\nIf-None-Match: W/\"x\", %s\r\n\r\n", etag);
	CU_ASSERT(ask(request) && is(304) && has(etag));
	CU_ASSERT_PTR_NULL(strstr(page, "the script"));
	CU_ASSERT(ask(GET("/signin", "")) && is(200));
	CU_ASSERT_PTR_NULL(strstr(page, "script-src"));
	files_free(&console.files);
	end();
}

/* A path is looked up among those that were read, and nothing is opened. */
static void
test_no_way_out(void)
{
	static const char *const paths[] = { "/assets/../secret", "/assets/..%2fsecret", "/assets/%2e%2e/secret", "/assets/....//secret", "/assets//secret", "/secret",
		"/assets/notes.txt", "/assets/console-ABCD.js.gz", "/assets/", "/assets", "/assets/console-ABCD.js/", "/assets/console-abcd.js", "/index.html",
		"/assets/console-ABCD.js%00.css", "/assets/..\\secret", "/../../etc/passwd", "/assets/%252e%252e/secret", "/home/x", "/approvals/a/b" };
	char request[256];
	begin();
	make_files();
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: gate.test:8443\r\n\r\n", paths[i]);
		CU_ASSERT_PTR_NOT_NULL(ask(request));
		bool refused = strncmp(page, "HTTP/1.1 404 ", 13) == 0 || strncmp(page, "HTTP/1.1 400 ", 13) == 0;
		CU_ASSERT(refused);
		CU_ASSERT_PTR_NULL(strstr(page, "no file of a page"));
		if (!refused)
			printf("\n  %s: %.200s\n", paths[i], page);
		if (strstr(page, "Connection: close") != NULL) {
			leave();
			visit("192.0.2.7");
		}
	}
	CU_ASSERT(ask("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n") && is(421));
	CU_ASSERT(ask("GET /assets/console-ABCD.js HTTP/1.1\r\nHost: evil.test\r\n\r\n") && is(421));
	remove_files();
	files_free(&console.files);
	end();
}

/* ---- signing in ---- */

static void
test_sign_in(void)
{
	begin();
	CU_ASSERT(ask(GET("/", "")) && is(303) && has("Location: /signin\r\n"));
	CU_ASSERT(ask(GET("/signin?return=/device%3Fcode%3DABCD-EFGH", "")) && is(200));
	CU_ASSERT(has("href=\"/signin/with/corp?return=%2Fdevice%3Fcode%3DABCD-EFGH\"") && has("/signin/with/okta?"));
	CU_ASSERT_EQUAL(fake.connection, 0);
	says(CALL_SIGNIN_BEGIN, 200, "{\"location\":\"https://idp.test/auth?state=x\",\"flow\":\"spf_abc\"}");
	CU_ASSERT(ask(GET("/signin/with/corp?return=/device", "")) && is(303) && has("Location: https://idp.test/auth?state=x\r\n"));
	CU_ASSERT(has("Set-Cookie: __Host-sallyport-flow=spf_abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600\r\n"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"return\":\"/device\",\"identity\":\"corp\",\"address\":\"192.0.2.7\"}");
	says(CALL_SIGNIN_CODE, 200, "{\"secret\":\"" SECRET "\",\"expires\":\"x\",\"user\":\"ann\",\"name\":\"Ann\",\"class\":\"human\",\"return\":\"/device\"}");
	CU_ASSERT(ask(GET("/signin/callback/corp?code=c1&state=s1&iss=https%3A%2F%2Fidp.test&session_state=z", "Cookie: a=b; __Host-sallyport-flow=spf_abc\r\n")) &&
	    is(303) && has("Location: /device\r\n"));
	CU_ASSERT(has("Set-Cookie: __Host-sallyport=" SECRET "; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"));
	CU_ASSERT(has("Set-Cookie: __Host-sallyport-flow=; "));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"flow\":\"spf_abc\",\"state\":\"s1\",\"code\":\"c1\",\"iss\":\"https://idp.test\",\"identity\":\"corp\",\"address\":\"192.0.2.7\"}");
	CU_ASSERT(ask(GET("/signin", COOKIE)) && is(200) && has("Ann &lt;b&gt;") && has("action=\"/logout\""));
	CU_ASSERT_STRING_EQUAL(fake.token, SECRET);
	CU_ASSERT(strstr(page, SECRET) == NULL);
	says(CALL_SIGNIN_CODE, 403, "{\"error\":\"you are not <let> in\"}");
	CU_ASSERT(ask(GET("/signin/callback/corp?error=access_denied&state=s1", "")) && is(403) && has("you are not &lt;let&gt; in") && has("flow=; "));
	/* an old cookie: one may sign in anew */
	says(CALL_WHOAMI, 401, "{\"error\":\"expired\"}");
	CU_ASSERT(ask(GET("/signin", COOKIE)) && is(200) && has("/signin/with/corp") && has("Set-Cookie: __Host-sallyport=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
	end();
}

/* ID5: neither what a link says nor what the keeper says sends a browser elsewhere. */
static void
test_elsewhere(void)
{
	static const char *const bad[] = { "//evil.test", "/\\evil.test", "https://evil.test", "javascript:alert(1)", "evil", "/a\"b", "/a b" };
	char text[512], json[512];
	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text), GET("/signin?return=%s", COOKIE), strchr(bad[i], ' ') != NULL || strchr(bad[i], '"') != NULL || strchr(bad[i], '\\') != NULL ? "x" : bad[i]);
		CU_ASSERT(ask(text) && is(200) && strstr(page, "Location") == NULL && strstr(page, "evil") == NULL);
		if (strchr(bad[i], '"') != NULL || strchr(bad[i], '\\') != NULL)
			continue;
		(void)snprintf(json, sizeof(json), "{\"secret\":\"" SECRET "\",\"return\":\"%s\"}", bad[i]);
		says(CALL_SIGNIN_CODE, 200, json);
		CU_ASSERT(ask(GET("/signin/callback/corp?code=c&state=s", "")) && is(303) && has("Location: /signin\r\n"));
		(void)snprintf(json, sizeof(json), "{\"location\":\"%s\",\"flow\":\"f\"}", bad[i]);
		says(CALL_SIGNIN_BEGIN, 200, json);
		if (strncmp(bad[i], "https:", 6) != 0) /* a provider is elsewhere; the keeper takes its address from the conf */
			CU_ASSERT(ask(GET("/signin/with/corp", "")) && is(502) && strstr(page, "Location") == NULL);
	}
	says(CALL_SIGNIN_BEGIN, 200, "{\"location\":\"https://idp.test/\\r\\nSet-Cookie: a=b\",\"flow\":\"f\"}");
	CU_ASSERT(tls_write(browser, GET("/signin/with/corp", ""), strlen(GET("/signin/with/corp", ""))) > 0);
	turn();
	CU_ASSERT(tls_read(browser, page, sizeof(page)) <= 0); /* what can't be written ends the connection */
	leave();
	visit("192.0.2.8");
	says(CALL_SIGNIN_BEGIN, 200, "{\"location\":\"https://idp.test/\",\"flow\":\"a; Domain=test\"}");
	CU_ASSERT(ask(GET("/signin/with/corp", "")) && is(502) && strstr(page, "Domain") == NULL);
	end();
}

/* ---- a device, and signing out ---- */

static void
test_device(void)
{
	char csrf[CSRF_TEXT], body[256];
	begin();
	guard_csrf(sp_str(SECRET), csrf);
	CU_ASSERT(ask(GET("/device?code=ABCD-EFGH", "")) && is(303) && has("Location: /signin?return=%2Fdevice%3Fcode%3DABCD-EFGH\r\n"));
	CU_ASSERT_EQUAL(fake.asked, 0);
	CU_ASSERT(ask(GET("/device", COOKIE)) && is(200) && has("name=\"code\""));
	says(CALL_DEVICE_LOOK, 200, "{\"code\":\"ABCD-EFGH\",\"name\":\"<i>laptop\",\"address\":\"198.51.100.9\",\"created\":\"t\",\"state\":\"waiting\"}");
	CU_ASSERT(ask(GET("/device?code=abcd-efgh", COOKIE)) && is(200) && has("&lt;i&gt;laptop") && has("198.51.100.9") && has("Ann &lt;b&gt;") && has(csrf));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"code\":\"abcd-efgh\"}");
	says(CALL_DEVICE_CONFIRM, 200, "{\"state\":\"confirmed\"}");
	unsigned before = fake.asked;
	(void)snprintf(body, sizeof(body), "code=ABCD-EFGH&allow=1&csrf=%s", csrf);
	CU_ASSERT(post("/device", COOKIE, body) && is(403));
	CU_ASSERT(post("/device", COOKIE "Origin: https://evil.test\r\n", body) && is(403));
	CU_ASSERT(post("/device", COOKIE "Origin: null\r\n", body) && is(403));
	CU_ASSERT(post("/device", COOKIE "Origin: " URL "\r\n", "code=ABCD-EFGH&allow=1") && is(403));
	CU_ASSERT(post("/device", COOKIE "Origin: " URL "\r\n", "code=ABCD-EFGH&allow=1&csrf=") && is(403));
	CU_ASSERT(post("/device", "Origin: " URL "\r\n", body) && is(303) && has("Location: /signin?return="));
	CU_ASSERT_EQUAL(fake.asked, before); /* the keeper heard of none of these */
	CU_ASSERT(post("/device", COOKIE "Origin: " URL "\r\n", body) && is(200) && has("Connected"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"code\":\"ABCD-EFGH\",\"allow\":true}");
	says(CALL_DEVICE_CONFIRM, 200, "{\"state\":\"denied\"}");
	(void)snprintf(body, sizeof(body), "code=ABCD-EFGH&allow=0&csrf=%s", csrf);
	CU_ASSERT(post("/device", COOKIE "Origin: " URL "\r\n", body) && is(200) && has("Refused"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"code\":\"ABCD-EFGH\",\"allow\":false}");
	says(CALL_DEVICE_LOOK, 200, "{\"code\":\"A\",\"name\":\"n\",\"address\":\"a\",\"created\":\"t\",\"state\":\"denied\"}");
	CU_ASSERT(ask(GET("/device?code=A", COOKIE)) && is(409) && strstr(page, "<form") == NULL);
	says(CALL_WHOAMI, 401, "{\"error\":\"expired\"}");
	CU_ASSERT(ask(GET("/device?code=A", COOKIE)) && is(303) && has("Location: /signin?return=%2Fdevice%3Fcode%3DA\r\n") && has("Max-Age=0"));
	end();
}

/* AP1, AP2, AP8: all of it, none of it as markup; the link shows, and only a form of that very page decides. */
static void
test_request_page(void)
{
	char csrf[CSRF_TEXT], body[512];
	static const char id[] = "5z9h62erj5a5cqb34hpaqret4w";
	begin();
	guard_csrf(sp_str(SECRET), csrf);
	CU_ASSERT(ask(GET("/requests/5z9h62erj5a5cqb34hpaqret4w", "")) && is(303) && has("Location: /signin?return=%2Frequests%2F5z9h62erj5a5cqb34hpaqret4w\r\n"));
	CU_ASSERT_EQUAL(fake.asked, 0);
	says(CALL_REQUEST, 200, "{\"id\":\"5z9h62erj5a5cqb34hpaqret4w\",\"state\":\"waiting\",\"user\":\"<b>ann\",\"hash\":\"00ff\",\"estimate\":\"about 7 rows\","
	    "\"text\":\"DELETE <script>\\n\\u202e\\u001b[31m & 'x'\",\"view\":{\"text\":\"x\",\"params\":[\"</pre>\",7],\"next_run\":false}}");
	CU_ASSERT(ask(GET("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE)) && is(200));
	CU_ASSERT(has("DELETE &lt;script&gt;\n\\u{202e}\\x1b[31m &amp; &#39;x&#39;") && has("&lt;b&gt;ann") && has("[&quot;&lt;/pre&gt;&quot;,7]"));
	CU_ASSERT(has("about 7 rows") && has("<dt>next_run</dt>") && has(csrf) && has("name=\"hash\" value=\"00ff\"") && !has("<script>") && !has("\x1b"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"id\":\"5z9h62erj5a5cqb34hpaqret4w\"}");
	(void)snprintf(body, sizeof(body), "hash=00ff&comment=fine+by+me&allow=1&csrf=%s", csrf);
	unsigned before = fake.asked;
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE, body) && is(403));
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE "Origin: https://evil.test\r\n", body) && is(403));
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE "Origin: " URL "\r\n", "hash=00ff&allow=1") && is(403));
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", "Origin: " URL "\r\n", body) && is(303));
	CU_ASSERT_EQUAL(fake.asked, before);
	says(CALL_APPROVE, 200, "{\"id\":\"5z9h62erj5a5cqb34hpaqret4w\",\"state\":\"approved\",\"votes\":1,\"count\":1}");
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE "Origin: " URL "\r\n", body) && is(200) && has("It is approved"));
	CU_ASSERT_STRING_EQUAL(fake.args, "{\"id\":\"5z9h62erj5a5cqb34hpaqret4w\",\"hash\":\"00ff\",\"comment\":\"fine by me\"}");
	says(CALL_DENY, 403, "{\"error\":\"nobody decides on their own request\"}");
	(void)snprintf(body, sizeof(body), "hash=00ff&comment=&allow=0&csrf=%s", csrf);
	CU_ASSERT(post("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE "Origin: " URL "\r\n", body) && is(403) && has("nobody decides on their own request"));
	says(CALL_REQUEST, 200, "{\"id\":\"x\",\"state\":\"denied\",\"hash\":\"00ff\",\"text\":\"x\",\"view\":{}}");
	CU_ASSERT(ask(GET("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE)) && is(200) && strstr(page, "<form") == NULL);
	says(CALL_REQUEST, 401, "{\"error\":\"expired\"}");
	CU_ASSERT(ask(GET("/requests/5z9h62erj5a5cqb34hpaqret4w", COOKIE)) && is(303) && has("return=%2Frequests%2F") && has(id));
	end();
}

static void
test_sign_out(void)
{
	char csrf[CSRF_TEXT], body[128];
	begin();
	guard_csrf(sp_str(SECRET), csrf);
	(void)snprintf(body, sizeof(body), "csrf=%s", csrf);
	says(CALL_LOGOUT, 200, "{\"ended\":1,\"location\":\"https://idp.test/logout\"}");
	CU_ASSERT(ask(GET("/logout", COOKIE)) && is(404));
	CU_ASSERT(post("/logout", COOKIE, body) && is(403));
	CU_ASSERT(post("/logout", COOKIE "Origin: " URL "\r\n", body) && is(200) && has("Max-Age=0") && has("href=\"https://idp.test/logout\""));
	says(CALL_LOGOUT, 200, "{\"ended\":1,\"location\":\"javascript:alert(1)\"}");
	CU_ASSERT(post("/logout", COOKIE "Origin: " URL "\r\n", body) && is(200) && strstr(page, "javascript") == NULL);
	end();
}

/* ---- what is refused before the keeper hears of it ---- */

static void
test_guard(void)
{
	begin();
	unsigned before = fake.asked;
	CU_ASSERT(ask("GET /signin HTTP/1.1\r\nHost: evil.test\r\n\r\n") && is(421));
	CU_ASSERT(ask("GET /device HTTP/1.1\r\nHost: gate.test\r\n" COOKIE "\r\n") && is(421));
	CU_ASSERT(ask("GET /api/v1/whoami HTTP/1.1\r\nHost: gate.test:8444\r\n" COOKIE "\r\n") && is(421));
	CU_ASSERT(ask(GET("/api/v1/whoami", COOKIE "Sec-Fetch-Site: cross-site\r\n")) && is(403));
	CU_ASSERT(ask(GET("/signin?return=a&return=b", "")) && is(400));
	CU_ASSERT(ask(GET("/signin?return=%zz", "")) && is(400)); /* and the connection is over */
	CU_ASSERT_EQUAL(fake.asked, before);
	leave();
	visit("192.0.2.10");
	CU_ASSERT(ask(GET("/api/v1/whoami", COOKIE)) && is(200) && has("\"csrf\":\""));
	/* two cookies of that name: one of them is not ours */
	CU_ASSERT(ask(GET("/api/v1/whoami", "Cookie: __Host-sallyport=a; __Host-sallyport=b\r\n")) && fake.token[0] == '\0');
	CU_ASSERT(ask(GET("/api/v1/whoami", "Cookie: __Host-sallyport=a\r\nCookie: __Host-sallyport=b\r\n")) && fake.token[0] == '\0');
	CU_ASSERT(ask(GET("/api/v1/whoami", "Cookie: x__Host-sallyport=a\r\n")) && fake.token[0] == '\0');
	CU_ASSERT(ask(GET("/healthz", "")) && is(200));
	CU_ASSERT(ask(GET("/style.css", "")) && is(200) && has("text/css") && has("public, max-age="));
	end();
}

/* A bucket for each address. */
static void
test_attempts(void)
{
	unsigned n = 0;
	begin();
	says(CALL_SIGNIN_BEGIN, 400, "{\"error\":\"no\"}");
	while (n < 100 && ask(GET("/signin/with/corp", "")) && strncmp(page, "HTTP/1.1 429", 12) != 0)
		n++;
	CU_ASSERT(n >= 25 && n <= 35);
	CU_ASSERT(has("Retry-After: "));
	CU_ASSERT(ask(GET("/signin", "")) && is(200)); /* to look is free */
	CU_ASSERT(ask(GET("/api/v1/whoami", COOKIE)) && is(200)); /* who is signed in goes on */
	CU_ASSERT(ask(GET("/api/v1/whoami", "Authorization: Bearer a.b.c\r\n")) && is(429)); /* a token takes work to look at */
	leave();
	visit("192.0.2.9");
	CU_ASSERT(ask(GET("/signin/with/corp", "")) && is(400)); /* another address */
	end();
}

/* Behind a proxy all have one address: nobody uses up what others may try, nor their connections. */
static void
test_behind_proxy(void)
{
	int fd[2];
	struct visitor v = { .address = "uid=33", .local = true };
	unsigned n = 0;
	begin();
	leave();
	behind_proxy = true;
	visit("uid=33");
	says(CALL_SIGNIN_BEGIN, 400, "{\"error\":\"no\"}");
	for (unsigned i = 0; i < 100; i++)
		n += ask(GET("/signin/with/corp", "")) != NULL && strncmp(page, "HTTP/1.1 400", 12) == 0;
	CU_ASSERT_EQUAL(n, 100);
	CU_ASSERT(ask(GET("/api/v1/whoami", "Authorization: Bearer a.b.c\r\n")) && is(200));
	/* Codes of machines are looked for by somebody who is signed in: each has a bucket of their own. */
	says(CALL_DEVICE_LOOK, 404, "{\"error\":\"no\"}");
	for (n = 0; n < 100 && ask(GET("/device?code=AAAA-BBBB", COOKIE)) && strncmp(page, "HTTP/1.1 429", 12) != 0;)
		n++;
	CU_ASSERT(n >= 25 && n <= 35);
	CU_ASSERT(ask(GET("/device?code=AAAA-BBBB", "Cookie: __Host-sallyport=sps_other\r\n")) && is(404));
	for (unsigned i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		caller_visit(&console, fd[0], &v);
		close(fd[1]);
	}
	CU_ASSERT_EQUAL(console.nvisitors, 51);
	turn();
	behind_proxy = false;
	end();
}

/* AV1: from one address, so many at once. */
static void
test_share(void)
{
	int fd[2];
	struct visitor v = { .address = "203.0.113.5", .net = { 1 } };
	begin();
	for (unsigned i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		caller_visit(&console, fd[0], &v);
		close(fd[1]); /* seen only by the loop */
	}
	CU_ASSERT_EQUAL(console.nvisitors, 41);
	v.net[0] = 2;
	for (unsigned i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
		caller_visit(&console, fd[0], &v);
		close(fd[1]);
	}
	CU_ASSERT_EQUAL(console.nvisitors, 64); /* all of them */
	turn();
	CU_ASSERT_EQUAL(console.nvisitors, 1);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "the pages of web/", test_app }, { "no way out of their folder", test_no_way_out },
		{ "sign in", test_sign_in },
		{ "nobody is sent elsewhere", test_elsewhere },
		{ "a device", test_device }, { "a request", test_request_page },
		{ "sign out", test_sign_out },
		{ "refused before the keeper hears of it", test_guard },
		{ "a bucket for each address", test_attempts },
		{ "behind a proxy", test_behind_proxy },
		{ "a share of connections", test_share },
		CU_TEST_INFO_NULL,
	};
	log_init("test", 2, SP_ERROR);
	return cunit_main("console pages", tests);
}
