/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of sealed secrets as `sallyport secret` changes it. */
#include <config.h>

#include "secret_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/digest.h"
#include "command.h"

#define KEY_TEXT (2 * SEALED_KEY_LEN + 1)
#define FILE_BYTES (SEALED_PLAIN_MAX + 256)

/* ---- files ---- */

static int
write_all(int fd, struct sp_bytes b)
{
	for (size_t done = 0; done < b.len;) {
		ssize_t n = write(fd, b.p + done, b.len - done);
		if (n < 0 && errno != EINTR)
			return -1;
		done += n < 0 ? 0 : (size_t)n;
	}
	return fsync(fd);
}

/* NAME in that folder, by way of .NAME.new: a crash leaves the old one, or the new one. */
static int
replace(const struct secret_folder *f, int folder, const char *name, struct sp_bytes bytes)
{
	char fresh[NAME_MAX + 8];
	(void)snprintf(fresh, sizeof(fresh), ".%.*s.new", NAME_MAX, name);
	(void)unlinkat(folder, fresh, 0);
	int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && (geteuid() != 0 || fchown(fd, f->uid, f->gid) == 0) && write_all(fd, bytes) == 0;
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	ok = ok && renameat(folder, fresh, folder, name) == 0 && fsync(folder) == 0;
	if (ok)
		return DONE;
	int why = errno;
	(void)unlinkat(folder, fresh, 0);
	return failed("cannot write %s: %s", name, strerror(why));
}

/* ---- opening ---- */

/* Root writes for the keeper: into a new folder, as that account; into an old one, as its owner. */
static int
keeper_account(const struct settings *s, struct secret_folder *f)
{
	char name[96];
	f->uid = geteuid();
	f->gid = getegid();
	if (f->uid != 0)
		return DONE;
	(void)snprintf(name, sizeof(name), "%s-keeper", s->user);
	const struct passwd *pw = getpwnam(name);
	if (pw == NULL)
		return failed("there is no user %s, whose the secrets would be", name);
	f->uid = pw->pw_uid;
	f->gid = pw->pw_gid;
	return DONE;
}

static int
make_folder(const struct settings *s, struct secret_folder *f)
{
	int rc = keeper_account(s, f);
	if (rc != DONE)
		return rc;
	if (mkdir(f->path, 0700) != 0 && errno != EEXIST)
		return failed("cannot make the folder %s: %s", f->path, strerror(errno));
	int fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = fd >= 0 && (geteuid() != 0 || fchown(fd, f->uid, f->gid) == 0);
	if (fd >= 0)
		(void)close(fd);
	return ok ? DONE : failed("cannot make the folder %s: %s", f->path, strerror(errno));
}

static int
read_keys(struct secret_folder *f)
{
	const char *why;
	if (access(f->key_path, F_OK) != 0 && errno == ENOENT)
		return DONE;
	if (sealed_keys_read(f->key_path, &f->keys, &why) == SP_OK)
		return DONE;
	return failed("the key file %s %s", f->key_path, why);
}

int
secret_folder_open(const struct settings *s, bool make, struct secret_folder *f_r)
{
	struct stat st;
	*f_r = (struct secret_folder){ .path = s->secrets.folder, .fd = -1 };
	if (s->secrets.key[0] == '\0')
		return failed("the configuration has no \"secrets key=file:PATH;\", which says where the key of sealed secrets is");
	f_r->key_path = s->secrets.key + strlen("file:");
	if (make && access(f_r->path, F_OK) != 0 && make_folder(s, f_r) != DONE)
		return FAILED;
	f_r->fd = open(f_r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f_r->fd < 0 || fstat(f_r->fd, &st) != 0) {
		(void)failed(errno == ENOENT ? "there is no folder %s: no secret was ever set" : "cannot open the folder %s: %s", f_r->path, strerror(errno));
		secret_folder_close(f_r);
		return FAILED;
	}
	f_r->uid = st.st_uid;
	f_r->gid = st.st_gid;
	int rc = flock(f_r->fd, LOCK_EX) == 0 ? read_keys(f_r) : failed("cannot lock %s: %s", f_r->path, strerror(errno));
	if (rc != DONE)
		secret_folder_close(f_r);
	return rc;
}

