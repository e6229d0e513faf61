/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading policies: each file runs once in a sandbox, and what it declares becomes C structures.
 *
 *   file ─▶ sandbox ─▶ rule "x" { … } ─▶ begin(), collect() ─▶ rule_read(), tag_read(), case_read()
 *
 * Mistakes are collected over all files; a policy with one mistake does not load.
 */
#include <config.h>

#include "policy.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/digest.h"
#include "cases.h"
#include "rule.h"
#include "zone.h"

#define FILE_MAX (1u << 20)
#define POLICY_MEMORY (64u << 20)
#define ERRORS_MAX 100
#define KEYS_MAX 200

int
policy_prepare(void)
{
	int rc = sandbox_prepare();

	zones_prepare();
	return rc == SP_OK ? detect_prepare() : rc;
}

/* ---- for those who read tables ---- */

void
loader_error(struct loader *l, unsigned line, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	if (++l->nerrors > ERRORS_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (buffer_printf(&l->errors, "%s%s:%u: %s", l->nerrors == 1 ? "" : "\n", l->file->path, line, text) != SP_OK)
		l->no_memory = true;
}

static bool
assigns(struct sp_bytes line, struct sp_bytes word)
{
	for (size_t i = 0; i + word.len < line.len; i++) {
		bool before = i > 0 && line.p[i - 1] > ' ' && strchr("{,;[\"'.", line.p[i - 1]) == NULL;
		if (before || memcmp(line.p + i, word.p, word.len) != 0)
			continue;
		size_t j = i + word.len;
		while (j < line.len && strchr(" \t\"']", line.p[j]) != NULL && line.p[j] != '\0')
			j++;
		if (j < line.len && line.p[j] == '=')
			return true;
	}
	return false;
}

unsigned
loader_line_of(const struct loader *l, unsigned line, const char *word)
{
	enum { LOOKED = 200 }; /* lines that a rule may have, for this purpose */
	struct sp_reader r = sp_reader(l->file->text);

	if (strncmp(word, "root.", 5) == 0)
		word += 5;
	for (unsigned at = 1; r.left > 0 && at < line + LOOKED; at++) {
		struct sp_bytes text = memchr(r.p, '\n', r.left) == NULL ? sp_rd_rest(&r) : sp_rd_until(&r, '\n');
		if (at >= line && assigns(text, sp_str(word)))
			return at;
	}
	return line;
}

const char *
loader_hint(struct loader *l, const char *word, const char *const *names)
{
	const char *near = names == NULL ? NULL : conf_nearest(word, names);
	const char *hint = near == NULL ? "" : arena_printf(l->arena, ", did you mean \"%s\"?", near);

	return hint == NULL ? "" : hint;
}

char *
loader_string(struct loader *l, lua_State *L, int index)
{
	size_t len;
	const char *text = lua_tolstring(L, index, &len);

	if (text == NULL || memchr(text, 0, len) != NULL)
		luaL_error(L, "a text with a zero byte in it");
	char *copy = arena_string(l->arena, (struct sp_bytes){ (const uint8_t *)text, len });
	if (copy == NULL) {
		l->no_memory = true;
		luaL_error(L, "out of memory");
	}
	return copy;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **
loader_keys(struct loader *l, lua_State *L, int index, unsigned line, const char *what)
{
	const char **keys = arena_alloc(l->arena, (KEYS_MAX + 1) * sizeof(*keys));
	size_t n = 0;

	index = lua_absindex(L, index);
	luaL_checkstack(L, 20, NULL);
	lua_pushnil(L);
	while (keys != NULL && lua_next(L, index) != 0) {
		lua_pop(L, 1);
		if (lua_type(L, -1) == LUA_TNUMBER)
			continue; /* whoever wants a list reads it */
		if (lua_type(L, -1) != LUA_TSTRING || n == KEYS_MAX) {
			loader_error(l, line, "%s: %s", what, n == KEYS_MAX ? "too many words" : "a key that is no word");
			lua_pop(L, 1);
			break;
		}
		keys[n++] = loader_string(l, L, -1);
	}
	if (keys == NULL)
		l->no_memory = true;
	else
		qsort(keys, n, sizeof(*keys), by_name);
	return keys;
}

/* ---- what the words of the language call ---- */

static struct loader *
loader_of(struct script *s)
{
	return (struct loader *)s;
}

/* The line of the policy file from which this was called. */
static unsigned
caller_line(const struct loader *l, lua_State *L)
{
	lua_Debug ar;

	for (int level = 0; lua_getstack(L, level, &ar) != 0; level++) {
		lua_getinfo(L, "Sl", &ar);
		if (strcmp(ar.source, l->chunk) == 0)
			return ar.currentline > 0 ? (unsigned)ar.currentline : 1;
	}
	return 1;
}

static int
begin(struct script *s, lua_State *L)
{
	struct loader *l = loader_of(s);
	const char *what = luaL_checkstring(L, 1);
	struct pending *p;

	if (lua_type(L, 2) != LUA_TSTRING) {
		/* With the author's line, not the prelude's. */
		lua_pushfstring(L, "%s:%d: %s wants a name: %s \"name\" { … }", l->file->path, (int)caller_line(l, L), what, what);
		return lua_error(L);
	}
	p = arena_alloc(l->arena, sizeof(*p));
	if (p == NULL)
		return luaL_error(L, "out of memory");
	p->what = loader_string(l, L, 1);
	p->name = loader_string(l, L, 2);
	p->line = caller_line(l, L);
	p->next = l->pending;
	l->pending = p;
	return 0;
}

static int
collect(struct script *s, lua_State *L)
{
	struct loader *l = loader_of(s);
	const char *what = luaL_checkstring(L, 1);
	const char *name = loader_string(l, L, 2);
	unsigned line = caller_line(l, L);
	struct pending **p = &l->pending;

	while (*p != NULL && (strcmp((*p)->what, what) != 0 || strcmp((*p)->name, name) != 0))
		p = &(*p)->next;
	if (*p != NULL) {
		line = (*p)->line; /* where it began: the body may be long */
		*p = (*p)->next;
	}
	lua_settop(L, 3);
	if (lua_type(L, 3) != LUA_TTABLE) {
		loader_error(l, line, "%s \"%s\": what follows the name is a table { … }", what, name);
	} else if (strcmp(what, "test") == 0) {
		case_read(l, L, name, line);
	} else if (l->tests_only) {
		loader_error(l, line, "a file of tests holds nothing but tests, and \"%s\" is a %s", name, what);
	} else if (strcmp(what, "rule") == 0) {
		rule_read(l, L, name, line);
	} else {
		tag_read(l, L, name, line);
	}
	return 0;
}

/* ---- files ---- */

/* Lua cuts long names of chunks in its texts: what stands before ":LINE:" is replaced by the whole path. */
static void
script_failed(struct loader *l, const char *text)
{
	for (const char *p = strchr(text, ':'); p != NULL; p = strchr(p + 1, ':')) {
		size_t digits = strspn(p + 1, "0123456789");
		if (digits > 0 && p[1 + digits] == ':') {
			unsigned line = (unsigned)strtoul(p + 1, NULL, 10);
			const char *rest = p + 2 + digits;
			loader_error(l, line, "%s", rest + strspn(rest, " "));
			return;
		}
	}
	loader_error(l, 1, "%s", text);
}

struct dumping {
	struct buffer out;
	int rc;
};

static int
dump_some(lua_State *L, const void *p, size_t n, void *ud)
{
	struct dumping *d = ud;

	(void)L;
	d->rc = buffer_put(&d->out, (struct sp_bytes){ p, n });
	return d->rc != SP_OK;
}

/* Keeps the chunk on top of the stack compiled, for the states of sessions. */
static void
keep_compiled(struct loader *l)
{
	struct dumping d = { .rc = SP_OK };
	struct script_file *f = &l->p->file[l->p->nfiles++];

	if (lua_dump(sandbox_lua(l->box), dump_some, &d, 0) != 0)
		l->no_memory = true;
	f->path = l->file->path;
	f->chunk = l->chunk;
	f->code = arena_bytes(l->p->arena, buffer_bytes(&d.out));
	if (f->code.p == NULL)
		l->no_memory = true;
	buffer_free(&d.out);
}

void
loader_run(struct loader *l, const struct policy_source *file)
{
	struct policy_source *copy = arena_alloc(l->arena, sizeof(*copy));

	if (copy == NULL) {
		l->no_memory = true;
		return;
	}
	*copy = *file;
	copy->path = arena_string(l->arena, sp_str(file->path));
	l->file = copy;
	l->chunk = arena_printf(l->arena, "@%s", file->path);
	l->pending = NULL;
	if (copy->path == NULL || l->chunk == NULL) {
		l->no_memory = true;
		return;
	}
	if (file->text.len > FILE_MAX) {
		loader_error(l, 1, "a policy of more than %u bytes", FILE_MAX);
		return;
	}
	sandbox_arm(l->box, LOAD_MS);
	if (sandbox_load(l->box, l->chunk, file->text) != SP_OK) {
		script_failed(l, sandbox_text(l->box));
	} else {
		if (!l->tests_only)
			keep_compiled(l);
		if (sandbox_call(l->box, 0, 0) != SANDBOX_DONE)
			script_failed(l, sandbox_text(l->box));
	}
	sandbox_disarm(l->box);
	for (const struct pending *p = l->pending; p != NULL; p = p->next)
		loader_error(l, p->line, "%s \"%s\" has no body { … }", p->what, p->name);
}

int
loader_begin(struct loader *l, struct policy *p, struct arena *a)
{
	*l = (struct loader){ .script = { .begin = begin, .collect = collect }, .p = p, .arena = a };
	l->cases = &p->cases;
	l->regexes = &p->regexes;
	l->box = sandbox_new(&policy_library, (size_t)p->limits.memory);
	if (l->box == NULL)
		return SP_ENOMEM;
	sandbox_set_owner(l->box, &l->script);
	return SP_OK;
}

int
loader_end(struct loader *l, char **err_r)
{
	int rc = l->nerrors > 0 ? SP_ECONF : l->no_memory ? SP_ENOMEM : SP_OK;

	*err_r = NULL;
	if (rc == SP_ENOMEM)
		*err_r = mem_string(SP_LIT("a policy too large for the memory it may take"));
	if (rc == SP_ECONF)
		*err_r = mem_string(buffer_bytes(&l->errors));
	buffer_free(&l->errors);
	sandbox_free(&l->box);
	return rc;
}

/* ---- policies ---- */

static struct policy *
policy_new(const struct policy_source *const *files, size_t n, const struct policy_schema *schema,
    const struct policy_limits *limits)
{
	struct arena *a = arena_new(POLICY_MEMORY);
	struct policy *p = a == NULL ? NULL : arena_alloc(a, sizeof(*p));
	const struct sp_module **modules = p == NULL ? NULL : arena_alloc(a, (schema->n + 1) * sizeof(*modules));

	if (modules == NULL) {
		arena_free(&a);
		return NULL;
	}
	p->arena = a;
	p->refs = 1;
	p->limits = *limits;
	for (size_t i = 0; i < schema->n; i++)
		modules[i] = schema->module[i];
	p->schema = (struct policy_schema){ modules, schema->n < MODULES_MAX ? schema->n : MODULES_MAX };
	p->file = arena_alloc(a, (n + 1) * sizeof(*p->file));
	p->label = arena_alloc(a, sizeof(*p->label));
	struct digest *d = digest_begin();
	for (size_t i = 0; i < n; i++)
		digest_add(d, (struct sp_bytes){ files[i]->hash, sizeof(files[i]->hash) });
	digest_end(&d, p->hash);
	if (p->file == NULL || p->label == NULL)
		arena_free(&a);
	return a == NULL ? NULL : p;
}

int
policy_load(const struct policy_source *const *files, size_t n, const struct policy_schema *schema,
    const struct policy_limits *limits, struct policy **p_r, char **err_r)
{
	struct loader l;
	struct policy *p = policy_new(files, n, schema, limits);

	*p_r = NULL;
	*err_r = NULL;
	if (p == NULL || loader_begin(&l, p, p->arena) != SP_OK) {
		*err_r = mem_string(SP_LIT("no memory for a policy"));
		policy_free(&p);
		return SP_ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		loader_run(&l, files[i]);
	rule_finish(&l);
	int rc = loader_end(&l, err_r);
	if (rc != SP_OK)
		policy_free(&p);
	*p_r = p;
	return rc;
}

struct policy *
policy_ref(struct policy *p)
{
	p->refs++;
	return p;
}

void
policy_free(struct policy **pp)
{
	struct policy *p = *pp;

	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	for (struct regex_list *r = p->regexes; r != NULL; r = r->next)
		regex_free(&r->regex);
	struct arena *a = p->arena;
	arena_free(&a);
}

const uint8_t *
policy_hash(const struct policy *p)
{
	return p->hash;
}

const struct policy_label *
policy_labels(const struct policy *p)
{
	return p->label;
}

/* ---- what rules look at ---- */

static bool
looks_at(const struct policy *p, const struct clause *c, const struct sp_module *m, unsigned attr)
{
	if (c->function)
		return true; /* at the text, for all we know */
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < p->schema.n; k++)
			if (p->schema.module[k] == m && c->condition[i].attribute.index[k] == (int)attr)
				return true;
	return false;
}

bool
policy_looks_at(const struct policy *p, const struct sp_module *m, unsigned attr)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (looks_at(p, &p->rule[i]->when, m, attr) || looks_at(p, &p->rule[i]->unless, m, attr))
			return true;
	return false;
}

/* ---- tagged columns ---- */

bool
policy_tagged(const struct policy *p, struct sp_bytes column)
{
	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		if (t->sensitive && tag_matches(t, column) != NO)
			return true;
	return false;
}

#define COLUMNS_MOST 200000u /* it happens on the loop of all sessions */

struct unmatched {
	const struct policy *p;
	bool *hit;          /* by pattern, in the order of tags */
	size_t left, columns;
};

static int
take_column(void *to, struct sp_bytes column)
{
	struct unmatched *u = to;
	bool *hit = u->hit;
	for (const struct tag *t = u->p->tags; t != NULL; t = t->next)
		for (size_t i = 0; i < t->n; i++, hit++)
			if (!*hit && tag_pattern_matches(&t->pattern[i], column) == YES) {
				*hit = true;
				u->left--;
			}
	return u->left == 0 || ++u->columns >= COLUMNS_MOST;
}

/* A list of names that a column may have ("*.mail", "*.e_mail") is one guess: one word when none of them is there. */
static void
report_tag(const struct tag *t, const bool *hit, void (*report)(void *to, const char *tag, const char *pattern, const char *file, unsigned line), void *to)
{
	bool guessed = false;
	for (size_t i = 0; i < t->n; i++)
		guessed = guessed || (hit[i] && t->pattern[i].text[0] == '*');
	for (size_t i = 0; i < t->n; i++) {
		bool guess = t->pattern[i].text[0] == '*';
		if (!hit[i] && !(guess && guessed))
			report(to, t->name, t->pattern[i].text, t->pattern[i].file, t->pattern[i].line);
		guessed = guessed || guess;
	}
}

void
policy_tags_unmatched(const struct policy *p, sp_columns_fn *each, void *owner,
    void (*report)(void *to, const char *tag, const char *pattern, const char *file, unsigned line), void *to)
{
	struct unmatched u = { .p = p };
	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		u.left += t->n;
	if (u.left == 0)
		return;
	u.hit = mem_alloc(u.left * sizeof(*u.hit));
	each(owner, take_column, &u);
	const bool *hit = u.hit;
	for (const struct tag *t = p->tags; t != NULL && u.columns < COLUMNS_MOST; hit += t->n, t = t->next)
		report_tag(t, hit, report, to);
	free(u.hit);
}

static bool
any_sensitive(const struct policy *p)
{
	for (const struct tag *t = p->tags; t != NULL; t = t->next)
		if (t->sensitive)
			return true;
	return false;
}

bool
policy_touches_tagged(const struct policy *p, const struct op *op)
{
	const struct shape *s = op->shape;

	if (!any_sensitive(p) || s == NULL)
		return false;
	if (op->failed || s->failed)
		return true; /* nobody knows what it touches */
	for (size_t i = 0; i < s->nnodes; i++) {
		for (unsigned j = 0; j < s->nattrs; j++) {
			const struct value *v = &s->node[i].value[j];
			if (s->module->attrs[j].type != SP_TYPE_COLUMNS)
				continue;
			if (v->known == UNKNOWN)
				return true;
			for (size_t k = 0; k < v->n; k++)
				if (policy_tagged(p, v->set[k]))
					return true;
		}
	}
	return false;
}
