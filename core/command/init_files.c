/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that `init` writes:
 *
 *   sallyport.conf   conf.d/NAME.conf   tls/gateway.pem, .key (signed by itself)   secrets/NAME (empty, for the password)
 *   with an issuer: secrets/corp.oidc (empty, for its client's secret)
 *   and, unless root writes to the usual place: run/ log/ state/ sessions/
 *
 * Each is written anew or not at all, but for the sallyport.conf that an installation brings: unchanged, it is nobody's work.
 */
#include <config.h>

#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/settings.h"

#define YEAR (365 * 86400)
#define ISSUER_SECRET "secrets/corp.oidc"

/* ---- files and folders ---- */

static int
path_in(const struct init *i, const char *name, char path_r[PATH_MAX])
{
	return snprintf(path_r, PATH_MAX, "%s/%s", i->folder, name) < PATH_MAX ? DONE : failed("the name of the folder is too long");
}

/* user: of those that the processes run as; NULL: whoever runs this. */
static int
give(const char *path, const char *user)
{
	const struct passwd *pw = user == NULL || geteuid() != 0 ? NULL : getpwnam(user);
	if (pw != NULL && lchown(path, pw->pw_uid, pw->pw_gid) != 0)
		return failed("cannot give %s to %s: %s", path, user, strerror(errno));
	return DONE;
}

static int
make_folder(const struct init *i, const char *name, mode_t mode, const char *user)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = path_in(i, name, path);
	if (rc != DONE)
		return rc;
	bool made = mkdir(path, mode) == 0;
	if (!made && errno != EEXIST)
		return failed("cannot make %s: %s", path, strerror(errno));
	if (!made && (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
		return failed("%s is no folder: move it away first", path);
	if (!made && (st.st_mode & (S_IWGRP | S_IWOTH) & ~mode) != 0)
		return failed("others may change what is in %s: chmod go-w %s, and see what is there", path, path);
	if (made && chmod(path, mode) != 0) /* whatever the umask */
		return failed("cannot make %s: %s", path, strerror(errno));
	return give(path, user);
}

static int
write_file(const struct init *i, const char *name, mode_t mode, const char *user, struct sp_bytes text)
{
	char path[PATH_MAX];
	int rc = path_in(i, name, path);
	int fd = rc == DONE ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode) : -1;
	if (fd < 0)
		return rc != DONE ? rc : failed("cannot make %s: %s", path, errno == EEXIST ? "it is there already; move it away first" : strerror(errno));
	bool good = fchmod(fd, mode) == 0 && write(fd, text.p, text.len) == (ssize_t)text.len;
	if (close(fd) != 0 || !good)
		return failed("cannot write %s: %s", path, strerror(errno));
	return give(path, user);
}

static bool
is_same(const char *a, const char *b)
{
	gnutls_datum_t one = { NULL, 0 }, other = { NULL, 0 };
	bool same = gnutls_load_file(a, &one) == 0 && gnutls_load_file(b, &other) == 0 && one.size == other.size && memcmp(one.data, other.data, one.size) == 0;
	gnutls_free(one.data);
	gnutls_free(other.data);
	return same;
}

/* Before anything is written: all of it can be, and what was shipped makes room. */
static int
make_room(const struct init *i, const char *const names[])
{
	char path[PATH_MAX];
	for (size_t k = 0; names[k] != NULL; k++) {
		int rc = path_in(i, names[k], path);
		if (rc != DONE)
			return rc;
		if (access(path, F_OK) == 0 && (k > 0 || i->shipped[0] == '\0' || !is_same(path, i->shipped)))
			return failed("%s is there already; move it away first", path);
	}
	int rc = path_in(i, names[0], path);
	if (rc == DONE && unlink(path) != 0 && errno != ENOENT)
		return failed("cannot replace %s: %s", path, strerror(errno));
	return rc;
}

/* ---- the certificate ---- */

static int
name_it(gnutls_x509_crt_t crt, const struct init *i)
{
	char host[256] = "localhost";
	struct hostport at;
	uint8_t v4[4] = { 127, 0, 0, 1 };
	(void)gethostname(host, sizeof(host) - 1);
	int rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, host, (unsigned)strnlen(host, 64));
	if (rc == 0)
		rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host), GNUTLS_FSAN_SET);
	if (rc == 0)
		rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_APPEND);
	if (rc == 0 && settings_hostport(settings_console_host(i->url), &at) == SP_OK && !at.literal && strcmp(at.host, host) != 0)
		rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, at.host, (unsigned)strlen(at.host), GNUTLS_FSAN_APPEND);
	if (rc == 0 && settings_hostport(i->listen, &at) == SP_OK && at.loopback)
		rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, v4, sizeof(v4), GNUTLS_FSAN_APPEND);
	return rc;
}

