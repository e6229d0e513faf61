/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder by its rings: what comes into files, logs and the ledger, and what a worker may not say. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <config.h>
#include "cunit_main.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "recorder_world.h"

static void
test_session(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN];
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	say_statement(w, id, 2, "SELECT 2");
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVRDOVRDE");
	CU_ASSERT_EQUAL(file_lines(w->audit), 2);
	CU_ASSERT_EQUAL(file_lines(w->access), 1);
	CU_ASSERT(file_has(w->access, "\"operations\":2,\"denied\":0,\"held\":0,\"rows\":2,"));
	CU_ASSERT(file_has(w->access, "\"user\":\"ann\""));
	CU_ASSERT(file_has(w->audit, "\"verdict\":\"allow\",\"rule\":\"a-rule\""));
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(v.sessions, 1);
	CU_ASSERT_EQUAL(v.frames, 10);
	CU_ASSERT_EQUAL(w->r->nsessions, 0); /* seen off */
	world_free(&w);
}

/* A line to the letter, its texts a stranger's. */
static void
test_audit_line(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[512], hash[DIGEST_LEN];
	char name[ID_TEXT], hex[2 * DIGEST_LEN + 1], expected[1024];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	world_start(w);
	say_header(w, id);
	digest_sha256(SP_LIT("SELECT 1"), hash);
	frame_field(&o, KEY_KIND, SP_LIT("sql \"k\""));
	frame_field(&o, KEY_TAG, SP_LIT("T\n"));
	frame_field(&o, KEY_TEXT_HASH, (struct sp_bytes){ hash, sizeof(hash) });
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = 4000000000u, .at = 1, .payload = sp_written(&o) });
	o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_WHAT, SP_LIT("allow"));
	frame_field(&o, KEY_RULE, SP_LIT("a\\rule"));
	frame_field(&o, KEY_APPROVER, SP_LIT("bob"));
	frame_field(&o, KEY_OBSERVED, SP_LIT("one"));
	frame_field(&o, KEY_OBSERVED, SP_LIT("two"));
	frame_field(&o, KEY_WOULD, SP_LIT("deny"));
	frame_field(&o, KEY_POLICY_HASH, SP_LIT("\xab\xcd"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_VERDICT, .op = 4000000000u, .at = 2, .payload = sp_written(&o) });
	world_tick(w);
	id_format(id, name);
	text_hex((struct sp_bytes){ hash, sizeof(hash) }, hex);
	(void)snprintf(expected, sizeof(expected), "Z\",\"session\":\"%s\",\"frame\":3,\"op\":4000000000,\"user\":\"ann\",\"identity\":\"corp\","
	    "\"issuer\":\"https://idp.example.com\",\"subject\":\"s-1\",\"class\":\"human\",\"target\":\"orders\",\"part\":\"orders\","
	    "\"module\":\"postgres\",\"address\":\"192.0.2.1\",\"login\":\"app_gw\",\"policy\":\"\",\"kind\":\"sql \\\"k\\\"\",\"tag\":\"T\\n\","
	    "\"verdict\":\"allow\",\"rule\":\"a\\\\rule\",\"approver\":\"bob\",\"would\":\"deny\",\"observed\":\"one two\",\"judged_by\":\"abcd\","
	    "\"sha256\":\"%s\"}\n", name, hex);
	CU_ASSERT(file_has(w->audit, expected));
	CU_ASSERT_EQUAL(memcmp(file_bytes(w->audit).p, "{\"time\":\"2", 10), 0);
	CU_ASSERT_EQUAL(file_bytes(w->audit).len, strlen("{\"time\":\"2026-01-02T03:04:05.678") + strlen(expected));
	world_free(&w);
}

/* Decisions whose texts are kept: again and again, and with one thing changed at a time, also where hashes name the same place. */
static void
test_decisions_again(void)
{
	static const struct { const char *kind, *tag, *hash, *what, *rule; } row[] = {
		{ "sql", "SELECT", "a", "allow", "" }, { "sql", "SELECT", "a", "allow", "r" }, { "sql", "SELECT", "a", "held", "r" },
		{ "sql", "UPDATE", "a", "allow", "" }, { "sqm", "SELECT", "a", "allow", "" }, { "sql", "SELECT", "ab", "allow", "" },
		{ "sql", "SELECT", "a", "allow", "a rule whose name is so long that no text is kept of what it decides, each is made anew" },
	};
	const unsigned n = sizeof(row) / sizeof(*row);
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[512], hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1], expected[512];
	world_start(w);
	say_header(w, id);
	for (uint32_t op = 1; op <= 4 * n; op++) {
		struct sp_writer o = sp_writer(bytes, sizeof(bytes));
		unsigned i = op % 2 == 0 ? op / 2 % n : op % n; /* each after others, and some after themselves */
		memset(hash, 0, sizeof(hash));
		memcpy(hash, row[i].hash, strlen(row[i].hash));
		frame_field(&o, KEY_KIND, sp_str(row[i].kind));
		frame_field(&o, KEY_TAG, sp_str(row[i].tag));
		frame_field(&o, KEY_TEXT_HASH, (struct sp_bytes){ hash, sizeof(hash) });
		say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = op, .at = op, .payload = sp_written(&o) });
		for (unsigned twice = 0; twice < 2; twice++) {
			o = sp_writer(bytes, sizeof(bytes));
			frame_field(&o, KEY_WHAT, sp_str(row[i].what));
			frame_field(&o, KEY_RULE, sp_str(row[i].rule));
			say_frame(w, 0, id, (struct frame){ .type = FRAME_VERDICT, .op = op, .at = op, .payload = sp_written(&o) });
		}
	}
	world_tick(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 8 * n);
	struct sp_bytes log = file_bytes(w->audit);
	for (uint32_t op = 1; op <= 4 * n; op++) {
		unsigned i = op % 2 == 0 ? op / 2 % n : op % n, lines = 0;
		memset(hash, 0, sizeof(hash));
		memcpy(hash, row[i].hash, strlen(row[i].hash));
		text_hex((struct sp_bytes){ hash, sizeof(hash) }, hex);
		(void)snprintf(expected, sizeof(expected), ",\"op\":%u,\"user\":\"ann\",", op);
		for (const char *at = (const char *)log.p; (at = strstr(at, expected)) != NULL; lines++) {
			char tail[512];
			(void)snprintf(tail, sizeof(tail), ",\"kind\":\"%s\",\"tag\":\"%s\",\"verdict\":\"%s\",\"rule\":\"%s\",\"sha256\":\"%s\"}\n",
			    row[i].kind, row[i].tag, row[i].what, row[i].rule, hex);
			at = strstr(at, ",\"kind\":");
			CU_ASSERT_FATAL(at != NULL && strncmp(at, tail, strlen(tail)) == 0);
		}
		CU_ASSERT_EQUAL(lines, 2);
	}
	world_free(&w);
}

/* What makes room among a session's operations is what was decided, and done or not; of what else had to go a line says that it is not known. */
static void
test_unfinished(void)
{
	const uint32_t all = OPERATIONS_MAX;
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	w->options.head = 4;
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "DELETE 1");
	for (uint32_t op = 2; op <= all; op++) {
		say_operation(w, id, op, "SELECT 2");
		say_verdict(w, id, op, op % 2 == 0 ? "allow" : "held");
	}
	for (uint32_t op = all + 1; op <= all + all / 2; op++) {
		say_operation(w, id, op, "SELECT 3");
		say_verdict(w, id, op, "held");
	}
	world_tick(w);
	struct session *s = session_find(w->r, id);
	CU_ASSERT_EQUAL(s->noperations, all);
	CU_ASSERT(operation_find(s, 1) != NULL && operation_find(s, 2) == NULL && operation_find(s, 3) != NULL);
	say_verdict(w, id, 3, "deny");
	say_rows(w, id, 2, 3, "value"); /* its answer still comes, and is cut */
	say_verdict(w, id, 2, "allow");
	say_operation(w, id, 1000, "SELECT 4");
	say_operation(w, id, 1001, "SELECT 4");
	world_tick(w);
	CU_ASSERT(operation_find(s, 1) == NULL && operation_find(s, 2) == NULL); /* nothing else was left but what waits */
	say_verdict(w, id, 1, "deny");
	world_tick(w);
	CU_ASSERT(file_has(w->audit, "\"op\":3,\"user\":\"ann\"") && file_has(w->audit, "\"kind\":\"sql.statement\",\"tag\":\"SELECT\",\"verdict\":\"deny\""));
	CU_ASSERT(file_has(w->audit, "\"kind\":null,\"tag\":null,\"verdict\":\"allow\",\"rule\":\"a-rule\"}"));
	CU_ASSERT(file_has(w->audit, "\"kind\":null,\"tag\":null,\"verdict\":\"deny\",\"rule\":\"a-rule\"}"));
	world_free(&w);
}

