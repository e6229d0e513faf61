/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock-down of a role.  What each may do is in the tables of this file and nowhere else.
 *
 *                    worker   keeper   recorder   console   check   fetch   lend   saml   ship
 *   open for reading   ×        ×         ×                   ×       ×       ×
 *   write files                 ×         ×
 *   sockets, outward   ×                                              ×       ×             ×
 *   new connections    ×                            ×
 *   timers (Lua)       ×                                      ×
 *   load code                                                 ×
 *
 * Refused calls trap: a handler logs each once and makes it fail with EPERM.  Calls that libc makes
 * with signals blocked (clone) can't trap without killing, so they fail silently.
 */
#include <config.h>

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#ifdef SANITIZED
#include <link.h>
#endif
#include <linux/landlock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <seccomp.h>

#include "log.h"

/* ---- Landlock ---- */

#define ACCESS(first, last) ((2ull << (last)) - (1ull << (first)))
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE \
	(ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | REFER | TRUNCATE)
#define ACCESS_OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
/* Newer than the headers of our reference system. */
#define REFER (1ull << 13)
#define TRUNCATE (1ull << 14)

static uint64_t
landlock_handled(long abi)
{
	if (abi >= 5)
		return ACCESS(0, 15); /* ioctl on devices */
	if (abi >= 3)
		return ACCESS(0, 14);
	return abi >= 2 ? ACCESS(0, 13) : ACCESS(0, 12);
}

static int
landlock_allow(int rules, const char *path, uint64_t access, bool required)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !required)
		return SP_OK;
	struct stat st;
	bool ok = fd >= 0 && fstat(fd, &st) == 0;
	if (ok) {
		struct landlock_path_beneath_attr rule = { .parent_fd = fd,
			.allowed_access = S_ISDIR(st.st_mode) ? access : access & ACCESS_OF_FILES };
		ok = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	}
	if (!ok)
		log_error("the sandbox can't name \"%s\": %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return ok ? SP_OK : SP_EIO;
}

#ifdef SANITIZED
static int
landlock_allow_object(struct dl_phdr_info *object, size_t size, void *rules)
{
	(void)size;
	return object->dlpi_name[0] == '\0' ? 0 : landlock_allow(*(int *)rules, object->dlpi_name, ACCESS_READ, false);
}

/*
 * At its end a process is looked through for leaks by a clone of itself, which lists the threads;
 * what it finds is named from the files that are loaded.  A rule is for an inode, and /proc makes
 * a new one whenever the kernel forgot the old: the folder stays open.
 */
static int
landlock_allow_leak_check(int rules)
{
	int rc = landlock_allow(rules, "/proc/self/task", ACCESS_READ, true);
	if (rc == SP_OK && open("/proc/self/task", O_PATH | O_CLOEXEC) < 0)
		rc = SP_EIO;
	if (rc == SP_OK)
		rc = landlock_allow(rules, "/proc/self/exe", ACCESS_READ, true);
	if (rc == SP_OK && dl_iterate_phdr(landlock_allow_object, &rules) != 0)
		rc = SP_EIO;
	return rc;
}
#endif

static int
landlock_enter(const struct sandbox_paths *paths)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1) {
		log_warn("this kernel has no Landlock: files are protected by their owners and modes only");
		return SP_OK;
	}
	uint64_t handled = landlock_handled(abi);
	/* By the size of the member that every version has, whatever the headers know. */
	int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (rules < 0) {
		log_error("Landlock: %s", strerror(errno));
		return SP_EIO;
	}
	int rc = SP_OK;
	for (const char *const *p = paths->read; rc == SP_OK && p != NULL && *p != NULL; p++)
		rc = landlock_allow(rules, *p, ACCESS_READ & handled, false);
	for (const char *const *p = paths->write; rc == SP_OK && p != NULL && *p != NULL; p++)
		rc = landlock_allow(rules, *p, ACCESS_WRITE & handled, true);
#ifdef SANITIZED
	if (rc == SP_OK)
		rc = landlock_allow_leak_check(rules);
#endif
	if (rc == SP_OK && syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
		log_error("Landlock: %s", strerror(errno));
		rc = SP_EIO;
	}
	(void)close(rules);
	return rc;
}

/* ---- seccomp: the lists ---- */

