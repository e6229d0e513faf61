/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's routes: one table, from which the console routes, the keeper authorises and the
 * manual is printed.  What is not in it does not exist; a caller without the role gets 403.
 */
#ifndef SALLYPORT_ROUTE_H
#define SALLYPORT_ROUTE_H

#include "memory.h"

enum caller_role { /* bits; a route needs one of its own */
	MAY_USE = 1,      /* any verified principal: its own sessions and requests */
	MAY_APPROVE = 2,
	MAY_AUDIT = 4,
	MAY_OPERATE = 8,  /* kill, reload state: admins and callers on the control socket */
	MAY_MINT = 16,    /* local issuer, where the conf says so */
	MAY_MEASURE = 64, /* read the numbers, and nothing else */
	MAY_ANYBODY = 32  /* nobody is asked who calls: signing in, and what brings its own proof */
};

enum call {
	CALL_NONE, CALL_WHOAMI, CALL_SESSIONS, CALL_SESSION, CALL_KILL, CALL_RECORDING, CALL_VERIFY, CALL_EXPLAIN, CALL_SEARCH,
	CALL_REQUESTS, CALL_REQUEST, CALL_APPROVE, CALL_DENY, CALL_TOKEN, CALL_REVOKE, CALL_TARGETS, CALL_KEYS, CALL_STATUS,
	CALL_IDENTITIES, CALL_SIGNIN_BEGIN, CALL_SIGNIN_CODE, CALL_LOGOUT, CALL_DEVICE_BEGIN, CALL_DEVICE_POLL, CALL_DEVICE_LOOK,
	CALL_DEVICE_CONFIRM, CALL_BACKCHANNEL, CALL_RENEW, CALL_ASK, CALL_GRANTS, CALL_END, CALL_BREAK_GLASS, CALL_CODES_MAKE, CALL_CODES, CALL_CODE_END, CALL_CODE_SPEND, CALL_TICKET, CALL_TICKETS, CALL_TICKET_END,
	CALL_SSH_CERTIFICATE, CALL_RECORDINGS, CALL_RECORDING_ONE, CALL_REPLAY, CALL_AUDIT, CALL_EVENTS, CALL_POLICIES, CALL_POLICY_EXPLAIN, CALL_METRICS, CALL_SAML_METADATA, CALL_SAML_ACS, CALL_SAML_LOGOUT, CALL_SLACK, CALL_LINK_MAKE, CALL_LINK_USE, CALLS
};

/* What whoami calls them. */
struct caller_role_name {
	unsigned bit;
	const char *name;
};
extern const struct caller_role_name caller_roles[]; /* ends with a NULL name */

struct route {
	const char *method, *path; /* "/api/v1/sessions/:id" */
	enum call call;
	unsigned role;
	const char *help;
};
extern const struct route route_table[]; /* ends with a NULL method */

/* ---- pages, and what a machine asks of the console itself ---- */

enum page {
	PAGE_HOME, PAGE_SIGNIN, PAGE_SIGNIN_WITH, PAGE_SIGNIN_BACK, PAGE_LINK, PAGE_LINK_USE, PAGE_DEVICE, PAGE_DEVICE_CONFIRM, PAGE_REQUEST, PAGE_DECIDE, PAGE_LOGOUT, PAGE_SAML_BACK, PAGE_SAML_LOGOUT, PAGE_SAML_METADATA, PAGE_STYLE, PAGE_ICON,
	PAGE_APP, PAGE_ASSET, PAGE_HEALTH, PAGE_READY, PAGE_OPENAPI, PAGES
};

struct page_route {
	const char *method, *path;
	enum page page;
	bool signed_in;    /* sends those without a sign-in to /signin */
	bool everywhere;   /* under any Host, and at the control socket */
	const char *help;
};
extern const struct page_route page_table[]; /* ends with a NULL method */
const struct page_route *page_find(struct sp_bytes method, struct sp_bytes path, struct sp_bytes *id_r);

/* ---- what a call takes: members of the query or the body; what is not here is refused ---- */

enum argument_type { ARGUMENT_TEXT, ARGUMENT_FLAG, ARGUMENT_NUMBER, ARGUMENT_TEXTS };

struct argument {
	enum call call;
	const char *name;
	enum argument_type type;
	const char *help;
};
extern const struct argument argument_table[]; /* ends with a NULL name; arguments of one call stand together */
const struct argument *argument_find(enum call call, const char *name);

/*
 * What it gives: members, in a line.  NAME is a text; NAME:time, :number, :flag, :any, or the name
 * of a shape; [] after it: a list; ? behind: it may be absent.  "bytes": no JSON; "lines SHAPE": a JSON
 * object a line; "events SHAPE": such objects as server-sent events; "plain": text/plain.
 */
struct answer_row {
	enum call call;
	const char *members;
};
extern const struct answer_row answer_table[]; /* ends with NULL members */
const char *answer_find(enum call call);

struct shape_row {
	const char *name, *members;
};
extern const struct shape_row shape_table[]; /* ends with a NULL name */

/* NULL: no such route.  id_r: what stood for :id, in the path given. */
const struct route *route_find(struct sp_bytes method, struct sp_bytes path, struct sp_bytes *id_r);

#endif
