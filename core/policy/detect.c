/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding secrets and personal data by content.
 *
 *   text ─▶ counts: are there enough digits, signs … for X? ─▶ Hyperscan: "an X may end here" ─▶ find_X(): where from, where to?
 *                                                        └─▶ scan_X(): the same for what is found most, without ─┘
 *
 * An automaton costs more to begin with than a short value to read, so most values meet none: detect_may.c.  They run
 * without start-of-match, which their patterns could not have; so each pattern is short, and the C function
 * behind it looks around the place.  How far it looks is bounded, and a place that was looked at is not
 * looked at again: the whole is linear in the text.
 */
#include <config.h>

#include "detect.h"

#include <arpa/inet.h>
#include <hs.h>
#include <stdlib.h>

#define LOOK 4096 /* bytes that a finding may reach to either side of its mark */

const char *const detector_name[DETECTORS + 1] = {
	[DETECT_EMAIL] = "email", [DETECT_CARD] = "card", [DETECT_IBAN] = "iban", [DETECT_SSN] = "ssn",
	[DETECT_PHONE] = "phone", [DETECT_IP] = "ip", [DETECT_JWT] = "jwt", [DETECT_AWS_KEY] = "aws_key",
	[DETECT_PRIVATE_KEY] = "private_key", [DETECT_BEARER] = "bearer", [DETECT_GITHUB_TOKEN] = "github_token",
	[DETECT_SLACK_TOKEN] = "slack_token",
};

uint32_t
detect_bit(const char *name)
{
	for (unsigned i = 0; i < DETECTORS; i++)
		if (strcmp(detector_name[i], name) == 0)
			return 1u << i;
	return 0;
}

/* ---- classes of bytes ---- */

static bool
is(uint8_t c, unsigned class)
{
	return (detect_class[c] & class) != 0;
}

static bool
is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') <= 9;
}

static size_t
back(struct sp_bytes in, size_t at, unsigned class, size_t most)
{
	size_t n = 0;

	while (n < most && at > n && is(in.p[at - n - 1], class))
		n++;
	return at - n;
}

static size_t
forth(struct sp_bytes in, size_t at, unsigned class, size_t most)
{
	size_t n = 0;

	while (n < most && at + n < in.len && is(in.p[at + n], class))
		n++;
	return at + n;
}

static bool
before_is(struct sp_bytes in, size_t at, unsigned class)
{
	return at > 0 && is(in.p[at - 1], class);
}

static bool
after_is(struct sp_bytes in, size_t at, unsigned class)
{
	return at < in.len && is(in.p[at], class);
}

/* ---- one function for each: `end` is where its pattern ended; *seen_r: no need to look before that ---- */

typedef bool find_fn(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r);

/* x@y */
static bool
find_email(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	size_t at = end - 2;

	s->from = back(in, at, IS_LOCAL, 64);
	s->to = forth(in, at + 1, IS_DOMAIN, 255);
	*seen_r = end;
	while (s->to > end && (in.p[s->to - 1] == '.' || in.p[s->to - 1] == '-'))
		s->to--;
	size_t dot = s->to;
	while (dot > at && in.p[dot - 1] != '.')
		dot--;
	return s->from < at && dot > at + 2 && s->to - dot >= 2 && !is_digit(in.p[dot]);
}

static bool
luhn(const uint8_t *digit, size_t n)
{
	static const uint8_t twice[] = { 0, 2, 4, 6, 8, 1, 3, 5, 7, 9 };
	unsigned sum = 0;

	for (; n > 1; n -= 2)
		sum += digit[n - 1] + twice[digit[n - 2]];
	return (sum + (n > 0 ? digit[0] : 0)) % 10 == 0;
}

struct digits { /* a run of digits with single spaces or dashes between groups */
	uint8_t digit[64];
	size_t at[64];     /* where each stands */
	bool first[64], last[64]; /* of its group */
	size_t n;
	bool cut;          /* more of them than fit */
};

static bool
is_gap(uint8_t c)
{
	return c == ' ' || c == '-';
}

static void
read_digits(struct sp_bytes in, size_t from, struct digits *d)
{
	bool first = true;

	d->n = 0;
	d->cut = false;
	for (size_t i = from; i < in.len; i++) {
		if (is_digit(in.p[i])) {
			if (d->n == sizeof(d->digit)) {
				d->cut = true;
				return;
			}
			d->digit[d->n] = (uint8_t)(in.p[i] - '0');
			d->at[d->n] = i;
			d->first[d->n] = first;
			d->last[d->n] = i + 1 == in.len || !is_digit(in.p[i + 1]);
			d->n++;
			first = false;
		} else if (!first && is_gap(in.p[i]) && i + 1 < in.len && is_digit(in.p[i + 1])) {
			first = true;
		} else {
			return;
		}
	}
}

