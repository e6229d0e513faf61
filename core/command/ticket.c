/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands about tickets: a short-lived user name and password for native clients, which are started with it. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../base/directive.h"
#include "command.h"

struct door { /* what a client has to be told */
	const char *host, *user, *password, *database, *protocol, *sslmode;
	char port[8];
};

/* Where a client would find the authority to verify the gateway by. */
static bool
has_authority(void)
{
	char path[4096];
	const char *named = getenv("PGSSLROOTCERT"), *home = getenv("HOME");
	if (named != NULL)
		return named[0] != '\0';
	int n = snprintf(path, sizeof(path), "%s/.postgresql/root.crt", home == NULL ? "" : home);
	return n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0;
}

static const char *
member(const json_t *answer, const char *name)
{
	const char *text = json_string_value(json_object_get(answer, name));
	return text == NULL ? "" : text;
}

static int
place_of(const struct run *r, const json_t *answer, struct door *p)
{
	bool tls = json_is_true(json_object_get(answer, "tls"));
	*p = (struct door){ .host = member(answer, "host"), .user = member(answer, "id"), .password = member(answer, "password"),
		.database = member(answer, "target"), .protocol = member(answer, "protocol"),
		.sslmode = !tls ? "disable" : has_authority() ? "verify-full" : "require" };
	if (option(r, "host") != NULL)
		p->host = option(r, "host");
	if (p->host[0] == '\0')
		p->host = "localhost"; /* every address of the gateway's host */
	(void)snprintf(p->port, sizeof(p->port), "%lld", json_integer_value(json_object_get(answer, "port")));
	if (json_object_get(answer, "port") == NULL)
		return failed("the gateway has no listener for %s", p->protocol);
	return p->user[0] == '\0' || p->password[0] == '\0' ? failed("the gateway's answer has no ticket") : DONE;
}

static int
make(const struct run *r, bool once, json_t **answer_r)
{
	const char *span = option(r, "for");
	uint64_t ms = 0;
	*answer_r = NULL;
	if (span != NULL && (directive_duration(span, &ms) != SP_OK || ms == 0))
		return misused(r, "--for takes a duration with its unit, such as 8h, not \"%s\"", span);
	json_t *args = json_pack("{s:s,s:b}", "target", r->word[0], "once", once);
	if (ms > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)ms));
	return client_call(r, "POST", "/api/v1/tickets", args, answer_r);
}

/* ---- ticket ---- */

static bool
is_ssh(const struct door *p)
{
	return strcmp(p->protocol, "ssh") == 0;
}

/* A protocol on top of HTTP: the ticket goes as Basic. */
static bool
is_web(const struct door *p)
{
	return strcmp(p->protocol, "http") == 0 || strcmp(p->protocol, "docker") == 0;
}

static bool
is_tls(const struct door *p)
{
	return strcmp(p->sslmode, "disable") != 0;
}

/* "Basic …", of the ticket; SP_ENOMEM. */
static int
basic(const struct door *p, struct buffer *out)
{
	struct buffer plain = { 0 };
	int rc = buffer_printf(&plain, "%s:%s", p->user, p->password);
	if (rc == SP_OK)
		rc = buffer_printf(out, "Basic ");
	if (rc == SP_OK)
		rc = text_base64(buffer_bytes(&plain), out);
	buffer_free(&plain);
	return rc == SP_OK ? buffer_put(out, (struct sp_bytes){ (const uint8_t *)"", 1 }) : rc;
}

static void
print_dsn(const struct door *p)
{
	bool v6 = strchr(p->host, ':') != NULL;
	const char *scheme = is_ssh(p) ? "ssh" : !is_web(p) ? "postgresql" : is_tls(p) ? "https" : "http";
	(void)printf("%s://%s:%s@%s%s%s:%s", scheme, p->user, p->password, v6 ? "[" : "", p->host, v6 ? "]" : "", p->port);
	if (is_web(p))
		(void)putchar('/');
	else if (!is_ssh(p))
		(void)printf("/%s?sslmode=%s", p->database, p->sslmode);
	(void)putchar('\n');
}

