/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks of the epoch, the rows that wait, and their attempts. */
#include <config.h>

#include "webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/url.h"
#include "gateways.h"
#include "outside.h"
#include "proof.h"

#define WAITING_MAX 1000   /* rows of one hook: beyond, its receiver has been away for too long */
#define AT_ONCE 8          /* attempts under way */
#define WITHIN_MS 10000
#define SHORT_HASH 12
#define DUE_BYTES (256u << 10)
#define US 1000000ull

/* Seconds until the next attempt; after the last there is none. */
static const unsigned again_after[] = { 2, 5, 15, 60, 180, 600, 1200, 1800 };
#define ATTEMPTS (sizeof(again_after) / sizeof(*again_after))

struct hook {
	struct hook *next;
	const struct webhook *conf;
	struct sp_secret *url, *secret, *signing; /* NULL for none */
};

struct webhooks {
	struct hook *first;
};

static char error_text[512];

/* ---- of an epoch ---- */

static int
read_url(const struct settings *s, struct hook *h, const char **why_r)
{
	const char *url = h->conf->url;
	if (strncmp(url, "https://", 8) != 0)
		return credential_read(s, url, &h->url, why_r);
	h->url = secret_new(sp_str(url));
	*why_r = "does not fit into locked memory (RLIMIT_MEMLOCK)";
	return h->url == NULL ? SP_ENOMEM : SP_OK;
}

static int
hook_open(const struct settings *s, struct hook *h, const char **err_r)
{
	const char *why = "", *what = "url";
	int rc = read_url(s, h, &why);
	struct sp_bytes url = rc == SP_OK ? secret_bytes(h->url) : SP_LIT("");
	char *text = mem_string(url);
	bool fits = url_fits(text, false);
	mem_wipe(text, strlen(text));
	free(text);
	if (rc == SP_OK && !fits) {
		why = "is no https URL with a host";
		rc = SP_ECONF;
	}
	if (rc == SP_OK && h->conf->secret[0] != '\0') {
		what = "secret";
		rc = credential_read(s, h->conf->secret, &h->secret, &why);
	}
	if (rc == SP_OK && h->conf->signing[0] != '\0') {
		what = "signing secret";
		rc = credential_read(s, h->conf->signing, &h->signing, &why);
	}
	if (rc == SP_OK)
		return SP_OK;
	(void)snprintf(error_text, sizeof(error_text), "webhook %s: its %s %s", h->conf->b.name, what, why);
	*err_r = error_text;
	return rc;
}

int
webhooks_new(const struct settings *s, struct webhooks **w_r, const char **err_r)
{
	struct webhooks *w = mem_alloc(sizeof(*w));
	int rc = SP_OK;
	for (const struct webhook *c = s->webhooks; c != NULL && rc == SP_OK; c = (const struct webhook *)c->b.next) {
		struct hook *h = mem_alloc(sizeof(*h));
		*h = (struct hook){ .next = w->first, .conf = c };
		w->first = h;
		rc = hook_open(s, h, err_r);
	}
	if (rc != SP_OK)
		webhooks_free(&w);
	*w_r = w;
	return rc;
}

void
webhooks_free(struct webhooks **w)
{
	if (*w == NULL)
		return;
	while ((*w)->first != NULL) {
		struct hook *h = (*w)->first;
		(*w)->first = h->next;
		secret_free(&h->url);
		secret_free(&h->secret);
		secret_free(&h->signing);
		free(h);
	}
	free(*w);
	*w = NULL;
}

static const struct hook *
find(const struct keeper *k, struct sp_bytes name)
{
	const struct hook *h = k->webhooks == NULL ? NULL : k->webhooks->first;
	while (h != NULL && !sp_bytes_is(name, h->conf->b.name))
		h = h->next;
	return h;
}

/* ---- something happened ---- */

static bool
wants(const struct webhook *c, const char *event, const char *target)
{
	return (c->events.n == 0 || strings_have(&c->events, event)) && (c->targets.n == 0 || strings_have(&c->targets, target));
}

static int
take_count(void *owner, const struct field *row)
{
	*(uint64_t *)owner = row[0].q;
	return SP_OK;
}

static void
enqueue(struct keeper *k, const struct hook *h, const struct webhook_facts *f)
{
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	uint64_t waiting = 0, now = clock_wall_us();
	const struct field who[] = { Z(h->conf->b.name), Z(gateways_self()) };
	if (store_read(k->store, STORE_HOOK_COUNT, who, take_count, &waiting) != SP_OK || waiting >= WAITING_MAX) {
		log_error("webhook %s: %s %s is not told: %u others wait already", h->conf->b.name, f->kind, f->id, WAITING_MAX);
		return;
	}
	char *body = webhook_body(h->conf->format, f);
	id_new(id);
	const struct field args[] = { Z(id_format(id, name)), Z(h->conf->b.name), Z(gateways_self()), Z(body == NULL ? "" : body), Q(now), Q(now) };
	if (body == NULL)
		log_error("webhook %s: no memory for what it should say", h->conf->b.name);
	else
		(void)keeper_write(k, STORE_HOOK_ADD, args);
	free(body);
}

