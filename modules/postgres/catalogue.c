/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the target's names on a side session, and asking for the source of a column. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "catalogue.h"

#include "attributes.h"
#include "defined.h"

#include <stdlib.h>
#include <time.h>

#define SCOPES 32u        /* different views of the names that are told apart and shared */
#define SCOPE_MAX 1024u
#define QUERY_MAX 16384u
#define STATE_MAX 1024u
#define SNAPSHOT_MAX 1024u
#define BASE_MAX 1000000000u /* transactions: ages are told for twice as many */
#define ANSWER_MS 10000u /* for the question whether anything changed */
#define RETRY_MS 1000u
#define MISSING_MS 100u /* who names tables that are not there has it read no more often */
#define RENAMED_MAX 20u /* log lines of one reading */

enum stage { EMPTY, LOADING, READY, FAILED };

struct scope {
	uint64_t number;
	size_t len;
	uint8_t bytes[SCOPE_MAX];
};

/* What tells that nothing has changed. */
struct known {
	char state[STATE_MAX];       /* as of base */
	char snapshot[SNAPSHOT_MAX]; /* "": does not tell all */
	char rights[STATE_MAX];      /* who may use which schema; "": not asked */
	uint64_t base;               /* all transactions before it had ended */
};

struct catalogue {
	struct pg_names *names;      /* counted; NULL until the first reading */
	struct pg_names_builder *builder;
	enum stage stage;
	unsigned query;              /* enum pg_names_query under way */
	struct known known, heard;   /* of names; the answers of this reading */
	char told[STATE_MAX];        /* who may use which schema … */
	uint64_t rights;             /* … and a version of it */
	bool anew;                   /* what is asked is for a new base */
	uint64_t looked, good;       /* ms: when the last reading began, and the last that ended well */
	struct sp_session *side;     /* NULL: none */
	bool side_ready;
	uint64_t missing;            /* ms: when it was last read for a table that it lacked */
	bool wanted;                 /* LOADING, but the side session has yet to begin */
	struct pg *members;
	uint64_t asked, began, done; /* readings: wished for, the last that began, the last that ended */
	uint64_t whole, read;        /* the last that may not end with the question whether anything changed; the last that did not */
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

static uint64_t
now_ms(void)
{
	struct timespec t = { 0 };
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
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
	uint8_t memory[QUERY_MAX];
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	int rc = pg_names_write(&w, (enum pg_names_query)c->query, c->anew ? c->heard.base : c->known.base);
	if (rc == SP_OK)
		rc = sp_own_statement(side->s, sp_written(&w));
	if (rc != SP_OK)
		return rc;
	if (pg_expect_own(side, OWN_CATALOGUE, 'Z') == NULL)
		return SP_EINTERNAL;
	return pg_write_cstr(pg_out(side, SP_TARGET), 'Q', sp_written(&w));
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
	c->looked = now_ms();
	c->wanted = false;
	c->query = PG_NAMES_SNAPSHOT;
	c->anew = false;
	c->heard = (struct known){ .base = 0 };
	sp_timer(side->s, ANSWER_MS);
	return send_query(side, c);
}

/* Nobody can say what names mean after a reading that failed: those of an earlier one are not used. */
static void
reading_end(struct catalogue *c, bool ok)
{
	c->done = ok ? c->began : c->asked;
	c->stage = ok ? READY : FAILED;
	if (ok)
		c->good = c->looked;
	else
		pg_names_free(&c->names);
	wake_members(c);
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
	c->looked = now_ms();
	if (c->side == NULL)
		reading_end(c, false);
}

int
pg_catalogue_turn(struct pg *p)
{
	struct catalogue *c = p->catalogue;
	if (c == NULL || c->side != p->s || !c->side_ready)
		return SP_OK;
	if (c->stage == LOADING && !c->wanted && c->query <= PG_NAMES_STATE && now_ms() - c->looked >= ANSWER_MS)
		return sp_fail(p->s, SP_EIO, "the target does not say whether its catalogue has changed");
	return c->wanted && pg_settled(p) ? reading_begin(p, c) : SP_OK;
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

static int
take_text(char *to, size_t room, struct sp_bytes text)
{
	if (text.len == 0 || text.len >= room || to[0] != '\0')
		return SP_EPROTO;
	memcpy(to, text.p, text.len);
	to[text.len] = '\0';
	return SP_OK;
}

/* "oldest:next:running,running…"; of two that are equal each has ended transactions as the other.  In recovery not all are told. */
static int
take_snapshot(struct known *heard, struct sp_bytes text, bool recovery)
{
	struct sp_reader r = sp_reader(text);
	struct sp_bytes oldest = sp_rd_until(&r, ':');
	for (size_t i = 0; i < oldest.len; i++) {
		if (oldest.p[i] < '0' || oldest.p[i] > '9' || i > 17)
			return SP_EPROTO;
		heard->base = heard->base * 10 + (uint64_t)(oldest.p[i] - '0');
	}
	if (r.bad || heard->base == 0)
		return SP_EPROTO;
	return recovery || text.len >= SNAPSHOT_MAX ? SP_OK : take_text(heard->snapshot, SNAPSHOT_MAX, text);
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
	if (c->query == PG_NAMES_SNAPSHOT)
		return take_snapshot(&c->heard, field[0], !sp_bytes_is(field[1], "f"));
	if (c->query == PG_NAMES_STATE)
		return take_text(c->heard.state, STATE_MAX, field[0]) == SP_OK ? take_text(c->heard.rights, STATE_MAX, field[1]) : SP_EPROTO;
	return pg_names_feed(c->builder, (enum pg_names_query)c->query, field, n);
}

/* A column that a tag matched is called otherwise now: the tag still counts, here and until this worker ends. */
static void
tell_renamed(struct pg *p, const struct pg_names *names)
{
	const struct pg_relation *was;
	const struct pg_column *column;
	unsigned told = 0;
	for (size_t i = 0; (column = pg_names_renamed(names, i, &was)) != NULL && told < RENAMED_MAX; i++) {
		uint8_t before[PG_SOURCE_MAX], after[PG_SOURCE_MAX];
		struct sp_writer b = sp_writer(before, sizeof(before)), a = sp_writer(after, sizeof(after));
		const struct pg_relation *r = pg_names_relation(names, was->oid);
		pg_write_name(&b, was, column);
		pg_write_name(&a, r, pg_relation_column(r, column->attnum));
		if (b.bad || a.bad || !sp_column_tagged(p->s, sp_written(&b)) || sp_column_tagged(p->s, sp_written(&a)))
			continue;
		sp_log(p->s, SP_WARN, "the tagged column %.*s is called %.*s now: name it in the tag, which counts for it only until this worker ends",
		    (int)b.len, (const char *)before, (int)a.len, (const char *)after);
		told++;
	}
}

static bool
reading_finish(struct pg *p, struct catalogue *c)
{
	struct pg_names *names = pg_names_finish(&c->builder, ++numbers);
	if (names != NULL && c->names != NULL && pg_names_follow(names, c->names) != SP_OK)
		pg_names_free(&names);
	if (names == NULL)
		return false;
	tell_renamed(p, names);
	pg_names_free(&c->names);
	c->names = names;
	c->known = c->heard;
	c->read = c->began;
	return true;
}

static bool
same_text(const char *a, const char *b)
{
	return a[0] != '\0' && strcmp(a, b) == 0;
}

/* The answer to a question whether anything changed is in: true when nothing did; else, what is to be asked next. */
static bool
nothing_changed(struct catalogue *c)
{
	const struct known *h = &c->heard, *k = &c->known;
	bool comparable = c->names != NULL && c->whole <= c->read && h->base >= k->base && h->base - k->base <= BASE_MAX;
	bool same = comparable && !c->anew
	    && (c->query == PG_NAMES_SNAPSHOT ? same_text(h->snapshot, k->snapshot) : same_text(h->state, k->state));
	if (same || c->anew) {
		c->query += !same;
		return same;
	}
	c->anew = !comparable || c->query == PG_NAMES_STATE;
	c->query = PG_NAMES_STATE;
	c->heard.state[0] = c->heard.rights[0] = '\0';
	return false;
}

/* No name means anything else by that, but which of them a session can use may. */
static void
compare_rights(struct catalogue *c)
{
	if (c->heard.rights[0] == '\0' || same_text(c->heard.rights, c->told))
		return;
	memcpy(c->told, c->heard.rights, STATE_MAX);
	c->rights = ++numbers;
}

int
pg_catalogue_next(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	if (c->wanted)
		return reading_begin(p, c);
	if (c->stage != LOADING)
		return SP_OK; /* failed; its ReadyForQuery */
	bool question = c->query <= PG_NAMES_STATE, same = question && nothing_changed(c);
	if (!question)
		c->query++;
	if (!same && c->query < PG_NAMES_QUERIES)
		return send_query(p, c);
	if (same) {
		pg_names_abandon(&c->builder);
		memcpy(c->known.snapshot, c->heard.snapshot, SNAPSHOT_MAX);
	}
	bool ok = same || reading_finish(p, c);
	compare_rights(c);
	reading_end(c, ok);
	if (sp_inspects(p->s))
		return ok ? pg_inspect(p) : SP_ENOMEM;
	if (ok && c->asked != c->done)
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
	return sp_inspects(p->s) ? sp_fail(p->s, SP_EIO, "it could not read the catalogue: %s", code) : SP_OK;
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

struct pg_names *
pg_catalogue_committed(const struct pg *p)
{
	return p->catalogue == NULL ? NULL : p->catalogue->names;
}

uint64_t
pg_catalogue_base(const struct pg *p)
{
	return p->catalogue == NULL ? 0 : p->catalogue->known.base;
}

uint64_t
pg_catalogue_rights(const struct pg *p)
{
	return p->catalogue == NULL ? 0 : p->catalogue->rights;
}

uint64_t
pg_catalogue_number(void)
{
	return ++numbers;
}

const struct pg_names *
pg_catalogue_names(const struct pg *p)
{
	const struct pg_names *committed = pg_catalogue_committed(p);
	return committed == NULL || !p->defined ? committed : pg_defined_names(p);
}

uint64_t
pg_catalogue_version(const struct pg *p)
{
	const struct pg_names *names = pg_catalogue_names(p);
	return names == NULL ? 0 : pg_names_version(names);
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
pg_catalogue_defined(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	c->whole = c->asked + 1;
	return pg_catalogue_stale(p);
}

uint64_t
pg_catalogue_missing(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	uint64_t now = now_ms();
	if (c == NULL || now - c->missing < MISSING_MS)
		return 0;
	c->missing = now;
	return pg_catalogue_stale(p);
}

/* Half of the time before it has to be waited for, it is asked for: where statements come often, none waits. */
uint64_t
pg_catalogue_aged(struct pg *p)
{
	struct catalogue *c = catalogue_of(p);
	uint64_t now = now_ms(), recheck = sp_recheck(p->s);
	if (c == NULL || (c->names == NULL && now - c->looked < RETRY_MS))
		return 0;
	if (c->names != NULL && now - c->good < recheck) {
		if (c->stage != LOADING && now - c->good >= recheck / 2)
			(void)pg_catalogue_stale(p);
		return 0;
	}
	return c->stage == LOADING && now - c->looked < recheck ? c->began : pg_catalogue_stale(p);
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
	uint8_t name[PG_SOURCE_MAX];
	struct sp_writer w = sp_writer(name, sizeof(name));
	if (r == NULL || c == NULL)
		return 1;
	pg_write_name(&w, r, c);
	return w.bad || sp_column_tagged(((struct pg *)owner)->s, sp_written(&w));
}

struct told {
	struct pg *p;
	struct sp_writer *w;
};

static int
surely_tagged(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	const struct told *t = owner;
	if (r == NULL || c == NULL)
		return 0;
	t->w->len = 0;
	pg_write_name(t->w, r, c);
	return !t->w->bad && sp_column_tagged(t->p->s, sp_written(t->w));
}

bool
pg_catalogue_tells(struct pg *p, uint32_t table, int16_t attnum, struct sp_writer *w)
{
	struct told t = { p, w };
	const struct pg_names *names = pg_catalogue_names(p);
	return names != NULL && pg_names_sources(names, table, attnum, surely_tagged, &t) != 0;
}

bool
pg_catalogue_tagged(struct pg *p, struct sp_bytes schema, struct sp_bytes table)
{
	const struct pg_names *names = pg_catalogue_names(p);
	const struct pg_relation *r = names == NULL ? NULL : pg_names_find(names, schema, table);
	if (!sp_column_tagged(p->s, SP_LIT("?.?.?")))
		return false; /* none is */
	return r == NULL || pg_names_sources(names, r->oid, 0, tagged_source, p) != 0;
}

/* A statement that writes may have put anything that it reads into the column that it returns. */
static bool
is_written(const struct sp_op *op, const struct pg_relation *r)
{
	static const char *const unseen[] = { "?.*", "?.?.?" };
	char name[PG_SOURCE_MAX + 1];
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
	const struct pg_names *names = pg_catalogue_names(p);
	out->known = SP_SOURCE_UNKNOWN;
	if (p->catalogue == NULL)
		return SP_OK;
	if (table == 0) /* an expression: the core knows what the statement touches; FETCH touches what its cursor did */
		return p->secret_cursor && sp_op_has(op, PG_A_VERB, "fetch") ? may_be_any(out) : SP_OK;
	if (p->defined && names == NULL) /* a view may be another one by now, a table have other children */
		return may_be_any(out);
	const struct pg_relation *r = names == NULL ? NULL : pg_names_relation(names, table);
	const struct pg_column *column = r == NULL ? NULL : pg_relation_column(r, (int16_t)attnum);
	if (column == NULL && (int16_t)attnum > 0 && p->defined)
		return may_be_any(out);
	if (column == NULL && (int16_t)attnum > 0)
		look_for(p, table);
	if (column == NULL && (int16_t)attnum <= 0)
		return SP_OK; /* a whole row, ctid and the like: as an expression */
	if (column == NULL)
		return p->looking && !pg_catalogue_fresh(p, p->lookup) ? PG_WAIT : may_be_any(out);
	struct sp_writer w = sp_writer(sources.bytes, sizeof(sources.bytes));
	sources.n = 0;
	sources.more = false;
	(void)pg_names_sources(names, table, (int16_t)attnum, add_source, &w);
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
	unsigned traits = pg_traits(op);
	bool opens = named || (traits & PG_OPENS) != 0;
	p->secret_cursor = p->secret_cursor || (opens && sp_op_sensitive(op));
	if (opens)
		p->cursor_traits |= traits & (PG_NAMES | PG_SETTINGS | PG_MAY_DEFINE | PG_PREPARED);
	if ((traits & PG_DECLARES) != 0)
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
