/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder after kill -9, at each point of a tick: nothing published is lost, nothing stands twice. */
#include <config.h>
#include "cunit_main.h"

#include <sys/mman.h>

#include "recorder_world.h"

#include "core/recorder/journal_file.h"

static uint8_t id[ID_LEN], id2[ID_LEN];
static void (*at_start)(struct world *w); /* of the worlds that a scenario makes */

static struct world *
begin(void)
{
	struct world *w = world_new();
	w->begun = at_start;
	return w;
}

static void
whole_session(struct world *w)
{
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
}

/* Published, and the recorder dies before it took anything. */
static void
nothing(struct world *w)
{
	(void)w;
}

/* Dies behind the journal, before the session files and the audit log. */
static void
up_to_journal(struct world *w)
{
	w->r->swept = w->r->now;
	int fd = w->r->audit.fd;
	w->r->audit.fd = open("/dev/null", O_RDONLY); /* takes nothing, and is not full: the journal keeps what it has */
	(void)recorder_tick(w->r);
	w->r->audit.fd = fd;
}

static void
some_ticks(struct world *w)
{
	world_tick(w);
}

static void
with_sweep(struct world *w)
{
	world_sweep(w);
}

static void
check_all(struct world *w, const char *types, unsigned audit, unsigned access)
{
	struct verify_result v;
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), types);
	CU_ASSERT_EQUAL(file_lines(w->audit), audit);
	CU_ASSERT_EQUAL(file_lines(w->access), access);
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	if (!v.ok)
		(void)printf("%s\n", v.text);
}

/* P8: whatever the moment, the frames are there once, and one line for each decision. */
static void
test_each_point(void)
{
	void (*const point[])(struct world *w) = { nothing, up_to_journal, some_ticks, with_sweep };
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0, sync = SYNC_WRITE; sync <= SYNC_ALWAYS; sync += k % 2, k++) {
			struct world *w = begin();
			void (*const say)(struct world *w, const uint8_t *of, uint32_t op, const char *text) = k % 2 ? say_together : say_statement;
			w->options.sync = sync;
			say_header(w, id);
			say(w, id, 1, "SELECT 1");
			world_crash(w, point[i]);
			say(w, id, 2, "SELECT 2");
			world_crash(w, point[i]);
			world_start(w);
			say(w, id, 3, "SELECT 3");
			say_end(w, id);
			check_all(w, "HOVRDOVRDOVRDE", 3, 1);
			CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), ring_position(w->ring[0]));
			world_free(&w);
		}
}

/* An operation before the crash, its verdict after it: the line knows the operation. */
static void
test_line_across(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_operation(w, id, 7, "SELECT 7");
	world_crash(w, with_sweep);
	world_start(w);
	say_verdict(w, id, 7, "deny");
	world_sweep(w);
	CU_ASSERT(file_has(w->audit, "\"op\":7,\"user\":\"ann\""));
	CU_ASSERT(file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"deny\""));
	CU_ASSERT(file_has(w->audit, "\"sha256\":\""));
	world_free(&w);
}

/* …however often the recorder dies in between: where the operation stands in the file is not forgotten. */
static void
test_line_across_deaths(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_operation(w, id, 7, "SELECT 7");
	for (unsigned i = 0; i < 3; i++)
		world_crash(w, with_sweep);
	world_start(w);
	say_verdict(w, id, 7, "deny");
	world_sweep(w);
	CU_ASSERT(file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"deny\""));
	CU_ASSERT(file_has(w->audit, "\"sha256\":\""));
	world_free(&w);
}

/* Held, while others are begun, allowed and never done: more than are remembered.  Then a new recorder, and its decision. */
static void
held_among_others(struct world *w)
{
	say_operation(w, id, 1, "DELETE 1");
	say_verdict(w, id, 1, "held");
	for (uint32_t op = 2; op < 3 * OPERATIONS_MAX; op++) {
		say_operation(w, id, op, "SELECT 1");
		say_verdict(w, id, op, "allow");
		if (op % 10 == 0)
			world_tick(w);
	}
	world_sweep(w);
}

static void
test_line_of_held(void)
{
	struct world *w = begin();
	say_header(w, id);
	world_crash(w, held_among_others);
	world_crash(w, with_sweep);
	world_start(w);
	say_verdict(w, id, 1, "deny");
	world_sweep(w);
	CU_ASSERT(file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"deny\""));
	CU_ASSERT_FALSE(file_has(w->audit, "\"kind\":null"));
	world_free(&w);
}

