/* SPDX-License-Identifier: Apache-2.0 */
/* See explain.h.  A recording is hostile input: whatever stands in it becomes text in JSON, nothing else. */
#include <config.h>

#include "explain.h"

#include <stdlib.h>

#define EVENTS_MAX 100
#define STATEMENTS_MAX 64

struct explain {
	uint32_t op;
	bool found, sealed; /* sealed: its text is in a half that we can't read */
	json_t *o, *events;
};

static json_t *
text_of(struct sp_bytes text)
{
	json_t *o = json_stringn((const char *)text.p, text.len);
	return o == NULL ? json_string("{not UTF-8}") : o;
}

static void
set(json_t *o, const char *name, json_t *value)
{
	(void)json_object_set_new(o, name, value);
}

struct explain *
explain_begin(uint32_t op)
{
	struct explain *e = mem_alloc(sizeof(*e));
	*e = (struct explain){ .op = op, .o = json_object(), .events = json_array() };
	set(e->o, "op", json_integer(op));
	return e;
}

static void
take_header(struct explain *e, const struct frame *f)
{
	char hex[2 * DIGEST_LEN + 1] = "";
	struct sp_bytes hash = frame_get(f, KEY_POLICY_HASH), who = frame_get(f, KEY_PRINCIPAL);
	json_t *principal = json_loadb((const char *)who.p, who.len, JSON_REJECT_DUPLICATES, NULL);
	const char *user = json_string_value(json_object_get(principal, "user"));
	set(e->o, "session", text_of(frame_get(f, KEY_SESSION)));
	set(e->o, "target", text_of(frame_get(f, KEY_TARGET)));
	set(e->o, "user", json_string(user == NULL ? "" : user));
	if (hash.len == DIGEST_LEN)
		text_hex(hash, hex);
	set(e->o, "policy", json_string(hex));
	json_decref(principal);
}

/* "3:verb=select" */
static void
take_attribute(json_t *statements, struct sp_bytes text)
{
	char name[64];
	size_t node = 0;
	struct sp_reader r = sp_reader(text);
	struct sp_bytes number = sp_rd_until(&r, ':'), key = sp_rd_until(&r, '=');
	for (size_t i = 0; i < number.len && i < 3; i++)
		node = node * 10 + (size_t)(number.p[i] - '0');
	if (r.bad || node >= STATEMENTS_MAX || key.len == 0 || key.len >= sizeof(name))
		return;
	while (json_array_size(statements) <= node)
		(void)json_array_append_new(statements, json_object());
	memcpy(name, key.p, key.len);
	name[key.len] = '\0';
	set(json_array_get(statements, node), name, text_of(sp_rd_rest(&r)));
}

static void
take_fact(json_t *facts, struct sp_bytes text)
{
	char name[64];
	struct sp_reader r = sp_reader(text);
	struct sp_bytes key = sp_rd_until(&r, '=');
	if (r.bad || key.len == 0 || key.len >= sizeof(name))
		return;
	memcpy(name, key.p, key.len);
	name[key.len] = '\0';
	set(facts, name, text_of(sp_rd_rest(&r)));
}

/* A sealed recording has the operation in two halves, the second with the text: whichever comes adds what it has. */
static void
take_operation(struct explain *e, const struct frame *f)
{
	json_t *statements = json_array(), *facts = json_object(), *params = json_array();
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	e->found = true;
	e->sealed = json_object_get(e->o, "text") == NULL && frame_get(f, KEY_TEXT_HASH).len > 0 && frame_get(f, KEY_TEXT).p == NULL;
	while (frame_next_field(&r, &key, &v)) {
		if (key == KEY_ATTRIBUTE)
			take_attribute(statements, v);
		else if (key == KEY_FACT)
			take_fact(facts, v);
		else if (key == KEY_PARAM && v.len >= 7)
			(void)json_array_append_new(params, (v.p[6] & 1) != 0 ? json_null() : text_of((struct sp_bytes){ v.p + 7, v.len - 7 }));
		else if (key == KEY_KIND || key == KEY_TEXT || key == KEY_TAG)
			set(e->o, key == KEY_KIND ? "kind" : key == KEY_TEXT ? "text" : "tag", text_of(v));
	}
	if (json_object_get(e->o, "statements") == NULL || json_array_size(statements) > 0) {
		(void)json_object_set(e->o, "statements", statements);
		(void)json_object_set(e->o, "facts", facts);
		(void)json_object_set(e->o, "params", params);
	}
	json_decref(statements);
	json_decref(facts);
	json_decref(params);
}

static void
take_event(struct explain *e, const struct frame *f, const char *what)
{
	static const struct {
		enum frame_key key;
		const char *name;
	} texts[] = { { KEY_RULE, "rule" }, { KEY_MESSAGE, "message" }, { KEY_APPROVAL, "approval" }, { KEY_APPROVER, "approver" },
		{ KEY_WOULD, "would" }, { KEY_OBSERVED, "observed" }, { KEY_ERROR, "error" } };
	struct sp_bytes said = frame_get(f, KEY_WHAT);
	json_t *o = json_object();
	if (json_array_size(e->events) >= EVENTS_MAX) {
		json_decref(o);
		return;
	}
	set(o, "at_us", json_integer((json_int_t)f->at));
	set(o, "what", what != NULL ? json_string(what) : text_of(said));
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct sp_bytes v = frame_get(f, texts[i].key);
		if (v.len > 0)
			set(o, texts[i].name, text_of(v));
	}
	(void)json_array_append_new(e->events, o);
}

bool
explain_frame(struct explain *e, const struct frame *f)
{
	struct sp_bytes text;
	if (f->type == FRAME_HEADER)
		take_header(e, f);
	if (f->op != e->op || f->type == FRAME_HEADER)
		return false;
	switch (f->type) {
	case FRAME_OPERATION:
		take_operation(e, f);
		return false;
	case FRAME_VERDICT:
		take_event(e, f, NULL);
		return false;
	case FRAME_HELD:
		take_event(e, f, "held");
		return false;
	case FRAME_WHY:
		text = frame_get(f, KEY_TEXT);
		set(e->o, "why", json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL));
		return false;
	case FRAME_DONE:
		take_event(e, f, "done");
		return true;
	default:
		return false;
	}
}

json_t *
explain_end(struct explain **ep)
{
	struct explain *e = *ep;
	*ep = NULL;
	json_t *o = e->o;
	set(o, "events", e->events);
	set(o, "sealed", json_boolean(e->sealed));
	if (json_object_get(o, "why") == NULL)
		set(o, "why", json_null());
	if (!e->found) {
		json_decref(o);
		o = NULL;
	}
	free(e);
	return o;
}
