/* SPDX-License-Identifier: Apache-2.0 */
/* See worker_world.h. */
#include <config.h>

#include "worker_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "core/base/clock.h"

#define TURNS 24
#define PRINCIPAL \
	"{\"identity\":\"corp\",\"issuer\":\"https://i\",\"subject\":\"42\",\"user\":\"ann\",\"name\":\"Ann\"," \
	"\"person\":\"p1\",\"class\":\"human\",\"token\":\"ab12\",\"groups\":[\"dev\"],\"roles\":[],\"expires\":0}"

static struct world *the_world;

/* ---- the socket: what it takes, and what was recorded before it took it (P1) ---- */

static bool
is_side(const struct world *v, enum sp_side side, int fd)
{
	return v != NULL && v->s != NULL && v->s->side[side].fd == fd;
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct world *v = the_world;
	struct iovec one;
	struct msghdr part = *m;
	if (is_side(v, SP_TARGET, fd) && v->at_send[0] == '\0')
		snprintf(v->at_send, sizeof(v->at_send), "%s", world_recorded(v));
	if (v != NULL && v->send_max > 0 && (is_side(v, SP_TARGET, fd) || is_side(v, SP_CLIENT, fd))) {
		one = m->msg_iov[0];
		one.iov_len = one.iov_len < v->send_max ? one.iov_len : v->send_max;
		part.msg_iov = &one;
		part.msg_iovlen = 1;
	}
	return syscall(SYS_sendmsg, fd, &part, flags);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	struct iovec all = { (void *)(uintptr_t)p, n };
	const struct msghdr m = { .msg_iov = &all, .msg_iovlen = 1 };
	return sendmsg(fd, &m, flags);
}

/* ---- the module ---- */

struct toy_state {
	bool asked;
};

static const struct sp_attr attrs[] = {
	{ "verb", SP_TYPE_STRING, SP_OF_OPERATION, "toy.statement toy.prepare", "" },
	{ "effects", SP_TYPE_STRINGS, SP_OF_OPERATION, "toy.statement toy.prepare", "" },
	{ "columns_written", SP_TYPE_COLUMNS, SP_OF_OPERATION, "toy.statement toy.prepare", "" },
	{ "column", SP_TYPE_COLUMNS, SP_OF_OPERATION, "toy.result", "" },
	{ "size", SP_TYPE_INT, SP_OF_OPERATION, "toy.statement toy.prepare", "" },
	{ .name = NULL },
};
static const char *const kinds[] = { "toy.statement", "toy.prepare", "toy.result", NULL };
static const struct sp_directive directives[] = { { .name = NULL } };

static int
toy_many(struct sp_op *op, bool columns, struct sp_bytes digits)
{
	char name[32];
	unsigned n = 0;
	int rc = SP_OK;
	for (size_t i = 0; i < digits.len; i++)
		n = n * 10 + (unsigned)(digits.p[i] - '0');
	for (unsigned i = 0; i < n && rc == SP_OK; i++) {
		(void)snprintf(name, sizeof(name), "public.wide.c%04u", i);
		rc = columns ? sp_op_add(op, 2, sp_str(name)) : sp_op_node(op);
		if (rc == SP_OK && !columns)
			rc = sp_op_str(op, 0, SP_LIT("node"));
	}
	return rc;
}

/*
 * The verb is the first word, and only "select" is known to be harmless; what stands between quotes is hidden.
 * "set COLUMN 'value'" writes a column, "columns N" so many, and "nodes N" has so many statements more.
 * "like WORD" is as any other: toy_skeleton().
 */
static int
toy_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct sp_reader r = sp_reader(text);
	struct sp_bytes verb = sp_rd_until(&r, ' ');
	(void)scope;
	int rc = sp_op_str(op, 0, r.bad ? text : verb);
	if (rc == SP_OK && sp_bytes_is(verb, "select"))
		rc = sp_op_add(op, 1, SP_LIT("read"));
	if (!r.bad && rc == SP_OK && (sp_bytes_is(verb, "columns") || sp_bytes_is(verb, "nodes")))
		rc = toy_many(op, sp_bytes_is(verb, "columns"), sp_rd_rest(&r));
	if (rc == SP_OK && sp_bytes_is(verb, "like"))
		rc = sp_op_int(op, 4, (int64_t)text.len);
	if (rc == SP_OK && sp_bytes_is(verb, "like"))
		rc = sp_op_alike(op, 4);
	bool sets = !r.bad && sp_bytes_is(verb, "set");
	struct sp_bytes column = sets ? sp_rd_until(&r, ' ') : (struct sp_bytes){ NULL, 0 };
	char name[64];
	if (sets && rc == SP_OK)
		rc = sp_op_add(op, 2, column);
	(void)snprintf(name, sizeof(name), "%.*s", (int)column.len, (const char *)column.p);
	const uint8_t *open = text.len == 0 ? NULL : memchr(text.p, '\'', text.len);
	const uint8_t *close = open == NULL ? NULL : memchr(open + 1, '\'', text.len - (size_t)(open + 1 - text.p));
	if (close != NULL && rc == SP_OK) {
		const struct sp_literal l = { .offset = (size_t)(open + 1 - text.p), .len = (size_t)(close - open - 1), .column = sets ? name : NULL };
		rc = sp_op_literal(op, &l);
	}
	return rc;
}

