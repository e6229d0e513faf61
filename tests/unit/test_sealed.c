/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed secrets: a published vector, and every way in which a file must not open. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/aead.h"
#include "core/base/digest.h"
#include "core/base/sealed.h"
#include "cunit_main.h"

static char folder[] = "/tmp/sealed-XXXXXX";

static void
gcm_vector(void) /* AES-256-GCM, test case 16 of the GCM specification */
{
	static const char text[] = "cafebabefacedbaddecaf888" "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" "76fc6ece0f4e1768cddf8853bb2d551b";
	uint8_t key[AEAD_KEY], bound[20], sealed[12 + 60 + 16], want[60];
	struct buffer out = { 0 };
	CU_ASSERT_EQUAL(text_unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key, sizeof(key)), SP_OK);
	CU_ASSERT_EQUAL(text_unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", bound, sizeof(bound)), SP_OK);
	CU_ASSERT_EQUAL(text_unhex(text, sealed, sizeof(sealed)), SP_OK);
	CU_ASSERT_EQUAL(text_unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39", want, sizeof(want)), SP_OK);
	CU_ASSERT_EQUAL(aead_open(key, (struct sp_bytes){ bound, 20 }, (struct sp_bytes){ sealed, sizeof(sealed) }, &out), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_eq(buffer_bytes(&out), (struct sp_bytes){ want, sizeof(want) }));
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		buffer_free(&out);
		CU_ASSERT_EQUAL(aead_open(key, (struct sp_bytes){ bound, 20 }, (struct sp_bytes){ sealed, sizeof(sealed) }, &out), SP_EPROTO);
		CU_ASSERT_EQUAL(out.len, 0);
		sealed[i] ^= 1;
	}
	CU_ASSERT_EQUAL(aead_open(key, (struct sp_bytes){ bound, 19 }, (struct sp_bytes){ sealed, sizeof(sealed) }, &out), SP_EPROTO);
	for (size_t n = 0; n < sizeof(sealed); n++)
		CU_ASSERT_EQUAL(aead_open(key, (struct sp_bytes){ bound, 20 }, (struct sp_bytes){ sealed, n }, &out), SP_EPROTO);
	buffer_free(&out);
}

static void
nonces_differ(void)
{
	uint8_t key[AEAD_KEY] = { 1 };
	struct buffer a = { 0 }, b = { 0 };
	CU_ASSERT_EQUAL(aead_seal(key, SP_LIT("n"), SP_LIT("same"), &a), SP_OK);
	CU_ASSERT_EQUAL(aead_seal(key, SP_LIT("n"), SP_LIT("same"), &b), SP_OK);
	CU_ASSERT_EQUAL(a.len, 4 + AEAD_MORE);
	CU_ASSERT_FALSE(sp_bytes_eq(buffer_bytes(&a), buffer_bytes(&b)));
	buffer_free(&b);
	CU_ASSERT_EQUAL(aead_open(key, SP_LIT("n"), buffer_bytes(&a), &b), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(buffer_bytes(&b), "same"));
	buffer_free(&a);
	buffer_free(&b);
}

/* ---- the key file ---- */

#define ONE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define TWO "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"

static const char *
write_text(const char *name, const char *text, mode_t mode)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	(void)chmod(path, mode);
	return path;
}

static void
key_files(void)
{
	static const struct { const char *text; mode_t mode; int rc; size_t n; const char *why; } row[] = {
		{ ONE, 0600, SP_OK, 1, NULL }, { TWO ONE, 0640, SP_OK, 2, NULL }, { TWO ONE ONE, 0600, SP_ECONF, 0, "does not hold a key" },
		{ ONE, 0644, SP_ECONF, 0, "others" }, { ONE, 0620, SP_ECONF, 0, "others" }, { "", 0600, SP_ECONF, 0, "does not hold a key" },
		{ "\n" ONE, 0600, SP_ECONF, 0, "does not hold a key" }, { "0011\n", 0600, SP_ECONF, 0, "does not hold a key" },
		{ ONE "x", 0600, SP_ECONF, 0, "does not hold a key" },
	};
	struct sealed_keys k;
	const char *why;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		int rc = sealed_keys_read(write_text("key", row[i].text, row[i].mode), &k, &why);
		CU_ASSERT_EQUAL(rc, row[i].rc);
		CU_ASSERT_EQUAL(k.n, row[i].n);
		CU_ASSERT_TRUE(row[i].why == NULL || strstr(why, row[i].why) != NULL);
		sealed_keys_free(&k);
	}
	CU_ASSERT_EQUAL(sealed_keys_read("/nonexistent/key", &k, &why), SP_EIO);
	CU_ASSERT_STRING_EQUAL(why, "is not there");
	char link[128];
	(void)snprintf(link, sizeof(link), "%s/link", folder);
	CU_ASSERT_EQUAL(symlink(write_text("key", ONE, 0600), link), 0);
	CU_ASSERT_EQUAL(sealed_keys_read(link, &k, &why), SP_EIO);
	(void)unlink(link);
}

static struct sealed_keys
keys_of(const char *text)
{
	struct sealed_keys k;
	const char *why;
	CU_ASSERT_EQUAL_FATAL(sealed_keys_read(write_text("key", text, 0600), &k, &why), SP_OK);
	return k;
}

/* ---- one secret ---- */

