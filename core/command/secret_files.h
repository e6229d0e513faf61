/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing sealed secrets and their key (base/sealed.h), beside a running gateway: one writer at a time,
 * each file whole and synced before it has its name.
 *
 *   rotation:   OLD ─▶ NEW, OLD ─▶ each secret anew, under NEW ─▶ NEW
 *
 * At every point of it all secrets open with what the key file holds; one that was interrupted is
 * finished by the next.
 */
#ifndef SALLYPORT_COMMAND_SECRET_FILES_H
#define SALLYPORT_COMMAND_SECRET_FILES_H

#include <sys/types.h>

#include "../base/sealed.h"
#include "../base/settings.h"

struct secret_folder {
	const char *path, *key_path; /* the settings' */
	int fd;                      /* of the folder, locked */
	uid_t uid;                   /* whose the files are: the keeper's */
	gid_t gid;
	struct sealed_keys keys;     /* n is 0: there is no key yet */
};

/* All of these: DONE, or FAILED after having said why. */

/* Waits for another writer.  make: the folder, when it is not there. */
int secret_folder_open(const struct settings *s, bool make, struct secret_folder *f_r) SP_MUST;
void secret_folder_close(struct secret_folder *f);
/* Makes a key, unless there is one; not where secrets are that it would not open. */
int secret_key_make(struct secret_folder *f) SP_MUST;
int secret_put(struct secret_folder *f, const char *name, struct sp_bytes plain) SP_MUST;
int secret_remove(struct secret_folder *f, const char *name) SP_MUST;
/* *n_r: how many were sealed anew.  *finished_r: it was an earlier rotation that came to its end. */
int secret_rotate(struct secret_folder *f, size_t *n_r, bool *finished_r) SP_MUST;

/* In the order of their names; state: how it opens, a word or two; sealed: wall µs. */
int secret_each(struct secret_folder *f, int (*each)(void *owner, const char *name, const char *state, uint64_t sealed), void *owner) SP_MUST;

#endif
