/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk (PG2, PG5, PG19): every message in every state, from both sides.
 *
 *   for each state      played from tests/module/postgres/states
 *     for each type     0 … 255, with several bodies and lengths
 *       a row below     handled, or ended with a reason
 *       no row          ended with a reason, nothing forwarded
 *
 * What a state accepts is written down here a second time, so that a row which slips into the
 * module's table is noticed.
 */
#include <config.h>

#include "transcript.h"

#include "modules/postgres/postgres.h"

#include "postgres_target.h"

#include <stdio.h>
#include <stdlib.h>

extern const struct sp_module sallyport_module_postgres;

#define PLENTY (128u << 10) /* nothing may make the module ask for more than that */

struct state {
	const char *name; /* of its file */
	enum sp_side side;
	enum pg_state state;
	const char *accepts;
};

#define ALWAYS "ESNA"

static const struct state states[] = {
	{ "password", SP_CLIENT, C_PASSWORD, "pX" },
	{ "ticket", SP_CLIENT, C_SASL, "pX" },
	{ "ticket-wait", SP_CLIENT, C_SASL_WAIT, "" },
	{ "ticket-proof", SP_CLIENT, C_SASL_PROOF, "pX" },
	{ "login", SP_CLIENT, C_LOGIN, "" },
	{ "ready", SP_CLIENT, C_READY, "QFPBDECHSdcfX" },
	{ "held", SP_CLIENT, C_READY, NULL }, /* nothing is looked at */
	{ "skip", SP_CLIENT, C_SKIP, "QFPBDECHSdcfX" },
	{ "copy", SP_CLIENT, C_COPY, "dcfHS" },
	{ "auth", SP_TARGET, T_AUTH, "REN" },
	{ "sasl", SP_TARGET, T_SASL, "RE" },
	{ "setup", SP_TARGET, T_SETUP, "ENSKZ" },
	{ "idle", SP_TARGET, T_IDLE, ALWAYS },
	{ "query", SP_TARGET, T_QUERY, ALWAYS "TCIZGH" },
	{ "query-rows", SP_TARGET, T_QUERY_ROWS, ALWAYS "DC" },
	{ "query-masked", SP_TARGET, T_QUERY_ROWS, ALWAYS "DC" },
	{ "copy-in", SP_TARGET, T_COPY_IN, ALWAYS },
	{ "copy-out", SP_TARGET, T_COPY_OUT, ALWAYS "dc" },
	{ "parse", SP_TARGET, T_PARSE, ALWAYS "1" },
	{ "bind", SP_TARGET, T_BIND, ALWAYS "2" },
	{ "describe-statement", SP_TARGET, T_DESCRIBE_STATEMENT, ALWAYS "t" },
	{ "describe-fields", SP_TARGET, T_DESCRIBE_FIELDS, ALWAYS "Tn" },
	{ "describe-portal", SP_TARGET, T_DESCRIBE_PORTAL, ALWAYS "Tn" },
	{ "execute", SP_TARGET, T_EXECUTE, ALWAYS "DCIsGH" },
	{ "execute-copy-in", SP_TARGET, T_EXECUTE_COPY_IN, ALWAYS },
	{ "execute-copy-out", SP_TARGET, T_EXECUTE_COPY_OUT, ALWAYS "dc" },
	{ "close", SP_TARGET, T_CLOSE, ALWAYS "3" },
	{ "sync", SP_TARGET, T_SYNC, ALWAYS "Z" },
	{ "own", SP_TARGET, T_OWN, ALWAYS "123TDCZtn" },
	{ "refused", SP_TARGET, T_REFUSED, ALWAYS },
};
#define STATES (sizeof(states) / sizeof(*states))

static unsigned failures, walked;
static char folder[1024];

static void
prepare(struct fake *f)
{
	fake_side(f, postgres_target_answer, NULL);
}

static struct fake *
begin(const char *name)
{
	char file[128];
	struct transcript t = { .module = &sallyport_module_postgres, .folder = folder, .prepare = prepare };
	(void)snprintf(file, sizeof(file), "states/%s.inc", name);
	struct fake *f = transcript_begin(&t, file);
	if (f == NULL) {
		(void)fprintf(stderr, "FAIL %s\n", t.error_r);
		exit(1);
	}
	(void)fake_largest(f);
	return f;
}

static void
check(const char *name, unsigned type, const char *what, bool ok)
{
	walked++;
	if (ok)
		return;
	failures++;
	(void)fprintf(stderr, "FAIL state %s, message %u: %s\n", name, type, what);
}

static enum pg_state
state_now(const struct fake *f, enum sp_side side)
{
	const struct pg *p = sp_state(fake_session(f));
	return side == SP_CLIENT ? p->client : pg_target_state(p);
}

static bool
is_accepted(const struct state *s, unsigned type)
{
	return type > 0 && type < 128 && strchr(s->accepts, (int)type) != NULL;
}

/* It ended for the reason that the log has, and let nothing through. */
static bool
ended_silently(const struct fake *f)
{
	return fake_ended(f) && fake_why(f)[0] != '\0' && fake_output(f, SP_CLIENT).len == 0 && fake_output(f, SP_TARGET).len == 0;
}

/* ---- one message ---- */

static void
feed(struct fake *f, enum sp_side side, unsigned type, uint32_t length, struct sp_bytes body)
{
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	sp_wr_u8(&w, (uint8_t)type);
	sp_wr_be32(&w, length);
	sp_wr_put(&w, body);
	(void)fake_input(f, side, w.p, w.len);
}

