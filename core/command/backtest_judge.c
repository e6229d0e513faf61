/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations as recordings have them, judged again.  What analysis found stands there, attribute by attribute, also
 * where values of the text are hidden: a module in front of the real one says the same once more.
 *
 *   FRAME_OPERATION ─▶ digest of what rules read ─▶ known: its verdict
 *                                                └▶ new: shape ─▶ policy_judge_whole()
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "backtest.h"

#define SLOTS (1u << 16)
#define KEPT (1u << 17) /* operations; beyond, all is forgotten */
#define NODES 64        /* as many statements of a text are recorded */
#define COLUMNS 1664

struct judged {
	struct judged *next;
	uint8_t digest[DIGEST_LEN];
	struct shape *shape;
	char kind[64], text[256];
	bool cut;    /* not all that rules read was recorded: what is missing is unknown */
	struct told told;
	struct decision decision;
	struct fact *fact; /* its shape's */
	size_t nfacts;
	bool stands; /* whatever its parameters and the time */
	struct masks_of {
		struct masks_of *next;
		uint8_t digest[DIGEST_LEN];
		struct policy_masks *masks;
		bool refused;
		char rule[128];
	} *masks;
};

struct judges {
	const struct policies *p;
	struct policy_run *run;
	bool texts;              /* there are functions, which may read texts */
	struct sp_module module; /* the real one, but for classify() */
	struct judged *slot[SLOTS];
	size_t n;
};

const char *const said_name[SAIDS] = { [SAID_NONE] = "nothing", [SAID_ALLOW] = "allow", [SAID_DENY] = "deny", [SAID_HELD] = "held", [SAID_KILL] = "kill" };

/* ---- what was said of it, said again ---- */

