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

static void
print_dsn(const struct door *p)
{
	bool v6 = strchr(p->host, ':') != NULL;
	(void)printf("postgresql://%s:%s@%s%s%s:%s/%s?sslmode=%s\n", p->user, p->password, v6 ? "[" : "", p->host, v6 ? "]" : "", p->port,
	    p->database, p->sslmode);
}

static void
print_env(const struct door *p)
{
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

static const struct {
	const char *protocol, *program;
} clients[] = { { "postgres", "psql" } };

/* By the environment: argv is everybody's to read. */
static int
set_environment(const struct door *p)
{
	static const char *const others[] = { "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGREQUIREAUTH" };
	const char *const own[][2] = { { "PGHOST", p->host }, { "PGPORT", p->port }, { "PGUSER", p->user }, { "PGPASSWORD", p->password },
		{ "PGDATABASE", p->database }, { "PGSSLMODE", p->sslmode } };
	int rc = 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		rc |= unsetenv(others[i]);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		rc |= setenv(own[i][0], own[i][1], 1);
	return rc == 0 ? DONE : failed("out of memory");
}

int
run_connect(struct run *r)
{
	const char *program = NULL;
	struct door p;
	json_t *answer;
	char *argv[WORDS + 2] = { NULL };
	int rc = make(r, true, &answer);
	if (rc == DONE)
		rc = place_of(r, answer, &p);
	for (size_t i = 0; rc == DONE && i < sizeof(clients) / sizeof(*clients); i++)
		program = strcmp(clients[i].protocol, p.protocol) == 0 ? clients[i].program : program;
	if (rc == DONE && program == NULL)
		rc = failed("no client for %s is known here: `sallyport ticket` prints what yours needs", p.protocol);
	if (rc == DONE)
		rc = set_environment(&p);
	if (rc == DONE) {
		argv[0] = (char *)(uintptr_t)program;
		for (unsigned i = 1; i < r->nwords; i++)
			argv[i] = (char *)(uintptr_t)r->word[i];
		(void)execvp(program, argv);
		rc = failed("%s can't be started: %s", program, strerror(errno));
	}
	json_decref(answer);
	return rc;
}
