/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ephemeral logins as the keeper sees them: what a lender is asked, what it may answer, what a worker may
 * do meanwhile, what is given back and swept; and the mark that a role of ours bears.
 */
#include <config.h>

#include <gnutls/gnutls.h>

#include "cunit_main.h"
#include "keeper_fake.h"

#include "core/helper/lend.h"
#include "core/keeper/lend.h"
#include "core/keeper/scram.h"

static const char conf[] =
    "local_issuer on;\nload_module postgres;\nstore_grace 1s;\n"
    "target eph { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; database shop;"
    " login ephemeral role=staff; catalogue user=cat secret=env:KEEPER_TEST_SECRET; admin user=adm secret=env:KEEPER_TEST_ADMIN;"
    " limit per_user=2; }\n"
    "target fixed { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app secret=env:KEEPER_TEST_SECRET; }\n"
    "target other { protocol postgres; server 127.0.0.1:6; tls off; policy p.lua; allow groups=dev;"
    " login ephemeral role=staff; catalogue user=cat secret=env:KEEPER_TEST_SECRET; admin user=adm secret=env:KEEPER_TEST_ADMIN; }\n"
    "vault main { server https://v.example.com; token env:KEEPER_TEST_SECRET; }\n"
    "target dyn { protocol postgres; server 127.0.0.1:7; tls off; policy p.lua; allow groups=dev;"
    " login vault=main path=database/creds/app dynamic; catalogue user=cat secret=env:KEEPER_TEST_SECRET; }\n";

static struct fake f;
static struct peer lender, second, vault;
static uint8_t ids[16][ID_LEN];

static struct sp_bytes
id(unsigned n)
{
	return (struct sp_bytes){ ids[n], ID_LEN };
}

static void
start(void)
{
	const char *why = "";
	(void)setenv("KEEPER_TEST_SECRET", "pencil", 1);
	(void)setenv("KEEPER_TEST_ADMIN", "hush", 1);
	fake_folder(&f);
	for (size_t i = 0; i < 16; i++)
		id_new(ids[i]);
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
	fake_links(&f);
	fake_connect(&f, &lender, ROLE_LEND, 0);
	fake_connect(&f, &second, ROLE_LEND, 1);
	fake_connect(&f, &vault, ROLE_LEND, 2);
}

static void
stop(void)
{
	fake_stop(&f);
	fake_forget(&lender);
	fake_forget(&second);
	fake_forget(&vault);
	link_free(&lender.link);
	link_free(&second.link);
	link_free(&vault.link);
	fake_clean(&f);
}

static const char *
token(const char *user)
{
	static char text[2048];
	static const char *group = "dev";
	struct buffer b = { 0 };
	uint64_t expires;
	const char *why = "";
	const struct token_request q = { .user = user, .class = "human", .groups = { &group, 1 }, .ttl = 600000, .audience = AUDIENCE_DATA };
	CU_ASSERT_EQUAL_FATAL(issuer_mint(&f.k.keys.issuer, &q, &b, &expires, &why), SP_OK);
	(void)snprintf(text, sizeof(text), "%.*s", (int)b.len, (const char *)buffer_bytes(&b).p);
	buffer_free(&b);
	return text;
}

/* The answer, or NULL: none yet. */
static const struct message *
authenticate(unsigned n, const char *target)
{
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(id(n)), Q(SP_PROOF_BEARER), Z(token("ann")), Z("ann"), Z(target), Z(""),
	    Z("10.0.0.1:4711"), Z("postgres"), Q(1) } };
	fake_forget(&lender);
	fake_forget(&second);
	return fake_ask(&f, &f.worker, &m, MSG_ADMITTED);
}

