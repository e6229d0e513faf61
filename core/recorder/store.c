/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of recordings, and nothing but plain file calls. */
#include <config.h>

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../record/block.h"

#define COPY_PART (1u << 20)
#define PATH_LEN (3 + ID_TEXT + 4)

int
write_at(int fd, struct sp_bytes b, uint64_t at)
{
	for (size_t done = 0; done < b.len;) {
		ssize_t n = pwrite(fd, b.p + done, b.len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return SP_EIO;
		done += (size_t)n;
	}
	return SP_OK;
}

int
read_at(int fd, void *into, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (uint8_t *)into + done, len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return SP_EIO;
		done += (size_t)n;
	}
	return SP_OK;
}

static int
folder(int at, const char *name)
{
	if (mkdirat(at, name, 0750) != 0 && errno != EEXIST)
		return -1;
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int
store_open(struct store *s, const char *path, const char **err_r)
{
	static char text[320];
	*s = (struct store){ -1, -1, -1, -1, false };
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		goto out;
	s->top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->top < 0)
		goto out;
	s->sessions = folder(s->top, "sessions");
	s->journal = folder(s->top, "journal");
	s->lock = openat(s->top, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->sessions < 0 || s->journal < 0 || s->lock < 0 || fsync(s->top) != 0)
		goto out;
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return SP_OK;
	errno = EBUSY;
out:
	(void)snprintf(text, sizeof(text), "recordings in %.200s: %s", path,
	    errno == EBUSY ? "another recorder works there" : strerror(errno));
	*err_r = text;
	store_close(s);
	return SP_EIO;
}

void
store_close(struct store *s)
{
	const int fds[] = { s->sessions, s->journal, s->lock, s->top };
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*s = (struct store){ -1, -1, -1, -1, false };
}

static const char *
path_of(const uint8_t id[ID_LEN], char path[PATH_LEN])
{
	char text[ID_TEXT];
	id_format(id, text);
	(void)snprintf(path, PATH_LEN, "%.2s/%s.spr", text, text);
	return path;
}

static int
open_for(struct store *s, const uint8_t id[ID_LEN], int flags)
{
	char path[PATH_LEN];
	return openat(s->sessions, path_of(id, path), flags | O_CLOEXEC | O_NOFOLLOW, 0640);
}

/* A new file: never one that is there, in a folder that may have to be made. */
static int
create(struct store *s, const uint8_t id[ID_LEN])
{
	char name[3], path[PATH_LEN];
	int fd = open_for(s, id, O_WRONLY | O_CREAT);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	(void)snprintf(name, sizeof(name), "%.2s", path_of(id, path));
	if ((mkdirat(s->sessions, name, 0750) != 0 && errno != EEXIST) || fsync(s->sessions) != 0)
		return -1;
	return open_for(s, id, O_WRONLY | O_CREAT);
}

int
store_write(struct store *s, const uint8_t id[ID_LEN], uint64_t offset, struct sp_bytes b)
{
	int fd = offset == 0 ? create(s, id) : open_for(s, id, O_WRONLY);
	if (fd < 0)
		return SP_EIO;
	int rc = write_at(fd, b, offset);
	int error = errno;
	close(fd);
	errno = error;
	return rc;
}

void
store_start(struct store *s, const uint8_t id[ID_LEN], uint64_t offset, size_t len)
{
	int fd = open_for(s, id, O_WRONLY), error = errno;
	if (fd < 0)
		return;
	(void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE); /* a hint */
	close(fd);
	errno = error;
}

int
store_sync(struct store *s, const uint8_t id[ID_LEN], bool fresh)
{
	char name[3], path[PATH_LEN];
	int fd = open_for(s, id, O_RDONLY);
	if (fd < 0)
		return SP_EIO;
	int rc = fdatasync(fd);
	close(fd);
	if (rc != 0 || !fresh)
		return rc == 0 ? SP_OK : SP_EIO;
	(void)snprintf(name, sizeof(name), "%.2s", path_of(id, path));
	fd = openat(s->sessions, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return SP_EIO;
	rc = fsync(fd);
	close(fd);
	return rc == 0 ? SP_OK : SP_EIO;
}

static int
copy_file(int from, int to)
{
	uint8_t *part = mem_alloc(COPY_PART);
	ssize_t n;
	int rc = SP_OK;
	for (uint64_t at = 0; rc == SP_OK && (n = pread(from, part, COPY_PART, (off_t)at)) != 0;) {
		if (n < 0)
			rc = errno == EINTR ? SP_OK : SP_EIO;
		else
			rc = write_at(to, (struct sp_bytes){ part, (size_t)n }, at);
		at += n < 0 ? 0 : (uint64_t)n;
	}
	free(part);
	return rc;
}

int
store_renew(struct store *s, const uint8_t id[ID_LEN])
{
	char path[PATH_LEN];
	int from = open_for(s, id, O_RDONLY);
	int to = openat(s->top, "renew.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	int rc = from < 0 || to < 0 ? SP_EIO : copy_file(from, to);
	if (rc == SP_OK && (fsync(to) != 0 || renameat(s->top, "renew.tmp", s->sessions, path_of(id, path)) != 0))
		rc = SP_EIO;
	int error = errno;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	errno = error;
	return rc == SP_OK ? store_sync(s, id, true) : rc;
}

int64_t
store_size(struct store *s, const uint8_t id[ID_LEN])
{
	struct stat st;
	char path[PATH_LEN];
	return fstatat(s->sessions, path_of(id, path), &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)st.st_size : -1;
}

int
store_truncate(struct store *s, const uint8_t id[ID_LEN], uint64_t size)
{
	int fd = open_for(s, id, O_WRONLY);
	if (fd < 0)
		return SP_EIO;
	int rc = ftruncate(fd, (off_t)size);
	close(fd);
	return rc == 0 ? SP_OK : SP_EIO;
}

int
store_fetch(struct store *s, const uint8_t id[ID_LEN])
{
	return open_for(s, id, O_RDONLY);
}

int
store_remove(struct store *s, const uint8_t id[ID_LEN])
{
	char path[PATH_LEN];
	return unlinkat(s->sessions, path_of(id, path), 0) == 0 || errno == ENOENT ? SP_OK : SP_EIO;
}

uint64_t
store_room(const struct store *s)
{
	struct statvfs v;
	return fstatvfs(s->top, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
}

void
store_reserve(struct store *s, uint64_t bytes)
{
	if (s->reserved || store_room(s) / 4 < bytes)
		return;
	int fd = openat(s->top, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return;
	s->reserved = true;
	if (posix_fallocate(fd, 0, (off_t)bytes) != 0)
		store_give_up(s);
	close(fd);
}

void
store_give_up(struct store *s)
{
	s->reserved = false;
	(void)unlinkat(s->top, "reserve", 0);
}
