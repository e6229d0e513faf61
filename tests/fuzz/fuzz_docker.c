/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Docker's clients and engines send, after HTTP: the first byte chooses.
 *
 *   0  frames of a stream, cut in two by the next byte: what is shown does not depend on the cut, and is in frames again
 *   1  an operation's text (JSON bodies, parameters, words): whatever it is, it is judged or unclear, never half understood
 *   2  `filters` of a list: what comes out is JSON that still asks for our label
 *   3  a body that gets a label, an inspect's answer that loses variables
 */
#include <jansson.h>
#include <stdlib.h>

#include "../../core/policy/policy.h"
#include "../../modules/docker/docker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct sp_module sallyport_module_docker;

static void
must(bool true_here)
{
	if (!true_here)
		abort();
}

static int
feed(struct sp_bytes in, size_t cut, struct sp_writer *frames, struct sp_writer *plain)
{
	struct demux d = { .have = 0 };
	struct sp_reader r = sp_reader(in);
	int rc = demux_feed(&d, sp_rd_take(&r, cut < in.len ? cut : in.len), frames, plain);
	if (rc == SP_OK)
		rc = demux_feed(&d, sp_rd_rest(&r), frames, plain);
	if (rc == SP_OK)
		rc = demux_flush(&d, frames, plain);
	demux_free(&d);
	return rc;
}

static void
frames(struct sp_reader *r)
{
	size_t cut = sp_rd_u8(r);
	struct sp_bytes in = sp_rd_rest(r);
	struct sp_writer a[2] = { proxy_buffer(), proxy_buffer() }, b[2] = { proxy_buffer(), proxy_buffer() }, c[2] = { proxy_buffer(), proxy_buffer() };
	int rc = feed(in, cut, &a[0], &a[1]);
	must(feed(in, in.len, &b[0], &b[1]) == rc);
	must(rc != SP_OK || sp_bytes_eq(sp_written(&a[1]), sp_written(&b[1])));
	must(feed(sp_written(&a[0]), cut, &c[0], &c[1]) == SP_OK && sp_bytes_eq(sp_written(&a[1]), sp_written(&c[1])));
	for (size_t i = 0; i < 2; i++) {
		proxy_free(&a[i]);
		proxy_free(&b[i]);
		proxy_free(&c[i]);
	}
}

static void
text(struct sp_reader *r)
{
	const struct sp_scope scope = { .view = NULL };
	size_t n = 0;
	while (sallyport_module_docker.kinds[n] != NULL)
		n++;
	const char *kind = sallyport_module_docker.kinds[sp_rd_u8(r) % n];
	struct shape *s = shape_make(&sallyport_module_docker, &scope, kind, sp_rd_rest(r));
	/* a command of no container, or a container of no image, can't be clear */
	bool clear = s != NULL && !s->failed && s->nunclear == 0;
	must(!clear || strcmp(kind, "docker.unknown") != 0);
	shape_free(&s);
}

static void
filters(struct sp_reader *r)
{
	static const char *const label[] = { "team=blue" };
	const struct sp_strings labels = { label, 1 };
	struct sp_writer out = proxy_buffer();
	if (filters_with_labels(sp_rd_rest(r), &labels, &out) == SP_OK) {
		json_t *j = json_loadb((const char *)out.p, out.len, JSON_REJECT_DUPLICATES, NULL), *all = json_object_get(j, "label");
		must(json_array_size(all) > 0 && strcmp(json_string_value(json_array_get(all, json_array_size(all) - 1)), label[0]) == 0);
		json_decref(j);
	}
	proxy_free(&out);
}

static void
bodies(struct sp_reader *r)
{
	struct sp_bytes in = sp_rd_rest(r);
	struct sp_writer labelled = proxy_buffer(), hidden = proxy_buffer();
	if (body_with_label(in, "owner", "ann", &labelled) == SP_OK) {
		json_t *j = json_loadb((const char *)labelled.p, labelled.len, JSON_REJECT_DUPLICATES, NULL);
		const char *owner = json_string_value(json_object_get(json_object_get(j, "Labels"), "owner"));
		must(owner != NULL && strcmp(owner, "ann") == 0);
		json_decref(j);
	}
	if (answer_hide_env(in, "masked", &hidden) == SP_OK) {
		json_t *j = json_loadb((const char *)hidden.p, hidden.len, 0, NULL), *one;
		size_t i;
		json_array_foreach(json_object_get(json_object_get(j, "Config"), "Env"), i, one)
		{
			const char *cut = json_is_string(one) ? strchr(json_string_value(one), '=') : NULL;
			must(cut == NULL || strcmp(cut, "=****") == 0);
		}
		json_decref(j);
	}
	proxy_free(&labelled);
	proxy_free(&hidden);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[])(struct sp_reader *r) = { frames, text, filters, bodies };
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	what[sp_rd_u8(&r) % (sizeof(what) / sizeof(*what))](&r);
	return 0;
}
