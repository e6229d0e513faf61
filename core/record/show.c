/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames, shown.  Text and JSON lines hold no control character of others; in an asciicast the
 * output of terminals stands as it was, inside JSON strings, for a player to interpret.
 */
#include <config.h>

#include "show.h"

#include <jansson.h>
#include <stdio.h>

#include "text.h"

#define CELL_MAX 200
#define OWN_SHOWN 100
#define INDENT "            "
#define EARLY_MAX (64u << 10)
#define COLUMNS 80u
#define ROWS 24u

static const char *const form_names[] = { [SHOW_TEXT] = "text", [SHOW_JSONL] = "jsonl", [SHOW_ASCIICAST] = "asciicast", [SHOW_TERMINAL] = "terminal" };
_Static_assert(sizeof(form_names) / sizeof(*form_names) == SHOW_FORMS, "a name per form");

enum shape { TEXT, NUMBER, HEX, PARAM, COLUMN };

static const struct {
	const char *name;
	enum shape shape;
} field[] = {
	[KEY_SESSION] = { "session", TEXT }, [KEY_PRINCIPAL] = { "principal", TEXT }, [KEY_TARGET] = { "target", TEXT },
	[KEY_PART] = { "part", TEXT }, [KEY_MODULE] = { "module", TEXT }, [KEY_VERSION] = { "version", TEXT },
	[KEY_POLICY_HASH] = { "policy", HEX }, [KEY_ADDRESS] = { "address", TEXT }, [KEY_LOGIN] = { "login", TEXT },
	[KEY_STARTED] = { "started", NUMBER }, [KEY_KIND] = { "kind", TEXT }, [KEY_TEXT] = { "text", TEXT }, [KEY_TAG] = { "tag", TEXT },
	[KEY_TEXT_HASH] = { "sha256", HEX }, [KEY_PARAM] = { "param", PARAM }, [KEY_WHAT] = { "what", TEXT }, [KEY_RULE] = { "rule", TEXT },
	[KEY_MESSAGE] = { "message", TEXT }, [KEY_APPROVAL] = { "approval", TEXT }, [KEY_APPROVER] = { "approver", TEXT },
	[KEY_OBSERVED] = { "observed", TEXT }, [KEY_WOULD] = { "would", TEXT }, [KEY_COLUMN] = { "column", COLUMN }, [KEY_ROWS] = { "rows", NUMBER },
	[KEY_BYTES] = { "bytes", NUMBER }, [KEY_ERROR] = { "error", TEXT }, [KEY_WHY] = { "why", TEXT }, [KEY_FACT] = { "fact", TEXT },
	[KEY_HASH] = { "hash", TEXT }, [KEY_ATTRIBUTE] = { "attribute", TEXT }, [KEY_PROTOCOL] = { "protocol", TEXT },
};
#define KEYS (sizeof(field) / sizeof(*field))

bool
show_form_named(const char *name, enum show_form *form_r)
{
	*form_r = SHOW_TEXT;
	for (unsigned i = 0; i < SHOW_FORMS; i++)
		if (strcmp(name, form_names[i]) == 0) {
			*form_r = (enum show_form)i;
			return true;
		}
	return false;
}

static enum shape
shape_of(unsigned key, struct sp_bytes v)
{
	enum shape shape = key < KEYS ? field[key].shape : HEX;
	/* an approval's hash is a text, the hash of what was cut off is not */
	return key == KEY_HASH && v.len == DIGEST_LEN ? HEX : shape;
}

static const char *
name_of(unsigned key)
{
	return key < KEYS && field[key].name != NULL ? field[key].name : "field";
}

static void
hex(struct sp_writer *w, struct sp_bytes v)
{
	for (size_t i = 0; i < v.len; i++)
		text_printf(w, "%02x", v.p[i]);
}

static bool
is_text(struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	while (r.left > 0) {
		uint32_t c;
		size_t n = text_character((struct sp_bytes){ r.p, r.left }, &c);
		if (n == 0)
			return false;
		(void)sp_rd_take(&r, n);
	}
	return true;
}

static struct sp_bytes
first(struct sp_bytes v, size_t most)
{
	return (struct sp_bytes){ v.p, v.len < most ? v.len : most };
}

/* ---- text ---- */

static void
value_text(struct sp_writer *w, struct sp_bytes v)
{
	if (is_text(v)) {
		text_shown(w, first(v, CELL_MAX));
	} else {
		text_put(w, "0x");
		hex(w, first(v, CELL_MAX / 2));
	}
	text_put(w, v.len > CELL_MAX ? "…" : "");
}

