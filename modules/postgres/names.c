/* SPDX-License-Identifier: Apache-2.0 */
/* See names.h.  Rows are collected as they come; finish() sorts them and gives each relation its share. */
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Woverlength-strings" /* of queries: a compiler need not take more than 4095 bytes, ours do */

#define MEMORY_MAX (256u << 20)
#define DEPTH_MAX 32
#define BUILT_IN_BELOW 16384u /* oids of what the server came with */
#define IDENTIFIER_MAX 63u /* bytes; the server cuts longer ones short, and what they then name is another schema */

/* The name of the extension that an object belongs to, or ''. */
#define EXTENSION_OF(OID, CATALOG) \
	"coalesce((SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid " \
	"WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog." CATALOG "'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) " OID " " \
	"AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e' " \
	"LIMIT 1), '')"

/* Ranges, since these have an index. */
#define NAMED_LIKE(START) "(p.proname OPERATOR(pg_catalog.>=) '" START "' AND p.proname OPERATOR(pg_catalog.<) '" START "~')"

/* Functions of extensions that run a text, whatever their volatility says. */
#define EXTENSION_RUNNER "(" NAMED_LIKE("connectby") " OR " NAMED_LIKE("crosstab") " OR " NAMED_LIKE("dblink") " OR " NAMED_LIKE("pgr_") " OR " NAMED_LIKE("xpath_table") ")"

/* Views that call code of somebody's own: relation 0, of which nobody knows what is behind it. */
#define UNSEEN_CODE \
	"SELECT r.ev_class, 0, 0 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid " \
	"LEFT JOIN pg_catalog.pg_operator o ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass " \
	"AND o.oid OPERATOR(pg_catalog.=) d.refobjid JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) coalesce(o.oprcode::pg_catalog.oid, d.refobjid) " \
	"WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND (o.oid IS NOT NULL OR " \
	"d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass) AND d.refobjid OPERATOR(pg_catalog.>=) 16384 AND " \
	"(p.provolatile OPERATOR(pg_catalog.=) 'v' OR " EXTENSION_RUNNER " OR " EXTENSION_OF("p.oid", "pg_proc") " OPERATOR(pg_catalog.=) '')"

/* The same of functions that run a text or set the path, or tell where any sequence stands: built in, they leave no dependency. */
#define TEXT_RUNNER \
	"p.oid OPERATOR(pg_catalog.<) 16384 AND (p.proname OPERATOR(pg_catalog.=) ANY (ARRAY['set_config', 'ts_stat', 'ts_rewrite', 'lo_get', 'loread']::pg_catalog.name[]) " \
	"OR " NAMED_LIKE("query_to_xml") " OR " NAMED_LIKE("table_to_xml") " OR " NAMED_LIKE("cursor_to_xml") " OR " NAMED_LIKE("schema_to_xml") \
	" OR " NAMED_LIKE("database_to_xml") " OR " NAMED_LIKE("pg_read_") ")"
#define SEQUENCE_TELLER \
	"p.oid OPERATOR(pg_catalog.<) 16384 AND p.proname OPERATOR(pg_catalog.=) ANY (ARRAY['currval', 'lastval', 'nextval', 'pg_sequence_last_value']::pg_catalog.name[])"
#define RUNS_TEXT \
	"SELECT r.ev_class, 0, 0 FROM pg_catalog.pg_rewrite r, pg_catalog.pg_proc p WHERE r.oid OPERATOR(pg_catalog.>=) 16384 " \
	"AND (" TEXT_RUNNER " OR " SEQUENCE_TELLER ") AND pg_catalog.strpos(r.ev_action::pg_catalog.text, " \
	"pg_catalog.concat(':funcid ', p.oid, ' ')) OPERATOR(pg_catalog.>) 0"

/* A view that shows whole rows uses all columns of them, of which it names none: in its tree they are column 0. */
#define WHOLE_ROWS \
	"SELECT r.ev_class, d.refobjid, 0 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid " \
	"WHERE r.oid OPERATOR(pg_catalog.>=) 16384 AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND " \
	"d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class " \
	"AND pg_catalog.strpos(r.ev_action::pg_catalog.text, ':varattno 0 ') OPERATOR(pg_catalog.>) 0"

/* The planner's statistics hold values of any column. */
#define STATISTICS \
	"SELECT c.oid, 0, 0 FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) 11 AND c.relname OPERATOR(pg_catalog.~) " \
	"'^(pg_statistic|pg_statistic_ext_data|pg_stats|pg_stats_ext|pg_stats_ext_exprs)$'"

/* A foreign table's columns are whatever its options and the other server make of them; so are those of what it is a partition of. */
#define FOREIGN \
	"SELECT c.oid, 0, 0 FROM pg_catalog.pg_class c WHERE c.relkind OPERATOR(pg_catalog.=) 'f' UNION SELECT a.relid, 0, 0 FROM pg_catalog.pg_class c, " \
	"LATERAL pg_catalog.pg_partition_ancestors(c.oid) a WHERE c.relkind OPERATOR(pg_catalog.=) 'f' AND c.relispartition"

/* What is too long for its row is stored in a table of its own, pieces of any column in one. */
#define STORED_APART "SELECT c.reltoastrelid, c.oid, 0 FROM pg_catalog.pg_class c WHERE c.reltoastrelid OPERATOR(pg_catalog.<>) 0"

/* A sequence tells the last value of the column that it counts for (or the column's domain does), by its own row and in pg_sequences. */
#define IS " OPERATOR(pg_catalog.=) "
#define CLASS(CATALOG) "'pg_catalog." CATALOG "'::pg_catalog.regclass"
#define COUNTED_BY \
	"SELECT v.oid, f.relation, f.attnum FROM (SELECT d.objid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d WHERE d.classid" IS CLASS("pg_class") \
	" AND d.refclassid" IS CLASS("pg_class") " AND d.refobjsubid OPERATOR(pg_catalog.>) 0 UNION SELECT d.refobjid, a.adrelid, a.adnum FROM pg_catalog.pg_depend d " \
	"JOIN pg_catalog.pg_attrdef a ON a.oid" IS "d.objid WHERE d.classid" IS CLASS("pg_attrdef") " AND d.refclassid" IS CLASS("pg_class") " UNION SELECT d.refobjid, a.attrelid, a.attnum " \
	"FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a ON a.atttypid" IS "d.objid WHERE d.classid" IS CLASS("pg_type") " AND d.refclassid" IS CLASS("pg_class") \
	") f(sequence, relation, attnum) " \
	"JOIN pg_catalog.pg_class c ON c.oid" IS "f.sequence AND c.relkind" IS "'S', LATERAL (VALUES (f.sequence), (" CLASS("pg_sequences") "::pg_catalog.oid)) v(oid)"

/*
 * Relations whose data is not touched without running code that no statement shows: 'w', when it is written (triggers, defaults,
 * what a foreign key or TRUNCATE … CASCADE reaches), 'r', when it is read, too (row policies, what a view uses, and all whose constant
 * parts the planner computes: indexes, statistics, checks, keys of partitions); 0: there are types whose values run some,
 * anywhere.  Code counts when somebody made it, or when it is built in and runs a text or sets the path.
 */
