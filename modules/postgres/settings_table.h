/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that clients may change, at startup or by SET: a name that is not here is refused at
 * startup and unclear in a statement.  Values are checked, then passed on as they were written.
 */
#ifndef PG_SETTINGS_TABLE_H
#define PG_SETTINGS_TABLE_H

#include <sallyport/module.h>

enum pg_setting_where {
	PG_AT_STARTUP = 1, /* in the startup message, or -c NAME=VALUE in its `options` */
	PG_BY_SET = 2      /* SET, RESET, set_config(), ALTER ROLE … SET */
};

struct pg_setting {
	const char *name;  /* as the server writes it; compared without case */
	unsigned where;
	bool (*check)(struct sp_bytes value);
	const char *values; /* that check() takes, in words */
	bool tracked;      /* changes what names mean: the session must follow it */
	bool pinnable;     /* rules may pin it: RESET brings back what the session began with */
	const char *help;
};

/* The table row by row, by name: NULL gives the first, the last gives NULL. */
const struct pg_setting *pg_setting_next(const struct pg_setting *s);

enum pg_setting_answer { PG_SETTING_REFUSED, PG_SETTING_FINE, PG_SETTING_PINNED };

const struct pg_setting *pg_setting_find(struct sp_bytes name);
/*
 * PINNED: must not be changed, whatever a rule says.  A value with p == NULL is RESET: back to what the
 * session began with, which was checked then; "all" for RESET ALL, which leaves roles alone.
 */
enum pg_setting_answer pg_setting_check(struct sp_bytes name, struct sp_bytes value, enum pg_setting_where where);
/* FINE: any value may be set, and the server is asked what names mean behind it. */
enum pg_setting_answer pg_setting_any(struct sp_bytes name);
/*
 * Splits a startup message's `options` as the server does: -c NAME=VALUE and --NAME=VALUE with \ as
 * escape.  Anything else, or too long: SP_EPROTO.  name, value are borrowed until each() returns;
 * a negative answer of each() ends it.
 */
int pg_setting_options(struct sp_bytes options, int (*each)(void *owner, struct sp_bytes name, struct sp_bytes value),
    void *owner) SP_MUST;

/* May a rule pin it so?  As of struct sp_module. */
int pg_setting_pinnable(const char *name, const char *value, const char **err_r);
/* A value as pins write it, in `copy` when need be; NULL: it can't be told. */
const char *pg_setting_value(const struct pg_setting *s, struct sp_bytes value, char copy[64]);

/* The table, as Markdown. */
void pg_setting_manual(struct sp_writer *out);

#endif
