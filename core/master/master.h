/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master: starts the others, hands out what they need, and watches them.
 *
 *   it owns      listening sockets, the control socket, rings, the board, the current epoch
 *   it hears     signals, the death of children, READY and EPOCH_TAKEN, new control connections
 *   it reads     nothing from the network, and of the configuration only what the check process sealed
 *
 * What sallyport-check is asked for, always as an unprivileged user (with --serve also without our environment):
 *   -t CONF, -T CONF   test or print it, for a person; exec'd by `sallyportd -t`
 *   --pid-file CONF    print the value of `pid`, out of any text that has words and blocks
 *   --serve CONF       fd 3 is a link to master: answer one CHECKED (with the sealed epoch), end
 */
#ifndef SALLYPORT_MASTER_H
#define SALLYPORT_MASTER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/types.h>

#include "../base/board.h"
#include "../base/epoch.h"
#include "../base/link.h"
#include "../base/log.h"

#define CHILDREN 128
#define BACKOFF_LAST 5000 /* ms until another attempt to start a process, at most */

#define ACCOUNT_GROUPS 32

struct account {
	uid_t uid;
	gid_t gid;
	gid_t group[ACCOUNT_GROUPS]; /* of the dial helper: all that its user has; of the others its own alone */
	int ngroups;
};

struct child {
	enum role role;       /* ROLE_NONE: a free place */
	unsigned index;       /* of workers: never used twice */
	unsigned slot;        /* of workers: on the board */
	pid_t pid;
	struct link *link;
	bool ready, draining; /* draining: its end is expected */
	bool fresh;           /* a worker of the configuration that is being taken over */
	bool dead;            /* reaped, but its link may still hold an answer: check only */
	uint64_t given;       /* number of the last epoch it was sent, */
	uint64_t taken;       /* and of the last that it answered for */
	uint64_t given_at, started; /* mono ms */
	uint64_t drain_until; /* mono ms: then what still runs there ends; 0: it may take its time */
	bool leaves;          /* a console: it takes no caller any more */
	bool stopped;         /* …and it was told so */
	bool old;             /* of the program before this one: another follows it */
	uint64_t beat;        /* as last seen */
	unsigned missed;      /* ticks without a new one */
};

#ifdef SANITIZED                 /* a process that ends is looked through for leaks first */
#define STUCK_TICKS 100
#define STOP_MS 30000
#else
#define STUCK_TICKS 10           /* a worker without a sign for a second is ended (P10) */
#define STOP_MS 5000             /* how long the processes of a phase may take to go */
#endif

struct ring_kept {            /* a worker's ring; kept for a while after its end, for a recorder that restarts */
	int memory, recorder_bell, worker_bell;
	unsigned index;
	bool used;
	uint64_t gone;        /* mono ms of the worker's end; 0: alive */
};

struct bound {
	struct bound *next;
	char *name, *address;
	int fd;
};

struct sealed {               /* one epoch, by who gets which keys; -1: none */
	int workers, console, others;
};
#define SEALED_NONE (struct sealed){ -1, -1, -1 }

/* A configuration on its way into force: reload.c. */
enum reload_stage { RELOAD_NONE, RELOAD_CHECK, RELOAD_WORKERS, RELOAD_KEEPER, RELOAD_RECORDER, RELOAD_OTHERS, RELOAD_STAGES };

struct reload {
	enum reload_stage stage;
	struct child *check;
	struct epoch *epoch;
	struct sealed sealed;
	uint64_t asked;          /* mono µs when the check process began: later changes are not in it */
	uint64_t since;          /* mono ms of the stage's begin */
	bool again;              /* asked for once more meanwhile */
	enum role renews;        /* keeper or recorder: it ends, and another one comes up under this */
	bool upgrade;            /* every process is replaced by one of this program */
};

struct anchor {              /* a log host for checkpoints: anchor.c */
	int fd;
	char *to;                /* as configured; NULL: none */
	bool deaf;               /* the last entry could not be sent */
};

enum master_phase { MASTER_STARTING, MASTER_RUNNING, MASTER_DRAINING, MASTER_STOPPING, MASTER_LAST };

struct master {
	const char *conf_path;
	char program[4096];      /* this one: what an upgrade executes */
	int inherited;           /* what the program before handed on; 0: this one starts afresh */
	struct event_base *base;
	struct epoch *epoch;
	struct sealed sealed;
	uint64_t epochs;
	enum master_phase phase;
	uint64_t phase_since;
	struct child child[CHILDREN];
	unsigned last_index;
	struct ring_kept ring[CHILDREN];
	struct bound *bound;
	int control;
	struct event control_event, tick;
	struct event *signals[7];
	uint64_t last_tick, last_caller;
	int board_fd;
	struct board *board;
	struct account account[ROLES];
	bool root;
	int log_fd, store_lock;
	struct anchor anchor;
	int parent;              /* pipe to who started us, until all are ready; -1 */
	uint64_t restart_at[ROLES], backoff[ROLES];
	unsigned missing[ROLES]; /* how many of a role are to be started again */
	char *keeper_folder[SECRET_FOLDERS]; /* what the running keeper's sandbox names */
	size_t keeper_folders;
	struct reload reload;
	char *pid_path;          /* as at the start */
	int pid_fd;              /* locked while we live */
	char *control_path;      /* as at the start */
	bool control_paused, keeper_told, lenders_told, reload_wanted;
	bool trial, trial_over;      /* trial.c: nothing is served */
	unsigned trial_problems;
	int status;
};

