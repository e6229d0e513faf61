/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a caller: requests in, answers out, one at a time and in order.
 *
 *   HANDSHAKE ─▶ HEAD ─▶ BODY ─▶ BUSY ─▶ SENDING ─▶ HEAD (keep-alive) or LAST ─▶ closed
 *   (HTTPS)        └───────────────┘ no body          ▲
 *                                  BUSY ─▶ STREAMING ─┘  a file, or lines of a job
 *
 * Bounded by construction: input by the head's and the body's limit, output by one answer or by
 * one piece of a stream, time by a deadline in each state.  A caller that closes its half is gone.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/http/http.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "console.h"

#define CALLERS 256
#define CALLERS_PER_UID 128
#define BODY_MAX (1u << 20)
#define READ_SIZE (16u << 10)
#define PIECE (64u << 10)
#define ROUNDS 16      /* then other connections have their turn */
#define LIFE_MS (600u * 1000) /* of a connection; then its caller makes another: the keeper forgets old ones */
#define HEAD_PATIENCE 15 /* seconds from a head's first byte to its last */

enum state { HANDSHAKE, HEAD, BODY, BUSY, SENDING, STREAMING, LAST, STATES };
/* Seconds; what was sent begins them anew.  BUSY is bounded by the keeper's answer and the job's lines too. */
static const int patience[] = { [HANDSHAKE] = 10, [HEAD] = 60, [BODY] = 30, [BUSY] = 600, [SENDING] = 60, [STREAMING] = 60, [LAST] = 10 };
_Static_assert(sizeof(patience) / sizeof(*patience) == STATES, "every state has a deadline");

struct caller {
	struct console *console;
	struct caller *next;
	int fd;
	uint64_t connection, uid, since; /* since: mono ms */
	struct door *door;     /* over HTTPS, with tls and visitor; else NULL */
	struct tls *tls;
	struct visitor visitor;
	enum state state;
	struct event *readable, *writable, *slice, *deadline;
	struct buffer in, body, out;
	struct http_head head;
	size_t head_len;
	struct http_body framing;
	bool keep_alive, chunked;
	int file;            /* being sent, or -1 */
	char range[64];      /* the Range of the request, for a file */
	uint64_t file_left;
	struct job *job;
	bool job_ready, closing, busy;
	bool scripts;        /* of the answer: page_reply's */
};

struct console *
caller_console(const struct caller *c)
{
	return c->console;
}

uint64_t
caller_connection(const struct caller *c)
{
	return c->connection;
}

const struct visitor *
caller_visitor(const struct caller *c)
{
	return c->door == NULL ? NULL : &c->visitor;
}

static void
caller_wait(struct caller *c, int seconds)
{
	const struct timeval wait = { seconds, 0 };
	if (event_add(c->deadline, &wait) != 0)
		c->closing = true;
}

static void
caller_enter(struct caller *c, enum state state)
{
	c->state = state;
	caller_wait(c, patience[state]);
}

/* ---- bytes: as they are, or by TLS ---- */

enum { NOTHING_NOW = -1, BROKEN = -2 };

static long
plain_result(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? NOTHING_NOW : BROKEN;
}

/* > 0 bytes, 0 at the end, NOTHING_NOW, BROKEN. */
static long
take_bytes(struct caller *c, void *room, size_t n)
{
	return c->tls != NULL ? tls_read(c->tls, room, n) : plain_result(recv(c->fd, room, n, MSG_DONTWAIT));
}

