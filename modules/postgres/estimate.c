/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the planner, on a side session of its own for each held statement: see estimate.h.
 *
 * What it tells an approver is made of our own words, a number, and names cut short: nothing that the
 * target says in its own is passed on (P12).  Whatever happens, the session is closed at the end, and
 * its transaction with it.
 */
#include "estimate.h"

#include <stdio.h>
#include <stdlib.h>

#include "catalogue.h"
#include "track.h"

#define AT_ONCE 8u      /* in this worker */
#define PATIENCE 2000u  /* ms for all of it, once it is logged in; then it is cancelled */
#define CANCELS 30u     /* so often, each PATIENCE later: then its backend is given up */
#define REQUEST_MAX 64u
#define PARAMS_MAX 256u
#define BUILT_IN 16384u /* types with lower numbers are */

struct estimating {     /* what the side session carries; its own, since it outlives who asked */
	struct pg_estimate e;
	char request[REQUEST_MAX];
	enum pg_estimate_step step;
	bool failed, told;
	uint64_t rows;
	bool have;
	unsigned late;              /* times that it was cancelled */
	size_t len;                 /* of the messages that ask */
	uint8_t text[PG_ESTIMATE_SQL + 2 * PG_ESTIMATE_TEXT + 512];
};

static unsigned running;

static struct estimating *
of(const struct pg *p)
{
	return strcmp(sp_purpose(p->s), "estimate") == 0 ? sp_cookie(p->s) : NULL;
}

static void
tell(struct sp_session *s, const char *request, const char *why)
{
	char text[256];
	(void)snprintf(text, sizeof(text), "not estimated: %s", why);
	sp_estimated(s, request, text);
}

static void
refuse(struct pg *p, struct estimating *g, const char *why)
{
	if (!g->told)
		tell(p->s, g->request, why);
	g->told = g->failed = true;
}

/* Values as the client bound them: with types of somebody's own the server would run what reads them. */
static const char *
write_bind(struct sp_writer *w, const struct sp_op *op, unsigned n)
{
	struct sp_value v;
	size_t at = pg_begin(w, 'B');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_be16(w, (uint16_t)n);
	for (unsigned i = 0; sp_op_param_at(op, i, &v); i++) {
		sp_wr_be16(w, v.format);
		if (v.type >= BUILT_IN)
			return "a parameter's type is not built in";
	}
	sp_wr_be16(w, (uint16_t)n);
	for (unsigned i = 0; sp_op_param_at(op, i, &v); i++) {
		sp_wr_be32(w, v.null ? UINT32_MAX : (uint32_t)v.bytes.len);
		if (!v.null)
			sp_wr_put(w, v.bytes);
	}
	sp_wr_be16(w, 0);
	return pg_end(w, at) == SP_OK ? NULL : "its parameters are too long";
}

/* Its words are pg_catalog's; no row, or division by zero: then nothing behind it runs. */
static const char guard_path[] = "SET LOCAL search_path = pg_catalog, pg_temp";
static const char guard_begin[] = "SELECT 1 FROM (SELECT count(*) AS n FROM (", guard_end[] = ") AS g) AS h WHERE 1 / (1 - n) = 0";

/* One statement without parameters: Parse, Bind, Execute. */
static bool
write_statement(struct sp_writer *w, struct sp_bytes before, struct sp_bytes text, struct sp_bytes after)
{
	size_t at = pg_begin(w, 'P');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_put(w, before);
	sp_wr_put(w, text);
	sp_wr_cstr(w, after);
	sp_wr_be16(w, 0);
	if (pg_end(w, at) != SP_OK)
		return false;
	at = pg_begin(w, 'B');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_cstr(w, SP_LIT(""));
	for (unsigned i = 0; i < 3; i++)
		sp_wr_be16(w, 0);
	if (pg_end(w, at) != SP_OK)
		return false;
	at = pg_begin(w, 'E');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_be32(w, 0);
	return pg_end(w, at) == SP_OK;
}

static const char *
write_simple(struct sp_writer *w, const struct estimating *g, struct sp_bytes text)
{
	const struct sp_bytes part[] = { sp_str(guard_path), SP_LIT("; "), sp_str(guard_begin), g->e.check, sp_str(guard_end), SP_LIT("; "),
		g->e.set_path, SP_LIT("; ") };
	size_t at = pg_begin(w, 'Q');
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++)
		sp_wr_put(w, part[i]);
	sp_wr_cstr(w, text);
	return pg_end(w, at) == SP_OK ? NULL : "it is too long";
}

