/* SPDX-License-Identifier: Apache-2.0 */
/* Text that came from others, made safe to look at. */
#include <config.h>

#include "text.h"

#include <stdarg.h>
#include <stdio.h>

#include "../base/digest.h"

size_t
text_character(struct sp_bytes s, uint32_t *c_r)
{
	*c_r = 0xfffd;
	if (s.len == 0)
		return 0;
	uint8_t first = s.p[0];
	if (first < 0x80) {
		*c_r = first;
		return 1;
	}
	size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || n > s.len)
		return 0;
	uint32_t c = first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s.p[i] & 0x3fu);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*c_r = c;
	return n;
}

bool
text_harmless(uint32_t c)
{
	static const struct { uint32_t first, last; } harmful[] = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c }, { 0x115f, 0x1160 },
		{ 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0x3164, 0x3164 }, { 0xd800, 0xf8ff }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0x1d173, 0x1d17a }, { 0xe0000, 0x10ffff },
	};
	if (c >= 0x20 && c < 0x7f)
		return true;
	for (size_t i = 0; i < sizeof(harmful) / sizeof(*harmful); i++)
		if (c >= harmful[i].first && c <= harmful[i].last)
			return false;
	return true;
}

void
text_put(struct sp_writer *w, const char *s)
{
	sp_wr_put(w, sp_str(s));
}

void
text_printf(struct sp_writer *w, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		w->bad = true;
	else
		sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)text, (size_t)n });
}

/* ---- JSON ---- */

/* Eight bytes at once: 0 when each of them stands in a JSON string as it is. */
static uint64_t
special(const uint8_t eight[8])
{
	const uint64_t each = 0x0101010101010101u;
	uint64_t v;
	memcpy(&v, eight, sizeof(v));
	uint64_t quote = v ^ each * '"', backslash = v ^ each * '\\', delete = v ^ each * 0x7f;
	/* what is below, or zero, borrows from its highest bit; what is above ASCII has it */
	return (v | (v - each * 0x20) | (quote - each) | (backslash - each) | (delete - each)) & each * 0x80;
}

/* Bytes at the front that stand in a JSON string as they are. */
static size_t
plain_run(struct sp_bytes s)
{
	size_t n = 0;
	while (s.len - n >= 8 && special(s.p + n) == 0)
		n += 8;
	while (n < s.len && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n;
}

static void
json_escape(struct sp_writer *w, uint32_t c)
{
	static const char two[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (size_t i = 0; i + 1 < sizeof(two); i += 2)
		if (c == (uint8_t)two[i]) {
			sp_wr_u8(w, '\\');
			sp_wr_u8(w, (uint8_t)two[i + 1]);
			return;
		}
	if (c >= 0x10000) {
		c -= 0x10000;
		text_printf(w, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
	} else {
		text_printf(w, "\\u%04x", c);
	}
}

/* What needs no escape. */
static void
json_plain(struct sp_writer *w, struct sp_bytes s)
{
	uint8_t *at = sp_wr_room(w, s.len + 2);
	if (at == NULL)
		return;
	at[0] = at[s.len + 1] = '"';
	if (s.len > 0)
		memcpy(at + 1, s.p, s.len);
}

void
text_json(struct sp_writer *w, struct sp_bytes s)
{
	struct sp_reader r = sp_reader(s);
	size_t n = plain_run(s);
	if (n == s.len) {
		json_plain(w, s);
		return;
	}
	sp_wr_u8(w, '"');
	while (r.left > 0) {
		struct sp_bytes rest = { r.p, r.left };
		uint32_t c;
		n = plain_run(rest);
		if (n > 0) {
			sp_wr_put(w, sp_rd_take(&r, n));
			continue;
		}
		n = text_character(rest, &c);
		struct sp_bytes bytes = sp_rd_take(&r, n == 0 ? 1 : n);
		if (n > 1 && text_harmless(c))
			sp_wr_put(w, bytes);
		else
			json_escape(w, c);
	}
	sp_wr_u8(w, '"');
}

void
text_json_again(struct sp_writer *w, struct sp_bytes json)
{
	struct sp_reader r = sp_reader(json);
	while (r.left > 0) {
		uint32_t c;
		size_t n = text_character((struct sp_bytes){ r.p, r.left }, &c);
		struct sp_bytes bytes = sp_rd_take(&r, n == 0 ? 1 : n);
		if (n > 0 && (c == '\n' || text_harmless(c)))
			sp_wr_put(w, bytes);
		else
			json_escape(w, c);
	}
}

static void
json_name(struct sp_writer *w, const char *name)
{
	bool first = w->len == 0 || w->p[w->len - 1] == '{';
	size_t len = strlen(name);
	uint8_t *at = sp_wr_room(w, len + (first ? 3 : 4));
	if (at == NULL)
		return;
	if (!first)
		*at++ = ',';
	*at++ = '"';
	memcpy(at, name, len);
	memcpy(at + len, "\":", 2);
}

void
text_json_member(struct sp_writer *w, const char *name, struct sp_bytes value)
{
	json_name(w, name);
	text_json(w, value);
}

void
text_number(struct sp_writer *w, uint64_t value)
{
	char digits[20]; /* of 2^64 - 1 */
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)digits + at, sizeof(digits) - at });
}

