/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY … TO STDOUT with masks: its columns are those of a SELECT that the server describes first.
 *
 *   Parse, Describe, Close of ours ─▶ source and type of each column ─▶ the COPY itself
 *   CopyData: one row each ─▶ fields in text, csv or binary ─▶ masked by type ─▶ written anew
 *
 * A row that does not read as its form says ends the answer: nothing of it is shown.
 */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "postgres.h"

#include "catalogue.h"

#include <stdlib.h>

#define OWN_NAME "sallyport_copy"

/* ---- describing ---- */

/* Ask for the columns, before the COPY itself goes out; `whole`: a Sync of ours ends it. */
int
pg_copy_describe(struct pg *p, const struct sp_op *op, bool whole)
{
	struct sp_bytes text = sp_op_text(op);
	struct sp_writer query = sp_writer(NULL, 0);
	uint8_t *space = malloc(2 * text.len + 64);
	int rc = space == NULL ? SP_ENOMEM : SP_OK;
	p->copy.ncolumns = 0;
	p->copy.begun = p->copy.masked = false;
	if (rc == SP_OK) {
		query = sp_writer(space, 2 * text.len + 64);
		pg_copy_form_read(text, &p->copy.form, &query);
	}
	if (rc == SP_OK && query.len > 0 && !query.bad && sp_op_sensitive(op)) {
		struct sp_writer *w = pg_out(p, SP_TARGET);
		bool room = pg_expect_own(p, OWN_COPY, '3') != NULL && (!whole || pg_expect_own(p, OWN_SYNC, 'Z') != NULL);
		rc = room ? sp_own_statement(p->s, SP_LIT("sallyport: the columns of this COPY")) : SP_EINTERNAL;
		if (rc == SP_OK)
			rc = pg_write_parse(w, OWN_NAME, sp_written(&query));
		if (rc == SP_OK)
			rc = pg_write_target(w, 'D', 'S', SP_LIT(OWN_NAME));
		if (rc == SP_OK)
			rc = pg_write_target(w, 'C', 'S', SP_LIT(OWN_NAME));
		if (rc == SP_OK && whole)
			rc = pg_write_empty(w, 'S');
	}
	free(space);
	return rc;
}

int
pg_copy_fields(struct pg *p, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	uint16_t n;
	if (pg_read_row_description(body, &n) != SP_OK)
		return SP_EPROTO;
	(void)sp_rd_be16(&r);
	if (n > p->copy.cap) {
		p->copy.column = sp_alloc(p->s, n * sizeof(*p->copy.column));
		p->copy.cap = p->copy.column == NULL ? 0 : n;
	}
	if (n > p->copy.cap)
		return SP_ENOMEM;
	for (uint16_t i = 0; i < n; i++) {
		struct pg_field f = pg_next_field(&r);
		p->copy.column[i] = (struct pg_copy_column){ f.table, f.type, f.column };
	}
	p->copy.ncolumns = n;
	return SP_OK;
}

/* Tells the core where the columns come from; PG_WAIT while the catalogue is read for one. */
int
pg_copy_columns(struct pg *p, struct sp_op *op, uint16_t n)
{
	bool known = n == p->copy.ncolumns;
	int rc = sp_columns_begin(op, n);
	for (uint16_t i = 0; i < n && rc == SP_OK; i++) {
		struct sp_column c = { .name = SP_LIT("?"), .known = SP_SOURCE_UNKNOWN };
		if (known) {
			c.type = p->copy.column[i].type;
			rc = pg_catalogue_column(p, op, p->copy.column[i].table, p->copy.column[i].attnum, &c);
		}
		c.text = pg_type_is_text(c.type);
		if (rc == SP_OK)
			rc = sp_column(op, i, &c);
	}
	if (rc == SP_OK)
		pg_catalogue_described(p);
	return rc;
}

/* ---- one row ---- */

static struct { /* of the row under way, wiped after it */
	uint8_t *p;
	size_t cap;
} scratch;

static bool
scratch_room(size_t n)
{
	if (n <= scratch.cap)
		return true;
	free(scratch.p);
	scratch.p = malloc(n);
	scratch.cap = scratch.p == NULL ? 0 : n;
	return scratch.p != NULL;
}

static void
scratch_end(void)
{
	if (scratch.p != NULL)
		explicit_bzero(scratch.p, scratch.cap);
	free(scratch.p);
	scratch.p = NULL;
	scratch.cap = 0;
}

struct masking {
	struct pg *p;
	const struct sp_op *op;
	struct sp_writer *out;
	unsigned column;
};

static const struct sp_mask *
mask_now(const struct masking *m)
{
	return sp_column_mask(m->op, m->column);
}

