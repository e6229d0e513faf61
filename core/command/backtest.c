/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `policy backtest`: what other policies would have said of what was recorded.
 *
 *   recordings ─▶ session by session, operation by operation ─▶ what was said, what would be ─▶ differences, counted
 */
#include <config.h>

#include "backtest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/directive.h"
#include "../record/text.h"
#include "recordings.h"

#define PENDING 1024 /* operations of a session whose verdict has not come */

struct pending {
	uint32_t op;
	bool settled;
	struct judged *judged;
	struct told now;
};

struct backtest {
	struct run *r;
	struct policies p;
	struct epoch *epoch; /* NULL: no configuration is read */
	struct judges *judges;
	uint8_t key[SEAL_KEY];
	bool have_key;
	uint64_t since, until, sessions, operations, unreadable, sealed;
	json_t *differences; /* by what they are, how often and for example where */
	struct who who;
	struct pending pending[PENDING];
	struct pending *column; /* whose columns are told of */
	struct buffer half;     /* the clear one of a sealed operation, until the other comes */
	uint32_t half_of;
};

/* ---- differences ---- */

/* Names are others': what is no UTF-8 is marked, and never a reason to leave a difference out. */
static json_t *
json_of(const char *text)
{
	struct buffer b = { 0 };
	struct sp_writer w = buffer_writer(&b);
	text_json(&w, sp_str(text));
	json_t *o = buffer_written(&b, &w) != SP_OK ? NULL : json_loadb((const char *)buffer_bytes(&b).p, b.len, JSON_DECODE_ANY, NULL);
	buffer_free(&b);
	return o == NULL ? json_string("?") : o;
}

static void
differ(struct backtest *b, const struct pending *p, const char *was, const char *now)
{
	static const char *const names[] = { "was", "now", "user", "statement" };
	const char *const text[] = { was, now, b->who.principal.user, judged_text(p->judged) };
	json_t *fresh = json_object();
	struct buffer key = { 0 };
	char example[96];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)json_object_set_new(fresh, names[i], json_of(text[i]));
		(void)buffer_printf(&key, "%s\n", json_string_value(json_object_get(fresh, names[i])));
	}
	(void)buffer_printf(&key, "%c", '\0');
	const char *name = (const char *)buffer_bytes(&key).p;
	json_t *o = json_object_get(b->differences, name);
	if (o == NULL) {
		(void)snprintf(example, sizeof(example), "%.40s.%u", b->who.session, p->op);
		(void)json_object_set_new(fresh, "example", json_of(example));
		(void)json_object_set(b->differences, name, fresh);
		o = fresh;
	}
	(void)json_object_set_new(o, "n", json_integer(json_integer_value(json_object_get(o, "n")) + 1));
	json_decref(fresh);
	buffer_free(&key);
}

static void
say(char text[200], const struct told *t)
{
	(void)snprintf(text, 200, "%s%s%.127s", said_name[t->said], t->rule[0] == '\0' ? "" : " by ", t->rule);
}

/* What a limit refused then it may refuse again: that is counted, not judged. */
static void
compare(struct backtest *b, struct pending *p, const struct told *was)
{
	char before[200], after[200];
	bool limit = was->said == SAID_DENY && p->now.said == SAID_ALLOW && judged_limits(p->judged, was->rule);
	p->settled = true;
	if (limit || (was->said == p->now.said && (was->said == SAID_ALLOW || strcmp(was->rule, p->now.rule) == 0)))
		return;
	say(before, was);
	say(after, &p->now);
	if (judged_cut(p->judged))
		(void)strncat(after, ", perhaps", sizeof(after) - strlen(after) - 1);
	differ(b, p, before, after);
}

static void
take_column(void *owner, struct sp_bytes name, bool was, const char *rule)
{
	struct backtest *b = owner;
	char before[200], after[200];
	if (was == (rule[0] != '\0'))
		return;
	(void)snprintf(before, sizeof(before), "%s %.*s", was ? "mask" : "show", (int)(name.len < 100 ? name.len : 100), (const char *)name.p);
	(void)snprintf(after, sizeof(after), "%s %.*s%s%.60s", was ? "show" : "mask", (int)(name.len < 100 ? name.len : 100), (const char *)name.p,
	    was ? "" : " by ", rule);
	differ(b, b->column, before, after);
}

/* ---- frames ---- */

static void
copy_rule(struct told *t, const struct frame *f)
{
	struct sp_bytes rule = frame_get(f, KEY_RULE);
	if (rule.len == 0)
		rule = frame_get(f, KEY_MESSAGE);
	(void)snprintf(t->rule, sizeof(t->rule), "%.*s", (int)(rule.len < 127 ? rule.len : 127), (const char *)rule.p);
}

/* At a target in observe mode: what it would have been. */
static struct told
said_by(const struct frame *f)
{
	struct sp_bytes what = frame_get(f, KEY_WOULD).len > 0 ? frame_get(f, KEY_WOULD) : frame_get(f, KEY_WHAT);
	struct told t = { f->type == FRAME_HELD ? SAID_HELD : SAID_NONE, "" };
	for (unsigned i = SAID_ALLOW; i < SAIDS && t.said == SAID_NONE; i++)
		if (sp_bytes_is(what, said_name[i]))
			t.said = i;
	if (sp_bytes_is(what, "limit"))
		t.said = SAID_DENY;
	if (t.said != SAID_ALLOW)
		copy_rule(&t, f);
	return t;
}

