/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed secrets: their key file, and opening them. */
#include <config.h>

#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aead.h"
#include "digest.h"

enum { ID = 8, LINE = 2 * SEALED_KEY_LEN + 1, KEY_FILE_MAX = SEALED_KEYS * LINE };
#define FILE_MAX (16 + AEAD_MORE + SEALED_PLAIN_MAX)

static const uint8_t magic[8] = { 's', 'p', '-', 's', 'e', 'a', 'l', 1 };

bool
sealed_name_ok(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	return name[0] != '\0' && name[0] != '.' && strlen(name) <= SEALED_NAME_MAX && name[strspn(name, letters)] == '\0';
}

/* ---- keys ---- */

/* -1: *why_r says why. */
static ssize_t
read_whole(const char *path, struct stat *st_r, uint8_t *out, size_t max, const char **why_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 || fstat(fd, st_r) != 0 ? -1 : read(fd, out, max);
	*why_r = errno == ENOENT ? "is not there" : strerror(errno);
	if (fd >= 0)
		(void)close(fd);
	return n;
}

static int
parse_keys(char *text, struct sealed_keys *k_r)
{
	uint8_t key[SEALED_KEY_LEN];
	int rc = SP_OK;
	while (*text != '\0' && rc == SP_OK) {
		char *end = text + strcspn(text, "\n"), *next = *end == '\0' ? end : end + 1;
		*end = '\0';
		rc = k_r->n < SEALED_KEYS && text_unhex(text, key, sizeof(key)) == SP_OK ? SP_OK : SP_ECONF;
		if (rc == SP_OK && (k_r->key[k_r->n] = secret_new((struct sp_bytes){ key, sizeof(key) })) != NULL)
			k_r->n++;
		else if (rc == SP_OK)
			rc = SP_ENOMEM;
		text = next;
	}
	mem_wipe(key, sizeof(key));
	return rc == SP_OK && k_r->n == 0 ? SP_ECONF : rc;
}

int
sealed_keys_read(const char *path, struct sealed_keys *k_r, const char **why_r)
{
	struct stat st;
	char text[KEY_FILE_MAX + 2] = { 0 };
	*k_r = (struct sealed_keys){ .n = 0 };
	ssize_t n = read_whole(path, &st, (uint8_t *)text, sizeof(text) - 1, why_r);
	if (n < 0)
		return SP_EIO;
	int rc = S_ISREG(st.st_mode) && (st.st_mode & (S_IWGRP | S_IRWXO)) == 0 ? SP_OK : SP_ECONF;
	*why_r = "may be read or changed by others: chmod 0600, and the keeper's";
	if (rc == SP_OK) {
		rc = parse_keys(text, k_r);
		*why_r = rc == SP_ENOMEM ? "was read, but there is no locked memory for it (RLIMIT_MEMLOCK)" :
		                           "does not hold a key: a line of 64 hexadecimal digits";
	}
	mem_wipe(text, sizeof(text));
	if (rc != SP_OK)
		sealed_keys_free(k_r);
	return rc;
}

void
sealed_keys_free(struct sealed_keys *k)
{
	for (size_t i = 0; i < SEALED_KEYS; i++)
		secret_free(&k->key[i]);
	k->n = 0;
}

static void
id_of(const struct sp_secret *key, uint8_t id[ID])
{
	uint8_t out[DIGEST_LEN];
	digest_derive(secret_bytes(key), "sealed key id", SP_LIT(""), out);
	memcpy(id, out, ID);
}

/* ---- one secret ---- */

static int
bound_to(struct sp_bytes head, const char *name, struct buffer *out)
{
	int rc = buffer_put(out, head);
	return rc == SP_OK ? buffer_put(out, sp_str(name)) : rc;
}

