/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clicks on Slack messages (AP8): the test is Slack, who signs, and the fetch helper, which is asked to tell
 * who clicked.  A click is nobody's word but that of somebody who is signed in here.
 */
#include <config.h>

#include <stdlib.h>

#include "cunit_main.h"
#include "keeper_fake.h"

static const char conf[] =
    "local_issuer on beside;\n"
    "load_module postgres;\n"
    "console { url https://gate.example; }\n"
    "identity corp { oidc issuer=https://idp.example client=gate; user claim=sub; person claim=oid; roles approver=leads; session 8h; }\n"
    "webhook chat { url https://hooks.slack.com/services/x; format slack; signing env:SLACK_TEST_KEY; team T1; decide both;"
    " users ULEA=corp/lea UANN=corp/ann UJOE=corp/joe UKIM=corp/kim; }\n"
    "webhook no { url https://hooks.slack.com/services/y; format slack; signing env:SLACK_TEST_KEY; team T1; users ULEA=corp/lea; }\n"
    "webhook mute { url https://hooks.slack.com/services/z; format slack; }\n"
    "target orders { protocol postgres; server 127.0.0.1:5; tls off; policy p.lua; allow groups=dev; login user=app secret=env:KEEPER_TEST_SECRET; }\n";

#include "keeper_world.h"

#include "core/base/digest.h"
#include "core/keeper/signin.h"
#include "core/keeper/slack.h"
#include "core/keeper/webhook.h"

#define KEY "8f742231b10e8888abcd99yyyzzz85a5"
#define BACK "https://hooks.slack.com/actions/T1/1/x"

static struct peer fetch;
static char told[8192]; /* the last that was sent to Slack: URL, blank, body */

static void
begin(void)
{
	(void)setenv("SLACK_TEST_KEY", KEY, 1);
	start();
	fake_connect(&f, &fetch, ROLE_FETCH, 0);
	new_ids();
}

static void
end(void)
{
	fake_forget(&fetch);
	link_free(&fetch.link);
	stop();
}

/* The person signs in at the gateway, in a browser. */
static void
sign_in(const char *user, const char *group, const char *class)
{
	const struct principal p = { .identity = "corp", .issuer = "https://idp.example", .subject = user, .user = user, .name = user, .person = user,
		.sponsor = "", .class = class, .groups = { &group, 1 }, .token = "" };
	const struct signin_wanted w = { .principal = &p, .parent = "", .sid = "", .expires = clock_wall_us() + 3600ull * 1000000 };
	struct buffer secret = { 0 };
	CU_ASSERT_EQUAL_FATAL(signin_new(&f.k, &w, &secret), SP_OK);
	buffer_free(&secret);
	fake_turn(&f);
}

/* Ann's statement waits. */
static const char *
ask(unsigned n, unsigned op, uint64_t count)
{
	CU_ASSERT(admitted(n, token_of("ann", "dev", AUDIENCE_DATA), "ann", "orders"));
	opened(n);
	const char *request = hold(n, op, "leads", count, false);
	CU_ASSERT_EQUAL_FATAL(strlen(request), 26);
	return request;
}

static void
hash_of(unsigned op, char hash[13])
{
	for (unsigned i = 0; i < 6; i++)
		(void)snprintf(hash + 2 * i, 3, "%02x", op);
}

/* ---- Slack ---- */

static unsigned turn;

static char *
encoded(const char *text)
{
	char *out = malloc(3 * strlen(text) + 1), *to = out;
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	for (; *text != '\0'; text++)
		to += snprintf(to, 4, "%%%02X", (unsigned char)*text);
	*to = '\0';
	return out;
}

/* What Slack would post; each is another one. */
static char *
form(const char *user, const char *action, const char *value, const char *back)
{
	char payload[2048], *out = malloc(8192), *coded;
	(void)snprintf(payload, sizeof(payload), "{\"type\":\"block_actions\",\"trigger_id\":\"%u\",\"team\":{\"id\":\"T1\"},\"user\":{\"id\":\"%s\"},"
	    "\"response_url\":\"%s\",\"actions\":[{\"action_id\":\"%s\",\"value\":\"%s\"}]}", turn++, user, back, action, value);
	coded = encoded(payload);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	(void)snprintf(out, 8192, "payload=%s", coded);
	free(coded);
	return out;
}

