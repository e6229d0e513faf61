/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prepared statements and portals by name.
 *
 * A Parse is believed when the server has said ParseComplete; until then its statement stands in
 * front of an older one of the same name, which is what the messages behind it in the pipeline
 * mean: if it fails, they are never executed.
 */
#include "postgres.h"

static unsigned
bucket_of(struct sp_bytes name)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < name.len; i++)
		h = (h ^ name.p[i]) * 16777619u;
	return (h ^ h >> 16) % PG_BUCKETS;
}

static struct sp_bytes
name_of(const char *name, uint8_t len)
{
	return (struct sp_bytes){ (const uint8_t *)name, len };
}

/* ---- statements ---- */

struct pg_statement *
pg_statement_find(struct pg *p, struct sp_bytes name)
{
	for (struct pg_statement *t = p->bucket[bucket_of(name)]; t != NULL; t = t->next)
		if (!t->closing && sp_bytes_eq(name_of(t->name, t->name_len), name))
			return t;
	return NULL;
}

struct pg_statement *
pg_statement_add(struct pg *p, struct sp_bytes name)
{
	struct pg_statement *t = p->free_statements;
	if (p->nstatements >= p->conf->prepared_max || name.len > PG_NAME_MAX)
		return NULL;
	if (t != NULL)
		p->free_statements = t->next;
	else if ((t = sp_alloc(p->s, sizeof(*t))) == NULL)
		return NULL;
	uint32_t *types = t->types;
	unsigned cap = t->types_cap;
	*t = (struct pg_statement){ .types = types, .types_cap = cap, .refs = 1, .listed = true, .batch = p->batch };
	if (name.len > 0)
		memcpy(t->name, name.p, name.len);
	t->name_len = (uint8_t)name.len;
	struct pg_statement **at = &p->bucket[bucket_of(name)];
	t->next = *at;
	*at = t;
	p->nstatements++;
	return t;
}

/* The server has it: whatever else had that name is gone there. */
void
pg_statement_confirm(struct pg *p, struct pg_statement *t)
{
	t->confirmed = true;
	if (!t->listed)
		return;
	struct pg_statement *next;
	for (struct pg_statement *old = t->next; old != NULL; old = next) {
		next = old->next;
		if (sp_bytes_eq(name_of(old->name, old->name_len), name_of(t->name, t->name_len)))
			pg_statement_unlist(p, old);
	}
}

void
pg_statement_unlist(struct pg *p, struct pg_statement *t)
{
	if (t == NULL || !t->listed)
		return;
	struct pg_statement **at = &p->bucket[bucket_of(name_of(t->name, t->name_len))];
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->listed = false;
	pg_statement_drop(p, &t);
}

/* The server has this name for this text: true of ours? */
void
pg_statements_check(struct pg *p, struct sp_bytes name, struct sp_bytes text)
{
	struct pg_statement *t = pg_statement_find(p, name);
	if (t != NULL && sp_bytes_eq(sp_op_text(t->op), text))
		t->seen = true;
}

void
pg_statements_checked(struct pg *p)
{
	struct pg_statement *next;
	for (unsigned i = 0; i < PG_BUCKETS; i++)
		for (struct pg_statement *t = p->bucket[i]; t != NULL; t = next) {
			next = t->next;
			if (!t->seen && t->name_len > 0) /* the unnamed one is not SQL's to touch */
				pg_statement_unlist(p, t);
			else
				t->seen = false;
		}
}

void
pg_statement_drop(struct pg *p, struct pg_statement **t)
{
	struct pg_statement *it = *t;
	*t = NULL;
	if (it == NULL || --it->refs > 0)
		return;
	if (it->op != NULL)
		sp_op_free(&it->op);
	it->next = p->free_statements;
	p->free_statements = it;
	p->nstatements--;
}

/* ---- portals ---- */

struct pg_portal *
pg_portal_find(struct pg *p, struct sp_bytes name)
{
	for (struct pg_portal *t = p->portals; t != NULL; t = t->next)
		if (!t->closing && sp_bytes_eq(name_of(t->name, t->name_len), name))
			return t;
	return NULL;
}

struct pg_portal *
pg_portal_add(struct pg *p, struct sp_bytes name)
{
	struct pg_portal *t = p->free_portals;
	if (p->nportals >= p->conf->portals_max || name.len > PG_NAME_MAX)
		return NULL;
	if (t != NULL)
		p->free_portals = t->next;
	else if ((t = sp_alloc(p->s, sizeof(*t))) == NULL)
		return NULL;
	struct pg_shape shape = t->shape;
	*t = (struct pg_portal){ .refs = 1, .listed = true, .batch = p->batch, .next = p->portals };
	t->shape = (struct pg_shape){ .type = shape.type, .binary = shape.binary, .cap = shape.cap };
	if (name.len > 0)
		memcpy(t->name, name.p, name.len);
	t->name_len = (uint8_t)name.len;
	p->portals = t;
	p->nportals++;
	return t;
}

void
pg_portal_unlist(struct pg *p, struct pg_portal *t)
{
	if (t == NULL || !t->listed)
		return;
	struct pg_portal **at = &p->portals;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->listed = false;
	pg_portal_drop(p, &t);
}

void
pg_portal_drop(struct pg *p, struct pg_portal **t)
{
	struct pg_portal *it = *t;
	*t = NULL;
	if (it == NULL || --it->refs > 0)
		return;
	pg_statement_drop(p, &it->statement);
	if (it->op != NULL && !it->finished)
		p->unrecorded = pg_finish(it->op, it->rows, "", SP_LIT("")) != SP_OK || p->unrecorded;
	if (it->op != NULL)
		sp_op_free(&it->op);
	it->next = p->free_portals;
	p->free_portals = it;
	p->nportals--;
}

void
pg_portals_end(struct pg *p)
{
	struct pg_portal *next;
	for (struct pg_portal *t = p->portals; t != NULL; t = next) {
		next = t->next;
		if (t->confirmed)
			pg_portal_unlist(p, t);
	}
}

void
pg_objects_end(struct pg *p)
{
	while (p->portals != NULL)
		pg_portal_unlist(p, p->portals);
	for (unsigned i = 0; i < PG_BUCKETS; i++)
		while (p->bucket[i] != NULL)
			pg_statement_unlist(p, p->bucket[i]);
}

int
pg_finish(struct sp_op *op, uint64_t rows, const char *code, struct sp_bytes text)
{
	char copy[128];
	size_t n = text.len < sizeof(copy) ? text.len : sizeof(copy) - 1;
	if (n > 0)
		memcpy(copy, text.p, n);
	copy[n] = '\0';
	struct sp_outcome o = { rows, code, copy };
	int rc = pg_record_flush(); /* its rows stand before its end, and the batch forgets it */
	return rc != SP_OK ? rc : sp_done(op, &o);
}
