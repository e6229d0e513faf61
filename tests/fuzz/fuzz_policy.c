/* SPDX-License-Identifier: Apache-2.0 */
/* A policy's text: loads, or is refused with file and line; what loads can be judged and explained. */
#include <config.h>

#include <stdlib.h>

#include "core/base/digest.h"
#include "tests/unit/toy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(struct policy *p)
{
	static const char statement[] = "verb=delete tables=a.b,? where=false effects=write columns=a.b.c; verb=select unclear=function:x.f";
	struct policy_run *run = policy_run_new(p);
	struct toy t;
	struct decision d;
	struct finding *f;
	struct buffer json = { 0 };
	size_t n;
	const struct sp_scope scope = { 0 };

	toy_begin(&t, p);
	struct op op = { .shape = shape_make(&toy_module, &scope, "sql.statement", sp_str(statement)), .kind = "sql.statement" };
	if (policy_judge(run, &t.subject, &op, &d, &f, &n) == SP_OK && policy_explain(p, &op, &d, f, n, true, &json) != SP_OK)
		abort();
	buffer_free(&json);
	decision_free(&d);
	shape_free(&op.shape);
	toy_end(&t);
	policy_run_free(&run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_source source = { .path = "policy.lua", .text = { data, size } };
	const struct policy_source *files[] = { &source };
	const struct policy_limits limits = { .deadline_ms = 20, .memory = 8u << 20 };
	struct policy *p = NULL;
	char *err = NULL;

	digest_sha256(source.text, source.hash);
	int rc = policy_load(files, 1, &toy_schema, &limits, &p, &err);
	if ((rc == SP_OK) != (p != NULL) || (rc == SP_ECONF && (err == NULL || strncmp(err, "policy.lua:", 11) != 0)))
		abort();
	if (p != NULL)
		judge(p);
	policy_free(&p);
	free(err);
	return 0;
}
