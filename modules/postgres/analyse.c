/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a text to an operation: limits, parse, statements one by one, hand-over.
 *
 * libpg_query recurses: about 2 kB of stack for each level of nesting, in its parser's output and
 * again when the tree is unpacked.  A text that may be deep is analysed on a stack of its own, which
 * is given back to the system afterwards; what is deeper than PG_DEPTH_MAX is refused unparsed.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS and its kin */
#include "analyse_internal.h"

#include <pg_query.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "postgres.h"

#define SHALLOW 64u                 /* levels that any stack has room for */
#define DEEP_STACK (256u << 20)
#define TEXTS_IN_TEXTS 4u
#define MEMORY (64u << 20)          /* of one analysis, and … */
#define MEMORY_PER_BYTE 256u        /* … for each byte of text */
#define PATIENCE 200000u
#define TOKENS_MAX 250000u          /* it is parsed on the loop of all sessions: half a second */

/* ---- parsing ---- */

static void *
tree_alloc(void *owner, size_t n)
{
	return analyse_alloc(owner, n);
}

static void
tree_free(void *owner, void *p)
{
	(void)owner;
	(void)p; /* with the analysis */
}

/* A word of the language, not somebody's password without its quotes. */
static bool
is_keyword(struct sp_bytes word)
{
	char copy[64];
	bool keyword = false;

	if (word.len >= sizeof(copy))
		return false;
	memcpy(copy, word.p, word.len);
	copy[word.len] = '\0';
	PgQueryScanResult r = pg_query_scan(copy);
	PgQuery__ScanResult *scan = r.error != NULL ? NULL : pg_query__scan_result__unpack(NULL, r.pbuf.len, (const uint8_t *)r.pbuf.data);
	if (scan != NULL && scan->n_tokens == 1)
		keyword = scan->tokens[0]->keyword_kind != PG_QUERY__KEYWORD_KIND__NO_KEYWORD;
	if (scan != NULL)
		pg_query__scan_result__free_unpacked(scan, NULL);
	pg_query_free_scan_result(r);
	return keyword;
}

/* The word at which the grammar gave up; of anything but keywords and signs only what it is. */
static struct sp_bytes
error_word(struct sp_bytes text, const PgQueryError *e)
{
	size_t at = 0;

	for (int i = 1; i < e->cursorpos && at < text.len; at++) /* it counts characters */
		if (at + 1 == text.len || (text.p[at + 1] & 0xc0) != 0x80)
			i++;
	struct pg_scan s = pg_scan(text, at);
	struct pg_token t = pg_scan_next(&s);
	struct sp_bytes word = { text.p + t.offset, t.len < 64 ? t.len : 64 };
	switch (t.kind) {
	case PG_TOKEN_END:
		return sp_str("end of text");
	case PG_TOKEN_WORD:
		return is_keyword(word) ? word : sp_str("a name");
	case PG_TOKEN_NAME:
		return sp_str("a name");
	case PG_TOKEN_OPERATOR:
	case PG_TOKEN_SELF:
	case PG_TOKEN_PARAM:
		return word;
	default:
		return sp_str("a constant");
	}
}

/* The tree, in the analysis's memory; NULL: unclear, word_r says where. */
static const PgQuery__ParseResult *
parse(struct analysis *a, struct sp_bytes text, struct sp_bytes *word_r)
{
	ProtobufCAllocator allocator = { tree_alloc, tree_free, a };
	PgQuery__ParseResult *tree = NULL;
	struct sp_bytes copy = analyse_copy(a, text); /* ends in NUL */

	*word_r = (struct sp_bytes){ NULL, 0 };
	if (copy.p == NULL)
		return NULL;
	PgQueryProtobufParseResult r = pg_query_parse_protobuf((const char *)copy.p);
	if (r.error != NULL)
		*word_r = analyse_copy(a, error_word(text, r.error));
	else
		tree = pg_query__parse_result__unpack(&allocator, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
	pg_query_free_protobuf_parse_result(r);
	return tree;
}

bool
analyse_inner_text(struct analysis *a, struct sp_bytes text)
{
	struct sp_bytes word;
	bool was_quiet = a->quiet;
	struct scope *scope = a->scope;
	struct group *group = a->group;

	/* many EXECUTEs of one long text are parsed as often */
	if (a->depth == TEXTS_IN_TEXTS || !pg_scan_few(text, &a->tokens) || !pg_scan_utf8(text) || pg_scan_depth(text) >= SHALLOW)
		return false;
	const PgQuery__ParseResult *tree = parse(a, text, &word);
	if (tree == NULL || tree->n_stmts == 0)
		return false;
	a->depth++;
	a->quiet = true;
	a->scope = NULL;
	a->group = NULL;
	for (size_t i = 0; i < tree->n_stmts; i++)
		analyse_nested(a, WALK(tree->stmts[i]->stmt), NULL);
	a->scope = scope;
	a->group = group;
	a->quiet = was_quiet;
	a->depth--;
	return true;
}

/* ---- one text ---- */

static void
one_statement(struct analysis *a, const PgQuery__RawStmt *raw)
{
	a->begin = raw->stmt_location > 0 ? (size_t)raw->stmt_location : 0;
	a->end = raw->stmt_len > 0 ? a->begin + (size_t)raw->stmt_len : a->text.len;
	a->hide_settings = false;
	analyse_statement(a, WALK(raw->stmt), NULL);
	if (a->hide_settings)
		note_hide_text(a, a->begin, a->end, false);
	if (a->stmt != NULL && (a->stmt->effects & ~(unsigned)PG_SESSION) != 0 && a->view != NULL && a->view->names != NULL && pg_names_types_act(a->view->names))
		note_runs_code(a);
}

static bool
has_one(const struct set *set, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < set->n; i++)
		for (size_t k = 0; k < n; k++)
			if (sp_bytes_is(set->v[i]->text, texts[k]))
				return true;
	return false;
}

