/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording's frames in their order.
 *
 * A sealed recording has two blocks for each moment, a clear one and a sealed one behind it.  With
 * the auditor's key both are opened and merged by time; without, only the clear one is read.
 */
#include <config.h>

#include "recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "block.h"

struct lane { /* the frames of one block */
	struct buffer plain;
	struct frames_walk left;
	uint32_t number, last; /* of the next frame; of the block's last */
	struct frame head;     /* the next frame */
	uint32_t halves;       /* operations' clear halves that are still to come of the block, up to all */
	bool there;
};

struct place { /* fields that are there once */
	struct buffer fields;
	uint32_t op;  /* that wrote them */
	bool written;
	bool half;    /* … those of its clear half, or of the sealed one */
};

struct recording {
	int fd;
	struct block_file file;
	struct unseal *unseal;
	struct lane lane[2]; /* clear, sealed */
	struct place place[2][RECORD_PLACES]; /* of frames in the clear, of sealed halves */
	struct buffer whole; /* the payload that was handed out last, when it has to do with a place */
	struct block ahead;  /* read, and not opened: its lane is still busy */
	bool has_ahead, at_end, sealed;
	bool opened;         /* what is handed out took something from a sealed place */
	bool half;           /* an operation's clear half was handed out, and its sealed one was not */
	char text[320];
};

static int
fail(struct recording *r, const char *text, const char **err_r)
{
	if (text != r->text)
		(void)snprintf(r->text, sizeof(r->text), "%s", text);
	*err_r = r->text;
	return SP_EPROTO;
}

int
recording_open(int fd, const uint8_t *auditor, struct recording **r_r, const char **err_r)
{
	static char text[256];
	struct recording *r = mem_alloc(sizeof(*r));
	*r = (struct recording){ .fd = fd };
	*r_r = NULL;
	*err_r = NULL;
	if (block_file_open(&r->file, fd, NULL) != SP_OK) {
		(void)snprintf(text, sizeof(text), "%s", r->file.text);
		*err_r = text;
		recording_close(&r);
		return SP_EPROTO;
	}
	for (unsigned i = 0; i < 2; i++)
		r->lane[i].plain.max = BLOCK_PLAIN_MAX;
	if (auditor != NULL)
		r->unseal = unseal_new(auditor, r->file.session);
	*r_r = r;
	return SP_OK;
}

void
recording_close(struct recording **r)
{
	if (*r == NULL)
		return;
	for (unsigned i = 0; i < 2; i++)
		buffer_free(&(*r)->lane[i].plain);
	for (unsigned i = 0; i < RECORD_PLACES; i++) {
		buffer_free(&(*r)->place[0][i].fields);
		buffer_free(&(*r)->place[1][i].fields);
	}
	buffer_free(&(*r)->whole);
	block_file_close(&(*r)->file);
	unseal_free(&(*r)->unseal);
	close((*r)->fd);
	free(*r);
	*r = NULL;
}

bool
recording_more(struct recording *r)
{
	bool more = block_file_grow(&r->file);
	r->at_end = r->at_end && !more;
	return more;
}

bool
recording_sealed(const struct recording *r)
{
	return r->sealed;
}

/* The lane's next frame into its head. */
static int
lane_step(struct recording *r, struct lane *l, const char **err_r)
{
	l->there = false;
	int rc = frames_next(&l->left, &l->head);
	if (rc == 0 && l->number > l->last)
		return SP_OK;
	if (rc != 1 || l->number > l->last || frame_check(&l->head) != SP_OK) {
		(void)snprintf(r->text, sizeof(r->text), "frame %u, in the block at byte %llu, is malformed", l->number,
		    (unsigned long long)r->file.from);
		return fail(r, r->text, err_r);
	}
	l->head.number = l->number++;
	l->there = true;
	return SP_OK;
}

static bool
is_half(const struct frame *f, uint8_t flag)
{
	return f->type == FRAME_OPERATION && f->flags == flag;
}

static uint32_t
count_halves(struct frames_walk all)
{
	struct frame f;
	uint32_t n = 0;
	while (frames_next(&all, &f) == 1)
		n += is_half(&f, FRAME_HALF);
	return n;
}

