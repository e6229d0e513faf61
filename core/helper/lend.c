/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the lend helper: read, queued for an admin's connection, answered. */
#include <config.h>

#include "lend.h"
#include "lend_command.h"
#include "lend_vault.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/address.h"
#include "../base/clock.h"
#include "../base/log.h"

#define IDLE_MS 60000   /* then an admin's connections are closed, and its password is forgotten */
#define LINGER_MS 3000  /* after a reload that needs no lender: what sessions that it ends give back */

/* ---- admins ---- */

static void
admin_free(struct admin *a)
{
	pg_free(&a->front);
	pg_free(&a->back);
	pg_free(&a->other);
	secret_free(&a->password);
	buffer_free(&a->ca);
	buffer_free(&a->crl);
	char *const own[] = { a->server, a->database, a->user, a->tls, a->name, a->other_database };
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		free(own[i]);
	free(a);
}

static const char *
text_of(const json_t *job, const char *name)
{
	const char *text = json_string_value(json_object_get(job, name));
	return text == NULL ? "" : text;
}

static struct pg_login
login_of(const json_t *job, struct sp_bytes password)
{
	return (struct pg_login){ text_of(job, "server"), text_of(job, "database"), text_of(job, "admin"), text_of(job, "tls"), text_of(job, "name"),
		sp_str(text_of(job, "ca")), sp_str(text_of(job, "crl")), password };
}

static bool
is_admin(const struct admin *a, const struct pg_login *l)
{
	return strcmp(a->server, l->server) == 0 && strcmp(a->database, l->database) == 0 && strcmp(a->user, l->user) == 0 &&
	    strcmp(a->tls, l->tls) == 0 && strcmp(a->name, l->name) == 0 && sp_bytes_eq(buffer_bytes(&a->ca), l->ca) &&
	    sp_bytes_eq(buffer_bytes(&a->crl), l->crl) && mem_equal(secret_bytes(a->password), l->password);
}

/* The one with that login; a changed password is another. */
static struct admin *
admin_of(struct helper *h, const json_t *job, struct sp_bytes password)
{
	struct lend *own = h->own;
	const struct pg_login l = login_of(job, password);
	for (struct admin *a = own->admins; a != NULL; a = a->next)
		if (is_admin(a, &l))
			return a;
	struct admin *a = mem_alloc(sizeof(*a));
	*a = (struct admin){ .h = h, .server = mem_string(sp_str(l.server)), .database = mem_string(sp_str(l.database)),
		.user = mem_string(sp_str(l.user)), .tls = mem_string(sp_str(l.tls)), .name = mem_string(sp_str(l.name)),
		.password = secret_new(password), .front = pg_new(h->process.base, &l), .back = pg_new(h->process.base, &l) };
	if (a->password == NULL || a->front == NULL || a->back == NULL || buffer_put(&a->ca, l.ca) != SP_OK ||
	    buffer_put(&a->crl, l.crl) != SP_OK) {
		admin_free(a);
		return NULL;
	}
	a->next = own->admins;
	own->admins = a;
	return a;
}

static bool
is_idle(const struct lend *own)
{
	for (const struct admin *a = own->admins; a != NULL; a = a->next)
		if (a->make != NULL || a->drop != NULL)
			return false;
	return command_idle();
}

/* ---- what is out ---- */

static void
out_add(struct lend *own, const char *role)
{
	struct out *o = mem_alloc(sizeof(*o));
	*o = (struct out){ .next = own->out };
	(void)snprintf(o->role, sizeof(o->role), "%s", role);
	own->out = o;
}

static void
out_remove(struct lend *own, const char *role)
{
	for (struct out **at = &own->out; *at != NULL; at = &(*at)->next) {
		struct out *o = *at;
		if (strcmp(o->role, role) != 0)
			continue;
		*at = o->next;
		free(o);
		return;
	}
}

bool
lend_is_out(const struct lend *own, const char *role)
{
	const struct out *o = own->out;
	while (o != NULL && strcmp(o->role, role) != 0)
		o = o->next;
	return o != NULL;
}

/* ---- queues ---- */

static void
job_free(struct job *j)
{
	for (size_t i = 0; i < j->ndatabases; i++)
		free(j->database[i]);
	free(j->database);
	free(j->oid);
	free(j->target);
	free(j->parent);
	free(j->user);
	json_decref(j->keep);
	buffer_free(&j->swept);
	mem_wipe(j, sizeof(*j));
	free(j);
}

