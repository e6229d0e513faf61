/* SPDX-License-Identifier: Apache-2.0 */
/* The store's tables and statements, and which of the two engines has them. */
#include <config.h>

#include "store_engine.h"

#include <stdlib.h>

#include "../base/clock.h"

/* Version n is what schema[0..n) made; a newer file is refused. */
const char *const store_schema[] = {
	"CREATE TABLE session(id BLOB PRIMARY KEY, principal TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,"
	" user TEXT NOT NULL, target TEXT NOT NULL, part TEXT NOT NULL, address TEXT NOT NULL, protocol TEXT NOT NULL,"
	" started INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, why INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '', operations INTEGER NOT NULL DEFAULT 0, denied INTEGER NOT NULL DEFAULT 0,"
	" rows INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE INDEX session_started ON session(started);"
	"CREATE INDEX session_live ON session(id) WHERE ended = 0;"
	"CREATE TABLE token(token TEXT PRIMARY KEY, address TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX token_expires ON token(expires);"
	"CREATE TABLE revoked(kind INTEGER NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL, not_before INTEGER NOT NULL,"
	" PRIMARY KEY(kind, issuer, name)) WITHOUT ROWID;"
	"CREATE TABLE ledger(number INTEGER PRIMARY KEY, session BLOB NOT NULL, kind INTEGER NOT NULL, entry BLOB NOT NULL);"
	"CREATE INDEX ledger_session ON ledger(session, number);"
	"CREATE TABLE approval(id TEXT PRIMARY KEY, session BLOB NOT NULL, op INTEGER NOT NULL, hash BLOB NOT NULL,"
	" rule TEXT NOT NULL, rule_hash BLOB NOT NULL, by TEXT NOT NULL, count INTEGER NOT NULL, created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL, next_run INTEGER NOT NULL, view TEXT NOT NULL, need_reason INTEGER NOT NULL,"
	" principal TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, person TEXT NOT NULL, user TEXT NOT NULL,"
	" target TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, decided INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '') WITHOUT ROWID;"
	"CREATE INDEX approval_open ON approval(state, expires);"
	"CREATE INDEX approval_session ON approval(session, op);"
	"CREATE INDEX approval_hash ON approval(hash);"
	"CREATE TABLE vote(approval TEXT NOT NULL, person TEXT NOT NULL, allow INTEGER NOT NULL, by TEXT NOT NULL,"
	" reason TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(approval, person)) WITHOUT ROWID;",
	"ALTER TABLE session ADD COLUMN gateway TEXT NOT NULL DEFAULT '';"
	"CREATE TABLE gateway(name TEXT PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE wish(session BLOB PRIMARY KEY, gateway TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;",
	"CREATE TABLE provider(issuer TEXT NOT NULL, jwks TEXT NOT NULL, what INTEGER NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL,"
	" mac BLOB NOT NULL, PRIMARY KEY(issuer, jwks, what)) WITHOUT ROWID;",
	"CREATE TABLE signin(id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, parent TEXT NOT NULL, principal TEXT NOT NULL,"
	" identity TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, sid TEXT NOT NULL, created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL, checked INTEGER NOT NULL, ended INTEGER NOT NULL, why TEXT NOT NULL, refresh BLOB NOT NULL,"
	" mac BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX signin_subject ON signin(issuer, subject);"
	"CREATE INDEX signin_parent ON signin(parent);"
	"CREATE INDEX signin_due ON signin(identity, checked) WHERE ended = 0;",
	"CREATE TABLE hook(delivery TEXT PRIMARY KEY, hook TEXT NOT NULL, gateway TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL,"
	" due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE INDEX hook_due ON hook(gateway, due);",
	"CREATE TABLE renewal(session BLOB PRIMARY KEY, token TEXT NOT NULL, until INTEGER NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;",
	/* Requests of several kinds, and the keeper's mark (row.h): what waited without one waits no more. */
	"ALTER TABLE approval ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN span INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN reason TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE approval ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE approval ADD COLUMN mac BLOB NOT NULL DEFAULT '';"
	"UPDATE approval SET state = 4, view = '{}', text = 'withdrawn by an upgrade' WHERE state IN (0, 1);"
	"UPDATE approval SET state = 5 WHERE state = 6;"
	"ALTER TABLE vote ADD COLUMN mac BLOB NOT NULL DEFAULT '';"
	"CREATE TABLE grants(id TEXT PRIMARY KEY, kind INTEGER NOT NULL, principal TEXT NOT NULL, issuer TEXT NOT NULL,"
	" subject TEXT NOT NULL, user TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL,"
	" since INTEGER NOT NULL, until INTEGER NOT NULL, state INTEGER NOT NULL, ended INTEGER NOT NULL, text TEXT NOT NULL,"
	" mac BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX grants_of ON grants(issuer, subject, target, state);"
	"CREATE INDEX grants_live ON grants(state, until);",
	"CREATE TABLE ticket(id TEXT PRIMARY KEY, kind INTEGER NOT NULL, principal TEXT NOT NULL, issuer TEXT NOT NULL,"
	" subject TEXT NOT NULL, user TEXT NOT NULL, target TEXT NOT NULL, verifier BLOB NOT NULL, created INTEGER NOT NULL,"
	" start_by INTEGER NOT NULL, issued INTEGER NOT NULL, used INTEGER NOT NULL, host TEXT NOT NULL, grant_id TEXT NOT NULL,"
	" parent TEXT NOT NULL, state INTEGER NOT NULL, text TEXT NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX ticket_parent ON ticket(parent, state);"
	"CREATE INDEX ticket_of ON ticket(issuer, subject, state);"
	"CREATE INDEX ticket_start_by ON ticket(start_by);",
	/* Whether an agent's sponsor may decide, which the mark covers. */
	"ALTER TABLE approval ADD COLUMN sponsor INTEGER NOT NULL DEFAULT 0;"
	"UPDATE approval SET state = 4, view = '{}', text = 'withdrawn by an upgrade' WHERE state IN (0, 1);"
	"UPDATE approval SET state = 5 WHERE state = 6;",
	"CREATE TABLE change(gateway TEXT NOT NULL, number INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL,"
	" PRIMARY KEY(gateway, number)) WITHOUT ROWID;",
	"CREATE TABLE estimate(approval TEXT PRIMARY KEY, text TEXT NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;",
	"CREATE TABLE code(id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, principal TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,"
	" user TEXT NOT NULL, by TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, state INTEGER NOT NULL,"
	" changed INTEGER NOT NULL, text TEXT NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;",
	"ALTER TABLE session ADD COLUMN token TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX session_token ON session(token) WHERE ended = 0;",
	"CREATE TABLE share(id BLOB PRIMARY KEY, owner BLOB NOT NULL, value BLOB NOT NULL, until INTEGER NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX share_owner ON share(owner, until);"
	"CREATE INDEX share_until ON share(until);"
	"CREATE TABLE session_group(name TEXT NOT NULL, session BLOB NOT NULL, PRIMARY KEY(name, session)) WITHOUT ROWID;"
	"CREATE INDEX session_group_of ON session_group(session, name);",
};
const unsigned store_schema_version = sizeof(store_schema) / sizeof(*store_schema);

