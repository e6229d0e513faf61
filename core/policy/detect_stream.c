/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detectors over a stream: what may be the beginning of a finding waits for what comes next.
 *
 *     held:  │ shown │ not yet ······ settled │ may go on │
 *
 * What had to be let out before it was complete stays for a while, as `shown`: what completes it is hidden
 * at least.  Findings are looked for in the bytes, and in what a terminal would show of them (screen.h): an
 * escape sequence inside of one hides it from nobody.
 */
#include <config.h>

#include <stdlib.h>

#include "detect.h"
#include "screen.h"

#define TAIL 4096 /* characters without an end of line that are held back */
#define BEHIND 1024 /* bytes that stay when they were let out too early */
#define SPANS 256

struct detect_stream {
	uint32_t wanted;
	struct buffer held;
	size_t shown;  /* of what is held: the client has it */
	bool in_key;   /* hidden until -----END … */
	bool in_token; /* a finding longer than what is held: its further characters are hidden too */
	bool same_length;
};

struct detect_stream *
detect_stream_new(uint32_t wanted)
{
	struct detect_stream *s = mem_alloc(sizeof(*s));

	s->wanted = wanted;
	return s;
}

void
detect_stream_keep_length(struct detect_stream *s)
{
	s->same_length = true;
}

void
detect_stream_free(struct detect_stream **sp)
{
	struct detect_stream *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	buffer_free(&s->held);
	free(s);
}

static void
drop(struct detect_stream *s, size_t n)
{
	buffer_drop(&s->held, n);
	s->shown = s->shown > n ? s->shown - n : 0;
}

static int
put_stars(size_t n, struct buffer *out)
{
	static const char stars[] = "****************************************************************";
	int rc = SP_OK;

	for (size_t some; n > 0 && rc == SP_OK; n -= some) {
		some = n < sizeof(stars) - 1 ? n : sizeof(stars) - 1;
		rc = buffer_put(out, (struct sp_bytes){ (const uint8_t *)stars, some });
	}
	return rc;
}

/* So much more of a finding that began earlier. */
static int
hide(struct detect_stream *s, size_t n, struct buffer *out)
{
	int rc = s->same_length ? put_stars(n, out) : SP_OK;

	drop(s, n);
	return rc;
}

/* Hides the rest of a finding that began earlier; *open_r: its end is not there yet. */
static int
swallow(struct detect_stream *s, bool last, struct buffer *out, bool *open_r)
{
	enum { MARK = 80 }; /* room for the line that ends a key */
	struct sp_bytes in = buffer_bytes(&s->held);

	*open_r = false;
	if (s->in_token) {
		size_t n = detect_token_end(in);
		s->in_token = *open_r = n == in.len;
		return hide(s, n, out);
	}
	if (!s->in_key)
		return SP_OK;
	const uint8_t *end = in.len == 0 ? NULL : memmem(in.p, in.len, "-----END ", 9);
	const uint8_t *line = end == NULL ? NULL : memchr(end, '\n', (size_t)(in.p + in.len - end));
	if (line != NULL || (end != NULL && (last || in.p + in.len - end > MARK))) {
		s->in_key = false;
		return hide(s, line != NULL ? (size_t)(line - in.p) : in.len, out);
	}
	size_t keep = end != NULL ? (size_t)(in.p + in.len - end) : in.len < 9 ? in.len : 9;
	*open_r = true;
	return hide(s, last ? in.len : in.len - keep, out);
}

/* ---- one look at what is held ---- */

struct look {
	struct sp_bytes in;
	struct screen screen; /* `text` NULL: the bytes are what is read */
	struct span span[2 * SPANS]; /* in the bytes, in order, apart */
	size_t n;
};

/* Where the last line begins, but no further back than so many bytes. */
static size_t
last_line(struct sp_bytes in, size_t most)
{
	size_t at = in.len;

	while (at > 0 && in.p[at - 1] != '\n' && in.len - at < most)
		at--;
	return at;
}

/* Up to where nothing can become part of a finding by what comes next. */
static size_t
settled(const struct look *l)
{
	const struct screen *c = &l->screen;

	if (c->text == NULL)
		return last_line(l->in, TAIL);
	size_t at = last_line(l->in, DETECT_HELD);
	if (c->len > TAIL && c->at[c->len - TAIL] > at)
		at = c->at[c->len - TAIL];
	bool too_long = l->in.len - c->open > DETECT_HELD;
	return c->open < at && !too_long ? c->open : at;
}

