/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, one at a time, from the first that says who is there to the last.  See proxy.h. */
#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DRAIN_MAX (16u << 20) /* of a refused request's body */

static const char *const state_name[] = { "hello", "keeper", "dialing", "login", "ready", "spool", "fetch", "asked", "exchange", "stream", "wait",
	"drain", "over" };
_Static_assert(sizeof(state_name) / sizeof(*state_name) == PROXY_STATES, "a name for each state");

void
proxy_enter(struct sp_session *s, enum proxy_state to)
{
	struct proxy *p = sp_state(s);
	sp_log(s, SP_DEBUG, "http: %s, then %s", state_name[p->state], state_name[to]);
	p->state = to;
}

uint64_t
proxy_now(void)
{
	struct timespec t = { 0 };
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void
proxy_moved(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	p->since = proxy_now();
}

/* Is it somebody's turn, who may not be silent for ever? */
static bool
waits(const struct proxy *p)
{
	return p->state == PROXY_SPOOL || p->state == PROXY_FETCH || p->state == PROXY_WAIT || p->state == PROXY_DRAIN ||
	    (p->state == PROXY_EXCHANGE && !p->r.unbounded);
}

/* The longest silence now, ms; 0: none is too long. */
static uint64_t
silence(const struct proxy *p, const struct proxy_conf *c)
{
	bool endless = p->state == PROXY_STREAM || (p->state == PROXY_EXCHANGE && p->r.unbounded);
	return waits(p) ? c->stall : endless ? p->r.silence : 0;
}

/* One timer: what a filter holds, and how long somebody is silent. */
static void
arm(struct sp_session *s)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	uint64_t now = proxy_now(), most = silence(p, c), at = most > 0 ? p->since + most : 0;
	if (p->r.hold_until != 0 && (at == 0 || p->r.hold_until < at))
		at = p->r.hold_until;
	sp_timer(s, at == 0 ? 0 : at > now ? at - now : 1);
}

int
proxy_check(const struct proxy_conf *c, const char **err_r)
{
	for (size_t i = 0; i < c->headers.n; i++)
		if (proxy_is_identity(sp_str(c->headers.v[i]))) {
			*err_r = "headers names a field that says who somebody is, or one with an underscore: clients never send these through";
			return SP_ECONF;
		}
	*err_r = "head must be between 1k and 60k, body at most 32m";
	if (c->head < 1024 || c->head > 60u << 10 || c->body > 32u << 20)
		return SP_ECONF;
	*err_r = "whole is at most 4m";
	if (c->whole > PROXY_FETCH_MAX)
		return SP_ECONF;
	*err_r = "hold is at most 10s, stall at most 1d";
	return c->hold <= 10000 && c->stall <= 24u * 3600 * 1000 ? SP_OK : SP_ECONF;
}

/* ---- the end of a request ---- */

static void
forget(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->hooks->forget != NULL)
		p->hooks->forget(s);
	sp_filter_free(&p->r.filter);
	sp_op_free(&p->r.op);
	struct sp_writer *const writers[] = { &p->r.target, &p->r.fields, &p->r.lines, &p->r.body, &p->r.fetched, &p->r.held };
	for (size_t i = 0; i < sizeof(writers) / sizeof(*writers); i++)
		proxy_free(writers[i]);
	p->r = (struct proxy_request){ .status = 0 };
	p->head_len = 0;
	p->head_begun = false;
}

int
proxy_finish(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	bool close = p->r.close || !p->r.keep_alive || !p->r.up_done;
	forget(s);
	sp_timer(s, 0);
	proxy_enter(s, close ? PROXY_OVER : PROXY_READY);
	return close ? sp_shut(s, SP_CLIENT) : SP_OK;
}

/* The rest of a refused request's body; what is too long, or malformed, ends with its connection. */
static int
drain(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct sp_bytes in = sp_peek(s, SP_CLIENT), piece;
	struct sp_reader r = sp_reader(in);
	int what;
	while ((what = http_body_next(&p->r.up, &r, &piece)) == HTTP_BODY_PIECE)
		p->r.bytes += piece.len;
	int rc = sp_drop(s, SP_CLIENT, in.len - r.left);
	if (rc != SP_OK)
		return rc;
	p->r.up_done = what == HTTP_BODY_END;
	proxy_moved(s);
	if (what == HTTP_BODY_MORE && p->r.bytes < DRAIN_MAX) {
		arm(s);
		return SP_OK;
	}
	return proxy_finish(s);
}

