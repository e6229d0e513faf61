/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery documents and keys of providers: asked for, read, kept. */
#include <config.h>

#include "provider.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/url.h"
#include "outside.h"
#include "row.h"

#define WITHIN 10000u                       /* ms for one request */
#define DOCUMENT_MAX (256u << 10)
#define FRESH (60u * 60 * 1000)             /* ms; then they are asked for anew */
#define MINUTE (60u * 1000)
#define FIRST_BACK_OFF 5000u
#define LAST_BACK_OFF (5u * 60 * 1000)
#define LIFE (24ull * 3600 * 1000000)       /* µs that keys are good without a word of their provider */
#define WAITING_MAX 1024

struct waiter {
	struct waiter *next;
	provider_ready *ready;
	void *owner;
	provider_handler *handler;
	struct link *link;
	struct buffer message; /* encoded */
};

struct providers {
	struct provider *first;
	struct waiter *waiting;
	size_t nwaiting;
};

static void ask_document(struct provider *p);
static void ask_keys(struct provider *p);

/* ---- who waits ---- */

static struct waiter *
add_waiter(struct keeper *k)
{
	struct waiter *w = mem_alloc(sizeof(*w));
	w->next = k->providers->waiting;
	k->providers->waiting = w;
	k->providers->nwaiting++;
	return w;
}

static void
free_waiter(struct waiter *w)
{
	if (w->message.p != NULL)
		mem_wipe(w->message.p, w->message.cap); /* it holds a token */
	buffer_free(&w->message);
	free(w);
}

void
provider_wait(struct keeper *k, provider_ready *ready, void *owner)
{
	struct waiter *w = add_waiter(k);
	w->ready = ready;
	w->owner = owner;
}

int
provider_park(struct keeper *k, provider_handler *handler, struct link *l, const struct message *m)
{
	struct waiter *w = add_waiter(k);
	w->handler = handler;
	w->link = l;
	return message_encode(m, &w->message);
}

static void
forget(struct keeper *k, const void *owner, const struct link *l)
{
	for (struct waiter **at = k->providers == NULL ? NULL : &k->providers->waiting; at != NULL && *at != NULL;) {
		struct waiter *w = *at;
		if ((owner == NULL || w->owner != owner) && (l == NULL || w->link != l)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		k->providers->nwaiting--;
		free_waiter(w);
	}
}

void
provider_forget(struct keeper *k, const void *owner)
{
	forget(k, owner, NULL);
}

void
provider_link_gone(struct keeper *k, const struct link *l)
{
	forget(k, NULL, l);
}

/* One by one: what is woken may wait anew, or make others go. */
static void
wake(struct keeper *k)
{
	for (size_t n = k->providers->nwaiting; n > 0 && k->providers->waiting != NULL; n--) {
		struct waiter **last = &k->providers->waiting, *w;
		while ((*last)->next != NULL)
			last = &(*last)->next;
		w = *last; /* who came first */
		*last = NULL;
		k->providers->nwaiting--;
		struct message m;
		if (w->ready != NULL)
			w->ready(k, w->owner);
		else if (message_decode(buffer_bytes(&w->message), &m) > 0 && w->handler(k, w->link, &m) != SP_OK)
			log_warn("what waited for the keys of an issuer was odd");
		free_waiter(w);
	}
}

/* ---- what it said ---- */

static char *
copy_url(const struct provider *p, const json_t *document, const char *name)
{
	const char *url = json_string_value(json_object_get(document, name));
	return url != NULL && url_fits(url, p->insecure) ? mem_string(sp_str(url)) : NULL;
}

static void
replace(char **have, char *with)
{
	free(*have);
	*have = with;
}

static bool
list_has(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text != NULL && strcmp(text, word) == 0)
			return true;
	}
	return false;
}

const char *
provider_document(struct provider *p, struct sp_bytes text)
{
	json_t *d = text.len == 0 || text.len > DOCUMENT_MAX ? NULL :
	    json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
	const char *issuer = json_string_value(json_object_get(d, "issuer")), *why = NULL;
	char *keys = copy_url(p, d, "jwks_uri");
	if (!json_is_object(d))
		why = "its discovery document is no JSON object, or has a name twice";
	else if (issuer == NULL || strcmp(issuer, p->issuer) != 0)
		why = "its discovery document is of another issuer";
	else if (keys == NULL && p->jwks[0] == '\0')
		why = "its discovery document has no jwks_uri, or one that is not https";
	if (why != NULL) {
		free(keys);
		json_decref(d);
		return why;
	}
	const json_t *methods = json_object_get(d, "token_endpoint_auth_methods_supported");
	replace(&p->jwks_uri, keys);
	replace(&p->authorization, copy_url(p, d, "authorization_endpoint"));
	replace(&p->token, copy_url(p, d, "token_endpoint"));
	replace(&p->end_session, copy_url(p, d, "end_session_endpoint"));
	p->says_iss = json_is_true(json_object_get(d, "authorization_response_iss_parameter_supported"));
	p->secret_in_body = methods != NULL && !list_has(methods, "client_secret_basic");
	json_decref(d);
	return NULL;
}

