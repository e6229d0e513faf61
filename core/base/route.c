/* SPDX-License-Identifier: Apache-2.0 */
/* The API's routes.  A row's role is what the keeper asks for; whose objects one sees is its business too. */
#include <config.h>

#include "route.h"

#define ANY_READER (MAY_USE | MAY_APPROVE | MAY_AUDIT | MAY_OPERATE)

const struct caller_role_name caller_roles[] = {
	{ MAY_USE, "use" }, { MAY_APPROVE, "approve" }, { MAY_AUDIT, "audit" }, { MAY_OPERATE, "operate" }, { MAY_MINT, "mint" },
	{ MAY_MEASURE, "measure" }, { 0, NULL },
};

const struct route route_table[] = {
	{ "GET", "/api/v1/whoami", CALL_WHOAMI, ANY_READER | MAY_MINT, "Who the caller is, and what it may do." },
	{ "GET", "/api/v1/sessions", CALL_SESSIONS, MAY_USE | MAY_AUDIT | MAY_OPERATE, "Sessions, live and past." },
	{ "GET", "/api/v1/sessions/:id", CALL_SESSION, MAY_USE | MAY_AUDIT | MAY_OPERATE, "One session." },
	{ "POST", "/api/v1/sessions/:id/kill", CALL_KILL, MAY_OPERATE, "End a live session." },
	{ "GET", "/api/v1/sessions/:id/recording", CALL_RECORDING, MAY_AUDIT, "The recording of a session, whole or by Range." },
	{ "GET", "/api/v1/sessions/:id/verify", CALL_VERIFY, MAY_AUDIT | MAY_OPERATE, "Check a recording." },
	{ "GET", "/api/v1/sessions/:id/explain", CALL_EXPLAIN, MAY_USE | MAY_AUDIT, "Why operation ?op= of a session got its verdict." },
	{ "GET", "/api/v1/recordings", CALL_RECORDINGS, MAY_AUDIT, "Recordings: whose, of what, how much of each is signed; newest first." },
	{ "GET", "/api/v1/recordings/:id", CALL_RECORDING_ONE, MAY_AUDIT, "One of them." },
	{ "GET", "/api/v1/recordings/:id/replay", CALL_REPLAY, MAY_AUDIT, "What happened, as a stream; with ?follow= as it happens." },
	{ "GET", "/api/v1/audit", CALL_AUDIT, MAY_AUDIT, "Lines of the audit log, oldest first; with ?follow= what comes, too." },
	{ "GET", "/api/v1/events", CALL_EVENTS, ANY_READER, "What changes among requests, grants and sessions that the caller may see, as it does: server-sent events." },
	{ "GET", "/api/v1/search", CALL_SEARCH, MAY_AUDIT, "Operations that contain ?text=." },
	{ "GET", "/api/v1/requests", CALL_REQUESTS, ANY_READER, "Operations that wait for a person." },
	{ "GET", "/api/v1/requests/:id", CALL_REQUEST, ANY_READER, "One of them, with all that an approver must see." },
	{ "POST", "/api/v1/requests/:id/approve", CALL_APPROVE, MAY_APPROVE, "Approve it." },
	{ "POST", "/api/v1/requests/:id/deny", CALL_DENY, MAY_APPROVE, "Deny it." },
	{ "POST", "/api/v1/requests", CALL_ASK, MAY_USE, "Ask for a grant, or for a file of SQL to be approved as a whole." },
	{ "GET", "/api/v1/grants", CALL_GRANTS, ANY_READER, "Grants: one's own, those one decides on; ?all= ended ones too." },
	{ "POST", "/api/v1/grants/:id/end", CALL_END, MAY_USE | MAY_APPROVE | MAY_OPERATE, "End a grant, or take a request of one's own back." },
	{ "POST", "/api/v1/break-glass", CALL_BREAK_GLASS, MAY_USE, "Go in at once, without grant and approval, under an incident." },
	{ "POST", "/api/v1/break-glass/codes", CALL_CODES_MAKE, MAY_OPERATE, "Make codes for somebody, for a day without their identity provider." },
	{ "GET", "/api/v1/break-glass/codes", CALL_CODES, MAY_OPERATE | MAY_AUDIT, "Such codes, without what they say." },
	{ "POST", "/api/v1/break-glass/codes/:id/end", CALL_CODE_END, MAY_OPERATE, "End one." },
	{ "POST", "/api/v1/break-glass/code", CALL_CODE_SPEND, MAY_ANYBODY, "Break the glass by a code; the answer is a ticket." },
	{ "POST", "/api/v1/tickets", CALL_TICKET, MAY_USE, "A user name and password for one target, for native clients." },
	{ "GET", "/api/v1/tickets", CALL_TICKETS, MAY_USE | MAY_AUDIT | MAY_OPERATE, "Live tickets, without their passwords." },
	{ "POST", "/api/v1/tickets/:id/end", CALL_TICKET_END, MAY_USE | MAY_OPERATE, "End a ticket and its sessions." },
	{ "POST", "/api/v1/ssh-certificate", CALL_SSH_CERTIFICATE, MAY_USE, "Certify a key of one's own, for SSH without a password." },
	{ "POST", "/api/v1/token", CALL_TOKEN, MAY_MINT, "A token from the local issuer." },
	{ "POST", "/api/v1/revoke", CALL_REVOKE, MAY_OPERATE, "Revoke a principal; its sessions end." },
	{ "GET", "/api/v1/targets", CALL_TARGETS, ANY_READER, "Targets that the caller may reach, and where." },
	{ "GET", "/api/v1/policies", CALL_POLICIES, MAY_AUDIT | MAY_OPERATE, "The rules in force, by target, and how often each did something." },
	{ "POST", "/api/v1/policies/explain", CALL_POLICY_EXPLAIN, MAY_USE | MAY_AUDIT | MAY_OPERATE,
	    "What every rule in force would say of a text, and why: for oneself; for auditors and operators, for anybody." },
	{ "GET", "/api/v1/keys", CALL_KEYS, ANY_READER, "Public keys that recordings are signed with." },
	{ "GET", "/api/v1/status", CALL_STATUS, MAY_AUDIT | MAY_OPERATE, "Epoch, workers, sessions, queues." },
	{ "GET", "/api/v1/identities", CALL_IDENTITIES, MAY_ANYBODY, "Identities that one can sign in with, in a browser." },
	{ "POST", "/api/v1/signin", CALL_SIGNIN_BEGIN, MAY_ANYBODY, "Begin to sign in: where the browser has to go." },
	{ "POST", "/api/v1/signin/code", CALL_SIGNIN_CODE, MAY_ANYBODY, "What the browser came back with; the answer is a sign-in." },
	{ "POST", "/api/v1/console-link", CALL_LINK_MAKE, MAY_OPERATE, "Over the control socket: a link that opens the console once, within two minutes, as that account." },
	{ "POST", "/api/v1/signin/link", CALL_LINK_USE, MAY_ANYBODY, "What stood in such a link; the answer is a sign-in, for an hour." },
	{ "POST", "/api/v1/logout", CALL_LOGOUT, MAY_USE, "End the sign-in that the call is made with." },
	{ "POST", "/api/v1/device", CALL_DEVICE_BEGIN, MAY_ANYBODY, "Begin to sign in on a machine without a browser." },
	{ "POST", "/api/v1/device/token", CALL_DEVICE_POLL, MAY_ANYBODY, "Ask whether that was confirmed; once it was, the answer is a sign-in." },
	{ "GET", "/api/v1/device", CALL_DEVICE_LOOK, MAY_USE, "What would be confirmed by ?code=." },
	{ "POST", "/api/v1/device/confirm", CALL_DEVICE_CONFIRM, MAY_USE, "Let that machine sign in as oneself, or not." },
	{ "POST", "/backchannel-logout/:id", CALL_BACKCHANNEL, MAY_ANYBODY, "OpenID Connect Back-Channel Logout of the identity :id." },
	{ "POST", "/api/v1/renew", CALL_RENEW, MAY_ANYBODY, "Sessions of a token go on by a fresh one of the same principal." },
	{ "POST", "/api/v1/slack/:id", CALL_SLACK, MAY_ANYBODY, "A click on a message of the webhook :id, signed by Slack; it counts as the sign-in that it is tied to." },
	{ "GET", "/metrics", CALL_METRICS, MAY_MEASURE | MAY_AUDIT | MAY_OPERATE, "Numbers, in the form that Prometheus reads." },
	{ "GET", "/saml/metadata/:id", CALL_SAML_METADATA, MAY_ANYBODY, "The gateway's SAML metadata, for the provider of the identity :id." },
	{ "POST", "/saml/acs/:id", CALL_SAML_ACS, MAY_ANYBODY, "Where the provider of the identity :id posts its SAML response; the answer is a sign-in." },
	{ "POST", "/saml/logout/:id", CALL_SAML_LOGOUT, MAY_ANYBODY, "Where it posts a logout, signed: the subject's sign-ins and sessions end." },
	{ .method = NULL },
};

