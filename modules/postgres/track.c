/* SPDX-License-Identifier: Apache-2.0 */
/* Following search_path, role, temporary tables and the transaction; asking where we can't know. */
#include "track.h"

#include <stdlib.h>

#include "attributes.h"
#include "catalogue.h"
#include "defined.h"

#define PATH_MAX_SCHEMAS 32u
#define TEMPORARY_MAX 64u
#define OWN_NAME "sallyport_track"

/*
 * Names in full and operators by schema: whatever search_path the client has set, this reads the
 * server's own.  Temporary tables by name, one per line; a name with a line feed spoils the list.
 * The server skips schemas of the path that the role may not use: a path with one is no list of names,
 * and so unknown.  So it is with one that the server skips, since it has not looked again since it may be used.
 */
#define PATH "pg_catalog.current_setting('search_path')"
#define PLAIN_PATH "pg_catalog.lower(pg_catalog.replace(" PATH ", '\"\"', '\"'))"
#define PLAIN_NAME "pg_catalog.lower(n.nspname::pg_catalog.text)"
#define USER_SCHEMA "(n.nspname OPERATOR(pg_catalog.=) current_user AND pg_catalog.strpos(" PATH ", '$user') OPERATOR(pg_catalog.>) 0)"
#define IN_PATH "pg_catalog.strpos(" PLAIN_PATH ", " PLAIN_NAME ") OPERATOR(pg_catalog.>) 0"
#define NAMED_IN_PATH \
	"(" IN_PATH " AND (n.nspname OPERATOR(pg_catalog.~) '[\",]' OR " PLAIN_NAME " OPERATOR(pg_catalog.=) ANY (SELECT pg_catalog.btrim(s, ' \"') " \
	"FROM pg_catalog.unnest(pg_catalog.string_to_array(" PLAIN_PATH ", ',')) s)))"
static const char names_question[] =
	"SELECT " PATH " OPERATOR(pg_catalog.||) CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE "
	"(NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND (n.nspname OPERATOR(pg_catalog.=) current_user OR " IN_PATH ")) OR ("
	"n.nspname OPERATOR(pg_catalog.<>) ALL (pg_catalog.current_schemas(true)) AND (" USER_SCHEMA " OR " NAMED_IN_PATH "))) "
	"THEN ' (in part not accessible)' ELSE '' END, current_user, pg_catalog.array_to_string(ARRAY("
	"SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) "
	"pg_catalog.pg_my_temp_schema() AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','S']::\"char\"[]) "
	"ORDER BY 1), E'\\n'), coalesce((SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) "
	"pg_catalog.pg_my_temp_schema()), ''), coalesce(pg_catalog.current_schema(), '')";

/* What SQL's PREPARE and DEALLOCATE, or code that we can't see, made of the statements we know by text. */
static const char prepared_question[] = "SELECT name, statement FROM pg_catalog.pg_prepared_statements";

struct track {
	bool asking;
	bool unknown;               /* the server could not be asked: it may be anything */
	uint64_t names;             /* version of the names in the view */
	uint64_t rights;            /* … and of who may use which schema, when the server was asked */
	struct pg_view view;
	const char *path[PATH_MAX_SCHEMAS], *temporary[TEMPORARY_MAX];
	char role[PG_NAME_MAX + 1], temporary_schema[PG_NAME_MAX + 1], creates[PG_NAME_MAX + 1];
	uint8_t path_bytes[1024], temporary_bytes[4096];
};

static struct track *
track_of(struct pg *p)
{
	if (p->track == NULL)
		p->track = sp_alloc(p->s, sizeof(struct track));
	return p->track;
}

const struct pg_view *
pg_track_view(const struct pg *p)
{
	return p->track == NULL ? NULL : &p->track->view;
}

struct pg_names *
pg_track_names(const struct pg *p)
{
	const struct pg_names *names = p->track == NULL ? NULL : p->track->view.names;
	return names == NULL ? NULL : pg_names_ref((struct pg_names *)(uintptr_t)names);
}

/* ---- traits: what a statement may change ---- */

static bool
has_effect(const struct sp_op *op, const char *effect)
{
	return sp_op_has(op, PG_A_EFFECTS, effect);
}