/* What a busy session needs to write its file it keeps, for a while. */
static void
test_at_rest(void)
{
	struct world *w = world_new();
	struct session *s;
	uint8_t id[ID_LEN], noise[100000];
	random_bytes(noise, sizeof(noise));
	world_start(w);
	say_header(w, id);
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OUTPUT, .op = 1, .at = 2, .payload = { noise, sizeof(noise) } });
	world_tick(w);
	s = session_find(w->r, id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	world_sweep(w);
	CU_ASSERT(s->file.len == 0 && s->file.cap > 0);
	CU_ASSERT_EQUAL(store_size(&w->r->store, id), (int64_t)s->bytes);
	say_statement(w, id, 2, "SELECT 2"); /* little is kept for little */
	world_sweep(w);
	s->file_since -= 10000;
	world_sweep(w);
	CU_ASSERT(s->file.len == 0 && s->file.cap == 0 && s->clear.bytes.cap == 0);
	for (uint32_t op = 3; op < 43; op++)
		say_operation(w, id, op, "SELECT 3");
	world_tick(w);
	CU_ASSERT(s->operations_cap >= 40);
	for (uint32_t op = 1; op < 43; op++)
		say_frame(w, 0, id, (struct frame){ .type = FRAME_DONE, .op = op, .at = 9 });
	world_tick(w);
	CU_ASSERT(s->noperations == 0 && s->operations_cap <= 7);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HoOVRD" "OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO" "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD" "E");
	world_free(&w);
}

static bool
in_file(const struct world *w, const struct session *s)
{
	return s->file.len == 0 && store_size(&w->r->store, s->id) == (int64_t)s->bytes;
}

/*
 * P10: a session that always has something new, and whose file is written before its time (it floods, somebody watches it,
 * a checkpoint), holds up none that waited longer.
 */
static void
test_flush_of_others(void)
{
	struct world *w = world_new();
	uint8_t id[3][ID_LEN], noise[100000];
	struct session *s[3];
	random_bytes(noise, sizeof(noise));
	world_start(w);
	for (unsigned i = 0; i < 3; i++)
		say_header(w, id[i]);
	world_sweep(w); /* signed */
	for (unsigned flood = 0; flood < 2; flood++) {
		for (unsigned i = 0; i < 3; i++) { /* in this order they are to be written */
			s[i] = session_find(w->r, id[i]);
			say_statement(w, id[i], 1, "SELECT 1");
			(void)recorder_tick(w->r);
			CU_ASSERT_FALSE(in_file(w, s[i]));
		}
		if (flood)
			say_frame(w, 0, id[1], (struct frame){ .type = FRAME_OUTPUT, .op = 1, .at = 2, .payload = { noise, sizeof(noise) } });
		else
			CU_ASSERT_EQUAL(file_flush(w->r, s[1]), SP_OK);
		(void)recorder_tick(w->r);
		CU_ASSERT_TRUE(in_file(w, s[1]));
		say_statement(w, id[1], 2, "SELECT 2");
		(void)recorder_tick(w->r);
		s[0]->file_since -= 3000;
		s[2]->file_since -= 3000;
		(void)recorder_tick(w->r);
		CU_ASSERT_TRUE(in_file(w, s[0]) && in_file(w, s[2]));
		CU_ASSERT_FALSE(in_file(w, s[1]));
		CU_ASSERT_EQUAL(file_flush(w->r, s[1]), SP_OK);
	}
	world_free(&w);
}

/* A little now and then after much: no more memory than for a little. */
static void
test_trickle(void)
{
	struct world *w = world_new();
	struct session *s;
	uint8_t id[ID_LEN], noise[60000];
	random_bytes(noise, sizeof(noise));
	world_start(w);
	say_header(w, id);
	for (unsigned i = 0; i < 2; i++)
		say_frame(w, 0, id, (struct frame){ .type = FRAME_OUTPUT, .op = 1, .at = 2, .payload = { noise, sizeof(noise) } });
	world_tick(w);
	s = session_find(w->r, id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	for (unsigned i = 0; i < 4; i++) {
		say_frame(w, 0, id, (struct frame){ .type = FRAME_DONE, .op = i, .at = 3 });
		world_tick(w);
		CU_ASSERT_EQUAL(file_flush(w->r, s), SP_OK);
	}
	CU_ASSERT(s->file.cap <= 4096);
	say_end(w, id);
	world_sweep(w);
	world_free(&w);
}

/* The same bytes in another type of frame are another decision; an operation all of whose fields are sealed is two halves. */
static void
test_kinds_apart(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[64], private[SEAL_KEY] = { 7 };
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	char path[256];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	unsigned halves = 0;
	w->options.seals = true;
	seal_public(private, w->options.auditor);
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT 1");
	frame_field(&o, KEY_RULE, SP_LIT("r"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_HELD, .op = 1, .at = 2, .payload = sp_written(&o) });
	say_frame(w, 0, id, (struct frame){ .type = FRAME_VERDICT, .op = 1, .at = 3, .payload = sp_written(&o) });
	o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_TEXT, SP_LIT("only sealed"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = 2, .at = 4, .payload = sp_written(&o) });
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT(file_has(w->audit, "\"verdict\":\"held\",\"rule\":\"r\"") && file_has(w->audit, "\"verdict\":\"allow\",\"rule\":\"r\""));
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path, O_RDONLY | O_CLOEXEC), private, &rec, &err), SP_OK);
	while (recording_next(rec, &f, &err) == 1)
		halves += (f.flags & FRAME_PART) != 0;
	recording_close(&rec);
	CU_ASSERT_EQUAL(halves, 2);
	world_free(&w);
}

/* P1: `group` and `always` release a frame when it is on disk, `write` when it is in the journal. */
static void
test_sync_modes(void)
{
	static const unsigned mode[] = { SYNC_WRITE, SYNC_GROUP, SYNC_ALWAYS };
	for (unsigned i = 0; i < 3; i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN];
		w->options.sync = mode[i];
		world_start(w);
		w->r->swept = w->r->now; /* no sweep now */
		say_header(w, id);
		CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), 0);
		(void)recorder_tick(w->r);
		CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), ring_position(w->ring[0]));
		CU_ASSERT_EQUAL(ring_synced(w->ring[0]) == ring_position(w->ring[0]), mode[i] != SYNC_WRITE);
		world_sweep(w);
		CU_ASSERT_EQUAL(ring_synced(w->ring[0]), ring_position(w->ring[0]));
		world_free(&w);
	}
}

/* P1: frames that come with lines of the keeper's are on disk after one tick, as all others. */
static void
test_lines_beside(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	w->options.sync = SYNC_GROUP;
	world_start(w);
	say_header(w, id);
	CU_ASSERT_EQUAL(recorder_audit(w->r, SP_LIT("{\"event\":\"x\"}")), SP_OK);
	w->r->stage = STAGE_LINES;
	(void)recorder_tick(w->r);
	CU_ASSERT_EQUAL(ring_synced(w->ring[0]), ring_position(w->ring[0]));
	world_free(&w);
}

/* P10: who comes and goes in crowds is seen off a few in each tick, for the statements of others wait for the next one. */
static void
test_crowd(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[300][ID_LEN];
	world_start(w);
	world_sweep(w);
	for (unsigned i = 0; i < 300; i++) {
		say_header(w, id[i]);
		say_end(w, id[i]);
	}
	for (unsigned sweeps = 0; sweeps < 3; sweeps++) {
		w->r->swept = 1; /* long ago */
		(void)recorder_tick(w->r);
		CU_ASSERT_EQUAL(w->r->round, 0);
		CU_ASSERT_FALSE(recorder_sleep(w->r));
		for (unsigned i = 0; i < 100000 && w->r->round < SESSION_BUCKETS; i++)
			(void)recorder_tick(w->r);
		CU_ASSERT_EQUAL(w->r->round, SESSION_BUCKETS);
	}
	CU_ASSERT_TRUE(recorder_sleep(w->r));
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(v.sessions, 300);
	world_free(&w);
}

