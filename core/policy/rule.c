/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules from Lua tables.  Every name and every type is checked here, against what the modules
 * declare, so that a rule that loads can be judged; all mistakes are told, not only the first.
 */
#include <config.h>

#include <inttypes.h>
#include <lauxlib.h>

#include "../base/digest.h"
#include "../base/directive.h"
#include "rule.h"

#define CONDITIONS_MAX 64
#define KINDS_MAX 16

const char *const decide_name[DECISIONS] = {
	[DECIDE_NONE] = "none", [DECIDE_KILL] = "kill", [DECIDE_DENY] = "deny", [DECIDE_APPROVE] = "approve",
	[DECIDE_LIMIT] = "limit", [DECIDE_MASK] = "mask", [DECIDE_PIN] = "pin", [DECIDE_ALLOW] = "allow",
};

static const char *const rule_words[] = { "doc", "on", "when", "unless", "mode", "deny", "approve", "mask", "limit",
	"kill", "pin", "allow", NULL };

struct reading {
	struct loader *l;
	lua_State *L;
	struct rule *r;
	int body; /* index of the rule's table */
};

#define mistake(rd, word, ...) loader_error((rd)->l, loader_line_of((rd)->l, (rd)->r->line, word), __VA_ARGS__)

/* Pushes a field of the table at `index` and returns its type. */
static int
push_field(lua_State *L, int index, const char *name)
{
	index = lua_absindex(L, index);
	lua_pushstring(L, name);
	return lua_rawget(L, index);
}

/* Keys of the table on top that are none of `words` are mistakes. */
static void
check_words(struct reading *rd, const char *what, const char *const *words)
{
	const char **keys = loader_keys(rd->l, rd->L, -1, rd->r->line, what);

	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++) {
		size_t j = 0;
		while (words[j] != NULL && strcmp(words[j], keys[i]) != 0)
			j++;
		if (words[j] == NULL)
			mistake(rd, keys[i], "%s: unknown word \"%s\"%s", what, keys[i], loader_hint(rd->l, keys[i], words));
	}
}

static bool
read_bool(struct reading *rd, const char *name, bool dflt)
{
	int type = push_field(rd->L, -1, name);
	bool yes = type == LUA_TNIL ? dflt : lua_toboolean(rd->L, -1);

	if (type != LUA_TNIL && type != LUA_TBOOLEAN)
		mistake(rd, name, "rule \"%s\": %s is true or false", rd->r->name, name);
	lua_pop(rd->L, 1);
	return yes;
}

/* A text field of the table on top, or NULL. */
static const char *
read_text(struct reading *rd, const char *name)
{
	const char *text = NULL;
	int type = push_field(rd->L, -1, name);

	if (type == LUA_TSTRING)
		text = loader_string(rd->l, rd->L, -1);
	else if (type != LUA_TNIL)
		mistake(rd, name, "rule \"%s\": %s is a text", rd->r->name, name);
	lua_pop(rd->L, 1);
	return text;
}

/* ---- on ---- */

static void
read_kind(struct reading *rd, const char **list, size_t n)
{
	const char *kind = lua_type(rd->L, -1) == LUA_TSTRING ? loader_string(rd->l, rd->L, -1) : NULL;

	if (kind == NULL) {
		mistake(rd, "on", "rule \"%s\": on is the name of a kind of operation, or a list of them", rd->r->name);
		return;
	}
	enum kind_class class = kind_class(&rd->l->p->schema, kind);
	if (class == KIND_NONE) {
		mistake(rd, "on", "rule \"%s\": unknown kind of operation \"%s\"%s", rd->r->name, kind,
		    loader_hint(rd->l, kind, kind_names(rd->l->arena, &rd->l->p->schema)));
		return;
	}
	if (n > 0 && class != rd->r->class) {
		mistake(rd, "on", "rule \"%s\": operations, results, sessions and output need rules of their own", rd->r->name);
		return;
	}
	rd->r->class = class;
	list[n] = kind;
}

