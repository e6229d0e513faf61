/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's table of messages, its links and its epochs.
 */
#include <config.h>

#include "keeper.h"

#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "api.h"
#include "approval.h"
#include "code.h"
#include "caller.h"
#include "cancel.h"
#include "dial.h"
#include "events.h"
#include "gateways.h"
#include "grant.h"
#include "ledger.h"
#include "lend.h"
#include "live.h"
#include "metrics.h"
#include "outside.h"
#include "proof.h"
#include "provider.h"
#include "saml.h"
#include "share.h"
#include "signin.h"
#include "ticket.h"
#include "webhook.h"

#define CLOCK_STEP_US 1000000 /* between two ticks; who keeps a clock right by and by changes it by less */

/* By helper: what it was asked for has no answer any more. */
static void (*const helper_lost[ROLES])(struct keeper *k, unsigned index) = { [ROLE_LEND] = lend_lost, [ROLE_FETCH] = outside_lost, [ROLE_SAML] = saml_lost };
/* …and it can be asked again. */
static void (*const helper_linked[ROLES])(struct keeper *k, unsigned index) = { [ROLE_LEND] = lend_linked, [ROLE_FETCH] = outside_linked };

static int derive(struct keeper *k, struct link *l, struct message *m);

/* By message; message.c says who may send which.  No row: the link ends. */
static int (*const handlers[MESSAGES])(struct keeper *k, struct link *l, struct message *m) = {
	[MSG_AUTHENTICATE] = admission_authenticate,
	[MSG_PROVE] = proof_prove,
	[MSG_TLS_SIGN] = proof_tls_sign,
	[MSG_OPENED] = live_opened,
	[MSG_CLOSED] = live_closed,
	[MSG_RESUME] = live_resume,
	[MSG_SIDE] = live_side,
	[MSG_CONNECT] = dial_connect,
	[MSG_DIALED] = dial_dialed,
	[MSG_CANCEL_KEY] = cancel_key,
	[MSG_CANCEL] = cancel_request,
	[MSG_HOLD] = approval_hold,
	[MSG_RAN] = file_ran,
	[MSG_WITHDRAW] = approval_withdraw,
	[MSG_ESTIMATE] = approval_estimate,
	[MSG_SHARE_PUT] = share_put,
	[MSG_SHARE_GET] = share_get,
	[MSG_GROUP] = share_group,
	[MSG_DERIVE] = derive,
	[MSG_RULED] = policies_ruled,
	[MSG_SIGN] = ledger_sign,
	[MSG_HAVE] = ledger_have,
	[MSG_REMOVE] = ledger_remove,
	[MSG_FETCHED] = api_fetched,
	[MSG_MEASURED] = metrics_measured,
	[MSG_CALL] = api_call,
	[MSG_LENT] = lend_lent,
	[MSG_RETURNED] = lend_returned,
	[MSG_OUTSIDE_TOLD] = outside_told,
	[MSG_SAML_TOLD] = saml_told,
};

/* Keys for what workers hash: never the ones that sign or prove. */
static int
derive(struct keeper *k, struct link *l, struct message *m)
{
	static const char *const purposes[] = { "mask", "redact" };
	uint8_t key[DIGEST_LEN];
	for (size_t i = 0; i < sizeof(purposes) / sizeof(*purposes); i++) {
		if (!sp_bytes_is(m->f[0].s, purposes[i]))
			continue;
		keys_derive(&k->keys, purposes[i], m->f[1].s, key);
		const struct message out = { .type = MSG_DERIVED, .id = m->id, .f = { m->f[0], m->f[1], S(((struct sp_bytes){ key, sizeof(key) })) } };
		reply(k, l, &out);
		mem_wipe(key, sizeof(key));
		return SP_OK;
	}
	log_warn("worker[%u] asks for a key for %s, which is no purpose", link_peer_index(l), log_quote(m->f[0].s));
	return SP_EPROTO;
}

/* ---- links ---- */

static int
on_message(void *owner, struct link *l, struct message *m)
{
	struct keeper *k = owner;
	int rc = handlers[m->type] == NULL ? SP_EPROTO : handlers[m->type](k, l, m);
	/* Nobody else waits at our rows longer than for one message's work. */
	if (store_shared(k->store))
		keeper_commit(k);
	return rc;
}

