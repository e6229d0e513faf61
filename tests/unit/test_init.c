/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `init`: what it writes says what was answered and nothing else, or is not written.  Answers with quotes, braces, lines
 * and other surprises; folders with odd names, modes that a umask takes away, and files that are there already.
 */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/epoch.h"
#include "core/command/command.h"

int command_main(int argc, char **argv); /* main() of core/command/main.c */
int test_run_init(struct run *r);

static char place[64], parts[96];

static bool
fake_beside(const char *const *places, char *path, size_t room)
{
	bool policies = strstr(places[0], "policies") != NULL;
	(void)snprintf(path, room, "%s%s", parts, policies ? "" : "/postgres.so");
	return true;
}

#define beside fake_beside
#define run_init test_run_init
#define init_write test_init_write
#include "core/command/init.c"
#include "core/command/init_files.c"
#undef beside
#undef run_init
#define main command_main
#include "core/command/main.c"
#undef main

static char said[1u << 16];

/* ---- the command, with its input and output in files ---- */

static int
files_of(int fd, const char *name, int flags)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", place, name);
	int file = open(path, flags | O_CLOEXEC, 0600), kept = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	CU_ASSERT_FATAL(file >= 0 && kept >= 0 && dup2(file, fd) == fd);
	close(file);
	return kept;
}

static void
put(const char *name, struct sp_bytes text)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", place, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && write(fd, text.p, text.len) == (ssize_t)text.len);
	close(fd);
}