/* Start of the run of digits and gaps in which `at` stands. */
static size_t
digits_begin(struct sp_bytes in, size_t at, size_t most)
{
	size_t from = at;

	while (from > 0 && at - from < most
	    && (is_digit(in.p[from - 1]) || (is_gap(in.p[from - 1]) && from > 1 && is_digit(in.p[from - 2]))))
		from--;
	return from;
}

/* Thirteen to nineteen digits, in groups, that satisfy Luhn's formula. */
static bool
find_grouped_card(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	struct digits d; /* not worth clearing, each time */

	read_digits(in, digits_begin(in, end, 64), &d);
	/* none that reaches here is none that reaches further, as far as the run was read */
	*seen_r = d.cut || d.n == 0 || d.at[d.n - 1] < end ? end : d.at[d.n - 1] + 1;
	for (size_t from = 0; from < d.n; from++) {
		if (!d.first[from] || d.digit[from] < 2 || d.digit[from] > 6)
			continue;
		for (size_t n = 19; n >= 13; n--) {
			if (from + n > d.n || !d.last[from + n - 1] || !luhn(d.digit + from, n))
				continue;
			s->from = d.at[from];
			s->to = d.at[from + n - 1] + 1;
			if (s->to < end)
				break;
			*seen_r = s->to;
			return true;
		}
	}
	return false;
}

/* … or in one group, as most are. */
static bool
find_card(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	uint8_t digit[19];

	s->from = back(in, end, IS_DIGIT, 64);
	s->to = forth(in, end, IS_DIGIT, 64);
	if ((s->from > 1 && is_gap(in.p[s->from - 1]) && is_digit(in.p[s->from - 2])) ||
	    (s->to + 1 < in.len && is_gap(in.p[s->to]) && is_digit(in.p[s->to + 1])))
		return find_grouped_card(in, end, s, seen_r);
	*seen_r = s->to;
	size_t n = s->to - s->from;
	if (n < 13 || n > sizeof(digit) || in.p[s->from] < '2' || in.p[s->from] > '6')
		return false;
	for (size_t i = 0; i < n; i++)
		digit[i] = (uint8_t)(in.p[s->from + i] - '0');
	return luhn(digit, n);
}

static bool
mod97(const uint8_t *c, size_t n)
{
	unsigned rest = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t x = c[(i + 4) % n];
		if (is_digit(x))
			rest = (rest * 10 + (unsigned)(x - '0')) % 97;
		else
			rest = (rest * 100 + (unsigned)((x | 0x20) - 'a' + 10)) % 97;
	}
	return rest == 1;
}

/* Two letters, two digits, up to thirty more, in groups of four or not; mod 97 = 1. */
static bool
find_iban(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	uint8_t c[34];
	size_t at[34], n = 0;

	*seen_r = end;
	s->from = end - 4;
	if (before_is(in, s->from, IS_WORD))
		return false;
	for (size_t i = s->from; i < in.len && n < sizeof(c); i++) {
		if (is(in.p[i], IS_ALNUM)) {
			c[n] = in.p[i];
			at[n++] = i;
		} else if (in.p[i] != ' ' || i + 1 >= in.len || !is(in.p[i + 1], IS_ALNUM)) {
			break;
		}
	}
	for (; n >= 15; n--) {
		if (after_is(in, at[n - 1] + 1, IS_WORD) || !mod97(c, n))
			continue;
		s->to = at[n - 1] + 1;
		*seen_r = s->to;
		return true;
	}
	return false;
}

/* 123-45-6789, numbers that are given out only. */
static bool
find_ssn(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	const uint8_t *p = in.p + end - 11;

	s->from = end - 11;
	s->to = end;
	*seen_r = end;
	if (before_is(in, s->from, IS_WORD) || after_is(in, end, IS_WORD) || (s->from > 0 && in.p[s->from - 1] == '-'))
		return false;
	return memcmp(p, "000", 3) != 0 && memcmp(p, "666", 3) != 0 && p[0] != '9' && memcmp(p + 4, "00", 2) != 0
	    && memcmp(p + 7, "0000", 4) != 0;
}

