/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport search`: the gateway looks into what it can read; sealed recordings are looked into here, where the key is. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "../record/match.h"
#include "../record/recording.h"
#include "../record/text.h"
#include "recordings.h"

struct search {
	const struct run *r;
	json_t *matches, *done; /* done: NULL until the last line came */
};

static int
search_found(struct search *s, json_t *match)
{
	if (s->r->json)
		return json_array_append(s->matches, match) == 0 ? DONE : failed("out of memory");
	print_progress_end();
	print_safe(stdout, sp_str(json_string_value(json_object_get(match, "session"))), 0);
	(void)printf(".%lld  ", json_integer_value(json_object_get(match, "op")));
	print_safe(stdout, sp_str(json_string_value(json_object_get(match, "text"))), 160);
	(void)printf("\n");
	return DONE;
}

static int
search_line(void *owner, json_t *line)
{
	struct search *s = owner;
	json_t *match = json_object_get(line, "match"), *done = json_object_get(line, "done");
	const json_t *error = json_object_get(line, "error"), *progress = json_object_get(line, "progress");
	if (error != NULL)
		return failed("%s", json_is_string(error) ? json_string_value(error) : "the search failed");
	if (progress != NULL)
		print_progress("searching", (uint64_t)json_integer_value(json_array_get(progress, 0)),
		    (uint64_t)json_integer_value(json_array_get(progress, 1)));
	if (done != NULL)
		s->done = json_incref(done);
	return match == NULL ? DONE : search_found(s, match);
}

/* What the search could not look into is said: silence would read as "not there". */
static int
search_told(const struct search *s)
{
	static const struct {
		const char *name, *text;
	} part[] = {
		{ "sealed", "are sealed to an auditor: search them where the key is, with --key" },
		{ "unreadable", "could not be read: `sallyport verify` says why" },
	};
	if (s->r->json) {
		(void)json_object_set(s->done, "matches", s->matches);
		return print_json(s->done);
	}
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++) {
		json_int_t n = json_integer_value(json_object_get(s->done, part[i].name));
		if (n > 0)
			(void)fprintf(stderr, "sallyport: %lld recordings %s\n", n, part[i].text);
	}
	if (json_is_true(json_object_get(s->done, "more")))
		(void)fprintf(stderr, "sallyport: there are more: narrow it with --user or --target\n");
	return DONE;
}

/* ---- sealed recordings, here ---- */

static int
search_frames(struct search *s, const json_t *session, struct recording *rec)
{
	struct sp_bytes text = sp_str(s->r->word[0]), where;
	struct frame f;
	const char *err;
	size_t at;
	int rc = DONE, next;
	while (rc == DONE && (next = recording_next(rec, &f, &err)) == 1) {
		/* what is in the clear was searched there */
		const bool clear = !frame_is_stream(f.type) && (f.flags & FRAME_PART) == 0 && !f.opened;
		if (clear || !match_frame(&f, text, &where, &at))
			continue;
		char line[1024];
		struct sp_writer w = sp_writer((uint8_t *)line, sizeof(line));
		text_shown(&w, match_around(where, at, text.len));
		json_t *match = json_pack("{s:O,s:I,s:I,s:s,s:s%}", "session", json_object_get(session, "id"), "op", (json_int_t)f.op, "frame",
		    (json_int_t)f.number, "kind", frame_name(f.type), "text", line, w.bad ? (size_t)0 : w.len);
		rc = match == NULL ? failed("out of memory") : search_found(s, match);
		json_decref(match);
	}
	return rc;
}

static int
search_one(struct search *s, const json_t *session, const uint8_t key[SEAL_KEY])
{
	struct recording *rec;
	const char *err;
	const char *id = json_string_value(json_object_get(session, "id"));
	int fd = id == NULL ? -1 : recording_fetch(s->r, id);
	if (fd < 0 || recording_open(fd, key, &rec, &err) != SP_OK)
		return DONE; /* why was said; the others may be readable */
	int rc = search_frames(s, session, rec);
	recording_close(&rec);
	return rc;
}

static int
search_sealed(struct search *s, json_t *args, const uint8_t key[SEAL_KEY])
{
	json_t *answer;
	const json_t *session;
	size_t i;
	(void)json_object_set_new(args, "limit", json_integer(1000));
	int rc = client_call(s->r, "GET", "/api/v1/sessions", args, &answer);
	if (rc != DONE)
		return rc;
	const json_t *sessions = json_object_get(answer, "sessions");
	json_array_foreach(sessions, i, session) {
		print_progress("searching sealed recordings", i, json_array_size(sessions));
		rc = rc == DONE ? search_one(s, session, key) : rc;
	}
	print_progress_end();
	json_decref(answer);
	(void)json_object_set_new(s->done, "sealed", json_integer(0));
	return rc;
}

/* ---- all of it ---- */

static json_t *
search_args(const struct run *r)
{
	static const char *const names[] = { "user", "target", "since", "until" };
	json_t *args = json_object();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (option(r, names[i]) != NULL)
			(void)json_object_set_new(args, names[i], json_string(option(r, names[i])));
	return args;
}

int
run_search(struct run *r)
{
	struct search s = { r, json_array(), NULL };
	uint8_t key[SEAL_KEY];
	bool have_key;
	json_t *args = search_args(r);
	int rc = recording_key(r, key, &have_key);
	(void)json_object_set_new(args, "text", json_string(r->word[0]));
	if (rc == DONE)
		rc = client_lines(r, "/api/v1/search", args, search_line, &s);
	else
		json_decref(args);
	print_progress_end();
	if (rc == DONE && s.done == NULL)
		rc = failed("the search ended before its end");
	if (rc == DONE && have_key && json_integer_value(json_object_get(s.done, "sealed")) > 0)
		rc = search_sealed(&s, search_args(r), key);
	if (rc == DONE)
		rc = search_told(&s);
	mem_wipe(key, sizeof(key));
	json_decref(s.matches);
	json_decref(s.done);
	return rc;
}
