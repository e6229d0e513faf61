/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: numbered, chained, signed, stored, answered. */
#include <config.h>

#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../record/recording.h"
#include "live.h"

#define ANCHOR_LINE (2 * LEDGER_ENTRY + 64)

struct ledger {
	uint64_t number; /* of the last entry */
	uint64_t wall;
	uint64_t anchored; /* number of the last one that the audit log has */
	uint8_t hash[DIGEST_LEN];
	const uint8_t *key;
	bool foreign; /* the last entry is another key's */
};

static int
take_entry(void *owner, const struct field *row)
{
	return ledger_decode(row[0].s, owner);
}

static int
take_last(void *owner, const struct field *row)
{
	struct ledger *g = owner;
	struct ledger_entry e;
	int rc = ledger_decode(row[0].s, &e);
	if (rc != SP_OK)
		return rc;
	g->number = e.number;
	g->wall = e.wall;
	g->foreign = !ledger_signed_by(row[0].s.p, g->key);
	ledger_hash(row[0].s.p, g->hash);
	return SP_OK;
}

int
ledger_open(struct keeper *k, const char **err_r)
{
	k->ledger = mem_alloc(sizeof(*k->ledger));
	k->ledger->key = k->keys.signing.public;
	ledger_first(k->keys.signing.public, k->ledger->hash);
	int rc = store_read(k->store, STORE_LEDGER_LAST, NULL, take_last, k->ledger);
	if (rc != SP_OK)
		*err_r = "the ledger's last entry in the store cannot be read";
	if (rc != SP_OK || !k->ledger->foreign)
		return rc;
	*err_r = "the ledger in the store is of another signing.key: bring that one back, or end that ledger by `sallyport store new-ledger`";
	return SP_ECONF;
}

void
ledger_close(struct keeper *k)
{
	free(k->ledger);
	k->ledger = NULL;
}

uint64_t
ledger_count(const struct keeper *k)
{
	return k->ledger->number;
}

static void
answer(struct keeper *k, struct link *l, uint32_t id, const struct ledger_entry *e)
{
	uint8_t bytes[LEDGER_ENTRY];
	struct message m = { .type = MSG_SIGNED, .id = id };
	if (e != NULL) {
		ledger_encode(e, bytes);
		m.f[0] = (struct field)S(((struct sp_bytes){ bytes, sizeof(bytes) }));
		m.f[1] = (struct field)S(((struct sp_bytes){ bytes + LEDGER_SIGNED, SIGNATURE_LEN }));
	}
	reply(k, l, &m);
}

static int
append(struct keeper *k, struct ledger_entry *e)
{
	uint8_t bytes[LEDGER_ENTRY];
	struct ledger *g = k->ledger;
	uint64_t now = clock_wall_us();
	e->number = g->number + 1;
	e->wall = now > g->wall ? now : g->wall; /* our own clock, and never backwards */
	memcpy(e->previous, g->hash, DIGEST_LEN);
	ledger_encode(e, bytes);
	if (keys_sign(&k->keys.signing, (struct sp_bytes){ bytes, LEDGER_SIGNED }, e->signature) != SP_OK)
		return SP_EINTERNAL;
	ledger_encode(e, bytes);
	const struct field args[] = { Q(e->number), S(((struct sp_bytes){ e->session, ID_LEN })), Q(e->kind),
		S(((struct sp_bytes){ bytes, sizeof(bytes) })) };
	if (keeper_write(k, STORE_LEDGER_ADD, args) != 1)
		return SP_EIO;
	g->number = e->number;
	g->wall = e->wall;
	ledger_hash(bytes, g->hash);
	return SP_OK;
}

static int
last_of(struct keeper *k, struct sp_bytes session, struct ledger_entry *e_r)
{
	const struct field args[] = { S(session) };
	*e_r = (struct ledger_entry){ 0 };
	return store_read(k->store, STORE_LEDGER_LAST_OF, args, take_entry, e_r);
}

static bool
ended(const struct ledger_entry *e)
{
	return e->kind == LEDGER_CLOSE || e->kind == LEDGER_TORN || e->kind == LEDGER_TOMBSTONE;
}

/* NULL: the new entry may follow the last one of its session. */
static const char *
why_not(const struct ledger_entry *last, const struct ledger_entry *e)
{
	if (e->kind < LEDGER_OPEN || e->kind > LEDGER_TORN)
		return "such entries are not made on request";
	if (last->number == 0)
		return NULL;
	if (e->kind == LEDGER_OPEN)
		return "the recording was opened before";
	if (ended(last))
		return "the recording has ended";
	if (e->blocks < last->blocks || e->frames < last->frames || e->bytes < last->bytes)
		return "the recording is shorter than it was";
	return NULL;
}

static bool
same(const struct ledger_entry *a, const struct ledger_entry *b)
{
	return a->number > 0 && a->kind == b->kind && a->blocks == b->blocks && a->frames == b->frames && a->bytes == b->bytes &&
	    memcmp(a->chain, b->chain, DIGEST_LEN) == 0;
}