static struct pending *
pending_find(struct backtest *b, uint32_t op)
{
	struct pending *p = &b->pending[op % PENDING];
	return p->op == op && p->judged != NULL ? p : NULL;
}

static void
take_operation(struct backtest *b, const struct frame *f)
{
	struct pending *p = &b->pending[f->op % PENDING];
	*p = (struct pending){ .op = f->op };
	p->judged = judges_ask(b->judges, &b->who, f, &p->now);
	b->operations += p->judged != NULL;
}

/* Of a sealed one the clear half says too little to be judged by: both together are what was recorded. */
static void
take_half(struct backtest *b, const struct frame *f)
{
	struct frame whole = *f;
	if ((f->flags & FRAME_PART) == 0) {
		buffer_drop(&b->half, b->half.len);
		b->pending[f->op % PENDING] = (struct pending){ .op = f->op };
		b->half_of = buffer_put(&b->half, f->payload) == SP_OK ? f->op : 0;
		return;
	}
	if (b->half_of != f->op || buffer_put(&b->half, f->payload) != SP_OK) {
		b->unreadable++;
		return;
	}
	whole.flags = 0;
	whole.payload = buffer_bytes(&b->half);
	take_operation(b, &whole);
	b->half_of = 0;
}

/* The first verdict is the rules'; what comes later is a person's, or a limit's. */
static void
take_frame(struct backtest *b, const struct frame *f)
{
	struct pending *p;
	struct told was;
	b->who.now = b->who.started + f->at;
	switch (f->type) {
	case FRAME_OPERATION:
		if ((f->flags & FRAME_PART) != 0 || frame_get(f, KEY_TEXT).p == NULL)
			take_half(b, f);
		else
			take_operation(b, f);
		return;
	case FRAME_VERDICT:
	case FRAME_HELD:
		p = pending_find(b, f->op);
		was = said_by(f);
		if (p != NULL && !p->settled && was.said != SAID_NONE)
			compare(b, p, &was);
		return;
	case FRAME_COLUMNS:
		b->column = pending_find(b, f->op);
		if (b->column != NULL && b->column->now.said == SAID_ALLOW && judges_columns(b->judges, &b->who, b->column->judged, f, take_column, b) != SP_OK)
			b->unreadable++;
		return;
	default:
		return;
	}
}

/* ---- sessions ---- */

static void
set_target(struct backtest *b, struct sp_bytes name)
{
	char text[128];
	(void)snprintf(text, sizeof(text), "%.*s", (int)(name.len < 127 ? name.len : 127), (const char *)name.p);
	const struct target *known = b->epoch == NULL ? NULL : settings_target(&b->epoch->settings, text);
	b->who.target = known == NULL ? (struct target){ .protocol = b->p.module->name } : *known;
	b->who.target.b.name = arena_string(b->who.arena, sp_str(text));
	b->who.target.mode = MODE_ENFORCE;
}

/* False: it is not one that was asked for. */
static bool
take_header(struct backtest *b, const struct frame *f)
{
	const char *user = option(b->r, "user"), *target = option(b->r, "target");
	struct sp_bytes who = frame_get(f, KEY_PRINCIPAL), name = frame_get(f, KEY_TARGET), address = frame_get(f, KEY_ADDRESS);
	struct digest *d = digest_begin();
	if (!frame_field_u64_get(frame_get(f, KEY_STARTED), &b->who.started))
		b->who.started = 0;
	digest_add_part(d, who);
	digest_add_part(d, name);
	digest_add_part(d, address);
	digest_end(&d, b->who.digest);
	if (principal_parse(b->who.arena, who, &b->who.principal) != SP_OK || b->who.started < b->since || b->who.started >= b->until)
		return false;
	b->who.session = arena_string(b->who.arena, frame_get(f, KEY_SESSION));
	b->who.address = arena_string(b->who.arena, address);
	set_target(b, name);
	return (user == NULL || strcmp(user, b->who.principal.user) == 0) && (target == NULL || sp_bytes_is(name, target)) &&
	    sp_bytes_is(frame_get(f, KEY_MODULE), b->p.module->name);
}

static int
take_recording(void *owner, int fd, const char *name)
{
	struct backtest *b = owner;
	struct recording *rec = NULL;
	struct frame f;
	const char *err = "";
	int rc = 0;
	if (recording_open(fd, b->have_key ? b->key : NULL, &rec, &err) != SP_OK) {
		b->unreadable++;
		return DONE;
	}
	b->who = (struct who){ .arena = arena_new(1u << 20) };
	memset(b->pending, 0, sizeof(b->pending));
	rc = recording_next(rec, &f, &err);
	bool wanted = rc == 1 && f.type == FRAME_HEADER && take_header(b, &f);
	b->sessions += wanted;
	b->half_of = 0;
	while (wanted && (rc = recording_next(rec, &f, &err)) == 1)
		take_frame(b, &f);
	b->sealed += wanted && recording_sealed(rec) && !b->have_key;
	if (rc < 0 && !b->r->json) {
		print_progress_end();
		(void)fprintf(stderr, "sallyport: ");
		print_safe(stderr, sp_str(name), 0);
		(void)fprintf(stderr, ": %s\n", err);
	}
	b->unreadable += rc < 0;
	recording_close(&rec);
	arena_free(&b->who.arena);
	return DONE;
}