/* +49 30 1234567, and (212) 555-0100 */
static bool
find_phone(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	size_t plus = back(in, end, IS_DIALLED, 32), digits = 0;
	bool international = plus > 0 && in.p[plus - 1] == '+';

	*seen_r = end;
	s->from = international ? plus - 1 : digits_begin(in, end, 16);
	s->to = international ? plus : end;
	for (size_t i = plus; international && i < in.len && is(in.p[i], IS_DIALLED) && i - plus < 32; i++) {
		if (!is_digit(in.p[i]))
			continue;
		digits++;
		s->to = i + 1;
	}
	if (international) {
		*seen_r = s->to > end ? s->to : end;
		return digits >= 8 && digits <= 15 && !before_is(in, s->from, IS_WORD);
	}
	/* Without a country: the pattern was 10 digits as 3-3-4 with signs between. */
	s->from = end - (end > 12 && in.p[end - 10] == ')' ? 13 : 12);
	if (s->from > 0 && in.p[s->from - 1] == '(')
		s->from--;
	return !before_is(in, s->from, IS_WORD) && !after_is(in, end, IS_WORD) && !(s->from > 0 && is_gap(in.p[s->from - 1]) && s->from > 1 && is_digit(in.p[s->from - 2]));
}

static bool
find_ip(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	char text[64];
	uint8_t ignored[16];

	s->from = back(in, end, IS_ADDRESS, 46);
	s->to = forth(in, end, IS_ADDRESS, 46);
	*seen_r = s->to;
	while (s->to > s->from && (in.p[s->to - 1] == '.' || (in.p[s->to - 1] == ':' && (s->to < 2 || in.p[s->to - 2] != ':'))))
		s->to--; /* the sentence's, not the address's */
	size_t n = s->to - s->from;
	if (n < 3 || n >= sizeof(text) || before_is(in, s->from, IS_WORD) || after_is(in, s->to, IS_WORD))
		return false;
	memcpy(text, in.p + s->from, n);
	text[n] = '\0';
	if (strchr(text, ':') != NULL && inet_pton(AF_INET6, text, ignored) != 1) {
		char *port = strrchr(text, ':'); /* 10.0.0.1:5432 */
		*port = '\0';
		s->to = s->from + (size_t)(port - text);
	}
	return inet_pton(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, ignored) == 1;
}

/* eyJ….eyJ….signature; the mark is the second eyJ */
static bool
find_jwt(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->from = back(in, end - 4, IS_NAME, LOOK);
	s->to = forth(in, end, IS_NAME, LOOK);
	*seen_r = s->to;
	if (s->to < in.len && in.p[s->to] == '.')
		s->to = forth(in, s->to + 1, IS_NAME, LOOK);
	*seen_r = s->to;
	return true;
}

/* AKIA and sixteen more, or forty characters after the name of the secret. */
static bool
find_aws_key(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->to = forth(in, end, IS_ALNUM, 64);
	s->from = back(in, end, IS_ALNUM, 64);
	*seen_r = s->to;
	if (s->to - s->from == 20)
		return true;
	s->from = back(in, end, IS_TOKEN, 40);
	s->to = forth(in, end, IS_TOKEN, 64);
	return s->to - s->from == 40;
}

static bool
find_private_key(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	struct sp_bytes rest = { in.p + end, in.len - end };
	const uint8_t *at = rest.len == 0 ? NULL : memmem(rest.p, rest.len, "-----END ", 9);

	s->from = end < 64 ? 0 : end - 64;
	const uint8_t *begin = NULL;
	for (const uint8_t *p = in.p + s->from; (p = memmem(p, (size_t)(in.p + end - p), "-----BEGIN ", 11)) != NULL; p++)
		begin = p;
	if (begin != NULL)
		s->from = (size_t)(begin - in.p);
	s->to = in.len;
	if (at != NULL) {
		size_t line = (size_t)(at - in.p) + 9;
		while (line < in.len && in.p[line] != '\n' && line - (size_t)(at - in.p) < 64)
			line++;
		s->to = line;
	}
	*seen_r = s->to;
	return true;
}

/* What follows the word. */
static bool
find_bearer(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->from = back(in, end, IS_TOKEN, LOOK);
	s->to = forth(in, end, IS_TOKEN, LOOK);
	*seen_r = s->to;
	return true;
}

