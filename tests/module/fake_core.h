/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core made of memory: it implements include/sallyport/module.h over plain buffers, so that any
 * module can be driven without sockets, processes or policies.
 *
 *   fake_input() ─▶ module ─▶ fake_output()      verdicts, masks and the keeper are scripted
 *
 * Every peek is a block of exactly its length that dies with the next call that consumes, so the
 * sanitizers see a module that reads too far or too long.
 */
#ifndef FAKE_CORE_H
#define FAKE_CORE_H

#include <sallyport/module.h>

struct fake;

enum fake_verdict { FAKE_ALLOW, FAKE_DENY, FAKE_LIMIT, FAKE_KILL, FAKE_HOLD };

/* What the gateway's own connections talk to: answers in *out what came in; bytes used. */
typedef size_t fake_side_fn(void *owner, const char *purpose, struct sp_bytes in, struct sp_writer *out);

struct fake *fake_new(const struct sp_module *module);
void fake_free(struct fake **f);

/* ---- script ---- */
/* Operations whose text holds `pattern`: the last rule that fits decides; none: allow. */
void fake_rule(struct fake *f, const char *pattern, enum fake_verdict v, uint64_t max_rows);
/* Columns whose name or source ends so are masked; unknown sources too when a touched text says `secret`. */
void fake_mask(struct fake *f, const char *column, enum sp_mask_kind kind);
void fake_deny_result(struct fake *f, const char *column);
void fake_sensitive(struct fake *f, const char *pattern);
/* Pinned for the session: what sets it to something else is denied. */
void fake_pin(struct fake *f, const char *name, const char *value);
void fake_tls(struct fake *f, enum sp_side side, enum sp_tls_mode mode);
void fake_binding(struct fake *f, const char *binding);
void fake_side(struct fake *f, fake_side_fn *answer, void *owner);
void fake_stands(struct fake *f, bool stands);
void fake_shares_later(struct fake *f);               /* by fake_shared(), not at once */
void fake_full(struct fake *f, enum sp_side side, bool full);
/* Later calls of sp_record() fail. */
void fake_record_fails(struct fake *f);

/* ---- events ---- */
int fake_input(struct fake *f, enum sp_side from, const void *p, size_t n);
int fake_admit(struct fake *f, enum sp_admit what, const char *text);
int fake_dial(struct fake *f);                       /* the target is connected: open() */
int fake_secured(struct fake *f, enum sp_side side, const char *alpn);
int fake_proved(struct fake *f, bool ok, struct sp_bytes bytes);
int fake_decide(struct fake *f, bool allow);
int fake_shared(struct fake *f, bool ok, bool found); /* the keeper's answer about a fact */
int fake_cancel(struct fake *f);
int fake_notice(struct fake *f, const char *text);
int fake_end(struct fake *f, enum sp_why why, const char *text);

/* ---- what came of it ---- */
struct sp_bytes fake_output(const struct fake *f, enum sp_side to);
void fake_output_take(struct fake *f, enum sp_side to, size_t n);
bool fake_ended(const struct fake *f);               /* by itself or by a callback's error */
int fake_error(const struct fake *f);                /* the callback's error, or 0 */
const char *fake_why(const struct fake *f);          /* text of sp_fail() */
/* One line per thing that was recorded, asked, done …; see fake_core.c. */
const char *fake_log(const struct fake *f);
bool fake_waits_for(const struct fake *f, const char *what); /* "keeper", "proof", "share", "person" */
bool fake_securing(const struct fake *f, enum sp_side side); /* a handshake was asked for */
const char *fake_state_proof(const struct fake *f);  /* the secret of the last sp_authenticate() */
/* Runs data() of every session until nothing moves. */
int fake_run(struct fake *f);
/* The largest size that the module asked memory or input for since the last call. */
size_t fake_largest(struct fake *f);
struct sp_session *fake_session(const struct fake *f);

#endif
