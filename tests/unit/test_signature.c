/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: RFC 8032's vectors, and a public key that is not the seed. */
#include <config.h>
#include "cunit_main.h"

#include "core/base/digest.h"

/* RFC 8032, 7.1: secret key, public key, message, signature. */
static const struct {
	const char *seed, *public, *message, *signature;
} vector[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
	    "d25bf5f0595bbe24655141438e7a100b" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
	    "4a7c15e9716ed28dc027beceea1ec40a" },
};

static void
test_vectors(void)
{
	for (size_t i = 0; i < sizeof(vector) / sizeof(*vector); i++) {
		uint8_t seed[32], public[32], message[8], expected[SIGNATURE_LEN], made[SIGNATURE_LEN];
		struct sp_bytes m = { message, strlen(vector[i].message) / 2 };
		CU_ASSERT_EQUAL(text_unhex(vector[i].seed, seed, sizeof(seed)), SP_OK);
		CU_ASSERT_EQUAL(text_unhex(vector[i].public, public, sizeof(public)), SP_OK);
		CU_ASSERT_EQUAL(text_unhex(vector[i].message, message, m.len), SP_OK);
		CU_ASSERT_EQUAL(text_unhex(vector[i].signature, expected, sizeof(expected)), SP_OK);
		CU_ASSERT_EQUAL(digest_sign(seed, m, made), SP_OK);
		CU_ASSERT(memcmp(made, expected, sizeof(made)) == 0);
		CU_ASSERT(digest_verify(public, m, made));
		made[63] ^= 1;
		CU_ASSERT(!digest_verify(public, m, made));
	}
}

static void
test_keypair(void)
{
	uint8_t seed[32], public[32], other[32], sig[SIGNATURE_LEN];
	CU_ASSERT_EQUAL(digest_keypair(seed, public), SP_OK);
	CU_ASSERT(memcmp(seed, public, 32) != 0);
	CU_ASSERT_EQUAL(digest_sign(seed, SP_LIT("hello"), sig), SP_OK);
	CU_ASSERT(digest_verify(public, SP_LIT("hello"), sig));
	CU_ASSERT(!digest_verify(public, SP_LIT("hellp"), sig));
	CU_ASSERT_EQUAL(digest_keypair(seed, other), SP_OK);
	CU_ASSERT(!digest_verify(other, SP_LIT("hello"), sig));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "RFC 8032 vectors", test_vectors },
		{ "a pair signs and verifies", test_keypair },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("signature", tests);
}
