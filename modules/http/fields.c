/* SPDX-License-Identifier: Apache-2.0 */
/* What the fields of a head say together: how long the body is, for whom it is, what comes after. */
#include "chars.h"

bool
http_name_is(struct sp_bytes name, const char *other)
{
	struct sp_bytes o = sp_str(other);
	if (name.len != o.len)
		return false;
	for (size_t i = 0; i < o.len; i++)
		if (chars_lower(name.p[i]) != chars_lower(o.p[i]))
			return false;
	return true;
}

struct sp_bytes
http_field(const struct http_head *h, struct sp_bytes head, const char *name)
{
	for (unsigned i = 0; i < h->nfields; i++)
		if (http_name_is(http_span(head, h->field[i].name), name))
			return http_span(head, h->field[i].value);
	return (struct sp_bytes){ NULL, 0 };
}

static struct sp_bytes
trim(struct sp_bytes in)
{
	struct sp_reader r = sp_reader(in);
	while (r.left > 0 && (r.p[0] == ' ' || r.p[0] == '\t'))
		(void)sp_rd_u8(&r);
	in = sp_rd_rest(&r);
	while (in.len > 0 && (in.p[in.len - 1] == ' ' || in.p[in.len - 1] == '\t'))
		in.len--;
	return in;
}

/* The next element of a comma-separated list; false at the end. */
static bool
list_next(struct sp_reader *r, struct sp_bytes *element_r)
{
	if (r->bad || r->left == 0)
		return false;
	struct sp_reader rest = *r;
	*element_r = sp_rd_until(r, ',');
	if (r->bad) {
		*element_r = sp_rd_rest(&rest);
		*r = rest;
	}
	*element_r = trim(*element_r);
	return true;
}

bool
http_field_has(const struct http_head *h, struct sp_bytes head, const char *name, const char *token)
{
	struct sp_bytes element;
	for (unsigned i = 0; i < h->nfields; i++) {
		if (!http_name_is(http_span(head, h->field[i].name), name))
			continue;
		struct sp_reader r = sp_reader(http_span(head, h->field[i].value));
		while (list_next(&r, &element))
			if (http_name_is(element, token))
				return true;
	}
	return false;
}

static const char *const hop_fields[] = { "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
	"proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", NULL };
/* May stand once: two of them would let two readers choose differently. */
static const char *const single_fields[] = { "authorization", "content-encoding", "content-length", "content-type", "expect",
	"host", "origin", "range", "transfer-encoding", "upgrade", NULL };
