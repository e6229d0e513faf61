/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: every mistake with file and line and the nearest name; what a policy says of itself; explanations. */
#include <config.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/policy/attribute.h"
#include "cunit_main.h"
#include "toy.h"

#define ON "on = 'sql.statement', "

static void
test_mistakes(void)
{
	static const struct {
		const char *text, *says;
	} row[] = {
		{ "rule 'r' {\n on = 'sql.statement',\n when = { effekts = 'x', colunm = 'a' },\n mask = mask.null }", "policy.lua:4: rule \"r\": mask can't stand on sql.statement" },
		{ "rule 'r' {\n on = 'sql.statement',\n when = { detect = 'card' },\n deny = 'x' }", "policy.lua:3: rule \"r\": sql.statement has no attribute \"detect\", which is one of output" },
		{ "rule 'r' {\n on = 'session',\n when = { verb = 'x' },\n deny = 'x' }", "policy.lua:3: rule \"r\": session has no attribute \"verb\", which is one of sql.statement" },
		{ "rule 'r' { on = 'sql.statement',\n when = { root = { vreb = 'x' } }, deny = 'x' }", "has no attribute \"root.vreb\"" },
		{ "rule 'r' { " ON "\nwhen = { verb = 5 }, deny = 'x' }", "policy.lua:2: rule \"r\": verb: is a text" },
		{ "rule 'r' { " ON "\nwhen = { where = 'no' }, deny = 'x' }", "policy.lua:2: rule \"r\": where: is true or false" },
		{ "rule 'r' { " ON "\nwhen = { size = '5 apples' }, deny = 'x' }", "policy.lua:2: rule \"r\": size: is a size" },
		{ "rule 'r' { " ON "when = { verb = tagged 'x' }, deny = 'x' }", "tagged" },
		{ "rule 'r' { " ON "when = { verb = { predicate = 'prefixx', 'a' } }, deny = 'x' }", "unknown predicate \"prefixx\", did you mean \"prefix\"" },
		{ "rule 'r' { " ON "when = { verb = prefix(5) }, deny = 'x' }", "needs one text" },
		{ "rule 'r' { " ON "when = { verb = matches '(' }, deny = 'x' }", "policy.lua:1: rule \"r\": verb" },
		{ "rule 'r' { " ON "when = { address = cidr 'x' }, deny = 'x' }", "is no network" },
		{ "rule 'r' { " ON "when = { within 'always' }, deny = 'x' }", "is no window" },
		{ "rule 'r' { " ON "when = { verb = prefix }, deny = 'x' }", "is a function" },
		{ "rule 'r' { " ON "when = { verb = {} }, deny = 'x' }", "an empty list" },
		{ "rule 'r' { " ON "approve = { within = '5m' } }", "approve names the group" },
		{ "rule 'r' { " ON "\napprove = { by = 'x', within = '5 apples' } }", "policy.lua:2: rule \"r\": within is a time" },
		{ "rule 'r' { " ON "approve = { by = 'x', coutn = 2 } }", "unknown word \"coutn\", did you mean \"count\"" },
		{ "rule 'r' { " ON "limit = { rate = '5' } }", "rate is a number in a time" },
		{ "rule 'r' { " ON "limit = { per = 'usr', rate = '5/1s' } }", "did you mean \"user\"" },
		{ "rule 'r' { " ON "limit = { per = 'user' } }", "limit needs a rate or rows" },
		{ "rule 'r' { " ON "deny = '' }", "deny is the text that the user reads" },
		{ "rule 'r' { " ON "mode = 'dry', deny = 'x' }", "mode is \"observe\" or \"enforce\"" },
		{ "rule 'r r' { " ON "deny = 'x' }", "a name is of letters" },
		{ "rule 'r' { deny = 'x' }", "does not say what it is on" },
		{ "rule 'r' { on = { 'sql.statement', 'session' }, deny = 'x' }", "need rules of their own" },
		{ "rule 'r' { on = 'output', when = { detect = 'crad' }, mask = mask.redact }", "unknown detector \"crad\", did you mean \"card\"" },
		{ "rule 'r' { on = 'output', mask = mask.redact }", "`when` says what to look for" },
		{ "rule 'r' { on = 'output', when = { detect = 'card' }, mask = mask.hash }", "redacted" },
		{ "rule 'r' { on = 'sql.result', mask = { mask = 'kepp' } }", "mask is one of mask.null" },
		{ "rule 'r' { on = 'sql.result', when = { column = '*.email' }, mask = mask.null }", "patterns stand in a tag" },
		{ "tag 't' { 'a.b.c.d' }", "is no pattern" },
		{ "tag 't' {}", "names no column" },
		{ "\n\ntest 't' { send = sql 'x' }", "policy.lua:3: test \"t\" expects nothing" },
		{ "test 't' { expect = 'allow' }", "sends nothing" },
		{ "test 't' { send = operation 'sql.statment' 'x', expect = 'allow' }", "did you mean \"sql.statement\"" },
		{ "test 't' { as = { usr = 'x' }, send = sql 'x', expect = 'allow' }", "did you mean \"user\"" },
		{ "test 't' { at = 'noon', send = sql 'x', expect = 'allow' }", "at is a time" },
		{ "\nlocal x = nil\nx.y = 1", "policy.lua:3: " },
		{ "\nrule {}", "policy.lua:2: rule wants a name" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char *err = NULL;
		struct policy *p = toy_policy(row[i].text, &err);
		bool said = p == NULL && err != NULL && strstr(err, row[i].says) != NULL && strncmp(err, "policy.lua:", 11) == 0;
		if (!said)
			fprintf(stderr, "\n%s: expected %s, got %s\n", row[i].text, row[i].says, err == NULL ? "no error" : err);
		CU_ASSERT_TRUE(said);
		policy_free(&p);
		free(err);
	}
}

/* All mistakes are told, not the first alone. */
static void
test_all(void)
{
	char *err = NULL;
	struct policy *p = toy_policy("rule 'a' { " ON " }\nrule 'b' { on = 'x', deny = 'y' }\nrule 'c' { " ON "dney = 'x' }", &err);

	CU_ASSERT_PTR_NULL(p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(err);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "policy.lua:1: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "\npolicy.lua:2: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "\npolicy.lua:3: "));
	free(err);
}

