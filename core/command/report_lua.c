/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions for what a report found: rules as they are, and an `unless` for those who met them, with the tables that
 * they touched.  The rules are the gateway's, in force now; what was asked is told by the examples' recordings.
 */
#include <config.h>

#include "report.h"

#include <stdlib.h>
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

/*
 * Two conditions of an `unless` have to hold both, so that another one would narrow it.  Of a result, whose exceptions are
 * by user alone, it can stand in the `when`, turned round.
 */
static bool
takes_when(const json_t *rule)
{
	const json_t *one;
	size_t i;
	bool fits = true;
	json_array_foreach(json_object_get(rule, "on"), i, one)
		fits = fits && json_is_string(one) && strcmp(json_string_value(one), "sql.result") == 0;
	json_array_foreach(json_object_get(rule, "when"), i, one)
		fits = fits && json_is_string(one) && strncmp(json_string_value(one), "user ", 5) != 0;
	return fits;
}

/* NULL: it can be written again with an exception. */
static const char *
obstacle(const json_t *rule)
{
	if (rule == NULL)
		return "it is no rule of the gateway's any more";
	if (has_function(rule, "when") || has_function(rule, "unless"))
		return "it is written as a function";
	if (json_array_size(json_object_get(rule, "unless")) > 0 && !takes_when(rule))
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

/* `user = none_of { "ann" }` */
static json_t *
users_but(const json_t *users)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	if (f == NULL)
		return NULL;
	(void)fputs("user = none_of {", f);
	put_keys(f, users);
	(void)fputs("}", f);
	(void)fclose(f);
	json_t *o = json_stringn(text, n);
	free(text);
	return o;
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
	bool turned = json_array_size(json_object_get(rule, "unless")) > 0;
	json_t *when = json_object_get(rule, "when") == NULL ? json_array() : json_copy(json_object_get(rule, "when"));
	if (turned) {
		(void)json_array_append_new(when, users_but(a->users));
		(void)fprintf(out, ",\n  unless = ");
		put_list(out, json_object_get(rule, "unless"), false);
	}
	if (json_array_size(when) > 0) {
		(void)fprintf(out, ",\n  when   = ");
		put_list(out, when, false);
	}
	json_decref(when);
	if (turned) {
		(void)fprintf(out, ",\n  %s,\n}\n\n", text_of(rule, "decides"));
		return;
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
put_elsewhere(FILE *out, const char *target)
{
	(void)fputs("-- At ", out);
	put_comment(out, target, 80);
	(void)fputs(" this tag has other columns, ask with --target: ", out);
}

/* One name may be other columns at another target: they can't stand in one file. */
static void
put_tags(FILE *out, const json_t *policies, const char *target, json_t *told)
{
	const json_t *policy, *tag;
	size_t i, k;
	json_array_foreach(json_object_get(policies, "policies"), i, policy) {
		if (strcmp(text_of(policy, "target"), target) != 0)
			continue;
		json_array_foreach(json_object_get(policy, "tags"), k, tag) {
			const json_t *columns = json_object_get(tag, "columns"), *known = json_object_get(told, text_of(tag, "tag"));
			if (known != NULL && json_equal(known, columns))
				continue;
			if (known != NULL)
				put_elsewhere(out, target);
			(void)fprintf(out, "tag ");
			put_string(out, text_of(tag, "tag"));
			(void)fputc(' ', out);
			put_list(out, columns, true);
			(void)fprintf(out, "\n");
			(void)json_object_set(told, text_of(tag, "tag"), (json_t *)(uintptr_t)columns);
		}
	}
}

/* ---- groups, by what they are about ---- */

/* The same rule may have been met at several targets, and with several verdicts: one exception has to fit all of it. */
static json_t *
gather(const json_t *groups, const json_t *policies)
{
	json_t *all = json_object(), *group, *one;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)groups, key, group) {
		const char *target = text_of(group, "target"), *name = text_of(group, "rule");
		const json_t *rule = name[0] == '\0' ? NULL : rule_named(policies, target, name);
		struct buffer b = { 0 };
		(void)buffer_printf(&b, "%s\n%s:%lld%c", name[0] == '\0' ? key : name, text_of(rule, "file"), json_integer_value(json_object_get(rule, "line")), '\0');
		const char *place = (const char *)buffer_bytes(&b).p;
		if ((one = json_object_get(all, place)) == NULL) {
			one = json_pack("{s:s,s:s,s:s,s:i,s:{},s:[],s:[]}", "target", target, "rule", name, "text", text_of(group, "text"), "n", 0, "users",
			    "examples", "groups");
			(void)json_object_set_new(all, place, one);
		}
		buffer_free(&b);
		json_int_t n = json_integer_value(json_object_get(one, "n")) + json_integer_value(json_object_get(group, "n"));
		(void)json_object_set_new(one, "n", json_integer(n));
		(void)json_object_update_missing(json_object_get(one, "users"), json_object_get(group, "users"));
		(void)json_array_extend(json_object_get(one, "examples"), json_object_get(group, "examples"));
		(void)json_array_append(json_object_get(one, "groups"), group);
	}
	return all;
}

