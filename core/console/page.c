/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of signing in, and the console's own health.
 *
 *   /signin ─ choice ─▶ /signin/with/ID ─▶ the provider ─▶ /signin/callback/ID ─▶ cookie, back to where one was
 *   /signin/link: what `sallyport console` made, posted from behind its #
 *   /saml/acs/ID: the same for a provider that has the browser post its response
 *   /requests/ID: all of it ─ POST with the CSRF token and the hash that was shown ─▶ decided
 *   /device ─ code ─▶ what it is, who asks, from where ─ POST with the CSRF token ─▶ done
 *
 *   /, /approvals, /sessions …: index.html of web/, whose script asks /api/v1; /assets/NAME: what it is made of
 *
 * A page asks the keeper one or two questions and fills a text.  The secret of a sign-in comes from the
 * keeper and goes into the cookie; it is in no page, no address and no log.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../modules/http/http.h"
#include "../base/log.h"
#include "../base/openapi.h"
#include "console.h"
#include "files.h"
#include "page_request.h"
#include "page_text.h"

#define HTML "text/html; charset=utf-8"
#define FLOW_GONE "__Host-sallyport-flow=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
#define RETURN_MAX 512u
#define RETURN_FIRST "/signin"

struct page_job {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	const struct page_route *page;
	struct sp_secret *token;    /* the cookie's, or NULL */
	json_t *args;               /* of the page: what its address and its form say */
	json_t *who;                /* what whoami said */
	char csrf[CSRF_TEXT];
};

