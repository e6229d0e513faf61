/* SPDX-License-Identifier: Apache-2.0 */
/* `init`: five questions, or options in their place, and a configuration of the answers. */
#include <config.h>

#include "init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/epoch.h"
#include "../base/url.h"

#define DEFAULT_FOLDER SYSCONFDIR "/sallyport"
#define NOT_IN_A_WORD " \t\n\"'\\;{}#*?[]" /* nor in a folder whose files are included by a pattern */

struct question {
	const char *option, *text, *otherwise;
	size_t offset, room;
	const char *letters; /* of an answer; more would need quotes somewhere */
	bool asked;          /* or an option only */
};

#define ANSWER_IN(member) offsetof(struct init, member), sizeof(((struct init *)0)->member)
#define NAMES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

static const struct question question[] = {
	{ "server", "Where is the PostgreSQL server (HOST:PORT)?", "127.0.0.1:5432", ANSWER_IN(server), NAMES ":[]", true },
	{ "database", "Which database?", "postgres", ANSWER_IN(database), NAMES, true },
	{ "login", "As whom does the gateway log in there?", "app_gw", ANSWER_IN(login), NAMES, true },
	{ "issuer", "Who vouches for people (the URL of an OpenID issuer, or \"local\" for a first look)?", "local", ANSWER_IN(issuer), NAMES ":/~%+@", true },
	{ "groups", "Whose members may use it (groups, with commas)?", "dev", ANSWER_IN(groups), NAMES ",:@/", true },
	{ "listen", "Where do clients come (ADDRESS:PORT)?", "127.0.0.1:6432", ANSWER_IN(listen), NAMES ":[]", false },
	{ "client", "What is the gateway called at the issuer?", "sallyport", ANSWER_IN(client), NAMES ":/@", false },
	{ "url", "Where do browsers find the console?", NULL, ANSWER_IN(url), NAMES ":/[]", false },
};

static int
take(const struct init *i, const struct question *q, const char *answer, size_t n, char *into)
{
	if (n == 0 || n != strlen(answer) || n >= q->room || strspn(answer, q->letters) != n)
		return misused(i->r, "\"%s\" is no answer to: %s", answer, q->text);
	memcpy(into, answer, n + 1);
	return DONE;
}

/* The console's: on this machine alone, when clients come from nowhere else. */
static int
find_url(const struct init *i, char *into, size_t room)
{
	char host[256] = "localhost";
	struct hostport h;
	if (settings_hostport(i->listen, &h) != SP_OK || !h.loopback)
		(void)gethostname(host, sizeof(host) - 1);
	int n = snprintf(into, room, "https://%s:8443", host);
	if (n < 0 || (size_t)n >= room || settings_console_host(into) == NULL) /* a machine may be called what no browser looks up */
		(void)snprintf(into, room, "https://localhost:8443");
	return DONE;
}

static int
ask(struct init *i, const struct question *q)
{
	char *line = NULL, *into = (char *)i + q->offset;
	size_t room = 0;
	if (option(i->r, q->option) != NULL)
		return take(i, q, option(i->r, q->option), strlen(option(i->r, q->option)), into);
	if (q->otherwise == NULL)
		return find_url(i, into, q->room);
	if (flag(i->r, "yes") || !q->asked)
		return take(i, q, q->otherwise, strlen(q->otherwise), into);
	(void)fprintf(stderr, "%s [%s] ", q->text, q->otherwise);
	(void)fflush(stderr);
	ssize_t got = getline(&line, &room, stdin);
	size_t n = got <= 0 ? 0 : (size_t)got - (line[got - 1] == '\n');
	if (got > 0)
		line[n] = '\0';
	int rc = got <= 0 ? failed("no answer came: say --%s, or --yes for the defaults", q->option)
	    : n == 0 ? take(i, q, q->otherwise, strlen(q->otherwise), into) : take(i, q, line, n, into);
	free(line);
	return rc;
}

/* A target's name has small letters, and begins with one, a digit or '_'; its database keeps its own. */
static int
name_target(struct init *i)
{
	size_t n = 0;
	for (const char *c = i->database; *c != '\0' && n + 1 < sizeof(i->target); c++)
		i->target[n++] = *c == '.' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	i->target[n] = '\0';
	return i->target[0] != '-' ? DONE : misused(i->r, "a database whose name begins with '%c' needs a target by another name, written by hand", i->database[0]);
}

