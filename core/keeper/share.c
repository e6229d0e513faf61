/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. */
#include <config.h>

#include "share.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "live.h"
#include "row.h"

enum { SH_ID, SH_OWNER, SH_VALUE, SH_UNTIL, SH_MAC };
#define SHARE_MARKED "bbbq"

/* Scope, target and, where it is the principal's own, who: each part with its length, so that no two can be one. */
static void
owner_of(const struct live *s, enum sp_share scope, uint8_t owner_r[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	bool own = scope != SP_SHARE_TARGET;
	digest_add_part(d, own ? SP_LIT("principal") : SP_LIT("target"));
	digest_add_part(d, sp_str(s->target));
	digest_add_part(d, sp_str(own ? s->principal.issuer : ""));
	digest_add_part(d, sp_str(own ? s->principal.subject : ""));
	digest_end(&d, owner_r);
}

static void
id_of(const uint8_t owner[DIGEST_LEN], struct sp_bytes key, uint8_t id_r[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add_part(d, (struct sp_bytes){ owner, DIGEST_LEN });
	digest_add_part(d, key);
	digest_end(&d, id_r);
}

/* The session that asks, if it may; NULL: it is gone, and so is who would hear. */
static struct live *
asker(struct keeper *k, struct link *l, const struct message *m, bool *may_r)
{
	struct live *s = live_of(k, m->f[0].s, l);
	*may_r = s != NULL && !s->side && live_may(s) && m->f[1].q <= SP_SHARE_TARGET && m->f[2].s.len > 0 && m->f[2].s.len <= SP_SHARE_KEY;
	return s;
}

static void
tell(struct keeper *k, struct link *l, const struct message *m, bool ok, const struct field *row)
{
	uint64_t now = clock_wall_us();
	struct message out = { .type = MSG_SHARED, .id = m->id, .f = { m->f[0], Q(ok), Q(row != NULL), Z(""), Q(0) } };
	if (row != NULL) {
		out.f[3] = row[SH_VALUE];
		out.f[4].q = (row[SH_UNTIL].q - now) / 1000;
	}
	reply(k, l, &out);
}

int
share_put(struct keeper *k, struct link *l, struct message *m)
{
	uint8_t owner[DIGEST_LEN], id[DIGEST_LEN], mac[DIGEST_LEN];
	bool may;
	const struct live *s = asker(k, l, m, &may);
	if (s == NULL)
		return SP_OK;
	if (!may || m->f[3].s.len > SP_SHARE_VALUE || m->f[4].q == 0 || m->f[4].q > SP_SHARE_TTL) {
		tell(k, l, m, false, NULL);
		return SP_OK;
	}
	owner_of(s, (enum sp_share)m->f[1].q, owner);
	id_of(owner, m->f[2].s, id);
	struct field row[] = { S(((struct sp_bytes){ id, DIGEST_LEN })), S(((struct sp_bytes){ owner, DIGEST_LEN })), m->f[3],
		Q(clock_wall_us() + m->f[4].q * 1000), S(((struct sp_bytes){ mac, DIGEST_LEN })) };
	row_mac(&k->keys, "share", SHARE_MARKED, row, mac);
	const struct field room[] = { row[SH_OWNER], Q(SHARES_MAX) };
	bool ok = keeper_write(k, STORE_SHARE_PUT, row) > 0 && keeper_write(k, STORE_SHARE_ROOM, room) >= 0;
	tell(k, l, m, ok, NULL);
	return SP_OK;
}

struct asked {
	struct keeper *k;
	struct link *l;
	const struct message *m;
	bool told;
};

static int
take_fact(void *owner, const struct field *row)
{
	struct asked *q = owner;
	if (row[SH_UNTIL].q <= clock_wall_us() || !row_good(&q->k->keys, "share", SHARE_MARKED, row, row[SH_MAC].s))
		return SP_OK;
	tell(q->k, q->l, q->m, true, row);
	q->told = true;
	return SP_OK;
}

int
share_get(struct keeper *k, struct link *l, struct message *m)
{
	uint8_t owner[DIGEST_LEN], id[DIGEST_LEN];
	struct asked q = { k, l, m, false };
	bool may;
	const struct live *s = asker(k, l, m, &may);
	if (s == NULL)
		return SP_OK;
	int rc = SP_EDENIED;
	if (may) {
		owner_of(s, (enum sp_share)m->f[1].q, owner);
		id_of(owner, m->f[2].s, id);
		const struct field args[] = { S(((struct sp_bytes){ id, DIGEST_LEN })) };
		rc = store_read(k->store, STORE_SHARE_GET, args, take_fact, &q);
	}
	if (!q.told)
		tell(k, l, m, rc == SP_OK, NULL);
	return SP_OK;
}

static bool
is_name(struct sp_bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return false;
	return name.len > 0 && name.len <= SP_GROUP_NAME;
}

int
share_group(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	if (s == NULL || s->side)
		return SP_OK;
	if (!is_name(m->f[1].s))
		return SP_EPROTO;
	if (s->groups >= SHARE_GROUPS_MAX)
		return SP_OK;
	const struct field row[] = { m->f[1], S(((struct sp_bytes){ s->id, ID_LEN })) };
	if (keeper_write(k, STORE_GROUP_ADD, row) > 0 && ++s->groups == SHARE_GROUPS_MAX) /* a new one: it may say the same often */
		log_warn("session %s belongs to %d groups: further ones stand in its recording only", s->name, SHARE_GROUPS_MAX);
	return SP_OK;
}

void
share_forget(struct keeper *k)
{
	const struct field args[] = { Q(clock_wall_us()) };
	(void)keeper_write(k, STORE_SHARE_FORGET, args);
}