static bool
sets_names(const struct sp_op *op)
{
	static const char *const setting[] = { "search_path", "role", "session_authorization", "all", "?" };
	static const char *const verb[] = { "discard", "reset" };
	for (size_t i = 0; i < sizeof(setting) / sizeof(*setting); i++)
		if (sp_op_has(op, PG_A_SETTING, setting[i]))
			return true;
	for (size_t i = 0; i < sizeof(verb) / sizeof(*verb); i++)
		if (sp_op_has(op, PG_A_VERB, verb[i]))
			return true;
	return false;
}

/* Behind a view of it is what nobody knows, code too; or a trigger, a row policy … runs some. */
static bool
runs_unseen(const struct sp_op *op)
{
	return sp_op_has(op, PG_A_TABLES, "?.?") || sp_op_has(op, PG_A_RUNS_CODE, "true");
}

static unsigned
look_up(const struct sp_op *op)
{
	static const char *const begin[] = { "begin", "start transaction", "savepoint", "release" };
	static const char *const undo[] = { "rollback", "rollback to", "commit", "prepare transaction" };
	static const char *const end[] = { "commit", "rollback", "prepare transaction" };
	bool hidden = sp_op_is_unclear(op) || has_effect(op, "opaque") || has_effect(op, "execute");
	bool writes = hidden || has_effect(op, "write") || has_effect(op, "ddl") || has_effect(op, "dcl") || sp_op_has(op, PG_A_LOCKING, "true");
	unsigned traits = writes ? PG_WRITES : 0;
	if (!hidden && !has_effect(op, "ddl") && !has_effect(op, "dcl") && !has_effect(op, "session"))
		traits |= PG_PLAIN;
	for (size_t i = 0; i < sizeof(begin) / sizeof(*begin); i++)
		if (!hidden && sp_op_has(op, PG_A_VERB, begin[i]) && !sp_op_has(op, PG_A_VERB, "batch"))
			traits |= PG_BEGINS;
	for (size_t i = 0; i < sizeof(end) / sizeof(*end); i++)
		if (sp_op_has(op, PG_A_VERB, end[i]))
			traits |= PG_ENDS;
	for (size_t i = 0; i < sizeof(undo) / sizeof(*undo); i++)
		if (sp_op_has(op, PG_A_VERB, undo[i]))
			traits |= PG_UNDOES;
	if (sp_op_has(op, PG_A_COPY, "in"))
		traits = (traits & ~(unsigned)PG_PLAIN) | PG_COPIES_IN;
	if (sp_op_has(op, PG_A_COPY, "out"))
		traits = (traits & ~(unsigned)PG_PLAIN) | PG_COPIES_OUT;
	if (hidden || has_effect(op, "ddl"))
		traits |= PG_NAMES | PG_SETTINGS;
	if (runs_unseen(op))
		traits = (traits & ~(unsigned)PG_PLAIN) | PG_SETTINGS | PG_MAY_DEFINE;
	if (sets_names(op) || has_effect(op, "dcl")) /* a schema that the role may no longer use is not in the path */
		traits |= PG_SETTINGS;
	if (sp_op_has(op, PG_A_VERB, "fetch") || sp_op_has(op, PG_A_VERB, "move"))
		traits |= PG_FETCHES;
	if (sp_op_has(op, PG_A_VERB, "reset") || sp_op_has(op, PG_A_VERB, "discard"))
		traits |= PG_RESETS;
	if (hidden || sp_op_has(op, PG_A_VERB, "deallocate") || sp_op_has(op, PG_A_VERB, "discard")
	    || sp_op_has(op, PG_A_VERB, "prepare"))
		traits |= PG_PREPARED;
	if (sp_op_has(op, PG_A_VERB, "declare"))
		traits |= PG_DECLARES | PG_OPENS;
	if (sp_op_is_unclear(op) || has_effect(op, "execute"))
		traits |= PG_OPENS;
	return traits;
}

