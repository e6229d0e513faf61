/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log, line by line, for whom the keeper gave its file: filtered here, slice by slice, and followed.
 *
 *   the keeper's answer, with the file ─▶ where `since` or the cursor says ─▶ lines that fit ─▶ the end
 *       ├─ last: only remembered where they stand, and told at the end
 *       └─ follow: wait for more (watch.c); after a rotation the keeper is asked for the next file, once this one is read
 *
 * A line that can't be taken apart is told of as one, with its place: what it says nobody here has seen.
 *
 * Lines: {"entry": {…}, "cursor": "…"}, and last {"done": {"looked": N, "next": "…"}} or {"error": "…"}.  A cursor is
 * the file's number and a place in it: another file's is refused, so that nothing is passed over unseen.
 *
 * The file is the recorder's to write; this end is open for reading only, and read at its own places.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/directive.h"
#include "console.h"

#define SLICE_US 3000
#define CHUNK (64u << 10)
#define LINE_MAX (1u << 20)
#define DISORDER_US 5000000 /* events come from the keeper, decisions from workers: so far apart may neighbours be */
#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 100000
#define LAST_MAX 10000
#define BACK_FIRST (1u << 20)
#define TRIES 3
#define TURN_MS 1000

struct audit {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	struct sp_secret *token;
	struct watch *watch;
	json_t *args;
	int fd, next;          /* the file, or -1; the one that follows it */
	uint64_t inode, at;    /* read up to; buffered bytes included */
	uint64_t reopened;     /* the console's count of rotations that this file is of */
	uint64_t next_since;   /* mono ms: when next came */
	unsigned tries;        /* the keeper may hear of a rotation later than we do */
	struct buffer in;
	uint64_t since, until; /* wall µs */
	uint64_t limit, told, looked;
	bool follow, begun;
	enum { NO, REST, LONG } skip; /* to the line's end: the rest of one that began before, or one that is too long */
	uint64_t long_at, long_when;  /* of that one; when is 0 if it doesn't say */
	struct spot {
		uint64_t at, len;
	} *spot;               /* the last ones that fit, in a ring; NULL: all are told as they come */
	uint64_t last, nspots, spots_told;
	uint64_t begin, end, back; /* of the file, what is asked for; how far before the end one looks for the last ones */
	bool ended;            /* all was looked at: now they are told */
};

static void
audit_end(struct job *job)
{
	struct audit *a = (struct audit *)job;
	ask_cancel(&a->ask);
	watch_free(&a->watch);
	secret_free(&a->token);
	json_decref(a->args);
	if (a->fd >= 0)
		close(a->fd);
	if (a->next >= 0)
		close(a->next);
	buffer_free(&a->in);
	free(a->spot);
	free(a);
}

static const char *
arg(const struct audit *a, const char *name)
{
	return json_string_value(json_object_get(a->args, name));
}

/* Where what is not yet looked at begins. */
static uint64_t
place(const struct audit *a)
{
	return a->at - a->in.len;
}

static json_t *
cursor(const struct audit *a, uint64_t behind)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, a->inode, behind);
	return json_string(text);
}

static void
finish(struct audit *a, bool more)
{
	caller_work_ready(a->caller, false);
	watch_free(&a->watch);
	json_t *done = json_pack("{s:I}", "looked", (json_int_t)a->looked);
	if (more)
		(void)json_object_set_new(done, "next", cursor(a, place(a)));
	caller_line(a->caller, json_pack("{s:o}", "done", done));
	caller_lines_end(a->caller);
}

static void
fail(struct audit *a, const char *why)
{
	caller_work_ready(a->caller, false);
	watch_free(&a->watch);
	caller_line(a->caller, json_pack("{s:s,s:o}", "error", why, "cursor", cursor(a, place(a))));
	caller_lines_end(a->caller);
}

/* ---- lines ---- */

/* When it was, of a line as they are written; false: it is none of those. */
static bool
time_of(struct sp_bytes line, uint64_t *when_r)
{
	static const char before[] = "{\"time\":\"";
	struct sp_reader r = sp_reader(line);
	char text[40];
	*when_r = 0;
	if (!sp_bytes_is(sp_rd_take(&r, sizeof(before) - 1), before))
		return false;
	struct sp_bytes time = sp_rd_until(&r, '"');
	(void)snprintf(text, sizeof(text), "%.*s", r.bad ? 0 : (int)(time.len < 32 ? time.len : 32), (const char *)time.p);
	return clock_parse(text, when_r);
}

