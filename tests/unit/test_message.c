/* SPDX-License-Identifier: Apache-2.0 */
/* The table of messages: who may say what to whom, and what is no message. */
#include "core/base/message.h"
#include "cunit_main.h"

static struct buffer
encoded(const struct message *m)
{
	struct buffer b = { 0 };
	CU_ASSERT_EQUAL_FATAL(message_encode(m, &b), SP_OK);
	return b;
}

static void
there_and_back(void)
{
	const struct message m = { .type = MSG_CLOSED, .id = 77,
		.f = { S(SP_LIT("0123456789abcdef")), Q(3), Z("bye"), Q(1), Q(2), Q(UINT64_MAX), Q(4) } };
	struct message back;
	struct buffer b = encoded(&m);
	CU_ASSERT_EQUAL(message_decode(buffer_bytes(&b), &back), (long)b.len);
	CU_ASSERT_EQUAL(back.type, MSG_CLOSED);
	CU_ASSERT_EQUAL(back.id, 77);
	CU_ASSERT_TRUE(sp_bytes_is(back.f[0].s, "0123456789abcdef"));
	CU_ASSERT_EQUAL(back.f[1].q, 3);
	CU_ASSERT_TRUE(sp_bytes_is(back.f[2].s, "bye"));
	CU_ASSERT_EQUAL(back.f[5].q, UINT64_MAX);
	CU_ASSERT_EQUAL(back.f[6].q, 4);
	CU_ASSERT_EQUAL(back.fd[0], -1);
	buffer_free(&b);
}

static void
every_message_there_and_back(void)
{
	for (unsigned type = 1; type < MESSAGES; type++) {
		struct message m = { .type = (uint16_t)type, .id = type }, back;
		struct buffer b = { 0 };
		for (m.nfds = 0; m.nfds <= MESSAGE_FDS && message_encode(&m, &b) != SP_OK; m.nfds++)
			;
		CU_ASSERT_TRUE(m.nfds <= MESSAGE_FDS);
		CU_ASSERT_EQUAL(message_decode(buffer_bytes(&b), &back), (long)b.len);
		CU_ASSERT_EQUAL(back.type, type);
		CU_ASSERT_EQUAL(back.nfds, m.nfds);
		CU_ASSERT_STRING_NOT_EQUAL(message_name(type), "?");
		buffer_free(&b);
	}
}

static void
a_part_is_not_a_message(void)
{
	const struct message m = { .type = MSG_DERIVE, .f = { Z("tag"), Z("pii") } };
	struct message back;
	struct buffer b = encoded(&m);
	for (size_t n = 0; n < b.len; n++)
		CU_ASSERT_EQUAL(message_decode((struct sp_bytes){ b.p, n }, &back), 0);
	CU_ASSERT_EQUAL(buffer_put(&b, SP_LIT("next")), SP_OK);
	CU_ASSERT_EQUAL(message_decode(buffer_bytes(&b), &back), (long)b.len - 4);
	buffer_free(&b);
}

/* be32 length, be16 type, be16 fds, be32 id, then whatever */
static long
raw(uint32_t length, uint16_t type, uint16_t fds, struct sp_bytes rest)
{
	uint8_t p[256];
	struct sp_writer w = sp_writer(p, sizeof(p));
	struct message m;
	sp_wr_be32(&w, length);
	sp_wr_be16(&w, type);
	sp_wr_be16(&w, fds);
	sp_wr_be32(&w, 1);
	sp_wr_put(&w, rest);
	return message_decode(sp_written(&w), &m);
}

static void
malformed_is_refused(void)
{
	CU_ASSERT_EQUAL(raw(8, MSG_READY, 0, SP_LIT("")), 12);
	CU_ASSERT_EQUAL(raw(8, MSG_READY, 1, SP_LIT("")), SP_EPROTO);                  /* fds it must not have */
	CU_ASSERT_EQUAL(raw(16, MSG_EPOCH, 0, SP_LIT("12345678")), SP_EPROTO);         /* no fd */
	CU_ASSERT_EQUAL(raw(9, MSG_READY, 0, SP_LIT("x")), SP_EPROTO);                 /* a byte too many */
	CU_ASSERT_EQUAL(raw(15, MSG_QUIT, 0, SP_LIT("1234567")), SP_EPROTO);           /* a byte too few */
	CU_ASSERT_EQUAL(raw(0, MSG_READY, 0, SP_LIT("")), SP_EPROTO);
	CU_ASSERT_EQUAL(raw(7, MSG_READY, 0, SP_LIT("")), SP_EPROTO);
	CU_ASSERT_EQUAL(raw(8, 0, 0, SP_LIT("")), SP_EPROTO);
	CU_ASSERT_EQUAL(raw(8, MESSAGES, 0, SP_LIT("")), SP_EPROTO);
	CU_ASSERT_EQUAL(raw(8, 0xffff, 0, SP_LIT("")), SP_EPROTO);
	CU_ASSERT_EQUAL(raw(UINT32_MAX, MSG_AUDIT, 0, SP_LIT("")), SP_ETOOBIG);
	CU_ASSERT_EQUAL(raw(MESSAGE_MAX + 1, MSG_AUDIT, 0, SP_LIT("")), SP_ETOOBIG);
	CU_ASSERT_EQUAL(raw(MESSAGE_MAX, MSG_AUDIT, 0, SP_LIT("")), 0);
	CU_ASSERT_EQUAL(raw(12, MSG_AUDIT, 0, SP_LIT("\xff\xff\xff\xff")), SP_EPROTO); /* inner length */
	CU_ASSERT_EQUAL(raw(13, MSG_AUDIT, 0, SP_LIT("\0\0\0\2x")), SP_EPROTO);
}

