/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: what is written is read back; what is malformed is refused. */
#include <config.h>
#include "cunit_main.h"

#include <stdlib.h>

#include "core/record/recording.h"

static struct sp_bytes
encode(const struct frame *f, uint8_t *into, size_t cap)
{
	struct sp_writer w = sp_writer(into, cap);
	CU_ASSERT_EQUAL(frame_encode(f, &w), SP_OK);
	return sp_written(&w);
}

static void
test_round_trip(void)
{
	uint8_t payload[256], bytes[512];
	struct sp_writer p = sp_writer(payload, sizeof(payload));
	frame_field(&p, KEY_TEXT, SP_LIT("SELECT 1"));
	frame_field_u64(&p, KEY_ROWS, 42);
	frame_field(&p, KEY_TAG, SP_LIT(""));
	struct frame f = { .type = FRAME_OPERATION, .channel = 7, .op = 9, .at = 1234567, .payload = sp_written(&p) }, g;
	struct sp_bytes b = encode(&f, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(b.len, FRAME_HEAD + f.payload.len);
	struct sp_reader r = sp_reader(b);
	CU_ASSERT_EQUAL_FATAL(frame_decode(&r, &g), SP_OK);
	CU_ASSERT(sp_rd_done(&r));
	CU_ASSERT(g.type == f.type && g.channel == 7 && g.op == 9 && g.at == 1234567 && g.flags == 0);
	CU_ASSERT_EQUAL(frame_check(&g), SP_OK);
	uint64_t rows = 0;
	CU_ASSERT(sp_bytes_is(frame_get(&g, KEY_TEXT), "SELECT 1"));
	CU_ASSERT(frame_field_u64_get(frame_get(&g, KEY_ROWS), &rows) && rows == 42);
	CU_ASSERT(!frame_field_u64_get(frame_get(&g, KEY_TEXT), &rows) || rows != 42);
	CU_ASSERT_EQUAL(frame_get(&g, KEY_ERROR).len, 0);
	CU_ASSERT_EQUAL(frame_get(&g, KEY_TAG).len, 0);
}

/* Every cut of a good frame is refused, and nothing is read behind it. */
static void
test_cut(void)
{
	uint8_t bytes[64], *exact;
	struct frame f = { .type = FRAME_OUTPUT, .payload = SP_LIT("hello") }, g;
	struct sp_bytes b = encode(&f, bytes, sizeof(bytes));
	for (size_t n = 0; n < b.len; n++) {
		exact = mem_alloc(n + 1);
		memcpy(exact, b.p, n);
		struct sp_reader r = sp_reader((struct sp_bytes){ exact, n });
		CU_ASSERT(frame_decode(&r, &g) < 0);
		free(exact);
	}
}

static void
test_odd(void)
{
	uint8_t bytes[64];
	struct frame f = { .type = FRAME_OUTPUT, .payload = SP_LIT("hello") }, g;
	struct sp_bytes b = encode(&f, bytes, sizeof(bytes));
	static const struct { size_t at; uint8_t value; } odd[] = { { 4, 0 }, { 4, FRAMES }, { 4, 255 }, { 0, 255 }, { 3, 15 }, { 3, 0 } };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		uint8_t was = bytes[odd[i].at];
		bytes[odd[i].at] = odd[i].value;
		struct sp_reader r = sp_reader(b);
		CU_ASSERT(frame_decode(&r, &g) < 0);
		bytes[odd[i].at] = was;
	}
}

