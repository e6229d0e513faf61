/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: signing in where there is no browser (RFC 8628's shape, the gateway's own codes).
 *
 *   WAITING ── a person with a sign-in confirms ──▶ CONFIRMED ── polled ──▶ gone, the machine has its sign-in
 *      │ └──── or says no ──▶ DENIED
 *      └────── ten minutes ──▶ gone
 *
 * In memory only: a keeper that starts anew has forgotten them, and the machine begins again.
 *
 * An SSH client has no API: its session asks for a code (SP_PROOF_DEVICE), shows it, and asks a second time, which
 * waits here until there is an answer.  It gets no sign-in, only this session, for whom the confirming one stands for.
 */
#include <config.h>

#include "device.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "api.h"
#include "signin.h"

#define LIFE (600u * 1000)   /* ms */
#define INTERVAL 2u          /* seconds between polls */
#define DEVICES 1024
#define PER_ADDRESS 16
#define NAME_LONGEST 80
#define SECRET 32
#define CODE_TEXT 10         /* ABCD-EFGH and a NUL */

enum device_state { DEVICE_WAITING, DEVICE_CONFIRMED, DEVICE_DENIED };
static const char *const state_names[] = { "waiting", "confirmed", "denied" };

struct device {
	struct device *next;
	uint8_t hash[DIGEST_LEN];   /* of the device's own code */
	char code[CODE_TEXT];       /* the person's */
	char name[NAME_LONGEST + 1], address[64];
	enum device_state state;
	uint64_t created;           /* wall µs */
	uint64_t until, polled;     /* mono ms */
	char parent[ID_TEXT];       /* the sign-in that confirmed it */
	bool of_session;            /* an SSH client's; no secret then */
	uint8_t session[ID_LEN];
	struct link *link;          /* its worker's */
	struct buffer waiting;      /* its second question; empty: not asked yet */
};

struct devices {
	struct device *first;
	size_t n;
};

void
api_device_open(struct keeper *k)
{
	k->devices = mem_alloc(sizeof(*k->devices));
}

static void
drop(struct keeper *k, struct device **at)
{
	struct device *d = *at;
	*at = d->next;
	k->devices->n--;
	buffer_free(&d->waiting);
	mem_wipe(d, sizeof(*d));
	free(d);
}

void
api_device_close(struct keeper *k)
{
	while (k->devices != NULL && k->devices->first != NULL)
		drop(k, &k->devices->first);
	free(k->devices);
	k->devices = NULL;
}

/* Who waits in SSH is looked at when there is an answer, and then gone. */
static bool
is_over(const struct device *d, uint64_t now)
{
	return d->until <= now || (d->state != DEVICE_WAITING && d->waiting.len > 0);
}

void
api_device_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	for (struct device **at = &k->devices->first; *at != NULL;) {
		struct device *d = *at;
		struct message m;
		if (!is_over(d, now)) {
			at = &d->next;
			continue;
		}
		/* admission looks at it, and drops nothing */
		if (d->waiting.len > 0 && message_decode(buffer_bytes(&d->waiting), &m) > 0 && admission_authenticate(k, d->link, &m) != SP_OK)
			log_warn("what waited for a person's sign-in was odd");
		drop(k, at);
	}
}

/* ---- codes ---- */

/* Eight consonants: 34 bits, no words; more than anybody can try while one is good. */
static void
new_code(char out[CODE_TEXT])
{
	static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";
	size_t n = 0;
	while (n < CODE_TEXT - 1) {
		uint8_t b;
		if (n == 4)
			out[n++] = '-';
		random_bytes(&b, 1);
		if (b < 240)
			out[n++] = letters[b % 20];
	}
	out[n] = '\0';
}

/* As people type: small letters, and without the dash. */
static struct device **
find_code(struct keeper *k, const char *typed)
{
	char code[CODE_TEXT] = "";
	size_t n = 0;
	for (; *typed != '\0'; typed++) {
		char c = *typed >= 'a' && *typed <= 'z' ? (char)(*typed - 'a' + 'A') : *typed;
		if (c == '-' || c == ' ')
			continue;
		if (n == CODE_TEXT - 1)
			return NULL;
		if (n == 4)
			code[n++] = '-';
		code[n++] = c;
	}
	code[n < CODE_TEXT ? n : CODE_TEXT - 1] = '\0';
	struct device **found = NULL;
	for (struct device **at = &k->devices->first; *at != NULL; at = &(*at)->next)
		if (mem_equal(sp_str((*at)->code), sp_str(code)))
			found = at;
	return found;
}

