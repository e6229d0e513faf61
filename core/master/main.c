/* SPDX-License-Identifier: Apache-2.0 */
/* sallyportd: the command line. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/role.h"
#include "master.h"

#define RELOAD_WAIT_MS 120000

static const char usage[] =
    "usage: sallyportd [-c FILE] [-f]            start, in the foreground with -f\n"
    "       sallyportd [-c FILE] -t [--connect]  test configuration, modules, policies and their tests; log in at each target\n"
    "       sallyportd [-c FILE] -T              print the configuration as it is read, includes merged\n"
    "       sallyportd [-c FILE] -s SIGNAL       reload, upgrade (this program takes over), quit (sessions may end),\n"
    "                                       stop (now), reopen (logs)\n"
    "       sallyportd -V | -h\n"
    "The configuration is " SYSCONFDIR "/sallyport/sallyport.conf unless -c names another.\n";

/* -t and -T are the check process's work: this one never reads configuration as root. */
static int
run_check(struct master *m, const char *option)
{
	const char *path = child_program(m, ROLE_CHECK);
	if (path == NULL || account_before_all(m) != SP_OK)
		return 1;
	if (child_become(m, ROLE_CHECK) == SP_OK)
		execl(path, "sallyport-check", option, m->conf_path, (char *)NULL);
	fprintf(stderr, "sallyportd: cannot run %s: %s\n", path, strerror(errno));
	return 1;
}