/* ---- answers of the gateway's own ---- */

/* What was refused before it was an operation is told with it: nobody's try leaves no trace. */
static int
record_refusal(struct sp_session *s, struct sp_bytes body)
{
	const struct proxy *p = sp_state(s);
	struct sp_writer said = proxy_buffer();
	if (p->r.op == NULL && p->r.method[0] != '\0') {
		sp_wr_put(&said, sp_str(p->r.method));
		sp_wr_u8(&said, ' ');
		sp_wr_put(&said, sp_written(&p->r.target));
		sp_wr_u8(&said, '\n');
	}
	sp_wr_put(&said, body);
	int rc = said.bad ? SP_ENOMEM : sp_record(s, p->r.op, SP_REC_NOTICE, sp_written(&said));
	proxy_free(&said);
	return rc;
}

static int
put_refusal(struct sp_session *s, unsigned status, bool close, const char *message)
{
	struct proxy *p = sp_state(s);
	if (p->r.early)
		return proxy_announce(s, true, message);
	struct sp_writer body = proxy_buffer(), *w = sp_out(s, SP_CLIENT);
	p->hooks->refusal(&body, status, message);
	http_put_status(w, status);
	http_put_field(w, "Content-Type", SP_LIT("application/json"));
	if (status == 401)
		http_put_field(w, "WWW-Authenticate", SP_LIT("Basic realm=\"Sallyport\", charset=\"UTF-8\""));
	if (status == 405)
		http_put_field(w, "Allow", SP_LIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
	http_put_field_u64(w, "Content-Length", body.len);
	http_put_field(w, "Cache-Control", SP_LIT("no-store"));
	if (close)
		http_put_field(w, "Connection", SP_LIT("close"));
	http_put_end(w);
	if (!p->r.head_only)
		sp_wr_put(w, sp_written(&body));
	int rc = body.bad || w->bad ? SP_ENOMEM : SP_OK;
	if (rc == SP_OK && p->state >= PROXY_READY)
		rc = record_refusal(s, sp_written(&body));
	proxy_free(&body);
	return rc;
}

int
proxy_refuse(struct sp_session *s, unsigned status, bool fatal, const char *message)
{
	struct proxy *p = sp_state(s);
	/* a client that was not told to go on sends no body, or does: nobody could tell what comes next */
	bool unsure = p->r.expects && !p->r.continued && !p->r.up_done;
	p->r.close = fatal || !p->r.keep_alive || unsure;
	int rc = put_refusal(s, status, p->r.close, message);
	if (rc != SP_OK)
		return rc;
	if (p->r.up_done || unsure)
		return proxy_finish(s);
	p->r.bytes = 0;
	proxy_enter(s, PROXY_DRAIN);
	return drain(s);
}

/* Malformed: no route from here. */
static int
malformed(struct sp_session *s, int error)
{
	struct proxy *p = sp_state(s);
	const char *text = http_error_text(error);
	bool known = p->state != PROXY_HELLO;
	int rc = put_refusal(s, http_error_status(error), true, text);
	if (rc != SP_OK || !known)
		return sp_fail(s, rc != SP_OK ? rc : SP_EPROTO, "the client's request is refused: %s", text);
	sp_log(s, SP_WARN, "the client's request is refused: %s", text);
	proxy_enter(s, PROXY_OVER);
	return sp_shut(s, SP_CLIENT);
}

/* ---- heads ---- */

/* 1: p->head is whole; 0: not yet; SP_EDENIED: answered already, nothing more to do. */
static int
take_head(struct sp_session *s, struct sp_bytes *head_r)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_bytes in = sp_peek(s, SP_CLIENT);
	if (!p->head_begun) {
		const struct http_limits limits = { .head = (uint32_t)c->head };
		http_head_begin(&p->head, HTTP_REQUEST, &limits);
		p->head_begun = true;
	}
	if (p->head_len == 0) {
		long n = http_head_parse(&p->head, in);
		if (n < 0) {
			int rc = malformed(s, (int)n);
			return rc == SP_OK ? SP_EDENIED : rc;
		}
		p->head_len = (size_t)n;
	}
	*head_r = (struct sp_bytes){ in.p, p->head_len };
	return p->head_len > 0;
}