static uint32_t
type_now(const struct masking *m)
{
	return m->column < m->p->copy.ncolumns ? m->p->copy.column[m->column].type : 0;
}

/* Masks v; what came of it, borrowed until the next call.  null: it has become NULL. */
static int
mask_text(const struct masking *m, struct sp_bytes v, struct pg_value *v_r)
{
	struct sp_writer *out = m->out;
	size_t at = out->len;
	struct pg_value in = { .bytes = v };
	int rc = pg_mask_field(m->p, mask_now(m), type_now(m), false, in, out);
	if (rc != SP_OK || out->bad)
		return rc != SP_OK ? rc : SP_ENOMEM;
	struct sp_reader r = sp_reader((struct sp_bytes){ out->p + at, out->len - at });
	uint32_t n = sp_rd_be32(&r);
	v_r->null = n == UINT32_MAX;
	v_r->bytes = (struct sp_bytes){ scratch.p, r.left };
	if (!scratch_room(r.left + 1)) /* v lies in the input or in scratch, and is not needed any more */
		return SP_ENOMEM;
	if (r.left > 0)
		memcpy(scratch.p, r.p, r.left);
	v_r->bytes.p = scratch.p;
	out->len = at;
	return SP_OK;
}

static bool
is_null(const struct pg_copy_form *f, struct sp_bytes raw)
{
	return sp_bytes_eq(raw, (struct sp_bytes){ f->null, f->null_len });
}

static void
write_null(struct masking *m)
{
	sp_wr_put(m->out, (struct sp_bytes){ m->p->copy.form.null, m->p->copy.form.null_len });
}

/* ---- text ---- */

static const char text_plain[] = "\b\f\n\r\t\v", text_letter[] = "bfnrtv";

/* The server writes \b \f \n \r \t \v \\ and a backslash before its delimiter, nothing else. */
static struct sp_bytes
text_decode(struct sp_bytes raw)
{
	size_t n = 0;
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = raw.p[i];
		if (c == '\\' && i + 1 < raw.len) {
			c = raw.p[++i];
			const char *letter = c == 0 ? NULL : strchr(text_letter, c);
			c = letter == NULL ? c : (uint8_t)text_plain[letter - text_letter];
		}
		scratch.p[n++] = c;
	}
	return (struct sp_bytes){ scratch.p, n };
}

static void
text_encode(struct masking *m, struct sp_bytes v)
{
	for (size_t i = 0; i < v.len; i++) {
		const char *plain = v.p[i] == 0 ? NULL : strchr(text_plain, v.p[i]);
		if (plain != NULL || v.p[i] == '\\' || v.p[i] == m->p->copy.form.delimiter)
			sp_wr_u8(m->out, '\\');
		sp_wr_u8(m->out, plain == NULL ? v.p[i] : (uint8_t)text_letter[plain - text_plain]);
	}
}

static int
text_field(struct masking *m, struct sp_bytes raw)
{
	struct pg_value v;
	if (mask_now(m) == NULL) {
		sp_wr_put(m->out, raw);
		return SP_OK;
	}
	if (is_null(&m->p->copy.form, raw)) {
		write_null(m);
		return SP_OK;
	}
	if (!scratch_room(raw.len + 1))
		return SP_ENOMEM;
	int rc = mask_text(m, text_decode(raw), &v);
	if (rc == SP_OK && v.null)
		write_null(m);
	else if (rc == SP_OK)
		text_encode(m, v.bytes);
	return rc;
}

/* ---- csv ---- */

static int
csv_field(struct masking *m, struct sp_bytes raw)
{
	const struct pg_copy_form *f = &m->p->copy.form;
	struct pg_value v;
	if (mask_now(m) == NULL) {
		sp_wr_put(m->out, raw);
		return SP_OK;
	}
	if (is_null(f, raw)) {
		write_null(m);
		return SP_OK;
	}
	if (!scratch_room(raw.len + 1))
		return SP_ENOMEM;
	bool quoted = raw.len >= 2 && raw.p[0] == f->quote;
	size_t n = 0, end = quoted ? raw.len - 1 : raw.len;
	for (size_t i = quoted ? 1 : 0; i < end; i++) {
		if (quoted && raw.p[i] == f->escape && i + 1 < end)
			i++;
		scratch.p[n++] = raw.p[i];
	}
	int rc = mask_text(m, (struct sp_bytes){ scratch.p, n }, &v);
	if (rc != SP_OK || v.null) {
		write_null(m);
		return rc;
	}
	sp_wr_u8(m->out, f->quote);
	for (size_t i = 0; i < v.bytes.len; i++) {
		if (v.bytes.p[i] == f->quote || v.bytes.p[i] == f->escape)
			sp_wr_u8(m->out, f->escape);
		sp_wr_u8(m->out, v.bytes.p[i]);
	}
	sp_wr_u8(m->out, f->quote);
	return SP_OK;
}