/* What it sets, or what nobody knows of behind a view, is another path. */
static bool
sets_path(const struct stmt *s)
{
	static const char *const names[] = { "search_path", "role", "session_authorization", "all", "?" }, *const unseen[] = { "?.?" };

	return has_one(&s->set[PG_A_SETTING], names, sizeof(names) / sizeof(*names)) || has_one(&s->set[PG_A_TABLES], unseen, 1) || s->runs_code != 0;
}

/* What follows in the same text runs under the names that this statement leaves: not those that we know. */
static void
names_change(struct analysis *a, const struct stmt *s)
{
	/* what FETCH runs is in another text, or in front of it */
	static const char *const verb[] = { "commit", "rollback", "rollback to", "prepare transaction", "discard", "reset", "fetch", "move" };
	bool defines = (s->effects & (PG_DDL | PG_OPAQUE | PG_EXECUTE)) != 0;
	bool other_path = defines || (s->effects & PG_DCL) != 0 || sets_path(s);

	for (size_t i = 0; i < sizeof(verb) / sizeof(*verb); i++)
		other_path = other_path || strcmp(s->verb, verb[i]) == 0;
	/* What is committed stays what it was, but for temporary tables that are dropped then. */
	bool keeps = !defines && strcmp(s->verb, "commit") == 0 && a->view != NULL && !a->view->path_unknown && a->view->ntemporary == 0;
	a->renames = a->renames || s->unclear != NULL || (other_path && !keeps);
	if (!other_path)
		return;
	if (a->view != &a->changed && a->view != NULL)
		a->changed = *a->view;
	a->changed.path_unknown = true;
	if (defines)
		a->changed.names = NULL;
	a->view = &a->changed;
}

/*
 * The server tells what became of settings once a text is through.  Behind a transaction in which something
 * ran that may have changed them unseen (a view's function, a row policy), the next one begins before that.
 */
static void
next_transaction(struct analysis *a, const struct stmt *s, bool ran)
{
	static const char *const ends[] = { "commit", "rollback", "prepare transaction" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends) && ran; i++)
		if (strcmp(s->verb, ends[i]) == 0)
			note_change(a, READ_ONLY, (struct sp_bytes){ NULL, 0 });
}

/* Of these the grammar makes the same, whatever the literals that a skeleton leaves out. */
static bool
is_query(const PgQuery__Node *n)
{
	switch (n == NULL ? PG_QUERY__NODE__NODE__NOT_SET : n->node_case) {
	case PG_QUERY__NODE__NODE_SELECT_STMT:
	case PG_QUERY__NODE__NODE_INSERT_STMT:
	case PG_QUERY__NODE__NODE_UPDATE_STMT:
	case PG_QUERY__NODE__NODE_DELETE_STMT:
		return true;
	default:
		return false;
	}
}

static void
every_statement(struct analysis *a, const PgQuery__ParseResult *tree)
{
	a->statements = (unsigned)tree->n_stmts;
	a->like = tree->n_stmts == 1 && is_query(tree->stmts[0]->stmt);
	a->stmt = analyse_stmt(a, tree->n_stmts == 0 ? "empty" : tree->n_stmts == 1 ? "unclear" : "batch");
	if (tree->n_stmts == 1) {
		one_statement(a, tree->stmts[0]);
		if (a->stmt != NULL)
			names_change(a, a->stmt);
		return;
	}
	struct stmt *batch = a->stmt;
	bool ran = false;
	for (size_t i = 0; i < tree->n_stmts && !a->failed; i++) {
		a->stmt = analyse_stmt(a, "unclear");
		one_statement(a, tree->stmts[i]);
		if (a->stmt != NULL) {
			names_change(a, a->stmt);
			next_transaction(a, a->stmt, ran && i + 1 < tree->n_stmts);
			ran = ran || (a->stmt->effects & ~(unsigned)PG_SESSION) != 0;
		}
		a->stmt = batch;
	}
}

