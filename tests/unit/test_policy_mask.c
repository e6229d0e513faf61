/* SPDX-License-Identifier: Apache-2.0 */
/* Masks: what each makes of values, of which none grows, is cut inside a character, or shows more than it names. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/policy/mask.h"
#include "cunit_main.h"
#include "toy.h"

static bool
key(void *owner, const char *tag, uint8_t key_r[32])
{
	(void)owner;
	memset(key_r, tag[0], 32);
	return tag[0] != '!'; /* a tag without a key */
}

/* The masked value, or NULL when it can't be masked. */
static const char *
masked(const struct method *m, const char *tag, struct sp_bytes in)
{
	static char out[4096];
	struct sp_mask mask = { .kind = method_mask_kind(m), .method = m, .tag = tag, .rule = "r" };
	struct sp_writer w = sp_writer(out, sizeof(out) - 1);

	if (mask.kind == SP_MASK_NULL || sp_mask_value(&mask, in, &w) != SP_OK || w.bad)
		return NULL;
	out[w.len] = '\0';
	return out;
}

static const struct method keep_2_2 = { .kind = METHOD_KEEP, .first = 2, .last = 2 }, last4 = { .kind = METHOD_KEEP, .last = 4 },
	email = { .kind = METHOD_EMAIL }, hash = { .kind = METHOD_HASH }, year = { .kind = METHOD_DATE_YEAR };

static void
test_values(void)
{
	static const struct {
		const struct method *method;
		const char *in, *out; /* NULL: becomes NULL */
	} row[] = {
		{ &method_redact, "", "****" },
		{ &method_redact, "anything at all", "****" },
		{ &method_null, "x", NULL },
		{ &last4, "4111111111111111", "****1111" },
		{ &last4, "12345678", "****5678" },
		{ &last4, "1234567", "****567" },     /* never more than half */
		{ &last4, "1234", "****34" },
		{ &last4, "1", "****" },
		{ &last4, "", "****" },
		{ &keep_2_2, "abcdefgh", "ab****gh" },
		{ &keep_2_2, "ab", "a****" },
		{ &last4, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", "****\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f" },
		{ &email, "ann@example.com", "a***@example.com" },
		{ &email, "a@example.com", "***@example.com" },
		{ &email, "no address", "****" },
		{ &email, "call ann@example.com now", "****" },
		{ &email, "@", "****" },
		{ &year, "2024-05-17", "2024-01-01" },
		{ &year, "17.05.2024", NULL },
		{ &year, "", NULL },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *got = masked(row[i].method, "t", sp_str(row[i].in));
		bool good = (got == NULL) == (row[i].out == NULL) && (got == NULL || strcmp(got, row[i].out) == 0);
		if (!good)
			fprintf(stderr, "\nrow %zu, \"%s\": %s\n", i, row[i].in, got == NULL ? "NULL" : got);
		CU_ASSERT_TRUE(good);
	}
}

/* MK10: by key, so that nobody can try all nine digits; the same under one tag, another under another. */
static void
test_hash(void)
{
	char one[64], two[64];

	policy_mask_keys(key, NULL);
	snprintf(one, sizeof(one), "%s", masked(&hash, "a", SP_LIT("123-45-6789")));
	CU_ASSERT_EQUAL(strlen(one), 16);
	CU_ASSERT_EQUAL(strspn(one, "0123456789abcdef"), 16);
	CU_ASSERT_STRING_EQUAL(masked(&hash, "a", SP_LIT("123-45-6789")), one);
	snprintf(two, sizeof(two), "%s", masked(&hash, "b", SP_LIT("123-45-6789")));
	CU_ASSERT_STRING_NOT_EQUAL(one, two);
	CU_ASSERT_STRING_NOT_EQUAL(masked(&hash, "a", SP_LIT("123-45-6780")), one);
	CU_ASSERT_PTR_NULL(masked(&hash, "!", SP_LIT("x"))); /* no key (yet): NULL, not clear */
	policy_mask_keys(NULL, NULL);
	CU_ASSERT_PTR_NULL(masked(&hash, "a", SP_LIT("x")));
}

/* Bytes that are no UTF-8 are never shown, and nothing is cut in two. */
static void
test_bytes(void)
{
	uint8_t in[64];
	const struct method *methods[] = { &last4, &keep_2_2, &email, &method_redact };

	for (unsigned round = 0; round < 20000; round++) {
		size_t n = (size_t)(random() % (long)sizeof(in));
		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)random();
		const char *got = masked(methods[round % 4], "t", (struct sp_bytes){ in, n });
		for (size_t i = 0; got != NULL && got[i] != '\0'; i++) {
			uint8_t lead = (uint8_t)got[i];
			size_t more = lead < 0x80 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 9;
			CU_ASSERT_FATAL(more < 9);
			for (; more > 0; more--)
				CU_ASSERT_FATAL(((uint8_t)got[++i] & 0xc0) == 0x80);
		}
	}
}

static void
test_compose(void)
{
	const struct method steps[] = { last4, method_redact }, two[] = { email, last4 };
	const struct method compose = { .kind = METHOD_COMPOSE, .step = steps, .n = 2 }, other = { .kind = METHOD_COMPOSE, .step = two, .n = 2 };

	CU_ASSERT_STRING_EQUAL(masked(&compose, "t", SP_LIT("4111111111111111")), "****");
	CU_ASSERT_STRING_EQUAL(masked(&other, "t", SP_LIT("ann@example.com")), "****.com");
	CU_ASSERT_TRUE(method_equal(&compose, &compose));
	CU_ASSERT_FALSE(method_equal(&compose, &other));
	CU_ASSERT_TRUE(method_has(&compose, METHOD_REDACT));
	CU_ASSERT_FALSE(method_has(&compose, METHOD_HASH));
}

/* null > redact > hash > date_year, email > keep; whichever comes first. */
static void
test_strength(void)
{
	const struct method *rank[] = { &method_null, &method_redact, &hash, &year, &last4 };

	for (size_t i = 0; i < sizeof(rank) / sizeof(*rank); i++) {
		for (size_t k = i; k < sizeof(rank) / sizeof(*rank); k++) {
			CU_ASSERT_TRUE(method_equal(method_stronger(rank[i], rank[k]), rank[i]));
			CU_ASSERT_TRUE(method_equal(method_stronger(rank[k], rank[i]), rank[i]));
		}
	}
	CU_ASSERT_TRUE(method_equal(method_stronger(&year, &email), &method_redact));
	CU_ASSERT_TRUE(method_equal(method_stronger(&last4, &keep_2_2), &method_redact));
}

/* A column that nobody described, and masks that nobody made, hide. */
static void
test_nothing(void)
{
	const struct sp_mask *m = policy_mask(NULL, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->kind, SP_MASK_NULL);
	struct sp_mask zero = { 0 };
	CU_ASSERT_EQUAL(zero.kind, SP_MASK_NULL);
	CU_ASSERT_EQUAL(((struct method){ 0 }).kind, METHOD_NULL);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "values", test_values },
		{ "hashes", test_hash },
		{ "any bytes", test_bytes },
		{ "one after the other", test_compose },
		{ "the strongest", test_strength },
		{ "zero hides", test_nothing },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("policy mask", tests);
}
