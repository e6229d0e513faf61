/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one SQLite file to a PostgreSQL server: what gateways share moves, what is a gateway's own stays in the file.
 *
 *   the file, which nobody else may have open ─▶ one transaction at an empty store ─▶ counted ─▶ a copy of the file ─▶ COMMIT
 *
 * Rows go as they are, marks included: they are good under the same master.key.  Before the COMMIT nothing
 * has changed anywhere; after it the file's rows of these tables are removed, so that no old ones come back.
 */
#ifndef SALLYPORT_KEEPER_STORE_MOVE_H
#define SALLYPORT_KEEPER_STORE_MOVE_H

#include "store.h"

#define STORE_MOVED_END ".moved" /* the copy: the file's name and this */

/* Told after each table, and every thousand rows of one. */
typedef void store_progress(const char *table, uint64_t rows, uint64_t all);
int store_move(const char *file, const struct store_server *server, store_progress *progress, const char **err_r) SP_MUST;

#endif
