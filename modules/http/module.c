/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.so: an HTTP API behind the gateway; each request is the operation http.request.
 *
 * proxy.h has the picture.  Here: settings, attributes, and what a request's text says.
 */
#include <stdio.h>

#include "fields.h"
#include "lines.h"
#include "mask.h"
#include "proxy.h"

struct http_conf {
	struct proxy_conf proxy;
	struct sp_strings templates;
	struct sp_strings pages, shown;
	bool any_case;
};

static const struct sp_directive directives[] = {
	PROXY_DIRECTIVES("accept,accept-language,cache-control,content-type,content-language,content-disposition,if-match,if-none-match,"
			 "if-modified-since,if-unmodified-since,user-agent,origin,referer,cookie,idempotency-key,prefer"),
	{ "templates", SP_TYPE_STRINGS, SP_IN_TARGET, offsetof(struct http_conf, templates), "",
	    "Paths of the API, `:name` stands for any segment: /orders/:id; the first that fits is the attribute `template`." },
	{ "pages", SP_TYPE_STRINGS, SP_IN_TARGET, offsetof(struct http_conf, pages), "",
	    "Paths, as in `templates`, or with all below: /app/*; where rules hide tagged columns, HTML, scripts and SVG pass from these alone, unlooked." },
	{ "shown", SP_TYPE_STRINGS, SP_IN_TARGET, offsetof(struct http_conf, shown), "",
	    "Where rules hide tagged columns: fields of answers that go on nevertheless (location, set-cookie), besides those about the message itself." },
	{ "any_case", SP_TYPE_BOOL, SP_IN_TARGET, offsetof(struct http_conf, any_case), "off",
	    "The target takes names in JSON bodies in any case, as programs in Go do: rules see them in small letters." },
	{ .name = NULL }
};

static int
http_check(void *conf, const char **err_r)
{
	const struct http_conf *c = conf;
	*err_r = "templates are paths: they begin with /";
	for (size_t i = 0; i < c->templates.n; i++)
		if (c->templates.v[i][0] != '/')
			return SP_ECONF;
	*err_r = "pages are paths: they begin with /";
	for (size_t i = 0; i < c->pages.n; i++)
		if (c->pages.v[i][0] != '/')
			return SP_ECONF;
	return proxy_check(&c->proxy, err_r);
}

enum { A_METHOD, A_PATH, A_SEGMENTS, A_TEMPLATE, A_QUERY, A_HEADERS, A_CONTENT_TYPE, A_BODY, A_FIELDS, A_FIELD_NAMES };

#define ON "http.request"
static const struct sp_attr attrs[] = {
	[A_METHOD] = { "method", SP_TYPE_STRING, SP_OF_OPERATION, ON, "GET, POST, …, as it was sent." },
	[A_PATH] = { "path", SP_TYPE_STRING, SP_OF_OPERATION, ON, "The path, decoded, without the query." },
	[A_SEGMENTS] = { "segments", SP_TYPE_STRINGS, SP_OF_OPERATION, ON, "What stands between its slashes." },
	[A_TEMPLATE] = { "template", SP_TYPE_STRING, SP_OF_OPERATION, ON, "The first of the target's `templates` that it fits; absent where none does." },
	[A_QUERY] = { "query", SP_TYPE_STRINGS, SP_OF_OPERATION, ON, "Parts of the query, decoded: `dry=1`." },
	[A_HEADERS] = { "headers", SP_TYPE_STRINGS, SP_OF_OPERATION, ON, "The fields that `judged` names: `if-match: \"7\"`, names in small letters." },
	[A_CONTENT_TYPE] = { "content_type", SP_TYPE_STRING, SP_OF_OPERATION, ON, "Of the body, without its parameters, in small letters." },
	[A_BODY] = { "body", SP_TYPE_STRING, SP_OF_OPERATION, ON, "none, json, form, or unseen: of another type." },
	[A_FIELDS] = { "fields", SP_TYPE_STRINGS, SP_OF_OPERATION, ON, "What a JSON or form body says: `order.lines[].price=7`; unknown of others." },
	[A_FIELD_NAMES] = { "field_names", SP_TYPE_STRINGS, SP_OF_OPERATION, ON, "… and the names alone: `order.lines[].price`." },
	{ .name = NULL }
};

static const char *const kinds[] = { "http.request", "http.result", NULL };

