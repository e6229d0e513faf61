/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwards: connections of others through this one, each an operation `ssh.forward`.
 *
 *   client ─ open direct-tcpip ─▶ asked ─▶ opened at the target ─▶ accepted                    (ssh -L, -J, -W, -D)
 *   client ─ tcpip-forward ─▶ asked ─▶ the target listens ─▶ CH_LISTENING … cancelled         (ssh -R)
 *   target ─ open forwarded-tcpip, x11, agent ─▶ was it asked for? ─▶ asked ─▶ opened at the client ─▶ accepted
 *
 * What is said in them is not recorded, only how many bytes it was.  Global requests are answered in the order in which
 * they came, since their answers name none: while one of them is asked, those behind it wait (`global`).
 * libssh does not tell where a Unix socket is that a client asks for: such forwards are refused.
 */
#include "ssh.h"

#include <stdio.h>
#include <stdlib.h>

static bool
host_fits(const char *host, bool may_be_empty)
{
	size_t n = host == NULL ? 0 : strlen(host);
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)host[i] <= ' ' || (uint8_t)host[i] >= 0x7f)
			return false;
	return host != NULL && n <= 255 && (n > 0 || may_be_empty);
}

static int
refuse(struct sp_session *s, ssh_message m)
{
	(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	return request_count_refusal(s);
}

/* A channel of this kind, which is asked for; the message is the channel's from here on. */
static int
ask(struct channel *c, ssh_message m, const char *host, int port)
{
	static const char *const word[] = { [DIRECT_TCPIP] = "direct-tcpip", [TCPIP_FORWARD] = "tcpip-forward", [FORWARDED_TCPIP] = "forwarded-tcpip",
		[FORWARDED_X11] = "x11", [FORWARDED_AGENT] = "agent" };
	char text[300];
	c->request[c->nrequests++] = m;
	c->purpose = FOR_FORWARD;
	c->host = strdup(host);
	c->port = (unsigned)port;
	if (c->host == NULL)
		return SP_ENOMEM;
	if (c->forward == FORWARDED_X11 || c->forward == FORWARDED_AGENT)
		(void)snprintf(text, sizeof(text), "%s", word[c->forward]);
	else
		(void)snprintf(text, sizeof(text), "%s %s %d", word[c->forward], host[0] == '\0' ? "*" : host, port);
	return request_ask(c, "ssh.forward", sp_str(text));
}

int
forward_take_direct(struct sp_session *s, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	int port = ssh_message_channel_request_open_destination_port(m);
	struct channel *c = host_fits(host, false) && port > 0 && port <= 65535 ? channel_make(s, NULL) : NULL;
	if (c == NULL)
		return refuse(s, m);
	c->from = SP_CLIENT;
	c->forward = DIRECT_TCPIP;
	return ask(c, m, host, port);
}

/* ---- what the target opens ---- */

static struct channel *
listening(const struct ssh *h, const char *host, int port)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct channel *c = h->channel[i];
		if (c != NULL && c->state == CH_LISTENING && (c->bound == (unsigned)port || c->port == (unsigned)port) && strcmp(c->host, host) == 0)
			return c;
	}
	return NULL;
}

/* X11 and the agent are of the whole connection: some channel must have been allowed to ask for them. */
static bool
asked_for(const struct ssh *h, bool agent)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		if (h->channel[i] != NULL && h->channel[i]->state != CH_FREE && (agent ? h->channel[i]->agent : h->channel[i]->x11))
			return true;
	return false;
}

int
forward_take_target(struct sp_session *s, ssh_message m)
{
	const struct ssh *h = sp_state(s);
	bool open = ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN;
	int kind = open ? ssh_message_subtype(m) : SSH_CHANNEL_UNKNOWN;
	const char *host = kind == SSH_CHANNEL_FORWARDED_TCPIP ? ssh_message_channel_request_open_destination(m) : "";
	const char *origin = kind == SSH_CHANNEL_FORWARDED_TCPIP || kind == SSH_CHANNEL_X11 ? ssh_message_channel_request_open_originator(m) : "";
	int port = kind == SSH_CHANNEL_FORWARDED_TCPIP ? ssh_message_channel_request_open_destination_port(m) : 0;
	bool wanted = kind == SSH_CHANNEL_FORWARDED_TCPIP ? host_fits(host, true) && listening(h, host, port) != NULL
	    : kind == SSH_CHANNEL_X11 || kind == SSH_CHANNEL_AUTH_AGENT ? asked_for(h, kind == SSH_CHANNEL_AUTH_AGENT) : false;
	struct channel *c = wanted && host_fits(origin, true) ? channel_make(s, NULL) : NULL;
	if (c == NULL)
		return refuse(s, m);
	c->from = SP_TARGET;
	c->forward = kind == SSH_CHANNEL_FORWARDED_TCPIP ? FORWARDED_TCPIP : kind == SSH_CHANNEL_X11 ? FORWARDED_X11 : FORWARDED_AGENT;
	c->origin = strdup(origin);
	c->origin_port = origin[0] == '\0' ? 0 : (unsigned)ssh_message_channel_request_open_originator_port(m);
	if (c->origin == NULL) {
		ssh_message_free(m);
		return SP_ENOMEM;
	}
	return ask(c, m, host, port);
}

