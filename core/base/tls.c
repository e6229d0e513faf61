/* SPDX-License-Identifier: Apache-2.0 */
/* See tls.h.  The transport is the socket itself, behind whatever was read before the handshake. */
#include <config.h>

#include "tls.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "revoked.h"

#define CHAIN_MAX 16u
#define CHAIN_BYTES (16u << 10) /* of a client's */
#define RSA_BITS 4096u          /* of a client's key */
#define RSA_EXPONENT 8u         /* bytes */
#define AHEAD (64u << 10)
#define RECORD_HEADER 5u
/* Where the keeper signs for us: TLS 1.3 alone has algorithms that sign nothing else's hashes. */
#define PRIORITY_CERTIFIED PRIORITY ":-VERS-TLS1.2"
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:%SAFE_RENEGOTIATION:-CURVE-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

struct tls_credentials {
	gnutls_certificate_credentials_t x509;
	struct revoked *revoked; /* as client; NULL: nobody asks */
	bool server, certified, asks;
	gnutls_pk_algorithm_t algorithm; /* of the client certificate's key */
	unsigned bits;
};

struct tls {
	gnutls_session_t session;
	int fd;
	tls_push *push; /* NULL: the socket */
	void *push_owner;
	struct buffer early;
	const char *must_alpn;
	tls_sign *sign;
	void *sign_owner;
	char *name; /* GnuTLS borrows it */
	const struct revoked *revoked; /* the credentials' */
	unsigned status;               /* of the peer's certificate */
	const char *refused;           /* by a list of revoked ones */
	bool ready, server, reads_ahead;
	uint8_t head[5]; /* of the record that is being read, nhead bytes of it; all are there: rest of its body */
	size_t nhead, rest;
	char alpn[33];
	uint8_t end_point[64];
	size_t end_point_len;
	char error[256];
};

static int
credentials_fail(struct tls_credentials **c, const char *path, int rc, const char **err_r)
{
	static char text[512];
	snprintf(text, sizeof(text), "certificate or key %s: %s", path, gnutls_strerror(rc));
	*err_r = text;
	tls_credentials_free(c);
	return SP_ECONF;
}

static gnutls_datum_t
file_datum(const struct epoch *e, const char *path)
{
	const struct epoch_file *f = epoch_find_file(e, path);
	return f == NULL ? (gnutls_datum_t){ NULL, 0 }
			 : (gnutls_datum_t){ (unsigned char *)f->content.p, (unsigned)f->content.len };
}

static struct tls_credentials *
credentials_new(bool server)
{
	struct tls_credentials *c = mem_alloc(sizeof(*c));
	c->server = server;
	if (gnutls_certificate_allocate_credentials(&c->x509) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

static int
credentials_keypair(struct tls_credentials *c, const struct epoch *e, const struct tls_settings *t)
{
	gnutls_datum_t cert = file_datum(e, t->cert), key = file_datum(e, t->key);
	return gnutls_certificate_set_x509_key_mem2(c->x509, &cert, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
}

int
tls_credentials_server(const struct epoch *e, const struct tls_settings *t, struct tls_credentials **c_r, const char **err_r)
{
	struct tls_credentials *c = credentials_new(true);
	*c_r = NULL;
	if (c == NULL)
		return SP_ENOMEM;
	int rc = credentials_keypair(c, e, t);
	if (rc < 0)
		return credentials_fail(&c, t->cert, rc, err_r);
	c->asks = t->certificates;
	gnutls_certificate_set_known_dh_params(c->x509, GNUTLS_SEC_PARAM_MEDIUM);
	*c_r = c;
	return SP_OK;
}

/* ---- a client certificate whose key is the keeper's ---- */

static struct tls *shaking; /* GnuTLS hands a key's callbacks the credentials, which all sessions share */

static int
key_sign(unsigned algorithm, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct tls_signature out;
	if (shaking == NULL || shaking->sign == NULL ||
	    shaking->sign(shaking->sign_owner, algorithm, (struct sp_bytes){ data->data, data->size }, &out) != SP_OK)
		return GNUTLS_E_PK_SIGN_FAILED;
	signature->data = gnutls_malloc(out.len);
	signature->size = (unsigned)out.len;
	if (signature->data == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(signature->data, out.bytes, out.len);
	return 0;
}

/* EdDSA signs the text itself. */
static int
key_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *owner, unsigned flags, const gnutls_datum_t *data,
    gnutls_datum_t *signature)
{
	(void)key, (void)owner, (void)flags;
	return key_sign(algorithm, data, signature);
}

/* For the others GnuTLS hashes it first. */
static int
key_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *owner, unsigned flags, const gnutls_datum_t *hash,
    gnutls_datum_t *signature)
{
	(void)key, (void)owner, (void)flags;
	return key_sign(algorithm, hash, signature);
}

static int
key_info(gnutls_privkey_t key, unsigned flags, void *owner)
{
	const struct tls_credentials *c = owner;
	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)c->algorithm;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)c->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), c->algorithm) ? 1 : 0;
	return -1;
}

