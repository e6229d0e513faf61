/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bypass corpus against the classifier and the rules beside it: each statement gets the verdict
 * that tests/bypass/corpus.txt expects.  PG11, PG12, PG13, PG22, MK1, MK2, MK3, MK6, MK7, MK11, MK12.
 * That masks hold at a real server is tests/live/test_bypass.py's to show.
 */
#include <config.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/digest.h"
#include "core/policy/policy.h"
#include "cunit_main.h"
#include "pg_show.h"
#include "pg_world.h"

#define FIELDS 4

static struct pg_names *world;
static struct pg_view view;
static struct policy *rules;

/* ---- files ---- */

static struct sp_bytes
read_file(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[4096], *text = NULL;
	size_t len, n;
	FILE *out = open_memstream(&text, &len);

	(void)snprintf(path, sizeof(path), "%s/tests/bypass/%s", srcdir == NULL ? "." : srcdir, name);
	FILE *in = fopen(path, "r");
	if (in == NULL)
		perror(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	for (char part[4096]; out != NULL && (n = fread(part, 1, sizeof(part), in)) > 0;)
		(void)fwrite(part, 1, n, out);
	(void)fclose(in);
	if (out == NULL || fclose(out) != 0)
		abort();
	return (struct sp_bytes){ (uint8_t *)text, len };
}

static void
load_rules(void)
{
	static const struct sp_module *const modules[] = { &pg_shown };
	static const struct policy_schema schema = { modules, 1 };
	const struct policy_limits limits = { .deadline_ms = 1000, .memory = 8u << 20 };
	struct policy_source source = { .path = "rules.lua", .text = read_file("rules.lua") };
	const struct policy_source *files[] = { &source };
	char *err = NULL;

	digest_sha256(source.text, source.hash);
	if (policy_load(files, 1, &schema, &limits, &rules, &err) != SP_OK)
		(void)fprintf(stderr, "\n%s\n", err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rules);
	free(err);
	free((void *)(uintptr_t)source.text.p);
}

/* {0a} → the byte; in place.  Returns the length. */
static size_t
unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from != '\0'; to++) {
		bool byte = from[0] == '{' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]) && from[3] == '}';
		char hex[3] = { byte ? from[1] : '\0', byte ? from[2] : '\0', '\0' };
		*to = byte ? (char)strtoul(hex, NULL, 16) : *from;
		from += byte ? 4 : 1;
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* ---- one verdict ---- */

struct asked {
	struct principal principal;
	struct target target;
	struct subject subject;
	const char *group[1];
	struct policy_run *run;
};

static void
asked_begin(struct asked *a, const char *group)
{
	*a = (struct asked){ .run = policy_run_new(rules), .group = { group } };
	a->principal = (struct principal){ .identity = "corp", .issuer = "https://idp.example", .subject = "1", .user = "ann", .name = "Ann",
		.person = "1", .class = "human", .groups = { a->group, 1 }, .token = "" };
	a->target.b.name = "orders";
	a->target.protocol = "postgres";
	a->subject = (struct subject){ .principal = &a->principal, .target = &a->target, .session = "s", .address = "127.0.0.1",
		.module = "postgres", .now = (uint64_t)1767787200 * 1000000 };
}

/* Would a column that was computed, or whose source nobody knows, be shown? */
static bool
masks_unknown(struct asked *a, const struct op *op)
{
	const struct sp_column column = { .name = SP_LIT("x"), .text = true };
	struct policy_masks *masks = NULL;
	struct decision d;
	bool masked = policy_judge_result(a->run, &a->subject, op, PG_RESULT, &column, 1, &d, &masks) != SP_OK || policy_masked(masks) > 0;

	policy_masks_free(&masks);
	decision_free(&d);
	return masked;
}

