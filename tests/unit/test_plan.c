/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of verdicts, and for whom; what is charged at each use. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/policy/attribute.h"
#include "core/worker/budget.h"
#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"
#define NO_DELETE "rule 'no-delete' { on = 'toy.statement', when = { verb = 'delete' }, deny = 'no deletes' }\n"

static struct world v;

static const struct sp_op *
ask(const char *text)
{
	world_say(&v, text);
	CU_ASSERT_FATAL(v.nops > 0);
	return v.op[v.nops - 1];
}

/* Another session of the same worker; the first stays. */
static void
another(void)
{
	v.client = v.target = -1;
	world_connect(&v);
}

static void
another_runs(void)
{
	world_hello(&v);
	world_admit(&v);
	world_accept_target(&v);
	CU_ASSERT_EQUAL_FATAL(v.s->state, SESSION_RUN);
}

static void
begin(const char *policy)
{
	world_begin(&v, WRITE, policy);
	world_run(&v);
	v.keep = true;
}

static void
end(int client, int target)
{
	close(client);
	close(target);
	world_end(&v);
}

/* ---- one text, one scope, one plan ---- */

static void
test_scope(void)
{
	begin(NO_DELETE);
	const struct sp_op *a = ask("select 1\n"), *b = ask("select 1\n");
	CU_ASSERT(a != b && a->plan == b->plan && a->op.shape == b->op.shape);
	CU_ASSERT(ask("select 2\n")->plan != a->plan);
	CU_ASSERT_EQUAL(sp_fact(v.s, "role", SP_LIT("reader")), SP_OK);
	b = ask("select 1\n");
	CU_ASSERT(b->plan != a->plan && b->op.shape == a->op.shape);
	CU_ASSERT_EQUAL(sp_fact(v.s, "role", SP_LIT("reader")), SP_OK);
	CU_ASSERT(ask("select 1\n")->plan == b->plan);
	CU_ASSERT_EQUAL(sp_fact(v.s, "role", SP_LIT("writer")), SP_OK);
	CU_ASSERT(ask("select 1\n")->plan != b->plan);
	b = ask("select 1\n");
	sp_view(v.s, &v, 7);
	a = ask("select 1\n");
	CU_ASSERT(a->plan != b->plan && a->op.shape != b->op.shape); /* names mean something else */
	sp_view(v.s, &v, 8);
	CU_ASSERT(ask("select 1\n")->plan != a->plan);
	b = ask("select 1\n");
	world_epoch(&v, WRITE, NO_DELETE);
	CU_ASSERT(ask("select 1\n")->plan != b->plan);
	CU_ASSERT(!sp_op_stands(b));
	world_end(&v);
}

static void
test_other_sessions(void)
{
	begin(NO_DELETE);
	int client = v.client, target = v.target;
	const struct sp_op *a = ask("select 1\n");
	another();
	another_runs();
	CU_ASSERT(ask("select 1\n")->plan == a->plan);
	close(v.client);
	close(v.target);
	another();
	snprintf(v.s->address, sizeof(v.s->address), "10.9.9.9");
	another_runs();
	CU_ASSERT(ask("select 1\n")->plan != a->plan);
	close(v.client);
	close(v.target);
	another();
	another_runs();
	v.s->principal.groups.n = 0; /* before its first statement */
	CU_ASSERT(ask("select 1\n")->plan != a->plan);
	end(client, target);
}

/* Whatever policies see of a principal, two that differ in it do not share a verdict. */
static void
set_text(struct principal *p, enum core_attr which, const char *text)
{
	const char **to[] = { [CORE_USER] = &p->user, [CORE_CLASS] = &p->class, [CORE_IDENTITY] = &p->identity, [CORE_ISSUER] = &p->issuer,
		[CORE_SUBJECT] = &p->subject, [CORE_PERSON] = &p->person, [CORE_SPONSOR] = &p->sponsor };
	struct sp_strings *sets[] = { [CORE_GROUPS] = &p->groups, [CORE_ROLES] = &p->roles, [CORE_METHODS] = &p->methods };
	static const char *words[1];
	words[0] = text;
	if (which < sizeof(to) / sizeof(*to) && to[which] != NULL) {
		*to[which] = text;
		return;
	}
	CU_ASSERT_FATAL(which < sizeof(sets) / sizeof(*sets) && sets[which] != NULL);
	*sets[which] = (struct sp_strings){ words, 1 };
}

