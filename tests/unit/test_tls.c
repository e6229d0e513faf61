/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on a stream (tls.c) over socketpairs, with certificates made here: whom it trusts, which versions and
 * protocols it speaks, peers that lie, stop or send something else, a key that is the keeper's, and what
 * stays in memory.  Either end may be GnuTLS alone, to say what our own end never would.
 */
#include <config.h>
#include "cunit_main.h"

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/tls.h"

#ifdef SANITIZED
#define OWN_ALLOCATOR false
#else
#define OWN_ALLOCATOR true /* wipe.c */
#endif
#define ROUNDS 64
#define DAY 86400

/* ---- certificates ---- */

struct party {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
	char cert[4096], pem[2048]; /* PEM; pem: the key */
};

static struct party authority, other_authority, good, expired, future, stray, client, twin;

static void
pem_of(gnutls_datum_t d, char *to, size_t room)
{
	CU_ASSERT_FATAL(d.size < room);
	memcpy(to, d.data, d.size);
	to[d.size] = '\0';
	gnutls_free(d.data);
}

/* name "": an authority; from, until: days from now. */
static void
party_make(struct party *id, const struct party *issuer, const char *name, int from, int until)
{
	static uint8_t serial = 1;
	static const uint8_t loopback[] = { 127, 0, 0, 1 };
	gnutls_datum_t d;
	time_t now = time(NULL);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_init(&id->key), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_generate(id->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_init(&id->crt), 0);
	(void)gnutls_x509_crt_set_version(id->crt, 3);
	(void)gnutls_x509_crt_set_serial(id->crt, &serial, 1);
	serial++;
	(void)gnutls_x509_crt_set_activation_time(id->crt, now + from * DAY);
	(void)gnutls_x509_crt_set_expiration_time(id->crt, now + until * DAY);
	const char *cn = name[0] == '\0' ? (issuer == NULL ? "Tests" : "Others") : name;
	(void)gnutls_x509_crt_set_dn_by_oid(id->crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)strlen(cn));
	(void)gnutls_x509_crt_set_basic_constraints(id->crt, name[0] == '\0', -1);
	if (name[0] != '\0') {
		(void)gnutls_x509_crt_set_subject_alt_name(id->crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_SET);
		(void)gnutls_x509_crt_set_subject_alt_name(id->crt, GNUTLS_SAN_IPADDRESS, loopback, 4, GNUTLS_FSAN_APPEND);
	}
	(void)gnutls_x509_crt_set_key(id->crt, id->key);
	const struct party *by = name[0] == '\0' ? id : issuer;
	uint8_t key_id[32];
	size_t n = sizeof(key_id);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_get_key_id(by->key, 0, key_id, &n), 0);
	(void)gnutls_x509_crt_set_authority_key_id(id->crt, key_id, n);
	if (by == id)
		(void)gnutls_x509_crt_set_subject_key_id(id->crt, key_id, n);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_sign2(id->crt, by->crt, by->key, GNUTLS_DIG_SHA384, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_PEM, &d), 0);
	pem_of(d, id->cert, sizeof(id->cert));
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export2_pkcs8(id->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d), 0);
	pem_of(d, id->pem, sizeof(id->pem));
}

static void
test_setup(void)
{
	party_make(&authority, NULL, "", -10, 10);
	party_make(&other_authority, &authority, "", -10, 10);
	party_make(&good, &authority, "db.test", -1, 1);
	party_make(&expired, &authority, "db.test", -3, -1);
	party_make(&future, &authority, "db.test", 2, 3);
	party_make(&stray, &other_authority, "db.test", -1, 1);
	party_make(&client, &authority, "gate", -1, 1);
	party_make(&twin, NULL, "", -10, 10);
}

static void
test_clean(void)
{
	struct party *const all[] = { &authority, &other_authority, &good, &expired, &future, &stray, &client, &twin };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		gnutls_x509_crt_deinit(all[i]->crt);
		gnutls_x509_privkey_deinit(all[i]->key);
	}
}

/* ---- credentials ---- */

static struct epoch_file file[4];
static struct epoch epoch = { .files = file };

static void
put(const char *path, const char *text)
{
	file[epoch.nfiles++] = (struct epoch_file){ .path = path, .content = sp_str(text) };
}

static int
server_of(const char *cert, const char *key, struct tls_credentials **c_r, const char **err_r)
{
	const struct tls_settings t = { .cert = "/c.pem", .key = "/k.pem" };
	epoch.nfiles = 0;
	if (cert != NULL)
		put("/c.pem", cert);
	if (key != NULL)
		put("/k.pem", key);
	return tls_credentials_server(&epoch, &t, c_r, err_r);
}

static const char *lists; /* of revoked certificates; NULL: none are looked at */

