/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pg_classify() says of a text, as text that a person can read and a test can compare:
 *
 *   0 verb=delete
 *   0 effects=read,write
 *   0 tables=public.orders
 *   0 unclear=code do plpgsql
 *   literal 'x' public.people.email
 */
#ifndef PG_SHOW_H
#define PG_SHOW_H

#include <stdio.h>
#include <stdlib.h>

#include "core/policy/op.h"
#include "modules/postgres/analyse.h"
#include "modules/postgres/attributes.h"
#include "modules/postgres/names.h"

static const struct sp_module pg_shown = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "postgres",
	.attrs = pg_attrs,
	.kinds = pg_kinds,
	.classify = pg_classify,
	.skeleton = pg_skeleton,
};

static inline int
pg_show_order(const void *a, const void *b)
{
	const struct sp_bytes *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int order = n == 0 ? 0 : memcmp(x->p, y->p, n);
	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static inline void
pg_show_value(FILE *out, size_t node, const struct sp_attr *attr, struct value *v)
{
	if (v->known == ABSENT)
		return;
	(void)fprintf(out, "%zu %s=", node, attr->name);
	if (v->known == UNKNOWN)
		(void)fputs("?", out);
	else if (attr->type == SP_TYPE_STRING)
		(void)fwrite(v->text.p, 1, v->text.len, out);
	else if (attr->type == SP_TYPE_BOOL)
		(void)fputs(v->number != 0 ? "true" : "false", out);
	else if (attr->type != SP_TYPE_STRINGS && attr->type != SP_TYPE_COLUMNS)
		(void)fprintf(out, "%llu", (unsigned long long)v->number);
	else {
		qsort(v->set, v->n, sizeof(*v->set), pg_show_order);
		for (size_t i = 0; i < v->n; i++) {
			if (i > 0)
				(void)fputs(",", out);
			(void)fwrite(v->set[i].p, 1, v->set[i].len, out);
		}
	}
	(void)fputs("\n", out);
}

/* Everything about one text; to be freed.  "failed" alone when it may not be lifted by any rule. */
static inline char *
pg_show(const struct pg_view *view, struct sp_bytes text)
{
	const struct sp_scope scope = { .view = view };
	struct shape *s = shape_make(&pg_shown, &scope, PG_STATEMENT, text);
	char *shown = NULL;
	size_t len;
	FILE *out = open_memstream(&shown, &len);

	if (s == NULL || out == NULL)
		abort();
	if (s->failed)
		(void)fputs("failed\n", out);
	for (size_t i = 0; i < s->nnodes && !s->failed; i++) {
		for (unsigned k = 0; k < s->nattrs; k++)
			pg_show_value(out, i, &pg_attrs[k], &s->node[i].value[k]);
		for (size_t k = 0; k < s->nunclear; k++)
			if (s->unclear[k].node == i)
				(void)fprintf(out, "%zu unclear=%s %.*s\n", i, s->unclear[k].why, (int)s->unclear[k].name.len, (const char *)s->unclear[k].name.p);
	}
	(void)fprintf(out, "tag %s\n", s->tag);
	for (size_t i = 0; i < s->nliterals && !s->failed; i++) {
		const struct literal *l = &s->literal[i];
		const char *column = l->column == NULL ? "always" : l->column;
		if (l->len == 0)
			(void)fprintf(out, "literal $%u %s\n", l->param + 1, column);
		else
			(void)fprintf(out, "literal %.*s %s\n", (int)l->len, (const char *)s->text.p + l->offset, column);
	}
	(void)fclose(out);
	shape_free(&s);
	return shown;
}

#endif
