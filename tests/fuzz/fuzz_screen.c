/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal's bytes: what of them is read is in order and of them; a stream without a finding comes out as it
 * went in, however it was cut and let out; a card with anything silent in it does not come out.
 */
#include <config.h>

#include <stdlib.h>

#include "core/policy/detect.h"
#include "core/policy/screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_screen(struct sp_bytes in)
{
	struct screen s;

	if (screen_read(in, &s) != SP_OK || s.len > in.len || s.open > in.len)
		abort();
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] >= s.to[i] || s.to[i] > in.len || s.escape[s.to[i] - 1] || s.text[i] != in.p[s.to[i] - 1] || (i > 0 && s.at[i] < s.to[i - 1]))
			abort();
	if (!screen_hides(in) && (s.len != in.len || s.open != in.len))
		abort();
}

/* In pieces, each let out or not, as the input itself says. */
static void
feed(struct sp_bytes in, bool let_out, struct buffer *out)
{
	struct detect_stream *d = detect_stream_new(detect_bit("card"));

	for (size_t at = 0, n; at < in.len; at += n) {
		n = 1u + in.p[at] % 64u;
		n = n < in.len - at ? n : in.len - at;
		if (detect_stream_feed(d, (struct sp_bytes){ in.p + at, n }, false, out) != SP_OK)
			abort();
		if (let_out && in.p[at] % 3 == 0 && detect_stream_feed(d, (struct sp_bytes){ NULL, 0 }, true, out) != SP_OK)
			abort();
	}
	if (detect_stream_feed(d, (struct sp_bytes){ NULL, 0 }, true, out) != SP_OK)
		abort();
	detect_stream_free(&d);
}

static bool
has_card(struct sp_bytes in)
{
	struct screen s;
	struct span span;

	if (detect_find(detect_bit("card"), in, &span, 1) > 0)
		return true;
	return screen_read(in, &s) != SP_OK || detect_find(detect_bit("card"), (struct sp_bytes){ s.text, s.len }, &span, 1) > 0;
}

static bool
may_have_card(struct sp_bytes in)
{
	unsigned digits = 0;

	for (size_t i = 0; i < in.len; i++)
		digits += in.p[i] >= '0' && in.p[i] <= '9';
	return digits >= 13;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_bytes in = { data, size };
	struct buffer out = { 0 };

	if (detect_prepare() != SP_OK)
		abort();
	check_screen(in);
	feed(in, false, &out);
	if (has_card(in) == sp_bytes_eq(buffer_bytes(&out), in) && memmem(data, size, "****", 4) == NULL && size < 4096)
		abort();
	buffer_free(&out);
	if (!may_have_card(in)) { /* the beginning of a longer number may be one, when it has to be told then */
		feed(in, true, &out);
		if (!sp_bytes_eq(buffer_bytes(&out), in))
			abort();
		buffer_free(&out);
	}
	return 0;
}
