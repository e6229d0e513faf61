/* SPDX-License-Identifier: Apache-2.0 */
/* Loading modules: what is not to be trusted is refused before any of it runs. */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/module/elf_note.h"
#include "core/module/load.h"

static char folder[PATH_MAX];
static struct arena *arena;
static const char *err;
static struct sp_bytes good; /* the module as built */
static const struct sp_module *echo;

static const char *
in_folder(const char *name)
{
	static char path[PATH_MAX + 64];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void
put(const char *name, struct sp_bytes content, mode_t mode)
{
	(void)unlink(in_folder(name));
	FILE *f = fopen(in_folder(name), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fwrite(content.p, 1, content.len, f), content.len);
	(void)fclose(f);
	CU_ASSERT_EQUAL(chmod(in_folder(name), mode), 0);
}

static int
load(const char *name, const struct sp_module **m_r)
{
	err = "";
	return module_load(arena, in_folder(name), m_r, &err);
}

static void
refused(const char *name, const char *expected)
{
	const struct sp_module *m;
	CU_ASSERT_NOT_EQUAL(load(name, &m), SP_OK);
	CU_ASSERT_PTR_NULL(m);
	if (strstr(err, expected) == NULL)
		printf("\n  got  %s\n  want …%s\n", err, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, expected));
}

/* A copy of the module with other bytes where the note is. */
static void
put_patched(const char *name, size_t offset, const void *bytes, size_t len)
{
	uint8_t *copy = mem_alloc(good.len);
	memcpy(copy, good.p, good.len);
	uint8_t *note = memmem(copy, good.len, "\x0a\0\0\0\x08\0\0\0\x01\0\0\0Sallyport\0", 22);
	CU_ASSERT_PTR_NOT_NULL_FATAL(note);
	memcpy(note + offset, bytes, len);
	put(name, (struct sp_bytes){ copy, good.len }, 0644);
	free(copy);
}

static void
test_good(void)
{
	const char *why;
	char built[PATH_MAX];
	const char *builddir = getenv("LOAD_TEST_FOLDER");
	(void)snprintf(built, sizeof(built), "%s/load_module.so", builddir == NULL ? "tests/unit/.libs" : builddir);
	arena = arena_new(0);
	CU_ASSERT_EQUAL_FATAL(conf_file(arena, built, 8 << 20, &good, &why), SP_OK);
	/* Below a folder of ours: the way up from the build tree may be open to others. */
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-load-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	put("echo.so", good, 0755);
	if (load("echo.so", &echo) != SP_OK)
		printf("\n%s\n", err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(echo);
	CU_ASSERT_STRING_EQUAL(echo->name, "echo");
	CU_ASSERT(echo->close == NULL && echo->verdict != NULL);
}

static void
test_versions(void)
{
	put_patched("echo.so", 24, "\x02\0\0\0", 4);
	refused("echo.so", "not loaded: it was built for module ABI 2.0, and this gateway has 1.0");
	put_patched("echo.so", 28, "\x01\0\0\0", 4);
	refused("echo.so", "not loaded: it was built for module ABI 1.1, and this gateway has 1.0");
	put_patched("echo.so", 12, "Xallyport", 9);
	refused("echo.so", "not loaded: it has no Sallyport note");
	put_patched("echo.so", 4, "\xff\xff\xff\xff", 4);
	refused("echo.so", "not loaded: its ELF notes are malformed");
	put_patched("echo.so", 0, "\xff\xff\xff\xff", 4);
	refused("echo.so", "not loaded: its ELF notes are malformed");
}

static void
test_names(void)
{
	const struct sp_module *m;
	put("other.so", good, 0644);
	refused("other.so", "not loaded: it calls itself \"echo\", not \"other\"");
	CU_ASSERT_NOT_EQUAL(module_load(arena, "no-such-module", &m, &err), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "/no-such-module.so: can't load the module: No such file"));
	CU_ASSERT_NOT_EQUAL(module_load(arena, "../evil", &m, &err), SP_OK);
	CU_ASSERT_STRING_EQUAL(err, "../evil: a module is given by its name or by its absolute path");
}