static void
read_on(struct reading *rd)
{
	const char **list = arena_alloc(rd->l->arena, (KINDS_MAX + 1) * sizeof(*list));
	int type = push_field(rd->L, rd->body, "on");

	if (list == NULL) {
		rd->l->no_memory = true;
	} else if (type == LUA_TNIL) {
		loader_error(rd->l, rd->r->line, "rule \"%s\" does not say what it is on, like on = \"sql.statement\"", rd->r->name);
	} else if (type != LUA_TTABLE) {
		read_kind(rd, list, 0);
	} else {
		size_t n = lua_rawlen(rd->L, -1);
		if (n == 0 || n > KINDS_MAX)
			mistake(rd, "on", "rule \"%s\": on names 1 to %d kinds", rd->r->name, KINDS_MAX);
		for (size_t i = 0; i < n && i < KINDS_MAX; i++) {
			lua_rawgeti(rd->L, -1, (lua_Integer)i + 1);
			read_kind(rd, list, i);
			lua_pop(rd->L, 1);
			if (list[i] == NULL)
				break;
		}
	}
	rd->r->on = list;
	lua_pop(rd->L, 1);
}

/* ---- when, unless ---- */

static void
add_label(struct reading *rd, const char *name)
{
	struct policy *p = rd->l->p;
	unsigned line = loader_line_of(rd->l, rd->r->line, name);

	for (size_t i = 0; i < p->nlabels; i++)
		if (strcmp(p->label[i].name, name) == 0)
			return;
	struct policy_label *more = arena_alloc(p->arena, (p->nlabels + 2) * sizeof(*more));
	if (more == NULL) {
		rd->l->no_memory = true;
		return;
	}
	if (p->nlabels > 0)
		memcpy(more, p->label, p->nlabels * sizeof(*more));
	const char *const *names = attribute_names(p->arena, &p->schema, rd->r->on[0]);
	more[p->nlabels] = (struct policy_label){ .name = name, .file = rd->r->file, .line = line,
		.nearest = names == NULL ? NULL : conf_nearest(name, names) };
	p->label = more;
	p->nlabels++;
}

static bool
is_word(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(name) && *name != '\0';
}

/* The attribute of that name on all kinds of the rule, or a label. */
static bool
find_attribute(struct reading *rd, const char *name, struct attribute *a)
{
	const struct policy_schema *schema = &rd->l->p->schema;
	const char *other = NULL;

	for (size_t i = 0; rd->r->on[i] != NULL; i++) {
		if (attribute_find(schema, rd->r->on[i], name, a, &other))
			continue;
		if (other != NULL || !is_word(name)) {
			const char *const *names = attribute_names(rd->l->arena, schema, rd->r->on[i]);
			mistake(rd, name, "rule \"%s\": %s has no attribute \"%s\"%s%s%s", rd->r->name, rd->r->on[i], name,
			    other == NULL ? "" : ", which is one of ", other == NULL ? "" : other,
			    other == NULL ? loader_hint(rd->l, name, names) : "");
			return false;
		}
		attribute_label(name, a);
		add_label(rd, name);
		return true;
	}
	return rd->r->on[0] != NULL;
}

static void
add_window(struct reading *rd, const struct test *t)
{
	struct rule *r = rd->r;

	for (size_t i = 0; i < t->n; i++)
		add_window(rd, t->part[i]);
	if (t->window == NULL)
		return;
	const struct window **more = arena_alloc(rd->l->arena, (r->nwindows + 1) * sizeof(*more));
	if (more == NULL) {
		rd->l->no_memory = true;
		return;
	}
	if (r->nwindows > 0)
		memcpy(more, r->window, r->nwindows * sizeof(*more));
	more[r->nwindows++] = t->window;
	r->window = more;
}

static const char *
condition_text(struct loader *l, const char *name, const struct test *t)
{
	struct buffer b = { 0 };
	const char *text = NULL;

	if (buffer_printf(&b, "%s = ", name) == SP_OK && test_print(t, &b) == SP_OK)
		text = arena_string(l->arena, buffer_bytes(&b));
	buffer_free(&b);
	if (text == NULL)
		l->no_memory = true;
	return text;
}

