/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What statement analysis says of statements, against what was written down and read: in
 * the files of tests/unit/analyse a statement stands alone on its line, and below it, indented, all that
 * pg_show.h prints of it but for what is the same everywhere.  names.txt and uses.txt are seen through the
 * view of pg_world.h, the others without a catalogue, as `policy test` sees them.
 *
 *   test_analyse --write FOLDER   writes the files anew, to be read again before they are believed
 */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cunit_main.h"
#include "pg_show.h"
#include "pg_world.h"

#include "modules/postgres/settings_table.h"
#include "modules/postgres/walk.h"

#include <pg_query.h>

/* ---- the files ---- */

/* {0a} → the byte; in place.  Returns the length. */
static size_t
unescape(char *line)
{
	char *to = line;

	for (char *from = line; *from != '\0'; to++) {
		bool byte = from[0] == '{' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]) && from[3] == '}';
		char hex[3] = { byte ? from[1] : '\0', byte ? from[2] : '\0', '\0' };
		*to = byte ? (char)strtoul(hex, NULL, 16) : *from;
		from += byte ? 4 : 1;
	}
	*to = '\0';
	return (size_t)(to - line);
}

/* Lines that most statements share say nothing. */
static bool
is_common(const char *line)
{
	const char *word = strchr(line, ' ');

	if (word == NULL || strncmp(line, "literal", 7) == 0)
		return false;
	return strncmp(word, " size=", 6) == 0 || strcmp(word, " statements=1") == 0 || strcmp(word, " prepared=false") == 0 ||
	    strcmp(line, "0 nested=false") == 0 || strncmp(line, "tag ", 4) == 0;
}

static void
print_line(FILE *out, const char *line)
{
	(void)fputc('\t', out);
	for (; *line != '\0'; line++) {
		unsigned char c = (unsigned char)*line;
		if (c < 0x20 || c >= 0x7f)
			(void)fprintf(out, "{%02x}", c);
		else
			(void)fputc(c, out);
	}
	(void)fputc('\n', out);
}

static char *
described(const struct pg_view *view, struct sp_bytes text)
{
	char *all = pg_show(view, text), *shown = NULL, *rest = all;
	size_t len;
	FILE *out = open_memstream(&shown, &len);

	for (char *line; out != NULL && (line = strsep(&rest, "\n")) != NULL;)
		if (*line != '\0' && !is_common(line))
			print_line(out, line);
	if (out == NULL || fclose(out) != 0)
		abort();
	free(all);
	return shown;
}

struct file {
	FILE *in, *out;         /* out: being written anew */
	const char *name;
	const struct pg_view *view;
	char *line;
	size_t cap;
	unsigned number, statements;
};

static void
check_statement(struct file *f, char *statement, const char *expected)
{
	char *as_written = strdup(statement);
	size_t len = unescape(statement);
	char *shown = described(f->view, (struct sp_bytes){ (const uint8_t *)statement, len });

	if (f->out != NULL)
		(void)fprintf(f->out, "%s\n%s", as_written, shown);
	else if (strcmp(shown, expected) != 0) {
		(void)fprintf(stderr, "\n%s:%u: %s\n--- expected\n%s--- is\n%s", f->name, f->number, as_written, expected, shown);
		CU_FAIL("another analysis than was written down");
	}
	f->statements++;
	free(shown);
	free(as_written);
}

static void
check_file(struct file *f)
{
	char *statement = NULL, *expected = NULL;
	size_t n = 0;
	ssize_t len;

	do {
		len = getline(&f->line, &f->cap, f->in);
		bool of_it = len > 0 && f->line[0] == '\t';
		if (of_it) {
			expected = realloc(expected, n + (size_t)len + 1);
			if (expected == NULL)
				abort();
			memcpy(expected + n, f->line, (size_t)len + 1);
			n += (size_t)len;
			continue;
		}
		if (statement != NULL)
			check_statement(f, statement, expected == NULL ? "" : expected);
		free(statement);
		free(expected);
		statement = expected = NULL;
		n = 0;
		f->number++;
		if (len <= 0)
			break;
		f->line[strcspn(f->line, "\n")] = '\0';
		if (f->line[0] != '\0' && f->line[0] != '#')
			statement = strdup(f->line);
		else if (f->out != NULL)
			(void)fprintf(f->out, "%s\n", f->line);
	} while (len > 0);
}

static struct pg_names *world;
static struct pg_view view;

static FILE *
open_file(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/tests/unit/analyse/%s.txt", srcdir == NULL ? "." : srcdir, name);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		perror(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	return f;
}

static void
check_named(const char *name, const struct pg_view *v, unsigned at_least)
{
	struct file f = { .in = open_file(name), .name = name, .view = v };

	check_file(&f);
	CU_ASSERT_TRUE(f.statements >= at_least);
	free(f.line);
	(void)fclose(f.in);
}

static void
test_kinds(void)
{
	check_named("kinds", NULL, 200);
}

static void
test_queries(void)
{
	check_named("queries", NULL, 60);
}

static void
test_where(void)
{
	check_named("where", NULL, 90);
}

static void
test_names(void)
{
	check_named("names", &view, 50);
}

