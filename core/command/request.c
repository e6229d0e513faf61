/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands about access: asking for it, seeing and ending grants, breaking the glass. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "../base/directive.h"
#include "command.h"

/* DONE or MISUSED; 0 when not given. */
static int
option_span(const struct run *r, const char *name, uint64_t *ms_r)
{
	const char *text = option(r, name);
	*ms_r = 0;
	if (text == NULL || (directive_duration(text, ms_r) == SP_OK && *ms_r > 0))
		return DONE;
	return misused(r, "--%s takes a duration with its unit, such as 1h, not \"%s\"", name, text);
}

static const char *
given(const struct run *r, const char *name)
{
	const char *text = option(r, name);
	return text == NULL ? "" : text;
}

int
run_request(struct run *r)
{
	static const char *const members[] = { "id", "kind", "state", "by", "count", "hash", "until", NULL };
	uint64_t span;
	int rc = option_span(r, "for", &span);
	if (rc == DONE && span == 0)
		rc = misused(r, "it needs --for TIME, such as --for 1h");
	if (rc == DONE && given(r, "reason")[0] == '\0')
		rc = misused(r, "it needs --reason TEXT: the approvers read it");
	if (rc != DONE)
		return rc;
	json_t *args = json_pack("{s:s,s:I,s:s}", "target", r->word[0], "for", (json_int_t)span, "reason", given(r, "reason"));
	return command_object(r, "POST", "/api/v1/requests", args, members);
}

int
run_grants(struct run *r)
{
	static const char *const columns[] = { "id", "user", "target", "state", "since", "until", "break_glass", "reason", "text", NULL };
	return command_list(r, "/api/v1/grants", flag(r, "all") ? json_pack("{sb}", "all", 1) : NULL, "grants", columns);
}

int
run_end(struct run *r)
{
	static const char *const members[] = { "id", "state", NULL };
	char path[256];
	const char *collection = strncmp(r->word[0], "spt-", 4) == 0 ? "tickets" : "grants";
	if (client_path(collection, r->word[0], "/end", path) != DONE)
		return FAILED;
	return command_object(r, "POST", path, NULL, members);
}

int
run_break_glass(struct run *r)
{
	static const char *const members[] = { "id", "state", "until", NULL };
	uint64_t span;
	int rc = option_span(r, "for", &span);
	if (rc == DONE && given(r, "reason")[0] == '\0')
		rc = misused(r, "it needs --reason TEXT: whoever closes the incident reads it");
	if (rc != DONE)
		return rc;
	json_t *args = json_pack("{s:s,s:s}", "target", r->word[0], "reason", given(r, "reason"));
	if (span > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)span));
	return command_object(r, "POST", "/api/v1/break-glass", args, members);
}
