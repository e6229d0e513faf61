/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy tests.  What a test sends goes through the module's classifier and the same judgement as in
 * production; only the catalogue is missing, so that names stand as they are written.
 */
#include <config.h>

#include "cases.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/digest.h"
#include "../base/directive.h"
#include "../base/log.h"
#include "zone.h"

#define NOON ((uint64_t)1767787200 * 1000000) /* Wednesday, 7 January 2026, 12:00 UTC */

struct test_case {
	const char *name, *file;
	unsigned line;
	struct principal as;
	struct target target;
	const char *address, *kind, *text;
	uint64_t now;
	struct fact *fact;
	size_t nfacts;
	struct sp_strings params, expect, row;
	const char **shown; /* NULL: the value becomes NULL */
	size_t nshown;
	struct sp_column *column;
	size_t ncolumns;
	struct test_case *next;
};

struct reading {
	struct loader *l;
	lua_State *L;
	struct test_case *t;
};

#define mistake(rd, ...) loader_error((rd)->l, (rd)->t->line, __VA_ARGS__)

/* ---- reading; each reader finds its value on top of the stack ---- */

static void *
get_memory(struct reading *rd, size_t n)
{
	void *p = arena_alloc(rd->l->arena, n);

	if (p == NULL) {
		rd->l->no_memory = true;
		luaL_error(rd->L, "out of memory");
	}
	return p;
}

static const char *
read_text(struct reading *rd, const char *what)
{
	if (lua_type(rd->L, -1) == LUA_TSTRING)
		return loader_string(rd->l, rd->L, -1);
	mistake(rd, "test \"%s\": %s is a text", rd->t->name, what);
	return "";
}

/* A text, or a list of texts. */
static struct sp_strings
read_texts(struct reading *rd, const char *what)
{
	bool list = lua_type(rd->L, -1) == LUA_TTABLE;
	size_t n = list ? lua_rawlen(rd->L, -1) : 1;
	const char **v = get_memory(rd, (n + 1) * sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		if (list)
			lua_rawgeti(rd->L, -1, (lua_Integer)i + 1);
		v[i] = read_text(rd, what);
		if (list)
			lua_pop(rd->L, 1);
	}
	return (struct sp_strings){ v, n };
}

/* Calls `set` for each word of the table on top, which it finds on top of the stack. */
static void
each(struct reading *rd, const char *what, void (*set)(struct reading *rd, const char *word))
{
	if (lua_type(rd->L, -1) != LUA_TTABLE) {
		mistake(rd, "test \"%s\": %s is a table", rd->t->name, what);
		return;
	}
	const char **keys = loader_keys(rd->l, rd->L, -1, rd->t->line, what);
	for (size_t i = 0; keys != NULL && keys[i] != NULL; i++) {
		lua_pushstring(rd->L, keys[i]);
		lua_rawget(rd->L, -2);
		set(rd, keys[i]);
		lua_pop(rd->L, 1);
	}
}

static void
unknown_word(struct reading *rd, const char *what, const char *word, const char *const *words)
{
	mistake(rd, "test \"%s\": %s: unknown word \"%s\"%s", rd->t->name, what, word, loader_hint(rd->l, word, words));
}

static void
set_as(struct reading *rd, const char *word)
{
	static const char *const words[] = { "user", "groups", "roles", "class", "identity", "issuer", "subject", "person",
		"address", "sponsor", "methods", NULL };
	struct principal *p = &rd->t->as;
	const char **const text[] = { &p->user, NULL, NULL, &p->class, &p->identity, &p->issuer, &p->subject, &p->person,
		&rd->t->address, &p->sponsor, NULL };
	struct sp_strings *const list[] = { NULL, &p->groups, &p->roles, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &p->methods };

	for (size_t i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], word) != 0)
			continue;
		if (text[i] != NULL)
			*text[i] = read_text(rd, word);
		else
			*list[i] = read_texts(rd, word);
		return;
	}
	unknown_word(rd, "as", word, words);
}

