/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the command line by a subcommand's row, and printing the row as help. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/conf.h"
#include "command.h"

enum { COMMON_OF_GATEWAY = 4 }; /* the first rows are for commands that ask the gateway */
const struct option_row common_options[] = {
	{ "server", "URL", "the gateway's `console { url }`, over HTTPS ($SALLYPORT_SERVER)" },
	{ "ca", "FILE", "authorities to trust for it, PEM; without it the system's ($SALLYPORT_CA)" },
	{ "control", "PATH", "control socket of the gateway ($SALLYPORT_CONTROL)" },
	{ "token-file", "PATH", "file with a token to act under ($SALLYPORT_TOKEN holds the token itself)" },
	{ "json", NULL, "print JSON" },
	{ "help", NULL, "print this" },
	{ NULL, NULL, NULL },
};

static const struct option_row no_options[] = { { NULL, NULL, NULL } };

static const struct option_row *
rows_of(const struct command *c)
{
	return c->options == NULL ? no_options : c->options;
}

static void
help_rows(FILE *out, const struct option_row *rows)
{
	for (; rows->name != NULL; rows++) {
		char left[64];
		(void)snprintf(left, sizeof(left), "--%s%s%s", rows->name, rows->value == NULL ? "" : " ",
		    rows->value == NULL ? "" : rows->value);
		(void)fprintf(out, "  %-22s %s\n", left, rows->help);
	}
}

static void
help_to(FILE *out, const struct command *c)
{
	(void)fprintf(out, "sallyport %s%s%s [OPTION…]\n\n%s\n", c->name, c->words[0] == '\0' ? "" : " ", c->words, c->help);
	if (c->more != NULL)
		(void)fprintf(out, "%s\n", c->more);
	(void)fprintf(out, "\nOptions:\n");
	help_rows(out, rows_of(c));
	help_rows(out, c->alone ? common_options + COMMON_OF_GATEWAY : common_options);
}

void
command_help(const struct command *c)
{
	help_to(stdout, c);
}

int
misused(const struct run *r, const char *fmt, ...)
{
	va_list args;
	(void)fprintf(stderr, "sallyport %s: ", r->command->name);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\nusage: sallyport %s%s%s [OPTION…]\nMore: sallyport %s --help\n", r->command->name,
	    r->command->words[0] == '\0' ? "" : " ", r->command->words, r->command->name);
	return MISUSED;
}

static int
row_index(const struct option_row *rows, struct sp_bytes name)
{
	for (int i = 0; rows[i].name != NULL; i++)
		if (sp_bytes_is(name, rows[i].name))
			return i;
	return -1;
}

static int
unknown_option(const struct run *r, struct sp_bytes name)
{
	char given[64];
	(void)snprintf(given, sizeof(given), "%.*s", (int)(name.len < sizeof(given) ? name.len : sizeof(given)), (const char *)name.p);
	const char *names[OPTIONS + 8];
	size_t n = 0;
	for (const struct option_row *o = rows_of(r->command); o->name != NULL; o++)
		names[n++] = o->name;
	for (const struct option_row *o = common_options; o->name != NULL; o++)
		names[n++] = o->name;
	names[n] = NULL;
	const char *near = conf_nearest(given, names);
	return misused(r, near == NULL ? "there is no option --%s%s" : "there is no option --%s, did you mean --%s?", given,
	    near == NULL ? "" : near);
}

static void
set_common(struct run *r, int i, const char *value)
{
	if (strcmp(common_options[i].name, "server") == 0)
		r->server = value;
	else if (strcmp(common_options[i].name, "ca") == 0)
		r->ca = value;
	else if (strcmp(common_options[i].name, "control") == 0)
		r->control = value;
	else if (strcmp(common_options[i].name, "token-file") == 0)
		r->token_file = value;
	else if (strcmp(common_options[i].name, "json") == 0)
		r->json = true;
}

/* --name, --name=value, --name value; *at moves on when the value is the next word. */
static int
read_option(struct run *r, int argc, char **argv, int *at)
{
	const char *given = argv[*at] + 2, *equals = strchr(given, '=');
	struct sp_bytes name = { (const uint8_t *)given, equals == NULL ? strlen(given) : (size_t)(equals - given) };
	int own = row_index(rows_of(r->command), name), common = own >= 0 ? -1 : row_index(common_options, name);
	if (own < 0 && common < 0)
		return unknown_option(r, name);
	const struct option_row *row = own >= 0 ? &rows_of(r->command)[own] : &common_options[common];
	const char *value = "";
	if (row->value == NULL && equals != NULL)
		return misused(r, "--%s takes no value", row->name);
	if (row->value != NULL) {
		if (equals == NULL && *at + 1 >= argc)
			return misused(r, "--%s takes a value: --%s %s", row->name, row->name, row->value);
		value = equals != NULL ? equals + 1 : argv[++*at];
	}
	if (own >= 0)
		r->value[own] = value;
	else if (strcmp(row->name, "help") == 0) {
		command_help(r->command);
		return -1;
	} else
		set_common(r, common, value);
	return DONE;
}

int
run_parse(struct run *r, int argc, char **argv)
{
	bool only_words = false;
	for (int i = 0; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0 && r->command->rest) {
			r->rest = &argv[i + 1];
			break;
		} else if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
			int rc = read_option(r, argc, argv, &i);
			if (rc != DONE)
				return rc;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (strcmp(argv[i], "-h") != 0)
				return misused(r, "there is no option %s", argv[i]);
			command_help(r->command);
			return -1;
		} else {
			if (r->nwords == r->command->max || r->nwords == WORDS)
				return misused(r, "\"%s\" is one word too many", argv[i]);
			r->word[r->nwords++] = argv[i];
		}
	}
	if (r->nwords < r->command->min)
		return misused(r, "it takes %s", r->command->words);
	return DONE;
}

const char *
option(const struct run *r, const char *name)
{
	int i = row_index(rows_of(r->command), sp_str(name));
	return i < 0 ? NULL : r->value[i];
}

bool
flag(const struct run *r, const char *name)
{
	return option(r, name) != NULL;
}

int
option_count(const struct run *r, const char *name, uint64_t *n_r)
{
	const char *value = option(r, name);
	char *end = NULL;
	*n_r = 0;
	if (value == NULL)
		return DONE;
	if (value[0] >= '0' && value[0] <= '9')
		*n_r = strtoull(value, &end, 10);
	if (*n_r == 0 || *n_r > INT32_MAX || *end != '\0')
		return misused(r, "--%s takes a whole number from 1 on, not \"%s\"", name, value);
	return DONE;
}
