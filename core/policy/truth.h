/* SPDX-License-Identifier: Apache-2.0 */
/* Three-valued logic: what is not known makes a restriction apply and an exception not. */
#ifndef SALLYPORT_TRUTH_H
#define SALLYPORT_TRUTH_H

#include "../base/memory.h"

enum truth { NO, MAYBE, YES };

static inline enum truth
truth_of(bool b)
{
	return b ? YES : NO;
}

static inline enum truth
truth_and(enum truth a, enum truth b)
{
	return a < b ? a : b;
}

static inline enum truth
truth_or(enum truth a, enum truth b)
{
	return a > b ? a : b;
}

static inline enum truth
truth_not(enum truth a)
{
	return (enum truth)(YES - a);
}

#endif
