/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands about tickets: a short-lived user name and password for native clients, which are started with it. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void
print_dsn(const struct door *p)
{
	bool v6 = strchr(p->host, ':') != NULL;
	(void)printf("%s://%s:%s@%s%s%s:%s", is_ssh(p) ? "ssh" : "postgresql", p->user, p->password, v6 ? "[" : "", p->host, v6 ? "]" : "", p->port);
	if (!is_ssh(p))
		(void)printf("/%s?sslmode=%s", p->database, p->sslmode);
	(void)putchar('\n');
}

/* SSHPASS: what sshpass -e reads. */
static void
print_env(const struct door *p)
{
	if (is_ssh(p)) {
		(void)printf("export SSH_HOST='%s' SSH_PORT='%s' SSH_USER='%s' SSHPASS='%s'\n", p->host, p->port, p->user, p->password);
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

#define FIRST_WORDS 10 /* of a client, before the user's */

static const struct {
	const char *protocol;
	int (*start)(const struct door *p, const char *argv[]); /* writes its first words */
} clients[] = { { "postgres", start_psql }, { "ssh", start_ssh } };

int
run_connect(struct run *r)
{
	int (*start)(const struct door *p, const char *argv[]) = NULL;
	struct door p;
	json_t *answer;
	const char *argv[FIRST_WORDS + WORDS + 1] = { NULL };
	int rc = make(r, true, &answer);
	if (rc == DONE)
		rc = place_of(r, answer, &p);
	for (size_t i = 0; rc == DONE && i < sizeof(clients) / sizeof(*clients); i++)
		start = strcmp(clients[i].protocol, p.protocol) == 0 ? clients[i].start : start;
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
