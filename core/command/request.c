/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands about access: asking for it, seeing and ending grants, breaking the glass. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/directive.h"
#include "command.h"

#define FILE_MAX (900u << 10) /* the gateway takes a body of a megabyte */

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

static const char *const asked[] = { "id", "kind", "state", "by", "count", "hash", "until", NULL };

static int
read_file(const char *path, struct buffer *text)
{
	FILE *in = fopen(path, "re");
	size_t n = in == NULL ? 0 : 1;
	while (n > 0) {
		uint8_t *room = buffer_room(text, 64u << 10);
		n = room == NULL ? 0 : fread(room, 1, 64u << 10, in);
		buffer_added(text, n);
	}
	bool good = in != NULL && feof(in) && !ferror(in);
	int error = errno;
	if (in != NULL)
		(void)fclose(in);
	return good ? DONE : failed("%s: %s", path, text->len >= FILE_MAX ? "is longer than 900k" : strerror(error));
}

static int
ask_for_file(struct run *r, uint64_t span)
{
	static const struct { const char *option, *argument; } texts[] = { { "by", "by" }, { "database", "database" }, { "search-path", "search_path" },
		{ "reason", "reason" } };
	struct buffer text = { .max = FILE_MAX };
	uint64_t count;
	int rc = option_count(r, "count", &count);
	if (rc == DONE && given(r, "reason")[0] == '\0')
		rc = misused(r, "it needs --reason TEXT: the approvers read it");
	if (rc == DONE)
		rc = read_file(option(r, "file"), &text);
	json_t *args = rc != DONE ? NULL : json_pack("{s:s,s:s%}", "target", r->word[0], "text", (const char *)buffer_bytes(&text).p, text.len);
	buffer_free(&text);
	if (rc == DONE && args == NULL)
		rc = failed("%s: is no UTF-8 text", option(r, "file"));
	for (size_t i = 0; rc == DONE && i < sizeof(texts) / sizeof(*texts); i++)
		if (option(r, texts[i].option) != NULL)
			(void)json_object_set_new(args, texts[i].argument, json_string(option(r, texts[i].option)));
	if (rc == DONE && span > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)span));
	if (rc == DONE && count > 0)
		(void)json_object_set_new(args, "count", json_integer((json_int_t)count));
	return rc == DONE ? command_object(r, "POST", "/api/v1/requests", args, asked) : rc;
}

int
run_request(struct run *r)
{
	uint64_t span;
	int rc = option_span(r, "for", &span);
	if (rc == DONE && option(r, "file") != NULL)
		return ask_for_file(r, span);
	if (rc == DONE && span == 0)
		rc = misused(r, "it needs --for TIME, such as --for 1h");
	if (rc == DONE && given(r, "reason")[0] == '\0')
		rc = misused(r, "it needs --reason TEXT: the approvers read it");
	if (rc != DONE)
		return rc;
	json_t *args = json_pack("{s:s,s:I,s:s}", "target", r->word[0], "for", (json_int_t)span, "reason", given(r, "reason"));
	return command_object(r, "POST", "/api/v1/requests", args, asked);
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
