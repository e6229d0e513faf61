/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that wait for the disk.
 *
 *   handler ─ store_write() … reply() ─▶ queue ─▶ one commit for all since the last ─▶ sent
 *
 * The disk is the recorder's, too, and in a storm of log-ins a commit for each would let statements
 * wait (P10).  So a commit comes at once only while the keeper has used little of the disk's time,
 * else a few milliseconds later, for all who came meanwhile; one that nobody waits for comes late.
 *
 * A commit that fails ends the keeper: what it said from memory could not be trusted after its
 * next start.  Master starts it again, and workers tell what lives (RESUME).
 */
#include <config.h>

#include "keeper.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "events.h"
#include "metrics.h"

#define AUDIT_WAITING (4u << 20)
#define AUDIT_TEXT 1000 /* bytes of one member of a line, and of one of a list */
#define AUDIT_LIST 100  /* of those in a line */
#define COMMIT_LATEST 20000 /* µs after the first write: what nobody waits for, or a busy disk */
#define COMMIT_REST 8       /* of what a commit took: the disk is left alone for as long … */
#define COMMIT_CREDIT 50000 /* … but for this much, in µs: one who comes alone does not wait */

static void
send_now(struct link *l, const struct message *m)
{
	if (l != NULL && link_send(l, m) != SP_OK)
		log_warn("the answer %s to %s[%u] could not be sent", message_name(m->type), role_name(link_peer(l)),
		    link_peer_index(l));
}

static void
free_reply(struct reply *r)
{
	buffer_free(&r->bytes);
	free(r);
}

static void
send_all(struct keeper *k)
{
	struct reply *r = k->replies;
	k->replies = NULL;
	k->replies_end = &k->replies;
	while (r != NULL) {
		struct reply *next = r->next;
		struct message m;
		if (r->link != NULL && message_decode(buffer_bytes(&r->bytes), &m) > 0)
			send_now(r->link, &m);
		free_reply(r);
		r = next;
	}
}

static uint64_t
later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The commit is due at that time or earlier. */
static void
commit_by(struct keeper *k, uint64_t at, uint64_t now)
{
	if (k->commit_due != 0 && k->commit_due <= at)
		return;
	k->commit_due = at;
	if (at <= now) {
		event_active(k->commit, EV_TIMEOUT, 0);
		return;
	}
	struct timeval wait = { .tv_usec = (suseconds_t)(at - now) };
	if (event_add(k->commit, &wait) != 0)
		event_active(k->commit, EV_TIMEOUT, 0);
}

static void
somebody_waits(struct keeper *k)
{
	uint64_t now = clock_mono_us();
	commit_by(k, k->commit_rested > now + COMMIT_CREDIT ? k->commit_rested - COMMIT_CREDIT : now, now);
}

static void
used_disk(struct keeper *k, uint64_t begun, uint64_t now)
{
	metrics_committed(k, now - begun);
	k->commit_rested = later_of(k->commit_rested, now) + COMMIT_REST * (now - begun);
	if (k->commit_rested > now + COMMIT_CREDIT + COMMIT_LATEST)
		k->commit_rested = now + COMMIT_CREDIT + COMMIT_LATEST;
}

void
keeper_commit(struct keeper *k)
{
	uint64_t begun = clock_mono_us();
	bool dirty = store_dirty(k->store);
	if (store_commit(k->store) == SP_OK) {
		if (dirty)
			used_disk(k, begun, clock_mono_us());
		k->commit_due = 0;
		event_del(k->commit);
		send_all(k);
		return;
	}
	log_error("the store cannot be written: the keeper ends, so that nothing is promised that is not kept");
	k->failed(k);
}

static void
on_commit(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	keeper_commit(owner);
}

long
keeper_write(struct keeper *k, enum store_statement which, const struct field *args)
{
	long n = store_write(k->store, which, args);
	uint64_t now = clock_mono_us();
	commit_by(k, now + COMMIT_LATEST, now);
	if (n > 0)
		events_wrote(k, which, args);
	if (n < 0)
		k->failed(k);
	return n;
}

void
reply(struct keeper *k, struct link *l, const struct message *m)
{
	if (!store_dirty(k->store) && k->replies == NULL) {
		send_now(l, m);
		return;
	}
	/* Descriptors go at once or not at all: what promises something has none. */
	struct reply *r = mem_alloc(sizeof(*r));
	r->link = l;
	if (message_encode(m, &r->bytes) != SP_OK) {
		log_error("the answer %s is too long", message_name(m->type));
		free_reply(r);
		return;
	}
	*k->replies_end = r;
	k->replies_end = &r->next;
	if (l != k->recorder) /* it goes on without */
		somebody_waits(k);
}

void
reply_forget(struct keeper *k, const struct link *l)
{
	for (struct reply *r = k->replies; r != NULL; r = r->next) {
		if (r->link == l)
			r->link = NULL;
	}
}

void
reply_open(struct keeper *k)
{
	k->replies_end = &k->replies;
	k->commit = event_new(k->base, -1, 0, on_commit, k);
	if (k->commit == NULL)
		abort();
}

void
reply_close(struct keeper *k)
{
	if (k->commit != NULL)
		event_free(k->commit);
	k->commit = NULL;
	while (k->replies != NULL) {
		struct reply *next = k->replies->next;
		free_reply(k->replies);
		k->replies = next;
	}
}

/* ---- audit ---- */

int
audit_cut(const char *text, int max)
{
	int n = (int)strnlen(text, (size_t)max);
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Callers' texts come in at any length.  A new reference. */
static json_t *
bounded(json_t *value)
{
	const char *text = json_string_value(value);
	json_t *list, *one;
	size_t i;
	if (text != NULL && json_string_length(value) > AUDIT_TEXT)
		return json_sprintf("%.*s\xe2\x80\xa6", audit_cut(text, AUDIT_TEXT), text);
	if (!json_is_array(value))
		return json_incref(value);
	list = json_array();
	json_array_foreach(value, i, one)
		if (i < AUDIT_LIST)
			(void)json_array_append_new(list, bounded(one));
	if (json_array_size(value) > AUDIT_LIST)
		(void)json_array_append_new(list, json_string("\xe2\x80\xa6"));
	return list;
}

/* Lines are kept, each with its NUL, while the recorder is away: it is started again in a moment. */
void
audit(struct keeper *k, const char *event, json_t *members)
{
	char when[32];
	const char *name;
	json_t *value, *line = json_pack("{s:s,s:s}", "time", clock_format(clock_wall_us(), when), "event", event);
	bool good = line != NULL && members != NULL;
	json_object_foreach(members, name, value)
		good = good && json_object_set_new(line, name, bounded(value)) == 0;
	if (!good)
		log_error("no memory for a line of the audit log");
	json_decref(members);
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	if (text != NULL && k->audit.len < AUDIT_WAITING && buffer_put(&k->audit, (struct sp_bytes){ (uint8_t *)text, strlen(text) + 1 }) == SP_OK)
		audit_flush(k);
	else
		log_error("a line of the audit log was lost: the recorder has been away for too long: %s", event);
	free(text);
}

void
audit_flush(struct keeper *k)
{
	while (k->recorder != NULL && k->audit.len > 0) {
		struct sp_reader r = sp_reader(buffer_bytes(&k->audit));
		struct sp_bytes line = sp_rd_cstr(&r);
		const struct message m = { .type = MSG_AUDIT, .f = { S(line) } };
		if (r.bad || link_send(k->recorder, &m) != SP_OK)
			return;
		buffer_drop(&k->audit, line.len + 1);
	}
}
