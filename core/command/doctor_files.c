/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: who may read and change the files that a gateway stands on, and until when its certificates are good. */
#include <config.h>

#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SOON_DAYS 14
#define PEM_MAX (1u << 20)
#define CHAIN 16

/* ---- modes ---- */

enum secrecy { PUBLIC, SECRET };

/* Whoever may change the folder can put another file there. */
static void
look_above(struct doctor *d, const char *about, const char *path)
{
	struct stat st;
	char copy[4096];
	(void)snprintf(copy, sizeof(copy), "%s", path);
	const char *folder = dirname(copy);
	if (stat(folder, &st) == 0 && (st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0)
		doctor_say(d, DANGER, about, "everybody may put files into %s, where %s is: chmod o-w %s", folder, path, folder);
}

static void
look_at(struct doctor *d, const char *about, const char *path, enum secrecy secrecy)
{
	struct stat st;
	unsigned before = d->dangers + d->warnings;
	if (stat(path, &st) != 0) {
		doctor_say(d, errno == EACCES ? WARNING : DANGER, about, "%s: %s", path, strerror(errno));
		return;
	}
	if ((st.st_mode & S_IWOTH) != 0)
		doctor_say(d, DANGER, about, "everybody may change %s: chmod o-w %s", path, path);
	if (secrecy == SECRET && (st.st_mode & S_IROTH) != 0)
		doctor_say(d, DANGER, about, "everybody may read the secret in %s: chmod 0600 %s", path, path);
	else if (secrecy == SECRET && (st.st_mode & S_IRGRP) != 0)
		doctor_say(d, WARNING, about, "a group may read the secret in %s: chmod 0600 %s", path, path);
	look_above(d, about, path);
	if (d->dangers + d->warnings == before)
		doctor_say(d, GOOD, about, "%s is %s", path, secrecy == SECRET ? "read by its owner alone" : "changed by its owner alone");
}

static void
look_at_secret(struct doctor *d, const char *where)
{
	if (strncmp(where, "file:/", 6) == 0)
		look_at(d, "secret", where + 5, SECRET);
	else if (strncmp(where, "env:", 4) == 0)
		doctor_say(d, WARNING, "secret", "%s stands in the environment of the keeper: a file, or `sallyport secret set`, is read by fewer", where);
}

static void
look_at_users(struct doctor *d)
{
	static const char *const ends[] = { "", "-keeper", "-recorder", "-console" };
	char missing[512] = "";
	size_t n = 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		char name[256];
		(void)snprintf(name, sizeof(name), "%.200s%s", d->s->user, ends[i]);
		if (getpwnam(name) == NULL && n < sizeof(missing))
			n += (size_t)snprintf(missing + n, sizeof(missing) - n, " %s", name);
	}
	if (n > 0)
		doctor_say(d, WARNING, "users", "these users are missing, so that processes are not kept apart:%s", missing);
	else
		doctor_say(d, GOOD, "users", "each process has a user of its own");
}

static void
look_at_target(struct doctor *d, const struct target *t)
{
	const struct secret_settings *const logins[] = { &t->login, &t->catalogue, &t->admin, &t->estimate };
	for (size_t i = 0; i < sizeof(logins) / sizeof(*logins); i++) {
		const char *const where[] = { logins[i]->secret, logins[i]->key };
		for (size_t k = 0; k < 2; k++)
			if (where[k] != NULL)
				look_at_secret(d, where[k]);
	}
	for (size_t i = 0; i < t->policy.n; i++)
		look_at(d, "policy", t->policy.v[i], PUBLIC);
	if (t->tls.mode == TLS_OFF)
		doctor_say(d, WARNING, "target", "target %s is spoken to without TLS: whoever is between reads and changes what it says", t->b.name);
	else if (t->tls.mode == TLS_REQUIRE)
		doctor_say(d, WARNING, "target", "the certificate of target %s is not verified: anybody between may pose as it", t->b.name);
}

void
doctor_files(struct doctor *d)
{
	look_at(d, "configuration", d->conf, PUBLIC);
	look_at_users(d);
	for (const struct target *t = d->s->targets; t != NULL; t = (const struct target *)t->b.next)
		if (doctor_wants(d, t))
			look_at_target(d, t);
	for (const struct listener *l = d->s->listeners; l != NULL; l = (const struct listener *)l->b.next) {
		if (l->tls.key[0] == '/')
			look_at(d, "key", l->tls.key, SECRET);
		if (l->host_key[0] == '/')
			look_at(d, "key", l->host_key, SECRET);
		if (l->cleartext)
			doctor_say(d, WARNING, "listener", "listener %s takes tokens without TLS", l->b.name);
	}
	if (d->s->console.tls.key != NULL && d->s->console.tls.key[0] == '/')
		look_at(d, "key", d->s->console.tls.key, SECRET);
	if (d->s->local_issuer)
		doctor_say(d, WARNING, "identity", "the local issuer is on: whoever the control socket lets in may name anybody");
}

