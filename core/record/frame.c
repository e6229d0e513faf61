/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and their fields: written by workers, read by everybody, trusted by nobody. */
#include "frame.h"

static const char *const frame_names[] = {
	[0] = "none",
	[FRAME_HEADER] = "header",
	[FRAME_OPERATION] = "operation",
	[FRAME_VERDICT] = "verdict",
	[FRAME_COLUMNS] = "columns",
	[FRAME_ROWS] = "rows",
	[FRAME_OUTPUT] = "output",
	[FRAME_INPUT] = "input",
	[FRAME_NOTICE] = "notice",
	[FRAME_DONE] = "done",
	[FRAME_OWN] = "own",
	[FRAME_HELD] = "held",
	[FRAME_RESIZE] = "resize",
	[FRAME_CUT] = "cut",
	[FRAME_END] = "end",
	[FRAME_TORN] = "torn",
	[FRAME_WHY] = "why",
	[FRAME_GROUP] = "group",
	[FRAME_TOGETHER] = "together",
};
_Static_assert(sizeof(frame_names) / sizeof(*frame_names) == FRAMES, "a name per frame type");

const char *
frame_name(unsigned type)
{
	return type < FRAMES ? frame_names[type] : "unknown";
}

bool
frame_is_stream(unsigned type)
{
	return type == FRAME_ROWS || type == FRAME_OUTPUT || type == FRAME_INPUT;
}

void
frame_field_head(struct sp_writer *w, unsigned key, size_t len)
{
	if (len > FRAME_MAX) {
		w->bad = true;
		return;
	}
	sp_wr_u8(w, (uint8_t)key);
	sp_wr_be32(w, (uint32_t)len);
}

void
frame_field(struct sp_writer *w, enum frame_key key, struct sp_bytes value)
{
	frame_field_head(w, key, value.len);
	if (!w->bad)
		sp_wr_put(w, value);
}

void
frame_field_u64(struct sp_writer *w, enum frame_key key, uint64_t value)
{
	uint8_t b[8];
	struct sp_writer v = sp_writer(b, sizeof(b));
	sp_wr_be64(&v, value);
	frame_field(w, key, sp_written(&v));
}

bool
frame_field_u64_get(struct sp_bytes value, uint64_t *v_r)
{
	struct sp_reader r = sp_reader(value);
	*v_r = sp_rd_be64(&r);
	return sp_rd_done(&r);
}

static inline bool
next_field(struct sp_reader *r, unsigned *key_r, struct sp_bytes *value_r)
{
	*key_r = 0;
	*value_r = (struct sp_bytes){ NULL, 0 };
	if (r->bad || r->left == 0)
		return false;
	struct sp_reader head = sp_reader(sp_rd_take(r, 5));
	*key_r = sp_rd_u8(&head);
	*value_r = sp_rd_take(r, sp_rd_be32(&head));
	return !r->bad;
}

bool
frame_next_field(struct sp_reader *r, unsigned *key_r, struct sp_bytes *value_r)
{
	return next_field(r, key_r, value_r);
}

struct sp_bytes
frame_find(const struct frame *f, enum frame_key key)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned k;
	if (frame_is_stream(f->type))
		return (struct sp_bytes){ NULL, 0 };
	while (frame_next_field(&r, &k, &value))
		if (k == (unsigned)key)
			return value;
	return (struct sp_bytes){ NULL, 0 };
}

void
frame_encode_head(const struct frame *f, size_t payload, struct sp_writer *w)
{
	if (payload > FRAME_MAX - FRAME_HEAD) {
		w->bad = true;
		return;
	}
	uint8_t *at = sp_wr_room(w, FRAME_HEAD);
	struct sp_writer head = sp_writer(at, at == NULL ? 0 : FRAME_HEAD);
	sp_wr_be32(&head, (uint32_t)(FRAME_HEAD - 4 + payload));
	sp_wr_u8(&head, (uint8_t)f->type);
	sp_wr_u8(&head, f->flags);
	sp_wr_be16(&head, f->channel);
	sp_wr_be32(&head, f->op);
	sp_wr_be64(&head, f->at);
}

int
frame_encode(const struct frame *f, struct sp_writer *w)
{
	frame_encode_head(f, f->payload.len, w);
	sp_wr_put(w, f->payload);
	return w->bad ? SP_ETOOBIG : SP_OK;
}

int
frame_decode(struct sp_reader *r, struct frame *f_r)
{
	*f_r = (struct frame){ 0 };
	uint32_t len = sp_rd_be32(r);
	if (len < FRAME_HEAD - 4 || len > FRAME_MAX - 4)
		return SP_EPROTO;
	struct sp_reader body = sp_reader(sp_rd_take(r, len)), head = sp_reader(sp_rd_take(&body, FRAME_HEAD - 4));
	unsigned type = sp_rd_u8(&head);
	f_r->type = (enum frame_type)type;
	f_r->flags = sp_rd_u8(&head);
	f_r->channel = sp_rd_be16(&head);
	f_r->op = sp_rd_be32(&head);
	f_r->at = sp_rd_be64(&head);
	f_r->payload = sp_rd_rest(&body);
	if (r->bad || body.bad || type == 0 || type >= FRAMES)
		return SP_EPROTO;
	return SP_OK;
}

