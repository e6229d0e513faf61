/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoch: one configuration, checked, as every process gets it (P11).
 *
 * The check process reads conf, policies and certificate files, tries them, and writes the result
 * into a sealed memfd; master hands that fd to everybody and numbers it.  Who opens one trusts
 * nothing in it: the check process ran modules and Lua.
 *
 *     "SPE1" | str folder | str tree | be32 n, policies: str path, str text
 *                                    | be32 n, files: str path, u8 whose key, str content
 *     str: be32 length, bytes
 */
#ifndef SALLYPORT_EPOCH_H
#define SALLYPORT_EPOCH_H

#include "settings.h"

enum {
	EPOCH_MAX = 64 << 20,   /* bytes of a packed epoch */
	EPOCH_POLICY = 1 << 20, /* bytes of one policy file */
	EPOCH_FILE = 1 << 20,   /* bytes of one certificate, key or list of authorities */
	EPOCH_ITEMS = 4096      /* policies; files */
};

struct policy_source {
	const char *path; /* as the target's `policy` names it, made absolute */
	struct sp_bytes text;
	uint8_t hash[32];
};

enum { EPOCH_WORKERS = 1, EPOCH_CONSOLE = 2, EPOCH_ALL = EPOCH_WORKERS | EPOCH_CONSOLE }; /* for whom a key, or a packed epoch, is */

struct epoch_file { /* what workers and keeper need and can't read: certificates, keys, CAs, JWKS */
	const char *path;
	struct sp_bytes content; /* a NUL follows it */
	unsigned private;        /* a key: EPOCH_WORKERS, EPOCH_CONSOLE: only they get its content, others an empty one */
};

struct epoch {
	uint64_t number;
	struct arena *arena; /* everything below */
	struct settings settings;
	const struct conf_node *tree;
	struct policy_source *policies;
	size_t npolicies;
	struct policy_source *tests; /* NAME_test.lua beside each policy NAME.lua; only after epoch_read() */
	size_t ntests;
	struct epoch_file *files;
	size_t nfiles;
	uint8_t hash[32]; /* of all of it, keys left out: the same in every process */
};

/* From the check process: read, check everything that needs no module and no Lua. */
int epoch_read(const char *conf_path, struct epoch **e_r, const char **err_r) SP_MUST;
/* A sealed memfd, with the keys of those in `whose` and no others; 0: without any. */
int epoch_seal(const struct epoch *e, unsigned whose, int *fd_r) SP_MUST;
int epoch_open(int fd, uint64_t number, struct epoch **e_r, const char **err_r) SP_MUST;
/* The same from bytes. */
int epoch_unpack(struct sp_bytes in, uint64_t number, struct epoch **e_r, const char **err_r) SP_MUST;
void epoch_free(struct epoch **e);
const struct epoch_file *epoch_find_file(const struct epoch *e, const char *path);
/* The name of the file with the public half of a listener's `host_key`, a line; there may be no such file. */
const char *epoch_public_path(struct arena *a, const char *host_key);
const struct policy_source *epoch_find_policy(const struct epoch *e, const char *path);
/* The tests that belong to a policy file, or NULL. */
const struct policy_source *epoch_find_test(const struct epoch *e, const char *policy_path);

#endif
