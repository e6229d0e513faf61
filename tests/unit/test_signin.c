/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing in and out: the test is the browser, the console, the fetch helper and the provider behind it. Ways back
 * that are not what was begun (ID5), sign-ins that end, stores that were altered, machines that a person confirms.
 */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "signer.h"

#include "core/keeper/api.h"
#include "core/keeper/outside.h"
#include "core/keeper/provider.h"
#include "core/keeper/signin.h"

static const char conf[] =
    "load_module postgres;\n"
    "console { url https://gate.example; }\n"
    "identity corp { oidc issuer=https://idp.example client=gate secret=env:SIGNIN_TEST_SECRET; user claim=sub show=email; person claim=oid;"
    " roles admin=ops; recheck 5m; session 8h; }\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app"
    " secret=env:KEEPER_TEST_SECRET; }\n";

#define DOCUMENT \
	"{\"issuer\":\"https://idp.example\",\"jwks_uri\":\"https://idp.example/jwks\",\"authorization_endpoint\":\"https://idp.example/auth\"," \
	"\"token_endpoint\":\"https://idp.example/token\",\"end_session_endpoint\":\"https://idp.example/end\"}"

static struct fake f;
static struct peer fetch;
static struct signer signer;
static char said[16384]; /* the last question to the provider: URL, header, body */
static uint32_t question;

/* ---- the provider ---- */

