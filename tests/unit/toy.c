/* SPDX-License-Identifier: Apache-2.0 */
/* The toy module: attributes as the real one has them, a classifier that believes what it is told. */
#include <config.h>

#include "toy.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/digest.h"

#define STATEMENT "sql.statement sql.prepare"

static const struct sp_attr attrs[] = {
	{ "verb", SP_TYPE_STRING, SP_OF_OPERATION, STATEMENT, "" },
	{ "effects", SP_TYPE_STRINGS, SP_OF_OPERATION, STATEMENT, "" },
	{ "tables", SP_TYPE_STRINGS, SP_OF_OPERATION, STATEMENT, "" },
	{ "tables_written", SP_TYPE_STRINGS, SP_OF_OPERATION, STATEMENT, "" },
	{ "columns", SP_TYPE_COLUMNS, SP_OF_OPERATION, STATEMENT, "" },
	{ "columns_written", SP_TYPE_COLUMNS, SP_OF_OPERATION, STATEMENT, "" },
	{ "functions", SP_TYPE_STRINGS, SP_OF_OPERATION, STATEMENT, "" },
	{ "where", SP_TYPE_BOOL, SP_OF_OPERATION, STATEMENT, "" },
	{ "limit", SP_TYPE_INT, SP_OF_OPERATION, STATEMENT, "" },
	{ "size", SP_TYPE_SIZE, SP_OF_OPERATION, STATEMENT, "" },
	{ "wait", SP_TYPE_DURATION, SP_OF_OPERATION, STATEMENT, "" },
	{ "badges", SP_TYPE_STRINGS, SP_OF_PRINCIPAL, STATEMENT, "" },
	{ NULL, 0, 0, NULL, NULL },
};

static const char *const kinds[] = { "sql.statement", "sql.prepare", "sql.result", NULL };

static struct sp_bytes
word_until(struct sp_reader *r, char end)
{
	const uint8_t *at = r->left == 0 ? NULL : memchr(r->p, end, r->left);

	return at == NULL ? sp_rd_rest(r) : sp_rd_until(r, (uint8_t)end);
}

static int
set_value(struct sp_op *op, unsigned a, struct sp_bytes value)
{
	char number[32];

	if (sp_bytes_is(value, "?"))
		return sp_op_unknown(op, a);
	snprintf(number, sizeof(number), "%.*s", (int)value.len, (const char *)value.p);
	switch (attrs[a].type) {
	case SP_TYPE_STRING:
		return sp_op_str(op, a, value);
	case SP_TYPE_BOOL:
		return sp_op_bool(op, a, sp_bytes_is(value, "true"));
	case SP_TYPE_STRINGS:
	case SP_TYPE_COLUMNS:
		break;
	default:
		return sp_op_int(op, a, strtoull(number, NULL, 10));
	}
	for (struct sp_reader r = sp_reader(value); r.left > 0;) {
		struct sp_bytes element = word_until(&r, ',');
		int rc = sp_bytes_is(element, "?") ? sp_op_unknown(op, a) : sp_op_add(op, a, element);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

static int
set_word(struct sp_op *op, struct sp_bytes word)
{
	struct sp_reader r = sp_reader(word);
	struct sp_bytes name = word_until(&r, '='), value = sp_rd_rest(&r);
	char text[64];

	if (name.len == 0)
		return SP_OK;
	if (sp_bytes_is(name, "broken"))
		return SP_EPROTO;
	if (sp_bytes_is(name, "unclear")) {
		struct sp_reader u = sp_reader(value);
		struct sp_bytes why = word_until(&u, ':');
		snprintf(text, sizeof(text), "%.*s", (int)why.len, (const char *)why.p);
		return sp_op_unclear(op, text, sp_rd_rest(&u));
	}
	if (sp_bytes_is(name, "changes")) {
		char to[64];
		struct sp_reader c = sp_reader(value);
		struct sp_bytes setting = word_until(&c, ':'), other = sp_rd_rest(&c);
		snprintf(text, sizeof(text), "%.*s", (int)setting.len, (const char *)setting.p);
		snprintf(to, sizeof(to), "%.*s", (int)other.len, (const char *)other.p);
		return sp_op_changes(op, strcmp(text, "?") == 0 ? NULL : text, strcmp(to, "?") == 0 ? NULL : to);
	}
	snprintf(text, sizeof(text), "%.*s", (int)name.len, (const char *)name.p);
	int a = attr_find(&toy_module, text);
	return a < 0 ? SP_EPROTO : set_value(op, (unsigned)a, value);
}

static int
classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	(void)scope;
	for (struct sp_reader r = sp_reader(text); r.left > 0;) {
		struct sp_reader node = sp_reader(word_until(&r, ';'));
		while (node.left > 0) {
			int rc = set_word(op, word_until(&node, ' '));
			if (rc != SP_OK)
				return rc;
		}
		if (r.left > 0) {
			int rc = sp_op_node(op);
			if (rc != SP_OK)
				return rc;
		}
	}
	return SP_OK;
}

static int
pinnable(const char *name, const char *value, const char **err_r)
{
	*err_r = strcmp(name, "gear") != 0 ? "rules can pin gear" : "its value is \"low\" or \"high\"";
	return strcmp(name, "gear") == 0 && (strcmp(value, "low") == 0 || strcmp(value, "high") == 0) ? SP_OK : SP_ECONF;
}

const struct sp_module toy_module = { .abi_major = SP_ABI_MAJOR, .abi_minor = SP_ABI_MINOR, .size = sizeof(struct sp_module),
	.name = "toy", .attrs = attrs, .kinds = kinds, .classify = classify,
	.pinnable = pinnable };

static const struct sp_attr other_attrs[] = {
	{ "colour", SP_TYPE_STRING, SP_OF_OPERATION, "other.thing", "" },
	{ NULL, 0, 0, NULL, NULL },
};
static const char *const other_kinds[] = { "other.thing", NULL };
const struct sp_module other_module = { .abi_major = SP_ABI_MAJOR, .abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module), .name = "other", .attrs = other_attrs, .kinds = other_kinds };