static void
test_trust(void)
{
	put("echo.so", good, 0646);
	refused("echo.so", "not loaded: others than its owner may write it: chmod go-w");
	put("echo.so", good, 0664);
	refused("echo.so", "not loaded: others than its owner may write it: chmod go-w");
	put("echo.so", good, 0644);
	CU_ASSERT_EQUAL(chmod(folder, 0775), 0);
	refused("echo.so", "not loaded: others may write its folder /tmp/sallyport-load-");
	CU_ASSERT_EQUAL(chmod(folder, 0700), 0);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chown(in_folder("echo.so"), 65534, 65534), 0);
		refused("echo.so", "not loaded: user 65534 owns ");
		put("echo.so", good, 0644);
		CU_ASSERT_EQUAL(chown(folder, 65534, 65534), 0);
		refused("echo.so", "not loaded: user 65534 owns ");
		CU_ASSERT_EQUAL(chown(folder, 0, 0), 0);
	} else {
		printf(" (owners: not tested without root)");
	}
	CU_ASSERT_EQUAL(mkdir(in_folder("dir.so"), 0755), 0);
	refused("dir.so", "not a regular file");
}

/* Above its folder too: who may replace a folder replaces what is in it. */
static void
test_folders(void)
{
	const struct sp_module *m;
	CU_ASSERT_EQUAL(mkdir(in_folder("open"), 0755), 0);
	CU_ASSERT_EQUAL(mkdir(in_folder("open/inner"), 0755), 0);
	put("open/inner/echo.so", good, 0644);
	CU_ASSERT_EQUAL(chmod(in_folder("open"), 0757), 0);
	refused("open/inner/echo.so", "not loaded: others may write its folder /tmp/sallyport-load-");
	CU_ASSERT_EQUAL(chmod(in_folder("open"), 01757), 0); /* sticky: they can't replace what is not theirs */
	CU_ASSERT_EQUAL(load("open/inner/echo.so", &m), SP_OK);
	CU_ASSERT_EQUAL(chmod(in_folder("open/inner"), 01757), 0);
	refused("open/inner/echo.so", "not loaded: others may write its folder /tmp/sallyport-load-");
	CU_ASSERT_EQUAL(chmod(in_folder("open/inner"), 0755), 0);
	/* a link is followed to the file, and that one is looked at */
	char link[PATH_MAX + 64];
	(void)snprintf(link, sizeof(link), "%s", in_folder("link"));
	CU_ASSERT_EQUAL(symlink(in_folder("open/inner/echo.so"), link), 0);
	CU_ASSERT_EQUAL(chmod(in_folder("open/inner/echo.so"), 0646), 0);
	CU_ASSERT_NOT_EQUAL(load("link", &m), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "others than its owner may write it"));
}

/* The note is what decides whether any of it runs; the table inside must say the same. */
static void
test_table(void)
{
	const uint32_t size = sizeof(struct sp_module);
	uint8_t head[8] = { SP_ABI_MAJOR, 0, SP_ABI_MINOR, 0 };
	memcpy(head + 4, &size, sizeof(size));
	uint8_t *copy = mem_alloc(good.len);
	memcpy(copy, good.p, good.len);
	uint8_t *table = memmem(copy, good.len, head, sizeof(head));
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	static const struct { const char *name; size_t at; uint8_t value; } wrong[] = { { "a", 0, 2 }, { "b", 2, 1 }, { "c", 5, 0xff }, { "d", 5, 0 } };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char name[32];
		uint8_t before = table[wrong[i].at];
		(void)snprintf(name, sizeof(name), "%s/echo.so", wrong[i].name);
		CU_ASSERT_EQUAL(mkdir(in_folder(wrong[i].name), 0755), 0);
		table[wrong[i].at] = wrong[i].value;
		if (i == 3)
			table[4] = 8; /* shorter than what every module has */
		put(name, (struct sp_bytes){ copy, good.len }, 0644);
		table[wrong[i].at] = before;
		refused(name, "and its note says otherwise");
	}
	memcpy(table, head, sizeof(head));
	CU_ASSERT_EQUAL(mkdir(in_folder("masks"), 0755), 0);
	table[offsetof(struct sp_module, caps)] = SP_CAP_MASK; /* and no kind of answers */
	put("masks/echo.so", (struct sp_bytes){ copy, good.len }, 0644);
	refused("masks/echo.so", "has no kind NAME.result for rules that mask");
	free(copy);
}