static void
job_begin(struct job *j)
{
	static void (*const begin[])(struct job *j) = { [JOB_MAKE] = make_begin, [JOB_DROP] = drop_begin, [JOB_SWEEP] = sweep_begin };
	j->at->used = clock_mono_ms();
	begin[j->kind](j);
}

static void
job_add(struct job *j)
{
	struct job **at = j->kind == JOB_MAKE ? &j->at->make : &j->at->drop;
	bool first = *at == NULL;
	while (*at != NULL)
		at = &(*at)->next;
	*at = j;
	if (first)
		job_begin(j);
}

/* j was the first. */
static void
job_next(struct job *j)
{
	struct job **at = j->kind == JOB_MAKE ? &j->at->make : &j->at->drop;
	*at = j->next;
	job_free(j);
	if (*at != NULL)
		job_begin(*at);
}

void
job_drop_also(const struct job *like, const char *role)
{
	struct job *j = mem_alloc(sizeof(*j));
	*j = (struct job){ .kind = JOB_DROP, .at = like->at, .target = mem_string(sp_str(like->target)), .parent = mem_string(sp_str(like->parent)),
		.user = mem_string(sp_str("")), .valid = like->valid, .within = like->within };
	memcpy(j->mark, like->mark, sizeof(j->mark));
	(void)snprintf(j->role, sizeof(j->role), "%s", role);
	job_add(j);
}

/* ---- answers ---- */

static void
lent(struct helper *h, const struct job *j, bool ok, struct sp_bytes keys, const char *text)
{
	const struct message m = { .type = MSG_LENT, .id = j->id,
		.f = { S(j->session), Q(ok), Z(ok ? j->role : ""), S(keys), Q(0), Z(text) } };
	helper_answer(h, &m);
}

void
job_made(struct job *j, bool ok, const char *text)
{
	struct helper *h = j->at->h;
	if (ok && j->tell) {
		out_add(h->own, j->role);
		lent(h, j, true, (struct sp_bytes){ j->keys, sizeof(j->keys) }, "");
	} else if (ok) {
		job_drop_also(j, j->role); /* the keeper that wanted it has gone */
	} else if (j->tell) {
		lent(h, j, false, (struct sp_bytes){ NULL, 0 }, text);
	}
	job_next(j);
}

void
job_dropped(struct job *j, bool ok, const char *text)
{
	struct helper *h = j->at->h;
	if (ok)
		out_remove(h->own, j->role);
	else
		log_warn("role %s could not be dropped: %s", log_quote(sp_str(j->role)), log_quote(sp_str(text)));
	const struct message m = { .type = MSG_RETURNED, .id = j->id, .f = { S(j->session), Q(ok), Z(text), Z(j->role) } };
	if (j->tell)
		helper_answer(h, &m);
	job_next(j);
}

void
job_swept(struct job *j, bool ok, const char *text)
{
	const struct message m = { .type = MSG_LENT, .id = j->id, .f = { S(j->session), Q(ok), Z(""), Z(""), Q(0),
		ok ? (struct field)S(buffer_bytes(&j->swept)) : (struct field)Z(text) } };
	if (j->tell)
		helper_answer(j->at->h, &m);
	job_next(j);
}

/* ---- what the keeper asks for ---- */

static bool
names_fit(const struct job *j, const struct message *m)
{
	bool one = j->kind != JOB_SWEEP;
	return j->target[0] != '\0' && j->parent[0] != '\0' && strlen(j->parent) < ROLE_NAME && m->f[0].s.len == (one ? ID_LEN : 0) &&
	    (j->kind != JOB_DROP || (j->role[0] != '\0' && strncmp(j->role, LEND_PREFIX, sizeof(LEND_PREFIX) - 1) == 0));
}

static struct job *
job_new(struct helper *h, const json_t *job, const struct message *m, struct sp_bytes secret)
{
	struct admin *a = admin_of(h, job, secret);
	if (a == NULL)
		return NULL;
	const char *what = text_of(job, "what");
	struct job *j = mem_alloc(sizeof(*j));
	*j = (struct job){ .kind = m->type == MSG_RETURN ? JOB_DROP : strcmp(what, "sweep") == 0 ? JOB_SWEEP : JOB_MAKE, .at = a, .id = m->id,
		.target = mem_string(m->f[1].s), .parent = mem_string(sp_str(text_of(job, "role"))), .user = mem_string(sp_str(text_of(job, "user"))),
		.valid = (uint64_t)json_integer_value(json_object_get(job, "valid")),
		.within = (uint64_t)json_integer_value(json_object_get(job, "within")), .tell = true,
		.keep = json_incref(json_object_get(job, "keep")) };
	(void)snprintf(j->session_name, sizeof(j->session_name), "%s", text_of(job, "session"));
	if (m->f[0].s.len == ID_LEN) {
		memcpy(j->session_id, m->f[0].s.p, ID_LEN);
		j->session = (struct sp_bytes){ j->session_id, ID_LEN };
	}
	if (j->kind == JOB_DROP)
		(void)snprintf(j->role, sizeof(j->role), "%.*s", (int)(m->f[2].s.len < ROLE_NAME ? m->f[2].s.len : 0), (const char *)m->f[2].s.p);
	else if (j->kind == JOB_MAKE)
		role_name_new(j->user, j->role);
	if (names_fit(j, m) && text_unhex(text_of(job, "mark"), j->mark, sizeof(j->mark)) == SP_OK)
		return j;
	job_free(j);
	return NULL;
}

