/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies, piece by piece.  A chunked one is a machine over characters, but for the data itself:
 *
 *   SIZE_FIRST ▶ SIZE ─;▶ EXTENSION ─CR▶ SIZE_LF ─LF▶ DATA ─▶ DATA_CR ▶ DATA_LF ▶ SIZE_FIRST
 *                  └────────CR─────────────┘  (size 0) └▶ TRAILER ▶ NAME ▶ VALUE ▶ VALUE_LF ▶ TRAILER
 *                                                          └─CR▶ LAST_LF ─LF▶ FINISHED
 */
#include "chars.h"

enum state {
	REFUSED, SIZE_FIRST, SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, NAME, VALUE, VALUE_LF, LAST_LF, FINISHED,
	STATES
};

enum act { NOTHING, ADD_DIGIT, ADD_EXTENSION, END_SIZE, BEGIN_NAME, ADD_NAME, END_NAME };

struct step {
	uint8_t next, act;
};

#define ON_TOKEN(n, a) \
	[CH_DIGIT] = { n, a }, [CH_HEX] = { n, a }, [CH_ALPHA] = { n, a }, [CH_TOKEN_URI] = { n, a }, [CH_TOKEN] = { n, a }
#define ON_TEXT(n, a) \
	ON_TOKEN(n, a), [CH_URI] = { n, a }, [CH_COLON] = { n, a }, [CH_SEMICOLON] = { n, a }, [CH_PRINT] = { n, a }, \
	[CH_HIGH] = { n, a }, [CH_SPACE] = { n, a }, [CH_TAB] = { n, a }

static const struct step table[STATES][CH_CLASSES] = {
	[SIZE_FIRST] = { [CH_DIGIT] = { SIZE, ADD_DIGIT }, [CH_HEX] = { SIZE, ADD_DIGIT } },
	[SIZE] = { [CH_DIGIT] = { SIZE, ADD_DIGIT }, [CH_HEX] = { SIZE, ADD_DIGIT }, [CH_SEMICOLON] = { EXTENSION, ADD_EXTENSION },
	    [CH_CR] = { SIZE_LF, NOTHING } },
	[EXTENSION] = { ON_TEXT(EXTENSION, ADD_EXTENSION), [CH_CR] = { SIZE_LF, NOTHING } },
	[SIZE_LF] = { [CH_LF] = { DATA, END_SIZE } }, /* or TRAILER */
	[DATA_CR] = { [CH_CR] = { DATA_LF, NOTHING } },
	[DATA_LF] = { [CH_LF] = { SIZE_FIRST, NOTHING } },
	[TRAILER] = { ON_TOKEN(NAME, BEGIN_NAME), [CH_CR] = { LAST_LF, NOTHING } },
	[NAME] = { ON_TOKEN(NAME, ADD_NAME), [CH_COLON] = { VALUE, END_NAME } },
	[VALUE] = { ON_TEXT(VALUE, NOTHING), [CH_CR] = { VALUE_LF, NOTHING } },
	[VALUE_LF] = { [CH_LF] = { TRAILER, NOTHING } },
	[LAST_LF] = { [CH_LF] = { FINISHED, NOTHING } },
};

void
http_body_begin(struct http_body *b, const struct http_framing *f)
{
	*b = (struct http_body){ .framing = *f, .left = f->length, .state = SIZE_FIRST };
	if (f->kind == HTTP_CHUNKED)
		b->left = 0;
}

static int
perform(struct http_body *b, enum act act, uint8_t c)
{
	switch (act) {
	case NOTHING:
		return 0;
	case ADD_DIGIT:
		if (b->digits == 8) /* 4 GB in one chunk is as good as any */
			return HTTP_ELONG;
		b->digits++;
		b->left = b->left << 4 | (uint64_t)chars_hex(c);
		return 0;
	case ADD_EXTENSION:
		return ++b->extension > HTTP_CHUNK_EXTENSION_MAX ? HTTP_ELONG : 0;
	case END_SIZE:
		b->digits = 0;
		return 0;
	case BEGIN_NAME:
		b->name_len = 0;
		/* fall through */
	case ADD_NAME:
		if (b->name_len < sizeof(b->name)) /* every refused name is shorter */
			b->name[b->name_len++] = (char)c;
		return 0;
	case END_NAME:
		return http_trailer_allowed((struct sp_bytes){ (const uint8_t *)b->name, b->name_len }) ? 0 : HTTP_EFRAMING;
	}
	return HTTP_EBAD;
}

static int
chunk_step(struct http_body *b, uint8_t c)
{
	struct step s = table[b->state][chars_class[c]];
	if (s.next == REFUSED)
		return HTTP_EBAD;
	if (b->state >= TRAILER && ++b->trailer > HTTP_TRAILER_MAX)
		return HTTP_ELONG;
	int rc = perform(b, (enum act)s.act, c);
	if (rc < 0)
		return rc;
	b->state = s.next == DATA && b->left == 0 ? TRAILER : s.next;
	return 0;
}

/* Up to b->left bytes of r, without a copy. */
static struct sp_bytes
take_left(struct http_body *b, struct sp_reader *r)
{
	size_t n = b->left < r->left ? (size_t)b->left : r->left;
	b->left -= n;
	return sp_rd_take(r, n);
}

static int
chunked_next(struct http_body *b, struct sp_reader *r, struct sp_bytes *piece_r)
{
	while (b->state != FINISHED && r->left > 0) {
		if (b->state == DATA) {
			*piece_r = take_left(b, r);
			if (b->left == 0)
				b->state = DATA_CR;
			return HTTP_BODY_PIECE;
		}
		int rc = chunk_step(b, sp_rd_u8(r));
		if (rc < 0)
			return rc;
	}
	return b->state == FINISHED ? HTTP_BODY_END : HTTP_BODY_MORE;
}

int
http_body_next(struct http_body *b, struct sp_reader *r, struct sp_bytes *piece_r)
{
	*piece_r = (struct sp_bytes){ NULL, 0 };
	switch (b->framing.kind) {
	case HTTP_NO_BODY:
		return HTTP_BODY_END;
	case HTTP_LENGTH:
		if (b->left == 0)
			return HTTP_BODY_END;
		*piece_r = take_left(b, r);
		return piece_r->len > 0 ? HTTP_BODY_PIECE : HTTP_BODY_MORE;
	case HTTP_UNTIL_CLOSE:
		*piece_r = sp_rd_rest(r);
		return piece_r->len > 0 ? HTTP_BODY_PIECE : HTTP_BODY_MORE;
	case HTTP_CHUNKED:
		return chunked_next(b, r, piece_r);
	}
	return HTTP_EBAD;
}

bool
http_body_eof(const struct http_body *b)
{
	return b->framing.kind == HTTP_UNTIL_CLOSE;
}
