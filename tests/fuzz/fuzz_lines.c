/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of JSON as an HTTP target sends them: the first byte chooses lines or events, the second where they are cut in
 * two.  What is shown does not depend on the cut, and whatever is shown went through the mask.
 */
#include <jansson.h>
#include <stdlib.h>

#include "../../modules/http/lines.h"
#include "../../modules/http/mask.h"
#include "../../modules/http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool true_here)
{
	if (!true_here)
		abort();
}

/* In place of mask.c: a mask that hides all. */
int
mask_json(struct sp_op *op, struct sp_bytes body, struct sp_writer *out)
{
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	(void)op;
	if (j == NULL)
		return SP_EPROTO;
	json_decref(j);
	sp_wr_put(out, SP_LIT("\"****\""));
	return SP_OK;
}

static int
feed(enum lines_kind kind, struct sp_bytes in, size_t cut, struct sp_writer *out)
{
	struct lines *l = lines_new(kind, 4096);
	struct sp_reader r = sp_reader(in);
	must(l != NULL);
	int rc = lines_feed(l, NULL, sp_rd_take(&r, cut < in.len ? cut : in.len), false, out);
	if (rc == SP_OK)
		rc = lines_feed(l, NULL, sp_rd_rest(&r), true, out);
	lines_free(&l);
	return rc;
}

/* One line of what is shown: a masked text, or a field that is a word. */
static void
check_line(enum lines_kind kind, struct sp_bytes line)
{
	if (kind == LINES_JSON) {
		must(line.len == 0 || sp_bytes_is(line, "\"****\""));
		return;
	}
	static const char *const fine[] = { "", ":", "data: \"****\"", "data: [DONE]" };
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
		if (sp_bytes_is(line, fine[i]))
			return;
	must(line.len <= 64 + 7 && (memcmp(line.p, "event: ", line.len < 7 ? line.len : 7) == 0 || memcmp(line.p, "id: ", 4) == 0 || memcmp(line.p, "retry: ", 7) == 0));
	must(memchr(line.p, '@', line.len) == NULL && memchr(line.p, '\r', line.len) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	enum lines_kind kind = sp_rd_u8(&r) & 1 ? LINES_EVENTS : LINES_JSON;
	size_t cut = sp_rd_u8(&r);
	struct sp_bytes in = sp_rd_rest(&r);
	struct sp_writer a = proxy_buffer(), b = proxy_buffer();
	int rc = feed(kind, in, cut, &a);
	must(feed(kind, in, in.len, &b) == rc && (rc != SP_OK || sp_bytes_eq(sp_written(&a), sp_written(&b))));
	struct sp_reader shown = sp_reader(sp_written(&a));
	while (rc == SP_OK && shown.left > 0)
		check_line(kind, sp_rd_until(&shown, '\n'));
	proxy_free(&a);
	proxy_free(&b);
	return 0;
}