static const char *
asked(void)
{
	fake_turn(&f);
	const struct message *m = fake_heard(&fetch, MSG_OUTSIDE);
	if (m == NULL)
		return NULL;
	question = m->id;
	(void)snprintf(said, sizeof(said), "%.*s %.*s\n%.*s\n\n%.*s", (int)m->f[0].s.len, (const char *)m->f[0].s.p, (int)m->f[1].s.len,
	    (const char *)m->f[1].s.p, (int)m->f[2].s.len, (const char *)m->f[2].s.p, (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	return said;
}

static void
answer(unsigned status, const char *body)
{
	const struct message m = { .type = MSG_OUTSIDE_TOLD, .id = question, .f = { Q(status), Z("application/json"), Z(body), Z("") } };
	fake_forget(&fetch);
	fake_forget(&f.console);
	CU_ASSERT_EQUAL(link_send(fetch.link, &m), SP_OK);
	fake_turn(&f);
}

static const char *
id_token(const char *nonce, const char *more)
{
	static char claims[2048];
	long long now = (long long)(clock_wall_us() / 1000000);
	(void)snprintf(claims, sizeof(claims), "{\"iss\":\"https://idp.example\",\"aud\":\"gate\",\"sub\":\"ann\",\"iat\":%lld,\"exp\":%lld%s%s%s%s%s}",
	    now, now + 300, nonce == NULL ? "" : ",\"nonce\":\"", nonce == NULL ? "" : nonce, nonce == NULL ? "" : "\"", more[0] == '\0' ? "" : ",",
	    more);
	return signer_token(&signer, claims);
}

static const char *
tokens(const char *id, const char *refresh)
{
	static char text[16384];
	(void)snprintf(text, sizeof(text), "{\"access_token\":\"a\",\"token_type\":\"Bearer\"%s%s%s%s%s%s}", id == NULL ? "" : ",\"id_token\":\"",
	    id == NULL ? "" : id, id == NULL ? "" : "\"", refresh == NULL ? "" : ",\"refresh_token\":\"", refresh == NULL ? "" : refresh,
	    refresh == NULL ? "" : "\"");
	return text;
}

/* ---- the console ---- */

static json_t *
result(unsigned status)
{
	const struct message *m = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	if (m->f[0].q != status)
		printf("%u, not %u: %.*s\n", (unsigned)m->f[0].q, status, (int)m->f[1].s.len, (const char *)m->f[1].s.p);
	CU_ASSERT_EQUAL(m->f[0].q, status);
	return json_loadb((const char *)m->f[1].s.p, m->f[1].s.len, 0, NULL);
}

/* NULL: no answer yet. */
static json_t *
call_as(const char *bearer, enum call c, json_t *args, unsigned status)
{
	char *text = json_dumps(args, JSON_COMPACT);
	struct message m = { .type = MSG_CALL, .f = { Q(0), Z(bearer), Q(c), Z(text) } };
	const struct message *r = fake_ask(&f, &f.console, &m, MSG_RESULT);
	free(text);
	json_decref(args);
	return r == NULL ? NULL : result(status);
}

static void
expect(const char *bearer, enum call c, json_t *args, unsigned status)
{
	json_t *j = call_as(bearer, c, args, status);
	CU_ASSERT_PTR_NOT_NULL(j);
	json_decref(j);
}

static const char *
member(const json_t *j, const char *name)
{
	const char *text = json_string_value(json_object_get(j, name));
	return text == NULL ? "" : text;
}

/* ---- the browser ---- */

static char flow[1024], state[128], nonce[128], challenge[128], secret[128];

static void
of_location(const char *location, const char *name, char out[128])
{
	const char *at = strstr(location, name);
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at += strlen(name);
	(void)snprintf(out, 128, "%.*s", (int)strcspn(at, "&"), at);
}

static void
go(const char *back)
{
	json_t *j = call_as("", CALL_SIGNIN_BEGIN, json_pack("{s:s,s:s}", "identity", "corp", "return", back), 200);
	const char *location = member(j, "location");
	(void)snprintf(flow, sizeof(flow), "%s", member(j, "flow"));
	of_location(location, "&state=", state);
	of_location(location, "&nonce=", nonce);
	of_location(location, "&code_challenge=", challenge);
	CU_ASSERT_PTR_NOT_NULL(strstr(location, "https://idp.example/auth?response_type=code&client_id=gate&"));
	CU_ASSERT_PTR_NOT_NULL(strstr(location, "&redirect_uri=https%3A%2F%2Fgate.example%2Fsignin%2Fcallback%2Fcorp&"));
	CU_ASSERT_PTR_NOT_NULL(strstr(location, "&scope=openid%20profile%20email&"));
	CU_ASSERT_PTR_NOT_NULL(strstr(location, "&code_challenge_method=S256"));
	json_decref(j);
}

static json_t *
back_args(void)
{
	return json_pack("{s:s,s:s,s:s}", "flow", flow, "state", state, "code", "c0de");
}

/* Signs in; the secret is in `secret`. */
static void
sign_in(const char *more, const char *refresh)
{
	go("/");
	CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, tokens(id_token(nonce, more), refresh));
	json_t *j = result(200);
	(void)snprintf(secret, sizeof(secret), "%s", member(j, "secret"));
	json_decref(j);
}

static void
links(void)
{
	fake_links(&f);
	fake_connect(&f, &fetch, ROLE_FETCH, 0);
}

static void
start(void)
{
	const char *why = "";
	int rc = fake_start(&f, conf, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	links();
}

static void
begin(void)
{
	(void)setenv("KEEPER_TEST_SECRET", "pencil", 1);
	(void)setenv("SIGNIN_TEST_SECRET", "hush hush", 1);
	fake_folder(&f);
	signer_new(&signer, "k1");
	start();
	provider_tick(&f.k);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, DOCUMENT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, signer_set(&signer));
}

static void
stop(void)
{
	fake_forget(&fetch);
	link_free(&fetch.link);
	fake_stop(&f);
}

static void
end(void)
{
	stop();
	fake_clean(&f);
	signer_free(&signer);
}

/* ---- the tests ---- */

static void
test_sign_in(void)
{
	begin();
	json_t *j = call_as("", CALL_IDENTITIES, json_object(), 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "identities")), 1);
	CU_ASSERT_STRING_EQUAL(member(json_array_get(json_object_get(j, "identities"), 0), "kind"), "oidc");
	json_decref(j);
	go("/device?code=ABCD");
	CU_ASSERT(strlen(flow) <= 512);
	CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	/* What the provider gets: the code, where it was sent, and what only this browser's flow knows. */
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "POST https://idp.example/token\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "\n\ngrant_type=authorization_code&code=c0de&redirect_uri=https%3A%2F%2Fgate.example%2Fsignin%2Fcallback%2Fcorp&"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "\nAuthorization: Basic Z2F0ZTpodXNoJTIwaHVzaA==\n")); /* gate:hush%20hush */
	char verifier[128];
	of_location(said, "&code_verifier=", verifier);
	uint8_t hash[DIGEST_LEN];
	char text[64];
	digest_sha256(sp_str(verifier), hash);
	signer_base64((struct sp_bytes){ hash, sizeof(hash) }, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, challenge);
	answer(200, tokens(id_token(nonce, "\"email\":\"ann@example.com\",\"oid\":\"o1\",\"groups\":[\"dev\",\"ops\"],\"amr\":[\"mfa\"]"), NULL));
	j = result(200);
	CU_ASSERT_STRING_EQUAL(member(j, "user"), "ann");
	CU_ASSERT_STRING_EQUAL(member(j, "name"), "ann@example.com");
	CU_ASSERT_STRING_EQUAL(member(j, "return"), "/device?code=ABCD");
	(void)snprintf(secret, sizeof(secret), "%s", member(j, "secret"));
	/* It lasts as `session` says, which is longer than the id_token of five minutes. */
	char after[32], before[32];
	CU_ASSERT(strcmp(member(j, "expires"), clock_format(clock_wall_us() + 7ull * 3600 * 1000000, after)) > 0);
	CU_ASSERT(strcmp(member(j, "expires"), clock_format(clock_wall_us() + 8ull * 3600 * 1000000, before)) <= 0);
	json_decref(j);
	CU_ASSERT(strncmp(secret, "sps_", 4) == 0 && strlen(secret) == 4 + 43);
	j = call_as(secret, CALL_WHOAMI, json_object(), 200);
	CU_ASSERT_STRING_EQUAL(member(j, "user"), "ann");
	CU_ASSERT_STRING_EQUAL(member(j, "identity"), "corp");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "methods")), 1);
	json_decref(j);
	expect(secret, CALL_STATUS, json_object(), 200); /* ops: admin */
	/* It is no token for sessions. */
	uint8_t id[ID_LEN];
	id_new(id);
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(((struct sp_bytes){ id, ID_LEN })), Q(SP_PROOF_BEARER), Z(secret), Z("ann"),
	    Z("orders"), Z(""), Z("10.0.0.1:4711"), Z("postgres"), Q(1) } };
	const struct message *a = fake_ask(&f, &f.worker, &m, MSG_ADMITTED);
	CU_ASSERT(a != NULL && a->f[1].q == SP_REFUSE);
	end();
}