static void
test_other_principals(void)
{
	for (int which = CORE_USER; which < CORE_ADDRESS; which++) { /* what comes from the principal: attribute.h */
		begin(NO_DELETE);
		int client = v.client, target = v.target;
		set_text(&v.s->principal, (enum core_attr)which, "one");
		const struct sp_op *a = ask("select 1\n");
		another();
		another_runs();
		set_text(&v.s->principal, (enum core_attr)which, "two");
		bool apart = ask("select 1\n")->plan != a->plan;
		if (!apart)
			printf("two with another principal share a plan: attribute %d\n", which);
		CU_ASSERT(apart);
		end(client, target);
	}
}

/* A rule that reads which session it is speaks for that one. */
static void
test_rule_on_session(void)
{
	char policy[512];
	world_begin(&v, WRITE, NO_DELETE);
	world_connect(&v); /* admitted under the rules that name it, as the other one */
	snprintf(policy, sizeof(policy), "rule 'this' { on = 'toy.statement', when = { verb = 'select', session = '%s' }, deny = 'not you' }\n"
	    "rule 'f' { on = 'toy.statement', when = function(op) return op.verb == 'call' and op.session == '%s' end, deny = 'nor so' }",
	    v.s->name, v.s->name);
	world_epoch(&v, WRITE, policy);
	another_runs();
	int client = v.client, target = v.target;
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(v.what, SP_DENY);
	(void)ask("call 1\n");
	CU_ASSERT_EQUAL(v.what, SP_DENY);
	another();
	another_runs();
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	(void)ask("call 1\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	end(client, target);
}

static enum sp_what
ask_as(const char *kind, const char *text, const char *param)
{
	int rc = SP_OK;
	session_enter_module(v.s);
	struct sp_op *op = sp_op_new(v.s, 0, kind, sp_str(text));
	CU_ASSERT_PTR_NOT_NULL_FATAL(op);
	v.op[v.nops++] = op;
	if (param != NULL)
		rc = sp_op_param(op, 0, 25, 0, false, sp_str(param));
	if (rc == SP_OK)
		rc = sp_ask(op);
	CU_ASSERT_EQUAL(rc, SP_OK);
	(void)session_leave_module(v.s, rc);
	world_turn(&v);
	return v.what;
}

static enum sp_what
ask_with(const char *text, const char *param)
{
	return ask_as("toy.statement", text, param);
}

/* A rule that reads a parameter is asked each time. */
static void
test_not_remembered(void)
{
	begin("rule 'p' { on = 'toy.statement', when = function(op) return op.verb == 'call' and op.param(1) == 'x' end, deny = 'not x' }");
	CU_ASSERT_EQUAL(ask_with("call it", "y"), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_with("call it", "x"), SP_DENY);
	CU_ASSERT_EQUAL(ask_with("call it", "y"), SP_ALLOW);
	CU_ASSERT(v.op[0]->plan != v.op[2]->plan && v.op[0]->op.shape == v.op[2]->op.shape);
	CU_ASSERT_EQUAL(ask_with("select it", "x"), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_with("select it", "y"), SP_ALLOW);
	CU_ASSERT(v.op[3]->plan == v.op[4]->plan); /* it did not look */
	world_end(&v);
}

/* What is prepared is refused for what it would be when it runs; held and charged is only the run. */
static void
test_prepared(void)
{
	begin(NO_DELETE "rule 'agree' { on = 'toy.statement', when = { verb = 'update' }, approve = { by = 'dba', within = '10m' } }\n"
	    "rule 'once' { on = 'toy.statement', when = { verb = 'select' }, limit = { per = 'session', rate = '1/1m' } }");
	CU_ASSERT_EQUAL(ask_as("toy.prepare", "delete x", NULL), SP_DENY);
	CU_ASSERT_EQUAL(ask_as("toy.prepare", "update x", NULL), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_as("toy.prepare", "select x", NULL), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_as("toy.prepare", "select x", NULL), SP_ALLOW);
	CU_ASSERT_PTR_NULL(world_heard(&v, MSG_HOLD));
	CU_ASSERT_EQUAL(ask_as("toy.statement", "select x", NULL), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_as("toy.statement", "select x", NULL), SP_DENY);
	CU_ASSERT(v.op[3]->op.shape == v.op[4]->op.shape && v.op[3]->plan != v.op[4]->plan);
	session_enter_module(v.s);
	CU_ASSERT_PTR_NULL(sp_op_new(v.s, 0, "toy.other", SP_LIT("x"))); /* no kind of this module */
	(void)session_leave_module(v.s, SP_OK);
	world_end(&v);
}

/* Views are alike by their version, whosever they are. */
static void
test_other_views(void)
{
	begin(NO_DELETE);
	int client = v.client, target = v.target;
	sp_view(v.s, "one", 7);
	const struct sp_op *a = ask("select 1\n");
	another();
	another_runs();
	sp_view(v.s, "its own", 7);
	CU_ASSERT(ask("select 1\n")->plan == a->plan);
	sp_view(v.s, "its own", 8);
	const struct sp_op *b = ask("select 1\n");
	CU_ASSERT(b->plan != a->plan && b->op.shape != a->op.shape);
	end(client, target);
}

/* The same text again carries its parameters, and is classified anew when names mean something else. */
static void
test_again(void)
{
	begin("rule 'p' { on = 'toy.statement', when = function(op) return op.param(1) == 'x' end, deny = 'not x' }");
	(void)ask_with("call it", "x");
	session_enter_module(v.s);
	struct sp_op *op = sp_op_again(v.s, v.op[0], "toy.statement");
	CU_ASSERT(op->op.shape == v.op[0]->op.shape && op->op.nparams == 1);
	v.what = SP_ALLOW;
	CU_ASSERT_EQUAL(sp_ask(op), SP_OK);
	CU_ASSERT_EQUAL(v.what, SP_DENY);
	sp_view(v.s, &v, 1);
	op = sp_op_again(v.s, v.op[0], "toy.statement");
	CU_ASSERT(op->op.shape != v.op[0]->op.shape && sp_bytes_eq(sp_op_text(op), sp_op_text(v.op[0])));
	(void)session_leave_module(v.s, SP_OK);
	world_end(&v);
}

/* ---- what is recorded of it ---- */

/* Of each operation's frame since the last call: the place where its beginning is kept, or comes from. */
static const char *
descriptions(void)
{
	static char text[2048];
	uint8_t session[ID_LEN];
	struct sp_bytes b, value;
	struct frame f;
	unsigned key;
	size_t n = 0;
	text[0] = '\0';
	while (ring_take(v.recorder, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		struct sp_reader fields;
		CU_ASSERT_EQUAL_FATAL(frames_next(&all, &f), 1); /* the operation comes first */
		for (fields = sp_reader(f.payload); f.type == FRAME_OPERATION && frame_next_field(&fields, &key, &value);) {
			if (key == KEY_KEPT || key == KEY_AS)
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%u", n == 0 ? "" : " ", key == KEY_AS ? "as" : "kept", value.p[0]);
		}
	}
	ring_taken(v.recorder);
	return text;
}

/* … all its fields, and what it is with those of the place that it names. */
static const char *
fields(void)
{
	static const char letter[] = { [KEY_KIND] = 'k', [KEY_TAG] = 'g', [KEY_TEXT] = 't', [KEY_TEXT_HASH] = 'h', [KEY_ATTRIBUTE] = 'a', [KEY_FACT] = 'f',
		[KEY_UNCLEAR] = 'u', [KEY_PARAM] = 'p', [KEY_KEPT] = 'K', [KEY_AS] = 'S' };
	static char text[1024];
	uint8_t session[ID_LEN];
	struct sp_bytes b, value;
	struct frame f;
	unsigned key;
	size_t n = 0;
	text[0] = '\0';
	while (ring_take(v.recorder, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		struct sp_reader in;
		CU_ASSERT_EQUAL_FATAL(frames_next(&all, &f), 1);
		if (f.type == FRAME_OPERATION && n > 0)
			text[n++] = ' ';
		for (in = sp_reader(f.payload); f.type == FRAME_OPERATION && frame_next_field(&in, &key, &value);)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%.*s", key < sizeof(letter) && letter[key] != '\0' ? letter[key] : '?',
			    key == KEY_KEPT || key == KEY_AS ? 1 : 0, value.len > 0 ? &"0123456789abcdef"[value.p[0] & 15] : "");
	}
	ring_taken(v.recorder);
	return text;
}

/* Texts and hashes of what was recorded, a word each; one whose hash is another text's has a "!" behind it. */
static const char *
texts(void)
{
	static char text[1024];
	uint8_t session[ID_LEN], hash[DIGEST_LEN];
	struct sp_bytes b;
	struct frame f;
	size_t n = 0;
	text[0] = '\0';
	while (ring_take(v.recorder, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		CU_ASSERT_EQUAL_FATAL(frames_next(&all, &f), 1);
		if (f.type != FRAME_OPERATION)
			continue;
		struct sp_bytes t = frame_get(&f, KEY_TEXT);
		digest_sha256(t, hash);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s%s", n == 0 ? "" : ", ", (int)t.len, (const char *)t.p,
		    sp_bytes_eq(frame_get(&f, KEY_TEXT_HASH), (struct sp_bytes){ hash, sizeof(hash) }) ? "" : "!");
	}
	ring_taken(v.recorder);
	return text;
}

/* A plan may be made first for a text that is like its model: what is recorded of the model is the model's own text still. */
static void
test_model_after_like(void)
{
	begin(NO_DELETE);
	(void)ask("like one\n");
	(void)texts();
	CU_ASSERT_EQUAL(sp_fact(v.s, "transaction", SP_LIT("open")), SP_OK); /* another scope */
	(void)ask("like three\n");
	CU_ASSERT_STRING_EQUAL(texts(), "like three");
	(void)ask("like one\n");
	CU_ASSERT_STRING_EQUAL(texts(), "like one");
	world_end(&v);
}

/* Of what runs again only its parameters are said again; of what differs in a literal, its text, too. */
static void
test_said_once(void)
{
	begin(NO_DELETE);
	(void)fields();
	CU_ASSERT_EQUAL(ask_with("call it", "x"), SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(fields(), "kgathK0p");
	CU_ASSERT_EQUAL(ask_with("call it", "y"), SP_ALLOW);
	CU_ASSERT_EQUAL(ask_with("call it", NULL), SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(fields(), "S0p S0");
	CU_ASSERT_EQUAL(ask_with("like one", "x"), SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(fields(), "kgathaK1p");
	CU_ASSERT_EQUAL(ask_with("like three", "x"), SP_ALLOW);
	CU_ASSERT_STRING_EQUAL(fields(), "kgaK2thap");
	CU_ASSERT(v.op[v.nops - 1]->plan == v.op[v.nops - 2]->plan);
	(void)ask("like two\nlike three\nlike one\n");
	CU_ASSERT_STRING_EQUAL(fields(), "S2tha S2tha S1");
	world_end(&v);
}

/* Not for ever: who begins to read in the middle need not go back far for it. */
static void
test_said_anew(void)
{
	begin(NO_DELETE);
	(void)descriptions();
	uint32_t first = ask("select 1\n")->number;
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept0");
	v.s->op_last = first + RECORD_STANDS - 2;
	CU_ASSERT_EQUAL(ask("select 1\n")->number, first + RECORD_STANDS - 1);
	CU_ASSERT_STRING_EQUAL(descriptions(), "as0");
	(void)ask("select 1\nselect 1\nupdate 1\n");
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept0 as0 kept1");
	v.s->op_last = UINT32_MAX - 1; /* numbers begin anew, places do not */
	(void)ask("select 1\nselect 1\n");
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept0 as0");
	world_end(&v);
}

/* What operations of one plan share is in the recording of a session once. */
static void
test_described_once(void)
{
	char text[64], want[512] = "";
	begin(NO_DELETE);
	(void)descriptions();
	(void)ask("select 1\nselect 1\nupdate 1\nselect 1\nupdate 1\n");
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept0 as0 kept1 as0 as1");
	(void)ask("delete 1\ndelete 1\n"); /* refused ones, too */
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept2 as2");
	for (unsigned i = 3; i <= RECORD_PLACES; i++) { /* the oldest makes room */
		snprintf(text, sizeof(text), "other%u\n", i);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "%skept%u", i == 3 ? "" : " ", i % RECORD_PLACES);
		(void)ask(text);
	}
	CU_ASSERT_STRING_EQUAL(descriptions(), want);
	(void)ask("select 1\nselect 1\nother4\n");
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept1 as1 as4");
	world_epoch(&v, WRITE, NO_DELETE); /* plans are made anew, and what they say is, too */
	(void)ask("other4\nother4\n");
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept2 as2");
	int client = v.client, target = v.target;
	another();
	another_runs();
	(void)descriptions();
	(void)ask("other4\nother4\n"); /* the same plan, and nothing of it in this recording */
	CU_ASSERT_STRING_EQUAL(descriptions(), "kept0 as0");
	end(client, target);
}

/* A long text is not copied for it. */
static void
test_described_long(void)
{
	static const struct { size_t len; const char *expected; } row[] = { { 16000, "kept0 as0" }, { 17000, "" } };
	static char text[2 * 17000 + 16];
	for (size_t i = 0; i < 2; i++) {
		size_t n = row[i].len;
		begin(NO_DELETE);
		(void)descriptions();
		memset(text, 'x', sizeof(text));
		memcpy(text, "other", 5);
		text[n] = '\n';
		memcpy(text + n + 1, text, n + 1);
		text[2 * n + 2] = '\0';
		(void)ask(text);
		CU_ASSERT_STRING_EQUAL(descriptions(), row[i].expected);
		world_end(&v);
	}
}

/* A verdict that ends at some hour is asked anew after it. */
static void
test_not_for_ever(void)
{
	begin(NO_DELETE);
	const struct sp_op *a = ask("select 1\n");
	CU_ASSERT(sp_op_stands(a));
	a->plan->decision.valid_until = 1; /* long ago */
	CU_ASSERT(!sp_op_stands(a));
	CU_ASSERT(ask("select 1\n")->plan != a->plan);
	v.s->expires = 1;
	CU_ASSERT(!sp_op_stands(v.op[v.nops - 1]));
	world_end(&v);
}

/* ---- answers ---- */

static int
answer(struct sp_op *op)
{
	const struct sp_verdict *denied;
	const struct sp_column c = { .name = SP_LIT("email"), .known = SP_SOURCE_COLUMN, .source = SP_LIT("public.people.email"), .text = true };
	session_enter_module(v.s);
	int rc = sp_columns_begin(op, 1);
	if (rc == SP_OK)
		rc = sp_column(op, 0, &c);
	if (rc == SP_OK)
		rc = sp_columns_judge(op, &denied);
	(void)session_leave_module(v.s, SP_OK);
	return rc;
}

static struct sp_op *
last(void)
{
	return v.op[v.nops - 1];
}

/* What is said of an answer is remembered with its plan, as long as it would be said again. */
static void
test_answers(void)
{
	char policy[512];
	world_begin(&v, WRITE, NO_DELETE);
	world_connect(&v);
	v.keep = true;
	snprintf(policy, sizeof(policy), "rule 'a' { on = 'toy.result', when = { session = '%s' }, deny = 'not for you' }", v.s->name);
	world_epoch(&v, WRITE, policy);
	another_runs();
	int client = v.client, target = v.target;
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED);
	CU_ASSERT(v.what == SP_ALLOW && v.s->denied == 1);
	another();
	another_runs();
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(answer(last()), SP_OK);
	end(client, target);
}

static void
test_answers_end(void)
{
	begin("rule 'm' { on = 'toy.result', when = { user = 'ann' }, deny = 'no answers' }");
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED);
	struct result_plan *r = last()->plan->results;
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED);
	CU_ASSERT_PTR_EQUAL(last()->plan->results, r); /* remembered */
	r->decision.valid_until = 1; /* long ago */
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED);
	CU_ASSERT_PTR_NOT_EQUAL(last()->plan->results, r);
	world_end(&v);
}

