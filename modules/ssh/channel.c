/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel of the client, and the one at the target that does what it asks for.
 *
 *   SETUP ─ a request ─▶ ASKED ─ allow ─▶ OPENING ─▶ PREPARING ─▶ STARTING ─▶ OPEN ─▶ gone
 *     └── small ones ─┘    └── deny: text, 126 ─▶ CLOSING ─▶ gone
 *
 * Nothing of it is at the target before the verdict is allow.  Each channel is asked, held and recorded by
 * itself: one that waits delays no other.
 */
#include "ssh.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "scp.h"

#define TYPED 4096 /* bytes that a client may type ahead while it waits for a person */

/* ---- libssh's callbacks: they only note, since they run amid its reading ---- */

static void
on_status(ssh_session session, ssh_channel channel, int status, void *owner)
{
	struct channel *c = owner;
	(void)session;
	(void)channel;
	c->exited = true;
	c->status = status;
}

static void
on_exit_signal(ssh_session session, ssh_channel channel, const char *signal, int core, const char *text, const char *lang, void *owner)
{
	struct channel *c = owner;
	(void)session;
	(void)channel;
	(void)text;
	(void)lang;
	c->signalled = true;
	c->core_dumped = core != 0;
	snprintf(c->signal, sizeof(c->signal), "%s", signal == NULL ? "" : signal);
}

static void
on_kill(ssh_session session, ssh_channel channel, const char *signal, void *owner)
{
	struct channel *c = owner;
	(void)session;
	(void)channel;
	snprintf(c->kill, sizeof(c->kill), "%s", signal == NULL ? "" : signal);
}

static void
on_agent(ssh_session session, ssh_channel channel, void *owner)
{
	struct channel *c = owner;
	(void)session;
	(void)channel;
	c->agent_wanted = c->state == CH_SETUP && !c->agent;
}

void
channel_listen(struct channel *c, enum sp_side side)
{
	struct ssh_channel_callbacks_struct *b = &c->callbacks[side];
	*b = (struct ssh_channel_callbacks_struct){ .userdata = c };
	if (side == SP_CLIENT) {
		b->channel_signal_function = on_kill;
		b->channel_auth_agent_req_function = on_agent;
	} else {
		b->channel_exit_status_function = on_status;
		b->channel_exit_signal_function = on_exit_signal;
	}
	ssh_callbacks_init(b);
	(void)ssh_set_channel_callbacks(c->leg[side], b);
}

/* ---- coming and going ---- */

struct channel *
channel_make(struct sp_session *s, ssh_channel client)
{
	struct ssh *h = sp_state(s);
	for (unsigned i = 0; i < CHANNELS; i++) {
		if (h->channel[i] == NULL)
			h->channel[i] = sp_alloc(s, sizeof(struct channel));
		struct channel *c = h->channel[i];
		if (c == NULL)
			return NULL;
		if (c->state != CH_FREE)
			continue;
		*c = (struct channel){ .s = s, .number = ++h->opened, .state = CH_SETUP, .leg = { client, NULL } };
		if (client != NULL)
			channel_listen(c, SP_CLIENT);
		return c;
	}
	return NULL;
}

void
channel_forget_leg(struct channel *c, enum sp_side side)
{
	if (c->leg[side] != NULL)
		(void)ssh_remove_channel_callbacks(c->leg[side], &c->callbacks[side]);
	c->leg[side] = NULL;
}

/* The callbacks first: libssh keeps a channel until its peer closes it too. */
void
channel_drop_leg(struct channel *c, enum sp_side side)
{
	ssh_channel leg = c->leg[side];
	channel_forget_leg(c, side);
	if (leg != NULL)
		ssh_channel_free(leg);
}

