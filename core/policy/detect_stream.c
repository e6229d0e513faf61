/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors over a stream: what may be the beginning of a finding waits for what comes next. */
#include <config.h>

#include <stdlib.h>

#include "detect.h"

#define TAIL 4096 /* bytes without an end of line that are held back */

struct detect_stream {
	uint32_t wanted;
	struct buffer held;
	bool in_key;   /* hidden until -----END … */
	bool in_token; /* a finding longer than what is held: its further characters are hidden too */
};

struct detect_stream *
detect_stream_new(uint32_t wanted)
{
	struct detect_stream *s = mem_alloc(sizeof(*s));

	s->wanted = wanted;
	return s;
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

/* Drops the rest of a finding that began earlier.  True: its end is not there yet. */
static bool
swallow(struct detect_stream *s, bool last)
{
	enum { MARK = 80 }; /* room for the line that ends a key */
	struct sp_bytes in = buffer_bytes(&s->held);

	if (s->in_token) {
		size_t n = detect_token_end(in);
		buffer_drop(&s->held, n);
		s->in_token = n == in.len;
		return s->in_token;
	}
	if (!s->in_key)
		return false;
	const uint8_t *end = in.len == 0 ? NULL : memmem(in.p, in.len, "-----END ", 9);
	const uint8_t *line = end == NULL ? NULL : memchr(end, '\n', (size_t)(in.p + in.len - end));
	if (line != NULL || (end != NULL && (last || in.p + in.len - end > MARK))) {
		buffer_drop(&s->held, line != NULL ? (size_t)(line - in.p) : in.len);
		s->in_key = false;
		return false;
	}
	size_t keep = end != NULL ? (size_t)(in.p + in.len - end) : in.len < 9 ? in.len : 9;
	buffer_drop(&s->held, last ? in.len : in.len - keep);
	return true;
}

/* Up to where nothing can become part of a finding by what comes next. */
static size_t
settled(struct sp_bytes in)
{
	size_t at = in.len;

	while (at > 0 && in.p[at - 1] != '\n' && in.len - at < TAIL)
		at--;
	return at;
}

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

static int
put_settled(struct detect_stream *s, struct sp_bytes in, size_t safe, struct buffer *out)
{
	struct span span[256];
	size_t n = detect_find(s->wanted, in, span, sizeof(span) / sizeof(*span)), at = 0;
	int rc = SP_OK;

	for (size_t i = 0; i < n && span[i].from < safe && rc == SP_OK; i++) {
		size_t len = span[i].to - span[i].from;
		bool touches = span[i].to == in.len;
		bool key = touches && key_is_open(s, (struct sp_bytes){ in.p + span[i].from, len });
		if (span[i].to > safe && !(touches && (key || len >= TAIL))) {
			safe = span[i].from; /* whole, with what comes next */
			break;
		}
		rc = buffer_put(out, (struct sp_bytes){ in.p + at, span[i].from - at });
		if (rc == SP_OK)
			rc = buffer_put(out, SP_LIT("****"));
		at = span[i].to;
		s->in_key = key;
		s->in_token = touches && !key && safe < in.len;
	}
	if (at > safe)
		safe = at;
	if (rc == SP_OK)
		rc = buffer_put(out, (struct sp_bytes){ in.p + at, safe - at });
	buffer_drop(&s->held, safe);
	return rc;
}

bool
detect_stream_holds(const struct detect_stream *s)
{
	return s->held.len > 0;
}

int
detect_stream_feed(struct detect_stream *s, struct sp_bytes chunk, bool last, struct buffer *out)
{
	int rc = buffer_put(&s->held, chunk);

	if (rc != SP_OK || swallow(s, last))
		return rc;
	struct sp_bytes in = buffer_bytes(&s->held);
	size_t safe = last ? in.len : settled(in);
	return safe == 0 ? SP_OK : put_settled(s, in, safe, out);
}
