/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: described, judged by the source of each column, then shown, masked or withheld.
 *
 *   RowDescription ─▶ (table, column) ─catalogue─▶ schema.table.column ─▶ sp_columns_judge()
 *   DataRow          no mask: checked and passed in runs      masks: rebuilt, up to row_max
 *
 * RowDescription and DataRow: "Frontend/Backend Protocol", section "Message Formats".
 * Nothing of a row moves before every one of its columns has been judged.
 */
#include "postgres.h"

#include "catalogue.h"

/* ---- recording in batches ---- */

/*
 * Rows are small and come in thousands; one call per row would cost more than the row.  A batch
 * never outlives a callback, so one for the whole worker is enough.
 */
static struct {
	struct sp_session *s;
	const struct sp_op *op;
	enum sp_stream stream;
	size_t len;
	uint8_t bytes[64u << 10];
} batch;

int
pg_record_flush(void)
{
	struct sp_bytes b = { batch.bytes, batch.len };
	if (batch.len == 0)
		return SP_OK;
	batch.len = 0;
	return sp_record(batch.s, batch.op, batch.stream, b);
}

void
pg_record_discard(void)
{
	batch.len = 0;
}

int
pg_record(struct pg *p, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b)
{
	int rc = SP_OK;
	bool other = batch.s != p->s || batch.op != op || batch.stream != stream;
	if (other || b.len > sizeof(batch.bytes) - batch.len)
		rc = pg_record_flush();
	if (rc != SP_OK || b.len > sizeof(batch.bytes))
		return rc != SP_OK ? rc : sp_record(p->s, op, stream, b);
	batch.s = p->s;
	batch.op = op;
	batch.stream = stream;
	if (b.len > 0)
		memcpy(batch.bytes + batch.len, b.p, b.len);
	batch.len += b.len;
	return SP_OK;
}

/* ---- describing ---- */

void
pg_shape_clear(struct pg_shape *shape)
{
	shape->known = shape->masked = false;
	shape->ncolumns = 0;
	shape->denied = NULL;
}

static int
shape_room(struct pg *p, struct pg_shape *shape, uint16_t n)
{
	if (n <= shape->cap)
		return SP_OK;
	shape->type = sp_alloc(p->s, n * sizeof(*shape->type));
	shape->binary = sp_alloc(p->s, n);
	shape->cap = shape->type == NULL || shape->binary == NULL ? 0 : n;
	return shape->cap == 0 ? SP_ENOMEM : SP_OK;
}

static int
shape_columns(struct pg *p, struct pg_shape *shape, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	uint16_t n = sp_rd_be16(&r);
	int rc = shape_room(p, shape, n);
	for (uint16_t i = 0; i < n && rc == SP_OK; i++) {
		struct pg_field f = pg_next_field(&r);
		shape->type[i] = f.type;
		shape->binary[i] = f.format == 1;
	}
	shape->ncolumns = n;
	return rc;
}

/* Tell the core where each column comes from; PG_WAIT while the catalogue is being read for it. */
static int
describe_columns(struct pg *p, struct sp_op *op, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	uint16_t n = sp_rd_be16(&r);
	int rc = sp_columns_begin(op, n);
	for (uint16_t i = 0; i < n && rc == SP_OK; i++) {
		struct pg_field f = pg_next_field(&r);
		struct sp_column c = { .name = f.name, .type = f.type, .format = f.format };
		rc = pg_catalogue_column(p, op, f.table, f.column, &c);
		c.text = pg_type_is_text(f.type);
		if (rc == SP_OK)
			rc = sp_column(op, i, &c);
	}
	return rc;
}

static int
judge_columns(struct pg *p, struct sp_op *op, struct pg_shape *shape, struct sp_bytes body)
{
	const struct sp_verdict *v = NULL;
	uint16_t n;
	if (pg_read_row_description(body, &n) != SP_OK)
		return SP_EPROTO;
	pg_shape_clear(shape);
	/* what FETCH shows depends on cursors as well; what nobody knows is in no version */
	uint64_t version = p->secret_cursor ? 0 : pg_catalogue_version(p);
	bool again = version != 0 && sp_columns_again(op, body, version);
	int rc = again ? SP_OK : describe_columns(p, op, body);
	if (rc == SP_OK)
		rc = shape_columns(p, shape, body);
	if (rc != SP_OK)
		return rc;
	pg_catalogue_described(p);
	rc = sp_columns_judge(op, &v);
	if (rc < 0 && rc != SP_EDENIED)
		return rc;
	if (version != 0 && !again)
		sp_columns_keep(op, body, version);
	shape->known = true;
	shape->masked = rc != 0;
	if (rc == SP_EDENIED) {
		shape->denied = sp_alloc(p->s, sizeof(*shape->denied));
		if (shape->denied == NULL)
			return SP_ENOMEM;
		pg_refusal_set(shape->denied, "42501", v == NULL ? "the result is denied" : v->message,
		    v == NULL ? "" : v->hint);
	}
	return SP_OK;
}

