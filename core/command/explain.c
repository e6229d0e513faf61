/* SPDX-License-Identifier: Apache-2.0 */
/* `explain`: why an operation of a session got its verdict, from its recording. */
#include <config.h>

#include "explain.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../record/explain.h"
#include "../record/recording.h"
#include "recordings.h"

/* ---- printing ---- */

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static void
line(const char *head, const char *text)
{
	if (text[0] == '\0')
		return;
	(void)printf("%-10s ", head);
	print_safe(stdout, sp_str(text), 0);
	(void)putchar('\n');
}

void
print_statements(const json_t *statements)
{
	const json_t *one, *value;
	const char *name;
	size_t i;
	json_array_foreach(statements, i, one) {
		if (json_array_size(statements) > 1)
			(void)printf("%sstatement %zu\n", i == 0 ? "" : "\n", i);
		json_object_foreach((json_t *)(uintptr_t)one, name, value) {
			(void)printf("  %-16s ", name);
			print_safe(stdout, sp_str(json_is_string(value) ? json_string_value(value) : ""), 400);
			(void)putchar('\n');
		}
	}
}

/* Those that applied first. */
static void
print_rules(const json_t *rules)
{
	static const char *const heads[] = { "RULE", "DECISION", "APPLIES", "WHY", NULL };
	struct table *t = table_new(heads);
	const json_t *rule;
	size_t i;
	for (int applies = 1; applies >= 0; applies--) {
		json_array_foreach(rules, i, rule) {
			if (json_is_true(json_object_get(rule, "applies")) != (applies == 1))
				continue;
			table_member(t, rule, "rule");
			table_member(t, rule, "decision");
			table_cell(t, applies == 0 ? "no" : json_is_true(json_object_get(rule, "observed")) ? "yes (observe)" : "yes");
			char why[2048];
			FILE *f = fmemopen(why, sizeof(why), "w");
			if (f != NULL) {
				print_safe(f, sp_str(text_of(rule, "why")), applies == 0 ? 120 : 400);
				(void)fclose(f);
			}
			table_cell(t, f == NULL ? "" : why);
		}
	}
	table_print(&t);
}

static void
print_verdict(const json_t *why)
{
	const char *verdict = text_of(why, "verdict"), *rule;
	const json_t *would = json_object_get(why, "would");
	(void)printf("verdict    %s", verdict);
	if (would != NULL)
		(void)printf(", for the target is in observe mode; it would be %s", text_of(would, "verdict"));
	why = would == NULL ? why : would;
	rule = text_of(why, "rule");
	if (rule[0] != '\0')
		(void)printf(" by rule \"%s\"", rule);
	else if (strcmp(text_of(why, "because"), "unclear") == 0)
		(void)printf(", for what is unclear");
	if (text_of(why, "text")[0] != '\0') {
		(void)printf(": ");
		print_safe(stdout, sp_str(text_of(why, "text")), 0);
	}
	(void)putchar('\n');
}

void
print_why(const json_t *why)
{
	const json_t *pass = json_object_get(why, "pass"), *one;
	size_t i;
	if (json_array_size(json_object_get(why, "rules")) > 0) {
		print_rules(json_object_get(why, "rules"));
		(void)putchar('\n');
	}
	print_verdict(why);
	json_array_foreach(pass, i, one)
		line(i == 0 ? "to pass" : "and", json_is_string(one) ? json_string_value(one) : "");
}

static void
print_events(const json_t *events)
{
	const json_t *e;
	size_t i;
	json_array_foreach(events, i, e) {
		static const char *const more[] = { "would", "rule", "message", "approval", "approver", "observed", "error", NULL };
		(void)printf("%-10s %s", i == 0 ? "happened" : "", text_of(e, "what"));
		for (size_t k = 0; more[k] != NULL; k++) {
			if (text_of(e, more[k])[0] == '\0')
				continue;
			(void)printf("; %s ", more[k]);
			print_safe(stdout, sp_str(text_of(e, more[k])), 400);
		}
		(void)putchar('\n');
	}
}

