/* SPDX-License-Identifier: Apache-2.0 */
/* The API: sessions, live and past, and their recordings. */
#include <config.h>

#include "api.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/directive.h"
#include "../base/log.h"
#include "../record/recording.h"
#include "gateways.h"
#include "ledger.h"
#include "live.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define KILL_REASON 200    /* bytes that the session's user and auditors read of it */
#define RECORDINGS_MAX 200 /* each is a question to the store besides */

static const char *const why_names[] = {
	[SP_END_EOF] = "eof", [SP_END_SHUTDOWN] = "shutdown", [SP_END_REVOKED] = "revoked", [SP_END_EXPIRED] = "expired",
	[SP_END_IDLE] = "idle", [SP_END_RULE] = "rule", [SP_END_RECORDER] = "recorder", [SP_END_ERROR] = "error",
};

static json_t *
text_of(const struct field *f)
{
	json_t *j = json_stringn((const char *)f->s.p, f->s.len);
	return j == NULL ? json_string("?") : j; /* not UTF-8 */
}

/* By the order of SESSION_COLUMNS in store.c. */
static json_t *
session_json(const struct field *row)
{
	static const struct {
		const char *name;
		unsigned column;
	} texts[] = { { "user", 2 }, { "target", 3 }, { "part", 4 }, { "address", 5 }, { "protocol", 6 } },
	  numbers[] = { { "operations", 11 }, { "denied", 12 }, { "rows", 13 }, { "bytes", 14 } };
	char id[ID_TEXT];
	uint64_t ended = row[8].q, why = row[9].q;
	json_t *j = json_pack("{s:s}", "id", row[0].s.len == ID_LEN ? id_format(row[0].s.p, id) : "?");
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		(void)json_object_set_new(j, texts[i].name, text_of(&row[texts[i].column]));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		(void)json_object_set_new(j, numbers[i].name, json_integer((json_int_t)row[numbers[i].column].q));
	(void)json_object_set_new(j, "state", json_string(ended == 0 ? "live" : why == LIVE_TORN ? "torn" : "ended"));
	api_set_time(j, "started", row[7].q);
	api_set_time(j, "ended", ended);
	if (ended > 0 && why < sizeof(why_names) / sizeof(*why_names))
		(void)json_object_set_new(j, "why", json_string(why_names[why]));
	if (ended > 0)
		(void)json_object_set_new(j, "text", text_of(&row[10]));
	(void)json_object_set_new(j, "gateway", text_of(&row[17]));
	if (row[18].s.len > 0)
		(void)json_object_set_new(j, "group", text_of(&row[18]));
	return j;
}

static int
add_session(void *owner, const struct field *row)
{
	return json_array_append_new(owner, session_json(row)) == 0 ? SP_OK : SP_ENOMEM;
}

/* Where a list goes on: when its last session began, and its id. */
struct list_place {
	uint64_t before, since;
	uint8_t id[ID_LEN];
	size_t id_len;
	char next[64];
};

/* "1795493553120000.ID" */
static bool
cursor_parse(const char *text, struct list_place *p)
{
	char *dot = NULL;
	if (text[0] < '0' || text[0] > '9')
		return false;
	unsigned long long before = strtoull(text, &dot, 10);
	p->before = before;
	p->id_len = ID_LEN;
	return before <= INT64_MAX && *dot == '.' && id_parse(dot + 1, p->id) == SP_OK;
}

/* From the arguments since, until and cursor. */
static int
place_of(struct api *a, struct list_place *p)
{
	const char *since = api_text(a, "since"), *until = api_text(a, "until"), *cursor = api_text(a, "cursor");
	*p = (struct list_place){ .before = INT64_MAX };
	if (since[0] != '\0' && directive_moment(since, &p->since) != SP_OK)
		return api_refuse(a, 400, "\"since\" is a time like 2026-11-24T04:12:33Z, or how long ago: 90m");
	if (until[0] != '\0' && directive_moment(until, &p->before) != SP_OK)
		return api_refuse(a, 400, "\"until\" is a time like 2026-11-24T04:12:33Z, or how long ago: 90m");
	if (cursor[0] != '\0' && !cursor_parse(cursor, p))
		return api_refuse(a, 400, "the cursor is not one that such a list gave");
	return SP_OK;
}