/* "deny RULE", "unclear", "refused", "masked", "open"; good until the next call. */
static const char *
verdict_of(struct asked *a, struct sp_bytes text)
{
	static char word[128];
	const struct sp_scope scope = { .view = &view };
	struct shape *s = shape_make(&pg_shown, &scope, PG_STATEMENT, text);
	struct op op = { .shape = s, .kind = PG_STATEMENT };
	struct decision d;

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL_FATAL(policy_judge(a->run, &a->subject, &op, &d, NULL, NULL), SP_OK);
	if (s->failed)
		(void)snprintf(word, sizeof(word), "refused");
	else if (d.what != SP_ALLOW && d.because == SP_BY_UNCLEAR)
		(void)snprintf(word, sizeof(word), "unclear");
	else if (d.what != SP_ALLOW)
		(void)snprintf(word, sizeof(word), "deny %s", d.rule);
	else
		(void)snprintf(word, sizeof(word), "%s", masks_unknown(a, &op) ? "masked" : "open");
	CU_ASSERT_TRUE(d.what == SP_ALLOW || d.because != SP_BY_ERROR || s->failed);
	decision_free(&d);
	shape_free(&s);
	return word;
}

/* ---- the corpus ---- */

static int
strictness(const char *word)
{
	static const char *const order[] = { "open", "masked", "unclear", "deny", "refused" };

	for (int i = 0; i < (int)(sizeof(order) / sizeof(*order)); i++)
		if (strncmp(word, order[i], strlen(order[i])) == 0)
			return i;
	return -1;
}

static void
check_entry(unsigned number, const char *who, const char *expected, char *statement)
{
	char strictest[128] = "open", *rest = statement;
	struct asked a;

	asked_begin(&a, who);
	if (*rest == '!')
		rest++;
	while (rest != NULL) {
		char *message = rest, *end = strstr(rest, ";; ");
		rest = end == NULL ? NULL : end + 3;
		if (end != NULL)
			*end = '\0';
		size_t len = unescape(message);
		const char *word = verdict_of(&a, (struct sp_bytes){ (uint8_t *)message, len });
		if (strictness(word) > strictness(strictest))
			(void)snprintf(strictest, sizeof(strictest), "%s", word);
	}
	policy_run_free(&a.run);
	/* known: which columns it may show, and so it touches tagged ones, or those are judged one by one */
	bool right = strcmp(expected, "known") == 0 ? strictness(strictest) <= 1 : strcmp(expected, strictest) == 0;
	if (!right)
		(void)fprintf(stderr, "\ncorpus.txt:%u: %s, not %s: %s\n", number, strictest, expected, statement);
	CU_ASSERT_TRUE(right);
}

static const char *const threats[] = { "PG11", "PG12", "PG13", "PG22", "MK1", "MK2", "MK3", "MK6", "MK7", "MK11", "MK12" };

static void
test_corpus(void)
{
	struct sp_bytes file = read_file("corpus.txt");
	char *copy = calloc(1, file.len + 1), *rest = copy;
	unsigned n = 0, number = 0, of_threat[sizeof(threats) / sizeof(*threats)] = { 0 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	load_rules();
	memcpy(copy, file.p, file.len);
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		char *field[FIELDS] = { NULL };
		number++;
		if (*line == '\0' || *line == '#')
			continue;
		for (unsigned i = 0; i < FIELDS && line != NULL; i++)
			field[i] = i + 1 < FIELDS ? strsep(&line, "\t") : line;
		CU_ASSERT_PTR_NOT_NULL_FATAL(field[FIELDS - 1]);
		for (size_t i = 0; i < sizeof(threats) / sizeof(*threats); i++)
			of_threat[i] += strcmp(threats[i], field[0]) == 0;
		check_entry(number, field[1], field[2], field[3]);
		n++;
	}
	CU_ASSERT_TRUE(n >= 400);
	for (size_t i = 0; i < sizeof(threats) / sizeof(*threats); i++)
		CU_ASSERT_TRUE(of_threat[i] > 5);
	free(copy);
	free((void *)(uintptr_t)file.p);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "ways around rules", test_corpus },
		CU_TEST_INFO_NULL,
	};

	world = pg_world_names();
	view = pg_world_view(world);
	int rc = cunit_main("bypass", tests);
	policy_free(&rules);
	pg_names_free(&world);
	return rc;
}