/* P8: nothing is released while the journal cannot be written, and nothing is lost once it can. */
static void
test_failing_journal(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	world_start(w);
	world_tick(w);
	int fd = w->r->journal.fd;
	w->r->journal.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	CU_ASSERT_TRUE(ring_failed(w->ring[0]));
	CU_ASSERT_EQUAL(ring_journaled(w->ring[0]), 0);
	CU_ASSERT_STRING_NOT_EQUAL(frames_of(w, id, NULL), "HOVRD");
	close(w->r->journal.fd);
	w->r->journal.fd = fd;
	w->r->retry_at = 0;
	say_end(w, id);
	world_sweep(w);
	w->r->retry_at = 0;
	world_sweep(w);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVRDE");
	CU_ASSERT_EQUAL(file_lines(w->audit), 1);
	world_free(&w);
}

/* The same when it is the audit log that is full: its line comes once, later. */
static void
test_failing_audit(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	world_start(w);
	int fd = w->r->audit.fd;
	w->r->audit.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	CU_ASSERT_TRUE(ring_failed(w->ring[0]));
	close(w->r->audit.fd);
	w->r->audit.fd = fd;
	w->r->retry_at = 0;
	world_tick(w);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	CU_ASSERT_EQUAL(file_lines(w->audit), 1);
	world_free(&w);
}

static void
refuse(struct world *w, const char *what)
{
	world_tick(w);
	CU_ASSERT_TRUE(ring_failed(w->ring[0]));
	if (!ring_failed(w->ring[0]))
		(void)printf("not refused: %s\n", what);
}

/* What a worker that was taken over may try; each breaks its ring, and harms no other. */
static void
test_hostile_worker(void)
{
	static const char *const what[] = { "no header", "another's name", "two headers", "torn frame", "after the end",
		"another's session", "half a field" };
	for (unsigned i = 0; i < sizeof(what) / sizeof(*what); i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN], other[ID_LEN];
		world_start(w);
		world_ring(w, 1);
		say_header_to(w, 1, other);
		world_tick(w);
		id_new(id);
		if (i > 1)
			say_header(w, id);
		world_tick(w);
		switch (i) {
		case 0:
			say_statement(w, id, 1, "SELECT 1");
			break;
		case 1: {
			uint8_t bytes[64];
			char text[ID_TEXT];
			struct sp_writer o = sp_writer(bytes, sizeof(bytes));
			frame_field(&o, KEY_SESSION, sp_str(id_format(other, text)));
			say_frame(w, 0, id, (struct frame){ .type = FRAME_HEADER, .payload = sp_written(&o) });
			break;
		}
		case 2: {
			uint8_t bytes[64];
			char text[ID_TEXT];
			struct sp_writer o = sp_writer(bytes, sizeof(bytes));
			frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
			say_frame(w, 0, id, (struct frame){ .type = FRAME_HEADER, .payload = sp_written(&o) });
			break;
		}
		case 3:
			say_frame(w, 0, id, (struct frame){ .type = FRAME_TORN });
			break;
		case 4:
			say_end(w, id);
			say_statement(w, id, 1, "SELECT 1");
			break;
		case 5:
			say_statement(w, other, 1, "SELECT 1");
			break;
		default:
			say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .payload = SP_LIT("\x0b\0\0\0\7SEL") });
		}
		refuse(w, what[i]);
		CU_ASSERT_FALSE(ring_failed(w->ring[1]));
		uint8_t more[ID_LEN];
		say_header_to(w, 1, more);
		world_sweep(w);
		CU_ASSERT_STRING_EQUAL(frames_of(w, more, NULL), "H");
		CU_ASSERT_STRING_EQUAL(frames_of(w, other, NULL), "H");
		/* when it dies, its sessions are torn */
		recorder_worker_gone(w->r, 0);
		world_sweep(w);
		if (i == 2 || i == 3 || i == 6)
			CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HT");
		world_free(&w);
	}
}

static void
say_number(struct world *w, const uint8_t *id, struct frame f, unsigned key, struct sp_bytes value)
{
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, (enum frame_key)key, value);
	f.payload = sp_written(&o);
	say_frame(w, 0, id, f);
}

/* Numbers that no reader of JSON takes: they break the ring, as what is malformed does, and no line has them. */
static void
test_hostile_numbers(void)
{
	const struct { enum frame_type type; unsigned key; struct sp_bytes value; uint64_t at; } row[] = {
		{ FRAME_DONE, KEY_ROWS, SP_LIT("\x80\0\0\0\0\0\0\0"), 1 },
		{ FRAME_DONE, KEY_ROWS, SP_LIT("\xff\xff\xff\xff\xff\xff\xff\xff"), 1 },
		{ FRAME_DONE, KEY_ROWS, SP_LIT("\1\2\3"), 1 },
		{ FRAME_END, KEY_BYTES, SP_LIT("\x80\0\0\0\0\0\0\1"), 1 },
		{ FRAME_RESIZE, KEY_BYTES, SP_LIT("\x80\0\0\0\0\0\0\0"), 1 },
		{ FRAME_NOTICE, KEY_STARTED, SP_LIT("\xf0\0\0\0\0\0\0\0"), 1 },
		{ FRAME_OUTPUT, KEY_TEXT, SP_LIT("x"), UINT64_C(1) << 63 },
		{ FRAME_VERDICT, KEY_WHAT, SP_LIT("allow"), UINT64_MAX },
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN];
		world_start(w);
		say_header(w, id);
		say_operation(w, id, 1, "SELECT 1");
		say_number(w, id, (struct frame){ .type = row[i].type, .op = 1, .at = row[i].at }, row[i].key, row[i].value);
		refuse(w, frame_name(row[i].type));
		recorder_worker_gone(w->r, 0);
		world_sweep(w);
		CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOT");
		check_lines(w->audit, 0);
		check_lines(w->access, 1);
		world_free(&w);
	}
}

/* …and a target that tells of more than there can be, again and again: the sum stays one. */
static void
test_many_rows(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], mask[16] = { 1, 0, 0, 0, 25, 0, 0, 'c' };
	world_start(w);
	say_header(w, id);
	for (uint32_t op = 1; op <= 30; op++) {
		say_operation(w, id, op, "SELECT 1");
		say_verdict(w, id, op, "allow");
		say_number(w, id, (struct frame){ .type = FRAME_COLUMNS, .op = op, .at = 2 }, KEY_COLUMN, (struct sp_bytes){ mask, 8 });
		say_done(w, id, op, op % 2 == 0 ? 999999999999999999u : FRAME_NUMBER_MAX);
	}
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	check_lines(w->audit, 30);
	check_lines(w->access, 1);
	CU_ASSERT(file_has(w->access, "\"rows\":9223372036854775807,"));
	char *counts = counts_json(w->r);
	CU_ASSERT(counts != NULL && strstr(counts, "\"masked_columns\":30,\"masked_values\":32985348833280,") != NULL);
	free(counts);
	world_free(&w);
}

/* Nobody's session does not begin; one of somebody without a name does, and its lines are whole. */
static void
test_hostile_header(void)
{
	static const struct { const char *principal; bool begins; } row[] = {
		{ NULL, false }, { "", false }, { "null", false }, { "{}", false }, { "{\"user\":\"ann\"}", false },
		{ "{\"identity\":\"\",\"issuer\":\"\",\"subject\":\"\",\"user\":\"\",\"name\":\"\",\"person\":\"\",\"groups\":[],\"roles\":[],"
		  "\"token\":\"\",\"class\":\"\",\"expires\":99999999999999999999}", false },
		{ "{\"identity\":\"\",\"issuer\":\"\",\"subject\":\"\",\"user\":\"\",\"name\":\"\",\"person\":\"\",\"groups\":[],\"roles\":[],"
		  "\"token\":\"\",\"class\":\"\",\"expires\":0}", true },
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN], bytes[1024];
		char text[ID_TEXT];
		struct sp_writer o = sp_writer(bytes, sizeof(bytes));
		world_start(w);
		id_new(id);
		frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
		if (row[i].principal != NULL)
			frame_field(&o, KEY_PRINCIPAL, sp_str(row[i].principal));
		frame_field_u64(&o, KEY_STARTED, 1);
		say_frame(w, 0, id, (struct frame){ .type = FRAME_HEADER, .at = 1, .payload = sp_written(&o) });
		say_statement(w, id, 1, "SELECT 1");
		say_end(w, id);
		world_sweep(w);
		CU_ASSERT_EQUAL(ring_failed(w->ring[0]), !row[i].begins);
		check_lines(w->audit, row[i].begins);
		check_lines(w->access, row[i].begins);
		CU_ASSERT_EQUAL(file_has(w->audit, "\"op\":1,\"user\":\"\",\"identity\":\"\","), row[i].begins);
		world_free(&w);
	}
}

