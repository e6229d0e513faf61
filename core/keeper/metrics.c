/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h.  The text is Prometheus' exposition format 0.0.4. */
#include <config.h>

#include "metrics.h"

#include <stdlib.h>

#include "../base/board.h"
#include "../base/clock.h"
#include "approval.h"
#include "live.h"

#define STEPS 10
#define ASKED_MAX 32
#define TEXT_MAX (4u << 20)

struct histogram {
	uint64_t count[STEPS + 1], sum_us;
};

struct asked {
	struct link *link;
	uint32_t id;
};

struct metrics {
	struct board *board;
	uint64_t admitted, turned_away, refused;
	struct histogram waited, committed;
	uint64_t stepped;
	struct asked asked[ASKED_MAX]; /* for the recorder's answer */
	size_t nasked;
};

static const uint64_t waited_us[STEPS] = { 1000000, 5000000, 15000000, 30000000, 60000000, 120000000, 300000000, 600000000, 1800000000, 3600000000 };
static const uint64_t committed_us[STEPS] = { 100, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000, 1000000 };

void
metrics_open(struct keeper *k)
{
	k->metrics = mem_alloc(sizeof(*k->metrics));
}

void
metrics_close(struct keeper *k)
{
	if (k->metrics == NULL)
		return;
	board_unmap(&k->metrics->board);
	free(k->metrics);
	k->metrics = NULL;
}

int
metrics_board(struct keeper *k, int fd)
{
	board_unmap(&k->metrics->board);
	return board_map(fd, &k->metrics->board);
}

struct board *
metrics_shared(struct keeper *k)
{
	return k->metrics->board;
}

/* ---- counting ---- */

static void
observe(struct histogram *h, const uint64_t *steps, uint64_t us)
{
	size_t i = 0;
	while (i < STEPS && us > steps[i])
		i++;
	h->count[i]++;
	h->sum_us += us;
}

void
metrics_login(struct keeper *k, bool admitted)
{
	if (k->metrics != NULL)
		++*(admitted ? &k->metrics->admitted : &k->metrics->turned_away);
}

void
metrics_decided(struct keeper *k, uint64_t us)
{
	if (k->metrics != NULL)
		observe(&k->metrics->waited, waited_us, us);
}

void
metrics_committed(struct keeper *k, uint64_t us)
{
	if (k->metrics != NULL)
		observe(&k->metrics->committed, committed_us, us);
}

void
metrics_clock_stepped(struct keeper *k)
{
	if (k->metrics != NULL)
		k->metrics->stepped++;
}

void
metrics_refused(struct keeper *k)
{
	if (k->metrics != NULL)
		k->metrics->refused++;
}

/* ---- the text ---- */

static void
put_head(struct buffer *b, const char *name, const char *type, const char *help)
{
	(void)buffer_printf(b, "# HELP sallyport_%s %s\n# TYPE sallyport_%s %s\n", name, help, name, type);
}

static void
put_number(struct buffer *b, const char *name, const char *type, const char *help, uint64_t n)
{
	put_head(b, name, type, help);
	(void)buffer_printf(b, "sallyport_%s %llu\n", name, (unsigned long long)n);
}

