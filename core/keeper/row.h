/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the store that grant something carry the keeper's mark: a MAC over all their columns, by a
 * key of the table's own.  Whoever writes to the store past the keeper has no key: such a row is
 * refused.  (A row put back as it once was is not noticed; what was revoked stands in a table that
 * only ever refuses.)
 */
#ifndef SALLYPORT_KEEPER_ROW_H
#define SALLYPORT_KEEPER_ROW_H

#include "../base/message.h"
#include "keys.h"

/* types: a letter for each column, as the store's table has them: q integer, t text, b blob. */
void row_mac(const struct keys *k, const char *table, const char *types, const struct field *column, uint8_t mac_r[DIGEST_LEN]);
/* False, and a line in the log: it was not written by this keeper. */
bool row_good(const struct keys *k, const char *table, const char *types, const struct field *column, struct sp_bytes mac);

/* All columns, their texts and bytes in the arena, each with a NUL behind it. */
int row_copy(struct arena *a, const char *types, const struct field *row, struct field *column_r) SP_MUST;

/*
 * A value that even a reader of the store must not learn, bound to the row that it stands in
 * (aead.h).  row_open() appends to a buffer that the caller wipes.
 */
int row_seal(const struct keys *k, const char *table, struct sp_bytes id, struct sp_bytes value, struct buffer *out) SP_MUST;
int row_open(const struct keys *k, const char *table, struct sp_bytes id, struct sp_bytes sealed, struct buffer *out) SP_MUST;

#endif
