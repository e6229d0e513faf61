/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's calls: who asks, may they, the answer (core/console/README.md says what each takes and gives).
 */
#ifndef SALLYPORT_KEEPER_API_H
#define SALLYPORT_KEEPER_API_H

#include "keeper.h"

/* One call under way. */
struct api {
	struct keeper *k;
	struct link *link;
	uint32_t id;
	const struct message *message; /* the call */
	struct arena *arena;
	struct verified who;
	enum call call;
	const json_t *args;
	unsigned status;
	json_t *answer;  /* owned */
	bool later;      /* somebody else is asked first */
};

void api_open(struct keeper *k);
void api_close(struct keeper *k);
int api_call(struct keeper *k, struct link *l, struct message *m);
/* The same, of a call that waited for an issuer's key. */
int api_call_again(struct keeper *k, struct link *l, struct message *m);
/* Calls that came before master named their connection: again, or refused after a second. */
void api_parked(struct keeper *k, bool all);
void api_link_gone(struct keeper *k, const struct link *l);
int api_fetched(struct keeper *k, struct link *l, struct message *m);

/* ---- for the calls' own files ---- */

/* {"error": …}; returns SP_EDENIED. */
int api_refuse(struct api *a, unsigned status, const char *fmt, ...) SP_PRINTF(3, 4);
const char *api_text(const struct api *a, const char *name); /* "" when it is not there */
uint64_t api_number(const struct api *a, const char *name, uint64_t dflt);
bool api_flag(const struct api *a, const char *name);
bool api_may(const struct api *a, unsigned role);
void api_set(struct api *a, const char *name, json_t *value); /* in the answer */
void api_set_time(json_t *into, const char *name, uint64_t wall_us);
/* Sends an answer that was to come later; borrows it. */
void api_answer(struct keeper *k, struct link *l, uint32_t id, unsigned status, json_t *answer);
/*
 * The answer comes later: the call's function returns SP_OK, and somebody calls api_later_answer() once, which takes answer over; or
 * api_later_drop(), and the caller is told that nothing came.  Both set NULL.
 */
struct api_later;
struct api_later *api_later(struct api *a);
void api_later_answer(struct keeper *k, struct api_later **l, unsigned status, json_t *answer);
void api_later_drop(struct keeper *k, struct api_later **l);
/* Asks the recorder for a session's file; the answer, with the file, goes out when it comes. */
int api_fetch(struct api *a, const char *session);

struct target;
struct ticket_made;
/* The answer that shows a ticket, once: wipes its password. */
int ticket_answer(struct api *a, struct ticket_made *made, const struct target *t);
/* Refused, or SP_OK. */
int grant_check_reason(struct api *a, const struct target *t, const char *reason);

/* api_code.c */
int api_codes_make(struct api *a);
int api_codes(struct api *a);
int api_code_end(struct api *a);
int api_code_spend(struct api *a);

/* api_session.c */
int api_sessions(struct api *a);
int api_session(struct api *a);
int api_kill(struct api *a);
int api_recording(struct api *a);
int api_verify(struct api *a);
int api_explain(struct api *a);
int api_search(struct api *a);
int api_replay(struct api *a);
int api_audit(struct api *a);
int api_recordings(struct api *a);
int api_recording_one(struct api *a);
/* For who may see it, as in the lists; else NULL. */
json_t *api_session_seen(struct api *a, const char *id);
/* events.c */
int api_events(struct api *a);
/* api_request.c */
int api_requests(struct api *a);
int api_request(struct api *a);
int api_approve(struct api *a);
int api_deny(struct api *a);
json_t *api_request_seen(struct api *a, const char *id);
/* api_signin.c */
int api_identities(struct api *a);
int api_signin_begin(struct api *a);
int api_signin_code(struct api *a);
int api_logout(struct api *a);
int api_backchannel(struct api *a);
void api_signin_close(struct keeper *k);
/* Of a sign-in that was made: its secret, text. */
json_t *api_signin_answer(const struct principal *p, struct sp_bytes secret, uint64_t expires, const char *back);
/* api_link.c */
int api_link_make(struct api *a);
int api_link_use(struct api *a);
/* api_renew.c */
int api_renew(struct api *a);
struct live;
/* A session that a worker announced: until when it may go on, when that was renewed. */
void renewal_resume(struct keeper *k, struct live *s);
void renewal_tick(struct keeper *k);
/* api_device.c */
int api_device_begin(struct api *a);
int api_device_poll(struct api *a);
int api_device_look(struct api *a);
int api_device_confirm(struct api *a);
void api_device_open(struct keeper *k);
void api_device_close(struct keeper *k);
void api_device_tick(struct keeper *k);
/* api_grant.c */
int api_ask(struct api *a);
int api_grants(struct api *a);
int api_end(struct api *a);
json_t *api_grant_seen(struct api *a, const char *id);
int api_break_glass(struct api *a);
/* api_ticket.c */
int api_ticket(struct api *a);
/* Where a target is reached: host ("" for every address of this machine), port and tls of the best listener; nothing when there is none. */
void api_door(const struct api *a, json_t *into, const char *protocol, const char *target);
int api_tickets(struct api *a);
int api_ticket_end(struct api *a);
int api_ssh_certificate(struct api *a);
/* api_policy.c */
int api_policies(struct api *a);
int api_policy_explain(struct api *a);
void policies_open(struct keeper *k);
void policies_close(struct keeper *k);
int policies_ruled(struct keeper *k, struct link *l, struct message *m);
void policies_measured(struct keeper *k, const json_t *measured);
void policies_link_gone(struct keeper *k, const struct link *l);
/* api_admin.c */
int api_whoami(struct api *a);
int api_token(struct api *a);
int api_revoke(struct api *a);
int api_targets(struct api *a);
int api_keys(struct api *a);
int api_status(struct api *a);

#endif