/* A text that stays dark: why, and no literal of it may be recorded. */
static void
dark(struct analysis *a, const char *why, struct sp_bytes name)
{
	a->stmt = analyse_stmt(a, "unclear");
	note_effects(a, PG_OPAQUE);
	note_unclear(a, why, name);
	a->renames = true;
	note_hide_text(a, 0, a->text.len, true);
}

static void
analyse(struct analysis *a)
{
	struct sp_bytes word;
	const PgQuery__ParseResult *tree = parse(a, a->text, &word);

	if (a->failed)
		return;
	if (tree == NULL)
		dark(a, "syntax", word);
	else
		every_statement(a, tree);
}

/* ---- the deep stack ---- */

static const struct sp_bytes no_word;

static struct {
	uint8_t *stack;
	struct analysis *job;
	ucontext_t here, there;
} deep;

static void
deep_main(void)
{
	analyse(deep.job);
}

/* One thread classifies: a module never starts another. */
static void
analyse_deep(struct analysis *a)
{
	if (deep.stack == NULL) {
		void *p = mmap(NULL, DEEP_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
		deep.stack = p == MAP_FAILED ? NULL : p;
	}
	if (deep.stack == NULL || getcontext(&deep.there) != 0) {
		dark(a, "depth", no_word);
		return;
	}
	deep.there.uc_stack.ss_sp = deep.stack;
	deep.there.uc_stack.ss_size = DEEP_STACK;
	deep.there.uc_link = &deep.here;
	deep.job = a;
	makecontext(&deep.there, deep_main, 0);
	(void)swapcontext(&deep.here, &deep.there);
	(void)madvise(deep.stack, DEEP_STACK, MADV_DONTNEED);
}

/* ---- the way in ---- */

static void
analyse_text(struct analysis *a, uint64_t max)
{
	struct sp_bytes none = { NULL, 0 };

	if (a->text.len > max) {
		dark(a, "size", none);
		return;
	}
	if (!pg_scan_utf8(a->text)) {
		dark(a, "encoding", none);
		return;
	}
	if (!pg_scan_few(a->text, &a->tokens)) {
		dark(a, "size", none);
		return;
	}
	size_t depth = pg_scan_depth(a->text);
	if (depth >= PG_DEPTH_MAX)
		dark(a, "depth", none);
	else if (depth >= SHALLOW)
		analyse_deep(a);
	else
		analyse(a);
}

/* Ran out of memory or nodes: what was found is not the whole, so none of it counts. */
static int
emit_failure(struct analysis *a)
{
	int rc = sp_op_str(a->op, PG_A_VERB, SP_LIT("unclear"));
	struct sp_literal all = { .len = a->text.len };

	if (rc == SP_OK)
		rc = sp_op_add(a->op, PG_A_EFFECTS, SP_LIT("opaque"));
	if (rc == SP_OK)
		rc = sp_op_int(a->op, PG_A_SIZE, a->text.len);
	if (rc == SP_OK)
		rc = sp_op_tag(a->op, "UNCLEAR");
	if (rc == SP_OK && a->text.len > 0)
		rc = sp_op_literal(a->op, &all);
	if (rc == SP_OK)
		rc = sp_op_changes(a->op, NULL, NULL);
	return rc == SP_OK ? sp_op_unclear(a->op, "size", SP_LIT("analysis")) : rc;
}

int
pg_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	const struct pg_view *view = scope == NULL ? NULL : scope->view;
	const struct pg_conf *conf = scope == NULL ? NULL : scope->conf;
	struct analysis a = { .op = op, .view = view, .text = text, .patience = PATIENCE, .tokens = TOKENS_MAX };

	a.cap = MEMORY + (text.len < PG_STATEMENT_MAX ? text.len : PG_STATEMENT_MAX) * MEMORY_PER_BYTE;
	analyse_text(&a, conf == NULL || conf->statement_max == 0 ? PG_STATEMENT_MAX : conf->statement_max);
	int rc = a.failed ? emit_failure(&a) : analyse_emit(&a);
	if (rc == SP_OK && a.like && !a.failed && !a.mattered)
		rc = sp_op_alike(op, PG_A_SIZE);
	if (a.pinned)
		rc = SP_EDENIED;
	analyse_release(&a);
	return rc;
}
