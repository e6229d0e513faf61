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

static bool
same_admin(const struct target *a, const struct target *b)
{
	return strcmp(a->server, b->server) == 0 && strcmp(a->admin.user, b->admin.user) == 0 && strcmp(a->admin.secret, b->admin.secret) == 0;
}

/* Counts admin logins, each where it first stands, up to that target's. */
static unsigned
admins_before(const struct settings *s, const struct target *end)
{
	unsigned n = 0;
	for (const struct target *t = s->targets; t != NULL; t = (const struct target *)t->b.next) {
		const struct target *first = s->targets;
		while (first != t && (!first->login.ephemeral || !same_admin(first, t)))
			first = (const struct target *)first->b.next;
		if (end != NULL && t->login.ephemeral && same_admin(t, end))
			return n;
		n += t->login.ephemeral && first == t;
	}
	return n;
}

unsigned
helpers_lender(const struct settings *s, const struct target *t)
{
	return admins_before(s, t);
}

static unsigned
lenders(const struct settings *s)
{
	return admins_before(s, NULL);
}

unsigned
helpers_wanted(const struct settings *s, enum role role)
{
	static unsigned (*const count[ROLES])(const struct settings *s) = { [ROLE_SAML] = saml_wanted, [ROLE_LEND] = lenders };
	return (unsigned)role < ROLES && count[role] != NULL ? count[role](s) : 0;
}