static void
walk_body(const struct state *s, unsigned type, struct sp_bytes body)
{
	struct fake *f = begin(s->name);
	feed(f, s->side, type, (uint32_t)body.len + 4, body);
	if (s->accepts == NULL) {
		check(s->name, type, "was looked at while a verdict is awaited", !fake_ended(f) && fake_output(f, SP_TARGET).len == 0);
	} else if (!is_accepted(s, type)) {
		check(s->name, type, "is not in the table and did not end the session", ended_silently(f));
		check(s->name, type, "has another reason than the table", strstr(fake_why(f), "is not acceptable") != NULL);
	} else {
		check(s->name, type, "ended the session without a reason", fake_error(f) == SP_OK || fake_why(f)[0] != '\0');
		check(s->name, type, "is in the table and was not acceptable", strstr(fake_why(f), "is not acceptable") == NULL);
	}
	fake_free(&f);
}

/* Lengths that can't be: ended at once, on the header alone, before anything of that size is asked for. */
static void
walk_lengths(const struct state *s, unsigned type)
{
	static const uint32_t impossible[] = { 0, 3, 0x80000000, 0xffffffff, 1, 0x3fffffff, 0x40000000, 0x7fffffff, 0xfffffffb };
	size_t n = s->accepts == NULL ? 0 : is_accepted(s, type) ? sizeof(impossible) / sizeof(*impossible) : 4;
	for (size_t i = 0; i < n; i++) {
		struct fake *f = begin(s->name);
		feed(f, s->side, type, impossible[i], (struct sp_bytes){ NULL, 0 });
		check(s->name, type, "with an impossible length did not end the session", ended_silently(f));
		check(s->name, type, "with an impossible length made the module ask for much", fake_largest(f) <= PLENTY);
		fake_free(&f);
	}
}

static void
walk_state(const struct state *s)
{
	uint8_t zeros[64] = { 0 }, ones[64], text[64];
	memset(ones, 0xff, sizeof(ones));
	memset(text, 'A', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	struct fake *f = begin(s->name);
	check(s->name, 0, "its file does not lead there", state_now(f, s->side) == s->state);
	fake_free(&f);
	for (unsigned type = 0; type < 256; type++) {
		walk_body(s, type, (struct sp_bytes){ NULL, 0 });
		walk_body(s, type, (struct sp_bytes){ ones, 5 });
		bool listed = s->accepts != NULL && is_accepted(s, type);
		for (size_t n = 1; listed && n <= sizeof(zeros); n = n < 12 ? n + 1 : n * 2 + 1) {
			walk_body(s, type, (struct sp_bytes){ zeros, n });
			walk_body(s, type, (struct sp_bytes){ ones, n });
			walk_body(s, type, (struct sp_bytes){ text + sizeof(text) - n, n });
		}
		walk_lengths(s, type);
	}
}

/* ---- untyped packets ---- */

static void
walk_packet(const char *name, uint32_t length, uint32_t code, bool possible)
{
	uint8_t space[16];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct fake *f = begin(name);
	sp_wr_be32(&w, length);
	sp_wr_be32(&w, code);
	(void)fake_input(f, SP_CLIENT, w.p, w.len);
	check(name, code, "of an impossible length did not end the session", possible ? !fake_ended(f) : ended_silently(f));
	check(name, code, "asks for more than 10 kB before authentication", fake_largest(f) <= 10000);
	fake_free(&f);
}

static void
walk_packets(const char *name)
{
	static const uint32_t code[] = { 0x30000, 0x30002, 0, 0xffffffff, 80877102, 80877103, 80877104 };
	static const uint32_t impossible[] = { 0, 3, 4, 7, 10001, 0x40000004, 0x80000000, 0xffffffff };
	for (size_t i = 0; i < sizeof(code) / sizeof(*code); i++)
		for (size_t k = 0; k < sizeof(impossible) / sizeof(*impossible); k++)
			walk_packet(name, impossible[k], code[i], false);
	walk_packet(name, 10000, 0x30000, true);
	for (unsigned first = 1; first < 256; first++) { /* a length of 16 MB at least, or TLS where it can't be */
		struct fake *f = begin(name);
		uint8_t packet[9] = { (uint8_t)first, 0, 0, 5, 0, 3, 0, 0, 0 };
		(void)fake_input(f, SP_CLIENT, packet, sizeof(packet));
		check(name, first, "began a session", ended_silently(f));
		check(name, first, "made the module ask for much", fake_largest(f) <= 10000);
		fake_free(&f);
	}
}

/* The one byte that answers our SSLRequest. */
static void
walk_ssl_answers(void)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		struct fake *f = begin("ssl");
		uint8_t answer = (uint8_t)byte;
		(void)fake_input(f, SP_TARGET, &answer, 1);
		bool good = byte == 'S' && fake_securing(f, SP_TARGET) && !fake_ended(f);
		check("ssl", byte, "was taken for an answer", good || (byte != 'S' && fake_ended(f) && fake_why(f)[0] != '\0'));
		check("ssl", byte, "made the target get something", fake_output(f, SP_TARGET).len == 0);
		fake_free(&f);
	}
}

int
main(void)
{
	const char *top = getenv("srcdir");
	(void)snprintf(folder, sizeof(folder), "%s/tests/module/postgres", top == NULL ? "." : top);
	for (size_t i = 0; i < STATES; i++)
		walk_state(&states[i]);
	walk_packets("start");
	walk_packets("startup");
	walk_ssl_answers();
	(void)printf("%zu states, %u checks, %u failed\n", STATES, walked, failures);
	return failures > 0;
}