/* GnuTLS copies the list, and owns the certificates in it, once the credentials have them. */
static int
credentials_certify(struct tls_credentials *c, const gnutls_datum_t *pem)
{
	unsigned n = CHAIN_MAX;
	gnutls_pcert_st *chain = gnutls_calloc(CHAIN_MAX, sizeof(*chain));
	gnutls_privkey_t key = NULL;
	int rc = chain == NULL ? GNUTLS_E_MEMORY_ERROR :
		gnutls_pcert_list_import_x509_raw(chain, &n, pem, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
	if (rc < 0)
		n = 0;
	else
		c->algorithm = (gnutls_pk_algorithm_t)gnutls_pubkey_get_pk_algorithm(chain[0].pubkey, &c->bits);
	if (rc >= 0)
		rc = gnutls_privkey_init(&key);
	if (rc >= 0)
		rc = gnutls_privkey_import_ext4(key, c, key_sign_data, key_sign_hash, NULL, NULL, key_info, 0);
	gnutls_certificate_set_flags(c->x509, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH); /* it would sign to find out */
	if (rc >= 0)
		rc = gnutls_certificate_set_key(c->x509, NULL, 0, chain, (int)n, key);
	if (rc >= 0)
		c->certified = true;
	for (unsigned i = 0; i < n && rc < 0; i++)
		gnutls_pcert_deinit(&chain[i]);
	if (rc < 0 && key != NULL)
		gnutls_privkey_deinit(key);
	gnutls_free(chain);
	return rc;
}

/* NULL: the system's authorities. */
static int
credentials_trust(struct tls_credentials *c, const gnutls_datum_t *ca)
{
	if (ca == NULL)
		return gnutls_certificate_set_x509_system_trust(c->x509);
	int rc = gnutls_certificate_set_x509_trust_mem(c->x509, ca, GNUTLS_X509_FMT_PEM);
	return rc == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : rc; /* how many there were: who trusts nobody reaches nobody */
}

int
tls_credentials_trust(struct sp_bytes ca, struct tls_credentials **c_r, const char **err_r)
{
	struct tls_credentials *c = credentials_new(false);
	gnutls_datum_t pem = { (unsigned char *)(uintptr_t)ca.p, (unsigned)ca.len };
	*c_r = NULL;
	if (c == NULL)
		return SP_ENOMEM;
	int rc = credentials_trust(c, ca.len == 0 ? NULL : &pem);
	if (rc < 0)
		return credentials_fail(&c, ca.len == 0 ? "of the system" : "to trust", rc, err_r);
	*c_r = c;
	return SP_OK;
}

static int
credentials_lists(struct tls_credentials *c, const struct epoch *e, const struct tls_settings *t, const char **err_r)
{
	static char text[512];
	const struct epoch_file *ca = epoch_find_file(e, t->ca), *crl = epoch_find_file(e, t->crl);
	const char *why = "is not in the epoch";
	int rc = ca == NULL || crl == NULL ? SP_ECONF : revoked_new(ca->content, crl->content, &c->revoked, &why);
	if (rc == SP_OK)
		return rc;
	(void)snprintf(text, sizeof(text), "crl=%s %s", t->crl, why);
	*err_r = text;
	return rc;
}

int
tls_credentials_client(const struct epoch *e, const struct target *t, struct tls_credentials **c_r, const char **err_r)
{
	struct tls_credentials *c = credentials_new(false);
	*c_r = NULL;
	if (c == NULL)
		return SP_ENOMEM;
	const char *path = t->tls.ca;
	gnutls_datum_t ca = file_datum(e, path);
	int rc = credentials_trust(c, path[0] == '\0' ? NULL : &ca);
	if (rc >= 0 && t->login.cert[0] != '\0') {
		gnutls_datum_t chain = file_datum(e, path = t->login.cert);
		rc = credentials_certify(c, &chain);
	}
	if (rc < 0)
		return credentials_fail(&c, path, rc, err_r);
	rc = t->tls.crl[0] == '\0' ? SP_OK : credentials_lists(c, e, &t->tls, err_r);
	if (rc != SP_OK)
		tls_credentials_free(&c);
	*c_r = c;
	return rc;
}

void
tls_credentials_free(struct tls_credentials **c)
{
	if (*c == NULL)
		return;
	gnutls_certificate_free_credentials((*c)->x509);
	revoked_free(&(*c)->revoked);
	free(*c);
	*c = NULL;
}

/* ---- transport ---- */

/*
 * What the socket gave beyond what was asked for: GnuTLS asks for a record's header and then for the rest, each of which would be
 * a system call.  One for all: who reads takes whole records, and another one's beginning goes to its `early` when somebody
 * else reads.
 */
static struct {
	struct tls *owner;
	size_t start, len;
	uint8_t p[AHEAD];
} ahead;

static size_t
ahead_take(void *to, size_t n)
{
	if (n > ahead.len)
		n = ahead.len;
	memcpy(to, ahead.p + ahead.start, n);
	ahead.start += n;
	ahead.len -= n;
	return n;
}

/* False: it is somebody else's, and full. */
static bool
ahead_turn_to(struct tls *t)
{
	if (ahead.len > 0 && buffer_put(&ahead.owner->early, (struct sp_bytes){ ahead.p + ahead.start, ahead.len }) != SP_OK)
		return false;
	ahead.owner = t;
	ahead.start = ahead.len = 0;
	return true;
}

static ssize_t
pull(struct tls *t, void *to, size_t n)
{
	struct sp_bytes early = buffer_bytes(&t->early);
	if (early.len > 0) {
		if (n > early.len)
			n = early.len;
		memcpy(to, early.p, n);
		buffer_drop(&t->early, n);
		return (ssize_t)n;
	}
	if (ahead.owner == t && ahead.len > 0)
		return (ssize_t)ahead_take(to, n);
	/* only where a record begins: or one who sends without end is never done */
	bool more = t->reads_ahead && t->ready && t->rest == 0 && t->nhead == 0 && ahead_turn_to(t);
	ssize_t got = more ? recv(t->fd, ahead.p, AHEAD, 0) : recv(t->fd, to, n, 0);
	if (got < 0)
		gnutls_transport_set_errno(t->session, errno);
	if (!more || got <= 0)
		return got;
	ahead.len = (size_t)got;
	return (ssize_t)ahead_take(to, n);
}

/* Where records begin and end in what GnuTLS was given (RFC 8446 section 5.1, RFC 5246 section 6.2.1). */
static void
follow(struct tls *t, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t k = t->rest > 0 ? t->rest : RECORD_HEADER - t->nhead;
		k = k < n ? k : n;
		if (t->rest > 0) {
			t->rest -= k;
		} else {
			memcpy(t->head + t->nhead, p, k);
			t->nhead += k;
		}
		if (t->nhead == RECORD_HEADER) {
			t->rest = (size_t)t->head[3] << 8 | t->head[4];
			t->nhead = 0;
		}
		p += k;
		n -= k;
	}
}

