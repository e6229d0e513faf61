/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our way into the target, with a login that the client never sees.
 *
 *   SSLRequest ─▶ 'S' ─▶ TLS ─▶ StartupMessage of ours ─▶ SCRAM, md5 or clear text by the keeper
 *              ─▶ AuthenticationOk ─▶ parameters, key (replaced by ours), ReadyForQuery ─▶ the client's turn
 *
 * "Frontend/Backend Protocol", sections "Start-up", "SSL Session Encryption" and "SASL Authentication";
 * SCRAM: RFC 5802 and RFC 7677, channel binding: RFC 5929, all computed by the keeper.
 * What the target says before AuthenticationOk is nobody's word: it is logged, never shown.
 */
#include "postgres.h"

#include "attributes.h"
#include "catalogue.h"
#include "settings_table.h"
#include "track.h"

#include <stdio.h>

enum { AUTH_OK = 0, AUTH_CLEARTEXT = 3, AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_SASL_CONTINUE = 11, AUTH_SASL_FINAL = 12 };

static bool
has_client(const struct pg *p)
{
	return *sp_purpose(p->s) == '\0';
}

static bool
is_warm(const struct pg *p)
{
	return strcmp(sp_purpose(p->s), "warm") == 0;
}

/* ---- what rules pin ---- */

bool
pg_pin_allows(const struct pg *p, struct sp_bytes name, struct sp_bytes value, struct sp_setting *pin_r)
{
	const struct pg_setting *s = pg_setting_find(name);
	char copy[64];
	for (size_t i = 0; s != NULL && sp_pin(p->s, i, pin_r); i++) {
		const char *written = strcmp(pin_r->name, s->name) == 0 ? pg_setting_value(s, value, copy) : pin_r->value;
		if (written == NULL || strcmp(written, pin_r->value) != 0)
			return false;
	}
	return true;
}

/* The client chose its settings before anybody knew who it is. */
static int
check_settings(struct pg *p)
{
	struct sp_reader r = sp_reader(p->settings);
	struct sp_bytes name, value;
	struct sp_setting pin;
	while (pg_next_parameter(&r, &name, &value))
		if (!pg_pin_allows(p, name, value, &pin))
			return pg_fatal(p, "42501", "%s stays \"%s\" in this session: connect without setting it", pin.name, pin.value);
	return SP_OK;
}

/* ---- encryption ---- */

int
pg_login_open(struct pg *p)
{
	struct sp_setting pin;
	if (is_warm(p))
		p->settings = sp_pool_key_of(p->s);
	int rc = check_settings(p);
	if (rc != SP_OK)
		return rc;
	p->pinned = sp_pin(p->s, 0, &pin);
	if (sp_tls_mode(p->s, SP_TARGET) == SP_TLS_OFF)
		return pg_login_secured(p);
	struct sp_writer *w = pg_out(p, SP_TARGET);
	size_t at = pg_begin(w, 0);
	sp_wr_be32(w, 80877103);
	pg_enter_login(p, T_SSL);
	return pg_end(w, at);
}

int
pg_ssl_answer(struct pg *p, const struct pg_message *m)
{
	uint8_t answer = m->body.p[0];
	if (sp_peek(p->s, SP_TARGET).len != m->size)
		return sp_fail(p->s, SP_EPROTO, "the target sent plain text after its answer to SSLRequest");
	int rc = sp_drop(p->s, SP_TARGET, m->size);
	if (rc != SP_OK)
		return rc;
	if (answer == 'S') {
		pg_enter_login(p, T_SECURING);
		rc = sp_starttls(p->s, SP_TARGET, false, "postgresql");
		return rc != SP_OK ? rc : PG_TAKEN;
	}
	if (answer != 'N' || sp_tls_mode(p->s, SP_TARGET) == SP_TLS_REQUIRED)
		return pg_fatal(p, "08006", "the target does not offer TLS, which its configuration requires");
	rc = pg_login_secured(p);
	return rc != SP_OK ? rc : PG_TAKEN;
}

/* ---- our startup message ---- */

/* Printable ASCII only, blanks and backslashes quoted, as the server splits `options`. */
static void
append_option(struct sp_writer *w, const char *name, const char *value)
{
	sp_wr_put(w, SP_LIT("-c "));
	sp_wr_put(w, sp_str(name));
	sp_wr_u8(w, '=');
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == ' ' || *c == '\\')
			sp_wr_u8(w, '\\');
		sp_wr_u8(w, *c < ' ' || *c == 0x7f ? '?' : (uint8_t)*c);
	}
	sp_wr_u8(w, ' ');
}

