/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements that SQL's PREPARE gave a name to: the server's own list of them, so that EXECUTE is judged
 * by what it runs.
 *
 *   PREPARE ─answered─▶ track.c asks the server ─name, text─▶ this list ─▶ the view ─▶ analysis of EXECUTE
 *
 * What is not in the list (too long, too many, made since) is unclear, as before.
 */
#include "names.h"
#include "track.h"

#include <stdlib.h>

#define PREPARED_BYTES (4u << 20) /* of all texts of a session */

struct prepared {
	struct prepared *next;
	uint8_t name_len;
	char name[PG_NAME_MAX];
	size_t len;
	uint8_t text[];
};

static const struct prepared *
find(const struct pg *p, struct sp_bytes name)
{
	for (const struct prepared *it = p->prepared; it != NULL; it = it->next)
		if (sp_bytes_eq(name, (struct sp_bytes){ (const uint8_t *)it->name, it->name_len }))
			return it;
	return NULL;
}

void
pg_prepared_forget(struct pg *p)
{
	while (p->prepared != NULL) {
		struct prepared *it = p->prepared;
		p->prepared = it->next;
		free(it);
	}
	p->prepared_bytes = 0;
}

void
pg_prepared_add(struct pg *p, struct sp_bytes name, struct sp_bytes text)
{
	if (name.len == 0 || name.len > PG_NAME_MAX || text.len > PREPARED_BYTES - p->prepared_bytes)
		return;
	struct prepared *it = calloc(1, sizeof(*it) + text.len);
	if (it == NULL)
		return;
	it->name_len = (uint8_t)name.len;
	memcpy(it->name, name.p, name.len);
	it->len = text.len;
	if (text.len > 0)
		memcpy(it->text, text.p, text.len);
	it->next = p->prepared;
	p->prepared = it;
	p->prepared_bytes += text.len;
}

/* The protocol gives this name to something else, or takes it away: ask the server again. */
void
pg_prepared_touched(struct pg *p, struct sp_bytes name)
{
	if (find(p, name) == NULL)
		return;
	pg_prepared_forget(p);
	p->dirty = p->doubtful = true;
}

struct sp_bytes
pg_prepared_text(const struct pg_view *view, struct sp_bytes name)
{
	const struct prepared *it = find(view->owner, name);
	return it == NULL ? (struct sp_bytes){ NULL, 0 } : (struct sp_bytes){ it->text, it->len };
}
