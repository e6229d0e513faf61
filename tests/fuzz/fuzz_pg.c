/* SPDX-License-Identifier: Apache-2.0 */
/* See fuzz_pg.h. */
#include <config.h>

#include "fuzz_pg.h"

#include <stdio.h>
#include <stdlib.h>

#include "modules/postgres/message.h"
#include "tests/module/postgres_target.h"

extern const struct sp_module sallyport_module_postgres;

static const char *const client_states[] = { "start", "startup", "password", "login", "ready", "skip", "copy", "held",
	"refused", "execute-copy-in", "query", "auth", NULL };
static const char *const target_states[] = { "ssl", "auth", "sasl", "setup", "idle", "query", "query-rows", "query-masked",
	"copy-in", "copy-out", "parse", "bind", "describe-statement", "describe-fields", "describe-portal", "execute",
	"execute-copy-in", "execute-copy-out", "close", "sync", "own", "refused", "held", "skip", NULL };

#define FUZZ_MAX (1u << 16) /* bytes of an input */

struct run {
	struct fake *f;
	enum sp_side side;  /* whose bytes come */
	bool both;          /* that changes: event 0d */
	unsigned turn;      /* of the side that the fuzzer does not play */
	bool framed;        /* logged in: what goes out are whole messages */
	uint8_t status;
};

/* ---- invariants ---- */

static void
must(bool what, const char *said)
{
	if (what)
		return;
	(void)fprintf(stderr, "invariant broken: %s\n", said);
	abort();
}

/* Nothing that a rule denies goes out; no message of an unlisted type or an impossible length, either way. */
static void
check_message(enum sp_side to, uint8_t type, struct sp_bytes body)
{
	const char *known = to == SP_TARGET ? "QPBDECHSXdcf" : "RSKZTDC123ntsIENAGHdcv";
	must(type < 128 && type != 0 && strchr(known, type) != NULL, "an unlisted message was sent");
	if (to == SP_TARGET && (type == 'Q' || type == 'P'))
		must(memmem(body.p, body.len, "DENIED", 6) == NULL, "a denied text was sent");
}

/* Takes the whole messages off an output; a rest that is a beginning stays. */
static void
check_output(struct run *r, enum sp_side to)
{
	struct sp_bytes out = fake_output(r->f, to);
	struct sp_reader left = sp_reader(out);
	if (!r->framed) {
		fake_output_take(r->f, to, out.len);
		return;
	}
	while (left.left >= PG_HEADER) {
		struct sp_reader at = left;
		uint8_t type = sp_rd_u8(&at);
		uint32_t length = sp_rd_be32(&at);
		must(length >= 4 && length <= PG_MESSAGE_MAX, "a message of an impossible length was sent");
		struct sp_bytes body = sp_rd_take(&at, length - 4);
		if (at.bad)
			break;
		check_message(to, type, body);
		left = at;
	}
	fake_output_take(r->f, to, out.len - left.left);
}

/* ---- the other side: a server ---- */

static void
answer_row(struct sp_writer *w, bool names)
{
	size_t at = pg_begin(w, 'D');
	sp_wr_be16(w, names ? 5 : 1);
	for (unsigned i = 0; i < (names ? 5u : 1u); i++) {
		sp_wr_be32(w, 1);
		sp_wr_u8(w, '1');
	}
	must(pg_end(w, at) == SP_OK, "no room");
}

static void
answer_columns(struct sp_writer *w)
{
	size_t at = pg_begin(w, 'T');
	sp_wr_be16(w, 1);
	sp_wr_cstr(w, SP_LIT("id"));
	sp_wr_be32(w, 16410);
	sp_wr_be16(w, 1);
	sp_wr_be32(w, 23);
	sp_wr_be16(w, 4);
	sp_wr_be32(w, UINT32_MAX);
	sp_wr_be16(w, 0);
	must(pg_end(w, at) == SP_OK, "no room");
}

static void
answer_copy(struct sp_writer *w, uint8_t type)
{
	size_t at = pg_begin(w, type);
	sp_wr_u8(w, 0);
	sp_wr_be16(w, 0);
	must(pg_end(w, at) == SP_OK, "no room");
}

static bool
has(struct sp_bytes body, const char *word)
{
	return memmem(body.p, body.len, word, strlen(word)) != NULL;
}