/* The same, and this process goes on. */
static int
check_first(struct master *m, const char *option)
{
	int status = 1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(run_check(m, option));
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- -s ---- */

/* 0: nobody holds the file's lock, so the number in it may be anybody's by now. */
static int
pid_of(const char *pid_file)
{
	int fd = open(pid_file, O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	if (fd < 0)
		return 0;
	bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	long pid = held && n > 0 ? strtol(text, NULL, 10) : 0;
	return pid > 1 && pid <= INT_MAX ? (int)pid : 0;
}

/* When what the status file speaks of had begun; 0: there is none. */
static uint64_t
status_of(const char *pid_file, char text[1024])
{
	char path[4096 + 8];
	unsigned long long asked = 0;
	snprintf(path, sizeof(path), "%.4000s.status", pid_file);
	FILE *f = fopen(path, "re");
	text[0] = '\0';
	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu %1023[^\n]", &asked, text) < 1)
		asked = 0;
	fclose(f);
	return asked;
}

static int
wait_for_reload(const char *pid_file, uint64_t since)
{
	char text[1024];
	for (unsigned waited = 0; waited < RELOAD_WAIT_MS; waited += 50) {
		if (status_of(pid_file, text) >= since) {
			if (strncmp(text, "ok", 2) == 0)
				return 0;
			fprintf(stderr, "sallyportd: all stays as it was: %s\n", strncmp(text, "refused ", 8) == 0 ? text + 8 : text);
			return 1;
		}
		if (pid_of(pid_file) == 0) {
			fprintf(stderr, "sallyportd: it ended; the error log may say why\n");
			return 1;
		}
		usleep(50000);
	}
	fprintf(stderr, "sallyportd: no answer in two minutes; the error log may say more\n");
	return 1;
}

/*
 * The pid file is named in the configuration, which only the check process reads: `--pid-file` prints
 * it out of any text that has blocks and words, right or wrong, and says on stderr why it can't.
 */
static int
pid_file_of(struct master *m, char out[PATH_MAX])
{
	int p[2], status = 0;
	size_t len = 0;
	const char *path = child_program(m, ROLE_CHECK);
	if (path == NULL || account_before_all(m) != SP_OK || pipe2(p, O_CLOEXEC) != 0)
		return SP_EIO;
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(p[1], STDOUT_FILENO) >= 0 && child_become(m, ROLE_CHECK) == SP_OK)
			execl(path, "sallyport-check", "--pid-file", m->conf_path, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	for (ssize_t n; len < PATH_MAX - 1 && (n = read(p[0], out + len, PATH_MAX - 1 - len)) > 0;)
		len += (size_t)n;
	close(p[0]);
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return ended && out[0] == '/' ? SP_OK : SP_ECONF;
}

static int
send_signal(struct master *m, const char *what)
{
	static const struct { const char *name; int number; } signals[] = {
		{ "reload", SIGHUP }, { "upgrade", SIGUSR2 }, { "quit", SIGQUIT }, { "stop", SIGTERM }, { "reopen", SIGUSR1 },
	};
	char pid_file[PATH_MAX];
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (strcmp(signals[i].name, what) != 0)
			continue;
		if (pid_file_of(m, pid_file) != SP_OK) {
			fprintf(stderr, "sallyportd: cannot learn from %s where the pid file is; nothing was signalled\n", m->conf_path);
			return 1;
		}
		int pid = pid_of(pid_file);
		uint64_t since = clock_mono_us();
		if (pid == 0 || kill(pid, signals[i].number) != 0) {
			fprintf(stderr, "sallyportd: not running, says %s\n", pid_file);
			return 1;
		}
		return i < 2 ? wait_for_reload(pid_file, since) : 0; /* reload, upgrade: it says how it went */
	}
	fprintf(stderr, "sallyportd: -s takes reload, upgrade, quit, stop or reopen, not \"%s\"\n", what);
	return 2;
}

/* ---- starting ---- */

/* The caller waits until everything is up, and learns why when it is not. */
static int
daemonize(struct master *m)
{
	int p[2];
	char answer[1024];
	if (pipe2(p, O_CLOEXEC) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		close(p[0]);
		m->parent = p[1];
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (setsid() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
			_exit(1);
		return -1;
	}
	close(p[1]);
	ssize_t n = pid < 0 ? -1 : read(p[0], answer, sizeof(answer) - 1);
	answer[n > 0 ? n : 0] = '\0';
	if (strcmp(answer, "ok") == 0)
		return 0;
	fprintf(stderr, "sallyportd: %s\n", n > 0 ? answer : "it did not start");
	return 1;
}

static int
start(struct master *m, bool foreground)
{
	m->root = geteuid() == 0;
	(void)umask(022);
	if (!foreground) {
		int status = daemonize(m);
		if (status >= 0)
			return status;
	}
	log_init("master", STDERR_FILENO, SP_INFO);
	role_no_dumps();
	if (m->inherited == 0)
		m->log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	ssize_t n = readlink("/proc/self/exe", m->program, sizeof(m->program) - 1);
	if (n <= 0 || (m->inherited == 0 && m->log_fd < 0) || account_before_all(m) != SP_OK)
		return 1;
	return master_run(m);
}

int
main(int argc, char **argv)
{
	static struct master m = { .sealed = { -1, -1, -1 }, .parent = -1, .control = -1, .store_lock = -1, .board_fd = -1,
		.pid_fd = -1, .reload = { .sealed = { -1, -1, -1 } } };
	static char conf_path[PATH_MAX];
	const char *conf = SYSCONFDIR "/sallyport/sallyport.conf", *what = NULL;
	bool foreground = false;
	const char *check = NULL;
	bool connect = false, try = false;
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
		{ "connect", no_argument, NULL, 'C' }, { "takes-over", required_argument, NULL, 'O' }, { "try", no_argument, NULL, 'Y' }, { 0 } };
	for (int o; (o = getopt_long(argc, argv, "c:tTs:fVh", longs, NULL)) != -1;) {
		switch (o) {
		case 'c': conf = optarg; break;
		case 't': check = "-t"; break;
		case 'T': check = "-T"; break;
		case 'C': connect = true; break;
		case 'O': m.inherited = atoi(optarg); break; /* upgrade.c gives both, and nobody else */
		case 'Y': try = true; break;
		case 's': what = optarg; break;
		case 'f': foreground = true; break;
		case 'V': puts("sallyportd " PACKAGE_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind < argc || (connect && (check == NULL || check[1] != 't'))) {
		fputs(usage, stderr);
		return 2;
	}
	if (realpath(conf, conf_path) == NULL) {
		fprintf(stderr, "sallyportd: cannot read %s: %s\n", conf, strerror(errno));
		return 1;
	}
	m.conf_path = conf_path;
	m.root = geteuid() == 0;
	if (m.inherited > 0 && try)
		return upgrade_try(&m, m.inherited);
	if (connect)
		return check_first(&m, check) != 0 ? 1 : trial_run(&m);
	if (check != NULL)
		return run_check(&m, check);
	return what != NULL ? send_signal(&m, what) : start(&m, foreground);
}