static long
give_bytes(struct caller *c, struct sp_bytes out)
{
	return c->tls != NULL ? tls_write(c->tls, out.p, out.len) : plain_result(send(c->fd, out.p, out.len, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void
caller_flush(struct caller *c)
{
	while (c->out.len > 0) {
		long n = give_bytes(c, buffer_bytes(&c->out));
		if (n == NOTHING_NOW)
			break;
		if (n <= 0) {
			c->closing = true;
			return;
		}
		buffer_drop(&c->out, (size_t)n);
		caller_wait(c, patience[c->state]);
	}
	if (c->out.len > 0 && event_add(c->writable, NULL) != 0)
		c->closing = true;
}

/* ---- answers ---- */

/* Nothing but our own pages and files may come into a page of ours, and no page of others may hold ours. */
static const struct {
	const char *name, *value;
} https_fields[] = {
	{ "Strict-Transport-Security", "max-age=31536000" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "same-origin" }, /* not "no-referrer": then browsers write "Origin: null" on our own forms, which are refused */
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Permissions-Policy", "camera=(), geolocation=(), microphone=()" },
};

#define POLICY_TAIL "style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
static const char policy[] = "default-src 'none'; " POLICY_TAIL;
/* The player of terminals is WebAssembly, which is compiled from bytes of ours and evaluates no text. */
static const char policy_of_scripts[] = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; font-src 'self'; " POLICY_TAIL;

static void
answer_begin(struct caller *c, struct sp_writer *w, unsigned status, const char *type)
{
	http_put_status(w, status);
	http_put_field(w, "Content-Type", sp_str(type));
	http_put_field(w, "X-Content-Type-Options", SP_LIT("nosniff"));
	for (size_t i = 0; c->door != NULL && i < sizeof(https_fields) / sizeof(*https_fields); i++)
		http_put_field(w, https_fields[i].name, sp_str(https_fields[i].value));
	if (c->door != NULL)
		http_put_field(w, "Content-Security-Policy", sp_str(c->scripts ? policy_of_scripts : policy));
	c->scripts = false;
	if (!c->keep_alive)
		http_put_field(w, "Connection", SP_LIT("close"));
}

static void
answer_head(struct caller *c, unsigned status, const char *type, uint64_t length, bool known)
{
	struct sp_writer w = buffer_writer(&c->out);
	c->chunked = !known && c->head.minor == 1;
	if (!known && !c->chunked)
		c->keep_alive = false;
	answer_begin(c, &w, status, type);
	if (known)
		http_put_field_u64(&w, "Content-Length", length);
	else if (c->chunked)
		http_put_field(&w, "Transfer-Encoding", SP_LIT("chunked"));
	http_put_field(&w, "Cache-Control", SP_LIT("no-store"));
	if (status == 401)
		http_put_field(&w, "WWW-Authenticate", SP_LIT("Bearer"));
	if (status == 405)
		http_put_field(&w, "Allow", SP_LIT("GET, POST"));
	http_put_end(&w);
	if (buffer_written(&c->out, &w) != SP_OK)
		c->closing = true;
}

void
caller_reply(struct caller *c, unsigned status, struct sp_bytes json)
{
	answer_head(c, status, "application/json", json.len, true);
	if (buffer_put(&c->out, json) != SP_OK)
		c->closing = true;
	caller_enter(c, SENDING);
	event_active(c->slice, EV_WRITE, 0);
}

void
caller_page(struct caller *c, const struct page_reply *p)
{
	struct sp_writer w = buffer_writer(&c->out);
	c->scripts = p->scripts;
	answer_begin(c, &w, p->status, p->type);
	if (p->status != 304)
		http_put_field_u64(&w, "Content-Length", p->body.len);
	http_put_field(&w, "Cache-Control", p->cache != NULL ? sp_str(p->cache) : SP_LIT("no-store"));
	if (p->etag != NULL)
		http_put_field(&w, "ETag", sp_str(p->etag));
	if (p->packed)
		http_put_field(&w, "Content-Encoding", SP_LIT("gzip"));
	if (p->varies)
		http_put_field(&w, "Vary", SP_LIT("Accept-Encoding"));
	if (p->location != NULL)
		http_put_field(&w, "Location", sp_str(p->location));
	for (size_t i = 0; i < 2; i++)
		if (p->cookie[i] != NULL)
			http_put_field(&w, "Set-Cookie", sp_str(p->cookie[i]));
	http_put_end(&w);
	sp_wr_put(&w, p->body);
	if (buffer_written(&c->out, &w) != SP_OK)
		c->closing = true;
	caller_enter(c, SENDING);
	event_active(c->slice, EV_WRITE, 0);
}

void
caller_retry_after(struct caller *c, unsigned seconds)
{
	static const char json[] = "{\"error\": \"too many attempts from your address: wait a little, then try again\"}";
	struct sp_writer w = buffer_writer(&c->out);
	answer_begin(c, &w, 429, "application/json");
	http_put_field_u64(&w, "Content-Length", sizeof(json) - 1);
	http_put_field_u64(&w, "Retry-After", seconds);
	http_put_end(&w);
	sp_wr_put(&w, sp_str(json));
	if (buffer_written(&c->out, &w) != SP_OK)
		c->closing = true;
	caller_enter(c, SENDING);
	event_active(c->slice, EV_WRITE, 0);
}

void
caller_refuse(struct caller *c, unsigned status, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_t *object = json_pack("{ss}", "error", text);
	char *json = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	caller_reply(c, status, json == NULL ? SP_LIT("{\"error\": \"refused\"}") : sp_str(json));
	free(json);
	json_decref(object);
}

struct range {
	uint64_t from, to; /* bytes [from, to) */
};

static bool
take_offset(struct sp_reader *r, uint64_t *n_r)
{
	unsigned digits = 0;
	for (*n_r = 0; r->left > 0 && *r->p >= '0' && *r->p <= '9' && digits < 18; digits++)
		*n_r = *n_r * 10 + (sp_rd_u8(r) - (uint64_t)'0');
	return digits > 0;
}

/* "bytes=A-B", "bytes=A-", "bytes=-N" (RFC 9110, 14.2).  false: another unit, several, or nonsense: as if there were none. */
static bool
range_parse(const char *text, uint64_t size, struct range *range_r)
{
	struct sp_reader r = sp_reader(sp_str(text));
	uint64_t from, last;
	if (!sp_bytes_is(sp_rd_until(&r, '='), "bytes"))
		return false;
	bool begins = take_offset(&r, &from);
	if (sp_rd_u8(&r) != '-' || r.bad)
		return false;
	bool ends = take_offset(&r, &last);
	if (r.left > 0 || (!begins && !ends) || (begins && ends && last < from))
		return false;
	if (begins)
		*range_r = (struct range){ from, ends && last < size ? last + 1 : size };
	else
		*range_r = (struct range){ last < size ? size - last : 0, size };
	return true;
}

static void
file_head(struct caller *c, uint64_t size, const struct range *part)
{
	char text[80];
	struct sp_writer w = buffer_writer(&c->out);
	answer_begin(c, &w, part == NULL ? 200 : 206, "application/octet-stream");
	http_put_field_u64(&w, "Content-Length", part == NULL ? size : part->to - part->from);
	http_put_field(&w, "Content-Disposition", SP_LIT("attachment"));
	http_put_field(&w, "Accept-Ranges", SP_LIT("bytes"));
	http_put_field(&w, "Cache-Control", SP_LIT("no-store"));
	if (part != NULL) {
		(void)snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)part->from, (unsigned long long)part->to - 1,
		    (unsigned long long)size);
		http_put_field(&w, "Content-Range", sp_str(text));
	}
	http_put_end(&w);
	if (buffer_written(&c->out, &w) != SP_OK)
		c->closing = true;
}

void
caller_send_file(struct caller *c, int fd, const char *name)
{
	struct stat st;
	struct range part = { 0, 0 };
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		caller_refuse(c, 500, "the recording can't be read");
		return;
	}
	uint64_t size = (uint64_t)st.st_size;
	bool some = c->range[0] != '\0' && range_parse(c->range, size, &part);
	if ((some && part.from >= part.to) || lseek(fd, (off_t)part.from, SEEK_SET) != (off_t)part.from) {
		close(fd);
		caller_refuse(c, 416, "the recording has %llu bytes", (unsigned long long)size);
		return;
	}
	log_debug("connection %llu reads %s", (unsigned long long)c->connection, name);
	c->file = fd;
	c->file_left = some ? part.to - part.from : size;
	file_head(c, size, some ? &part : NULL);
	caller_enter(c, STREAMING);
	event_active(c->slice, EV_WRITE, 0);
}