static const char *
write_extended(struct sp_writer *w, const struct sp_op *op, struct sp_bytes text, unsigned n)
{
	struct sp_value v;
	size_t at = pg_begin(w, 'P');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_cstr(w, text);
	sp_wr_be16(w, (uint16_t)n);
	for (unsigned i = 0; sp_op_param_at(op, i, &v); i++)
		sp_wr_be32(w, v.type);
	if (pg_end(w, at) != SP_OK)
		return "it is too long";
	const char *why = write_bind(w, op, n);
	if (why != NULL)
		return why;
	at = pg_begin(w, 'E');
	sp_wr_cstr(w, SP_LIT(""));
	sp_wr_be32(w, 0);
	return pg_end(w, at) == SP_OK && pg_write_empty(w, 'S') == SP_OK ? NULL : "its parameters are too long";
}

/* The messages that ask, and no other; NULL, or why not. */
static const char *
write_question(struct estimating *g, const struct sp_op *op, unsigned n)
{
	uint8_t memory[PG_ESTIMATE_TEXT + 64];
	struct sp_writer text = sp_writer(memory, sizeof(memory)), w = sp_writer(g->text, sizeof(g->text));
	const char *why = NULL;
	sp_wr_put(&text, SP_LIT("EXPLAIN (FORMAT JSON) "));
	sp_wr_put(&text, sp_op_text(op));
	if (text.bad)
		return "it is too long";
	if (n == 0)
		why = write_simple(&w, g, sp_written(&text));
	else if (!write_statement(&w, SP_LIT(""), sp_str(guard_path), SP_LIT("")) ||
	    !write_statement(&w, sp_str(guard_begin), g->e.check, sp_str(guard_end)) ||
	    !write_statement(&w, SP_LIT(""), g->e.set_path, SP_LIT("")))
		why = "it is too long";
	else
		why = write_extended(&w, op, sp_written(&text), n);
	g->len = w.bad ? 0 : w.len;
	return why;
}

static unsigned
count_params(const struct sp_op *op)
{
	struct sp_value v;
	unsigned n = 0;
	while (n <= PARAMS_MAX && sp_op_param_at(op, n, &v))
		n++;
	return n;
}

void
pg_estimate(struct sp_session *s, struct sp_op *op, const char *request)
{
	struct pg *p = sp_state(s);
	struct estimating *g = running < AT_ONCE ? calloc(1, sizeof(*g)) : NULL;
	unsigned n = count_params(op);
	if (g == NULL) {
		tell(s, request, "too many others are being estimated");
		return;
	}
	(void)snprintf(g->request, sizeof(g->request), "%s", request);
	pg_estimate_choose(pg_track_view(p), sp_op_text(op), n > 0, &g->e);
	const char *why = g->e.why[0] != '\0' ? g->e.why : n > PARAMS_MAX ? "it has too many parameters" : write_question(g, op, n);
	if (why != NULL) {
		tell(s, request, why);
	} else if (sp_side_session(s, "estimate", g) != NULL) {
		running++;
		return;
	} else {
		tell(s, request, "no connection could be made");
	}
	free(g);
}

/* ---- on the side session ---- */

/* Recorded as what it is; the statement itself may hold what recordings must not, and stands in its own session's. */
static int
send(struct pg *p, struct estimating *g)
{
	static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = 200; SET LOCAL lock_timeout = 200; "
				    "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL jit = off";
	const struct sp_bytes text[PG_ESTIMATE_STEPS] = { [PG_ESTIMATE_BEGIN] = sp_str(begin), [PG_ESTIMATE_CHECK] = g->e.check,
		[PG_ESTIMATE_PATH] = g->e.path, [PG_ESTIMATE_ROLLBACK] = SP_LIT("ROLLBACK") };
	int rc = sp_own_statement(p->s, g->step == PG_ESTIMATE_EXPLAIN ? SP_LIT("EXPLAIN of a held statement") : text[g->step]);
	if (rc == SP_OK && pg_expect_own(p, OWN_ESTIMATE, 'Z') == NULL)
		rc = SP_EINTERNAL;
	g->have = false;
	if (rc == SP_OK && g->step == PG_ESTIMATE_EXPLAIN)
		return sp_put(p->s, SP_TARGET, (struct sp_bytes){ g->text, g->len });
	return rc != SP_OK ? rc : pg_write_cstr(pg_out(p, SP_TARGET), 'Q', text[g->step]);
}

