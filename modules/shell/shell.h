/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line as a POSIX shell would read it, as far as it can be known without running it.
 *
 *     cd /srv && tar -cf - "my files" 2>/dev/null | gzip > /tmp/x.gz
 *     └ command ┘  └ command ─────┘ └ write ────┘   └ command, write
 *
 * A subset: simple commands, lists, pipes, redirections to fixed names, quoting.  All else is *opaque*:
 * what the shell makes of it depends on the machine (variables, substitutions, globs), or another
 * program reads it (sh -c, sudo, a here-document).  The reader says so, and what stands there.
 *
 * Ownership: words point into the caller's scratch, until the next call.  Nothing is allocated.
 */
#ifndef SALLYPORT_SHELL_H
#define SALLYPORT_SHELL_H

#include <sallyport/wire.h>

#define SHELL_WORDS 512      /* of one command */
#define SHELL_REDIRECTS 16   /* of one command */
#define SHELL_LINE (32u << 10)

struct shell_scratch {
	uint8_t text[SHELL_LINE];
	struct sp_bytes word[SHELL_WORDS];
	struct sp_bytes to[SHELL_REDIRECTS];
	bool writes[SHELL_REDIRECTS];
};

struct shell_command {
	const struct sp_bytes *word; /* unquoted */
	size_t nwords;
	const struct sp_bytes *to;   /* files of its redirections, and which of them it writes */
	const bool *writes;
	size_t nredirects;
	bool named;                  /* the first word is the program's name */
	bool words_known;            /* every word is fixed */
	bool files_known;            /* every file of its redirections is */
	bool opaque;                 /* something of it was told to opaque() */
};

/* Non-zero from a callback ends the reading, and is returned. */
struct shell_reader {
	int (*command)(void *owner, const struct shell_command *c);
	/*
	 * Told before the command in which it stands: one of shell_opaque[]; `name` is the program for
	 * "interpreter", else empty.
	 */
	int (*opaque)(void *owner, const char *what, struct sp_bytes name);
	void *owner;
};

/* What can be opaque, NULL-terminated: texts that stay. */
extern const char *const shell_opaque[];

/* 0, or what a callback returned.  A line that is too long, or no line of a shell, is opaque ("syntax"). */
int shell_read(struct sp_bytes line, struct shell_scratch *scratch, const struct shell_reader *r);

/* The last part of a path. */
struct sp_bytes shell_base_name(struct sp_bytes path);
/* Does this program run what its arguments or its input say? */
bool shell_is_interpreter(const struct sp_bytes *word, size_t n);

#endif