/* A label's value: backslash, quote and line feed are written out. */
static void
put_label(struct buffer *b, const char *name, const char *value)
{
	(void)buffer_printf(b, "%s=\"", name);
	for (; *value != '\0'; value++)
		(void)buffer_printf(b, *value == '\n' ? "\\n" : *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	(void)buffer_printf(b, "\"");
}

static void
put_histogram(struct buffer *b, const char *name, const uint64_t *steps, size_t n, const uint64_t *count)
{
	uint64_t all = 0;
	for (size_t i = 0; i <= n; i++) {
		all += count[i];
		if (i < n)
			(void)buffer_printf(b, "sallyport_%s_bucket{le=\"%g\"} %llu\n", name, (double)steps[i] / 1e6, (unsigned long long)all);
		else
			(void)buffer_printf(b, "sallyport_%s_bucket{le=\"+Inf\"} %llu\nsallyport_%s_count %llu\n", name, (unsigned long long)all, name,
			    (unsigned long long)all);
	}
}

static void
put_seconds(struct buffer *b, const char *name, uint64_t us)
{
	(void)buffer_printf(b, "sallyport_%s_sum %.6f\n", name, (double)us / 1e6);
}

static void
put_sessions(struct buffer *b, struct keeper *k)
{
	put_head(b, "sessions", "gauge", "Sessions that are open, by target.");
	for (const struct target *t = keeper_settings(k)->targets; t != NULL; t = (const struct target *)t->b.next) {
		unsigned n = 0;
		for (const struct live *s = live_first(k); s != NULL; s = s->all_next)
			n += !s->side && strcmp(s->target, t->b.name) == 0;
		(void)buffer_printf(b, "sallyport_sessions{");
		put_label(b, "target", t->b.name);
		(void)buffer_printf(b, "} %u\n", n);
	}
}

static void
put_modes(struct buffer *b, struct keeper *k)
{
	put_head(b, "target_observes", "gauge", "1: the target is in observe mode, and nothing is denied, held or masked there.");
	for (const struct target *t = keeper_settings(k)->targets; t != NULL; t = (const struct target *)t->b.next) {
		(void)buffer_printf(b, "sallyport_target_observes{");
		put_label(b, "target", t->b.name);
		(void)buffer_printf(b, "} %d\n", t->mode == MODE_OBSERVE);
	}
}

static int
count_one(void *owner, const struct approval *r)
{
	(void)r;
	++*(uint64_t *)owner;
	return SP_OK;
}

static void
put_own(struct buffer *b, struct keeper *k)
{
	const struct metrics *m = k->metrics;
	uint64_t waiting = 0, workers = 0;
	for (const struct worker *w = k->workers; w != NULL; w = w->next)
		workers++;
	put_head(b, "build_info", "gauge", "The version that runs.");
	(void)buffer_printf(b, "sallyport_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	put_number(b, "workers", "gauge", "Worker processes that are there.", workers);
	put_sessions(b, k);
	put_modes(b, k);
	put_head(b, "logins_total", "counter", "Clients that asked to be let in.");
	(void)buffer_printf(b, "sallyport_logins_total{result=\"admitted\"} %llu\nsallyport_logins_total{result=\"refused\"} %llu\n",
	    (unsigned long long)m->admitted, (unsigned long long)m->turned_away);
	put_number(b, "api_refused_total", "counter", "Calls of the API without a proof that is good.", m->refused);
	put_number(b, "clock_steps_total", "counter", "Times that the clock was put forward or back by a second or more.", m->stepped);
	if (approval_list(k, APPROVAL_WAITING, INT32_MAX, count_one, &waiting) == SP_OK)
		put_number(b, "requests_waiting", "gauge", "Requests that wait for a person.", waiting);
	put_head(b, "approval_wait_seconds", "histogram", "From a request to a person's decision.");
	put_histogram(b, "approval_wait_seconds", waited_us, STEPS, m->waited.count);
	put_seconds(b, "approval_wait_seconds", m->waited.sum_us);
	put_head(b, "store_commit_seconds", "histogram", "Writing the keeper's store to disk.");
	put_histogram(b, "store_commit_seconds", committed_us, STEPS, m->committed.count);
	put_seconds(b, "store_commit_seconds", m->committed.sum_us);
}

static void
put_workers(struct buffer *b, const struct metrics *m)
{
	static const struct {
		enum board_time what;
		const char *name, *help;
	} row[] = {
		{ BOARD_DECISION, "decision_seconds", "From a client's bytes to the verdict allow, held ones left out; samples." },
		{ BOARD_FORWARD, "forward_seconds", "From a client's bytes to their being handed to the target, the record's waiting included; samples." },
		{ BOARD_ANSWER, "answer_seconds", "From a target's bytes to their being handed to the client; samples." },
	};
	struct board_added t;
	for (size_t i = 0; m->board != NULL && i < sizeof(row) / sizeof(*row); i++) {
		board_added_read(m->board, row[i].what, &t);
		put_head(b, row[i].name, "histogram", row[i].help);
		put_histogram(b, row[i].name, board_added_us, BOARD_STEPS, t.count);
		put_seconds(b, row[i].name, t.sum_us);
	}
}

static uint64_t
number_of(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));
	return n < 0 ? 0 : (uint64_t)n;
}