void
caller_stream_begin(struct caller *c, const char *type)
{
	answer_head(c, 200, type, 0, false);
	caller_enter(c, STREAMING);
}

void
caller_lines_begin(struct caller *c)
{
	caller_stream_begin(c, "application/x-ndjson");
}

void
caller_alive(struct caller *c)
{
	if (c->out.len == 0)
		caller_wait(c, patience[c->state]);
}

void
caller_cut(struct caller *c)
{
	c->closing = true;
	event_active(c->slice, EV_WRITE, 0);
}

void
caller_piece(struct caller *c, struct sp_bytes piece)
{
	if (piece.len == 0)
		return; /* an empty chunk would be the last one */
	struct sp_writer w = buffer_writer(&c->out);
	if (c->chunked)
		http_put_chunk(&w, piece);
	else
		sp_wr_put(&w, piece);
	if (buffer_written(&c->out, &w) != SP_OK)
		c->closing = true;
	if (!c->busy)
		caller_flush(c);
}

void
caller_line(struct caller *c, json_t *object)
{
	struct buffer line = { .p = NULL };
	char *json = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (json == NULL || buffer_printf(&line, "%s\n", json) != SP_OK)
		c->closing = true;
	else
		caller_piece(c, buffer_bytes(&line));
	buffer_free(&line);
	free(json);
}

