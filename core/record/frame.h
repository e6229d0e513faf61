/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a recording: frames, in blocks, in a chain.
 *
 * File  = "SLPREC01" | block*                                      (all integers big-endian)
 * Block = magic "BK" | be16 flags | be32 number | be32 first frame | be32 frames | be64 wall µs |
 *         be32 plain length | be32 stored length | stored bytes | hash[32]
 *         hash = SHA-256(previous block's hash | everything of this block before the hash);
 *         before the first block stands SHA-256("sallyport recording 1" | session id).
 *         flags: 1 compressed (zstd), 2 sealed (seal.h; over what compression made)
 * Frame = be32 length of what follows | u8 type | u8 flags | be16 channel | be32 op | be64 µs since
 *         the session began (monotonic) | payload
 * Payload of each type: a list of fields, each u8 key | be32 length | bytes, except FRAME_ROWS,
 *         FRAME_OUTPUT and FRAME_INPUT, whose payload is the bytes, and FRAME_TOGETHER.
 *
 * Changing a number makes old recordings unreadable.
 */
#ifndef SALLYPORT_FRAME_H
#define SALLYPORT_FRAME_H

#include "../base/digest.h"

enum frame_type {
	FRAME_HEADER = 1, /* who, where, which policy */
	FRAME_OPERATION,
	FRAME_VERDICT,
	FRAME_COLUMNS,
	FRAME_ROWS,       /* be16 fields, then per field be32 length (0xffffffff NULL) and bytes; many rows; cut anywhere,
			     joined by operation */
	FRAME_OUTPUT,
	FRAME_INPUT,
	FRAME_NOTICE,
	FRAME_DONE,
	FRAME_OWN,        /* a statement of the gateway's own */
	FRAME_HELD,
	FRAME_RESIZE,
	FRAME_CUT,        /* output beyond `head`: bytes, rows and hash of what is not stored */
	FRAME_END,        /* the session ended in order */
	FRAME_TORN,       /* written by the recorder: the worker died */
	FRAME_WHY,        /* of a refusal or a hold: what each rule said, JSON in KEY_TEXT (policy_explain) */
	FRAME_GROUP,      /* its operation, or with none the session, belongs to all others that say the same in KEY_TEXT */
	FRAME_TOGETHER,   /* 1 to TOGETHER_MOST frames of one operation and moment: each u8 type | be32 length | payload.  Each
			     counts and has a number; it has none.  Not in it: header, cut, end, torn, and its like */
	FRAMES
};

enum frame_key { /* fields of payloads; texts unless said */
	KEY_SESSION = 1, KEY_PRINCIPAL /* JSON */, KEY_TARGET, KEY_PART, KEY_MODULE, KEY_VERSION, KEY_POLICY_HASH,
	KEY_ADDRESS, KEY_LOGIN, KEY_STARTED /* be64 wall µs */, KEY_KIND, KEY_TEXT /* values hidden */, KEY_TAG,
	KEY_TEXT_HASH /* SHA-256 of the text, with hidden values as recorded */, KEY_PARAM /* be32 type, be16 format, u8 null|hidden, bytes */,
	KEY_WHAT /* allow deny kill held */, KEY_RULE, KEY_MESSAGE, KEY_APPROVAL, KEY_APPROVER, KEY_OBSERVED,
	KEY_COLUMN /* u8 masked, be32 type, be16 format, name */, KEY_ROWS /* be64 */, KEY_BYTES /* be64 */, KEY_ERROR,
	KEY_WHY, KEY_FACT /* name=value */, KEY_HASH, KEY_ATTRIBUTE /* node:name=value, for explain and backtest */,
	KEY_PROTOCOL, KEY_WOULD /* what a target in observe mode kept it from being: deny kill held limit mask */,
	KEY_UNCLEAR /* node:why=name, lifted or not; node 0, why "failed": it could not be classified */,
	/*
	 * Operations of a session have much in common, up to all but their parameters: it is there once.  In a FRAME_OPERATION
	 * KEY_KEPT says that all fields before it in this frame are kept in a place, KEY_AS that the fields of a place stand
	 * there; each is u8, the place, and the first of them in a frame is the only one.  A place serves the operation that
	 * wrote it and those of the next RECORD_STANDS - 1 numbers; to others, and before it is written, it has nothing.
	 * Sealed halves have places of their own.  recording_next() gives the whole, or an attribute RECORD_CUT for what a
	 * place does not have.
	 */
	KEY_KEPT, KEY_AS
};
#define RECORD_PLACES 16u
#define RECORD_KEPT_MAX 8192u /* bytes in one place; with more it has nothing */
#define RECORD_STANDS 1024u   /* so that who begins in the middle need not go back far */

struct frame {
	enum frame_type type;
	uint8_t flags;
	uint16_t channel;
	uint32_t op;
	uint64_t at; /* µs since the session began */
	struct sp_bytes payload;
	uint32_t number; /* on reading: position in the recording, from 1 */
	bool opened;     /* on reading: in the clear, but for what it took from a sealed place */
	/* On recording: */
	struct sp_bytes whole; /* all of it, encoded as it came; else empty */
	uint64_t lacks;        /* keys that its payload has not, a bit each; 0: nobody looked */
};

#define RECORD_CUT "\xe2\x80\xa6" /* ends the value of an attribute or a fact that was too long; alone, as an attribute's name: there were more */

#define FRAME_HEAD 20
#define FRAME_FIELD_HEAD 5
#define FRAME_MAX (20u << 20)
#define FRAME_ROW_NULL 0xffffffffu
#define TOGETHER_MOST 8u
#define FRAME_NUMBER_MAX INT64_MAX /* of its time and of numbers in its fields: readers of JSON take no larger one */

enum frame_flag {
	FRAME_PART = 1, /* an operation's sealed half: its text and parameters; the clear half came first */
	FRAME_HALF = 2  /* … that clear half: fields with keys that are open */
};

static inline bool
frame_key_is_open(unsigned key)
{
	return key == KEY_KIND || key == KEY_TAG || key == KEY_TEXT_HASH;
}

void frame_field(struct sp_writer *w, enum frame_key key, struct sp_bytes value);
/* Only what stands before its bytes, which the caller appends; key: in a FRAME_TOGETHER, a type. */
void frame_field_head(struct sp_writer *w, unsigned key, size_t len);
void frame_field_u64(struct sp_writer *w, enum frame_key key, uint64_t value);
/* Next field of a payload: true while there is one; a malformed one sets r->bad. */
bool frame_next_field(struct sp_reader *r, unsigned *key_r, struct sp_bytes *value_r);
/* False: it has no field with that key. */
static inline bool
frame_may_have(const struct frame *f, enum frame_key key)
{
	return (unsigned)key > 63 || (f->lacks >> key & 1) == 0;
}
struct sp_bytes frame_find(const struct frame *f, enum frame_key key);

/* First field with that key, empty when none. */
static inline struct sp_bytes
frame_get(const struct frame *f, enum frame_key key)
{
	return frame_may_have(f, key) ? frame_find(f, key) : (struct sp_bytes){ NULL, 0 };
}

bool frame_field_u64_get(struct sp_bytes value, uint64_t *v_r);
/* The place that KEY_KEPT or KEY_AS names; RECORD_PLACES: none. */
static inline unsigned
frame_place(struct sp_bytes value)
{
	return value.len == 1 && value.p[0] < RECORD_PLACES ? value.p[0] : RECORD_PLACES;
}

/* Numbers of operations: does what the one has written serve the other? */
static inline bool
frame_place_serves(uint32_t writer, uint32_t op)
{
	return op - writer < RECORD_STANDS;
}

int frame_encode(const struct frame *f, struct sp_writer *w) SP_MUST;
/* Only the head, for a payload of that many bytes which the caller appends. */
void frame_encode_head(const struct frame *f, size_t payload, struct sp_writer *w);
int frame_decode(struct sp_reader *r, struct frame *f_r) SP_MUST;
/* Frames one behind the other, those that stand together each for itself; `in` is set, the rest begins zeroed. */
struct frames_walk {
	struct sp_reader in, together; /* together: what is left of those */
	struct frame of;               /* … and what they share */
	unsigned n;                    /* how many of them there were */
};
/* 1 and the next one, which is borrowed; 0: no more; < 0: malformed.  Payloads are not looked at. */
int frames_next(struct frames_walk *w, struct frame *f_r) SP_MUST;
/* May one of that type stand together with others? */
bool frame_stands_together(unsigned type);
/* True for types whose payload is bytes, not fields. */
bool frame_is_stream(unsigned type);
/* 0 when the payload is what the type says: whole fields; a stream may be anything. */
int frame_check(const struct frame *f) SP_MUST;
/* Of one that is to be recorded, its numbers too; and `lacks` is set, for a payload that stays as it is. */
int frame_note(struct frame *f) SP_MUST;
/* …which a sum of such numbers keeps to. */
static inline uint64_t
frame_number_sum(uint64_t a, uint64_t b)
{
	return a < FRAME_NUMBER_MAX && b < FRAME_NUMBER_MAX - a ? a + b : FRAME_NUMBER_MAX;
}
const char *frame_name(unsigned type);

/* Where a stream of rows stands; begins zeroed. */
struct rows_walk {
	bool in_row;
	uint32_t fields, value; /* left in the row; bytes left in the field */
	uint32_t number, digits;
};
/* Walks on; how many rows ended in these bytes. */
uint64_t rows_walk(struct rows_walk *r, struct sp_bytes b);

#endif
