/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper by its messages: admission, proofs, cancel keys, approvals, the ledger, the API. */
#include <config.h>

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "core/keeper/api.h"
#include "core/keeper/approval.h"
#include "core/keeper/caller.h"
#include "core/keeper/grant.h"
#include "core/keeper/proof.h"
#include "core/keeper/row.h"
#include "core/keeper/scram.h"
#include "core/record/recording.h"

static const char conf[] =
    "local_issuer on;\n"
    "control /tmp/nowhere.sock may=mint,approve;\n"
    "store_grace 1s;\n"
    "load_module postgres;\n"
    "record { keep 90d; }\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev users=eve;"
    " login user=app secret=env:KEEPER_TEST_SECRET; databases one; limit sessions=4 per_user=2; label env=prod; }\n"
    "target hidden { protocol postgres; server 127.0.0.1:6; tls off; policy p.lua; allow groups=nobody;"
    " login user=app secret=env:KEEPER_TEST_SECRET; }\n"
    "target clear { protocol postgres; server 127.0.0.1:7; tls require; policy p.lua; allow groups=dev;"
    " login user=app secret=env:KEEPER_TEST_SECRET cleartext=on; }\n";

#include "keeper_world.h"

/* Twice %s: a folder with the keys of two client certificates. */
static const char certified[] =
    "local_issuer on;\nload_module postgres;\n"
    "target sealed { protocol postgres; server 127.0.0.1:8; policy p.lua; allow groups=dba; login user=app cert=/c key=file:%s/secret; }\n"
    "target other { protocol postgres; server 127.0.0.1:10; policy p.lua; allow groups=dba; login user=app cert=/d key=file:%s/other; }\n"
    "target orders { protocol postgres; server 127.0.0.1:9; policy p.lua; allow groups=dba; login user=app secret=env:KEEPER_TEST_SECRET; }\n";

/* ---- admission ---- */

static void
test_admit(void)
{
	start();
	new_ids();
	const struct message *m = authenticate_at(&f.worker, 0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders", "10.0.0.1:1");
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL_FATAL(m->f[1].q, SP_ADMIT);
	CU_ASSERT(sp_bytes_is(m->f[5].s, "orders"));
	CU_ASSERT(sp_bytes_is(m->f[6].s, "app"));
	struct arena *a = arena_new(0);
	struct principal p;
	CU_ASSERT_EQUAL(principal_parse(a, m->f[4].s, &p), SP_OK);
	CU_ASSERT_STRING_EQUAL(p.user, "ann");
	CU_ASSERT_STRING_EQUAL(p.identity, "local");
	CU_ASSERT_STRING_EQUAL(p.person, "ann");
	CU_ASSERT_EQUAL(p.expires, m->f[7].q);
	arena_free(&a);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.recorder, MSG_KEYS));
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.recorder, MSG_AUDIT));
	stop();
}

static void
test_refuse(void)
{
	const struct {
		const char *user, *group, *as, *target;
		enum audience audience;
		bool admit;
	} row[] = {
		{ "ann", "dba", "ann", "orders", AUDIENCE_DATA, true },
		{ "ann", "dba", "token", "orders", AUDIENCE_DATA, true },
		{ "eve", "x", "eve", "orders", AUDIENCE_DATA, true }, /* by name */
		{ "ann", "dba", "bob", "orders", AUDIENCE_DATA, false },
		{ "ann", "dba", "", "orders", AUDIENCE_DATA, false },
		{ "ann", "dba", "ANN", "orders", AUDIENCE_DATA, false },
		{ "ann", "DBA", "ann", "orders", AUDIENCE_DATA, false },
		{ "ann", NULL, "ann", "orders", AUDIENCE_DATA, false },
		{ "ann", "dba", "ann", "hidden", AUDIENCE_DATA, false },
		{ "ann", "dba", "ann", "nothing", AUDIENCE_DATA, false },
		{ "ann", "dba", "ann", "", AUDIENCE_DATA, false },
		{ "ann", "dba", "ann", "orders", AUDIENCE_API, false }, /* another audience */
	};
	start();
	new_ids();
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool yes = admitted(i, token_of(row[i].user, row[i].group, row[i].audience), row[i].as, row[i].target);
		CU_ASSERT_EQUAL(yes, row[i].admit);
		if (yes)
			closed(i);
	}
	CU_ASSERT(!admitted(40, "nonsense", "ann", "orders"));
	CU_ASSERT(!admitted(41, "", "ann", "orders"));
	stop();
}

static void
test_one_text_for_all(void)
{
	char first[64] = "", text[64];
	const char *const targets[] = { "hidden", "nothing", "orders" };
	start();
	new_ids();
	for (unsigned i = 0; i < 3; i++) {
		const struct message *m = authenticate_at(&f.worker, i, i == 2 ? "x.y.z" : token_of("ann", "dba", AUDIENCE_DATA), "ann", targets[i],
		    "10.0.0.1:1");
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		(void)snprintf(text, sizeof(text), "%.*s", 13, (const char *)m->f[2].s.p);
		if (i == 0)
			(void)snprintf(first, sizeof(first), "%s", text);
		CU_ASSERT_STRING_EQUAL(text, first);
		CU_ASSERT_EQUAL(m->f[4].s.len, 0);
		CU_ASSERT_EQUAL(m->f[7].q, 0);
	}
	stop();
}