static void
test_uses(void)
{
	check_named("uses", &view, 70);
}

static void
test_secrets(void)
{
	check_named("secrets", NULL, 30);
}

/* ---- the grammar ---- */

/* Nodes whose names end in Stmt but that no text has at its top. */
static const char *const never_alone[] = { "RawStmt", "ReplicaIdentityStmt", "PLAssignStmt", "ReturnStmt", "SetOperationStmt",
	"CreatePLangStmt" /* CREATE LANGUAGE with a handler: made so only for superusers' sake */ };

static bool
is_never_alone(const char *name)
{
	for (size_t i = 0; i < sizeof(never_alone) / sizeof(*never_alone); i++)
		if (strcmp(name, never_alone[i]) == 0)
			return true;
	return false;
}

static void
mark_kinds(const char *text, bool *seen, size_t n)
{
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(text);

	if (r.error == NULL) {
		PgQuery__ParseResult *tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
		for (size_t i = 0; tree != NULL && i < tree->n_stmts; i++) {
			const ProtobufCMessage *m = WALK(tree->stmts[i]->stmt);
			size_t which = m == NULL ? 0 : (size_t)walk_case_of(m);
			if (which < n)
				seen[which] = true;
		}
		pg_query__parse_result__free_unpacked(tree, NULL);
	}
	pg_query_free_protobuf_parse_result(r);
}

/* Every statement that the grammar knows stands in kinds.txt: so none was forgotten. */
static void
test_every_kind(void)
{
	bool seen[512] = { false };
	char *line = NULL;
	size_t cap = 0;
	FILE *f = open_file("kinds");

	while (getline(&line, &cap, f) > 0) {
		if (line[0] == '\t' || line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)unescape(line);
		mark_kinds(line, seen, sizeof(seen) / sizeof(*seen));
	}
	const ProtobufCMessageDescriptor *d = &pg_query__node__descriptor;
	unsigned kinds = 0;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const char *name = ((const ProtobufCMessageDescriptor *)d->fields[i].descriptor)->short_name;
		size_t len = strlen(name);
		if (len < 4 || strcmp(name + len - 4, "Stmt") != 0 || is_never_alone(name))
			continue;
		kinds++;
		if (!seen[d->fields[i].id])
			(void)fprintf(stderr, "\nkinds.txt has no %s\n", name);
		CU_ASSERT_TRUE(seen[d->fields[i].id]);
	}
	CU_ASSERT_TRUE(kinds > 110);
	free(line);
	(void)fclose(f);
}

/* ---- size and depth ---- */

static bool
says(const char *text, size_t len, const char *line)
{
	char *shown = pg_show(NULL, (struct sp_bytes){ (const uint8_t *)text, len });
	bool has = strstr(shown, line) != NULL;

	free(shown);
	return has;
}

/* `head`, then n times `part`, `middle`, n times `tail`. */
static char *
repeated(const char *head, const char *part, const char *middle, const char *tail, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		abort();
	(void)fputs(head, out);
	for (size_t i = 0; i < n; i++)
		(void)fputs(part, out);
	(void)fputs(middle, out);
	for (size_t i = 0; i < n; i++)
		(void)fputs(tail, out);
	(void)fclose(out);
	return text;
}

static const struct {
	const char *head, *part, *middle, *tail;
} deep[] = {
	{ "SELECT 1", "+1", "", "" },
	{ "SELECT ", "(", "1", ")" },
	{ "SELECT ", "(SELECT ", "1", ")" },
	{ "SELECT ", "- ", "1", "" },
	{ "SELECT ", "NOT ", "true", "" },
	{ "SELECT ", "CASE WHEN true THEN ", "1", " END" },
	{ "SELECT ", "ARRAY[", "1", "]" },
	{ "SELECT ", "abs(", "1", ")" },
	{ "SELECT 1", " UNION SELECT 1", "", "" },
	{ "SELECT 1", " UNION ALL (SELECT 1", "", ")" },
	{ "SELECT 1 FROM a", " JOIN a ON true", "", "" },
	{ "SELECT * FROM ", "(SELECT * FROM ", "a", ") x" },
	{ "SELECT 1", "::int", "", "" },
	{ "SELECT a", "[1]", "", "" },
	{ "SELECT 'a'", " || 'a'", "", "" },
	{ "SELECT 1", " IS NULL", "", "" },
	{ "SELECT a", " COLLATE \"C\"", "", "" },
	{ "SELECT now()", " AT TIME ZONE 'UTC'", "", "" },
	{ "SELECT 1", " BETWEEN 1 AND 1", "", "" },
	{ "", "WITH x AS (", "SELECT 1", ") SELECT 1" },
	{ "", "EXPLAIN ", "SELECT 1", "" },
	{ "SELECT ", "ROW(", "1", ")" },
	{ "SELECT ", "EXISTS (SELECT ", "1", ")" },
	{ "SELECT 1", " = ANY (ARRAY[1])", "", "" },
	{ "SELECT (a)", ".b", "", "" },
	{ "SELECT 1 WHERE true", " AND true", "", "" },
	{ "SELECT 1 WHERE true", " OR NOT true", "", "" },
	{ "CREATE SCHEMA s ", "CREATE VIEW v AS SELECT 1 ", "", "" },
};

