/* SPDX-License-Identifier: Apache-2.0 */
/* A core made of memory: sessions, buffers and a script instead of sockets, keeper and policies. */
#include <config.h>

#include "fake_core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 200000u

struct pile { /* bytes that grow at the end and go at the front; each change is a new block */
	uint8_t *p;
	size_t len;
};

struct attr {
	unsigned attr;
	char *value; /* NULL: unknown */
};

struct shape { /* a classified text, shared by the operations that run it */
	unsigned refs;
	uint8_t *text;
	size_t len;
	struct attr *attr;
	size_t n;
	bool unclear;
	unsigned note;
	char changes[256]; /* "NAME=VALUE;", "?" for what is not known */
};

struct sp_mask {
	enum sp_mask_kind kind;
};

struct sp_op {
	struct sp_session *s;
	struct shape *shape;
	const char *kind;
	void *cookie;
	bool asked, answered, done;
	unsigned ncolumns;
	const struct sp_mask **mask;
	bool denied;
	struct sp_op *next; /* of the session's */
};

struct block { /* of the session's arena */
	struct block *next;
};

struct sp_session {
	struct fake *f;
	struct sp_session *next;
	struct pile in[2], out[2];
	struct sp_writer writer[2];
	size_t want[2];
	bool tls[2], securing[2], full[2], shut[2], opened, ended, woken;
	void *state;
	struct block *arena;
	struct sp_op *ops, *held;
	const char *purpose;
	void *cookie;
	int error;
	char target[128], part[128];
	const void *view;
};

struct rule {
	struct rule *next;
	char pattern[128];
	enum fake_verdict verdict;
	uint64_t max_rows;
	bool sensitive, mask, deny;
	enum sp_mask_kind kind;
};

struct fake {
	const struct sp_module *module;
	void *conf;
	struct sp_session *main, *sessions;
	struct rule *rules;
	char pin_name[64], pin_value[32]; /* "": none */
	enum sp_tls_mode mode[2];
	char binding[64], why[512], secret[70000];
	fake_side_fn *side;
	void *side_owner;
	bool stands, authenticating, proving, record_fails;
	bool shares_later, sharing;
	void *block;
	size_t block_size;
	void (*block_end)(void *);
	char *log;
	size_t log_len;
	size_t consumed; /* anything that moved */
	size_t largest;
	uint8_t random;
};

/* ---- logging ---- */

static void
log_bytes(struct fake *f, const void *p, size_t n)
{
	f->log = realloc(f->log, f->log_len + n + 1);
	if (n > 0)
		memcpy(f->log + f->log_len, p, n);
	f->log_len += n;
	f->log[f->log_len] = '\0';
}

static void SP_PRINTF(2, 3)
log_line(struct fake *f, const char *fmt, ...)
{
	char line[2048];
	va_list list;
	va_start(list, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, list);
	va_end(list);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 2;
	line[len++] = '\n';
	log_bytes(f, line, len);
}

static void
log_escaped(struct fake *f, struct sp_bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		char c[5];
		int n = b.p[i] >= ' ' && b.p[i] < 0x7f && b.p[i] != '\\' ? snprintf(c, sizeof(c), "%c", b.p[i])
		                                                        : snprintf(c, sizeof(c), "\\x%02x", b.p[i]);
		log_bytes(f, c, (size_t)n);
	}
}

/* The largest thing that the module asked for. */
static void
note_size(struct fake *f, size_t n)
{
	if (n > f->largest)
		f->largest = n;
}

/* ---- bytes ---- */

static void
pile_append(struct pile *b, struct sp_bytes more)
{
	uint8_t *p = malloc(b->len + more.len + 1);
	if (b->len > 0)
		memcpy(p, b->p, b->len);
	if (more.len > 0)
		memcpy(p + b->len, more.p, more.len);
	free(b->p);
	b->p = p;
	b->len += more.len;
}

static void
pile_take(struct pile *b, size_t n)
{
	/* Exactly as long as what is left, so that reading past it or into what is gone is found. */
	uint8_t *p = b->len > n ? malloc(b->len - n) : NULL;
	if (p != NULL)
		memcpy(p, b->p + n, b->len - n);
	free(b->p);
	b->p = p;
	b->len -= n;
}

static void
writer_flush(struct sp_session *s, enum sp_side to)
{
	struct sp_writer *w = &s->writer[to];
	if (w->bad) {
		s->error = SP_ETOOBIG;
		s->ended = true;
	}
	if (w->len > 0) {
		pile_append(&s->out[to], (struct sp_bytes){ w->p, w->len });
		s->f->consumed++;
	}
	free(w->p);
	*w = (struct sp_writer){ .p = NULL, .grow = w->grow, .owner = w->owner };
}

static int
writer_grow(struct sp_writer *w, size_t more)
{
	size_t cap = (w->len + more) * 2 + 64;
	struct sp_session *s = w->owner;
	if (s != NULL)
		note_size(s->f, cap);
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL || w->len + more > 64u << 20)
		return SP_ETOOBIG;
	w->p = p;
	w->cap = cap;
	return SP_OK;
}

struct sp_bytes
sp_peek(struct sp_session *s, enum sp_side from)
{
	return (struct sp_bytes){ s->in[from].p, s->in[from].len };
}

int
sp_drop(struct sp_session *s, enum sp_side from, size_t n)
{
	if (n > s->in[from].len)
		return SP_EINTERNAL;
	s->want[from] = 0;
	pile_take(&s->in[from], n);
	s->f->consumed++;
	return SP_OK;
}

