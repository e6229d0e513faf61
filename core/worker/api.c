/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of module.h that concern a session: bytes, who, dial, record, and small things. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../base/clock.h"
#include "../policy/detect.h"
#include "../policy/mask.h"
#include "epoch_use.h"
#include "keeper_talk.h"
#include "operation.h"
#include "pool.h"
#include "record.h"
#include "session.h"

#define ROWS_FRAME (64u << 10) /* longest payload of one FRAME_ROWS; longer goes on in the next */

/* ---- bytes ---- */

struct sp_bytes
sp_peek(struct sp_session *s, enum sp_side from)
{
	return s->side[from].view;
}

int
sp_pass(struct sp_session *s, enum sp_side from, size_t n)
{
	return stream_pass(&s->side[from], &s->side[SP_OTHER(from)], n);
}

int
sp_drop(struct sp_session *s, enum sp_side from, size_t n)
{
	return stream_drop(&s->side[from], n);
}

int
sp_want(struct sp_session *s, enum sp_side from, size_t n, size_t max)
{
	if (n > max)
		return sp_fail(s, SP_ETOOBIG, "a message of %zu bytes is longer than the %zu allowed here", n, max);
	s->side[from].want = n > 0 ? n : 1;
	s->side[from].in.max = n + SCRATCH > (64u << 20) ? n + SCRATCH : 0;
	return SP_OK;
}

struct sp_writer *
sp_out(struct sp_session *s, enum sp_side to)
{
	if (s->w->running != s) { /* its bytes would lie where another session's are */
		log_error("session %s is written to while it does not run", s->name);
		abort();
	}
	return stream_writer(&s->side[to]);
}

int
sp_put(struct sp_session *s, enum sp_side to, struct sp_bytes b)
{
	struct sp_writer *w = sp_out(s, to);
	sp_wr_put(w, b);
	return w->bad ? SP_ENOMEM : SP_OK;
}

bool
sp_full(struct sp_session *s, enum sp_side to)
{
	struct stream *st = &s->side[to];
	size_t writing = s->w->writer_stream == st ? s->w->writer.len - s->w->writer_start : 0;
	/* remembered: whoever was told so waits for drained(), however soon the socket takes it all */
	st->full = st->full || st->out.len + st->pending + writing > STREAM_HIGH;
	return st->full;
}

int
sp_shut(struct sp_session *s, enum sp_side side)
{
	s->side[side].shut = true;
	return SP_OK;
}

enum sp_tls_mode
sp_tls_mode(const struct sp_session *s, enum sp_side side)
{
	if (side == SP_TARGET)
		return s->home->tls.mode == TLS_OFF ? SP_TLS_OFF : SP_TLS_REQUIRED;
	const struct listener_use *l = s->listener == NULL ? NULL : epoch_use_listener(s->heard, s->listener->b.name);
	if (l == NULL || l->tls == NULL)
		return SP_TLS_OFF;
	return l->listener->cleartext ? SP_TLS_OPTIONAL : SP_TLS_REQUIRED;
}

bool
sp_tls_active(const struct sp_session *s, enum sp_side side)
{
	return s->side[side].tls != NULL && tls_ready(s->side[side].tls);
}

int
sp_starttls(struct sp_session *s, enum sp_side side, bool direct, const char *alpn)
{
	struct stream *st = &s->side[side];
	if (st->tls != NULL || s->starttls[side].wanted)
		return sp_fail(s, SP_EPROTO, "TLS was asked for twice");
	if (!direct && st->view.len > 0)
		return sp_fail(s, SP_EPROTO, "%zu bytes came in clear before the TLS handshake", st->view.len);
	s->starttls[side].wanted = true;
	s->starttls[side].direct = direct;
	s->starttls[side].alpn = alpn;
	return SP_OK;
}

struct sp_bytes
sp_channel_binding(struct sp_session *s)
{
	struct tls *t = s->side[SP_TARGET].tls;
	return t == NULL ? (struct sp_bytes){ NULL, 0 } : tls_end_point(t);
}

int
sp_client_certificate(const struct sp_session *s, struct sp_writer *out)
{
	const struct tls *t = s->side[SP_CLIENT].tls;
	return t == NULL ? SP_OK : tls_client_chain(t, out);
}

/* ---- protocols that encrypt themselves ---- */

struct sp_bytes
sp_host_key(const struct sp_session *s)
{
	const struct epoch_file *f = s->heard == NULL || s->listener == NULL ? NULL : epoch_find_file(s->heard->epoch, s->listener->host_key);
	return f == NULL ? (struct sp_bytes){ NULL, 0 } : f->content;
}