static int
client_of(const char *ca, const char *cert, struct tls_credentials **c_r, const char **err_r)
{
	const struct target t = { .tls = { .ca = "/ca.pem", .crl = lists == NULL ? "" : "/crl.pem" }, .login = { .cert = cert == NULL ? "" : "/mine.pem" } };
	epoch.nfiles = 0;
	if (ca != NULL)
		put("/ca.pem", ca);
	if (cert != NULL)
		put("/mine.pem", cert);
	if (lists != NULL)
		put("/crl.pem", lists);
	return tls_credentials_client(&epoch, &t, c_r, err_r);
}

static struct tls_credentials *made;
static const char *err;

static void
refused(int rc, const char *expected)
{
	CU_ASSERT_EQUAL(rc, SP_ECONF);
	CU_ASSERT_PTR_NULL(made);
	if (err == NULL || strstr(err, expected) == NULL)
		printf("\n  wanted \"%s\" in \"%s\"\n", expected, err == NULL ? "" : err);
	CU_ASSERT_FATAL(err != NULL && strstr(err, expected) != NULL);
}

/* What can't be used is refused by name, before anybody connects. */
static void
test_credentials(void)
{
	static const char garbage[] = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
	static char many[20 * sizeof(client.cert)];
	refused(server_of("no certificate", good.pem, &made, &err), "/c.pem");
	refused(server_of(good.cert, stray.pem, &made, &err), "/c.pem"); /* somebody else's key */
	refused(server_of(good.cert, NULL, &made, &err), "/c.pem");
	refused(server_of(NULL, NULL, &made, &err), "/c.pem");
	refused(server_of(good.cert, "", &made, &err), "/c.pem");
	refused(client_of(garbage, NULL, &made, &err), "/ca.pem");
	refused(client_of("", NULL, &made, &err), "/ca.pem"); /* trusts nobody: no target could ever be reached */
	refused(client_of(NULL, NULL, &made, &err), "/ca.pem");
	refused(client_of(good.pem, NULL, &made, &err), "/ca.pem"); /* a key is no authority */
	refused(client_of(authority.cert, garbage, &made, &err), "/mine.pem");
	refused(client_of(authority.cert, client.pem, &made, &err), "/mine.pem");
	for (unsigned i = 0; i < 18; i++)
		(void)strncat(many, client.cert, sizeof(many) - strlen(many) - 1);
	refused(client_of(authority.cert, many, &made, &err), "/mine.pem"); /* more than a chain has */
	tls_credentials_free(&made); /* nothing: harmless */
}

/* ---- two ends ---- */

struct end {
	struct tls_credentials *c;
	struct tls *tls;
	int fd, rc; /* rc of the last tls_handshake() */
	const char *err;
};
static struct end server, us;

static void
pair(int fd_r[2])
{
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd_r), 0);
}

