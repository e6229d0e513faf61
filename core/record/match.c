/* SPDX-License-Identifier: Apache-2.0 */
/* Finding. */
#include <config.h>

#include "match.h"

#define SHOWN 160

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

size_t
match_find(struct sp_bytes in, struct sp_bytes text)
{
	if (text.len == 0 || text.len > in.len)
		return in.len;
	for (size_t i = 0; i <= in.len - text.len; i++) {
		size_t n = 0;
		while (n < text.len && lower(in.p[i + n]) == lower(text.p[n]))
			n++;
		if (n == text.len)
			return i;
	}
	return in.len;
}

static bool
looked_at(unsigned key)
{
	return key == KEY_TEXT || key == KEY_PARAM || key == KEY_MESSAGE || key == KEY_RULE || key == KEY_ERROR || key == KEY_FACT;
}

bool
match_frame(const struct frame *f, struct sp_bytes text, struct sp_bytes *where_r, size_t *at_r)
{
	struct sp_reader r = sp_reader(f->payload);
	unsigned key;
	*where_r = f->payload;
	*at_r = 0;
	if (frame_is_stream(f->type)) {
		*at_r = match_find(f->payload, text);
		return *at_r < f->payload.len;
	}
	while (frame_next_field(&r, &key, where_r)) {
		*at_r = looked_at(key) ? match_find(*where_r, text) : where_r->len;
		if (*at_r < where_r->len)
			return true;
	}
	return false;
}

struct sp_bytes
match_around(struct sp_bytes in, size_t at, size_t len)
{
	size_t before = (SHOWN - (len < SHOWN ? len : SHOWN)) / 2;
	struct sp_reader r = sp_reader(in);
	(void)sp_rd_take(&r, at > before ? at - before : 0);
	struct sp_bytes rest = sp_rd_rest(&r);
	return (struct sp_bytes){ rest.p, rest.len < SHOWN ? rest.len : SHOWN };
}
