/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: all of its sessions in one thread on one libevent loop.
 *
 * This header holds the two things that everybody here shares, the worker and its sessions; what
 * can be done to them is in the header of the file that does it.
 */
#ifndef SALLYPORT_WORKER_H
#define SALLYPORT_WORKER_H

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "../base/board.h"
#include "../base/digest.h"
#include "../base/link.h"
#include "../base/log.h"
#include "../base/role.h"
#include "../module/load.h"
#include "../policy/policy.h"
#include "../record/ring.h"
#include "list.h"
#include "stream.h"

#define SESSION_BUCKETS 4096u

enum session_state {
	SESSION_ACCEPTED, /* a client is there, nobody knows who */
	SESSION_WHO,      /* the keeper is asked */
	SESSION_DIALING,  /* connecting to the target */
	SESSION_LOGIN,    /* the module logs in to it */
	SESSION_RUN,
	SESSION_ENDING,   /* the farewell goes out */
	SESSION_CLOSED,
	SESSION_STATES
};

struct worker_epoch;
struct scope;
struct side_block;

struct sp_session {
	/* What every message looks at stands together: of many sessions the processor keeps little at hand. */
	struct worker *w;
	const struct sp_module *module;
	void *state_block;                /* the module's own */
	enum session_state state;
	bool timer_made, waiting_keeper, woken, header_written, broken, failed;
	bool logged_in;                   /* at the target */
	bool of_person;                   /* it waits for somebody at a browser: what it sends meanwhile is read, for its end */
	bool to_dial;                     /* allowed: a connection is found for it at the next turn */
	bool to_fill;                     /* … and for those that will come, see pool.h */
	bool unheard;                     /* … and was not when it had to be */
	bool reports;                     /* what runs is said to the keeper: an approved file may be spent here */
	bool wrote;                       /* its transaction holds what others may wait for */
	bool end_told;                    /* sp_fail() has written its line */
	bool unrecorded;                  /* a frame of it found no room anywhere: only its end still is recorded */
	bool trial, inspected;            /* trial.c; inspected: its module has said all */
	bool challenged;                  /* in the middle of a mechanism: its keeper alone can go on */
	/*
	 * Counted, all three.  `epoch` is the one in force: policy, labels, allow, limits, idle timeout.
	 * The listener and its TLS stay those of `heard`, when the client came; server, login, TLS to the
	 * target and the module's settings those of `dialled`, when it was admitted.
	 */
	struct worker_epoch *epoch, *heard, *dialled;
	const struct target *target;      /* in epoch; NULL until admitted */
	const char *purpose;              /* "" for a client's session */
	uint8_t id[ID_LEN];
	uint64_t expires;                 /* wall µs, of the principal; 0: never */
	uint64_t ends;                    /* mono µs: when as much time has gone as was left then, wherever the clock on the wall was put since */
	uint64_t active;                  /* mono ms, of the last operation */
	uint64_t deadline;                /* mono ms, of the state; 0: none */
	uint64_t paused_until;            /* mono ms: the client is not read before, see budget.h */
	uint64_t recorded;                /* ring position of this session's last frame */
	uint64_t stalled_since;           /* mono ms: output waits for the recorder */
	struct scope *scope;              /* counted; NULL: to be found anew */
	const void *view;
	uint64_t view_version;
	struct list_head ops;             /* asked and not done */
	struct sp_op *announced;          /* allowed in this turn, to be recorded by its end; NULL: none */
	uint32_t op_last;
	unsigned asked;
	uint64_t operations, denied, rows, bytes;
	struct list_node all, kicked, warm; /* warm: in the worker's pool */
	struct { bool wanted, direct; const char *alpn; } starttls[2];
	struct stream side[2];
	uint64_t kept[RECORD_PLACES];     /* what the recording has in that place, see plan_record_put(); 0: nothing */
	uint32_t kept_by[RECORD_PLACES];  /* … numbers of the operations that wrote it */
	unsigned next_place;              /* … to be used anew */

	struct sp_session *next_by_id;
	char name[ID_TEXT];
	struct arena *arena;
	struct dial *dial;
	const struct listener *listener;  /* in heard; NULL for a side session */
	const struct target *home;        /* as `target`, in dialled */
	const void *conf;                 /* in heard, then in dialled */
	void *cookie;
	char address[64];