static const struct sp_module *const modules[] = { &toy_module, &other_module };
const struct policy_schema toy_schema = { modules, 2 };

struct policy *
toy_policy_within(const char *text, const struct policy_limits *limits, char **err_r)
{
	struct policy_source source = { .path = "policy.lua", .text = sp_str(text) };
	const struct policy_source *files[] = { &source };
	struct policy *p;

	digest_sha256(source.text, source.hash);
	if (policy_load(files, 1, &toy_schema, limits, &p, err_r) != SP_OK)
		return NULL;
	return p;
}

struct policy *
toy_policy(const char *text, char **err_r)
{
	const struct policy_limits limits = { .deadline_ms = 20, .memory = 8u << 20 };

	return toy_policy_within(text, &limits, err_r);
}

void
toy_begin(struct toy *t, struct policy *p)
{
	*t = (struct toy){ .run = policy_run_new(p) };
	t->principal = (struct principal){ .identity = "corp", .issuer = "https://idp.example", .subject = "42", .user = "ann",
		.name = "Ann", .person = "ann-1", .class = "human", .groups = { t->groups, 0 }, .token = "" };
	t->target.b.name = "orders";
	t->target.protocol = "toy";
	t->target.label = (struct pairs){ t->label_key, t->label_value, 0 };
	t->subject = (struct subject){ .principal = &t->principal, .target = &t->target, .session = "s1",
		.address = "10.1.2.3", .module = "toy", .fact = t->fact, .now = (uint64_t)1767787200 * 1000000 };
}

void
toy_end(struct toy *t)
{
	policy_run_free(&t->run);
}

void
toy_group(struct toy *t, const char *group)
{
	t->groups[t->principal.groups.n++] = group;
}

void
toy_label(struct toy *t, const char *key, const char *value)
{
	t->label_key[t->target.label.n] = key;
	t->label_value[t->target.label.n++] = value;
}

void
toy_fact(struct toy *t, const char *name, const char *value)
{
	t->fact[t->subject.nfacts++] = (struct fact){ name, sp_str(value) };
}

struct decision
toy_ask(struct toy *t, const char *kind, const char *text)
{
	bool session = strcmp(kind, "session") == 0;
	struct shape *s = session ? NULL : shape_make(&toy_module, NULL, kind, sp_str(text));
	struct op op = { .shape = s, .kind = kind };
	struct decision d;

	if (policy_judge(t->run, &t->subject, &op, &d, NULL, NULL) != SP_OK)
		d.what = SP_DENY;
	shape_free(&s);
	return d;
}

const char *
toy_word(const struct decision *d)
{
	static char word[200];

	if (d->what == SP_ALLOW)
		snprintf(word, sizeof(word), "%s%s", d->hold ? "approve by " : "allow", d->hold ? d->rule : "");
	else if (d->because == SP_BY_UNCLEAR)
		snprintf(word, sizeof(word), "unclear");
	else
		snprintf(word, sizeof(word), "%s by %s", d->because == SP_BY_ERROR ? "fail" : d->what == SP_KILL ? "kill" : "deny", d->rule);
	return word;
}

const char *
toy_say_kind(struct toy *t, const char *kind, const char *text)
{
	struct decision d = toy_ask(t, kind, text);
	const char *word = toy_word(&d);

	decision_free(&d);
	return word;
}

const char *
toy_say(struct toy *t, const char *text)
{
	return toy_say_kind(t, "sql.statement", text);
}