static void
test_limits(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(!admitted(2, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders")); /* per_user=2 */
	CU_ASSERT(admitted(3, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	CU_ASSERT(admitted(4, token_of("joe", "dba", AUDIENCE_DATA), "joe", "orders"));
	CU_ASSERT(!admitted(5, token_of("kim", "dba", AUDIENCE_DATA), "kim", "orders")); /* sessions=4 */
	closed(0);
	CU_ASSERT(admitted(6, token_of("kim", "dba", AUDIENCE_DATA), "kim", "orders"));
	fake_leave(&f, &f.worker); /* its worker dies: all of them are free again */
	fake_connect(&f, &f.worker, ROLE_WORKER, 3);
	CU_ASSERT(admitted(7, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	stop();
}

static void
test_token_use(void)
{
	start();
	new_ids();
	const char *token = token_of("ann", "dba", AUDIENCE_DATA);
	const struct message *m = authenticate_at(&f.worker, 0, token, "ann", "orders", "10.0.0.1:5");
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT);
	m = authenticate_at(&f.worker, 1, token, "ann", "orders", "10.0.0.1:6");
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT);
	closed(0);
	m = authenticate_at(&f.worker, 2, token, "ann", "orders", "10.0.0.2:5"); /* stolen */
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	m = authenticate_at(&f.worker, 3, token, "ann", "orders", "[10.0.0.1]:5");
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT);
	stop();
}

static void
test_session_ids(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	/* Another worker takes the same id: its link ends, the session stays. */
	(void)authenticate_at(&f.other, 0, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders", "10.0.0.1:1");
	CU_ASSERT(f.other.gone);
	CU_ASSERT_PTR_NOT_NULL(live_find(&f.k, id(0)));
	stop();
	start();
	new_ids();
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(SP_LIT("short")), Q(1), Z("x"), Z("a"), Z("b"), Z(""), Z("1.1.1.1:1"),
	    Z("postgres"), Q(1) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
	CU_ASSERT(f.worker.gone);
	stop();
}

/* ---- proofs ---- */

static const struct message *
prove_from(struct peer *w, unsigned n, const char *mechanism, uint64_t step, const char *transcript, const char *binding)
{
	struct message m = { .type = MSG_PROVE, .f = { S(id(n)), Z(mechanism), Q(step), Z(transcript), Z(binding) } };
	const struct message *r = fake_ask(&f, w, &m, MSG_PROVED);
	for (unsigned i = 0; r == NULL && i < 1000; i++) { /* keys are made in slices */
		(void)event_base_loop(f.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		r = fake_heard(w, MSG_PROVED);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	return r;
}

static const struct message *
prove(unsigned n, const char *mechanism, uint64_t step, const char *transcript)
{
	return prove_from(&f.worker, n, mechanism, step, transcript, "");
}

static void
test_md5(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	const struct message *m = prove(0, "md5", 0, "\x01\x02\x03\x04");
	CU_ASSERT_EQUAL(m->f[1].q, 1);
	/* md5(md5("pencilapp") "\1\2\3\4"), by md5sum */
	CU_ASSERT(sp_bytes_is(m->f[2].s, "md54bfca4ca571b8df74c2fc2247888d96f"));
	/* Once only. */
	m = prove(0, "md5", 0, "\x01\x02\x03\x05");
	CU_ASSERT_EQUAL(m->f[1].q, 0);
	CU_ASSERT_EQUAL(m->f[2].s.len, 0);
	CU_ASSERT(admitted(1, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	CU_ASSERT_EQUAL(prove(1, "md5", 0, "12345")->f[1].q, 0);
	stop();
}

static void
test_scram_flow(void)
{
	char server_first[512];
	start();
	new_ids();
	for (unsigned i = 0; i < 2; i++) { /* the second has its keys already */
		CU_ASSERT(admitted(i, token_of(i == 0 ? "ann" : "bob", "dba", AUDIENCE_DATA), "token", "orders"));
		const struct message *m = prove(i, "SCRAM-SHA-256", 0, "");
		CU_ASSERT_EQUAL_FATAL(m->f[1].q, 1);
		CU_ASSERT_EQUAL(memcmp(m->f[2].s.p, "n,,n=,r=", 8), 0);
		(void)snprintf(server_first, sizeof(server_first), "r=%.*sxyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", (int)(m->f[2].s.len - 8),
		    (const char *)m->f[2].s.p + 8);
		m = prove(i, "SCRAM-SHA-256", 1, server_first);
		CU_ASSERT_EQUAL(m->f[1].q, 1);
		CU_ASSERT_EQUAL(memcmp(m->f[2].s.p, "c=biws,r=", 9), 0);
		/* A server that does not know the verifier is told apart. */
		m = prove(i, "SCRAM-SHA-256", 2, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
		CU_ASSERT_EQUAL(m->f[1].q, 0);
	}
	stop();
}

/* A whole login's proof is what one makes of that password, salt and count, or the target would not let us in. */
static bool
proof_is_of(unsigned n, const char *password, const char *salt, unsigned iterations)
{
	static const size_t nonce = sizeof("n,,n=,r=") - 1;
	char server_first[512];
	struct scram s = { .salt_len = 0 };
	struct scram_keys keys;
	struct buffer first = { 0 }, last = { 0 };
	const char *why = "";
	const struct message *m = prove(n, "SCRAM-SHA-256", 0, "");
	CU_ASSERT_FATAL(m->f[1].q == 1 && m->f[2].s.len - nonce < sizeof(s.nonce));
	memcpy(s.nonce, m->f[2].s.p + nonce, m->f[2].s.len - nonce);
	(void)snprintf(server_first, sizeof(server_first), "r=%sxyz,s=%s,i=%u", s.nonce, salt, iterations);
	CU_ASSERT_EQUAL(scram_first(&s, false, (struct sp_bytes){ NULL, 0 }, &first), SP_OK);
	CU_ASSERT_EQUAL(scram_server_first(&s, sp_str(server_first), &why), SP_OK);
	struct scram_derivation *d = scram_derive_begin(sp_str(password), (struct sp_bytes){ s.salt, s.salt_len }, iterations);
	CU_ASSERT(scram_derive_step(d, iterations, &keys));
	scram_derive_end(&d);
	CU_ASSERT_EQUAL(scram_final(&s, &keys, &last), SP_OK);
	m = prove(n, "SCRAM-SHA-256", 1, server_first);
	bool is = m->f[1].q == 1 && sp_bytes_eq(m->f[2].s, buffer_bytes(&last));
	closed(n);
	buffer_free(&first);
	buffer_free(&last);
	scram_clear(&s);
	return is;
}

/* Keys are made once for a secret, a salt and a count, and for no others. */
static void
test_scram_keys(void)
{
	static const struct {
		const char *salt;
		unsigned iterations;
	} row[] = {
		{ "W22ZaJ0SNY7soEsUEjb6gQ==", 4096 }, { "W22ZaJ0SNY7soEsUEjb6gQ==", 4096 }, { "W22ZaJ0SNY7soEsUEjb6gQ==", 4097 },
		{ "AAAZaJ0SNY7soEsUEjb6gQ==", 4096 }, { "W22ZaJ0SNY7soEsUEjb6gQ==", 4096 },
	};
	const char *why = "";
	char text[4096];
	start();
	new_ids();
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CU_ASSERT(admitted(i, token_of("ann", "dba", AUDIENCE_DATA), "token", "orders"));
		CU_ASSERT(proof_is_of(i, "pencil", row[i].salt, row[i].iterations));
	}
	const struct credential *who = credentials_find(f.k.credentials, "orders", OF_LOGIN);
	const struct sp_bytes salt = { (const uint8_t *)"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", 16 };
	CU_ASSERT_PTR_NOT_NULL(credentials_keys(f.k.credentials, who, salt, 4096)); /* nothing is derived for the next one */
	CU_ASSERT_PTR_NULL(credentials_keys(f.k.credentials, who, salt, 4098));
	CU_ASSERT_PTR_NULL(credentials_keys(f.k.credentials, credentials_find(f.k.credentials, "hidden", OF_LOGIN), salt, 4096));
	(void)setenv("KEEPER_TEST_SECRET", "crayon", 1);
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; %s", f.folder, conf);
	CU_ASSERT_EQUAL(keeper_epoch(&f.k, fake_epoch(text, 2), &why), SP_OK);
	CU_ASSERT(admitted(10, token_of("ann", "dba", AUDIENCE_DATA), "token", "orders"));
	CU_ASSERT(proof_is_of(10, "crayon", row[0].salt, row[0].iterations));
	stop();
}

/* A new key in a file of the folder; its public half. */
static gnutls_pubkey_t
new_key(gnutls_pk_algorithm_t kind, const char *name)
{
	gnutls_x509_privkey_t key;
	gnutls_privkey_t abstract;
	gnutls_pubkey_t public;
	gnutls_datum_t pem;
	unsigned bits = kind == GNUTLS_PK_ECDSA ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1) : 0;
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_init(&key), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_generate(key, kind, bits, 0), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem), 0);
	fake_file(&f, name, (const char *)pem.data);
	gnutls_free(pem.data);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_init(&abstract), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_privkey_import_x509(abstract, key, GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_pubkey_init(&public), 0);
	CU_ASSERT_EQUAL_FATAL(gnutls_pubkey_import_privkey(public, abstract, 0, 0), 0);
	gnutls_privkey_deinit(abstract);
	return public;
}

/* The public key of `sealed`; *other_r: of `other`. */
static gnutls_pubkey_t
certified_start(gnutls_pk_algorithm_t kind, gnutls_pubkey_t *other_r)
{
	char text[1024];
	const char *why = "";
	(void)setenv("KEEPER_TEST_SECRET", "pencil", 1);
	fake_folder(&f);
	gnutls_pubkey_t public = new_key(kind, "secret");
	*other_r = new_key(kind, "other");
	(void)snprintf(text, sizeof(text), certified, f.folder, f.folder);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, text, &why), SP_OK);
	fake_links(&f);
	new_ids();
	return public;
}

static const struct message *
tls_sign_from(struct peer *w, unsigned n, unsigned algorithm, struct sp_bytes data)
{
	struct message m = { .type = MSG_TLS_SIGN, .f = { S(id(n)), Q(algorithm), S(data) } };
	const struct message *answer = fake_ask(&f, w, &m, MSG_TLS_SIGNED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_EQUAL(answer->id, m.id);
	CU_ASSERT_EQUAL(answer->f[2].s.len == 0, answer->f[1].q == 0);
	return answer;
}

/* What a client's CertificateVerify signs in TLS 1.3 (RFC 8446 section 4.4.3). */
static struct sp_bytes
verify_text(void)
{
	static uint8_t text[64 + 34 + 32];
	memset(text, ' ', 64);
	memcpy(text + 64, "TLS 1.3, client CertificateVerify", 34);
	memset(text + 98, 0x5a, 32);
	return (struct sp_bytes){ text, sizeof(text) };
}

/* ID13: what is signed for one target's login is of that target's key and of no other's. */
static void
test_tls_sign_by_target(void)
{
	static const char *const target[] = { "sealed", "other" };
	gnutls_pubkey_t key[2];
	uint8_t hash[32];
	memset(hash, 0x5a, sizeof(hash));
	key[0] = certified_start(GNUTLS_PK_ECDSA, &key[1]);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT(admitted(i, token_of("ann", "dba", AUDIENCE_DATA), "ann", target[i]));
		const struct message *m = tls_sign_from(&f.worker, i, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, (struct sp_bytes){ hash, sizeof(hash) });
		CU_ASSERT_EQUAL_FATAL(m->f[1].q, 1);
		const gnutls_datum_t what = { hash, sizeof(hash) }, signature = { (unsigned char *)(uintptr_t)m->f[2].s.p, (unsigned)m->f[2].s.len };
		CU_ASSERT(gnutls_pubkey_verify_hash2(key[i], GNUTLS_SIGN_ECDSA_SHA256, 0, &what, &signature) >= 0);
		CU_ASSERT(gnutls_pubkey_verify_hash2(key[1 - i], GNUTLS_SIGN_ECDSA_SHA256, 0, &what, &signature) < 0);
	}
	gnutls_pubkey_deinit(key[0]);
	gnutls_pubkey_deinit(key[1]);
	stop();
}

static void
test_tls_sign(void)
{
	gnutls_pubkey_t other, public = certified_start(GNUTLS_PK_ECDSA, &other);
	gnutls_pubkey_deinit(other);
	uint8_t hash[32];
	memset(hash, 0x5a, sizeof(hash));
	struct sp_bytes data = { hash, sizeof(hash) };
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "sealed"));
	const struct message *m = tls_sign_from(&f.worker, 0, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data);
	CU_ASSERT_EQUAL_FATAL(m->f[1].q, 1);
	const gnutls_datum_t what = { hash, sizeof(hash) }, signature = { (unsigned char *)(uintptr_t)m->f[2].s.p, (unsigned)m->f[2].s.len };
	CU_ASSERT(gnutls_pubkey_verify_hash2(public, GNUTLS_SIGN_ECDSA_SHA256, 0, &what, &signature) >= 0);
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 0, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data)->f[1].q, 0); /* once a login */
	CU_ASSERT(admitted(1, token_of("ann", "dba", AUDIENCE_DATA), "ann", "sealed"));
	CU_ASSERT_EQUAL(tls_sign_from(&f.other, 1, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data)->f[1].q, 0); /* another worker's session */
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 1, GNUTLS_SIGN_ECDSA_SHA1, data)->f[1].q, 0);
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 1, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, (struct sp_bytes){ hash, 31 })->f[1].q, 0);
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 1, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, verify_text())->f[1].q, 0); /* not a hash */
	opened(1);
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 1, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data)->f[1].q, 0); /* logged in already */
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 2, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data)->f[1].q, 0); /* nobody was admitted */
	CU_ASSERT(admitted(3, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 3, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, data)->f[1].q, 0); /* its target has no key */
	gnutls_pubkey_deinit(public);
	stop();
}

/* EdDSA signs the text itself, so it can be seen to be a handshake. */
static void
test_tls_sign_handshakes_only(void)
{
	gnutls_pubkey_t unused, public = certified_start(GNUTLS_PK_EDDSA_ED25519, &unused);
	gnutls_pubkey_deinit(unused);
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "sealed"));
	uint8_t other[64 + 34 + 32];
	for (size_t at = 0; at < 98; at += 7) {
		memcpy(other, verify_text().p, sizeof(other));
		other[at] ^= 1;
		CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 0, GNUTLS_SIGN_EDDSA_ED25519, (struct sp_bytes){ other, sizeof(other) })->f[1].q, 0);
	}
	CU_ASSERT_EQUAL(tls_sign_from(&f.worker, 0, GNUTLS_SIGN_EDDSA_ED25519, SP_LIT("pay 100 to eve"))->f[1].q, 0);
	const struct message *m = tls_sign_from(&f.worker, 0, GNUTLS_SIGN_EDDSA_ED25519, verify_text());
	CU_ASSERT_EQUAL_FATAL(m->f[1].q, 1);
	struct sp_bytes text = verify_text();
	const gnutls_datum_t what = { (unsigned char *)(uintptr_t)text.p, (unsigned)text.len },
			     signature = { (unsigned char *)(uintptr_t)m->f[2].s.p, (unsigned)m->f[2].s.len };
	CU_ASSERT(gnutls_pubkey_verify_data2(public, GNUTLS_SIGN_EDDSA_ED25519, 0, &what, &signature) >= 0);
	gnutls_pubkey_deinit(public);
	stop();
}

