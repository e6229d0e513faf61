/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module: settings, states, and the one function that drives a session.  ssh.h has the picture.
 */
#include "ssh.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "host_ca.h"

#define ROUNDS 16 /* of one turn: then others' sessions have theirs */
#define READS 32 /* of 4 KB, in one round */

#define CONF(member) offsetof(struct ssh_conf, member)
static const struct sp_directive directives[] = {
	{ "channels", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, CONF(channels), "exec,shell,sftp,scp",
	    "What clients may open: exec, shell, sftp, scp, direct-tcpip (-L, -J, -W), tcpip-forward (-R), x11, agent.  What is not named needs a rule that allows it." },
	{ "host_key", SP_TYPE_STRINGS, SP_IN_TARGET, CONF(host_key), "",
	    "Fingerprints of the target's host keys, as `ssh-keygen -l` prints them: SHA256:…; any other is refused." },
	{ "host_ca", SP_TYPE_STRINGS, SP_IN_TARGET, CONF(host_ca), "",
	    "Fingerprints of authorities, as `ssh-keygen -l` prints them: a host key is known, too, where a certificate of theirs says so." },
	{ "host_name", SP_TYPE_STRING, SP_IN_TARGET, CONF(host_name), "",
	    "The name that such a certificate has to be for; unless it is said, that of `server`." },
	{ "environment", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, CONF(environment), "LANG,LC_*,TERM,COLORTERM",
	    "Variables that clients may set, `*` at the end stands for any rest; their values are printable." },
	{ "contents", SP_TYPE_STRINGS, SP_IN_MODULE | SP_IN_TARGET, CONF(contents), "",
	    "Files whose contents are recorded when SFTP reads or writes them: absolute paths, `*` at the end stands for any rest, `*` alone for all." },
	{ "keys", SP_TYPE_BOOL, SP_IN_MODULE | SP_IN_LISTENER, CONF(keys), "off",
	    "Plain public keys open sessions where an `ssh_key` block lists them; any other is refused as if it were wrong." },
	{ "auth_tries", SP_TYPE_INT, SP_IN_MODULE | SP_IN_LISTENER, CONF(auth_tries), "6",
	    "Log-ins that a client may try in one connection." },
	{ "hold", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, CONF(hold), "5ms",
	    "In a terminal: how long output that may begin a detector's finding is held back; of a command that may be spoken with ten times that." },
	{ "shell_idle", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, CONF(shell_idle), "off",
	    "A shell or terminal through which nothing went for so long, in either direction, ends." },
	{ "shell_time", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, CONF(shell_time), "off", "A shell or terminal ends after so long, whatever happens in it." },
	{ "shell", SP_TYPE_STRING, SP_IN_MODULE | SP_IN_TARGET, CONF(shell), "login",
	    "What a shell is: `login`, the target's own; `exec`, a line editor of the gateway's, each line a command that rules judge; `off`, refused always." },
	{ .name = NULL }
};

bool
ssh_listed(const struct sp_strings *set, const char *word)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i], word) == 0)
			return true;
	return false;
}

bool
ssh_fits(const struct sp_strings *set, const char *word)
{
	for (size_t i = 0; i < set->n; i++) {
		size_t n = strlen(set->v[i]);
		bool any = n > 0 && set->v[i][n - 1] == '*';
		if (any ? strncmp(set->v[i], word, n - 1) == 0 : strcmp(set->v[i], word) == 0)
			return true;
	}
	return false;
}

static bool
are_prints(const struct sp_strings *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (strncmp(set->v[i], "SHA256:", 7) != 0 || strlen(set->v[i]) != 7 + 43)
			return false;
	return true;
}

