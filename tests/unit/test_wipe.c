/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's free() and realloc() (P5), for us and for libraries: what was let go of is zero, and they are still free() and realloc(). */
#include <config.h>
#include "cunit_main.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SANITIZED
static void
test_none(void)
{
	printf("(skipped: the sanitizer's own allocator stands there) ");
}

int
main(void)
{
	CU_TestInfo tests[] = { { "none", test_none }, CU_TEST_INFO_NULL };
	return cunit_main("wipe", tests);
}
#else

#define HEAD 16 /* glibc keeps its list of free blocks here */

/* Where p pointed, as bytes that may be looked at after it was freed: small blocks stay mapped. */
static volatile unsigned char *
bytes_of(const volatile uintptr_t *p)
{
	return (volatile unsigned char *)*p;
}

static void
fill(const volatile uintptr_t *p, size_t n, unsigned char c)
{
	for (size_t i = 0; i < n; i++)
		bytes_of(p)[i] = c;
}

static unsigned
left(const volatile uintptr_t *p, size_t n, unsigned char c)
{
	unsigned found = 0;
	for (size_t i = HEAD; i < n; i++)
		found += bytes_of(p)[i] == c;
	return found;
}

static void
test_free(void)
{
	for (size_t n = HEAD; n <= 65536; n = n * 3 / 2 + 1) {
		char *p = malloc(n), *after = malloc(16); /* so that p is not given back to the kernel */
		volatile uintptr_t was = (uintptr_t)p;
		CU_ASSERT_FATAL(p != NULL && after != NULL);
		size_t all = malloc_usable_size(p);
		fill(&was, all, 'S');
		errno = 77;
		free(p);
		CU_ASSERT_EQUAL(errno, 77);
		CU_ASSERT_EQUAL(left(&was, all, 'S'), 0); /* beyond what was asked for, too */
		free(after);
	}
	free(NULL);
}

static bool
holds(const char *p, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != c)
			return false;
	return true;
}

static void
test_realloc(void)
{
	char *p = realloc(NULL, 100);
	CU_ASSERT_FATAL(p != NULL);
	size_t had = malloc_usable_size(p);
	volatile uintptr_t was = (uintptr_t)p;
	fill(&was, had, 'S');
	p = realloc(p, 5000);
	CU_ASSERT_FATAL(p != NULL && holds(p, 100, 'S'));
	CU_ASSERT_NOT_EQUAL((uintptr_t)p, was);
	CU_ASSERT_EQUAL(left(&was, had, 'S'), 0); /* the copy that was left behind */
	was = (uintptr_t)p;
	had = malloc_usable_size(p);
	fill(&was, had, 'T');
	CU_ASSERT_EQUAL((uintptr_t)realloc(p, 4000), was); /* a little less: stays */
	p = realloc((void *)was, 50);
	CU_ASSERT_FATAL(p != NULL && holds(p, 50, 'T'));
	CU_ASSERT_EQUAL(left(&was, had, 'T'), 0);
	volatile size_t absurd = PTRDIFF_MAX;
	was = (uintptr_t)p;
	CU_ASSERT_PTR_NULL(realloc(p, absurd)); /* no memory: what there was stays */
	p = (char *)was;
	CU_ASSERT_TRUE(holds(p, 50, 'T'));
	volatile size_t nothing = 0;
	CU_ASSERT_PTR_NULL(realloc(p, nothing)); /* and is freed */
}

/* A library that was linked as it came calls ours. */
static void
test_library(void)
{
	char text[200];
	memset(text, 'L', sizeof(text));
	json_t *j = json_stringn(text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	volatile uintptr_t was = (uintptr_t)json_string_value(j);
	CU_ASSERT_EQUAL(left(&was, sizeof(text), 'L'), sizeof(text) - HEAD);
	json_decref(j);
	CU_ASSERT_EQUAL(left(&was, sizeof(text), 'L'), 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "free", test_free }, { "realloc", test_realloc }, { "a library's", test_library }, CU_TEST_INFO_NULL,
	};
	return cunit_main("wipe", tests);
}
#endif
