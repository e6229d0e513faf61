/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side until the keeper has said who it is.
 *
 *   none ─▶ what there is: publickey, keyboard-interactive, password
 *   publickey: a certificate of ours, and this connection signed with its key ─▶ the keeper
 *   publickey: a plain Ed25519 key, where `keys on`, and this connection signed with it ─▶ the keeper
 *   password, or the answer to our one question ─▶ a token, or a ticket's password ─▶ the keeper
 *   an empty answer to it ─▶ the keeper has a code ─▶ shown, with the URL ─▶ a person confirms it in a browser
 *
 * The user's name is [LOGIN%]TARGET, or [LOGIN%]TICKET, which says its target itself.  A token is looked at by the
 * keeper only, once; then the session is admitted or over.  The same words answer a user, a target and a token that
 * don't exist (no enumeration).  Who has begun to sign in with a browser can't change the name any more (SS4).
 */
#include "ssh.h"

#include <stdio.h>
#include <stdlib.h>

#define METHODS (SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE)
#define QUESTIONS 64 /* what may I, would you take this key: they prove nothing, and cost no try */

static int
set_options(struct leg *l, struct sp_bytes pem)
{
	ssh_key key = NULL;
	bool off = false;
	l->bind = ssh_bind_new();
	if (l->bind == NULL || ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &off) != SSH_OK)
		return SP_ENOMEM;
	if (pem.len == 0 || ssh_pki_import_privkey_base64((const char *)pem.p, NULL, NULL, NULL, &key) != SSH_OK)
		return SP_ECONF;
	/* the key is the bind's from here on */
	bool ok = ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) == SSH_OK &&
	    ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_CIPHERS_C_S, ssh_ciphers) == SSH_OK &&
	    ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_CIPHERS_S_C, ssh_ciphers) == SSH_OK &&
	    ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, ssh_exchanges) == SSH_OK &&
	    ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_HMAC_C_S, ssh_macs) == SSH_OK &&
	    ssh_bind_options_set(l->bind, SSH_BIND_OPTIONS_HMAC_S_C, ssh_macs) == SSH_OK &&
	    ssh_options_set(l->ssh, SSH_OPTIONS_COMPRESSION_C_S, "none") == SSH_OK &&
	    ssh_options_set(l->ssh, SSH_OPTIONS_COMPRESSION_S_C, "none") == SSH_OK;
	return ok ? SP_OK : SP_EINTERNAL;
}

int
login_begin(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	struct leg *l = &h->leg[SP_CLIENT];
	int fd;
	int rc = leg_open(s, SP_CLIENT, &fd);
	if (rc != SP_OK)
		return rc;
	rc = set_options(l, sp_host_key(s));
	if (rc == SP_ECONF)
		return ssh_fail(s, rc, "the listener's host_key is no private key that SSH takes (ssh-keygen -t ed25519 -N '' makes one)");
	if (rc != SP_OK || ssh_bind_accept_fd(l->bind, l->ssh, fd) != SSH_OK)
		return ssh_fail(s, SP_EINTERNAL, "libssh takes no client: %s", l->bind == NULL ? "" : ssh_get_error(l->bind));
	ssh_set_blocking(l->ssh, 0);
	ssh_set_auth_methods(l->ssh, METHODS);
	return SP_OK;
}

static bool
copy_part(char *to, size_t max, const char *from, size_t n)
{
	if (n == 0 || n >= max)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)from[i] <= ' ' || from[i] == 0x7f)
			return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

bool
login_name(const char *user, char login_r[LOGIN_MAX], char target_r[64])
{
	const char *cut = user == NULL ? NULL : strrchr(user, '%');
	const char *target = cut == NULL ? user : cut + 1;
	login_r[0] = target_r[0] = '\0';
	if (target == NULL || !copy_part(target_r, 64, target, strlen(target)))
		return false;
	return cut == NULL || copy_part(login_r, LOGIN_MAX, user, (size_t)(cut - user));
}

static int
authenticate(struct sp_session *s, ssh_message m, const char *secret)
{
	struct ssh *h = sp_state(s);
	bool ticket = strncmp(h->target, "spt-", 4) == 0;
	const struct sp_proof proof = { .kind = ticket ? SP_PROOF_TICKET : SP_PROOF_BEARER, .secret = sp_str(secret),
		.user = ticket ? h->target : "token", .target = ticket ? "" : h->target, .part = h->login };
	ssh_enter(s, KEEPER);
	h->auth = m;
	return sp_authenticate(s, &proof);
}