static int
ssh_check(void *conf, const char **err_r)
{
	static const char *const known[] = { "exec", "shell", "sftp", "scp", "direct-tcpip", "tcpip-forward", "x11", "agent" };
	const struct sp_strings all = { known, sizeof(known) / sizeof(*known) };
	const struct ssh_conf *c = conf;
	for (size_t i = 0; i < c->channels.n; i++)
		if (!ssh_listed(&all, c->channels.v[i])) {
			*err_r = "channels are exec, shell, sftp, scp, direct-tcpip, tcpip-forward, x11 and agent; all others (Unix sockets) are refused always";
			return SP_ECONF;
		}
	*err_r = "contents takes absolute paths, or *";
	for (size_t i = 0; i < c->contents.n; i++)
		if (c->contents.v[i][0] != '/' && strcmp(c->contents.v[i], "*") != 0)
			return SP_ECONF;
	*err_r = "host_key and host_ca take fingerprints: SHA256: and 43 characters";
	if (!are_prints(&c->host_key) || !are_prints(&c->host_ca))
		return SP_ECONF;
	*err_r = "host_name is the name in a host's certificate: host_ca is missing";
	if (c->host_name[0] != '\0' && c->host_ca.n == 0)
		return SP_ECONF;
	*err_r = "host_key is missing: the fingerprint of the target's host key, SHA256:…, or host_ca: that of the authority of its certificate (`sallyport scan-hostkey HOST:PORT` prints them; compare them with what the host itself says)";
	if (c->host_key.n == 0 && c->host_ca.n == 0)
		return SP_ECONF;
	if (strcmp(c->shell, "login") != 0 && strcmp(c->shell, "exec") != 0 && strcmp(c->shell, "off") != 0) {
		*err_r = "shell is login, exec or off";
		return SP_ECONF;
	}
	*err_r = "auth_tries must be between 1 and 20, hold at most 1s";
	return c->auth_tries >= 1 && c->auth_tries <= 20 && c->hold <= 1000 ? SP_OK : SP_ECONF;
}