static void
page_end(struct job *job)
{
	struct page_job *j = (struct page_job *)job;
	ask_cancel(&j->ask);
	secret_free(&j->token);
	json_decref(j->args);
	json_decref(j->who);
	mem_wipe(j, sizeof(*j));
	free(j);
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

static const char *
host_of(const struct caller *c)
{
	const char *host = settings_console_host(caller_console(c)->epoch->settings.console.url);
	return host == NULL ? "" : host;
}

/* ---- answers ---- */

static void
show(struct caller *c, const struct page_reply *how, const char *file, const char *title, const struct hole *holes)
{
	struct page_reply p = *how;
	struct buffer out = { .p = NULL };
	if (page_whole(file, title, host_of(c), holes, &out) != SP_OK) {
		log_error("the page %s has a hole that nothing fills", file);
		caller_refuse(c, 500, "the page can't be written");
	} else {
		p.type = HTML;
		p.body = buffer_bytes(&out);
		caller_page(c, &p);
	}
	buffer_free(&out);
}

static void
show_message(struct caller *c, const struct page_reply *how, const char *title, const char *text)
{
	const struct hole holes[] = { { "text", text }, { "link", RETURN_FIRST }, { "label", "Continue" }, { NULL, NULL } };
	show(c, how, "message.html", title, holes);
}

static void
go_to(struct caller *c, const char *location, const char *cookie, const char *other_cookie)
{
	caller_page(c, &(struct page_reply){ .status = 303, .type = HTML, .location = location, .cookie = { cookie, other_cookie } });
}

/* A place of our own: one leading '/', and nothing that a browser could read as another host. */
static bool
is_local(const char *path)
{
	size_t len = strlen(path);
	return path[0] == '/' && path[1] != '/' && len <= RETURN_MAX &&
	    strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/?=&%+") == len;
}

/* "?return=…" for a link, or "". */
static char *
return_query(const char *path)
{
	struct buffer out = { .p = NULL };
	struct sp_writer w = buffer_writer(&out);
	if (is_local(path)) {
		sp_wr_put(&w, SP_LIT("?return="));
		http_encode(sp_str(path), &w);
	}
	char *text = buffer_written(&out, &w) == SP_OK ? mem_string(buffer_bytes(&out)) : mem_string(sp_str(""));
	buffer_free(&out);
	return text;
}

/* To /signin, and from there back to `path`. */
static void
go_sign_in(struct caller *c, const char *path, const char *cookie)
{
	char *query = return_query(path), *location = mem_alloc(strlen(query) + sizeof(RETURN_FIRST));
	(void)snprintf(location, strlen(query) + sizeof(RETURN_FIRST), "%s%s", RETURN_FIRST, query);
	go_to(c, location, cookie, NULL);
	free(location);
	free(query);
}

/* ---- questions ---- */

static void page_answered(void *owner, struct answer *a);

static void
page_ask(struct page_job *j, enum call call, json_t *args)
{
	const struct proof p = { j->token == NULL ? CARRIER_NONE : CARRIER_COOKIE, secret_bytes(j->token) };
	if (args == NULL || !api_may_ask(j->caller, call, &p, args)) {
		json_decref(args);
		if (args == NULL)
			caller_refuse(j->caller, 503, "out of memory");
		return;
	}
	const struct question q = { 0, p.token, call, args };
	j->ask = ask_keeper(caller_console(j->caller), &q, page_answered, j);
	json_decref(args);
	if (j->ask == NULL)
		caller_refuse(j->caller, 503, "out of memory");
}

/* Some of what the page was given, as arguments of a call. */
static json_t *
args_of(const struct page_job *j, const char *const *names)
{
	json_t *args = json_object();
	for (; *names != NULL; names++) {
		json_t *v = json_object_get(j->args, *names);
		if (v != NULL)
			(void)json_object_set(args, *names, v);
	}
	return args;
}

/* ---- what was answered, by page ---- */

static void
on_identities(struct page_job *j, const json_t *o)
{
	struct buffer choices = { .p = NULL };
	size_t i;
	json_t *identity;
	char *query = return_query(text_of(j->args, "return"));
	const json_t *list = json_object_get(o, "identities");
	int rc = SP_OK;
	json_array_foreach(list, i, identity) {
		const struct hole holes[] = { { "name", text_of(identity, "name") }, { "query", query }, { NULL, NULL } };
		if (rc == SP_OK)
			rc = page_fill("choice.html", holes, &choices);
	}
	if (rc == SP_OK)
		rc = buffer_put(&choices, (struct sp_bytes){ (const uint8_t *)"", 1 });
	const char *why = json_array_size(list) == 0 ? "No identity of this gateway can be signed in with in a browser."
						     : "You go to your provider and come back. This gateway never sees your password.";
	const struct hole holes[] = { { "why", why }, { "choices", (const char *)buffer_bytes(&choices).p }, { NULL, NULL } };
	if (rc == SP_OK)
		show(j->caller, &(struct page_reply){ .status = 200, .cookie = { j->token != NULL ? COOKIE_GONE : NULL } }, "signin.html", "Sign in", holes);
	else
		caller_refuse(j->caller, 503, "out of memory");
	buffer_free(&choices);
	free(query);
}

static void
on_signed_in(struct page_job *j, const json_t *o)
{
	if (is_local(text_of(j->args, "return"))) {
		go_to(j->caller, text_of(j->args, "return"), NULL, NULL);
		return;
	}
	const struct hole holes[] = { { "name", text_of(o, "name") }, { "identity", text_of(o, "identity") }, { "expires", text_of(o, "expires") },
		{ "csrf", j->csrf }, { NULL, NULL } };
	show(j->caller, &(struct page_reply){ .status = 200 }, "signed-in.html", "You are signed in", holes);
}

/* What a cookie may hold; the keeper makes nothing else. */
static bool
is_cookie_value(const char *text)
{
	size_t len = strlen(text);
	return len > 0 && len <= 512 && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") == len;
}

/* same_site: "Lax" stays away from posts of other sites; a provider that posts its answer needs "None". */
static void
on_location(struct page_job *j, const json_t *o)
{
	char cookie[768];
	const char *flow = text_of(o, "flow"), *location = text_of(o, "location");
	if (!is_cookie_value(flow) || strncmp(location, "https://", 8) != 0) {
		/* A provider on this machine, for a trial, may do without TLS. */
		if (!is_cookie_value(flow) || (strncmp(location, "http://127.0.0.1", 16) != 0 && strncmp(location, "http://localhost", 16) != 0)) {
			show_message(j->caller, &(struct page_reply){ .status = 502 }, "That did not work", "The provider's address is not one to go to.");
			return;
		}
	}
	(void)snprintf(cookie, sizeof(cookie), "__Host-sallyport-flow=%s; Path=/; Secure; HttpOnly; SameSite=%s; Max-Age=600", flow,
	    json_is_true(json_object_get(o, "post")) ? "None" : "Lax");
	go_to(j->caller, location, cookie, NULL);
}

static void
on_back(struct page_job *j, const json_t *o)
{
	char cookie[768];
	const char *secret = text_of(o, "secret"), *back = text_of(o, "return");
	if (!is_cookie_value(secret)) {
		show_message(j->caller, &(struct page_reply){ .status = 502 }, "That did not work", "The gateway made no sign-in.");
		return;
	}
	(void)snprintf(cookie, sizeof(cookie), "__Host-sallyport=%s; Path=/; Secure; HttpOnly; SameSite=Lax", secret);
	go_to(j->caller, is_local(back) ? back : RETURN_FIRST, cookie, FLOW_GONE);
	mem_wipe(cookie, sizeof(cookie));
}

static void
on_device(struct page_job *j, const json_t *o)
{
	if (j->who == NULL) { /* that was whoami; now the device */
		static const char *const names[] = { "code", NULL };
		j->who = json_incref((json_t *)(uintptr_t)o);
		if (text_of(j->args, "code")[0] != '\0') {
			page_ask(j, CALL_DEVICE_LOOK, args_of(j, names));
			return;
		}
		show(j->caller, &(struct page_reply){ .status = 200 }, "device-code.html", "Connect a device", (const struct hole[]){ { NULL, NULL } });
		return;
	}
	const struct hole holes[] = { { "code", text_of(o, "code") }, { "device", text_of(o, "name") }, { "address", text_of(o, "address") },
		{ "created", text_of(o, "created") }, { "name", text_of(j->who, "name") }, { "identity", text_of(j->who, "identity") },
		{ "csrf", j->csrf }, { NULL, NULL } };
	if (strcmp(text_of(o, "state"), "waiting") != 0)
		show_message(j->caller, &(struct page_reply){ .status = 409 }, "Nothing to confirm", "This code was answered already.");
	else
		show(j->caller, &(struct page_reply){ .status = 200 }, "device-confirm.html", "Is this yours?", holes);
}

static void
on_confirmed(struct page_job *j, const json_t *o)
{
	bool yes = strcmp(text_of(o, "state"), "confirmed") == 0;
	show_message(j->caller, &(struct page_reply){ .status = 200 }, yes ? "Connected" : "Refused",
	    yes ? "The device goes on in a moment. You may close this page." : "The device is told no. You may close this page.");
}

static void
on_request(struct page_job *j, const json_t *o)
{
	struct buffer out = { .p = NULL };
	int rc = page_request(o, host_of(j->caller), j->csrf, &out);
	if (rc == SP_OK)
		caller_page(j->caller, &(struct page_reply){ .status = 200, .type = HTML, .body = buffer_bytes(&out) });
	else if (rc == SP_ETOOBIG)
		show_message(j->caller, &(struct page_reply){ .status = 413 }, "Too long for a page",
		    "It can't be shown whole here, so it can't be decided here: use `sallyport requests` and `sallyport approve`.");
	else
		caller_refuse(j->caller, 503, "out of memory");
	buffer_free(&out);
}

static void
on_decided(struct page_job *j, const json_t *o)
{
	char text[160];
	const char *state = text_of(o, "state");
	(void)snprintf(text, sizeof(text), "It is %s, with %lld of %lld votes for it. You may close this page.",
	    strcmp(state, "waiting") == 0 ? "still waiting" : state, json_integer_value(json_object_get(o, "votes")),
	    json_integer_value(json_object_get(o, "count")));
	show_message(j->caller, &(struct page_reply){ .status = 200 }, "Decided", text);
}

static void
on_logout(struct page_job *j, const json_t *o)
{
	const char *provider = text_of(o, "location");
	const struct page_reply how = { .status = 200, .cookie = { COOKIE_GONE } };
	const struct hole holes[] = { { "text", "Your sign-in has ended. At your provider you may still be signed in." }, { "link", provider },
		{ "label", "Sign out there, too" }, { NULL, NULL } };
	if (strncmp(provider, "https://", 8) == 0)
		show(j->caller, &how, "message.html", "Signed out", holes);
	else
		show_message(j->caller, &how, "Signed out", "Your sign-in has ended.");
}

static void
on_metadata(struct page_job *j, const json_t *o)
{
	caller_page(j->caller, &(struct page_reply){ .status = 200, .type = "application/samlmetadata+xml", .body = sp_str(text_of(o, "xml")) });
}

static void
on_saml_logout(struct page_job *j, const json_t *o)
{
	(void)o;
	show_message(j->caller, &(struct page_reply){ .status = 200 }, "Signed out", "Your provider has ended your sign-in here, too.");
}

static void (*const answered[PAGES])(struct page_job *j, const json_t *o) = {
	[PAGE_LINK_USE] = on_back, [PAGE_SIGNIN] = on_signed_in, [PAGE_SIGNIN_WITH] = on_location, [PAGE_SIGNIN_BACK] = on_back, [PAGE_DEVICE] = on_device,
	[PAGE_DEVICE_CONFIRM] = on_confirmed, [PAGE_REQUEST] = on_request, [PAGE_DECIDE] = on_decided, [PAGE_LOGOUT] = on_logout,
	[PAGE_SAML_BACK] = on_back, [PAGE_SAML_LOGOUT] = on_saml_logout, [PAGE_SAML_METADATA] = on_metadata,
};

/* Where one wanted to go, for after the sign-in. */
static void
way_back(const struct page_route *page, const json_t *args, char back_r[96])
{
	const char *code = text_of(args, "code"), *id = text_of(args, "id");
	bool request = page->page == PAGE_REQUEST || page->page == PAGE_DECIDE;
	(void)snprintf(back_r, 96, "/device");
	if (request && id[0] != '\0' && strlen(id) <= 64)
		(void)snprintf(back_r, 96, "/requests/%s", id);
	else if (!request && code[0] != '\0' && strlen(code) <= 32)
		(void)snprintf(back_r, 96, "/device?code=%s", code);
}

/* A sign-in that is over: to a new one, and back here. */
static void
page_refused(struct page_job *j, unsigned status, const json_t *o)
{
	if (status == 401 && j->page->signed_in) {
		char back[96];
		way_back(j->page, j->args, back);
		go_sign_in(j->caller, back, COOKIE_GONE);
		return;
	}
	const char *why = text_of(o, "error");
	show_message(j->caller, &(struct page_reply){ .status = status, .cookie = { answered[j->page->page] == on_back ? FLOW_GONE : NULL } },
	    "That did not work", why[0] == '\0' ? "The gateway gave no reason. Try again." : why);
}

static void
page_answered(void *owner, struct answer *a)
{
	struct page_job *j = owner;
	j->ask = NULL;
	json_t *o = json_loadb((const char *)a->json.p, a->json.len, JSON_REJECT_DUPLICATES, NULL);
	bool first = j->page->page == PAGE_SIGNIN && j->who == NULL && j->token != NULL;
	if (!first)
		api_was_told(j->caller, a->status);
	if (first && a->status == 401) { /* an old cookie: as if there were none */
		j->who = json_object();
		page_ask(j, CALL_IDENTITIES, json_object());
	} else if (a->status != 200 || !json_is_object(o)) {
		page_refused(j, a->status == 200 ? 502 : a->status, o);
	} else if (json_object_get(o, "identities") != NULL) {
		on_identities(j, o);
	} else {
		answered[j->page->page](j, o);
	}
	json_decref(o);
}

/* ---- requests ---- */

static void
page_saml(struct page_job *j, struct sp_bytes id)
{
	static const char *const back[] = { "flow", "response", NULL }, *const logout[] = { "request", NULL }, *const nothing[] = { NULL };
	bool is_back = j->page->page == PAGE_SAML_BACK, is_logout = j->page->page == PAGE_SAML_LOGOUT;
	json_t *args = args_of(j, is_back ? back : is_logout ? logout : nothing);
	(void)json_object_set_new(args, "id", json_stringn((const char *)id.p, id.len));
	page_ask(j, is_back ? CALL_SAML_ACS : is_logout ? CALL_SAML_LOGOUT : CALL_SAML_METADATA, args);
}

static void
page_first(struct page_job *j, struct sp_bytes id)
{
	static const char *const back[] = { "flow", "state", "code", "iss", "error", NULL }, *const confirm[] = { "code", "allow", NULL },
				*const with[] = { "return", NULL }, *const link[] = { "link", NULL }, *const request[] = { "id", NULL }, *const decide[] = { "id", "hash", "comment", NULL };
	json_t *args;
	switch (j->page->page) {
	case PAGE_SIGNIN:
		page_ask(j, j->token == NULL ? CALL_IDENTITIES : CALL_WHOAMI, json_object());
		break;
	case PAGE_SIGNIN_WITH:
		args = args_of(j, with);
		(void)json_object_set_new(args, "identity", json_stringn((const char *)id.p, id.len));
		page_ask(j, CALL_SIGNIN_BEGIN, args);
		break;
	case PAGE_SIGNIN_BACK:
		args = args_of(j, back);
		(void)json_object_set_new(args, "identity", json_stringn((const char *)id.p, id.len));
		page_ask(j, CALL_SIGNIN_CODE, args);
		break;
	case PAGE_LINK_USE:
		page_ask(j, CALL_LINK_USE, args_of(j, link));
		break;
	case PAGE_DEVICE:
		page_ask(j, CALL_WHOAMI, json_object());
		break;
	case PAGE_DEVICE_CONFIRM:
		page_ask(j, CALL_DEVICE_CONFIRM, args_of(j, confirm));
		break;
	case PAGE_REQUEST:
		page_ask(j, CALL_REQUEST, args_of(j, request));
		break;
	case PAGE_DECIDE:
		page_ask(j, json_is_true(json_object_get(j->args, "allow")) ? CALL_APPROVE : CALL_DENY, args_of(j, decide));
		break;
	case PAGE_SAML_BACK:
	case PAGE_SAML_LOGOUT:
	case PAGE_SAML_METADATA:
		page_saml(j, id);
		break;
	default:
		page_ask(j, CALL_LOGOUT, json_object());
	}
}

/* What a page may be given, and what the keeper calls it; what is not here is passed over, as providers add to it. */
static const struct {
	const char *word, *name;
} page_words[] = {
	{ "link", "link" }, { "state", "state" }, { "code", "code" }, { "iss", "iss" }, { "error", "error" }, { "return", "return" }, { "csrf", "csrf" },
	{ "allow", "allow" }, { "hash", "hash" }, { "comment", "comment" }, { "SAMLResponse", "response" }, { "SAMLRequest", "request" },
};

static bool
page_word(const char *name, struct sp_bytes value, json_t *args)
{
	char *text = mem_alloc(value.len + 1);
	struct sp_writer w = sp_writer(text, value.len + 1);
	http_decode(value, true, &w);
	json_t *v = w.bad ? NULL : json_stringn(text, sp_written(&w).len);
	bool good = v != NULL && json_object_get(args, name) == NULL && json_object_set(args, name, v) == 0;
	json_decref(v);
	free(text);
	return good;
}

/* Members of a page's query or form, as texts, each once. */
static bool
page_args(struct sp_bytes words, json_t *args)
{
	struct sp_reader r = sp_reader(words);
	struct sp_bytes key, value;
	while (http_query_next(&r, &key, &value)) {
		size_t i = 0, n = sizeof(page_words) / sizeof(*page_words);
		while (i < n && !sp_bytes_is(key, page_words[i].word))
			i++;
		if (i < n && !page_word(page_words[i].name, value, args))
			return false;
	}
	return !r.bad;
}

/* A form that a provider's page has the browser post brings its own proof: no cookie counts, and no Origin of ours. */
static bool
page_proof(struct caller *c, const struct page_route *page, const struct request *r, const json_t *args, struct proof *p_r)
{
	*p_r = (struct proof){ .carrier = CARRIER_NONE };
	if (page->page == PAGE_LINK_USE) /* of our own page, and an old cookie doesn't count */
		return guard_request(c, r, p_r, SP_LIT(""));
	if (page->page == PAGE_SAML_BACK || page->page == PAGE_SAML_LOGOUT)
		return guard_host(c, r);
	return guard_proof(c, r, p_r) && guard_request(c, r, p_r, sp_str(text_of(args, "csrf")));
}

static void
page_run(struct caller *c, const struct page_route *page, const struct proof *p, json_t *args)
{
	struct page_job *j = mem_alloc(sizeof(*j));
	*j = (struct page_job){ .job = { NULL, page_end }, .caller = c, .page = page, .args = json_incref(args) };
	if (p->carrier == CARRIER_COOKIE) {
		j->token = secret_new(p->token);
		guard_csrf(p->token, j->csrf);
	}
	json_t *allow = json_object_get(args, "allow");
	if (allow != NULL)
		(void)json_object_set_new(args, "allow", json_boolean(strcmp(json_string_value(allow), "1") == 0));
	caller_work(c, &j->job);
	page_first(j, sp_str(text_of(args, "id")));
}

/* Host, Origin, CSRF; then whether one has to sign in first. */
static void
page_open(struct caller *c, const struct page_route *page, const struct request *r, struct sp_bytes id)
{
	struct proof p;
	json_t *args = json_object();
	bool post = strcmp(page->method, "POST") == 0;
	if (post && !http_name_is(r->type, "application/x-www-form-urlencoded")) {
		caller_refuse(c, 415, "the body must be a form");
	} else if (!page_args(post ? r->body : r->query, args)) {
		caller_refuse(c, 400, "the address or the form is malformed");
	} else if (page_proof(c, page, r, args, &p)) {
		(void)json_object_set_new(args, "id", json_stringn((const char *)id.p, id.len));
		if (r->flow.p != NULL)
			(void)json_object_set_new(args, "flow", json_stringn((const char *)r->flow.p, r->flow.len));
		char back[96];
		way_back(page, args, back);
		if (page->signed_in && p.carrier != CARRIER_COOKIE)
			go_sign_in(c, back, NULL);
		else
			page_run(c, page, &p, args);
	}
	json_decref(args);
}

/* Of web/.  One of those under /assets never changes; the index is asked for anew each time, and is small. */
static void
page_give_file(struct caller *c, const struct request *r, const struct file *f)
{
	bool packed = r->gzip && f->gzip.p != NULL;
	bool same = r->unless.p != NULL && memmem(r->unless.p, r->unless.len, f->etag, strlen(f->etag)) != NULL;
	struct page_reply p = { .status = 200, .type = f->type, .body = packed ? f->gzip : f->body, .packed = packed, .varies = f->gzip.p != NULL,
		.cache = f->lasting ? "public, max-age=31536000, immutable" : "no-cache", .etag = f->etag, .scripts = true };
	if (same) {
		p.status = 304;
		p.packed = false;
		p.body = (struct sp_bytes){ NULL, 0 };
	}
	caller_page(c, &p);
}

static void
page_app(struct caller *c, const struct page_route *page, const struct request *r)
{
	const struct files *files = caller_console(c)->files;
	const struct file *f = files_find(files, page->page == PAGE_APP || page->page == PAGE_HOME || page->page == PAGE_LINK ? SP_LIT("/index.html") : r->path);
	if (!guard_host(c, r))
		return;
	if (f != NULL)
		page_give_file(c, r, f);
	else if (page->page == PAGE_LINK) /* no script takes it from behind the # */
		show(c, &(struct page_reply){ .status = 200 }, "link.html", "Open the console", (const struct hole[]){ { NULL, NULL } });
	else if (page->page == PAGE_HOME)
		go_to(c, RETURN_FIRST, NULL, NULL);
	else if (page->page == PAGE_APP)
		show_message(c, &(struct page_reply){ .status = 404 }, "No console",
		    "This gateway was installed without the console's pages (--without-console). Sign in here, and use the sallyport command for everything else.");
	else
		caller_refuse(c, 404, "there is no such file");
}

static void
page_health(struct caller *c, enum page page)
{
	bool ready = caller_console(c)->keeper != NULL && !caller_console(c)->quitting;
	if (page == PAGE_HEALTH || ready)
		caller_page(c, &(struct page_reply){ .status = 200, .type = "text/plain", .body = SP_LIT("ok\n") });
	else
		caller_page(c, &(struct page_reply){ .status = 503, .type = "text/plain", .body = SP_LIT("the keeper is away\n") });
}

static void
page_openapi(struct caller *c)
{
	static char *text; /* it never changes */
	json_t *o = text == NULL ? openapi_document() : NULL;
	if (text == NULL)
		text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (text == NULL)
		caller_refuse(c, 503, "out of memory");
	else
		caller_page(c, &(struct page_reply){ .status = 200, .type = "application/json", .body = sp_str(text) });
}

bool
page_begin(struct caller *c, const struct request *r)
{
	struct sp_bytes id;
	const struct page_route *page = page_find(r->method, r->path, &id);
	if (page == NULL || (!page->everywhere && caller_visitor(c) == NULL))
		return false;
	if (page->page == PAGE_HEALTH || page->page == PAGE_READY)
		page_health(c, page->page);
	else if (page->page == PAGE_OPENAPI)
		page_openapi(c);
	else if (page->page == PAGE_HOME || page->page == PAGE_APP || page->page == PAGE_LINK || page->page == PAGE_ASSET)
		page_app(c, page, r);
	else if (page->page == PAGE_STYLE)
		caller_page(c, &(struct page_reply){ .status = 200, .type = "text/css; charset=utf-8", .body = page_file("style.css"), .cache = "public, max-age=86400" });
	else if (page->page == PAGE_ICON)
		caller_page(c, &(struct page_reply){ .status = 200, .type = "image/svg+xml", .body = page_file("icon.svg"), .cache = "public, max-age=86400" });
	else
		page_open(c, page, r, id);
	return true;
}