void
sp_handshaken(struct sp_session *s)
{
	if (s->state == SESSION_ACCEPTED)
		s->deadline = s->w->now + s->listener->login;
}

int
sp_descriptors(struct sp_session *s, int fd_r[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd_r) == 0)
		return SP_OK;
	fd_r[0] = fd_r[1] = -1;
	return sp_fail(s, SP_EIO, "no descriptor is left for the session");
}

/* ---- who ---- */

int
sp_authenticate(struct sp_session *s, const struct sp_proof *proof)
{
	if (s->state != SESSION_ACCEPTED)
		return sp_fail(s, SP_EPROTO, "a proof came in state %s", session_state_name(s->state));
	return keeper_authenticate(s, proof);
}

int
sp_prove(struct sp_session *s, const struct sp_challenge *c)
{
	return s->state == SESSION_LOGIN ? keeper_prove(s, c) : sp_fail(s, SP_EPROTO, "a challenge came in state %s", session_state_name(s->state));
}

const char *
sp_login_mechanism(const struct sp_session *s)
{
	if (s->home == NULL)
		return "";
	const struct secret_settings *l = &s->home->login;
	if (l->ca[0] != '\0')
		return "ssh-certificate";
	if (l->key[0] != '\0' && l->cert[0] == '\0')
		return "ssh-key";
	return l->secret[0] != '\0' || l->vault[0] != '\0' || l->command[0] != '\0' ? "password" : "";
}

const char *
sp_login(const struct sp_session *s)
{
	return s->login_as == NULL ? "" : s->login_as;
}

const char *
sp_principal(const struct sp_session *s)
{
	return s->principal.user == NULL ? "" : s->principal.user;
}

const char *
sp_session_id(const struct sp_session *s)
{
	return s->name;
}

const char *
sp_target_name(const struct sp_session *s)
{
	return s->target_name == NULL ? "" : s->target_name;
}

const char *
sp_target_part(const struct sp_session *s)
{
	return s->part == NULL ? "" : s->part;
}

const char *
sp_server(const struct sp_session *s)
{
	struct hostport at;
	const char *server = s->reached != NULL ? s->reached : s->home == NULL ? "" : s->home->server;
	if (settings_hostport(server, &at) != SP_OK)
		return "";
	return arena_string(s->arena, sp_str(at.host));
}

bool
sp_pin(const struct sp_session *s, size_t i, struct sp_setting *pin_r)
{
	*pin_r = (struct sp_setting){ NULL, NULL };
	if (i >= s->npins)
		return false;
	*pin_r = (struct sp_setting){ s->pin[i].name, s->pin[i].value };
	return true;
}

int
sp_ready(struct sp_session *s)
{
	if (s->state != SESSION_LOGIN)
		return sp_fail(s, SP_EINTERNAL, "the module is ready in state %s", session_state_name(s->state));
	session_enter(s, SESSION_RUN);
	s->logged_in = true;
	s->deadline = 0;
	s->active = s->w->now;
	if (s->purpose[0] == '\0')
		keeper_opened(s);
	session_follow(s); /* an epoch that came while it logged in */
	if (s->purpose[0] == '\0' && s->pool_key.p != NULL) {
		s->to_fill = true;
		session_kick(s);
	}
	return SP_OK;
}

int
sp_fail(struct sp_session *s, int rc, const char *fmt, ...)
{
	char text[600];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	bool first = s->end_text == NULL;
	if (first) {
		s->end_text = arena_string(s->arena, sp_str(text));
		s->why = SP_END_ERROR;
		s->end_told = true;
	}
	sp_log(s, !first ? SP_DEBUG : rc == SP_EIO ? SP_INFO : SP_WARN, "%s", text); /* one line for one end */
	return rc;
}

/* ---- dial ---- */

int
sp_cancel_key(struct sp_session *s, uint32_t pid, struct sp_bytes secret)
{
	return keeper_cancel_key(s, pid, secret);
}

int
sp_cancel(struct sp_session *s, uint32_t pid, struct sp_bytes secret)
{
	return keeper_cancel(s, pid, secret);
}

struct sp_session *
sp_side_session(struct sp_session *s, const char *purpose, void *cookie)
{
	return s->target == NULL ? NULL : session_side(s, purpose, cookie);
}

void
sp_estimated(struct sp_session *s, const char *request, const char *text)
{
	keeper_estimate(s, request, text);
}

const char *
sp_purpose(const struct sp_session *s)
{
	return s->purpose;
}

void *
sp_cookie(const struct sp_session *s)
{
	return s->cookie;
}