static void
test_returns(void)
{
	static const char *const odd[] = { "", "//evil.example", "https://evil.example/", "javascript:alert(1)", "/\\evil.example", "/a\r\nX: y", "/a#b",
		"/a%0d", "\\\\evil", "/a b", "evil" };
	begin();
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		go(odd[i]);
		CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		answer(200, tokens(id_token(nonce, ""), NULL));
		json_t *j = result(200);
		CU_ASSERT_STRING_EQUAL(member(j, "return"), "/");
		json_decref(j);
	}
	end();
}

/* ID5: what comes back to another browser, or was begun elsewhere. */
static void
test_odd_ways_back(void)
{
	char other[1024];
	begin();
	go("/");
	(void)snprintf(other, sizeof(other), "%s", flow);
	go("/");
	const struct {
		const char *flow, *state, *code, *iss, *error;
	} row[] = {
		{ "", state, "c", "", "" }, { "x", state, "c", "", "" }, { other, state, "c", "", "" }, { flow, "", "c", "", "" }, { flow, "x", "c", "", "" },
		{ flow, nonce, "c", "", "" }, { flow, state, "", "", "" }, { flow, state, "c", "https://evil.example", "" },
		{ flow, state, "c", "https://idp.example/", "" }, { flow, state, "c", "", "access_denied" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		expect("", CALL_SIGNIN_CODE, json_pack("{s:s,s:s,s:s,s:s,s:s}", "flow", row[i].flow, "state", row[i].state, "code", row[i].code, "iss",
		    row[i].iss, "error", row[i].error), 400);
		CU_ASSERT_PTR_NULL(asked()); /* nobody is asked what a stranger's code is worth */
	}
	for (size_t at = 0; at < strlen(flow); at += 7) {
		char bent[1024];
		(void)snprintf(bent, sizeof(bent), "%s", flow);
		bent[at] = bent[at] == 'A' ? 'B' : 'A';
		if (strcmp(bent, flow) != 0)
			expect("", CALL_SIGNIN_CODE, json_pack("{s:s,s:s,s:s}", "flow", bent, "state", state, "code", "c"), 400);
	}
	/* Where the provider says that it says who it is, it must. */
	provider_of(&f.k, keeper_settings(&f.k)->identities)->says_iss = true;
	expect("", CALL_SIGNIN_CODE, back_args(), 400);
	CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, json_pack("{s:s,s:s,s:s,s:s}", "flow", flow, "state", state, "code", "c", "iss",
	    "https://idp.example"), 0));
	CU_ASSERT_PTR_NOT_NULL(asked());
	expect("", CALL_SIGNIN_BEGIN, json_pack("{s:s}", "identity", "nobody"), 404);
	end();
}

static void
test_odd_answers(void)
{
	const char *other_nonce = "00000000000000000000000000000000000000000000";
	static const struct {
		unsigned status, told;
		const char *body;
	} row[] = {
		{ 400, 403, "{\"error\":\"invalid_grant\"}" }, { 401, 403, "{}" }, { 500, 502, "" }, { 0, 502, "" }, { 302, 502, "" }, { 200, 403, "" },
		{ 200, 403, "{}" }, { 200, 403, "[]" }, { 200, 403, "{\"id_token\":1}" }, { 200, 403, "{\"id_token\":\"a.b.c\"}" },
	};
	begin();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		go("/");
		CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		answer(row[i].status, row[i].body);
		json_decref(result(row[i].told));
	}
	static const char *const claims[] = { "\"aud\":\"other\"", "\"iss\":\"https://evil.example\"", "\"sub\":\"\"", "\"events\":{}", "\"azp\":\"other\"",
		"\"hasgroups\":true", "\"iat\":4102444800" };
	for (size_t i = 0; i < sizeof(claims) / sizeof(*claims) + 2; i++) {
		char text[512];
		go("/");
		CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		long long now = (long long)(clock_wall_us() / 1000000);
		if (i < sizeof(claims) / sizeof(*claims)) {
			bool aud = strstr(claims[i], "\"aud\"") != NULL, iss = strstr(claims[i], "\"iss\"") != NULL, sub = strstr(claims[i], "\"sub\"") != NULL;
			bool iat = strstr(claims[i], "\"iat\"") != NULL;
			(void)snprintf(text, sizeof(text), "{%s,\"nonce\":\"%s\",\"exp\":%lld%s%s%s", claims[i], nonce, now + 300, aud ? "" : ",\"aud\":\"gate\"",
			    iss ? "" : ",\"iss\":\"https://idp.example\"", sub ? "" : ",\"sub\":\"ann\"");
			size_t n = strlen(text);
			if (iat)
				(void)snprintf(text + n, sizeof(text) - n, "}");
			else
				(void)snprintf(text + n, sizeof(text) - n, ",\"iat\":%lld}", now);
			answer(200, tokens(signer_token(&signer, text), NULL));
		} else {
			answer(200, tokens(id_token(i % 2 == 0 ? other_nonce : NULL, ""), NULL)); /* a nonce of another, and none */
		}
		json_t *j = result(403);
		CU_ASSERT_EQUAL(i < sizeof(claims) / sizeof(*claims) && strstr(claims[i], "hasgroups") != NULL, strstr(member(j, "error"), "overage") != NULL);
		json_decref(j);
	}
	end();
}