static void
param_text(struct sp_writer *w, struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	(void)sp_rd_take(&r, 6);
	unsigned flags = sp_rd_u8(&r);
	if ((flags & 1) != 0)
		text_put(w, "NULL");
	else
		value_text(w, sp_rd_rest(&r));
}

/* Members of a list's objects, or the list's texts, between commas. */
static void
json_words(struct sp_writer *w, const json_t *list, const char *member)
{
	const json_t *one;
	size_t i;
	json_array_foreach(list, i, one) {
		const char *text = json_string_value(member == NULL ? one : json_object_get(one, member));
		text_put(w, i == 0 ? "" : ", ");
		text_shown(w, sp_str(text == NULL ? "?" : text));
	}
}

/* Who, from where, to what: the rest of the header is for machines. */
static void
header_text(struct sp_writer *w, const struct frame *f)
{
	struct sp_bytes who = frame_get(f, KEY_PRINCIPAL);
	json_t *p = json_loadb((const char *)who.p, who.len, 0, NULL);
	text_put(w, "  ");
	if (p == NULL) {
		text_shown(w, who);
	} else {
		text_shown(w, sp_str(json_string_value(json_object_get(p, "user"))));
		text_put(w, " (");
		json_words(w, json_object_get(p, "groups"), NULL);
		text_put(w, ") of ");
		text_shown(w, sp_str(json_string_value(json_object_get(p, "issuer"))));
	}
	json_decref(p);
	text_put(w, " from ");
	text_shown(w, frame_get(f, KEY_ADDRESS));
	text_put(w, " to ");
	text_shown(w, frame_get(f, KEY_TARGET));
	text_put(w, "/");
	text_shown(w, frame_get(f, KEY_PART));
	text_put(w, " as ");
	text_shown(w, frame_get(f, KEY_LOGIN));
}

static void
approvers_text(struct sp_writer *w, struct sp_bytes v)
{
	json_t *list = json_loadb((const char *)v.p, v.len, 0, NULL);
	if (json_is_array(list))
		json_words(w, list, "user");
	else
		text_shown(w, v);
	json_decref(list);
}

static void
field_text(struct sp_writer *w, unsigned key, struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	switch (shape_of(key, v)) {
	case NUMBER:
		text_printf(w, "%llu", (unsigned long long)sp_rd_be64(&r));
		break;
	case HEX:
		hex(w, first(v, 6));
		break;
	case PARAM:
		param_text(w, v);
		break;
	case COLUMN:
		(void)sp_rd_take(&r, 7);
		text_shown(w, sp_rd_rest(&r));
		text_put(w, v.len > 0 && v.p[0] != 0 ? " (masked)" : "");
		break;
	case TEXT:
		text_lines(w, v, INDENT);
	}
}

/* Every field whose key is listed, in the payload's order. */
static void
fields_text(struct sp_writer *w, const struct frame *f, const unsigned *keys)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	while (frame_next_field(&r, &key, &v)) {
		bool listed = false;
		for (const unsigned *k = keys; *k != 0 && !listed; k++)
			listed = *k == key;
		if (!listed || v.len == 0)
			continue;
		text_printf(w, " %s=", name_of(key));
		if (key == KEY_APPROVER)
			approvers_text(w, v);
		else
			field_text(w, key, v);
	}
}

static void
columns_text(struct sp_writer *w, const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	text_put(w, "\n" INDENT);
	while (frame_next_field(&r, &key, &v)) {
		if (key != KEY_COLUMN)
			continue;
		text_put(w, "| ");
		field_text(w, key, v);
		text_put(w, " ");
	}
	text_put(w, "|");
}

static void
rows_text(struct sp_writer *w, struct sp_bytes rows)
{
	struct sp_reader r = sp_reader(rows);
	while (!r.bad && r.left > 0) {
		unsigned fields = sp_rd_be16(&r);
		text_put(w, INDENT);
		for (unsigned i = 0; i < fields && !r.bad; i++) {
			uint32_t len = sp_rd_be32(&r);
			text_put(w, "| ");
			value_text(w, len == FRAME_ROW_NULL ? SP_LIT("NULL") : sp_rd_take(&r, len));
			text_put(w, " ");
		}
		text_put(w, "|\n");
	}
}