static void
test_not_elf(void)
{
	put("echo.so", SP_LIT("#!/bin/sh\n"), 0755);
	refused("echo.so", "it is not a shared object for this machine");
	put("echo.so", SP_LIT(""), 0755);
	refused("echo.so", "not a regular file with something in it");
	put("echo.so", (struct sp_bytes){ good.p, 100 }, 0755);
	refused("echo.so", "not loaded: ");
}

/* Every cut of the file, and many damaged ones: an answer, never a read outside. */
static void
test_elf_damage(void)
{
	uint32_t major, minor;
	const char *why;
	size_t head = good.len < 4096 ? good.len : 4096;
	for (size_t n = 0; n < good.len; n += n < head ? 1 : 509) {
		uint8_t *exact = mem_alloc(n + 1);
		memcpy(exact, good.p, n);
		int rc = elf_note_read((struct sp_bytes){ exact, n }, &major, &minor, &why);
		CU_ASSERT(rc == SP_OK || why[0] != '\0');
		free(exact);
	}
	uint8_t *copy = mem_alloc(good.len);
	memcpy(copy, good.p, good.len);
	for (size_t i = 0; i < head; i++) {
		copy[i] ^= 0xff;
		int rc = elf_note_read((struct sp_bytes){ copy, good.len }, &major, &minor, &why);
		CU_ASSERT(rc == SP_OK || why[0] != '\0');
		copy[i] ^= 0xff;
	}
	free(copy);
}

/* ---- configuration ---- */

static int
conf_of(const char *text, const char *target, void **conf_r)
{
	static struct settings s;
	struct conf_node *top;
	s = (struct settings){ 0 };
	*conf_r = NULL;
	err = "";
	int rc = conf_parse(arena, "t", sp_str(text), &top, &err);
	if (rc == SP_OK)
		rc = settings_fill(arena, top, &s, &err);
	return rc == SP_OK ? module_conf(arena, echo, &s, s.listeners, settings_target(&s, target), conf_r, &err) : rc;
}

#define LISTENER(more) "listener l { listen 127.0.0.1:1; protocol echo; " more " }"
#define TARGET(more) "\ntarget t { protocol echo; server a:1; policy p; " more " }"

static void
test_conf(void)
{
	struct { uint64_t line_max; const char *word; } *c;
	void *conf;
	CU_ASSERT_EQUAL_FATAL(conf_of("module echo { line_max 8k; }" LISTENER("") TARGET("word hello;"), "t", &conf), SP_OK);
	c = conf;
	CU_ASSERT_EQUAL(c->line_max, 8192);
	CU_ASSERT_STRING_EQUAL(c->word, "hello");
	CU_ASSERT_EQUAL_FATAL(conf_of("module echo { line_max 8k; }" LISTENER("line_max 1k;"), "none", &conf), SP_OK);
	c = conf;
	CU_ASSERT_EQUAL(c->line_max, 1024);
	CU_ASSERT_EQUAL(conf_of(LISTENER("") TARGET(""), "t", &conf), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "t:2: \"word\" is missing");
	CU_ASSERT_EQUAL(conf_of(LISTENER("") TARGET("word bad;"), "t", &conf), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "t:2: target \"t\" with listener \"l\": \"word\" is not to be \"bad\"");
	CU_ASSERT_EQUAL(conf_of(LISTENER("line_mx 1k;") TARGET("word a;"), "t", &conf), SP_ECONF);
	CU_ASSERT_STRING_EQUAL(err, "t:1: unknown directive \"line_mx\", did you mean \"line_max\"?");
}