/* What operations before a crash have in common, those after it have, and those that waited in the ring; however often it comes. */
static void
places_across(bool seals)
{
	struct world *w = world_new();
	uint8_t private[SEAL_KEY] = { 7 };
	seal_public(private, w->options.auditor);
	w->options.seals = seals;
	say_header(w, id);
	say_fields(w, id, 1, "ksql tSELECT aA hone K0");
	say_verdict(w, id, 1, "allow");
	say_done(w, id, 1, 1);
	say_fields(w, id, 2, "ksql tUPDATE aA K1 htwo");
	say_verdict(w, id, 2, "allow");
	say_done(w, id, 2, 1);
	for (unsigned i = 0; i < 3; i++)
		world_crash(w, with_sweep);
	say_fields(w, id, 3, "S0");
	say_verdict(w, id, 3, "allow");
	say_fields(w, id, 4, "S1 hfour");
	world_crash(w, up_to_journal);
	say_verdict(w, id, 4, "allow");
	say_fields(w, id, RECORD_STANDS, "S0");
	say_verdict(w, id, RECORD_STANDS, "deny");
	world_start(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 5);
	CU_ASSERT_STRING_EQUAL(line_of(w, 3, "one"), "sql SELECT one");
	CU_ASSERT_STRING_EQUAL(line_of(w, 4, "four"), "sql UPDATE four");
	CU_ASSERT_STRING_EQUAL(line_of(w, RECORD_STANDS, "one"), "sql SELECT one");
	world_free(&w);
}

static void
test_places_across(void)
{
	places_across(false);
	places_across(true);
}

/* Held, of a place that serves no others any more. */
static void
held_of_a_place(struct world *w)
{
	say_fields(w, id, 1, "ksql tSELECT hone K0");
	say_verdict(w, id, 1, "allow");
	say_done(w, id, 1, 1);
	world_sweep(w);
	say_fields(w, id, 9, "S0");
	say_verdict(w, id, 9, "held");
	world_sweep(w);
	say_operation(w, id, 3 * RECORD_STANDS, "SELECT 3");
	say_verdict(w, id, 3 * RECORD_STANDS, "allow");
	say_done(w, id, 3 * RECORD_STANDS, 1);
	world_sweep(w);
}

static void
test_places_of_held(void)
{
	struct world *w = world_new();
	say_header(w, id);
	world_crash(w, held_of_a_place);
	world_crash(w, with_sweep);
	world_start(w);
	say_verdict(w, id, 9, "deny");
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 4);
	CU_ASSERT_STRING_EQUAL(line_of(w, 9, "one"), "sql SELECT one");
	say_done(w, id, 9, 0);
	world_sweep(w);
	CU_ASSERT_EQUAL(operations_from(session_find(w->r, id)), session_find(w->r, id)->bytes); /* nothing is to be read again */
	world_free(&w);
}

/* Output of an operation came before its frame: what its place has began earlier still. */
static void
output_first(struct world *w)
{
	say_fields(w, id, 1, "ksql tSELECT hone K0");
	say_verdict(w, id, 1, "allow");
	say_done(w, id, 1, 1);
	world_sweep(w);
	say_rows(w, id, 9, 1, "early");
	world_sweep(w);
	say_fields(w, id, 9, "S0");
	say_verdict(w, id, 9, "held");
	world_sweep(w);
	say_fields(w, id, 10, "kother K0");
	say_verdict(w, id, 10, "allow");
	say_done(w, id, 10, 1);
	world_sweep(w);
	say_statement(w, id, 11, "SELECT 11");
	world_sweep(w);
}

static void
test_places_output_first(void)
{
	struct world *w = world_new();
	w->options.head = 1000;
	say_header(w, id);
	world_crash(w, output_first);
	world_start(w);
	say_verdict(w, id, 9, "deny");
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(line_of(w, 9, "one"), "sql SELECT one");
	world_free(&w);
}

/* An operation's number may be a little lower than that of one before it: its place still is read. */
static void
astray(struct world *w)
{
	say_fields(w, id, 8, "ksql tSELECT hone K0");
	say_fields(w, id, 7, "kother");
	for (uint32_t op = 7; op < 9; op++) {
		say_verdict(w, id, op, "allow");
		say_done(w, id, op, 1);
	}
	world_sweep(w);
}

static void
test_places_astray(void)
{
	struct world *w = world_new();
	say_header(w, id);
	world_crash(w, astray);
	world_crash(w, with_sweep);
	world_start(w);
	say_fields(w, id, 9, "S0");
	say_verdict(w, id, 9, "allow");
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(line_of(w, 9, "one"), "sql SELECT one");
	world_free(&w);
}

/* The same, and the crash swallowed the line itself. */
static void
verdict_journaled(struct world *w)
{
	say_operation(w, id, 7, "SELECT 7");
	world_sweep(w);
	say_verdict(w, id, 7, "allow");
	say_done(w, id, 7, 1);
	up_to_journal(w);
}

