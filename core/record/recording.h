/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and checking recordings: used by the recorder (recovery, retention), the console and the
 * `sallyport` command.  A recording is hostile input like any other.
 */
#ifndef SALLYPORT_RECORDING_H
#define SALLYPORT_RECORDING_H

#include "frame.h"

struct recording;

/* Takes fd over.  auditor: X25519 private key for sealed recordings, or NULL. */
int recording_open(int fd, const uint8_t *auditor, struct recording **r_r, const char **err_r) SP_MUST;
void recording_close(struct recording **r);
/* 1 a frame (borrowed until the next call), 0 the end, < 0 *err_r names block, frames and byte. */
int recording_next(struct recording *r, struct frame *f_r, const char **err_r) SP_MUST;
/* After the end: was more written since?  Then recording_next() goes on. */
bool recording_more(struct recording *r);
bool recording_sealed(const struct recording *r);

/* ---- the ledger: how sessions chain to one another ---- */

/*
 * Entry = be64 number | u8 kind | session id[16] | be32 blocks | be32 frames | be64 bytes | chain hash[32] |
 *         be64 wall µs | previous entry's hash[32] | signature[64] (Ed25519, over all before it)
 * The file STORE/ledger is "SLPLED01" | public key[32] | entry*.
 *
 * An entry's hash is SHA-256 over its 177 bytes; before the first one stands
 * SHA-256("sallyport ledger 1" | public key).  Numbers begin at 1.
 *
 * The keeper has every entry too: the recorder says which it has last (MSG_HAVE, after each MSG_KEYS
 * and at a gap), and the keeper sends what is missing, in order, before anything new.
 *
 * An anchor keeps copies elsewhere, one line each: … "sallyport-anchor " | number | " " | hex of the entry.
 */
enum ledger_kind { LEDGER_OPEN = 1, LEDGER_CHECKPOINT, LEDGER_CLOSE, LEDGER_TORN, LEDGER_TOMBSTONE };
#define LEDGER_ENTRY 177

struct ledger_entry {
	uint64_t number;
	enum ledger_kind kind;
	uint8_t session[ID_LEN];
	uint32_t blocks, frames;
	uint64_t bytes;
	uint8_t chain[DIGEST_LEN];
	uint64_t wall;
	uint8_t previous[DIGEST_LEN];
	uint8_t signature[SIGNATURE_LEN];
};
#define LEDGER_SIGNED (LEDGER_ENTRY - SIGNATURE_LEN) /* what the signature is over */
#define LEDGER_MAGIC "SLPLED01"
#define LEDGER_HEAD (8 + 32)

void ledger_encode(const struct ledger_entry *e, uint8_t out[LEDGER_ENTRY]);
int ledger_decode(struct sp_bytes in, struct ledger_entry *e_r) SP_MUST;
/* What `previous` of the first entry, and of the entry after this one, must be. */
void ledger_first(const uint8_t public_key[32], uint8_t out[DIGEST_LEN]);
void ledger_hash(const uint8_t entry[LEDGER_ENTRY], uint8_t out[DIGEST_LEN]);
bool ledger_signed_by(const uint8_t entry[LEDGER_ENTRY], const uint8_t public_key[32]);
const char *ledger_kind_name(unsigned kind);

struct verify_result {
	bool ok, ended;         /* ended: of one recording, its end is signed and is there */
	char text[512];         /* what was found, naming session, block, frames, byte */
	uint64_t sessions, blocks, frames;
	uint64_t signed_at;     /* wall µs of the last checkpoint that holds */
};
/* One recording against its ledger entries (may be none: then only the chain). */
int verify_recording(int fd, const char *name, const struct ledger_entry *e, size_t n, struct verify_result *v_r) SP_MUST;
/* The same a block at a time, for who has others to serve: 1 goes on, 0 *v_r is what was found.  Borrows all until the end. */
struct verifying;
struct verifying *verify_begin(int fd, const char *name, const struct ledger_entry *e, size_t n);
int verify_step(struct verifying *w, struct verify_result *v_r) SP_MUST;
void verify_end(struct verifying **w);
/* A whole store: ledger, every file, and an anchor file when given.  progress may be NULL. */
int verify_store(const char *dir, const uint8_t *public_key, const char *anchor,
    void (*progress)(uint64_t done, uint64_t all), struct verify_result *v_r) SP_MUST;

#endif