static long
toy_skeleton(struct sp_bytes text, struct sp_writer *key, struct sp_span *span, size_t max)
{
	struct sp_reader r = sp_reader(text);
	struct sp_bytes verb = sp_rd_until(&r, ' ');
	if (r.bad || max == 0 || !sp_bytes_is(verb, "like"))
		return -1;
	sp_wr_put(key, verb);
	*span = (struct sp_span){ verb.len + 1, r.left };
	return 1;
}

static int
toy_line(struct sp_session *s, struct sp_bytes line)
{
	struct toy_state *t = sp_state(s);
	struct world *v = the_world;
	if (!t->asked) {
		const struct sp_proof proof = { .kind = SP_PROOF_BEARER, .secret = line, .user = "ann", .target = "t", .part = "" };
		t->asked = true;
		int rc = sp_authenticate(s, &proof);
		return rc != SP_OK ? rc : sp_drop(s, SP_CLIENT, line.len + 1);
	}
	struct sp_op *op = sp_op_new(s, 0, "toy.statement", line);
	if (op == NULL)
		return SP_ENOMEM;
	v->op[v->nops++ % WORLD_OPS] = op;
	int rc = sp_drop(s, SP_CLIENT, line.len + 1);
	return rc != SP_OK ? rc : sp_ask(op);
}

static int
toy_data(struct sp_session *s, enum sp_side from)
{
	struct sp_bytes in = sp_peek(s, from);
	if (from == SP_TARGET)
		return sp_pass(s, from, in.len);
	if (the_world->mode == DEAF)
		return SP_OK;
	if (the_world->mode == RAW)
		return sp_pass(s, from, in.len);
	struct sp_reader r = sp_reader(in);
	struct sp_bytes line = sp_rd_until(&r, '\n');
	return r.bad ? SP_OK : toy_line(s, line);
}

static int
toy_admitted(struct sp_session *s, const struct sp_admission *a)
{
	struct toy_state *t = sp_state(s);
	if (a->what == SP_REFUSE)
		return sp_fail(s, SP_EDENIED, "refused");
	t->asked = a->what == SP_ADMIT;
	return SP_OK;
}

static int
toy_open(struct sp_session *s)
{
	return the_world->slow_login ? SP_OK : sp_ready(s);
}

static int
toy_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *r)
{
	struct world *v = the_world;
	v->verdicts++;
	v->what = r->what;
	v->because = r->because;
	snprintf(v->message, sizeof(v->message), "%s", r->message);
	bool allowed = r->what == SP_ALLOW;
	if (allowed && v->keep)
		return SP_OK;
	int rc = sp_put(s, allowed ? SP_TARGET : SP_CLIENT, allowed ? sp_op_text(op) : SP_LIT("NO "));
	if (rc == SP_OK && !allowed)
		rc = sp_put(s, SP_CLIENT, sp_str(r->message));
	return rc != SP_OK ? rc : sp_put(s, allowed ? SP_TARGET : SP_CLIENT, SP_LIT("\n"));
}

static int
toy_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h)
{
	(void)s, (void)op;
	the_world->held++;
	snprintf(the_world->hold, sizeof(the_world->hold), "%s", h->id);
	return SP_OK;
}

static int
toy_drained(struct sp_session *s, enum sp_side side)
{
	(void)s, (void)side;
	the_world->drained++;
	return SP_OK;
}

static int
toy_eof(struct sp_session *s, enum sp_side side)
{
	return the_world->half_close ? sp_shut(s, SP_OTHER(side)) : sp_fail(s, SP_EIO, "the peer left");
}

static int
toy_notice(struct sp_session *s, const char *text)
{
	the_world->notices++;
	return sp_put(s, SP_CLIENT, sp_str(text));
}