static void
test_line_swallowed(void)
{
	struct world *w = begin();
	say_header(w, id);
	world_crash(w, verdict_journaled);
	CU_ASSERT_EQUAL(file_lines(w->audit), 0);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 1);
	CU_ASSERT(file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"allow\""));
	world_free(&w);
}

/* In observe mode an answer's columns may be a decision, too. */
static void
say_would(struct world *w, uint32_t op)
{
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_WOULD, SP_LIT("mask"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_COLUMNS, .op = op, .at = 3, .payload = sp_written(&o) });
}

static void
would_journaled(struct world *w)
{
	say_operation(w, id, 7, "SELECT 7");
	say_verdict(w, id, 7, "allow");
	world_sweep(w);
	say_would(w, 7);
	say_done(w, id, 7, 1);
	up_to_journal(w);
}

static void
columns_found_again(bool sealed_since)
{
	struct world *w = begin();
	uint8_t private[SEAL_KEY] = { 7 };
	say_header(w, id);
	world_crash(w, would_journaled);
	CU_ASSERT_EQUAL(file_lines(w->audit), 1);
	w->options.seals = sealed_since;
	seal_public(private, w->options.auditor);
	world_crash(w, with_sweep);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 2);
	CU_ASSERT(file_has(w->audit, "\"frame\":4,\"op\":7"));
	CU_ASSERT(file_has(w->audit, "\"tag\":\"SELECT\",\"verdict\":\"allow\",\"rule\":\"\",\"would\":\"mask\""));
	world_free(&w);
}

static void
test_line_of_columns(void)
{
	columns_found_again(false);
}

/* It stands in clear, whatever is sealed from now on: its number is its own. */
static void
test_line_of_columns_sealed_since(void)
{
	columns_found_again(true);
}

/* Sealed, it has no number yet when its line is written; and no line of the next frame is taken for it. */
static void
sealed_would(struct world *w)
{
	say_operation(w, id, 7, "SELECT 7");
	say_verdict(w, id, 7, "allow");
	say_would(w, 7);
	world_sweep(w);
}

static void
verdict_behind(struct world *w)
{
	say_verdict(w, id, 8, "deny");
	up_to_journal(w);
}

static void
test_line_of_sealed_columns(void)
{
	struct world *w = begin();
	uint8_t private[SEAL_KEY] = { 7 };
	w->options.seals = true;
	seal_public(private, w->options.auditor);
	say_header(w, id);
	world_crash(w, sealed_would);
	CU_ASSERT_EQUAL(file_lines(w->audit), 2);
	CU_ASSERT(file_has(w->audit, "\"frame\":null,\"op\":7"));
	world_crash(w, verdict_behind);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 3);
	CU_ASSERT(file_has(w->audit, "\"op\":8"));
	world_free(&w);
}

/* A header that another version wrote, whose principal this one can't read: not one that a worker can begin a session with now. */
static void
header_of_another(struct world *w)
{
	uint8_t bytes[256];
	char text[ID_TEXT];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	struct session *s = session_new(w->r, id);
	frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
	frame_field(&o, KEY_PRINCIPAL, SP_LIT("{\"user\":\"ann\",\"of another version\":1}"));
	frame_field(&o, KEY_TARGET, SP_LIT("orders"));
	frame_field(&o, KEY_ADDRESS, SP_LIT("192.0.2.1"));
	s->source = w->r->sources;
	s->ring = source_ring(w->r, s->source);
	session_frame(w->r, s, &(struct frame){ .type = FRAME_HEADER, .at = 1, .payload = sp_written(&o) });
	verdict_journaled(w);
}

static void
test_header_unread(void)
{
	struct world *w = world_new();
	id_new(id);
	world_crash(w, header_of_another);
	CU_ASSERT_EQUAL(file_lines(w->audit), 0);
	world_start(w);
	say_statement(w, id, 8, "SELECT 8");
	say_end(w, id);
	world_sweep(w);
	check_lines(w->audit, 2);
	check_lines(w->access, 1);
	CU_ASSERT(file_has(w->audit, "\"op\":7,\"who\":null,\"target\":\"orders\""));
	CU_ASSERT(file_has(w->audit, "\"op\":8,\"who\":null,\"target\":\"orders\""));
	CU_ASSERT(file_has(w->access, "\"address\":\"192.0.2.1\"") && file_has(w->access, "\"started\":null"));
	world_free(&w);
}

/* What was said is in the session's file only. */
static void
rotated_once(struct world *w)
{
	char path[256];
	world_path(w, "journal/00000001.jnl", path);
	world_sweep(w);
	w->r->journal.size = w->r->journal.full + w->r->begun;
	for (unsigned i = 0; i < 50 && access(path, F_OK) == 0; i++)
		world_sweep(w);
	if (access(path, F_OK) == 0)
		_exit(1);
}