/* A session's name is used once, also after the recorder was started anew (RC3). */
static void
test_name_again(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[64];
	char text[ID_TEXT];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	world_start(w);
	say_header(w, id);
	say_end(w, id);
	world_sweep(w);
	world_stop(w, false);
	world_start(w);
	world_sweep(w);
	frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_HEADER, .payload = sp_written(&o) });
	refuse(w, "a name used before");
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HE");
	world_free(&w);
}

static void
test_worker_dies(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN];
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT 1");
	recorder_worker_gone(w->r, 0); /* what it said before is still in the ring */
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOT");
	CU_ASSERT(file_has(w->access, "\"end\":\"torn\""));
	CU_ASSERT_PTR_NULL(w->r->sources);
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	CU_ASSERT_EQUAL(w->entry[w->entries - 1][8], LEDGER_TORN);
	world_free(&w);
}

/* `output head`: size, rows and hash of the rest stay. */
static void
test_cut(void)
{
	struct world *w = world_new();
	char path[256];
	uint8_t id[ID_LEN], sum[DIGEST_LEN], want[DIGEST_LEN];
	struct recording *rec;
	struct frame f;
	const char *err;
	uint64_t bytes = 0, rows = 0, stored = 0, cuts = 0;
	w->options.head = 1000;
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT 1");
	say_rows(w, id, 1, 100, "0123456789"); /* 16 bytes each */
	say_rows(w, id, 1, 10, "0123456789");
	say_done(w, id, 1, 110);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HORcDE");
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path, O_RDONLY), NULL, &rec, &err), SP_OK);
	while (recording_next(rec, &f, &err) == 1) {
		if (f.type == FRAME_ROWS)
			stored += f.payload.len;
		if (f.type != FRAME_CUT)
			continue;
		CU_ASSERT_TRUE(frame_field_u64_get(frame_get(&f, KEY_BYTES), &bytes));
		CU_ASSERT_TRUE(frame_field_u64_get(frame_get(&f, KEY_ROWS), &rows));
		CU_ASSERT_EQUAL_FATAL(frame_get(&f, KEY_HASH).len, DIGEST_LEN);
		memcpy(sum, frame_get(&f, KEY_HASH).p, DIGEST_LEN);
		cuts++;
	}
	recording_close(&rec);
	CU_ASSERT_EQUAL(cuts, 1);
	CU_ASSERT_EQUAL(stored, 1000);
	CU_ASSERT_EQUAL(bytes, 110 * 16 - 1000);
	CU_ASSERT_EQUAL(rows, 110 - 62); /* the one in the middle is not whole: it counts */
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("23456789"));
	for (unsigned i = 63; i < 110; i++)
		digest_add(d, SP_LIT("\0\1\0\0\0\x0a" "0123456789"));
	digest_end(&d, want);
	CU_ASSERT_EQUAL(memcmp(sum, want, DIGEST_LEN), 0);
	world_free(&w);
}

/* A row longer than a frame goes on in the next: that is no crime. */
static void
test_long_row(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], part[1000];
	memset(part, 'x', sizeof(part));
	memcpy(part, "\0\1\0\0\x0b\xb8", 6);
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT repeat('x', 3000)");
	for (unsigned i = 0; i < 3; i++) {
		say_frame(w, 0, id, (struct frame){ .type = FRAME_ROWS, .op = 1, .payload = { part, sizeof(part) } });
		memset(part, 'x', sizeof(part));
	}
	say_frame(w, 0, id, (struct frame){ .type = FRAME_ROWS, .op = 1, .payload = SP_LIT("xxxxxx") });
	say_done(w, id, 1, 1);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HORRRRDE");
	world_free(&w);
}

/* P9, `encrypt to=`: texts and output only with the auditor's key; kinds, verdicts and the chain without. */
static void
test_sealed(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN], private[SEAL_KEY], wrong[SEAL_KEY];
	char path[256];
	random_bytes(private, sizeof(private));
	random_bytes(wrong, sizeof(wrong));
	seal_public(private, w->options.auditor);
	w->options.seals = true;
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 'canary-in-a-text'");
	world_tick(w);
	say_statement(w, id, 2, "SELECT 2");
	say_end(w, id);
	world_sweep(w);
	session_file(w, id, path);
	CU_ASSERT_FALSE(file_has(path, "canary-in-a-text"));
	CU_ASSERT_FALSE(file_has(path, "value"));
	CU_ASSERT_TRUE(file_has(path, "sql.statement"));
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVDOVDE");
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, private), "HOOVRDOOVRDE");
	CU_ASSERT_PTR_NOT_NULL(strstr(frames_of(w, id, wrong), "sealed to another key"));
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	world_free(&w);
}

/* ---- frames that stand together ---- */

/* Each has its number, its line and its place, as if it stood alone; the file is smaller for it. */
static void
test_together(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t apart[ID_LEN], id[ID_LEN];
	char name[ID_TEXT], path[256], line[128];
	size_t size[2];
	w->options.head = 1000;
	world_start(w);
	say_header(w, apart);
	say_header(w, id);
	for (unsigned op = 1; op <= 50; op++) {
		say_statement(w, apart, op, "SELECT 1");
		say_together(w, id, op, "SELECT 1");
	}
	say_end(w, apart);
	say_end(w, id);
	world_sweep(w);
	(void)snprintf(path, sizeof(path), "%s", frames_of(w, apart, NULL));
	CU_ASSERT_EQUAL(strlen(path), 202);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), path);
	CU_ASSERT_EQUAL(file_lines(w->audit), 100);
	for (unsigned op = 1; op <= 50; op++) {
		/* behind the header; the verdict is the second of each four */
		(void)snprintf(line, sizeof(line), "\"session\":\"%s\",\"frame\":%u,\"op\":%u,", id_format(id, name), 4 * op - 1, op);
		CU_ASSERT(file_has(w->audit, line));
	}
	for (unsigned i = 0; i < 2; i++) {
		session_file(w, i == 0 ? apart : id, path);
		size[i] = file_bytes(path).len;
	}
	CU_ASSERT(size[1] < size[0]);
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	CU_ASSERT_EQUAL(v.frames, 404);
	world_free(&w);
}

/* Beyond `output head` they part: what is left out is said before the operation's end. */
static void
test_together_cut(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	w->options.head = 1000;
	world_start(w);
	say_header(w, id);
	w->moment = 1;
	say_operation(w, id, 1, "SELECT 1");
	say_rows(w, id, 1, 60, "0123456789"); /* 16 bytes each */
	(void)ring_publish(w->ring[0]);
	w->moment = 2;
	say_rows(w, id, 1, 10, "0123456789");
	say_done(w, id, 1, 70);
	(void)ring_publish(w->ring[0]);
	w->moment = 3; /* all of it has no place any more */
	say_operation(w, id, 2, "SELECT 2");
	say_rows(w, id, 2, 70, "0123456789");
	say_done(w, id, 2, 70);
	w->moment = 0;
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HORRcDORcDE");
	world_free(&w);
}

/* Sealed, they part: each half holds what is its own. */
static void
test_together_sealed(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN], private[SEAL_KEY] = { 7 };
	char path[256];
	seal_public(private, w->options.auditor);
	w->options.seals = true;
	world_start(w);
	say_header(w, id);
	say_together(w, id, 1, "SELECT 'canary-in-a-text'");
	say_end(w, id);
	world_sweep(w);
	session_file(w, id, path);
	CU_ASSERT_FALSE(file_has(path, "canary-in-a-text"));
	CU_ASSERT_FALSE(file_has(path, "value"));
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVDE");
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, private), "HOOVRDE");
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	world_free(&w);
}