/* ---- from the text to attributes ---- */

static struct sp_bytes
next_part(struct sp_reader *r, uint8_t mark)
{
	struct sp_reader rest = *r;
	struct sp_bytes part = sp_rd_until(r, mark);
	if (r->bad) {
		part = sp_rd_rest(&rest);
		*r = rest;
	}
	return part;
}

static struct sp_bytes
next_segment(struct sp_reader *r)
{
	return next_part(r, '/');
}

static bool
fits(const char *template, struct sp_bytes path)
{
	struct sp_reader t = sp_reader(sp_str(template)), r = sp_reader(path);
	while (t.left > 0 && r.left > 0) {
		struct sp_bytes a = next_segment(&t), b = next_segment(&r);
		bool any = a.len > 0 && a.p[0] == ':';
		if (any ? b.len == 0 : !sp_bytes_eq(a, b))
			return false;
	}
	return t.left == 0 && r.left == 0;
}

/* Some servers leave out what stands behind a ';' of a segment (Servlet, section 3.6), and so see another path than rules do. */
static bool
has_parameters(struct sp_bytes path)
{
	return path.len > 0 && memchr(path.p, ';', path.len) != NULL;
}

static int
say_path(const struct http_conf *c, struct sp_op *op, struct sp_bytes encoded)
{
	struct sp_writer path = proxy_buffer();
	http_decode(encoded, false, &path);
	int rc = path.bad ? sp_op_unclear(op, "path", SP_LIT("malformed")) : sp_op_str(op, A_PATH, sp_written(&path));
	if (rc == SP_OK && has_parameters(sp_written(&path)))
		rc = sp_op_unclear(op, "path", SP_LIT("parameters"));
	struct sp_reader r = sp_reader(sp_written(&path));
	while (rc == SP_OK && r.left > 0) {
		struct sp_bytes segment = next_segment(&r);
		if (segment.len > 0)
			rc = sp_op_add(op, A_SEGMENTS, segment);
	}
	size_t i = 0, n = c == NULL ? 0 : c->templates.n;
	while (i < n && !fits(c->templates.v[i], sp_written(&path)))
		i++;
	if (rc == SP_OK && i < n)
		rc = sp_op_str(op, A_TEMPLATE, sp_str(c->templates.v[i]));
	proxy_free(&path);
	return rc;
}

/* "Application/JSON; charset=utf-8" → "application/json" */
static struct sp_bytes
plain_type(struct sp_bytes value, char to[128])
{
	size_t n = 0;
	while (n < value.len && n < 127 && value.p[n] != ';' && value.p[n] != ' ') {
		to[n] = (char)(value.p[n] >= 'A' && value.p[n] <= 'Z' ? value.p[n] + 'a' - 'A' : value.p[n]);
		n++;
	}
	return (struct sp_bytes){ (const uint8_t *)to, n };
}

/* Letters that rules could not read as the target does: a charset other than UTF-8 and what is a part of it. */
static bool
is_of_other_letters(struct sp_bytes value)
{
	struct sp_reader r = sp_reader(value);
	while (r.left > 0) {
		struct sp_bytes part = next_part(&r, ';');
		while (part.len > 0 && (part.p[0] == ' ' || part.p[0] == '\t'))
			part = (struct sp_bytes){ part.p + 1, part.len - 1 };
		static const char name[] = "charset";
		size_t n = sizeof(name) - 1;
		if (part.len < n || !http_name_is((struct sp_bytes){ part.p, n }, name))
			continue;
		part = (struct sp_bytes){ part.p + n, part.len - n };
		if (!http_name_is(part, "=utf-8") && !http_name_is(part, "=\"utf-8\"") && !http_name_is(part, "=us-ascii"))
			return true;
	}
	return false;
}

enum body_type { BODY_OTHER, BODY_JSON, BODY_FORM };

static enum body_type
body_type(struct sp_bytes type)
{
	static const char suffix[] = "+json";
	size_t n = sizeof(suffix) - 1;
	if (sp_bytes_is(type, "application/json") || (type.len > n && memcmp(type.p + type.len - n, suffix, n) == 0))
		return BODY_JSON;
	return sp_bytes_is(type, "application/x-www-form-urlencoded") ? BODY_FORM : BODY_OTHER;
}

