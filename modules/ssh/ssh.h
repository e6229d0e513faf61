/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSH: what the files of this module share.
 *
 *   client ══ core ── socketpair ── libssh server ─┐            ┌─ libssh client ── socketpair ── core ══ target
 *              └ guard.c             └ login.c      └ channel.c ┘   └ target.c
 *
 *   HELLO ─▶ AUTH ─▶ KEEPER ─▶ DIALING ─▶ VOUCH ─▶ CONNECT ─▶ PROOF ─▶ LOGIN ─▶ READY        (ssh_enter())
 *
 * One function drives all of it, ssh_pump(): bytes in, libssh, states, channels, bytes out, until nothing
 * moves any more.  libssh's callbacks only note what came.
 */
#ifndef SALLYPORT_SSH_H
#define SALLYPORT_SSH_H

#include <sallyport/module.h>

#define SSH_SUPPRESS_DEPRECATED /* the message queue: a message may be answered when a person has decided */
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base64.h"
#include "guard.h"

#define CHANNELS 32
#define REQUESTS 64           /* of one channel, not answered yet */
#define ENVIRONMENT 32        /* names of one channel */
#define GLOBALS 32            /* requests of a connection, not answered yet */
#define LOGIN_MAX 64
#define CHUNK (4 * 32758u)    /* read from a channel at once: whole packets, as libssh fills OpenSSH's 32 KB */
#define UNSENT (256u << 10)   /* written to a libssh session and not yet taken from it */
#define BUFFERED (2u << 20)   /* more than this in libssh from a peer that had a window of 1.28 MB: it cheats */

struct ssh_conf {
	struct sp_strings channels;
	struct sp_strings host_key, host_ca;
	const char *host_name;
	struct sp_strings environment;
	struct sp_strings contents;
	bool keys;
	uint64_t auth_tries;
	uint64_t hold;
	uint64_t shell_idle, shell_time; /* ms; 0: no end */
	const char *shell;
};

enum ssh_state { HELLO, AUTH, KEEPER, DIALING, VOUCH, CONNECT, PROOF, LOGIN, READY, STATES };

struct leg {
	ssh_session ssh;
	ssh_bind bind;    /* client's side only */
	int fd;           /* our end of the pair; -1: none */
	bool added;       /* to the event */
	bool gone;        /* the peer: no more comes than what is here */
	size_t unsent;
	struct ssh_counter_struct socket; /* libssh's reads from the pair: a few KB each, whatever waits there */
	struct guard guard;
};

enum channel_state {
	CH_FREE,
	CH_SETUP,     /* the client's is open; its requests are looked at one by one */
	CH_ASKED,     /* an operation waits for its verdict; the request is kept */
	CH_OPENING,   /* allowed: the target's channel is being opened */
	CH_PREPARING, /* pty and environment */
	CH_STARTING,  /* exec, shell, subsystem or forward was asked for */
	CH_OPEN,
	CH_LISTENING, /* at the target, for the client; no channel yet */
	CH_EDITING,   /* a shell of single commands, between two of them */
	CH_CLOSING,   /* a last text goes to the client */
	CHANNEL_STATES
};

enum forward { DIRECT_TCPIP, TCPIP_FORWARD, FORWARDED_TCPIP, FORWARDED_X11, FORWARDED_AGENT };
enum purpose { FOR_NOTHING, FOR_EXEC, FOR_SHELL, FOR_SFTP, FOR_FORWARD };

struct pending { /* from a peer, or for one, and not taken yet: from `at` to `len` */
	uint8_t *p;
	size_t len, at, cap;
};

struct variable {
	char *name, *value;
};

struct sftp;
struct scp_stream;
struct lines;
struct typed;

struct channel {
	struct sp_session *s;
	unsigned number;
	enum channel_state state;
	enum purpose purpose;
	ssh_channel leg[2];
	struct ssh_channel_callbacks_struct callbacks[2];
	ssh_message request[REQUESTS]; /* in order; the first is under way in CH_ASKED */
	unsigned nrequests;
	bool answered_early;           /* the client was told yes, to be told more */

