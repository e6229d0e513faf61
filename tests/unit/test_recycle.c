/* SPDX-License-Identifier: Apache-2.0 */
/* A disk and a clock that behave as badly as they may, beneath a journal that is written over. */
#include <config.h>
#include "cunit_main.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <time.h>
#include <utime.h>

#include "recorder_world.h"

#include "core/recorder/journal_file.h"

/* ---- the system's calls ---- */

#define OURS __attribute__((visibility("default")))
#define FILES 256

static struct {
	dev_t dev;          /* …of this file: */
	ino_t ino;
	unsigned fail;      /* so many syncs of it fail, each once: what it had in memory is dropped then, and the next one is fine */
	bool dropped;       /* one has */
	bool uncuttable;    /* ftruncate() */
	uint64_t unreadable; /* at this offset and behind; 0: it can be read */
	bool dies;          /* instead of a sync */
} bad;
static ino_t synced[FILES]; /* those that a sync succeeded for */
static unsigned nsynced;
static unsigned slow; /* µs: each sync */
static int64_t wall_ahead; /* s */

static struct { long at, n, error, seen; const char *what; } call; /* the n calls from that one on fail */

static bool
call_fails(const char *what)
{
	if (call.at == 0)
		return false;
	call.seen++;
	if (call.seen < call.at || call.seen >= call.at + call.n)
		return false;
	call.what = what;
	errno = (int)call.error;
	return true;
}

static bool
is_bad(int fd)
{
	struct stat st;
	return bad.ino != 0 && fstat(fd, &st) == 0 && st.st_ino == bad.ino && st.st_dev == bad.dev;
}

static int
sync_it(int fd, long number)
{
	struct stat st;
	if (call_fails("sync"))
		return -1;
	if (is_bad(fd) && bad.dies)
		_exit(0);
	if (is_bad(fd) && bad.fail > 0) {
		bad.fail--;
		bad.dropped = true;
		errno = EIO;
		return -1;
	}
	if (slow > 0)
		(void)usleep(slow);
	if (fstat(fd, &st) == 0 && nsynced < FILES)
		synced[nsynced++] = st.st_ino;
	return (int)syscall(number, fd);
}

OURS int
fsync(int fd)
{
	return sync_it(fd, SYS_fsync);
}

OURS int
fdatasync(int fd)
{
	return sync_it(fd, SYS_fdatasync);
}

OURS int
ftruncate(int fd, off_t size)
{
	if (call_fails("ftruncate"))
		return -1;
	if (is_bad(fd) && bad.uncuttable) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_ftruncate, fd, size);
}

OURS int
openat(int dir, const char *name, int flags, ...)
{
	va_list va;
	va_start(va, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(va, mode_t) : 0;
	va_end(va);
	return (flags & O_CREAT) != 0 && call_fails("openat") ? -1 : (int)syscall(SYS_openat, dir, name, flags, mode);
}

OURS ssize_t
pwrite(int fd, const void *p, size_t len, off_t at)
{
	return call_fails("pwrite") ? -1 : syscall(SYS_pwrite64, fd, p, len, at);
}

OURS ssize_t
pwritev(int fd, const struct iovec *part, int n, off_t at)
{
	if (call_fails("pwritev")) {
		if (call.error == ENOSPC && n > 1) /* some of it */
			(void)!syscall(SYS_pwritev, fd, part, 1, at, 0);
		errno = (int)call.error;
		return -1;
	}
	return syscall(SYS_pwritev, fd, part, n, at, 0);
}

OURS int
renameat(int from, const char *a, int to, const char *b)
{
	return call_fails("renameat") ? -1 : (int)syscall(SYS_renameat, from, a, to, b);
}

OURS int
unlinkat(int dir, const char *a, int flags)
{
	return call_fails("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, dir, a, flags);
}

OURS ssize_t
pread(int fd, void *into, size_t len, off_t at)
{
	if (is_bad(fd) && bad.unreadable != 0 && (uint64_t)at + len > bad.unreadable) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, into, len, at);
}

OURS int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);
	if (id == CLOCK_REALTIME)
		t->tv_sec += wall_ahead;
	return rc;
}

/* ---- what tests ask ---- */

static void
good_again(void)
{
	memset(&bad, 0, sizeof(bad));
	nsynced = slow = 0;
	wall_ahead = 0;
}

static void
goes_bad(const char *path)
{
	struct stat st;
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	memset(&bad, 0, sizeof(bad));
	bad.dev = st.st_dev;
	bad.ino = st.st_ino;
}

static void
segment_path(const struct world *w, uint64_t segment, char path[256])
{
	char name[JOURNAL_NAME], tail[JOURNAL_NAME + 8];
	(void)snprintf(tail, sizeof(tail), "journal/%s", journal_name(segment, name));
	world_path(w, tail, path);
}

