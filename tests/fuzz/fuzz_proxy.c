/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests through http.so and docker.so, on a core made of memory.  The first byte chooses the module, whether the keeper takes its
 * time over whose an exec is, and whether it is nobody's; then pieces: a byte whose lowest bit is the side, two of length, and what that side sends.
 *
 * Whatever comes: what reaches the target before the connection becomes a stream is whole requests that the
 * strict parser takes, with the field of nobody's identity, and none of them before somebody was admitted; and an exec that is
 * nobody's is not even asked about.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../modules/http/http.h"
#include "../module/fake_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct sp_module sallyport_module_http, sallyport_module_docker;

static void
must(bool true_here)
{
	if (!true_here)
		abort();
}

static bool nobodys; /* every exec */

/* /exec/… or /v1.41/exec/… */
static bool
is_exec(struct sp_bytes target)
{
	struct sp_reader r = sp_reader(target);
	struct sp_bytes first;
	(void)sp_rd_u8(&r);
	first = sp_rd_until(&r, '/');
	if (!r.bad && first.len > 1 && first.p[0] == 'v' && first.p[1] == '1')
		first = sp_rd_until(&r, '/');
	return !r.bad && sp_bytes_is(first, "exec");
}

/* One request of the target's input; false: it is not whole, or what follows is no HTTP. */
static bool
check_request(struct sp_reader *r)
{
	static struct http_head head;
	struct http_body body;
	struct sp_bytes in = { r->p, r->left }, piece;
	int what;
	http_head_begin(&head, HTTP_REQUEST, NULL);
	long n = http_head_parse(&head, in);
	must(n >= 0);
	if (n == 0)
		return false;
	must(http_field(&head, in, "authorization").p == NULL && http_field(&head, in, "proxy-authorization").p == NULL);
	must(http_field(&head, in, "x-forwarded-user").p == NULL && http_field(&head, in, "x-remote-user").p == NULL);
	must(!nobodys || !is_exec(http_span(in, head.target)));
	(void)sp_rd_take(r, (size_t)n);
	if (head.upgrade)
		return false;
	http_body_begin(&body, &head.framing);
	while ((what = http_body_next(&body, r, &piece)) == HTTP_BODY_PIECE)
		continue;
	must(what >= 0);
	return what == HTTP_BODY_END;
}

/* By the old form of a hijack there is no Upgrade: from there on bytes are the client's. */
static bool
may_be_hijacked(struct sp_bytes out)
{
	static const char *const words[] = { "/attach", "/start" };
	for (size_t w = 0; w < 2; w++)
		for (size_t i = 0; i + strlen(words[w]) <= out.len; i++)
			if (memcmp(out.p + i, words[w], strlen(words[w])) == 0)
				return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	uint8_t how = sp_rd_u8(&r);
	bool docker = how & 1;
	struct fake *f = fake_new(docker ? &sallyport_module_docker : &sallyport_module_http);
	nobodys = (how & 6) == 6;
	if (how & 2)
		fake_shares_later(f);
	fake_rule(f, "denied", FAKE_DENY, 0);
	fake_rule(f, "held", FAKE_HOLD, 0);
	while (!r.bad && r.left > 3 && !fake_ended(f)) {
		enum sp_side from = sp_rd_u8(&r) & 1 ? SP_TARGET : SP_CLIENT;
		size_t n = sp_rd_be16(&r);
		struct sp_bytes piece = sp_rd_take(&r, n < r.left ? n : r.left);
		bool shares = fake_waits_for(f, "share");
		(void)fake_input(f, from, piece.p, piece.len);
		if (shares && !fake_ended(f)) /* after something has come meanwhile */
			(void)fake_shared(f, !(piece.len & 4), !nobodys);
		if (fake_waits_for(f, "keeper")) {
			must(fake_output(f, SP_TARGET).len == 0);
			(void)fake_admit(f, SP_ADMIT, NULL);
			if (!fake_ended(f))
				(void)fake_dial(f);
		}
		if (!fake_ended(f) && fake_waits_for(f, "person"))
			(void)fake_decide(f, piece.len & 1);
	}
	struct sp_bytes out = fake_output(f, SP_TARGET);
	struct sp_reader sent = sp_reader(out);
	while (sent.left > 0 && !(docker && may_be_hijacked(out)) && check_request(&sent))
		continue;
	fake_free(&f);
	return 0;
}