static const struct message *
prove(unsigned n, const char *mechanism, unsigned step, struct sp_bytes in)
{
	struct message m = { .type = MSG_PROVE, .f = { S(id(n)), Z(mechanism), Q(step), S(in), Z("") } };
	const struct message *answer = fake_ask(&f, &f.worker, &m, MSG_PROVED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	return answer;
}

static struct lent_scram
keys_of(uint8_t fill)
{
	struct lent_scram k = { .iterations = { 0, 0, 0x10, 0 } };
	memset(k.salt, fill, sizeof(k.salt));
	memset(&k.keys, fill + 1, sizeof(k.keys));
	return k;
}

/* A lender's answer; the worker hears what comes of it. */
static void
lend(struct peer *from, unsigned n, bool ok, const char *role)
{
	struct lent_scram k = keys_of(7);
	const struct message m = { .type = MSG_LENT, .f = { S(id(n)), Q(ok), Z(role), S(((struct sp_bytes){ (const uint8_t *)&k, ok ? sizeof(k) : 0 })),
	    Q(0), Z(ok ? "" : "no such parent") } };
	fake_forget(&f.worker);
	CU_ASSERT_EQUAL(link_send(from->link, &m), SP_OK);
	fake_turn(&f);
}

static void
closed(unsigned n)
{
	struct message m = { .type = MSG_CLOSED, .f = { S(id(n)), Q(SP_END_EOF), Z(""), Q(3), Q(1), Q(10), Q(100) } };
	(void)fake_ask(&f, &f.worker, &m, 0);
}

static json_t *
job_of(const struct message *m, unsigned at)
{
	json_t *j = m == NULL ? NULL : json_loadb((const char *)m->f[at].s.p, m->f[at].s.len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	return j;
}

static bool
says(const json_t *j, const char *name, const char *value)
{
	const char *text = json_string_value(json_object_get(j, name));
	return text != NULL && strcmp(text, value) == 0;
}

/* ---- admission ---- */

static void
admission_waits(void) /* P10: and delays nobody else's */
{
	char name[ID_TEXT];
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	const struct message *m = fake_heard(&lender, MSG_LEND);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(sp_bytes_eq(m->f[0].s, id(0)) && sp_bytes_is(m->f[1].s, "eph") && sp_bytes_is(m->f[3].s, "hush"));
	json_t *job = job_of(m, 2);
	CU_ASSERT(says(job, "what", "role") && says(job, "server", "127.0.0.1:5") && says(job, "database", "shop") && says(job, "admin", "adm") &&
	    says(job, "role", "staff") && says(job, "user", "ann") && says(job, "session", id_format(ids[0], name)));
	json_decref(job);
	CU_ASSERT_PTR_NULL(fake_heard(&second, MSG_LEND)); /* another admin's: ID13 */
	m = authenticate(1, "fixed");
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT && sp_bytes_is(m->f[6].s, "app"));
	lend(&lender, 0, true, "sallyport_ann_x");
	m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->f[1].q == SP_ADMIT && sp_bytes_eq(m->f[0].s, id(0)) && sp_bytes_is(m->f[5].s, "eph") && sp_bytes_is(m->f[6].s, "sallyport_ann_x"));
	stop();
}

static void
waiting_ones_count(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	CU_ASSERT_PTR_NULL(authenticate(1, "eph"));
	const struct message *m = authenticate(2, "eph");
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE); /* per_user=2 */
	stop();
}

static void
no_proof_before_it_is_lent(void) /* P5: nor for another session, nor with other keys, nor of a password */
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	CU_ASSERT_EQUAL(prove(0, "SCRAM-SHA-256", 0, SP_LIT(""))->f[1].q, 0);
	lend(&lender, 0, true, "sallyport_ann_x");
	CU_ASSERT_EQUAL(prove(1, "SCRAM-SHA-256", 0, SP_LIT(""))->f[1].q, 0);
	CU_ASSERT_EQUAL(prove(0, "password", 0, SP_LIT(""))->f[1].q, 0);
	closed(0);
	CU_ASSERT_PTR_NULL(authenticate(2, "eph"));
	lend(&lender, 2, true, "sallyport_ann_y");
	CU_ASSERT_EQUAL(prove(2, "md5", 0, SP_LIT("salt"))->f[1].q, 0);
	stop();
}

