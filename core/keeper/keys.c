/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: read, or made whole and synced before anybody can see them. */
#include <config.h>

#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/log.h"

#define SEED_LEN 32
#define SEED_TEXT (2 * SEED_LEN)

static int
refuse(const char *path, const char *why)
{
	log_error("the key file %s %s", log_quote(sp_str(path)), why);
	return SP_ECONF;
}

/* 1: there is none. */
static int
read_seed(const char *path, uint8_t seed[SEED_LEN])
{
	struct stat st;
	char text[SEED_TEXT + 2] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 1 : refuse(path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
		(void)close(fd);
		return refuse(path, "must belong to the keeper, and to nobody else (mode 0600)");
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	int rc = n < SEED_TEXT ? SP_ECONF : text_unhex(text, seed, SEED_LEN);
	mem_wipe(text, sizeof(text));
	return rc == SP_OK ? SP_OK : refuse(path, "does not hold a key");
}

static int
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR)
			return SP_EIO;
		p += done < 0 ? 0 : done;
		n -= done < 0 ? 0 : (size_t)done;
	}
	return fsync(fd) == 0 ? SP_OK : SP_EIO;
}

static int
sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd >= 0 && fsync(fd) == 0 ? SP_OK : SP_EIO;
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int
keys_rename(const char *folder, const char *from, const char *to)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd >= 0 && renameat(fd, from, fd, to) == 0 && fsync(fd) == 0 ? SP_OK : SP_EIO;
	int why = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = why;
	return rc;
}

static int
write_seed(const char *folder, const char *path, const uint8_t seed[SEED_LEN])
{
	char *fresh = mem_alloc(strlen(path) + 5), text[SEED_TEXT + 2];
	(void)snprintf(fresh, strlen(path) + 5, "%s.new", path);
	text_hex((struct sp_bytes){ seed, SEED_LEN }, text);
	text[SEED_TEXT] = '\n';
	(void)unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? SP_EIO : write_all(fd, text, SEED_TEXT + 1);
	mem_wipe(text, sizeof(text));
	if (fd >= 0)
		(void)close(fd);
	if (rc == SP_OK && (rename(fresh, path) != 0 || sync_folder(folder) != SP_OK))
		rc = SP_EIO;
	free(fresh);
	return rc == SP_OK ? SP_OK : refuse(path, strerror(errno));
}

static int
seed_open(const char *folder, const char *name, struct sp_secret **seed_r)
{
	size_t size = (folder == NULL ? 0 : strlen(folder)) + strlen(name) + 2;
	char *path = mem_alloc(size);
	uint8_t seed[SEED_LEN];
	*seed_r = NULL;
	int rc = SP_OK;
	(void)snprintf(path, size, "%s/%s", folder == NULL ? "" : folder, name);
	if (folder != NULL)
		rc = read_seed(path, seed);
	if (folder == NULL || rc == 1)
		random_bytes(seed, sizeof(seed));
	if (rc == 1) {
		rc = write_seed(folder, path, seed);
		if (rc == SP_OK)
			log_info("made the key file %s", log_quote(sp_str(path)));
	}
	if (rc == SP_OK) {
		*seed_r = secret_new((struct sp_bytes){ seed, sizeof(seed) });
		rc = *seed_r == NULL ? refuse(path, "was read, but there is no locked memory for it") : SP_OK;
	}
	mem_wipe(seed, sizeof(seed));
	free(path);
	return rc;
}

static int
pair_open(const char *folder, const char *name, struct key_pair *k)
{
	int rc = seed_open(folder, name, &k->seed);
	if (rc == SP_OK)
		digest_public(secret_bytes(k->seed).p, k->public);
	return rc;
}

int
keys_open(const char *folder, struct keys *k_r, const char **err_r)
{
	*k_r = (struct keys){ .folder = folder == NULL ? NULL : mem_string(sp_str(folder)) };
	int rc = pair_open(folder, "signing.key", &k_r->signing);
	if (rc == SP_OK)
		rc = seed_open(folder, "master.key", &k_r->master);
	if (rc == SP_OK)
		return rc;
	*err_r = "the keeper's keys could not be opened";
	keys_close(k_r);
	return rc;
}

int
keys_issuer(struct keys *k, const char **err_r)
{
	if (k->issuer.seed != NULL)
		return SP_OK;
	int rc = pair_open(k->folder, "issuer.key", &k->issuer);
	if (rc != SP_OK)
		*err_r = "the local issuer's key could not be opened";
	return rc;
}

void
keys_close(struct keys *k)
{
	secret_free(&k->signing.seed);
	secret_free(&k->issuer.seed);
	secret_free(&k->master);
	free(k->folder);
	k->folder = NULL;
}

int
keys_sign(const struct key_pair *k, struct sp_bytes in, uint8_t out[SIGNATURE_LEN])
{
	return digest_sign(secret_bytes(k->seed).p, in, out);
}

void
keys_derive(const struct keys *k, const char *purpose, struct sp_bytes name, uint8_t out[DIGEST_LEN])
{
	digest_derive(secret_bytes(k->master), purpose, name, out);
}