/* A worker that was taken over puts together what does not belong: its ring is broken, what it had is torn. */
static void
test_together_hostile(void)
{
	const struct { struct sp_bytes payload; const char *types; } row[] = {
		{ SP_LIT("\x08\0\0\0\0" "\x08\0\0\0\0"), "HnnT" }, /* two notices: nothing to be said against */
		{ SP_LIT("\x08\0\0\0\0"), "HnT" },                   /* one, neither */
		{ SP_LIT(""), "HT" },
		{ SP_LIT("\0\0\0\0\0"), "HT" },
		{ SP_LIT("\x01\0\0\0\0"), "HT" },                    /* a header, … */
		{ SP_LIT("\x08\0\0\0\0" "\x0d\0\0\0\0"), "HT" },   /* cut, … */
		{ SP_LIT("\x08\0\0\0\0" "\x0e\0\0\0\0"), "HT" },   /* end, … */
		{ SP_LIT("\x08\0\0\0\0" "\x0f\0\0\0\0"), "HT" },   /* torn, … */
		{ SP_LIT("\x12\0\0\0\5" "\x08\0\0\0\0"), "HT" },   /* its like, … */
		{ SP_LIT("\xff\0\0\0\0"), "HT" },                    /* what nobody knows */
		{ SP_LIT("\x08\0\0\0\1"), "HT" },
		{ SP_LIT("\x08\0\0"), "HT" },
		{ SP_LIT("\x08\0\0\0\2\x10\0" "\x08\0\0\0\0"), "HT" }, /* its fields are none */
		{ SP_LIT("\x08\0\0\0\0\x08\0\0\0\0\x08\0\0\0\0\x08\0\0\0\0\x08\0\0\0\0\x08\0\0\0\0\x08\0\0\0\0"
		    "\x08\0\0\0\0\x08\0\0\0\0"), "HT" },              /* nine */
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN];
		world_start(w);
		say_header(w, id);
		say_frame(w, 0, id, (struct frame){ .type = FRAME_TOGETHER, .op = 1, .at = 2, .payload = row[i].payload });
		world_tick(w);
		CU_ASSERT_EQUAL(ring_failed(w->ring[0]), i > 1);
		recorder_worker_gone(w->r, 0);
		world_sweep(w);
		CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), row[i].types);
		world_free(&w);
	}
}

static void
say_described(struct world *w, const uint8_t *id, uint32_t op, uint64_t at, const char *description, enum frame_key key)
{
	uint8_t bytes[256], place = 0;
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_KIND, SP_LIT("sql.statement"));
	if (description != NULL)
		frame_field(&o, KEY_ATTRIBUTE, sp_str(description));
	frame_field(&o, key, (struct sp_bytes){ &place, 1 });
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = op, .at = at, .payload = sp_written(&o) });
}

/* All of them, with their operations' numbers. */
static const char *
descriptions(struct world *w, const uint8_t *id, const uint8_t *auditor)
{
	static char text[256];
	char path[256];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	int rc, n = 0;
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path, O_RDONLY | O_CLOEXEC), auditor, &rec, &err), SP_OK);
	while ((rc = recording_next(rec, &f, &err)) == 1) {
		struct sp_bytes v = frame_get(&f, KEY_ATTRIBUTE);
		if (v.p != NULL)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %u%s %.*s", f.op, f.opened ? "!" : "", (int)v.len, (const char *)v.p);
	}
	CU_ASSERT_EQUAL(rc, 0);
	recording_close(&rec);
	return text;
}

/* Whose beginning is in a place: the audit log names it, by what the place has and by what is its own. */
static void
test_places(void)
{
	static const struct { uint32_t op; const char *fields, *line; } row[] = {
		{ 1, "ksql tSELECT aA hone K0 aB", "sql SELECT one" }, { 2, "S0 aC", "sql SELECT one" }, { 3, "S0", "sql SELECT one" },
		{ 4, "ksql tUPDATE aA K1 htwo", "sql UPDATE two" }, { 5, "S1 hthree", "sql UPDATE three" }, { 6, "S1", "sql UPDATE" },
		{ 7, "S0", "sql SELECT one" }, { 8, "kb tT K0", "b T" }, { 9, "S0 hx", "b T x" },
		{ 1027, "S1", "sql UPDATE" }, { 1028, "S1", "null null" }, { 1028 + 4, "S0", "null null" },
		/* nobody says such, but a worker in others' hands */
		{ 2000, "S2", "null null" }, { 2001, "S15 tT", "null null" }, { 2001, "S15 tT hx", " T x" }, { 2002, "S15 S0 kb", "b " }, { 2003, "Sab hx", "  x" }, { 2004, "S", "null null" },
		{ 2005, "kc tT K16 hx", "c T x" }, { 2006, "S16", "null null" }, { 2007, "Kab Kab S1 kc", "c " },
		{ 2010, "kd K3 K4", "d " }, { 2011, "S4", "null null" }, { 2012, "S3 S4", "d " }, { 2013, "ke S3 K3 tT", "e T" }, { 2014, "S3", "d " },
		{ 2009, "S3", "null null" }, { 2015, "kd aBIG K3", "d " }, { 2016, "S3", "null null" }, { 2017, "K15", "null null" }, { 2018, "S15", "null null" },
		{ UINT32_MAX, "kf tT K15", "f T" }, { 0x7fffffff, "S15", "null null" }, { 1022, "S15", "f T" }, { 1023, "S15", "null null" },
	};
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	world_start(w);
	say_header(w, id);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *text = strrchr(row[i].line, ' ');
		say_fields(w, id, row[i].op, row[i].fields);
		say_verdict(w, id, row[i].op, "allow");
		say_done(w, id, row[i].op, 0);
		world_tick(w);
		const char *line = line_of(w, row[i].op, text == NULL ? "" : text + 1);
		if (strcmp(line, row[i].line) != 0)
			(void)printf("\n  %u %s: \"%s\" in place of \"%s\"", row[i].op, row[i].fields, line, row[i].line);
		CU_ASSERT_STRING_EQUAL(line, row[i].line);
	}
	CU_ASSERT_FALSE(w->r->sources->broken);
	CU_ASSERT_EQUAL(session_find(w->r, id)->ncommon, RECORD_PLACES);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	world_free(&w);
}

/* What a session remembers for it grows with what it uses. */
static void
test_places_are_few(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	const struct session *s = session_find(w->r, id);
	CU_ASSERT_PTR_NULL(s->common);
	say_fields(w, id, 2, "ksql K0");
	say_fields(w, id, 3, "ksql K0");
	world_tick(w);
	CU_ASSERT_EQUAL(s->ncommon, 1);
	say_fields(w, id, 4, "ksql K2");
	world_tick(w);
	CU_ASSERT_EQUAL(s->ncommon, 3);
	say_end(w, id);
	w->deaf = true; /* over, and not yet signed */
	world_sweep(w);
	CU_ASSERT_PTR_NULL(s->common);
	world_free(&w);
}

/* Sealing switched on and off amid a session: without the key, none is described by what its place had before. */
static void
test_sealed_for_a_while(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new();
		uint8_t id[ID_LEN], private[SEAL_KEY] = { 7 };
		seal_public(private, w->options.auditor);
		world_start(w);
		say_header(w, id);
		say_described(w, id, 1, 1, "0:verb=select", KEY_KEPT);
		world_tick(w);
		w->options.seals = w->r->options.seals = true;
		memcpy(w->r->options.auditor, w->options.auditor, SEAL_KEY);
		say_described(w, id, 2, 2, "0:verb=delete", KEY_KEPT);
		if (i == 0)
			world_tick(w);
		else
			take_all(w->r); /* in one tick, and one clear block */
		w->options.seals = w->r->options.seals = false;
		say_described(w, id, 3, 3, NULL, KEY_AS);
		say_end(w, id);
		world_sweep(w);
		CU_ASSERT_STRING_EQUAL(descriptions(w, id, NULL), " 1 0:verb=select 3! 0:" RECORD_CUT "=");
		CU_ASSERT_STRING_EQUAL(descriptions(w, id, private), " 1 0:verb=select 2 0:verb=delete 3! 0:verb=delete");
		world_free(&w);
	}
}

/* Of one moment, the lower number later: in the order in which they were written. */
static void
test_sealed_at_once(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], private[SEAL_KEY] = { 7 };
	seal_public(private, w->options.auditor);
	w->options.seals = true;
	world_start(w);
	say_header(w, id);
	say_described(w, id, 1, 1, "0:verb=select", KEY_KEPT);
	say_described(w, id, 6, 9, NULL, KEY_AS);
	say_described(w, id, 5, 9, "0:verb=delete", KEY_KEPT);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(descriptions(w, id, private), " 1 0:verb=select 6 0:verb=select 5 0:verb=delete");
	world_free(&w);
}