static int
sign_it(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const struct init *i)
{
	uint8_t serial[16];
	time_t now = time(NULL);
	int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] = (serial[0] & 0x3f) | 0x40; /* a positive number */
	rc = rc == 0 ? gnutls_x509_crt_set_version(crt, 3) : rc;
	rc = rc == 0 ? gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)) : rc;
	rc = rc == 0 ? gnutls_x509_crt_set_activation_time(crt, now - 300) : rc;
	rc = rc == 0 ? gnutls_x509_crt_set_expiration_time(crt, now + YEAR) : rc;
	rc = rc == 0 ? name_it(crt, i) : rc;
	rc = rc == 0 ? gnutls_x509_crt_set_basic_constraints(crt, 1, 0) : rc; /* clients name it as their root */
	rc = rc == 0 ? gnutls_x509_crt_set_key(crt, key) : rc;
	return rc == 0 ? gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) : rc;
}

static int
write_certificate(const struct init *i)
{
	gnutls_x509_crt_t crt = NULL;
	gnutls_x509_privkey_t key = NULL;
	gnutls_datum_t pem = { NULL, 0 }, secret = { NULL, 0 };
	int rc = gnutls_x509_crt_init(&crt);
	rc = rc == 0 ? gnutls_x509_privkey_init(&key) : rc;
	rc = rc == 0 ? gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) : rc;
	rc = rc == 0 ? sign_it(crt, key, i) : rc;
	rc = rc == 0 ? gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) : rc;
	rc = rc == 0 ? gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &secret) : rc;
	int done = rc == 0 ? DONE : failed("a certificate could not be made: %s", gnutls_strerror(rc));
	if (done == DONE)
		done = write_file(i, "tls/gateway.pem", 0644, NULL, (struct sp_bytes){ pem.data, pem.size });
	if (done == DONE) /* the workers' */
		done = write_file(i, "tls/gateway.key", 0600, "sallyport", (struct sp_bytes){ secret.data, secret.size });
	if (secret.data != NULL)
		mem_wipe(secret.data, secret.size);
	gnutls_free(secret.data);
	gnutls_free(pem.data);
	if (key != NULL)
		gnutls_x509_privkey_deinit(key);
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	return done;
}

/* ---- the texts ---- */

static void
put_places(FILE *f, const struct init *i)
{
	if (i->system) {
		(void)fprintf(f, "log           /var/log/sallyport/error.log level=info;\naudit         /var/log/sallyport/audit.jsonl;\n"
				 "access        /var/log/sallyport/access.log;\ncontrol       /run/sallyport/control.sock mode=0660 group=adm%s;\n"
				 "store         sqlite:/var/lib/sallyport/state.db;\n\nrecord {\n    store     /var/lib/sallyport/sessions;\n    anchor    syslog:auth;\n",
		    strcmp(i->issuer, "local") == 0 ? " may=mint" : "");
		return;
	}
	(void)fprintf(f, "pid           %s/run/sallyportd.pid;\nlog           %s/log/error.log level=info;\naudit         %s/log/audit.jsonl;\n"
			 "access        %s/log/access.log;\ncontrol       %s/run/control.sock mode=0600%s;\nstore         sqlite:%s/state/state.db;\n\n"
			 "record {\n    store     %s/sessions;\n",
	    i->folder, i->folder, i->folder, i->folder, i->folder, strcmp(i->issuer, "local") == 0 ? " may=mint" : "", i->folder, i->folder);
}

