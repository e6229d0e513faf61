/* SPDX-License-Identifier: Apache-2.0 */
/* See shell.h. */
#include "shell.h"

enum { VARIABLE, SUBSTITUTION, GLOB, TILDE, BRACE, ASSIGNMENT, COMPOUND, HERE_DOCUMENT, REDIRECTION, INTERPRETER, SYNTAX, OPAQUES };

const char *const shell_opaque[] = {
	[VARIABLE] = "variable", [SUBSTITUTION] = "substitution", [GLOB] = "glob", [TILDE] = "tilde", [BRACE] = "brace",
	[ASSIGNMENT] = "assignment", [COMPOUND] = "compound", [HERE_DOCUMENT] = "here-document", [REDIRECTION] = "redirection",
	[INTERPRETER] = "interpreter", [SYNTAX] = "syntax", [OPAQUES] = NULL,
};

struct line {
	struct sp_reader in;
	struct shell_scratch *scratch;
	const struct shell_reader *to;
	size_t used;          /* of the scratch's text */
	size_t nwords, nredirects;
	bool named, words_known, files_known, opaque; /* of the command so far */
	bool in_file;         /* it is a redirection's that is read */
	bool told[OPAQUES];   /* each is told once */
	int rc;
};

static const struct sp_bytes none = { NULL, 0 };

static void
opaque(struct line *l, unsigned what, struct sp_bytes name)
{
	/* what runs inside, or after, can't be seen: then not even the program is known */
	bool hidden = what == SUBSTITUTION || what == COMPOUND || what == HERE_DOCUMENT || what == SYNTAX;
	l->opaque = true;
	if (what == INTERPRETER || what == ASSIGNMENT)
		;
	else if (what == REDIRECTION || l->in_file)
		l->files_known = false;
	else
		l->words_known = false;
	if (hidden || (!l->words_known && l->nwords == 0))
		l->named = l->words_known = l->files_known = false;
	if (l->rc != 0 || (l->told[what] && what != INTERPRETER))
		return;
	l->told[what] = true;
	l->rc = l->to->opaque(l->to->owner, shell_opaque[what], name);
}

static int
look(const struct line *l, size_t ahead)
{
	return ahead < l->in.left ? l->in.p[ahead] : -1;
}

static void
step(struct line *l, size_t n)
{
	(void)sp_rd_take(&l->in, n);
}

static void
keep(struct line *l, uint8_t c)
{
	if (l->used < sizeof(l->scratch->text))
		l->scratch->text[l->used++] = c;
	else
		opaque(l, SYNTAX, none);
}

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static bool
ends_word(int c)
{
	return c < 0 || is_blank(c) || (c != 0 && strchr("\n;&|<>()", c) != NULL);
}

/* ---- words ---- */

/* At a `$` or a backquote: what is behind it, the reader does not follow. */
static void
dollar(struct line *l, bool quoted)
{
	int next = look(l, 0) == '`' ? '(' : look(l, 1);
	bool lone = next < 0 || (next != '{' && next != '(' && (quoted || (next != '\'' && next != '"')) && next != '_' && strchr("@*#?-$!", next) == NULL &&
				    !(next >= '0' && next <= '9') && !(next >= 'a' && next <= 'z') && !(next >= 'A' && next <= 'Z'));
	if (!lone)
		opaque(l, next == '(' ? SUBSTITUTION : VARIABLE, none);
	keep(l, (uint8_t)look(l, 0));
	step(l, 1);
}

static void
single_quoted(struct line *l)
{
	step(l, 1);
	while (look(l, 0) >= 0 && look(l, 0) != '\'') {
		keep(l, (uint8_t)look(l, 0));
		step(l, 1);
	}
	if (look(l, 0) < 0)
		opaque(l, SYNTAX, none);
	step(l, look(l, 0) < 0 ? 0 : 1);
}

