/* SPDX-License-Identifier: Apache-2.0 */
/* Reads configuration text into a tree, a word at a time, and names the place of every mistake. */
#include <config.h>

#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE };

struct token {
	enum token_kind kind;
	const char *word;
	bool quoted;
	unsigned line;
};

struct totals { /* over all files of one reading */
	unsigned nodes, files;
};

struct text {
	struct arena *arena;
	const char *file;
	struct sp_reader in;
	unsigned line;
	unsigned depth;    /* of blocks, files included from within them counted */
	unsigned includes; /* how many files deep we are */
	bool may_include;
	struct totals *totals;
	const char **err_r;
};

struct list { /* where the next directive goes */
	struct conf_node **tail;
};

static int parse_list(struct text *t, const struct conf_node *owner, struct list *into);

/* ---- errors ---- */

int
conf_error(struct arena *a, const char **err_r, const char *file, unsigned line, const char *fmt, ...)
{
	char sentence[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	if (line > 0)
		*err_r = arena_printf(a, "%s:%u: %s", file, line, sentence);
	else
		*err_r = arena_printf(a, "%s: %s", file, sentence);
	if (*err_r == NULL)
		*err_r = "the configuration takes more memory than it may";
	return SP_ECONF;
}

static int
no_memory(struct text *t)
{
	*t->err_r = "the configuration takes more memory than it may";
	return SP_ENOMEM;
}

#define FAIL(t, at, ...) conf_error((t)->arena, (t)->err_r, (t)->file, (at), __VA_ARGS__)

/* ---- words ---- */

static int
peek(const struct text *t)
{
	return t->in.left == 0 ? -1 : t->in.p[0];
}

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
ends_word(int c)
{
	return c == -1 || is_blank(c) || c == ';' || c == '{' || c == '}';
}

static bool
is_control(int c)
{
	return (c >= 0 && c < 0x20) || c == 0x7f;
}

static void
skip_blank(struct text *t)
{
	for (int c = peek(t); is_blank(c) || c == '#'; c = peek(t)) {
		if (c == '#') {
			while (peek(t) != '\n' && peek(t) != -1)
				(void)sp_rd_u8(&t->in);
			continue;
		}
		if (c == '\n')
			t->line++;
		(void)sp_rd_u8(&t->in);
	}
}

static int
read_bare(struct text *t, struct token *token)
{
	struct sp_reader start = t->in;
	size_t n = 0;
	for (int c = peek(t); !ends_word(c); c = peek(t), n++) {
		if (is_control(c))
			return FAIL(t, t->line, "control character 0x%02x in the text", (unsigned)c);
		if (c == '"')
			return FAIL(t, t->line, "a quote inside a word: put the whole word in quotes, \"name=a value\"");
		(void)sp_rd_u8(&t->in);
	}
	if (n > CONF_WORD)
		return FAIL(t, t->line, "a word of more than %d bytes", CONF_WORD);
	token->word = arena_string(t->arena, sp_rd_take(&start, n));
	return token->word == NULL ? no_memory(t) : SP_OK;
}

/* One character of a quoted word; -1 is its end. */
static int
read_quoted_char(struct text *t, int *c_r)
{
	int c = peek(t);
	*c_r = -1;
	if (c == -1 || c == '\n')
		return FAIL(t, t->line, "a quoted word that does not end in its line");
	if (is_control(c) && c != '\t')
		return FAIL(t, t->line, "control character 0x%02x in the text", (unsigned)c);
	(void)sp_rd_u8(&t->in);
	*c_r = c;
	if (c == '"')
		*c_r = -1;
	if (c != '\\')
		return SP_OK;
	c = peek(t);
	if (c != '"' && c != '\\')
		return FAIL(t, t->line, "in a quoted word, \\ stands before \" or \\ only");
	*c_r = sp_rd_u8(&t->in);
	return SP_OK;
}

static int
read_quoted(struct text *t, struct token *token)
{
	uint8_t word[CONF_WORD];
	size_t n = 0;
	(void)sp_rd_u8(&t->in); /* the opening quote */
	for (;;) {
		int c, rc = read_quoted_char(t, &c);
		if (rc != SP_OK)
			return rc;
		if (c == -1)
			break;
		if (n == sizeof(word))
			return FAIL(t, t->line, "a word of more than %d bytes", CONF_WORD);
		word[n++] = (uint8_t)c;
	}
	if (!ends_word(peek(t)))
		return FAIL(t, t->line, "a space or \";\" is missing after a quoted word");
	token->quoted = true;
	token->word = arena_string(t->arena, (struct sp_bytes){ word, n });
	return token->word == NULL ? no_memory(t) : SP_OK;
}

static int
next_token(struct text *t, struct token *token)
{
	skip_blank(t);
	*token = (struct token){ .line = t->line };
	switch (peek(t)) {
	case -1:
		token->kind = TOKEN_END;
		return SP_OK;
	case ';':
		token->kind = TOKEN_SEMICOLON;
		break;
	case '{':
		token->kind = TOKEN_OPEN;
		break;
	case '}':
		token->kind = TOKEN_CLOSE;
		break;
	case '"':
		token->kind = TOKEN_WORD;
		return read_quoted(t, token);
	default:
		token->kind = TOKEN_WORD;
		return read_bare(t, token);
	}
	(void)sp_rd_u8(&t->in);
	return SP_OK;
}

/* ---- files ---- */

static const char *
check_file(int fd, size_t max, size_t *size_r)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if ((st.st_mode & S_IWOTH) != 0)
		return "anybody may write it: chmod o-w";
	if (st.st_size < 0 || (uintmax_t)st.st_size > max)
		return "too large";
	*size_r = (size_t)st.st_size;
	return NULL;
}