/* The value on top of the stack is compared with an attribute. */
static void
read_condition(struct reading *rd, struct condition *list, size_t *n, const char *name)
{
	struct attribute a;
	struct rule_place at = { arena_printf(rd->l->arena, "rule \"%s\": %s", rd->r->name, name),
		loader_line_of(rd->l, rd->r->line, name) };

	if (*n == CONDITIONS_MAX) {
		loader_error(rd->l, rd->r->line, "rule \"%s\" has more than %d conditions", rd->r->name, CONDITIONS_MAX);
		return;
	}
	if (!find_attribute(rd, name, &a))
		return;
	struct test *t = test_read(rd->l, rd->L, -1, &a, &at);
	if (t == NULL)
		return;
	add_window(rd, t);
	if (a.source == FROM_CORE && a.index[0] == CORE_SESSION)
		rd->r->of_session = true;
	list[*n] = (struct condition){ .attribute = a, .test = t, .text = condition_text(rd->l, name, t) };
	if (list[*n].text != NULL)
		++*n;
}

/* detect = "card" or a list: which detectors, not a condition. */
static void
read_detect(struct reading *rd, bool unless)
{
	lua_State *L = rd->L;
	bool list = lua_type(L, -1) == LUA_TTABLE;
	size_t n = list ? lua_rawlen(L, -1) : 1;

	if (unless || n == 0)
		mistake(rd, "detect", "rule \"%s\": detect names detectors, in `when`", rd->r->name);
	for (size_t i = 0; i < n; i++) {
		if (list)
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? loader_string(rd->l, L, -1) : "";
		uint32_t bit = name == NULL ? 0 : detect_bit(name);
		if (bit == 0)
			mistake(rd, "detect", "rule \"%s\": unknown detector \"%s\"%s", rd->r->name, name == NULL ? "" : name,
			    loader_hint(rd->l, name == NULL ? "" : name, detector_name));
		rd->r->detect |= bit;
		if (list)
			lua_pop(L, 1);
	}
}

static void
read_named_conditions(struct reading *rd, struct clause *c, struct condition *list, const char *before)
{
	const char **keys = loader_keys(rd->l, rd->L, -1, rd->r->line, "a condition");

	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++) {
		int type = push_field(rd->L, -1, keys[i]);
		const char *name = *before == '\0' ? keys[i] : arena_printf(rd->l->arena, "%s%s", before, keys[i]);
		if (name == NULL)
			rd->l->no_memory = true;
		else if (strcmp(name, "root") == 0 && type == LUA_TTABLE)
			read_named_conditions(rd, c, list, "root.");
		else if (strcmp(name, "detect") == 0 && rd->r->class == KIND_OUTPUT)
			read_detect(rd, c == &rd->r->unless);
		else
			read_condition(rd, list, &c->n, name);
		lua_pop(rd->L, 1);
	}
}

/* `outside "…"` may stand without a name: it is about the time. */
static void
read_times(struct reading *rd, struct clause *c, struct condition *list)
{
	size_t n = lua_rawlen(rd->L, -1);

	for (size_t i = 0; i < n && i < CONDITIONS_MAX; i++) {
		lua_rawgeti(rd->L, -1, (lua_Integer)i + 1);
		read_condition(rd, list, &c->n, "time");
		lua_pop(rd->L, 1);
	}
}

static void
read_clause(struct reading *rd, const char *name, struct clause *c)
{
	int type = push_field(rd->L, rd->body, name);

	c->given = type != LUA_TNIL;
	if (type == LUA_TFUNCTION) {
		c->function = true;
		rd->l->p->functions = true;
		if (rd->r->class == KIND_OUTPUT)
			mistake(rd, name, "rule \"%s\": on output, %s is a table that names detectors", rd->r->name, name);
	} else if (type == LUA_TTABLE) {
		struct condition list[CONDITIONS_MAX], *kept;
		unsigned before = rd->l->nerrors;
		read_named_conditions(rd, c, list, "");
		read_times(rd, c, list);
		kept = arena_alloc(rd->l->arena, (c->n + 1) * sizeof(*kept));
		if (kept == NULL)
			rd->l->no_memory = true;
		else if (c->n > 0)
			memcpy(kept, list, c->n * sizeof(*kept));
		c->condition = kept;
		if (c->n == 0 && rd->l->nerrors == before && rd->r->detect == 0 && c == &rd->r->unless)
			mistake(rd, name, "rule \"%s\": an empty `unless` fits always, so the rule never would", rd->r->name);
	} else if (type != LUA_TNIL) {
		mistake(rd, name, "rule \"%s\": %s is a table or a function", rd->r->name, name);
	}
	lua_pop(rd->L, 1);
}