static void
operation_text(struct sp_writer *w, const struct frame *f)
{
	static const unsigned params[] = { KEY_PARAM, 0 };
	struct sp_bytes text = frame_get(f, KEY_TEXT), kind = frame_get(f, KEY_KIND);
	text_put(w, "  ");
	if (text.len > 0 || (f->flags & FRAME_PART) != 0)
		text_lines(w, text, INDENT);
	else
		text_shown(w, frame_get(f, KEY_TAG).len > 0 ? frame_get(f, KEY_TAG) : kind);
	fields_text(w, f, params);
}

static void
cut_text(struct sp_writer *w, const struct frame *f)
{
	uint64_t bytes = 0, rows = 0;
	(void)frame_field_u64_get(frame_get(f, KEY_BYTES), &bytes);
	(void)frame_field_u64_get(frame_get(f, KEY_ROWS), &rows);
	text_printf(w, "  not recorded (`output head`): %llu bytes", (unsigned long long)bytes);
	if (rows > 0)
		text_printf(w, ", %llu rows", (unsigned long long)rows);
	text_put(w, ", sha256 ");
	hex(w, frame_get(f, KEY_HASH));
}

static void
time_text(struct sp_writer *w, const struct frame *f)
{
	text_printf(w, "%9.3f", (double)f->at / 1e6);
	if (f->op > 0)
		text_printf(w, " #%u", f->op);
	text_printf(w, " %s", frame_name(f->type));
}

/* A terminal's rows or columns, or what they are where nobody says so, or more than sp_record_size() takes. */
static unsigned
size_of(const struct frame *f, enum frame_key key, unsigned otherwise)
{
	uint64_t n;
	return frame_field_u64_get(frame_get(f, key), &n) && n <= UINT32_MAX ? (unsigned)n : otherwise;
}

/* "97x31": columns and rows */
static void
size_print(const struct frame *f, char to[48])
{
	(void)snprintf(to, 48, "%ux%u", size_of(f, KEY_BYTES, COLUMNS), size_of(f, KEY_ROWS, ROWS));
}

static void
size_text(struct sp_writer *w, const struct frame *f)
{
	char size[48];
	size_print(f, size);
	text_printf(w, " %s", size);
}

static void
frame_text(struct sp_writer *w, const struct frame *f)
{
	static const unsigned header[] = { KEY_SESSION, KEY_PROTOCOL, KEY_VERSION, KEY_POLICY_HASH, 0 };
	static const unsigned verdict[] = { KEY_WHAT, KEY_RULE, KEY_MESSAGE, KEY_APPROVAL, KEY_APPROVER, KEY_WOULD, KEY_OBSERVED, 0 };
	static const unsigned done[] = { KEY_ROWS, KEY_ERROR, KEY_TAG, 0 };
	static const unsigned rest[] = { KEY_TEXT, KEY_APPROVAL, KEY_HASH, KEY_RULE, KEY_MESSAGE, KEY_WHY, KEY_ROWS, KEY_BYTES, 0 };
	if (f->type == FRAME_ROWS) {
		rows_text(w, f->payload);
		return;
	}
	time_text(w, f);
	switch (f->type) {
	case FRAME_OPERATION:
		operation_text(w, f);
		break;
	case FRAME_RESIZE:
		size_text(w, f);
		break;
	case FRAME_COLUMNS:
		columns_text(w, f);
		break;
	case FRAME_OUTPUT:
	case FRAME_INPUT:
		text_put(w, "\n" INDENT);
		text_lines(w, f->payload, INDENT);
		break;
	case FRAME_CUT:
		cut_text(w, f);
		break;
	case FRAME_OWN: /* always the same, and long */
		text_put(w, "  ");
		text_shown(w, first(frame_get(f, KEY_TEXT), OWN_SHOWN));
		text_put(w, frame_get(f, KEY_TEXT).len > OWN_SHOWN ? "…" : "");
		break;
	case FRAME_WHY: /* a page for each operation; in the recording, and to be asked for */
		text_put(w, "  sallyport explain tells what each rule said");
		break;
	case FRAME_HEADER:
		header_text(w, f);
		fields_text(w, f, header);
		break;
	default:
		fields_text(w, f, f->type == FRAME_VERDICT ? verdict : f->type == FRAME_DONE ? done : rest);
	}
	text_put(w, "\n");
}

/* ---- JSON lines ---- */

static void
comma(struct sp_writer *w)
{
	if (w->len > 0 && w->p[w->len - 1] != '[' && w->p[w->len - 1] != '{')
		sp_wr_u8(w, ',');
}

