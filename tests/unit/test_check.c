/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-check as a program (check.c): what people read and which status they get; what it answers master, sealed, or why not. */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/epoch.h"
#include "core/base/link.h"
#include "core/base/role.h"

static char folder[64], conf[96];

static void
put(const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	(void)chmod(path, 0644);
}

/* Root gives itself up in it: the folder must be open to others. */
static void
test_setup(void)
{
	char from[PATH_MAX], to[80];
	const char *built = getenv("LOAD_TEST_FOLDER");
	(void)snprintf(folder, sizeof(folder), "/tmp/sallyport-check-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	(void)chmod(folder, 0755);
	(void)snprintf(from, sizeof(from), "%s/load_module.so", built == NULL ? "tests/unit/.libs" : built);
	(void)snprintf(to, sizeof(to), "%s/echo.so", folder);
	CU_ASSERT_TRUE_FATAL(files_copy(from, to, 0755));
	(void)snprintf(conf, sizeof(conf), "%s/main.conf", folder);
	put("p.lua", "rule 'a' { on = 'line.send', when = { text = 'DROP' }, deny = 'no' }\n");
}

static void
configure(const char *target)
{
	char text[1024];
	(void)snprintf(text, sizeof(text), "load_module %s/echo.so;\npid /run/x/gate.pid;\nlistener l { listen 127.0.0.1:1; protocol echo; cleartext loopback; }\n%s",
	    folder, target);
	put("main.conf", text);
}

#define TARGET "target one { protocol echo; server a:1; word hello; policy p.lua; }\n"

/* ---- for people ---- */

static char out[8192], err[8192];

static void
read_all(int fd, char *to, size_t room)
{
	size_t used = 0;
	for (ssize_t n; (n = read(fd, to + used, room - 1 - used)) > 0;)
		used += (size_t)n;
	to[used] = '\0';
	close(fd);
}

static int
status_of(pid_t pid)
{
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
run(const char *option, const char *path)
{
	int o[2], e[2];
	CU_ASSERT_EQUAL_FATAL(pipe2(o, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(e, O_CLOEXEC), 0);
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(o[1], STDOUT_FILENO) >= 0 && dup2(e[1], STDERR_FILENO) >= 0)
			(void)execl("core/sallyport-check", "sallyport-check", option, path, (char *)NULL);
		_exit(99);
	}
	close(o[1]);
	close(e[1]);
	read_all(o[0], out, sizeof(out));
	read_all(e[0], err, sizeof(err));
	return status_of(pid);
}

static bool
says(const char *text, const char *expected)
{
	bool found = strstr(text, expected) != NULL;
	if (!found)
		printf("\n  wanted \"%s\" in \"%s\"\n", expected, text);
	return found;
}

static void
test_people(void)
{
	configure(TARGET);
	CU_ASSERT_EQUAL(run("-t", conf), 0);
	CU_ASSERT_TRUE(says(out, "main.conf: syntax is ok, 1 targets, 1 modules, 0 policy tests passed\n"));
	CU_ASSERT_EQUAL(run("-T", conf), 0);
	CU_ASSERT(says(out, "word hello;") && says(out, "listener l {"));
	CU_ASSERT_EQUAL(run("--pid-file", conf), 0);
	CU_ASSERT_STRING_EQUAL(out, "/run/x/gate.pid\n");
	CU_ASSERT_EQUAL(run("-x", conf), 2);
	CU_ASSERT_STRING_EQUAL(out, "");
	CU_ASSERT_EQUAL(run("-t", NULL), 2);
	CU_ASSERT_TRUE(says(err, "use sallyportd -t or -T"));
}

static void
test_wrong(void)
{
	char path[128];
	configure("target one { protocol echo; server a:1; servre b:1; policy p.lua; }\n");
	CU_ASSERT_EQUAL(run("-t", conf), 1);
	CU_ASSERT(says(err, "main.conf:4: ") && says(err, "did you mean \"server\"?"));
	configure("target one { protocol echo; policy p.lua; }\n");
	CU_ASSERT_EQUAL(run("-T", conf), 1); /* half of it is not printed */
	CU_ASSERT(out[0] == '\0' && says(err, "main.conf:4: \"server\" is missing"));
	configure("target one { protocol echo; server a:1; word bad; policy p.lua; }\n"); /* the module's word */
	CU_ASSERT_EQUAL(run("-t", conf), 1);
	CU_ASSERT(says(err, "test failed: 1 problems") && out[0] == '\0');
	(void)snprintf(path, sizeof(path), "%s/none.conf", folder);
	CU_ASSERT_EQUAL(run("-t", path), 1);
	CU_ASSERT_TRUE(says(err, "none.conf"));
	configure("target one { protocol echo; server a:1; word hello; policy none.lua; }\n");
	CU_ASSERT_EQUAL(run("-t", conf), 1);
	CU_ASSERT_TRUE(says(err, "none.lua"));
}

/* ---- for master ---- */

static struct event_base *base;
static unsigned checked;
static bool good, gone;
static char why[1024];
static int sealed;

static int
hear(void *owner, struct link *l, struct message *m)
{
	(void)owner, (void)l;
	CU_ASSERT_EQUAL(m->type, MSG_CHECKED);
	checked++;
	good = m->f[0].q == 1;
	(void)snprintf(why, sizeof(why), "%.*s", (int)m->f[1].s.len, m->f[1].s.len == 0 ? "" : (const char *)m->f[1].s.p);
	sealed = m->nfds == 1 ? m->fd[0] : -1;
	m->fd[0] = -1;
	return SP_OK;
}

static void
lost(void *owner, struct link *l, const char *text)
{
	(void)owner, (void)l, (void)text;
	gone = true;
}

static int
serve(bool master_stays)
{
	int fd[2];
	const struct link_handler h = { hear, lost, NULL };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	checked = 0;
	good = gone = false;
	sealed = -1;
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC), end = fcntl(fd[1], F_DUPFD_CLOEXEC, 16);
		if (dup2(null, STDERR_FILENO) >= 0 && dup2(end, ROLE_MASTER_FD) >= 0)
			(void)execl("core/sallyport-check", "sallyport-check", "--serve", conf, (char *)NULL);
		_exit(99);
	}
	close(fd[1]);
	if (!master_stays) {
		close(fd[0]);
		return status_of(pid);
	}
	base = event_base_new();
	struct link *l = link_new(base, fd[0], ROLE_MASTER, ROLE_CHECK, 0, &h);
	while (!gone)
		(void)event_base_loop(base, EVLOOP_ONCE);
	link_free(&l);
	event_base_free(base);
	return status_of(pid);
}