enum { /* who may */
	W = 1 << ROLE_WORKER,
	K = 1 << ROLE_KEEPER,
	R = 1 << ROLE_RECORDER,
	C = 1 << ROLE_CONSOLE,
	T = 1 << ROLE_CHECK,
	F = 1 << ROLE_FETCH,
	S = 1 << ROLE_SAML,
	L = 1 << ROLE_LEND,
	P = 1 << ROLE_SHIP,
	D = 1 << ROLE_DIAL,
	LOOKS = W | K | R | T | F | L,
	ALL = W | K | R | C | T | F | S | L | P | D
};

struct call {
	unsigned who;
	int number; /* negative: not on this machine */
};
#define CALL(who, name) { who, SCMP_SYS(name) }

static const struct call calls[] = {
	/* descriptors */
	CALL(ALL, read), CALL(ALL, write), CALL(ALL, readv), CALL(ALL, writev), CALL(ALL, pread64), CALL(ALL, preadv),
	CALL(ALL, close), CALL(ALL, close_range), CALL(ALL, lseek), CALL(ALL, fstat), CALL(ALL, newfstatat), CALL(ALL, statx),
	CALL(ALL, fstatfs), CALL(ALL, fcntl), CALL(ALL, dup), CALL(ALL, dup2), CALL(ALL, dup3), CALL(ALL, pipe2),
	/* waiting */
	CALL(ALL, poll), CALL(ALL, ppoll), CALL(ALL, select), CALL(ALL, pselect6), CALL(ALL, epoll_create1),
	CALL(ALL, epoll_ctl), CALL(ALL, epoll_wait), CALL(ALL, epoll_pwait), CALL(ALL, epoll_pwait2), CALL(ALL, eventfd2),
	CALL(ALL, timerfd_create), CALL(ALL, timerfd_settime), CALL(ALL, timerfd_gettime), CALL(ALL, nanosleep),
	CALL(ALL, clock_nanosleep), CALL(ALL, futex), CALL(ALL, sched_yield), CALL(ALL, restart_syscall),
	/* clocks, self */
	CALL(ALL, clock_gettime), CALL(ALL, clock_getres), CALL(ALL, gettimeofday), CALL(ALL, time), CALL(ALL, getpid),
	CALL(ALL, gettid), CALL(ALL, getppid), CALL(ALL, getuid), CALL(ALL, geteuid), CALL(ALL, getgid), CALL(ALL, getegid),
	CALL(ALL, getrusage), CALL(ALL, times), CALL(ALL, uname), CALL(ALL, sysinfo), CALL(ALL, getcpu),
	CALL(ALL, sched_getaffinity), CALL(ALL, getrandom), CALL(ALL, exit), CALL(ALL, exit_group),
	CALL(ALL, set_robust_list), CALL(ALL, rseq), CALL(ALL, membarrier),
	/* signals to self; sending is below */
	CALL(ALL, rt_sigaction), CALL(ALL, rt_sigprocmask), CALL(ALL, rt_sigreturn), CALL(ALL, rt_sigpending),
	CALL(ALL, rt_sigtimedwait), CALL(ALL, sigaltstack),
	/* memory; executable memory is below */
	CALL(ALL, brk), CALL(ALL, munmap), CALL(ALL, mremap), CALL(ALL, madvise), CALL(ALL, mlock), CALL(ALL, mlock2),
	CALL(ALL, munlock), CALL(ALL, mincore), CALL(K | R | T, msync),
	/* what is connected already */
	CALL(ALL, sendmsg), CALL(ALL, recvmsg), CALL(ALL, sendto), CALL(ALL, recvfrom), CALL(ALL, sendmmsg),
	CALL(ALL, recvmmsg), CALL(ALL, shutdown), CALL(ALL, getsockname), CALL(ALL, getpeername), CALL(ALL, getsockopt),
	CALL(ALL, setsockopt),
	/* many sends in one call, by a ring that can do nothing else */
	CALL(W, io_uring_enter),
	/* connections */
	CALL(W | F | L | P | D, connect), CALL(W | C, accept), CALL(W | C, accept4),
	/* a rule's deadline */
	CALL(W | T, timer_create), CALL(W | T, timer_settime), CALL(W | T, timer_gettime), CALL(W | T, timer_getoverrun),
	CALL(W | T, timer_delete), CALL(W | T, setitimer), CALL(W | T, getitimer),
	/* files: looking */
	CALL(LOOKS, stat), CALL(LOOKS, lstat), CALL(LOOKS, access), CALL(LOOKS, faccessat),
	CALL(LOOKS, faccessat2), CALL(LOOKS, readlink), CALL(LOOKS, readlinkat),
	CALL(LOOKS, getdents64), CALL(LOOKS, getcwd), CALL(LOOKS, fadvise64), CALL(K | R | T, chdir),
	CALL(K | R | T, fchdir),
	/* files: changing */
	CALL(K | R, open), CALL(K | R, openat), CALL(K | R, creat), CALL(K | R, pwrite64), CALL(K | R, pwritev),
	CALL(K | R, ftruncate), CALL(K | R, truncate), CALL(K | R, fallocate), CALL(K | R, fsync), CALL(K | R, fdatasync),
	CALL(K | R, sync_file_range), CALL(K | R, flock), CALL(K | R, unlink), CALL(K | R, unlinkat), CALL(K | R, rename),
	CALL(K | R, renameat), CALL(K | R, renameat2), CALL(K | R, link), CALL(K | R, linkat), CALL(K | R, mkdir),
	CALL(K | R, mkdirat), CALL(K | R, rmdir), CALL(K | R, fchmod), CALL(K | R, fchown), CALL(K | R, utimensat),
	CALL(K | R, umask), CALL(K | R, statfs), CALL(K | R, copy_file_range), CALL(K | R, sendfile),
	/* how far the log host has come: one open file */
	CALL(P, pwrite64),
	/* an epoch is written into sealed memory; libpq and libcurl read authorities from files only */
	CALL(T | L | F, memfd_create), CALL(T, ftruncate), CALL(T, pwrite64),
};

