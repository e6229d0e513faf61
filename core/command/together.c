/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport replay GROUP`: what belongs together, of all sessions, by its time, as if it were one session.
 *
 *   GROUP ─▶ its sessions ─▶ their operations that say GROUP ─▶ their frames ─▶ by time ─▶ shown
 *
 * A docker exec is created, started, resized and asked for its end on connections of their own; each of these operations says the
 * exec's id in its recording.  A session's id in GROUP's place stands for all groups that it belongs to: those of its target, its part
 * and its user.  The names are what targets say, so that one may say another's.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../record/recording.h"
#include "recordings.h"

#define SESSIONS_MAX 1000
#define BYTES_MAX (256u << 20) /* of all frames, which are sorted here */

struct piece {
	struct frame f; /* its payload is ours */
	uint64_t wall;  /* µs */
	size_t order;
};

struct together {
	json_t *groups;       /* their names: true */
	json_t *sessions;     /* id: true */
	const char *user, *target, *part; /* of the session that was named, or the first; borrowed from `answers` */
	json_t *answers;
	bool named;           /* a session was */
	size_t others;        /* other users' sessions there, left out */
	bool more;
	struct buffer pieces; /* of struct piece, never dropped from */
	size_t n, bytes;
	uint32_t numbered;    /* operations that have a number here */
};

static int
take_row(struct together *t, const json_t *row)
{
	const char *id = json_string_value(json_object_get(row, "id")), *user = json_string_value(json_object_get(row, "user")),
		   *target = json_string_value(json_object_get(row, "target")), *part = json_string_value(json_object_get(row, "part"));
	if (id == NULL || user == NULL || target == NULL || part == NULL)
		return failed("the gateway's answer is not understood");
	if (t->user == NULL) {
		t->user = user;
		t->target = target;
		t->part = part;
	}
	bool there = strcmp(target, t->target) == 0 && strcmp(part, t->part) == 0, theirs = strcmp(user, t->user) == 0;
	if (there && theirs)
		return json_object_set_new(t->sessions, id, json_true()) == 0 ? DONE : failed("out of memory");
	t->others += there;
	if (t->named)
		return DONE;
	return failed("that is the name of more than one group, of %s at %s and of %s at %s: replay a session of the one that is meant with --together "
		      "(`sallyport sessions --group` lists them)", t->user, t->target, user, target);
}

static int
take_group(struct together *t, const struct run *r, const char *group)
{
	json_t *answer, *row;
	size_t i;
	int rc = client_call(r, "GET", "/api/v1/sessions", json_pack("{s:s,s:i,s:s*}", "group", group, "limit", SESSIONS_MAX, "target",
	    t->named ? t->target : NULL), &answer);
	if (rc != DONE)
		return rc;
	(void)json_array_append_new(t->answers, answer);
	t->more = t->more || json_object_get(answer, "next") != NULL;
	json_array_foreach(json_object_get(answer, "sessions"), i, row)
		if (rc == DONE)
			rc = take_row(t, row);
	return rc;
}

/* The session that the word names; NULL: none. */
static int
find_session(struct together *t, const struct run *r, const json_t **session_r)
{
	json_t *answer;
	unsigned status;
	char path[256];
	size_t len = strlen(r->word[0]);
	*session_r = NULL;
	if (len >= ID_TEXT || strspn(r->word[0], "0123456789abcdefghijklmnopqrstuvwxyz") != len)
		return DONE; /* no session's id */
	int rc = client_path("sessions", r->word[0], "", path);
	if (rc == DONE)
		rc = client_try(r, "GET", path, NULL, &status, &answer);
	if (rc != DONE)
		return rc;
	(void)json_array_append_new(t->answers, answer);
	if (status != 200)
		return DONE;
	*session_r = answer;
	t->named = true;
	t->user = json_string_value(json_object_get(answer, "user"));
	t->target = json_string_value(json_object_get(answer, "target"));
	t->part = json_string_value(json_object_get(answer, "part"));
	return t->user == NULL || t->target == NULL || t->part == NULL ? failed("the gateway's answer is not understood") : DONE;
}

/* The word is a session of some groups, or the name of one: a name that is like a session's id is none. */
static int
find_groups(struct together *t, const struct run *r)
{
	const json_t *session, *name;
	const char *group;
	json_t *yes;
	size_t i;
	int rc = find_session(t, r, &session);
	if (rc == DONE && session == NULL)
		(void)json_object_set_new(t->groups, r->word[0], json_true());
	json_array_foreach(json_object_get(session, "groups"), i, name)
		(void)json_object_set_new(t->groups, json_string_value(name), json_true());
	json_object_foreach(t->groups, group, yes)
		if (rc == DONE)
			rc = take_group(t, r, group);
	return rc == DONE && json_object_size(t->sessions) == 0 ? failed("%s is no group, and no session that belongs to one", r->word[0]) : rc;
}

struct chosen { /* of one session */
	bool all;
	json_t *ops; /* number there: number here */
};

static int
choose(struct together *t, struct recording *rec, struct chosen *c, const char **err_r)
{
	struct frame f;
	char key[16], name[SP_GROUP_NAME + 1];
	int next;
	while ((next = recording_next(rec, &f, err_r)) == 1) {
		struct sp_bytes said = frame_get(&f, KEY_TEXT);
		if (f.type != FRAME_GROUP || said.len >= sizeof(name))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)said.len, (const char *)said.p);
		(void)snprintf(key, sizeof(key), "%u", f.op);
		if (json_object_get(t->groups, name) == NULL || json_object_get(c->ops, key) != NULL)
			continue;
		c->all = c->all || f.op == 0;
		if (f.op != 0 && json_object_set_new(c->ops, key, json_integer(++t->numbered)) != 0)
			return failed("out of memory");
	}
	return next < 0 ? failed("%s", *err_r) : DONE;
}

/* Its number among those of all sessions; 0: it is not asked for. */
static uint32_t
number_of(struct together *t, const struct chosen *c, uint32_t op)
{
	char key[16];
	(void)snprintf(key, sizeof(key), "%u", op);
	const json_t *n = json_object_get(c->ops, key);
	if (n == NULL && c->all) {
		(void)json_object_set_new(c->ops, key, json_integer(++t->numbered));
		n = json_object_get(c->ops, key);
	}
	return (uint32_t)json_integer_value(n);
}

static int
keep(struct together *t, const struct frame *f, uint32_t op, uint64_t started)
{
	if (f->payload.len > BYTES_MAX - t->bytes)
		return failed("that is more than 256 MB: replay the sessions one by one");
	uint8_t *copy = malloc(f->payload.len + 1);
	if (copy == NULL)
		return failed("out of memory");
	if (f->payload.len > 0)
		memcpy(copy, f->payload.p, f->payload.len);
	struct piece piece = { .f = *f, .wall = started + f->at, .order = t->n };
	piece.f.op = op;
	piece.f.payload = (struct sp_bytes){ copy, f->payload.len };
	if (buffer_put(&t->pieces, (struct sp_bytes){ (const uint8_t *)&piece, sizeof(piece) }) != SP_OK) {
		free(copy);
		return failed("out of memory");
	}
	t->bytes += f->payload.len;
	t->n++;
	return DONE;
}

static struct piece *
pieces_of(const struct together *t)
{
	return (struct piece *)(void *)t->pieces.p;
}

static int
take_frames(struct together *t, struct recording *rec, const struct chosen *c, const char **err_r)
{
	struct frame f;
	uint64_t started = 0;
	int rc = DONE, next = 1;
	while (rc == DONE && (next = recording_next(rec, &f, err_r)) == 1) {
		uint32_t op = f.op == 0 ? 0 : number_of(t, c, f.op);
		if (f.type == FRAME_HEADER)
			(void)frame_field_u64_get(frame_get(&f, KEY_STARTED), &started);
		if (op > 0 || f.type == FRAME_HEADER)
			rc = keep(t, &f, op, started);
	}
	return rc == DONE && next < 0 ? failed("%s", *err_r) : rc;
}

/* Twice over it: which operations, then their frames. */
static int
take_session(struct together *t, const struct run *r, const char *id)
{
	struct chosen c = { .ops = json_object() };
	const char *err = "";
	int fd = recording_fetch(r, id), rc = fd < 0 ? FAILED : DONE;
	for (unsigned pass = 0; pass < 2 && rc == DONE; pass++) {
		struct recording *rec = NULL;
		int again = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* read by place, so both begin at its beginning */
		rc = again < 0 ? FAILED : recording_open(again, NULL, &rec, &err) != SP_OK ? failed("%s: %s", id, err) : DONE;
		if (rc == DONE)
			rc = pass == 0 ? choose(t, rec, &c, &err) : take_frames(t, rec, &c, &err);
		recording_close(&rec);
	}
	if (fd >= 0)
		close(fd);
	json_decref(c.ops);
	return rc;
}

static int
by_time(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	if (x->wall != y->wall)
		return x->wall < y->wall ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
find(struct together *t, const struct run *r)
{
	const char *id;
	json_t *yes;
	int rc = find_groups(t, r);
	json_object_foreach(t->sessions, id, yes)
		if (rc == DONE)
			rc = take_session(t, r, id);
	if (t->n > 0)
		qsort(pieces_of(t), t->n, sizeof(struct piece), by_time);
	return rc;
}

int
recordings_together(const struct run *r, bool one_header, int (*each)(void *owner, const struct frame *f), void *owner)
{
	struct together t = { .groups = json_object(), .sessions = json_object(), .answers = json_array(), .pieces = { .max = BYTES_MAX } };
	int rc = find(&t, r);
	bool headed = false;
	struct piece *piece = pieces_of(&t);
	for (size_t i = 0; i < t.n; i++) {
		struct frame *f = &piece[i].f;
		f->at = piece[i].wall - piece[0].wall;
		f->number = (uint32_t)i + 1;
		if (rc == DONE && !(one_header && headed && f->type == FRAME_HEADER))
			rc = each(owner, f);
		headed = headed || f->type == FRAME_HEADER;
		free((void *)(uintptr_t)f->payload.p);
	}
	if (rc == DONE && t.more)
		(void)fprintf(stderr, "sallyport: more than %d sessions belong to it; the oldest are left out\n", SESSIONS_MAX);
	if (rc == DONE && t.others > 0)
		(void)fprintf(stderr, "sallyport: %zu sessions of others there say that they belong to it, too: they are left out\n", t.others);
	buffer_free(&t.pieces);
	json_decref(t.sessions);
	json_decref(t.groups);
	json_decref(t.answers);
	return rc;
}
