/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks and their chain, seals, the ledger's entries, and reading what is no recording. */
#include <config.h>
#include "cunit_main.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/record/block.h"
#include "core/record/recording.h"

static const uint8_t id[ID_LEN] = { 1, 2, 3, 4 };

static int
file_of(struct sp_bytes b)
{
	int fd = memfd_create("recording", 0);
	CU_ASSERT_EQUAL(pwrite(fd, b.p, b.len, 0), (ssize_t)b.len);
	return fd;
}

/* One frame whose payload is `n` bytes. */
static struct sp_bytes
frames_of(struct buffer *b, size_t n, bool noise)
{
	uint8_t *payload = mem_alloc(n + 1);
	memset(payload, 'a', n);
	if (noise)
		random_bytes(payload, n);
	const struct frame f = { .type = FRAME_OUTPUT, .payload = { payload, n } };
	buffer_drop(b, b->len);
	b->max = BLOCK_PLAIN_MAX;
	uint8_t *into = buffer_room(b, n + FRAME_HEAD);
	struct sp_writer w = sp_writer(into, n + FRAME_HEAD);
	CU_ASSERT_EQUAL_FATAL(frame_encode(&f, &w), SP_OK);
	buffer_added(b, n + FRAME_HEAD);
	free(payload);
	return buffer_bytes(b);
}

static void
count(void *owner)
{
	++*(unsigned *)owner;
}

/* Sizes around the limits, compressed or not, sealed or not, with and without pauses: what went in comes out, and the chain holds. */
static void
test_round(void)
{
	static const size_t size[] = { 0, 1, 200, 255, 256, 257, 1003, 1004, 5000, 16000, 16384, 16385, 24576, 1u << 20 };
	static const int level[] = { 1, -5, -20 };
	struct block_maker *m = block_maker_new();
	struct buffer in = { 0 }, out = { .max = 16u << 20 }, plain = { .max = BLOCK_PLAIN_MAX };
	uint8_t private[SEAL_KEY], public[SEAL_KEY], chain[DIGEST_LEN], before[DIGEST_LEN];
	struct seal seal;
	random_bytes(private, sizeof(private));
	seal_public(private, public);
	CU_ASSERT_EQUAL(seal_begin(public, id, &seal), SP_OK);
	for (unsigned i = 0; i < sizeof(size) / sizeof(*size); i++)
		for (unsigned how = 0; how < 16; how++) {
			unsigned pauses = 0;
			struct block b = { .number = 7, .first = 9, .frames = 1, .wall = 11 }, got;
			struct sp_bytes frames = frames_of(&in, size[i], (how & 1) != 0);
			struct unseal *u = unseal_new(private, id);
			block_chain_start(id, chain);
			memcpy(before, chain, sizeof(before));
			int of = (how & 2) != 0 ? level[(i + how) % 3] : 0;
			size_t from = of < -1 ? BLOCK_COMPRESS_FROM_FAST : BLOCK_COMPRESS_FROM;
			block_maker_level(m, of);
			block_maker_pause(m, (how & 8) != 0 ? count : NULL, &pauses);
			buffer_drop(&out, out.len);
			CU_ASSERT_EQUAL(block_make(m, (how & 4) != 0 ? &seal : NULL, id, frames, &b, chain, &out), SP_OK);
			CU_ASSERT_EQUAL(pauses > 0, (how & 10) == 10 && size[i] >= 16384);
			struct sp_reader r = sp_reader(buffer_bytes(&out));
			CU_ASSERT_EQUAL_FATAL(block_read(&r, &got), SP_OK);
			CU_ASSERT_TRUE(sp_rd_done(&r));
			CU_ASSERT_EQUAL((got.flags & BLOCK_COMPRESSED) != 0, (how & 3) == 2 && frames.len >= from);
			CU_ASSERT_TRUE(block_follows(&got, before));
			CU_ASSERT_EQUAL(memcmp(got.hash, chain, DIGEST_LEN), 0);
			CU_ASSERT(got.number == 7 && got.first == 9 && got.frames == 1 && got.wall == 11);
			CU_ASSERT_EQUAL((got.flags & BLOCK_SEALED) != 0, (how & 4) != 0);
			CU_ASSERT_EQUAL(block_plain(&got, u, id, &plain), SP_OK);
			CU_ASSERT_TRUE(sp_bytes_eq(buffer_bytes(&plain), frames));
			CU_ASSERT_EQUAL(block_plain(&got, NULL, id, &plain), (how & 4) != 0 ? SP_EDENIED : SP_OK);
			unseal_free(&u);
		}
	CU_ASSERT((out.len < (2u << 20)));
	buffer_free(&in);
	buffer_free(&out);
	buffer_free(&plain);
	block_maker_free(&m);
	CU_ASSERT_PTR_NULL(m);
}

