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

int
request_count_refusal(struct sp_session *s)
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
	return rc == SP_OK ? request_count_refusal(c->s) : rc;
}

/* ---- one request after the other ---- */

int
request_ask(struct channel *c, const char *kind, struct sp_bytes text)
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

bool
request_variable_fits(struct channel *c, const char *text)
{
	const struct ssh_conf *conf = sp_conf(c->s);
	const char *value = strchr(text, '=');
	char name[64];
	size_t n = value == NULL ? 0 : (size_t)(value - text);
	if (n == 0 || n >= sizeof(name) || c->nvariables == ENVIRONMENT)
		return false;
	memcpy(name, text, n);
	name[n] = '\0';
	return variable_fits(name, value + 1) && ssh_fits(&conf->environment, name);
}

static int
take_environment(struct channel *c, ssh_message m)
{
	const struct ssh_conf *conf = sp_conf(c->s);
	const char *name = ssh_message_channel_request_env_name(m), *value = ssh_message_channel_request_env_value(m);
	char text[64 + 256 + 2];
	if (name == NULL || value == NULL || c->nvariables == ENVIRONMENT || !variable_fits(name, value) ||
	    !ssh_fits(&conf->environment, name))
		return refuse(c, "variable", name);
	snprintf(text, sizeof(text), "%s=%s", name, value);
	c->purpose = FOR_NOTHING;
	return request_ask(c, "ssh.env", sp_str(text));
}

static int
take_exec(struct channel *c, ssh_message m)
{
	const char *command = ssh_message_channel_request_command(m);
	c->command = strdup(command == NULL ? "" : command);
	if (c->command == NULL)
		return SP_ENOMEM;
	c->purpose = FOR_EXEC;
	return request_ask(c, scp_command(sp_str(c->command)) ? "ssh.scp" : "ssh.exec", sp_str(c->command));
}

static int
take_shell(struct channel *c, ssh_message m)
{
	const struct ssh_conf *conf = sp_conf(c->s);
	(void)m;
	if (strcmp(conf->shell, "off") == 0)
		return refuse(c, "a shell", "");
	c->purpose = FOR_SHELL;
	return request_ask(c, "ssh.shell", strcmp(conf->shell, "exec") == 0 ? SP_LIT("shell exec") : SP_LIT("shell"));
}

static int
take_subsystem(struct channel *c, ssh_message m)
{
	const char *name = ssh_message_channel_request_subsystem(m);
	if (name == NULL || strcmp(name, "sftp") != 0)
		return refuse(c, "subsystem", name);
	c->purpose = FOR_SFTP;
	return request_ask(c, "ssh.sftp", SP_LIT("start"));
}

/* The display and the agent are asked for on a channel, and are for all of the connection. */
static int
take_x11(struct channel *c, ssh_message m)
{
	const char *protocol = ssh_message_channel_request_x11_auth_protocol(m), *cookie = ssh_message_channel_request_x11_auth_cookie(m);
	if (c->x11_cookie != NULL || protocol == NULL || cookie == NULL || strlen(protocol) > 64 || strlen(cookie) > 256)
		return refuse(c, "X11", "");
	c->x11_protocol = strdup(protocol);
	c->x11_cookie = strdup(cookie);
	c->x11_single = ssh_message_channel_request_x11_single_connection(m) != 0;
	c->x11_screen = (unsigned)ssh_message_channel_request_x11_screen_number(m);
	if (c->x11_protocol == NULL || c->x11_cookie == NULL)
		return SP_ENOMEM;
	c->purpose = FOR_NOTHING;
	return request_ask(c, "ssh.forward", SP_LIT("x11"));
}

static int
ask_agent(struct channel *c)
{
	c->agent_wanted = false; /* the client waits for no answer to it */
	c->purpose = FOR_NOTHING;
	return request_ask(c, "ssh.forward", SP_LIT("agent"));
}

/* (state, request) → handler; no row: refused. */
static const struct {
	enum channel_state state;
	int request;
	int (*take)(struct channel *c, ssh_message m);
} rows[] = {
	{ CH_SETUP, SSH_CHANNEL_REQUEST_PTY, take_pty },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_ENV, take_environment },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_X11, take_x11 },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_EXEC, take_exec },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_SHELL, take_shell },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_SUBSYSTEM, take_subsystem },
	{ CH_SETUP, SSH_CHANNEL_REQUEST_WINDOW_CHANGE, take_window },
	{ CH_OPEN, SSH_CHANNEL_REQUEST_WINDOW_CHANGE, take_window },
	{ CH_EDITING, SSH_CHANNEL_REQUEST_WINDOW_CHANGE, take_window },
};

