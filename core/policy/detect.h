/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detectors: what looks like a secret or personal data by its content.  A second net with stated
 * limits, beside masks by column: docs/policy-authors.md says what each finds and what it does not.
 *
 * A Hyperscan automaton for each marks where something may end; C code then finds where it begins,
 * and checks it (Luhn, mod 97, a date that can be).
 */
#ifndef SALLYPORT_DETECT_H
#define SALLYPORT_DETECT_H

#include "../base/memory.h"

enum detector {
	DETECT_EMAIL, DETECT_CARD, DETECT_IBAN, DETECT_SSN, DETECT_PHONE, DETECT_IP, DETECT_JWT, DETECT_AWS_KEY,
	DETECT_PRIVATE_KEY, DETECT_BEARER, DETECT_GITHUB_TOKEN, DETECT_SLACK_TOKEN, DETECTORS
};
extern const char *const detector_name[DETECTORS + 1]; /* NULL-terminated */

/* Builds the automata, once in a process; before the process is locked down. */
int detect_prepare(void) SP_MUST;
/* Bit of a detector, 0 when there is none of that name. */
uint32_t detect_bit(const char *name);

struct span {
	size_t from, to;
	enum detector what;
};
/*
 * Everything the wanted detectors find, in order, overlaps joined.  At most `max` spans; more than
 * that make the last one reach to the end: what was not looked at is not shown.
 */
size_t detect_find(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max);
/* Those of the wanted that may find something; the others find nothing, for sure.  0 is the common case. */
uint32_t detect_may(uint32_t wanted, struct sp_bytes in);
void detect_may_prepare(void);
/* detect_find() without that: what tests hold it against. */
size_t detect_find_slowly(uint32_t wanted, struct sp_bytes in, struct span *span, size_t max);
/* Classes of bytes: what may stand in an address before its @ and behind, in a telephone number, an IP address, a name … */
enum { IS_DIGIT = 1, IS_LETTER = 2, IS_LOCAL = 4, IS_DOMAIN = 8, IS_WORD = 16, IS_DIALLED = 32, IS_ADDRESS = 64, IS_NAME = 128, IS_TOKEN = 256 };
#define IS_ALNUM (IS_DIGIT | IS_LETTER)
extern uint16_t detect_class[256]; /* filled by detect_may_prepare() */
/* Characters of a token; where those end that `in` begins with. */
bool detect_in_token(uint8_t c);
size_t detect_token_end(struct sp_bytes in);

/* ---- streams: the same across chunks ---- */

struct detect_stream;
struct detect_stream *detect_stream_new(uint32_t wanted);
void detect_stream_free(struct detect_stream **s);
/* What is hidden keeps its length: a `*` for each byte, of a terminal's sequences inside of it, too.  `last` is the end of it all, then. */
void detect_stream_keep_length(struct detect_stream *s);
/*
 * Feeds a chunk and appends what can be shown to `out`, findings replaced.  What may be the beginning
 * of a finding is held back until more comes, or until `last`: at most DETECT_HELD bytes.  `last` may come
 * before the end, for somebody who waits: what completes a finding that was let out so is hidden yet.  Escape
 * sequences of a terminal between the characters of a finding are looked past, and stay (screen.h).
 */
int detect_stream_feed(struct detect_stream *s, struct sp_bytes chunk, bool last, struct buffer *out) SP_MUST;
bool detect_stream_holds(const struct detect_stream *s);
#define DETECT_HELD (64u << 10)

#endif
