/* SPDX-License-Identifier: Apache-2.0 */
/* The cursor of sallyport/wire.h, function by function, and what PostgreSQL messages make of it (PG1, PG2, PG3). */
#include <config.h>
#include "cunit_main.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <sallyport/wire.h>

#include "modules/postgres/message.h"

static struct sp_reader
over(const void *p, size_t n)
{
	return sp_reader((struct sp_bytes){ p, n });
}

/* ---- bytes ---- */

static void
test_bytes(void)
{
	struct sp_bytes none = { NULL, 0 };
	CU_ASSERT(sp_bytes_eq(SP_LIT("abc"), sp_str("abc")) && !sp_bytes_eq(SP_LIT("abc"), SP_LIT("abd")));
	CU_ASSERT(!sp_bytes_eq(SP_LIT("abc"), SP_LIT("ab")) && !sp_bytes_eq(SP_LIT("ab"), SP_LIT("abc")));
	CU_ASSERT(sp_bytes_eq(none, SP_LIT("")) && sp_bytes_is(none, "") && sp_bytes_is(sp_str(NULL), ""));
	CU_ASSERT(sp_bytes_is(SP_LIT("a"), "a") && !sp_bytes_is(SP_LIT("a\0b"), "a"));
	CU_ASSERT_EQUAL(SP_LIT("a\0b").len, 3);
}

/* ---- reading ---- */

static void
test_numbers(void)
{
	static const uint8_t b[] = { 0xff, 0x01, 0x02, 0x80, 0x00, 0x00, 0x01, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10 };
	struct sp_reader r = over(b, sizeof(b));
	CU_ASSERT_EQUAL(sp_rd_u8(&r), 0xff);
	CU_ASSERT_EQUAL(sp_rd_be16(&r), 0x0102);
	CU_ASSERT_EQUAL(sp_rd_be32(&r), 0x80000001u);
	CU_ASSERT_EQUAL(sp_rd_be64(&r), 0xfedcba9876543210u);
	CU_ASSERT(sp_rd_done(&r));
	CU_ASSERT_EQUAL(sp_rd_u8(&r), 0);
	CU_ASSERT(r.bad && !sp_rd_done(&r));
}

