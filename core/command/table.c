/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands, one row each: help and manual are printed from here. */
#include <config.h>

#include "command.h"

#define END { NULL, NULL, NULL }

static const struct option_row token_options[] = {
	{ "user", "NAME", "whom the token is for" },
	{ "groups", "A,B", "groups of that user" },
	{ "ttl", "DURATION", "how long it is good, such as 10m (the default)" },
	{ "class", "CLASS", "human (the default), workload or agent" },
	{ "api", NULL, "for this command and the API; without it, for sessions" },
	END,
};
static const struct option_row sessions_options[] = {
	{ "live", NULL, "only those that go on" },
	{ "user", "NAME", "only this user's" },
	{ "target", "NAME", "only to this target" },
	{ "limit", "N", "the newest N" },
	END,
};
static const struct option_row kill_options[] = { { "reason", "TEXT", "told to the user and recorded" }, END };
static const struct option_row revoke_options[] = { { "user", "NAME", "whom" }, END };
static const struct option_row requests_options[] = { { "all", NULL, "decided ones too" }, END };
static const struct option_row decide_options[] = { { "comment", "TEXT", "told to the user and recorded" }, END };

const struct command commands[] = {
	{ .name = "help", .words = "", .help = "List the commands.", .run = run_help },
	{ .name = "token", .words = "", .options = token_options, .help = "Make a short-lived token with the gateway's own issuer.",
	    .more = "The token is printed alone, ready for PGPASSWORD or a file.  The configuration must say `local_issuer on`,\n"
		    "and `control … may=mint` for callers on the control socket.",
	    .run = run_token },
	{ .name = "whoami", .words = "", .help = "Show who you are to the gateway, and what you may do.", .run = run_whoami },
	{ .name = "targets", .words = "", .help = "List the targets that you may reach.", .run = run_targets },
	{ .name = "sessions", .words = "", .options = sessions_options, .help = "List sessions, the newest first.", .run = run_sessions },
	{ .name = "kill", .words = "ID", .min = 1, .max = 1, .options = kill_options, .help = "End a live session, and what it runs at the target.",
	    .run = run_kill },
	{ .name = "revoke", .words = "", .options = revoke_options, .help = "Refuse a user's tokens from now on, and end the user's sessions.",
	    .run = run_revoke },
	{ .name = "requests", .words = "[ID]", .max = 1, .options = requests_options,
	    .help = "List operations that wait for a person, or show one whole.", .run = run_requests },
	{ .name = "approve", .words = "ID", .min = 1, .max = 1, .options = decide_options, .help = "Approve a request, under your own token.",
	    .more = "What is approved is shown first; the approval is for exactly that, by its hash, once.", .run = run_approve },
	{ .name = "deny", .words = "ID", .min = 1, .max = 1, .options = decide_options, .help = "Deny a request.", .run = run_deny },
	{ .name = "status", .words = "", .help = "Show what the gateway runs with.", .run = run_status },
	{ .name = NULL },
};
