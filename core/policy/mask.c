/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masking one value.  A mask never grows a value beyond what it names, never cuts a character in two,
 * and what it cannot do it refuses, so that the value becomes NULL.
 */
#include <config.h>

#include "mask.h"

#include <lauxlib.h>

#include "../base/digest.h"
#include "rule.h"

#define HASH_BYTES 8 /* 16 hex digits: enough to join by, useless to reverse without the key */
#define STEPS_MAX 4

const char *const method_name[METHODS] = { [METHOD_NULL] = "null", [METHOD_REDACT] = "redact", [METHOD_HASH] = "hash",
	[METHOD_DATE_YEAR] = "date_year", [METHOD_EMAIL] = "email", [METHOD_KEEP] = "keep", [METHOD_COMPOSE] = "compose" };

const struct method method_null = { .kind = METHOD_NULL };
const struct method method_redact = { .kind = METHOD_REDACT };

static bool (*find_key)(void *owner, const char *tag, uint8_t key_r[32]);
static void *find_key_owner;

void
policy_mask_keys(bool (*key)(void *owner, const char *tag, uint8_t key_r[32]), void *owner)
{
	find_key = key;
	find_key_owner = owner;
}

/* While policy tests run, hashes have keys of their own. */
static bool (*test_key)(void *owner, const char *tag, uint8_t key_r[32]);

void
mask_keys_for_tests(bool (*key)(void *owner, const char *tag, uint8_t key_r[32]))
{
	test_key = key;
}

static bool
key_of(const char *tag, uint8_t key_r[32])
{
	if (test_key != NULL)
		return test_key(NULL, tag, key_r);
	return find_key != NULL && find_key(find_key_owner, tag, key_r);
}

/* ---- which mask wins ---- */

static unsigned
rank(const struct method *m)
{
	static const unsigned of_kind[] = { [METHOD_NULL] = 5, [METHOD_REDACT] = 4, [METHOD_HASH] = 3, [METHOD_DATE_YEAR] = 2,
		[METHOD_EMAIL] = 2, [METHOD_KEEP] = 1 };
	unsigned most = 0;

	if (m->kind != METHOD_COMPOSE)
		return of_kind[m->kind];
	for (size_t i = 0; i < m->n; i++)
		if (rank(&m->step[i]) > most)
			most = rank(&m->step[i]);
	return most;
}

bool
method_equal(const struct method *a, const struct method *b)
{
	if (a->kind != b->kind || a->first != b->first || a->last != b->last || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!method_equal(&a->step[i], &b->step[i]))
			return false;
	return true;
}

const struct method *
method_stronger(const struct method *a, const struct method *b)
{
	if (rank(a) != rank(b))
		return rank(a) > rank(b) ? a : b;
	return method_equal(a, b) ? a : &method_redact;
}

bool
method_has(const struct method *m, enum method_kind kind)
{
	for (size_t i = 0; i < m->n; i++)
		if (method_has(&m->step[i], kind))
			return true;
	return m->kind == kind;
}

enum sp_mask_kind
method_mask_kind(const struct method *m)
{
	if (method_has(m, METHOD_NULL))
		return SP_MASK_NULL;
	return m->kind == METHOD_DATE_YEAR ? SP_MASK_YEAR : SP_MASK_TEXT;
}

int
method_print(const struct method *m, struct buffer *out)
{
	int rc = buffer_printf(out, "%s", method_name[m->kind]);

	if (rc == SP_OK && m->kind == METHOD_KEEP)
		rc = buffer_printf(out, " %u %u", m->first, m->last);
	for (size_t i = 0; i < m->n && rc == SP_OK; i++) {
		rc = buffer_printf(out, i == 0 ? " (" : ", ");
		if (rc == SP_OK)
			rc = method_print(&m->step[i], out);
	}
	return rc == SP_OK && m->n > 0 ? buffer_printf(out, ")") : rc;
}

