/* SPDX-License-Identifier: Apache-2.0 */
/* Walking parse trees by their descriptors: see walk.h. */
#include "walk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool
is_wrapper(const ProtobufCMessage *m)
{
	return m->descriptor == &pg_query__node__descriptor;
}

const ProtobufCMessage *
walk_inside(const ProtobufCMessage *m)
{
	if (m == NULL || !is_wrapper(m))
		return m;
	const PgQuery__Node *node = (const PgQuery__Node *)m;
	if (node->node_case == PG_QUERY__NODE__NODE__NOT_SET)
		return NULL;
	return &node->alias->base; /* every member of the union is a message */
}

static struct {
	const ProtobufCMessageDescriptor *descriptor;
	walk_case which;
} by_descriptor[256]; /* sorted, so that a typed field finds its node as fast as a wrapper does */

static int
compare_descriptor(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(const ProtobufCMessageDescriptor *const *)a;
	uintptr_t y = (uintptr_t)*(const ProtobufCMessageDescriptor *const *)b;
	return (x > y) - (x < y);
}

static size_t
sort_descriptors(void)
{
	static size_t n;
	const ProtobufCMessageDescriptor *wrapper = &pg_query__node__descriptor;

	if (n > 0)
		return n;
	for (; n < wrapper->n_fields && n < 256; n++) {
		by_descriptor[n].descriptor = wrapper->fields[n].descriptor;
		by_descriptor[n].which = (walk_case)wrapper->fields[n].id;
	}
	qsort(by_descriptor, n, sizeof(*by_descriptor), compare_descriptor);
	return n;
}

walk_case
walk_case_of(const ProtobufCMessage *m)
{
	size_t low = 0, high = sort_descriptors();

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare_descriptor(&m->descriptor, &by_descriptor[middle].descriptor);
		if (order == 0)
			return by_descriptor[middle].which;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return PG_QUERY__NODE__NODE__NOT_SET;
}

const char *
walk_name(const ProtobufCMessage *m)
{
	return m->descriptor->short_name;
}

/* A field's value: p points at it, n of them. */
static const void *
field_values(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t *n_r)
{
	const char *at = (const char *)m + f->offset;

	*n_r = 1;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(n_r, (const char *)m + f->quantifier_offset, sizeof(*n_r));
		return *(void *const *)(const void *)at;
	}
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
		uint32_t which;
		memcpy(&which, (const char *)m + f->quantifier_offset, sizeof(which));
		*n_r = which == f->id;
	}
	return at;
}

void
walk_children(const ProtobufCMessage *m, walk_fn *each, void *owner)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		size_t n;
		const ProtobufCMessage *const *child = field_values(m, f, &n);
		for (size_t k = 0; k < n; k++)
			if (f->label == PROTOBUF_C_LABEL_REPEATED || child[k] != NULL)
				each(owner, walk_inside(child[k]));
	}
}

static size_t
scalar_size(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4; /* the grammar has no others */
	}
}

static bool
equal_values(const ProtobufCFieldDescriptor *f, const void *a, const void *b, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			const ProtobufCMessage *const *x = a, *const *y = b;
			if (!walk_equal(walk_inside(x[k]), walk_inside(y[k])))
				return false;
		} else if (f->type == PROTOBUF_C_TYPE_STRING) {
			const char *const *x = a, *const *y = b;
			if (strcmp(x[k], y[k]) != 0)
				return false;
		} else {
			size_t size = scalar_size(f->type);
			if (memcmp((const char *)a + k * size, (const char *)b + k * size, size) != 0)
				return false;
		}
	}
	return true;
}

bool
walk_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->descriptor != b->descriptor)
		return false;
	for (unsigned i = 0; i < a->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &a->descriptor->fields[i];
		size_t na, nb;
		const void *x = field_values(a, f, &na), *y = field_values(b, f, &nb);
		if (f->type == PROTOBUF_C_TYPE_INT32 && strcmp(f->name, "location") == 0)
			continue;
		if (na != nb || !equal_values(f, x, y, na))
			return false;
	}
	return true;
}