static void
put_identity(FILE *f, const struct init *i)
{
	if (strcmp(i->issuer, "local") == 0) {
		(void)fprintf(f, "# For a first look: tokens of the gateway's own, by `sallyport token --user ann --groups %s`.  Whoever the\n"
				 "# control socket lets in could then be anyone: name a real issuer before others come.\nlocal_issuer  on;\n", i->groups);
		return;
	}
	(void)fprintf(f, "identity corp {\n    oidc      issuer=%s client=%s secret=file:%s/" ISSUER_SECRET ";\n    class     human;\n"
			 "    user      claim=preferred_username show=email;\n    groups    claim=groups;\n"
			 "    # roles   approver=leads auditor=security admin=platform;\n}\n\n", i->issuer, i->client, i->folder);
	struct hostport at = { .port = 0 }, from = { .port = 0 };
	if (settings_hostport(settings_console_host(i->url), &at) != SP_OK || settings_hostport(i->listen, &from) != SP_OK)
		return; /* both were looked at */
	bool v6 = strchr(from.host, ':') != NULL;
	(void)fprintf(f, "# Where people sign in, and `sallyport login` asks.\nconsole {\n    listen    %s%s%s:%u;\n"
			 "    tls       cert=%s/tls/gateway.pem key=%s/tls/gateway.key;\n    url       %s;\n}\n",
	    v6 ? "[" : "", from.host, v6 ? "]" : "", at.port, i->folder, i->folder, i->url);
}

static void
put_main(FILE *f, const struct init *i)
{
	(void)fprintf(f, "# SPDX-License-Identifier: Apache-2.0\n# The gateway as a whole, by `sallyport init`.  Listeners and targets are in conf.d/.\n"
			 "# Check with `sallyportd -t` and `sallyport doctor`; `sallyport doc directives` lists every directive.\n\n"
			 "user          sallyport;\nworkers       auto;\nload_module   %s;\n\n", i->module);
	put_places(f, i);
	(void)fprintf(f, "    sync      group;\n    output    full;\n    keep      90d;\n}\n\n");
	put_identity(f, i);
	(void)fprintf(f, "\ninclude       conf.d/*.conf;\n");
}

static void
put_target(FILE *f, const struct init *i)
{
	static const char *const policy[] = { "clients", "writes", "ddl", "dangerous", "pii" };
	struct hostport at = { .loopback = false };
	if (settings_hostport(i->server, &at) != SP_OK)
		at.loopback = false;
	(void)fprintf(f, "# SPDX-License-Identifier: Apache-2.0\n\nlistener pg {\n    listen    %s;\n    protocol  postgres;\n"
			 "    tls       cert=%s/tls/gateway.pem key=%s/tls/gateway.key;   # signed by itself, for a year\n}\n\n", i->listen, i->folder, i->folder);
	(void)fprintf(f, "target %s {\n    protocol  postgres;\n    server    %s;\n    tls       %s;\n    login     user=%s secret=file:%s/secrets/%s;\n"
			 "    database  %s;\n    allow     groups=%s;\n    label     env=prod;                                 # policies read it\n",
	    i->target, i->server, at.loopback ? "off" : "verify-full ca=/etc/ssl/certs/ca-certificates.crt", i->login, i->folder, i->target, i->database, i->groups);
	for (size_t k = 0; k < sizeof(policy) / sizeof(*policy); k++)
		(void)fprintf(f, "%s%s/%s.lua%s\n", k == 0 ? "    policy    " : "              ", i->policies, policy[k],
		    k + 1 == sizeof(policy) / sizeof(*policy) ? ";" : "");
	(void)fprintf(f, "    timeout   connect=3s idle=30m;\n%s}\n",
	    flag(i->r, "observe") ? "    mode      observe;                                  # nothing is refused or masked yet: `sallyport report`\n"
				  : "    # mode    observe;                                  # refuse and mask nothing yet: `sallyport report`\n");
}

static int
write_text(const struct init *i, const char *name, void (*put)(FILE *, const struct init *))
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	if (f == NULL)
		return failed("out of memory");
	put(f, i);
	int rc = fclose(f) == 0 ? write_file(i, name, 0644, NULL, (struct sp_bytes){ (const uint8_t *)text, n }) : failed("out of memory");
	free(text);
	return rc;
}