static int
lend_job(struct helper *h, struct message *m)
{
	bool back = m->type == MSG_RETURN;
	struct sp_bytes text = m->f[back ? 3 : 2].s, secret = m->f[back ? 4 : 3].s;
	json_error_t error;
	json_t *job = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(job) && (vault_job(h, job, m, secret) || command_job(h, job, m))) {
		json_decref(job);
		return SP_OK;
	}
	struct job *j = json_is_object(job) ? job_new(h, job, m, secret) : NULL;
	json_decref(job);
	if (j == NULL) {
		log_error("a job of the keeper's has no sense");
		return SP_EPROTO;
	}
	job_add(j);
	return SP_OK;
}

/* Another keeper asks anew, and says whose roles are kept; what is to be dropped still is. */
static void
lend_void(struct helper *h)
{
	struct lend *own = h->own;
	command_void();
	for (struct admin *a = own->admins; a != NULL; a = a->next) {
		for (struct job *j = a->make; j != NULL; j = j->next)
			j->tell = false;
		for (struct job *j = a->drop; j != NULL; j = j->next)
			j->tell = false;
		while (a->make != NULL && a->make->next != NULL) { /* not begun */
			struct job *j = a->make->next;
			a->make->next = j->next;
			job_free(j);
		}
	}
	while (own->out != NULL) {
		struct out *o = own->out;
		own->out = o->next;
		free(o);
	}
}

/* ---- start, time, end ---- */

static void
forget_idle(struct lend *own, uint64_t now)
{
	for (struct admin **at = &own->admins; *at != NULL;) {
		struct admin *a = *at;
		/* Nobody could drop a database that we look into. */
		if (a->drop == NULL && a->other != NULL) {
			pg_free(&a->other);
			free(a->other_database);
			a->other_database = NULL;
		}
		if (a->make != NULL || a->drop != NULL || now - a->used < IDLE_MS) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		admin_free(a);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	struct helper *h = owner;
	struct lend *own = h->own;
	uint64_t now = clock_mono_ms();
	forget_idle(own, now);
	if (own->outdated && is_idle(own))
		helper_end(h);
	if (own->quitting && is_idle(own) && (h->keeper == NULL || now - own->quit_at > LINGER_MS))
		helper_end(h);
}

static int
lend_start(struct helper *h, const char **err_r)
{
	static struct lend own;
	struct addrinfo *list = NULL;
	h->own = &own;
	address_ours(&h->epoch->settings);
	own.tick = event_new(h->process.base, -1, EV_PERSIST, on_tick, h);
	*err_r = "no timer, or no libcurl";
	if (vault_open() != SP_OK || own.tick == NULL || event_add(own.tick, &(struct timeval){ 0, 200000 }) != 0)
		return SP_ENOMEM;
	if (command_open(h, err_r) != SP_OK)
		return SP_EIO;
	/* What resolving needs is read and loaded now: behind the sandbox nothing can be. */
	if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
		freeaddrinfo(list);
	return SP_OK;
}

/* What runs was forked before the lock-down: another command wants another process. */
static void
lend_epoch(struct helper *h)
{
	struct lend *own = h->own;
	address_ours(&h->epoch->settings);
	own->outdated = !command_same(h);
}

static void
lend_quit(struct helper *h)
{
	struct lend *own = h->own;
	own->quitting = true;
	own->quit_at = clock_mono_ms();
}

int
main(int argc, char **argv)
{
	static const char *const read[] = { "/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
		"/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", NULL };
	static const struct sandbox_paths paths = { .read = read };
	static const struct helper_kind kind = { .role = ROLE_LEND, .paths = &paths, .start = lend_start, .epoch = lend_epoch, .job = lend_job, .void_jobs = lend_void,
		.quit = lend_quit };
	return helper_main(&kind, argc, argv);
}