/* Some thirty words are asked for: once of each text, or of all that are alike. */
unsigned
pg_traits(const struct sp_op *op)
{
	unsigned *note = sp_op_note(op), traits = note == NULL || *note == 0 ? look_up(op) | PG_LOOKED : *note;
#ifdef __SANITIZE_ADDRESS__
	if (traits != (look_up(op) | PG_LOOKED))
		abort(); /* something else than what was classified counts */
#endif
	if (note != NULL)
		*note = traits;
	return traits & ~(unsigned)PG_LOOKED;
}

/* ---- the view ---- */

static void
table_missing(const struct pg_view *view)
{
	((struct pg *)view->owner)->missing = true;
}

static int
tell_view(struct pg *p, struct track *t)
{
	uint8_t memory[6144];
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	const struct pg_names *names = pg_catalogue_names(p);
	t->names = names == NULL ? 0 : pg_names_version(names);
	t->view.names = names;
	t->view.path_unknown = t->unknown;
	t->view.path = t->path;
	t->view.temporary = t->temporary;
	t->view.role = t->role;
	t->view.creates = t->creates;
	t->view.prepared = pg_prepared_text;
	t->view.missing = table_missing;
	t->view.owner = p;
	t->view.temporary_schema = t->temporary_schema[0] == '\0' ? NULL : t->temporary_schema;
	sp_wr_be64(&w, t->names);
	sp_wr_u8(&w, t->unknown);
	sp_wr_cstr(&w, sp_str(t->role));
	sp_wr_cstr(&w, sp_str(t->temporary_schema));
	sp_wr_cstr(&w, sp_str(t->creates));
	sp_wr_be32(&w, (uint32_t)t->view.npath);
	for (size_t i = 0; i < t->view.npath; i++)
		sp_wr_cstr(&w, sp_str(t->path[i]));
	for (size_t i = 0; i < t->view.ntemporary; i++)
		sp_wr_cstr(&w, sp_str(t->temporary[i]));
	/* with statements of its own by name, or definitions, no other session's view equals this one */
	bool own = w.bad || p->prepared != NULL || p->doubtful || p->defined;
	sp_view(p->s, &t->view, pg_catalogue_scope(p, (struct sp_bytes){ memory, own ? SIZE_MAX : w.len }));
	pg_catalogue_tell(p);
	return sp_fact(p->s, "role", sp_str(t->role));
}

/* One name per line; a list that does not fit makes every unqualified name unknown. */
static bool
take_temporary(struct track *t, struct sp_bytes list)
{
	struct sp_writer w = sp_writer(t->temporary_bytes, sizeof(t->temporary_bytes));
	struct sp_reader r = sp_reader(list);
	t->view.ntemporary = 0;
	while (r.left > 0) {
		const char *at = (const char *)w.p + w.len;
		struct sp_reader rest = r;
		struct sp_bytes name = sp_rd_until(&r, '\n');
		if (r.bad) {
			r = rest;
			name = sp_rd_rest(&r);
		}
		sp_wr_cstr(&w, name);
		if (w.bad || t->view.ntemporary == TEMPORARY_MAX)
			return false;
		t->temporary[t->view.ntemporary++] = at;
	}
	return true;
}

/* Temporary tables come first, unless the path has a place for them. */
static bool
places_temporary(const struct pg_view *v)
{
	for (size_t i = 0; i < v->npath && v->ntemporary > 0; i++)
		if (strncmp(v->path[i], "pg_temp", 7) == 0)
			return true;
	return false;
}

static bool
take_name(char *to, struct sp_bytes name)
{
	to[0] = '\0';
	if (name.len > PG_NAME_MAX || (name.len > 0 && memchr(name.p, 0, name.len) != NULL))
		return false;
	if (name.len > 0)
		memcpy(to, name.p, name.len);
	to[name.len] = '\0';
	return true;
}

static int
names_row(struct pg *p, struct sp_bytes body)
{
	struct track *t = p->track;
	struct sp_reader r = sp_reader(body);
	if (!pg_row_fits(body, 5))
		return SP_EPROTO;
	(void)sp_rd_be16(&r);
	struct pg_value path = pg_next_value(&r), role = pg_next_value(&r), temporary = pg_next_value(&r);
	struct pg_value schema = pg_next_value(&r), creates = pg_next_value(&r);
	struct sp_writer w = sp_writer(t->path_bytes, sizeof(t->path_bytes));
	t->view.npath = 0;
	t->unknown = !take_name(t->role, role.bytes) || !take_name(t->temporary_schema, schema.bytes)
	    || !take_name(t->creates, creates.bytes) || !take_temporary(t, temporary.bytes)
	    || pg_path_parse(path.bytes, t->role, t->path, PATH_MAX_SCHEMAS, &t->view.npath, &w) != SP_OK
	    || places_temporary(&t->view);
	return sp_fact(p->s, "search_path", path.bytes);
}

