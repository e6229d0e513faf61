/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks for: channels, and what they shall do.  One table says which request is looked at
 * in which state; what is not in it is refused, in SSH's own way, and the session lives on (SS8).
 */
#include "ssh.h"

#include <stdio.h>
#include <stdlib.h>

#define REFUSALS 1000 /* of one session: then it is not a client that was misunderstood (SS12) */

void
request_answer(struct channel *c, bool yes)
{
	if (c->nrequests == 0)
		return;
	ssh_message m = c->request[0];
	if (yes)
		(void)ssh_message_channel_request_reply_success(m);
	else
		(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	memmove(c->request, c->request + 1, --c->nrequests * sizeof(c->request[0]));
}

static int
count_refusal(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	return ++h->refusals > REFUSALS ? ssh_fail(s, SP_EPROTO, "the client asked for %u things that it can't have", h->refusals) : SP_OK;
}

/* No to the request that is under way; `name` may be a part of it. */
static int
refuse(struct channel *c, const char *what, const char *name)
{
	char text[200];
	snprintf(text, sizeof(text), "refused: %s %.120s", what, name == NULL ? "" : name);
	for (char *p = text; *p != '\0'; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			*p = '?';
	request_answer(c, false);
	int rc = sp_record(c->s, c->op, SP_REC_NOTICE, sp_str(text));
	return rc == SP_OK ? count_refusal(c->s) : rc;
}

/* ---- one request after the other ---- */

static int
ask(struct channel *c, const char *kind, struct sp_bytes text)
{
	c->op = sp_op_new(c->s, c->number, kind, text);
	if (c->op == NULL)
		return SP_ENOMEM;
	sp_op_set_cookie(c->op, c);
	c->decided = false;
	c->what = SP_DENY;
	c->answered_early = false;
	c->state = CH_ASKED;
	return sp_ask(c->op);
}

static int
take_pty(struct channel *c, ssh_message m)
{
	const char *term = ssh_message_channel_request_pty_term(m);
	size_t n = term == NULL ? 0 : strlen(term);
	bool fits = !c->pty && n > 0 && n < sizeof(c->term);
	for (size_t i = 0; i < n && fits; i++)
		fits = (uint8_t)term[i] > ' ' && term[i] != 0x7f;
	if (!fits)
		return refuse(c, "terminal", term);
	memcpy(c->term, term, n + 1);
	c->columns = (unsigned)ssh_message_channel_request_pty_width(m);
	c->rows = (unsigned)ssh_message_channel_request_pty_height(m);
	c->pty = true;
	request_answer(c, true);
	return SP_OK;
}

static int
take_window(struct channel *c, ssh_message m)
{
	c->columns = (unsigned)ssh_message_channel_request_pty_width(m);
	c->rows = (unsigned)ssh_message_channel_request_pty_height(m);
	c->resized = c->pty;
	request_answer(c, true);
	return SP_OK;
}

/* "LC_*" stands for any that begins so. */
static bool
variable_listed(const struct sp_strings *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		size_t n = strlen(set->v[i]);
		bool any = n > 0 && set->v[i][n - 1] == '*';
		if (any ? strncmp(set->v[i], name, n - 1) == 0 : strcmp(set->v[i], name) == 0)
			return true;
	}
	return false;
}

static bool
variable_fits(const char *name, const char *value)
{
	for (const char *p = name; *p != '\0'; p++)
		if (*p != '_' && !(*p >= 'A' && *p <= 'Z') && !(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9'))
			return false;
	for (const char *p = value; *p != '\0'; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			return false;
	return name[0] != '\0' && strlen(name) < 64 && strlen(value) < 256;
}

static int
take_environment(struct channel *c, ssh_message m)
{
	const struct ssh_conf *conf = sp_conf(c->s);
	const char *name = ssh_message_channel_request_env_name(m), *value = ssh_message_channel_request_env_value(m);
	char text[64 + 256 + 2];
	if (name == NULL || value == NULL || c->nvariables == ENVIRONMENT || !variable_fits(name, value) ||
	    !variable_listed(&conf->environment, name))
		return refuse(c, "variable", name);
	snprintf(text, sizeof(text), "%s=%s", name, value);
	c->purpose = FOR_NOTHING;
	return ask(c, "ssh.env", sp_str(text));
}

static int
take_exec(struct channel *c, ssh_message m)
{
	const char *command = ssh_message_channel_request_command(m);
	c->command = strdup(command == NULL ? "" : command);
	if (c->command == NULL)
		return SP_ENOMEM;
	c->purpose = FOR_EXEC;
	return ask(c, scp_command(sp_str(c->command)) ? "ssh.scp" : "ssh.exec", sp_str(c->command));
}

static int
take_shell(struct channel *c, ssh_message m)
{
	(void)m;
	c->purpose = FOR_SHELL;
	return ask(c, "ssh.shell", SP_LIT("shell"));
}

static int
take_subsystem(struct channel *c, ssh_message m)
{
	const char *name = ssh_message_channel_request_subsystem(m);
	if (name == NULL || strcmp(name, "sftp") != 0)
		return refuse(c, "subsystem", name);
	c->purpose = FOR_SFTP;
	return ask(c, "ssh.sftp", SP_LIT("start"));
}

/* (state, request) → handler; no row: refused. */
static const struct {
	enum channel_state state;
	int request;
	int (*take)(struct channel *c, ssh_message m);
} rows[] = {
	{ CH_SETUP, SSH_CHANNEL_REQUEST_PTY, take_pty },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_ENV, take_environment },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_EXEC, take_exec },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_SHELL, take_shell },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_SUBSYSTEM, take_subsystem },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_WINDOW_CHANGE, take_window },
	{ CH_OPEN, SSH_CHANNEL_REQUEST_WINDOW_CHANGE, take_window },
};