#define SESSION_COLUMNS \
	"id, principal, user, target, part, address, protocol, started, ended, why, text, operations, denied, rows, bytes, issuer, subject, gateway," \
	" coalesce((SELECT min(name) FROM session_group WHERE session_group.session = session.id), '')"
#define SESSION_TYPES "btttttt" "qqqtqqqq" "tttt"
#define APPROVAL_COLUMNS \
	"id, session, op, hash, rule, rule_hash, by, count, created, expires, next_run, view, need_reason, principal, issuer," \
	" subject, person, user, target, state, decided, text, kind, span, reason, spent, sponsor, mac"
#define APPROVAL_TYPES APPROVAL_MARKED "b"
#define GRANT_COLUMNS "id, kind, principal, issuer, subject, user, target, reason, by, since, until, state, ended, text, mac"
#define GRANT_TYPES GRANT_MARKED "b"
#define TICKET_COLUMNS "id, kind, principal, issuer, subject, user, target, verifier, created, start_by, issued, used, host, grant_id," \
	" parent, state, text, mac"
#define TICKET_TYPES TICKET_MARKED "b"

#define CODE_COLUMNS "id, hash, principal, issuer, subject, user, by, created, expires, state, changed, text, mac"
#define CODE_TYPES CODE_MARKED "b"

