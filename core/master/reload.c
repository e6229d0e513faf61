/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration comes into force (P11):
 *
 *   HUP ─▶ check process reads and tries it ─no─▶ the old one stays, and the log says why
 *                     │ yes: a sealed epoch
 *                     ▼
 *          ports bound ─▶ EPOCH to everybody ─▶ all have answered: the status file says so
 */
#include <config.h>

#include "master.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"

/* One line beside the pid file, for `sallyportd -s reload` to read: how many, ok or why not. */
void
master_status(struct master *m, bool ok, const char *text)
{
	char path[4096 + 8], temporary[4096 + 16];
	if (m->epoch == NULL)
		return;
	snprintf(path, sizeof(path), "%.4000s.status", m->epoch->settings.pid);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "we");
	if (f == NULL)
		return;
	fprintf(f, "%u %s %s\n", m->reloads, ok ? "ok" : "refused", text);
	if (fclose(f) != 0 || rename(temporary, path) != 0)
		log_warn("cannot write %s", path);
}

static void
refuse(struct master *m, const char *why)
{
	log_error("the configuration is refused: %s", why);
	if (m->phase == MASTER_STARTING) {
		if (m->parent >= 0)
			(void)!write(m->parent, why, strlen(why));
		m->status = 1;
		master_enter(m, MASTER_LAST);
		return;
	}
	master_status(m, false, why);
}

int
reload_start(struct master *m)
{
	struct child *c;
	if (m->check != NULL)
		return SP_OK; /* one is being tried; what is on disk now is what it may still read */
	m->reloads++;
	int rc = child_start(m, ROLE_CHECK, &c);
	if (rc != SP_OK) {
		refuse(m, "the check process cannot be started");
		return rc;
	}
	m->check = c;
	m->check_pid = c->pid;
	return SP_OK;
}

void
reload_check_died(struct master *m, int status)
{
	if (m->check == NULL)
		return;
	m->check = NULL;
	(void)status;
	refuse(m, "the check process died without an answer");
}

static bool
same_words(const struct sp_strings *a, const struct sp_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* Other modules cannot be loaded behind a sandbox: new workers take over, the old ones drain. */
static void
replace_workers(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role != ROLE_WORKER || c->draining || c->link == NULL)
			continue;
		c->draining = true;
		if (link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }) != SP_OK)
			log_warn("worker %u cannot be told to drain", c->index);
		m->missing[ROLE_WORKER]++;
	}
}

static void
announce(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->role == ROLE_CHECK || c->link == NULL)
			continue;
		struct message e = { .type = MSG_EPOCH, .f = { Q(m->epoch->number) }, .nfds = 1,
			.fd = { c->role == ROLE_WORKER ? m->epoch_fd : m->public_fd, -1, -1 } };
		c->taking = true;
		int rc = link_send(c->link, &e);
		for (const struct bound *b = m->bound; b != NULL && rc == SP_OK && c->role == ROLE_WORKER && !c->draining; b = b->next) {
			const struct message l = { .type = MSG_LISTENER, .f = { Z(b->name) }, .fd = { b->fd, -1, -1 }, .nfds = 1 };
			rc = link_send(c->link, &l);
		}
		if (rc != SP_OK)
			log_warn("%s %u cannot be told of the new configuration", role_name(c->role), c->index);
	}
}

/* Ports, uids and the control socket are looked at once; the rest is for everybody. */
static int
take_over(struct master *m, struct epoch *e, int fd, int public_fd)
{
	char why[512] = "";
	if (bind_listeners(m, e, why, sizeof(why)) != SP_OK) {
		refuse(m, why);
		return SP_EIO;
	}
	bool modules = m->epoch != NULL && !same_words(&m->epoch->settings.load_module, &e->settings.load_module);
	struct epoch *old = m->epoch;
	if (m->epoch_fd >= 0)
		close(m->epoch_fd);
	if (m->public_fd >= 0)
		close(m->public_fd);
	m->epoch = e;
	m->epoch_fd = fd;
	m->public_fd = public_fd;
	log_level((enum sp_level)e->settings.log.level);
	if (old != NULL) {
		bind_prune(m);
		if (modules)
			replace_workers(m);
		announce(m);
		epoch_free(&old);
	}
	return SP_OK;
}

void
reload_checked(struct master *m, struct message *msg)
{
	const char *why = "";
	char *text = mem_string(msg->f[1].s);
	struct epoch *e = NULL;
	int public_fd = -1;
	m->check = NULL;
	if (msg->f[0].q != 1 || msg->nfds != 1)
		refuse(m, text);
	else if (epoch_open(msg->fd[0], m->epochs + 1, &e, &why) != SP_OK)
		refuse(m, why);
	else if (epoch_seal_public(e, &public_fd) != SP_OK)
		refuse(m, "it cannot be sealed");
	else {
		int fd = msg->fd[0];
		if (text[0] != '\0')
			log_info("%s", text);
		if (take_over(m, e, fd, public_fd) == SP_OK) {
			m->epochs++;
			msg->fd[0] = -1;
			master_ready(m);
		} else {
			close(public_fd);
			epoch_free(&e);
		}
	}
	free(text);
}

void
reload_taken(struct master *m, struct child *c, const struct message *msg)
{
	c->taking = false;
	if (msg->f[0].q != m->epoch->number)
		return;
	if (msg->f[1].q != 1) {
		log_error("%s %u does not take configuration %llu: %s", role_name(c->role), c->index, (unsigned long long)m->epoch->number,
		    log_quote(msg->f[2].s));
		if (m->phase == MASTER_STARTING) {
			char *why = mem_string(msg->f[2].s);
			refuse(m, why);
			free(why);
		} else {
			/* the others follow the new one: this process must not live on under the old */
			(void)kill(c->pid, SIGKILL);
		}
		return;
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role != ROLE_NONE && m->child[i].taking)
			return;
	if (m->phase == MASTER_RUNNING && m->epoch->number > 1) {
		log_info("configuration %llu is in force", (unsigned long long)m->epoch->number);
		master_status(m, true, "in force");
	}
}