static const char *const framing_fields[] = { "authorization", "connection", "content-encoding", "content-length", "content-type",
	"cookie", "expect", "host", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", NULL };

static bool
named_in(const char *const *list, struct sp_bytes name)
{
	for (; *list != NULL; list++)
		if (http_name_is(name, *list))
			return true;
	return false;
}

bool
http_field_is_hop(const struct http_head *h, struct sp_bytes head, const struct http_field *f)
{
	struct sp_bytes name = http_span(head, f->name), element;
	if (named_in(hop_fields, name))
		return true;
	for (unsigned i = 0; i < h->nfields; i++) {
		if (!http_name_is(http_span(head, h->field[i].name), "connection"))
			continue;
		struct sp_reader r = sp_reader(http_span(head, h->field[i].value));
		while (list_next(&r, &element)) {
			char word[64];
			if (element.len >= sizeof(word) || element.len != name.len)
				continue;
			memcpy(word, element.p, element.len);
			word[element.len] = '\0';
			if (http_name_is(name, word))
				return true;
		}
	}
	return false;
}

bool
http_trailer_allowed(struct sp_bytes name)
{
	return !named_in(framing_fields, name);
}

static int
check_single(const struct http_head *h, struct sp_bytes head)
{
	for (const char *const *name = single_fields; *name != NULL; name++) {
		unsigned seen = 0;
		for (unsigned i = 0; i < h->nfields; i++)
			seen += http_name_is(http_span(head, h->field[i].name), *name);
		if (seen < 2)
			continue;
		if (http_name_is(sp_str(*name), "host"))
			return HTTP_EHOST;
		return http_name_is(sp_str(*name), "content-length") ? HTTP_EFRAMING : HTTP_EREPEATED;
	}
	return 0;
}

/* uri-host [ ":" port ]: names, IPv4, [IPv6]; no user, no path. */
static bool
host_is_plain(struct sp_bytes host)
{
	struct sp_reader r = sp_reader(host);
	bool six = host.len > 0 && host.p[0] == '[';
	size_t name = 0;
	if (six) {
		(void)sp_rd_u8(&r);
		struct sp_bytes address = sp_rd_until(&r, ']');
		for (size_t i = 0; i < address.len; i++)
			if (chars_hex(address.p[i]) < 0 && address.p[i] != ':' && address.p[i] != '.')
				return false;
		name = address.len;
	}
	while (!six && r.left > 0 && r.p[0] != ':') {
		uint8_t c = sp_rd_u8(&r), class = chars_class[c];
		if (class != CH_DIGIT && class != CH_HEX && class != CH_ALPHA && c != '-' && c != '.' && c != '_')
			return false;
		name++;
	}
	if (r.bad || name == 0)
		return false;
	if (r.left == 0)
		return true;
	uint64_t port;
	return sp_rd_u8(&r) == ':' && r.left <= 5 && chars_decimal(sp_rd_rest(&r), &port) && port > 0 && port <= 65535;
}

static int
check_target(const struct http_head *h, struct sp_bytes head)
{
	struct sp_bytes target = http_span(head, h->target), method = http_span(head, h->method);
	if (sp_bytes_is(method, "CONNECT"))
		return HTTP_ETARGET;
	if (sp_bytes_is(target, "*"))
		return sp_bytes_is(method, "OPTIONS") ? 0 : HTTP_ETARGET;
	if (target.p[0] != '/')
		return HTTP_ETARGET;
	struct sp_reader r = sp_reader(target);
	while (r.left > 0) {
		if (sp_rd_u8(&r) != '%')
			continue;
		struct sp_bytes two = sp_rd_take(&r, 2);
		if (two.len < 2 || chars_hex(two.p[0]) < 0 || chars_hex(two.p[1]) < 0)
			return HTTP_ETARGET;
	}
	return 0;
}

static int
check_host(const struct http_head *h, struct sp_bytes head)
{
	struct sp_bytes host = http_field(h, head, "host");
	if (host.p == NULL)
		return h->minor == 0 ? 0 : HTTP_EHOST;
	return host_is_plain(host) ? 0 : HTTP_EHOST;
}

static int
find_framing(struct http_head *h, struct sp_bytes head)
{
	struct sp_bytes length = http_field(h, head, "content-length"), coding = http_field(h, head, "transfer-encoding");
	if (length.p != NULL && coding.p != NULL)
		return HTTP_EFRAMING;
	if (coding.p != NULL) {
		if (h->minor == 0)
			return HTTP_EFRAMING;
		if (!http_name_is(coding, "chunked"))
			return HTTP_ECODING;
		h->framing.kind = HTTP_CHUNKED;
	} else if (length.p != NULL) {
		if (!chars_decimal(length, &h->framing.length))
			return HTTP_EFRAMING;
		h->framing.kind = HTTP_LENGTH;
	} else {
		h->framing.kind = h->kind == HTTP_REQUEST ? HTTP_NO_BODY : HTTP_UNTIL_CLOSE;
	}
	bool bodiless = h->kind == HTTP_RESPONSE && (h->status < 200 || h->status == 204);
	if (bodiless && (coding.p != NULL || h->framing.length > 0))
		return HTTP_EFRAMING;
	if (bodiless || (h->kind == HTTP_RESPONSE && h->status == 304))
		h->framing = (struct http_framing){ HTTP_NO_BODY, 0 };
	return 0;
}

void
http_head_answers(struct http_head *h, struct sp_bytes method)
{
	if (sp_bytes_is(method, "HEAD"))
		h->framing = (struct http_framing){ HTTP_NO_BODY, 0 };
}

int
http_head_agree(struct http_head *h, struct sp_bytes head)
{
	int rc = check_single(h, head);
	if (rc == 0 && h->kind == HTTP_REQUEST)
		rc = check_target(h, head);
	if (rc == 0 && h->kind == HTTP_REQUEST)
		rc = check_host(h, head);
	if (rc == 0)
		rc = find_framing(h, head);
	if (rc < 0)
		return rc;
	bool close = http_field_has(h, head, "connection", "close");
	h->keep_alive = !close && (h->minor == 1 || http_field_has(h, head, "connection", "keep-alive"));
	if (h->framing.kind == HTTP_UNTIL_CLOSE)
		h->keep_alive = false;
	struct sp_bytes expect = http_field(h, head, "expect");
	if (expect.p != NULL && !http_name_is(expect, "100-continue"))
		return HTTP_EBAD;
	h->expect_continue = expect.p != NULL && h->minor == 1 && h->framing.kind != HTTP_NO_BODY;
	h->upgrade = h->minor == 1 && http_field_has(h, head, "connection", "upgrade") && http_field(h, head, "upgrade").p != NULL;
	return 0;
}