static bool
number_of(struct sp_bytes digits, uint64_t *n_r)
{
	uint64_t n = 0;
	*n_r = 0;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned d = (unsigned)digits.p[i] - '0';
		if (d > 9 || n > (UINT64_MAX - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*n_r = n;
	return digits.len > 0;
}

static int
say_set(struct sp_op *op, unsigned attr, struct sp_bytes list)
{
	struct sp_reader r = sp_reader(list);
	int rc = SP_OK;
	while (rc == SP_OK && r.left > 0)
		rc = sp_op_add(op, attr, memchr(r.p, ',', r.left) == NULL ? sp_rd_rest(&r) : sp_rd_until(&r, ','));
	return rc;
}

/* Of what was cut, or hidden, nobody knows what it was: restrictions fit that, and exceptions don't. */
static bool
is_whole(struct sp_bytes value)
{
	static const char cut[] = RECORD_CUT, hidden[] = "{hidden}";
	size_t n = sizeof(cut) - 1;
	return (value.len < n || memcmp(value.p + value.len - n, cut, n) != 0) &&
	    (value.len == 0 || memmem(value.p, value.len, hidden, sizeof(hidden) - 1) == NULL);
}

static int
say_attribute(struct sp_op *op, const struct sp_module *m, struct sp_bytes name, struct sp_bytes value)
{
	uint64_t n;
	unsigned i = 0;
	while (m->attrs[i].name != NULL && !sp_bytes_is(name, m->attrs[i].name))
		i++;
	if (m->attrs[i].name == NULL)
		return SP_OK; /* of a newer version */
	if (sp_bytes_is(value, "?") || !is_whole(value))
		return sp_op_unknown(op, i);
	switch (m->attrs[i].type) {
	case SP_TYPE_STRING:
		return sp_op_str(op, i, value);
	case SP_TYPE_STRINGS:
	case SP_TYPE_COLUMNS:
		return say_set(op, i, value);
	case SP_TYPE_BOOL:
		return number_of(value, &n) ? sp_op_bool(op, i, n != 0) : sp_op_unknown(op, i);
	default:
		return number_of(value, &n) ? sp_op_int(op, i, n) : sp_op_unknown(op, i);
	}
}

/* The reasons are the module's words, which outlive everything; these are the record's. */
static const char *
kept_word(struct sp_bytes why)
{
	static char *word[64];
	size_t i = 0;
	while (i < sizeof(word) / sizeof(*word) && word[i] != NULL && !sp_bytes_is(why, word[i]))
		i++;
	if (i == sizeof(word) / sizeof(*word))
		return "unknown";
	if (word[i] == NULL)
		word[i] = mem_string(why);
	return word[i];
}

struct saying { /* the payload of a FRAME_OPERATION */
	struct sp_bytes payload;
	bool *cut_r;
};

/* "3:verb=select" */
static bool
read_line(struct sp_bytes v, uint64_t *node_r, struct sp_bytes *name_r, struct sp_bytes *value_r)
{
	struct sp_reader r = sp_reader(v);
	bool good = number_of(sp_rd_until(&r, ':'), node_r) && *node_r < NODES;
	*name_r = sp_rd_until(&r, '=');
	*value_r = sp_rd_rest(&r);
	return good && !r.bad;
}

/* How many statements there are; 0: it is no record of ours, or not all of it. */
static uint64_t
count_nodes(const struct saying *said)
{
	struct sp_reader r = sp_reader(said->payload);
	struct sp_bytes v, name, value;
	unsigned key;
	uint64_t node, last = 0;
	while (frame_next_field(&r, &key, &v)) {
		if (key != KEY_ATTRIBUTE && key != KEY_UNCLEAR)
			continue;
		bool good = read_line(v, &node, &name, &value), cut = good && sp_bytes_is(name, RECORD_CUT);
		*said->cut_r = *said->cut_r || cut || (good && !is_whole(value));
		if (!good || cut || (key == KEY_UNCLEAR && sp_bytes_is(name, "failed")))
			return 0;
		last = node > last ? node : last;
	}
	return last + 1;
}

static int
say_again(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	const struct saying *said = scope->conf;
	uint64_t nodes = count_nodes(said), at;
	int rc = nodes == 0 ? SP_EPROTO : SP_OK;
	(void)text;
	for (uint64_t node = 0; node < nodes && rc == SP_OK; node++) {
		struct sp_reader r = sp_reader(said->payload);
		struct sp_bytes v, name, value;
		unsigned key;
		rc = node == 0 ? SP_OK : sp_op_node(op);
		while (rc == SP_OK && frame_next_field(&r, &key, &v)) {
			if ((key != KEY_ATTRIBUTE && key != KEY_UNCLEAR) || !read_line(v, &at, &name, &value) || at != node)
				continue;
			rc = key == KEY_UNCLEAR ? sp_op_unclear(op, kept_word(name), value) : say_attribute(op, scope->view, name, value);
		}
	}
	return rc;
}

/* ---- keeping ---- */

static bool
are_functions(const struct policy *p)
{
	static const char *const clauses[] = { "when", "unless" };
	struct buffer json = { 0 };
	json_t *o = policy_describe(p, &json) != SP_OK ? NULL : json_loadb((const char *)buffer_bytes(&json).p, json.len, 0, NULL);
	const json_t *rule;
	size_t i;
	bool found = o == NULL;
	json_array_foreach(json_object_get(o, "rules"), i, rule)
		for (unsigned k = 0; k < 2; k++) {
			const char *first = json_string_value(json_array_get(json_object_get(rule, clauses[k]), 0));
			found = found || (first != NULL && strcmp(first, "function") == 0);
		}
	json_decref(o);
	buffer_free(&json);
	return found;
}

struct judges *
judges_new(const struct policies *p)
{
	struct judges *j = mem_alloc(sizeof(*j));
	j->p = p;
	j->texts = are_functions(p->policy);
	j->run = policy_run_new(p->policy);
	j->module = *p->module;
	j->module.classify = say_again;
	j->module.skeleton = NULL;
	return j;
}

static void
forget_masks(struct judged *o)
{
	for (struct masks_of *m = o->masks, *next; m != NULL; m = next) {
		next = m->next;
		policy_masks_free(&m->masks);
		free(m);
	}
	o->masks = NULL;
}

static void
forget(struct judges *j)
{
	for (size_t i = 0; i < SLOTS; i++) {
		for (struct judged *o = j->slot[i], *next; o != NULL; o = next) {
			next = o->next;
			forget_masks(o);
			shape_free(&o->shape);
			decision_free(&o->decision);
			free(o);
		}
		j->slot[i] = NULL;
	}
	j->n = 0;
}

void
judges_free(struct judges **jp)
{
	struct judges *j = *jp;
	*jp = NULL;
	if (j == NULL)
		return;
	forget(j);
	policy_run_free(&j->run);
	free(j);
}

/* All that rules may read, but parameters and the time; functions read texts, too. */
static void
digest_of(const struct judges *j, const struct who *who, const struct frame *f, uint8_t digest_r[DIGEST_LEN])
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	struct digest *d = digest_begin();
	unsigned key;
	digest_add(d, (struct sp_bytes){ who->digest, DIGEST_LEN });
	while (frame_next_field(&r, &key, &v)) {
		uint8_t head[5];
		struct sp_writer w = sp_writer(head, sizeof(head));
		if ((key == KEY_TEXT && !j->texts) || key == KEY_TEXT_HASH || key == KEY_PARAM)
			continue;
		sp_wr_u8(&w, (uint8_t)key);
		sp_wr_be32(&w, (uint32_t)v.len);
		digest_add(d, sp_written(&w));
		digest_add(d, v);
	}
	digest_end(&d, digest_r);
}

/* ---- judging ---- */

/* They are in the digest: whatever is like this operation has the same. */
static void
take_facts(struct judged *o, const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct arena *a = o->shape->arena;
	struct sp_bytes v;
	unsigned key;
	size_t n = 0;
	while (frame_next_field(&r, &key, &v))
		n += key == KEY_FACT;
	o->fact = arena_alloc(a, (n + 1) * sizeof(*o->fact));
	for (r = sp_reader(f->payload); o->fact != NULL && frame_next_field(&r, &key, &v);) {
		struct sp_reader line = sp_reader(v);
		struct sp_bytes name = key == KEY_FACT ? sp_rd_until(&line, '=') : v, value = sp_rd_rest(&line);
		const char *kept = key != KEY_FACT || line.bad || !is_whole(value) ? NULL : arena_string(a, name);
		o->cut = o->cut || (key == KEY_FACT && !is_whole(value));
		if (kept != NULL)
			o->fact[o->nfacts++] = (struct fact){ kept, arena_bytes(a, value) };
	}
}

static struct subject
subject_of(const struct judges *j, const struct who *who, const struct judged *o)
{
	return (struct subject){ .principal = &who->principal, .target = &who->target, .session = who->session, .address = who->address,
		.module = j->p->module->name, .fact = o->fact, .nfacts = o->nfacts, .now = who->now };
}

static void
take_params(const struct frame *f, struct arena *a, struct op *op)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	op->param = arena_alloc(a, 256 * sizeof(*op->param));
	while (op->param != NULL && frame_next_field(&r, &key, &v)) {
		struct sp_reader p = sp_reader(v);
		if (key != KEY_PARAM || op->nparams == 256)
			continue;
		struct param *to = &op->param[op->nparams++];
		to->type = sp_rd_be32(&p);
		to->format = sp_rd_be16(&p);
		to->null = (sp_rd_u8(&p) & 1) != 0;
		to->value = sp_rd_rest(&p);
	}
}

