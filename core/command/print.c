/* SPDX-License-Identifier: Apache-2.0 */
/* What people read: aligned tables, text of others made harmless, progress on a terminal. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "command.h"

/* ---- safe text ---- */

/* One code point of well-formed UTF-8, or -1 after consuming one byte. */
static long
next_code(struct sp_reader *r)
{
	static const struct { uint8_t mask, lead; unsigned more; long least; } forms[] = {
		{ 0x80, 0x00, 0, 0 }, { 0xe0, 0xc0, 1, 0x80 }, { 0xf0, 0xe0, 2, 0x800 }, { 0xf8, 0xf0, 3, 0x10000 },
	};
	uint8_t first = sp_rd_u8(r);
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if ((first & forms[i].mask) != forms[i].lead)
			continue;
		struct sp_reader ahead = *r;
		struct sp_bytes more = sp_rd_take(&ahead, forms[i].more);
		long code = first & (uint8_t)~forms[i].mask;
		if (ahead.bad)
			return -1;
		for (size_t k = 0; k < more.len; k++) {
			if ((more.p[k] & 0xc0) != 0x80)
				return -1;
			code = code << 6 | (more.p[k] & 0x3f);
		}
		if (code < forms[i].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return -1;
		*r = ahead;
		return code;
	}
	return -1;
}

/* Characters that change how others look, or that nobody sees. */
static bool
is_deceptive(long code)
{
	static const struct { long from, to; } ranges[] = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c }, { 0x115f, 0x1160 },
		{ 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
		{ 0xe0000, 0xe0fff },
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (code >= ranges[i].from && code <= ranges[i].to)
			return true;
	return false;
}

/* Appends the safe form of the next character; false at the end. */
static bool
safe_next(struct sp_reader *r, char out[16], unsigned *width_r)
{
	if (r->left == 0)
		return false;
	struct sp_reader before = *r;
	uint8_t first = r->p[0];
	long code = next_code(r);
	if (code < 0)
		*width_r = (unsigned)snprintf(out, 16, "\\x%02x", first);
	else if (code == '\n')
		*width_r = (unsigned)snprintf(out, 16, "\\n");
	else if (code == '\t')
		*width_r = (unsigned)snprintf(out, 16, "\\t");
	else if (is_deceptive(code))
		*width_r = (unsigned)snprintf(out, 16, code < 0x80 ? "\\x%02lx" : "\\u{%04lx}", (unsigned long)code);
	else {
		struct sp_bytes as_is = sp_rd_take(&before, before.left - r->left);
		memcpy(out, as_is.p, as_is.len);
		out[as_is.len] = '\0';
		*width_r = 1;
	}
	return true;
}

void
print_safe(FILE *out, struct sp_bytes text, size_t most)
{
	struct sp_reader r = sp_reader(text);
	char one[16];
	unsigned width;
	size_t used = 0;
	while (safe_next(&r, one, &width)) {
		used += width;
		if (most > 0 && used > most) {
			(void)fputs("…", out);
			return;
		}
		(void)fputs(one, out);
	}
}

/* ---- tables ---- */

#define COLUMNS 12

struct table {
	const char *const *heads;
	unsigned columns, used; /* cells of the row being filled */
	size_t width[COLUMNS];
	char **cell;            /* rows × columns */
	size_t n, cap;
};

static size_t
shown_width(const char *text)
{
	size_t n = 0;
	for (; *text != '\0'; text++)
		n += ((uint8_t)*text & 0xc0) != 0x80;
	return n;
}

struct table *
table_new(const char *const *heads)
{
	struct table *t = mem_alloc(sizeof(*t));
	*t = (struct table){ .heads = heads };
	while (heads[t->columns] != NULL && t->columns < COLUMNS) {
		t->width[t->columns] = shown_width(heads[t->columns]);
		t->columns++;
	}
	return t;
}

