/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A glance at a text: which signs are in it, how many digits and letters, and whether they stand together as a
 * finding's would.  Most values of most columns lack what one is made of, and need no further look.
 *
 *   64 bytes ─▶ a number for each class of them, a bit for each byte ─▶ counts, runs, places
 */
#include <config.h>

#include "detect.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BIT(detector) (UINT32_C(1) << (detector))
#define AT_ONCE 64u

/* These end with so many characters of a token in a row. */
#define RUN 15
#define RUNS (BIT(DETECT_AWS_KEY) | BIT(DETECT_BEARER) | BIT(DETECT_GITHUB_TOKEN) | BIT(DETECT_SLACK_TOKEN))

uint16_t detect_class[256];
static bool prepared;

/* Eight counts are eight bytes of one number: what a sign adds to them is one addition. */
enum sign { AT, DASHES, DOTS, COLONS, PLUSES, JS, SIGNS };
static uint64_t adds[256];
#define ONE(sign) (UINT64_C(1) << 8 * (sign))

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

static unsigned
class_of(uint8_t c)
{
	static const char local[] = "._%+-'/=!#$&*?^`{|}~", dialled[] = " ()-./";
	unsigned class = (is_digit(c) ? IS_DIGIT | IS_DIALLED : 0) | (is_letter(c) ? IS_LETTER : 0);

	if (is_digit(c) || is_letter(c))
		class |= IS_LOCAL | IS_DOMAIN | IS_WORD | IS_NAME;
	if (c >= 0x80)
		class |= IS_LOCAL | IS_DOMAIN;
	if (c == '.' || c == '-')
		class |= IS_DOMAIN;
	if (c != 0 && strchr(local, c) != NULL)
		class |= IS_LOCAL;
	if (c != 0 && strchr(dialled, c) != NULL)
		class |= IS_DIALLED;
	if (c == '_')
		class |= IS_WORD | IS_NAME;
	if (c == '-')
		class |= IS_NAME;
	if (is_digit(c) || (uint8_t)((c | 0x20) - 'a') <= 'f' - 'a' || c == ':' || c == '.')
		class |= IS_ADDRESS;
	return class | (detect_in_token(c) ? IS_TOKEN : 0);
}

void
detect_may_prepare(void)
{
	for (unsigned c = 0; c < 256; c++)
		detect_class[c] = (uint16_t)class_of((uint8_t)c);
	adds['@'] = ONE(AT);
	adds['-'] = ONE(DASHES);
	adds['.'] = ONE(DOTS);
	adds[':'] = ONE(COLONS);
	adds['+'] = ONE(PLUSES);
	adds['J'] = ONE(JS);
	prepared = true;
}

/* ---- a bit for each of 64 bytes ---- */

struct marks {
	uint64_t digit, letter, sign, rare; /* sign: the rest of a token's, and a comma; rare: @ J : */
};

#ifdef __SSE2__

/* Where bytes are from `first` to `first` + n. */
static inline __m128i
within(__m128i v, char first, char n)
{
	__m128i from = _mm_sub_epi8(v, _mm_set1_epi8(first));

	return _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8(n)), from);
}

static inline __m128i
any_of(__m128i v, char a, char b, char c)
{
	return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(a)), _mm_cmpeq_epi8(v, _mm_set1_epi8(b))),
	    _mm_cmpeq_epi8(v, _mm_set1_epi8(c)));
}

static inline uint64_t
mask(__m128i v)
{
	return (uint16_t)_mm_movemask_epi8(v);
}

