/* SPDX-License-Identifier: Apache-2.0 */
/* What webhooks say: the three formats, what others wrote in them, and shapes without anything of their own. */
#include <config.h>
#include "cunit_main.h"

#include <stdlib.h>

#include "core/keeper/webhook.h"

static const struct webhook_facts facts = { .event = "asked", .kind = "operation", .id = "abc", .user = "<!channel> & %s", .name = "Ann",
	.target = "orders", .rule = "r", .by = "leads", .shape = "UPDATE public.orders", .hash = "0123456789ab", .link = "https://g/requests/abc",
	.state = "asked", .count = 2, .until = 0 };

static json_t *
said(unsigned format, const struct webhook_facts *f)
{
	char *body = webhook_body(format, f);
	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	json_t *j = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	free(body);
	return j;
}

static void
formats(void)
{
	json_t *j = said(WEBHOOK_GENERIC, &facts);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "text")), "<!channel> & %s asks for UPDATE public.orders on orders");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "count")), 2);
	json_decref(j);
	j = said(WEBHOOK_SLACK, &facts);
	/* Nobody is called by a name that somebody gave himself. */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "text")), "&lt;!channel&gt; &amp; %s asks for UPDATE public.orders on orders");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "blocks")), 3);
	json_decref(j);
	j = said(WEBHOOK_TEAMS, &facts);
	const json_t *card = json_object_get(json_array_get(json_object_get(j, "attachments"), 0), "content");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(json_object_get(card, "actions"), 0), "url")), facts.link);
	json_decref(j);
	CU_ASSERT_PTR_NULL(webhook_body(99, &facts));
}

static void
without_a_link(void)
{
	struct webhook_facts f = facts;
	f.link = f.shape = "";
	json_t *j = said(WEBHOOK_SLACK, &f);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "blocks")), 2);
	json_decref(j);
	j = said(WEBHOOK_TEAMS, &f);
	CU_ASSERT_PTR_NULL(json_object_get(json_object_get(json_array_get(json_object_get(j, "attachments"), 0), "content"), "actions"));
	json_decref(j);
	j = said(WEBHOOK_GENERIC, &f);
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_object_get(j, "text")), "operation"));
	json_decref(j);
}

static void
shapes(void)
{
	static const struct {
		const char *view, *shape;
	} row[] = {
		{ "{\"tag\":\"UPDATE\",\"text\":\"UPDATE t SET x = 'secret'\"}", "UPDATE" },
		{ "{\"tag\":\"DELETE\",\"statements\":[{\"tables\":\"{ \\\"public.a\\\", \\\"public.b\\\" }\",\"where\":\"true\"}]}", "DELETE public.a, public.b" },
		{ "{\"tag\":\"DELETE\",\"statements\":[{\"tables\":\"public.a\",\"where\":\"false\"},{}]}", "DELETE public.a, every row, and more" },
		{ "not json", "" }, { "{}", "" }, { "{\"tag\":7,\"statements\":{}}", "" },
	};
	struct arena *a = arena_new(8192);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_STRING_EQUAL(webhook_shape(a, row[i].view), row[i].shape);
	arena_free(&a);
}

static bool
anywhere(const json_t *j, const char *text)
{
	char *all = json_dumps(j, JSON_COMPACT);
	bool there = all != NULL && strstr(all, text) != NULL;
	free(all);
	return there;
}

/* Every "type" in it, however deep, is one of these; nothing in it is read as Markdown but our own words. */
static bool
types_are(const json_t *j, const char *const *types)
{
	const char *name;
	json_t *value;
	size_t i;
	bool good = true;
	json_array_foreach(j, i, value)
		good = good && types_are(value, types);
	json_object_foreach((json_t *)(uintptr_t)j, name, value) {
		bool known = strcmp(name, "type") != 0;
		for (size_t n = 0; types[n] != NULL && json_is_string(value); n++)
			known = known || strcmp(types[n], json_string_value(value)) == 0;
		good = good && known && types_are(value, types);
	}
	return good;
}

/* AP2: what people or tables are called forges no link, no mention, no format, and turns no direction. */
static void
hostile_names(void)
{
	static const char *const slack_types[] = { "rich_text", "rich_text_section", "text", "context", "plain_text", "actions", "button", NULL };
	static const char *const teams_types[] = { "message", "AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "Action.OpenUrl", NULL };
	struct webhook_facts f = facts;
	f.user = "<!channel> <https://evil.example|approved>\n```*x* [ok](https://evil.example) @here";
	f.shape = "UPDATE public.\xe2\x80\xaegnp.x\xe2\x80\x8b\x1b[31m&lt;";
	f.buttons = BUTTON_DENY | BUTTON_APPROVE;
	json_t *j = said(WEBHOOK_SLACK, &f);
	CU_ASSERT(types_are(j, slack_types) && json_is_false(json_object_get(j, "mrkdwn")));
	const char *fallback = json_string_value(json_object_get(j, "text"));
	CU_ASSERT(fallback != NULL && strchr(fallback, '<') == NULL && strchr(fallback, '>') == NULL && strchr(fallback, '\n') == NULL);
	CU_ASSERT(!anywhere(j, "\xe2\x80\xae") && !anywhere(j, "\xe2\x80\x8b") && !anywhere(j, "\x1b") && !anywhere(j, "\\u001b") && anywhere(j, "u{202e}"));
	CU_ASSERT(anywhere(j, "\"value\":\"abc 0123456789ab\"") && anywhere(j, SLACK_APPROVE) && anywhere(j, SLACK_DENY));
	json_decref(j);
	j = said(WEBHOOK_TEAMS, &f);
	CU_ASSERT(types_are(j, teams_types) && !anywhere(j, "\xe2\x80\xae") && !anywhere(j, "\xe2\x80\x8b") && !anywhere(j, "\\u001b"));
	json_decref(j);
	j = said(WEBHOOK_GENERIC, &f);
	CU_ASSERT(strchr(json_string_value(json_object_get(j, "text")), '\n') == NULL);
	json_decref(j);
	char *body = webhook_ephemeral("a <!channel> & b", "https://g/requests/abc");
	CU_ASSERT(body != NULL && strstr(body, "a &lt;!channel&gt; &amp; b: <https://g/requests/abc>") != NULL);
	free(body);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "names that forge (AP2)", hostile_names }, { "formats", formats }, { "without a link", without_a_link }, { "shapes", shapes }, CU_TEST_INFO_NULL };
	return cunit_main("webhook", tests);
}
