/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers come and go with the configuration: those with an index that it wants are there, the
 * others are told to go.
 */
#include <config.h>

#include "../base/helpers.h"
#include "master.h"

struct child *
helper_of(struct master *m, enum role role, unsigned index)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == role && c->index == index && !c->draining)
			return c;
	}
	return NULL;
}

unsigned
helper_index(struct master *m, enum role role)
{
	unsigned index = 0;
	while (helper_of(m, role, index) != NULL)
		index++;
	return index;
}

int
helpers_start(struct master *m, uint64_t now)
{
	int rc = SP_OK;
	for (unsigned r = ROLE_FETCH; r < ROLES; r++) {
		enum role role = (enum role)r;
		unsigned wanted = helpers_wanted(&m->epoch->settings, role);
		for (unsigned i = 0; i < wanted && now >= m->restart_at[role]; i++) {
			if (helper_of(m, role, i) != NULL || master_start_helper(m, role) == SP_OK)
				continue;
			m->restart_at[role] = now + BACKOFF_LAST;
			rc = SP_EIO;
		}
	}
	return rc;
}

void
helpers_end(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (!role_is_helper(c->role) || c->draining || c->index < helpers_wanted(&m->epoch->settings, c->role))
			continue;
		c->draining = true;
		if (link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }) != SP_OK)
			log_warn("%s %u cannot be told to go", role_name(c->role), c->index);
	}
}
