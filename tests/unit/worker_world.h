/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker in this process, with everything around it in the test's hand: the client's socket, the
 * target's, the keeper's end of the link, the recorder's side of the ring.
 *
 * Its module speaks lines.  The first is the token; each later one is an operation "toy.statement",
 * sent on to the target when it is allowed, and answered "NO why" when it is not.
 */
#ifndef WORKER_WORLD_H
#define WORKER_WORLD_H

#include "core/worker/epoch_use.h"
#include "core/worker/keeper_talk.h"
#include "core/worker/operation.h"
#include "core/worker/record.h"
#include "core/worker/reads.h"
#include "core/worker/sends.h"
#include "core/worker/session.h"

#define WORLD_OPS 8192

enum world_mode {
	LINES, /* the client's lines are operations */
	RAW,   /* its bytes are passed on as they are */
	DEAF   /* nothing is consumed */
};

struct heard {
	struct message m;
	struct buffer bytes;
};

struct world {
	struct worker *w;
	struct event_base *base;
	struct sp_session *s;       /* the last one that was accepted; NULL once it is closed */
	struct link *keeper;        /* NULL: away */
	struct heard heard[128];    /* what the keeper was told */
	size_t nheard;
	struct ring *recorder;      /* the other mapping of the worker's ring */
	struct buffer recorded;     /* "header operation verdict …", of what was taken from it */
	struct buffer payloads;     /* of the same frames */
	int client, target, listening; /* our ends; -1: none */
	unsigned port;
	uint64_t number;            /* of the epoch */
	struct { char name[16]; uint8_t hash[DIGEST_LEN]; } request[8]; /* by world_held() */
	unsigned nrequests;
	/* how the module behaves, and what it saw */
	enum world_mode mode;
	bool slow_login, half_close, keep; /* keep: nothing is sent for an allowed operation */
	char target_name[16];        /* in the next epoch; "": t */
	struct sp_op *op[WORLD_OPS]; /* asked, oldest first */
	unsigned nops, verdicts, held, drained, closed, made, notices;
	enum sp_what what;
	enum sp_because because;
	enum sp_why why;            /* of the last end */
	char message[400], hold[64], end[300];
	/* what the socket does */
	size_t send_max;            /* a call takes so many bytes at most; 0: all */
	char at_send[4096];         /* `recorded` when the target was first sent something since it was "" */
};

extern struct sp_module toy;
extern size_t world_ring; /* bytes of the next world's */

/* A worker under `record` (directives) and policy (Lua text).  The session is not there yet. */
void world_begin(struct world *v, const char *conf, const char *policy);
void world_end(struct world *v);
/* A new epoch: followed by every session. */
void world_epoch(struct world *v, const char *conf, const char *policy);
struct epoch *world_make_epoch(struct world *v, const char *conf, const char *policy);
/* The loop, until nothing happens any more. */
void world_turn(struct world *v);
void world_turn_once(struct world *v);
/* How it goes round: EVLOOP_NONBLOCK asks the kernel until nothing comes; with EVLOOP_ONCE once, as loop_run() in role.c. */
extern int world_rounds;
/* …without its end: what came was read, and looked at; nothing that waits for the end has left. */
void world_turn_open(struct world *v);
/* One more session that runs, where the module speaks lines: its ends are the caller's to close, those of the one before too. */
void world_another(struct world *v, int *client_r, int *target_r);
/* A client comes; it says its token; the keeper admits it; the target is connected. */
void world_connect(struct world *v);
void world_hello(struct world *v);
void world_admit(struct world *v);
void world_accept_target(struct world *v);
void world_run(struct world *v); /* all of these */
void world_say(struct world *v, const char *text);
/* What came there since the last look, as text; good until the next call. */
const char *world_read(int fd);
/* The keeper. */
void world_keeper(struct world *v);
void world_keeper_away(struct world *v);
void world_tell(struct world *v, struct message *m);
const struct message *world_heard(const struct world *v, unsigned type); /* the last of its type, or NULL */
void world_hear_anew(struct world *v); /* what the keeper was told so far is forgotten */
unsigned world_heard_times(const struct world *v, unsigned type);
/* Names the last hold of that operation; decides on the one of that name. */
void world_held(struct world *v, unsigned op, const char *approval);
void world_decide(struct world *v, unsigned op, const char *approval, bool allow);
/* The recorder takes what is there: then all of it, as names. */
const char *world_recorded(struct world *v);
void world_forget(struct world *v);
void world_synced(struct world *v);

#endif
