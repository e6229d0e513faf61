/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole protocol module to copy: lines of text to a target that answers each with one line.
 *
 *   client                         gateway                               target
 *     HELLO user target token\n ─▶ the keeper says who it is ── connect ──▶
 *     ◀─ OK\n                      or NO why\n, and the end
 *     a line\n ──────────────────▶ operation "line.send" ── verdict
 *                                    allow ───────────────────────────────▶ a line\n
 *     ◀──────────────────────────── recorded ◀───────────────────────────── its answer\n
 *     ◀─ NO why\n                    deny: the target never sees it, the session lives on
 *     ◀─ HELD id\n                   a person has to agree: OK, NO or the answer follows
 *
 *   HELLO ─▶ KEEPER ─▶ OPENING ─▶ READY ─▶ ASKED ─▶ ANSWER
 *                                   ▲────────┴────────┘
 *
 * One line is under way at a time: what comes behind it stays in the input, which the core bounds,
 * so that a client which sends too fast has to wait (back-pressure needs no code of ours).
 */
#include <sallyport/module.h>

/* Step 1: the settings of the module, filled in from the configuration before a session begins. */

struct line_conf {
	uint64_t line_max;
};

static const struct sp_directive directives[] = {
	{ "line_max", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_LISTENER | SP_IN_TARGET, offsetof(struct line_conf, line_max), "4k",
	    "Longest line, either way; a longer one ends the session." },
	{ .name = NULL }
};

static int
line_check(void *conf, const char **err_r)
{
	const struct line_conf *c = conf;
	*err_r = "line_max must be between 64 and 64k";
	return c->line_max >= 64 && c->line_max <= 64u << 10 ? SP_OK : SP_ECONF;
}

/* Step 2: what policies may ask about an operation.  The index in this table names the attribute. */

enum { A_TEXT, A_WORDS };

static const struct sp_attr attrs[] = {
	[A_TEXT] = { "text", SP_TYPE_STRING, SP_OF_OPERATION, "line.send", "The line as it was sent." },
	[A_WORDS] = { "words", SP_TYPE_STRINGS, SP_OF_OPERATION, "line.send", "Its words, cut at blanks." },
	{ .name = NULL }
};

static const char *const kinds[] = { "line.send", NULL };

/*
 * Step 3: from text to attributes.  It sees nothing but the text, since `sallyport policy test` and
 * the recordings call it without a session.  What it can't understand it must call unclear: that is
 * denied unless a rule allows it by name.
 */
static int
line_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct sp_reader r = sp_reader(text);
	(void)scope;
	int rc = sp_op_str(op, A_TEXT, text);
	if (rc == SP_OK)
		rc = sp_op_tag(op, "LINE");
	for (size_t i = 0; i < text.len && rc == SP_OK; i++)
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			return sp_op_unclear(op, "control character", SP_LIT("line"));
	while (rc == SP_OK && r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes word = sp_rd_until(&r, ' ');
		if (r.bad) { /* the last one */
			r = rest;
			word = sp_rd_rest(&r);
		}
		if (word.len > 0)
			rc = sp_op_add(op, A_WORDS, word);
	}
	return rc;
}

/* Step 4: the state of a session.  The core zeroes it before accept(): HELLO is zero. */

enum line_state { HELLO, KEEPER, OPENING, READY, ASKED, ANSWER, STATES };

static const char *const state_name[] = { "hello", "keeper", "opening", "ready", "asked", "answer" };
_Static_assert(sizeof(state_name) / sizeof(*state_name) == STATES, "a name for each state");

struct line {
	enum line_state state;
	bool answered;       /* ASKED: the verdict is there */
	enum sp_what what;   /* … and says this; zero denies */
	char message[512];   /* … in these words; the core's own live only until verdict() returns */
	struct sp_op *op;    /* the line under way; ours until sp_op_free() */
};

static void
enter(struct sp_session *s, enum line_state to)
{
	struct line *l = sp_state(s);
	sp_log(s, SP_DEBUG, "%s, then %s", state_name[l->state], state_name[to]);
	l->state = to;
}