/* ---- decisions; the value is on top of the stack ---- */

static void
read_refusal(struct reading *rd)
{
	const char *word = decide_name[rd->r->decide];

	if (lua_type(rd->L, -1) != LUA_TSTRING || lua_rawlen(rd->L, -1) == 0) {
		mistake(rd, word, "rule \"%s\": %s is the text that the user reads", rd->r->name, word);
		return;
	}
	rd->r->text = loader_string(rd->l, rd->L, -1);
}

static uint64_t
read_duration(struct reading *rd, const char *name, uint64_t dflt)
{
	uint64_t ms = dflt;
	const char *word = read_text(rd, name);

	if (word != NULL && (directive_duration(word, &ms) != SP_OK || ms == 0))
		mistake(rd, name, "rule \"%s\": %s is a time, like \"15m\"", rd->r->name, name);
	return ms;
}

static uint64_t
read_count(struct reading *rd, const char *name, uint64_t dflt, uint64_t most)
{
	int type = push_field(rd->L, -1, name), good = 0;
	lua_Integer n = type == LUA_TNIL ? (lua_Integer)dflt : lua_tointegerx(rd->L, -1, &good);

	if (type != LUA_TNIL && (type != LUA_TNUMBER || !good || n < 1 || (uint64_t)n > most)) {
		mistake(rd, name, "rule \"%s\": %s is a number from 1 to %" PRIu64, rd->r->name, name, most);
		n = 1;
	}
	lua_pop(rd->L, 1);
	return (uint64_t)n;
}

static void
read_approve(struct reading *rd)
{
	static const char *const words[] = { "by", "count", "within", "reason", "otherwise", "else", "in_transaction", "unseen",
		"sponsor", "text", NULL };
	struct approval_rule *a = &rd->r->approval;

	if (lua_type(rd->L, -1) != LUA_TTABLE) {
		mistake(rd, "approve", "rule \"%s\": approve is a table, like { by = \"dba\", within = \"15m\" }", rd->r->name);
		return;
	}
	check_words(rd, "approve", words);
	a->by = read_text(rd, "by");
	a->sponsor = read_bool(rd, "sponsor", false);
	if (a->by == NULL && !a->sponsor)
		mistake(rd, "approve", "rule \"%s\": approve names the group that may: by = \"dba\"", rd->r->name);
	a->by = a->by == NULL ? "" : a->by;
	a->count = (unsigned)read_count(rd, "count", 1, 10);
	a->within = read_duration(rd, "within", 15 * 60 * 1000);
	a->reason = read_bool(rd, "reason", false);
	a->in_transaction = read_bool(rd, "in_transaction", false);
	a->unseen = read_bool(rd, "unseen", false);
	a->text = read_text(rd, "text");
	/* `else` is a word of Lua's own and needs brackets: { ["else"] = "fail" }. */
	const char *otherwise = read_text(rd, "otherwise");
	if (otherwise == NULL)
		otherwise = read_text(rd, "else");
	rd->r->next_run_given = otherwise != NULL;
	a->next_run = otherwise != NULL && strcmp(otherwise, "fail") == 0;
	if (otherwise != NULL && !a->next_run && strcmp(otherwise, "wait") != 0)
		mistake(rd, "otherwise", "rule \"%s\": otherwise is \"wait\" or \"fail\"", rd->r->name);
}

