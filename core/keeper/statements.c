/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting SQL at its semicolons. */
#include <config.h>

#include "statements.h"

#include <ctype.h>

struct scan {
	struct sp_bytes text;
	size_t at;
	unsigned parens, blocks; /* open ( and BEGIN … END */
	unsigned words;          /* of the statement so far */
	char first[4];           /* their first letters: CREATE [OR REPLACE] FUNCTION or PROCEDURE */
	bool odd;
};

static int
byte_at(const struct scan *s, size_t ahead)
{
	return s->at + ahead < s->text.len ? s->text.p[s->at + ahead] : -1;
}

static bool
begins_name(int c)
{
	return c == '_' || c >= 0x80 || (c > 0 && isalpha(c));
}

static bool
in_name(int c)
{
	return begins_name(c) || c == '$' || (c > 0 && isdigit(c));
}

static bool
is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* To the end of the line, which a carriage return is, too. */
static void
skip_line(struct scan *s)
{
	while (byte_at(s, 0) >= 0 && byte_at(s, 0) != '\n' && byte_at(s, 0) != '\r')
		s->at++;
}

static void
skip_comment(struct scan *s)
{
	unsigned depth = 0;
	do {
		if (byte_at(s, 0) == '/' && byte_at(s, 1) == '*') {
			depth++;
			s->at += 2;
		} else if (byte_at(s, 0) == '*' && byte_at(s, 1) == '/') {
			depth--;
			s->at += 2;
		} else {
			s->at++;
		}
	} while (depth > 0 && byte_at(s, 0) >= 0);
	s->odd = s->odd || depth > 0;
}

/* White space and comments. */
static bool
skip_blank(struct scan *s)
{
	size_t before = s->at;
	while (is_space(byte_at(s, 0)))
		s->at++;
	if (byte_at(s, 0) == '-' && byte_at(s, 1) == '-')
		skip_line(s);
	else if (byte_at(s, 0) == '/' && byte_at(s, 1) == '*')
		skip_comment(s);
	return s->at > before;
}

static void
skip_quoted(struct scan *s, int quote, bool escapes)
{
	for (s->at++; byte_at(s, 0) >= 0; s->at++) {
		if (escapes && byte_at(s, 0) == '\\') {
			s->at++;
		} else if (byte_at(s, 0) == quote) {
			if (byte_at(s, 1) != quote)
				break;
			s->at++;
		}
	}
	s->odd = s->odd || byte_at(s, 0) < 0;
	s->at += byte_at(s, 0) >= 0;
}

/* E'…' may go on in a '…' of a later line, still with its escapes: too odd to be cut. */
static void
skip_escaped(struct scan *s)
{
	skip_quoted(s, '\'', true);
	size_t end = s->at;
	while (skip_blank(s))
		;
	s->odd = s->odd || byte_at(s, 0) == '\'';
	s->at = end;
}

/* $tag$ … $tag$; a lone $ is one byte. */
static void
skip_dollar(struct scan *s)
{
	size_t n = 1;
	if (begins_name(byte_at(s, n)))
		while (in_name(byte_at(s, n)) && byte_at(s, n) != '$')
			n++;
	if (byte_at(s, n) != '$') {
		s->at++;
		return;
	}
	const struct sp_bytes tag = { s->text.p + s->at, n + 1 };
	for (s->at += n + 1; s->text.len - s->at >= tag.len; s->at++)
		if (sp_bytes_eq((struct sp_bytes){ s->text.p + s->at, tag.len }, tag)) {
			s->at += tag.len;
			return;
		}
	s->at = s->text.len;
	s->odd = true;
}

static bool
word_is(struct sp_bytes word, const char *what)
{
	size_t i = 0;
	for (; i < word.len && what[i] != '\0'; i++)
		if (tolower(word.p[i]) != what[i])
			return false;
	return i == word.len && what[i] == '\0';
}

