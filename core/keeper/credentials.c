/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets' secrets, read once an epoch, and the SCRAM keys made of them: in locked memory, wiped.
 * What was derived is kept with its secret, since 4096 rounds cost milliseconds.
 */
#include <config.h>

#include "proof.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/sealed.h"
#include "scram.h"
#include "ssh_certificate.h"

#define SECRET_MAX 8192 /* a password, or a private key */
#define KEPT 4 /* sets of derived keys for one secret: a target has one salt, a hostile one many */

struct derived {
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
	struct sp_secret *keys;
};

struct entry {
	struct entry *next;
	const char *target;   /* "" of an identity */
	const char *identity; /* "" of a target */
	enum credential_use of;
	struct credential c;
	struct derived derived[KEPT];
	size_t kept;
};

struct credentials {
	struct entry *first;
};

static char error_text[1024], why_text[512];

static int
read_file(const char *path, struct sp_secret **s_r, const char **why_r)
{
	uint8_t text[SECRET_MAX + 2];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	*why_r = strerror(errno);
	if (fd < 0)
		return SP_EIO;
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IROTH) != 0)
		log_warn("the secret %s is readable for everybody: chmod o-r", log_quote(sp_str(path)));
	ssize_t n = read(fd, text, sizeof(text));
	*why_r = n < 0 ? strerror(errno) : "is empty or longer than 8192 bytes";
	(void)close(fd);
	/* One newline at the end is the editor's. */
	if (n > 0 && text[n - 1] == '\n')
		n--;
	bool fits = n > 0 && n <= SECRET_MAX;
	if (fits && memchr(text, 0, (size_t)n) != NULL) {
		*why_r = "has a NUL in it";
		fits = false;
	}
	*s_r = fits ? secret_new((struct sp_bytes){ text, (size_t)n }) : NULL;
	if (fits && *s_r == NULL)
		*why_r = "was read, but there is no locked memory for it (RLIMIT_MEMLOCK)";
	mem_wipe(text, sizeof(text));
	return *s_r == NULL ? SP_EIO : SP_OK;
}

/* The sealed secrets of an epoch, and their keys, read when the first one is wanted. */
struct sealed_place {
	const char *key, *folder, *token; /* token: where that of the target's vault is */
	struct sealed_keys keys;
};

/* A rotation changes the key file first, then the secrets: who has read the old keys reads them once more. */
static int
read_sealed(struct sealed_place *v, const char *name, struct sp_secret **s_r, const char **why_r)
{
	int rc = SP_ETIME;
	for (unsigned tries = 0; tries < 2 && rc == SP_ETIME; tries++) {
		if (tries > 0)
			sealed_keys_free(&v->keys);
		if (v->keys.n == 0 && sealed_keys_read(v->key + 5, &v->keys, why_r) != SP_OK) {
			(void)snprintf(why_text, sizeof(why_text), "cannot be opened: the key file %s %s", log_quote(sp_str(v->key + 5)), *why_r);
			*why_r = why_text;
			return SP_ECONF;
		}
		rc = sealed_read(&v->keys, v->folder, name, s_r, why_r);
	}
	return rc;
}

static int
read_secret(struct sealed_place *v, const char *where, struct sp_secret **s_r, const char **why_r)
{
	*s_r = NULL;
	if (strncmp(where, "file:", 5) == 0)
		return read_file(where + 5, s_r, why_r);
	if (strncmp(where, "sealed:", 7) == 0)
		return read_sealed(v, where + 7, s_r, why_r);
	if (strncmp(where, "env:", 4) != 0) {
		*why_r = "must be file:PATH, env:NAME or sealed:NAME";
		return SP_ECONF;
	}
	const char *text = getenv(where + 4);
	*why_r = "is not in the environment, or empty";
	if (text == NULL || text[0] == '\0' || strlen(text) > SECRET_MAX)
		return SP_ECONF;
	*s_r = secret_new(sp_str(text));
	*why_r = "was read, but there is no locked memory for it (RLIMIT_MEMLOCK)";
	return *s_r == NULL ? SP_EIO : SP_OK;
}