#define USES(CATALOG, OID) "(SELECT FROM own WHERE own.class" IS CLASS(CATALOG) " AND own.oid" IS OID ")"
#define CALLS(TREE) "EXISTS (SELECT FROM texts WHERE pg_catalog.strpos(" TREE "::pg_catalog.text, texts.call) OPERATOR(pg_catalog.>) 0)"
#define ACTS \
	"WITH RECURSIVE made(oid) AS (SELECT p.oid FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_depend d ON d.classid" IS CLASS("pg_proc") \
	" AND d.objid" IS "p.oid AND d.deptype" IS "'e' LEFT JOIN pg_catalog.pg_extension e ON e.oid" IS "d.refobjid WHERE p.oid OPERATOR(pg_catalog.>=) 16384 " \
	"AND (e.oid IS NULL OR " EXTENSION_RUNNER " OR (p.provolatile" IS "'v' AND e.extname OPERATOR(pg_catalog.<>) ALL (ARRAY['uuid-ossp', 'pgcrypto']::pg_catalog.name[])))), " \
	"own(class, oid) AS (SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN made ON d.refobjid" IS "made.oid WHERE d.refclassid" IS CLASS("pg_proc") \
	" UNION SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_operator o ON d.refobjid" IS "o.oid JOIN made ON o.oprcode::pg_catalog.oid" \
	IS "made.oid WHERE d.refclassid" IS CLASS("pg_operator") "), texts(call) AS (SELECT pg_catalog.concat(':funcid ', p.oid, ' ') FROM pg_catalog.pg_proc p WHERE " TEXT_RUNNER "), " \
	"edges(oid, of, how, gives) AS (SELECT i.inhparent, i.inhrelid, NULL, NULL FROM pg_catalog.pg_inherits i UNION SELECT f.confrelid, f.conrelid, NULL, 'w' FROM " \
	"pg_catalog.pg_constraint f WHERE f.contype" IS "'f' UNION SELECT f.conrelid, f.confrelid, 'r', 'w' FROM pg_catalog.pg_constraint f WHERE f.contype" IS "'f' " \
	"UNION SELECT r.ev_class, d.refobjid, NULL, NULL FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid" IS "d.objid WHERE d.classid" IS CLASS("pg_rewrite") \
	" AND d.refclassid" IS CLASS("pg_class") " AND r.oid OPERATOR(pg_catalog.>=) 16384 UNION SELECT p.polrelid, d.refobjid, 'r', 'r' FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d " \
	"ON d.objid" IS "p.oid WHERE d.classid" IS CLASS("pg_policy") " AND d.refclassid" IS CLASS("pg_class") "), acts(oid, how) AS (" \
	"SELECT a.adrelid, 'w' FROM pg_catalog.pg_attrdef a WHERE EXISTS " USES("pg_attrdef", "a.oid") " OR " CALLS("a.adbin") \
	" UNION SELECT c.conrelid, CASE WHEN c.conrelid" IS "0 OR EXISTS " USES("pg_constraint", "c.oid") " THEN 'r' ELSE 'w' END FROM pg_catalog.pg_constraint c WHERE c.contype" IS "'c' AND (EXISTS " USES("pg_constraint", "c.oid") " OR " CALLS("c.conbin") ")" \
	" UNION SELECT t.tgrelid, 'w' FROM pg_catalog.pg_trigger t WHERE t.tgfoid OPERATOR(pg_catalog.>=) 16384 OR EXISTS " USES("pg_trigger", "t.oid") " OR " CALLS("t.tgqual") \
	" UNION SELECT p.polrelid, 'r' FROM pg_catalog.pg_policy p WHERE EXISTS " USES("pg_policy", "p.oid") " OR " CALLS("pg_catalog.concat(p.polqual, p.polwithcheck)") \
	" UNION SELECT coalesce(i.indrelid, o.oid), 'r' FROM own o LEFT JOIN pg_catalog.pg_index i ON i.indexrelid" IS "o.oid WHERE o.class" IS CLASS("pg_class") \
	" UNION SELECT t.relid, 'r' FROM own o JOIN pg_catalog.pg_partitioned_table k ON k.partrelid" IS "o.oid, LATERAL pg_catalog.pg_partition_tree(o.oid) t WHERE o.class" IS CLASS("pg_class") \
	" UNION SELECT s.stxrelid, 'r' FROM pg_catalog.pg_statistic_ext s WHERE EXISTS " USES("pg_statistic_ext", "s.oid") \
	" UNION SELECT r.ev_class, 'r' FROM pg_catalog.pg_rewrite r WHERE r.oid OPERATOR(pg_catalog.>=) 16384 AND (EXISTS " USES("pg_rewrite", "r.oid") " OR " CALLS("r.ev_action") ")" \
	" UNION SELECT 0, 'r' FROM own WHERE own.class" IS "ANY (ARRAY[" CLASS("pg_cast") ", " CLASS("pg_type") "]::pg_catalog.oid[]) UNION SELECT 0, 'r' FROM pg_catalog.pg_type y " \
	"WHERE y.oid OPERATOR(pg_catalog.>=) 16384 AND y.typtype" IS "'d' AND " CALLS("y.typdefaultbin") \
	" UNION SELECT e.oid, coalesce(e.gives, a.how) FROM acts a JOIN edges e ON e.of" IS "a.oid WHERE e.how IS NULL OR e.how" IS "a.how) SELECT oid, how FROM acts"

/*
 * Versions of rows that a transaction wrote which had not ended when the names were read, and, where rows
 * go without another trace, how many there are.  xmin has no index: what is asked of each row has to be
 * cheap, and its table is looked at only where it was written lately.  Temporary tables are each session's
 * own affair and come and go all the time; indexes and what is stored out of line are no names that
 * statements use.
 */
#define RECENT "pg_catalog.age(t.xmin) OPERATOR(pg_catalog.<=) (SELECT n FROM since)"
#define VERSIONS "pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(t.ctid, t.xmin), 0))"
#define SINCE "WITH since(n) AS MATERIALIZED (SELECT pg_catalog.age('%u'::pg_catalog.xid)) "
#define NAMES_THINGS(C) C ".relpersistence OPERATOR(pg_catalog.<>) 't' AND " C ".relkind OPERATOR(pg_catalog.<>) ALL (ARRAY['i','I','t']::\"char\"[])"
#define WRITTEN(CATALOG, KEY) \
	"(SELECT pg_catalog.concat(" VERSIONS ") FROM pg_catalog." CATALOG " t WHERE " RECENT " AND EXISTS (SELECT FROM pg_catalog.pg_class c " \
	"WHERE c.oid OPERATOR(pg_catalog.=) t." KEY " AND " NAMES_THINGS("c") "))"