/* Text as a string, other bytes as {"hex":"…"}: nothing is lost, and each is told from the other. */
static void
value_json(struct sp_writer *w, struct sp_bytes v)
{
	if (is_text(v)) {
		text_json(w, v);
		return;
	}
	text_put(w, "{\"hex\":\"");
	hex(w, v);
	text_put(w, "\"}");
}

static void
member(struct sp_writer *w, const char *name)
{
	comma(w);
	text_printf(w, "\"%s\":", name);
}

static void
rows_json(struct sp_writer *w, struct sp_bytes rows)
{
	struct sp_reader r = sp_reader(rows);
	member(w, "rows");
	sp_wr_u8(w, '[');
	while (!r.bad && r.left > 0) {
		unsigned fields = sp_rd_be16(&r);
		comma(w);
		sp_wr_u8(w, '[');
		for (unsigned i = 0; i < fields && !r.bad; i++) {
			uint32_t len = sp_rd_be32(&r);
			comma(w);
			if (len == FRAME_ROW_NULL)
				text_put(w, "null");
			else
				value_json(w, sp_rd_take(&r, len));
		}
		sp_wr_u8(w, ']');
	}
	sp_wr_u8(w, ']');
}

static void
typed_json(struct sp_writer *w, unsigned key, struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	sp_wr_u8(w, '{');
	unsigned flags = key == KEY_COLUMN ? sp_rd_u8(&r) : 0;
	text_json_number(w, "type", sp_rd_be32(&r));
	text_json_number(w, "format", sp_rd_be16(&r));
	if (key == KEY_PARAM)
		flags = sp_rd_u8(&r);
	member(w, key == KEY_COLUMN ? "name" : "value");
	if (key == KEY_PARAM && (flags & 1) != 0)
		text_put(w, "null");
	else
		value_json(w, sp_rd_rest(&r));
	if (key == KEY_COLUMN || (flags & 2) != 0)
		text_printf(w, ",\"%s\":%s", key == KEY_COLUMN ? "masked" : "hidden", flags != 0 ? "true" : "false");
	sp_wr_u8(w, '}');
}

/* Readers of JSON refuse larger ones, which no recorder takes from a worker any more: as a text they are told, too. */
static void
number_json(struct sp_writer *w, uint64_t value)
{
	const char *quote = value > FRAME_NUMBER_MAX ? "\"" : "";
	text_put(w, quote);
	text_number(w, value);
	text_put(w, quote);
}

static void
field_json(struct sp_writer *w, unsigned key, struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	switch (shape_of(key, v)) {
	case NUMBER:
		number_json(w, sp_rd_be64(&r));
		break;
	case HEX:
		sp_wr_u8(w, '"');
		hex(w, v);
		sp_wr_u8(w, '"');
		break;
	case PARAM:
	case COLUMN:
		typed_json(w, key, v);
		break;
	case TEXT:
		value_json(w, v);
	}
}

/* Keys that come several times in one frame stand as a list, at the first one's place. */
static bool
is_list(unsigned key)
{
	return key == KEY_PARAM || key == KEY_COLUMN || key == KEY_FACT || key == KEY_ATTRIBUTE;
}

static void
list_json(struct sp_writer *w, const struct frame *f, unsigned wanted)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	text_printf(w, ",\"%ss\":[", name_of(wanted));
	while (frame_next_field(&r, &key, &v)) {
		if (key != wanted)
			continue;
		comma(w);
		field_json(w, key, v);
	}
	sp_wr_u8(w, ']');
}

static void
fields_json(struct sp_writer *w, const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	bool listed[KEYS] = { false };
	while (frame_next_field(&r, &key, &v)) {
		if (key < KEYS && is_list(key)) {
			if (!listed[key])
				list_json(w, f, key);
			listed[key] = true;
			continue;
		}
		member(w, name_of(key));
		field_json(w, key, v);
	}
}

static void
frame_json(struct sp_writer *w, const struct frame *f)
{
	sp_wr_u8(w, '{');
	text_json_member(w, "type", sp_str(frame_name(f->type)));
	text_json_number(w, "frame", f->number);
	member(w, "at_us");
	number_json(w, f->at);
	if (f->op > 0)
		text_json_number(w, "op", f->op);
	if (f->channel > 0)
		text_json_number(w, "channel", f->channel);
	if (f->type == FRAME_ROWS) {
		rows_json(w, f->payload);
	} else if (frame_is_stream(f->type)) {
		member(w, "data");
		value_json(w, f->payload);
	} else {
		fields_json(w, f);
	}
	text_put(w, "}\n");
}

