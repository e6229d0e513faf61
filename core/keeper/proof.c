/* SPDX-License-Identifier: Apache-2.0 */
/* One login of one session: mechanism, step, answer. */
#include <config.h>

#include "proof.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "lend.h"
#include "scram.h"
#include "ssh_certificate.h"

#define ROUNDS 1000 /* of PBKDF2 in one turn of the loop: half a millisecond */

struct proof {
	const struct mechanism *mechanism;
	unsigned step; /* the next one */
	bool dead;     /* nothing more is proved for this session */
	bool signed_tls;
	struct scram scram;
	struct scram_derivation *derivation;
	struct live *next;   /* deriving after this one */
	uint32_t id;         /* of the request that waits for it */
};

struct challenge {
	struct keeper *k;
	struct live *s;
	struct proof *p;
	const struct credential *who;
	struct sp_bytes in, binding;
	struct buffer *out;
	const char *why;
	bool later; /* the answer comes when the keys are there */
};

struct mechanism {
	const char *name;
	unsigned steps;
	int (*step)(struct challenge *c);
};

static int
fail(struct challenge *c, const char *why)
{
	c->why = why;
	return SP_EDENIED;
}

/* ---- mechanisms ---- */

/* The keys of an ephemeral role; NULL, and *wrong_r: the target asks for others than it was given. */
static const struct scram_keys *
lent_keys(const struct challenge *c, bool *wrong_r)
{
	const struct lent_scram *k = (const struct lent_scram *)(const void *)secret_bytes(c->who->scram).p;
	*wrong_r = false;
	if (k == NULL)
		return NULL;
	struct sp_reader r = sp_reader((struct sp_bytes){ k->iterations, sizeof(k->iterations) });
	*wrong_r = sp_rd_be32(&r) != c->p->scram.iterations ||
	    !sp_bytes_eq((struct sp_bytes){ k->salt, sizeof(k->salt) }, (struct sp_bytes){ c->p->scram.salt, c->p->scram.salt_len });
	return *wrong_r ? NULL : &k->keys;
}

static int
prove_password(struct challenge *c)
{
	if (c->who->secret == NULL)
		return fail(c, "the target wants a password, and its ephemeral role has none: pg_hba.conf must say scram-sha-256");
	if (!c->who->cleartext)
		return fail(c, "the target wants the password in clear text: `login … cleartext on`, with TLS, would allow it");
	return buffer_put(c->out, secret_bytes(c->who->secret));
}

/* The principal is the login that the session was admitted with, and nothing that the worker says. */
static int
prove_ssh_certificate(struct challenge *c)
{
	char id[400];
	const char *login = c->s->part[0] != '\0' ? c->s->part : c->who->user;
	if (c->who->ca == NULL)
		return fail(c, "its target has no key to certify with (`login … ca=`)");
	(void)snprintf(id, sizeof(id), "sallyport %.200s session %s", c->s->principal.user == NULL ? "" : c->s->principal.user, c->s->name);
	const struct ssh_certificate want = { .key = c->in, .principal = login, .id = id, .from = c->who->from,
		.forwarding = c->who->forwarding, .now = clock_wall_us() / 1000000u };
	return ssh_certificate_sign(c->who->ca, &want, c->out, &c->why);
}

/* Step by step: its public key, then a signature, if it is for nothing else than this login with this key. */
static int
prove_ssh_key(struct challenge *c)
{
	if (c->who->ssh == NULL)
		return fail(c, "its target has no key to log in with (`login … key=`)");
	if (c->p->step == 0)
		return ssh_ca_public(c->who->ssh, c->out, &c->why);
	return ssh_login_sign(c->who->ssh, c->who->user, c->in, c->out, &c->why);
}

static void
md5_hex(struct sp_bytes a, struct sp_bytes b, char out[33])
{
	gnutls_hash_hd_t h;
	uint8_t sum[16] = { 0 };
	if (gnutls_hash_init(&h, GNUTLS_DIG_MD5) < 0 || gnutls_hash(h, a.p, a.len) < 0 || gnutls_hash(h, b.p, b.len) < 0)
		abort();
	gnutls_hash_deinit(h, sum);
	text_hex((struct sp_bytes){ sum, sizeof(sum) }, out);
	mem_wipe(sum, sizeof(sum));
}