/* Nothing at all of its file can be read. */
static void
test_file_unread(void)
{
	struct world *w = world_new();
	char path[256];
	say_header(w, id);
	say_operation(w, id, 7, "SELECT 7");
	world_crash(w, rotated_once);
	session_file(w, id, path);
	CU_ASSERT_EQUAL(truncate(path, RECORDING_HEAD), 0);
	log_level(SP_ERROR + 1);
	world_start(w);
	say_verdict(w, id, 7, "deny");
	say_end(w, id);
	world_sweep(w);
	check_lines(w->audit, 1);
	check_lines(w->access, 1);
	CU_ASSERT(file_has(w->audit, "\"op\":7,\"who\":null,\"kind\":null,\"tag\":null,\"verdict\":\"deny\""));
	CU_ASSERT(file_has(w->access, "\"who\":null,\"started\":null"));
	world_free(&w);
}

/* Killed inside write(2): the beginning of a line is taken back and the line written whole. */
static void
line_begun(struct world *w)
{
	static const char begun[] = "{\"time\":\"2026-01-01T00:00:00.000Z\",\"session\":\"%s\",\"frame\":4,\"op\":7,\"us";
	char text[ID_TEXT];
	verdict_journaled(w);
	CU_ASSERT_TRUE_FATAL(dprintf(w->r->audit.fd, "{\"time\":\"a whole line\"}\n") > 0);
	CU_ASSERT_TRUE_FATAL(dprintf(w->r->audit.fd, begun, id_format(id, text)) > 0);
}

static void
test_line_torn(void)
{
	struct world *w = world_new();
	say_header(w, id);
	world_crash(w, line_begun);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 2);
	CU_ASSERT(file_has(w->audit, "whole line\"}\n{\"time\""));
	CU_ASSERT(file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"allow\""));
	CU_ASSERT_FALSE(file_has(w->audit, "\"us{"));
	CU_ASSERT_FALSE(file_has(w->audit, "2026-01-01"));
	world_free(&w);
}

/* The logs come later than the recovery, as master hands them over. */
static void
test_logs_come_later(void)
{
	struct world *w = begin();
	char audit[96], access[96];
	const char *err;
	struct source *src;
	say_header(w, id);
	world_crash(w, verdict_journaled);
	memcpy(audit, w->audit, sizeof(audit));
	memcpy(access, w->access, sizeof(access));
	w->audit[0] = w->access[0] = '\0';
	CU_ASSERT_EQUAL_FATAL(world_try(w, &err), SP_OK);
	memcpy(w->audit, audit, sizeof(audit));
	memcpy(w->access, access, sizeof(access));
	(void)recorder_tick(w->r);
	recorder_reopen(w->r, open(w->audit, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
	    open(w->access, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
	CU_ASSERT_EQUAL_FATAL(recorder_ring(w->r, 0, w->memory[0], -1, -1, &src), SP_OK);
	world_keeper(w);
	say_end(w, id);
	check_all(w, "HOVDE", 1, 1);
	world_free(&w);
}

/* The whole gateway died: the ring does not come back, the session ends torn. */
static void
test_gateway_died(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, with_sweep);
	world_drop_ring(w, 0);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVRD"); /* it may yet come */
	w->r->settled = 1;
	check_all(w, "HOVRDT", 1, 1);
	CU_ASSERT(file_has(w->access, "\"end\":\"torn\""));
	CU_ASSERT_EQUAL(w->entry[w->entries - 1][8], LEDGER_TORN);
	world_free(&w);
}

/* A ring of another boot that bears the same name is a new one. */
static void
test_other_boot(void)
{
	struct world *w = world_new();
	struct source *src;
	const char *err;
	say_header(w, id);
	world_crash(w, with_sweep);
	world_boots(w, 2);
	CU_ASSERT_EQUAL_FATAL(world_try(w, &err), SP_OK);
	world_keeper(w);
	CU_ASSERT_EQUAL(recorder_ring(w->r, 0, w->memory[0], -1, -1, &src), SP_OK);
	say_header(w, id2);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id2, NULL), "H");
	w->r->settled = 1;
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HT");
	world_free(&w);
}

static int
any_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	(void)owner;
	(void)b;
	(void)e;
	return SP_OK;
}

static int
any_ring(void *owner, uint64_t identity, uint64_t position)
{
	(void)owner;
	(void)identity;
	(void)position;
	return SP_OK;
}

