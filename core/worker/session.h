/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a session: its states, and the one way into a module's callbacks.
 *
 * Every callback runs between session_enter_module() and session_leave_module(): the former lays
 * out what is unconsumed, the latter offers it again as long as somebody consumes, publishes the
 * frames, and only then lets bytes out (P1).
 */
#ifndef SALLYPORT_SESSION_H
#define SALLYPORT_SESSION_H

#include "worker.h"

struct target_use;

/* A client was accepted on a listener.  Takes fd over. */
void session_accept(struct worker *w, const struct listener *l, int fd, const char *address);
/* A connection of the gateway's own, without a client. */
struct sp_session *session_side(struct sp_session *like, const char *purpose, void *cookie);
/* One of trial.c's, with no client's session beside it. */
struct trial_of {
	const char *part, *purpose;
	const char *server; /* HOST:PORT; NULL: the target's */
};
struct sp_session *session_trial(struct worker *w, const struct target_use *t, const void *conf, const struct trial_of *of);
struct sp_session *session_find(struct worker *w, struct sp_bytes id);

void session_enter(struct sp_session *s, enum session_state to);
const char *session_state_name(enum session_state st);

void session_enter_module(struct sp_session *s);
/* rc: what the callback returned.  True when the session is gone. */
bool session_leave_module(struct sp_session *s, int rc);

/* From the streams.  True when the session is gone. */
bool session_input(struct stream *st);
void session_output(struct stream *st);
void session_secured(struct stream *st);

/* The keeper's answer; the dialled socket; TLS refused and the like. */
void session_admitted(struct sp_session *s, const struct sp_admission *a);
void session_connected(struct sp_session *s, int fd);
/* At the next turn of the loop it gets a connection: one of the pool, or a new one. */
void session_dial_soon(struct sp_session *s);
void session_fail(struct sp_session *s, int rc, const char *text);
/* The farewell, then the end. */
void session_finish(struct sp_session *s, enum sp_why why, const char *text);
/* Every tick: deadlines, idleness, expiry. */
/* Until when its access is good, wall µs; 0: for ever. */
void session_set_expires(struct sp_session *s, uint64_t expires);
/* For how long, µs, it has been over, by whichever clock says so first; 0: it is not. */
uint64_t session_expired_us(const struct sp_session *s);
void session_tick(struct sp_session *s);
/* At the next turn of the loop: data() for what was waiting. */
void session_kick(struct sp_session *s);
void session_run_kicked(struct worker *w);
void session_free(struct sp_session *s);
/* A new epoch: follow it, or end as revoked. */
void session_follow(struct sp_session *s);
bool session_allowed(const struct sp_session *s, const struct target *t);
/* Starts the handshakes that sp_starttls() asked for, once the output before them is out. */
void session_begin_tls(struct sp_session *s);

#endif
