/* SPDX-License-Identifier: Apache-2.0 */
/* `policy check` and `policy test`: the loader and the classifier of production, without a gateway. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/digest.h"
#include "../module/load.h"
#include "../policy/policy.h"
#include "command.h"

#define FILE_MAX (1u << 20)

struct loaded {
	struct arena *arena;
	struct policy_source source[WORDS];
	const struct policy_source *list[WORDS];
	size_t n;
	const struct sp_module *modules[2];
	struct policy *policy;
};

static int
read_source(struct loaded *l, const char *path)
{
	struct buffer b = { .max = FILE_MAX };
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return failed("cannot open %s: %s", path, strerror(errno));
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
	fclose(f);
	struct policy_source *s = &l->source[l->n];
	s->path = path;
	s->text = arena_bytes(l->arena, buffer_bytes(&b));
	digest_sha256(s->text, s->hash);
	l->list[l->n] = s;
	l->n++;
	buffer_free(&b);
	return rc;
}

static int
load(struct run *r, struct loaded *l)
{
	const struct policy_limits limits = { 20, 8u << 20 };
	const char *err = "";
	char *text = NULL;
	int rc = DONE;
	l->arena = arena_new(64u << 20);
	for (unsigned i = 0; i < r->nwords && rc == DONE; i++)
		rc = read_source(l, r->word[i]);
	if (rc != DONE)
		return rc;
	if (module_load(l->arena, "postgres", &l->modules[0], &err) != SP_OK)
		return failed("%s", err);
	const struct policy_schema schema = { l->modules, 1 };
	if (policy_load(l->list, l->n, &schema, &limits, &l->policy, &text) != SP_OK) {
		(void)fprintf(stderr, "%s\n", text == NULL ? "the policies cannot be loaded" : text);
		free(text);
		return FAILED;
	}
	return DONE;
}

static void
unload(struct loaded *l)
{
	policy_free(&l->policy);
	arena_free(&l->arena);
}

int
run_policy_check(struct run *r)
{
	struct loaded l = { .n = 0 };
	struct buffer json = { 0 };
	int rc = load(r, &l);
	if (rc == DONE && policy_describe(l.policy, &json) == SP_OK)
		(void)printf("%.*s\n", (int)json.len, (const char *)buffer_bytes(&json).p);
	buffer_free(&json);
	unload(&l);
	return rc;
}

int
run_policy_test(struct run *r)
{
	struct loaded l = { .n = 0 };
	struct policy_report report = { 0 };
	int rc = load(r, &l);
	if (rc == DONE && policy_test(l.policy, NULL, 0, l.modules[0], &report) != SP_OK)
		rc = failed("the tests could not be run");
	if (rc == DONE) {
		(void)fwrite(buffer_bytes(&report.text).p, 1, report.text.len, stderr);
		(void)printf("%u tests, %u failed\n", report.run, report.failed);
		rc = report.failed > 0 ? FAILED : DONE;
	}
	buffer_free(&report.text);
	unload(&l);
	return rc;
}