static inline void
mark_sixteen(const uint8_t *p, unsigned at, struct marks *m)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

	m->digit |= mask(within(v, '0', 9)) << at;
	m->letter |= mask(within(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z' - 'a')) << at;
	m->sign |= mask(_mm_or_si128(within(v, '+', '/' - '+'), any_of(v, '_', '~', '='))) << at;
	m->rare |= mask(any_of(v, '@', 'J', ':')) << at;
}

#else

static void
mark_sixteen(const uint8_t *p, unsigned at, struct marks *m)
{
	for (unsigned i = 0; i < 16; i++) {
		const uint64_t bit = UINT64_C(1) << (at + i);
		const uint8_t c = p[i];
		m->digit |= is_digit(c) ? bit : 0;
		m->letter |= is_letter(c) ? bit : 0;
		m->sign |= (c >= '+' && c <= '/') || c == '_' || c == '~' || c == '=' ? bit : 0;
		m->rare |= c == '@' || c == 'J' || c == ':' ? bit : 0;
	}
}

#endif

/* At most 64 bytes; the last sixteen are read where they end, whatever was marked of them before. */
static inline struct marks
mark(struct sp_bytes in)
{
	struct marks m = { .digit = 0 };
	uint8_t rest[16] = { 0 };
	size_t last = in.len - sizeof(rest);

	if (in.len < sizeof(rest)) {
		memcpy(rest, in.p, in.len);
		in.p = rest;
		last = 0;
	}
	for (size_t i = 0; i < last; i += sizeof(rest))
		mark_sixteen(in.p + i, (unsigned)i, &m);
	mark_sixteen(in.p + last, (unsigned)last, &m);
	return m;
}

/* ---- what they say ---- */

struct glance {
	uint32_t digits, letters, of[SIGNS];
	bool run, country;
};

struct edge { /* what the 64 bytes before end with */
	uint64_t digit, letter, word;
	unsigned token; /* how many of a token's, RUN at most */
};

static unsigned
bits(uint64_t n)
{
	n -= n >> 1 & UINT64_C(0x5555555555555555);
	n = (n & UINT64_C(0x3333333333333333)) + (n >> 2 & UINT64_C(0x3333333333333333));
	n = (n + (n >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)((n * UINT64_C(0x0101010101010101)) >> 56);
}

/* The bits of n places before each. */
static uint64_t
behind(uint64_t now, uint64_t before, unsigned n)
{
	return now << n | before >> (64 - n);
}

/* RUN of a token's characters in a row? */
static bool
has_run(uint64_t token, unsigned before)
{
	_Static_assert(RUN == 15, "two, four, eight, fifteen");
	uint64_t r = token & token >> 1;

	r &= r >> 2;
	r &= r >> 4;
	r &= r >> 7;
	return r != 0 || (before > 0 && (token == UINT64_MAX || before + (unsigned)__builtin_ctzll(~token) >= RUN));
}

static void
glance_add(struct glance *g, struct edge *e, struct sp_bytes in)
{
	const struct marks m = mark(in);
	uint64_t word = m.digit | m.letter, token = word | m.sign, signs = 0;

	g->digits += bits(m.digit);
	g->letters += bits(m.letter);
	for (uint64_t left = m.sign | m.rare; left != 0; left &= left - 1)
		signs += adds[in.p[__builtin_ctzll(left)]];
	for (unsigned i = 0; signs != 0; i++, signs >>= 8)
		g->of[i] += (uint32_t)(signs & 0xff);
	/* two letters that begin a word, and two digits */
	g->country = g->country || (m.digit & behind(m.digit, e->digit, 1) & behind(m.letter, e->letter, 2) &
	    behind(m.letter, e->letter, 3) & ~behind(word, e->word, 4)) != 0;
	g->run = g->run || has_run(token, e->token);
	*e = (struct edge){ m.digit, m.letter, word, token == UINT64_MAX ? RUN : (unsigned)__builtin_clzll(~token) };
}

uint32_t
detect_may(uint32_t wanted, struct sp_bytes in)
{
	struct glance g = { .digits = 0 };
	struct edge e = { .digit = 0 };
	uint32_t may = 0;

	if (in.len > UINT32_MAX)
		return wanted;
	if (!prepared)
		detect_may_prepare();
	for (size_t i = 0; i < in.len; i += AT_ONCE)
		glance_add(&g, &e, (struct sp_bytes){ in.p + i, in.len - i < AT_ONCE ? in.len - i : AT_ONCE });
	if (g.of[AT] > 0)
		may |= BIT(DETECT_EMAIL);
	if (g.digits >= 13)
		may |= BIT(DETECT_CARD);
	if (g.digits >= 9 && g.of[DASHES] >= 2)
		may |= BIT(DETECT_SSN);
	if (g.digits >= 8 && (g.of[PLUSES] > 0 || in.len - g.digits - g.letters >= 2))
		may |= BIT(DETECT_PHONE);
	if (g.of[DOTS] >= 3 || g.of[COLONS] >= 2)
		may |= BIT(DETECT_IP);
	if (g.of[DOTS] > 0 && g.of[JS] >= 2)
		may |= BIT(DETECT_JWT);
	if (g.of[DASHES] >= 10)
		may |= BIT(DETECT_PRIVATE_KEY);
	if (g.country && g.digits + g.letters >= 15)
		may |= BIT(DETECT_IBAN);
	if (g.run && g.letters >= 2)
		may |= RUNS;
	return wanted & may;
}