static const char *
read_whole(int fd, uint8_t *into, size_t size)
{
	for (size_t n = 0; n < size;) {
		ssize_t got = read(fd, into + n, size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return strerror(errno);
		if (got == 0)
			return "it changed while being read";
		n += (size_t)got;
	}
	return NULL;
}

int
conf_file(struct arena *a, const char *path, size_t max, struct sp_bytes *content_r, const char **why_r)
{
	*content_r = (struct sp_bytes){ NULL, 0 };
	/* Non-blocking, or a FIFO among the files would hold us for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		*why_r = strerror(errno);
		return errno == ENOENT ? SP_EIO : SP_ECONF;
	}
	size_t size = 0;
	uint8_t *into = NULL;
	*why_r = check_file(fd, max, &size);
	if (*why_r == NULL && (into = arena_alloc(a, size + 1)) == NULL)
		*why_r = "no memory for it";
	if (*why_r == NULL)
		*why_r = read_whole(fd, into, size);
	(void)close(fd);
	if (*why_r != NULL)
		return SP_ECONF;
	*content_r = (struct sp_bytes){ into, size };
	return SP_OK;
}

const char *
conf_folder(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		return ".";
	if (slash == path)
		return "/";
	return arena_string(a, (struct sp_bytes){ (const uint8_t *)path, (size_t)(slash - path) });
}

const char *
conf_path(struct arena *a, const char *folder, const char *path)
{
	if (path[0] == '/')
		return arena_string(a, sp_str(path));
	return arena_printf(a, "%s/%s", folder, path);
}

/* ---- directives ---- */

static int
read_included(struct text *t, const char *path, unsigned line, struct list *into)
{
	struct text inner = *t;
	const char *why;
	if (++t->totals->files > CONF_FILES)
		return FAIL(t, line, "more than %d files are included", CONF_FILES);
	inner.includes++;
	inner.line = 1;
	inner.file = arena_string(t->arena, sp_str(path));
	if (inner.file == NULL)
		return no_memory(t);
	struct sp_bytes content;
	if (conf_file(t->arena, path, CONF_FILE, &content, &why) != SP_OK)
		return FAIL(t, line, "can't read \"%s\": %s", log_quote(sp_str(path)), why);
	inner.in = sp_reader(content);
	return parse_list(&inner, NULL, into);
}

static bool
has_wildcard(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

/* An unreadable folder must not pass for an empty one. */
static int
glob_stops(const char *path, int error)
{
	(void)path;
	return error != ENOENT;
}

static int
include(struct text *t, const struct conf_node *at, struct list *into)
{
	if (at->nargs != 1 || at->block)
		return FAIL(t, at->line, "\"include\" takes one file or pattern, and no block");
	if (!t->may_include)
		return FAIL(t, at->line, "\"include\" is not possible here");
	if (t->includes == CONF_INCLUDES)
		return FAIL(t, at->line, "files include files more than %d deep: does one include itself?", CONF_INCLUDES);
	const char *folder = conf_folder(t->arena, t->file);
	const char *pattern = folder == NULL ? NULL : conf_path(t->arena, folder, at->args[0]);
	if (pattern == NULL)
		return no_memory(t);
	glob_t found = { 0 };
	int rc = glob(pattern, 0, glob_stops, &found); /* sorted, and without hidden files */
	if (rc == GLOB_NOMATCH && has_wildcard(at->args[0]))
		return SP_OK;
	if (rc != 0)
		return FAIL(t, at->line, "can't include \"%s\": %s", log_quote(sp_str(pattern)),
		    rc == GLOB_NOMATCH ? "no such file" : "a folder in its path can't be read");
	for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
		rc = read_included(t, found.gl_pathv[i], at->line, into);
	globfree(&found);
	return rc;
}

/* The words up to `;` or `{`. */
static int
read_args(struct text *t, struct conf_node *node)
{
	const char *args[CONF_ARGS];
	struct token token;
	for (;;) {
		int rc = next_token(t, &token);
		if (rc != SP_OK)
			return rc;
		if (token.kind == TOKEN_SEMICOLON || token.kind == TOKEN_OPEN)
			break;
		if (token.kind != TOKEN_WORD)
			return FAIL(t, node->line, "\"%s\" does not end: \";\" is missing", log_quote(sp_str(node->name)));
		if (node->nargs == CONF_ARGS)
			return FAIL(t, node->line, "\"%s\" has more than %d words", log_quote(sp_str(node->name)), CONF_ARGS);
		args[node->nargs++] = token.word;
	}
	node->block = token.kind == TOKEN_OPEN;
	const char **copy = arena_alloc(t->arena, (node->nargs + 1) * sizeof(*copy));
	if (copy == NULL)
		return no_memory(t);
	memcpy(copy, args, node->nargs * sizeof(*copy));
	node->args = copy;
	return SP_OK;
}

static int
read_directive(struct text *t, const struct token *name, struct list *into)
{
	if (name->quoted)
		return FAIL(t, name->line, "a directive's name is not quoted");
	if (++t->totals->nodes > CONF_NODES)
		return FAIL(t, name->line, "more than %d directives", CONF_NODES);
	struct conf_node *node = arena_alloc(t->arena, sizeof(*node));
	if (node == NULL)
		return no_memory(t);
	*node = (struct conf_node){ .name = name->word, .file = t->file, .line = name->line };
	int rc = read_args(t, node);
	if (rc != SP_OK)
		return rc;
	if (strcmp(node->name, "include") == 0)
		return include(t, node, into);
	*into->tail = node;
	into->tail = &node->next;
	if (!node->block)
		return SP_OK;
	if (t->depth == CONF_DEPTH)
		return FAIL(t, node->line, "blocks are more than %d deep", CONF_DEPTH);
	struct list inside = { &node->child };
	t->depth++;
	rc = parse_list(t, node, &inside);
	t->depth--;
	return rc;
}

/* Directives up to the `}` that ends owner, or without an owner, up to the end of the file. */
static int
parse_list(struct text *t, const struct conf_node *owner, struct list *into)
{
	struct token token;
	for (;;) {
		int rc = next_token(t, &token);
		if (rc != SP_OK)
			return rc;
		if (token.kind == TOKEN_END && owner != NULL)
			return FAIL(t, owner->line, "\"%s\" does not end: \"}\" is missing", log_quote(sp_str(owner->name)));
		if (token.kind == TOKEN_END || (token.kind == TOKEN_CLOSE && owner != NULL))
			return SP_OK;
		if (token.kind != TOKEN_WORD)
			return FAIL(t, token.line, "unexpected \"%c\"", ";{}"[token.kind - TOKEN_SEMICOLON]);
		rc = read_directive(t, &token, into);
		if (rc != SP_OK)
			return rc;
	}
}

int
conf_parse(struct arena *a, const char *file, struct sp_bytes text, struct conf_node **top_r, const char **err_r)
{
	struct totals totals = { 0 };
	*top_r = NULL;
	struct text t = { .arena = a, .file = file, .in = sp_reader(text), .line = 1, .totals = &totals, .err_r = err_r };
	struct list into = { top_r };
	return parse_list(&t, NULL, &into);
}

int
conf_read(struct arena *a, const char *path, struct conf_node **top_r, const char **err_r)
{
	struct totals totals = { .files = 1 };
	struct sp_bytes content;
	const char *why;
	*top_r = NULL;
	if (conf_file(a, path, CONF_FILE, &content, &why) != SP_OK)
		return conf_error(a, err_r, path, 0, "can't read it: %s", why);
	struct text t = { .arena = a, .file = arena_string(a, sp_str(path)), .in = sp_reader(content), .line = 1,
		.may_include = true, .totals = &totals, .err_r = err_r };
	if (t.file == NULL)
		return no_memory(&t);
	struct list into = { top_r };
	return parse_list(&t, NULL, &into);
}

const struct conf_node *
conf_find(const struct conf_node *first, const char *name)
{
	while (first != NULL && strcmp(first->name, name) != 0)
		first = first->next;
	return first;
}

/* ---- did you mean ---- */

enum { NEAR_WORD = 40 };

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;
	return least < c ? least : c;
}

/* Insertions, deletions, changes and swaps of neighbours that turn a into b. */
static unsigned
edit_distance(const char *a, const char *b)
{
	unsigned row[3][NEAR_WORD + 1];
	size_t na = strlen(a), nb = strlen(b);
	if (na > NEAR_WORD || nb > NEAR_WORD)
		return UINT32_MAX;
	unsigned *older = row[0], *old = row[1], *now = row[2];
	for (unsigned j = 0; j <= nb; j++)
		old[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned differ = a[i - 1] != b[j - 1];
			now[j] = min3(old[j] + 1, now[j - 1] + 1, old[j - 1] + differ);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && older[j - 2] + 1 < now[j])
				now[j] = older[j - 2] + 1;
		}
		unsigned *free_row = older;
		older = old;
		old = now;
		now = free_row;
	}
	return old[nb];
}

const char *
conf_nearest(const char *word, const char *const *names)
{
	size_t len = strlen(word);
	unsigned best = len <= 3 ? 2 : len <= 8 ? 3 : 4; /* must be below */
	const char *nearest = NULL;
	for (; *names != NULL; names++) {
		unsigned distance = edit_distance(word, *names);
		if (distance < best) {
			best = distance;
			nearest = *names;
		}
	}
	return nearest;
}