static void
read_limit(struct reading *rd)
{
	static const char *const words[] = { "per", "rate", "rows", NULL };
	static const char *const scopes[] = { "user", "session", "target", "address", NULL };
	struct limit_rule *limit = &rd->r->limit;

	if (lua_type(rd->L, -1) != LUA_TTABLE) {
		mistake(rd, "limit", "rule \"%s\": limit is a table, like { per = \"user\", rate = \"5/10s\" }", rd->r->name);
		return;
	}
	check_words(rd, "limit", words);
	limit->rule = rd->r->name;
	limit->per = read_text(rd, "per");
	if (limit->per == NULL)
		limit->per = "user";
	size_t i = 0;
	while (scopes[i] != NULL && strcmp(scopes[i], limit->per) != 0)
		i++;
	if (scopes[i] == NULL)
		mistake(rd, "per", "rule \"%s\": per is user, session, target or address%s", rd->r->name,
		    loader_hint(rd->l, limit->per, scopes));
	const char *rate = read_text(rd, "rate");
	if (rate != NULL && (directive_rate(rate, &limit->count, &limit->window) != SP_OK || limit->count == 0 || limit->window == 0))
		mistake(rd, "rate", "rule \"%s\": rate is a number in a time, like \"5/10s\"", rd->r->name);
	limit->rows = read_count(rd, "rows", 0, UINT32_MAX);
	if (rate == NULL && limit->rows == 0)
		mistake(rd, "limit", "rule \"%s\": limit needs a rate or rows", rd->r->name);
	if (limit->rows > 0 && rd->r->class == KIND_SESSION)
		mistake(rd, "rows", "rule \"%s\": a session has no rows", rd->r->name);
}

static void
read_mask(struct reading *rd)
{
	struct rule_place at = { arena_printf(rd->l->arena, "rule \"%s\": mask", rd->r->name),
		loader_line_of(rd->l, rd->r->line, "mask") };

	rd->r->mask = method_read(rd->l, rd->L, -1, &at);
	if (rd->r->mask != NULL && rd->r->class == KIND_OUTPUT
	    && (method_has(rd->r->mask, METHOD_HASH) || method_has(rd->r->mask, METHOD_DATE_YEAR)))
		mistake(rd, "mask", "rule \"%s\": what a detector finds can be redacted, or keep some letters; it has no tag "
		    "and no type", rd->r->name);
}

/* Some module must know how to keep it. */
static void
check_pin(struct reading *rd, const char *name, const char *value)
{
	const struct policy_schema *schema = &rd->l->p->schema;
	const char *why = NULL;

	for (size_t i = 0; i < schema->n; i++) {
		const struct sp_module *m = schema->module[i];
		const char *err = NULL;
		if (m->pinnable == NULL)
			continue;
		if (m->pinnable(name, value, &err) == SP_OK)
			return;
		why = why == NULL ? err : why;
	}
	mistake(rd, name, "rule \"%s\": pin: %s = \"%s\": %s", rd->r->name, name, value, why == NULL ? "no module can pin anything" : why);
}

static void
read_pin(struct reading *rd)
{
	const char **keys = NULL;
	struct pin *pin;
	size_t n = 0;

	if (lua_type(rd->L, -1) == LUA_TTABLE)
		keys = loader_keys(rd->l, rd->L, -1, rd->r->line, "pin");
	while (keys != NULL && keys[n] != NULL)
		n++;
	if (n == 0 || lua_rawlen(rd->L, -1) > 0) {
		mistake(rd, "pin", "rule \"%s\": pin is a table of settings, like { default_transaction_read_only = \"on\" }", rd->r->name);
		return;
	}
	pin = arena_alloc(rd->l->arena, n * sizeof(*pin));
	if (pin == NULL) {
		rd->l->no_memory = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *value = read_text(rd, keys[i]);
		pin[i] = (struct pin){ .name = keys[i], .value = value, .rule = rd->r->name };
		if (value != NULL)
			check_pin(rd, keys[i], value);
	}
	rd->r->pin = pin;
	rd->r->npins = n;
	rd->l->p->pins = true;
}

static void
read_allow(struct reading *rd)
{
	static const char *const words[] = { "unclear", "name", NULL };
	struct attribute name = { .name = "name", .type = SP_TYPE_STRING, .of_operation = true };
	struct rule_place at = { arena_printf(rd->l->arena, "rule \"%s\": allow: name", rd->r->name),
		loader_line_of(rd->l, rd->r->line, "allow") };

	if (lua_type(rd->L, -1) == LUA_TTABLE) {
		check_words(rd, "allow", words);
		rd->r->allow.why = read_text(rd, "unclear");
		if (push_field(rd->L, -1, "name") != LUA_TNIL)
			rd->r->allow.name = test_read(rd->l, rd->L, -1, &name, &at);
		lua_pop(rd->L, 1);
	}
	if (rd->r->allow.why == NULL)
		mistake(rd, "allow", "rule \"%s\": allow lifts one named refusal, like { unclear = \"function\", name = \"…\" }",
		    rd->r->name);
	if (!rd->r->when.function && rd->r->when.n == 0)
		mistake(rd, "allow", "rule \"%s\": an allow needs a `when` that says for whom or what", rd->r->name);
}

