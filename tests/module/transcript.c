/* SPDX-License-Identifier: Apache-2.0 */
/* Reading transcripts and holding a module to them. */
#include <config.h>

#include "transcript.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX (1u << 20)
#define LETS 256u

struct text {
	uint8_t *p;       /* bytes */
	uint8_t *any;     /* 1 where any value will do */
	size_t len, cap;
};

struct let {
	char name[32];
	struct text value;
};

struct play {
	struct transcript *t;
	struct fake *f;
	struct let let[LETS];
	size_t nlets;
	size_t log_offset; /* behind what the last `log` found */
	const char *file;
	unsigned line;
	bool failed, whole; /* whole: what is sent is not cut any more */
};

static void SP_PRINTF(2, 3)
fail(struct play *p, const char *fmt, ...)
{
	char text[3500];
	va_list list;
	if (p->failed)
		return;
	p->failed = true;
	va_start(list, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, list);
	va_end(list);
	(void)snprintf(p->t->error_r, sizeof(p->t->error_r), "%s:%u: %s", p->file, p->line, text);
}

/* ---- bytes ---- */

static void
put(struct text *b, const void *p, size_t n, uint8_t any)
{
	if (n > BYTES_MAX - b->len)
		abort();
	if (n > b->cap - b->len) {
		b->cap = 2 * (b->len + n) + 64;
		b->p = realloc(b->p, b->cap);
		b->any = realloc(b->any, b->cap);
	}
	if (p != NULL)
		memcpy(b->p + b->len, p, n);
	else
		memset(b->p + b->len, 0, n);
	memset(b->any + b->len, any, n);
	b->len += n;
}

static void
put_number(struct text *b, unsigned size, long long value)
{
	for (unsigned i = size; i-- > 0;) {
		uint8_t byte = (uint8_t)((unsigned long long)value >> (8 * i));
		put(b, &byte, 1, 0);
	}
}

static void
text_free(struct text *b)
{
	free(b->p);
	free(b->any);
	*b = (struct text){ .p = NULL };
}

/* A quoted text with \n \t \\ \" \' \xHH; the reader stands behind the opening quote. */
static const char *
put_quoted(struct play *p, struct text *b, const char *at, char quote)
{
	for (; *at != quote; at++) {
		uint8_t c = (uint8_t)*at;
		if (*at == '\0') {
			fail(p, "a quote is not closed");
			return at;
		}
		if (*at == '\\') {
			at++;
			c = *at == 'n' ? '\n' : *at == 't' ? '\t' : (uint8_t)*at;
			if (*at == 'x') {
				char hex[3] = { at[1], at[1] == '\0' ? '\0' : at[2], '\0' };
				c = (uint8_t)strtoul(hex, NULL, 16);
				at += 2;
			}
		}
		put(b, &c, 1, 0);
	}
	return at + 1;
}

static const struct text *
let_find(struct play *p, const char *name, size_t n)
{
	for (size_t i = p->nlets; i-- > 0;)
		if (strlen(p->let[i].name) == n && memcmp(p->let[i].name, name, n) == 0)
			return &p->let[i].value;
	fail(p, "unknown name $%.*s", (int)n, name);
	return NULL;
}

static size_t
word_length(const char *at)
{
	size_t n = 0;
	while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == '-')
		n++;
	return n;
}

static const char *
put_hex(struct text *b, const char *at)
{
	for (; isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]); at += 2) {
		char hex[3] = { at[0], at[1], '\0' };
		uint8_t c = (uint8_t)strtoul(hex, NULL, 16);
		put(b, &c, 1, 0);
	}
	return at;
}

/* rep:N"text": the text, N times. */
static const char *
put_repeated(struct play *p, struct text *b, const char *at)
{
	char *end;
	unsigned long n = strtoul(at, &end, 10);
	struct text once = { .p = NULL };
	at = *end == '"' ? put_quoted(p, &once, end + 1, '"') : end + 1;
	for (unsigned long i = 0; i < n && once.len > 0; i++)
		put(b, once.p, once.len, 0);
	text_free(&once);
	return at;
}