static void
test_check(void)
{
	const struct {
		enum frame_type type;
		struct sp_bytes payload;
		int rc;
	} row[] = {
		{ FRAME_VERDICT, SP_LIT(""), SP_OK },
		{ FRAME_VERDICT, SP_LIT("\x10\0\0\0\5allow"), SP_OK },
		{ FRAME_VERDICT, SP_LIT("\x10\0\0\0\6allow"), SP_EPROTO },
		{ FRAME_VERDICT, SP_LIT("\x10\0\0\0"), SP_EPROTO },
		{ FRAME_VERDICT, SP_LIT("\0\0\0\0\0"), SP_EPROTO },
		{ FRAME_VERDICT, SP_LIT("\x10\xff\xff\xff\xff"), SP_EPROTO },
		{ FRAME_OUTPUT, SP_LIT("\x10\xff"), SP_OK },
		{ FRAME_ROWS, SP_LIT(""), SP_OK },
		{ FRAME_ROWS, SP_LIT("\0\2\0\0\0\1x\xff\xff\xff\xff"), SP_OK },
		{ FRAME_ROWS, SP_LIT("\0\1\0\0\0\2x"), SP_OK }, /* it goes on in the next */
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct frame f = { .type = row[i].type, .payload = row[i].payload };
		CU_ASSERT_EQUAL(frame_check(&f), row[i].rc);
	}
}

/* Frames one behind the other, as text: type, operation, payload. */
static const char *
walked(struct sp_bytes b)
{
	static char text[256];
	struct frames_walk w = { .in = sp_reader(b) };
	struct frame f;
	int rc;
	size_t n = 0;
	text[0] = '\0';
	while ((rc = frames_next(&w, &f)) == 1)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u%.*s ", frame_name(f.type), f.op, (int)f.payload.len, (const char *)f.payload.p);
	(void)snprintf(text + n, sizeof(text) - n, "%s", rc == 0 ? "." : "!");
	return text;
}

