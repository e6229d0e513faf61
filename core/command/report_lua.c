/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions for what a report found: rules as they are, and an `unless` for those who met them, with the tables that
 * they touched.  The rules are the gateway's, in force now; what was asked is told by the examples' recordings.
 */
#include <config.h>

#include "report.h"

#include <string.h>

#include "../record/frame.h"

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

/* A comment is one line, whatever stands in the text. */
static void
put_comment(FILE *out, const char *text, size_t most)
{
	print_safe(out, sp_str(text), most);
}

static void
put_string(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
		if (*c == '"' || *c == '\\')
			(void)fprintf(out, "\\%c", *c);
		else if (*c < ' ' || *c == 0x7f)
			(void)fprintf(out, "\\x%02x", *c);
		else
			(void)fputc(*c, out);
	(void)fputc('"', out);
}

static void
put_keys(FILE *out, const json_t *o)
{
	const char *key;
	json_t *value;
	unsigned n = 0;
	json_object_foreach((json_t *)(uintptr_t)o, key, value) {
		(void)fputs(n++ == 0 ? " " : ", ", out);
		put_string(out, key);
	}
	(void)fputc(' ', out);
}

/* ---- what was asked ---- */

/*
 * "public.a,public.b", as recordings have a set; false when it may not be all there.  A name with a comma comes out as
 * two that there are not: the exception then fits nothing.
 */
static bool
take_names(const char *list, json_t *names)
{
	if (strcmp(list, "?") == 0 || strstr(list, RECORD_CUT) != NULL || strstr(list, "{hidden}") != NULL)
		return false;
	while (*list != '\0') {
		size_t n = strcspn(list, ",");
		json_t *name = json_stringn(list, n);
		if (name == NULL)
			return false;
		(void)json_object_set_new(names, json_string_value(name), json_true());
		json_decref(name);
		list += n + (list[n] == ',');
	}
	return true;
}

struct asked {
	json_t *tables;  /* names, of all examples */
	json_t *unclear; /* "why\nname" */
	json_t *users;
	bool all;        /* all examples' tables are known */
};

static void
take_example(struct asked *a, const json_t *o)
{
	const json_t *statements = json_object_get(o, "statements"), *one;
	size_t i;
	bool any = false;
	json_array_foreach(statements, i, one) {
		const json_t *tables = json_object_get(one, "tables");
		if (json_is_string(tables)) {
			a->all = take_names(json_string_value(tables), a->tables) && a->all;
			any = true;
		}
	}
	a->all = a->all && any;
	json_array_foreach(json_object_get(json_object_get(o, "why"), "unclear"), i, one) {
		char key[256];
		(void)snprintf(key, sizeof(key), "%.60s\n%.180s", text_of(one, "why"), text_of(one, "name"));
		if (!json_is_true(json_object_get(one, "lifted")) && text_of(one, "name")[0] != '\0' && strcmp(text_of(one, "why"), "syntax") != 0)
			(void)json_object_set_new(a->unclear, key, json_true());
	}
}

/* An example whose recording is gone, or sealed, leaves the tables unknown. */
static void
ask_examples(const struct run *r, const json_t *group, struct asked *a)
{
	const json_t *id;
	size_t i;
	*a = (struct asked){ json_object(), json_object(), json_object_get(group, "users"), true };
	json_array_foreach(json_object_get(group, "examples"), i, id) {
		char session[64], path[256];
		const char *text = json_string_value(id), *dot = strchr(text, '.');
		unsigned status;
		json_t *o = NULL;
		if (dot == NULL || (size_t)(dot - text) >= sizeof(session))
			continue;
		(void)snprintf(session, sizeof(session), "%.*s", (int)(dot - text), text);
		(void)snprintf(path, sizeof(path), "/api/v1/sessions/%s/explain", session);
		if (client_try(r, "GET", path, json_pack("{s:s}", "op", dot + 1), &status, &o) == DONE && status == 200)
			take_example(a, o);
		else
			a->all = false;
		json_decref(o);
	}
}

static void
asked_end(struct asked *a)
{
	json_decref(a->tables);
	json_decref(a->unclear);
}

/* ---- rules ---- */

static const json_t *
rule_named(const json_t *policies, const char *target, const char *name)
{
	const json_t *policy, *rule;
	size_t i, k;
	json_array_foreach(json_object_get(policies, "policies"), i, policy) {
		if (strcmp(text_of(policy, "target"), target) != 0)
			continue;
		json_array_foreach(json_object_get(policy, "rules"), k, rule)
			if (strcmp(text_of(rule, "rule"), name) == 0)
				return rule;
	}
	return NULL;
}

static bool
has_function(const json_t *rule, const char *clause)
{
	const char *first = json_string_value(json_array_get(json_object_get(rule, clause), 0));
	return first != NULL && strcmp(first, "function") == 0;
}

/* NULL: it can be written again with an exception. */
static const char *
obstacle(const json_t *rule)
{
	if (rule == NULL)
		return "it is no rule of the gateway's any more";
	if (has_function(rule, "when") || has_function(rule, "unless"))
		return "it is written as a function";
	if (json_array_size(json_object_get(rule, "unless")) > 0)
		return "it has an `unless` already, which another condition would narrow";
	const char *on = json_string_value(json_array_get(json_object_get(rule, "on"), 0));
	if (!json_is_string(json_object_get(rule, "decides")) || on == NULL || strcmp(on, "output") == 0)
		return "it can't be written in one line";
	return NULL;
}

