/* SPDX-License-Identifier: Apache-2.0 */
/* One pattern, compiled twice: exact, and with letter case folded. */
#include <config.h>

#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define PATTERN_MAX 2048
#define SUBJECT_MAX (64u << 10)
#define STEPS_MAX 20000 /* about a millisecond */
#define HEAP_MAX_KB 1024

struct regex {
	pcre2_code *code[2]; /* exact, folded */
};

static pcre2_match_context *
match_context(void)
{
	static pcre2_match_context *context;

	if (context == NULL) {
		context = pcre2_match_context_create(NULL);
		if (context == NULL)
			return NULL;
		pcre2_set_match_limit(context, STEPS_MAX);
		pcre2_set_depth_limit(context, STEPS_MAX);
		pcre2_set_heap_limit(context, HEAP_MAX_KB);
	}
	return context;
}

static pcre2_match_data *
match_data(void)
{
	static pcre2_match_data *data;

	if (data == NULL)
		data = pcre2_match_data_create(1, NULL);
	return data;
}

int
regex_new(struct arena *a, const char *pattern, struct regex **r_r, const char **err_r)
{
	/* Input may be in any encoding; `$` is the end and nothing before it. */
	const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
	struct regex *r = mem_alloc(sizeof(*r));
	int error = 0;
	PCRE2_SIZE at = 0;

	*r_r = NULL;
	if (strlen(pattern) > PATTERN_MAX) {
		*err_r = arena_printf(a, "a pattern of more than %d bytes", PATTERN_MAX);
		regex_free(&r);
		return SP_ECONF;
	}
	for (unsigned i = 0; i < 2; i++) {
		r->code[i] = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options | (i == 1 ? PCRE2_CASELESS : 0),
		    &error, &at, NULL);
		if (r->code[i] == NULL) {
			PCRE2_UCHAR text[160] = "";
			(void)pcre2_get_error_message(error, text, sizeof(text));
			*err_r = arena_printf(a, "pattern \"%s\", at %zu: %s", pattern, (size_t)at, (const char *)text);
			regex_free(&r);
			return SP_ECONF;
		}
	}
	*r_r = r;
	return SP_OK;
}

void
regex_free(struct regex **rp)
{
	struct regex *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	pcre2_code_free(r->code[0]);
	pcre2_code_free(r->code[1]);
	free(r);
}

enum regex_answer
regex_matches(const struct regex *r, struct sp_bytes text, bool fold)
{
	pcre2_match_context *context = match_context();
	pcre2_match_data *data = match_data();

	if (context == NULL || data == NULL || text.len > SUBJECT_MAX)
		return REGEX_LIMIT;
	int n = pcre2_match(r->code[fold], text.len == 0 ? (PCRE2_SPTR)"" : text.p, text.len, 0, 0, data, context);
	if (n >= 0)
		return REGEX_YES;
	return n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
}