/* Those that stand together are told one by one, amid those that stand alone; what cannot be ends the walk. */
static void
test_together(void)
{
	const struct { struct sp_bytes payload; const char *walk; } row[] = {
		{ SP_LIT("\2\0\0\0\2ab\3\0\0\0\0\x09\0\0\0\1c"), "output1x operation7ab verdict7 done7c output1x ." },
		{ SP_LIT("\5\0\0\0\1a"), "output1x rows7a output1x ." },
		{ SP_LIT(""), "output1x !" },
		{ SP_LIT("\2\0\0\0\2ab\3\0\0\0\1"), "output1x operation7ab !" },
		{ SP_LIT("\2\0\0\0\2ab\3"), "output1x operation7ab !" },
		{ SP_LIT("\0\0\0\0\0"), "output1x !" },
		{ SP_LIT("\1\0\0\0\0"), "output1x !" },
		{ SP_LIT("\x0d\0\0\0\0"), "output1x !" },
		{ SP_LIT("\x0e\0\0\0\0"), "output1x !" },
		{ SP_LIT("\x0f\0\0\0\0"), "output1x !" },
		{ SP_LIT("\x12\0\0\0\0"), "output1x !" },
		{ SP_LIT("\xff\0\0\0\0"), "output1x !" },
		{ SP_LIT("\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0"),
		    "output1x verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 output1x ." },
		{ SP_LIT("\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0\3\0\0\0\0"),
		    "output1x verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 verdict7 !" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint8_t bytes[256];
		struct sp_writer w = sp_writer(bytes, sizeof(bytes));
		const struct frame alone = { .type = FRAME_OUTPUT, .op = 1, .payload = SP_LIT("x") };
		const struct frame together = { .type = FRAME_TOGETHER, .op = 7, .at = 3, .payload = row[i].payload };
		CU_ASSERT_EQUAL(frame_encode(&alone, &w), SP_OK);
		CU_ASSERT_EQUAL(frame_encode(&together, &w), SP_OK);
		CU_ASSERT_EQUAL(frame_encode(&alone, &w), SP_OK);
		CU_ASSERT_STRING_EQUAL(walked(sp_written(&w)), row[i].walk);
	}
}

/* Looked through once, a frame answers as before for every key: those it has, has twice, has not, and those beyond what is noted. */
static void
test_note(void)
{
	uint8_t payload[256];
	struct sp_writer p = sp_writer(payload, sizeof(payload));
	frame_field(&p, KEY_WHAT, SP_LIT("allow"));
	frame_field(&p, KEY_RULE, SP_LIT(""));
	frame_field(&p, KEY_OBSERVED, SP_LIT("first"));
	frame_field(&p, KEY_OBSERVED, SP_LIT("second"));
	frame_field(&p, (enum frame_key)63, SP_LIT("last noted"));
	frame_field(&p, (enum frame_key)64, SP_LIT("not noted"));
	frame_field(&p, (enum frame_key)255, SP_LIT("not noted either"));
	struct frame f = { .type = FRAME_VERDICT, .payload = sp_written(&p) }, noted = f;
	CU_ASSERT_EQUAL(frame_note(&noted), SP_OK);
	CU_ASSERT_EQUAL(f.lacks, 0);
	for (unsigned key = 1; key < 256; key++) {
		struct sp_bytes before = frame_get(&f, (enum frame_key)key), after = frame_get(&noted, (enum frame_key)key);
		CU_ASSERT(before.p == after.p && before.len == after.len);
		CU_ASSERT(key > 63 || frame_may_have(&noted, (enum frame_key)key) == (before.p != NULL));
		CU_ASSERT(frame_may_have(&f, (enum frame_key)key));
	}
	noted.payload.len--; /* malformed: nothing is noted */
	CU_ASSERT_EQUAL(frame_note(&noted), SP_EPROTO);
	CU_ASSERT_EQUAL(noted.lacks, 0);
}

/* Numbers that no reader of JSON takes: not in what is to be recorded; what was recorded once is still read. */
static void
test_numbers(void)
{
	static const unsigned number[] = { KEY_STARTED, KEY_ROWS, KEY_BYTES };
	uint8_t payload[64];
	for (unsigned i = 0; i < 3; i++)
		for (unsigned n = 0; n < 4; n++) {
			static const uint64_t value[] = { 0, FRAME_NUMBER_MAX, FRAME_NUMBER_MAX + UINT64_C(1), UINT64_MAX };
			struct sp_writer p = sp_writer(payload, sizeof(payload));
			frame_field(&p, KEY_TAG, SP_LIT("\xff\xff"));
			frame_field_u64(&p, (enum frame_key)number[i], value[n]);
			struct frame f = { .type = FRAME_DONE, .payload = sp_written(&p) };
			CU_ASSERT_EQUAL(frame_check(&f), SP_OK);
			CU_ASSERT_EQUAL(frame_note(&f), n < 2 ? SP_OK : SP_EPROTO);
			f.payload.len--; /* cut off */
			CU_ASSERT_EQUAL(frame_note(&f), SP_EPROTO);
		}
	for (size_t len = 0; len < 10; len++) {
		struct sp_writer p = sp_writer(payload, sizeof(payload));
		frame_field(&p, KEY_ROWS, (struct sp_bytes){ (const uint8_t *)"\0\0\0\0\0\0\0\0\0", len });
		struct frame f = { .type = FRAME_DONE, .payload = sp_written(&p) };
		CU_ASSERT_EQUAL(frame_note(&f), len == 8 ? SP_OK : SP_EPROTO);
	}
	for (unsigned type = FRAME_DONE; type >= FRAME_ROWS; type--) {
		struct frame f = { .type = (enum frame_type)type, .at = FRAME_NUMBER_MAX };
		CU_ASSERT_EQUAL(frame_note(&f), SP_OK);
		f.at++;
		CU_ASSERT_EQUAL(frame_note(&f), SP_EPROTO);
		CU_ASSERT_EQUAL(frame_check(&f), SP_OK);
	}
	CU_ASSERT_EQUAL(frame_number_sum(2, 3), 5);
	CU_ASSERT_EQUAL(frame_number_sum(FRAME_NUMBER_MAX - 1, 1), FRAME_NUMBER_MAX);
	CU_ASSERT_EQUAL(frame_number_sum(FRAME_NUMBER_MAX, 1), FRAME_NUMBER_MAX);
	CU_ASSERT_EQUAL(frame_number_sum(UINT64_MAX, UINT64_MAX), FRAME_NUMBER_MAX);
}

static void
test_too_big(void)
{
	uint8_t bytes[64];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	struct frame f = { .type = FRAME_OUTPUT };
	frame_encode_head(&f, FRAME_MAX - FRAME_HEAD, &w);
	CU_ASSERT(!w.bad);
	frame_encode_head(&f, FRAME_MAX - FRAME_HEAD + 1, &w);
	CU_ASSERT(w.bad);
}

static void
test_names(void)
{
	for (unsigned i = 0; i < FRAMES; i++)
		CU_ASSERT_PTR_NOT_NULL(frame_name(i));
	CU_ASSERT_STRING_EQUAL(frame_name(255), "unknown");
}

static void
test_ledger(void)
{
	struct ledger_entry e = { .number = 3, .kind = LEDGER_CLOSE, .blocks = 4, .frames = 5, .bytes = 6, .wall = 7 }, g;
	uint8_t bytes[LEDGER_ENTRY], seed[32], key[32], other[32], first[DIGEST_LEN], next[DIGEST_LEN];
	CU_ASSERT_EQUAL_FATAL(digest_keypair(seed, key), SP_OK);
	memset(e.session, 1, ID_LEN);
	memset(e.chain, 2, DIGEST_LEN);
	ledger_first(key, e.previous);
	ledger_encode(&e, bytes);
	CU_ASSERT_EQUAL(digest_sign(seed, (struct sp_bytes){ bytes, LEDGER_SIGNED }, e.signature), SP_OK);
	ledger_encode(&e, bytes);
	CU_ASSERT_EQUAL_FATAL(ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) }, &g), SP_OK);
	CU_ASSERT(g.number == 3 && g.kind == LEDGER_CLOSE && g.blocks == 4 && g.frames == 5 && g.bytes == 6 && g.wall == 7);
	CU_ASSERT(memcmp(g.signature, e.signature, SIGNATURE_LEN) == 0);
	CU_ASSERT(ledger_signed_by(bytes, key));
	memset(other, 9, sizeof(other));
	CU_ASSERT(!ledger_signed_by(bytes, other));
	ledger_first(key, first);
	ledger_hash(bytes, next);
	CU_ASSERT(memcmp(first, next, DIGEST_LEN) != 0);
	bytes[8] = 0;
	CU_ASSERT(ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) }, &g) < 0);
	CU_ASSERT(!ledger_signed_by(bytes, key));
	bytes[8] = LEDGER_OPEN;
	CU_ASSERT(ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) - 1 }, &g) < 0);
	CU_ASSERT_STRING_EQUAL(ledger_kind_name(LEDGER_TORN), "torn");
}