static struct policy *
load(const char *text)
{
	char *err = NULL;
	struct policy *p = toy_policy(text, &err);

	if (p == NULL)
		fprintf(stderr, "\n%s\n", err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

static void
test_labels(void)
{
	struct policy *p = load("rule 'r' { " ON "\n when = { vreb = 'x', env = 'prod' }, deny = 'x' }");
	const struct policy_label *l = policy_labels(p);
	bool near = false;

	for (; l->name != NULL; l++) {
		CU_ASSERT_EQUAL(l->line, 2);
		near = near || (strcmp(l->name, "vreb") == 0 && l->nearest != NULL && strcmp(l->nearest, "verb") == 0);
	}
	CU_ASSERT_TRUE(near);
	policy_free(&p);
}

/* A rule's hash is what an approval is for: it changes with what the rule means, and with nothing else. */
static void
test_hashes(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} row[] = {
		{ "rule 'r' { " ON "approve = { by = 'x' } }", "-- a remark\nrule 'r' { doc = 'new', approve = { by = 'x' }, on = 'sql.statement' }", true },
		{ "rule 'r' { " ON "approve = { by = 'x' } }", "rule 'r' { " ON "approve = { by = 'y' } }", false },
		{ "rule 'r' { " ON "approve = { by = 'x' } }", "rule 'r' { " ON "when = { verb = 'a' }, approve = { by = 'x' } }", false },
		{ "rule 'r' { " ON "approve = { by = 'x' } }", "rule 'q' { " ON "approve = { by = 'x' } }", false },
		{ "rule 'r' { " ON "when = function() return true end, approve = { by = 'x' } }",
		    "rule 'r' { " ON "when = function() return not false end, approve = { by = 'x' } }", false },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct policy *a = load(row[i].a), *b = load(row[i].b);
		struct toy t, u;
		toy_begin(&t, a);
		toy_begin(&u, b);
		struct decision d = toy_ask(&t, "sql.statement", "verb=a"), e = toy_ask(&u, "sql.statement", "verb=a");
		CU_ASSERT_FATAL(d.napprovals == 1 && e.napprovals == 1);
		CU_ASSERT_EQUAL(memcmp(d.approval[0].hash, e.approval[0].hash, 32) == 0, row[i].same);
		decision_free(&d);
		decision_free(&e);
		toy_end(&t);
		toy_end(&u);
		policy_free(&a);
		policy_free(&b);
	}
}

static void
test_describe(void)
{
	struct policy *p = load("tag 't' { '*.c', '*.d' } rule 'r' { doc = 'why', " ON "when = { verb = { 'a', 'b' } }, mode = 'observe', deny = 'no' }");
	struct buffer json = { 0 };

	CU_ASSERT_EQUAL(policy_describe(p, &json), SP_OK);
	json_t *o = json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL), *r = json_array_get(json_object_get(o, "rules"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "rule")), "r");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "mode")), "observe");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(r, "when"), 0)), "verb = any_of { \"a\", \"b\" }");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json_array_get(json_object_get(o, "tags"), 0), "columns")), 2);
	json_decref(o);
	buffer_free(&json);
	policy_free(&p);
}