#define WRITTEN_IF(CATALOG, WHERE) "(SELECT pg_catalog.concat(" VERSIONS ") FROM pg_catalog." CATALOG " t WHERE " RECENT " AND " WHERE ")"
#define COUNTED(CATALOG, WHERE) \
	"(SELECT pg_catalog.concat(pg_catalog.count(*), ':', " VERSIONS " FILTER (WHERE " RECENT ")) FROM pg_catalog." CATALOG " t WHERE " WHERE ")"

/* When the server's files last told settings, the path among them: no transaction shows it. */
#define CONF_LOADED "pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time())::pg_catalog.text"

/* Who may use which schema, what "$user" and the path are, as far as others decide it. */
#define HASHED(OF) "pg_catalog.sum(pg_catalog.hashtextextended(" OF ", 0))"
#define RIGHTS \
	"pg_catalog.concat_ws(' ', (SELECT " HASHED("pg_catalog.concat_ws(' ', n.oid, n.nspname, n.nspowner, n.nspacl)") " FROM pg_catalog.pg_namespace n WHERE n.nspname " \
	"OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'), (SELECT " HASHED("m::pg_catalog.text") " FROM pg_catalog.pg_auth_members m), (SELECT " \
	HASHED("pg_catalog.concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit)") " FROM pg_catalog.pg_roles r), (SELECT d.datdba FROM " \
	"pg_catalog.pg_database d WHERE d.datname" IS "pg_catalog.current_database()), " CONF_LOADED ")"

const char *const pg_names_sql[PG_NAMES_QUERIES] = {
	[PG_NAMES_SNAPSHOT] = "SELECT pg_catalog.txid_current_snapshot()::pg_catalog.text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) " CONF_LOADED ", pg_catalog.pg_is_in_recovery()",
	[PG_NAMES_STATE] = "SELECT pg_catalog.concat_ws(' ', " COUNTED("pg_class", NAMES_THINGS("t")) ", " WRITTEN("pg_attribute", "attrelid") ", "
			   WRITTEN("pg_rewrite", "ev_class") ", " WRITTEN("pg_attrdef", "adrelid") ", " COUNTED("pg_inherits", "true") ", "
			   COUNTED("pg_proc", "t.oid OPERATOR(pg_catalog.>=) 16384") ", " COUNTED("pg_operator", "t.oid OPERATOR(pg_catalog.>=) 16384")
			   ", " COUNTED("pg_namespace", "t.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'") ", " COUNTED("pg_extension", "true") ", "
			   COUNTED("pg_depend", "t.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass") ", "
			   WRITTEN("pg_trigger", "tgrelid") ", " WRITTEN("pg_policy", "polrelid") ", " WRITTEN("pg_constraint", "conrelid") ", "
			   WRITTEN_IF("pg_constraint", "t.conrelid" IS "0") ", " WRITTEN_IF("pg_cast", "true") ", " WRITTEN_IF("pg_type", "t.typtype" IS "'d'") ", "
			   WRITTEN_IF("pg_statistic_ext", "true") ", " WRITTEN_IF("pg_index", "(t.indexprs IS NOT NULL OR t.indpred IS NOT NULL)") ", "
			   WRITTEN_IF("pg_depend", "t.refclassid" IS CLASS("pg_class") " AND t.refobjsubid OPERATOR(pg_catalog.>) 0 AND t.classid" IS CLASS("pg_class")
			   " AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid" IS "t.objid AND c.relkind" IS "'S' AND " NAMES_THINGS("c") ")") "), " RIGHTS,
	[PG_NAMES_RELATIONS] = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition FROM pg_catalog.pg_class c "
			       "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
	[PG_NAMES_COLUMNS] = "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull FROM pg_catalog.pg_attribute a "
			     "WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
	[PG_NAMES_DEPENDS] = "SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d "
			     "JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid "
			     "WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
			     "AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass "
			     "AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class UNION " UNSEEN_CODE " UNION " RUNS_TEXT " UNION " WHOLE_ROWS " UNION " STATISTICS " UNION " FOREIGN " UNION " STORED_APART " UNION " COUNTED_BY,
	[PG_NAMES_GENERATED] = "SELECT a.attrelid, a.attnum, d.refobjsubid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef f "
			       "ON f.adrelid OPERATOR(pg_catalog.=) a.attrelid AND f.adnum OPERATOR(pg_catalog.=) a.attnum JOIN pg_catalog.pg_depend d "
			       "ON (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) f.oid) "
			       "OR (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) a.attrelid "
			       "AND d.objsubid OPERATOR(pg_catalog.=) a.attnum) WHERE a.attgenerated OPERATOR(pg_catalog.<>) '' "
			       "AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass "
			       "AND d.refobjid OPERATOR(pg_catalog.=) a.attrelid AND d.refobjsubid OPERATOR(pg_catalog.>) 0 "
			       "AND d.refobjsubid OPERATOR(pg_catalog.<>) a.attnum",
	[PG_NAMES_INHERITS] = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits",
	[PG_NAMES_FUNCTIONS] = "SELECT p.oid, n.nspname, p.proname, p.prokind, p.provolatile, p.pronargs, p.pronargdefaults, "
			       "p.provariadic OPERATOR(pg_catalog.<>) 0, " EXTENSION_OF("p.oid", "pg_proc") " FROM pg_catalog.pg_proc p "
			       "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace "
			       "WHERE p.oid OPERATOR(pg_catalog.>=) 16384",
	[PG_NAMES_OPERATORS] = "SELECT o.oid, n.nspname, o.oprname, p.provolatile, " EXTENSION_OF("o.oid", "pg_operator") " FROM pg_catalog.pg_operator o "
			       "JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode "
			       "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace "
			       "WHERE o.oid OPERATOR(pg_catalog.>=) 16384",
	[PG_NAMES_ACTS] = ACTS,
};

const unsigned char pg_names_fields[PG_NAMES_QUERIES] = { 2, 2, 5, 5, 3, 3, 2, 9, 5, 2 };

int
pg_names_write(struct sp_writer *w, enum pg_names_query q, uint64_t base)
{
	char since[96];
	int n = snprintf(since, sizeof(since), SINCE, (unsigned)(base & UINT32_MAX));
	if (q == PG_NAMES_STATE)
		sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)since, (size_t)n });
	sp_wr_put(w, sp_str(pg_names_sql[q]));
	return w->bad ? SP_ETOOBIG : SP_OK;
}

/* In a transaction: has it, or one that ended since, changed what is taken from the committed names? */
#define BUILT_IN(CATALOG, KEY) "EXISTS (SELECT FROM pg_catalog." CATALOG " t WHERE t." KEY " OPERATOR(pg_catalog.<) 16384 AND " RECENT ")"
static const char built_in_sql[] = "SELECT " BUILT_IN("pg_class", "oid") " OR " BUILT_IN("pg_attribute", "attrelid") " OR " BUILT_IN("pg_rewrite", "ev_class")
				   " OR " BUILT_IN("pg_inherits", "inhrelid");