static int
check_answers(struct init *i)
{
	struct hostport h;
	if (settings_hostport(i->server, &h) != SP_OK)
		return misused(i->r, "the server is HOST:PORT, not \"%s\"", i->server);
	if (name_target(i) != DONE)
		return MISUSED;
	if (settings_hostport(i->listen, &h) != SP_OK || !h.literal)
		return misused(i->r, "--listen is ADDRESS:PORT, such as 0.0.0.0:5432, not \"%s\"", i->listen);
	if (strcmp(i->issuer, "local") != 0 && !url_fits(i->issuer, false))
		return misused(i->r, "an issuer is https://…, or \"local\", not \"%s\"", i->issuer);
	const char *console = settings_console_host(i->url);
	if (console == NULL || settings_hostport(console, &h) != SP_OK)
		return misused(i->r, "--url is https://HOST:PORT, the console's address for browsers, not \"%s\"", i->url);
	size_t n = strlen(i->groups);
	if (i->groups[0] == ',' || i->groups[n - 1] == ',' || strstr(i->groups, ",,") != NULL)
		return misused(i->r, "groups stand with one comma between two: \"%s\"", i->groups);
	return DONE;
}

/* What the configuration refers to: beside this program, or as it was configured. */
static int
find_parts(struct init *i)
{
	static const char *const policies[] = { "../share/sallyport/policies", "../conf/policies", "../../../conf/policies", NULL };
	static const char *const shipped[] = { "../share/sallyport/sallyport.conf", NULL };
	static const char *const modules[] = { "../lib/sallyport/modules/postgres.so", "../modules/postgres/.libs/postgres.so", NULL };
	if (!beside(policies, i->policies, sizeof(i->policies)))
		return failed("the shipped policies are not beside this program (../share/sallyport/policies)");
	if (!beside(shipped, i->shipped, sizeof(i->shipped)))
		i->shipped[0] = '\0';
	if (!beside(modules, i->module, sizeof(i->module)) || strncmp(i->module, "/usr/lib/", 9) == 0 || strncmp(i->module, "/usr/local/lib/", 15) == 0)
		(void)snprintf(i->module, sizeof(i->module), "postgres");
	if (strpbrk(i->policies, NOT_IN_A_WORD) != NULL || strpbrk(i->module, NOT_IN_A_WORD) != NULL)
		return failed("a configuration can't name what stands in a folder whose name needs quotes: %s", i->policies);
	return DONE;
}

static int
find_folder(struct init *i)
{
	const char *named = i->r->nwords > 0 ? i->r->word[0] : DEFAULT_FOLDER;
	char real[PATH_MAX];
	bool made = mkdir(named, 0755) == 0;
	if ((!made && errno != EEXIST) || (made && chmod(named, 0755) != 0)) /* whatever the umask */
		return failed("cannot make %s: %s", named, strerror(errno));
	if (realpath(named, real) == NULL || strlen(real) >= sizeof(i->folder))
		return failed("cannot use %s: %s", named, strerror(errno));
	if (strpbrk(real, NOT_IN_A_WORD) != NULL)
		return failed("a configuration can't stand in a folder whose name needs quotes: %s", real);
	memcpy(i->folder, real, strlen(real) + 1);
	i->system = geteuid() == 0 && strcmp(real, DEFAULT_FOLDER) == 0;
	return DONE;
}

/* Every answer was looked at; that all of it together is right is not taken for granted. */
static int
read_again(const struct init *i)
{
	char path[PATH_MAX];
	const char *err = NULL;
	struct epoch *e = NULL;
	(void)snprintf(path, sizeof(path), "%s/sallyport.conf", i->folder);
	int rc = epoch_read(path, &e, &err) == SP_OK && settings_target(&e->settings, i->target) != NULL ? DONE
	    : failed("what was written is not good: %s", err == NULL ? "its target is not there" : err);
	epoch_free(&e);
	return rc;
}

int
run_init(struct run *r)
{
	static struct init i;
	i = (struct init){ .r = r };
	int rc = find_folder(&i);
	if (rc == DONE)
		rc = find_parts(&i);
	for (size_t k = 0; k < sizeof(question) / sizeof(*question) && rc == DONE; k++)
		rc = ask(&i, &question[k]);
	if (rc == DONE)
		rc = check_answers(&i);
	if (rc == DONE)
		rc = init_write(&i);
	return rc == DONE ? read_again(&i) : rc;
}
