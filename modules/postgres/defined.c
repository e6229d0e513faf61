/* SPDX-License-Identifier: Apache-2.0 */
/* See defined.h: the catalogue's questions, asked within the client's transaction. */
#include "defined.h"

#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "catalogue.h"
#include "track.h"

#define MEMORY (64u << 20)
#define MOVES_MAX 1024u
#define QUERY_MAX 16384u
#define BUILT_IN PG_NAMES_STATE /* in its place is asked whether that is what it was */

enum stage { UNKNOWN, PROBED, STALE, ASKED, MAY, READING, KNOWN };

struct move {                   /* values of a tagged column … */
	uint32_t from;          /* 0: nobody knows which */
	int16_t attnum;
	uint32_t to;            /* … in this relation; 0: in those that are not there yet */
	int16_t column;         /* 0: any */
};

struct defined {
	enum stage stage;
	unsigned query;         /* enum pg_names_query: its rows come */
	bool failed;            /* … and were not what it gives */
	bool written;           /* as far as was asked, rows of the catalogue were */
	char counted[24], heard[24]; /* rows of the catalogue that the transaction had written when names were read; … now */
	bool surely;            /* names are read, however many these are */
	uint64_t base;          /* version of the committed names below */
	struct pg_names *names, *before; /* counted; before: of this transaction, until a statement ago */
	struct pg_names_builder *builder;
	struct move *move;
	size_t moves;
	bool lost;              /* more was moved than could be kept: nothing is known until the transaction ends */
};

/*
 * A login that may not read one of these would fail the client's transaction by asking.  Only READ
 * COMMITTED sees, by each new query, what the server goes by.  Rows are counted by the server itself, those of
 * savepoints that were taken back as well, and never less within a transaction.
 */
#define WRITTEN(HOW) "pg_catalog.pg_stat_get_xact_tuples_" HOW "(c.name::pg_catalog.regclass)"
static const char may_question[] =
	"SELECT pg_catalog.concat(pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) ANY (ARRAY['read committed', 'read uncommitted']) "
	"AND pg_catalog.bool_and(pg_catalog.has_table_privilege(c.name, 'SELECT')), ' ', CASE WHEN pg_catalog.current_setting('track_counts') "
	"OPERATOR(pg_catalog.=) 'on' THEN pg_catalog.sum(" WRITTEN("inserted") " OPERATOR(pg_catalog.+) " WRITTEN("updated") " OPERATOR(pg_catalog.+) "
	WRITTEN("deleted") ") END) FROM pg_catalog.unnest(ARRAY['pg_catalog.pg_class', "
	"'pg_catalog.pg_namespace', 'pg_catalog.pg_attribute', 'pg_catalog.pg_attrdef', 'pg_catalog.pg_depend', 'pg_catalog.pg_rewrite', "
	"'pg_catalog.pg_inherits', 'pg_catalog.pg_proc', 'pg_catalog.pg_operator', 'pg_catalog.pg_extension', 'pg_catalog.pg_trigger', "
	"'pg_catalog.pg_policy', 'pg_catalog.pg_constraint', 'pg_catalog.pg_cast', 'pg_catalog.pg_type', 'pg_catalog.pg_index']) c(name)";

const struct pg_names *
pg_defined_names(const struct pg *p)
{
	const struct defined *d = p->definitions;
	return d == NULL || d->stage != KNOWN ? NULL : d->names;
}

static struct defined *
definitions_of(struct pg *p)
{
	if (p->definitions == NULL)
		p->definitions = sp_alloc(p->s, sizeof(struct defined));
	return p->definitions;
}

void
pg_defined_stale(struct pg *p, bool surely)
{
	struct defined *d = definitions_of(p);
	if (d == NULL)
		return;
	if (d->names != NULL) {
		pg_names_free(&d->before);
		d->before = d->names;
		d->names = NULL;
	}
	pg_names_abandon(&d->builder);
	d->surely = d->surely || surely;
	d->stage = d->lost ? UNKNOWN : STALE;
}

bool
pg_defined_unseen(const struct pg *p)
{
	const struct pg_names *names = pg_defined_names(p);
	return names != NULL && pg_names_acts(names);
}

bool
pg_defined_old(const struct pg *p)
{
	const struct defined *d = p->definitions;
	const struct pg_names *committed = pg_catalogue_committed(p);
	return d != NULL && d->stage == KNOWN && (committed == NULL || d->base != pg_names_version(committed));
}

bool
pg_defined_wanted(const struct pg *p)
{
	const struct defined *d = p->definitions;
	return d != NULL && (d->stage == PROBED || d->stage == STALE || d->stage == ASKED || d->stage == MAY || d->stage == READING);
}

void
pg_defined_end(struct pg *p)
{
	struct defined *d = p->definitions;
	if (d == NULL)
		return;
	pg_names_free(&d->names);
	pg_names_free(&d->before);
	pg_names_abandon(&d->builder);
	free(d->move);
	*d = (struct defined){ .stage = UNKNOWN };
}

/* ---- what was moved ---- */

