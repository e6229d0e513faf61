/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for a text in recordings: the keeper lists those that the caller may read, each is
 * fetched with the caller's own token and read slice by slice.
 *
 *   LISTING ─▶ FETCHING ─▶ READING ─▶ FETCHING … ─▶ the last line
 *
 * Lines: {"match": {…}}, {"progress": [done, all]}, and last {"done": {…}}.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "../record/match.h"
#include "../record/recording.h"
#include "console.h"

#define SLICE_US 3000
#define PROGRESS_US 500000
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000

struct search {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	struct sp_secret *token;
	json_t *args, *sessions; /* the keeper's answer */
	struct sp_bytes text;    /* in args */
	size_t at;               /* in sessions */
	struct recording *recording;
	uint64_t matches, limit, searched, sealed, unreadable, told_at;
	bool begun;
};

static void search_next(struct search *s);

static const json_t *
session_now(const struct search *s)
{
	return json_array_get(json_object_get(s->sessions, "sessions"), s->at);
}

static size_t
session_count(const struct search *s)
{
	return json_array_size(json_object_get(s->sessions, "sessions"));
}

static void
search_end(struct job *job)
{
	struct search *s = (struct search *)job;
	ask_cancel(&s->ask);
	recording_close(&s->recording);
	secret_free(&s->token);
	json_decref(s->args);
	json_decref(s->sessions);
	free(s);
}

/* ---- finding ---- */

/* The surroundings of a match, fit for JSON and for a terminal. */
static json_t *
surroundings(struct sp_bytes in, size_t at, size_t len)
{
	struct sp_bytes around = match_around(in, at, len);
	char out[256] = "";
	size_t n = around.len < sizeof(out) ? around.len : sizeof(out);
	for (size_t i = 0; i < n; i++)
		out[i] = around.p[i] < ' ' || around.p[i] == 0x7f ? ' ' : (char)around.p[i];
	json_t *text = json_stringn(out, n);
	for (size_t i = 0; text == NULL && i < n; i++) /* no UTF-8, or cut inside a character */
		if ((uint8_t)out[i] >= 0x80)
			out[i] = '?';
	return text != NULL ? text : json_stringn(out, n);
}

static void
tell_match(struct search *s, const struct frame *f, json_t *text)
{
	const json_t *session = session_now(s);
	s->matches++;
	caller_line(s->caller, json_pack("{s{sOsOsOsIsIsIssso}}", "match", "session", json_object_get(session, "id"), "user",
	    json_object_get(session, "user"), "target", json_object_get(session, "target"), "op", (json_int_t)f->op, "frame",
	    (json_int_t)f->number, "at", (json_int_t)f->at, "kind", frame_name(f->type), "text", text));
}

static void
look_into(struct search *s, const struct frame *f)
{
	struct sp_bytes where;
	size_t at;
	if (match_frame(f, s->text, &where, &at))
		tell_match(s, f, surroundings(where, at, s->text.len));
}

/* ---- the walk ---- */

static void
search_finish(struct search *s)
{
	caller_work_ready(s->caller, false);
	caller_line(s->caller, json_pack("{s{sIsIsIsIsb}}", "done", "matches", (json_int_t)s->matches, "searched",
	    (json_int_t)s->searched, "sealed", (json_int_t)s->sealed, "unreadable", (json_int_t)s->unreadable, "more",
	    s->matches >= s->limit));
	caller_lines_end(s->caller);
}

static void
tell_progress(struct search *s)
{
	uint64_t now = clock_mono_us();
	if (now - s->told_at < PROGRESS_US)
		return;
	s->told_at = now;
	caller_line(s->caller, json_pack("{s[II]}", "progress", (json_int_t)s->at, (json_int_t)session_count(s)));
}

static void
on_recording(void *owner, struct answer *a)
{
	struct search *s = owner;
	const char *why;
	s->ask = NULL;
	int fd = a->fd;
	a->fd = -1;
	if (a->status != 200 || fd < 0 || recording_open(fd, NULL, &s->recording, &why) != SP_OK) {
		s->unreadable++;
		s->at++;
		search_next(s);
		return;
	}
	caller_work_ready(s->caller, true);
}

static void
search_step(struct job *job)
{
	struct search *s = (struct search *)job;
	struct frame f;
	const char *why;
	uint64_t until = clock_mono_us() + SLICE_US;
	if (s->recording == NULL) { /* the next one: here, so that answers that come at once do not nest */
		caller_work_ready(s->caller, false);
		search_next(s);
		return;
	}
	tell_progress(s);
	while (s->matches < s->limit && clock_mono_us() < until) {
		int rc = recording_next(s->recording, &f, &why);
		if (rc <= 0) {
			/* of a sealed one only kinds, verdicts and rules were seen here */
			if (rc < 0)
				s->unreadable++;
			else if (recording_sealed(s->recording))
				s->sealed++;
			else
				s->searched++;
			recording_close(&s->recording);
			s->at++;
			return;
		}
		look_into(s, &f);
	}
	if (s->matches >= s->limit)
		search_finish(s);
}

/* Asks for the next recording, or ends. */
static void
search_next(struct search *s)
{
	if (s->at >= session_count(s)) {
		search_finish(s);
		return;
	}
	json_t *args = json_pack("{sO}", "id", json_object_get(session_now(s), "id"));
	const struct question q = { caller_connection(s->caller), secret_bytes(s->token), CALL_RECORDING, args };
	s->ask = args == NULL ? NULL : ask_keeper(caller_console(s->caller), &q, on_recording, s);
	json_decref(args);
	if (s->ask == NULL)
		search_finish(s);
}

static void
on_list(void *owner, struct answer *a)
{
	struct search *s = owner;
	s->ask = NULL;
	if (a->status != 200) {
		caller_reply(s->caller, a->status, a->json);
		return;
	}
	s->sessions = json_loadb((const char *)a->json.p, a->json.len, JSON_REJECT_DUPLICATES, NULL);
	caller_lines_begin(s->caller);
	search_next(s);
}

void
search_begin(struct caller *c, struct sp_bytes token, json_t *args)
{
	const json_t *text = json_object_get(args, "text"), *limit = json_object_get(args, "limit");
	if (json_string_length(text) == 0) {
		json_decref(args);
		caller_refuse(c, 400, "say what to look for: ?text=");
		return;
	}
	struct search *s = mem_alloc(sizeof(*s));
	*s = (struct search){ .job = { search_step, search_end }, .caller = c, .args = args, .limit = LIMIT_DEFAULT };
	s->text = (struct sp_bytes){ (const uint8_t *)json_string_value(text), json_string_length(text) };
	if (limit != NULL && json_integer_value(limit) > 0)
		s->limit = json_integer_value(limit) < LIMIT_MAX ? (uint64_t)json_integer_value(limit) : LIMIT_MAX;
	s->token = secret_new(token);
	caller_work(c, &s->job);
	const struct question q = { caller_connection(c), token, CALL_SEARCH, args };
	s->ask = s->token == NULL ? NULL : ask_keeper(caller_console(c), &q, on_list, s);
	if (s->ask == NULL)
		caller_refuse(c, 503, "out of memory");
}