static void
test_proofs_refused(void)
{
	start();
	new_ids();
	CU_ASSERT_EQUAL(prove(0, "md5", 0, "abcd")->f[1].q, 0); /* nobody was admitted */
	CU_ASSERT(admitted(1, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT_EQUAL(prove_from(&f.other, 1, "md5", 0, "abcd", "")->f[1].q, 0); /* another worker's session */
	CU_ASSERT_EQUAL(prove(1, "GSSAPI", 0, "")->f[1].q, 0);
	closed(1);
	CU_ASSERT(admitted(2, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT_EQUAL(prove(2, "SCRAM-SHA-256-PLUS", 0, "")->f[1].q, 0); /* nothing to bind to */
	closed(2);
	CU_ASSERT(admitted(3, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT_EQUAL(prove(3, "password", 0, "")->f[1].q, 0); /* cleartext is off */
	closed(3);
	CU_ASSERT(admitted(4, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	opened(4);
	CU_ASSERT_EQUAL(prove(4, "md5", 0, "abcd")->f[1].q, 0); /* logged in already */
	CU_ASSERT(admitted(5, token_of("dan", "dev", AUDIENCE_DATA), "dan", "clear"));
	const struct message *m = prove(5, "password", 0, "");
	CU_ASSERT(m->f[1].q == 1 && sp_bytes_is(m->f[2].s, "pencil"));
	stop();
}

static void
test_side(void)
{
	start();
	new_ids();
	struct message side = { .type = MSG_SIDE, .f = { S(id(9)), Z("orders"), Z(""), Z("catalogue") } };
	(void)fake_ask(&f, &f.worker, &side, 0);
	CU_ASSERT_EQUAL(prove(9, "md5", 0, "abcd")->f[1].q, 0); /* no session to that target */
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	(void)fake_ask(&f, &f.worker, &side, 0);
	CU_ASSERT_EQUAL(prove(9, "md5", 0, "abcd")->f[1].q, 1);
	struct message other = { .type = MSG_SIDE, .f = { S(id(10)), Z("hidden"), Z(""), Z("catalogue") } };
	(void)fake_ask(&f, &f.worker, &other, 0);
	CU_ASSERT_EQUAL(prove(10, "md5", 0, "abcd")->f[1].q, 0);
	struct message warm = { .type = MSG_SIDE, .f = { S(id(11)), Z("orders"), Z(""), Z("warm") } };
	(void)fake_ask(&f, &f.worker, &warm, 0);
	CU_ASSERT_EQUAL(prove(11, "md5", 0, "abcd")->f[1].q, 0); /* its target has no `pool` */
	stop();
}

/* A worker that does not obey keeps what flows already, but gets nothing more for an ended session. */
static void
test_ended_sessions_get_nothing(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	live_kill(&f.k, live_find(&f.k, id(0)), SP_END_REVOKED, "a test");
	live_find(&f.k, id(1))->expires = clock_wall_us();
	for (unsigned n = 0; n < 2; n++) {
		CU_ASSERT_EQUAL(prove(n, "md5", 0, "abcd")->f[1].q, 0);
		struct message m = { .type = MSG_SIDE, .f = { S(id(8 + n)), Z("orders"), Z(""), Z("catalogue") } };
		(void)fake_ask(&f, &f.worker, &m, 0);
		CU_ASSERT_EQUAL(prove(8 + n, "md5", 0, "abcd")->f[1].q, 0);
		m = (struct message){ .type = MSG_HOLD, .f = { S(id(n)), Q(1), S(((struct sp_bytes){ (const uint8_t *)conf, DIGEST_LEN })), Z("r"),
		    S(((struct sp_bytes){ (const uint8_t *)conf, DIGEST_LEN })), Z("dba"), Q(1), Q(60000), Q(0), Z("{}"), Q(0) } };
		const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
		CU_ASSERT(r != NULL && r->f[3].q == 0);
	}
	stop();
}

/* ---- cancel ---- */

static void
cancel(struct peer *from, const char *address, uint64_t pid, struct sp_bytes key)
{
	struct message m = { .type = MSG_CANCEL, .f = { Z(address), Q(pid), S(key) } };
	fake_forget(&f.worker);
	(void)fake_ask(&f, from, &m, 0);
}

/* PG18 */
static void
test_cancel(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	struct message key = { .type = MSG_CANCEL_KEY, .f = { S(id(0)), Q(77), S(SP_LIT("abcd")) } };
	(void)fake_ask(&f, &f.worker, &key, 0);
	struct message key1 = { .type = MSG_CANCEL_KEY, .f = { S(id(1)), Q(78), S(SP_LIT("abcd")) } };
	(void)fake_ask(&f, &f.worker, &key1, 0);
	cancel(&f.other, "10.0.0.9:1", 77, SP_LIT("abcd"));
	const struct message *m = fake_heard(&f.worker, MSG_CANCELLED);
	CU_ASSERT(m != NULL && sp_bytes_eq(m->f[0].s, id(0)));
	cancel(&f.other, "10.0.0.9:1", 77, SP_LIT("abce"));
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_CANCELLED));
	cancel(&f.other, "10.0.0.9:1", 76, SP_LIT("abcd"));
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_CANCELLED));
	closed(0);
	cancel(&f.other, "10.0.0.9:1", 77, SP_LIT("abcd"));
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_CANCELLED));
	for (unsigned i = 0; i < 40; i++)
		cancel(&f.other, "10.0.0.9:1", 1, SP_LIT("guess"));
	cancel(&f.other, "10.0.0.9:1", 78, SP_LIT("abcd")); /* too fast by now */
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_CANCELLED));
	cancel(&f.other, "10.0.0.8:1", 78, SP_LIT("abcd"));
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_CANCELLED));
	stop();
}

/* ---- approvals ---- */

static void
test_approve(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 1, false);
	CU_ASSERT_EQUAL_FATAL(strlen(request), 26);
	const char *bob = token_of("bob", "dba", AUDIENCE_API), *ann = token_of("ann", "dba", AUDIENCE_API),
	    *joe = token_of("joe", "dev", AUDIENCE_API);
	json_t *j = call(bob, 0, CALL_REQUESTS, "{}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "requests")), 1);
	json_decref(j);
	j = call(joe, 0, CALL_REQUESTS, "{}", 200); /* not joe's business */
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "requests")), 0);
	json_decref(j);
	j = call(bob, 0, CALL_REQUEST, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(j, "view"), "text")), "DROP TABLE t");
	json_decref(j);
	expect_call(joe, 0, CALL_APPROVE, with_id(request), 404);
	expect_call(ann, 0, CALL_APPROVE, with_id(request), 403); /* AP5: her own */
	expect_call(token_of("bob", "dba", AUDIENCE_DATA), 0, CALL_APPROVE, with_id(request), 401);
	fake_forget(&f.worker);
	char short_id[128];
	(void)snprintf(short_id, sizeof(short_id), "{\"id\":\"%.8s\",\"comment\":\"go on\",\"hash\":\"010101010101\"}", request);
	j = call(bob, 0, CALL_APPROVE, short_id, 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "approved");
	json_decref(j);
	const struct message *m = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->f[1].q == 1 && m->f[3].q == 1);
	CU_ASSERT(sp_bytes_is(m->f[2].s, request));
	struct message asked = hold_message(0, 1, "dba", 1, 60000, false);
	CU_ASSERT(sp_bytes_eq(m->f[6].s, asked.f[2].s)); /* AP3: for which bytes */
	fake_forget(&f.worker);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 409); /* AP6 */
	expect_call(bob, 0, CALL_DENY, with_id(request), 409);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	stop();
}

static void
test_two_persons(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 2, false);
	const char *bob = token_of("bob", "dba", AUDIENCE_API), *kim = token_of("kim", "dba", AUDIENCE_API);
	json_t *j = call(bob, 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "waiting");
	json_decref(j);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 409); /* one person, one vote */
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	expect_call(kim, 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_DECISION));
	request = hold(0, 2, "dba", 2, false);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 200);
	fake_forget(&f.worker);
	expect_call(kim, 0, CALL_DENY, with_id(request), 200);
	const struct message *m = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT(m != NULL && m->f[3].q == 0);
	stop();
}

/* AP5: one human with a token and an account on this host is one person. */
static void
test_one_person_by_two_ways(void)
{
	start();
	new_ids();
	caller(1, "bob");
	caller(2, "kim");
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 2, false);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	expect_call("", 1, CALL_APPROVE, with_id(request), 409);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	expect_call("", 2, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_DECISION));
	request = hold(0, 2, "dba", 2, false);
	expect_call("", 1, CALL_APPROVE, with_id(request), 200);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 409);
	stop();
}

/* As another gateway's keeper writes it. */
static void
vote_elsewhere(const char *request, const char *person, const char *by)
{
	uint8_t mac[DIGEST_LEN];
	struct field row[] = { Z(request), Z(person), Q(1), Z(by), Z(""), Q(clock_wall_us()), S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&f.k.keys, "vote", VOTE_MARKED, row, mac);
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_VOTE_ADD, row), 1);
	CU_ASSERT_EQUAL(store_commit(f.k.store), SP_OK);
	fake_forget(&f.worker);
	approval_heard(&f.k, request);
	fake_turn(&f);
}

/* AP5: two vote at two gateways in one moment: persons are counted, not rows, and by who hears of the other's. */
static void
test_votes_at_two_gateways(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 2, false);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	vote_elsewhere(request, "unix:bob", "{\"user\":\"unix:bob\",\"name\":\"unix:bob\",\"issuer\":\"unix\",\"subject\":\"unix:bob\"}");
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION)); /* the same human */
	vote_elsewhere(request, "kim", "{\"user\":\"kim\",\"name\":\"kim\",\"issuer\":\"sallyport:local\",\"subject\":\"kim\"}");
	const struct message *m = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT(m != NULL && m->f[3].q == 1);
	/* Not when somebody said no, and not with the vote of whom the provider logged out. */
	request = hold(0, 2, "dba", 2, false);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	const struct field out[] = { Q(1), Z(LOCAL_ISSUER), Z("bob"), Q(clock_wall_us()) };
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_REVOKE, out), 1);
	vote_elsewhere(request, "kim", "{\"user\":\"kim\",\"name\":\"kim\",\"issuer\":\"sallyport:local\",\"subject\":\"kim\"}");
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	stop();
}

/* AP5: whoever has no `person` is known by a name of theirs; who made a code, by any. */
static void
test_aliases(void)
{
	const struct principal nameless = { .identity = "github", .issuer = "https://a.example", .subject = "17", .user = "ann", .name = "Ann@Example.com",
		.person = "", .sponsor = "", .class = "human" };
	struct principal p = { .identity = "corp", .issuer = "https://b.example", .subject = "o-1", .user = "o-1", .name = "ann@example.com",
		.person = "p-1", .sponsor = "", .class = "human" };
	CU_ASSERT(identity_same(&p, &nameless) && identity_same(&nameless, &p));
	p.name = "other@example.com";
	CU_ASSERT(!identity_same(&p, &nameless));
	p.user = "ann";
	CU_ASSERT(identity_same(&p, &nameless));
	struct principal twin = p;
	twin.person = "p-2";
	twin.subject = "o-2";
	CU_ASSERT(!identity_same(&p, &twin)); /* both say which person they are */
	static const char *const made_by[] = { "p-1", "ann", "other@example.com", "o-1", "unix:ann" };
	struct approval a = { .kind = APPROVAL_INCIDENT, .by = "leads", .who = { .identity = "corp", .issuer = "https://b.example", .subject = "e",
		.user = "eve", .name = "eve", .person = "p-9", .sponsor = "", .class = "human" } };
	const struct verified v = { .principal = p, .may = MAY_APPROVE };
	for (size_t i = 0; i < sizeof(made_by) / sizeof(*made_by); i++) {
		grant_made_by(made_by[i], a.rule_hash);
		const char *why = approval_may_not(&a, &v);
		CU_ASSERT(why != NULL && strstr(why, "you made the code") != NULL);
	}
	grant_made_by("kim", a.rule_hash);
	CU_ASSERT_PTR_NOT_NULL(strstr(approval_may_not(&a, &v), "not in the group"));
}

