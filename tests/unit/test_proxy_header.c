/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers (ID2): what each says, cut at every byte, and what is none. */
#include "core/base/proxy_header.h"
#include "cunit_main.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const struct row {
	const char *text;
	size_t len;
	const char *address; /* NULL: it is no header */
} rows[] = {
#define ROW(text, address) { text, sizeof(text) - 1, address }
	ROW("PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\r\n", "192.0.2.7"),
	ROW("PROXY TCP6 2001:db8::7 ::1 4711 5432\r\n", "2001:db8::7"),
	ROW("PROXY UNKNOWN\r\n", ""),
	ROW("PROXY UNKNOWN whatever it says\r\n", ""),
	ROW(SIGNATURE "\x21\x11\0\x0c" "\xc0\0\2\7" "\x7f\0\0\1" "\x12\x67\x15\x38", "192.0.2.7"),
	ROW(SIGNATURE "\x21\x11\0\x0f" "\xc0\0\2\7" "\x7f\0\0\1" "\x12\x67\x15\x38" "\4\0\0", "192.0.2.7"),
	ROW(SIGNATURE "\x20\0\0\0", ""),
	ROW(SIGNATURE "\x21\0\0\0", ""),
	ROW("PROXY TCP4 2001:db8::7 ::1 4711 5432\r\n", NULL),
	ROW("PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n", NULL),
	ROW("PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", NULL),
	ROW("PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432 more\r\n", NULL),
	ROW("PROXY TCP4 192.0.2.7  198.51.100.1 4711 5432\r\n", NULL),
	ROW("PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\n", NULL),
	ROW("proxy TCP4 192.0.2.7 198.51.100.1 4711 5432\r\n", NULL),
	ROW("GET / HTTP/1.1\r\n", NULL),
	ROW(SIGNATURE "\x11\x11\0\x0c" "0123456789ab", NULL),
	ROW(SIGNATURE "\x22\x11\0\x0c" "0123456789ab", NULL),
	ROW(SIGNATURE "\x21\x31\0\x0c" "0123456789ab", NULL),
	ROW(SIGNATURE "\x21\x32\0\x0c" "0123456789ab", NULL),
	ROW(SIGNATURE "\x21\x11\0\x04" "0123", NULL),
	ROW(SIGNATURE "\x21\x11\xff\xff" "0123", NULL),
};

static void
says(void)
{
	char address[64];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		long n = proxy_header_parse((struct sp_bytes){ (const uint8_t *)r->text, r->len }, address);
		if (r->address == NULL) {
			CU_ASSERT(n == SP_EPROTO && address[0] == '\0');
			continue;
		}
		CU_ASSERT_EQUAL(n, (long)r->len);
		CU_ASSERT_STRING_EQUAL(address, r->address);
		for (size_t cut = 0; cut < r->len; cut++)
			CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ (const uint8_t *)r->text, cut }, address), 0);
	}
}

/* What a balancer says besides, up to what is looked at; and who came to its own machine's socket. */
static void
long_ones(void)
{
	static uint8_t text[PROXY_HEADER_MAX + 1];
	char address[64];
	static const uint8_t first[] = SIGNATURE "\x21\x11\x0f\xf0" "\xc0\0\2\7" "\x7f\0\0\1" "\x12\x67\x15\x38";
	memcpy(text, first, sizeof(first) - 1);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ text, PROXY_HEADER_MAX - 1 }, address), 0);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ text, PROXY_HEADER_MAX }, address), PROXY_HEADER_MAX);
	CU_ASSERT_STRING_EQUAL(address, "192.0.2.7");
	text[15]++;
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ text, PROXY_HEADER_MAX + 1 }, address), SP_EPROTO);
	static const uint8_t here[] = SIGNATURE "\x21\x31\0\xd8/run/balancer";
	memcpy(text, here, sizeof(here) - 1);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ text, 16 + 215 }, address), 0);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ text, 16 + 216 }, address), 16 + 216);
	CU_ASSERT_STRING_EQUAL(address, "");
}

static void
no_end(void)
{
	char text[PROXY_HEADER_MAX], address[64];
	memset(text, ' ', sizeof(text));
	memcpy(text, "PROXY ", 6);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ (const uint8_t *)text, 106 }, address), 0);
	CU_ASSERT_EQUAL(proxy_header_parse((struct sp_bytes){ (const uint8_t *)text, 107 }, address), SP_EPROTO);
}

int
main(void)
{
	static CU_TestInfo tests[] = { { "what they say", says }, { "one without an end", no_end }, { "long ones", long_ones }, CU_TEST_INFO_NULL };
	return cunit_main("proxy header", tests);
}