static void
there_and_back(void)
{
	struct sealed_keys one = keys_of(ONE), both = keys_of(TWO ONE), two = keys_of(TWO);
	struct buffer file = { 0 };
	struct sp_secret *s;
	const char *why;
	CU_ASSERT_EQUAL(sealed_seal(&one, 0, "orders", SP_LIT("hush"), &file), SP_OK);
	CU_ASSERT_EQUAL(sealed_open(&one, "orders", buffer_bytes(&file), &s, &why), SP_OK);
	CU_ASSERT_TRUE(sp_bytes_is(secret_bytes(s), "hush"));
	secret_free(&s);
	CU_ASSERT_EQUAL(sealed_under(&both, buffer_bytes(&file)), 1);
	CU_ASSERT_EQUAL(sealed_open(&both, "orders", buffer_bytes(&file), &s, &why), SP_OK);
	secret_free(&s);
	CU_ASSERT_EQUAL(sealed_under(&two, buffer_bytes(&file)), two.n);
	CU_ASSERT_EQUAL(sealed_open(&two, "orders", buffer_bytes(&file), &s, &why), SP_ETIME);
	CU_ASSERT_PTR_NULL(s);
	CU_ASSERT_EQUAL(sealed_open(&one, "order", buffer_bytes(&file), &s, &why), SP_EPROTO);
	CU_ASSERT_EQUAL(sealed_open(&one, "orders2", buffer_bytes(&file), &s, &why), SP_EPROTO);
	buffer_free(&file);
	sealed_keys_free(&one);
	sealed_keys_free(&both);
	sealed_keys_free(&two);
}

static void
nothing_altered_opens(void) /* ID8 */
{
	struct sealed_keys k = keys_of(ONE);
	struct buffer file = { 0 };
	struct sp_secret *s;
	const char *why;
	CU_ASSERT_EQUAL(sealed_seal(&k, 0, "a", SP_LIT("hush"), &file), SP_OK);
	uint8_t bytes[128];
	size_t len = file.len;
	memcpy(bytes, buffer_bytes(&file).p, len);
	CU_ASSERT_PTR_NULL(memmem(bytes, len, "hush", 4));
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= 0x80;
		CU_ASSERT_NOT_EQUAL(sealed_open(&k, "a", (struct sp_bytes){ bytes, len }, &s, &why), SP_OK);
		CU_ASSERT_PTR_NULL(s);
		bytes[i] ^= 0x80;
		CU_ASSERT_NOT_EQUAL(sealed_open(&k, "a", (struct sp_bytes){ bytes, i }, &s, &why), SP_OK);
	}
	CU_ASSERT_NOT_EQUAL(sealed_open(&k, "a", (struct sp_bytes){ bytes, len + 1 }, &s, &why), SP_OK);
	CU_ASSERT_EQUAL(sealed_open(&k, "a", (struct sp_bytes){ bytes, len }, &s, &why), SP_OK);
	secret_free(&s);
	buffer_free(&file);
	sealed_keys_free(&k);
}

static void
names_and_sizes(void)
{
	static const char *const good[] = { "a", "orders-db.1", "A_b" }, *const bad[] = { "", ".a", "a/b", "../a", "a b", "ä" };
	static uint8_t big[SEALED_PLAIN_MAX + 1];
	struct sealed_keys k = keys_of(ONE);
	struct buffer file = { 0 };
	struct sp_secret *s;
	const char *why;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		CU_ASSERT_TRUE(sealed_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CU_ASSERT_FALSE(sealed_name_ok(bad[i]));
		CU_ASSERT_NOT_EQUAL(sealed_seal(&k, 0, bad[i], SP_LIT("x"), &file), SP_OK);
		CU_ASSERT_NOT_EQUAL(sealed_read(&k, folder, bad[i], &s, &why), SP_OK);
	}
	CU_ASSERT_NOT_EQUAL(sealed_seal(&k, 0, "a", (struct sp_bytes){ big, sizeof(big) }, &file), SP_OK);
	CU_ASSERT_NOT_EQUAL(sealed_seal(&k, 1, "a", SP_LIT("x"), &file), SP_OK);
	CU_ASSERT_EQUAL(sealed_seal(&k, 0, "a", (struct sp_bytes){ big, SEALED_PLAIN_MAX }, &file), SP_OK);
	CU_ASSERT_EQUAL(sealed_open(&k, "a", buffer_bytes(&file), &s, &why), SP_OK);
	CU_ASSERT_EQUAL(secret_bytes(s).len, SEALED_PLAIN_MAX);
	secret_free(&s);
	buffer_free(&file);
	CU_ASSERT_EQUAL(sealed_read(&k, folder, "none", &s, &why), SP_EIO);
	CU_ASSERT_STRING_EQUAL(why, "is not there");
	sealed_keys_free(&k);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "a published vector", gcm_vector }, { "nonces differ", nonces_differ }, { "key files", key_files },
		{ "there and back", there_and_back }, { "ID8: nothing altered opens", nothing_altered_opens },
		{ "names and sizes", names_and_sizes }, CU_TEST_INFO_NULL };
	if (mkdtemp(folder) == NULL)
		return 1;
	int rc = cunit_main("sealed", tests);
	char path[64];
	(void)snprintf(path, sizeof(path), "%s/key", folder);
	(void)unlink(path);
	(void)rmdir(folder);
	return rc;
}
