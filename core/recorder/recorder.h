/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder: the only process that can write recordings.
 *
 *   rings ─▶ take.c: whose frame is it, is it well-formed ─▶ facts.c: what the audit log says of it
 *                 │                                          cut.c: what `output head` leaves out
 *                 ▼
 *          session: this tick's frames ─▶ blocks ─▶ tick.c: one batch ─▶ journal, fdatasync
 *                                                     │                     └▶ rings: taken, synced, wake
 *                                                     ├▶ files.c: session files, some time later (a flood: before)
 *                                                     └▶ sign.c: checkpoints by the keeper ─▶ ledger, anchor
 *
 * One thread.  What was taken from a ring is released there only after it stands in the journal; a
 * failure anywhere before that leaves everything as it was, to be tried again (P8).
 */
#ifndef SALLYPORT_RECORDER_RECORDER_H
#define SALLYPORT_RECORDER_RECORDER_H

#include <sys/queue.h>

#include "../base/message.h"
#include "../base/settings.h"
#include "../record/block.h"
#include "../record/recording.h"
#include "../record/ring.h"
#include "journal.h"
#include "store.h"

struct options {
	uint64_t keep, max;  /* retention: age in ms, bytes; 0: for ever */
	uint64_t head;       /* bytes of output kept of each operation */
	unsigned sync;       /* SYNC_… */
	bool seals;
	uint8_t auditor[SEAL_KEY];
};

/* ---- one session ---- */

#define OPERATIONS_MAX 64

struct statement {       /* what a verdict's audit line says of its operation; bytes without gaps: compared as such */
	char kind[40], tag[40];
	uint8_t hash[DIGEST_LEN];
	bool known;          /* its operation frame was seen */
};
_Static_assert(sizeof(struct statement) == 40 + 40 + DIGEST_LEN + 1, "no gaps");

struct operation {       /* one under way */
	uint32_t op;
	struct statement statement;
	uint64_t from;       /* offset of the block it began in */
	uint64_t stored;     /* bytes of output stored */
	uint64_t cut_bytes, cut_rows; /* left out in this tick, and their hash */
	struct digest *cut;
	struct rows_walk rows;
	bool unsure;         /* begun before a crash: where its rows stand is not known */
	bool undecided;      /* a verdict's line is still to say what it is */
	uint16_t channel;
	uint32_t masked;     /* columns of its answer */
};

struct common {          /* what a frame had before KEY_KEPT, for those to come */
	uint64_t from;       /* offset of its block */
	uint32_t op;
	bool written;
	uint8_t has;         /* SAYS_… */
	struct statement statement;
};
_Static_assert(sizeof(struct common) <= 128, "for most of a session's life it has one or two");

struct frames {          /* of this tick, of one kind: clear or sealed */
	struct buffer bytes;
	uint32_t n;
};

struct source;

struct session {
	uint8_t id[ID_LEN];
	struct session *next;         /* in its bucket */
	struct source *source;        /* NULL: its worker is gone, or not yet back after our restart */
	uint64_t ring;
	struct journal_state state;   /* frames: in closed blocks */
	uint64_t bytes;               /* of the recording, blocks not yet in the file included */
	uint8_t chain[DIGEST_LEN];
	bool ending;                  /* its last frame was taken */

	struct frames clear, sealed;
	struct session *next_touched;
	bool touched;
	struct seal *seal;

	char name[ID_TEXT];           /* its id, as text */
	struct sp_bytes who;          /* JSON members: who, target, address, policy; its own */
	char target[64];
	struct operation *operation;
	size_t noperations, operations_cap;
	struct common *common;        /* by place, up to the highest that was written */
	unsigned ncommon;
	uint32_t last_op;             /* number of the operation that began last */
	uint64_t started;             /* wall µs */

	uint64_t in_file;             /* bytes; 0: not made */
	struct buffer file;           /* blocks journaled, not yet in the file: they follow */
	uint64_t file_since;          /* mono ms */
	TAILQ_ENTRY(session) in_buffered /* while there are any */, in_unsynced;
	bool unsynced;                /* it is in that queue */
	bool fresh;                   /* the file's name is not yet on disk */
	bool doubtful;                /* a sync of the file failed */
	bool straight;                /* this batch's blocks of it go into the file first */
	uint64_t segment;             /* the oldest that holds blocks which the file has not on disk; 0: none */
	struct {                      /* after a crash: offsets of blocks; 0: none */
		uint64_t lines;       /* whose lines may be missing in the audit log */
		uint64_t facts;       /* where what those lines say begins */
	} again;

