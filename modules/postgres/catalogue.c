/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the target's names on a side session, and asking for the source of a column. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "catalogue.h"

#include "attributes.h"

#include <stdlib.h>
#include <time.h>

#define SCOPES 32u        /* different views of the names that are told apart and shared */
#define SCOPE_MAX 1024u
#define SOURCE_MAX (3 * 2 * PG_NAME_MAX + 3) /* schema.table.column, every byte escaped */

enum stage { EMPTY, LOADING, READY, FAILED };

struct scope {
	uint64_t number;
	size_t len;
	uint8_t bytes[SCOPE_MAX];
};

struct catalogue {
	struct pg_names *names;      /* counted; NULL until the first reading */
	struct pg_names_builder *builder;
	enum stage stage;
	unsigned query;              /* enum pg_names_query under way */
	struct sp_session *side;     /* NULL: none */
	bool side_ready;
	time_t missing;              /* when it was last read for a table that it lacked */
	bool wanted;                 /* LOADING, but the side session has yet to begin */
	struct pg *members;
	uint64_t asked, began, done; /* readings: wished for, the last that began, the last that ended */
	struct scope *scope;         /* SCOPES of them, at first need */
	unsigned scopes;
};

static uint64_t numbers; /* versions of anything in this worker */

static void
catalogue_end(void *block)
{
	struct catalogue *c = block;
	pg_names_free(&c->names);
	pg_names_abandon(&c->builder);
	free(c->scope);
}

static struct catalogue *
catalogue_of(struct pg *p)
{
	if (p->catalogue == NULL)
		p->catalogue = sp_target_block(p->s, sizeof(struct catalogue), catalogue_end);
	return p->catalogue;
}

static void
wake_members(struct catalogue *c)
{
	for (struct pg *p = c->members; p != NULL; p = p->next_member)
		sp_wake(p->s);
}

/* ---- reading ---- */

static int
send_query(struct pg *side, struct catalogue *c)
{
	struct sp_bytes text = sp_str(pg_names_sql[c->query]);
	if (pg_expect_own(side, OWN_CATALOGUE, 'Z') == NULL)
		return SP_EINTERNAL;
	int rc = sp_own_statement(side->s, text);
	return rc != SP_OK ? rc : pg_write_cstr(pg_out(side, SP_TARGET), 'Q', text);
}

static int
reading_begin(struct pg *side, struct catalogue *c)
{
	pg_names_abandon(&c->builder);
	c->builder = pg_names_begin(0);
	if (c->builder == NULL)
		return SP_ENOMEM;
	c->stage = LOADING;
	c->began = c->asked;
	c->wanted = false;
	c->query = 0;
	return send_query(side, c);
}

/*
 * Begin a reading when one is wished for and none is under way.  An existing side session begins
 * it in a turn of its own: here it is not the one that runs, and must not be written to.
 */
static void
reading_want(struct pg *p, struct catalogue *c)
{
	if (c->stage == LOADING || c->asked == c->done)
		return;
	c->stage = LOADING;
	c->began = c->asked;
	c->wanted = c->side != NULL;
	if (c->side != NULL) {
		sp_wake(c->side);
		return;
	}
	c->side_ready = false;
	c->side = sp_side_session(p->s, "catalogue", NULL);
	if (c->side == NULL) {
		c->stage = FAILED;
		c->done = c->began;
	}
}

int
pg_catalogue_turn(struct pg *p)
{
	struct catalogue *c = p->catalogue;
	bool begin = c != NULL && c->side == p->s && c->wanted && c->side_ready && pg_settled(p);
	return begin ? reading_begin(p, c) : SP_OK;
}

static void
reading_end(struct catalogue *c, bool ok)
{
	c->done = c->began;
	c->stage = ok ? READY : FAILED;
	wake_members(c);
}

int
pg_catalogue_ready(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	if (c == NULL || strcmp(sp_purpose(p->s), "catalogue") != 0)
		return SP_EINTERNAL;
	c->side_ready = true;
	return reading_begin(p, c);
}

int
pg_catalogue_row(struct pg *p, struct sp_bytes body)
{
	struct catalogue *c = catalogue_of(p);
	struct sp_bytes field[16];
	struct sp_reader r = sp_reader(body);
	unsigned n = sp_rd_be16(&r);
	if (n != pg_names_fields[c->query] || n > 16 || !pg_row_fits(body, (uint16_t)n))
		return SP_EPROTO;
	for (unsigned i = 0; i < n; i++) {
		struct pg_value v = pg_next_value(&r);
		field[i] = v.null ? (struct sp_bytes){ NULL, 0 } : v.bytes;
	}
	return pg_names_feed(c->builder, (enum pg_names_query)c->query, field, n);
}

