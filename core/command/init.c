/* SPDX-License-Identifier: Apache-2.0 */
/* `init`: five questions, or options in their place, and a configuration of the answers. */
#include <config.h>

#include "init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/settings.h"

#define DEFAULT_FOLDER SYSCONFDIR "/sallyport"

struct question {
	const char *option, *text, *otherwise;
	size_t offset, room;
	const char *letters; /* of an answer; more would need quotes somewhere */
};

#define ANSWER_IN(member) offsetof(struct init, member), sizeof(((struct init *)0)->member)
#define NAMES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

static const struct question question[] = {
	{ "server", "Where is the PostgreSQL server (HOST:PORT)?", "127.0.0.1:5432", ANSWER_IN(server), NAMES ":[]" },
	{ "database", "Which database?", "postgres", ANSWER_IN(database), NAMES },
	{ "login", "As whom does the gateway log in there?", "app_gw", ANSWER_IN(login), NAMES },
	{ "issuer", "Who vouches for people (the URL of an OpenID issuer, or \"local\" for a first look)?", "local", ANSWER_IN(issuer), NAMES ":/~%+@" },
	{ "groups", "Whose members may use it (groups, with commas)?", "dev", ANSWER_IN(groups), NAMES ",:@/" },
};

static int
take(const struct init *i, const struct question *q, const char *answer, char *into)
{
	size_t n = strlen(answer);
	if (n == 0 || n >= q->room || strspn(answer, q->letters) != n)
		return misused(i->r, "\"%s\" is no answer to: %s", answer, q->text);
	memcpy(into, answer, n + 1);
	return DONE;
}

static int
ask(struct init *i, const struct question *q)
{
	char line[512], *into = (char *)i + q->offset;
	if (option(i->r, q->option) != NULL)
		return take(i, q, option(i->r, q->option), into);
	if (flag(i->r, "yes"))
		return take(i, q, q->otherwise, into);
	(void)fprintf(stderr, "%s [%s] ", q->text, q->otherwise);
	(void)fflush(stderr);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return failed("no answer came: say --%s, or --yes for the defaults", q->option);
	line[strcspn(line, "\n")] = '\0';
	return take(i, q, line[0] == '\0' ? q->otherwise : line, into);
}

static int
check_answers(const struct init *i)
{
	struct hostport h;
	if (settings_hostport(i->server, &h) != SP_OK)
		return misused(i->r, "the server is HOST:PORT, not \"%s\"", i->server);
	if (settings_hostport(i->listen, &h) != SP_OK || !h.literal)
		return misused(i->r, "--listen is ADDRESS:PORT, such as 0.0.0.0:5432, not \"%s\"", i->listen);
	if (strcmp(i->issuer, "local") != 0 && strncmp(i->issuer, "https://", 8) != 0)
		return misused(i->r, "an issuer is https://…, or \"local\", not \"%s\"", i->issuer);
	return DONE;
}

/* What the configuration refers to: beside this program, or as it was configured. */
static int
find_parts(struct init *i)
{
	static const char *const policies[] = { "../share/sallyport/policies", "../conf/policies", "../../../conf/policies", NULL };
	static const char *const modules[] = { "../lib/sallyport/modules/postgres.so", "../modules/postgres/.libs/postgres.so", NULL };
	if (!beside(policies, i->policies, sizeof(i->policies)))
		return failed("the shipped policies are not beside this program (../share/sallyport/policies)");
	if (!beside(modules, i->module, sizeof(i->module)) || strncmp(i->module, "/usr/lib/", 9) == 0 || strncmp(i->module, "/usr/local/lib/", 15) == 0)
		(void)snprintf(i->module, sizeof(i->module), "postgres");
	return DONE;
}

static int
find_folder(struct init *i)
{
	const char *named = i->r->nwords > 0 ? i->r->word[0] : DEFAULT_FOLDER;
	char real[PATH_MAX];
	if (mkdir(named, 0755) != 0 && errno != EEXIST)
		return failed("cannot make %s: %s", named, strerror(errno));
	if (realpath(named, real) == NULL || strlen(real) >= sizeof(i->folder))
		return failed("cannot use %s: %s", named, strerror(errno));
	if (strpbrk(real, " \t\n\"'\\;{}#") != NULL)
		return failed("a configuration can't stand in a folder whose name needs quotes: %s", real);
	memcpy(i->folder, real, strlen(real) + 1);
	i->system = geteuid() == 0 && strcmp(real, DEFAULT_FOLDER) == 0;
	return DONE;
}

int
run_init(struct run *r)
{
	static struct init i;
	i.r = r;
	int rc = find_folder(&i);
	(void)snprintf(i.listen, sizeof(i.listen), "%s", option(r, "listen") == NULL ? "127.0.0.1:6432" : option(r, "listen"));
	if (rc == DONE)
		rc = find_parts(&i);
	for (size_t k = 0; k < sizeof(question) / sizeof(*question) && rc == DONE; k++)
		rc = ask(&i, &question[k]);
	if (rc == DONE)
		rc = check_answers(&i);
	return rc == DONE ? init_write(&i) : rc;
}
