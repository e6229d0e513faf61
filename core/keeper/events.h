/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed, for who watches: requests, grants, sessions.
 *
 *   keeper_write() ─ a row of theirs ─▶ events_wrote() ─▶ the last thousand, numbered ─ soon ─▶ who waits is woken, and asks again
 *   another gateway's change ─ "approval ID" … ─▶ events_heard()
 *
 * A question names the number that it has come to.  Who asks is verified with every question, and sees what the lists would
 * show: so a watcher never outlives its sign-in by more than one question.  A number from before what is kept, or of a former
 * keeper, is answered with `reset`: load the lists anew.
 */
#ifndef SALLYPORT_KEEPER_EVENTS_H
#define SALLYPORT_KEEPER_EVENTS_H

#include "keeper.h"

void events_open(struct keeper *k);
void events_close(struct keeper *k);
/* Every second: who has waited for long is answered with nothing new. */
void events_tick(struct keeper *k);
/* Called for every write: most are about nothing that is watched. */
void events_wrote(struct keeper *k, enum store_statement which, const struct field *args);
/* Of another gateway; topic "approval" or "grant", as in the store. */
void events_heard(struct keeper *k, const char *topic, const char *id);

#endif
