/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling others, by HTTPS, that somebody is asked and what was decided: `webhook NAME { … }`.
 *
 *   webhook_event() ─▶ a row for each hook that wants it ─▶ fetch ─ POST ─▶ 2xx: done
 *        in the transaction that it tells of                  └─ else again, later and later, for an hour
 *
 * What is sent names the request, its shape, a short hash and a link to the console, where people sign
 * in to look and decide: never the text, a parameter or a comment.  Nothing that comes back is read.
 *
 * A hook with a `secret` signs (format generic):
 *
 *   Sallyport-Signature: v1=HEX(HMAC-SHA256(secret, "v1:" TIMESTAMP ":" NONCE ":" BODY))
 *   Sallyport-Timestamp, Sallyport-Nonce: refuse what is older than five minutes, and a nonce seen before
 *   Sallyport-Delivery: the same for each attempt
 */
#ifndef SALLYPORT_KEEPER_WEBHOOK_H
#define SALLYPORT_KEEPER_WEBHOOK_H

#include "approval.h"

struct webhooks;

/* The epoch's hooks, their secrets read.  *err_r is good until the next call. */
int webhooks_new(const struct settings *s, struct webhooks **w_r, const char **err_r) SP_MUST;
void webhooks_free(struct webhooks **w);

/* event: "asked", "approved", "denied", "expired", "withdrawn", "break-glass".  Stored with what is being written. */
void webhook_event(struct keeper *k, const char *event, const struct approval *a);
/* A hook whose messages have buttons, and Slack's key for what they send; false: there is none of that name. */
bool webhook_interactive(const struct keeper *k, const char *name, const struct webhook **conf_r, struct sp_bytes *key_r);
/* Where people look at a request; "" without a console's url. */
const char *webhook_link(struct keeper *k, struct arena *a, const char *request);
/* What a message becomes once that was decided: JSON for Slack, mem_alloc()ed; NULL: no memory. */
char *webhook_replacement(struct keeper *k, const struct approval *a, const char *event);
/* Every second: what is due is sent. */
void webhook_tick(struct keeper *k);

/* ---- webhook_text.c ---- */

struct webhook_facts {
	const char *event, *kind, *id, *user, *name, *target, *rule, *by, *shape, *hash, *link, *state;
	uint64_t count, until; /* until: wall µs, 0: none */
	unsigned buttons;      /* Slack: BUTTON_…, or-ed */
	bool replaces;         /* Slack: the message that was clicked on */
};
enum { BUTTON_DENY = 1, BUTTON_APPROVE = 2 };
#define SLACK_APPROVE "sallyport-approve" /* what a button is called by, when it comes back */
#define SLACK_DENY "sallyport-deny"
#define SLACK_LOOK "sallyport-look"
/* The body in the format of a hook: enum webhook_format.  mem_alloc()ed, the caller's; NULL: no memory. */
char *webhook_body(unsigned format, const struct webhook_facts *f);
/* For who clicked alone: a sentence of ours, and a link or "". */
char *webhook_ephemeral(const char *text, const char *link);
/* A statement without anything of its own: "UPDATE public.orders", from the view that the worker made. */
const char *webhook_shape(struct arena *a, const char *view);

#endif
