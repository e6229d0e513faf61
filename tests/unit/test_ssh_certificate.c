/* SPDX-License-Identifier: Apache-2.0 */
/* SSH certificates: what the keeper signs, and what it does not take from others (SS7). */
#include <config.h>

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/keeper/ssh_certificate.h"
#include "cunit_main.h"

#define NOW 1700000000u

/* ssh-keygen -t ed25519 -N '' made it for this test. */
static const char ca_text[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
			      "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
			      "QyNTUxOQAAACB9Dw0QuudzC2D72aQLxc6OSzhwnTh7U0DwiJoFJ3yl1wAAAIgxu6jdMbuo\n"
			      "3QAAAAtzc2gtZWQyNTUxOQAAACB9Dw0QuudzC2D72aQLxc6OSzhwnTh7U0DwiJoFJ3yl1w\n"
			      "AAAED5MdqvLXOg2lZu27ooshUjKRvpV7l2lJXRJSNyRZ0kwH0PDRC653MLYPvZpAvFzo5L\n"
			      "OHCdOHtTQPCImgUnfKXXAAAABHRlc3QB\n"
			      "-----END OPENSSH PRIVATE KEY-----\n";

static struct sp_secret *ca;
static struct buffer ca_public;

static void
begin(void)
{
	const char *why = "";
	if (ca != NULL)
		return;
	ca = secret_new(sp_str(ca_text));
	CU_ASSERT_PTR_NOT_NULL_FATAL(ca);
	CU_ASSERT_EQUAL_FATAL(ssh_ca_public(ca, &ca_public, &why), SP_OK);
}

static const uint8_t session_key[] = "\0\0\0\13ssh-ed25519\0\0\0\40"
				     "0123456789abcdef0123456789abcdef";

static struct ssh_certificate
wanted(void)
{
	return (struct ssh_certificate){ .key = { session_key, sizeof(session_key) - 1 }, .principal = "deploy", .id = "sallyport ann session x",
		.from = "10.0.0.1/32", .now = NOW };
}

static struct buffer
make(struct ssh_certificate want)
{
	struct buffer out = { 0 };
	const char *why = "";
	begin();
	CU_ASSERT_EQUAL_FATAL(ssh_certificate_sign(ca, &want, &out, &why), SP_OK);
	return out;
}

static int
check(struct sp_bytes b, uint64_t now)
{
	struct ssh_shown shown;
	const char *why = "";
	return ssh_certificate_check(b, buffer_bytes(&ca_public), now, &shown, &why);
}

static void
one_login_for_minutes(void)
{
	struct buffer b = make(wanted());
	struct ssh_shown shown;
	const char *why = "";
	CU_ASSERT_EQUAL(ssh_certificate_check(buffer_bytes(&b), buffer_bytes(&ca_public), NOW, &shown, &why), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(shown.principal, "deploy") && sp_bytes_is(shown.from, "10.0.0.1/32"));
	CU_ASSERT_TRUE(sp_bytes_is(shown.id, "sallyport ann session x"));
	CU_ASSERT_EQUAL(shown.before, NOW + SSH_CERTIFICATE_LIFE);
	CU_ASSERT_EQUAL(check(buffer_bytes(&b), NOW + SSH_CERTIFICATE_LIFE), SP_EDENIED);
	CU_ASSERT_EQUAL(check(buffer_bytes(&b), NOW - 3600), SP_EDENIED);
	buffer_free(&b);
}

static void
ss7_names_that_could_mean_others(void)
{
	static const char *const bad[] = { "", "a,b", "*", "a b", "?", "!x", "a\nb" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ssh_certificate want = wanted();
		struct buffer out = { 0 };
		const char *why = "";
		begin();
		want.principal = bad[i];
		CU_ASSERT_EQUAL(ssh_certificate_sign(ca, &want, &out, &why), SP_EDENIED);
		CU_ASSERT_EQUAL(out.len, 0);
		buffer_free(&out);
	}
}

static void
ss7_every_byte_counts(void)
{
	struct buffer b = make(wanted());
	struct sp_bytes whole = buffer_bytes(&b);
	for (size_t i = 0; i < whole.len; i++) {
		uint8_t *other = malloc(whole.len);
		memcpy(other, whole.p, whole.len);
		other[i] ^= 1;
		CU_ASSERT_EQUAL(check((struct sp_bytes){ other, whole.len }, NOW), SP_EDENIED);
		free(other);
		uint8_t *cut = malloc(i + 1);
		memcpy(cut, whole.p, i);
		CU_ASSERT_EQUAL(check((struct sp_bytes){ cut, i }, NOW), SP_EDENIED);
		free(cut);
	}
	buffer_free(&b);
}

static void
another_authority_is_none(void)
{
	struct buffer b = make(wanted());
	struct ssh_shown shown;
	const char *why = "";
	CU_ASSERT_EQUAL(ssh_certificate_check(buffer_bytes(&b), wanted().key, NOW, &shown, &why), SP_EDENIED);
	CU_ASSERT_STRING_EQUAL(why, "another authority signed it");
	buffer_free(&b);
}

static void
keys_that_are_none(void)
{
	static const char *const bad[] = { "", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" };
	for (size_t i = 1; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sp_secret *s = secret_new(sp_str(bad[i]));
		const char *why = "";
		CU_ASSERT_NOT_EQUAL(ssh_ca_check(s, &why), SP_OK);
		secret_free(&s);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = { { "one login for minutes", one_login_for_minutes },
		{ "SS7 names that could mean others", ss7_names_that_could_mean_others }, { "SS7 every byte counts", ss7_every_byte_counts },
		{ "another authority is none", another_authority_is_none }, { "keys that are none", keys_that_are_none }, CU_TEST_INFO_NULL };
	int rc = cunit_main("ssh certificate", tests);
	secret_free(&ca);
	buffer_free(&ca_public);
	return rc;
}
