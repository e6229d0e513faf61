/* SPDX-License-Identifier: Apache-2.0 */
/* Making, spending and ending codes. */
#include <config.h>

#include "code.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "row.h"

#define LETTERS 24 /* five bits each */
#define PLACES 64
#define PLACE 64   /* bytes of its name */
#define WRONG_MAX 10 /* from one address, in WRONG_MS */
#define WRONG_MS (10ull * 60 * 1000)

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static const char *const state_names[] = { [CODE_LIVE] = "live", [CODE_SPENT] = "spent", [CODE_ENDED] = "ended" };

const char *
code_state_name(unsigned state)
{
	return state < sizeof(state_names) / sizeof(*state_names) ? state_names[state] : "?";
}

/* ---- rows ---- */

static int
code_load(struct arena *a, const struct field *row, struct code *c)
{
	*c = (struct code){ .created = row[O_CREATED].q, .expires = row[O_EXPIRES].q, .changed = row[O_CHANGED].q,
		.state = row[O_STATE].q <= CODE_ENDED ? (enum code_state)row[O_STATE].q : CODE_ENDED };
	if (row_copy(a, CODE_MARKED "b", row, c->column) != SP_OK)
		return SP_ENOMEM;
	c->id = (const char *)c->column[O_ID].s.p;
	c->by = (const char *)c->column[O_BY].s.p;
	c->text = (const char *)c->column[O_TEXT].s.p;
	return principal_parse(a, row[O_PRINCIPAL].s, &c->who);
}

struct one {
	struct keeper *k;
	struct arena *arena;
	struct code *c;
	bool found;
};

static int
take_one(void *owner, const struct field *row)
{
	struct one *o = owner;
	if (!row_good(&o->k->keys, "code", CODE_MARKED, row, row[O_MAC].s))
		return SP_OK;
	o->found = true;
	return code_load(o->arena, row, o->c);
}

static int
find(struct keeper *k, enum store_statement how, struct field key, struct arena *a, struct code *c_r)
{
	struct one o = { k, a, c_r, false };
	int rc = store_read(k->store, how, &key, take_one, &o);
	return rc == SP_OK && !o.found ? SP_EPROTO : rc;
}

int
code_get(struct keeper *k, struct arena *a, const char *id, struct code *c_r)
{
	return find(k, STORE_CODE_GET, (struct field)Z(id), a, c_r);
}

struct walk {
	struct keeper *k;
	struct arena *arena;
	int (*each)(void *owner, const struct code *c);
	void *owner;
};

static int
take_each(void *owner, const struct field *row)
{
	struct walk *w = owner;
	struct code c;
	if (!row_good(&w->k->keys, "code", CODE_MARKED, row, row[O_MAC].s))
		return SP_OK;
	int rc = code_load(w->arena, row, &c);
	return rc == SP_OK ? w->each(w->owner, &c) : rc;
}

int
code_list(struct keeper *k, struct arena *a, int (*each)(void *owner, const struct code *c), void *owner)
{
	struct walk w = { k, a, each, owner };
	return store_read(k->store, STORE_CODE_LIST, NULL, take_each, &w);
}

/* ---- texts ---- */

static void
new_text(char letters[LETTERS + 1], char text[CODE_TEXT])
{
	uint8_t random[LETTERS];
	size_t n = 0;
	random_bytes(random, sizeof(random));
	for (size_t i = 0; i < LETTERS; i++) {
		letters[i] = alphabet[random[i] & 31];
		if (i > 0 && i % 4 == 0)
			text[n++] = '-';
		text[n++] = letters[i];
	}
	letters[LETTERS] = text[n] = '\0';
	mem_wipe(random, sizeof(random));
}

/* As people copy it: in capitals, o for 0, i and l for 1, grouped somehow.  False: it is no code. */
static bool
read_text(struct sp_bytes text, char letters[LETTERS + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i]);
		c = c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
		if (c == '-' || c == ' ')
			continue;
		if (n == LETTERS || c == '\0' || strchr(alphabet, c) == NULL)
			return false;
		letters[n++] = c;
	}
	letters[n] = '\0';
	return n == LETTERS;
}

/* 120 random bits: nothing slower than a digest is needed. */
static void
hash_text(const char *letters, uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("sallyport break-glass code 1 "));
	digest_add(d, sp_str(letters));
	digest_end(&d, out);
}

/* ---- making ---- */

static const char *
store_new(struct keeper *k, const struct code_wish *w, const struct code_made *made, const uint8_t hash[DIGEST_LEN])
{
	uint8_t mac[DIGEST_LEN];
	uint64_t now = clock_wall_us();
	struct buffer who = { 0 };
	struct principal p = *w->who;
	p.token = made->id;
	p.expires = made->expires;
	int rc = principal_print(&p, &who);
	const struct field row[O_MAC + 1] = { [O_ID] = Z(made->id), [O_HASH] = S(((struct sp_bytes){ hash, DIGEST_LEN })),
		[O_PRINCIPAL] = S(buffer_bytes(&who)), [O_ISSUER] = Z(p.issuer), [O_SUBJECT] = Z(p.subject), [O_USER] = Z(p.user),
		[O_BY] = Z(w->by->person[0] == '\0' ? w->by->user : w->by->person), [O_CREATED] = Q(now), [O_EXPIRES] = Q(made->expires),
		[O_STATE] = Q(CODE_LIVE), [O_CHANGED] = Q(0), [O_TEXT] = Z(""), [O_MAC] = S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&k->keys, "code", CODE_MARKED, row, mac);
	if (rc == SP_OK && keeper_write(k, STORE_CODE_ADD, row) != 1)
		rc = SP_EIO;
	buffer_free(&who);
	return rc == SP_OK ? NULL : "the code could not be stored";
}