struct decision_row {
	const char *word;
	enum decide decide;
	void (*read)(struct reading *rd);
	unsigned classes; /* where it can stand */
	const char *else_why;
};

#define ON(class) (1u << (class))

static const struct decision_row decision_row[] = {
	{ "kill", DECIDE_KILL, read_refusal, ON(KIND_OPERATION) | ON(KIND_PREPARE) | ON(KIND_RESULT) | ON(KIND_SESSION),
	    "output is masked" },
	{ "deny", DECIDE_DENY, read_refusal, ON(KIND_OPERATION) | ON(KIND_PREPARE) | ON(KIND_RESULT) | ON(KIND_SESSION),
	    "output is masked" },
	{ "approve", DECIDE_APPROVE, read_approve, ON(KIND_OPERATION), "only an operation that has not run yet can wait for a person" },
	{ "limit", DECIDE_LIMIT, read_limit, ON(KIND_OPERATION) | ON(KIND_SESSION), "operations and sessions are counted" },
	{ "mask", DECIDE_MASK, read_mask, ON(KIND_RESULT) | ON(KIND_OUTPUT), "only results and output have something to mask" },
	{ "pin", DECIDE_PIN, read_pin, ON(KIND_SESSION), "settings are pinned for a whole session: on = \"session\"" },
	{ "allow", DECIDE_ALLOW, read_allow, ON(KIND_OPERATION) | ON(KIND_PREPARE), "it lifts what is unclear about an operation" },
};

static void
read_decision(struct reading *rd)
{
	struct rule *r = rd->r;

	for (size_t i = 0; i < sizeof(decision_row) / sizeof(*decision_row); i++) {
		const struct decision_row *row = &decision_row[i];
		if (push_field(rd->L, rd->body, row->word) != LUA_TNIL) {
			if (r->decide != DECIDE_NONE)
				mistake(rd, row->word, "rule \"%s\" has two decisions, %s and %s", r->name, decide_name[r->decide], row->word);
			r->decide = row->decide;
			if (r->class != KIND_NONE && (row->classes & ON(r->class)) == 0)
				mistake(rd, row->word, "rule \"%s\": %s can't stand on %s: %s", r->name, row->word, r->on[0], row->else_why);
			else
				row->read(rd);
		}
		lua_pop(rd->L, 1);
	}
	if (r->decide == DECIDE_NONE)
		loader_error(rd->l, r->line, "rule \"%s\" decides nothing: it needs one of deny, approve, mask, limit, kill, pin, allow",
		    r->name);
}

static void
read_mode(struct reading *rd)
{
	const char *mode;

	lua_pushvalue(rd->L, rd->body);
	mode = read_text(rd, "mode");
	rd->r->doc = read_text(rd, "doc");
	lua_pop(rd->L, 1);
	if (rd->r->doc == NULL)
		rd->r->doc = "";
	if (mode == NULL)
		return;
	rd->r->observe = strcmp(mode, "observe") == 0;
	if (!rd->r->observe && strcmp(mode, "enforce") != 0)
		mistake(rd, "mode", "rule \"%s\": mode is \"observe\" or \"enforce\"", rd->r->name);
}

/* ---- the canonical text, and its hash ---- */

static int
print_clause(const char *name, const struct clause *c, struct buffer *b)
{
	int rc = c->given ? buffer_printf(b, "%s {\n", name) : SP_OK;

	for (size_t i = 0; i < c->n && rc == SP_OK; i++)
		rc = buffer_printf(b, "  %s\n", c->condition[i].text);
	if (rc == SP_OK && c->function)
		rc = buffer_printf(b, "  function\n");
	return rc == SP_OK && c->given ? buffer_printf(b, "}\n") : rc;
}