static void
print_params(const json_t *params)
{
	const json_t *one;
	size_t i;
	json_array_foreach(params, i, one) {
		char name[32];
		(void)snprintf(name, sizeof(name), "$%zu", i + 1);
		line(name, json_is_string(one) ? json_string_value(one) : "NULL");
	}
}

static void
print_operation(const json_t *o)
{
	const json_t *why = json_object_get(o, "why"), *value;
	const char *name, *policy = text_of(o, "policy");
	char id[64];
	(void)snprintf(id, sizeof(id), "%.40s.%lld", text_of(o, "session"), json_integer_value(json_object_get(o, "op")));
	line("operation", id);
	line("user", text_of(o, "user"));
	line("target", text_of(o, "target"));
	line("kind", text_of(o, "kind"));
	line("text", text_of(o, "text"));
	print_params(json_object_get(o, "params"));
	print_statements(json_object_get(o, "statements"));
	json_object_foreach(json_object_get(o, "facts"), name, value)
		if (json_is_string(value) && json_string_length(value) > 0)
			line(name, json_string_value(value));
	(void)putchar('\n');
	print_events(json_object_get(o, "events"));
	(void)putchar('\n');
	if (json_is_object(why)) {
		(void)printf("Each rule, as the policy, the groups and the names were when it was asked (the session began under policy %.12s):\n\n",
		    policy);
		print_why(why);
	} else if (json_is_true(json_object_get(o, "sealed"))) {
		(void)printf("The recording is sealed to its auditors: text and rules can be read only where their key is.\n");
	} else {
		(void)printf("What each rule said is recorded for refusals and holds only. `sallyport policy explain` judges a text under\n"
			     "the policies of now.\n");
	}
}

/* ---- finding it ---- */

static int
from_file(const struct run *r, json_t **o_r)
{
	char *end = NULL;
	struct recording *rec = NULL;
	struct frame f;
	const char *err = "";
	unsigned long op = strtoul(r->word[1], &end, 10);
	*o_r = NULL;
	if (end == r->word[1] || *end != '\0' || op == 0 || op > UINT32_MAX)
		return misused(r, "\"%s\" is no number of an operation", r->word[1]);
	int fd = recording_fetch(r, r->word[0]);
	if (fd < 0)
		return FAILED;
	if (recording_open(fd, NULL, &rec, &err) != SP_OK)
		return failed("%s: %s", r->word[0], err);
	struct explain *e = explain_begin((uint32_t)op);
	int rc;
	while ((rc = recording_next(rec, &f, &err)) == 1)
		if (explain_frame(e, &f))
			break;
	*o_r = explain_end(&e);
	if (rc < 0)
		rc = failed("%s", err);
	else
		rc = *o_r == NULL ? failed("%s has no operation %lu", r->word[0], op) : DONE;
	recording_close(&rec);
	return rc;
}

static int
from_gateway(const struct run *r, json_t **o_r)
{
	char session[64], path[256];
	const char *dot = strchr(r->word[0], '.');
	*o_r = NULL;
	if (dot == NULL || dot == r->word[0] || dot[1] == '\0' || strspn(dot + 1, "0123456789") != strlen(dot + 1) ||
	    (size_t)(dot - r->word[0]) >= sizeof(session))
		return misused(r, "an operation is SESSION.NUMBER, as its refusal says, or a FILE and a NUMBER");
	(void)snprintf(session, sizeof(session), "%.*s", (int)(dot - r->word[0]), r->word[0]);
	if (client_path("sessions", session, "/explain", path) != DONE)
		return FAILED;
	return client_call(r, "GET", path, json_pack("{s:s}", "op", dot + 1), o_r);
}

int
run_explain(struct run *r)
{
	json_t *o = NULL;
	int rc = r->nwords == 2 ? from_file(r, &o) : from_gateway(r, &o);
	if (rc == DONE && r->json)
		rc = print_json(o);
	else if (rc == DONE)
		print_operation(o);
	json_decref(o);
	return rc;
}