/* AP5, AP7: whoever was revoked after voting has no vote. */
static void
test_revoked_vote(void)
{
	start();
	new_ids();
	caller(1, "root");
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 2, false);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"bob\"}", 200);
	json_t *j = call(token_of("kim", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "waiting");
	json_decref(j);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	j = call(token_of("joe", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "approved");
	json_decref(j);
	stop();
}

static void
test_next_run(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 5, "dba", 1, true);
	CU_ASSERT_EQUAL_FATAL(strlen(request), 26);
	CU_ASSERT_STRING_EQUAL(hold(0, 5, "dba", 1, true), request); /* asked again: the same request */
	closed(0);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
	struct approval a;
	struct arena *arena = arena_new(0);
	CU_ASSERT_EQUAL_FATAL(approval_get(&f.k, arena, request, &a), SP_OK);
	uint64_t ten_minutes = 600ull * 1000000, now = clock_wall_us();
	CU_ASSERT(a.expires <= now + ten_minutes && a.expires > now + ten_minutes - 60ull * 1000000);
	arena_free(&arena);
	/* Somebody else does not get it. */
	CU_ASSERT(admitted(1, token_of("joe", "dev", AUDIENCE_DATA), "joe", "orders"));
	struct message m = hold_message(1, 5, "dba", 1, 60000, true);
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.worker, &m, MSG_DECISION));
	/* The same principal does, in another session, once. */
	CU_ASSERT(admitted(2, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	m = hold_message(2, 5, "dba", 1, 60000, true);
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 1 && sp_bytes_is(r->f[2].s, request));
	m = hold_message(2, 5, "dba", 1, 60000, true);
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.worker, &m, MSG_DECISION));
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_HELD));
	stop();
}

/* The next run that nobody made in time is not approved any more: not before the keeper has looked for such ones, nor after. */
static void
test_next_run_late(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	for (unsigned looked = 0; looked < 2; looked++) {
		char request[ID_TEXT];
		struct approval a;
		struct arena *arena = arena_new(0);
		(void)snprintf(request, sizeof(request), "%s", hold(0, 5 + looked, "dba", 1, true));
		expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_APPROVE, with_id(request), 200);
		CU_ASSERT_EQUAL_FATAL(approval_get(&f.k, arena, request, &a), SP_OK);
		CU_ASSERT_EQUAL(a.state, APPROVAL_APPROVED);
		CU_ASSERT(approval_enter(&f.k, &a, APPROVAL_APPROVED, clock_wall_us() - 1, a.text)); /* ten minutes are over */
		if (looked == 1)
			approval_tick(&f.k);
		struct message m = hold_message(0, 5 + looked, "dba", 1, 60000, true);
		CU_ASSERT_PTR_NULL(fake_ask(&f, &f.worker, &m, MSG_DECISION));
		const struct message *r = fake_heard(&f.worker, MSG_HELD);
		CU_ASSERT(r != NULL && !sp_bytes_is(r->f[2].s, request)); /* asked anew */
		CU_ASSERT_EQUAL_FATAL(approval_get(&f.k, arena, request, &a), SP_OK);
		CU_ASSERT(a.state != APPROVAL_USED);
		arena_free(&arena);
	}
	stop();
}

static void
test_withdrawn(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *request = hold(0, 1, "dba", 1, false), *bob = token_of("bob", "dba", AUDIENCE_API);
	struct message w = { .type = MSG_WITHDRAW, .f = { S(id(0)), Q(1), Z("cancelled") } };
	(void)fake_ask(&f, &f.worker, &w, 0);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 409);
	request = hold(0, 2, "dba", 1, false);
	closed(0);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 409);
	CU_ASSERT(admitted(1, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	request = hold(1, 3, "dba", 1, false);
	fake_leave(&f, &f.worker);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 409);
	json_t *j = call(bob, 0, CALL_REQUEST, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "withdrawn");
	json_decref(j);
	stop();
}

static void
test_expired(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	struct message m = hold_message(0, 1, "dba", 1, 10, false);
	CU_ASSERT_PTR_NOT_NULL(fake_ask(&f, &f.worker, &m, MSG_HELD));
	(void)usleep(15000);
	approval_tick(&f.k);
	fake_turn(&f);
	const struct message *r = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0);
	stop();
}

/* AP6: after its end, whatever that was, no request is decided any more, however often one tries. */
static void
nobody_decides(const char *request, const char *state, unsigned entries)
{
	const char *bob = token_of("bob", "dba", AUDIENCE_API), *kim = token_of("kim", "dba", AUDIENCE_API);
	fake_forget(&f.worker);
	for (unsigned i = 0; i < 100; i++)
		expect_call(i % 3 == 0 ? kim : bob, 0, i % 2 == 0 ? CALL_APPROVE : CALL_DENY, with_id(request), 409);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_DECISION));
	json_t *j = call(bob, 0, CALL_REQUEST, with_id(request), 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), state);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "decisions")), entries);
	json_decref(j);
}

static void
test_races(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *bob = token_of("bob", "dba", AUDIENCE_API);
	const char *request = hold(0, 1, "dba", 1, false);
	expect_call(bob, 0, CALL_APPROVE, with_id(request), 200);
	nobody_decides(request, "approved", 1);
	request = hold(0, 2, "dba", 1, false);
	expect_call(bob, 0, CALL_DENY, with_id(request), 200);
	nobody_decides(request, "denied", 1);
	request = hold(0, 3, "dba", 1, false);
	struct message w = { .type = MSG_WITHDRAW, .f = { S(id(0)), Q(3), Z("cancelled") } };
	(void)fake_ask(&f, &f.worker, &w, 0);
	nobody_decides(request, "withdrawn", 0);
	struct message m = hold_message(0, 4, "dba", 1, 1, false);
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_HELD);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	char late[64];
	(void)snprintf(late, sizeof(late), "%.*s", (int)r->f[2].s.len, (const char *)r->f[2].s.p);
	(void)usleep(3000);
	expect_call(bob, 0, CALL_APPROVE, with_id(late), 409); /* its time is over, though nobody swept yet */
	approval_tick(&f.k);
	fake_turn(&f);
	nobody_decides(late, "expired", 0);
	stop();
}

/* Both decisions in one turn of the loop, before either is answered: the first counts (AP6). */
static void
test_same_moment(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	const char *bob = token_of("bob", "dba", AUDIENCE_API), *kim = token_of("kim", "dba", AUDIENCE_API);
	for (unsigned i = 0; i < 20; i++) {
		const char *request = hold(0, 1 + i, "dba", 1, false), *args = with_id(request);
		bool first = i % 2 == 0;
		const struct message both[] = {
			{ .type = MSG_CALL, .id = ++f.id, .f = { Q(0), Z(bob), Q(first ? CALL_APPROVE : CALL_DENY), Z(args) } },
			{ .type = MSG_CALL, .id = ++f.id, .f = { Q(0), Z(kim), Q(first ? CALL_DENY : CALL_APPROVE), Z(args) } },
		};
		fake_forget(&f.worker);
		fake_forget(&f.console);
		CU_ASSERT_EQUAL(link_send(f.console.link, &both[0]), SP_OK);
		CU_ASSERT_EQUAL(link_send(f.console.link, &both[1]), SP_OK);
		fake_turn(&f);
		CU_ASSERT_EQUAL_FATAL(f.console.n, 2);
		for (unsigned k = 0; k < 2; k++)
			CU_ASSERT_EQUAL(f.console.m[k].f[0].q, f.console.m[k].id == both[0].id ? 200 : 409);
		CU_ASSERT_EQUAL_FATAL(f.worker.n, 1);
		CU_ASSERT(f.worker.m[0].type == MSG_DECISION && f.worker.m[0].f[3].q == first);
	}
	stop();
}

/* AP1: a view that an approver could not be shown whole is refused, at the limit to the byte. */
static void
test_too_large(void)
{
	enum { VIEW_MOST = 2 << 20 };
	static const char before[] = "{\"text\":\"", after[] = "\"}";
	uint8_t *view = mem_alloc(VIEW_MOST + 2);
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	for (size_t more = 0; more < 2; more++) {
		size_t len = VIEW_MOST + more;
		memset(view, ' ', len);
		memcpy(view, before, sizeof(before) - 1);
		memcpy(view + len - (sizeof(after) - 1), after, sizeof(after) - 1);
		struct message m = hold_message(0, 1 + more, "dba", 1, 60000, false);
		m.f[9].s = (struct sp_bytes){ view, len };
		const struct message *r = fake_ask(&f, &f.worker, &m, more == 0 ? MSG_HELD : MSG_DECISION);
		CU_ASSERT_PTR_NOT_NULL_FATAL(r);
		if (more == 1)
			CU_ASSERT(r->f[3].q == 0 && sp_bytes_is(r->f[5].s, "an approver could not be shown all of it"));
	}
	json_t *j = call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_REQUESTS, "{}", 200);
	const json_t *list = json_object_get(j, "requests");
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_EQUAL(json_string_length(json_object_get(json_array_get(list, 0), "text")), VIEW_MOST - sizeof(before) - sizeof(after) + 2);
	json_decref(j);
	free(view);
	stop();
}

/* AP9: fifty wait for one principal, over all its sessions; others are not in its way. */
static void
test_flood(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(2, token_of("joe", "dev", AUDIENCE_DATA), "joe", "orders"));
	char last[32] = "";
	for (unsigned i = 0; i < 50; i++)
		(void)snprintf(last, sizeof(last), "%s", hold(i % 2, 10 + i, "dba", 1, false));
	CU_ASSERT_EQUAL(strlen(last), 26);
	for (unsigned n = 0; n < 2; n++) {
		struct message m = hold_message(n, 100, "dba", 1, 60000, false);
		const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
		CU_ASSERT_PTR_NOT_NULL_FATAL(r);
		CU_ASSERT(r->f[3].q == 0 && sp_bytes_is(r->f[5].s, "too many of your requests are waiting"));
	}
	CU_ASSERT_EQUAL(strlen(hold(2, 1, "dba", 1, false)), 26);
	expect_call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_DENY, with_id(last), 200); /* one less waits */
	CU_ASSERT_EQUAL(strlen(hold(0, 101, "dba", 1, false)), 26);
	stop();
}