static int
answer_statement(struct run *r, struct sp_bytes body, struct sp_writer *w, bool describe)
{
	if (has(body, "BEGIN"))
		r->status = 'T';
	if (has(body, "COMMIT") || has(body, "ROLLBACK"))
		r->status = 'I';
	if (has(body, "FROM STDIN")) {
		answer_copy(w, 'G');
		return 0;
	}
	if (has(body, "TO STDOUT")) {
		answer_copy(w, 'H');
		must(pg_write_empty(w, 'c') == SP_OK, "no room");
	} else {
		if (describe)
			answer_columns(w);
		answer_row(w, has(body, "sallyport_track"));
	}
	return pg_write_cstr(w, 'C', SP_LIT("SELECT 1"));
}

static int
answer_message(struct run *r, uint8_t type, struct sp_bytes body, struct sp_writer *w)
{
	switch (type) {
	case 'Q':
		if (answer_statement(r, body, w, true) != SP_OK || has(body, "FROM STDIN"))
			return SP_OK;
		return pg_write_ready(w, r->status);
	case 'P':
		return pg_write_empty(w, '1');
	case 'B':
		return pg_write_empty(w, '2');
	case 'C':
		return pg_write_empty(w, '3');
	case 'E':
		return answer_statement(r, body, w, false);
	case 'D':
		if (body.len > 0 && body.p[0] == 'S') {
			size_t at = pg_begin(w, 't');
			sp_wr_be16(w, 0);
			must(pg_end(w, at) == SP_OK, "no room");
		}
		answer_columns(w);
		return SP_OK;
	case 'S':
		return pg_write_ready(w, r->status);
	case 'c':
	case 'f':
		must(pg_write_cstr(w, 'C', SP_LIT("COPY 1")) == SP_OK, "no room");
		return pg_write_ready(w, r->status);
	default:
		return SP_OK;
	}
}

/* Answers the next whole message that the target has got; false when there is none. */
static bool
server_turn(struct run *r)
{
	struct sp_bytes out = fake_output(r->f, SP_TARGET);
	struct sp_reader in = sp_reader(out);
	uint8_t space[4096];
	struct sp_writer w = sp_writer(space, sizeof(space));
	if (!r->framed || out.len < PG_HEADER || fake_ended(r->f))
		return false;
	uint8_t type = sp_rd_u8(&in);
	uint32_t length = sp_rd_be32(&in);
	must(length >= 4, "a message of an impossible length was sent");
	struct sp_bytes body = sp_rd_take(&in, length - 4);
	if (in.bad)
		return false;
	check_message(SP_TARGET, type, body);
	if (answer_message(r, type, body, &w) != SP_OK || w.bad)
		return false;
	fake_output_take(r->f, SP_TARGET, out.len - in.left);
	(void)fake_input(r->f, SP_TARGET, w.p, w.len);
	return true;
}

/* ---- the other side: a client ---- */

static void
say(struct sp_writer *w, uint8_t type, struct sp_bytes body)
{
	size_t at = pg_begin(w, type);
	sp_wr_put(w, body);
	must(pg_end(w, at) == SP_OK, "no room");
}

static void
client_turn(struct run *r)
{
	static const char *const texts[] = { "SELECT 1", "BEGIN", "SELECT id, email FROM shop.people", "UPDATE shop.orders SET note = 'x' WHERE id = 1",
		"COPY shop.orders FROM STDIN", "COPY shop.orders TO STDOUT", "COMMIT", "DENIED", "COPY shop.secret TO STDOUT" };
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	unsigned turn = r->turn++;
	const char *text = texts[turn / 3 % (sizeof(texts) / sizeof(*texts))];
	if (turn % 3 == 0) {
		must(pg_write_cstr(&w, 'Q', sp_str(text)) == SP_OK, "no room");
	} else if (turn % 3 == 1) {
		must(pg_write_parse(&w, "", sp_str(text)) == SP_OK, "no room");
		say(&w, 'B', SP_LIT("\0\0\0\0\0\0\0\0"));
		say(&w, 'E', SP_LIT("\0\0\0\0\0"));
	} else {
		say(&w, 'd', SP_LIT("x"));
		say(&w, 'S', SP_LIT(""));
	}
	(void)fake_input(r->f, SP_CLIENT, w.p, w.len);
}

/* ---- running ---- */

static void
turn(struct run *r)
{
	if (r->side == SP_TARGET)
		client_turn(r);
	else
		for (unsigned n = 0; n < 64 && server_turn(r); n++)
			continue;
}