	struct sp_op *op;              /* asked, or running */
	bool decided;
	enum sp_what what;
	char text[1200];               /* why not, for the client */

	char *command;                 /* FOR_EXEC */
	enum forward forward;          /* FOR_FORWARD, as are the next ones */
	enum sp_side from;             /* who opened it */
	char *host, *origin;           /* origin: whose connection it is, as the target says */
	unsigned port, bound, origin_port;
	bool agent_wanted, agent, x11; /* allowed: for the whole connection; wanted: to be asked yet */
	bool agent_sent, x11_sent, x11_single;
	char *x11_protocol, *x11_cookie;
	unsigned x11_screen;
	bool pty;
	char term[64];
	unsigned columns, rows;
	bool resized;
	struct variable variable[ENVIRONMENT];
	unsigned nvariables, nsent;
	bool pty_sent;

	struct sp_filter *filter[2];   /* of stdout, stderr */
	struct scp_stream *scp;        /* stdout is files, looked through; NULL: it is not */
	struct sp_filter *unrecorded;  /* of an upload: looks through what is recorded; NULL: nothing does */
	struct pending pending[2];     /* for the client: filtered and recorded */
	struct pending come[3];        /* stdout, stderr, stdin: as libssh had it */
	size_t noted;                  /* of stdin's: recorded, and not sent yet */
	uint64_t hold_until[2];        /* ms: then what the filter holds is let out; 0: it holds nothing */
	bool flushed;                  /* the filters gave their last */
	bool eof_sent[2];              /* to the client, to the target */
	bool exited, signalled, core_dumped;
	int status;
	char signal[32];               /* that ended the command */
	char kill[32];                 /* from the client, to be sent on */
	uint64_t bytes[2];
	uint64_t began, active, known; /* of a terminal, ms; known: the bytes that there were when it was active */
	struct sftp *sftp;
	struct typed *typed;           /* in a terminal: what its lines were; NULL: nobody has typed yet */
	struct lines *lines;           /* FOR_SHELL: the gateway reads its lines */
};

struct ssh;
struct vouching { /* for the target's host certificate */
	struct sp_session *s;
	struct ssh *next;
	bool waits;
	bool other;   /* by another configuration's connection: its answer is no answer to this session */
	char *why;    /* once it does not wait: what went wrong, "" when nothing did; NULL: no memory */
};

struct ssh {
	enum ssh_state state;
	ssh_event event;
	struct leg leg[2];
	struct vouching vouching;
	bool vouched;        /* the target was asked in this session */
	bool pumping, over;
	unsigned tries, questions;
	bool browser;        /* a person is asked to let it in with one */
	ssh_message auth;    /* whose answer the keeper has to give */
	char login[LOGIN_MAX], target[64];
	char said[512];      /* why it ends, for the client */
	ssh_key key;         /* the session's own, certified for the target */
	struct agent *agent; /* stands in for a key that the keeper has; NULL: none */
	char *password;      /* for the target; wiped once used */
	size_t password_len;
	struct channel *channel[CHANNELS];
	unsigned opened;     /* channels, ever */
	unsigned refusals;
	ssh_message global[GLOBALS]; /* in order; the first may be under way */
	unsigned nglobal;
	uint64_t wake_at;    /* ms: a filter's hold ends; 0: none holds */
};

/* ssh.c */
void ssh_enter(struct sp_session *s, enum ssh_state to);
/* Until nothing moves.  Fine from any callback of the core, also from one inside another. */
int ssh_pump(struct sp_session *s) SP_MUST;
uint64_t ssh_now(void); /* ms, of a clock that only goes on */
/* As sp_fail(), and the client is told the same. */
int ssh_fail(struct sp_session *s, int rc, const char *fmt, ...) SP_PRINTF(3, 4);
bool ssh_listed(const struct sp_strings *set, const char *word);
/* The same where "LC_*" stands for any that begins so. */
bool ssh_fits(const struct sp_strings *set, const char *word);

