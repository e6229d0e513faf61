/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration is one decision: a file of statements, approved as a whole, spent in order by one later
 * session of whoever asked.
 *
 *   request --file ─▶ WAITING ─ approved ─▶ APPROVED ─ its first held statement ─▶ … of that session ─ its last ─▶ USED
 *
 * The approval is for the ordered hashes of the statements, who asked, the target, database, login,
 * search_path, reason, window, policy, and who decides (P7).  A session that began after it follows the file: what it
 * runs and nobody has to approve moves it on when it is the file's next statement (MSG_RAN), and is nothing to it
 * otherwise: tools have statements of their own, which are judged as usual.  But where one of these rolls back, fails, or
 * may change what names mean, a file that was begun is over: its next bytes might mean other tables.  What a rule holds is covered
 * when its bytes are the file's next, in the place that the approvers saw, under the policy that was in
 * force then, and the group and number of persons that the rule asks for are those who decided.  The
 * first of these binds the file to its session.  What is spent stays spent, whatever the target made of it.
 */
#include <config.h>

#include "approval.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "statements.h"

#define RUNS_MAX 8 /* files that a session follows: the latest */

void
file_hash(const struct approval *a, const struct file_wish *w, uint8_t out[DIGEST_LEN])
{
	const char *const parts[] = { "sallyport file 1", a->who.issuer, a->who.subject, a->target, w->database, w->login, w->search_path, a->reason,
		a->by };
	uint8_t numbers[16], hash[DIGEST_LEN];
	struct sp_writer n = sp_writer(numbers, sizeof(numbers));
	struct sp_bytes text = sp_str(w->text);
	struct statement s;
	sp_wr_be64(&n, a->span);
	sp_wr_be64(&n, a->count);
	struct digest *d = digest_begin();
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		digest_add_part(d, sp_str(parts[i]));
	digest_add_part(d, sp_written(&n));
	digest_add_part(d, (struct sp_bytes){ a->rule_hash, DIGEST_LEN });
	for (size_t from = 0; statements_next(text, from, &s); from = s.next) {
		digest_sha256((struct sp_bytes){ text.p + s.start, s.end - s.start }, hash);
		digest_add_part(d, (struct sp_bytes){ hash, sizeof(hash) });
	}
	digest_end(&d, out);
}

void
file_policy(const struct keeper *k, const struct target *t, uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	for (size_t i = 0; i < t->policy.n; i++) {
		const struct policy_source *p = epoch_find_policy(k->epoch, t->policy.v[i]);
		digest_add_part(d, p == NULL ? SP_LIT("") : (struct sp_bytes){ p->hash, sizeof(p->hash) });
	}
	digest_end(&d, out);
}

const char *
file_overtaken(const struct keeper *k, const struct approval *a)
{
	uint8_t now[DIGEST_LEN];
	const struct target *t = settings_target(keeper_settings(k), a->target);
	if (t == NULL)
		return "the target is gone";
	file_policy(k, t, now);
	return memcmp(now, a->rule_hash, DIGEST_LEN) == 0 ? NULL : "the target's policy changed since it was asked for: let them ask again";
}

size_t
file_statements(const char *text)
{
	size_t n = 0;
	struct statement s;
	for (size_t from = 0; statements_next(sp_str(text), from, &s); from = s.next)
		n++;
	return n;
}

char *
file_view(const struct file_wish *w)
{
	json_t *j = json_pack("{s:s,s:I,s:s,s:s,s:s,s:s,s:s}", "text", w->text, "statements", (json_int_t)file_statements(w->text), "database",
	    w->database, "login", w->login, "search_path", w->search_path, "reason_given", w->reason, "for", w->window);
	char *view = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return view;
}

