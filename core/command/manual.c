/* SPDX-License-Identifier: Apache-2.0 */
/* `doc`: the manual as Markdown, from the tables that the gateway works by.  docs/manual/ is what it prints. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "../base/conf.h"
#include "../base/directive.h"
#include "../base/openapi.h"
#include "../base/route.h"
#include "../base/settings.h"
#include "../module/load.h"
#include "../policy/policy.h"
#include "completion.h"

struct manual {
	struct arena *arena;
	const struct sp_module *module;
	struct buffer out;
};

static int
doc_directives(struct manual *m)
{
	int rc = buffer_printf(&m->out, "# Directives\n\n`NAME VALUE… ;` or `NAME … { … }`. Sizes and times have units: 512b, 64k, 16m, 2g; "
					"50ms, 30s, 10m, 8h, 90d. A relative path starts at the folder of the main file.\n");
	if (rc == SP_OK)
		rc = directive_manual(settings_table, "Everywhere", &m->out);
	if (rc == SP_OK)
		rc = buffer_printf(&m->out, "\n## Of module `%s`\n\n", m->module->name);
	return rc != SP_OK ? rc : directive_manual_module(m->module->directives, &m->out);
}

static int
doc_attributes(struct manual *m)
{
	const struct policy_schema schema = { &m->module, 1 };
	int rc = buffer_printf(&m->out, "# Attributes, with module `%s`\n\nWhat `when` and `unless` of a rule may name. `root.NAME` is that "
					"of the whole text that a statement is part of; a name that is none of these is a label of the "
					"target.\n", m->module->name);
	return rc != SP_OK ? rc : policy_manual_attributes(m->arena, &schema, &m->out);
}

static int
doc_policy(struct manual *m)
{
	const struct policy_schema schema = { &m->module, 1 };
	int rc = buffer_printf(&m->out, "# Words of the policy language\n");
	return rc != SP_OK ? rc : policy_manual_words(m->arena, &schema, &m->out);
}

static int
doc_settings(struct manual *m)
{
	int rc = buffer_printf(&m->out, "# Module `%s`\n", m->module->name);
	if (rc != SP_OK || m->module->manual == NULL)
		return rc;
	struct sp_writer w = buffer_writer(&m->out);
	m->module->manual(&w);
	return buffer_written(&m->out, &w);
}

static int
put_roles(struct manual *m, unsigned roles)
{
	static const struct { unsigned role; const char *name; } names[] = { { MAY_USE, "every principal" }, { MAY_APPROVE, "approver" },
		{ MAY_AUDIT, "auditor" }, { MAY_OPERATE, "admin, control socket" }, { MAY_MINT, "control socket with `may=mint`" }, { MAY_MEASURE, "metrics" },
		{ MAY_ANYBODY, "anybody" } };
	int rc = SP_OK;
	const char *between = "";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && rc == SP_OK; i++) {
		if ((roles & names[i].role) == 0)
			continue;
		rc = buffer_printf(&m->out, "%s%s", between, names[i].name);
		between = "; ";
	}
	return rc;
}

static int
doc_api(struct manual *m)
{
	int rc = buffer_printf(&m->out, "# API\n\nJSON over HTTP/1.1, on the control socket, and over HTTPS where `console { listen }` says so: there a caller is "
					"whoever its token or its sign-in is of. A caller needs one of the roles; a principal sees only "
					"what is its own, unless its role says more.\n\n| request | who | what it does |\n|---|---|---|\n");
	for (const struct route *r = route_table; r->method != NULL && rc == SP_OK; r++) {
		rc = buffer_printf(&m->out, "| `%s %s` | ", r->method, r->path);
		if (rc == SP_OK)
			rc = put_roles(m, r->role);
		if (rc == SP_OK)
			rc = buffer_printf(&m->out, " | %s |\n", r->help);
	}
	return rc;
}

/* For machines: it is no part of the manual. */
static int
doc_openapi(struct manual *m)
{
	json_t *o = openapi_document();
	char *text = o == NULL ? NULL : json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	int rc = text == NULL ? SP_ENOMEM : buffer_printf(&m->out, "%s\n", text);
	free(text);
	return rc;
}