static const char *
put_word(struct play *p, struct text *b, const char *at)
{
	static const struct { const char *prefix; unsigned size; } number[] = { { "i8:", 1 }, { "i16:", 2 }, { "i32:", 4 }, { "i64:", 8 } };
	char *end;
	for (size_t i = 0; i < sizeof(number) / sizeof(*number); i++) {
		size_t n = strlen(number[i].prefix);
		if (strncmp(at, number[i].prefix, n) != 0)
			continue;
		put_number(b, number[i].size, strtoll(at + n, &end, 0));
		return end;
	}
	if (strncmp(at, "any:", 4) == 0) {
		put(b, NULL, strtoul(at + 4, &end, 10), 1);
		return end;
	}
	if (strncmp(at, "rep:", 4) == 0)
		return put_repeated(p, b, at + 4);
	if (strncmp(at, "x:", 2) == 0)
		return put_hex(b, at + 2);
	fail(p, "what is \"%.20s\"?", at);
	return at + strlen(at);
}

static const char *put_all(struct play *p, struct text *b, const char *at, char until);

static const char *
put_one(struct play *p, struct text *b, const char *at)
{
	size_t start = b->len, n;
	switch (*at) {
	case '[':
		put_number(b, 4, 0);
		at = put_all(p, b, at + 1, ']');
		n = b->len - start;
		for (unsigned i = 0; i < 4; i++)
			b->p[start + i] = (uint8_t)(n >> (24 - 8 * i));
		return at;
	case '"':
		return put_quoted(p, b, at + 1, '"');
	case '\'':
		return put_quoted(p, b, at + 1, '\'');
	case '$':
		n = word_length(at + 1);
		const struct text *t = let_find(p, at + 1, n);
		for (size_t i = 0; t != NULL && i < t->len; i++)
			put(b, t->p + i, 1, t->any[i]);
		return at + 1 + n;
	default:
		break;
	}
	if (strncmp(at, "z\"", 2) == 0) {
		at = put_quoted(p, b, at + 2, '"');
		put_number(b, 1, 0);
		return at;
	}
	if (strncmp(at, "v\"", 2) == 0) {
		put_number(b, 4, 0);
		at = put_quoted(p, b, at + 2, '"');
		n = b->len - start - 4;
		for (unsigned i = 0; i < 4; i++)
			b->p[start + i] = (uint8_t)(n >> (24 - 8 * i));
		return at;
	}
	return put_word(p, b, at);
}

static const char *
put_all(struct play *p, struct text *b, const char *at, char until)
{
	for (;;) {
		while (isspace((unsigned char)*at))
			at++;
		if (*at == until)
			return *at == '\0' ? at : at + 1;
		if (*at == '\0' || p->failed) {
			fail(p, "a bracket is not closed");
			return at;
		}
		at = put_one(p, b, at);
	}
}

/* ---- steps ---- */

static void
print_bytes(char *out, size_t cap, const uint8_t *b, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n && len + 5 < cap; i++)
		len += (size_t)snprintf(out + len, cap - len, b[i] >= ' ' && b[i] < 0x7f ? "%c" : "\\x%02x", b[i]);
	out[len] = '\0';
}

static void
nothing_left(struct play *p)
{
	static const char *const name[] = { "client", "target" };
	for (unsigned side = 0; side < 2; side++) {
		struct sp_bytes out = fake_output(p->f, side);
		char shown[1500];
		print_bytes(shown, sizeof(shown), out.p, out.len);
		if (out.len > 0)
			fail(p, "unexpected at the %s: %s", name[side], shown);
	}
}

