/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes, as server-sent events.
 *
 *   asked ─ the keeper answers once something changed, or after two seconds ─▶ told ─ taken by the reader ─▶ asked again
 *
 * Each question carries the caller's own proof, so a sign-in that ends ends the stream.  What is held is one answer: a slow
 * reader is asked for no more until it has taken that, and when it is too slow for what the keeper keeps, it is told to load
 * the lists anew (`reset`).  An answer without news is a comment on the wire, which shows both sides that the other lives.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "console.h"

#define AGAIN_MS 500        /* while the keeper is away */
#define GRACE_MS 60000      /* so long it may be: then the browser has to ask anew */
#define AFTER_MAX 24

struct stream {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	struct sp_secret *token;
	struct event *again;
	json_t *args;
	uint64_t sure;      /* mono ms of the last good answer */
	bool begun;
};

static void
stream_end(struct job *job)
{
	struct stream *s = (struct stream *)job;
	ask_cancel(&s->ask);
	if (s->again != NULL)
		event_free(s->again);
	secret_free(&s->token);
	json_decref(s->args);
	free(s);
}

static void stream_answered(void *owner, struct answer *a);

static void
stream_ask(struct stream *s)
{
	const struct question q = { caller_connection(s->caller), secret_bytes(s->token), CALL_EVENTS, s->args };
	s->ask = ask_keeper(caller_console(s->caller), &q, stream_answered, s);
	if (s->ask == NULL && s->begun)
		caller_cut(s->caller);
	else if (s->ask == NULL)
		caller_refuse(s->caller, 503, "out of memory");
}

/* The reader has room again. */
static void
stream_step(struct job *job)
{
	struct stream *s = (struct stream *)job;
	caller_work_ready(s->caller, false);
	if (s->ask == NULL)
		stream_ask(s);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	(void)fd, (void)what;
	if (s->ask == NULL)
		stream_ask(s);
}

/* One event; takes data over.  JSON has no line ends of its own. */
static void
tell(struct stream *s, const char *name, const char *id, json_t *data)
{
	struct buffer b = { .p = NULL };
	char *json = data == NULL ? NULL : json_dumps(data, JSON_COMPACT);
	json_decref(data);
	if (json == NULL || buffer_printf(&b, "event: %s\n%s%s%sdata: %s\n\n", name, id == NULL ? "" : "id: ", id == NULL ? "" : id, id == NULL ? "" : "\n", json) != SP_OK)
		caller_cut(s->caller);
	else
		caller_piece(s->caller, buffer_bytes(&b));
	buffer_free(&b);
	free(json);
}

static void
finish(struct stream *s, const char *why)
{
	tell(s, "end", NULL, json_pack("{s:s}", "error", why));
	caller_lines_end(s->caller);
}

/* The answer's changes; the last carries the id, so that what is lost in the middle is told again. */
static void
tell_all(struct stream *s, const json_t *answer)
{
	const char *after = json_string_value(json_object_get(answer, "after"));
	json_t *one;
	size_t i;
	const json_t *events = json_object_get(answer, "events");
	json_array_foreach(events, i, one)
		tell(s, json_string_value(json_object_get(one, "what")), NULL, json_incref(one));
	bool reset = json_is_true(json_object_get(answer, "reset"));
	if (!s->begun || reset)
		tell(s, reset ? "reset" : "ready", after, json_object());
	else if (json_array_size(events) > 0)
		tell(s, "at", after, json_object());
	else
		caller_piece(s->caller, SP_LIT(":\n\n"));
	(void)json_object_set_new(s->args, "after", json_string(after));
}

static bool
well_formed(const json_t *o)
{
	const json_t *events = json_object_get(o, "events"), *one;
	size_t i, len = json_string_length(json_object_get(o, "after"));
	json_array_foreach(events, i, one)
		if (!json_is_string(json_object_get(one, "what")))
			return false;
	return len > 0 && len < AFTER_MAX && json_is_array(events);
}

static void
on_news(struct stream *s, const json_t *o)
{
	if (!s->begun) {
		caller_stream_begin(s->caller, "text/event-stream");
		caller_piece(s->caller, SP_LIT("retry: 1000\n\n"));
	}
	tell_all(s, o);
	s->begun = true;
	s->sure = clock_mono_ms();
	if (caller_console(s->caller)->quitting)
		finish(s, "the gateway ends: ask again in a moment");
	else
		caller_work_ready(s->caller, true);
}

static void
stream_answered(void *owner, struct answer *a)
{
	struct stream *s = owner;
	static const struct timeval soon = { 0, AGAIN_MS * 1000 };
	s->ask = NULL;
	json_t *o = a->status == 200 ? json_loadb((const char *)a->json.p, a->json.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	bool away = a->status >= 500 || a->status == 429;
	if (well_formed(o)) {
		on_news(s, o);
	} else if (!s->begun) {
		api_was_told(s->caller, a->status);
		caller_reply(s->caller, a->status == 200 ? 502 : a->status, a->json);
	} else if (away && clock_mono_ms() - s->sure < GRACE_MS && !caller_console(s->caller)->quitting && event_add(s->again, &soon) == 0) {
		caller_piece(s->caller, SP_LIT(":\n\n"));
	} else {
		finish(s, away ? "the gateway could not say for too long what changes: ask again" : "your sign-in has ended: sign in again");
	}
	json_decref(o);
}

void
events_begin(struct caller *c, struct sp_bytes token, json_t *args)
{
	struct stream *s = mem_alloc(sizeof(*s));
	*s = (struct stream){ .job = { stream_step, stream_end }, .caller = c, .args = args, .sure = clock_mono_ms() };
	s->token = secret_new(token);
	s->again = event_new(caller_console(c)->role.base, -1, 0, on_again, s);
	caller_work(c, &s->job);
	if (s->again == NULL || s->token == NULL)
		caller_refuse(c, 503, "out of memory");
	else
		stream_ask(s);
}