/* AP9: requests that show megabytes take nobody's room in the queue, nor do those that one may not see. */
static void
test_long_requests(void)
{
	static char view[(1u << 20) + 32];
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("joe", "dev", AUDIENCE_DATA), "joe", "orders"));
	CU_ASSERT_EQUAL(strlen(hold(0, 1, "dba", 1, false)), 26); /* the oldest */
	int n = snprintf(view, sizeof(view), "{\"text\":\"");
	memset(view + n, 'x', 1u << 20);
	memcpy(view + n + (1u << 20), "\"}", 3);
	static const char *const user[] = { "ann", "eve", "kim" };
	unsigned held = 0;
	for (unsigned u = 0; u < 3; u++) {
		CU_ASSERT(admitted(1 + u, token_of(user[u], "dev", AUDIENCE_DATA), user[u], "orders"));
		for (unsigned i = 0; i < 6; i++) {
			struct message m = hold_message(1 + u, 10 + 10 * u + i, "dba", 1, 60000, false);
			m.f[9] = (struct field)Z(view);
			(void)fake_ask(&f, &f.worker, &m, 0);
			const struct message *r = fake_heard(&f.worker, MSG_HELD);
			held += r != NULL;
			CU_ASSERT(r != NULL || i >= 4); /* four megabytes of one principal */
			fake_forget(&f.worker);
		}
	}
	CU_ASSERT_EQUAL(held, 12);
	json_t *j = call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_REQUESTS, "{}", 200);
	const json_t *list = json_object_get(j, "requests");
	CU_ASSERT_EQUAL(json_array_size(list), 13);
	const json_t *oldest = json_array_get(list, 12);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(oldest, "user")), "joe");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(oldest, "text")), "DROP TABLE t");
	json_decref(j);
	j = call(token_of("joe", "dev", AUDIENCE_API), 0, CALL_REQUESTS, "{\"limit\":1}", 200); /* of those that are his to see */
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "requests")), 1);
	json_decref(j);
	stop();
}

/* AP9: nobody waits where others would wait for it; a next run does not wait. */
static void
test_no_wait(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	struct message m = hold_message(0, 1, "dba", 1, 60000, false);
	m.f[11].q = 1;
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT(r->f[3].q == 0 && strstr((const char *)r->f[5].s.p, "its transaction has written") != NULL);
	json_t *j = call(token_of("bob", "dba", AUDIENCE_API), 0, CALL_REQUESTS, "{}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "requests")), 0);
	json_decref(j);
	m = hold_message(0, 2, "dba", 1, 60000, true);
	m.f[11].q = 1;
	CU_ASSERT_PTR_NOT_NULL(fake_ask(&f, &f.worker, &m, MSG_HELD));
	stop();
}

/* A request that can't be shown, or that nobody could decide, is refused (AP1). */
static void
test_odd_holds(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	struct message m = hold_message(0, 1, "dba", 1, 60000, false);
	m.f[9] = (struct field)Z("{\"text\":1,\"text\":2}");
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0);
	m = hold_message(0, 1, "", 1, 60000, false);
	r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0);
	m = hold_message(3, 1, "dba", 1, 60000, false); /* no such session */
	r = fake_ask(&f, &f.worker, &m, MSG_DECISION);
	CU_ASSERT(r != NULL && r->f[3].q == 0);
	stop();
}

/* ---- after a restart ---- */

static char *
principal_of(unsigned n)
{
	struct live *s = live_find(&f.k, id(n));
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	return mem_string(sp_str(s->principal_json));
}

static const struct message *
resume(unsigned n, const char *principal)
{
	struct message m = { .type = MSG_RESUME, .f = { S(id(n)), Z(principal), Z("orders"), Z(""), Z("10.0.0.1:1"), Q(1), Q(2) } };
	return fake_ask(&f, &f.worker, &m, MSG_KILL);
}

static void
test_resume(void)
{
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("bob", "dev", AUDIENCE_DATA), "bob", "orders"));
	opened(0);
	char request[32], lost[32], *ann = principal_of(0), *bob = principal_of(1);
	(void)snprintf(request, sizeof(request), "%s", hold(0, 1, "dba", 1, false));
	(void)snprintf(lost, sizeof(lost), "%s", hold(1, 1, "dba", 1, false));
	restart();
	CU_ASSERT_PTR_NOT_NULL(resume(5, ann));   /* never admitted */
	CU_ASSERT_PTR_NOT_NULL(resume(1, ann));   /* as somebody else */
	CU_ASSERT_PTR_NULL(resume(0, ann));
	/* It asks again: the same request. */
	CU_ASSERT_STRING_EQUAL(hold(0, 1, "dba", 1, false), request);
	/* bob's worker never came back. */
	live_settle(&f.k);
	const char *kim = token_of("kim", "dba", AUDIENCE_API);
	expect_call(kim, 0, CALL_APPROVE, with_id(lost), 409);
	expect_call(kim, 0, CALL_APPROVE, with_id(request), 200);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_DECISION));
	/* Decided, and then nobody was there to hear it. */
	restart();
	CU_ASSERT_PTR_NULL(resume(0, ann));
	const struct message *m = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT(m != NULL && m->f[3].q == 1);
	caller(1, "root");
	json_t *j = call("", 1, CALL_SESSIONS, "{\"user\":\"bob\"}", 200);
	const json_t *s = json_array_get(json_object_get(j, "sessions"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(s, "state")), "torn");
	json_decref(j);
	free(ann);
	free(bob);
	stop();
}

/* P6: a keeper that was started with another configuration meets sessions of before. */
static void
test_resume_not_allowed(void)
{
	const char *why = "";
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	opened(0);
	char *ann = principal_of(0);
	fake_stop(&f);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, "local_issuer on; load_module postgres; target orders { protocol postgres; server 127.0.0.1:5;"
	    " tls off; policy p.lua; allow groups=dev; login user=app secret=env:KEEPER_TEST_SECRET; }", &why), SP_OK);
	fake_links(&f);
	const struct message *m = resume(0, ann);
	CU_ASSERT(m != NULL && m->f[1].q == SP_END_REVOKED);
	free(ann);
	stop();
}

/* ---- revocation ---- */

/* P6, AP7 */
static void
test_revoke(void)
{
	start();
	new_ids();
	caller(1, "root");
	const char *token = token_of("ann", "dba", AUDIENCE_DATA), *api = token_of("ann", "dba", AUDIENCE_API);
	CU_ASSERT(admitted(0, token, "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	fake_forget(&f.worker);
	json_t *j = call("", 1, CALL_REVOKE, "{\"user\":\"ann\"}", 200);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "ended")), 1);
	json_decref(j);
	const struct message *m = fake_heard(&f.worker, MSG_KILL);
	CU_ASSERT(m != NULL && sp_bytes_eq(m->f[0].s, id(0)) && m->f[1].q == SP_END_REVOKED);
	closed(0);
	CU_ASSERT(!admitted(2, token, "ann", "orders"));
	expect_call(api, 0, CALL_WHOAMI, "{}", 401);
	restart();
	CU_ASSERT(!admitted(3, token, "ann", "orders"));
	stop();
}

/* A token may be dated a little ahead of our clock: one that was there before the revocation may say that it came after. */
static void
test_revoke_clocks(void)
{
	start();
	caller(1, "root");
	const struct principal own = { .issuer = LOCAL_ISSUER, .subject = "ann", .user = "ann" };
	const struct principal theirs = { .issuer = "https://idp", .subject = "1", .user = "ann" };
	uint64_t now = clock_wall_us();
	CU_ASSERT(!identity_revoked(f.k.store, &theirs, now));
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"ann\"}", 200);
	CU_ASSERT(identity_revoked(f.k.store, &own, now));
	CU_ASSERT(!identity_revoked(f.k.store, &own, now + 30000000)); /* our own clock */
	CU_ASSERT(identity_revoked(f.k.store, &theirs, now + 30000000));
	CU_ASSERT(!identity_revoked(f.k.store, &theirs, now + 90000000));
	stop();
}

static const char *
fresh_token(const char *user, const char *group, const char *class, uint64_t ttl, enum audience audience)
{
	static char text[32][2048];
	static unsigned turn;
	char *out = text[turn++ % 32];
	struct buffer b = { 0 };
	uint64_t expires;
	const char *why = "";
	const struct token_request q = { .user = user, .class = class, .groups = { &group, 1 }, .ttl = ttl, .audience = audience };
	CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
	(void)snprintf(out, sizeof(text[0]), "%.*s", (int)b.len, (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return out;
}

static void
renew(const char *old, const char *fresh, unsigned status, unsigned sessions)
{
	char args[8192];
	(void)snprintf(args, sizeof(args), "{\"old\":\"%s\",\"token\":\"%s\"}", old, fresh);
	fake_forget(&f.worker);
	json_t *j = call("", 0, CALL_RENEW, args, status);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "renewed")), sessions);
	size_t told = 0;
	for (size_t i = 0; i < f.worker.n; i++)
		told += f.worker.m[i].type == MSG_EXPIRES;
	CU_ASSERT_EQUAL(told, sessions);
	json_decref(j);
}