static void
sign(const char *key, const char *timestamp, const char *body, char signature[80])
{
	char text[9000];
	uint8_t mac[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];
	(void)snprintf(text, sizeof(text), "v0:%s:%s", timestamp, body);
	digest_hmac(sp_str(key), sp_str(text), mac);
	text_hex((struct sp_bytes){ mac, sizeof(mac) }, hex);
	(void)snprintf(signature, 80, "v0=%s", hex);
}

static void
post(const char *hook, const char *body, const char *timestamp, const char *signature, unsigned status)
{
	json_t *args = json_pack("{s:s,s:s,s:s,s:s}", "id", hook, "body", body, "timestamp", timestamp, "signature", signature);
	char *text = json_dumps(args, JSON_COMPACT);
	fake_forget(&fetch);
	expect_call("", 0, CALL_SLACK, text, status);
	fake_turn(&f);
	const struct message *m = fake_heard(&fetch, MSG_OUTSIDE);
	told[0] = '\0';
	if (m != NULL)
		(void)snprintf(told, sizeof(told), "%.*s %.*s", (int)m->f[1].s.len, (const char *)m->f[1].s.p, (int)m->f[3].s.len, (const char *)m->f[3].s.p);
	free(text);
	json_decref(args);
}

static void
now_text(char out[24], int64_t later)
{
	(void)snprintf(out, 24, "%lld", (long long)(clock_wall_us() / 1000000) + (long long)later);
}

static void
click_at(const char *hook, const char *user, const char *action, const char *request, unsigned op, const char *back)
{
	char value[64], hash[13], timestamp[24], signature[80];
	hash_of(op, hash);
	(void)snprintf(value, sizeof(value), "%s %s", request, hash);
	char *body = form(user, action, value, back);
	now_text(timestamp, 0);
	sign(KEY, timestamp, body, signature);
	post(hook, body, timestamp, signature, 200);
	free(body);
}

static void
click(const char *user, const char *action, const char *request, unsigned op)
{
	click_at("chat", user, action, request, op, BACK);
}

static bool
was_told(const char *what)
{
	if (strstr(told, what) == NULL)
		printf("told: %s\n", told);
	return strstr(told, what) != NULL;
}

static const char *
state(const char *request)
{
	static char text[32];
	json_t *j = call(token_of("aud", "auditor", AUDIENCE_API), 0, CALL_REQUEST, with_id(request), 200);
	(void)snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(j, "state")));
	json_decref(j);
	return text;
}

static void
look(const char *user, const char *request)
{
	struct approval r;
	struct arena *a = arena_new(1u << 20);
	const struct principal p = { .person = user };
	CU_ASSERT_EQUAL_FATAL(approval_get(&f.k, a, request, &r), SP_OK);
	approval_shown(&r, &p);
	arena_free(&a);
}

/* ---- the signature ---- */

/* The example of Slack's own documentation. */
static void
test_vector(void)
{
	static const char body[] = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
	    "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J"
	    "%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
	static const char good[] = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
	struct sp_bytes key = SP_LIT("8f742231b10e8888abcd99yyyzzz85a5"), time = SP_LIT("1531420618");
	CU_ASSERT(slack_signed(key, time, sp_str(body), sp_str(good)));
	CU_ASSERT(!slack_signed(key, SP_LIT("1531420619"), sp_str(body), sp_str(good)));
	CU_ASSERT(!slack_signed(SP_LIT(""), time, sp_str(body), sp_str(good)));
	CU_ASSERT(!slack_signed(key, time, sp_str(body + 1), sp_str(good)));
	CU_ASSERT(!slack_signed(key, time, sp_str(body), sp_str("v0=")) && !slack_signed(key, time, sp_str(body), sp_str("")));
	CU_ASSERT(!slack_signed(key, time, sp_str(body), sp_str("v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")));
}