/* The provider's key is new: it is asked for before the answer is judged. */
static void
test_new_key(void)
{
	begin();
	signer_free(&signer);
	signer_new(&signer, "k2");
	go("/");
	CU_ASSERT_PTR_NULL(call_as("", CALL_SIGNIN_CODE, back_args(), 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, tokens(id_token(nonce, ""), NULL));
	CU_ASSERT_PTR_NULL(fake_heard(&f.console, MSG_RESULT));
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, DOCUMENT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, signer_set(&signer));
	json_decref(result(200));
	end();
}

static void
test_end(void)
{
	begin();
	sign_in("", NULL);
	expect(secret, CALL_WHOAMI, json_object(), 200);
	expect("sps_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CALL_WHOAMI, json_object(), 401);
	expect("sps_", CALL_WHOAMI, json_object(), 401);
	json_t *j = call_as(secret, CALL_LOGOUT, json_object(), 200);
	CU_ASSERT_STRING_EQUAL(member(j, "location"), "https://idp.example/end?client_id=gate&post_logout_redirect_uri=https%3A%2F%2Fgate.example");
	json_decref(j);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	expect(secret, CALL_LOGOUT, json_object(), 401);
	/* A revocation ends it, also after a restart; the next sign-in is another one. */
	sign_in("", NULL);
	const struct field args[] = { Q(2), Z(""), Z("ann"), Q(clock_wall_us()) };
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_REVOKE, args), 1);
	CU_ASSERT_EQUAL(store_commit(f.k.store), SP_OK);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	stop();
	start();
	expect(secret, CALL_WHOAMI, json_object(), 401);
	end();
}

static void
test_restart(void)
{
	char text[2048];
	const char *why = "";
	begin();
	sign_in("\"groups\":[\"ops\"]", NULL);
	stop();
	start();
	expect(secret, CALL_WHOAMI, json_object(), 200);
	expect(secret, CALL_STATUS, json_object(), 200);
	/* Roles are those of the configuration now; an identity that is another's, or gone, vouches for nobody. */
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; console { url https://gate.example; } identity corp { oidc"
	    " issuer=https://idp.example client=gate; }", f.folder);
	CU_ASSERT_EQUAL_FATAL(keeper_epoch(&f.k, fake_epoch(text, 2), &why), SP_OK);
	expect(secret, CALL_STATUS, json_object(), 403);
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; identity corp { oidc issuer=https://other.example client=gate; }", f.folder);
	CU_ASSERT_EQUAL_FATAL(keeper_epoch(&f.k, fake_epoch(text, 3), &why), SP_OK);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	end();
}

static int
take_first(void *owner, const struct field *row)
{
	struct field *copy = owner;
	for (unsigned i = 0; i < 15; i++) {
		copy[i] = row[i];
		copy[i].s.p = row[i].s.len == 0 ? NULL : memcpy(malloc(row[i].s.len), row[i].s.p, row[i].s.len);
	}
	return SP_OK;
}

static void
put_row(const struct field *row)
{
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_SIGNIN_KEEP, row), 1);
	CU_ASSERT_EQUAL(store_commit(f.k.store), SP_OK);
}

