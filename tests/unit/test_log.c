/* SPDX-License-Identifier: Apache-2.0 */
/* Lines stay lines, input stays harmless; the wall clock as text. */
#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "cunit_main.h"

static char text[8192];

/* What was logged, through a pipe whose write end takes the log's place. */
static const char *
logged(void (*work)(void))
{
	int fd[2];
	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	log_init("worker", fd[1], SP_INFO);
	work();
	(void)close(fd[1]);
	ssize_t n = read(fd[0], text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	(void)close(fd[0]);
	log_init("test", STDERR_FILENO, SP_INFO);
	return text;
}

static void
say_two(void)
{
	log_info("first\nforged line %s", "\x1b[2J");
	log_debug("not this one");
	log_warn("second");
}

static void
a_line_is_a_line(void)
{
	const char *got = logged(say_two);
	unsigned lines = 0;
	for (const char *p = got; *p != '\0'; p++)
		lines += *p == '\n';
	CU_ASSERT_EQUAL(lines, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, " info worker["));
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "] first forged line  [2J\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(got, " warn worker["));
	CU_ASSERT_PTR_NULL(strchr(got, 0x1b));
	CU_ASSERT_PTR_NULL(strstr(got, "not this"));
}

static void
say_long(void)
{
	static char big[10000];
	memset(big, 'x', sizeof(big) - 1);
	log_error("%s", big);
}

static void
a_long_line_is_cut(void)
{
	const char *got = logged(say_long);
	size_t n = strlen(got);
	CU_ASSERT_TRUE(n <= 4096);
	CU_ASSERT_EQUAL(got[n - 1], '\n');
}

static void
reopen_keeps_the_number(void)
{
	int old[2], new[2];
	char got[4096] = "";
	CU_ASSERT_EQUAL_FATAL(pipe2(old, O_NONBLOCK), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(new, O_NONBLOCK), 0);
	log_init("worker", old[1], SP_INFO);
	log_reopen(new[1]);
	CU_ASSERT_EQUAL(fcntl(new[1], F_GETFD), -1);
	log_info("after");
	CU_ASSERT_TRUE(read(old[0], got, sizeof(got) - 1) <= 0);
	CU_ASSERT_TRUE(read(new[0], got, sizeof(got) - 1) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "after"));
	log_init("test", STDERR_FILENO, SP_INFO);
	(void)close(old[0]), (void)close(old[1]), (void)close(new[0]);
}

static void
quote_escapes(void)
{
	const struct { struct sp_bytes in; const char *out; } row[] = {
		{ { NULL, 0 }, "" },
		{ SP_LIT("plain"), "plain" },
		{ SP_LIT("a\"b\\c"), "a\\\"b\\\\c" },
		{ SP_LIT("\n\r\t"), "\\n\\r\\t" },
		{ SP_LIT("x\0y"), "x\\x00y" },
		{ SP_LIT("\x1b[31m"), "\\x1b[31m" },
		{ SP_LIT("grüße ✓"), "grüße ✓" },
		{ SP_LIT("\x7f"), "\\x7f" },
		{ SP_LIT("\xc2\x9b"), "\\xc2\\x9b" },          /* C1: a terminal's CSI */
		{ SP_LIT("\xe2\x80\xae"), "\\xe2\\x80\\xae" }, /* right-to-left override */
		{ SP_LIT("\xc0\xaf"), "\\xc0\\xaf" },          /* overlong */
		{ SP_LIT("\xed\xa0\x80"), "\\xed\\xa0\\x80" }, /* surrogate */
		{ SP_LIT("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
		{ SP_LIT("\xe2\x82"), "\\xe2\\x82" },          /* cut */
		{ SP_LIT("\xff"), "\\xff" },
		{ SP_LIT("%s%n"), "%s%n" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_STRING_EQUAL(log_quote(row[i].in), row[i].out);
}

static void
quote_cuts(void)
{
	uint8_t in[1000];
	memset(in, 'a', sizeof(in));
	CU_ASSERT_EQUAL(strlen(log_quote((struct sp_bytes){ in, 160 })), 160);
	const char *cut = log_quote((struct sp_bytes){ in, 161 });
	CU_ASSERT_EQUAL(strlen(cut), 163);
	CU_ASSERT_STRING_EQUAL(cut + 160, "…");
	memcpy(in + 158, "✓", 3);
	cut = log_quote((struct sp_bytes){ in, sizeof(in) });
	CU_ASSERT_STRING_EQUAL(cut + 158, "…");
	memset(in, 1, sizeof(in));
	cut = log_quote((struct sp_bytes){ in, sizeof(in) });
	CU_ASSERT_EQUAL(strlen(cut), 160 * 4 + 3);
}

static void
eight_quotes_live_at_once(void)
{
	const char *q[8];
	for (unsigned i = 0; i < 8; i++) {
		uint8_t c = (uint8_t)('a' + i);
		q[i] = log_quote((struct sp_bytes){ &c, 1 });
	}
	CU_ASSERT_STRING_EQUAL(q[0], "a");
	CU_ASSERT_STRING_EQUAL(q[7], "h");
}

static void
clock_as_text(void)
{
	char buf[32];
	CU_ASSERT_STRING_EQUAL(clock_format(0, buf), "1970-01-01T00:00:00.000Z");
	CU_ASSERT_STRING_EQUAL(clock_format(951782400123456u, buf), "2000-02-29T00:00:00.123Z");
	CU_ASSERT_STRING_EQUAL(clock_format(1795493553120000u, buf), "2026-11-24T04:12:33.120Z");
	CU_ASSERT_EQUAL(strlen(clock_format(UINT64_MAX, buf)), 24);
	CU_ASSERT_TRUE(clock_wall_us() > 1700000000000000u);
	uint64_t before = clock_mono_us();
	CU_ASSERT_TRUE(clock_mono_us() >= before);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a line is a line", a_line_is_a_line },
		{ "a long line is cut", a_long_line_is_cut },
		{ "reopen keeps the number", reopen_keeps_the_number },
		{ "quote escapes", quote_escapes },
		{ "quote cuts", quote_cuts },
		{ "eight quotes live at once", eight_quotes_live_at_once },
		{ "the wall clock as text", clock_as_text },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("log", tests);
}