static void
set_told(struct told *t, const struct decision *d)
{
	t->said = d->what == SP_KILL ? SAID_KILL : d->what != SP_ALLOW ? SAID_DENY : d->hold ? SAID_HELD : SAID_ALLOW;
	(void)snprintf(t->rule, sizeof(t->rule), "%s", d->rule == NULL || t->said == SAID_ALLOW ? "" : d->rule[0] != '\0' ? d->rule : d->text);
}

static void
judge(struct judges *j, const struct who *who, const struct frame *f, struct judged *o)
{
	struct arena *a = arena_new(0);
	struct op op = { .shape = o->shape, .kind = o->kind };
	decision_free(&o->decision);
	o->decision = (struct decision){ .what = SP_DENY };
	o->told = (struct told){ SAID_DENY, "it could not be judged" };
	if (a != NULL) {
		take_params(f, a, &op);
		struct subject s = subject_of(j, who, o);
		if (policy_judge_whole(j->run, &s, &op, &o->decision, NULL, NULL) == SP_OK)
			set_told(&o->told, &o->decision);
	}
	o->stands = o->decision.cacheable && !o->decision.of_session && o->decision.valid_until == UINT64_MAX;
	arena_free(&a);
}

static void
describe(struct judged *o, const struct frame *f)
{
	struct sp_bytes tag = frame_get(f, KEY_TAG), v;
	struct sp_reader r = sp_reader(f->payload);
	unsigned key;
	size_t n = (size_t)snprintf(o->text, sizeof(o->text), "%.*s", (int)(tag.len < 60 ? tag.len : 60), (const char *)tag.p);
	while (frame_next_field(&r, &key, &v)) {
		static const char tables[] = ":tables=";
		const uint8_t *at = key != KEY_ATTRIBUTE ? NULL : memmem(v.p, v.len < 16 ? v.len : 16, tables, sizeof(tables) - 1);
		size_t skip = at == NULL ? 0 : (size_t)(at - v.p) + sizeof(tables) - 1;
		if (at != NULL && v.len > skip && n + 2 < sizeof(o->text))
			n += (size_t)snprintf(o->text + n, sizeof(o->text) - n, " %.*s", (int)(v.len - skip), (const char *)v.p + skip);
	}
}

