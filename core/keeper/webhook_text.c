/* SPDX-License-Identifier: Apache-2.0 */
/* What a webhook says: as JSON of our own, as a Slack message, as an adaptive card for Teams. */
#include <config.h>

#include "webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../record/text.h"

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

/* What others named so: no control, no invisible and no direction-changing character is itself (AP2). */
static int
put_shown(struct buffer *out, const char *text)
{
	struct sp_writer w = buffer_writer(out);
	text_shown(&w, sp_str(text));
	return buffer_written(out, &w);
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
			int rc = slot ? put_shown(out, args[n++]) : buffer_put(out, (struct sp_bytes){ (const uint8_t *)s, 1 });
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

/* Text as it stands: in a rich_text block nothing is a link, a mention or a format but what is said to be one. */
static json_t *
literal(const char *text)
{
	return json_pack("{s:s,s:[{s:s,s:[{s:s,s:s}]}]}", "type", "rich_text", "elements", "type", "rich_text_section", "elements", "type", "text", "text",
	    text);
}

static void
add_button(json_t *elements, const struct webhook_facts *f, const char *action, const char *text, const char *style)
{
	json_t *value = json_sprintf("%s %s", f->id, f->hash);
	(void)json_array_append_new(elements, json_pack("{s:s,s:s,s:s,s:{s:s,s:s},s:o}", "type", "button", "action_id", action, "style", style, "text", "type",
	    "plain_text", "text", text, "value", value));
}

static json_t *
slack(const struct webhook_facts *f, const char *text)
{
	char *safe = slack_escape(text);
	json_t *blocks = json_array(), *elements = json_array();
	char about[256];
	(void)snprintf(about, sizeof(about), "request %s, hash %s", f->id, f->hash[0] == '\0' ? "-" : f->hash);
	(void)json_array_append_new(blocks, literal(text));
	(void)json_array_append_new(blocks, json_pack("{s:s,s:[{s:s,s:s}]}", "type", "context", "elements", "type", "plain_text", "text", about));
	if (f->link[0] != '\0')
		(void)json_array_append_new(elements, json_pack("{s:s,s:s,s:{s:s,s:s},s:s}", "type", "button", "action_id", SLACK_LOOK, "text", "type",
		    "plain_text", "text", "Look and decide", "url", f->link));
	if ((f->buttons & BUTTON_APPROVE) != 0)
		add_button(elements, f, SLACK_APPROVE, "Approve", "primary");
	if ((f->buttons & BUTTON_DENY) != 0)
		add_button(elements, f, SLACK_DENY, "Deny", "danger");
	if (json_array_size(elements) > 0)
		(void)json_array_append_new(blocks, json_pack("{s:s,s:O}", "type", "actions", "elements", elements));
	json_decref(elements);
	json_t *j = json_pack("{s:s,s:b,s:o}", "text", safe == NULL ? "" : safe, "mrkdwn", 0, "blocks", blocks);
	if (f->replaces)
		(void)json_object_set_new(j, "replace_original", json_true());
	free(safe);
	return j;
}

char *
webhook_ephemeral(const char *text, const char *link)
{
	char *safe = slack_escape(text);
	json_t *j = json_pack("{s:s,s:b,s:o}", "response_type", "ephemeral", "replace_original", 0, "text",
	    json_sprintf("%s%s%s%s", safe == NULL ? "" : safe, link[0] == '\0' ? "" : ": <", link, link[0] == '\0' ? "" : ">"));
	char *body = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(j);
	free(safe);
	return body;
}

/* Markdown is read in a TextBlock and in facts: what others wrote stands in runs of text, where it is not. */
static void
add_line(json_t *body, const char *title, const char *value)
{
	(void)json_array_append_new(body, json_pack("{s:s,s:[{s:s,s:s,s:s},{s:s,s:s}]}", "type", "RichTextBlock", "inlines", "type", "TextRun", "weight", "bolder",
	    "text", title, "type", "TextRun", "text", value));
}

/* Adaptive Cards 1.4. */
static json_t *
teams(const struct webhook_facts *f, const char *text)
{
	json_t *body = json_pack("[{s:s,s:s,s:s}]", "type", "TextBlock", "weight", "bolder", "text", "Sallyport");
	add_line(body, "What: ", text);
	add_line(body, "Request: ", f->id);
	add_line(body, "Rule: ", f->rule);
	add_line(body, "Decided by: ", f->by);
	add_line(body, "Hash: ", f->hash);
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