static int
answer_again(struct sp_bytes sent, uint64_t version)
{
	const struct sp_verdict *denied;
	session_enter_module(v.s);
	int rc = sp_columns_again(last(), sent, version) ? sp_columns_judge(last(), &denied) : 1;
	(void)session_leave_module(v.s, SP_OK);
	return rc;
}

/* Word for word the description of before, and nothing it depended on has changed: the columns need not be told. */
static void
test_answers_again(void)
{
	begin("rule 'm' { on = 'toy.result', when = { user = 'ann' }, deny = 'no answers' }");
	const struct sp_bytes sent = SP_LIT("email, 25");
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(answer_again(sent, 7), 1); /* nothing was kept */
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED);
	sp_columns_keep(last(), sent, 7);
#ifndef SANITIZED /* there it is told anew each time, and compared */
	CU_ASSERT_EQUAL(answer_again(sent, 7), SP_EDENIED);
	(void)ask("select 1\n");
	CU_ASSERT_EQUAL(answer_again(sent, 7), SP_EDENIED); /* also of the next run */
#endif
	CU_ASSERT_EQUAL(answer_again(sent, 8), 1);
	CU_ASSERT_EQUAL(answer_again(SP_LIT("email, 26"), 7), 1);
	CU_ASSERT_EQUAL(answer_again((struct sp_bytes){ NULL, 0 }, 7), 1);
	last()->plan->results->decision.valid_until = 1;
	CU_ASSERT_EQUAL(answer_again(sent, 7), 1);
	CU_ASSERT_EQUAL(answer(last()), SP_EDENIED); /* asked anew, and kept anew */
	sp_columns_keep(last(), sent, 7);
	CU_ASSERT_EQUAL(last()->plan->results->sent.len, sent.len);
	(void)ask("select 2\n");
	CU_ASSERT_EQUAL(answer_again(sent, 7), 1); /* of another text */
	world_end(&v);
}