static void
set_label(struct reading *rd, const char *word)
{
	struct pairs *p = &rd->t->target.label;
	const char **key = get_memory(rd, (p->n + 1) * sizeof(*key)), **value = get_memory(rd, (p->n + 1) * sizeof(*value));

	for (size_t i = 0; i < p->n; i++) {
		key[i] = p->key[i];
		value[i] = p->value[i];
	}
	key[p->n] = word;
	value[p->n] = read_text(rd, word);
	*p = (struct pairs){ key, value, p->n + 1 };
}

static void
set_target(struct reading *rd, const char *word)
{
	static const char *const words[] = { "name", "label", "mode", NULL };

	if (strcmp(word, "name") == 0)
		rd->t->target.b.name = read_text(rd, word);
	else if (strcmp(word, "label") == 0)
		each(rd, "label", set_label);
	else if (strcmp(word, "mode") == 0)
		rd->t->target.mode = strcmp(read_text(rd, word), "observe") == 0 ? MODE_OBSERVE : MODE_ENFORCE;
	else
		unknown_word(rd, "target", word, words);
}

static void
set_fact(struct reading *rd, const char *word)
{
	struct test_case *t = rd->t;
	struct fact *more = get_memory(rd, (t->nfacts + 1) * sizeof(*more));

	if (t->nfacts > 0)
		memcpy(more, t->fact, t->nfacts * sizeof(*more));
	more[t->nfacts++] = (struct fact){ .name = word, .value = sp_str(read_text(rd, word)) };
	t->fact = more;
}

static void
set_send(struct reading *rd, const char *word)
{
	static const char *const words[] = { "kind", "text", NULL };

	if (strcmp(word, "kind") == 0)
		rd->t->kind = read_text(rd, word);
	else if (strcmp(word, "text") == 0)
		rd->t->text = read_text(rd, word);
	else
		unknown_word(rd, "send", word, words);
}

/* "crm.people.ssn", or { name = "n", source = "crm.people.ssn", type = 23, text = true } */
static struct sp_column
read_column(struct reading *rd)
{
	struct sp_column c = { .text = true };
	lua_State *L = rd->L;

	if (lua_type(L, -1) == LUA_TSTRING) {
		c.source = sp_str(loader_string(rd->l, L, -1));
	} else if (lua_type(L, -1) == LUA_TTABLE) {
		lua_pushliteral(L, "source");
		if (lua_rawget(L, -2) != LUA_TNIL)
			c.source = sp_str(read_text(rd, "source"));
		lua_pop(L, 1);
		lua_pushliteral(L, "name");
		if (lua_rawget(L, -2) != LUA_TNIL)
			c.name = sp_str(read_text(rd, "name"));
		lua_pop(L, 1);
		lua_pushliteral(L, "type");
		if (lua_rawget(L, -2) == LUA_TNUMBER)
			c.type = (uint32_t)lua_tointeger(L, -1);
		lua_pop(L, 1);
		lua_pushliteral(L, "text");
		if (lua_rawget(L, -2) == LUA_TBOOLEAN)
			c.text = lua_toboolean(L, -1);
		lua_pop(L, 1);
	} else {
		mistake(rd, "test \"%s\": a column is \"schema.table.column\" or a table", rd->t->name);
	}
	if (c.source.len > 0)
		c.known = SP_SOURCE_COLUMN;
	if (c.name.len == 0 && c.source.len > 0) {
		size_t dot = c.source.len;
		while (dot > 0 && c.source.p[dot - 1] != '.')
			dot--;
		c.name = (struct sp_bytes){ c.source.p + dot, c.source.len - dot };
	}
	return c;
}

static void
read_columns(struct reading *rd)
{
	struct test_case *t = rd->t;
	size_t n = lua_type(rd->L, -1) == LUA_TTABLE ? lua_rawlen(rd->L, -1) : 0;

	if (n == 0)
		mistake(rd, "test \"%s\": columns is a list", t->name);
	t->column = get_memory(rd, (n + 1) * sizeof(*t->column));
	for (t->ncolumns = 0; t->ncolumns < n; t->ncolumns++) {
		lua_rawgeti(rd->L, -1, (lua_Integer)t->ncolumns + 1);
		t->column[t->ncolumns] = read_column(rd);
		lua_pop(rd->L, 1);
	}
}