static bool
was_synced(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	for (unsigned i = 0; i < nsynced; i++)
		if (synced[i] == st.st_ino)
			return true;
	return false;
}

static bool
all_said_synced(const struct world *w)
{
	return ring_synced(w->ring[0]) == ring_position(w->ring[0]);
}

/* ---- `sync write`, and a cut whose sync fails ---- */

static void
for_room(struct world *w)
{
	w->r->journal.full = UINT64_MAX / 4; /* so that it is low */
	w->r->swept = 0;
}

static void
for_retention(struct world *w)
{
	w->r->purge = true;
	w->r->swept = w->r->now; /* it comes before a sweep */
}

/*
 * The cut's fsync is told that batches not yet synced could not be written, and nobody is told twice.  So they are to
 * be taken for lost: by another segment, before anything is said to be on disk, and before anything goes behind them.
 */
static void
test_cut_takes_the_error(void)
{
	void (*const why[])(struct world *w) = { for_room, for_retention };
	for (unsigned i = 0; i < 2; i++) {
		uint8_t id[ID_LEN];
		char path[256];
		struct world *w = world_new();
		w->options.sync = SYNC_WRITE;
		world_start(w);
		world_writes_over(w);
		uint64_t segment = w->r->journal.segment;
		w->r->swept = w->r->now;
		w->r->census_due = i == 1; /* the segment itself does not end */
		say_header(w, id);
		say_statement(w, id, 1, "SELECT 1");
		w->r->census_due = false;
		(void)recorder_tick(w->r);
		CU_ASSERT_TRUE_FATAL(w->r->journal.tail && w->r->sync_due && w->r->journal.segment == segment);
		segment_path(w, segment, path);
		goes_bad(path);
		bad.fail = 1;
		why[i](w);
		for (unsigned k = 0; k < 8; k++) {
			w->r->retry_at = 0;
			(void)recorder_tick(w->r);
			if (i == 0)
				w->r->swept = 0;
			if (!w->r->failing && all_said_synced(w))
				break;
		}
		CU_ASSERT_TRUE(bad.dropped);
		char file[256];
		session_file(w, id, file);
		/* none of both has it, though it is said to be on disk, and what comes goes behind what can't be read */
		CU_ASSERT_FALSE(all_said_synced(w) && !was_synced(file) && w->r->journal.segment == segment);
		CU_ASSERT_NOT_EQUAL(w->r->journal.segment, segment);
		good_again();
		world_free(&w);
	}
}

/* ---- `sync write`, and sessions that stand for a segment ---- */

static void
sessions_stand(bool ended, bool census)
{
	enum { N = 12 };
	uint8_t id[N][ID_LEN];
	char path[256];
	struct world *w = world_new();
	w->options.sync = SYNC_WRITE;
	world_start(w);
	world_sweep(w);
	uint64_t segment = w->r->journal.segment;
	w->r->swept = w->r->now;
	for (unsigned i = 0; i < N; i++) {
		say_header(w, id[i]);
		say_statement(w, id[i], 1, "SELECT 1");
		if (ended)
			say_end(w, id[i]);
	}
	(void)recorder_tick(w->r);
	for (unsigned i = 0; ended && i < 500 && w->r->nsessions > 0; i++) { /* they part while nothing is synced */
		w->r->round = w->r->round < SESSION_BUCKETS ? w->r->round : 0;
		w->r->swept = clock_mono_ms();
		(void)recorder_tick(w->r);
	}
	CU_ASSERT(w->r->sync_due && w->r->journal.segment == segment);
	CU_ASSERT_EQUAL(w->r->nsessions, ended ? 0 : N);
	segment_path(w, segment, path);
	goes_bad(path);
	nsynced = 0;
	bad.fail = 1;
	slow = 5000;
	w->r->census_due = census;
	w->r->swept = census ? clock_mono_ms() : 0;
	for (unsigned k = 0; k < 6 && !all_said_synced(w); k++) {
		w->r->retry_at = 0;
		(void)recorder_tick(w->r);
		w->r->swept = 0;
	}
	CU_ASSERT_TRUE(bad.dropped);
	CU_ASSERT_TRUE(all_said_synced(w));
	unsigned stand = 0;
	for (unsigned i = 0; i < N; i++) {
		session_file(w, id[i], path);
		stand += was_synced(path);
	}
	CU_ASSERT_EQUAL(stand, N);
	good_again();
	world_free(&w);
}

static void
test_files_stand(void)
{
	sessions_stand(false, false);
}

static void
test_parted_files_stand(void)
{
	sessions_stand(true, false);
}

static void
test_files_stand_at_census(void)
{
	sessions_stand(false, true);
}

/* ---- killed before the sync, and started anew ---- */