static void
server_begin(const struct party *id, int fd, const struct tls_start *start)
{
	server = (struct end){ .fd = fd };
	CU_ASSERT_EQUAL_FATAL(server_of(id->cert, id->pem, &server.c, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(tls_new(server.c, fd, start, &server.tls), SP_OK);
}

static void
client_begin(const char *ca, int fd, const struct tls_start *start)
{
	us = (struct end){ .fd = fd };
	CU_ASSERT_EQUAL_FATAL(client_of(ca, start->sign == NULL ? NULL : client.cert, &us.c, &err), SP_OK);
	CU_ASSERT_EQUAL_FATAL(tls_new(us.c, fd, start, &us.tls), SP_OK);
}

static void
shake(struct end *e)
{
	bool wants_write;
	if (e->tls != NULL && e->rc == 0)
		e->rc = tls_handshake(e->tls, &wants_write, &e->err);
	if (e->rc < 0 && e->fd >= 0) { /* as a stream does */
		close(e->fd);
		e->fd = -1;
	}
}

static void
end_close(struct end *e)
{
	tls_free(&e->tls);
	tls_credentials_free(&e->c);
	if (e->fd >= 0)
		close(e->fd);
	*e = (struct end){ .fd = -1 };
}

static void
both_close(void)
{
	end_close(&server);
	end_close(&us);
}

static void
both(const struct party *id, const struct tls_start *s, const char *ca, const struct tls_start *c)
{
	int fd[2];
	pair(fd);
	server_begin(id, fd[0], s);
	client_begin(ca, fd[1], c);
	for (unsigned i = 0; i < ROUNDS && server.rc >= 0 && us.rc >= 0; i++) {
		shake(&us);
		shake(&server);
	}
	shake(&server); /* hears why */
	shake(&us);
}

static void
says(const struct end *e, const char *expected)
{
	CU_ASSERT_EQUAL(e->rc, SP_EPROTO);
	CU_ASSERT_FALSE(tls_ready(e->tls));
	if (e->err == NULL || strstr(e->err, expected) == NULL)
		printf("\n  wanted \"%s\" in \"%s\"\n", expected, e->err == NULL ? "" : e->err);
	CU_ASSERT(e->err != NULL && strstr(e->err, expected) != NULL);
}

#define VERIFY(host) (&(struct tls_start){ .name = host, .verify = true })
#define PLAIN (&(struct tls_start){ .alpn = NULL })

static void
test_good(void)
{
	char text[64];
	gnutls_datum_t der;
	uint8_t hash[48];
	const struct tls_start s = { .alpn = "postgresql", .must_alpn = true },
		c = { .alpn = "postgresql", .must_alpn = true, .name = "db.test", .verify = true };
	both(&good, &s, authority.cert, &c);
	CU_ASSERT_FATAL(server.rc == 1 && us.rc == 1 && tls_ready(server.tls) && tls_ready(us.tls));
	CU_ASSERT_STRING_EQUAL(tls_alpn(server.tls), "postgresql");
	CU_ASSERT_STRING_EQUAL(tls_alpn(us.tls), "postgresql");
	CU_ASSERT_EQUAL(tls_read(server.tls, text, sizeof(text)), -1); /* nothing yet */
	CU_ASSERT_EQUAL(tls_write(us.tls, "select 1", 8), 8);
	CU_ASSERT_EQUAL(tls_read(server.tls, text, 6), 6);
	CU_ASSERT(memcmp(text, "select", 6) == 0 && tls_pending(server.tls)); /* the socket won't tell of the rest */
	CU_ASSERT_EQUAL(tls_read(server.tls, text, sizeof(text)), 2);
	CU_ASSERT_FALSE(tls_pending(server.tls));
	/* RFC 5929: by the hash of the certificate's own signature, here SHA-384 */
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(good.crt, GNUTLS_X509_FMT_DER, &der), 0);
	CU_ASSERT_EQUAL(gnutls_hash_fast(GNUTLS_DIG_SHA384, der.data, der.size, hash), 0);
	gnutls_free(der.data);
	CU_ASSERT(sp_bytes_eq(tls_end_point(us.tls), (struct sp_bytes){ hash, sizeof(hash) }));
	tls_bye(us.tls);
	CU_ASSERT_EQUAL(tls_read(server.tls, text, sizeof(text)), 0);
	both_close();
	both(&good, PLAIN, authority.cert, VERIFY("127.0.0.1")); /* an address among its names */
	CU_ASSERT(server.rc == 1 && us.rc == 1 && tls_alpn(us.tls)[0] == '\0');
	both_close();
}

/* Whom we dial has to prove that it is the one: else nothing of ours is told to it. */
static void
test_not_trusted(void)
{
	const struct { const struct party *id; const char *host, *why; } row[] = {
		{ &good, "other.test", "name in the certificate does not match" }, { &good, "127.0.0.2", "name in the certificate does not match" },
		{ &good, "", "name in the certificate does not match" }, { &good, "db.test.evil.test", "name in the certificate does not match" },
		{ &expired, "db.test", "expired" }, { &future, "db.test", "not yet valid" }, { &stray, "db.test", "issuer is unknown" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		both(row[i].id, PLAIN, authority.cert, VERIFY(row[i].host));
		says(&us, "the server's certificate is not trusted: ");
		says(&us, row[i].why);
		CU_ASSERT(server.rc < 0 && !tls_ready(server.tls)); /* it was told no */
		CU_ASSERT_EQUAL(tls_write(us.tls, "secret", 6), -2);
		both_close();
	}
	/* only where the operator said so (`tls require`) */
	both(&stray, PLAIN, authority.cert, &(struct tls_start){ .name = "db.test" });
	CU_ASSERT(server.rc == 1 && us.rc == 1);
	both_close();
}

/* Signed by this one; revoked: NULL for nobody; from, until: days from now. */
static void
lists_make(const struct party *by, const struct party *revoked, int from, int until)
{
	static char text[4096];
	gnutls_x509_crl_t crl;
	gnutls_datum_t d;
	time_t now = time(NULL);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crl_init(&crl), 0);
	(void)gnutls_x509_crl_set_version(crl, 2);
	(void)gnutls_x509_crl_set_this_update(crl, now + from * DAY);
	(void)gnutls_x509_crl_set_next_update(crl, now + until * DAY);
	if (revoked != NULL)
		CU_ASSERT_EQUAL(gnutls_x509_crl_set_crt(crl, revoked->crt, now), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crl_sign2(crl, by->crt, by->key, GNUTLS_DIG_SHA384, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &d), 0);
	pem_of(d, text, sizeof(text));
	gnutls_x509_crl_deinit(crl);
	lists = text;
}

static void
test_revoked(void)
{
	const struct { const struct party *revoked; int from, until; const char *why; } row[] = {
		{ NULL, -1, 1, NULL }, { &client, -1, 1, NULL }, { &good, -1, 1, "was revoked by its issuer" },
		{ NULL, -3, -1, "is out of date" }, { NULL, 1, 3, "is out of date" }, { &good, -3, -1, "was revoked by its issuer" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		lists_make(&authority, row[i].revoked, row[i].from, row[i].until);
		both(&good, PLAIN, authority.cert, VERIFY("db.test"));
		if (row[i].why == NULL) {
			CU_ASSERT(server.rc == 1 && us.rc == 1);
		} else {
			says(&us, "the server's certificate is not trusted: ");
			says(&us, row[i].why);
			CU_ASSERT(server.rc < 0 && !tls_ready(server.tls));
			CU_ASSERT_EQUAL(tls_write(us.tls, "secret", 6), -2);
		}
		both_close();
	}
	lists = NULL;
}

/* An authority that gets a new key keeps its name: each one's list is about its own certificates alone. */
static void
test_twins(void)
{
	const struct { const struct party *by[2], *revoked; const char *why; } row[] = {
		{ { &authority, &twin }, NULL, NULL }, { { &twin, &authority }, &good, NULL }, { { &authority, NULL }, NULL, NULL },
		{ { &twin, NULL }, NULL, "no list of revoked certificates (crl=) of the certificate's issuer" },
		{ { &twin, &authority }, &client, NULL },
	};
	char ca[sizeof(twin.cert) * 2], both_lists[8192];
	for (size_t i = 0; i < 2 * sizeof(row) / sizeof(*row); i++) {
		const size_t k = i / 2;
		(void)snprintf(ca, sizeof(ca), "%s%s", i % 2 == 0 ? twin.cert : authority.cert, i % 2 == 0 ? authority.cert : twin.cert);
		both_lists[0] = '\0';
		for (size_t j = 0; j < 2 && row[k].by[j] != NULL; j++) {
			const size_t at = strlen(both_lists);
			lists_make(row[k].by[j], row[k].by[j] == &twin ? row[k].revoked : NULL, -1, 1);
			(void)snprintf(both_lists + at, sizeof(both_lists) - at, "%s", lists);
		}
		lists = both_lists;
		both(&good, PLAIN, ca, VERIFY("db.test"));
		if (row[k].why == NULL)
			CU_ASSERT(server.rc == 1 && us.rc == 1);
		if (row[k].why != NULL)
			says(&us, row[k].why);
		both_close();
	}
	lists = NULL;
}

/* What is no list, or somebody else's, is no credentials. */
static void
test_lists(void)
{
	struct tls_credentials *c;
	lists_make(&other_authority, NULL, -1, 1);
	CU_ASSERT_EQUAL(client_of(authority.cert, NULL, &c, &err), SP_ECONF);
	CU_ASSERT_PTR_NULL(c);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "none of the authorities of ca= has signed"));
	CU_ASSERT_EQUAL(client_of(other_authority.cert, NULL, &c, &err), SP_OK);
	tls_credentials_free(&c);
	lists = authority.cert;
	CU_ASSERT_EQUAL(client_of(authority.cert, NULL, &c, &err), SP_ECONF);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "holds no list"));
	lists = "";
	CU_ASSERT_EQUAL(client_of(authority.cert, NULL, &c, &err), SP_ECONF);
	lists = NULL;
}