void
secret_folder_close(struct secret_folder *f)
{
	sealed_keys_free(&f->keys);
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

/* ---- names ---- */

/* The name of a secret's file without its ending; false: it is none. */
static bool
name_of(const char *file, char name[SEALED_NAME_MAX + 1])
{
	size_t n = strlen(file), end = strlen(SEALED_END);
	if (n <= end || n - end > SEALED_NAME_MAX || strcmp(file + n - end, SEALED_END) != 0)
		return false;
	memcpy(name, file, n - end);
	name[n - end] = '\0';
	return sealed_name_ok(name);
}

static int
is_secret(const struct dirent *d)
{
	char name[SEALED_NAME_MAX + 1];
	return name_of(d->d_name, name);
}

static int
walk(struct secret_folder *f, int (*each)(void *owner, struct secret_folder *f, const char *file, const char *name), void *owner)
{
	struct dirent **list;
	int n = scandir(f->path, &list, is_secret, alphasort), rc = DONE;
	if (n < 0)
		return failed("cannot list %s: %s", f->path, strerror(errno));
	for (int i = 0; i < n; i++) {
		char name[SEALED_NAME_MAX + 1];
		if (rc == DONE && name_of(list[i]->d_name, name))
			rc = each(owner, f, list[i]->d_name, name);
		free(list[i]);
	}
	free(list);
	return rc;
}

/* ---- the key ---- */

/* The new key first, then the old one when there is one. */
static int
write_keys(struct secret_folder *f, size_t n)
{
	char text[SEALED_KEYS * KEY_TEXT + 1], folder[PATH_MAX];
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		text_hex(secret_bytes(f->keys.key[i]), text + len);
		len += KEY_TEXT;
		text[len - 1] = '\n';
	}
	const char *slash = strrchr(f->key_path, '/');
	(void)snprintf(folder, sizeof(folder), "%.*s", slash == f->key_path ? 1 : (int)(slash - f->key_path), f->key_path);
	struct secret_folder as = *f;
	struct stat st;
	if (stat(f->key_path, &st) == 0) {
		as.uid = st.st_uid;
		as.gid = st.st_gid;
	}
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	if (fd < 0)
		rc = failed("cannot open %s, where the key is to be: %s", folder, strerror(errno));
	else
		rc = replace(&as, fd, slash + 1, (struct sp_bytes){ (const uint8_t *)text, len });
	if (fd >= 0)
		(void)close(fd);
	mem_wipe(text, sizeof(text));
	return rc;
}

static int
add_random_key(struct sealed_keys *k)
{
	uint8_t key[SEALED_KEY_LEN];
	random_bytes(key, sizeof(key));
	struct sp_secret *fresh = secret_new((struct sp_bytes){ key, sizeof(key) });
	mem_wipe(key, sizeof(key));
	if (fresh == NULL)
		return failed("there is no locked memory for a key (RLIMIT_MEMLOCK)");
	k->key[1] = k->key[0];
	k->key[0] = fresh;
	k->n++;
	return DONE;
}

static int
refuse_orphan(void *owner, struct secret_folder *f, const char *file, const char *name)
{
	(void)owner, (void)file;
	return failed("the key file %s is gone, and the secret %s is sealed under it: bring it back, or remove the files in %s and set the secrets anew",
	    f->key_path, name, f->path);
}

int
secret_key_make(struct secret_folder *f)
{
	if (f->keys.n > 0)
		return DONE;
	int rc = walk(f, refuse_orphan, NULL);
	if (rc == DONE)
		rc = add_random_key(&f->keys);
	return rc == DONE ? write_keys(f, 1) : rc;
}

/* ---- secrets ---- */