/* Analysed or refused, never a crash; whatever is not clear says so. */
static void
test_depth(void)
{
	static const size_t times[] = { 10, 100, 1000, 3500, 5000, 50000 };
	unsigned refused = 0, taken = 0;

	for (size_t i = 0; i < sizeof(deep) / sizeof(*deep); i++)
		for (size_t k = 0; k < sizeof(times) / sizeof(*times); k++) {
			char *text = repeated(deep[i].head, deep[i].part, deep[i].middle, deep[i].tail, times[k]);
			bool dark = says(text, strlen(text), "0 unclear=");
			bool failed = says(text, strlen(text), "failed");
			refused += dark || failed;
			taken += !dark && !failed;
			free(text);
		}
	CU_ASSERT_TRUE(refused > 20);
	CU_ASSERT_TRUE(taken > 80);
	char *text = repeated("SELECT 1", "+1", "", "", 5000);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 unclear=depth"));
	free(text);
	text = repeated("SELECT 1", "+1", "", "", 3000);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 verb=select"));
	CU_ASSERT_FALSE(says(text, strlen(text), "unclear"));
	free(text);
	text = repeated("SELECT 1 WHERE 1 IN (1", ",1", ")", "", 20000);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 verb=select"));
	free(text);
}

#if !defined(__SANITIZE_ADDRESS__)
static long
resident_kb(void)
{
	long pages = 0, all = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &all, &pages) != 2)
		pages = 0;
	if (f != NULL)
		(void)fclose(f);
	return pages * 4;
}
#endif

/* What a deep text used of its stack does not stay with the process. */
static void
test_stack_is_given_back(void)
{
#if defined(__SANITIZE_ADDRESS__)
	puts("skipped: AddressSanitizer keeps freed memory");
#else
	char *text = repeated("SELECT 1", "+1", "", "", 3900);
	(void)says(text, strlen(text), "0 verb=select");
	long before = resident_kb();
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(says(text, strlen(text), "0 verb=select"));
	CU_ASSERT_TRUE(before > 0);
	CU_ASSERT_TRUE(resident_kb() - before < 4096);
	free(text);
#endif
}

static void
test_size(void)
{
	char *text = repeated("SELECT '", "x", "'", "", PG_STATEMENT_MAX);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 unclear=size"));
	CU_ASSERT_TRUE(says(text, strlen(text), " always"));
	text[strlen(text) - 40] = '\'';
	text[strlen(text) - 39] = '\0';
	CU_ASSERT_TRUE(says(text, strlen(text), "unclear=size") || says(text, strlen(text), "0 verb=select"));
	free(text);
	text = repeated("SELECT 1 WHERE 1 IN (1", ",1", ")", "", 130000);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 unclear=size"));
	free(text);
	text = repeated("SELECT 1 FROM a", ",a", " WHERE true", " AND b = 1", 8000); /* any of them may have it */
	CU_ASSERT_TRUE(says(text, strlen(text), "unclear=size analysis"));
	free(text);
	text = repeated("WITH RECURSIVE r AS (SELECT a", ",a", " FROM b UNION ALL SELECT * FROM r) SELECT 1 FROM r WHERE a = 1", "", 4000);
	CU_ASSERT_TRUE(says(text, strlen(text), "0 verb=select"));
	CU_ASSERT_TRUE(says(text, strlen(text), "0 columns_filtered=public.b.a"));
	free(text);
	text = repeated("", "SELECT 1;", "", "", 2000);
	CU_ASSERT_TRUE(says(text, strlen(text), "unclear=size analysis"));
	free(text);
	text = repeated("SELECT 1 FROM a WHERE email IN ('x'", ",'secret'", ")", "", 30000);
	CU_ASSERT_TRUE(says(text, strlen(text), "'secret'"));
	free(text);
}

/* One long text that many EXECUTEs name is parsed a few times, not each time. */
static void
test_texts_in_texts(void)
{
	struct pg_names *known = pg_world_names();
	const struct pg_view prepared = pg_world_view(known);

	for (size_t n = 1; n <= 100; n += 99) {
		char *text = repeated("", "EXECUTE known_list;", "", "", n);
		char *shown = pg_show(&prepared, (struct sp_bytes){ (const uint8_t *)text, strlen(text) });
		CU_ASSERT_EQUAL(strstr(shown, "unclear=code execute known_list") != NULL, n > 1);
		free(shown);
		free(text);
	}
	pg_names_free(&known);
}

/* ---- names.c ---- */

static int
count_source(void *owner, const struct pg_relation *r, const struct pg_column *c)
{
	unsigned *n = owner;

	(void)c;
	*n += r == NULL ? 1000 : 1;
	return 0;
}

static unsigned
sources(uint32_t oid, int16_t attnum)
{
	unsigned n = 0;

	(void)pg_names_sources(world, oid, attnum, count_source, &n);
	return n;
}

