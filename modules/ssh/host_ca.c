/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target's host key by an authority that the operator listed (`host_ca`), though libssh's client knows no host certificates.
 *
 *   session ── is a key vouched for? ── yes, within the hour ─▶ libssh connects, and has to see that key
 *      └ no ─▶ a connection of the gateway's own to the same server (host_exchange.c), one at a time for each server
 *                └ its certificate, its authority, its signature over that exchange ─▶ the plain key in it is vouched for
 *
 * What is remembered belongs to a server, and counts only while the configuration that asks still lists that authority and
 * that name.  A key that is another one than what is remembered is asked for once more: hosts get new keys.
 */
#include "host_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "host_exchange.h"

#define REMEMBERED (3600u * 1000) /* ms, at most; and not beyond the certificate's end */
#define PATIENCE 10000u           /* ms, for a server that says nothing */

struct vouched { /* the key of a server; print "": none */
	char print[HOST_PRINT], authority[HOST_PRINT];
	char name[256];
	const struct host_kind *kind;
	uint64_t before; /* s, of the wall's clock */
	uint64_t until;  /* ms, as ssh_now() */
};

struct host_ca { /* of a server, for all sessions of this worker on it */
	struct sp_session *side; /* asks now; NULL: nobody does */
	struct ssh *waiting;     /* by next_waiting */
	struct vouched key;
};

struct side { /* of a connection that asks */
	struct host_exchange x;
	struct host_ca *home;
	bool done;
	char why[200];
};

static struct host_ca *
home_of(struct sp_session *s)
{
	return sp_target_block(s, sizeof(struct host_ca), NULL);
}

static const char *
name_wanted(struct sp_session *s)
{
	const struct ssh_conf *conf = sp_conf(s);
	return conf->host_name[0] != '\0' ? conf->host_name : sp_server(s);
}

static const struct vouched *
valid(struct sp_session *s, const struct host_ca *home)
{
	const struct ssh_conf *conf = sp_conf(s);
	const struct vouched *v = &home->key;
	bool counts = v->print[0] != '\0' && ssh_now() < v->until && (uint64_t)time(NULL) < v->before &&
	    ssh_listed(&conf->host_ca, v->authority) && strcmp(v->name, name_wanted(s)) == 0;
	return counts ? v : NULL;
}

bool
host_ca_vouches(struct sp_session *s, const char *print)
{
	const struct host_ca *home = home_of(s);
	const struct vouched *v = home == NULL ? NULL : valid(s, home);
	return v != NULL && strcmp(v->print, print) == 0;
}

const char *
host_ca_plain(struct sp_session *s)
{
	const struct host_ca *home = home_of(s);
	const struct vouched *v = home == NULL ? NULL : valid(s, home);
	return v == NULL ? NULL : host_kind_plain(v->kind);
}

/* ---- who waits ---- */

int
host_ca_ask(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	struct host_ca *home = home_of(s);
	if (home == NULL)
		return SP_ENOMEM;
	const bool other = !h->vouching.other && home->side != NULL && sp_conf(home->side) != sp_conf(s); /* at most once */
	h->vouching = (struct vouching){ .s = s, .waits = true, .other = other, .next = home->waiting };
	home->waiting = h;
	if (home->side == NULL)
		home->side = sp_side_session(s, HOST_CA, NULL);
	return home->side == NULL ? ssh_fail(s, SP_EIO, "the target could not be asked for its host certificate") : SP_OK;
}

bool
host_ca_missed(struct sp_session *s)
{
	const struct ssh *h = sp_state(s);
	return h->vouching.other && host_ca_plain(s) == NULL;
}

void
host_ca_forget(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	if (!h->vouching.waits)
		return;
	for (struct ssh **at = &home_of(s)->waiting; *at != NULL; at = &(*at)->vouching.next)
		if (*at == h) {
			*at = h->vouching.next;
			break;
		}
	h->vouching.waits = false;
}

