/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Providers: the test is the fetch helper and answers as a provider would, well or oddly.  Discovery, rotation, back-off,
 * a provider that is down, a store that was altered (ID3).
 */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>

#include "cunit_main.h"
#include "keeper_fake.h"
#include "signer.h"

#include "core/keeper/outside.h"
#include "core/keeper/provider.h"

static const char conf[] =
    "load_module postgres;\n"
    "identity corp { oidc issuer=https://idp.example/realm/ audience=us; }\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app"
    " secret=env:KEEPER_TEST_SECRET; }\n";

#define DOCUMENT \
	"{\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":\"https://keys.example/jwks\"," \
	"\"authorization_endpoint\":\"https://idp.example/auth\",\"token_endpoint\":\"https://idp.example/token\"}"

static struct fake f;
static struct peer fetch;
static struct signer first, second;

static void
connect_all(void)
{
	fake_links(&f);
	fake_connect(&f, &fetch, ROLE_FETCH, 0);
}

static void
begin(void)
{
	const char *why = "";
	(void)setenv("KEEPER_TEST_SECRET", "pencil", 1);
	fake_folder(&f);
	signer_new(&first, "k1");
	signer_new(&second, "k2");
	int rc = fake_start(&f, conf, &why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	connect_all();
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
	signer_free(&first);
	signer_free(&second);
}

static void
restart(void)
{
	const char *why = "";
	stop();
	CU_ASSERT_EQUAL_FATAL(fake_start(&f, conf, &why), SP_OK);
	connect_all();
}

/* What the keeper asks for now; NULL: nothing. */
static const char *
asked(void)
{
	static char url[256];
	fake_turn(&f);
	const struct message *m = fake_heard(&fetch, MSG_OUTSIDE);
	if (m == NULL)
		return NULL;
	(void)snprintf(url, sizeof(url), "%.*s", (int)m->f[1].s.len, (const char *)m->f[1].s.p);
	return url;
}

/* The last question's answer. */
static void
answer(unsigned status, const char *body)
{
	const struct message *q = fake_heard(&fetch, MSG_OUTSIDE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	const struct message m = { .type = MSG_OUTSIDE_TOLD, .id = q->id,
		.f = { Q(status), Z("application/json"), Z(body), Z(status == 0 ? "it did not answer in time" : "") } };
	fake_forget(&fetch);
	CU_ASSERT_EQUAL(link_send(fetch.link, &m), SP_OK);
	fake_turn(&f);
}

static struct provider *
provider(void)
{
	return provider_of(&f.k, keeper_settings(&f.k)->identities);
}

/* As if the time of its next question had come. */
static void
due(void)
{
	provider()->next_at = 0;
	provider_tick(&f.k);
}

static void
learn(const struct signer *s)
{
	due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, DOCUMENT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, signer_set(s));
}

/* SP_ADMIT, SP_REFUSE; -1: no answer yet. */
static int
admission(const struct signer *s)
{
	uint8_t id[ID_LEN];
	char claims[256];
	long long now = (long long)(clock_wall_us() / 1000000);
	(void)snprintf(claims, sizeof(claims), "{\"iss\":\"https://idp.example/realm/\",\"aud\":\"us\",\"sub\":\"ann\",\"groups\":[\"dev\"],"
	    "\"iat\":%lld,\"exp\":%lld,\"jti\":\"%d\"}", now, now + 600, rand());
	id_new(id);
	struct message m = { .type = MSG_AUTHENTICATE, .f = { S(((struct sp_bytes){ id, ID_LEN })), Q(SP_PROOF_BEARER), Z(signer_token(s, claims)),
	    Z("ann"), Z("orders"), Z(""), Z("10.0.0.1:4711"), Z("postgres"), Q(1) } };
	const struct message *a = fake_ask(&f, &f.worker, &m, MSG_ADMITTED);
	return a == NULL ? -1 : (int)a->f[1].q;
}

static void
test_discovery(void)
{
	begin();
	CU_ASSERT_PTR_NULL(asked());
	provider_tick(&f.k);
	CU_ASSERT_STRING_EQUAL(asked(), "https://idp.example/realm/.well-known/openid-configuration");
	const struct message *q = fake_heard(&fetch, MSG_OUTSIDE);
	CU_ASSERT(sp_bytes_is(q->f[0].s, "GET") && q->f[4].s.len == 0 && q->f[5].q > 0 && q->f[6].q > 0);
	answer(200, DOCUMENT);
	CU_ASSERT_STRING_EQUAL(asked(), "https://keys.example/jwks");
	answer(200, signer_set(&first));
	CU_ASSERT_PTR_NULL(asked());
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	CU_ASSERT_STRING_EQUAL(provider()->token, "https://idp.example/token");
	/* For an hour nobody asks again. */
	provider_tick(&f.k);
	CU_ASSERT_PTR_NULL(asked());
	CU_ASSERT(provider()->next_at > clock_mono_ms() + 3000000);
	end();
}

static void
test_odd_documents(void)
{
	static const char *const row[] = {
		"", "{", "[]", "null", "{}", "<html>",
		"{\"issuer\":\"https://idp.example/realm\",\"jwks_uri\":\"https://keys.example/jwks\"}", /* without the slash: another issuer */
		"{\"issuer\":\"https://evil.example/\",\"jwks_uri\":\"https://keys.example/jwks\"}",
		"{\"issuer\":[\"https://idp.example/realm/\"],\"jwks_uri\":\"https://keys.example/jwks\"}",
		"{\"issuer\":\"https://idp.example/realm/\"}",
		"{\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":\"http://keys.example/jwks\"}",
		"{\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":\"file:///etc/passwd\"}",
		"{\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":\"http://127.0.0.1/jwks\"}",
		"{\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":1}",
		"{\"issuer\":\"https://evil.example/\",\"issuer\":\"https://idp.example/realm/\",\"jwks_uri\":\"https://keys.example/jwks\"}",
	};
	begin();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		due();
		CU_ASSERT_STRING_EQUAL_FATAL(asked(), "https://idp.example/realm/.well-known/openid-configuration");
		answer(200, row[i]);
		if (asked() != NULL)
			printf("%s\n", row[i]);
		CU_ASSERT_PTR_NULL_FATAL(asked());
	}
	CU_ASSERT_EQUAL(admission(&first), -1); /* the provider is asked once more for this one */
	answer(404, "{}");
	CU_ASSERT_PTR_NOT_NULL(fake_heard(&f.worker, MSG_ADMITTED));
	end();
}