/* What a rule decides is told as Lua that says the same again. */
static void
test_describe_decides(void)
{
	static const char *const said[] = { "deny = \"a \\\"b\\\"\"",
		"approve = { count = 2, within = \"60s\", by = \"dba\", reason = true, otherwise = \"fail\", text = \"why\" }",
		"limit = { per = \"user\", rate = \"5/10s\", rows = 7 }" };
	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		char text[512];
		struct buffer json = { 0 };
		snprintf(text, sizeof(text), "rule 'r' { " ON "when = { verb = 'a' }, %s }", said[i]);
		struct policy *p = load(text);
		CU_ASSERT_EQUAL(policy_describe(p, &json), SP_OK);
		json_t *o = json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL), *r = json_array_get(json_object_get(o, "rules"), 0);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "decides")), said[i]);
		json_decref(o);
		buffer_free(&json);
		policy_free(&p);
	}
}

/* ---- explanations ---- */

static json_t *
explained(struct policy *p, const char *statement)
{
	struct policy_run *run = policy_run_new(p);
	struct toy t;
	struct decision d;
	struct finding *f;
	struct buffer json = { 0 };
	size_t n;
	const struct sp_scope scope = { 0 };

	toy_begin(&t, p);
	struct op op = { .shape = shape_make(&toy_module, &scope, "sql.statement", sp_str(statement)), .kind = "sql.statement" };
	CU_ASSERT_EQUAL_FATAL(policy_judge_whole(run, &t.subject, &op, &d, &f, &n), SP_OK);
	CU_ASSERT_EQUAL_FATAL(policy_explain(p, &op, &d, f, n, true, &json), SP_OK);
	json_t *o = json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL);
	buffer_free(&json);
	decision_free(&d);
	shape_free(&op.shape);
	toy_end(&t);
	policy_run_free(&run);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	return o;
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static void
test_explain(void)
{
	struct policy *p = load("rule 'r' { " ON "when = { verb = 'delete', where = false }, unless = { groups = 'dba' }, deny = 'no' }\n"
				"rule 'p' { " ON "when = { verb = 'drop' }, approve = { by = 'dba', within = '30m' } }\n"
				"rule 'a' { " ON "when = { verb = 'call' }, allow = { unclear = 'function', name = 'x.f' } }");
	json_t *o = explained(p, "verb=delete where=false"), *rules = json_object_get(o, "rules");

	CU_ASSERT_STRING_EQUAL(text_of(o, "verdict"), "deny");
	CU_ASSERT_STRING_EQUAL(text_of(o, "rule"), "r");
	CU_ASSERT_EQUAL(json_array_size(rules), 3);
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(rules, 0), "applies")));
	CU_ASSERT_STRING_EQUAL(text_of(json_array_get(rules, 1), "why"), "when verb is \"delete\", which does not fit \"drop\"");
	CU_ASSERT_STRING_EQUAL(text_of(json_array_get(rules, 2), "why"), "nothing that it lifts is unclear here");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(o, "pass"), 0)),
	    "rule \"r\" must not apply: one of these must not be so: verb = \"delete\"; where = false; or all of these must: groups = \"dba\"");
	CU_ASSERT_STRING_EQUAL(text_of(json_array_get(json_object_get(o, "statements"), 0), "verb"), "\"delete\"");
	json_decref(o);
	o = explained(p, "verb=drop");
	CU_ASSERT_STRING_EQUAL(text_of(o, "verdict"), "held");
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_array_get(json_object_get(o, "pass"), 0)), "\"dba\" must approve it within 30 min"));
	json_decref(o);
	o = explained(p, "verb=call unclear=function:x.f unclear=function:x.g");
	CU_ASSERT_STRING_EQUAL(text_of(o, "because"), "unclear");
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(json_object_get(o, "unclear"), 0), "lifted")));
	CU_ASSERT_TRUE(json_is_false(json_object_get(json_array_get(json_object_get(o, "unclear"), 1), "lifted")));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "pass")), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_array_get(json_object_get(o, "pass"), 0)), "name = \"x.g\""));
	json_decref(o);
	policy_free(&p);
	p = load("tag 't' { '*.c' } rule 'r' { on = 'sql.result', when = { column = tagged 't' }, deny = 'no' }");
	o = explained(p, "verb=insert effects=write columns=a.b.c");
	CU_ASSERT_STRING_EQUAL(text_of(o, "verdict"), "deny");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(o, "pass"), 0)),
	    "rule \"r\" must not apply: one of these must not be so: column = tagged \"t\"");
	json_decref(o);
	o = explained(p, "verb=select");
	CU_ASSERT_STRING_EQUAL(text_of(o, "verdict"), "allow");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "pass")), 0);
	json_decref(o);
	policy_free(&p);
}