static void
up_to_sync(struct world *w)
{
	char path[256];
	segment_path(w, w->r->journal.segment, path);
	w->r->census_due = false;
	goes_bad(path);
	bad.dies = true;
	(void)recorder_tick(w->r);
	_exit(1);
}

/* What the other one wrote and did not sync is in no ring any more that a power loss spares: it is said to be on disk when it is. */
static void
test_killed_unsynced(void)
{
	uint8_t id[ID_LEN];
	char file[256], path[256];
	struct world *w = world_new();
	w->options.sync = SYNC_ALWAYS;
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	uint64_t before = ring_position(w->ring[0]);
	world_crash(w, up_to_sync);
	segment_path(w, 1, path);
	session_file(w, id, file);
	nsynced = 0;
	world_start(w);
	say_operation(w, id, 2, "SELECT 2");
	w->r->swept = clock_mono_ms();
	w->r->batch.entries = 0;
	/* only so far as the tick says that they are on disk */
	goes_bad(path);
	for (unsigned i = 0; i < 3 && ring_synced(w->ring[0]) < before; i++) {
		struct stat st;
		CU_ASSERT(stat(file, &st) != 0 || !was_synced(file)); /* not yet */
		int fd = w->r->store.sessions;
		w->r->store.sessions = -1; /* files can't be made now */
		w->r->retry_at = 0;
		(void)recorder_tick(w->r);
		w->r->store.sessions = fd;
	}
	CU_ASSERT(ring_synced(w->ring[0]) < before || was_synced(path) || was_synced(file));
	good_again();
	world_free(&w);
}

/* ---- the journal cannot be read ---- */

/* For a moment: what was said to be journaled is not to be thrown away. */
static void
test_unreadable(void)
{
	uint8_t id[ID_LEN];
	char path[256];
	struct world *w = world_new();
	world_start(w);
	world_sweep(w);
	w->r->swept = clock_mono_ms();
	say_header(w, id);
	(void)recorder_tick(w->r);
	uint64_t size = w->r->journal.size, segment = w->r->journal.segment;
	say_statement(w, id, 1, "SELECT 1");
	(void)recorder_tick(w->r);
	uint64_t all = w->r->journal.size;
	CU_ASSERT(all > size && ring_journaled(w->ring[0]) == ring_position(w->ring[0]));
	segment_path(w, segment, path);
	world_stop_at_once(w);
	const char *err = "";
	struct stat st;
	goes_bad(path);
	bad.unreadable = size;
	int rc = world_try(w, &err);
	CU_ASSERT_NOT_EQUAL(rc, SP_OK);
	CU_ASSERT(stat(path, &st) == 0 && (uint64_t)st.st_size == all);
	good_again();
	world_stop_at_once(w);
	world_free(&w);
}

/* ---- a segment that can't be cut ---- */

static void
test_uncuttable(void)
{
	uint8_t id[ID_LEN];
	char path[256];
	struct world *w = world_new();
	world_start(w);
	world_writes_over(w);
	uint64_t segment = w->r->journal.segment;
	segment_path(w, segment, path);
	goes_bad(path);
	bad.fail = 1;
	bad.uncuttable = true;
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	for (unsigned k = 0; k < 8; k++) {
		w->r->retry_at = 0;
		(void)recorder_tick(w->r);
	}
	CU_ASSERT_TRUE(bad.dropped);
	CU_ASSERT(!w->r->failing && w->r->journal.segment > segment);
	CU_ASSERT(all_said_synced(w));
	good_again();
	world_free(&w);
}

/* ---- damage at the end ---- */

