/* SPDX-License-Identifier: Apache-2.0 */
/* From words to typed values, by tables: every row checks itself, and a mistake names its nearest. */
#include <config.h>

#include "directive.h"

#include <stdio.h>

#include "clock.h"
#include "log.h"

enum { MAX_ROWS = 64, VALUE_LEN = 160 };

struct fill {
	struct arena *arena;
	const char *file;  /* of the directive at hand */
	unsigned line;
	const struct directive *top;
	const char **err_r;
};

#define FAIL(f, ...) conf_error((f)->arena, (f)->err_r, (f)->file, (f)->line, __VA_ARGS__)
#define QUOTE(word) log_quote(sp_str(word))

static int
no_memory(struct fill *f)
{
	*f->err_r = "the configuration takes more memory than it may";
	return SP_ENOMEM;
}

/* ---- numbers ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "b", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 }, { "t", UINT64_C(1) << 40 }, { NULL, 0 },
};

static const struct unit time_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 24 * 3600 * 1000 }, { NULL, 0 },
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

/* Digits off the front of *word, at least one. */
static int
take_digits(const char **word, uint64_t *n_r)
{
	const char *p = *word;
	uint64_t n = 0;
	*n_r = 0;
	if (*p < '0' || *p > '9')
		return SP_ECONF;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (n > (INT64_MAX - digit) / 10)
			return SP_ECONF;
		n = n * 10 + digit;
	}
	*word = p;
	*n_r = n;
	return SP_OK;
}

static int
take_unit(const char *name, const struct unit *units, uint64_t n, uint64_t *n_r)
{
	*n_r = 0;
	for (; units->name != NULL; units++) {
		if (strcmp(name, units->name) != 0)
			continue;
		if (n > INT64_MAX / units->factor)
			return SP_ECONF;
		*n_r = n * units->factor;
		return SP_OK;
	}
	return SP_ECONF;
}

static int
parse_number(const char *word, const struct unit *units, uint64_t *n_r)
{
	uint64_t n;
	*n_r = 0;
	if (units != no_units && strcmp(word, "off") == 0)
		return SP_OK;
	if (take_digits(&word, &n) != SP_OK)
		return SP_ECONF;
	return take_unit(word, units, n, n_r);
}

int
directive_duration(const char *word, uint64_t *ms_r)
{
	return parse_number(word, time_units, ms_r);
}

int
directive_moment(const char *word, uint64_t *wall_us_r)
{
	uint64_t ms, now = clock_wall_us();
	if (clock_parse(word, wall_us_r))
		return SP_OK;
	if (directive_duration(word, &ms) != SP_OK)
		return SP_ECONF;
	*wall_us_r = ms < now / 1000 ? now - ms * 1000 : 0;
	return SP_OK;
}

int
directive_size(const char *word, uint64_t *bytes_r)
{
	return parse_number(word, size_units, bytes_r);
}

int
directive_rate(const char *word, uint64_t *count_r, uint64_t *ms_r)
{
	uint64_t n = 1;
	*ms_r = 0;
	if (take_digits(&word, count_r) != SP_OK || *word++ != '/')
		return SP_ECONF;
	if (*word >= '0' && *word <= '9' && take_digits(&word, &n) != SP_OK)
		return SP_ECONF;
	if (take_unit(word, time_units, n, ms_r) != SP_OK || *count_r == 0 || *ms_r == 0)
		return SP_ECONF;
	return SP_OK;
}