const char *
webhook_link(struct keeper *k, struct arena *a, const char *request)
{
	const char *url = keeper_settings(k)->console.url, *link = url[0] == '\0' ? "" : arena_printf(a, "%s/requests/%s", url, request);
	return link == NULL ? "" : link;
}

/* By a click one gives no reason: where one is wanted there is nothing to click on. */
static unsigned
buttons(const struct hook *h, const char *event, const struct approval *a)
{
	bool some = h->signing != NULL && strcmp(event, "asked") == 0 && !a->need_reason;
	return !some ? 0 : h->conf->decide == SLACK_DECIDE_BOTH ? BUTTON_DENY | BUTTON_APPROVE : BUTTON_DENY;
}

static struct webhook_facts
facts_of(struct keeper *k, struct arena *arena, const char *event, const struct approval *a)
{
	char hash[2 * DIGEST_LEN + 1];
	text_hex((struct sp_bytes){ a->hash, DIGEST_LEN }, hash);
	hash[SHORT_HASH] = '\0';
	const char *copy = arena_string(arena, sp_str(hash));
	return (struct webhook_facts){ .event = event, .kind = approval_kind_name(a->kind), .id = a->id, .user = a->who.user, .name = a->who.name,
		.target = a->target, .rule = a->rule == NULL ? "" : a->rule, .by = a->by == NULL ? "" : a->by,
		.shape = webhook_shape(arena, a->view == NULL ? "" : a->view), .hash = copy == NULL ? "" : copy, .link = webhook_link(k, arena, a->id),
		.state = event, .count = a->count, .until = a->expires };
}

void
webhook_event(struct keeper *k, const char *event, const struct approval *a)
{
	struct arena *arena = k->webhooks == NULL || k->webhooks->first == NULL ? NULL : arena_new(64u << 10);
	if (arena == NULL)
		return;
	struct webhook_facts f = facts_of(k, arena, event, a);
	for (const struct hook *h = k->webhooks->first; h != NULL; h = h->next) {
		f.buttons = buttons(h, event, a);
		if (wants(h->conf, event, a->target))
			enqueue(k, h, &f);
	}
	arena_free(&arena);
}

char *
webhook_replacement(struct keeper *k, const struct approval *a, const char *event)
{
	struct arena *arena = arena_new(64u << 10);
	if (arena == NULL)
		return NULL;
	struct webhook_facts f = facts_of(k, arena, event, a);
	f.replaces = true;
	char *body = webhook_body(WEBHOOK_SLACK, &f);
	arena_free(&arena);
	return body;
}

bool
webhook_interactive(const struct keeper *k, const char *name, const struct webhook **conf_r, struct sp_bytes *key_r)
{
	const struct hook *h = find(k, sp_str(name));
	bool takes = h != NULL && h->signing != NULL;
	*conf_r = takes ? h->conf : NULL;
	*key_r = takes ? secret_bytes(h->signing) : (struct sp_bytes){ NULL, 0 };
	return takes;
}

/* ---- sending ---- */

struct delivery { /* a row that is due */
	const char *id, *hook, *body;
	uint64_t attempts;
};

struct attempt {
	char id[ID_TEXT];
	char hook[64];
	uint64_t attempts;
};

static void
again(struct keeper *k, const struct attempt *t, const char *why)
{
	if (t->attempts >= ATTEMPTS) {
		const struct field done[] = { Z(t->id) };
		log_error("webhook %s: delivery %s is given up: %s", t->hook, t->id, why);
		audit(k, "webhook lost", json_pack("{s:s,s:s,s:s}", "webhook", t->hook, "delivery", t->id, "why", why));
		(void)keeper_write(k, STORE_HOOK_DONE, done);
		return;
	}
	log_warn("webhook %s: delivery %s: %s: once more in %u s", t->hook, t->id, why, again_after[t->attempts]);
	const struct field args[] = { Q(t->attempts + 1), Q(clock_wall_us() + again_after[t->attempts] * US), Z(t->id) };
	(void)keeper_write(k, STORE_HOOK_AGAIN, args);
}

