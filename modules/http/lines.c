/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of JSON, masked by tags.
 *
 *   {"email": …}\n                        ─▶ each line
 *   event: order\ndata: {"email": …}\n\n  ─▶ the data of each event; an event's other fields are written anew
 *
 * Comments of events are dropped, but one stands for them: it keeps connections open.  Names and ids of events pass as
 * words alone.  What breaks off in the middle of an event is no event.
 */
#include "lines.h"

#include <stdlib.h>

#include "mask.h"
#include "proxy.h"

#define WORD_MAX 64

struct lines {
	enum lines_kind kind;
	size_t most;
	struct sp_writer line, data, fields; /* data and fields: of the event so far */
	bool has_data, comment;
};

enum lines_kind
lines_kind(struct sp_bytes type)
{
	static const char *const json[] = { "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines", NULL };
	for (size_t i = 0; json[i] != NULL; i++)
		if (sp_bytes_is(type, json[i]))
			return LINES_JSON;
	return sp_bytes_is(type, "text/event-stream") ? LINES_EVENTS : LINES_NONE;
}

struct lines *
lines_new(enum lines_kind kind, size_t most)
{
	struct lines *l = calloc(1, sizeof(*l));
	if (l != NULL)
		*l = (struct lines){ .kind = kind, .most = most, .line = proxy_buffer(), .data = proxy_buffer(), .fields = proxy_buffer() };
	return l;
}

void
lines_free(struct lines **l)
{
	if (*l != NULL) {
		proxy_free(&(*l)->line);
		proxy_free(&(*l)->data);
		proxy_free(&(*l)->fields);
	}
	free(*l);
	*l = NULL;
}

static bool
is_word(struct sp_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':'))
			return false;
	}
	return text.len <= WORD_MAX;
}

static int
end_event(struct lines *l, struct sp_op *op, struct sp_writer *out)
{
	int rc = SP_OK;
	sp_wr_put(out, sp_written(&l->fields));
	if (l->has_data) {
		sp_wr_put(out, SP_LIT("data: "));
		if (sp_bytes_is(sp_written(&l->data), "[DONE]")) /* so some end, with a text that says no more */
			sp_wr_put(out, sp_written(&l->data));
		else
			rc = mask_json(op, sp_written(&l->data), out);
		sp_wr_u8(out, '\n');
	} else if (l->comment && l->fields.len == 0) {
		sp_wr_put(out, SP_LIT(":\n"));
	}
	if (l->has_data || l->comment || l->fields.len > 0)
		sp_wr_u8(out, '\n');
	l->data.len = l->fields.len = 0;
	l->has_data = l->comment = false;
	return rc;
}

/* One line of an event: "name: value", a comment, or nothing, which ends it. */
static int
take_field(struct lines *l, struct sp_op *op, struct sp_bytes line, struct sp_writer *out)
{
	if (line.len == 0)
		return end_event(l, op, out);
	struct sp_reader r = sp_reader(line), rest = r;
	struct sp_bytes name = sp_rd_until(&r, ':');
	if (r.bad) {
		name = sp_rd_rest(&rest);
		r = rest;
	}
	if (r.left > 0 && r.p[0] == ' ')
		(void)sp_rd_u8(&r);
	struct sp_bytes value = sp_rd_rest(&r);
	if (name.len == 0) {
		l->comment = true;
	} else if (sp_bytes_is(name, "data")) {
		if (l->has_data)
			sp_wr_u8(&l->data, '\n');
		sp_wr_put(&l->data, value);
		l->has_data = true;
	} else if ((sp_bytes_is(name, "event") || sp_bytes_is(name, "id") || sp_bytes_is(name, "retry")) && is_word(value)) {
		sp_wr_put(&l->fields, name);
		sp_wr_put(&l->fields, SP_LIT(": "));
		sp_wr_put(&l->fields, value);
		sp_wr_u8(&l->fields, '\n');
	}
	return l->data.bad || l->fields.bad ? SP_ENOMEM : l->data.len > l->most || l->fields.len > l->most ? SP_ETOOBIG : SP_OK;
}

static int
take_line(struct lines *l, struct sp_op *op, struct sp_writer *out)
{
	struct sp_bytes line = sp_written(&l->line);
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	int rc = SP_OK;
	if (l->kind == LINES_EVENTS) {
		rc = take_field(l, op, line, out);
	} else {
		rc = line.len == 0 ? SP_OK : mask_json(op, line, out);
		sp_wr_u8(out, '\n');
	}
	l->line.len = 0;
	return rc;
}

int
lines_feed(struct lines *l, struct sp_op *op, struct sp_bytes in, bool last, struct sp_writer *out)
{
	struct sp_reader r = sp_reader(in);
	int rc = SP_OK;
	while (rc == SP_OK && r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes part = sp_rd_until(&r, '\n');
		bool whole = !r.bad;
		if (!whole) {
			part = sp_rd_rest(&rest);
			r = rest;
		}
		if (part.len > l->most - l->line.len)
			return SP_ETOOBIG;
		sp_wr_put(&l->line, part);
		if (l->line.bad)
			return SP_ENOMEM;
		if (whole)
			rc = take_line(l, op, out);
	}
	if (rc == SP_OK && last && l->kind == LINES_JSON && l->line.len > 0)
		rc = take_line(l, op, out);
	return rc == SP_OK && out->bad ? SP_ENOMEM : rc;
}
