/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL server in a few lines, for the module's own connections:
 *
 *   shop.people  16400   id int4, email text, born date, seen timestamptz, doc jsonb
 *   shop.orders  16410   id int4, note text
 */
#include "postgres_target.h"

#include "modules/postgres/message.h"
#include "modules/postgres/names.h"

struct row {
	enum pg_names_query query;
	const char *field[9];
};

static const struct row rows[] = {
	{ PG_NAMES_SNAPSHOT, { "700:700:", "t" } },
	{ PG_NAMES_RELATIONS, { "16400", "shop", "people", "r", "f" } },
	{ PG_NAMES_RELATIONS, { "16410", "shop", "orders", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "16400", "1", "id", "23", "t" } },
	{ PG_NAMES_COLUMNS, { "16400", "2", "email", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "16400", "3", "born", "1082", "f" } },
	{ PG_NAMES_COLUMNS, { "16400", "4", "seen", "1184", "f" } },
	{ PG_NAMES_COLUMNS, { "16400", "5", "doc", "3802", "f" } },
	{ PG_NAMES_COLUMNS, { "16410", "1", "id", "23", "t" } },
	{ PG_NAMES_COLUMNS, { "16410", "2", "note", "25", "f" } },
};

static int
write_row(struct sp_writer *out, const struct row *row, unsigned n)
{
	size_t at = pg_begin(out, 'D');
	sp_wr_be16(out, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		struct sp_bytes v = sp_str(row->field[i]);
		sp_wr_be32(out, v.p == NULL ? UINT32_MAX : (uint32_t)v.len);
		sp_wr_put(out, v);
	}
	return pg_end(out, at);
}

static int
write_fields(struct sp_writer *out, unsigned n)
{
	size_t at = pg_begin(out, 'T');
	sp_wr_be16(out, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		sp_wr_cstr(out, SP_LIT("c"));
		sp_wr_be32(out, 0);
		sp_wr_be16(out, 0);
		sp_wr_be32(out, 25);
		sp_wr_be16(out, 0xffff);
		sp_wr_be32(out, UINT32_MAX);
		sp_wr_be16(out, 0);
	}
	return pg_end(out, at);
}

static int
answer_query(struct sp_writer *out, struct sp_bytes text)
{
	int rc = SP_EPROTO;
	for (unsigned q = 0; q < PG_NAMES_QUERIES; q++) {
		size_t len = strlen(pg_names_sql[q]) < text.len ? strlen(pg_names_sql[q]) : text.len;
		if (!sp_bytes_is((struct sp_bytes){ text.p + text.len - len, len }, pg_names_sql[q]))
			continue;
		rc = write_fields(out, pg_names_fields[q]);
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && rc == SP_OK; i++)
			if (rows[i].query == q)
				rc = write_row(out, &rows[i], pg_names_fields[q]);
		if (rc == SP_OK)
			rc = pg_write_cstr(out, 'C', SP_LIT("SELECT"));
	}
	return rc == SP_OK ? pg_write_ready(out, 'I') : rc;
}

static int
let_in(struct sp_writer *out)
{
	size_t at = pg_begin(out, 'R');
	sp_wr_be32(out, 0);
	if (pg_end(out, at) != SP_OK)
		return SP_EPROTO;
	at = pg_begin(out, 'K');
	sp_wr_be32(out, 77);
	sp_wr_be32(out, 7777);
	return pg_end(out, at) != SP_OK ? SP_EPROTO : pg_write_ready(out, 'I');
}

size_t
postgres_target_answer(void *owner, const char *purpose, struct sp_bytes in, struct sp_writer *out)
{
	(void)owner;
	struct sp_reader r = sp_reader(in);
	bool untyped = in.len > 0 && in.p[0] == 0;
	uint8_t type = untyped ? 0 : sp_rd_u8(&r);
	uint32_t length = sp_rd_be32(&r);
	if (r.bad || length < 4 || length - 4 > r.left || strcmp(purpose, "catalogue") != 0)
		return in.len; /* a request to cancel is read and not answered */
	struct sp_bytes body = sp_rd_take(&r, length - 4), text;
	if (untyped) {
		if (let_in(out) != SP_OK)
			return 0;
	} else if (type == 'Q' && (pg_read_cstr(body, &text) != SP_OK || answer_query(out, text) != SP_OK)) {
		return 0;
	}
	return in.len - r.left;
}
