/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL messages as typed values, read and written through the cursors of wire.h. */
#include "message.h"

static int
read_end(const struct sp_reader *r)
{
	return sp_rd_done(r) ? SP_OK : SP_EPROTO;
}

int
pg_read_startup(struct sp_bytes packet, struct pg_startup *m_r)
{
	struct sp_reader r = sp_reader(packet);
	memset(m_r, 0, sizeof(*m_r));
	(void)sp_rd_be32(&r);
	m_r->version = sp_rd_be32(&r);
	/* Everything but the NUL that ends the list, which must be there and be the last byte. */
	m_r->parameters = sp_rd_take(&r, r.left == 0 ? 1 : r.left - 1);
	if (sp_rd_u8(&r) != 0)
		return SP_EPROTO;
	struct sp_reader p = sp_reader(m_r->parameters);
	while (!p.bad && p.left > 0) {
		struct sp_bytes name = sp_rd_cstr(&p);
		(void)sp_rd_cstr(&p);
		if (name.len == 0)
			return SP_EPROTO;
	}
	return p.bad ? SP_EPROTO : read_end(&r);
}

bool
pg_next_parameter(struct sp_reader *r, struct sp_bytes *name_r, struct sp_bytes *value_r)
{
	*name_r = *value_r = (struct sp_bytes){ NULL, 0 };
	if (r->bad || r->left == 0)
		return false;
	*name_r = sp_rd_cstr(r);
	*value_r = sp_rd_cstr(r);
	return !r->bad;
}

int
pg_read_cstr(struct sp_bytes body, struct sp_bytes *text_r)
{
	struct sp_reader r = sp_reader(body);
	*text_r = sp_rd_cstr(&r);
	return read_end(&r);
}

int
pg_read_parse(struct sp_bytes body, struct pg_parse *m_r)
{
	struct sp_reader r = sp_reader(body);
	m_r->name = sp_rd_cstr(&r);
	m_r->text = sp_rd_cstr(&r);
	m_r->ntypes = sp_rd_be16(&r);
	m_r->types = sp_rd_take(&r, (size_t)m_r->ntypes * 4);
	return read_end(&r);
}

static bool
formats_valid(struct sp_bytes formats, uint16_t n)
{
	for (unsigned i = 0; i < n; i++)
		if (formats.p[2 * i] != 0 || formats.p[2 * i + 1] > 1)
			return false;
	return true;
}

int
pg_read_bind(struct sp_bytes body, struct pg_bind *m_r)
{
	struct sp_reader r = sp_reader(body);
	m_r->portal = sp_rd_cstr(&r);
	m_r->statement = sp_rd_cstr(&r);
	m_r->nformats = sp_rd_be16(&r);
	m_r->formats = sp_rd_take(&r, (size_t)m_r->nformats * 2);
	m_r->nvalues = sp_rd_be16(&r);
	m_r->values = (struct sp_bytes){ r.p, r.left };
	for (unsigned i = 0; i < m_r->nvalues && !r.bad; i++) {
		uint32_t len = sp_rd_be32(&r);
		if (len != UINT32_MAX)
			(void)sp_rd_take(&r, len);
	}
	m_r->values.len -= r.left;
	m_r->nresults = sp_rd_be16(&r);
	m_r->results = sp_rd_take(&r, (size_t)m_r->nresults * 2);
	if (read_end(&r) != SP_OK)
		return SP_EPROTO;
	if (m_r->nformats > 1 && m_r->nformats != m_r->nvalues)
		return SP_EPROTO;
	return formats_valid(m_r->formats, m_r->nformats) && formats_valid(m_r->results, m_r->nresults)
	    ? SP_OK : SP_EPROTO;
}

/* No format: text for all; one: for all; else one each. */
uint16_t
pg_format(struct sp_bytes formats, uint16_t n, unsigned i)
{
	if (n == 0)
		return 0;
	struct sp_reader r = sp_reader(formats);
	(void)sp_rd_take(&r, n == 1 ? 0 : (size_t)i * 2);
	return sp_rd_be16(&r);
}

uint32_t
pg_oid_at(struct sp_bytes oids, unsigned i)
{
	struct sp_reader r = sp_reader(oids);
	(void)sp_rd_take(&r, (size_t)i * 4);
	return sp_rd_be32(&r); /* 0 when there is none: unspecified */
}

int
pg_read_target(struct sp_bytes body, struct pg_target *m_r)
{
	struct sp_reader r = sp_reader(body);
	m_r->kind = sp_rd_u8(&r);
	m_r->name = sp_rd_cstr(&r);
	if (m_r->kind != 'S' && m_r->kind != 'P')
		return SP_EPROTO;
	return read_end(&r);
}

int
pg_read_execute(struct sp_bytes body, struct pg_execute *m_r)
{
	struct sp_reader r = sp_reader(body);
	m_r->portal = sp_rd_cstr(&r);
	m_r->max_rows = sp_rd_be32(&r);
	return read_end(&r);
}

struct pg_field
pg_next_field(struct sp_reader *r)
{
	struct pg_field f;
	f.name = sp_rd_cstr(r);
	f.table = sp_rd_be32(r);
	f.column = sp_rd_be16(r);
	f.type = sp_rd_be32(r);
	(void)sp_rd_be16(r); /* type size */
	(void)sp_rd_be32(r); /* type modifier */
	f.format = sp_rd_be16(r);
	if (f.format > 1)
		r->bad = true;
	return f;
}

