/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging answers: every rule on the result is asked about every column, before a row is shown.
 *
 * A column whose source is known is that column, and what the module says is behind it.  One that
 * was computed, or whose source nobody knows, may be any column that the operation touches.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "judge.h"

struct policy_masks {
	struct arena *arena;
	struct policy *policy; /* counted: methods are its own */
	const struct sp_mask **mask; /* by column; NULL: shown */
	const char **looks;          /* rules on "output" that apply */
	size_t n, masked, nlooks;
};

/* ---- columns as rules see them ---- */

/* schema.table of schema.table.column */
static struct sp_bytes
table_of(struct sp_bytes column)
{
	while (column.len > 0 && column.p[column.len - 1] != '.')
		column.len--;
	if (column.len > 0)
		column.len--;
	return column;
}

/*
 * Columns that the operation names: what an unknown one of its answer may be.  Of an answer that is to come, those it
 * reads, where the module tells them apart: what is only written does not come back.
 */
static bool
may_be_shown(const struct judging *j, const struct sp_module *m, unsigned a)
{
	int read = j->before ? attr_find(m, "columns_read") : -1;

	return m->attrs[a].type == SP_TYPE_COLUMNS && (read < 0 || (unsigned)read == a);
}

static int
candidates(struct judging *j, struct answer_column *c)
{
	const struct shape *s = j->q.op->shape;
	struct value *columns = &c->value[RESULT_COLUMN], *tables = &c->value[RESULT_TABLE];
	size_t n = 0;

	columns->known = tables->known = PRESENT;
	if (s == NULL || s->failed)
		columns->known = UNKNOWN;
	for (int pass = 0; pass < 2 && s != NULL; pass++) {
		if (pass == 1) {
			columns->set = arena_alloc(j->arena, (n + 1) * sizeof(*columns->set));
			tables->set = arena_alloc(j->arena, (n + 1) * sizeof(*tables->set));
			if (columns->set == NULL || tables->set == NULL)
				return SP_ENOMEM;
		}
		for (size_t i = 0; i < s->nnodes; i++) {
			for (unsigned a = 0; a < s->nattrs; a++) {
				const struct value *v = &s->node[i].value[a];
				if (!may_be_shown(j, s->module, a))
					continue;
				if (v->known == UNKNOWN)
					columns->known = UNKNOWN;
				if (pass == 0)
					n += v->n;
				for (size_t k = 0; pass == 1 && k < v->n; k++) {
					columns->set[columns->n++] = v->set[k];
					tables->set[tables->n++] = table_of(v->set[k]);
				}
			}
		}
	}
	tables->known = columns->known;
	return SP_OK;
}

static int
describe(struct judging *j, const struct sp_column *from, const struct answer_column *unknown, struct answer_column *c)
{
	bool known = from->known == SP_SOURCE_COLUMN && from->source.len > 0;

	*c = *unknown;
	c->unknown = !known;
	if (known) {
		size_t n = 1 + from->nbehind;
		struct sp_bytes *set = arena_alloc(j->arena, 2 * n * sizeof(*set));
		if (set == NULL)
			return SP_ENOMEM;
		for (size_t i = 0; i < n; i++) {
			set[i] = i == 0 ? from->source : from->behind[i - 1];
			set[n + i] = table_of(set[i]);
		}
		c->value[RESULT_COLUMN] = (struct value){ .known = PRESENT, .set = set, .n = n };
		c->value[RESULT_TABLE] = (struct value){ .known = PRESENT, .set = set + n, .n = n };
	}
	c->value[RESULT_NAME] = (struct value){ .known = PRESENT, .text = from->name };
	c->value[RESULT_TYPE] = (struct value){ .known = PRESENT, .number = from->type };
	return SP_OK;
}

/* ---- which tag made a rule fit: its key is the hash's ---- */

static const struct tag *
tag_in(const struct test *t, const struct answer_column *c)
{
	const struct value *v = &c->value[RESULT_COLUMN];
	const struct tag *found = NULL;

	for (size_t i = 0; i < t->n && found == NULL; i++)
		found = tag_in(t->part[i], c);
	if (found != NULL || t->kind != TEST_TAGGED)
		return found;
	for (size_t i = 0; i < v->n; i++)
		if (tag_matches(t->tag, v->set[i]) != NO)
			return t->tag;
	return v->known == UNKNOWN ? t->tag : NULL;
}

