/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `report`: what a target in observe mode kept from being.
 *
 *   lines of the audit log with "would" ─▶ groups, by target, verdict and rule ─▶ a table, and exceptions (report_lua.c)
 */
#include <config.h>

#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/directive.h"

#define EXAMPLES 20
#define PAGE "100000"

struct report {
	const struct run *r;
	json_t *groups; /* by a key of target, verdict, rule and text */
	json_t *next;
	uint64_t since, until, looked;
	bool told;      /* the gateway's answer came to its end */
	bool torn;      /* something was not read */
};

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static void
count_one(json_t *o, const char *name)
{
	(void)json_object_set_new(o, name, json_integer(json_integer_value(json_object_get(o, name)) + 1));
}

static json_t *
group_of(struct report *p, const json_t *entry)
{
	static const char *const names[] = { "target", "would", "rule", "text" };
	const char *rule = text_of(entry, "rule");
	struct buffer key = { 0 };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) - (rule[0] != '\0'); i++)
		(void)buffer_printf(&key, "%s\n", text_of(entry, names[i]));
	(void)buffer_printf(&key, "%c", '\0');
	const char *name = (const char *)buffer_bytes(&key).p;
	json_t *group = json_object_get(p->groups, name);
	if (group == NULL) {
		group = json_pack("{s:s,s:s,s:s,s:s,s:i,s:{},s:[]}", "target", text_of(entry, "target"), "would", text_of(entry, "would"), "rule", rule,
		    "text", text_of(entry, "text"), "n", 0, "users", "examples");
		(void)json_object_set_new(p->groups, name, group);
	}
	buffer_free(&key);
	return group;
}

/* A statement that was only prepared is told of when it runs. */
static void
take_entry(struct report *p, const json_t *entry)
{
	const char *kind = text_of(entry, "kind"), *dot = strrchr(kind, '.');
	char id[96];
	p->looked++;
	if (text_of(entry, "would")[0] == '\0' || (dot != NULL && strcmp(dot, ".prepare") == 0))
		return;
	json_t *group = group_of(p, entry), *examples = json_object_get(group, "examples");
	count_one(group, "n");
	count_one(json_object_get(group, "users"), text_of(entry, "user"));
	(void)snprintf(id, sizeof(id), "%.40s.%lld", text_of(entry, "session"), json_integer_value(json_object_get(entry, "op")));
	if (json_array_size(examples) < EXAMPLES)
		(void)json_array_append_new(examples, json_string(id));
}

/* ---- from the gateway ---- */

static int
take_line(void *owner, json_t *line)
{
	struct report *p = owner;
	const json_t *error = json_object_get(line, "error"), *done = json_object_get(line, "done"), *entry = json_object_get(line, "entry");
	if (error != NULL)
		return failed("%s", json_is_string(error) ? json_string_value(error) : "the log could not be read to its end");
	p->told = p->told || done != NULL;
	if (done != NULL)
		p->next = json_incref(json_object_get(done, "next"));
	if (entry != NULL)
		take_entry(p, entry);
	if (entry != NULL && p->looked % 1000 == 0)
		print_progress("reading the audit log", p->looked, 0);
	return DONE;
}

static int
from_gateway(struct report *p)
{
	static const char *const names[] = { "until", "target", "user" };
	json_t *cursor = NULL;
	int rc = DONE;
	do {
		json_t *args = json_pack("{s:s,s:s}", "would", "any", "limit", PAGE);
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (option(p->r, names[i]) != NULL)
				(void)json_object_set_new(args, names[i], json_string(option(p->r, names[i])));
		if (json_is_string(cursor))
			(void)json_object_set(args, "cursor", cursor);
		else
			(void)json_object_set_new(args, "since", json_string(option(p->r, "since") == NULL ? "7d" : option(p->r, "since")));
		json_decref(cursor);
		p->next = NULL;
		p->told = false;
		rc = client_lines(p->r, "/api/v1/audit", args, take_line, p);
		if (rc == DONE && !p->told)
			rc = failed("the gateway's answer is not whole");
		cursor = p->next;
	} while (rc == DONE && json_is_string(cursor));
	json_decref(cursor);
	return rc;
}

/* ---- from files ---- */

