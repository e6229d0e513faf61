/* SPDX-License-Identifier: Apache-2.0 */
/* The text of an operation: a request as a person would write it down; and memory for what is written. */
#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>

#define BUFFER_MAX (64u << 20)

static int
grow(struct sp_writer *w, size_t more)
{
	size_t cap = w->cap == 0 ? 512 : w->cap;
	if (more > BUFFER_MAX - w->len)
		return SP_ETOOBIG;
	while (cap - w->len < more)
		cap *= 2;
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL)
		return SP_ENOMEM;
	w->p = p;
	w->cap = cap;
	return SP_OK;
}

struct sp_writer
proxy_buffer(void)
{
	return (struct sp_writer){ .grow = grow };
}

void
proxy_free(struct sp_writer *w)
{
	free(w->p);
	*w = proxy_buffer();
}

void
proxy_put_json(struct sp_writer *w, const char *text)
{
	sp_wr_u8(w, '"');
	for (const char *c = text; *c != '\0'; c++) {
		char escaped[8];
		if (*c == '"' || *c == '\\') {
			sp_wr_u8(w, '\\');
			sp_wr_u8(w, (uint8_t)*c);
		} else if ((uint8_t)*c < ' ' || *c == 0x7f) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)(uint8_t)*c);
			sp_wr_put(w, sp_str(escaped));
		} else {
			sp_wr_u8(w, (uint8_t)*c);
		}
	}
	sp_wr_u8(w, '"');
}

bool
proxy_next_line(struct sp_reader *r, struct sp_bytes *name_r, struct sp_bytes *value_r)
{
	*name_r = *value_r = (struct sp_bytes){ NULL, 0 };
	if (r->left == 0)
		return false;
	struct sp_bytes line = sp_rd_until(r, '\n');
	struct sp_reader l = sp_reader(line);
	*name_r = sp_rd_until(&l, ':');
	if (r->bad || l.bad || sp_rd_u8(&l) != ' ') {
		r->bad = true;
		return false;
	}
	*value_r = sp_rd_rest(&l);
	return true;
}

/* Up to the empty line. */
static struct sp_bytes
take_lines(struct sp_reader *r)
{
	struct sp_bytes all = { r->p, 0 };
	while (!r->bad && r->left > 0) {
		struct sp_bytes line = sp_rd_until(r, '\n');
		if (r->bad || line.len == 0)
			break;
		all.len += line.len + 1;
	}
	return all;
}

bool
proxy_read_text(struct sp_bytes text, struct proxy_text *t_r)
{
	struct sp_reader r = sp_reader(text);
	*t_r = (struct proxy_text){ .has_body = false };
	t_r->method = sp_rd_until(&r, ' ');
	struct sp_reader rest = r;
	struct sp_bytes target = sp_rd_until(&r, '\n');
	if (r.bad) { /* no more than the request line, as tests write it */
		target = sp_rd_rest(&rest);
		r = rest;
	}
	if (r.bad || t_r->method.len == 0 || target.len == 0 || target.p[0] != '/')
		return false;
	http_target_split(target, &t_r->path, &t_r->query);
	t_r->lines = take_lines(&r);
	if (r.bad)
		return false;
	t_r->has_body = r.left > 0;
	t_r->body = sp_rd_rest(&r);
	return true;
}