/* ---- certificates ---- */

/* The first that ends: of a chain, or of several authorities. */
static int
earliest_end(const char *path, time_t *end_r, unsigned *n_r)
{
	gnutls_datum_t pem = { NULL, 0 };
	gnutls_x509_crt_t *list = NULL;
	unsigned n = 0;
	*n_r = 0;
	if (gnutls_load_file(path, &pem) != 0)
		return SP_EIO;
	int rc = pem.size > PEM_MAX ? -1 : gnutls_x509_crt_list_import2(&list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
	for (unsigned i = 0; rc >= 0 && i < n; i++) {
		time_t end = gnutls_x509_crt_get_expiration_time(list[i]);
		*end_r = i == 0 || end < *end_r ? end : *end_r;
		gnutls_x509_crt_deinit(list[i]);
	}
	if (rc >= 0)
		gnutls_free(list);
	gnutls_free(pem.data);
	*n_r = rc >= 0 ? n : 0;
	return rc >= 0 && n > 0 ? SP_OK : SP_EPROTO;
}

static void
look_until(struct doctor *d, const char *whose, const char *path)
{
	time_t end = 0, now = time(NULL);
	unsigned n;
	if (path == NULL || path[0] != '/')
		return;
	if (earliest_end(path, &end, &n) != SP_OK) {
		doctor_say(d, access(path, R_OK) == 0 ? DANGER : WARNING, "certificate", "%s: %s holds no certificate that can be read here", whose, path);
		return;
	}
	long days = (long)((end - now) / 86400);
	if (n > CHAIN)
		return; /* a system's authorities: one of many that ends is nothing to worry about */
	if (end <= now)
		doctor_say(d, DANGER, "certificate", "%s: %s is no longer good, since %ld days", whose, path, -days);
	else
		doctor_say(d, days < SOON_DAYS ? WARNING : GOOD, "certificate", "%s: %s is good for %ld more days", whose, path, days);
}

/* Lists of revoked certificates are short-lived: who forgets to fetch them shuts everybody out. */
static void
look_at_lists(struct doctor *d, const char *whose, const char *path)
{
	gnutls_datum_t pem = { NULL, 0 };
	gnutls_x509_crl_t *list = NULL;
	unsigned n = 0;
	time_t end = 0, now = time(NULL);
	if (path[0] != '/')
		return;
	int rc = gnutls_load_file(path, &pem);
	if (rc == 0)
		rc = gnutls_x509_crl_list_import2(&list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
	for (unsigned i = 0; rc >= 0 && i < n; i++) {
		time_t until = gnutls_x509_crl_get_next_update(list[i]);
		end = i == 0 || until < end ? until : end;
		gnutls_x509_crl_deinit(list[i]);
	}
	gnutls_free(list);
	gnutls_free(pem.data);
	if (rc < 0 || n == 0)
		doctor_say(d, access(path, R_OK) == 0 ? DANGER : WARNING, "certificate", "%s: %s holds no list of revoked certificates that can be read here", whose, path);
	else if (end <= now)
		doctor_say(d, DANGER, "certificate", "%s: the list of revoked certificates %s is out of date, so nobody whom it is about comes in: fetch a new one and reload",
		    whose, path);
	else
		doctor_say(d, GOOD, "certificate", "%s: the list of revoked certificates %s is good for %ld more hours", whose, path, (long)((end - now) / 3600));
}

void
doctor_certificates(struct doctor *d)
{
	char whose[200];
	for (const struct listener *l = d->s->listeners; l != NULL; l = (const struct listener *)l->b.next) {
		(void)snprintf(whose, sizeof(whose), "listener %.100s", l->b.name);
		look_until(d, whose, l->tls.cert);
	}
	look_until(d, "console", d->s->console.tls.cert);
	for (const struct target *t = d->s->targets; t != NULL; t = (const struct target *)t->b.next) {
		if (!doctor_wants(d, t))
			continue;
		(void)snprintf(whose, sizeof(whose), "target %.100s", t->b.name);
		look_until(d, whose, t->tls.ca);
		look_at_lists(d, whose, t->tls.crl);
		look_until(d, whose, t->login.cert);
	}
	for (const struct identity *i = d->s->identities; i != NULL; i = (const struct identity *)i->b.next) {
		(void)snprintf(whose, sizeof(whose), "identity %.100s", i->b.name);
		look_until(d, whose, i->certificate.ca);
		look_at_lists(d, whose, i->certificate.crl);
	}
}
