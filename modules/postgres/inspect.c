/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a login may do beyond what it is for, asked on a side session of `sallyportd -t --connect`:
 *
 *   catalogue login ─ all names are read, as ever ─▶ roles ─▶ columns it may read ─▶ tagged ones: refused
 *   login for estimates ────────────────────────────▶ roles: what only an owner or administrator may is refused
 *   data login ─────────────────────────────────────▶ roles: warnings
 *
 * Roles are those that it can become, too: what SET ROLE gives counts as its own.
 */
#include "catalogue.h"

enum { ASK_ROLES, ASK_COLUMNS, ASKS };

static const char *const questions[ASKS] = {
	[ASK_ROLES] = "SELECT pg_catalog.bool_or(r.rolsuper), pg_catalog.bool_or(r.rolbypassrls), pg_catalog.bool_or(r.rolcreaterole), "
		      "pg_catalog.bool_or(r.rolreplication), pg_catalog.bool_or(r.rolname OPERATOR(pg_catalog.=) ANY (ARRAY['pg_read_server_files', "
		      "'pg_write_server_files', 'pg_execute_server_program']::pg_catalog.name[])), EXISTS (SELECT FROM pg_catalog.pg_class c WHERE "
		      "c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p']::\"char\"[]) AND "
		      "pg_catalog.pg_has_role(c.relowner, 'MEMBER')), EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles w ON "
		      "pg_catalog.pg_has_role(w.oid, 'MEMBER') WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.=) "
		      "ANY (ARRAY['r','p','v','f']::\"char\"[]) AND (pg_catalog.has_any_column_privilege(w.oid, c.oid, 'INSERT, UPDATE') OR "
		      "pg_catalog.has_table_privilege(w.oid, c.oid, 'DELETE, TRUNCATE'))) FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(r.oid, 'MEMBER')",
	[ASK_COLUMNS] = "SELECT a.attrelid, a.attnum FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid "
			"WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f']::\"char\"[]) "
			"AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE "
			"pg_catalog.pg_has_role(r.oid, 'MEMBER') AND pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE') AND "
			"pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT'))",
};

/* In the order of the answer; a superuser may do all of it, and is told of that alone. */
static const struct {
	const char *is;
	bool refuse;            /* of a catalogue login */
	bool read_only;         /* told of where rules keep sessions from writing */
} powers[] = {
	{ "is a superuser", true, false },
	{ "passes row security (BYPASSRLS)", true, false },
	{ "makes roles (CREATEROLE)", true, false },
	{ "may replicate (REPLICATION)", true, false },
	{ "reads or writes the server's files, or starts programs there", true, false },
	{ "owns tables, and can change what they are", false, false },
	{ "may write, though rules keep sessions read-only (default_transaction_read_only)", false, true },
};
#define POWERS (sizeof(powers) / sizeof(*powers))

static bool
reads_catalogue(const struct pg *p)
{
	return strcmp(sp_purpose(p->s), "catalogue") == 0;
}

static int
ask(struct pg *p, unsigned which)
{
	struct sp_bytes text = sp_str(questions[which]);
	if (pg_expect_own(p, OWN_INSPECT, 'Z') == NULL)
		return SP_EINTERNAL;
	p->asked = which;
	p->told = 0;
	int rc = sp_own_statement(p->s, text);
	return rc != SP_OK ? rc : pg_write_cstr(pg_out(p, SP_TARGET), 'Q', text);
}

int
pg_inspect(struct pg *p)
{
	return ask(p, ASK_ROLES);
}

static int
roles_row(struct pg *p, const struct pg_value *v)
{
	for (size_t i = 0; i < POWERS; i++) {
		if (!sp_bytes_is(v[i].bytes, "t") || (powers[i].read_only && !sp_pins(p->s, "default_transaction_read_only", "on")))
			continue;
		bool estimate = strcmp(sp_purpose(p->s), "estimate") == 0, strict = estimate || reads_catalogue(p);
		sp_found(p->s, strict && (powers[i].refuse || estimate), "it %s: %s", powers[i].is,
		    estimate ? "it needs CONNECT, and the rights to tables that statements need"
		    : strict ? "it needs CONNECT and no more" : "rules are then all that stands before it");
		if (i == 0)
			break;
	}
	return SP_OK;
}

int
pg_inspect_row(struct pg *p, struct sp_bytes body)
{
	struct pg_value v[POWERS];
	struct sp_reader r = sp_reader(body);
	unsigned n = p->asked == ASK_ROLES ? POWERS : 2;
	uint32_t table, attnum;
	uint8_t name[PG_SOURCE_MAX];
	struct sp_writer w = sp_writer(name, sizeof(name));
	if (!pg_row_fits(body, (uint16_t)n))
		return SP_EPROTO;
	(void)sp_rd_be16(&r);
	for (unsigned i = 0; i < n; i++)
		v[i] = pg_next_value(&r);
	if (p->asked == ASK_ROLES)
		return roles_row(p, v);
	if (!pg_names_number(v[0].bytes, &table) || !pg_names_number(v[1].bytes, &attnum))
		return SP_EPROTO;
	if (!pg_catalogue_tells(p, table, (int16_t)attnum, &w) || p->told++ > 0)
		return SP_OK;
	sp_found(p->s, true, "it can read the tagged column %.*s, or what is made of it: revoke that, it needs CONNECT and no more", (int)w.len,
	    (const char *)name);
	return SP_OK;
}

int
pg_inspect_next(struct pg *p)
{
	if (p->asked == ASK_ROLES && reads_catalogue(p))
		return ask(p, ASK_COLUMNS);
	if (p->asked == ASK_COLUMNS && p->told > 1)
		sp_found(p->s, true, "of tagged columns it can read %u in all", p->told);
	return sp_inspected(p->s);
}