/* DOCKER_CUSTOM_HEADERS: of docker 26 and later; `connect` serves the ones before. */
static void
print_web(const struct door *p)
{
	struct buffer header = { 0 };
	if (basic(p, &header) != SP_OK)
		return;
	const char *value = (const char *)header.p + header.start;
	if (strcmp(p->protocol, "docker") == 0)
		(void)printf("export DOCKER_HOST='tcp://%s:%s' DOCKER_TLS_VERIFY='%s' DOCKER_CUSTOM_HEADERS='Authorization=%s'\n", p->host, p->port,
		    is_tls(p) ? "1" : "", value);
	else
		(void)printf("export SALLYPORT_URL='%s://%s:%s' SALLYPORT_AUTHORIZATION='%s'\n", is_tls(p) ? "https" : "http", p->host, p->port, value);
	buffer_free(&header);
}

/* SSHPASS: what sshpass -e reads. */
static void
print_env(const struct door *p)
{
	if (is_ssh(p)) {
		(void)printf("export SSH_HOST='%s' SSH_PORT='%s' SSH_USER='%s' SSHPASS='%s'\n", p->host, p->port, p->user, p->password);
		return;
	}
	if (is_web(p)) {
		print_web(p);
		return;
	}
	(void)printf("export PGHOST='%s' PGPORT='%s' PGUSER='%s' PGPASSWORD='%s' PGDATABASE='%s' PGSSLMODE='%s'\n", p->host, p->port, p->user,
	    p->password, p->database, p->sslmode);
}

/* Nothing of these can carry a quote: what is not one of ours is a host or a target, by the conf's rules. */
static bool
plain(const char *text)
{
	return strpbrk(text, "'\"\\ \n@/?#") == NULL;
}

int
run_ticket(struct run *r)
{
	const char *format = option(r, "format");
	struct door p;
	json_t *answer;
	if (format == NULL)
		format = r->json ? "json" : "dsn";
	if (strcmp(format, "dsn") != 0 && strcmp(format, "env") != 0 && strcmp(format, "json") != 0)
		return misused(r, "--format is dsn, env or json, not \"%s\"", format);
	int rc = make(r, false, &answer);
	if (rc == DONE)
		rc = place_of(r, answer, &p);
	if (rc == DONE && strcmp(format, "json") == 0) {
		(void)json_object_set_new(answer, "host", json_string(p.host));
		rc = print_json(answer);
	} else if (rc == DONE && (!plain(p.host) || !plain(p.database))) {
		rc = failed("the host or the target's name can't stand in that form: use --format json");
	} else if (rc == DONE) {
		(strcmp(format, "dsn") == 0 ? print_dsn : print_env)(&p);
	}
	json_decref(answer);
	return rc;
}

int
run_tickets(struct run *r)
{
	static const char *const columns[] = { "id", "user", "target", "once", "used", "address", "created", "window", NULL };
	return command_list(r, "/api/v1/tickets", NULL, "tickets", columns);
}

/* ---- connect ---- */

/* By the environment: argv is everybody's to read. */
static int
set_all(const char *const pairs[][2], size_t n)
{
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		rc |= pairs[i][1] == NULL ? unsetenv(pairs[i][0]) : setenv(pairs[i][0], pairs[i][1], 1);
	return rc == 0 ? DONE : failed("out of memory");
}

static int
start_psql(const struct door *p, const char *argv[])
{
	const char *const own[][2] = { { "PGHOSTADDR", NULL }, { "PGSERVICE", NULL }, { "PGSERVICEFILE", NULL }, { "PGPASSFILE", NULL },
		{ "PGREQUIREAUTH", NULL }, { "PGHOST", p->host }, { "PGPORT", p->port }, { "PGUSER", p->user }, { "PGPASSWORD", p->password },
		{ "PGDATABASE", p->database }, { "PGSSLMODE", p->sslmode } };
	argv[0] = "psql";
	return set_all(own, sizeof(own) / sizeof(*own));
}

/* ssh asks a program for the password: us (askpass.c).  Words of the user's stand behind the host: options of ssh, or a command. */
static int
start_ssh(const struct door *p, const char *argv[])
{
	static char self[4096];
	const char *const first[] = { "ssh", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "-p", p->port, "-l", p->user, p->host };
	const char *const own[][2] = { { "SSH_ASKPASS", self }, { "SSH_ASKPASS_REQUIRE", "force" }, { ASKPASS, p->password } };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0 || p->host[0] == '-')
		return failed(n <= 0 ? "where this program is can't be found out" : "that is no name of a host");
	memcpy(argv, first, sizeof(first));
	return set_all(own, sizeof(own) / sizeof(*own));
}