/* ---- from Lua ---- */

static bool
read_keep(struct loader *l, lua_State *L, int index, struct method *m, const struct rule_place *at)
{
	static const char *const names[] = { "first", "last" };
	unsigned *const value[] = { &m->first, &m->last };

	for (unsigned i = 0; i < 2; i++) {
		int good;
		lua_pushstring(L, names[i]);
		lua_rawget(L, index);
		lua_Integer n = lua_tointegerx(L, -1, &good);
		lua_pop(L, 1);
		if (!good || n < 0 || n > 100) {
			loader_error(l, at->line, "%s: keep wants first and last from 0 to 100", at->where);
			return false;
		}
		*value[i] = (unsigned)n;
	}
	if (m->first == 0 && m->last == 0)
		m->kind = METHOD_REDACT;
	return true;
}

static bool read_method(struct loader *l, lua_State *L, int index, struct method *m, const struct rule_place *at);

static bool
read_steps(struct loader *l, lua_State *L, int index, struct method *m, const struct rule_place *at)
{
	size_t n = lua_rawlen(L, index);
	struct method *step = arena_alloc(l->arena, (STEPS_MAX + 1) * sizeof(*step));

	if (step == NULL || n == 0 || n > STEPS_MAX) {
		loader_error(l, at->line, "%s: compose wants 1 to %d masks", at->where, STEPS_MAX);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		bool good = read_method(l, L, lua_gettop(L), &step[i], at);
		lua_pop(L, 1);
		if (!good)
			return false;
		if (step[i].kind == METHOD_COMPOSE || step[i].kind == METHOD_DATE_YEAR) {
			loader_error(l, at->line, "%s: compose is for masks of text, not for compose and date_year", at->where);
			return false;
		}
	}
	m->step = step;
	m->n = n;
	return true;
}

static bool
read_method(struct loader *l, lua_State *L, int index, struct method *m, const struct rule_place *at)
{
	static const char *const names[] = { "null", "redact", "hash", "date_year", "email", "keep", "compose", NULL };
	static const enum method_kind kinds[] = { METHOD_NULL, METHOD_REDACT, METHOD_HASH, METHOD_DATE_YEAR, METHOD_EMAIL,
		METHOD_KEEP, METHOD_COMPOSE };
	const char *word = NULL;
	size_t i = 0;

	if (lua_type(L, index) == LUA_TTABLE) {
		lua_pushliteral(L, "mask");
		if (lua_rawget(L, index) == LUA_TSTRING)
			word = loader_string(l, L, -1);
		lua_pop(L, 1);
	}
	while (word != NULL && names[i] != NULL && strcmp(names[i], word) != 0)
		i++;
	if (word == NULL || names[i] == NULL) {
		loader_error(l, at->line, "%s is one of mask.null, mask.redact, mask.hash, mask.date_year, mask.email, mask.last4, "
		    "mask.keep { first = 1 }, mask.compose(…)", at->where);
		return false;
	}
	*m = (struct method){ .kind = kinds[i] };
	if (m->kind == METHOD_KEEP)
		return read_keep(l, L, index, m, at);
	return m->kind != METHOD_COMPOSE || read_steps(l, L, index, m, at);
}

const struct method *
method_read(struct loader *l, lua_State *L, int index, const struct rule_place *at)
{
	struct method *m = arena_alloc(l->arena, sizeof(*m));

	if (m == NULL) {
		l->no_memory = true;
		return NULL;
	}
	return read_method(l, L, lua_absindex(L, index), m, at) ? m : NULL;
}

/* ---- values ---- */

/* Bytes of the character that begins here; 1 for a byte that begins none. */
static size_t
char_len(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 1;

	if (n > left)
		return 1;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 1;
	return n;
}

