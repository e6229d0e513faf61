/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks: how a value is hidden.  The strongest of several wins, and where two of equal strength
 * differ nothing is shown:
 *
 *     null > redact > hash > date_year, email > keep
 */
#ifndef SALLYPORT_MASK_H
#define SALLYPORT_MASK_H

#include "../base/memory.h"

enum method_kind { METHOD_NULL, METHOD_REDACT, METHOD_HASH, METHOD_DATE_YEAR, METHOD_EMAIL, METHOD_KEEP, METHOD_COMPOSE };
enum { METHODS = METHOD_COMPOSE + 1 };
extern const char *const method_name[METHODS];

struct method {
	enum method_kind kind; /* zero hides most */
	unsigned first, last;  /* METHOD_KEEP: characters that stay */
	const struct method *step; /* METHOD_COMPOSE: one after the other */
	size_t n;
};

extern const struct method method_null, method_redact;

struct sp_mask {
	enum sp_mask_kind kind;
	const struct method *method;
	const char *tag;   /* whose key a hash uses; "" */
	uint32_t detect;   /* SP_MASK_DETECT: detectors, by bit */
	const char *rule;
};

bool method_equal(const struct method *a, const struct method *b);
/* Which of two hides a value; redact when equal in rank and not the same. */
const struct method *method_stronger(const struct method *a, const struct method *b);
bool method_has(const struct method *m, enum method_kind kind);
int method_print(const struct method *m, struct buffer *out) SP_MUST;
void mask_keys_for_tests(bool (*key)(void *owner, const char *tag, uint8_t key_r[32]));
enum sp_mask_kind method_mask_kind(const struct method *m);

#endif