/* What is recorded of an operation's kind and hash, as line_of() says it, with the first of each in what is read. */
static const char *
recorded_of(struct world *w, const uint8_t *id, uint32_t op, const char *text)
{
	static char said[128];
	char path[256];
	uint8_t hash[DIGEST_LEN];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	digest_sha256(sp_str(text), hash);
	session_file(w, id, path);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path, O_RDONLY | O_CLOEXEC), NULL, &rec, &err), SP_OK);
	said[0] = '\0';
	while (recording_next(rec, &f, &err) == 1) {
		if (f.type != FRAME_OPERATION || f.op != op)
			continue;
		struct sp_bytes kind = frame_get(&f, KEY_KIND), tag = frame_get(&f, KEY_TAG), h = frame_get(&f, KEY_TEXT_HASH);
		if (kind.len == 0 && h.len != DIGEST_LEN)
			(void)snprintf(said, sizeof(said), "null null");
		else
			(void)snprintf(said, sizeof(said), "%.*s %.*s%s%s", (int)kind.len, (const char *)kind.p, (int)tag.len, (const char *)tag.p,
			    h.len == DIGEST_LEN ? " " : "", h.len != DIGEST_LEN ? "" : memcmp(h.p, hash, DIGEST_LEN) == 0 ? text : "other");
	}
	recording_close(&rec);
	return said;
}

/* A worker in others' hands: what the log says is what the recording says, by the first of each field, and sealed or not. */
static void
lines_as_recorded(bool seals)
{
	static const char *const fields[] = { "k kx", "t tx ka", "k kx t tx K0", "S0 kz tz", "ksql tT hx aBIG K1", "S1", "S1 kb" };
	struct world *w = world_new();
	uint8_t id[ID_LEN], private[SEAL_KEY] = { 7 };
	seal_public(private, w->options.auditor);
	w->options.seals = seals;
	world_start(w);
	say_header(w, id);
	for (uint32_t op = 1; op <= sizeof(fields) / sizeof(*fields); op++) {
		say_fields(w, id, op, fields[op - 1]);
		say_verdict(w, id, op, "allow");
		say_done(w, id, op, 0);
	}
	say_end(w, id);
	world_sweep(w);
	for (uint32_t op = 1; op <= sizeof(fields) / sizeof(*fields); op++) {
		char line[128];
		(void)snprintf(line, sizeof(line), "%s", line_of(w, op, "x"));
		const char *recorded = recorded_of(w, id, op, "x");
		if (strcmp(line, recorded) != 0)
			(void)printf("\n  %s%s: the log says \"%s\", the recording \"%s\"", seals ? "sealed " : "", fields[op - 1], line, recorded);
		CU_ASSERT_STRING_EQUAL(line, recorded);
	}
	world_free(&w);
}

static void
test_lines_as_recorded(void)
{
	lines_as_recorded(false);
}

static void
test_lines_as_recorded_sealed(void)
{
	lines_as_recorded(true);
}

/* As "sealed at once", of a place that was written before sealing was switched on. */
static void
test_sealed_since(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], private[SEAL_KEY] = { 7 };
	seal_public(private, w->options.auditor);
	world_start(w);
	say_header(w, id);
	say_described(w, id, 1, 1, "0:verb=select", KEY_KEPT);
	world_tick(w);
	w->options.seals = w->r->options.seals = true;
	memcpy(w->r->options.auditor, w->options.auditor, SEAL_KEY);
	say_described(w, id, 6, 9, NULL, KEY_AS);
	say_described(w, id, 5, 9, "0:verb=delete", KEY_KEPT);
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_STRING_EQUAL(descriptions(w, id, private), " 1 0:verb=select 6 0:verb=select 5 0:verb=delete");
	world_free(&w);
}

/* Checkpoints by size, and the anchor's lines. */
static void
test_checkpoints(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	char *noise = mem_alloc(1u << 20);
	world_start(w);
	say_header(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->entries, 1);
	CU_ASSERT_EQUAL(w->entry[0][8], LEDGER_OPEN);
	for (unsigned i = 0; i < 6; i++) {
		random_bytes(noise, 1u << 20);
		say_frame(w, 0, id, (struct frame){ .type = FRAME_OUTPUT, .payload = { (uint8_t *)noise, 1u << 20 } });
		world_tick(w);
	}
	world_sweep(w);
	CU_ASSERT_EQUAL(w->entries, 2);
	CU_ASSERT_EQUAL(w->entry[1][8], LEDGER_CHECKPOINT);
	CU_ASSERT_EQUAL(file_lines(w->anchor + 5), 2);
	free(noise);
	world_free(&w);
}

/* Entries go to the syslog daemon, also to one that was started later. */
static void
test_syslog(void)
{
	struct world *w = world_new();
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	char line[1024] = "";
	uint8_t id[ID_LEN];
	(void)snprintf(w->anchor, sizeof(w->anchor), "syslog:local3");
	world_start(w);
	if (access(at.sun_path, F_OK) == 0) {
		(void)printf("skipped: there is a syslog daemon here, whose log is not ours to write to\n");
		world_free(&w);
		return;
	}
	say_header(w, id);
	world_sweep(w); /* nobody listens: said in the log, nothing else */
	CU_ASSERT_EQUAL(w->entries, 1);
	CU_ASSERT_TRUE(w->r->ledger.deaf);
	int daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(daemon, (struct sockaddr *)&at, sizeof(at)) == 0) {
		say_end(w, id);
		world_sweep(w);
		CU_ASSERT(recv(daemon, line, sizeof(line) - 1, 0) > 0);
		CU_ASSERT_EQUAL(strncmp(line, "<157>sallyport[", 15), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(line, "]: sallyport-anchor 2 "));
		CU_ASSERT_FALSE(w->r->ledger.deaf);
		(void)unlink(at.sun_path);
	} else {
		(void)printf("skipped in part: /dev/log cannot be made here\n");
	}
	close(daemon);
	world_free(&w);
}

/* A keeper that was away gets one entry for all that happened; answers that were lost come again. */
static void
test_keeper_away(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN], other[ID_LEN];
	world_start(w);
	say_header(w, id);
	world_sweep(w);
	sign_keeper_gone(w->r);
	say_statement(w, id, 1, "SELECT 1");
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->entries, 1);
	CU_ASSERT_EQUAL(w->r->nsessions, 1);
	/* an entry that the recorder never saw */
	struct ledger_entry e = { .kind = LEDGER_OPEN, .blocks = 1, .frames = 1, .bytes = 100 };
	id_new(e.session);
	memcpy(other, e.session, ID_LEN);
	world_append(w, &e);
	world_keeper(w);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->entries, 3);
	CU_ASSERT_EQUAL(w->r->ledger.number, 3);
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	CU_ASSERT_FALSE(verified(w, NULL, &v)); /* `other` was never recorded */
	CU_ASSERT_PTR_NOT_NULL(strstr(v.text, "the recording is gone"));
	world_free(&w);
}

/* A keeper that lost its ledger and has its key signs 1, 2, 3 anew: that is no answer that comes again. */
static void
test_keeper_without_its_ledger(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], again[LEDGER_ENTRY], on_file[LEDGER_ENTRY];
	world_start(w);
	say_header(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->r->ledger.number, 1);
	memcpy(again, w->entry[0], sizeof(again));
	world_answer(w, 0);
	CU_ASSERT_PTR_NOT_NULL(w->r->send);
	struct ledger_entry e = { .kind = LEDGER_OPEN, .blocks = 1, .frames = 1, .bytes = 100 };
	id_new(e.session);
	w->entries = 0;
	world_append(w, &e);
	world_answer(w, 0);
	CU_ASSERT_PTR_NULL(w->r->send);
	say_statement(w, id, 1, "SELECT 1");
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(w->entries, 1);
	CU_ASSERT_EQUAL(w->r->nsessions, 1);
	CU_ASSERT_EQUAL(read_at(w->r->ledger.fd, on_file, sizeof(on_file), LEDGER_HEAD), SP_OK);
	CU_ASSERT(memcmp(on_file, again, sizeof(again)) == 0);
	world_free(&w);
}

/* A recording is handed out with all that is journaled. */
static void
test_fetch(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], none[ID_LEN];
	const char *err = "";
	world_start(w);
	say_header(w, id);
	world_tick(w);
	say_statement(w, id, 1, "SELECT 1");
	(void)recorder_tick(w->r);
	int fd = recorder_fetch(w->r, (struct sp_bytes){ id, ID_LEN }, &err);
	CU_ASSERT(fd >= 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	CU_ASSERT_STRING_EQUAL(frames_of(w, id, NULL), "HOVRD");
	id_new(none);
	CU_ASSERT_EQUAL(recorder_fetch(w->r, (struct sp_bytes){ none, ID_LEN }, &err), -1);
	CU_ASSERT_EQUAL(recorder_fetch(w->r, SP_LIT("../../etc/passwd"), &err), -1);
	CU_ASSERT_EQUAL(recorder_fetch(w->r, SP_LIT("x"), &err), -1);
	world_free(&w);
}

