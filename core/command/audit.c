/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport audit`: lines of the audit log, told on one line each, or as they stand there. */
#include <config.h>

#include "command.h"

#include <string.h>

struct audit {
	const struct run *r;
	json_t *next; /* where an answer that is not all goes on */
};

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static void
put(const char *before, const char *text, const char *after)
{
	if (text[0] == '\0')
		return;
	(void)fputs(before, stdout);
	print_safe(stdout, sp_str(text), 200);
	(void)fputs(after, stdout);
}

/* What an event has besides time and name. */
static void
print_members_of(const json_t *entry)
{
	static const char *const known[] = { "time", "event", "by", "user", "target", "issuer" };
	const char *name;
	const json_t *value;
	json_object_foreach((json_t *)(uintptr_t)entry, name, value) {
		bool told = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			told = told || strcmp(name, known[i]) == 0;
		if (told || (!json_is_string(value) && !json_is_integer(value)))
			continue;
		(void)printf("  ");
		print_safe(stdout, sp_str(name), 40);
		if (json_is_integer(value))
			(void)printf("=%lld", json_integer_value(value));
		else
			put("=", json_string_value(value), "");
	}
}

static void
print_entry(const json_t *entry)
{
	put("", text_of(entry, "time"), "");
	if (text_of(entry, "verdict")[0] != '\0') {
		put("  ", text_of(entry, "verdict"), "");
		put("  ", text_of(entry, "user"), "");
		put(" at ", text_of(entry, "target"), "");
		put("  ", text_of(entry, "session"), "");
		(void)printf(".%lld", json_integer_value(json_object_get(entry, "op")));
		put("  ", text_of(entry, "tag"), "");
		put("  would be ", text_of(entry, "would"), "");
		put("  by ", text_of(entry, "rule"), "");
		put(": ", text_of(entry, "text"), "");
	} else {
		put("  ", text_of(entry, "event"), "");
		put("  ", text_of(entry, "by"), "");
		put("  user=", text_of(entry, "user"), "");
		put("  target=", text_of(entry, "target"), "");
		print_members_of(entry);
	}
	(void)putchar('\n');
	(void)fflush(stdout);
}

static int
audit_line(void *owner, json_t *line)
{
	struct audit *a = owner;
	const json_t *entry = json_object_get(line, "entry"), *done = json_object_get(line, "done"), *error = json_object_get(line, "error");
	if (error != NULL)
		return failed("%s", json_is_string(error) ? json_string_value(error) : "the log could not be read to its end");
	if (done != NULL)
		a->next = json_incref(json_object_get(done, "next"));
	if (entry == NULL)
		return DONE;
	if (!a->r->json) {
		print_entry(entry);
		return DONE;
	}
	int rc = json_dumpf(entry, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? DONE : failed("cannot write");
	return rc;
}

int
run_audit(struct run *r)
{
	static const char *const names[] = { "user", "target", "event", "verdict", "would", "session", "since", "until", "cursor" };
	struct audit a = { r, NULL };
	uint64_t limit;
	json_t *args = json_object();
	int rc = option_count(r, "limit", &limit);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (option(r, names[i]) != NULL)
			(void)json_object_set_new(args, names[i], json_string(option(r, names[i])));
	if (limit > 0)
		(void)json_object_set_new(args, "limit", json_integer((json_int_t)limit));
	if (flag(r, "follow"))
		(void)json_object_set_new(args, "follow", json_true());
	else if (option(r, "since") == NULL && option(r, "cursor") == NULL)
		(void)json_object_set_new(args, "since", json_string("1h"));
	if (rc == DONE)
		rc = client_lines(r, "/api/v1/audit", args, audit_line, &a);
	else
		json_decref(args);
	if (rc == DONE && json_is_string(a.next)) {
		(void)fprintf(stderr, "sallyport: there are more: --cursor ");
		print_safe(stderr, sp_str(json_string_value(a.next)), 0);
		(void)fprintf(stderr, "\n");
	}
	json_decref(a.next);
	return rc;
}
