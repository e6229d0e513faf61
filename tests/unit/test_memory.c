/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, buffers, writers into buffers, secrets. */
#include <stdalign.h>

#include "core/base/memory.h"
#include "cunit_main.h"

static void
arena_gives_zeroed_aligned_memory(void)
{
	struct arena *a = arena_new(0);
	for (size_t n = 0; n < 5000; n += 7) {
		uint8_t *p = arena_alloc(a, n);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT_EQUAL((uintptr_t)p % alignof(max_align_t), 0);
		bool zero = true;
		for (size_t i = 0; i < n; i++)
			zero = zero && p[i] == 0;
		CU_ASSERT_TRUE(zero);
		memset(p, 0xff, n);
	}
	arena_free(&a);
	CU_ASSERT_PTR_NULL(a);
	arena_free(&a);
}

static void
arena_stops_at_its_cap(void)
{
	struct arena *a = arena_new(4096);
	CU_ASSERT_PTR_NULL(arena_alloc(a, 4097));
	CU_ASSERT_PTR_NULL(arena_alloc(a, SIZE_MAX));
	CU_ASSERT_PTR_NULL(arena_alloc(a, SIZE_MAX - 8));
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(a, 4096));
	CU_ASSERT_PTR_NULL(arena_alloc(a, 1));
	CU_ASSERT_PTR_NULL(arena_alloc(a, 0));
	CU_ASSERT_EQUAL(arena_used(a), 4096);
	arena_free(&a);
}

static void
arena_copies(void)
{
	struct arena *a = arena_new(1024);
	CU_ASSERT_STRING_EQUAL(arena_string(a, SP_LIT("abc")), "abc");
	CU_ASSERT_STRING_EQUAL(arena_string(a, (struct sp_bytes){ NULL, 0 }), "");
	CU_ASSERT_STRING_EQUAL(arena_printf(a, "%s-%d", "x", 7), "x-7");
	struct sp_bytes b = arena_bytes(a, SP_LIT("q\0r"));
	CU_ASSERT_TRUE(sp_bytes_eq(b, SP_LIT("q\0r")));
	CU_ASSERT_PTR_NULL(arena_printf(a, "%2000d", 1));
	CU_ASSERT_PTR_NULL(arena_bytes(a, (struct sp_bytes){ (const uint8_t *)"", 2000 }).p);
	arena_free(&a);
}

static void
equality_is_of_bytes_and_length(void)
{
	CU_ASSERT_TRUE(mem_equal(SP_LIT("abc"), SP_LIT("abc")));
	CU_ASSERT_FALSE(mem_equal(SP_LIT("abc"), SP_LIT("abd")));
	CU_ASSERT_FALSE(mem_equal(SP_LIT("abc"), SP_LIT("abcd")));
	CU_ASSERT_FALSE(mem_equal(SP_LIT("\x01\x01"), SP_LIT("\x01\x81")));
	CU_ASSERT_TRUE(mem_equal(SP_LIT(""), (struct sp_bytes){ NULL, 0 }));
}

static void
buffer_keeps_order_while_it_moves(void)
{
	struct buffer b = { 0 };
	uint8_t next_in = 0, next_out = 0;
	bool right = true;
	for (unsigned round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < round % 97; i++, next_in++)
			right = right && buffer_put(&b, (struct sp_bytes){ &next_in, 1 }) == SP_OK;
		size_t take = b.len < round % 89 ? b.len : round % 89;
		for (size_t i = 0; i < take; i++, next_out++)
			right = right && buffer_bytes(&b).p[i] == next_out;
		buffer_drop(&b, take);
		right = right && b.start + b.len <= b.cap;
	}
	CU_ASSERT_TRUE(right);
	buffer_free(&b);
	CU_ASSERT_EQUAL(b.len, 0);
	CU_ASSERT_PTR_NULL(b.p);
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("again")), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), "again"));
	buffer_free(&b);
}

static void
buffer_stops_at_its_max(void)
{
	struct buffer b = { .max = 10 };
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("0123456789")), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("x")), SP_ETOOBIG);
	CU_ASSERT_PTR_NULL(buffer_room(&b, SIZE_MAX));
	buffer_drop(&b, 4);
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("abcd")), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), "456789abcd"));
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("")), SP_OK);
	buffer_drop(&b, 99);
	CU_ASSERT_EQUAL(b.len, 0);
	buffer_free(&b);
	CU_ASSERT_EQUAL(b.max, 10);
	CU_ASSERT_NOT_EQUAL(buffer_printf(&b, "%s", "0123456789a"), SP_OK);
	CU_ASSERT_EQUAL(b.len, 0);
	buffer_free(&b);
}

