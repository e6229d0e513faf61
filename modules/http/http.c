/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a message: a byte-by-byte machine, then what the fields say together.
 *
 *   METHOD ─SP▶ TARGET ─SP▶ VERSION ─CR▶ LINE_LF ─LF▶ FIELD ─▶ NAME ─:▶ BEFORE ─▶ VALUE ─CR▶ LINE_LF
 *   VERSION(response) ─SP▶ CODE ─SP▶ REASON ─CR▶ LINE_LF      │
 *                                                             └─CR▶ END_LF ─LF▶ done
 *
 * A pair of state and character class that is not in the table is an error.
 */
#include "chars.h"
#include "http.h"

enum state {
	REFUSED, METHOD_FIRST, METHOD, TARGET_FIRST, TARGET, VERSION, STATUS_VERSION, CODE, REASON, LINE_LF, FIELD, NAME,
	BEFORE, VALUE, END_LF, DONE, STATES
};

enum act {
	NOTHING, BEGIN_NAME, END_METHOD, END_TARGET, END_VERSION, END_STATUS_VERSION, END_CODE, END_NAME, BEGIN_VALUE,
	END_VALUE, END_EMPTY, END_LINE, END_HEAD
};

struct step {
	uint8_t next, act;
};

#define ON_TOKEN(n, a) \
	[CH_DIGIT] = { n, a }, [CH_HEX] = { n, a }, [CH_ALPHA] = { n, a }, [CH_TOKEN_URI] = { n, a }, [CH_TOKEN] = { n, a }
#define ON_URI(n, a) \
	[CH_DIGIT] = { n, a }, [CH_HEX] = { n, a }, [CH_ALPHA] = { n, a }, [CH_TOKEN_URI] = { n, a }, \
	[CH_URI] = { n, a }, [CH_COLON] = { n, a }, [CH_SEMICOLON] = { n, a }
#define ON_TEXT(n, a) \
	ON_TOKEN(n, a), [CH_URI] = { n, a }, [CH_COLON] = { n, a }, [CH_SEMICOLON] = { n, a }, [CH_PRINT] = { n, a }, \
	[CH_HIGH] = { n, a }

static const struct step table[STATES][CH_CLASSES] = {
	[METHOD_FIRST] = { ON_TOKEN(METHOD, NOTHING) },
	[METHOD] = { ON_TOKEN(METHOD, NOTHING), [CH_SPACE] = { TARGET_FIRST, END_METHOD } },
	[TARGET_FIRST] = { ON_URI(TARGET, NOTHING) },
	[TARGET] = { ON_URI(TARGET, NOTHING), [CH_SPACE] = { VERSION, END_TARGET } },
	[VERSION] = { ON_TOKEN(VERSION, NOTHING), [CH_URI] = { VERSION, NOTHING }, [CH_CR] = { LINE_LF, END_VERSION } },
	[STATUS_VERSION] = { ON_TOKEN(STATUS_VERSION, NOTHING), [CH_URI] = { STATUS_VERSION, NOTHING },
	    [CH_SPACE] = { CODE, END_STATUS_VERSION } },
	[CODE] = { [CH_DIGIT] = { CODE, NOTHING }, [CH_SPACE] = { REASON, END_CODE }, [CH_CR] = { LINE_LF, END_CODE } },
	[REASON] = { ON_TEXT(REASON, NOTHING), [CH_SPACE] = { REASON, NOTHING }, [CH_TAB] = { REASON, NOTHING },
	    [CH_CR] = { LINE_LF, NOTHING } },
	[LINE_LF] = { [CH_LF] = { FIELD, END_LINE } },
	[FIELD] = { ON_TOKEN(NAME, BEGIN_NAME), [CH_CR] = { END_LF, NOTHING } },
	[NAME] = { ON_TOKEN(NAME, NOTHING), [CH_COLON] = { BEFORE, END_NAME } },
	[BEFORE] = { ON_TEXT(VALUE, BEGIN_VALUE), [CH_SPACE] = { BEFORE, NOTHING }, [CH_TAB] = { BEFORE, NOTHING },
	    [CH_CR] = { LINE_LF, END_EMPTY } },
	[VALUE] = { ON_TEXT(VALUE, NOTHING), [CH_SPACE] = { VALUE, NOTHING }, [CH_TAB] = { VALUE, NOTHING },
	    [CH_CR] = { LINE_LF, END_VALUE } },
	[END_LF] = { [CH_LF] = { DONE, END_HEAD } },
};

