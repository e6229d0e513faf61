/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's answer: its head written anew, its body looked through by detectors, recorded, framed anew.
 *
 *   HEAD ─┬─▶ BODY ─▶ DONE          what the filter lets out, at once
 *         └─▶ SPOOL ─▶ DONE         read whole, and rewritten
 *
 * Refused, since nobody could look into it: a coded body (gzip …).  Contained: redirects to other hosts,
 * cookies for other hosts.
 */
#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE (64u << 10)

static const char too_long[] = "parts of this answer have to be hidden, and it is longer than what is read whole (`whole`)";

static bool
begins(struct sp_bytes in, const char *word)
{
	size_t n = strlen(word);
	return in.len >= n && http_name_is((struct sp_bytes){ in.p, n }, word);
}

/* ---- the head ---- */

/* Without `Domain`: the cookie stays with the name under which the client knows the target.  None is the console's. */
static void
put_cookie(struct sp_writer *w, struct sp_bytes value)
{
	struct sp_writer kept = proxy_buffer();
	struct sp_reader r = sp_reader(value);
	bool first = true;
	if (proxy_is_consoles(value))
		return;
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes part = sp_rd_until(&r, ';');
		if (r.bad) {
			part = sp_rd_rest(&rest);
			r = rest;
		}
		while (part.len > 0 && (part.p[0] == ' ' || part.p[0] == '\t')) /* RFC 6265, 5.2 */
			part = (struct sp_bytes){ part.p + 1, part.len - 1 };
		if (!first && begins(part, "domain"))
			continue;
		if (!first)
			sp_wr_put(&kept, SP_LIT("; "));
		sp_wr_put(&kept, part);
		first = false;
	}
	http_put_field(w, "Set-Cookie", sp_written(&kept));
	proxy_free(&kept);
}

/* The path of a redirect to the target itself; empty: it leads elsewhere. */
static struct sp_bytes
contained(struct sp_session *s, struct sp_bytes to)
{
	const struct proxy_conf *c = sp_conf(s);
	struct sp_bytes host = sp_str(c->host[0] != '\0' ? c->host : sp_target_name(s)), none = { NULL, 0 };
	for (size_t i = 0; i < to.len; i++) /* browsers take a backslash for a slash, and nothing for a tab */
		if (to.p[i] == '\\' || to.p[i] <= ' ')
			return none;
	if (to.len > 0 && to.p[0] == '/')
		return begins(to, "//") ? none : to;
	size_t scheme = begins(to, "http://") ? 7 : begins(to, "https://") ? 8 : 0;
	if (scheme > 0 && to.len > scheme + host.len && memcmp(to.p + scheme, host.p, host.len) == 0 && to.p[scheme + host.len] == '/')
		return contained(s, (struct sp_bytes){ to.p + scheme + host.len, to.len - scheme - host.len });
	for (size_t i = 0; i < to.len; i++) {
		if (to.p[i] == ':')
			return none;
		if (to.p[i] == '/' || to.p[i] == '?')
			break;
	}
	return to;
}

static bool
is_among(struct sp_bytes name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (http_name_is(name, list[i]))
			return true;
	return false;
}

/* Fields about the message and how to keep it: none has a value that is data of the target's. */
static bool
is_about_message(struct sp_bytes name)
{
	static const char *const fields[] = { "content-type", "content-language", "cache-control", "date", "age", "expires", "last-modified", "etag", "vary",
		"allow", "retry-after", "x-content-type-options", "x-frame-options", "content-security-policy", "referrer-policy" };
	return is_among(name, fields, sizeof(fields) / sizeof(*fields));
}

/* A field's value as it is shown: detectors look through it as they do through the body. */
static int
put_value(struct sp_session *s, struct sp_writer *w, const char *name, struct sp_bytes value)
{
	struct proxy *p = sp_state(s);
	struct sp_writer shown = proxy_buffer();
	bool looks = p->r.filter != NULL && !is_about_message(sp_str(name));
	int rc = looks ? sp_filter_feed(p->r.filter, value, true, &shown) : SP_OK;
	if (rc == SP_OK && looks)
		value = sp_written(&shown);
	if (rc == SP_OK && http_name_is(sp_str(name), "set-cookie"))
		put_cookie(w, value);
	else if (rc == SP_OK && (http_name_is(sp_str(name), "location") || http_name_is(sp_str(name), "content-location")))
		http_put_field(w, name, contained(s, value));
	else if (rc == SP_OK)
		http_put_field(w, name, value);
	proxy_free(&shown);
	return rc;
}