/* Who it is, for the target's own logs: ours in front, since the server cuts at 63 bytes. */
static void
application_name(const struct pg *p, struct sp_bytes wanted, char out[PG_NAME_MAX + 1])
{
	if (!has_client(p)) {
		(void)snprintf(out, PG_NAME_MAX + 1, "sallyport %s", sp_purpose(p->s));
		return;
	}
	(void)snprintf(out, PG_NAME_MAX + 1, "sallyport %s %s %.*s", sp_principal(p->s), sp_session_id(p->s),
	    (int)(wanted.len > PG_NAME_MAX ? PG_NAME_MAX : wanted.len), wanted.p == NULL ? "" : (const char *)wanted.p);
	for (char *c = out; *c != '\0'; c++)
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
}

static bool
is_pinned(const struct pg *p, struct sp_bytes name)
{
	const struct pg_setting *s = pg_setting_find(name);
	struct sp_setting pin;
	for (size_t i = 0; s != NULL && sp_pin(p->s, i, &pin); i++)
		if (strcmp(pin.name, s->name) == 0)
			return true;
	return false;
}

/* Parameters, not `options`: the server lets them win, and RESET brings them back. */
static void
append_pins(const struct pg *p, struct sp_writer *w)
{
	struct sp_setting pin;
	for (size_t i = 0; sp_pin(p->s, i, &pin); i++) { /* none of the catalogue's */
		sp_wr_cstr(w, sp_str(pin.name));
		sp_wr_cstr(w, sp_str(pin.value));
	}
}

static void
append_settings(const struct pg *p, struct sp_writer *w, struct sp_bytes *application_r)
{
	struct sp_reader r = sp_reader(p->settings);
	struct sp_bytes name, value;
	*application_r = (struct sp_bytes){ NULL, 0 };
	while (pg_next_parameter(&r, &name, &value)) {
		if (sp_bytes_is(name, "application_name")) {
			*application_r = value;
			continue;
		}
		if (is_pinned(p, name))
			continue;
		sp_wr_cstr(w, name);
		sp_wr_cstr(w, value);
	}
	append_pins(p, w);
}

/* From the first statement on, whatever it would be. */
static void
append_estimate(struct sp_writer *w)
{
	static const char *const settings[][2] = { { "default_transaction_read_only", "on" }, { "statement_timeout", "200" },
		{ "lock_timeout", "200" }, { "search_path", "pg_catalog" }, { "client_encoding", "UTF8" } };
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		append_option(w, settings[i][0], settings[i][1]);
}

static int
write_startup(struct pg *p)
{
	struct sp_writer *w = pg_out(p, SP_TARGET);
	char name[PG_NAME_MAX + 1];
	struct sp_bytes application;
	size_t at = pg_begin(w, 0);
	sp_wr_be32(w, 3u << 16);
	sp_wr_cstr(w, SP_LIT("user"));
	sp_wr_cstr(w, sp_str(sp_login(p->s)));
	if (*sp_target_part(p->s) != '\0') {
		sp_wr_cstr(w, SP_LIT("database"));
		sp_wr_cstr(w, sp_str(sp_target_part(p->s)));
	}
	append_settings(p, w, &application);
	application_name(p, application, name);
	sp_wr_cstr(w, SP_LIT("application_name"));
	sp_wr_cstr(w, sp_str(name));
	sp_wr_cstr(w, SP_LIT("options"));
	if (has_client(p)) {
		append_option(w, "sallyport.user", sp_principal(p->s));
		append_option(w, "sallyport.session", sp_session_id(p->s));
	}
	if (strcmp(sp_purpose(p->s), "estimate") == 0)
		append_estimate(w);
	append_option(w, "standard_conforming_strings", "on"); /* else our reading of a text differs from the server's */
	sp_wr_u8(w, 0); /* ends options */
	sp_wr_u8(w, 0); /* ends the list */
	return pg_end(w, at);
}

int
pg_login_secured(struct pg *p)
{
	if (strcmp(sp_purpose(p->s), "cancel") == 0)
		return pg_cancel_secured(p);
	pg_enter_login(p, T_AUTH);
	return write_startup(p);
}

/* ---- proving ---- */

static int
prove(struct pg *p, const char *mechanism, unsigned step, struct sp_bytes transcript)
{
	if (mechanism != p->mechanism) /* the steps after the first name their own */
		(void)snprintf(p->mechanism, sizeof(p->mechanism), "%s", mechanism);
	p->step = step;
	pg_enter_login(p, T_PROVING);
	struct sp_challenge c = { p->mechanism, step, transcript, sp_channel_binding(p->s) };
	int rc = sp_prove(p->s, &c);
	return rc != SP_OK ? rc : PG_DROP;
}

