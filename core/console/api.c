/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to a question, from its answer to a response.  What is not in a table does not
 * exist: neither a route nor an argument (both: core/base/route.c).
 */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "../../modules/http/http.h"
#include "../base/digest.h"
#include "../base/log.h"
#include "console.h"

#define ID_MAX 64
#define WORD_MAX 200u

/* ---- arguments ---- */

static bool
type_fits(enum argument_type type, const json_t *value)
{
	size_t i;
	json_t *element;
	switch (type) {
	case ARGUMENT_TEXT:
		return json_is_string(value);
	case ARGUMENT_FLAG:
		return json_is_boolean(value);
	case ARGUMENT_NUMBER:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case ARGUMENT_TEXTS:
		json_array_foreach(value, i, element)
			if (!json_is_string(element))
				return false;
		return json_is_array(value);
	}
	return false;
}

/* A query's word as the argument's type. */
static json_t *
word_value(enum argument_type type, struct sp_bytes word)
{
	if (type == ARGUMENT_TEXT)
		return json_stringn((const char *)word.p, word.len); /* NULL when it is not UTF-8 */
	if (type == ARGUMENT_FLAG && (sp_bytes_is(word, "1") || sp_bytes_is(word, "true") || word.len == 0))
		return json_true();
	if (type == ARGUMENT_FLAG && (sp_bytes_is(word, "0") || sp_bytes_is(word, "false")))
		return json_false();
	if (type != ARGUMENT_NUMBER || word.len == 0 || word.len > 15)
		return NULL;
	json_int_t n = 0;
	for (size_t i = 0; i < word.len; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return NULL;
		n = n * 10 + (word.p[i] - '0');
	}
	return json_integer(n);
}

static json_t *
decoded_value(enum argument_type type, struct sp_bytes value)
{
	char *text = mem_alloc(value.len + 1);
	struct sp_writer t = sp_writer(text, value.len + 1);
	http_decode(value, true, &t);
	json_t *word = t.bad ? NULL : word_value(type, sp_written(&t));
	mem_wipe(text, value.len + 1);
	free(text);
	return word;
}

bool
api_words(struct caller *c, enum call call, struct sp_bytes query, json_t *args)
{
	struct sp_reader r = sp_reader(query);
	struct sp_bytes key, value;
	while (http_query_next(&r, &key, &value)) {
		char name[32];
		struct sp_writer n = sp_writer(name, sizeof(name));
		http_decode(key, true, &n);
		sp_wr_u8(&n, 0);
		const struct argument *a = n.bad ? NULL : argument_find(call, name);
		if (a == NULL || json_object_get(args, name) != NULL) {
			caller_refuse(c, 400, "\"%s\" is no argument of this call, or given twice", log_quote(key));
			return false;
		}
		json_t *word = decoded_value(a->type, value);
		if (word == NULL || json_object_set_new(args, a->name, word) != 0) {
			caller_refuse(c, 400, "the value of \"%s\" is not of its type", a->name);
			return false;
		}
	}
	return true;
}

/* As it came: the signature is over these bytes, and the keeper has the key. */
static bool
args_signed(struct caller *c, const struct request *r, json_t *args)
{
	const struct {
		const char *name;
		struct sp_bytes value;
	} member[] = { { "body", r->body }, { "timestamp", r->slack_time }, { "signature", r->slack_signature } };
	for (size_t i = 0; i < sizeof(member) / sizeof(*member); i++) {
		bool text = member[i].value.len > 0 && memchr(member[i].value.p, 0, member[i].value.len) == NULL;
		if (text && json_object_set_new(args, member[i].name, json_stringn((const char *)member[i].value.p, member[i].value.len)) == 0)
			continue;
		caller_refuse(c, 401, "it is not signed by Slack");
		return false;
	}
	return true;
}

static bool
args_from_body(struct caller *c, enum call call, const struct request *r, json_t *args)
{
	const char *name;
	json_t *value;
	bool good = true;
	if (call == CALL_SLACK)
		return args_signed(c, r, args);
	if (r->body.len == 0)
		return true;
	if (call == CALL_BACKCHANNEL && http_name_is(r->type, "application/x-www-form-urlencoded"))
		return api_words(c, call, r->body, args);
	if (!http_name_is(r->type, "application/json") && !http_name_is(r->type, "application/json; charset=utf-8")) {
		caller_refuse(c, 415, "the body must be application/json");
		return false;
	}
	json_t *body = json_loadb((const char *)r->body.p, r->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(body)) {
		caller_refuse(c, 400, "the body must be one JSON object, each member once");
		json_decref(body);
		return false;
	}
	json_object_foreach(body, name, value) {
		const struct argument *a = argument_find(call, name);
		good = good && a != NULL && type_fits(a->type, value) && json_object_set(args, a->name, value) == 0;
	}
	if (!good)
		caller_refuse(c, 400, "the body has a member that this call does not take, or of another type");
	json_decref(body);
	return good;
}

