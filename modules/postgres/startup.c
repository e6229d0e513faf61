/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's way in: encryption, its startup message, its token as a password, or a ticket by SCRAM.
 *
 *   SSLRequest → 'S' → TLS        GSSENCRequest → 'N', once       TLS at once: ALPN "postgresql"
 *   CancelRequest: a key of ours, at any door, and nothing else on that connection
 *   StartupMessage: user, database (= target[/part]) and parameters from the allowlist
 *
 * "Frontend/Backend Protocol", sections "Start-up", "SSL Session Encryption", "GSSAPI Session
 * Encryption"; versions by NegotiateProtocolVersion in "Message Formats".
 * Nothing of this message goes on to the target as it stands; login.c writes our own.
 */
#include "postgres.h"

#include "settings_table.h"

#define PROTOCOL(major, minor) ((uint32_t)(major) << 16 | (minor))

/* ---- encryption ---- */

/* Whatever follows the request in plain text would be read as if TLS had protected it. */
static int
consume_alone(struct pg *p, const struct pg_message *m)
{
	if (sp_peek(p->s, SP_CLIENT).len != m->size)
		return sp_fail(p->s, SP_EPROTO, "plain text follows the request for encryption");
	return sp_drop(p->s, SP_CLIENT, m->size);
}

int
pg_ssl_request(struct pg *p, const struct pg_message *m)
{
	if (pg_unsent(p, SP_CLIENT))
		return PG_AGAIN;
	if (p->ssl_answered)
		return SP_EPROTO;
	p->ssl_answered = true;
	int rc = consume_alone(p, m);
	bool offer = sp_tls_mode(p->s, SP_CLIENT) != SP_TLS_OFF;
	if (rc == SP_OK)
		rc = sp_put(p->s, SP_CLIENT, offer ? SP_LIT("S") : SP_LIT("N"));
	if (rc != SP_OK || !offer)
		return rc != SP_OK ? rc : PG_TAKEN;
	pg_enter(p, C_SECURING);
	rc = sp_starttls(p->s, SP_CLIENT, false, "postgresql");
	return rc != SP_OK ? rc : PG_TAKEN;
}

int
pg_gss_request(struct pg *p, const struct pg_message *m)
{
	if (pg_unsent(p, SP_CLIENT))
		return PG_AGAIN;
	if (p->gss_answered)
		return SP_EPROTO;
	p->gss_answered = true;
	int rc = consume_alone(p, m);
	if (rc == SP_OK)
		rc = sp_put(p->s, SP_CLIENT, SP_LIT("N"));
	return rc != SP_OK ? rc : PG_TAKEN;
}

int
pg_direct_tls(struct pg *p, const struct pg_message *m)
{
	(void)m;
	if (pg_unsent(p, SP_CLIENT))
		return PG_AGAIN;
	if (p->ssl_answered || p->gss_answered || sp_tls_mode(p->s, SP_CLIENT) == SP_TLS_OFF)
		return SP_EPROTO;
	p->direct_tls = true;
	pg_enter(p, C_SECURING);
	int rc = sp_starttls(p->s, SP_CLIENT, true, "postgresql");
	return rc != SP_OK ? rc : PG_WAIT;
}

/* libpq before 17 sends it in plain text even where it had used TLS: the key is all it needs. */
int
pg_cancel_request(struct pg *p, const struct pg_message *m)
{
	struct sp_reader r = sp_reader(m->body);
	(void)sp_rd_be64(&r); /* length and code, which brought us here */
	uint32_t pid = sp_rd_be32(&r);
	struct sp_bytes secret = sp_rd_rest(&r);
	if (!sp_rd_done(&r) || secret.len < 4)
		return SP_EPROTO;
	int rc = sp_cancel(p->s, pid, secret);
	pg_enter(p, C_GONE);
	if (rc == SP_OK)
		rc = sp_shut(p->s, SP_CLIENT);
	return rc != SP_OK ? rc : PG_DROP;
}

/* ---- the startup message ---- */