static void
double_quoted(struct line *l)
{
	step(l, 1);
	for (int c = look(l, 0); c >= 0 && c != '"'; c = look(l, 0)) {
		int next = look(l, 1);
		if (c == '$' || c == '`') {
			dollar(l, true);
			continue;
		}
		if (c == '\\' && next == '\n') {
			step(l, 2);
			continue;
		}
		if (c == '\\' && next > 0 && strchr("$`\"\\", next) != NULL) {
			step(l, 1);
			c = next;
		}
		keep(l, (uint8_t)c);
		step(l, 1);
	}
	if (look(l, 0) < 0)
		opaque(l, SYNTAX, none);
	step(l, look(l, 0) < 0 ? 0 : 1);
}

static void
escaped(struct line *l)
{
	int next = look(l, 1);
	if (next < 0)
		opaque(l, SYNTAX, none);
	else if (next != '\n')
		keep(l, (uint8_t)next);
	step(l, next < 0 ? 1 : 2);
}

/* A byte outside quotes. */
static void
plain(struct line *l, bool first)
{
	int c = look(l, 0);
	if (c == '*' || c == '?' || c == '[')
		opaque(l, GLOB, none);
	else if (c == '~' && first)
		opaque(l, TILDE, none);
	else if (c == '{' || c == '}')
		opaque(l, BRACE, none);
	else if (c == 0)
		opaque(l, SYNTAX, none);
	keep(l, (uint8_t)c);
	step(l, 1);
}

/* The next word, unquoted; *quoted_r: some of it was in quotes. */
static struct sp_bytes
read_word(struct line *l, bool *quoted_r)
{
	size_t start = l->used;
	*quoted_r = false;
	for (bool first = true; !ends_word(look(l, 0)) && l->rc == 0; first = false) {
		int c = look(l, 0);
		bool quote = c == '\'' || c == '"' || c == '\\';
		*quoted_r = *quoted_r || quote;
		if (c == '\'')
			single_quoted(l);
		else if (c == '"')
			double_quoted(l);
		else if (c == '\\')
			escaped(l);
		else if (c == '$' || c == '`')
			dollar(l, false);
		else
			plain(l, first);
	}
	return (struct sp_bytes){ l->scratch->text + start, l->used - start };
}

static bool
is_name(struct sp_bytes w)
{
	for (size_t i = 0; i < w.len; i++) {
		uint8_t c = w.p[i];
		if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && (i == 0 || !(c >= '0' && c <= '9')))
			return false;
	}
	return w.len > 0;
}

static bool
is_assignment(struct sp_bytes w)
{
	const uint8_t *equals = w.len == 0 ? NULL : memchr(w.p, '=', w.len);
	if (equals == NULL)
		return false;
	struct sp_bytes name = { w.p, (size_t)(equals - w.p) };
	if (name.len > 1 && name.p[name.len - 1] == '+')
		name.len--;
	return is_name(name);
}

static bool
is_reserved(struct sp_bytes w)
{
	static const char *const reserved[] = { "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac",
		"function", "select", "!", "{", "}", "[[", "coproc", NULL };
	for (size_t i = 0; reserved[i] != NULL; i++)
		if (sp_bytes_is(w, reserved[i]))
			return true;
	return false;
}

static void
take_word(struct line *l)
{
	bool quoted;
	struct sp_bytes w = read_word(l, &quoted);
	if (l->nwords == 0 && is_assignment(w)) {
		opaque(l, ASSIGNMENT, none);
		return;
	}
	if (l->nwords == 0 && !quoted && is_reserved(w))
		opaque(l, COMPOUND, none);
	if (l->nwords == SHELL_WORDS)
		opaque(l, SYNTAX, none);
	else
		l->scratch->word[l->nwords++] = w;
}

/* ---- redirections ---- */

static void
skip_blanks(struct line *l)
{
	while (is_blank(look(l, 0)) || (look(l, 0) == '\\' && look(l, 1) == '\n'))
		step(l, look(l, 0) == '\\' ? 2 : 1);
}

/* `2>` : the number before the sign belongs to it. */
static size_t
redirect_number(const struct line *l)
{
	size_t n = 0;
	while (n < 9 && look(l, n) >= '0' && look(l, n) <= '9')
		n++;
	return look(l, n) == '<' || look(l, n) == '>' ? n : 0;
}