static struct judged *
make(struct judges *j, const struct frame *f)
{
	struct judged *o = mem_alloc(sizeof(*o));
	const struct saying said = { f->payload, &o->cut };
	const struct sp_scope scope = { &said, j->p->module };
	struct sp_bytes kind = frame_get(f, KEY_KIND);
	(void)snprintf(o->kind, sizeof(o->kind), "%.*s", (int)(kind.len < 63 ? kind.len : 63), (const char *)kind.p);
	o->shape = shape_make(&j->module, &scope, o->kind, frame_get(f, KEY_TEXT));
	if (o->shape != NULL)
		take_facts(o, f);
	describe(o, f);
	return o;
}

struct judged *
judges_ask(struct judges *j, const struct who *who, const struct frame *f, struct told *told_r)
{
	static const char prepare[] = ".prepare";
	struct sp_bytes kind = frame_get(f, KEY_KIND);
	uint8_t digest[DIGEST_LEN];
	*told_r = (struct told){ SAID_NONE, "" };
	if (kind.len == 0 || sp_bytes_is(kind, "session") ||
	    (kind.len > sizeof(prepare) && memcmp(kind.p + kind.len - (sizeof(prepare) - 1), prepare, sizeof(prepare) - 1) == 0))
		return NULL;
	digest_of(j, who, f, digest);
	size_t slot = ((size_t)digest[0] << 8 | digest[1]) % SLOTS;
	struct judged *o = j->slot[slot];
	while (o != NULL && memcmp(o->digest, digest, DIGEST_LEN) != 0)
		o = o->next;
	if (o == NULL) {
		if (j->n == KEPT)
			forget(j);
		o = make(j, f);
		if (o->shape == NULL) {
			free(o);
			return NULL;
		}
		memcpy(o->digest, digest, DIGEST_LEN);
		o->next = j->slot[slot];
		j->slot[slot] = o;
		j->n++;
	}
	if (!o->stands)
		judge(j, who, f, o);
	*told_r = o->told;
	return o;
}

bool
judged_cut(const struct judged *o)
{
	return o->cut;
}

bool
judged_limits(const struct judged *o, const char *rule)
{
	for (size_t i = 0; i < o->decision.nlimits; i++)
		if (strcmp(o->decision.limit[i].rule, rule) == 0)
			return true;
	return false;
}

const char *
judged_text(const struct judged *o)
{
	return o->text;
}