static void
add_move(struct defined *d, struct move m)
{
	if (d->move == NULL)
		d->move = calloc(MOVES_MAX, sizeof(*d->move));
	d->lost = d->lost || d->move == NULL || d->moves == MOVES_MAX;
	if (!d->lost)
		d->move[d->moves++] = m;
}

/* c NULL: any of it. */
static bool
names_column(const struct sp_op *op, enum pg_attr attr, const struct pg_relation *r, const struct pg_column *c)
{
	char name[PG_SOURCE_MAX + 1];
	struct sp_writer w = sp_writer((uint8_t *)name, sizeof(name) - 1);
	pg_write_name(&w, r, c);
	if (c == NULL && attr != PG_A_TABLES_WRITTEN)
		sp_wr_put(&w, SP_LIT(".*"));
	name[w.len] = '\0';
	return w.bad || sp_op_has(op, attr, name);
}

/* From one column: into all that were written. */
static void
moved_from(struct defined *d, const struct sp_op *op, const struct pg_names *names, struct move m)
{
	const struct pg_relation *r;
	for (size_t i = 0; (r = pg_names_at(names, i)) != NULL && !d->lost; i++) {
		if (!names_column(op, PG_A_TABLES_WRITTEN, r, NULL))
			continue;
		bool one = false;
		m.to = r->oid;
		for (size_t k = 0; k < r->ncolumns; k++) {
			m.column = r->column[k].attnum;
			if ((m.from == m.to && m.attnum == m.column) || !names_column(op, PG_A_COLUMNS_WRITTEN, r, &r->column[k]))
				continue;
			one = true;
			add_move(d, m);
		}
		m.column = 0;
		if (!one)
			add_move(d, m);
	}
	if (sp_op_has(op, PG_A_EFFECTS, "ddl")) {
		m.to = 0;
		add_move(d, m);
	}
}

static bool
is_moved(const struct pg *p, const struct sp_op *op, const struct pg_relation *r, const struct pg_column *c)
{
	uint8_t name[PG_SOURCE_MAX];
	struct sp_writer w = sp_writer(name, sizeof(name));
	pg_write_name(&w, r, c);
	return (names_column(op, PG_A_COLUMNS_MOVED, r, c) || names_column(op, PG_A_COLUMNS_MOVED, r, NULL)) && (w.bad || sp_column_tagged(p->s, sp_written(&w)));
}

void
pg_defined_moved(struct pg *p, const struct sp_op *op, unsigned traits)
{
	if ((!p->defined && (traits & PG_NAMES) == 0) || (traits & PG_WRITES) == 0 || !sp_op_sensitive(op))
		return;
	const struct pg_names *names = pg_catalogue_names(p);
	struct defined *d = definitions_of(p);
	if (d == NULL || (d->lost = d->lost || names == NULL))
		return;
	size_t before = d->moves;
	const struct pg_relation *r;
	for (size_t i = 0; (r = pg_names_at(names, i)) != NULL; i++)
		for (size_t k = 0; k < r->ncolumns; k++)
			if (is_moved(p, op, r, &r->column[k]))
				moved_from(d, op, names, (struct move){ .from = r->oid, .attnum = r->column[k].attnum });
	if (sp_op_has(op, PG_A_COLUMNS_MOVED, "?.?.?") || sp_op_has(op, PG_A_COLUMNS_MOVED, "?.*"))
		moved_from(d, op, names, (struct move){ .from = 0 });
	if (d->moves > before || d->lost)
		pg_track_moved(p);
}

/* Tables that were not there before get what was moved into them; true: all could be kept. */
static bool
tell_moves(struct defined *d, const struct pg_names *known)
{
	int rc = SP_OK;
	size_t n = d->moves;
	for (size_t i = 0; i < n; i++) {
		struct move m = d->move[i];
		const struct pg_relation *r;
		for (size_t k = 0; m.to == 0 && (r = pg_names_built(d->builder, k)) != NULL; k++)
			if (pg_names_relation(known, r->oid) == NULL)
				add_move(d, (struct move){ m.from, m.attnum, r->oid, 0 });
	}
	for (size_t i = 0; i < d->moves && rc == SP_OK; i++)
		if (d->move[i].to != 0)
			rc = pg_names_add_moved(d->builder, d->move[i].to, d->move[i].column, d->move[i].from, d->move[i].attnum);
	size_t kept = 0;
	for (size_t i = 0; i < d->moves; i++)
		if (d->move[i].to != 0)
			d->move[kept++] = d->move[i];
	d->moves = kept;
	return rc == SP_OK && !d->lost;
}

/* ---- asking ---- */

int
pg_defined_ask(struct pg *p)
{
	struct defined *d = definitions_of(p);
	if (d == NULL || (p->defined && d->stage != STALE))
		return d == NULL ? SP_ENOMEM : SP_OK;
	d->stage = p->defined ? ASKED : PROBED;
	d->written = true;
	p->may_define = false;
	return pg_track_ask(p, OWN_MAY, SP_LIT(may_question));
}