static bool
name_is_valid(struct sp_bytes name)
{
	if (name.len == 0 || name.len > PG_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return true;
}

static bool
copy_name(char to[PG_NAME_MAX + 1], struct sp_bytes name)
{
	if (!name_is_valid(name))
		return false;
	memcpy(to, name.p, name.len);
	to[name.len] = '\0';
	return true;
}

/* "orders" is the target orders and its default database; "orders/other" a further one. */
static bool
copy_target(struct pg *p, struct sp_bytes database)
{
	struct sp_reader r = sp_reader(database);
	const uint8_t *slash = database.len == 0 ? NULL : memchr(database.p, '/', database.len);
	if (slash == NULL)
		return copy_name(p->target, database);
	struct sp_bytes target = sp_rd_until(&r, '/'), part = sp_rd_rest(&r);
	return copy_name(p->target, target) && copy_name(p->part, part);
}

static void
append_pair(struct sp_writer *w, struct sp_bytes name, struct sp_bytes value)
{
	sp_wr_cstr(w, name);
	sp_wr_cstr(w, value);
}

static int
refuse_setting(struct pg *p, const char *shown)
{
	return pg_fatal(p, "0A000", "startup parameter \"%s\" or its value is not allowed here", shown);
}

/* For an error's text. */
static void
show_name(char to[PG_NAME_MAX + 1], struct sp_bytes name)
{
	if (!copy_name(to, name))
		memcpy(to, "?", 2);
}

struct wanted { /* what a startup message asks for */
	struct sp_bytes user, database;
	char bad[PG_NAME_MAX + 1]; /* the setting that may not be given; a copy, since `options` are read from a buffer of their own */
	struct sp_writer settings, refused;
};

static int
take_setting(struct wanted *w, struct sp_bytes name, struct sp_bytes value)
{
	if (pg_setting_check(name, value, PG_AT_STARTUP) != PG_SETTING_FINE) {
		show_name(w->bad, name);
		return SP_EDENIED;
	}
	append_pair(&w->settings, name, value);
	return w->settings.bad ? SP_ETOOBIG : SP_OK;
}

static int
take_option(void *owner, struct sp_bytes name, struct sp_bytes value)
{
	return take_setting(owner, name, value);
}

static int
take_parameter(struct pg *p, struct wanted *w, struct sp_bytes name, struct sp_bytes value)
{
	static const char prefix[] = "_pq_.";
	if (sp_bytes_is(name, "user"))
		w->user = value;
	else if (sp_bytes_is(name, "database"))
		w->database = value;
	else if (sp_bytes_is(name, "options"))
		return pg_setting_options(value, take_option, w);
	else if (sp_bytes_is(name, "replication"))
		return pg_fatal(p, "0A000", "replication does not go through the gateway: ask the server's operator for a connection of its own");
	else if (name.len >= sizeof(prefix) - 1 && memcmp(name.p, prefix, sizeof(prefix) - 1) == 0)
		sp_wr_cstr(&w->refused, name);
	else
		return take_setting(w, name, value);
	return SP_OK;
}

static int
take_parameters(struct pg *p, const struct pg_startup *m, struct wanted *w)
{
	struct sp_reader r = sp_reader(m->parameters);
	struct sp_bytes name, value;
	/* Twice the message: `options` may turn into parameters of its own. */
	size_t cap = 2 * m->parameters.len + 16;
	uint8_t *settings = sp_alloc(p->s, cap), *refused = sp_alloc(p->s, cap);
	if (settings == NULL || refused == NULL)
		return SP_ENOMEM;
	w->settings = sp_writer(settings, cap);
	w->refused = sp_writer(refused, cap);
	while (pg_next_parameter(&r, &name, &value)) {
		int rc = take_parameter(p, w, name, value);
		if (rc != SP_OK && p->client != C_GONE) {
			if (w->bad[0] == '\0')
				show_name(w->bad, name);
			return refuse_setting(p, w->bad);
		}
		if (rc != SP_OK)
			return rc;
	}
	p->settings = sp_written(&w->settings);
	p->options_refused = sp_written(&w->refused);
	return SP_OK;
}

/* A minor version or options that we do not have: say what we speak. */
static int
negotiate(struct pg *p, uint32_t asked)
{
	p->version = asked == PROTOCOL(3, 0) || asked == PROTOCOL(3, 1) ? PROTOCOL(3, 0) : PROTOCOL(3, 2);
	if (asked == p->version && p->options_refused.len == 0)
		return SP_OK;
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'v');
	uint32_t n = 0;
	for (size_t i = 0; i < p->options_refused.len; i++)
		n += p->options_refused.p[i] == 0;
	sp_wr_be32(w, p->version);
	sp_wr_be32(w, n);
	sp_wr_put(w, p->options_refused);
	return pg_end(w, at);
}

/* The name of a ticket: its password never crosses the wire. */
static bool
is_ticket(const char *user)
{
	return strncmp(user, "spt-", 4) == 0;
}

