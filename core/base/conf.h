/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration text: words, blocks, `;`, `include GLOB;`, comments.
 *
 * conf_read() turns files into a tree; conf_pack()/conf_unpack() carry the tree to the other
 * processes, which never see the text; directive tables (directive.h) turn it into settings.
 * Only the check process and `sallyportd -t` read text.
 */
#ifndef SALLYPORT_CONF_H
#define SALLYPORT_CONF_H

#include "memory.h"

struct conf_node {
	const char *name;        /* the directive */
	const char *const *args; /* the words after it */
	unsigned nargs;
	bool block;              /* has { } */
	struct conf_node *child; /* first directive inside */
	struct conf_node *next;
	const char *file;
	unsigned line;
};

/* All in the arena.  *err_r is "file:line: what, and what to do". */
int conf_read(struct arena *a, const char *path, struct conf_node **top_r, const char **err_r) SP_MUST;
int conf_parse(struct arena *a, const char *file, struct sp_bytes text, struct conf_node **top_r, const char **err_r) SP_MUST;
int conf_pack(const struct conf_node *top, struct buffer *out) SP_MUST;
int conf_unpack(struct arena *a, struct sp_bytes in, struct conf_node **top_r) SP_MUST;
/* As text again, one canonical form: `-T`. */
int conf_print(const struct conf_node *top, struct buffer *out) SP_MUST;
/* The nearest of `names` (NULL-terminated) by edit distance, or NULL when none is near. */
const char *conf_nearest(const char *word, const char *const *names);

#endif