/* Executions of a denied portal that are already on their way. */
static int
cut_portal(struct pg *p, const struct pg_portal *portal)
{
	for (unsigned i = 0; i < p->queue.n; i++) {
		struct pg_answer *a = &p->queue.v[(p->queue.first + i) % PG_QUEUE];
		if (a->portal == portal && a->state == T_EXECUTE) {
			a->cut = true;
			p->refusal = *portal->shape.denied;
			p->barrier = true;
			return pg_cancel_target(p);
		}
	}
	return SP_OK;
}

int
pg_row_description(struct pg *p, const struct pg_message *m)
{
	struct pg_answer *a = pg_head(p);
	struct pg_portal *portal = a->portal;
	if (portal == NULL) {
		if (p->muted) { /* another statement of a query that already failed for the client */
			a->state = T_QUERY_ROWS;
			return PG_DROP;
		}
		int rc = judge_columns(p, a->op, &p->shape, m->body);
		if (rc != SP_OK)
			return rc;
		a->state = T_QUERY_ROWS;
		if (p->shape.denied == NULL)
			return a->cut ? PG_DROP : PG_PASS;
		rc = pg_cut(p, p->shape.denied->code, p->shape.denied->message, p->shape.denied->hint);
		return rc != SP_OK ? rc : PG_DROP;
	}
	bool swallow = a->swallow;
	int rc = judge_columns(p, portal->op, &portal->shape, m->body);
	if (rc == SP_OK && portal->shape.denied != NULL)
		rc = cut_portal(p, portal);
	if (rc == SP_OK)
		rc = pg_answered(p);
	return rc != SP_OK ? rc : swallow ? PG_DROP : PG_PASS;
}

int
pg_cut(struct pg *p, const char *code, const char *message, const char *hint)
{
	struct pg_answer *a = pg_head(p);
	a->cut = true;
	pg_refusal_set(&p->refusal, code, message, hint);
	p->barrier = true;
	return pg_cancel_target(p);
}

/* ---- rows ---- */

struct rows { /* the rows under way: whose they are */
	struct pg_answer *answer;
	struct pg_shape *shape;
	struct sp_op *op;
	uint64_t *count, max;
};

static struct rows
rows_of(struct pg *p)
{
	struct pg_answer *a = pg_head(p);
	struct pg_portal *portal = a->portal;
	if (portal != NULL)
		return (struct rows){ a, &portal->shape, portal->op, &portal->rows, portal->max_rows };
	return (struct rows){ a, &p->shape, a->op, &p->rows, p->max_rows };
}

static bool
is_whole(const struct pg_message *m)
{
	return m->body.len + PG_HEADER == m->size;
}

static int
discard(struct pg *p, const struct pg_message *m)
{
	return is_whole(m) ? PG_DROP : pg_stream_begin(p, SP_TARGET, m, true);
}

/* Masks by column, for the callback under way; an answer has no more columns. */
#define COLUMNS_MAX 1664u
static const struct sp_mask *mask_of[COLUMNS_MAX];

static bool
masks_find(const struct rows *rows)
{
	if (rows->shape->ncolumns > COLUMNS_MAX)
		return false;
	for (unsigned i = 0; i < rows->shape->ncolumns; i++)
		mask_of[i] = sp_column_mask(rows->op, i);
	return true;
}

/* A row written anew by mask_of: what is shown as it is in as few pieces as there are masks between. */
static int
write_masked(struct pg *p, const struct rows *rows, struct sp_bytes body, struct sp_writer *w)
{
	const struct pg_shape *shape = rows->shape;
	struct sp_reader r = sp_reader(body);
	size_t at = pg_begin(w, 'D'), start = w->len;
	struct sp_bytes shown = sp_rd_take(&r, 2);
	int rc = SP_OK;
	for (unsigned i = 0; i < shape->ncolumns && rc == SP_OK; i++) {
		size_t before = r.left;
		struct pg_value v = pg_next_value(&r);
		if (mask_of[i] == NULL) {
			shown.len += before - r.left;
			continue;
		}
		sp_wr_put(w, shown);
		rc = pg_mask_field(p, mask_of[i], shape->type[i], shape->binary[i] != 0, v, w);
		shown = (struct sp_bytes){ r.p, 0 };
	}
	sp_wr_put(w, shown);
	if (rc == SP_OK)
		rc = pg_end(w, at);
	if (rc != SP_OK)
		return rc;
	return pg_record(p, rows->op, SP_REC_ROWS, (struct sp_bytes){ w->p + start, w->len - start });
}