/* To verify and not to say whom is no way to trust everybody. */
static void
test_no_name(void)
{
	int fd[2];
	struct tls_credentials *c;
	struct tls *t;
	pair(fd);
	CU_ASSERT_EQUAL_FATAL(client_of(authority.cert, NULL, &c, &err), SP_OK);
	CU_ASSERT_EQUAL(tls_new(c, fd[0], VERIFY(NULL), &t), SP_EINTERNAL);
	CU_ASSERT_PTR_NULL(t);
	tls_free(&t);
	tls_credentials_free(&c);
	close(fd[0]);
	close(fd[1]);
}

static void
test_alpn(void)
{
	const struct tls_start pg = { .alpn = "postgresql", .name = "db.test", .verify = true },
		must = { .alpn = "postgresql", .must_alpn = true, .name = "db.test", .verify = true },
		http = { .alpn = "http/1.1", .name = "db.test", .verify = true };
	both(&good, &must, authority.cert, &http); /* ALPACA: what was meant for another protocol */
	CU_ASSERT(server.rc < 0 && !tls_ready(server.tls));
	says(&us, "the peer refused the handshake");
	both_close();
	both(&good, &must, authority.cert, VERIFY("db.test")); /* names none, where that alone tells the protocol */
	says(&server, "did not choose the protocol that was asked for by ALPN");
	both_close();
	both(&good, PLAIN, authority.cert, &must);
	says(&us, "did not choose the protocol that was asked for by ALPN");
	both_close();
	both(&good, PLAIN, authority.cert, &pg); /* where it was agreed on in other ways */
	CU_ASSERT(server.rc == 1 && us.rc == 1);
	both_close();
}

/* ---- GnuTLS alone at the other end ---- */

struct raw {
	gnutls_session_t session;
	gnutls_certificate_credentials_t x509;
	int rc;
};