static int
init(struct sp_bytes input, const char *const *words)
{
	char *argv[24];
	int argc = 0, kept[3], rc;
	struct run r = { .command = commands };
	while (strcmp(r.command->name, "init") != 0)
		r.command++;
	for (; words[argc] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	put("in", input);
	(void)fflush(NULL);
	kept[0] = files_of(STDIN_FILENO, "in", O_RDONLY);
	kept[1] = files_of(STDOUT_FILENO, "out", O_WRONLY | O_CREAT | O_TRUNC);
	kept[2] = files_of(STDERR_FILENO, "err", O_WRONLY | O_CREAT | O_TRUNC);
	__fpurge(stdin);
	clearerr(stdin);
	rc = run_parse(&r, argc, argv);
	rc = rc == DONE ? test_run_init(&r) : rc;
	(void)fflush(NULL);
	for (int fd = 0; fd < 3; fd++) {
		(void)dup2(kept[fd], fd);
		close(kept[fd]);
	}
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/err", place);
	FILE *f = fopen(path, "r");
	said[f == NULL ? 0 : fread(said, 1, sizeof(said) - 1, f)] = '\0';
	if (f != NULL)
		(void)fclose(f);
	return rc;
}

#define INIT(input, ...) init(input, (const char *const[]){ __VA_ARGS__, NULL })
#define NO_INPUT ((struct sp_bytes){ NULL, 0 })

static const char *
at(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned turn;
	char *p = path[turn++ % 4];
	(void)snprintf(p, sizeof(path[0]), "%s/%s", place, name);
	return p;
}

static void
forget(const char *name)
{
	(void)files_remove(at(name));
}

/* ---- what was written ---- */

struct answers {
	const char *server, *database, *login, *issuer, *groups;
};

static bool
one_by_one(const struct sp_strings *set, const char *list)
{
	char text[400] = "";
	size_t n = 0;
	for (size_t i = 0; i < set->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? "," : "", set->v[i]);
	return strcmp(text, list) == 0;
}

static bool
says(const char *name, const struct answers *a, const char *target)
{
	char path[PATH_MAX];
	const char *err = "";
	struct epoch *e = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s/sallyport.conf", place, name);
	int rc = epoch_read(path, &e, &err);
	if (rc != SP_OK) {
		printf("\n  %s\n", err);
		return false;
	}
	const struct settings *s = &e->settings;
	const struct target *t = s->targets;
	bool local = strcmp(a->issuer, "local") == 0;
	bool good = t != NULL && t->b.next == NULL && s->listeners != NULL && s->listeners->b.next == NULL && strcmp(t->b.name, target) == 0 &&
	    strcmp(t->server, a->server) == 0 && strcmp(t->database, a->database) == 0 && strcmp(t->login.user, a->login) == 0 &&
	    one_by_one(&t->allow.groups, a->groups) && t->allow.users.n == 0 && t->policy.n == 5 && t->mode == MODE_ENFORCE && s->local_issuer == local &&
	    (local ? s->identities == NULL : s->identities != NULL && s->identities->b.next == NULL && strcmp(s->identities->oidc.issuer, a->issuer) == 0);
	epoch_free(&e);
	return good;
}

/* ---- answers ---- */

static void
test_answers(void)
{
	static const struct {
		struct answers a;
		const char *target;
	} row[] = {
		{ { "db.example.com:5432", "shop", "gate", "https://idp.example.com", "dev,ops" }, "shop" },
		{ { "127.0.0.1:5432", "MyDB", "App.GW", "local", "dev" }, "mydb" },
		{ { "[::1]:5432", "shop.v2", "_gw", "https://idp.example.com/realms/a", "/admins/db,b@c.d,-x" }, "shop-v2" },
		{ { "10.0.0.1:1", "0_-", "a", "https://idp.example.com:8443/", "A" }, "0_-" },
		{ { "h:65535", "_", "x", "local", "a:b" }, "_" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char input[512];
		const struct answers *a = &row[i].a;
		int n = snprintf(input, sizeof(input), "%s\n%s\n%s\n%s\n%s\n", a->server, a->database, a->login, a->issuer, a->groups);
		CU_ASSERT_EQUAL(INIT(((struct sp_bytes){ (uint8_t *)input, (size_t)n }), at("asked")), DONE);
		CU_ASSERT(says("asked", a, row[i].target));
		forget("asked");
		CU_ASSERT_EQUAL(INIT(NO_INPUT, at("told"), "--server", a->server, "--database", a->database, "--login", a->login, "--issuer", a->issuer,
		    "--groups", a->groups), DONE);
		CU_ASSERT(says("told", a, row[i].target));
		forget("told");
	}
	CU_ASSERT_EQUAL(INIT(SP_LIT("\n\n\n\n\n"), at("asked")), DONE);
	CU_ASSERT(says("asked", &(struct answers){ "127.0.0.1:5432", "postgres", "app_gw", "local", "dev" }, "postgres"));
	forget("asked");
	CU_ASSERT_EQUAL(INIT(SP_LIT("h:1\nd\nl\nlocal\ng"), at("asked")), DONE); /* the last line has no end */
	CU_ASSERT(says("asked", &(struct answers){ "h:1", "d", "l", "local", "g" }, "d"));
	forget("asked");
}

/* None of these is written: not as it is, and not as anything else. */
static void
test_odd_answers(void)
{
	static const char *const option[] = { "--server", "--database", "--login", "--issuer", "--groups", "--listen" };
	static const char *const odd[] = { "", "a;b", "a{b", "a}b", "a\"b", "a'b", "a#b", "a b", "a\tb", "a\nb", "a\rb", "a\\b", "a\xc3\xa4", "a\x1b[2J", "a$b", "a*b",
		"a=b", "a;\n}\ntarget x { server evil:1; }", "local; local_issuer on" };
	static const struct {
		const char *option, *text;
	} more[] = {
		{ "--server", "db" }, { "--server", "db:0" }, { "--server", "db:65536" }, { "--server", ":5432" }, { "--server", "db:" }, { "--server", "unix:/x" },
		{ "--server", "a:1:2" }, { "--server", "[::1:5432" }, { "--database", ".hidden" }, { "--database", ".." }, { "--database", "-x" },
		{ "--database", "a/b" }, { "--database", "0123456789012345678901234567890123456789012345678901234567890123" }, { "--login", "a,b" },
		{ "--issuer", "http://idp.example.com" }, { "--issuer", "https://" }, { "--issuer", "https:///x" }, { "--issuer", "https://a@b" },
		{ "--issuer", "Local" }, { "--issuer", "ftp://x" }, { "--groups", "," }, { "--groups", "a,,b" }, { "--groups", ",a" }, { "--groups", "a," },
		{ "--listen", "localhost:1" }, { "--listen", "1.2.3.4" }, { "--listen", "[::1]:x" },
	};
	for (size_t i = 0; i < sizeof(option) / sizeof(*option); i++)
		for (size_t k = 0; k < sizeof(odd) / sizeof(*odd); k++)
			CU_ASSERT_EQUAL(INIT(NO_INPUT, at("odd"), "--yes", option[i], odd[k]), MISUSED);
	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		int rc = INIT(NO_INPUT, at("odd"), "--yes", more[i].option, more[i].text);
		if (rc != MISUSED)
			printf("\n  %s %s: %d\n", more[i].option, more[i].text, rc);
		CU_ASSERT_EQUAL(rc, MISUSED);
	}
	CU_ASSERT_NOT_EQUAL(access(at("odd/sallyport.conf"), F_OK), 0);
	/* The same when asked; and what an answer's line hides. */
	CU_ASSERT_EQUAL(INIT(SP_LIT("h:1\nd\0evil\nl\nlocal\ng\n"), at("odd")), MISUSED);
	CU_ASSERT_EQUAL(INIT(SP_LIT("h:1\nd\r\nl\nlocal\ng\n"), at("odd")), MISUSED);
	CU_ASSERT_EQUAL(INIT(SP_LIT("h:1\nd;\nl\nlocal\ng\n"), at("odd")), MISUSED);
	CU_ASSERT_EQUAL(INIT(SP_LIT("h:1\nd\nl\n"), at("odd")), FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "no answer came: say --issuer"));
	CU_ASSERT_NOT_EQUAL(access(at("odd/sallyport.conf"), F_OK), 0);
	uint8_t lines[8192];
	memset(lines, 'a', sizeof(lines)); /* one that is longer than any answer: not two */
	memcpy(lines + sizeof(lines) - 6, "\nd\nl\n\n", 6);
	CU_ASSERT_EQUAL(INIT(((struct sp_bytes){ lines, sizeof(lines) }), at("odd")), MISUSED);
	forget("odd");
}

