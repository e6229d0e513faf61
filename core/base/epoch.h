/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoch: one configuration, checked, as every process gets it (P11).
 *
 * The check process reads conf, policies and certificate files, tries them, and writes the result
 * into a sealed memfd; master hands that fd to everybody and numbers it.
 */
#ifndef SALLYPORT_EPOCH_H
#define SALLYPORT_EPOCH_H

#include "settings.h"

struct policy_source {
	const char *path; /* as the target's `policy` names it, made absolute */
	struct sp_bytes text;
	uint8_t hash[32];
};

struct epoch_file { /* certificates and keys of listeners, CAs: for workers */
	const char *path;
	struct sp_bytes content;
};

struct epoch {
	uint64_t number;
	struct arena *arena; /* everything below */
	struct settings settings;
	const struct conf_node *tree;
	struct policy_source *policies;
	size_t npolicies;
	struct epoch_file *files;
	size_t nfiles;
	uint8_t hash[32]; /* of all of it */
};

/* From the check process: read, check everything that needs no module and no Lua. */
int epoch_read(const char *conf_path, struct epoch **e_r, const char **err_r) SP_MUST;
int epoch_seal(const struct epoch *e, int *fd_r) SP_MUST; /* a sealed memfd */
int epoch_open(int fd, uint64_t number, struct epoch **e_r, const char **err_r) SP_MUST;
void epoch_free(struct epoch **e);
const struct epoch_file *epoch_find_file(const struct epoch *e, const char *path);
const struct policy_source *epoch_find_policy(const struct epoch *e, const char *path);

#endif