/* ---- columns ---- */

static bool
is_called(struct sp_bytes column, struct sp_bytes name)
{
	if (name.len == 0 || column.len <= name.len)
		return false;
	const uint8_t *at = column.p + column.len - name.len;
	return at[-1] == '.' && sp_bytes_eq((struct sp_bytes){ at, name.len }, name);
}

/* Where a column of that name may come from: what the statement returns, when one of it is called so. */
static struct sp_bytes
source_of(const struct shape *s, struct sp_bytes name)
{
	struct sp_bytes found = { NULL, 0 };
	unsigned n = 0;
	for (size_t i = 0; i < s->nnodes; i++)
		for (unsigned k = 0; k < s->nattrs; k++) {
			const struct value *v = &s->node[i].value[k];
			if (s->module->attrs[k].type != SP_TYPE_COLUMNS)
				continue;
			for (size_t m = 0; m < v->n; m++) {
				const struct sp_bytes c = v->set[m];
				bool same = is_called(c, name);
				n += same && !sp_bytes_eq(found, c);
				found = same ? c : found;
			}
		}
	return n == 1 ? found : (struct sp_bytes){ NULL, 0 };
}

static struct masks_of *
mask_anew(struct judges *j, const struct who *who, struct judged *o, const struct frame *f)
{
	struct masks_of *m = mem_alloc(sizeof(*m));
	struct sp_column *c = mem_alloc(COLUMNS * sizeof(*c));
	struct op op = { .shape = o->shape, .kind = o->kind };
	struct decision d = { .what = SP_DENY };
	struct subject s = subject_of(j, who, o);
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	size_t n = 0;
	char kind[64];
	while (frame_next_field(&r, &key, &v)) {
		struct sp_reader p = sp_reader(v);
		if (key != KEY_COLUMN || n == COLUMNS)
			continue;
		(void)sp_rd_u8(&p);
		c[n].type = sp_rd_be32(&p);
		c[n].format = sp_rd_be16(&p);
		c[n].name = sp_rd_rest(&p);
		c[n].text = true;
		c[n].source = source_of(o->shape, c[n].name);
		c[n].known = c[n].source.len > 0 ? SP_SOURCE_COLUMN : SP_SOURCE_UNKNOWN;
		n++;
	}
	(void)snprintf(kind, sizeof(kind), "%.*s.result", (int)strcspn(o->kind, "."), o->kind);
	if (policy_judge_result(j->run, &s, &op, kind, c, n, &d, &m->masks) != SP_OK || d.what != SP_ALLOW) {
		m->refused = true;
		(void)snprintf(m->rule, sizeof(m->rule), "%s", d.rule == NULL ? "" : d.rule);
	}
	decision_free(&d);
	free(c);
	m->next = o->masks;
	o->masks = m;
	return m;
}

int
judges_columns(struct judges *j, const struct who *who, struct judged *o, const struct frame *f,
    void (*each)(void *owner, struct sp_bytes name, bool was, const char *rule), void *owner)
{
	uint8_t digest[DIGEST_LEN];
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	size_t n = 0;
	digest_sha256(f->payload, digest);
	if (!o->stands)
		forget_masks(o);
	struct masks_of *m = o->masks;
	while (m != NULL && memcmp(m->digest, digest, DIGEST_LEN) != 0)
		m = m->next;
	if (m == NULL) {
		m = mask_anew(j, who, o, f);
		memcpy(m->digest, digest, DIGEST_LEN);
	}
	while (frame_next_field(&r, &key, &v)) {
		if (key != KEY_COLUMN || v.len < 7)
			continue;
		const struct sp_mask *mask = m->refused || n >= COLUMNS ? NULL : policy_mask(m->masks, n);
		bool hides = mask != NULL && sp_mask_kind(mask) != SP_MASK_DETECT;
		each(owner, (struct sp_bytes){ v.p + 7, v.len - 7 }, v.p[0] != 0, m->refused ? m->rule : hides ? policy_mask_rule(m->masks, n) : "");
		n++;
	}
	return SP_OK;
}