static const char *
tag_of(const struct rule *r, const struct answer_column *c)
{
	for (size_t i = 0; i < r->when.n; i++) {
		const struct tag *t = tag_in(r->when.condition[i].test, c);
		if (t != NULL)
			return t->name;
	}
	return "";
}

/* ---- a hash is for those who can't write what they read ---- */

struct guess { /* the attributes of a write, where the module has them */
	int verb, effects, columns, written, tables, tables_written;
};

static void
put(struct node *n, int attr, const struct sp_attr *attrs, struct sp_bytes *text)
{
	if (attr < 0)
		return;
	struct value *v = &n->value[attr];
	v->known = PRESENT;
	if (attrs[attr].type == SP_TYPE_STRING) {
		v->text = *text;
		return;
	}
	v->set = text;
	v->n = 1;
}

/* Would `verb` on this column be let through, without anybody's approval? */
static bool
would_write(struct judging *j, const struct sp_module *m, const struct answer_column *c, const char *verb)
{
	const struct guess g = { attr_find(m, "verb"), attr_find(m, "effects"), attr_find(m, "columns"),
		attr_find(m, "columns_written"), attr_find(m, "tables"), attr_find(m, "tables_written") };
	char kind[64];
	struct sp_bytes word = sp_str(verb), write = SP_LIT("write");
	struct shape *s = shape_empty(m, kind_statement(j->kind, kind));
	struct decision d;

	if (s == NULL || g.verb < 0 || g.effects < 0 || g.written < 0) {
		shape_free(&s);
		return true; /* nobody can say it would not */
	}
	put(s->node, g.verb, m->attrs, &word);
	put(s->node, g.effects, m->attrs, &write);
	put(s->node, g.columns, m->attrs, c->value[RESULT_COLUMN].set);
	put(s->node, g.written, m->attrs, c->value[RESULT_COLUMN].set);
	put(s->node, g.tables, m->attrs, c->value[RESULT_TABLE].set);
	put(s->node, g.tables_written, m->attrs, c->value[RESULT_TABLE].set);
	struct op op = { .shape = s, .kind = s->kind };
	int rc = policy_judge(j->run, j->q.who, &op, &d, NULL, NULL);
	bool may = rc != SP_OK || (d.what == SP_ALLOW && !d.hold);
	decision_free(&d);
	shape_free(&s);
	return may;
}

/* One who can write values and read their hashes can try all values. */
static bool
may_write(struct judging *j, const struct answer_column *c)
{
	static const char *const verb[] = { "update", "insert", "merge", "copy" };
	const struct shape *s = j->q.op->shape;

	if (s == NULL || c->unknown || c->value[RESULT_COLUMN].n == 0)
		return true;
	judging_end(j); /* the sandbox is about to be used by another judgement */
	for (size_t i = 0; i < sizeof(verb) / sizeof(*verb); i++)
		if (would_write(j, s->module, c, verb[i]))
			return true;
	return false;
}

/* ---- masks of columns ---- */

struct answer {
	struct policy_masks *masks;
	const struct sp_column *column;
	struct answer_column *described;
	const struct method **method; /* by column; NULL: shown so far */
	const char **rule;
	const char **tag;
	size_t n;
};

static void
add_mask(struct answer *a, size_t i, const struct rule *r)
{
	const struct method *had = a->method[i], *now = r->mask;
	const struct method *wins = had == NULL ? now : method_stronger(had, now);

	if (wins == now || had == NULL) {
		a->rule[i] = r->name;
		a->tag[i] = tag_of(r, &a->described[i]);
	}
	a->method[i] = wins;
}

static struct sp_mask *
new_mask(struct answer *a, size_t i)
{
	struct sp_mask *m = arena_alloc(a->masks->arena, sizeof(*m));

	if (m == NULL)
		return NULL;
	a->masks->mask[i] = m;
	a->masks->masked++;
	m->tag = "";
	m->rule = "";
	return m;
}

static int
make_masks(struct judging *j, struct answer *a)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->method[i] == NULL)
			continue;
		struct sp_mask *m = new_mask(a, i);
		if (m == NULL)
			return SP_ENOMEM;
		m->method = a->method[i];
		if (method_has(m->method, METHOD_HASH) && may_write(j, &a->described[i]))
			m->method = &method_redact;
		m->kind = method_mask_kind(m->method);
		/* A text mask needs text; anything else becomes NULL. */
		if (m->kind == SP_MASK_TEXT && !a->column[i].text)
			m->kind = SP_MASK_NULL;
		m->tag = arena_string(a->masks->arena, sp_str(a->tag[i]));
		m->rule = arena_string(a->masks->arena, sp_str(a->rule[i]));
		if (m->tag == NULL || m->rule == NULL)
			return SP_ENOMEM;
	}
	return SP_OK;
}