static int
put_fields(struct sp_session *s, struct sp_writer *w, struct sp_bytes head)
{
	static const char *const dropped[] = { "content-length", "transfer-encoding", "alt-svc", "strict-transport-security", "public-key-pins",
		"clear-site-data", "service-worker-allowed", "accept-ranges", "www-authenticate", "proxy-authenticate", "content-encoding",
		"refresh", "trailer" };
	struct proxy *p = sp_state(s);
	for (unsigned i = 0; i < p->answer.nfields; i++) {
		const struct http_field *f = &p->answer.field[i];
		struct sp_bytes name = http_span(head, f->name), value = http_span(head, f->value);
		bool drop = http_field_is_hop(&p->answer, head, f) || is_among(name, dropped, sizeof(dropped) / sizeof(*dropped)) ||
		    (p->r.shown != NULL && !is_about_message(name) && !is_among(name, p->r.shown->v, p->r.shown->n));
		char text[256];
		if (drop || name.len >= sizeof(text))
			continue;
		memcpy(text, name.p, name.len);
		text[name.len] = '\0';
		int rc = put_value(s, w, text, value);
		if (rc != SP_OK)
			return rc;
	}
	return w->bad ? SP_EPROTO : SP_OK;
}

/* How the client gets it: of the same length, in chunks, or until the connection ends. */
static void
put_framing(struct sp_session *s, struct sp_writer *w, bool changes)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	const struct http_framing *f = &p->answer.framing;
	bool bodiless = f->kind == HTTP_NO_BODY;
	r->chunked = !bodiless && (changes || f->kind != HTTP_LENGTH) && r->chunks_ok;
	if (r->chunked)
		http_put_field(w, "Transfer-Encoding", SP_LIT("chunked"));
	else if (!bodiless && !changes && f->kind == HTTP_LENGTH)
		http_put_field_u64(w, "Content-Length", f->length);
	else if (bodiless && !r->head_only && r->status != 204 && r->status != 304)
		http_put_field_u64(w, "Content-Length", 0);
	else if (!bodiless)
		r->close = true;
	if (!p->answer.keep_alive || !r->up_done)
		r->close = true;
	if (r->close || !r->keep_alive)
		http_put_field(w, "Connection", SP_LIT("close"));
}

/* Does the target leave HTTP with this answer?  By 101, or as before 1.22, by one without an end. */
static bool
becomes_stream(const struct proxy *p)
{
	if (!p->r.hijack)
		return false;
	return p->r.upgrade != NULL ? p->r.status == 101 : p->r.status == 200 && p->answer.framing.kind == HTTP_UNTIL_CLOSE;
}

/* What of it can't go on: a status and why; 0: it can. */
static unsigned
cannot(struct sp_session *s, struct sp_bytes head, const char **why_r)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct sp_bytes coding = http_field(&p->answer, head, "content-encoding"), to = http_field(&p->answer, head, "location");
	*why_r = "the target's answer is compressed, though it was asked not to: nobody could look into it";
	if (coding.p != NULL && !http_name_is(coding, "identity"))
		return 502;
	*why_r = "the target redirects to another host, which is not followed through here";
	if (to.p != NULL && contained(s, to).p == NULL)
		return 502;
	*why_r = "the target's answer comes in ranges, which were not asked for";
	if (p->answer.status == 206)
		return 502;
	*why_r = "rules hide parts of this answer, and only JSON can be looked into for them (`pages` of the target names others that may pass)";
	int rc = p->hooks->begin == NULL ? SP_OK : p->hooks->begin(s);
	if (rc == SP_OK && !p->r.framed && !becomes_stream(p))
		rc = sp_stream_filter(p->r.op, &p->r.filter);
	if (rc != SP_OK)
		return 403;
	*why_r = too_long;
	return p->r.rewrite && p->answer.framing.kind == HTTP_LENGTH && p->answer.framing.length > c->whole ? 502 : 0;
}

static int
begin_stream(struct sp_session *s, struct sp_bytes head)
{
	struct proxy *p = sp_state(s);
	struct sp_bytes type = http_field(&p->answer, head, "content-type");
	struct sp_writer *w = sp_out(s, SP_CLIENT);
	http_put_status(w, p->r.status);
	if (type.p != NULL)
		http_put_field(w, "Content-Type", type);
	if (p->r.upgrade != NULL) {
		http_put_field(w, "Connection", SP_LIT("Upgrade"));
		http_put_field(w, "Upgrade", sp_str(p->r.upgrade));
	}
	http_put_end(w);
	if (w->bad)
		return sp_fail(s, SP_EPROTO, "the target's answer has a field that cannot be sent on");
	proxy_enter(s, PROXY_STREAM);
	return sp_drop(s, SP_TARGET, head.len);
}