/* Values in what recordings hide of the text are hidden wherever else they would be written. */
static bool
hides(const struct policy *p, const struct shape *s, struct sp_bytes value)
{
	struct arena *a = arena_new(1 << 20);
	struct hiding *h = hiding_new(p, s, a);
	bool yes = h == NULL || hiding_has(h, value);
	arena_free(&a);
	return yes;
}

static void
test_hidden(void)
{
	struct policy *p = load("tag 't' { '*.c' } rule 'm' { on = 'sql.result', when = { column = tagged 't' }, mask = mask.null }");
	char all[] = "SET x.token = 'can''ary'", one[] = "SELECT a FROM b WHERE c = 'secret' AND a = 'open'";
	struct literal whole = { .len = sizeof(all) - 1 }, tagged = { .offset = 26, .len = 8, .column = "a.b.c" },
	    other = { .offset = 43, .len = 6, .column = "a.b.a" }, two[] = { tagged, other };
	struct shape s = { .text = sp_str(all), .literal = &whole, .nliterals = 1, .tag = "SET" };

	CU_ASSERT_TRUE(hides(p, &s, SP_LIT("can'ary")));
	CU_ASSERT_TRUE(hides(p, &s, SP_LIT("x.token")));
	CU_ASSERT_FALSE(hides(p, &s, SP_LIT("set")));
	CU_ASSERT_FALSE(hides(p, &s, SP_LIT("session")));
	s = (struct shape){ .text = sp_str(one), .literal = two, .nliterals = 2, .tag = "SELECT" };
	CU_ASSERT_TRUE(hides(p, &s, SP_LIT("secret")));
	CU_ASSERT_FALSE(hides(p, &s, SP_LIT("open")));
	CU_ASSERT_FALSE(hides(p, &s, SP_LIT("b")));
	CU_ASSERT_FALSE(hides(p, &s, SP_LIT("")));
	/* what is not looked for to the end is hidden */
	size_t len = 24u << 20;
	char *many = malloc(len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(many);
	memset(many, 'z', len);
	struct literal long_one = { .offset = 8, .len = len - 16 };
	s = (struct shape){ .text = { (const uint8_t *)many, len }, .literal = &long_one, .nliterals = 1 };
	CU_ASSERT_TRUE(hides(p, &s, SP_LIT("open")));
	free(many);
	policy_free(&p);
}

/* Who asks is never a module's attribute, and a name that two modules share is of the kind that is asked. */
static void
test_attributes(void)
{
	struct attribute a;
	const char *other = NULL;

	CU_ASSERT_TRUE(attribute_find(&toy_schema, "sql.statement", "groups", &a, &other));
	CU_ASSERT_EQUAL(a.source, FROM_CORE);
	CU_ASSERT_TRUE(attribute_find(&toy_schema, "sql.statement", "badges", &a, &other));
	CU_ASSERT_FALSE(a.of_operation);
	CU_ASSERT_TRUE(attribute_find(&toy_schema, "sql.statement", "tables", &a, &other));
	CU_ASSERT_TRUE(a.of_operation);
	CU_ASSERT_FALSE(attribute_find(&toy_schema, "sql.statement", "colour", &a, &other));
	CU_ASSERT_STRING_EQUAL(other, "other.thing");
	CU_ASSERT_TRUE(attribute_find(&toy_schema, "other.thing", "colour", &a, &other));
	CU_ASSERT_FALSE(attribute_find(&toy_schema, "session", "verb", &a, &other));
	CU_ASSERT_EQUAL(kind_class(&toy_schema, "sql.prepare"), KIND_PREPARE);
	CU_ASSERT_EQUAL(kind_class(&toy_schema, "nothing"), KIND_NONE);
}

/* A text of too many statements, or of too much, is a failure to analyse: denied, and nothing lifts it. */
static void
test_operations(void)
{
	struct policy *p = load("rule 'a' { " ON "when = { groups = 'g' }, allow = { unclear = 'size' } }");
	size_t len = SHAPE_MEMORY + 100;
	char *text = malloc(len + 1);
	struct toy t;
	const struct sp_scope scope = { 0 };

	toy_begin(&t, p);
	toy_group(&t, "g");
	memset(text, ';', len);
	text[SHAPE_NODES - 1] = '\0';
	CU_ASSERT_STRING_EQUAL(toy_say(&t, text), "allow");
	memset(text, ';', SHAPE_NODES + 10);
	text[SHAPE_NODES + 10] = '\0';
	CU_ASSERT_STRING_EQUAL(toy_say(&t, text), "unclear");
	memset(text, 'x', len);
	memcpy(text, "verb=", 5);
	text[len] = '\0';
	CU_ASSERT_STRING_EQUAL(toy_say(&t, text), "unclear");
	free(text);
	/* Shapes are shared and counted; an operation's parameters are its own. */
	struct shape *s = shape_make(&toy_module, &scope, "sql.statement", SP_LIT("verb=select tables=a.b"));
	s->refs++;
	struct arena *a = arena_new(1 << 16);
	struct op op = { .shape = s, .kind = "sql.statement", .arena = a };
	char value[] = "secret";
	CU_ASSERT_EQUAL(sp_op_param((struct sp_op *)&op, 0, 25, 0, false, sp_str(value)), SP_OK);
	value[0] = 'X';
	CU_ASSERT_TRUE(op.nparams == 1 && sp_bytes_is(op.param[0].value, "secret"));
	CU_ASSERT_TRUE(sp_op_has((struct sp_op *)&op, (unsigned)attr_find(&toy_module, "tables"), "a.b"));
	CU_ASSERT_FALSE(sp_op_has((struct sp_op *)&op, (unsigned)attr_find(&toy_module, "tables"), "a.c"));
	CU_ASSERT_TRUE(sp_bytes_is(sp_op_text((struct sp_op *)&op), "verb=select tables=a.b"));
	CU_ASSERT_FALSE(sp_op_is_unclear((struct sp_op *)&op));
	CU_ASSERT_EQUAL(attr_find(&toy_module, "nothing"), -1);
	arena_free(&a);
	struct shape *again = s;
	shape_free(&again);
	CU_ASSERT_PTR_NULL(again);
	CU_ASSERT_TRUE(sp_bytes_is(s->text, "verb=select tables=a.b"));
	shape_free(&s);
	toy_end(&t);
	policy_free(&p);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "mistakes, with file and line", test_mistakes },
		{ "all of them", test_all },
		{ "labels", test_labels },
		{ "hashes of rules", test_hashes },
		{ "a policy of itself", test_describe }, { "what it decides", test_describe_decides },
		{ "explanations", test_explain },
		{ "hidden values", test_hidden },
		{ "attributes", test_attributes },
		{ "operations", test_operations },
		CU_TEST_INFO_NULL,
	};

	return cunit_main("policy load", tests);
}
