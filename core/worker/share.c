/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts beside sessions, kept by the keeper (sp_share_put(), sp_share_get()), and what belongs together (sp_group()).
 *
 *   module ─ put, get ─▶ keeper, store ─ MSG_SHARED ─▶ shared()          one question at a time; the loop goes on meanwhile
 *          ◀─ shared() ─ what this session has last read or put           for KNOWN_MS, without a question
 *
 * A keeper that comes after another is asked the question anew; its number tells late answers from the one that is waited for.
 */
#include <config.h>

#include "share.h"

#include "keeper_talk.h"
#include "operation.h"
#include "record.h"
#include "session.h"

#define KNOWN_MS 10000

struct share {
	bool asked, put, known; /* known: the value is a fact that was found, until `fresh` */
	uint32_t number;
	enum sp_share scope;
	uint64_t ttl, fresh;    /* mono ms */
	size_t key_len, value_len;
	uint8_t key[SP_SHARE_KEY], value[SP_SHARE_VALUE];
	size_t group_len;       /* the last that was told */
	uint8_t group[SP_GROUP_NAME];
};

static struct share *
share_of(struct sp_session *s)
{
	if (s->share == NULL)
		s->share = arena_alloc(s->arena, sizeof(*s->share));
	return s->share;
}

static struct sp_bytes
key_of(const struct share *h)
{
	return (struct sp_bytes){ h->key, h->key_len };
}

static struct sp_bytes
value_of(const struct share *h)
{
	return (struct sp_bytes){ h->value, h->value_len };
}

static int
say(struct sp_session *s)
{
	const struct share *h = s->share;
	const struct sp_bytes id = { s->id, ID_LEN };
	const struct message put = { .type = MSG_SHARE_PUT, .id = h->number, .f = { S(id), Q(h->scope), S(key_of(h)), S(value_of(h)), Q(h->ttl) } };
	const struct message get = { .type = MSG_SHARE_GET, .id = h->number, .f = { S(id), Q(h->scope), S(key_of(h)) } };
	return s->w->keeper == NULL ? SP_EIO : link_send(s->w->keeper, h->put ? &put : &get);
}

/* The question; while the keeper is away it waits for the next one. */
static int
ask(struct sp_session *s, enum sp_share scope, struct sp_bytes key)
{
	struct share *h = s->share;
	h->asked = true;
	h->known = false;
	h->number++;
	h->scope = scope;
	h->key_len = key.len;
	memcpy(h->key, key.p, key.len);
	if (say(s) != SP_OK)
		sp_log(s, SP_WARN, "the keeper is away: what is asked of it waits for the next one");
	return SP_OK;
}

static int
check(struct sp_session *s, enum sp_share scope, struct sp_bytes key)
{
	const struct share *h = share_of(s);
	if (h == NULL)
		return SP_ENOMEM;
	if (h->asked || s->purpose[0] != '\0' || s->target_name == NULL || s->module->shared == NULL || (unsigned)scope > SP_SHARE_TARGET)
		return SP_EPROTO;
	return key.len == 0 || key.len > SP_SHARE_KEY ? SP_ETOOBIG : SP_OK;
}

int
sp_share_put(struct sp_session *s, enum sp_share scope, struct sp_bytes key, struct sp_bytes value, uint64_t ttl)
{
	int rc = check(s, scope, key);
	if (rc == SP_OK && (value.len > SP_SHARE_VALUE || ttl == 0 || ttl > SP_SHARE_TTL))
		rc = SP_ETOOBIG;
	if (rc != SP_OK)
		return rc;
	s->share->put = true;
	s->share->ttl = ttl;
	s->share->value_len = value.len;
	if (value.len > 0)
		memcpy(s->share->value, value.p, value.len);
	return ask(s, scope, key);
}

int
sp_share_get(struct sp_session *s, enum sp_share scope, struct sp_bytes key)
{
	int rc = check(s, scope, key);
	if (rc != SP_OK)
		return rc;
	struct share *h = s->share;
	if (h->known && s->w->now < h->fresh && h->scope == scope && sp_bytes_eq(key_of(h), key)) {
		const struct sp_shared f = { .ok = true, .found = true, .value = value_of(h) };
		return s->module->shared(s, &f);
	}
	h->put = false;
	return ask(s, scope, key);
}

int
share_told(struct worker *w, struct sp_session *s, const struct message *m)
{
	struct share *h = s->share;
	if (h == NULL || !h->asked || m->id != h->number || s->state >= SESSION_ENDING)
		return SP_OK;
	h->asked = false;
	const struct sp_shared f = { .ok = m->f[1].q == 1, .found = h->put ? m->f[1].q == 1 : m->f[2].q == 1, .value = h->put ? value_of(h) : m->f[3].s };
	uint64_t lives = h->put ? h->ttl : m->f[4].q;
	if (f.value.len > SP_SHARE_VALUE)
		return SP_EPROTO;
	h->known = f.ok && f.found;
	h->fresh = w->now + (lives < KNOWN_MS ? lives : KNOWN_MS);
	if (!h->put) {
		h->value_len = f.value.len;
		memcpy(h->value, f.value.p, f.value.len);
	}
	session_enter_module(s);
	(void)session_leave_module(s, s->module->shared(s, &f));
	return SP_OK;
}

void
share_again(struct sp_session *s)
{
	if (s->share != NULL && s->share->asked && say(s) != SP_OK)
		sp_log(s, SP_WARN, "the keeper is away again: what is asked of it waits for the next one");
}

int
sp_group(struct sp_session *s, const struct sp_op *op, struct sp_bytes name)
{
	struct share *h = share_of(s);
	uint8_t space[SP_GROUP_NAME + 16];
	struct sp_writer w = sp_writer(space, sizeof(space));
	const struct message m = { .type = MSG_GROUP, .f = { S(((struct sp_bytes){ s->id, ID_LEN })), S(name) } };
	if (h == NULL)
		return SP_ENOMEM;
	if (name.len == 0 || name.len > SP_GROUP_NAME)
		return SP_ETOOBIG;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return SP_EPROTO;
	frame_field(&w, KEY_TEXT, name);
	record_frame(s, FRAME_GROUP, op == NULL ? 0 : op->channel, op == NULL ? 0 : op_recorded_as(op), sp_written(&w), (struct sp_bytes){ NULL, 0 });
	if (sp_bytes_eq((struct sp_bytes){ h->group, h->group_len }, name))
		return SP_OK;
	h->group_len = name.len;
	memcpy(h->group, name.p, name.len);
	if (s->w->keeper == NULL || link_send(s->w->keeper, &m) != SP_OK)
		sp_log(s, SP_WARN, "the keeper is away: that this session belongs to %.*s stands in its recording only", (int)name.len, (const char *)name.p);
	return SP_OK;
}