static const struct message *
scram_with(unsigned n, const char *salt)
{
	char first[256];
	const struct message *m = prove(n, "SCRAM-SHA-256", 0, SP_LIT(""));
	CU_ASSERT_EQUAL_FATAL(m->f[1].q, 1);
	struct sp_reader r = sp_reader(m->f[2].s);
	(void)sp_rd_take(&r, 3 + 3 + 2); /* n,,n=,r= */
	struct sp_bytes nonce = sp_rd_rest(&r);
	(void)snprintf(first, sizeof(first), "r=%.*sMORE,s=%s,i=4096", (int)nonce.len, (const char *)nonce.p, salt);
	return prove(n, "SCRAM-SHA-256", 1, sp_str(first));
}

static void
proof_of_a_lent_role(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	lend(&lender, 0, true, "sallyport_ann_x");
	CU_ASSERT_EQUAL(scram_with(0, "BwcHBwcHBwcHBwcHBwcHBw==")->f[1].q, 1); /* sixteen times 7 */
	CU_ASSERT_PTR_NULL(authenticate(1, "eph"));
	lend(&lender, 1, true, "sallyport_ann_y");
	CU_ASSERT_EQUAL(scram_with(1, "CAgICAgICAgICAgICAgICA==")->f[1].q, 0); /* P12: another salt is another role's */
	stop();
}

static void
refusals(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	lend(&lender, 0, false, "");
	const struct message *m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	CU_ASSERT_PTR_NULL(live_find(&f.k, id(0)));
	CU_ASSERT_PTR_NULL(authenticate(1, "eph"));
	fake_forget(&f.worker);
	fake_leave(&f, &lender);
	m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	/* The lender is away: asked once it is there. */
	CU_ASSERT_PTR_NULL(authenticate(2, "eph"));
	fake_connect(&f, &lender, ROLE_LEND, 0);
	fake_turn(&f);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&lender, MSG_LEND));
	lend(&lender, 2, true, "sallyport_ann_z");
	m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(m != NULL && m->f[1].q == SP_ADMIT);
	stop();
}

/* ---- giving back ---- */

static void
given_back_at_the_end(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	lend(&lender, 0, true, "sallyport_ann_x");
	fake_forget(&lender);
	closed(0);
	const struct message *m = fake_heard(&lender, MSG_RETURN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(sp_bytes_eq(m->f[0].s, id(0)) && sp_bytes_is(m->f[1].s, "eph") && sp_bytes_is(m->f[2].s, "sallyport_ann_x") && sp_bytes_is(m->f[4].s, "hush"));
	json_decref(job_of(m, 3));
	/* Not until it says that it did: a new lender hears of it again. */
	fake_leave(&f, &lender);
	fake_connect(&f, &lender, ROLE_LEND, 0);
	fake_turn(&f);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&lender, MSG_RETURN));
	const struct message done = { .type = MSG_RETURNED, .f = { S(id(0)), Q(1), Z(""), Z("sallyport_ann_x") } };
	CU_ASSERT_EQUAL(link_send(lender.link, &done), SP_OK);
	fake_turn(&f);
	fake_leave(&f, &lender);
	fake_connect(&f, &lender, ROLE_LEND, 0);
	fake_turn(&f);
	CU_ASSERT_PTR_NULL(fake_heard(&lender, MSG_RETURN));
	stop();
}

static void
gone_while_it_waits(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	closed(0);
	fake_forget(&lender);
	lend(&lender, 0, true, "sallyport_ann_x");
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_ADMITTED));
	const struct message *m = fake_heard(&lender, MSG_RETURN);
	CU_ASSERT(m != NULL && sp_bytes_is(m->f[2].s, "sallyport_ann_x"));
	stop();
}

static void
killed_while_it_waits(void) /* P6 */
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	live_kill(&f.k, live_find(&f.k, id(0)), SP_END_REVOKED, "revoked");
	fake_forget(&lender);
	lend(&lender, 0, true, "sallyport_ann_x");
	const struct message *m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&lender, MSG_RETURN));
	stop();
}

