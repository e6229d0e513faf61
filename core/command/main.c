/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands, and finding the one that is meant. */
#include <config.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/conf.h"
#include "../base/log.h"
#include "command.h"

static const struct option_row token_options[] = {
	{ "user", "NAME", "whose token" },
	{ "groups", "A,B", "its groups" },
	{ "ttl", "TIME", "how long it lives, such as 10m" },
	{ "class", "CLASS", "human, workload or agent" },
	{ "sponsor", "USER", "whom an agent works for" },
	{ "api", NULL, "for the API instead of targets" },
	{ NULL, NULL, NULL },
};
static const struct option_row run_options[] = { { "token-command", "COMMAND", "prints a token; its words stand between spaces, and no shell reads them" }, { NULL, NULL, NULL } };
static const struct option_row user_options[] = { { "user", "NAME", "whom" }, { NULL, NULL, NULL } };
static const struct option_row request_ask_options[] = {
	{ "for", "TIME", "how long you need it, such as 1h" },
	{ "reason", "TEXT", "why; some targets want a ticket's number in it" },
	{ "file", "FILE", "SQL to be approved as a whole, in place of access" },
	{ "by", "GROUP", "with --file: the group that the rules ask; default: the target's approvers" },
	{ "count", "N", "with --file: how many persons the rules ask for" },
	{ "database", "NAME", "with --file: the part of the target, when it is not the default" },
	{ "search-path", "LIST", "with --file: the session's; default: \"$user\", public" },
	{ NULL, NULL, NULL },
};
static const struct option_row glass_options[] = {
	{ "for", "TIME", "how long you need it, such as 30m; of codes: how long they are good, such as 90d" },
	{ "reason", "TEXT", "why; some targets want a ticket's number in it" },
	{ "code", "CODE", "in place of a sign-in; -: the first line of standard input, where nobody else sees it" },
	{ "user", "USER", "codes: whom they are for" },
	{ "identity", "NAME", "codes: by which identity they sign in, when several have that name" },
	{ "groups", "LIST", "codes: of somebody of the local issuer" },
	{ "count", "N", "codes: how many; default: 5" },
	{ "revoke", "ID", "codes: end that one" },
	{ NULL, NULL, NULL },
};
static const struct option_row request_options[] = { { "all", NULL, "decided ones too" }, { NULL, NULL, NULL } };
static const struct option_row connect_options[] = { { "host", "NAME", "where the gateway is, when it does not say so itself" }, { NULL, NULL, NULL } };
static const struct option_row ticket_options[] = {
	{ "format", "FORM", "dsn (a postgresql:// or ssh:// address), env (for a shell) or json" },
	{ "for", "TIME", "sessions may begin for so long, such as 8h" },
	{ "host", "NAME", "where the gateway is, when it does not say so itself" },
	{ NULL, NULL, NULL },
};
static const struct option_row grants_options[] = { { "all", NULL, "ended ones too" }, { NULL, NULL, NULL } };
static const struct option_row comment_options[] = { { "comment", "TEXT", "what the asker is told" }, { NULL, NULL, NULL } };
static const struct option_row session_options[] = {
	{ "live", NULL, "only those that are open" },
	{ "group", "NAME", "only those that belong together by this name: a docker exec's id" },
	{ "user", "NAME", "only this user's" },
	{ "target", "NAME", "only to this target" },
	{ "since", "TIME", "begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ "until", "TIME", "begun before then" },
	{ "limit", "N", "at most N, newest first" },
	{ "cursor", "TEXT", "what comes after an answer that was not all" },
	{ NULL, NULL, NULL },
};
static const struct option_row recording_options[] = {
	{ "user", "NAME", "only this user's" },
	{ "target", "NAME", "only of sessions to this target" },
	{ "since", "TIME", "begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ "until", "TIME", "begun before then" },
	{ "verdict", "WORD", "allow, deny or held: with an operation that had it" },
	{ "limit", "N", "at most N, newest first" },
	{ "cursor", "TEXT", "what comes after an answer that was not all" },
	{ NULL, NULL, NULL },
};
static const struct option_row audit_options[] = {
	{ "follow", NULL, "go on with what comes; begins now without --since" },
	{ "user", "NAME", "what this user did, or had done" },
	{ "target", "NAME", "only what is about this target" },
	{ "event", "NAME", "only these events, such as kill; decision: what was decided about operations" },
	{ "verdict", "WORD", "allow, deny, kill, held: only operations with that verdict" },
	{ "would", "WORD", "deny, held, kill, mask, limit, or any: only what a target in observe mode kept from it" },
	{ "session", "ID", "only of this session" },
	{ "since", "TIME", "then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago; an hour ago without it" },
	{ "until", "TIME", "before then" },
	{ "limit", "N", "at most N, oldest first" },
	{ "cursor", "TEXT", "what comes after an answer that was not all" },
	{ NULL, NULL, NULL },
};
static const struct option_row report_options[] = {
	{ "since", "TIME", "then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago; 7d without it" },
	{ "until", "TIME", "before then" },
	{ "target", "NAME", "only of this target" },
	{ "user", "NAME", "only of this user" },
	{ "lua", NULL, "the suggested exceptions alone, as a policy file" },
	{ NULL, NULL, NULL },
};
static const struct option_row doctor_options[] = { { "conf", "FILE", "the configuration; default: the one that sallyportd reads" }, { NULL, NULL, NULL } };
static const struct option_row init_options[] = {
	{ "server", "HOST:PORT", "the PostgreSQL server" },
	{ "database", "NAME", "its database, and what the target is called" },
	{ "login", "NAME", "as whom the gateway logs in there" },
	{ "issuer", "URL", "who vouches for people: an OpenID issuer; \"local\": the gateway itself, for a first look" },
	{ "groups", "A,B", "whose members may use it" },
	{ "listen", "ADDRESS:PORT", "where clients come; default: 127.0.0.1:6432" },
	{ "client", "NAME", "with an issuer: what the gateway is called there; default: sallyport" },
	{ "url", "URL", "with an issuer: the console's address for browsers; default: https://HOST:8443, this machine" },
	{ "observe", NULL, "begin in observe mode: nothing is refused or masked, and `sallyport report` tells what would be" },
	{ "yes", NULL, "ask nothing: the defaults, for what no option says" },
	{ NULL, NULL, NULL },
};
static const struct option_row kill_options[] = { { "reason", "TEXT", "what the user is told" }, { NULL, NULL, NULL } };
static const struct option_row replay_options[] = {
	{ "format", "FORM", "text, jsonl, asciicast, or terminal: played as it was, by the keys space, +, -, n (next) and q" },
	{ "idle", "TIME", "wait for nothing longer than this; 2s in a terminal, else as it was" },
	{ "key", "FILE", "the auditor's private key, for a sealed recording" },
	{ "speed", "N", "as it happened, N times as fast; default: at once" },
	{ "follow", NULL, "of a live session: go on until it ends, a few seconds behind" },
	{ "together", NULL, "all operations that belong to ID, a group such as a docker exec, or to those of the session ID, of all sessions, as one" },
	{ NULL, NULL, NULL },
};
static const struct option_row search_options[] = {
	{ "user", "NAME", "only this user's sessions" },
	{ "target", "NAME", "only sessions to this target" },
	{ "since", "TIME", "begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago" },
	{ "until", "TIME", "begun before then" },
	{ "key", "FILE", "the auditor's private key: sealed recordings are searched too, here" },
	{ NULL, NULL, NULL },
};
static const struct option_row verify_options[] = {
	{ "anchor", "FILE", "checkpoints that were kept elsewhere" },
	{ "key", "HEX", "the keeper's public key, when it is known" },
	{ NULL, NULL, NULL },
};
static const struct option_row policy_options[] = {
	{ "module", "NAME", "the protocol's module, or its file; default: postgres" },
	{ NULL, NULL, NULL },
};
static const struct option_row policy_explain_options[] = {
	{ "live", NULL, "ask the gateway for its rules in force; for others than yourself, as an auditor or operator" },
	{ "target", "NAME", "which target of the configuration; may be left out when there is one" },
	{ "conf", "FILE", "the configuration; default: the one that sallyportd reads" },
	{ "policy", "FILE,DIR,…", "these policies, and no configuration" },
	{ "module", "NAME", "with --policy: the protocol's module; default: postgres" },
	{ "label", "NAME=VALUE,…", "labels of the target, in place of the configuration's" },
	{ "user", "NAME", "who asks; default: $USER" },
	{ "groups", "A,B", "the asker's groups" },
	{ "roles", "A,B", "the asker's roles in the gateway" },
	{ "class", "CLASS", "human (the default), workload or agent" },
	{ "sponsor", "USER", "whom an agent works for" },
	{ "address", "IP", "where from; not known without it" },
	{ "at", "TIME", "when, such as \"2026-11-24 10:00 Europe/Berlin\"; default: now" },
	{ "database", "NAME", "the session's database; not known without it" },
	{ "role", "NAME", "the session's role at the target; not known without it" },
	{ "search-path", "LIST", "the session's search_path; not known without it" },
	{ "kind", "KIND", "sql.statement (the default), sql.prepare, session …" },
	{ "columns", "A.B.C,…", "columns of the answer: how would they be shown?" },
	{ NULL, NULL, NULL },
};

static const struct option_row backtest_options[] = {
	{ "since", "TIME", "sessions begun then or later: 2026-11-24T04:12:33Z, or 90m, which is so long ago; 30d without it" },
	{ "until", "TIME", "begun before then" },
	{ "target", "NAME", "only sessions to this target" },
	{ "user", "NAME", "only this user's" },
	{ "store", "FOLDER", "recordings are read there, in place of being asked of the gateway" },
	{ "conf", "FILE", "the configuration whose targets have the labels that rules read" },
	{ "module", "NAME", "the protocol's module, or its file; default: postgres" },
	{ "key", "FILE", "the auditor's private key, for sealed recordings" },
	{ NULL, NULL, NULL },
};

static const struct option_row secret_options[] = {
	{ "conf", "FILE", "the configuration; default: the one that sallyportd reads" },
	{ NULL, NULL, NULL },
};

static const struct option_row ssh_options[] = {
	{ "for", "TIME", "sessions may begin for so long, such as 2h; 8h without it, never beyond your sign-in" },
	{ "host", "NAME", "where the gateway is, when it does not say so itself" },
	{ "agent", NULL, "put key and certificate into the ssh-agent, too" },
	{ NULL, NULL, NULL },
};
static const struct option_row console_options[] = { { "open", NULL, "in a browser of this machine" }, { NULL, NULL, NULL } };
static const struct option_row login_options[] = { { "no-browser", NULL, "open none, also where there is one" }, { NULL, NULL, NULL } };

const struct command commands[] = {
	{ .name = "login", .words = "", .options = login_options, .run = run_login, .help = "Sign in by a browser, here or on another machine.",
	    .more = "It shows an address and a code, and waits until you have confirmed them there. The sign-in is kept in\n"
		    "~/.config/sallyport, for you alone; later commands find the server and the sign-in by themselves." },
	{ .name = "logout", .words = "", .run = run_logout, .help = "End the sign-in, there and here." },
	{ .name = "console", .words = "", .options = console_options, .run = run_console,
	    .help = "Make a link that opens the console once, as your account at the control socket.",
	    .more = "For a first start, before there is an identity provider: it is good for two minutes, and signs in for an hour, with what\n"
		    "your account may do at the socket (`sallyport whoami`), and no more. What signs in stands behind #, so that no server logs it." },
	{ .name = "whoami", .words = "", .help = "Show who you are to the gateway.", .run = run_whoami },
	{ .name = "token", .words = "", .options = token_options, .run = run_token, .help = "Make a short-lived token by the local issuer.",
	    .more = "Only where the configuration says `local_issuer on` and `control … may=mint`; each use is in the audit log." },
	{ .name = "run", .words = "-- COMMAND…", .options = run_options, .run = run_run, .rest = true,
	    .help = "Run a job, and keep its token fresh.",
	    .more = "The token command prints a token of the job's platform; before its end it is asked for another, of the same issuer and\n"
		    "subject, by which the job's open sessions go on. The job finds it in $SALLYPORT_TOKEN_FILE, and programs with libpq in\n"
		    "$PGPASSFILE. The exit status is the job's." },
	{ .name = "targets", .words = "", .help = "List the targets that you may use.", .run = run_targets },
	{ .name = "request", .words = "TARGET", .min = 1, .max = 1, .options = request_ask_options, .run = run_request,
	    .help = "Ask for access to a target, or for a migration to be approved.",
	    .more = "Where `sallyport targets` says so, a target takes a grant. Its approvers see the request in `sallyport requests`;\n"
		    "once they agree, you have a grant of the same id, until its time is over or somebody ends it.\n"
		    "With --file the statements of a file are approved as a whole: within --for (1h) of it one session of yours runs them, in\n"
		    "order, as they stand there, with `psql -f` or any client." },
	{ .name = "connect", .words = "TARGET [-- ARGUMENT…]", .min = 1, .max = WORDS, .options = connect_options, .run = run_connect,
	    .help = "Start the target's native client, logged in by a ticket for one session.",
	    .more = "What stands behind -- goes to the client: sallyport connect orders -- -c 'SELECT 1', sallyport connect host -- uname -a,\n"
		    "sallyport connect shop-docker -- exec web id. The ticket's password reaches it by its environment, is good for that one\n"
		    "session, and the gateway keeps no more than a verifier of it. Docker opens many: its ticket is for 15 minutes, and stands\n"
		    "in ~/.config/sallyport/docker/TARGET, as DOCKER_CONFIG." },
	{ .name = "ticket", .words = "TARGET", .min = 1, .max = 1, .options = ticket_options, .run = run_ticket,
	    .help = "Make a short-lived user name and password for a target.",
	    .more = "For any number of sessions, ten at once, that begin within 15 minutes, or --for TIME, from the first address that uses\n"
		    "it; never beyond your sign-in and your grant. `sallyport end ID` ends it before." },
	{ .name = "ssh-config", .words = "", .options = ssh_options, .run = run_ssh_config,
	    .help = "Have a key certified, and write what ssh, scp, sftp, rsync and git need to use it.",
	    .more = "Key, certificate and the hosts' lines stand in ~/.config/sallyport/ssh; one line in ~/.ssh/config includes them:\n"
		    "Include ~/.config/sallyport/ssh/config. The certificate ends with its time, your sign-in, or `sallyport end ID`; every\n"
		    "later `sallyport login` gets another." },
	{ .name = "scan-hostkey", .words = "HOST[:PORT]", .min = 1, .max = 1, .run = run_scan_hostkey, .alone = true,
	    .help = "Ask an SSH host for its keys and certificates, and print the `host_key` and `host_ca` lines that know it by them.",
	    .more = "The network says which keys these are: compare them with what the host itself says, on its console or by whoever set it\n"
		    "up (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub), before they stand in the configuration." },
	{ .name = "tickets", .words = "", .run = run_tickets, .help = "List live tickets." },
	{ .name = "requests", .words = "[ID]", .max = 1, .options = request_options, .run = run_requests,
	    .help = "List what waits for a person: operations, grants, files, incidents; or show one with all that an approver must see." },
	{ .name = "grants", .words = "", .options = grants_options, .run = run_grants, .help = "List grants: yours, and those that you decide on." },
	{ .name = "end", .words = "ID", .min = 1, .max = 1, .run = run_end, .help = "End a grant or a ticket, or take a request of yours back.",
	    .more = "A grant is ended by who has it, by its approvers, and by admins; sessions that stand on it end at once." },
	{ .name = "break-glass", .words = "TARGET | codes", .min = 1, .max = 1, .options = glass_options, .run = run_break_glass,
	    .help = "Go in at once, without grant and approval, for at most an hour.",
	    .more = "Only for groups that `access … break_glass=` names. Everything else stays: rules that deny, masks, recording. It opens\n"
		    "an incident that another person has to close, with `sallyport approve ID --comment TEXT`, or to refuse with `deny`.\n"
		    "`break-glass codes --user USER` makes codes for the day when the identity provider is away, for an admin to hand over on paper: shown\n"
		    "once, each good once, for whom it was at the last sign-in (or, with --groups, of the local issuer). `break-glass codes` lists\n"
		    "them, `--revoke ID` ends one. With --code nobody need be signed in: the answer is a ticket, its user and its password." },
	{ .name = "approve", .words = "ID", .min = 1, .max = 1, .options = comment_options, .run = run_approve, .help = "Let a held operation run." },
	{ .name = "deny", .words = "ID", .min = 1, .max = 1, .options = comment_options, .run = run_deny, .help = "Refuse a held operation." },
	{ .name = "sessions", .words = "", .options = session_options, .run = run_sessions, .help = "List sessions, live and past." },
	{ .name = "kill", .words = "ID", .min = 1, .max = 1, .options = kill_options, .run = run_kill, .help = "End a live session." },
	{ .name = "revoke", .words = "", .options = user_options, .run = run_revoke, .help = "End a user's sessions and refuse tokens issued before now." },
	{ .name = "recordings", .words = "[ID]", .max = 1, .options = recording_options, .run = run_recordings,
	    .help = "List recordings, or show what is known of one: whose, of what, how much of it is signed." },
	{ .name = "audit", .words = "", .options = audit_options, .run = run_audit, .help = "Show the audit log: what was decided, and what people did.",
	    .more = "For auditors. It reads the log that is written now; what was rotated away is where `siem` sent it." },
	{ .name = "replay", .words = "ID|FILE", .min = 1, .max = 1, .options = replay_options, .run = run_replay, .help = "Show what happened in a session." },
	{ .name = "watch", .words = "ID", .min = 1, .max = 1, .run = run_watch,
	    .help = "See the screen of a live session. `sallyport kill ID --reason TEXT` ends it." },
	{ .name = "export", .words = "ID FILE", .min = 2, .max = 2, .run = run_export, .help = "Save a session's recording." },
	{ .name = "search", .words = "TEXT", .min = 1, .max = 1, .options = search_options, .run = run_search, .help = "Find text in recordings." },
	{ .name = "verify", .words = "ID|FILE|DIR", .min = 1, .max = 1, .options = verify_options, .run = run_verify,
	    .help = "Prove that a recording, or a whole store, was not changed." },
	{ .name = "policy list", .words = "[TARGET]", .max = 1, .run = run_policy_list, .help = "List the rules in force, and how often each did something.",
	    .more = "For auditors and operators. What rules deny, hold, mask, or in observe mode would have done is counted by the recorder,\n"
		    "over all workers, since it started." },
	{ .name = "policy check", .words = "FILE|DIR…", .min = 1, .max = WORDS, .options = policy_options, .run = run_policy_check, .alone = true,
	    .help = "Load policy files, or all of a folder, and list their rules." },
	{ .name = "policy test", .words = "FILE|DIR…", .min = 1, .max = WORDS, .options = policy_options, .run = run_policy_test, .alone = true,
	    .help = "Run the tests of policy files, with the classifier that sessions use.",
	    .more = "Tests stand in the files, or in NAME_test.lua beside NAME.lua, which is found by itself." },
	{ .name = "policy explain", .words = "TEXT", .max = 1, .options = policy_explain_options, .run = run_policy_explain,
	    .help = "Show what every rule would say of a text, whether it applies and why, and the verdict.",
	    .more = "Nothing runs, and without --live no gateway is asked: it reads the configuration, or the files of --policy. Without the target's\n"
		    "catalogue, names stand as they are written (public is the schema of those without one); what is not known counts\n"
		    "as in a session: restrictions apply, exceptions don't." },
	{ .name = "policy backtest", .words = "FILE|DIR…", .min = 1, .max = WORDS, .options = backtest_options, .run = run_policy_backtest, .alone = true,
	    .help = "Judge what was recorded by other policies, and show what they would change.",
	    .more = "Verdicts and masks, by rule, user and statement. Operations are judged by what was recorded of their analysis. Exit status\n"
		    "0: nothing would change; 1: something would, or it could not be done." },
	{ .name = "explain", .words = "ID|FILE [NUMBER]", .min = 1, .max = 2, .run = run_explain,
	    .help = "Show why an operation got its verdict, and what would make it pass.",
	    .more = "ID is what the hint of a refusal names: SESSION.NUMBER. Everybody may ask about their own sessions, auditors about\n"
		    "all. What each rule said is recorded when an operation is refused or held, and told as it was then." },
	{ .name = "report", .words = "[FILE…]", .max = WORDS, .options = report_options, .run = run_report,
	    .help = "Show what a target in observe mode would have denied, held, limited or masked, by rule and user.",
	    .more = "For auditors. It reads the audit log that is written now, or FILEs of it that were rotated away. Exceptions are suggested\n"
		    "as whole rules, for what happened: each is for a person to judge. `sallyport explain ID` tells more of each example." },
	{ .name = "doctor", .words = "[TARGET]", .max = 1, .options = doctor_options, .run = run_doctor, .alone = true,
	    .help = "Look at all that the gateway stands on, and at what a target's login can do beyond the policy.",
	    .more = "Configuration, policies and their tests, a log-in at each target, files and their modes, certificates, store, disks, clock and\n"
		    "kernel, from this machine, for root. It changes nothing. Exit status 1: something is a danger." },
	{ .name = "init", .words = "[FOLDER]", .max = 1, .options = init_options, .run = run_init, .alone = true,
	    .help = "Write a configuration, by five questions.",
	    .more = "For PostgreSQL, with the shipped policies and a certificate of its own. FOLDER is /etc/sallyport unless another is named;\n"
		    "what is there already stays, but for the sallyport.conf that was installed, if nobody has changed it. Then `sallyportd -t` and `sallyport doctor` say whether all is well." },
	{ .name = "store migrate", .words = "", .options = secret_options, .run = run_store_migrate, .alone = true,
	    .help = "Move the store from its SQLite file to the PostgreSQL server that `store` names now.",
	    .more = "For root, while the gateway is stopped. All of it or nothing; the server's database has to be empty. The ledger stays in the file;\n"
		    "what the file was is kept beside it as state.db.moved." },
	{ .name = "store new-ledger", .words = "", .options = secret_options, .run = run_store_ledger, .alone = true,
	    .help = "End the ledger and its signing key: the next start makes new ones.",
	    .more = "For root, while the gateway is stopped. Grants, tickets, requests and sign-ins stay. It says what to do with the recordings, which\n"
		    "belong to the old ledger and verify by the old public key." },
	{ .name = "secret set", .words = "NAME", .min = 1, .max = 1, .options = secret_options, .run = run_secret_set, .alone = true,
	    .help = "Seal a secret of the keeper's, for `sealed:NAME` in the configuration.",
	    .more = "Reads it from the terminal, without showing it, or from a pipe. For root, or the keeper's user: it writes the files\n"
		    "that `secrets key= folder=` name, so that no other process sees the secret. The first use makes the key." },
	{ .name = "secret list", .words = "", .options = secret_options, .run = run_secret_list, .alone = true,
	    .help = "List sealed secrets, whether they open, and the targets that use them." },
	{ .name = "secret rotate", .words = "", .options = secret_options, .run = run_secret_rotate, .alone = true,
	    .help = "Make a new key and seal all secrets anew.", .more = "It may be stopped anywhere: run again, it finishes." },
	{ .name = "secret remove", .words = "NAME", .min = 1, .max = 1, .options = secret_options, .run = run_secret_remove, .alone = true,
	    .help = "Remove a sealed secret that no target uses." },
	{ .name = "status", .words = "", .help = "Show how the gateway is.", .run = run_status },
	{ .name = "doc", .words = "[TOPIC [MODULE]]", .max = 2, .run = run_doc, .alone = true,
	    .help = "Print the manual: directives, attributes, policy, settings, api, commands, or all; openapi is for machines.",
	    .more = "It is written from the tables that the gateway works by. MODULE is postgres unless another is named." },
	{ .name = "help", .words = "[COMMAND]", .max = 2, .help = "Show this, or how a command is used.", .run = run_help, .alone = true },
	{ .name = NULL },
};

static void
print_all(FILE *out)
{
	(void)fprintf(out, "usage: sallyport COMMAND …\n\n");
	for (const struct command *c = commands; c->name != NULL; c++)
		(void)fprintf(out, "  %-14s %s\n", c->name, c->help);
	(void)fprintf(out, "\n`sallyport COMMAND --help` says more. The gateway is found by --server URL or --control PATH, by\n"
			   "$SALLYPORT_SERVER or $SALLYPORT_CONTROL, by the last login, or at the default socket; who you are by\n"
			   "--token-file FILE, $SALLYPORT_TOKEN, your sign-in or, at the socket, your account.\n");
}

/* "policy test" is two words of argv; *used_r says how many. */
static const struct command *
find(int argc, char **argv, int *used_r)
{
	char two[128];
	(void)snprintf(two, sizeof(two), "%s %s", argv[1], argc > 2 ? argv[2] : "");
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (strcmp(c->name, argv[1]) == 0) {
			*used_r = 1;
			return c;
		}
		if (strcmp(c->name, two) == 0) {
			*used_r = 2;
			return c;
		}
	}
	return NULL;
}

/* Commands of two words whose first is this one, printed; false: none. */
static bool
print_family(FILE *out, const char *word)
{
	size_t len = strlen(word);
	bool found = false;
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (strncmp(c->name, word, len) != 0 || c->name[len] != ' ')
			continue;
		(void)fprintf(out, "%ssallyport %s %s\n    %s\n", found ? "" : "usage: one of\n", c->name, c->words, c->help);
		found = true;
	}
	return found;
}

