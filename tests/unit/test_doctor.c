/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `doctor`: each thing that it looks at, in a world in which it is well and in one in which it is not.  The machine is
 * pretended: disks, clock, kernel, users and what `sallyportd -t --connect` says; files are real.
 */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/command/command.h"

int command_main(int argc, char **argv); /* main() of core/command/main.c */
int test_run_doctor(struct run *r);

/* ---- the machine ---- */

static struct {
	struct statvfs disk;
	int disk_error;             /* of statvfs() */
	time_t now;                 /* 0: as it is */
	int clock_state, clock_status;
	long landlock;
	rlim_t files;
	const char *actions, *status, *swaps; /* /proc; NULL: not there */
	bool users;
	bool program;               /* sallyportd is beside */
} machine;

static char place[64];

static int
fake_statvfs(const char *path, struct statvfs *v)
{
	(void)path;
	*v = machine.disk;
	errno = machine.disk_error;
	return machine.disk_error == 0 ? 0 : -1;
}

static int
fake_adjtimex(struct timex *t)
{
	t->status = machine.clock_status;
	t->maxerror = 5000;
	return machine.clock_state;
}

static time_t
fake_time(time_t *t)
{
	(void)t;
	return machine.now;
}

static long
fake_syscall(long number, ...)
{
	CU_ASSERT_EQUAL(number, SYS_landlock_create_ruleset);
	return machine.landlock;
}

static int
fake_getrlimit(int what, struct rlimit *r)
{
	CU_ASSERT_EQUAL(what, RLIMIT_NOFILE);
	r->rlim_cur = r->rlim_max = machine.files;
	return 0;
}

static FILE *
fake_fopen(const char *path, const char *mode)
{
	const char *text = strcmp(path, "/proc/swaps") == 0 ? machine.swaps : strcmp(path, "/proc/self/status") == 0 ? machine.status : machine.actions;
	(void)mode;
	return text == NULL ? NULL : fmemopen((void *)(uintptr_t)text, strlen(text), "r");
}

static struct passwd *
fake_getpwnam(const char *name)
{
	static struct passwd some;
	(void)name;
	return machine.users ? &some : NULL;
}

static bool
fake_beside(const char *const *places, char *path, size_t room)
{
	(void)places;
	(void)snprintf(path, room, "%s/sallyportd", place);
	return machine.program;
}

#define doctor_say test_doctor_say
#define doctor_wants test_doctor_wants
#define doctor_daemon test_doctor_daemon
#define doctor_files test_doctor_files
#define doctor_certificates test_doctor_certificates
#define doctor_disks test_doctor_disks
#define doctor_clock test_doctor_clock
#define doctor_kernel test_doctor_kernel
#define run_doctor test_run_doctor
#define beside fake_beside
#include "core/command/doctor.c"
#define getpwnam fake_getpwnam
#include "core/command/doctor_files.c"
#define statvfs(path, v) fake_statvfs(path, v)
#define adjtimex fake_adjtimex
#define time(t) fake_time(t)
#define syscall fake_syscall
#define getrlimit(what, r) fake_getrlimit(what, r)
#define fopen fake_fopen
#include "core/command/doctor_host.c"
#undef statvfs
#undef time
#undef syscall
#undef fopen
#undef getrlimit
#undef run_doctor
#undef beside
#define main command_main
#include "core/command/main.c"
#undef main

static const struct run quiet = { .json = true };
static struct doctor d;
static struct epoch *epoch;

/* ---- files ---- */

static const char *
path_of(const char *name)
{
	static char path[8][PATH_MAX];
	static unsigned turn;
	char *p = path[turn++ % 8];
	(void)snprintf(p, sizeof(path[0]), "%s/%s", place, name);
	return p;
}