/* ---- a lender that is not to be trusted ---- */

static void
a_lender_lends_only_what_it_was_asked(void)
{
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	lend(&second, 0, true, "postgres"); /* another's job */
	CU_ASSERT(second.gone);
	CU_ASSERT_PTR_NULL(fake_heard(&f.worker, MSG_ADMITTED));
	lend(&lender, 5, true, "postgres"); /* nobody's */
	CU_ASSERT(lender.gone);
	const struct message *m = fake_heard(&f.worker, MSG_ADMITTED);
	CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
	stop();
}

static void
lease(unsigned n, uint64_t until)
{
	const struct message m = { .type = MSG_LENT, .f = { S(id(n)), Q(1), Z("v-app"), Z("pencil"), Q(until), Z("database/creds/app/1") } };
	CU_ASSERT_EQUAL(link_send(vault.link, &m), SP_OK);
	fake_turn(&f);
}

/* A session may end while its lease is renewed: the answer is about nobody then, and no reason to do without the lender. */
static void
renewed_while_it_ends(void)
{
	json_t *job = NULL;
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "dyn"));
	fake_forget(&f.worker);
	lease(0, clock_wall_us() + 4000000);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_ADMITTED));
	fake_forget(&vault);
	for (unsigned i = 0; i < 4000 && fake_heard(&vault, MSG_LEND) == NULL; i++) { /* after half of it */
		(void)usleep(1000);
		lend_tick(&f.k);
		fake_turn(&f);
	}
	job = job_of(fake_heard(&vault, MSG_LEND), 2);
	CU_ASSERT(says(job, "what", "renew") && says(job, "lease", "database/creds/app/1"));
	json_decref(job);
	closed(0);
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&vault, MSG_RETURN));
	lease(0, clock_wall_us() + 4000000);
	CU_ASSERT(!vault.gone);
	lease(0, clock_wall_us() + 4000000); /* once: nobody asked for this */
	CU_ASSERT(vault.gone);
	stop();
}

static void
a_malformed_loan_is_a_refusal(void)
{
	static const char *const names[] = { "", "a\0b", "0123456789012345678901234567890123456789012345678901234567890123" };
	for (size_t i = 0; i < 4; i++) {
		start();
		CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
		struct lent_scram k = keys_of(7);
		struct sp_bytes name = i == 1 ? SP_LIT("a\0b") : sp_str(i < 3 ? names[i] : "good");
		const struct message bad = { .type = MSG_LENT, .f = { S(id(0)), Q(1), S(name), S(((struct sp_bytes){ (const uint8_t *)&k, sizeof(k) - (i == 3) })),
		    Q(0), Z("") } };
		fake_forget(&f.worker);
		CU_ASSERT_EQUAL(link_send(lender.link, &bad), SP_OK);
		fake_turn(&f);
		const struct message *m = fake_heard(&f.worker, MSG_ADMITTED);
		CU_ASSERT(m != NULL && m->f[1].q == SP_REFUSE);
		stop();
	}
}

/* ---- sweeping ---- */

static void
swept_when_all_have_spoken(void)
{
	char name[ID_TEXT];
	start();
	CU_ASSERT_PTR_NULL(authenticate(0, "eph"));
	lend(&lender, 0, true, "sallyport_ann_x");
	fake_forget(&lender);
	lend_tick(&f.k);
	fake_turn(&f);
	CU_ASSERT_PTR_NULL(fake_heard(&lender, MSG_LEND)); /* those that resume may not have */
	f.k.settled = true;
	lend_tick(&f.k);
	fake_turn(&f);
	const struct message *m = fake_heard(&lender, MSG_LEND);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	json_t *job = job_of(m, 2);
	const json_t *keep = json_object_get(job, "keep");
	CU_ASSERT(m->f[0].s.len == 0 && says(job, "what", "sweep") && json_array_size(keep) == 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(keep, 0)), id_format(ids[0], name));
	json_decref(job);
	fake_forget(&lender);
	lend_tick(&f.k);
	fake_turn(&f);
	CU_ASSERT_PTR_NULL(fake_heard(&lender, MSG_LEND)); /* once is enough */
	stop();
}