void
text_json_number(struct sp_writer *w, const char *name, uint64_t value)
{
	json_name(w, name);
	text_number(w, value);
}

void
text_json_hex(struct sp_writer *w, const char *name, struct sp_bytes value)
{
	char hex[2 * 64 + 1];
	if (value.len > 64)
		value.len = 64;
	text_hex(value, hex);
	json_name(w, name);
	json_plain(w, (struct sp_bytes){ (const uint8_t *)hex, 2 * value.len });
}

/* ---- terminals ---- */

static void
shown_escape(struct sp_writer *w, struct sp_bytes bytes, size_t n, uint32_t c)
{
	static const char two[] = "\nn\rr\tt";
	for (size_t i = 0; i + 1 < sizeof(two); i += 2)
		if (n == 1 && c == (uint8_t)two[i]) {
			text_printf(w, "\\%c", two[i + 1]);
			return;
		}
	if (n <= 1)
		text_printf(w, "\\x%02x", bytes.p[0]);
	else
		text_printf(w, "\\u{%x}", c);
}

static void
show(struct sp_writer *w, struct sp_bytes s, const char *indent)
{
	struct sp_reader r = sp_reader(s);
	while (r.left > 0) {
		uint32_t c;
		size_t n = text_character((struct sp_bytes){ r.p, r.left }, &c);
		struct sp_bytes bytes = sp_rd_take(&r, n == 0 ? 1 : n);
		if (n > 0 && text_harmless(c)) {
			sp_wr_put(w, bytes);
		} else if (indent != NULL && n == 1 && (c == '\n' || c == '\t')) {
			sp_wr_put(w, bytes);
			text_put(w, c == '\n' ? indent : "");
		} else if (indent == NULL || c != '\r' || r.left == 0 || r.p[0] != '\n') {
			shown_escape(w, bytes, n, c);
		}
	}
}

void
text_shown(struct sp_writer *w, struct sp_bytes s)
{
	show(w, s, NULL);
}

void
text_lines(struct sp_writer *w, struct sp_bytes s, const char *indent)
{
	show(w, s, indent);
}

size_t
text_width(struct sp_bytes shown)
{
	size_t width = 0;
	struct sp_reader r = sp_reader(shown);
	while (r.left > 0) {
		uint32_t c;
		size_t n = text_character((struct sp_bytes){ r.p, r.left }, &c);
		(void)sp_rd_take(&r, n == 0 ? 1 : n);
		bool wide = (c >= 0x1100 && c <= 0x115e) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
		    (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
		    (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
		bool mark = (c >= 0x300 && c <= 0x36f) || (c >= 0x20d0 && c <= 0x20ff);
		width += mark ? 0 : wide ? 2 : 1;
	}
	return width;
}
