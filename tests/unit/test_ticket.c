/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets by the keeper's messages: proved without a password on the wire, and the four ways in which one is no longer good. */
#include <config.h>

#include <fcntl.h>
#include <sqlite3.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "core/keeper/code.h"
#include "core/keeper/scram.h"
#include "core/keeper/signin.h"
#include "core/keeper/ticket.h"

static const char conf[] =
    "local_issuer on;\n"
    "control /tmp/nowhere.sock may=mint;\n"
    "load_module postgres;\n"
    "listener pg { listen 0.0.0.0:5432; protocol postgres; cleartext loopback; }\n"
    "listener ssh { listen 0.0.0.0:2222; protocol ssh; host_key /k; }\n"
    "listener pgs { listen 10.0.0.1:5433; public db.example.com:6543; protocol postgres; tls cert=/c key=/k; }\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev users=unix:root; login user=app"
    " secret=env:KEEPER_TEST_SECRET; }\n"
    "target host { protocol ssh; server 127.0.0.1:6; host_key SHA256:x; policy p.lua; allow groups=dba,dev; login user=app secret=env:KEEPER_TEST_SECRET cleartext=on; }\n"
    "target vault { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dba,dev,leads; login user=app"
    " secret=env:KEEPER_TEST_SECRET; access grant approvers=leads; }\n";

#include "keeper_world.h"

struct made {
	char id[64], password[64];
};

static struct made
make(const char *user, const char *args)
{
	struct made m = { "", "" };
	json_t *j = call(token_of(user, "dev", AUDIENCE_API), 0, CALL_TICKET, args, 200);
	(void)snprintf(m.id, sizeof(m.id), "%s", json_string_value(json_object_get(j, "id")));
	(void)snprintf(m.password, sizeof(m.password), "%s", json_string_value(json_object_get(j, "password")));
	CU_ASSERT_EQUAL(strlen(m.id), 24);
	CU_ASSERT_EQUAL(strlen(m.password), 32);
	json_decref(j);
	return m;
}

static const struct message *
say(unsigned n, const char *user, const char *target, struct sp_bytes text, const char *address)
{
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id(n)), Q(SP_PROOF_SCRAM), S(text), Z(user), Z(target), Z(""), Z(address),
	    Z("postgres"), Q(1) } };
	return fake_ask(&f, &f.worker, &m, MSG_ADMITTED);
}

/* The whole exchange; what the client hears when it is not let in, "" when it is. */
static const char *
login_at(unsigned n, const struct made *t, const char *target, const char *address)
{
	static char text[512];
	struct scram s = { .salt_len = 0 };
	struct scram_keys keys;
	struct buffer one = { 0 }, two = { 0 };
	const char *why = NULL;
	CU_ASSERT_EQUAL_FATAL(scram_first(&s, false, (struct sp_bytes){ NULL, 0 }, &one), SP_OK);
	const struct message *m = say(n, t->id, target, buffer_bytes(&one), address);
	CU_ASSERT_FATAL(m != NULL && m->f[1].q == SP_CHALLENGE);
	CU_ASSERT_EQUAL_FATAL(scram_server_first(&s, m->f[3].s, &why), SP_OK);
	struct scram_derivation *d = scram_derive_begin(sp_str(t->password), (struct sp_bytes){ s.salt, s.salt_len }, s.iterations);
	while (!scram_derive_step(d, 100000, &keys))
		;
	scram_derive_end(&d);
	CU_ASSERT_EQUAL_FATAL(scram_final(&s, &keys, &two), SP_OK);
	m = say(n, t->id, target, buffer_bytes(&two), address);
	CU_ASSERT_FATAL(m != NULL && (m->f[1].q == SP_ADMIT || m->f[1].q == SP_REFUSE));
	bool in = m->f[1].q == SP_ADMIT;
	(void)snprintf(text, sizeof(text), "%.*s", in ? 0 : (int)m->f[2].s.len, (const char *)m->f[2].s.p);
	CU_ASSERT(!in || scram_server_final(&s, m->f[3].s, &why) == SP_OK); /* it is us who know the verifier */
	buffer_free(&one);
	buffer_free(&two);
	scram_clear(&s);
	return text;
}

