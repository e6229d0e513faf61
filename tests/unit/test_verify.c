/* SPDX-License-Identifier: Apache-2.0 */
/* RC1 on real recordings: whatever is changed in a store is found, and named. */
#include <config.h>
#include "cunit_main.h"

#include <time.h>
#include <utime.h>

#include "recorder_world.h"

#define SESSIONS 3

static uint8_t id[SESSIONS][ID_LEN];
static char path[SESSIONS][256];

/* Three sessions, in several blocks each; the last one lives. */
static struct world *
store(void)
{
	struct world *w = world_new();
	char text[64];
	world_start(w);
	for (unsigned i = 0; i < SESSIONS; i++) {
		say_header(w, id[i]);
		for (uint32_t op = 1; op <= 4; op++) {
			(void)snprintf(text, sizeof(text), "SELECT %u, %u", i, op);
			say_statement(w, id[i], op, text);
			(void)recorder_tick(w->r);
		}
		if (i + 1 < SESSIONS)
			say_end(w, id[i]);
		session_file(w, id[i], path[i]);
	}
	world_sweep(w);
	world_stop(w, false);
	return w;
}

static bool
finds(struct world *w, const char *anchor, const char *what)
{
	struct verify_result v;
	bool ok = verified(w, anchor, &v);
	if (!ok && strstr(v.text, what) != NULL)
		return true;
	(void)printf("wanted \"%s\", found: %s\n", what, ok ? "nothing" : v.text);
	return false;
}

static void
put_file(const char *at, struct sp_bytes b)
{
	int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, b.p, b.len), (ssize_t)b.len);
	close(fd);
}

static struct sp_bytes
copy_of(const char *at)
{
	struct sp_bytes b = file_bytes(at);
	uint8_t *copy = mem_alloc(b.len + 1);
	memcpy(copy, b.p, b.len);
	return (struct sp_bytes){ copy, b.len };
}

/* Where each block begins, and the end. */
static unsigned
blocks_of(const char *at, uint64_t *offset, unsigned most)
{
	struct block_file f;
	struct block b;
	unsigned n = 0;
	int fd = open(at, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(block_file_open(&f, fd, NULL), SP_OK);
	while (n + 1 < most && block_file_next(&f, &b) == 1)
		offset[n++] = f.from;
	offset[n] = f.at;
	block_file_close(&f);
	close(fd);
	return n;
}

static void
test_intact(void)
{
	struct world *w = store();
	struct verify_result v;
	CU_ASSERT_TRUE(verified(w, w->anchor + 5, &v));
	CU_ASSERT_EQUAL(v.sessions, SESSIONS);
	CU_ASSERT_EQUAL(v.frames, 2 * 18 + 17);
	CU_ASSERT(v.signed_at > 0);
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct ledger_entry e;
		int fd = open(path[i], O_RDONLY);
		CU_ASSERT_TRUE(world_last_of(w, id[i], &e));
		CU_ASSERT_EQUAL(verify_recording(fd, "x", &e, 1, &v), SP_OK);
		CU_ASSERT_EQUAL(v.ended, i + 1 < SESSIONS);
		close(fd);
	}
	world_free(&w);
}

/* Every single byte of a recording. */
static void
test_flipped_byte(void)
{
	struct world *w = store();
	struct verify_result v;
	struct sp_bytes good = copy_of(path[0]);
	uint8_t *bad = mem_alloc(good.len);
	unsigned named = 0;
	for (size_t i = 0; i < good.len; i++) {
		memcpy(bad, good.p, good.len);
		bad[i] ^= (uint8_t)(1u << (i % 8));
		put_file(path[0], (struct sp_bytes){ bad, good.len });
		CU_ASSERT_FALSE(verified(w, NULL, &v));
		named += strstr(v.text, "frame") != NULL;
	}
	CU_ASSERT(named >= good.len - RECORDING_HEAD);
	free(bad);
	free((void *)good.p);
	world_free(&w);
}

