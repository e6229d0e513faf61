/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands about people, sessions and requests: each one call, and its answer as a table. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "../base/conf.h"
#include "../base/directive.h"
#include "command.h"

int
command_list(struct run *r, const char *path, json_t *args, const char *name, const char *const *columns)
{
	json_t *answer;
	const json_t *row;
	size_t i;
	char head[12][24];
	const char *heads[13] = { NULL };
	int rc = client_call(r, "GET", path, args, &answer);
	if (rc != DONE)
		return rc;
	if (r->json) {
		rc = print_json(answer);
		json_decref(answer);
		return rc;
	}
	for (size_t k = 0; columns[k] != NULL && k < 12; k++) {
		for (size_t c = 0; c < sizeof(head[k]); c++) {
			char letter = columns[k][c];
			head[k][c] = letter >= 'a' && letter <= 'z' ? (char)(letter - 32) : letter;
			if (letter == '\0')
				break;
		}
		heads[k] = head[k];
	}
	struct table *t = table_new(heads);
	json_array_foreach(json_object_get(answer, name), i, row)
		for (size_t k = 0; columns[k] != NULL; k++)
			table_member(t, row, columns[k]);
	table_print(&t);
	const char *next = json_string_value(json_object_get(answer, "next"));
	if (next != NULL) {
		(void)fprintf(stderr, "sallyport: there are more: --cursor ");
		print_safe(stderr, sp_str(next), 0);
		(void)fprintf(stderr, "\n");
	}
	json_decref(answer);
	return DONE;
}

int
command_object(struct run *r, const char *method, const char *path, json_t *args, const char *const *members)
{
	json_t *answer;
	int rc = client_call(r, method, path, args, &answer);
	if (rc != DONE)
		return rc;
	if (r->json)
		rc = print_json(answer);
	else
		print_members(answer, members);
	json_decref(answer);
	return rc;
}

static void
set_text(json_t *args, const char *name, const char *value)
{
	if (value != NULL)
		(void)json_object_set_new(args, name, json_string(value));
}

/* ---- who ---- */

static json_t *
split_words(const char *list)
{
	json_t *words = json_array();
	struct sp_reader r = sp_reader(sp_str(list));
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes word = sp_rd_until(&r, ',');
		if (r.bad) {
			word = sp_rd_rest(&rest);
			r = rest;
		}
		if (word.len > 0)
			(void)json_array_append_new(words, json_stringn((const char *)word.p, word.len));
	}
	return words;
}

int
run_token(struct run *r)
{
	const char *user = option(r, "user"), *groups = option(r, "groups"), *ttl = option(r, "ttl");
	uint64_t ms = 600000;
	json_t *answer;
	if (user == NULL || user[0] == '\0')
		return misused(r, "it needs --user NAME");
	if (ttl != NULL && (directive_duration(ttl, &ms) != SP_OK || ms == 0))
		return misused(r, "--ttl takes a duration with its unit, such as 10m, not \"%s\"", ttl);
	json_t *args = json_pack("{sssIsbso}", "user", user, "ttl", (json_int_t)ms, "api", flag(r, "api"), "groups",
	    split_words(groups == NULL ? "" : groups));
	set_text(args, "class", option(r, "class"));
	set_text(args, "sponsor", option(r, "sponsor"));
	int rc = client_call(r, "POST", "/api/v1/token", args, &answer);
	if (rc != DONE)
		return rc;
	const char *token = json_string_value(json_object_get(answer, "token"));
	if (r->json)
		rc = print_json(answer);
	else if (token == NULL)
		rc = failed("the gateway's answer has no token");
	else
		(void)printf("%s\n", token);
	json_decref(answer);
	return rc;
}

int
run_whoami(struct run *r)
{
	static const char *const members[] = { "user", "name", "identity", "issuer", "subject", "class", "sponsor", "methods", "groups", "roles",
		"may", "expires", "authenticated", NULL };
	return command_object(r, "GET", "/api/v1/whoami", NULL, members);
}

int
run_revoke(struct run *r)
{
	static const char *const members[] = { "user", "ended", NULL };
	const char *user = option(r, "user");
	if (user == NULL || user[0] == '\0')
		return misused(r, "it needs --user NAME");
	return command_object(r, "POST", "/api/v1/revoke", json_pack("{ss}", "user", user), members);
}

