/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SFTP channel: every request that names a file is an operation, every file that is open is known.
 *
 *   client ─ packet ─▶ request ─▶ operation ─ verdict ─▶ written anew, with the path that was judged ─▶ target
 *   client ◀─ packet ─ a reply to a request that is out, its size and hash taken ◀──────────────────── target
 *
 * One request is judged at a time; behind one that is held the client waits.  Paths are made absolute
 * (the gateway asks the target for the login's folder first) and clean; where links lead the gateway asks
 * the target, too (look_up()), rules see both names, and the request goes on with the one that has no links.
 * After a hold it asks once more, and other names than those that were approved are refused.  What the target does not
 * find it can only create.  All that is worth what the target's REALPATH is: one that follows no links protects from none.
 * Size and SHA-256 of contents are recorded, contents themselves where `contents` names the file.  Where a rule asks, contents are
 * looked through: what is read (masked.h), and what is recorded of what is written.
 */
#include "ssh.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

#include "masked.h"
#include "sftp.h"

#define FILES 128    /* open at once */
#define REQUESTED 512 /* sent and not answered */

enum { WANT_INIT, WANT_VERSION, WANT_HOME, RUNNING };

struct file {
	bool used, listing;
	bool whole;   /* every byte came in order, so that the hash is the file's */
	bool closing; /* the target was told: its handle may mean another file by the time that a request gets there */
	uint8_t handle[SFTP_HANDLE_MAX];
	size_t handle_len;
	struct sp_op *op;
	char *path, *real; /* real: as the target resolved it; NULL: the same */
	bool kept;         /* its contents are recorded */
	uint64_t up, down, next;
	struct sha256_ctx hash;
	struct masked *masked;        /* what is read of it; NULL: as it is */
	struct sp_filter *unrecorded; /* looks through what is recorded of what is written; NULL: nothing does */
};

struct requested {
	bool used;
	uint32_t id;
	uint8_t type;
	struct sp_op *op;    /* what it carries out; NULL: of an open file */
	struct file *file;
	uint64_t offset;
	bool ours;           /* nobody but look_up() asked for it */
	char *path, *real;   /* what is opened */
};

/* The names of the request that is under way, without links; in the order in which they are judged. */
struct looking {
	bool begun, out;     /* out: the target is asked */
	unsigned n;          /* known */
	char *real[2];       /* NULL: as it was */
	char *last;          /* the part that is not followed; NULL: all is */
	char *to;            /* where a new link will lead, nothing of it taken out; NULL: not asked */
	bool climbs;         /* and only the target could say where that is */
	bool may_be_new, parent; /* a file that is to be created, and that a target did not find: its folder counts */
	uint32_t status;     /* why there is none */
};

struct sftp {
	int state;
	struct pending in[2], out[2]; /* by side: packets to be looked at, and packets for it */
	struct file file[FILES];
	struct requested requested[REQUESTED];
	unsigned nrequested;
	struct sp_op *asked;
	struct looking look, approved; /* approved: before it was held */
	bool held;
	bool reading; /* of a masked file: the client's request waits for what the target has */
	uint8_t home[SFTP_PATH_MAX];
	size_t home_len;
	uint8_t version[1024]; /* what the client will be told */
	size_t version_len;
};

int
sftp_put_path(struct sp_op *op, unsigned attr, struct sp_bytes path)
{
	uint8_t space[SFTP_PATH_MAX];
	struct sp_bytes clean = sftp_clean_path((struct sp_bytes){ NULL, 0 }, path, space);
	if (clean.len == 0)
		return SP_EPROTO;
	if (path.len > 0 && path.p[0] != '/') { /* relative to what only the target knows */
		clean.p++;
		clean.len--;
	}
	return attr == A_PATH ? sp_op_add(op, attr, clean) : sp_op_str(op, attr, clean);
}

/* ---- memory ---- */

static int
bytes_grow(struct sp_writer *w, size_t more)
{
	size_t cap = w->cap == 0 ? 4096 : w->cap;
	if (more > 2 * SFTP_PACKET_MAX || w->len > 4 * SFTP_PACKET_MAX)
		return SP_ETOOBIG;
	while (cap - w->len < more)
		cap *= 2;
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL)
		return SP_ENOMEM;
	w->p = p;
	w->cap = cap;
	return SP_OK;
}

static struct sp_writer
bytes_writer(struct pending *b)
{
	if (b->at > 0) {
		memmove(b->p, b->p + b->at, b->len - b->at);
		b->len -= b->at;
		b->at = 0;
	}
	return (struct sp_writer){ .p = b->p, .len = b->len, .cap = b->cap, .grow = bytes_grow };
}

static int
bytes_written(struct pending *b, const struct sp_writer *w)
{
	b->p = w->p;
	b->cap = w->cap;
	if (w->bad)
		return SP_ETOOBIG;
	b->len = w->len;
	return SP_OK;
}

static void
bytes_drop(struct pending *b, size_t n)
{
	b->at += n;
	if (b->at < b->len)
		return;
	b->at = b->len = 0;
	if (b->cap > CHUNK) {
		free(b->p);
		*b = (struct pending){ .p = NULL };
	}
}