static int
refuse_unknown(struct sp_session *s, unsigned status, const char *text)
{
	int rc = put_refusal(s, status, true, text);
	return sp_fail(s, rc != SP_OK ? rc : SP_EDENIED, "%s", text);
}

/* orders.gate.example.com:8443 → orders */
static bool
target_of_host(struct sp_bytes host, char to[64])
{
	size_t n = 0;
	while (n < host.len && host.p[n] != '.' && host.p[n] != ':')
		n++;
	if (n == 0 || n > 63 || n == host.len || host.p[n] == ':')
		return false;
	memcpy(to, host.p, n);
	to[n] = '\0';
	return true;
}

static int
say_who(struct sp_session *s, struct sp_bytes head)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	uint8_t *space = sp_alloc(s, head.len + 8);
	struct sp_writer w = sp_writer(space, head.len + 8);
	struct sp_proof proof;
	char target[64] = "";
	if (space == NULL)
		return SP_ENOMEM;
	if (proxy_find_proof(p, head, &proof, &w) != SP_OK)
		return refuse_unknown(s, 401, "no token: send Authorization: Bearer TOKEN, or Basic with the token as password");
	if (c->by_host && !target_of_host(http_field(&p->head, head, "host"), target))
		return refuse_unknown(s, 421, "the first label of Host says which target is asked for");
	proof.target = target;
	proxy_hash_proof(&proof, p->proof);
	p->proven = true;
	proxy_enter(s, PROXY_KEEPER);
	struct sp_writer chain = proxy_buffer();
	int rc = proof.kind == SP_PROOF_CERTIFICATE ? sp_client_certificate(s, &chain) : SP_OK;
	if (proof.kind == SP_PROOF_CERTIFICATE)
		proof.secret = sp_written(&chain);
	if (rc == SP_OK)
		rc = sp_authenticate(s, &proof); /* the head stays, to be looked at again */
	proxy_free(&chain);
	explicit_bzero(space, head.len + 8);
	return rc;
}

static bool
same_proof(struct sp_session *s, struct sp_bytes head)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_writer w = proxy_buffer();
	struct sp_proof proof;
	char target[64] = "";
	uint8_t hash[32], differs = 0;
	bool ok = proxy_find_proof(p, head, &proof, &w) == SP_OK &&
	    (!c->by_host || target_of_host(http_field(&p->head, head, "host"), target));
	if (ok) {
		proof.target = target;
		proxy_hash_proof(&proof, hash);
		for (size_t i = 0; i < sizeof(hash); i++)
			differs |= (uint8_t)(hash[i] ^ p->proof[i]);
	}
	if (w.p != NULL)
		explicit_bzero(w.p, w.cap);
	proxy_free(&w);
	return ok && differs == 0;
}

/* What would answer with the request itself, the target's credential in it. */
static bool
is_echo(struct sp_bytes method)
{
	return http_name_is(method, "TRACE") || http_name_is(method, "TRACK");
}

/* https://HOST is the page's, and HOST is asked. */
static bool
is_own_origin(const struct proxy *p, struct sp_bytes head, struct sp_bytes origin)
{
	struct sp_bytes host = http_field(&p->head, head, "host");
	const char *stop = origin.len < 3 ? NULL : memmem(origin.p, origin.len, "://", 3);
	size_t scheme = stop == NULL ? 0 : (size_t)((const uint8_t *)stop + 3 - origin.p);
	return stop != NULL && host.p != NULL && origin.len - scheme == host.len && memcmp(origin.p + scheme, host.p, host.len) == 0;
}

/*
 * A browser shows its certificate, and a password that it was given, for any page's sake: what other pages would have it
 * write is refused (ID10).  A bearer token only a page's own script sends.
 */
static bool
is_foreign(const struct proxy *p, struct sp_bytes head, struct sp_bytes method)
{
	struct sp_bytes site = http_field(&p->head, head, "sec-fetch-site"), origin = http_field(&p->head, head, "origin");
	if (!p->by_browser || sp_bytes_is(method, "GET") || sp_bytes_is(method, "HEAD"))
		return false;
	if (site.p == NULL)
		return origin.p != NULL && !is_own_origin(p, head, origin);
	return !sp_bytes_is(site, "same-origin") && !sp_bytes_is(site, "none");
}

static int
prepare(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	int rc = p->hooks->prepare(s);
	return rc == PROXY_LATER ? proxy_wait(s) : rc;
}

