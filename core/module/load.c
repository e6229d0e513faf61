/* SPDX-License-Identifier: Apache-2.0 */
/* From a name in the configuration to a checked copy of a module's table. */
#include <config.h>

#include "load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/log.h"
#include "elf_note.h"

enum { MAX_ROWS = 64, MAX_CONF = 1 << 20, MAX_SESSION = 1 << 20 };

struct load {
	struct arena *arena;
	const char *name; /* as asked for */
	const char *path; /* resolved */
	const char **err_r;
};

#define FAIL(l, ...) conf_error((l)->arena, (l)->err_r, log_quote(sp_str((l)->path)), 0, __VA_ARGS__)

/* ---- where ---- */

/* The prefix under which this program was installed (DESTDIR), "" when it stands where configure said. */
static void
find_prefix(char *prefix, size_t cap)
{
	static const char *const folders[] = { ROLES_DIR, SBIN_DIR, BIN_DIR };
	ssize_t n = readlink("/proc/self/exe", prefix, cap - 1);
	prefix[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(prefix, '/');
	if (slash != NULL)
		*slash = '\0';
	size_t len = strlen(prefix);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		size_t tail = strlen(folders[i]);
		if (len < tail || strcmp(prefix + len - tail, folders[i]) != 0)
			continue;
		prefix[len - tail] = '\0';
		return;
	}
	prefix[0] = '\0';
}

static int
resolve_path(struct load *l)
{
	char prefix[PATH_MAX];
	if (l->name[0] == '/') {
		l->path = l->name;
	} else if (strchr(l->name, '/') != NULL) {
		l->path = l->name;
		return FAIL(l, "a module is given by its name or by its absolute path");
	} else {
		find_prefix(prefix, sizeof(prefix));
		l->path = arena_printf(l->arena, "%s%s/%s.so", prefix, MODULE_DIR, l->name);
	}
	if (l->path == NULL)
		return SP_ENOMEM;
	char *real = realpath(l->path, NULL);
	if (real == NULL)
		return FAIL(l, "can't load the module: %s", strerror(errno));
	l->path = arena_string(l->arena, sp_str(real));
	free(real);
	return l->path == NULL ? SP_ENOMEM : SP_OK;
}

/* ---- whom we trust ---- */

/* Root, or who owns this program: either could have changed the program itself. */
static bool
is_trusted_owner(uid_t uid)
{
	struct stat self;
	return uid == 0 || (stat("/proc/self/exe", &self) == 0 && uid == self.st_uid);
}

static int
check_owner(struct load *l, const char *path, const struct stat *st)
{
	if (!is_trusted_owner(st->st_uid))
		return FAIL(l, "not loaded: user %lu owns %s, and only root may", (unsigned long)st->st_uid, log_quote(sp_str(path)));
	return SP_OK;
}

/* The file and its folder: nobody else writes.  Above: others may write only where they can't replace (sticky). */
static int
check_folders(struct load *l)
{
	const char *folder = l->path;
	for (bool first = true; strcmp(folder, "/") != 0; first = false) {
		struct stat st;
		folder = conf_folder(l->arena, folder);
		if (folder == NULL)
			return SP_ENOMEM;
		if (stat(folder, &st) != 0)
			return FAIL(l, "not loaded: can't look at %s: %s", log_quote(sp_str(folder)), strerror(errno));
		int rc = check_owner(l, folder, &st);
		if (rc != SP_OK)
			return rc;
		mode_t others = first ? S_IWGRP | S_IWOTH : S_IWOTH;
		if ((st.st_mode & others) != 0 && (first || (st.st_mode & S_ISVTX) == 0))
			return FAIL(l, "not loaded: others may write its folder %s", log_quote(sp_str(folder)));
	}
	return SP_OK;
}

static int
check_version(struct load *l, struct sp_bytes file)
{
	uint32_t major, minor;
	const char *why;
	if (elf_note_read(file, &major, &minor, &why) != SP_OK)
		return FAIL(l, "not loaded: %s", why);
	if (major != SP_ABI_MAJOR || minor > SP_ABI_MINOR)
		return FAIL(l, "not loaded: it was built for module ABI %u.%u, and this gateway has %d.%d", (unsigned)major,
		    (unsigned)minor, SP_ABI_MAJOR, SP_ABI_MINOR);
	return SP_OK;
}

static int
check_opened(struct load *l, int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return FAIL(l, "not loaded: it is not a regular file with something in it");
	int rc = check_owner(l, l->path, &st);
	if (rc != SP_OK)
		return rc;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return FAIL(l, "not loaded: others than its owner may write it: chmod go-w");
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return FAIL(l, "can't read the module: %s", strerror(errno));
	rc = check_version(l, (struct sp_bytes){ p, (size_t)st.st_size });
	(void)munmap(p, (size_t)st.st_size);
	return rc;
}

static int
check_file(struct load *l)
{
	int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return FAIL(l, "can't read the module: %s", strerror(errno));
	int rc = check_opened(l, fd);
	(void)close(fd);
	return rc == SP_OK ? check_folders(l) : rc;
}