static int
toy_end(struct sp_session *s, enum sp_why why, const char *text)
{
	(void)why;
	int rc = sp_put(s, SP_CLIENT, SP_LIT("BYE "));
	return rc != SP_OK ? rc : sp_put(s, SP_CLIENT, sp_str(text));
}

static void
toy_close(struct sp_session *s)
{
	struct world *v = the_world;
	v->closed++;
	v->why = s->why;
	snprintf(v->end, sizeof(v->end), "%s", s->end_text == NULL ? "" : s->end_text);
	if (v->s == s)
		v->s = NULL;
}

struct sp_module toy = { .abi_major = SP_ABI_MAJOR, .abi_minor = SP_ABI_MINOR, .size = sizeof(struct sp_module), .name = "toy",
	.directives = directives, .attrs = attrs, .kinds = kinds, .session_size = sizeof(struct toy_state), .classify = toy_classify, .skeleton = toy_skeleton,
	.admitted = toy_admitted, .open = toy_open, .data = toy_data, .held = toy_held, .verdict = toy_verdict, .drained = toy_drained,
	.eof = toy_eof, .notice = toy_notice, .end = toy_end, .close = toy_close };

/* ---- epochs ---- */

struct epoch *
world_make_epoch(struct world *v, const char *conf, const char *policy)
{
	char text[2048];
	struct epoch *e = mem_alloc(sizeof(*e));
	struct conf_node *top = NULL;
	const char *why = "";
	snprintf(text, sizeof(text),
	    "%s\nlistener l { listen 127.0.0.1:1; protocol toy; cleartext loopback; }\n"
	    "target %s { protocol toy; server 127.0.0.1:%u; tls off; policy p.lua; allow users=ann; login user=gate; }\n", conf,
	    v->target_name[0] == '\0' ? "t" : v->target_name, v->port);
	e->arena = arena_new(0);
	e->number = ++v->number;
	int rc = conf_parse(e->arena, "test.conf", sp_str(arena_string(e->arena, sp_str(text))), &top, &why);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, top, &e->settings, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	e->policies = arena_alloc(e->arena, sizeof(*e->policies));
	e->npolicies = 1;
	*e->policies = (struct policy_source){ .path = "p.lua", .text = sp_str(arena_string(e->arena, sp_str(policy))) };
	digest_sha256(e->policies->text, e->policies->hash);
	return e;
}

void
world_epoch(struct world *v, const char *conf, const char *policy)
{
	const char *why = "";
	struct epoch *e = world_make_epoch(v, conf, policy);
	/* the first is made by hand: a worker's start would load modules from files, and lock us down */
	int rc = v->w->epoch == NULL ? epoch_use(v->w, e, &v->w->epoch, &why) : worker_handler.epoch(v->w, e, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	world_turn(v);
}

/* ---- the loop ---- */

int world_rounds = EVLOOP_NONBLOCK;

void
world_turn_once(struct world *v)
{
	(void)event_base_loop(v->base, world_rounds);
	worker_handler.turned(v->w);
}

void
world_turn_open(struct world *v)
{
	(void)event_base_loop(v->base, EVLOOP_NONBLOCK);
	reads_go(v->w->reads);
}

void
world_turn(struct world *v)
{
	for (unsigned i = 0; i < TURNS; i++)
		world_turn_once(v);
}

static void
listen_for_target(struct world *v)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	v->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(v->listening, (struct sockaddr *)&a, sizeof(a)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(v->listening, 8), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(v->listening, (struct sockaddr *)&a, &len), 0);
	v->port = ntohs(a.sin_port);
}

size_t world_ring = 4u << 20;

static void
give_memory(struct world *v)
{
	int ring, board;
	CU_ASSERT_EQUAL_FATAL(ring_create(world_ring, &ring), SP_OK);
	CU_ASSERT_EQUAL_FATAL(ring_map(ring, &v->recorder), SP_OK);
	CU_ASSERT_EQUAL_FATAL(board_create(&board), SP_OK);
	struct message m = { .type = MSG_BOARD, .fd = { board, -1, -1 }, .nfds = 1 };
	CU_ASSERT_EQUAL_FATAL(worker_handler.message(v->w, NULL, &m), SP_OK);
	m = (struct message){ .type = MSG_RING, .fd = { ring, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) }, .nfds = 3 };
	CU_ASSERT_EQUAL_FATAL(worker_handler.message(v->w, NULL, &m), SP_OK);
	close(ring);
	close(board);
}