static int
begin_answer(struct sp_session *s, size_t n)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	struct sp_bytes head = { sp_peek(s, SP_TARGET).p, n };
	const char *why;
	http_head_answers(&p->answer, sp_str(r->method));
	r->status = p->answer.status;
	unsigned status = cannot(s, head, &why);
	if (status != 0)
		return proxy_refuse(s, status, true, why);
	if (becomes_stream(p))
		return begin_stream(s, head);
	http_body_begin(&r->down_body, &p->answer.framing);
	r->rewrite = r->rewrite && p->answer.framing.kind != HTTP_NO_BODY;
	r->down = r->rewrite ? DOWN_SPOOL : DOWN_BODY;
	if (r->early) { /* its head is out */
		r->close = !p->answer.keep_alive || !r->up_done;
		return sp_drop(s, SP_TARGET, n);
	}
	struct sp_writer *w = r->rewrite ? &r->held : sp_out(s, SP_CLIENT);
	http_put_status(w, r->status);
	int rc = put_fields(s, w, head);
	if (rc == SP_OK) {
		put_framing(s, w, r->filter != NULL || r->rewrite || r->framed || r->pieces);
		http_put_end(w);
	}
	if (rc != SP_OK || w->bad)
		return sp_fail(s, SP_EPROTO, "the target's answer has a field that cannot be sent on");
	return sp_drop(s, SP_TARGET, n);
}

/* ---- the body ---- */

static int
put_shown(struct sp_session *s, struct sp_bytes shown, struct sp_bytes plain)
{
	struct proxy *p = sp_state(s);
	if (shown.len == 0)
		return SP_OK;
	p->r.bytes += plain.len;
	int rc = plain.len == 0 ? SP_OK : sp_record(s, p->r.op, SP_REC_OUTPUT, plain);
	if (rc != SP_OK || !p->r.chunked)
		return rc == SP_OK ? sp_put(s, SP_CLIENT, shown) : rc;
	struct sp_writer *w = sp_out(s, SP_CLIENT);
	http_put_chunk(w, shown);
	return w->bad ? SP_ENOMEM : SP_OK;
}

static int
show(struct sp_session *s, struct sp_bytes piece, bool last)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	if (p->r.filter == NULL && !p->r.framed)
		return put_shown(s, piece, piece);
	struct sp_writer out = proxy_buffer(), plain = proxy_buffer();
	int rc = p->r.framed ? p->hooks->show(s, piece, last, &out, &plain) : sp_filter_feed(p->r.filter, piece, last, &out);
	if (rc == SP_OK)
		rc = out.bad || plain.bad ? SP_ENOMEM : put_shown(s, sp_written(&out), sp_written(p->r.framed ? &plain : &out));
	proxy_free(&out);
	proxy_free(&plain);
	bool holds = !last && (p->r.framed ? p->hooks->holds(s) : sp_filter_holds(p->r.filter));
	p->r.hold_until = holds ? proxy_now() + c->hold + 1 : 0;
	return rc;
}

/* The next piece, or the end of the body, for whoever has to change it first. */
static int
show_changed(struct sp_session *s, struct sp_bytes piece, bool last)
{
	struct proxy *p = sp_state(s);
	if (!p->r.pieces)
		return show(s, piece, last);
	struct sp_writer out = proxy_buffer();
	int rc = p->hooks->pieces(s, piece, last, &out);
	if (rc == SP_OK)
		rc = out.bad ? SP_ENOMEM : show(s, sp_written(&out), last);
	else
		rc = sp_fail(s, rc, "the target's answer can't be shown: %s", p->r.message);
	proxy_free(&out);
	return rc;
}

int
proxy_answer_due(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	return p->r.down == DOWN_BODY && (p->r.filter != NULL || p->r.framed) ? show(s, (struct sp_bytes){ NULL, 0 }, true) : SP_OK;
}