void
caller_lines_end(struct caller *c)
{
	if (c->chunked) {
		struct sp_writer w = buffer_writer(&c->out);
		http_put_last_chunk(&w);
		if (buffer_written(&c->out, &w) != SP_OK)
			c->closing = true;
	}
	caller_enter(c, SENDING);
	event_active(c->slice, EV_WRITE, 0);
}

bool
caller_full(const struct caller *c)
{
	return c->out.len >= PIECE;
}

static void
job_end(struct caller *c)
{
	struct job *j = c->job;
	c->job = NULL;
	c->job_ready = false;
	if (j != NULL)
		j->end(j);
}

void
caller_work(struct caller *c, struct job *j)
{
	job_end(c); /* one goes on where another ends */
	c->job = j;
}

void
caller_work_ready(struct caller *c, bool ready)
{
	c->job_ready = ready;
	if (ready)
		event_active(c->slice, EV_WRITE, 0);
}

/* ---- requests ---- */

static void
wipe_request(struct caller *c)
{
	struct sp_bytes in = buffer_bytes(&c->in);
	if (in.len > 0)
		mem_wipe(c->in.p + c->in.start, c->head_len < in.len ? c->head_len : in.len); /* it held a token */
	buffer_drop(&c->in, c->head_len);
	buffer_free(&c->body);
	c->head_len = 0;
}

/* The one cookie of that name; none when there are two: one of them is not ours. */
static struct sp_bytes
cookie_value(const struct http_head *h, struct sp_bytes head, const char *name)
{
	struct sp_bytes found = { NULL, 0 };
	for (unsigned i = 0; i < h->nfields; i++) {
		if (!http_name_is(http_span(head, h->field[i].name), "cookie"))
			continue;
		struct sp_reader r = sp_reader(http_span(head, h->field[i].value));
		while (r.left > 0) {
			struct sp_reader rest = r;
			struct sp_bytes pair = sp_rd_until(&r, ';');
			if (r.bad)
				pair = sp_rd_rest(&rest), r = rest;
			struct sp_reader p = sp_reader(pair);
			while (p.left > 0 && *p.p == ' ')
				(void)sp_rd_u8(&p);
			if (!sp_bytes_is(sp_rd_until(&p, '='), name))
				continue;
			if (found.p != NULL)
				return (struct sp_bytes){ NULL, 0 };
			found = sp_rd_rest(&p);
		}
	}
	return found;
}