	struct {                      /* the ledger */
		uint32_t blocks;          /* of the last entry */
		uint64_t bytes, at;       /* …and when, mono ms */
		bool opened, closed, removed;
		uint64_t asked;           /* mono ms; 0: nothing is under way */
	} sign;
};

/* One that is over and forgotten; its file is whole, and the journal has its blocks until the file is on disk. */
struct parted {
	uint8_t id[ID_LEN];
	uint64_t segment;
	bool fresh, doubtful;         /* as in struct session */
};

/* ---- one ring ---- */

struct source {
	struct source *next;
	unsigned worker;
	struct ring *ring;
	int wake, bell;               /* eventfds: to the worker, to us; -1: none */
	struct event *event;          /* of the bell */
	bool gone;                    /* the worker died: its sessions are torn once the ring is empty */
	bool broken;                  /* what it said can't be: nothing more is taken from it */
};

/* ---- all of it ---- */

#define SESSION_BUCKETS 4096

/* Where a batch stands: each stage is tried until it succeeds, and only then comes the next. */
enum stage { STAGE_IDLE, STAGE_WRITE, STAGE_SYNC, STAGE_LINES };

#define LINES_MAX (4u << 20)     /* bytes of them that wait: frames without content make long ones */

struct lines {                   /* a log: lines not yet in it */
	int fd;
	struct buffer pending;
	bool unsynced;
};

struct ledger_file {
	int fd, anchor, syslog;      /* -1: none */
	int facility;
	bool remote;                 /* entries go to a log host, by master */
	bool deaf;                   /* the last entry did not reach syslog, or master */
	bool have_key;
	uint8_t key[32];
	uint64_t number;             /* of the last entry */
	uint8_t previous[DIGEST_LEN];
	bool unsynced, gap;          /* gap: entries are missing, the keeper has them */
};

struct retention;
struct counts;
struct decisions;
struct audit_seen;
struct recovered;
struct event;

struct recorder {
	struct options options;
	struct store store;
	struct journal journal;
	struct batch batch;
	unsigned straight;           /* sessions whose blocks of this batch go into their files first */
	struct block_maker *maker;

	struct source *sources;
	struct session *bucket[SESSION_BUCKETS];
	size_t nsessions;
	struct session *touched;
	TAILQ_HEAD(, session) buffered, unsynced; /* oldest first */
	struct buffer parted;        /* struct parted, one after the other: by segment */

	enum stage stage;
	bool failing;
	uint64_t retry_at;           /* mono ms */
	bool doubtful;               /* the disk failed to sync the segment: go on in another one */
	bool cramped;                /* the disk is full: the segment is to go before it is full */
	bool low;                    /* …or nearly so: segments are to be short */
	bool purge;                  /* …because it may hold recordings whose retention was over */
	uint64_t begun;              /* bytes of the segment's census */
	uint64_t begun_at;           /* mono ms: when the segment was begun, or the first of those whose files it may have taken over */
	uint64_t begun_wall;         /* …wall ms */
	bool census_due;             /* the segment does not yet name all sessions */
	bool sync_due;               /* `sync write`: journaled, not yet on disk */
	bool recovering;             /* facts are read again, not counted again */
	uint64_t reading;            /* …from the block at this offset of a session's file */
	bool lines_due;              /* recovered, and the logs have not yet been compared with it */
	uint64_t now, wall;          /* of this tick: mono ms, wall µs */
	char time[32];               /* … for its lines */
	uint64_t polite;             /* mono µs: until then this tick steps aside now and then */
	uint64_t kept;               /* mono µs: when one who was let go last kept the processor */
	uint64_t brisk;              /* mono µs: until then no tick does: that was twice within a while */
	uint64_t swept;              /* mono ms; 0: the next sweep sees to all sessions at once */
	size_t round;                /* bucket whose sessions are seen to next */
	uint64_t settled;            /* mono ms: sessions whose ring is not back by then are torn; 0: done */

	struct lines audit, access;
	uint64_t audited;            /* batch up to which the audit log is on disk */
	uint64_t rotated;            /* last batch of the segments before the present one */
	struct audit_seen *seen;     /* while recovering: lines that are there already */
	bool quiet;                  /* while recovering: no lines for what was audited before */
	uint64_t boot;               /* the kernel's present run: after another one its names of memory mean nothing */
	struct recovered *recovered; /* ring positions by the journal */

	struct ledger_file ledger;
	int (*send)(void *owner, const struct message *m); /* to the keeper; NULL: it is away */
	void *send_owner;
	int (*anchor)(void *owner, struct sp_bytes line); /* to master, for a log host */
	void *anchor_owner;
	struct retention *retention;
	struct counts *counts;
	struct decisions *decisions; /* texts of the last ones */
	uint64_t tick_us;            /* how long the last tick with work took */
};