static void
raw_begin(struct raw *r, unsigned flags, const char *priority, int fd)
{
	*r = (struct raw){ .rc = GNUTLS_E_AGAIN };
	CU_ASSERT_EQUAL_FATAL(gnutls_certificate_allocate_credentials(&r->x509), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_init(&r->session, flags | GNUTLS_NONBLOCK), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_priority_set_direct(r->session, priority, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_credentials_set(r->session, GNUTLS_CRD_CERTIFICATE, r->x509), 0);
	gnutls_transport_set_int(r->session, fd);
}

static void
raw_shake(struct raw *r)
{
	if (r->rc != 0 && !gnutls_error_is_fatal(r->rc))
		r->rc = gnutls_handshake(r->session);
	if (r->rc != 0 && gnutls_error_is_fatal(r->rc))
		(void)gnutls_alert_send_appropriate(r->session, r->rc);
}

static void
raw_end(struct raw *r)
{
	gnutls_deinit(r->session);
	gnutls_certificate_free_credentials(r->x509);
}

static bool
client_speaks(const char *priority)
{
	int fd[2];
	struct raw r;
	pair(fd);
	server_begin(&good, fd[0], PLAIN);
	raw_begin(&r, GNUTLS_CLIENT, priority, fd[1]);
	for (unsigned i = 0; i < ROUNDS && server.rc == 0; i++) {
		raw_shake(&r);
		shake(&server);
	}
	bool ready = tls_ready(server.tls);
	CU_ASSERT_EQUAL(ready, server.rc == 1);
	if (!ready)
		CU_ASSERT(server.err != NULL && strstr(server.err, "TLS handshake: ") != NULL);
	raw_end(&r);
	close(fd[1]);
	end_close(&server);
	return ready;
}

static void
test_versions(void)
{
	CU_ASSERT_TRUE(client_speaks("NORMAL:-VERS-ALL:+VERS-TLS1.3"));
	CU_ASSERT_TRUE(client_speaks("NORMAL:-VERS-ALL:+VERS-TLS1.2"));
	CU_ASSERT_FALSE(client_speaks("NORMAL:-VERS-ALL:+VERS-TLS1.1"));
	CU_ASSERT_FALSE(client_speaks("NORMAL:-VERS-ALL:+VERS-TLS1.0"));
	CU_ASSERT_FALSE(client_speaks("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA")); /* without forward secrecy */
	CU_ASSERT_FALSE(client_speaks("NORMAL:-GROUP-ALL:+GROUP-FFDHE2048:-VERS-ALL:+VERS-TLS1.3"));
}

/* TLS 1.2 knows a second handshake inside the first: there is none here. */
static void
test_renegotiation(void)
{
	int fd[2];
	struct raw r;
	char text[16];
	pair(fd);
	server_begin(&good, fd[0], PLAIN);
	raw_begin(&r, GNUTLS_CLIENT, "NORMAL:-VERS-ALL:+VERS-TLS1.2", fd[1]);
	for (unsigned i = 0; i < ROUNDS && (server.rc == 0 || r.rc != 0); i++) {
		raw_shake(&r);
		shake(&server);
	}
	CU_ASSERT_EQUAL_FATAL(server.rc, 1);
	CU_ASSERT_NOT_EQUAL(gnutls_handshake(r.session), 0);
	CU_ASSERT_EQUAL(tls_read(server.tls, text, sizeof(text)), -2);
	raw_end(&r);
	close(fd[1]);
	end_close(&server);
}

/* ---- peers that are none ---- */

/* The client's first bytes, as it would send them. */
static size_t
first_bytes(uint8_t *to, size_t room, const struct tls_start *start)
{
	int fd[2];
	pair(fd);
	client_begin(authority.cert, fd[1], start);
	shake(&us);
	ssize_t n = recv(fd[0], to, room, 0);
	CU_ASSERT_FATAL(n > 100 && (size_t)n < room && us.rc == 0);
	end_close(&us);
	close(fd[0]);
	return (size_t)n;
}

static int
server_hears(const void *bytes, size_t n, bool closes)
{
	int fd[2];
	pair(fd);
	server_begin(&good, fd[0], PLAIN);
	CU_ASSERT_EQUAL(send(fd[1], bytes, n, 0), (ssize_t)n);
	if (closes)
		close(fd[1]);
	for (unsigned i = 0; i < 8; i++)
		shake(&server);
	int rc = server.rc;
	CU_ASSERT_FALSE(tls_ready(server.tls));
	if (rc < 0)
		CU_ASSERT(server.err != NULL && (strstr(server.err, "TLS handshake: ") != NULL || strstr(server.err, "refused") != NULL));
	end_close(&server);
	if (!closes)
		close(fd[1]);
	return rc;
}

static void
test_garbage(void)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: db.test\r\n\r\n", startup[] = "\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x13\0\x03\0\0user\0eve\0\0";
	uint8_t hello[4096], huge[600] = { 22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff }, alert[] = { 21, 3, 3, 0, 2, 2, 40 };
	size_t n = first_bytes(hello, sizeof(hello), VERIFY("db.test"));
	CU_ASSERT_EQUAL(server_hears(http, sizeof(http) - 1, false), SP_EPROTO);
	CU_ASSERT_EQUAL(server_hears(startup, sizeof(startup) - 1, false), SP_EPROTO);
	CU_ASSERT_EQUAL(server_hears(huge, sizeof(huge), false), SP_EPROTO); /* a record that no TLS has */
	CU_ASSERT_EQUAL(server_hears(alert, sizeof(alert), false), SP_EPROTO);
	for (size_t cut = 0; cut < n; cut += cut < 64 ? 1 : 7) {
		CU_ASSERT_EQUAL(server_hears(hello, cut, false), 0); /* it waits: the deadline is the session's */
		CU_ASSERT_EQUAL(server_hears(hello, cut, true), SP_EPROTO);
	}
	CU_ASSERT_EQUAL(server_hears(hello, n, true), SP_EPROTO); /* leaves after its hello */
	for (size_t at = 5; at < n; at += 3) {
		hello[at] ^= 0x55;
		(void)server_hears(hello, n, false); /* never ready, whatever that byte was */
		hello[at] ^= 0x55;
	}
}

