/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading policy files and the module whose statements they judge, without a gateway. */
#include <config.h>

#include "policies.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../module/load.h"

#define FILE_MAX (1u << 20)
#define MEMORY (256u << 20)
#define TEST_END "_test.lua"

void
policies_begin(struct policies *p)
{
	*p = (struct policies){ .arena = arena_new(MEMORY), .limits = { 20, 8u << 20 } };
}

void
policies_end(struct policies *p)
{
	policy_free(&p->policy);
	arena_free(&p->arena);
}

/* ---- files ---- */

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n > m && strcmp(text + n - m, end) == 0;
}

static int
read_text(struct policies *p, const char *path, FILE *f, struct policy_source *s)
{
	struct buffer b = { .max = FILE_MAX };
	int rc = DONE;
	for (;;) {
		uint8_t *room = buffer_room(&b, 65536);
		size_t n = room == NULL ? 0 : fread(room, 1, 65536, f);
		if (room == NULL)
			rc = failed("%s is larger than 1 MB", path);
		if (n == 0)
			break;
		buffer_added(&b, n);
	}
	if (rc == DONE && ferror(f) != 0)
		rc = failed("cannot read %s: %s", path, strerror(errno));
	s->path = arena_string(p->arena, sp_str(path));
	s->text = arena_bytes(p->arena, buffer_bytes(&b));
	if (rc == DONE && (s->path == NULL || (s->text.p == NULL && b.len > 0)))
		rc = failed("these policies are too large");
	digest_sha256(s->text, s->hash);
	buffer_free(&b);
	return rc;
}

static bool
is_there(const struct policies *p, const char *path)
{
	for (size_t i = 0; i < p->nsources; i++)
		if (strcmp(p->source[i]->path, path) == 0)
			return true;
	for (size_t i = 0; i < p->ntests; i++)
		if (strcmp(p->test[i]->path, path) == 0)
			return true;
	return false;
}

static int
add_file(struct policies *p, const char *path)
{
	bool test = ends_with(path, TEST_END);
	size_t *n = test ? &p->ntests : &p->nsources;
	struct policy_source *s = arena_alloc(p->arena, sizeof(*s));
	if (is_there(p, path))
		return DONE;
	if (s == NULL || *n == POLICY_FILES)
		return failed("more than %d policy files", POLICY_FILES);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return failed("cannot open %s: %s", path, strerror(errno));
	int rc = read_text(p, path, f, s);
	(void)fclose(f);
	if (rc == DONE)
		(test ? p->test : p->source)[(*n)++] = s;
	return rc;
}

static int
is_lua(const struct dirent *e)
{
	return e->d_name[0] != '.' && ends_with(e->d_name, ".lua");
}

static int
add_folder(struct policies *p, const char *folder)
{
	struct dirent **entry = NULL;
	int n = scandir(folder, &entry, is_lua, alphasort), rc = DONE;
	if (n < 0)
		return failed("cannot read %s: %s", folder, strerror(errno));
	if (n == 0)
		rc = failed("there is no *.lua in %s", folder);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		size_t len = strlen(folder);
		while (len > 1 && folder[len - 1] == '/')
			len--;
		(void)snprintf(path, sizeof(path), "%.*s/%s", (int)len, folder, entry[i]->d_name);
		if (rc == DONE)
			rc = add_file(p, path);
		free(entry[i]);
	}
	free(entry);
	return rc;
}

int
policies_add(struct policies *p, const char *path)
{
	struct stat st;
	char test[PATH_MAX];
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return add_folder(p, path);
	int rc = add_file(p, path);
	if (rc != DONE || !ends_with(path, ".lua") || ends_with(path, TEST_END))
		return rc;
	(void)snprintf(test, sizeof(test), "%.*s" TEST_END, (int)(strlen(path) - 4), path);
	return access(test, F_OK) == 0 ? add_file(p, test) : DONE;
}

/* ---- the module ---- */

/* Where it stands in a build tree that this program was started from; false: it was not. */
static bool
in_build_tree(const char *name, char *path, size_t cap)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	if (!ends_with(self, "/core/sallyport"))
		return false;
	(void)snprintf(path, cap, "%.*s/modules/%s/.libs/%s.so", (int)(strlen(self) - strlen("/core/sallyport")), self, name, name);
	return access(path, R_OK) == 0;
}

int
policies_module(struct policies *p, const char *name)
{
	char path[2 * PATH_MAX];
	const char *err = "";
	if (name == NULL)
		name = "postgres";
	if (strchr(name, '/') == NULL && in_build_tree(name, path, sizeof(path)))
		name = path;
	if (module_load(p->arena, name, &p->module, &err) != SP_OK)
		return failed("%s", err);
	return DONE;
}

int
policies_load(struct policies *p)
{
	const struct policy_schema schema = { &p->module, 1 };
	char *text = NULL;
	if (policy_load((const struct policy_source *const *)p->source, p->nsources, &schema, &p->limits, &p->policy, &text) == SP_OK)
		return DONE;
	(void)fprintf(stderr, "%s\n", text == NULL ? "the policies cannot be loaded" : text);
	free(text);
	return FAILED;
}
