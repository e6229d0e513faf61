/* SPDX-License-Identifier: Apache-2.0 */
/* The API: tickets, and where they are good. */
#include <config.h>

#include "api.h"

#include <stdio.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "admission.h"
#include "ssh_key.h"

static const char *
door_address(const struct listener *l)
{
	return l->public[0] != '\0' ? l->public : l->listen;
}

/* The best door of that protocol: one with TLS, one that lets the client name its target. */
static const struct listener *
door_of(const struct settings *s, const char *protocol, const char *target)
{
	const struct listener *best = NULL;
	int worth = -1;
	for (const struct listener *l = s->listeners; l != NULL; l = (const struct listener *)l->b.next) {
		struct hostport at;
		if (settings_hostport(door_address(l), &at) != SP_OK)
			continue; /* a socket that has no address a client elsewhere could be told */
		int now = (l->tls.cert[0] != '\0' ? 2 : 0) + (l->target[0] == '\0' ? 1 : 0);
		if (strcmp(l->protocol, protocol) != 0 || (l->target[0] != '\0' && strcmp(l->target, target) != 0) || now <= worth)
			continue;
		best = l;
		worth = now;
	}
	return best;
}

/* "" for every address of this host: the caller knows by which name it came. */
void
api_door(const struct api *a, json_t *into, const char *protocol, const char *target)
{
	struct hostport at;
	const struct listener *l = door_of(keeper_settings(a->k), protocol, target);
	if (l == NULL || settings_hostport(door_address(l), &at) != SP_OK)
		return;
	bool any = strcmp(at.host, "0.0.0.0") == 0 || strcmp(at.host, "::") == 0;
	(void)json_object_set_new(into, "host", json_string(any ? "" : at.host));
	(void)json_object_set_new(into, "port", json_integer(at.port));
	if (target[0] != '\0')
		(void)json_object_set_new(into, "tls", json_boolean(l->tls.cert[0] != '\0'));
}

/* What clients of the gateway's SSH have to see, of its file's name in the epoch. */
static void
set_host_key(struct api *a)
{
	const struct listener *l = door_of(keeper_settings(a->k), "ssh", "");
	const char *path = l == NULL ? NULL : epoch_public_path(a->arena, l->host_key);
	const struct epoch_file *f = path == NULL ? NULL : epoch_find_file(a->k->epoch, path);
	if (f != NULL)
		api_set(a, "host_key", json_stringn((const char *)f->content.p, f->content.len));
}

int
ticket_answer(struct api *a, struct ticket_made *made, const struct target *t)
{
	api_set(a, "id", json_string(made->id));
	api_set(a, "password", json_string(made->password));
	mem_wipe(made->password, sizeof(made->password));
	api_set(a, "target", json_string(t->b.name));
	api_set(a, "protocol", json_string(t->protocol));
	api_door(a, a->answer, t->protocol, t->b.name);
	api_set_time(a->answer, "window", made->window);
	api_set_time(a->answer, "until", made->until);
	return SP_OK;
}

int
api_ticket(struct api *a)
{
	struct ticket_made made;
	const struct target *t = settings_target(keeper_settings(a->k), api_text(a, "target"));
	if (t == NULL || !admission_allows(t, &a->who.principal))
		return api_refuse(a, 404, "there is no such target for you: `sallyport targets` lists yours");
	if (strcmp(a->who.principal.identity, "unix") == 0 && !api_may(a, MAY_MINT))
		return api_refuse(a, 403, "callers at the control socket get tickets where the configuration says `control … may=mint`");
	const struct ticket_wish w = { .who = &a->who, .target = t, .kind = api_flag(a, "once") ? TICKET_CONNECT : TICKET_MANY,
		.span = api_number(a, "for", 0) };
	const char *why = ticket_make(a->k, &w, &made);
	if (why != NULL)
		return api_refuse(a, 403, "%s", why);
	return ticket_answer(a, &made, t);
}

int
api_ssh_certificate(struct api *a)
{
	struct ticket_made made;
	struct buffer key = { 0 }, line = { 0 }, authority = { 0 };
	const struct ticket_wish w = { .who = &a->who, .span = api_number(a, "for", 0) };
	if (strcmp(a->who.principal.identity, "unix") == 0 && !api_may(a, MAY_MINT))
		return api_refuse(a, 403, "callers at the control socket get certificates where the configuration says `control … may=mint`");
	if (ssh_key_read(sp_str(api_text(a, "key")), &key) != SP_OK) {
		buffer_free(&key);
		return api_refuse(a, 400, "`key` is no line as in ~/.ssh/id_ed25519.pub: ssh-keygen -t ed25519 makes one");
	}
	const char *why = ssh_key_certify(a->k, &w, buffer_bytes(&key), &made, &line);
	int rc = why != NULL ? api_refuse(a, 403, "%s", why) : ssh_key_authority(a->k, &authority);
	if (why == NULL && rc == SP_OK) {
		api_set(a, "id", json_string(made.id));
		api_set(a, "certificate", json_stringn((const char *)buffer_bytes(&line).p, line.len));
		api_set(a, "authority", json_stringn((const char *)buffer_bytes(&authority).p, authority.len));
		api_door(a, a->answer, "ssh", "");
		set_host_key(a);
		api_set_time(a->answer, "window", made.window);
		api_set_time(a->answer, "until", made.until);
	}
	buffer_free(&key);
	buffer_free(&line);
	buffer_free(&authority);
	return rc;
}

/* ---- what there is ---- */

static bool
own(const struct api *a, const struct ticket *t)
{
	return strcmp(t->who.issuer, a->who.principal.issuer) == 0 && strcmp(t->who.subject, a->who.principal.subject) == 0;
}

struct listing {
	struct api *a;
	json_t *list;
};

static int
add_ticket(void *owner, const struct ticket *t)
{
	struct listing *l = owner;
	if (!own(l->a, t) && !api_may(l->a, MAY_AUDIT | MAY_OPERATE))
		return SP_OK;
	json_t *j = json_pack("{s:s,s:s,s:s,s:b,s:I,s:s}", "id", t->id, "user", t->who.user, "target", t->target, "once", t->kind == TICKET_CONNECT,
	    "used", (json_int_t)t->used, "address", t->host);
	api_set_time(j, "created", t->created);
	api_set_time(j, "window", t->window);
	return json_array_append_new(l->list, j) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_tickets(struct api *a)
{
	struct listing l = { a, json_array() };
	int rc = ticket_list(a->k, add_ticket, &l);
	api_set(a, "tickets", l.list);
	return rc;
}

int
api_ticket_end(struct api *a)
{
	struct ticket t;
	char text[300];
	int rc = ticket_get(a->k, a->arena, api_text(a, "id"), &t);
	if (rc == SP_EPROTO || (rc == SP_OK && !own(a, &t) && !api_may(a, MAY_OPERATE)))
		return api_refuse(a, 404, "there is no such ticket of yours");
	if (rc != SP_OK)
		return rc;
	(void)snprintf(text, sizeof(text), "ended by %s", a->who.principal.name);
	if (!ticket_end(a->k, &t, text))
		return api_refuse(a, 409, "it has ended already");
	api_set(a, "id", json_string(t.id));
	api_set(a, "state", json_string("ended"));
	return SP_OK;
}