static const char *
request_name(int request)
{
	return request == SSH_CHANNEL_REQUEST_UNKNOWN ? "a request that is not known" : "a request";
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
denied(struct channel *c)
{
	if (c->purpose == FOR_FORWARD || c->purpose == FOR_SFTP) {
		const struct ssh *h = sp_state(c->s);
		if (c->purpose == FOR_FORWARD) /* the answer has no words that a client shows; these it does with -v */
			(void)ssh_send_debug(h->leg[SP_CLIENT].ssh, c->text, 1);
		request_answer(c, false);
		int rc = request_count_refusal(c->s);
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
	if (rc == SP_OK && c->lines != NULL)
		return lines_next(c, 126);
	return rc == SP_OK ? channel_refuse(c, 126) : rc;
}

/* A variable, X11, an agent: then on with what else it asks for. */
static int
small_decided(struct channel *c)
{
	bool yes = c->what == SP_ALLOW, agent = sp_bytes_is(sp_op_text(c->op), "agent"), variable = strcmp(sp_op_kind(c->op), "ssh.env") == 0;
	const struct sp_outcome o = { .error = "", .text = "set" };
	int rc = yes && variable ? keep_variable(c) : SP_OK;
	if (rc == SP_OK && yes)
		rc = sp_done(c->op, &o);
	if (!variable)
		*(agent ? &c->agent : &c->x11) = yes;
	sp_op_free(&c->op);
	c->state = CH_SETUP;
	if (c->lines != NULL) /* no request, but a line of the shell */
		return rc != SP_OK ? rc : yes ? lines_next(c, 0) : denied(c);
	if (variable || !agent)
		request_answer(c, yes);
	return rc;
}

int
request_step(struct channel *c, bool *moved_r)
{
	int rc = SP_OK;
	if (c->agent_wanted && c->state == CH_SETUP)
		rc = ask_agent(c);
	while (rc == SP_OK && c->nrequests > 0 && (c->state == CH_SETUP || c->state == CH_OPEN || c->state == CH_EDITING)) {
		*moved_r = true;
		rc = take_first(c);
	}
	if (rc != SP_OK || c->state != CH_ASKED || !c->decided)
		return rc;
	*moved_r = true;
	if (c->purpose == FOR_NOTHING)
		return small_decided(c);
	if (c->what != SP_ALLOW)
		return denied(c);
	if (c->purpose == FOR_SHELL && sp_bytes_is(sp_op_text(c->op), "shell exec"))
		return lines_begin(c);
	c->state = CH_OPENING;
	return SP_OK;
}

/* ---- from the queues ---- */

/* In words, where libssh's answer has none: in the recording, and for `ssh -v`. */
static int
refuse_unknown(struct sp_session *s)
{
	static const char text[] = "refused: a channel of a kind that the gateway can't judge, such as a Unix socket's, whose path libssh 0.10 does not tell: "
				   "forward a port instead";
	const struct ssh *h = sp_state(s);
	(void)ssh_send_debug(h->leg[SP_CLIENT].ssh, text, 1);
	return sp_record(s, NULL, SP_REC_NOTICE, sp_str(text));
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
		return forward_take_direct(s, m);
	ssh_channel client = kind == SSH_CHANNEL_SESSION && room ? ssh_message_channel_request_open_reply_accept(m) : NULL;
	if (client == NULL)
		(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	int rc = kind == SSH_CHANNEL_UNKNOWN ? refuse_unknown(s) : SP_OK;
	if (client == NULL)
		return rc == SP_OK ? request_count_refusal(s) : rc;
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
	return request_count_refusal(s);
}

static int
take(struct sp_session *s, ssh_message m)
{
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN)
		return take_open(s, m);
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL)
		return take_request(s, m);
	if (ssh_message_type(m) == SSH_REQUEST_GLOBAL)
		return forward_take_global(s, m);
	(void)ssh_message_reply_default(m);
	ssh_message_free(m);
	return request_count_refusal(s);
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
	/* a target opens nothing towards us that was not asked for and allowed (SS14) */
	while (rc == SP_OK && !forward_begins(h) && (m = ssh_message_get(h->leg[SP_TARGET].ssh)) != NULL) {
		*moved_r = true;
		rc = forward_take_target(s, m);
	}
	return rc == SP_OK ? forward_step_global(s, moved_r) : rc;
}
