/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration comes into force (P11), or nothing happens:
 *
 *   HUP ─▶ CHECK: a process of its own reads and tries it, and seals an epoch
 *              │ new ports are bound
 *          WORKERS: when modules change, new workers must come up under it
 *          KEEPER, RECORDER: each takes it, one after the other
 *              │ from here on it is the current one
 *          OTHERS: workers and console take it, helpers that it needs start; old workers drain, ports that are gone close
 *
 * A refusal, a death or a wait of STAGE_MS before that line takes everything back: who took the
 * new one is given the old one again under a new number.  After the line, a process that can't
 * follow is replaced by one that can.
 */
#include <config.h>

#include "master.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"

#define STAGE_MS 30000
#define WHY_BYTES 1024

static const char *const stage_names[] = { "none", "check", "workers", "keeper", "recorder", "others" };
_Static_assert(sizeof(stage_names) / sizeof(*stage_names) == RELOAD_STAGES, "a name for each stage");

static void stage_enter(struct master *m, enum reload_stage stage);

/* One line: when what was asked for began, ok or refused, why. */
void
reload_status(struct master *m, uint64_t asked, bool ok, const char *text)
{
	char path[4096 + 8], temporary[4096 + 16];
	if (m->pid_path == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%.4000s.status", m->pid_path);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	(void)unlink(temporary);
	FILE *f = fopen(temporary, "wex");
	if (f == NULL) {
		log_warn("cannot write %s", path);
		return;
	}
	int printed = fprintf(f, "%llu %s %s\n", (unsigned long long)asked, ok ? "ok" : "refused", text);
	if (fclose(f) != 0 || printed < 0 || rename(temporary, path) != 0)
		log_warn("cannot write %s", path);
}

/* ---- stages ---- */

static void
reload_end(struct master *m)
{
	struct reload *r = &m->reload;
	bool again = r->again;
	epoch_free(&r->epoch);
	sealed_close(&r->sealed);
	*r = (struct reload){ .sealed = SEALED_NONE };
	if (again && m->phase <= MASTER_RUNNING)
		reload_start(m);
}

/* Who took what is not to be gets the old one again, as something newer. */
static void
take_back(struct master *m)
{
	uint64_t refused = m->reload.epoch->number;
	m->epoch->number = ++m->epochs;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->role == ROLE_CHECK)
			continue;
		if (c->fresh) {
			c->draining = true;
			(void)kill(c->pid, SIGKILL);
		} else if (c->given == 0) {
			c->given = c->taken = m->epoch->number;
		} else if (c->given == refused && child_give_epoch(m, c) != SP_OK) {
			(void)kill(c->pid, SIGKILL);
		}
	}
	bind_prune(m);
}

/* One was told to go, and another was to come under this: it comes under what stays. */
static void
renew_anyway(struct master *m)
{
	bool found = false;
	for (unsigned i = 0; i < CHILDREN && m->reload.renews != ROLE_NONE; i++) {
		if (m->child[i].role != m->reload.renews)
			continue;
		m->child[i].draining = false; /* missed when it is gone */
		found = true;
	}
	if (m->reload.renews != ROLE_NONE && !found)
		m->missing[m->reload.renews]++;
	m->reload.renews = ROLE_NONE;
}