/* So many bytes did not reach the disk; where the segment is written over, others stand there. */
static void
cut_journal(struct world *w, long by)
{
	static const uint8_t others[1024] = { 1 };
	const struct journal_reader reader = { any_ring, any_entry, NULL, NULL };
	char path[256], name[JOURNAL_NAME];
	bool damaged;
	world_path(w, "journal", path);
	struct journal j = { .dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .fd = -1 };
	CU_ASSERT_EQUAL_FATAL(journal_replay(&j, &reader, &damaged), SP_OK);
	CU_ASSERT_EQUAL(j.tail, w->begun != NULL);
	int fd = openat(j.dir, journal_name(j.segment, name), O_WRONLY | O_CLOEXEC);
	if (j.tail)
		CU_ASSERT_EQUAL(write_at(fd, (struct sp_bytes){ others, (size_t)by }, j.size - (uint64_t)by), SP_OK)
	else
		CU_ASSERT_EQUAL(ftruncate(fd, (off_t)j.size - by), 0);
	close(fd);
	close(j.dir);
}

static void
cut_first_segment(struct world *w)
{
	char path[256];
	struct stat st;
	world_path(w, "journal/00000001.jnl", path);
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(truncate(path, st.st_size - 1), 0);
}

static void
two_batches(struct world *w)
{
	world_tick(w);
	say_statement(w, id, 2, "SELECT 2");
	up_to_journal(w);
}

/* A power loss took the end of the last batch: it is left out whole, and taken from the ring again. */
static void
test_torn_batch(void)
{
	static const long by[] = { 1, 33, 150, 400 };
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = begin();
		say_header(w, id);
		say_statement(w, id, 1, "SELECT 1");
		world_crash(w, two_batches);
		cut_journal(w, by[i]);
		world_start(w);
		say_end(w, id);
		check_all(w, "HOVRDOVRDE", 2, 1);
		world_free(&w);
	}
}

/* A power loss: the file has blocks that the journal lost; the chain goes on behind them. */
static void
files_flushed(struct world *w)
{
	two_batches(w);
	struct session *s = session_find(w->r, id);
	CU_ASSERT_EQUAL(file_flush(w->r, s), SP_OK);
}

static void
test_file_ahead(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, files_flushed);
	cut_journal(w, 1);
	world_drop_ring(w, 0);
	world_boots(w, 2);
	world_start(w);
	w->r->settled = 1;
	check_all(w, "HOVRDOVRDT", 2, 1);
	world_free(&w);
}

/* ---- a flood, which goes into the file before the journal tells of it ---- */

static void
flood(struct world *w, uint32_t op)
{
	char value[10001];
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	say_operation(w, id, op, "COPY");
	say_verdict(w, id, op, "allow");
	say_rows(w, id, op, 40, value);
	say_done(w, id, op, 40);
}

static void
flood_of(struct world *w, uint32_t op, void (*tick)(struct world *w))
{
	world_tick(w);
	if (file_flush(w->r, session_find(w->r, id)) != SP_OK)
		_exit(3);
	flood(w, op);
	tick(w);
	if (w->r->batch.places.len == 0 || w->r->batch.blocks.len > 0)
		_exit(4);
}

static void
flood_journaled(struct world *w)
{
	flood_of(w, 2, up_to_journal);
}

/* In the file, and the recorder dies before the journal tells of it. */
static void
no_journal(struct world *w)
{
	int fd = w->r->journal.fd;
	w->r->journal.fd = open("/dev/null", O_RDONLY);
	(void)recorder_tick(w->r);
	w->r->journal.fd = fd;
}

static void
flood_placed(struct world *w)
{
	flood_of(w, 2, no_journal);
}

/* The disk would not take it: the same again. */
static void
flood_late(struct world *w)
{
	int fd = w->r->store.sessions;
	world_tick(w);
	if (file_flush(w->r, session_find(w->r, id)) != SP_OK)
		_exit(3);
	flood(w, 2);
	w->r->store.sessions = open("/dev/null", O_RDONLY);
	if (!recorder_tick(w->r) || !w->r->failing)
		_exit(4);
	w->r->store.sessions = fd;
	w->r->retry_at = 0;
	no_journal(w);
	w->r->retry_at = 0;
	(void)recorder_tick(w->r);
}

static void
one_tick(struct world *w)
{
	(void)recorder_tick(w->r);
}

static void
flood_in_peace(struct world *w)
{
	flood_of(w, 2, one_tick);
}

static void
test_flood(void)
{
	void (*const point[])(struct world *w) = { flood_journaled, flood_placed, flood_late, flood_in_peace };
	for (unsigned i = 0; i < sizeof(point) / sizeof(*point); i++) {
		struct world *w = begin();
		say_header(w, id);
		say_statement(w, id, 1, "SELECT 1");
		world_crash(w, point[i]);
		world_start(w);
		say_statement(w, id, 3, "SELECT 3");
		say_end(w, id);
		check_all(w, "HOVRDOVRDOVRDE", 3, 1);
		CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), ring_position(w->ring[0]));
		world_free(&w);
	}
}