void
table_cell(struct table *t, const char *text)
{
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
		char **cell = mem_alloc(cap * sizeof(*cell));
		if (t->n > 0)
			memcpy(cell, t->cell, t->n * sizeof(*cell));
		free(t->cell);
		t->cell = cell;
		t->cap = cap;
	}
	size_t width = shown_width(text), column = t->n % t->columns;
	if (width > t->width[column])
		t->width[column] = width;
	t->cell[t->n++] = mem_string(sp_str(text));
}

static void
print_row(const struct table *t, const char *const *cell)
{
	for (unsigned i = 0; i < t->columns; i++) {
		bool last = i + 1 == t->columns;
		(void)fputs(cell[i], stdout);
		for (size_t n = shown_width(cell[i]); !last && n < t->width[i] + 2; n++)
			(void)putchar(' ');
	}
	(void)putchar('\n');
}

void
table_print(struct table **at)
{
	struct table *t = *at;
	print_row(t, t->heads);
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		print_row(t, (const char *const *)t->cell + i);
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t);
	*at = NULL;
}

#define CELL 80

static void
value_text(const json_t *value, char *out, size_t size, size_t most)
{
	FILE *f = fmemopen(out, size, "w");
	out[0] = '\0';
	if (f == NULL)
		return;
	size_t i;
	const json_t *element;
	if (json_is_string(value))
		print_safe(f, (struct sp_bytes){ (const uint8_t *)json_string_value(value), json_string_length(value) }, most);
	else if (json_is_integer(value))
		(void)fprintf(f, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		(void)fprintf(f, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_array(value))
		json_array_foreach(value, i, element) {
			(void)fputs(i > 0 ? ", " : "", f);
			if (json_is_string(element))
				print_safe(f, sp_str(json_string_value(element)), most);
		}
	(void)fclose(f);
	out[size - 1] = '\0';
}

void
table_member(struct table *t, const json_t *object, const char *name)
{
	char text[CELL * 12 + 8];
	value_text(json_object_get(object, name), text, sizeof(text), CELL);
	table_cell(t, text);
}

void
print_members(const json_t *object, const char *const *names)
{
	size_t width = 0;
	for (size_t i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) > width)
			width = strlen(names[i]);
	for (size_t i = 0; names[i] != NULL; i++) {
		static char text[1 << 20];
		value_text(json_object_get(object, names[i]), text, sizeof(text), 0);
		if (text[0] != '\0')
			(void)printf("%-*s  %s\n", (int)width, names[i], text);
	}
}

int
print_json(const json_t *object)
{
	char *text = json_dumps(object, JSON_INDENT(2));
	if (text == NULL)
		return failed("the answer can't be printed");
	(void)printf("%s\n", text);
	free(text);
	return DONE;
}

/* ---- progress ---- */

#define BAR_AFTER 500000 /* µs: short work shows none */

static bool bar_shown;
static uint64_t bar_since;

void
print_progress(const char *what, uint64_t done, uint64_t all)
{
	static uint64_t shown_at;
	uint64_t now = clock_mono_us();
	if (bar_since == 0)
		bar_since = now;
	if (!isatty(STDERR_FILENO) || now - bar_since < BAR_AFTER || now - shown_at < 100000)
		return;
	shown_at = now;
	bar_shown = true;
	if (all == 0) {
		(void)fprintf(stderr, "\r\033[K%s  %llu", what, (unsigned long long)done);
		return;
	}
	char bar[31];
	size_t full = (size_t)(done < all ? done * 30 / all : 30);
	memset(bar, '.', 30);
	memset(bar, '#', full);
	bar[30] = '\0';
	(void)fprintf(stderr, "\r\033[K%s  [%s] %3llu %%", what, bar, (unsigned long long)(done * 100 / all));
}

void
print_progress_end(void)
{
	if (bar_shown)
		(void)fprintf(stderr, "\r\033[K");
	bar_shown = false;
	bar_since = 0;
}

int
failed(const char *fmt, ...)
{
	va_list args;
	print_progress_end();
	(void)fprintf(stderr, "sallyport: ");
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
	return FAILED;
}
