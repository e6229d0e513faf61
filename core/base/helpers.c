/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a configuration need a helper. */
#include <config.h>

#include "helpers.h"

static unsigned
saml_wanted(const struct settings *s)
{
	const struct identity *i = s->identities;
	while (i != NULL && i->saml.metadata[0] == '\0')
		i = (const struct identity *)i->b.next;
	return i != NULL;
}

unsigned
helpers_wanted(const struct settings *s, enum role role)
{
	static unsigned (*const count[ROLES])(const struct settings *s) = { [ROLE_SAML] = saml_wanted };
	unsigned n = (unsigned)role < ROLES && count[role] != NULL ? count[role](s) : 0;
	return n > HELPERS_MAX ? HELPERS_MAX : n;
}