int
pg_names_write_over(struct sp_writer *w, enum pg_names_query q, uint64_t base)
{
	char since[96];
	int n = snprintf(since, sizeof(since), SINCE, (unsigned)(base & UINT32_MAX));
	if (q == PG_NAMES_STATE) {
		sp_wr_put(w, (struct sp_bytes){ (const uint8_t *)since, (size_t)n });
		sp_wr_put(w, SP_LIT(built_in_sql));
		return w->bad ? SP_ETOOBIG : SP_OK;
	}
	sp_wr_put(w, SP_LIT("SELECT * FROM ("));
	sp_wr_put(w, sp_str(pg_names_sql[q]));
	sp_wr_put(w, SP_LIT(") q(a) WHERE q.a OPERATOR(pg_catalog.>=) 16384"));
	return w->bad ? SP_ETOOBIG : SP_OK;
}

struct column_row {
	uint32_t relation;
	struct pg_column column;
};

struct link_row {          /* a view and what it uses; a child and its parent; where values were moved, and where from */
	uint32_t from, to;
	int16_t attnum, column; /* of to; of from, 0: of all */
};

struct former_row {        /* what a column was called */
	struct pg_relation relation; /* oid: today's */
	struct pg_column column;
	bool now;          /* found by this reading, not by an earlier one */
};

struct array {
	void *v;
	size_t n, cap;
};

struct pg_names {
	unsigned refs;
	uint64_t version;
	size_t size, max;
	struct array strings, relations, columns, depends, generated, parents, children, moved, functions, lists, former, acts;
	bool types_act;
	const struct pg_relation **by_name;
	struct pg_names *under;    /* counted: whose strings it uses; NULL: none */
};

struct pg_names_builder {
	struct pg_names *names;
	bool failed;
};

/* ---- memory ---- */

static void *
grow(struct pg_names *n, struct array *a, size_t size)
{
	if (a->n == a->cap) {
		size_t cap = a->cap == 0 ? 64 : 2 * a->cap;
		void *v = n->size > n->max - cap * size || cap * size > n->max ? NULL : realloc(a->v, cap * size);
		if (v == NULL)
			return NULL;
		n->size += (cap - a->cap) * size;
		a->v = v;
		a->cap = cap;
	}
	return memset((char *)a->v + a->n++ * size, 0, size);
}

static const char *
keep(struct pg_names *n, struct sp_bytes s)
{
	char **at = grow(n, &n->strings, sizeof(*at));
	char *copy = at == NULL ? NULL : calloc(1, s.len + 1);
	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.p, s.len);
	n->size += s.len + 1;
	*at = copy;
	return copy;
}

struct pg_names_builder *
pg_names_begin(size_t max)
{
	struct pg_names_builder *b = calloc(1, sizeof(*b));
	if (b == NULL || (b->names = calloc(1, sizeof(*b->names))) == NULL) {
		free(b);
		return NULL;
	}
	b->names->max = max == 0 ? MEMORY_MAX : max;
	b->names->refs = 1;
	return b;
}

static bool
share_links(struct pg_names *n, struct array *to, const struct array *from)
{
	const struct link_row *v = from->v;
	for (size_t i = 0; i < from->n && v[i].from < BUILT_IN_BELOW; i++) {
		struct link_row *l = grow(n, to, sizeof(*l));
		if (l == NULL)
			return false;
		*l = v[i];
	}
	return true;
}

static bool
share_built_in(struct pg_names *n, const struct pg_names *under)
{
	const struct pg_relation *r = under->relations.v;
	for (size_t i = 0; i < under->relations.n && r[i].oid < BUILT_IN_BELOW; i++) {
		struct pg_relation *copy = grow(n, &n->relations, sizeof(*copy));
		if (copy == NULL)
			return false;
		*copy = r[i];
		for (size_t k = 0; k < r[i].ncolumns; k++) {
			struct column_row *c = grow(n, &n->columns, sizeof(*c));
			if (c == NULL)
				return false;
			*c = (struct column_row){ r[i].oid, r[i].column[k] };
		}
	}
	return share_links(n, &n->depends, &under->depends) && share_links(n, &n->generated, &under->generated);
}

struct pg_names_builder *
pg_names_begin_over(struct pg_names *under, size_t max)
{
	struct pg_names_builder *b = pg_names_begin(max);
	if (b == NULL)
		return NULL;
	b->names->under = pg_names_ref(under);
	if (!share_built_in(b->names, under))
		pg_names_abandon(&b);
	return b;
}

const struct pg_relation *
pg_names_built(const struct pg_names_builder *b, size_t i)
{
	return pg_names_at(b->names, i);
}

void
pg_names_abandon(struct pg_names_builder **b)
{
	if (*b == NULL)
		return;
	pg_names_free(&(*b)->names);
	free(*b);
	*b = NULL;
}

struct pg_names *
pg_names_ref(struct pg_names *n)
{
	n->refs++;
	return n;
}

static void
free_all(struct array *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(((void **)a->v)[i]);
	free(a->v);
}

void
pg_names_free(struct pg_names **np)
{
	struct pg_names *n = *np;
	*np = NULL;
	if (n == NULL || --n->refs > 0)
		return;
	free_all(&n->strings);
	free_all(&n->lists);
	free(n->relations.v);
	free(n->columns.v);
	free(n->depends.v);
	free(n->generated.v);
	free(n->parents.v);
	free(n->children.v);
	free(n->moved.v);
	free(n->functions.v);
	free(n->former.v);
	free(n->acts.v);
	free(n->by_name);
	pg_names_free(&n->under);
	free(n);
}

/* ---- rows ---- */

int
pg_names_add_relation(struct pg_names_builder *b, uint32_t oid, const char *schema, const char *name, char kind)
{
	struct pg_relation *r = grow(b->names, &b->names->relations, sizeof(*r));
	if (r == NULL)
		return SP_ETOOBIG;
	*r = (struct pg_relation){ .oid = oid, .kind = kind, .schema = keep(b->names, sp_str(schema)), .name = keep(b->names, sp_str(name)) };
	return r->schema == NULL || r->name == NULL ? SP_ETOOBIG : SP_OK;
}

int
pg_names_add_column(struct pg_names_builder *b, uint32_t relation, int16_t attnum, const char *name, uint32_t type)
{
	struct column_row *c = grow(b->names, &b->names->columns, sizeof(*c));
	if (c == NULL)
		return SP_ETOOBIG;
	*c = (struct column_row){ relation, { .attnum = attnum, .type = type, .name = keep(b->names, sp_str(name)) } };
	return c->column.name == NULL ? SP_ETOOBIG : SP_OK;
}

static int
add_link(struct pg_names *n, struct array *a, uint32_t from, uint32_t to, int16_t attnum)
{
	struct link_row *l = grow(n, a, sizeof(*l));
	if (l == NULL)
		return SP_ETOOBIG;
	*l = (struct link_row){ .from = from, .to = to, .attnum = attnum };
	return SP_OK;
}

