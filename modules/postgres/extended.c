/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended query: statements are parsed (sql.prepare), bound and executed (sql.statement).
 *
 *   client  Parse ── Bind ──────── Execute ─────────────── Sync
 *             │ask     │ask, with     │(Describe of ours     │
 *             ▼        ▼parameters    ▼ in front)            ▼
 *   target  Parse ── Bind ───[Describe]─ Execute ────────── Sync
 *
 * "Frontend/Backend Protocol", sections "Extended Query" and "Pipelining".
 * The verdict falls at Bind, since binding already evaluates; a portal that is executed in a later
 * batch is judged again when what allowed it has changed.  A refusal is an error in its turn and
 * then silence until Sync, as the server itself would do it.
 */
#include "postgres.h"

#include "catalogue.h"
#include "defined.h"
#include "track.h"

/* May the next message of a batch be looked at? */
static int
gate(struct pg *p)
{
	p->stray_copy = false;
	if (p->barrier || p->cancels != NULL || !pg_room(p))
		return PG_WAIT;
	return pg_track(p);
}

static int refuse(struct pg *p, const char *code, const char *message, const char *hint);

/* … which runs something? */
static int
gate_to_run(struct pg *p)
{
	int rc = gate(p);
	if (rc == PG_PASS && p->ended)
		return refuse(p, "42501", "settings are pinned in this session: a batch ends with the transaction in which something ran",
		    "Send Sync after COMMIT and ROLLBACK.");
	return rc;
}

static int
refuse(struct pg *p, const char *code, const char *message, const char *hint)
{
	struct pg_refusal r;
	pg_refusal_set(&r, code, message, hint);
	return pg_refuse_batch(p, &r);
}

/* forgets: a statement that is gone once the error's turn has come, or NULL. */
static int
refuse_batch(struct pg *p, const struct pg_refusal *r, struct pg_statement *forgets)
{
	bool undo = p->status != 'E' && (p->status == 'T' || p->began || p->batch_ran);
	if (undo && pg_behind(p, SP_CLIENT))
		return PG_AGAIN;
	struct pg_answer *a = pg_expect(p, undo ? T_REFUSED : T_LOCAL);
	if (a == NULL)
		return SP_EINTERNAL;
	if (forgets != NULL)
		forgets->refs++;
	a->statement = forgets;
	p->refusal = *r;
	p->barrier = true;
	pg_question_clear(p);
	pg_enter(p, C_SKIP);
	if (!undo)
		return PG_DROP;
	int rc = sp_own_statement(p->s, SP_LIT(PG_OWN_STATEMENT));
	if (rc == SP_OK) /* a name, so that the client's unnamed statement survives as it would */
		rc = pg_write_parse(pg_out(p, SP_TARGET), "sallyport_refused", SP_LIT(PG_OWN_STATEMENT));
	p->batch_sent = true;
	return rc != SP_OK ? rc : PG_DROP;
}

/* Our error stands in the queue; the server must fail as well when there is something to undo. */
int
pg_refuse_batch(struct pg *p, const struct pg_refusal *r)
{
	return refuse_batch(p, r, NULL);
}

/* ---- Parse ---- */

static int
remember_types(struct pg *p, struct pg_statement *t, const struct pg_parse *m)
{
	if (m->ntypes > t->types_cap) {
		t->types = sp_alloc(p->s, (size_t)m->ntypes * sizeof(*t->types));
		t->types_cap = t->types == NULL ? 0 : m->ntypes;
	}
	if (m->ntypes > t->types_cap)
		return SP_ENOMEM;
	t->ntypes = m->ntypes;
	for (unsigned i = 0; i < m->ntypes; i++)
		t->types[i] = pg_oid_at(m->types, i);
	return SP_OK;
}

