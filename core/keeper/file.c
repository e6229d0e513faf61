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
 * otherwise: tools have statements of their own, which are judged as usual.  What a rule holds is covered
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

static void
hash_part(struct digest *d, struct sp_bytes b)
{
	uint8_t len[4];
	struct sp_writer w = sp_writer(len, sizeof(len));
	sp_wr_be32(&w, (uint32_t)b.len);
	digest_add(d, sp_written(&w));
	digest_add(d, b);
}

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
		hash_part(d, sp_str(parts[i]));
	hash_part(d, sp_written(&n));
	hash_part(d, (struct sp_bytes){ a->rule_hash, DIGEST_LEN });
	for (size_t from = 0; statements_next(text, from, &s); from = s.next) {
		digest_sha256((struct sp_bytes){ text.p + s.start, s.end - s.start }, hash);
		hash_part(d, (struct sp_bytes){ hash, sizeof(hash) });
	}
	digest_end(&d, out);
}

void
file_policy(const struct keeper *k, const struct target *t, uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	for (size_t i = 0; i < t->policy.n; i++) {
		const struct policy_source *p = epoch_find_policy(k->epoch, t->policy.v[i]);
		hash_part(d, p == NULL ? SP_LIT("") : (struct sp_bytes){ p->hash, sizeof(p->hash) });
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
	*f->end = r;
	f->end = &r->next;
	f->n++;
	json_decref(view);
	return SP_OK;
}

bool
file_follow(struct keeper *k, struct live *s)
{
	struct following f = { s, &s->files, 0 };
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

/* Is it a PREPARE of the file's that has had its turn? */
static bool
prepared_before(struct sp_bytes file, size_t until, struct sp_bytes text)
{
	struct statement s;
	struct sp_bytes bare = text.len > 2 * FILE_MAX ? (struct sp_bytes){ NULL, 0 } : statements_trim(text);
	if (!begins_with_prepare(bare))
		return false;
	for (size_t from = 0; statements_next(file, from, &s) && s.next <= until; from = s.next)
		if (sp_bytes_eq((struct sp_bytes){ file.p + s.start, s.end - s.start }, bare))
			return true;
	return false;
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
			    !prepared_before(sp_str(r->text), at, sp_str(json_string_value(text)))))
				return false;
	return true;
}

bool
file_is_next(const struct file_run *r, uint64_t op, const json_t *asked, size_t *next_r)
{
	size_t from = r->op == op ? r->was : r->at;
	*next_r = from;
	return json_array_size(json_object_get(asked, "params")) == 0 &&
	    statements_match(sp_str(r->text), from, sp_str(text_in(asked, "text")), next_r) && runs_its_own(r, from, asked);
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

int
file_ran(struct keeper *k, struct link *l, struct message *m)
{
	size_t next;
	struct live *s = live_of(k, m->f[0].s, l);
	for (struct file_run *r = s == NULL ? NULL : s->files; r != NULL; r = r->next) {
		if (r->op != m->f[1].q && !statements_match(sp_str(r->text), r->at, m->f[2].s, &next))
			continue;
		if (r->op != m->f[1].q)
			file_moved(r, m->f[1].q, next);
		if (is_over(r))
			approval_file_over(k, s, r);
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