void
channel_drop(struct channel *c)
{
	channel_drop_leg(c, SP_CLIENT);
	channel_drop_leg(c, SP_TARGET);
	for (unsigned i = 0; i < c->nrequests; i++)
		ssh_message_free(c->request[i]);
	for (unsigned i = 0; i < c->nvariables; i++) {
		free(c->variable[i].name);
		free(c->variable[i].value);
	}
	for (unsigned i = 0; i < 2; i++) {
		sp_filter_free(&c->filter[i]);
		free(c->pending[i].p);
	}
	for (unsigned i = 0; i < 3; i++)
		free(c->come[i].p);
	free(c->scp);
	sp_filter_free(&c->unrecorded);
	sftp_free(&c->sftp);
	lines_free(&c->lines);
	free(c->typed);
	sp_op_free(&c->op);
	free(c->command);
	free(c->host);
	free(c->origin);
	free(c->x11_protocol);
	free(c->x11_cookie);
	c->state = CH_FREE;
	c->typed = NULL;
	c->command = c->host = c->origin = c->x11_protocol = c->x11_cookie = NULL;
	c->nrequests = c->nvariables = 0;
}

/* Over, for whatever reason: what ran is recorded as done. */
int
channel_finish(struct channel *c, const char *said)
{
	char text[128] = "", error[32] = "";
	int rc = SP_OK;
	if (c->signalled)
		snprintf(text, sizeof(text), "ended by signal %.31s", c->signal);
	else if (c->exited)
		snprintf(text, sizeof(text), "exit status %d", c->status);
	else
		snprintf(text, sizeof(text), "%s", said);
	if (c->purpose == FOR_FORWARD && c->state == CH_OPEN)
		snprintf(text, sizeof(text), "closed: %llu bytes to the target, %llu to the client", (unsigned long long)c->bytes[SP_TARGET],
		    (unsigned long long)c->bytes[SP_CLIENT]);
	if (c->signalled || (c->exited && c->status != 0))
		snprintf(error, sizeof(error), "%s", c->signalled ? c->signal : "exit");
	if (c->op != NULL && c->state >= CH_OPENING && c->state != CH_CLOSING) {
		const struct sp_outcome o = { .error = error, .text = text };
		rc = sp_done(c->op, &o);
	}
	if (rc == SP_OK && c->lines != NULL)
		rc = lines_done(c);
	channel_drop(c);
	return rc;
}

bool
channel_has_output(struct channel *c)
{
	return c->state == CH_OPEN && (c->sftp != NULL ? sftp_has_output(c->sftp) : flow_has_output(c));
}

/* ---- words of our own ---- */

int
channel_say(struct channel *c, const char *fmt, ...)
{
	char text[1600];
	va_list args;
	size_t n = (size_t)snprintf(text, sizeof(text), "sallyport: ");
	va_start(args, fmt);
	vsnprintf(text + n, sizeof(text) - n - 2, fmt, args);
	va_end(args);
	for (n = 0; text[n] != '\0'; n++) /* texts may quote what somebody sent */
		if ((uint8_t)text[n] < ' ' || text[n] == 0x7f)
			text[n] = text[n] == '\n' ? ' ' : '?';
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", c->pty ? "\r\n" : "\n");
	if (c->leg[SP_CLIENT] == NULL)
		return SP_OK;
	if (c->lines != NULL && c->pty) /* in order with its prompts, which no client keeps between two streams */
		return flow_show(c, c->op, (struct sp_bytes){ (const uint8_t *)text, n });
	int rc = sp_record(c->s, c->op, SP_REC_NOTICE, (struct sp_bytes){ (const uint8_t *)text, n });
	if (rc == SP_OK)
		(void)ssh_channel_write_stderr(c->leg[SP_CLIENT], text, (uint32_t)n);
	return rc;
}

int
channel_refuse(struct channel *c, int status)
{
	ssh_channel client = c->leg[SP_CLIENT];
	if (client != NULL) {
		(void)ssh_channel_request_send_exit_status(client, status);
		(void)ssh_channel_send_eof(client);
		(void)ssh_channel_close(client);
	}
	c->state = CH_CLOSING;
	return SP_OK;
}

int
channel_lose(struct channel *c, const char *text)
{
	ssh_channel client = c->leg[SP_CLIENT];
	bool moved = false;
	int rc = client != NULL && c->sftp == NULL && c->purpose != FOR_FORWARD ? channel_say(c, "%s", text) : SP_OK;
	if (rc == SP_OK && c->lines != NULL)
		rc = flow_send(c, 0, &moved); /* there it went behind what waits */
	if (rc == SP_OK && client != NULL && !c->eof_sent[SP_CLIENT])
		(void)ssh_channel_send_eof(client);
	if (rc == SP_OK && client != NULL)
		(void)ssh_channel_close(client);
	return rc == SP_OK ? channel_finish(c, "closed") : rc;
}