static void
test_blocks_moved(void)
{
	struct world *w = store();
	uint64_t at[16];
	struct sp_bytes good = copy_of(path[0]);
	unsigned n = blocks_of(path[0], at, 16);
	uint8_t *bad = mem_alloc(good.len);
	CU_ASSERT_FATAL(n >= 4);
	/* dropped */
	memcpy(bad, good.p, at[1]);
	memcpy(bad + at[1], good.p + at[2], good.len - at[2]);
	put_file(path[0], (struct sp_bytes){ bad, good.len - (at[2] - at[1]) });
	CU_ASSERT_TRUE(finds(w, NULL, "block 2 is missing or out of order: block 3 stands at byte"));
	/* exchanged */
	memcpy(bad, good.p, good.len);
	memcpy(bad + at[1], good.p + at[2], at[3] - at[2]);
	memcpy(bad + at[1] + (at[3] - at[2]), good.p + at[1], at[2] - at[1]);
	put_file(path[0], (struct sp_bytes){ bad, good.len });
	CU_ASSERT_TRUE(finds(w, NULL, "out of order"));
	/* twice */
	memcpy(bad, good.p, at[2]);
	memcpy(bad + at[2], good.p + at[1], at[2] - at[1]);
	put_file(path[0], (struct sp_bytes){ bad, at[2] + at[2] - at[1] });
	CU_ASSERT_TRUE(finds(w, NULL, "block 3 is missing or out of order: block 2 stands"));
	free(bad);
	free((void *)good.p);
	world_free(&w);
}

static void
test_cut_tail(void)
{
	struct world *w = store();
	uint64_t at[16];
	unsigned n = blocks_of(path[0], at, 16);
	CU_ASSERT_EQUAL(truncate(path[0], (off_t)at[n] - 7), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "is cut"));
	/* at a block's end the chain holds: the ledger knows */
	CU_ASSERT_EQUAL(truncate(path[0], (off_t)at[n - 1]), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "its tail was cut"));
	CU_ASSERT_EQUAL(truncate(path[0], RECORDING_HEAD), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "an empty recording"));
	world_free(&w);
}

/* Frames that can be read now. */
static unsigned
frames_now(struct recording *r)
{
	struct frame f;
	const char *err = "";
	unsigned n = 0;
	int rc;
	while ((rc = recording_next(r, &f, &err)) == 1)
		n++;
	CU_ASSERT_EQUAL(rc, 0);
	return n;
}

/* One that is followed while it is written, a byte at a time: each block is there once it is whole, and never a part of it. */
static void
test_growing(void)
{
	struct world *w = store();
	struct recording *r = NULL;
	const char *err = "";
	uint64_t at[32];
	unsigned n = blocks_of(path[0], at, 32), frames, block = 1;
	struct sp_bytes whole = copy_of(path[0]);
	char name[] = "/tmp/growing-XXXXXX";
	int fd = mkstemp(name);
	CU_ASSERT_FATAL(fd >= 0 && n > 2);
	CU_ASSERT_EQUAL(write(fd, whole.p, at[1]), (ssize_t)at[1]);
	CU_ASSERT_EQUAL_FATAL(recording_open(dup(fd), NULL, &r, &err), SP_OK);
	frames = frames_now(r);
	for (size_t i = at[1]; i < whole.len; i++) {
		CU_ASSERT_EQUAL(write(fd, whole.p + i, 1), 1);
		bool more = recording_more(r);
		CU_ASSERT_EQUAL(more, i + 1 == at[block + 1]);
		block += more;
		frames += frames_now(r);
	}
	CU_ASSERT_EQUAL(block, n);
	CU_ASSERT_EQUAL(frames, 18);
	CU_ASSERT_FALSE(recording_more(r));
	recording_close(&r);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path[0], O_RDONLY | O_CLOEXEC), NULL, &r, &err), SP_OK);
	CU_ASSERT_EQUAL(frames_now(r), frames);
	recording_close(&r);
	close(fd);
	(void)unlink(name);
	free((void *)(uintptr_t)whole.p);
	world_free(&w);
}

/* The live session's checkpoint is behind its end: what came later is chained but not yet signed. */
static void
test_added(void)
{
	struct world *w = store();
	struct block_maker *m = block_maker_new();
	struct buffer out = { 0 };
	struct block_file f;
	struct block b, more = { 0 };
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(frame_encode(&(struct frame){ .type = FRAME_NOTICE, .payload = { NULL, 0 } }, &o), SP_OK);
	int fd = open(path[0], O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(block_file_open(&f, fd, NULL), SP_OK);
	while (block_file_next(&f, &b) == 1)
		continue;
	more = (struct block){ .number = f.number + 1, .first = f.frames + 1, .frames = 1, .wall = 1 };
	CU_ASSERT_EQUAL(block_make(m, NULL, f.session, sp_written(&o), &more, f.chain, &out), SP_OK);
	CU_ASSERT_EQUAL(pwrite(fd, buffer_bytes(&out).p, out.len, (off_t)f.at), (ssize_t)out.len);
	block_file_close(&f);
	close(fd);
	CU_ASSERT_TRUE(finds(w, NULL, "was added after the session ended"));
	block_maker_free(&m);
	buffer_free(&out);
	world_free(&w);
}

static void
test_deleted_session(void)
{
	struct world *w = store();
	CU_ASSERT_EQUAL(unlink(path[1]), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "the recording is gone"));
	world_free(&w);
}

