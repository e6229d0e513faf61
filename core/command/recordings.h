/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands about recordings share. */
#ifndef SALLYPORT_RECORDINGS_H
#define SALLYPORT_RECORDINGS_H

#include "../record/seal.h"
#include "command.h"

/* A file of that name, or the session's recording from the gateway: a readable fd, or -1 after having said why. */
int recording_fetch(const struct run *r, const char *what);

/* The auditor's private key that --key names, for sealed recordings; DONE also when none is named. */
int recording_key(struct run *r, uint8_t key_r[SEAL_KEY], bool *have_r);

#endif