static void
refuse(struct master *m, const char *why)
{
	struct reload *r = &m->reload;
	char text[WHY_BYTES];
	(void)snprintf(text, sizeof(text), "%s", why);
	log_error("the configuration is refused: %s", text);
	renew_anyway(m);
	enum reload_stage stage = r->stage;
	r->stage = RELOAD_NONE; /* what follows must not be taken for its answers */
	if (m->phase == MASTER_STARTING) {
		master_not_started(m, text);
		return;
	}
	if (stage > RELOAD_CHECK && stage < RELOAD_OTHERS)
		take_back(m);
	reload_status(m, r->asked, false, text);
	reload_end(m);
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

/* Neither modules nor a ring can be had behind a sandbox: new workers come, and only then do the old ones go. */
static void
stage_workers(struct master *m)
{
	const struct settings *s = &m->reload.epoch->settings, *old = &m->epoch->settings;
	if (!m->reload.upgrade && old->io_uring == s->io_uring && same_words(&old->load_module, &s->load_module)) {
		stage_enter(m, RELOAD_KEEPER);
		return;
	}
	for (unsigned n = master_workers_wanted(s); n > 0; n--) {
		if (master_start_worker(m, true) != SP_OK) {
			refuse(m, "new workers cannot be started: the error log says why");
			return;
		}
	}
}

static void
stage_one(struct master *m, enum role role)
{
	struct child *c = child_of(m, role);
	char why[128];
	if (c != NULL && c->ready && child_give_epoch(m, c) == SP_OK)
		return;
	(void)snprintf(why, sizeof(why), "the %s is being started again: try once more", role_name(role));
	refuse(m, why);
}

static bool
is_beneath(const char *folder, const char *top)
{
	size_t n = strlen(top);
	return strncmp(folder, top, n) == 0 && (folder[n] == '\0' || folder[n] == '/' || top[n - 1] == '/');
}

/* Landlock can't be widened: a secret in another folder wants another process. */
static bool
keeper_may_read_all(const struct master *m, const struct settings *s)
{
	char *folder[SECRET_FOLDERS];
	size_t n = settings_secret_folders(s, folder, SECRET_FOLDERS);
	bool all = true;
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		for (size_t k = 0; k < m->keeper_folders && !found; k++)
			found = is_beneath(folder[i], m->keeper_folder[k]);
		all = all && found;
		free(folder[i]);
	}
	return all;
}

/* As after a crash, but in order: sessions live on, and what is held is taken up again. */
static void
stage_renew(struct master *m, enum role role)
{
	struct child *c = child_of(m, role);
	if (c == NULL || !c->ready) {
		stage_one(m, role);
		return;
	}
	m->reload.renews = role;
	c->draining = true; /* its link may go before it does */
	if (link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }) != SP_OK)
		(void)kill(c->pid, SIGKILL);
}

static void
stage_keeper(struct master *m)
{
	struct child *c = child_of(m, ROLE_KEEPER);
	bool reads = keeper_may_read_all(m, &m->reload.epoch->settings);
	if (c == NULL || (reads && !m->reload.upgrade)) {
		stage_one(m, ROLE_KEEPER);
		return;
	}
	if (!reads)
		log_info("the keeper starts again, since a secret is in a folder that it could not read before");
	stage_renew(m, ROLE_KEEPER);
}

static void
stage_recorder(struct master *m)
{
	const struct message announced = { .type = MSG_RECORDER, .f = { Q(STAGE_MS) } };
	if (!m->reload.upgrade) {
		stage_one(m, ROLE_RECORDER);
		return;
	}
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_WORKER && c->link != NULL && link_send(c->link, &announced) != SP_OK)
			log_warn("worker %u cannot be told that another recorder comes", c->index);
	}
	stage_renew(m, ROLE_RECORDER);
}

static void
drain(const struct master *m, struct child *c)
{
	c->draining = true;
	if (c->old) /* nobody waits for the end of a program that was replaced */
		c->drain_until = clock_mono_ms() + m->epoch->settings.shutdown_timeout;
	if (link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }) != SP_OK)
		log_warn("worker %u cannot be told to drain", c->index);
}

/* What an old program's last sessions may take is over. */
static void
drain_limit(struct master *m, uint64_t now)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_NONE || c->drain_until == 0 || now < c->drain_until)
			continue;
		log_info("%s %u has drained for as long as shutdown_timeout says: its sessions end", role_name(c->role), c->index);
		c->drain_until = now + STOP_MS;
		if (c->stopped || c->link == NULL || link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(0) } }) != SP_OK)
			(void)kill(c->pid, SIGKILL);
		c->stopped = true;
	}
}

