/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `sallyport` command: one table of subcommands, each a row of what it takes and one function.
 *
 *   main.c        the table, help, options          client.c  asking the gateway; reach.c: where it is, and as whom
 *   print.c       tables, safe text, progress       askpass.c a ticket's password for an ssh that we started
 *   the rest      the subcommands, by what they are about
 *
 * Exit status: 0 done, 1 refused or not so (a verify that fails, a denied call), 2 misused.
 */
#ifndef SALLYPORT_COMMAND_H
#define SALLYPORT_COMMAND_H

#include <jansson.h>
#include <stdio.h>

#include "../base/memory.h"

enum { DONE = 0, FAILED = 1, MISUSED = 2 };

/* ---- what a subcommand takes ---- */

struct option_row {
	const char *name;    /* "user": --user */
	const char *value;   /* what the value is called in help; NULL: a flag */
	const char *help;
};

#define WORDS 32
#define OPTIONS 32 /* of one command, and of the common ones together */

struct run;

struct command {
	const char *name;      /* "approve", "policy check" */
	const char *words;     /* "ID", "ID [FILE…]" */
	unsigned min, max;     /* how many words */
	const char *help;      /* one sentence */
	const char *more;      /* further sentences for --help, or NULL */
	const struct option_row *options; /* ends with a NULL name, or NULL */
	int (*run)(struct run *r);
	bool alone;            /* works without a gateway */
	bool rest;             /* takes another command, behind "--" */
};

struct run { /* one invocation */
	const struct command *command;
	const char *value[OPTIONS]; /* by row of command->options; "" for a flag that is given */
	const char *word[WORDS + 1];
	unsigned nwords;
	char **rest;           /* of a command that takes one: all behind "--", NULL-terminated; NULL: there is no "--" */
	const char *server, *ca, *control, *token_file; /* of every subcommand that asks the gateway */
	bool json;
	bool nobody; /* asks without a token, whatever there is */
};

extern const struct command commands[]; /* ends with a NULL name */
extern const struct option_row common_options[];

/* Reads argv (after the program's name) into *r: DONE, MISUSED, or -1 when help was wanted and printed. */
int run_parse(struct run *r, int argc, char **argv);
/* The option's value; NULL when not given.  Naming one that the command lacks is a mistake of ours. */
const char *option(const struct run *r, const char *name);
/* The option's value as a whole number from 1 on; 0 when not given.  DONE or MISUSED. */
int option_count(const struct run *r, const char *name, uint64_t *n_r) SP_MUST;
bool flag(const struct run *r, const char *name);
/* Prints how the command is used; to stderr after a mistake. */
void command_help(const struct command *c);
int misused(const struct run *r, const char *fmt, ...) SP_PRINTF(2, 3);

/* ---- an ssh that we started asks (askpass.c) ---- */

#define ASKPASS "SALLYPORT_ASKPASS" /* in its environment: the ticket's password */

int askpass(const char *prompt, const char *password);

/* ---- asking the gateway (client.c) ---- */

/* The answer as JSON: DONE, or FAILED after having said why.  path: "/api/v1/…"; args of GET become its query.  args: a reference of the callee's, or NULL. */
int client_call(const struct run *r, const char *method, const char *path, json_t *args, json_t **answer_r) SP_MUST;
/* The same with any status, and nothing said about it; an answer that is no JSON is NULL. */
int client_try(const struct run *r, const char *method, const char *path, json_t *args, unsigned *status_r, json_t **answer_r) SP_MUST;
/* Says why the gateway refused; returns FAILED. */
int client_refused(unsigned status, const json_t *answer);
/* Calls each() for every line of the answer. */
int client_lines(const struct run *r, const char *path, json_t *args, int (*each)(void *owner, json_t *line), void *owner) SP_MUST;
/* Writes the answer to standard output as it comes. */
int client_stream(const struct run *r, const char *path, json_t *args) SP_MUST;
/* Writes the answer's bytes to fd. */
int client_fetch(const struct run *r, const char *path, int fd) SP_MUST;
/* "/api/v1/sessions/" + id + tail, once the word looks like an id or its beginning. */
int client_path(const char *collection, const char *id, const char *tail, char path_r[256]) SP_MUST;