#define SIGNIN_COLUMNS \
	"id, hash, parent, principal, identity, issuer, subject, sid, created, expires, checked, ended, why, refresh, mac"
#define SIGNIN_TYPES "tbttttttqqqqtbb"

const struct store_sql store_table[STORE_STATEMENTS] = {
	[STORE_SESSION_ADD] = { "INSERT INTO session(id, principal, issuer, subject, user, target, part, address, protocol, started,"
	    " gateway, token) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING", "bttttttttqtt", "" },
	[STORE_SESSIONS_OF_TOKEN] = { "SELECT count(*) FROM session WHERE token = ? AND ended = 0 AND gateway <> ?", "tt", "q" },
	[STORE_SESSION_END] = { "UPDATE session SET ended = ?, why = ?, text = ?, operations = ?, denied = ?, rows = ?, bytes = ?"
	    " WHERE id = ? AND ended = 0", "qqtqqqqb", "" },
	[STORE_SESSION_OPEN_IDS] = { "SELECT id FROM session WHERE ended = 0 AND gateway IN (?, ?)", "tt", "b" },
	/* Inside: what an index has (store_sqlite.c), so that long rows are read only of those that are shown. */
	[STORE_SESSION_LIST] = { "SELECT " SESSION_COLUMNS " FROM session WHERE id IN (SELECT id FROM session WHERE started <= ?1 AND (started < ?1 OR id < ?8)"
	    " AND (?2 = 0 OR ended = 0) AND (?3 = '' OR user = ?3) AND (?4 = '' OR target = ?4) AND (?5 = '' OR (issuer = ?5 AND subject = ?6))"
	    " AND started >= ?9 AND (?10 = 0 OR (?10 = 1 AND operations > denied) OR (?10 = 2 AND denied > 0) OR (?10 = 3 AND EXISTS"
	    " (SELECT 1 FROM approval WHERE approval.session = session.id)))"
	    " AND (?11 = '' OR lower((user || ' ' || target || ' ' || part || ' ' || address || ' ' || protocol) COLLATE NOCASE) LIKE ?11 ESCAPE '!')"
	    " AND (?12 = '' OR id IN (SELECT session_group.session FROM session_group WHERE session_group.name = ?12))"
	    " ORDER BY started DESC, id DESC LIMIT ?7) ORDER BY started DESC, id DESC", "qqttttqbqqtt", SESSION_TYPES },
	[STORE_SESSION_GET] = { "SELECT " SESSION_COLUMNS " FROM session WHERE id = ?", "b", SESSION_TYPES },
	[STORE_TOKEN_SEEN] = { "INSERT INTO token VALUES(?, ?, ?) ON CONFLICT DO NOTHING", "ttq", "" },
	[STORE_TOKEN_GET] = { "SELECT address FROM token WHERE token = ?", "t", "t" },
	[STORE_TOKEN_FORGET] = { "DELETE FROM token WHERE expires < ?", "q", "" },
	[STORE_REVOKE] = { "INSERT INTO revoked VALUES(?, ?, ?, ?) ON CONFLICT(kind, issuer, name) DO UPDATE"
	    " SET not_before = excluded.not_before WHERE excluded.not_before > revoked.not_before", "qttq", "", .topic = "revoked", .key = 2 },
	[STORE_REVOKED] = { "SELECT max(not_before) FROM (SELECT not_before FROM revoked WHERE kind = 1 AND issuer = ?1 AND name = ?2"
	    " UNION ALL SELECT not_before FROM revoked WHERE kind = 2 AND issuer IN ('', ?1) AND name = ?3) AS r", "ttt", "q" },
	[STORE_REVOKED_FORGET] = { "DELETE FROM revoked WHERE not_before < ?", "q", "" },
	[STORE_LEDGER_ADD] = { "INSERT INTO ledger VALUES(?, ?, ?, ?)", "qbqb", "", .own = true },
	[STORE_LEDGER_LAST] = { "SELECT entry FROM ledger ORDER BY number DESC LIMIT 1", "", "b", .own = true },
	[STORE_LEDGER_SESSION] = { "SELECT entry FROM ledger WHERE session = ? ORDER BY number", "b", "b", .own = true },
	[STORE_LEDGER_SINCE] = { "SELECT entry FROM ledger WHERE number > ? ORDER BY number LIMIT 4096", "q", "b", .own = true },
	[STORE_LEDGER_LAST_OF] = { "SELECT entry FROM ledger WHERE session = ? ORDER BY number DESC LIMIT 1", "b", "b", .own = true },
	[STORE_APPROVAL_ADD] = { "INSERT INTO approval(" APPROVAL_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
	    " ?, ?, ?, ?, ?, ?, ?, ?)", APPROVAL_TYPES, "", .topic = "approval", .key = A_ID },
	[STORE_APPROVAL_GET] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE id = ?", "t", APPROVAL_TYPES },
	[STORE_APPROVAL_PREFIX] = { "SELECT id FROM approval WHERE id BETWEEN ? AND ? LIMIT 2", "tt", "t" },
	[STORE_APPROVAL_LIST] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE ?1 < 0 OR state = ?1 ORDER BY created DESC LIMIT ?2",
	    "qq", APPROVAL_TYPES },
	[STORE_APPROVAL_OF_OP] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE session = ? AND op = ? AND hash = ? AND rule_hash = ?"
	    " ORDER BY created DESC LIMIT 1", "bqbb", APPROVAL_TYPES },
	[STORE_APPROVAL_OF_RUN] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE hash = ? AND rule_hash = ? AND issuer = ?"
	    " AND subject = ? AND target = ? AND next_run = 1 AND state IN (0, 1) AND expires > ? ORDER BY state DESC LIMIT 1",
	    "bbtttq", APPROVAL_TYPES },
	[STORE_APPROVAL_OF_SESSION] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE session = ? AND state = ?"
	    " AND (next_run = 0 OR kind = 2)", "bq", APPROVAL_TYPES },
	[STORE_APPROVAL_FILES] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE kind = 2 AND state = 1 AND issuer = ? AND subject = ?"
	    " AND target = ? AND expires > ? ORDER BY created DESC LIMIT 20", "tttq", APPROVAL_TYPES },
	[STORE_APPROVAL_STATE] = { "UPDATE approval SET session = ?1, view = ?2, expires = ?3, state = ?4, decided = ?5, text = ?6,"
	    " spent = ?7, mac = ?8 WHERE id = ?9 AND state = ?10 AND mac = ?11 AND expires > ?12", "btqqqtqbtqbq", "", .topic = "approval", .key = 8 },
	[STORE_APPROVAL_PENDING] = { "SELECT count(*), coalesce(sum(length(view)), 0) FROM approval WHERE state = 0 AND kind <> 3"
	    " AND (?1 = '' OR (issuer = ?1 AND subject = ?2))", "tt", "qq" },
	[STORE_APPROVAL_DUE] = { "SELECT " APPROVAL_COLUMNS " FROM approval WHERE state IN (0, 1) AND expires <= ? LIMIT 100", "q",
	    APPROVAL_TYPES },
	[STORE_PROVIDER_KEEP] = { "INSERT INTO provider VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(issuer, jwks, what) DO UPDATE"
	    " SET text = excluded.text, at = excluded.at, mac = excluded.mac", "ttqtqb", "", .own = true },
	[STORE_PROVIDER_GET] = { "SELECT issuer, jwks, what, text, at, mac FROM provider WHERE issuer = ? AND jwks = ? ORDER BY what", "tt",
	    "ttqtqb", .own = true },
	[STORE_RENEWAL_KEEP] = { "INSERT INTO renewal VALUES(?, ?, ?, ?) ON CONFLICT(session) DO UPDATE SET token = excluded.token,"
	    " until = excluded.until, mac = excluded.mac", "btqb", "", .own = true },
	[STORE_RENEWAL_GET] = { "SELECT session, token, until, mac FROM renewal WHERE session = ?", "b", "btqb", .own = true },
	[STORE_RENEWAL_FORGET] = { "DELETE FROM renewal WHERE until < ?", "q", "", .own = true },
	[STORE_SIGNIN_KEEP] = { "INSERT INTO signin(" SIGNIN_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO"
	    " UPDATE SET principal = excluded.principal, checked = excluded.checked, ended = excluded.ended, why = excluded.why,"
	    " refresh = excluded.refresh, mac = excluded.mac WHERE signin.ended = 0", SIGNIN_TYPES, "", .topic = "signin", .key = 0 },
	[STORE_SIGNIN_GET] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE id = ?", "t", SIGNIN_TYPES },
	[STORE_SIGNIN_OF_HASH] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE hash = ?", "b", SIGNIN_TYPES },
	[STORE_SIGNIN_LIVE] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE identity = ? AND subject = ? AND ended = 0 AND expires > ?"
	    " ORDER BY created DESC LIMIT 8", "ttq", SIGNIN_TYPES },
	[STORE_SIGNIN_OF] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE issuer = ?1 AND (?2 = '' OR subject = ?2) AND (?3 = '' OR sid = ?3)"
	    " AND ended = 0 AND id > ?4 ORDER BY id LIMIT 8", "tttt", SIGNIN_TYPES },
	[STORE_SIGNIN_CHILDREN] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE parent = ? AND ended = 0 AND id > ? ORDER BY id LIMIT 8", "tt",
	    SIGNIN_TYPES },
	[STORE_SIGNIN_DUE] = { "SELECT " SIGNIN_COLUMNS " FROM signin WHERE identity = ?1 AND ended = 0 AND checked < ?2 AND expires > ?3 AND"
	    " length(refresh) > 0 LIMIT 64", "tqq", SIGNIN_TYPES },
	[STORE_SIGNIN_FORGET] = { "DELETE FROM signin WHERE expires < ?", "q", "" },
	[STORE_ESTIMATE_KEEP] = { "INSERT INTO estimate VALUES(?, ?, ?) ON CONFLICT(approval) DO UPDATE SET text = excluded.text, mac = excluded.mac",
	    ESTIMATE_MARKED "b", "" },
	[STORE_ESTIMATE_GET] = { "SELECT approval, text, mac FROM estimate WHERE approval = ?", "t", ESTIMATE_MARKED "b" },
	[STORE_SHARE_PUT] = { "INSERT INTO share VALUES(?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET value = excluded.value, until = excluded.until,"
	    " mac = excluded.mac", "bbbqb", "" },
	[STORE_SHARE_GET] = { "SELECT id, owner, value, until, mac FROM share WHERE id = ?", "b", "bbbqb" },
	[STORE_SHARE_ROOM] = { "DELETE FROM share WHERE owner = ?1 AND until <= (SELECT until FROM share WHERE owner = ?1 ORDER BY until DESC LIMIT 1"
	    " OFFSET ?2)", "bq", "" },
	[STORE_SHARE_FORGET] = { "DELETE FROM share WHERE until < ?", "q", "" },
	[STORE_GROUP_ADD] = { "INSERT INTO session_group VALUES(?, ?) ON CONFLICT DO NOTHING", "tb", "" },
	[STORE_GROUPS] = { "SELECT name FROM session_group WHERE session = ? ORDER BY name LIMIT 1000", "b", "t" },
	[STORE_VOTE_ADD] = { "INSERT INTO vote VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", VOTE_MARKED "b", "", .topic = "approval",
	    .key = V_APPROVAL },
	[STORE_VOTES] = { "SELECT approval, person, allow, by, reason, at, mac FROM vote WHERE approval = ? ORDER BY at", "t", VOTE_MARKED "b" },
	[STORE_GRANT_ADD] = { "INSERT INTO grants(" GRANT_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", GRANT_TYPES, "",
	    .topic = "grant", .key = G_ID },
	[STORE_GRANT_PREFIX] = { "SELECT id FROM grants WHERE id BETWEEN ? AND ? LIMIT 2", "tt", "t" },
	[STORE_GRANT_GET] = { "SELECT " GRANT_COLUMNS " FROM grants WHERE id = ?", "t", GRANT_TYPES },
	[STORE_GRANT_OF] = { "SELECT " GRANT_COLUMNS " FROM grants WHERE issuer = ? AND subject = ? AND target = ? AND state = 0 AND until > ?",
	    "tttq", GRANT_TYPES },
	[STORE_GRANT_LIST] = { "SELECT " GRANT_COLUMNS " FROM grants WHERE ?1 = 0 OR state = 0 ORDER BY since DESC LIMIT ?2", "qq", GRANT_TYPES },
	[STORE_GRANT_DUE] = { "SELECT " GRANT_COLUMNS " FROM grants WHERE state = 0 AND until <= ? LIMIT 100", "q", GRANT_TYPES },
	[STORE_GRANT_END] = { "UPDATE grants SET state = ?, ended = ?, text = ?, mac = ? WHERE id = ? AND state = 0 AND mac = ?", "qqtbtb", "",
	    .topic = "grant", .key = 4 },
	[STORE_TICKET_ADD] = { "INSERT INTO ticket(" TICKET_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", TICKET_TYPES, "" },
	[STORE_TICKET_GET] = { "SELECT " TICKET_COLUMNS " FROM ticket WHERE id = ?", "t", TICKET_TYPES },
	[STORE_TICKET_LIST] = { "SELECT " TICKET_COLUMNS " FROM ticket WHERE state = 0 AND start_by > ? ORDER BY created DESC LIMIT 200", "q",
	    TICKET_TYPES },
	[STORE_TICKET_OF] = { "SELECT " TICKET_COLUMNS " FROM ticket WHERE parent = ? AND state = 0 AND id > ? ORDER BY id LIMIT 200", "tt",
	    TICKET_TYPES },
	[STORE_TICKET_COUNT] = { "SELECT count(*) FROM ticket WHERE issuer = ?1 AND subject = ?2 AND ((state = 0 AND (start_by > ?3 OR created > ?4))"
	    " OR created > ?5)", "ttqqq", "q" },
	[STORE_TICKET_CHANGE] = { "UPDATE ticket SET host = ?, used = ?, state = ?, text = ?, mac = ? WHERE id = ? AND mac = ?", "tqqtbtb", "",
	    .topic = "ticket", .key = 5 },
	[STORE_TICKET_USE] = { "UPDATE ticket SET host = ?, used = ?, state = ?, text = ?, mac = ? WHERE id = ? AND mac = ?", "tqqtbtb", "" },
	[STORE_TICKET_FORGET] = { "DELETE FROM ticket WHERE start_by < ?", "q", "" },
	[STORE_CODE_ADD] = { "INSERT INTO code(" CODE_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", CODE_TYPES, "" },
	[STORE_CODE_GET] = { "SELECT " CODE_COLUMNS " FROM code WHERE id = ?", "t", CODE_TYPES },
	[STORE_CODE_OF_HASH] = { "SELECT " CODE_COLUMNS " FROM code WHERE hash = ?", "b", CODE_TYPES },
	[STORE_CODE_LIST] = { "SELECT " CODE_COLUMNS " FROM code ORDER BY created DESC LIMIT 500", "", CODE_TYPES },
	[STORE_CODE_CHANGE] = { "UPDATE code SET state = ?, changed = ?, text = ?, mac = ? WHERE id = ? AND state = 0 AND mac = ?", "qqtbtb", "" },
	[STORE_SIGNIN_LAST] = { "SELECT " SIGNIN_COLUMNS " FROM signin ORDER BY created DESC LIMIT 2000", "", SIGNIN_TYPES },
	[STORE_GATEWAY_SEEN] = { "INSERT INTO gateway VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET seen = excluded.seen", "tq", "" },
	[STORE_GATEWAYS_SILENT] = { "SELECT name FROM gateway WHERE name <> ? AND seen < ?", "tq", "t" },
	[STORE_GATEWAY_GONE] = { "DELETE FROM gateway WHERE name = ? AND seen < ?", "tq", "" },
	[STORE_WISH_ADD] = { "INSERT INTO wish VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING", "bttq", "", .topic = "wish", .key = 1 },
	[STORE_WISHES] = { "SELECT session, text FROM wish WHERE gateway = ?", "t", "bt" },
	[STORE_CHANGE_ADD] = { "INSERT INTO change VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING", "tqtb", "" },
	[STORE_CHANGERS] = { "SELECT DISTINCT gateway FROM change WHERE gateway <> ?", "t", "t" },
	[STORE_CHANGE_LAST] = { "SELECT coalesce(max(number), 0) FROM change WHERE gateway = ?", "t", "q" },
	[STORE_CHANGES] = { "SELECT gateway, number, topic, key FROM change WHERE gateway = ? AND number > ? AND topic <> 'limit' ORDER BY number"
	    " LIMIT 1000", "tq", "tqtb" },
	[STORE_CHANGES_LIMIT] = { "SELECT gateway, number, topic, key FROM change WHERE gateway = ? AND number > ? AND topic = 'limit'"
	    " ORDER BY number LIMIT 100", "tq", "tqtb" },
	[STORE_CHANGES_FORGET] = { "DELETE FROM change WHERE gateway = ?1 AND (number < ?2 OR (topic = 'limit' AND number < ?3))", "tqq", "" },
	[STORE_HOOK_ADD] = { "INSERT INTO hook(delivery, hook, gateway, body, created, due) VALUES(?, ?, ?, ?, ?, ?)", "ttttqq", "" },
	[STORE_HOOK_COUNT] = { "SELECT count(*) FROM hook WHERE hook = ? AND gateway = ?", "tt", "q" },
	[STORE_HOOKS_DUE] = { "SELECT delivery, hook, body, attempts FROM hook WHERE gateway = ? AND due <= ? ORDER BY due LIMIT ?", "tqq", "tttq" },
	[STORE_HOOK_AGAIN] = { "UPDATE hook SET attempts = ?, due = ? WHERE delivery = ?", "qqt", "" },
	[STORE_HOOK_DONE] = { "DELETE FROM hook WHERE delivery = ?", "t", "" },
	[STORE_WISHES_DONE] = { "DELETE FROM wish WHERE gateway = ?", "t", "" },
};


struct store {
	struct engine *own, *shared; /* the same where nothing is shared */
};

int
store_open(const char *path, const struct store_server *server, struct store **s_r, const char **err_r)
{
	struct store *s = mem_alloc(sizeof(*s));
	int rc = store_sqlite_open(path, &s->own, err_r);
	if (rc == SP_OK && server != NULL)
		rc = store_postgres_open(server, &s->shared, err_r);
	else
		s->shared = s->own;
	if (rc != SP_OK)
		store_close(&s);
	*s_r = s;
	return rc;
}

void
store_close(struct store **s)
{
	if (*s == NULL)
		return;
	if ((*s)->shared != NULL && (*s)->shared != (*s)->own)
		(*s)->shared->kind->close((*s)->shared);
	if ((*s)->own != NULL)
		(*s)->own->kind->close((*s)->own);
	free(*s);
	*s = NULL;
}

static uint64_t last;

void
store_number_after(uint64_t number)
{
	last = number > last ? number : last;
}

uint64_t
store_number(void)
{
	uint64_t now = clock_wall_us();
	return last = now > last ? now : last + 1;
}

bool
store_shared(const struct store *s)
{
	return s->shared != s->own;
}

static struct engine *
engine_of(const struct store *s, enum store_statement which)
{
	return store_table[which].own ? s->own : s->shared;
}

long
store_write(struct store *s, enum store_statement which, const struct field *args)
{
	struct engine *e = engine_of(s, which);
	return e->kind->write(e, which, args);
}

int
store_read(struct store *s, enum store_statement which, const struct field *args, store_row *row, void *owner)
{
	struct engine *e = engine_of(s, which);
	return e->kind->read(e, which, args, row, owner);
}

bool
store_dirty(const struct store *s)
{
	return s->own->dirty || s->shared->dirty;
}

/* What is shared first: what others have seen is promised, the ledger is asked for again. */
int
store_commit(struct store *s)
{
	int rc = s->shared->dirty ? s->shared->kind->commit(s->shared) : SP_OK;
	return rc == SP_OK && s->own->dirty ? s->own->kind->commit(s->own) : rc;
}