struct listing {
	json_t *list;
	uint64_t most;
	struct list_place *place;
	uint64_t started; /* of the last one taken */
};

static int
take_listed(void *owner, const struct field *row)
{
	struct listing *l = owner;
	char id[ID_TEXT];
	if (json_array_size(l->list) == l->most) { /* there is one more */
		(void)snprintf(l->place->next, sizeof(l->place->next), "%llu.%s", (unsigned long long)l->started,
		    json_string_value(json_object_get(json_array_get(l->list, l->most - 1), "id")));
		return SP_OK;
	}
	l->started = row[7].q;
	return row[0].s.len == ID_LEN && id_format(row[0].s.p, id) != NULL ? add_session(l->list, row) : SP_OK;
}

static uint64_t
limit_of(const struct api *a, uint64_t most)
{
	uint64_t limit = api_number(a, "limit", LIST_DEFAULT);
	return limit == 0 || limit > most ? most : limit;
}

#define WORDS_MAX 100

/* Part of a session's own words, in any case, as LIKE … ESCAPE '!' has it. */
static const char *
words_of(struct api *a, const char *name)
{
	const char *text = api_text(a, name);
	size_t n = 0, len = strlen(text);
	char *out = len == 0 ? NULL : arena_alloc(a->arena, 2 * len + 3);
	if (out == NULL)
		return "";
	out[n++] = '%';
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '%' || *c == '_' || *c == '!')
			out[n++] = '!';
		out[n++] = *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c;
	}
	out[n++] = '%';
	out[n] = '\0';
	return out;
}

/* By `live user target since until verdict words group cursor`, at most so many; sets "next" where there are more. */
static int
list(struct api *a, bool own, uint64_t most, json_t *into)
{
	static const char *const verdicts[] = { "", "allow", "deny", "held" };
	const struct principal *p = &a->who.principal;
	struct list_place place;
	uint64_t verdict = 0;
	while (verdict < 4 && strcmp(verdicts[verdict], api_text(a, "verdict")) != 0)
		verdict++;
	if (verdict == 4)
		return api_refuse(a, 400, "\"verdict\" is allow, deny or held");
	/* "text" of search is what its operations have. */
	const char *words = a->call == CALL_SEARCH ? "" : words_of(a, "text");
	int rc = words[0] != '\0' && strlen(api_text(a, "text")) > WORDS_MAX ? api_refuse(a, 400, "\"text\" has at most %d bytes", WORDS_MAX) : place_of(a, &place);
	if (rc != SP_OK)
		return rc;
	struct listing l = { into, most, &place, 0 };
	const struct field args[] = { Q(place.before), Q(api_flag(a, "live")), Z(api_text(a, "user")), Z(api_text(a, "target")),
		Z(own ? p->issuer : ""), Z(own ? p->subject : ""), Q(l.most + 1), S(((struct sp_bytes){ place.id, place.id_len })), Q(place.since),
		Q(verdict), Z(words), Z(a->call == CALL_SESSIONS ? api_text(a, "group") : "") };
	rc = store_read(a->k->store, STORE_SESSION_LIST, args, take_listed, &l);
	if (rc == SP_OK && place.next[0] != '\0')
		api_set(a, "next", json_string(place.next));
	return rc;
}

int
api_sessions(struct api *a)
{
	json_t *sessions = json_array();
	int rc = list(a, !api_may(a, MAY_AUDIT | MAY_OPERATE), limit_of(a, LIST_MAX), sessions);
	if (rc == SP_OK)
		api_set(a, "sessions", sessions);
	else
		json_decref(sessions);
	return rc;
}