/* GET path, and the list `name` of the answer as a table with these columns; args as above. */
int command_list(struct run *r, const char *path, json_t *args, const char *name, const char *const *columns);
/* One call whose answer is one object, printed member by member. */
int command_object(struct run *r, const char *method, const char *path, json_t *args, const char *const *members);

/* ---- what `login` keeps (saved.c) ---- */

/* "": there is no home.  It need not be there yet. */
void saved_folder(char path_r[4096]);
/* It and what it is in; the last for its owner alone.  path: as it was, afterwards. */
int saved_make_folders(char *path) SP_MUST;
json_t *saved_read(void);         /* never NULL but without memory; the caller's */
int saved_write(const json_t *all) SP_MUST;
/* Of the sign-in at a server: "secret", "user", "expires", "ca"; NULL when there is none. */
const char *saved_text(const json_t *all, const char *server, const char *name);

/* ---- printing (print.c) ---- */

/* "sallyport: …" on stderr; returns FAILED. */
int failed(const char *fmt, ...) SP_PRINTF(1, 2);
/* Text of others, fit for a terminal: controls, bidirectional and invisible characters are written out. */
void print_safe(FILE *out, struct sp_bytes text, size_t most);
/* Rows of texts in aligned columns. */
struct table;
struct table *table_new(const char *const *heads); /* ends with NULL */
void table_cell(struct table *t, const char *text);
void table_print(struct table **t);
/* Member of an object as a cell: strings safe, numbers, booleans; "" when absent. */
void table_member(struct table *t, const json_t *object, const char *name);
/* "name  value" lines of an object's members, in the order of names (NULL-terminated). */
void print_members(const json_t *object, const char *const *names);
int print_json(const json_t *object);
/* A bar on a terminal, nothing elsewhere; all 0: unknown.  print_progress_end() clears it. */
void print_progress(const char *what, uint64_t done, uint64_t all);
void print_progress_end(void);

/* ---- what was installed together with this program (beside.c) ---- */

/* The first of these places that is there, as seen from the program's folder; NULL ends them. */
bool beside(const char *const *places, char *path, size_t room) SP_MUST;

/* ---- the subcommands ---- */

int run_token(struct run *r);
int run_login(struct run *r);
/* Where there is a screen; false: there is none. */
bool open_browser(const char *url);
int run_console(struct run *r);
int run_logout(struct run *r);
int run_run(struct run *r);
int run_whoami(struct run *r);
int run_targets(struct run *r);
int run_status(struct run *r);
int run_revoke(struct run *r);
int run_request(struct run *r);
int run_requests(struct run *r);
int run_grants(struct run *r);
int run_end(struct run *r);
int run_break_glass(struct run *r);
int run_ticket(struct run *r);
int run_tickets(struct run *r);
int run_connect(struct run *r);
int run_ssh_config(struct run *r);
int run_scan_hostkey(struct run *r);
/* After a login: the certificate anew, where `ssh-config` made one before. */
int ssh_config_again(struct run *r);
int run_approve(struct run *r);
int run_deny(struct run *r);
int run_sessions(struct run *r);
int run_kill(struct run *r);
int run_replay(struct run *r);
int run_watch(struct run *r);
int run_search(struct run *r);
int run_export(struct run *r);
int run_verify(struct run *r);
int run_recordings(struct run *r);
int run_audit(struct run *r);
int run_policy_list(struct run *r);
int run_policy_check(struct run *r);
int run_policy_test(struct run *r);
int run_policy_explain(struct run *r);
int run_policy_backtest(struct run *r);
int run_explain(struct run *r);
int run_report(struct run *r);
int run_doctor(struct run *r);
int run_store_migrate(struct run *r);
int run_store_ledger(struct run *r);
int run_init(struct run *r);
int run_secret_set(struct run *r);
int run_secret_list(struct run *r);
int run_secret_rotate(struct run *r);
int run_secret_remove(struct run *r);
int run_doc(struct run *r);
int run_help(struct run *r);

#endif