static const char *
login(unsigned n, const struct made *t)
{
	return login_at(n, t, "orders", "10.0.0.1:4711");
}

static bool
says(const char *heard, const char *words)
{
	if (strstr(heard, words) == NULL)
		printf("heard \"%s\", not \"%s\"\n", heard, words);
	return strstr(heard, words) != NULL;
}

static const char *
ending(const struct made *t)
{
	static char args[128];
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", t->id);
	return args;
}

/* The password itself, of a protocol that knows nothing better; the ticket says the target. */
static const char *
show(unsigned n, const struct made *t, const char *target, const char *address)
{
	static char text[512];
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id(n)), Q(SP_PROOF_TICKET), Z(t->password), Z(t->id), Z(target), Z(""), Z(address),
	    Z("ssh"), Q(1) } };
	const struct message *r = fake_ask(&f, &f.worker, &m, MSG_ADMITTED);
	CU_ASSERT_FATAL(r != NULL && (r->f[1].q == SP_ADMIT || r->f[1].q == SP_REFUSE));
	(void)snprintf(text, sizeof(text), "%.*s", r->f[1].q == SP_ADMIT ? 0 : (int)r->f[2].s.len, (const char *)r->f[2].s.p);
	return text;
}

#define DENIED "access denied"
#define USED_UP "used up"
#define EXPIRED "has expired"
#define ELSEWHERE "another address"
#define REVOKED "was revoked"

static void
test_connect(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\",\"once\":true}");
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	const struct live *s = live_find(&f.k, id(0));
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_STRING_EQUAL(s->principal.user, "ann");
	CU_ASSERT_STRING_EQUAL(s->principal.token, t.id); /* AP4: the credential that approvals are bound to */
	CU_ASSERT(says(login(1, &t), USED_UP));
	closed(0);
	CU_ASSERT(says(login(2, &t), USED_UP));
	stop();
}

static void
test_ticket(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}"), wrong = t;
	for (unsigned i = 0; i < TICKET_AT_ONCE; i++)
		CU_ASSERT_STRING_EQUAL(login(i, &t), "");
	CU_ASSERT(says(login(20, &t), "ten open sessions"));
	closed(3);
	CU_ASSERT_STRING_EQUAL(login(21, &t), "");
	closed(21);
	CU_ASSERT(says(login_at(22, &t, "orders", "10.0.0.2:4711"), ELSEWHERE));
	CU_ASSERT(says(login_at(23, &t, "vault", "10.0.0.1:1"), "another target"));
	wrong.password[0] ^= 1; /* who can't prove it learns nothing */
	CU_ASSERT(says(login_at(24, &wrong, "orders", "10.0.0.2:4711"), DENIED));
	wrong = (struct made){ "spt-00000000000000000000", "x" };
	CU_ASSERT(says(login(25, &wrong), DENIED)); /* no such ticket: the same exchange */
	CU_ASSERT_STRING_EQUAL(login(26, &t), "");
	stop();
}