/* ---- asciicast ---- */

static void
cast_begin(struct show *s, struct sp_writer *w, const struct frame *f)
{
	bool told = f->type == FRAME_RESIZE;
	unsigned columns = told ? size_of(f, KEY_BYTES, COLUMNS) : COLUMNS, rows = told ? size_of(f, KEY_ROWS, ROWS) : ROWS;
	text_printf(w, "{\"version\":2,\"width\":%u,\"height\":%u", columns, rows);
	sp_wr_put(w, buffer_bytes(&s->head));
	sp_wr_put(w, buffer_bytes(&s->early));
	buffer_free(&s->head);
	buffer_free(&s->early);
}

/* All but the size, which a terminal's first frames tell. */
static void
cast_header(struct show *s, struct sp_writer *w, const struct frame *f)
{
	uint64_t started = 0;
	struct sp_writer head = buffer_writer(&s->head);
	(void)frame_field_u64_get(frame_get(f, KEY_STARTED), &started);
	text_printf(&head, ",\"timestamp\":%llu,\"title\":", (unsigned long long)(started / 1000000));
	text_json(&head, frame_get(f, KEY_SESSION));
	text_put(&head, "}\n");
	w->bad = w->bad || buffer_written(&s->head, &head) != SP_OK;
	s->early.max = EARLY_MAX;
	s->terminals = sp_bytes_is(frame_get(f, KEY_MODULE), "ssh") || sp_bytes_is(frame_get(f, KEY_MODULE), "docker");
	if (!s->terminals)
		cast_begin(s, w, f);
}

static void
cast_event(struct sp_writer *w, const struct frame *f, const char *code, struct sp_bytes data)
{
	text_printf(w, "[%.6f,\"%s\",", (double)f->at / 1e6, code);
	text_json(w, data);
	text_put(w, "]\n");
}

