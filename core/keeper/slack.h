/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clicks on a Slack message of a webhook with `signing`.
 *
 *   POST /api/v1/slack/HOOK ─ signed by Slack, fresh, never seen before ─ no ─▶ 401, and nothing else
 *        │ who clicked ─ `users` says which principal, and that one is signed in here now ─ no ─▶ told where to sign in
 *        │ what ─ request and hash as the message showed them ─ of another hash ─▶ told to look again
 *        ▼
 *   approval_decide()  as for any call of that person's: group, own request, class, votes, state
 *        └─▶ told by Slack's response_url, in words of ours
 *
 * A look at the console by the message's link comes as a click, too, and changes nothing.
 *
 * Slack's word is that somebody clicked, not who that is to us: a click counts as what it is tied to, a
 * living sign-in at this gateway, and is worth no more than that.  A click that approves (`decide both`)
 * counts only when that person was shown the whole request by the gateway before, under the same hash:
 * the message has neither text nor parameters.
 */
#ifndef SALLYPORT_KEEPER_SLACK_H
#define SALLYPORT_KEEPER_SLACK_H

#include "api.h"

#define SLACK_AGE 300u /* s: an older click is none, as Slack says */

int api_slack(struct api *a);

/* "v0=" and the hex HMAC-SHA256 of "v0:TIMESTAMP:BODY", by a digit of time, in constant time. */
bool slack_signed(struct sp_bytes key, struct sp_bytes timestamp, struct sp_bytes body, struct sp_bytes signature);
/* The member `payload` of a form, decoded, once; mem_alloc()ed, the caller's.  NULL: it is no such form. */
char *slack_payload(struct sp_bytes form);

#endif