/* The first of two places failed and the second did not: what comes next stands behind both. */
static void
test_flood_in_parts(void)
{
	struct world *w = world_new();
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	CU_ASSERT_EQUAL(file_flush(w->r, session_find(w->r, id)), SP_OK);
	for (uint32_t op = 2; op <= 5; op++)
		flood(w, op);
	no_journal(w);
	struct placement *p = (void *)(uintptr_t)buffer_bytes(&w->r->batch.places).p;
	CU_ASSERT_EQUAL_FATAL(w->r->batch.places.len / sizeof(*p), 2);
	p[0].written = false;
	w->r->retry_at = 0;
	world_tick(w);
	say_statement(w, id, 6, "SELECT 6");
	say_end(w, id);
	check_all(w, "HOVRDOVRDOVRDOVRDOVRDOVRDE", 6, 1);
	world_free(&w);
}

/* …and the whole machine dies, rings and all: what its file has is kept. */
static void
test_flood_and_power(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, flood_placed);
	world_drop_ring(w, 0);
	world_boots(w, 2);
	world_start(w);
	w->r->settled = 1;
	check_all(w, "HOVRDOVRDT", 2, 1);
	world_free(&w);
}

/* A disk that lied: what the journal tells of is not in the file, and that can be seen. */
static void
test_flood_gone(void)
{
	struct world *w = begin();
	struct verify_result v;
	char path[256];
	struct stat st;
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, flood_journaled);
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(truncate(path, st.st_size - 100), 0);
	world_drop_ring(w, 0);
	world_boots(w, 2);
	log_level(SP_ERROR + 1);
	world_start(w);
	w->r->settled = 1;
	world_sweep(w);
	CU_ASSERT_FALSE(verified(w, NULL, &v));
	world_free(&w);
}

/* …and a torn block behind them is cut off. */
static void
test_file_torn(void)
{
	struct world *w = begin();
	char path[256];
	struct stat st;
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, files_flushed);
	cut_journal(w, 1);
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(truncate(path, st.st_size - 3), 0);
	world_drop_ring(w, 0);
	world_boots(w, 2);
	world_start(w);
	w->r->settled = 1;
	check_all(w, "HOVRDT", 1, 1);
	world_free(&w);
}

static void
rotated(struct world *w)
{
	world_sweep(w);
	w->r->journal.size = w->r->journal.full + w->r->begun;
	say_statement(w, id, 2, "SELECT 2");
	world_sweep(w);
	say_statement(w, id, 3, "SELECT 3");
	world_sweep(w);
}

/* Older segments have gone: the census names the session, its file has what they had. */
static void
test_after_rotation(void)
{
	struct world *w = world_new();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, rotated);
	world_start(w);
	say_end(w, id);
	check_all(w, "HOVRDOVRDOVRDE", 3, 1);
	world_free(&w);
}

/* As if the recorder had died between its journal and the ring: what it took is not given back yet. */
static void
not_released(struct world *w)
{
	const size_t line = 64; /* the recorder's positions stand in the second */
	uint8_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w->memory[0], 0);
	CU_ASSERT_FATAL(at != MAP_FAILED);
	CU_ASSERT_FATAL(ring_journaled(w->ring[0]) > 0);
	memset(at + line, 0, 2 * sizeof(uint64_t));
	munmap(at, 4096);
	CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), 0);
}

/* One that dies before master handed it the rings, but after its own journal stood for the old one. */
static void
without_rings(struct world *w)
{
	pid_t pid = fork();
	int status = -1;
	if (pid == 0) {
		const char *err = "";
		if (world_try(w, &err) != SP_OK)
			_exit(1);
		world_keeper(w);
		world_sweep(w);
		_exit(w->r->journal.oldest == w->r->journal.segment ? 0 : 2);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	world_keeper_knows(w);
}

/* Two deaths in a row, the second one early: where the rings were taken to is not forgotten. */
static void
test_twice(void)
{
	struct world *w = begin();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, with_sweep);
	not_released(w);
	without_rings(w);
	say_statement(w, id, 2, "SELECT 2");
	world_start(w);
	say_statement(w, id, 3, "SELECT 3");
	say_end(w, id);
	check_all(w, "HOVRDOVRDOVRDE", 3, 1);
	world_free(&w);
}

static void
parted(struct world *w)
{
	world_sweep(w);
	say_end(w, id);
	for (unsigned i = 0; i < 3; i++)
		world_sweep(w);
	if (w->r->nsessions != 0 || w->r->parted.len == 0)
		_exit(1);
}