static const char *
request_name(int request)
{
	return request == SSH_CHANNEL_REQUEST_X11 ? "X11" : request == SSH_CHANNEL_REQUEST_UNKNOWN ? "a request that is not known" : "a request";
}

static int
take_first(struct channel *c)
{
	ssh_message m = c->request[0];
	int request = ssh_message_subtype(m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].state == c->state && rows[i].request == request)
			return rows[i].take(c, m);
	return refuse(c, request_name(request), "");
}

/* ---- verdicts ---- */

static int
keep_variable(struct channel *c)
{
	struct sp_bytes text = sp_op_text(c->op);
	struct sp_reader r = sp_reader(text);
	struct sp_bytes name = sp_rd_until(&r, '='), value = sp_rd_rest(&r);
	struct variable *v = &c->variable[c->nvariables];
	v->name = strndup((const char *)name.p, name.len);
	v->value = strndup(value.len == 0 ? "" : (const char *)value.p, value.len);
	c->nvariables++;
	return v->name == NULL || v->value == NULL ? SP_ENOMEM : SP_OK;
}

static int
variable_decided(struct channel *c)
{
	bool yes = c->what == SP_ALLOW;
	const struct sp_outcome o = { .error = "", .text = "set" };
	int rc = yes ? keep_variable(c) : SP_OK;
	if (rc == SP_OK && yes)
		rc = sp_done(c->op, &o);
	sp_op_free(&c->op);
	c->state = CH_SETUP;
	request_answer(c, yes);
	return rc;
}

static int
denied(struct channel *c)
{
	if (c->purpose == FOR_FORWARD || c->purpose == FOR_SFTP) {
		request_answer(c, false);
		int rc = count_refusal(c->s);
		sp_op_free(&c->op);
		c->state = CH_SETUP;
		if (c->purpose == FOR_FORWARD)
			c->state = CH_CLOSING;
		return rc;
	}
	if (!c->answered_early)
		request_answer(c, true); /* for the text, and the status */
	int rc = channel_say(c, "%s", c->text);
	sp_op_free(&c->op);
	return rc == SP_OK ? channel_refuse(c, 126) : rc;
}