/* The best mechanism that both know; with channel binding wherever TLS gives one. */
static int
choose_sasl(struct pg *p, struct sp_reader *r)
{
	bool plain = false, plus = false;
	struct sp_bytes list = { r->p, r->left };
	for (struct sp_bytes name; (name = sp_rd_cstr(r)).len > 0;) {
		plain = plain || sp_bytes_is(name, "SCRAM-SHA-256");
		plus = plus || sp_bytes_is(name, "SCRAM-SHA-256-PLUS");
	}
	if (!sp_rd_done(r))
		return SP_EPROTO;
	if (plus && sp_channel_binding(p->s).len > 0)
		return prove(p, "SCRAM-SHA-256-PLUS", 0, list);
	if (plain)
		return prove(p, "SCRAM-SHA-256", 0, list);
	return pg_fatal(p, "28000", "the target offers no authentication that the gateway knows");
}

static int
authenticated(struct pg *p)
{
	if (p->mechanism[0] == 'S' && p->step != 2)
		return sp_fail(p->s, SP_EPROTO, "the target let us in without proving that it knows the password");
	pg_enter_login(p, is_warm(p) ? T_WARM : T_SETUP);
	int rc = has_client(p) ? pg_welcome(p) : SP_OK;
	return rc != SP_OK ? rc : PG_DROP;
}

int
pg_authentication(struct pg *p, const struct pg_message *m)
{
	struct sp_reader r = sp_reader(m->body);
	uint32_t kind = sp_rd_be32(&r);
	bool amid = p->login == T_SASL;
	if (kind == AUTH_SASL_CONTINUE && amid && p->step == 0)
		return prove(p, p->mechanism, 1, sp_rd_rest(&r));
	if (kind == AUTH_SASL_FINAL && amid && p->step == 1)
		return prove(p, p->mechanism, 2, sp_rd_rest(&r));
	if (kind == AUTH_OK && r.left == 0 && (!amid || p->step == 2))
		return authenticated(p);
	if (amid || p->mechanism[0] != '\0')
		return SP_EPROTO; /* one mechanism, once */
	if (kind == AUTH_SASL)
		return choose_sasl(p, &r);
	if (kind == AUTH_MD5 && r.left == 4)
		return prove(p, "md5", 0, sp_rd_rest(&r));
	if (kind == AUTH_CLEARTEXT && r.left == 0)
		return prove(p, "password", 0, sp_rd_rest(&r));
	return pg_fatal(p, "28000", "the target asks for an authentication that the gateway does not know (%u)", kind);
}

/* Step 0 of SCRAM goes out with the mechanism's name and a length of its own. */
static int
write_proof(struct pg *p, struct sp_bytes proof)
{
	struct sp_writer *w = pg_out(p, SP_TARGET);
	size_t at = pg_begin(w, 'p');
	bool sasl = p->mechanism[0] == 'S';
	if (sasl && p->step == 0) {
		sp_wr_cstr(w, sp_str(p->mechanism));
		sp_wr_be32(w, (uint32_t)proof.len);
	}
	sp_wr_put(w, proof);
	if (!sasl)
		sp_wr_u8(w, 0);
	return pg_end(w, at);
}

int
pg_login_proved(struct sp_session *s, const struct sp_answer *a)
{
	struct pg *p = sp_state(s);
	if (p->login != T_PROVING)
		return SP_EINTERNAL;
	if (!a->ok) {
		sp_log(s, SP_WARN, "log-in at the target failed: %s", a->text == NULL ? "" : a->text);
		return pg_fatal(p, "28000", "the gateway could not log in to the target");
	}
	pg_enter_login(p, p->mechanism[0] == 'S' ? T_SASL : T_AUTH);
	return p->mechanism[0] == 'S' && p->step == 2 ? SP_OK : write_proof(p, a->bytes);
}

/* ---- errors ---- */

/* What a client may learn when the target does not let the gateway in. */
static const char *
refusal_text(const char *code)
{
	if (strcmp(code, "53300") == 0)
		return "the target has no connection left for the gateway";
	if (strcmp(code, "57P03") == 0)
		return "the target is starting up or shutting down";
	if (strcmp(code, "3D000") == 0)
		return "the target has no such database";
	return "the target refused the gateway's connection";
}