static int
lane_open(struct recording *r, const struct block *b, const char **err_r)
{
	struct lane *l = &r->lane[(b->flags & BLOCK_SEALED) != 0];
	int rc = block_plain(b, r->unseal, r->file.session, &l->plain);
	if (rc != SP_OK) {
		(void)snprintf(r->text, sizeof(r->text), "block %u, frames %u–%u, at byte %llu: %s", b->number, b->first,
		    b->first + b->frames - 1, (unsigned long long)r->file.from,
		    rc == SP_EDENIED ? "sealed to another key" : "its content cannot be unpacked");
		return fail(r, r->text, err_r);
	}
	l->left = (struct frames_walk){ .in = sp_reader(buffer_bytes(&l->plain)) };
	l->halves = l == &r->lane[0] && r->unseal != NULL ? count_halves(l->left) : 0;
	r->half = l == &r->lane[0] ? false : r->half;
	l->number = b->first;
	l->last = b->first + b->frames - 1;
	return lane_step(r, l, err_r);
}

/* The next block that we can open, into r->ahead. */
static int
look_ahead(struct recording *r, const char **err_r)
{
	while (!r->has_ahead && !r->at_end) {
		int rc = block_file_next(&r->file, &r->ahead);
		if (rc < 0)
			return fail(r, r->file.text, err_r);
		r->at_end = rc == 0;
		if (rc == 1 && (r->ahead.flags & BLOCK_SEALED) != 0)
			r->sealed = true;
		r->has_ahead = rc == 1 && ((r->ahead.flags & BLOCK_SEALED) == 0 || r->unseal != NULL);
	}
	return SP_OK;
}

/*
 * Lanes are filled when both are empty, and the sealed one also while a clear block waits: the
 * sealed half of a moment comes right behind the clear one.
 */
static int
refill(struct recording *r, const char **err_r)
{
	int rc = look_ahead(r, err_r);
	if (rc == SP_OK && !r->lane[0].there && !r->lane[1].there && r->has_ahead) {
		r->has_ahead = false;
		rc = lane_open(r, &r->ahead, err_r);
		if (rc == SP_OK && r->unseal != NULL)
			rc = look_ahead(r, err_r);
	}
	if (rc == SP_OK && r->has_ahead && (r->ahead.flags & BLOCK_SEALED) != 0 && !r->lane[1].there) {
		r->has_ahead = false;
		rc = lane_open(r, &r->ahead, err_r);
	}
	return rc;
}

static bool
before(const struct frame *a, const struct frame *b)
{
	if (a->at != b->at)
		return a->at < b->at;
	if (a->op != b->op)
		return a->op < b->op;
	return a->type < b->type;
}

/*
 * By time, and between one operation and the next: of all that is of one moment, numbers do not tell what came first, and what a
 * place has is known by what stands in front.
 */
static struct lane *
next_lane(struct recording *r)
{
	struct lane *clear = &r->lane[0], *sealed = &r->lane[1];
	if (!clear->there || !sealed->there)
		return clear->there ? clear : sealed;
	const bool part = is_half(&sealed->head, FRAME_PART);
	if (is_half(&clear->head, FRAME_HALF))
		return part && !r->half ? clear : sealed;
	if (part && (r->half || clear->halves > 0))
		return r->half ? sealed : clear;
	return before(&sealed->head, &clear->head) ? sealed : clear;
}

static void
hand_out(struct recording *r, struct lane *l, struct frame *f_r)
{
	*f_r = l->head;
	l->head.type = (enum frame_type)0;
	if (l == &r->lane[0] && is_half(f_r, FRAME_HALF)) {
		l->halves -= l->halves > 0;
		r->half = true;
	} else if (l == &r->lane[1] && is_half(f_r, FRAME_PART)) {
		r->half = false;
	}
}

/* ---- what is there once ---- */

/* What is written in the clear is no longer in two halves: nothing of a former sealed one goes with it. */
static int
keep(struct recording *r, const struct frame *f, unsigned which, struct sp_bytes fields)
{
	if (which >= RECORD_PLACES)
		return SP_OK;
	struct place *p = &r->place[(f->flags & FRAME_PART) != 0][which];
	buffer_drop(&p->fields, p->fields.len);
	p->op = f->op;
	p->half = f->flags != 0;
	p->written = fields.len <= RECORD_KEPT_MAX;
	if (!p->half)
		r->place[1][which].written = false;
	return p->written ? buffer_put(&p->fields, fields) : SP_OK;
}

