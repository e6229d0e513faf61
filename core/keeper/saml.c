/* SPDX-License-Identifier: Apache-2.0 */
/* Sign-ins by SAML: jobs for the helper, and what comes of its answers. */
#include <config.h>

#include "saml.h"

#include <gnutls/abstract.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "jwt.h"
#include "live.h"
#include "proof.h"
#include "signin.h"

#define ISSUER "saml:"
#define SIGNED_BY "http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256"

enum { ENTITY = 1024, JOBS = 256, WITHIN = 10000, FLOW_LIFE = 600, RETURN = 200, URL = 2048 };

struct saml_issuer {
	struct saml_issuer *next;
	const struct identity *identity;
	struct sp_bytes metadata; /* of the epoch */
	char issuer[sizeof(ISSUER) + ENTITY];
};

struct saml_trust {
	struct saml_issuer *first;
};

static char error_text[512];

/* ---- the metadata, without a parser ---- */

/*
 * The one entityID="…" of the file.  The helper reads the file as XML and has to find the same; what is not plain here
 * is refused, so that the two can't differ.
 */
static int
find_entity(struct sp_bytes metadata, char *out, const char **why_r)
{
	static const char name[] = "entityID=";
	const uint8_t *at = memmem(metadata.p, metadata.len, name, sizeof(name) - 1);
	struct sp_reader r = sp_reader(metadata);
	*why_r = "it has no entityID=\"…\"";
	if (at == NULL)
		return SP_ECONF;
	(void)sp_rd_take(&r, (size_t)(at - metadata.p) + sizeof(name) - 1);
	uint8_t quote = sp_rd_u8(&r);
	struct sp_bytes entity = sp_rd_until(&r, quote);
	if (r.bad || (quote != '"' && quote != '\'') || entity.len == 0 || entity.len > ENTITY)
		return SP_ECONF;
	*why_r = "its entityID is not plain";
	for (size_t i = 0; i < entity.len; i++)
		if (entity.p[i] <= ' ' || entity.p[i] > '~' || strchr("<>&\"'", entity.p[i]) != NULL)
			return SP_ECONF;
	*why_r = "it names more than one entity: take the metadata of the one provider";
	if (memmem(r.p, r.left, name, sizeof(name) - 1) != NULL)
		return SP_ECONF;
	(void)snprintf(out, sizeof(ISSUER) + ENTITY, ISSUER "%.*s", (int)entity.len, (const char *)entity.p);
	return SP_OK;
}

static int
add_issuer(struct saml_trust *t, const struct epoch *e, const struct identity *i, const char **err_r)
{
	const struct epoch_file *f = epoch_find_file(e, i->saml.metadata);
	struct saml_issuer *one = mem_alloc(sizeof(*one));
	const char *why = "is not in the epoch";
	*one = (struct saml_issuer){ .next = t->first, .identity = i, .metadata = f == NULL ? (struct sp_bytes){ NULL, 0 } : f->content };
	t->first = one;
	int rc = f == NULL ? SP_ECONF : find_entity(f->content, one->issuer, &why);
	for (const struct saml_issuer *o = one->next; rc == SP_OK && o != NULL; o = o->next)
		if (strcmp(o->issuer, one->issuer) == 0) {
			why = "it is the same provider's as another identity's";
			rc = SP_ECONF;
		}
	if (rc != SP_OK)
		(void)snprintf(error_text, sizeof(error_text), "%s:%u: identity %s: the metadata %s: %s", i->b.file, i->b.line, i->b.name,
		    i->saml.metadata, why);
	*err_r = error_text;
	return rc;
}

int
saml_trust_new(const struct epoch *e, struct saml_trust **t_r, const char **err_r)
{
	struct saml_trust *t = mem_alloc(sizeof(*t));
	int rc = SP_OK;
	*t_r = NULL;
	for (const struct identity *i = e->settings.identities; rc == SP_OK && i != NULL; i = (const struct identity *)i->b.next)
		if (i->saml.metadata[0] != '\0')
			rc = add_issuer(t, e, i, err_r);
	if (rc != SP_OK)
		saml_trust_free(&t);
	*t_r = t;
	return rc;
}