static void
test_names_sources(void)
{
	CU_ASSERT_EQUAL(sources(100, 3), 1);
	CU_ASSERT_EQUAL(sources(100, 0), 5);
	CU_ASSERT_EQUAL(sources(103, 2), 1 + 3);      /* itself, all that the view uses */
	CU_ASSERT_EQUAL(sources(104, 1), 1 + 2 + 3);  /* through two views, each looked into once */
	CU_ASSERT_EQUAL(sources(107, 2), 2);          /* and the parent's */
	CU_ASSERT_EQUAL(sources(109, 3), 1);          /* which the parent does not have */
	CU_ASSERT_EQUAL(sources(109, 0), 3 + 2 + 2); /* the parent's are this one's again: it is a child */
	CU_ASSERT_EQUAL(sources(108, 2), 2);          /* and the child's */
	CU_ASSERT_EQUAL(sources(106, 2), 1);          /* partitions are the table itself */
	CU_ASSERT_EQUAL(sources(4711, 1), 1000);      /* nobody knows: anything */
	CU_ASSERT_PTR_NULL(pg_names_find(world, (struct sp_bytes){ NULL, 0 }, (struct sp_bytes){ NULL, 0 }));
}

/* A generated column is what it is made of; what a view calls, nobody knows. */
static void
test_names_made(void)
{
	struct pg_names_builder *b = pg_names_begin(0);
	struct sp_bytes made[] = { SP_LIT("1"), SP_LIT("2"), SP_LIT("3") }, calls[] = { SP_LIT("2"), SP_LIT("0"), SP_LIT("0") };
	unsigned plain = 0, generated = 0, called = 0;

	for (uint32_t i = 1; i <= 2; i++)
		CU_ASSERT_EQUAL(pg_names_add_relation(b, i, "s", i == 1 ? "t" : "v", i == 1 ? 'r' : 'v'), SP_OK);
	for (int16_t i = 1; i <= 3; i++)
		CU_ASSERT_EQUAL(pg_names_add_column(b, 1, i, "c", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, 2, 1, "x", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_feed(b, PG_NAMES_GENERATED, made, 3), SP_OK);
	CU_ASSERT_EQUAL(pg_names_feed(b, PG_NAMES_DEPENDS, calls, 3), SP_OK);
	struct pg_names *names = pg_names_finish(&b, 8);
	CU_ASSERT_PTR_NOT_NULL_FATAL(names);
	(void)pg_names_sources(names, 1, 1, count_source, &plain);
	(void)pg_names_sources(names, 1, 2, count_source, &generated);
	(void)pg_names_sources(names, 2, 1, count_source, &called);
	CU_ASSERT_EQUAL(plain, 1);
	CU_ASSERT_EQUAL(generated, 2);
	CU_ASSERT_EQUAL(called, 1 + 1000);
	pg_names_free(&names);
}

static bool
runs_code(const struct pg_names *names, const char *text)
{
	const char *path[] = { "pg_catalog", "s" };
	const struct pg_view v = { .names = names, .path = path, .npath = 2 };
	const struct sp_scope scope = { .view = &v };
	struct shape *shape = shape_make(&pg_shown, &scope, PG_STATEMENT, sp_str(text));
	struct op op = { .shape = shape, .kind = PG_STATEMENT };
	CU_ASSERT_FALSE_FATAL(shape->failed);
	bool runs = sp_op_has((const struct sp_op *)&op, PG_A_RUNS_CODE, "true");
	shape_free(&shape);
	return runs;
}

/* Code that no statement shows: known by the table, read or written; of types, for all. */
static void
test_names_act(void)
{
	static const struct { const char *text; bool runs; } row[] = {
		{ "SELECT * FROM plain", false }, { "INSERT INTO plain VALUES (1)", false },
		{ "SELECT * FROM written", false }, { "INSERT INTO written VALUES (1)", true }, { "INSERT INTO plain SELECT c FROM written", false },
		{ "UPDATE s.written SET c = 1", true }, { "WITH d AS (DELETE FROM written RETURNING c) SELECT c FROM d", true },
		{ "SELECT * FROM written FOR UPDATE", false }, { "TRUNCATE written", true }, { "COPY written FROM STDIN", true },
		{ "SELECT count(*) FROM read_", true }, { "SELECT 1 WHERE EXISTS (TABLE s.read_)", true }, { "INSERT INTO read_ VALUES (1)", true },
		{ "EXPLAIN ANALYZE DELETE FROM written", true }, { "BEGIN", false }, { "SELECT 1", false },
	};
	for (int types = 0; types < 2; types++) {
		struct pg_names_builder *b = pg_names_begin(0);
		const char *name[] = { "plain", "written", "read_" };
		struct sp_bytes written[] = { SP_LIT("2"), SP_LIT("w") }, read[] = { SP_LIT("3"), SP_LIT("r") }, any[] = { SP_LIT("0"), SP_LIT("r") };
		for (uint32_t i = 0; i < 3; i++) {
			CU_ASSERT_EQUAL(pg_names_add_relation(b, i + 1, "s", name[i], 'r'), SP_OK);
			CU_ASSERT_EQUAL(pg_names_add_column(b, i + 1, 1, "c", 23), SP_OK);
		}
		CU_ASSERT_EQUAL(pg_names_feed(b, PG_NAMES_ACTS, written, 2), SP_OK);
		CU_ASSERT_EQUAL(pg_names_feed(b, PG_NAMES_ACTS, read, 2), SP_OK);
		if (types)
			CU_ASSERT_EQUAL(pg_names_feed(b, PG_NAMES_ACTS, any, 2), SP_OK);
		struct pg_names *names = pg_names_finish(&b, 8);
		CU_ASSERT_PTR_NOT_NULL_FATAL(names);
		for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
			if (runs_code(names, row[i].text) != (row[i].runs || (types && strcmp(row[i].text, "BEGIN") != 0)))
				CU_FAIL(row[i].text);
		pg_names_free(&names);
	}
}

/* A snapshot of one table with one column. */
static struct pg_names *
one_column(const char *schema, const char *table, const char *column)
{
	struct pg_names_builder *b = pg_names_begin(0);

	CU_ASSERT_EQUAL(pg_names_add_relation(b, 1, schema, table, 'r'), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, 1, 1, column, 25), SP_OK);
	return pg_names_finish(&b, 1);
}