/* Texts; false is NULL. */
static void
read_shown(struct reading *rd)
{
	struct test_case *t = rd->t;
	size_t n = lua_type(rd->L, -1) == LUA_TTABLE ? lua_rawlen(rd->L, -1) : 0;

	t->shown = get_memory(rd, (n + 1) * sizeof(*t->shown));
	for (t->nshown = 0; t->nshown < n; t->nshown++) {
		if (lua_rawgeti(rd->L, -1, (lua_Integer)t->nshown + 1) != LUA_TBOOLEAN)
			t->shown[t->nshown] = read_text(rd, "shown");
		lua_pop(rd->L, 1);
	}
}

bool
policy_time(struct arena *a, const char *text, uint64_t *us_r)
{
	int year, month, day, hour, minute, used = 0;

	*us_r = 0;
	if (sscanf(text, "%4d-%2d-%2d %2d:%2d %n", &year, &month, &day, &hour, &minute, &used) != 5 || used == 0 || year < 1970
	    || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return false;
	const struct zone *z = zone_load(a, text + used);
	int64_t local = days_of(year, (unsigned)month, (unsigned)day) * 86400 + hour * 3600 + minute * 60;
	if (z == NULL)
		return false;
	*us_r = (uint64_t)(local - zone_offset(z, local - zone_offset(z, local))) * 1000000;
	return true;
}

static void
read_at(struct reading *rd)
{
	if (!policy_time(rd->l->arena, read_text(rd, "at"), &rd->t->now))
		mistake(rd, "test \"%s\": at is a time like \"2026-11-24 10:00 Europe/Berlin\"", rd->t->name);
}

static void
set_word(struct reading *rd, const char *word)
{
	static const char *const words[] = { "as", "target", "facts", "send", "params", "columns", "row", "shown", "at", "expect",
		"doc", NULL };
	size_t i = 0;

	while (words[i] != NULL && strcmp(words[i], word) != 0)
		i++;
	switch (i) {
	case 0:
		each(rd, "as", set_as);
		break;
	case 1:
		each(rd, "target", set_target);
		break;
	case 2:
		each(rd, "facts", set_fact);
		break;
	case 3:
		each(rd, "send", set_send);
		break;
	case 4:
		rd->t->params = read_texts(rd, word);
		break;
	case 5:
		read_columns(rd);
		break;
	case 6:
		rd->t->row = read_texts(rd, word);
		break;
	case 7:
		read_shown(rd);
		break;
	case 8:
		read_at(rd);
		break;
	case 9:
		rd->t->expect = read_texts(rd, word);
		break;
	case 10:
		break;
	default:
		unknown_word(rd, "test", word, words);
	}
}

static void
check_case(struct reading *rd)
{
	const struct test_case *t = rd->t;

	if (t->kind == NULL)
		mistake(rd, "test \"%s\" sends nothing: send = sql [[SELECT 1]]", t->name);
	else if (kind_class(&rd->l->p->schema, t->kind) == KIND_NONE)
		mistake(rd, "test \"%s\": unknown kind of operation \"%s\"%s", t->name, t->kind,
		    loader_hint(rd->l, t->kind, kind_names(rd->l->arena, &rd->l->p->schema)));
	if (t->expect.n == 0)
		mistake(rd, "test \"%s\" expects nothing", t->name);
	if (t->row.n > t->ncolumns || t->nshown > t->row.n)
		mistake(rd, "test \"%s\": row and shown follow columns, one by one", t->name);
}

void
case_read(struct loader *l, lua_State *L, const char *name, unsigned line)
{
	struct test_case *t = arena_alloc(l->arena, sizeof(*t));
	struct reading rd = { .l = l, .L = L, .t = t };

	if (t == NULL) {
		l->no_memory = true;
		return;
	}
	*t = (struct test_case){ .name = name, .file = l->file->path, .line = line, .now = NOON, .address = "127.0.0.1", .text = "" };
	t->as = (struct principal){ .identity = "test", .issuer = "https://issuer.example", .subject = "", .user = "tester",
		.name = "", .person = "", .class = "human", .token = "" };
	t->target.b.name = "test";
	each(&rd, "test", set_word);
	if (*t->as.subject == '\0')
		t->as.subject = t->as.user;
	if (*t->as.person == '\0')
		t->as.person = t->as.user;
	check_case(&rd);
	struct test_case **end = l->cases;
	while (*end != NULL)
		end = &(*end)->next;
	*end = t;
}

/* ---- running ---- */

struct running {
	const struct test_case *t;
	struct policy_run *run;
	const struct sp_module *module;
	struct subject who;
	struct decision session, d, result;
	struct finding *finding; /* of every rule about the operation, in d's memory */
	size_t nfindings;
	struct policy_masks *masks;
	struct op op;
};

static const struct rule *
rule_find(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (strcmp(p->rule[i]->name, name) == 0)
			return p->rule[i];
	return NULL;
}

/* The verdict in the words of `expect`. */
static int
say_verdict(const struct running *r, struct buffer *out)
{
	const struct decision *d = r->d.what == SP_ALLOW && r->t->ncolumns > 0 ? &r->result : &r->d;

	if (d->what == SP_ALLOW && r->d.hold) {
		int rc = SP_OK;
		for (size_t i = 0; i < r->d.napprovals && rc == SP_OK; i++)
			rc = buffer_printf(out, "%sapprove by %s", i == 0 ? "" : ", ", r->d.approval[i].rule);
		return rc;
	}
	if (d->what == SP_ALLOW)
		return buffer_printf(out, "allow");
	if (d->because == SP_BY_UNCLEAR)
		return buffer_printf(out, "deny as unclear (%s)", d->text);
	if (d->because == SP_BY_ERROR)
		return buffer_printf(out, "fail by %s (%s%s%s)", d->rule, d->text, *d->detail == '\0' ? "" : ": ", d->detail);
	return buffer_printf(out, "%s by %s", d->what == SP_KILL ? "kill" : "deny", d->rule);
}

/* Does `words` begin with `begin`?  Then the rest. */
static const char *
after(const char *words, const char *begin)
{
	size_t n = strlen(begin);

	return strncmp(words, begin, n) == 0 ? words + n : NULL;
}

static int
column_index(const struct running *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->t->ncolumns; i++)
		if (sp_bytes_eq(r->t->column[i].name, (struct sp_bytes){ (const uint8_t *)name, len }))
			return (int)i;
	return -1;
}

