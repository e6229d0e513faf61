/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding secrets and personal data by content.
 *
 *   text ─▶ counts: are there enough digits, signs … for X? ─▶ Hyperscan: "an X may end here" ─▶ find_X(): where from, where to?
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
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_alnum(uint8_t c)
{
	return is_digit(c) || is_letter(c);
}

static bool
is_local(uint8_t c) /* of an address before the @ */
{
	return is_alnum(c) || c >= 0x80 || (c != 0 && strchr("._%+-'/=!#$&*?^`{|}~", c) != NULL);
}

static bool
is_domain(uint8_t c)
{
	return is_alnum(c) || c >= 0x80 || c == '.' || c == '-';
}

static bool
is_word(uint8_t c)
{
	return is_alnum(c) || c == '_';
}

typedef bool byte_class(uint8_t c);

static size_t
back(struct sp_bytes in, size_t at, byte_class *of, size_t most)
{
	size_t n = 0;

	while (n < most && at > n && of(in.p[at - n - 1]))
		n++;
	return at - n;
}

static size_t
forth(struct sp_bytes in, size_t at, byte_class *of, size_t most)
{
	size_t n = 0;

	while (n < most && at + n < in.len && of(in.p[at + n]))
		n++;
	return at + n;
}

static bool
before_is(struct sp_bytes in, size_t at, byte_class *of)
{
	return at > 0 && of(in.p[at - 1]);
}

static bool
after_is(struct sp_bytes in, size_t at, byte_class *of)
{
	return at < in.len && of(in.p[at]);
}

/* ---- one function for each: `end` is where its pattern ended; *seen_r: no need to look before that ---- */

typedef bool find_fn(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r);

/* x@y */
static bool
find_email(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	size_t at = end - 2;

	s->from = back(in, at, is_local, 64);
	s->to = forth(in, at + 1, is_domain, 255);
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
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = digit[n - 1 - i];
		if (i % 2 == 1)
			d = d * 2 > 9 ? d * 2 - 9 : d * 2;
		sum += d;
	}
	return sum % 10 == 0;
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