/* MK8: a column keeps the names that it had; those that it has again, or had twice, count once. */
static void
test_names_renamed(void)
{
	static const struct { const char *schema, *table, *column; unsigned sources, renamed; } step[] = {
		{ "s", "t", "a", 1, 0 }, { "s", "t", "b", 2, 1 }, { "s", "t", "b", 2, 0 }, { "s", "u", "b", 3, 1 }, { "x", "u", "b", 4, 1 },
		{ "s", "t", "a", 4, 1 }, { "s", "t", "b", 4, 1 },
	};
	struct pg_names *before = NULL;

	for (size_t i = 0; i < sizeof(step) / sizeof(*step); i++) {
		struct pg_names *now = one_column(step[i].schema, step[i].table, step[i].column);
		const struct pg_relation *was;
		unsigned n = 0, renamed = 0;
		CU_ASSERT_PTR_NOT_NULL_FATAL(now);
		if (before != NULL)
			CU_ASSERT_EQUAL(pg_names_follow(now, before), SP_OK);
		while (pg_names_renamed(now, renamed, &was) != NULL)
			renamed++;
		(void)pg_names_sources(now, 1, 1, count_source, &n);
		CU_ASSERT_EQUAL(n, step[i].sources);
		CU_ASSERT_EQUAL(renamed, step[i].renamed);
		if (before != NULL)
			pg_names_free(&before);
		before = now;
	}
	pg_names_free(&before);
}

/* Views that use one another end; too many of them are anything, not nothing. */
static void
test_names_chain(void)
{
	struct pg_names_builder *b = pg_names_begin(0);
	unsigned n = 0;

	for (uint32_t i = 1; i <= 2000; i++) {
		CU_ASSERT_EQUAL(pg_names_add_relation(b, i, "s", "v", 'v'), SP_OK);
		CU_ASSERT_EQUAL(pg_names_add_column(b, i, 1, "c", 25), SP_OK);
		CU_ASSERT_EQUAL(pg_names_add_depend(b, i, i % 2000 + 1, 1), SP_OK);
		CU_ASSERT_EQUAL(pg_names_add_depend(b, i, (i + 1) % 2000 + 1, 1), SP_OK);
	}
	struct pg_names *names = pg_names_finish(&b, 7);
	CU_ASSERT_PTR_NOT_NULL_FATAL(names);
	CU_ASSERT_EQUAL(pg_names_version(names), 7);
	CU_ASSERT_TRUE(pg_names_size(names) > 0);
	(void)pg_names_sources(names, 1, 1, count_source, &n);
	CU_ASSERT_TRUE(n >= 1000);
	pg_names_free(&names);
	CU_ASSERT_PTR_NULL(names);
}