/* A man in the middle changes a byte of what the server proves itself with. */
static void
test_tampered(void)
{
	static uint8_t flight[8192];
	for (unsigned back = 1; back < 400; back += 13) {
		int near[2], far[2];
		pair(near);
		pair(far);
		client_begin(authority.cert, near[1], VERIFY("db.test"));
		shake(&us);
		server_begin(&good, far[1], PLAIN);
		ssize_t n = recv(near[0], flight, sizeof(flight), 0);
		CU_ASSERT_EQUAL(send(far[0], flight, (size_t)n, 0), n);
		shake(&server);
		n = recv(far[0], flight, sizeof(flight), 0);
		CU_ASSERT_FATAL(n > 500);
		flight[n - (ssize_t)back] ^= 1;
		CU_ASSERT_EQUAL(send(near[0], flight, (size_t)n, 0), n);
		for (unsigned i = 0; i < 8; i++)
			shake(&us);
		CU_ASSERT_NOT_EQUAL(us.rc, 1);
		CU_ASSERT_FALSE(tls_ready(us.tls));
		both_close();
		close(near[0]);
		close(far[0]);
	}
}

/* Every byte alone, both ways; and a hello of which a part was read before the handshake began. */
static void
test_bytewise(void)
{
	int near[2], far[2];
	uint8_t c;
	pair(near);
	pair(far);
	client_begin(authority.cert, near[1], VERIFY("db.test"));
	server_begin(&good, far[1], PLAIN);
	for (unsigned i = 0; i < 16384 && (us.rc == 0 || server.rc == 0); i++) {
		shake(&us);
		shake(&server);
		if (recv(near[0], &c, 1, 0) == 1)
			CU_ASSERT_EQUAL(send(far[0], &c, 1, 0), 1);
		if (recv(far[0], &c, 1, 0) == 1)
			CU_ASSERT_EQUAL(send(near[0], &c, 1, 0), 1);
	}
	CU_ASSERT(us.rc == 1 && server.rc == 1);
	both_close();
	close(near[0]);
	close(far[0]);
}

static void
test_early(void)
{
	uint8_t hello[4096];
	int fd[2];
	pair(fd);
	client_begin(authority.cert, fd[1], VERIFY("db.test"));
	shake(&us);
	CU_ASSERT_EQUAL_FATAL(recv(fd[0], hello, 50, 0), 50); /* "is it TLS?" */
	server_begin(&good, fd[0], &(struct tls_start){ .early = { hello, 50 } });
	memset(hello, 0, sizeof(hello)); /* it has its own copy */
	for (unsigned i = 0; i < ROUNDS && (us.rc == 0 || server.rc == 0); i++) {
		shake(&server);
		shake(&us);
	}
	CU_ASSERT(us.rc == 1 && server.rc == 1);
	both_close();
}

/* Records that came with another one are not lost when somebody else reads between them, nor with a reader that goes. */
static void
test_read_ahead(void)
{
	const struct tls_start ahead = { .reads_ahead = true };
	char text[64];
	both(&good, &ahead, authority.cert, VERIFY("db.test"));
	struct end first_us = us, first = server;
	both(&good, &ahead, authority.cert, VERIFY("db.test"));
	CU_ASSERT_FATAL(first.rc == 1 && first_us.rc == 1 && us.rc == 1 && server.rc == 1);
	CU_ASSERT(tls_write(first_us.tls, "one", 3) == 3 && tls_write(first_us.tls, "two", 3) == 3 && tls_write(first_us.tls, "three", 5) == 5);
	CU_ASSERT(tls_write(us.tls, "other", 5) == 5 && tls_write(us.tls, "more", 4) == 4);
	CU_ASSERT(tls_read(first.tls, text, sizeof(text)) == 3 && memcmp(text, "one", 3) == 0 && tls_pending(first.tls));
	CU_ASSERT(tls_read(server.tls, text, sizeof(text)) == 5 && memcmp(text, "other", 5) == 0 && tls_pending(server.tls));
	CU_ASSERT(tls_pending(first.tls));
	CU_ASSERT(tls_read(first.tls, text, 2) == 2 && tls_read(first.tls, text + 2, 2) == 1 && memcmp(text, "two", 3) == 0);
	CU_ASSERT(tls_pending(first.tls));
	end_close(&server); /* with "more" unread */
	CU_ASSERT(tls_read(first.tls, text, sizeof(text)) == 5 && memcmp(text, "three", 5) == 0);
	CU_ASSERT_FALSE(tls_pending(first.tls));
	CU_ASSERT_EQUAL(tls_read(first.tls, text, sizeof(text)), -1);
	CU_ASSERT_EQUAL(tls_write(first_us.tls, "last", 4), 4);
	CU_ASSERT(tls_read(first.tls, text, sizeof(text)) == 4 && memcmp(text, "last", 4) == 0);
	end_close(&us);
	end_close(&first);
	end_close(&first_us);
}

