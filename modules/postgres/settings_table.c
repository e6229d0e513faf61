/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_table.h. */
#include "settings_table.h"

#include <string.h>
#include <strings.h>

#define VALUE_MAX 512
#define BOTH (PG_AT_STARTUP | PG_BY_SET)

static bool
plain(struct sp_bytes v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] < 0x20 || v.p[i] == 0x7f)
			return false;
	return v.len < VALUE_MAX;
}

static bool
short_name(struct sp_bytes v)
{
	return plain(v) && v.len < 64;
}

/*
 * The texts that we judge are UTF-8; another encoding would make them mean something else.  The server
 * looks at a name's letters and digits only, so 'utf-8' in quotes, as asyncpg sends it, is fine.
 */
static bool
utf8(struct sp_bytes v)
{
	char name[16];
	size_t n = 0;
	for (size_t i = 0; i < v.len; i++) {
		uint8_t c = v.p[i] >= 'A' && v.p[i] <= 'Z' ? (uint8_t)(v.p[i] + 32) : v.p[i];
		bool counts = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (c >= 0x80 || (counts && n == sizeof(name) - 1))
			return false;
		if (counts)
			name[n++] = (char)c;
	}
	name[n] = '\0';
	return v.len < 64 && (strcmp(name, "utf8") == 0 || strcmp(name, "unicode") == 0);
}

static bool
word_of(struct sp_bytes v, const char *const *words)
{
	for (; *words != NULL; words++)
		if (v.len == strlen(*words) && strncasecmp((const char *)v.p, *words, v.len) == 0)
			return true;
	return false;
}

/* A number, maybe with a unit of time. */
static bool
amount(struct sp_bytes v)
{
	static const char *const units[] = { "", "us", "ms", "s", "min", "h", "d", NULL };
	size_t digits = 0;
	while (digits < v.len && ((v.p[digits] >= '0' && v.p[digits] <= '9') || (digits == 0 && v.p[0] == '-')))
		digits++;
	size_t blank = digits < v.len && v.p[digits] == ' ' ? 1 : 0;
	return digits > 0 && word_of((struct sp_bytes){ v.p + digits + blank, v.len - digits - blank }, units);
}

static bool
switch_value(struct sp_bytes v)
{
	static const char *const words[] = { "on", "off", "true", "false", "yes", "no", "1", "0", NULL };
	return word_of(v, words);
}

static bool
is_on(struct sp_bytes v)
{
	static const char *const words[] = { "on", "true", "yes", "1", NULL };
	return word_of(v, words);
}

static bool
isolation(struct sp_bytes v)
{
	static const char *const words[] = { "read uncommitted", "read committed", "repeatable read", "serializable", NULL };
	return word_of(v, words);
}

static bool
bytea_form(struct sp_bytes v)
{
	static const char *const words[] = { "hex", "escape", NULL };
	return word_of(v, words);
}

static bool
xml_form(struct sp_bytes v)
{
	static const char *const words[] = { "content", "document", NULL };
	return word_of(v, words);
}