int
sp_pass(struct sp_session *s, enum sp_side from, size_t n)
{
	if (n > s->in[from].len)
		return SP_EINTERNAL;
	writer_flush(s, SP_OTHER(from));
	pile_append(&s->out[SP_OTHER(from)], (struct sp_bytes){ s->in[from].p, n });
	return sp_drop(s, from, n);
}

int
sp_want(struct sp_session *s, enum sp_side from, size_t n, size_t max)
{
	note_size(s->f, n);
	s->want[from] = n;
	return n > max ? SP_ETOOBIG : SP_OK;
}

int
sp_put(struct sp_session *s, enum sp_side to, struct sp_bytes b)
{
	writer_flush(s, to);
	pile_append(&s->out[to], b);
	s->f->consumed++;
	return SP_OK;
}

struct sp_writer *
sp_out(struct sp_session *s, enum sp_side to)
{
	struct sp_writer *w = &s->writer[to];
	w->grow = writer_grow;
	w->owner = s;
	return w;
}

bool
sp_full(struct sp_session *s, enum sp_side to)
{
	return s->full[to];
}

int
sp_shut(struct sp_session *s, enum sp_side side)
{
	if (!s->shut[side])
		log_line(s->f, "shut %s", side == SP_CLIENT ? "client" : "target");
	s->shut[side] = true;
	return SP_OK;
}

enum sp_tls_mode
sp_tls_mode(const struct sp_session *s, enum sp_side side)
{
	return s->f->mode[side];
}

bool
sp_tls_active(const struct sp_session *s, enum sp_side side)
{
	return s->tls[side];
}

int
sp_starttls(struct sp_session *s, enum sp_side side, bool direct, const char *alpn)
{
	(void)alpn;
	if (s->tls[side] || s->securing[side] || (!direct && s->in[side].len > 0))
		return SP_EPROTO;
	s->securing[side] = true;
	return SP_OK;
}

struct sp_bytes
sp_channel_binding(struct sp_session *s)
{
	return s->tls[SP_TARGET] ? sp_str(s->f->binding) : (struct sp_bytes){ NULL, 0 };
}

/* ---- who ---- */

int
sp_authenticate(struct sp_session *s, const struct sp_proof *proof)
{
	struct fake *f = s->f;
	size_t n = proof->secret.len < sizeof(f->secret) ? proof->secret.len : sizeof(f->secret) - 1;
	memcpy(f->secret, proof->secret.p, n);
	f->secret[n] = '\0';
	(void)snprintf(s->target, sizeof(s->target), "%s", proof->target);
	(void)snprintf(s->part, sizeof(s->part), "%s", proof->part);
	log_line(f, "authenticate user=%s target=%s part=%s", proof->user, proof->target, proof->part);
	f->authenticating = true;
	return SP_OK;
}

int
sp_prove(struct sp_session *s, const struct sp_challenge *c)
{
	log_line(s->f, "prove %s %u", c->mechanism, c->step);
	log_bytes(s->f, "challenge ", 10);
	log_escaped(s->f, c->transcript);
	log_bytes(s->f, "\n", 1);
	s->f->proving = true;
	return SP_OK;
}

const char *
sp_login(const struct sp_session *s)
{
	(void)s;
	return "app_gw";
}

const char *
sp_principal(const struct sp_session *s)
{
	(void)s;
	return "ann";
}

const char *
sp_session_id(const struct sp_session *s)
{
	(void)s;
	return "5e551011";
}

const char *
sp_target_name(const struct sp_session *s)
{
	return s->target[0] == '\0' ? "only" : s->target; /* a listener with one target */
}

const char *
sp_target_part(const struct sp_session *s)
{
	return s->part;
}

const char *
sp_server(const struct sp_session *s)
{
	(void)s;
	return "db.example";
}

int
sp_ready(struct sp_session *s)
{
	if (*s->purpose == '\0')
		log_line(s->f, "ready");
	return SP_OK;
}

int
sp_fail(struct sp_session *s, int rc, const char *fmt, ...)
{
	va_list list;
	char text[sizeof(s->f->why)];
	va_start(list, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, list);
	va_end(list);
	if (s->f->why[0] == '\0' && *s->purpose == '\0') /* the first reason counts, and is the one line in the log */
		memcpy(s->f->why, text, sizeof(text));
	return rc;
}

/* ---- dial ---- */

int
sp_cancel_key(struct sp_session *s, uint32_t pid, struct sp_bytes secret)
{
	log_line(s->f, "cancel key %u, %zu bytes", pid, secret.len);
	return SP_OK;
}

int
sp_cancel(struct sp_session *s, uint32_t pid, struct sp_bytes secret)
{
	log_line(s->f, "cancel %u, %zu bytes", pid, secret.len);
	return SP_OK;
}

static struct sp_session *
session_new(struct fake *f, const char *purpose, void *cookie)
{
	struct sp_session *s = calloc(1, sizeof(*s));
	s->f = f;
	s->state = calloc(1, f->module->session_size);
	s->purpose = purpose;
	s->cookie = cookie;
	s->next = f->sessions;
	f->sessions = s;
	return s;
}

struct sp_session *
sp_side_session(struct sp_session *s, const char *purpose, void *cookie)
{
	log_line(s->f, "side session %s", purpose);
	s->f->consumed++;
	return session_new(s->f, purpose, cookie);
}