/* P6: a fresh token of the same principal, and of nobody else, lets a session go on; a restart does not forget it. */
static void
test_renew(void)
{
	start();
	new_ids();
	caller(1, "root");
	const char *old = fresh_token("job", "dba", "workload", 60000, AUDIENCE_DATA);
	CU_ASSERT(admitted(0, old, "job", "orders"));
	opened(0);
	uint64_t first = live_find(&f.k, id(0))->expires;
	renew(old, fresh_token("job", "dba", "workload", 30000, AUDIENCE_DATA), 409, 0);  /* ends earlier */
	renew(old, fresh_token("jim", "dba", "workload", 600000, AUDIENCE_DATA), 409, 0); /* somebody else */
	renew(old, fresh_token("job", "dev", "workload", 600000, AUDIENCE_DATA), 409, 0); /* in another group */
	renew(old, fresh_token("job", "dba", "human", 600000, AUDIENCE_DATA), 409, 0);
	renew(old, fresh_token("job", "dba", "workload", 600000, AUDIENCE_API), 401, 0);
	renew(old, "a.b.c", 401, 0);
	renew("x", fresh_token("job", "dba", "workload", 600000, AUDIENCE_DATA), 400, 0);
	renew(fresh_token("job", "dba", "workload", 61000, AUDIENCE_DATA), fresh_token("job", "dba", "workload", 600000, AUDIENCE_DATA), 200, 0);
	CU_ASSERT_EQUAL(live_find(&f.k, id(0))->expires, first);
	const char *second = fresh_token("job", "dba", "workload", 300000, AUDIENCE_DATA);
	renew(old, second, 200, 1);
	uint64_t later = live_find(&f.k, id(0))->expires;
	CU_ASSERT(later > first + 200000000);
	const struct message *m = fake_heard(&f.worker, MSG_EXPIRES);
	CU_ASSERT(m != NULL && sp_bytes_eq(m->f[0].s, id(0)) && m->f[1].q == later);
	/* From now on it goes by that one. */
	renew(old, fresh_token("job", "dba", "workload", 400000, AUDIENCE_DATA), 200, 0);
	const char *third = fresh_token("job", "dba", "workload", 500000, AUDIENCE_DATA);
	renew(second, third, 200, 1);
	later = live_find(&f.k, id(0))->expires;
	char principal[2048];
	(void)snprintf(principal, sizeof(principal), "%s", live_find(&f.k, id(0))->principal_json);
	restart();
	struct message back = { .type = MSG_RESUME, .f = { S(id(0)), Z(principal), Z("orders"), Z(""), Z("10.0.0.1:4711"), Q(0), Q(0) } };
	(void)fake_ask(&f, &f.worker, &back, 0);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_KILL));
	CU_ASSERT_EQUAL(live_find(&f.k, id(0))->expires, later);
	renew(third, fresh_token("job", "dba", "workload", 550000, AUDIENCE_DATA), 200, 1);
	/* Who was revoked renews nothing. */
	caller(1, "root");
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"job\"}", 200);
	renew(third, fresh_token("job", "dba", "workload", 590000, AUDIENCE_DATA), 401, 0);
	stop();
}

static void
test_kill(void)
{
	char args[128], name[ID_TEXT];
	start();
	new_ids();
	caller(1, "ops");
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	(void)snprintf(args, sizeof(args), "{\"id\":\"%.6s\"}", id_format(id(0).p, name));
	expect_call(token_of("ann", "dba", AUDIENCE_API), 0, CALL_KILL, args, 403);
	fake_forget(&f.worker);
	expect_call("", 1, CALL_KILL, args, 200);
	const struct message *m = fake_heard(&f.worker, MSG_KILL);
	CU_ASSERT(m != NULL && sp_bytes_eq(m->f[0].s, id(0)));
	closed(0);
	expect_call("", 1, CALL_KILL, args, 409);
	stop();
}

/* ---- the audit log ---- */

/* How long that member of the last line is, if it ends as it should; the line has to be JSON, and short. */
static size_t
audited(const char *event, const char *name, const char *end)
{
	const struct message *m = fake_heard(&f.recorder, MSG_AUDIT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->f[0].s.len < 10000);
	json_t *line = json_loadb((const char *)m->f[0].s.p, m->f[0].s.len, 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(line, "event")), event);
	const char *text = json_string_value(json_object_get(line, name));
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	size_t n = strlen(text), more = strlen(end);
	CU_ASSERT(n >= more && strcmp(text + n - more, end) == 0);
	json_decref(line);
	fake_forget(&f.recorder);
	return n;
}

/* No caller makes a line too long to be read. */
static void
test_audit_cut(void)
{
	static char args[4][20100];
	char name[ID_TEXT], text[20001] = "";
	start();
	new_ids();
	caller(1, "ops");
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	for (size_t i = 0; i < 5000; i++)
		memcpy(text + 4 * i, "\xf0\x9f\x94\x91", 5);
	(void)snprintf(args[0], sizeof(args[0]), "{\"id\":\"%s\",\"reason\":\"x%s\"}", id_format(id(0).p, name), text);
	(void)snprintf(args[1], sizeof(args[1]), "{\"code\":\"zzzz\",\"address\":\"10.0.0.9\",\"reason\":\"r\",\"target\":\"x%s\"}", text);
	(void)snprintf(args[2], sizeof(args[2]), "{\"user\":\"x%s\"}", text);
	(void)snprintf(args[3], sizeof(args[3]), "{\"user\":\"%.996s\"}", text);
	fake_forget(&f.recorder);
	expect_call("", 1, CALL_KILL, args[0], 200);
	CU_ASSERT_EQUAL(audited("kill", "reason", "\xf0\x9f\x94\x91"), 197);
	expect_call("", 0, CALL_CODE_SPEND, args[1], 400);
	CU_ASSERT_EQUAL(audited("code refused", "target", "\xf0\x9f\x94\x91"), 197);
	expect_call("", 1, CALL_REVOKE, args[2], 200);
	CU_ASSERT_EQUAL(audited("revoke", "user", "\xf0\x9f\x94\x91\xe2\x80\xa6"), 1000);
	expect_call("", 1, CALL_REVOKE, args[3], 200);
	CU_ASSERT_EQUAL(audited("revoke", "user", "\xf0\x9f\x94\x91"), 996); /* whole */
	stop();
}

/* ---- the ledger ---- */

static const struct message *
sign(enum ledger_kind kind, unsigned n, uint64_t blocks, const char *chain)
{
	uint8_t hash[DIGEST_LEN] = { 0 };
	(void)memcpy(hash, chain, strlen(chain));
	struct message m = { .type = MSG_SIGN, .f = { Q(kind), S(id(n)), Q(blocks), Q(blocks * 10), S(((struct sp_bytes){ hash, DIGEST_LEN })),
	    Q(blocks * 1000), Q(0) } };
	const struct message *r = fake_ask(&f, &f.recorder, &m, MSG_SIGNED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->id, m.id);
	return r;
}

/* P9 */
static void
test_ledger(void)
{
	struct ledger_entry e, last;
	uint8_t hash[DIGEST_LEN];
	start();
	new_ids();
	const struct message *m = sign(LEDGER_OPEN, 0, 0, "");
	CU_ASSERT_EQUAL_FATAL(m->f[0].s.len, LEDGER_ENTRY);
	CU_ASSERT_EQUAL(m->f[1].s.len, SIGNATURE_LEN);
	CU_ASSERT(ledger_signed_by(m->f[0].s.p, f.k.keys.signing.public));
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &e), SP_OK);
	ledger_first(f.k.keys.signing.public, hash);
	CU_ASSERT(e.number == 1 && memcmp(e.previous, hash, DIGEST_LEN) == 0);
	ledger_hash(m->f[0].s.p, hash);
	m = sign(LEDGER_CHECKPOINT, 0, 2, "abc");
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &last), SP_OK);
	CU_ASSERT(last.number == 2 && memcmp(last.previous, hash, DIGEST_LEN) == 0 && last.wall >= e.wall);
	CU_ASSERT_EQUAL(sign(LEDGER_CHECKPOINT, 0, 1, "abd")->f[0].s.len, 0); /* shorter than it was */
	m = sign(LEDGER_OPEN, 0, 3, "abd"); /* a recorder started anew: the last one again, nothing is appended */
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &last), SP_OK);
	CU_ASSERT(last.number == 2 && last.kind == LEDGER_CHECKPOINT);
	CU_ASSERT_EQUAL(sign(LEDGER_OPEN, 0, 1, "")->f[0].s.len, 0); /* shorter than it was */
	CU_ASSERT_EQUAL(sign(LEDGER_TOMBSTONE, 0, 3, "abd")->f[0].s.len, 0);
	m = sign(LEDGER_CLOSE, 0, 3, "end");
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &last), SP_OK);
	CU_ASSERT_EQUAL(last.number, 3);
	ledger_hash(m->f[0].s.p, hash);
	CU_ASSERT_EQUAL(sign(LEDGER_CHECKPOINT, 0, 4, "more")->f[0].s.len, 0); /* it has ended */
	restart();
	m = sign(LEDGER_CLOSE, 0, 3, "end"); /* the answer was lost: the same again */
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &last), SP_OK);
	CU_ASSERT_EQUAL(last.number, 3);
	m = sign(LEDGER_OPEN, 1, 0, "");
	CU_ASSERT_EQUAL(ledger_decode(m->f[0].s, &last), SP_OK);
	CU_ASSERT(last.number == 4 && memcmp(last.previous, hash, DIGEST_LEN) == 0);
	/* Retention is 90 days: no tombstone yet. */
	struct message gone = { .type = MSG_REMOVE, .f = { S(id(0)) } };
	m = fake_ask(&f, &f.recorder, &gone, MSG_SIGNED);
	CU_ASSERT(m != NULL && m->f[0].s.len == 0);
	/* A recorder that has a removed recording again, from its journal, is told that it was removed. */
	f.k.epoch->settings.record.max = 1;
	m = fake_ask(&f, &f.recorder, &gone, MSG_SIGNED);
	CU_ASSERT(m != NULL && ledger_decode(m->f[0].s, &last) == SP_OK && last.number == 5 && last.kind == LEDGER_TOMBSTONE);
	m = sign(LEDGER_TORN, 0, 4, "torn");
	CU_ASSERT(ledger_decode(m->f[0].s, &last) == SP_OK && last.number == 5 && last.kind == LEDGER_TOMBSTONE);
	stop();
}

/* ---- the API ---- */

static void
test_whoami(void)
{
	start();
	json_t *j = call(token_of("ann", "dba", AUDIENCE_API), 0, CALL_WHOAMI, "", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "user")), "ann");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "class")), "human");
	json_decref(j);
	caller(7, "root");
	j = call("", 7, CALL_WHOAMI, "{}", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "user")), "unix:root");
	json_decref(j);
	expect_call("rubbish", 7, CALL_WHOAMI, "{}", 401); /* a bad token is not saved by the connection */
	expect_call(token_of("ann", "dba", AUDIENCE_DATA), 0, CALL_WHOAMI, "{}", 401);
	expect_call("", 7, CALL_WHOAMI, "[]", 400);
	expect_call("", 7, CALL_WHOAMI, "{\"a\":1,\"a\":2}", 400); /* MC6 */
	expect_call("", 7, CALLS, "{}", 404);
	expect_call("", 7, CALL_NONE, "{}", 404);
	stop();
}

/* A console that was taken over may not use a connection of long ago. */
static void
test_old_connection(void)
{
	start();
	caller(7, "root");
	caller_forget(&f.k, clock_mono_ms() - 60000);
	expect_call("", 7, CALL_WHOAMI, "{}", 200);
	caller_forget(&f.k, clock_mono_ms() + 1);
	struct message m = { .type = MSG_CALL, .f = { Q(7), Z(""), Q(CALL_WHOAMI), Z("{}") } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	api_parked(&f.k, true);
	fake_turn(&f);
	const struct message *r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 401);
	stop();
}