static ssize_t
transport_pull(gnutls_transport_ptr_t p, void *to, size_t n)
{
	struct tls *t = p;
	ssize_t got = pull(t, to, n);
	if (got > 0 && t->ready)
		follow(t, to, (size_t)got);
	return got;
}

static ssize_t
transport_push(gnutls_transport_ptr_t p, const giovec_t *iov, int n)
{
	struct tls *t = p;
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t sent = t->push != NULL ? t->push(t->push_owner, iov, (size_t)n) : sendmsg(t->fd, &m, MSG_NOSIGNAL);
	if (sent < 0)
		gnutls_transport_set_errno(t->session, errno);
	return sent;
}

static int
transport_timeout(gnutls_transport_ptr_t p, unsigned ms)
{
	(void)p;
	(void)ms;
	return 1;
}

/* What a stranger's signature may cost to check: raising to a long power takes seconds, and everybody waits (P10). */
static bool
is_cheap(gnutls_x509_crt_t crt)
{
	gnutls_datum_t modulus = { NULL, 0 }, exponent = { NULL, 0 };
	unsigned bits = 0;
	int kind = gnutls_x509_crt_get_pk_algorithm(crt, &bits);
	if (kind != GNUTLS_PK_RSA && kind != GNUTLS_PK_RSA_PSS)
		return kind >= 0 && kind != GNUTLS_PK_DSA;
	bool cheap = bits <= RSA_BITS && gnutls_x509_crt_get_pk_rsa_raw(crt, &modulus, &exponent) == 0 && exponent.size <= RSA_EXPONENT;
	gnutls_free(modulus.data);
	gnutls_free(exponent.data);
	return cheap;
}