/* Sessions that were forgotten, and a power loss took their files, or what was in them: the journal has it all. */
static void
test_parted(void)
{
	for (unsigned what = 0; what < 4; what++) {
		struct world *w = begin();
		char path[256];
		say_header(w, id);
		say_statement(w, id, 1, "SELECT 1");
		world_crash(w, parted);
		session_file(w, id, path);
		if (what == 1)
			CU_ASSERT_EQUAL(truncate(path, 0), 0);
		if (what == 2)
			CU_ASSERT_EQUAL(truncate(path, RECORDING_HEAD + 20), 0);
		if (what == 3)
			CU_ASSERT_EQUAL(unlink(path), 0);
		world_start(w);
		check_all(w, "HOVRDE", 1, 1);
		CU_ASSERT_EQUAL(w->r->nsessions, 0);
		world_free(&w);
	}
}

static void
parted_and_rotated(struct world *w)
{
	char path[256];
	parted(w);
	w->r->journal.size = w->r->journal.full + w->r->begun;
	world_path(w, "journal/00000001.jnl", path);
	for (unsigned i = 0; i < 50 && access(path, F_OK) == 0; i++)
		world_sweep(w);
	if (w->r->parted.len != 0 || access(path, F_OK) == 0)
		_exit(1);
}

/* …and once the segment is gone, the file has it, and the census does not name it any more. */
static void
test_parted_and_rotated(void)
{
	struct world *w = world_new();
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, parted_and_rotated);
	world_start(w);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	check_all(w, "HOVRDE", 1, 1);
	world_free(&w);
}

/* Damage in the middle is not silently bridged, and does not keep the gateway from starting. */
static void
two_segments(struct world *w)
{
	world_tick(w);
	w->r->swept = w->r->now;
	say_statement(w, id, 2, "SELECT 2");
	(void)recorder_tick(w->r);
	CU_ASSERT_EQUAL(journal_rotate(&w->r->journal), SP_OK);
	w->r->sync_due = true; /* keeps the first segment */
	say_statement(w, id, 3, "SELECT 3");
	(void)recorder_tick(w->r);
}

static void
test_damaged_journal(void)
{
	struct world *w = world_new();
	struct verify_result v;
	char path[256];
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_crash(w, two_segments);
	cut_first_segment(w);
	session_file(w, id, path);
	CU_ASSERT_EQUAL(truncate(path, RECORDING_HEAD), 0);
	world_start(w);
	say_header(w, id2);
	say_end(w, id2);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id2, NULL), "HE");
	CU_ASSERT_FALSE(verified(w, NULL, &v));
	CU_ASSERT_PTR_NOT_NULL(strstr(v.text, "block "));
	world_free(&w);
}

/* ---- over segments that were others before ---- */

/* All of these again, each recorder's journal being written over bytes of an earlier life. */
static void
test_written_over(void)
{
	void (*const scenario[])(void) = { test_each_point, test_line_across, test_line_across_deaths, test_line_of_held, test_line_swallowed,
		test_line_of_columns, test_line_of_sealed_columns, test_logs_come_later, test_gateway_died, test_torn_batch, test_file_ahead,
		test_file_torn, test_flood, test_flood_and_power, test_flood_gone, test_twice, test_parted };
	at_start = world_writes_over;
	for (unsigned i = 0; i < sizeof(scenario) / sizeof(*scenario); i++)
		scenario[i]();
	at_start = NULL;
}

static void
small_segments(struct world *w)
{
	w->r->journal.full = 4000;
}

static unsigned told; /* statements of `id` up to here */

/* Statements, until a segment is written over, and half of that one. */
static void
say_much(struct world *w)
{
	for (unsigned i = 0, over = 0; over < 2; i++) {
		char text[128];
		(void)snprintf(text, sizeof(text), "SELECT %u FROM orders", told);
		say_statement(w, id, ++told, text);
		world_sweep(w);
		over += w->r->journal.tail && w->r->journal.size > 2000;
		if (i > 200 || w->r->journal.segment - w->r->journal.oldest > 3)
			_exit(7);
	}
}

static void (*dies)(struct world *w);
static unsigned *told_there; /* by the process that died */

static void
say_much_and_die(struct world *w)
{
	say_much(w);
	say_statement(w, id, ++told, "SELECT 'the last'");
	dies(w);
	*told_there = told;
}

/* Its segment is full: the next one is begun, and dies before its census. */
static void
just_begun(struct world *w)
{
	world_tick(w);
	if (journal_rotate(&w->r->journal) != SP_OK)
		_exit(8);
}