static void
tell(struct audit *a, json_t *entry, uint64_t behind)
{
	a->told++;
	caller_line(a->caller, json_pack("{s:O,s:o}", "entry", entry, "cursor", cursor(a, behind)));
}

/* Only the last ones are told: until the end is reached, that is where they stand. */
static void
keep(struct audit *a, uint64_t at, uint64_t len)
{
	a->spot[a->nspots++ % a->last] = (struct spot){ at, len };
}

static void
tell_unreadable(struct audit *a, uint64_t when, uint64_t at, uint64_t len)
{
	char time[32];
	json_t *entry = json_pack("{s:s*,s:s,s:I,s:I,s:s}", "time", when == 0 ? NULL : clock_format(when, time), "event", "unreadable line", "at",
	    (json_int_t)at, "bytes", (json_int_t)len, "text", "too long, or torn: look at this place of the audit log's file");
	tell(a, entry, at + len + 1);
	json_decref(entry);
}

static json_t *
entry_of(struct sp_bytes line)
{
	return json_loadb((const char *)line.p, line.len, JSON_ALLOW_NUL, NULL);
}

/* false: nothing behind it is of the time that was asked for. */
static bool
take_line(struct audit *a, struct sp_bytes line)
{
	uint64_t when, at = place(a);
	bool timed = time_of(line, &when), past = timed && when > a->until && when - a->until > DISORDER_US;
	bool might = timed && when >= a->since && when < a->until && audit_might_fit(a->args, line);
	json_t *entry = might ? entry_of(line) : NULL;
	a->looked++;
	if (might && (entry == NULL || audit_fits(a->args, entry))) {
		if (a->spot != NULL)
			keep(a, at, line.len);
		else if (entry == NULL)
			tell_unreadable(a, when, at, line.len);
		else
			tell(a, entry, at + line.len + 1);
	}
	json_decref(entry);
	buffer_drop(&a->in, line.len + 1);
	return !past;
}

/* ---- the file ---- */

/* The time of the first whole line behind that place; false: there is none. */
static bool
time_behind(const struct audit *a, uint64_t at, uint64_t *when_r)
{
	static char piece[CHUNK];
	ssize_t n = pread(a->fd, piece, sizeof(piece), (off_t)at);
	struct sp_reader r = sp_reader((struct sp_bytes){ (const uint8_t *)piece, n < 0 ? 0 : (size_t)n });
	if (at > 0)
		(void)sp_rd_until(&r, '\n');
	return time_of(sp_rd_rest(&r), when_r);
}

