/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every process that master starts does alike.
 *
 *     int main(int argc, char **argv)
 *     {
 *             static const struct role_handler handler = { .start = …, .epoch = …, … };
 *             role_init(&p, ROLE_KEEPER, argc, argv, &handler, &keeper);
 *             return role_run(&p);
 *     }
 *
 *   master                                         role process: argv = NAME INDEX, fd 3 = master, fd 2 = log
 *     │ EPOCH, then BOARD, RING, LINK, LISTENER … ──▶ start(): open everything, then sandbox_enter()
 *     │ ◀── EPOCH_TAKEN, READY ─────────────────────┤ start() returned SP_OK
 *     │ LINK, RING … ───────────────────────────────▶ link(), message(): each after start()
 *     │ EPOCH ──────────────────────────────────────▶ epoch(): take it over, or say why not
 *     │ QUIT, or master is gone ────────────────────▶ quit(): finish, then role_end()
 *
 * Core dumps are off, nobody may ptrace, signals of the terminal are ignored: master decides.
 * Worker, console and helpers are killed with master; keeper and recorder see the end of its link, so that
 * what stands in the rings is still written.
 */
#ifndef SALLYPORT_ROLE_H
#define SALLYPORT_ROLE_H

#include "epoch.h"
#include "link.h"

#define ROLE_MASTER_FD 3

struct role_process;

struct role_handler {
	/* The first epoch: e is the callee's from here on.  Not SP_OK: the process ends, *err_r says why. */
	int (*start)(void *owner, struct epoch *e, const char **err_r);
	/* A later epoch.  Not SP_OK: it was not taken, the former one stays, e is freed by the caller. */
	int (*epoch)(void *owner, struct epoch *e, const char **err_r);
	/* A new link to another process; fd is the callee's.  It replaces an older one to the same peer. */
	int (*link)(void *owner, enum role peer, unsigned index, int fd);
	/* Every other message of master: LISTENER, RING, BOARD, CALLER, WORKER_GONE.  As in link_handler. */
	int (*message)(void *owner, struct link *l, struct message *m);
	/* After the error log was reopened; the fds are the callee's, -1 when there are none.  May be NULL. */
	void (*reopen)(void *owner, int audit, int access);
	/* The loop went round once: the callbacks of all that was ready have returned.  May be NULL. */
	void (*turned)(void *owner);
	/* Stop; gracefully: let sessions end by themselves first.  NULL: role_end() at once. */
	void (*quit)(void *owner, bool graceful);
};

struct role_process {
	struct event_base *base;
	struct link *master;
	enum role self;
	unsigned index; /* which of the workers */
	const struct role_handler *handler;
	void *owner;
	bool started, quitting;
	int status;
};

/* Ends the process when it was not started by master. */
void role_init(struct role_process *p, enum role self, int argc, char **argv, const struct role_handler *h, void *owner);
/* Runs the loop until role_end(); returns the exit status. */
int role_run(struct role_process *p);
/* Leaves the loop once the current callbacks have returned; pending output to master is flushed. */
void role_end(struct role_process *p, int status);

/* No core dumps, no ptrace: also for master and check. */
void role_no_dumps(void);

#endif
