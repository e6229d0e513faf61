/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody asks for, shown to who decides: all of it (AP1), and nothing of it as markup, as a control or
 * as a change of direction (AP2).  Where links in messages lead.
 */
#include <config.h>

#include "page_request.h"

#include <stdlib.h>

#include "../record/text.h"
#include "page_text.h"

#define SHOWN_MAX (512u << 10) /* of a text: a browser shows no more at ease */

/* Lines stay; what would hide or turn is written out; then HTML's own five. */
static int
put_text(struct buffer *out, struct sp_bytes text)
{
	struct buffer safe = { .p = NULL };
	struct sp_writer s = buffer_writer(&safe);
	text_lines(&s, text, "");
	int rc = buffer_written(&safe, &s);
	struct sp_reader r = sp_reader(buffer_bytes(&safe));
	while (rc == SP_OK && r.left > 0) {
		uint8_t c = sp_rd_u8(&r);
		const char *e = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : c == '\'' ? "&#39;" : NULL;
		rc = e != NULL ? buffer_put(out, sp_str(e)) : buffer_put(out, (struct sp_bytes){ &c, 1 });
	}
	buffer_free(&safe);
	return rc;
}

static int
end_text(struct buffer *b)
{
	return buffer_put(b, (struct sp_bytes){ (const uint8_t *)"", 1 });
}

static int
put_row(struct buffer *rows, const char *name, const json_t *value)
{
	struct buffer text = { .p = NULL };
	char *dump = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	int rc = put_text(&text, dump != NULL ? sp_str(dump)
	    : (struct sp_bytes){ (const uint8_t *)json_string_value(value), json_string_length(value) });
	if (rc == SP_OK)
		rc = end_text(&text);
	const struct hole holes[] = { { "name", name }, { "value", (const char *)buffer_bytes(&text).p }, { NULL, NULL } };
	if (rc == SP_OK)
		rc = page_fill("request-row.html", holes, rows);
	free(dump);
	buffer_free(&text);
	return rc;
}

/* Members of an object, but those that stand elsewhere on the page. */
static int
put_rows(struct buffer *rows, const json_t *o)
{
	const char *name;
	json_t *value;
	int rc = SP_OK;
	json_object_foreach((json_t *)(uintptr_t)o, name, value) {
		bool elsewhere = strcmp(name, "text") == 0 || strcmp(name, "view") == 0;
		if (rc == SP_OK && !elsewhere && !json_is_null(value))
			rc = put_row(rows, name, value);
	}
	return rc;
}

static const char *
member(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static int
put_form(struct buffer *form, const json_t *o, const char *csrf)
{
	const struct hole holes[] = { { "id", member(o, "id") }, { "csrf", csrf }, { "hash", member(o, "hash") }, { NULL, NULL } };
	return strcmp(member(o, "state"), "waiting") == 0 ? page_fill("request-form.html", holes, form) : SP_OK;
}

int
page_request(const json_t *o, const char *host, const char *csrf, struct buffer *out)
{
	struct buffer rows = { .p = NULL }, text = { .p = NULL }, form = { .p = NULL };
	const json_t *what = json_object_get(o, "text");
	if (json_string_length(what) > SHOWN_MAX)
		return SP_ETOOBIG;
	int rc = put_rows(&rows, o);
	if (rc == SP_OK)
		rc = put_rows(&rows, json_object_get(o, "view"));
	if (rc == SP_OK)
		rc = put_text(&text, (struct sp_bytes){ (const uint8_t *)json_string_value(what), json_string_length(what) });
	if (rc == SP_OK)
		rc = put_form(&form, o, csrf);
	if (rc == SP_OK)
		rc = end_text(&rows) == SP_OK && end_text(&text) == SP_OK && end_text(&form) == SP_OK ? SP_OK : SP_ENOMEM;
	const char *why = json_is_true(json_object_get(o, "reason")) ? "Somebody asks. The rule wants a comment with the decision." : "Somebody asks.";
	const struct hole holes[] = { { "why", why }, { "rows", (const char *)buffer_bytes(&rows).p }, { "text", (const char *)buffer_bytes(&text).p },
		{ "form", (const char *)buffer_bytes(&form).p }, { NULL, NULL } };
	if (rc == SP_OK)
		rc = page_whole("request.html", "A request", host, holes, out);
	buffer_free(&rows);
	buffer_free(&text);
	buffer_free(&form);
	return rc;
}