/* The console may be quicker than master. */
static void
test_parked(void)
{
	start();
	struct message m = { .type = MSG_CALL, .f = { Q(9), Z(""), Q(CALL_WHOAMI), Z("{}") } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	caller(9, "root");
	fake_turn(&f);
	const struct message *r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 200 && r->id == m.id);
	struct message never = { .type = MSG_CALL, .f = { Q(10), Z(""), Q(CALL_WHOAMI), Z("{}") } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &never, MSG_RESULT));
	(void)usleep(1100000);
	fake_turn(&f);
	r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 401);
	stop();
}

static void
test_mint(void)
{
	start();
	new_ids();
	caller(1, "root");
	expect_call(token_of("ann", "dba", AUDIENCE_API), 0, CALL_TOKEN, "{\"user\":\"eve\"}", 403);
	json_t *j = call("", 1, CALL_TOKEN, "{\"user\":\"zoe\",\"groups\":[\"dba\"],\"ttl\":60000}", 200);
	CU_ASSERT(admitted(0, json_string_value(json_object_get(j, "token")), "zoe", "orders"));
	json_decref(j);
	j = call("", 1, CALL_TOKEN, "{\"user\":\"zoe\",\"groups\":[\"dba\"],\"api\":true,\"class\":\"agent\",\"sponsor\":\"lea\"}", 200);
	json_t *who = call(json_string_value(json_object_get(j, "token")), 0, CALL_WHOAMI, "", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(who, "class")), "agent");
	json_decref(who);
	json_decref(j);
	const char *const bad[] = { "{}", "{\"user\":\"a\",\"class\":\"agent\"}", "{\"user\":\"a\",\"class\":\"agent\",\"sponsor\":\"\"}", "{\"user\":\"a b\"}", "{\"user\":\"token\"}", "{\"user\":\"a\",\"groups\":\"x\"}",
		"{\"user\":\"a\",\"groups\":[1]}", "{\"user\":\"a\",\"ttl\":1}", "{\"user\":\"a\",\"ttl\":999999999999}",
		"{\"user\":\"a\",\"class\":\"god\"}" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		expect_call("", 1, CALL_TOKEN, bad[i], 400);
	stop();
}

/* ID6: every route for every kind of caller. */
static void
test_roles(void)
{
	const struct {
		const char *group;
		unsigned may;
	} row[] = { { NULL, MAY_USE | MAY_APPROVE }, { "auditor", MAY_USE | MAY_APPROVE | MAY_AUDIT }, { "admin", MAY_USE | MAY_APPROVE | MAY_OPERATE } };
	start();
	for (const struct route *r = route_table; r->method != NULL; r++) {
		for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
			struct message m = { .type = MSG_CALL, .f = { Q(0), Z(token_of("u", row[i].group, AUDIENCE_API)), Q(r->call), Z("{}") } };
			const struct message *a = fake_ask(&f, &f.console, &m, MSG_RESULT);
			if (r->call == CALL_METRICS && a == NULL) { /* asked the recorder first */
				CU_ASSERT((row[i].may & r->role) != 0 && fake_heard(&f.recorder, MSG_MEASURE) != NULL);
				continue;
			}
			if (r->call == CALL_POLICIES && a == NULL) { /* asked a worker first */
				CU_ASSERT((row[i].may & r->role) != 0 && fake_heard(&f.other, MSG_RULES) != NULL);
				continue;
			}
			CU_ASSERT_PTR_NOT_NULL_FATAL(a);
			CU_ASSERT_EQUAL(((row[i].may | MAY_ANYBODY) & r->role) == 0, a->f[0].q == 403);
			CU_ASSERT_NOT_EQUAL(a->f[0].q, 503);
		}
		if (r->role != MAY_ANYBODY)
			expect_call("x", 0, r->call, "{}", 401);
	}
	stop();
}

/* The recorder's numbers and our own; what a worker called its rules stays inside its quotes. */
static void
test_metrics(void)
{
	static const char said[] = "{\"operations\":[{\"target\":\"t\",\"verdict\":\"deny\",\"rule\":\"a\\\"b\\n\\\\\",\"n\":7}],\"masked_columns\":2,\"masked_values\":9,"
				   "\"waiting\":4096,\"failing\":false,\"tick_us\":1500}";
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	const char *const asks[] = { token_of("m", "metrics", AUDIENCE_API), token_of("n", "auditor", AUDIENCE_API) };
	for (size_t i = 0; i < 2; i++) {
		struct message m = { .type = MSG_CALL, .id = 7 + (uint32_t)i, .f = { Q(0), Z(asks[i]), Q(CALL_METRICS), Z("{}") } };
		CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
		CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.recorder, MSG_MEASURE));
	}
	expect_call(token_of("m", "metrics", AUDIENCE_API), 0, CALL_STATUS, "{}", 403);
	struct message measured = { .type = MSG_MEASURED, .f = { Z(said) } };
	fake_forget(&f.console);
	(void)fake_ask(&f, &f.recorder, &measured, MSG_MEASURE);
	const struct message *a = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	json_t *o = json_loadb((const char *)a->f[1].s.p, a->f[1].s.len, 0, NULL);
	const char *text = json_string_value(json_object_get(o, "text"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nsallyport_operations_total{target=\"t\",verdict=\"deny\",rule=\"a\\\"b\\n\\\\\"} 7\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nsallyport_sessions{target=\"orders\"} 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nsallyport_recorder_up 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nsallyport_recorder_lag_seconds 0.001500\n"));
	json_decref(o);
	/* a recorder that goes keeps nobody waiting */
	struct message m = { .type = MSG_CALL, .id = 9, .f = { Q(0), Z(asks[0]), Q(CALL_METRICS), Z("{}") } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	fake_leave(&f, &f.recorder);
	a = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT(a->f[0].q == 200 && a->f[1].s.len > 100);
	stop();
}

/* A call that asks a worker: its question, as JSON. */
static json_t *
asks_worker(const char *token, enum call call, const char *args)
{
	struct message m = { .type = MSG_CALL, .f = { Q(0), Z(token), Q(call), Z(args) } };
	fake_forget(&f.other);
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	const struct message *q = fake_heard(&f.other, MSG_RULES);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	f.id = q->id;
	return json_loadb((const char *)q->f[0].s.p, q->f[0].s.len, 0, NULL);
}

/* What the worker answers; and then, what the console is told. */
static const struct message *
worker_rules(unsigned status, const char *json)
{
	struct message m = { .type = MSG_RULED, .id = f.id, .f = { Q(status), Z(json) } };
	fake_forget(&f.console);
	fake_forget(&f.recorder);
	CU_ASSERT_EQUAL(link_send(f.other.link, &m), SP_OK);
	fake_turn(&f);
	return fake_heard(&f.console, MSG_RESULT);
}

/* Rules are a worker's, hits the recorder's. */
static void
test_policies(void)
{
	static const char rules[] = "{\"epoch\":1,\"policies\":[{\"target\":\"orders\",\"rules\":[{\"rule\":\"a\"},{\"rule\":\"b\"}]},"
				    "{\"target\":\"other\",\"rules\":[{\"rule\":\"a\"}]}]}";
	static const char said[] = "{\"since\":1764000000000000,\"operations\":[{\"target\":\"orders\",\"verdict\":\"deny\",\"rule\":\"a\",\"n\":7,\"day\":[3,4]},"
				   "{\"target\":\"orders\",\"verdict\":\"allow\",\"rule\":\"\",\"n\":70}],\"hits\":[{\"target\":\"orders\","
				   "\"verdict\":\"observed\",\"rule\":\"a\",\"n\":2}]}";
	start();
	const char *aud = token_of("aud", "auditor", AUDIENCE_API), *ann = token_of("ann", "dba", AUDIENCE_API);
	json_decref(asks_worker(aud, CALL_POLICIES, "{}"));
	CU_ASSERT_PTR_NULL(worker_rules(200, rules));
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.recorder, MSG_MEASURE));
	struct message measured = { .type = MSG_MEASURED, .f = { Z(said) } };
	(void)fake_ask(&f, &f.recorder, &measured, MSG_MEASURE);
	const struct message *a = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	json_t *o = json_loadb((const char *)a->f[1].s.p, a->f[1].s.len, 0, NULL);
	json_t *want = json_pack("{s:i,s:s,s:[{s:s,s:[{s:s,s:{s:i,s:i},s:{s:[i,i]}},{s:s,s:{},s:{}}]},{s:s,s:[{s:s,s:{},s:{}}]}]}", "epoch", 1, "counted_since",
	    "2025-11-24T16:00:00.000000Z", "policies", "target", "orders", "rules", "rule", "a", "hits", "deny", 7, "observed", 2, "day", "deny", 3, 4,
	    "rule", "b", "hits", "day", "target", "other", "rules", "rule", "a", "hits", "day");
	json_object_set(want, "counted_since", json_object_get(o, "counted_since"));
	CU_ASSERT(json_equal(o, want) && json_is_string(json_object_get(o, "counted_since")));
	json_decref(want);
	json_decref(o);
	expect_call(aud, 0, CALL_POLICIES, "{\"target\":\"nowhere\"}", 404);
	expect_call(ann, 0, CALL_POLICIES, "{}", 403);
	json_decref(asks_worker(aud, CALL_POLICIES, "{\"target\":\"orders\"}")); /* a worker that goes keeps nobody waiting */
	fake_forget(&f.console);
	fake_leave(&f, &f.other);
	a = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(a != NULL && a->f[0].q == 503);
	stop();
}