int
credential_read(const struct settings *settings, const char *where, struct sp_secret **s_r, const char **why_r)
{
	struct sealed_place v = { .key = settings->secrets.key, .folder = settings->secrets.folder };
	int rc = read_secret(&v, where, s_r, why_r);
	sealed_keys_free(&v.keys);
	return rc;
}

/* Kept as it stands, in locked memory: GnuTLS would not lock it. */
static int
read_key(struct sealed_place *v, const char *where, struct sp_secret **s_r, const char **why_r)
{
	int rc = read_secret(v, where, s_r, why_r);
	if (rc != SP_OK)
		return rc;
	const gnutls_datum_t pem = { (unsigned char *)(uintptr_t)secret_bytes(*s_r).p, (unsigned)secret_bytes(*s_r).len };
	gnutls_privkey_t key;
	*why_r = "is not a private key in PEM without a passphrase";
	if (gnutls_privkey_init(&key) < 0)
		return SP_ENOMEM;
	rc = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) < 0 ? SP_ECONF : SP_OK;
	gnutls_privkey_deinit(key);
	return rc;
}

static int
add(struct credentials *c, struct sealed_place *v, const struct target *t, enum credential_use of, const char **err_r)
{
	const struct secret_settings token = { .user = "", .secret = of == OF_ADMIN && !t->login.ephemeral ? v->token : "", .key = "" };
	const struct secret_settings *const own[] = { [OF_LOGIN] = &t->login, [OF_CATALOGUE] = &t->catalogue, [OF_ESTIMATE] = &t->estimate,
		[OF_ADMIN] = t->login.ephemeral ? &t->admin : &token };
	const struct secret_settings *s = own[of];
	struct entry *e = mem_alloc(sizeof(*e));
	const char *why = "";
	*e = (struct entry){ .next = c->first, .target = t->b.name, .identity = "", .of = of,
		.c = { .user = s->user, .from = s->from, .forwarding = s->forwarding, .cleartext = s->cleartext && t->tls.mode != TLS_OFF } };
	c->first = e;
	const char *where = s->secret;
	int rc = s->secret[0] == '\0' ? SP_OK : read_secret(v, s->secret, &e->c.secret, &why);
	bool ssh = strcmp(t->protocol, "ssh") == 0;
	if (rc == SP_OK && s->key[0] != '\0') {
		where = s->key;
		rc = ssh ? read_secret(v, s->key, &e->c.ssh, &why) : read_key(v, s->key, &e->c.key, &why);
		if (rc == SP_OK && ssh)
			rc = ssh_ca_check(e->c.ssh, &why);
	}
	if (rc == SP_OK && s->ca != NULL && s->ca[0] != '\0') {
		where = s->ca;
		rc = read_secret(v, s->ca, &e->c.ca, &why);
		if (rc == SP_OK)
			rc = ssh_ca_check(e->c.ca, &why);
	}
	if (rc == SP_OK)
		return rc;
	(void)snprintf(error_text, sizeof(error_text), "%s:%u: target %s: the secret %s %s", t->b.file, t->b.line, t->b.name, where, why);
	*err_r = error_text;
	return rc;
}

static int
add_client(struct credentials *c, struct sealed_place *v, const struct identity *i, const char **err_r)
{
	struct entry *e = mem_alloc(sizeof(*e));
	const char *why = "";
	*e = (struct entry){ .next = c->first, .target = "", .identity = i->b.name, .c = { .user = "" } };
	c->first = e;
	bool saml = i->saml.key[0] != '\0';
	const char *where = saml ? i->saml.key : i->oidc.secret;
	if ((saml ? read_key(v, where, &e->c.key, &why) : read_secret(v, where, &e->c.secret, &why)) == SP_OK)
		return SP_OK;
	(void)snprintf(error_text, sizeof(error_text), "%s:%u: identity %s: the secret %s %s", i->b.file, i->b.line, i->b.name, where, why);
	*err_r = error_text;
	return SP_EIO;
}