static bool
id_is_plain(struct sp_bytes id)
{
	for (size_t i = 0; i < id.len; i++)
		if ((id.p[i] < 'a' || id.p[i] > 'z') && (id.p[i] < '0' || id.p[i] > '9') && id.p[i] != '-' && id.p[i] != '_')
			return false; /* of what we number, or the name of a block */
	return id.len > 0 && id.len <= ID_MAX;
}

/* NULL: the caller has its answer already. */
static json_t *
request_args(struct caller *c, const struct route *route, struct sp_bytes id, const struct request *r)
{
	json_t *args = json_object();
	bool get = strcmp(route->method, "GET") == 0;
	bool good = true;
	if (id.p != NULL && (!id_is_plain(id) || json_object_set_new(args, "id", json_stringn((const char *)id.p, id.len)) != 0)) {
		caller_refuse(c, 404, "\"%s\" is no id", log_quote(id));
		good = false;
	} else if (get ? r->body.len > 0 : r->query.len > 0) {
		caller_refuse(c, 400, get ? "GET takes its arguments in the query" : "POST takes its arguments in the body");
		good = false;
	} else if (get) {
		good = api_words(c, route->call, r->query, args);
	} else {
		good = args_from_body(c, route->call, r, args);
	}
	if (good)
		return args;
	json_decref(args);
	return NULL;
}

/* ---- a question under way ---- */

struct call_job {
	struct job job;
	struct caller *caller;
	struct ask *ask;
	enum call call;
	bool cookie;
	char csrf[CSRF_TEXT]; /* of the cookie that asked */
	struct verify_call *verify; /* once the recording is here */
};

static void
call_end(struct job *job)
{
	struct call_job *j = (struct call_job *)job;
	ask_cancel(&j->ask);
	verify_call_free(&j->verify);
	free(j);
}

static void
call_step(struct job *job)
{
	struct call_job *j = (struct call_job *)job;
	if (j->verify != NULL)
		verify_call_step(j->verify);
}

static void
take_recording(struct caller *c, struct answer *a)
{
	int fd = a->fd;
	a->fd = -1;
	caller_send_file(c, fd, "a recording");
}

/* ---- how often one may try ---- */

/* Whose bucket it is: the address's; behind a proxy, where all have one, that of the sign-in or token.  NULL: nobody's. */
static const struct visitor *
payer(const struct visitor *v, const struct proof *p, struct visitor *own)
{
	uint8_t hash[DIGEST_LEN];
	if (v == NULL || !v->local)
		return v;
	if (p == NULL || p->carrier == CARRIER_NONE)
		return NULL;
	digest_sha256(p->token, hash);
	memcpy(own->net, hash, sizeof(own->net));
	return own;
}

bool
api_may_ask(struct caller *c, enum call call, const struct proof *p, json_t *args)
{
	const struct visitor *v = caller_visitor(c);
	struct visitor own = { .local = true };
	bool anybody = false;
	unsigned seconds;
	for (const struct route *r = route_table; r->method != NULL; r++)
		anybody = anybody || (r->call == call && r->role == MAY_ANYBODY);
	bool tries = (anybody && call != CALL_IDENTITIES) || call == CALL_DEVICE_LOOK || call == CALL_DEVICE_CONFIRM;
	unsigned cost = call == CALL_DEVICE_POLL || call == CALL_SLACK ? ATTEMPTS_POLL : tries ? ATTEMPTS_SIGN_IN : 0;
	/* Whoever shares the address of somebody who tries: their sign-in is looked up, which costs little, and can't be guessed. */
	bool held_up = tries || p->carrier == CARRIER_BEARER;
	if (!attempts_charge(caller_console(c), payer(v, p, &own), cost, &seconds) && held_up) {
		caller_retry_after(c, seconds);
		return false;
	}
	if (anybody)
		(void)json_object_set_new(args, "address", json_string(v == NULL ? "" : v->address));
	return true;
}

void
api_was_told(struct caller *c, unsigned status)
{
	unsigned seconds;
	if (status == 401)
		(void)attempts_charge(caller_console(c), payer(caller_visitor(c), NULL, NULL), ATTEMPTS_SIGN_IN, &seconds);
}

/* ---- answers ---- */

/* Who has a cookie, and no way to read it, is told what its writes have to bring along. */
static void
tell_whoami(struct caller *c, const struct call_job *j, const struct answer *a)
{
	json_t *o = json_loadb((const char *)a->json.p, a->json.len, 0, NULL);
	char *text = o == NULL || json_object_set_new(o, "csrf", json_string(j->csrf)) != 0 ? NULL : json_dumps(o, JSON_COMPACT);
	if (text == NULL)
		caller_refuse(c, 500, "the answer can't be written");
	else
		caller_reply(c, 200, sp_str(text));
	free(text);
	json_decref(o);
}