/* Contents of files are not shown to a person, and may be no text: a rule has to ask for them by something of the operation's own. */
static bool
asks_for_files(const struct rule *r)
{
	for (size_t i = 0; i < r->when.n; i++)
		if (r->when.condition[i].attribute.source == FROM_NODE)
			return true;
	return false;
}

/* The second net: what is shown is looked through, as far as it is text. */
static int
make_detectors(struct judging *j, struct answer *a, struct decision *d)
{
	const bool file = a->n > 0 && a->column[0].known == SP_SOURCE_FILE;
	const struct method *method = NULL;
	const char *rule = "";
	uint32_t bits = 0;

	a->masks->looks = arena_alloc(a->masks->arena, (j->p->nrules + 1) * sizeof(*a->masks->looks));
	if (a->masks->looks == NULL)
		return SP_ENOMEM;
	j->q.node = j->q.op == NULL || j->q.op->shape == NULL ? NULL : j->q.op->shape->node;
	for (size_t i = 0; i < j->p->nrules; i++) {
		const struct rule *r = j->p->rule[i];
		struct reason why;
		if (r->class != KIND_OUTPUT || (file && !asks_for_files(r)))
			continue;
		judging_edges(j, r);
		if (!rule_applies(j, r, &why))
			continue;
		if ((judging_observes(j, r) || judging_spares(j)) && decision_observe(d, r->name) != SP_OK)
			return SP_ENOMEM;
		if (judging_observes(j, r))
			continue;
		bits |= r->detect;
		method = method == NULL ? r->mask : method_stronger(method, r->mask);
		rule = r->name;
		a->masks->looks[a->masks->nlooks++] = rule; /* the policy's, which masks count */
	}
	for (size_t i = 0; i < a->n && bits != 0; i++) {
		if (a->masks->mask[i] != NULL || !a->column[i].text)
			continue;
		struct sp_mask *m = new_mask(a, i);
		if (m == NULL)
			return SP_ENOMEM;
		m->kind = SP_MASK_DETECT;
		m->detect = bits;
		m->method = method;
		m->rule = arena_string(a->masks->arena, sp_str(rule));
		if (m->rule == NULL)
			return SP_ENOMEM;
	}
	return SP_OK;
}

/* ---- asking the rules ---- */

static int
ask_rule(struct judging *j, const struct rule *r, struct answer *a, struct decision *d, const struct rule **refuses)
{
	for (size_t i = 0; i < a->n; i++) {
		struct reason why;
		j->q.column = &a->described[i];
		if (!rule_applies(j, r, &why)) {
			if (j->budget.spent)
				break;
			continue;
		}
		if (judging_observes(j, r))
			return decision_observe(d, r->name);
		if (judging_spares(j) && !j->before && decision_observe(d, r->name) != SP_OK)
			return SP_ENOMEM;
		if (r->decide == DECIDE_MASK) {
			add_mask(a, i, r);
			continue;
		}
		/* A kill is stricter than a deny; of equals the first counts. */
		if (*refuses == NULL || (r->decide == DECIDE_KILL && (*refuses)->decide != DECIDE_KILL))
			*refuses = r;
		return SP_OK;
	}
	return SP_OK;
}

static int
ask_rules(struct judging *j, struct answer *a, struct decision *d, const struct rule **refuses)
{
	int rc = SP_OK;

	*refuses = NULL;
	for (int observing = 0; observing < 2; observing++) {
		for (size_t i = 0; i < j->p->nrules && rc == SP_OK; i++) {
			const struct rule *r = j->p->rule[i];
			if (r->class != KIND_RESULT || !rule_is_on(r, j->kind) || judging_observes(j, r) != (observing != 0))
				continue;
			judging_edges(j, r);
			rc = ask_rule(j, r, a, d, refuses);
		}
		judging_renew(j);
	}
	j->q.column = NULL;
	return rc;
}

