/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones, from the system's database, without the process-wide TZ of libc.
 *
 * zones_prepare() reads all of them (about half a megabyte) before a process loses its files;
 * without it, a zone is read when a policy that names it is loaded.
 */
#ifndef SALLYPORT_ZONE_H
#define SALLYPORT_ZONE_H

#include "../base/memory.h"

struct zone;

void zones_prepare(void);
/* NULL: no such zone.  In the arena. */
const struct zone *zone_load(struct arena *a, const char *name);
/* A TZif file's content, RFC 8536; NULL: malformed. */
const struct zone *zone_parse(struct arena *a, struct sp_bytes file);
/* Seconds east of Greenwich at a time (seconds since 1970). */
int32_t zone_offset(const struct zone *z, int64_t at);
/* When the offset changes next, after `at`; INT64_MAX: never. */
int64_t zone_next(const struct zone *z, int64_t at);

/* Days since 1970 of a date of the Gregorian calendar. */
int64_t days_of(int64_t year, unsigned month, unsigned day);
void date_of(int64_t days, int64_t *year_r, unsigned *month_r, unsigned *day_r);

#endif