static int
count_try(struct sp_session *s)
{
	const struct ssh_conf *conf = sp_conf(s);
	struct ssh *h = sp_state(s);
	if (++h->tries >= conf->auth_tries)
		return ssh_fail(s, SP_EDENIED, "the client tried %u times to log in", h->tries);
	return SP_OK;
}

/* A wrong one costs a try; then the same answer as ever. */
static int
refuse(struct sp_session *s, ssh_message m)
{
	(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	return count_try(s);
}

static int
take_question(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	return ++h->questions > QUESTIONS ? ssh_fail(s, SP_EPROTO, "the client asks for ever what it may do") : SP_OK;
}

/*
 * Who it is says the request that is signed, alone: what was offered before counts for nothing (SS2).  Any
 * Ed25519 certificate (and key, where keys are taken) is worth a signature: so nobody learns which are ours.
 */
static int
take_key(struct sp_session *s, ssh_message m)
{
	uint8_t blob[4096];
	char *text = NULL;
	struct ssh *h = sp_state(s);
	ssh_key key = ssh_message_auth_pubkey(m);
	enum ssh_publickey_state_e state = ssh_message_auth_publickey_state(m);
	const struct ssh_conf *conf = sp_conf(s);
	bool fits = key != NULL && (ssh_key_type(key) == SSH_KEYTYPE_ED25519_CERT01 || (conf->keys && ssh_key_type(key) == SSH_KEYTYPE_ED25519));
	if (state == SSH_PUBLICKEY_STATE_NONE) {
		(void)(fits ? ssh_message_auth_reply_pk_ok_simple(m) : ssh_message_reply_default(m));
		ssh_message_free(m);
		return take_question(s);
	}
	if (!fits || state != SSH_PUBLICKEY_STATE_VALID || ssh_pki_export_pubkey_base64(key, &text) != SSH_OK)
		return refuse(s, m);
	const struct sp_proof proof = { .kind = SP_PROOF_SSH, .secret = { blob, base64_decode(text, blob, sizeof(blob)) }, .user = "token",
		.target = h->target, .part = h->login };
	ssh_string_free_char(text);
	if (proof.secret.len == 0)
		return refuse(s, m);
	ssh_enter(s, KEEPER);
	h->auth = m;
	return sp_authenticate(s, &proof);
}

/* The first time for a code, which login_admitted() shows; then for whoever confirms it. */
static int
ask_a_person(struct sp_session *s, ssh_message m)
{
	struct ssh *h = sp_state(s);
	const struct sp_proof proof = { .kind = SP_PROOF_DEVICE, .user = "token", .target = h->target, .part = h->login };
	h->browser = true;
	h->auth = m;
	ssh_enter(s, KEEPER);
	return sp_authenticate(s, &proof);
}

/* A question without a prompt: the client shows it, answers at once, and waits for what we say. */
static int
show_code(struct sp_session *s, struct sp_bytes url)
{
	struct ssh *h = sp_state(s);
	ssh_message m = h->auth;
	char text[400];
	const char *none[] = { NULL };
	char hide[] = { 0 };
	(void)snprintf(text, sizeof(text), "Open this in a browser, compare the code, and confirm:\n\n    %.*s\n\n"
	    "This session begins then; ^C gives up.\n", (int)url.len, (const char *)url.p);
	h->auth = NULL;
	int rc = ssh_message_auth_interactive_request(m, "Sallyport", text, 0, none, hide);
	ssh_message_free(m);
	ssh_enter(s, AUTH);
	return rc == SSH_OK ? SP_OK : SP_EINTERNAL;
}

static int
take_answer(struct sp_session *s, ssh_message m)
{
	struct ssh *h = sp_state(s);
	ssh_session client = h->leg[SP_CLIENT].ssh;
	int n = ssh_userauth_kbdint_getnanswers(client);
	const char *secret = n == 1 ? ssh_userauth_kbdint_getanswer(client, 0) : NULL;
	if (h->browser)
		return n == 0 ? ask_a_person(s, m) : refuse(s, m);
	if (secret == NULL)
		return refuse(s, m);
	return secret[0] != '\0' ? authenticate(s, m, secret) : strncmp(h->target, "spt-", 4) == 0 ? refuse(s, m) : ask_a_person(s, m);
}

static int
take_interactive(struct sp_session *s, ssh_message m)
{
	static const char *const question[] = { "Token (or nothing, to sign in with a browser): " };
	char hide[] = { 0 };
	if (ssh_message_auth_kbdint_is_response(m)) /* of whom it is the answer, the question said */
		return take_answer(s, m);
	int rc = ssh_message_auth_interactive_request(m, "Sallyport", "A token, or a ticket's password (sallyport ticket):", 1,
	    (const char **)(uintptr_t)question, hide);
	ssh_message_free(m);
	return rc == SSH_OK ? SP_OK : SP_EINTERNAL;
}

static int
take_auth(struct sp_session *s, ssh_message m)
{
	struct ssh *h = sp_state(s);
	int kind = ssh_message_subtype(m);
	if (kind == SSH_AUTH_METHOD_INTERACTIVE && ssh_message_auth_kbdint_is_response(m))
		return h->target[0] == '\0' ? refuse(s, m) : take_interactive(s, m);
	if (h->browser)
		return refuse(s, m);
	bool named = login_name(ssh_message_auth_user(m), h->login, h->target);
	if (kind == SSH_AUTH_METHOD_NONE) {
		(void)ssh_message_auth_set_methods(m, METHODS);
		(void)ssh_message_reply_default(m);
		ssh_message_free(m);
		return take_question(s);
	}
	if (!named)
		return refuse(s, m);
	if (kind == SSH_AUTH_METHOD_INTERACTIVE)
		return take_interactive(s, m);
	if (kind == SSH_AUTH_METHOD_PUBLICKEY)
		return take_key(s, m);
	const char *password = kind == SSH_AUTH_METHOD_PASSWORD ? ssh_message_auth_password(m) : NULL;
	return password == NULL || password[0] == '\0' ? refuse(s, m) : authenticate(s, m, password);
}

static int
take_messages(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	int rc = SP_OK;
	while (rc == SP_OK && h->state == AUTH) {
		ssh_message m = ssh_message_get(h->leg[SP_CLIENT].ssh);
		if (m == NULL)
			return SP_OK;
		*moved_r = true;
		if (ssh_message_type(m) == SSH_REQUEST_AUTH) {
			rc = take_auth(s, m);
			continue;
		}
		if (ssh_message_type(m) == SSH_REQUEST_SERVICE)
			(void)ssh_message_service_reply_success(m);
		else /* nothing opens before we know who it is (SS8) */
			rc = ssh_fail(s, SP_EPROTO, "the client asks for something before it has logged in");
		ssh_message_free(m);
	}
	return rc;
}

int
login_step(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	struct leg *l = &h->leg[SP_CLIENT];
	if (h->state == HELLO) {
		int rc = ssh_handle_key_exchange(l->ssh);
		if (rc == SSH_AGAIN)
			return SP_OK;
		if (rc != SSH_OK)
			return ssh_fail(s, SP_EPROTO, "no keys could be agreed on with the client: %s", ssh_get_error(l->ssh));
		rc = leg_check(s, SP_CLIENT);
		if (rc != SP_OK)
			return rc;
		leg_add(h, SP_CLIENT);
		sp_handshaken(s);
		ssh_enter(s, AUTH);
		*moved_r = true;
	}
	return take_messages(s, moved_r);
}

int
login_admitted(struct sp_session *s, const struct sp_admission *a)
{
	struct ssh *h = sp_state(s);
	if (a->what == SP_CHALLENGE && h->auth != NULL)
		return show_code(s, a->bytes);
	ssh_message m = h->auth;
	h->auth = NULL;
	if (a->what == SP_ADMIT)
		(void)ssh_message_auth_reply_success(m, 0);
	else if (a->what == SP_RETRY) /* else the farewell says why: who reads "no" first may leave before it */
		(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	if (a->what == SP_RETRY) {
		ssh_enter(s, AUTH);
		return count_try(s);
	}
	if (a->what != SP_ADMIT)
		return ssh_fail(s, SP_EDENIED, "%s", a->text == NULL ? "access denied" : a->text);
	ssh_enter(s, DIALING);
	return SP_OK;
}