static void
expect(struct play *p, enum sp_side side, const char *at)
{
	struct text b = { .p = NULL };
	(void)put_all(p, &b, at, '\0');
	struct sp_bytes out = fake_output(p->f, side);
	bool same = out.len >= b.len;
	for (size_t i = 0; same && i < b.len; i++)
		same = b.any[i] != 0 || b.p[i] == out.p[i];
	if (!same) {
		char wanted[1500], got[1500];
		print_bytes(wanted, sizeof(wanted), b.p, b.len);
		print_bytes(got, sizeof(got), out.p, out.len);
		fail(p, "expected %s\n  but got %s%s%s", wanted, got, fake_ended(p->f) ? "\n  and the session ended: " : "",
		    fake_ended(p->f) ? fake_why(p->f) : "");
	} else {
		fake_output_take(p->f, side, b.len);
	}
	text_free(&b);
}

static void
feed(struct play *p, enum sp_side side, const char *at)
{
	struct text b = { .p = NULL };
	nothing_left(p);
	(void)put_all(p, &b, at, '\0');
	if (b.len > p->t->longest_r)
		p->t->longest_r = b.len;
	enum transcript_split split = p->whole ? SPLIT_NONE : p->t->split;
	if (split == SPLIT_EACH) {
		for (size_t i = 0; i < b.len && !p->failed; i++)
			(void)fake_input(p->f, side, b.p + i, 1);
	} else if (split == SPLIT_AT && p->t->at < b.len) {
		(void)fake_input(p->f, side, b.p, p->t->at);
		(void)fake_input(p->f, side, b.p + p->t->at, b.len - p->t->at);
	} else if (!p->failed && b.len > 0) {
		(void)fake_input(p->f, side, b.p, b.len);
	}
	text_free(&b);
}

static void
let(struct play *p, const char *at)
{
	size_t n = word_length(at);
	struct text value = { .p = NULL };
	if (p->nlets == LETS || n >= sizeof(p->let->name)) {
		fail(p, "too many names, or too long");
		return;
	}
	(void)put_all(p, &value, at + n, '\0');
	size_t i = 0;
	while (i < p->nlets && (strlen(p->let[i].name) != n || memcmp(p->let[i].name, at, n) != 0))
		i++;
	struct let *l = &p->let[i];
	text_free(&l->value);
	p->nlets += i == p->nlets;
	memcpy(l->name, at, n);
	l->name[n] = '\0';
	l->value = value;
}

static int
one_of(struct play *p, const char *word, const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(word, names[i]) == 0)
			return i;
	fail(p, "what is \"%s\"?", word);
	return 0;
}

static const char *const sides[] = { "client", "target", NULL };
static const char *const verdicts[] = { "allow", "deny", "limit", "kill", "hold", NULL };
static const char *const masks[] = { "null", "text", "year", "detect", NULL };
static const char *const modes[] = { "off", "optional", "required", NULL };

static void
check_log(struct play *p, const char *text, bool wanted)
{
	const char *log = fake_log(p->f), *found = strstr(wanted ? log + p->log_offset : log, text);
	if (wanted && found == NULL)
		fail(p, "not in the log: %s\n%.2500s", text, log + p->log_offset);
	else if (!wanted && found != NULL)
		fail(p, "in the log: %s", text);
	else if (wanted)
		p->log_offset = (size_t)(found - log) + strlen(text);
}

static void
check_ended(struct play *p, bool wanted, const char *text)
{
	if (fake_ended(p->f) != wanted)
		fail(p, wanted ? "the session goes on" : "the session ended: %s", fake_why(p->f));
	else if (wanted && strstr(fake_why(p->f), text) == NULL)
		fail(p, "it ended with: %s", fake_why(p->f));
}