int
sp_pool_key(struct sp_session *s, struct sp_bytes key)
{
	(void)s;
	(void)key;
	return SP_OK;
}

struct sp_bytes
sp_pool_key_of(const struct sp_session *s)
{
	(void)s;
	return (struct sp_bytes){ NULL, 0 };
}

const char *
sp_purpose(const struct sp_session *s)
{
	return s->purpose;
}

void *
sp_cookie(const struct sp_session *s)
{
	return s->cookie;
}

bool
sp_inspects(const struct sp_session *s)
{
	(void)s;
	return false;
}

void
sp_found(struct sp_session *s, bool refuse, const char *fmt, ...)
{
	log_line(s->f, "found %d %s", refuse, fmt);
}

void
sp_estimated(struct sp_session *s, const char *request, const char *text)
{
	log_line(s->f, "estimated %s %s", request, text);
}

int
sp_inspected(struct sp_session *s)
{
	(void)s;
	return SP_EINTERNAL;
}

uint64_t
sp_recheck(const struct sp_session *s)
{
	(void)s;
	return 3600000;
}

void *
sp_target_block(struct sp_session *s, size_t size, void (*end)(void *))
{
	if (s->f->block == NULL) {
		s->f->block = calloc(1, size);
		s->f->block_end = end;
	}
	return s->f->block;
}

int
sp_client_certificate(const struct sp_session *s, struct sp_writer *out)
{
	(void)s, (void)out;
	return SP_OK;
}

/* Whoever asks has put it. */
static int
say_shared(struct sp_session *s, struct sp_bytes key)
{
	if (s->f->shares_later) {
		s->f->sharing = true;
		return s->f->module->shared == NULL || key.len == 0 ? SP_EPROTO : SP_OK;
	}
	const struct sp_shared f = { .ok = true, .found = true, .value = SP_LIT("kept") };
	return s->f->module->shared == NULL || key.len == 0 ? SP_EPROTO : s->f->module->shared(s, &f);
}

int
sp_share_put(struct sp_session *s, enum sp_share scope, struct sp_bytes key, struct sp_bytes value, uint64_t ttl)
{
	(void)scope, (void)value, (void)ttl;
	return say_shared(s, key);
}

int
sp_share_get(struct sp_session *s, enum sp_share scope, struct sp_bytes key)
{
	(void)scope;
	return say_shared(s, key);
}

int
sp_group(struct sp_session *s, const struct sp_op *op, struct sp_bytes name)
{
	(void)s, (void)op;
	return name.len > 0 ? SP_OK : SP_ETOOBIG;
}

void
sp_wake(struct sp_session *s)
{
	s->woken = true;
	s->f->consumed++;
}

/* ---- operations ---- */

void
sp_view(struct sp_session *s, const void *view, uint64_t version)
{
	(void)version;
	s->view = view;
}

void
sp_wrote(struct sp_session *s, bool wrote)
{
	(void)s, (void)wrote;
}

int
sp_fact(struct sp_session *s, const char *name, struct sp_bytes value)
{
	log_line(s->f, "fact %s=%.*s", name, (int)value.len, value.len == 0 ? "" : (const char *)value.p);
	return SP_OK;
}

static void
shape_drop(struct shape *shape)
{
	if (--shape->refs > 0)
		return;
	for (size_t i = 0; i < shape->n; i++)
		free(shape->attr[i].value);
	free(shape->attr);
	free(shape->text);
	free(shape);
}

static struct sp_op *
op_new(struct sp_session *s, struct shape *shape, const char *kind)
{
	struct sp_op *op = calloc(1, sizeof(*op));
	op->s = s;
	op->shape = shape;
	op->kind = kind;
	op->next = s->ops;
	s->ops = op;
	return op;
}

struct sp_op *
sp_op_new(struct sp_session *s, unsigned channel, const char *kind, struct sp_bytes text)
{
	(void)channel;
	struct shape *shape = calloc(1, sizeof(*shape));
	shape->refs = 1;
	shape->text = malloc(text.len + 1);
	if (text.len > 0)
		memcpy(shape->text, text.p, text.len);
	shape->text[text.len] = '\0';
	shape->len = text.len;
	struct sp_op *op = op_new(s, shape, kind);
	struct sp_scope scope = { s->f->conf, s->view };
	if (s->f->module->classify(&scope, op, sp_op_text(op)) != SP_OK)
		shape->unclear = true;
	return op;
}

struct sp_op *
sp_op_again(struct sp_session *s, struct sp_op *model, const char *kind)
{
	model->shape->refs++;
	return op_new(s, model->shape, kind);
}

void
sp_op_free(struct sp_op **op)
{
	struct sp_op *it = *op;
	*op = NULL;
	if (it == NULL)
		return;
	struct sp_op **at = &it->s->ops;
	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	if (it->s->held == it)
		it->s->held = NULL;
	shape_drop(it->shape);
	free(it->mask);
	free(it);
}

const char *
sp_op_kind(const struct sp_op *op)
{
	return op->kind;
}

/* A filter hides every X, and holds one byte back until the next comes. */
struct sp_filter {
	uint8_t held;
	bool holds;
};

int
sp_stream_filter(struct sp_op *op, struct sp_filter **filter_r)
{
	const struct sp_bytes text = sp_op_text(op);
	bool wanted = text.len % 2 == 0; /* of half of them */
	*filter_r = wanted ? calloc(1, sizeof(**filter_r)) : NULL;
	return wanted && *filter_r == NULL ? SP_ENOMEM : SP_OK;
}