int
pg_login_error(struct pg *p, const struct pg_message *m)
{
	static const char *const told[] = { "53300", "57P03", "3D000" };
	struct pg_error_text e;
	if (pg_read_error(m->body, &e) != SP_OK)
		return sp_fail(p->s, SP_EPROTO, "the target's error at log-in is malformed");
	const char *code = (const char *)e.code.p, *shown = "08006";
	sp_log(p->s, SP_WARN, "the target refused the log-in: %s: %.160s", code, (const char *)e.message.p);
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
		if (strcmp(code, told[i]) == 0)
			shown = told[i];
	return pg_fatal(p, shown, "%s", refusal_text(shown));
}

int
pg_login_notice(struct pg *p, const struct pg_message *m)
{
	struct pg_error_text e;
	if (pg_read_error(m->body, &e) != SP_OK)
		return SP_EPROTO;
	sp_log(p->s, SP_INFO, "notice of the target at log-in: %.160s", (const char *)e.message.p);
	return PG_DROP;
}

/* ---- ready ---- */

/* The server's own process number with a secret of ours: its own stays here. */
int
pg_key_data(struct pg *p, const struct pg_message *m)
{
	struct sp_reader r = sp_reader(m->body);
	uint8_t key[32];
	size_t len = p->version == (3u << 16) ? 4 : sizeof(key);
	if (p->keyed)
		return SP_EPROTO;
	if (pg_behind(p, SP_TARGET))
		return PG_AGAIN;
	p->keyed = true;
	p->pid = sp_rd_be32(&r);
	struct sp_bytes secret = sp_rd_take(&r, sizeof(p->secret));
	if (!sp_rd_done(&r))
		return SP_EPROTO;
	memcpy(p->secret, secret.p, sizeof(p->secret));
	if (!has_client(p))
		return PG_DROP;
	int rc = sp_random(key, len);
	if (rc == SP_OK)
		rc = sp_cancel_key(p->s, p->pid, (struct sp_bytes){ key, len });
	if (rc != SP_OK)
		return rc;
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	size_t at = pg_begin(w, 'K');
	sp_wr_be32(w, p->pid);
	sp_wr_put(w, (struct sp_bytes){ key, len });
	rc = pg_end(w, at);
	return rc != SP_OK ? rc : PG_DROP;
}

static struct sp_bytes
wanted_name(const struct pg *p)
{
	struct sp_reader r = sp_reader(p->settings);
	struct sp_bytes name, value, wanted = SP_LIT("");
	while (pg_next_parameter(&r, &name, &value))
		if (sp_bytes_is(name, "application_name"))
			wanted = value;
	return wanted;
}

/* What holds from the first operation to the last: where it is, and what the client called itself when it came. */
static int
say_facts(struct pg *p)
{
	const struct sp_bytes name = wanted_name(p);
	int rc = sp_fact(p->s, "database", sp_str(sp_target_part(p->s)));
	return rc != SP_OK || name.len == 0 ? rc : sp_fact(p->s, "application_name", name);
}

int
pg_login_ready(struct pg *p, const struct pg_message *m)
{
	if (m->body.p[0] != 'I')
		return SP_EPROTO;
	if (has_client(p)) {
		int rc = pg_catalogue_join(p); /* the first operation needs the target's names */
		if (rc != PG_PASS)
			return rc;
		if (sp_peek(p->s, SP_CLIENT).len > 0)
			return sp_fail(p->s, SP_EPROTO, "the client asked before it was let in");
	}
	pg_enter_login(p, T_IDLE);
	int rc = sp_ready(p->s);
	if (rc != SP_OK)
		return rc;
	if (!has_client(p)) {
		rc = strcmp(sp_purpose(p->s), "catalogue") == 0 ? pg_catalogue_ready(p) : sp_inspects(p->s) ? pg_inspect(p) : pg_estimate_ready(p);
		return rc != SP_OK ? rc : PG_DROP;
	}
	pg_enter(p, C_READY);
	p->dirty = true; /* nobody told us the search_path yet */
	rc = say_facts(p);
	if (rc == SP_OK)
		rc = pg_track_status(p, 'I');
	return rc != SP_OK ? rc : PG_PASS;
}

/* ---- connections kept ready ---- */

static bool
is_ascii(struct sp_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] >= 0x80)
			return false;
	return true;
}

/*
 * All that our startup message says but the user's name: that is told later, by a statement, which the
 * server reads in the client's encoding and a startup message in none.
 */
void
pg_login_pool(struct pg *p)
{
	struct sp_reader r = sp_reader(p->settings);
	struct sp_bytes name, value;
	uint8_t *memory = sp_alloc(p->s, p->settings.len + 1);
	struct sp_writer w = sp_writer(memory, memory == NULL ? 0 : p->settings.len);
	bool plain = memory != NULL && is_ascii(sp_str(sp_principal(p->s)));
	while (pg_next_parameter(&r, &name, &value)) {
		if (sp_bytes_is(name, "application_name")) {
			plain = plain && is_ascii(value);
			continue;
		}
		sp_wr_cstr(&w, name);
		sp_wr_cstr(&w, value);
	}
	if (plain && !w.bad && sp_pool_key(p->s, sp_written(&w)) != SP_OK)
		sp_log(p->s, SP_DEBUG, "no connection kept ready will do");
}

