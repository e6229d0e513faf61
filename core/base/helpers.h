/* SPDX-License-Identifier: Apache-2.0 */
/* How many helpers of each kind a configuration needs; master starts as many, with the indices from 0 on. */
#ifndef SALLYPORT_HELPERS_H
#define SALLYPORT_HELPERS_H

#include "message.h"
#include "settings.h"

#define HELPERS_MAX 32 /* of one kind; settings_check() refuses what would need more */

unsigned helpers_wanted(const struct settings *s, enum role role);
/* Which lender has the credentials of that target, which settings_lends(): one for each server and admin login, vault, command. */
unsigned helpers_lender(const struct settings *s, const struct target *t);
/* What that lender runs; NULL: nothing, it is of another kind. */
const struct secret_command *helpers_command(const struct settings *s, unsigned lender);

#endif
