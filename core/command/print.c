/* SPDX-License-Identifier: Apache-2.0 */
/* What people read: aligned tables, text of others made harmless, progress on a terminal. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../record/text.h"
#include "command.h"

/* ---- safe text ---- */

void
print_safe(FILE *out, struct sp_bytes text, size_t most)
{
	struct sp_reader r = sp_reader(text);
	size_t used = 0;
	while (r.left > 0) {
		uint8_t shown[16];
		struct sp_writer w = sp_writer(shown, sizeof(shown));
		uint32_t c;
		size_t n = text_character((struct sp_bytes){ r.p, r.left }, &c);
		text_shown(&w, sp_rd_take(&r, n == 0 ? 1 : n));
		used += text_width(sp_written(&w));
		if (most > 0 && used > most) {
			(void)fputs("…", out);
			return;
		}
		(void)fwrite(shown, 1, w.len, out);
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

struct table *
table_new(const char *const *heads)
{
	struct table *t = mem_alloc(sizeof(*t));
	*t = (struct table){ .heads = heads };
	while (heads[t->columns] != NULL && t->columns < COLUMNS) {
		t->width[t->columns] = text_width(sp_str(heads[t->columns]));
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
	size_t width = text_width(sp_str(text)), column = t->n % t->columns;
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
		for (size_t n = text_width(sp_str(cell[i])); !last && n < t->width[i] + 2; n++)
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
value_put(FILE *f, const json_t *value, size_t most)
{
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
}

void
table_member(struct table *t, const json_t *object, const char *name)
{
	char text[CELL * 12 + 8] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");
	if (f != NULL) {
		value_put(f, json_object_get(object, name), CELL);
		(void)fclose(f);
	}
	text[sizeof(text) - 1] = '\0';
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
		const json_t *value = json_object_get(object, names[i]);
		if (json_string_length(value) + json_array_size(value) == 0 && !json_is_integer(value) && !json_is_boolean(value))
			continue;
		(void)printf("%-*s  ", (int)width, names[i]);
		value_put(stdout, value, 0);
		(void)putchar('\n');
	}
}

int
print_json(const json_t *object)
{
	struct buffer out = { .max = 0 };
	char *text = json_dumps(object, JSON_INDENT(2));
	struct sp_writer w = buffer_writer(&out);
	text_json_again(&w, sp_str(text));
	int rc = buffer_written(&out, &w);
	if (text == NULL || rc != SP_OK)
		rc = failed("the answer can't be printed");
	else
		(void)printf("%.*s\n", (int)out.len, (const char *)buffer_bytes(&out).p);
	free(text);
	buffer_free(&out);
	return rc;
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
	(void)fprintf(stderr, "\r\033[K%s  [%s] %3u %%", what, bar, done < all ? (unsigned)(done * 100 / all) : 100);
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
