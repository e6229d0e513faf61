/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest module that loads: test_load.c copies its file and breaks the copies. */
#include <sallyport/module.h>

struct echo_conf {
	uint64_t line_max;
	const char *word;
};

static const struct sp_directive directives[] = {
	{ "line_max", SP_TYPE_SIZE, SP_IN_MODULE | SP_IN_LISTENER, offsetof(struct echo_conf, line_max), "4k", "x" },
	{ "word", SP_TYPE_STRING, SP_IN_TARGET, offsetof(struct echo_conf, word), NULL, "x" },
	{ 0 },
};
static const struct sp_attr attrs[] = {
	{ "text", SP_TYPE_STRING, SP_OF_OPERATION, "line.send", "x" },
	{ 0 },
};
static const char *const kinds[] = { "line.send", NULL };

static int
check(void *conf, const char **err_r)
{
	const struct echo_conf *c = conf;
	*err_r = "\"word\" is not to be \"bad\"";
	return strcmp(c->word, "bad") == 0 ? SP_ECONF : SP_OK;
}

static int
classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	(void)scope;
	return sp_op_str(op, 0, text);
}

static int
admitted(struct sp_session *s, const struct sp_admission *a)
{
	return a->what == SP_ADMIT ? SP_OK : sp_fail(s, SP_EDENIED, "refused");
}

static int
open_target(struct sp_session *s)
{
	return sp_ready(s);
}

static int
data(struct sp_session *s, enum sp_side from)
{
	return sp_drop(s, from, sp_peek(s, from).len);
}

static int
verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	(void)s;
	sp_op_free(&op);
	return v->what == SP_ALLOW ? SP_OK : SP_EDENIED;
}

SP_MODULE(echo) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "echo",
	.directives = directives,
	.attrs = attrs,
	.kinds = kinds,
	.conf_size = sizeof(struct echo_conf),
	.check = check,
	.classify = classify,
	.admitted = admitted,
	.open = open_target,
	.data = data,
	.verdict = verdict,
};