#ifdef SANITIZED
/*
 * The wider list.  AddressSanitizer maps and protects memory as it pleases; leak detection, at the
 * end of a process, stops it with a clone that traces it.
 */
static const struct call sanitizer_calls[] = {
	CALL(ALL, open), CALL(ALL, openat), CALL(ALL, readlink), CALL(ALL, readlinkat), CALL(ALL, stat), CALL(ALL, getdents), CALL(ALL, getdents64),
	CALL(ALL, clone), CALL(ALL, clone3), CALL(ALL, ptrace), CALL(ALL, wait4), CALL(ALL, kill), CALL(ALL, tgkill),
	CALL(ALL, tkill), CALL(ALL, prctl), CALL(ALL, mmap), CALL(ALL, mprotect), CALL(ALL, getrlimit), CALL(ALL, setrlimit),
	CALL(ALL, prlimit64), CALL(ALL, arch_prctl), CALL(ALL, process_vm_readv), CALL(ALL, write), CALL(ALL, pipe),
	CALL(ALL, ioctl), CALL(ALL, access), CALL(ALL, getcwd), CALL(ALL, rt_sigtimedwait), CALL(ALL, msync),
};
#endif

/* Calls that are allowed for some values of one argument: all rows of a call are alternatives. */
struct narrowed {
	unsigned who;
	int number;
	unsigned argument;
	uint64_t mask, value;
};
#define WHEN(who, name, argument, mask, value) { who, SCMP_SYS(name), argument, mask, value }
#define EXACTLY UINT32_MAX
#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct narrowed narrowed_calls[] = {
	WHEN(W | T | F | L, open, 1, WRITING, 0),
	WHEN(W | T | F | L, openat, 2, WRITING, 0),
	WHEN(W | F | L | P, socket, 0, EXACTLY, AF_INET),
	WHEN(W | F | L | P, socket, 0, EXACTLY, AF_INET6),
	WHEN(D, socket, 0, EXACTLY, AF_UNIX), /* it alone: workers get what it has connected */
	WHEN(W, socketpair, 0, EXACTLY, AF_UNIX), /* to itself: for libraries that want a descriptor */
	WHEN(W | K | R | C | F | S | L | P | D, mmap, 2, PROT_EXEC, 0),
	WHEN(W | K | R | C | F | S | L | P | D, mprotect, 2, PROT_EXEC, 0),
	WHEN(T, mmap, 2, 0, 0),
	WHEN(T, mprotect, 2, 0, 0),
	WHEN(ALL, ioctl, 1, EXACTLY, FIONREAD),
	WHEN(ALL, ioctl, 1, EXACTLY, FIONBIO),
	WHEN(ALL, ioctl, 1, EXACTLY, TCGETS), /* isatty() */
	WHEN(ALL, prctl, 0, EXACTLY, PR_SET_NAME),
	WHEN(ALL, prctl, 0, EXACTLY, PR_GET_NAME),
	WHEN(ALL, prctl, 0, EXACTLY, 0x53564d41), /* PR_SET_VMA: malloc names its memory */
	WHEN(ALL, prlimit64, 2, UINT64_MAX, 0),   /* reading */
};