static int
ask_who(struct pg *p)
{
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'R');
	if (is_ticket(p->user)) {
		sp_wr_be32(w, 10); /* AuthenticationSASL; no -PLUS: the keeper checks the proof and doesn't see this TLS */
		sp_wr_cstr(w, SP_LIT("SCRAM-SHA-256"));
		sp_wr_u8(w, 0);
		pg_enter(p, C_SASL);
	} else {
		sp_wr_be32(w, 3); /* AuthenticationCleartextPassword: a token is a password that ages in minutes */
		pg_enter(p, C_PASSWORD);
	}
	int rc = pg_end(w, at);
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_startup_message(struct pg *p, const struct pg_message *m)
{
	struct pg_startup startup;
	struct wanted wanted = { .user = { NULL, 0 } };
	if (pg_read_startup(m->body, &startup) != SP_OK)
		return SP_EPROTO;
	if (startup.version >> 16 != 3)
		return pg_fatal(p, "0A000", "unsupported protocol version %u.%u", startup.version >> 16,
		    startup.version & 0xffff);
	if (sp_tls_mode(p->s, SP_CLIENT) == SP_TLS_REQUIRED && !sp_tls_active(p->s, SP_CLIENT))
		return pg_fatal(p, "28000", "this listener requires TLS (sslmode=require or stronger)");
	int rc = take_parameters(p, &startup, &wanted);
	if (rc != SP_OK)
		return rc;
	if (!copy_name(p->user, wanted.user))
		return pg_fatal(p, "28000", "the user name is missing, longer than %u bytes or not printable", PG_NAME_MAX);
	if (!copy_target(p, wanted.database))
		return pg_fatal(p, "3D000", "name the target as the database: TARGET or TARGET/DATABASE");
	rc = negotiate(p, startup.version);
	if (rc != SP_OK)
		return rc;
	return ask_who(p);
}

int
pg_password(struct pg *p, const struct pg_message *m)
{
	struct sp_bytes token;
	if (pg_read_cstr(m->body, &token) != SP_OK || token.len == 0)
		return pg_fatal(p, "28P01", "an access token is expected as the password");
	struct sp_proof proof = { SP_PROOF_BEARER, token, p->user, p->target, p->part };
	pg_enter(p, C_LOGIN);
	int rc = sp_authenticate(p->s, &proof);
	return rc != SP_OK ? rc : PG_DROP;
}

/* ---- tickets ---- */

static int
prove_ticket(struct pg *p, struct sp_bytes message, enum pg_state next)
{
	struct sp_proof proof = { SP_PROOF_SCRAM, message, p->user, p->target, p->part };
	pg_enter(p, next);
	int rc = sp_authenticate(p->s, &proof);
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_sasl_first(struct pg *p, const struct pg_message *m)
{
	struct sp_reader r = sp_reader(m->body);
	struct sp_bytes mechanism = sp_rd_cstr(&r);
	uint32_t length = sp_rd_be32(&r);
	if (r.bad || length != r.left || r.left == 0)
		return SP_EPROTO; /* libpq always sends its first message with its choice */
	if (!sp_bytes_is(mechanism, "SCRAM-SHA-256"))
		return pg_fatal(p, "28P01", "SCRAM-SHA-256 is the only mechanism that is offered");
	return prove_ticket(p, sp_rd_rest(&r), C_SASL_WAIT);
}

int
pg_sasl_proof(struct pg *p, const struct pg_message *m)
{
	return prove_ticket(p, m->body, C_LOGIN);
}

static int
tell_sasl(struct pg *p, uint32_t kind, struct sp_bytes message)
{
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'R');
	sp_wr_be32(w, kind);
	sp_wr_put(w, message);
	return pg_end(w, at);
}

int
pg_admitted(struct sp_session *s, const struct sp_admission *a)
{
	struct pg *p = sp_state(s);
	if (a->what == SP_CHALLENGE && p->client == C_SASL_WAIT) {
		pg_enter(p, C_SASL_PROOF);
		return tell_sasl(p, 11, a->bytes); /* AuthenticationSASLContinue */
	}
	if (a->what == SP_ADMIT) { /* open() follows once the target is connected */
		pg_login_pool(p);
		return is_ticket(p->user) ? tell_sasl(p, 12, a->bytes) : SP_OK; /* AuthenticationSASLFinal */
	}
	return pg_fatal(p, "28P01", "%s", a->text == NULL || *a->text == '\0' ? "access is refused" : a->text);
}

int
pg_welcome(struct pg *p)
{
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'R');
	sp_wr_be32(w, 0);
	return pg_end(w, at);
}