/* Whoever can write to the store makes nobody an admin, brings no ended one back, and finds no secret in it. */
static void
test_store(void)
{
	struct field row[15];
	uint8_t hash[DIGEST_LEN];
	begin();
	sign_in("\"groups\":[\"dev\"]", "refresh-me");
	digest_sha256(sp_str(secret), hash);
	const struct field args[] = { S(((struct sp_bytes){ hash, DIGEST_LEN })) };
	CU_ASSERT_EQUAL_FATAL(store_read(f.k.store, STORE_SIGNIN_OF_HASH, args, take_first, row), SP_OK);
	CU_ASSERT_PTR_NULL(memmem(row[13].s.p, row[13].s.len, "refresh-me", 10));
	CU_ASSERT(row[13].s.len > 10);
	struct field altered[15];
	memcpy(altered, row, sizeof(row));
	char *principal = malloc(row[3].s.len);
	memcpy(principal, row[3].s.p, row[3].s.len);
	char *dev = memmem(principal, row[3].s.len, "[\"dev\"]", 7);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dev);
	memcpy(dev, "[\"ops\"]", 7);
	altered[3].s.p = (const uint8_t *)principal;
	put_row(altered);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	put_row(row);
	expect(secret, CALL_WHOAMI, json_object(), 200);
	memcpy(altered, row, sizeof(row));
	altered[9].q += 1000000; /* a later end, which the statement does not even write */
	altered[10].q += 1000000;
	put_row(altered);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	/* Rows of nobody's, in front of it, do not keep it from its end; ended, it is not written alive again, by whomever. */
	put_row(row);
	for (unsigned i = 0; i < 20; i++) {
		char id[16];
		uint8_t other[DIGEST_LEN] = { (uint8_t)(i + 1) };
		memcpy(altered, row, sizeof(row));
		(void)snprintf(id, sizeof(id), "00%02u", i);
		altered[0] = (struct field)Z(id);
		altered[1] = (struct field)S(((struct sp_bytes){ other, DIGEST_LEN }));
		put_row(altered);
	}
	expect(secret, CALL_WHOAMI, json_object(), 200);
	(void)signin_end_all(&f.k, "https://idp.example", "ann", "", "it has to end");
	fake_turn(&f);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_SIGNIN_KEEP, row), 0);
	CU_ASSERT_EQUAL(store_commit(f.k.store), SP_OK);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	for (unsigned i = 0; i < 15; i++)
		free((void *)(uintptr_t)row[i].s.p);
	free(principal);
	end();
}

/* Codes for a day without the provider are for whom it was at the last sign-in, and for nobody else. */
static void
test_last(void)
{
	struct principal p;
	struct arena *a = arena_new(1u << 20);
	begin();
	sign_in("\"groups\":[\"dev\"]", NULL);
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "ann", "", &p), SP_OK);
	CU_ASSERT(strcmp(p.subject, "ann") == 0 && strcmp(p.issuer, "https://idp.example") == 0 && strcmp(p.class, "human") == 0 && p.groups.n > 0);
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "ann", "corp", &p), SP_OK);
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "ann", "other", &p), SP_EDENIED);
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "bob", "", &p), SP_EDENIED);
	struct principal twin = { .identity = "twin", .issuer = "https://twin.example", .subject = "ann", .user = "ann", .name = "ann", .person = "",
		.sponsor = "", .class = "human", .token = "" };
	struct buffer made = { 0 };
	const struct signin_wanted w = { .principal = &twin, .parent = "", .sid = "", .expires = clock_wall_us() + 60000000 };
	CU_ASSERT_EQUAL(signin_new(&f.k, &w, &made), SP_OK);
	buffer_free(&made);
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "ann", "", &p), SP_ETOOBIG); /* which of the two? */
	CU_ASSERT_EQUAL(signin_last(&f.k, a, "ann", "corp", &p), SP_OK);
	CU_ASSERT_STRING_EQUAL(p.issuer, "https://idp.example");
	arena_free(&a);
	end();
}

/* A session that lives by the sign-in, as a ticket would make one. */
static struct live *
live_by_signin(const char *id)
{
	uint8_t session[ID_LEN];
	id_new(session);
	struct live *l = live_add(&f.k, (struct sp_bytes){ session, ID_LEN }, f.k.workers);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	l->principal = (struct principal){ .identity = "corp", .issuer = "https://idp.example", .subject = "ann", .user = "ann", .name = "ann",
		.person = "", .sponsor = "", .class = "human", .token = arena_string(l->arena, sp_str(id)) };
	l->target = l->part = l->address = l->host = l->protocol = "";
	return l;
}

static const char *
signin_id(void)
{
	static char id[64];
	struct arena *a = arena_new(1u << 20);
	struct verified v;
	const char *why = "";
	CU_ASSERT_EQUAL_FATAL(signin_verify(&f.k, sp_str(secret), a, &v, &why), SP_OK);
	(void)snprintf(id, sizeof(id), "%s", v.principal.token);
	arena_free(&a);
	return id;
}

static void
make_due(void)
{
	((struct identity *)(uintptr_t)keeper_settings(&f.k)->identities)->recheck = 1;
	struct timespec wait = { 0, 3000000 };
	(void)nanosleep(&wait, NULL);
	f.k.ticks = 1;
	signin_tick(&f.k);
}