static void
request_done(struct caller *c)
{
	struct sp_bytes head = { buffer_bytes(&c->in).p, c->head_len };
	struct request r = {
		.method = http_span(head, c->head.method),
		.type = http_field(&c->head, head, "content-type"),
		.authorization = http_field(&c->head, head, "authorization"),
		.host = http_field(&c->head, head, "host"),
		.origin = http_field(&c->head, head, "origin"),
		.site = http_field(&c->head, head, "sec-fetch-site"),
		.csrf = http_field(&c->head, head, "x-sallyport-csrf"),
		.slack_time = http_field(&c->head, head, "x-slack-request-timestamp"),
		.slack_signature = http_field(&c->head, head, "x-slack-signature"),
		.cookie = cookie_value(&c->head, head, "__Host-sallyport"),
		.flow = cookie_value(&c->head, head, "__Host-sallyport-flow"),
		.last_event = http_field(&c->head, head, "last-event-id"),
		.unless = http_field(&c->head, head, "if-none-match"),
		.gzip = http_field_has(&c->head, head, "accept-encoding", "gzip"),
		.body = buffer_bytes(&c->body),
	};
	http_target_split(http_span(head, c->head.target), &r.path, &r.query);
	struct sp_bytes range = http_field(&c->head, head, "range");
	bool whole = range.len >= sizeof(c->range) || http_field(&c->head, head, "if-range").p != NULL; /* we give no ETag */
	(void)snprintf(c->range, sizeof(c->range), "%.*s", whole ? 0 : (int)range.len, range.p == NULL ? "" : (const char *)range.p);
	caller_enter(c, BUSY);
	api_begin(c, &r);
}

static void
bad_request(struct caller *c, int error)
{
	log_info("connection %llu: %s", (unsigned long long)c->connection, http_error_text(error));
	c->keep_alive = false;
	caller_refuse(c, http_error_status(error), "%s", http_error_text(error));
}

/* True when something was consumed. */
static bool
read_head(struct caller *c)
{
	long n = http_head_parse(&c->head, buffer_bytes(&c->in));
	if (n == 0)
		return false;
	if (n < 0) {
		bad_request(c, (int)n);
		return true;
	}
	c->head_len = (size_t)n;
	c->keep_alive = c->head.keep_alive && !c->console->quitting && clock_mono_ms() - c->since < LIFE_MS;
	http_body_begin(&c->framing, &c->head.framing);
	if (c->head.framing.kind == HTTP_LENGTH && c->head.framing.length > BODY_MAX) {
		c->keep_alive = false;
		caller_refuse(c, 413, "the body is longer than 1 MB");
		return true;
	}
	if (c->head.expect_continue && buffer_put(&c->out, SP_LIT("HTTP/1.1 100 Continue\r\n\r\n")) != SP_OK)
		c->closing = true;
	caller_enter(c, BODY);
	return true;
}

static bool
read_body(struct caller *c)
{
	struct sp_reader r = sp_reader(buffer_bytes(&c->in));
	struct sp_bytes piece;
	int rc;
	(void)sp_rd_take(&r, c->head_len);
	size_t before = r.left;
	while ((rc = http_body_next(&c->framing, &r, &piece)) == HTTP_BODY_PIECE) {
		if (piece.len > BODY_MAX - c->body.len || buffer_put(&c->body, piece) != SP_OK) {
			c->keep_alive = false;
			caller_refuse(c, 413, "the body is longer than 1 MB");
			return true;
		}
	}
	size_t used = before - r.left;
	if (used > 0) { /* close the gap: what follows the body comes right after the head */
		uint8_t *at = c->in.p + c->in.start + c->head_len;
		memmove(at, at + used, before - used);
		c->in.len -= used;
	}
	if (rc < 0)
		bad_request(c, rc);
	else if (rc == HTTP_BODY_END)
		request_done(c);
	return rc != HTTP_BODY_MORE;
}

