/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to a session's client, GnuTLS alone at the other end: what others do in the same turn, keys that change while a
 * socket takes little, and an end that is said behind all of it.
 */
#include <config.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cunit_main.h"
#include "worker_world.h"

#define WRITE "record { sync write; }"
#define V13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static struct world v;
static struct tls_credentials *credentials;
static gnutls_certificate_credentials_t trust_anybody;

/* ---- both ends ---- */

static void
text_of(gnutls_datum_t d, char *to, size_t room)
{
	snprintf(to, room, "%.*s", (int)d.size, (const char *)d.data);
	gnutls_free(d.data);
}

static void
certificate_make(char *cert, char *key, size_t room)
{
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t k;
	gnutls_datum_t d;
	(void)gnutls_x509_privkey_init(&k);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	(void)gnutls_x509_crt_init(&crt);
	(void)gnutls_x509_crt_set_version(crt, 3);
	(void)gnutls_x509_crt_set_serial(crt, "\1", 1);
	(void)gnutls_x509_crt_set_activation_time(crt, time(NULL) - 1000);
	(void)gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 100000);
	(void)gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "gate", 4);
	(void)gnutls_x509_crt_set_key(crt, k);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_sign2(crt, crt, k, GNUTLS_DIG_SHA256, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d), 0);
	text_of(d, cert, room);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d), 0);
	text_of(d, key, room);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(k);
}