static void
test_answer(void)
{
	struct epoch *e = NULL;
	const char *text = "";
	configure(TARGET);
	CU_ASSERT_EQUAL(serve(true), 0);
	CU_ASSERT(checked == 1 && good && sealed >= 0);
	CU_ASSERT_EQUAL_FATAL(epoch_open(sealed, 5, &e, &text), SP_OK); /* sealed: nobody can change it any more */
	CU_ASSERT_PTR_NOT_NULL(settings_target(&e->settings, "one"));
	CU_ASSERT_EQUAL(write(sealed, "x", 1), -1);
	epoch_free(&e);
	close(sealed);
	CU_ASSERT_NOT_EQUAL(serve(false), 99); /* nobody hears it: it ends all the same */
}

/* Whatever is wrong, there is one answer, it says why, and nothing comes with it. */
static void
test_no(void)
{
	configure("target one { protocol echo; server a:1; servre b:1; policy p.lua; }\n");
	(void)serve(true);
	CU_ASSERT(checked == 1 && !good && sealed == -1 && says(why, "did you mean \"server\"?"));
	configure("target one { protocol echo; server a:1; word bad; policy p.lua; }\n");
	(void)serve(true);
	CU_ASSERT(checked == 1 && !good && sealed == -1 && says(why, "\"bad\""));
	(void)unlink(conf);
	(void)serve(true);
	CU_ASSERT(checked == 1 && !good && sealed == -1 && says(why, "main.conf"));
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
		{ "setup", test_setup }, { "for people", test_people }, { "what is wrong", test_wrong }, { "an answer", test_answer },
		{ "no", test_no }, { "clean", test_clean }, CU_TEST_INFO_NULL,
	};
	return cunit_main("check", tests);
}