static void
test_odd_keys(void)
{
	static const char *const row[] = { "", "{}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"k1\"}]}", "<html>" };
	begin();
	learn(&first);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		due();
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		answer(200, DOCUMENT);
		answer(200, row[i]);
		CU_ASSERT_EQUAL(admission(&first), SP_ADMIT); /* those that were good stay */
	}
	due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(500, DOCUMENT);
	CU_ASSERT_PTR_NULL(asked());
	due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(302, DOCUMENT);
	CU_ASSERT_PTR_NULL(asked());
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	end();
}

static void
test_back_off(void)
{
	uint64_t last = 0;
	begin();
	for (unsigned i = 0; i < 12; i++) {
		due();
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
		answer(0, "");
		uint64_t wait = provider()->next_at - clock_mono_ms();
		CU_ASSERT(wait + 100 >= last && wait <= 300000);
		last = wait;
	}
	CU_ASSERT(last > 290000);
	/* A token does not make it faster than once a minute. */
	CU_ASSERT_EQUAL(admission(&first), -1);
	answer(0, "");
	CU_ASSERT_EQUAL(admission(&first), SP_REFUSE);
	CU_ASSERT_PTR_NULL(asked());
	learn(&first);
	CU_ASSERT_EQUAL(provider()->failures, 0);
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	end();
}