/* Why nobody is asked about a request, and the status that says so; NULL: it may go on. */
static const char *
refusal_of(struct sp_session *s, struct sp_bytes head, struct sp_bytes method, struct sp_bytes path, unsigned *status_r)
{
	*status_r = 401;
	if (!same_proof(s, head))
		return "this connection is another principal's, or the request has no token: use a new connection";
	*status_r = 400;
	if (method.len >= sizeof(((struct proxy_request *)NULL)->method))
		return "this method is not known here";
	*status_r = 405;
	if (is_echo(method))
		return "TRACE and TRACK are not passed on: the answer would show what the gateway adds to requests";
	*status_r = 403;
	if (is_foreign(sp_state(s), head, method))
		return "another site's page asks for this in the name of who has the certificate";
	*status_r = 400;
	return http_path_is_plain(path) ? NULL : "the path has . or .. or empty segments, or an encoded slash";
}

static int
begin_request(struct sp_session *s, struct sp_bytes head)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	struct sp_bytes method = http_span(head, p->head.method), target = http_span(head, p->head.target), path, query;
	*r = (struct proxy_request){ .keep_alive = p->head.keep_alive, .chunks_ok = p->head.minor == 1, .expects = p->head.expect_continue,
		.target = proxy_buffer(), .fields = proxy_buffer(), .lines = proxy_buffer(), .body = proxy_buffer(), .fetched = proxy_buffer(),
		.held = proxy_buffer() };
	proxy_moved(s);
	http_target_split(target, &path, &query);
	http_body_begin(&r->up, &p->head.framing);
	r->up_done = p->head.framing.kind == HTTP_NO_BODY || (p->head.framing.kind == HTTP_LENGTH && p->head.framing.length == 0);
	r->head_only = sp_bytes_is(method, "HEAD");
	sp_wr_put(&r->target, target);
	int rc = r->target.bad ? SP_ENOMEM : SP_OK;
	unsigned status;
	const char *why = refusal_of(s, head, method, path, &status); /* before the head goes */
	if (why == NULL) {
		memcpy(r->method, method.p, method.len);
		rc = rc == SP_OK ? proxy_put_fields(s, head) : rc;
		rc = rc == SP_OK ? p->hooks->route(s, head) : rc;
	}
	if (rc == SP_OK)
		rc = sp_drop(s, SP_CLIENT, head.len);
	if (rc != SP_OK)
		return rc;
	if (why != NULL)
		return proxy_refuse(s, status, true, why);
	if (r->refused != 0)
		return proxy_refuse(s, r->refused, false, r->message);
	if (!r->spool || r->up_done)
		return prepare(s);
	proxy_enter(s, PROXY_SPOOL);
	if (r->expects)
		rc = sp_put(s, SP_CLIENT, SP_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
	r->continued = true;
	arm(s);
	return rc;
}

static int
take_request(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct sp_bytes head;
	if (sp_peek(s, SP_CLIENT).len == 0 || sp_full(s, SP_CLIENT))
		return SP_OK;
	int rc = take_head(s, &head);
	if (rc <= 0)
		return rc == SP_EDENIED ? SP_OK : rc;
	if (p->state == PROXY_HELLO)
		return say_who(s, head);
	return begin_request(s, head);
}

/* ---- bodies of requests ---- */

static int
spool(struct sp_session *s)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_bytes in = sp_peek(s, SP_CLIENT), piece;
	struct sp_reader r = sp_reader(in);
	int what;
	proxy_moved(s);
	bool fits = true;
	while (fits && (what = http_body_next(&p->r.up, &r, &piece)) == HTTP_BODY_PIECE) {
		fits = piece.len <= c->body - p->r.body.len;
		if (fits)
			sp_wr_put(&p->r.body, piece);
	}
	int rc = sp_drop(s, SP_CLIENT, in.len - r.left);
	if (rc != SP_OK || p->r.body.bad)
		return rc != SP_OK ? rc : SP_ENOMEM;
	if (!fits)
		return proxy_refuse(s, 413, true, "the body is longer than what is read before it is judged (`body`)");
	if (what < 0)
		return proxy_refuse(s, 400, true, http_error_text(what));
	if (what != HTTP_BODY_END) {
		arm(s);
		return SP_OK;
	}
	p->r.up_done = true;
	return prepare(s);
}