/* "md5" md5hex(md5hex(password user) salt), as PostgreSQL has it. */
static int
prove_md5(struct challenge *c)
{
	char inner[33], outer[33];
	if (c->who->secret == NULL)
		return fail(c, "the target wants md5 of a password, and its ephemeral role has none: pg_hba.conf must say scram-sha-256");
	if (c->in.len != 4)
		return fail(c, "the target's md5 salt is not 4 bytes");
	md5_hex(secret_bytes(c->who->secret), sp_str(c->who->user), inner);
	md5_hex(sp_str(inner), c->in, outer);
	int rc = buffer_printf(c->out, "md5%s", outer);
	mem_wipe(inner, sizeof(inner));
	mem_wipe(outer, sizeof(outer));
	return rc;
}

static int
scram_answer(struct challenge *c, const struct scram_keys *keys)
{
	return scram_final(&c->p->scram, keys, c->out);
}

static struct sp_bytes
salt_of(const struct proof *p)
{
	return (struct sp_bytes){ p->scram.salt, p->scram.salt_len };
}

static void
derive_soon(struct keeper *k)
{
	(void)event_add(k->derive, &(struct timeval){ 0, 0 });
}

static int
prove_scram(struct challenge *c)
{
	struct proof *p = c->p;
	bool plus = strcmp(p->mechanism->name, "SCRAM-SHA-256-PLUS") == 0;
	if (p->step == 0)
		return scram_first(&p->scram, plus, c->binding, c->out) == SP_OK ? SP_OK :
		    fail(c, "there is no TLS channel that the login could be bound to");
	if (p->step == 2)
		return scram_server_final(&p->scram, c->in, &c->why);
	int rc = scram_server_first(&p->scram, c->in, &c->why);
	if (rc != SP_OK)
		return rc;
	bool wrong;
	const struct scram_keys *keys = lent_keys(c, &wrong);
	if (wrong)
		return fail(c, "the target asks for other keys than those that its ephemeral role was given");
	if (keys == NULL)
		keys = credentials_keys(c->k->credentials, c->who, salt_of(p), p->scram.iterations);
	if (keys != NULL)
		return scram_answer(c, keys);
	p->derivation = scram_derive_begin(secret_bytes(c->who->secret), salt_of(p), p->scram.iterations);
	p->next = c->k->deriving;
	c->k->deriving = c->s;
	c->later = true;
	derive_soon(c->k);
	return SP_OK;
}

static const struct mechanism mechanisms[] = {
	{ "SCRAM-SHA-256-PLUS", 3, prove_scram },
	{ "SCRAM-SHA-256", 3, prove_scram },
	{ "md5", 1, prove_md5 },
	{ "password", 1, prove_password },
	{ "ssh-certificate", 1, prove_ssh_certificate },
	{ "ssh-key", 2, prove_ssh_key },
};

/* ---- one request ---- */

static void
answer(struct keeper *k, struct live *s, uint32_t id, bool ok, struct sp_bytes bytes, const char *why)
{
	const struct message m = { .type = MSG_PROVED, .id = id,
		.f = { S(((struct sp_bytes){ s->id, ID_LEN })), Q(ok), S(ok ? bytes : ((struct sp_bytes){ NULL, 0 })), Z(ok ? "" : why) } };
	if (!ok)
		log_warn("session %s: no login to target %s: %s", s->name, log_quote(sp_str(s->target)), why);
	reply(k, s->worker->link, &m);
}