/* ---- what the core says of its operation ---- */

int
channel_held(struct channel *c, const struct sp_hold *h)
{
	if (c->sftp != NULL) { /* a file's client has no place for words: it waits */
		sftp_held(c->sftp);
		return SP_OK;
	}
	bool early = c->purpose == FOR_EXEC || c->purpose == FOR_SHELL; /* the others have an answer that says no */
	if (early && !c->answered_early) {
		request_answer(c, true);
		c->answered_early = true;
	}
	return channel_say(c, "held by rule \"%s\": %s  Request %s (%s) waits for %s, up to %llu s; ^C gives up", h->rule, h->text, h->id,
	    h->hash, h->by, (unsigned long long)(h->within / 1000));
}

int
channel_verdict(struct channel *c, const struct sp_verdict *v)
{
	c->decided = true;
	c->what = v->what;
	snprintf(c->text, sizeof(c->text), "%s%s%s", v->message, v->hint[0] == '\0' ? "" : "  ", v->hint);
	return SP_OK;
}

/* ---- opening at the target ---- */

static int
target_refused(struct channel *c)
{
	bool early = c->purpose == FOR_EXEC || c->purpose == FOR_SHELL;
	if (!early || c->leg[SP_CLIENT] == NULL) {
		request_answer(c, false);
		c->state = CH_CLOSING;
		return SP_OK;
	}
	if (!c->answered_early)
		request_answer(c, true);
	int rc = channel_say(c, "the target does not open this channel");
	if (rc == SP_OK && c->lines != NULL)
		return lines_next(c, 255);
	return rc == SP_OK ? channel_refuse(c, 255) : rc;
}

static int
step_opening(struct channel *c, bool *moved_r)
{
	struct ssh *h = sp_state(c->s);
	if (c->purpose == FOR_FORWARD)
		return forward_open(c, moved_r);
	if (c->leg[SP_TARGET] == NULL) {
		c->leg[SP_TARGET] = ssh_channel_new(h->leg[SP_TARGET].ssh);
		if (c->leg[SP_TARGET] == NULL)
			return SP_ENOMEM;
		channel_listen(c, SP_TARGET);
	}
	int rc = ssh_channel_open_session(c->leg[SP_TARGET]);
	if (rc == SSH_AGAIN)
		return SP_OK;
	*moved_r = true;
	if (rc != SSH_OK)
		return target_refused(c);
	c->state = CH_PREPARING;
	return SP_OK;
}

static int
step_preparing(struct channel *c, bool *moved_r)
{
	ssh_channel t = c->leg[SP_TARGET];
	if (lines_needs_pty(c) && !c->pty_sent) {
		int rc = ssh_channel_request_pty_size(t, c->term, (int)c->columns, (int)c->rows);
		if (rc == SSH_AGAIN)
			return SP_OK;
		c->pty_sent = true;
	}
	if (c->x11 && !c->x11_sent) {
		if (ssh_channel_request_x11(t, c->x11_single, c->x11_protocol, c->x11_cookie, (int)c->x11_screen) == SSH_AGAIN)
			return SP_OK;
		c->x11_sent = true;
	}
	if (c->agent && !c->agent_sent) {
		if (ssh_channel_request_auth_agent(t) == SSH_AGAIN)
			return SP_OK;
		c->agent_sent = true;
	}
	while (c->nsent < c->nvariables) { /* a target that takes none of them is as it would be without us */
		const struct variable *v = &c->variable[c->nsent];
		if (ssh_channel_request_env(t, v->name, v->value) == SSH_AGAIN)
			return SP_OK;
		c->nsent++;
	}
	*moved_r = true;
	c->state = CH_STARTING;
	return SP_OK;
}

static int
record_size(struct channel *c)
{
	bool known = c->columns > 0 && c->columns < 10000 && c->rows > 0 && c->rows < 10000;
	return known ? sp_record_size(c->s, c->op, c->columns, c->rows) : SP_OK;
}