/* "mask ssn by hide-pii", "mask ssn", "show name" */
static bool
mask_is(const struct running *r, const char *words, bool masked)
{
	const char *by = strstr(words, " by ");
	int i = column_index(r, words, by == NULL ? strlen(words) : (size_t)(by - words));

	if (i < 0 || r->masks == NULL)
		return false;
	const struct sp_mask *m = policy_mask(r->masks, (size_t)i);
	if (m == NULL)
		return !masked;
	if (m->kind == SP_MASK_DETECT) /* looked through, not hidden */
		return !masked || (by != NULL && policy_looks(r->masks, by + 4));
	return masked && (by == NULL || strcmp(policy_mask_rule(r->masks, (size_t)i), by + 4) == 0);
}

static bool
limit_is(const struct running *r, const char *rule)
{
	for (size_t i = 0; i < r->d.nlimits; i++)
		if (strcmp(r->d.limit[i].rule, rule) == 0)
			return true;
	return false;
}

static bool
observed_is(const struct running *r, const char *rule)
{
	const struct decision *both[] = { &r->d, &r->result };

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < both[k]->nobserved; i++)
			if (strcmp(both[k]->observed[i], rule) == 0)
				return true;
	return false;
}

static bool
approval_is(const struct running *r, const char *rule)
{
	for (size_t i = 0; r->d.hold && i < r->d.napprovals; i++)
		if (strcmp(r->d.approval[i].rule, rule) == 0)
			return true;
	return false;
}