int
pg_catalogue_next(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	if (c->wanted)
		return reading_begin(p, c);
	if (c->stage != LOADING)
		return SP_OK; /* failed; its ReadyForQuery */
	if (++c->query < PG_NAMES_QUERIES)
		return send_query(p, c);
	struct pg_names *names = pg_names_finish(&c->builder, ++numbers);
	if (names == NULL) {
		reading_end(c, false);
		return SP_OK;
	}
	pg_names_free(&c->names);
	c->names = names;
	reading_end(c, true);
	if (c->asked != c->done)
		return reading_begin(p, c);
	return SP_OK;
}

int
pg_catalogue_failed(struct pg *p, const char *code)
{
	struct catalogue *c = catalogue_of(p);
	sp_log(p->s, SP_WARN, "the target's catalogue could not be read: %s", code);
	pg_names_abandon(&c->builder);
	reading_end(c, false);
	return SP_OK;
}

/* ---- members ---- */

static void
side_closed(struct pg *p)
{
	struct catalogue *c = p->catalogue;
	if (c == NULL || c->side != p->s)
		return;
	c->side = NULL;
	c->side_ready = c->wanted = false;
	if (c->stage == LOADING)
		reading_end(c, false);
}

int
pg_catalogue_join(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	if (c == NULL)
		return SP_ENOMEM;
	if (!p->joined) {
		p->joined = true;
		p->next_member = c->members;
		c->members = p;
		if (c->names == NULL && c->stage != LOADING)
			p->reading = ++c->asked;
		else
			p->reading = c->asked;
		reading_want(p, c);
	}
	if (c->names != NULL)
		return PG_PASS;
	if (c->stage == LOADING)
		return PG_WAIT;
	return pg_fatal(p, "08006", "the target's catalogue could not be read");
}

void
pg_catalogue_leave(struct pg *p)
{
	struct catalogue *c = p->catalogue;
	if (strcmp(sp_purpose(p->s), "catalogue") == 0) {
		(void)catalogue_of(p);
		side_closed(p);
		return;
	}
	if (c == NULL || !p->joined)
		return;
	struct pg **at = &c->members;
	while (*at != NULL && *at != p)
		at = &(*at)->next_member;
	if (*at == p)
		*at = p->next_member;
	p->joined = false;
}

const struct pg_names *
pg_catalogue_names(const struct pg *p)
{
	return p->catalogue == NULL ? NULL : p->catalogue->names;
}

uint64_t
pg_catalogue_stale(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	uint64_t number = ++c->asked;
	reading_want(p, c);
	return number;
}

uint64_t
pg_catalogue_missing(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	struct timespec now = { 0 };
	if (c == NULL || clock_gettime(CLOCK_MONOTONIC, &now) != 0 || c->missing == now.tv_sec)
		return 0;
	c->missing = now.tv_sec;
	return pg_catalogue_stale(p);
}

bool
pg_catalogue_fresh(const struct pg *p, uint64_t since)
{
	return p->catalogue == NULL || p->catalogue->done >= since;
}

/* ---- asking ---- */

/*
 * Made since the last reading: read once more, and once only for all tables of a description.  One
 * that is not there then, of an open transaction or of nobody, stays unknown.
 */
static void
look_for(struct pg *p, uint32_t table)
{
	const unsigned n = sizeof(p->unknown) / sizeof(*p->unknown);
	for (unsigned i = 0; i < n; i++)
		if (p->unknown[i] == table)
			return;
	p->unknown[p->nunknown++ % n] = table;
	if (!p->looking)
		p->lookup = pg_catalogue_stale(p);
	p->looking = true;
}

void
pg_catalogue_described(struct pg *p)
{
	p->looking = false;
}

/* The names last written, for the core to copy before the next. */
static struct {
	uint8_t bytes[64u << 10];
	struct sp_bytes name[512];
	size_t n;
	bool more;               /* than there is room for */
} sources;

static int
add_source(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	struct sp_writer *w = owner;
	size_t at = w->len;
	if (r == NULL || sources.n == sizeof(sources.name) / sizeof(*sources.name)) {
		sources.more = true;
		return 1;
	}
	pg_write_name(w, r, c);
	sources.name[sources.n++] = (struct sp_bytes){ w->p + at, w->len - at };
	sources.more = w->bad;
	return sources.more;
}

static int
may_be_any(struct sp_column *out)
{
	out->known = SP_SOURCE_COLUMN;
	out->source = SP_LIT("?.?.?");
	out->behind = NULL;
	out->nbehind = 0;
	return SP_OK;
}

void
pg_catalogue_tell(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	if (c != NULL && c->names != NULL)
		sp_columns_known(p->s, pg_names_columns, c->names);
}

static int
tagged_source(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	uint8_t name[SOURCE_MAX];
	struct sp_writer w = sp_writer(name, sizeof(name));
	if (r == NULL || c == NULL)
		return 1;
	pg_write_name(&w, r, c);
	return w.bad || sp_column_tagged(((struct pg *)owner)->s, sp_written(&w));
}