int
credentials_new(const struct settings *s, struct credentials **c_r, const char **err_r)
{
	struct credentials *c = mem_alloc(sizeof(*c));
	struct sealed_place v = { .key = s->secrets.key, .folder = s->secrets.folder };
	int rc = SP_OK;
	for (const struct target *t = s->targets; rc == SP_OK && t != NULL; t = (const struct target *)t->b.next) {
		rc = add(c, &v, t, OF_LOGIN, err_r);
		if (rc == SP_OK && t->catalogue.user[0] != '\0')
			rc = add(c, &v, t, OF_CATALOGUE, err_r);
		if (rc == SP_OK && settings_estimates(t))
			rc = add(c, &v, t, OF_ESTIMATE, err_r);
		const struct vault *vault = settings_vault(s, t->login.vault);
		v.token = vault == NULL ? "" : vault->token;
		if (rc == SP_OK && settings_lends(t)) /* a command's is empty */
			rc = add(c, &v, t, OF_ADMIN, err_r);
	}
	for (const struct identity *i = s->identities; rc == SP_OK && i != NULL; i = (const struct identity *)i->b.next)
		if (i->oidc.secret[0] != '\0' || i->saml.key[0] != '\0')
			rc = add_client(c, &v, i, err_r);
	sealed_keys_free(&v.keys);
	if (rc != SP_OK)
		credentials_free(&c);
	*c_r = c;
	return rc;
}

void
credentials_free(struct credentials **c)
{
	if (*c == NULL)
		return;
	for (struct entry *e = (*c)->first, *next; e != NULL; e = next) {
		next = e->next;
		secret_free(&e->c.secret);
		secret_free(&e->c.key);
		secret_free(&e->c.ca);
		for (size_t i = 0; i < KEPT; i++)
			secret_free(&e->derived[i].keys);
		free(e);
	}
	free(*c);
	*c = NULL;
}

static const struct credential *
find(const struct credentials *c, const char *target, unsigned of)
{
	for (const struct entry *e = c->first; e != NULL; e = e->next)
		if (e->of == of && strcmp(e->target, target) == 0)
			return &e->c;
	return NULL;
}

const struct credential *
credentials_find(const struct credentials *c, const char *target, enum credential_use use)
{
	const struct credential *who = find(c, target, use);
	return who == NULL && use == OF_CATALOGUE ? find(c, target, OF_LOGIN) : who;
}

const struct credential *
credentials_admin(const struct credentials *c, const char *target)
{
	return find(c, target, OF_ADMIN);
}

const struct sp_secret *
credentials_client(const struct credentials *c, const char *identity)
{
	for (const struct entry *e = c->first; e != NULL; e = e->next)
		if (e->identity[0] != '\0' && strcmp(e->identity, identity) == 0)
			return e->c.secret;
	return NULL;
}

const struct sp_secret *
credentials_request_key(const struct credentials *c, const char *identity)
{
	for (const struct entry *e = c->first; e != NULL; e = e->next)
		if (e->identity[0] != '\0' && strcmp(e->identity, identity) == 0)
			return e->c.key;
	return NULL;
}

/* ---- derived keys ---- */

static struct entry *
entry_of(struct credentials *c, const struct credential *who)
{
	struct entry *e = c->first;
	while (e != NULL && &e->c != who)
		e = e->next;
	return e;
}

const struct scram_keys *
credentials_keys(struct credentials *c, const struct credential *who, struct sp_bytes salt, uint32_t iterations)
{
	const struct entry *e = entry_of(c, who);
	for (size_t i = 0; e != NULL && i < KEPT; i++) {
		const struct derived *d = &e->derived[i];
		if (d->keys != NULL && d->iterations == iterations && sp_bytes_eq((struct sp_bytes){ d->salt, d->salt_len }, salt))
			return (const struct scram_keys *)(const void *)secret_bytes(d->keys).p;
	}
	return NULL;
}

void
credentials_keep(struct credentials *c, const struct credential *who, struct sp_bytes salt, uint32_t iterations, struct sp_bytes keys)
{
	struct entry *e = entry_of(c, who);
	struct sp_secret *s = e == NULL || salt.len > SCRAM_SALT_MAX ? NULL : secret_new(keys);
	if (s == NULL)
		return;
	struct derived *d = &e->derived[e->kept++ % KEPT];
	secret_free(&d->keys);
	memcpy(d->salt, salt.p, salt.len);
	d->salt_len = salt.len;
	d->iterations = iterations;
	d->keys = s;
}