/* ---- the table inside ---- */

static bool
is_word(const char *name)
{
	return name != NULL && name[0] != '\0' && strlen(name) <= 63 &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.")] == '\0';
}

static size_t
stored_size(enum sp_type type)
{
	switch (type) {
	case SP_TYPE_STRING:
		return sizeof(const char *);
	case SP_TYPE_BOOL:
		return sizeof(bool);
	case SP_TYPE_INT:
	case SP_TYPE_SIZE:
	case SP_TYPE_DURATION:
		return sizeof(uint64_t);
	case SP_TYPE_STRINGS:
		return sizeof(struct sp_strings);
	default:
		return 0;
	}
}

static int
check_directives(struct load *l, const struct sp_module *m)
{
	unsigned n = 0;
	for (const struct sp_directive *d = m->directives; d != NULL && d->name != NULL; d++, n++) {
		size_t size = stored_size(d->type);
		if (n == MAX_ROWS || !is_word(d->name) || d->help == NULL || size == 0 || d->offset > m->conf_size ||
		    size > m->conf_size - d->offset || d->where == 0 || d->where > 7)
			return FAIL(l, "not loaded: row %u of its directives (\"%s\") is not sound", n, log_quote(sp_str(d->name)));
	}
	return SP_OK;
}

static int
check_attributes(struct load *l, const struct sp_module *m)
{
	unsigned n = 0;
	for (const struct sp_attr *a = m->attrs; a != NULL && a->name != NULL; a++, n++) {
		bool sound = n < 4 * MAX_ROWS && is_word(a->name) && a->help != NULL && a->type >= SP_TYPE_STRING &&
			     a->type <= SP_TYPE_COLUMNS && a->whose >= SP_OF_OPERATION && a->whose <= SP_OF_TARGET;
		if (!sound)
			return FAIL(l, "not loaded: row %u of its attributes (\"%s\") is not sound", n, log_quote(sp_str(a->name)));
	}
	for (n = 0; m->kinds != NULL && m->kinds[n] != NULL; n++)
		if (n == MAX_ROWS || !is_word(m->kinds[n]))
			return FAIL(l, "not loaded: kind %u of its operations is not sound", n);
	return n > 0 ? SP_OK : FAIL(l, "not loaded: it names no kind of operation");
}

/* Rules hide columns "on" such a kind: without one nobody could write a mask, and all would be shown. */
static int
check_masks(struct load *l, const struct sp_module *m)
{
	static const char end[] = ".result";
	bool there = false;
	for (unsigned n = 0; m->kinds != NULL && m->kinds[n] != NULL; n++) {
		size_t len = strlen(m->kinds[n]);
		there = there || (len >= sizeof(end) && strcmp(m->kinds[n] + len - (sizeof(end) - 1), end) == 0);
	}
	return there || (m->caps & SP_CAP_MASK) == 0 ? SP_OK
		: FAIL(l, "not loaded: it hides columns (SP_CAP_MASK), and has no kind NAME.result for rules that mask");
}

static int
check_callbacks(struct load *l, const struct sp_module *m)
{
	const struct { const char *name; bool there; } must[] = {
		{ "classify", m->classify != NULL }, { "admitted", m->admitted != NULL }, { "open", m->open != NULL },
		{ "data", m->data != NULL }, { "verdict", m->verdict != NULL },
		{ "proved", m->proved != NULL || (m->caps & SP_CAP_CREDENTIAL) == 0 },
	};
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		if (!must[i].there)
			return FAIL(l, "not loaded: it has no %s()", must[i].name);
	return SP_OK;
}

static int
check_name(struct load *l, const struct sp_module *m)
{
	struct sp_bytes asked = settings_module_name(l->name);
	if (!is_word(m->name) || !sp_bytes_is(asked, m->name))
		return FAIL(l, "not loaded: it calls itself \"%s\", not \"%.*s\"", m->name == NULL ? "" : log_quote(sp_str(m->name)),
		    (int)asked.len, (const char *)asked.p);
	return SP_OK;
}

/* An older module's table is shorter: the rest of the copy stays zero. */
static int
copy_table(struct load *l, const struct sp_module *theirs, const struct sp_module **m_r)
{
	static const struct sp_directive no_directives[1];
	static const struct sp_attr no_attrs[1];
	if (theirs->abi_major != SP_ABI_MAJOR || theirs->abi_minor > SP_ABI_MINOR || theirs->size > sizeof(*theirs) ||
	    theirs->size < offsetof(struct sp_module, check))
		return FAIL(l, "not loaded: its table is of ABI %u.%u and %u bytes, and its note says otherwise", theirs->abi_major,
		    theirs->abi_minor, (unsigned)theirs->size);
	struct sp_module *m = arena_alloc(l->arena, sizeof(*m));
	if (m == NULL)
		return SP_ENOMEM;
	memcpy(m, theirs, theirs->size);
	if (m->directives == NULL)
		m->directives = no_directives;
	if (m->attrs == NULL)
		m->attrs = no_attrs;
	if (m->conf_size > MAX_CONF || m->session_size > MAX_SESSION)
		return FAIL(l, "not loaded: it wants blocks of more than 1 MB");
	int (*const checks[])(struct load *, const struct sp_module *) = { check_name, check_callbacks, check_directives, check_attributes, check_masks };
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		int rc = checks[i](l, m);
		if (rc != SP_OK)
			return rc;
	}
	*m_r = m;
	return SP_OK;
}

