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
same_lender(const struct target *a, const struct target *b)
{
	if (!settings_lends(a) || !settings_lends(b) || a->login.ephemeral != b->login.ephemeral)
		return false;
	if (!a->login.ephemeral)
		return strcmp(a->login.vault, b->login.vault) == 0 && strcmp(a->login.command, b->login.command) == 0;
	return strcmp(a->server, b->server) == 0 && strcmp(a->admin.user, b->admin.user) == 0 && strcmp(a->admin.secret, b->admin.secret) == 0;
}

/* Counts admin logins, vaults and commands, each where it first stands, up to that target's. */
static unsigned
lenders_before(const struct settings *s, const struct target *end)
{
	unsigned n = 0;
	for (const struct target *t = s->targets; t != NULL; t = (const struct target *)t->b.next) {
		const struct target *first = s->targets;
		while (first != t && !same_lender(first, t))
			first = (const struct target *)first->b.next;
		if (end != NULL && same_lender(t, end))
			return n;
		n += settings_lends(t) && first == t;
	}
	return n;
}

unsigned
helpers_lender(const struct settings *s, const struct target *t)
{
	return lenders_before(s, t);
}

const struct secret_command *
helpers_command(const struct settings *s, unsigned lender)
{
	for (const struct target *t = s->targets; t != NULL; t = (const struct target *)t->b.next)
		if (t->login.command[0] != '\0' && helpers_lender(s, t) == lender)
			return settings_command(s, t->login.command);
	return NULL;
}

static unsigned
lenders(const struct settings *s)
{
	return lenders_before(s, NULL);
}

/* Keys that are asked for, and sign-ins. */
static unsigned
fetch_wanted(const struct settings *s)
{
	for (const struct identity *i = s->identities; i != NULL; i = (const struct identity *)i->b.next)
		if (i->oidc.issuer[0] != '\0' && (strncmp(i->oidc.jwks, "file:", 5) != 0 || i->oidc.client[0] != '\0'))
			return 1;
	return s->webhooks != NULL;
}

static unsigned
ship_wanted(const struct settings *s)
{
	return s->siem.to[0] != '\0';
}

static unsigned
dial_wanted(const struct settings *s)
{
	const struct target *t = s->targets;
	while (t != NULL && settings_unix(t->server) == NULL)
		t = (const struct target *)t->b.next;
	return t != NULL;
}

unsigned
helpers_wanted(const struct settings *s, enum role role)
{
	static unsigned (*const count[ROLES])(const struct settings *s) = { [ROLE_SAML] = saml_wanted, [ROLE_LEND] = lenders, [ROLE_FETCH] = fetch_wanted,
		[ROLE_SHIP] = ship_wanted, [ROLE_DIAL] = dial_wanted };
	return (unsigned)role < ROLES && count[role] != NULL ? count[role](s) : 0;
}