/* `reopen`: later lines go to the new file, none is lost. */
static void
test_reopen(void)
{
	struct world *w = world_new();
	char old[256], old_access[256];
	uint8_t id[ID_LEN];
	world_path(w, "audit.1", old);
	world_path(w, "access.1", old_access);
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	CU_ASSERT_EQUAL(rename(w->audit, old), 0);
	CU_ASSERT_EQUAL(recorder_audit(w->r, SP_LIT("{\"event\":\"x\"}")), SP_OK);
	CU_ASSERT_EQUAL(recorder_audit(w->r, SP_LIT("{\"event\":\n\"x\"}")), SP_EPROTO);
	recorder_reopen(w->r, open(w->audit, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
	    open(old_access, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
	say_statement(w, id, 2, "SELECT 2");
	say_end(w, id);
	world_sweep(w);
	CU_ASSERT_EQUAL(file_lines(old), 1);
	CU_ASSERT_EQUAL(file_lines(w->audit), 2);
	CU_ASSERT_EQUAL(file_lines(w->access), 0);
	CU_ASSERT_EQUAL(file_lines(old_access), 1);
	world_free(&w);
}

/* Control characters in what a client sent stay inside their line (RC5). */
static void
test_hostile_text(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[256];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	world_start(w);
	say_header(w, id);
	say_operation(w, id, 1, "SELECT 1");
	frame_field(&o, KEY_WHAT, SP_LIT("deny"));
	frame_field(&o, KEY_MESSAGE, SP_LIT("x\n{\"event\":\"forged\"}\x1b[2J\xe2\x80\xae"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_VERDICT, .op = 1, .at = 2, .payload = sp_written(&o) });
	world_tick(w);
	CU_ASSERT_EQUAL(file_lines(w->audit), 1);
	CU_ASSERT_FALSE(file_has(w->audit, "\x1b"));
	CU_ASSERT_FALSE(file_has(w->audit, "\xe2\x80\xae"));
	CU_ASSERT_FALSE(file_has(w->audit, "{\"event\":\"forged\"}"));
	world_free(&w);
}

/* More sessions than one tick's budget of file syncs, and a full segment that goes once they have it. */
static void
test_segments(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[50][ID_LEN];
	char path[256];
	world_start(w);
	for (unsigned i = 0; i < 50; i++)
		say_header(w, id[i]);
	world_sweep(w);
	w->r->journal.size = w->r->journal.full + w->r->begun; /* as if full */
	for (unsigned i = 0; i < 50; i++)
		say_statement(w, id[i], 1, "SELECT 1");
	world_path(w, "journal/00000001.jnl", path);
	for (unsigned i = 0; i < 200 && access(path, F_OK) == 0; i++)
		world_sweep(w); /* the files are synced a few at a time */
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	for (unsigned i = 0; i < 50; i++)
		say_end(w, id[i]);
	world_sweep(w);
	for (unsigned i = 0; i < 50; i++)
		CU_ASSERT_STRING_EQUAL(frames_of(w, id[i], NULL), "HOVRDE");
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	CU_ASSERT_EQUAL(v.sessions, 50);
	world_free(&w);
}

/* Sessions that are over cost their names only, and their files are on disk before the segment goes that stands for them. */
static void
test_parted(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[300][ID_LEN];
	char path[256];
	world_start(w);
	for (unsigned i = 0; i < 300; i++) {
		say_header(w, id[i]);
		say_statement(w, id[i], 1, "SELECT 1");
		say_end(w, id[i]);
	}
	for (unsigned i = 0; i < 50 && (i == 0 || w->r->nsessions > 0); i++)
		world_sweep(w); /* files are written a few at a time */
	CU_ASSERT_EQUAL(w->r->nsessions, 0);
	CU_ASSERT_EQUAL(w->r->parted.len, 300 * sizeof(struct parted));
	CU_ASSERT_FALSE(files_due(w->r));
	world_path(w, "journal/00000001.jnl", path);
	/* a disk that cannot sync holds the segment, and who lives is told */
	int folder = w->r->store.sessions;
	w->r->store.sessions = -1;
	w->r->journal.size = w->r->journal.full + w->r->begun;
	world_sweep(w);
	CU_ASSERT(ring_failed(w->ring[0]) && files_due(w->r) && access(path, F_OK) == 0);
	w->r->store.sessions = folder;
	w->r->retry_at = 0;
	for (unsigned i = 0; i < 500 && access(path, F_OK) == 0; i++) {
		CU_ASSERT(w->r->journal.oldest == 1 && !recorder_sleep(w->r));
		world_sweep(w);
	}
	CU_ASSERT_EQUAL(w->r->parted.len, 0);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(v.sessions, 300);
	world_free(&w);
}

/* One that its retention took away in the meantime holds up nobody. */
static void
test_parted_and_removed(void)
{
	struct world *w = world_new();
	uint8_t id[2][ID_LEN];
	char path[256];
	world_start(w);
	for (unsigned i = 0; i < 2; i++) {
		say_header(w, id[i]);
		say_end(w, id[i]);
	}
	world_sweep(w);
	CU_ASSERT_EQUAL(w->r->parted.len, 2 * sizeof(struct parted));
	CU_ASSERT_EQUAL(store_remove(&w->r->store, id[0]), SP_OK);
	w->r->journal.size = w->r->journal.full + w->r->begun;
	for (unsigned i = 0; i < 5; i++)
		world_sweep(w);
	CU_ASSERT_EQUAL(w->r->parted.len, 0);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	world_path(w, "journal/00000001.jnl", path);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	world_free(&w);
}

/* `sync write`: a segment that ends is synced before the next one begins, for nobody does it later. */
static void
test_segment_synced(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	w->options.sync = SYNC_WRITE;
	world_start(w);
	world_tick(w);
	w->r->swept = w->r->now; /* no sweep now */
	say_header(w, id);
	uint64_t said = ring_position(w->ring[0]);
	(void)recorder_tick(w->r);
	CU_ASSERT_EQUAL(ring_synced(w->ring[0]), 0);
	w->r->journal.size = w->r->journal.full + w->r->begun;
	w->r->swept = clock_mono_ms();
	(void)recorder_tick(w->r);
	CU_ASSERT_EQUAL(w->r->journal.segment, 2);
	CU_ASSERT_EQUAL(ring_synced(w->ring[0]), said);
	world_free(&w);
}

/* P8, RC2: on a full disk the journal gives up its reserve, and its segment, however small that is. */
static void
test_cramped(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[20][ID_LEN];
	char path[256], reserve[256];
	world_start(w);
	world_path(w, "journal/00000001.jnl", path);
	world_path(w, "reserve", reserve);
	for (unsigned i = 0; i < 20; i++) {
		say_header(w, id[i]);
		say_statement(w, id[i], 1, "SELECT 1");
	}
	world_sweep(w);
	CU_ASSERT_EQUAL(access(reserve, F_OK), 0);
	int fd = w->r->journal.fd;
	w->r->journal.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	for (unsigned i = 0; i < 20; i++)
		say_end(w, id[i]);
	world_tick(w);
	CU_ASSERT_TRUE(ring_failed(w->ring[0]));
	CU_ASSERT_NOT_EQUAL(access(reserve, F_OK), 0);
	close(w->r->journal.fd);
	w->r->journal.fd = fd;
	for (unsigned i = 0; i < 200 && access(path, F_OK) == 0; i++) {
		w->r->retry_at = 0;
		world_sweep(w);
	}
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_EQUAL(w->r->journal.segment, 2);
	CU_ASSERT_FALSE(ring_failed(w->ring[0]));
	CU_ASSERT_EQUAL(access(reserve, F_OK), 0); /* there is room again */
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(v.sessions, 20);
	world_free(&w);
}

/* The spare, and what is behind the segment that is written over, are room too: given back at once when the disk is full… */
static void
test_cramped_spare(void)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN];
	world_start(w);
	world_writes_over(w);
	for (unsigned i = 0; i < 20 && !world_has_spare(w); i++)
		world_sweep(w); /* the one that was left a moment ago */
	CU_ASSERT(world_has_spare(w) && w->r->journal.tail);
	int fd = w->r->audit.fd;
	w->r->audit.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	world_tick(w);
	CU_ASSERT(w->r->failing && w->r->cramped);
	CU_ASSERT(!world_has_spare(w) && !w->r->journal.tail);
	close(w->r->audit.fd);
	w->r->audit.fd = fd;
	for (unsigned i = 0; i < 20 && w->r->cramped; i++) {
		w->r->retry_at = 0;
		world_sweep(w);
	}
	CU_ASSERT(!w->r->failing && !w->r->cramped);
	CU_ASSERT_FALSE(world_has_spare(w));
	world_free(&w);
}

/* …or nearly so; */
static void
test_low_spare(void)
{
	struct world *w = world_new();
	world_start(w);
	world_writes_over(w);
	uint64_t segment = w->r->journal.segment, full = w->r->journal.full;
	CU_ASSERT_TRUE(world_has_spare(w));
	w->r->journal.full = UINT64_MAX / 4;
	world_sweep(w);
	CU_ASSERT_TRUE(w->r->low);
	CU_ASSERT(!world_has_spare(w) && !w->r->journal.tail);
	w->r->journal.full = full;
	CU_ASSERT_EQUAL(w->r->journal.segment, segment);
	world_writes_over(w); /* room again, and in a while a spare */
	CU_ASSERT(w->r->journal.segment > segment + 1);
	world_free(&w);
}

/* …and a segment that the disk failed to sync is not used again. */
static void
test_doubtful_spare(void)
{
	struct world *w = world_new();
	struct verify_result v;
	uint8_t id[ID_LEN];
	world_start(w);
	world_writes_over(w);
	uint64_t segment = w->r->journal.segment;
	int fd = w->r->journal.fd;
	w->r->journal.fd = open("/dev/null", O_WRONLY | O_CLOEXEC); /* takes it, and cannot sync */
	say_header(w, id);
	say_end(w, id);
	(void)recorder_tick(w->r);
	CU_ASSERT(w->r->failing && w->r->doubtful);
	CU_ASSERT_EQUAL(dup2(fd, w->r->journal.fd), w->r->journal.fd);
	close(fd);
	w->r->retry_at = 0;
	for (unsigned i = 0; i < 20 && w->r->journal.oldest <= segment; i++)
		world_sweep(w);
	CU_ASSERT(w->r->journal.segment == segment + 1 && w->r->journal.oldest == segment + 1);
	CU_ASSERT_FALSE(world_has_spare(w));
	CU_ASSERT_TRUE(verified(w, NULL, &v));
	CU_ASSERT_EQUAL(v.sessions, 1);
	world_free(&w);
}

/* A census that may not be on disk: what comes goes into another segment, for behind a torn one nothing is read. */
static void
test_doubtful_census(void)
{
	struct world *w = world_new();
	world_start(w);
	int fd = w->r->journal.fd;
	w->r->journal.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_TRUE(w->r->census_due);
	(void)recorder_tick(w->r);
	CU_ASSERT(w->r->failing && w->r->doubtful && w->r->census_due);
	CU_ASSERT_EQUAL(dup2(fd, w->r->journal.fd), w->r->journal.fd);
	close(fd);
	w->r->retry_at = 0;
	world_sweep(w);
	CU_ASSERT(!w->r->failing && !w->r->doubtful && !w->r->census_due);
	CU_ASSERT_EQUAL(w->r->journal.segment, 2);
	world_free(&w);
}

static void
test_second_recorder(void)
{
	struct world *w = world_new(), *other = world_new();
	const char *err = "";
	char own[sizeof(other->dir)];
	memcpy(own, other->dir, sizeof(own));
	world_start(w);
	(void)snprintf(other->dir, sizeof(other->dir), "%s", w->dir);
	CU_ASSERT_NOT_EQUAL(world_try(other, &err), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "another recorder works there"));
	recorder_close(other->r);
	free(other->r);
	other->r = NULL;
	memcpy(other->dir, own, sizeof(own));
	world_free(&w);
	world_free(&other);
}

