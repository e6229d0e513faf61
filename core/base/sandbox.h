/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock-down of a role: what it may still ask of the kernel once it is up.
 *
 *   no_new_privs   nothing that is executed gains anything; nothing is executed
 *   Landlock       of the file system, only what `paths` names
 *   seccomp        of the system calls, only the role's list (sandbox.c); any other fails with EPERM
 *                  and is logged once.  No executable memory can be made: load modules before.
 *
 * One way: it can only be narrowed.  A kernel without Landlock or seccomp gets a warning in the log.
 * Linked into the roles that call it, not into the library that everybody has.
 */
#ifndef SALLYPORT_SANDBOX_H
#define SALLYPORT_SANDBOX_H

#include "message.h"

/* Files, or directories with all below them; NULL-terminated lists, or NULL for none. */
struct sandbox_paths {
	const char *const *read;  /* one that is not there is passed over */
	const char *const *write; /* directories: make, write, rename, remove; must be there */
};

/* paths NULL: no files at all.  Not SP_OK: the process must end, it may be locked down by half. */
int sandbox_enter(enum role self, const struct sandbox_paths *paths) SP_MUST;

#endif