const struct page_route page_table[] = {
	{ "GET", "/", PAGE_HOME, false, false, "The console; to /signin where it was not built." },
	{ "GET", "/home", PAGE_APP, false, false, "The console: targets." },
	{ "GET", "/approvals", PAGE_APP, false, false, "… what waits for a person." },
	{ "GET", "/approvals/:id", PAGE_APP, false, false, "… one of them." },
	{ "GET", "/sessions", PAGE_APP, false, false, "… sessions." },
	{ "GET", "/sessions/:id", PAGE_APP, false, false, "… one of them, live or as it was." },
	{ "GET", "/policies", PAGE_APP, false, false, "… rules." },
	{ "GET", "/audit", PAGE_APP, false, false, "… the audit log." },
	{ "GET", "/overview", PAGE_APP, false, false, "… numbers." },
	{ "GET", "/assets/:id", PAGE_ASSET, false, false, "What the console's page is made of." },
	{ "GET", "/signin", PAGE_SIGNIN, false, false, "Who one is, or by which identity to sign in." },
	{ "GET", "/signin/with/:id", PAGE_SIGNIN_WITH, false, false, "To that identity's provider." },
	{ "GET", "/signin/callback/:id", PAGE_SIGNIN_BACK, false, false, "Where the provider sends the browser back to." },
	{ "GET", "/signin/link", PAGE_LINK, false, false, "Where `sallyport console` leads." },
	{ "POST", "/signin/link", PAGE_LINK_USE, false, false, "The link's own words, once." },
	{ "GET", "/saml/login/:id", PAGE_SIGNIN_WITH, false, false, "The same, as providers' lists of applications name it." },
	{ "POST", "/saml/acs/:id", PAGE_SAML_BACK, false, false, "Where a SAML provider has the browser post its response." },
	{ "POST", "/saml/logout/:id", PAGE_SAML_LOGOUT, false, false, "Where it has it post a logout." },
	{ "GET", "/saml/metadata/:id", PAGE_SAML_METADATA, false, false, "The gateway's metadata, for that provider." },
	{ "GET", "/device", PAGE_DEVICE, true, false, "What a device asks for, by its code." },
	{ "POST", "/device", PAGE_DEVICE_CONFIRM, true, false, "Yes or no to it." },
	{ "GET", "/requests/:id", PAGE_REQUEST, true, false, "What somebody asks for, and a form that decides: where links in messages lead." },
	{ "POST", "/requests/:id", PAGE_DECIDE, true, false, "Yes or no to it, by the hash that was shown." },
	{ "POST", "/logout", PAGE_LOGOUT, true, false, "End the browser's sign-in." },
	{ "GET", "/style.css", PAGE_STYLE, false, false, "How pages look." },
	{ "GET", "/icon.svg", PAGE_ICON, false, false, "The gateway's sign." },
	{ "GET", "/healthz", PAGE_HEALTH, false, true, "Whether the console lives." },
	{ "GET", "/api/v1/openapi.json", PAGE_OPENAPI, false, true, "The API, described for machines." },
	{ "GET", "/readyz", PAGE_READY, false, true, "Whether it has its keeper." },
	{ .method = NULL },
};

