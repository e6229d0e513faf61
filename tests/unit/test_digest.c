/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes against published vectors, text forms there and back.  Signatures: test_signature.c. */
#include "core/base/digest.h"
#include "cunit_main.h"

#include <stdio.h>

static const char *
hex(const uint8_t *p, size_t n)
{
	static char out[2 * 64 + 1];
	text_hex((struct sp_bytes){ p, n }, out);
	return out;
}

static void
sha256_vectors(void) /* FIPS 180-4 */
{
	uint8_t out[DIGEST_LEN];
	digest_sha256(SP_LIT("abc"), out);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256((struct sp_bytes){ NULL, 0 }, out);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("a"));
	digest_add(d, (struct sp_bytes){ NULL, 0 });
	digest_add(d, SP_LIT("bc"));
	digest_next(d, out);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_add(d, SP_LIT("abc"));
	digest_end(&d, out);
	CU_ASSERT_PTR_NULL(d);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void
hmac_vectors(void) /* RFC 4231, cases 2 and 6 */
{
	uint8_t out[DIGEST_LEN], key[131];
	digest_hmac(SP_LIT("Jefe"), SP_LIT("what do ya want for nothing?"), out);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	digest_hmac((struct sp_bytes){ key, sizeof(key) }, SP_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	CU_ASSERT_STRING_EQUAL(hex(out, 32), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void
derived_keys_differ(void)
{
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];
	digest_derive(SP_LIT("k"), "tag", SP_LIT("pii"), a);
	digest_hmac(SP_LIT("k"), SP_LIT("tag\0pii"), b);
	CU_ASSERT_EQUAL(memcmp(a, b, DIGEST_LEN), 0);
	digest_derive(SP_LIT("k"), "tagp", SP_LIT("ii"), b);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, DIGEST_LEN), 0);
}

static void
hex_of_all_bytes(void)
{
	char expected[2 * 11 + 1];
	uint8_t in[11]; /* four at a time, and the rest */
	for (unsigned c = 0; c < 256; c++)
		for (size_t n = 0; n <= sizeof(in); n++) {
			for (size_t i = 0; i < n; i++) {
				in[i] = (uint8_t)(c + 37 * i);
				(void)snprintf(expected + 2 * i, 3, "%02x", in[i]);
			}
			expected[2 * n] = '\0';
			CU_ASSERT_STRING_EQUAL(hex(in, n), expected);
		}
}

static void
hex_is_exact(void)
{
	uint8_t out[2];
	CU_ASSERT_EQUAL(text_unhex("beEF", out, 2), SP_OK);
	CU_ASSERT_EQUAL(out[0], 0xbe);
	CU_ASSERT_EQUAL(out[1], 0xef);
	CU_ASSERT_NOT_EQUAL(text_unhex("bee", out, 2), SP_OK);
	CU_ASSERT_NOT_EQUAL(text_unhex("beef0", out, 2), SP_OK);
	CU_ASSERT_NOT_EQUAL(text_unhex("be f", out, 2), SP_OK);
	CU_ASSERT_NOT_EQUAL(text_unhex("", out, 2), SP_OK);
	CU_ASSERT_EQUAL(text_unhex("", out, 0), SP_OK);
}

static void
base64url_vectors(void) /* RFC 4648 section 10, without padding */
{
	static const char *const row[][2] = {
		{ "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xfe", "-__-" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct buffer b = { 0 };
		CU_ASSERT_EQUAL(text_base64url(sp_str(row[i][0]), &b), SP_OK);
		CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), row[i][1]));
		buffer_free(&b);
		CU_ASSERT_EQUAL(text_unbase64url(sp_str(row[i][1]), &b), SP_OK);
		CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), row[i][0]));
		buffer_free(&b);
	}
}

static void
base64url_is_strict(void)
{
	static const char *const bad[] = { "Z", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "Zm9vY" };
	struct buffer b = { 0 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_NOT_EQUAL(text_unbase64url(sp_str(bad[i]), &b), SP_OK);
	CU_ASSERT_NOT_EQUAL(text_unbase64url(SP_LIT("Zm9\0"), &b), SP_OK);
	CU_ASSERT_EQUAL(b.len, 0);
	buffer_free(&b);
}

static void
ids_there_and_back(void)
{
	uint8_t id[ID_LEN], back[ID_LEN];
	char text[ID_TEXT];
	memset(id, 0, sizeof(id));
	CU_ASSERT_STRING_EQUAL(id_format(id, text), "00000000000000000000000000");
	memset(id, 0xff, sizeof(id));
	CU_ASSERT_STRING_EQUAL(id_format(id, text), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
	memset(id, 0, sizeof(id));
	id[15] = 33;
	CU_ASSERT_STRING_EQUAL(id_format(id, text), "00000000000000000000000011");
	for (unsigned i = 0; i < 1000; i++) {
		id_new(id);
		CU_ASSERT_EQUAL(strlen(id_format(id, text)), ID_TEXT - 1);
		CU_ASSERT_EQUAL(id_parse(text, back), SP_OK);
		CU_ASSERT_EQUAL(memcmp(id, back, ID_LEN), 0);
	}
}

static void
ids_as_people_type_them(void)
{
	uint8_t a[ID_LEN], b[ID_LEN];
	CU_ASSERT_EQUAL(id_parse("01abcdefghjkmnpqrstvwxyz01", a), SP_OK);
	CU_ASSERT_EQUAL(id_parse("OLABCDEFGHJKMNPQRSTVWXYZoI", b), SP_OK);
	CU_ASSERT_EQUAL(memcmp(a, b, ID_LEN), 0);
	CU_ASSERT_NOT_EQUAL(id_parse("80000000000000000000000000", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("0000000000000000000000000u", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("0000000000000000000000000", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("000000000000000000000000000", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("0000000000000000000000000/", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("-0000000000000000000000000", a), SP_OK);
	CU_ASSERT_NOT_EQUAL(id_parse("", a), SP_OK);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "SHA-256 vectors", sha256_vectors },
		{ "HMAC vectors", hmac_vectors },
		{ "derived keys differ", derived_keys_differ },
		{ "hex of all bytes", hex_of_all_bytes },
		{ "hex is exact", hex_is_exact },
		{ "base64url vectors", base64url_vectors },
		{ "base64url is strict", base64url_is_strict },
		{ "ids there and back", ids_there_and_back },
		{ "ids as people type them", ids_as_people_type_them },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("digest", tests);
}