static void
put(const char *name, mode_t mode, const char *text)
{
	FILE *f = fopen(path_of(name), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(chmod(path_of(name), mode), 0);
}

static const char sound[] =
    "store sqlite:$/state.db;\nrecord { store $/sessions; keep 90d; anchor syslog:auth; }\n"
    "listener l { listen 127.0.0.1:1; protocol echo; tls cert=$/cert.pem key=$/key.pem; }\n"
    "target t { protocol echo; server a:1; tls verify-full ca=$/cert.pem; login user=u secret=file:$/secret; policy p.lua; allow groups=dev; }\n"
    "target other { protocol echo; server a:1; tls verify-full ca=$/cert.pem; login user=u secret=file:$/secret; policy p.lua; allow groups=dev; }\n";

static void
forget(void)
{
	json_decref(d.found);
	epoch_free(&epoch);
	d = (struct doctor){ .r = &quiet, .conf = path_of("main.conf"), .found = json_array() };
}

/* A machine on which all is well, and a configuration, $ in which is our folder: the sound one when conf is NULL. */
static void
begin(const char *conf)
{
	const char *err = "";
	machine.disk = (struct statvfs){ .f_bavail = 1u << 24, .f_blocks = 1u << 25, .f_frsize = 4096, .f_files = 1000, .f_favail = 900 };
	machine.disk_error = 0;
	machine.now = BORN + 86400 * 30;
	machine.clock_state = TIME_OK;
	machine.clock_status = 0;
	machine.landlock = 5;
	machine.files = 1u << 20;
	machine.actions = "kill_process kill_thread allow";
	machine.status = "Name: x\nCoreDumping: 0\n";
	machine.swaps = "Filename Type Size\n";
	machine.users = machine.program = true;
	put("secret", 0600, "s");
	put("key.pem", 0600, "k");
	put("p.lua", 0644, "-- p");
	put("state.db", 0600, "");
	put("cert.pem", 0644, "c");
	struct buffer text = { 0 };
	CU_ASSERT_EQUAL(buffer_printf(&text, "load_module echo; "), SP_OK);
	for (const char *c = conf == NULL ? sound : conf; *c != '\0'; c++)
		CU_ASSERT_EQUAL(*c == '$' ? buffer_printf(&text, "%s", place) : buffer_printf(&text, "%c", *c), SP_OK);
	CU_ASSERT_EQUAL(buffer_printf(&text, "%c", '\0'), SP_OK);
	put("main.conf", 0644, (const char *)buffer_bytes(&text).p);
	buffer_free(&text);
	forget();
	int rc = epoch_read(d.conf, &epoch, &err);
	if (rc != SP_OK)
		printf("\n%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	d.s = &epoch->settings;
}

/* How often something was said so. */
static unsigned
said(const char *finding, const char *text)
{
	const json_t *one;
	size_t i;
	unsigned n = 0;
	json_array_foreach(d.found, i, one)
		n += strcmp(json_string_value(json_object_get(one, "finding")), finding) == 0 && strstr(json_string_value(json_object_get(one, "text")), text) != NULL;
	return n;
}

static void
expect(const char *finding, const char *text, unsigned n)
{
	unsigned got = said(finding, text);
	if (got != n) {
		char *all = json_dumps(d.found, JSON_INDENT(1));
		printf("\n  %u times %s, \"%s\": %u in\n%s\n", n, finding, text, got, all);
		free(all);
	}
	CU_ASSERT_EQUAL(got, n);
}

/* ---- the machine ---- */

static void
test_disks(void)
{
	static const struct {
		unsigned long bavail, flags, favail;
		int error;
		const char *finding, *text;
	} row[] = {
		{ 1u << 24, 0, 900, 0, "ok", "MB are left" },
		{ 1u << 21, 0, 900, 0, "warning", "what cannot be recorded does not run" }, /* 6 % */
		{ 15000, 0, 900, 0, "danger", "what cannot be recorded does not run" },     /* 58 MB */
		{ 1u << 24, 0, 40, 0, "warning", "what cannot be recorded does not run" },  /* 4 % of its nodes */
		{ 1u << 24, 0, 0, 0, "danger", "what cannot be recorded does not run" },
		{ 1u << 24, ST_RDONLY, 900, 0, "danger", "is mounted read-only" },
		{ 0, 0, 0, ENOENT, "ok", "not there yet; the first start makes it" },
		{ 0, 0, 0, EIO, "danger", "Input/output error" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		begin(NULL);
		machine.disk.f_bavail = row[i].bavail;
		machine.disk.f_flag = row[i].flags;
		machine.disk.f_favail = row[i].favail;
		machine.disk_error = row[i].error;
		doctor_disks(&d);
		expect(row[i].finding, row[i].text, 2); /* the store's, and that of recordings */
		CU_ASSERT_EQUAL(d.dangers, strcmp(row[i].finding, "danger") == 0 ? 2 : 0);
		CU_ASSERT_EQUAL(d.warnings, strcmp(row[i].finding, "warning") == 0 ? 2 : 0);
	}
	begin(NULL);
	machine.disk.f_blocks = machine.disk.f_files = 0; /* a file system that counts neither */
	doctor_disks(&d);
	CU_ASSERT_EQUAL(d.dangers, 0);
}

static void
test_store(void)
{
	static const mode_t bad[] = { 0604, 0602, 0620 };
	begin(NULL);
	doctor_disks(&d);
	expect("ok", "is the keeper's alone", 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin(NULL);
		CU_ASSERT_EQUAL(chmod(path_of("state.db"), bad[i]), 0);
		doctor_disks(&d);
		expect("danger", "others than the keeper may read or change", 1);
	}
	begin(NULL);
	CU_ASSERT_EQUAL(unlink(path_of("state.db")), 0);
	doctor_disks(&d);
	expect("ok", "not there yet", 1);
	begin("store postgresql://u@db.example.com/s secret=file:$/secret tls=verify-full ca=$/cert.pem;\nrecord { store $/sessions; }\n");
	doctor_disks(&d);
	expect("warning", "the store is at a server, and the gateway does not run", 1);
	expect("warning", "kept for ever", 1);
	expect("warning", "no `anchor`", 1);
	begin(NULL);
	doctor_disks(&d);
	expect("warning", "kept for ever", 0);
	expect("warning", "no `anchor`", 0);
}

static void
test_clock(void)
{
	begin(NULL);
	doctor_clock(&d);
	expect("ok", "kept right, to within 5 ms", 1);
	begin(NULL);
	machine.clock_status = STA_UNSYNC;
	doctor_clock(&d);
	expect("warning", "nothing keeps the clock right", 1);
	begin(NULL);
	machine.clock_state = TIME_ERROR;
	doctor_clock(&d);
	expect("warning", "nothing keeps the clock right", 1);
	begin(NULL);
	machine.now = 86400;
	doctor_clock(&d);
	expect("danger", "years behind", 1);
}

static void
test_kernel(void)
{
	begin(NULL);
	doctor_kernel(&d);
	expect("ok", "Landlock, version 5", 1);
	expect("ok", "seccomp filters", 1);
	CU_ASSERT_EQUAL(d.dangers + d.warnings, 0);
	expect("ok", "swap", 0);
	begin(NULL);
	machine.landlock = -1;
	machine.actions = NULL;
	machine.status = "Name: x\n";
	machine.files = 1024;
	machine.swaps = "Filename Type Size\n/dev/sda2 partition 1\n";
	doctor_kernel(&d);
	expect("warning", "no Landlock", 1);
	expect("warning", "no seccomp", 1);
	expect("warning", "older than 4.15", 1);
	expect("warning", "at most 1024 open files", 1);
	expect("ok", "there is swap", 1);
	begin(NULL);
	machine.actions = "kill_thread trap";
	machine.files = RLIM_INFINITY;
	doctor_kernel(&d);
	expect("warning", "no seccomp", 1);
	expect("warning", "open files", 0);
}

/* ---- files ---- */

static void
test_files(void)
{
	static const struct {
		const char *name, *finding, *text;
		mode_t mode;
	} row[] = {
		{ "secret", "danger", "everybody may read the secret in", 0604 }, { "secret", "warning", "a group may read the secret in", 0640 },
		{ "secret", "danger", "everybody may change", 0602 }, { "key.pem", "danger", "everybody may read the secret in", 0644 },
		{ "key.pem", "warning", "a group may read the secret in", 0640 },
	};
	begin(NULL);
	doctor_files(&d);
	CU_ASSERT_EQUAL(d.dangers + d.warnings, 0);
	expect("ok", "secret is read by its owner alone", 2);
	expect("ok", "key.pem is read by its owner alone", 1);
	expect("ok", "p.lua is changed by its owner alone", 2);
	expect("ok", "main.conf is changed by its owner alone", 1);
	expect("ok", "each process has a user of its own", 1);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		begin(NULL);
		d.only = "t";
		CU_ASSERT_EQUAL(chmod(path_of(row[i].name), row[i].mode), 0);
		doctor_files(&d);
		expect(row[i].finding, row[i].text, 1);
	}
	begin(NULL);
	CU_ASSERT_EQUAL(unlink(path_of("secret")), 0);
	doctor_files(&d);
	expect("danger", "secret: No such file", 2);
	begin(NULL);
	CU_ASSERT_EQUAL(chmod(path_of("p.lua"), 0646), 0);
	CU_ASSERT_EQUAL(chmod(path_of("main.conf"), 0646), 0);
	machine.users = false;
	doctor_files(&d);
	expect("danger", "everybody may change", 3);
	expect("warning", "sallyport sallyport-keeper sallyport-recorder sallyport-console", 1);
	begin(NULL);
	CU_ASSERT_EQUAL(chmod(place, 0777), 0);
	doctor_files(&d);
	CU_ASSERT_EQUAL(chmod(place, 0755), 0);
	CU_ASSERT(said("danger", "everybody may put files into") >= 4);
}

static void
test_settings(void)
{
	begin("local_issuer on;\nlistener l { listen 127.0.0.1:1; protocol echo; cleartext loopback; }\n"
	      "target a { protocol echo; server a:1; tls off; login user=u secret=env:SECRET; policy p.lua; allow groups=dev; }\n"
	      "target b { protocol echo; server a:1; tls require; login user=u secret=file:$/secret; policy p.lua; allow groups=dev; }\n");
	doctor_files(&d);
	expect("warning", "the local issuer is on", 1);
	expect("warning", "listener l takes tokens without TLS", 1);
	expect("warning", "env:SECRET stands in the environment", 1);
	expect("warning", "target a is spoken to without TLS", 1);
	expect("warning", "the certificate of target b is not verified", 1);
	CU_ASSERT_EQUAL(d.dangers, 0);
	begin(NULL);
	d.only = "b"; /* no such one: of targets nothing is said */
	doctor_files(&d);
	expect("ok", "secret is read", 0);
}

/* ---- certificates: what they hold is a live test's ---- */

static void
test_certificates(void)
{
	begin(NULL);
	doctor_certificates(&d);
	expect("danger", "holds no certificate that can be read here", 3);
	begin(NULL);
	CU_ASSERT_EQUAL(unlink(path_of("cert.pem")), 0);
	d.only = "t";
	doctor_certificates(&d);
	expect("warning", "holds no certificate that can be read here", 2);
}

/* ---- what the daemon says ---- */

static void
daemon_says(int status, const char *text)
{
	char script[4096];
	begin(NULL);
	(void)snprintf(script, sizeof(script), "#!/bin/sh\ncat <<'END'\n%s\nEND\nexit %d\n", text, status);
	put("sallyportd", 0755, script);
}

static void
test_daemon(void)
{
	daemon_says(0, "warning: target t, data login \"u\" at a:1: it is a superuser\nx.conf: syntax is ok, 2 targets, 1 modules, 3 policy tests passed\n"
		       "x.conf: all targets answered\n2026-11-26T20:00:00Z worker: a line of a log\n"
		       "target other is in observe mode: nothing is denied\nwarning: something else");
	doctor_daemon(&d);
	expect("danger", "is a superuser", 1);
	expect("ok", "syntax is ok", 1);
	expect("ok", "all targets answered", 1);
	expect("warning", "observe mode", 1);
	expect("warning", "something else", 1);
	CU_ASSERT_EQUAL(json_array_size(d.found), 5);
	static const char *const powers[] = { "it passes row security", "it makes roles", "it reads or writes the server's files", "it may write, though rules" };
	for (size_t i = 0; i < sizeof(powers) / sizeof(*powers); i++) {
		char line[200];
		(void)snprintf(line, sizeof(line), "warning: target t, data login \"u\": %s", powers[i]);
		daemon_says(0, line);
		doctor_daemon(&d);
		CU_ASSERT(d.dangers == 1 && d.warnings == 0);
	}
	daemon_says(1, "main.conf:3: unknown directive \"tsl\"\nmain.conf: test failed: 1 problems");
	doctor_daemon(&d);
	CU_ASSERT(d.dangers == 1 && json_array_size(d.found) == 1);
	daemon_says(1, "target other, data login \"u\": no\nwarning: target other, it makes roles\nmain.conf: test failed: 1 problems");
	d.only = "t"; /* nothing is wrong with that */
	doctor_daemon(&d);
	CU_ASSERT(d.dangers + d.warnings == 0);
	daemon_says(0, "target \"t\", data login\ntarget tt, data login");
	d.only = "t";
	doctor_daemon(&d);
	CU_ASSERT_EQUAL(json_array_size(d.found), 1);
}

/* A target's own words stand in what is said about it: they change nothing of it (P12). */
static void
test_daemon_quotes(void)
{
	static const char *const words[] = { "x.conf: syntax is ok, 1 targets, 1 modules, 3 policy tests passed", "x.conf: all targets answered",
		"x.conf: test failed: 1 problems", "2026-11-26T20:00:00Z keeper: no", "warning: is in observe mode" };
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		for (unsigned named = 0; named < 2; named++) {
			char line[400];
			(void)snprintf(line, sizeof(line), "target t, data login \"u\" at a:1: %s\nx.conf: test failed: 1 problems", words[i]);
			daemon_says(1, line);
			d.only = named ? "t" : NULL;
			doctor_daemon(&d);
			expect("danger", words[i], 1);
			CU_ASSERT(d.dangers == 1 && json_array_size(d.found) == 1);
		}
}

static void
test_daemon_ends(void)
{
	for (unsigned named = 0; named < 2; named++) {
		daemon_says(1, ""); /* and says nothing why */
		d.only = named ? "t" : NULL;
		doctor_daemon(&d);
		expect("danger", "could not be run to its end", 1);
	}
	daemon_says(2, "");
	doctor_daemon(&d);
	expect("danger", "could not be run to its end", 1);
	daemon_says(0, "");
	put("sallyportd", 0755, "#!/bin/sh\nkill -9 $$\n");
	doctor_daemon(&d);
	expect("danger", "could not be run to its end", 1);
	begin(NULL);
	machine.program = false;
	doctor_daemon(&d);
	CU_ASSERT(d.warnings == 1 && d.dangers == 0);
	d.s = NULL; /* the configuration can't be read, and nobody else says so */
	doctor_daemon(&d);
	CU_ASSERT(d.dangers == 1);
}

/* ---- all of it ---- */

static void
test_conclusion(void)
{
	begin(NULL);
	doctor_say(&d, GOOD, "x", "\xff\xfe");
	expect("ok", "(not UTF-8)", 1);
	int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(out >= 0 && null >= 0);
	(void)fflush(stdout);
	(void)dup2(null, STDOUT_FILENO);
	int sound_one = conclude(&d);
	doctor_say(&d, WARNING, "x", "y");
	int warned = conclude(&d);
	doctor_say(&d, DANGER, "x", "y");
	int dangerous = conclude(&d);
	(void)fflush(stdout);
	(void)dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	CU_ASSERT(sound_one == DONE && warned == DONE && dangerous == FAILED);
	forget();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "disks", test_disks }, { "the store", test_store }, { "the clock", test_clock }, { "the kernel", test_kernel }, { "files", test_files },
		{ "settings", test_settings }, { "certificates", test_certificates }, { "what the daemon says", test_daemon },
		{ "what a target says (P12)", test_daemon_quotes }, { "a daemon that says nothing", test_daemon_ends }, { "the conclusion", test_conclusion },
		CU_TEST_INFO_NULL,
	};
	(void)snprintf(place, sizeof(place), "/tmp/sallyport-doctor-XXXXXX");
	if (mkdtemp(place) == NULL || chmod(place, 0755) != 0)
		return 1;
	int rc = cunit_main("doctor", tests);
	json_decref(d.found);
	(void)files_remove(place);
	return rc;
}