/* Words of a line, cut in place; the last takes the rest. */
static unsigned
words(char *line, char *word[], unsigned max)
{
	unsigned n = 0;
	while (n < max) {
		line += strspn(line, " \t");
		if (*line == '\0')
			break;
		word[n++] = line;
		char quote = *line == '"' ? '"' : '\0';
		if (quote != '\0' && n < max) {
			word[n - 1]++;
			line = strchr(line + 1, '"');
			if (line == NULL)
				break;
			*line++ = '\0';
			continue;
		}
		if (n == max)
			break;
		line += strcspn(line, " \t");
		if (*line != '\0')
			*line++ = '\0';
	}
	for (unsigned i = n; i < max; i++)
		word[i] = line + strlen(line);
	return n;
}

static bool
script_step(struct play *p, const char *verb, char *rest)
{
	char *w[3] = { NULL };
	char empty[] = "";
	w[0] = w[1] = w[2] = empty;
	if (strcmp(verb, "rule") == 0) {
		(void)words(rest, w, 3);
		fake_rule(p->f, w[0], (enum fake_verdict)one_of(p, w[1], verdicts), strtoull(w[2], NULL, 10));
	} else if (strcmp(verb, "mask") == 0) {
		(void)words(rest, w, 2);
		fake_mask(p->f, w[0], (enum sp_mask_kind)one_of(p, w[1], masks));
	} else if (strcmp(verb, "deny-column") == 0) {
		fake_deny_result(p->f, rest);
	} else if (strcmp(verb, "sensitive") == 0) {
		fake_sensitive(p->f, rest);
	} else if (strcmp(verb, "pin") == 0) {
		(void)words(rest, w, 2);
		fake_pin(p->f, w[0], w[1]);
	} else if (strcmp(verb, "tls") == 0) {
		(void)words(rest, w, 2);
		fake_tls(p->f, (enum sp_side)one_of(p, w[0], sides), (enum sp_tls_mode)one_of(p, w[1], modes));
	} else if (strcmp(verb, "stands") == 0) {
		fake_stands(p->f, strcmp(rest, "yes") == 0);
	} else if (strcmp(verb, "record-fails") == 0) {
		fake_record_fails(p->f);
	} else if (strcmp(verb, "binding") == 0) {
		fake_binding(p->f, rest);
	} else {
		return false;
	}
	return true;
}

static void
prove(struct play *p, const char *at)
{
	struct text b = { .p = NULL };
	(void)put_all(p, &b, at, '\0');
	if (!fake_waits_for(p->f, "proof"))
		fail(p, "no proof was asked for");
	else
		(void)fake_proved(p->f, true, (struct sp_bytes){ b.p, b.len });
	text_free(&b);
}

static bool
event_step(struct play *p, const char *verb, char *rest)
{
	char *w[2];
	if (strcmp(verb, "admit") == 0 || strcmp(verb, "refuse") == 0 || strcmp(verb, "challenge") == 0) {
		if (!fake_waits_for(p->f, "keeper"))
			fail(p, "the keeper was not asked");
		else
			(void)fake_admit(p->f, *verb == 'a' ? SP_ADMIT : *verb == 'c' ? SP_CHALLENGE : SP_REFUSE, rest);
	} else if (strcmp(verb, "dial") == 0) {
		(void)fake_dial(p->f);
	} else if (strcmp(verb, "secure") == 0) {
		(void)words(rest, w, 2);
		if (fake_secured(p->f, (enum sp_side)one_of(p, w[0], sides), w[1]) == SP_EINTERNAL && !fake_ended(p->f))
			fail(p, "no handshake was asked for");
	} else if (strcmp(verb, "prove") == 0) {
		prove(p, rest);
	} else if (strcmp(verb, "prove-fails") == 0) {
		(void)fake_proved(p->f, false, (struct sp_bytes){ NULL, 0 });
	} else if (strcmp(verb, "decide") == 0) {
		if (!fake_waits_for(p->f, "person"))
			fail(p, "nothing is held");
		else
			(void)fake_decide(p->f, strcmp(rest, "allow") == 0);
	} else if (strcmp(verb, "cancel") == 0) {
		(void)fake_cancel(p->f);
	} else if (strcmp(verb, "notice") == 0) {
		(void)fake_notice(p->f, rest);
	} else if (strcmp(verb, "end") == 0) {
		(void)words(rest, w, 2);
		(void)fake_end(p->f, (enum sp_why)strtoul(w[0], NULL, 10), w[1]);
	} else if (strcmp(verb, "full") == 0 || strcmp(verb, "drained") == 0) {
		fake_full(p->f, (enum sp_side)one_of(p, rest, sides), *verb == 'f');
	} else {
		return false;
	}
	return true;
}