static void
test_shown(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"host\"}"), wrong = t, other = make("ann", "{\"target\":\"orders\"}");
	struct made once = make("ann", "{\"target\":\"host\",\"once\":true}"), brief = make("ann", "{\"target\":\"host\",\"for\":1}");
	CU_ASSERT_STRING_EQUAL(show(0, &t, "", "10.0.0.1:1"), "");
	const struct live *s = live_find(&f.k, id(0));
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_STRING_EQUAL(s->target, "host");
	CU_ASSERT_STRING_EQUAL(s->principal.user, "ann");
	CU_ASSERT_STRING_EQUAL(s->principal.token, t.id); /* AP4 */
	CU_ASSERT_STRING_EQUAL(show(1, &t, "host", "10.0.0.1:2"), "");
	CU_ASSERT(says(show(2, &t, "vault", "10.0.0.1:2"), "another target"));
	CU_ASSERT(says(show(3, &other, "", "10.0.0.1:2"), "another target")); /* of another protocol */
	CU_ASSERT(says(show(4, &t, "", "10.0.0.2:2"), ELSEWHERE));
	CU_ASSERT_STRING_EQUAL(show(5, &once, "", "10.0.0.1:1"), "");
	CU_ASSERT(says(show(6, &once, "", "10.0.0.1:1"), USED_UP));
	(void)usleep(3000);
	CU_ASSERT(says(show(7, &brief, "", "10.0.0.1:1"), EXPIRED));
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET_END, ending(&t), 200);
	CU_ASSERT(says(show(8, &t, "", "10.0.0.1:1"), REVOKED));
	wrong.password[0] ^= 1; /* who does not know it learns nothing */
	CU_ASSERT(says(show(9, &wrong, "", "10.0.0.1:1"), DENIED));
	wrong.password[0] = '\0';
	CU_ASSERT(says(show(10, &wrong, "", "10.0.0.1:1"), DENIED));
	(void)snprintf(wrong.id, sizeof(wrong.id), "spt-00000000000000000000");
	CU_ASSERT(says(show(11, &wrong, "", "10.0.0.1:1"), DENIED));
	(void)snprintf(wrong.id, sizeof(wrong.id), "%060d", 0);
	CU_ASSERT(says(show(12, &wrong, "", "10.0.0.1:1"), DENIED));
	stop();
}

static void
test_window(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\",\"for\":1}");
	(void)usleep(3000);
	CU_ASSERT(says(login(1, &t), EXPIRED));
	/* A quarter of an hour, where nothing else is asked for. */
	struct ticket row;
	struct arena *a = arena_new(0);
	json_t *j = call(token_lasting("ann", "dev", AUDIENCE_API, 3600000), 0, CALL_TICKET, "{\"target\":\"orders\"}", 200);
	CU_ASSERT_EQUAL_FATAL(ticket_get(&f.k, a, json_string_value(json_object_get(j, "id")), &row), SP_OK);
	json_decref(j);
	CU_ASSERT(row.window > clock_wall_us() + 840ull * 1000000 && row.window <= clock_wall_us() + 900ull * 1000000);
	arena_free(&a);
	t = make("ann", "{\"target\":\"orders\",\"for\":60000}");
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	const struct live *s = live_find(&f.k, id(0)); /* who is in stays in: until the sign-in ends */
	CU_ASSERT(s != NULL && s->expires > clock_wall_us() + 120ull * 1000000);
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\",\"for\":86400001}", 403);
	stop();
}

static void
test_ended(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}"), other = make("ann", "{\"target\":\"orders\"}");
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	CU_ASSERT_STRING_EQUAL(login(1, &other), "");
	expect_call(token_of("bob", "dev", AUDIENCE_API), 0, CALL_TICKET_END, ending(&t), 404);
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET_END, ending(&t), 200);
	const struct message *kill = fake_heard(&f.worker, MSG_KILL);
	CU_ASSERT(kill != NULL && sp_bytes_eq(kill->f[0].s, id(0))); /* its session, not the other's */
	CU_ASSERT(says(login(2, &t), REVOKED));
	CU_ASSERT_STRING_EQUAL(login(3, &other), "");
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET_END, ending(&t), 409);
	stop();
}

static void
test_revoked(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}");
	caller(1, "root");
	expect_call("", 1, CALL_REVOKE, "{\"user\":\"ann\"}", 200);
	CU_ASSERT(says(login(0, &t), REVOKED));
	stop();
}

static int
take_id(void *owner, const struct field *row)
{
	(void)snprintf(owner, ID_TEXT, "%.*s", (int)row[0].s.len, (const char *)row[0].s.p);
	return SP_OK;
}

/* A ticket dies with the sign-in, or the token, that it was made with. */
static void
test_parent(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}");
	struct arena *a = arena_new(0);
	struct ticket row;
	CU_ASSERT_EQUAL_FATAL(ticket_get(&f.k, a, t.id, &row), SP_OK);
	CU_ASSERT(strlen(row.parent) > 0 && strcmp(row.parent, t.id) != 0);
	CU_ASSERT(row.who.expires > 0 && row.window <= row.who.expires); /* never longer than it */
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	ticket_end_of(&f.k, row.parent, "signed out");
	fake_turn(&f);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_KILL));
	CU_ASSERT(says(login(1, &t), REVOKED));
	arena_free(&a);
	stop();
}