static void
put_counted(struct buffer *b, const char *name, const json_t *rows)
{
	static const char *const labels[] = { "target", "verdict", "rule" };
	size_t i;
	const json_t *row;
	json_array_foreach(rows, i, row) {
		(void)buffer_printf(b, "sallyport_%s", name);
		for (size_t k = 0; k < 3; k++) {
			const char *value = json_string_value(json_object_get(row, labels[k]));
			(void)buffer_printf(b, k == 0 ? "{" : ",");
			put_label(b, labels[k], value == NULL ? "" : value);
		}
		(void)buffer_printf(b, "} %llu\n", (unsigned long long)number_of(row, "n"));
	}
}

static void
put_recorder(struct buffer *b, const json_t *o)
{
	put_number(b, "recorder_up", "gauge", "Whether the recorder answers, and writes.", json_is_object(o) && !json_is_true(json_object_get(o, "failing")));
	if (!json_is_object(o))
		return;
	put_number(b, "recorder_waiting_bytes", "gauge", "Published by workers, not yet taken by the recorder.", number_of(o, "waiting"));
	put_head(b, "recorder_lag_seconds", "gauge", "How long the recorder's last round took, from a frame's taking to its being on disk.");
	(void)buffer_printf(b, "sallyport_recorder_lag_seconds %.6f\n", (double)number_of(o, "tick_us") / 1e6);
	put_head(b, "operations_total", "counter", "Verdicts, by target, what they say and rule, since the recorder started.");
	put_counted(b, "operations_total", json_object_get(o, "operations"));
	put_head(b, "rule_hits_total", "counter", "What rules did besides: columns masked in a result, what observe mode kept rules from.");
	put_counted(b, "rule_hits_total", json_object_get(o, "hits"));
	put_number(b, "masked_columns_total", "counter", "Columns of answers that were masked.", number_of(o, "masked_columns"));
	put_number(b, "masked_values_total", "counter", "Values that were masked.", number_of(o, "masked_values"));
}

static json_t *
whole(struct keeper *k, const json_t *recorder)
{
	struct buffer b = { .max = TEXT_MAX };
	put_own(&b, k);
	put_workers(&b, k->metrics);
	put_recorder(&b, recorder);
	json_t *text = json_stringn((const char *)buffer_bytes(&b).p, b.len), *o = json_pack("{s:o}", "text", text);
	buffer_free(&b);
	return o;
}

/* ---- asking the recorder ---- */

static void
answer_all(struct keeper *k, const json_t *recorder)
{
	struct metrics *m = k->metrics;
	json_t *o = m->nasked == 0 ? NULL : whole(k, recorder);
	for (size_t i = 0; i < m->nasked; i++)
		api_answer(k, m->asked[i].link, m->asked[i].id, o == NULL ? 503 : 200, o);
	m->nasked = 0;
	json_decref(o);
}

int
api_metrics(struct api *a)
{
	struct metrics *m = a->k->metrics;
	if (m->nasked == ASKED_MAX)
		return api_refuse(a, 503, "too many ask for the numbers at once");
	const struct message ask = { .type = MSG_MEASURE };
	if (a->k->recorder == NULL || link_send(a->k->recorder, &ask) != SP_OK) {
		json_decref(a->answer);
		a->answer = whole(a->k, NULL);
		return a->answer == NULL ? SP_ENOMEM : SP_OK;
	}
	m->asked[m->nasked++] = (struct asked){ a->link, a->id };
	a->later = true;
	return SP_OK;
}

int
metrics_measured(struct keeper *k, struct link *l, struct message *m)
{
	json_t *o = json_loadb((const char *)m->f[0].s.p, m->f[0].s.len, JSON_REJECT_DUPLICATES, NULL);
	(void)l;
	answer_all(k, o);
	policies_measured(k, o);
	json_decref(o);
	return SP_OK;
}

void
metrics_link_gone(struct keeper *k, const struct link *l)
{
	struct metrics *m = k->metrics;
	size_t n = 0;
	if (m == NULL)
		return;
	if (l == k->recorder) {
		answer_all(k, NULL);
		return;
	}
	for (size_t i = 0; i < m->nasked; i++)
		if (m->asked[i].link != l)
			m->asked[n++] = m->asked[i];
	m->nasked = n;
}