static int
put_options(struct manual *m, const struct option_row *rows)
{
	int rc = SP_OK;
	for (; rows != NULL && rows->name != NULL && rc == SP_OK; rows++)
		rc = buffer_printf(&m->out, "- `--%s%s%s`: %s\n", rows->name, rows->value == NULL ? "" : " ",
		    rows->value == NULL ? "" : rows->value, rows->help);
	return rc;
}

static int
doc_commands(struct manual *m)
{
	int rc = buffer_printf(&m->out, "# Commands\n\nEach takes these options too:\n\n");
	if (rc == SP_OK)
		rc = put_options(m, common_options);
	for (const struct command *c = commands; c->name != NULL && rc == SP_OK; c++) {
		rc = buffer_printf(&m->out, "\n## `sallyport %s%s%s`\n\n%s%s%s\n%s", c->name, c->words[0] == '\0' ? "" : " ", c->words, c->help,
		    c->more == NULL ? "" : " ", c->more == NULL ? "" : c->more, c->options == NULL ? "" : "\n");
		if (rc == SP_OK)
			rc = put_options(m, c->options);
	}
	return rc;
}

/* For bash, and no part of the manual either. */
static int
doc_completion(struct manual *m)
{
	return completion_print(&m->out);
}

static bool
is_for_machines(int (*print)(struct manual *m))
{
	return print == doc_openapi || print == doc_completion;
}

static const struct topic {
	const char *name;
	int (*print)(struct manual *m);
} topics[] = {
	{ "directives", doc_directives },
	{ "attributes", doc_attributes },
	{ "policy", doc_policy },
	{ "settings", doc_settings },
	{ "api", doc_api },
	{ "commands", doc_commands },
	{ "openapi", doc_openapi },
	{ "completion", doc_completion },
};
enum { TOPICS = sizeof(topics) / sizeof(*topics) };

static int
unknown_topic(const struct run *r)
{
	const char *names[TOPICS + 1];
	for (size_t i = 0; i < TOPICS; i++)
		names[i] = topics[i].name;
	names[TOPICS] = NULL;
	const char *near = conf_nearest(r->word[0], names);
	return misused(r, near == NULL ? "there is no topic \"%s\"%s" : "there is no topic \"%s\", did you mean \"%s\"?", r->word[0],
	    near == NULL ? "" : near);
}

int
run_doc(struct run *r)
{
	struct manual m = { .arena = arena_new(16u << 20) };
	const char *wanted = r->nwords == 0 ? "all" : r->word[0], *err = "no memory";
	bool all = strcmp(wanted, "all") == 0, found = false;
	int rc = m.arena == NULL ? SP_ENOMEM : strcmp(wanted, "openapi") == 0 || strcmp(wanted, "completion") == 0 ? SP_OK : module_load(m.arena, r->nwords < 2 ? "postgres" : r->word[1], &m.module, &err);
	if (rc != SP_OK) {
		rc = failed("%s", err); /* which is in the arena */
		arena_free(&m.arena);
		return rc;
	}
	for (size_t i = 0; i < TOPICS && rc == SP_OK; i++) {
		if (all ? is_for_machines(topics[i].print) : strcmp(topics[i].name, wanted) != 0)
			continue;
		rc = found ? buffer_printf(&m.out, "\n") : SP_OK;
		found = true;
		if (rc == SP_OK)
			rc = topics[i].print(&m);
	}
	if (rc == SP_OK && found)
		(void)fwrite(buffer_bytes(&m.out).p, 1, m.out.len, stdout);
	buffer_free(&m.out);
	arena_free(&m.arena);
	if (!found)
		return unknown_topic(r);
	return rc == SP_OK ? DONE : failed("the manual is not whole: a word of a table has no sentence");
}