/* recorder.c */
struct paths {
	const char *store, *audit, *access, *anchor; /* access, anchor: NULL or "" for none */
	const char *boot; /* what the kernel says which run of it this is */
};
/* Opens everything and recovers what a crash left. */
int recorder_open(struct recorder *r, const struct paths *p, const struct options *o, const char **err_r) SP_MUST;
void recorder_close(struct recorder *r);
/* Takes wake and bell over, not memory. */
int recorder_ring(struct recorder *r, unsigned worker, int memory, int wake, int bell, struct source **s_r) SP_MUST;
void recorder_worker_gone(struct recorder *r, unsigned worker);
void recorder_reopen(struct recorder *r, int audit, int access);
/* A decision of the keeper's, for the audit log. */
int recorder_audit(struct recorder *r, struct sp_bytes json) SP_MUST;
/* A read-only file with all that is journaled of the session, or -1 and why. */
int recorder_fetch(struct recorder *r, struct sp_bytes session, const char **err_r);
int options_from(const struct settings *s, struct options *o_r, const char **err_r) SP_MUST;

/* Before the end of the process: takes what is left; `tear`: the workers are dead, all sessions end torn. */
void recorder_finish(struct recorder *r, bool tear);
void source_free(struct recorder *r, struct source *src);
/* The ring's name in the journal. */
uint64_t source_ring(const struct recorder *r, const struct source *src);
/* Sessions recovered whose ring did not come back end torn. */
void recorder_settle(struct recorder *r);

/* tick.c: the segment holds nothing that is older. */
void recorder_begins(struct recorder *r);
/* …true when there was work. */
bool recorder_tick(struct recorder *r);
/*
 * A worker that is woken on our processor does not put us aside, both being SCHED_BATCH, and its statement would wait for
 * the rest of the tick: called between pieces of work of some 20 µs.
 */
void recorder_step_aside(struct recorder *r);
void recorder_clock(struct recorder *r); /* what time it is, for what a tick writes */
/* True when every ring is empty and its worker will ring, and nothing else is to be done soon. */
bool recorder_sleep(struct recorder *r);
/* True when a ring is filling up: the next tick should be now. */
bool recorder_pressed(const struct recorder *r);

/* take.c */
void take_all(struct recorder *r);
void session_frame(struct recorder *r, struct session *s, const struct frame *f);
void session_tear(struct recorder *r, struct session *s, const char *why);

/* session.c */
struct session *session_find(struct recorder *r, const uint8_t id[ID_LEN]);
struct session *session_new(struct recorder *r, const uint8_t id[ID_LEN]);
void session_free(struct recorder *r, struct session *s);
void session_touch(struct recorder *r, struct session *s);
/* What lines of the logs say of it: copied. */
void session_who(struct session *s, struct sp_bytes members);
/* It is over, and waits to be signed: what only frames need is given back. */
void session_slim(struct session *s);
void session_rest(const struct recorder *r, struct session *s); /* live: after some seconds without a block, the same */
/* This tick's frames become one or two blocks of the batch. */
void session_close_blocks(struct recorder *r, struct session *s);
void session_entry(const struct session *s, struct journal_entry *e_r);
uint32_t session_next_number(const struct session *s); /* of a clear frame added now */

/* facts.c */
#define WHO_UNKNOWN "\"who\":null"
/* On failure lines of the session say what is known. */
int facts_header(struct session *s, const struct frame *f) SP_MUST;
void facts_frame(struct recorder *r, struct session *s, const struct frame *f, uint32_t number);

/* operations.c: those under way */
struct operation *operation_find(struct session *s, uint32_t op);
struct operation *operation_get(struct session *s, const struct frame *f, uint64_t from); /* made when it is new */
void operation_drop(struct session *s, struct operation *o);
void operations_free(struct session *s); /* all of them, and what they have in common */
/* Where in the file the first of them begins, or what they and those to come say by the name of a place. */
uint64_t operations_from(const struct session *s);
/* By place; RECORD_PLACES is none. */
void common_put(struct session *s, unsigned place, const struct common *c);
const struct common *common_find(const struct session *s, unsigned place, uint32_t op); /* NULL: it has nothing for that one */

/* count.c */
struct counts *counts_new(void);
void counts_free(struct counts **c);
void count_frame(struct recorder *r, struct session *s, const struct frame *f);
char *counts_json(const struct recorder *r); /* the caller's; NULL: no memory */