int
sp_filter_feed(struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (filter->holds)
			sp_wr_u8(out, filter->held);
		filter->held = in.p[i] == 'X' ? '*' : in.p[i];
		filter->holds = true;
	}
	if (last && filter->holds)
		sp_wr_u8(out, filter->held);
	filter->holds = filter->holds && !last;
	return out->bad ? SP_ETOOBIG : SP_OK;
}

bool
sp_filter_holds(const struct sp_filter *filter)
{
	return filter->holds;
}

void
sp_filter_free(struct sp_filter **filter)
{
	free(*filter);
	*filter = NULL;
}

struct sp_bytes
sp_op_text(const struct sp_op *op)
{
	return (struct sp_bytes){ op->shape->text, op->shape->len };
}

void *
sp_op_cookie(const struct sp_op *op)
{
	return op->cookie;
}

void
sp_op_set_cookie(struct sp_op *op, void *cookie)
{
	op->cookie = cookie;
}

int
sp_op_param(struct sp_op *op, unsigned index, uint32_t type, uint16_t format, bool null, struct sp_bytes value)
{
	log_line(op->s->f, "param %u type=%u format=%u %.*s", index, type, format, null ? 4 : (int)value.len,
	    null ? "NULL" : value.len == 0 ? "" : (const char *)value.p);
	return SP_OK;
}

bool
sp_op_param_at(const struct sp_op *op, unsigned i, struct sp_value *v_r)
{
	(void)op;
	(void)i;
	*v_r = (struct sp_value){ .null = true };
	return false;
}

int
sp_op_node(struct sp_op *op)
{
	(void)op;
	return SP_OK;
}

static int
attr_add(struct sp_op *op, unsigned attr, struct sp_bytes value, bool unknown)
{
	struct shape *shape = op->shape;
	shape->attr = realloc(shape->attr, (shape->n + 1) * sizeof(*shape->attr));
	char *copy = unknown ? NULL : malloc(value.len + 1);
	if (copy != NULL && value.len > 0)
		memcpy(copy, value.p, value.len);
	if (copy != NULL)
		copy[value.len] = '\0';
	shape->attr[shape->n++] = (struct attr){ attr, copy };
	return SP_OK;
}

int
sp_op_str(struct sp_op *op, unsigned attr, struct sp_bytes value)
{
	return attr_add(op, attr, value, false);
}

int
sp_op_add(struct sp_op *op, unsigned attr, struct sp_bytes value)
{
	return attr_add(op, attr, value, false);
}

int
sp_op_int(struct sp_op *op, unsigned attr, uint64_t value)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return attr_add(op, attr, sp_str(text), false);
}

int
sp_op_bool(struct sp_op *op, unsigned attr, bool value)
{
	return attr_add(op, attr, value ? SP_LIT("true") : SP_LIT("false"), false);
}

int
sp_op_unknown(struct sp_op *op, unsigned attr)
{
	return attr_add(op, attr, SP_LIT(""), true);
}

int
sp_op_unclear(struct sp_op *op, const char *why, struct sp_bytes name)
{
	(void)why;
	(void)name;
	op->shape->unclear = true;
	return SP_OK;
}

int
sp_op_changes(struct sp_op *op, const char *name, const char *value)
{
	char *to = op->shape->changes;
	size_t n = strlen(to), room = sizeof(op->shape->changes) - n;
	int more = snprintf(to + n, room, "%s=%s;", name == NULL ? "?" : name, value == NULL ? "?" : value);
	return more < 0 || (size_t)more >= room ? SP_ETOOBIG : SP_OK;
}

int
sp_op_means(struct sp_op *op, const char *name, struct sp_bytes value)
{
	(void)op;
	(void)name;
	(void)value;
	return SP_OK;
}

int
sp_op_unseen(struct sp_op *op)
{
	(void)op;
	return SP_OK;
}

int
sp_op_renames(struct sp_op *op)
{
	(void)op;
	return SP_OK;
}

int
sp_op_alike(struct sp_op *op, unsigned length)
{
	(void)op;
	(void)length;
	return SP_OK;
}

int
sp_op_tag(struct sp_op *op, const char *tag)
{
	(void)op;
	(void)tag;
	return SP_OK;
}

int
sp_op_literal(struct sp_op *op, const struct sp_literal *l)
{
	(void)op;
	(void)l;
	return SP_OK;
}

bool
sp_op_has(const struct sp_op *op, unsigned attr, const char *value)
{
	for (size_t i = 0; i < op->shape->n; i++) {
		const struct attr *a = &op->shape->attr[i];
		if (a->attr == attr && a->value != NULL && strcmp(a->value, value) == 0)
			return true;
	}
	return false;
}

bool
sp_op_is_unclear(const struct sp_op *op)
{
	return op->shape->unclear;
}

unsigned *
sp_op_note(const struct sp_op *op)
{
	return &op->shape->note;
}

bool
sp_op_stands(const struct sp_op *op)
{
	return op->s->f->stands;
}

static const struct rule *
rule_for(const struct fake *f, const struct sp_op *op)
{
	for (const struct rule *r = f->rules; r != NULL; r = r->next)
		if (!r->mask && !r->deny && !r->sensitive && strstr((const char *)op->shape->text, r->pattern) != NULL)
			return r;
	return NULL;
}