#ifndef SANITIZED
/* These are made with signals blocked, where a trap would kill; or are known to be made, and no news. */
static const struct {
	unsigned who;
	int number, error;
} silent_calls[] = {
	{ ALL, SCMP_SYS(clone), EPERM }, { ALL, SCMP_SYS(fork), EPERM }, { ALL, SCMP_SYS(vfork), EPERM },
	{ ALL, SCMP_SYS(clone3), ENOSYS }, /* libc falls back to clone, which is refused */
	{ S, SCMP_SYS(openat), EPERM },    /* lasso looks for the system's authorities with each key that it reads */
};
#endif

/* ---- seccomp: refusals ---- */

#define NAMES 512
static char *call_name[NAMES]; /* resolved before the lock-down: the handler must not allocate */
static volatile sig_atomic_t call_refused[NAMES];

static void
set_result(void *context, long value)
{
	ucontext_t *u = context;
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (unsigned long long)value;
#else
#error "say here where a system call's result is"
#endif
}

static void
on_refused(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	int saved = errno, n = info->si_syscall;
	if (n >= 0 && n < NAMES && call_refused[n] == 0) {
		call_refused[n] = 1;
		log_error("system call %s is not allowed in this process and failed; it is logged once",
		    call_name[n] == NULL ? "?" : call_name[n]);
	}
	set_result(context, -EPERM);
	errno = saved;
}

static int
watch_refusals(void)
{
	for (int i = 0; i < NAMES; i++) {
		if (call_name[i] == NULL)
			call_name[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
	}
	struct sigaction act = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER };
	(void)sigemptyset(&act.sa_mask);
	return sigaction(SIGSYS, &act, NULL);
}

/* ---- seccomp: the filter ---- */

static int
allow_list(scmp_filter_ctx filter, unsigned self, const struct call *list, size_t n)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if ((list[i].who & self) != 0 && list[i].number >= 0)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, list[i].number, 0);
	}
	return rc;
}

static int
allow_narrowed(scmp_filter_ctx filter, unsigned self)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(narrowed_calls) / sizeof(*narrowed_calls); i++) {
		const struct narrowed *c = &narrowed_calls[i];
		const struct scmp_arg_cmp when = { c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value };
		if ((c->who & self) != 0 && c->number >= 0)
			rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, c->number, c->mask == 0 ? 0 : 1, &when);
	}
	/* abort() and the deadline's signal: to our own process only. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return rc;
}

#ifndef SANITIZED
static int
refuse_silently(scmp_filter_ctx filter, unsigned self)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(silent_calls) / sizeof(*silent_calls); i++) {
		if ((silent_calls[i].who & self) != 0 && silent_calls[i].number >= 0)
			rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)silent_calls[i].error), silent_calls[i].number, 0);
	}
	return rc;
}
#endif

static int
fill_filter(scmp_filter_ctx filter, unsigned self)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
#ifdef SANITIZED
	if (rc == 0)
		rc = allow_list(filter, self, sanitizer_calls, sizeof(sanitizer_calls) / sizeof(*sanitizer_calls));
#else
	if (rc == 0)
		rc = refuse_silently(filter, self);
#endif
	if (rc == 0)
		rc = allow_list(filter, self, calls, sizeof(calls) / sizeof(*calls));
	if (rc == 0)
		rc = allow_narrowed(filter, self);
	return rc;
}

static int
seccomp_enter(enum role self)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		log_warn("this kernel has no seccomp: system calls are not filtered");
		return SP_OK;
	}
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	if (filter == NULL || watch_refusals() != 0) {
		seccomp_release(filter);
		return SP_ENOMEM;
	}
	int rc = fill_filter(filter, 1u << self);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (rc != 0)
		log_error("the system call filter: %s", strerror(-rc));
	seccomp_release(filter);
	return rc == 0 ? SP_OK : SP_EIO;
}

int
sandbox_enter(enum role self, const struct sandbox_paths *paths)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_error("no_new_privs: %s", strerror(errno));
		return SP_EIO;
	}
	static const struct sandbox_paths nothing = { NULL, NULL };
	int rc = landlock_enter(paths == NULL ? &nothing : paths);
	return rc == SP_OK ? seccomp_enter(self) : rc;
}