/* The head that was held, and the body as it is shown; DOWN_SPOOL stays where it can't be, r.message says why, or yet (PROXY_LATER). */
static int
show_rewritten(struct sp_session *s, struct sp_writer *out)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	snprintf(r->message, sizeof(r->message), "the target's answer can't be shown");
	int rc = p->hooks->rewrite(s, r->status, sp_written(&r->fetched), out);
	if (rc != SP_OK)
		return rc == PROXY_LATER ? PROXY_LATER : SP_OK;
	rc = out->bad ? SP_ENOMEM : sp_put(s, SP_CLIENT, sp_written(&r->held));
	r->down = DOWN_BODY;
	return rc == SP_OK ? show(s, sp_written(out), false) : rc;
}

int
proxy_answer_finish(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct proxy_request *r = &p->r;
	char error[16] = "", text[128];
	int rc = SP_OK;
	if (r->down == DOWN_SPOOL) {
		struct sp_writer out = proxy_buffer();
		rc = show_rewritten(s, &out);
		proxy_free(&out);
		if (rc == PROXY_LATER)
			return proxy_wait(s);
		if (rc == SP_OK && r->down == DOWN_SPOOL)
			return proxy_refuse(s, 502, true, r->message);
	}
	if (rc == SP_OK)
		rc = show_changed(s, (struct sp_bytes){ NULL, 0 }, true);
	if (rc != SP_OK)
		return rc;
	if (r->chunked)
		http_put_last_chunk(sp_out(s, SP_CLIENT));
	r->down = DOWN_DONE;
	if (r->status >= 400)
		snprintf(error, sizeof(error), "%u", r->status);
	snprintf(text, sizeof(text), "%u %s%s%s", r->status, http_reason(r->status), r->said[0] == '\0' ? "" : ", ", r->said);
	const struct sp_outcome o = { .error = error, .text = text };
	rc = sp_done(r->op, &o);
	return rc == SP_OK ? proxy_finish(s) : rc;
}

static int
relay_down(struct sp_session *s)
{
	const struct proxy_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	struct proxy_request *q = &p->r;
	struct sp_bytes in = sp_peek(s, SP_TARGET), piece;
	struct sp_reader r = sp_reader(in);
	int what = HTTP_BODY_MORE, rc = SP_OK;
	bool fits = true;
	while (rc == SP_OK && fits && !sp_full(s, SP_CLIENT) && (what = http_body_next(&q->down_body, &r, &piece)) == HTTP_BODY_PIECE) {
		if (q->down == DOWN_BODY)
			rc = show_changed(s, piece, false);
		else if ((fits = piece.len <= c->whole - q->fetched.len))
			sp_wr_put(&q->fetched, piece);
	}
	if (what < 0)
		return sp_fail(s, SP_EPROTO, "the target's body is malformed: %s", http_error_text(what));
	if (rc == SP_OK)
		rc = q->fetched.bad ? SP_ENOMEM : sp_drop(s, SP_TARGET, in.len - r.left);
	proxy_moved(s);
	if (rc == SP_OK && !fits)
		return proxy_refuse(s, 502, true, too_long);
	return rc == SP_OK && what == HTTP_BODY_END ? proxy_answer_finish(s) : rc;
}

int
proxy_answer(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->r.down == DOWN_HEAD) {
		long n = http_head_parse(&p->answer, sp_peek(s, SP_TARGET));
		if (n == 0)
			return SP_OK;
		if (n < 0) {
			sp_log(s, SP_WARN, "the target's answer is refused: %s", http_error_text((int)n));
			return proxy_refuse(s, 502, true, "the target's answer is malformed");
		}
		if (p->answer.status == 101 && p->r.upgrade == NULL)
			return proxy_refuse(s, 502, true, "the target leaves HTTP, which was not asked for");
		bool more = p->answer.status < 200 && p->answer.status != 101;
		int rc = more ? sp_drop(s, SP_TARGET, (size_t)n) : begin_answer(s, (size_t)n);
		if (rc == SP_OK && more) {
			const struct http_limits limits = { .head = 0 };
			http_head_begin(&p->answer, HTTP_RESPONSE, &limits);
		}
		if (rc != SP_OK || p->state != PROXY_EXCHANGE || p->r.down == DOWN_HEAD)
			return rc;
	}
	return relay_down(s);
}

int
proxy_answer_eof(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	if (p->r.down == DOWN_HEAD)
		return proxy_refuse(s, 502, true, "the target closed the connection without an answer");
	if (http_body_eof(&p->r.down_body))
		return proxy_answer_finish(s);
	return sp_fail(s, SP_EIO, "the target closed the connection amid its answer");
}