static bool
is_number_or_dash(struct sp_bytes w)
{
	for (size_t i = 0; i < w.len; i++)
		if (w.p[i] < '0' || w.p[i] > '9')
			return w.len == 1 && w.p[0] == '-';
	return w.len > 0;
}

static void
take_redirect(struct line *l)
{
	bool quoted, write = look(l, 0) == '>', copies = false;
	if (look(l, 0) == '<' && (look(l, 1) == '<' || look(l, 1) == '(')) {
		opaque(l, look(l, 1) == '<' ? HERE_DOCUMENT : SUBSTITUTION, none);
		step(l, l->in.left); /* its text is no line of commands */
		return;
	}
	step(l, 1);
	if ((look(l, 0) == '>' && write) || (look(l, 0) == '|' && write)) {
		step(l, 1);
	} else if (look(l, 0) == '>') { /* <> */
		write = true;
		step(l, 1);
	} else if (look(l, 0) == '&') {
		copies = true;
		step(l, 1);
	}
	skip_blanks(l);
	if (ends_word(look(l, 0))) {
		opaque(l, look(l, 0) == '(' ? SUBSTITUTION : SYNTAX, none);
		return;
	}
	l->in_file = true;
	struct sp_bytes w = read_word(l, &quoted);
	l->in_file = false;
	if (copies && is_number_or_dash(w))
		return;
	if (l->nredirects == SHELL_REDIRECTS || w.len == 0) {
		opaque(l, REDIRECTION, none);
		return;
	}
	l->scratch->writes[l->nredirects] = write;
	l->scratch->to[l->nredirects++] = w;
}

/* ---- commands ---- */

static void
end_command(struct line *l)
{
	struct shell_scratch *s = l->scratch;
	if (l->rc != 0)
		return;
	if (l->nwords > 0 && l->named && shell_is_interpreter(s->word, l->nwords))
		opaque(l, INTERPRETER, shell_base_name(s->word[0]));
	if (l->rc == 0 && (l->nwords > 0 || l->nredirects > 0 || l->opaque)) {
		const struct shell_command c = { s->word, l->nwords, s->to, s->writes, l->nredirects, l->named, l->words_known,
			l->files_known, l->opaque };
		l->rc = l->to->command(l->to->owner, &c);
	}
	l->nwords = l->nredirects = 0;
	l->named = l->words_known = l->files_known = true;
	l->opaque = false;
	l->used = 0;
}

/* `&>file` and `>&file` are bash's; elsewhere the first is a command in the background. */
static void
take_operator(struct line *l)
{
	int c = look(l, 0), next = look(l, 1);
	if (c == '(' || c == ')') {
		opaque(l, COMPOUND, none);
		step(l, 1);
		return;
	}
	if (c == '&' && next == '>')
		opaque(l, REDIRECTION, none);
	else if (c == ';' && (next == ';' || next == '&'))
		opaque(l, COMPOUND, none);
	else if (l->nwords == 0 && l->nredirects == 0 && !l->opaque && c != '\n')
		opaque(l, SYNTAX, none); /* nothing before it: no shell takes that */
	step(l, (c == '&' && next == '&') || (c == '|' && (next == '|' || next == '&')) ? 2 : 1);
	end_command(l);
}

int
shell_read(struct sp_bytes text, struct shell_scratch *scratch, const struct shell_reader *r)
{
	struct line l = { .in = sp_reader(text), .scratch = scratch, .to = r, .named = true, .words_known = true, .files_known = true };
	if (text.len > SHELL_LINE)
		return r->opaque(r->owner, shell_opaque[SYNTAX], none);
	while (l.in.left > 0 && l.rc == 0) {
		skip_blanks(&l);
		int c = look(&l, 0);
		size_t number = redirect_number(&l);
		if (c < 0)
			break;
		if (c == '#') {
			while (look(&l, 0) >= 0 && look(&l, 0) != '\n')
				step(&l, 1);
		} else if (number > 0 || c == '<' || c == '>') {
			step(&l, number);
			take_redirect(&l);
		} else if (ends_word(c)) {
			take_operator(&l);
		} else {
			take_word(&l);
		}
	}
	end_command(&l);
	return l.rc;
}