static struct verified
ann_by(const char *token, const char *subject)
{
	return (struct verified){ .principal = { .identity = "local", .issuer = LOCAL_ISSUER, .user = "ann", .subject = subject, .name = "ann",
		.person = "ann", .sponsor = "", .class = "human", .token = token, .expires = clock_wall_us() + 3600ull * 1000000,
		.groups = { (const char *[]){ "dev" }, 0 } } };
}

/* P6: all of them end, however many there are, and however short the window for which they were asked. */
static void
test_parent_of_many(void)
{
	enum { SUBJECTS = 5, EACH = 50 };
	struct made first = { "", "" }, last = { "", "" };
	start();
	new_ids();
	for (unsigned i = 0; i < SUBJECTS * EACH; i++) {
		char subject[16];
		struct ticket_made made;
		(void)snprintf(subject, sizeof(subject), "s%u", i / EACH);
		const struct verified v = ann_by("a sign-in", subject);
		const struct ticket_wish w = { .who = &v, .target = settings_target(keeper_settings(&f.k), "orders"), .kind = TICKET_MANY,
			.span = i % 2 == 0 ? 1 : 0 };
		const char *why = ticket_make(&f.k, &w, &made);
		CU_ASSERT_PTR_NULL_FATAL(why);
		struct made *m = i == 1 ? &first : &last;
		(void)snprintf(m->id, sizeof(m->id), "%s", made.id);
		(void)snprintf(m->password, sizeof(m->password), "%s", made.password);
	}
	ticket_end_of(&f.k, "a sign-in", "signed out");
	CU_ASSERT(says(login(1, &first), REVOKED));
	CU_ASSERT(says(login(2, &last), REVOKED));
	stop();
}

/* Also one that nobody ended: made at another gateway while this one ended the sign-in. */
static void
test_parent_ended(void)
{
	struct buffer secret = { 0 };
	struct ticket_made made;
	struct ticket row;
	struct verified v = ann_by("", "ann");
	const char *why = "";
	start();
	new_ids();
	const struct signin_wanted wanted = { .principal = &v.principal, .parent = "", .sid = "", .expires = v.principal.expires };
	CU_ASSERT_EQUAL_FATAL(signin_new(&f.k, &wanted, &secret), SP_OK);
	struct arena *a = arena_new(0);
	uint8_t hash[DIGEST_LEN];
	digest_sha256(buffer_bytes(&secret), hash);
	char parent[ID_TEXT] = "";
	const struct field by[] = { S(((struct sp_bytes){ hash, DIGEST_LEN })) };
	CU_ASSERT_EQUAL_FATAL(store_read(f.k.store, STORE_SIGNIN_OF_HASH, by, take_id, parent), SP_OK);
	v.principal.token = parent;
	const struct ticket_wish w = { .who = &v, .target = settings_target(keeper_settings(&f.k), "orders"), .kind = TICKET_MANY };
	CU_ASSERT_PTR_NULL(ticket_make(&f.k, &w, &made));
	CU_ASSERT_EQUAL_FATAL(ticket_get(&f.k, a, made.id, &row), SP_OK);
	why = ticket_refuses(&f.k, a, &row, "orders", "10.0.0.1");
	CU_ASSERT_PTR_NULL(why);
	(void)signin_end(&f.k, parent, "logged out");
	CU_ASSERT_PTR_NULL(ticket_make(&f.k, &w, &made));
	CU_ASSERT_EQUAL_FATAL(ticket_get(&f.k, a, made.id, &row), SP_OK);
	CU_ASSERT_EQUAL(row.state, TICKET_LIVE);
	why = ticket_refuses(&f.k, a, &row, "orders", "10.0.0.1");
	CU_ASSERT(why != NULL && strstr(why, REVOKED) != NULL);
	arena_free(&a);
	buffer_free(&secret);
	stop();
}