static bool
level(struct sp_bytes v)
{
	static const char *const words[] = { "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "info", "warning", "error", NULL };
	return word_of(v, words);
}

/* What the checks above let through, for people. */
#define ANY_TEXT "any text up to 511 bytes, without control characters"
#define SHORT_TEXT "any text up to 63 bytes, without control characters"
#define LEVELS "read uncommitted, read committed, repeatable read, serializable"
#define AMOUNT "a whole number, with a unit of time if it is one"

/* Sorted by name without case: pg_setting_next() hands them out as the manual lists them. */
static const struct pg_setting settings[] = {
	{ "application_name", BOTH, plain, ANY_TEXT, false, false, "what the client calls itself" },
	{ "bytea_output", BOTH, bytea_form, "hex, escape", false, false, "how bytea is written" },
	{ "check_function_bodies", PG_BY_SET, switch_value, "on, off", false, false, "in every dump: functions may come before what they use" },
	{ "client_encoding", BOTH, utf8, "UTF8", false, false, "UTF8 only: statements are judged as UTF-8" },
	{ "client_min_messages", BOTH, level, "debug5 … debug1, log, notice, info, warning, error", false, false, "which notices the client gets" },
	{ "DateStyle", BOTH, short_name, SHORT_TEXT, false, false, "how dates are written and read" },
	{ "default_table_access_method", PG_BY_SET, short_name, SHORT_TEXT, false, false, "in every dump: of new tables" },
	{ "default_tablespace", PG_BY_SET, short_name, SHORT_TEXT, false, false, "in every dump: of new tables" },
	{ "default_transaction_deferrable", BOTH, switch_value, "on, off", false, false, "of new transactions" },
	{ "default_transaction_isolation", BOTH, isolation, LEVELS, false, false, "of new transactions" },
	{ "default_transaction_read_only", BOTH, switch_value, "on, off", false, true, "of new transactions" },
	{ "extra_float_digits", BOTH, amount, AMOUNT, false, false, "precision of floating point output" },
	{ "geqo", BOTH, switch_value, "on, off", false, false, "JDBC's and pg_dump's habit" },
	{ "idle_in_transaction_session_timeout", BOTH, amount, AMOUNT, false, true, "a limit of time" },
	{ "idle_session_timeout", BOTH, amount, AMOUNT, false, true, "a limit of time" },
	{ "IntervalStyle", BOTH, short_name, SHORT_TEXT, false, false, "how intervals are written" },
	{ "jit", BOTH, switch_value, "on, off", false, false, "whether queries are compiled" },
	{ "lock_timeout", BOTH, amount, AMOUNT, false, true, "a limit of time" },
	{ "restrict_nonsystem_relation_kind", PG_BY_SET, plain, ANY_TEXT, false, false, "pg_dump's guard: views and foreign tables are then refused" },
	{ "row_security", PG_BY_SET, switch_value, "on, off", false, false, "pg_dump turns it off: hidden rows are then an error" },
	{ "search_path", BOTH, plain, ANY_TEXT, true, false, "which schemas unqualified names are searched in" },
	{ "statement_timeout", BOTH, amount, AMOUNT, false, true, "a limit of time" },
	{ "synchronize_seqscans", PG_BY_SET, switch_value, "on, off", false, false, "pg_dump's habit" },
	{ "TimeZone", BOTH, short_name, SHORT_TEXT, false, false, "in which zone times are shown" },
	{ "transaction_deferrable", PG_BY_SET, switch_value, "on, off", false, false, "of this transaction" },
	{ "transaction_isolation", PG_BY_SET, isolation, LEVELS, false, false, "of this transaction" },
	{ "transaction_read_only", PG_BY_SET, switch_value, "on, off", false, false, "of this transaction" },
	{ "xmloption", PG_BY_SET, xml_form, "content, document", false, false, "in every dump: what a text must be to become xml" },
};

const struct pg_setting *
pg_setting_next(const struct pg_setting *s)
{
	if (s == NULL)
		return settings;
	return s + 1 < settings + sizeof(settings) / sizeof(*settings) ? s + 1 : NULL;
}

static bool
same_name(struct sp_bytes a, const char *b)
{
	return a.len == strlen(b) && strncasecmp((const char *)a.p, b, a.len) == 0;
}

const struct pg_setting *
pg_setting_find(struct sp_bytes name)
{
	for (const struct pg_setting *s = pg_setting_next(NULL); s != NULL; s = pg_setting_next(s))
		if (same_name(name, s->name))
			return s;
	return NULL;
}

/* Texts would mean other things after a change of these, or the target would not know whose they are. */
static const char *const pinned_names[] = { "standard_conforming_strings", "backslash_quote",
	"sallyport.user", "sallyport.session", NULL };

static bool
pinned(struct sp_bytes name)
{
	for (const char *const *n = pinned_names; *n != NULL; n++)
		if (same_name(name, *n))
			return true;
	return false;
}

enum pg_setting_answer
pg_setting_any(struct sp_bytes name)
{
	const struct pg_setting *s = pg_setting_find(name);
	return s != NULL && s->tracked && !s->pinnable && s->check == plain ? PG_SETTING_FINE : PG_SETTING_REFUSED;
}

enum pg_setting_answer
pg_setting_check(struct sp_bytes name, struct sp_bytes value, enum pg_setting_where where)
{
	const struct pg_setting *s = pg_setting_find(name);
	if (pinned(name)) /* saying what is so already does no harm */
		return same_name(name, "standard_conforming_strings") && sp_bytes_is(value, "on") ? PG_SETTING_FINE : PG_SETTING_PINNED;
	bool reset = value.p == NULL && where == PG_BY_SET;
	if (s == NULL)
		return reset && same_name(name, "all") ? PG_SETTING_FINE : PG_SETTING_REFUSED;
	return (s->where & where) != 0 && (reset || s->check(value)) ? PG_SETTING_FINE : PG_SETTING_REFUSED;
}

/* ---- what rules pin ---- */

const char *
pg_setting_value(const struct pg_setting *s, struct sp_bytes value, char copy[64])
{
	if (value.len >= 64 || !s->check(value))
		return NULL;
	if (s->check == switch_value)
		return is_on(value) ? "on" : "off";
	memcpy(copy, value.p, value.len);
	copy[value.len] = '\0';
	return copy;
}

int
pg_setting_pinnable(const char *name, const char *value, const char **err_r)
{
	const struct pg_setting *s = pg_setting_find(sp_str(name));
	char copy[64];
	*err_r = "rules can pin default_transaction_read_only, idle_in_transaction_session_timeout, idle_session_timeout, "
		 "lock_timeout and statement_timeout";
	if (s == NULL || !s->pinnable || strcmp(s->name, name) != 0)
		return SP_ECONF;
	const char *written = pg_setting_value(s, sp_str(value), copy);
	*err_r = s->check == switch_value ? "its value is \"on\" or \"off\"" : "its value is a number with a unit of time, like \"30s\"";
	return written != NULL && strcmp(written, value) == 0 ? SP_OK : SP_ECONF;
}

/* ---- options ---- */

/* The next word as the server's pg_split_opts() cuts it; length 0 at the end. */
static int
next_word(struct sp_reader *r, struct sp_writer *w)
{
	while (r->left > 0 && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n'))
		(void)sp_rd_u8(r);
	while (r->left > 0 && *r->p != ' ' && *r->p != '\t' && *r->p != '\n') {
		uint8_t c = sp_rd_u8(r);
		if (c == '\\' && r->left > 0)
			c = sp_rd_u8(r);
		sp_wr_u8(w, c);
	}
	return w->bad ? SP_EPROTO : SP_OK;
}

int
pg_setting_options(struct sp_bytes options, int (*each)(void *owner, struct sp_bytes name, struct sp_bytes value), void *owner)
{
	struct sp_reader r = sp_reader(options);
	for (;;) {
		uint8_t space[VALUE_MAX + 64];
		struct sp_writer w = sp_writer(space, sizeof(space));
		int rc = next_word(&r, &w);
		if (rc != SP_OK || w.len == 0)
			return rc;
		struct sp_reader word = sp_reader(sp_written(&w));
		struct sp_bytes lead = sp_rd_take(&word, 2);
		if (sp_bytes_is(lead, "-c") && word.left == 0) {
			w.len = 0;
			if (next_word(&r, &w) != SP_OK || w.len == 0)
				return SP_EPROTO;
			word = sp_reader(sp_written(&w));
		} else if (!sp_bytes_is(lead, "-c") && !sp_bytes_is(lead, "--")) {
			return SP_EPROTO;
		}
		struct sp_bytes name = sp_rd_until(&word, '='), value = sp_rd_rest(&word);
		if (word.bad || name.len == 0)
			return SP_EPROTO;
		rc = each(owner, name, value);
		if (rc < 0)
			return rc;
	}
}

/* ---- the manual ---- */

void
pg_setting_manual(struct sp_writer *out)
{
	static const char *const when[] = { [PG_AT_STARTUP] = "at startup", [PG_BY_SET] = "by SET", [BOTH] = "at startup, by SET" };
	sp_wr_put(out, SP_LIT("\n## Settings that clients may change\n\nAt startup: in the startup message, or as `-c NAME=VALUE` in "
	    "`options`. By SET: SET, RESET, set_config(). Others are refused at startup and unclear in a statement.\n\n"
	    "| setting | when | values | what it is |\n|---|---|---|---|\n"));
	for (const struct pg_setting *s = pg_setting_next(NULL); s != NULL; s = pg_setting_next(s)) {
		const char *const cell[] = { "| `", s->name, "` | ", when[s->where], " | ", s->values, " | ", s->help, s->pinnable ? "; rules may pin it" : "", " |\n", NULL };
		for (const char *const *c = cell; *c != NULL; c++)
			sp_wr_put(out, sp_str(*c));
	}
	sp_wr_put(out, SP_LIT("\nNever, whatever a rule says:"));
	for (const char *const *n = pinned_names; *n != NULL; n++) {
		sp_wr_put(out, SP_LIT(" `"));
		sp_wr_put(out, sp_str(*n));
		sp_wr_put(out, SP_LIT("`"));
	}
	sp_wr_put(out, SP_LIT(".\n"));
}