static void
put_head(FILE *out, const json_t *one, const json_t *rule)
{
	const json_t *group;
	size_t i;
	json_array_foreach(json_object_get(one, "groups"), i, group) {
		(void)fprintf(out, "%s%lld × ", i == 0 ? "-- " : ", ", json_integer_value(json_object_get(group, "n")));
		put_comment(out, text_of(group, "would"), 40);
		(void)fputs(" at ", out);
		put_comment(out, text_of(group, "target"), 80);
	}
	bool named = text_of(one, "rule")[0] != '\0';
	(void)fputs(named ? " by rule " : ", by no rule: ", out);
	put_comment(out, text_of(one, named ? "rule" : "text"), 200);
	if (rule != NULL) {
		(void)fputs(", ", out);
		put_comment(out, text_of(rule, "file"), 200);
		(void)fprintf(out, ":%lld", json_integer_value(json_object_get(rule, "line")));
	}
}

/* told: names of rules that stand in the file already, of another policy. */
static void
put_one(FILE *out, const json_t *one, const json_t *policies, const struct asked *a, json_t *told)
{
	const char *name = text_of(one, "rule");
	const json_t *rule = rule_named(policies, text_of(one, "target"), name);
	const char *why = json_object_get(told, name) != NULL ? "a rule of this name stands above, of another policy (--target asks for one)" : obstacle(rule);
	put_head(out, one, rule);
	if (why != NULL) {
		(void)fprintf(out, ".  Change it by hand: %s.\n\n", why);
		return;
	}
	(void)json_object_set_new(told, name, json_true());
	(void)fprintf(out, ".  In its place:\n");
	size_t n = json_array_size(json_object_get(one, "examples"));
	if (a->all && (json_int_t)n < json_integer_value(json_object_get(one, "n")))
		(void)fprintf(out, "-- Its tables are those of %zu of them; what others asked for may meet it still.\n", n);
	put_rule(out, rule, a);
}

static void
put_unruled(FILE *out, const json_t *one, const struct asked *a, unsigned *number)
{
	put_head(out, one, NULL);
	(void)fprintf(out, json_object_size(a->unclear) == 0 ? ".  No exception is suggested: see what its examples are.\n\n" : "\n");
	put_lifted(out, one, a, number);
}

int
report_suggest(const struct run *r, const json_t *groups, bool alone, FILE *out)
{
	const char *key;
	json_t *group, *policies = NULL, *told = json_object(), *tags = json_object(), *all;
	unsigned number = 0;
	int rc = DONE;
	if (alone)
		(void)fprintf(out, "-- Files tell no rules: exceptions are suggested where the gateway is asked.\n");
	else
		rc = client_call(r, "GET", "/api/v1/policies", NULL, &policies);
	all = alone || rc != DONE ? json_object() : gather(groups, policies);
	if (json_object_size(all) > 0) {
		json_object_foreach((json_t *)(uintptr_t)groups, key, group)
			put_tags(out, policies, text_of(group, "target"), tags);
		(void)fputc('\n', out);
	}
	json_object_foreach(all, key, group) {
		struct asked a;
		ask_examples(r, group, &a);
		if (text_of(group, "rule")[0] == '\0')
			put_unruled(out, group, &a, &number);
		else
			put_one(out, group, policies, &a, told);
		asked_end(&a);
	}
	json_decref(all);
	json_decref(tags);
	json_decref(told);
	json_decref(policies);
	return rc;
}