static void
test_grant(void)
{
	char approve[128];
	start();
	new_ids();
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"vault\"}", 403);
	json_t *j = call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_ASK, "{\"target\":\"vault\",\"for\":60000,\"reason\":\"x\"}", 200);
	(void)snprintf(approve, sizeof(approve), "{\"id\":\"%s\"}", json_string_value(json_object_get(j, "id")));
	json_decref(j);
	expect_call(token_of("lea", "leads", AUDIENCE_API), 0, CALL_APPROVE, approve, 200);
	struct made t = make("ann", "{\"target\":\"vault\",\"for\":3600000}");
	struct arena *a = arena_new(0);
	struct ticket row;
	CU_ASSERT_EQUAL_FATAL(ticket_get(&f.k, a, t.id, &row), SP_OK);
	CU_ASSERT(row.window <= clock_wall_us() + 60ull * 1000000); /* not beyond the grant */
	CU_ASSERT_STRING_EQUAL(login_at(0, &t, "vault", "10.0.0.1:1"), "");
	expect_call(token_of("lea", "leads", AUDIENCE_API), 0, CALL_END, approve, 200);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_KILL));
	CU_ASSERT(says(login_at(1, &t, "vault", "10.0.0.1:1"), REVOKED));
	arena_free(&a);
	stop();
}

/* What an identity vouched for ends when the configuration has it no more: sessions, tickets, codes. */
static void
test_identity_gone(void)
{
	char text[2048];
	const char *why = "";
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}");
	caller(1, "root");
	json_t *j = call("", 1, CALL_CODES_MAKE, "{\"user\":\"ann\",\"groups\":[\"dev\"],\"count\":1}", 200);
	char code[64];
	(void)snprintf(code, sizeof(code), "%s", json_string_value(json_object_get(json_array_get(json_object_get(j, "codes"), 0), "code")));
	json_decref(j);
	struct arena *a = arena_new(0);
	struct code c;
	CU_ASSERT_EQUAL(code_find(&f.k, sp_str(code), a, &c), SP_OK);
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	CU_ASSERT(admitted(1, token_of("bob", "dev", AUDIENCE_DATA), "bob", "orders"));
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; %s", f.folder, strchr(conf, '\n'));
	CU_ASSERT_EQUAL_FATAL(keeper_epoch(&f.k, fake_epoch(text, 2), &why), SP_OK);
	for (unsigned i = 0; i < 2; i++) {
		const struct live *s = live_find(&f.k, id(i));
		CU_ASSERT(s == NULL || s->ended);
	}
	CU_ASSERT(says(login(2, &t), REVOKED));
	CU_ASSERT_EQUAL(code_find(&f.k, sp_str(code), a, &c), SP_EPROTO);
	arena_free(&a);
	stop();
}

/* Where it is good, and for whom there is none. */
static void
test_answer(void)
{
	start();
	json_t *j = call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\"}", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "host")), "db.example.com");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "port")), 6543);
	CU_ASSERT(json_is_true(json_object_get(j, "tls")));
	json_decref(j);
	expect_call(token_of("zoe", "other", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\"}", 404);
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"nowhere\"}", 404);
	caller(1, "root");
	expect_call("", 1, CALL_TICKET, "{\"target\":\"orders\"}", 200);
	j = call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKETS, "{}", 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "tickets")), 1); /* hers, not root's */
	CU_ASSERT_PTR_NULL(json_object_get(json_array_get(json_object_get(j, "tickets"), 0), "password"));
	json_decref(j);
	stop();
}

/* A proof is for one challenge, in the session that it was made for. */
static void
test_order(void)
{
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\"}");
	const struct message *m = say(0, t.id, "orders", SP_LIT("c=biws,r=x,p=AAAA"), "10.0.0.1:1");
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE); /* the last comes first */
	m = say(0, t.id, "orders", SP_LIT("n,,n=,r=abc"), "10.0.0.1:1");
	CU_ASSERT(m != NULL && m->f[1].q == SP_CHALLENGE);
	m = say(0, t.id, "orders", SP_LIT("n,,n=,r=abc"), "10.0.0.1:1");
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	m = say(0, t.id, "orders", SP_LIT("n,,n=,r=abc"), "10.0.0.1:1");
	CU_ASSERT(m != NULL && m->f[1].q == SP_CHALLENGE); /* from the beginning */
	closed(0); /* the client left: the log-in is forgotten */
	CU_ASSERT(!ticket_under_way(&f.k, id(0)));
	m = say(1, t.id, "orders", SP_LIT("n,,n=,r=abc"), "10.0.0.1:1");
	fake_leave(&f, &f.worker);
	CU_ASSERT(!ticket_under_way(&f.k, id(1))); /* and with its worker */
	stop();
}

