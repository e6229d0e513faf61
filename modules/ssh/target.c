/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's side until we are logged in: keys, its host key against the pinned ones, our proof.
 *
 *   VOUCH ─ where `host_ca` alone says who it is: its certificate (host_ca.c) ─▶ CONNECT
 *   CONNECT ─ host key pinned, or vouched for ─▶ PROOF ─ the keeper certifies our key, or gives the password ─▶ LOGIN ─▶ READY
 *                                  └ or signs with one of its own, twice there and back (agent.c)
 *
 * An unknown or changed host key ends the session before anything is proved (SS13).
 */
#include "ssh.h"

#include <stdio.h>
#include <stdlib.h>

#include "host_ca.h"

static const char *
login_of(struct sp_session *s)
{
	const struct ssh *h = sp_state(s);
	return h->login[0] != '\0' ? h->login : sp_login(s);
}

/* All of them; or those of the key that a certificate vouches for, where nothing else counts. */
static const char *
host_keys(struct sp_session *s)
{
	static const char all[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";
	const struct ssh_conf *conf = sp_conf(s);
	const char *plain = conf->host_key.n == 0 ? host_ca_plain(s) : NULL;
	return plain == NULL ? all : plain;
}

static bool
set_options(struct sp_session *s, ssh_session c, int fd)
{
	static const char nowhere[] = "/nonexistent";
	bool off = false;
	int level = SSH_LOG_NOLOG, none = 0, one = 1;
	const struct { enum ssh_options_e option; const void *value; } option[] = {
		{ SSH_OPTIONS_PROCESS_CONFIG, &off }, { SSH_OPTIONS_SSH_DIR, nowhere }, { SSH_OPTIONS_KNOWNHOSTS, nowhere },
		{ SSH_OPTIONS_GLOBAL_KNOWNHOSTS, nowhere }, { SSH_OPTIONS_HOST, sp_target_name(s) }, { SSH_OPTIONS_USER, login_of(s) },
		{ SSH_OPTIONS_FD, &fd }, { SSH_OPTIONS_LOG_VERBOSITY, &level }, { SSH_OPTIONS_GSSAPI_AUTH, &none },
		{ SSH_OPTIONS_PUBKEY_AUTH, &one }, { SSH_OPTIONS_CIPHERS_C_S, ssh_ciphers }, { SSH_OPTIONS_CIPHERS_S_C, ssh_ciphers },
		{ SSH_OPTIONS_KEY_EXCHANGE, ssh_exchanges }, { SSH_OPTIONS_HMAC_C_S, ssh_macs }, { SSH_OPTIONS_HMAC_S_C, ssh_macs },
		{ SSH_OPTIONS_COMPRESSION_C_S, "none" }, { SSH_OPTIONS_COMPRESSION_S_C, "none" },
		{ SSH_OPTIONS_HOSTKEYS, host_keys(s) },
	};
	for (size_t i = 0; i < sizeof(option) / sizeof(*option); i++)
		if (ssh_options_set(c, option[i].option, option[i].value) != SSH_OK)
			return false;
	ssh_set_blocking(c, 0);
	return true;
}

static int
begin_connect(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	int fd;
	int rc = leg_open(s, SP_TARGET, &fd);
	if (rc != SP_OK)
		return rc;
	ssh_enter(s, CONNECT);
	if (!set_options(s, h->leg[SP_TARGET].ssh, fd))
		return ssh_fail(s, SP_EINTERNAL, "libssh does not take the options of a target: %s", ssh_get_error(h->leg[SP_TARGET].ssh));
	return SP_OK;
}

static int
ask_certificate_of_host(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	ssh_enter(s, VOUCH);
	h->vouched = true;
	return host_ca_ask(s);
}

int
target_begin(struct sp_session *s)
{
	const struct ssh_conf *conf = sp_conf(s);
	return conf->host_key.n == 0 && host_ca_plain(s) == NULL ? ask_certificate_of_host(s) : begin_connect(s);
}

/* ---- the proof ---- */

static int
ask_certificate(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	uint8_t blob[256];
	char *text = NULL;
	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &h->key) != SSH_OK || ssh_pki_export_pubkey_base64(h->key, &text) != SSH_OK)
		return ssh_fail(s, SP_EINTERNAL, "no key pair could be made for the session");
	struct sp_challenge c = { .mechanism = "ssh-certificate", .transcript = { blob, base64_decode(text, blob, sizeof(blob)) } };
	ssh_string_free_char(text);
	return sp_prove(s, &c);
}

