/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of nodes that live inside what they link. */
#ifndef SALLYPORT_LIST_H
#define SALLYPORT_LIST_H

#include <stddef.h>

struct list_node {
	struct list_node *next, *prev;
};
struct list_head {
	struct list_node node;
};

#define LIST_OF(n, type, member) ((type *)(void *)((char *)(n)-offsetof(type, member)))
/* Safe against removal of the current node. */
#define LIST_EACH(n, next_n, head) \
	for (struct list_node *n = (head)->node.next, *next_n = n->next; n != &(head)->node; n = next_n, next_n = n->next)

static inline void
list_init(struct list_head *h)
{
	h->node.next = h->node.prev = &h->node;
}

static inline void
list_add(struct list_head *h, struct list_node *n)
{
	n->prev = h->node.prev;
	n->next = &h->node;
	h->node.prev->next = n;
	h->node.prev = n;
}

/* All of `from` becomes `to`, which was not in use. */
static inline void
list_take(struct list_head *to, struct list_head *from)
{
	*to = *from;
	if (from->node.next == &from->node) {
		list_init(to);
		return;
	}
	to->node.next->prev = to->node.prev->next = &to->node;
	list_init(from);
}

/* Harmless on a node that is in no list. */
static inline void
list_remove(struct list_node *n)
{
	if (n->next == NULL)
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

#endif
