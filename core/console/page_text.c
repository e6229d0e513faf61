/* SPDX-License-Identifier: Apache-2.0 */
/* See page_text.h.  The files are compiled in. */
#include <config.h>

#include "page_text.h"

#include "core/console/pages.inc" /* struct { name, p, len } page_files[] */

struct sp_bytes
page_file(const char *name)
{
	for (size_t i = 0; i < sizeof(page_files) / sizeof(*page_files); i++)
		if (strcmp(page_files[i].name, name) == 0)
			return (struct sp_bytes){ page_files[i].p, page_files[i].len };
	return (struct sp_bytes){ NULL, 0 };
}

static const char *
entity(uint8_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return c < ' ' || c == 0x7f ? " " : NULL;
	}
}

/* Characters that turn text around or have no width: names come from strangers. */
static bool
is_hidden(const char *t)
{
	const uint8_t *u = (const uint8_t *)t;
	if (u[0] == 0xe2 && u[1] == 0x80)
		return (u[2] >= 0x8b && u[2] <= 0x8f) || (u[2] >= 0xaa && u[2] <= 0xae);
	return (u[0] == 0xe2 && u[1] == 0x81 && u[2] >= 0xa0 && u[2] <= 0xaf) || (u[0] == 0xef && u[1] == 0xbb && u[2] == 0xbf);
}

static void
put_escaped(struct sp_writer *w, const char *text)
{
	for (; *text != '\0'; text++) {
		if (is_hidden(text)) {
			sp_wr_put(w, SP_LIT("\xef\xbf\xbd")); /* U+FFFD */
			text += 2;
			continue;
		}
		const char *e = entity((uint8_t)*text);
		if (e != NULL)
			sp_wr_put(w, sp_str(e));
		else
			sp_wr_u8(w, (uint8_t)*text);
	}
}

/* name: what stands between the braces. */
static int
put_hole(struct sp_writer *w, struct sp_bytes name, const struct hole *holes)
{
	struct sp_reader r = sp_reader(name);
	bool markup = name.len > 0 && name.p[0] == '&';
	if (markup)
		(void)sp_rd_u8(&r);
	name = sp_rd_rest(&r);
	while (holes->name != NULL && !sp_bytes_is(name, holes->name))
		holes++;
	if (holes->name == NULL)
		return SP_EINTERNAL;
	const char *text = holes->text == NULL ? "" : holes->text;
	if (markup)
		sp_wr_put(w, sp_str(text));
	else
		put_escaped(w, text);
	return SP_OK;
}

int
page_fill(const char *file, const struct hole *holes, struct buffer *out)
{
	struct sp_reader r = sp_reader(page_file(file));
	struct sp_writer w = buffer_writer(out);
	int rc = r.left == 0 ? SP_EINTERNAL : SP_OK;
	while (r.left > 0 && rc == SP_OK) {
		struct sp_reader rest = r;
		struct sp_bytes before = sp_rd_until(&r, '{');
		if (r.bad) {
			sp_wr_put(&w, sp_rd_rest(&rest));
			break;
		}
		sp_wr_put(&w, before);
		if (sp_rd_u8(&r) != '{') /* no file has one brace alone */
			rc = SP_EINTERNAL;
		struct sp_bytes name = sp_rd_until(&r, '}');
		if (rc == SP_OK)
			rc = sp_rd_u8(&r) != '}' || r.bad ? SP_EINTERNAL : put_hole(&w, name, holes);
	}
	int written = buffer_written(out, &w);
	return rc == SP_OK ? written : rc;
}

int
page_whole(const char *file, const char *title, const char *host, const struct hole *holes, struct buffer *out)
{
	struct buffer body = { .p = NULL };
	int rc = page_fill(file, holes, &body);
	if (rc == SP_OK)
		rc = buffer_put(&body, (struct sp_bytes){ (const uint8_t *)"", 1 });
	if (rc == SP_OK) {
		const struct hole outer[] = { { "title", title }, { "host", host }, { "body", (const char *)buffer_bytes(&body).p }, { NULL, NULL } };
		rc = page_fill("layout.html", outer, out);
	}
	buffer_free(&body);
	return rc;
}