static void
drop_link(struct keeper *k, struct link **l)
{
	if (*l == NULL)
		return;
	reply_forget(k, *l);
	api_link_gone(k, *l);
	metrics_link_gone(k, *l);
	policies_link_gone(k, *l);
	provider_link_gone(k, *l);
	link_free(l);
}

static void
on_peer_gone(void *owner, struct link *l, const char *why)
{
	struct keeper *k = owner;
	log_warn("%s: %s", role_name(link_peer(l)), why);
	drop_link(k, l == k->recorder ? &k->recorder : &k->console);
}

static int
on_worker_message(void *owner, struct link *l, struct message *m)
{
	struct worker *w = owner;
	return on_message(w->k, l, m);
}

static void
worker_end(struct worker *w)
{
	struct keeper *k = w->k;
	for (struct worker **at = &k->workers; *at != NULL; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		break;
	}
	live_worker_gone(k, w);
	drop_link(k, &w->link);
	free(w);
}

static void
on_worker_gone(void *owner, struct link *l, const char *why)
{
	log_warn("worker[%u]: %s", link_peer_index(l), why);
	worker_end(owner);
}

static int
link_worker(struct keeper *k, unsigned index, int fd)
{
	struct worker *w = mem_alloc(sizeof(*w));
	const struct link_handler handler = { on_worker_message, on_worker_gone, w };
	/* A former one of that index is another process: it ends by its own link. */
	*w = (struct worker){ .next = k->workers, .k = k, .index = index };
	w->link = link_new(k->base, fd, ROLE_KEEPER, ROLE_WORKER, index, &handler);
	k->workers = w;
	return SP_OK;
}

static void
helper_end(struct helper_link *h)
{
	struct helper_link **at = &h->k->helpers;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	drop_link(h->k, &h->link);
	if (helper_lost[h->role] != NULL)
		helper_lost[h->role](h->k, h->index);
	free(h);
}

static int
on_helper_message(void *owner, struct link *l, struct message *m)
{
	struct helper_link *h = owner;
	return on_message(h->k, l, m);
}

static void
on_helper_gone(void *owner, struct link *l, const char *why)
{
	log_warn("%s[%u]: %s", role_name(link_peer(l)), link_peer_index(l), why);
	helper_end(owner);
}

static struct helper_link *
helper_find(const struct keeper *k, enum role role, unsigned index)
{
	struct helper_link *h = k->helpers;
	while (h != NULL && (h->role != role || h->index != index))
		h = h->next;
	return h;
}

struct link *
keeper_helper(const struct keeper *k, enum role role, unsigned index)
{
	const struct helper_link *h = helper_find(k, role, index);
	return h == NULL ? NULL : h->link;
}

static int
link_helper(struct keeper *k, enum role role, unsigned index, int fd)
{
	struct helper_link *former = helper_find(k, role, index);
	if (former != NULL)
		helper_end(former);
	struct helper_link *h = mem_alloc(sizeof(*h));
	const struct link_handler handler = { on_helper_message, on_helper_gone, h };
	*h = (struct helper_link){ .next = k->helpers, .k = k, .role = role, .index = index };
	h->link = link_new(k->base, fd, ROLE_KEEPER, role, index, &handler);
	k->helpers = h;
	if (helper_linked[role] != NULL)
		helper_linked[role](k, index);
	return SP_OK;
}

int
keeper_link(struct keeper *k, enum role peer, unsigned index, int fd)
{
	const struct link_handler handler = { on_message, on_peer_gone, k };
	switch (peer) {
	case ROLE_WORKER:
		return link_worker(k, index, fd);
	case ROLE_RECORDER:
		drop_link(k, &k->recorder);
		k->recorder = link_new(k->base, fd, ROLE_KEEPER, ROLE_RECORDER, index, &handler);
		ledger_keys(k);
		audit_flush(k);
		return SP_OK;
	case ROLE_CONSOLE:
		drop_link(k, &k->console);
		k->console = link_new(k->base, fd, ROLE_KEEPER, ROLE_CONSOLE, index, &handler);
		return SP_OK;
	case ROLE_FETCH:
	case ROLE_SAML:
	case ROLE_LEND:
	case ROLE_DIAL:
		return link_helper(k, peer, index, fd);
	default:
		(void)close(fd);
		return SP_EPROTO;
	}
}