/* A batch that was synced and whose first bytes the disk has lost: not without a word. */
static void
test_silent(void)
{
	uint8_t id[ID_LEN];
	char path[256], text[4096] = "";
	struct world *w = world_new();
	world_start(w);
	world_sweep(w);
	w->r->swept = clock_mono_ms();
	say_header(w, id);
	(void)recorder_tick(w->r);
	uint64_t size = w->r->journal.size;
	CU_ASSERT_FALSE(w->r->journal.tail);
	for (uint32_t op = 1; op < 4; op++) {
		say_statement(w, id, op, "SELECT 1");
		(void)recorder_tick(w->r);
	}
	segment_path(w, w->r->journal.segment, path);
	world_stop_at_once(w);
	int fd = open(path, O_WRONLY | O_CLOEXEC), log = memfd_create("log", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(fd, "?", 1, (off_t)size), 1);
	close(fd);
	struct journal j = { .fd = -1 };
	world_path(w, "journal", path);
	j.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	log_init("test", log, SP_WARN);
	world_start(w);
	log_init("test", STDERR_FILENO, SP_ERROR);
	CU_ASSERT(pread(log, text, sizeof(text) - 1, 0) >= 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ends torn"));
	close(j.dir);
	close(log);
	world_free(&w);
}

/* ---- the clock ---- */

/* A machine that slept, or whose clock was wrong: recordings are old at once, and what the journal has of them is, too. */
static void
test_slept(void)
{
	uint8_t id[ID_LEN], canary[32];
	char path[256], name[256];
	struct world *w = world_new();
	world_start(w);
	say_header(w, id);
	say_statement(w, id, 1, "SELECT 1");
	say_end(w, id);
	world_sweep(w);
	session_file(w, id, path);
	struct sp_bytes b = file_bytes(path);
	CU_ASSERT_FATAL(b.len > 4 * sizeof(canary));
	memcpy(canary, b.p + b.len / 2, sizeof(canary));
	wall_ahead = 3 * 86400;
	w->r->options.keep = 60ull * 3600 * 1000;
	for (unsigned i = 0; i < 10; i++)
		world_sweep(w);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	segment_path(w, 1, name);
	b = file_bytes(name);
	CU_ASSERT_FALSE(b.len > 0 && memmem(b.p, b.len, canary, sizeof(canary)) != NULL);
	good_again();
	world_free(&w);
}

/* ---- each call fails ---- */

static void
pass(struct world *w)
{
	w->r->retry_at = 0;
	w->r->swept = 0;
	(void)recorder_tick(w->r);
}

/* One session through many segments, one call or some failing; started anew or not: all is there, once. */
static bool
one_fails(unsigned sync, long at, long n, long error, bool dies)
{
	uint8_t id[ID_LEN];
	struct verify_result v;
	char types[4096] = "HO";
	struct world *w = world_new();
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	w->options.sync = sync;
	world_start(w);
	w->r->journal.full = 1500;
	say_header(w, id);
	say_operation(w, id, 1, "SELECT 1");
	for (unsigned i = 0; i < 30; i++)
		pass(w);
	memset(&call, 0, sizeof(call));
	call.n = n;
	call.error = error;
	call.at = at;
	for (uint32_t op = 2; op < 22; op++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "SELECT %u", op);
		say_operation(w, id, op, text);
		types[op] = 'O';
		pass(w);
		if (op % 5 == 0)
			w->r->purge = true;
		if (op == 13 && dies) {
			long seen = call.seen;
			call.at = 0;
			world_stop_at_once(w);
			world_start(w);
			w->r->journal.full = 1500;
			call.at = at;
			call.seen = seen;
		}
	}
	bool all = call.seen < at;
	call.at = 0;
	for (unsigned i = 0; i < 12; i++)
		pass(w);
	struct session *s = session_find(w->r, id); /* it would be so in two seconds */
	bool ok = s != NULL && file_flush(w->r, s) == SP_OK && !w->r->failing && all_said_synced(w) && strcmp(frames_of(w, id, NULL), types) == 0;
	if (ok)
		ok = w->r->journal.oldest + 1 >= w->r->journal.segment;
	for (unsigned i = 0; i < 2 && ok; i++) {
		world_stop_at_once(w);
		world_start(w);
		world_sweep(w);
		ok = strcmp(frames_of(w, id, NULL), types) == 0 && verified(w, NULL, &v);
	}
	if (!ok)
		(void)printf("\n  sync %u, call %ld (%s) and %ld more, error %ld, %s: failing %d, segments %llu to %llu, %s\n", sync, at, call.what, n - 1, error,
		    dies ? "dies" : "lives", w->r->failing, (unsigned long long)w->r->journal.oldest, (unsigned long long)w->r->journal.segment,
		    frames_of(w, id, NULL));
	CU_ASSERT_TRUE(ok);
	world_free(&w);
	log_init("test", STDERR_FILENO, SP_ERROR);
	return all;
}

static void
test_each_call(void)
{
	static const long error[] = { EIO, ENOSPC };
	for (unsigned sync = SYNC_GROUP; sync <= SYNC_WRITE; sync++)
		for (unsigned how = 0; how < 8; how++)
			for (long at = 1 + how; at < 2000; at += 47)
				if (one_fails(sync, at, how & 4 ? 7 : how & 2 ? 2 : 1, error[how & 1], how & 2))
					break;
	good_again();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a cut takes the error", test_cut_takes_the_error }, { "files stand for a segment", test_files_stand },
		{ "files that parted stand for a segment", test_parted_files_stand }, { "files stand for a segment, at a census", test_files_stand_at_census },
		{ "killed before the sync", test_killed_unsynced }, { "unreadable", test_unreadable }, { "can't be cut", test_uncuttable },
		{ "not without a word", test_silent }, { "slept", test_slept }, { "each call fails", test_each_call }, CU_TEST_INFO_NULL,
	};
	return cunit_main("recycle", tests);
}
