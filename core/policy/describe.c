/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy holds, as JSON: for `policy check --json` and the console. */
#include <config.h>

#include <inttypes.h>
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

static int
put_time(const char *name, uint64_t ms, struct buffer *b)
{
	bool seconds = ms % 1000 == 0;

	return buffer_printf(b, "%s = \"%" PRIu64 "%s\"", name, seconds ? ms / 1000 : ms, seconds ? "s" : "ms");
}

static int
put_approve(const struct rule *r, struct buffer *b)
{
	const struct approval_rule *a = &r->approval;
	static const char *const word[] = { "reason", "in_transaction", "unseen", "sponsor" };
	const bool said[] = { a->reason, a->in_transaction, a->unseen, a->sponsor };
	int rc = buffer_printf(b, "{ count = %u, ", a->count);

	if (rc == SP_OK)
		rc = put_time("within", a->within, b);
	if (rc == SP_OK && a->by[0] != '\0') {
		rc = buffer_printf(b, ", by = ");
		rc = rc == SP_OK ? text_print(sp_str(a->by), b) : rc;
	}
	for (size_t i = 0; i < sizeof(said) / sizeof(*said) && rc == SP_OK; i++)
		if (said[i])
			rc = buffer_printf(b, ", %s = true", word[i]);
	if (rc == SP_OK && r->next_run_given)
		rc = buffer_printf(b, ", otherwise = \"%s\"", a->next_run ? "fail" : "wait");
	if (rc == SP_OK && a->text != NULL) {
		rc = buffer_printf(b, ", text = ");
		rc = rc == SP_OK ? text_print(sp_str(a->text), b) : rc;
	}
	return rc == SP_OK ? buffer_printf(b, " }") : rc;
}

static int
put_limit(const struct limit_rule *l, struct buffer *b)
{
	int rc = buffer_printf(b, "{ per = \"%s\"", l->per);

	if (rc == SP_OK && l->window > 0)
		rc = buffer_printf(b, ", rate = \"%" PRIu64 "/%" PRIu64 "%s\"", l->count, l->window % 1000 == 0 ? l->window / 1000 : l->window,
		    l->window % 1000 == 0 ? "s" : "ms");
	if (rc == SP_OK && l->rows > 0)
		rc = buffer_printf(b, ", rows = %" PRIu64, l->rows);
	return rc == SP_OK ? buffer_printf(b, " }") : rc;
}

/* What it decides, as it would be written in Lua; NULL: not in one line. */
static json_t *
decides(const struct rule *r)
{
	struct buffer b = { 0 };
	int rc = buffer_printf(&b, "%s = ", decide_name[r->decide]);

	if (rc == SP_OK && r->decide == DECIDE_APPROVE)
		rc = put_approve(r, &b);
	else if (rc == SP_OK && r->decide == DECIDE_LIMIT)
		rc = put_limit(&r->limit, &b);
	else if (rc == SP_OK && (r->decide == DECIDE_DENY || r->decide == DECIDE_KILL))
		rc = text_print(sp_str(r->text == NULL ? "" : r->text), &b);
	else if (rc == SP_OK && r->decide == DECIDE_MASK && r->mask->kind == METHOD_KEEP)
		rc = buffer_printf(&b, "mask.keep { first = %u, last = %u }", r->mask->first, r->mask->last);
	else if (rc == SP_OK && r->decide == DECIDE_MASK && r->mask->kind != METHOD_COMPOSE)
		rc = buffer_printf(&b, "mask.%s", method_name[r->mask->kind]);
	else
		rc = SP_EDENIED;
	json_t *o = rc == SP_OK ? json_stringn((const char *)buffer_bytes(&b).p, b.len) : NULL;
	buffer_free(&b);
	return o;
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
	json_t *lua = decides(r);
	if (lua != NULL)
		json_object_set_new(o, "decides", lua);
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
