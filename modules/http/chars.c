/* SPDX-License-Identifier: Apache-2.0 */
/* The alphabet of HTTP/1.1 (RFC 9110 section 5.6, RFC 3986), and percent-encoding. */
#include "chars.h"

enum { N = CH_NEVER, D = CH_DIGIT, H = CH_HEX, A = CH_ALPHA, T = CH_TOKEN_URI, O = CH_TOKEN, U = CH_URI, P = CH_PRINT, X = CH_HIGH };
#define ROW_HIGH X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
const uint8_t chars_class[256] = {
	N, N, N, N, N, N, N, N, N, CH_TAB, CH_LF, N, N, CH_CR, N, N,
	N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	CH_SPACE, T, P, O, T, T, T, T, U, U, T, T, U, T, T, U,     /* space ! " # $ % & ' ( ) * + , - . / */
	D, D, D, D, D, D, D, D, D, D, CH_COLON, CH_SEMICOLON, P, U, P, U, /* 0-9 : ; < = > ? */
	U, H, H, H, H, H, H, A, A, A, A, A, A, A, A, A,            /* @ A-O */
	A, A, A, A, A, A, A, A, A, A, A, P, P, P, O, T,            /* P-Z [ \ ] ^ _ */
	O, H, H, H, H, H, H, A, A, A, A, A, A, A, A, A,            /* ` a-o */
	A, A, A, A, A, A, A, A, A, A, A, P, O, P, T, N,            /* p-z { | } ~ DEL */
	ROW_HIGH, ROW_HIGH, ROW_HIGH, ROW_HIGH, ROW_HIGH, ROW_HIGH, ROW_HIGH, ROW_HIGH,
};

bool
chars_decimal(struct sp_bytes in, uint64_t *n_r)
{
	uint64_t n = 0;
	*n_r = 0;
	if (in.len == 0 || in.len > 19) /* 19 digits always fit */
		return false;
	for (size_t i = 0; i < in.len; i++) {
		if (chars_class[in.p[i]] != CH_DIGIT)
			return false;
		n = n * 10 + (uint64_t)(in.p[i] - '0');
	}
	if (n > INT64_MAX)
		return false;
	*n_r = n;
	return true;
}

int
chars_hex(uint8_t c)
{
	if (chars_class[c] == CH_DIGIT)
		return c - '0';
	if (chars_class[c] == CH_HEX)
		return chars_lower(c) - 'a' + 10;
	return -1;
}

uint8_t
chars_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

#define BIT(c) (1u << (c))
#define TOKEN_CLASSES (BIT(CH_DIGIT) | BIT(CH_HEX) | BIT(CH_ALPHA) | BIT(CH_TOKEN_URI) | BIT(CH_TOKEN))
#define TARGET_CLASSES \
	(BIT(CH_DIGIT) | BIT(CH_HEX) | BIT(CH_ALPHA) | BIT(CH_TOKEN_URI) | BIT(CH_URI) | BIT(CH_COLON) | BIT(CH_SEMICOLON))
#define VALUE_CLASSES (TOKEN_CLASSES | TARGET_CLASSES | BIT(CH_PRINT) | BIT(CH_SPACE) | BIT(CH_TAB) | BIT(CH_HIGH))

static bool
all_in(struct sp_bytes in, unsigned classes)
{
	for (size_t i = 0; i < in.len; i++)
		if ((BIT(chars_class[in.p[i]]) & classes) == 0)
			return false;
	return true;
}

bool
chars_are_token(struct sp_bytes in)
{
	return in.len > 0 && all_in(in, TOKEN_CLASSES);
}

bool
chars_are_value(struct sp_bytes in)
{
	return all_in(in, VALUE_CLASSES);
}

bool
chars_are_target(struct sp_bytes in)
{
	return in.len > 0 && all_in(in, TARGET_CLASSES);
}

/* ---- targets ---- */

void
http_target_split(struct sp_bytes target, struct sp_bytes *path_r, struct sp_bytes *query_r)
{
	struct sp_reader r = sp_reader(target);
	*path_r = sp_rd_until(&r, '?');
	if (r.bad) {
		*path_r = target;
		*query_r = (struct sp_bytes){ NULL, 0 };
		return;
	}
	*query_r = sp_rd_rest(&r);
}

bool
http_query_next(struct sp_reader *r, struct sp_bytes *key_r, struct sp_bytes *value_r)
{
	*key_r = *value_r = (struct sp_bytes){ NULL, 0 };
	if (r->bad || r->left == 0)
		return false;
	struct sp_reader whole = *r, pair;
	struct sp_bytes text = sp_rd_until(r, '&');
	if (r->bad) {
		text = sp_rd_rest(&whole);
		*r = whole;
	}
	pair = sp_reader(text);
	*key_r = sp_rd_until(&pair, '=');
	if (pair.bad)
		*key_r = text;
	else
		*value_r = sp_rd_rest(&pair);
	return true;
}

void
http_decode(struct sp_bytes in, bool form, struct sp_writer *w)
{
	struct sp_reader r = sp_reader(in);
	while (r.left > 0 && !w->bad) {
		uint8_t c = sp_rd_u8(&r);
		if (c == '+' && form)
			c = ' ';
		if (c == '%') {
			struct sp_bytes two = sp_rd_take(&r, 2);
			int high = two.len == 2 ? chars_hex(two.p[0]) : -1, low = two.len == 2 ? chars_hex(two.p[1]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				w->bad = true;
				return;
			}
			c = (uint8_t)((high << 4 | low) & 0xff);
		}
		sp_wr_u8(w, c);
	}
}

void
http_encode(struct sp_bytes in, struct sp_writer *w)
{
	static const char digit[] = "0123456789ABCDEF";
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.p[i], class = chars_class[c];
		if (class == CH_DIGIT || class == CH_HEX || class == CH_ALPHA || c == '-' || c == '.' || c == '_' || c == '~') {
			sp_wr_u8(w, c);
			continue;
		}
		sp_wr_u8(w, '%');
		sp_wr_u8(w, (uint8_t)digit[c >> 4]);
		sp_wr_u8(w, (uint8_t)digit[c & 15]);
	}
}

/* One segment as the file system would see it: -1 when it hides a separator.  Parameters behind a ';' some servers leave out. */
static int
segment_dots(struct sp_bytes segment)
{
	uint8_t plain[4];
	size_t n = 0;
	bool over = false;
	struct sp_reader r = sp_reader(segment);
	while (r.left > 0) {
		uint8_t c = sp_rd_u8(&r);
		if (c == '%') {
			struct sp_bytes two = sp_rd_take(&r, 2);
			if (two.len < 2)
				return -1;
			c = (uint8_t)((chars_hex(two.p[0]) << 4 | chars_hex(two.p[1])) & 0xff);
		}
		if (c == '/' || c == '\\')
			return -1;
		over = over || c == ';';
		if (n < sizeof(plain) && !over)
			plain[n++] = c;
	}
	if (n == 1 && plain[0] == '.')
		return 1;
	return n == 2 && plain[0] == '.' && plain[1] == '.' ? 2 : 0;
}

bool
http_path_is_plain(struct sp_bytes path)
{
	struct sp_reader r = sp_reader(path);
	if (sp_rd_u8(&r) != '/')
		return false;
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes segment = sp_rd_until(&r, '/');
		if (r.bad) {
			segment = sp_rd_rest(&rest);
			r = rest;
		} else if (segment.len == 0) {
			return false;
		}
		if (segment_dots(segment) != 0)
			return false;
	}
	return true;
}