static int
put_under(struct secret_folder *f, const char *name, struct sp_bytes plain)
{
	char file[SEALED_NAME_MAX + 16];
	struct buffer sealed = { 0 };
	(void)snprintf(file, sizeof(file), "%s" SEALED_END, name);
	int rc = sealed_seal(&f->keys, 0, name, plain, &sealed) == SP_OK ? replace(f, f->fd, file, buffer_bytes(&sealed)) :
	                                                                   failed("%s could not be sealed", name);
	buffer_free(&sealed);
	return rc;
}

int
secret_put(struct secret_folder *f, const char *name, struct sp_bytes plain)
{
	return put_under(f, name, plain);
}

int
secret_remove(struct secret_folder *f, const char *name)
{
	char file[SEALED_NAME_MAX + 16];
	(void)snprintf(file, sizeof(file), "%s" SEALED_END, name);
	if (unlinkat(f->fd, file, 0) != 0 || fsync(f->fd) != 0)
		return failed(errno == ENOENT ? "there is no secret %s" : "cannot remove %s: %s", name, strerror(errno));
	return DONE;
}

static ssize_t
read_file(const struct secret_folder *f, const char *file, uint8_t out[FILE_BYTES], uint64_t *changed_r)
{
	struct stat st;
	int fd = openat(f->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 || fstat(fd, &st) != 0 ? -1 : read(fd, out, FILE_BYTES);
	if (n >= 0)
		*changed_r = (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000;
	if (fd >= 0)
		(void)close(fd);
	return n;
}

static int
seal_anew(void *owner, struct secret_folder *f, const char *file, const char *name)
{
	uint8_t text[FILE_BYTES];
	uint64_t changed;
	struct sp_secret *plain = NULL;
	const char *why = "cannot be read";
	ssize_t n = read_file(f, file, text, &changed);
	struct sp_bytes bytes = { text, n < 0 ? 0 : (size_t)n };
	if (n >= 0 && sealed_under(&f->keys, bytes) == 0 && sealed_open(&f->keys, name, bytes, &plain, &why) == SP_OK) {
		secret_free(&plain);
		return DONE;
	}
	if (n < 0 || sealed_open(&f->keys, name, bytes, &plain, &why) != SP_OK)
		return failed("the secret %s %s: nothing is lost, both keys stay until it is set anew or removed, and `sallyport secret rotate` was run again",
		    name, why);
	int rc = put_under(f, name, secret_bytes(plain));
	secret_free(&plain);
	*(size_t *)owner += rc == DONE;
	return rc;
}

int
secret_rotate(struct secret_folder *f, size_t *n_r, bool *finished_r)
{
	int rc = DONE;
	*n_r = 0;
	*finished_r = f->keys.n == SEALED_KEYS;
	if (f->keys.n == 0)
		return failed("there is no key in %s: `sallyport secret set NAME` makes the first one", f->key_path);
	if (f->keys.n == 1) {
		rc = add_random_key(&f->keys);
		if (rc == DONE)
			rc = write_keys(f, 2);
	}
	if (rc == DONE)
		rc = walk(f, seal_anew, n_r);
	return rc == DONE ? write_keys(f, 1) : rc;
}

/* ---- listing ---- */

struct listing {
	int (*each)(void *owner, const char *name, const char *state, uint64_t sealed);
	void *owner;
};

static int
show_one(void *owner, struct secret_folder *f, const char *file, const char *name)
{
	const struct listing *l = owner;
	uint8_t text[FILE_BYTES];
	uint64_t changed = 0;
	struct sp_secret *plain;
	const char *why = "cannot be read", *state;
	ssize_t n = read_file(f, file, text, &changed);
	struct sp_bytes bytes = { text, n < 0 ? 0 : (size_t)n };
	if (n < 0 || sealed_open(&f->keys, name, bytes, &plain, &why) != SP_OK)
		state = why;
	else
		state = sealed_under(&f->keys, bytes) == 0 ? "opens" : "opens, under the old key";
	if (n >= 0)
		secret_free(&plain);
	return l->each(l->owner, name, state, changed);
}

int
secret_each(struct secret_folder *f, int (*each)(void *owner, const char *name, const char *state, uint64_t sealed), void *owner)
{
	struct listing l = { each, owner };
	return walk(f, show_one, &l);
}