/* Before the signature by a client's key is looked at. */
static int
on_certificate_verify(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *message)
{
	unsigned n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t crt;
	(void)type;
	(void)when;
	(void)message;
	if (incoming == 0)
		return 0;
	if (list == NULL || n == 0 || list[0].size > CHAIN_BYTES || gnutls_x509_crt_init(&crt) != 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	bool ok = gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) == 0 && is_cheap(crt);
	gnutls_x509_crt_deinit(crt);
	return ok ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* As client: who vouches for the server, for this name, and has not revoked it. */
static int
on_server_certificate(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	unsigned n = 0;
	gnutls_x509_crt_t crt;
	t->status = GNUTLS_CERT_INVALID;
	if (gnutls_certificate_verify_peers3(session, t->name, &t->status) < 0 || t->status != 0)
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	if (t->revoked == NULL)
		return 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
	t->refused = "it can't be read";
	if (list == NULL || n == 0 || gnutls_x509_crt_init(&crt) != 0)
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) == 0 &&
	    revoked_check(t->revoked, crt, clock_wall_us() / 1000000, &t->refused) == SP_OK)
		t->refused = NULL;
	gnutls_x509_crt_deinit(crt);
	return t->refused == NULL ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static void
ask_for_certificate(gnutls_session_t session)
{
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CERTIFICATE_VERIFY, GNUTLS_HOOK_PRE, on_certificate_verify);
}

static int
tls_prepare(struct tls *t, struct tls_credentials *c, const struct tls_start *start)
{
	if (gnutls_priority_set_direct(t->session, c->certified ? PRIORITY_CERTIFIED : PRIORITY, NULL) != 0 ||
	    gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, c->x509) != 0)
		return SP_EINTERNAL;
	if (start->alpn != NULL) {
		gnutls_datum_t name = { (unsigned char *)start->alpn, (unsigned)strlen(start->alpn) };
		if (gnutls_alpn_set_protocols(t->session, &name, 1, GNUTLS_ALPN_MANDATORY) != 0)
			return SP_EINTERNAL;
	}
	if (c->asks) /* the keeper says who vouches; that it has the key is looked at in the handshake */
		ask_for_certificate(t->session);
	if (!c->server && start->verify && start->name == NULL)
		return SP_EINTERNAL; /* or anybody's certificate would do */
	if (!c->server && start->name != NULL) {
		if (start->name[0] != '\0' && strspn(start->name, "0123456789.:") != strlen(start->name))
			gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, start->name, strlen(start->name));
		if (start->verify)
			gnutls_session_set_verify_function(t->session, on_server_certificate);
	}
	gnutls_session_set_ptr(t->session, t);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, transport_pull);
	gnutls_transport_set_vec_push_function(t->session, transport_push);
	gnutls_transport_set_pull_timeout_function(t->session, transport_timeout);
	gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT);
	return buffer_put(&t->early, start->early);
}

