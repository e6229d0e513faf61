/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands about recordings share. */
#ifndef SALLYPORT_RECORDINGS_H
#define SALLYPORT_RECORDINGS_H

#include "../record/frame.h"
#include "../record/seal.h"
#include "command.h"

/* A file of that name, or the session's recording from the gateway: a readable fd, or -1 after having said why. */
int recording_fetch(const struct run *r, const char *what);

/* The auditor's private key that --key names, for sealed recordings; DONE also when none is named. */
int recording_key(struct run *r, uint8_t key_r[SEAL_KEY], bool *have_r);

/*
 * The frames of all operations that belong to the group that the word names, or to those of the session that it names, by their
 * time, numbered as if they were one session's;
 * the sessions' headers among them, or only the first one.  A frame is borrowed for the call.
 */
int recordings_together(const struct run *r, bool one_header, int (*each)(void *owner, const struct frame *f), void *owner) SP_MUST;

#endif