/* Thirteen to nineteen digits, in groups or not, that satisfy Luhn's formula. */
static bool
find_card(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
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
	if (before_is(in, s->from, is_word))
		return false;
	for (size_t i = s->from; i < in.len && n < sizeof(c); i++) {
		if (is_alnum(in.p[i])) {
			c[n] = in.p[i];
			at[n++] = i;
		} else if (in.p[i] != ' ' || i + 1 >= in.len || !is_alnum(in.p[i + 1])) {
			break;
		}
	}
	for (; n >= 15; n--) {
		if (after_is(in, at[n - 1] + 1, is_word) || !mod97(c, n))
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
	if (before_is(in, s->from, is_word) || after_is(in, end, is_word) || (s->from > 0 && in.p[s->from - 1] == '-'))
		return false;
	return memcmp(p, "000", 3) != 0 && memcmp(p, "666", 3) != 0 && p[0] != '9' && memcmp(p + 4, "00", 2) != 0
	    && memcmp(p + 7, "0000", 4) != 0;
}

static bool
is_dialled(uint8_t c)
{
	return is_digit(c) || (c != 0 && strchr(" ()-./", c) != NULL);
}

/* +49 30 1234567, and (212) 555-0100 */
static bool
find_phone(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	size_t plus = back(in, end, is_dialled, 32), digits = 0;
	bool international = plus > 0 && in.p[plus - 1] == '+';

	*seen_r = end;
	s->from = international ? plus - 1 : digits_begin(in, end, 16);
	s->to = international ? plus : end;
	for (size_t i = plus; international && i < in.len && is_dialled(in.p[i]) && i - plus < 32; i++) {
		if (!is_digit(in.p[i]))
			continue;
		digits++;
		s->to = i + 1;
	}
	if (international) {
		*seen_r = s->to > end ? s->to : end;
		return digits >= 8 && digits <= 15 && !before_is(in, s->from, is_word);
	}
	/* Without a country: the pattern was 10 digits as 3-3-4 with signs between. */
	s->from = end - (end > 12 && in.p[end - 10] == ')' ? 13 : 12);
	if (s->from > 0 && in.p[s->from - 1] == '(')
		s->from--;
	return !before_is(in, s->from, is_word) && !after_is(in, end, is_word) && !(s->from > 0 && is_gap(in.p[s->from - 1]) && s->from > 1 && is_digit(in.p[s->from - 2]));
}

static bool
is_address(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static bool
find_ip(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	char text[64];
	uint8_t ignored[16];

	s->from = back(in, end, is_address, 46);
	s->to = forth(in, end, is_address, 46);
	*seen_r = s->to;
	while (s->to > s->from && (in.p[s->to - 1] == '.' || (in.p[s->to - 1] == ':' && (s->to < 2 || in.p[s->to - 2] != ':'))))
		s->to--; /* the sentence's, not the address's */
	size_t n = s->to - s->from;
	if (n < 3 || n >= sizeof(text) || before_is(in, s->from, is_word) || after_is(in, s->to, is_word))
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

static bool
is_url64(uint8_t c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

/* eyJ….eyJ….signature; the mark is the second eyJ */
static bool
find_jwt(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->from = back(in, end - 4, is_url64, LOOK);
	s->to = forth(in, end, is_url64, LOOK);
	*seen_r = s->to;
	if (s->to < in.len && in.p[s->to] == '.')
		s->to = forth(in, s->to + 1, is_url64, LOOK);
	*seen_r = s->to;
	return true;
}

/* AKIA and sixteen more, or forty characters after the name of the secret. */
static bool
find_aws_key(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->to = forth(in, end, is_alnum, 64);
	s->from = back(in, end, is_alnum, 64);
	*seen_r = s->to;
	if (s->to - s->from == 20)
		return true;
	s->from = back(in, end, detect_in_token, 40);
	s->to = forth(in, end, detect_in_token, 64);
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
	s->from = back(in, end, detect_in_token, LOOK);
	s->to = forth(in, end, detect_in_token, LOOK);
	*seen_r = s->to;
	return true;
}

static bool
is_prefixed(uint8_t c)
{
	return is_alnum(c) || c == '_' || c == '-';
}

/* ghp_…, xoxb-…: whatever the word's own characters reach to. */
static bool
find_prefixed(struct sp_bytes in, size_t end, struct span *s, size_t *seen_r)
{
	s->from = back(in, end, is_prefixed, LOOK);
	s->to = forth(in, end, is_prefixed, LOOK);
	*seen_r = s->to;
	return true;
}

/* ---- the automata ---- */

struct detector_row {
	const char *pattern;
	unsigned flags;
	enum detector what;
	find_fn *find;
};

static const struct detector_row row[] = {
	{ "@[a-zA-Z0-9\\x80-\\xff]", 0, DETECT_EMAIL, find_email },
	{ "[0-9](?:[ -]?[0-9]){12}", 0, DETECT_CARD, find_card },
	{ "[a-z]{2}[0-9]{2}", HS_FLAG_CASELESS, DETECT_IBAN, find_iban },
	{ "[0-9]{3}-[0-9]{2}-[0-9]{4}", 0, DETECT_SSN, find_ssn },
	{ "\\+[0-9]{2}", 0, DETECT_PHONE, find_phone },
	{ "[0-9]{3}\\)?[ .-][0-9]{3}[ .-][0-9]{4}", 0, DETECT_PHONE, find_phone },
	{ "[0-9]\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]", 0, DETECT_IP, find_ip },
	{ "[0-9a-f]?:[0-9a-f]{0,4}:[0-9a-f]", HS_FLAG_CASELESS, DETECT_IP, find_ip },
	{ "eyJ[A-Za-z0-9_-]{5,}\\.eyJ", 0, DETECT_JWT, find_jwt },
	{ "(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA)[A-Z0-9]{16}", 0, DETECT_AWS_KEY, find_aws_key },
	{ "secret_?access_?key[\"' ]{0,3}[:=][\"' ]{0,3}[a-z0-9/+=]{40}", HS_FLAG_CASELESS, DETECT_AWS_KEY, find_aws_key },
	{ "-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----", 0, DETECT_PRIVATE_KEY, find_private_key },
	{ "bearer[ \\t:=\"']{1,4}[a-z0-9._~+/-]{16}", HS_FLAG_CASELESS, DETECT_BEARER, find_bearer },
	{ "gh[pousr]_[A-Za-z0-9]{30}", 0, DETECT_GITHUB_TOKEN, find_prefixed },
	{ "github_pat_[A-Za-z0-9_]{22}", 0, DETECT_GITHUB_TOKEN, find_prefixed },
	{ "xox[abeoprs]-[A-Za-z0-9-]{10}", 0, DETECT_SLACK_TOKEN, find_prefixed },
	{ "xapp-[A-Za-z0-9-]{10}", 0, DETECT_SLACK_TOKEN, find_prefixed },
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

struct scan {
	const struct detector_row *row;
	struct sp_bytes in;
	size_t seen; /* up to where the row's function has looked */
};

static int
on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	struct scan *scan = context;
	struct span s = { .what = scan->row->what };

	(void)id;
	(void)from;
	(void)flags;
	if (to <= scan->seen)
		return 0;
	bool is_one = scan->row->find(scan->in, (size_t)to, &s, &scan->seen);
	return is_one && !keep(s);
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

static bool
scan_rows(uint32_t wanted, struct sp_bytes in)
{
	for (unsigned i = 0; i < ROWS; i++) {
		struct scan scan = { .row = &row[i], .in = in };
		if ((wanted >> row[i].what & 1) == 0)
			continue;
		if (hs_scan(automaton[i], (const char *)in.p, (unsigned)in.len, 0, scratch, on_match, &scan) != HS_SUCCESS)
			return false;
	}
	return true;
}

size_t
detect_find_slowly(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max)
{
	if (in.len == 0 || wanted == 0 || max == 0)
		return 0;
	found.n = 0;
	if (detect_prepare() != SP_OK || in.len > UINT32_MAX || !scan_rows(wanted, in)) {
		span[0] = (struct span){ .to = in.len }; /* what can't be looked at is hidden */
		return 1;
	}
	size_t n = found.n == 0 ? 0 : join(span, max);
	if (n == SIZE_MAX)
		span[(n = max) - 1].to = in.len;
	return n;
}

size_t
detect_find(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max)
{
	return detect_find_slowly(detect_may(wanted, in), in, span, max);
}