/* ghp_…, xoxb-…: whatever the word's own characters reach to. */
static bool
find_prefixed(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->from = back(in, end, IS_NAME, LOOK);
	s->to = forth(in, end, IS_NAME, LOOK);
	*seen_r = s->to;
	return true;
}

/* ---- every place of a row's pattern, without an automaton ---- */

struct detector_row;

struct scan {
	const struct detector_row *row;
	struct sp_bytes in;
	size_t seen; /* up to where the row's function has looked */
};
static bool scan_hit(struct scan *scan, size_t end);

static bool
scan_email(struct scan *scan)
{
	const uint8_t *end = scan->in.p + scan->in.len;

	for (const uint8_t *p = scan->in.p; (p = memchr(p, '@', (size_t)(end - p))) != NULL && end - p > 1; p++)
		if ((is(p[1], IS_ALNUM) || p[1] >= 0x80) && !scan_hit(scan, (size_t)(p + 2 - scan->in.p)))
			return false;
	return true;
}

/* Thirteen digits, single gaps between. */
static bool
scan_card(struct scan *scan)
{
	size_t run = 0;

	for (size_t i = 0; i < scan->in.len; i++) {
		if (!is_digit(scan->in.p[i]))
			run = run > 0 && is_gap(scan->in.p[i]) && is_digit(scan->in.p[i - 1]) ? run : 0;
		else if (++run >= 13 && !scan_hit(scan, i + 1))
			return false;
	}
	return true;
}

static bool
all_digits(const uint8_t *p, size_t n)
{
	while (n > 0 && is_digit(*p)) {
		p++;
		n--;
	}
	return n == 0;
}

/* ddd-dd-dddd */
static bool
scan_ssn(struct scan *scan)
{
	const uint8_t *p = scan->in.p;

	for (size_t end = 11; end <= scan->in.len; end++)
		if (p[end - 8] == '-' && p[end - 5] == '-' && all_digits(p + end - 4, 4) && all_digits(p + end - 7, 2) &&
		    all_digits(p + end - 11, 3) && !scan_hit(scan, end))
			return false;
	return true;
}

/* ---- the automata ---- */

struct detector_row {
	const char *pattern;
	unsigned flags;
	enum detector what;
	find_fn *find;
	bool (*scan)(struct scan *scan); /* what the pattern says, or NULL; false: too much was found */
};

static const struct detector_row row[] = {
	{ "@[a-zA-Z0-9\\x80-\\xff]", 0, DETECT_EMAIL, find_email, scan_email },
	{ "[0-9](?:[ -]?[0-9]){12}", 0, DETECT_CARD, find_card, scan_card },
	{ "[a-z]{2}[0-9]{2}", HS_FLAG_CASELESS, DETECT_IBAN, find_iban, NULL },
	{ "[0-9]{3}-[0-9]{2}-[0-9]{4}", 0, DETECT_SSN, find_ssn, scan_ssn },
	{ "\\+[0-9]{2}", 0, DETECT_PHONE, find_phone, NULL },
	{ "[0-9]{3}\\)?[ .-][0-9]{3}[ .-][0-9]{4}", 0, DETECT_PHONE, find_phone, NULL },
	{ "[0-9]\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]", 0, DETECT_IP, find_ip, NULL },
	{ "[0-9a-f]?:[0-9a-f]{0,4}:[0-9a-f]", HS_FLAG_CASELESS, DETECT_IP, find_ip, NULL },
	{ "eyJ[A-Za-z0-9_-]{5,}\\.eyJ", 0, DETECT_JWT, find_jwt, NULL },
	{ "(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA)[A-Z0-9]{16}", 0, DETECT_AWS_KEY, find_aws_key, NULL },
	{ "secret_?access_?key[\"' ]{0,3}[:=][\"' ]{0,3}[a-z0-9/+=]{40}", HS_FLAG_CASELESS, DETECT_AWS_KEY, find_aws_key, NULL },
	{ "-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----", 0, DETECT_PRIVATE_KEY, find_private_key, NULL },
	{ "bearer[ \\t:=\"']{1,4}[a-z0-9._~+/-]{16}", HS_FLAG_CASELESS, DETECT_BEARER, find_bearer, NULL },
	{ "gh[pousr]_[A-Za-z0-9]{30}", 0, DETECT_GITHUB_TOKEN, find_prefixed, NULL },
	{ "github_pat_[A-Za-z0-9_]{22}", 0, DETECT_GITHUB_TOKEN, find_prefixed, NULL },
	{ "xox[abeoprs]-[A-Za-z0-9-]{10}", 0, DETECT_SLACK_TOKEN, find_prefixed, NULL },
	{ "xapp-[A-Za-z0-9-]{10}", 0, DETECT_SLACK_TOKEN, find_prefixed, NULL },
};
enum { ROWS = sizeof(row) / sizeof(*row) };