int
pg_names_add_moved(struct pg_names_builder *b, uint32_t relation, int16_t column, uint32_t from, int16_t attnum)
{
	struct link_row *l = grow(b->names, &b->names->moved, sizeof(*l));
	if (l == NULL)
		return SP_ETOOBIG;
	*l = (struct link_row){ .from = relation, .column = column, .to = from, .attnum = attnum };
	return SP_OK;
}

int
pg_names_add_depend(struct pg_names_builder *b, uint32_t view, uint32_t relation, int16_t attnum)
{
	return add_link(b->names, &b->names->depends, view, relation, attnum);
}

int
pg_names_add_generated(struct pg_names_builder *b, uint32_t relation, int16_t attnum, int16_t from)
{
	return add_link(b->names, &b->names->generated, relation, (uint32_t)from, attnum);
}

int
pg_names_add_parent(struct pg_names_builder *b, uint32_t child, uint32_t parent)
{
	int rc = add_link(b->names, &b->names->parents, child, parent, 0);
	return rc != SP_OK ? rc : add_link(b->names, &b->names->children, parent, child, 0);
}

int
pg_names_add_acting(struct pg_names_builder *b, uint32_t relation, bool when_read)
{
	b->names->types_act = b->names->types_act || relation == 0;
	return add_link(b->names, &b->names->acts, relation, 0, when_read);
}

int
pg_names_add_function(struct pg_names_builder *b, const struct pg_function *from)
{
	struct pg_function *f = grow(b->names, &b->names->functions, sizeof(*f));
	if (f == NULL)
		return SP_ETOOBIG;
	*f = *from;
	f->schema = keep(b->names, sp_str(from->schema));
	f->name = keep(b->names, sp_str(from->name));
	f->extension = keep(b->names, sp_str(from->extension));
	return f->schema == NULL || f->name == NULL || f->extension == NULL ? SP_ETOOBIG : SP_OK;
}

bool
pg_names_number(struct sp_bytes b, uint32_t *n_r)
{
	uint64_t n = 0;
	*n_r = 0;
	for (size_t i = 0; i < b.len; i++) {
		if (b.p[i] < '0' || b.p[i] > '9' || i > 9)
			return false;
		n = n * 10 + (uint64_t)(b.p[i] - '0');
	}
	*n_r = (uint32_t)n;
	return b.len > 0 && n <= UINT32_MAX;
}

static int
feed_function(struct pg_names_builder *b, const struct sp_bytes *f, const char *const *text, bool operator)
{
	uint32_t oid, args = 2, defaults = 0;
	if (!pg_names_number(f[0], &oid) || (!operator && (!pg_names_number(f[5], &args) || !pg_names_number(f[6], &defaults))) || args > 100 || defaults > args)
		return SP_EPROTO;
	bool variadic = !operator && sp_bytes_is(f[7], "t");
	const struct pg_function fn = { .oid = oid, .schema = text[1], .name = text[2], .kind = operator ? 'o' : text[3][0],
		.volatility = operator ? text[3][0] : text[4][0], .min_args = (int16_t)(args - defaults), .max_args = variadic ? -1 : (int16_t)args,
		.extension = operator ? text[4] : text[8] };
	return pg_names_add_function(b, &fn);
}

static int
feed_row(struct pg_names_builder *b, enum pg_names_query q, const struct sp_bytes *f, const char *const *text)
{
	uint32_t x = 0, y = 0, z = 0;
	int rc;
	switch (q) {
	case PG_NAMES_RELATIONS:
		if (!pg_names_number(f[0], &x) || f[3].len != 1)
			return SP_EPROTO;
		rc = pg_names_add_relation(b, x, text[1], text[2], text[3][0]);
		if (rc == SP_OK)
			((struct pg_relation *)b->names->relations.v)[b->names->relations.n - 1].partition = sp_bytes_is(f[4], "t");
		return rc;
	case PG_NAMES_COLUMNS:
		if (!pg_names_number(f[0], &x) || !pg_names_number(f[1], &y) || !pg_names_number(f[3], &z) || y > INT16_MAX)
			return SP_EPROTO;
		rc = pg_names_add_column(b, x, (int16_t)y, text[2], z);
		if (rc == SP_OK)
			((struct column_row *)b->names->columns.v)[b->names->columns.n - 1].column.not_null = sp_bytes_is(f[4], "t");
		return rc;
	case PG_NAMES_DEPENDS:
		if (!pg_names_number(f[0], &x) || !pg_names_number(f[1], &y) || !pg_names_number(f[2], &z) || z > INT16_MAX)
			return SP_EPROTO;
		return pg_names_add_depend(b, x, y, (int16_t)z);
	case PG_NAMES_GENERATED:
		if (!pg_names_number(f[0], &x) || !pg_names_number(f[1], &y) || !pg_names_number(f[2], &z) || y > INT16_MAX || z > INT16_MAX)
			return SP_EPROTO;
		return pg_names_add_generated(b, x, (int16_t)y, (int16_t)z);
	case PG_NAMES_INHERITS:
		return pg_names_number(f[0], &x) && pg_names_number(f[1], &y) ? pg_names_add_parent(b, x, y) : SP_EPROTO;
	case PG_NAMES_FUNCTIONS:
	case PG_NAMES_OPERATORS:
		return feed_function(b, f, text, q == PG_NAMES_OPERATORS);
	case PG_NAMES_ACTS:
		return pg_names_number(f[0], &x) ? pg_names_add_acting(b, x, !sp_bytes_is(f[1], "w")) : SP_EPROTO;
	default:
		return SP_OK;
	}
}

int
pg_names_feed(struct pg_names_builder *b, enum pg_names_query q, const struct sp_bytes *field, size_t n)
{
	char space[9][256];
	const char *text[9];
	if (q >= PG_NAMES_QUERIES || n != pg_names_fields[q])
		return SP_EPROTO;
	for (size_t i = 0; i < n; i++) {
		if (field[i].p == NULL || field[i].len >= sizeof(space[i]))
			return SP_EPROTO;
		memcpy(space[i], field[i].p, field[i].len);
		space[i][field[i].len] = '\0';
		text[i] = space[i];
	}
	int rc = feed_row(b, q, field, text);
	b->failed = b->failed || rc != SP_OK;
	return rc;
}

/* ---- the snapshot ---- */

static int
by_oid(const void *a, const void *b)
{
	const struct pg_relation *x = a, *y = b;
	return x->oid < y->oid ? -1 : x->oid > y->oid;
}

static int
by_place(const void *a, const void *b)
{
	const struct column_row *x = a, *y = b;
	if (x->relation != y->relation)
		return x->relation < y->relation ? -1 : 1;
	return x->column.attnum - y->column.attnum;
}