static void
test_recheck(void)
{
	begin();
	sign_in("\"groups\":[\"dev\"]", "first-token");
	signin_tick(&f.k);
	CU_ASSERT_PTR_NULL(asked()); /* not yet */
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "\n\ngrant_type=refresh_token&refresh_token=first-token"));
	signin_tick(&f.k);
	CU_ASSERT_EQUAL(fetch.n, 1); /* one question at a time */
	/* The token is another one now, and so are the groups. */
	answer(200, tokens(id_token(NULL, "\"groups\":[\"ops\"]"), "second-token"));
	expect(secret, CALL_STATUS, json_object(), 200);
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "refresh_token=second-token"));
	/* Not well, or no id_token: it lives on. */
	answer(200, tokens(NULL, NULL));
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "refresh_token=second-token"));
	((struct identity *)(uintptr_t)keeper_settings(&f.k)->identities)->recheck = 300000;
	answer(503, "");
	expect(secret, CALL_WHOAMI, json_object(), 200);
	end();
}

/* The user is not good any more there: so is nothing here, within the same moment. */
static void
test_recheck_says_no(void)
{
	static const struct {
		unsigned status;
		const char *body;
	} row[] = { { 400, "{\"error\":\"invalid_grant\"}" }, { 401, "{}" }, { 200, NULL } };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		begin();
		sign_in("", "token");
		const struct live *l = live_by_signin(signin_id());
		make_due();
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		fake_forget(&f.other); /* the one that was linked last */
		char other[4096];
		long long now = (long long)(clock_wall_us() / 1000000);
		(void)snprintf(other, sizeof(other), "{\"iss\":\"https://idp.example\",\"aud\":\"gate\",\"sub\":\"eve\",\"iat\":%lld,\"exp\":%lld}", now, now + 300);
		answer(row[i].status, row[i].body == NULL ? tokens(signer_token(&signer, other), NULL) : row[i].body);
		expect(secret, CALL_WHOAMI, json_object(), 401);
		CU_ASSERT(l->ended);
		CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.other, MSG_KILL));
		end();
	}
	/* A gateway that was away for long asks before it says so. */
	begin();
	sign_in("", "token");
	struct timespec wait = { 0, 20000000 };
	(void)nanosleep(&wait, NULL);
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	(void)nanosleep(&wait, NULL);
	f.k.started = clock_wall_us() + 1000000; /* as if it had begun only now */
	answer(0, "");
	expect(secret, CALL_WHOAMI, json_object(), 200);
	end();
	/* A provider that is not heard for long is no better. */
	begin();
	sign_in("", "token");
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	(void)nanosleep(&wait, NULL);
	answer(0, "");
	expect(secret, CALL_WHOAMI, json_object(), 401);
	end();
}