/* A block sealed for one session or one place in it does not open for another. */
static void
test_seal_binds(void)
{
	struct block_maker *m = block_maker_new();
	struct buffer in = { 0 }, out = { 0 }, plain = { .max = BLOCK_PLAIN_MAX };
	uint8_t private[SEAL_KEY], public[SEAL_KEY], chain[DIGEST_LEN], other[ID_LEN] = { 9 };
	struct seal seal;
	struct block b = { .number = 1, .first = 1, .frames = 1 };
	random_bytes(private, sizeof(private));
	seal_public(private, public);
	CU_ASSERT_EQUAL(seal_begin(public, id, &seal), SP_OK);
	block_chain_start(id, chain);
	CU_ASSERT_EQUAL(block_make(m, &seal, id, frames_of(&in, 100, false), &b, chain, &out), SP_OK);
	struct unseal *u = unseal_new(private, other);
	CU_ASSERT_EQUAL(block_plain(&b, u, other, &plain), SP_EDENIED);
	unseal_free(&u);
	for (size_t i = 0; i < out.len - DIGEST_LEN; i++) {
		struct block got;
		((uint8_t *)buffer_bytes(&out).p)[i] ^= 4;
		struct sp_reader r = sp_reader(buffer_bytes(&out));
		u = unseal_new(private, id);
		if (block_read(&r, &got) == SP_OK)
			CU_ASSERT_NOT_EQUAL(block_plain(&got, u, id, &plain), SP_OK);
		unseal_free(&u);
		((uint8_t *)buffer_bytes(&out).p)[i] ^= 4;
	}
	buffer_free(&in);
	buffer_free(&out);
	buffer_free(&plain);
	block_maker_free(&m);
}

