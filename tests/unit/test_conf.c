/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration reader: what it takes, what it refuses and how it says so. */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/conf.h"

static struct arena *arena;
static const char *err;

static struct conf_node *
parse(const char *text)
{
	struct conf_node *top = NULL;
	err = "";
	arena_free(&arena);
	arena = arena_new(0);
	return conf_parse(arena, "t.conf", sp_str(text), &top, &err) == SP_OK ? top : NULL;
}

static void
refused(const char *text, const char *expected)
{
	struct conf_node *top = NULL;
	arena_free(&arena);
	arena = arena_new(0);
	err = "";
	CU_ASSERT(conf_parse(arena, "t.conf", sp_str(text), &top, &err) != SP_OK);
	if (strcmp(err, expected) != 0)
		printf("\nfor %s\n  got  %s\n  want %s\n", text, err, expected);
	CU_ASSERT_STRING_EQUAL(err, expected);
}

static void
test_words(void)
{
	struct conf_node *n = parse("# first\nlog /a#b \"two words\" \"\\\"\\\\\" ;# end\nx{y;}z a=b;");
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	CU_ASSERT_STRING_EQUAL(n->name, "log");
	CU_ASSERT_EQUAL_FATAL(n->nargs, 3);
	CU_ASSERT_STRING_EQUAL(n->args[0], "/a#b");
	CU_ASSERT_STRING_EQUAL(n->args[1], "two words");
	CU_ASSERT_STRING_EQUAL(n->args[2], "\"\\");
	CU_ASSERT_EQUAL(n->line, 2);
	CU_ASSERT_STRING_EQUAL(n->file, "t.conf");
	CU_ASSERT(!n->block);
	n = n->next;
	CU_ASSERT(n->block && n->nargs == 0 && n->line == 3);
	CU_ASSERT_STRING_EQUAL(n->child->name, "y");
	CU_ASSERT_PTR_NULL(n->child->next);
	CU_ASSERT_STRING_EQUAL(n->next->args[0], "a=b");
	CU_ASSERT_PTR_NULL(n->next->next);
	CU_ASSERT_PTR_NULL(parse(" # only a comment"));
	CU_ASSERT_STRING_EQUAL(err, "");
}

static void
test_mistakes(void)
{
	refused("log a", "t.conf:1: \"log\" does not end: \";\" is missing");
	refused("\n\ntarget x {\n a;", "t.conf:3: \"target\" does not end: \"}\" is missing");
	refused("a; }", "t.conf:1: unexpected \"}\"");
	refused("a;;", "t.conf:1: unexpected \";\"");
	refused("{", "t.conf:1: unexpected \"{\"");
	refused("a \"b", "t.conf:1: a quoted word that does not end in its line");
	refused("a \"b\n\";", "t.conf:1: a quoted word that does not end in its line");
	refused("a \"b\"c;", "t.conf:1: a space or \";\" is missing after a quoted word");
	refused("a \"\\n\";", "t.conf:1: in a quoted word, \\ stands before \" or \\ only");
	refused("a b=\"c d\";",
	    "t.conf:1: a quote inside a word: put the whole word in quotes, \"name=a value\"");
	refused("\"log\" a;", "t.conf:1: a directive's name is not quoted");
	refused("a \001;", "t.conf:1: control character 0x01 in the text");
	refused("a \"\177\";", "t.conf:1: control character 0x7f in the text");
	refused("include x;", "t.conf:1: \"include\" is not possible here");
}

static char *
repeated(const char *head, const char *unit, size_t n, const char *tail)
{
	size_t cap = strlen(head) + n * strlen(unit) + strlen(tail) + 1;
	struct sp_writer w = sp_writer(mem_alloc(cap), cap);
	sp_wr_put(&w, sp_str(head));
	for (size_t i = 0; i < n; i++)
		sp_wr_put(&w, sp_str(unit));
	sp_wr_cstr(&w, sp_str(tail));
	return (char *)w.p;
}