/*
 * What the target says after AuthenticationOk stays unread, for the session that takes the connection:
 * it reads it as if it had logged in itself.  After ReadyForQuery nothing may come.
 */
int
pg_login_warm(struct pg *p)
{
	struct sp_bytes in = sp_peek(p->s, SP_TARGET);
	struct sp_reader r = sp_reader(in);
	uint8_t type = 0;
	if (p->warm > 0)
		return in.len == p->warm ? SP_OK : sp_fail(p->s, SP_EIO, "the target spoke on a connection that nobody uses");
	while (r.left > 0 && type != 'Z') {
		struct sp_reader from = r;
		type = sp_rd_u8(&r);
		uint32_t length = sp_rd_be32(&r);
		if (!r.bad && (length < 4 || length > 16384 || (type != 'S' && type != 'K' && type != 'Z')))
			return sp_fail(p->s, SP_EIO, "the target said something else than usual at log-in");
		(void)sp_rd_take(&r, length - 4);
		if (r.bad)
			return sp_want(p->s, SP_TARGET, in.len - from.left + (from.left < PG_HEADER ? PG_HEADER : (size_t)length + 1), PG_MESSAGE_MAX);
	}
	if (type == 'Z' && r.left > 0)
		return sp_fail(p->s, SP_EIO, "the target spoke on a connection that nobody uses");
	int rc = sp_want(p->s, SP_TARGET, in.len + 1, PG_MESSAGE_MAX);
	if (rc != SP_OK || type != 'Z')
		return rc;
	p->warm = in.len;
	return sp_ready(p->s);
}

int
pg_login_adopt(struct sp_session *s)
{
	struct pg *p = sp_state(s);
	struct sp_setting pin;
	p->conf = sp_conf(s);
	int rc = check_settings(p);
	if (rc != SP_OK)
		return rc;
	p->pinned = sp_pin(s, 0, &pin);
	p->adopted = p->unclaimed = true;
	pg_enter_login(p, T_SETUP);
	return pg_welcome(p);
}

static void
own_name(const struct pg *p, char out[PG_NAME_MAX + 1])
{
	application_name(p, wanted_name(p), out);
}

/* The client hears the name that the target is about to be told. */
int
pg_login_named(struct pg *p)
{
	char text[PG_NAME_MAX + 1];
	struct sp_writer *w = pg_out(p, SP_CLIENT);
	own_name(p, text);
	size_t at = pg_begin(w, 'S');
	sp_wr_cstr(w, SP_LIT("application_name"));
	sp_wr_cstr(w, sp_str(text));
	int rc = pg_end(w, at);
	return rc != SP_OK ? rc : PG_DROP;
}

static void
put_setting(struct sp_writer *w, const char *name, const char *value)
{
	sp_wr_put(w, SP_LIT("pg_catalog.set_config('"));
	sp_wr_put(w, sp_str(name));
	sp_wr_put(w, SP_LIT("', '"));
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '\'')
			sp_wr_u8(w, '\'');
		sp_wr_u8(w, (uint8_t)*c);
	}
	sp_wr_put(w, SP_LIT("', false)"));
}

/* A startup message would have said it, and would make RESET bring it back: track.c says it again then. */
int
pg_claim(struct pg *p)
{
	uint8_t memory[2048];
	char name[PG_NAME_MAX + 1];
	struct sp_writer w = sp_writer(memory, sizeof(memory));
	own_name(p, name);
	sp_wr_put(&w, SP_LIT("SELECT "));
	put_setting(&w, "application_name", name);
	sp_wr_put(&w, SP_LIT(", "));
	put_setting(&w, "sallyport.user", sp_principal(p->s));
	sp_wr_put(&w, SP_LIT(", "));
	put_setting(&w, "sallyport.session", sp_session_id(p->s));
	return w.bad ? SP_ETOOBIG : pg_track_ask(p, OWN_CLAIM, sp_written(&w));
}

/* False: after a part of this text the target would not know any more whose the rest is. */
bool
pg_claim_stands(const struct pg *p, const struct sp_op *op)
{
	return !p->adopted || !sp_op_has(op, PG_A_VERB, "batch") || !sp_op_has(op, PG_A_SETTING, "all");
}