/* The client's body goes on, framed anew and recorded. */
static int
relay_up(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *q = &p->r;
	struct sp_bytes in = sp_peek(s, SP_CLIENT), piece;
	struct sp_reader r = sp_reader(in);
	int what = HTTP_BODY_MORE, rc = SP_OK;
	bool chunked = q->up.framing.kind == HTTP_CHUNKED;
	while (rc == SP_OK && !sp_full(s, SP_TARGET) && (what = http_body_next(&q->up, &r, &piece)) == HTTP_BODY_PIECE) {
		rc = sp_record(s, q->op, SP_REC_INPUT, piece);
		if (rc == SP_OK && chunked)
			http_put_chunk(sp_out(s, SP_TARGET), piece);
		else if (rc == SP_OK)
			rc = sp_put(s, SP_TARGET, piece);
	}
	if (what < 0)
		return sp_fail(s, SP_EPROTO, "the client's body is malformed: %s", http_error_text(what));
	if (rc == SP_OK)
		rc = sp_drop(s, SP_CLIENT, in.len - r.left);
	if (rc == SP_OK && what == HTTP_BODY_END) {
		q->up_done = true;
		if (chunked)
			http_put_last_chunk(sp_out(s, SP_TARGET));
	}
	proxy_moved(s);
	arm(s);
	return rc;
}

/* ---- judging ---- */

static int
put_request(struct sp_session *s, struct sp_bytes method, struct sp_bytes target)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_writer *w = sp_out(s, SP_TARGET);
	http_put_request(w, method, target);
	http_put_field(w, "Host", sp_str(c->host[0] != '\0' ? c->host : sp_target_name(s)));
	http_put_field(w, "Accept-Encoding", SP_LIT("identity"));
	if (c->user_header[0] != '\0')
		http_put_field(w, c->user_header, sp_str(sp_principal(s)));
	sp_wr_put(w, sp_written(&p->credential));
	return w->bad ? SP_EPROTO : SP_OK;
}

static int
go_on(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	int rc = put_request(s, sp_str(r->method), sp_written(&r->target));
	struct sp_writer *w = sp_out(s, SP_TARGET);
	sp_wr_put(w, sp_written(&r->fields));
	if (r->upgrade != NULL) {
		http_put_field(w, "Connection", SP_LIT("Upgrade"));
		http_put_field(w, "Upgrade", sp_str(r->upgrade));
	}
	bool body = r->spool ? r->body.len > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 : false;
	if (body)
		http_put_field_u64(w, "Content-Length", r->body.len);
	else if (!r->spool && r->up.framing.kind == HTTP_CHUNKED)
		http_put_field(w, "Transfer-Encoding", SP_LIT("chunked"));
	else if (!r->spool && r->up.framing.kind == HTTP_LENGTH)
		http_put_field_u64(w, "Content-Length", r->up.framing.length);
	http_put_end(w);
	if (body)
		sp_wr_put(w, sp_written(&r->body));
	if (rc != SP_OK || w->bad)
		return rc != SP_OK ? rc : SP_ENOMEM;
	r->down = DOWN_HEAD;
	const struct http_limits limits = { .head = 0 };
	http_head_begin(&p->answer, HTTP_RESPONSE, &limits);
	proxy_moved(s);
	proxy_enter(s, PROXY_EXCHANGE);
	if (r->expects && !r->continued && !r->up_done)
		rc = sp_put(s, SP_CLIENT, SP_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
	r->continued = true;
	arm(s);
	return rc;
}

static int
decided(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->r.what == SP_ALLOW)
		return go_on(s);
	bool kill = p->r.what == SP_KILL;
	int rc = proxy_refuse(s, 403, kill, p->r.message);
	return rc == SP_OK && kill ? sp_fail(s, SP_EDENIED, "a rule ends the session") : rc;
}

int
proxy_wait(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	p->r.waits = p->state;
	proxy_moved(s);
	proxy_enter(s, PROXY_WAIT);
	arm(s);
	return SP_OK;
}

int
proxy_again(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->state != PROXY_WAIT)
		return SP_OK;
	proxy_moved(s);
	proxy_enter(s, p->r.waits);
	return p->state == PROXY_EXCHANGE ? proxy_answer_finish(s) : prepare(s);
}