static void
too_big_is_not_encoded(void)
{
	static uint8_t big[MESSAGE_MAX];
	struct buffer b = { 0 };
	struct message m = { .type = MSG_AUDIT, .f = { S(((struct sp_bytes){ big, MESSAGE_MAX - 12 })) } };
	CU_ASSERT_EQUAL(message_encode(&m, &b), SP_OK);
	size_t before = b.len;
	m.f[0].s.len++;
	CU_ASSERT_EQUAL(message_encode(&m, &b), SP_ETOOBIG);
	CU_ASSERT_EQUAL(b.len, before);
	m = (struct message){ .type = MSG_AUDIT, .nfds = 1 };
	CU_ASSERT_NOT_EQUAL(message_encode(&m, &b), SP_OK);
	m = (struct message){ .type = MESSAGES };
	CU_ASSERT_NOT_EQUAL(message_encode(&m, &b), SP_OK);
	buffer_free(&b);
}

/* What a role that was broken into would like to say; DESIGN section 3. */
static void
what_nobody_may_say(void)
{
	static const struct { enum message_type type; enum role from, to; } row[] = {
		{ MSG_EPOCH, ROLE_WORKER, ROLE_KEEPER },     { MSG_LINK, ROLE_CONSOLE, ROLE_KEEPER },
		{ MSG_CALLER, ROLE_CONSOLE, ROLE_KEEPER },   { MSG_CALLER, ROLE_WORKER, ROLE_KEEPER },
		{ MSG_CALL, ROLE_WORKER, ROLE_KEEPER },      { MSG_AUTHENTICATE, ROLE_CONSOLE, ROLE_KEEPER },
		{ MSG_ADMITTED, ROLE_WORKER, ROLE_KEEPER },  { MSG_SIGN, ROLE_WORKER, ROLE_KEEPER },
		{ MSG_DERIVE, ROLE_CONSOLE, ROLE_KEEPER },   { MSG_DECISION, ROLE_CONSOLE, ROLE_WORKER },
		{ MSG_KEYS, ROLE_KEEPER, ROLE_WORKER },      { MSG_CHECKED, ROLE_WORKER, ROLE_MASTER },
		{ MSG_PROVE, ROLE_RECORDER, ROLE_KEEPER },   { MSG_WORKER_GONE, ROLE_WORKER, ROLE_RECORDER },
		{ MSG_READY, ROLE_WORKER, ROLE_KEEPER },     { MSG_REMOVE, ROLE_WORKER, ROLE_KEEPER },
		{ MSG_EPOCH, ROLE_MASTER, ROLE_CHECK },      { MSG_READY, ROLE_NONE, ROLE_MASTER },
		{ MSG_OUTSIDE, ROLE_WORKER, ROLE_FETCH },    { MSG_OUTSIDE_TOLD, ROLE_CONSOLE, ROLE_KEEPER },
		{ MSG_SAML_TOLD, ROLE_FETCH, ROLE_KEEPER },  { MSG_LENT, ROLE_SAML, ROLE_KEEPER },
		{ MSG_CALL, ROLE_SAML, ROLE_KEEPER },        { MSG_LEND, ROLE_WORKER, ROLE_LEND },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_FALSE(message_allowed(row[i].type, row[i].from, row[i].to));
	CU_ASSERT_TRUE(message_allowed(MSG_EPOCH, ROLE_MASTER, ROLE_WORKER));
	CU_ASSERT_TRUE(message_allowed(MSG_AUTHENTICATE, ROLE_WORKER, ROLE_KEEPER));
	CU_ASSERT_TRUE(message_allowed(MSG_CHECKED, ROLE_CHECK, ROLE_MASTER));
	CU_ASSERT_FALSE(message_allowed(MESSAGES, ROLE_MASTER, ROLE_WORKER));
	CU_ASSERT_FALSE(message_allowed(MSG_EPOCH, ROLES, ROLE_WORKER));
	CU_ASSERT_FALSE(message_allowed(MSG_EPOCH, ROLE_MASTER, ROLES));
}

/* No role may say one message both ways, and only master hands out descriptors of sockets. */
static void
messages_go_one_way(void)
{
	for (unsigned type = 1; type < MESSAGES; type++)
		for (unsigned a = 0; a < ROLES; a++)
			for (unsigned b = 0; b < ROLES; b++) {
				bool there = message_allowed((enum message_type)type, (enum role)a, (enum role)b);
				CU_ASSERT_FALSE(there && message_allowed((enum message_type)type, (enum role)b, (enum role)a));
			}
}

static void
roles_have_names(void)
{
	for (unsigned r = 0; r < ROLES; r++)
		CU_ASSERT_STRING_NOT_EQUAL(role_name((enum role)r), "?");
	CU_ASSERT_STRING_EQUAL(role_name(ROLES), "?");
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "there and back", there_and_back },
		{ "every message there and back", every_message_there_and_back },
		{ "a part is not a message", a_part_is_not_a_message },
		{ "malformed is refused", malformed_is_refused },
		{ "too big is not encoded", too_big_is_not_encoded },
		{ "what nobody may say", what_nobody_may_say },
		{ "messages go one way", messages_go_one_way },
		{ "roles have names", roles_have_names },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("message", tests);
}