int
request_step(struct channel *c, bool *moved_r)
{
	int rc = SP_OK;
	while (rc == SP_OK && c->nrequests > 0 && (c->state == CH_SETUP || c->state == CH_OPEN)) {
		*moved_r = true;
		rc = take_first(c);
	}
	if (rc != SP_OK || c->state != CH_ASKED || !c->decided)
		return rc;
	*moved_r = true;
	if (c->purpose == FOR_NOTHING)
		return variable_decided(c);
	if (c->what != SP_ALLOW)
		return denied(c);
	c->state = CH_OPENING;
	return SP_OK;
}

/* ---- from the queues ---- */

static int
take_forward(struct sp_session *s, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	int port = ssh_message_channel_request_open_destination_port(m);
	char text[300];
	bool fits = host != NULL && host[0] != '\0' && strlen(host) <= 255 && port > 0 && port <= 65535;
	for (const char *p = host; fits && *p != '\0'; p++)
		fits = (uint8_t)*p > ' ' && (uint8_t)*p < 0x7f;
	struct channel *c = fits ? channel_make(s, NULL) : NULL;
	if (c == NULL) {
		(void)ssh_message_reply_default(m);
		ssh_message_free(m);
		return count_refusal(s);
	}
	c->request[c->nrequests++] = m;
	c->host = strdup(host);
	c->port = (unsigned)port;
	c->purpose = FOR_FORWARD;
	snprintf(text, sizeof(text), "direct-tcpip %s %d", host, port);
	return c->host == NULL ? SP_ENOMEM : ask(c, "ssh.forward", sp_str(text));
}

static int
take_open(struct sp_session *s, ssh_message m)
{
	const struct ssh *h = sp_state(s);
	int kind = ssh_message_subtype(m);
	bool room = false;
	for (unsigned i = 0; i < CHANNELS; i++)
		room = room || h->channel[i] == NULL || h->channel[i]->state == CH_FREE;
	if (kind == SSH_CHANNEL_DIRECT_TCPIP && room)
		return take_forward(s, m);
	ssh_channel client = kind == SSH_CHANNEL_SESSION && room ? ssh_message_channel_request_open_reply_accept(m) : NULL;
	if (client == NULL)
		(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	if (client == NULL)
		return count_refusal(s);
	return channel_make(s, client) == NULL ? SP_ENOMEM : SP_OK;
}

static int
take_request(struct sp_session *s, ssh_message m)
{
	const struct ssh *h = sp_state(s);
	ssh_channel of = ssh_message_channel_request_channel(m);
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct channel *c = h->channel[i];
		if (c == NULL || c->state == CH_FREE || c->leg[SP_CLIENT] != of)
			continue;
		if (c->nrequests == REQUESTS)
			break;
		c->request[c->nrequests++] = m;
		return SP_OK;
	}
	(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	return count_refusal(s);
}

static int
take(struct sp_session *s, ssh_message m)
{
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN)
		return take_open(s, m);
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL)
		return take_request(s, m);
	(void)ssh_message_reply_default(m); /* tcpip-forward and its like */
	ssh_message_free(m);
	return count_refusal(s);
}

int
requests_take(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	ssh_message m;
	int rc = SP_OK;
	while (rc == SP_OK && (m = ssh_message_get(h->leg[SP_CLIENT].ssh)) != NULL) {
		*moved_r = true;
		rc = take(s, m);
	}
	/* a target opens nothing towards us: no agent, no X11, no forwarded port (SS14) */
	while (rc == SP_OK && (m = ssh_message_get(h->leg[SP_TARGET].ssh)) != NULL) {
		*moved_r = true;
		(void)ssh_message_reply_default(m);
		ssh_message_free(m);
		rc = count_refusal(s);
	}
	return rc;
}