static void
event_of_core(struct run *r, uint8_t what)
{
	struct fake *f = r->f;
	if (what == 7 && fake_waits_for(f, "keeper")) {
		(void)fake_admit(f, SP_ADMIT, "");
		(void)fake_dial(f);
	} else if (what == 9) {
		for (unsigned side = 0; side < 2; side++)
			if (fake_securing(f, side))
				(void)fake_secured(f, side, "postgresql");
	} else if (what == 10 && fake_waits_for(f, "proof")) {
		(void)fake_proved(f, true, SP_LIT("proof"));
	}
}

static void
event(struct run *r, uint8_t what)
{
	struct fake *f = r->f;
	if (fake_ended(f))
		return;
	if ((what == 1 || what == 2) && fake_waits_for(f, "person"))
		(void)fake_decide(f, what == 1);
	else if (what == 3)
		(void)fake_cancel(f);
	else if (what == 4 || what == 5)
		fake_full(f, SP_OTHER(r->side), what == 4);
	else if (what == 6)
		(void)fake_notice(f, "soon");
	else if (what == 11)
		turn(r);
	else if (what == 12)
		fake_stands(f, false);
	else if (what == 13 && r->both)
		r->side = SP_OTHER(r->side);
	else
		event_of_core(r, what);
}

static void
prepare(struct fake *f)
{
	fake_side(f, postgres_target_answer, NULL);
}

static struct fake *
begin(const char *state)
{
	char file[64];
	struct transcript t = { .module = &sallyport_module_postgres, .folder = TRANSCRIPTS, .prepare = prepare };
	(void)snprintf(file, sizeof(file), "states/%s.inc", state);
	struct fake *f = transcript_begin(&t, file);
	must(f != NULL, t.error_r);
	fake_rule(f, "UPDATE", FAKE_HOLD, 0);
	fake_rule(f, "SELECT 7", FAKE_ALLOW, 1);
	fake_rule(f, "DENIED", FAKE_DENY, 0);
	fake_mask(f, "email", SP_MASK_TEXT);
	return f;
}

static void
flush(struct run *r, const uint8_t *bytes, size_t *n)
{
	if (*n > 0 && !fake_ended(r->f))
		(void)fake_input(r->f, r->side, bytes, *n);
	*n = 0;
	if (r->side == SP_TARGET)
		check_output(r, SP_TARGET);
	check_output(r, SP_CLIENT);
}

static bool
is_logged_in(const char *state)
{
	static const char *const before[] = { "start", "startup", "password", "login", "ssl", "auth", "sasl", "setup" };
	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++)
		if (strcmp(state, before[i]) == 0)
			return false;
	return true;
}

static size_t
count(const char *const *names)
{
	size_t n = 0;
	while (names[n] != NULL)
		n++;
	return n;
}

static void
run(const char *state, struct run r, const uint8_t *data, size_t size)
{
	static uint8_t bytes[FUZZ_MAX];
	size_t n = 0;
	r.f = begin(state);
	r.framed = is_logged_in(state);
	r.status = 'I';
	for (size_t i = 1; i < size; i++) {
		if (data[i] != 0xfe || i + 1 == size || data[i + 1] == 0xfe) {
			i += data[i] == 0xfe && i + 1 < size;
			bytes[n++] = data[i];
			continue;
		}
		flush(&r, bytes, &n);
		event(&r, data[++i]);
	}
	flush(&r, bytes, &n);
	turn(&r);
	flush(&r, bytes, &n);
	must(fake_error(r.f) == SP_OK || fake_why(r.f)[0] != '\0', "a session ended without a reason");
	fake_free(&r.f);
}

void
fuzz_pg_run(enum sp_side side, const uint8_t *data, size_t size)
{
	const char *const *names = side == SP_CLIENT ? client_states : target_states;
	if (size > 0 && size <= FUZZ_MAX)
		run(names[data[0] % count(names)], (struct run){ .side = side }, data, size);
}

void
fuzz_pg_session(const uint8_t *data, size_t size)
{
	size_t clients = count(client_states), at = size == 0 ? 0 : data[0] % (clients + count(target_states));
	const char *state = at < clients ? client_states[at] : target_states[at - clients];
	if (size > 0 && size <= FUZZ_MAX)
		run(state, (struct run){ .side = at < clients ? SP_CLIENT : SP_TARGET, .both = true }, data, size);
}