static int
print_decision(const struct rule *r, struct buffer *b)
{
	const struct approval_rule *a = &r->approval;
	int rc = buffer_printf(b, "%s ", decide_name[r->decide]);

	if (rc != SP_OK)
		return rc;
	switch (r->decide) {
	case DECIDE_APPROVE:
		return buffer_printf(b, "by %s count %u within %" PRIu64 " reason %d next_run %d/%d in_transaction %d unseen %d sponsor %d",
		    a->by, a->count, a->within, a->reason, r->next_run_given, a->next_run, a->in_transaction, a->unseen, a->sponsor);
	case DECIDE_LIMIT:
		return buffer_printf(b, "per %s %" PRIu64 "/%" PRIu64 "ms rows %" PRIu64, r->limit.per, r->limit.count, r->limit.window,
		    r->limit.rows);
	case DECIDE_MASK:
		return method_print(r->mask, b);
	case DECIDE_PIN:
		for (size_t i = 0; i < r->npins && rc == SP_OK; i++)
			rc = buffer_printf(b, "%s %s\n", r->pin[i].name, r->pin[i].value);
		return rc;
	case DECIDE_ALLOW:
		rc = buffer_printf(b, "unclear %s name ", r->allow.why);
		if (rc != SP_OK || r->allow.name == NULL)
			return rc;
		return test_print(r->allow.name, b);
	default:
		return text_print(sp_str(r->text), b);
	}
}

static void
print_rule(struct reading *rd)
{
	struct rule *r = rd->r;
	struct buffer b = { 0 };
	int rc = buffer_printf(&b, "rule %s\n%s", r->name, r->observe ? "observe\n" : "");

	for (size_t i = 0; r->on[i] != NULL && rc == SP_OK; i++)
		rc = buffer_printf(&b, "on %s\n", r->on[i]);
	for (unsigned i = 0; i < DETECTORS && rc == SP_OK; i++)
		if ((r->detect >> i & 1) != 0)
			rc = buffer_printf(&b, "detect %s\n", detector_name[i]);
	if (rc == SP_OK)
		rc = print_clause("when", &r->when, &b);
	if (rc == SP_OK)
		rc = print_clause("unless", &r->unless, &b);
	if (rc == SP_OK)
		rc = print_decision(r, &b);
	if (rc == SP_OK)
		r->print = arena_string(rd->l->arena, buffer_bytes(&b));
	/* What a function does is known by the text of its file only. */
	if (rc == SP_OK && (r->when.function || r->unless.function))
		rc = buffer_put(&b, (struct sp_bytes){ rd->l->file->hash, sizeof(rd->l->file->hash) });
	if (rc != SP_OK || r->print == NULL)
		rd->l->no_memory = true;
	else
		digest_sha256(buffer_bytes(&b), r->hash);
	buffer_free(&b);
}

/* ---- whole rules ---- */

static void
keep_rule(struct loader *l, struct rule *r)
{
	struct policy *p = l->p;
	struct rule **more;

	for (size_t i = 0; i < p->nrules; i++) {
		if (strcmp(p->rule[i]->name, r->name) == 0) {
			loader_error(l, r->line, "rule \"%s\" is already at %s:%u", r->name, p->rule[i]->file, p->rule[i]->line);
			return;
		}
	}
	more = arena_alloc(p->arena, (p->nrules + 1) * sizeof(*more));
	if (more == NULL) {
		l->no_memory = true;
		return;
	}
	if (p->nrules > 0)
		memcpy(more, p->rule, p->nrules * sizeof(*more));
	more[p->nrules++] = r;
	p->rule = more;
}