/* Over committed names: built-in ones stay, others are as they are read, and what was moved is behind what it was moved into. */
static void
test_names_over(void)
{
	enum { BUILT_IN = 1259, SECRET = 20001, GONE = 20002, MADE = 20003 };
	struct pg_names_builder *b = pg_names_begin(0);
	CU_ASSERT_EQUAL(pg_names_add_relation(b, BUILT_IN, "pg_catalog", "pg_class", 'r'), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, BUILT_IN, 1, "oid", 26), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_relation(b, SECRET, "public", "secret", 'r'), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, SECRET, 1, "ssn", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_relation(b, GONE, "public", "gone", 'r'), SP_OK);
	struct pg_names *under = pg_names_finish(&b, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(under);

	b = pg_names_begin_over(under, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL(pg_names_add_relation(b, SECRET, "public", "secret", 'r'), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, SECRET, 1, "renamed", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_relation(b, MADE, "public", "made", 'r'), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, MADE, 1, "a", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_column(b, MADE, 2, "b", 25), SP_OK);
	CU_ASSERT_EQUAL(pg_names_add_moved(b, MADE, 1, SECRET, 1), SP_OK);
	struct pg_names *names = pg_names_finish(&b, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(names);
	CU_ASSERT_EQUAL(pg_names_follow(names, under), SP_OK);
	pg_names_free(&under); /* its strings live on */
	CU_ASSERT_PTR_NULL(pg_names_relation(names, GONE));
	CU_ASSERT_STRING_EQUAL(pg_names_find(names, SP_LIT("pg_catalog"), SP_LIT("pg_class"))->column[0].name, "oid");
	unsigned moved = 0, other = 0, targets = 0, renamed = 0;
	(void)pg_names_sources(names, MADE, 1, count_source, &moved);
	(void)pg_names_sources(names, MADE, 2, count_source, &other);
	(void)pg_names_targets(names, MADE, 1, count_source, &targets);
	(void)pg_names_sources(names, SECRET, 1, count_source, &renamed);
	CU_ASSERT_EQUAL(moved, 3); /* itself, the column it was moved from, and that one's former name */
	CU_ASSERT_EQUAL(other, 1);
	CU_ASSERT_EQUAL(targets, 1);
	CU_ASSERT_EQUAL(renamed, 2);
	CU_ASSERT_FALSE(pg_names_acts(names));
	pg_names_free(&names);
}

static void
test_names_find(void)
{
	size_t n;
	const struct pg_relation *r = pg_names_find(world, SP_LIT("public"), SP_LIT("customers"));

	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->oid, 100);
	CU_ASSERT_PTR_NULL(pg_names_find(world, SP_LIT("public"), SP_LIT("Customers")));
	CU_ASSERT_PTR_NULL(pg_relation_column(r, 5));
	CU_ASSERT_STRING_EQUAL(pg_relation_column(r, 6)->name, "born");
	CU_ASSERT_PTR_NOT_NULL(pg_names_functions(world, SP_LIT("many"), &n));
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_PTR_NULL(pg_names_functions(world, SP_LIT("none"), &n));
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(pg_view_find(&view, (struct sp_bytes){ NULL, 0 }, SP_LIT("people"))->oid, 106);
	CU_ASSERT_EQUAL(pg_view_find(&view, SP_LIT("crm"), SP_LIT("people"))->oid, 111);
	CU_ASSERT_PTR_NULL(pg_view_find(&view, (struct sp_bytes){ NULL, 0 }, SP_LIT("t7")));
	uint8_t bytes[128];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	r = pg_names_find(world, SP_LIT("public"), SP_LIT("Odd.Table"));
	pg_write_name(&w, r, pg_relation_column(r, 1));
	CU_ASSERT_TRUE(sp_bytes_is(sp_written(&w), "public.Odd\\.Table.E\\.mail"));
}

/* Rows that are not what the queries give. */
static void
test_names_bad_rows(void)
{
	static const struct {
		enum pg_names_query query;
		const char *field[9];
		size_t n;
	} rows[] = {
		{ PG_NAMES_RELATIONS, { "x", "s", "t", "r", "f" }, 5 },
		{ PG_NAMES_RELATIONS, { "99999999999", "s", "t", "r", "f" }, 5 },
		{ PG_NAMES_RELATIONS, { "1", "s", "t", "rr", "f" }, 5 },
		{ PG_NAMES_RELATIONS, { "1", "s", "t", "r" }, 4 },
		{ PG_NAMES_COLUMNS, { "1", "40000", "c", "25", "t" }, 5 },
		{ PG_NAMES_COLUMNS, { "1", "-1", "c", "25", "t" }, 5 },
		{ PG_NAMES_DEPENDS, { "1", "2", "" }, 3 },
		{ PG_NAMES_FUNCTIONS, { "1", "s", "f", "f", "v", "101", "0", "f", "" }, 9 },
		{ PG_NAMES_FUNCTIONS, { "1", "s", "f", "f", "v", "1", "2", "f", "" }, 9 },
		{ PG_NAMES_QUERIES, { "1" }, 1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pg_names_builder *b = pg_names_begin(0);
		struct sp_bytes field[9] = { { NULL, 0 } };
		for (size_t k = 0; k < rows[i].n; k++)
			field[k] = sp_str(rows[i].field[k]);
		CU_ASSERT_EQUAL(pg_names_feed(b, rows[i].query, field, rows[i].n), SP_EPROTO);
		field[0].p = NULL;
		CU_ASSERT_EQUAL(pg_names_feed(b, rows[i].query, field, rows[i].n), SP_EPROTO);
		pg_names_abandon(&b);
		CU_ASSERT_PTR_NULL(b);
	}
	struct pg_names_builder *small = pg_names_begin(64);
	CU_ASSERT_EQUAL(pg_names_add_relation(small, 1, "s", "t", 'r'), SP_ETOOBIG);
	pg_names_abandon(&small);
}

static const struct {
	const char *setting, *path; /* NULL: not a list of names */
} paths[] = {
	{ "\"$user\", public", "pg_catalog,app_gw,public" },
	{ "public", "pg_catalog,public" },
	{ "public, pg_catalog", "public,pg_catalog" },
	{ "", "pg_catalog" },
	{ "  Public  ,  \"Odd\"\"One\" ", "pg_catalog,public,Odd\"One" },
	{ "\"a,b\", c", "pg_catalog,a,b,c" },
	{ "pg_temp, public", "pg_catalog,pg_temp,public" },
	{ "\"open", NULL },
	{ "a b", NULL },
	{ ",a", NULL },
	{ "a,,b", NULL },
	{ "\"\"", NULL },
};

static void
test_path(void)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *path[8];
		uint8_t bytes[256];
		char joined[256] = "";
		struct sp_writer w = sp_writer(bytes, sizeof(bytes));
		size_t n;
		int rc = pg_path_parse(sp_str(paths[i].setting), "app_gw", path, 8, &n, &w);
		for (size_t k = 0; k < n; k++) {
			strncat(joined, k == 0 ? "" : ",", sizeof(joined) - strlen(joined) - 1);
			strncat(joined, path[k], sizeof(joined) - strlen(joined) - 1);
		}
		if (paths[i].path == NULL)
			CU_ASSERT_EQUAL(rc, SP_EPROTO);
		if (paths[i].path != NULL && strcmp(joined, paths[i].path) != 0)
			(void)fprintf(stderr, "\n%s: %s\n", paths[i].setting, joined);
		if (paths[i].path != NULL)
			CU_ASSERT_STRING_EQUAL(joined, paths[i].path);
	}
	const char *path[3];
	uint8_t bytes[256];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	size_t n;
	CU_ASSERT_EQUAL(pg_path_parse(SP_LIT("a, b, c, d"), "r", path, 3, &n, &w), SP_ETOOBIG);
	static const char long_name[] = "a234567890123456789012345678901234567890123456789012345678901234";
	CU_ASSERT_EQUAL(pg_path_parse(sp_str(long_name), "r", path, 3, &n, &w), SP_EPROTO); /* the server cuts it short */
	CU_ASSERT_EQUAL(pg_path_parse(sp_str(long_name + 1), "r", path, 3, &n, &w), SP_OK);
}