int
pg_read_row_description(struct sp_bytes body, uint16_t *n_r)
{
	struct sp_reader r = sp_reader(body);
	*n_r = sp_rd_be16(&r);
	for (unsigned i = 0; i < *n_r && !r.bad; i++)
		(void)pg_next_field(&r);
	return read_end(&r);
}

int
pg_read_parameter_description(struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	(void)sp_rd_take(&r, (size_t)sp_rd_be16(&r) * 4);
	return read_end(&r);
}

bool
pg_row_fits(struct sp_bytes body, uint16_t n)
{
	struct sp_reader r = sp_reader(body);
	if (sp_rd_be16(&r) != n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = sp_rd_be32(&r);
		if (len != UINT32_MAX)
			(void)sp_rd_take(&r, len);
	}
	return sp_rd_done(&r);
}

int
pg_read_copy(struct sp_bytes body, struct pg_copy *m_r)
{
	struct sp_reader r = sp_reader(body);
	m_r->binary = sp_rd_u8(&r);
	m_r->ncolumns = sp_rd_be16(&r);
	for (unsigned i = 0; i < m_r->ncolumns && !r.bad; i++)
		if (sp_rd_be16(&r) > 1)
			return SP_EPROTO;
	return m_r->binary > 1 ? SP_EPROTO : read_end(&r);
}

int
pg_read_error(struct sp_bytes body, struct pg_error_text *m_r)
{
	struct sp_reader r = sp_reader(body);
	memset(m_r, 0, sizeof(*m_r));
	for (uint8_t field; (field = sp_rd_u8(&r)) != 0;) {
		struct sp_bytes text = sp_rd_cstr(&r);
		if (field == 'V' || (field == 'S' && m_r->severity.len == 0))
			m_r->severity = text;
		else if (field == 'C')
			m_r->code = text;
		else if (field == 'M')
			m_r->message = text;
	}
	if (m_r->severity.len == 0 || m_r->code.len != 5 || m_r->message.p == NULL)
		return SP_EPROTO; /* a server always sends them, and clients trip without */
	return read_end(&r);
}

int
pg_read_parameter_status(struct sp_bytes body, struct sp_bytes *name_r, struct sp_bytes *value_r)
{
	struct sp_reader r = sp_reader(body);
	*name_r = sp_rd_cstr(&r);
	*value_r = sp_rd_cstr(&r);
	return read_end(&r);
}

int
pg_read_notification(struct sp_bytes body, uint32_t *pid_r, struct sp_bytes *channel_r)
{
	struct sp_reader r = sp_reader(body);
	*pid_r = sp_rd_be32(&r);
	*channel_r = sp_rd_cstr(&r);
	(void)sp_rd_cstr(&r);
	return read_end(&r);
}

uint64_t
pg_tag_rows(struct sp_bytes tag)
{
	uint64_t rows = 0, unit = 1;
	size_t i = tag.len;
	for (; i > 0 && tag.p[i - 1] >= '0' && tag.p[i - 1] <= '9' && tag.len - i < 18; i--, unit *= 10)
		rows += (uint64_t)(tag.p[i - 1] - '0') * unit;
	return i > 0 && i < tag.len && tag.p[i - 1] == ' ' ? rows : 0;
}

size_t
pg_begin(struct sp_writer *w, uint8_t type)
{
	const uint8_t head[PG_HEADER] = { type };
	size_t untyped = type == 0 ? 1 : 0, at = w->len + 1 - untyped;
	sp_wr_put(w, (struct sp_bytes){ head + untyped, sizeof(head) - untyped });
	return at;
}

int
pg_end(struct sp_writer *w, size_t at)
{
	if (w->len - at > PG_MESSAGE_MAX)
		w->bad = true; /* nothing that the writer holds is sent: not even the header */
	else
		sp_wr_patch32(w, at, w->len - at);
	return w->bad ? SP_ETOOBIG : SP_OK;
}

int
pg_write_empty(struct sp_writer *w, uint8_t type)
{
	return pg_end(w, pg_begin(w, type));
}

int
pg_write_cstr(struct sp_writer *w, uint8_t type, struct sp_bytes text)
{
	size_t at = pg_begin(w, type);
	sp_wr_cstr(w, text);
	return pg_end(w, at);
}

int
pg_write_parse(struct sp_writer *w, const char *name, struct sp_bytes text)
{
	size_t at = pg_begin(w, 'P');
	sp_wr_cstr(w, sp_str(name));
	sp_wr_cstr(w, text);
	sp_wr_be16(w, 0);
	return pg_end(w, at);
}

int
pg_write_target(struct sp_writer *w, uint8_t type, uint8_t kind, struct sp_bytes name)
{
	size_t at = pg_begin(w, type);
	sp_wr_u8(w, kind);
	sp_wr_cstr(w, name);
	return pg_end(w, at);
}

int
pg_write_ready(struct sp_writer *w, uint8_t status)
{
	size_t at = pg_begin(w, 'Z');
	sp_wr_u8(w, status);
	return pg_end(w, at);
}