/* Would the row come out as it is?  Most do where detectors look through columns that nobody tagged. */
static bool
row_is_spared(const struct rows *rows, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	(void)sp_rd_be16(&r);
	for (unsigned i = 0; i < rows->shape->ncolumns; i++) {
		struct pg_value v = pg_next_value(&r);
		if (mask_of[i] != NULL && !pg_mask_spares(mask_of[i], rows->shape->type[i], v))
			return false;
	}
	return true;
}

static int
masked_row(struct pg *p, const struct rows *rows, const struct pg_message *m)
{
	if (m->size > p->conf->row_max) {
		int rc = pg_cut(p, "54000", "a row with masked columns is longer than row_max", "Select fewer or shorter columns.");
		return rc != SP_OK ? rc : discard(p, m);
	}
	if (pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	if (!is_whole(m)) {
		if (pg_unsent(p, SP_TARGET))
			return PG_AGAIN;
		int rc = sp_want(p->s, SP_TARGET, m->size, p->conf->row_max);
		return rc != SP_OK ? rc : PG_WAIT;
	}
	if (!pg_row_fits(m->body, rows->shape->ncolumns))
		return SP_EPROTO;
	if (!masks_find(rows))
		return SP_EPROTO;
	++*rows->count;
	if (row_is_spared(rows, m->body)) {
		int rc = pg_record(p, rows->op, SP_REC_ROWS, m->body);
		return rc != SP_OK ? rc : PG_PASS;
	}
	int rc = write_masked(p, rows, m->body, pg_out(p, SP_CLIENT));
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_rows(struct pg *p, const struct pg_message *m)
{
	struct rows rows = rows_of(p);
	if (rows.answer->cut || p->muted)
		return discard(p, m);
	if (!rows.shape->known || (rows.answer->portal != NULL && rows.answer->portal->finished))
		return SP_EPROTO; /* rows that nobody described, or of a portal that had its last */
	if (rows.max > 0 && *rows.count >= rows.max) {
		int rc = pg_cut(p, "53400", "the answer has more rows than a rule allows; the rest is withheld",
		    "Ask for fewer rows, with LIMIT.");
		return rc != SP_OK ? rc : discard(p, m);
	}
	if (rows.shape->masked)
		return masked_row(p, &rows, m);
	if (!is_whole(m))
		return pg_stream_begin(p, SP_TARGET, m, false);
	if (!pg_row_fits(m->body, rows.shape->ncolumns))
		return SP_EPROTO;
	++*rows.count;
	int rc = pg_record(p, rows.op, SP_REC_ROWS, m->body);
	return rc != SP_OK ? rc : PG_PASS;
}

/* The body of the whole row at the reader, which moves past it; empty: the next message is something else, or odd. */
static struct sp_bytes
next_row(struct sp_reader *r, const struct rows *rows)
{
	struct sp_reader at = *r;
	uint8_t type = sp_rd_u8(&at);
	uint32_t length = sp_rd_be32(&at);
	struct sp_bytes body = sp_rd_take(&at, type != 'D' || length < 4 ? SIZE_MAX : length - 4);
	if (at.bad || !pg_row_fits(body, rows->shape->ncolumns))
		return (struct sp_bytes){ NULL, 0 };
	*r = at;
	return body;
}

static bool
may_run(const struct pg *p, const struct rows *rows)
{
	enum pg_state state = pg_target_state(p);
	if ((state != T_QUERY_ROWS && state != T_EXECUTE) || rows->answer->cut || p->muted || !rows->shape->known)
		return false;
	return rows->answer->portal == NULL || !rows->answer->portal->finished;
}

/* Rows that pass as they are, up to one that does not. */
static int
run_passed(struct pg *p, const struct rows *rows, struct sp_reader *r)
{
	bool masked = rows->shape->masked;
	while (rows->max == 0 || *rows->count < rows->max) {
		struct sp_reader before = *r;
		struct sp_bytes body = next_row(r, rows);
		if (body.len == 0)
			break;
		if (masked && (before.left - r->left > p->conf->row_max || !row_is_spared(rows, body))) {
			*r = before;
			break;
		}
		int rc = pg_record(p, rows->op, SP_REC_ROWS, body);
		if (rc != SP_OK)
			return rc;
		++*rows->count;
	}
	return SP_OK;
}

#define WRITE_MOST (64u << 10) /* then the client's side is asked whether it wants more */

/* Rows that are written anew, behind others that were. */
static int
run_written(struct pg *p, const struct rows *rows, struct sp_reader *r)
{
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t start = w->len;
	while ((rows->max == 0 || *rows->count < rows->max) && w->len - start < WRITE_MOST) {
		struct sp_reader before = *r;
		struct sp_bytes body = next_row(r, rows);
		if (body.len == 0)
			break;
		if (before.left - r->left > p->conf->row_max) {
			*r = before;
			break;
		}
		int rc = write_masked(p, rows, body, w);
		if (rc != SP_OK)
			return rc;
		++*rows->count;
	}
	return SP_OK;
}

int
pg_rows_run(struct pg *p, struct sp_bytes in, size_t *n_r)
{
	bool written = p->done[SP_TARGET] > 0;
	*n_r = 0;
	if (in.len == 0 || in.p[0] != 'D' || pg_settled(p))
		return SP_OK;
	struct rows rows = rows_of(p);
	if (!may_run(p, &rows) || (written && !rows.shape->masked) || (rows.shape->masked && !masks_find(&rows)))
		return SP_OK;
	struct sp_reader r = sp_reader(in);
	int rc = written ? run_written(p, &rows, &r) : run_passed(p, &rows, &r);
	*n_r = in.len - r.left;
	return rc;
}

/* ---- messages that pass in pieces ---- */

static int
move(struct pg *p, enum sp_side from, size_t n)
{
	p->stream[from].left -= n;
	int rc = p->stream[from].discard ? sp_drop(p->s, from, n) : sp_pass(p->s, from, n);
	return rc != SP_OK ? rc : PG_TAKEN;
}

/* Record, then move, the first n bytes of the input, of which `skip` are the header. */
static int
piece(struct pg *p, enum sp_side from, struct sp_bytes in, size_t n, size_t skip)
{
	if (p->stream[from].discard)
		return move(p, from, n);
	struct pg_answer *a = pg_head(p);
	if (a == NULL)
		return SP_EINTERNAL;
	const struct sp_op *op = a->portal != NULL ? a->portal->op : a->op;
	enum sp_stream kind = from == SP_CLIENT ? SP_REC_INPUT : p->stream[from].type == 'D' ? SP_REC_ROWS : SP_REC_OUTPUT;
	struct sp_reader r = sp_reader(in);
	(void)sp_rd_take(&r, skip);
	int rc = pg_record(p, op, kind, sp_rd_take(&r, n - skip));
	if (rc == SP_OK)
		rc = pg_record_flush();
	return rc != SP_OK ? rc : move(p, from, n);
}

int
pg_stream_begin(struct pg *p, enum sp_side from, const struct pg_message *m, bool discard_it)
{
	if (pg_unsent(p, from))
		return PG_AGAIN;
	size_t head = PG_HEADER;
	struct pg_stream *stream = &p->stream[from];
	*stream = (struct pg_stream){ .type = m->type, .left = m->size, .discard = discard_it };
	if (m->type == 'D' && from == SP_TARGET && !discard_it) {
		struct rows rows = rows_of(p);
		struct sp_reader r = sp_reader(m->body);
		stream->fields = sp_rd_be16(&r);
		if (r.bad || stream->fields != rows.shape->ncolumns)
			return SP_EPROTO;
		++*rows.count;
		head += 2;
	}
	return piece(p, from, sp_peek(p->s, from), head, PG_HEADER);
}

/* A DataRow's pieces: a field's length, then its bytes; they must add up. */
static int
stream_row(struct pg *p, enum sp_side from, struct sp_bytes in)
{
	struct pg_stream *stream = &p->stream[from];
	if (stream->value > 0) {
		size_t n = in.len < stream->value ? in.len : stream->value;
		stream->value -= n;
		return piece(p, from, in, n, 0);
	}
	if (stream->fields == 0 || stream->left < 4)
		return SP_EPROTO;
	if (in.len < 4) {
		int rc = sp_want(p->s, from, 4, 4);
		return rc != SP_OK ? rc : PG_WAIT;
	}
	struct sp_reader r = sp_reader(in);
	uint32_t len = sp_rd_be32(&r);
	stream->fields--;
	stream->value = len == UINT32_MAX ? 0 : len;
	if (stream->value > stream->left - 4 || (stream->fields == 0 && stream->value != stream->left - 4))
		return SP_EPROTO;
	return piece(p, from, in, 4, 0);
}

int
pg_stream(struct pg *p, enum sp_side from, struct sp_bytes in)
{
	struct pg_stream *stream = &p->stream[from];
	if (stream->type == 'D' && from == SP_TARGET && !stream->discard)
		return stream_row(p, from, in);
	return piece(p, from, in, in.len < stream->left ? in.len : stream->left, 0);
}