/* The next piece of the file once the former one is out. */
static bool
send_piece(struct caller *c)
{
	caller_flush(c);
	if (c->file < 0 || c->out.len > 0 || c->closing)
		return false;
	uint8_t piece[PIECE];
	size_t want = c->file_left < sizeof(piece) ? (size_t)c->file_left : sizeof(piece);
	ssize_t n = want == 0 ? 0 : read(c->file, piece, want);
	if (want > 0 && n <= 0) {
		c->closing = true; /* it became shorter: the length we promised can't be kept */
		return false;
	}
	if (n > 0 && buffer_put(&c->out, (struct sp_bytes){ piece, (size_t)n }) != SP_OK)
		c->closing = true;
	c->file_left -= (uint64_t)n;
	if (c->file_left == 0) {
		close(c->file);
		c->file = -1;
		caller_enter(c, SENDING);
	}
	return true;
}

static bool
sent(struct caller *c)
{
	caller_flush(c);
	if (c->out.len > 0 || c->closing)
		return false;
	job_end(c);
	wipe_request(c);
	http_head_begin(&c->head, HTTP_REQUEST, NULL);
	if (c->keep_alive && !c->console->quitting) {
		caller_enter(c, HEAD);
		return true;
	}
	/* Close our half and wait for the peer to close its own, so that the answer is not lost to a reset. */
	if (c->tls != NULL)
		tls_bye(c->tls);
	(void)shutdown(c->fd, SHUT_WR);
	caller_enter(c, LAST);
	return true;
}

static bool
caller_step(struct caller *c)
{
	switch (c->state) {
	case HANDSHAKE:
		return false;
	case HEAD:
		return c->in.len > 0 && read_head(c);
	case BODY:
		return read_body(c);
	case BUSY:
		return false;
	case STREAMING:
		return send_piece(c);
	case SENDING:
		return sent(c);
	case LAST:
		buffer_free(&c->in);
		return false;
	case STATES:
		break;
	}
	return false;
}

/* Everything that can be done now.  The caller may be gone after it. */
static void
caller_run(struct caller *c)
{
	const struct timeval soon = { 0, 0 };
	if (c->busy)
		return;
	c->busy = true;
	unsigned rounds = 0;
	while (!c->closing && caller_step(c)) {
		if (++rounds == ROUNDS) {
			(void)event_add(c->slice, &soon);
			break;
		}
	}
	if (!c->closing)
		caller_flush(c);
	c->busy = false;
	if (c->closing)
		caller_free(&c);
}

/* True once TLS stands.  The caller may be gone after false. */
static bool
shaken(struct caller *c)
{
	bool wants_write;
	const char *why = "";
	int rc = tls_handshake(c->tls, &wants_write, &why);
	if (rc == 1) {
		caller_enter(c, HEAD);
		return true;
	}
	if (rc == 0 && (!wants_write || event_add(c->writable, NULL) == 0))
		return false;
	log_info("%s: %s", c->visitor.address, why);
	caller_free(&c);
	return false;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	(void)fd, (void)what;
	if (c->state == HANDSHAKE && !shaken(c))
		return;
	do { /* what TLS has read already makes no socket readable */
		uint8_t *room = buffer_room(&c->in, READ_SIZE);
		long n = room == NULL ? 0 : take_bytes(c, room, READ_SIZE);
		if (n == NOTHING_NOW)
			break;
		if (n <= 0) { /* gone, or it sends on and on while we work */
			caller_free(&c);
			return;
		}
		if (c->state == HEAD && c->in.len == 0)
			caller_wait(c, HEAD_PATIENCE);
		buffer_added(&c->in, (size_t)n);
	} while (c->tls != NULL && tls_pending(c->tls));
	caller_run(c);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	(void)fd, (void)what;
	caller_free(&c);
}