/* Rows cut anywhere are counted the same. */
static void
test_rows_walk(void)
{
	static const struct sp_bytes all = { (const uint8_t *)"\0\2\0\0\0\1x\xff\xff\xff\xff" "\0\0" "\0\1\0\0\0\0" "\0\1\0\0\0\3abc" "\0\1", 30 };
	for (size_t cut = 0; cut <= all.len; cut++)
		for (size_t again = cut; again <= all.len; again++) {
			struct rows_walk w = { .in_row = false };
			struct sp_reader r = sp_reader(all);
			uint64_t rows = rows_walk(&w, sp_rd_take(&r, cut));
			rows += rows_walk(&w, sp_rd_take(&r, again - cut));
			rows += rows_walk(&w, sp_rd_rest(&r));
			CU_ASSERT_EQUAL(rows, 4);
			CU_ASSERT_TRUE(w.in_row);
		}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a frame comes back as it was", test_round_trip },
		{ "every cut is refused", test_cut },
		{ "odd heads are refused", test_odd },
		{ "payloads are checked by type", test_check },
		{ "frames that stand together", test_together },
		{ "what was looked through answers as before", test_note }, { "numbers", test_numbers },
		{ "too big is refused", test_too_big },
		{ "every type has a name", test_names },
		{ "rows cut anywhere", test_rows_walk },
		{ "ledger entries: bytes, hash, signature", test_ledger },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("frame", tests);
}
