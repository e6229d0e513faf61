/* SPDX-License-Identifier: Apache-2.0 */
/* What a role can no longer do, tried as that role; and that it lives on after having tried. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

#include "core/base/log.h"
#include "core/base/sandbox.h"
#include "cunit_main.h"
#include "files.h"

static char dir[] = "/tmp/test_sandbox.XXXXXX";
static char inside[64], outside[64], file[96];

/* ---- attempts: 0 or an errno ---- */

static int
result(long rc)
{
	return rc < 0 ? errno : 0;
}

static int
closed(int fd)
{
	int rc = result(fd);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int try_read_inside(void) { return closed(open(file, O_RDONLY)); }
static int try_read_passwd(void) { return closed(open("/etc/passwd", O_RDONLY)); }
static int try_read_proc(void) { return closed(open("/proc/self/mem", O_RDONLY)); }
static int try_list_root(void) { return closed(open("/", O_RDONLY | O_DIRECTORY)); }
static int try_open_rdwr(void) { return closed(open(file, O_RDWR)); }
static int try_append(void) { return closed(open(file, O_WRONLY | O_APPEND)); }
static int try_truncate(void) { return closed(open(file, O_RDONLY | O_TRUNC)); }
static int try_openat2(void) { uint64_t how[3] = { O_RDWR, 0, 0 }; return closed((int)syscall(437, AT_FDCWD, file, how, sizeof(how))); }
static int try_tmpfile(void) { return closed(open(inside, O_TMPFILE | O_WRONLY, 0600)); }
static int try_rename(void) { return result(rename(file, file)); }
static int try_unlink_outside(void) { return result(unlink(outside)); }
static int try_write_outside(void) { return closed(open(outside, O_WRONLY)); }
static int try_exec(void) { char *const argv[] = { "/bin/true", NULL }; return result(execv(argv[0], argv)); }
static int try_exec_at(void) { return result(syscall(SYS_execveat, 3, "", NULL, NULL, AT_EMPTY_PATH)); }
static int try_ptrace(void) { return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)); }
static int try_kill(void) { return result(kill(getppid(), 0)); }
static int try_tgkill_other(void) { return result(syscall(SYS_tgkill, getppid(), getppid(), 0)); }
static int try_tgkill_self(void) { return result(syscall(SYS_tgkill, getpid(), gettid(), 0)); }
static int try_unix_socket(void) { return closed(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int try_inet_socket(void) { return closed(socket(AF_INET, SOCK_STREAM, 0)); }
static int try_inet6_socket(void) { return closed(socket(AF_INET6, SOCK_STREAM, 0)); }
static int try_netlink(void) { return closed(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int try_packet(void) { return closed(socket(AF_PACKET, SOCK_RAW, 0)); }
static int try_bind(void) { struct sockaddr_in a = { .sin_family = AF_INET }; return result(bind(0, (struct sockaddr *)&a, sizeof(a))); }
static int try_listen(void) { return result(listen(0, 1)); }
static int try_epoll(void) { return closed(epoll_create1(EPOLL_CLOEXEC)); }
static int try_setuid(void) { return result(setuid(0)); }
static int try_bpf(void) { return result(syscall(SYS_bpf, 0, NULL, 0)); }
static int try_io_uring(void) { return result(syscall(SYS_io_uring_setup, 1, NULL)); }
static int try_io_register(void) { return result(syscall(SYS_io_uring_register, -1, 0, NULL, 0)); }
static int try_userfault(void) { return result(syscall(SYS_userfaultfd, 0)); }
static int try_mount(void) { return result(syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL)); }
static int try_unshare(void) { return result(syscall(SYS_unshare, 0x10000000)); }
static int try_setns(void) { return result(syscall(SYS_setns, 0, 0)); }
static int try_chroot(void) { return result(chroot("/")); }
static int try_tiocsti(void) { return result(syscall(SYS_ioctl, 0, 0x5412, "x")); }
static int try_keyctl(void) { return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0)); }
static int try_memfd(void) { return closed(memfd_create("x", 0)); }
static int try_dumpable(void) { return result(syscall(SYS_prctl, 4, 1, 0, 0, 0)); }

static int
try_create(void)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/new", inside);
	return closed(open(path, O_WRONLY | O_CREAT, 0600));
}

