/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: holes are filled and escaped, every page is whole, and none has what their policy forbids. */
#include <config.h>

#include "../../core/console/page_text.h"
#include "cunit_main.h"

static const char *const pages[] = { "signin.html", "choice.html", "signed-in.html", "device-code.html", "device-confirm.html", "message.html" };
#define EVIL "<script>alert('1')</script>\"& \x01\x7f\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf!"
#define TAME "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;   \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!"

static const struct hole holes[] = { { "title", EVIL }, { "host", EVIL }, { "why", EVIL }, { "choices", "" }, { "name", EVIL }, { "query", EVIL },
	{ "identity", EVIL }, { "expires", EVIL }, { "csrf", EVIL }, { "code", EVIL }, { "device", EVIL }, { "address", EVIL }, { "created", EVIL },
	{ "text", EVIL }, { "link", EVIL }, { "label", EVIL }, { NULL, NULL } };

static const char *
text_of(struct buffer *b)
{
	CU_ASSERT_EQUAL_FATAL(buffer_put(b, (struct sp_bytes){ (const uint8_t *)"", 1 }), SP_OK);
	return (const char *)buffer_bytes(b).p;
}

static void
test_escaped(void)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		struct buffer out = { .p = NULL };
		CU_ASSERT_EQUAL_FATAL(page_whole(pages[i], EVIL, EVIL, holes, &out), SP_OK);
		const char *text = text_of(&out);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "<title>" TAME " · Sallyport</title>"));
		CU_ASSERT_PTR_NULL(strstr(text, "<script"));
		CU_ASSERT_PTR_NULL(strstr(text, "{{"));
		CU_ASSERT_PTR_NULL(strstr(text, "\xe2\x80\xae"));
		buffer_free(&out);
	}
}

/* The policy of pages: no script, no style of their own, nothing from elsewhere. */
static void
test_plain(void)
{
	static const char *const never[] = { "<script", "style=", "<style", "http://", "https://", "onclick", "javascript:", "target=" };
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		struct buffer copy = { .p = NULL };
		struct sp_bytes file = page_file(pages[i]);
		CU_ASSERT_FATAL(file.len > 0 && buffer_put(&copy, file) == SP_OK);
		const char *text = text_of(&copy);
		for (size_t k = 0; k < sizeof(never) / sizeof(*never); k++)
			CU_ASSERT_PTR_NULL(strstr(text, never[k]));
		const char *form = strstr(text, "method=\"post\"");
		CU_ASSERT(form == NULL || strstr(form, "name=\"csrf\" value=\"{{csrf}}\"") != NULL);
		buffer_free(&copy);
	}
	CU_ASSERT_PTR_NULL(page_file("../layout.html").p);
}

static void
test_not_whole(void)
{
	struct buffer out = { .p = NULL };
	CU_ASSERT_EQUAL(page_fill("signin.html", (const struct hole[]){ { "why", "x" }, { NULL, NULL } }, &out), SP_EINTERNAL);
	CU_ASSERT_EQUAL(page_fill("nothing.html", holes, &out), SP_EINTERNAL);
	CU_ASSERT_EQUAL(page_fill("choice.html", (const struct hole[]){ { "name", NULL }, { "query", "" }, { NULL, NULL } }, &out), SP_OK);
	buffer_free(&out);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "what strangers are called is text", test_escaped },
		{ "pages have nothing that runs", test_plain },
		{ "a hole without a text", test_not_whole },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("page", tests);
}
