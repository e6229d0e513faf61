/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport replay`: a recording as a person reads it, or as JSON lines.  Nothing in it reaches the terminal raw. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../record/recording.h"
#include "../record/text.h"
#include "recordings.h"

#define CELL_MAX 200
#define OWN_SHOWN 100

struct replay {
	struct buffer out;
	bool json;
	double speed;
	uint64_t at;
	struct buffer rows; /* a row may be cut between frames */
};

static const char *const key_names[] = {
	[KEY_SESSION] = "session", [KEY_PRINCIPAL] = "principal", [KEY_TARGET] = "target", [KEY_PART] = "part", [KEY_MODULE] = "module",
	[KEY_VERSION] = "version", [KEY_POLICY_HASH] = "policy", [KEY_ADDRESS] = "address", [KEY_LOGIN] = "login", [KEY_STARTED] = "started",
	[KEY_KIND] = "kind", [KEY_TEXT] = "text", [KEY_TAG] = "tag", [KEY_TEXT_HASH] = "sha256", [KEY_PARAM] = "param", [KEY_WHAT] = "what",
	[KEY_RULE] = "rule", [KEY_MESSAGE] = "message", [KEY_APPROVAL] = "approval", [KEY_APPROVER] = "approver", [KEY_OBSERVED] = "observed",
	[KEY_COLUMN] = "column", [KEY_ROWS] = "rows", [KEY_BYTES] = "bytes", [KEY_ERROR] = "error", [KEY_WHY] = "why", [KEY_FACT] = "fact",
	[KEY_HASH] = "hash", [KEY_ATTRIBUTE] = "attribute", [KEY_PROTOCOL] = "protocol",
};

static void
field_text(struct sp_writer *w, unsigned key, struct sp_bytes v)
{
	struct sp_reader r = sp_reader(v);
	if (key == KEY_ROWS || key == KEY_BYTES || key == KEY_STARTED)
		text_printf(w, "%llu", (unsigned long long)sp_rd_be64(&r));
	else if (key == KEY_POLICY_HASH || key == KEY_TEXT_HASH || (key == KEY_HASH && v.len == DIGEST_LEN))
		for (size_t i = 0; i < v.len && i < 6; i++)
			text_printf(w, "%02x", v.p[i]);
	else if (key == KEY_PARAM || key == KEY_COLUMN) {
		(void)sp_rd_take(&r, 7);
		text_shown(w, sp_rd_rest(&r));
	} else {
		text_lines(w, v, "              ");
	}
}

/* ---- text ---- */

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
fields_named(struct sp_writer *w, const struct frame *f, const unsigned *keys)
{
	for (; *keys != 0; keys++) {
		struct sp_bytes v = frame_get(f, (enum frame_key)*keys);
		if (v.len == 0)
			continue;
		text_printf(w, " %s=", key_names[*keys]);
		if (*keys == KEY_APPROVER)
			approvers_text(w, v);
		else
			field_text(w, *keys, v);
	}
}

static void
columns_text(struct sp_writer *w, const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	while (frame_next_field(&r, &key, &v)) {
		if (key != KEY_COLUMN || v.len < 7)
			continue;
		text_put(w, "| ");
		field_text(w, key, v);
		text_put(w, v.p[0] != 0 ? " (masked) " : " ");
	}
}

/* Whole rows out of what has come so far. */
static void
rows_text(struct replay *p, struct sp_writer *w, struct sp_bytes more)
{
	if (buffer_put(&p->rows, more) != SP_OK)
		return;
	for (;;) {
		struct sp_reader r = sp_reader(buffer_bytes(&p->rows));
		struct buffer line = { 0 };
		struct sp_writer lw = buffer_writer(&line);
		unsigned fields = sp_rd_be16(&r);
		for (unsigned i = 0; i < fields && !r.bad; i++) {
			uint32_t len = sp_rd_be32(&r);
			struct sp_bytes v = len == UINT32_MAX ? SP_LIT("NULL") : sp_rd_take(&r, len);
			text_put(&lw, "| ");
			text_shown(&lw, (struct sp_bytes){ v.p, v.len < CELL_MAX ? v.len : CELL_MAX });
			text_put(&lw, v.len < CELL_MAX ? " " : "… ");
		}
		int rc = buffer_written(&line, &lw);
		if (!r.bad && rc == SP_OK) {
			text_put(w, "            ");
			sp_wr_put(w, buffer_bytes(&line));
			text_put(w, "|\n");
			buffer_drop(&p->rows, p->rows.len - r.left);
		}
		buffer_free(&line);
		if (r.bad || rc != SP_OK)
			return;
	}
}

static void
frame_text(struct replay *p, struct sp_writer *w, const struct frame *f)
{
	static const unsigned header[] = { KEY_SESSION, KEY_PROTOCOL, KEY_POLICY_HASH, 0 };
	static const unsigned verdict[] = { KEY_WHAT, KEY_RULE, KEY_MESSAGE, KEY_APPROVAL, KEY_APPROVER, KEY_OBSERVED, 0 };
	static const unsigned done[] = { KEY_ROWS, KEY_ERROR, KEY_TAG, 0 };
	static const unsigned rest[] = { KEY_TEXT, KEY_APPROVAL, KEY_HASH, KEY_RULE, KEY_MESSAGE, KEY_WHY, KEY_ROWS, KEY_BYTES, 0 };
	if (f->type == FRAME_ROWS) {
		rows_text(p, w, f->payload);
		return;
	}
	text_printf(w, "%9.3f", (double)f->at / 1e6);
	if (f->op > 0)
		text_printf(w, " #%u", f->op);
	text_printf(w, " %s", frame_name(f->type));
	if (f->type == FRAME_HEADER)
		header_text(w, f);
	if (f->type == FRAME_OWN) { /* always the same, and long */
		struct sp_bytes text = frame_get(f, KEY_TEXT);
		text_put(w, "  ");
		text_shown(w, (struct sp_bytes){ text.p, text.len < OWN_SHOWN ? text.len : OWN_SHOWN });
		text_put(w, text.len < OWN_SHOWN ? "\n" : "…\n");
		return;
	}
	if (f->type == FRAME_OPERATION) {
		struct sp_bytes text = frame_get(f, KEY_TEXT);
		text_put(w, "  ");
		field_text(w, KEY_TEXT, text.len > 0 ? text : frame_get(f, KEY_KIND));
		fields_named(w, f, (const unsigned[]){ KEY_PARAM, 0 });
	} else if (f->type == FRAME_COLUMNS) {
		text_put(w, " ");
		columns_text(w, f);
		buffer_free(&p->rows);
	} else if (f->type == FRAME_OUTPUT || f->type == FRAME_INPUT) {
		text_put(w, "\n            ");
		text_lines(w, f->payload, "            ");
	} else {
		fields_named(w, f, f->type == FRAME_HEADER ? header : f->type == FRAME_VERDICT ? verdict : f->type == FRAME_DONE ? done : rest);
	}
	text_put(w, "\n");
}

/* ---- JSON lines ---- */

static void
frame_json(struct sp_writer *w, const struct frame *f)
{
	sp_wr_u8(w, '{');
	text_json_member(w, "type", sp_str(frame_name(f->type)));
	text_json_number(w, "frame", f->number);
	text_json_number(w, "at_us", f->at);
	text_json_number(w, "op", f->op);
	if (f->type == FRAME_ROWS || f->type == FRAME_OUTPUT || f->type == FRAME_INPUT) {
		text_json_hex(w, "hex", f->payload);
	} else {
		struct sp_reader r = sp_reader(f->payload);
		struct sp_bytes v;
		unsigned key;
		while (frame_next_field(&r, &key, &v)) {
			const char *name = key < sizeof(key_names) / sizeof(*key_names) && key_names[key] != NULL ? key_names[key] : "field";
			struct sp_reader n = sp_reader(v);
			if (key == KEY_ROWS || key == KEY_BYTES || key == KEY_STARTED)
				text_json_number(w, name, sp_rd_be64(&n));
			else if (key == KEY_POLICY_HASH || key == KEY_TEXT_HASH || key == KEY_HASH || key == KEY_PARAM || key == KEY_COLUMN)
				text_json_hex(w, name, v);
			else
				text_json_member(w, name, v);
		}
	}
	text_put(w, "}\n");
}

static void
wait_for(struct replay *p, const struct frame *f)
{
	if (p->speed > 0 && f->at > p->at) {
		double s = (double)(f->at - p->at) / 1e6 / p->speed;
		struct timespec ts = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };
		(void)nanosleep(&ts, NULL);
	}
	p->at = f->at;
}

static int
replay_all(struct replay *p, struct recording *rec)
{
	struct frame f;
	const char *err = "";
	int rc;
	while ((rc = recording_next(rec, &f, &err)) == 1) {
		wait_for(p, &f);
		struct sp_writer w = buffer_writer(&p->out);
		if (p->json)
			frame_json(&w, &f);
		else
			frame_text(p, &w, &f);
		if (buffer_written(&p->out, &w) != SP_OK)
			return failed("out of memory");
		struct sp_bytes b = buffer_bytes(&p->out);
		if (b.len > 0 && fwrite(b.p, 1, b.len, stdout) != b.len)
			return failed("cannot write");
		buffer_drop(&p->out, b.len);
		if (p->speed > 0)
			(void)fflush(stdout);
	}
	return rc < 0 ? failed("%s", err) : DONE;
}

int
run_replay(struct run *r)
{
	const char *form = option(r, "format"), *speed = option(r, "speed"), *err = "";
	struct replay p = { .json = r->json || (form != NULL && strcmp(form, "jsonl") == 0) };
	struct recording *rec = NULL;
	if (form != NULL && strcmp(form, "jsonl") != 0 && strcmp(form, "text") != 0)
		return misused(r, "--format is text or jsonl, not \"%s\"", form);
	char *end = NULL;
	p.speed = speed == NULL ? 0 : strtod(speed, &end);
	if (speed != NULL && (*end != '\0' || end == speed || !(p.speed >= 0 && p.speed <= 1e6)))
		return misused(r, "--speed takes a number such as 1 or 10, or 0 for at once, not \"%s\"", speed);
	int fd = recording_fetch(r, r->word[0]);
	if (fd < 0)
		return FAILED;
	if (recording_open(fd, NULL, &rec, &err) != SP_OK)
		return failed("%s: %s", r->word[0], err);
	int rc = replay_all(&p, rec);
	recording_close(&rec);
	buffer_free(&p.out);
	buffer_free(&p.rows);
	return rc;
}