uint64_t
sp_recheck(const struct sp_session *s)
{
	return s->home == NULL ? 0 : s->home->recheck;
}

/* Blocks live as long as the process: as many as there are targets and parts in use. */
struct side_block {
	struct side_block *next;
	const struct sp_module *module;
	char *target, *part, *server;
	void *block;
};

void *
sp_target_block(struct sp_session *s, size_t size, void (*end)(void *block))
{
	static struct side_block *blocks;
	const char *server = s->reached != NULL ? s->reached : s->home->server; /* a standby may be behind, or another copy */
	(void)end; /* the process's end is the block's */
	for (struct side_block *b = blocks; b != NULL; b = b->next)
		if (b->module == s->module && strcmp(b->target, s->target_name) == 0 && strcmp(b->part, s->part) == 0 &&
		    strcmp(b->server, server) == 0)
			return b->block;
	struct side_block *b = mem_alloc(sizeof(*b));
	*b = (struct side_block){ blocks, s->module, mem_string(sp_str(s->target_name)), mem_string(sp_str(s->part)),
		mem_string(sp_str(server)), mem_alloc(size) };
	blocks = b;
	return b->block;
}

int
sp_pool_key(struct sp_session *s, struct sp_bytes key)
{
	return pool_key(s, key);
}

struct sp_bytes
sp_pool_key_of(const struct sp_session *s)
{
	return s->pool_key;
}

void
sp_wake(struct sp_session *s)
{
	session_kick(s);
}

/* ---- facts ---- */

void
sp_view(struct sp_session *s, const void *view, uint64_t version)
{
	if (s->view == view && s->view_version == version)
		return;
	s->view = view;
	s->view_version = version;
	scope_unref(&s->scope);
}

void
sp_wrote(struct sp_session *s, bool wrote)
{
	s->wrote = wrote;
}

int
sp_fact(struct sp_session *s, const char *name, struct sp_bytes value)
{
	size_t i = 0;
	while (i < s->nfacts && strcmp(s->fact[i].name, name) != 0)
		i++;
	if (i == sizeof(s->fact) / sizeof(*s->fact))
		return SP_ETOOBIG;
	if (i < s->nfacts && sp_bytes_eq(s->fact[i].value, value))
		return SP_OK;
	struct sp_bytes copy = { (uint8_t *)mem_string(value), value.len };
	if (i == s->nfacts)
		s->fact[s->nfacts++] = (struct fact){ arena_string(s->arena, sp_str(name)), copy };
	else {
		free((void *)(uintptr_t)s->fact[i].value.p);
		s->fact[i].value = copy;
	}
	scope_unref(&s->scope);
	return SP_OK;
}

/*
 * ---- unstructured output: rules on "output" are asked about the operation as if its answer were one
 * column of text, and what they look for is looked for across chunks ----
 */

struct sp_filter {
	struct detect_stream *stream;
};

static int
make_filter(struct sp_op *op, enum sp_source source, struct sp_filter **filter_r)
{
	const struct sp_column output = { .name = SP_LIT("output"), .known = source, .text = true };
	const struct sp_verdict *denied = NULL;
	*filter_r = NULL;
	int rc = sp_columns_begin(op, 1);
	if (rc == SP_OK)
		rc = sp_column(op, 0, &output);
	if (rc != SP_OK)
		return rc;
	rc = sp_columns_judge(op, &denied);
	if (rc < 0)
		return rc;
	const struct sp_mask *m = sp_column_mask(op, 0);
	if (m == NULL)
		return SP_OK;
	if (m->kind != SP_MASK_DETECT || m->detect == 0)
		return SP_EDENIED; /* a column that is hidden whole: there would be no output */
	struct sp_filter *f = mem_alloc(sizeof(*f));
	f->stream = detect_stream_new(m->detect);
	*filter_r = f;
	return SP_OK;
}

int
sp_stream_filter(struct sp_op *op, struct sp_filter **filter_r)
{
	return make_filter(op, SP_SOURCE_NONE, filter_r);
}

int
sp_file_filter(struct sp_op *op, bool all, struct sp_filter **filter_r)
{
	int rc = make_filter(op, all ? SP_SOURCE_NONE : SP_SOURCE_FILE, filter_r);
	if (rc == SP_OK && *filter_r != NULL)
		detect_stream_keep_length((*filter_r)->stream);
	return rc;
}

