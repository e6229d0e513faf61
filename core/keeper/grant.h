/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants: a principal may reach a target until then (`access grant`).
 *
 *   request ─ approved (approval.h) ─▶ GRANT_LIVE ─ its time, its asker, an approver or an admin ─▶ GRANT_ENDED
 *   break-glass ─────────────────────▶ GRANT_LIVE, and an incident that another person has to close
 *
 * A grant has the id of its request.  Admission asks for a current one, and its end is the end of the
 * sessions that stand on it (P6).  Rows carry the keeper's mark (row.h).
 */
#ifndef SALLYPORT_KEEPER_GRANT_H
#define SALLYPORT_KEEPER_GRANT_H

#include "keeper.h"

#define GRANT_GLASS_MAX (60ull * 60 * 1000) /* ms; a broken glass */
#define REASON_MAX 200

struct approval;
struct live;

enum grant_state { GRANT_LIVE, GRANT_ENDED };      /* stored: never renumber */
enum grant_kind { GRANT_ASKED, GRANT_GLASS };      /* stored: never renumber */

struct grant {
	const char *id, *target, *reason, *by, *text;
	enum grant_kind kind;
	enum grant_state state;
	struct principal who;
	uint64_t since, until, ended; /* wall µs */
	struct field column[G_MAC + 1];
};

struct grant_now {
	char id[ID_TEXT];     /* the one that lasts longest; "" for none */
	char glass[ID_TEXT];  /* a broken glass; "" for none */
	uint64_t until;       /* wall µs */
};
/* False: there is none, or the store doesn't say. */
bool grant_current(struct keeper *k, const struct principal *p, const char *target, struct grant_now *now_r);
/* True when `access` asks for one. */
bool grant_needed(const struct target *t);

/* NULL, or why the request can't become a grant any more. */
const char *grant_overtaken(struct keeper *k, const struct approval *a);
/* It was approved. */
void grant_begin(struct keeper *k, const struct approval *a, const char *text);
/* An incident was closed; not allow: what was done is not accepted, and ends. */
void grant_reviewed(struct keeper *k, const struct approval *a, bool allow, const char *text);
/*
 * Breaks the glass: a grant at once, and an incident.  NULL, or why not.
 */
struct glass {
	const struct principal *who;
	const struct target *target;
	const char *reason;
	uint64_t span;        /* ms */
	bool by_code;
	const char *made_by;  /* … made by that person, who doesn't close the incident */
};
/* NULL, or why who asks may not. */
const char *grant_may_not_break(const struct glass *g);
/* Of the incident's row: by whom the code was made. */
void grant_made_by(const char *person, uint8_t out[DIGEST_LEN]);
const char *grant_break_glass(struct keeper *k, const struct glass *g, char id_r[ID_TEXT], uint64_t *until_r);

/* Another gateway began or ended it: sessions here follow. */
void grant_heard(struct keeper *k, const char *id);
/* Every second: those whose time is over. */
void grant_tick(struct keeper *k);

/* ---- for the API ---- */

/* An id, or at least four letters of one: SP_EPROTO when there is none, SP_ETOOBIG when there are several. */
int grant_get(struct keeper *k, struct arena *a, const char *id, struct grant *g_r) SP_MUST;
int grant_list(struct keeper *k, bool live, uint64_t limit, int (*each)(void *owner, const struct grant *g), void *owner) SP_MUST;
/* False: it had ended already. */
bool grant_end(struct keeper *k, const struct grant *g, const char *text);

#endif