int
directive_pair(struct arena *a, const char *word, const char **key_r, const char **value_r)
{
	struct sp_reader r = sp_reader(sp_str(word));
	struct sp_bytes key = sp_rd_until(&r, '=');
	*key_r = *value_r = NULL;
	if (r.bad || key.len == 0)
		return SP_ECONF;
	*key_r = arena_string(a, key);
	*value_r = arena_string(a, sp_rd_rest(&r));
	return *key_r == NULL || *value_r == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- one value ---- */

static int
set_string(struct fill *f, const struct directive *d, const char *word, void *at)
{
	(void)d;
	const char *copy = arena_string(f->arena, sp_str(word));
	*(const char **)at = copy;
	return copy == NULL ? no_memory(f) : SP_OK;
}

static int
set_bool(struct fill *f, const struct directive *d, const char *word, void *at)
{
	bool on = strcmp(word, "on") == 0;
	*(bool *)at = on;
	if (on || strcmp(word, "off") == 0)
		return SP_OK;
	return FAIL(f, "\"%s\" is on or off, not \"%s\"", d->name, QUOTE(word));
}

static int
set_int(struct fill *f, const struct directive *d, const char *word, void *at)
{
	if ((d->flags & DIR_AUTO) != 0 && strcmp(word, "auto") == 0)
		return *(uint64_t *)at = 0, SP_OK;
	if (parse_number(word, no_units, at) == SP_OK)
		return SP_OK;
	return FAIL(f, "\"%s\" takes a whole number%s, not \"%s\"", d->name, d->flags & DIR_AUTO ? " or auto" : "", QUOTE(word));
}

static int
set_size(struct fill *f, const struct directive *d, const char *word, void *at)
{
	if (directive_size(word, at) == SP_OK)
		return SP_OK;
	return FAIL(f, "\"%s\" takes a size with its unit (512b, 64k, 16m, 2g), not \"%s\"", d->name, QUOTE(word));
}

static int
set_duration(struct fill *f, const struct directive *d, const char *word, void *at)
{
	if (directive_duration(word, at) == SP_OK)
		return SP_OK;
	return FAIL(f, "\"%s\" takes a time with its unit (50ms, 30s, 10m, 8h, 90d), not \"%s\"", d->name, QUOTE(word));
}

static int
set_choice(struct fill *f, const struct directive *d, const char *word, void *at)
{
	char all[VALUE_LEN] = "";
	size_t len = 0;
	for (unsigned i = 0; d->choices[i] != NULL; i++) {
		if (strcmp(word, d->choices[i]) == 0)
			return *(unsigned *)at = i, SP_OK;
		int n = snprintf(all + len, sizeof(all) - len, "%s%s", i == 0 ? "" : ", ", d->choices[i]);
		if (n > 0 && (size_t)n < sizeof(all) - len)
			len += (size_t)n;
	}
	return FAIL(f, "\"%s\" is one of %s, not \"%s\"", d->name[0] == ':' ? d->name + 1 : d->name, all, QUOTE(word));
}

/* A comma list in one word. */
static int
set_list(struct fill *f, const struct directive *d, const char *word, void *at)
{
	struct sp_strings *set = at;
	size_t n = 1;
	for (const char *p = word; *p != '\0'; p++)
		n += *p == ',';
	const char **v = arena_alloc(f->arena, (n + 1) * sizeof(*v));
	if (v == NULL)
		return no_memory(f);
	*set = (struct sp_strings){ v, 0 };
	if (word[0] == '\0')
		return SP_OK;
	struct sp_reader r = sp_reader(sp_str(word));
	for (size_t i = 0; i < n; i++) {
		struct sp_bytes one = i + 1 < n ? sp_rd_until(&r, ',') : sp_rd_rest(&r);
		if (one.len == 0)
			return FAIL(f, "\"%s\" has an empty word in its list", d->name);
		if ((v[i] = arena_string(f->arena, one)) == NULL)
			return no_memory(f);
	}
	set->n = n;
	return SP_OK;
}

static const struct {
	enum directive_type type;
	int (*set)(struct fill *f, const struct directive *d, const char *word, void *at);
	const char *shape; /* for the manual */
} value_types[] = {
	{ DIR_STRING, set_string, "*text*" },
	{ DIR_BOOL, set_bool, "`on` or `off`" },
	{ DIR_INT, set_int, "*number*" },
	{ DIR_SIZE, set_size, "*size*" },
	{ DIR_DURATION, set_duration, "*time*" },
	{ DIR_STRINGS, set_list, "*list*" },
	{ DIR_CHOICE, set_choice, "" },
};
enum { VALUE_TYPES = sizeof(value_types) / sizeof(value_types[0]) };

/* Sets a plain value from one word.  An empty default is the zero of its type. */
static int
set_value(struct fill *f, const struct directive *d, const char *word, void *at)
{
	bool empty = word[0] == '\0';
	for (unsigned i = 0; i < VALUE_TYPES; i++) {
		if (value_types[i].type != d->type)
			continue;
		if (empty && d->type != DIR_STRING && d->type != DIR_STRINGS)
			return FAIL(f, "\"%s\" has an empty value", d->name);
		return value_types[i].set(f, d, word, at);
	}
	return FAIL(f, "\"%s\" can't have a value", d->name);
}

/* ---- defaults ---- */

static void *
member(void *into, const struct directive *d)
{
	return (char *)into + d->offset;
}

static int
set_absent(struct fill *f, const struct directive *d, void *into)
{
	const char *dflt = d->dflt == NULL ? "" : d->dflt;
	if (d->type == DIR_PARAMS || d->type == DIR_GROUP) {
		int rc = SP_OK;
		for (const struct directive *p = d->params; p->name != NULL && rc == SP_OK; p++)
			rc = set_absent(f, p, member(into, d));
		return rc;
	}
	if (d->type == DIR_PAIRS || d->type == DIR_BLOCK || d->type == DIR_FLAG)
		return SP_OK; /* zeroed is empty */
	if (dflt[0] == '\0' && d->type != DIR_STRING && d->type != DIR_STRINGS)
		return SP_OK;
	return set_value(f, d, dflt, member(into, d));
}

/* ---- key=value words ---- */

static const struct directive *
find_row(const struct directive *table, const char *name)
{
	for (const struct directive *d = table; d->name != NULL; d++)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static const char *
nearest_row(const struct directive *table, const char *word)
{
	const char *names[MAX_ROWS + 1];
	unsigned n = 0;
	for (const struct directive *d = table; d->name != NULL && n < MAX_ROWS; d++)
		if (d->name[0] != ':')
			names[n++] = d->name;
	names[n] = NULL;
	return conf_nearest(word, names);
}

static bool
is_key(const char *key)
{
	return key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

struct params { /* one DIR_PARAMS directive being filled */
	const struct directive *owner;
	const struct conf_node *node;
	unsigned next; /* word */
	uint64_t seen; /* bit per row */
	void *into;
};

static int
unknown_word(struct fill *f, const struct params *p, const char *key, const char *equals)
{
	const char *near = nearest_row(p->owner->params, key);
	if (near == NULL)
		return FAIL(f, "unknown argument \"%s%s\" of \"%s\"", QUOTE(key), equals, p->owner->name);
	return FAIL(f, "unknown argument \"%s%s\" of \"%s\", did you mean \"%s%s\"?", QUOTE(key), equals, p->owner->name, near,
	    find_row(p->owner->params, near)->type == DIR_FLAG ? "" : "=");
}

static int
mark_seen(struct fill *f, struct params *p, const struct directive *row)
{
	uint64_t bit = UINT64_C(1) << (row - p->owner->params);
	if ((p->seen & bit) != 0)
		return FAIL(f, "\"%s\" is given twice in \"%s\"", row->name, p->owner->name);
	p->seen |= bit;
	return SP_OK;
}

/* The next row for a bare word that is not yet filled, or NULL. */
static const struct directive *
positional_row(const struct params *p)
{
	for (const struct directive *d = p->owner->params; d->name != NULL; d++)
		if (d->name[0] == ':' && (p->seen & UINT64_C(1) << (d - p->owner->params)) == 0)
			return d;
	return NULL;
}

static int
fill_bare(struct fill *f, struct params *p, const char *word)
{
	const struct directive *row = find_row(p->owner->params, word);
	bool named = row != NULL && (row->type == DIR_FLAG || row->type == DIR_BOOL) && word[0] != ':';
	if (!named)
		row = positional_row(p);
	if (row == NULL)
		return unknown_word(f, p, word, "");
	int rc = mark_seen(f, p, row);
	if (rc != SP_OK)
		return rc;
	if (row->type == DIR_FLAG)
		return *(bool *)member(p->into, row) = true, SP_OK;
	if (!named)
		return set_value(f, row, word, member(p->into, row));
	if (p->next == p->node->nargs)
		return FAIL(f, "\"%s\" needs on or off after it", row->name);
	return set_value(f, row, p->node->args[p->next++], member(p->into, row));
}

static int
fill_word(struct fill *f, struct params *p)
{
	const char *word = p->node->args[p->next++], *key, *value;
	int rc = directive_pair(f->arena, word, &key, &value);
	if (rc == SP_ENOMEM)
		return no_memory(f);
	if (rc != SP_OK || !is_key(key))
		return fill_bare(f, p, word);
	const struct directive *row = find_row(p->owner->params, key);
	if (row == NULL || row->type == DIR_FLAG)
		return unknown_word(f, p, key, "=");
	rc = mark_seen(f, p, row);
	return rc != SP_OK ? rc : set_value(f, row, value, member(p->into, row));
}

static int
fill_params(struct fill *f, const struct directive *d, const struct conf_node *node, void *into)
{
	struct params p = { .owner = d, .node = node, .into = member(into, d) };
	while (p.next < node->nargs) {
		int rc = fill_word(f, &p);
		if (rc != SP_OK)
			return rc;
	}
	for (const struct directive *row = d->params; row->name != NULL; row++) {
		if ((p.seen & UINT64_C(1) << (row - d->params)) != 0)
			continue;
		if (row->dflt == NULL && row->type != DIR_FLAG)
			return FAIL(f, "\"%s\" needs %s%s", d->name, row->name[0] == ':' ? "a " : "",
			    row->name[0] == ':' ? row->name + 1 : arena_printf(f->arena, "\"%s=\"", row->name));
		int rc = set_absent(f, row, p.into);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

static int
fill_pairs(struct fill *f, const struct directive *d, const struct conf_node *node, void *at)
{
	struct pairs *pairs = at;
	const char **key = arena_alloc(f->arena, (node->nargs + 1) * sizeof(*key));
	const char **value = arena_alloc(f->arena, (node->nargs + 1) * sizeof(*value));
	if (key == NULL || value == NULL)
		return no_memory(f);
	for (unsigned i = 0; i < node->nargs; i++) {
		int rc = directive_pair(f->arena, node->args[i], &key[i], &value[i]);
		if (rc == SP_ENOMEM)
			return no_memory(f);
		if (rc != SP_OK || value[i][0] == '\0')
			return FAIL(f, "\"%s\" takes words like name=value, not \"%s\"", d->name, QUOTE(node->args[i]));
		for (unsigned k = 0; k < i; k++)
			if (strcmp(key[k], key[i]) == 0)
				return FAIL(f, "\"%s\" is given twice in \"%s\"", QUOTE(key[i]), d->name);
	}
	*pairs = (struct pairs){ key, value, node->nargs };
	return SP_OK;
}

/* ---- directives ---- */

/* All words of a directive, after those it has already. */
static int
fill_strings(struct fill *f, const struct directive *d, const struct conf_node *node, void *at)
{
	struct sp_strings *set = at;
	if (node->nargs == 0)
		return FAIL(f, "\"%s\" needs a value", d->name);
	const char **v = arena_alloc(f->arena, (set->n + node->nargs + 1) * sizeof(*v));
	if (v == NULL)
		return no_memory(f);
	for (size_t i = 0; i < set->n; i++)
		v[i] = set->v[i];
	for (unsigned i = 0; i < node->nargs; i++) {
		if (node->args[i][0] == '\0')
			return FAIL(f, "\"%s\" has an empty word", d->name);
		v[set->n + i] = node->args[i];
	}
	*set = (struct sp_strings){ v, set->n + node->nargs };
	return SP_OK;
}

static int
fill_group(struct fill *f, const struct directive *d, const struct conf_node *node, void *into)
{
	if (node->nargs > 0)
		return FAIL(f, "\"%s\" takes a block only, not \"%s\"", d->name, QUOTE(node->args[0]));
	struct place place = { node->child, node->file, node->line, (d->flags & DIR_OPEN) != 0, f->top };
	return directive_fill(f->arena, d->params, &place, member(into, d), f->err_r);
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len && name[0] != '-';
}

static int
fill_block(struct fill *f, const struct directive *d, const struct conf_node *node, void *into)
{
	struct conf_block **tail = member(into, d);
	if (node->nargs != 1 || !is_name(node->args[0]))
		return FAIL(f, "\"%s\" takes one name of a-z, 0-9, _ and -, and a block", d->name);
	for (; *tail != NULL; tail = &(*tail)->next)
		if (strcmp((*tail)->name, node->args[0]) == 0)
			return FAIL(f, "there is another %s \"%s\" at %s:%u", d->name, node->args[0], (*tail)->file, (*tail)->line);
	struct conf_block *b = arena_alloc(f->arena, d->size);
	if (b == NULL)
		return no_memory(f);
	*b = (struct conf_block){ .name = node->args[0], .file = node->file, .line = node->line, .node = node };
	*tail = b;
	struct place place = { node->child, node->file, node->line, (d->flags & DIR_OPEN) != 0, f->top };
	return directive_fill(f->arena, d->params, &place, b, f->err_r);
}

static int
fill_directive(struct fill *f, const struct directive *d, const struct conf_node *node, void *into)
{
	bool wants_block = d->type == DIR_GROUP || d->type == DIR_BLOCK;
	if (node->block != wants_block)
		return FAIL(f, wants_block ? "\"%s\" needs a block { }" : "\"%s\" takes no block", d->name);
	switch (d->type) {
	case DIR_BLOCK:
		return fill_block(f, d, node, into);
	case DIR_GROUP:
		return fill_group(f, d, node, into);
	case DIR_PARAMS:
		if (node->nargs == 0)
			return FAIL(f, "\"%s\" needs arguments", d->name);
		return fill_params(f, d, node, into);
	case DIR_PAIRS:
		if (node->nargs == 0)
			return FAIL(f, "\"%s\" needs arguments", d->name);
		return fill_pairs(f, d, node, member(into, d));
	case DIR_STRINGS:
		return fill_strings(f, d, node, member(into, d));
	default:
		break;
	}
	if (node->nargs != 1)
		return FAIL(f, "\"%s\" takes one value, and has %u", d->name, node->nargs);
	return set_value(f, d, node->args[0], member(into, d));
}

static int
unknown_directive(struct fill *f, const char *name, const char *near)
{
	if (near == NULL)
		return FAIL(f, "unknown directive \"%s\"", QUOTE(name));
	return FAIL(f, "unknown directive \"%s\", did you mean \"%s\"?", QUOTE(name), near);
}

/* Says where a directive stands that has this name, or nearly so, in another block than `table`; false: there is none. */
static bool
known_elsewhere(struct fill *f, const struct directive *table, const char *name, bool nearly)
{
	for (const struct directive *d = f->top; d->name != NULL; d++) {
		bool block = d->type == DIR_GROUP || d->type == DIR_BLOCK;
		const struct directive *rows = block ? d->params : NULL;
		const char *found = rows == NULL || rows == table ? NULL : nearly ? nearest_row(rows, name) : find_row(rows, name) == NULL ? NULL : name;
		if (found == NULL)
			continue;
		if (nearly)
			(void)FAIL(f, "unknown directive \"%s\", did you mean \"%s\"? It belongs in \"%s%s { }\"", QUOTE(name), found, d->name,
			    d->type == DIR_BLOCK ? " NAME" : "");
		else
			(void)FAIL(f, "\"%s\" belongs in \"%s%s { }\"", found, d->name, d->type == DIR_BLOCK ? " NAME" : "");
		return true;
	}
	return false;
}

/* near: the nearest that could stand here, or NULL. */
static int
misplaced(struct fill *f, const struct directive *table, const char *name, const char *near)
{
	if (table != f->top && find_row(f->top, name) != NULL)
		return FAIL(f, "\"%s\" belongs outside of all blocks", name);
	if (known_elsewhere(f, table, name, false) || (near == NULL && known_elsewhere(f, table, name, true)))
		return SP_ECONF;
	return unknown_directive(f, name, near);
}

static bool
may_repeat(const struct directive *d)
{
	return d->type == DIR_BLOCK || (d->flags & DIR_MANY) != 0;
}

static int
fill_given(struct fill *f, const struct directive *table, const struct place *place, void *into, const struct conf_node **seen)
{
	for (const struct conf_node *node = place->first; node != NULL; node = node->next) {
		const struct directive *d = find_row(table, node->name);
		f->file = node->file;
		f->line = node->line;
		if (d == NULL && place->open)
			continue;
		if (d == NULL)
			return misplaced(f, table, node->name, nearest_row(table, node->name));
		const struct conf_node *before = seen[d - table];
		if (before != NULL && !may_repeat(d))
			return FAIL(f, "\"%s\" is given twice, first at %s:%u", d->name, before->file, before->line);
		seen[d - table] = node;
		int rc = fill_directive(f, d, node, into);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

int
directive_fill(struct arena *a, const struct directive *table, const struct place *place, void *into, const char **err_r)
{
	const struct conf_node *seen[MAX_ROWS] = { NULL };
	struct fill f = { .arena = a, .top = place->top == NULL ? table : place->top, .err_r = err_r };
	int rc = fill_given(&f, table, place, into, seen);
	f.file = place->file;
	f.line = place->line;
	for (const struct directive *d = table; d->name != NULL && rc == SP_OK; d++) {
		if (seen[d - table] != NULL)
			continue;
		bool optional = d->dflt != NULL || d->type == DIR_BLOCK || d->type == DIR_GROUP || d->type == DIR_FLAG;
		rc = optional ? set_absent(&f, d, into) : FAIL(&f, "\"%s\" is missing", d->name);
	}
	return rc;
}

/* ---- modules ---- */

static const struct sp_directive *
find_module_row(const struct sp_directive *table, const char *name)
{
	for (const struct sp_directive *d = table; d != NULL && d->name != NULL; d++)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static struct directive
as_directive(const struct sp_directive *d)
{
	return (struct directive){ .name = d->name, .type = (enum directive_type)d->type, .offset = d->offset, .dflt = d->dflt,
		.help = d->help };
}

static const char *
where_names(unsigned where)
{
	static const char *const names[] = { "nowhere", "the module's block", "a listener", "the module's block or a listener",
		"a target", "the module's block or a target", "a listener or a target",
		"the module's block, a listener or a target" };
	return names[where & 7];
}

static int
unknown_in_module(struct fill *f, const struct sp_directive *table, const struct module_place *place, const char *name)
{
	const char *names[2 * MAX_ROWS + 1];
	unsigned n = 0;
	for (const struct sp_directive *d = table; d != NULL && d->name != NULL && n < MAX_ROWS; d++)
		if ((d->where & place->where) != 0)
			names[n++] = d->name;
	for (const struct directive *d = place->core; d != NULL && d->name != NULL && n < 2 * MAX_ROWS; d++)
		names[n++] = d->name;
	names[n] = NULL;
	f->top = place->top;
	if (f->top != NULL && place->core != NULL)
		return misplaced(f, place->core, name, conf_nearest(name, names));
	return unknown_directive(f, name, conf_nearest(name, names));
}

static int
fill_module_place(struct fill *f, const struct sp_directive *table, const struct module_place *place, void *into)
{
	for (const struct conf_node *node = place->first; node != NULL; node = node->next) {
		f->file = node->file;
		f->line = node->line;
		if (place->core != NULL && find_row(place->core, node->name) != NULL)
			continue;
		const struct sp_directive *row = find_module_row(table, node->name);
		if (row == NULL)
			return unknown_in_module(f, table, place, node->name);
		if ((row->where & place->where) == 0)
			return FAIL(f, "\"%s\" belongs in %s", row->name, where_names(row->where));
		for (const struct conf_node *before = place->first; before != node; before = before->next)
			if (strcmp(before->name, node->name) == 0)
				return FAIL(f, "\"%s\" is given twice, first at %s:%u", row->name, before->file, before->line);
		struct directive d = as_directive(row);
		if (d.type == DIR_STRINGS) /* a later place replaces, it does not add */
			*(struct sp_strings *)member(into, &d) = (struct sp_strings){ NULL, 0 };
		int rc = fill_directive(f, &d, node, into);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

static bool
given_anywhere(const char *name, const struct module_place *place, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (const struct conf_node *node = place[i].first; node != NULL; node = node->next)
			if (strcmp(node->name, name) == 0)
				return true;
	return false;
}

/* The last place at hand where a row may stand: that is where it is missed. */
static const struct module_place *
place_for(unsigned where, const struct module_place *place, size_t n)
{
	const struct module_place *found = NULL;
	for (size_t i = 0; i < n; i++)
		if ((where & place[i].where) != 0)
			found = &place[i];
	return found;
}

int
directive_fill_module(struct arena *a, const struct sp_directive *table, const struct module_place *place, size_t n,
    void *into, const char **err_r)
{
	struct fill f = { .arena = a, .file = n == 0 ? "module" : place[0].file, .line = n == 0 ? 0 : place[0].line, .err_r = err_r };
	for (const struct sp_directive *row = table; row != NULL && row->name != NULL; row++) {
		struct directive d = as_directive(row);
		int rc = set_absent(&f, &d, into);
		if (rc != SP_OK)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		int rc = fill_module_place(&f, table, &place[i], into);
		if (rc != SP_OK)
			return rc;
	}
	for (const struct sp_directive *row = table; row != NULL && row->name != NULL; row++) {
		const struct module_place *missing_in = place_for(row->where, place, n);
		if (row->dflt == NULL && missing_in != NULL && !given_anywhere(row->name, place, n))
			return conf_error(a, err_r, missing_in->file, missing_in->line, "\"%s\" is missing", row->name);
	}
	return SP_OK;
}

/* ---- the manual ---- */

int
manual_cell(const char *text, struct buffer *out)
{
	int rc = SP_OK;
	for (; *text != '\0' && rc == SP_OK; text++)
		rc = buffer_printf(out, *text == '|' ? "\\%c" : "%c", *text);
	return rc;
}

static int
put_shape(const struct directive *d, struct buffer *out)
{
	if (d->type == DIR_PAIRS)
		return buffer_printf(out, "*name*`=`*value* …");
	if (d->type == DIR_GROUP || d->type == DIR_BLOCK)
		return buffer_printf(out, d->type == DIR_BLOCK ? "*name* `{ … }`" : "`{ … }`");
	for (unsigned i = 0; d->choices != NULL && d->choices[i] != NULL; i++)
		if (buffer_printf(out, "%s`%s`", i == 0 ? "" : ", ", d->choices[i]) != SP_OK)
			return SP_ENOMEM;
	for (unsigned i = 0; i < VALUE_TYPES; i++)
		if (value_types[i].type == d->type)
			return buffer_printf(out, "%s%s", value_types[i].shape, (d->flags & DIR_AUTO) != 0 ? " or `auto`" : "");
	return SP_OK;
}

static int
put_default(const struct directive *d, struct buffer *out)
{
	if (d->type == DIR_FLAG || d->type == DIR_PARAMS || d->type == DIR_GROUP || d->type == DIR_BLOCK)
		return SP_OK;
	if (d->dflt == NULL)
		return buffer_printf(out, "must be given");
	return d->dflt[0] == '\0' ? SP_OK : buffer_printf(out, "`%s`", d->dflt);
}

/* One row of a table; owner: the DIR_PARAMS directive that d is an argument of. */
static int
put_row(const struct directive *d, const struct directive *owner, struct buffer *out)
{
	bool bare = d->name[0] == ':';
	const char *name = bare ? "" : d->name, *equals = owner == NULL || bare || d->type == DIR_FLAG ? "" : "=";
	if (buffer_printf(out, "| %s`%s%s%s%s` | ", owner == NULL ? "" : "… ", owner == NULL ? "" : owner->name,
		owner == NULL || bare ? "" : " ", name, equals) != SP_OK ||
	    put_shape(d, out) != SP_OK || buffer_printf(out, " | ") != SP_OK || put_default(d, out) != SP_OK ||
	    buffer_printf(out, " | ") != SP_OK || manual_cell(d->help, out) != SP_OK)
		return SP_ENOMEM;
	return buffer_printf(out, " |\n");
}

static int
put_rows(const struct directive *table, struct buffer *out)
{
	for (const struct directive *d = table; d->name != NULL; d++) {
		int rc = put_row(d, NULL, out);
		for (const struct directive *p = d->type == DIR_PARAMS ? d->params : NULL; p != NULL && p->name != NULL && rc == SP_OK; p++)
			rc = put_row(p, d, out);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

#define MANUAL_HEAD "| directive | value | default | what it does |\n|---|---|---|---|\n"

int
directive_manual(const struct directive *table, const char *context, struct buffer *out)
{
	if (buffer_printf(out, "\n## %s\n\n" MANUAL_HEAD, context) != SP_OK || put_rows(table, out) != SP_OK)
		return SP_ENOMEM;
	for (const struct directive *d = table; d->name != NULL; d++) {
		char title[80];
		if ((d->type != DIR_GROUP && d->type != DIR_BLOCK) || d->params[0].name == NULL)
			continue; /* a block that is all the module's has no rows here */
		(void)snprintf(title, sizeof(title), d->type == DIR_BLOCK ? "In `%s NAME { … }`" : "In `%s { … }`", d->name);
		int rc = directive_manual(d->params, title, out);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

int
directive_manual_module(const struct sp_directive *table, struct buffer *out)
{
	if (buffer_printf(out, "| directive | value | default | stands in | what it does |\n|---|---|---|---|---|\n") != SP_OK)
		return SP_ENOMEM;
	for (const struct sp_directive *row = table; row != NULL && row->name != NULL; row++) {
		struct directive d = as_directive(row);
		if (buffer_printf(out, "| `%s` | ", d.name) != SP_OK || put_shape(&d, out) != SP_OK ||
		    buffer_printf(out, " | ") != SP_OK || put_default(&d, out) != SP_OK ||
		    buffer_printf(out, " | %s | ", where_names(row->where)) != SP_OK || manual_cell(d.help, out) != SP_OK ||
		    buffer_printf(out, " |\n") != SP_OK)
			return SP_ENOMEM;
	}
	return SP_OK;
}