static int
say_body(const struct http_conf *c, struct sp_op *op, const struct proxy_text *t, struct sp_bytes type, bool unseen)
{
	const struct fields_json as = { A_FIELDS, A_FIELD_NAMES, c != NULL && c->any_case };
	enum body_type what = body_type(type);
	if (!unseen && t->body.len == 0)
		return sp_op_str(op, A_BODY, SP_LIT("none"));
	if (!unseen && what == BODY_JSON) {
		int rc = sp_op_str(op, A_BODY, SP_LIT("json"));
		return rc == SP_OK ? fields_of_json(op, &as, t->body) : rc;
	}
	if (!unseen && what == BODY_FORM) {
		int rc = sp_op_str(op, A_BODY, SP_LIT("form"));
		return rc == SP_OK ? fields_of_form(op, A_FIELDS, A_FIELD_NAMES, t->body) : rc;
	}
	int rc = sp_op_str(op, A_BODY, SP_LIT("unseen"));
	if (rc == SP_OK)
		rc = sp_op_unknown(op, A_FIELDS);
	if (rc == SP_OK)
		rc = sp_op_unknown(op, A_FIELD_NAMES);
	return rc == SP_OK ? sp_op_unclear(op, "body", type.len > 0 ? type : SP_LIT("unknown")) : rc;
}

static int
http_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	const struct http_conf *c = scope == NULL ? NULL : scope->conf;
	struct proxy_text t;
	struct sp_bytes name, value, type = { NULL, 0 };
	char space[128], tag[32];
	bool unseen = false, other_letters = false;
	if (!proxy_read_text(text, &t))
		return SP_EPROTO;
	int rc = sp_op_str(op, A_METHOD, t.method);
	if (rc == SP_OK)
		rc = say_path(c, op, t.path);
	if (rc == SP_OK && t.query.len > 0)
		rc = fields_of_form(op, A_QUERY, A_QUERY, t.query);
	struct sp_reader r = sp_reader(t.lines);
	while (rc == SP_OK && proxy_next_line(&r, &name, &value)) {
		if (sp_bytes_is(name, "!body"))
			unseen = true;
		else if (sp_bytes_is(name, "content-type")) {
			type = plain_type(value, space);
			other_letters = is_of_other_letters(value);
		}
		if (name.len > 0 && name.p[0] != '!')
			rc = sp_op_add(op, A_HEADERS, (struct sp_bytes){ name.p, name.len + 2 + value.len });
	}
	if (rc != SP_OK || r.bad)
		return rc != SP_OK ? rc : SP_EPROTO;
	if (type.len > 0)
		rc = sp_op_str(op, A_CONTENT_TYPE, type);
	if (rc == SP_OK && other_letters)
		rc = sp_op_unclear(op, "body", SP_LIT("charset"));
	snprintf(tag, sizeof(tag), "%.*s", (int)(t.method.len < 24 ? t.method.len : 24), (const char *)t.method.p);
	if (rc == SP_OK)
		rc = sp_op_tag(op, tag);
	return rc == SP_OK ? say_body(c, op, &t, type, unseen) : rc;
}

/* ---- hooks ---- */

static int
http_route(struct sp_session *s, struct sp_bytes head)
{
	struct proxy *p = sp_state(s);
	char space[128];
	struct sp_bytes type = plain_type(http_field(&p->head, head, "content-type"), space);
	p->r.kind = "http.request";
	p->r.spool = !p->r.up_done && body_type(type) != BODY_OTHER;
	p->r.unseen = !p->r.up_done && !p->r.spool;
	return SP_OK;
}

static bool
is_one_of(struct sp_bytes type, const char *const *list)
{
	for (; *list != NULL; list++)
		if (sp_bytes_is(type, *list))
			return true;
	return false;
}

/* Looks and pictures: no text that a column could be written into. */
static bool
is_plain_look(struct sp_bytes type)
{
	static const char *const looks[] = { "text/css", "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon",
		"image/vnd.microsoft.icon", "font/woff", "font/woff2", "font/ttf", "font/otf", NULL };
	return is_one_of(type, looks);
}