/* ---- one session ---- */

struct found {
	struct api *a;
	json_t *session;
	bool own, visible; /* own: nobody else's, whatever the caller may */
};

static int
take_session(void *owner, const struct field *row)
{
	struct found *f = owner;
	const struct principal *p = &f->a->who.principal;
	f->session = session_json(row);
	f->visible = (!f->own && api_may(f->a, MAY_AUDIT | MAY_OPERATE)) ||
	    (sp_bytes_is(row[15].s, p->issuer) && sp_bytes_is(row[16].s, p->subject));
	return SP_OK;
}

struct prefix {
	const char *text;
	char id[ID_TEXT];
	unsigned n;
};

static int
take_prefix(void *owner, const struct field *row)
{
	struct prefix *p = owner;
	char id[ID_TEXT];
	if (row[0].s.len != ID_LEN || strncmp(id_format(row[0].s.p, id), p->text, strlen(p->text)) != 0)
		return SP_OK;
	memcpy(p->id, id, sizeof(id));
	p->n++;
	return SP_OK;
}

/* The id itself, or a prefix of one of the last thousand. */
static int
session_id(struct api *a, uint8_t id_r[ID_LEN])
{
	struct prefix p = { .text = api_text(a, "id") };
	if (id_parse(p.text, id_r) == SP_OK)
		return SP_OK;
	if (strlen(p.text) >= 4) {
		const struct field args[] = { Q(INT64_MAX), Q(0), Z(""), Z(""), Z(""), Z(""), Q(LIST_MAX), Z(""), Q(0), Q(0), Z(""), Z("") };
		if (store_read(a->k->store, STORE_SESSION_LIST, args, take_prefix, &p) != SP_OK)
			return SP_EIO;
	}
	if (p.n > 1)
		return api_refuse(a, 409, "several sessions begin like that: give more letters");
	if (p.n == 0)
		return api_refuse(a, 404, "there is no such session");
	return id_parse(p.id, id_r);
}

/* The session that the caller asks for and may see; its JSON is the caller's. */
static int
find(struct api *a, uint8_t id_r[ID_LEN], bool own, json_t **session_r)
{
	struct found f = { .a = a, .own = own };
	*session_r = NULL;
	int rc = session_id(a, id_r);
	const struct field args[] = { S(((struct sp_bytes){ id_r, ID_LEN })) };
	if (rc == SP_OK)
		rc = store_read(a->k->store, STORE_SESSION_GET, args, take_session, &f);
	if (rc == SP_OK && !f.visible) {
		json_decref(f.session);
		return api_refuse(a, 404, "there is no such session");
	}
	*session_r = f.session;
	return rc;
}

json_t *
api_session_seen(struct api *a, const char *id)
{
	struct found f = { .a = a };
	uint8_t raw[ID_LEN];
	const struct field args[] = { S(((struct sp_bytes){ raw, ID_LEN })) };
	if (id_parse(id, raw) == SP_OK && store_read(a->k->store, STORE_SESSION_GET, args, take_session, &f) == SP_OK && f.visible)
		return f.session;
	json_decref(f.session);
	return NULL;
}