void
rule_read(struct loader *l, lua_State *L, const char *name, unsigned line)
{
	struct rule *r = arena_alloc(l->arena, sizeof(*r));
	struct reading rd = { .l = l, .L = L, .r = r, .body = lua_gettop(L) };
	unsigned before = l->nerrors;

	if (r == NULL) {
		l->no_memory = true;
		return;
	}
	r->name = name;
	r->file = l->file->path;
	r->line = line;
	if (!is_word(name))
		loader_error(l, line, "rule \"%s\": a name is of letters, digits, - and _", name);
	check_words(&rd, "rule", rule_words);
	read_mode(&rd);
	read_on(&rd);
	if (r->on == NULL || r->on[0] == NULL || r->class == KIND_NONE)
		return; /* nothing else can be checked */
	read_clause(&rd, "when", &r->when);
	read_clause(&rd, "unless", &r->unless);
	read_decision(&rd);
	if (r->class == KIND_OUTPUT && r->detect == 0)
		loader_error(l, line, "rule \"%s\": on output, `when` says what to look for: detect = { \"card\" }", name);
	if (l->nerrors > before || l->no_memory)
		return;
	r->approval.rule = name;
	if (r->approval.text == NULL)
		r->approval.text = r->doc;
	print_rule(&rd);
	memcpy(r->approval.hash, r->hash, sizeof(r->hash));
	keep_rule(l, r);
}

struct tag *
tag_find(const struct policy *p, const char *name)
{
	struct tag *t = p->tags;

	while (t != NULL && strcmp(t->name, name) != 0)
		t = t->next;
	return t;
}

void
tag_read(struct loader *l, lua_State *L, const char *name, unsigned line)
{
	int body = lua_gettop(L);
	size_t n = lua_rawlen(L, body);
	struct tag *t = tag_find(l->p, name);

	if (t == NULL) {
		t = arena_alloc(l->arena, sizeof(*t));
		if (t == NULL) {
			l->no_memory = true;
			return;
		}
		t->name = name;
		t->next = l->p->tags;
		l->p->tags = t;
	}
	if (!is_word(name))
		loader_error(l, line, "tag \"%s\": a name is of letters, digits, - and _", name);
	if (n == 0)
		loader_error(l, line, "tag \"%s\" names no column", name);
	/* The same tag may be added to in several places. */
	struct tag_pattern *more = arena_alloc(l->arena, (t->n + n) * sizeof(*more));
	if (more == NULL) {
		l->no_memory = true;
		return;
	}
	if (t->n > 0)
		memcpy(more, t->pattern, t->n * sizeof(*more));
	t->pattern = more;
	for (size_t i = 0; i < n; i++) {
		const char *text = lua_rawgeti(L, body, (lua_Integer)i + 1) == LUA_TSTRING ? loader_string(l, L, -1) : NULL;
		lua_pop(L, 1);
		if (text == NULL || !tag_pattern_parse(l->arena, text, &t->pattern[t->n])) {
			loader_error(l, line, "tag \"%s\": \"%s\" is no pattern like \"*.ssn\" or \"crm.people.email\"", name,
			    text == NULL ? "" : text);
			continue;
		}
		t->pattern[t->n].file = l->file->path;
		t->pattern[t->n++].line = line;
	}
}

/* ---- once all files are read ---- */

static void
find_tags(struct loader *l, const struct rule *r, struct test *t, bool hides)
{
	for (size_t i = 0; i < t->n; i++)
		find_tags(l, r, t->part[i], hides);
	if (t->kind != TEST_TAGGED)
		return;
	struct tag *tag = tag_find(l->p, (const char *)t->text.p);
	t->tag = tag;
	if (tag == NULL)
		loader_error(l, r->line, "rule \"%s\": there is no tag \"%s\"%s", r->name, (const char *)t->text.p,
		    loader_hint(l, (const char *)t->text.p, l->p->tag_names));
	else if (hides)
		tag->sensitive = true;
}

void
rule_finish(struct loader *l)
{
	struct policy *p = l->p;
	size_t n = 0;

	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		n++;
	p->tag_names = arena_alloc(p->arena, (n + 1) * sizeof(*p->tag_names));
	if (p->tag_names == NULL) {
		l->no_memory = true;
		return;
	}
	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		p->tag_names[--n] = t->name;
	for (size_t i = 0; i < p->nrules; i++) {
		const struct rule *r = p->rule[i];
		bool hides = r->decide == DECIDE_MASK || r->decide == DECIDE_APPROVE || r->class == KIND_RESULT;
		l->file = &(struct policy_source){ .path = r->file };
		for (size_t j = 0; j < r->when.n; j++)
			find_tags(l, r, r->when.condition[j].test, hides);
		for (size_t j = 0; j < r->unless.n; j++)
			find_tags(l, r, r->unless.condition[j].test, false);
	}
	l->file = NULL;
}
