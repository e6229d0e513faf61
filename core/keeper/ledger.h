/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's signer: sessions chain to one another here, out of reach of whoever writes recordings.
 *
 * The recorder says how far a recording has come; the entry gets number, time, predecessor and
 * signature from the keeper, is stored, and only then given out.  A recording never shrinks, ends
 * once, and leaves a tombstone only when its retention is over.
 */
#ifndef SALLYPORT_KEEPER_LEDGER_H
#define SALLYPORT_KEEPER_LEDGER_H

#include "keeper.h"

int ledger_open(struct keeper *k, const char **err_r) SP_MUST;
void ledger_close(struct keeper *k);
int ledger_sign(struct keeper *k, struct link *l, struct message *m);
/* The recorder says which entry it has last: what came after it, in order. */
int ledger_have(struct keeper *k, struct link *l, struct message *m);
int ledger_remove(struct keeper *k, struct link *l, struct message *m);
/* A recorder is there: it needs the public key, and the key of hidden values. */
void ledger_keys(struct keeper *k);
/* Appends the hex of each entry of a session. */
int ledger_entries(struct keeper *k, struct sp_bytes session, json_t *list) SP_MUST;
uint64_t ledger_count(const struct keeper *k);
/* The last entry into the audit log, when it is another than the last time: where `siem` sends that, nobody here can take it back. */
void ledger_anchor(struct keeper *k);

#endif