/* Master saw it die; its link may not have said so yet.  A new process may have its index already: that one is not meant. */
static void
worker_gone(struct keeper *k, uint64_t index)
{
	struct worker *oldest = NULL;
	for (struct worker *w = k->workers; w != NULL; w = w->next) {
		if (w->index == index)
			oldest = w;
	}
	if (oldest != NULL)
		worker_end(oldest);
}

int
keeper_told(struct keeper *k, struct message *m)
{
	switch (m->type) {
	case MSG_CALLER:
		(void)caller_add(k, m);
		api_parked(k, false);
		return SP_OK;
	case MSG_BOARD:
		return metrics_board(k, m->fd[0]);
	case MSG_WORKER_GONE:
		worker_gone(k, m->f[0].q);
		return SP_OK;
	default:
		return SP_EPROTO;
	}
}

/* ---- epochs ---- */

/* What of an epoch has to be read and checked before it can be taken. */
static int
take_epoch(struct keeper *k, struct epoch *e, const char **err_r)
{
	struct trust *trust = NULL;
	struct credentials *credentials = NULL;
	struct webhooks *webhooks = NULL;
	struct saml_trust *saml = NULL;
	int rc = e->settings.local_issuer ? keys_issuer(&k->keys, err_r) : SP_OK;
	if (rc == SP_OK)
		rc = trust_new(e, &k->keys, k, &trust, err_r);
	if (rc == SP_OK)
		rc = saml_trust_new(e, &saml, err_r);
	if (rc == SP_OK)
		rc = credentials_new(&e->settings, &credentials, err_r);
	if (rc == SP_OK)
		rc = webhooks_new(&e->settings, &webhooks, err_r);
	if (rc != SP_OK) {
		trust_free(&trust);
		credentials_free(&credentials);
		saml_trust_free(&saml);
		return rc;
	}
	trust_free(&k->trust);
	credentials_free(&k->credentials);
	webhooks_free(&k->webhooks);
	saml_trust_free(&k->saml_trust);
	if (k->epoch != e)
		epoch_free(&k->epoch);
	k->trust = trust;
	k->credentials = credentials;
	k->webhooks = webhooks;
	k->saml_trust = saml;
	k->epoch = e;
	lend_epoch(k);
	provider_epoch(k);
	return SP_OK;
}

int
keeper_epoch(struct keeper *k, struct epoch *e, const char **err_r)
{
	if (strcmp(e->settings.store.where, keeper_settings(k)->store.where) != 0 ||
	    strcmp(e->settings.store.file, keeper_settings(k)->store.file) != 0) {
		*err_r = "another store needs a restart";
		return SP_ECONF;
	}
	int rc = take_epoch(k, e, err_r);
	if (rc == SP_OK)
		live_check_all(k);
	return rc;
}

/* ---- start, time, end ---- */

static void
forget_old(struct keeper *k)
{
	const struct field args[] = { Q(clock_wall_us()) };
	(void)keeper_write(k, STORE_TOKEN_FORGET, args);
	share_forget(k);
}

/*
 * The wall's clock was put forward or back, or this machine slept.  Limits go on by the monotonic clock; what ends at a time that
 * somebody was told (tokens, grants, requests) ends when the wall's says so, so people have to know that it was changed.
 */
static void
clock_tick(struct keeper *k)
{
	int64_t ahead = (int64_t)clock_wall_us() - (int64_t)clock_mono_us(), by = ahead - k->clock_ahead;
	char was[32], is[32];
	k->clock_ahead = ahead;
	if (by < CLOCK_STEP_US && by > -CLOCK_STEP_US)
		return;
	uint64_t now = clock_wall_us();
	(void)clock_format((uint64_t)((int64_t)now - by), was);
	(void)clock_format(now, is);
	log_warn("the clock was stepped by %+.1f s, from %s to %s: tokens, grants and requests end by the new time", (double)by / 1e6, was, is);
	audit(k, "clock stepped", json_pack("{s:f,s:s,s:s}", "seconds", (double)(by / 1000) / 1e3, "from", was, "to", is));
	metrics_clock_stepped(k);
}

