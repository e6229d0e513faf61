/* SPDX-License-Identifier: Apache-2.0 */
/* SSH certificates: what the keeper signs, and what it does not take from others (SS7). */
#include <config.h>

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/keeper/ssh_certificate.h"
#include "../../core/base/digest.h"
#include "cunit_main.h"
#include "ssh_certificate_vectors.h"

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

static struct buffer
vector_bytes(const struct vector *v)
{
	struct buffer out = { 0 };
	char text[2048];
	size_t n = 0;
	for (const char *p = v->base64; *p != '\0' && *p != '='; p++)
		text[n++] = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	CU_ASSERT_EQUAL_FATAL(text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, &out), SP_OK);
	return out;
}

static void
ss7_what_openssh_signs(void)
{
	begin();
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct ssh_shown shown;
		const char *why = "";
		struct buffer b = vector_bytes(&vectors[i]);
		int rc = ssh_certificate_check(buffer_bytes(&b), buffer_bytes(&ca_public), NOW, &shown, &why);
		CU_ASSERT_EQUAL(rc, vectors[i].why == NULL ? SP_OK : SP_EDENIED);
		if (vectors[i].why != NULL)
			CU_ASSERT_STRING_EQUAL(why, vectors[i].why);
		if (rc == SP_OK)
			CU_ASSERT_TRUE(sp_bytes_is(shown.principal, "spt-x") && shown.serial == 7);
		if (strcmp(vectors[i].name, "from") == 0)
			CU_ASSERT_TRUE(sp_bytes_is(shown.from, "10.0.0.0/8"));
		buffer_free(&b);
	}
}

/* The authority's field is a certificate that the authority itself signed (CVE-2025-49825). */
static void
ss6_a_certificate_as_the_authority(void)
{
	struct buffer good = vector_bytes(&vectors[0]);
	struct sp_bytes inner = buffer_bytes(&good);
	const size_t tail = 4 + buffer_bytes(&ca_public).len + 4 + 83; /* its authority, its signature */
	struct ssh_shown shown;
	uint8_t space[2048];
	const char *why = "";
	struct sp_writer w = sp_writer(space, sizeof(space));
	sp_wr_put(&w, (struct sp_bytes){ inner.p, inner.len - tail });
	sp_wr_be32(&w, (uint32_t)inner.len);
	sp_wr_put(&w, inner);
	sp_wr_put(&w, (struct sp_bytes){ inner.p + inner.len - 87, 87 });
	CU_ASSERT_EQUAL(ssh_certificate_check(sp_written(&w), buffer_bytes(&ca_public), NOW, &shown, &why), SP_EDENIED);
	CU_ASSERT_STRING_EQUAL(why, "another authority signed it");
	/* and when such a certificate is what is trusted, nothing is */
	CU_ASSERT_EQUAL(ssh_certificate_check(sp_written(&w), inner, NOW, &shown, &why), SP_EDENIED);
	buffer_free(&good);
}

static void
by_a_seed(void)
{
	static const uint8_t seed[SSH_SEED_LEN] = "0123456789abcdef0123456789abcde";
	struct buffer out = { 0 }, authority = { 0 };
	struct ssh_certificate want = wanted();
	struct ssh_shown shown;
	const char *why = "";
	want.life = 3600;
	CU_ASSERT_EQUAL(ssh_certificate_issue(seed, &want, &out, &why), SP_OK);
	CU_ASSERT_EQUAL(ssh_seed_public(seed, &authority), SP_OK);
	CU_ASSERT_EQUAL(ssh_certificate_check(buffer_bytes(&out), buffer_bytes(&authority), NOW + 3599, &shown, &why), SP_OK);
	CU_ASSERT_EQUAL(ssh_certificate_check(buffer_bytes(&out), buffer_bytes(&authority), NOW + 3600, &shown, &why), SP_EDENIED);
	want.principal = "a,b";
	CU_ASSERT_EQUAL(ssh_certificate_issue(seed, &want, &out, &why), SP_EDENIED);
	want = wanted();
	want.key.len--;
	CU_ASSERT_EQUAL(ssh_certificate_issue(seed, &want, &out, &why), SP_EDENIED);
	buffer_free(&out);
	buffer_free(&authority);
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

/* What publickey authentication signs (RFC 4252, 7), with one thing other than it should be. */
static int
sign_login(const char *user, const char *service, uint8_t message, struct sp_bytes key, bool more)
{
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	const char *why = "";
	struct buffer out = { 0 };
	sp_wr_be32(&w, 32);
	sp_wr_put(&w, SP_LIT("0123456789abcdef0123456789abcdef"));
	sp_wr_u8(&w, message);
	const struct sp_bytes words[] = { sp_str(user), sp_str(service), SP_LIT("publickey") };
	for (size_t i = 0; i < 3; i++) {
		sp_wr_be32(&w, (uint32_t)words[i].len);
		sp_wr_put(&w, words[i]);
	}
	sp_wr_u8(&w, 1);
	sp_wr_be32(&w, 11);
	sp_wr_put(&w, SP_LIT("ssh-ed25519"));
	sp_wr_be32(&w, (uint32_t)key.len);
	sp_wr_put(&w, key);
	if (more)
		sp_wr_u8(&w, 0);
	int rc = ssh_login_sign(ca, "deploy", sp_written(&w), &out, &why);
	CU_ASSERT_EQUAL(out.len, rc == SP_OK ? 4 + 11 + 4 + 64 : 0);
	buffer_free(&out);
	return rc;
}

static void
a_login_and_nothing_else_is_signed(void)
{
	begin();
	struct sp_bytes own = buffer_bytes(&ca_public), other = wanted().key;
	CU_ASSERT_EQUAL(sign_login("deploy", "ssh-connection", 50, own, false), SP_OK);
	CU_ASSERT_EQUAL(sign_login("root", "ssh-connection", 50, own, false), SP_EDENIED);
	CU_ASSERT_EQUAL(sign_login("deploy", "ssh-userauth", 50, own, false), SP_EDENIED);
	CU_ASSERT_EQUAL(sign_login("deploy", "ssh-connection", 51, own, false), SP_EDENIED);
	CU_ASSERT_EQUAL(sign_login("deploy", "ssh-connection", 50, other, false), SP_EDENIED);
	CU_ASSERT_EQUAL(sign_login("deploy", "ssh-connection", 50, own, true), SP_EDENIED);
	const char *why = "";
	struct buffer out = { 0 };
	CU_ASSERT_EQUAL(ssh_login_sign(ca, "deploy", SP_LIT(""), &out, &why), SP_EDENIED);
	CU_ASSERT_EQUAL(out.len, 0);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "one login for minutes", one_login_for_minutes },
		{ "SS7 names that could mean others", ss7_names_that_could_mean_others }, { "SS7 every byte counts", ss7_every_byte_counts },
		{ "SS7 what OpenSSH signs", ss7_what_openssh_signs }, { "SS6 a certificate as the authority", ss6_a_certificate_as_the_authority },
		{ "by a seed", by_a_seed }, { "another authority is none", another_authority_is_none }, { "keys that are none", keys_that_are_none },
		{ "a log-in and nothing else is signed", a_login_and_nothing_else_is_signed }, CU_TEST_INFO_NULL };
	int rc = cunit_main("ssh certificate", tests);
	secret_free(&ca);
	buffer_free(&ca_public);
	return rc;
}