static int
answer_begin(struct judging *j, struct answer *a, const struct sp_column *column, size_t n)
{
	struct answer_column unknown = { .unknown = true };
	int rc = candidates(j, &unknown);

	a->column = column;
	a->n = n;
	a->described = arena_alloc(j->arena, (n + 1) * sizeof(*a->described));
	a->method = arena_alloc(j->arena, (n + 1) * sizeof(*a->method));
	a->rule = arena_alloc(j->arena, (n + 1) * sizeof(*a->rule));
	a->tag = arena_alloc(j->arena, (n + 1) * sizeof(*a->tag));
	if (a->described == NULL || a->method == NULL || a->rule == NULL || a->tag == NULL)
		return SP_ENOMEM;
	for (size_t i = 0; i < n && rc == SP_OK; i++)
		rc = describe(j, &column[i], &unknown, &a->described[i]);
	return rc;
}

static void
conclude(struct judging *j, struct decision *d, const struct rule *refuses)
{
	d->cacheable = !j->uncacheable;
	d->of_session = j->of_session;
	d->valid_until = j->valid_until;
	d->detail = j->broken_detail == NULL ? "" : j->broken_detail;
	if (refuses != NULL) {
		d->what = refuses->decide == DECIDE_KILL ? SP_KILL : SP_DENY;
		d->because = SP_BY_RULE;
		d->rule = refuses->name;
		d->text = refuses->text;
	} else if (j->broken != NULL) {
		d->because = SP_BY_ERROR;
		d->rule = j->broken->name;
		d->text = arena_printf(j->arena, "the rule failed: %s", j->broken_why);
		if (d->text == NULL)
			d->text = "the rule failed";
	} else {
		d->what = SP_ALLOW;
		d->because = SP_BY_RULE;
		d->rule = d->text = "";
	}
}

static struct policy_masks *
masks_new(struct policy *p, size_t n)
{
	struct arena *a = arena_new(64 * 1024 + n * 1024 + p->nrules * sizeof(const char *));
	struct policy_masks *m = a == NULL ? NULL : arena_alloc(a, sizeof(*m));

	if (m != NULL) {
		m->arena = a;
		m->n = n;
		m->mask = arena_alloc(a, (n + 1) * sizeof(*m->mask));
	}
	if (m == NULL || m->mask == NULL) {
		arena_free(&a);
		return NULL;
	}
	m->policy = policy_ref(p);
	return m;
}

struct described { /* columns of an answer */
	const struct sp_column *column;
	size_t n;
	bool before; /* they are not known yet */
};

static int
judge_answer(struct policy_run *run, const struct subject *who, const struct op *op, const char *kind,
    const struct described *described, struct decision *d_r, struct policy_masks **masks_r)
{
	size_t n = described->n;
	struct judging j;
	struct answer a = { 0 };
	const struct rule *refuses = NULL;

	*masks_r = NULL;
	*d_r = (struct decision){ .what = SP_DENY, .because = SP_BY_ERROR, .rule = "", .text = "out of memory", .detail = "" };
	d_r->arena = arena_new(0);
	a.masks = masks_new(run->p, n);
	if (d_r->arena == NULL || a.masks == NULL || judging_begin(&j, run, who, op, d_r->arena) != SP_OK) {
		policy_masks_free(&a.masks);
		return SP_ENOMEM;
	}
	j.kind = kind;
	j.before = described->before;
	int rc = answer_begin(&j, &a, described->column, n);
	if (rc == SP_OK)
		rc = ask_rules(&j, &a, d_r, &refuses);
	if (rc == SP_OK)
		rc = make_masks(&j, &a);
	if (rc == SP_OK)
		rc = make_detectors(&j, &a, d_r);
	judging_end(&j);
	if (rc != SP_OK) {
		policy_masks_free(&a.masks);
		return rc;
	}
	conclude(&j, d_r, refuses);
	if (judging_spares(&j))
		decision_spare(d_r);
	*masks_r = a.masks;
	return SP_OK;
}

int
policy_judge_result(struct policy_run *run, const struct subject *who, const struct op *op, const char *kind,
    const struct sp_column *column, size_t n, struct decision *d_r, struct policy_masks **masks_r)
{
	const struct described described = { column, n, false };

	return judge_answer(run, who, op, kind, &described, d_r, masks_r);
}

/* ---- before it runs ---- */