static void
test_rotation(void)
{
	char both[1024];
	begin();
	learn(&first);
	/* A key that nobody knows: the session waits for what the provider says, and is admitted by it. */
	CU_ASSERT_EQUAL(admission(&second), -1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	CU_ASSERT_EQUAL(admission(&second), -1); /* another one, and no second question */
	CU_ASSERT_EQUAL(fetch.n, 1);
	answer(200, DOCUMENT);
	fake_forget(&f.worker);
	(void)snprintf(both, sizeof(both), "{\"keys\":[%s,%s]}", first.jwk, second.jwk);
	answer(200, both);
	CU_ASSERT_EQUAL(f.worker.n, 2);
	CU_ASSERT(f.worker.m[0].f[1].q == SP_ADMIT && f.worker.m[1].f[1].q == SP_ADMIT);
	CU_ASSERT(admission(&first) == SP_ADMIT && admission(&second) == SP_ADMIT);
	/* Within the minute no other unknown key makes it ask. */
	struct signer third;
	signer_new(&third, "k3");
	CU_ASSERT_EQUAL(admission(&third), SP_REFUSE);
	CU_ASSERT_PTR_NULL(asked());
	provider()->minute = 0;
	CU_ASSERT_EQUAL(admission(&third), -1);
	answer(200, DOCUMENT);
	fake_forget(&f.worker);
	answer(200, signer_set(&second)); /* the first one is gone */
	CU_ASSERT_EQUAL(f.worker.n, 1);
	CU_ASSERT_EQUAL(f.worker.m[0].f[1].q, SP_REFUSE);
	CU_ASSERT(admission(&first) == SP_REFUSE && admission(&second) == SP_ADMIT);
	signer_free(&third);
	end();
}

/* A worker that went does not get an answer, and its session is not counted. */
static void
test_who_waited_is_gone(void)
{
	begin();
	CU_ASSERT_EQUAL(admission(&first), -1);
	fake_leave(&f, &f.worker);
	answer(200, DOCUMENT);
	answer(200, signer_set(&first));
	CU_ASSERT_PTR_NULL(live_first(&f.k));
	fake_connect(&f, &f.worker, ROLE_WORKER, 1);
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	end();
}

static void
test_down_at_a_restart(void)
{
	begin();
	learn(&first);
	restart();
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	CU_ASSERT_STRING_EQUAL(provider()->authorization, "https://idp.example/auth");
	due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(0, "");
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	/* A day without a word is too long. */
	provider()->good -= 25ull * 3600 * 1000000;
	CU_ASSERT_EQUAL(admission(&first), -1);
	answer(0, "");
	CU_ASSERT_EQUAL(admission(&first), SP_REFUSE);
	end();
}

/* Whoever can write to the store cannot put a key into it. */
static void
test_store_altered(void)
{
	uint8_t mac[DIGEST_LEN] = { 0 };
	begin();
	learn(&first);
	const struct field row[] = { Z("https://idp.example/realm/"), Z(""), Q(1), Z(signer_set(&second)), Q(clock_wall_us()),
		S(((struct sp_bytes){ mac, sizeof(mac) })) };
	CU_ASSERT_EQUAL(store_write(f.k.store, STORE_PROVIDER_KEEP, row), 1);
	restart();
	CU_ASSERT_EQUAL(admission(&second), -1);
	answer(0, "");
	CU_ASSERT_EQUAL(admission(&second), SP_REFUSE);
	CU_ASSERT_EQUAL(admission(&first), SP_REFUSE); /* its row was overwritten */
	end();
}

static void
test_helper_gone(void)
{
	begin();
	due();
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	fake_leave(&f, &fetch);
	CU_ASSERT_EQUAL(provider()->question, 0);
	CU_ASSERT_EQUAL(provider()->failures, 1);
	/* Without a helper it waits for one, not for ever, and fails once. */
	due();
	fake_turn(&f);
	outside_tick(&f.k, clock_mono_ms() + 4000);
	CU_ASSERT_NOT_EQUAL(provider()->question, 0);
	outside_tick(&f.k, clock_mono_ms() + 5000);
	CU_ASSERT_EQUAL(provider()->question, 0);
	CU_ASSERT_EQUAL(provider()->failures, 2);
	/* The helper comes: it hears what was asked meanwhile, whole, and nothing that nobody waits for any more. */
	due();
	CU_ASSERT_NOT_EQUAL(provider()->question, 0);
	fake_connect(&f, &fetch, ROLE_FETCH, 0);
	CU_ASSERT_STRING_EQUAL(asked(), "https://idp.example/realm/.well-known/openid-configuration");
	outside_tick(&f.k, clock_mono_ms() + 5000); /* what was sent has its time to be answered */
	CU_ASSERT_NOT_EQUAL(provider()->question, 0);
	answer(200, DOCUMENT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(asked());
	answer(200, signer_set(&first));
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	end();
}

static void
test_reload(void)
{
	char text[2048];
	const char *why = "";
	begin();
	learn(&first);
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db;\n%s identity other { oidc issuer=https://other.example audience=us; }", f.folder,
	    conf);
	CU_ASSERT_EQUAL_FATAL(keeper_epoch(&f.k, fake_epoch(text, 2), &why), SP_OK);
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT); /* what is known stays known */
	provider_tick(&f.k);
	CU_ASSERT_STRING_EQUAL(asked(), "https://other.example/.well-known/openid-configuration");
	/* Nobody's any more while it is asked. */
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db;\n%s", f.folder, conf);
	CU_ASSERT_EQUAL_FATAL(keeper_epoch(&f.k, fake_epoch(text, 3), &why), SP_OK);
	answer(200, "{\"issuer\":\"https://other.example\",\"jwks_uri\":\"https://other.example/keys\"}");
	CU_ASSERT_PTR_NULL(asked());
	CU_ASSERT_EQUAL(admission(&first), SP_ADMIT);
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "discovery", test_discovery },
		{ "odd documents", test_odd_documents },
		{ "odd keys", test_odd_keys },
		{ "back-off", test_back_off },
		{ "rotation", test_rotation },
		{ "who waited is gone", test_who_waited_is_gone },
		{ "down at a restart", test_down_at_a_restart },
		{ "the store was altered", test_store_altered },
		{ "the helper ends", test_helper_gone },
		{ "reload", test_reload },
		CU_TEST_INFO_NULL,
	};
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	return cunit_main("provider", tests);
}
