/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of a session while it runs: who, what its operations do, how many. */
#include <config.h>

#include <stdlib.h>

#include "../base/principal.h"
#include "../record/text.h"
#include "recorder.h"

/* ---- who ---- */

static void
write_principal(struct sp_writer *w, const struct principal *p)
{
	text_json_member(w, "user", sp_str(p->user));
	text_json_member(w, "identity", sp_str(p->identity));
	text_json_member(w, "issuer", sp_str(p->issuer));
	text_json_member(w, "subject", sp_str(p->subject));
	text_json_member(w, "class", sp_str(p->class));
}

/* p: NULL when it can't be read. */
static void
write_who(struct sp_writer *w, const struct frame *f, const struct principal *p)
{
	if (p == NULL)
		sp_wr_put(w, SP_LIT(WHO_UNKNOWN));
	else
		write_principal(w, p);
	text_json_member(w, "target", frame_get(f, KEY_TARGET));
	text_json_member(w, "part", frame_get(f, KEY_PART));
	text_json_member(w, "module", frame_get(f, KEY_MODULE));
	text_json_member(w, "address", frame_get(f, KEY_ADDRESS));
	text_json_member(w, "login", frame_get(f, KEY_LOGIN));
	text_json_hex(w, "policy", frame_get(f, KEY_POLICY_HASH));
}

static void
copy_text(char *into, size_t cap, struct sp_bytes from)
{
	size_t n = from.len < cap ? from.len : cap - 1;
	if (n > 0)
		memcpy(into, from.p, n);
	into[n] = '\0';
}

int
facts_header(struct session *s, const struct frame *f)
{
	struct buffer text = { .max = 1u << 20 };
	struct principal p;
	struct arena *a = arena_new(0);
	int rc = a == NULL ? SP_ENOMEM : principal_parse(a, frame_get(f, KEY_PRINCIPAL), &p);
	struct sp_writer w = buffer_writer(&text);
	write_who(&w, f, rc == SP_OK ? &p : NULL);
	if (!frame_field_u64_get(frame_get(f, KEY_STARTED), &s->started) && rc == SP_OK)
		rc = SP_EPROTO;
	int written = buffer_written(&text, &w);
	if (written == SP_OK)
		session_who(s, buffer_bytes(&text));
	copy_text(s->target, sizeof(s->target), frame_get(f, KEY_TARGET));
	buffer_free(&text);
	arena_free(&a);
	return rc == SP_OK ? written : rc;
}

/* ---- operations ---- */

enum { SAYS_KIND = 1, SAYS_TAG = 2, SAYS_HASH = 4 };

/* Of several the first counts, whatever it says, as to who reads the recording. */
static void
take_field(struct statement *of, uint8_t *has, unsigned key, struct sp_bytes value)
{
	const uint8_t says = key == KEY_KIND ? SAYS_KIND : key == KEY_TAG ? SAYS_TAG : key == KEY_TEXT_HASH ? SAYS_HASH : 0;
	if ((*has & says) != 0)
		return;
	*has |= says;
	if (key == KEY_KIND)
		copy_text(of->kind, sizeof(of->kind), value);
	else if (key == KEY_TAG)
		copy_text(of->tag, sizeof(of->tag), value);
	else if (key == KEY_TEXT_HASH && value.len == DIGEST_LEN) {
		memcpy(of->hash, value.p, DIGEST_LEN);
		of->known = true;
	}
}

/* c NULL: the place has nothing. */
static void
take_common(struct statement *of, uint8_t *has, const struct common *c, uint64_t *from)
{
	if (c == NULL)
		return;
	if ((c->has & SAYS_KIND) != 0)
		take_field(of, has, KEY_KIND, sp_str(c->statement.kind));
	if ((c->has & SAYS_TAG) != 0)
		take_field(of, has, KEY_TAG, sp_str(c->statement.tag));
	if ((c->has & SAYS_HASH) != 0)
		take_field(of, has, KEY_TEXT_HASH, (struct sp_bytes){ c->statement.hash, c->statement.known ? DIGEST_LEN : 0 });
	*from = c->from < *from ? c->from : *from;
}

/* What its frame says, by itself or by the name of a place; *from: of its block, then of the one from which on it can be known. */
static void
take_statement(struct session *s, const struct frame *f, bool halves, struct statement *of, uint64_t *from)
{
	struct sp_reader in = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key;
	uint8_t has = 0;
	bool named = false;
	size_t before = 0; /* bytes; in halves, of the clear one: a place of that is what is read */
	while (frame_next_field(&in, &key, &value)) {
		const bool names = key == KEY_KEPT || key == KEY_AS;
		if (!names)
			take_field(of, &has, key, value);
		else if (!named && key == KEY_KEPT)
			common_put(s, frame_place(value), &(struct common){ *from, f->op, before <= RECORD_KEPT_MAX, has, *of });
		else if (!named)
			take_common(of, &has, common_find(s, frame_place(value), f->op), from);
		named = named || names;
		before += halves && !frame_key_is_open(key) ? 0 : FRAME_FIELD_HEAD + value.len;
	}
}

static void
operation_begins(const struct recorder *r, struct session *s, const struct frame *f)
{
	struct statement of = { .known = false };
	uint64_t from = r->recovering ? r->reading : s->bytes;
	s->last_op = f->op;
	take_statement(s, f, r->options.seals && !r->recovering, &of, &from);
	struct operation *o = operation_get(s, f, from);
	o->from = from < o->from ? from : o->from; /* some of its output came before */
	o->statement = of;
	o->unsure = r->recovering;
	o->undecided = true;
	s->state.operations += !r->recovering;
}

/* ---- frames ---- */

static void
on_verdict(struct recorder *r, struct session *s, const struct frame *f, uint32_t number)
{
	struct sp_bytes what = frame_get(f, KEY_WHAT);
	struct operation *o = operation_find(s, f->op);
	bool refused = sp_bytes_is(what, "deny") || sp_bytes_is(what, "kill"), held = f->type == FRAME_HELD || sp_bytes_is(what, "held");
	audit_decision(r, s, o, f, number);
	if (!r->recovering) {
		s->state.denied += refused;
		s->state.held += held;
	}
	if (o != NULL && refused)
		operation_drop(s, o);
	else if (o != NULL)
		o->undecided = held;
}

static void
on_done(const struct recorder *r, struct session *s, const struct frame *f)
{
	uint64_t rows;
	struct operation *o = operation_find(s, f->op);
	if (frame_field_u64_get(frame_get(f, KEY_ROWS), &rows) && !r->recovering)
		s->state.rows = frame_number_sum(s->state.rows, rows);
	if (o != NULL)
		operation_drop(s, o);
}

void
facts_frame(struct recorder *r, struct session *s, const struct frame *f, uint32_t number)
{
	count_frame(r, s, f);
	switch (f->type) {
	case FRAME_OPERATION:
		operation_begins(r, s, f);
		break;
	case FRAME_VERDICT:
	case FRAME_HELD:
		on_verdict(r, s, f, number);
		break;
	case FRAME_COLUMNS:
		if (frame_get(f, KEY_WOULD).len > 0)
			audit_decision(r, s, operation_find(s, f->op), f, r->options.seals && !r->recovering ? NUMBER_SEALED : number);
		break;
	case FRAME_DONE:
		on_done(r, s, f);
		break;
	case FRAME_END:
	case FRAME_TORN:
		access_line(r, s, f, number);
		break;
	default:
		break;
	}
}
