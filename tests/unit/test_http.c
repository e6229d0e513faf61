/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP library: what is accepted, what is refused and why, bodies cut at every byte, the writer. */
#include <CUnit/CUnit.h>

#include "../../modules/http/http.h"
#include "cunit_main.h"

static struct http_head head;

static long
parse(enum http_kind kind, const char *text, size_t len)
{
	http_head_begin(&head, kind, NULL);
	return http_head_parse(&head, (struct sp_bytes){ (const uint8_t *)text, len });
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: a\r\n"

/* Request-smuggling and confusion classes: each must be refused, with this error. */
static const struct {
	const char *text;
	int error;
} refused[] = {
	/* two lengths */
	{ POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EFRAMING },
	{ POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 3, 3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: +3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: -3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 0x3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 3 3\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: \r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 99999999999999999999\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length: 9999999999999999999\r\n\r\n", HTTP_EFRAMING },
	{ POST "Content-Length : 3\r\n\r\n", HTTP_EBAD },
	{ POST "Content-Length\t: 3\r\n\r\n", HTTP_EBAD },
	{ POST "Content_Length: 3\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\n", HTTP_EFRAMING },
	/* codings */
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EREPEATED },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", HTTP_EREPEATED },
	{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding: chunked, identity\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding: identity\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding: xchunked\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding: \"chunked\"\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding: chunked;q=1\r\n\r\n", HTTP_ECODING },
	{ POST "Transfer-Encoding:\x0b" "chunked\r\n\r\n", HTTP_EBAD },
	{ POST "Transfer-Encoding: chunked\r\n chunked\r\n\r\n", HTTP_EBAD },
	{ POST "Transfer-Encoding :chunked\r\n\r\n", HTTP_EBAD },
	{ POST " Transfer-Encoding: chunked\r\n\r\n", HTTP_EBAD },
	{ POST "X: a\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EBAD },
	{ POST "X: a\rTransfer-Encoding: chunked\r\n\r\n", HTTP_EBAD },
	{ "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EFRAMING },
	/* line ends, folding, controls */
	{ "GET / HTTP/1.1\nHost: a\n\n", HTTP_EBAD },
	{ "GET / HTTP/1.1\r\nHost: a\n\r\n", HTTP_EBAD },
	{ GET "X: a\r\n b\r\n\r\n", HTTP_EBAD },
	{ GET "X: a\r\n\tb\r\n\r\n", HTTP_EBAD },
	{ GET "X: a\x01\r\n\r\n", HTTP_EBAD },
	{ GET "X: a\x7f\r\n\r\n", HTTP_EBAD },
	{ GET "X y: a\r\n\r\n", HTTP_EBAD },
	{ GET ": a\r\n\r\n", HTTP_EBAD },
	{ GET "X\r\n\r\n", HTTP_EBAD },
	{ GET "\xc3\xa9: a\r\n\r\n", HTTP_EBAD },
	{ "\r\n" GET "\r\n", HTTP_EBAD },
	{ GET "\rX", HTTP_EBAD },
	/* request lines */
	{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /\\x HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ETARGET },
	{ "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ETARGET },
	{ "GET /\r\n\r\n", HTTP_EBAD },
	{ "GET / HTTP/1.2\r\nHost: a\r\n\r\n", HTTP_EVERSION },
	{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP_EVERSION },
	{ "GET / http/1.1\r\nHost: a\r\n\r\n", HTTP_EVERSION },
	{ "GET / HTTP/1.10\r\nHost: a\r\n\r\n", HTTP_EVERSION },
	{ "GET / HTTP/01.1\r\nHost: a\r\n\r\n", HTTP_EVERSION },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_EVERSION },
	{ "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	{ " / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_EBAD },
	/* forms and hosts */
	{ "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ETARGET },
	{ "GET b:80 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ETARGET },
	{ "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", HTTP_ETARGET },
	{ "GET * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ETARGET },
	{ "GET / HTTP/1.1\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", HTTP_EHOST },
	{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HTTP_EHOST },
	/* repeated */
	{ GET "Authorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n", HTTP_EREPEATED },
	{ POST "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n", HTTP_EREPEATED },
	{ POST "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", HTTP_EBAD },
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		long rc = parse(HTTP_REQUEST, refused[i].text, strlen(refused[i].text));
		if (rc != refused[i].error)
			printf("\n  row %zu: %ld, wanted %d: %.60s\n", i, rc, refused[i].error, refused[i].text);
		CU_ASSERT_EQUAL(rc, refused[i].error);
	}
	/* a NUL does not end a line, a name or a value */
	CU_ASSERT_EQUAL(parse(HTTP_REQUEST, GET "X: a\0b\r\n\r\n", sizeof(GET "X: a\0b\r\n\r\n") - 1), HTTP_EBAD);
	CU_ASSERT_EQUAL(parse(HTTP_REQUEST, GET "X\0: b\r\n\r\n", sizeof(GET "X\0: b\r\n\r\n") - 1), HTTP_EBAD);
}

static void
test_accepted(void)
{
	static const char text[] = "POST /api/v1/x?y=%20z HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nX-Wide: \t a  b \t\r\n"
				   "content-length: 5\r\nConnection: Keep-Alive, X-Wide\r\n\r\nhello";
	size_t whole = sizeof(text) - 1 - 5;
	struct sp_bytes in = { (const uint8_t *)text, sizeof(text) - 1 };
	for (size_t cut = 0; cut <= whole; cut++) { /* split at every byte */
		http_head_begin(&head, HTTP_REQUEST, NULL);
		long n = http_head_parse(&head, (struct sp_bytes){ in.p, cut });
		CU_ASSERT_EQUAL(n, cut < whole ? 0 : (long)whole);
		if (n == 0)
			n = http_head_parse(&head, in);
		CU_ASSERT_EQUAL(n, (long)whole);
	}
	CU_ASSERT(sp_bytes_is(http_span(in, head.method), "POST"));
	CU_ASSERT(sp_bytes_is(http_span(in, head.target), "/api/v1/x?y=%20z"));
	CU_ASSERT(sp_bytes_is(http_field(&head, in, "x-wide"), "a  b"));
	CU_ASSERT_EQUAL(http_field(&head, in, "X-EMPTY").len, 0);
	CU_ASSERT_PTR_NOT_NULL(http_field(&head, in, "X-EMPTY").p);
	CU_ASSERT_PTR_NULL(http_field(&head, in, "x-none").p);
	CU_ASSERT_EQUAL(head.framing.kind, HTTP_LENGTH);
	CU_ASSERT_EQUAL(head.framing.length, 5);
	CU_ASSERT(head.keep_alive);
	CU_ASSERT(http_field_is_hop(&head, in, &head.field[2]));
	CU_ASSERT(http_field_is_hop(&head, in, &head.field[4]));
	CU_ASSERT(!http_field_is_hop(&head, in, &head.field[0]));
}

static void
test_limits(void)
{
	static char text[HTTP_HEAD_MAX + 4096];
	struct sp_writer w = sp_writer(text, sizeof(text));
	sp_wr_put(&w, SP_LIT(GET));
	for (int i = 0; i < HTTP_FIELDS - 1; i++)
		sp_wr_put(&w, SP_LIT("X: y\r\n"));
	size_t full = w.len;
	sp_wr_put(&w, SP_LIT("\r\n"));
	CU_ASSERT_EQUAL(parse(HTTP_REQUEST, text, w.len), (long)w.len);
	w.len = full;
	sp_wr_put(&w, SP_LIT("X: y\r\n\r\n"));
	CU_ASSERT_EQUAL(parse(HTTP_REQUEST, text, w.len), HTTP_ELONG);

	w.len = 0;
	sp_wr_put(&w, SP_LIT(GET "X: "));
	memset(sp_wr_room(&w, HTTP_LINE_MAX), 'a', HTTP_LINE_MAX);
	CU_ASSERT_EQUAL(parse(HTTP_REQUEST, text, w.len), HTTP_ELONG);

	struct http_limits small = { .head = 38, .line = 20 };
	http_head_begin(&head, HTTP_REQUEST, &small);
	CU_ASSERT_EQUAL(http_head_parse(&head, SP_LIT(GET "X: y\r\nX: y\r\n\r\n")), HTTP_ELONG);
}

static void
test_responses(void)
{
	static const struct {
		const char *text;
		enum http_framing_kind kind;
		uint64_t length;
		bool keep;
	} good[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", HTTP_LENGTH, 7, true },
		{ "HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n", HTTP_LENGTH, 7, true },
		{ "HTTP/1.1 200 \r\nTransfer-Encoding: CHUNKED\r\nConnection: close\r\n\r\n", HTTP_CHUNKED, 0, false },
		{ "HTTP/1.1 200 OK\r\n\r\n", HTTP_UNTIL_CLOSE, 0, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_LENGTH, 0, false },
		{ "HTTP/1.1 204 No Content\r\n\r\n", HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n", HTTP_NO_BODY, 0, true },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		CU_ASSERT_EQUAL(parse(HTTP_RESPONSE, good[i].text, strlen(good[i].text)), (long)strlen(good[i].text));
		CU_ASSERT_EQUAL(head.framing.kind, good[i].kind);
		CU_ASSERT_EQUAL(head.framing.length, good[i].length);
		CU_ASSERT_EQUAL(head.keep_alive, good[i].keep);
	}
	CU_ASSERT_TRUE(head.upgrade);
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{ "HTTP/1.1 20 OK\r\n\r\n", HTTP_EBAD },
		{ "HTTP/1.1 2000 OK\r\n\r\n", HTTP_EBAD },
		{ "HTTP/1.1 099 OK\r\n\r\n", HTTP_EBAD },
		{ "HTTP/1.1 999 OK\r\n\r\n", HTTP_EBAD },
		{ "HTTP/2 200 OK\r\n\r\n", HTTP_EVERSION },
		{ "HTTP/1.1  200 OK\r\n\r\n", HTTP_EBAD },
		{ "HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n", HTTP_EFRAMING },
		{ "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EFRAMING },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_EFRAMING },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_EQUAL(parse(HTTP_RESPONSE, bad[i].text, strlen(bad[i].text)), bad[i].error);
	CU_ASSERT(parse(HTTP_RESPONSE, good[0].text, strlen(good[0].text)) > 0);
	http_head_answers(&head, SP_LIT("HEAD"));
	CU_ASSERT_EQUAL(head.framing.kind, HTTP_NO_BODY);
}

/* Reads a body handed over in two parts; the pieces joined, or the error. */
static int
body_read(const struct http_framing *f, struct sp_bytes in, size_t cut, struct sp_writer *out)
{
	struct http_body b;
	struct sp_reader all = sp_reader(in);
	struct sp_bytes part[2], piece;
	int rc = HTTP_BODY_MORE;
	part[0] = sp_rd_take(&all, cut);
	part[1] = sp_rd_rest(&all);
	http_body_begin(&b, f);
	for (unsigned i = 0; i < 2 && rc == HTTP_BODY_MORE; i++) {
		struct sp_reader r = sp_reader(part[i]);
		while ((rc = http_body_next(&b, &r, &piece)) == HTTP_BODY_PIECE)
			sp_wr_put(out, piece);
	}
	return rc;
}

static void
test_chunked(void)
{
	static const struct http_framing chunked = { HTTP_CHUNKED, 0 };
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{ "5\r\nhello\r\n0\r\n\r\n", HTTP_BODY_END },
		{ "3\r\nhel\r\n002;name=\"v\"\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n", HTTP_BODY_END },
		{ "5\r\nhello\r\n0\r\n", HTTP_BODY_MORE },
		{ "5\r\nhello0\r\n\r\n", HTTP_EBAD },
		{ "5\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "5\r\nhello\n0\r\n\r\n", HTTP_EBAD },
		{ "5\r\nhello\r\n0\r\nContent-Length: 4\r\n\r\n", HTTP_EFRAMING },
		{ "5\r\nhello\r\n0\r\ntransfer-encoding: x\r\n\r\n", HTTP_EFRAMING },
		{ "5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n", HTTP_EBAD },
		{ " 5\r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "5 \r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "0x5\r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "+5\r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "-5\r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ ";x\r\nhello\r\n0\r\n\r\n", HTTP_EBAD },
		{ "\r\nhello", HTTP_EBAD },
		{ "000000005\r\nhello\r\n0\r\n\r\n", HTTP_ELONG },
		{ "fffffffff\r\n", HTTP_ELONG },
	};
	uint8_t memory[64];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sp_bytes in = sp_str(rows[i].text);
		for (size_t cut = 0; cut <= in.len; cut++) {
			struct sp_writer out = sp_writer(memory, sizeof(memory));
			CU_ASSERT_EQUAL(body_read(&chunked, in, cut, &out), rows[i].rc);
			if (rows[i].rc == HTTP_BODY_END)
				CU_ASSERT(sp_bytes_is(sp_written(&out), "hello"));
		}
	}
	char extension[HTTP_CHUNK_EXTENSION_MAX + 16] = "5;";
	memset(extension + 2, 'a', HTTP_CHUNK_EXTENSION_MAX);
	struct sp_writer out = sp_writer(memory, sizeof(memory));
	CU_ASSERT_EQUAL(body_read(&chunked, (struct sp_bytes){ (uint8_t *)extension, sizeof(extension) }, 3, &out), HTTP_ELONG);
}

static void
test_length(void)
{
	static const struct http_framing five = { HTTP_LENGTH, 5 }, rest = { HTTP_UNTIL_CLOSE, 0 };
	struct http_body b;
	struct sp_bytes piece;
	struct sp_reader r = sp_reader(SP_LIT("helloGET /"));
	http_body_begin(&b, &five);
	CU_ASSERT_EQUAL(http_body_next(&b, &r, &piece), HTTP_BODY_PIECE);
	CU_ASSERT(sp_bytes_is(piece, "hello"));
	CU_ASSERT_EQUAL(http_body_next(&b, &r, &piece), HTTP_BODY_END);
	CU_ASSERT_EQUAL(r.left, 5); /* the next request is left alone */
	CU_ASSERT_FALSE(http_body_eof(&b));
	http_body_begin(&b, &rest);
	CU_ASSERT_EQUAL(http_body_next(&b, &r, &piece), HTTP_BODY_PIECE);
	CU_ASSERT_EQUAL(http_body_next(&b, &r, &piece), HTTP_BODY_MORE);
	CU_ASSERT_TRUE(http_body_eof(&b));
}

static void
test_targets(void)
{
	struct sp_bytes path, query, key, value;
	uint8_t memory[64];
	http_target_split(SP_LIT("/a/b?c=d&e&f=g=h&&="), &path, &query);
	CU_ASSERT(sp_bytes_is(path, "/a/b"));
	struct sp_reader r = sp_reader(query);
	CU_ASSERT(http_query_next(&r, &key, &value) && sp_bytes_is(key, "c") && sp_bytes_is(value, "d"));
	CU_ASSERT(http_query_next(&r, &key, &value) && sp_bytes_is(key, "e") && value.len == 0);
	CU_ASSERT(http_query_next(&r, &key, &value) && sp_bytes_is(key, "f") && sp_bytes_is(value, "g=h"));
	CU_ASSERT(http_query_next(&r, &key, &value) && key.len == 0);
	CU_ASSERT(http_query_next(&r, &key, &value) && key.len == 0 && value.len == 0);
	CU_ASSERT(!http_query_next(&r, &key, &value));
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	http_encode(SP_LIT("a b/\xc3\xa9+"), &w);
	CU_ASSERT(sp_bytes_is(sp_written(&w), "a%20b%2F%C3%A9%2B"));
	struct sp_writer back = sp_writer(memory + 32, 32);
	http_decode(sp_written(&w), true, &back);
	CU_ASSERT(sp_bytes_is(sp_written(&back), "a b/\xc3\xa9+"));
	static const char *const odd[] = { "%", "%4", "%4g", "%00" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		w = sp_writer(memory, sizeof(memory));
		http_decode(sp_str(odd[i]), true, &w);
		CU_ASSERT(w.bad);
	}
	static const char *const plain[] = { "/", "/a", "/a/", "/a/..b/...", "/%41", "/a;b=1/c" };
	static const char *const tricky[] = { "", "a", "/./a", "/a/..", "/a//b", "/%2e%2E/a", "/a%2fb", "/a%5cb", "/a/.%2e", "/a/..;/b", "/..;x=1", "/a/..%3b/b", "/.;" };
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		CU_ASSERT(http_path_is_plain(sp_str(plain[i])));
	for (size_t i = 0; i < sizeof(tricky) / sizeof(*tricky); i++)
		CU_ASSERT(!http_path_is_plain(sp_str(tricky[i])));
}

static void
test_writer(void)
{
	uint8_t memory[256];
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	http_put_status(&w, 200);
	http_put_field_u64(&w, "Content-Length", 0);
	http_put_field(&w, "X", SP_LIT("y z"));
	http_put_end(&w);
	CU_ASSERT(sp_bytes_is(sp_written(&w), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y z\r\n\r\n"));
	w = sp_writer(memory, sizeof(memory));
	http_put_chunk(&w, SP_LIT("seventeen bytes!!"));
	http_put_chunk(&w, SP_LIT(""));
	http_put_last_chunk(&w);
	CU_ASSERT(sp_bytes_is(sp_written(&w), "11\r\nseventeen bytes!!\r\n0\r\n\r\n"));
	static const char *const splitting[] = { "a\r\nb", "a\nb", "a\rb", "a\x01" };
	for (size_t i = 0; i < sizeof(splitting) / sizeof(*splitting); i++) {
		w = sp_writer(memory, sizeof(memory));
		http_put_field(&w, "X", sp_str(splitting[i]));
		CU_ASSERT(w.bad);
		w = sp_writer(memory, sizeof(memory));
		http_put_request(&w, SP_LIT("GET"), sp_str(splitting[i]));
		CU_ASSERT(w.bad);
		w = sp_writer(memory, sizeof(memory));
		http_put_field(&w, splitting[i], SP_LIT("x"));
		CU_ASSERT(w.bad);
	}
	for (int e = -1; e > -9; e--)
		CU_ASSERT(http_error_status(e) >= 400 && strcmp(http_error_text(e), "internal error") != 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "refused", test_refused },
		{ "accepted", test_accepted },
		{ "limits", test_limits },
		{ "responses", test_responses },
		{ "chunked", test_chunked },
		{ "length", test_length },
		{ "targets", test_targets },
		{ "writer", test_writer },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("http", tests);
}