/* The texts die with the callback, as the contract says. */
static int
give_verdict(struct sp_op *op, enum fake_verdict what, uint64_t max_rows)
{
	static const struct sp_verdict verdict[] = {
		[FAKE_ALLOW] = { .what = SP_ALLOW, .rule = "", .message = "", .hint = "" },
		[FAKE_DENY] = { .rule = "r", .message = "blocked by rule \"r\": no", .hint = "sallyport explain 1" },
		[FAKE_LIMIT] = { .because = SP_BY_LIMIT, .rule = "l", .message = "limited by rule \"l\": wait 7 s", .hint = "", .retry_after = 7 },
		[FAKE_KILL] = { .what = SP_KILL, .rule = "k", .message = "ended by rule \"k\": out", .hint = "" },
	};
	struct sp_verdict v = verdict[what];
	char *message = strdup(v.message), *hint = strdup(v.hint);
	v.message = message;
	v.hint = hint;
	v.max_rows = max_rows;
	op->answered = true;
	log_line(op->s->f, "verdict %s", what == FAKE_ALLOW ? "allow" : "deny");
	int rc = op->s->f->module->verdict(op->s, op, &v);
	memset(message, '#', strlen(message));
	memset(hint, '#', strlen(hint));
	free(message);
	free(hint);
	return rc;
}

static bool
unpins(const struct fake *f, const struct shape *shape)
{
	char same[128];
	if (f->pin_name[0] == '\0' || shape->changes[0] == '\0')
		return false;
	(void)snprintf(same, sizeof(same), "%s=%s;", f->pin_name, f->pin_value);
	return strcmp(shape->changes, same) != 0;
}

bool
sp_pin(const struct sp_session *s, size_t i, struct sp_setting *pin_r)
{
	*pin_r = (struct sp_setting){ s->f->pin_name, s->f->pin_value };
	return i == 0 && s->f->pin_name[0] != '\0';
}

void
fake_pin(struct fake *f, const char *name, const char *value)
{
	(void)snprintf(f->pin_name, sizeof(f->pin_name), "%s", name);
	(void)snprintf(f->pin_value, sizeof(f->pin_value), "%s", value);
}

int
sp_ask(struct sp_op *op)
{
	struct sp_session *s = op->s;
	const struct rule *r = rule_for(s->f, op);
	if (op->asked)
		return SP_EINTERNAL;
	op->asked = true;
	log_bytes(s->f, "ask ", 4);
	log_bytes(s->f, op->kind, strlen(op->kind));
	log_bytes(s->f, " ", 1);
	log_escaped(s->f, sp_op_text(op));
	log_bytes(s->f, "\n", 1);
	if (unpins(s->f, op->shape))
		return give_verdict(op, FAKE_DENY, 0);
	if (r == NULL || r->verdict != FAKE_HOLD || strcmp(op->kind, "sql.prepare") == 0)
		return give_verdict(op, r == NULL || r->verdict == FAKE_HOLD ? FAKE_ALLOW : r->verdict, r == NULL ? 0 : r->max_rows);
	struct sp_hold h = { "a-1", "c0ffee", "r", "Wait.", "dba", 60000 };
	s->held = op;
	return s->f->module->held(s, op, &h);
}

void
sp_withdraw(struct sp_op *op)
{
	log_line(op->s->f, "withdraw");
	if (op->s->held == op)
		op->s->held = NULL;
}

int
sp_done(struct sp_op *op, const struct sp_outcome *o)
{
	if (op->done)
		return SP_EINTERNAL;
	op->done = true;
	log_line(op->s->f, "done rows=%llu error=%s tag=%s", (unsigned long long)o->rows, o->error, o->text);
	return op->s->f->record_fails ? SP_EIO : SP_OK;
}

int
sp_own_statement(struct sp_session *s, struct sp_bytes text)
{
	if (*s->purpose == '\0')
		log_line(s->f, "own %.60s", (const char *)text.p);
	return SP_OK;
}

/* ---- masks ---- */

int
sp_columns_begin(struct sp_op *op, unsigned n)
{
	free(op->mask);
	op->mask = calloc(n + 1, sizeof(*op->mask));
	op->ncolumns = n;
	op->denied = false;
	return SP_OK;
}

static bool
ends_with(struct sp_bytes text, const char *end)
{
	size_t n = strlen(end);
	return text.len >= n && memcmp(text.p + text.len - n, end, n) == 0;
}

int
sp_column(struct sp_op *op, unsigned i, const struct sp_column *c)
{
	static const struct sp_mask masks[] = { { SP_MASK_NULL }, { SP_MASK_TEXT }, { SP_MASK_YEAR }, { SP_MASK_DETECT } };
	bool secret = c->known == SP_SOURCE_UNKNOWN && strstr((const char *)op->shape->text, "secret") != NULL;
	if (i >= op->ncolumns)
		return SP_EINTERNAL;
	if (secret)
		op->mask[i] = &masks[SP_MASK_NULL];
	for (const struct rule *r = op->s->f->rules; r != NULL; r = r->next) {
		bool fits = ends_with(c->name, r->pattern) || ends_with(c->source, r->pattern);
		if (fits && r->mask)
			op->mask[i] = &masks[r->kind];
		if (fits && r->deny)
			op->denied = true;
	}
	log_bytes(op->s->f, "column ", 7);
	log_bytes(op->s->f, c->name.p, c->name.len);
	log_bytes(op->s->f, " ", 1);
	log_escaped(op->s->f, c->known == SP_SOURCE_COLUMN ? c->source : SP_LIT("?"));
	log_bytes(op->s->f, "\n", 1);
	return SP_OK;
}

