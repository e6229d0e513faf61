/* SPDX-License-Identifier: Apache-2.0 */
/* See try.h.  Every problem is reported, not the first alone. */
#include <config.h>

#include "try.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/tls.h"
#include "../module/load.h"
#include "../policy/policy.h"

#define TESTS_MAX 256

static void
problem(struct trial *t, const char *text)
{
	struct sp_bytes said = buffer_bytes(&t->text);
	if (said.len > 0 && memmem(said.p, said.len, text, strlen(text)) != NULL)
		return; /* a target with two listeners has its mistakes once */
	t->problems++;
	if (buffer_printf(&t->text, "%s\n", text) != SP_OK)
		t->problems++;
}

static bool
has_label(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->label.n; i++)
		if (strcmp(target->label.key[i], name) == 0)
			return true;
	return false;
}

/* A rule that reads a label which its target lacks would silently never, or always, apply. */
static void
try_labels(const struct target *target, const struct policy *p, struct trial *t)
{
	char text[1024];
	for (const struct policy_label *l = policy_labels(p); l != NULL && l->name != NULL; l++) {
		if (has_label(target, l->name))
			continue;
		snprintf(text, sizeof(text), "%s:%u: \"%s\" is no attribute, and target %s has no such label%s%s%s", l->file, l->line, l->name,
		    target->b.name, l->nearest == NULL ? "" : ": did you mean \"", l->nearest == NULL ? "" : l->nearest, l->nearest == NULL ? "" : "\"?");
		problem(t, text);
	}
}

static void
try_policy_tests(const struct epoch *e, const struct target *target, struct policy *p, const struct sp_module *m, struct trial *t)
{
	const struct policy_source *tests[TESTS_MAX];
	struct policy_report report = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < target->policy.n && n < TESTS_MAX; i++) {
		tests[n] = epoch_find_test(e, target->policy.v[i]);
		n += tests[n] != NULL;
	}
	if (policy_test(p, tests, n, m, &report) != SP_OK)
		problem(t, "the policy tests could not be run");
	t->tests += report.run;
	t->problems += report.failed;
	if (report.text.len > 0 && buffer_put(&t->text, buffer_bytes(&report.text)) != SP_OK)
		t->problems++;
	buffer_free(&report.text);
}

static void
try_policy(const struct epoch *e, const struct target *target, const struct policy_schema *schema, const struct sp_module *m, struct trial *t)
{
	const struct settings *s = &e->settings;
	const struct policy_source **list = arena_alloc(e->arena, (target->policy.n + 1) * sizeof(struct policy_source *));
	const struct policy_limits limits = { s->policy.deadline, s->policy.memory };
	struct policy *p = NULL;
	char *err = NULL;
	for (size_t i = 0; i < target->policy.n; i++)
		list[i] = epoch_find_policy(e, target->policy.v[i]);
	if (policy_load(list, target->policy.n, schema, &limits, &p, &err) != SP_OK) {
		problem(t, err == NULL ? "a policy cannot be loaded" : err);
	} else {
		try_labels(target, p, t);
		try_policy_tests(e, target, p, m, t);
	}
	free(err);
	policy_free(&p);
}

static void
try_conf(const struct epoch *e, const struct sp_module *m, const struct listener *l, const struct target *target, struct trial *t)
{
	void *conf = NULL;
	const char *err = "";
	if (module_conf(e->arena, m, &e->settings, l, target, &conf, &err) != SP_OK)
		problem(t, err);
}

static void
problem_at(struct trial *t, const struct conf_block *at, const char *why)
{
	char text[512];
	snprintf(text, sizeof(text), "%s:%u: %s: %s", at->file, at->line, at->name, why);
	problem(t, text);
}

/* As workers and console will load them: one that they can't take would cost their sessions. */
static void
try_door(const struct epoch *e, const struct tls_settings *tls, struct trial *t)
{
	struct tls_credentials *c = NULL;
	const char *err = "";
	if (tls->cert[0] == '\0')
		return;
	if (tls_credentials_server(e, tls, &c, &err) != SP_OK)
		problem(t, err);
	tls_credentials_free(&c);
}

static void
try_trust(const struct epoch *e, const struct target *target, struct trial *t)
{
	struct tls_credentials *c = NULL;
	const char *err = "";
	if (target->tls.mode != TLS_OFF && tls_credentials_client(e, target, &c, &err) != SP_OK)
		problem_at(t, &target->b, err);
	tls_credentials_free(&c);
}

static const struct sp_module *
module_of(const struct sp_module *const *modules, const char *protocol, const struct conf_block *at, struct trial *t)
{
	char text[512];
	const struct sp_module *m = modules_find(modules, protocol);
	if (m == NULL) {
		snprintf(text, sizeof(text), "%s:%u: protocol %s has no module: load_module %s;", at->file, at->line, protocol, protocol);
		problem(t, text);
	}
	return m;
}

