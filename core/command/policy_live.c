/* SPDX-License-Identifier: Apache-2.0 */
/* `policy list`, `policy explain --live`: the rules in force, asked of the gateway. */
#include <config.h>

#include <string.h>

#include "explain.h"
#include "policies.h"

static void
print_hits(struct table *t, const json_t *hits)
{
	char text[160] = "";
	const char *what;
	const json_t *n;
	size_t len = 0;
	json_object_foreach((json_t *)(uintptr_t)hits, what, n)
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %lld", len == 0 ? "" : ", ", what, json_integer_value(n));
	table_cell(t, text[0] == '\0' ? "-" : text);
}

static void
print_policy(const json_t *policy, bool counted)
{
	static const char *const heads[] = { "RULE", "DECISION", "MODE", "DID", "DOC", NULL };
	struct table *t = table_new(heads);
	const json_t *rule, *rules = json_object_get(policy, "rules");
	size_t i;
	(void)printf("target ");
	print_safe(stdout, sp_str(json_string_value(json_object_get(policy, "target"))), 0);
	(void)printf("  %.12s%s\n", json_string_value(json_object_get(policy, "hash")),
	    strcmp(json_string_value(json_object_get(policy, "mode")), "observe") == 0 ? "  in observe mode: nothing is denied, held or masked" : "");
	json_array_foreach(rules, i, rule) {
		table_member(t, rule, "rule");
		table_member(t, rule, "decision");
		table_member(t, rule, "mode");
		if (counted)
			print_hits(t, json_object_get(rule, "hits"));
		else
			table_cell(t, "?");
		table_member(t, rule, "doc");
	}
	table_print(&t);
}

static bool
is_policy(const json_t *p)
{
	static const char *const texts[] = { "target", "hash", "mode" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (!json_is_string(json_object_get(p, texts[i])))
			return false;
	return true;
}

int
run_policy_list(struct run *r)
{
	json_t *answer, *args = r->nwords == 0 ? NULL : json_pack("{s:s}", "target", r->word[0]);
	const json_t *policy;
	size_t i;
	int rc = client_call(r, "GET", "/api/v1/policies", args, &answer);
	if (rc != DONE)
		return rc;
	const char *since = json_string_value(json_object_get(answer, "counted_since"));
	if (r->json) {
		rc = print_json(answer);
		json_decref(answer);
		return rc;
	}
	json_array_foreach(json_object_get(answer, "policies"), i, policy) {
		if (i > 0)
			(void)putchar('\n');
		if (is_policy(policy))
			print_policy(policy, since != NULL);
	}
	if (since != NULL)
		(void)printf("\nCounted since %s, by all workers.\n", since);
	else
		(void)fprintf(stderr, "sallyport: the recorder, which counts what rules do, is away\n");
	json_decref(answer);
	return rc;
}

/* "a,b" as a list. */
static json_t *
words(const char *text)
{
	json_t *list = json_array();
	while (*text != '\0') {
		size_t n = strcspn(text, ",");
		if (n > 0)
			(void)json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
	return list;
}

int
policy_explain_live(struct run *r)
{
	static const struct {
		const char *option, *argument;
		bool list;
	} given[] = { { "target", "target", false }, { "user", "user", false }, { "groups", "groups", true }, { "roles", "roles", true },
		{ "class", "class", false }, { "sponsor", "sponsor", false }, { "address", "address", false }, { "at", "at", false },
		{ "database", "database", false }, { "role", "role", false }, { "search-path", "search_path", false }, { "kind", "kind", false } };
	static const char *const here[] = { "conf", "policy", "module", "label", "columns" };
	json_t *args = json_pack("{s:s}", "text", r->nwords == 0 ? "" : r->word[0]), *answer;
	for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
		const char *value = option(r, given[i].option);
		if (value != NULL)
			(void)json_object_set_new(args, given[i].argument, given[i].list ? words(value) : json_string(value));
	}
	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
		if (option(r, here[i]) == NULL)
			continue;
		json_decref(args);
		return misused(r, "--%s is for what is judged here, and --live for the rules in force", here[i]);
	}
	int rc = client_call(r, "POST", "/api/v1/policies/explain", args, &answer);
	if (rc != DONE)
		return rc;
	if (r->json) {
		rc = print_json(answer);
	} else {
		print_statements(json_object_get(answer, "statements"));
		(void)putchar('\n');
		print_why(answer);
	}
	json_decref(answer);
	return rc;
}