/* The spare has its head and not yet its name. */
static void
not_yet_begun(struct world *w)
{
	uint8_t head[JOURNAL_HEAD] = JOURNAL_MAGIC;
	char path[256];
	for (unsigned i = 0; i < 100 && !w->r->journal.spare; i++) {
		say_statement(w, id, ++told, "SELECT 'more'");
		world_sweep(w);
	}
	world_path(w, "journal/spare.jnl", path);
	head[15] = (uint8_t)(w->r->journal.segment + 1);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write_at(fd, (struct sp_bytes){ head, sizeof(head) }, 0) != SP_OK)
		_exit(9);
	close(fd);
}

/* P8: many small segments, two deaths in a row at each point: every frame is there once. */
static void
test_many_segments(void)
{
	void (*const point[])(struct world *w) = { nothing, up_to_journal, one_tick, with_sweep, just_begun, not_yet_begun };
	told_there = mmap(NULL, sizeof(*told_there), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(told_there != MAP_FAILED);
	for (unsigned i = 0; i < sizeof(point) / sizeof(*point); i++)
		for (unsigned sync = SYNC_WRITE; sync <= SYNC_ALWAYS; sync++) {
			struct world *w = world_new();
			char types[4096] = "H";
			w->options.sync = sync;
			w->begun = small_segments;
			dies = point[i];
			told = 0;
			say_header(w, id);
			for (unsigned deaths = 0; deaths < 2; deaths++) {
				world_crash(w, say_much_and_die);
				told = *told_there;
			}
			world_start(w);
			say_end(w, id);
			for (size_t n = 1, k = 0; k < told && n + 5 < sizeof(types); k++, n += 4)
				memcpy(types + n, "OVRD", 5);
			memcpy(types + strlen(types), "E", 2);
			check_all(w, types, told, 1);
			CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), ring_position(w->ring[0]));
			world_free(&w);
		}
	munmap(told_there, sizeof(*told_there));
}

/* A ledger whose last entry a crash cut is completed by the keeper. */
static void
test_torn_ledger(void)
{
	struct world *w = world_new();
	struct verify_result v;
	char path[256];
	world_start(w);
	whole_session(w);
	say_end(w, id);
	world_sweep(w);
	world_stop(w, false);
	world_path(w, "ledger", path);
	CU_ASSERT_EQUAL(truncate(path, LEDGER_HEAD + (long)w->entries * LEDGER_ENTRY - 5), 0);
	world_start(w);
	world_sweep(w);
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	world_free(&w);
}

/* The keeper's answers were lost with the recorder: asked again, they are the same. */
static void
test_answer_lost(void)
{
	struct world *w = world_new();
	struct verify_result v;
	world_start(w);
	whole_session(w);
	w->deaf = true;
	world_sweep(w);
	say_end(w, id);
	world_sweep(w);
	world_stop(w, false);
	w->deaf = false;
	world_start(w);
	world_sweep(w);
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	CU_ASSERT_EQUAL(w->entry[w->entries - 1][8], LEDGER_CLOSE);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	world_free(&w);
}

static void
test_other_key(void)
{
	struct world *w = world_new();
	uint8_t seed[32];
	world_start(w);
	whole_session(w);
	world_stop(w, false);
	CU_ASSERT_EQUAL(digest_keypair(seed, w->public), SP_OK);
	world_start(w);
	CU_ASSERT_PTR_NULL(w->r->send); /* nothing is signed with a key that the ledger does not have */
	world_free(&w);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "each point (P8)", test_each_point }, { "line across", test_line_across },
		{ "line across deaths", test_line_across_deaths }, { "line of what was held", test_line_of_held },
		{ "header unread", test_header_unread }, { "file unread", test_file_unread }, { "line swallowed", test_line_swallowed },
		{ "places across", test_places_across }, { "places of what was held", test_places_of_held }, { "places astray", test_places_astray },
		{ "places, output first", test_places_output_first },
		{ "line of columns", test_line_of_columns },
		{ "line of columns, sealed since", test_line_of_columns_sealed_since }, { "line of sealed columns", test_line_of_sealed_columns },
		{ "logs come later", test_logs_come_later }, { "gateway died", test_gateway_died }, { "other boot", test_other_boot },
		{ "torn batch (RC7)", test_torn_batch }, { "file ahead", test_file_ahead }, { "file torn", test_file_torn },
		{ "flood", test_flood }, { "flood in parts", test_flood_in_parts }, { "flood and power", test_flood_and_power }, { "flood gone", test_flood_gone },
		{ "after rotation", test_after_rotation },
		{ "two deaths", test_twice }, { "a torn line of the audit log", test_line_torn }, { "parted (P8)", test_parted },
		{ "parted and rotated", test_parted_and_rotated }, { "damaged journal", test_damaged_journal },
		{ "written over (P8, RC7)", test_written_over }, { "many segments (P8)", test_many_segments },
		{ "torn ledger", test_torn_ledger }, { "answer lost", test_answer_lost }, { "other key", test_other_key },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("recover", tests);
}