/* What one event reads, as core/worker/stream.c does. */
static size_t
one_event(struct tls *t, uint8_t *to, size_t room)
{
	size_t got = 0;
	do {
		long n = tls_read(t, to, room);
		if (n <= 0)
			return got;
		got += (size_t)n;
	} while (tls_pending(t));
	return got;
}

/* `us`, ready, whose peer is GnuTLS alone. */
static void
raw_server(struct raw *r, int fd[2], const gnutls_datum_t *tickets)
{
	const gnutls_datum_t cert = { (unsigned char *)good.cert, (unsigned)strlen(good.cert) },
		key = { (unsigned char *)good.pem, (unsigned)strlen(good.pem) };
	pair(fd);
	raw_begin(r, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET, "NORMAL:-VERS-ALL:+VERS-TLS1.3", fd[0]);
	CU_ASSERT(gnutls_certificate_set_x509_key_mem(r->x509, &cert, &key, GNUTLS_X509_FMT_PEM) >= 0);
	CU_ASSERT_EQUAL(gnutls_session_ticket_enable_server(r->session, tickets), 0);
	client_begin(authority.cert, fd[1], &(struct tls_start){ .reads_ahead = true, .name = "db.test", .verify = true });
	for (unsigned i = 0; i < ROUNDS && us.rc == 0; i++) {
		shake(&us);
		raw_shake(r);
	}
	raw_shake(r);
	CU_ASSERT_EQUAL_FATAL(us.rc, 1);
}

/* Records without data hide none that came with them. */
static void
test_no_data_first(void)
{
	gnutls_datum_t tickets;
	uint8_t text[64];
	int fd[2];
	struct raw r;
	CU_ASSERT_EQUAL_FATAL(gnutls_session_ticket_key_generate(&tickets), 0);
	raw_server(&r, fd, &tickets);
	CU_ASSERT_EQUAL(gnutls_session_ticket_send(r.session, 2, 0), 0);
	CU_ASSERT_EQUAL(gnutls_record_send(r.session, "hello", 5), 5);
	CU_ASSERT(one_event(us.tls, text, sizeof(text)) == 5 && memcmp(text, "hello", 5) == 0);
	CU_ASSERT_EQUAL(gnutls_session_key_update(r.session, 0), 0);
	CU_ASSERT_EQUAL(gnutls_record_send(r.session, "query", 5), 5);
	CU_ASSERT(one_event(us.tls, text, sizeof(text)) == 5 && memcmp(text, "query", 5) == 0);
	raw_end(&r);
	close(fd[0]);
	end_close(&us);
	gnutls_free(tickets.data);
}