/* config.json with the ticket, for its owner alone; docker reads it in each of its processes. */
static int
write_docker_config(const char *folder, const struct door *p)
{
	char path[4200], temporary[4300];
	struct buffer header = { 0 };
	int rc = basic(p, &header) == SP_OK ? DONE : failed("out of memory");
	json_t *j = json_pack("{s:{s:s}}", "HttpHeaders", "Authorization", rc == DONE ? (const char *)header.p + header.start : "");
	(void)snprintf(path, sizeof(path), "%s/config.json", folder);
	(void)snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
	mode_t mask = umask(077);
	if (rc == DONE && json_dump_file(j, temporary, JSON_INDENT(1)) != 0)
		rc = failed("%s can't be written: %s", temporary, strerror(errno));
	if (rc == DONE && rename(temporary, path) != 0)
		rc = failed("%s can't be written: %s", path, strerror(errno));
	(void)umask(mask);
	json_decref(j);
	buffer_free(&header);
	return rc;
}

/* A configuration of docker's own for the target, with a ticket for many connections: one command of docker's opens several. */
static int
start_docker(const struct door *p, const char *argv[])
{
	static char folder[4096], host[600], certificates[4096];
	const char *home = getenv("HOME"), *path = getenv("DOCKER_CERT_PATH");
	if (!plain(p->database) || home == NULL)
		return failed("the target's name can't be a folder's, or HOME is not set");
	(void)snprintf(certificates, sizeof(certificates), "%s", path != NULL ? path : "");
	if (path == NULL)
		(void)snprintf(certificates, sizeof(certificates), "%s/.docker", home);
	static const char *const parts[] = { "/.config", "/sallyport", "/docker", "/" };
	(void)snprintf(folder, sizeof(folder), "%s", home);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		size_t n = strlen(folder);
		(void)snprintf(folder + n, sizeof(folder) - n, "%s%s", parts[i], i == 3 ? p->database : "");
		if (mkdir(folder, 0700) != 0 && errno != EEXIST)
			return failed("%s can't be made: %s", folder, strerror(errno));
	}
	(void)snprintf(host, sizeof(host), "tcp://%s:%s", p->host, p->port);
	const char *const own[][2] = { { "DOCKER_CONTEXT", NULL }, { "DOCKER_HOST", host }, { "DOCKER_CONFIG", folder },
		{ "DOCKER_CERT_PATH", is_tls(p) ? certificates : NULL }, { "DOCKER_TLS_VERIFY", is_tls(p) ? "1" : NULL }, { "DOCKER_BUILDKIT", "0" } };
	argv[0] = "docker";
	int rc = write_docker_config(folder, p);
	return rc == DONE ? set_all(own, sizeof(own) / sizeof(*own)) : rc;
}

#define FIRST_WORDS 10 /* of a client, before the user's */

static const struct {
	const char *protocol;
	int (*start)(const struct door *p, const char *argv[]); /* writes its first words */
	bool many;                                              /* needs a ticket for more than one session */
} clients[] = { { "postgres", start_psql, false }, { "ssh", start_ssh, false }, { "docker", start_docker, true } };

int
run_connect(struct run *r)
{
	int (*start)(const struct door *p, const char *argv[]) = NULL;
	struct door p;
	json_t *answer;
	const char *argv[FIRST_WORDS + WORDS + 1] = { NULL };
	bool many = false;
	int rc = make(r, true, &answer);
	if (rc == DONE)
		rc = place_of(r, answer, &p);
	for (size_t i = 0; rc == DONE && i < sizeof(clients) / sizeof(*clients); i++) {
		if (strcmp(clients[i].protocol, p.protocol) != 0)
			continue;
		start = clients[i].start;
		many = clients[i].many;
	}
	if (rc == DONE && many) {
		json_decref(answer);
		rc = make(r, false, &answer);
		if (rc == DONE)
			rc = place_of(r, answer, &p);
	}
	if (rc == DONE && start == NULL)
		rc = failed("no client for %s is known here: `sallyport ticket` prints what yours needs", p.protocol);
	if (rc == DONE)
		rc = start(&p, argv);
	if (rc == DONE) {
		size_t n = 0;
		while (argv[n] != NULL)
			n++;
		for (unsigned i = 1; i < r->nwords; i++)
			argv[n++] = r->word[i];
		(void)execvp(argv[0], (char **)(uintptr_t)argv);
		rc = failed("%s can't be started: %s", argv[0], strerror(errno));
	}
	json_decref(answer);
	return rc;
}