/* ---- telling ---- */

static int
by_number(const void *x, const void *y)
{
	json_int_t a = json_integer_value(json_object_get(*(json_t *const *)x, "n")), b = json_integer_value(json_object_get(*(json_t *const *)y, "n"));
	return a > b ? -1 : a < b;
}

static json_t *
sorted(const json_t *differences)
{
	size_t n = json_object_size(differences), i = 0;
	json_t **v = mem_alloc((n + 1) * sizeof(*v)), *list = json_array(), *one;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)differences, key, one)
		v[i++] = one;
	if (n > 0)
		qsort(v, n, sizeof(*v), by_number);
	for (i = 0; i < n; i++)
		(void)json_array_append(list, v[i]);
	free(v);
	return list;
}

static void
print_differences(const json_t *list)
{
	static const char *const heads[] = { "WAS", "WOULD BE", "USER", "STATEMENT", "TIMES", "EXAMPLE", NULL };
	struct table *t = table_new(heads);
	const json_t *o;
	size_t i;
	json_array_foreach(list, i, o) {
		char times[32];
		table_member(t, o, "was");
		table_member(t, o, "now");
		table_member(t, o, "user");
		table_member(t, o, "statement");
		(void)snprintf(times, sizeof(times), "%lld", json_integer_value(json_object_get(o, "n")));
		table_cell(t, times);
		table_member(t, o, "example");
	}
	table_print(&t);
}

static int
tell(const struct backtest *b)
{
	json_t *list = sorted(b->differences);
	int rc = json_array_size(list) > 0 || b->unreadable + b->sealed > 0 ? FAILED : DONE;
	if (b->r->json) {
		json_t *o = json_pack("{s:O,s:I,s:I,s:I,s:I}", "differences", list, "sessions", (json_int_t)b->sessions, "operations", (json_int_t)b->operations,
		    "unreadable", (json_int_t)b->unreadable, "sealed", (json_int_t)b->sealed);
		if (print_json(o) != DONE)
			rc = FAILED;
		json_decref(o);
	} else {
		if (json_array_size(list) > 0)
			print_differences(list);
		(void)printf("%s%llu operations of %llu sessions, %zu kinds of difference\n", json_array_size(list) > 0 ? "\n" : "",
		    (unsigned long long)b->operations, (unsigned long long)b->sessions, json_array_size(list));
		if (b->unreadable > 0)
			(void)fprintf(stderr, "sallyport: %llu recordings could not be read to their end: `sallyport verify` says why\n",
			    (unsigned long long)b->unreadable);
		if (b->sealed > 0)
			(void)fprintf(stderr, "sallyport: %llu recordings are sealed to an auditor, and were not judged: --key FILE opens them\n",
			    (unsigned long long)b->sealed);
	}
	json_decref(list);
	return rc;
}

static int
load(struct backtest *b)
{
	const char *conf = option(b->r, "conf"), *err = NULL;
	int rc = policies_module(&b->p, option(b->r, "module"));
	for (unsigned i = 0; i < b->r->nwords && rc == DONE; i++)
		rc = policies_add(&b->p, b->r->word[i]);
	if (rc == DONE)
		rc = policies_load(&b->p);
	if (rc == DONE && conf != NULL && epoch_read(conf, &b->epoch, &err) != SP_OK)
		rc = failed("%s", err == NULL ? conf : err);
	return rc == DONE ? recording_key(b->r, b->key, &b->have_key) : rc;
}

static int
times(struct backtest *b)
{
	const char *since = option(b->r, "since"), *until = option(b->r, "until");
	b->until = UINT64_MAX;
	if (directive_moment(since == NULL ? "30d" : since, &b->since) != SP_OK || (until != NULL && directive_moment(until, &b->until) != SP_OK))
		return misused(b->r, "--since and --until take times like 2026-11-24T04:12:33Z, or 30d, which is so long ago");
	return DONE;
}

int
run_policy_backtest(struct run *r)
{
	static struct backtest b;
	b.r = r;
	b.differences = json_object();
	policies_begin(&b.p);
	int rc = times(&b);
	if (rc == DONE)
		rc = load(&b);
	if (rc == DONE) {
		b.judges = judges_new(&b.p);
		rc = backtest_each(r, take_recording, &b);
		if (rc == DONE)
			rc = tell(&b);
		judges_free(&b.judges);
	}
	mem_wipe(b.key, sizeof(b.key));
	buffer_free(&b.half);
	json_decref(b.differences);
	policies_end(&b.p);
	epoch_free(&b.epoch);
	return rc;
}