/* ---- the mark ---- */

static void
marks(void) /* ID12 */
{
	static const uint8_t key[DIGEST_LEN] = { 1 }, other[DIGEST_LEN] = { 2 };
	char mark[MARK_TEXT + 256], role[ROLE_NAME], again[ROLE_NAME], session[ID_TEXT];
	const char *const name = "0123456789abcdefghjkmnpqrs";
	role_name_new("Ann.Lee@x'\"; DROP", role);
	role_name_new("Ann.Lee@x'\"; DROP", again);
	CU_ASSERT_EQUAL(strncmp(role, "sallyport_annleexdrop_", 22), 0);
	CU_ASSERT(strlen(role) < ROLE_NAME && strcmp(role, again) != 0 && strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(role));
	role_name_new("\xc3\xa4", again);
	CU_ASSERT_EQUAL(strlen(again), strlen(LEND_PREFIX) + 20);
	mark_format(key, role, "eph", name, mark);
	CU_ASSERT_TRUE(mark_read(key, role, "eph", mark, session));
	CU_ASSERT_STRING_EQUAL(session, name);
	CU_ASSERT_FALSE(mark_read(other, role, "eph", mark, session));
	CU_ASSERT_FALSE(mark_read(key, again, "eph", mark, session));
	CU_ASSERT_FALSE(mark_read(key, "stranger", "eph", mark, session));
	CU_ASSERT_FALSE(mark_read(key, role, "orders", mark, session));
	for (size_t i = 0; mark[i] != '\0'; i++) {
		mark[i] ^= 1;
		CU_ASSERT_FALSE(mark_read(key, role, "eph", mark, session));
		mark[i] ^= 1;
	}
	static const char *const junk[] = { "", " ", "sallyport 1", "sallyport 1 eph x y" };
	for (size_t i = 0; i < sizeof(junk) / sizeof(*junk); i++)
		CU_ASSERT_FALSE(mark_read(key, role, "eph", junk[i], session));
}

/* ---- making one, before a server that is only told ---- */

static struct { char sql[8][1024]; size_t n; pg_done done; void *owner; bool over, ok; char role[ROLE_NAME]; } server;

int
pg_literal(struct buffer *out, const char *text)
{
	return buffer_printf(out, "'%s'", text);
}

int
pg_name(struct buffer *out, const char *text)
{
	return buffer_printf(out, "\"%s\"", text);
}

void
pg_ask(struct pg *c, const char *sql, uint64_t ms, pg_done done, void *owner)
{
	(void)c, (void)ms;
	(void)snprintf(server.sql[server.n++ % 8], sizeof(server.sql[0]), "%s", sql);
	server.done = done;
	server.owner = owner;
}

void
job_made(struct job *j, bool ok, const char *text)
{
	(void)text;
	server.over = true;
	server.ok = ok;
	(void)snprintf(server.role, sizeof(server.role), "%s", j->role);
}

static struct job
making(struct admin *a)
{
	struct job j = { .kind = JOB_MAKE, .at = a, .valid = 900000 };
	memset(&server, 0, sizeof(server));
	role_name_new("ann", j.role);
	(void)snprintf(j.session_name, sizeof(j.session_name), "0123456789abcdefghjkmnpqrs");
	return j;
}