static void
on_tick(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	struct keeper *k = owner;
	uint64_t now = clock_mono_ms();
	clock_tick(k);
	approval_tick(k);
	gateways_tick(k);
	events_tick(k);
	lend_tick(k);
	outside_tick(k, clock_mono_ms());
	webhook_tick(k);
	provider_tick(k);
	signin_tick(k);
	api_device_tick(k);
	renewal_tick(k);
	grant_tick(k);
	ticket_tick(k);
	caller_forget(k, now > CALLER_LIFE ? now - CALLER_LIFE : 0);
	api_parked(k, false);
	saml_tick(k);
	if (!k->settled && now - k->started_mono >= keeper_settings(k)->store_grace) {
		k->settled = true;
		live_settle(k);
	}
	if (++k->ticks % 60 == 0)
		forget_old(k);
	if (k->ticks % 60 == 2)
		ledger_anchor(k);
}

static void
on_derive(evutil_socket_t fd, short what, void *owner)
{
	(void)fd, (void)what;
	proof_derive(owner);
}

static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return mem_string((struct sp_bytes){ (const uint8_t *)path, slash == path ? 1 : (size_t)(slash - path) });
}

int
keeper_open(struct keeper *k, struct event_base *base, struct epoch *e, const char **err_r)
{
	k->audit_log = -1;
	k->base = base;
	k->epoch = e;
	k->started = clock_wall_us();
	k->started_mono = clock_mono_ms();
	k->clock_ahead = (int64_t)clock_wall_us() - (int64_t)clock_mono_us();
	char *folder = k->trial ? NULL : folder_of(e->settings.store.file);
	int rc = keys_open(folder, &k->keys, err_r);
	free(folder);
	if (rc == SP_OK)
		rc = gateways_open(k, err_r);
	if (rc == SP_OK)
		rc = ledger_open(k, err_r);
	reply_open(k);
	outside_open(k);
	provider_open(k);
	signin_open(k);
	if (rc == SP_OK)
		rc = take_epoch(k, e, err_r);
	if (rc != SP_OK)
		return rc;
	live_open(k);
	lend_open(k);
	cancel_open(k);
	ticket_open(k);
	caller_open(k);
	api_open(k);
	metrics_open(k);
	policies_open(k);
	events_open(k);
	api_device_open(k);
	saml_open_jobs(k);
	k->derive = evtimer_new(base, on_derive, k);
	k->tick = event_new(base, -1, EV_PERSIST, on_tick, k);
	if (k->derive == NULL || k->tick == NULL || event_add(k->tick, &(struct timeval){ 1, 0 }) != 0) {
		*err_r = "no timer";
		return SP_ENOMEM;
	}
	return SP_OK;
}

void
keeper_close(struct keeper *k)
{
	outside_mute(k);
	if (k->fetches != NULL)
		api_signin_close(k);
	drop_link(k, &k->recorder);
	drop_link(k, &k->console);
	while (k->helpers != NULL)
		helper_end(k->helpers);
	while (k->workers != NULL) {
		struct worker *w = k->workers;
		k->workers = w->next;
		drop_link(k, &w->link);
		/* Sessions are not over: workers will announce them to the next keeper. */
		free(w);
	}
	live_close(k);
	lend_close(k);
	cancel_close(k);
	ticket_close(k);
	code_close(k);
	caller_close(k);
	api_device_close(k);
	saml_close_jobs(k);
	events_close(k);
	api_close(k);
	policies_close(k);
	if (k->audit_log >= 0)
		(void)close(k->audit_log);
	k->audit_log = -1;
	metrics_close(k);
	if (k->derive != NULL)
		event_free(k->derive);
	if (k->tick != NULL)
		event_free(k->tick);
	if (k->leave != NULL)
		event_free(k->leave);
	signin_close(k);
	provider_close(k);
	outside_close(k);
	reply_close(k);
	ledger_close(k);
	store_close(&k->store);
	gateways_close(k);
	trust_free(&k->trust);
	saml_trust_free(&k->saml_trust);
	credentials_free(&k->credentials);
	webhooks_free(&k->webhooks);
	keys_close(&k->keys);
	buffer_free(&k->audit);
	epoch_free(&k->epoch);
}