/* The rule applied, whether or not another one decided. */
static bool
applied(const struct running *r, const char *rule)
{
	const char *refused_by = r->result.rule == NULL ? "" : r->result.rule;

	for (size_t i = 0; i < r->nfindings; i++)
		if (r->finding[i].applies && strcmp(r->finding[i].rule, rule) == 0)
			return true;
	for (size_t i = 0; i < r->t->ncolumns && r->masks != NULL; i++)
		if (strcmp(policy_mask_rule(r->masks, i), rule) == 0)
			return true;
	if (r->masks != NULL && policy_looks(r->masks, rule))
		return true;
	if (r->d.unpins != NULL && strcmp(r->d.unpins, rule) == 0)
		return true;
	return strcmp(refused_by, rule) == 0 || observed_is(r, rule);
}

/* "pin NAME" and "pin NAME by RULE", of a session */
static bool
pin_is(const struct running *r, const char *words)
{
	const char *by = strstr(words, " by ");
	struct sp_bytes name = { (const uint8_t *)words, by == NULL ? strlen(words) : (size_t)(by - words) };

	for (size_t i = 0; i < r->d.npins; i++)
		if (sp_bytes_is(name, r->d.pin[i].name) && (by == NULL || strcmp(r->d.pin[i].rule, by + 4) == 0))
			return true;
	return false;
}

/* "deny by x": of several rules that refuse, one is named to the user, and each is meant. */
static bool
refusal_is(const struct running *r, enum sp_what what, const char *rule)
{
	const struct decision *d = r->d.what == SP_ALLOW && r->t->ncolumns > 0 ? &r->result : &r->d;

	if (d->what == SP_ALLOW || d->because != SP_BY_RULE || d->what != what)
		return false;
	if (r->d.unpins != NULL && what == SP_DENY && strcmp(r->d.unpins, rule) == 0)
		return true;
	for (size_t i = 0; i < r->nfindings; i++)
		if (r->finding[i].applies && !r->finding[i].observed && strcmp(r->finding[i].rule, rule) == 0
		    && strcmp(r->finding[i].decision, what == SP_KILL ? "kill" : "deny") == 0)
			return true;
	return strcmp(d->rule, rule) == 0;
}

static bool
verdict_is(const struct running *r, const char *words)
{
	struct buffer b = { 0 };
	bool same = false;

	if (say_verdict(r, &b) == SP_OK) {
		struct sp_bytes said = buffer_bytes(&b);
		size_t n = strlen(words);
		/* "deny" alone takes any refusal by deny; what stands in brackets is for people. */
		same = said.len >= n && memcmp(said.p, words, n) == 0 && (said.len == n || said.p[n] == ' ');
		if (same && said.len > n && strcmp(words, "deny") != 0 && strcmp(words, "approve") != 0)
			same = said.len > n + 1 && said.p[n + 1] == '(';
	}
	buffer_free(&b);
	return same;
}

static bool
runs(const struct running *r)
{
	return r->d.what == SP_ALLOW && (r->t->ncolumns == 0 || r->result.what == SP_ALLOW);
}

static bool
fits(const struct running *r, const char *words)
{
	const char *rest;

	if ((rest = after(words, "mask ")) != NULL)
		return runs(r) && mask_is(r, rest, true);
	if ((rest = after(words, "show ")) != NULL)
		return runs(r) && mask_is(r, rest, false);
	if ((rest = after(words, "pin ")) != NULL)
		return pin_is(r, rest);
	if ((rest = after(words, "limit by ")) != NULL)
		return runs(r) && limit_is(r, rest);
	if ((rest = after(words, "observe ")) != NULL)
		return observed_is(r, rest);
	if ((rest = after(words, "approve by ")) != NULL)
		return approval_is(r, rest);
	if ((rest = after(words, "allow by ")) != NULL)
		return runs(r) && !r->d.hold && applied(r, rest);
	if ((rest = after(words, "not by ")) != NULL)
		return !applied(r, rest);
	if ((rest = after(words, "deny by ")) != NULL)
		return refusal_is(r, SP_DENY, rest);
	if ((rest = after(words, "kill by ")) != NULL)
		return refusal_is(r, SP_KILL, rest);
	return verdict_is(r, words);
}