static void
wake_all(struct host_ca *home, const char *why)
{
	while (home->waiting != NULL) {
		struct ssh *h = home->waiting;
		home->waiting = h->vouching.next;
		h->vouching.waits = false;
		h->vouching.why = sp_alloc(h->vouching.s, strlen(why) + 1);
		if (h->vouching.why != NULL)
			memcpy(h->vouching.why, why, strlen(why) + 1);
		sp_timer(h->vouching.s, 1);
	}
}

/* ---- the connection that asks ---- */

static int
side_fail(struct sp_session *s, const char *why, const char *what)
{
	struct side *side = *(struct side **)sp_state(s);
	(void)snprintf(side->why, sizeof(side->why), "%s%s", why, what);
	return sp_fail(s, SP_EDENIED, "%s", side->why);
}

int
host_ca_open(struct sp_session *s)
{
	uint8_t random[16 + EXCHANGE_SECRET];
	struct side *side = sp_alloc(s, sizeof(*side));
	*(struct side **)sp_state(s) = side;
	if (side == NULL || sp_random(random, sizeof(random)) != SP_OK)
		return SP_ENOMEM;
	side->home = home_of(s);
	host_exchange_begin(&side->x, random, sp_out(s, SP_TARGET));
	explicit_bzero(random, sizeof(random));
	sp_timer(s, PATIENCE);
	return SP_OK;
}

static int
side_judge(struct sp_session *s, struct side *side)
{
	const struct ssh_conf *conf = sp_conf(s);
	const uint64_t now = (uint64_t)time(NULL);
	const char *why, *name = name_wanted(s);
	struct host_shown shown;
	struct vouched *v = &side->home->key;
	int rc = host_certificate_check(side->x.kind, side->x.certificate, &conf->host_ca, name, now, &shown, &why);
	if (rc == SP_OK && !host_exchange_proved(&side->x, &shown.key)) {
		why = "whoever showed it does not have its key";
		rc = SP_EDENIED;
	}
	if (rc != SP_OK)
		return side_fail(s, "its host certificate is refused: ", why);
	if (strlen(name) >= sizeof(v->name))
		return side_fail(s, "its name is too long for a host", "");
	*v = (struct vouched){ .kind = side->x.kind, .before = shown.before, .until = ssh_now() + REMEMBERED };
	memcpy(v->print, shown.print, sizeof(v->print));
	memcpy(v->authority, shown.authority, sizeof(v->authority));
	memcpy(v->name, name, strlen(name) + 1);
	side->done = true;
	sp_log(s, SP_INFO, "the host key %s of %s is vouched for by %s", v->print, name, v->authority);
	return sp_shut(s, SP_TARGET);
}

int
host_ca_data(struct sp_session *s, enum sp_side from)
{
	struct side *side = *(struct side **)sp_state(s);
	if (side->done)
		return SP_OK;
	if (from == SP_CLIENT) /* its timer */
		return side_fail(s, "it did not show its host certificate in time", "");
	for (;;) {
		const struct sp_bytes in = sp_peek(s, SP_TARGET);
		const char *why = "";
		size_t want = 1;
		const long n = host_exchange_look(&side->x, in, sp_out(s, SP_TARGET), &want, &why);
		if (n < 0)
			return side_fail(s, "asked for its host certificate: ", why);
		if (n == 0)
			return in.len == 0 ? SP_OK : sp_want(s, SP_TARGET, want, EXCHANGE_PACKET + 4);
		int rc = sp_drop(s, SP_TARGET, (size_t)n);
		if (rc == SP_OK && side->x.at == EXCHANGE_DONE)
			return side_judge(s, side);
		if (rc != SP_OK)
			return rc;
	}
}

void
host_ca_close(struct sp_session *s)
{
	const struct side *side = *(struct side **)sp_state(s);
	struct host_ca *home = home_of(s);
	if (home == NULL || home->side != s)
		return;
	home->side = NULL;
	wake_all(home, side == NULL ? "it could not be asked for its host certificate" : side->done ? "" : side->why[0] != '\0' ? side->why
		: "it closed the connection that asked for its host certificate");
}