int
proxy_judge(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	struct sp_writer text = proxy_buffer();
	sp_wr_put(&text, sp_str(r->method));
	sp_wr_u8(&text, ' ');
	sp_wr_put(&text, sp_written(&r->target));
	sp_wr_u8(&text, '\n');
	sp_wr_put(&text, sp_written(&r->lines));
	if (r->unseen)
		sp_wr_put(&text, SP_LIT("!body: unseen\n"));
	if (r->spool && r->body.len > 0) {
		sp_wr_u8(&text, '\n');
		sp_wr_put(&text, sp_written(&r->body));
	}
	proxy_enter(s, PROXY_ASKED);
	r->what = SP_DENY;
	r->op = text.bad ? NULL : sp_op_new(s, 0, r->kind, sp_written(&text));
	proxy_free(&text);
	if (r->op == NULL)
		return SP_ENOMEM;
	sp_timer(s, 0);
	int rc = r->group == NULL ? SP_OK : sp_group(s, r->op, sp_str(r->group));
	if (rc != SP_OK)
		return rc;
	r->asking = true;
	rc = sp_ask(r->op);
	r->asking = false;
	return rc != SP_OK || !r->decided ? rc : decided(s);
}

int
proxy_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	struct proxy *p = sp_state(s);
	if (op != p->r.op)
		return SP_EINTERNAL;
	p->r.decided = true;
	p->r.what = v->what;
	snprintf(p->r.message, sizeof(p->r.message), "%s%s%s", v->message, v->hint[0] == '\0' ? "" : "  ", v->hint);
	return p->r.asking ? SP_OK : decided(s);
}

int
proxy_announce(struct sp_session *s, bool failed, const char *text)
{
	struct proxy *p = sp_state(s);
	struct sp_writer line = proxy_buffer(), *w = sp_out(s, SP_CLIENT);
	p->hooks->announce(&line, failed, text);
	http_put_chunk(w, sp_written(&line));
	if (failed)
		http_put_last_chunk(w);
	int rc = line.bad || w->bad ? SP_ENOMEM : sp_record(s, p->r.op, SP_REC_NOTICE, sp_written(&line));
	proxy_free(&line);
	return rc;
}

/* Its answer is lines of progress, whose head can't say anything yet: out with it, so that the client hears what it waits for. */
static int
begin_early(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct sp_writer *w = sp_out(s, SP_CLIENT);
	http_put_status(w, 200);
	http_put_field(w, "Content-Type", SP_LIT("application/json"));
	http_put_field(w, "Transfer-Encoding", SP_LIT("chunked"));
	http_put_end(w);
	p->r.early = p->r.chunked = true;
	return w->bad ? SP_ENOMEM : SP_OK;
}

/* Else HTTP has no word for it: the client waits, and closes when it has waited enough. */
int
proxy_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h)
{
	struct proxy *p = sp_state(s);
	char text[500];
	int rc = SP_OK;
	if (op == p->r.op && p->r.progress && p->r.up_done && p->r.chunks_ok && !p->r.head_only) {
		(void)snprintf(text, sizeof(text), "held by rule \"%s\": request %s waits for %s", h->rule, h->id, h->by);
		rc = p->r.early ? SP_OK : begin_early(s);
		rc = rc == SP_OK ? proxy_announce(s, false, text) : rc;
	}
	sp_log(s, SP_INFO, "held by rule \"%s\": request %s waits for %s", h->rule, h->id, h->by);
	return rc;
}

/* ---- questions of the gateway's own ---- */

int
proxy_fetch(struct sp_session *s, struct sp_bytes target)
{
	struct proxy *p = sp_state(s);
	const struct http_limits limits = { .head = 0 };
	struct sp_writer said = proxy_buffer();
	sp_wr_put(&said, SP_LIT("GET "));
	sp_wr_put(&said, target);
	int rc = said.bad ? SP_ENOMEM : sp_own_statement(s, sp_written(&said));
	proxy_free(&said);
	if (rc == SP_OK)
		rc = put_request(s, SP_LIT("GET"), target);
	if (rc != SP_OK)
		return rc;
	http_put_end(sp_out(s, SP_TARGET));
	http_head_begin(&p->answer, HTTP_RESPONSE, &limits);
	p->r.down = DOWN_HEAD;
	p->r.fetched.len = 0;
	proxy_moved(s);
	proxy_enter(s, PROXY_FETCH);
	arm(s);
	return SP_OK;
}