static void
test_restart(void)
{
	const char *why = "";
	start();
	new_ids();
	struct made t = make("ann", "{\"target\":\"orders\",\"once\":true}"), many = make("ann", "{\"target\":\"orders\"}");
	CU_ASSERT_STRING_EQUAL(login(0, &t), "");
	fake_stop(&f);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
	fake_links(&f);
	CU_ASSERT(says(login(1, &t), USED_UP));
	CU_ASSERT_STRING_EQUAL(login(2, &many), "");
	stop();
}

/* P5: nothing in the store is a password, or stands for one; a row of somebody else's is no ticket. */
static void
test_store(void)
{
	static const char *const altered[] = { "UPDATE ticket SET used = 0", "UPDATE ticket SET start_by = start_by + 1000000",
		"UPDATE ticket SET target = 'vault'", "UPDATE ticket SET principal = replace(principal, 'ann', 'bob')", "UPDATE ticket SET state = 0, kind = 1" };
	char path[128];
	for (size_t i = 0; i < sizeof(altered) / sizeof(*altered); i++) {
		const char *why = "";
		sqlite3 *db;
		start();
		new_ids();
		struct made t = make("ann", "{\"target\":\"orders\",\"once\":true}");
		CU_ASSERT_STRING_EQUAL(login(0, &t), "");
		closed(0);
		fake_stop(&f);
		(void)snprintf(path, sizeof(path), "%s/state.db", f.folder);
		CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_exec(db, altered[i], NULL, NULL, NULL), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_total_changes(db), 1);
		CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
		FILE *in = fopen(path, "r");
		CU_ASSERT_PTR_NOT_NULL_FATAL(in);
		char *all = mem_alloc(1u << 20);
		size_t n = fread(all, 1, 1u << 20, in);
		(void)fclose(in);
		CU_ASSERT(n > 4096 && memmem(all, n, t.id, strlen(t.id)) != NULL && memmem(all, n, t.password, strlen(t.password)) == NULL);
		free(all);
		CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
		fake_links(&f);
		CU_ASSERT(says(login(1, &t), DENIED));
		stop();
	}
}

static void
test_flood(void)
{
	start();
	for (unsigned i = 0; i < 100; i++)
		expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\"}", 200);
	expect_call(token_of("ann", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\"}", 403);
	expect_call(token_of("bob", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\"}", 200);
	/* Those whose window was a moment, and those that were ended at once, were made all the same. */
	for (unsigned i = 0; i < 100; i++) {
		json_t *j = call(token_of("cid", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\",\"for\":1}", 200);
		struct made t = { "", "" };
		(void)snprintf(t.id, sizeof(t.id), "%s", json_string_value(json_object_get(j, "id")));
		json_decref(j);
		if (i % 2 == 0)
			expect_call(token_of("cid", "dev", AUDIENCE_API), 0, CALL_TICKET_END, ending(&t), 200);
	}
	expect_call(token_of("cid", "dev", AUDIENCE_API), 0, CALL_TICKET, "{\"target\":\"orders\",\"for\":1}", 403);
	stop();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "one session", test_connect },
		{ "many sessions", test_ticket },
		{ "shown as it is", test_shown },
		{ "its window", test_window },
		{ "ended", test_ended },
		{ "revoked", test_revoked },
		{ "its sign-in ended", test_parent },
		{ "its sign-in ended, and it is one of many", test_parent_of_many },
		{ "its sign-in ended, and nobody ended it", test_parent_ended },
		{ "its grant ended", test_grant },
		{ "its identity is gone", test_identity_gone },
		{ "the answer", test_answer },
		{ "messages out of order", test_order },
		{ "after a restart", test_restart },
		{ "the store", test_store },
		{ "too many", test_flood },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("ticket", tests);
}