static int
choose(struct challenge *c, struct sp_bytes mechanism, uint64_t step)
{
	if (c->p->dead || c->p->derivation != NULL)
		return fail(c, "its login is over, or a step is under way");
	for (size_t i = 0; c->p->mechanism == NULL && i < sizeof(mechanisms) / sizeof(*mechanisms); i++) {
		if (sp_bytes_is(mechanism, mechanisms[i].name))
			c->p->mechanism = &mechanisms[i];
	}
	if (c->p->mechanism == NULL)
		return fail(c, "the mechanism is not known here");
	if (!sp_bytes_is(mechanism, c->p->mechanism->name) || step != c->p->step || step >= c->p->mechanism->steps)
		return fail(c, "the steps of its login are out of order");
	if (c->who == NULL || (c->who->secret == NULL && c->who->scram == NULL && c->who->ca == NULL && c->who->ssh == NULL))
		return fail(c, "its target has no secret (`login … secret=`)");
	if (c->who->ca != NULL && strcmp(c->p->mechanism->name, "ssh-certificate") != 0)
		return fail(c, "its target has no secret (`login … secret=`), only a key that certifies");
	if (c->who->ssh != NULL && strcmp(c->p->mechanism->name, "ssh-key") != 0)
		return fail(c, "its target has no secret (`login … secret=`), only a key");
	return SP_OK;
}

int
proof_prove(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	if (s == NULL || s->state != LIVE_ADMITTED || !live_may(s)) {
		const struct message no = { .type = MSG_PROVED, .id = m->id,
			.f = { S(m->f[0].s), Q(0), Z(""), Z("the session was not admitted, has to end, or is logged in already") } };
		log_warn("worker[%u] asks for a proof that no session of its needs", link_peer_index(l));
		reply(k, l, &no);
		return SP_OK;
	}
	if (s->proof == NULL)
		s->proof = mem_alloc(sizeof(*s->proof));
	struct buffer out = { 0 };
	const struct credential *lent = lend_credential(s);
	struct challenge c = { k, s, s->proof, lent != NULL ? lent : credentials_find(k->credentials, s->target, s->use), m->f[3].s, m->f[4].s, &out,
		"no memory for a proof", false };
	int rc = choose(&c, m->f[1].s, m->f[2].q);
	if (rc == SP_OK)
		rc = s->proof->mechanism->step(&c);
	s->proof->dead = s->proof->dead || rc != SP_OK;
	s->proof->step++;
	s->proof->id = m->id;
	if (!c.later)
		answer(k, s, m->id, rc == SP_OK, buffer_bytes(&out), c.why);
	buffer_free(&out);
	return SP_OK;
}

/* ---- client certificates ---- */

/* Those that TLS 1.3 signs handshakes with (RFC 8446 section 4.2.3). */
static bool
is_tls_algorithm(uint64_t algorithm)
{
	static const gnutls_sign_algorithm_t known[] = {
		GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256,
		GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, GNUTLS_SIGN_EDDSA_ED25519,
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i] == algorithm)
			return true;
	return false;
}

/*
 * What a TLS client signs: 64 blanks, the context, NUL and a SHA-256 or SHA-384 (EdDSA), or the hash of
 * that.  A hash does not show what it is of: docs/security.md says what a worker could do with that.
 */
static bool
is_certificate_verify(uint64_t algorithm, struct sp_bytes data)
{
	static const char context[] = "TLS 1.3, client CertificateVerify"; /* its NUL counts */
	size_t head = 64 + sizeof(context);
	if (algorithm != GNUTLS_SIGN_EDDSA_ED25519)
		return data.len == gnutls_hash_get_len(gnutls_sign_get_hash_algorithm((gnutls_sign_algorithm_t)algorithm));
	if (data.len != head + 32 && data.len != head + 48)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (data.p[i] != ' ')
			return false;
	return memcmp(data.p + 64, context, sizeof(context)) == 0;
}