static void
a_taken_name_is_tried_anew(void) /* ID12 */
{
	static char target[] = "eph", parent[] = "staff", user[] = "ann";
	struct admin a = { .next = NULL };
	struct job j = making(&a);
	char first[ROLE_NAME], quoted[ROLE_NAME + 4];
	j.target = target, j.parent = parent, j.user = user;
	(void)snprintf(first, sizeof(first), "%s", j.role);
	make_begin(&j);
	server.done(server.owner, &(struct pg_answer){ .sqlstate = "42710", .text = "role exists" });
	CU_ASSERT_EQUAL(server.n, 2);
	CU_ASSERT_FALSE(server.over);
	CU_ASSERT_STRING_NOT_EQUAL(j.role, first);
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", j.role);
	CU_ASSERT_PTR_NOT_NULL(strstr(server.sql[1], quoted));
	CU_ASSERT_PTR_NULL(strstr(server.sql[1], first));
	CU_ASSERT_NOT_EQUAL(strcmp(strstr(server.sql[0], "SCRAM-SHA-256$"), strstr(server.sql[1], "SCRAM-SHA-256$")), 0);
	server.done(server.owner, &(struct pg_answer){ .ok = true, .text = "" });
	CU_ASSERT(server.over && server.ok && strcmp(server.role, j.role) == 0);
	/* Not for ever; and no other refusal is tried again. */
	j = making(&a);
	j.target = target, j.parent = parent, j.user = user;
	make_begin(&j);
	for (unsigned i = 0; i < 20 && !server.over; i++)
		server.done(server.owner, &(struct pg_answer){ .sqlstate = "42710", .text = "role exists" });
	CU_ASSERT(server.over && !server.ok && server.n < 10);
	j = making(&a);
	j.target = target, j.parent = parent, j.user = user;
	make_begin(&j);
	server.done(server.owner, &(struct pg_answer){ .sqlstate = "42501", .text = "permission denied" });
	CU_ASSERT(server.over && !server.ok && server.n == 1);
}

static void
the_verifier_is_of_the_keys(void) /* P5: what the server is told is no secret; what the keeper is told fits to it */
{
	static char target[] = "eph", parent[] = "staff", user[] = "ann";
	struct admin a = { .next = NULL };
	struct job j = making(&a);
	j.target = target, j.parent = parent, j.user = user;
	make_begin(&j);
	uint8_t stored[DIGEST_LEN];
	digest_sha256((struct sp_bytes){ j.keys + 20, DIGEST_LEN }, stored);
	const struct { struct sp_bytes bytes; bool there; } part[] = { { { j.keys, 16 }, true }, { { stored, DIGEST_LEN }, true },
		{ { j.keys + 20 + DIGEST_LEN, DIGEST_LEN }, true }, { { j.keys + 20, DIGEST_LEN }, false } };
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++) {
		gnutls_datum_t text = { NULL, 0 };
		const gnutls_datum_t in = { (unsigned char *)(uintptr_t)part[i].bytes.p, (unsigned)part[i].bytes.len };
		CU_ASSERT_EQUAL(gnutls_base64_encode2(&in, &text), 0);
		CU_ASSERT_EQUAL(memmem(server.sql[0], strlen(server.sql[0]), text.data, text.size) != NULL, part[i].there);
		gnutls_free(text.data);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(server.sql[0], "IN ROLE \"staff\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(server.sql[0], "SET role = \"staff\""));
}

int
main(void)
{
	CU_TestInfo tests[] = { { "admission waits", admission_waits }, { "waiting ones count", waiting_ones_count },
		{ "P5: no proof before it is lent", no_proof_before_it_is_lent }, { "proof of a lent role", proof_of_a_lent_role },
		{ "refusals", refusals }, { "given back at the end", given_back_at_the_end }, { "gone while it waits", gone_while_it_waits },
		{ "killed while it waits", killed_while_it_waits }, { "a lender lends only what it was asked", a_lender_lends_only_what_it_was_asked },
		{ "renewed while it ends", renewed_while_it_ends }, { "a malformed loan is a refusal", a_malformed_loan_is_a_refusal }, { "swept when all have spoken", swept_when_all_have_spoken },
		{ "ID12: marks", marks },
		{ "ID12: a taken name is tried anew", a_taken_name_is_tried_anew }, { "P5: the verifier is of the keys", the_verifier_is_of_the_keys }, CU_TEST_INFO_NULL };
	log_init("test", 2, SP_ERROR);
	return cunit_main("lend", tests);
}