void
saml_trust_free(struct saml_trust **t)
{
	if (*t == NULL)
		return;
	for (struct saml_issuer *i = (*t)->first, *next; i != NULL; i = next) {
		next = i->next;
		free(i);
	}
	free(*t);
	*t = NULL;
}

static const struct saml_issuer *
issuer_of(const struct keeper *k, const char *identity)
{
	const struct saml_issuer *i = k->saml_trust == NULL ? NULL : k->saml_trust->first;
	while (i != NULL && strcmp(i->identity->b.name, identity) != 0)
		i = i->next;
	return i;
}

/* ---- who we are there ---- */

static const char *
url_of(const struct keeper *k, struct arena *a, const char *what, const char *identity)
{
	return arena_printf(a, "%s/saml/%s/%s", keeper_settings(k)->console.url, what, identity);
}

static json_t *
input_of(const struct keeper *k, struct arena *a, const struct identity *i)
{
	const char *acs = url_of(k, a, "acs", i->b.name), *logout = url_of(k, a, "logout", i->b.name);
	const char *entity = i->saml.entity[0] != '\0' ? i->saml.entity : url_of(k, a, "metadata", i->b.name);
	return acs == NULL || logout == NULL || entity == NULL ? NULL : json_pack("{s:s,s:s,s:s}", "acs", acs, "logout", logout, "entity", entity);
}

/* ---- jobs ---- */

struct saml_job;
typedef int job_done(struct api *a, const struct saml_issuer *i, struct saml_job *j, const json_t *told);

struct saml_job {
	struct saml_job *next;
	uint32_t id;
	uint64_t since; /* mono ms */
	struct api_later *caller;
	job_done *done;
	char *identity, *request, *back;
};

struct saml_jobs {
	struct saml_job *first;
	unsigned n;
	uint32_t last;
};

void
saml_open_jobs(struct keeper *k)
{
	k->saml_jobs = mem_alloc(sizeof(*k->saml_jobs));
}

static void
job_free(struct keeper *k, struct saml_job *j)
{
	struct saml_job **at = &k->saml_jobs->first;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	k->saml_jobs->n--;
	free(j->identity);
	free(j->request);
	free(j->back);
	free(j);
}

static void
job_refuse(struct keeper *k, struct saml_job *j, const char *why)
{
	api_later_answer(k, &j->caller, 503, json_pack("{s:s}", "error", why));
	job_free(k, j);
}

void
saml_close_jobs(struct keeper *k)
{
	while (k->saml_jobs != NULL && k->saml_jobs->first != NULL)
		job_refuse(k, k->saml_jobs->first, "the keeper is restarting; try again in a moment");
	free(k->saml_jobs);
	k->saml_jobs = NULL;
}

void
saml_lost(struct keeper *k, unsigned index)
{
	(void)index;
	while (k->saml_jobs->first != NULL)
		job_refuse(k, k->saml_jobs->first, "the process that reads SAML went away; try again in a moment");
}

void
saml_tick(struct keeper *k)
{
	uint64_t now = clock_mono_ms();
	for (struct saml_job *j = k->saml_jobs->first, *next; j != NULL; j = next) {
		next = j->next;
		if (now - j->since > WITHIN)
			job_refuse(k, j, "the process that reads SAML did not answer in time; try again");
	}
}

static char *
copy(const char *text)
{
	return mem_string(sp_str(text == NULL ? "" : text));
}

/* Asks the helper; takes input over.  j_r: for what else the answer needs. */
static int
job_begin(struct api *a, const char *what, const struct saml_issuer *i, json_t *input, job_done *done, struct saml_job **j_r)
{
	struct saml_jobs *all = a->k->saml_jobs;
	struct link *helper = keeper_helper(a->k, ROLE_SAML, 0);
	char *text = input == NULL ? NULL : json_dumps(input, JSON_COMPACT);
	json_decref(input);
	*j_r = NULL;
	if (text == NULL)
		return SP_ENOMEM;
	const struct message m = { .type = MSG_SAML, .id = all->last + 1, .f = { Z(what), Z(i->identity->b.name), Z(text) } };
	bool sent = helper != NULL && all->n < JOBS && link_send(helper, &m) == SP_OK;
	free(text);
	if (!sent)
		return api_refuse(a, 503, "the process that reads SAML is away or busy; try again in a moment");
	struct saml_job *j = mem_alloc(sizeof(*j));
	*j = (struct saml_job){ .next = all->first, .id = ++all->last, .since = clock_mono_ms(), .caller = api_later(a), .done = done,
		.identity = copy(i->identity->b.name) };
	all->first = j;
	all->n++;
	*j_r = j;
	return SP_OK;
}