/* As psql counts them, for functions whose body is SQL. */
static void
count_block(struct scan *s, struct sp_bytes word)
{
	bool routine = s->first[0] == 'c' && (s->first[1] == 'f' || s->first[1] == 'p' ||
	    (s->first[1] == 'o' && s->first[2] == 'r' && (s->first[3] == 'f' || s->first[3] == 'p')));
	if (s->words < sizeof(s->first))
		s->first[s->words] = (char)tolower(word.p[0]);
	s->words++;
	if (!routine || s->parens > 0)
		return;
	if (word_is(word, "begin") || (s->blocks > 0 && word_is(word, "case")))
		s->blocks++;
	else if (s->blocks > 0 && word_is(word, "end"))
		s->blocks--;
}

static void
skip_name(struct scan *s)
{
	size_t start = s->at;
	while (in_name(byte_at(s, 0)))
		s->at++;
	struct sp_bytes word = { s->text.p + start, s->at - start };
	if (byte_at(s, 0) == '\'' && word_is(word, "e"))
		skip_escaped(s);
	else
		count_block(s, word);
}

/* One token, which is none of those that end a statement. */
static void
skip_token(struct scan *s)
{
	int c = byte_at(s, 0);
	if (c == '\'' || c == '"') {
		skip_quoted(s, c, false);
	} else if (c == '$') {
		skip_dollar(s);
	} else if (begins_name(c)) {
		skip_name(s);
	} else {
		s->odd = s->odd || c == '\\' || (c == ')' && s->parens == 0);
		s->parens += c == '(';
		s->parens -= c == ')' && s->parens > 0;
		s->at++;
	}
}

static bool
scan_next(struct scan *s, struct statement *r)
{
	while (skip_blank(s) || byte_at(s, 0) == ';')
		s->at += byte_at(s, 0) == ';';
	r->start = r->end = s->at;
	while (byte_at(s, 0) >= 0 && (byte_at(s, 0) != ';' || s->parens > 0 || s->blocks > 0)) {
		if (skip_blank(s))
			continue;
		skip_token(s);
		r->end = s->at;
	}
	s->odd = s->odd || s->parens > 0 || s->blocks > 0;
	r->next = s->at + (byte_at(s, 0) == ';');
	return r->end > r->start;
}

bool
statements_next(struct sp_bytes text, size_t from, struct statement *s_r)
{
	struct scan s = { .text = text, .at = from };
	*s_r = (struct statement){ text.len, text.len, text.len };
	return from <= text.len && scan_next(&s, s_r);
}

bool
statements_odd(struct sp_bytes text)
{
	struct scan s = { .text = text };
	struct statement r;
	while (scan_next(&s, &r)) {
		s.at = r.next;
		s.parens = s.blocks = s.words = 0;
		memset(s.first, 0, sizeof(s.first));
	}
	return s.odd || s.at < text.len;
}

struct sp_bytes
statements_trim(struct sp_bytes text)
{
	struct statement first, last;
	if (statements_odd(text) || !statements_next(text, 0, &first))
		return (struct sp_bytes){ text.p, 0 };
	last = first;
	for (struct statement s; statements_next(text, last.next, &s);)
		last = s;
	return (struct sp_bytes){ text.p + first.start, last.end - first.start };
}

static bool
matches_from(struct sp_bytes text, size_t start, struct sp_bytes sent, size_t *next_r)
{
	struct statement r;
	for (size_t from = start; statements_next(text, from, &r) && r.end - start <= sent.len; from = r.next) {
		*next_r = r.next;
		if (r.end - start == sent.len)
			return sp_bytes_eq((struct sp_bytes){ text.p + start, sent.len }, sent);
	}
	return false;
}

bool
statements_match(struct sp_bytes text, size_t from, struct sp_bytes sent, size_t *next_r)
{
	return statements_match_bare(text, from, statements_trim(sent), next_r);
}

bool
statements_match_bare(struct sp_bytes text, size_t from, struct sp_bytes bare, size_t *next_r)
{
	struct statement r;
	*next_r = from;
	return bare.len > 0 && statements_next(text, from, &r) && matches_from(text, r.start, bare, next_r);
}
