/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy holds, as JSON: for `policy check --json` and the console. */
#include <config.h>

#include <jansson.h>

#include "../base/digest.h"
#include "rule.h"

static json_t *
words(const char *const *list)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && list[i] != NULL; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

static json_t *
clause(const struct clause *c)
{
	json_t *array = json_array();

	if (c->function)
		json_array_append_new(array, json_string("function"));
	for (size_t i = 0; i < c->n; i++)
		json_array_append_new(array, json_string(c->condition[i].text));
	return array;
}

static json_t *
rule(const struct rule *r)
{
	char hash[2 * DIGEST_LEN + 1];
	json_t *o = json_object();

	text_hex((struct sp_bytes){ r->hash, sizeof(r->hash) }, hash);
	json_object_set_new(o, "rule", json_string(r->name));
	json_object_set_new(o, "doc", json_string(r->doc));
	json_object_set_new(o, "file", json_string(r->file));
	json_object_set_new(o, "line", json_integer(r->line));
	json_object_set_new(o, "on", words(r->on));
	json_object_set_new(o, "decision", json_string(decide_name[r->decide]));
	json_object_set_new(o, "mode", json_string(r->observe ? "observe" : "enforce"));
	json_object_set_new(o, "text", json_string(r->text == NULL ? "" : r->text));
	json_object_set_new(o, "when", clause(&r->when));
	json_object_set_new(o, "unless", clause(&r->unless));
	json_object_set_new(o, "hash", json_string(hash));
	return o;
}

static json_t *
tag(const struct tag *t)
{
	json_t *o = json_object(), *patterns = json_array();

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(patterns, json_string(t->pattern[i].text));
	json_object_set_new(o, "tag", json_string(t->name));
	json_object_set_new(o, "columns", patterns);
	return o;
}

int
policy_describe(const struct policy *p, struct buffer *json)
{
	json_t *o = json_object(), *rules = json_array(), *tags = json_array();
	char hash[2 * DIGEST_LEN + 1];

	text_hex((struct sp_bytes){ p->hash, sizeof(p->hash) }, hash);
	for (size_t i = 0; i < p->nrules; i++)
		json_array_append_new(rules, rule(p->rule[i]));
	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		json_array_append_new(tags, tag(t));
	json_object_set_new(o, "hash", json_string(hash));
	json_object_set_new(o, "rules", rules);
	json_object_set_new(o, "tags", tags);
	char *text = json_dumps(o, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	json_decref(o);
	if (text == NULL)
		return SP_ENOMEM;
	int rc = buffer_put(json, sp_str(text));
	json_free_t release;
	json_get_alloc_funcs(NULL, &release);
	release(text);
	return rc;
}