void
world_begin(struct world *v, const char *conf, const char *policy)
{
	static const struct sp_module *const modules[] = { &toy, NULL };
	static bool prepared;
	if (!prepared)
		CU_ASSERT_EQUAL_FATAL(policy_prepare(), SP_OK);
	prepared = true;
	memset(v, 0, sizeof(*v));
	v->client = v->target = -1;
	v->w = &the_worker;
	v->base = event_base_new();
	memset(v->w, 0, sizeof(*v->w));
	worker_init(v->w);
	worker_events(v->w, v->base);
	v->w->modules = modules;
	the_world = v;
	listen_for_target(v);
	give_memory(v);
	world_keeper(v);
	world_epoch(v, conf, policy);
}

void
world_end(struct world *v)
{
	struct worker *w = v->w;
	LIST_EACH(n, next, &w->sessions)
		session_finish(LIST_OF(n, struct sp_session, all), SP_END_SHUTDOWN, "the test ends");
	world_turn(v);
	w->now = clock_mono_ms() + 60000; /* whoever still says farewell */
	LIST_EACH(n, next, &w->sessions)
		session_tick(LIST_OF(n, struct sp_session, all));
	world_turn(v);
	CU_ASSERT_EQUAL(w->nsessions, 0);
	world_keeper_away(v);
	link_free(&w->keeper);
	world_forget(v);
	epoch_use_unref(&w->epoch);
	event_del(&w->bell);
	close(w->ring_bell);
	close(w->recorder_bell);
	ring_unmap(&w->ring);
	ring_unmap(&v->recorder);
	board_unmap(&w->board);
	buffer_free(&w->overflow);
	arena_free(&w->arena);
	free(w->scratch);
	buffer_free(&w->fields);
	reads_free(&w->reads);
	sends_free(&w->sends);
	free(w->writer.p);
	const int fds[] = { v->client, v->target, v->listening };
	for (size_t i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	the_world = NULL;
	event_base_free(v->base);
}

/* ---- the client and the target ---- */

void
world_connect(struct world *v)
{
	int fd[2];
	if (v->client >= 0)
		close(v->client);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	v->client = fd[0];
	v->w->now = clock_mono_ms();
	session_accept(v->w, v->w->epoch->listener[0].listener, fd[1], "10.1.2.3");
	v->s = LIST_OF(v->w->sessions.node.prev, struct sp_session, all);
	v->made++;
}

void
world_say(struct world *v, const char *text)
{
	CU_ASSERT_EQUAL(write(v->client, text, strlen(text)), (ssize_t)strlen(text));
	world_turn(v);
}

void
world_hello(struct world *v)
{
	world_say(v, "s3cret-token\n");
}

void
world_admit(struct world *v)
{
	struct message m = { .type = MSG_ADMITTED, .f = { S(((struct sp_bytes){ v->s->id, ID_LEN })), Q(SP_ADMIT), Z(""), Z(""), Z(PRINCIPAL),
		Z("t"), Z("gate"), Q(0), Q(0) } };
	world_tell(v, &m);
}

void
world_accept_target(struct world *v)
{
	if (v->target >= 0)
		close(v->target);
	v->target = accept4(v->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CU_ASSERT_FATAL(v->target >= 0);
	world_turn(v);
}

void
world_run(struct world *v)
{
	world_connect(v);
	world_hello(v);
	world_admit(v);
	world_accept_target(v);
	CU_ASSERT_PTR_NOT_NULL_FATAL(v->s);
	CU_ASSERT_EQUAL_FATAL(v->s->state, SESSION_RUN);
}

void
world_another(struct world *v, int *client_r, int *target_r)
{
	v->client = v->target = -1;
	world_connect(v);
	world_hello(v);
	world_admit(v);
	world_accept_target(v);
	*client_r = v->client;
	*target_r = v->target;
}

const char *
world_read(int fd)
{
	static char text[1u << 16];
	size_t n = 0;
	for (ssize_t got; n < sizeof(text) - 1 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0;)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

/* ---- the keeper ---- */

static int
on_heard(void *owner, struct link *l, struct message *m)
{
	struct world *v = owner;
	(void)l;
	if (v->nheard == sizeof(v->heard) / sizeof(*v->heard))
		return SP_OK;
	struct heard *h = &v->heard[v->nheard++];
	CU_ASSERT_EQUAL(message_encode(m, &h->bytes), SP_OK);
	CU_ASSERT(message_decode(buffer_bytes(&h->bytes), &h->m) > 0);
	return SP_OK;
}

static void
on_worker_gone(void *owner, struct link *l, const char *why)
{
	(void)owner, (void)l, (void)why;
}

void
world_keeper(struct world *v)
{
	int fd[2];
	const struct link_handler h = { on_heard, on_worker_gone, v };
	CU_ASSERT_EQUAL_FATAL(link_pair(fd), SP_OK);
	link_free(&v->keeper);
	v->keeper = link_new(v->base, fd[0], ROLE_KEEPER, ROLE_WORKER, 0, &h);
	CU_ASSERT_EQUAL_FATAL(worker_handler.link(v->w, ROLE_KEEPER, 0, fd[1]), SP_OK);
	world_turn(v);
}

void
world_keeper_away(struct world *v)
{
	link_free(&v->keeper);
	world_turn(v);
	CU_ASSERT_PTR_NULL(v->w->keeper);
}

void
world_tell(struct world *v, struct message *m)
{
	CU_ASSERT_EQUAL(link_send(v->keeper, m), SP_OK);
	world_turn(v);
}

const struct message *
world_heard(const struct world *v, unsigned type)
{
	for (size_t i = v->nheard; i > 0; i--)
		if (v->heard[i - 1].m.type == type)
			return &v->heard[i - 1].m;
	return NULL;
}

unsigned
world_heard_times(const struct world *v, unsigned type)
{
	unsigned n = 0;
	for (size_t i = 0; i < v->nheard; i++)
		n += v->heard[i].m.type == type;
	return n;
}

void
world_held(struct world *v, unsigned op, const char *approval)
{
	struct message m = { .type = MSG_HELD, .f = { S(((struct sp_bytes){ v->s->id, ID_LEN })), Q(op), Z(approval), Z("0123456789ab"),
		Z("it waits") } };
	for (size_t i = v->nheard; i > 0 && v->nrequests < sizeof(v->request) / sizeof(*v->request); i--) {
		const struct message *h = &v->heard[i - 1].m;
		if (h->type != MSG_HOLD || h->f[1].q != op)
			continue;
		snprintf(v->request[v->nrequests].name, sizeof(v->request[0].name), "%s", approval);
		memcpy(v->request[v->nrequests++].hash, h->f[2].s.p, DIGEST_LEN);
		break;
	}
	world_tell(v, &m);
}

void
world_decide(struct world *v, unsigned op, const char *approval, bool allow)
{
	static const uint8_t none[DIGEST_LEN];
	struct message m = { .type = MSG_DECISION, .f = { S(((struct sp_bytes){ v->s->id, ID_LEN })), Q(op), Z(approval), Q(allow),
		Z("[\"bob\"]"), Z(""), S(((struct sp_bytes){ none, DIGEST_LEN })) } };
	for (unsigned i = 0; i < v->nrequests; i++)
		if (strcmp(v->request[i].name, approval) == 0)
			m.f[6].s.p = v->request[i].hash;
	world_tell(v, &m);
}

/* ---- the recorder ---- */

const char *
world_recorded(struct world *v)
{
	uint8_t session[ID_LEN];
	struct sp_bytes b;
	struct frame f;
	while (ring_take(v->recorder, session, &b) == 1) {
		struct frames_walk all = { .in = sp_reader(b) };
		int rc;
		while ((rc = frames_next(&all, &f)) == 1) {
			CU_ASSERT_EQUAL(frame_note(&f), SP_OK);
			CU_ASSERT_EQUAL(buffer_printf(&v->recorded, "%s%s", v->recorded.len > 0 ? " " : "", frame_name((unsigned)f.type)), SP_OK);
			CU_ASSERT_EQUAL(buffer_put(&v->payloads, f.payload), SP_OK);
		}
		CU_ASSERT_EQUAL(rc, 0);
	}
	ring_taken(v->recorder);
	static char text[4096];
	snprintf(text, sizeof(text), "%.*s", (int)v->recorded.len, v->recorded.len == 0 ? "" : (const char *)buffer_bytes(&v->recorded).p);
	return text;
}

void
world_hear_anew(struct world *v)
{
	for (size_t i = 0; i < v->nheard; i++)
		buffer_free(&v->heard[i].bytes);
	v->nheard = 0;
}

void
world_forget(struct world *v)
{
	if (v->recorder != NULL)
		(void)world_recorded(v);
	buffer_free(&v->recorded);
	buffer_free(&v->payloads);
	world_hear_anew(v);
	v->at_send[0] = '\0';
}

void
world_synced(struct world *v)
{
	(void)world_recorded(v);
	ring_synced_set(v->recorder);
	v->w->now = clock_mono_ms();
	record_progress(v->w);
	world_turn(v);
}
