/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets at rest: a folder of files NAME.sealed, each AES-256-GCM under the key of a key file.
 *
 *   "sp-seal" 0x01 | key id, 8 | nonce, 12 | sealed text | tag, 16
 *
 * What stands before the nonce, and NAME, is bound: a file that was cut, altered or renamed does not
 * open.  An older file of the same name does: who can write the folder can bring back an old secret.
 *
 * The key file holds a line of 64 hexadecimal digits; two, the new key first, while a rotation is under
 * way.  Whatever is sealed under one of them opens, so that a rotation may stop anywhere.
 *
 * The keeper reads; `sallyport secret` writes (command/secret_files.h).
 */
#ifndef SALLYPORT_SEALED_H
#define SALLYPORT_SEALED_H

#include "memory.h"

enum { SEALED_PLAIN_MAX = 8192, SEALED_NAME_MAX = 64, SEALED_KEYS = 2, SEALED_KEY_LEN = 32 };
#define SEALED_END ".sealed"

struct sealed_keys {
	struct sp_secret *key[SEALED_KEYS]; /* the first one seals */
	size_t n;
};

/* Letters, digits, '-', '_' and '.', the last not first. */
bool sealed_name_ok(const char *name);

/* *why_r: what is wrong with the file, as the end of a sentence. */
int sealed_keys_read(const char *path, struct sealed_keys *k_r, const char **why_r) SP_MUST;
void sealed_keys_free(struct sealed_keys *k);

/* The bytes of a file, sealed under k->key[with]. */
int sealed_seal(const struct sealed_keys *k, size_t with, const char *name, struct sp_bytes plain, struct buffer *out) SP_MUST;
/* SP_ETIME: it is sealed under none of these keys: the key file may have to be read anew. */
int sealed_open(const struct sealed_keys *k, const char *name, struct sp_bytes file, struct sp_secret **s_r, const char **why_r) SP_MUST;
/* The index of the key that a file says it is sealed under; k->n: none of these. */
size_t sealed_under(const struct sealed_keys *k, struct sp_bytes file);
/* FOLDER/NAME.sealed, opened. */
int sealed_read(const struct sealed_keys *k, const char *folder, const char *name, struct sp_secret **s_r, const char **why_r) SP_MUST;

#endif
