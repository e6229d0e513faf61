/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to targets that are logged in and wait for a session: `pool warm=`.
 *
 *   a session runs ─▶ pool_fill(): side sessions "warm", dialled and logged in like it
 *   the next one may dial ─▶ pool_take(): the connection is its own, the side session is gone
 *
 * One is handed on only where a new log-in would have been the same: same module, target and part in the
 * same epoch, same pins, same key of the module's.  It was never used, and is never used again.
 */
#ifndef SALLYPORT_POOL_H
#define SALLYPORT_POOL_H

#include "worker.h"

/* What the session's log-in depends on, by its module. */
int pool_key(struct sp_session *s, struct sp_bytes key) SP_MUST;
/* True: the session has its connection to the target now, of one that waited. */
bool pool_take(struct sp_session *s);
/* A session runs: the next ones like it are to find connections ready. */
void pool_fill(struct sp_session *s);
/* A session closes: it may be one that waited. */
void pool_left(struct sp_session *s);
/* A new epoch: who waits has logged in by what may not hold any more. */
void pool_clear(struct worker *w);
void pool_tick(struct worker *w);

#endif