/* Little memory stays, wiped; much goes back. */
static void
buffer_reset_keeps_little(void)
{
	struct buffer b = { 0 };
	buffer_reset(&b);
	CU_ASSERT_PTR_NULL(b.p);
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("secret")), SP_OK);
	buffer_drop(&b, 3);
	const uint8_t *p = b.p;
	buffer_reset(&b);
	CU_ASSERT_EQUAL(b.len, 0);
	CU_ASSERT_PTR_EQUAL(b.p, p);
	bool wiped = p != NULL;
	for (size_t i = 0; i < b.cap; i++)
		wiped = wiped && p[i] == 0;
	CU_ASSERT_TRUE(wiped);
	CU_ASSERT_EQUAL(buffer_printf(&b, "%5000d", 1), SP_OK);
	CU_ASSERT_EQUAL(b.len, 5000);
	buffer_reset(&b);
	CU_ASSERT_PTR_NULL(b.p);
	CU_ASSERT_EQUAL(b.cap, 0);
}

/* An arena stands in its own first chunk: what is large goes behind that, and a new one has all of its cap. */
static void
arena_begins_with_what_is_large(void)
{
	for (unsigned round = 0; round < 3; round++) {
		struct arena *a = arena_new(8192);
		uint8_t *large = arena_alloc(a, 6000), *small = arena_alloc(a, 100);
		CU_ASSERT_PTR_NOT_NULL_FATAL(large);
		CU_ASSERT_PTR_NOT_NULL_FATAL(small);
		bool zero = true;
		for (size_t i = 0; i < 6000; i++)
			zero = zero && large[i] == 0;
		for (size_t i = 0; i < 100; i++)
			zero = zero && small[i] == 0;
		CU_ASSERT_TRUE(zero);
		memset(large, 0xff, 6000);
		memset(small, 0xff, 100);
		CU_ASSERT_EQUAL(arena_used(a), 6000 + 112);
		CU_ASSERT_PTR_NULL(arena_alloc(a, 8192 - 6000 - 112 + 1));
		CU_ASSERT_PTR_NOT_NULL(arena_alloc(a, 8192 - 6000 - 112));
		arena_free(&a);
	}
}

/* printf's own NUL is not counted against the content. */
static void
buffer_printf_appends(void)
{
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL(buffer_printf(&b, "%s", "one"), SP_OK);
	CU_ASSERT_EQUAL(buffer_printf(&b, " %d", 2), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), "one 2"));
	buffer_free(&b);
}

static void
writer_appends_and_grows(void)
{
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("head")), SP_OK);
	struct sp_writer w = buffer_writer(&b);
	for (unsigned i = 0; i < 1000; i++)
		sp_wr_be32(&w, i);
	sp_wr_patch32(&w, 0, 0xfeedu);
	CU_ASSERT_EQUAL(buffer_written(&b, &w), SP_OK);
	CU_ASSERT_EQUAL_FATAL(b.len, 4 + 4000);
	struct sp_reader r = sp_reader(buffer_bytes(&b));
	CU_ASSERT_TRUE(sp_bytes_is(sp_rd_take(&r, 4), "head"));
	bool right = sp_rd_be32(&r) == 0xfeed;
	for (unsigned i = 1; i < 1000; i++)
		right = right && sp_rd_be32(&r) == i;
	CU_ASSERT_TRUE(right && sp_rd_done(&r));
	buffer_free(&b);
}

static void
writer_respects_the_max(void)
{
	struct buffer b = { .max = 300 };
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("head")), SP_OK);
	struct sp_writer w = buffer_writer(&b);
	for (unsigned i = 0; i < 75; i++)
		sp_wr_be32(&w, i);
	CU_ASSERT_TRUE(w.bad);
	CU_ASSERT_EQUAL(buffer_written(&b, &w), SP_ETOOBIG);
	CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), "head"));
	w = buffer_writer(&b);
	for (unsigned i = 0; i < 74; i++)
		sp_wr_be32(&w, i);
	CU_ASSERT_EQUAL(buffer_written(&b, &w), SP_OK);
	CU_ASSERT_EQUAL(b.len, 300);
	buffer_free(&b);
}

static void
secrets_hold_their_bytes(void)
{
	struct sp_secret *s = secret_new(SP_LIT("hunter2"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_TRUE(sp_bytes_is(secret_bytes(s), "hunter2"));
	secret_free(&s);
	CU_ASSERT_PTR_NULL(s);
	secret_free(&s);
	CU_ASSERT_EQUAL(secret_bytes(NULL).len, 0);
	s = secret_new((struct sp_bytes){ NULL, 0 });
	CU_ASSERT_PTR_NOT_NULL(s);
	secret_free(&s);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "an arena gives zeroed, aligned memory", arena_gives_zeroed_aligned_memory },
		{ "an arena stops at its cap", arena_stops_at_its_cap },
		{ "an arena copies", arena_copies },
		{ "an arena begins with what is large", arena_begins_with_what_is_large },
		{ "equality is of bytes and length", equality_is_of_bytes_and_length },
		{ "a buffer keeps order while it moves", buffer_keeps_order_while_it_moves },
		{ "a buffer stops at its max", buffer_stops_at_its_max },
		{ "a buffer that is reset keeps little", buffer_reset_keeps_little },
		{ "buffer_printf appends", buffer_printf_appends },
		{ "a writer appends and grows", writer_appends_and_grows },
		{ "a writer respects the max", writer_respects_the_max },
		{ "secrets hold their bytes", secrets_hold_their_bytes },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("memory", tests);
}