int
pg_estimate_ready(struct pg *p)
{
	struct estimating *g = of(p);
	if (g == NULL)
		return SP_EINTERNAL;
	sp_timer(p->s, PATIENCE);
	return send(p, g);
}

/* There is no client: that side's turn is the timer's. */
int
pg_estimate_turn(struct pg *p, enum sp_side from)
{
	struct estimating *g = of(p);
	if (g == NULL || from != SP_CLIENT)
		return SP_OK;
	refuse(p, g, "the target did not answer in time");
	if (g->late++ < CANCELS) {
		sp_timer(p->s, PATIENCE);
		return p->cancels == NULL ? pg_cancel_target(p) : SP_OK;
	}
	return sp_fail(p->s, SP_EIO, "the target did not answer an estimate in time");
}

static int
path_row(struct pg *p, struct estimating *g, struct sp_bytes body)
{
	struct sp_reader r = sp_reader(body);
	unsigned n = sp_rd_be16(&r);
	uint32_t oid;
	if (n != (g->e.ntables == 0 ? 1 : g->e.ntables) || !pg_row_fits(body, (uint16_t)n))
		return SP_EPROTO;
	for (unsigned i = 0; i < g->e.ntables; i++) {
		struct pg_value v = pg_next_value(&r);
		if (v.null || !pg_names_number(v.bytes, &oid) || oid != g->e.oid[i])
			refuse(p, g, "a name means another table to the login for estimates, or none");
	}
	return SP_OK;
}

int
pg_estimate_row(struct pg *p, struct sp_bytes body)
{
	struct estimating *g = of(p);
	struct sp_reader r = sp_reader(body);
	unsigned n = g == NULL ? 0 : sp_rd_be16(&r);
	if (g != NULL && g->step == PG_ESTIMATE_PATH)
		return path_row(p, g, body);
	if (g == NULL || n < 1 || n > 2 || g->have || !pg_row_fits(body, (uint16_t)n))
		return SP_EPROTO;
	struct pg_value first = pg_next_value(&r), second = { .null = true };
	if (n == 2)
		second = pg_next_value(&r);
	g->have = true;
	if (g->step == PG_ESTIMATE_EXPLAIN && n == 1 && !first.null)
		return pg_estimate_rows(first.bytes, &g->rows);
	if (g->step != PG_ESTIMATE_CHECK || n != 2 || first.null || pg_estimate_found(&g->e, first.bytes, second.bytes) != SP_OK)
		return SP_EPROTO;
	refuse(p, g, g->e.why);
	return SP_OK;
}

/* Its words stay there; these are codes of PostgreSQL's. */
void
pg_estimate_failed(struct pg *p, const char *code)
{
	static const struct {
		const char *code, *why;
	} known[] = {
		{ "55P03", "it, or a lock that it needs, would have taken longer than 200 ms" },
		{ "57014", "it, or a lock that it needs, would have taken longer than 200 ms" },
		{ "42501", "the login for estimates may not do what it does" },
		{ "25006", "it can't be planned without writing" },
		{ "42P01", "a table is not there for the login for estimates" },
	};
	struct estimating *g = of(p);
	const char *why = "the target would not plan it";
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(code, known[i].code) == 0)
			why = known[i].why;
	if (g != NULL)
		refuse(p, g, why);
}

static void
tell_rows(struct pg *p, struct estimating *g)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "about %llu row%s, the planner expects", (unsigned long long)g->rows, g->rows == 1 ? "" : "s");
	sp_estimated(p->s, g->request, text);
	g->told = true;
}

int
pg_estimate_next(struct pg *p)
{
	struct estimating *g = of(p);
	if (g == NULL)
		return SP_EINTERNAL;
	if (g->step == PG_ESTIMATE_EXPLAIN && !g->failed && g->have)
		tell_rows(p, g);
	if (g->step == PG_ESTIMATE_ROLLBACK) {
		int rc = pg_write_empty(pg_out(p, SP_TARGET), 'X');
		return rc != SP_OK ? rc : sp_shut(p->s, SP_TARGET);
	}
	g->step = g->failed ? PG_ESTIMATE_ROLLBACK : g->step + 1;
	return send(p, g);
}

void
pg_estimate_close(struct pg *p)
{
	struct estimating *g = of(p);
	if (g == NULL)
		return;
	refuse(p, g, "the login for estimates could not log in, or was cut off");
	running--;
	free(g);
}
