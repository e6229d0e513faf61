/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of recordings.
 *
 *   STORE/lock          held while a recorder runs: one per store
 *   STORE/ledger        signed entries (recording.h)
 *   STORE/reserve       nothing: room that is given up when the disk is full, to end what is under way
 *   STORE/journal/      what is on disk first (journal.h)
 *   STORE/sessions/xx/  ID.spr, one file per session; xx are the id's first two letters
 *
 * File names are made from ids that we parsed ourselves, never from text that came in (RC3).
 */
#ifndef SALLYPORT_RECORDER_STORE_H
#define SALLYPORT_RECORDER_STORE_H

#include "../base/digest.h"

struct store {
	int top, sessions, journal, lock;
	bool reserved;
};

int store_open(struct store *s, const char *path, const char **err_r) SP_MUST;
void store_close(struct store *s);
/* Writes at an offset of the session's file, which is made when the offset is 0. */
int store_write(struct store *s, const uint8_t id[ID_LEN], uint64_t offset, struct sp_bytes b) SP_MUST;
/* What was written there may go to the disk now; nobody waits for it. */
void store_start(struct store *s, const uint8_t id[ID_LEN], uint64_t offset, size_t len);
/* The file, and with `fresh` its name too, are on disk. */
int store_sync(struct store *s, const uint8_t id[ID_LEN], bool fresh) SP_MUST;
/* After a sync failed nobody knows what the disk has: the file is written anew beside, and takes its place. */
int store_renew(struct store *s, const uint8_t id[ID_LEN]) SP_MUST;
/* Size of the file, or -1. */
int64_t store_size(struct store *s, const uint8_t id[ID_LEN]);
int store_truncate(struct store *s, const uint8_t id[ID_LEN], uint64_t size) SP_MUST;
/* Read only, or -1. */
int store_fetch(struct store *s, const uint8_t id[ID_LEN]);
int store_remove(struct store *s, const uint8_t id[ID_LEN]) SP_MUST;

/* Bytes of the disk that are free. */
uint64_t store_room(const struct store *s);
/* Sets so many bytes of the disk aside, when there are several times as many. */
void store_reserve(struct store *s, uint64_t bytes);
/* They are free. */
void store_give_up(struct store *s);

/* All of it or an error; errno is kept. */
int write_at(int fd, struct sp_bytes b, uint64_t at) SP_MUST;
int read_at(int fd, void *into, size_t len, uint64_t at) SP_MUST;

#endif