static void
on_slice(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	(void)fd, (void)what;
	if (c->job != NULL && c->job_ready && !caller_full(c))
		c->job->step(c->job);
	if (c->job != NULL && c->job_ready && !caller_full(c)) {
		const struct timeval soon = { 0, 0 }; /* others first */
		(void)event_add(c->slice, &soon);
	}
	caller_run(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	(void)fd, (void)what;
	if (c->state == HANDSHAKE && !shaken(c))
		return;
	caller_flush(c);
	if (c->job_ready && !caller_full(c))
		event_active(c->slice, EV_WRITE, 0);
	caller_run(c);
}

/* ---- begin and end ---- */

/* NULL: it is closed again. */
static struct caller *
caller_make(struct console *console, int fd)
{
	struct caller *c = mem_alloc(sizeof(*c));
	*c = (struct caller){ .console = console, .next = console->callers, .fd = fd, .since = clock_mono_ms(), .file = -1 };
	c->in.max = HTTP_HEAD_MAX + 2 * READ_SIZE;
	console->callers = c;
	console->ncallers++;
	(void)evutil_make_socket_nonblocking(fd);
	c->readable = event_new(console->role.base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(console->role.base, fd, EV_WRITE, on_writable, c);
	c->slice = event_new(console->role.base, -1, 0, on_slice, c);
	c->deadline = event_new(console->role.base, -1, 0, on_deadline, c);
	if (c->readable == NULL || c->writable == NULL || c->slice == NULL || c->deadline == NULL ||
	    event_add(c->readable, NULL) != 0) {
		caller_free(&c);
		return NULL;
	}
	http_head_begin(&c->head, HTTP_REQUEST, NULL);
	caller_enter(c, HEAD);
	return c;
}

void
caller_new(struct console *console, int fd, uint64_t connection, uint64_t uid)
{
	unsigned same = 0;
	for (const struct caller *o = console->callers; o != NULL; o = o->next)
		same += o->door == NULL && o->uid == uid;
	if (console->ncallers - console->nvisitors >= CALLERS || (uid != 0 && same >= CALLERS_PER_UID) || console->quitting) {
		log_warn("connection %llu: refused, %u are open", (unsigned long long)connection, console->ncallers);
		close(fd);
		return;
	}
	struct caller *c = caller_make(console, fd);
	if (c != NULL) {
		c->connection = connection;
		c->uid = uid;
	}
}

void
caller_visit(struct console *console, int fd, const struct visitor *v)
{
	static const struct tls_start start = { .alpn = "http/1.1" };
	const struct console_settings *s = &console->epoch->settings.console;
	unsigned same = 0;
	for (const struct caller *o = console->callers; o != NULL && !v->local; o = o->next)
		same += o->door != NULL && !o->visitor.local && memcmp(o->visitor.net, v->net, sizeof(v->net)) == 0;
	if (console->nvisitors >= s->limit.connections || same >= s->limit.per_address || console->quitting) {
		log_info("%s: refused, it has %u connections of %u", v->address, same, console->nvisitors);
		close(fd);
		return;
	}
	struct caller *c = caller_make(console, fd);
	if (c == NULL)
		return;
	c->door = console->door;
	c->door->users++;
	c->visitor = *v;
	console->nvisitors++;
	if (tls_new(c->door->tls, fd, &start, &c->tls) != SP_OK)
		caller_free(&c);
	else
		caller_enter(c, HANDSHAKE);
}

static void
end_event(struct event *e)
{
	if (e != NULL)
		event_free(e);
}

void
caller_free(struct caller **at)
{
	struct caller *c = *at;
	*at = NULL;
	job_end(c);
	for (struct caller **p = &c->console->callers; *p != NULL; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			c->console->ncallers--;
			c->console->nvisitors -= c->door != NULL;
			break;
		}
	end_event(c->readable);
	end_event(c->writable);
	end_event(c->slice);
	end_event(c->deadline);
	tls_free(&c->tls);
	door_leave(&c->door);
	close(c->fd);
	if (c->file >= 0)
		close(c->file);
	buffer_free(&c->in);
	buffer_free(&c->body);
	buffer_free(&c->out);
	if (c->console->quitting && c->console->ncallers == 0)
		role_end(&c->console->role, 0);
	free(c);
}

void
callers_finish(struct console *console)
{
	for (struct caller *c = console->callers, *next; c != NULL; c = next) {
		next = c->next;
		c->keep_alive = false;
		if (c->state == HANDSHAKE || c->state == HEAD || c->state == LAST)
			caller_free(&c);
	}
}