static hs_database_t *automaton[ROWS];
static hs_scratch_t *scratch;

int
detect_prepare(void)
{
	hs_compile_error_t *err = NULL;

	if (automaton[ROWS - 1] != NULL)
		return SP_OK;
	detect_may_prepare();
	for (unsigned i = 0; i < ROWS; i++) {
		hs_database_t *made;
		if (i > 0 && row[i].what < row[i - 1].what)
			return SP_EINTERNAL; /* scan_rows() would miss it */
		if (hs_compile(row[i].pattern, row[i].flags, HS_MODE_BLOCK, NULL, &made, &err) != HS_SUCCESS) {
			hs_free_compile_error(err);
			return SP_EINTERNAL;
		}
		if (hs_alloc_scratch(made, &scratch) != HS_SUCCESS)
			return SP_EINTERNAL;
		automaton[i] = made;
	}
	return SP_OK;
}

/* Every span that was found, as they come; more than these, and all is hidden. */
static struct {
	struct span *v;
	size_t n, cap;
} found;
#define FOUND_MAX (1u << 18)

static bool
keep(struct span s)
{
	if (found.n == found.cap) {
		size_t cap = found.cap == 0 ? 64 : 2 * found.cap;
		struct span *more = cap > FOUND_MAX ? NULL : realloc(found.v, cap * sizeof(*more));
		if (more == NULL)
			return false;
		found.v = more;
		found.cap = cap;
	}
	found.v[found.n++] = s;
	return true;
}

static bool
scan_hit(struct scan *scan, size_t end)
{
	struct span s = { .what = scan->row->what };

	if (end <= scan->seen)
		return true;
	return !scan->row->find(scan->in, end, &s, &scan->seen) || keep(s);
}

static int
on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	(void)id;
	(void)from;
	(void)flags;
	return !scan_hit(context, (size_t)to);
}

static int
by_begin(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* In order, overlaps joined. */
static size_t
join(struct span *span, size_t max)
{
	size_t n = 0;

	if (found.n > 1)
		qsort(found.v, found.n, sizeof(*found.v), by_begin);
	for (size_t i = 0; i < found.n; i++) {
		const struct span *s = &found.v[i];
		if (n > 0 && s->from <= span[n - 1].to)
			span[n - 1].to = s->to > span[n - 1].to ? s->to : span[n - 1].to;
		else if (n < max)
			span[n++] = *s;
		else
			return SIZE_MAX;
	}
	return n;
}

struct spans { /* where findings go */
	struct span *v;
	size_t max;
};

static bool
scan_rows(uint32_t wanted, struct sp_bytes in, bool slowly)
{
	for (unsigned i = 0; i < ROWS && wanted >> row[i].what != 0; i++) { /* rows are in the order of detectors */
		if ((wanted >> row[i].what & 1) == 0)
			continue;
		struct scan scan = { .row = &row[i], .in = in };
		bool done = row[i].scan != NULL && !slowly ? row[i].scan(&scan)
		    : hs_scan(automaton[i], (const char *)in.p, (unsigned)in.len, 0, scratch, on_match, &scan) == HS_SUCCESS;
		if (!done)
			return false;
	}
	return true;
}

static size_t
find_all(uint32_t wanted, struct sp_bytes in, bool slowly, struct spans to)
{
	if (in.len == 0 || wanted == 0 || to.max == 0)
		return 0;
	found.n = 0;
	if (detect_prepare() != SP_OK || in.len > UINT32_MAX || !scan_rows(wanted, in, slowly)) {
		to.v[0] = (struct span){ .to = in.len }; /* what can't be looked at is hidden */
		return 1;
	}
	size_t n = found.n == 0 ? 0 : join(to.v, to.max);
	if (n == SIZE_MAX)
		to.v[(n = to.max) - 1].to = in.len;
	return n;
}

size_t
detect_find_slowly(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max)
{
	return find_all(wanted, in, true, (struct spans){ span, max });
}

size_t
detect_find(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max)
{
	return find_all(detect_may(wanted, in), in, false, (struct spans){ span, max });
}