const struct argument argument_table[] = {
	{ CALL_SESSIONS, "live", ARGUMENT_FLAG, "only those that go on" },
	{ CALL_SESSIONS, "user", ARGUMENT_TEXT, "only this user's" },
	{ CALL_SESSIONS, "target", ARGUMENT_TEXT, "only to this target" },
	{ CALL_SESSIONS, "verdict", ARGUMENT_TEXT, "allow, deny or held: with an operation that had it; allow and deny of sessions that have ended" },
	{ CALL_SESSIONS, "text", ARGUMENT_TEXT, "part of its user, target, database or program, address or protocol, in any case" },
	{ CALL_SESSIONS, "group", ARGUMENT_TEXT, "only those that belong together by this name: a docker exec's id" },
	{ CALL_SESSIONS, "since", ARGUMENT_TEXT, "begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ CALL_SESSIONS, "until", ARGUMENT_TEXT, "begun before then" },
	{ CALL_SESSIONS, "limit", ARGUMENT_NUMBER, "at most so many; 100 without it, and at most 1000" },
	{ CALL_SESSIONS, "cursor", ARGUMENT_TEXT, "\"next\" of the answer before: what comes after it" },
	{ CALL_KILL, "reason", ARGUMENT_TEXT, "for the audit log, and for the user" },
	{ CALL_EXPLAIN, "op", ARGUMENT_NUMBER, "number of the operation in its session, from 1 on" },
	{ CALL_SEARCH, "text", ARGUMENT_TEXT, "what to look for; this and the others up to 200 bytes" },
	{ CALL_SEARCH, "user", ARGUMENT_TEXT, "only in this user's sessions" },
	{ CALL_SEARCH, "target", ARGUMENT_TEXT, "only in sessions to this target" },
	{ CALL_SEARCH, "since", ARGUMENT_TEXT, "only in sessions begun then or later" },
	{ CALL_SEARCH, "until", ARGUMENT_TEXT, "only in sessions begun before then" },
	{ CALL_SEARCH, "limit", ARGUMENT_NUMBER, "at most so many matches" },
	{ CALL_RECORDINGS, "user", ARGUMENT_TEXT, "only this user's" },
	{ CALL_RECORDINGS, "target", ARGUMENT_TEXT, "only of sessions to this target" },
	{ CALL_RECORDINGS, "since", ARGUMENT_TEXT, "begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ CALL_RECORDINGS, "until", ARGUMENT_TEXT, "begun before then" },
	{ CALL_RECORDINGS, "verdict", ARGUMENT_TEXT, "allow, deny or held: with an operation that had it; allow and deny of sessions that have ended" },
	{ CALL_RECORDINGS, "text", ARGUMENT_TEXT, "part of its session's user, target, database or program, address or protocol" },
	{ CALL_RECORDINGS, "limit", ARGUMENT_NUMBER, "at most so many; 100 without it, and at most 200" },
	{ CALL_RECORDINGS, "cursor", ARGUMENT_TEXT, "\"next\" of the answer before: what comes after it" },
	{ CALL_AUDIT, "user", ARGUMENT_TEXT, "what this user did, or had done" },
	{ CALL_AUDIT, "target", ARGUMENT_TEXT, "only what is about this target" },
	{ CALL_AUDIT, "event", ARGUMENT_TEXT, "only these events, such as kill; decision: what was decided about operations" },
	{ CALL_AUDIT, "verdict", ARGUMENT_TEXT, "allow, deny, kill, held: only operations with that verdict" },
	{ CALL_AUDIT, "would", ARGUMENT_TEXT, "deny, held, kill, mask, limit, or any: only what a target in observe mode kept from it" },
	{ CALL_AUDIT, "session", ARGUMENT_TEXT, "only of this session" },
	{ CALL_AUDIT, "text", ARGUMENT_TEXT, "part of what the line says of anything: a rule, a statement, an address; letters of ASCII in any case; this and the others up to 200 bytes" },
	{ CALL_AUDIT, "since", ARGUMENT_TEXT, "then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ CALL_AUDIT, "until", ARGUMENT_TEXT, "before then" },
	{ CALL_AUDIT, "limit", ARGUMENT_NUMBER, "at most so many; 1000 without it; none while following" },
	{ CALL_AUDIT, "last", ARGUMENT_NUMBER, "in place of limit: only so many that fit, the newest ones, at most 10000" },
	{ CALL_AUDIT, "cursor", ARGUMENT_TEXT, "of a line, or \"next\": what comes after it" },
	{ CALL_AUDIT, "follow", ARGUMENT_FLAG, "go on with what comes; begins now without since and cursor" },
	{ CALL_EVENTS, "after", ARGUMENT_TEXT, "id of the last event that one has; the header Last-Event-ID says it, too" },
	{ CALL_REPLAY, "format", ARGUMENT_TEXT, "jsonl (without it), text, asciicast, or terminal: what its screen was told, made harmless" },
	{ CALL_REPLAY, "after", ARGUMENT_NUMBER, "go on behind this frame" },
	{ CALL_REPLAY, "head", ARGUMENT_NUMBER, "of what each operation answered, printed or was sent, about so many bytes and no more; all of it without" },
	{ CALL_REPLAY, "follow", ARGUMENT_FLAG, "of a live session: go on until it ends" },
	{ CALL_REQUESTS, "all", ARGUMENT_FLAG, "those that are decided, too" },
	{ CALL_REQUESTS, "limit", ARGUMENT_NUMBER, "at most so many; 200 without it" },
	{ CALL_APPROVE, "comment", ARGUMENT_TEXT, "up to 200 bytes, for the record" },
	{ CALL_APPROVE, "hash", ARGUMENT_TEXT, "hash of what was looked at, or its first 12 digits: another one is refused" },
	{ CALL_DENY, "comment", ARGUMENT_TEXT, "up to 200 bytes; the requester reads it" },
	{ CALL_DENY, "hash", ARGUMENT_TEXT, "as for approve" },
	{ CALL_ASK, "target", ARGUMENT_TEXT, "which target" },
	{ CALL_ASK, "for", ARGUMENT_NUMBER, "milliseconds that the grant lasts once it is given" },
	{ CALL_ASK, "reason", ARGUMENT_TEXT, "why, up to 200 bytes" },
	{ CALL_ASK, "text", ARGUMENT_TEXT, "a file of SQL to be approved as a whole, in place of a grant; `for` is when it may be run" },
	{ CALL_ASK, "by", ARGUMENT_TEXT, "with text: the group that the rules ask; without it the target's approvers" },
	{ CALL_ASK, "count", ARGUMENT_NUMBER, "with text: how many persons the rules ask for" },
	{ CALL_ASK, "database", ARGUMENT_TEXT, "with text: the part of the target, when it is not the default" },
	{ CALL_ASK, "search_path", ARGUMENT_TEXT, "with text: the session's; \"$user\", public without it" },
	{ CALL_GRANTS, "all", ARGUMENT_FLAG, "those that have ended, too" },
	{ CALL_BREAK_GLASS, "target", ARGUMENT_TEXT, "which target" },
	{ CALL_BREAK_GLASS, "for", ARGUMENT_NUMBER, "milliseconds, at most an hour, which it is without it" },
	{ CALL_BREAK_GLASS, "reason", ARGUMENT_TEXT, "why, up to 200 bytes" },
	{ CALL_CODES_MAKE, "user", ARGUMENT_TEXT, "whom they are for" },
	{ CALL_CODES_MAKE, "identity", ARGUMENT_TEXT, "by which identity they sign in, when several have that name" },
	{ CALL_CODES_MAKE, "groups", ARGUMENT_TEXTS, "for somebody of the local issuer: their groups" },
	{ CALL_CODES_MAKE, "count", ARGUMENT_NUMBER, "how many, at most 20; 5 without it" },
	{ CALL_CODES_MAKE, "for", ARGUMENT_NUMBER, "milliseconds in which they may be used, at most 400 days; 90 without it" },
	{ CALL_CODE_SPEND, "code", ARGUMENT_TEXT, "as it was printed" },
	{ CALL_CODE_SPEND, "target", ARGUMENT_TEXT, "which target" },
	{ CALL_CODE_SPEND, "for", ARGUMENT_NUMBER, "milliseconds, at most an hour, which it is without it" },
	{ CALL_CODE_SPEND, "reason", ARGUMENT_TEXT, "why, up to 200 bytes" },
	{ CALL_TICKET, "target", ARGUMENT_TEXT, "which target" },
	{ CALL_TICKET, "once", ARGUMENT_FLAG, "for one session, in place of any number" },
	{ CALL_TICKET, "for", ARGUMENT_NUMBER, "milliseconds in which sessions may begin, at most a day; 15 minutes without it" },
	{ CALL_SSH_CERTIFICATE, "key", ARGUMENT_TEXT, "the public key, a line as in ~/.ssh/id_ed25519.pub" },
	{ CALL_SSH_CERTIFICATE, "for", ARGUMENT_NUMBER, "milliseconds in which sessions may begin, at most a day; 8 hours without it" },
	{ CALL_TOKEN, "user", ARGUMENT_TEXT, "whom it is for" },
	{ CALL_TOKEN, "groups", ARGUMENT_TEXTS, "what groups they are in" },
	{ CALL_TOKEN, "ttl", ARGUMENT_NUMBER, "milliseconds that it lives" },
	{ CALL_TOKEN, "api", ARGUMENT_FLAG, "for the API, in place of sessions" },
	{ CALL_TOKEN, "class", ARGUMENT_TEXT, "human, workload or agent" },
	{ CALL_TOKEN, "sponsor", ARGUMENT_TEXT, "whom an agent works for" },
	{ CALL_REVOKE, "user", ARGUMENT_TEXT, "whom" },
	{ CALL_POLICIES, "target", ARGUMENT_TEXT, "only this target's" },
	{ CALL_POLICY_EXPLAIN, "target", ARGUMENT_TEXT, "which target" },
	{ CALL_POLICY_EXPLAIN, "text", ARGUMENT_TEXT, "what would be sent; at most 64 KB" },
	{ CALL_POLICY_EXPLAIN, "kind", ARGUMENT_TEXT, "kind of operation; sql.statement without it" },
	{ CALL_POLICY_EXPLAIN, "user", ARGUMENT_TEXT, "for somebody else than oneself" },
	{ CALL_POLICY_EXPLAIN, "groups", ARGUMENT_TEXTS, "that user's groups" },
	{ CALL_POLICY_EXPLAIN, "roles", ARGUMENT_TEXTS, "that user's roles in the gateway" },
	{ CALL_POLICY_EXPLAIN, "class", ARGUMENT_TEXT, "human (without it), workload or agent" },
	{ CALL_POLICY_EXPLAIN, "sponsor", ARGUMENT_TEXT, "whom an agent works for" },
	{ CALL_POLICY_EXPLAIN, "address", ARGUMENT_TEXT, "where from; not known without it" },
	{ CALL_POLICY_EXPLAIN, "at", ARGUMENT_TEXT, "when, such as \"2026-11-24 10:00 Europe/Berlin\"; now without it" },
	{ CALL_POLICY_EXPLAIN, "database", ARGUMENT_TEXT, "the session's database; not known without it" },
	{ CALL_POLICY_EXPLAIN, "role", ARGUMENT_TEXT, "the session's role at the target; not known without it" },
	{ CALL_POLICY_EXPLAIN, "search_path", ARGUMENT_TEXT, "the session's search_path; not known without it" },
	{ CALL_SLACK, "payload", ARGUMENT_TEXT, "what Slack says of the click, JSON; X-Slack-Request-Timestamp and X-Slack-Signature are its headers" },
	{ CALL_SIGNIN_BEGIN, "identity", ARGUMENT_TEXT, "by which identity" },
	{ CALL_SIGNIN_BEGIN, "return", ARGUMENT_TEXT, "path of the console to come back to" },
	{ CALL_SIGNIN_CODE, "flow", ARGUMENT_TEXT, "what signin answered, which the browser kept" },
	{ CALL_SIGNIN_CODE, "state", ARGUMENT_TEXT, "of the provider's answer" },
	{ CALL_SIGNIN_CODE, "code", ARGUMENT_TEXT, "of the provider's answer" },
	{ CALL_SIGNIN_CODE, "iss", ARGUMENT_TEXT, "of the provider's answer" },
	{ CALL_SIGNIN_CODE, "error", ARGUMENT_TEXT, "of the provider's answer" },
	{ CALL_LINK_USE, "link", ARGUMENT_TEXT, "what stands behind # in it" },
	{ CALL_LINK_USE, "look", ARGUMENT_FLAG, "only say whose it is, and until when: user and expires; it stays good" },
	{ CALL_DEVICE_BEGIN, "name", ARGUMENT_TEXT, "of the machine, for the person who confirms" },
	{ CALL_DEVICE_POLL, "device_code", ARGUMENT_TEXT, "what device answered" },
	{ CALL_DEVICE_LOOK, "code", ARGUMENT_TEXT, "the code that the machine shows" },
	{ CALL_DEVICE_CONFIRM, "code", ARGUMENT_TEXT, "the code that the machine shows" },
	{ CALL_DEVICE_CONFIRM, "allow", ARGUMENT_FLAG, "or not" },
	{ CALL_BACKCHANNEL, "logout_token", ARGUMENT_TEXT, "the provider's, in a form" },
	{ CALL_SAML_ACS, "flow", ARGUMENT_TEXT, "what signin answered, which the browser kept" },
	{ CALL_SAML_ACS, "response", ARGUMENT_TEXT, "SAMLResponse, base64" },
	{ CALL_SAML_LOGOUT, "request", ARGUMENT_TEXT, "SAMLRequest, base64" },
	{ CALL_RENEW, "old", ARGUMENT_TEXT, "the token so far" },
	{ CALL_RENEW, "token", ARGUMENT_TEXT, "a fresh one of the same issuer and subject" },
	{ .name = NULL },
};

const struct shape_row shape_table[] = {
	{ "session", "id user target part protocol address state started:time ended:time? why? text? operations:number denied:number "
		     "rows:number bytes:number gateway group?" },
	{ "recording", "id user target part protocol address state started:time ended:time? why? text? operations:number denied:number "
		       "rows:number bytes:number gateway group? recording frames:number size:number signed_at:time?" },
	{ "decision", "allow:flag user name issuer comment at:time" },
	{ "ticket", "id user target once:flag used:number address created:time window:time" },
	{ "made_code", "id code user expires:time" },
	{ "code", "id user issuer by state created:time expires:time changed:time? text" },
	{ "grant", "id user target reason by state break_glass:flag since:time until:time ended:time? text" },
	{ "request", "id kind state session op:number user class target rule by count:number votes:number hash next_run:flag reason:flag "
		     "asked:time? until:time? decided:time? text outcome? decisions:any[] may_decide:flag may_not? sponsor?" },
	{ "rule", "rule doc file line:number on[] decision mode text when[] unless[] decides? hash hits:any day:any?" },
	{ "tag", "tag columns[]" },
	{ "policy", "target mode hash rules:rule[] tags:tag[]" },
	{ "judged", "rule place decision applies:flag observed:flag why doc? text? when[]? unless[]?" },
	{ "target", "name mode protocol database databases[] label:any access state grant? until:time? longest:number? host? port:number? tls:flag?" },
	{ "key", "key" },
	{ "identity", "name kind class" },
	{ "worker", "index:number sessions:number" },
	{ "event", "at_us:number what would? rule? message? approval? approver?" },
	{ "logged", "entry:any? cursor? done:any? error?" },
	{ "happened", "what request:request? grant:grant? session:session?" },
	{ "found", "progress:any? match:any? done:any?" },
	{ .name = NULL },
};

const struct answer_row answer_table[] = {
	{ CALL_WHOAMI, "user name identity issuer subject class sponsor methods[] groups[] roles[] may[] expires:time? "
			"authenticated:time?" },
	{ CALL_SESSIONS, "sessions:session[] next?" },
	{ CALL_SESSION, "id user target part protocol address state started:time ended:time? why? text? operations:number "
			"denied:number rows:number bytes:number gateway group? groups[]" },
	{ CALL_KILL, "killed:number id" },
	{ CALL_RECORDING, "bytes" },
	{ CALL_VERIFY, "id ok:flag ended:flag text blocks:number frames:number entries:number signed_at" },
	{ CALL_EXPLAIN, "session op:number target user policy kind text tag params:any[] facts:any statements:any[] events:event[] "
			"why:any sealed:flag" },
	{ CALL_SEARCH, "lines found" },
	{ CALL_RECORDINGS, "recordings:recording[] next?" },
	{ CALL_RECORDING_ONE, "id user target part protocol address state started:time ended:time? why? text? operations:number denied:number "
			      "rows:number bytes:number gateway recording frames:number size:number signed_at:time?" },
	{ CALL_REPLAY, "lines any" },
	{ CALL_AUDIT, "lines logged" },
	{ CALL_EVENTS, "events happened" },
	{ CALL_REQUESTS, "requests:request[]" },
	{ CALL_REQUEST, "id kind state session op:number user class target rule by count:number votes:number hash next_run:flag reason:flag "
			"asked:time? until:time? decided:time? text outcome? decisions:any[] may_decide:flag may_not? sponsor? view:any estimate?" },
	{ CALL_APPROVE, "id state votes:number count:number" },
	{ CALL_DENY, "id state votes:number count:number" },
	{ CALL_ASK, "id kind state hash by count:number until:time" },
	{ CALL_GRANTS, "grants:grant[]" },
	{ CALL_END, "id state" },
	{ CALL_BREAK_GLASS, "id state until:time" },
	{ CALL_CODES_MAKE, "codes:made_code[]" },
	{ CALL_CODES, "codes:code[]" },
	{ CALL_CODE_END, "id state" },
	{ CALL_CODE_SPEND, "incident user id password target protocol host? port:number? tls:flag? window:time until:time" },
	{ CALL_TICKET, "id password target protocol host? port:number? tls:flag? window:time until:time" },
	{ CALL_TICKETS, "tickets:ticket[]" },
	{ CALL_TICKET_END, "id state" },
	{ CALL_SSH_CERTIFICATE, "id certificate authority host_key? host? port:number? window:time until:time" },
	{ CALL_TOKEN, "token expires:time audience" },
	{ CALL_REVOKE, "user ended:number" },
	{ CALL_TARGETS, "targets:target[]" },
	{ CALL_POLICIES, "epoch:number policies:policy[] counted_since:time?" },
	{ CALL_POLICY_EXPLAIN, "policy kind verdict because rule text would:any? statements:any[] unclear:any[] rules:judged[] pass[]" },
	{ CALL_KEYS, "keys:key[]" },
	{ CALL_IDENTITIES, "identities:identity[]" },
	{ CALL_SIGNIN_BEGIN, "location flow post:flag?" },
	{ CALL_SIGNIN_CODE, "secret expires:time user name class return" },
	{ CALL_LINK_MAKE, "url expires:time" },
	{ CALL_LINK_USE, "secret? expires:time user name? class? return?" },
	{ CALL_LOGOUT, "ended:number location" },
	{ CALL_DEVICE_BEGIN, "device_code user_code verification_uri verification_uri_complete expires_in:number interval:number" },
	{ CALL_DEVICE_POLL, "secret expires:time user name class return" },
	{ CALL_DEVICE_LOOK, "code name address created:time expires:time state" },
	{ CALL_DEVICE_CONFIRM, "state" },
	{ CALL_BACKCHANNEL, "ended:number" },
	{ CALL_METRICS, "plain" },
	{ CALL_SAML_METADATA, "xml" },
	{ CALL_SAML_ACS, "secret expires:time user name class return" },
	{ CALL_SAML_LOGOUT, "ended:number" },
	{ CALL_RENEW, "renewed:number expires:time" },
	{ CALL_SLACK, "" },
	{ CALL_STATUS, "version epoch:number epoch_hash sessions:number held:number ledger:number workers:worker[] recorder:flag "
		       "started:time" },
	{ .members = NULL },
};

const struct argument *
argument_find(enum call call, const char *name)
{
	const struct argument *a = argument_table;
	while (a->name != NULL && (a->call != call || strcmp(a->name, name) != 0))
		a++;
	return a->name == NULL ? NULL : a;
}

const char *
answer_find(enum call call)
{
	const struct answer_row *a = answer_table;
	while (a->members != NULL && a->call != call)
		a++;
	return a->members;
}

/* The next segment of a path that begins with '/'. */
static struct sp_bytes
segment(struct sp_reader *r)
{
	const uint8_t *end;
	if (sp_rd_u8(r) != '/' || r->bad)
		r->bad = true;
	end = r->bad || r->left == 0 ? NULL : memchr(r->p, '/', r->left);
	return end == NULL ? sp_rd_rest(r) : sp_rd_take(r, (size_t)(end - r->p));
}

static bool
path_fits(const char *pattern, struct sp_bytes path, struct sp_bytes *id_r)
{
	struct sp_reader want = sp_reader(sp_str(pattern)), have = sp_reader(path);
	while (want.left > 0) {
		struct sp_bytes w = segment(&want), h = segment(&have);
		if (have.bad)
			return false;
		if (sp_bytes_is(w, ":id")) {
			if (h.len == 0)
				return false;
			*id_r = h;
		} else if (!sp_bytes_eq(w, h)) {
			return false;
		}
	}
	return sp_rd_done(&have);
}

const struct page_route *
page_find(struct sp_bytes method, struct sp_bytes path, struct sp_bytes *id_r)
{
	for (const struct page_route *p = page_table; p->method != NULL; p++) {
		*id_r = (struct sp_bytes){ NULL, 0 };
		if (sp_bytes_is(method, p->method) && path_fits(p->path, path, id_r))
			return p;
	}
	*id_r = (struct sp_bytes){ NULL, 0 };
	return NULL;
}

const struct route *
route_find(struct sp_bytes method, struct sp_bytes path, struct sp_bytes *id_r)
{
	for (const struct route *r = route_table; r->method != NULL; r++) {
		*id_r = (struct sp_bytes){ NULL, 0 };
		if (sp_bytes_is(method, r->method) && path_fits(r->path, path, id_r))
			return r;
	}
	*id_r = (struct sp_bytes){ NULL, 0 };
	return NULL;
}
