/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash, from the tables that --help is printed from: docs/completion/sallyport is what `doc completion` prints. */
#include <config.h>

#include <string.h>

#include "completion.h"

static const char head[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Written by `make manual` from the tables in the code: change those.\n"
    "\n"
    "# Of the command that is typed: its options, those that take a value, and those whose value, or the command's words, are files.\n"
    "_sallyport_command()\n"
    "{\n"
    "\tcase \"$1 $2 \" in\n";

static const char tail[] =
    "_sallyport()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} options= values= files= words= next=\n"
    "\tCOMPREPLY=()\n"
    "\tif ((COMP_CWORD == 1)); then\n"
    "\t\tCOMPREPLY=($(compgen -W \"$_sallyport_names --help --version\" -- \"$cur\"))\n"
    "\t\treturn\n"
    "\tfi\n"
    "\t_sallyport_command \"${COMP_WORDS[1]}\" \"${COMP_WORDS[2]}\"\n"
    "\t((COMP_CWORD == 2)) && next=$(_sallyport_next \"${COMP_WORDS[1]}\")\n"
    "\tif [[ $next != '' && $cur != -* ]]; then\n"
    "\t\tCOMPREPLY=($(compgen -W \"$next\" -- \"$cur\"))\n"
    "\t\tif ((${#COMPREPLY[@]} > 0)); then return; fi\n"
    "\tfi\n"
    "\tif [[ $files == *\" $prev \"* ]]; then\n"
    "\t\tcompopt -o default\n"
    "\telif [[ $values == *\" $prev \"* ]]; then\n"
    "\t\treturn\n"
    "\telif [[ $cur == -* ]]; then\n"
    "\t\tCOMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
    "\telif [[ $words == files ]]; then\n"
    "\t\tcompopt -o default\n"
    "\tfi\n"
    "}\n"
    "complete -F _sallyport sallyport\n"
    "\n"
    "_sallyportd()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
    "\tCOMPREPLY=()\n"
    "\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n"
    "\t-c) compopt -o default ;;\n"
    "\t-s) COMPREPLY=($(compgen -W 'reload upgrade quit stop reopen' -- \"$cur\")) ;;\n"
    "\t*) COMPREPLY=($(compgen -W '-c -t -T -s -f -V -h --connect --help --version' -- \"$cur\")) ;;\n"
    "\tesac\n"
    "}\n"
    "complete -F _sallyportd sallyportd\n";

static bool
is_file(const char *words)
{
	return strstr(words, "FILE") != NULL || strstr(words, "DIR") != NULL || strstr(words, "PATH") != NULL || strstr(words, "FOLDER") != NULL;
}

enum kind { ALL, VALUES, FILES };

static int
put_options(struct buffer *out, const struct option_row *rows, enum kind kind)
{
	int rc = SP_OK;
	for (; rows != NULL && rows->name != NULL && rc == SP_OK; rows++)
		if (kind == ALL || (rows->value != NULL && (kind == VALUES || is_file(rows->value))))
			rc = buffer_printf(out, "--%s ", rows->name);
	return rc;
}

/* Two words stand before one: "request TARGET" is not "request ID". */
static int
put_command(struct buffer *out, const struct command *c)
{
	static const struct { const char *name; enum kind kind; } lists[] = { { "options", ALL }, { "values", VALUES }, { "files", FILES } };
	int rc = buffer_printf(out, "\t\"%s \"*)\n", c->name);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists) && rc == SP_OK; i++) {
		rc = buffer_printf(out, "\t\t%s=' ", lists[i].name);
		if (rc == SP_OK)
			rc = put_options(out, c->options, lists[i].kind);
		if (rc == SP_OK)
			rc = put_options(out, common_options, lists[i].kind);
		if (rc == SP_OK)
			rc = buffer_printf(out, "'\n");
	}
	return rc != SP_OK ? rc : buffer_printf(out, "\t\twords=%s ;;\n", is_file(c->words) ? "files" : "");
}

/* Names of one word, and the first of two, once each. */
static int
put_names(struct buffer *out)
{
	int rc = buffer_printf(out, "_sallyport_names='");
	for (const struct command *c = commands; c->name != NULL && rc == SP_OK; c++) {
		size_t n = strcspn(c->name, " ");
		bool had = false;
		for (const struct command *o = commands; o != c; o++)
			had = had || (strcspn(o->name, " ") == n && strncmp(o->name, c->name, n) == 0);
		if (!had)
			rc = buffer_printf(out, "%s%.*s", c == commands ? "" : " ", (int)n, c->name);
	}
	return rc != SP_OK ? rc : buffer_printf(out, "'\n\n_sallyport_next()\n{\n\tcase $1 in\n");
}

/* `policy` is followed by `test`, `check` … */
static int
put_next(struct buffer *out)
{
	int rc = SP_OK;
	for (const struct command *c = commands; c->name != NULL && rc == SP_OK; c++) {
		size_t n = strcspn(c->name, " ");
		if (c->name[n] != '\0')
			rc = buffer_printf(out, "\t%.*s) echo '%s' ;;&\n", (int)n, c->name, c->name + n + 1);
	}
	return rc != SP_OK ? rc : buffer_printf(out, "\tesac\n}\n\n");
}

int
completion_print(struct buffer *out)
{
	int rc = buffer_printf(out, "%s", head);
	for (int two = 1; two >= 0; two--)
		for (const struct command *c = commands; c->name != NULL && rc == SP_OK; c++)
			if ((strchr(c->name, ' ') != NULL) == (two == 1))
				rc = put_command(out, c);
	if (rc == SP_OK)
		rc = buffer_printf(out, "\tesac\n}\n\n");
	if (rc == SP_OK)
		rc = put_names(out);
	if (rc == SP_OK)
		rc = put_next(out);
	return rc != SP_OK ? rc : buffer_printf(out, "%s", tail);
}