/* As many as are wanted now: more are started, the last ones drain. */
static void
adjust_workers(struct master *m)
{
	unsigned wanted = master_workers_wanted(&m->epoch->settings), have = 0;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &m->child[i];
		if (c->role == ROLE_WORKER && !c->draining && c->link != NULL && ++have > wanted)
			drain(m, c);
	}
	if (have + m->missing[ROLE_WORKER] < wanted)
		m->missing[ROLE_WORKER] = wanted - have;
}

/* Console and helpers of the program before: others come as soon as they are gone. */
static void
replace(struct child *c)
{
	if (!c->old || (c->role != ROLE_CONSOLE && !role_is_helper(c->role)))
		return;
	c->draining = c->role != ROLE_CONSOLE; /* that one is missed when it is gone, and not before */
	c->drain_until = clock_mono_ms() + STOP_MS;
	c->leaves = true;
	if (c->link == NULL || link_send(c->link, &(struct message){ .type = MSG_QUIT, .f = { Q(1) } }) != SP_OK)
		(void)kill(c->pid, SIGKILL);
}

static void
announce(struct master *m, struct child *c, bool replaced)
{
	int rc = SP_OK;
	if (c->role == ROLE_NONE || c->role == ROLE_CHECK || c->link == NULL)
		return;
	bool old = replaced && c->role == ROLE_WORKER && !c->fresh && !c->draining;
	if (old) /* first: it knows then that it needs nothing for new sessions */
		drain(m, c);
	if (c->given != m->epoch->number)
		rc = child_give_epoch(m, c);
	if (rc == SP_OK && (c->role == ROLE_CONSOLE || (c->role == ROLE_WORKER && !c->draining)))
		rc = child_give_listeners(m, c);
	c->fresh = false;
	if (rc != SP_OK) {
		log_error("%s %u cannot be told of the new configuration and is ended", role_name(c->role), c->index);
		(void)kill(c->pid, SIGKILL);
	}
}

/* The line in the picture above is here. */
static void
stage_others(struct master *m)
{
	struct reload *r = &m->reload;
	struct epoch *old = m->epoch;
	bool replaced = false;
	for (unsigned i = 0; i < CHILDREN; i++)
		replaced = replaced || (m->child[i].role == ROLE_WORKER && m->child[i].fresh);
	sealed_close(&m->sealed);
	m->epoch = r->epoch;
	m->sealed = r->sealed;
	r->epoch = NULL;
	r->sealed = SEALED_NONE;
	log_level((enum sp_level)m->epoch->settings.log.level);
	bind_prune(m);
	if (replaced)
		m->missing[ROLE_WORKER] = 0;
	for (unsigned i = 0; i < CHILDREN; i++)
		announce(m, &m->child[i], replaced);
	for (unsigned i = 0; i < CHILDREN && r->upgrade; i++)
		replace(&m->child[i]);
	adjust_workers(m);
	helpers_end(m);
	(void)helpers_start(m, clock_mono_ms()); /* it is in force when they are there; what can't be started is tried again later */
	if (strcmp(old->settings.control.path, m->epoch->settings.control.path) != 0)
		log_warn("control: the socket moves to another path at the next start");
	else if (control_permissions(&m->epoch->settings) != SP_OK)
		log_warn("control: mode and group stay as they were");
	epoch_free(&old);
}

static void
stage_enter(struct master *m, enum reload_stage stage)
{
	log_debug("reload goes from %s to %s", stage_names[m->reload.stage], stage_names[stage]);
	m->reload.stage = stage;
	m->reload.since = clock_mono_ms();
	switch (stage) {
	case RELOAD_WORKERS:
		stage_workers(m);
		break;
	case RELOAD_KEEPER:
		stage_keeper(m);
		break;
	case RELOAD_RECORDER:
		stage_recorder(m);
		break;
	case RELOAD_OTHERS:
		stage_others(m);
		break;
	default:
		break;
	}
}

/* ---- what happens meanwhile ---- */

/* Also after an upgrade whose configuration was refused. */
static bool
has_old(const struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role != ROLE_NONE && m->child[i].old && !m->child[i].draining)
			return true;
	return false;
}

