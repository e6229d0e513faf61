/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the control socket, and tokens. */
#include <config.h>

#include "caller.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "signin.h"

#define CALLERS 1024 /* remembered; the oldest is forgotten, and its next call refused */

struct caller {
	uint64_t connection, since; /* since: mono ms */
	char name[64];
	bool used;
};

struct callers {
	struct caller list[CALLERS];
	size_t next;
};

void
caller_open(struct keeper *k)
{
	k->callers = mem_alloc(sizeof(*k->callers));
}

void
caller_close(struct keeper *k)
{
	free(k->callers);
	k->callers = NULL;
}

void
caller_forget(struct keeper *k, uint64_t before)
{
	for (size_t i = 0; i < CALLERS; i++) {
		if (k->callers->list[i].since < before)
			k->callers->list[i].used = false;
	}
}

int
caller_add(struct keeper *k, struct message *m)
{
	struct caller *c = &k->callers->list[k->callers->next++ % CALLERS];
	if (m->f[2].s.len == 0 || m->f[2].s.len >= sizeof(c->name))
		return SP_OK; /* unknown: its calls are refused */
	*c = (struct caller){ .connection = m->f[0].q, .since = clock_mono_ms(), .used = true };
	memcpy(c->name, m->f[2].s.p, m->f[2].s.len);
	return SP_OK;
}

int
caller_find(struct keeper *k, uint64_t connection, struct sp_bytes token, struct arena *a, struct verified *v_r, const char **err_r)
{
	*err_r = "the token was not accepted";
	if (signin_is(token))
		return signin_verify(k, token, a, v_r, err_r);
	if (token.len > 0) {
		int rc = identity_verify(k->trust, token, AUDIENCE_API, a, v_r, err_r);
		if (rc == SP_OK && identity_revoked(k->store, &v_r->principal, v_r->issued)) {
			*err_r = "the principal was revoked";
			rc = SP_EDENIED;
		}
		return rc;
	}
	*err_r = "a token is needed (Authorization: Bearer …)";
	if (connection == 0) /* over HTTPS: master counts from 1 on */
		return SP_EDENIED;
	for (size_t i = 0; i < CALLERS; i++) {
		const struct caller *c = &k->callers->list[i];
		if (c->used && c->connection == connection)
			return identity_unix(keeper_settings(k), sp_str(c->name), a, v_r);
	}
	return SP_ETIME;
}