/* Lines stand in the order of time, but for DISORDER_US: halving finds where a moment begins. */
static uint64_t
place_of(const struct audit *a, uint64_t moment, uint64_t size)
{
	uint64_t low = 0, high = size, when, wanted = moment < DISORDER_US ? 0 : moment - DISORDER_US;
	while (high - low > CHUNK) {
		uint64_t middle = low + (high - low) / 2;
		if (!time_behind(a, middle, &when))
			return low;
		if (when < wanted)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Whatever was asked for: only its time is known. */
static void
take_long(struct audit *a, uint64_t len)
{
	a->looked++;
	if (a->long_when != 0 && (a->long_when < a->since || a->long_when >= a->until))
		return;
	if (a->spot != NULL)
		keep(a, a->long_at, len);
	else
		tell_unreadable(a, a->long_when, a->long_at, len);
}

/* To the line's end, once it is there. */
static void
skip_line(struct audit *a)
{
	struct sp_reader r = sp_reader(buffer_bytes(&a->in));
	struct sp_bytes rest = sp_rd_until(&r, '\n');
	if (!r.bad && a->skip == LONG)
		take_long(a, place(a) + rest.len - a->long_at);
	if (!r.bad)
		a->skip = NO;
	buffer_drop(&a->in, r.bad ? a->in.len : rest.len + 1);
}

static void
skip_long(struct audit *a)
{
	a->skip = LONG;
	a->long_at = place(a);
	(void)time_of(buffer_bytes(&a->in), &a->long_when);
}

/* 1: more is in the buffer; 0: there is no more now. */
static int
fill(struct audit *a)
{
	uint8_t *room = buffer_room(&a->in, CHUNK);
	ssize_t n = room == NULL ? -1 : pread(a->fd, room, CHUNK, (off_t)a->at);
	if (n <= 0)
		return n == 0 ? 0 : SP_EIO;
	buffer_added(&a->in, (size_t)n);
	a->at += (uint64_t)n;
	return 1;
}

static void
use_file(struct audit *a, int fd, const struct stat *st)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = fd;
	a->inode = (uint64_t)st->st_ino;
	a->at = 0;
	buffer_free(&a->in);
	a->skip = NO;
}

/* ---- following ---- */

static void on_file(void *owner, struct answer *answer);

static void
ask_again(struct audit *a)
{
	const struct question q = { caller_connection(a->caller), secret_bytes(a->token), CALL_AUDIT, NULL };
	a->tries--;
	a->ask = ask_keeper(caller_console(a->caller), &q, on_file, a);
}

/* The recorder may still write a line into the former file, which it was handed before. */
static bool
next_is_due(const struct audit *a)
{
	return a->next >= 0 && clock_mono_ms() - a->next_since >= TURN_MS;
}

/* A rotation: the file of now, which is read once there is nothing more in this one. */
static void
look(void *owner)
{
	struct audit *a = owner;
	struct stat st;
	if (a->reopened != caller_console(a->caller)->reopened)
		a->tries = TRIES;
	a->reopened = caller_console(a->caller)->reopened;
	if (a->ask == NULL && a->next < 0 && a->tries > 0)
		ask_again(a);
	if (next_is_due(a) || (fstat(a->fd, &st) == 0 && (uint64_t)st.st_size > a->at))
		caller_work_ready(a->caller, true);
}

static void
over(void *owner, const char *why)
{
	fail(owner, why);
}

/* All that is there now was read. */
static void
at_end(struct audit *a)
{
	const struct watch_use use = { look, over, a };
	struct stat st;
	caller_work_ready(a->caller, false);
	if (next_is_due(a) && fstat(a->next, &st) == 0) {
		use_file(a, a->next, &st);
		a->next = -1;
		caller_work_ready(a->caller, true);
		return;
	}
	if (a->watch == NULL)
		a->watch = watch_new(a->caller, secret_bytes(a->token), &use);
	if (a->watch == NULL)
		fail(a, "out of memory");
}

/* ---- the walk ---- */

/* One of the last ones; false: there is no more of them. */
static bool
tell_spot(struct audit *a)
{
	uint64_t first = a->nspots > a->last ? a->nspots - a->last : 0;
	if (first + a->spots_told >= a->nspots)
		return false;
	const struct spot *s = &a->spot[(first + a->spots_told++) % a->last];
	struct buffer line = { 0 };
	size_t len = s->len < LINE_MAX + CHUNK ? (size_t)s->len : LINE_MAX + CHUNK;
	uint8_t *room = buffer_room(&line, len);
	ssize_t n = room == NULL ? -1 : pread(a->fd, room, len, (off_t)s->at);
	const struct sp_bytes read = { room, n < 0 ? 0 : (size_t)n };
	json_t *entry = entry_of(read);
	uint64_t when;
	if (entry != NULL)
		tell(a, entry, s->at + s->len + 1);
	else
		tell_unreadable(a, time_of(read, &when) ? when : 0, s->at, s->len);
	json_decref(entry);
	buffer_free(&line);
	return true;
}

/* The last ones stand near the end, as a rule: one begins there, and then further and further back. */
static void
walk_back(struct audit *a)
{
	a->back = a->back == 0 ? BACK_FIRST : 4 * a->back;
	a->at = a->end - a->begin > a->back ? a->end - a->back : a->begin;
	a->skip = a->at > 0 ? REST : NO;
	a->nspots = 0;
	buffer_free(&a->in);
}

/* All behind a->at was looked at. */
static void
walked(struct audit *a, bool more)
{
	if (a->spot == NULL)
		finish(a, more);
	else if (a->nspots < a->last && a->end - a->begin > a->back)
		walk_back(a);
	else
		a->ended = true;
}

/* false: there is nothing more to do now. */
static bool
step_on(struct audit *a)
{
	if (a->ended && tell_spot(a))
		return true;
	if (a->ended) {
		finish(a, false);
		return false;
	}
	if (a->skip != NO)
		skip_line(a);
	struct sp_reader r = sp_reader(buffer_bytes(&a->in));
	struct sp_bytes line = sp_rd_until(&r, '\n');
	bool too_long = r.bad && a->in.len > LINE_MAX;
	if ((!r.bad || too_long) && !a->follow && a->spot == NULL && a->told == a->limit) {
		walked(a, true);
		return false;
	}
	if (!r.bad) {
		if (take_line(a, line) || a->follow)
			return true;
		walked(a, false);
		return a->spot != NULL;
	}
	if (too_long) {
		skip_long(a);
		return true;
	}
	int rc = fill(a);
	if (rc == 1)
		return true;
	if (rc < 0)
		fail(a, "the audit log can't be read");
	else if (a->follow)
		at_end(a);
	else
		walked(a, false);
	return rc == 0 && a->spot != NULL;
}

static void
audit_step(struct job *job)
{
	struct audit *a = (struct audit *)job;
	uint64_t until = clock_mono_us() + SLICE_US;
	while (!caller_full(a->caller) && clock_mono_us() < until)
		if (!step_on(a))
			return;
}

/* Where to begin.  false: the cursor is of another file. */
static bool
begin_at(struct audit *a, const struct stat *st)
{
	const char *text = arg(a, "cursor");
	uint64_t inode = 0, offset = 0, size = (uint64_t)st->st_size;
	if (text != NULL) {
		bool good = sscanf(text, "%" SCNu64 "-%" SCNu64, &inode, &offset) == 2 && inode == a->inode && offset <= size;
		a->at = offset;
		return good;
	}
	if (a->since > 0)
		a->at = place_of(a, a->since, size);
	if (a->spot != NULL) {
		a->begin = a->at;
		a->end = a->until >= INT64_MAX ? size : place_of(a, a->until + 3 * DISORDER_US, size) + CHUNK;
		a->end = a->end < a->begin ? a->begin : a->end;
		walk_back(a);
		return true;
	}
	a->skip = a->at > 0 ? REST : NO;
	return true;
}

static void
on_file(void *owner, struct answer *answer)
{
	struct audit *a = owner;
	struct stat st;
	a->ask = NULL;
	bool file = answer->status == 200 && answer->fd >= 0 && fstat(answer->fd, &st) == 0 && S_ISREG(st.st_mode);
	if (a->begun) { /* a rotation; the watch asks whether the caller may go on */
		if (!file || (uint64_t)st.st_ino == a->inode)
			return;
		a->next = answer->fd;
		a->next_since = clock_mono_ms();
		answer->fd = -1;
		return;
	}
	if (!file) {
		api_was_told(a->caller, answer->status);
		if (answer->status == 200)
			caller_refuse(a->caller, 404, "the gateway keeps no audit log that can be read: `audit FILE;` in its configuration would");
		else
			caller_reply(a->caller, answer->status, answer->json);
		return;
	}
	use_file(a, answer->fd, &st);
	answer->fd = -1;
	if (!begin_at(a, &st)) {
		caller_refuse(a->caller, 409, "the log was rotated since that cursor was given: ask by ?since=");
		return;
	}
	a->begun = true;
	caller_lines_begin(a->caller);
	caller_work_ready(a->caller, true);
}

static bool
take_moment(const struct audit *a, const char *name, uint64_t *when)
{
	const char *text = arg(a, name);
	if (text == NULL || directive_moment(text, when) == SP_OK)
		return true;
	caller_refuse(a->caller, 400, "\"%s\" is a time like 2026-11-24T04:12:33Z, or how long ago: 90m", name);
	return false;
}

void
audit_begin(struct caller *c, struct sp_bytes token, json_t *args)
{
	const json_t *limit = json_object_get(args, "limit");
	json_int_t last = json_integer_value(json_object_get(args, "last"));
	struct audit *a = mem_alloc(sizeof(*a));
	*a = (struct audit){ .job = { audit_step, audit_end }, .caller = c, .args = args, .fd = -1, .next = -1, .until = INT64_MAX,
		.limit = LIMIT_DEFAULT, .follow = json_is_true(json_object_get(args, "follow")), .reopened = caller_console(c)->reopened };
	if (json_integer_value(limit) > 0)
		a->limit = json_integer_value(limit) < LIMIT_MAX ? (uint64_t)json_integer_value(limit) : LIMIT_MAX;
	if (last > 0 && !a->follow) {
		a->last = last < LAST_MAX ? (uint64_t)last : LAST_MAX;
		a->spot = mem_alloc(a->last * sizeof(*a->spot));
	}
	if (a->follow && arg(a, "since") == NULL && arg(a, "cursor") == NULL)
		a->since = clock_wall_us();
	a->token = secret_new(token);
	caller_work(c, &a->job);
	if (!take_moment(a, "since", &a->since) || !take_moment(a, "until", &a->until))
		return;
	const struct question q = { caller_connection(c), token, CALL_AUDIT, args };
	a->ask = a->token == NULL ? NULL : ask_keeper(caller_console(c), &q, on_file, a);
	if (a->ask == NULL)
		caller_refuse(c, 503, "out of memory");
}