static void
test_device(void)
{
	char code[32], device[128], mine[128];
	begin();
	json_t *j = call_as("", CALL_DEVICE_BEGIN, json_pack("{s:s,s:s}", "name", "ann's\nlaptop", "address", "10.1.1.1"), 200);
	(void)snprintf(code, sizeof(code), "%s", member(j, "user_code"));
	(void)snprintf(device, sizeof(device), "%s", member(j, "device_code"));
	CU_ASSERT_STRING_EQUAL(member(j, "verification_uri"), "https://gate.example/device");
	CU_ASSERT(strlen(code) == 9 && code[4] == '-');
	json_decref(j);
	j = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", device), 400);
	CU_ASSERT_STRING_EQUAL(member(j, "code"), "authorization_pending");
	json_decref(j);
	j = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", device), 400);
	CU_ASSERT_STRING_EQUAL(member(j, "code"), "slow_down");
	json_decref(j);
	expect("", CALL_DEVICE_LOOK, json_pack("{s:s}", "code", code), 401);
	expect("", CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", code, "allow", 1), 401);
	sign_in("", NULL);
	expect(secret, CALL_DEVICE_LOOK, json_pack("{s:s}", "code", "BBBB-BBBB"), 404);
	expect(secret, CALL_DEVICE_LOOK, json_pack("{s:s}", "code", ""), 404);
	char typed[16];
	for (size_t i = 0; i <= strlen(code); i++)
		typed[i] = code[i] >= 'A' && code[i] <= 'Z' ? (char)(code[i] - 'A' + 'a') : code[i] == '-' ? ' ' : code[i];
	j = call_as(secret, CALL_DEVICE_LOOK, json_pack("{s:s}", "code", typed), 200);
	CU_ASSERT_STRING_EQUAL(member(j, "name"), "ann's?laptop");
	CU_ASSERT_STRING_EQUAL(member(j, "address"), "10.1.1.1");
	CU_ASSERT_STRING_EQUAL(member(j, "state"), "waiting");
	json_decref(j);
	expect(secret, CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", code, "allow", 1), 200);
	expect(secret, CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", code, "allow", 0), 409);
	j = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", device), 200);
	(void)snprintf(mine, sizeof(mine), "%s", member(j, "secret"));
	CU_ASSERT_STRING_EQUAL(member(j, "user"), "ann");
	json_decref(j);
	expect("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", device), 400); /* once */
	expect(mine, CALL_WHOAMI, json_object(), 200);
	/* It ends with what confirmed it, and not the other way round. */
	expect(mine, CALL_LOGOUT, json_object(), 200);
	expect(secret, CALL_WHOAMI, json_object(), 200);
	j = call_as("", CALL_DEVICE_BEGIN, json_pack("{s:s}", "name", "x"), 200);
	(void)snprintf(device, sizeof(device), "%s", member(j, "device_code"));
	expect(secret, CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", member(j, "user_code"), "allow", 1), 200);
	json_decref(j);
	j = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", device), 200);
	(void)snprintf(mine, sizeof(mine), "%s", member(j, "secret"));
	json_decref(j);
	expect(secret, CALL_LOGOUT, json_object(), 200);
	expect(mine, CALL_WHOAMI, json_object(), 401);
	/* No is no. */
	sign_in("", NULL);
	j = call_as("", CALL_DEVICE_BEGIN, json_pack("{s:s}", "name", "x"), 200);
	expect(secret, CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", member(j, "user_code"), "allow", 0), 200);
	json_t *k = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", member(j, "device_code")), 400);
	CU_ASSERT_STRING_EQUAL(member(k, "code"), "access_denied");
	json_decref(j);
	json_decref(k);
	for (unsigned i = 0; i < 16; i++)
		expect("", CALL_DEVICE_BEGIN, json_pack("{s:s,s:s}", "name", "x", "address", "10.2.2.2"), 200);
	expect("", CALL_DEVICE_BEGIN, json_pack("{s:s,s:s}", "name", "x", "address", "10.2.2.2"), 429);
	end();
}

/* A machine that `by` confirms; its secret goes to out. */
static void
confirm(const char *by, unsigned status, char out[128])
{
	json_t *j = call_as("", CALL_DEVICE_BEGIN, json_pack("{s:s}", "name", "x"), 200);
	expect(by, CALL_DEVICE_CONFIRM, json_pack("{s:s,s:b}", "code", member(j, "user_code"), "allow", 1), status);
	json_t *k = call_as("", CALL_DEVICE_POLL, json_pack("{s:s}", "device_code", member(j, "device_code")), status == 200 ? 200 : 400);
	(void)snprintf(out, 128, "%s", member(k, "secret"));
	json_decref(j);
	json_decref(k);
}

/* P6: a machine is what the browser's sign-in is: it confirms no other, loses what that one loses, and ends with it, whoever ends it. */
static void
test_device_is_a_part(void)
{
	char mine[128], other[128];
	begin();
	sign_in("\"groups\":[\"ops\"]", "token");
	confirm(secret, 200, mine);
	confirm(mine, 403, other);
	CU_ASSERT_STRING_EQUAL(other, "");
	expect(mine, CALL_STATUS, json_object(), 200); /* ops: admin */
	make_due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, tokens(id_token(NULL, "\"groups\":[\"dev\"]"), NULL));
	((struct identity *)(uintptr_t)keeper_settings(&f.k)->identities)->recheck = 300000;
	expect(secret, CALL_STATUS, json_object(), 403);
	expect(mine, CALL_STATUS, json_object(), 403);
	/* One that is made while another gateway ends the browser's. */
	struct arena *a = arena_new(1u << 20);
	struct verified v;
	struct buffer late = { 0 };
	const char *why = "";
	CU_ASSERT_EQUAL_FATAL(signin_verify(&f.k, sp_str(secret), a, &v, &why), SP_OK);
	expect(secret, CALL_LOGOUT, json_object(), 200);
	expect(mine, CALL_WHOAMI, json_object(), 401);
	const struct signin_wanted w = { .principal = &v.principal, .parent = v.principal.token, .sid = "", .expires = v.principal.expires };
	CU_ASSERT_EQUAL(signin_new(&f.k, &w, &late), SP_OK);
	CU_ASSERT_EQUAL(signin_verify(&f.k, buffer_bytes(&late), a, &v, &why), SP_EDENIED);
	buffer_free(&late);
	arena_free(&a);
	end();
}

/* Of several gateways one asks; when that one is gone, another. */
static void
test_recheck_of_one(void)
{
	char key[128];
	struct signin s;
	struct arena *a = arena_new(1u << 20);
	begin();
	sign_in("", "token");
	CU_ASSERT_EQUAL_FATAL(signin_find(&f.k, signin_id(), a, &s), SP_OK);
	(void)snprintf(key, sizeof(key), "recheck %s %llu", s.id, (unsigned long long)s.checked);
	const struct field claim[] = { Z(key), Z("another"), Q(clock_wall_us() - 1) }, now[] = { Q(clock_wall_us()) };
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_TOKEN_SEEN, claim), 1);
	make_due();
	CU_ASSERT_PTR_NULL(asked());
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_TOKEN_FORGET, now), 1);
	make_due();
	CU_ASSERT_PTR_NOT_NULL(asked());
	arena_free(&a);
	end();
}