static bool
is_ascii(struct sp_bytes in)
{
	uint64_t any = 0, eight;
	size_t i = 0;

	for (; in.len - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, in.p + i, sizeof(eight));
		any |= eight;
	}
	for (; i < in.len; i++)
		any |= in.p[i];
	return (any & UINT64_C(0x8080808080808080)) == 0;
}

/* What is shown; what is no UTF-8 is never shown. */
static void
put_chars(struct sp_writer *out, struct sp_bytes in)
{
	if (is_ascii(in)) {
		sp_wr_put(out, in);
		return;
	}
	for (size_t i = 0, n; i < in.len; i += n) {
		n = char_len(in.p + i, in.len - i);
		sp_wr_put(out, n == 1 && in.p[i] >= 0x80 ? SP_LIT("*") : (struct sp_bytes){ in.p + i, n });
	}
}

static size_t
char_count(struct sp_bytes in)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i += char_len(in.p + i, in.len - i))
		n++;
	return n;
}

/* How many bytes the first n characters take. */
static size_t
chars_end(struct sp_bytes in, size_t n)
{
	size_t i = 0;

	for (; n > 0 && i < in.len; n--)
		i += char_len(in.p + i, in.len - i);
	return i;
}

/* As many stars for every value: its length is nobody's business. */
static void
put_stars(struct sp_writer *out)
{
	sp_wr_put(out, SP_LIT("****"));
}

/* First and last characters, but never more than half of them all. */
static void
put_kept(const struct method *m, struct sp_bytes in, struct sp_writer *out)
{
	bool plain = is_ascii(in);
	size_t count = plain ? in.len : char_count(in), first = m->first, last = m->last;

	while (first + last > count / 2 && first + last > 0) {
		if (first > last)
			first--;
		else
			last--;
	}
	size_t head = plain ? first : chars_end(in, first), tail = plain ? in.len - last : chars_end(in, count - last);
	put_chars(out, (struct sp_bytes){ in.p, head });
	put_stars(out);
	put_chars(out, (struct sp_bytes){ in.p + tail, in.len - tail });
}

static bool
in_domain(uint8_t c)
{
	return c >= 0x80 || (uint8_t)((c | 0x20) - 'a') <= 'z' - 'a' || (uint8_t)(c - '0') <= 9 || c == '.' || c == '-';
}

/* a***@example.com */
static void
put_email(struct sp_bytes in, struct sp_writer *out)
{
	const uint8_t *at = in.len == 0 ? NULL : memchr(in.p, '@', in.len);
	size_t local = at == NULL ? 0 : (size_t)(at - in.p), domain = in.len - local;

	if (local == 0 || domain < 4 || memchr(at + 1, '@', domain - 1) != NULL || memchr(at, '.', domain) == NULL) {
		put_stars(out);
		return;
	}
	for (size_t i = 1; i < domain; i++) {
		if (!in_domain(at[i])) { /* a text with an address in it, not an address */
			put_stars(out);
			return;
		}
	}
	size_t n = char_len(in.p, local);
	if (n < local)
		put_chars(out, (struct sp_bytes){ in.p, n });
	sp_wr_put(out, SP_LIT("***"));
	put_chars(out, (struct sp_bytes){ at, domain });
}

static int
put_hash(const char *tag, struct sp_bytes in, struct sp_writer *out)
{
	uint8_t key[32], hash[DIGEST_LEN];
	char hex[2 * HASH_BYTES + 1];

	if (!key_of(tag, key))
		return SP_EDENIED;
	digest_hmac((struct sp_bytes){ key, sizeof(key) }, in, hash);
	mem_wipe(key, sizeof(key));
	text_hex((struct sp_bytes){ hash, HASH_BYTES }, hex);
	sp_wr_put(out, (struct sp_bytes){ (const uint8_t *)hex, sizeof(hex) - 1 });
	return SP_OK;
}

