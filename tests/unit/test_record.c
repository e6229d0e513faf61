/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker hides in recordings, and what it does while the recorder is behind. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "cunit_main.h"
#include "core/worker/budget.h"
#include "worker_world.h"

#define WRITE "record { sync write; sync_wait 1s; }"
#define TAGS "tag 'pii' { '*.email' }\nrule 'm' { on = 'toy.result', when = { column = tagged 'pii' }, mask = mask.null }\n"

static struct world v;

/* ---- hiding ---- */

static const char *
redacted(const char *text, struct literal *l, size_t n)
{
	static char out[512];
	struct buffer b = { 0 };
	const struct shape shape = { .module = &toy, .text = sp_str(text), .literal = l, .nliterals = n };
	CU_ASSERT_EQUAL(record_redact(v.w, v.w->epoch->target[0].policy, &shape, &b), SP_OK);
	snprintf(out, sizeof(out), "%.*s", (int)b.len, b.len == 0 ? "" : (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return out;
}

static void
test_spans(void)
{
	world_begin(&v, WRITE, TAGS);
	struct literal overlap[] = { { .offset = 2, .len = 2 }, { .offset = 3, .len = 4 } };
	CU_ASSERT_STRING_EQUAL(redacted("abCDEFGhi", overlap, 2), "ab{hidden:2}{hidden:3}hi");
	struct literal back[] = { { .offset = 3, .len = 4 }, { .offset = 2, .len = 2 } };
	CU_ASSERT_STRING_EQUAL(redacted("abCDEFGhi", back, 2), "ab{hidden:2}{hidden:3}hi");
	struct literal inside[] = { { .offset = 2, .len = 5 }, { .offset = 3, .len = 1 } };
	CU_ASSERT_STRING_EQUAL(redacted("abCDEFGhi", inside, 2), "ab{hidden:5}hi");
	struct literal apart[] = { { .offset = 7, .len = 2 }, { .offset = 0, .len = 1 }, { .offset = 4, .len = 0 } };
	CU_ASSERT_STRING_EQUAL(redacted("AbcdefgHI", apart, 3), "{hidden:1}bcdefg{hidden:2}");
	struct literal odd[] = { { .offset = 99, .len = 1 }, { .offset = 8, .len = 2 }, { .offset = 1, .len = SIZE_MAX } };
	CU_ASSERT_STRING_EQUAL(redacted("abcdefghi", odd, 3), "abcdefghi"); /* of no text: a classifier's mistake reads nothing */
	struct literal of_column[] = { { .offset = 0, .len = 1, .column = "public.t.email" }, { .offset = 2, .len = 1, .column = "public.t.id" } };
	CU_ASSERT_STRING_EQUAL(redacted("AbCd", of_column, 2), "{hidden:1}bCd");
	world_end(&v);
}

/* Whatever the spans: no byte of theirs is there, and every other one is. */
static void
test_any_spans(void)
{
	static const char all[] = "abcdefghijklmnopqrstuvwxyz";
	unsigned seed = 1, wrong = 0;
	world_begin(&v, WRITE, TAGS);
	for (unsigned round = 0; round < 2000; round++) {
		struct literal l[5];
		bool hidden[26] = { false };
		char open[27];
		size_t n = 0, nopen = 0;
		for (size_t i = 0; i < 5; i++) {
			seed = seed * 1103515245u + 12345u;
			l[i] = (struct literal){ .offset = seed >> 16 & 31, .len = seed >> 21 & 7 };
			for (size_t k = l[i].offset; l[i].offset + l[i].len <= 26 && k < l[i].offset + l[i].len; k++)
				hidden[k] = true;
		}
		const char *out = redacted(all, l, 5);
		for (const char *c = out; *c != '\0'; c++) {
			if (*c == '{') /* what stands for a hidden value is no text */
				c = strchr(c, '}');
			else
				open[nopen++] = *c;
		}
		open[nopen] = '\0';
		for (size_t i = 0; i < 26; i++)
			if (!hidden[i])
				wrong += n >= nopen || open[n++] != all[i];
		wrong += n != nopen;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	world_end(&v);
}

/* With the keeper's key: equal values are equal, and nothing tells them. */
static void
test_keyed(void)
{
	uint8_t key[DIGEST_LEN] = { 7 };
	struct message m = { .type = MSG_DERIVED, .f = { Z("redact"), Z(""), S(((struct sp_bytes){ key, sizeof(key) })) } };
	struct literal l[] = { { .offset = 0, .len = 3 }, { .offset = 4, .len = 3 }, { .offset = 8, .len = 3 } };
	world_begin(&v, WRITE, TAGS);
	world_tell(&v, &m);
	const char *out = redacted("dog dog cat", l, 3);
	CU_ASSERT_EQUAL_FATAL(strlen(out), 3 * strlen("{0123456789abcdef:3}") + 2);
	CU_ASSERT(memcmp(out, out + 21, 20) == 0 && memcmp(out, out + 42, 20) != 0);
	world_end(&v);
}

static bool
stands(const char *text)
{
	(void)world_recorded(&v);
	struct sp_bytes b = buffer_bytes(&v.payloads);
	return memmem(b.p, b.len, text, strlen(text)) != NULL;
}

/* In no frame of a statement: its text, the answer why, its parameters. */
static void
test_nowhere(void)
{
	world_begin(&v, WRITE, "rule 'no' { on = 'toy.statement', when = { verb = 'delete' }, deny = 'no deletes' }");
	world_run(&v);
	world_say(&v, "delete 'h4sh3d'\n");
	CU_ASSERT_STRING_EQUAL(world_recorded(&v), "header operation verdict operation verdict why");
	CU_ASSERT(!stands("h4sh3d") && stands("delete '{hidden:6}'"));
	CU_ASSERT(stands("\"no\"") && stands("no deletes")); /* why: the rule, and what it says */
	CU_ASSERT(!stands("s3cret-token"));
	world_end(&v);
}

/* Attributes are recorded as they are, or said not to be whole: backtest takes what is cut for unknown. */
static void
test_attributes(void)
{
	char text[4600] = "";
	world_begin(&v, WRITE, "");
	world_run(&v);
	world_say(&v, "columns 200\n"); /* as a wide table has */
	CU_ASSERT(stands("0:columns_written=public.wide.c0000,") && stands(",public.wide.c0199") && !stands(RECORD_CUT));
	world_forget(&v);
	world_say(&v, "columns 300\n");
	CU_ASSERT(stands(",public.wide.c0199,") && stands("," RECORD_CUT) && !stands("public.wide.c0299") && !stands("public.wide." RECORD_CUT));
	world_forget(&v);
	memset(text, 'v', 1);
	for (size_t n = 1; n < 4500; n += 2)
		memcpy(text + n, "\xc3\xa4", 3); /* no character is cut in two */
	text[4501] = '\n';
	world_say(&v, text);
	CU_ASSERT(stands("0:verb=v\xc3\xa4") && stands("\xc3\xa4" RECORD_CUT) && !stands("\xc3" RECORD_CUT));
	world_forget(&v);
	world_say(&v, "nodes 63\n");
	CU_ASSERT(stands("63:verb=node") && !stands(RECORD_CUT));
	world_forget(&v);
	world_say(&v, "nodes 64\n");
	CU_ASSERT(stands("63:verb=node") && stands("63:" RECORD_CUT "="));
	world_end(&v);
}

/* What never fits the ring is refused, and known by a keyed hash: of a plain one its secret could be guessed. */
static void
test_longer_than_the_ring(void)
{
	size_t len = 3u << 20;
	uint8_t *text = mem_alloc(len), plain[DIGEST_LEN];
	memset(text, ' ', len);
	memcpy(text, "delete 'h4sh3d'", 15);
	digest_sha256((struct sp_bytes){ text, len }, plain);
	world_begin(&v, WRITE, "");
	world_run(&v);
	session_enter_module(v.s);
	struct sp_op *op = sp_op_new(v.s, 0, "toy.statement", (struct sp_bytes){ text, len });
	CU_ASSERT_FATAL(op != NULL);
	(void)session_leave_module(v.s, sp_ask(op));
	CU_ASSERT(stands("{too long to be recorded} {hidden:") && stands("longer than can be recorded"));
	struct sp_bytes all = buffer_bytes(&v.payloads);
	CU_ASSERT(memmem(all.p, all.len, plain, sizeof(plain)) == NULL && !stands("h4sh3d"));
	CU_ASSERT_EQUAL(v.w->overflow.len, 0);
	free(text);
	world_end(&v);
}

/* Long statements, one after the other in one turn: the worker shows that it is not stuck. */
static void
test_long_work_is_a_sign(void)
{
	world_begin(&v, WRITE, "");
	world_run(&v);
	board_beat(v.w->board, v.w->board_slot, 1);
	budget_charge(v.s, budget_begin(v.s));
	CU_ASSERT_EQUAL(board_last_beat(v.w->board, v.w->board_slot), 1);
	budget_charge(v.s, budget_begin(v.s) - 100000);
	CU_ASSERT(board_last_beat(v.w->board, v.w->board_slot) > 1);
	world_end(&v);
}

/* ---- the recorder is behind ---- */

#define PIECE 60000u
#define PIECES 100u

static void
flood(void)
{
	uint8_t *b = mem_alloc(PIECE);
	session_enter_module(v.s);
	for (unsigned i = 0; i < PIECES; i++) {
		memset(b, (int)('A' + i % 26), PIECE);
		CU_ASSERT_EQUAL(sp_record(v.s, NULL, SP_REC_OUTPUT, (struct sp_bytes){ b, PIECE }), SP_OK);
	}
	free(b);
	(void)session_leave_module(v.s, SP_OK);
}

/* The smallest ring that a configuration may ask for: it is not full before anything is in it. */
static void
test_small_ring(void)
{
	size_t usual = world_ring;
	world_ring = 1u << 20;
	world_begin(&v, WRITE, "");
	world_run(&v);
	CU_ASSERT(!record_behind(v.w) && v.s->side[SP_CLIENT].reading);
	world_say(&v, "select 1\n");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	world_end(&v);
	world_ring = usual;
}

/* What finds no room waits, in order; the client is not read, and nothing leaves meanwhile. */
static void
test_no_room(void)
{
	bool order = true;
	world_begin(&v, WRITE, "");
	world_run(&v);
	world_forget(&v);
	flood();
	CU_ASSERT(v.w->overflow.len > 0 && record_behind(v.w) && !record_durable(v.w, 0));
	CU_ASSERT(ring_wake_wanted(v.recorder)); /* who makes room tells at once, not the next tick */
	record_progress(v.w);
	CU_ASSERT(!v.s->side[SP_CLIENT].reading && !v.s->side[SP_TARGET].reading);
	world_say(&v, "select 1\n");
	CU_ASSERT(v.verdicts == 0);
	for (unsigned i = 0; i < 8 && v.w->overflow.len > 0; i++)
		world_synced(&v);
	CU_ASSERT_EQUAL(v.w->overflow.len, 0);
	world_synced(&v);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "select 1\n");
	(void)world_recorded(&v);
	struct sp_bytes all = buffer_bytes(&v.payloads);
	CU_ASSERT_FATAL(all.len > PIECE * PIECES);
	for (size_t i = 0; i < PIECE * PIECES; i++)
		order = order && all.p[i] == 'A' + i / PIECE % 26;
	CU_ASSERT(order);
	CU_ASSERT_EQUAL(v.closed, 0);
	world_end(&v);
}

/* …and for too long: the session ends (P8). */
static void
test_no_room_for_long(void)
{
	world_begin(&v, WRITE, "");
	world_run(&v);
	flood();
	record_progress(v.w);
	CU_ASSERT_EQUAL(v.s->state, SESSION_RUN);
	v.w->now += 1001;
	record_progress(v.w);
	CU_ASSERT(v.s == NULL || v.s->why == SP_END_RECORDER);
	CU_ASSERT(v.s == NULL || v.s->state >= SESSION_ENDING);
	for (unsigned i = 0; i < 8 && v.w->overflow.len > 0; i++)
		world_synced(&v);
	world_end(&v);
}

/* More at once than may wait: that session ends, and what its recording has is its beginning, without a gap (P8). */
static void
test_no_room_at_all(void)
{
	static const uint8_t zeros[1u << 20];
	const struct sp_bytes much = { zeros, sizeof(zeros) }, none = { NULL, 0 };
	world_begin(&v, WRITE, "");
	world_run(&v);
	world_forget(&v);
	for (unsigned i = 0; i < 80 && !v.s->unrecorded; i++)
		record_frame(v.s, FRAME_OUTPUT, 0, 0, much, none);
	CU_ASSERT(v.s->unrecorded);
	size_t waits = v.w->overflow.len;
	record_frame(v.s, FRAME_OUTPUT, 0, 0, SP_LIT("less"), none);
	CU_ASSERT_EQUAL(v.w->overflow.len, waits);
	record_progress(v.w);
	CU_ASSERT(v.s == NULL || (v.s->why == SP_END_RECORDER && v.s->state >= SESSION_ENDING));
	for (unsigned i = 0; i < 80 && v.w->overflow.len > 0; i++) {
		world_forget(&v);
		world_synced(&v);
	}
	world_synced(&v);
	CU_ASSERT_PTR_NOT_NULL(strstr(world_recorded(&v), "output end"));
	world_end(&v);
}

/* What never fits a ring ends its own session, and nobody else waits behind it. */
static void
test_too_long(void)
{
	static const uint8_t zeros[FRAME_MAX];
	const size_t usual = world_ring, longest = FRAME_MAX - FRAME_HEAD;
	world_ring = 64u << 20;
	world_begin(&v, WRITE, "");
	world_run(&v);
	world_forget(&v);
	CU_ASSERT_EQUAL(ring_longest(v.w->ring), longest);
	record_frame(v.s, FRAME_OUTPUT, 0, 0, (struct sp_bytes){ zeros, longest }, (struct sp_bytes){ NULL, 0 });
	CU_ASSERT(!v.s->unrecorded && v.w->overflow.len == 0);
	record_frame(v.s, FRAME_OUTPUT, 0, 0, (struct sp_bytes){ zeros, longest }, SP_LIT("x"));
	CU_ASSERT(v.s->unrecorded && v.w->overflow.len == 0);
	world_say(&v, "select 1\n");
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	record_progress(v.w);
	CU_ASSERT(v.s == NULL || (v.s->why == SP_END_RECORDER && v.s->state >= SESSION_ENDING));
	world_end(&v);
	world_ring = usual;
}

/* … and a statement that long is refused before: in a ring with room for two of them. */
static void
test_too_long_to_ask(void)
{
	const size_t usual = world_ring, longest = FRAME_MAX - FRAME_HEAD;
	uint8_t *text = mem_alloc(longest);
	memset(text, 'x', longest);
	memcpy(text, "select ", 7);
	world_ring = 64u << 20;
	world_begin(&v, WRITE, "");
	world_run(&v);
	v.keep = true;
	static const struct { size_t len; enum sp_what what; } row[] = { { 19u << 20, SP_ALLOW }, { FRAME_MAX - FRAME_HEAD, SP_DENY } };
	for (size_t i = 0; i < 2; i++) {
		session_enter_module(v.s);
		struct sp_op *op = sp_op_new(v.s, 0, "toy.statement", (struct sp_bytes){ text, row[i].len });
		CU_ASSERT_PTR_NOT_NULL_FATAL(op);
		v.op[v.nops++] = op;
		CU_ASSERT_EQUAL(sp_ask(op), SP_OK);
		CU_ASSERT_EQUAL(v.what, row[i].what);
		(void)session_leave_module(v.s, SP_OK);
		CU_ASSERT_FALSE(v.s->unrecorded);
		world_synced(&v);
	}
	CU_ASSERT_EQUAL(v.because, SP_BY_SIZE);
	world_end(&v);
	world_ring = usual;
	free(text);
}

/* A target that tells of more rows than a recorder takes from a worker: nobody's session is to end of that. */
static void
test_many_rows(void)
{
	const struct sp_outcome o = { .rows = UINT64_MAX, .error = "", .text = "" };
	world_begin(&v, WRITE, "");
	world_run(&v);
	for (unsigned i = 0; i < 3; i++) {
		world_say(&v, "select\n");
		CU_ASSERT_EQUAL(sp_done(v.op[i], &o), SP_OK);
	}
	CU_ASSERT_EQUAL(v.s->rows, FRAME_NUMBER_MAX);
	close(v.client);
	v.client = -1;
	world_turn(&v);
	const char *recorded = world_recorded(&v); /* each of them is looked at as the recorder does it */
	CU_ASSERT(strstr(recorded, " done") != NULL && strstr(recorded, " end") != NULL);
	world_end(&v);
}

/* Before anybody is admitted there is nothing to record, and a recorder that fails ends nobody. */
static void
test_nobody_to_record(void)
{
	world_begin(&v, WRITE, "");
	world_connect(&v);
	ring_fail(v.recorder, true);
	record_progress(v.w);
	CU_ASSERT_EQUAL(v.s->state, SESSION_ACCEPTED);
	world_hello(&v);
	world_admit(&v);
	record_progress(v.w);
	world_turn(&v);
	CU_ASSERT(v.closed == 1 && v.why == SP_END_RECORDER);
	CU_ASSERT_STRING_EQUAL(world_read(v.client), "BYE the session can no longer be recorded");
	world_end(&v);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "spans", test_spans },
		{ "any spans", test_any_spans },
		{ "keyed", test_keyed },
		{ "nowhere else", test_nowhere },
		{ "attributes", test_attributes },
		{ "longer than the ring", test_longer_than_the_ring },
		{ "long work is a sign", test_long_work_is_a_sign },
		{ "a small ring is not full from the start", test_small_ring },
		{ "no room in the ring", test_no_room },
		{ "no room for long", test_no_room_for_long }, { "no room at all", test_no_room_at_all }, { "too long", test_too_long },
		{ "too long to be asked", test_too_long_to_ask },
		{ "many rows", test_many_rows },
		{ "nobody to record", test_nobody_to_record },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("record", tests);
}