uint64_t
ssh_now(void)
{
	struct timespec t = { 0 };
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- states ---- */

static const char *const state_name[] = { "hello", "auth", "keeper", "dialing", "vouch", "connect", "proof", "login", "ready" };
_Static_assert(sizeof(state_name) / sizeof(*state_name) == STATES, "a name for each state");

void
ssh_enter(struct sp_session *s, enum ssh_state to)
{
	struct ssh *h = sp_state(s);
	sp_log(s, SP_DEBUG, "ssh: %s, then %s", state_name[h->state], state_name[to]);
	h->state = to;
}

/* Whoever is quoted in it, and wherever it was cut: no controls, nothing but whole characters of UTF-8. */
static void
make_fit(char *text)
{
	for (uint8_t *p = (uint8_t *)text; *p != '\0';) {
		size_t more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0x80 ? 1 : 0, n = 0;
		while (n < more && (p[n + 1] & 0xc0) == 0x80)
			n++;
		bool ascii = *p >= ' ' && *p < 0x7f, letter = *p >= 0xc2 && *p < 0xf5 && (*p != 0xc2 || p[1] >= 0xa0);
		if (n == more && (ascii || letter))
			p += more + 1;
		else
			*p++ = '?';
	}
}

int
ssh_fail(struct sp_session *s, int rc, const char *fmt, ...)
{
	struct ssh *h = sp_state(s);
	va_list args;
	va_start(args, fmt);
	vsnprintf(h->said, sizeof(h->said), fmt, args);
	va_end(args);
	make_fit(h->said);
	return sp_fail(s, rc, "%s", h->said);
}

/* The last thing that the client reads. */
static int
say_goodbye(struct sp_session *s, const char *text)
{
	struct ssh *h = sp_state(s);
	ssh_session c = h->leg[SP_CLIENT].ssh;
	char said[sizeof(h->said)];
	bool moved = false;
	if (h->over || c == NULL || !ssh_is_connected(c))
		return SP_OK;
	h->over = true;
	if (h->leg[SP_CLIENT].added) {
		/* libssh drops what it can't write at once: it learns first that it can */
		for (unsigned i = 0; i < 2; i++)
			if (leg_take(s, SP_CLIENT, &moved) == SP_OK)
				(void)ssh_event_dopoll(h->event, 0);
		/* it frees all channels, ours too: none is closed before, or that would be what was written at once */
		for (unsigned i = 0; i < CHANNELS; i++)
			if (h->channel[i] != NULL)
				channel_forget_leg(h->channel[i], SP_CLIENT);
		snprintf(said, sizeof(said), "%s", text);
		make_fit(said);
		(void)ssh_session_set_disconnect_message(c, said);
		ssh_disconnect(c);
	}
	return leg_take(s, SP_CLIENT, &moved);
}

/* By state. */
static int (*const steps[STATES])(struct sp_session *s, bool *moved_r) = {
	[HELLO] = login_step, [AUTH] = login_step, [VOUCH] = target_step, [CONNECT] = target_step, [LOGIN] = target_step, [READY] = channels_step,
};

/* After an error libssh reads on and does nothing: it has to be asked. */
static bool
leg_lives(const struct leg *l)
{
	return l->ssh == NULL || !l->added || (ssh_is_connected(l->ssh) && (ssh_get_status(l->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0);
}

static uint64_t
read_of(const struct ssh *h)
{
	return h->leg[SP_CLIENT].socket.in_bytes + h->leg[SP_TARGET].socket.in_bytes;
}

static int
poll_legs(struct sp_session *s)
{
	static const char *const names[] = { "client", "target" };
	struct ssh *h = sp_state(s);
	uint64_t before = read_of(h) - 1;
	/* libssh reads 4 KB of a leg at a time, and polls for each */
	for (unsigned i = 0; i < READS && read_of(h) != before && (h->leg[SP_CLIENT].added || h->leg[SP_TARGET].added); i++) {
		before = read_of(h);
		(void)ssh_event_dopoll(h->event, 0);
		if (h->state != READY)
			break;
	}
	for (unsigned i = 0; i < 2; i++) {
		ssh_session leg = h->leg[i].ssh;
		if (leg_lives(&h->leg[i]))
			continue;
		const char *said = ssh_get_disconnect_message(leg);
		if (said == NULL && ssh_is_connected(leg))
			return ssh_fail(s, SP_EPROTO, "the %s was cut off: %s", names[i], ssh_get_error(leg));
		said = i == SP_CLIENT ? NULL : said;
		return ssh_fail(s, SP_EIO, "the %s ended the SSH connection%s%s", names[i], said == NULL ? "" : ": ", said == NULL ? "" : said);
	}
	return SP_OK;
}

static int
turn(struct sp_session *s, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	const uint64_t before = read_of(h);
	int rc = SP_OK;
	for (unsigned i = 0; i < 2 && rc == SP_OK; i++)
		rc = leg_feed(s, (enum sp_side)i, moved_r);
	if (rc == SP_OK)
		rc = poll_legs(s);
	if (rc == SP_OK && steps[h->state] != NULL)
		rc = steps[h->state](s, moved_r);
	/* a part of a packet counts, too: the rest of it may be in the pair, and nobody else looks there */
	*moved_r = *moved_r || read_of(h) != before;
	for (unsigned i = 0; i < 2; i++) { /* also what was said before an error */
		int taken = leg_take(s, (enum sp_side)i, moved_r);
		rc = rc == SP_OK ? taken : rc;
	}
	return rc;
}

/*
 * A target closed its connection: the client has what it said before, and hears the rest of it on each
 * channel.  No SSH farewell: a client that reads one drops what it has not printed yet.
 */
static int
when_gone(struct sp_session *s)
{
	static const char text[] = "the target closed the connection";
	struct ssh *h = sp_state(s);
	int rc = SP_OK;
	bool moved = false;
	for (unsigned i = 0; i < CHANNELS; i++)
		if (h->channel[i] != NULL && channel_has_output(h->channel[i]))
			return SP_OK;
	for (unsigned i = 0; i < CHANNELS && rc == SP_OK; i++)
		if (h->channel[i] != NULL && h->channel[i]->state != CH_FREE)
			rc = channel_lose(h->channel[i], text);
	(void)sp_fail(s, SP_EIO, "%s", text);
	h->over = true;
	if (rc == SP_OK)
		rc = leg_take(s, SP_CLIENT, &moved);
	return rc == SP_OK ? sp_shut(s, SP_CLIENT) : rc;
}

int
ssh_pump(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	int rc = SP_OK;
	bool moved = true;
	if (h->pumping || h->over)
		return SP_OK;
	h->pumping = true;
	for (unsigned i = 0; i < ROUNDS && moved && rc == SP_OK; i++) {
		moved = false;
		h->wake_at = 0;
		rc = turn(s, &moved);
	}
	h->pumping = false;
	if (rc == SP_OK && !moved && h->leg[SP_TARGET].gone && !sp_full(s, SP_CLIENT))
		rc = when_gone(s);
	if (rc != SP_OK) /* end() will not be called: the client hears of it here */
		(void)say_goodbye(s, h->said[0] != '\0' ? h->said : "the gateway ends the session");
	else if (moved)
		sp_timer(s, 1);
	else if (h->wake_at != 0)
		sp_timer(s, h->wake_at > ssh_now() ? h->wake_at - ssh_now() : 1);
	return rc;
}

/* ---- the core's callbacks ---- */

/* A connection that asks a target for its host certificate, and no more. */
static bool
is_asking(const struct sp_session *s)
{
	return strcmp(sp_purpose(s), HOST_CA) == 0;
}

static int
ssh_accept_client(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	h->leg[SP_CLIENT].fd = h->leg[SP_TARGET].fd = -1;
	int rc = login_begin(s);
	return rc == SP_OK ? ssh_pump(s) : rc;
}

/* On with it, or farewell. */
static int
ssh_ended(struct sp_session *s, int rc)
{
	const struct ssh *h = sp_state(s);
	if (rc == SP_OK)
		return ssh_pump(s);
	(void)say_goodbye(s, h->said);
	return rc;
}

static int
ssh_admitted(struct sp_session *s, const struct sp_admission *a)
{
	return ssh_ended(s, login_admitted(s, a));
}

static int
ssh_open(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	if (is_asking(s))
		return host_ca_open(s);
	if (sp_purpose(s)[0] != '\0') /* a trial of the log-in: nobody was accepted */
		h->leg[SP_CLIENT].fd = h->leg[SP_TARGET].fd = -1;
	return ssh_ended(s, target_begin(s));
}

static int
ssh_proved(struct sp_session *s, const struct sp_answer *a)
{
	return ssh_ended(s, target_proved(s, a));
}

static int
ssh_data(struct sp_session *s, enum sp_side from)
{
	return is_asking(s) ? host_ca_data(s, from) : ssh_pump(s);
}

static int
ssh_drained(struct sp_session *s, enum sp_side side)
{
	(void)side;
	return is_asking(s) ? SP_OK : ssh_pump(s);
}

static int
ssh_eof(struct sp_session *s, enum sp_side side)
{
	struct ssh *h = sp_state(s);
	if (is_asking(s))
		return sp_shut(s, SP_TARGET);
	h->leg[side].gone = true;
	int rc = ssh_pump(s);
	return rc == SP_OK && side == SP_CLIENT ? sp_shut(s, SP_CLIENT) : rc;
}

static int
ssh_held(struct sp_session *s, struct sp_op *op, const struct sp_hold *hold)
{
	const struct ssh *h = sp_state(s);
	int rc = h->over ? SP_OK : channel_held(sp_op_cookie(op), hold);
	return rc == SP_OK ? ssh_pump(s) : rc;
}

static int
ssh_verdict(struct sp_session *s, struct sp_op *op, const struct sp_verdict *v)
{
	int rc = channel_verdict(sp_op_cookie(op), v);
	return rc == SP_OK ? ssh_pump(s) : rc;
}

/* To whoever has a terminal there; others would take it for their command's. */
static int
ssh_notice(struct sp_session *s, const char *text)
{
	struct ssh *h = sp_state(s);
	int rc = SP_OK;
	for (unsigned i = 0; i < CHANNELS && rc == SP_OK; i++)
		if (h->channel[i] != NULL && h->channel[i]->state == CH_OPEN && h->channel[i]->pty)
			rc = channel_say(h->channel[i], "%s", text);
	return rc == SP_OK ? ssh_pump(s) : rc;
}

static int
ssh_end(struct sp_session *s, enum sp_why why, const char *text)
{
	(void)why;
	return is_asking(s) ? SP_OK : say_goodbye(s, text);
}

static void
ssh_close_session(struct sp_session *s)
{
	struct ssh *h = sp_state(s);
	if (is_asking(s)) {
		host_ca_close(s);
		return;
	}
	if (sp_purpose(s)[0] != '\0' && h->state == HELLO) /* it was not reached: nothing was begun */
		return;
	host_ca_forget(s);
	for (unsigned i = 0; i < CHANNELS; i++)
		if (h->channel[i] != NULL && h->channel[i]->state != CH_FREE)
			channel_drop(h->channel[i]);
	if (h->auth != NULL)
		ssh_message_free(h->auth);
	for (unsigned i = 0; i < h->nglobal; i++)
		ssh_message_free(h->global[i]);
	leg_close(h, SP_CLIENT);
	leg_close(h, SP_TARGET);
	if (h->event != NULL)
		ssh_event_free(h->event);
	ssh_key_free(h->key);
	agent_end(s);
	if (h->password != NULL)
		explicit_bzero(h->password, h->password_len);
	free(h->password);
}

SP_MODULE(ssh) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "ssh",
	.caps = SP_CAP_OWNS_TRANSPORT | SP_CAP_CREDENTIAL,
	.directives = directives,
	.attrs = ssh_attrs,
	.kinds = ssh_kinds,
	.conf_size = sizeof(struct ssh_conf),
	.session_size = sizeof(struct ssh),
	.check = ssh_check,
	.classify = ssh_classify,
	.accept = ssh_accept_client,
	.admitted = ssh_admitted,
	.open = ssh_open,
	.proved = ssh_proved,
	.data = ssh_data,
	.held = ssh_held,
	.verdict = ssh_verdict,
	.drained = ssh_drained,
	.eof = ssh_eof,
	.notice = ssh_notice,
	.end = ssh_end,
	.close = ssh_close_session,
};
