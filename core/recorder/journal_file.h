/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and names that writing and replaying the journal share. */
#ifndef SALLYPORT_RECORDER_JOURNAL_FILE_H
#define SALLYPORT_RECORDER_JOURNAL_FILE_H

#include "journal.h"

#define JOURNAL_MAGIC "SLPJNL02"
#define JOURNAL_SPARE "spare.jnl"
#define JOURNAL_BATCH_MAGIC 0x534a4254u /* "SJBT" */
#define JOURNAL_BATCH 36
#define JOURNAL_RING 17
#define JOURNAL_BOOT 9
#define JOURNAL_STATE (1 + 4 + 4 + 7 * 8)
#define JOURNAL_ENTRY (1 + ID_LEN + 8 + 8 + 4 + JOURNAL_STATE + 2 * DIGEST_LEN)
#define JOURNAL_NAME 32

const char *journal_name(uint64_t segment, char name[JOURNAL_NAME]);

#endif