static int
by_from(const void *a, const void *b)
{
	const struct link_row *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

static int
by_schema(const void *a, const void *b)
{
	const struct pg_relation *x = *(const struct pg_relation *const *)a, *y = *(const struct pg_relation *const *)b;
	int c = strcmp(x->schema, y->schema);
	return c != 0 ? c : strcmp(x->name, y->name);
}

static int
by_function(const void *a, const void *b)
{
	const struct pg_function *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static void
sort(struct array *a, size_t size, int (*compare)(const void *, const void *))
{
	if (a->n > 1)
		qsort(a->v, a->n, size, compare);
}

/* Columns stand in one array, sorted: each relation gets a copy of its run. */
static bool
share_columns(struct pg_names *n)
{
	const struct column_row *row = n->columns.v;
	struct pg_relation *r = n->relations.v;
	size_t at = 0;
	for (size_t i = 0; i < n->relations.n; i++) {
		while (at < n->columns.n && row[at].relation < r[i].oid)
			at++;
		size_t first = at;
		while (at < n->columns.n && row[at].relation == r[i].oid)
			at++;
		void **slot = at == first ? NULL : grow(n, &n->lists, sizeof(*slot));
		struct pg_column *c = slot == NULL ? NULL : calloc(at - first, sizeof(*c));
		if (at > first && c == NULL)
			return false;
		for (size_t k = first; k < at; k++)
			c[k - first] = row[k].column;
		if (slot != NULL)
			*slot = c;
		r[i].column = c;
		r[i].ncolumns = at - first;
	}
	return true;
}

static void
share_acts(struct pg_names *n)
{
	const struct link_row *a = n->acts.v;
	struct pg_relation *r = n->relations.v;
	size_t at = 0;
	for (size_t i = 0; i < n->relations.n; i++) {
		while (at < n->acts.n && a[at].from < r[i].oid)
			at++;
		for (; at < n->acts.n && a[at].from == r[i].oid; at++) {
			r[i].acts_written = true;
			r[i].acts_read = r[i].acts_read || a[at].attnum != 0;
		}
	}
}

struct pg_names *
pg_names_finish(struct pg_names_builder **bp, uint64_t version)
{
	struct pg_names *n = (*bp)->names;
	n->version = version;
	sort(&n->relations, sizeof(struct pg_relation), by_oid);
	sort(&n->columns, sizeof(struct column_row), by_place);
	sort(&n->depends, sizeof(struct link_row), by_from);
	sort(&n->generated, sizeof(struct link_row), by_from);
	sort(&n->parents, sizeof(struct link_row), by_from);
	sort(&n->children, sizeof(struct link_row), by_from);
	sort(&n->moved, sizeof(struct link_row), by_from);
	sort(&n->functions, sizeof(struct pg_function), by_function);
	sort(&n->acts, sizeof(struct link_row), by_from);
	share_acts(n);
	n->by_name = calloc(n->relations.n + 1, sizeof(*n->by_name));
	if ((*bp)->failed || n->by_name == NULL || !share_columns(n)) {
		pg_names_abandon(bp);
		return NULL;
	}
	for (size_t i = 0; i < n->relations.n; i++)
		n->by_name[i] = (const struct pg_relation *)n->relations.v + i;
	if (n->relations.n > 1)
		qsort(n->by_name, n->relations.n, sizeof(*n->by_name), by_schema);
	free(*bp);
	*bp = NULL;
	return n;
}

/* ---- former names ---- */

static int
by_former(const void *a, const void *b)
{
	const struct former_row *x = a, *y = b;
	if (x->relation.oid != y->relation.oid)
		return x->relation.oid < y->relation.oid ? -1 : 1;
	if (x->column.attnum != y->column.attnum)
		return x->column.attnum - y->column.attnum;
	int c = strcmp(x->relation.schema, y->relation.schema);
	c = c != 0 ? c : strcmp(x->relation.name, y->relation.name);
	return c != 0 ? c : strcmp(x->column.name, y->column.name);
}

/* A column as it was; nothing when it is gone, or called so now. */
static int
add_former(struct pg_names *n, const struct pg_relation *was, const struct pg_column *column, bool now)
{
	const struct pg_relation *r = pg_names_relation(n, was->oid);
	const struct pg_column *c = r == NULL ? NULL : pg_relation_column(r, column->attnum);
	if (c == NULL || (strcmp(c->name, column->name) == 0 && strcmp(r->name, was->name) == 0 && strcmp(r->schema, was->schema) == 0))
		return SP_OK;
	struct former_row *f = grow(n, &n->former, sizeof(*f));
	if (f == NULL)
		return SP_ETOOBIG;
	f->relation = (struct pg_relation){ .oid = was->oid, .kind = was->kind, .schema = keep(n, sp_str(was->schema)), .name = keep(n, sp_str(was->name)) };
	f->column = (struct pg_column){ .attnum = column->attnum, .type = column->type, .name = keep(n, sp_str(column->name)) };
	f->now = now;
	return f->relation.schema == NULL || f->relation.name == NULL || f->column.name == NULL ? SP_ETOOBIG : SP_OK;
}

int
pg_names_follow(struct pg_names *n, const struct pg_names *before)
{
	const struct pg_relation *r = before->relations.v;
	const struct former_row *f = before->former.v;
	int rc = SP_OK;
	for (size_t i = 0; i < before->former.n && rc == SP_OK; i++)
		rc = add_former(n, &f[i].relation, &f[i].column, false);
	for (size_t i = 0; i < before->relations.n; i++)
		for (size_t k = 0; k < r[i].ncolumns && rc == SP_OK; k++)
			rc = add_former(n, &r[i], &r[i].column[k], true);
	sort(&n->former, sizeof(struct former_row), by_former);
	struct former_row *v = n->former.v;
	size_t kept = 0;
	for (size_t i = 0; i < n->former.n; i++)
		if (kept == 0 || by_former(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	n->former.n = kept;
	return rc;
}

const struct pg_column *
pg_names_renamed(const struct pg_names *n, size_t i, const struct pg_relation **was_r)
{
	const struct former_row *f = n->former.v;
	for (size_t k = 0; k < n->former.n; k++)
		if (f[k].now && i-- == 0) {
			*was_r = &f[k].relation;
			return &f[k].column;
		}
	*was_r = NULL;
	return NULL;
}

uint64_t
pg_names_version(const struct pg_names *n)
{
	return n->version;
}

size_t
pg_names_size(const struct pg_names *n)
{
	return n->size;
}

/* ---- asking ---- */

/* The first link of `from`, or the end. */
static const struct link_row *
links_of(const struct array *a, uint32_t from)
{
	const struct link_row *v = a->v;
	size_t low = 0, high = a->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (v[middle].from < from)
			low = middle + 1;
		else
			high = middle;
	}
	return a->n == 0 ? NULL : v + low;
}

const struct pg_relation *
pg_names_child(const struct pg_names *n, uint32_t parent, size_t i)
{
	const struct link_row *end = n->children.n == 0 ? NULL : (const struct link_row *)n->children.v + n->children.n;
	const struct link_row *at = links_of(&n->children, parent);
	return i < (size_t)(end - at) && at[i].from == parent ? pg_names_relation(n, at[i].to) : NULL;
}

const struct pg_relation *
pg_names_relation(const struct pg_names *n, uint32_t oid)
{
	const struct pg_relation key = { .oid = oid };
	return n->relations.n == 0 ? NULL : bsearch(&key, n->relations.v, n->relations.n, sizeof(key), by_oid);
}

const struct pg_relation *
pg_names_at(const struct pg_names *n, size_t i)
{
	return i < n->relations.n ? (const struct pg_relation *)n->relations.v + i : NULL;
}

const struct pg_relation *
pg_names_find(const struct pg_names *n, struct sp_bytes schema, struct sp_bytes name)
{
	char s[256], t[256];
	if (schema.len >= sizeof(s) || name.len >= sizeof(t) || n->relations.n == 0)
		return NULL;
	if (schema.len > 0) /* an error about no table has neither */
		memcpy(s, schema.p, schema.len);
	if (name.len > 0)
		memcpy(t, name.p, name.len);
	s[schema.len] = t[name.len] = '\0';
	const struct pg_relation key = { .schema = s, .name = t }, *at = &key;
	const struct pg_relation **found = bsearch(&at, n->by_name, n->relations.n, sizeof(*n->by_name), by_schema);
	return found == NULL ? NULL : *found;
}

const struct pg_column *
pg_relation_column(const struct pg_relation *r, int16_t attnum)
{
	for (size_t i = 0; i < r->ncolumns; i++)
		if (r->column[i].attnum == attnum)
			return &r->column[i];
	return NULL;
}

const struct pg_column *
pg_relation_named(const struct pg_relation *r, struct sp_bytes name)
{
	for (size_t i = 0; i < r->ncolumns; i++)
		if (sp_bytes_is(name, r->column[i].name))
			return &r->column[i];
	return NULL;
}

const struct pg_function *
pg_names_functions(const struct pg_names *n, struct sp_bytes name, size_t *n_r)
{
	const struct pg_function *f = n->functions.v;
	*n_r = 0;
	for (size_t i = 0; i < n->functions.n; i++) {
		if (!sp_bytes_is(name, f[i].name))
			continue;
		size_t end = i;
		while (end < n->functions.n && sp_bytes_is(name, f[end].name))
			end++;
		*n_r = end - i;
		return &f[i];
	}
	return NULL;
}

bool
pg_names_acts(const struct pg_names *n)
{
	const struct pg_function *f = n->functions.v;
	for (size_t i = 0; i < n->functions.n; i++)
		if (f[i].volatility == 'v')
			return true;
	return false;
}

bool
pg_names_types_act(const struct pg_names *n)
{
	return n->types_act;
}

#define VIEWS_MAX 1024 /* views one behind another that are looked into */

struct sources {
	const struct pg_names *names;
	bool targets;           /* of writing: what was moved is not one */
	pg_source_fn *each;
	void *owner;
	size_t nseen;
	uint32_t seen[VIEWS_MAX]; /* all columns of a view have the same behind them: once is enough */
};

static bool
seen_before(struct sources *s, uint32_t view)
{
	for (size_t i = 0; i < s->nseen; i++)
		if (s->seen[i] == view)
			return true;
	if (s->nseen < VIEWS_MAX)
		s->seen[s->nseen++] = view;
	return false;
}

static int sources_of(struct sources *s, uint32_t oid, int16_t attnum, unsigned depth);

/* A view's column may come from anything that the view uses. */
static int
view_sources(struct sources *s, uint32_t oid, unsigned depth)
{
	const struct array *a = &s->names->depends;
	const struct link_row *end = a->n == 0 ? NULL : (const struct link_row *)a->v + a->n;
	const struct link_row *use = links_of(a, oid);
	int rc = 0;
	if (use == end || use->from != oid || seen_before(s, oid))
		return 0;
	for (; use < end && use->from == oid && rc == 0; use++)
		rc = sources_of(s, use->to, use->attnum, depth + 1);
	return rc;
}

/* What a generated column is made of, in the same table. */
static int
generated_sources(struct sources *s, const struct pg_relation *r, int16_t attnum, unsigned depth)
{
	const struct array *a = &s->names->generated;
	const struct link_row *end = a->n == 0 ? NULL : (const struct link_row *)a->v + a->n;
	int rc = 0;
	for (const struct link_row *use = links_of(a, r->oid); use < end && use->from == r->oid && rc == 0; use++)
		if (use->attnum == attnum)
			rc = sources_of(s, r->oid, (int16_t)use->to, depth + 1);
	return rc;
}

static int
parent_sources(struct sources *s, uint32_t oid, const struct pg_column *c, unsigned depth)
{
	const struct array *a = &s->names->parents;
	const struct link_row *end = a->n == 0 ? NULL : (const struct link_row *)a->v + a->n;
	int rc = 0;
	for (const struct link_row *up = links_of(a, oid); up < end && up->from == oid && rc == 0; up++) {
		const struct pg_relation *parent = pg_names_relation(s->names, up->to);
		const struct pg_column *same = parent == NULL || c == NULL ? NULL : pg_relation_named(parent, sp_str(c->name));
		if (parent != NULL && (c == NULL || same != NULL))
			rc = sources_of(s, parent->oid, same == NULL ? 0 : same->attnum, depth + 1);
	}
	return rc;
}

/* A column, and what it was called before. */
static int
tell(struct sources *s, const struct pg_relation *r, const struct pg_column *c)
{
	const struct former_row *f = s->names->former.v;
	size_t low = 0, high = s->names->former.n;
	int rc = s->each(s->owner, r, c);
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (f[middle].relation.oid < r->oid || (f[middle].relation.oid == r->oid && f[middle].column.attnum < c->attnum))
			low = middle + 1;
		else
			high = middle;
	}
	for (; rc == 0 && low < s->names->former.n && f[low].relation.oid == r->oid && f[low].column.attnum == c->attnum; low++)
		rc = s->each(s->owner, &f[low].relation, &f[low].column);
	return rc;
}

/* What was moved into it is tagged by its own name: nothing behind that matters. */
static int
moved_sources(struct sources *s, const struct pg_relation *r, int16_t attnum)
{
	const struct array *a = &s->names->moved;
	const struct link_row *end = a->n == 0 ? NULL : (const struct link_row *)a->v + a->n;
	int rc = 0;
	if (s->targets)
		return 0;
	for (const struct link_row *from = links_of(a, r->oid); from < end && from->from == r->oid && rc == 0; from++) {
		if (attnum != 0 && from->column != 0 && from->column != attnum)
			continue;
		const struct pg_relation *source = pg_names_relation(s->names, from->to);
		const struct pg_column *c = source == NULL ? NULL : pg_relation_column(source, from->attnum);
		rc = c == NULL ? s->each(s->owner, NULL, NULL) : tell(s, source, c);
	}
	return rc;
}

/* Rows of a parent are its children's, too, in the columns of the same name; partitions are the table itself. */
static int
child_sources(struct sources *s, uint32_t oid, const struct pg_column *c, unsigned depth)
{
	const struct array *a = &s->names->children;
	const struct link_row *end = a->n == 0 ? NULL : (const struct link_row *)a->v + a->n;
	int rc = 0;
	if (depth > DEPTH_MAX)
		return s->each(s->owner, NULL, NULL);
	for (const struct link_row *down = links_of(a, oid); down < end && down->from == oid && rc == 0; down++) {
		const struct pg_relation *child = pg_names_relation(s->names, down->to);
		const struct pg_column *same = child == NULL || (child->partition && s->names->moved.n == 0) ? NULL : pg_relation_named(child, sp_str(c->name));
		if (same != NULL)
			rc = tell(s, child, same);
		if (same != NULL && rc == 0)
			rc = moved_sources(s, child, same->attnum);
		if (same != NULL && rc == 0)
			rc = view_sources(s, child->oid, depth + 1); /* a foreign table's are anything */
		if (same != NULL && rc == 0)
			rc = child_sources(s, child->oid, same, depth + 1);
	}
	return rc;
}

static int
column_sources(struct sources *s, const struct pg_relation *r, const struct pg_column *c, unsigned depth)
{
	int rc = tell(s, r, c);
	if (rc == 0)
		rc = moved_sources(s, r, c->attnum);
	return rc != 0 ? rc : child_sources(s, r->oid, c, depth);
}

static int
sources_of(struct sources *s, uint32_t oid, int16_t attnum, unsigned depth)
{
	const struct pg_relation *r = pg_names_relation(s->names, oid);
	int rc = 0;
	if (r == NULL || depth > DEPTH_MAX || s->nseen == VIEWS_MAX)
		return s->each(s->owner, NULL, NULL); /* nobody knows what is behind it */
	for (size_t i = 0; i < r->ncolumns && rc == 0; i++)
		if (attnum == 0 || r->column[i].attnum == attnum)
			rc = column_sources(s, r, &r->column[i], depth);
	if (rc == 0)
		rc = view_sources(s, oid, depth);
	if (rc == 0 && attnum != 0)
		rc = generated_sources(s, r, attnum, depth);
	const struct pg_column *c = attnum == 0 ? NULL : pg_relation_column(r, attnum);
	return rc != 0 || (attnum != 0 && c == NULL) ? rc : parent_sources(s, oid, c, depth);
}

int
pg_names_sources(const struct pg_names *n, uint32_t oid, int16_t attnum, pg_source_fn *each, void *owner)
{
	struct sources s = { .names = n, .each = each, .owner = owner, .nseen = 0 };
	return sources_of(&s, oid, attnum, 0);
}

int
pg_names_targets(const struct pg_names *n, uint32_t oid, int16_t attnum, pg_source_fn *each, void *owner)
{
	struct sources s = { .names = n, .each = each, .owner = owner, .targets = true, .nseen = 0 };
	return sources_of(&s, oid, attnum, 0);
}

struct sp_bytes
pg_schema_name(const struct pg_relation *r)
{
	return strncmp(r->schema, "pg_temp_", 8) == 0 ? SP_LIT("pg_temp") : sp_str(r->schema);
}

static void
write_part(struct sp_writer *w, struct sp_bytes part)
{
	for (size_t i = 0; i < part.len; i++) {
		if (part.p[i] == '.' || part.p[i] == '\\')
			sp_wr_u8(w, '\\');
		sp_wr_u8(w, part.p[i]);
	}
}

void
pg_write_name(struct sp_writer *w, const struct pg_relation *r, const struct pg_column *c)
{
	write_part(w, pg_schema_name(r));
	sp_wr_u8(w, '.');
	write_part(w, sp_str(r->name));
	if (c == NULL)
		return;
	sp_wr_u8(w, '.');
	write_part(w, sp_str(c->name));
}

void
pg_names_columns(void *owner, int (*take)(void *to, struct sp_bytes column), void *to)
{
	const struct pg_names *n = owner;
	const struct pg_relation *r = n->relations.v;
	uint8_t name[1024];
	for (size_t i = 0; i < n->relations.n; i++)
		for (size_t k = 0; k < r[i].ncolumns; k++) {
			struct sp_writer w = sp_writer(name, sizeof(name));
			pg_write_name(&w, &r[i], &r[i].column[k]);
			if (!w.bad && take(to, sp_written(&w)) != 0)
				return;
		}
}

/* ---- one session's view ---- */

/* One name of a list, folded unless quoted; false: not a name. */
static bool
path_name(struct sp_reader *r, struct sp_writer *w)
{
	bool quoted = r->left > 0 && *r->p == '"';
	size_t n = 0;
	if (quoted)
		(void)sp_rd_u8(r);
	while (r->left > 0) {
		uint8_t c = *r->p;
		if (!quoted && (c == ',' || c == ' '))
			break;
		(void)sp_rd_u8(r);
		if (quoted && c == '"') {
			if (r->left == 0 || *r->p != '"')
				return n > 0;
			(void)sp_rd_u8(r);
		}
		sp_wr_u8(w, !quoted && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
		n++;
	}
	return n > 0 && !quoted;
}

static void
skip_blanks(struct sp_reader *r)
{
	while (r->left > 0 && *r->p == ' ')
		(void)sp_rd_u8(r);
}

int
pg_path_parse(struct sp_bytes setting, const char *role, const char **path, size_t max, size_t *n_r, struct sp_writer *w)
{
	struct sp_reader r = sp_reader(setting);
	bool catalog = false;
	size_t n = 0;
	*n_r = 0;
	for (skip_blanks(&r); r.left > 0; skip_blanks(&r)) {
		size_t at = w->len;
		if (!path_name(&r, w))
			return SP_EPROTO;
		if (w->len - at > IDENTIFIER_MAX)
			return SP_EPROTO;
		sp_wr_u8(w, 0);
		if (w->bad || n + 1 >= max)
			return SP_ETOOBIG;
		const char *name = (const char *)w->p + at;
		name = strcmp(name, "$user") == 0 ? role : name;
		catalog = catalog || strcmp(name, "pg_catalog") == 0;
		path[n++] = name;
		skip_blanks(&r);
		if (r.left > 0 && sp_rd_u8(&r) != ',')
			return SP_EPROTO;
	}
	if (!catalog) {
		memmove(&path[1], &path[0], n * sizeof(*path));
		path[0] = "pg_catalog";
		n++;
	}
	*n_r = n;
	return SP_OK;
}

const struct pg_relation *
pg_view_find(const struct pg_view *v, struct sp_bytes schema, struct sp_bytes name)
{
	if (v->names == NULL)
		return NULL;
	if (schema.len > 0)
		return pg_names_find(v->names, schema, name);
	if (v->path_unknown)
		return NULL;
	for (size_t i = 0; i < v->ntemporary; i++)
		if (sp_bytes_is(name, v->temporary[i]))
			return NULL;
	for (size_t i = 0; i < v->npath; i++) {
		const struct pg_relation *r = pg_names_find(v->names, sp_str(v->path[i]), name);
		if (r != NULL)
			return r;
	}
	return NULL;
}
