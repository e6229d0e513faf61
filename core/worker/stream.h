/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One socket of a session: bytes in, bytes out, TLS in between when asked for.
 *
 * What a wake-up reads stays in the worker's scratch memory while the module looks at it; what the
 * module passes on is remembered as segments of that memory, and one writev sends them all when
 * the module has returned.  Only what the socket does not take is copied, so an idle session owns
 * no buffer at all.
 */
#ifndef SALLYPORT_STREAM_H
#define SALLYPORT_STREAM_H

#include <event2/event_struct.h>

#include "../base/memory.h"
#include "../base/tls.h"

struct sp_session;
struct worker;

#define STREAM_SEGMENTS 32
#define STREAM_HIGH (256u << 10) /* output waiting for the peer: beyond it the other side is not read */
#define STREAM_LOW (64u << 10)
#define STREAM_LAG (32u << 10) /* where bytes are passed as they are, no more are read for one that has so many before it */
#define STREAM_LATE (64u << 10)  /* a piece, or a TLS record and what answers to others */
#define STREAM_INPUT (64u << 10) /* unconsumed input: beyond it nothing is read unless wanted */

enum segment_where { SEGMENT_INPUT, SEGMENT_WRITER };

struct segment {
	enum segment_where where;
	size_t offset, len;
};

struct stream {
	struct sp_session *s;
	enum sp_side side;
	int fd;
	struct tls *tls;
	bool made, eof, eof_told, shut, bye, shut_done, full, reading, writing, wipe, error, flooding, passes;
	bool ahead;              /* something was read for it in this turn, see reads.h */
	bool sending;            /* some of its output is among the sends of this turn, see sends.h */
	bool view_in_scratch;
	unsigned nsegments;      /* of the worker's for this side, while its session runs */
	size_t pending;          /* bytes in them */
	size_t want;             /* do not call data() below this */
	uint64_t gate;           /* ring position that must be durable before output may leave; 0: none */
	struct buffer in;        /* unconsumed input between wake-ups */
	struct sp_bytes view;    /* unconsumed input now: in scratch or in `in` */
	const uint8_t *base;     /* segments of the other side's output count from here */
	struct buffer out;       /* accepted, not yet taken by the socket */
	struct buffer late;      /* … of what went among others' sends, or of TLS records: goes before all else */
	uint64_t flow, flow_since; /* bytes since the other side spoke, or the last look at them; mono µs of the first */
	uint64_t since;          /* mono µs: when that came of which output is a sample; 0: it is none */
	struct event readable, writable;
};

void stream_init(struct stream *st, struct sp_session *s, enum sp_side side);
/* Takes a connected, non-blocking fd. */
void stream_open(struct stream *st, int fd);
void stream_close(struct stream *st);
/* The socket, its TLS and what is unconsumed go over to a stream that has none, between callbacks. */
void stream_move(struct stream *to, struct stream *from);
/* Start the wake-up's view on what is there; end it, keeping what was not consumed. */
void stream_begin(struct stream *st);
void stream_end(struct stream *st);
/* Consume n bytes of input, to the other side's output or nowhere. */
int stream_pass(struct stream *from, struct stream *to, size_t n) SP_MUST;
int stream_drop(struct stream *st, size_t n) SP_MUST;
struct sp_writer *stream_writer(struct stream *st);
/* The turn of the running session ends: what it wrote for another one is kept for that one's turn. */
void stream_foreign(struct worker *w);
/* Send what may be sent.  SP_EIO: the peer is gone. */
int stream_flush(struct stream *st) SP_MUST;
/* Reading on or off, writing awaited or not, by what the buffers say. */
void stream_arm(struct stream *st);
/* Starts the handshake as server to the client, as client to the target. */
void stream_begin_tls(struct stream *st, bool direct, const char *alpn);
/* Both ends of a session: small messages at once; ms until a silent peer is asked whether it is there, 0: the kernel's. */
void stream_keepalive(int fd, uint64_t ms);
/* Bytes of a plain socket; 0: its end; -1: there is nothing; -2: it failed. */
long stream_receive(struct stream *st, uint8_t *to, size_t room) SP_MUST;
/* This was read for it, as stream_receive() says. */
void stream_came(struct stream *st, const uint8_t *p, long n);
/* Its part of the sends of a turn is done: rest is what the socket did not take. */
void stream_sent(struct stream *st, struct sp_bytes rest);
bool stream_idle(const struct stream *st); /* nothing left to send */
bool stream_shut_out(const struct stream *st); /* shut, and all of it is out */
/* From the loop: bytes to read; to write.  stream.c calls session_input()/session_output(). */

#endif
