/* SPDX-License-Identifier: Apache-2.0 */
/* The bar that long work shows on a terminal, and nowhere else (print.c); the clock and the terminal are pretended. */
#include <config.h>
#include "cunit_main.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

static uint64_t moment;
static bool terminal;

static uint64_t
fake_mono_us(void)
{
	return moment;
}

static int
fake_isatty(int fd)
{
	CU_ASSERT_EQUAL(fd, STDERR_FILENO);
	return terminal;
}

#define clock_mono_us fake_mono_us
#define isatty fake_isatty
#include "core/command/print.c"

/* What work that is so far, asked at these moments, shows; then it ends, or fails. */
static const char *
shown(const char *what, const uint64_t (*at)[3], size_t n, const char *failure)
{
	static char text[4096];
	FILE *f = tmpfile();
	(void)fflush(stderr);
	int kept = dup(STDERR_FILENO);
	CU_ASSERT_FATAL(f != NULL && kept >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
	uint64_t begin = moment;
	for (size_t i = 0; i < n; i++) {
		moment = begin + at[i][0];
		print_progress(what, at[i][1], at[i][2]);
	}
	if (failure != NULL)
		(void)failed("%s", failure);
	else
		print_progress_end();
	(void)fflush(stderr);
	(void)dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	moment += 10000000;
	return text;
}

#define SHOWN(failure, ...) shown("judging", (const uint64_t[][3]){ __VA_ARGS__ }, sizeof((const uint64_t[][3]){ __VA_ARGS__ }) / (3 * sizeof(uint64_t)), failure)
#define CLEAR "\r\033[K"

static void
test_progress(void)
{
	moment = 1000000;
	terminal = false;
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 1, 10 }, { 2000000, 5, 10 }), "");
	terminal = true;
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 1, 10 }, { 400000, 9, 10 }), ""); /* short work shows none */
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 0, 10 }, { 600000, 5, 10 }, { 650000, 6, 10 }, { 800000, 10, 10 }),
	    CLEAR "judging  [###############...............]  50 %" CLEAR "judging  [##############################] 100 %" CLEAR);
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 0, 3 }, { 600000, 0, 3 }), CLEAR "judging  [..............................]   0 %" CLEAR);
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 0, 3 }, { 600000, 7, 3 }), CLEAR "judging  [##############################] 100 %" CLEAR); /* more came meanwhile */
	CU_ASSERT_STRING_EQUAL(SHOWN(NULL, { 0, 0, 0 }, { 600000, 4711, 0 }), CLEAR "judging  4711" CLEAR); /* nobody knows of how many */
	CU_ASSERT_STRING_EQUAL(SHOWN("no", { 0, 0, 2 }, { 600000, 1, 2 }), CLEAR "judging  [###############...............]  50 %" CLEAR "sallyport: no\n");
}

int
main(void)
{
	CU_TestInfo tests[] = { { "progress", test_progress }, CU_TEST_INFO_NULL };
	return cunit_main("print", tests);
}