bool
pg_catalogue_tagged(struct pg *p, struct sp_bytes schema, struct sp_bytes table)
{
	struct catalogue *c = catalogue_of(p);
	const struct pg_relation *r = c == NULL || c->names == NULL || p->defined ? NULL : pg_names_find(c->names, schema, table);
	if (!sp_column_tagged(p->s, SP_LIT("?.?.?")))
		return false; /* none is */
	return r == NULL || pg_names_sources(c->names, r->oid, 0, tagged_source, p) != 0;
}

/* A statement that writes may have put anything that it reads into the column that it returns. */
static bool
is_written(const struct sp_op *op, const struct pg_relation *r)
{
	static const char *const unseen[] = { "?.*", "?.?.?" };
	char name[SOURCE_MAX + 1];
	struct sp_writer w = sp_writer((uint8_t *)name, sizeof(name) - 1);
	for (size_t i = 0; i < sizeof(unseen) / sizeof(*unseen); i++)
		if (sp_op_has(op, PG_A_COLUMNS_WRITTEN, unseen[i]))
			return true;
	size_t n = sources.name[0].len;
	if (n >= sizeof(name))
		return true;
	memcpy(name, sources.name[0].p, n);
	name[n] = '\0';
	if (sp_op_has(op, PG_A_COLUMNS_WRITTEN, name))
		return true;
	pg_write_name(&w, r, NULL);
	sp_wr_put(&w, SP_LIT(".*"));
	if (w.bad)
		return true;
	name[w.len] = '\0';
	return sp_op_has(op, PG_A_COLUMNS_WRITTEN, name);
}

int
pg_catalogue_column(struct pg *p, const struct sp_op *op, uint32_t table, uint16_t attnum, struct sp_column *out)
{
	struct catalogue *c = catalogue_of(p);
	out->known = SP_SOURCE_UNKNOWN;
	if (c == NULL)
		return SP_OK;
	if (table == 0) /* an expression: the core knows what the statement touches; FETCH touches what its cursor did */
		return p->secret_cursor && sp_op_has(op, PG_A_VERB, "fetch") ? may_be_any(out) : SP_OK;
	const struct pg_relation *r = c->names == NULL ? NULL : pg_names_relation(c->names, table);
	const struct pg_column *column = r == NULL ? NULL : pg_relation_column(r, (int16_t)attnum);
	if (column == NULL && (int16_t)attnum > 0)
		look_for(p, table);
	if (column == NULL && (int16_t)attnum <= 0)
		return SP_OK; /* a whole row, ctid and the like: as an expression */
	if (column == NULL)
		return p->looking && !pg_catalogue_fresh(p, p->lookup) ? PG_WAIT : may_be_any(out);
	struct sp_writer w = sp_writer(sources.bytes, sizeof(sources.bytes));
	sources.n = 0;
	sources.more = false;
	(void)pg_names_sources(c->names, table, (int16_t)attnum, add_source, &w);
	if (sources.more || sources.n == 0)
		return may_be_any(out);
	if (is_written(op, r))
		return SP_OK;
	out->known = SP_SOURCE_COLUMN;
	out->source = sources.name[0];
	out->behind = &sources.name[1];
	out->nbehind = sources.n - 1;
	return SP_OK;
}

/* DECLARE gives a portal's name to other rows: what we know of that portal is over. */
static void
forget_declared(struct pg *p, const struct sp_op *op)
{
	struct pg_portal *next;
	for (struct pg_portal *t = p->portals; t != NULL; t = next) {
		next = t->next;
		if (t->name_len > 0 && sp_op_has(op, PG_A_OBJECTS, t->name))
			pg_portal_unlist(p, t);
	}
}

void
pg_cursor_note(struct pg *p, const struct sp_op *op, bool named)
{
	bool declares = sp_op_has(op, PG_A_VERB, "declare");
	bool opens = named || declares || sp_op_has(op, PG_A_EFFECTS, "execute") || sp_op_is_unclear(op);
	p->secret_cursor = p->secret_cursor || (opens && sp_op_sensitive(op));
	if (declares)
		forget_declared(p, op);
}

uint64_t
pg_catalogue_scope(struct pg *p, struct sp_bytes description)
{
	struct catalogue *c = catalogue_of(p);
	if (c == NULL || description.len > SCOPE_MAX)
		return ++numbers;
	if (c->scope == NULL)
		c->scope = calloc(SCOPES, sizeof(*c->scope));
	if (c->scope == NULL)
		return ++numbers;
	for (unsigned i = 0; i < SCOPES; i++) {
		const struct scope *s = &c->scope[i];
		if (s->number != 0 && sp_bytes_eq((struct sp_bytes){ s->bytes, s->len }, description))
			return s->number;
	}
	struct scope *s = &c->scope[c->scopes++ % SCOPES];
	s->number = ++numbers;
	s->len = description.len;
	if (description.len > 0)
		memcpy(s->bytes, description.p, description.len);
	return s->number;
}