const char *
code_make(struct keeper *k, const struct code_wish *w, struct code_made *made_r)
{
	uint8_t id[ID_LEN], hash[DIGEST_LEN];
	char letters[LETTERS + 1];
	id_new(id);
	*made_r = (struct code_made){ .expires = clock_wall_us() + w->span * 1000 };
	(void)id_format(id, made_r->id);
	new_text(letters, made_r->text);
	hash_text(letters, hash);
	mem_wipe(letters, sizeof(letters));
	const char *why = store_new(k, w, made_r, hash);
	if (why != NULL)
		mem_wipe(made_r->text, sizeof(made_r->text));
	else
		audit(k, "code made", json_pack("{s:s,s:s,s:s,s:s}", "code", made_r->id, "user", w->who->user, "issuer", w->who->issuer, "by", w->by->user));
	return why;
}

/* ---- spending and ending ---- */

int
code_find(struct keeper *k, struct sp_bytes text, struct arena *a, struct code *c_r)
{
	uint8_t hash[DIGEST_LEN];
	char letters[LETTERS + 1] = "";
	if (!read_text(text, letters))
		return SP_EPROTO;
	hash_text(letters, hash);
	mem_wipe(letters, sizeof(letters));
	int rc = find(k, STORE_CODE_OF_HASH, (struct field)S(((struct sp_bytes){ hash, sizeof(hash) })), a, c_r);
	if (rc == SP_OK && (c_r->state != CODE_LIVE || !identity_stands(keeper_settings(k), &c_r->who) || c_r->expires <= clock_wall_us() || identity_revoked(k->store, &c_r->who, c_r->created)))
		rc = SP_EPROTO;
	return rc;
}

bool
code_change(struct keeper *k, const struct code *c, enum code_state to, const char *text)
{
	uint8_t mac[DIGEST_LEN];
	struct field next[O_MAC + 1];
	if (c->state != CODE_LIVE)
		return false;
	memcpy(next, c->column, sizeof(next));
	next[O_STATE].q = to;
	next[O_CHANGED].q = clock_wall_us();
	next[O_TEXT] = (struct field)Z(text);
	row_mac(&k->keys, "code", CODE_MARKED, next, mac);
	const struct field args[] = { next[O_STATE], next[O_CHANGED], next[O_TEXT], S(((struct sp_bytes){ mac, sizeof(mac) })), Z(c->id),
		c->column[O_MAC] };
	if (keeper_write(k, STORE_CODE_CHANGE, args) != 1)
		return false;
	audit(k, to == CODE_SPENT ? "code spent" : "code ended", json_pack("{s:s,s:s,s:s,s:s}", "code", c->id, "user", c->who.user, "issuer",
	    c->who.issuer, "text", text));
	return true;
}

/* ---- guesses ---- */

struct code_wrongs {
	struct { char address[PLACE]; uint64_t since; unsigned n; } place[PLACES]; /* since: ms */
};

/* Its own place; or, to count one there, that which was begun the longest ago. */
static unsigned
place_of(const struct code_wrongs *w, const char *address, bool any)
{
	unsigned oldest = 0;
	for (unsigned i = 0; i < PLACES; i++) {
		if (w->place[i].n > 0 && strncmp(w->place[i].address, address, PLACE - 1) == 0)
			return i;
		if (w->place[i].since < w->place[oldest].since)
			oldest = i;
	}
	return any ? oldest : PLACES;
}

bool
code_barred(struct keeper *k, const char *address)
{
	const struct code_wrongs *w = k->wrongs;
	unsigned i = w == NULL ? PLACES : place_of(w, address, false);
	return i < PLACES && w->place[i].n >= WRONG_MAX && clock_mono_ms() - w->place[i].since < WRONG_MS;
}

void
code_wrong(struct keeper *k, const char *address)
{
	uint64_t now = clock_mono_ms();
	if (k->wrongs == NULL)
		k->wrongs = mem_alloc(sizeof(*k->wrongs));
	unsigned i = place_of(k->wrongs, address, true);
	if (strncmp(k->wrongs->place[i].address, address, PLACE - 1) != 0 || now - k->wrongs->place[i].since >= WRONG_MS) {
		(void)snprintf(k->wrongs->place[i].address, sizeof(k->wrongs->place[i].address), "%s", address);
		k->wrongs->place[i].since = now;
		k->wrongs->place[i].n = 0;
	}
	k->wrongs->place[i].n++;
}

void
code_close(struct keeper *k)
{
	free(k->wrongs);
	k->wrongs = NULL;
}
