/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP parser, both directions: the first byte chooses the direction and where the input is
 * cut in two.  Whatever is accepted is written anew and must be accepted again, with the same
 * framing; and cutting the input must not change the answer.
 */
#include <stdlib.h>

#include "../../modules/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool true_here)
{
	if (!true_here)
		abort();
}

static void
write_again(const struct http_head *h, struct sp_bytes head)
{
	static uint8_t memory[2 * HTTP_HEAD_MAX];
	static struct http_head again;
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	if (h->kind == HTTP_REQUEST)
		http_put_request(&w, http_span(head, h->method), http_span(head, h->target));
	else
		http_put_status(&w, h->status);
	for (unsigned i = 0; i < h->nfields; i++) {
		char name[HTTP_LINE_MAX + 1];
		struct sp_bytes n = http_span(head, h->field[i].name);
		memcpy(name, n.p, n.len);
		name[n.len] = '\0';
		http_put_field(&w, name, http_span(head, h->field[i].value));
	}
	http_put_end(&w);
	must(!w.bad);
	http_head_begin(&again, h->kind, NULL);
	/* HTTP/1.0 without Host becomes a 1.1 without Host: refused, and rightly. */
	if (http_head_parse(&again, sp_written(&w)) < 0) {
		must(h->minor == 0);
		return;
	}
	must(again.nfields == h->nfields);
	must(again.framing.kind == h->framing.kind && again.framing.length == h->framing.length);
}

static uint64_t
read_body(const struct http_framing *f, struct sp_bytes in, size_t cut, int *last_r)
{
	struct http_body b;
	struct sp_bytes piece;
	uint64_t sum = 0;
	http_body_begin(&b, f);
	struct sp_reader all = sp_reader(in);
	struct sp_bytes part[2];
	part[0] = sp_rd_take(&all, cut < in.len ? cut : in.len);
	part[1] = sp_rd_rest(&all);
	*last_r = HTTP_BODY_MORE;
	for (unsigned i = 0; i < 2 && *last_r == HTTP_BODY_MORE; i++) {
		struct sp_reader r = sp_reader(part[i]);
		while ((*last_r = http_body_next(&b, &r, &piece)) == HTTP_BODY_PIECE)
			for (size_t j = 0; j < piece.len; j++)
				sum = sum * 31 + piece.p[j];
	}
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head whole, split;
	if (size < 2)
		return 0;
	enum http_kind kind = data[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
	struct sp_bytes in = { data + 2, size - 2 };
	size_t cut = data[1] < in.len ? data[1] : in.len;
	http_head_begin(&whole, kind, NULL);
	http_head_begin(&split, kind, NULL);
	long n = http_head_parse(&whole, in);
	long m = http_head_parse(&split, (struct sp_bytes){ in.p, cut });
	if (m == 0)
		m = http_head_parse(&split, in);
	must(n == m);
	if (n <= 0)
		return 0;
	write_again(&whole, (struct sp_bytes){ in.p, (size_t)n });
	struct sp_reader rest = sp_reader(in);
	(void)sp_rd_take(&rest, (size_t)n);
	struct sp_bytes body = sp_rd_rest(&rest);
	int end, end_split;
	uint64_t sum = read_body(&whole.framing, body, body.len, &end), sum_split = read_body(&whole.framing, body, cut, &end_split);
	must(end == end_split && (end < 0 || sum == sum_split));

	struct sp_bytes path, query, key, value;
	uint8_t memory[4096];
	http_target_split(http_span(in, whole.target), &path, &query);
	(void)http_path_is_plain(path);
	struct sp_reader q = sp_reader(query);
	while (http_query_next(&q, &key, &value)) {
		struct sp_writer w = sp_writer(memory, sizeof(memory));
		http_decode(value, true, &w);
	}
	return 0;
}