static bool
serves(const struct place *p, const struct frame *f)
{
	return p->written && frame_place_serves(p->op, f->op);
}

static bool
put_place(const struct place *p, const struct frame *f, struct sp_writer *w)
{
	bool there = serves(p, f);
	if (there)
		sp_wr_put(w, buffer_bytes(&p->fields));
	return there;
}

/* … of which only one half is asked for. */
static void
put_half(const struct place *p, bool open, struct sp_writer *w)
{
	struct sp_reader in = sp_reader(buffer_bytes(&p->fields));
	struct sp_bytes value;
	unsigned key;
	while (frame_next_field(&in, &key, &value))
		if (frame_key_is_open(key) == open)
			frame_field(w, (enum frame_key)key, value);
}

/* Where sealing was switched on or off since a place was written, each half has its own of it, and a frame in one piece has both. */
static bool
put_fields(struct recording *r, const struct frame *f, unsigned which, struct sp_writer *w)
{
	if (which >= RECORD_PLACES)
		return false;
	const struct place *clear = &r->place[0][which], *sealed = &r->place[1][which];
	const bool part = (f->flags & FRAME_PART) != 0, whole = serves(clear, f) && !clear->half;
	if (whole && f->flags != 0) {
		put_half(clear, !part, w);
		return true;
	}
	if (f->flags != 0)
		return put_place(part ? sealed : clear, f, w);
	r->opened = !whole;
	return put_place(clear, f, w) && (whole || (sealed->op == clear->op && put_place(sealed, f, w)));
}

/*
 * All fields, and the first KEY_KEPT or KEY_AS is heeded.  What a place does not have is said to be missing, where it would stand: nobody
 * makes the rest of a recording unreadable by naming it.
 */
static int
described(struct recording *r, const struct frame *f, struct sp_writer *w)
{
	struct sp_reader in = sp_reader(f->payload);
	struct sp_bytes value;
	unsigned key, named = 0;
	int rc = SP_OK;
	while (rc == SP_OK && !w->bad && frame_next_field(&in, &key, &value)) {
		if (key != KEY_KEPT && key != KEY_AS)
			frame_field(w, (enum frame_key)key, value);
		else if (named++ > 0)
			continue;
		else if (key == KEY_KEPT)
			rc = keep(r, f, frame_place(value), sp_written(w));
		else if (!put_fields(r, f, frame_place(value), w))
			frame_field(w, KEY_ATTRIBUTE, SP_LIT("0:" RECORD_CUT "="));
	}
	return w->bad ? SP_ENOMEM : rc;
}

static bool
names_place(const struct frame *f)
{
	return f->type == FRAME_OPERATION && (frame_get(f, KEY_AS).p != NULL || frame_get(f, KEY_KEPT).p != NULL);
}

/* An operation with all that is its own, wherever that stands. */
static int
describe(struct recording *r, struct frame *f, const char **err_r)
{
	buffer_drop(&r->whole, r->whole.len);
	r->opened = false;
	struct sp_writer w = buffer_writer(&r->whole);
	int rc = described(r, f, &w);
	if (rc == SP_OK)
		rc = buffer_written(&r->whole, &w);
	f->payload = buffer_bytes(&r->whole);
	f->opened = r->opened;
	return rc == SP_OK ? 1 : fail(r, "out of memory", err_r);
}

int
recording_next(struct recording *r, struct frame *f_r, const char **err_r)
{
	struct lane *clear = &r->lane[0], *sealed = &r->lane[1];
	*f_r = (struct frame){ 0 };
	*err_r = NULL;
	/* What was handed out last is borrowed until now: only here may its lane move on. */
	for (unsigned i = 0; i < 2; i++)
		if (r->lane[i].there && r->lane[i].head.type == 0 && lane_step(r, &r->lane[i], err_r) != SP_OK)
			return SP_EPROTO;
	if (!clear->there && !sealed->there && refill(r, err_r) != SP_OK)
		return SP_EPROTO;
	if (!clear->there && !sealed->there)
		return 0;
	hand_out(r, next_lane(r), f_r);
	return names_place(f_r) ? describe(r, f_r, err_r) : 1;
}