int
sp_columns_judge(struct sp_op *op, const struct sp_verdict **denied_r)
{
	static const struct sp_verdict no = { .rule = "r", .message = "blocked by rule \"r\": this column", .hint = "" };
	int masked = 0;
	*denied_r = op->denied ? &no : NULL;
	for (unsigned i = 0; i < op->ncolumns; i++)
		masked += op->mask[i] != NULL;
	return op->denied ? SP_EDENIED : masked;
}

void
sp_columns_keep(struct sp_op *op, struct sp_bytes description, uint64_t version)
{
	(void)op;
	(void)description;
	(void)version;
}

bool
sp_columns_again(struct sp_op *op, struct sp_bytes description, uint64_t version)
{
	(void)op;
	(void)description;
	(void)version;
	return false;
}

const struct sp_mask *
sp_column_mask(const struct sp_op *op, unsigned i)
{
	return i < op->ncolumns ? op->mask[i] : NULL;
}

enum sp_mask_kind
sp_mask_kind(const struct sp_mask *m)
{
	return m->kind;
}

int
sp_mask_value(const struct sp_mask *m, struct sp_bytes in, struct sp_writer *out)
{
	if (in.len > 0 && memchr(in.p, '!', in.len) != NULL)
		return SP_EDENIED;
	sp_wr_put(out, m->kind == SP_MASK_DETECT && memchr(in.p, '@', in.len) == NULL ? in : SP_LIT("***"));
	return SP_OK;
}

bool
sp_mask_spares(const struct sp_mask *m, struct sp_bytes in)
{
	return m->kind == SP_MASK_DETECT && (in.len == 0 || (memchr(in.p, '@', in.len) == NULL && memchr(in.p, '!', in.len) == NULL));
}

void
sp_columns_known(struct sp_session *s, sp_columns_fn *each, void *owner)
{
	(void)s;
	(void)each;
	(void)owner;
}

bool
sp_column_tagged(const struct sp_session *s, struct sp_bytes column)
{
	(void)column;
	for (const struct rule *r = s->f->rules; r != NULL; r = r->next)
		if (r->sensitive)
			return true;
	return false;
}

bool
sp_pins(const struct sp_session *s, const char *setting, const char *value)
{
	(void)s;
	(void)setting;
	(void)value;
	return false;
}

bool
sp_op_sensitive(const struct sp_op *op)
{
	for (const struct rule *r = op->s->f->rules; r != NULL; r = r->next)
		if (r->sensitive && strstr((const char *)op->shape->text, r->pattern) != NULL)
			return true;
	return false;
}

/* ---- record and other ---- */

int
sp_record(struct sp_session *s, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b)
{
	static const char *const name[] = { [SP_REC_ROWS] = "rows ", [SP_REC_OUTPUT] = "output ",
		[SP_REC_INPUT] = "input ", [SP_REC_NOTICE] = "notice " };
	if (op != NULL && op->done)
		return SP_EINTERNAL; /* after its end */
	log_bytes(s->f, name[stream], strlen(name[stream]));
	log_escaped(s->f, b);
	log_bytes(s->f, "\n", 1);
	return s->f->record_fails ? SP_EIO : SP_OK;
}

int
sp_record_size(struct sp_session *s, const struct sp_op *op, unsigned columns, unsigned rows)
{
	char text[64];
	if (op != NULL && op->done)
		return SP_EINTERNAL;
	(void)snprintf(text, sizeof(text), "size %ux%u\n", columns, rows);
	log_bytes(s->f, text, strlen(text));
	return s->f->record_fails ? SP_EIO : SP_OK;
}

void *
sp_state(const struct sp_session *s)
{
	return s->state;
}

const void *
sp_conf(const struct sp_session *s)
{
	return s->f->conf;
}

void *
sp_alloc(struct sp_session *s, size_t n)
{
	note_size(s->f, n);
	struct block *b = calloc(1, sizeof(*b) + 8 + n);
	b->next = s->arena;
	s->arena = b;
	return (uint8_t *)b + sizeof(*b) + 8;
}

void
sp_log(const struct sp_session *s, enum sp_level level, const char *fmt, ...)
{
	if (getenv("FAKE_LOG") == NULL)
		return;
	va_list list;
	va_start(list, fmt);
	(void)fprintf(stderr, "[%d %s] ", level, s->purpose);
	(void)vfprintf(stderr, fmt, list);
	(void)fputc('\n', stderr);
	va_end(list);
}

void
sp_timer(struct sp_session *s, uint64_t after)
{
	(void)s;
	(void)after;
}

int
sp_random(void *p, size_t n)
{
	memset(p, 0x5a, n);
	return SP_OK;
}

/* ---- running ---- */

static void
after(struct sp_session *s, int rc)
{
	writer_flush(s, SP_CLIENT);
	writer_flush(s, SP_TARGET);
	if (rc < 0 && !s->ended) {
		s->ended = true;
		s->error = rc;
		s->f->consumed++;
	}
	if (s->shut[*s->purpose == '\0' ? SP_CLIENT : SP_TARGET])
		s->ended = true;
}