	struct principal principal;
	const char *principal_json;
	const char *login, *target_name, *part; /* login: in dialled */
	struct share *share;              /* share.c; NULL: nothing was asked or grouped yet */
	struct question *question;        /* what the keeper was asked, until it answers; NULL: nothing that another one could be asked */
	const char *reached;              /* HOST:PORT: which of the target's servers this is connected to, or is to be; NULL: none yet, or a socket */
	const char *login_as; /* what the target is told: login, or the role that was made for this session */
	struct { uint32_t pid; size_t len; uint8_t secret[64]; } cancel; /* told again to a new keeper; len 0: none */
	uint64_t started, started_mono;
	unsigned warned;                  /* expiry notices given */

	struct policy_run *run;
	struct fact fact[12];
	size_t nfacts;
	const struct pin *pin;            /* what rules keep as it is; told to the target with the log-in */
	size_t npins;
	struct sp_bytes pool_key;         /* what the log-in depends on besides; p NULL: never from the pool */

	struct event timer;
	enum sp_why why;
	const char *end_text;
};

struct worker {
	struct role_process *role;
	struct event_base *base;
	struct evdns_base *dns;
	unsigned index;
	struct link *keeper;              /* NULL while it is away */
	uint64_t recorder_changes;        /* mono ms: until then it may be away, as was announced */
	struct list_head arriving;        /* proxied.c: connections that have not yet said whose they are */
	unsigned narriving;
	bool keeper_leaves;               /* it said so: who waits will be asked for again, of its successor */
	uint64_t keeper_asked, keeper_heard; /* mono ms: the last sign of life wanted, and had */
	struct worker_epoch *epoch;
	const struct sp_module *const *modules;
	struct arena *arena;              /* the modules' */
	struct list_head sessions;
	struct list_head kicked, warm;    /* of these: to be run at the next turn; connections kept ready */
	struct sp_session *by_id[SESSION_BUCKETS];
	size_t nsessions, trials;         /* trials: of trial.c, that have not ended */
	struct list_head listeners;
	struct ring *ring;
	int ring_bell, recorder_bell;     /* eventfds: ours to hear, ours to ring */
	struct event bell, tick, kick;
	struct buffer overflow;           /* frames the ring had no room for; output waits */
	uint64_t unsynced_at, unsynced_position; /* when the oldest frame not on disk was published */
	struct board *board;
	unsigned board_slot;
	struct { uint64_t at; unsigned since; } sampled[BOARD_TIMES]; /* mono ms of the last time on the board; how many were not put there */
	struct sp_session *running;       /* whose callback is on the stack */
	uint64_t now, now_us, wall;       /* of this wake-up: mono ms, mono µs, wall µs; by worker_clock() */
	bool draining;
	uint8_t redact_key[DIGEST_LEN];
	bool have_redact_key;
	uint8_t *scratch;                 /* SCRATCH bytes: what was just read */
	struct buffer fields;             /* of the operation's frame that is being made; else empty */
	struct segment segment[2][STREAM_SEGMENTS]; /* output of the running session's sides */
	struct sp_writer writer;          /* output being made, for writer_stream */
	struct stream *writer_stream;
	size_t writer_start;
	struct reads *reads;              /* what came for sessions in this turn */
	struct sends *sends;              /* small output of all sessions, until the end of the loop's turn */
};

extern struct worker the_worker;      /* one in a process; modules' calls need it */
extern const struct role_handler worker_handler; /* what master's messages do; the owner is the worker */

/* Each callback of the loop begins with this; what it does carries that time. */
void worker_clock(struct worker *w);

/*
 * Should the time of this be put on the board?  Reading a clock may cost as much as a tenth of an operation: where there
 * are many, it is every sixty-fourth; where there are few, each.
 */
static inline bool
worker_samples(struct worker *w, enum board_time what)
{
	if (++w->sampled[what].since < 64 && w->now - w->sampled[what].at < 50)
		return false;
	w->sampled[what].at = w->now;
	w->sampled[what].since = 0;
	return w->board != NULL;
}

/* Its memory and lists; then its events on that loop, the tick not yet going. */
void worker_init(struct worker *w);
void worker_events(struct worker *w, struct event_base *base);

#define SCRATCH (64u << 10)

#endif