void
reload_start(struct master *m)
{
	struct reload *r = &m->reload;
	if (r->stage != RELOAD_NONE || m->phase == MASTER_STARTING) {
		/* The check process may have read what was changed since: it has to be read again. */
		r->again = r->again || r->stage != RELOAD_NONE;
		if (r->stage != RELOAD_NONE)
			return;
	}
	*r = (struct reload){ .stage = RELOAD_CHECK, .sealed = SEALED_NONE, .asked = clock_mono_us(),
		.since = clock_mono_ms(), .upgrade = has_old(m) };
	if (child_start(m, ROLE_CHECK, &r->check) != SP_OK)
		refuse(m, "the check process cannot be started: the error log says why");
}

/* The first configuration has no old one to fall back to. */
static void
take_first(struct master *m)
{
	struct reload *r = &m->reload;
	m->epoch = r->epoch;
	m->sealed = r->sealed;
	r->epoch = NULL;
	r->sealed = SEALED_NONE;
	log_level((enum sp_level)m->epoch->settings.log.level);
	reload_end(m);
	master_ready(m);
}

static void
one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20)
			*text = ' ';
}

void
reload_checked(struct master *m, struct message *msg)
{
	struct reload *r = &m->reload;
	const char *err = "";
	char why[WHY_BYTES] = "";
	if (r->stage != RELOAD_CHECK)
		return;
	(void)snprintf(why, sizeof(why), "%.*s", (int)(msg->f[1].s.len < sizeof(why) ? msg->f[1].s.len : sizeof(why) - 1),
	    msg->f[1].s.len == 0 ? "" : (const char *)msg->f[1].s.p);
	one_line(why);
	if (msg->f[0].q != 1 || msg->nfds != 1) {
		refuse(m, why[0] == '\0' ? "the check process does not say why" : why);
		return;
	}
	if (epoch_open(msg->fd[0], m->epochs + 1, &r->epoch, &err) != SP_OK) {
		refuse(m, err);
		return;
	}
	m->epochs++;
	if (why[0] != '\0')
		log_info("%s", why);
	if (epoch_seal(r->epoch, EPOCH_WORKERS, &r->sealed.workers) != SP_OK || epoch_seal(r->epoch, EPOCH_CONSOLE, &r->sealed.console) != SP_OK ||
	    epoch_seal(r->epoch, 0, &r->sealed.others) != SP_OK)
		refuse(m, "it cannot be sealed");
	else if (m->epoch != NULL && accounts_find_helpers(m, r->epoch) != SP_OK)
		refuse(m, "a helper that it needs has no user: the error log says which");
	else if (bind_listeners(m, r->epoch, why, sizeof(why)) != SP_OK)
		refuse(m, why);
	else if (m->epoch == NULL)
		take_first(m);
	else
		stage_enter(m, RELOAD_WORKERS);
}

void
reload_ready(struct master *m, struct child *c)
{
	(void)c;
	if (m->reload.stage != RELOAD_WORKERS)
		return;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == ROLE_WORKER && m->child[i].fresh && !m->child[i].draining && !m->child[i].ready)
			return;
	stage_enter(m, RELOAD_KEEPER);
}

static void
refused_by(struct master *m, struct child *c, const struct message *msg)
{
	char why[WHY_BYTES];
	const struct reload *r = &m->reload;
	struct sp_bytes text = msg->f[2].s;
	(void)snprintf(why, sizeof(why), "%s does not take it: %.*s", role_name(c->role),
	    (int)(text.len < sizeof(why) ? text.len : sizeof(why) - 1), text.len == 0 ? "" : (const char *)text.p);
	one_line(why);
	if (m->phase == MASTER_STARTING || (r->epoch != NULL && c->given == r->epoch->number)) {
		c->given = 0; /* it keeps what it had */
		refuse(m, why);
		return;
	}
	/* The others follow the new one: this process must not live on under the old. */
	log_error("%s %u is ended: %s", role_name(c->role), c->index, why);
	(void)kill(c->pid, SIGKILL);
}