static bool
has_effects(const struct op *op)
{
	const struct shape *s = op->shape;
	int at = s == NULL ? -1 : attr_find(s->module, "effects");

	if (at < 0 || s->module->attrs[at].type != SP_TYPE_STRINGS)
		return true; /* who can't say what it does, does something */
	for (size_t i = 0; i < s->nnodes; i++) {
		const struct value *v = &s->node[i].value[at];
		if (v->known == UNKNOWN)
			return true;
		for (size_t k = 0; k < v->n; k++)
			if (!sp_bytes_is(v->set[k], "read") && !sp_bytes_is(v->set[k], "session"))
				return true;
	}
	return false;
}

int
policy_judge_result_before(struct policy_run *run, const struct subject *who, const struct op *op, const char *kind,
    struct decision *d_r)
{
	/* One column of which nothing is known: it may be whatever the operation touches. */
	const struct sp_column any = { .known = SP_SOURCE_UNKNOWN };
	struct policy_masks *masks;
	int rc;

	if (!has_effects(op)) {
		*d_r = (struct decision){ .what = SP_ALLOW, .because = SP_BY_RULE, .rule = "", .text = "", .detail = "",
			.cacheable = true, .valid_until = UINT64_MAX };
		return SP_OK;
	}
	const struct described described = { &any, 1, true };
	rc = judge_answer(run, who, op, kind, &described, d_r, &masks);
	policy_masks_free(&masks);
	return rc;
}

int
policy_judge_whole(struct policy_run *run, const struct subject *who, const struct op *op, struct decision *d_r,
    struct finding **findings_r, size_t *nfindings_r)
{
	struct decision answer;
	char kind[64];
	int rc = policy_judge(run, who, op, d_r, findings_r, nfindings_r);

	if (rc != SP_OK || d_r->what != SP_ALLOW || kind_class(&run->p->schema, op->kind) != KIND_OPERATION)
		return rc;
	snprintf(kind, sizeof(kind), "%.*s.result", (int)strcspn(op->kind, "."), op->kind);
	if (kind_class(&run->p->schema, kind) != KIND_RESULT)
		return SP_OK;
	rc = policy_judge_result_before(run, who, op, kind, &answer);
	if (rc != SP_OK || answer.what != SP_ALLOW) {
		d_r->what = answer.what;
		d_r->because = answer.because;
		d_r->rule = answer.rule; /* the policy's, as is its text */
		d_r->text = arena_string(d_r->arena, sp_str(answer.text == NULL ? "" : answer.text));
		d_r->detail = arena_string(d_r->arena, sp_str(answer.detail == NULL ? "" : answer.detail));
		d_r->hold = false;
		d_r->napprovals = d_r->nlimits = 0;
		if (d_r->text == NULL || d_r->detail == NULL)
			d_r->text = d_r->detail = "";
	}
	if (rc == SP_OK && answer.would.what != NULL && d_r->would.what == NULL) {
		const char *text = arena_string(d_r->arena, sp_str(answer.would.text));
		d_r->would = answer.would; /* the rule's name is the policy's */
		d_r->would.text = text == NULL ? "" : text;
	}
	if (answer.valid_until < d_r->valid_until)
		d_r->valid_until = answer.valid_until;
	d_r->cacheable = d_r->cacheable && answer.cacheable;
	d_r->of_session = d_r->of_session || answer.of_session;
	decision_free(&answer);
	return rc;
}

/* ---- masks, for those who use them ---- */

const struct sp_mask *
policy_mask(const struct policy_masks *m, size_t column)
{
	static const struct sp_mask hidden = { .kind = SP_MASK_NULL, .method = &method_null, .tag = "", .rule = "" };

	if (m == NULL || column >= m->n)
		return &hidden; /* a column that was not described */
	return m->mask[column];
}

const char *
policy_mask_rule(const struct policy_masks *m, size_t column)
{
	const struct sp_mask *mask = policy_mask(m, column);

	return mask == NULL ? "" : mask->rule;
}

bool
policy_looks(const struct policy_masks *m, const char *rule)
{
	for (size_t i = 0; i < m->nlooks; i++)
		if (strcmp(m->looks[i], rule) == 0)
			return true;
	return false;
}

size_t
policy_masked(const struct policy_masks *m)
{
	return m == NULL ? 0 : m->masked;
}

void
policy_masks_free(struct policy_masks **mp)
{
	struct policy_masks *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	struct arena *a = m->arena;
	struct policy *p = m->policy;
	arena_free(&a);
	policy_free(&p);
}