static int
fetch_head(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	long n = http_head_parse(&p->answer, sp_peek(s, SP_TARGET));
	if (n == 0)
		return SP_OK;
	if (n < 0 || p->answer.status < 200)
		return sp_fail(s, SP_EPROTO, "the target's answer to a question of the gateway's own is malformed");
	http_body_begin(&p->r.down_body, &p->answer.framing);
	p->r.down = DOWN_SPOOL;
	p->r.status = p->answer.status;
	return sp_drop(s, SP_TARGET, (size_t)n);
}

static int
take_fetched(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->r.down == DOWN_HEAD) {
		int rc = fetch_head(s);
		if (rc != SP_OK || p->r.down == DOWN_HEAD)
			return rc;
	}
	struct sp_bytes in = sp_peek(s, SP_TARGET), piece;
	struct sp_reader r = sp_reader(in);
	int what;
	while ((what = http_body_next(&p->r.down_body, &r, &piece)) == HTTP_BODY_PIECE) {
		if (piece.len > PROXY_FETCH_MAX - p->r.fetched.len)
			return sp_fail(s, SP_ETOOBIG, "the target's answer to a question of the gateway's own is too long");
		sp_wr_put(&p->r.fetched, piece);
	}
	if (what < 0 || p->r.fetched.bad)
		return sp_fail(s, SP_EPROTO, "the target's answer to a question of the gateway's own is malformed");
	int rc = sp_drop(s, SP_TARGET, in.len - r.left);
	if (rc != SP_OK || what != HTTP_BODY_END)
		return rc;
	if (!p->answer.keep_alive)
		return proxy_refuse(s, 502, true, "the target keeps no connection open");
	struct sp_writer body = p->r.fetched; /* fetched() may ask the next question */
	p->r.fetched = proxy_buffer();
	rc = p->hooks->fetched(s, p->r.status, sp_written(&body));
	proxy_free(&body);
	return rc;
}

/* ---- the core's callbacks ---- */

int
proxy_accept(struct sp_session *s, const struct proxy_hooks *hooks)
{
	struct proxy *p = sp_state(s);
	p->hooks = hooks;
	p->credential = proxy_buffer();
	return sp_tls_mode(s, SP_CLIENT) == SP_TLS_OFF || sp_tls_mode(s, SP_CLIENT) == SP_TLS_OPTIONAL ? SP_OK
														 : sp_starttls(s, SP_CLIENT, false, "http/1.1");
}

int
proxy_admitted(struct sp_session *s, const struct sp_admission *a)
{
	if (a->what == SP_ADMIT) {
		proxy_enter(s, PROXY_DIALING);
		return SP_OK;
	}
	return refuse_unknown(s, a->what == SP_REFUSE ? 401 : 403, a->text == NULL ? "access denied" : a->text);
}

static int
ready(struct sp_session *s)
{
	int rc = sp_ready(s);
	proxy_enter(s, PROXY_READY);
	return rc;
}

static int
log_in(struct sp_session *s)
{
	const struct proxy_conf *c = sp_conf(s);
	const struct sp_challenge ask = { .mechanism = "password" };
	return strcmp(c->credential, "none") == 0 ? ready(s) : sp_prove(s, &ask);
}

int
proxy_open(struct sp_session *s)
{
	proxy_enter(s, PROXY_LOGIN);
	return sp_tls_mode(s, SP_TARGET) == SP_TLS_OFF ? log_in(s) : sp_starttls(s, SP_TARGET, false, "http/1.1");
}

int
proxy_secure(struct sp_session *s, enum sp_side side, const struct sp_tls *t)
{
	struct proxy *p = sp_state(s);
	if (side == SP_TARGET)
		return log_in(s);
	p->certified = t->certified;
	return SP_OK;
}

int
proxy_proved(struct sp_session *s, const struct sp_answer *a)
{
	if (!a->ok)
		return refuse_unknown(s, 502, "the gateway has no credential for this target");
	int rc = proxy_make_credential(s, a->bytes);
	return rc == SP_OK ? ready(s) : sp_fail(s, rc, "the target's secret does not fit into a header field");
}

static int
silent(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	static const char text[] = "nothing went through this for too long";
	int rc = p->state == PROXY_STREAM && p->hooks->stream_say != NULL ? p->hooks->stream_say(s, text) : SP_OK;
	return rc != SP_OK ? rc : sp_fail(s, SP_ETIME, "%s", text);
}

