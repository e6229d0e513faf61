/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyportd -t --connect`: a worker that serves nobody logs in at each target, once as the catalogue's
 * reader and once as sessions do, by the same code; modules say what those logins may do, master prints it.
 */
#include <config.h>

#include "trial.h"

#include <stdarg.h>
#include <stdio.h>

#include "epoch_use.h"
#include "session.h"

static void
say(struct worker *w, const char *target, bool refuse, const char *text)
{
	const struct message m = { .type = MSG_FOUND, .f = { Q(refuse), Z(target), Z(text) } };
	if (link_send(w->role->master, &m) != SP_OK)
		role_end(w->role, 1);
}

static void
say_of(struct sp_session *s, bool refuse, const char *text)
{
	char what[768];
	bool several = s->home->standby.n > 0 && s->reached != NULL;
	(void)snprintf(what, sizeof(what), "%s login \"%s\"%s%s: %s", strcmp(s->purpose, "login") == 0 ? "data" : s->purpose, s->login,
	    several ? " at " : "", several ? s->reached : "", text);
	say(s->w, s->target_name, refuse, what);
}

/* The listener that its clients would come by; any that speaks its protocol has a block as good. */
static const struct listener *
listener_for(struct worker_epoch *u, const struct target_use *t)
{
	for (size_t i = 0; i < u->nlisteners; i++)
		if (u->listener[i].module == t->module)
			return u->listener[i].listener;
	return NULL;
}

/* At each of its servers: a standby that does not let one in is found out when it is needed, else. */
static void
begin(struct worker *w, const struct target_use *t, const void *conf, const struct trial_of *of)
{
	for (size_t i = 0; i <= t->target->standby.n; i++) {
		struct trial_of at = *of;
		if (t->target->standby.n > 0)
			at.server = i == 0 ? t->target->server : t->target->standby.v[i - 1];
		struct sp_session *s = session_trial(w, t, conf, &at);
		s->trial = true;
		w->trials++;
	}
}

/* Of SSH, a part is a login name, and there is nothing to be read beside it. */
static bool
has_catalogue(const struct target_use *t)
{
	return (t->module->caps & SP_CAP_OWNS_TRANSPORT) == 0;
}

static void
try_part(struct worker *w, struct target_use *t, const char *part)
{
	bool separate = t->target->catalogue.user[0] != '\0';
	const struct listener *l = listener_for(w->epoch, t);
	const char *err = "no listener speaks its protocol";
	const void *conf = l == NULL ? NULL : epoch_use_conf(w->epoch, t, l, &err);
	if (conf == NULL) {
		say(w, t->target->b.name, l != NULL, err);
		return;
	}
	if (!separate && has_catalogue(t))
		say(w, t->target->b.name, false, "no `catalogue user=`: the data login reads the catalogue, too, where one with CONNECT alone would do");
	bool lent = settings_lends(t->target);
	if (lent)
		say(w, t->target->b.name, false, "its logins are lent to each session, and none to a trial: look yourself what they may do");
	const char *const purposes[] = { separate ? "catalogue" : NULL, lent ? NULL : "login", settings_estimates(t->target) ? "estimate" : NULL };
	for (size_t i = 0; i < sizeof(purposes) / sizeof(*purposes); i++) {
		if (purposes[i] == NULL)
			continue;
		begin(w, t, conf, &(struct trial_of){ part, purposes[i], NULL });
	}
}

int
trial_start(struct worker *w)
{
	if (w->listeners.node.next != &w->listeners.node || w->nsessions > 0)
		return SP_EPROTO; /* it serves */
	for (size_t i = 0; i < w->epoch->ntargets; i++) {
		struct target_use *t = &w->epoch->target[i];
		const struct target *c = t->target;
		try_part(w, t, has_catalogue(t) ? c->database[0] != '\0' ? c->database : c->b.name : "");
		for (size_t k = 0; k < c->databases.n; k++)
			if (strcmp(c->databases.v[k], "*") != 0)
				try_part(w, t, c->databases.v[k]);
	}
	trial_over(w);
	return SP_OK;
}

void
trial_over(struct worker *w)
{
	const struct message m = { .type = MSG_DRAINED };
	if (w->trials == 0 && link_send(w->role->master, &m) != SP_OK)
		role_end(w->role, 1);
}

void
trial_closed(struct sp_session *s)
{
	if (!s->inspected)
		say_of(s, true, s->end_text == NULL ? "the target closed the connection" : s->end_text);
	s->w->trials--;
	trial_over(s->w);
}

/* ---- for modules ---- */

bool
sp_inspects(const struct sp_session *s)
{
	return s->trial;
}

void
sp_found(struct sp_session *s, bool refuse, const char *fmt, ...)
{
	char text[400];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say_of(s, refuse, text);
}

int
sp_inspected(struct sp_session *s)
{
	s->inspected = true;
	s->end_text = "inspected";
	return SP_EIO;
}
