/* SPDX-License-Identifier: Apache-2.0 */
/* What a webhook says: as JSON of our own, as a Slack message, as an adaptive card for Teams. */
#include <config.h>

#include "webhook.h"

#include <stdlib.h>

#include "../base/clock.h"

#define SHAPE_TABLES 200 /* bytes of their names */

/* ---- shapes ---- */

/* { "public.orders", "t" }, as policies write a list, for people. */
static const char *
plain(struct arena *a, const char *list)
{
	char *text = list == NULL ? NULL : arena_string(a, (struct sp_bytes){ (const uint8_t *)list, strnlen(list, SHAPE_TABLES) }), *to = text;
	for (const char *from = text; from != NULL && *from != '\0'; from++)
		if (strchr("{}\"", *from) == NULL && (to != text || *from != ' '))
			*to++ = *from;
	while (text != NULL && to > text && to[-1] == ' ')
		to--;
	if (text != NULL)
		*to = '\0';
	return text;
}

const char *
webhook_shape(struct arena *a, const char *view)
{
	json_t *j = json_loads(view, JSON_REJECT_DUPLICATES, NULL);
	const char *tag = json_string_value(json_object_get(j, "tag"));
	const json_t *statements = json_object_get(j, "statements"), *first = json_array_get(statements, 0);
	const char *tables = plain(a, json_string_value(json_object_get(first, "tables"))), *where = json_string_value(json_object_get(first, "where"));
	const char *shape = arena_printf(a, "%s%s%s%s%s", tag == NULL ? "" : tag, tables == NULL ? "" : " ", tables == NULL ? "" : tables,
	    where != NULL && strcmp(where, "false") == 0 ? ", every row" : "", json_array_size(statements) > 1 ? ", and more" : "");
	json_decref(j);
	return shape == NULL ? "" : shape;
}

/* ---- sentences ---- */

static const struct {
	const char *event, *sentence; /* with who, what and where */
} sentences[] = {
	{ "asked", "%s asks for %s on %s" },
	{ "approved", "approved: %s, %s on %s" },
	{ "denied", "denied: %s, %s on %s" },
	{ "expired", "nobody decided in time: %s, %s on %s" },
	{ "withdrawn", "withdrawn: %s, %s on %s" },
	{ "break-glass", "%s broke the glass: %s on %s" },
};

static const char *
what(const struct webhook_facts *f)
{
	return f->shape[0] != '\0' ? f->shape : f->kind;
}

/* The formats are fixed texts of ours; what varies comes as arguments. */
static int
put_sentence(struct buffer *out, const struct webhook_facts *f)
{
	for (size_t i = 0; i < sizeof(sentences) / sizeof(*sentences); i++) {
		if (strcmp(sentences[i].event, f->event) != 0)
			continue;
		const char *s = sentences[i].sentence;
		const char *const args[] = { f->user, what(f), f->target };
		for (size_t n = 0; *s != '\0';) {
			bool slot = s[0] == '%' && s[1] == 's' && n < 3;
			int rc = slot ? buffer_put(out, sp_str(args[n++])) : buffer_put(out, (struct sp_bytes){ (const uint8_t *)s, 1 });
			if (rc != SP_OK)
				return rc;
			s += slot ? 2 : 1;
		}
		return SP_OK;
	}
	return buffer_put(out, sp_str(f->event));
}

static char *
sentence(const struct webhook_facts *f)
{
	struct buffer out = { 0 };
	char *text = put_sentence(&out, f) == SP_OK ? mem_string(buffer_bytes(&out)) : NULL;
	buffer_free(&out);
	return text;
}

/* ---- formats ---- */

static json_t *
generic(const struct webhook_facts *f, const char *text)
{
	char until[32];
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "event", f->event, "text", text, "kind", f->kind, "id", f->id,
	    "state", f->state, "user", f->user, "target", f->target, "rule", f->rule, "by", f->by, "shape", f->shape, "hash", f->hash, "link",
	    f->link, "count", (json_int_t)f->count);
	if (j != NULL && f->until > 0)
		(void)json_object_set_new(j, "until", json_string(clock_format(f->until, until)));
	return j;
}

/* Slack's own three characters; a mention would need one of them. */
static char *
slack_escape(const char *text)
{
	struct buffer out = { 0 };
	int rc = SP_OK;
	for (; *text != '\0' && rc == SP_OK; text++) {
		const char *e = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
		rc = e != NULL ? buffer_put(&out, sp_str(e)) : buffer_put(&out, (struct sp_bytes){ (const uint8_t *)text, 1 });
	}
	char *s = rc == SP_OK ? mem_string(buffer_bytes(&out)) : NULL;
	buffer_free(&out);
	return s;
}

static json_t *
slack(const struct webhook_facts *f, const char *text)
{
	char *safe = slack_escape(text);
	json_t *line = json_pack("{s:s,s:{s:s,s:s}}", "type", "section", "text", "type", "plain_text", "text", text);
	json_t *about = json_pack("{s:s,s:[{s:s,s:s},{s:s,s:s}]}", "type", "context", "elements", "type", "plain_text", "text", f->id, "type",
	    "plain_text", "text", f->hash[0] == '\0' ? "-" : f->hash);
	json_t *blocks = json_array();
	(void)json_array_append_new(blocks, line);
	(void)json_array_append_new(blocks, about);
	if (f->link[0] != '\0')
		(void)json_array_append_new(blocks, json_pack("{s:s,s:[{s:s,s:{s:s,s:s},s:s}]}", "type", "actions", "elements", "type", "button",
		    "text", "type", "plain_text", "text", "Look and decide", "url", f->link));
	json_t *j = json_pack("{s:s,s:o}", "text", safe == NULL ? "" : safe, "blocks", blocks);
	free(safe);
	return j;
}

/* Adaptive Cards 1.4.  A TextBlock reads Markdown: facts, which do not, have what others wrote. */
static json_t *
teams(const struct webhook_facts *f, const char *text)
{
	json_t *facts = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "title", "What", "value", text, "title", "Request", "value",
	    f->id, "title", "Rule", "value", f->rule, "title", "Decided by", "value", f->by, "title", "Hash", "value", f->hash);
	json_t *body = json_pack("[{s:s,s:s,s:s},{s:s,s:o}]", "type", "TextBlock", "weight", "bolder", "text", "Sallyport", "type", "FactSet", "facts",
	    facts);
	json_t *card = json_pack("{s:s,s:s,s:o}", "type", "AdaptiveCard", "version", "1.4", "body", body);
	if (card != NULL && f->link[0] != '\0')
		(void)json_object_set_new(card, "actions", json_pack("[{s:s,s:s,s:s}]", "type", "Action.OpenUrl", "title", "Look and decide", "url",
		    f->link));
	return json_pack("{s:s,s:[{s:s,s:o}]}", "type", "message", "attachments", "contentType", "application/vnd.microsoft.card.adaptive", "content",
	    card);
}

char *
webhook_body(unsigned format, const struct webhook_facts *f)
{
	static json_t *(*const formats[])(const struct webhook_facts *, const char *) = { [WEBHOOK_GENERIC] = generic, [WEBHOOK_SLACK] = slack,
		[WEBHOOK_TEAMS] = teams };
	char *text = sentence(f);
	json_t *j = text == NULL || format >= sizeof(formats) / sizeof(*formats) ? NULL : formats[format](f, text);
	char *body = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(j);
	free(text);
	return body;
}