static int
prepared_row(struct pg *p, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	if (!pg_row_fits(body, 2))
		return SP_EPROTO;
	(void)sp_rd_be16(&r);
	struct pg_value name = pg_next_value(&r), text = pg_next_value(&r);
	pg_statements_check(p, name.bytes, text.bytes);
	if (!sp_bytes_is(name.bytes, OWN_NAME))
		pg_prepared_add(p, name.bytes, text.bytes);
	return SP_OK;
}

int
pg_track_row(struct pg *p, enum pg_own own, struct sp_bytes body)
{
	if (own == OWN_CLAIM)
		return SP_OK;
	return own == OWN_NAMES ? names_row(p, body) : own == OWN_PREPARED ? prepared_row(p, body) : SP_EPROTO;
}

/* ---- asking ---- */

static int
write_question(struct sp_writer *w, struct sp_bytes text)
{
	int rc = pg_write_parse(w, OWN_NAME, text);
	size_t at = pg_begin(w, 'B');
	sp_wr_cstr(w, SP_LIT(OWN_NAME));
	sp_wr_cstr(w, SP_LIT(OWN_NAME));
	sp_wr_be16(w, 0);
	sp_wr_be16(w, 0);
	sp_wr_be16(w, 0);
	if (rc == SP_OK)
		rc = pg_end(w, at);
	at = pg_begin(w, 'E');
	sp_wr_cstr(w, SP_LIT(OWN_NAME));
	sp_wr_be32(w, 0);
	if (rc == SP_OK)
		rc = pg_end(w, at);
	/* Closing the statement does not close its portal, whatever the manual says. */
	if (rc == SP_OK)
		rc = pg_write_target(w, 'C', 'S', SP_LIT(OWN_NAME));
	return rc != SP_OK ? rc : pg_write_target(w, 'C', 'P', SP_LIT(OWN_NAME));
}

int
pg_track_ask(struct pg *p, enum pg_own own, struct sp_bytes text)
{
	if (pg_expect_own(p, own, '3') == NULL || pg_expect_own(p, OWN_CLOSE, '3') == NULL)
		return SP_EINTERNAL;
	int rc = sp_own_statement(p->s, text);
	return rc != SP_OK ? rc : write_question(pg_out(p, SP_TARGET), text);
}

/* What was asked is answered at once; amid a batch of the client's without ending it. */
static int
ask_end(struct pg *p, bool amid)
{
	if (!amid && pg_expect_own(p, OWN_SYNC, 'Z') == NULL)
		return SP_EINTERNAL;
	int rc = pg_write_empty(pg_out(p, SP_TARGET), amid ? 'H' : 'S');
	return rc != SP_OK ? rc : PG_WAIT;
}

static int
ask_server(struct pg *p, struct track *t)
{
	bool amid = p->batch_sent;
	t->asking = true;
	t->rights = pg_catalogue_rights(p);
	p->flushed = true;
	int rc = p->unclaimed ? pg_claim(p) : SP_OK;
	if (rc == SP_OK)
		rc = pg_track_ask(p, OWN_NAMES, SP_LIT(names_question));
	if (p->doubtful)
		pg_prepared_forget(p);
	if (rc == SP_OK && p->doubtful)
		rc = pg_track_ask(p, OWN_PREPARED, SP_LIT(prepared_question));
	if (rc == SP_OK && (p->defined || p->may_define))
		rc = pg_defined_ask(p);
	return rc != SP_OK ? rc : ask_end(p, amid);
}