/* A line of the gateway's own to the client. */
static int
say(struct sp_session *s, const char *word, const char *text)
{
	struct sp_writer *w = sp_out(s, SP_CLIENT);
	sp_wr_put(w, sp_str(word));
	sp_wr_u8(w, ' ');
	for (const char *c = text; *c != '\0'; c++) /* texts may quote what somebody sent */
		sp_wr_u8(w, (uint8_t)*c < ' ' ? '?' : (uint8_t)*c);
	sp_wr_u8(w, '\n');
	return w->bad ? SP_ETOOBIG : SP_OK;
}

/* The next whole line without its end: 1, or 0 when it is not all there yet. */
static int
next_line(struct sp_session *s, enum sp_side from, struct sp_bytes *line_r)
{
	const struct line_conf *c = sp_conf(s);
	struct sp_bytes in = sp_peek(s, from);
	struct sp_reader r = sp_reader(in);
	*line_r = sp_rd_until(&r, '\n');
	if (!r.bad && line_r->len <= c->line_max)
		return 1;
	if (!r.bad || in.len > c->line_max)
		return sp_fail(s, SP_ETOOBIG, "a line from the %s is longer than line_max", from == SP_CLIENT ? "client" : "target");
	return in.len == 0 ? 0 : sp_want(s, from, in.len + 1, c->line_max + 1);
}

/* Step 5: who is there.  The token goes to the keeper; nothing is believed before its answer. */

static bool
copy_name(char to[64], struct sp_bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	if (name.len == 0 || name.len > 63)
		return false;
	memcpy(to, name.p, name.len);
	to[name.len] = '\0';
	return true;
}

static int
take_hello(struct sp_session *s, struct sp_bytes line)
{
	char user[64], target[64];
	struct sp_reader r = sp_reader(line);
	struct sp_bytes word = sp_rd_until(&r, ' '), who = sp_rd_until(&r, ' '), where = sp_rd_until(&r, ' ');
	struct sp_bytes token = sp_rd_rest(&r);
	if (r.bad || !sp_bytes_is(word, "HELLO") || token.len == 0 || !copy_name(user, who) || !copy_name(target, where))
		return sp_fail(s, SP_EPROTO, "the first line is not HELLO user target token");
	struct sp_proof proof = { .kind = SP_PROOF_BEARER, .secret = token, .user = user, .target = target, .part = "" };
	enter(s, KEEPER);
	int rc = sp_authenticate(s, &proof);
	return rc != SP_OK ? rc : sp_drop(s, SP_CLIENT, line.len + 1); /* and wiped */
}

static int
line_admitted(struct sp_session *s, const struct sp_admission *a)
{
	enter(s, OPENING);
	if (a->what == SP_ADMIT)
		return SP_OK; /* the core connects; open() or end() follows */
	int rc = say(s, "NO", a->text == NULL ? "refused" : a->text);
	return rc != SP_OK ? rc : sp_fail(s, SP_EDENIED, "the keeper refuses the client");
}

/*
 * Step 6: encryption and the target's log-in.  Here both sides speak TLS from the first byte where
 * the configuration has it; a module that ignores sp_tls_mode() sends in clear what must not be.
 */
static int
line_accept(struct sp_session *s)
{
	return sp_tls_mode(s, SP_CLIENT) == SP_TLS_OFF ? SP_OK : sp_starttls(s, SP_CLIENT, true, "line");
}

static int
become_ready(struct sp_session *s)
{
	int rc = sp_ready(s); /* a target with a log-in: sp_prove() first, ready once it is done */
	enter(s, READY);
	return rc != SP_OK ? rc : say(s, "OK", sp_principal(s));
}

static int
line_open(struct sp_session *s)
{
	return sp_tls_mode(s, SP_TARGET) == SP_TLS_OFF ? become_ready(s) : sp_starttls(s, SP_TARGET, true, "line");
}

static int
line_secure(struct sp_session *s, enum sp_side side, const struct sp_tls *t)
{
	(void)t;
	return side == SP_TARGET ? become_ready(s) : SP_OK;
}

/*
 * Step 7: operations.  The line stays in the input until its verdict, so "now" and "when somebody
 * has agreed" are one path: data() is called again, and looks at the same line.
 */