static int
sign_with(const struct sp_secret *pem, uint64_t algorithm, struct sp_bytes data, gnutls_datum_t *out_r)
{
	struct sp_bytes text = secret_bytes(pem);
	const gnutls_datum_t in = { (unsigned char *)(uintptr_t)text.p, (unsigned)text.len };
	const gnutls_datum_t what = { (unsigned char *)(uintptr_t)data.p, (unsigned)data.len };
	gnutls_privkey_t key;
	if (gnutls_privkey_init(&key) < 0)
		return SP_ENOMEM;
	int rc = gnutls_privkey_import_x509_raw(key, &in, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc >= 0 && algorithm != GNUTLS_SIGN_EDDSA_ED25519)
		rc = gnutls_privkey_sign_hash2(key, (gnutls_sign_algorithm_t)algorithm, 0, &what, out_r);
	else if (rc >= 0)
		rc = gnutls_privkey_sign_data2(key, (gnutls_sign_algorithm_t)algorithm, 0, &what, out_r);
	gnutls_privkey_deinit(key);
	return rc < 0 ? SP_EDENIED : SP_OK;
}

int
proof_tls_sign(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	const struct credential *who = s == NULL || s->state != LIVE_ADMITTED || !live_may(s) ? NULL :
	    credentials_find(k->credentials, s->target, OF_LOGIN);
	gnutls_datum_t signature = { NULL, 0 };
	if (s != NULL && s->proof == NULL)
		s->proof = mem_alloc(sizeof(*s->proof));
	bool may = who != NULL && who->key != NULL && !s->proof->signed_tls && is_tls_algorithm(m->f[1].q) &&
	    is_certificate_verify(m->f[1].q, m->f[2].s);
	int rc = may ? sign_with(who->key, m->f[1].q, m->f[2].s, &signature) : SP_EDENIED;
	if (may)
		s->proof->signed_tls = true;
	else
		log_warn("worker[%u] asks for a signature that no login of its needs", link_peer_index(l));
	const struct message out = { .type = MSG_TLS_SIGNED, .id = m->id,
		.f = { S(m->f[0].s), Q(rc == SP_OK), S(((struct sp_bytes){ signature.data, signature.size })) } };
	reply(k, l, &out);
	gnutls_free(signature.data);
	return SP_OK;
}

/* ---- deriving ---- */

static void
unlink_deriving(struct keeper *k, struct live *s)
{
	for (struct live **at = &k->deriving; *at != NULL; at = &(*at)->proof->next) {
		if (*at == s) {
			*at = s->proof->next;
			return;
		}
	}
}

static void
derived(struct keeper *k, struct live *s, const struct scram_keys *keys)
{
	struct proof *p = s->proof;
	struct buffer out = { 0 };
	const struct credential *who = credentials_find(k->credentials, s->target, s->use);
	scram_derive_end(&p->derivation);
	if (who != NULL)
		credentials_keep(k->credentials, who, salt_of(p), p->scram.iterations, (struct sp_bytes){ keys->client, sizeof(*keys) });
	int rc = scram_final(&p->scram, keys, &out);
	p->dead = p->dead || rc != SP_OK;
	answer(k, s, p->id, rc == SP_OK, buffer_bytes(&out), "no memory for a proof");
	buffer_free(&out);
}

/* One slice of the oldest, which then stands last: nobody's million rounds delay another's thousands. */
void
proof_derive(struct keeper *k)
{
	struct live **at = &k->deriving;
	struct scram_keys keys;
	while (*at != NULL && (*at)->proof->next != NULL)
		at = &(*at)->proof->next;
	struct live *s = *at;
	if (s == NULL)
		return;
	*at = NULL;
	if (scram_derive_step(s->proof->derivation, ROUNDS, &keys)) {
		derived(k, s, &keys);
	} else {
		s->proof->next = k->deriving;
		k->deriving = s;
	}
	mem_wipe(&keys, sizeof(keys));
	if (k->deriving != NULL)
		derive_soon(k);
}

bool
proof_under_way(const struct live *s)
{
	const struct proof *p = s->proof;
	return p != NULL && !p->dead && p->mechanism != NULL && (p->step < p->mechanism->steps || p->derivation != NULL);
}

void
proof_end(struct keeper *k, struct live *s)
{
	if (s->proof == NULL)
		return;
	if (s->proof->derivation != NULL)
		unlink_deriving(k, s);
	scram_derive_end(&s->proof->derivation);
	scram_clear(&s->proof->scram);
	mem_wipe(s->proof, sizeof(*s->proof));
	free(s->proof);
	s->proof = NULL;
}