static void
test_forms(void)
{
	static const struct { const char *form, *payload; } row[] = {
		{ "payload=a%20b+c", "a b c" }, { "x=1&payload=%7b%7D", "{}" }, { "payload=", NULL }, { "", NULL }, { "payload", NULL },
		{ "payload=a&payload=b", NULL }, { "payload=%", NULL }, { "payload=%1", NULL }, { "payload=%zz", NULL }, { "payload=%00", NULL },
		{ "Payload=a", NULL }, { "&&payload=x&&", "x" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char *text = slack_payload(sp_str(row[i].form));
		CU_ASSERT((text == NULL) == (row[i].payload == NULL));
		if (text != NULL && row[i].payload != NULL)
			CU_ASSERT_STRING_EQUAL(text, row[i].payload);
		free(text);
	}
}

/* Not signed, signed by others, old, of tomorrow, or heard before: refused, and nobody is told anything. */
static void
test_not_slacks(void)
{
	char value[64], hash[13], time[24], good[80], bad[80];
	begin();
	sign_in("lea", "leads", "human");
	const char *request = ask(0, 1, 1);
	hash_of(1, hash);
	(void)snprintf(value, sizeof(value), "%s %s", request, hash);
	char *body = form("ULEA", SLACK_DENY, value, BACK);
	now_text(time, 0);
	sign(KEY, time, body, good);
	sign("another key", time, body, bad);
	post("chat", body, time, "", 401);
	post("chat", body, time, bad, 401);
	post("chat", body, "", good, 401);
	post("chat", body, "0x12", good, 401);
	post("chat", body, "99999999999999999999", good, 401);
	post("mute", body, time, good, 404);
	post("nobody", body, time, good, 404);
	static const int64_t odd[] = { -301, -86400, 302, 86400 };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		char then[24], theirs[80];
		now_text(then, odd[i]);
		sign(KEY, then, body, theirs);
		post("chat", body, then, theirs, 401);
		CU_ASSERT_STRING_EQUAL(told, "");
	}
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	post("chat", body, time, good, 200);
	CU_ASSERT_STRING_EQUAL(state(request), "denied");
	post("chat", body, time, good, 401); /* the same once more */
	post("no", body, time, good, 401);   /* … at another hook with the same key */
	fake_forget(&fetch);
	link_free(&fetch.link);
	restart();
	fake_connect(&f, &fetch, ROLE_FETCH, 0);
	post("chat", body, time, good, 401); /* … at the next keeper */
	free(body);
	end();
}

static void
test_odd_payloads(void)
{
	static const char *const odd[] = { "payload=%7B%7D", "payload=x", "nothing=1", "payload=%5B%5D",
		"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%5D%7D", "payload=%7B%22type%22%3A%22view_submission%22%7D" };
	char time[24], signature[80];
	begin();
	now_text(time, 0);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		sign(KEY, time, odd[i], signature);
		post("chat", odd[i], time, signature, 400);
		CU_ASSERT_STRING_EQUAL(told, "");
	}
	sign(KEY, time, "payload=%7B%22actions%22%3A%5B%7B%22action_id%22%3A%22sallyport-look%22%7D%5D%7D", signature);
	post("chat", "payload=%7B%22actions%22%3A%5B%7B%22action_id%22%3A%22sallyport-look%22%7D%5D%7D", time, signature, 200);
	CU_ASSERT_STRING_EQUAL(told, ""); /* a link was followed */
	end();
}

/* ---- who ---- */

static void
test_who(void)
{
	begin();
	const char *request = ask(0, 1, 1);
	click("USTRANGER", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("does not know who you are") && was_told("https://gate.example/requests/") && was_told("\"ephemeral\""));
	click("ULEA", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("you are not signed in at the gateway"));
	sign_in("ann", "leads", "human");
	click("UANN", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("nobody decides on their own request"));
	sign_in("joe", "dev", "human"); /* in no group that decides */
	click("UJOE", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("no such request"));
	sign_in("kim", "leads", "agent"); /* the configuration says that corp's are people: no longer the same */
	click("UKIM", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("you are not signed in at the gateway"));
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	sign_in("lea", "leads", "human");
	CU_ASSERT_EQUAL(signin_end_all(&f.k, "https://idp.example", "lea", "", "logged out"), 0);
	click("ULEA", SLACK_DENY, request, 1);
	CU_ASSERT(was_told("you are not signed in at the gateway"));
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	end();
}

