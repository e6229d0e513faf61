/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that `init` writes:
 *
 *   sallyport.conf   conf.d/NAME.conf   tls/gateway.pem, .key (signed by itself)   secrets/NAME (empty, for the password)
 *   and, unless root writes to the usual place: run/ log/ state/ sessions/
 *
 * Each is written anew or not at all.
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
	(void)fprintf(f, "identity corp {\n    oidc      issuer=%s audience=sallyport api_audience=sallyport-api;\n    class     human;\n"
			 "    user      claim=preferred_username;\n    groups    claim=groups;\n    # roles   approver=leads auditor=security admin=platform;\n}\n",
	    i->issuer);
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

int
init_write(const struct init *i)
{
	char name[128], secret[128];
	(void)snprintf(name, sizeof(name), "conf.d/%s.conf", i->target);
	(void)snprintf(secret, sizeof(secret), "secrets/%s", i->target);
	int rc = make_folders(i);
	if (rc == DONE)
		rc = write_text(i, "sallyport.conf", put_main);
	if (rc == DONE)
		rc = write_text(i, name, put_target);
	if (rc == DONE)
		rc = write_certificate(i);
	if (rc == DONE)
		rc = write_file(i, secret, 0600, "sallyport-keeper", (struct sp_bytes){ (const uint8_t *)"", 0 });
	if (rc != DONE)
		return rc;
	(void)printf("%s/sallyport.conf is written.  Next:\n\n"
		     "  1. put the password of %s into %s/%s (nothing else, mode 0600)\n"
		     "  2. sallyportd -c %s/sallyport.conf -t --connect\n"
		     "  3. sallyport doctor --conf %s/sallyport.conf\n"
		     "  4. sallyportd -c %s/sallyport.conf\n"
		     "  5. psql 'host=… port=… dbname=%s user=YOU sslmode=verify-full sslrootcert=%s/tls/gateway.pem', with a token as password\n",
	    i->folder, i->login, i->folder, secret, i->folder, i->folder, i->folder, i->target, i->folder);
	return DONE;
}