/* How many bytes at the end begin a character that is not complete. */
static unsigned
unfinished(struct sp_bytes b)
{
	for (unsigned n = 1; n <= 3 && n <= b.len; n++) {
		uint8_t c = b.p[b.len - n];
		if (c >= 0xc0)
			return n < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? n : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

static void
cast_output(struct show *s, struct sp_writer *w, const struct frame *f)
{
	struct buffer all = { 0 };
	if (buffer_put(&all, (struct sp_bytes){ s->rest, s->nrest }) != SP_OK || buffer_put(&all, f->payload) != SP_OK) {
		w->bad = true;
		return;
	}
	struct sp_bytes b = buffer_bytes(&all);
	s->nrest = unfinished(b);
	struct sp_reader r = sp_reader(b);
	struct sp_bytes whole = sp_rd_take(&r, b.len - s->nrest);
	if (s->nrest > 0)
		memcpy(s->rest, sp_rd_rest(&r).p, s->nrest);
	if (whole.len > 0)
		cast_event(w, f, "o", whole);
	buffer_free(&all);
}

static void
cast_resize(struct sp_writer *w, const struct frame *f)
{
	char size[48];
	size_print(f, size);
	cast_event(w, f, "r", sp_str(size));
}

/* What is no terminal's output is shown as the text form shows it. */
static void
cast_text(struct sp_writer *w, const struct frame *f)
{
	struct buffer text = { 0 }, crlf = { 0 };
	struct sp_writer t = buffer_writer(&text);
	frame_text(&t, f);
	if (buffer_written(&text, &t) != SP_OK)
		w->bad = true;
	struct sp_bytes b = buffer_bytes(&text);
	for (size_t i = 0; i < b.len && !w->bad; i++)
		if (buffer_put(&crlf, b.p[i] == '\n' ? SP_LIT("\r\n") : (struct sp_bytes){ b.p + i, 1 }) != SP_OK)
			w->bad = true;
	cast_event(w, f, "o", buffer_bytes(&crlf));
	buffer_free(&text);
	buffer_free(&crlf);
}

static void
frame_cast(struct show *s, struct sp_writer *w, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HEADER:
		cast_header(s, w, f);
		break;
	case FRAME_OUTPUT:
		cast_output(s, w, f);
		break;
	case FRAME_INPUT:
		cast_event(w, f, "i", f->payload);
		break;
	case FRAME_RESIZE:
		cast_resize(w, f);
		break;
	default:
		cast_text(w, f);
	}
}

/* ---- a terminal's screen ---- */

/* Until the size is known, or it is clear that there is none to come. */
static void
frame_cast_early(struct show *s, struct sp_writer *w, const struct frame *f)
{
	bool waits = s->terminals && (f->type == FRAME_OPERATION || f->type == FRAME_VERDICT || f->type == FRAME_DONE || f->type == FRAME_HELD);
	if (f->type == FRAME_HEADER || s->head.len == 0) {
		frame_cast(s, w, f);
		return;
	}
	struct sp_writer early = buffer_writer(&s->early);
	if (waits)
		frame_cast(s, &early, f);
	if (waits && buffer_written(&s->early, &early) == SP_OK)
		return;
	cast_begin(s, w, f);
	if (f->type != FRAME_RESIZE)
		frame_cast(s, w, f);
}

static void
frame_terminal(struct show *s, struct sp_writer *w, const struct frame *f)
{
	if (f->type == FRAME_OUTPUT)
		terminal_feed(&s->terminal, f->payload, w);
	else if (f->type == FRAME_NOTICE)
		terminal_feed(&s->terminal, frame_get(f, KEY_MESSAGE), w);
	else if (f->type == FRAME_END || f->type == FRAME_TORN)
		terminal_reset(&s->terminal, w);
}

/* ---- rows, which may be cut anywhere ---- */

static void
show_one(struct show *s, const struct frame *f, struct sp_writer *w)
{
	if (s->form == SHOW_JSONL)
		frame_json(w, f);
	else if (s->form == SHOW_ASCIICAST)
		frame_cast_early(s, w, f);
	else if (s->form == SHOW_TERMINAL)
		frame_terminal(s, w, f);
	else
		frame_text(w, f);
}

/* Bytes of whole rows at the front. */
static size_t
whole_rows(struct sp_bytes b)
{
	struct sp_reader r = sp_reader(b);
	size_t whole = 0;
	while (r.left > 0) {
		unsigned fields = sp_rd_be16(&r);
		for (unsigned i = 0; i < fields && !r.bad; i++) {
			uint32_t len = sp_rd_be32(&r);
			if (len != FRAME_ROW_NULL)
				(void)sp_rd_take(&r, len);
		}
		if (r.bad)
			return whole;
		whole = b.len - r.left;
	}
	return whole;
}

/* What is left of a row whose end was not recorded. */
static void
rows_over(struct show *s, const struct frame *f, struct sp_writer *w)
{
	struct sp_bytes left = buffer_bytes(&s->rows);
	if (left.len > 0 && s->form == SHOW_JSONL) {
		text_printf(w, "{\"type\":\"rows\",\"frame\":%u,\"at_us\":%llu,\"op\":%u,\"unfinished\":", f->number,
		    (unsigned long long)f->at, s->op);
		value_json(w, left);
		text_put(w, "}\n");
	} else if (left.len > 0 && s->form == SHOW_TEXT) {
		text_put(w, INDENT "| ");
		value_text(w, left);
		text_put(w, " … the rest of this row is not recorded\n");
	}
	buffer_free(&s->rows);
}

static void
show_rows(struct show *s, const struct frame *f, struct sp_writer *w)
{
	struct frame rows = *f;
	if (s->rows.len > 0 && (s->op != f->op || s->channel != f->channel))
		rows_over(s, f, w);
	s->op = f->op;
	s->channel = f->channel;
	if (buffer_put(&s->rows, f->payload) != SP_OK) {
		rows_over(s, f, w);
		return;
	}
	rows.payload = first(buffer_bytes(&s->rows), whole_rows(buffer_bytes(&s->rows)));
	if (rows.payload.len > 0)
		show_one(s, &rows, w);
	buffer_drop(&s->rows, rows.payload.len);
}

void
show_frame(struct show *s, const struct frame *f, struct sp_writer *w)
{
	if (f->type == FRAME_ROWS) {
		if (f->number > s->after)
			show_rows(s, f, w);
		return;
	}
	if (s->unsealed && s->form != SHOW_JSONL && f->type == FRAME_OPERATION && (f->flags & FRAME_PART) == 0 &&
	    frame_get(f, KEY_TEXT).p == NULL)
		return;
	if (f->number <= s->after && (s->form != SHOW_ASCIICAST || f->type != FRAME_HEADER))
		return;
	if (s->rows.len > 0 && (f->op == s->op || f->type == FRAME_END || f->type == FRAME_TORN))
		rows_over(s, f, w);
	show_one(s, f, w);
}

void
show_end(struct show *s)
{
	buffer_free(&s->rows);
	buffer_free(&s->head);
	buffer_free(&s->early);
}
