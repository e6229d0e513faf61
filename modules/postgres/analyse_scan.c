/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, encoding and depth of a text: see analyse_scan.h. */
#include "analyse_scan.h"
#include "analyse.h"

/* The byte at i, or 0 past the end: no other code here touches the text. */
static uint8_t
at(const struct pg_scan *s, size_t i)
{
	return i < s->text.len ? s->text.p[i] : 0;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word_start(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool
is_word(uint8_t c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_operator(uint8_t c)
{
	return c != 0 && memchr("~!@#^&|`?+-*/%<>=", c, 17) != NULL;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

struct pg_scan
pg_scan(struct sp_bytes text, size_t from)
{
	return (struct pg_scan){ .text = text, .at = from < text.len ? from : text.len };
}

/* Behind the comment that starts at i; text.len + 1 when it does not end. */
static size_t
comment_end(const struct pg_scan *s, size_t i)
{
	size_t depth = 0;

	if (at(s, i) == '-') {
		while (i < s->text.len && at(s, i) != '\n' && at(s, i) != '\r')
			i++;
		return i;
	}
	while (i < s->text.len) {
		if (at(s, i) == '/' && at(s, i + 1) == '*') {
			depth++;
			i += 2;
		} else if (at(s, i) == '*' && at(s, i + 1) == '/') {
			i += 2;
			if (--depth == 0)
				return i;
		} else {
			i++;
		}
	}
	return s->text.len + 1;
}

static bool
is_comment(const struct pg_scan *s, size_t i)
{
	return (at(s, i) == '-' && at(s, i + 1) == '-') || (at(s, i) == '/' && at(s, i + 1) == '*');
}

/* Behind the closing quote; `escapes`: a backslash takes the next byte with it. */
static size_t
quote_end(const struct pg_scan *s, size_t i, uint8_t quote, bool escapes)
{
	while (i < s->text.len) {
		if (escapes && at(s, i) == '\\') {
			i += 2;
		} else if (at(s, i) != quote) {
			i++;
		} else if (at(s, i + 1) == quote) {
			i += 2;
		} else {
			return i + 1;
		}
	}
	return s->text.len + 1;
}

static struct pg_token
token(struct pg_scan *s, enum pg_token_kind kind, size_t end)
{
	struct pg_token t = { .kind = kind, .offset = s->at };

	if (end > s->text.len) {
		t.kind = PG_TOKEN_BAD;
		end = s->text.len;
	}
	t.len = end - s->at;
	s->at = end;
	return t;
}

/* $1, or $tag$ … $tag$. */
static struct pg_token
dollar(struct pg_scan *s)
{
	size_t i = s->at + 1, tag;

	if (is_digit(at(s, i))) {
		while (is_digit(at(s, i)))
			i++;
		return token(s, PG_TOKEN_PARAM, i);
	}
	if (is_word_start(at(s, i)))
		while (is_word(at(s, i)) && at(s, i) != '$')
			i++;
	if (at(s, i) != '$')
		return token(s, PG_TOKEN_BAD, s->at + 1);
	tag = ++i - s->at;
	size_t body = i;
	for (; i < s->text.len && tag <= s->text.len - i; i++) {
		if (at(s, i) != '$' || memcmp(s->text.p + i, s->text.p + s->at, tag) != 0)
			continue;
		struct pg_token t = token(s, PG_TOKEN_DOLLAR, i + tag);
		t.body = body;
		t.body_len = i - body;
		return t;
	}
	return token(s, PG_TOKEN_BAD, s->text.len);
}

static struct pg_token
number(struct pg_scan *s)
{
	size_t i = s->at;

	while (is_digit(at(s, i)))
		i++;
	if (at(s, i) == '.' && at(s, i + 1) != '.') {
		i++;
		while (is_digit(at(s, i)))
			i++;
	}
	if (lower(at(s, i)) == 'e') {
		size_t e = i + 1;
		if (at(s, e) == '+' || at(s, e) == '-')
			e++;
		if (is_digit(at(s, e)))
			for (i = e; is_digit(at(s, i));)
				i++;
	}
	return token(s, PG_TOKEN_NUMBER, i);
}

/* An operator ends before a comment, and "+" or "-" at its end belong to what follows. */
static struct pg_token
operator(struct pg_scan *s)
{
	size_t i = s->at + 1;
	bool sticky = false;

	while (is_operator(at(s, i)) && !is_comment(s, i))
		i++;
	for (size_t k = s->at; k < i; k++)
		sticky = sticky || memchr("~!@#^&|`?%", at(s, k), 10) != NULL;
	while (!sticky && i - s->at > 1 && (at(s, i - 1) == '+' || at(s, i - 1) == '-'))
		i--;
	return token(s, PG_TOKEN_OPERATOR, i);
}

/* A word, or the letter before a string: E'', B'', X'', N'', U&'', U&"". */
static struct pg_token
word(struct pg_scan *s)
{
	uint8_t c = lower(at(s, s->at)), next = at(s, s->at + 1);
	size_t i = s->at;

	if (next == '\'' && memchr("ebxn", c, 4) != NULL)
		return token(s, PG_TOKEN_STRING, quote_end(s, i + 2, '\'', c == 'e'));
	if (c == 'u' && next == '&' && at(s, i + 2) == '\'')
		return token(s, PG_TOKEN_STRING, quote_end(s, i + 3, '\'', false));
	if (c == 'u' && next == '&' && at(s, i + 2) == '"')
		return token(s, PG_TOKEN_NAME, quote_end(s, i + 3, '"', false));
	while (is_word(at(s, i)))
		i++;
	return token(s, PG_TOKEN_WORD, i);
}

struct pg_token
pg_scan_next(struct pg_scan *s)
{
	while (s->at < s->text.len) {
		if (is_space(at(s, s->at)))
			s->at++;
		else if (is_comment(s, s->at)) {
			size_t end = comment_end(s, s->at);
			if (end > s->text.len)
				return token(s, PG_TOKEN_BAD, end);
			s->at = end;
		} else
			break;
	}
	uint8_t c = at(s, s->at);
	if (s->at == s->text.len)
		return token(s, PG_TOKEN_END, s->at);
	if (c == '\'')
		return token(s, PG_TOKEN_STRING, quote_end(s, s->at + 1, '\'', false));
	if (c == '"')
		return token(s, PG_TOKEN_NAME, quote_end(s, s->at + 1, '"', false));
	if (c == '$')
		return dollar(s);
	if (is_word_start(c))
		return word(s);
	if (is_digit(c) || (c == '.' && is_digit(at(s, s->at + 1))))
		return number(s);
	if (is_operator(c))
		return operator(s);
	return token(s, c != 0 && memchr(",()[].;:", c, 8) != NULL ? PG_TOKEN_SELF : PG_TOKEN_BAD, s->at + 1);
}

bool
pg_token_is(const struct pg_scan *s, const struct pg_token *t, const char *word)
{
	if (t->kind != PG_TOKEN_WORD || strlen(word) != t->len)
		return false;
	for (size_t i = 0; i < t->len; i++)
		if (lower(at(s, t->offset + i)) != (uint8_t)word[i])
			return false;
	return true;
}

/* ---- encoding ---- */

/* How many bytes the character at i takes, or 0. */
static size_t
utf8_length(const struct pg_scan *s, size_t i)
{
	uint8_t c = at(s, i), d = at(s, i + 1);
	size_t n;

	if (c < 0x80)
		return c != 0;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
		return 0;
	for (size_t k = 1; k < n; k++)
		if ((at(s, i + k) & 0xc0) != 0x80)
			return 0;
	return n;
}

bool
pg_scan_utf8(struct sp_bytes text)
{
	struct pg_scan s = { .text = text };

	for (size_t i = 0, n; i < text.len; i += n)
		if ((n = utf8_length(&s, i)) == 0)
			return false;
	return true;
}

/* ---- depth ---- */

/*
 * Grammar rules that nest without a bracket do it by an operator, a prefix or a keyword such as NOT,
 * IS, JOIN or UNION, one per level.  Lists are flat, and so are chains of AND and OR, for which the
 * grammar makes one node: but NOT and BETWEEN, which can hold an AND inside, stay counted across
 * them.  A comma ends what hung on the operators of its own bracket, but not on UNION and the like.
 */
struct depth {
	size_t run;        /* since the bracket or the last comma */
	size_t sets;       /* set operations and joins since the bracket */
	size_t base;       /* what stood open before each open bracket */
	size_t deepest;
	size_t nopen;      /* brackets, CASE included */
	struct {
		uint16_t run, sets;
		bool is_case;
	} open[PG_DEPTH_MAX];
};

static void
depth_note(struct depth *d)
{
	size_t now = d->base + d->run + d->sets + d->nopen;
	if (now > d->deepest)
		d->deepest = now;
}

static void
depth_open(struct depth *d, bool is_case)
{
	depth_note(d);
	if (d->deepest >= PG_DEPTH_MAX)
		return;
	d->open[d->nopen].run = (uint16_t)d->run;
	d->open[d->nopen].sets = (uint16_t)d->sets;
	d->open[d->nopen++].is_case = is_case;
	d->base += d->run + d->sets;
	d->run = d->sets = 0;
	depth_note(d);
}

static void
depth_close(struct depth *d, bool is_case)
{
	if (d->nopen == 0 || d->open[d->nopen - 1].is_case != is_case)
		return;
	d->nopen--;
	d->run = d->open[d->nopen].run;
	d->sets = d->open[d->nopen].sets;
	d->base -= d->run + d->sets;
}

/* Words that can add a level without a bracket; 's': a set operation or join. */
static const struct {
	const char *word;
	char how;
} nesting[] = {
	{ "not", 'r' }, { "is", 'r' }, { "isnull", 'r' }, { "notnull", 'r' }, { "between", 'r' }, { "like", 'r' },
	{ "ilike", 'r' }, { "similar", 'r' }, { "in", 'r' }, { "collate", 'r' }, { "at", 'r' }, { "escape", 'r' },
	{ "overlaps", 'r' }, { "operator", 'r' }, { "any", 'r' }, { "all", 'r' }, { "some", 'r' }, { "distinct", 'r' },
	{ "select", 'r' }, { "values", 'r' }, { "with", 'r' }, { "explain", 'r' }, { "row", 'r' }, { "interval", 'r' },
	{ "union", 's' }, { "intersect", 's' }, { "except", 's' }, { "join", 's' }, { "table", 'r' },
};

static void
depth_word(struct depth *d, const struct pg_scan *s, const struct pg_token *t)
{
	if (pg_token_is(s, t, "case")) {
		depth_open(d, true);
		return;
	}
	if (pg_token_is(s, t, "end")) {
		depth_close(d, true);
		return;
	}
	for (size_t i = 0; i < sizeof(nesting) / sizeof(*nesting); i++) {
		if (!pg_token_is(s, t, nesting[i].word))
			continue;
		if (nesting[i].how == 's')
			d->sets++;
		else
			d->run++;
		depth_note(d);
		return;
	}
}

/* Comparison operators do not associate: they add no level beside what else is counted. */
static bool
is_comparison(const struct pg_scan *s, const struct pg_token *t)
{
	struct sp_bytes op = { s->text.p + t->offset, t->len };
	return sp_bytes_is(op, "=") || sp_bytes_is(op, "<") || sp_bytes_is(op, ">") || sp_bytes_is(op, "<=") ||
	    sp_bytes_is(op, ">=") || sp_bytes_is(op, "<>") || sp_bytes_is(op, "!=");
}

static void
depth_self(struct depth *d, uint8_t c, uint8_t next)
{
	if (c == '(' || c == '[')
		depth_open(d, false);
	else if (c == ')' || c == ']')
		depth_close(d, false);
	else if (c == ',' && (d->nopen == 0 || !d->open[d->nopen - 1].is_case))
		d->run = 0;
	else if (c == ':' && next == ':')
		d->run++;
	else if (c == ';' && d->nopen == 0)
		d->run = d->sets = 0;
	depth_note(d);
}

bool
pg_scan_few(struct sp_bytes text, size_t *left)
{
	struct pg_scan s = pg_scan(text, 0);

	if (text.len <= *left / 8) {
		*left -= text.len;
		return true;
	}
	while (pg_scan_next(&s).kind != PG_TOKEN_END) {
		if (*left == 0)
			return false;
		--*left;
	}
	return true;
}

size_t
pg_scan_depth(struct sp_bytes text)
{
	struct pg_scan s = pg_scan(text, 0);
	struct depth d; /* 24 kB: only the head is set */
	bool label = false; /* behind a dot or AS a word is a name */

	d.run = d.sets = d.base = d.deepest = d.nopen = 0;
	while (d.deepest < PG_DEPTH_MAX) {
		struct pg_token t = pg_scan_next(&s);
		if (t.kind == PG_TOKEN_END || t.kind == PG_TOKEN_BAD)
			break;
		uint8_t c = at(&s, t.offset);
		if (t.kind == PG_TOKEN_WORD && !label)
			depth_word(&d, &s, &t);
		else if (t.kind == PG_TOKEN_SELF)
			depth_self(&d, c, at(&s, t.offset + 1));
		else if (t.kind == PG_TOKEN_OPERATOR && !is_comparison(&s, &t)) {
			d.run++;
			depth_note(&d);
		}
		label = (t.kind == PG_TOKEN_SELF && c == '.') || pg_token_is(&s, &t, "as");
	}
	return d.deepest;
}