/* What it says is wrong is said to the caller, who can read their own message, and to the log. */
static void
job_told(struct keeper *k, struct saml_job *j, const struct message *m)
{
	json_t *told = m->f[0].q == 1 ? json_loadb((const char *)m->f[1].s.p, m->f[1].s.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const struct saml_issuer *i = issuer_of(k, j->identity);
	struct api a = { .k = k, .arena = arena_new(0), .status = 200, .answer = json_object() };
	if (i == NULL || a.arena == NULL)
		(void)api_refuse(&a, 503, "the identity %s is no longer there", j->identity);
	else if (m->f[0].q == 1 && !json_is_object(told))
		(void)api_refuse(&a, 503, "the process that reads SAML made no sense; try again");
	else if (told == NULL)
		(void)api_refuse(&a, 403, "SAML: %.*s", (int)(m->f[2].s.len < 400 ? m->f[2].s.len : 400), (const char *)m->f[2].s.p);
	else if (j->done(&a, i, j, told) != SP_OK && a.status == 200)
		(void)api_refuse(&a, 503, "the keeper could not do it; its log says why");
	if (a.status != 200)
		log_warn("identity %s: %s", j->identity, log_quote(sp_str(json_string_value(json_object_get(a.answer, "error")))));
	api_later_answer(k, &j->caller, a.status, a.answer);
	json_decref(told);
	arena_free(&a.arena);
	job_free(k, j);
}

int
saml_told(struct keeper *k, struct link *l, struct message *m)
{
	struct saml_job *j = k->saml_jobs->first;
	(void)l;
	while (j != NULL && j->id != m->id)
		j = j->next;
	if (j != NULL)
		job_told(k, j, m);
	return SP_OK;
}

static const char *
told_text(const json_t *told, const char *name)
{
	const char *text = json_string_value(json_object_get(told, name));
	return text == NULL ? "" : text;
}

/* ---- the flow: base64url of mac, until, request, identity, where to go back to ---- */

struct flow {
	uint64_t until;
	struct sp_bytes request, identity, back;
};

static void
flow_mac(const struct keeper *k, struct sp_bytes body, uint8_t out[DIGEST_LEN])
{
	uint8_t key[DIGEST_LEN];
	keys_derive(&k->keys, "saml", SP_LIT("flow"), key);
	digest_hmac((struct sp_bytes){ key, sizeof(key) }, body, out);
	mem_wipe(key, sizeof(key));
}

static void
put_text(struct sp_writer *w, const char *text)
{
	sp_wr_be16(w, (uint16_t)strlen(text));
	sp_wr_put(w, sp_str(text));
}

static int
flow_make(const struct keeper *k, const struct saml_job *j, struct buffer *out)
{
	uint8_t bytes[DIGEST_LEN + 512], mac[DIGEST_LEN];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	(void)sp_wr_room(&w, DIGEST_LEN);
	sp_wr_be64(&w, clock_wall_us() + (uint64_t)FLOW_LIFE * 1000000);
	put_text(&w, j->request);
	put_text(&w, j->identity);
	put_text(&w, j->back);
	if (w.bad)
		return SP_ETOOBIG;
	flow_mac(k, (struct sp_bytes){ bytes + DIGEST_LEN, w.len - DIGEST_LEN }, mac);
	memcpy(bytes, mac, DIGEST_LEN);
	return text_base64url((struct sp_bytes){ bytes, w.len }, out);
}

/* The parts stay in b. */
static bool
flow_read(const struct keeper *k, const char *text, struct buffer *b, struct flow *f_r)
{
	uint8_t want[DIGEST_LEN];
	*f_r = (struct flow){ 0 };
	if (strlen(text) > 1024 || text_unbase64url(sp_str(text), b) != SP_OK)
		return false;
	struct sp_reader r = sp_reader(buffer_bytes(b));
	struct sp_bytes mac = sp_rd_take(&r, DIGEST_LEN);
	flow_mac(k, (struct sp_bytes){ r.p, r.left }, want);
	if (r.bad || !mem_equal(mac, (struct sp_bytes){ want, sizeof(want) }))
		return false;
	f_r->until = sp_rd_be64(&r);
	f_r->request = sp_rd_take(&r, sp_rd_be16(&r));
	f_r->identity = sp_rd_take(&r, sp_rd_be16(&r));
	f_r->back = sp_rd_take(&r, sp_rd_be16(&r));
	return sp_rd_done(&r) && f_r->until > clock_wall_us();
}

/* ---- beginning ---- */

/* "&amp;" for "&", as the metadata has to write it. */
static bool
stands_in_metadata(const struct saml_issuer *i, const char *location)
{
	char text[2 * URL] = "Location=\"";
	size_t n = strlen(text);
	for (const char *at = location; *at != '\0' && n + 8 < sizeof(text); at++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, *at == '&' ? "&amp;" : "%c", *at);
	text[n++] = '"';
	bool quoted = memmem(i->metadata.p, i->metadata.len, text, n) != NULL;
	text[9] = text[n - 1] = '\'';
	return strlen(location) < URL && (quoted || memmem(i->metadata.p, i->metadata.len, text, n) != NULL);
}

/* "&SigAlg=…&Signature=…" behind the query that it is for. */
static int
sign_query(struct keeper *k, const struct saml_issuer *i, struct buffer *query)
{
	const struct sp_secret *pem = credentials_request_key(k->credentials, i->identity->b.name);
	gnutls_privkey_t key = NULL;
	gnutls_datum_t signature = { NULL, 0 }, encoded = { NULL, 0 };
	if (pem == NULL)
		return SP_OK;
	const gnutls_datum_t in = { (unsigned char *)(uintptr_t)secret_bytes(pem).p, (unsigned)secret_bytes(pem).len };
	int rc = buffer_put(query, SP_LIT("&SigAlg=" SIGNED_BY));
	const gnutls_datum_t what = { (unsigned char *)(uintptr_t)buffer_bytes(query).p, (unsigned)query->len };
	if (rc == SP_OK && (gnutls_privkey_init(&key) < 0 || gnutls_privkey_import_x509_raw(key, &in, GNUTLS_X509_FMT_PEM, NULL, 0) < 0 ||
	    gnutls_privkey_sign_data2(key, GNUTLS_SIGN_RSA_SHA256, 0, &what, &signature) < 0 || gnutls_base64_encode2(&signature, &encoded) < 0))
		rc = SP_EINTERNAL;
	if (rc == SP_OK)
		rc = buffer_put(query, SP_LIT("&Signature="));
	for (unsigned n = 0; rc == SP_OK && n < encoded.size; n++) {
		char c = (char)encoded.data[n];
		rc = c == '+' || c == '/' || c == '=' ? buffer_printf(query, "%%%02X", (unsigned char)c) : buffer_printf(query, "%c", c);
	}
	gnutls_free(signature.data);
	gnutls_free(encoded.data);
	if (key != NULL)
		gnutls_privkey_deinit(key);
	return rc;
}

static bool
plain_query(const char *query)
{
	return strncmp(query, "SAMLRequest=", 12) == 0 &&
	    query[strspn(query, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%=&")] == '\0';
}

static int
request_made(struct api *a, const struct saml_issuer *i, struct saml_job *j, const json_t *told)
{
	const char *location = told_text(told, "location"), *query = told_text(told, "query");
	struct buffer whole = { .max = 64 << 10 }, flow = { .max = 2048 };
	/* A helper that somebody has taken over must not send browsers anywhere. */
	if (!stands_in_metadata(i, location) || !plain_query(query))
		return api_refuse(a, 503, "the provider's metadata has no such page");
	int rc = buffer_put(&whole, sp_str(query));
	if (rc == SP_OK)
		rc = sign_query(a->k, i, &whole);
	if (rc == SP_OK)
		rc = flow_make(a->k, j, &flow);
	if (rc == SP_OK) {
		char *to = arena_printf(a->arena, "%s%c%.*s", location, strchr(location, '?') == NULL ? '?' : '&', (int)whole.len,
		    (const char *)buffer_bytes(&whole).p);
		api_set(a, "location", json_string(to));
		api_set(a, "flow", json_stringn((const char *)buffer_bytes(&flow).p, flow.len));
		api_set(a, "post", json_true());
	}
	buffer_free(&whole);
	buffer_free(&flow);
	return rc;
}

static const struct saml_issuer *
asked_for(struct api *a, const char *name)
{
	const struct saml_issuer *i = issuer_of(a->k, name);
	if (i == NULL)
		(void)api_refuse(a, 404, "there is no identity \"%.64s\" of SAML", name);
	return i;
}

int
api_saml_login(struct api *a)
{
	const char *name = api_text(a, api_text(a, "id")[0] != '\0' ? "id" : "identity"), *back = api_text(a, "return");
	const struct saml_issuer *i = asked_for(a, name);
	json_t *input = i == NULL ? NULL : input_of(a->k, a->arena, i->identity);
	struct saml_job *j;
	uint8_t id[ID_LEN];
	char text[ID_TEXT], request[ID_TEXT + 1];
	if (i == NULL)
		return SP_EDENIED;
	id_new(id);
	(void)snprintf(request, sizeof(request), "_%s", id_format(id, text));
	(void)json_object_set_new(input, "id", json_string(request));
	(void)json_object_set_new(input, "relay", json_string(request));
	int rc = job_begin(a, "request", i, input, request_made, &j);
	if (rc != SP_OK)
		return rc;
	j->request = copy(request);
	j->back = copy(strlen(back) > RETURN ? "" : back);
	return SP_OK;
}

static int
metadata_made(struct api *a, const struct saml_issuer *i, struct saml_job *j, const json_t *told)
{
	(void)i, (void)j;
	api_set(a, "xml", json_string(told_text(told, "xml")));
	return SP_OK;
}

int
api_saml_metadata(struct api *a)
{
	const struct saml_issuer *i = asked_for(a, api_text(a, "id"));
	struct saml_job *j;
	return i == NULL ? SP_EDENIED : job_begin(a, "metadata", i, input_of(a->k, a->arena, i->identity), metadata_made, &j);
}

/* ---- who signed in ---- */

/* An assertion is good once: its hash stands in the store until it would have expired. */
static int
first_time(struct api *a, const struct saml_issuer *i, const char *assertion, uint64_t until)
{
	uint8_t hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];
	char *both = arena_printf(a->arena, "%s %s", i->issuer, assertion);
	digest_sha256(sp_str(both), hash);
	text_hex((struct sp_bytes){ hash, sizeof(hash) }, hex);
	const struct field args[] = { Z(hex), Z("saml"), Q(until + 2 * 60 * (uint64_t)1000000) };
	long n = keeper_write(a->k, STORE_TOKEN_SEEN, args);
	return n < 0 ? SP_EIO : n == 0 ? api_refuse(a, 403, "SAML: this response was used already: begin again at /signin") : SP_OK;
}

static int
give_signin(struct api *a, const struct verified *v, const char *sid, const char *back)
{
	struct buffer secret = { .max = 128 };
	const struct signin_wanted w = { .principal = &v->principal, .parent = "", .sid = sid, .expires = v->principal.expires };
	int rc = signin_new(a->k, &w, &secret);
	if (rc == SP_OK) {
		json_decref(a->answer);
		a->answer = api_signin_answer(&v->principal, buffer_bytes(&secret), w.expires, back);
		log_info("%s signed in by %s", log_quote(sp_str(v->principal.user)), v->principal.identity);
	}
	buffer_free(&secret);
	return rc;
}

static int
signed_in(struct api *a, const struct saml_issuer *i, struct saml_job *j, const json_t *told)
{
	struct verified v;
	const char *why = "", *assertion = told_text(told, "assertion");
	uint64_t now = clock_wall_us(), session = i->identity->session * 1000;
	json_int_t until = json_integer_value(json_object_get(told, "until")), end = json_integer_value(json_object_get(told, "session_until"));
	if (strcmp(told_text(told, "issuer"), i->issuer + sizeof(ISSUER) - 1) != 0 || assertion[0] == '\0' || strlen(assertion) > 1024)
		return api_refuse(a, 403, "SAML: it is of another issuer, or without an id");
	if (identity_saml(i->identity, i->issuer, told, a->arena, &v, &why) != SP_OK)
		return api_refuse(a, 403, "SAML: %s", why);
	/* By our clock, whatever the provider's says. */
	if (identity_revoked_since(a->k->store, &v.principal, now))
		return api_refuse(a, 403, "this principal was revoked");
	int rc = first_time(a, i, assertion, until > 0 ? (uint64_t)until : now + session);
	if (rc != SP_OK)
		return rc;
	v.principal.expires = end > 0 && (uint64_t)end < now + session ? (uint64_t)end : now + session;
	return give_signin(a, &v, told_text(told, "session"), j->back);
}

int
api_saml_acs(struct api *a)
{
	const char *flow = api_text(a, "flow");
	const struct saml_issuer *i = asked_for(a, api_text(a, "id"));
	struct buffer bytes = { .max = 2048 };
	struct flow f;
	struct saml_job *j;
	if (i == NULL)
		return SP_EDENIED;
	bool asked = flow[0] != '\0' && flow_read(a->k, flow, &bytes, &f) && sp_bytes_is(f.identity, i->identity->b.name);
	char *request = mem_string(asked ? f.request : SP_LIT("")), *back = mem_string(asked ? f.back : SP_LIT(""));
	json_t *input = input_of(a->k, a->arena, i->identity);
	int rc = SP_OK;
	buffer_free(&bytes);
	if (!asked && !i->identity->saml.idp_initiated)
		rc = api_refuse(a, 403, "this browser has not asked for a sign-in here, or more than ten minutes ago: begin at /signin");
	if (rc == SP_OK && (json_object_set_new(input, "response", json_string(api_text(a, "response"))) != 0 ||
	    json_object_set_new(input, "request", json_string(request)) != 0 ||
	    json_object_set_new(input, "now", json_integer((json_int_t)clock_wall_us())) != 0))
		rc = SP_ENOMEM;
	if (rc == SP_OK && (rc = job_begin(a, "response", i, json_incref(input), signed_in, &j)) == SP_OK) {
		j->request = request;
		j->back = back;
		request = back = NULL;
	}
	json_decref(input);
	free(request);
	free(back);
	return rc;
}

/* ---- and out ---- */

/* All that the subject has from before now. */
static unsigned
end_subject(struct keeper *k, const char *issuer, const char *subject)
{
	static const char why[] = "the identity provider logged the user out";
	unsigned n = signin_end_all(k, issuer, subject, "", why);
	/* identity_revoked() adds what clocks may differ by. */
	const struct field revoke[] = { Q(1), Z(issuer), Z(subject), Q(clock_wall_us() - (uint64_t)JWT_LEEWAY * 1000000) };
	(void)keeper_write(k, STORE_REVOKE, revoke);
	for (struct live *l = live_first(k); l != NULL; l = l->all_next) {
		if (l->side || l->ended || strcmp(l->principal.issuer, issuer) != 0 || strcmp(l->principal.subject, subject) != 0)
			continue;
		live_kill(k, l, SP_END_REVOKED, why);
		n++;
	}
	return n;
}

static int
logged_out(struct api *a, const struct saml_issuer *i, struct saml_job *j, const json_t *told)
{
	const char *subject = told_text(told, "subject");
	(void)j;
	if (strcmp(told_text(told, "issuer"), i->issuer + sizeof(ISSUER) - 1) != 0 || subject[0] == '\0')
		return api_refuse(a, 403, "SAML: it is of another issuer, or names nobody");
	unsigned n = end_subject(a->k, i->issuer, subject);
	audit(a->k, "saml-logout", json_pack("{s:s,s:s,s:s,s:I}", "identity", i->identity->b.name, "issuer", i->issuer, "subject", subject, "sessions",
	    (json_int_t)n));
	api_set(a, "ended", json_integer(n));
	return SP_OK;
}

int
api_saml_logout(struct api *a)
{
	const struct saml_issuer *i = asked_for(a, api_text(a, "id"));
	json_t *input = i == NULL ? NULL : input_of(a->k, a->arena, i->identity);
	struct saml_job *j;
	if (i == NULL)
		return SP_EDENIED;
	if (input == NULL || json_object_set_new(input, "request", json_string(api_text(a, "request"))) != 0 ||
	    json_object_set_new(input, "now", json_integer((json_int_t)clock_wall_us())) != 0) {
		json_decref(input);
		return SP_ENOMEM;
	}
	return job_begin(a, "logout", i, input, logged_out, &j);
}