/* ---- opening ---- */

static int
open_other(struct channel *c, ssh_channel to)
{
	switch (c->forward) {
	case DIRECT_TCPIP:
		return ssh_channel_open_forward(to, c->host, (int)c->port, "127.0.0.1", 0);
	case FORWARDED_TCPIP:
		return ssh_channel_open_reverse_forward(to, c->host, (int)c->port, c->origin, (int)c->origin_port);
	case FORWARDED_X11:
		return ssh_channel_open_x11(to, c->origin, (int)c->origin_port);
	case FORWARDED_AGENT:
		return ssh_channel_open_auth_agent(to);
	default:
		return SSH_ERROR;
	}
}

static int
step_listen(struct channel *c, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	int bound = (int)c->port;
	int rc = ssh_channel_listen_forward(h->leg[SP_TARGET].ssh, c->host, (int)c->port, &bound);
	if (rc == SSH_AGAIN)
		return SP_OK;
	*moved_r = true;
	c->bound = c->port != 0 || bound < 0 ? c->port : (unsigned)bound;
	if (rc == SSH_OK)
		(void)ssh_message_global_request_reply_success(c->request[0], (uint16_t)c->bound);
	else
		(void)ssh_message_reply_default(c->request[0]);
	ssh_message_free(c->request[0]);
	c->nrequests = 0;
	c->state = CH_LISTENING;
	return rc == SSH_OK ? SP_OK : channel_finish(c, "the target does not listen there");
}

int
forward_open(struct channel *c, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	enum sp_side to = SP_OTHER(c->from);
	if (c->forward == TCPIP_FORWARD)
		return step_listen(c, moved_r);
	if (c->leg[to] == NULL) {
		c->leg[to] = ssh_channel_new(h->leg[to].ssh);
		if (c->leg[to] == NULL)
			return SP_ENOMEM;
		channel_listen(c, to);
	}
	int rc = open_other(c, c->leg[to]);
	if (rc == SSH_AGAIN)
		return SP_OK;
	*moved_r = true;
	if (rc != SSH_OK) {
		request_answer(c, false);
		return channel_finish(c, "it does not open there");
	}
	c->leg[c->from] = ssh_message_channel_request_open_reply_accept(c->request[0]);
	ssh_message_free(c->request[0]);
	c->nrequests = 0;
	if (c->leg[c->from] == NULL)
		return SP_ENOMEM;
	channel_listen(c, c->from);
	c->state = CH_OPEN;
	return SP_OK;
}

/* ---- global requests ---- */

static int
take_listen(struct sp_session *s, ssh_message m)
{
	const char *host = ssh_message_global_request_address(m);
	int port = ssh_message_global_request_port(m);
	struct channel *c = host_fits(host, true) && port >= 0 && port <= 65535 ? channel_make(s, NULL) : NULL;
	if (c == NULL)
		return refuse(s, m);
	c->from = SP_CLIENT;
	c->forward = TCPIP_FORWARD;
	return ask(c, m, host, port);
}

/* True: it is done with; until then the same again. */
static int
take_cancel(struct sp_session *s, ssh_message m, bool *done_r)
{
	struct ssh *h = sp_state(s);
	const char *host = ssh_message_global_request_address(m);
	struct channel *c = host == NULL ? NULL : listening(h, host, ssh_message_global_request_port(m));
	*done_r = true;
	if (c == NULL)
		return refuse(s, m);
	int rc = ssh_channel_cancel_forward(h->leg[SP_TARGET].ssh, c->host, (int)c->bound);
	*done_r = rc != SSH_AGAIN;
	if (rc == SSH_AGAIN)
		return SP_OK;
	(void)(rc == SSH_OK ? ssh_message_global_request_reply_success(m, 0) : ssh_message_reply_default(m));
	ssh_message_free(m);
	return channel_finish(c, "cancelled");
}

static bool
one_is(const struct ssh *h, enum channel_state state)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		const struct channel *c = h->channel[i];
		if (c != NULL && c->state == state && c->purpose == FOR_FORWARD && c->forward == TCPIP_FORWARD)
			return true;
	}
	return false;
}

bool
forward_begins(const struct ssh *h)
{
	return one_is(h, CH_OPENING);
}

int
forward_take_global(struct sp_session *s, ssh_message m)
{
	struct ssh *h = sp_state(s);
	if (h->nglobal == GLOBALS) {
		ssh_message_free(m);
		return ssh_fail(s, SP_EPROTO, "the client asks for too many forwards at once");
	}
	h->global[h->nglobal++] = m;
	return SP_OK;
}

int
forward_step_global(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	int rc = SP_OK;
	while (rc == SP_OK && h->nglobal > 0 && !one_is(h, CH_ASKED) && !one_is(h, CH_OPENING)) {
		ssh_message m = h->global[0];
		bool done = true;
		if (ssh_message_subtype(m) == SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD)
			rc = take_cancel(s, m, &done);
		else
			rc = ssh_message_subtype(m) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD ? take_listen(s, m) : refuse(s, m);
		if (!done)
			break;
		memmove(h->global, h->global + 1, --h->nglobal * sizeof(h->global[0]));
		*moved_r = true;
	}
	return rc;
}