/* transport.c: the pairs, and libssh's sessions on them */
int leg_open(struct sp_session *s, enum sp_side side, int *fd_r) SP_MUST;
/* Bytes of the core's to libssh, as far as the guard lets them; *moved_r is set when there were some. */
int leg_feed(struct sp_session *s, enum sp_side side, bool *moved_r) SP_MUST;
/* … and back. */
int leg_take(struct sp_session *s, enum sp_side side, bool *moved_r) SP_MUST;
void leg_add(struct ssh *h, enum sp_side side);
void leg_close(struct ssh *h, enum sp_side side);
/* What may be written to a channel of this side now. */
size_t leg_room(struct ssh *h, enum sp_side side, ssh_channel to);
/* The key exchange is over: is what was agreed on safe from CVE-2023-48795? */
int leg_check(struct sp_session *s, enum sp_side side) SP_MUST;
extern const char *const ssh_ciphers, *const ssh_exchanges, *const ssh_macs;

/* login.c: the client's side until it is admitted */
int login_begin(struct sp_session *s) SP_MUST;
int login_step(struct sp_session *s, bool *moved_r) SP_MUST;
int login_admitted(struct sp_session *s, const struct sp_admission *a) SP_MUST;
/* "orders-host", "deploy%orders-host": false when it is neither. */
bool login_name(const char *user, char login_r[LOGIN_MAX], char target_r[64]);

/* target.c: the target's side until it is logged in */
int target_begin(struct sp_session *s) SP_MUST;
int target_step(struct sp_session *s, bool *moved_r) SP_MUST;
int target_proved(struct sp_session *s, const struct sp_answer *a) SP_MUST;

/*
 * agent.c: libssh signs by an agent, which is a descriptor to it.  Ours has its answers written before it is asked, so that libssh
 * never waits: a first time without a signature, to see what has to be signed; then with the keeper's.
 */
int agent_begin(struct sp_session *s, struct sp_bytes public) SP_MUST;
/* The log-in failed, as it had to: what would it have signed?  false: it did not come so far. */
bool agent_wanted(struct sp_session *s, struct sp_bytes *what_r);
int agent_answer(struct sp_session *s, struct sp_bytes signature) SP_MUST;
void agent_end(struct sp_session *s);

/* channel.c */
int channels_step(struct sp_session *s, bool *moved_r) SP_MUST;
struct channel *channel_make(struct sp_session *s, ssh_channel client);
void channel_drop(struct channel *c);
void channel_listen(struct channel *c, enum sp_side side);
/* Over: recorded as done, with this text where nothing better is known. */
int channel_finish(struct channel *c, const char *text) SP_MUST;
void channel_drop_leg(struct channel *c, enum sp_side side);
/* The same, and libssh keeps it: it frees it with its session. */
void channel_forget_leg(struct channel *c, enum sp_side side);
int channel_verdict(struct channel *c, const struct sp_verdict *v) SP_MUST;
int channel_held(struct channel *c, const struct sp_hold *h) SP_MUST;
/* The end of it, without a status. */
int channel_lose(struct channel *c, const char *text) SP_MUST;
/* Is there something of the target's that the client has not been given yet? */
bool channel_has_output(struct channel *c);
/* A line of the gateway's own for the client, on stderr. */
int channel_say(struct channel *c, const char *fmt, ...) SP_PRINTF(2, 3) SP_MUST;
/* The end of it, with the client's exit status. */
int channel_refuse(struct channel *c, int status) SP_MUST;

/* request.c: what a client asks of its channels */
int requests_take(struct sp_session *s, bool *moved_r) SP_MUST;
/* The next request of a channel, or what the verdict on it means. */
int request_step(struct channel *c, bool *moved_r) SP_MUST;
int request_ask(struct channel *c, const char *kind, struct sp_bytes text) SP_MUST;
int request_count_refusal(struct sp_session *s) SP_MUST;
/* Yes or no to the request that is under way. */
void request_answer(struct channel *c, bool yes);
/* May "NAME=VALUE" be set by a client of this target, and is there room for it? */
bool request_variable_fits(struct channel *c, const char *text);