static bool
runs_dry(const struct sp_session *s, enum sp_side side)
{
	return s->ended || s->securing[side] || s->in[side].len == 0 || s->in[side].len < s->want[side];
}

static void
session_free(struct sp_session *s)
{
	s->f->module->close(s);
	while (s->ops != NULL) {
		struct sp_op *op = s->ops;
		(void)fprintf(stderr, "leaked operation: %s\n", op->shape->text);
		sp_op_free(&op);
	}
	for (struct block *next, *b = s->arena; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	for (unsigned side = 0; side < 2; side++) {
		free(s->in[side].p);
		free(s->out[side].p);
		free(s->writer[side].p);
	}
	free(s->state);
	free(s);
}

static void
reap(struct fake *f)
{
	for (struct sp_session **at = &f->sessions; *at != NULL;) {
		struct sp_session *s = *at;
		if (s == f->main || !s->ended || s->out[SP_TARGET].len > 0) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		session_free(s);
	}
}

static void
run_side(struct sp_session *s)
{
	struct fake *f = s->f;
	if (!s->opened) {
		s->opened = true;
		after(s, f->side == NULL ? SP_EIO : f->module->open(s));
	}
	if (s->out[SP_TARGET].len == 0 || f->side == NULL) {
		if (s->ended)
			pile_take(&s->out[SP_TARGET], s->out[SP_TARGET].len);
		return;
	}
	struct sp_writer w = { .grow = writer_grow };
	size_t used = f->side(f->side_owner, s->purpose, (struct sp_bytes){ s->out[SP_TARGET].p, s->out[SP_TARGET].len }, &w);
	pile_take(&s->out[SP_TARGET], used);
	pile_append(&s->in[SP_TARGET], sp_written(&w));
	if (used > 0)
		f->consumed++;
	free(w.p);
}

int
fake_run(struct fake *f)
{
	size_t before;
	unsigned round = 0;
	do {
		before = f->consumed;
		for (struct sp_session *next, *s = f->sessions; s != NULL; s = next) {
			next = s->next;
			if (*s->purpose != '\0')
				run_side(s);
			if (s->woken && *s->purpose != '\0')
				after(s, f->module->data(s, SP_TARGET));
			s->woken = false;
			for (unsigned side = 0; side < 2; side++)
				if (!runs_dry(s, side))
					after(s, f->module->data(s, side));
		}
		reap(f);
	} while (before != f->consumed && ++round < ROUNDS);
	return f->main->error;
}

/* ---- events ---- */

int
fake_input(struct fake *f, enum sp_side from, const void *p, size_t n)
{
	if (f->main->ended)
		return f->main->error;
	pile_append(&f->main->in[from], (struct sp_bytes){ p, n });
	return fake_run(f);
}

int
fake_admit(struct fake *f, enum sp_admit what, const char *text)
{
	struct sp_admission a = { what, text, sp_str(what == SP_REFUSE ? "" : text), "ann", "ann" };
	f->authenticating = false;
	after(f->main, f->module->admitted(f->main, &a));
	return fake_run(f);
}

int
fake_dial(struct fake *f)
{
	after(f->main, f->module->open(f->main));
	return fake_run(f);
}

int
fake_secured(struct fake *f, enum sp_side side, const char *alpn)
{
	struct sp_tls t = { .alpn = alpn, .sni = "" };
	if (!f->main->securing[side])
		return SP_EINTERNAL;
	f->main->securing[side] = false;
	f->main->tls[side] = true;
	if (f->main->in[side].len > 0) /* what began a direct handshake */
		pile_take(&f->main->in[side], f->main->in[side].len);
	after(f->main, f->module->secure(f->main, side, &t));
	return fake_run(f);
}

int
fake_proved(struct fake *f, bool ok, struct sp_bytes bytes)
{
	struct sp_answer a = { ok, bytes, ok ? "" : "no" };
	f->proving = false;
	after(f->main, f->module->proved(f->main, &a));
	return fake_run(f);
}

int
fake_decide(struct fake *f, bool allow)
{
	struct sp_op *op = f->main->held;
	if (op == NULL)
		return SP_EINTERNAL;
	f->main->held = NULL;
	after(f->main, give_verdict(op, allow ? FAKE_ALLOW : FAKE_DENY, 0));
	return fake_run(f);
}

int
fake_shared(struct fake *f, bool ok, bool found)
{
	const struct sp_shared said = { .ok = ok, .found = ok && found, .value = SP_LIT("kept") };
	f->sharing = false;
	after(f->main, f->module->shared(f->main, &said));
	return fake_run(f);
}

void
fake_shares_later(struct fake *f)
{
	f->shares_later = true;
}

int
fake_cancel(struct fake *f)
{
	after(f->main, f->module->cancel(f->main));
	return fake_run(f);
}

int
fake_notice(struct fake *f, const char *text)
{
	after(f->main, f->module->notice(f->main, text));
	return fake_run(f);
}

int
fake_end(struct fake *f, enum sp_why why, const char *text)
{
	after(f->main, f->module->end(f->main, why, text));
	f->main->ended = true;
	return SP_OK;
}

/* ---- making ---- */

static uint64_t
number_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	return *end == 'k' ? n << 10 : *end == 'm' ? n << 20 : n;
}