/* The timer: what a filter held, or too long a silence. */
static int
due(struct sp_session *s)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	uint64_t now = proxy_now();
	int rc = SP_OK;
	if (p->r.hold_until != 0 && now >= p->r.hold_until) {
		p->r.hold_until = 0;
		rc = p->state == PROXY_STREAM ? p->hooks->stream_due(s) : p->state == PROXY_EXCHANGE ? proxy_answer_due(s) : SP_OK;
	}
	uint64_t most = silence(p, c);
	if (rc != SP_OK || most == 0 || now < p->since + most)
		return rc;
	if (!waits(p))
		return silent(s);
	if (p->state == PROXY_EXCHANGE && p->r.down == DOWN_HEAD)
		return proxy_refuse(s, 504, true, "the target does not answer");
	if (p->state == PROXY_WAIT)
		return proxy_refuse(s, 503, true, "the keeper is away: try again in a few seconds");
	if (p->state == PROXY_SPOOL)
		return proxy_refuse(s, 408, true, "the request's body does not come");
	return sp_fail(s, SP_ETIME, "nothing has moved for longer than `stall`");
}

static int
from_client(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	switch (p->state) {
	case PROXY_HELLO:
	case PROXY_READY:
		return take_request(s);
	case PROXY_SPOOL:
		return spool(s);
	case PROXY_DRAIN:
		return drain(s);
	case PROXY_EXCHANGE:
		return p->r.up_done ? SP_OK : relay_up(s); /* the next request waits */
	case PROXY_STREAM:
		return p->hooks->stream(s, SP_CLIENT);
	case PROXY_OVER:
		return sp_drop(s, SP_CLIENT, sp_peek(s, SP_CLIENT).len);
	default:
		return SP_OK; /* it waits in the input */
	}
}

static int
from_target(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	switch (p->state) {
	case PROXY_FETCH:
		return take_fetched(s);
	case PROXY_EXCHANGE:
		return proxy_answer(s);
	case PROXY_STREAM:
		return p->hooks->stream(s, SP_TARGET);
	case PROXY_OVER:
	case PROXY_DRAIN:
		if (p->state == PROXY_OVER || p->r.close)
			return sp_drop(s, SP_TARGET, sp_peek(s, SP_TARGET).len);
		/* fall through */
	default:
		return sp_fail(s, SP_EPROTO, "the target speaks in state %s, unasked", state_name[p->state]);
	}
}

int
proxy_data(struct sp_session *s, enum sp_side from)
{
	struct proxy *p = sp_state(s);
	int rc = due(s);
	if (rc == SP_OK)
		rc = from == SP_CLIENT ? from_client(s) : from_target(s);
	if (rc == SP_OK && p->state >= PROXY_READY)
		arm(s);
	return rc;
}

int
proxy_eof(struct sp_session *s, enum sp_side side)
{
	struct proxy *p = sp_state(s);
	if (p->state == PROXY_OVER)
		return SP_OK;
	if (p->state == PROXY_READY) {
		proxy_enter(s, PROXY_OVER);
		return sp_shut(s, SP_CLIENT);
	}
	if (p->state == PROXY_STREAM)
		return p->hooks->stream_eof(s, side);
	if (side == SP_CLIENT)
		return sp_fail(s, SP_EIO, "the client left amid a request");
	if (p->state == PROXY_EXCHANGE)
		return proxy_answer_eof(s);
	return proxy_refuse(s, 502, true, "the target closed the connection");
}

int
proxy_end(struct sp_session *s, enum sp_why why, const char *text)
{
	struct proxy *p = sp_state(s);
	if (p->state == PROXY_STREAM && why != SP_END_EOF && why != SP_END_RECORDER && p->hooks->stream_say != NULL)
		return p->hooks->stream_say(s, text);
	bool begun = p->state == PROXY_OVER || p->state == PROXY_STREAM || p->state == PROXY_DRAIN ||
	    (p->state == PROXY_EXCHANGE && (p->r.down == DOWN_BODY || p->r.down == DOWN_DONE));
	if (begun || why == SP_END_EOF || why == SP_END_IDLE || p->state == PROXY_READY || !p->proven)
		return SP_OK;
	unsigned status = why == SP_END_REVOKED || why == SP_END_RULE ? 403 : why == SP_END_EXPIRED ? 401 : why == SP_END_SHUTDOWN ? 503 : 502;
	return put_refusal(s, status, true, text);
}

void
proxy_close(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	forget(s);
	if (p->credential.p != NULL)
		explicit_bzero(p->credential.p, p->credential.cap);
	proxy_free(&p->credential);
}