static int
by_begin(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Findings among the characters become such of the bytes, and meet those that the bytes alone have. */
static void
look_at_screen(uint32_t wanted, struct look *l)
{
	const struct screen *c = &l->screen;
	struct span *more = l->span + l->n;
	size_t n = detect_find(wanted, (struct sp_bytes){ c->text, c->len }, more, SPANS), joined = 0;

	for (size_t i = 0; i < l->n; i++) /* a sequence that is itself one is not kept */
		memset(c->escape + l->span[i].from, 0, l->span[i].to - l->span[i].from);
	for (size_t i = 0; i < n; i++) {
		bool end = more[i].to == c->len && l->in.len - c->to[c->len - 1] > 0 && c->open == l->in.len;
		more[i].from = c->at[more[i].from];
		more[i].to = end ? l->in.len : c->to[more[i].to - 1];
	}
	l->n += n;
	qsort(l->span, l->n, sizeof(*l->span), by_begin);
	for (size_t i = 0; i < l->n; i++) {
		struct span *last = joined == 0 ? NULL : &l->span[joined - 1];
		if (last != NULL && l->span[i].from <= last->to)
			last->to = l->span[i].to > last->to ? l->span[i].to : last->to;
		else
			l->span[joined++] = l->span[i];
	}
	l->n = joined;
}

static int
look_at(uint32_t wanted, struct sp_bytes in, struct look *l)
{
	l->in = in;
	l->screen.text = NULL;
	l->n = detect_find(wanted, in, l->span, SPANS);
	if (!screen_hides(in))
		return SP_OK;
	int rc = screen_read(in, &l->screen);
	if (rc == SP_OK)
		look_at_screen(wanted, l);
	return rc;
}

/* ---- what is shown of it ---- */

/* A key whose first line is in the bytes, and whose last line is not. */
static bool
key_is_open(const struct detect_stream *s, struct sp_bytes in)
{
	const uint8_t *begin = NULL, *end = in.p + in.len;

	if ((s->wanted >> DETECT_PRIVATE_KEY & 1) == 0)
		return false;
	for (const uint8_t *p = in.p; p < end && (p = memmem(p, (size_t)(end - p), "PRIVATE KEY-----", 16)) != NULL; p++)
		begin = p;
	const uint8_t *mark = in.p;
	for (const uint8_t *p = in.p; p < end && (p = memmem(p, (size_t)(end - p), "-----END ", 9)) != NULL; p++)
		mark = p;
	return begin != NULL && (mark == in.p || begin > mark + 40);
}

/* What of it the client does not have yet. */
static int
put(const struct detect_stream *s, const struct look *l, size_t from, size_t to, struct buffer *out)
{
	from = from > s->shown ? from : s->shown;
	return from < to ? buffer_put(out, (struct sp_bytes){ l->in.p + from, to - from }) : SP_OK;
}

/* A finding, but for the sequences in it: colours that begin there may be meant for what comes after. */
static int
put_hidden(const struct detect_stream *s, const struct look *l, const struct span *span, struct buffer *out)
{
	size_t from = span->from > s->shown ? span->from : s->shown;
	if (s->same_length)
		return from < span->to ? put_stars(span->to - from, out) : SP_OK;
	int rc = span->to > s->shown ? buffer_put(out, SP_LIT("****")) : SP_OK;

	for (size_t i = span->from; l->screen.text != NULL && i < span->to && rc == SP_OK; i++)
		if (l->screen.escape[i])
			rc = put(s, l, i, i + 1, out);
	return rc;
}

static int
put_settled(struct detect_stream *s, const struct look *l, size_t safe, struct buffer *out)
{
	struct sp_bytes in = l->in;
	size_t at = 0;
	int rc = SP_OK;

	for (size_t i = 0; i < l->n && l->span[i].from < safe && rc == SP_OK; i++) {
		const struct span *span = &l->span[i];
		size_t len = span->to - span->from;
		bool touches = span->to == in.len;
		bool key = touches && key_is_open(s, (struct sp_bytes){ in.p + span->from, len });
		if (span->to > safe && !(touches && (key || len >= TAIL))) {
			safe = span->from; /* whole, with what comes next */
			break;
		}
		rc = put(s, l, at, span->from, out);
		if (rc == SP_OK)
			rc = put_hidden(s, l, span, out);
		at = span->to;
		s->in_key = key;
		s->in_token = touches && !key && safe < in.len;
	}
	if (at > safe)
		safe = at;
	if (rc == SP_OK)
		rc = put(s, l, at, safe, out);
	/* let out before it had to be complete: it may be yet */
	size_t behind = safe < in.len || s->in_key || s->in_token ? 0 : in.len - last_line(in, BEHIND);
	drop(s, safe - behind);
	if (safe == in.len)
		s->shown = behind;
	return rc;
}

bool
detect_stream_holds(const struct detect_stream *s)
{
	return s->held.len > s->shown;
}

static int
feed(struct detect_stream *s, struct sp_bytes chunk, bool last, struct buffer *out)
{
	static struct look look; /* one thread */
	bool open;
	int rc = buffer_put(&s->held, chunk);

	if (rc == SP_OK)
		rc = swallow(s, last, out, &open);
	if (rc != SP_OK || open || s->held.len == 0)
		return rc;
	rc = look_at(s->wanted, buffer_bytes(&s->held), &look);
	if (rc != SP_OK)
		return rc;
	size_t safe = last ? look.in.len : settled(&look);
	if (safe < s->shown)
		safe = s->shown;
	return safe == 0 ? SP_OK : put_settled(s, &look, safe, out);
}

int
detect_stream_feed(struct detect_stream *s, struct sp_bytes chunk, bool last, struct buffer *out)
{
	int rc = feed(s, chunk, last, out);

	if (last && s->same_length) {
		buffer_drop(&s->held, s->held.len);
		s->shown = 0;
		s->in_key = s->in_token = false;
	}
	return rc;
}