static bool
is_wanted(const struct report *p, const json_t *entry)
{
	const char *target = option(p->r, "target"), *user = option(p->r, "user");
	uint64_t at = 0;
	if (!clock_parse(text_of(entry, "time"), &at) || at < p->since || at >= p->until)
		return false;
	return (target == NULL || strcmp(target, text_of(entry, "target")) == 0) && (user == NULL || strcmp(user, text_of(entry, "user")) == 0);
}

static int
from_file(struct report *p, const char *path)
{
	char *line = NULL;
	size_t room = 0;
	unsigned bad = 0;
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return failed("cannot open %s: %s", path, strerror(errno));
	for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
		json_t *entry = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
		bad += entry == NULL && line[n - 1] == '\n'; /* the last line may be on its way */
		if (entry != NULL && is_wanted(p, entry))
			take_entry(p, entry);
		json_decref(entry);
	}
	int rc = ferror(f) == 0 ? DONE : failed("cannot read %s: %s", path, strerror(errno));
	free(line);
	(void)fclose(f);
	if (bad > 0)
		(void)failed("%u lines of %s are no lines of an audit log (unpack it first, if it is packed)", bad, path);
	p->torn = p->torn || bad > 0;
	return rc;
}

static int
time_option(const struct report *p, const char *name, uint64_t otherwise, uint64_t *us_r)
{
	const char *text = option(p->r, name);
	*us_r = otherwise;
	if (text == NULL || directive_moment(text, us_r) == SP_OK)
		return DONE;
	return misused(p->r, "--%s takes a time like 2026-11-24T04:12:33Z, or 7d, which is so long ago", name);
}

/* ---- telling ---- */

static void
print_groups(const json_t *groups)
{
	static const char *const heads[] = { "TARGET", "WOULD BE", "RULE", "USER", "TIMES", "EXAMPLE", NULL };
	struct table *t = table_new(heads);
	const json_t *group, *n;
	const char *key, *user;
	json_object_foreach((json_t *)(uintptr_t)groups, key, group) {
		json_object_foreach(json_object_get(group, "users"), user, n) {
			char times[32];
			table_member(t, group, "target");
			table_member(t, group, "would");
			table_member(t, group, text_of(group, "rule")[0] == '\0' ? "text" : "rule");
			table_cell(t, user);
			(void)snprintf(times, sizeof(times), "%lld", json_integer_value(n));
			table_cell(t, times);
			table_cell(t, json_string_value(json_array_get(json_object_get(group, "examples"), 0)));
		}
	}
	table_print(&t);
}

static int
tell(const struct run *r, const json_t *groups)
{
	if (r->json) {
		json_t *list = json_array(), *o;
		const char *key;
		json_t *group;
		json_object_foreach((json_t *)(uintptr_t)groups, key, group)
			(void)json_array_append(list, group);
		o = json_pack("{s:o}", "would", list);
		int rc = print_json(o);
		json_decref(o);
		return rc;
	}
	if (json_object_size(groups) == 0) {
		(void)printf("%sNothing would have been denied, held, limited or masked.\n", flag(r, "lua") ? "-- " : "");
		return DONE;
	}
	if (!flag(r, "lua")) {
		print_groups(groups);
		(void)printf("\nExceptions for what happened, to be judged by a person (`sallyport explain EXAMPLE` tells more):\n\n");
	}
	return report_suggest(r, groups, r->nwords > 0, stdout);
}

int
run_report(struct run *r)
{
	struct report p = { .r = r, .groups = json_object() };
	int rc = time_option(&p, "since", clock_wall_us() - 7 * 86400 * UINT64_C(1000000), &p.since);
	if (rc == DONE)
		rc = time_option(&p, "until", UINT64_MAX, &p.until);
	for (unsigned i = 0; i < r->nwords && rc == DONE; i++)
		rc = from_file(&p, r->word[i]);
	if (rc == DONE && r->nwords == 0)
		rc = from_gateway(&p);
	print_progress_end();
	if (rc == DONE)
		rc = tell(r, p.groups);
	if (rc == DONE && p.torn)
		rc = FAILED; /* what was not read may be what matters */
	json_decref(p.groups);
	return rc;
}