bool
frame_stands_together(unsigned type)
{
	return type != FRAME_HEADER && type != FRAME_CUT && type != FRAME_END && type != FRAME_TORN && type < FRAME_TOGETHER;
}

int
frames_next(struct frames_walk *w, struct frame *f_r)
{
	unsigned type;
	struct sp_bytes payload;
	if (w->together.left == 0) {
		if (w->in.left == 0)
			return 0;
		if (frame_decode(&w->in, f_r) != SP_OK)
			return SP_EPROTO;
		if (f_r->type != FRAME_TOGETHER)
			return 1;
		w->of = *f_r;
		w->together = sp_reader(f_r->payload);
		w->n = 0;
	}
	if (!next_field(&w->together, &type, &payload) || type == 0 || !frame_stands_together(type) || w->n++ == TOGETHER_MOST)
		return SP_EPROTO;
	*f_r = w->of;
	f_r->type = (enum frame_type)type;
	f_r->payload = payload;
	return 1;
}

/* A field is over: 1 when the row is too. */
static uint64_t
field_over(struct rows_walk *r)
{
	if (r->fields > 0 && --r->fields > 0)
		return 0;
	r->in_row = false;
	return 1;
}

/* A number is complete: how many fields, or how long a value is. */
static uint64_t
number_over(struct rows_walk *r)
{
	uint32_t n = r->number;
	r->number = r->digits = 0;
	if (!r->in_row) {
		r->in_row = true;
		r->fields = n;
		return n == 0 ? field_over(r) : 0;
	}
	r->value = n == FRAME_ROW_NULL ? 0 : n;
	return r->value == 0 ? field_over(r) : 0;
}

/* Bytes of the row that begins here; 0 when not all of it is here. */
static size_t
whole_row(struct sp_bytes b)
{
	struct sp_reader r = sp_reader(b);
	for (unsigned n = sp_rd_be16(&r); n > 0 && !r.bad; n--) {
		uint32_t len = sp_rd_be32(&r);
		if (len != FRAME_ROW_NULL)
			(void)sp_rd_take(&r, len);
	}
	return r.bad ? 0 : b.len - r.left;
}

uint64_t
rows_walk(struct rows_walk *r, struct sp_bytes b)
{
	struct sp_reader in = sp_reader(b);
	uint64_t rows = 0;
	while (in.left > 0) {
		size_t whole = r->in_row || r->digits > 0 ? 0 : whole_row((struct sp_bytes){ in.p, in.left });
		if (whole > 0) {
			(void)sp_rd_take(&in, whole);
			rows++;
			continue;
		}
		if (r->value > 0) {
			uint32_t n = r->value < in.left ? r->value : (uint32_t)in.left;
			(void)sp_rd_take(&in, n);
			r->value -= n;
			rows += r->value == 0 ? field_over(r) : 0;
			continue;
		}
		r->number = r->number << 8 | sp_rd_u8(&in);
		if (++r->digits == (r->in_row ? 4 : 2))
			rows += number_over(r);
	}
	return rows;
}

/* Whole fields, and bits of those it has. */
static inline int
look_through(const struct frame *f, uint64_t *has_r)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes value;
	uint64_t has = 0;
	unsigned key;
	*has_r = 0;
	while (next_field(&r, &key, &value)) {
		if (key == 0)
			return SP_EPROTO;
		has |= key > 63 ? 0 : UINT64_C(1) << key;
	}
	*has_r = has;
	return sp_rd_done(&r) ? SP_OK : SP_EPROTO;
}

_Static_assert(FRAME_NUMBER_MAX == INT64_MAX, "the highest bit tells");

/* The field that counts, if it has one. */
static bool
number_holds(const struct frame *f, enum frame_key key)
{
	struct sp_bytes value = frame_get(f, key);
	return !frame_may_have(f, key) || (value.len == 8 && value.p[0] < 0x80);
}

int
frame_note(struct frame *f)
{
	const uint64_t numbers = UINT64_C(1) << KEY_STARTED | UINT64_C(1) << KEY_ROWS | UINT64_C(1) << KEY_BYTES;
	uint64_t has;
	f->lacks = 0;
	if (f->at > FRAME_NUMBER_MAX)
		return SP_EPROTO;
	if (frame_is_stream(f->type))
		return SP_OK;
	if (look_through(f, &has) != SP_OK)
		return SP_EPROTO;
	f->lacks = ~has;
	if ((has & numbers) == 0) /* most have none */
		return SP_OK;
	return number_holds(f, KEY_STARTED) && number_holds(f, KEY_ROWS) && number_holds(f, KEY_BYTES) ? SP_OK : SP_EPROTO;
}

int
frame_check(const struct frame *f)
{
	uint64_t has;
	return frame_is_stream(f->type) ? SP_OK : look_through(f, &has);
}