static void
put_list(FILE *out, const json_t *list, bool quoted)
{
	const json_t *one;
	size_t i;
	json_array_foreach(list, i, one) {
		(void)fputs(i == 0 ? "{ " : ", ", out);
		if (quoted)
			put_string(out, json_string_value(one));
		else
			(void)fputs(json_string_value(one), out);
	}
	(void)fputs(i == 0 ? "{}" : " }", out);
}

/* Tags that its conditions name must be there when the file is loaded by itself. */
static void
put_rule(FILE *out, const json_t *rule, const struct asked *a)
{
	const char *on = json_string_value(json_array_get(json_object_get(rule, "on"), 0));
	(void)fprintf(out, "rule ");
	put_string(out, text_of(rule, "rule"));
	(void)fprintf(out, " {\n  doc    = ");
	put_string(out, text_of(rule, "doc"));
	(void)fprintf(out, ",\n  on     = ");
	put_list(out, json_object_get(rule, "on"), true);
	if (json_array_size(json_object_get(rule, "when")) > 0) {
		(void)fprintf(out, ",\n  when   = ");
		put_list(out, json_object_get(rule, "when"), false);
	}
	(void)fprintf(out, ",\n  unless = { user = any_of {");
	put_keys(out, a->users);
	(void)fprintf(out, "}");
	if (a->all && json_object_size(a->tables) > 0 && strcmp(on, "sql.statement") == 0) {
		(void)fprintf(out, ", tables = any_of {");
		put_keys(out, a->tables);
		(void)fprintf(out, "}");
	}
	(void)fprintf(out, " },\n  %s,\n}\n\n", text_of(rule, "decides"));
}

static void
put_lifted(FILE *out, const json_t *group, const struct asked *a, unsigned *number)
{
	const char *key;
	json_t *value;
	json_object_foreach(a->unclear, key, value) {
		const char *name = strchr(key, '\n');
		char why[64];
		(void)snprintf(why, sizeof(why), "%.*s", name == NULL ? 0 : (int)(name - key), key);
		(void)fprintf(out, "rule \"from-observe-mode-%u\" {\n  doc   = ", ++*number);
		put_string(out, text_of(group, "text"));
		(void)fprintf(out, ",\n  on    = \"sql.statement\",\n  when  = { user = any_of {");
		put_keys(out, a->users);
		(void)fprintf(out, "} },\n  allow = { unclear = ");
		put_string(out, why);
		if (name != NULL && name[1] != '\0') {
			(void)fprintf(out, ", name = ");
			put_string(out, name + 1);
		}
		(void)fprintf(out, " },\n}\n\n");
	}
}

/* ---- tags ---- */

static void
put_tags(FILE *out, const json_t *policies, const char *target)
{
	const json_t *policy, *tag;
	size_t i, k;
	json_array_foreach(json_object_get(policies, "policies"), i, policy) {
		if (strcmp(text_of(policy, "target"), target) != 0)
			continue;
		json_array_foreach(json_object_get(policy, "tags"), k, tag) {
			(void)fprintf(out, "tag ");
			put_string(out, text_of(tag, "tag"));
			(void)fputc(' ', out);
			put_list(out, json_object_get(tag, "columns"), true);
			(void)fprintf(out, "\n");
		}
	}
	(void)fprintf(out, "\n");
}

static void
put_group(const struct run *r, const json_t *group, const json_t *policies, FILE *out, unsigned *number)
{
	const char *name = text_of(group, "rule");
	struct asked a;
	(void)fprintf(out, "-- %lld × %s at %s", json_integer_value(json_object_get(group, "n")), text_of(group, "would"), text_of(group, "target"));
	(void)fprintf(out, name[0] == '\0' ? ", by no rule: " : " by rule ");
	put_comment(out, name[0] == '\0' ? text_of(group, "text") : name, 200);
	ask_examples(r, group, &a);
	if (name[0] == '\0') {
		(void)fprintf(out, json_object_size(a.unclear) == 0 ? ".  No exception is suggested: see what its examples are.\n\n" : "\n");
		put_lifted(out, group, &a, number);
		asked_end(&a);
		return;
	}
	const json_t *rule = rule_named(policies, text_of(group, "target"), name);
	const char *why = obstacle(rule);
	if (rule != NULL)
		(void)fprintf(out, ", %s:%lld", text_of(rule, "file"), json_integer_value(json_object_get(rule, "line")));
	if (why != NULL)
		(void)fprintf(out, ".  Change it by hand: %s.\n\n", why);
	else
		(void)fprintf(out, ".  In its place:\n");
	if (why == NULL)
		put_rule(out, rule, &a);
	asked_end(&a);
}

int
report_suggest(const struct run *r, const json_t *groups, bool alone, FILE *out)
{
	const char *key, *last = "";
	json_t *group, *policies = NULL, *told = json_object();
	unsigned number = 0;
	if (alone) {
		(void)fprintf(out, "-- Files tell no rules: exceptions are suggested where the gateway is asked.\n");
		json_decref(told);
		return DONE;
	}
	int rc = client_call(r, "GET", "/api/v1/policies", NULL, &policies);
	json_object_foreach((json_t *)(uintptr_t)groups, key, group) {
		const char *rule = text_of(group, "rule");
		if (rc != DONE || (rule[0] != '\0' && json_object_get(told, rule) != NULL))
			continue; /* the same rule of another target, or with another verdict */
		if (strcmp(last, text_of(group, "target")) != 0 && json_object_get(told, "\n") == NULL)
			put_tags(out, policies, text_of(group, "target"));
		last = text_of(group, "target");
		(void)json_object_set_new(told, "\n", json_true());
		if (rule[0] != '\0')
			(void)json_object_set_new(told, rule, json_true());
		put_group(r, group, policies, out, &number);
	}
	json_decref(told);
	json_decref(policies);
	return rc;
}
