/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was decided of an operation, as it stands in its audit line: from `,"kind":` to `,"sha256":`.  An application's
 * statements are few, and so is what is decided of them: the last of these texts are kept, each in the one place that its
 * statement's hash names, and copied while statement and decision are the same to the byte.
 */
#include <config.h>

#include <stdlib.h>

#include "../record/text.h"
#include "recorder.h"

#define KEPT 64  /* a power of two */
#define SAID 64  /* bytes of a decision's frame: a longer one is seldom the same again */
#define TEXT 384

struct decision {
	struct statement statement;
	uint8_t type, nsaid, said[SAID];
	uint16_t len; /* 0: nothing is kept */
	uint8_t text[TEXT];
};

struct decisions {
	struct decision kept[KEPT];
};

struct decisions *
decisions_new(void)
{
	return mem_alloc(sizeof(struct decisions));
}

void
decisions_free(struct decisions **d)
{
	free(*d);
	*d = NULL;
}

static void
put_text(struct sp_writer *w, struct sp_bytes name, struct sp_bytes value)
{
	sp_wr_put(w, name);
	text_json(w, value);
}

/* All that observed, between spaces: names of rules. */
static void
write_observed(struct sp_writer *w, const struct frame *f)
{
	char names[512];
	size_t n = 0;
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key;
	if (!frame_may_have(f, KEY_OBSERVED))
		return;
	while (frame_next_field(&r, &key, &value))
		if (key == KEY_OBSERVED && value.len + 1 < sizeof(names) - n) {
			if (n > 0)
				names[n++] = ' ';
			memcpy(names + n, value.p, value.len);
			n += value.len;
		}
	if (n > 0)
		text_json_member(w, "observed", (struct sp_bytes){ (const uint8_t *)names, n });
}

static void
write_verdict(struct sp_writer *w, const struct frame *f)
{
	static const struct {
		enum frame_key key;
		const char *name;
	} member[] = {
		{ KEY_MESSAGE, "text" },
		{ KEY_APPROVAL, "approval" },
		{ KEY_APPROVER, "approver" },
		{ KEY_WOULD, "would" },
	};
	struct sp_bytes what = frame_get(f, KEY_WHAT);
	put_text(w, SP_LIT(",\"verdict\":"), what.len > 0 ? what : f->type == FRAME_HELD ? SP_LIT("held") : SP_LIT("allow"));
	put_text(w, SP_LIT(",\"rule\":"), frame_get(f, KEY_RULE));
	for (size_t i = 0; i < sizeof(member) / sizeof(*member); i++) {
		struct sp_bytes value = frame_get(f, member[i].key);
		if (value.len > 0)
			text_json_member(w, member[i].name, value);
	}
	write_observed(w, f);
}

static void
write_decision(struct sp_writer *w, const struct statement *of, const struct frame *f)
{
	if (of == NULL) {
		sp_wr_put(w, SP_LIT(",\"kind\":null,\"tag\":null"));
	} else {
		put_text(w, SP_LIT(",\"kind\":"), sp_str(of->kind));
		put_text(w, SP_LIT(",\"tag\":"), sp_str(of->tag));
	}
	write_verdict(w, f);
	struct sp_bytes policy = frame_get(f, KEY_POLICY_HASH);
	if (policy.len > 0)
		text_json_hex(w, "judged_by", policy); /* a reload since the session began */
	if (of != NULL && of->known)
		text_json_hex(w, "sha256", (struct sp_bytes){ of->hash, DIGEST_LEN });
}

static bool
is_same(const struct decision *d, const struct statement *of, const struct frame *f)
{
	return d->len > 0 && d->type == f->type && sp_bytes_eq((struct sp_bytes){ d->said, d->nsaid }, f->payload) &&
	    memcmp(&d->statement, of, sizeof(*of)) == 0;
}

static void
keep(struct decision *d, const struct statement *of, const struct frame *f, struct sp_bytes text)
{
	d->statement = *of;
	d->type = (uint8_t)f->type;
	d->nsaid = (uint8_t)f->payload.len;
	if (d->nsaid > 0)
		memcpy(d->said, f->payload.p, d->nsaid);
	d->len = (uint16_t)text.len;
	memcpy(d->text, text.p, text.len);
}

void
decision_write(struct recorder *r, struct sp_writer *w, const struct operation *o, const struct frame *f)
{
	/* one that made room, or one of which only the answer was seen since */
	const struct statement *of = o == NULL || (o->statement.kind[0] == '\0' && !o->statement.known) ? NULL : &o->statement;
	struct decision *d = of != NULL && of->known && f->payload.len <= SAID ? &r->decisions->kept[of->hash[0] % KEPT] : NULL;
	if (d != NULL && is_same(d, of, f)) {
		sp_wr_put(w, (struct sp_bytes){ d->text, d->len });
		return;
	}
	size_t from = w->len;
	write_decision(w, of, f);
	if (d != NULL && !w->bad && w->len - from <= TEXT)
		keep(d, of, f, (struct sp_bytes){ w->p + from, w->len - from });
}