static void
test_bounds(void)
{
	struct { const char *head, *unit; size_t n; const char *tail, *expected; } const cases[] = {
		{ "", "a{", CONF_DEPTH + 1, "", "t.conf:1: blocks are more than 8 deep" },
		{ "a", " b", CONF_ARGS + 1, ";", "t.conf:1: \"a\" has more than 256 words" },
		{ "a ", "b", CONF_WORD + 1, ";", "t.conf:1: a word of more than 4096 bytes" },
		{ "a \"", "b", CONF_WORD + 1, "\";", "t.conf:1: a word of more than 4096 bytes" },
		{ "", "a;", CONF_NODES + 1, "", "t.conf:1: more than 100000 directives" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *over = repeated(cases[i].head, cases[i].unit, cases[i].n, cases[i].tail);
		refused(over, cases[i].expected);
		free(over);
	}
	char *fits = repeated("a", " b", CONF_ARGS, ";");
	CU_ASSERT_PTR_NOT_NULL(parse(fits));
	free(fits);
	fits = repeated("a \"", "b", CONF_WORD, "\";");
	CU_ASSERT_PTR_NOT_NULL(parse(fits));
	free(fits);
}

static bool
same(const struct conf_node *a, const struct conf_node *b)
{
	for (; a != NULL && b != NULL; a = a->next, b = b->next) {
		if (strcmp(a->name, b->name) != 0 || a->nargs != b->nargs || a->block != b->block || !same(a->child, b->child))
			return false;
		for (unsigned i = 0; i < a->nargs; i++)
			if (strcmp(a->args[i], b->args[i]) != 0)
				return false;
	}
	return a == b;
}

static const char example[] = "user x; target a { label \"a b\" \"\" \"#c\" d#e \"q\\\"\\\\;\"; in { deep \"{\"; } empty { } }\n last;";

static void
test_pack(void)
{
	struct buffer out = { .p = NULL };
	struct arena *other = arena_new(0);
	struct conf_node *top = parse(example), *again;
	CU_ASSERT_PTR_NOT_NULL_FATAL(top);
	CU_ASSERT_EQUAL_FATAL(conf_pack(top, &out), SP_OK);
	CU_ASSERT_EQUAL_FATAL(conf_unpack(other, buffer_bytes(&out), &again), SP_OK);
	CU_ASSERT(same(top, again));
	CU_ASSERT_STRING_EQUAL(again->file, "t.conf");
	CU_ASSERT_EQUAL(again->next->next->line, 2);
	struct sp_bytes whole = buffer_bytes(&out);
	for (size_t n = 0; n < whole.len; n++) { /* every cut is refused */
		struct conf_node *cut;
		uint8_t *exact = mem_alloc(n + 1);
		memcpy(exact, whole.p, n);
		CU_ASSERT_NOT_EQUAL(conf_unpack(other, (struct sp_bytes){ exact, n }, &cut), SP_OK);
		CU_ASSERT_PTR_NULL(cut);
		free(exact);
	}
	CU_ASSERT_EQUAL(buffer_put(&out, SP_LIT("x")), SP_OK); /* and so is a byte too many */
	CU_ASSERT_NOT_EQUAL(conf_unpack(other, buffer_bytes(&out), &again), SP_OK);
	buffer_free(&out);
	arena_free(&other);
}

static void
test_print(void)
{
	struct buffer out = { .p = NULL }, twice = { .p = NULL };
	struct arena *other = arena_new(0);
	struct conf_node *top = parse(example), *again;
	CU_ASSERT_EQUAL_FATAL(conf_print(top, &out), SP_OK);
	CU_ASSERT_EQUAL_FATAL(conf_parse(other, "t.conf", buffer_bytes(&out), &again, &err), SP_OK);
	CU_ASSERT(same(top, again));
	CU_ASSERT_EQUAL(conf_print(again, &twice), SP_OK);
	CU_ASSERT(sp_bytes_eq(buffer_bytes(&out), buffer_bytes(&twice)));
	buffer_free(&out);
	buffer_free(&twice);
	arena_free(&other);
}

static void
test_nearest(void)
{
	const char *const names[] = { "listen", "log", "label", "limit", "protocol", NULL };
	CU_ASSERT_STRING_EQUAL(conf_nearest("lsten", names), "listen");
	CU_ASSERT_STRING_EQUAL(conf_nearest("lgo", names), "log");
	CU_ASSERT_STRING_EQUAL(conf_nearest("lable", names), "label");
	CU_ASSERT_STRING_EQUAL(conf_nearest("protcoll", names), "protocol");
	CU_ASSERT_PTR_NULL(conf_nearest("workers", names));
	CU_ASSERT_PTR_NULL(conf_nearest("", names));
	CU_ASSERT_PTR_NULL(conf_nearest("a-word-that-is-very-much-longer-than-any-name-in-the-table", names));
}

/* ---- files ---- */

static char folder[] = "/tmp/sallyport-conf-XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(chmod(path, 0644), 0);
}

