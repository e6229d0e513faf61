/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1, strictly: one parser for both directions, one writer, bodies in constant memory.
 *
 *     head    http_head_begin(); http_head_parse() until it returns > 0: bytes of the head
 *     body    http_body_begin(&b, &head.framing); http_body_next() until HTTP_BODY_END
 *     answer  http_put_status(); http_put_field()…; http_put_end(); the body, or chunks
 *
 * The head stays where the caller has it, in one piece; what http_field() and the like return
 * borrows from there.  Whoever forwards a message writes it anew from the parsed values: nothing
 * that this parser read in one way can be read in another by whoever comes after it.
 *
 * Refused, because two readers could disagree about them (request smuggling): Content-Length
 * beside Transfer-Encoding, a second Content-Length even when equal, a length that is not plain
 * digits, any coding but `chunked`, bare CR or LF, line folding, white space before a colon,
 * unknown characters in a name or target, absolute-form and authority-form targets, a missing,
 * repeated or malformed Host, a repeated field that means one thing, control characters anywhere,
 * long chunk extensions, framing or identity fields in trailers.
 */
#ifndef SALLYPORT_HTTP_H
#define SALLYPORT_HTTP_H

#include <sallyport/wire.h>

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

/* Results below zero; http_error_status() has the answer a client gets, http_error_text() the log's. */
enum http_error {
	HTTP_EBAD = -1,         /* malformed */
	HTTP_ELONG = -2,        /* line, count or size over its limit */
	HTTP_EVERSION = -3,     /* not 1.0 or 1.1 */
	HTTP_ECODING = -4,      /* a transfer coding other than chunked */
	HTTP_EFRAMING = -5,     /* lengths that contradict one another */
	HTTP_EHOST = -6,        /* Host missing, repeated or malformed */
	HTTP_ETARGET = -7,      /* request target in a form that is not accepted */
	HTTP_EREPEATED = -8     /* a field twice that may stand once */
};

#define HTTP_FIELDS 100          /* most fields in one head */
#define HTTP_HEAD_MAX (64u << 10)
#define HTTP_LINE_MAX (16u << 10)
#define HTTP_CHUNK_EXTENSION_MAX 256u
#define HTTP_TRAILER_MAX (8u << 10)

struct http_limits { /* zeroes: the numbers above */
	uint32_t head, line;
};

enum http_framing_kind { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };
struct http_framing {
	enum http_framing_kind kind;
	uint64_t length; /* HTTP_LENGTH */
};

struct http_span { /* from the head's first byte */
	uint32_t at, len;
};

struct http_field {
	struct http_span name, value;
};

struct http_head {
	enum http_kind kind;
	struct http_limits limits;
	struct http_span method, target; /* request */
	unsigned status;                 /* response */
	unsigned minor;                  /* HTTP/1.minor */
	struct http_field field[HTTP_FIELDS];
	unsigned nfields;
	struct http_framing framing;
	bool keep_alive;                 /* another message may follow on this connection */
	bool expect_continue;            /* the client waits for 100 before it sends the body */
	bool upgrade;                    /* Connection: upgrade and an Upgrade field */
	/* the parser's own */
	struct http_span version, code;
	uint32_t scanned, mark, line;
	uint8_t state;
};

void http_head_begin(struct http_head *h, enum http_kind kind, const struct http_limits *limits);
/*
 * `in` begins with the head's first byte and holds at least what it held at the last call; bytes
 * seen are not looked at again.  > 0: the head is whole and so long; 0: more is needed; < 0: an
 * http_error, and the connection is of no more use.
 */
long http_head_parse(struct http_head *h, struct sp_bytes in);
/* For the response to `method`, after http_head_parse(): HEAD has none, CONNECT is refused. */
void http_head_answers(struct http_head *h, struct sp_bytes method);

struct sp_bytes http_span(struct sp_bytes head, struct http_span s);
/* The field with that name in any case; empty p when absent. */
struct sp_bytes http_field(const struct http_head *h, struct sp_bytes head, const char *name);
/* True when `token` is an element of the comma-separated field, in any case. */
bool http_field_has(const struct http_head *h, struct sp_bytes head, const char *name, const char *token);
/* Named for one connection only, by the standard or by Connection: never forwarded. */
bool http_field_is_hop(const struct http_head *h, struct sp_bytes head, const struct http_field *f);
bool http_name_is(struct sp_bytes name, const char *other);

/* "/a/b?c=d" → "/a/b" and "c=d". */
void http_target_split(struct sp_bytes target, struct sp_bytes *path_r, struct sp_bytes *query_r);
/* Next key=value, still encoded; false at the end. */
bool http_query_next(struct sp_reader *r, struct sp_bytes *key_r, struct sp_bytes *value_r);
/* Percent-decoded; form: '+' is a space.  w->bad when malformed, or when a NUL would come out. */
void http_decode(struct sp_bytes in, bool form, struct sp_writer *w);
/* Everything but unreserved characters percent-encoded. */
void http_encode(struct sp_bytes in, struct sp_writer *w);
/* No "." or ".." segment and no "//", encoded or not, and no encoded '/' or '\'. */
bool http_path_is_plain(struct sp_bytes path);

/* ---- bodies ---- */

struct http_body {
	struct http_framing framing;
	uint64_t left;      /* of the body, or of the chunk */
	uint32_t extension; /* bytes of chunk extensions so far */
	uint32_t trailer;   /* bytes of trailers so far */
	uint8_t state, digits;
	uint8_t name_len;   /* of the trailer's name */
	char name[32];
};

enum http_body_result { HTTP_BODY_MORE, HTTP_BODY_PIECE, HTTP_BODY_END };

void http_body_begin(struct http_body *b, const struct http_framing *f);
/*
 * Consumes from r and hands out the next piece of the body, borrowed from r's bytes.  An
 * enum http_body_result, or an http_error.  Trailers are checked and dropped.
 */
int http_body_next(struct http_body *b, struct sp_reader *r, struct sp_bytes *piece_r);
/* The peer closed: true when that is where the body ends. */
bool http_body_eof(const struct http_body *b);

/* ---- writing: what can't be written safely sets w->bad ---- */

void http_put_request(struct sp_writer *w, struct sp_bytes method, struct sp_bytes target);
void http_put_status(struct sp_writer *w, unsigned status);
void http_put_field(struct sp_writer *w, const char *name, struct sp_bytes value);
void http_put_field_u64(struct sp_writer *w, const char *name, uint64_t value);
void http_put_end(struct sp_writer *w);
void http_put_chunk(struct sp_writer *w, struct sp_bytes piece); /* an empty piece writes nothing */
void http_put_last_chunk(struct sp_writer *w);

const char *http_reason(unsigned status);
unsigned http_error_status(int error);
const char *http_error_text(int error);

#endif