/* A table that somebody made past us since the catalogue was read: read it again, once, before judging. */
bool
pg_track_reads_again(struct pg *p)
{
	bool missing = p->missing && !p->missed && p->status != 'E';
	uint64_t reading = missing ? pg_catalogue_missing(p) : 0;
	p->missing = false;
	p->missed = reading != 0;
	if (p->missed)
		p->reading = reading;
	return p->missed;
}

/*
 * Definitions change past us: what was read too long ago is asked for again before anything is judged by
 * it.  In a failed transaction no name is believed anyway.
 */
static int
check_names(struct pg *p)
{
	if (p->question.op != NULL || p->status == 'E')
		return PG_PASS;
	if (!p->checking) {
		uint64_t reading = pg_catalogue_aged(p);
		if (reading == 0)
			return PG_PASS;
		p->reading = reading;
		p->checking = true;
	}
	if (!pg_catalogue_fresh(p, p->reading))
		return PG_WAIT;
	p->checking = false;
	if (p->defined && pg_defined_old(p)) {
		pg_defined_stale(p, true);
		p->dirty = true;
	}
	return PG_PASS;
}

/* What the transaction has defined is read next. */
static int
ask_definitions(struct pg *p)
{
	if (!pg_settled(p))
		return PG_WAIT;
	if (pg_unsent(p, SP_CLIENT))
		return PG_AGAIN;
	bool amid = p->batch_sent;
	int rc = pg_defined_look(p);
	p->flushed = p->flushed || rc == SP_OK;
	return rc == SP_OK ? ask_end(p, amid) : rc;
}

int
pg_track(struct pg *p)
{
	struct track *t = track_of(p);
	if (t != NULL && t->asking && !pg_settled(p))
		return PG_WAIT; /* of several answers none is believed before the last */
	if (t != NULL)
		t->asking = false;
	if (check_names(p) != PG_PASS)
		return PG_WAIT;
	if (p->missed && !pg_catalogue_fresh(p, p->reading))
		return PG_WAIT;
	const struct pg_names *names = pg_catalogue_names(p);
	if (t == NULL)
		return SP_ENOMEM;
	if (t->rights != pg_catalogue_rights(p) && p->question.op == NULL)
		p->dirty = true; /* a schema of the path may be another's by now */
	bool asks = p->status != 'E' && pg_defined_wanted(p);
	if (!p->dirty && !asks && t->names == (names == NULL ? 0 : pg_names_version(names)))
		return PG_PASS;
	if (p->question.op != NULL)
		return PG_PASS; /* asked under the old view; the core judges again on release */
	if (p->dirty && p->status != 'E') {
		if (!pg_settled(p))
			return PG_WAIT;
		return pg_unsent(p, SP_CLIENT) ? PG_AGAIN : ask_server(p, t);
	}
	if (!p->dirty && asks) {
		int rc = ask_definitions(p);
		if (rc != PG_PASS)
			return rc;
	}
	if (p->dirty)
		t->unknown = true; /* in a failed transaction only its end is of use; asked after that */
	if (!pg_catalogue_fresh(p, p->reading))
		return PG_WAIT;
	int rc = tell_view(p, t);
	return rc != SP_OK ? rc : PG_PASS;
}

void
pg_track_complete(struct pg *p, enum pg_own own)
{
	if (own == OWN_PREPARED) {
		pg_statements_checked(p);
		p->doubtful = false;
		return;
	}
	p->dirty = false;
	p->track->names = UINT64_MAX; /* tell the view at the next look */
}

void
pg_track_failed(struct pg *p)
{
	pg_prepared_forget(p);
	pg_defined_failed(p);
	p->track->unknown = true;
	p->track->names = UINT64_MAX;
	p->dirty = false;
	if (p->doubtful)
		pg_statements_checked(p); /* none was seen: all are forgotten */
	p->doubtful = false;
}

/* ---- what happened ---- */

static void
define_again(struct pg *p, bool surely)
{
	p->defined = p->dirty = p->touched = true;
	pg_defined_stale(p, surely);
}

void
pg_track_defined(struct pg *p)
{
	define_again(p, true);
}

void
pg_track_moved(struct pg *p)
{
	if (p->defined)
		define_again(p, true);
}

