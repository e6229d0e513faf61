/* SPDX-License-Identifier: Apache-2.0 */
/* A target's host certificate: what a real server answered, and what is left of it when it says anything else (SS6, SS7, SS13). */
#include <CUnit/CUnit.h>
#include <stdlib.h>

#include "cunit_main.h"
#include "ssh_host_vectors.h"

static struct sp_bytes
vector(size_t i, uint8_t space[8192])
{
	return (struct sp_bytes){ space, base64_decode(vectors[i].base64, space, 8192) };
}

static void
what_a_server_answered_is_known(void)
{
	uint8_t space[8192];
	for (size_t i = 0; i < VECTORS; i++) {
		struct sp_bytes in = vector(i, space);
		CU_ASSERT(known(in, in.len, vectors[i].authority, "host.example", NOW));
		CU_ASSERT(known(in, 1, vectors[i].authority, "HOST.example", NOW));
		CU_ASSERT_FALSE(known((struct sp_bytes){ in.p, in.len - 1 }, in.len, vectors[i].authority, "host.example", NOW));
	}
}

static void
ss7_names_times_and_authorities(void)
{
	uint8_t space[8192];
	struct sp_bytes in = vector(0, space);
	const char *ca = vectors[0].authority;
	CU_ASSERT(known(in, in.len, ca, "other", NOW));
	CU_ASSERT_FALSE(known(in, in.len, ca, "host", NOW));
	CU_ASSERT_FALSE(known(in, in.len, ca, "host.example.", NOW));
	CU_ASSERT_FALSE(known(in, in.len, ca, "other,host.example", NOW));
	CU_ASSERT_FALSE(known(in, in.len, ca, "", NOW));
	CU_ASSERT_FALSE(known(in, in.len, ca, "host.example", 1600000000u));
	CU_ASSERT_FALSE(known(in, in.len, ca, "host.example", 4200000000u));
	CU_ASSERT_FALSE(known(in, in.len, vectors[1].authority, "host.example", NOW));
	CU_ASSERT_FALSE(known(in, in.len, "SHA256:", "host.example", NOW));
}

/* Where a packet's padding is: nobody signs it. */
static bool
is_padding(struct sp_bytes in, size_t i)
{
	const uint8_t *line = memchr(in.p, '\n', in.len);
	struct sp_reader r = sp_reader(in);
	(void)sp_rd_take(&r, (size_t)(line - in.p) + 1);
	while (r.left > 0) {
		uint32_t length = sp_rd_be32(&r);
		uint8_t padding = sp_rd_u8(&r);
		(void)sp_rd_take(&r, length - 1);
		size_t end = in.len - r.left;
		if (i < end)
			return i >= end - padding;
	}
	return false;
}

static void
no_byte_of_it_can_be_changed(void)
{
	uint8_t space[8192];
	for (size_t v = 0; v < VECTORS; v++) {
		struct sp_bytes in = vector(v, space);
		for (size_t i = 0; i < in.len; i += v == 0 ? 1 : 7) {
			const bool counts = !is_padding(in, i);
			space[i] ^= (uint8_t)(1u << i % 8);
			CU_ASSERT_FATAL(known(in, in.len, vectors[v].authority, "host.example", NOW) != counts);
			space[i] ^= (uint8_t)(1u << i % 8);
		}
	}
}

/* A server that answers another client's exchange: the certificate is good, the signature is not about this one. */
static void
ss13_an_answer_to_somebody_else(void)
{
	uint8_t space[8192];
	struct sp_bytes in = vector(0, space);
	CU_ASSERT(known(in, in.len, vectors[0].authority, "host.example", NOW));
	x.hash[0] ^= 1;
	struct host_shown shown;
	const char *why = "";
	const struct sp_strings authorities = { &vectors[0].authority, 1 };
	CU_ASSERT(host_certificate_check(x.kind, x.certificate, &authorities, "other", NOW, &shown, &why) == SP_OK);
	CU_ASSERT_FALSE(host_exchange_proved(&x, &shown.key));
}

int
main(void)
{
	CU_TestInfo tests[] = { { "what a server answered is known", what_a_server_answered_is_known },
		{ "SS7 names, times and authorities", ss7_names_times_and_authorities },
		{ "no byte of it can be changed", no_byte_of_it_can_be_changed },
		{ "SS13 an answer to somebody else", ss13_an_answer_to_somebody_else }, CU_TEST_INFO_NULL };
	return cunit_main("ssh host", tests);
}