/* ---- settings ---- */

static const struct {
	const char *name, *value; /* NULL: back to the default */
	enum pg_setting_where where;
	enum pg_setting_answer answer;
} settings[] = {
	{ "application_name", "psql", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "APPLICATION_NAME", "psql", PG_BY_SET, PG_SETTING_FINE },
	{ "application_name", "a\nb", PG_BY_SET, PG_SETTING_REFUSED },
	{ "DateStyle", "ISO, MDY", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "datestyle", "german", PG_BY_SET, PG_SETTING_FINE },
	{ "TimeZone", "Europe/Berlin", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "client_encoding", "UTF8", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "client_encoding", "utf-8", PG_BY_SET, PG_SETTING_FINE },
	{ "client_encoding", "'utf-8'", PG_AT_STARTUP, PG_SETTING_FINE }, /* as JDBC writes it */
	{ "client_encoding", "SQL_ASCII", PG_AT_STARTUP, PG_SETTING_REFUSED },
	{ "client_encoding", "LATIN1", PG_BY_SET, PG_SETTING_REFUSED },
	{ "client_encoding", "", PG_BY_SET, PG_SETTING_REFUSED },
	{ "extra_float_digits", "2", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "extra_float_digits", "-15", PG_BY_SET, PG_SETTING_FINE },
	{ "statement_timeout", "5s", PG_BY_SET, PG_SETTING_FINE },
	{ "statement_timeout", "100min", PG_BY_SET, PG_SETTING_FINE },
	{ "statement_timeout", "5 s; x", PG_BY_SET, PG_SETTING_REFUSED },
	{ "statement_timeout", NULL, PG_BY_SET, PG_SETTING_FINE },
	{ "statement_timeout", NULL, PG_AT_STARTUP, PG_SETTING_REFUSED },
	{ "search_path", "a, b", PG_AT_STARTUP, PG_SETTING_FINE },
	{ "default_transaction_isolation", "read committed", PG_BY_SET, PG_SETTING_FINE },
	{ "default_transaction_read_only", "maybe", PG_BY_SET, PG_SETTING_REFUSED },
	{ "row_security", "off", PG_AT_STARTUP, PG_SETTING_REFUSED },
	{ "row_security", "off", PG_BY_SET, PG_SETTING_FINE },
	{ "standard_conforming_strings", "on", PG_BY_SET, PG_SETTING_FINE },
	{ "standard_conforming_strings", "off", PG_BY_SET, PG_SETTING_PINNED },
	{ "Standard_Conforming_Strings", "off", PG_BY_SET, PG_SETTING_PINNED },
	{ "standard_conforming_strings", NULL, PG_BY_SET, PG_SETTING_PINNED },
	{ "backslash_quote", "on", PG_AT_STARTUP, PG_SETTING_PINNED },
	{ "sallyport.user", "root", PG_BY_SET, PG_SETTING_PINNED },
	{ "sallyport.session", "x", PG_AT_STARTUP, PG_SETTING_PINNED },
	{ "role", "postgres", PG_BY_SET, PG_SETTING_REFUSED },
	{ "role", "postgres", PG_AT_STARTUP, PG_SETTING_REFUSED },
	{ "session_authorization", "postgres", PG_BY_SET, PG_SETTING_REFUSED },
	{ "session_replication_role", "replica", PG_BY_SET, PG_SETTING_REFUSED },
	{ "log_statement", "none", PG_AT_STARTUP, PG_SETTING_REFUSED },
	{ "work_mem", "1GB", PG_BY_SET, PG_SETTING_REFUSED },
	{ "no_such_setting", "1", PG_BY_SET, PG_SETTING_REFUSED },
	{ "", "1", PG_BY_SET, PG_SETTING_REFUSED },
};