static struct conf_node *
read_conf(const char *name)
{
	char path[256];
	struct conf_node *top = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	err = "";
	arena_free(&arena);
	arena = arena_new(0);
	return conf_read(arena, path, &top, &err) == SP_OK ? top : NULL;
}

static bool
err_ends(const char *tail)
{
	size_t n = strlen(err), m = strlen(tail);
	bool ok = n >= m && strcmp(err + n - m, tail) == 0;
	if (!ok)
		printf("\n  got  %s\n  want …%s\n", err, tail);
	return ok;
}

static void
test_include(void)
{
	char path[256];
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/conf.d", folder);
	CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
	put("main.conf", "first;\ninclude conf.d/*.conf;\nlast { include conf.d/a.conf; }\ninclude none/*.conf;");
	put("conf.d/b.conf", "b 1;");
	put("conf.d/a.conf", "# c\na 1;");
	put("conf.d/.hidden.conf", "hidden;");
	put("conf.d/c.conf~", "backup;");
	struct conf_node *n = read_conf("main.conf");
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	CU_ASSERT_STRING_EQUAL(n->name, "first");
	n = n->next;
	CU_ASSERT_STRING_EQUAL(n->name, "a");
	CU_ASSERT_EQUAL(n->line, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(n->file, "/conf.d/a.conf"));
	n = n->next;
	CU_ASSERT_STRING_EQUAL(n->name, "b");
	n = n->next;
	CU_ASSERT_STRING_EQUAL(n->name, "last");
	CU_ASSERT_STRING_EQUAL(n->child->name, "a");
	CU_ASSERT_PTR_NULL(n->next);
}

static void
test_include_mistakes(void)
{
	char path[256];
	put("self.conf", "include self.conf;");
	CU_ASSERT_PTR_NULL(read_conf("self.conf"));
	CU_ASSERT(err_ends("/self.conf:1: files include files more than 8 deep: does one include itself?"));
	put("none.conf", "\ninclude none.d;");
	CU_ASSERT_PTR_NULL(read_conf("none.conf"));
	CU_ASSERT(err_ends("/none.d\": no such file"));
	put("folder.conf", "include conf.d;");
	CU_ASSERT_PTR_NULL(read_conf("folder.conf"));
	CU_ASSERT(err_ends("/conf.d\": not a regular file"));
	put("bad.conf", "include a.conf b.conf;");
	CU_ASSERT_PTR_NULL(read_conf("bad.conf"));
	CU_ASSERT(err_ends("bad.conf:1: \"include\" takes one file or pattern, and no block"));
	put("conf.d/bad.conf", "x { \n y");
	CU_ASSERT_PTR_NULL(read_conf("main.conf"));
	CU_ASSERT(err_ends("/conf.d/bad.conf:2: \"y\" does not end: \";\" is missing"));
	put("conf.d/bad.conf", "}");
	CU_ASSERT_PTR_NULL(read_conf("main.conf")); /* a file ends no block of its includer */
	CU_ASSERT(err_ends("/conf.d/bad.conf:1: unexpected \"}\""));
	put("open.conf", "x;");
	(void)snprintf(path, sizeof(path), "%s/open.conf", folder);
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	CU_ASSERT_PTR_NULL(read_conf("open.conf"));
	CU_ASSERT(err_ends("/open.conf: can't read it: anybody may write it: chmod o-w"));
	(void)snprintf(path, sizeof(path), "%s/fifo.conf", folder);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_PTR_NULL(read_conf("fifo.conf"));
	CU_ASSERT(err_ends("/fifo.conf: can't read it: not a regular file"));
	CU_ASSERT_TRUE(files_remove(folder));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "words", test_words },
		{ "mistakes", test_mistakes },
		{ "bounds", test_bounds },
		{ "pack", test_pack },
		{ "print", test_print },
		{ "nearest", test_nearest },
		{ "include", test_include },
		{ "include mistakes", test_include_mistakes },
		CU_TEST_INFO_NULL,
	};
	int rc = cunit_main("conf", tests);
	arena_free(&arena);
	return rc;
}