static int
reading_begin(struct pg *p, struct defined *d)
{
	uint8_t memory[QUERY_MAX];
	struct pg_names *committed = pg_catalogue_committed(p);
	pg_names_abandon(&d->builder);
	d->builder = committed == NULL ? NULL : pg_names_begin_over(committed, MEMORY);
	d->stage = d->builder == NULL ? UNKNOWN : READING;
	if (d->builder == NULL)
		return PG_PASS;
	d->base = pg_names_version(committed);
	d->query = BUILT_IN;
	d->failed = false;
	int rc = SP_OK;
	for (unsigned q = d->query; q < PG_NAMES_QUERIES && rc == SP_OK; q++) {
		struct sp_writer w = sp_writer(memory, sizeof(memory));
		rc = pg_names_write_over(&w, (enum pg_names_query)q, pg_catalogue_base(p));
		if (rc == SP_OK)
			rc = pg_track_ask(p, OWN_DEFINED, sp_written(&w));
	}
	return rc;
}

int
pg_defined_look(struct pg *p)
{
	struct defined *d = p->definitions;
	if (d == NULL || d->stage == UNKNOWN || d->stage == KNOWN)
		return PG_PASS;
	return d->stage == MAY ? reading_begin(p, d) : PG_WAIT;
}

/* ---- answers ---- */

/* "t 12": yes, and that many rows are written; as many as when `before` was read, and nothing else has changed it. */
static void
may_be_read(struct pg *p, struct defined *d, struct sp_bytes answer)
{
	const struct pg_names *committed = pg_catalogue_committed(p);
	struct sp_reader r = sp_reader(answer);
	bool may = sp_bytes_is(sp_rd_until(&r, ' '), "t") && !r.bad;
	struct sp_bytes count = sp_rd_rest(&r);
	d->stage = may ? MAY : UNKNOWN;
	d->heard[0] = '\0';
	if (!may || count.len == 0 || count.len >= sizeof(d->heard))
		return;
	memcpy(d->heard, count.p, count.len);
	d->heard[count.len] = '\0';
	if (d->surely || d->before == NULL || committed == NULL || d->base != pg_names_version(committed) || strcmp(d->heard, d->counted) != 0)
		return;
	d->names = d->before;
	d->before = NULL;
	d->stage = KNOWN;
}

int
pg_defined_row(struct pg *p, enum pg_own own, struct sp_bytes body)
{
	struct defined *d = p->definitions;
	struct sp_bytes field[16];
	struct sp_reader r = sp_reader(body);
	unsigned n = sp_rd_be16(&r);
	if (d == NULL || n > 16 || !pg_row_fits(body, (uint16_t)n))
		return SP_EPROTO;
	for (unsigned i = 0; i < n; i++) {
		struct pg_value v = pg_next_value(&r);
		field[i] = v.null ? (struct sp_bytes){ NULL, 0 } : v.bytes;
	}
	if (own == OWN_MAY) {
		if (d->stage == ASKED)
			may_be_read(p, d, n == 1 ? field[0] : (struct sp_bytes){ NULL, 0 });
		if (d->stage == PROBED)
			d->written = n != 1 || !(sp_bytes_is(field[0], "t 0") || sp_bytes_is(field[0], "f 0"));
		return SP_OK;
	}
	if (d->query == BUILT_IN)
		d->failed = d->failed || n != 1 || !sp_bytes_is(field[0], "f");
	else if (d->builder != NULL && !d->failed)
		d->failed = pg_names_feed(d->builder, (enum pg_names_query)d->query, field, n) != SP_OK;
	return SP_OK;
}

static void
reading_end(struct pg *p, struct defined *d)
{
	const struct pg_names *committed = pg_catalogue_committed(p);
	const struct pg_names *known = d->before != NULL ? d->before : committed;
	d->failed = d->failed || d->builder == NULL || known == NULL || !tell_moves(d, known);
	if (!d->failed)
		d->names = pg_names_finish(&d->builder, pg_catalogue_number());
	pg_names_abandon(&d->builder);
	bool follows = d->names != NULL && committed != NULL && pg_names_follow(d->names, committed) == SP_OK
	    && (d->before == NULL || pg_names_follow(d->names, d->before) == SP_OK);
	if (!follows)
		pg_names_free(&d->names);
	d->stage = follows ? KNOWN : UNKNOWN;
	d->surely = !follows;
	memcpy(d->counted, d->heard, sizeof(d->counted));
}

void
pg_defined_complete(struct pg *p, enum pg_own own)
{
	struct defined *d = p->definitions;
	if (own == OWN_MAY && d->stage == ASKED)
		d->stage = UNKNOWN; /* no row came */
	if (own == OWN_MAY && d->stage == PROBED) {
		d->stage = UNKNOWN;
		if (d->written)
			pg_track_defined(p);
	}
	if (own == OWN_DEFINED && d->stage == READING && ++d->query == PG_NAMES_QUERIES)
		reading_end(p, d);
}

void
pg_defined_failed(struct pg *p)
{
	struct defined *d = p->definitions;
	if (d == NULL)
		return;
	pg_names_abandon(&d->builder);
	pg_names_free(&d->names);
	d->stage = UNKNOWN;
	d->surely = true;
}