int
run_targets(struct run *r)
{
	static const char *const columns[] = { "name", "mode", "protocol", "database", "access", "host", "port", "tls", NULL };
	return command_list(r, "/api/v1/targets", NULL, "targets", columns);
}

int
run_status(struct run *r)
{
	static const char *const members[] = { "version", "epoch", "epoch_hash", "started", "sessions", "held", NULL };
	static const char *const heads[] = { "WORKER", "SESSIONS", NULL };
	json_t *answer;
	const json_t *row;
	size_t i;
	int rc = client_call(r, "GET", "/api/v1/status", NULL, &answer);
	if (rc != DONE)
		return rc;
	if (r->json) {
		rc = print_json(answer);
		json_decref(answer);
		return rc;
	}
	print_members(answer, members);
	if (json_array_size(json_object_get(answer, "workers")) > 0) {
		struct table *t = table_new(heads);
		json_array_foreach(json_object_get(answer, "workers"), i, row) {
			table_member(t, row, "index");
			table_member(t, row, "sessions");
		}
		(void)printf("\n");
		table_print(&t);
	}
	json_decref(answer);
	return DONE;
}

/* ---- sessions ---- */

static void
set_listing(const struct run *r, json_t *args, uint64_t limit)
{
	static const char *const names[] = { "user", "target", "since", "until", "cursor" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		set_text(args, names[i], option(r, names[i]));
	if (limit > 0)
		(void)json_object_set_new(args, "limit", json_integer((json_int_t)limit));
}

int
run_sessions(struct run *r)
{
	static const char *const columns[] = { "id", "user", "target", "part", "state", "started", "operations", "denied", "rows",
		"address", "group", NULL };
	uint64_t limit;
	int rc = option_count(r, "limit", &limit);
	if (rc != DONE)
		return rc;
	json_t *args = json_object();
	if (flag(r, "live"))
		(void)json_object_set_new(args, "live", json_true());
	set_text(args, "group", option(r, "group"));
	set_listing(r, args, limit);
	return command_list(r, "/api/v1/sessions", args, "sessions", columns);
}

int
run_recordings(struct run *r)
{
	static const char *const columns[] = { "id", "user", "target", "state", "started", "operations", "denied", "recording", "size", NULL };
	static const char *const members[] = { "id", "user", "target", "part", "protocol", "address", "state", "started", "ended", "why", "text",
		"operations", "denied", "rows", "recording", "frames", "size", "signed_at", "gateway", NULL };
	char path[256];
	uint64_t limit;
	int rc = option_count(r, "limit", &limit);
	if (rc != DONE)
		return rc;
	if (r->nwords == 1) {
		rc = client_path("recordings", r->word[0], "", path);
		return rc == DONE ? command_object(r, "GET", path, NULL, members) : rc;
	}
	json_t *args = json_object();
	set_listing(r, args, limit);
	set_text(args, "verdict", option(r, "verdict"));
	return command_list(r, "/api/v1/recordings", args, "recordings", columns);
}

int
run_kill(struct run *r)
{
	static const char *const members[] = { "id", "killed", NULL };
	char path[256];
	json_t *args = json_object();
	if (client_path("sessions", r->word[0], "/kill", path) != DONE) {
		json_decref(args);
		return FAILED;
	}
	set_text(args, "reason", option(r, "reason"));
	return command_object(r, "POST", path, args, members);
}

/* ---- requests ---- */

#define SHOWN 48

struct shown { /* members of one object, in the order they are printed */
	json_t *all;
	const char *names[SHOWN + 1];
	char room[SHOWN][64];
	size_t n;
	bool more; /* than there is room for */
};

/* Objects member by member, lists of others than texts as compact JSON; nothing hides another of its name. */
static void
show(struct shown *s, const char *name, json_t *value)
{
	const char *inner;
	json_t *v;
	if (json_is_object(value)) {
		json_object_foreach(value, inner, v)
			show(s, inner, v);
		return;
	}
	if (value == NULL || json_is_null(value) || json_equal(value, json_object_get(s->all, name)))
		return;
	if (s->n == SHOWN) {
		s->more = true;
		return;
	}
	char *own = s->room[s->n];
	(void)snprintf(own, sizeof(s->room[0]), "%.48s", name);
	for (unsigned i = 2; json_object_get(s->all, own) != NULL; i++)
		(void)snprintf(own, sizeof(s->room[0]), "%.48s (%u)", name, i);
	name = s->names[s->n++] = own;
	if (json_is_array(value) && !json_is_string(json_array_get(value, 0))) {
		char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
		(void)json_object_set_new(s->all, name, json_string(text == NULL ? "" : text));
		free(text);
	} else {
		(void)json_object_set(s->all, name, value);
	}
}

/* Everything that an approver must see, none of it able to hide; the text last, as it may be long.  FAILED: it was not all (AP1). */
static int
print_request(const json_t *request)
{
	static const char *const members[] = { "id", "kind", "state", "user", "class", "sponsor", "rule", "by", "count", "votes", "asked", "until", "hash", "estimate", NULL };
	struct shown s = { .all = json_object(), .n = 0 };
	json_t *view = json_object_get(request, "view");
	const char *name, *text = json_string_value(json_object_get(request, "text"));
	json_t *value;
	for (size_t i = 0; members[i] != NULL; i++)
		show(&s, members[i], json_object_get(request, members[i]));
	json_object_foreach(view, name, value)
		if (value != json_object_get(view, "text"))
			show(&s, name, value);
	s.names[s.n] = NULL;
	print_members(s.all, s.names);
	if (json_is_true(json_object_get(request, "reason")))
		(void)printf("An approval takes a reason: --comment TEXT\n");
	(void)printf("\n    ");
	print_safe(stdout, (struct sp_bytes){ (const uint8_t *)text, json_string_length(json_object_get(request, "text")) }, 0);
	(void)printf("\n");
	json_decref(s.all);
	return s.more ? failed("this is not all of it: --json shows the rest") : DONE;
}

int
run_requests(struct run *r)
{
	static const char *const columns[] = { "id", "kind", "state", "user", "target", "rule", "by", "until", "text", NULL };
	char path[256];
	json_t *answer;
	if (r->nwords == 0)
		return command_list(r, "/api/v1/requests", flag(r, "all") ? json_pack("{sb}", "all", 1) : NULL, "requests", columns);
	int rc = client_path("requests", r->word[0], "", path);
	if (rc == DONE)
		rc = client_call(r, "GET", path, NULL, &answer);
	if (rc != DONE)
		return rc;
	rc = r->json ? print_json(answer) : print_request(answer);
	json_decref(answer);
	return rc;
}

/* The decision names the hash of what was seen: a request that changed in between is not decided. */
static int
decide(struct run *r, const char *verb)
{
	char path[256], tail[16];
	json_t *seen, *answer, *args = json_object();
	set_text(args, "comment", option(r, "comment"));
	if (strcmp(verb, "approve") == 0) {
		int rc = client_path("requests", r->word[0], "", path);
		if (rc == DONE)
			rc = client_call(r, "GET", path, NULL, &seen);
		if (rc != DONE) {
			json_decref(args);
			return rc;
		}
		set_text(args, "hash", json_string_value(json_object_get(seen, "hash")));
		rc = r->json ? DONE : print_request(seen);
		json_decref(seen);
		if (rc != DONE) {
			json_decref(args);
			return rc;
		}
	}
	(void)snprintf(tail, sizeof(tail), "/%s", verb);
	if (client_path("requests", r->word[0], tail, path) != DONE) {
		json_decref(args);
		return FAILED;
	}
	int rc = client_call(r, "POST", path, args, &answer);
	if (rc != DONE)
		return rc;
	const char *id = json_string_value(json_object_get(answer, "id")), *state = json_string_value(json_object_get(answer, "state"));
	if (r->json)
		rc = print_json(answer);
	else if (strcmp(verb, "deny") == 0)
		(void)printf("%s: %s\n", id == NULL ? "" : id, state == NULL ? "" : state);
	else
		(void)printf("\n%s: %s, %lld of %lld votes\n", id == NULL ? "" : id, state == NULL ? "" : state,
		    json_integer_value(json_object_get(answer, "votes")), json_integer_value(json_object_get(answer, "count")));
	json_decref(answer);
	return rc;
}

int
run_approve(struct run *r)
{
	return decide(r, "approve");
}

int
run_deny(struct run *r)
{
	return decide(r, "deny");
}