static int
ask(struct sp_session *s)
{
	const char *mechanism = sp_login_mechanism(s);
	const struct ssh *h = sp_state(s);
	const struct sp_challenge password = { .mechanism = "password" }, public = { .mechanism = "ssh-key" };
	ssh_enter(s, PROOF);
	if (strcmp(mechanism, "ssh-certificate") == 0)
		return ask_certificate(s);
	bool key = strcmp(mechanism, "ssh-key") == 0;
	if (!key && strcmp(mechanism, "password") != 0)
		return ssh_fail(s, SP_ECONF, "the target's login has neither ca=, key= nor secret=");
	if (h->login[0] != '\0' && strcmp(h->login, sp_login(s)) != 0)
		return ssh_fail(s, SP_ECONF, "the target's %s is %s's: another login name needs `login ca=`", key ? "key" : "password", sp_login(s));
	return sp_prove(s, key ? &public : &password);
}

static int
take_certificate(struct sp_session *s, struct sp_bytes blob)
{
	struct ssh *h = sp_state(s);
	ssh_key certificate = NULL;
	char text[4096];
	bool ok = base64_encode(blob, text, sizeof(text)) &&
	    ssh_pki_import_cert_base64(text, SSH_KEYTYPE_ED25519_CERT01, &certificate) == SSH_OK &&
	    ssh_pki_copy_cert_to_privkey(certificate, h->key) == SSH_OK;
	ssh_key_free(certificate);
	return ok ? SP_OK : ssh_fail(s, SP_EINTERNAL, "libssh does not take the session's certificate");
}

static int
take_password(struct sp_session *s, struct sp_bytes bytes)
{
	struct ssh *h = sp_state(s);
	h->password = malloc(bytes.len + 1);
	if (h->password == NULL)
		return SP_ENOMEM;
	memcpy(h->password, bytes.p, bytes.len);
	h->password[bytes.len] = '\0';
	h->password_len = bytes.len;
	return SP_OK;
}

static void
forget_password(struct ssh *h)
{
	if (h->password != NULL)
		explicit_bzero(h->password, h->password_len);
	free(h->password);
	h->password = NULL;
}

int
target_proved(struct sp_session *s, const struct sp_answer *a)
{
	const struct ssh *h = sp_state(s);
	if (!a->ok)
		return ssh_fail(s, SP_EDENIED, "no login to the target: %s", a->text == NULL ? "" : a->text);
	ssh_enter(s, LOGIN);
	if (strcmp(sp_login_mechanism(s), "ssh-key") == 0)
		return h->agent == NULL ? agent_begin(s, a->bytes) : agent_answer(s, a->bytes);
	return h->key != NULL ? take_certificate(s, a->bytes) : take_password(s, a->bytes);
}

/* ---- the host key ---- */

static int
refuse_host_key(struct sp_session *s, const char *print)
{
	const struct ssh *h = sp_state(s);
	const struct ssh_conf *conf = sp_conf(s);
	const char *why = h->vouching.why == NULL || h->vouching.why[0] == '\0' ? "its host certificate vouches for another key" : h->vouching.why;
	if (conf->host_ca.n > 0)
		return ssh_fail(s, SP_EDENIED, "the target's host key %s is not known%s: %s", print,
		    conf->host_key.n > 0 ? " (host_key, host_ca)" : " (host_ca)", why);
	return ssh_fail(s, SP_EDENIED, "the target's host key %s is not the one that its configuration pins (host_key): "
				       "if it was changed on purpose, an operator has to enter the new one", print);
}

