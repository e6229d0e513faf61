/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what is read of them, what is opaque, and that no dress hides a program. */
#include <CUnit/CUnit.h>
#include <stdio.h>

#include "../../modules/shell/shell.h"
#include "cunit_main.h"

static char shown[4096];

static void
show(const char *text, size_t n)
{
	size_t at = strlen(shown);
	snprintf(shown + at, sizeof(shown) - at, "%.*s", (int)n, text);
}

static int
on_command(void *owner, const struct shell_command *c)
{
	(void)owner;
	show(c->named ? "[" : "?[", c->named ? 1 : 2);
	for (size_t i = 0; i < c->nwords; i++) {
		show(i == 0 ? "" : "|", i == 0 ? 0 : 1);
		show((const char *)c->word[i].p, c->word[i].len);
	}
	for (size_t i = 0; i < c->nredirects; i++) {
		show(c->writes[i] ? " >" : " <", 2);
		show((const char *)c->to[i].p, c->to[i].len);
	}
	show(c->words_known ? "]" : "...]", c->words_known ? 1 : 4);
	return 0;
}

static int
on_opaque(void *owner, const char *what, struct sp_bytes name)
{
	(void)owner;
	show("{", 1);
	show(what, strlen(what));
	show(name.len > 0 ? ":" : "", name.len > 0);
	show((const char *)name.p, name.len);
	show("}", 1);
	return 0;
}

static const char *
read_line(const char *line, size_t n)
{
	static struct shell_scratch scratch;
	const struct shell_reader r = { on_command, on_opaque, NULL };
	shown[0] = '\0';
	CU_ASSERT_EQUAL(shell_read((struct sp_bytes){ (const uint8_t *)line, n }, &scratch, &r), 0);
	return shown;
}

static const struct {
	const char *line, *shown;
} cases[] = {
	{ "", "" },
	{ "ls", "[ls]" },
	{ "  ls  -l\t/tmp ", "[ls|-l|/tmp]" },
	{ "a; b && c || d | e & f\ng", "[a][b][c][d][e][f][g]" },
	{ "a 'b c' \"d e\" f\\ g", "[a|b c|d e|f g]" },
	{ "a '' \"\"", "[a||]" },
	{ "a \"x\\\"y\\z\" 'it'\\''s'", "[a|x\"y\\z|it's]" },
	{ "a\\\nb c", "[ab|c]" },
	{ "a >x 2>>y <z 2>&1 >&-", "[a >x >y <z]" },
	{ "a>x", "[a >x]" },
	{ "a 2 >x", "[a|2 >x]" },
	{ "a # b; c\nd", "[a][d]" },
	{ "a#b", "[a#b]" },
	{ "a \"$\" $", "[a|$|$]" },
	/* dresses of one program */
	{ "\\rm x", "[rm|x]" },
	{ "r''m x", "[rm|x]" },
	{ "\"rm\" x", "[rm|x]" },
	{ "true&&rm x", "[true][rm|x]" },
	{ "true;rm x", "[true][rm|x]" },
	{ ">f rm x", "[rm|x >f]" },
	/* what can't be known */
	{ "echo $HOME", "{variable}[echo|$HOME...]" },
	{ "echo \"${X}\"", "{variable}[echo|${X}...]" },
	{ "$X y", "{variable}?[$X|y...]" },
	{ "echo $(ls)", "{substitution}{compound}?[echo|$|ls...]" },
	{ "echo `ls`", "{substitution}?[echo|`ls`...]" },
	{ "ls *", "{glob}[ls|*...]" },
	{ "ls ~/x", "{tilde}[ls|~/x...]" },
	{ "ls a~", "[ls|a~]" },
	{ "echo {a,b}", "{brace}[echo|{a,b}...]" },
	{ "X=1 ls", "{assignment}[ls]" },
	{ "if true", "{compound}?[if|true...]" },
	{ "(ls)", "{compound}?[ls...]" },
	{ "cat <<E\nrm\nE", "{here-document}?[cat...]" },
	{ "ls >$X", "{variable}[ls >$X]" },
	{ "ls 'x", "{syntax}?[ls|x...]" },
	{ "ls \\", "{syntax}?[ls|...]" },
	{ "; ls", "{syntax}?[...][ls]" },
	{ "ls &>f", "{redirection}[ls][ >f]" },
	/* programs that run others */
	{ "sh -c 'rm x'", "{interpreter:sh}[sh|-c|rm x]" },
	{ "/usr/bin/python3.11 -", "{interpreter:python3.11}[/usr/bin/python3.11|-]" },
	{ "sudo rm", "{interpreter:sudo}[sudo|rm]" },
	{ "find . -exec rm x", "{interpreter:find}[find|.|-exec|rm|x]" },
	{ "find . -name x", "[find|.|-name|x]" },
	{ "rsync --server -e.iLsf . /x", "[rsync|--server|-e.iLsf|.|/x]" },
	{ "rsync -e x a b", "{interpreter:rsync}[rsync|-e|x|a|b]" },
	{ "ls | sh", "[ls]{interpreter:sh}[sh]" },
};

static void
lines_are_read(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *got = read_line(cases[i].line, strlen(cases[i].line));
		if (strcmp(got, cases[i].shown) != 0)
			printf("\n  line %s\n  got  %s\n  want %s\n", cases[i].line, got, cases[i].shown);
		CU_ASSERT_STRING_EQUAL(got, cases[i].shown);
	}
}

static void
a_nul_separates_nothing(void)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(read_line("ls\0rm", 5), "{syntax}"));
}

static void
too_long_is_opaque(void)
{
	static char line[SHELL_LINE + 2];
	memset(line, 'a', sizeof(line));
	CU_ASSERT_STRING_EQUAL(read_line(line, sizeof(line)), "{syntax}");
	for (size_t i = 0; i < sizeof(line); i += 2)
		line[i] = ' ';
	CU_ASSERT_PTR_NOT_NULL(strstr(read_line(line, SHELL_LINE), "{syntax}"));
}

int
main(void)
{
	CU_TestInfo tests[] = { { "lines are read", lines_are_read }, { "a NUL separates nothing", a_nul_separates_nothing },
		{ "too long is opaque", too_long_is_opaque }, CU_TEST_INFO_NULL };
	return cunit_main("shell", tests);
}