/* Another session's file under this name, and a file of nobody's. */
static void
test_exchanged_files(void)
{
	struct world *w = store();
	struct sp_bytes other = copy_of(path[1]);
	char stranger[256], folder[256], text[ID_TEXT];
	uint8_t none[ID_LEN];
	struct sp_bytes own = copy_of(path[0]);
	put_file(path[0], other);
	CU_ASSERT_TRUE(finds(w, NULL, "this is the recording of session"));
	put_file(path[0], own);
	id_new(none);
	id_format(none, text);
	(void)snprintf(folder, sizeof(folder), "%s/sessions/%.2s", w->dir, text);
	(void)mkdir(folder, 0700);
	(void)snprintf(stranger, sizeof(stranger), "%s/sessions/%.2s/%s.spr", w->dir, text, text);
	put_file(stranger, other);
	CU_ASSERT_EQUAL(utime(stranger, &(struct utimbuf){ 1000000, 1000000 }), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "no ledger entry names this recording"));
	CU_ASSERT_EQUAL(utime(stranger, &(struct utimbuf){ time(NULL) + 86400, time(NULL) + 86400 }), 0);
	CU_ASSERT_TRUE(finds(w, NULL, "no ledger entry names this recording"));
	CU_ASSERT_EQUAL(unlink(stranger), 0);
	(void)snprintf(stranger, sizeof(stranger), "%s/sessions/%.2s/x.spr", w->dir, text);
	put_file(stranger, other);
	CU_ASSERT_TRUE(finds(w, NULL, "is no recording of this gateway"));
	free((void *)other.p);
	free((void *)own.p);
	world_free(&w);
}

/* Yesterday's copy of one recording, and of the whole store. */
static void
test_old_snapshot(void)
{
	struct world *w = world_new();
	char ledger[256], file[256];
	world_start(w);
	say_header(w, id[0]);
	say_statement(w, id[0], 1, "SELECT 1");
	world_sweep(w);
	world_path(w, "ledger", ledger);
	session_file(w, id[0], file);
	struct sp_bytes old_ledger = copy_of(ledger), old_file = copy_of(file);
	say_statement(w, id[0], 2, "DROP TABLE evidence");
	say_end(w, id[0]);
	world_sweep(w);
	world_stop(w, false);
	put_file(file, old_file);
	CU_ASSERT_TRUE(finds(w, NULL, "or an older file put in its place"));
	put_file(ledger, old_ledger);
	struct verify_result v;
	CU_ASSERT_TRUE(verified(w, NULL, &v)); /* whole and consistent, as it was: only the anchor can tell */
	CU_ASSERT_TRUE(finds(w, w->anchor + 5, "ledger: it was cut: the anchor has entry"));
	free((void *)old_ledger.p);
	free((void *)old_file.p);
	world_free(&w);
}

/* Every byte of the ledger, its entries in another order, and one that the keeper did not sign. */
static void
test_ledger(void)
{
	struct world *w = store();
	struct verify_result v;
	char at[256];
	world_path(w, "ledger", at);
	struct sp_bytes good = copy_of(at);
	uint8_t *bad = mem_alloc(good.len);
	for (size_t i = 0; i < good.len; i++) {
		memcpy(bad, good.p, good.len);
		bad[i] ^= 1;
		put_file(at, (struct sp_bytes){ bad, good.len });
		CU_ASSERT_FALSE(verified(w, NULL, &v));
	}
	memcpy(bad, good.p, good.len);
	memcpy(bad + LEDGER_HEAD, good.p + LEDGER_HEAD + LEDGER_ENTRY, LEDGER_ENTRY);
	memcpy(bad + LEDGER_HEAD + LEDGER_ENTRY, good.p + LEDGER_HEAD, LEDGER_ENTRY);
	put_file(at, (struct sp_bytes){ bad, good.len });
	CU_ASSERT_TRUE(finds(w, NULL, "entry 1 is missing or out of order"));
	put_file(at, (struct sp_bytes){ good.p, good.len - 3 });
	CU_ASSERT_TRUE(finds(w, NULL, "is cut"));
	/* one entry less: its session has no end, and the anchor knows better */
	put_file(at, (struct sp_bytes){ good.p, good.len - LEDGER_ENTRY });
	CU_ASSERT_TRUE(finds(w, w->anchor + 5, "it was cut"));
	put_file(at, (struct sp_bytes){ good.p, 20 });
	CU_ASSERT_TRUE(finds(w, NULL, "it is cut"));
	free(bad);
	free((void *)good.p);
	world_free(&w);
}

