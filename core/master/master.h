/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master: starts the others, hands out what they need, and watches them.
 *
 *   it owns      listening sockets, the control socket, rings, the board, the current epoch
 *   it hears     signals, the death of children, READY and EPOCH_TAKEN, new control connections
 *   it reads     nothing from the network, and of the configuration only what the check process sealed
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

struct account {
	uid_t uid;
	gid_t gid;
};

struct child {
	enum role role;       /* ROLE_NONE: a free place */
	unsigned index;       /* of workers: never used twice */
	unsigned slot;        /* of workers: on the board */
	pid_t pid;
	struct link *link;
	bool ready, draining, taking; /* taking: an epoch is on its way */
	uint64_t started;     /* mono ms */
	uint64_t beat;        /* as last seen */
	unsigned missed;      /* ticks without a new one */
};

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

enum master_phase { MASTER_STARTING, MASTER_RUNNING, MASTER_DRAINING, MASTER_STOPPING, MASTER_LAST };

struct master {
	const char *conf_path;
	struct event_base *base;
	struct epoch *epoch;
	int epoch_fd, public_fd; /* sealed: whole for workers, without keys for the others */
	uint64_t epochs;
	enum master_phase phase;
	uint64_t phase_since;
	struct child child[CHILDREN];
	unsigned last_index;
	struct ring_kept ring[CHILDREN];
	struct bound *bound;
	int control;
	struct event control_event, tick;
	struct event *signals[6];
	uint64_t last_tick, last_caller;
	int board_fd;
	struct board *board;
	struct account account[ROLES];
	bool root;
	int log_fd, store_lock;
	int parent;              /* pipe to who started us, until all are ready; -1 */
	uint64_t restart_at[ROLES], backoff[ROLES];
	unsigned missing[ROLES]; /* how many of a role are to be started again */
	struct child *check;     /* a configuration is being tried */
	pid_t check_pid;
	unsigned reloads;        /* how many were asked for, for `-s reload` */
	int status;
};

/* child.c */
int child_start(struct master *m, enum role role, struct child **c_r) SP_MUST;
void child_forget(struct child *c);
struct child *child_of(struct master *m, enum role role); /* the first that is alive, or NULL */
/* Everything that a new child must have: epoch, links, rings, listeners. */
int child_equip(struct master *m, struct child *c) SP_MUST;
/* A role's program, beside this one; NULL with a logged reason. */
const char *child_program(const struct master *m, enum role role);
void on_child_message_epoch(struct master *m, struct child *c, const struct message *msg);
int ring_new(struct master *m, struct child *worker) SP_MUST;
void ring_forget_old(struct master *m, uint64_t now);

/* bind.c */
int bind_listeners(struct master *m, const struct epoch *e, char *why, size_t len) SP_MUST;
void bind_prune(struct master *m); /* close what the current epoch no longer has */
int bind_control(struct master *m) SP_MUST;
void bind_close(struct master *m);
int prepare_folders(struct master *m) SP_MUST;
int accounts_find(struct master *m) SP_MUST;
int log_open(struct master *m, const char *path);

/* reload.c */
int reload_start(struct master *m) SP_MUST;     /* a check process begins */
void reload_checked(struct master *m, struct message *msg);
void reload_check_died(struct master *m, int status);
void reload_taken(struct master *m, struct child *c, const struct message *msg);
void master_status(struct master *m, bool ok, const char *text);

/* master.c */
void master_ready(struct master *m);
void master_enter(struct master *m, enum master_phase phase);
void master_child_died(struct master *m, struct child *c, int status);
int master_run(struct master *m);
void master_reopen(struct master *m);

#endif
