/* SPDX-License-Identifier: Apache-2.0 */
/* See reads.h. */
#include <config.h>

#include "reads.h"

#include <stdlib.h>

#include "stream.h"

#define MOST 64
#define ROOM (64u << 10) /* for each, as it would have by itself */

struct piece {
	struct stream *st; /* NULL: no longer wanted */
	size_t offset;
	long n;            /* as stream_receive() says */
};

struct reads {
	struct piece piece[MOST];
	unsigned n;
	size_t used;
	uint8_t bytes[2 * ROOM];
};

struct reads *
reads_new(void)
{
	return mem_alloc(sizeof(struct reads));
}

void
reads_free(struct reads **reads)
{
	mem_wipe(*reads, sizeof(**reads));
	free(*reads);
	*reads = NULL;
}

bool
reads_add(struct reads *reads, struct stream *st)
{
	if (st->ahead || reads->n == MOST || reads->used > sizeof(reads->bytes) - ROOM)
		return false;
	long n = stream_receive(st, reads->bytes + reads->used, ROOM);
	if (n == -1)
		return true;
	reads->piece[reads->n++] = (struct piece){ st, reads->used, n };
	reads->used += n > 0 ? (size_t)n : 0;
	st->ahead = true;
	return true;
}

bool
reads_alone(const struct reads *reads)
{
	return reads->n == 1;
}

static struct piece *
piece_of(struct reads *reads, struct stream *st)
{
	struct piece *p = reads->piece;
	while (p->st != st)
		p++;
	return p;
}

void
reads_forget(struct reads *reads, struct stream *st)
{
	if (!st->ahead)
		return;
	piece_of(reads, st)->st = NULL;
	st->ahead = false;
}

/* An end, or an error, the socket will say again, as an end. */
void
reads_settle(struct reads *reads, struct stream *st)
{
	if (!st->ahead)
		return;
	const struct piece *p = piece_of(reads, st);
	if (p->n > 0 && buffer_put(&st->in, (struct sp_bytes){ reads->bytes + p->offset, (size_t)p->n }) != SP_OK)
		st->error = true;
	reads_forget(reads, st);
}

void
reads_go(struct reads *reads)
{
	for (unsigned i = 0; i < reads->n; i++) {
		struct piece *p = &reads->piece[i];
		struct stream *st = p->st;
		if (st == NULL)
			continue;
		p->st = NULL;
		st->ahead = false;
		stream_came(st, reads->bytes + p->offset, p->n);
	}
	reads->n = 0;
	reads->used = 0;
}