int
tls_new(struct tls_credentials *c, int fd, const struct tls_start *start, struct tls **t_r)
{
	*t_r = NULL;
	struct tls *t = mem_alloc(sizeof(*t));
	t->fd = fd;
	t->revoked = c->revoked;
	t->server = c->server;
	t->reads_ahead = start->reads_ahead;
	t->must_alpn = start->must_alpn ? start->alpn : NULL;
	t->sign = start->sign;
	t->sign_owner = start->sign_owner;
	t->name = start->name == NULL ? NULL : mem_string(sp_str(start->name));
	unsigned flags = (c->server ? GNUTLS_SERVER | GNUTLS_NO_TICKETS : GNUTLS_CLIENT | GNUTLS_NO_TICKETS) | GNUTLS_NONBLOCK;
	if (gnutls_init(&t->session, flags) != 0) {
		free(t->name);
		free(t);
		return SP_ENOMEM;
	}
	int rc = tls_prepare(t, c, start);
	if (rc != SP_OK) {
		tls_free(&t);
		return rc;
	}
	*t_r = t;
	return SP_OK;
}

void
tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	gnutls_deinit((*t)->session);
	if (ahead.owner == *t) {
		ahead.owner = NULL;
		ahead.len = 0;
	}
	free((*t)->name);
	buffer_free(&(*t)->early);
	mem_wipe(*t, sizeof(**t));
	free(*t);
	*t = NULL;
}

/* RFC 5929 section 4.1: MD5 and SHA-1 become SHA-256. */
static gnutls_digest_algorithm_t
end_point_digest(gnutls_x509_crt_t crt)
{
	int sign = gnutls_x509_crt_get_signature_algorithm(crt);
	gnutls_digest_algorithm_t d = sign < 0 ? GNUTLS_DIG_UNKNOWN : gnutls_sign_get_hash_algorithm((gnutls_sign_algorithm_t)sign);
	if (d == GNUTLS_DIG_MD5 || d == GNUTLS_DIG_SHA1)
		return GNUTLS_DIG_SHA256;
	return d;
}

static void
end_point_compute(struct tls *t)
{
	unsigned n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(t->session, &n);
	gnutls_x509_crt_t crt;
	if (list == NULL || n == 0 || gnutls_x509_crt_init(&crt) != 0)
		return;
	if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) == 0) {
		gnutls_digest_algorithm_t d = end_point_digest(crt);
		int len = gnutls_hash_get_len(d);
		if (len > 0 && (size_t)len <= sizeof(t->end_point) &&
		    gnutls_hash_fast(d, list[0].data, list[0].size, t->end_point) == 0)
			t->end_point_len = (size_t)len;
	}
	gnutls_x509_crt_deinit(crt);
}

static int
handshake_done(struct tls *t, const char **err_r)
{
	gnutls_datum_t alpn = { NULL, 0 };
	if (gnutls_alpn_get_selected_protocol(t->session, &alpn) == 0 && alpn.size < sizeof(t->alpn))
		memcpy(t->alpn, alpn.data, alpn.size);
	if (t->must_alpn != NULL && strcmp(t->must_alpn, t->alpn) != 0) {
		*err_r = "the peer did not choose the protocol that was asked for by ALPN";
		return SP_EPROTO;
	}
	if (!t->server)
		end_point_compute(t);
	t->ready = true;
	return 1;
}