/* What will not be different next time is not tried again. */
static bool
final(unsigned status)
{
	return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void
on_answer(struct keeper *k, void *owner, const struct outside_told *told)
{
	struct attempt *t = owner;
	char why[160];
	const struct field done[] = { Z(t->id) };
	k->hooks_sending--;
	if (told->status >= 200 && told->status < 300) {
		(void)keeper_write(k, STORE_HOOK_DONE, done);
	} else {
		if (told->status == 0)
			(void)snprintf(why, sizeof(why), "%s", log_quote(told->why));
		else
			(void)snprintf(why, sizeof(why), "it answered %u", told->status);
		t->attempts = final(told->status) ? ATTEMPTS : t->attempts;
		again(k, t, why);
	}
	free(t);
}

static int
put_signature(struct buffer *headers, const struct hook *h, struct sp_bytes body)
{
	uint8_t nonce[ID_LEN], mac[DIGEST_LEN];
	char nonce_text[2 * ID_LEN + 1], hex[2 * DIGEST_LEN + 1];
	struct buffer signed_text = { 0 };
	unsigned long long now = clock_wall_us() / US;
	random_bytes(nonce, sizeof(nonce));
	text_hex((struct sp_bytes){ nonce, sizeof(nonce) }, nonce_text);
	int rc = buffer_printf(&signed_text, "v1:%llu:%s:", now, nonce_text);
	if (rc == SP_OK)
		rc = buffer_put(&signed_text, body);
	if (rc == SP_OK) {
		digest_hmac(secret_bytes(h->secret), buffer_bytes(&signed_text), mac);
		text_hex((struct sp_bytes){ mac, sizeof(mac) }, hex);
		rc = buffer_printf(headers, "Sallyport-Timestamp: %llu\nSallyport-Nonce: %s\nSallyport-Signature: v1=%s\n", now, nonce_text, hex);
	}
	buffer_free(&signed_text);
	return rc;
}

static void
send_one(struct keeper *k, const struct hook *h, const struct delivery *d)
{
	struct buffer headers = { 0 };
	int rc = buffer_printf(&headers, "Content-Type: application/json\nSallyport-Delivery: %s\n", d->id);
	if (rc == SP_OK && h->secret != NULL)
		rc = put_signature(&headers, h, sp_str(d->body));
	char *text = rc == SP_OK ? mem_string(buffer_bytes(&headers)) : NULL, *url = mem_string(secret_bytes(h->url));
	buffer_free(&headers);
	struct attempt *t = mem_alloc(sizeof(*t));
	*t = (struct attempt){ .attempts = d->attempts };
	(void)snprintf(t->id, sizeof(t->id), "%s", d->id);
	(void)snprintf(t->hook, sizeof(t->hook), "%s", h->conf->b.name);
	const struct outside_request q = { .method = "POST", .url = url, .headers = text, .body = sp_str(d->body), .ca = h->conf->ca,
		.within = WITHIN_MS, .most = 64u << 10 };
	/* Not due again before this attempt has its answer; a keeper that dies meanwhile tries it once more. */
	const struct field args[] = { Q(d->attempts), Q(clock_wall_us() + 2 * WITHIN_MS * 1000), Z(d->id) };
	k->hooks_sending++;
	(void)keeper_write(k, STORE_HOOK_AGAIN, args);
	(void)outside_ask(k, &q, on_answer, t);
	mem_wipe(url, strlen(url));
	free(url);
	free(text);
}

struct due {
	struct arena *arena;
	struct delivery row[AT_ONCE];
	size_t n;
};

/* Collected first: what is done with each writes. */
static int
take_due(void *owner, const struct field *row)
{
	struct due *d = owner;
	if (d->n == AT_ONCE)
		return SP_OK;
	struct delivery *one = &d->row[d->n];
	*one = (struct delivery){ arena_string(d->arena, row[0].s), arena_string(d->arena, row[1].s), arena_string(d->arena, row[2].s), row[3].q };
	d->n += one->id != NULL && one->hook != NULL && one->body != NULL;
	return SP_OK;
}

void
webhook_tick(struct keeper *k)
{
	struct due d = { .arena = k->hooks_sending < AT_ONCE ? arena_new(DUE_BYTES) : NULL };
	if (d.arena == NULL)
		return;
	const struct field args[] = { Z(gateways_self()), Q(clock_wall_us()), Q(AT_ONCE - k->hooks_sending) };
	if (store_read(k->store, STORE_HOOKS_DUE, args, take_due, &d) != SP_OK)
		log_error("what webhooks have to tell can't be read");
	for (size_t i = 0; i < d.n; i++) {
		const struct hook *h = find(k, sp_str(d.row[i].hook));
		const struct field gone[] = { Z(d.row[i].id) };
		if (h != NULL)
			send_one(k, h, &d.row[i]);
		else
			(void)keeper_write(k, STORE_HOOK_DONE, gone); /* the configuration has it no more */
	}
	arena_free(&d.arena);
}