/* Known: on to the proof.  Where a certificate may say more, it is asked for, once. */
static int
judge_host_key(struct sp_session *s, const char *print)
{
	const struct ssh *h = sp_state(s);
	const struct ssh_conf *conf = sp_conf(s);
	if (ssh_listed(&conf->host_key, print) || (conf->host_ca.n > 0 && host_ca_vouches(s, print)))
		return ask(s);
	return conf->host_ca.n > 0 && !h->vouched ? ask_certificate_of_host(s) : refuse_host_key(s, print);
}

static int
check_host_key(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	ssh_key key = NULL;
	unsigned char *hash = NULL;
	size_t len = 0;
	int rc = ssh_get_server_publickey(h->leg[SP_TARGET].ssh, &key);
	if (rc == SSH_OK)
		rc = ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &len);
	char *print = rc == SSH_OK ? ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, len) : NULL;
	rc = judge_host_key(s, print == NULL ? "?" : print);
	ssh_string_free_char(print);
	ssh_clean_pubkey_hash(&hash);
	ssh_key_free(key);
	return rc;
}

/* ---- step by step ---- */

static int
step_connect(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	struct leg *l = &h->leg[SP_TARGET];
	int rc = ssh_connect(l->ssh);
	if (rc == SSH_AGAIN)
		return SP_OK;
	if (rc != SSH_OK)
		return ssh_fail(s, SP_EPROTO, "no keys could be agreed on with the target: %s", ssh_get_error(l->ssh));
	*moved_r = true;
	leg_add(h, SP_TARGET);
	rc = leg_check(s, SP_TARGET);
	return rc == SP_OK ? check_host_key(s) : rc;
}

/* The target's certificate is there, or why there is none: before libssh's connection, or once that has shown a key. */
static int
step_vouch(struct sp_session *s, bool *moved_r)
{
	const struct ssh *h = sp_state(s);
	if (h->vouching.waits)
		return SP_OK;
	if (host_ca_missed(s))
		return host_ca_ask(s);
	*moved_r = true;
	if (h->leg[SP_TARGET].ssh != NULL)
		return check_host_key(s);
	const char *why = h->vouching.why;
	if (why == NULL || why[0] != '\0')
		return ssh_fail(s, SP_EDENIED, "the target is not known (host_ca): %s", why == NULL ? "no memory" : why);
	return begin_connect(s);
}

static int
become_ready(struct sp_session *s)
{
	const char *login = login_of(s);
	if (sp_inspects(s)) {
		sp_found(s, false, "the host key is known, and it logs in");
		return sp_inspected(s);
	}
	ssh_enter(s, READY);
	int rc = sp_fact(s, "role", sp_str(login));
	if (rc == SP_OK)
		rc = sp_fact(s, "stdin", SP_LIT("not seen before it is allowed"));
	return rc == SP_OK ? sp_ready(s) : rc;
}

static int
step_login(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	ssh_session c = h->leg[SP_TARGET].ssh;
	struct sp_challenge sign = { .mechanism = "ssh-key", .step = 1 };
	int rc = h->agent != NULL ? ssh_userauth_agent(c, NULL)
	    : h->key != NULL	  ? ssh_userauth_publickey(c, NULL, h->key)
				  : ssh_userauth_password(c, NULL, h->password);
	if (rc == SSH_AUTH_AGAIN)
		return SP_OK;
	if (h->agent != NULL && rc != SSH_AUTH_SUCCESS && agent_wanted(s, &sign.transcript)) {
		*moved_r = true;
		ssh_enter(s, PROOF);
		return sp_prove(s, &sign);
	}
	forget_password(h);
	*moved_r = true;
	if (rc == SSH_AUTH_SUCCESS)
		return become_ready(s);
	return ssh_fail(s, SP_EDENIED, "the target does not let the gateway in as %s%s", login_of(s),
	    h->agent != NULL	 ? " with its key (authorized_keys there?)"
		: h->key != NULL ? " with its certificate (TrustedUserCAKeys there?)"
				 : " with its password");
}

int
target_step(struct sp_session *s, bool *moved_r)
{
	const struct ssh *h = sp_state(s);
	if (h->state == VOUCH)
		return step_vouch(s, moved_r);
	if (h->state == CONNECT)
		return step_connect(s, moved_r);
	return h->state == LOGIN ? step_login(s, moved_r) : SP_OK;
}
