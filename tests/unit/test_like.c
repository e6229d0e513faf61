/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that differ in literals only: what is taken from one for another is what the other would have
 * been found to be.  Every statement of the analysis tests and of the bypass corpus, with its literals
 * exchanged for others that have mattered to somebody.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "cunit_main.h"
#include "pg_show.h"
#include "pg_world.h"

#define LITERALS 64
#define TEXT_MAX 8192

static struct pg_names *world;
static struct pg_view view;
static unsigned texts, alike, compared;

static struct shape *
classify(struct sp_bytes text)
{
	const struct sp_scope scope = { .view = &view };
	return shape_make(&pg_shown, &scope, PG_STATEMENT, text);
}

struct skeleton {
	uint8_t key[2 * TEXT_MAX];
	size_t len;
	struct sp_span span[LITERALS];
	long n;
};

static bool
skeleton(struct sp_bytes text, struct skeleton *k)
{
	struct sp_writer w = sp_writer(k->key, sizeof(k->key));
	k->n = pg_skeleton(text, &w, k->span, LITERALS);
	k->len = w.len;
	return k->n > 0 && !w.bad;
}

static const char *const numbers[] = { "0", "1", "2", "5", "42", "100", "2147483", "999999999" };
static const char *const strings[] = { "''", "'0'", "'1'", "'t'", "'true'", "'%'", "'.*'", "'x'", "'it''s'", "'orders'",
	"'public.customers'", "'customers'", "'***'", "'default_transaction_read_only'", "'SELECT 1'", "'{1,2}'", "'now'", "'a -- b'" };

/* The text with other literals, the `turn`th choice of them. */
static struct sp_bytes
exchanged(struct sp_bytes text, const struct skeleton *k, size_t turn, char out[2 * TEXT_MAX])
{
	size_t from = 0, n = 0;
	for (long i = 0; i < k->n; i++) {
		const struct sp_span *s = &k->span[i];
		bool string = text.p[s->offset] == '\'';
		size_t at = turn * 7 + (size_t)i * (turn % 3);
		const char *other = string ? strings[at % (sizeof(strings) / sizeof(*strings))] : numbers[at % (sizeof(numbers) / sizeof(*numbers))];
		memcpy(out + n, text.p + from, s->offset - from);
		n += s->offset - from;
		memcpy(out + n, other, strlen(other));
		n += strlen(other);
		from = s->offset + s->len;
	}
	memcpy(out + n, text.p + from, text.len - from);
	return (struct sp_bytes){ (const uint8_t *)out, n + text.len - from };
}

static void
compare(struct shape *model, const struct skeleton *k, struct sp_bytes other)
{
	static struct skeleton o;
	CU_ASSERT_FATAL(skeleton(other, &o));
	CU_ASSERT(sp_bytes_eq((struct sp_bytes){ k->key, k->len }, (struct sp_bytes){ o.key, o.len }));
	struct shape *like = shape_like(model, (struct spans){ k->span, (size_t)k->n }, other, (struct spans){ o.span, (size_t)o.n });
	struct shape *asked = classify(other);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked);
	compared++;
	if (like != NULL && !shape_equal(like, asked)) {
		printf("\nnot the same: %.*s\n  as of      : %.*s\n", (int)other.len, (const char *)other.p, (int)model->text.len, (const char *)model->text.p);
		CU_FAIL("what was taken from another text is not what this one is");
	}
	if (like != NULL) { /* what the module notes of it is the model's */
		struct op noted = { .shape = like }, itself = { .shape = asked }, failed = { .shape = like, .failed = true };
		CU_ASSERT_PTR_EQUAL(sp_op_note((struct sp_op *)&noted), &model->note);
		CU_ASSERT_PTR_EQUAL(sp_op_note((struct sp_op *)&itself), &asked->note);
		CU_ASSERT_PTR_NULL(sp_op_note((struct sp_op *)&failed));
		shape_free(&like);
	}
	shape_free(&asked);
}