static const char *
take_keys(struct provider *p, struct sp_bytes text)
{
	struct jwks *keys = NULL;
	const char *why = NULL;
	if (jwks_parse(text, &keys, &why) != SP_OK)
		return why;
	jwks_free(&p->keys);
	p->keys = keys;
	return NULL;
}

/* ---- kept over a restart ---- */

enum { KEPT_DOCUMENT, KEPT_KEYS };
#define COLUMNS "ttqtq" /* issuer, where its keys are, what, text, when */

static void
keep(struct provider *p, unsigned what, struct sp_bytes text)
{
	uint8_t mac[DIGEST_LEN];
	struct field row[] = { Z(p->issuer), Z(p->jwks), Q(what), S(text), Q(p->good), S(((struct sp_bytes){ mac, sizeof(mac) })) };
	row_mac(&p->k->keys, "provider", COLUMNS, row, mac);
	(void)keeper_write(p->k, STORE_PROVIDER_KEEP, row);
}

static int
take_kept(void *owner, const struct field *row)
{
	struct provider *p = owner;
	uint64_t now = clock_wall_us();
	if (!row_good(&p->k->keys, "provider", COLUMNS, row, row[5].s) || row[4].q > now || now - row[4].q > LIFE)
		return SP_OK;
	const char *why = row[2].q == KEPT_DOCUMENT ? provider_document(p, row[3].s) : take_keys(p, row[3].s);
	if (why != NULL)
		log_warn("what the store has of %s is not good any more: %s", log_quote(sp_str(p->issuer)), why);
	else if (row[2].q == KEPT_KEYS)
		p->good = row[4].q;
	return SP_OK;
}

/* ---- asking ---- */

static void
asked(struct provider *p, const char *why, struct sp_bytes more)
{
	uint64_t now = clock_mono_ms(), wait = FRESH;
	if (why != NULL) {
		wait = FIRST_BACK_OFF;
		for (unsigned i = 0; i < p->failures && wait < LAST_BACK_OFF; i++)
			wait *= 2;
		wait = wait < LAST_BACK_OFF ? wait : LAST_BACK_OFF;
		p->failures++;
		log_warn("the keys of %s could not be learned: %s%s%s; asked again in %llu s%s", log_quote(sp_str(p->issuer)), why,
		    more.len > 0 ? ": " : "", more.len > 0 ? log_quote(more) : "", (unsigned long long)(wait / 1000),
		    provider_keys(p) == NULL ? "; until then its tokens are refused" : "");
	} else {
		p->failures = 0;
	}
	p->next_at = now + wait;
	wake(p->k);
}

static void
on_keys(struct keeper *k, void *owner, const struct outside_told *t)
{
	struct provider *p = owner;
	(void)k;
	p->question = 0;
	if (t->status != 200) {
		asked(p, t->status == 0 ? "its keys" : "its keys: the answer has another status than 200", t->why);
		return;
	}
	const char *why = take_keys(p, t->body);
	if (why != NULL) {
		asked(p, why, (struct sp_bytes){ 0 });
		return;
	}
	p->good = clock_wall_us();
	keep(p, KEPT_KEYS, t->body);
	log_info("%zu keys of %s are known", p->keys->n, log_quote(sp_str(p->issuer)));
	asked(p, NULL, (struct sp_bytes){ 0 });
}

static void
on_document(struct keeper *k, void *owner, const struct outside_told *t)
{
	struct provider *p = owner;
	(void)k;
	p->question = 0;
	if (t->status != 200) {
		asked(p, t->status == 0 ? "its discovery document" : "its discovery document: the answer has another status than 200", t->why);
		return;
	}
	const char *why = provider_document(p, t->body);
	if (why != NULL) {
		asked(p, why, (struct sp_bytes){ 0 });
		return;
	}
	p->good = p->good == 0 ? clock_wall_us() : p->good;
	keep(p, KEPT_DOCUMENT, t->body);
	ask_keys(p);
}

static void
ask(struct provider *p, const char *url, size_t most, outside_answer *answer)
{
	const struct outside_request q = { .method = "GET", .url = url, .headers = "Accept: application/json", .ca = p->ca, .within = WITHIN,
		.most = most };
	p->question = outside_ask(p->k, &q, answer, p);
}

