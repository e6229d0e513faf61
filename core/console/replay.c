/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording, shown as a stream: frame by frame, slice by slice, no faster than its reader takes it.
 *
 *   fetched ─▶ frames ─▶ the end of what there is ─ follow ─▶ wait for more (watch.c) ─▶ frames … ─▶ its last frame
 *
 * What is held is one frame and what the connection has not taken of it: a slow reader costs that, and delays nobody.
 * Sealed recordings are shown as far as they are clear.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "../record/recording.h"
#include "../record/show.h"
#include "console.h"

#define SLICE_US 3000
#define ROW_MAX (8u << 20) /* of a row that is put together */
#define HEADS 64u          /* operations whose frames stand among one another's */

struct replay {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	struct sp_secret *token;
	struct recording *recording;
	struct watch *watch;
	struct show show;
	struct buffer out;
	bool follow, ended;  /* ended: its last frame was shown */
	uint64_t head;       /* bytes of each operation's stream that are shown; 0: all */
	struct {
		uint32_t op;
		uint64_t bytes;
	} told[HEADS];
};

static const char *const types[] = { [SHOW_TEXT] = "text/plain; charset=utf-8", [SHOW_JSONL] = "application/x-ndjson",
	[SHOW_ASCIICAST] = "application/x-asciicast", [SHOW_TERMINAL] = "text/plain; charset=utf-8" };
_Static_assert(sizeof(types) / sizeof(*types) == SHOW_FORMS, "a type for each form");

static void
replay_end(struct job *job)
{
	struct replay *r = (struct replay *)job;
	ask_cancel(&r->ask);
	watch_free(&r->watch);
	recording_close(&r->recording);
	secret_free(&r->token);
	show_end(&r->show);
	buffer_free(&r->out);
	free(r);
}

/* In the middle there is no status any more: JSON lines have a line for it, the others end visibly cut. */
static void
fail(struct replay *r, const char *why)
{
	caller_work_ready(r->caller, false);
	watch_free(&r->watch);
	if (r->show.form != SHOW_JSONL) {
		caller_cut(r->caller);
		return;
	}
	caller_line(r->caller, json_pack("{s:s}", "error", why));
	caller_lines_end(r->caller);
}

static void
over(void *owner, const char *why)
{
	fail(owner, why);
}

static void
look(void *owner)
{
	struct replay *r = owner;
	if (recording_more(r->recording))
		caller_work_ready(r->caller, true);
}

/* All that is there now was shown. */
static void
at_end(struct replay *r)
{
	const struct watch_use use = { look, over, r };
	caller_work_ready(r->caller, false);
	if (!r->follow || r->ended) {
		watch_free(&r->watch);
		caller_lines_end(r->caller);
		return;
	}
	if (r->watch == NULL)
		r->watch = watch_new(r->caller, secret_bytes(r->token), &use);
	if (r->watch == NULL)
		fail(r, "out of memory");
}

/* It is behind the head of its operation.  Of more than HEADS at once some may show more than that. */
static bool
left_out(struct replay *r, const struct frame *f)
{
	if (r->head == 0 || (f->type != FRAME_ROWS && !frame_is_stream(f->type)))
		return false;
	uint32_t i = f->op % HEADS;
	if (r->told[i].op != f->op) {
		r->told[i].op = f->op;
		r->told[i].bytes = 0;
	}
	bool out = r->told[i].bytes >= r->head;
	if (out && f->type == FRAME_ROWS && r->show.op == f->op)
		buffer_free(&r->show.rows); /* of a row that goes on behind it */
	r->told[i].bytes += f->payload.len;
	return out;
}

static bool
show_one(struct replay *r, const struct frame *f)
{
	struct sp_writer w = buffer_writer(&r->out);
	show_frame(&r->show, f, &w);
	if (buffer_written(&r->out, &w) != SP_OK)
		return false;
	caller_piece(r->caller, buffer_bytes(&r->out));
	buffer_free(&r->out);
	r->ended = r->ended || f->type == FRAME_END || f->type == FRAME_TORN;
	return true;
}

static void
replay_step(struct job *job)
{
	struct replay *r = (struct replay *)job;
	uint64_t until = clock_mono_us() + SLICE_US;
	struct frame f;
	const char *why = "";
	while (!caller_full(r->caller) && clock_mono_us() < until) {
		int rc = recording_next(r->recording, &f, &why);
		if (rc == 0)
			at_end(r);
		else if (rc < 0)
			fail(r, why);
		else if (!left_out(r, &f) && !show_one(r, &f))
			fail(r, "out of memory");
		else
			continue;
		return;
	}
}

static void
on_recording(void *owner, struct answer *a)
{
	struct replay *r = owner;
	const char *why = "";
	int fd = a->fd;
	r->ask = NULL;
	if (a->status != 200 || fd < 0) {
		api_was_told(r->caller, a->status);
		caller_reply(r->caller, a->status == 200 ? 502 : a->status, a->json);
		return;
	}
	a->fd = -1;
	if (recording_open(fd, NULL, &r->recording, &why) != SP_OK) {
		caller_refuse(r->caller, 500, "the recording can't be read: %s", why);
		return;
	}
	caller_stream_begin(r->caller, types[r->show.form]);
	caller_work_ready(r->caller, true);
}

void
replay_begin(struct caller *c, struct sp_bytes token, json_t *args)
{
	const char *format = json_string_value(json_object_get(args, "format"));
	enum show_form form = SHOW_JSONL;
	json_int_t after = json_integer_value(json_object_get(args, "after")), head = json_integer_value(json_object_get(args, "head"));
	if (format != NULL && !show_form_named(format, &form)) {
		json_decref(args);
		caller_refuse(c, 400, "the format is jsonl, text, asciicast or terminal");
		return;
	}
	struct replay *r = mem_alloc(sizeof(*r));
	*r = (struct replay){ .job = { replay_step, replay_end }, .caller = c, .follow = json_is_true(json_object_get(args, "follow")),
		.head = head > 0 ? (uint64_t)head : 0 };
	r->show = (struct show){ .form = form, .rows = { .max = ROW_MAX }, .after = after > UINT32_MAX ? UINT32_MAX : (uint32_t)after };
	r->token = secret_new(token);
	caller_work(c, &r->job);
	const struct question q = { caller_connection(c), token, CALL_REPLAY, args };
	r->ask = r->token == NULL ? NULL : ask_keeper(caller_console(c), &q, on_recording, r);
	json_decref(args);
	if (r->ask == NULL)
		caller_refuse(c, 503, "out of memory");
}