/* 2024-05-17 → 2024-01-01, a time → 00:00:00; only what is written in ISO's way. */
static int
put_year(struct sp_bytes in, struct sp_writer *out)
{
	static const char shape[] = "dddd-dd-dd dd:dd:dd";
	size_t n = in.len < sizeof(shape) - 1 ? in.len : sizeof(shape) - 1;

	if (n != 10 && n != sizeof(shape) - 1)
		return SP_EDENIED;
	for (size_t i = 0; i < n; i++) {
		bool digit = in.p[i] >= '0' && in.p[i] <= '9';
		if (shape[i] == 'd' ? !digit : in.p[i] != (uint8_t)shape[i] && !(i == 10 && in.p[i] == 'T'))
			return SP_EDENIED;
	}
	sp_wr_put(out, (struct sp_bytes){ in.p, 4 });
	sp_wr_put(out, SP_LIT("-01-01"));
	if (n > 10) {
		sp_wr_put(out, (struct sp_bytes){ in.p + 10, 1 });
		sp_wr_put(out, SP_LIT("00:00:00"));
	}
	return SP_OK;
}

static int put_masked(const struct method *m, const char *tag, struct sp_bytes in, struct sp_writer *out);

/* One after the other, through two small pieces of memory: what masks make is short. */
static int
put_composed(const struct method *m, const char *tag, struct sp_bytes in, struct sp_writer *out)
{
	uint8_t piece[2][1024];
	int rc = SP_OK;

	for (size_t i = 0; i < m->n && rc == SP_OK; i++) {
		struct sp_writer w = sp_writer(piece[i % 2], sizeof(piece[0]));
		rc = put_masked(&m->step[i], tag, in, i + 1 < m->n ? &w : out);
		if (i + 1 < m->n && w.bad)
			rc = SP_EDENIED;
		in = sp_written(&w);
	}
	return rc;
}

static int
put_masked(const struct method *m, const char *tag, struct sp_bytes in, struct sp_writer *out)
{
	switch (m->kind) {
	case METHOD_REDACT:
		put_stars(out);
		return SP_OK;
	case METHOD_HASH:
		return put_hash(tag, in, out);
	case METHOD_EMAIL:
		put_email(in, out);
		return SP_OK;
	case METHOD_KEEP:
		put_kept(m, in, out);
		return SP_OK;
	case METHOD_DATE_YEAR:
		return put_year(in, out);
	case METHOD_COMPOSE:
		return put_composed(m, tag, in, out);
	case METHOD_NULL:
		break;
	}
	return SP_EDENIED;
}

/* What detectors find is hidden, the rest stays. */
static int
put_detected(const struct sp_mask *m, struct sp_bytes in, struct sp_writer *out)
{
	struct span span[64];
	size_t n = detect_find(m->detect, in, span, sizeof(span) / sizeof(*span)), at = 0;

	for (size_t i = 0; i < n; i++) {
		sp_wr_put(out, (struct sp_bytes){ in.p + at, span[i].from - at });
		int rc = put_masked(m->method, m->tag, (struct sp_bytes){ in.p + span[i].from, span[i].to - span[i].from }, out);
		if (rc != SP_OK)
			return rc;
		at = span[i].to;
	}
	sp_wr_put(out, (struct sp_bytes){ in.p + at, in.len - at });
	return SP_OK;
}

enum sp_mask_kind
sp_mask_kind(const struct sp_mask *m)
{
	return m->kind;
}

bool
sp_mask_spares(const struct sp_mask *m, struct sp_bytes in)
{
	return m->kind == SP_MASK_DETECT && detect_may(m->detect, in) == 0;
}

int
sp_mask_value(const struct sp_mask *m, struct sp_bytes in, struct sp_writer *out)
{
	int rc = SP_EDENIED;

	if (m->kind == SP_MASK_DETECT)
		rc = put_detected(m, in, out);
	else if (m->kind != SP_MASK_NULL)
		rc = put_masked(m->method, m->tag, in, out);
	return rc == SP_OK && out->bad ? SP_ETOOBIG : rc;
}