static void
tell_metrics(struct caller *c, const struct answer *a)
{
	json_t *o = json_loadb((const char *)a->json.p, a->json.len, 0, NULL);
	const char *text = json_string_value(json_object_get(o, "text"));
	if (text == NULL)
		caller_refuse(c, 502, "the keeper's numbers can't be read");
	else
		caller_page(c, &(struct page_reply){ .status = 200, .type = "text/plain; version=0.0.4; charset=utf-8", .body = sp_str(text) });
	json_decref(o);
}

static void
on_answer(void *owner, struct answer *a)
{
	struct call_job *j = owner;
	struct caller *c = j->caller;
	enum call call = j->call;
	j->ask = NULL;
	api_was_told(c, a->status);
	if (a->status == 200 && a->fd >= 0 && call == CALL_RECORDING) {
		take_recording(c, a);
	} else if (a->status == 200 && a->fd >= 0 && call == CALL_VERIFY) {
		j->verify = verify_call_new(c, a);
	} else if (a->status == 200 && a->fd >= 0 && call == CALL_EXPLAIN) {
		explain_answer(c, a); /* j is gone */
	} else if (a->status == 200 && call == CALL_METRICS) {
		tell_metrics(c, a);
	} else if (a->status == 200 && j->cookie && call == CALL_WHOAMI) {
		tell_whoami(c, j, a);
	} else if (a->status == 200 && j->cookie && call == CALL_LOGOUT) {
		caller_page(c, &(struct page_reply){ 200, "application/json", a->json, .cookie = { COOKIE_GONE } });
	} else {
		caller_reply(c, a->status, a->json);
	}
}

static void
ask_begin(struct caller *c, enum call call, const struct proof *p, json_t *args)
{
	const struct question q = { caller_connection(c), p->token, call, args };
	struct call_job *j = mem_alloc(sizeof(*j));
	*j = (struct call_job){ .job = { call_step, call_end }, .caller = c, .call = call, .cookie = p->carrier == CARRIER_COOKIE };
	if (j->cookie && call == CALL_WHOAMI)
		guard_csrf(p->token, j->csrf);
	j->ask = ask_keeper(caller_console(c), &q, on_answer, j);
	caller_work(c, &j->job);
	if (j->ask == NULL)
		caller_refuse(c, 503, "out of memory");
}

/* Calls whose answers are made bit by bit.  Each takes args over. */
static const struct {
	enum call call;
	void (*begin)(struct caller *c, struct sp_bytes token, json_t *args);
} streams[] = { { CALL_SEARCH, search_begin }, { CALL_REPLAY, replay_begin }, { CALL_AUDIT, audit_begin }, { CALL_EVENTS, events_begin } };

/* What is looked for in many lines and frames: a long text would take the time of everybody. */
static bool
words_fit(struct caller *c, json_t *args)
{
	const char *name;
	json_t *value;
	json_object_foreach(args, name, value)
		if (json_string_length(value) > WORD_MAX) {
			caller_refuse(c, 400, "\"%s\" has at most %u bytes", name, WORD_MAX);
			return false;
		}
	return true;
}

void
api_begin(struct caller *c, const struct request *r)
{
	struct sp_bytes id;
	struct proof p;
	if (!http_path_is_plain(r->path)) {
		caller_refuse(c, 400, "the path is not plain");
		return;
	}
	if (page_begin(c, r) || !guard_proof(c, r, &p) || !guard_request(c, r, &p, r->csrf))
		return;
	const struct route *route = route_find(r->method, r->path, &id);
	if (route == NULL) {
		bool other = route_find(SP_LIT("GET"), r->path, &id) != NULL || route_find(SP_LIT("POST"), r->path, &id) != NULL;
		caller_refuse(c, other ? 405 : 404, other ? "this call has another method" : "there is no such call");
		return;
	}
	json_t *args = request_args(c, route, id, r);
	/* A browser that lost the stream says by itself how far it had come. */
	if (args != NULL && route->call == CALL_EVENTS && r->last_event.len > 0)
		(void)json_object_set_new(args, "after", json_stringn((const char *)r->last_event.p, r->last_event.len));
	if (args == NULL || !api_may_ask(c, route->call, &p, args)) {
		json_decref(args);
		return;
	}
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		if (streams[i].call != route->call)
			continue;
		if (words_fit(c, args))
			streams[i].begin(c, p.token, args);
		else
			json_decref(args);
		return;
	}
	ask_begin(c, route->call, &p, args);
	json_decref(args);
}