/* Any byte in any answer: refused, or written as it is. */
static void
test_every_byte(void)
{
	for (unsigned c = 1; c < 256; c++) {
		char text[] = { 'a', (char)c, 'b', '\0' };
		struct answers a = { "h:1", text, "l", "local", "g" };
		char target[] = "a?b";
		target[1] = c == '.' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : (char)c;
		if (INIT(NO_INPUT, at("byte"), "--yes", "--server", "h:1", "--login", "l", "--groups", "g", "--database", text) == DONE) {
			CU_ASSERT(says("byte", &a, target));
			CU_ASSERT(c > ' ' && c < 0x7f);
		} else
			CU_ASSERT_NOT_EQUAL(access(at("byte/sallyport.conf"), F_OK), 0);
		forget("byte");
	}
}

/* ---- folders ---- */

static void
test_folders(void)
{
	static const char *const odd[] = { "a b", "a;b", "a\nb", "a'b", "a#b", "a*b", "a[b]", "a?b", "a{b" };
	struct stat st;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		CU_ASSERT_EQUAL(INIT(NO_INPUT, at(odd[i]), "--yes"), FAILED);
		CU_ASSERT_PTR_NOT_NULL(strstr(said, "whose name needs quotes"));
		forget(odd[i]);
	}
	mode_t was = umask(0077);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("new"), "--yes"), DONE);
	(void)umask(was);
	static const struct {
		const char *name;
		mode_t mode;
	} row[] = { { "new", 0755 }, { "new/conf.d", 0755 }, { "new/tls", 0755 }, { "new/secrets", 0700 }, { "new/state", 0700 }, { "new/sessions", 0750 },
		{ "new/sallyport.conf", 0644 }, { "new/conf.d/postgres.conf", 0644 }, { "new/tls/gateway.key", 0600 }, { "new/secrets/postgres", 0600 } };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT(stat(at(row[i].name), &st) == 0 && (st.st_mode & 0777) == row[i].mode);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("new"), "--yes", "--database", "other"), FAILED); /* what is there stays */
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "is there already; move it away first"));
	CU_ASSERT(says("new", &(struct answers){ "127.0.0.1:5432", "postgres", "app_gw", "local", "dev" }, "postgres"));
	forget("new");
	/* A name in it that leads elsewhere is nobody's to be given away. */
	CU_ASSERT(mkdir(at("new"), 0755) == 0 && mkdir(at("elsewhere"), 0711) == 0 && symlink(at("elsewhere"), at("new/secrets")) == 0);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("new"), "--yes"), FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "is no folder"));
	CU_ASSERT(stat(at("elsewhere"), &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) == 0711);
	forget("new");
	forget("elsewhere");
	/* Nor is a folder where others put what they like. */
	CU_ASSERT(mkdir(at("new"), 0755) == 0 && mkdir(at("new/secrets"), 0777) == 0 && chmod(at("new/secrets"), 0777) == 0);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("new"), "--yes"), FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "others may change what is in"));
	forget("new");
	put("file", SP_LIT("x"));
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("file"), "--yes"), FAILED);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("none/there"), "--yes"), FAILED);
}

/* Where the program itself stands in such a folder. */
static void
test_parts(void)
{
	char was[sizeof(parts)];
	memcpy(was, parts, sizeof(was));
	(void)snprintf(parts, sizeof(parts), "%s/a b", place);
	CU_ASSERT_EQUAL(INIT(NO_INPUT, at("new"), "--yes"), FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "whose name needs quotes"));
	CU_ASSERT_NOT_EQUAL(access(at("new/sallyport.conf"), F_OK), 0);
	memcpy(parts, was, sizeof(was));
	forget("new");
}

int
main(void)
{
	static const char *const policy[] = { "clients", "writes", "ddl", "dangerous", "pii" };
	CU_TestInfo tests[] = {
		{ "answers", test_answers }, { "odd answers", test_odd_answers }, { "every byte", test_every_byte }, { "folders", test_folders },
		{ "parts", test_parts }, CU_TEST_INFO_NULL,
	};
	(void)snprintf(place, sizeof(place), "/tmp/sallyport-init-XXXXXX");
	if (mkdtemp(place) == NULL)
		return 1;
	(void)snprintf(parts, sizeof(parts), "%s/parts", place);
	if (mkdir(parts, 0755) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(policy) / sizeof(*policy); i++) {
		char name[PATH_MAX];
		(void)snprintf(name, sizeof(name), "%s/%s.lua", parts, policy[i]);
		FILE *f = fopen(name, "w");
		if (f == NULL || fclose(f) != 0)
			return 1;
	}
	int rc = cunit_main("init", tests);
	(void)files_remove(place);
	return rc;
}