void
pg_track_answer(struct pg *p, unsigned traits)
{
	if ((traits & PG_FETCHES) != 0 && p->cursor_traits != 0)
		traits = (traits & ~(unsigned)PG_PLAIN) | p->cursor_traits;
	if (p->defined && ((traits & (PG_PLAIN | PG_BEGINS)) == 0 || pg_defined_unseen(p)))
		define_again(p, (traits & PG_UNDOES) != 0);
	if ((traits & PG_PLAIN) != 0)
		return;
	if ((traits & (PG_SETTINGS | PG_NAMES)) != 0 || p->touched)
		p->dirty = true;
	if ((traits & PG_RESETS) != 0 && p->adopted)
		p->dirty = p->unclaimed = true;
	if ((traits & (PG_SETTINGS | PG_NAMES)) != 0)
		p->touched = true;
	if ((traits & PG_NAMES) != 0)
		define_again(p, false);
	if ((traits & PG_MAY_DEFINE) != 0 && !p->defined)
		p->may_define = true;
	if ((traits & PG_PREPARED) != 0)
		p->dirty = p->doubtful = true;
}

void
pg_track_error(struct pg *p)
{
	if (p->touched)
		p->dirty = true;
	if (p->defined)
		define_again(p, true);
}

int
pg_track_status(struct pg *p, uint8_t status)
{
	static const char *const name[] = { ['I'] = "idle", ['T'] = "open", ['E'] = "failed" };
	uint8_t before = p->status;
	p->began = false;
	p->status = status;
	if (status == 'I') {
		if (p->touched)
			p->dirty = true; /* committed or rolled back, by Sync too: what was set in it may be gone */
		if (p->defined)
			p->reading = pg_catalogue_defined(p);
		pg_defined_end(p);
		p->touched = p->defined = p->may_define = false;
	}
	if (p->queue.n == 0) { /* else more is under way, and this is not the last word on it */
		p->block = false;
		if (status == 'I')
			p->cursor_traits = 0; /* one WITH HOLD has run */
		if (status == 'I')
			sp_wrote(p->s, false);
	}
	return status == before ? SP_OK : sp_fact(p->s, "transaction", sp_str(name[status]));
}

int
pg_parameter_status(struct pg *p, const struct pg_message *m)
{
	struct sp_bytes name, value;
	if (pg_read_parameter_status(m->body, &name, &value) != SP_OK)
		return SP_EPROTO;
	if (sp_bytes_is(name, "standard_conforming_strings") && !sp_bytes_is(value, "on"))
		return pg_fatal(p, "0A000", "standard_conforming_strings is off: statements can't be read safely");
	struct sp_setting pin; /* the server tells of default_transaction_read_only since 14 */
	if (*sp_purpose(p->s) == '\0' && !pg_pin_allows(p, name, value, &pin))
		return pg_behind(p, SP_TARGET) ? PG_AGAIN
		    : pg_fatal(p, "42501", "%s is pinned to \"%s\", and the target has it otherwise", pin.name, pin.value);
	if (p->adopted && sp_bytes_is(name, "application_name") && p->login == T_SETUP)
		return pg_behind(p, SP_TARGET) ? PG_AGAIN : pg_login_named(p);
	if (sp_bytes_is(name, "DateStyle"))
		p->iso_dates = value.len >= 3 && memcmp(value.p, "ISO", 3) == 0;
	return *sp_purpose(p->s) == '\0' ? PG_PASS : PG_DROP;
}

/* Asynchronous, from anyone: while masked rows are under way it might carry their values. */
int
pg_notification(struct pg *p, const struct pg_message *m)
{
	struct sp_bytes channel;
	uint32_t pid;
	if (pg_read_notification(m->body, &pid, &channel) != SP_OK)
		return SP_EPROTO;
	const struct pg_answer *a = pg_head(p);
	const struct sp_op *op = a == NULL ? NULL : a->op != NULL ? a->op : a->portal != NULL ? a->portal->op : NULL;
	if (op == NULL || !sp_op_sensitive(op))
		return PG_PASS;
	if (pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'A');
	sp_wr_be32(w, pid);
	sp_wr_cstr(w, channel);
	sp_wr_cstr(w, SP_LIT(""));
	int rc = pg_end(w, at);
	return rc != SP_OK ? rc : PG_DROP;
}