int
module_load(struct arena *a, const char *name, const struct sp_module **m_r, const char **err_r)
{
	struct load l = { .arena = a, .name = name, .path = name, .err_r = err_r };
	*m_r = NULL;
	*err_r = "no memory to load a module";
	int rc = resolve_path(&l);
	if (rc == SP_OK)
		rc = check_file(&l);
	if (rc != SP_OK)
		return rc;
	void *handle = dlopen(l.path, RTLD_NOW | RTLD_LOCAL); /* for good: sessions and policies point into it */
	if (handle == NULL)
		return FAIL(&l, "not loaded: %s", dlerror());
	const struct sp_module *theirs = dlsym(handle, SP_MODULE_SYMBOL);
	if (theirs == NULL)
		return FAIL(&l, "not loaded: it does not export " SP_MODULE_SYMBOL);
	return copy_table(&l, theirs, m_r);
}

/* ---- all of them ---- */

const struct sp_module *
modules_find(const struct sp_module *const *list, const char *name)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcmp((*list)->name, name) == 0)
			return *list;
	return NULL;
}

/* "FILE:LINE: " of the load_module that names it, in front of the error. */
static int
add_place(struct arena *a, const struct settings *s, const char *word, int rc, const char **err_r)
{
	for (const struct conf_node *n = s->tree; n != NULL; n = n->next)
		for (unsigned i = 0; i < n->nargs && strcmp(n->name, "load_module") == 0; i++)
			if (strcmp(n->args[i], word) == 0 || (n->args[i][0] != '/' && strchr(n->args[i], '/') != NULL &&
				    sp_bytes_eq(settings_module_name(n->args[i]), settings_module_name(word))))
				return (void)conf_error(a, err_r, n->file, n->line, "%s", *err_r), rc;
	return rc;
}

int
modules_load(struct arena *a, const struct settings *s, const struct sp_module *const **list_r, const char **err_r)
{
	size_t n = s->load_module.n;
	const struct sp_module **list = arena_alloc(a, (n + 1) * sizeof(*list));
	*list_r = NULL;
	if (list == NULL)
		return SP_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct sp_module *m;
		int rc = module_load(a, s->load_module.v[i], &m, err_r);
		if (rc == SP_OK && modules_find(list, m->name) != NULL)
			rc = conf_error(a, err_r, s->load_module.v[i], 0, "another module is called \"%s\" too", m->name);
		if (rc != SP_OK)
			return add_place(a, s, s->load_module.v[i], rc, err_r);
		list[i] = m;
	}
	*list_r = list;
	return SP_OK;
}

/* ---- their configuration ---- */

static const struct module_settings *
find_settings(const struct settings *s, const char *name)
{
	const struct module_settings *m = s->modules;
	while (m != NULL && strcmp(m->b.name, name) != 0)
		m = (const struct module_settings *)m->b.next;
	return m;
}

static void
add_block(struct module_place *place, size_t *n, enum sp_where where, const struct conf_block *b, const struct directive *core)
{
	if (b != NULL)
		place[(*n)++] = (struct module_place){ where, b->node == NULL ? NULL : b->node->child, b->file, b->line, core,
			settings_table };
}

int
module_conf(struct arena *a, const struct sp_module *m, const struct settings *s, const struct listener *l,
    const struct target *t, void **conf_r, const char **err_r)
{
	struct module_place place[3];
	size_t n = 0;
	const struct module_settings *own = find_settings(s, m->name);
	*conf_r = NULL;
	add_block(place, &n, SP_IN_MODULE, own == NULL ? NULL : &own->b, NULL);
	add_block(place, &n, SP_IN_LISTENER, l == NULL ? NULL : &l->b, settings_listener_table);
	add_block(place, &n, SP_IN_TARGET, t == NULL ? NULL : &t->b, settings_target_table);
	void *conf = arena_alloc(a, m->conf_size);
	if (conf == NULL) {
		*err_r = "no memory for a module's configuration";
		return SP_ENOMEM;
	}
	int rc = directive_fill_module(a, m->directives, place, n, conf, err_r);
	if (rc != SP_OK)
		return rc;
	const char *why = "its configuration is not possible";
	if (m->check != NULL && l != NULL && t != NULL && m->check(conf, &why) != SP_OK)
		return conf_error(a, err_r, t->b.file, t->b.line, "target \"%s\" with listener \"%s\": %s", t->b.name, l->b.name, why);
	*conf_r = conf;
	return SP_OK;
}