static int
unknown(const char *word)
{
	if (print_family(stderr, word))
		return MISUSED;
	const char *names[sizeof(commands) / sizeof(*commands)];
	size_t n = 0;
	for (const struct command *c = commands; c->name != NULL; c++)
		names[n++] = c->name;
	names[n] = NULL;
	const char *near = conf_nearest(word, names);
	if (word[0] == '-')
		(void)fprintf(stderr, "sallyport: options come after the command, as in `sallyport sessions --json`; `sallyport help` lists all\n");
	else if (near != NULL)
		(void)fprintf(stderr, "sallyport: there is no command \"%s\", did you mean \"%s\"? `sallyport help` lists all\n", word, near);
	else
		(void)fprintf(stderr, "sallyport: there is no command \"%s\"; `sallyport help` lists all\n", word);
	return MISUSED;
}

int
run_help(struct run *r)
{
	char *argv[3] = { NULL, (char *)(uintptr_t)r->word[0], (char *)(uintptr_t)r->word[1] };
	int used;
	if (r->nwords == 0) {
		print_all(stdout);
		return DONE;
	}
	const struct command *c = find(r->nwords > 1 ? 3 : 2, argv, &used);
	if (c == NULL && r->nwords == 1 && print_family(stdout, r->word[0]))
		return DONE;
	if (c == NULL)
		return unknown(r->word[0]);
	command_help(c);
	return DONE;
}

int
main(int argc, char **argv)
{
	static struct run run;
	int used = 0;
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	log_init("sallyport", 2, SP_WARN);
	if (getenv(ASKPASS) != NULL && argc == 2)
		return askpass(argv[1], getenv(ASKPASS));
	if (argc < 2) {
		print_all(stderr);
		return MISUSED;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_all(stdout);
		return DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)puts("sallyport " PACKAGE_VERSION);
		return DONE;
	}
	run.command = find(argc, argv, &used);
	if (run.command == NULL)
		return unknown(argv[1]);
	int rc = run_parse(&run, argc - 1 - used, argv + 1 + used);
	if (rc == -1)
		return DONE;
	return rc != DONE ? rc : run.command->run(&run);
}