/* AP5: the requester's own click, whatever group they are in. */
static void
test_own_request(void)
{
	begin();
	sign_in("ann", "leads", "human");
	const char *request = ask(0, 1, 1);
	look("ann", request);
	click("UANN", SLACK_APPROVE, request, 1);
	CU_ASSERT(was_told("nobody decides on their own request"));
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	end();
}

/* ---- what ---- */

static void
test_deciding(void)
{
	begin();
	sign_in("lea", "leads", "human");
	sign_in("kim", "leads", "human");
	const char *request = ask(0, 1, 1);
	click("ULEA", SLACK_APPROVE, request, 2); /* P7: the message was of other bytes */
	CU_ASSERT(was_told("for other bytes"));
	click("ULEA", SLACK_APPROVE, "0123456789abcdefghjkmnpqrs", 1);
	CU_ASSERT(was_told("no such request"));
	click("ULEA", SLACK_APPROVE, request, 1);
	CU_ASSERT(was_told("look at the whole request first"));
	look("lea", request);
	click_at("no", "ULEA", SLACK_APPROVE, request, 1, BACK);
	CU_ASSERT(was_told("can only be denied"));
	click("UKIM", SLACK_APPROVE, request, 1); /* what lea saw, kim did not */
	CU_ASSERT(was_told("look at the whole request first"));
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	click("ULEA", SLACK_APPROVE, request, 1);
	CU_ASSERT(was_told("\"replace_original\":true") && was_told("approved: ann") && was_told(BACK));
	CU_ASSERT_PTR_NULL(strstr(told, "DROP TABLE")); /* never the statement's bytes */
	CU_ASSERT_PTR_NULL(strstr(told, "sallyport-approve"));
	CU_ASSERT_STRING_EQUAL(state(request), "approved");
	const struct message *m = fake_heard(&f.worker, MSG_DECISION);
	CU_ASSERT(m != NULL && m->f[3].q == 1);
	click("ULEA", SLACK_DENY, request, 1); /* a second click */
	CU_ASSERT(was_told("does not wait for a decision any more"));
	CU_ASSERT_STRING_EQUAL(state(request), "approved");
	end();
}

static void
test_votes(void)
{
	begin();
	sign_in("lea", "leads", "human");
	sign_in("kim", "leads", "human");
	const char *request = ask(0, 3, 2);
	look("lea", request);
	look("kim", request);
	click("ULEA", SLACK_APPROVE, request, 3);
	CU_ASSERT(was_told("your vote counts: 1 of 2"));
	click("ULEA", SLACK_APPROVE, request, 3);
	CU_ASSERT(was_told("this person has voted before"));
	CU_ASSERT_STRING_EQUAL(state(request), "waiting");
	click("UKIM", SLACK_APPROVE, request, 3);
	CU_ASSERT_STRING_EQUAL(state(request), "approved");
	end();
}

/* SSRF: an answer goes to Slack, or to the hook's own server, and nowhere else. */
static void
test_answers(void)
{
	static const char *const odd[] = { "https://evil.example/x", "http://hooks.slack.com/x", "https://hooks.slack.com.evil.example/x",
		"https://hooks.slack.com@evil.example/x", "https://hooks.slack.com:8443/x", "https://169.254.169.254/latest", "" };
	begin();
	const char *request = ask(0, 1, 1);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		click_at("chat", "USTRANGER", SLACK_DENY, request, 1, odd[i]);
		CU_ASSERT_STRING_EQUAL(told, "");
	}
	end();
}

int
main(void)
{
	CU_TestInfo tests[] = { { "Slack's own example", test_vector }, { "forms", test_forms }, { "not Slack's (AP8)", test_not_slacks },
		{ "odd payloads (AP8)", test_odd_payloads }, { "who clicks (AP8)", test_who }, { "one's own request (AP5, AP8)", test_own_request },
		{ "deciding (AP8, P7)", test_deciding }, { "votes", test_votes }, { "where answers go (ID9)", test_answers }, CU_TEST_INFO_NULL };
	return cunit_main("slack", tests);
}
