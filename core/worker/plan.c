/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of verdicts: scopes (all that one may depend on besides the text) and plans (what
 * the rules said of a shape in a scope).
 *
 * Nothing here is looked up by hash alone: every hit compares the whole key.
 *
 * A shape that was taken from another text's (shape.c) has that one's plan, when no rule could have
 * looked at what differs: then only what is recorded is the text's own.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../record/text.h"
#include "budget.h"
#include "epoch_use.h"
#include "operation.h"
#include "record.h"

#define PLANS 128
#define PLAN_LIMIT 8192
#define SCOPES 256
#define PARAMS 65536u            /* that are told apart; others are hidden */
#define SPANS_MAX (64u << 20)
/* Bytes of what is recorded: of one attribute, of one of its elements, and of all of an operation's, beyond which each is short. */
#define ATTRIBUTE 4000u
#define ELEMENT 400u
#define ATTRIBUTES (64u << 10)
#define NODES 64u
#define COPIED (16u << 10)       /* bytes of a text that are copied for the few that are spared */

/* ---- scopes ---- */

struct scope {
	struct scope *next;
	struct buffer key;
	uint64_t hash;
	unsigned refs;
	struct plan *bucket[PLANS];
	size_t n;
};

static struct scope *scopes[SCOPES];

static void
key_add(struct sp_writer *w, struct sp_bytes b)
{
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

static void
scope_key(const struct sp_session *s, struct sp_writer *w)
{
	const struct principal *p = &s->principal;
	const char *const who[] = { p->identity, p->issuer, p->subject, p->user, p->person, p->sponsor, p->class, s->target_name, s->part, s->login, s->address };
	sp_wr_be64(w, (uintptr_t)s->epoch);
	sp_wr_be64(w, s->epoch->epoch->number);
	sp_wr_be64(w, s->view_version);
	sp_wr_be64(w, (uintptr_t)s->conf);
	for (size_t i = 0; i < sizeof(who) / sizeof(*who); i++)
		key_add(w, sp_str(who[i]));
	sp_wr_be32(w, (uint32_t)p->groups.n);
	for (size_t i = 0; i < p->groups.n; i++)
		key_add(w, sp_str(p->groups.v[i]));
	sp_wr_be32(w, (uint32_t)p->roles.n);
	for (size_t i = 0; i < p->roles.n; i++)
		key_add(w, sp_str(p->roles.v[i]));
	sp_wr_be32(w, (uint32_t)p->methods.n);
	for (size_t i = 0; i < p->methods.n; i++)
		key_add(w, sp_str(p->methods.v[i]));
	sp_wr_be32(w, (uint32_t)s->nfacts);
	for (size_t i = 0; i < s->nfacts; i++) {
		key_add(w, sp_str(s->fact[i].name));
		key_add(w, s->fact[i].value);
	}
	for (size_t i = 0; i < s->npins; i++) {
		key_add(w, sp_str(s->pin[i].name));
		key_add(w, sp_str(s->pin[i].value));
		key_add(w, sp_str(s->pin[i].rule));
	}
}

struct scope *
scope_find(struct sp_session *s)
{
	if (s->scope != NULL)
		return s->scope;
	struct buffer key = { 0 };
	struct sp_writer w = buffer_writer(&key);
	scope_key(s, &w);
	if (buffer_written(&key, &w) != SP_OK) {
		buffer_free(&key);
		return NULL;
	}
	uint64_t hash = shape_hash(buffer_bytes(&key), 0);
	struct scope *c = scopes[hash % SCOPES];
	while (c != NULL && !(c->hash == hash && sp_bytes_eq(buffer_bytes(&c->key), buffer_bytes(&key))))
		c = c->next;
	if (c != NULL) {
		buffer_free(&key);
		c->refs++;
	} else {
		c = mem_alloc(sizeof(*c));
		c->key = key;
		c->hash = hash;
		c->refs = 1;
		c->next = scopes[hash % SCOPES];
		scopes[hash % SCOPES] = c;
	}
	s->scope = c;
	return c;
}

static void
scope_clear(struct scope *c)
{
	for (size_t i = 0; i < PLANS; i++) {
		for (struct plan *p = c->bucket[i], *next; p != NULL; p = next) {
			next = p->next;
			p->scope = NULL;
			plan_unref(&p);
		}
		c->bucket[i] = NULL;
	}
	c->n = 0;
}

void
scope_unref(struct scope **cp)
{
	struct scope *c = *cp;
	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	struct scope **at = &scopes[c->hash % SCOPES];
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	scope_clear(c);
	buffer_free(&c->key);
	free(c);
}

/* ---- plans ---- */

static void
result_free(struct result_plan *r)
{
	policy_masks_free(&r->masks);
	decision_free(&r->decision);
	free((void *)(uintptr_t)r->key.p);
	free((void *)(uintptr_t)r->sent.p);
	free((void *)(uintptr_t)r->record.p);
	free(r);
}

void
plan_unref(struct plan **pp)
{
	struct plan *p = *pp;
	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	for (struct result_plan *r = p->results, *next; r != NULL; r = next) {
		next = r->next;
		result_free(r);
	}
	decision_free(&p->decision);
	shape_free(&p->shape);
	free((void *)(uintptr_t)p->record.p);
	free((void *)(uintptr_t)p->verdict.p);
	free(p->hidden);
	free(p);
}

static struct sp_bytes
bytes_keep(struct buffer *b)
{
	struct sp_bytes in = buffer_bytes(b);
	uint8_t *p = mem_alloc(in.len + 1);
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	buffer_free(b);
	return (struct sp_bytes){ p, in.len };
}

/* Nothing that the text hides stands in an attribute. */
static struct sp_bytes
shown(struct hiding *h, struct sp_bytes value)
{
	return hiding_has(h, value) ? SP_LIT("{hidden}") : value;
}

static void
put_number(struct sp_writer *w, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	sp_wr_put(w, (struct sp_bytes){ (uint8_t *)digits, len < 0 ? 0 : (size_t)len });
}

/* As much of it as there is room for, ended by a mark when that is not all; no character is cut in two. */
static void
put_cut(struct sp_writer *w, struct sp_bytes text, size_t most)
{
	size_t n = text.len < most ? text.len : most;
	while (n < text.len && n > 0 && (text.p[n] & 0xc0) == 0x80)
		n--;
	sp_wr_put(w, (struct sp_bytes){ text.p, n });
	if (n < text.len)
		sp_wr_put(w, SP_LIT(RECORD_CUT));
}

static void
put_value(struct hiding *h, enum sp_type type, const struct value *v, size_t most, struct sp_writer *w)
{
	size_t end = w->len + most;
	if (v->known == UNKNOWN)
		sp_wr_u8(w, '?');
	else if (type == SP_TYPE_STRING)
		put_cut(w, shown(h, v->text), most);
	else if (type != SP_TYPE_STRINGS && type != SP_TYPE_COLUMNS)
		put_number(w, v->number);
	for (size_t i = 0; v->known != UNKNOWN && i < v->n; i++) {
		struct sp_bytes one = shown(h, v->set[i]);
		bool last = one.len > ELEMENT || one.len + 1 > end - w->len;
		if (i > 0)
			sp_wr_u8(w, ',');
		put_cut(w, one, last ? 0 : one.len);
		if (last)
			return;
	}
}

static void
record_attributes(struct hiding *h, const struct shape *shape, struct sp_writer *w)
{
	uint8_t line[ATTRIBUTE + 256];
	size_t begin = w->len;
	for (size_t i = 0; i < shape->nnodes && i < NODES; i++) {
		for (unsigned k = 0; k < shape->nattrs; k++) {
			const struct value *v = &shape->node[i].value[k];
			const struct sp_attr *a = &shape->module->attrs[k];
			struct sp_writer l = sp_writer(line, sizeof(line));
			if (v->known == ABSENT || (shape->alike && k == shape->length))
				continue;
			put_number(&l, i);
			sp_wr_u8(&l, ':');
			sp_wr_put(&l, sp_str(a->name));
			sp_wr_u8(&l, '=');
			put_value(h, a->type, v, w->len - begin < ATTRIBUTES ? ATTRIBUTE : ELEMENT, &l);
			frame_field(w, KEY_ATTRIBUTE, sp_written(&l));
		}
	}
	if (shape->nnodes > NODES)
		frame_field(w, KEY_ATTRIBUTE, SP_LIT("63:" RECORD_CUT "="));
}

static void
record_unclear(const struct shape *shape, struct sp_writer *w)
{
	char line[256];
	for (size_t i = 0; i < shape->nunclear && i < 64; i++) {
		const struct unclear *u = &shape->unclear[i];
		int n = snprintf(line, sizeof(line), "%zu:%.60s=%.*s", u->node, u->why, (int)(u->name.len < 160 ? u->name.len : 160), (const char *)u->name.p);
		frame_field(w, KEY_UNCLEAR, (struct sp_bytes){ (uint8_t *)line, n < 0 ? 0 : strnlen(line, sizeof(line)) });
	}
	if (shape->failed)
		frame_field(w, KEY_UNCLEAR, SP_LIT("0:failed="));
}

/* What is the text's own of a record, at its end. */
static void
record_own(struct sp_writer *w, const struct shape *shape, struct sp_bytes text)
{
	uint8_t hash[DIGEST_LEN], line[64];
	frame_field(w, KEY_TEXT, text);
	/* of the text as recorded: a plain hash of a secret would let it be guessed */
	digest_sha256(text, hash);
	frame_field(w, KEY_TEXT_HASH, (struct sp_bytes){ hash, sizeof(hash) });
	for (size_t i = 0; shape->alike && i < shape->nnodes && i < NODES; i++) {
		const struct value *v = &shape->node[i].value[shape->length];
		if (v->known != PRESENT)
			continue;
		struct sp_writer l = sp_writer(line, sizeof(line));
		text_number(&l, i);
		sp_wr_u8(&l, ':');
		sp_wr_put(&l, sp_str(shape->module->attrs[shape->length].name));
		sp_wr_u8(&l, '=');
		text_number(&l, v->number);
		w->bad = w->bad || l.bad;
		frame_field(w, KEY_ATTRIBUTE, sp_written(&l));
	}
}

static void
plan_record(struct plan *p, struct sp_session *s, const struct shape *shape, const struct policy *policy)
{
	struct buffer b = { 0 }, text = { 0 };
	struct sp_writer w = buffer_writer(&b);
	if (record_redact(s->w, policy, shape, &text) != SP_OK)
		buffer_drop(&text, text.len);
	frame_field(&w, KEY_KIND, sp_str(p->kind));
	if (shape->tag != NULL)
		frame_field(&w, KEY_TAG, sp_str(shape->tag));
	size_t begin = w.len;
	struct arena *a = arena_new(SPANS_MAX);
	record_attributes(hiding_new(policy, shape, a), shape, &w);
	arena_free(&a);
	for (size_t i = 0; i < s->nfacts; i++) {
		uint8_t line[ELEMENT + 256];
		struct sp_writer l = sp_writer(line, sizeof(line));
		sp_wr_put(&l, sp_str(s->fact[i].name));
		sp_wr_u8(&l, '=');
		put_cut(&l, s->fact[i].value, ELEMENT);
		frame_field(&w, KEY_FACT, sp_written(&l));
	}
	record_unclear(shape, &w);
	p->own = w.len;
	p->described = p->own > begin;
	record_own(&w, shape, buffer_bytes(&text));
	if (buffer_written(&b, &w) == SP_OK)
		p->record = bytes_keep(&b);
	buffer_free(&b);
	buffer_free(&text);
}

/* Another text than the record's, of the same model: nothing of it is hidden, or the plan would not be its. */
static bool
has_own(const struct plan *p, const struct shape *shape)
{
	return p->alike && (shape->model != NULL || p->of_other);
}

size_t
plan_record_len(const struct sp_op *op)
{
	const struct plan *p = op->plan;
	const struct shape *shape = op->op.shape;
	if (p->record.p == NULL || !has_own(p, shape))
		return p->record.len;
	return p->own + shape->text.len + 2 * FRAME_FIELD_HEAD + DIGEST_LEN + 96 * (shape->nnodes < NODES ? shape->nnodes : NODES);
}

/* The place that has it, or, has_r false, that is to have it. */
static uint8_t
place_of(struct sp_session *s, uint64_t what, uint32_t op, bool *has_r)
{
	unsigned i = 0;
	while (i < RECORD_PLACES && s->kept[i] != what)
		i++;
	*has_r = i < RECORD_PLACES && frame_place_serves(s->kept_by[i], op);
	if (*has_r)
		return (uint8_t)i;
	if (i == RECORD_PLACES) {
		i = s->next_place;
		s->next_place = (i + 1) % RECORD_PLACES;
	}
	s->kept[i] = what;
	s->kept_by[i] = op;
	return (uint8_t)i;
}

/*
 * A text that comes again as it was has all of the record in a place, one that differs from others of its model in literals, or is
 * long, what is not its own.
 */
struct sp_bytes
plan_record_put(struct sp_op *op, struct sp_writer *w)
{
	const struct plan *p = op->plan;
	const bool own = has_own(p, op->op.shape), is_long = p->record.len > RECORD_KEPT_MAX && p->record.len - p->own <= COPIED;
	struct sp_reader r = sp_reader(p->record);
	struct sp_bytes kept = sp_rd_take(&r, own || is_long ? p->own : p->record.len);
	bool has = false;
	if (p->described && kept.len <= RECORD_KEPT_MAX) {
		const uint8_t place = place_of(op->s, 2 * p->serial + (own || is_long), op->number, &has);
		frame_field(w, has ? KEY_AS : KEY_KEPT, (struct sp_bytes){ &place, 1 });
	}
	if (own)
		record_own(w, op->op.shape, op->op.shape->text);
	else
		sp_wr_put(w, sp_rd_rest(&r));
	return has ? (struct sp_bytes){ NULL, 0 } : kept;
}

/* Which parameters are hidden, for all runs. */
static void
plan_hide_params(struct plan *p, const struct policy *policy)
{
	struct tagging tags = { .policy = policy };
	const struct shape *s = p->shape;
	unsigned n = 0;
	for (size_t i = 0; i < s->nliterals; i++)
		if (s->literal[i].len == 0 && s->literal[i].param < PARAMS && s->literal[i].param >= n)
			n = s->literal[i].param + 1;
	p->hidden = n == 0 ? NULL : mem_alloc(n);
	p->nhidden = n;
	for (size_t i = 0; i < s->nliterals; i++)
		if (s->literal[i].len == 0 && s->literal[i].param < n && tagging_hides(&tags, &s->literal[i]))
			p->hidden[s->literal[i].param] = true;
}

bool
plan_hides(const struct plan *p, unsigned param)
{
	return param >= PARAMS || (param < p->nhidden && p->hidden[param]);
}

/* The payload of FRAME_VERDICT. */
static void
plan_verdict(struct plan *p)
{
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	const struct decision *d = &p->decision;
	const char *rule = d->would.what != NULL ? d->would.rule : d->rule, *text = d->would.what != NULL ? d->would.text : d->text;
	frame_field(&w, KEY_WHAT, sp_str(d->what == SP_KILL ? "kill" : d->what == SP_DENY ? "deny" : d->hold ? "held" : "allow"));
	if (rule != NULL && rule[0] != '\0')
		frame_field(&w, KEY_RULE, sp_str(rule));
	if (text != NULL && text[0] != '\0')
		frame_field(&w, KEY_MESSAGE, sp_str(text));
	if (d->would.what != NULL)
		frame_field(&w, KEY_WOULD, sp_str(d->would.what));
	for (size_t i = 0; i < d->nobserved; i++)
		frame_field(&w, KEY_OBSERVED, sp_str(d->observed[i]));
	if (buffer_written(&b, &w) == SP_OK)
		p->verdict = bytes_keep(&b);
	buffer_free(&b);
}

struct subject
session_subject(const struct sp_session *s)
{
	return (struct subject){ .principal = &s->principal, .target = s->target, .session = s->name, .address = s->address,
		.module = s->module->name, .fact = s->fact, .nfacts = s->nfacts, .pin = s->pin, .npins = s->npins, .now = clock_wall_us() };
}

/* A statement that is only prepared is judged as what it would be when it runs, for denials only. */
static int
judge_prepare(struct sp_session *s, struct sp_op *op, const struct subject *who, struct decision *d_r)
{
	struct op run = op->op;
	char kind[64];
	size_t base = strlen(op->op.kind) - strlen(".prepare");
	snprintf(kind, sizeof(kind), "%.*s.statement", (int)base, op->op.kind);
	run.kind = kind;
	int rc = policy_judge_whole(s->run, who, &run, d_r, NULL, NULL);
	if (rc != SP_OK || d_r->what != SP_ALLOW)
		return rc;
	uint64_t until = d_r->valid_until;
	decision_free(d_r);
	rc = policy_judge(s->run, who, &op->op, d_r, NULL, NULL);
	if (rc == SP_OK && d_r->valid_until > until)
		d_r->valid_until = until;
	d_r->hold = false;
	d_r->nlimits = 0;
	return rc;
}

bool
kind_is_prepare(const char *kind)
{
	size_t n = strlen(kind), m = strlen(".prepare");
	return n > m && strcmp(kind + n - m, ".prepare") == 0;
}

static int
plan_judge(struct sp_op *op, struct decision *d_r)
{
	struct subject who = session_subject(op->s);
	memset(d_r, 0, sizeof(*d_r));
	int rc = kind_is_prepare(op->op.kind) ? judge_prepare(op->s, op, &who, d_r) : policy_judge_whole(op->s->run, &who, &op->op, d_r, NULL, NULL);
	if (rc == SP_OK)
		return SP_OK;
	decision_free(d_r);
	*d_r = (struct decision){ .what = SP_DENY, .because = SP_BY_ERROR, .rule = "", .text = "the policy could not be evaluated" };
	return rc;
}

/* No rule looks at what differs among texts with this shape's skeleton, and nothing of that is hidden. */
static bool
plan_is_alike(const struct shape *shape, struct target_use *t)
{
	struct tagging tags = { .policy = t->policy };
	if (!shape->alike)
		return false;
	if (t->alike == ALIKE_UNKNOWN)
		t->alike = policy_looks_at(t->policy, shape->module, shape->length) ? ALIKE_NO : ALIKE_YES;
	for (size_t i = 0; i < shape->nliterals; i++)
		if (shape->literal[i].len > 0 && tagging_hides(&tags, &shape->literal[i]))
			return false;
	return t->alike == ALIKE_YES;
}

static struct shape *
model_of(struct shape *shape)
{
	return shape->model != NULL ? shape->model : shape;
}

struct plan *
plan_make(struct sp_op *op)
{
	struct sp_session *s = op->s;
	struct plan *p = mem_alloc(sizeof(*p));
	struct target_use *t = epoch_use_target(s->epoch, s->target_name);
	static uint64_t serial;
	p->refs = 1;
	p->serial = ++serial;
	p->alike = plan_is_alike(op->op.shape, t);
	p->shape = p->alike ? model_of(op->op.shape) : op->op.shape;
	p->of_other = p->shape != op->op.shape;
	p->shape->refs++;
	p->kind = op->op.kind;
	uint64_t since = budget_begin(s);
	if (plan_judge(op, &p->decision) != SP_OK)
		p->decision.cacheable = false;
	budget_charge(s, since);
	p->sensitive = policy_touches_tagged(t->policy, &op->op);
	p->announces = kind_is_prepare(p->kind) && s->target->mode != MODE_OBSERVE && !policy_is_on(t->policy, p->kind) &&
	    p->decision.what == SP_ALLOW && p->decision.would.what == NULL && p->decision.nobserved == 0;
	for (size_t i = 0; i < p->decision.nlimits; i++) {
		uint64_t rows = p->decision.limit[i].rows;
		if (rows > 0 && s->target->mode != MODE_OBSERVE && (p->max_rows == 0 || rows < p->max_rows))
			p->max_rows = rows;
	}
	plan_record(p, s, op->op.shape, t->policy);
	plan_hide_params(p, t->policy);
	plan_verdict(p);
	return p;
}

#ifdef SANITIZED
/* What is recorded of a text with what its plan has of another one. */
static void
record_check(const struct plan *kept, struct sp_op *op)
{
	const bool own = has_own(kept, op->op.shape);
	struct plan *anew = plan_make(op);
	struct buffer whole = { 0 };
	struct sp_writer w = buffer_writer(&whole);
	sp_wr_put(&w, (struct sp_bytes){ kept->record.p, own ? kept->own : kept->record.len });
	if (own)
		record_own(&w, op->op.shape, op->op.shape->text);
	if (buffer_written(&whole, &w) == SP_OK && !sp_bytes_eq(buffer_bytes(&whole), anew->record)) {
		log_error("the record of a text differs from what it would be by itself");
		abort();
	}
	buffer_free(&whole);
	plan_unref(&anew);
}
#endif

/*
 * A remembered verdict is what asking again would give.  Built with sanitizers, every use asks again
 * and a difference ends the process: something is missing from the scope.
 */
static void
plan_check(const struct plan *kept, struct sp_op *op)
{
#ifdef SANITIZED
	record_check(kept, op);
	struct decision now;
	if (plan_judge(op, &now) == SP_OK && kept->decision.valid_until > clock_wall_us() &&
	    kept->decision.because != SP_BY_ERROR && now.because != SP_BY_ERROR && /* time and memory may differ */
	    (now.what != kept->decision.what || now.hold != kept->decision.hold || now.nlimits != kept->decision.nlimits ||
		now.napprovals != kept->decision.napprovals)) {
		log_error("a remembered verdict differs from the rules: %d, asked again %d", (int)kept->decision.what, (int)now.what);
		abort();
	}
	decision_free(&now);
#else
	(void)kept;
	(void)op;
#endif
}

struct plan *
plan_find(struct sp_op *op)
{
	struct scope *c = scope_find(op->s);
	struct shape *shape = op->op.shape, *model = model_of(shape);
	if (c == NULL)
		return plan_make(op);
	struct plan **bucket = &c->bucket[model->serial % PLANS];
	for (struct plan *p = *bucket; p != NULL; p = p->next) {
		if ((p->shape != shape && !(p->alike && p->shape == model)) || strcmp(p->kind, op->op.kind) != 0)
			continue;
		if (p->decision.valid_until <= op->s->w->wall)
			break;
		plan_check(p, op);
		p->refs++;
		return p;
	}
	struct plan *p = plan_make(op);
	if (!p->decision.cacheable || p->decision.of_session)
		return p;
	if (c->n >= PLAN_LIMIT)
		scope_clear(c);
	p->scope = c;
	p->next = *bucket; /* in front of one that went stale */
	*bucket = p;
	p->refs++;
	c->n++;
	return p;
}
