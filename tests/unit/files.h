/* SPDX-License-Identifier: Apache-2.0 */
/* What tests do with files of their own: a folder goes with all that is in it; a module that was built is copied to where it is loaded. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int
files_remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

/* Links are not followed. */
static inline bool
files_remove(const char *folder)
{
	return nftw(folder, files_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

static inline bool
files_copy(const char *from, const char *to, mode_t mode)
{
	char bytes[65536];
	ssize_t n = -1;
	int in = open(from, O_RDONLY | O_CLOEXEC), out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			break;
	bool whole = n == 0 && fchmod(out, mode) == 0;
	if (in >= 0)
		(void)close(in);
	if (out >= 0)
		(void)close(out);
	return whole;
}

#endif