/* decision.c */
struct decisions *decisions_new(void);
void decisions_free(struct decisions **d);
/* Members of an audit line, each behind a comma; o may be NULL: what its operation was is not known, and the line says so. */
void decision_write(struct recorder *r, struct sp_writer *w, const struct operation *o, const struct frame *f);

/* cut.c */
/* Stores what may be stored of a stream frame, counts and hashes the rest. */
void cut_stream(struct recorder *r, struct session *s, const struct frame *f);
/* One of which all is stored, with others: counts it. */
void cut_count(struct recorder *r, struct session *s, const struct frame *f);
/* Nothing is left out of its operation, also after so many more bytes of output. */
bool cut_keeps(const struct recorder *r, struct session *s, const struct frame *f, size_t output);
/* What was left out, as a frame: before the operation's end, and at the end of each tick. */
void cut_flush(struct session *s, struct operation *o);
void cut_flush_all(struct session *s);
/* Stores a frame where its type belongs, clear or sealed. */
void frames_store(struct recorder *r, struct session *s, const struct frame *f);
/* n frames that stand together, in the clear. */
void frames_store_whole(struct session *s, struct sp_bytes whole, uint32_t n);

/* audit.c */
int lines_open(struct lines *l, const char *path) SP_MUST;
void lines_swap(struct lines *l, int fd);
void lines_mend(struct lines *l);
int lines_write(struct lines *l) SP_MUST;
int lines_sync(struct lines *l) SP_MUST;
void lines_close(struct lines *l);
#define NUMBER_SEALED 0 /* of a frame that will be sealed: its number is only known when the tick's other frames have theirs */
/* o may be NULL. */
void audit_decision(struct recorder *r, const struct session *s, const struct operation *o, const struct frame *f, uint32_t number);
void access_line(struct recorder *r, const struct session *s, const struct frame *f, uint32_t number);
/* What the ends of both logs hold; fds may be -1. */
struct audit_seen *audit_seen_load(int audit, int access);
void audit_seen_free(struct audit_seen **a);

/* files.c */
/* The block of the batch that was placed last: on its way to the disk while the next one is made. */
void files_begin(struct recorder *r, struct session *s);
/* The files, without the journal: all that was journaled is on disk. */
int files_stand(struct recorder *r) SP_MUST;
/* Blocks of the batch that the journal is only to tell of: in their files, and on disk.  Again after a failure: the same bytes. */
int files_place(struct recorder *r) SP_MUST;
/* The batch stands in the journal: its blocks go to their sessions' files. */
int files_take(struct recorder *r) SP_MUST;
void file_add(struct recorder *r, struct session *s, struct sp_bytes block);
int file_flush(struct recorder *r, struct session *s) SP_MUST;
int files_progress(struct recorder *r) SP_MUST;
/* The file holds all that is journaled, and is on disk. */
int file_sync(struct recorder *r, struct session *s) SP_MUST;
/* The session need not be in memory any more: what its file lacks on disk is in the journal, and is seen to from there. */
bool file_part(struct recorder *r, const struct session *s);
/* Something waits to be brought to disk, so that a segment may go. */
bool files_due(const struct recorder *r);

/* sign.c */
int ledger_open(struct recorder *r, const char *anchor, const char **err_r) SP_MUST;
void ledger_close(struct recorder *r);
int ledger_sync(struct recorder *r) SP_MUST;
int sign_keys(struct recorder *r, struct sp_bytes key) SP_MUST;
int sign_answer(struct recorder *r, struct sp_bytes entry, struct sp_bytes signature) SP_MUST;
/* Asks for what the session wants signed now, if anything: true; an answer that comes at once may free it. */
bool sign_session(struct recorder *r, struct session *s);
/* Entries that the keeper signed and we have not: asks for them. */
void sign_gap(struct recorder *r);
void sign_keeper_gone(struct recorder *r);

/* retain.c */
struct retention *retention_new(void);
void retention_free(struct retention **t);
void retention_step(struct recorder *r);
void retention_tombstone(struct recorder *r, const uint8_t session[ID_LEN]);

/* recover.c */
int recorder_recover(struct recorder *r, const char **err_r) SP_MUST;
/* Once the logs are open and before anything is taken: who the sessions are, and lines that a crash swallowed. */
void recorder_recover_lines(struct recorder *r);
void recovered_free(struct recovered **d);
/* Where the journal says the ring was taken to; false: it does not know it. */
bool recovered_position(struct recorder *r, uint64_t ring, uint64_t *position_r);
/* Into the batch: positions of rings that were not handed over yet, as long as they may come. */
void recovered_rings(struct recorder *r);

#endif