/* For oneself, as one is; for somebody else only who may look at everything. */
static void
test_policy_explain(void)
{
	static const char mine[] = "{\"target\":\"orders\",\"text\":\"SELECT 1\"}", bobs[] = "{\"target\":\"orders\",\"text\":\"x\",\"user\":\"bob\","
		"\"groups\":[\"dba\"]}", grouped[] = "{\"target\":\"orders\",\"groups\":[\"leads\"]}";
	start();
	const char *aud = token_of("aud", "auditor", AUDIENCE_API), *ann = token_of("ann", "dba", AUDIENCE_API);
	json_t *q = asks_worker(ann, CALL_POLICY_EXPLAIN, mine);
	json_t *who = json_loads(json_string_value(json_object_get(q, "principal")), 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(who, "user")), "ann");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(who, "groups"), 0)), "dba");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(q, "kind")), "sql.statement");
	json_decref(who);
	json_decref(q);
	const struct message *a = worker_rules(200, "{\"verdict\":\"deny\"}");
	CU_ASSERT_FATAL(a != NULL);
	CU_ASSERT(a->f[0].q == 200 && sp_bytes_is(a->f[1].s, "{\"verdict\":\"deny\"}"));
	expect_call(ann, 0, CALL_POLICY_EXPLAIN, bobs, 403);
	expect_call(ann, 0, CALL_POLICY_EXPLAIN, grouped, 403);
	expect_call(ann, 0, CALL_POLICY_EXPLAIN, "{\"target\":\"hidden\",\"text\":\"x\"}", 404); /* ID7: not for her */
	expect_call(aud, 0, CALL_POLICY_EXPLAIN, grouped, 400);
	q = asks_worker(aud, CALL_POLICY_EXPLAIN, bobs);
	who = json_loads(json_string_value(json_object_get(q, "principal")), 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(who, "user")), "bob");
	json_decref(who);
	json_decref(q);
	a = worker_rules(400, "{\"error\":\"no\"}");
	CU_ASSERT(a != NULL && a->f[0].q == 400);
	unsigned refused = 0;
	for (unsigned i = 0; i < 60; i++) { /* in three seconds, at most 60 are let through */
		struct message m = { .type = MSG_CALL, .f = { Q(0), Z(ann), Q(CALL_POLICY_EXPLAIN), Z(mine) } };
		a = fake_ask(&f, &f.console, &m, MSG_RESULT);
		refused += a != NULL && a->f[0].q == 429;
		fake_forget(&f.console);
	}
	CU_ASSERT(refused > 0);
	stop();
}

static void
test_visibility(void)
{
	char args[64], name[ID_TEXT];
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", id_format(id(0).p, name));
	const char *ann = token_of("ann", "dba", AUDIENCE_API), *bob = token_of("bob", "dba", AUDIENCE_API);
	expect_call(ann, 0, CALL_SESSION, args, 200);
	expect_call(bob, 0, CALL_SESSION, args, 404); /* ID7 */
	json_t *j = call(bob, 0, CALL_SESSIONS, "{}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "sessions")), 0);
	json_decref(j);
	j = call(ann, 0, CALL_SESSIONS, "{\"live\":true}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "sessions")), 1);
	json_decref(j);
	j = call(ann, 0, CALL_TARGETS, "{}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "targets")), 1);
	json_decref(j);
	expect_call(ann, 0, CALL_RECORDING, args, 403);
	/* One's own operations are explained to one, nobody else's; and only by number. */
	expect_call(ann, 0, CALL_EXPLAIN, args, 400);
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"op\":\"3\"}", id_format(id(0).p, name));
	expect_call(bob, 0, CALL_EXPLAIN, args, 404);
	fake_forget(&f.recorder);
	struct message why = { .type = MSG_CALL, .f = { Q(0), Z(ann), Q(CALL_EXPLAIN), Z(args) } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &why, MSG_RESULT));
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.recorder, MSG_FETCH));
	expect_call(bob, 0, CALL_SESSION, "{\"id\":\"../../x\"}", 404); /* RC3 */
	stop();
}

static void
test_fetch(void)
{
	char args[64], name[ID_TEXT];
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	(void)sign(LEDGER_OPEN, 0, 0, "");
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", id_format(id(0).p, name));
	caller(1, "root");
	fake_forget(&f.recorder);
	struct message m = { .type = MSG_CALL, .f = { Q(1), Z(""), Q(CALL_VERIFY), Z(args) } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	const struct message *q = fake_heard(&f.recorder, MSG_FETCH);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	CU_ASSERT(sp_bytes_eq(q->f[0].s, id(0)));
	FILE *file = tmpfile();
	struct message found = { .type = MSG_FETCHED, .id = q->id, .f = { S(id(0)), Q(1), Z("") }, .nfds = 1, .fd = { fileno(file), -1, -1 } };
	CU_ASSERT_EQUAL(link_send(f.recorder.link, &found), SP_OK);
	fake_turn(&f);
	(void)fclose(file);
	const struct message *r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 200 && r->nfds == 1 && r->fd[0] >= 0);
	CU_ASSERT_EQUAL(r->id, m.id);
	CU_ASSERT_PTR_NOT_NULL(strstr((const char *)r->f[1].s.p, "entries"));
	/* The recorder dies while it is asked. */
	struct message again = { .type = MSG_CALL, .f = { Q(1), Z(""), Q(CALL_RECORDING), Z(args) } };
	CU_ASSERT_PTR_NULL(fake_ask(&f, &f.console, &again, MSG_RESULT));
	fake_leave(&f, &f.recorder);
	r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 503);
	stop();
}

/* ---- epochs and derivations ---- */

static void
test_epoch(void)
{
	char text[1024];
	const char *why = "";
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	CU_ASSERT(admitted(1, token_of("eve", "x", AUDIENCE_DATA), "eve", "orders"));
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; local_issuer on; load_module postgres; target orders { protocol postgres;"
	    " server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba; login user=app secret=file:%s/none; }", f.folder, f.folder);
	struct epoch *bad = fake_epoch(text, 2);
	CU_ASSERT_EQUAL(keeper_epoch(&f.k, bad, &why), SP_EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "target orders"));
	epoch_free(&bad);
	CU_ASSERT_EQUAL(f.k.epoch->number, 1);
	fake_file(&f, "none", "word\n");
	fake_forget(&f.worker);
	CU_ASSERT_EQUAL(keeper_epoch(&f.k, fake_epoch(text, 3), &why), SP_OK);
	fake_turn(&f);
	/* eve is not allowed any more; ann is. */
	CU_ASSERT_EQUAL(f.worker.n, 1);
	const struct message *m = fake_heard(&f.worker, MSG_KILL);
	CU_ASSERT(m != NULL && sp_bytes_eq(m->f[0].s, id(1)));
	(void)snprintf(text, sizeof(text), "%s/none", f.folder);
	(void)unlink(text);
	stop();
}

/* Its target gone, a client is revoked before the gateway's own session that it waits for: else it fails for the want of that. */
static void
test_target_gone(void)
{
	char text[1024];
	const char *why = "";
	start();
	new_ids();
	CU_ASSERT(admitted(0, token_of("ann", "dba", AUDIENCE_DATA), "ann", "orders"));
	struct message side = { .type = MSG_SIDE, .f = { S(id(9)), Z("orders"), Z(""), Z("catalogue") } };
	(void)fake_ask(&f, &f.worker, &side, 0);
	CU_ASSERT(admitted(1, token_of("bob", "dba", AUDIENCE_DATA), "bob", "orders"));
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; local_issuer on; load_module postgres;", f.folder);
	fake_forget(&f.worker);
	CU_ASSERT_EQUAL(keeper_epoch(&f.k, fake_epoch(text, 2), &why), SP_OK);
	fake_turn(&f);
	CU_ASSERT_EQUAL_FATAL(f.worker.n, 3);
	CU_ASSERT(!sp_bytes_eq(f.worker.m[0].f[0].s, id(9)) && !sp_bytes_eq(f.worker.m[1].f[0].s, id(9)));
	CU_ASSERT(f.worker.m[2].type == MSG_KILL && sp_bytes_eq(f.worker.m[2].f[0].s, id(9)));
	stop();
}

static void
test_derive(void)
{
	uint8_t first[DIGEST_LEN];
	start();
	struct message m = { .type = MSG_DERIVE, .f = { Z("mask"), Z("pii") } };
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_DERIVED);
	CU_ASSERT_FATAL(r != NULL && r->f[2].s.len == DIGEST_LEN);
	memcpy(first, r->f[2].s.p, DIGEST_LEN);
	struct message other = { .type = MSG_DERIVE, .f = { Z("redact"), Z("pii") } };
	r = fake_ask(&f, &f.worker, &other, MSG_DERIVED);
	CU_ASSERT(r != NULL && memcmp(first, r->f[2].s.p, DIGEST_LEN) != 0);
	restart();
	r = fake_ask(&f, &f.worker, &m, MSG_DERIVED);
	CU_ASSERT(r != NULL && memcmp(first, r->f[2].s.p, DIGEST_LEN) == 0);
	struct message evil = { .type = MSG_DERIVE, .f = { Z("sign"), Z("") } };
	(void)fake_ask(&f, &f.worker, &evil, MSG_DERIVED);
	CU_ASSERT(f.worker.gone);
	stop();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "a token opens a session", test_admit },
		{ "everything else is refused", test_refuse },
		{ "a refusal says the same whatever failed", test_one_text_for_all },
		{ "limits", test_limits },
		{ "a token is good where it was first seen", test_token_use },
		{ "session ids belong to one worker", test_session_ids },
		{ "md5", test_md5 },
		{ "SCRAM by messages", test_scram_flow },
		{ "SCRAM keys are made once, for one secret and salt", test_scram_keys },
		{ "proofs for nobody else", test_proofs_refused },
		{ "signatures for a client certificate", test_tls_sign },
		{ "signatures by the target's own key (ID13)", test_tls_sign_by_target },
		{ "signatures of handshakes only", test_tls_sign_handshakes_only },
		{ "side sessions", test_side },
		{ "ended sessions get nothing", test_ended_sessions_get_nothing },
		{ "cancel keys", test_cancel },
		{ "an approval", test_approve },
		{ "two persons", test_two_persons },
		{ "two persons at two gateways", test_votes_at_two_gateways },
		{ "one person by other names", test_aliases },
		{ "one person by two ways", test_one_person_by_two_ways },
		{ "a vote of somebody revoked", test_revoked_vote },
		{ "next run", test_next_run },
		{ "next run, ten minutes later", test_next_run_late },
		{ "withdrawn", test_withdrawn },
		{ "nobody decides in time", test_expired },
		{ "races and ends (AP6)", test_races },
		{ "two decisions at once (AP6)", test_same_moment },
		{ "too large to be shown (AP1)", test_too_large },
		{ "a flood of requests (AP9)", test_flood },
		{ "long requests (AP9)", test_long_requests },
		{ "no waiting in a transaction that has written (AP9)", test_no_wait },
		{ "odd requests", test_odd_holds },
		{ "sessions resume, or are gone", test_resume },
		{ "sessions not allowed any more do not resume", test_resume_not_allowed },
		{ "revocation", test_revoke },
		{ "revocation and clocks", test_revoke_clocks },
		{ "a fresh token", test_renew },
		{ "kill", test_kill },
		{ "long texts of callers in the audit log", test_audit_cut },
		{ "the ledger", test_ledger },
		{ "whoami", test_whoami },
		{ "calls before their caller", test_parked },
		{ "a connection of long ago", test_old_connection },
		{ "minting", test_mint },
		{ "routes and roles", test_roles },
		{ "metrics", test_metrics },
		{ "policies", test_policies },
		{ "policy explain", test_policy_explain },
		{ "one sees one's own", test_visibility },
		{ "recordings are handed out", test_fetch },
		{ "epochs", test_epoch },
		{ "a target that is gone", test_target_gone },
		{ "derived keys", test_derive },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("keeper", tests);
}