/* Computes all the time, on the processor that we are on, until it is killed. */
static pid_t
computes_beside_us(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
	pid_t pid = fork();
	while (pid == 0)
		;
	return pid;
}

/* P1: who keeps the processor that he was let to is let go first twice, since once may be chance, and not at each step of each tick. */
static void
test_steps_aside(void)
{
	struct recorder r = { .polite = UINT64_MAX };
	cpu_set_t all;
	unsigned n = 0, kept = 0;
	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(all), &all), 0);
	pid_t pid = computes_beside_us();
	while (r.brisk == 0 && n++ < 1000) {
		uint64_t before = r.kept;
		recorder_step_aside(&r);
		kept += r.kept != before;
	}
	CU_ASSERT(kept >= 2);
	CU_ASSERT(r.brisk > clock_mono_us() - 10000000);
	r.brisk = UINT64_MAX; /* from here on it lets nobody go first: each time would be a slice */
	uint64_t begun = clock_mono_us();
	for (n = 0; n < 10000 && clock_mono_us() - begun < 1000000; n++)
		recorder_step_aside(&r);
	CU_ASSERT_EQUAL(n, 10000);
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void
test_options(void)
{
	struct settings s;
	struct options o;
	const char *err = NULL;
	memset(&s, 0, sizeof(s));
	s.record.encrypt = (char[]){ "" };
	CU_ASSERT_EQUAL(options_from(&s, &o, &err), SP_OK);
	CU_ASSERT_FALSE(o.seals);
	s.record.encrypt = (char[]){ "abcd" };
	CU_ASSERT_EQUAL(options_from(&s, &o, &err), SP_ECONF);
	/* a point of small order: everybody would know the key */
	s.record.encrypt = (char[]){ "0000000000000000000000000000000000000000000000000000000000000000" };
	CU_ASSERT_EQUAL(options_from(&s, &o, &err), SP_ECONF);
	CU_ASSERT_PTR_NOT_NULL(err);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "session", test_session }, { "an audit line", test_audit_line },
		{ "decisions again", test_decisions_again }, { "unfinished operations", test_unfinished }, { "at rest", test_at_rest }, { "a trickle (P10)", test_trickle },
		{ "others' files beside a busy session (P10)", test_flush_of_others }, { "kinds apart", test_kinds_apart }, { "sync modes (P1)", test_sync_modes }, { "lines beside frames", test_lines_beside }, { "a crowd (P10)", test_crowd },
		{ "failing journal (P8, RC2)", test_failing_journal },
		{ "failing audit (P8)", test_failing_audit }, { "hostile worker", test_hostile_worker },
		{ "hostile numbers", test_hostile_numbers }, { "many rows", test_many_rows }, { "hostile header", test_hostile_header }, { "name again (RC3)", test_name_again },
		{ "worker dies", test_worker_dies }, { "cut", test_cut }, { "long row", test_long_row }, { "sealed (P9)", test_sealed },
		{ "places", test_places }, { "places are few", test_places_are_few },
		{ "sealed for a while", test_sealed_for_a_while }, { "sealed at once", test_sealed_at_once },
		{ "sealed since", test_sealed_since }, { "lines as recorded", test_lines_as_recorded },
		{ "lines as recorded, sealed", test_lines_as_recorded_sealed },
		{ "together", test_together }, { "together, cut", test_together_cut }, { "together, sealed (P9)", test_together_sealed },
		{ "together, by a hostile worker", test_together_hostile },
		{ "checkpoints", test_checkpoints }, { "keeper away", test_keeper_away }, { "a keeper without its ledger", test_keeper_without_its_ledger }, { "syslog", test_syslog }, { "fetch (RC3)", test_fetch },
		{ "reopen", test_reopen }, { "hostile text (RC5)", test_hostile_text }, { "segments", test_segments },
		{ "parted", test_parted }, { "parted and removed", test_parted_and_removed }, { "segment synced (P1)", test_segment_synced },
		{ "full disk gives back (P8, RC2)", test_cramped }, { "full disk and the spare (RC2)", test_cramped_spare },
		{ "a disk nearly full and the spare", test_low_spare }, { "a segment not synced and the spare", test_doubtful_spare },
		{ "a census not synced", test_doubtful_census }, { "second recorder", test_second_recorder }, { "options", test_options },
		{ "steps aside (P1)", test_steps_aside }, CU_TEST_INFO_NULL,
	};
	return cunit_main("recorder", tests);
}