/* The words of `expect` name a rule: it must be there. */
static const char *
named_rule(const char *words)
{
	const char *by = strstr(words, " by ");

	return by == NULL ? after(words, "observe ") : by + 4;
}

static int
say_shown(const struct running *r, size_t i, struct buffer *out)
{
	const struct sp_mask *m = policy_mask(r->masks, i);
	struct sp_bytes in = sp_str(r->t->row.v[i]);

	if (m == NULL)
		return buffer_put(out, in);
	if (m->kind == SP_MASK_NULL)
		return SP_EDENIED;
	struct sp_writer w = buffer_writer(out);
	int rc = sp_mask_value(m, in, &w);
	int written = buffer_written(out, &w);
	return rc == SP_OK ? written : rc;
}

static int
check_shown(const struct running *r, struct policy_report *report, bool *good)
{
	int rc = SP_OK;

	for (size_t i = 0; i < r->t->nshown && rc == SP_OK; i++) {
		struct buffer b = { 0 };
		int said = r->masks == NULL ? SP_EDENIED : say_shown(r, i, &b);
		bool same = said == SP_OK && r->t->shown[i] != NULL && sp_bytes_is(buffer_bytes(&b), r->t->shown[i]);
		if (!same && !(said != SP_OK && r->t->shown[i] == NULL)) {
			struct sp_bytes text = buffer_bytes(&b);
			*good = false;
			rc = buffer_printf(&report->text, "%s:%u: test \"%s\": column %zu shows %.*s, expected %s\n", r->t->file, r->t->line,
			    r->t->name, i + 1, said == SP_OK ? (int)text.len : 4, said == SP_OK ? (const char *)text.p : "NULL",
			    r->t->shown[i] == NULL ? "NULL" : r->t->shown[i]);
		}
		buffer_free(&b);
	}
	return rc;
}

static int
check(const struct running *r, const struct policy *p, struct policy_report *report)
{
	const struct test_case *t = r->t;
	bool good = true;
	int rc = SP_OK;

	for (size_t i = 0; i < t->expect.n && rc == SP_OK; i++) {
		const char *name = named_rule(t->expect.v[i]);
		if (name != NULL && rule_find(p, name) == NULL) {
			good = false;
			rc = buffer_printf(&report->text, "%s:%u: test \"%s\": there is no rule \"%s\"\n", t->file, t->line, t->name, name);
		} else if (!fits(r, t->expect.v[i])) {
			good = false;
			rc = buffer_printf(&report->text, "%s:%u: test \"%s\": expected %s, got ", t->file, t->line, t->name, t->expect.v[i]);
			if (rc == SP_OK)
				rc = say_verdict(r, &report->text);
			if (rc == SP_OK)
				rc = buffer_put(&report->text, SP_LIT("\n"));
		}
	}
	if (rc == SP_OK)
		rc = check_shown(r, report, &good);
	report->run++;
	report->failed += !good;
	return rc;
}

static int
set_params(struct running *r, struct arena *a)
{
	r->op.arena = a;
	for (size_t i = 0; i < r->t->params.n; i++)
		if (sp_op_param((struct sp_op *)&r->op, (unsigned)i, 0, 0, false, sp_str(r->t->params.v[i])) != SP_OK)
			return SP_ENOMEM;
	return SP_OK;
}

static int
judge(struct running *r)
{
	char kind[64];
	int rc = policy_judge_whole(r->run, &r->who, &r->op, &r->d, &r->finding, &r->nfindings);

	if (rc != SP_OK || r->d.what != SP_ALLOW || r->t->ncolumns == 0)
		return rc;
	snprintf(kind, sizeof(kind), "%.*s.result", (int)strcspn(r->t->kind, "."), r->t->kind);
	return policy_judge_result(r->run, &r->who, &r->op, kind, r->t->column, r->t->ncolumns, &r->result, &r->masks);
}

