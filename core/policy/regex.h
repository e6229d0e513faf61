/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of rules: PCRE2 with a limit on what a match may cost, and no machine code made at run time. */
#ifndef SALLYPORT_REGEX_H
#define SALLYPORT_REGEX_H

#include "../base/memory.h"

struct regex;

/* On failure *err_r is in the arena. */
int regex_new(struct arena *a, const char *pattern, struct regex **r_r, const char **err_r) SP_MUST;
void regex_free(struct regex **r);

enum regex_answer { REGEX_NO, REGEX_YES, REGEX_LIMIT };
/* fold: letter case does not count.  REGEX_LIMIT: the text is too long, or the match took too many steps. */
enum regex_answer regex_matches(const struct regex *r, struct sp_bytes text, bool fold);

#endif
