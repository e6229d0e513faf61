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

/* ---- codes ---- */

static json_t *
groups_of(const char *list)
{
	json_t *all = json_array();
	for (struct sp_reader r = sp_reader(sp_str(list)); r.left > 0;) {
		const uint8_t *comma = memchr(r.p, ',', r.left);
		struct sp_bytes one = comma == NULL ? sp_rd_rest(&r) : sp_rd_take(&r, (size_t)(comma - r.p));
		if (comma != NULL)
			(void)sp_rd_u8(&r);
		(void)json_array_append_new(all, json_stringn((const char *)one.p, one.len));
	}
	return all;
}

static void
print_codes(const json_t *answer)
{
	static const char *const heads[] = { "ID", "CODE", "USER", "EXPIRES", NULL }, *const members[] = { "id", "code", "user", "expires" };
	size_t i;
	const json_t *one;
	struct table *t = table_new(heads);
	json_array_foreach(json_object_get(answer, "codes"), i, one)
		for (size_t k = 0; k < sizeof(members) / sizeof(*members); k++)
			table_member(t, one, members[k]);
	table_print(&t);
}

static int
make_codes(struct run *r, uint64_t span)
{
	uint64_t count;
	json_t *answer;
	int rc = option_count(r, "count", &count);
	if (rc != DONE)
		return rc;
	json_t *args = json_pack("{s:s}", "user", option(r, "user"));
	if (option(r, "identity") != NULL)
		(void)json_object_set_new(args, "identity", json_string(option(r, "identity")));
	if (option(r, "groups") != NULL)
		(void)json_object_set_new(args, "groups", groups_of(option(r, "groups")));
	if (count > 0)
		(void)json_object_set_new(args, "count", json_integer((json_int_t)count));
	if (span > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)span));
	rc = client_call(r, "POST", "/api/v1/break-glass/codes", args, &answer);
	if (rc == DONE && r->json)
		rc = print_json(answer);
	else if (rc == DONE)
		print_codes(answer);
	json_decref(answer);
	return rc;
}

static int
run_codes(struct run *r, uint64_t span)
{
	static const char *const columns[] = { "id", "user", "by", "state", "created", "expires", "text", NULL };
	static const char *const ended[] = { "id", "state", NULL };
	char path[256];
	if (option(r, "user") != NULL)
		return make_codes(r, span);
	if (option(r, "revoke") == NULL)
		return command_list(r, "/api/v1/break-glass/codes", NULL, "codes", columns);
	if (client_path("break-glass/codes", option(r, "revoke"), "/end", path) != DONE)
		return FAILED;
	return command_object(r, "POST", path, NULL, ended);
}

/* Not by argv, which everybody may read: from standard input, where it says so. */
static const char *
code_of(const struct run *r, char line[128])
{
	const char *code = option(r, "code");
	if (strcmp(code, "-") != 0)
		return code;
	if (fgets(line, 128, stdin) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

int
run_break_glass(struct run *r)
{
	static const char *const members[] = { "id", "state", "until", NULL };
	static const char *const by_code[] = { "incident", "until", "host", "port", "target", "id", "password", NULL };
	uint64_t span;
	char line[128];
	int rc = option_span(r, "for", &span);
	if (rc == DONE && strcmp(r->word[0], "codes") == 0)
		return run_codes(r, span);
	if (rc == DONE && given(r, "reason")[0] == '\0')
		rc = misused(r, "it needs --reason TEXT: whoever closes the incident reads it");
	if (rc != DONE)
		return rc;
	json_t *args = json_pack("{s:s,s:s}", "target", r->word[0], "reason", given(r, "reason"));
	if (span > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)span));
	if (option(r, "code") == NULL)
		return command_object(r, "POST", "/api/v1/break-glass", args, members);
	(void)json_object_set_new(args, "code", json_string(code_of(r, line)));
	r->nobody = true;
	return command_object(r, "POST", "/api/v1/break-glass/code", args, by_code);
}