static int
make_folders(const struct init *i)
{
	static const struct {
		const char *name, *user;
		mode_t mode;
		bool own; /* only where the system has no place for it */
	} folder[] = { { "conf.d", NULL, 0755, false }, { "tls", NULL, 0755, false }, { "secrets", "sallyport-keeper", 0700, false },
		{ "run", NULL, 0755, true }, { "log", NULL, 0755, true }, { "state", "sallyport-keeper", 0700, true },
		{ "sessions", "sallyport-recorder", 0750, true } };
	int rc = DONE;
	for (size_t k = 0; k < sizeof(folder) / sizeof(*folder) && rc == DONE; k++)
		if (!folder[k].own || !i->system)
			rc = make_folder(i, folder[k].name, folder[k].mode, folder[k].user);
	return rc;
}

static void
say_next(const struct init *i, const char *secret, bool local)
{
	unsigned step = 0;
	char conf[PATH_MAX] = ""; /* as a word more, where it is not the one that is looked for */
	if (!i->system)
		(void)snprintf(conf, sizeof(conf), " %s/sallyport.conf", i->folder);
	const char *c = i->system ? "" : " -c", *long_c = i->system ? "" : " --conf";
	(void)printf("%s/sallyport.conf is written.  Next:\n\n  %u. put the password of %s into %s/%s (nothing else, mode 0600)\n", i->folder, ++step,
	    i->login, i->folder, secret);
	if (!local)
		(void)printf("  %u. register the client \"%s\" at %s: confidential, authorization code with PKCE,\n"
			     "     redirect URI %s/signin/callback/corp, groups in the claim \"groups\" of the id_token;\n     put its secret into %s/" ISSUER_SECRET "\n",
		    ++step, i->client, i->issuer, i->url, i->folder);
	(void)printf("  %u. sallyportd%s%s -t --connect\n", ++step, c, conf);
	(void)printf("  %u. sallyport doctor%s%s\n", ++step, long_c, conf);
	(void)printf("  %u. %s%s%s\n", ++step, i->system ? "systemctl enable --now sallyport" : "sallyportd", c, conf);
	if (local)
		(void)printf("  %u. psql 'host=localhost port=%s dbname=%s user=ann sslmode=verify-full sslrootcert=%s/tls/gateway.pem'\n"
			     "     with a token as password: sallyport token --user ann --groups %s\n", ++step, strrchr(i->listen, ':') + 1, i->target, i->folder, i->groups);
	else
		(void)printf("  %u. each person, with a copy of %s/tls/gateway.pem while that is the certificate:\n"
			     "     sallyport login --server %s --ca gateway.pem\n     PGSSLROOTCERT=gateway.pem sallyport connect %s\n", ++step, i->folder, i->url, i->target);
}

int
init_write(const struct init *i)
{
	bool local = strcmp(i->issuer, "local") == 0;
	char name[128], secret[128];
	(void)snprintf(name, sizeof(name), "conf.d/%s.conf", i->target);
	(void)snprintf(secret, sizeof(secret), "secrets/%s", i->target);
	const char *const names[] = { "sallyport.conf", name, "tls/gateway.pem", "tls/gateway.key", secret, local ? NULL : ISSUER_SECRET, NULL };
	const struct sp_bytes nothing = { (const uint8_t *)"", 0 };
	int rc = make_room(i, names);
	if (rc == DONE)
		rc = make_folders(i);
	if (rc == DONE)
		rc = write_text(i, "sallyport.conf", put_main);
	if (rc == DONE)
		rc = write_text(i, name, put_target);
	if (rc == DONE)
		rc = write_certificate(i);
	if (rc == DONE)
		rc = write_file(i, secret, 0600, "sallyport-keeper", nothing);
	if (rc == DONE && !local)
		rc = write_file(i, ISSUER_SECRET, 0600, "sallyport-keeper", nothing);
	if (rc == DONE)
		say_next(i, secret, local);
	return rc;
}