/* "a,b": the words live as long as the process, once for each text. */
static struct sp_strings
words_of(const char *text)
{
	static struct known { const char *text; char *copy; struct sp_strings words; } known[32];
	size_t i = 0;
	while (i < 31 && known[i].text != NULL && known[i].text != text)
		i++;
	if (known[i].text == text)
		return known[i].words;
	char *copy = strdup(text);
	const char **v = calloc(strlen(text) + 1, sizeof(*v));
	size_t n = 0;
	for (char *save = NULL, *word = strtok_r(copy, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save))
		v[n++] = word;
	known[i] = (struct known){ text, copy, { v, n } };
	return known[i].words;
}

static void *
conf_defaults(const struct sp_module *m)
{
	uint8_t *conf = calloc(1, m->conf_size + 1);
	for (const struct sp_directive *d = m->directives; d != NULL && d->name != NULL; d++) {
		uint64_t n = d->dflt == NULL ? 0 : number_of(d->dflt);
		if (d->type == SP_TYPE_DURATION)
			n = strstr(d->dflt, "ms") != NULL ? 5000 : 3600000; /* no transcript depends on how long it takes */
		if (d->type == SP_TYPE_STRING)
			memcpy(conf + d->offset, &d->dflt, sizeof(d->dflt));
		if (d->type == SP_TYPE_STRINGS) {
			struct sp_strings words = words_of(d->dflt);
			memcpy(conf + d->offset, &words, sizeof(words));
		}
		if (d->type == SP_TYPE_SIZE || d->type == SP_TYPE_INT || d->type == SP_TYPE_DURATION)
			memcpy(conf + d->offset, &n, sizeof(n));
	}
	return conf;
}

struct fake *
fake_new(const struct sp_module *module)
{
	struct fake *f = calloc(1, sizeof(*f));
	const char *err;
	f->module = module;
	f->stands = true;
	f->conf = conf_defaults(module);
	if (module->check != NULL && module->check(f->conf, &err) != SP_OK)
		(void)fprintf(stderr, "defaults refused: %s\n", err);
	f->main = session_new(f, "", NULL);
	after(f->main, module->accept(f->main));
	return f;
}

void
fake_free(struct fake **f)
{
	struct fake *it = *f;
	*f = NULL;
	if (it == NULL)
		return;
	for (struct sp_session *next, *s = it->sessions; s != NULL; s = next) {
		next = s->next;
		it->sessions = next;
		session_free(s);
	}
	if (it->block_end != NULL)
		it->block_end(it->block);
	for (struct rule *next, *r = it->rules; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	free(it->block);
	free(it->conf);
	free(it->log);
	free(it);
}

static struct rule *
rule_new(struct fake *f, const char *pattern)
{
	struct rule *r = calloc(1, sizeof(*r));
	(void)snprintf(r->pattern, sizeof(r->pattern), "%s", pattern);
	r->next = f->rules;
	f->rules = r;
	return r;
}

void
fake_rule(struct fake *f, const char *pattern, enum fake_verdict v, uint64_t max_rows)
{
	struct rule *r = rule_new(f, pattern);
	r->verdict = v;
	r->max_rows = max_rows;
}

void
fake_mask(struct fake *f, const char *column, enum sp_mask_kind kind)
{
	struct rule *r = rule_new(f, column);
	r->mask = true;
	r->kind = kind;
}

void
fake_deny_result(struct fake *f, const char *column)
{
	rule_new(f, column)->deny = true;
}

void
fake_sensitive(struct fake *f, const char *pattern)
{
	rule_new(f, pattern)->sensitive = true;
}

void
fake_tls(struct fake *f, enum sp_side side, enum sp_tls_mode mode)
{
	f->mode[side] = mode;
}

void
fake_binding(struct fake *f, const char *binding)
{
	(void)snprintf(f->binding, sizeof(f->binding), "%s", binding);
}

void
fake_side(struct fake *f, fake_side_fn *answer, void *owner)
{
	f->side = answer;
	f->side_owner = owner;
}

void
fake_stands(struct fake *f, bool stands)
{
	f->stands = stands;
}

void
fake_full(struct fake *f, enum sp_side side, bool full)
{
	f->main->full[side] = full;
	if (!full)
		(void)fake_run(f);
}

void
fake_record_fails(struct fake *f)
{
	f->record_fails = true;
}

struct sp_bytes
fake_output(const struct fake *f, enum sp_side to)
{
	return (struct sp_bytes){ f->main->out[to].p, f->main->out[to].len };
}

void
fake_output_take(struct fake *f, enum sp_side to, size_t n)
{
	pile_take(&f->main->out[to], n);
}

bool
fake_ended(const struct fake *f)
{
	return f->main->ended;
}

int
fake_error(const struct fake *f)
{
	return f->main->error;
}

const char *
fake_why(const struct fake *f)
{
	return f->why;
}

const char *
fake_log(const struct fake *f)
{
	return f->log == NULL ? "" : f->log;
}

bool
fake_waits_for(const struct fake *f, const char *what)
{
	if (strcmp(what, "keeper") == 0)
		return f->authenticating;
	if (strcmp(what, "share") == 0)
		return f->sharing;
	return strcmp(what, "proof") == 0 ? f->proving : f->main->held != NULL;
}

bool
fake_securing(const struct fake *f, enum sp_side side)
{
	return f->main->securing[side];
}

const char *
fake_state_proof(const struct fake *f)
{
	return f->secret;
}

size_t
fake_largest(struct fake *f)
{
	size_t n = f->largest;
	f->largest = 0;
	return n;
}

struct sp_session *
fake_session(const struct fake *f)
{
	return f->main;
}
