/* SPDX-License-Identifier: Apache-2.0 */
/* `policy check` and `policy test`: the loader and the classifier of production, without a gateway. */
#include <config.h>

#include "policies.h"

static int
load(struct run *r, struct policies *p)
{
	int rc = policies_module(p, option(r, "module"));
	for (unsigned i = 0; i < r->nwords && rc == DONE; i++)
		rc = policies_add(p, r->word[i]);
	return rc == DONE ? policies_load(p) : rc;
}

/* ---- check ---- */

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static void
print_rules(const json_t *policy)
{
	static const char *const heads[] = { "RULE", "ON", "DECISION", "PLACE", "DOC", NULL };
	const json_t *rule, *kind;
	struct table *t = table_new(heads);
	size_t i, k;
	json_array_foreach(json_object_get(policy, "rules"), i, rule) {
		char on[128] = "", decision[64], place[512];
		json_array_foreach(json_object_get(rule, "on"), k, kind) {
			size_t n = strlen(on);
			(void)snprintf(on + n, sizeof(on) - n, "%s%s", k == 0 ? "" : " ", json_string_value(kind));
		}
		bool observe = strcmp(text_of(rule, "mode"), "observe") == 0;
		(void)snprintf(decision, sizeof(decision), "%s%s", text_of(rule, "decision"), observe ? " (observe)" : "");
		(void)snprintf(place, sizeof(place), "%s:%lld", text_of(rule, "file"), json_integer_value(json_object_get(rule, "line")));
		table_cell(t, text_of(rule, "rule"));
		table_cell(t, on);
		table_cell(t, decision);
		table_cell(t, place);
		table_cell(t, text_of(rule, "doc"));
	}
	table_print(&t);
}

/* Names that are no attribute are labels of a target; `sallyportd -t` finds out whether it has them. */
static void
print_labels(const struct policy *p)
{
	for (const struct policy_label *l = policy_labels(p); l != NULL && l->name != NULL; l++)
		(void)fprintf(stderr, "%s:%u: \"%s\" is no attribute: the target needs a label of that name%s%s%s\n", l->file, l->line, l->name,
		    l->nearest == NULL ? "" : "; did you mean \"", l->nearest == NULL ? "" : l->nearest, l->nearest == NULL ? "" : "\"?");
}

static int
tell(const struct run *r, const struct policies *p)
{
	struct buffer json = { 0 };
	if (policy_describe(p->policy, &json) != SP_OK)
		return failed("out of memory");
	json_t *o = json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL);
	if (r->json)
		(void)print_json(o);
	else
		print_rules(o);
	print_labels(p->policy);
	json_decref(o);
	buffer_free(&json);
	return DONE;
}

int
run_policy_check(struct run *r)
{
	struct policies p;
	policies_begin(&p);
	int rc = load(r, &p);
	if (rc == DONE)
		rc = tell(r, &p);
	policies_end(&p);
	return rc;
}

/* ---- test ---- */

int
run_policy_test(struct run *r)
{
	struct policies p;
	struct policy_report report = { 0 };
	policies_begin(&p);
	int rc = load(r, &p);
	if (rc == DONE && policy_test(p.policy, (const struct policy_source *const *)p.test, p.ntests, p.module, &report) != SP_OK)
		rc = failed("the tests could not be run");
	if (rc == DONE) {
		if (report.text.len > 0)
			(void)fwrite(buffer_bytes(&report.text).p, 1, report.text.len, stderr);
		if (r->json)
			(void)printf("{\"run\": %u, \"failed\": %u}\n", report.run, report.failed);
		else
			(void)printf("%u tests, %u failed\n", report.run, report.failed);
		rc = report.failed > 0 ? FAILED : DONE;
	}
	if (rc == DONE && report.run == 0)
		rc = failed("there is no test in these files: a test stands in NAME_test.lua beside NAME.lua");
	buffer_free(&report.text);
	policies_end(&p);
	return rc;
}