static bool
console_is_back(struct master *m)
{
	const struct child *c = child_of(m, ROLE_CONSOLE);
	return c != NULL && !c->leaves && c->ready;
}

static void
settled(struct master *m)
{
	if (m->reload.upgrade && !console_is_back(m))
		return;
	for (unsigned i = 0; i < CHILDREN; i++) {
		const struct child *c = &m->child[i];
		if (c->role != ROLE_NONE && c->role != ROLE_CHECK && !c->draining && c->taken != m->epoch->number)
			return;
	}
	log_info("configuration %llu is in force", (unsigned long long)m->epoch->number);
	if (m->reload.upgrade)
		log_info("sallyportd %s has taken over from the program before; its sessions may go on for shutdown_timeout", PACKAGE_VERSION);
	notify("READY=1");
	reload_status(m, m->reload.asked, true, "in force");
	reload_end(m);
}

void
reload_taken(struct master *m, struct child *c, const struct message *msg)
{
	enum reload_stage stage = m->reload.stage;
	if (msg->f[0].q != c->given)
		return; /* an older one, overtaken since */
	if (msg->f[1].q != 1) {
		if (!c->draining)
			refused_by(m, c, msg);
		return;
	}
	c->taken = c->given;
	if (stage == RELOAD_KEEPER && c->role == ROLE_KEEPER)
		stage_enter(m, RELOAD_RECORDER);
	else if (stage == RELOAD_RECORDER && c->role == ROLE_RECORDER)
		stage_enter(m, RELOAD_OTHERS);
	else if (stage == RELOAD_OTHERS)
		settled(m);
}

bool
reload_lost(struct master *m, const struct child *c)
{
	struct reload *r = &m->reload;
	if (r->stage == RELOAD_CHECK && r->check == c) {
		r->check = NULL;
		refuse(m, "the check process ended without an answer");
		return true;
	}
	if (r->renews != ROLE_NONE && c->role == r->renews)
		return true;
	bool waited_for = (r->stage == RELOAD_WORKERS && c->role == ROLE_WORKER && c->fresh) ||
	    (r->stage == RELOAD_KEEPER && c->role == ROLE_KEEPER) || (r->stage == RELOAD_RECORDER && c->role == ROLE_RECORDER);
	bool fresh = c->fresh;
	if (waited_for) {
		char why[128];
		(void)snprintf(why, sizeof(why), "%s %u ended while it took it", role_name(c->role), c->index);
		refuse(m, why);
	}
	return fresh; /* a worker of what is not in force is not missed */
}

/* Its link may be gone before it has let the store go. */
static bool
lives(const struct master *m, enum role role)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->child[i].role == role)
			return true;
	return false;
}

/* The next keeper or recorder, once the former one is gone. */
static void
renew(struct master *m)
{
	enum role role = m->reload.renews;
	char why[128];
	if (role == ROLE_NONE || lives(m, role))
		return;
	m->reload.renews = ROLE_NONE;
	if (master_start_one(m, role) == SP_OK)
		return;
	m->missing[role]++; /* the old one's end was expected: nobody else would start one */
	(void)snprintf(why, sizeof(why), "the %s cannot be started again: the error log says why", role_name(role));
	refuse(m, why);
}

void
reload_tick(struct master *m, uint64_t now)
{
	struct reload *r = &m->reload;
	drain_limit(m, now);
	renew(m); /* which may refuse it */
	if (r->stage == RELOAD_NONE)
		return;
	if (r->stage == RELOAD_OTHERS) {
		settled(m); /* one that was waited for may have ended */
		return;
	}
	if (now - r->since < STAGE_MS)
		return;
	if (r->stage == RELOAD_CHECK && r->check != NULL)
		(void)kill(r->check->pid, SIGKILL);
	char why[128];
	(void)snprintf(why, sizeof(why), "no answer in %u s at the stage \"%s\"", STAGE_MS / 1000, stage_names[r->stage]);
	refuse(m, why);
}
