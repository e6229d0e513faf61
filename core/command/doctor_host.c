/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: the machine: disks, clock, and what the kernel can do for a sandbox. */
#include <config.h>

#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define LITTLE (1024u * 1024 * 1024)
#define FILES_WANTED 4096
#define BORN 1764547200 /* 2025-12-01: this program is not older; a clock before a year earlier is wrong */

/* ---- disks ---- */

static void
look_at_disk(struct doctor *d, const char *what, const char *path)
{
	struct statvfs v;
	if (path == NULL || path[0] != '/')
		return;
	if (statvfs(path, &v) != 0 && errno == ENOENT) {
		doctor_say(d, GOOD, "disk", "%s, %s: not there yet; the first start makes it", what, path);
		return;
	}
	if (statvfs(path, &v) != 0) {
		doctor_say(d, errno == EACCES ? WARNING : DANGER, "disk", "%s, %s: %s", what, path, strerror(errno));
		return;
	}
	unsigned long long left = (unsigned long long)v.f_bavail * v.f_frsize, all = (unsigned long long)v.f_blocks * v.f_frsize;
	unsigned percent = all == 0 ? 0 : (unsigned)(100 * left / all), nodes = v.f_files == 0 ? 100 : (unsigned)(100 * v.f_favail / v.f_files);
	enum finding how = (v.f_flag & ST_RDONLY) != 0 || left < LITTLE / 16 || nodes == 0 ? DANGER : percent < 10 || left < LITTLE || nodes < 5 ? WARNING : GOOD;
	if ((v.f_flag & ST_RDONLY) != 0)
		doctor_say(d, DANGER, "disk", "%s: %s is mounted read-only", what, path);
	else
		doctor_say(d, how, "disk", "%s: %llu MB are left at %s, %u %%%s", what, left >> 20, path, percent,
		    how == GOOD ? "" : ": what cannot be recorded does not run");
}

/* A server's store is reached by the keeper alone, whose word for it a running gateway's status is. */
static void
look_at_server(struct doctor *d)
{
	unsigned status = 0;
	json_t *answer = NULL;
	struct stat st;
	if (stat(d->s->control.path, &st) != 0) {
		doctor_say(d, WARNING, "store", "the store is at a server, and the gateway does not run: start it and ask again");
		return;
	}
	if (client_try(d->r, "GET", "/api/v1/status", NULL, &status, &answer) != DONE || status != 200)
		doctor_say(d, DANGER, "store", "the keeper does not reach the store's server: who comes new is refused (`sallyport status`, and the error log, say why)");
	else
		doctor_say(d, GOOD, "store", "the keeper reaches the store's server");
	json_decref(answer);
}

/* An SQLite store is a file of the keeper's. */
static void
look_at_store(struct doctor *d)
{
	struct stat st;
	const char *path = d->s->store.file;
	if (strncmp(d->s->store.where, "sqlite:", 7) != 0) {
		look_at_server(d);
		return;
	}
	if (path == NULL || stat(path, &st) != 0) {
		doctor_say(d, errno == ENOENT ? GOOD : WARNING, "store", "%s: %s", path == NULL ? "" : path,
		    errno == ENOENT ? "not there yet; the first start makes it" : strerror(errno));
		return;
	}
	if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
		doctor_say(d, DANGER, "store", "others than the keeper may read or change %s: chmod 0600 %s", path, path);
	else
		doctor_say(d, GOOD, "store", "%s is the keeper's alone, %lld kB", path, (long long)st.st_size / 1024);
}

void
doctor_disks(struct doctor *d)
{
	char folder[4096] = "";
	look_at_store(d);
	if (d->s->store.file != NULL && d->s->store.file[0] == '/') {
		(void)snprintf(folder, sizeof(folder), "%s", d->s->store.file);
		char *slash = strrchr(folder, '/');
		slash[slash == folder] = '\0';
	}
	look_at_disk(d, "store", folder);
	look_at_disk(d, "recordings", d->s->record.store);
	if (d->s->record.keep == 0 && d->s->record.max == 0)
		doctor_say(d, WARNING, "disk", "recordings are kept for ever: `record { keep 90d; max 100g; }` bounds them");
	if (d->s->record.anchor[0] == '\0')
		doctor_say(d, WARNING, "recordings", "no `anchor`: whoever is root here can write all recordings anew");
}

/* ---- the clock ---- */

void
doctor_clock(struct doctor *d)
{
	struct timex t = { 0 };
	int state = adjtimex(&t);
	if (time(NULL) < BORN - 365 * 86400)
		doctor_say(d, DANGER, "clock", "the clock is years behind: tokens look as if they were of the future");
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		doctor_say(d, WARNING, "clock", "nothing keeps the clock right (the kernel says unsynchronised): tokens are refused when it is off by more than their leeway");
	else
		doctor_say(d, GOOD, "clock", "it is kept right, to within %ld ms", t.maxerror / 1000);
}

/* ---- the kernel ---- */

static void
look_at_landlock(struct doctor *d)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		doctor_say(d, WARNING, "kernel", "no Landlock: processes that are taken over are kept from files by their user alone");
	else
		doctor_say(d, GOOD, "kernel", "Landlock, version %ld", version);
}

static bool
file_says(const char *path, const char *word)
{
	char text[4096] = "";
	FILE *f = fopen(path, "re");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	if (f != NULL)
		(void)fclose(f);
	return strstr(text, word) != NULL;
}

void
doctor_kernel(struct doctor *d)
{
	struct rlimit files;
	look_at_landlock(d);
	if (file_says("/proc/sys/kernel/seccomp/actions_avail", "kill_process"))
		doctor_say(d, GOOD, "kernel", "seccomp filters");
	else
		doctor_say(d, WARNING, "kernel", "no seccomp filters are to be seen: processes may make any system call");
	if (!file_says("/proc/self/status", "CoreDumping"))
		doctor_say(d, WARNING, "kernel", "it is older than 4.15, and was not tried");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY && files.rlim_max < FILES_WANTED)
		doctor_say(d, WARNING, "kernel", "at most %llu open files, two for each session: LimitNOFILE= in the unit, or ulimit -n",
		    (unsigned long long)files.rlim_max);
	if (file_says("/proc/swaps", "/") && file_says("/proc/swaps", "partition"))
		doctor_say(d, GOOD, "kernel", "there is swap; secrets are in locked memory and stay out of it");
}