/* child.c */
int child_start(struct master *m, enum role role, struct child **c_r) SP_MUST;
/* One that the program before this had: fd is its link. */
void child_adopt(struct master *m, struct child *c, int fd);
/* Root starts what only root can change: the file and the folder that it is in. */
bool child_trusts(const struct master *m, const char *path, const char *folder);
void child_forget(struct child *c);
struct child *child_of(struct master *m, enum role role); /* the first that is alive, or NULL */
/* A role's program, beside this one; NULL with a logged reason. */
const char *child_program(const struct master *m, enum role role);
/* In a new process: that role's user, group and limits, for good. */
int child_become(const struct master *m, enum role role) SP_MUST;

/* equip.c */
/* Everything that a new child must have: epoch, links, rings; listeners once its epoch is in force. */
int child_equip(struct master *m, struct child *c) SP_MUST;
int child_give_epoch(struct master *m, struct child *c) SP_MUST;
int child_give_listeners(struct master *m, struct child *c) SP_MUST;
int child_give_logs(struct master *m, struct child *c) SP_MUST;
void ring_mark_gone(struct master *m, unsigned index);
void ring_forget_old(struct master *m, uint64_t now);

void sealed_close(struct sealed *s);

/* bind.c */
int bind_listeners(struct master *m, const struct epoch *e, char *why, size_t len) SP_MUST;
void bind_prune(struct master *m); /* close what the current epoch no longer has */
int bind_control(struct master *m) SP_MUST;
void bind_control_listen(struct master *m); /* m->control is bound: hear it */
void bind_control_resume(struct master *m); /* after descriptors ran out */
int control_permissions(const struct settings *s) SP_MUST;
void bind_close(struct master *m);
int prepare_folders(struct master *m) SP_MUST;
int accounts_find(struct master *m) SP_MUST;
int accounts_find_helpers(struct master *m, const struct epoch *e) SP_MUST; /* of those that it needs */
/* Whom the check process runs as before any configuration could be read. */
int account_before_all(struct master *m) SP_MUST;
int log_open(const char *path, int how); /* O_WRONLY; O_RDWR where the reader looks what is there after a crash. -1: logged, or none is wanted */
int pid_write(struct master *m) SP_MUST;

/* anchor.c */
/* Where record { anchor … } says: a log host's socket, or none.  SP_EIO: logged. */
int anchor_open(struct master *m, const char *to) SP_MUST;
void anchor_close(struct master *m);
int anchor_send(struct master *m, struct sp_bytes line) SP_MUST; /* SP_EPROTO: it is no anchor's line */

/* upgrade.c: what -s upgrade does */
void upgrade_start(struct master *m);
/* By the program that was executed: everything that fd holds.  SP_EPROTO, said on stderr: another version wrote it. */
int upgrade_take(struct master *m, int fd) SP_MUST;
/* `sallyportd --takes-over FD`, before: could this program go on with that?  The exit status. */
int upgrade_try(struct master *m, int fd);

/* notify.c: what systemd wants to hear (sd_notify(3)); without NOTIFY_SOCKET, nothing */
void notify(const char *state);

/* trial.c: all of `sallyportd -t --connect`; what its children say, and their end */
int trial_run(struct master *m);
int trial_message(struct master *m, struct child *c, struct message *msg) SP_MUST;
void trial_gone(struct master *m, struct child *c);

/* reload.c */
void reload_start(struct master *m);            /* a check process begins, or will */
void reload_checked(struct master *m, struct message *msg);
void reload_taken(struct master *m, struct child *c, const struct message *msg);
void reload_ready(struct master *m, struct child *c); /* a worker is up */
/* Before the child is forgotten; true when the reload expected it and deals with it. */
bool reload_lost(struct master *m, const struct child *c);
void reload_tick(struct master *m, uint64_t now);
/* The line beside the pid file that `sallyportd -s reload` reads. */
void reload_status(struct master *m, uint64_t asked, bool ok, const char *text);

/* helpers.c */
struct child *helper_of(struct master *m, enum role role, unsigned index); /* not one that was told to go */
unsigned helper_index(struct master *m, enum role role); /* the lowest that nobody has */
/* Those that the configuration wants and that are not there. */
int helpers_start(struct master *m, uint64_t now);
/* Those that it does not want any more are told to go. */
void helpers_end(struct master *m);

/* master.c */
void master_ready(struct master *m);
void master_enter(struct master *m, enum master_phase phase);
void master_not_started(struct master *m, const char *why); /* tells who started us, then ends */
int master_start_worker(struct master *m, bool fresh) SP_MUST;
int master_start_one(struct master *m, enum role role) SP_MUST;
int master_start_helper(struct master *m, enum role role) SP_MUST; /* the one with helper_index() */
unsigned master_workers_wanted(const struct settings *s);
/* Loop, signals, tick and board; the first check begins.  Then the loop, to the end: the exit status. */
int master_open(struct master *m) SP_MUST;
int master_run(struct master *m);

#endif
