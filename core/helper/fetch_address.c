/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts that the operator named. */
#include <config.h>

#include "fetch_address.h"

#include "../base/url.h"

bool
fetch_named(const struct settings *s, const char *url, bool *insecure_r)
{
	bool named = false;
	*insecure_r = false;
	for (const struct identity *i = s->identities; i != NULL; i = (const struct identity *)i->b.next) {
		if (!url_same_origin(i->oidc.issuer, url) && !url_same_origin(i->oidc.jwks, url))
			continue;
		named = true;
		*insecure_r = *insecure_r || i->oidc.insecure_loopback;
	}
	for (const struct webhook *w = s->webhooks; w != NULL; w = (const struct webhook *)w->b.next)
		named = named || url_same_origin(w->url, url) || url_same_origin(w->server, url);
	return named;
}