int
sealed_seal(const struct sealed_keys *k, size_t with, const char *name, struct sp_bytes plain, struct buffer *out)
{
	uint8_t head[sizeof(magic) + ID], key[DIGEST_LEN];
	struct buffer bound = { 0 };
	if (with >= k->n || plain.len > SEALED_PLAIN_MAX || !sealed_name_ok(name))
		return SP_EINTERNAL;
	memcpy(head, magic, sizeof(magic));
	id_of(k->key[with], head + sizeof(magic));
	digest_derive(secret_bytes(k->key[with]), "sealed secret", SP_LIT(""), key);
	int rc = bound_to((struct sp_bytes){ head, sizeof(head) }, name, &bound);
	if (rc == SP_OK)
		rc = buffer_put(out, (struct sp_bytes){ head, sizeof(head) });
	if (rc == SP_OK)
		rc = aead_seal(key, buffer_bytes(&bound), plain, out);
	mem_wipe(key, sizeof(key));
	buffer_free(&bound);
	return rc;
}

size_t
sealed_under(const struct sealed_keys *k, struct sp_bytes file)
{
	uint8_t id[ID];
	struct sp_reader r = sp_reader(file);
	(void)sp_rd_take(&r, sizeof(magic));
	struct sp_bytes said = sp_rd_take(&r, ID);
	for (size_t i = 0; i < k->n && !r.bad; i++) {
		id_of(k->key[i], id);
		if (sp_bytes_eq(said, (struct sp_bytes){ id, ID }))
			return i;
	}
	return k->n;
}

static int
open_under(const struct sp_secret *with, const char *name, struct sp_bytes file, struct buffer *plain)
{
	uint8_t key[DIGEST_LEN];
	struct buffer bound = { 0 };
	struct sp_reader r = sp_reader(file);
	struct sp_bytes head = sp_rd_take(&r, sizeof(magic) + ID);
	digest_derive(secret_bytes(with), "sealed secret", SP_LIT(""), key);
	int rc = bound_to(head, name, &bound);
	if (rc == SP_OK)
		rc = aead_open(key, buffer_bytes(&bound), sp_rd_rest(&r), plain);
	mem_wipe(key, sizeof(key));
	buffer_free(&bound);
	return rc;
}

int
sealed_open(const struct sealed_keys *k, const char *name, struct sp_bytes file, struct sp_secret **s_r, const char **why_r)
{
	struct buffer plain = { .max = SEALED_PLAIN_MAX };
	struct sp_reader r = sp_reader(file);
	struct sp_bytes said = sp_rd_take(&r, sizeof(magic));
	*s_r = NULL;
	*why_r = "is not a sealed secret, or of a newer format";
	if (r.bad || !sp_bytes_eq(said, (struct sp_bytes){ magic, sizeof(magic) }))
		return SP_EPROTO;
	size_t with = sealed_under(k, file);
	*why_r = "is cut short, or sealed under another key";
	if (with == k->n)
		return SP_ETIME;
	int rc = file.len > FILE_MAX ? SP_EPROTO : open_under(k->key[with], name, file, &plain);
	*why_r = "was altered or cut short, or is another secret's under this name";
	if (rc == SP_OK && (*s_r = secret_new(buffer_bytes(&plain))) == NULL) {
		rc = SP_ENOMEM;
		*why_r = "was opened, but there is no locked memory for it (RLIMIT_MEMLOCK)";
	}
	buffer_free(&plain);
	return rc;
}

int
sealed_read(const struct sealed_keys *k, const char *folder, const char *name, struct sp_secret **s_r, const char **why_r)
{
	char path[4096];
	uint8_t text[FILE_MAX + 1];
	struct stat st;
	*s_r = NULL;
	*why_r = "is no name of a secret";
	if (!sealed_name_ok(name) || strlen(folder) + strlen(name) + 16 > sizeof(path))
		return SP_ECONF;
	(void)snprintf(path, sizeof(path), "%s/%s" SEALED_END, folder, name);
	ssize_t n = read_whole(path, &st, text, sizeof(text), why_r);
	return n < 0 ? SP_EIO : sealed_open(k, name, (struct sp_bytes){ text, (size_t)n }, s_r, why_r);
}
