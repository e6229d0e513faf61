/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of the operator's that prints a password: `command NAME { run … }`.
 *
 *   lend helper, locked down ── go ─▶ spawner, forked before that ── fork, exec ─▶ the program: argv, no shell,
 *                            ◀─ answer, one packet ─┘                stdin and stderr nowhere, an environment of its own
 *
 * One at a time; each has its deadline, after which its process group is killed, and at most 8192 bytes.
 */
#ifndef SALLYPORT_HELPER_LEND_COMMAND_H
#define SALLYPORT_HELPER_LEND_COMMAND_H

#include <jansson.h>

#include "helper.h"

/* Before the lock-down: the spawner, where this lender's configuration is a command. */
int command_open(struct helper *h, const char **err_r) SP_MUST;
/* Another configuration: false when it wants another spawner, and so another process. */
bool command_same(const struct helper *h);
/* True when the job is one of these; it is answered later. */
bool command_job(struct helper *h, const json_t *job, const struct message *m);
/* Nobody waits any more. */
void command_void(void);
bool command_idle(void);

#endif