static int
try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int
try_vm_readv(void)
{
	char c;
	struct iovec to = { &c, 1 }, from = { (void *)(uintptr_t)dir, 1 };
	return result(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int
try_map_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int
try_protect_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? 0 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
try_timer(void)
{
	timer_t t;
	struct sigevent e = { .sigev_notify = SIGEV_NONE };
	return result(timer_create(CLOCK_MONOTONIC, &e, &t));
}

static int
try_memory(void)
{
	void *p = malloc(40u << 20);
	if (p != NULL)
		memset(p, 1, 40u << 20);
	free(p);
	return p == NULL ? ENOMEM : 0;
}

/* ---- who may ---- */

enum { W = 1 << ROLE_WORKER, K = 1 << ROLE_KEEPER, R = 1 << ROLE_RECORDER, C = 1 << ROLE_CONSOLE, T = 1 << ROLE_CHECK,
	F = 1 << ROLE_FETCH, S = 1 << ROLE_SAML, L = 1 << ROLE_LEND, P = 1 << ROLE_SHIP,
	D = 1 << ROLE_DIAL, ALL = W | K | R | C | T | F | S | L | P | D };

#define ATTEMPT(name, may) { #name, try_##name, may, false }
#define WIDER(name, may) { #name, try_##name, may, true } /* allowed too when built with sanitizers */

static const struct attempt {
	const char *name;
	int (*try)(void);
	unsigned may;
	bool wider;
} attempts[] = {
	WIDER(read_inside, W | K | R | T | F | L), ATTEMPT(read_passwd, 0), ATTEMPT(read_proc, 0), ATTEMPT(list_root, 0),
	ATTEMPT(open_rdwr, K | R), ATTEMPT(append, K | R), ATTEMPT(truncate, K | R), ATTEMPT(create, K | R),
	ATTEMPT(openat2, 0), WIDER(tmpfile, K | R), ATTEMPT(rename, K | R), ATTEMPT(unlink_outside, 0),
	ATTEMPT(write_outside, 0), ATTEMPT(exec, 0), ATTEMPT(exec_at, 0), WIDER(ptrace, 0), WIDER(kill, 0),
	WIDER(tgkill_other, 0), ATTEMPT(tgkill_self, ALL), ATTEMPT(unix_socket, D), ATTEMPT(inet_socket, W | F | L | P),
	ATTEMPT(inet6_socket, W | F | L | P), ATTEMPT(netlink, 0), ATTEMPT(packet, 0), ATTEMPT(bind, 0), ATTEMPT(listen, 0),
	ATTEMPT(epoll, ALL), ATTEMPT(setuid, 0), ATTEMPT(bpf, 0), ATTEMPT(io_uring, 0), ATTEMPT(io_register, 0), ATTEMPT(userfault, 0),
	ATTEMPT(mount, 0), ATTEMPT(unshare, 0), ATTEMPT(setns, 0), ATTEMPT(chroot, 0), WIDER(tiocsti, 0), ATTEMPT(keyctl, 0),
	ATTEMPT(memfd, T | L | F), WIDER(dumpable, 0), WIDER(fork, 0), WIDER(vm_readv, 0), WIDER(map_exec, T), WIDER(protect_exec, T),
	ATTEMPT(timer, W | T), ATTEMPT(memory, ALL),
};
#define ATTEMPTS (sizeof(attempts) / sizeof(*attempts))

/* EPERM from the filter, EACCES from Landlock. */
static bool
refused(int error)
{
	return error == EPERM || error == EACCES;
}

static void
run_as(enum role r, int out)
{
	const char *const paths[] = { inside, NULL }, *const missing[] = { inside, "/nowhere", NULL };
	bool writes = r == ROLE_KEEPER || r == ROLE_RECORDER;
	const struct sandbox_paths p = { .read = r == ROLE_CONSOLE || r == ROLE_SAML ? NULL : missing, .write = writes ? paths : NULL };
	int got[ATTEMPTS];
	if (sandbox_enter(r, &p) != SP_OK)
		_exit(9);
	for (size_t i = 0; i < ATTEMPTS; i++)
		got[i] = attempts[i].try();
	_exit(write(out, got, sizeof(got)) == sizeof(got) ? 0 : 8);
}

static void
each_role_can_do_its_list_only(void)
{
#ifdef SANITIZED
	const bool sanitized = true;
	puts("\nbuilt with sanitizers: calls that their runtime needs are not tried");
#else
	const bool sanitized = false;
#endif
	for (unsigned r = ROLE_KEEPER; r < ROLES; r++) {
		int out[2], got[ATTEMPTS], status = 0;
		memset(got, 0, sizeof(got));
		CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
		pid_t pid = fork();
		if (pid == 0)
			run_as((enum role)r, out[1]);
		(void)close(out[1]);
		CU_ASSERT_EQUAL(read(out[0], got, sizeof(got)), sizeof(got));
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_EQUAL(status, 0);
		(void)close(out[0]);
		for (size_t i = 0; i < ATTEMPTS; i++) {
			bool may = (attempts[i].may & 1u << r) != 0;
			if ((sanitized && attempts[i].wider) || (may ? got[i] == 0 : refused(got[i])))
				continue;
			(void)printf("\n%s: %s: %s\n", role_name((enum role)r), attempts[i].name, strerror(got[i]));
			CU_FAIL("a role can do what it must not, or the other way round");
		}
	}
}

/* One line for each call, however often it is made; an exec says so, its name included. */
static void
refusals_are_logged_once(void)
{
	int out[2], status = 0;
	char text[4096] = "";
	CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		log_init("worker", out[1], SP_INFO);
		if (sandbox_enter(ROLE_WORKER, NULL) != SP_OK)
			_exit(9);
		for (unsigned i = 0; i < 100; i++)
			(void)try_exec();
		(void)try_mount();
		_exit(0);
	}
	(void)close(out[1]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_TRUE(read(out[0], text, sizeof(text) - 1) > 0);
	const char *first = strstr(text, "system call execve is not allowed");
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_NULL(strstr(first + sizeof("system call"), "call execve "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "system call mount is not allowed"));
	(void)close(out[0]);
}

#ifdef SANITIZED
/* Allocates, and forgets where. */
static void __attribute__((noinline))
leak(void)
{
	char *volatile p = malloc(4321);
	p[0] = 'x';
	p = NULL;
}

/* The exit status: leaks found before there is one, and after. */
static void
look_for_leaks_as(enum role r)
{
	const struct sandbox_paths p = { NULL, NULL };
	int null = open("/dev/null", O_WRONLY);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || dup2(null, STDERR_FILENO) < 0 || sandbox_enter(r, &p) != SP_OK)
		_exit(9);
	int before = __lsan_do_recoverable_leak_check();
	leak();
	_exit(before << 1 | __lsan_do_recoverable_leak_check());
}

static void
leaks_are_found_in_each_role(void)
{
	for (unsigned r = ROLE_KEEPER; r < ROLES; r++) {
		int status = 0;
		pid_t pid = fork();
		if (pid == 0)
			look_for_leaks_as((enum role)r);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_TRUE(WIFEXITED(status));
		CU_ASSERT_EQUAL(WEXITSTATUS(status), 1);
	}
}
#endif

static void
a_directory_to_write_in_must_be_there(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		const char *const paths[] = { "/nowhere", NULL };
		log_level(0);
		_exit(sandbox_enter(ROLE_KEEPER, &(struct sandbox_paths){ .write = paths }) == SP_OK ? 1 : 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "each role can do its list only", each_role_can_do_its_list_only },
		{ "refusals are logged once", refusals_are_logged_once },
#ifdef SANITIZED
		{ "leaks are found in each role", leaks_are_found_in_each_role },
#endif
		{ "a directory to write in must be there", a_directory_to_write_in_must_be_there },
		CU_TEST_INFO_NULL,
	};
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(inside, sizeof(inside), "%s/inside", dir);
	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	(void)snprintf(file, sizeof(file), "%s/file", inside);
	if (mkdir(inside, 0700) != 0 || closed(open(outside, O_WRONLY | O_CREAT, 0600)) != 0 ||
	    closed(open(file, O_WRONLY | O_CREAT, 0600)) != 0)
		return 1;
	log_init("test", open("/dev/null", O_WRONLY), SP_INFO);
	int rc = cunit_main("sandbox", tests);
	return files_remove(dir) ? rc : 1;
}
