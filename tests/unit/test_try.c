/* SPDX-License-Identifier: Apache-2.0 */
/* What `sallyportd -t` finds out: labels that a target lacks, policies and tests that fail, targets that only observe. */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check/try.h"
#include "core/policy/policy.h"

static char folder[64];

static void
put(const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	(void)chmod(path, 0600);
}

/* The module as built, below a folder of ours: the way up from the build tree may be open to others. */
static void
test_setup(void)
{
	char from[PATH_MAX], to[80];
	const char *built = getenv("LOAD_TEST_FOLDER");
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-try-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	(void)snprintf(from, sizeof(from), "%s/load_module.so", built == NULL ? "tests/unit/.libs" : built);
	(void)snprintf(to, sizeof(to), "%s/echo.so", folder);
	CU_ASSERT_TRUE_FATAL(files_copy(from, to, 0755));
}

static struct trial
tried(const char *conf)
{
	char path[128], text[2048];
	const char *err = "";
	struct epoch *e = NULL;
	struct trial t = { 0 };
	(void)snprintf(text, sizeof(text), "load_module %s/echo.so;\n%s", folder, conf);
	put("main.conf", text);
	(void)snprintf(path, sizeof(path), "%s/main.conf", folder);
	int rc = epoch_read(path, &e, &err);
	if (rc != SP_OK)
		printf("\n%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	trial_run(e, &t);
	epoch_free(&e);
	return t;
}

static bool
says(const struct buffer *b, const char *text)
{
	struct sp_bytes said = buffer_bytes(b);
	bool found = said.len > 0 && memmem(said.p, said.len, text, strlen(text)) != NULL;
	if (!found)
		printf("\n  wanted \"%s\" in \"%.*s\"\n", text, (int)said.len, (const char *)said.p);
	return found;
}

static void
trial_end(struct trial *t)
{
	buffer_free(&t->text);
	buffer_free(&t->warnings);
}

#define LISTENER "listener l { listen 127.0.0.1:1; protocol echo; cleartext loopback; }\n"
#define TARGET(name, more) "target " name " { protocol echo; server a:1; word hello; policy p.lua; " more " }\n"
#define RULE(when) "rule 'a' { on = 'line.send', when = { " when " }, deny = 'no' }\n"
#define TEST_OF(name, verdict) "test '" name "' { send = operation 'line.send' 'DROP', expect = '" verdict "' }\n"

static void
test_good(void)
{
	put("p.lua", RULE("env = 'prod', text = 'DROP'"));
	struct trial t = tried(LISTENER TARGET("one", "label env=prod;") TARGET("two", "label env=test;"));
	if (t.problems > 0)
		printf("\n%.*s\n", (int)t.text.len, (const char *)buffer_bytes(&t.text).p);
	CU_ASSERT(t.problems == 0 && t.targets == 2 && t.modules == 1 && t.text.len == 0 && t.warnings.len == 0);
	trial_end(&t);
}

static void
test_labels(void)
{
	put("p.lua", RULE("env = 'prod'"));
	struct trial t = tried(LISTENER TARGET("one", "label env=prod;") TARGET("two", "label zone=x;") TARGET("three", ""));
	CU_ASSERT_EQUAL(t.problems, 2);
	CU_ASSERT(says(&t.text, "p.lua:1: \"env\" is no attribute, and target two has no such label"));
	CU_ASSERT(says(&t.text, "target three has no such label"));
	trial_end(&t);
	put("p.lua", RULE("txet = 'x'"));
	t = tried(LISTENER TARGET("one", ""));
	CU_ASSERT(says(&t.text, "\"txet\" is no attribute, and target one has no such label: did you mean \"text\"?"));
	CU_ASSERT_EQUAL(t.problems, 1);
	trial_end(&t);
}

static void
test_policies(void)
{
	put("p.lua", "rule (\n");
	struct trial t = tried(LISTENER TARGET("one", ""));
	CU_ASSERT(t.problems > 0);
	CU_ASSERT(says(&t.text, "p.lua:"));
	trial_end(&t);
	put("p.lua", RULE("text = 'DROP'"));
	put("p_test.lua", TEST_OF("wrong", "allow") TEST_OF("right", "deny"));
	t = tried(LISTENER TARGET("one", ""));
	CU_ASSERT(t.problems == 1 && t.tests == 2);
	CU_ASSERT(says(&t.text, "wrong"));
	trial_end(&t);
}

static void
test_modules(void)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/p_test.lua", folder);
	(void)unlink(path);
	put("p.lua", "");
	struct trial t = tried(LISTENER "target one { protocol echo; server a:1; word bad; policy p.lua; }\n");
	CU_ASSERT(says(&t.text, "\"word\" is not to be \"bad\""));
	trial_end(&t);
	t = tried(LISTENER "target one { protocol echo; server a:1; wrod x; policy p.lua; }\n");
	CU_ASSERT(says(&t.text, "did you mean \"word\"?"));
	trial_end(&t);
}

static void
test_observe(void)
{
	put("p.lua", "");
	struct trial t = tried(LISTENER TARGET("one", "mode observe;") TARGET("two", ""));
	CU_ASSERT_EQUAL(t.problems, 0);
	CU_ASSERT(says(&t.warnings, "target one is in observe mode: nothing is denied, held or masked there\n"));
	CU_ASSERT_PTR_NULL(memmem(buffer_bytes(&t.warnings).p, t.warnings.len, "two", 3));
	trial_end(&t);
}

static void
test_clean(void)
{
	CU_ASSERT_TRUE(files_remove(folder));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "setup", test_setup }, { "nothing wrong", test_good }, { "labels", test_labels }, { "policies and their tests", test_policies },
		{ "modules", test_modules }, { "observe", test_observe }, { "clean", test_clean }, CU_TEST_INFO_NULL,
	};
	static int (*volatile op_is_linked)(struct sp_op *) = sp_op_node; /* modules call what stands in op.c */
	return op_is_linked == NULL ? 2 : cunit_main("try", tests);
}