/* Another session, of a core that has seen none. */
static void
begin(struct play *p)
{
	if (p->f != NULL)
		nothing_left(p);
	fake_free(&p->f);
	p->f = fake_new(p->t->module);
	p->log_offset = 0;
	if (p->t->prepare != NULL)
		p->t->prepare(p->f);
}

static void play_file(struct play *p, const char *file);

static void
step(struct play *p, char *line)
{
	size_t n = strcspn(line, " \t");
	char *rest = line + n + strspn(line + n, " \t");
	line[n] = '\0';
	if (strcmp(line, "client>") == 0)
		feed(p, SP_CLIENT, rest);
	else if (strcmp(line, "target>") == 0)
		feed(p, SP_TARGET, rest);
	else if (strcmp(line, "client<") == 0)
		expect(p, SP_CLIENT, rest);
	else if (strcmp(line, "target<") == 0)
		expect(p, SP_TARGET, rest);
	else if (strcmp(line, "let") == 0)
		let(p, rest);
	else if (strcmp(line, "include") == 0)
		play_file(p, rest);
	else if (strcmp(line, "log") == 0 || strcmp(line, "nolog") == 0)
		check_log(p, rest, *line == 'l');
	else if (strcmp(line, "ended") == 0 || strcmp(line, "alive") == 0)
		check_ended(p, *line == 'e', rest);
	else if (strcmp(line, "session") == 0)
		begin(p);
	else if (strcmp(line, "whole") == 0)
		p->whole = true;
	else if (!script_step(p, line, rest) && !event_step(p, line, rest))
		fail(p, "unknown step \"%s\"", line);
}

static void
play_file(struct play *p, const char *file)
{
	char path[1024], line[8192];
	const char *outer = p->file;
	unsigned outer_line = p->line;
	(void)snprintf(path, sizeof(path), "%s/%s", p->t->folder, file);
	FILE *in = fopen(path, "r");
	p->file = file;
	p->line = 0;
	if (in == NULL) {
		fail(p, "can't be read");
		return;
	}
	while (!p->failed && fgets(line, sizeof(line), in) != NULL) {
		char *at = line + strspn(line, " \t");
		p->line++;
		at[strcspn(at, "\n")] = '\0';
		for (size_t n; (n = strlen(at)) > 0 && at[n - 1] == '\\' && fgets(at + n - 1, (int)(sizeof(line) - (size_t)(at - line) - n), in) != NULL; p->line++)
			at[n - 1 + strcspn(at + n - 1, "\n")] = '\0';
		if (*at != '\0' && *at != '#')
			step(p, at);
	}
	(void)fclose(in);
	if (p->failed)
		return;
	p->file = outer;
	p->line = outer_line;
}

struct fake *
transcript_begin(struct transcript *t, const char *file)
{
	struct play *p = calloc(1, sizeof(*p));
	t->error_r[0] = '\0';
	t->longest_r = 0;
	p->t = t;
	p->file = file;
	begin(p);
	play_file(p, file);
	nothing_left(p);
	for (size_t i = 0; i < p->nlets; i++)
		text_free(&p->let[i].value);
	struct fake *f = p->f;
	if (p->failed)
		fake_free(&f);
	free(p);
	return f;
}

bool
transcript_play(struct transcript *t, const char *file)
{
	struct fake *f = transcript_begin(t, file);
	bool ok = f != NULL;
	fake_free(&f);
	return ok;
}