int
ledger_sign(struct keeper *k, struct link *l, struct message *m)
{
	struct ledger_entry e = { .kind = (enum ledger_kind)m->f[0].q }, last;
	if (m->f[1].s.len != ID_LEN || m->f[4].s.len != DIGEST_LEN || m->f[0].q > LEDGER_TOMBSTONE || m->f[2].q > UINT32_MAX ||
	    m->f[3].q > UINT32_MAX)
		return SP_EPROTO;
	memcpy(e.session, m->f[1].s.p, ID_LEN);
	e.blocks = (uint32_t)m->f[2].q;
	e.frames = (uint32_t)m->f[3].q;
	memcpy(e.chain, m->f[4].s.p, DIGEST_LEN);
	e.bytes = m->f[5].q;
	if (last_of(k, m->f[1].s, &last) != SP_OK)
		return SP_EIO;
	/* The answer got lost when one of us ended; a recorder that was started anew asks for the opening again. */
	bool known = e.kind == LEDGER_OPEN && last.number > 0 && !ended(&last) && e.blocks >= last.blocks && e.bytes >= last.bytes;
	if (known || same(&last, &e)) {
		answer(k, l, m->id, &last);
		return SP_OK;
	}
	if (last.kind == LEDGER_TOMBSTONE) { /* it has it from its journal, and must remove it again */
		answer(k, l, m->id, &last);
		return SP_OK;
	}
	const char *why = why_not(&last, &e);
	char name[ID_TEXT];
	if (why != NULL)
		log_error("the recorder wants an entry %s for session %s signed, but %s", ledger_kind_name(e.kind), id_format(e.session, name), why);
	bool done = why == NULL && append(k, &e) == SP_OK;
	answer(k, l, m->id, done ? &e : NULL);
	return SP_OK;
}

struct catching_up {
	struct keeper *k;
	struct link *link;
};

static int
give_again(void *owner, const struct field *row)
{
	const struct catching_up *c = owner;
	struct ledger_entry e;
	int rc = ledger_decode(row[0].s, &e);
	if (rc == SP_OK)
		answer(c->k, c->link, 0, &e);
	return rc;
}

int
ledger_have(struct keeper *k, struct link *l, struct message *m)
{
	struct catching_up c = { k, l };
	const struct field args[] = { Q(m->f[0].q) };
	return m->f[0].q > INT64_MAX ? SP_EPROTO : store_read(k->store, STORE_LEDGER_SINCE, args, give_again, &c);
}

/* Retention by age can be checked here; by size only the recorder knows. */
static const char *
too_early(struct keeper *k, const struct ledger_entry *last, struct sp_bytes session)
{
	const struct settings *s = keeper_settings(k);
	uint64_t now = clock_wall_us();
	if (live_find(k, session) != NULL)
		return "its session lives";
	if (last->number == 0)
		return "nothing is known of it";
	if (last->kind == LEDGER_TOMBSTONE)
		return "it was removed before";
	if (s->record.max > 0)
		return NULL;
	if (s->record.keep == 0 || now - last->wall < s->record.keep * 1000)
		return "its retention is not over";
	return NULL;
}

int
ledger_remove(struct keeper *k, struct link *l, struct message *m)
{
	struct ledger_entry last;
	char name[ID_TEXT];
	if (m->f[0].s.len != ID_LEN)
		return SP_EPROTO;
	if (last_of(k, m->f[0].s, &last) != SP_OK)
		return SP_EIO;
	const char *why = too_early(k, &last, m->f[0].s);
	if (why != NULL) {
		log_error("the recorder wants to remove recording %s, but %s", id_format(m->f[0].s.p, name), why);
		answer(k, l, m->id, last.kind == LEDGER_TOMBSTONE ? &last : NULL);
		return SP_OK;
	}
	struct ledger_entry e = last;
	e.kind = LEDGER_TOMBSTONE;
	memset(e.signature, 0, SIGNATURE_LEN);
	if (append(k, &e) != SP_OK) {
		answer(k, l, m->id, NULL);
		return SP_OK;
	}
	audit(k, "removed", json_pack("{s:s,s:s}", "session", id_format(e.session, name), "why", "retention"));
	answer(k, l, m->id, &e);
	return SP_OK;
}

void
ledger_keys(struct keeper *k)
{
	uint8_t redact[DIGEST_LEN];
	keys_derive(&k->keys, "redact", SP_LIT(""), redact);
	const struct message m = { .type = MSG_KEYS,
		.f = { S(((struct sp_bytes){ k->keys.signing.public, 32 })), S(((struct sp_bytes){ redact, sizeof(redact) })) } };
	if (link_send(k->recorder, &m) != SP_OK)
		log_error("the recorder could not be told its keys");
	mem_wipe(redact, sizeof(redact));
}

static int
take_hex(void *owner, const struct field *row)
{
	char text[2 * LEDGER_ENTRY + 1];
	if (row[0].s.len != LEDGER_ENTRY)
		return SP_EPROTO;
	text_hex(row[0].s, text);
	return json_array_append_new(owner, json_string(text)) == 0 ? SP_OK : SP_ENOMEM;
}

int
ledger_entries(struct keeper *k, struct sp_bytes session, json_t *list)
{
	const struct field args[] = { S(session) };
	return store_read(k->store, STORE_LEDGER_SESSION, args, take_hex, list);
}

static int
take_line(void *owner, const struct field *row)
{
	char *line = owner, hex[2 * LEDGER_ENTRY + 1];
	struct ledger_entry e;
	if (row[0].s.len != LEDGER_ENTRY || ledger_decode(row[0].s, &e) != SP_OK)
		return SP_EPROTO;
	text_hex(row[0].s, hex);
	(void)snprintf(line, ANCHOR_LINE, "sallyport-anchor %llu %s", (unsigned long long)e.number, hex);
	return SP_OK;
}

/* It promises what the store must hold: that is written first. */
void
ledger_anchor(struct keeper *k)
{
	struct ledger *g = k->ledger;
	char line[ANCHOR_LINE] = "";
	if (g->number == g->anchored)
		return;
	keeper_commit(k);
	if (store_read(k->store, STORE_LEDGER_LAST, NULL, take_line, line) != SP_OK || line[0] == '\0')
		return;
	g->anchored = g->number;
	audit(k, "checkpoint", json_pack("{s:s}", "anchor", line));
}