static void
test_settings(void)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		struct sp_bytes value = settings[i].value == NULL ? (struct sp_bytes){ NULL, 0 } : sp_str(settings[i].value);
		enum pg_setting_answer a = pg_setting_check(sp_str(settings[i].name), value, settings[i].where);
		if (a != settings[i].answer)
			(void)fprintf(stderr, "\n%s=%s: %d\n", settings[i].name, settings[i].value, (int)a);
		CU_ASSERT_EQUAL(a, settings[i].answer);
	}
	const struct pg_setting *s = NULL;
	const char *before = "";
	unsigned n = 0;
	while ((s = pg_setting_next(s)) != NULL) {
		CU_ASSERT_TRUE(strcasecmp(before, s->name) < 0);
		CU_ASSERT_TRUE(*s->values != '\0' && *s->help != '\0' && s->where != 0);
		CU_ASSERT_PTR_EQUAL(pg_setting_find(sp_str(s->name)), s);
		before = s->name;
		n++;
	}
	CU_ASSERT_TRUE(n > 15);
}

static int
join_option(void *owner, struct sp_bytes name, struct sp_bytes value)
{
	char *all = owner;
	size_t n = strlen(all);

	(void)snprintf(all + n, 256 - n, "%.*s=%.*s;", (int)name.len, (const char *)name.p, (int)value.len, (const char *)value.p);
	return 0;
}

static const struct {
	const char *options, *found; /* NULL: refused */
} options[] = {
	{ "", "" },
	{ "-c geqo=off", "geqo=off;" },
	{ "-cgeqo=off", "geqo=off;" },
	{ "  -c  a=1 --b=2\t-c c=x\\ y ", "a=1;b=2;c=x y;" },
	{ "-c a=b=c", "a=b=c;" },
	{ "-c a=", "a=;" },
	{ "--a", NULL },
	{ "-c", NULL },
	{ "-c =1", NULL },
	{ "-d 5", NULL },
	{ "a=1", NULL },
	{ "-", NULL },
	{ "-c \\", NULL },
};

static void
test_options(void)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		char all[256] = "";
		int rc = pg_setting_options(sp_str(options[i].options), join_option, all);
		if ((rc == SP_OK) != (options[i].found != NULL))
			(void)fprintf(stderr, "\n%s: %d %s\n", options[i].options, rc, all);
		CU_ASSERT_EQUAL(rc == SP_OK, options[i].found != NULL);
		if (options[i].found != NULL)
			CU_ASSERT_STRING_EQUAL(all, options[i].found);
	}
	char *text = repeated("-c a=", "x", "", "", 5000), all[256] = "";
	CU_ASSERT_EQUAL(pg_setting_options(sp_str(text), join_option, all), SP_EPROTO);
	free(text);
}

/* ---- writing the files ---- */

static int
write_files(const char *to)
{
	static const char *const names[] = { "kinds", "queries", "where", "names", "uses", "secrets" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[4096], temporary[4110];
		(void)snprintf(path, sizeof(path), "%s/%s.txt", to, names[i]);
		(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
		struct file f = { .in = fopen(path, "r"), .name = names[i], 
			.view = strcmp(names[i], "names") == 0 || strcmp(names[i], "uses") == 0 ? &view : NULL };
		if (f.in == NULL || (f.out = fopen(temporary, "w")) == NULL)
			return 1;
		check_file(&f);
		free(f.line);
		(void)fclose(f.in);
		if (fclose(f.out) != 0 || rename(temporary, path) != 0)
			return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{ "every kind of statement", test_kinds },
		{ "no kind of the grammar is missing", test_every_kind },
		{ "queries without a catalogue", test_queries },
		{ "what a WHERE restricts", test_where },
		{ "names in a catalogue", test_names },
		{ "what becomes of a column", test_uses },
		{ "secrets are marked", test_secrets },
		{ "depth", test_depth },
		{ "the deep stack is given back", test_stack_is_given_back },
		{ "size", test_size }, { "texts in texts", test_texts_in_texts },
		{ "what is behind a column", test_names_sources },
		{ "generated columns and views over code", test_names_made },
		{ "code that no statement shows", test_names_act },
		{ "MK8: columns that are renamed", test_names_renamed },
		{ "views behind views", test_names_chain },
		{ "names of a transaction", test_names_over },
		{ "finding names", test_names_find },
		{ "bad rows of the catalogue", test_names_bad_rows },
		{ "search_path", test_path },
		{ "settings", test_settings },
		{ "options", test_options },
		CU_TEST_INFO_NULL,
	};
	int rc;

	world = pg_world_names();
	view = pg_world_view(world);
	rc = argc == 3 && strcmp(argv[1], "--write") == 0 ? write_files(argv[2]) : cunit_main("analyse", tests);
	pg_names_free(&world);
	return rc;
}