struct sp_bytes
http_span(struct sp_bytes head, struct http_span s)
{
	struct sp_reader r = sp_reader(head);
	(void)sp_rd_take(&r, s.at);
	return sp_rd_take(&r, s.len);
}

void
http_head_begin(struct http_head *h, enum http_kind kind, const struct http_limits *limits)
{
	*h = (struct http_head){ .kind = kind, .state = kind == HTTP_REQUEST ? METHOD_FIRST : STATUS_VERSION };
	if (limits != NULL)
		h->limits = *limits;
	if (h->limits.head == 0)
		h->limits.head = HTTP_HEAD_MAX;
	if (h->limits.line == 0)
		h->limits.line = HTTP_LINE_MAX;
}

static int
set_version(struct http_head *h, struct sp_bytes version)
{
	if (sp_bytes_is(version, "HTTP/1.1"))
		h->minor = 1;
	else if (!sp_bytes_is(version, "HTTP/1.0"))
		return HTTP_EVERSION;
	return 0;
}

static int
set_code(struct http_head *h, struct sp_bytes code)
{
	uint64_t n;
	if (code.len != 3 || !chars_decimal(code, &n) || n < 100 || n > 599)
		return HTTP_EBAD;
	h->status = (unsigned)n;
	return 0;
}

static struct http_span
trimmed(struct sp_bytes in, uint32_t from, uint32_t to)
{
	while (to > from && (in.p[to - 1] == ' ' || in.p[to - 1] == '\t'))
		to--;
	return (struct http_span){ from, to - from };
}

/* `at` is the offset of the byte that took the step. */
static int
perform(struct http_head *h, struct sp_bytes in, enum act act, uint32_t at)
{
	struct http_span span = { h->mark, at - h->mark };
	switch (act) {
	case NOTHING:
		return 0;
	case END_METHOD:
		h->method = span;
		break;
	case END_TARGET:
		h->target = span;
		break;
	case END_VERSION:
	case END_STATUS_VERSION:
		h->mark = at + 1;
		return set_version(h, http_span(in, span));
	case END_CODE:
		return set_code(h, http_span(in, span));
	case BEGIN_NAME:
	case BEGIN_VALUE:
		h->mark = at;
		return 0;
	case END_NAME:
		if (h->nfields == HTTP_FIELDS)
			return HTTP_ELONG;
		h->field[h->nfields++].name = span;
		break;
	case END_VALUE:
		h->field[h->nfields - 1].value = trimmed(in, h->mark, at);
		break;
	case END_EMPTY:
		h->field[h->nfields - 1].value = (struct http_span){ at, 0 };
		break;
	case END_LINE:
	case END_HEAD:
		h->line = at + 1;
		break;
	}
	h->mark = at + 1;
	return 0;
}

long
http_head_parse(struct http_head *h, struct sp_bytes in)
{
	while (h->scanned < in.len) {
		uint32_t at = h->scanned;
		if (at >= h->limits.head || at - h->line >= h->limits.line)
			return HTTP_ELONG;
		struct step s = table[h->state][chars_class[in.p[at]]];
		if (s.next == REFUSED)
			return HTTP_EBAD;
		int rc = perform(h, in, (enum act)s.act, at);
		if (rc < 0)
			return rc;
		h->state = s.next;
		h->scanned++;
		if (h->state == DONE) {
			rc = http_head_agree(h, (struct sp_bytes){ in.p, h->scanned });
			return rc < 0 ? rc : (long)h->scanned;
		}
	}
	return 0;
}
