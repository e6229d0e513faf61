/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A glance at a text: how many digits, signs and the like are in it.  Most values of most columns lack
 * what a finding is made of, and need no further look.
 *
 * Eight counts are eight bytes of one number: what a character adds to them is one addition, and 255
 * characters fit before they have to be taken apart.
 */
#include <config.h>

#include "detect.h"

enum count { AT, DIGITS, ALNUM, DASHES, DOTS, COLONS, PLUSES, JS, COUNTS };
#define ONE(count) (UINT64_C(1) << 8 * (count))
#define AT_ONCE 255u
#define BIT(detector) (UINT32_C(1) << (detector))

/* These end with so many characters of a token in a row. */
#define RUN 15
#define RUNS (BIT(DETECT_AWS_KEY) | BIT(DETECT_BEARER) | BIT(DETECT_GITHUB_TOKEN) | BIT(DETECT_SLACK_TOKEN))

static uint64_t adds[256];
static bool token[256], prepared;

static bool
is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') <= 9;
}

static bool
is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') <= 'z' - 'a';
}

/* Base64 of either kind, and what joins its pieces. */
bool
detect_in_token(uint8_t c)
{
	return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '=';
}

size_t
detect_token_end(struct sp_bytes in)
{
	size_t n = 0;
	while (n < in.len && detect_in_token(in.p[n]))
		n++;
	return n;
}

void
detect_may_prepare(void)
{
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t byte = (uint8_t)c;
		adds[c] = is_digit(byte) ? ONE(DIGITS) + ONE(ALNUM) : is_letter(byte) ? ONE(ALNUM) : 0;
		token[c] = detect_in_token(byte);
	}
	adds['@'] = ONE(AT);
	adds['-'] = ONE(DASHES);
	adds['.'] = ONE(DOTS);
	adds[':'] = ONE(COLONS);
	adds['+'] = ONE(PLUSES);
	adds['J'] += ONE(JS);
	prepared = true;
}

static void
count(struct sp_bytes in, uint32_t n_r[COUNTS])
{
	for (size_t from = 0; from < in.len; from += AT_ONCE) {
		const uint8_t *p = in.p + from, *end = p + (in.len - from < AT_ONCE ? in.len - from : AT_ONCE);
		uint64_t sum = 0, other = 0;
		for (; end - p >= 4; p += 4) {
			sum += adds[p[0]] + adds[p[1]];
			other += adds[p[2]] + adds[p[3]];
		}
		while (p < end)
			sum += adds[*p++];
		sum += other;
		for (unsigned i = 0; i < COUNTS; i++)
			n_r[i] += (uint32_t)(sum >> 8 * i & 0xff);
	}
}

/* Two letters that begin a word, and two digits, of which this may be either. */
static bool
is_country(struct sp_bytes in, size_t digit)
{
	const uint8_t *p = in.p;
	size_t first = digit > 0 && is_digit(p[digit - 1]) ? digit - 1 : digit;

	if (first < 2 || first + 1 >= in.len || !is_digit(p[first + 1]) || !is_letter(p[first - 1]) || !is_letter(p[first - 2]))
		return false;
	return first == 2 || !(is_digit(p[first - 3]) || is_letter(p[first - 3]) || p[first - 3] == '_');
}

/* One of two digits is at an odd place. */
static bool
has_country(struct sp_bytes in)
{
	for (size_t i = 1; i < in.len; i += 2)
		if (is_digit(in.p[i]) && is_country(in, i))
			return true;
	return false;
}

/* A run has a character at a place that its length divides: looking around those is enough. */
static bool
has_run(struct sp_bytes in)
{
	for (size_t at = RUN - 1; at < in.len; at += RUN) {
		size_t from = at, to = at;
		while (to < in.len && to - at < RUN && token[in.p[to]])
			to++;
		while (to > at && from > 0 && to - from < RUN && token[in.p[from - 1]])
			from--;
		if (to - from >= RUN)
			return true;
	}
	return false;
}

uint32_t
detect_may(uint32_t wanted, struct sp_bytes in)
{
	uint32_t n[COUNTS] = { 0 }, may = 0;

	if (in.len > UINT32_MAX)
		return wanted;
	if (!prepared)
		detect_may_prepare();
	count(in, n);
	if (n[AT] > 0)
		may |= BIT(DETECT_EMAIL);
	if (n[DIGITS] >= 13)
		may |= BIT(DETECT_CARD);
	if (n[DIGITS] >= 9 && n[DASHES] >= 2)
		may |= BIT(DETECT_SSN);
	if (n[DIGITS] >= 8 && (n[PLUSES] > 0 || in.len - n[ALNUM] >= 2))
		may |= BIT(DETECT_PHONE);
	if (n[DOTS] >= 3 || n[COLONS] >= 2)
		may |= BIT(DETECT_IP);
	if (n[DOTS] > 0 && n[JS] >= 2)
		may |= BIT(DETECT_JWT);
	if (n[DASHES] >= 10)
		may |= BIT(DETECT_PRIVATE_KEY);
	if ((wanted & BIT(DETECT_IBAN)) != 0 && n[ALNUM] >= 15 && n[DIGITS] >= 2 && has_country(in))
		may |= BIT(DETECT_IBAN);
	if ((wanted & RUNS) != 0 && has_run(in))
		may |= RUNS;
	return wanted & may;
}
