/* SPDX-License-Identifier: Apache-2.0 */
/* Where `policy backtest` finds recordings: files of a store, read here, or the gateway's, asked for one by one. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backtest.h"
#include "recordings.h"

#define OPEN_FOLDERS 16

static struct {
	int (*take)(void *owner, int fd, const char *name);
	void *owner;
	uint64_t done, all;
	bool counting;
	int rc;
} walk;

/* By its first bytes, not by its name; but what is called so and begins otherwise is one that can't be read. */
static bool
is_recording(int fd, const char *path)
{
	static const char end[] = ".spr";
	char magic[8];
	size_t n = strlen(path), m = sizeof(end) - 1;
	ssize_t got = pread(fd, magic, sizeof(magic), 0);
	return got > 0 && ((got == (ssize_t)sizeof(magic) && memcmp(magic, "SLPREC01", sizeof(magic)) == 0) || (n > m && strcmp(path + n - m, end) == 0));
}

static int
visit(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)at;
	if (flag != FTW_F || !S_ISREG(st->st_mode) || walk.rc != DONE)
		return 0;
	if (walk.counting) {
		walk.all++;
		return 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	print_progress("judging", ++walk.done, walk.all);
	if (fd < 0) {
		walk.rc = failed("cannot open %s: %s", path, strerror(errno));
		return 0;
	}
	if (!is_recording(fd, path))
		(void)close(fd);
	else
		walk.rc = walk.take(walk.owner, fd, path);
	return 0;
}

static int
each_file(const char *folder)
{
	for (int counting = 1; counting >= 0; counting--) {
		walk.counting = counting != 0;
		if (nftw(folder, visit, OPEN_FOLDERS, FTW_PHYS) != 0)
			return failed("cannot read the recordings in %s: %s", folder, strerror(errno));
	}
	print_progress_end();
	return walk.rc;
}

static json_t *
list_args(const struct run *r, const char *cursor)
{
	static const char *const names[] = { "until", "target", "user" };
	json_t *args = json_pack("{s:s,s:s}", "since", option(r, "since") == NULL ? "30d" : option(r, "since"), "limit", "200");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (option(r, names[i]) != NULL)
			(void)json_object_set_new(args, names[i], json_string(option(r, names[i])));
	if (cursor != NULL)
		(void)json_object_set_new(args, "cursor", json_string(cursor));
	return args;
}

static int
each_of_gateway(struct run *r)
{
	char cursor[256] = "";
	int rc;
	do {
		json_t *answer = NULL, *one;
		size_t i;
		rc = client_call(r, "GET", "/api/v1/recordings", list_args(r, cursor[0] == '\0' ? NULL : cursor), &answer);
		json_array_foreach(json_object_get(answer, "recordings"), i, one) {
			const char *id = json_string_value(json_object_get(one, "id"));
			int fd = rc != DONE || id == NULL ? -1 : recording_fetch(r, id);
			print_progress("judging", ++walk.done, 0);
			if (rc == DONE)
				rc = fd < 0 ? FAILED : walk.take(walk.owner, fd, id);
		}
		const char *next = json_string_value(json_object_get(answer, "next"));
		(void)snprintf(cursor, sizeof(cursor), "%s", next == NULL ? "" : next);
		json_decref(answer);
	} while (rc == DONE && cursor[0] != '\0');
	print_progress_end();
	return rc;
}

int
backtest_each(struct run *r, int (*take)(void *owner, int fd, const char *name), void *owner)
{
	memset(&walk, 0, sizeof(walk));
	walk.take = take;
	walk.owner = owner;
	return option(r, "store") != NULL ? each_file(option(r, "store")) : each_of_gateway(r);
}