/* The core's side in programs without sessions (no_session.c): what needs one refuses, and says the strict thing. */
static void
test_no_session(void)
{
	uint8_t random[2][16] = { { 0 } };
	CU_ASSERT(sp_random(random[0], 16) == SP_OK && sp_random(random[1], 16) == SP_OK && memcmp(random[0], random[1], 16) != 0);
	CU_ASSERT_EQUAL(sp_fail(NULL, SP_EPROTO, "as a test, %s", "expected"), SP_EPROTO);
	CU_ASSERT_EQUAL(sp_pass(NULL, SP_CLIENT, 1), SP_EINTERNAL);
	CU_ASSERT_EQUAL(sp_ready(NULL), SP_EINTERNAL);
	CU_ASSERT_EQUAL(sp_authenticate(NULL, NULL), SP_EINTERNAL);
	CU_ASSERT_EQUAL(sp_record(NULL, NULL, (enum sp_stream)0, SP_LIT("x")), SP_EINTERNAL);
	CU_ASSERT(sp_peek(NULL, SP_CLIENT).len == 0 && sp_full(NULL, SP_CLIENT) && sp_out(NULL, SP_CLIENT)->bad);
	CU_ASSERT(sp_tls_mode(NULL, SP_CLIENT) == SP_TLS_REQUIRED && !sp_tls_active(NULL, SP_CLIENT));
	CU_ASSERT(sp_principal(NULL)[0] == '\0' && sp_state(NULL) == NULL && !sp_op_stands(NULL));
}

static void
test_all(void)
{
	struct settings s = { 0 };
	struct conf_node *top;
	const struct sp_module *const *list;
	char text[PATH_MAX + 128];
	put("echo.so", good, 0644);
	(void)snprintf(text, sizeof(text), "\nload_module %s;", in_folder("echo.so"));
	CU_ASSERT_EQUAL_FATAL(conf_parse(arena, "t", sp_str(text), &top, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(settings_fill(arena, top, &s, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(modules_load(arena, &s, &list, &err), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(modules_find(list, "echo"));
	CU_ASSERT_PTR_NULL(modules_find(list, "other"));
	CU_ASSERT_PTR_NULL(list[1]);
	const char *twice[] = { s.load_module.v[0], in_folder("open/inner/echo.so") };
	put("open/inner/echo.so", good, 0644);
	struct settings two = s;
	two.load_module = (struct sp_strings){ twice, 2 };
	CU_ASSERT_NOT_EQUAL(modules_load(arena, &two, &list, &err), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "another module is called \"echo\" too"));
	CU_ASSERT_PTR_NULL(list);
	put("echo.so", SP_LIT("x"), 0644);
	CU_ASSERT_NOT_EQUAL(modules_load(arena, &s, &list, &err), SP_OK);
	CU_ASSERT_EQUAL(strncmp(err, "t:2: /tmp/sallyport-load-", 25), 0);
	CU_ASSERT_PTR_NULL(list);
	CU_ASSERT_TRUE(files_remove(folder));
	arena_free(&arena);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a good module", test_good },
		{ "versions", test_versions },
		{ "names", test_names },
		{ "trust", test_trust },
		{ "folders", test_folders },
		{ "the table inside", test_table },
		{ "not a module", test_not_elf },
		{ "damaged files", test_elf_damage },
		{ "configuration", test_conf },
		{ "without sessions", test_no_session },
		{ "all of the settings", test_all },
		CU_TEST_INFO_NULL,
	};
	static int (*volatile op_is_linked)(struct sp_op *) = sp_op_node; /* modules call what stands in op.c */
	if (op_is_linked == NULL)
		return 2;
	return cunit_main("load", tests);
}