/* What detectors look through: output, or the files that scp sends, or what is recorded of those that it takes. */
static int
filter_output(struct channel *c)
{
	const struct sp_bytes command = sp_str(c->command);
	const bool scp = c->purpose == FOR_EXEC && !c->pty && c->lines == NULL && scp_command(command);
	if (!scp)
		return sp_stream_filter(c->op, &c->filter[0]);
	if (!scp_downloads(command)) {
		int rc = sp_file_filter(c->op, false, &c->unrecorded);
		return rc == SP_OK ? sp_stream_filter(c->op, &c->filter[0]) : rc;
	}
	int rc = sp_file_filter(c->op, true, &c->filter[0]);
	if (rc != SP_OK || c->filter[0] == NULL)
		return rc;
	c->scp = calloc(1, sizeof(*c->scp));
	return c->scp == NULL ? SP_ENOMEM : SP_OK;
}

static int
step_starting(struct channel *c, bool *moved_r)
{
	ssh_channel t = c->leg[SP_TARGET];
	int rc = c->purpose == FOR_EXEC ? ssh_channel_request_exec(t, c->command)
	    : c->purpose == FOR_SHELL	? ssh_channel_request_shell(t)
					: ssh_channel_request_subsystem(t, "sftp");
	if (rc == SSH_AGAIN)
		return SP_OK;
	*moved_r = true;
	if (rc != SSH_OK)
		return target_refused(c);
	if (!c->answered_early)
		request_answer(c, true);
	c->state = CH_OPEN;
	if (lines_needs_pty(c) && record_size(c) != SP_OK)
		return SP_EIO;
	if (c->purpose == FOR_SFTP)
		return sftp_begin(c);
	rc = filter_output(c);
	return rc == SP_OK ? sp_stream_filter(c->op, &c->filter[1]) : rc;
}

/* ---- open ---- */

/* A command of a shell's is over, the shell is not. */
static int
end_of_line(struct channel *c)
{
	char text[64];
	int status = c->signalled ? 128 : c->exited ? c->status : 255;
	snprintf(text, sizeof(text), "%s%s%d", c->signalled ? c->signal : "", c->signalled ? ", " : "exit status ", status);
	const struct sp_outcome o = { .error = status == 0 ? "" : c->signalled ? c->signal : "exit", .text = text };
	int rc = sp_done(c->op, &o);
	return rc == SP_OK ? lines_next(c, status) : rc;
}

static int
end_for_client(struct channel *c)
{
	ssh_channel client = c->leg[SP_CLIENT];
	if (c->lines != NULL)
		return end_of_line(c);
	if (!c->eof_sent[SP_CLIENT])
		(void)ssh_channel_send_eof(client);
	if (c->signalled)
		(void)ssh_channel_request_send_exit_signal(client, c->signal, c->core_dumped, "", "");
	else if (c->exited)
		(void)ssh_channel_request_send_exit_status(client, c->status);
	(void)ssh_channel_close(client);
	return channel_finish(c, "closed");
}

static int
step_open(struct channel *c, bool *moved_r)
{
	ssh_channel t = c->leg[SP_TARGET];
	if (c->kill[0] != '\0') {
		(void)ssh_channel_request_send_signal(t, c->kill);
		c->kill[0] = '\0';
	}
	if (c->resized) {
		int recorded = record_size(c);
		if (recorded != SP_OK)
			return recorded;
		(void)ssh_channel_change_pty_size(t, (int)c->columns, (int)c->rows);
		c->resized = false;
	}
	int rc = flow_step(c, moved_r);
	if (rc != SP_OK || c->state != CH_OPEN)
		return rc;
	/* it closes when both have said their last; how the command ended may still come, as it would without us */
	bool both = c->eof_sent[SP_CLIENT] && c->eof_sent[SP_TARGET] && c->purpose != FOR_FORWARD && !ssh_channel_is_closed(t);
	if (ssh_channel_is_closed(c->leg[SP_CLIENT]) && !flow_has_input(c) && !both && !c->exited && !c->signalled) {
		(void)ssh_channel_close(t);
		*moved_r = true;
		return channel_finish(c, "closed");
	}
	if (!ssh_channel_is_closed(t) || !c->eof_sent[SP_CLIENT])
		return SP_OK;
	*moved_r = true;
	return end_for_client(c);
}

