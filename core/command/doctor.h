/* SPDX-License-Identifier: Apache-2.0 */
/* What `doctor` looks at, one function each, and how each says what it saw. */
#ifndef SALLYPORT_COMMAND_DOCTOR_H
#define SALLYPORT_COMMAND_DOCTOR_H

#include "../base/epoch.h"
#include "command.h"

enum finding { GOOD, WARNING, DANGER };

struct doctor {
	const struct run *r;
	const char *conf;
	const char *only;           /* the target that was named, or NULL */
	const struct settings *s;   /* NULL: the configuration can't be read */
	const char *wrong;          /* why, or NULL */
	json_t *found;              /* of { finding, about, text } */
	unsigned dangers, warnings;
	unsigned others;            /* lines about targets that were not asked for */
};

void doctor_say(struct doctor *d, enum finding what, const char *about, const char *fmt, ...) SP_PRINTF(4, 5);
bool doctor_wants(const struct doctor *d, const struct target *t);

/* What `sallyportd -t --connect` says: configuration, policies and their tests, logins. */
void doctor_daemon(struct doctor *d);
void doctor_files(struct doctor *d);        /* who may read and change what (doctor_files.c) */
void doctor_certificates(struct doctor *d);
void doctor_disks(struct doctor *d);        /* doctor_host.c */
void doctor_clock(struct doctor *d);
void doctor_kernel(struct doctor *d);

#endif
