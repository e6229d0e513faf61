/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration text: words, blocks, `;`, `include GLOB;`, comments.
 *
 *     target orders {                       # a comment begins where a word can
 *         label  env=prod "team=the crew";
 *     }
 *
 * conf_read() turns files into a tree; conf_pack()/conf_unpack() carry the tree to the other
 * processes, which never see the text; directive tables (directive.h) turn it into settings.
 * Only the check process and `sallyportd -t` read text.
 */
#ifndef SALLYPORT_CONF_H
#define SALLYPORT_CONF_H

#include "memory.h"

/* Bounds; whatever is beyond them is an error, never cut. */
enum {
	CONF_FILE = 1 << 20,    /* bytes in one file */
	CONF_WORD = 4096,       /* bytes in one word */
	CONF_ARGS = 256,        /* words after a directive */
	CONF_DEPTH = 8,         /* blocks in blocks */
	CONF_INCLUDES = 8,      /* files including files */
	CONF_FILES = 512,       /* files in all */
	CONF_NODES = 100000     /* directives in all */
};

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
/* The same from text at hand, which can't include files. */
int conf_parse(struct arena *a, const char *file, struct sp_bytes text, struct conf_node **top_r, const char **err_r) SP_MUST;
int conf_pack(const struct conf_node *top, struct buffer *out) SP_MUST;
int conf_unpack(struct arena *a, struct sp_bytes in, struct conf_node **top_r) SP_MUST;
/* As text again, one canonical form: `-T`. */
int conf_print(const struct conf_node *top, struct buffer *out) SP_MUST;
/* The first directive of that name, or NULL. */
const struct conf_node *conf_find(const struct conf_node *first, const char *name);
/* The nearest of `names` (NULL-terminated) by edit distance, or NULL when none is near. */
const char *conf_nearest(const char *word, const char *const *names);

/* Sets *err_r to "file:line: sentence" (line 0: "file: sentence") and returns SP_ECONF. */
int conf_error(struct arena *a, const char **err_r, const char *file, unsigned line, const char *fmt, ...) SP_PRINTF(5, 6);
/*
 * A whole regular file that nobody but owner and group can write, up to max bytes, with a NUL
 * after the last.  *why_r is half a sentence: "No such file or directory".
 */
int conf_file(struct arena *a, const char *path, size_t max, struct sp_bytes *content_r, const char **why_r) SP_MUST;
/* path, or when it is relative, folder/path; NULL without memory. */
const char *conf_path(struct arena *a, const char *folder, const char *path);
/* The folder part of a path: "." when there is none. */
const char *conf_folder(struct arena *a, const char *path);

#endif
