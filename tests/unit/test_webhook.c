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

int
main(void)
{
	CU_TestInfo tests[] = { { "formats", formats }, { "without a link", without_a_link }, { "shapes", shapes }, CU_TEST_INFO_NULL };
	return cunit_main("webhook", tests);
}