static void
ask_document(struct provider *p)
{
	char url[URL_MAX + 64];
	size_t n = strlen(p->issuer);
	while (n > 0 && p->issuer[n - 1] == '/')
		n--;
	(void)snprintf(url, sizeof(url), "%.*s/.well-known/openid-configuration", (int)n, p->issuer);
	ask(p, url, DOCUMENT_MAX, on_document);
}

/* Where they are: as configured, in a file (then the epoch has them), or as the document says. */
static void
ask_keys(struct provider *p)
{
	if (strncmp(p->jwks, "file:", 5) == 0)
		asked(p, NULL, (struct sp_bytes){ 0 });
	else
		ask(p, p->jwks[0] != '\0' ? p->jwks : p->jwks_uri, JWKS_MAX, on_keys);
}

static void
begin(struct provider *p)
{
	if (p->question != 0)
		return;
	/* A document is needed for keys that only it names, and for sign-ins; its absence is no harm else. */
	if (p->jwks[0] == '\0' || p->wanted_document)
		ask_document(p);
	else
		ask_keys(p);
}

bool
provider_unknown(struct provider *p)
{
	uint64_t now = clock_mono_ms();
	bool room = p->k->providers->nwaiting < WAITING_MAX;
	if (p->question != 0)
		return room;
	if (now < p->minute || strncmp(p->jwks, "file:", 5) == 0)
		return false;
	p->minute = now + MINUTE;
	begin(p);
	return p->question != 0 && room;
}

const struct jwks *
provider_keys(const struct provider *p)
{
	return p->keys != NULL && clock_wall_us() - p->good <= LIFE ? p->keys : NULL;
}

void
provider_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	for (struct provider *p = k->providers->first; p != NULL; p = p->next)
		if (p->wanted && p->question == 0 && now >= p->next_at)
			begin(p);
}

/* ---- which there are ---- */

static bool
fits(const struct provider *p, const struct identity *i)
{
	return strcmp(p->issuer, i->oidc.issuer) == 0 && strcmp(p->jwks, i->oidc.jwks) == 0 && strcmp(p->ca, i->oidc.ca) == 0 &&
	    p->insecure == i->oidc.insecure_loopback;
}

struct provider *
provider_of(struct keeper *k, const struct identity *i)
{
	struct provider *p = k->providers->first;
	while (p != NULL && !fits(p, i))
		p = p->next;
	if (p != NULL)
		return p;
	p = mem_alloc(sizeof(*p));
	*p = (struct provider){ .next = k->providers->first, .k = k, .issuer = mem_string(sp_str(i->oidc.issuer)),
		.jwks = mem_string(sp_str(i->oidc.jwks)), .ca = mem_string(sp_str(i->oidc.ca)), .insecure = i->oidc.insecure_loopback };
	k->providers->first = p;
	const struct field args[] = { Z(p->issuer), Z(p->jwks) };
	if (store_read(k->store, STORE_PROVIDER_GET, args, take_kept, p) != SP_OK)
		log_warn("the keys of %s that the store has could not be read", log_quote(sp_str(p->issuer)));
	return p;
}

static void
free_provider(struct provider *p)
{
	if (p->question != 0)
		outside_cancel(p->k, &p->question);
	jwks_free(&p->keys);
	char **texts[] = { &p->issuer, &p->jwks, &p->ca, &p->jwks_uri, &p->authorization, &p->token, &p->end_session };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(*texts[i]);
	free(p);
}

static bool
asks(const struct identity *i)
{
	return i->saml.metadata[0] == '\0' && (strncmp(i->oidc.jwks, "file:", 5) != 0 || i->oidc.client[0] != '\0');
}

void
provider_epoch(struct keeper *k)
{
	for (struct provider *p = k->providers->first; p != NULL; p = p->next)
		p->wanted = p->wanted_document = false;
	for (const struct identity *i = keeper_settings(k)->identities; i != NULL; i = (const struct identity *)i->b.next) {
		if (!asks(i))
			continue;
		struct provider *p = provider_of(k, i);
		p->wanted = true;
		p->wanted_document = p->wanted_document || i->oidc.client[0] != '\0';
	}
	for (struct provider **at = &k->providers->first; *at != NULL;) {
		struct provider *p = *at;
		if (p->wanted) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free_provider(p);
	}
}

void
provider_open(struct keeper *k)
{
	k->providers = mem_alloc(sizeof(*k->providers));
}

void
provider_close(struct keeper *k)
{
	if (k->providers == NULL)
		return;
	while (k->providers->first != NULL) {
		struct provider *p = k->providers->first;
		k->providers->first = p->next;
		free_provider(p);
	}
	while (k->providers->waiting != NULL) {
		struct waiter *w = k->providers->waiting;
		k->providers->waiting = w->next;
		free_waiter(w);
	}
	free(k->providers);
	k->providers = NULL;
}