static int
ask(struct sp_session *s, struct sp_bytes text)
{
	struct line *l = sp_state(s);
	l->answered = false;
	l->what = SP_DENY;
	l->op = sp_op_new(s, 0, "line.send", text);
	if (l->op == NULL)
		return SP_ENOMEM;
	enter(s, ASKED);
	return sp_ask(l->op); /* verdict() may come before this returns */
}

static int
line_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *h)
{
	(void)op;
	return say(s, "HELD", h->id);
}

static int
line_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	struct line *l = sp_state(s);
	size_t n = strlen(v->message);
	if (op != l->op)
		return SP_EINTERNAL;
	l->answered = true;
	l->what = v->what;
	n = n < sizeof(l->message) ? n : sizeof(l->message) - 1;
	memcpy(l->message, v->message, n);
	l->message[n] = '\0';
	return SP_OK; /* data() comes for the line that is still there */
}

static int
refuse(struct sp_session *s, size_t size)
{
	struct line *l = sp_state(s);
	int rc = say(s, "NO", l->message);
	if (rc == SP_OK && l->what == SP_KILL)
		return sp_fail(s, SP_EDENIED, "a rule ends the session");
	sp_op_free(&l->op);
	enter(s, READY);
	return rc != SP_OK ? rc : sp_drop(s, SP_CLIENT, size);
}

static int
take_line(struct sp_session *s, struct sp_bytes text)
{
	struct line *l = sp_state(s);
	int rc = l->state == READY ? ask(s, text) : SP_OK;
	if (rc != SP_OK || l->state != ASKED || !l->answered)
		return rc;
	if (l->what != SP_ALLOW)
		return refuse(s, text.len + 1);
	enter(s, ANSWER);
	return sp_pass(s, SP_CLIENT, text.len + 1); /* every byte of it was judged: it goes on as it stands */
}

static int
take_answer(struct sp_session *s, struct sp_bytes text)
{
	struct line *l = sp_state(s);
	if (l->state != ANSWER)
		return sp_fail(s, SP_EPROTO, "the target speaks in state %s", state_name[l->state]);
	struct sp_outcome o = { .rows = 1, .error = "", .text = "LINE" };
	int rc = sp_record(s, l->op, SP_REC_OUTPUT, (struct sp_bytes){ text.p, text.len + 1 }); /* first the record, … */
	if (rc == SP_OK)
		rc = sp_done(l->op, &o);
	sp_op_free(&l->op);
	enter(s, READY);
	return rc != SP_OK ? rc : sp_pass(s, SP_TARGET, text.len + 1); /* … then the client */
}

/* Called while bytes are there that nobody has consumed; consuming none means to wait. */
static int
line_data(struct sp_session *s, enum sp_side from)
{
	const struct line *l = sp_state(s);
	struct sp_bytes text;
	bool waits = from == SP_CLIENT && (l->state == KEEPER || l->state == OPENING || l->state == ANSWER || sp_full(s, SP_CLIENT));
	if (waits)
		return SP_OK;
	int rc = next_line(s, from, &text);
	if (rc <= 0)
		return rc;
	if (from == SP_TARGET)
		return take_answer(s, text);
	return l->state == HELLO ? take_hello(s, text) : take_line(s, text);
}

/* Step 8: the end.  end() may still speak to the client, close() only gives back what is ours. */

static int
line_notice(struct sp_session *s, const char *text)
{
	return say(s, "NOTE", text);
}

static int
line_end(struct sp_session *s, enum sp_why why, const char *text)
{
	(void)why;
	return say(s, "BYE", text);
}

static void
line_close(struct sp_session *s)
{
	struct line *l = sp_state(s);
	sp_op_free(&l->op);
}

SP_MODULE(skeleton) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "skeleton", /* as in load_module and protocol */
	.caps = SP_CAP_STARTTLS,
	.directives = directives,
	.attrs = attrs,
	.kinds = kinds,
	.conf_size = sizeof(struct line_conf),
	.session_size = sizeof(struct line),
	.check = line_check,
	.classify = line_classify,
	.accept = line_accept,
	.admitted = line_admitted,
	.open = line_open,
	.data = line_data,
	.held = line_held,
	.verdict = line_verdict,
	.secure = line_secure,
	.notice = line_notice,
	.end = line_end,
	.close = line_close,
};