/* Does the operator say that pages come from there? */
static bool
is_page(const struct http_conf *c, struct sp_bytes target, struct sp_bytes type)
{
	static const char *const pages[] = { "text/html", "application/xhtml+xml", "text/javascript", "application/javascript", "image/svg+xml", NULL };
	struct sp_bytes encoded, query;
	struct sp_writer path = proxy_buffer();
	http_target_split(target, &encoded, &query);
	http_decode(encoded, false, &path);
	bool fit = false;
	for (size_t i = 0; i < c->pages.n && !path.bad && !fit; i++) {
		const char *page = c->pages.v[i];
		size_t n = strlen(page);
		bool below = n >= 2 && strcmp(page + n - 2, "/*") == 0;
		fit = below ? path.len >= n - 1 && memcmp(path.p, page, n - 1) == 0 : fits(page, sp_written(&path));
	}
	proxy_free(&path);
	return fit && is_one_of(type, pages);
}

/* Where rules hide tagged columns, an answer is read whole and masked, or refused (P2). */
static int
http_begin(struct sp_session *s)
{
	const struct http_conf *c = sp_conf(s);
	struct proxy *p = sp_state(s);
	char space[128];
	struct sp_bytes type = plain_type(http_field(&p->answer, sp_peek(s, SP_TARGET), "content-type"), space);
	bool empty = p->answer.framing.kind == HTTP_NO_BODY || (p->answer.framing.kind == HTTP_LENGTH && p->answer.framing.length == 0);
	if (!mask_wanted(s))
		return SP_OK;
	p->r.shown = &c->shown;
	if (empty || is_plain_look(type) || is_page(c, sp_written(&p->r.target), type))
		return SP_OK;
	enum lines_kind kind = lines_kind(type);
	if (kind != LINES_NONE) {
		p->r.own = lines_new(kind, (size_t)c->proxy.whole);
		p->r.pieces = p->r.unbounded = p->r.own != NULL;
		return p->r.pieces ? SP_OK : SP_ENOMEM;
	}
	p->r.rewrite = body_type(type) == BODY_JSON;
	return p->r.rewrite ? SP_OK : SP_EDENIED;
}

static int
http_pieces(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out)
{
	struct proxy *p = sp_state(s);
	int rc = lines_feed(p->r.own, p->r.op, piece, last, out);
	if (rc != SP_OK)
		snprintf(p->r.message, sizeof(p->r.message), "%s", rc == SP_EPROTO ? "a line or event is no strict JSON" : rc == SP_ETOOBIG ? "a line or event is too long (`whole`), or has too many fields" : "a rule denies it");
	return rc;
}

static void
http_forget(struct sp_session *s)
{
	struct proxy *p = sp_state(s);
	struct lines *l = p->r.own;
	lines_free(&l);
	p->r.own = NULL;
}

static int
http_rewrite(struct sp_session *s, unsigned status, struct sp_bytes body, struct sp_writer *out)
{
	struct proxy *p = sp_state(s);
	int rc = mask_json(p->r.op, body, out);
	(void)status;
	if (rc != SP_OK)
		snprintf(p->r.message, sizeof(p->r.message), "the target's answer can't be masked: %s", rc == SP_EPROTO ? "it is no strict JSON" : "too many fields, or a rule denies it");
	return rc;
}

static void
http_refusal(struct sp_writer *out, unsigned status, const char *message)
{
	(void)status;
	sp_wr_put(out, SP_LIT("{\"error\":"));
	proxy_put_json(out, message);
	sp_wr_put(out, SP_LIT("}\n"));
}

static const struct proxy_hooks hooks = { .route = http_route, .prepare = proxy_judge, .begin = http_begin, .rewrite = http_rewrite, .pieces = http_pieces,
	.forget = http_forget,
	.refusal = http_refusal };

static int
http_accept(struct sp_session *s)
{
	return proxy_accept(s, &hooks);
}

SP_MODULE(http) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "http",
	.caps = SP_CAP_CREDENTIAL | SP_CAP_MASK,
	.directives = directives,
	.attrs = attrs,
	.kinds = kinds,
	.conf_size = sizeof(struct http_conf),
	.session_size = sizeof(struct proxy),
	.check = http_check,
	.classify = http_classify,
	.accept = http_accept,
	.admitted = proxy_admitted,
	.open = proxy_open,
	.proved = proxy_proved,
	.data = proxy_data,
	.held = proxy_held,
	.verdict = proxy_verdict,
	.secure = proxy_secure,
	.eof = proxy_eof,
	.end = proxy_end,
	.close = proxy_close,
};