/* A ledger rewritten from the first entry with another key: found by who knows the keeper's. */
static void
test_forged_ledger(void)
{
	struct world *w = store();
	struct verify_result v;
	uint8_t real[32];
	char at[256];
	struct buffer out = { 0 };
	unsigned n = w->entries;
	memcpy(real, w->public, sizeof(real));
	CU_ASSERT_EQUAL(digest_keypair(w->seed, w->public), SP_OK);
	w->entries = 0;
	for (unsigned i = 0; i < n; i++) {
		struct ledger_entry e;
		CU_ASSERT_EQUAL(ledger_decode((struct sp_bytes){ w->entry[i], LEDGER_ENTRY }, &e), SP_OK);
		world_append(w, &e);
	}
	CU_ASSERT_EQUAL(buffer_put(&out, SP_LIT(LEDGER_MAGIC)), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&out, (struct sp_bytes){ w->public, 32 }), SP_OK);
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL(buffer_put(&out, (struct sp_bytes){ w->entry[i], LEDGER_ENTRY }), SP_OK);
	world_path(w, "ledger", at);
	put_file(at, buffer_bytes(&out));
	CU_ASSERT_TRUE(verified(w, NULL, &v)); /* with the forger's own key */
	memcpy(w->public, real, sizeof(real));
	CU_ASSERT_TRUE(finds(w, NULL, "it was begun with another key"));
	buffer_free(&out);
	world_free(&w);
}

static void
test_anchor(void)
{
	struct world *w = store();
	struct verify_result v;
	char at[256];
	struct buffer log = { 0 };
	const char *anchor = w->anchor + 5;
	/* in a syslog's file, among other lines */
	struct sp_bytes lines = copy_of(anchor);
	CU_ASSERT_EQUAL(buffer_put(&log, SP_LIT("Jan  1 00:00:00 host kernel: hello\nJan  1 00:00:00 host sallyport[7]: ")), SP_OK);
	CU_ASSERT_EQUAL(buffer_put(&log, lines), SP_OK);
	world_path(w, "syslog", at);
	put_file(at, buffer_bytes(&log));
	CU_ASSERT_TRUE(verified(w, at, &v));
	put_file(at, SP_LIT("sallyport-anchor 1 abcdef\n"));
	CU_ASSERT_TRUE(finds(w, at, "malformed"));
	put_file(at, SP_LIT("sallyport-anchor 99999999999999999999 \n"));
	CU_ASSERT_TRUE(finds(w, at, "malformed"));
	CU_ASSERT_TRUE(finds(w, "/nowhere/at/all", "cannot be read"));
	free((void *)lines.p);
	buffer_free(&log);
	world_free(&w);
}

static void
test_one_recording(void)
{
	struct world *w = store();
	struct verify_result v;
	int fd = open(path[0], O_RDONLY);
	CU_ASSERT_EQUAL(verify_recording(fd, "copy.spr", NULL, 0, &v), SP_OK);
	CU_ASSERT_EQUAL(v.frames, 18);
	close(fd);
	fd = open(w->audit, O_RDONLY);
	CU_ASSERT_EQUAL(verify_recording(fd, "copy.spr", NULL, 0, &v), SP_EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(v.text, "not a recording"));
	close(fd);
	CU_ASSERT_EQUAL(verify_store("/nowhere/at/all", NULL, NULL, NULL, &v), SP_EPROTO);
	world_free(&w);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "RC1 intact", test_intact }, { "RC1 flipped byte", test_flipped_byte }, { "RC1 blocks moved", test_blocks_moved },
		{ "RC1 cut tail", test_cut_tail }, { "growing", test_growing }, { "RC1 added", test_added }, { "RC1 deleted session", test_deleted_session },
		{ "RC1 exchanged files", test_exchanged_files }, { "RC1 old snapshot", test_old_snapshot }, { "RC1 ledger", test_ledger },
		{ "RC1 forged ledger", test_forged_ledger }, { "RC1 anchor", test_anchor }, { "one recording", test_one_recording },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("verify", tests);
}