/* forward.c: the message is theirs */
int forward_take_direct(struct sp_session *s, ssh_message m) SP_MUST;
int forward_take_target(struct sp_session *s, ssh_message m) SP_MUST;
int forward_take_global(struct sp_session *s, ssh_message m) SP_MUST;
/* The target is being asked to listen: what it opens by then can't be told from what nobody asked for. */
bool forward_begins(const struct ssh *h);
int forward_step_global(struct sp_session *s, bool *moved_r) SP_MUST;
int forward_open(struct channel *c, bool *moved_r) SP_MUST;

/* flow.c: bytes between two open channels */
/* What libssh has of a peer, all of it at once, appended; see there why.  *n_r: how much that was. */
int flow_gulp(struct channel *c, enum sp_side side, bool errors, struct pending *into, size_t *n_r) SP_MUST;
/* *n_r: what was taken; nothing is while keys are exchanged anew. */
int flow_write(struct channel *c, enum sp_side side, bool errors, struct sp_bytes b, size_t *n_r) SP_MUST;
bool flow_has_output(const struct channel *c);
/* Of a forward: something of the client's that the target still takes, though the client has closed it. */
bool flow_has_input(const struct channel *c);
int flow_step(struct channel *c, bool *moved_r) SP_MUST;
/* Of the gateway's own, on the client's screen: recorded as `op`'s, sent by flow_send(), which may take several. */
int flow_show(struct channel *c, const struct sp_op *op, struct sp_bytes b) SP_MUST;
int flow_send(struct channel *c, unsigned stream, bool *moved_r) SP_MUST;
bool flow_shown(const struct channel *c); /* nothing waits for the client */
void flow_forget(struct pending *p);      /* the buffer, when all of it was taken */

/* lines.c: a shell of single commands */
/* The shell was allowed. */
int lines_begin(struct channel *c) SP_MUST;
int lines_step(struct channel *c, bool *moved_r) SP_MUST;
/* A line's command is over, or was refused: on to the next one. */
int lines_next(struct channel *c, int status) SP_MUST;
/* What a command says may be for the gateway alone: true when it was, or there is no such shell: false. */
bool lines_keep(struct channel *c, unsigned stream, struct sp_bytes b);
/* Does what the client sends go to the command?  Does that have a terminal? */
bool lines_feeds(const struct channel *c);
bool lines_needs_pty(const struct channel *c);
/* In a terminal its errors stand among what else it says, so that the prompt comes last. */
bool lines_has_errors(const struct channel *c);
/* The shell is over: recorded as done. */
int lines_done(struct channel *c) SP_MUST;
void lines_free(struct lines **lines);

/* classify.c */
enum { A_COMMAND, A_PROGRAM, A_ARGV, A_SYNTAX, A_WRITES, A_READS, A_NAME, A_VALUE, A_OPERATION, A_PATH, A_TO, A_DIRECTION, A_CHANNEL,
	A_HOST, A_PORT };
extern const struct sp_attr ssh_attrs[];
extern const char *const ssh_kinds[];
int ssh_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text);
/* `scp -t DIR` and its like, which a client sends as a command; false: it is none. */
bool scp_command(struct sp_bytes command);
bool scp_downloads(struct sp_bytes command); /* `scp -f FILE`, and nothing else */

/* sftp.c */
int sftp_begin(struct channel *c) SP_MUST;
int sftp_step(struct channel *c, bool *moved_r) SP_MUST;
void sftp_held(struct sftp *sftp);
bool sftp_has_output(const struct sftp *sftp);
void sftp_free(struct sftp **sftp);
/* The attribute, with the path as it goes to the target: absolute where `home` was known, no . or .. or // in it. */
int sftp_put_path(struct sp_op *op, unsigned attr, struct sp_bytes path);

#endif