void *
policy_default_conf(const struct sp_module *m, struct arena *a)
{
	void *conf = arena_alloc(a, m->conf_size + 1);
	const char *err = "";

	if (conf == NULL || m->directives == NULL)
		return conf;
	if (directive_fill_module(a, m->directives, NULL, 0, conf, &err) != SP_OK)
		log_debug("module %s has a setting without a default: %s", m->name, err);
	return conf;
}

static int
run_case(struct policy *p, const struct test_case *t, const struct sp_module *module, struct policy_report *report)
{
	struct arena *a = arena_new(0);
	struct running r = { .t = t, .module = module };
	struct sp_scope scope = { .conf = a == NULL ? NULL : policy_default_conf(module, a) };
	struct target target = t->target;
	int rc = SP_ENOMEM;

	if (scope.conf == NULL) {
		arena_free(&a);
		return SP_ENOMEM;
	}
	target.protocol = module->name;
	r.who = (struct subject){ .principal = &t->as, .target = &target, .session = "test", .address = t->address,
		.module = module->name, .fact = t->fact, .nfacts = t->nfacts, .now = t->now };
	if (strcmp(t->kind, "session") == 0)
		r.op.shape = shape_empty(module, t->kind);
	else
		r.op.shape = shape_make(module, &scope, t->kind, sp_str(t->text));
	r.op.kind = t->kind;
	r.run = policy_run_new(p);
	if (r.op.shape != NULL && set_params(&r, a) == SP_OK)
		rc = policy_pins(r.run, &r.who, module, &r.session);
	if (rc == SP_EDENIED)
		rc = SP_OK; /* a test of the session tells why */
	r.who.pin = r.session.pin;
	r.who.npins = r.session.npins;
	if (rc == SP_OK)
		rc = judge(&r);
	if (rc == SP_OK)
		rc = check(&r, p, report);
	policy_masks_free(&r.masks);
	decision_free(&r.d);
	decision_free(&r.result);
	decision_free(&r.session);
	policy_run_free(&r.run);
	shape_free(&r.op.shape);
	arena_free(&a);
	return rc;
}

static bool
module_knows(const struct sp_module *m, const char *kind)
{
	const struct policy_schema one = { &m, 1 };

	return kind_class(&one, kind) != KIND_NONE;
}

static int
run_cases(struct policy *p, const struct test_case *t, const struct sp_module *module, struct policy_report *report)
{
	int rc = SP_OK;

	for (; t != NULL && rc == SP_OK; t = t->next)
		if (module_knows(module, t->kind)) /* else it is about targets of another protocol */
			rc = run_case(p, t, module, report);
	return rc;
}

/* Keys of hashes, in tests: the same everywhere. */
static bool
test_key(void *owner, const char *tag, uint8_t key_r[32])
{
	(void)owner;
	digest_derive(SP_LIT("policy test"), "mask", sp_str(tag), key_r);
	return true;
}

int
policy_test(struct policy *p, const struct policy_source *const *tests, size_t n, const struct sp_module *module,
    struct policy_report *report_r)
{
	struct arena *a = arena_new(64u << 20);
	struct test_case *cases = NULL;
	struct loader l;
	char *err = NULL;

	*report_r = (struct policy_report){ 0 };
	if (a == NULL || loader_begin(&l, p, a) != SP_OK) {
		arena_free(&a);
		return SP_ENOMEM;
	}
	l.tests_only = true;
	l.cases = &cases;
	for (size_t i = 0; i < n; i++)
		loader_run(&l, tests[i]);
	int rc = loader_end(&l, &err);
	if (rc == SP_ECONF) {
		report_r->failed += l.nerrors;
		report_r->run += l.nerrors;
		rc = buffer_printf(&report_r->text, "%s\n", err);
	}
	free(err);
	mask_keys_for_tests(test_key);
	if (rc == SP_OK)
		rc = run_cases(p, p->cases, module, report_r);
	if (rc == SP_OK)
		rc = run_cases(p, cases, module, report_r);
	mask_keys_for_tests(NULL);
	arena_free(&a);
	return rc;
}