/* ---- rows ---- */

/* Where the field at the front of b ends: at a delimiter, or at the row's last byte. */
static size_t
field_end(const struct pg_copy_form *f, struct sp_bytes b)
{
	bool quoted = false;
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.p[i];
		if (f->format == PG_COPY_TEXT && c == '\\')
			i++;
		else if (f->format == PG_COPY_CSV && quoted && c == f->escape && i + 1 < b.len && (b.p[i + 1] == f->quote || b.p[i + 1] == f->escape))
			i++;
		else if (f->format == PG_COPY_CSV && c == f->quote)
			quoted = !quoted;
		else if (!quoted && c == f->delimiter)
			return i;
		else if (!quoted && c == '\n')
			return SIZE_MAX; /* another row in the same message: not as the server writes */
	}
	return quoted ? SIZE_MAX : b.len;
}

static int
line_row(struct masking *m, struct sp_bytes line)
{
	struct sp_reader r = sp_reader(line);
	const struct pg_copy_form *f = &m->p->copy.form;
	if (line.len == 0 || line.p[line.len - 1] != '\n')
		return SP_EPROTO;
	r.left--;
	for (m->column = 0;; m->column++) {
		size_t n = field_end(f, (struct sp_bytes){ r.p, r.left });
		if (n == SIZE_MAX || m->column >= m->p->copy.expected)
			return SP_EPROTO;
		struct sp_bytes raw = sp_rd_take(&r, n);
		int rc = f->format == PG_COPY_TEXT ? text_field(m, raw) : csv_field(m, raw);
		if (rc != SP_OK)
			return rc;
		if (r.left == 0)
			break;
		sp_wr_u8(m->out, sp_rd_u8(&r));
		if (r.left == 0 && m->column + 1 < m->p->copy.expected) { /* the last field is empty */
			m->column++;
			rc = f->format == PG_COPY_TEXT ? text_field(m, SP_LIT("")) : csv_field(m, SP_LIT(""));
			if (rc != SP_OK)
				return rc;
			break;
		}
	}
	sp_wr_u8(m->out, '\n');
	return m->column + 1 == m->p->copy.expected ? SP_OK : SP_EPROTO;
}

static int
binary_row(struct masking *m, struct sp_reader *r)
{
	int rc = SP_OK;
	uint16_t n = sp_rd_be16(r);
	sp_wr_be16(m->out, n);
	if (n == UINT16_MAX)
		return sp_rd_done(r) ? SP_OK : SP_EPROTO;
	if (n != m->p->copy.expected)
		return SP_EPROTO;
	for (m->column = 0; m->column < n && rc == SP_OK && !r->bad; m->column++) {
		uint32_t len = sp_rd_be32(r);
		struct pg_value v = { .null = len == UINT32_MAX };
		if (!v.null)
			v.bytes = sp_rd_take(r, len);
		if (mask_now(m) != NULL && !r->bad) {
			rc = pg_mask_field(m->p, mask_now(m), type_now(m), true, v, m->out);
			continue;
		}
		sp_wr_be32(m->out, len);
		sp_wr_put(m->out, v.bytes);
	}
	return r->bad ? SP_EPROTO : rc;
}

static int
binary_data(struct masking *m, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	int rc = SP_OK;
	if (!m->p->copy.begun) { /* signature, flags, an extension of no length */
		struct sp_bytes head = sp_rd_take(&r, 19);
		if (r.bad || memcmp(head.p, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19) != 0)
			return SP_EPROTO;
		sp_wr_put(m->out, head);
		m->p->copy.begun = true;
	}
	while (rc == SP_OK && r.left > 0)
		rc = binary_row(m, &r);
	return rc;
}

/* The body of a CopyData, masked, at the end of `out`; SP_EPROTO: it does not read as it should. */
int
pg_copy_mask(struct pg *p, const struct sp_op *op, struct sp_bytes body, struct sp_writer *out)
{
	struct masking m = { .p = p, .op = op, .out = out };
	bool names = p->copy.form.header && !p->copy.begun;
	int rc = SP_OK;
	if (p->copy.form.format == PG_COPY_BINARY) {
		rc = binary_data(&m, body);
	} else if (names) {
		p->copy.begun = true;
		sp_wr_put(out, body);
	} else {
		rc = line_row(&m, body);
	}
	scratch_end();
	return rc != SP_OK ? rc : out->bad ? SP_ENOMEM : SP_OK;
}