/* A token that may use the API, and a control socket, hand nobody a sign-in. */
static void
test_device_needs_a_signin(void)
{
	begin();
	json_t *j = call_as("", CALL_DEVICE_BEGIN, json_pack("{s:s}", "name", "x"), 200);
	struct message who = { .type = MSG_CALLER, .f = { Q(5), Q(0), Z("root") } };
	CU_ASSERT_EQUAL(keeper_told(&f.k, &who), SP_OK);
	char args[128];
	(void)snprintf(args, sizeof(args), "{\"code\":\"%s\",\"allow\":true}", member(j, "user_code"));
	struct message m = { .type = MSG_CALL, .f = { Q(5), Z(""), Q(CALL_DEVICE_CONFIRM), Z(args) } };
	const struct message *r = fake_ask(&f, &f.console, &m, MSG_RESULT);
	CU_ASSERT(r != NULL && r->f[0].q == 403);
	json_decref(j);
	end();
}

static const char *
logout_token(const char *typ, const char *claims)
{
	static char text[1024];
	static unsigned n;
	long long now = (long long)(clock_wall_us() / 1000000);
	(void)snprintf(text, sizeof(text), "{\"iss\":\"https://idp.example\",\"iat\":%lld,\"exp\":%lld,\"jti\":\"%u\",%s}", now, now + 120, n++, claims);
	return signer_token_as(&signer, typ, text);
}

#define EVENT "\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}"

static void
log_out(const char *token, unsigned status)
{
	expect("", CALL_BACKCHANNEL, json_pack("{s:s,s:s}", "id", "corp", "logout_token", token), status);
}

static void
test_backchannel(void)
{
	static const char *const odd[] = {
		"\"aud\":\"gate\",\"sub\":\"ann\"", "\"aud\":\"other\",\"sub\":\"ann\"," EVENT, "\"aud\":\"gate\"," EVENT,
		"\"aud\":\"gate\",\"sub\":\"ann\",\"nonce\":\"x\"," EVENT, "\"aud\":\"gate\",\"sub\":\"ann\",\"events\":{}",
		"\"aud\":\"gate\",\"sub\":\"ann\",\"events\":[\"http://schemas.openid.net/event/backchannel-logout\"]", "\"aud\":\"gate\",\"sub\":1," EVENT,
		"\"aud\":\"gate\",\"sub\":\"ann\",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":1}", "\"aud\":\"gate\",\"sid\":\"\"," EVENT,
	};
	char first[128];
	begin();
	sign_in("\"sid\":\"s1\"", NULL);
	(void)snprintf(first, sizeof(first), "%s", secret);
	sign_in("\"sid\":\"s2\"", NULL);
	const struct live *l = live_by_signin(signin_id());
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		log_out(logout_token("logout+jwt", odd[i]), 400);
	log_out("", 400);
	log_out("a.b.c", 400);
	log_out(id_token(NULL, ""), 400); /* what says who one is does not end it */
	log_out(logout_token("at+jwt", "\"aud\":\"gate\",\"sub\":\"ann\"," EVENT), 400);
	expect("", CALL_BACKCHANNEL, json_pack("{s:s,s:s}", "id", "other", "logout_token", logout_token("logout+jwt", "\"aud\":\"gate\",\"sub\":\"ann\"," EVENT)),
	    400);
	expect(first, CALL_WHOAMI, json_object(), 200);
	/* One session at the provider. */
	const char *one = logout_token("logout+jwt", "\"aud\":\"gate\",\"sub\":\"ann\",\"sid\":\"s1\"," EVENT);
	log_out(one, 200);
	expect(first, CALL_WHOAMI, json_object(), 401);
	expect(secret, CALL_WHOAMI, json_object(), 200);
	CU_ASSERT(!l->ended);
	log_out(one, 400); /* twice */
	/* All of a user's. */
	log_out(logout_token("JWT", "\"aud\":[\"gate\"],\"sub\":\"ann\"," EVENT), 200);
	expect(secret, CALL_WHOAMI, json_object(), 401);
	CU_ASSERT(l->ended);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "signing in", test_sign_in },
		{ "where one comes back to", test_returns },
		{ "odd ways back", test_odd_ways_back },
		{ "odd answers of the provider", test_odd_answers },
		{ "a new key", test_new_key },
		{ "the end", test_end },
		{ "restarts and reloads", test_restart },
		{ "the store was altered", test_store },
		{ "the last one", test_last },
		{ "re-checks", test_recheck },
		{ "re-checks that say no", test_recheck_says_no },
		{ "devices", test_device },
		{ "who may confirm a device", test_device_needs_a_signin },
		{ "a device is a part of its sign-in", test_device_is_a_part },
		{ "one gateway re-checks", test_recheck_of_one },
		{ "back-channel logout", test_backchannel },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("signin", tests);
}