/*
 * ^C of who waits for a person.  In a terminal it is a byte like others, and nobody else would read it; without
 * one the client itself ends.  What was typed besides stays for the command.
 */
static int
take_interrupt(struct channel *c, bool *moved_r)
{
	struct pending *in = &c->come[2];
	size_t n = 0;
	int rc = c->lines != NULL ? flow_send(c, 0, moved_r) : SP_OK;
	if (rc != SP_OK || !c->pty || !c->answered_early || in->len - in->at > TYPED)
		return rc;
	rc = flow_gulp(c, SP_CLIENT, false, in, &n);
	const uint8_t *key = rc != SP_OK || n == 0 ? NULL : memchr(in->p + in->at, 0x03, in->len - in->at);
	*moved_r = *moved_r || n > 0;
	if (key == NULL)
		return rc;
	in->at = (size_t)(key - in->p) + 1;
	flow_forget(in);
	sp_op_free(&c->op); /* withdrawn */
	rc = channel_say(c, "given up");
	if (rc == SP_OK && c->lines != NULL)
		return lines_next(c, 130);
	return rc == SP_OK ? channel_refuse(c, 130) : rc;
}

/* Shells and terminals have their time; who waits for a decision is not idle. */
static int
check_time(struct channel *c, bool *moved_r)
{
	const struct ssh_conf *conf = sp_conf(c->s);
	struct ssh *h = sp_state(c->s);
	const uint64_t now = ssh_now(), bytes = c->bytes[SP_CLIENT] + c->bytes[SP_TARGET];
	if ((!c->pty && c->purpose != FOR_SHELL) || (conf->shell_idle == 0 && conf->shell_time == 0))
		return SP_OK;
	bool busy = (c->state != CH_OPEN && c->state != CH_EDITING) || bytes != c->known || c->active == 0;
	c->active = busy ? now : c->active;
	c->known = bytes;
	c->began = c->began == 0 ? now : c->began;
	uint64_t idle = conf->shell_idle == 0 ? UINT64_MAX : c->active + conf->shell_idle;
	uint64_t end = conf->shell_time == 0 ? UINT64_MAX : c->began + conf->shell_time, due = idle < end ? idle : end;
	if (now < due) {
		h->wake_at = h->wake_at == 0 || due < h->wake_at ? due : h->wake_at;
		return SP_OK;
	}
	*moved_r = true;
	return channel_lose(c, now >= end ? "the time of this terminal is over" : "this terminal was idle for too long");
}

static int
channel_step(struct channel *c, bool *moved_r)
{
	static int (*const steps[CHANNEL_STATES])(struct channel *c, bool *moved_r) = {
		[CH_OPENING] = step_opening, [CH_PREPARING] = step_preparing, [CH_STARTING] = step_starting, [CH_OPEN] = step_open,
		[CH_EDITING] = lines_step,
	};
	int rc = request_step(c, moved_r);
	if (rc != SP_OK || c->state == CH_FREE)
		return rc;
	if (c->state == CH_CLOSING) {
		channel_drop(c);
		return SP_OK;
	}
	rc = check_time(c, moved_r);
	if (rc != SP_OK || c->state == CH_FREE)
		return rc;
	if (c->state == CH_ASKED && (rc = take_interrupt(c, moved_r)) != SP_OK)
		return rc;
	bool client = c->leg[SP_CLIENT] != NULL && c->purpose != FOR_FORWARD; /* of a forward it may not be open yet */
	if (c->state != CH_OPEN && client && ssh_channel_is_closed(c->leg[SP_CLIENT])) {
		*moved_r = true;
		return channel_finish(c, "closed"); /* a held operation is withdrawn with it */
	}
	return steps[c->state] == NULL ? SP_OK : steps[c->state](c, moved_r);
}

int
channels_step(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	int rc = requests_take(s, moved_r);
	for (unsigned i = 0; i < CHANNELS && rc == SP_OK; i++)
		if (h->channel[i] != NULL && h->channel[i]->state != CH_FREE)
			rc = channel_step(h->channel[i], moved_r);
	return rc;
}