/* OpenSSH's own form, which GnuTLS does not read: how it begins, and that no passphrase is needed. */
static bool
is_openssh_key(struct sp_bytes pem)
{
	static const uint8_t start[] = "openssh-key-v1\0\0\0\0\4none";
	const gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem.p, (unsigned)pem.len };
	gnutls_datum_t key = { NULL, 0 };
	bool good = gnutls_pem_base64_decode2("OPENSSH PRIVATE KEY", &text, &key) == 0 && key.size > sizeof(start) &&
	    memcmp(key.data, start, sizeof(start) - 1) == 0;
	if (key.data != NULL)
		mem_wipe(key.data, key.size);
	gnutls_free(key.data);
	return good;
}

static bool
is_key(struct sp_bytes pem)
{
	const gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem.p, (unsigned)pem.len };
	gnutls_x509_privkey_t key = NULL;
	if (gnutls_x509_privkey_init(&key) != 0)
		return false;
	bool good = gnutls_x509_privkey_import(key, &text, GNUTLS_X509_FMT_PEM) == 0;
	gnutls_x509_privkey_deinit(key);
	return good || is_openssh_key(pem);
}

/* A listener whose workers can't read it would turn everybody away. */
static void
try_host_key(const struct epoch *e, const struct listener *l, struct trial *t)
{
	const struct epoch_file *f = l->host_key[0] == '\0' ? NULL : epoch_find_file(e, l->host_key);
	char text[512];
	if (f == NULL || is_key(f->content))
		return;
	(void)snprintf(text, sizeof(text), "%s:%u: listener %s: host_key %s holds no private key without a passphrase (ssh-keygen -t ed25519 -N '' makes one)",
	    l->b.file, l->b.line, l->b.name, l->host_key);
	problem(t, text);
}

/* Without TLS the protocol itself has to hide what clients send; only its module knows whether it does. */
static void
try_secrecy(const struct sp_module *m, const struct listener *l, struct trial *t)
{
	char text[512];
	bool own = (m->caps & SP_CAP_OWNS_TRANSPORT) != 0, key = l->host_key[0] != '\0';
	if (own == key)
		return;
	snprintf(text, sizeof(text), "%s:%u: listener %s: protocol %s %s", l->b.file, l->b.line, l->b.name, m->name,
	    own ? "encrypts by itself: \"host_key PATH;\" is missing, instead of \"tls\" or \"cleartext\""
		: "does not encrypt by itself: \"tls cert=… key=…\", not \"host_key\"");
	problem(t, text);
}

static void
try_target(const struct epoch *e, const struct sp_module *const *modules, const struct policy_schema *schema, const struct target *target, struct trial *t)
{
	const struct sp_module *m = module_of(modules, target->protocol, &target->b, t);
	t->targets++;
	if (m == NULL)
		return;
	try_conf(e, m, NULL, target, t);
	try_trust(e, target, t);
	if (target->pool.warm > 0 && m->adopt == NULL)
		problem_at(t, &target->b, "its protocol can't keep connections ready: leave `pool` out");
	for (const struct listener *l = e->settings.listeners; l != NULL; l = (const struct listener *)l->b.next)
		if (strcmp(l->protocol, target->protocol) == 0)
			try_conf(e, m, l, target, t);
	try_policy(e, target, schema, m, t);
	if (target->mode == MODE_OBSERVE &&
	    buffer_printf(&t->warnings, "target %s is in observe mode: nothing is denied, held or masked there\n", target->b.name) != SP_OK)
		t->problems++;
}

void
trial_run(const struct epoch *e, struct trial *t)
{
	const struct sp_module *const *modules = NULL;
	const char *err = "";
	struct policy_schema schema = { 0 };
	if (modules_load(e->arena, &e->settings, &modules, &err) != SP_OK) {
		problem(t, err);
		return;
	}
	schema.module = modules;
	while (modules[schema.n] != NULL)
		schema.n++;
	t->modules = (unsigned)schema.n;
	for (const struct listener *l = e->settings.listeners; l != NULL; l = (const struct listener *)l->b.next) {
		const struct sp_module *m = module_of(modules, l->protocol, &l->b, t);
		if (m == NULL)
			continue;
		try_secrecy(m, l, t);
		try_host_key(e, l, t);
		try_conf(e, m, l, NULL, t);
		try_door(e, &l->tls, t);
	}
	try_door(e, &e->settings.console.tls, t);
	for (const struct target *target = e->settings.targets; target != NULL; target = (const struct target *)target->b.next)
		try_target(e, modules, &schema, target, t);
}