int
sp_filter_feed(struct sp_filter *f, struct sp_bytes in, bool last, struct sp_writer *out)
{
	struct buffer shown = { 0 };
	int rc = detect_stream_feed(f->stream, in, last, &shown);
	if (rc == SP_OK)
		sp_wr_put(out, buffer_bytes(&shown));
	buffer_free(&shown);
	return rc != SP_OK ? rc : out->bad ? SP_ETOOBIG : SP_OK;
}

bool
sp_filter_holds(const struct sp_filter *f)
{
	return detect_stream_holds(f->stream);
}

void
sp_filter_free(struct sp_filter **f)
{
	if (*f == NULL)
		return;
	detect_stream_free(&(*f)->stream);
	free(*f);
	*f = NULL;
}

/* ---- record ---- */

/* Data for a tagged column (COPY … FROM STDIN): which of it is, only its reader would know. */
static int
record_input_hidden(struct sp_session *s, const struct sp_op *op, struct sp_bytes b)
{
	struct buffer hidden = { 0 };
	int rc = record_hidden(s->w, b, &hidden);
	if (rc == SP_OK)
		record_frame(s, FRAME_INPUT, op->channel, op_recorded_as(op), buffer_bytes(&hidden), (struct sp_bytes){ NULL, 0 });
	buffer_free(&hidden);
	return rc;
}

int
sp_record_size(struct sp_session *s, const struct sp_op *op, unsigned columns, unsigned rows)
{
	uint8_t space[64];
	struct sp_writer w = sp_writer(space, sizeof(space));
	frame_field_u64(&w, KEY_ROWS, rows);
	frame_field_u64(&w, KEY_BYTES, columns);
	record_frame(s, FRAME_RESIZE, op == NULL ? 0 : op->channel, op == NULL ? 0 : op->number, sp_written(&w), (struct sp_bytes){ NULL, 0 });
	return SP_OK;
}

int
sp_record(struct sp_session *s, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b)
{
	static const enum frame_type type[] = { [SP_REC_ROWS] = FRAME_ROWS, [SP_REC_OUTPUT] = FRAME_OUTPUT, [SP_REC_INPUT] = FRAME_INPUT,
		[SP_REC_NOTICE] = FRAME_NOTICE };
	uint16_t channel = op == NULL ? 0 : op->channel;
	uint32_t number = op == NULL ? 0 : op_recorded_as(op);
	s->bytes += b.len;
	if (stream == SP_REC_NOTICE) {
		uint8_t space[1024];
		struct sp_writer w = sp_writer(space, sizeof(space));
		frame_field(&w, KEY_MESSAGE, (struct sp_bytes){ b.p, b.len < 1000 ? b.len : 1000 });
		record_frame(s, FRAME_NOTICE, channel, number, sp_written(&w), (struct sp_bytes){ NULL, 0 });
		return SP_OK;
	}
	if (stream == SP_REC_INPUT && op != NULL && (op->plan == NULL || op->plan->sensitive))
		return record_input_hidden(s, op, b);
	while (b.len > 0) {
		size_t n = b.len < ROWS_FRAME ? b.len : ROWS_FRAME;
		record_frame(s, type[stream], channel, number, (struct sp_bytes){ b.p, n }, (struct sp_bytes){ NULL, 0 });
		b.p += n;
		b.len -= n;
	}
	return SP_OK;
}

/* ---- other ---- */

void *
sp_state(const struct sp_session *s)
{
	return s->state_block;
}

const void *
sp_conf(const struct sp_session *s)
{
	return s->conf;
}

void *
sp_alloc(struct sp_session *s, size_t n)
{
	return arena_alloc(s->arena, n);
}

void
sp_log(const struct sp_session *s, enum sp_level level, const char *fmt, ...)
{
	char about[64];
	va_list args;
	snprintf(about, sizeof(about), "s=%s", s->name);
	va_start(args, fmt);
	log_about(level, about, fmt, args);
	va_end(args);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sp_session *s = arg;
	(void)fd;
	(void)what;
	if (s->state >= SESSION_ENDING)
		return;
	worker_clock(s->w);
	session_enter_module(s);
	(void)session_leave_module(s, s->module->data(s, SP_CLIENT));
}

void
sp_timer(struct sp_session *s, uint64_t after)
{
	if (!s->timer_made)
		event_assign(&s->timer, s->w->base, -1, 0, on_timer, s);
	s->timer_made = true;
	event_del(&s->timer);
	struct timeval tv = { .tv_sec = (time_t)(after / 1000), .tv_usec = (suseconds_t)(after % 1000 * 1000) };
	if (after > 0)
		event_add(&s->timer, &tv);
}

int
sp_random(void *p, size_t n)
{
	random_bytes(p, n);
	return SP_OK;
}