static void
file_free(struct file *f)
{
	sp_op_free(&f->op);
	free(f->path);
	free(f->real);
	masked_free(&f->masked);
	sp_filter_free(&f->unrecorded);
	*f = (struct file){ .used = false };
}

static void
look_forget(struct looking *l)
{
	free(l->real[0]);
	free(l->real[1]);
	free(l->last);
	free(l->to);
	*l = (struct looking){ .begun = false };
}

static void
look_end(struct sftp *f)
{
	look_forget(&f->look);
	look_forget(&f->approved);
	f->held = false;
}

void
sftp_free(struct sftp **sftp)
{
	struct sftp *f = *sftp;
	*sftp = NULL;
	if (f == NULL)
		return;
	for (unsigned i = 0; i < FILES; i++)
		file_free(&f->file[i]);
	for (unsigned i = 0; i < REQUESTED; i++) {
		sp_op_free(&f->requested[i].op);
		free(f->requested[i].path);
		free(f->requested[i].real);
	}
	for (unsigned i = 0; i < 2; i++) {
		free(f->in[i].p);
		free(f->out[i].p);
	}
	sp_op_free(&f->asked);
	look_end(f);
	free(f);
}

int
sftp_begin(struct channel *c)
{
	c->sftp = calloc(1, sizeof(*c->sftp));
	return c->sftp == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- files and requests ---- */

static struct file *
file_find(struct sftp *f, struct sp_bytes handle)
{
	for (unsigned i = 0; i < FILES; i++)
		if (f->file[i].used && sp_bytes_eq((struct sp_bytes){ f->file[i].handle, f->file[i].handle_len }, handle))
			return &f->file[i];
	return NULL;
}

/* For a request of the client's: what is being closed is gone. */
static struct file *
file_open(struct sftp *f, struct sp_bytes handle)
{
	struct file *file = file_find(f, handle);
	return file == NULL || file->closing ? NULL : file;
}

static struct requested *
requested_find(struct sftp *f, uint32_t id)
{
	for (unsigned i = 0; i < REQUESTED; i++)
		if (f->requested[i].used && f->requested[i].id == id)
			return &f->requested[i];
	return NULL;
}

static struct requested *
requested_add(struct sftp *f, const struct sftp_request *q)
{
	for (unsigned i = 0; i < REQUESTED; i++) {
		if (f->requested[i].used)
			continue;
		f->requested[i] = (struct requested){ .used = true, .id = q->id, .type = q->type, .offset = q->offset };
		f->nrequested++;
		return &f->requested[i];
	}
	return NULL;
}

static void
requested_drop(struct sftp *f, struct requested *r)
{
	sp_op_free(&r->op);
	free(r->path);
	free(r->real);
	*r = (struct requested){ .used = false };
	f->nrequested--;
}

static int
done(struct sp_op *op, uint32_t status, const char *text)
{
	char error[32] = "";
	if (status != FX_OK && status != FX_EOF)
		snprintf(error, sizeof(error), "status %u", status);
	const struct sp_outcome o = { .rows = 0, .error = error, .text = text };
	return sp_done(op, &o);
}

static void
print_hash(const struct sha256_ctx *hash, bool whole, char print[80])
{
	static const char hex[] = "0123456789abcdef";
	struct sha256_ctx h = *hash;
	uint8_t sum[SHA256_DIGEST_SIZE];
	sha256_digest(&h, sizeof(sum), sum);
	snprintf(print, 80, "unknown: not read or written in one go");
	for (size_t i = 0; whole && i < sizeof(sum); i++)
		snprintf(print + 2 * i, 3, "%c%c", hex[sum[i] >> 4], hex[sum[i] & 15]);
}

/* What was written goes into the recording as detectors leave it: in one go, or what is out of order is left out of it. */
static int
record_written(struct file *f, const struct channel *c, struct sp_bytes data, bool last)
{
	struct pending out = { .p = NULL };
	struct sp_writer w = bytes_writer(&out);
	int rc = sp_filter_feed(f->unrecorded, data, last, &w);
	if (rc == SP_OK && w.len > 0)
		rc = sp_record(c->s, f->op, SP_REC_INPUT, sp_written(&w));
	free(w.p);
	return rc;
}

/* A file is closed: what went through it is said once, and recorded. */
static int
file_close(const struct channel *c, struct file *f)
{
	char text[320], print[80], theirs[80] = "";
	int rc = f->unrecorded != NULL && f->up > 0 && f->op != NULL ? record_written(f, c, (struct sp_bytes){ NULL, 0 }, true) : SP_OK;
	print_hash(&f->hash, f->whole, print);
	if (f->masked != NULL)
		print_hash(&f->masked->theirs, f->whole && f->up == 0, theirs);
	snprintf(text, sizeof(text), "%s of %llu bytes, sha256 %s%s%s", f->up > 0 ? "upload" : "download",
	    (unsigned long long)(f->up > 0 ? f->up : f->down), print, f->masked == NULL ? "" : " as sent, looked through; the target's ", theirs);
	if (rc == SP_OK && f->op != NULL)
		rc = done(f->op, FX_OK, f->listing ? "list" : text);
	file_free(f);
	return rc;
}

/* From or to this side; recorded in the order in which it came, wherever in the file it belongs. */
static int
file_flow(const struct channel *c, struct file *f, struct sp_bytes data, uint64_t offset, enum sp_side from)
{
	f->whole = f->whole && offset == f->next;
	if (f->whole)
		sha256_update(&f->hash, data.len, data.p);
	f->next = offset + data.len;
	*(from == SP_CLIENT ? &f->up : &f->down) += data.len;
	if (!f->kept)
		return SP_OK;
	if (from == SP_CLIENT && f->unrecorded != NULL)
		return f->whole ? record_written(f, c, data, false) : SP_OK;
	return sp_record(c->s, f->op, from == SP_CLIENT ? SP_REC_INPUT : SP_REC_OUTPUT, data);
}

/* ---- to the client ---- */

static int
answer(struct sftp *f, uint32_t id, uint32_t status, const char *text)
{
	struct sp_writer w = bytes_writer(&f->out[SP_CLIENT]);
	sftp_write_status(&w, id, status, text);
	return bytes_written(&f->out[SP_CLIENT], &w);
}

static int
pass_reply(struct sftp *f, struct sp_bytes packet)
{
	struct sp_writer w = bytes_writer(&f->out[SP_CLIENT]);
	sp_wr_put(&w, packet); /* the parse accounted for every byte of it, or its rest means nothing to us */
	return bytes_written(&f->out[SP_CLIENT], &w);
}

/* ---- to the target ---- */

static int
pass_request(struct sftp *f, const struct sftp_request *q, struct sp_bytes path, struct sp_bytes to)
{
	struct sp_writer w = bytes_writer(&f->out[SP_TARGET]);
	sftp_write_request(&w, q, path, to);
	return bytes_written(&f->out[SP_TARGET], &w);
}

struct paths { /* as they go to the target, and as they are judged */
	uint8_t path_space[SFTP_PATH_MAX], to_space[SFTP_PATH_MAX];
	struct sp_bytes path, to;       /* in the order of the wire */
	struct sp_bytes judged[2];
};

static struct sp_bytes
folder_of(struct sp_bytes path)
{
	while (path.len > 1 && path.p[path.len - 1] != '/')
		path.len--;
	return path;
}

static bool
clean_paths(const struct sftp *f, const struct sftp_request *q, struct paths *p)
{
	struct sp_bytes home = { f->home, f->home_len };
	if (q->type == FXP_SYMLINK) { /* what a link holds stays as it is; judged is where it leads from its folder */
		p->to = p->judged[0] = sftp_clean_path(home, q->to, p->to_space);
		p->path = q->path;
		p->judged[1] = sftp_clean_path(folder_of(p->to), q->path, p->path_space);
		return p->judged[0].len > 0 && p->judged[1].len > 0 && q->path.len < SFTP_PATH_MAX;
	}
	p->path = p->judged[0] = sftp_clean_path(home, q->path, p->path_space);
	bool two = q->to.p != NULL;
	p->to = p->judged[1] = two ? sftp_clean_path(home, q->to, p->to_space) : (struct sp_bytes){ NULL, 0 };
	return p->path.len > 0 && (!two || p->to.len > 0);
}

/* "rename /a", newline, "/b"; and behind a newline and "= " each of them that the target knows under another name. */
static struct sp_bytes
operation_text(const struct sftp *f, const struct sftp_request *q, const struct paths *p, uint8_t *space, size_t max)
{
	struct sp_writer w = sp_writer(space, max);
	sp_wr_put(&w, sp_str(q->operation));
	sp_wr_u8(&w, ' ');
	sftp_write_name(&w, p->judged[0]);
	if (p->judged[1].len > 0) {
		sp_wr_u8(&w, '\n');
		sftp_write_name(&w, p->judged[1]);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (f->look.real[i] == NULL)
			continue;
		sp_wr_put(&w, SP_LIT("\n= "));
		sftp_write_name(&w, sp_str(f->look.real[i]));
	}
	return sp_written(&w);
}

static int
ask(struct channel *c, const struct sftp_request *q, const struct paths *p)
{
	static uint8_t space[8 * SFTP_PATH_MAX + 64];
	struct sftp *f = c->sftp;
	f->asked = sp_op_new(c->s, c->number, "ssh.sftp", operation_text(f, q, p, space, sizeof(space)));
	if (f->asked == NULL)
		return SP_ENOMEM;
	sp_op_set_cookie(f->asked, c);
	int rc = q->attributes.len > 4 ? sp_op_param(f->asked, 0, q->type, 0, false, q->attributes) : SP_OK;
	c->decided = false;
	c->what = SP_DENY;
	return rc == SP_OK ? sp_ask(f->asked) : rc;
}

static int
begin(struct channel *c, const struct sftp_request *q)
{
	struct sftp *f = c->sftp;
	struct sftp_request init = { .type = FXP_INIT, .id = 3 };
	if (q->type != FXP_INIT || q->id < 3)
		return ssh_fail(c->s, SP_EPROTO, "the client's SFTP does not begin with version 3");
	f->state = WANT_VERSION;
	return pass_request(f, &init, (struct sp_bytes){ NULL, 0 }, (struct sp_bytes){ NULL, 0 });
}

/* A number for a request of the gateway's own, which the client has not used, and does not wait with. */
static uint32_t
own_id(struct sftp *f, uint32_t waits)
{
	uint32_t id = UINT32_MAX;
	while (id == waits || requested_find(f, id) != NULL)
		id--;
	return id;
}

/* ---- files that are looked through ---- */

static int
masked_ask(struct sftp *f, struct file *file, uint32_t waits)
{
	const struct sftp_request q = { .type = FXP_READ, .id = own_id(f, waits), .handle = { file->handle, file->handle_len },
		.offset = file->masked->asked, .length = MASKED_READ };
	if (file->masked->waiting)
		return SP_OK;
	struct requested *r = requested_add(f, &q);
	r->ours = true;
	r->file = file;
	file->masked->waiting = true;
	return pass_request(f, &q, (struct sp_bytes){ NULL, 0 }, (struct sp_bytes){ NULL, 0 });
}

static int
masked_request(struct channel *c, struct file *file, const struct sftp_request *q, bool *taken_r)
{
	static const char order[] = "this file is looked through on its way: it can be read once, from its beginning to its end";
	struct sftp *f = c->sftp;
	struct sp_bytes data;
	enum masked_answer what = masked_read(file->masked, q->offset, q->length, &data);
	f->reading = what == MASKED_WAIT;
	*taken_r = !f->reading;
	if (what == MASKED_WAIT)
		return masked_ask(f, file, q->id);
	if (what != MASKED_DATA)
		return answer(f, q->id, what == MASKED_END ? FX_EOF : what == MASKED_FAILED ? file->masked->status : FX_OP_UNSUPPORTED,
		    what == MASKED_REFUSED ? order : "");
	int rc = file_flow(c, file, data, q->offset, SP_TARGET);
	if (rc != SP_OK)
		return rc;
	struct sp_writer w = bytes_writer(&f->out[SP_CLIENT]);
	sftp_write_data(&w, q->id, data);
	masked_given(file->masked, data.len);
	return bytes_written(&f->out[SP_CLIENT], &w);
}

static int
masked_reply(struct channel *c, const struct requested *r, const struct sftp_reply *y)
{
	const bool data = y->type == FXP_DATA;
	if (r->file == NULL)
		return SP_OK; /* it is closed */
	if ((data && (y->data.len == 0 || y->data.len > MASKED_READ)) || (!data && (y->type != FXP_STATUS || y->status == FX_OK)))
		return ssh_fail(c->s, SP_EPROTO, "the target's answer to a read is none");
	return masked_take(r->file->masked, data ? y->data : (struct sp_bytes){ NULL, 0 }, data || y->status == FX_EOF ? FX_OK : y->status);
}

/* A request on an open file: its own, or none. */
static int
pass_handle(struct channel *c, const struct sftp_request *q, bool *taken_r)
{
	struct sftp *f = c->sftp;
	struct file *file = file_open(f, q->handle);
	if (file == NULL)
		return answer(f, q->id, FX_FAILURE, "no such file is open here");
	if (q->type == FXP_READ && file->masked != NULL)
		return masked_request(c, file, q, taken_r);
	struct requested *r = requested_add(f, q);
	r->file = file;
	file->closing = q->type == FXP_CLOSE;
	int rc = q->type == FXP_WRITE ? file_flow(c, file, q->data, q->offset, SP_CLIENT) : SP_OK;
	return rc == SP_OK ? pass_request(f, q, (struct sp_bytes){ NULL, 0 }, (struct sp_bytes){ NULL, 0 }) : rc;
}

/* ---- links ---- */

/* Asks the target what this is without links: all of it, or all but its last part. */
static int
look_ask(struct sftp *f, uint32_t waits, struct sp_bytes path, bool follow)
{
	struct sftp_request q = { .type = FXP_REALPATH, .id = own_id(f, waits) };
	struct sp_bytes folder = follow ? path : folder_of(path);
	if (!follow) {
		f->look.last = strndup((const char *)path.p + folder.len, path.len - folder.len);
		if (f->look.last == NULL)
			return SP_ENOMEM;
		folder.len -= folder.len > 1;
	}
	requested_add(f, &q)->ours = true;
	f->look.out = true;
	return pass_request(f, &q, folder, (struct sp_bytes){ NULL, 0 });
}

/* A ".." behind a name that may be a link's. */
static bool
climbs(struct sp_bytes path)
{
	struct sp_reader r = sp_reader(path);
	bool named = false;
	while (r.left > 0) {
		const uint8_t *slash = memchr(r.p, '/', r.left);
		struct sp_bytes part = sp_rd_take(&r, slash == NULL ? r.left : (size_t)(slash - r.p));
		(void)sp_rd_take(&r, slash != NULL);
		bool up = sp_bytes_is(part, "..");
		if (up && named)
			return true;
		named = named || !(up || part.len == 0 || sp_bytes_is(part, "."));
	}
	return false;
}

/* Asks where a link will lead that is to be made: its content as it is, from the folder where it will be. */
static int
look_ask_link(struct sftp *f, const struct sftp_request *q)
{
	static uint8_t space[2 * SFTP_PATH_MAX];
	struct looking *l = &f->look;
	struct sp_writer w = sp_writer(space, sizeof(space));
	if (q->path.len == 0 || q->path.p[0] != '/')
		sp_wr_put(&w, folder_of(sp_str(l->real[0])));
	sp_wr_put(&w, q->path);
	l->climbs = climbs(q->path);
	l->to = strndup((const char *)space, w.len);
	return l->to == NULL ? SP_ENOMEM : look_ask(f, q->id, sp_str(l->to), true);
}

/* False: the target has not said everything yet. */
static int
look_up(struct sftp *f, const struct sftp_request *q, const struct paths *p, bool *ready_r)
{
	f->look.begun = true;
	f->look.may_be_new = q->type == FXP_OPEN && (q->flags & FXF_CREAT) != 0 && !f->look.parent;
	*ready_r = !f->look.out && (f->look.n == strlen(q->links) || f->look.status != FX_OK);
	if (*ready_r || f->look.out)
		return SP_OK;
	if (q->type == FXP_SYMLINK && f->look.n == 1)
		return look_ask_link(f, q);
	return look_ask(f, q->id, p->judged[f->look.n], q->links[f->look.n] != 'l' && !f->look.parent);
}

static int
look_known(struct looking *l, struct sp_bytes real)
{
	l->real[l->n] = strndup((const char *)real.p, real.len);
	free(l->last);
	l->last = NULL;
	return l->real[l->n++] == NULL ? SP_ENOMEM : SP_OK;
}

/* What it said.  There is no such file: said to the client if rules would have let it look, else they have the word. */
static int
looked(struct channel *c, const struct sftp_reply *y)
{
	static uint8_t space[SFTP_PATH_MAX];
	const struct sp_bytes none = { NULL, 0 };
	struct looking *l = &c->sftp->look;
	l->out = false;
	if (y->type == FXP_STATUS && y->status != FX_OK) {
		bool nowhere = l->to != NULL && !l->climbs && y->status == FX_NO_SUCH_FILE; /* as a link may */
		struct sp_bytes words = nowhere ? sftp_clean_path(none, sp_str(l->to), space) : none;
		if (words.len > 0)
			return look_known(l, words);
		if (l->may_be_new && y->status == FX_NO_SUCH_FILE)
			l->parent = true; /* sshd says where it would be, if not too many links lead there; others say that there is none */
		else
			l->status = y->status;
		return SP_OK;
	}
	struct sp_bytes name = y->type == FXP_NAME ? y->name : none;
	struct sp_bytes real = name.len == 0 || name.p[0] != '/' || memchr(name.p, 0, name.len) != NULL ? none
	    : l->last == NULL ? sftp_clean_path(none, name, space) : sftp_clean_path(name, sp_str(l->last), space);
	if (real.len == 0)
		return ssh_fail(c->s, SP_EPROTO, "the target does not say where a path leads");
	return look_known(l, real);
}

/* Those that were no links need no second name; the request goes on with the others' own. */
static void
use_names(struct sftp *f, const struct sftp_request *q, struct paths *p)
{
	for (unsigned i = 0; i < 2; i++) {
		char **real = &f->look.real[i];
		if (*real != NULL && sp_bytes_is(p->judged[i], *real)) {
			free(*real);
			*real = NULL;
		}
		if (*real != NULL && q->links[0] != '\0' && q->links[i] != 'F')
			*((q->type == FXP_SYMLINK) != (i == 1) ? &p->to : &p->path) = sp_str(*real);
	}
}

static bool
same_name(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_names(const struct looking *a, const struct looking *b)
{
	return a->status == b->status && a->parent == b->parent && same_name(a->real[0], b->real[0]) && same_name(a->real[1], b->real[1]);
}

/* Decided: refused, or on to the target. */
static int
carry_out(struct channel *c, const struct sftp_request *q, const struct paths *p)
{
	struct sftp *f = c->sftp;
	struct sftp_request sent = *q;
	struct sp_op *op = f->asked;
	f->asked = NULL;
	if (c->what != SP_ALLOW) {
		sp_op_free(&op);
		return answer(f, q->id, FX_PERMISSION_DENIED, c->text);
	}
	bool moved = f->approved.begun && !same_names(&f->approved, &f->look);
	uint32_t status = moved ? FX_PERMISSION_DENIED : f->look.status;
	if (status != FX_OK) { /* by now there may be something: what nobody has judged */
		int rc = done(op, status, "");
		sp_op_free(&op);
		return rc != SP_OK ? rc : answer(f, q->id, status, moved
			? "the path leads elsewhere than when it was approved: ask once more" : "the target finds no such path");
	}
	if (f->look.parent) /* there may be a link all the same, which the target would follow */
		sent.flags |= FXF_EXCL;
	struct requested *r = requested_add(f, q);
	r->op = op;
	r->path = strndup((const char *)p->judged[0].p, p->judged[0].len);
	r->real = f->look.real[0];
	f->look.real[0] = NULL;
	return r->path == NULL ? SP_ENOMEM : pass_request(f, &sent, p->path, p->to);
}

/* False: the request has to wait, for the target's names or for its verdict. */
static int
judge(struct channel *c, const struct sftp_request *q, bool *taken_r)
{
	static struct paths paths; /* one thread, one request at a time */
	struct sftp *f = c->sftp;
	struct sftp_request judged = *q;
	const struct file *file = q->type == FXP_FSETSTAT ? file_open(f, q->handle) : NULL;
	if (file != NULL)
		judged.path = sp_str(file->path);
	if (q->type == FXP_FSETSTAT && file == NULL)
		return answer(f, q->id, FX_FAILURE, "no such file is open here");
	if (!clean_paths(f, &judged, &paths))
		return answer(f, q->id, FX_NO_SUCH_FILE, "the path is too long, or has a NUL in it");
	if (file != NULL && file->real != NULL && f->look.real[0] == NULL && (f->look.real[0] = strdup(file->real)) == NULL)
		return SP_ENOMEM;
	int rc = look_up(f, q, &paths, taken_r);
	if (rc != SP_OK || !*taken_r)
		return rc;
	use_names(f, q, &paths);
	if (f->asked == NULL && (rc = ask(c, q, &paths)) != SP_OK)
		return rc;
	*taken_r = c->decided;
	if (!c->decided)
		return SP_OK;
	if (f->held && c->what == SP_ALLOW && f->look.status == FX_OK && q->links[0] != '\0') {
		f->held = false;
		f->approved = f->look;
		f->look = (struct looking){ .begun = false };
		return look_up(f, q, &paths, taken_r);
	}
	return carry_out(c, q, &paths);
}

static int
take_request(struct channel *c, struct sp_bytes packet, bool *taken_r)
{
	struct sftp *f = c->sftp;
	struct sftp_request q;
	*taken_r = true;
	if (!sftp_read_request(packet, &q))
		return ssh_fail(c->s, SP_EPROTO, "an SFTP request of the client is malformed");
	if (f->state != RUNNING)
		return begin(c, &q);
	if (q.type == FXP_INIT)
		return ssh_fail(c->s, SP_EPROTO, "the client begins SFTP twice");
	if (!q.known)
		return answer(f, q.id, FX_OP_UNSUPPORTED, "the gateway does not know this extension");
	if (requested_find(f, q.id) != NULL)
		return ssh_fail(c->s, SP_EPROTO, "the client uses an SFTP request's number twice");
	if (q.operation != NULL) {
		int rc = judge(c, &q, taken_r);
		if (*taken_r)
			look_end(f);
		return rc;
	}
	if (q.handle.len > 0)
		return pass_handle(c, &q, taken_r);
	(void)requested_add(f, &q); /* limits@openssh.com */
	return pass_request(f, &q, (struct sp_bytes){ NULL, 0 }, (struct sp_bytes){ NULL, 0 });
}

/* ---- from the target ---- */

static int
take_version(struct channel *c, const struct sftp_reply *y)
{
	struct sftp *f = c->sftp;
	struct sp_reader r = sp_reader(y->rest);
	struct sp_writer w = sp_writer(f->version, sizeof(f->version));
	const struct sftp_request home = { .type = FXP_REALPATH, .id = 1 };
	if (y->type != FXP_VERSION || y->id != 3)
		return ssh_fail(c->s, SP_EPROTO, "the target's SFTP is not version 3");
	sp_wr_be32(&w, 0);
	sp_wr_u8(&w, FXP_VERSION);
	sp_wr_be32(&w, 3);
	while (r.left > 0 && !r.bad) {
		struct sp_bytes name = sp_rd_take(&r, sp_rd_be32(&r)), data = sp_rd_take(&r, sp_rd_be32(&r));
		if (r.bad || !sftp_extension_known(name))
			continue;
		sp_wr_be32(&w, (uint32_t)name.len);
		sp_wr_put(&w, name);
		sp_wr_be32(&w, (uint32_t)data.len);
		sp_wr_put(&w, data);
	}
	sp_wr_patch32(&w, 0, w.len - 4);
	if (r.bad || w.bad)
		return ssh_fail(c->s, SP_EPROTO, "the target's SFTP version is malformed");
	f->version_len = w.len;
	f->state = WANT_HOME;
	return pass_request(f, &home, SP_LIT("."), (struct sp_bytes){ NULL, 0 });
}

static int
take_home(struct channel *c, const struct sftp_reply *y)
{
	struct sftp *f = c->sftp;
	if (y->type != FXP_NAME || y->id != 1 || y->name.len == 0 || y->name.p[0] != '/' || y->name.len > SFTP_PATH_MAX / 2)
		return ssh_fail(c->s, SP_EPROTO, "the target does not say where its SFTP begins");
	memcpy(f->home, y->name.p, y->name.len);
	f->home_len = y->name.len;
	f->state = RUNNING;
	return pass_reply(f, (struct sp_bytes){ f->version, f->version_len });
}

/* What rules ask of its contents: on their way to the client, and into the recording. */
static int
look_through(struct file *file)
{
	int rc = masked_begin(file->op, &file->masked);
	return rc == SP_OK && file->masked != NULL && file->kept ? sp_file_filter(file->op, false, &file->unrecorded) : rc;
}

static int
take_opened(struct channel *c, struct requested *r, const struct sftp_reply *y)
{
	struct sftp *f = c->sftp;
	const struct sp_strings *contents = &((const struct ssh_conf *)sp_conf(c->s))->contents;
	for (unsigned i = 0; i < FILES; i++) {
		struct file *file = &f->file[i];
		if (file->used)
			continue;
		*file = (struct file){ .used = true, .listing = r->type == FXP_OPENDIR, .whole = true, .handle_len = y->handle.len, .op = r->op };
		memcpy(file->handle, y->handle.p, y->handle.len);
		file->path = r->path;
		file->real = r->real;
		file->kept = !file->listing && (ssh_fits(contents, file->path) || (file->real != NULL && ssh_fits(contents, file->real)));
		sha256_init(&file->hash);
		r->op = NULL;
		r->path = r->real = NULL;
		return file->listing ? SP_OK : look_through(file);
	}
	return ssh_fail(c->s, SP_ETOOBIG, "more than %d files are open in one SFTP channel", FILES);
}

static int
take_reply_of(struct channel *c, struct requested *r, const struct sftp_reply *y)
{
	struct sftp *f = c->sftp;
	if (r->ours)
		return r->type == FXP_READ ? masked_reply(c, r, y) : looked(c, y);
	bool opens = r->type == FXP_OPEN || r->type == FXP_OPENDIR;
	if (y->type == FXP_HANDLE) {
		if (!opens || file_find(f, y->handle) != NULL)
			return ssh_fail(c->s, SP_EPROTO, "the target opens a file that nobody asked for");
		return take_opened(c, r, y);
	}
	if (y->type == FXP_DATA) {
		if (r->type != FXP_READ || r->file == NULL)
			return ssh_fail(c->s, SP_EPROTO, "the target sends data that nobody asked for");
		return file_flow(c, r->file, y->data, r->offset, SP_TARGET);
	}
	if (r->type == FXP_CLOSE && r->file != NULL)
		return file_close(c, r->file);
	return r->op == NULL ? SP_OK : done(r->op, y->type == FXP_STATUS ? y->status : FX_OK, "");
}

/* Others that are out for a file which is closed now have lost it. */
static void
forget_file(struct sftp *f, const struct file *file)
{
	for (unsigned i = 0; i < REQUESTED; i++)
		if (f->requested[i].file == file)
			f->requested[i].file = NULL;
}

static int
take_reply(struct channel *c, struct sp_bytes packet)
{
	struct sftp *f = c->sftp;
	struct sftp_reply y;
	if (!sftp_read_reply(packet, &y))
		return ssh_fail(c->s, SP_EPROTO, "an SFTP reply of the target is malformed");
	if (f->state != RUNNING)
		return f->state == WANT_VERSION ? take_version(c, &y) : f->state == WANT_HOME ? take_home(c, &y)
			: ssh_fail(c->s, SP_EPROTO, "the target speaks SFTP before it was asked");
	struct requested *r = y.type == FXP_VERSION ? NULL : requested_find(f, y.id);
	if (r == NULL)
		return ssh_fail(c->s, SP_EPROTO, "the target answers an SFTP request that nobody made");
	const struct file *file = r->type == FXP_CLOSE ? r->file : NULL;
	const bool ours = r->ours;
	int rc = take_reply_of(c, r, &y);
	requested_drop(f, r);
	if (file != NULL)
		forget_file(f, file);
	return rc == SP_OK && !ours ? pass_reply(f, packet) : rc;
}

/* ---- bytes ---- */

/* The next whole packet of a side, or nothing. */
static int
next_packet(struct channel *c, enum sp_side side, struct sp_bytes *packet_r, bool *moved_r)
{
	struct pending *in = &c->sftp->in[side];
	*packet_r = (struct sp_bytes){ NULL, 0 };
	for (;;) {
		size_t want, n;
		long whole = sftp_packet((struct sp_bytes){ in->p + in->at, in->len - in->at }, &want);
		if (whole < 0)
			return ssh_fail(c->s, SP_EPROTO, "an SFTP packet of the %s is too long", side == SP_CLIENT ? "client" : "target");
		if (whole > 0) {
			*packet_r = (struct sp_bytes){ in->p + in->at, (size_t)whole };
			return SP_OK;
		}
		int rc = flow_gulp(c, side, false, in, &n);
		if (rc != SP_OK || n == 0)
			return rc;
		*moved_r = true;
	}
}

static int
send_out(struct channel *c, enum sp_side side, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	struct pending *out = &c->sftp->out[side];
	while (out->at < out->len) {
		size_t room = sp_full(c->s, side) ? 0 : leg_room(h, side, c->leg[side]), n = out->len - out->at;
		n = n < room ? n : room;
		if (n == 0)
			return SP_OK;
		int rc = flow_write(c, side, false, (struct sp_bytes){ out->p + out->at, n }, &n);
		if (rc != SP_OK || n == 0)
			return rc;
		bytes_drop(out, n);
		*moved_r = true;
	}
	return SP_OK;
}

/* True while packets for a side wait: then none is taken that may add to them. */
static bool
waits(const struct sftp *f, enum sp_side side)
{
	return f->out[side].at < f->out[side].len;
}

static int
from_client(struct channel *c, bool *moved_r)
{
	struct sftp *f = c->sftp;
	int rc = SP_OK;
	while (rc == SP_OK && !waits(f, SP_TARGET) && !waits(f, SP_CLIENT) && f->nrequested < REQUESTED - 1 &&
	    f->state != WANT_VERSION && f->state != WANT_HOME) {
		struct sp_bytes packet;
		bool taken = true;
		rc = next_packet(c, SP_CLIENT, &packet, moved_r);
		if (rc != SP_OK || packet.len == 0)
			break;
		rc = take_request(c, packet, &taken);
		if (rc != SP_OK || !taken)
			break;
		bytes_drop(&f->in[SP_CLIENT], packet.len);
		*moved_r = true;
		rc = send_out(c, SP_TARGET, moved_r);
	}
	return rc == SP_OK ? send_out(c, SP_CLIENT, moved_r) : rc;
}

static int
from_target(struct channel *c, bool *moved_r)
{
	struct sftp *f = c->sftp;
	int rc = SP_OK;
	while (rc == SP_OK && !waits(f, SP_CLIENT)) {
		struct sp_bytes packet;
		rc = next_packet(c, SP_TARGET, &packet, moved_r);
		if (rc != SP_OK || packet.len == 0)
			break;
		rc = take_reply(c, packet);
		if (rc != SP_OK)
			break;
		bytes_drop(&f->in[SP_TARGET], packet.len);
		*moved_r = true;
		rc = send_out(c, SP_CLIENT, moved_r);
	}
	return rc == SP_OK ? send_out(c, SP_TARGET, moved_r) : rc;
}

/* What the server says beside its packets, on stderr: to the client as it is. */
static int
pass_errors(struct channel *c, bool *moved_r)
{
	uint8_t text[1024];
	struct ssh *h = sp_state(c->s);
	size_t room = leg_room(h, SP_CLIENT, c->leg[SP_CLIENT]);
	if (ssh_channel_poll(c->leg[SP_TARGET], 1) <= 0 || room == 0)
		return SP_OK;
	int n = ssh_channel_read_nonblocking(c->leg[SP_TARGET], text, (uint32_t)(room < sizeof(text) ? room : sizeof(text)), 1);
	if (n <= 0)
		return SP_OK;
	*moved_r = true;
	int rc = sp_record(c->s, c->op, SP_REC_OUTPUT, (struct sp_bytes){ text, (size_t)n });
	if (rc == SP_OK)
		(void)ssh_channel_write_stderr(c->leg[SP_CLIENT], text, (uint32_t)n);
	return rc;
}

void
sftp_held(struct sftp *f)
{
	f->held = true;
}

bool
sftp_has_output(const struct sftp *f)
{
	return waits(f, SP_CLIENT);
}

int
sftp_step(struct channel *c, bool *moved_r)
{
	const struct sftp *f = c->sftp;
	int rc = from_client(c, moved_r);
	if (rc == SP_OK)
		rc = from_target(c, moved_r);
	if (rc == SP_OK)
		rc = pass_errors(c, moved_r);
	if (rc != SP_OK)
		return rc;
	if (!c->eof_sent[SP_TARGET] && f->asked == NULL && !f->look.begun && !f->reading && !waits(f, SP_TARGET) && ssh_channel_is_eof(c->leg[SP_CLIENT])) {
		(void)ssh_channel_send_eof(c->leg[SP_TARGET]);
		c->eof_sent[SP_TARGET] = *moved_r = true;
	}
	bool over = ssh_channel_is_eof(c->leg[SP_TARGET]) || ssh_channel_is_closed(c->leg[SP_TARGET]);
	if (over && !c->eof_sent[SP_CLIENT] && !waits(f, SP_CLIENT) && ssh_channel_poll(c->leg[SP_TARGET], 0) <= 0) {
		(void)ssh_channel_send_eof(c->leg[SP_CLIENT]);
		c->eof_sent[SP_CLIENT] = *moved_r = true;
	}
	return SP_OK;
}