static void
clean_copy(char *out, size_t size, const char *text)
{
	size_t n = 0;
	for (; text[n] != '\0' && n < size - 1; n++)
		out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
	/* Not in the midst of a character. */
	while (text[n] != '\0' && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	out[n] = '\0';
}

/* ---- the machine ---- */

static size_t
count_address(const struct keeper *k, const char *address)
{
	size_t n = 0;
	for (const struct device *d = k->devices->first; d != NULL; d = d->next)
		n += strcmp(d->address, address) == 0;
	return n;
}

/* With a code, waiting.  NULL: *why_r. */
static struct device *
add(struct keeper *k, const char *name, const char *address, const char **why_r)
{
	struct device *d = mem_alloc(sizeof(*d));
	clean_copy(d->name, sizeof(d->name), name);
	clean_copy(d->address, sizeof(d->address), address);
	*why_r = keeper_settings(k)->console.url[0] == '\0' ? "nobody can sign in here: the configuration's \"console\" has no url" : NULL;
	if (*why_r == NULL && (k->devices->n >= DEVICES || count_address(k, d->address) >= PER_ADDRESS))
		*why_r = "too many machines wait for a person: try again in some minutes";
	if (*why_r != NULL) {
		free(d);
		return NULL;
	}
	do
		new_code(d->code);
	while (find_code(k, d->code) != NULL);
	d->created = clock_wall_us();
	d->until = clock_mono_ms() + LIFE;
	d->next = k->devices->first;
	k->devices->first = d;
	k->devices->n++;
	return d;
}

int
api_device_begin(struct api *a)
{
	uint8_t random[SECRET];
	struct buffer secret = { 0 };
	const char *url = keeper_settings(a->k)->console.url, *why;
	random_bytes(random, sizeof(random));
	int rc = text_base64url((struct sp_bytes){ random, sizeof(random) }, &secret);
	mem_wipe(random, sizeof(random));
	if (rc != SP_OK)
		return rc;
	struct device *d = add(a->k, api_text(a, "name"), api_text(a, "address"), &why);
	if (d == NULL) {
		mem_wipe(secret.p, secret.cap);
		buffer_free(&secret);
		return api_refuse(a, url[0] == '\0' ? 400 : 429, "%s", why);
	}
	digest_sha256(buffer_bytes(&secret), d->hash);
	api_set(a, "device_code", json_stringn((const char *)buffer_bytes(&secret).p, secret.len));
	api_set(a, "user_code", json_string(d->code));
	api_set(a, "verification_uri", json_sprintf("%s/device", url));
	api_set(a, "verification_uri_complete", json_sprintf("%s/device?code=%s", url, d->code));
	api_set(a, "expires_in", json_integer(LIFE / 1000));
	api_set(a, "interval", json_integer(INTERVAL));
	if (secret.p != NULL)
		mem_wipe(secret.p, secret.cap);
	buffer_free(&secret);
	return SP_OK;
}

static int
not_yet(struct api *a, const char *code, const char *text)
{
	int rc = api_refuse(a, 400, "%s", text);
	api_set(a, "code", json_string(code));
	return rc;
}

/* Its own sign-in: as long as the person's, and no longer than that one lives. */
static int
hand_over(struct api *a, const struct device *d)
{
	struct signin parent;
	struct principal p;
	struct buffer secret = { 0 };
	if (signin_find(a->k, d->parent, a->arena, &parent) != SP_OK || principal_parse(a->arena, sp_str(parent.principal), &p) != SP_OK)
		return not_yet(a, "access_denied", "the sign-in that confirmed this one has ended: begin again");
	const struct signin_wanted w = { .principal = &p, .parent = parent.id, .sid = parent.sid, .expires = parent.expires };
	int rc = signin_new(a->k, &w, &secret);
	if (rc == SP_OK) {
		json_decref(a->answer);
		a->answer = api_signin_answer(&p, buffer_bytes(&secret), parent.expires, "");
	}
	if (secret.p != NULL)
		mem_wipe(secret.p, secret.cap);
	buffer_free(&secret);
	return rc;
}

int
api_device_poll(struct api *a)
{
	uint8_t hash[DIGEST_LEN];
	struct device **at = &a->k->devices->first;
	uint64_t now = clock_mono_ms();
	digest_sha256(sp_str(api_text(a, "device_code")), hash);
	while (*at != NULL && ((*at)->of_session || !mem_equal((struct sp_bytes){ (*at)->hash, DIGEST_LEN }, (struct sp_bytes){ hash, DIGEST_LEN })))
		at = &(*at)->next;
	struct device *d = *at;
	if (d == NULL || d->until <= now)
		return not_yet(a, "expired_token", "nobody confirmed it in time, or it was used: begin again");
	if (d->state == DEVICE_WAITING) {
		bool hasty = d->polled != 0 && now - d->polled < INTERVAL * 500;
		d->polled = now;
		return hasty ? not_yet(a, "slow_down", "not so often, please") : not_yet(a, "authorization_pending", "nobody has confirmed it yet");
	}
	int rc = d->state == DEVICE_DENIED ? not_yet(a, "access_denied", "the person said no") : hand_over(a, d);
	drop(a->k, at);
	return rc;
}

/* ---- the person ---- */

int
api_device_look(struct api *a)
{
	struct device **at = find_code(a->k, api_text(a, "code"));
	if (at == NULL)
		return api_refuse(a, 404, "no machine waits with that code: look at it again, or begin anew there");
	const struct device *d = *at;
	json_decref(a->answer);
	a->answer = json_pack("{s:s,s:s,s:s,s:s}", "code", d->code, "name", d->name, "address", d->address, "state", state_names[d->state]);
	api_set_time(a->answer, "created", d->created);
	api_set_time(a->answer, "expires", d->created + LIFE * 1000ull);
	return a->answer == NULL ? SP_ENOMEM : SP_OK;
}

int
api_device_confirm(struct api *a)
{
	struct device **at = find_code(a->k, api_text(a, "code"));
	const struct principal *p = &a->who.principal;
	if (at == NULL)
		return api_refuse(a, 404, "no machine waits with that code: look at it again, or begin anew there");
	struct device *d = *at;
	if (d->state != DEVICE_WAITING)
		return api_refuse(a, 409, "this code was answered already");
	/* What it gets is a part of this sign-in: a token has an end of its own, and the control socket is nobody's to hand on. */
	if (!a->who.signin || strcmp(p->class, "human") != 0 || strcmp(p->identity, "unix") == 0)
		return api_refuse(a, 403, "only a person who signed in with a browser may confirm a machine");
	if (a->who.device)
		return api_refuse(a, 403, "this machine was confirmed itself: open %s/device in a browser and sign in there", keeper_settings(a->k)->console.url);
	d->state = api_flag(a, "allow") ? DEVICE_CONFIRMED : DEVICE_DENIED;
	(void)snprintf(d->parent, sizeof(d->parent), "%s", p->token);
	audit(a->k, "device", json_pack("{s:s,s:s,s:s,s:s,s:s}", "user", p->user, "issuer", p->issuer, "name", d->name, "address", d->address,
	    "state", state_names[d->state]));
	api_set(a, "state", json_string(state_names[d->state]));
	return SP_OK;
}

/* ---- a session of SSH ---- */

static struct device *
device_of(const struct keeper *k, struct sp_bytes session)
{
	for (struct device *d = k->devices->first; d != NULL; d = d->next)
		if (d->of_session && sp_bytes_eq((struct sp_bytes){ d->session, ID_LEN }, session))
			return d;
	return NULL;
}

bool
device_begun(const struct keeper *k, struct sp_bytes session)
{
	return device_of(k, session) != NULL;
}

int
device_begin(struct keeper *k, struct link *l, struct message *m)
{
	char name[2 * NAME_LONGEST], text[200];
	const char *why = "";
	struct arena *a = arena_new(4096);
	if (m->f[0].s.len != ID_LEN || live_find(k, m->f[0].s) != NULL || a == NULL) {
		arena_free(&a);
		return SP_EPROTO;
	}
	(void)snprintf(name, sizeof(name), "ssh to %.*s%s%.*s", (int)(m->f[4].s.len < 64 ? m->f[4].s.len : 64), (const char *)m->f[4].s.p,
	    m->f[5].s.len > 0 ? " as " : "", (int)(m->f[5].s.len < 64 ? m->f[5].s.len : 64), (const char *)m->f[5].s.p);
	struct device *d = add(k, name, live_host(a, m->f[6].s), &why);
	arena_free(&a);
	struct message answer = { .type = MSG_ADMITTED, .id = m->id, .f = { m->f[0], Q(d == NULL ? SP_REFUSE : SP_CHALLENGE), Z(why) } };
	if (d != NULL) {
		d->of_session = true;
		d->link = l;
		memcpy(d->session, m->f[0].s.p, ID_LEN);
		(void)snprintf(text, sizeof(text), "%s/device?code=%s", keeper_settings(k)->console.url, d->code);
		answer.f[3].s = sp_str(text);
	}
	reply(k, l, &answer);
	return SP_OK;
}

int
device_prove(struct keeper *k, struct link *l, const struct message *m, struct arena *a, struct verified *v_r, const char **why_r)
{
	struct device *d = device_of(k, m->f[0].s);
	*why_r = "no sign-in was begun for it";
	if (d == NULL || d->link != l)
		return SP_EDENIED;
	*why_r = "the person said no";
	if (d->state == DEVICE_DENIED)
		return SP_EDENIED;
	*why_r = "nobody confirmed it in time";
	if (d->until <= clock_mono_ms())
		return SP_EDENIED;
	if (d->state == DEVICE_CONFIRMED)
		return signin_stands(k, d->parent, a, v_r, why_r);
	return d->waiting.len == 0 && message_encode(m, &d->waiting) == SP_OK ? SP_ETIME : SP_EDENIED;
}

static void
forget(struct keeper *k, const struct link *l, struct sp_bytes session)
{
	for (struct device **at = &k->devices->first; *at != NULL;) {
		const struct device *d = *at;
		if (d->of_session && (l != NULL ? d->link == l : sp_bytes_eq((struct sp_bytes){ d->session, ID_LEN }, session)))
			drop(k, at);
		else
			at = &(*at)->next;
	}
}

void
device_forget(struct keeper *k, struct sp_bytes session)
{
	forget(k, NULL, session);
}

void
device_link_gone(struct keeper *k, const struct link *l)
{
	forget(k, l, (struct sp_bytes){ NULL, 0 });
}