static int
add_group(void *owner, const struct field *row)
{
	return json_array_append_new(owner, text_of(&row[0])) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_session(struct api *a)
{
	uint8_t id[ID_LEN];
	json_t *session, *groups = json_array();
	const struct field args[] = { S(((struct sp_bytes){ id, ID_LEN })) };
	int rc = find(a, id, false, &session);
	if (rc == SP_OK)
		rc = store_read(a->k->store, STORE_GROUPS, args, add_group, groups);
	if (rc != SP_OK) {
		json_decref(groups);
		json_decref(session);
		return rc;
	}
	(void)json_object_set_new(session, "groups", groups);
	json_decref(a->answer);
	a->answer = session;
	return SP_OK;
}

/* Here, or by way of the gateway that has it. */
static int
end_one(struct api *a, const uint8_t id[ID_LEN], const char *gateway, const char *text)
{
	struct live *s = live_find(a->k, (struct sp_bytes){ id, ID_LEN });
	if (s != NULL)
		live_kill(a->k, s, SP_END_REVOKED, text);
	else if (gateways_own(sp_str(gateway)))
		return api_refuse(a, 409, "the session has ended");
	else
		return gateways_wish(a->k, id, gateway, text);
	return SP_OK;
}

int
api_kill(struct api *a)
{
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	json_t *session;
	int rc = find(a, id, false, &session);
	const char *gateway = rc == SP_OK ? arena_string(a->arena, sp_str(json_string_value(json_object_get(session, "gateway")))) : NULL;
	const char *state = rc == SP_OK ? json_string_value(json_object_get(session, "state")) : NULL;
	bool live = state != NULL && strcmp(state, "live") == 0;
	json_decref(session);
	if (rc != SP_OK)
		return rc;
	if (!live || gateway == NULL)
		return api_refuse(a, 409, "the session has ended");
	const char *reason = api_text(a, "reason");
	int cut = audit_cut(reason, KILL_REASON);
	char *text = arena_printf(a->arena, "ended by %s%s%.*s", a->who.principal.name, reason[0] == '\0' ? "" : ": ", cut, reason);
	rc = end_one(a, id, gateway, text == NULL ? "ended by an operator" : text);
	if (rc != SP_OK)
		return rc;
	audit(a->k, "kill", json_pack("{s:s,s:s,s:s,s:s#}", "session", id_format(id, name), "by", a->who.principal.user, "issuer",
	    a->who.principal.issuer, "reason", reason, cut));
	api_set(a, "killed", json_integer(1));
	api_set(a, "id", json_string(id_format(id, name)));
	return SP_OK;
}

/* ---- recordings ---- */

/* A recording is where its session was. */
static int
check_here(struct api *a, const json_t *session)
{
	const char *gateway = json_string_value(json_object_get(session, "gateway"));
	if (gateway == NULL || gateways_own(sp_str(gateway)))
		return SP_OK;
	return api_refuse(a, 409, "its recording is kept by the gateway %s: ask there", gateway);
}

static int
hand_out(struct api *a, const char *event)
{
	uint8_t id[ID_LEN];
	char name[ID_TEXT], hex[65];
	json_t *session, *entries = json_array();
	int rc = find(a, id, false, &session);
	if (rc == SP_OK)
		rc = check_here(a, session);
	json_decref(session);
	if (rc == SP_OK)
		rc = ledger_entries(a->k, (struct sp_bytes){ id, ID_LEN }, entries);
	if (rc != SP_OK) {
		json_decref(entries);
		return rc;
	}
	text_hex((struct sp_bytes){ a->k->keys.signing.public, 32 }, hex);
	(void)id_format(id, name);
	api_set(a, "id", json_string(name));
	api_set(a, "key", json_string(hex));
	api_set(a, "entries", entries);
	rc = api_fetch(a, name);
	/* Who read whose recording is itself worth a line. */
	if (rc == SP_OK)
		audit(a->k, event, json_pack("{s:s,s:s,s:s}", "session", name, "by", a->who.principal.user, "issuer", a->who.principal.issuer));
	return rc;
}

int
api_recording(struct api *a)
{
	return hand_out(a, "read");
}

int
api_verify(struct api *a)
{
	return hand_out(a, "verify");
}

/* One's own operations, and an auditor everybody's: what an operator may see of a session is not its text. */
int
api_explain(struct api *a)
{
	uint64_t op = api_number(a, "op", 0);
	uint8_t id[ID_LEN];
	char name[ID_TEXT];
	json_t *session;
	if (op == 0 || op > UINT32_MAX)
		return api_refuse(a, 400, "say which operation: ?op=NUMBER");
	int rc = find(a, id, !api_may(a, MAY_AUDIT), &session);
	if (rc == SP_OK)
		rc = check_here(a, session);
	json_decref(session);
	if (rc != SP_OK)
		return rc;
	(void)id_format(id, name);
	api_set(a, "id", json_string(name));
	api_set(a, "op", json_integer((json_int_t)op));
	rc = api_fetch(a, name);
	if (rc == SP_OK)
		audit(a->k, "explain", json_pack("{s:s,s:I,s:s,s:s}", "session", name, "op", (json_int_t)op, "by", a->who.principal.user,
		    "issuer", a->who.principal.issuer));
	return rc;
}

int
api_replay(struct api *a)
{
	return hand_out(a, "read");
}

/* The sessions to look into: how many matches are wanted is the console's affair. */
int
api_search(struct api *a)
{
	json_t *sessions = json_array();
	int rc = list(a, false, LIST_MAX, sessions);
	audit(a->k, "search", json_pack("{s:s,s:s}", "by", a->who.principal.user, "issuer", a->who.principal.issuer));
	if (rc == SP_OK)
		api_set(a, "sessions", sessions);
	else
		json_decref(sessions);
	return rc;
}

/*
 * The audit log, read only: master hands it to the keeper, the recorder alone writes it.  The answer promises nothing that the
 * store must hold, and goes at once, with its descriptor.
 */
int
api_audit(struct api *a)
{
	if (a->k->audit_log < 0)
		return api_refuse(a, 404, "the gateway keeps no audit log: `audit FILE;` in its configuration would");
	struct message out = { .type = MSG_RESULT, .id = a->id, .f = { Q(200), Z("{}") }, .fd = { a->k->audit_log, -1, -1 }, .nfds = 1 };
	if (link_send(a->link, &out) != SP_OK)
		return api_refuse(a, 503, "the audit log could not be handed over; try again in a moment");
	a->later = true; /* it has its answer */
	audit(a->k, "audit read", json_pack("{s:s,s:s}", "by", a->who.principal.user, "issuer", a->who.principal.issuer));
	return SP_OK;
}

/* ---- what is known of a recording ---- */

static int
take_last(void *owner, const struct field *row)
{
	return ledger_decode(row[0].s, owner);
}

/* What the ledger says of it last: how much of it is signed, or that its retention is over. */
static int
add_recorded(struct api *a, json_t *session)
{
	struct ledger_entry e = { .kind = 0 };
	uint8_t id[ID_LEN];
	const char *text = json_string_value(json_object_get(session, "id")), *gateway = json_string_value(json_object_get(session, "gateway"));
	bool here = gateway == NULL || gateways_own(sp_str(gateway));
	if (text == NULL || id_parse(text, id) != SP_OK)
		return SP_EINTERNAL;
	const struct field args[] = { S(((struct sp_bytes){ id, ID_LEN })) };
	int rc = here ? store_read(a->k->store, STORE_LEDGER_LAST_OF, args, take_last, &e) : SP_OK;
	(void)json_object_set_new(session, "recording", json_string(!here ? "elsewhere" : e.kind == 0 ? "begun" : e.kind == LEDGER_TOMBSTONE ? "removed" : "kept"));
	(void)json_object_set_new(session, "frames", json_integer((json_int_t)e.frames));
	(void)json_object_set_new(session, "size", json_integer((json_int_t)e.bytes));
	api_set_time(session, "signed_at", e.wall);
	return rc;
}

int
api_recordings(struct api *a)
{
	json_t *recordings = json_array(), *one;
	size_t i;
	int rc = list(a, false, limit_of(a, RECORDINGS_MAX), recordings);
	json_array_foreach(recordings, i, one)
		rc = rc == SP_OK ? add_recorded(a, one) : rc;
	if (rc == SP_OK)
		api_set(a, "recordings", recordings);
	else
		json_decref(recordings);
	return rc;
}

int
api_recording_one(struct api *a)
{
	int rc = api_session(a);
	return rc == SP_OK ? add_recorded(a, a->answer) : rc;
}