static void
one_text(struct sp_bytes text)
{
	static struct skeleton k;
	static char other[2 * TEXT_MAX];
	if (text.len == 0 || text.len > TEXT_MAX / 4 || !skeleton(text, &k))
		return;
	texts++;
	struct shape *model = classify(text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(model);
	if (model->alike) {
		alike++;
		for (size_t turn = 0; turn < 24; turn++)
			compare(model, &k, exchanged(text, &k, turn, other));
	}
	shape_free(&model);
}

static void
every_line(const char *name, bool corpus)
{
	const char *srcdir = getenv("srcdir");
	char path[512], *line = NULL;
	size_t cap = 0;
	ssize_t n;
	(void)snprintf(path, sizeof(path), "%s/tests/%s", srcdir == NULL ? "." : srcdir, name);
	FILE *f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while ((n = getline(&line, &cap, f)) > 0) {
		char *text = corpus ? strrchr(line, '\t') : line;
		if (line[0] == '#' || line[0] == '\t' || text == NULL)
			continue;
		text += corpus;
		one_text((struct sp_bytes){ (const uint8_t *)text, strcspn(text, "\n") });
	}
	free(line);
	(void)fclose(f);
}

static void
test_all_texts(void)
{
	static const char *const files[] = { "unit/analyse/kinds.txt", "unit/analyse/names.txt", "unit/analyse/queries.txt",
		"unit/analyse/secrets.txt", "unit/analyse/uses.txt", "unit/analyse/where.txt" };
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		every_line(files[i], false);
	every_line("bypass/corpus.txt", true);
	printf("%u texts with literals, %u like others, %u compared ", texts, alike, compared);
	CU_ASSERT(alike > 100);
}

static void
test_which(void)
{
	static const struct {
		const char *text;
		bool alike;
	} row[] = {
		{ "SELECT name FROM customers WHERE id = 7", true },
		{ "UPDATE orders SET price = price + 7 WHERE id = 7", true },
		{ "INSERT INTO orders VALUES (7, 7, 'x', 7, 'y')", true },
		{ "SELECT name FROM customers WHERE email = 'ada@example.com'", true }, /* its place is told */
		{ "DELETE FROM orders WHERE id = 7 AND state = 'open'", true },
		{ "DELETE FROM orders WHERE 1 = 1", false },
		{ "DELETE FROM orders WHERE id = 7 OR 1 = 1", false },
		{ "DELETE FROM orders WHERE item LIKE 'x%'", false },
		{ "SELECT name FROM customers LIMIT 7", false },
		{ "SELECT name, email FROM customers ORDER BY 2", false },
		{ "SELECT nextval('s')", false },
		{ "SELECT set_config('search_path', 'x', false)", false },
		{ "SELECT name FROM customers WHERE email = 'a' OR email = 'b'", false },
		{ "SET statement_timeout = 7", false },
		{ "SELECT 1; SELECT 2", false },
		{ "EXPLAIN SELECT 1", false },
		{ "SELECT query_to_xml('SELECT 1', true, true, '')", false },
	};
	static struct skeleton k;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct shape *s = classify(sp_str(row[i].text));
		CU_ASSERT(skeleton(sp_str(row[i].text), &k));
		if (s->alike != row[i].alike)
			printf("\n%s\n", row[i].text);
		CU_ASSERT_EQUAL(s->alike, row[i].alike);
		shape_free(&s);
	}
}

/* What the lexer or the grammar look into stays in the skeleton, and so does all that is no literal. */
static void
test_skeletons(void)
{
	static const char *const different[][2] = {
		{ "SELECT 1", "SELECT 12345678901" },        { "SELECT 1", "SELECT 1.5" },
		{ "SELECT 1", "SELECT '1'" },                { "SELECT 'a'", "SELECT E'a'" },
		{ "SELECT X'1'", "SELECT X'2'" },            { "SELECT E'a'", "SELECT E'b'" },
		{ "SELECT $$a$$", "SELECT $$b$$" },          { "SELECT $1", "SELECT $2" },
		{ "SELECT a1 FROM t", "SELECT a2 FROM t" },  { "SELECT \"a\"", "SELECT \"b\"" },
		{ "SELECT 1 -- 2", "SELECT 1 -- 3" },        { "SELECT 1x", "SELECT 2x" },
		{ "SELECT 0x1", "SELECT 0x2" },              { "SELECT 01", "SELECT 02" },
		{ "SELECT t.1", "SELECT t.2" },              { "SELECT 'a' 'b'", "SELECT 'a'" },
		{ "SELECT N'a'", "SELECT N'b'" },            { "SELECT 1e5", "SELECT 2e5" },
	};
	static const char *const none[] = { "SELECT 1::float(5)", "SELECT U&'x' UESCAPE '!'", "SELECT 'a", "SELECT '\x01'" };
	static struct skeleton a, b;
	for (size_t i = 0; i < sizeof(different) / sizeof(*different); i++) {
		bool one = skeleton(sp_str(different[i][0]), &a), two = skeleton(sp_str(different[i][1]), &b);
		bool equal = one && two && sp_bytes_eq((struct sp_bytes){ a.key, a.len }, (struct sp_bytes){ b.key, b.len });
		if (equal)
			printf("\n%s\n%s\n", different[i][0], different[i][1]);
		CU_ASSERT(!equal);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		CU_ASSERT(!skeleton(sp_str(none[i]), &a));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "which are like others", test_which },
		{ "skeletons", test_skeletons },
		{ "all texts", test_all_texts },
		CU_TEST_INFO_NULL,
	};
	world = pg_world_names();
	view = pg_world_view(world);
	int rc = cunit_main("like", tests);
	pg_names_free(&world);
	return rc;
}