/* RFC 7748 section 5.2, one iteration; and points that would make the key known to everybody. */
static void
test_keys(void)
{
	uint8_t private[SEAL_KEY] = { 9 }, public[SEAL_KEY], want[SEAL_KEY], zero[SEAL_KEY] = { 0 }, one[SEAL_KEY] = { 1 };
	struct seal s;
	CU_ASSERT_EQUAL(text_unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", want, 32), SP_OK);
	seal_public(private, public);
	CU_ASSERT_EQUAL(memcmp(public, want, sizeof(want)), 0);
	CU_ASSERT_EQUAL(seal_begin(zero, id, &s), SP_ECONF);
	CU_ASSERT_EQUAL(seal_begin(one, id, &s), SP_ECONF);
	CU_ASSERT_EQUAL(seal_begin(public, id, &s), SP_OK);
}

static void
test_too_big(void)
{
	struct block_maker *m = block_maker_new();
	struct buffer out = { 0 };
	uint8_t chain[DIGEST_LEN], *much = calloc(1, BLOCK_PLAIN_MAX + 1), head[BLOCK_OVERHEAD] = { 0 };
	struct block b = { .number = 1, .first = 1, .frames = 1 };
	block_chain_start(id, chain);
	CU_ASSERT_EQUAL(block_make(m, NULL, id, (struct sp_bytes){ much, BLOCK_PLAIN_MAX + 1 }, &b, chain, &out), SP_ETOOBIG);
	CU_ASSERT_EQUAL(out.len, 0);
	/* lengths that a head may claim */
	struct sp_writer w = sp_writer(head, sizeof(head));
	sp_wr_be16(&w, 'B' << 8 | 'K');
	sp_wr_be16(&w, 0);
	for (unsigned i = 0; i < 3; i++)
		sp_wr_be32(&w, 1);
	sp_wr_be64(&w, 1);
	sp_wr_be32(&w, UINT32_MAX);
	sp_wr_be32(&w, UINT32_MAX);
	struct sp_reader r = sp_reader((struct sp_bytes){ head, sizeof(head) });
	CU_ASSERT_NOT_EQUAL(block_read(&r, &b), SP_OK);
	free(much);
	block_maker_free(&m);
}

/* A bomb: few bytes that claim to be many, or that are more than they claim. */
static void
test_bomb(void)
{
	struct block_maker *m = block_maker_new();
	struct buffer in = { 0 }, out = { 0 }, plain = { .max = BLOCK_PLAIN_MAX };
	uint8_t chain[DIGEST_LEN];
	struct block b = { .number = 1, .first = 1, .frames = 1 };
	block_chain_start(id, chain);
	CU_ASSERT_EQUAL(block_make(m, NULL, id, frames_of(&in, 100000, false), &b, chain, &out), SP_OK);
	CU_ASSERT(b.stored.len < 1000);
	uint32_t real = b.plain;
	b.plain = real - 1;
	CU_ASSERT_EQUAL(block_plain(&b, NULL, id, &plain), SP_EPROTO);
	b.plain = real + 1;
	CU_ASSERT_EQUAL(block_plain(&b, NULL, id, &plain), SP_EPROTO);
	b.plain = real;
	CU_ASSERT_EQUAL(block_plain(&b, NULL, id, &plain), SP_OK);
	buffer_free(&in);
	buffer_free(&out);
	buffer_free(&plain);
	block_maker_free(&m);
}

static void
test_no_recording(void)
{
	static const struct {
		struct sp_bytes bytes;
		const char *text;
	} row[] = {
		{ { (const uint8_t *)"", 0 }, "not a recording" }, { { (const uint8_t *)"SLPREC0", 7 }, "not a recording" },
		{ { (const uint8_t *)"SLPREC02xxxx", 12 }, "not a recording" }, { { (const uint8_t *)"SLPREC01", 8 }, "an empty recording" },
		{ { (const uint8_t *)"SLPREC01BK", 10 }, "block 1" },
		{ { (const uint8_t *)"SLPREC01BKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 82 }, "block 1" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct recording *r;
		const char *err = NULL;
		CU_ASSERT_NOT_EQUAL(recording_open(file_of(row[i].bytes), NULL, &r, &err), SP_OK);
		CU_ASSERT_PTR_NULL(r);
		CU_ASSERT_PTR_NOT_NULL_FATAL(err);
		CU_ASSERT_PTR_NOT_NULL(strstr(err, row[i].text));
	}
	struct block_file f;
	int pair[2];
	CU_ASSERT_EQUAL(pipe(pair), 0);
	CU_ASSERT_NOT_EQUAL(block_file_open(&f, pair[0], NULL), SP_OK);
	CU_ASSERT_STRING_EQUAL(f.text, "not a file");
	block_file_close(&f);
	close(pair[0]);
	close(pair[1]);
}

/* RC7: a wall clock that jumps back, in blocks or in frames, breaks nothing. */
static void
test_clock_jump(void)
{
	static const uint64_t wall[] = { 5000000, 1000000, UINT64_MAX, 0 };
	struct block_maker *m = block_maker_new();
	struct buffer in = { 0 }, out = { 0 };
	struct verify_result v;
	uint8_t chain[DIGEST_LEN], head[64], frame[128];
	char name[ID_TEXT];
	struct sp_writer h = sp_writer(head, sizeof(head)), f = sp_writer(frame, sizeof(frame));
	frame_field(&h, KEY_SESSION, sp_str(id_format(id, name)));
	CU_ASSERT_EQUAL(frame_encode(&(struct frame){ .type = FRAME_HEADER, .at = 99, .payload = sp_written(&h) }, &f), SP_OK);
	block_chain_start(id, chain);
	CU_ASSERT_EQUAL(buffer_put(&out, SP_LIT(RECORDING_MAGIC)), SP_OK);
	for (uint32_t i = 0; i < 4; i++) {
		struct block b = { .number = i + 1, .first = i + 1, .frames = 1, .wall = wall[i] };
		CU_ASSERT_EQUAL(block_make(m, NULL, id, i == 0 ? sp_written(&f) : frames_of(&in, 10, false), &b, chain, &out), SP_OK);
	}
	int fd = file_of(buffer_bytes(&out));
	CU_ASSERT_EQUAL(verify_recording(fd, name, NULL, 0, &v), SP_OK);
	CU_ASSERT_EQUAL(v.frames, 4);
	struct recording *r;
	struct frame got;
	const char *err;
	CU_ASSERT_EQUAL_FATAL(recording_open(fd, NULL, &r, &err), SP_OK);
	for (uint32_t i = 1; i <= 4; i++) {
		CU_ASSERT_EQUAL(recording_next(r, &got, &err), 1);
		CU_ASSERT_EQUAL(got.number, i);
	}
	CU_ASSERT_EQUAL(recording_next(r, &got, &err), 0);
	recording_close(&r);
	buffer_free(&in);
	buffer_free(&out);
	block_maker_free(&m);
}

/* ---- what operations share is there once ---- */

/* Fields, as words: what kind of field by the letter, its value behind; K and S with the number of a place. */
static const struct { char letter; enum frame_key key; } letters[] = { { 'x', KEY_KIND }, { 't', KEY_TEXT }, { 'a', KEY_ATTRIBUTE },
	{ 'f', KEY_FACT }, { 'u', KEY_UNCLEAR }, { 'p', KEY_PARAM }, { 'K', KEY_KEPT }, { 'S', KEY_AS } };

static void
write_fields(const char *words, struct sp_writer *w)
{
	static uint8_t big[RECORD_KEPT_MAX];
	for (const char *at = words; *at != '\0'; at += *at == ' ') {
		size_t n = strcspn(at, " "), i = 0;
		struct sp_bytes value = { (const uint8_t *)at + 1, n - 1 };
		uint8_t place = (uint8_t)atoi(at + 1);
		while (letters[i].letter != *at)
			i++;
		if (strchr("KS", *at) != NULL && value.len < 3)
			value = (struct sp_bytes){ &place, 1 };
		if (sp_bytes_is(value, "BIG"))
			value = (struct sp_bytes){ big, sizeof(big) };
		frame_field(w, letters[i].key, value);
		at += n;
	}
}

static const char *
read_fields(struct sp_bytes payload)
{
	static char text[256];
	struct sp_reader r = sp_reader(payload);
	struct sp_bytes value;
	unsigned key;
	int n = 0;
	text[0] = '\0';
	while (frame_next_field(&r, &key, &value))
		for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
			if (letters[i].key == key)
				n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%c%.*s", n == 0 ? "" : " ", letters[i].letter,
				    value.len > 64 ? 3 : (int)value.len, value.len > 64 ? "BIG" : (const char *)value.p);
	CU_ASSERT(sp_rd_done(&r));
	return text;
}

static void
add_block(struct block_maker *m, const struct seal *seal, const struct frame *f, uint32_t number, uint8_t chain[DIGEST_LEN], struct buffer *out)
{
	struct buffer in = { 0 };
	struct sp_writer w = buffer_writer(&in);
	struct block b = { .number = number, .first = number, .frames = 1 };
	CU_ASSERT_EQUAL(frame_encode(f, &w), SP_OK);
	CU_ASSERT_EQUAL(buffer_written(&in, &w), SP_OK);
	CU_ASSERT_EQUAL(block_make(m, seal, id, buffer_bytes(&in), &b, chain, out), SP_OK);
	buffer_free(&in);
}

/* An operation of the test's: "[@NUMBER] [!|?]FIELDS". */
struct said {
	const char *fields;
	uint32_t op;
	bool sealed; /* "!": in two halves, kind in the clear, all else sealed */
	bool alone;  /* "?": … only the clear one is there */
};

/* The half of it, or all. */
static struct sp_bytes
half_of(struct sp_bytes all, bool clear, bool sealed, struct buffer *out)
{
	struct sp_reader r = sp_reader(all);
	struct sp_writer w = buffer_writer(out);
	struct sp_bytes value;
	unsigned key;
	while (frame_next_field(&r, &key, &value))
		if ((!clear && !sealed) || key == KEY_KEPT || key == KEY_AS || (key == KEY_KIND) == clear)
			frame_field(&w, (enum frame_key)key, value);
	CU_ASSERT_EQUAL(buffer_written(out, &w), SP_OK);
	return buffer_bytes(out);
}

static struct said
said_of(const char *words, uint32_t i)
{
	struct said s = { .fields = words, .op = i };
	char *end;
	if (*s.fields == '@') {
		s.op = (uint32_t)strtoul(s.fields + 1, &end, 10);
		s.fields = end + (*end == ' ');
	}
	s.alone = *s.fields == '?';
	s.sealed = *s.fields == '!' || s.alone;
	s.fields += s.sealed;
	return s;
}

/* A recording of operations, a block for each frame. */
static int
recording_of(const char *const *operation, const struct seal *seal)
{
	struct block_maker *m = block_maker_new();
	struct buffer out = { 0 };
	uint8_t chain[DIGEST_LEN];
	uint32_t number = 1;
	char name[ID_TEXT];
	block_chain_start(id, chain);
	CU_ASSERT_EQUAL(buffer_put(&out, SP_LIT(RECORDING_MAGIC)), SP_OK);
	for (uint32_t i = 0; i == 0 || operation[i - 1] != NULL; i++) {
		struct buffer fields = { 0 }, half = { 0 };
		struct sp_writer w = buffer_writer(&fields);
		struct said s = said_of(i == 0 ? "" : operation[i - 1], i);
		if (i == 0)
			frame_field(&w, KEY_SESSION, sp_str(id_format(id, name)));
		else
			write_fields(s.fields, &w);
		CU_ASSERT_EQUAL(buffer_written(&fields, &w), SP_OK);
		struct frame f = { .type = i == 0 ? FRAME_HEADER : FRAME_OPERATION, .op = s.op, .at = i, .flags = s.sealed ? FRAME_HALF : 0 };
		f.payload = half_of(buffer_bytes(&fields), s.sealed, false, &half);
		add_block(m, NULL, &f, number++, chain, &out);
		buffer_drop(&half, half.len);
		f.flags = FRAME_PART;
		f.payload = half_of(buffer_bytes(&fields), false, true, &half);
		if (s.sealed && !s.alone)
			add_block(m, seal, &f, number++, chain, &out);
		buffer_free(&fields);
		buffer_free(&half);
	}
	int fd = file_of(buffer_bytes(&out));
	buffer_free(&out);
	block_maker_free(&m);
	return fd;
}

/* Each operation in turn, both halves of it one after the other. */
static void
read_whole(int fd, const uint8_t *auditor, const char *const *expected)
{
	struct recording *r;
	struct frame f;
	const char *err;
	char text[512] = "";
	int rc;
	CU_ASSERT_EQUAL_FATAL(recording_open(fd, auditor, &r, &err), SP_OK);
	CU_ASSERT_EQUAL(recording_next(r, &f, &err), 1);
	while ((rc = recording_next(r, &f, &err)) == 1) {
		const char *fields = read_fields(f.payload);
		size_t n = (f.flags & FRAME_PART) != 0 ? strlen(text) : 0;
		(void)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 && *fields != '\0' ? " " : "", fields);
		if (auditor != NULL && (f.flags & FRAME_HALF) != 0)
			continue;
		CU_ASSERT_PTR_NOT_NULL_FATAL(*expected);
		if (strcmp(text, *expected) != 0)
			(void)printf("\n  \"%s\" in place of \"%s\"", text, *expected);
		CU_ASSERT_STRING_EQUAL(text, *expected++);
	}
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_PTR_NULL(*expected);
	recording_close(&r);
}

#define MISSING "a0:" RECORD_CUT "="

/* What is not there is said to be missing, whatever stands there, and the rest can be read. */
static void
test_kept(void)
{
	static const struct { const char *operation[6], *expected[6]; } row[] = {
		{ { "xs tone aA fB uC K0 aD p1", "S0 aE p2" }, { "xs tone aA fB uC aD p1", "xs tone aA fB uC aE p2" } },
		{ { "xs aA fB K0 tone p1", "S0 ttwo p2", "S0" }, { "xs aA fB tone p1", "xs aA fB ttwo p2", "xs aA fB" } },
		{ { "xs aA K0", "xt aB K15", "p1 S0 p2", "S15", "xs aC" }, { "xs aA", "xt aB", "p1 xs aA p2", "xt aB", "xs aC" } },
		{ { "xs aA K0", "xs aB K0", "S0", "S0" }, { "xs aA", "xs aB", "xs aB", "xs aB" } },
		{ { "xs aA K0", "S1", "S0" }, { "xs aA", MISSING, "xs aA" } },
		{ { "S0 p1", "xs aA" }, { MISSING " p1", "xs aA" } },
		{ { "K0", "S0 p1" }, { "", "p1" } },
		{ { "xs aA K0 K1", "S0", "S1" }, { "xs aA", "xs aA", MISSING } },
		{ { "xs aA K0", "S0 S0 K1 p1 S0", "S1" }, { "xs aA", "xs aA p1", MISSING } },
		{ { "xs aA K16", "S16" }, { "xs aA", MISSING } },
		{ { "xs aA Kabcd", "Sabcd" }, { "xs aA", MISSING } },
		{ { "xs aA K0", "xs aBIG aB K0 p1", "S0" }, { "xs aA", "xs aBIG aB p1", MISSING } },
		{ { "@5 xs aA K0", "@1028 S0", "@1029 S0", "@5 S0", "@4 S0" }, { "xs aA", "xs aA", MISSING, "xs aA", MISSING } },
		{ { "@4294967295 xs aA K0", "@1022 S0", "@1023 S0" }, { "xs aA", "xs aA", MISSING } },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		read_whole(recording_of(row[i].operation, NULL), NULL, row[i].expected);
}

/* Operations in halves, with the auditor's key and without, and amid such that are in one piece. */
static void
test_kept_sealed(void)
{
	static const struct { const char *operation[6], *open[6], *closed[6]; } row[] = {
		{ { "!xs tone aA K0 p1", "!S0 p2" }, { "xs tone aA p1", "xs tone aA p2" }, { "xs", "xs" } },
		{ { "!xs aA K0 tone", "!S0 ttwo" }, { "xs aA tone", "xs aA ttwo" }, { "xs", "xs" } },
		{ { "!S0 p1", "@1 !xs aA K0", "@1025 !S0" }, { MISSING " " MISSING " p1", "xs aA", MISSING " " MISSING }, { MISSING, "xs", MISSING } },
		/* switched on: each half has its own of what was in the clear */
		{ { "xs aA K0", "!S0 p1" }, { "xs aA", "xs aA p1" }, { "xs aA", "xs" } },
		/* switched off: who has the key has all of it */
		{ { "!xs tone aA K0", "S0 p1" }, { "xs tone aA", "xs tone aA p1" }, { "xs", "xs " MISSING " p1" } },
		/* … and nothing of a place that was written anew meanwhile */
		{ { "!xs aA K0", "xt aB K0", "!S0 p1", "S0" }, { "xs aA", "xt aB", "xt aB p1", "xt aB" }, { "xs", "xt aB", "xt", "xt aB" } },
		{ { "!xs aA K0", "xt aB K0", "!xu aC K0", "S0" }, { "xs aA", "xt aB", "xu aC", "xu aC" }, { "xs", "xt aB", "xu", "xu " MISSING } },
		{ { "!xs aA K0", "?xt K0", "S0" }, { "xs aA", "xt " MISSING }, { "xs", "xt", "xt " MISSING } },
	};
	uint8_t private[SEAL_KEY], public[SEAL_KEY];
	struct seal seal;
	random_bytes(private, sizeof(private));
	seal_public(private, public);
	CU_ASSERT_EQUAL(seal_begin(public, id, &seal), SP_OK);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		read_whole(recording_of(row[i].operation, &seal), private, row[i].open);
		read_whole(recording_of(row[i].operation, &seal), NULL, row[i].closed);
	}
}
#undef MISSING

/* ---- the ledger ---- */

static void
test_entry(void)
{
	struct ledger_entry e = { .number = 0x0102030405060708, .kind = LEDGER_CLOSE, .blocks = 3, .frames = 4, .bytes = 5, .wall = 6 }, g;
	uint8_t bytes[LEDGER_ENTRY], again[LEDGER_ENTRY], seed[32], public[32], hash[DIGEST_LEN], want[DIGEST_LEN];
	char name[32];
	CU_ASSERT_EQUAL(digest_keypair(seed, public), SP_OK);
	memset(e.session, 's', ID_LEN);
	memset(e.chain, 'c', DIGEST_LEN);
	memset(e.previous, 'p', DIGEST_LEN);
	ledger_encode(&e, bytes);
	CU_ASSERT_EQUAL(digest_sign(seed, (struct sp_bytes){ bytes, LEDGER_SIGNED }, e.signature), SP_OK);
	ledger_encode(&e, bytes);
	CU_ASSERT_EQUAL(memcmp(bytes, "\1\2\3\4\5\6\7\10\3ssssssssssssssss\0\0\0\3\0\0\0\4\0\0\0\0\0\0\0\5cccc", 45), 0);
	CU_ASSERT_TRUE(ledger_signed_by(bytes, public));
	CU_ASSERT_EQUAL_FATAL(ledger_decode((struct sp_bytes){ bytes, LEDGER_ENTRY }, &g), SP_OK);
	ledger_encode(&g, again);
	CU_ASSERT_EQUAL(memcmp(bytes, again, LEDGER_ENTRY), 0);
	CU_ASSERT_EQUAL(ledger_decode((struct sp_bytes){ bytes, LEDGER_ENTRY - 1 }, &g), SP_EPROTO);
	for (unsigned kind = 0; kind < 256; kind++) {
		bytes[8] = (uint8_t)kind;
		CU_ASSERT_EQUAL(ledger_decode((struct sp_bytes){ bytes, LEDGER_ENTRY }, &g) == SP_OK, kind >= 1 && kind <= LEDGER_TOMBSTONE);
		CU_ASSERT_EQUAL(ledger_signed_by(bytes, public), kind == LEDGER_CLOSE);
		(void)snprintf(name, sizeof(name), "%s", ledger_kind_name(kind));
		CU_ASSERT_EQUAL(strcmp(name, "unknown") == 0, kind > LEDGER_TOMBSTONE);
	}
	bytes[8] = LEDGER_CLOSE;
	ledger_hash(bytes, hash);
	digest_sha256((struct sp_bytes){ bytes, LEDGER_ENTRY }, want);
	CU_ASSERT_EQUAL(memcmp(hash, want, DIGEST_LEN), 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "round", test_round }, { "a seal binds", test_seal_binds }, { "keys", test_keys }, { "too big", test_too_big },
		{ "bomb", test_bomb }, { "no recording", test_no_recording }, { "clock jump (RC7)", test_clock_jump },
		{ "what operations share", test_kept }, { "what sealed operations share", test_kept_sealed }, { "ledger entry", test_entry }, CU_TEST_INFO_NULL,
	};
	return cunit_main("block", tests);
}
