/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a configuration need a helper. */
#include <config.h>

#include "helpers.h"

unsigned
helpers_wanted(const struct settings *s, enum role role)
{
	static unsigned (*const count[ROLES])(const struct settings *s) = { NULL };
	unsigned n = (unsigned)role < ROLES && count[role] != NULL ? count[role](s) : 0;
	return n > HELPERS_MAX ? HELPERS_MAX : n;
}