/* MK13: what a mask shows is not written back, where this principal sees one. */
static void
test_write_back(void)
{
	begin("tag 'pii' { 'public.people.ssn' }\n"
	      "rule 'm' { on = 'toy.result', when = { column = tagged 'pii' }, unless = { groups = 'fraud' }, mask = mask.last4 }");
	static const struct {
		const char *text;
		enum sp_what what;
	} row[] = {
		{ "set public.people.ssn '***-**-1234'\n", SP_DENY },
		{ "set public.people.ssn '****'\n", SP_DENY },
		{ "set public.people.ssn 'a**b**'\n", SP_ALLOW },
		{ "set public.people.ssn '123-45-1234'\n", SP_ALLOW },
		{ "set public.people.name '***'\n", SP_ALLOW },
		{ "select '***'\n", SP_ALLOW },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		(void)ask(row[i].text);
		CU_ASSERT_EQUAL(v.what, row[i].what);
	}
	world_end(&v);
}

/* ---- what is charged ---- */

static void
test_limits(void)
{
	begin("rule 'rate' { on = 'toy.statement', when = { verb = 'select' }, limit = { per = 'user', rate = '2/1m' } }");
	int client = v.client, target = v.target;
	const struct sp_op *a = ask("select 1\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	(void)ask("select 1\n"); /* a remembered plan is charged, too */
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	const struct sp_op *b = ask("select 1\n");
	CU_ASSERT(a->plan == b->plan && v.what == SP_DENY && v.because == SP_BY_LIMIT);
	CU_ASSERT_PTR_NOT_NULL(strstr(v.message, "more than 2 in 60 s; try again in"));
	another(); /* and the user's other sessions with it */
	another_runs();
	(void)ask("select 2\n");
	CU_ASSERT_EQUAL(v.because, SP_BY_LIMIT);
	(void)ask("insert 1\n");
	CU_ASSERT_EQUAL(v.what, SP_ALLOW);
	end(client, target);
}

static void
test_too_many(void)
{
	begin(NO_DELETE);
	for (unsigned i = 0; i < 256; i++)
		world_say(&v, "s\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\ns\n");
	CU_ASSERT(v.verdicts == 4096 && v.closed == 0);
	sp_op_free(&v.op[17]); /* one that is given back makes room */
	world_say(&v, "s\n");
	CU_ASSERT(v.verdicts == 4097 && v.closed == 0);
	world_say(&v, "s\n");
	CU_ASSERT(v.verdicts == 4097 && v.closed == 1 && v.why == SP_END_ERROR);
	world_end(&v);
}

/* A user whose rules cost too much is not read for a while (P10); nothing is refused. */
static void
test_budget(void)
{
	world_begin(&v, WRITE " policy { budget 1ms; deadline 1s; }",
	    "rule 'slow' { on = 'toy.statement', when = function(op) local n = 0; if op.verb == 'slow' then for i = 1, 1000000 do n = n + i % 7 end "
	    "end return n == 1 end, deny = 'x' }");
	world_run(&v);
	world_say(&v, "slow 1\n");
	CU_ASSERT_EQUAL(v.verdicts, 1);
	CU_ASSERT(budget_waits(v.s));
	v.s->paused_until = clock_mono_ms() + 3600000; /* the test may be slow itself */
	world_say(&v, "select 1\n");
	CU_ASSERT(v.verdicts == 1 && !v.s->side[SP_CLIENT].reading && v.s->side[SP_CLIENT].in.len == 0);
	v.s->paused_until = v.w->now;
	session_tick(v.s);
	world_turn(&v);
	CU_ASSERT(v.verdicts == 2 && v.what == SP_ALLOW);
	world_end(&v);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "one text, one scope, one plan", test_scope },
		{ "other sessions", test_other_sessions },
		{ "other views", test_other_views },
		{ "other principals", test_other_principals },
		{ "a rule on the session", test_rule_on_session },
		{ "what is asked each time", test_not_remembered },
		{ "prepared", test_prepared },
		{ "the same again", test_again },
		{ "said once", test_said_once },
		{ "a model after one like it", test_model_after_like },
		{ "said anew", test_said_anew },
		{ "described once", test_described_once },
		{ "described long", test_described_long },
		{ "what is not for ever", test_not_for_ever },
		{ "answers", test_answers },
		{ "answers end", test_answers_end },
		{ "answers again", test_answers_again },
		{ "MK13: write back", test_write_back },
		{ "limits", test_limits },
		{ "too many operations", test_too_many },
		{ "budget", test_budget },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("plan", tests);
}
