/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's and the console's free() wipes (P5): what GnuTLS, libevent or we ourselves let go of leaves no token
 * and no proof behind.  It stands before glibc's own for every library in the process.
 */
#include <config.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#ifndef SANITIZED /* AddressSanitizer brings its own */

#define FOR_ALL_LIBRARIES __attribute__((visibility("default"))) /* hidden, they would be ours alone */

extern void __libc_free(void *p);
extern void *__libc_malloc(size_t n);

/*
 * How much there is to wipe or to copy: glibc gives more than was asked for.  A compiler that saw the call, as
 * with -flto, holds p to what was asked, and _FORTIFY_SOURCE would end the process for the rest: it is told nothing.
 */
static size_t
room(void **p)
{
	__asm__("" : "+r"(*p));
	return malloc_usable_size(*p);
}

FOR_ALL_LIBRARIES void
free(void *p)
{
	int keep = errno;
	if (p == NULL)
		return;
	size_t n = room(&p);
	explicit_bzero(p, n);
	__libc_free(p);
	errno = keep;
}

/* Never in place by glibc, which would leave the old copy behind when it moves. */
FOR_ALL_LIBRARIES void *
realloc(void *p, size_t n)
{
	if (p == NULL)
		return __libc_malloc(n);
	if (n == 0) {
		free(p);
		return NULL;
	}
	size_t had = room(&p);
	if (n <= had && n >= had / 2)
		return p;
	void *to = __libc_malloc(n);
	if (to == NULL)
		return NULL;
	memcpy(to, p, had < n ? had : n);
	free(p);
	return to;
}
#endif