/* Each read with every length that is too short: zero or empty, bad, and nothing moves any more. */
static void
test_short(void)
{
	static const uint8_t b[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	for (size_t size = 1; size <= 8; size *= 2)
		for (size_t n = 0; n < size; n++) {
			uint8_t *exact = malloc(n + (n == 0));
			memcpy(exact, b, n);
			struct sp_reader r = over(exact, n);
			uint64_t v = size == 1 ? sp_rd_u8(&r) : size == 2 ? sp_rd_be16(&r) : size == 4 ? sp_rd_be32(&r) : sp_rd_be64(&r);
			CU_ASSERT(r.bad);
			CU_ASSERT(size == 8 || v == 0);
			size_t left = r.left;
			CU_ASSERT_EQUAL(sp_rd_u8(&r), 0);
			CU_ASSERT_EQUAL(sp_rd_take(&r, 0).len, 0);
			CU_ASSERT_EQUAL(sp_rd_rest(&r).len, 0);
			CU_ASSERT_EQUAL(sp_rd_cstr(&r).len, 0);
			CU_ASSERT(r.bad && r.left == left && !sp_rd_done(&r));
			free(exact);
		}
}

static void
test_take(void)
{
	struct sp_reader r = over("abcdef", 6);
	CU_ASSERT(sp_bytes_is(sp_rd_take(&r, 2), "ab"));
	CU_ASSERT(sp_bytes_is(sp_rd_take(&r, 0), ""));
	CU_ASSERT(sp_bytes_is(sp_rd_rest(&r), "cdef") && sp_rd_done(&r));
	CU_ASSERT(sp_bytes_is(sp_rd_rest(&r), "") && sp_rd_done(&r));
	r = over("abc", 3);
	CU_ASSERT(sp_rd_take(&r, SIZE_MAX).p == NULL && r.bad);
	r = over("abc", 3);
	CU_ASSERT(sp_rd_take(&r, 4).p == NULL && r.bad);
	r = over(NULL, 0);
	CU_ASSERT(sp_rd_take(&r, 0).len == 0 && sp_rd_done(&r));
	CU_ASSERT(sp_rd_take(&r, 1).p == NULL && r.bad);
}

static void
test_until(void)
{
	struct sp_reader r = over("a,b,,c", 6);
	CU_ASSERT(sp_bytes_is(sp_rd_until(&r, ','), "a") && sp_bytes_is(sp_rd_until(&r, ','), "b") && sp_bytes_is(sp_rd_until(&r, ','), ""));
	CU_ASSERT(!r.bad && sp_rd_until(&r, ',').p == NULL && r.bad);
	r = over("one\0two", 8);
	struct sp_bytes one = sp_rd_cstr(&r), two = sp_rd_cstr(&r);
	CU_ASSERT(sp_bytes_is(one, "one") && one.p[one.len] == '\0' && sp_bytes_is(two, "two") && sp_rd_done(&r));
	CU_ASSERT(sp_rd_cstr(&r).p == NULL && r.bad);
}

/* ---- writing ---- */

static void
test_write(void)
{
	uint8_t b[32];
	struct sp_writer w = sp_writer(b, sizeof(b));
	sp_wr_u8(&w, 0xab);
	sp_wr_be16(&w, 0x0102);
	sp_wr_be32(&w, 0x03040506);
	sp_wr_be64(&w, 0x0708090a0b0c0d0eu);
	sp_wr_cstr(&w, SP_LIT("xy"));
	sp_wr_put(&w, SP_LIT("z"));
	sp_wr_patch32(&w, 3, 0xffffffff);
	CU_ASSERT(sp_bytes_eq(sp_written(&w), SP_LIT("\xab\x01\x02\xff\xff\xff\xff\x07\x08\x09\x0a\x0b\x0c\x0d\x0exy\0z")));
	uint8_t *room = sp_wr_room(&w, 2);
	CU_ASSERT(room == b + 19 && w.len == 21);
	sp_wr_cstr(&w, SP_LIT("a\0b"));
	CU_ASSERT(w.bad && sp_written(&w).len == 0);
}

/* Every write into room that is one byte short is refused whole, and latches. */
static void
test_full(void)
{
	static const size_t size[] = { 1, 2, 4, 8, 3 };
	for (unsigned i = 0; i < 5; i++) {
		uint8_t b[8];
		struct sp_writer w = sp_writer(b, size[i] - 1);
		switch (i) {
		case 0: sp_wr_u8(&w, 1); break;
		case 1: sp_wr_be16(&w, 1); break;
		case 2: sp_wr_be32(&w, 1); break;
		case 3: sp_wr_be64(&w, 1); break;
		default: sp_wr_cstr(&w, SP_LIT("ab")); break;
		}
		CU_ASSERT(w.bad && w.len < size[i] && sp_written(&w).len == 0);
		CU_ASSERT(sp_wr_room(&w, 0) == NULL);
		size_t len = w.len;
		sp_wr_put(&w, SP_LIT(""));
		CU_ASSERT_EQUAL(w.len, len);
	}
}

static void
test_patch(void)
{
	uint8_t b[8] = { 0 };
	static const struct { size_t at, v; bool fits; } cases[] = {
		{ 0, 1, true }, { 4, UINT32_MAX, true }, { 5, 1, false }, { 8, 1, false }, { 9, 1, false }, { SIZE_MAX, 1, false },
		{ SIZE_MAX - 3, 1, false }, { 0, (size_t)UINT32_MAX + 1, false }, { 0, SIZE_MAX, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sp_writer w = sp_writer(b, sizeof(b));
		(void)sp_wr_room(&w, 8);
		sp_wr_patch32(&w, cases[i].at, cases[i].v);
		CU_ASSERT_EQUAL(!w.bad, cases[i].fits);
	}
}

/* ---- an allocator that only says yes or no ---- */

struct allocator {
	size_t limit, asked;
};

static int
grow(struct sp_writer *w, size_t more)
{
	struct allocator *a = w->owner;
	a->asked = more;
	if (more > a->limit || w->len > a->limit - more)
		return -1;
	uint8_t *p = realloc(w->p, w->len + more);
	if (p == NULL)
		return -1;
	w->p = p;
	w->cap = w->len + more;
	return 0;
}

static void
test_grow(void)
{
	struct allocator a = { 10, 0 };
	struct sp_writer w = { .grow = grow, .owner = &a };
	sp_wr_put(&w, SP_LIT("12345"));
	sp_wr_put(&w, SP_LIT("67890"));
	CU_ASSERT(!w.bad && sp_bytes_is(sp_written(&w), "1234567890"));
	sp_wr_u8(&w, 'x');
	CU_ASSERT(w.bad && a.asked == 1);
	free(w.p);
	CU_ASSERT(sp_wr_room(&w, SIZE_MAX) == NULL);
}

/*
 * PG1: a body of 4 GiB and 16 bytes would get the length 20.  The allocator is asked for the whole,
 * says no, and nothing of the message is there to be sent.
 */
static void
test_huge(void)
{
	size_t huge = ((size_t)4 << 30) + 16;
	void *body = mmap(NULL, huge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (body == MAP_FAILED) {
		printf(" (4 GiB: not tested, no address space)");
		return;
	}
	struct allocator a = { PG_MESSAGE_MAX, 0 };
	struct sp_writer w = { .grow = grow, .owner = &a };
	CU_ASSERT_EQUAL(pg_write_cstr(&w, 'Q', (struct sp_bytes){ body, huge }), SP_ETOOBIG);
	CU_ASSERT_EQUAL(a.asked, PG_HEADER); /* a text with a NUL inside is refused before it is copied … */
	CU_ASSERT(w.bad && sp_written(&w).len == 0);
	w = (struct sp_writer){ .grow = grow, .owner = &a, .p = w.p, .cap = w.cap };
	size_t at = pg_begin(&w, 'D');
	sp_wr_put(&w, (struct sp_bytes){ body, huge });
	CU_ASSERT_EQUAL(a.asked, huge); /* … and this one because its size is known and too large */
	CU_ASSERT_EQUAL(pg_end(&w, at), SP_ETOOBIG);
	CU_ASSERT(w.bad && sp_written(&w).len == 0);
	free(w.p);
	(void)munmap(body, huge);
}

/* A message that grew beyond what may be said is refused, even where memory says yes. */
static void
test_too_long(void)
{
	size_t size = (size_t)PG_MESSAGE_MAX + 64;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		printf(" (1 GiB: not tested, no address space)");
		return;
	}
	struct sp_writer w = sp_writer(p, size);
	size_t at = pg_begin(&w, 'D');
	(void)sp_wr_room(&w, PG_MESSAGE_MAX - 4);
	CU_ASSERT_EQUAL(pg_end(&w, at), SP_OK);
	w = sp_writer(p, size);
	at = pg_begin(&w, 'D');
	(void)sp_wr_room(&w, PG_MESSAGE_MAX - 3);
	CU_ASSERT_EQUAL(pg_end(&w, at), SP_ETOOBIG);
	CU_ASSERT(w.bad && sp_written(&w).len == 0);
	(void)munmap(p, size);
}

/* ---- typed messages ---- */

/* Every cut of a sound body is refused by the reader of its kind, and so is one byte more. */
static void
cuts(struct sp_bytes body, int (*read)(struct sp_bytes))
{
	CU_ASSERT_EQUAL(read(body), SP_OK);
	for (size_t n = 0; n <= body.len + 1; n++) {
		uint8_t *exact = malloc(n + (n == 0));
		memcpy(exact, body.p, n < body.len ? n : body.len);
		if (n > body.len)
			exact[body.len] = 0;
		CU_ASSERT_EQUAL(read((struct sp_bytes){ exact, n }) == SP_OK, n == body.len);
		free(exact);
	}
}

static int read_query(struct sp_bytes b) { struct sp_bytes t; return pg_read_cstr(b, &t); }
static int read_parse(struct sp_bytes b) { struct pg_parse m; return pg_read_parse(b, &m); }
static int read_bind(struct sp_bytes b) { struct pg_bind m; return pg_read_bind(b, &m); }
static int read_target(struct sp_bytes b) { struct pg_target m; return pg_read_target(b, &m); }
static int read_execute(struct sp_bytes b) { struct pg_execute m; return pg_read_execute(b, &m); }
static int read_rows(struct sp_bytes b) { uint16_t n; return pg_read_row_description(b, &n); }
static int read_copy(struct sp_bytes b) { struct pg_copy m; return pg_read_copy(b, &m); }
static int read_error(struct sp_bytes b) { struct pg_error_text m; return pg_read_error(b, &m); }
static int read_status(struct sp_bytes b) { struct sp_bytes n, v; return pg_read_parameter_status(b, &n, &v); }
static int read_notify(struct sp_bytes b) { struct sp_bytes c; uint32_t p; return pg_read_notification(b, &p, &c); }
static int read_row(struct sp_bytes b) { return pg_row_fits(b, 2) ? SP_OK : SP_EPROTO; }

static void
test_messages(void)
{
	cuts(SP_LIT("SELECT 1\0"), read_query);
	cuts(SP_LIT("s\0SELECT $1\0\0\1\0\0\0\x17"), read_parse);
	cuts(SP_LIT("p\0s\0\0\1\0\1\0\2\0\0\0\1x\xff\xff\xff\xff\0\1\0\0"), read_bind);
	cuts(SP_LIT("Sname\0"), read_target);
	cuts(SP_LIT("p\0\0\0\0\1"), read_execute);
	cuts(SP_LIT("\0\1id\0\0\0\x40\0\0\1\0\0\0\x17\0\4\xff\xff\xff\xff\0\1"), read_rows);
	cuts(SP_LIT("\0\0\2\0\0\0\1"), read_copy);
	cuts(SP_LIT("SERROR\0C42601\0Mno\0\0"), read_error);
	cuts(SP_LIT("DateStyle\0ISO\0"), read_status);
	cuts(SP_LIT("\0\0\0\1channel\0payload\0"), read_notify);
	cuts(SP_LIT("\0\2\0\0\0\1x\xff\xff\xff\xff"), read_row);
}

static void
test_tag_rows(void)
{
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("INSERT 0 5")), 5);
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("SELECT 1200")), 1200);
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("BEGIN")), 0);
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("")), 0);
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("5")), 0);
	CU_ASSERT_EQUAL(pg_tag_rows(SP_LIT("SELECT 99999999999999999999999999")), 0); /* no number that we count in */
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "bytes", test_bytes },
		{ "numbers", test_numbers },
		{ "too short", test_short },
		{ "take and rest", test_take },
		{ "until and strings", test_until },
		{ "writing", test_write },
		{ "no room", test_full },
		{ "patching a length", test_patch },
		{ "growing", test_grow },
		{ "PG1: a body over 4 GiB", test_huge },
		{ "PG1: a body over 1 GiB", test_too_long },
		{ "PG3: every cut of every message", test_messages },
		{ "rows of a tag", test_tag_rows },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("wire", tests);
}
