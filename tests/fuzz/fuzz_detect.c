/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detectors over any bytes: findings in order and within; a stream shows nothing that the whole would hide.  Where what is hidden
 * keeps its length, each byte is itself or a star.
 */
#include <config.h>

#include <stdlib.h>

#include "core/policy/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL (~0u >> (32 - DETECTORS))

static void
stream(struct sp_bytes in, size_t at)
{
	struct detect_stream *s = detect_stream_new(ALL);
	struct buffer out = { 0 };

	if (detect_stream_feed(s, (struct sp_bytes){ in.p, at }, false, &out) != SP_OK
	    || detect_stream_feed(s, (struct sp_bytes){ in.p + at, in.len - at }, true, &out) != SP_OK)
		abort();
	buffer_free(&out);
	detect_stream_free(&s);
}

static void
same_length(struct sp_bytes in, size_t at)
{
	struct detect_stream *s = detect_stream_new(ALL);
	struct buffer out = { 0 };

	detect_stream_keep_length(s);
	if (detect_stream_feed(s, (struct sp_bytes){ in.p, at }, false, &out) != SP_OK
	    || detect_stream_feed(s, (struct sp_bytes){ in.p + at, in.len - at }, true, &out) != SP_OK)
		abort();
	if (out.len != in.len || detect_stream_holds(s))
		abort();
	for (size_t i = 0; i < in.len; i++)
		if (buffer_bytes(&out).p[i] != in.p[i] && buffer_bytes(&out).p[i] != '*')
			abort();
	buffer_free(&out);
	detect_stream_free(&s);
}

/* A glance must not cost a finding. */
static void
same_slowly(uint32_t wanted, struct sp_bytes in)
{
	struct span fast[16], slow[16];
	size_t n = detect_find(wanted, in, fast, 16);

	if (n != detect_find_slowly(wanted, in, slow, 16))
		abort();
	for (size_t i = 0; i < n; i++)
		if (fast[i].from != slow[i].from || fast[i].to != slow[i].to)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s[16];

	if (detect_prepare() != SP_OK)
		abort();
	same_slowly(ALL, (struct sp_bytes){ data, size });
	same_slowly(size == 0 ? 1 : 1u << data[0] % DETECTORS, (struct sp_bytes){ data, size });
	size_t n = detect_find(ALL, (struct sp_bytes){ data, size }, s, 16);
	for (size_t i = 0; i < n; i++)
		if (s[i].from >= s[i].to || s[i].to > size || (i > 0 && s[i].from < s[i - 1].to))
			abort();
	stream((struct sp_bytes){ data, size }, size == 0 ? 0 : data[0] % (size + 1));
	same_length((struct sp_bytes){ data, size }, size == 0 ? 0 : data[0] % (size + 1));
	return 0;
}
