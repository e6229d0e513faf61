/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. */
#include <config.h>

#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../base/log.h"

#define FILES_MAX 256u
#define FILE_SIZE_MAX (8u << 20)
#define NAME_LEN_MAX 100u

struct files {
	struct file file[FILES_MAX];
	size_t n;
};

static const struct {
	const char *ending, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" }, { ".css", "text/css; charset=utf-8" },
	{ ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".woff2", "font/woff2" }, { ".wasm", "application/wasm" },
};

static bool
ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), e = strlen(ending);
	return n > e && strcmp(name + n - e, ending) == 0;
}

static const char *
type_of(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (ends_with(name, types[i].ending))
			return types[i].type;
	return NULL;
}

static struct file *
find(const struct files *f, struct sp_bytes path)
{
	for (size_t i = 0; i < f->n; i++)
		if (sp_bytes_is(path, f->file[i].path))
			return (struct file *)(uintptr_t)&f->file[i];
	return NULL;
}

const struct file *
files_find(const struct files *f, struct sp_bytes path)
{
	return f == NULL ? NULL : find(f, path);
}

/* ---- reading ---- */

static int
read_whole(int folder, const char *name, struct sp_bytes *b_r)
{
	struct stat st;
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*b_r = (struct sp_bytes){ NULL, 0 };
	if (fd < 0)
		return SP_EIO;
	size_t n = 0, size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)FILE_SIZE_MAX ? (size_t)st.st_size : SIZE_MAX;
	uint8_t *p = size == SIZE_MAX ? NULL : mem_alloc(size + 1);
	ssize_t got = 1;
	while (p != NULL && n < size && (got = read(fd, p + n, size - n)) > 0)
		n += (size_t)got;
	close(fd);
	if (p == NULL || n != size) {
		free(p);
		return SP_EIO;
	}
	*b_r = (struct sp_bytes){ p, size };
	return SP_OK;
}

static void
name_content(struct file *f)
{
	uint8_t digest[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];
	digest_sha256(f->body, digest);
	text_hex((struct sp_bytes){ digest, DIGEST_LEN }, hex);
	(void)snprintf(f->etag, sizeof(f->etag), "\"%.20s\"", hex);
}

/* `below`: "" or "/assets", whose files have names that change with what is in them. */
static int
read_file(struct files *f, int folder, const char *below, const char *name)
{
	char gz[NAME_LEN_MAX + 8], path[2 * NAME_LEN_MAX + 8];
	const char *type = type_of(name);
	if (type == NULL || strlen(name) > NAME_LEN_MAX)
		return SP_OK;
	if (f->n == FILES_MAX)
		return SP_ETOOBIG;
	struct file *one = &f->file[f->n];
	*one = (struct file){ .type = type, .lasting = below[0] != '\0' };
	if (read_whole(folder, name, &one->body) != SP_OK)
		return SP_EIO;
	(void)snprintf(path, sizeof(path), "%.101s/%.100s", below, name);
	(void)snprintf(gz, sizeof(gz), "%.100s.gz", name);
	if (read_whole(folder, gz, &one->gzip) != SP_OK)
		one->gzip = (struct sp_bytes){ NULL, 0 };
	one->path = mem_string(sp_str(path));
	name_content(one);
	f->n++;
	return SP_OK;
}

/* Takes fd over.  A folder whose files anybody may replace is not read. */
static int
read_folder(struct files *f, int fd, const char *below, const char **err_r)
{
	struct stat st;
	struct dirent *e;
	if (fstat(fd, &st) != 0 || (st.st_mode & S_IWOTH) != 0) {
		close(fd);
		*err_r = "everybody may write there";
		return SP_ECONF;
	}
	DIR *d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return SP_EIO;
	}
	int rc = SP_OK;
	while (rc == SP_OK && (e = readdir(d)) != NULL) {
		int sub = e->d_name[0] == '.' ? -1 : openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		char name[NAME_LEN_MAX + 2];
		if (sub >= 0 && below[0] == '\0' && strlen(e->d_name) <= NAME_LEN_MAX) {
			(void)snprintf(name, sizeof(name), "/%.100s", e->d_name);
			rc = read_folder(f, sub, name, err_r);
		} else if (sub >= 0) {
			close(sub);
		} else if (e->d_name[0] != '.') {
			rc = read_file(f, dirfd(d), below, e->d_name);
		}
	}
	(void)closedir(d);
	return rc;
}

int
files_read(const char *folder, struct files **f_r, const char **err_r)
{
	*f_r = NULL;
	*err_r = "a file there can't be read, is longer than 8 MB, or there are more than 256";
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? SP_OK : SP_ECONF;
	struct files *f = mem_alloc(sizeof(*f));
	f->n = 0;
	int rc = read_folder(f, fd, "", err_r);
	if (rc != SP_OK || find(f, SP_LIT("/index.html")) == NULL) {
		files_free(&f);
		return rc == SP_OK ? SP_OK : SP_ECONF;
	}
	*f_r = f;
	return SP_OK;
}

void
files_free(struct files **at)
{
	struct files *f = *at;
	*at = NULL;
	for (size_t i = 0; f != NULL && i < f->n; i++) {
		free(f->file[i].path);
		free((void *)(uintptr_t)f->file[i].body.p);
		free((void *)(uintptr_t)f->file[i].gzip.p);
	}
	free(f);
}

/* Installed: ROLES_DIR under some prefix (DESTDIR).  Else beside core/ of a build tree. */
void
files_folder(char *out, size_t cap)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	if (ends_with(self, ROLES_DIR) || strcmp(self, ROLES_DIR) == 0)
		(void)snprintf(out, cap, "%.*s%s", (int)(strlen(self) - strlen(ROLES_DIR)), self, CONSOLE_DIR);
	else
		(void)snprintf(out, cap, "%s/../web/dist", self);
}