static void
credentials_make(void)
{
	static char cert[4096], key[4096];
	certificate_make(cert, key, sizeof(cert));
	struct epoch_file file[] = { { .path = "/c.pem", .content = sp_str(cert) }, { .path = "/k.pem", .content = sp_str(key) } };
	const struct epoch e = { .files = file, .nfiles = 2 };
	const struct tls_settings t = { .cert = "/c.pem", .key = "/k.pem" };
	const char *err = "";
	CU_ASSERT_EQUAL_FATAL(tls_credentials_server(&e, &t, &credentials, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(gnutls_certificate_allocate_credentials(&trust_anybody), 0);
}

/* The session's client side speaks TLS from here on. */
static void
near_begin(struct stream *st)
{
	const struct tls_start start = { .reads_ahead = true };
	CU_ASSERT_EQUAL_FATAL(tls_new(credentials, st->fd, &start, &st->tls), SP_OK);
	stream_arm(st);
}

static gnutls_session_t
far_new(int fd, const char *priority)
{
	gnutls_session_t far;
	CU_ASSERT_EQUAL_FATAL(gnutls_init(&far, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_priority_set_direct(far, priority, NULL), 0);
	(void)gnutls_credentials_set(far, GNUTLS_CRD_CERTIFICATE, trust_anybody);
	gnutls_transport_set_int(far, fd);
	return far;
}

static void
begin(bool together)
{
	if (credentials == NULL)
		credentials_make();
	world_begin(&v, WRITE, "");
	if (together)
		sends_share(v.w->sends);
	world_run(&v);
	v.mode = RAW;
}

/* ---- what others do ---- */

/* Others shake hands in the same turn: what was said before does not wait for all of these (P10). */
static void
test_handshakes_of_others(void)
{
	enum { OTHERS = 16 };
	gnutls_session_t far[OTHERS];
	int client[OTHERS], target[OTHERS];
	char c;
	begin(true);
	int mine = v.client, its_target = v.target;
	v.mode = LINES;
	for (unsigned i = 0; i < OTHERS; i++) {
		world_another(&v, &client[i], &target[i]);
		near_begin(&v.s->side[SP_CLIENT]);
		far[i] = far_new(client[i], V13);
	}
	v.mode = RAW;
	world_turn(&v);
	CU_ASSERT_EQUAL(write(mine, "question", 8), 8);
	for (unsigned i = 0; i < OTHERS; i++)
		(void)gnutls_handshake(far[i]);
	(void)event_base_loop(v.base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(recv(its_target, &c, 1, MSG_PEEK | MSG_DONTWAIT), 1); /* the turn has not ended yet */
	for (unsigned i = 0; i < OTHERS; i++) {
		gnutls_deinit(far[i]);
		close(client[i]);
		close(target[i]);
	}
	world_turn(&v);
	v.client = mine;
	v.target = its_target;
	world_end(&v);
}

/* What came in clear, and was read in this turn, is not what the handshake begins with (a STARTTLS injection). */
static void
test_clear_before_tls(void)
{
	begin(false);
	struct listener_use *l = epoch_use_listener(v.s->heard, v.s->listener->b.name);
	l->tls = credentials;
	CU_ASSERT_EQUAL(write(v.client, "in clear", 8), 8);
	(void)event_base_loop(v.base, EVLOOP_NONBLOCK);
	CU_ASSERT(v.s->side[SP_CLIENT].ahead);
	stream_begin_tls(&v.s->side[SP_CLIENT], false, NULL);
	l->tls = NULL;
	world_turn(&v);
	CU_ASSERT_EQUAL(v.closed, 1);
	CU_ASSERT_STRING_EQUAL(world_read(v.target), "");
	world_end(&v);
}

/* ---- keys that change, a socket that takes little, an end ---- */

struct far {
	gnutls_session_t tls;
	size_t heard;
	bool wrong, ended;
};

static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i % 251);
}

static void
far_read(struct far *f, size_t most)
{
	uint8_t b[20000];
	while (most > 0 && !f->ended) {
		ssize_t n = gnutls_record_recv(f->tls, b, most < sizeof(b) ? most : sizeof(b));
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return;
		f->ended = n <= 0;
		f->wrong = f->wrong || n < 0; /* also an end that nobody said */
		for (ssize_t i = 0; i < n; i++)
			f->wrong = f->wrong || b[i] != byte_at(f->heard + (size_t)i);
		f->heard += n > 0 ? (size_t)n : 0;
		most -= n > 0 && (size_t)n < most ? (size_t)n : most;
	}
}

static size_t
pour(int fd, size_t from, size_t n)
{
	uint8_t b[6000];
	for (size_t k = 0; k < n; k++)
		b[k] = byte_at(from + k);
	ssize_t w = n == 0 ? 0 : send(fd, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return w > 0 ? (size_t)w : 0;
}

static void
far_begin(struct far *f, const char *priority, int room)
{
	struct stream *st = &v.s->side[SP_CLIENT];
	int rc = GNUTLS_E_AGAIN;
	near_begin(st);
	*f = (struct far){ .tls = far_new(v.client, priority) };
	for (unsigned i = 0; i < 100 && rc != 0; i++) {
		rc = gnutls_handshake(f->tls);
		world_turn_once(&v);
	}
	CU_ASSERT_FATAL(rc == 0 && tls_ready(st->tls));
	CU_ASSERT_EQUAL(setsockopt(st->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
}

static struct sp_session *mine;
static unsigned before_mine, others_in_all;
static bool mine_was;

static int
slow(struct sp_session *s, enum sp_side from)
{
	size_t n = sp_peek(s, from).len;
	if (s == mine) {
		mine_was = true;
		return sp_pass(s, from, n);
	}
	others_in_all++;
	before_mine += !mine_was;
	(void)poll(NULL, 0, 2); /* a statement that takes long to judge */
	return sp_pass(s, from, n);
}

/* Others, who speak TLS, say something that takes long: who came first does not wait for all of these (P10). */
static void
test_waits_for_tls(void)
{
	enum { OTHERS = 12 };
	struct far far[OTHERS];
	int client[OTHERS], target[OTHERS];
	int (*lines)(struct sp_session *s, enum sp_side from) = toy.data;
	begin(true);
	mine = v.s;
	int my_client = v.client, my_target = v.target;
	for (unsigned i = 0; i < OTHERS; i++) {
		v.mode = LINES;
		world_another(&v, &client[i], &target[i]);
		v.mode = RAW;
		far_begin(&far[i], V13, 8000);
	}
	world_turn(&v);
	toy.data = slow;
	mine_was = false;
	before_mine = others_in_all = 0;
	CU_ASSERT_EQUAL(write(my_client, "question", 8), 8);
	for (unsigned i = 0; i < OTHERS; i++)
		CU_ASSERT_EQUAL(gnutls_record_send(far[i].tls, "q", 1), 1);
	world_turn_once(&v);
	CU_ASSERT(mine_was);
	CU_ASSERT(others_in_all >= OTHERS);
	CU_ASSERT(before_mine <= 1);
	if (before_mine > 1)
		printf("\n  it waited for %u long turns of others ", before_mine);
	toy.data = lines;
	for (unsigned i = 0; i < OTHERS; i++) {
		gnutls_deinit(far[i].tls);
		close(client[i]);
		close(target[i]);
	}
	world_turn(&v);
	v.client = my_client;
	v.target = my_target;
	world_end(&v);
}

/* Each byte comes once, in order, and then the end, which is said. */
static void
speak(unsigned seed, const char *priority, bool together)
{
	struct far f;
	size_t said = 0, asked = 0, got = 0;
	unsigned updates = 0;
	srand(seed);
	begin(together);
	v.half_close = true;
	far_begin(&f, priority, seed % 2 == 0 ? 1 : 8000);
	for (unsigned i = 0; i < 2000; i++) {
		said += pour(v.target, said, (unsigned)rand() % (rand() % 3 == 0 ? 6000 : 1500));
		if (rand() % 4 == 0)
			asked += gnutls_record_send(f.tls, "q", 1) == 1;
		if (updates < 7 && rand() % 20 == 0 && gnutls_protocol_get_version(f.tls) == GNUTLS_TLS1_3)
			updates += gnutls_session_key_update(f.tls, rand() % 2 ? GNUTLS_KU_PEER : 0) == 0;
		world_turn_once(&v);
		if (rand() % 3 == 0)
			far_read(&f, (unsigned)rand() % (rand() % 10 == 0 ? 200000 : 3000));
		got += strlen(world_read(v.target));
	}
	shutdown(v.target, SHUT_WR);
	for (unsigned i = 0; i < 20000 && !f.ended; i++) {
		world_turn_once(&v);
		far_read(&f, 5000);
		got += strlen(world_read(v.target));
	}
	CU_ASSERT(f.ended && !f.wrong);
	CU_ASSERT_EQUAL(f.heard, said);
	CU_ASSERT_EQUAL(got, asked);
	gnutls_deinit(f.tls);
	world_end(&v);
}

static void
test_new_keys(void)
{
	for (unsigned seed = 1; seed <= 4; seed++) {
		speak(seed, V13, true);
		speak(seed, V13, false);
	}
}

static void
test_tls12(void)
{
	for (unsigned seed = 1; seed <= 2; seed++) {
		speak(seed, "NORMAL:-VERS-ALL:+VERS-TLS1.2", true);
		speak(seed, "NORMAL:-VERS-ALL:+VERS-TLS1.2", false);
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "waits for others who speak TLS", test_waits_for_tls },
		{ "clear before TLS", test_clear_before_tls },
	{ "handshakes of others", test_handshakes_of_others },
		{ "new keys while a socket takes little", test_new_keys },
		{ "TLS 1.2 while a socket takes little", test_tls12 },
		CU_TEST_INFO_NULL,
	};
	gnutls_global_init();
	unsigned failed = (unsigned)cunit_main("stream_tls", tests);
	tls_credentials_free(&credentials);
	gnutls_certificate_free_credentials(trust_anybody);
	return (int)failed;
}