static int
parse_allowed(struct pg *p, const struct pg_parse *m)
{
	pg_prepared_touched(p, m->name);
	struct pg_statement *t = pg_statement_add(p, m->name);
	struct pg_answer *a = t == NULL ? NULL : pg_expect(p, T_PARSE);
	if (a == NULL)
		return t == NULL ? SP_ENOMEM : SP_EINTERNAL;
	t->op = pg_question_take(p);
	t->traits = pg_traits(t->op);
	t->refs++;
	a->statement = t;
	p->batch_sent = true;
	int rc = remember_types(p, t, m);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_parse(struct pg *p, const struct pg_message *m)
{
	struct pg_parse parse;
	int rc = gate(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_parse(m->body, &parse) != SP_OK || parse.name.len > PG_NAME_MAX)
		return SP_EPROTO;
	if (p->nstatements >= p->conf->prepared_max)
		return refuse(p, "53400", "too many prepared statements in this session",
		    "Close statements that are no longer needed.");
	rc = p->question.op != NULL ? pg_asked(p) : pg_ask(p, sp_op_new(p->s, 0, "sql.prepare", parse.text));
	if (rc == PG_DROP) /* the server, too, gives up the unnamed statement before it looks at the next one */
		return refuse_batch(p, &p->question.refusal, parse.name.len == 0 ? pg_statement_find(p, parse.name) : NULL);
	return rc == PG_PASS ? parse_allowed(p, &parse) : rc;
}

int
pg_parse_complete(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	struct pg_statement *t = a->statement;
	pg_statement_confirm(p, t);
	int rc = pg_finish(t->op, 0, "", SP_LIT("PREPARE"));
	if (rc == SP_OK)
		rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

/* ---- Bind ---- */

static int
bind_parameters(struct sp_op *op, const struct pg_statement *t, const struct pg_bind *m)
{
	struct sp_reader r = sp_reader(m->values);
	int rc = SP_OK;
	for (unsigned i = 0; i < m->nvalues && rc == SP_OK; i++) {
		struct pg_value v = pg_next_value(&r);
		rc = sp_op_param(op, i, i < t->ntypes ? t->types[i] : 0, pg_format(m->formats, m->nformats, i),
		    v.null, v.bytes);
	}
	return rc;
}

static int
bind_ask(struct pg *p, const struct pg_statement *t, const struct pg_bind *m)
{
	struct sp_op *op = sp_op_again(p->s, t->op, "sql.statement");
	if (op == NULL)
		return SP_ENOMEM;
	int rc = bind_parameters(op, t, m);
	if (rc != SP_OK) {
		sp_op_free(&op);
		return rc;
	}
	return pg_ask(p, op);
}

static int
bind_allowed(struct pg *p, struct pg_statement *t, const struct pg_bind *m)
{
	struct pg_portal *portal = pg_portal_add(p, m->portal);
	struct pg_answer *a = portal == NULL ? NULL : pg_expect(p, T_BIND);
	if (a == NULL)
		return portal == NULL ? SP_ENOMEM : SP_EINTERNAL;
	portal->max_rows = p->question.max_rows;
	portal->op = pg_question_take(p);
	portal->statement = t;
	portal->refs++;
	t->refs++;
	a->portal = portal;
	unsigned traits = pg_traits(portal->op);
	if ((traits & PG_MAY_DEFINE) != 0)
		t->traits = traits;
	pg_cursor_note(p, portal->op, m->portal.len > 0);
	p->batch_sent = true;
	return PG_PASS;
}

int
pg_bind(struct pg *p, const struct pg_message *m)
{
	struct pg_bind bind;
	int rc = gate_to_run(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_bind(m->body, &bind) != SP_OK || bind.portal.len > PG_NAME_MAX || bind.statement.len > PG_NAME_MAX)
		return SP_EPROTO;
	struct pg_statement *t = pg_statement_find(p, bind.statement);
	if (t == NULL)
		return refuse(p, "26000", "this prepared statement is not known to the gateway",
		    "Prepare it again, by the protocol's own Parse message.");
	if (p->nportals >= p->conf->portals_max)
		return refuse(p, "53400", "too many open portals in this session", "Close portals that are no longer needed.");
	if (!t->confirmed && t->batch != p->batch) /* what the name means will be known with its Sync */
		return PG_WAIT;
	rc = p->question.op != NULL ? pg_asked(p) : bind_ask(p, t, &bind);
	if (rc == PG_DROP)
		return pg_refuse_batch(p, &p->question.refusal);
	return rc == PG_PASS ? bind_allowed(p, t, &bind) : rc;
}

int
pg_bind_complete(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	struct pg_portal *new = a->portal;
	struct pg_portal *next;
	new->confirmed = true;
	for (struct pg_portal *old = new->next; old != NULL && new->listed; old = next) {
		next = old->next;
		if (old->name_len == new->name_len && memcmp(old->name, new->name, new->name_len) == 0)
			pg_portal_unlist(p, old);
	}
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

/* ---- Describe ---- */

int
pg_describe(struct pg *p, const struct pg_message *m)
{
	struct pg_target named;
	int rc = gate(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_target(m->body, &named) != SP_OK || named.name.len > PG_NAME_MAX)
		return SP_EPROTO;
	struct pg_statement *t = named.kind == 'S' ? pg_statement_find(p, named.name) : NULL;
	struct pg_portal *portal = named.kind == 'P' ? pg_portal_find(p, named.name) : NULL;
	if (t == NULL && named.kind == 'S')
		return refuse(p, "26000", "this prepared statement is not known to the gateway", "");
	/* A portal that we don't know may be a cursor of SQL's DECLARE: its columns, no rows of it. */
	struct pg_answer *a = pg_expect(p, t != NULL ? T_DESCRIBE_STATEMENT : portal != NULL ? T_DESCRIBE_PORTAL : T_DESCRIBE_FIELDS);
	if (a == NULL)
		return SP_EINTERNAL;
	if (t != NULL)
		t->refs++;
	if (portal != NULL) {
		portal->refs++;
		portal->described = true;
	}
	a->statement = t;
	a->portal = portal;
	p->batch_sent = true;
	return PG_PASS;
}

int
pg_parameter_description(struct pg *p, const struct pg_message *m)
{
	if (pg_read_parameter_description(m->body) != SP_OK)
		return SP_EPROTO;
	pg_head(p)->state = T_DESCRIBE_FIELDS;
	return PG_PASS;
}

/* Types and names of a statement; what its rows hide is judged when they come. */
int
pg_statement_fields(struct pg *p, const struct pg_message *m)
{
	uint16_t n;
	if (pg_read_row_description(m->body, &n) != SP_OK)
		return SP_EPROTO;
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_no_data(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	bool swallow = a->swallow;
	if (a->portal != NULL) {
		pg_shape_clear(&a->portal->shape);
		a->portal->shape.known = true;
	}
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : swallow ? PG_DROP : PG_PASS;
}

/* ---- Execute ---- */

/* Our own Describe in front: masks come from what the server says at execution. */
static int
describe_first(struct pg *p, struct pg_portal *portal)
{
	struct pg_answer *a = pg_expect(p, T_DESCRIBE_PORTAL);
	if (a == NULL)
		return SP_EINTERNAL;
	a->swallow = true;
	a->portal = portal;
	portal->refs++;
	portal->described = true;
	return pg_write_target(pg_out(p, SP_TARGET), 'D', 'P',
	    (struct sp_bytes){ (const uint8_t *)portal->name, portal->name_len });
}

/* A portal of an earlier batch runs on under what is in force now. */
static int
execute_stands(struct pg *p, struct pg_portal *portal)
{
	if (portal->batch == p->batch || sp_op_stands(portal->op))
		return PG_PASS;
	if (p->question.op != NULL)
		return pg_asked(p);
	return pg_ask(p, sp_op_again(p->s, portal->op, "sql.statement"));
}

/* Allowed anew: a new operation goes on where the old one ended, and its masks are judged anew. */
static int
execute_renew(struct pg *p, struct pg_portal *portal)
{
	int rc = portal->finished ? SP_OK : pg_finish(portal->op, portal->rows, "", SP_LIT("suspended"));
	sp_op_free(&portal->op);
	portal->max_rows = p->question.max_rows;
	portal->op = pg_question_take(p);
	portal->described = portal->finished = portal->ran = false;
	pg_shape_clear(&portal->shape);
	return rc;
}

static int
execute_allowed(struct pg *p, struct pg_portal *portal)
{
	bool copies = (portal->statement->traits & PG_COPIES_OUT) != 0;
	int rc = copies ? pg_copy_describe(p, portal->op, false) : SP_OK;
	if (rc == SP_OK && !portal->described)
		rc = describe_first(p, portal);
	struct pg_answer *a = rc == SP_OK ? pg_expect(p, T_EXECUTE) : NULL;
	if (a == NULL)
		return rc != SP_OK ? rc : SP_EINTERNAL;
	a->portal = portal;
	portal->refs++;
	pg_cursor_note(p, portal->op, portal->name_len > 0);
	p->ended = p->ended || (p->pinned && p->batch_ran && (portal->statement->traits & PG_ENDS) != 0);
	p->batch_sent = p->batch_ran = true;
	if ((portal->statement->traits & PG_WRITES) != 0)
		sp_wrote(p->s, true);
	p->block = p->block || (portal->statement->traits & PG_BEGINS) != 0 || (portal->statement->traits & PG_PLAIN) == 0;
	if ((portal->statement->traits & PG_BEGINS) != 0)
		p->began = true;
	else if ((portal->statement->traits & (PG_PLAIN | PG_FETCHES)) != PG_PLAIN || portal->max_rows > 0 || pg_defined_unseen(p))
		p->barrier = true;
	return PG_PASS;
}

int
pg_execute(struct pg *p, const struct pg_message *m)
{
	struct pg_execute execute;
	int rc = gate_to_run(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_execute(m->body, &execute) != SP_OK || execute.portal.len > PG_NAME_MAX)
		return SP_EPROTO;
	struct pg_portal *portal = pg_portal_find(p, execute.portal);
	if (portal == NULL)
		return refuse(p, "34000", "this portal is not known to the gateway", "");
	rc = execute_stands(p, portal);
	if (rc == PG_DROP)
		return pg_refuse_batch(p, &p->question.refusal);
	if (rc == PG_PASS && p->question.op != NULL && execute_renew(p, portal) != SP_OK)
		return SP_EIO;
	if (rc != PG_PASS)
		return rc;
	if (portal->shape.denied != NULL)
		return pg_refuse_batch(p, portal->shape.denied);
	bool writes = !portal->described || (portal->statement->traits & PG_COPIES_OUT) != 0;
	if (writes && pg_behind(p, SP_CLIENT))
		return PG_AGAIN;
	return execute_allowed(p, portal);
}

/* The rest of this batch was promised nothing: its answers are not the client's any more. */
static int
cut_execute(struct pg *p)
{
	int rc = pg_refuse(p, &p->refusal);
	if (rc == SP_OK)
		rc = pg_answered(p);
	if (rc != SP_OK)
		return rc;
	p->muted = true;
	if (pg_sync_expected(p)) {
		p->fail_next = true;
		return PG_DROP;
	}
	rc = pg_refuse_batch(p, &p->refusal);
	return rc == PG_AGAIN ? SP_EINTERNAL : rc;
}

/* All of it or some rows: what it changes may be changed by now, and each further row may change more. */
static void
portal_ran(struct pg *p, struct pg_portal *portal)
{
	if (!portal->ran) /* what writes does all of that for its first row */
		pg_defined_moved(p, portal->op, portal->statement->traits);
	portal->ran = true;
	pg_track_answer(p, portal->statement->traits);
}

int
pg_execute_complete(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_portal *portal = a->portal;
	struct sp_bytes tag;
	if (pg_read_cstr(m->body, &tag) != SP_OK)
		return SP_EPROTO;
	if (a->cut && pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	int rc = SP_OK;
	portal_ran(p, portal);
	if (!portal->finished) {
		portal->finished = true;
		uint64_t rows = portal->shape.ncolumns > 0 ? portal->rows : pg_tag_rows(tag);
		if (rc == SP_OK)
			rc = pg_finish(portal->op, rows, a->cut ? p->refusal.code : "", tag);
	}
	if (rc == SP_OK && a->cut)
		return cut_execute(p);
	if (rc == SP_OK)
		rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_execute_empty(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_portal *portal = pg_head(p)->portal;
	int rc = SP_OK;
	if (portal != NULL && !portal->finished) {
		portal->finished = true;
		rc = pg_finish(portal->op, 0, "", SP_LIT(""));
	}
	if (rc == SP_OK)
		rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_suspended(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	if (a->cut && pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	portal_ran(p, a->portal);
	if (a->cut)
		return cut_execute(p);
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

/* ---- Close, Flush, Sync ---- */

int
pg_close_object(struct pg *p, const struct pg_message *m)
{
	struct pg_target named;
	int rc = gate(p);
	if (rc != PG_PASS)
		return rc;
	if (pg_read_target(m->body, &named) != SP_OK || named.name.len > PG_NAME_MAX)
		return SP_EPROTO;
	struct pg_answer *a = pg_expect(p, T_CLOSE);
	if (a == NULL)
		return SP_EINTERNAL;
	if (named.kind == 'S')
		pg_prepared_touched(p, named.name);
	a->statement = named.kind == 'S' ? pg_statement_find(p, named.name) : NULL;
	a->portal = named.kind == 'P' ? pg_portal_find(p, named.name) : NULL;
	if (a->statement != NULL) {
		a->statement->refs++;
		a->statement->closing = true;
	}
	if (a->portal != NULL) {
		a->portal->refs++;
		a->portal->closing = true;
	}
	p->batch_sent = true;
	return PG_PASS;
}

int
pg_close_complete(struct pg *p, const struct pg_message *m)
{
	(void)m;
	struct pg_answer *a = pg_head(p);
	pg_statement_unlist(p, a->statement);
	pg_portal_unlist(p, a->portal);
	int rc = pg_answered(p);
	return rc != SP_OK ? rc : PG_PASS;
}

int
pg_flush(struct pg *p, const struct pg_message *m)
{
	(void)p;
	(void)m;
	return PG_PASS;
}

int
pg_sync(struct pg *p, const struct pg_message *m)
{
	(void)m;
	if (!pg_room(p) || pg_expect(p, T_SYNC) == NULL)
		return PG_WAIT;
	p->batch++;
	p->stray_copy = p->batch_sent = p->batch_ran = p->ended = false;
	if (p->status == 'I' && !p->block)
		sp_wrote(p->s, false); /* the transaction ends with it, and what is asked next waits for its end */
	if (p->pinned)
		p->barrier = true;
	if (p->client == C_SKIP)
		pg_enter(p, C_READY);
	return PG_PASS;
}

/* Ignored, whatever its length. */
int
pg_skip(struct pg *p, const struct pg_message *m)
{
	if (m->body.len + PG_HEADER == m->size)
		return PG_DROP;
	return pg_stream_begin(p, SP_CLIENT, m, true);
}