static const char *
handshake_error(struct tls *t, int rc)
{
	gnutls_datum_t why = { NULL, 0 };
	if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && t->refused != NULL) {
		(void)snprintf(t->error, sizeof(t->error), "the server's certificate is not trusted: %s", t->refused);
	} else if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
	    gnutls_certificate_verification_status_print(t->status, GNUTLS_CRT_X509, &why, 0) == 0) {
		snprintf(t->error, sizeof(t->error), "the server's certificate is not trusted: %s", (const char *)why.data);
		gnutls_free(why.data);
	} else if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		snprintf(t->error, sizeof(t->error), "the peer refused the handshake: %s",
		    gnutls_alert_get_name(gnutls_alert_get(t->session)));
	} else {
		snprintf(t->error, sizeof(t->error), "TLS handshake: %s", gnutls_strerror(rc));
	}
	return t->error;
}

int
tls_handshake(struct tls *t, bool *wants_write_r, const char **err_r)
{
	*wants_write_r = false;
	shaking = t;
	int rc = gnutls_handshake(t->session);
	shaking = NULL;
	if (rc == 0)
		return handshake_done(t, err_r);
	if (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED) {
		*wants_write_r = gnutls_record_get_direction(t->session) == 1;
		return 0;
	}
	if (!gnutls_error_is_fatal(rc))
		return 0;
	*err_r = handshake_error(t, rc);
	gnutls_alert_send_appropriate(t->session, rc);
	return SP_EPROTO;
}

bool
tls_ready(const struct tls *t)
{
	return t->ready;
}

const char *
tls_alpn(const struct tls *t)
{
	return t->alpn;
}

long
tls_read(struct tls *t, void *p, size_t n)
{
	ssize_t got;
	do
		got = gnutls_record_recv(t->session, p, n);
	while ((got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) && tls_pending(t)); /* a ticket, a new key: no data, and more behind it */
	if (got >= 0)
		return got;
	if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
		return -1;
	if (got == GNUTLS_E_PREMATURE_TERMINATION)
		return 0;
	if (got == GNUTLS_E_REHANDSHAKE || gnutls_error_is_fatal((int)got))
		return -2;
	return -1;
}

bool
tls_pending(const struct tls *t)
{
	return gnutls_record_check_pending(t->session) > 0 || t->early.len > 0 || (ahead.owner == t && ahead.len > 0);
}

long
tls_write(struct tls *t, const void *p, size_t n)
{
	ssize_t sent = gnutls_record_send(t->session, p, n);
	if (sent >= 0)
		return sent;
	return sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED ? -1 : -2;
}

void
tls_pushes(struct tls *t, tls_push *push, void *owner)
{
	t->push = push;
	t->push_owner = owner;
}

void
tls_bye(struct tls *t)
{
	if (t->ready)
		(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

bool
tls_certified(const struct tls *t)
{
	unsigned n = 0;
	return t->server && t->ready && gnutls_certificate_get_peers(t->session, &n) != NULL && n > 0;
}

int
tls_client_chain(const struct tls *t, struct sp_writer *out)
{
	unsigned n = 0;
	size_t all = 0;
	const gnutls_datum_t *list = t->server && t->ready ? gnutls_certificate_get_peers(t->session, &n) : NULL;
	if (list == NULL)
		return SP_OK;
	if (n > CHAIN_MAX)
		return SP_ETOOBIG;
	for (unsigned i = 0; i < n; i++)
		if (list[i].size > CHAIN_BYTES - all || (all += list[i].size) > CHAIN_BYTES)
			return SP_ETOOBIG;
	for (unsigned i = 0; i < n; i++) {
		sp_wr_be32(out, list[i].size);
		sp_wr_put(out, (struct sp_bytes){ list[i].data, list[i].size });
	}
	return out->bad ? SP_ENOMEM : SP_OK;
}

struct sp_bytes
tls_end_point(struct tls *t)
{
	return (struct sp_bytes){ t->end_point, t->end_point_len };
}