/* One who sends without end, records ending `shift` bytes behind what is read ahead, has his turn and no more. */
static void
test_endless(void)
{
	static uint8_t text[16384], to[16384];
	for (size_t shift = 0; shift < 8; shift++) {
		gnutls_datum_t tickets;
		int fd[2], big = 4 << 20;
		struct raw r;
		CU_ASSERT_EQUAL_FATAL(gnutls_session_ticket_key_generate(&tickets), 0);
		raw_server(&r, fd, &tickets);
		(void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
		for (unsigned i = 0; i < 100; i++)
			if (gnutls_record_send(r.session, text, i == 3 ? 16362 + shift : 16362) < 0)
				break;
		CU_ASSERT(one_event(us.tls, to, sizeof(to)) < 200000);
		raw_end(&r);
		close(fd[0]);
		end_close(&us);
		gnutls_free(tickets.data);
	}
}

/* ---- a client certificate whose key is elsewhere ---- */

static unsigned asked;
static int answer;

static int
sign(void *owner, unsigned algorithm, struct sp_bytes data, struct tls_signature *out_r)
{
	gnutls_privkey_t key;
	gnutls_datum_t hash = { (unsigned char *)(uintptr_t)data.p, (unsigned)data.len }, signature;
	const struct party *id = owner;
	asked++;
	if (answer != SP_OK)
		return answer;
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_init(&key), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_import_x509(key, id->key, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_sign_hash2(key, (gnutls_sign_algorithm_t)algorithm, 0, &hash, &signature), 0);
	out_r->len = signature.size;
	memcpy(out_r->bytes, signature.data, signature.size);
	gnutls_free(signature.data);
	gnutls_privkey_deinit(key);
	return SP_OK;
}

/* A target that wants to know who we are; 1: it knows. */
static int
certified(const char *priority, const struct party *signer)
{
	int fd[2];
	struct raw r;
	unsigned status = 1;
	const gnutls_datum_t cert = { (unsigned char *)good.cert, (unsigned)strlen(good.cert) },
		key = { (unsigned char *)good.pem, (unsigned)strlen(good.pem) }, ca = { (unsigned char *)authority.cert, (unsigned)strlen(authority.cert) };
	pair(fd);
	raw_begin(&r, GNUTLS_SERVER, priority, fd[0]);
	CU_ASSERT(gnutls_certificate_set_x509_key_mem(r.x509, &cert, &key, GNUTLS_X509_FMT_PEM) >= 0);
	CU_ASSERT_EQUAL(gnutls_certificate_set_x509_trust_mem(r.x509, &ca, GNUTLS_X509_FMT_PEM), 1);
	gnutls_certificate_server_set_request(r.session, GNUTLS_CERT_REQUIRE);
	client_begin(authority.cert, fd[1],
	    &(struct tls_start){ .name = "db.test", .verify = true, .sign = sign, .sign_owner = (void *)(uintptr_t)signer });
	asked = 0;
	for (unsigned i = 0; i < ROUNDS && us.rc >= 0 && (us.rc == 0 || r.rc != 0) && !(r.rc != 0 && gnutls_error_is_fatal(r.rc)); i++) {
		shake(&us);
		raw_shake(&r);
	}
	shake(&us);
	bool knows = r.rc == 0 && gnutls_certificate_verify_peers2(r.session, &status) == 0 && status == 0;
	int rc = us.rc < 0 ? us.rc : knows;
	raw_end(&r);
	close(fd[0]);
	end_close(&us);
	return rc;
}

static void
test_certified(void)
{
	answer = SP_OK;
	CU_ASSERT_EQUAL(certified("NORMAL:-VERS-ALL:+VERS-TLS1.3", &client), 1);
	CU_ASSERT_EQUAL(asked, 1); /* the keeper is asked for one proof */
	CU_ASSERT_NOT_EQUAL(certified("NORMAL:-VERS-ALL:+VERS-TLS1.3", &stray), 1); /* a signature by another key */
	answer = SP_EDENIED;
	CU_ASSERT_EQUAL(certified("NORMAL:-VERS-ALL:+VERS-TLS1.3", &client), SP_EPROTO);
	answer = SP_OK;
	CU_ASSERT_EQUAL(certified("NORMAL:-VERS-ALL:+VERS-TLS1.2", &client), SP_EPROTO);
	CU_ASSERT_EQUAL(asked, 0); /* what TLS 1.2 signs could be signed for other ends */
}

/* ---- what stays ---- */

static bool
heap_holds(const char *text, size_t n)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		unsigned long long from, to;
		if (strstr(line, "[heap]") != NULL && sscanf(line, "%llx-%llx", &from, &to) == 2)
found = memmem((void *)(uintptr_t)from, (size_t)(to - from), text, n) != NULL;
	}
	(void)fclose(f);
	return found;
}

/* Tokens come over TLS: neither the records nor what was decrypted is left when the session is over (P5). */
static void
test_wiped(void)
{
	if (!OWN_ALLOCATOR) {
		printf("(skipped: the sanitizer's own allocator keeps what it was given) ");
		return;
	}
	char text[64], canary[] = "eyJhbGciOiJFZERTQSJ9.t0p-s3cret-t0ken";
	both(&good, PLAIN, authority.cert, VERIFY("db.test"));
	CU_ASSERT_EQUAL_FATAL(us.rc, 1);
	CU_ASSERT_EQUAL(tls_write(us.tls, canary, sizeof(canary)), sizeof(canary));
	CU_ASSERT_EQUAL(tls_read(server.tls, text, 8), 8); /* the rest waits inside */
	CU_ASSERT_TRUE(heap_holds(canary + 8, sizeof(canary) - 8)); /* so the look itself is no lie */
	both_close();
	CU_ASSERT_FALSE(heap_holds(canary + 8, sizeof(canary) - 8));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "setup", test_setup }, { "certificates that cannot be used", test_credentials }, { "a good one", test_good },
		{ "not trusted", test_not_trusted }, { "revoked", test_revoked },
		{ "lists of revoked ones", test_lists }, { "lists of two of one name", test_twins }, { "to verify nobody", test_no_name }, { "ALPN", test_alpn }, { "versions", test_versions },
		{ "no second handshake", test_renegotiation }, { "no TLS at all, and half of it", test_garbage },
		{ "a changed byte", test_tampered }, { "byte by byte", test_bytewise }, { "read before the handshake", test_early },
		{ "read ahead", test_read_ahead }, { "no data first", test_no_data_first }, { "without end", test_endless },
		{ "a key that is the keeper's", test_certified }, { "wiped", test_wiped }, { "clean", test_clean }, CU_TEST_INFO_NULL,
	};
	return cunit_main("tls", tests);
}