static const char *
text_in(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

/* ---- a session that follows it ---- */

struct following {
	struct live *s;
	struct file_run **end;
	unsigned n;
	bool resumed;
};

static bool
begun_by(const struct approval *a, const struct live *s)
{
	return memcmp(a->session, s->id, ID_LEN) == 0;
}

static bool
begun_by_nobody(const struct approval *a)
{
	static const uint8_t nobody[ID_LEN];
	return memcmp(a->session, nobody, ID_LEN) == 0;
}

static int
follow_one(void *owner, const struct approval *a)
{
	struct following *f = owner;
	bool later = begun_by_nobody(a) && a->decided <= f->s->started;
	if (f->n == RUNS_MAX || (!later && !begun_by(a, f->s)))
		return SP_OK;
	json_t *view = json_loads(a->view, JSON_REJECT_DUPLICATES, NULL);
	struct file_run *r = mem_alloc(sizeof(*r));
	(void)snprintf(r->id, sizeof(r->id), "%s", a->id);
	r->text = mem_string(sp_str(text_in(view, "text")));
	r->at = (size_t)a->spent;
	r->renamed = f->resumed; /* what it did meanwhile nobody has heard */
	*f->end = r;
	f->end = &r->next;
	f->n++;
	json_decref(view);
	return SP_OK;
}

bool
file_follow(struct keeper *k, struct live *s, bool resumed)
{
	struct following f = { s, &s->files, 0, resumed };
	if (approval_files(k, s, follow_one, &f) != SP_OK)
		log_error("session %s: approved files could not be read", s->name);
	return s->files != NULL;
}

void
file_forget(struct live *s)
{
	for (struct file_run *r = s->files, *next; r != NULL; r = next) {
		next = r->next;
		free(r->text);
		free(r);
	}
	s->files = NULL;
}

/* Of two whose next statement is the same the one that was begun goes on. */
void
file_first(struct live *s, struct file_run *r)
{
	struct file_run **at = &s->files;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->next = s->files;
	s->files = r;
}

static bool
begins_with_prepare(struct sp_bytes text)
{
	static const char word[] = "prepare";
	for (size_t i = 0; i < sizeof(word) - 1; i++)
		if (i >= text.len || tolower(text.p[i]) != word[i])
			return false;
	return true;
}

/* PREPARE, and a name of letters, digits and _ alone. */
static bool
plain_name(struct sp_bytes text)
{
	size_t i = sizeof("prepare") - 1, start;
	while (i < text.len && isspace(text.p[i]))
		i++;
	for (start = i; i < text.len && (isalnum(text.p[i]) || text.p[i] == '_'); i++)
		;
	return i > start && i < text.len && (isspace(text.p[i]) || text.p[i] == '(');
}

/* PREPARE name …; false: it is not written plainly. */
static bool
prepares(struct sp_bytes text, const char *name)
{
	size_t i = sizeof("prepare") - 1, n = strlen(name);
	while (i < text.len && isspace(text.p[i]))
		i++;
	if (n == 0 || text.len - i <= n || (!isspace(text.p[i + n]) && text.p[i + n] != '('))
		return false;
	for (size_t k = 0; k < n; k++)
		if (tolower(text.p[i + k]) != name[k])
			return false;
	return true;
}

/* Is it the file's last PREPARE of that name before here?  One that is not written plainly may be. */
static bool
prepared_before(struct sp_bytes file, size_t until, const char *name, struct sp_bytes text)
{
	struct statement s;
	bool is = false;
	struct sp_bytes bare = text.len > RAN_TEXT_MAX ? (struct sp_bytes){ NULL, 0 } : statements_trim(text);
	for (size_t from = 0; bare.len > 0 && statements_next(file, from, &s) && s.next <= until; from = s.next) {
		struct sp_bytes own = { file.p + s.start, s.end - s.start };
		if (!begins_with_prepare(own))
			continue;
		if (prepares(own, name))
			is = sp_bytes_eq(own, bare);
		else if (!plain_name(own))
			is = false;
	}
	return is;
}

/* What an EXECUTE runs has been read by the approvers, too. */
static bool
runs_its_own(const struct file_run *r, size_t at, const json_t *asked)
{
	const char *name;
	const json_t *texts, *text;
	size_t i;
	json_object_foreach(json_object_get(asked, "means"), name, texts)
		json_array_foreach(texts, i, text)
			if (strncmp(name, "EXECUTE ", 8) == 0 && (json_string_value(text) == NULL ||
			    !prepared_before(sp_str(r->text), at, name + 8, sp_str(json_string_value(text)))))
				return false;
	return true;
}

/* A temporary table that it reads or changes is of the file's own making. */
static bool
has_strange_table(const struct file_run *r, const json_t *asked)
{
	size_t i;
	const json_t *table;
	json_array_foreach(json_object_get(json_object_get(asked, "means"), "table"), i, table)
		if (r->renamed && (json_string_value(table) == NULL || strncmp(json_string_value(table), "pg_temp", 7) == 0))
			return true;
	return false;
}

bool
file_is_next(const struct file_run *r, uint64_t op, const json_t *asked, size_t *next_r)
{
	size_t from = r->op == op ? r->was : r->at;
	*next_r = from;
	return json_array_size(json_object_get(asked, "params")) == 0 &&
	    statements_match(sp_str(r->text), from, sp_str(text_in(asked, "text")), next_r) && runs_its_own(r, from, asked) &&
	    !has_strange_table(r, asked);
}

void
file_moved(struct file_run *r, uint64_t op, size_t next)
{
	if (r->op != op)
		r->was = r->at;
	r->at = next;
	r->op = op;
}

static bool
is_over(const struct file_run *r)
{
	struct statement s;
	return !statements_next(sp_str(r->text), r->at, &s);
}

_Static_assert(RAN_TEXT_MAX == 2 * FILE_MAX, "what is longer is of no file");

/* Not of the file: before it is begun that may have made temporary tables, and then it ends it. */
static bool
strayed(struct keeper *k, struct live *s, struct file_run **at)
{
	struct file_run *r = *at;
	if (r->at == 0 || is_over(r)) {
		r->renamed = true;
		return false;
	}
	approval_file_ended(k, s, r);
	*at = r->next;
	free(r->text);
	free(r);
	return true;
}

int
file_ran(struct keeper *k, struct link *l, struct message *m)
{
	size_t next;
	const uint64_t op = m->f[1].q, what = m->f[3].q;
	struct live *s = live_of(k, m->f[0].s, l);
	struct sp_bytes text = m->f[2].s;
	if (s == NULL || s->files == NULL || text.len > RAN_TEXT_MAX)
		return SP_OK;
	text = statements_trim(text);
	for (struct file_run **at = &s->files; *at != NULL;) {
		struct file_run *r = *at;
		bool own = (what & RAN_FAILED) == 0 && (r->op == op || statements_match_bare(sp_str(r->text), r->at, text, &next));
		if (!own && what != 0 && strayed(k, s, at))
			continue;
		if (own && r->op != op)
			file_moved(r, op, next);
		if (own && is_over(r))
			approval_file_over(k, s, r);
		at = &r->next;
	}
	return SP_OK;
}

/* ---- may it be spent? ---- */

/* Names must mean there what the approvers took them to mean. */
static bool
same_place(const json_t *file, const json_t *asked, const struct live *s)
{
	const json_t *facts = json_object_get(asked, "facts");
	const char *role = text_in(facts, "role"), *login = text_in(file, "login"), *part = s->part;
	return strcmp(text_in(facts, "search_path"), text_in(file, "search_path")) == 0 &&
	    (login[0] == '\0' || strcmp(role, login) == 0) && (part[0] == '\0' || strcmp(part, text_in(file, "database")) == 0);
}

/* As many of that group, each with a comment where the rule wants one. */
static bool
decided_by(struct keeper *k, const struct approval *a, const struct file_ask *ask)
{
	uint64_t votes = 0;
	size_t i;
	json_t *vote, *list = approval_votes(k, a, &votes);
	bool enough = sp_bytes_is(ask->by, a->by) && a->by[0] != '\0' && votes >= ask->count;
	json_array_foreach (list, i, vote)
		enough = enough && (!ask->reason || text_in(vote, "comment")[0] != '\0');
	json_decref(list);
	return enough;
}

bool
file_covers(struct keeper *k, const struct approval *a, const struct live *s, const struct file_ask *ask)
{
	bool ours = begun_by_nobody(a) || begun_by(a, s);
	const char *why = NULL;
	json_t *file = json_loads(a->view, JSON_REJECT_DUPLICATES, NULL);
	if (a->kind != APPROVAL_FILE || a->state != APPROVAL_APPROVED || !ours)
		why = "it was spent, or is another session's";
	else if (identity_revoked(k->store, &a->who, a->created))
		why = "who asked was revoked since then";
	else if (!decided_by(k, a, ask))
		why = "the rule asks other people, more of them, or for a comment";
	else if (!same_place(file, ask->asked, s))
		why = "its database, role or search_path is another one";
	else
		why = file_overtaken(k, a);
	json_decref(file);
	if (why != NULL)
		log_info("session %s: the approved file %s does not cover what comes next: %s", s->name, a->id, why);
	return why == NULL;
}
