/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SAML at the keeper: the test is the console, and the helper that reads XML: an honest one, and one that
 * somebody has taken over (what stands under *cannot* in docs/security.md).
 */
#include <config.h>

#include <gnutls/abstract.h>
#include <sqlite3.h>

#include "cunit_main.h"
#include "keeper_fake.h"

#define SSO "https://idp.example.com/sso?a=1&amp;b=2"
#define PAGE "https://idp.example.com/sso?a=1&b=2"
#define METADATA "<md:EntityDescriptor entityID=\"https://idp.example.com/saml\"><x Location=\"" SSO "\"/></md:EntityDescriptor>"
#define ISSUER "https://idp.example.com/saml"

static struct fake f;
static struct peer helper;
static const char *extra = "", *metadata = METADATA;
static char told[4096];

static int
open_keeper(const char **why)
{
	char text[4096];
	the_fake = &f;
	f.base = event_base_new();
	(void)snprintf(text, sizeof(text), "store sqlite:%s/state.db; console { url https://gate.example.com:8443; } local_issuer on beside;\n"
	    "identity okta { saml metadata=/okta.xml%s; user attribute=uid; groups attribute=groups; person attribute=uid; roles admin=ops;"
	    " session 1h; }\nidentity other { saml metadata=/other.xml idp_initiated=on; person nameid; }\n", f.folder, extra);
	struct epoch *e = fake_epoch(text, 1);
	static struct epoch_file files[2];
	files[0] = (struct epoch_file){ .path = "/okta.xml", .content = sp_str(metadata) };
	files[1] = (struct epoch_file){ .path = "/other.xml", .content = SP_LIT("<E entityID='urn:other'><x Location='https://other.example.com/'/></E>") };
	e->files = files;
	e->nfiles = 2;
	f.k = (struct keeper){ .failed = fake_failed };
	f.failed = false;
	return keeper_open(&f.k, f.base, e, why);
}

static void
start(void)
{
	const char *why = "";
	fake_folder(&f);
	int rc = open_keeper(&why);
	if (rc != SP_OK)
		printf("%s\n", why);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	fake_links(&f);
	fake_connect(&f, &helper, ROLE_SAML, 0);
}

static void
close_keeper(void)
{
	fake_forget(&helper);
	link_free(&helper.link);
	fake_stop(&f);
}

static void
stop(void)
{
	close_keeper();
	fake_clean(&f);
}

/* A call, and what the helper hears of it; the id of its answer. */
static uint32_t
begin(enum call which, const char *args)
{
	struct message m = { .type = MSG_CALL, .id = ++f.id, .f = { Q(0), Z(""), Q(which), Z(args) } };
	fake_forget(&helper);
	fake_forget(&f.console);
	CU_ASSERT_EQUAL(link_send(f.console.link, &m), SP_OK);
	fake_turn(&f);
	return m.id;
}

static json_t *
heard(unsigned status)
{
	const struct message *r = fake_heard(&f.console, MSG_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	if (r->f[0].q != status)
		printf("wanted %u, got %u: %.*s\n", status, (unsigned)r->f[0].q, (int)r->f[1].s.len, (const char *)r->f[1].s.p);
	CU_ASSERT_EQUAL(r->f[0].q, status);
	return json_loadb((const char *)r->f[1].s.p, r->f[1].s.len, 0, NULL);
}

static void
answer(bool ok, const char *json, const char *text)
{
	const struct message *job = fake_heard(&helper, MSG_SAML);
	CU_ASSERT_PTR_NOT_NULL_FATAL(job);
	(void)snprintf(told, sizeof(told), "%.*s", (int)job->f[2].s.len, (const char *)job->f[2].s.p);
	const struct message m = { .type = MSG_SAML_TOLD, .id = job->id, .f = { Q(ok), Z(json), Z(text) } };
	CU_ASSERT_EQUAL(link_send(helper.link, &m), SP_OK);
	fake_turn(&f);
}

static json_t *
ask(const char *token, enum call which, const char *args, unsigned status)
{
	struct message m = { .type = MSG_CALL, .f = { Q(0), Z(token), Q(which), Z(args) } };
	CU_ASSERT_PTR_NOT_NULL_FATAL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	return heard(status);
}

static char *
text_at(json_t *o, const char *name)
{
	static char text[8][2048];
	static unsigned n;
	char *at = text[n++ % 8];
	(void)snprintf(at, sizeof(text[0]), "%s", json_string_value(json_object_get(o, name)) == NULL ? "" : json_string_value(json_object_get(o, name)));
	json_decref(o);
	return at;
}

/* The flow of a browser that wants to sign in. */
static const char *
flow_of(const char *identity)
{
	char args[256], page[256];
	(void)snprintf(args, sizeof(args), "{\"identity\":\"%s\",\"return\":\"/device\",\"address\":\"192.0.2.1\"}", identity);
	(void)begin(CALL_SIGNIN_BEGIN, args);
	(void)snprintf(page, sizeof(page), "{\"location\":\"%s\",\"query\":\"SAMLRequest=abc%%2B&RelayState=x\"}",
	    strcmp(identity, "okta") == 0 ? PAGE : "https://other.example.com/");
	answer(true, page, "");
	return text_at(heard(200), "flow");
}

static const char *
facts(const char *assertion, const char *more)
{
	static char text[2048];
	(void)snprintf(text, sizeof(text), "{\"issuer\":\"" ISSUER "\",\"subject\":\"00u1\",\"assertion\":\"%s\",\"until\":%llu,\"session_until\":0,"
	    "\"authenticated\":%llu,\"context\":\"urn:password\",\"attributes\":{\"uid\":\"ann\",\"groups\":[\"dba\",\"ops\"],\"hasgroups\":\"true\","
	    "\"secret\":\"x\"}%s}", assertion, (unsigned long long)clock_wall_us() + 300000000, (unsigned long long)clock_wall_us() - 5000000, more);
	return text;
}

static void
post(const char *identity, const char *flow)
{
	char args[2048];
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"flow\":\"%s\",\"response\":\"PHg+\",\"address\":\"192.0.2.1\"}", identity, flow);
	(void)begin(CALL_SAML_ACS, args);
}

static const char *
sign_in(const char *assertion)
{
	post("okta", flow_of("okta"));
	answer(true, facts(assertion, ""), "");
	return text_at(heard(200), "secret");
}

/* ---- honest ---- */

static void
signing_in(void)
{
	start();
	(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\",\"return\":\"/device?code=ABCD\"}");
	const struct message *job = fake_heard(&helper, MSG_SAML);
	CU_ASSERT(job != NULL && sp_bytes_is(job->f[0].s, "request") && sp_bytes_is(job->f[1].s, "okta"));
	answer(true, "{\"location\":\"" PAGE "\",\"query\":\"SAMLRequest=abc&RelayState=x\"}", "");
	json_t *input = json_loads(told, 0, NULL), *o = heard(200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(input, "acs")), "https://gate.example.com:8443/saml/acs/okta");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(input, "entity")), "https://gate.example.com:8443/saml/metadata/okta");
	char request[64];
	(void)snprintf(request, sizeof(request), "%s", json_string_value(json_object_get(input, "id")));
	CU_ASSERT_EQUAL(strlen(request), 27);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "location")), PAGE "&SAMLRequest=abc&RelayState=x");
	CU_ASSERT_TRUE(json_is_true(json_object_get(o, "post")));
	json_decref(input);
	post("okta", text_at(o, "flow"));
	answer(true, facts("_1", ""), "");
	input = json_loads(told, 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(input, "request")), request);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(input, "response")), "PHg+");
	json_decref(input);
	o = heard(200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "return")), "/device?code=ABCD");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "user")), "ann");
	const char *secret = text_at(o, "secret");
	CU_ASSERT_EQUAL(strncmp(secret, "sps_", 4), 0);
	o = ask(secret, CALL_WHOAMI, "{}", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "user")), "ann");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "identity")), "okta");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "issuer")), "saml:" ISSUER);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "subject")), "00u1");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "class")), "human");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "groups")), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "roles")), 2); /* approver, admin */
	json_decref(o);
	json_decref(ask(secret, CALL_LOGOUT, "{}", 200));
	json_decref(ask(secret, CALL_WHOAMI, "{}", 401));
	stop();
}

static void
metadata_and_identities(void)
{
	start();
	(void)begin(CALL_SAML_METADATA, "{\"id\":\"okta\"}");
	answer(true, "{\"xml\":\"<md/>\"}", "");
	CU_ASSERT_STRING_EQUAL(text_at(heard(200), "xml"), "<md/>");
	(void)begin(CALL_SAML_METADATA, "{\"id\":\"nobody\"}");
	json_decref(heard(404));
	json_t *o = ask("", CALL_IDENTITIES, "{}", 200), *list = json_object_get(o, "identities");
	CU_ASSERT_EQUAL(json_array_size(list), 2);
	json_decref(o);
	stop();
}

static void
signed_requests(void)
{
	gnutls_x509_privkey_t key;
	gnutls_pubkey_t public;
	gnutls_privkey_t private;
	gnutls_datum_t pem = { NULL, 0 }, sig = { NULL, 0 };
	char conf[320], path[256];
	CU_ASSERT_FATAL(gnutls_x509_privkey_init(&key) >= 0 && gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, 2048, 0) >= 0 &&
	    gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem) >= 0);
	/* The folder has its name only once it is made. */
	fake_folder(&f);
	(void)snprintf(path, sizeof(path), "%s/secret", f.folder);
	fake_file(&f, "secret", (const char *)pem.data);
	(void)snprintf(conf, sizeof(conf), " sp_key=file:%s sp_cert=/cert", path);
	extra = conf;
	const char *why = "";
	CU_ASSERT_EQUAL_FATAL(open_keeper(&why), SP_OK);
	fake_links(&f);
	fake_connect(&f, &helper, ROLE_SAML, 0);
	(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\"}");
	answer(true, "{\"location\":\"" PAGE "\",\"query\":\"SAMLRequest=abc&RelayState=x\"}", "");
	char *query = text_at(heard(200), "location") + strlen(PAGE "&"), *at = strstr(query, "&Signature=");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	char text[1024];
	size_t n = 0;
	for (const char *c = at + strlen("&Signature="); *c != '\0'; c++) {
		unsigned code;
		if (*c == '%' && sscanf(c + 1, "%2x", &code) == 1) {
			text[n++] = (char)code;
			c += 2;
		} else {
			text[n++] = *c;
		}
	}
	const gnutls_datum_t b64 = { (unsigned char *)text, (unsigned)n }, data = { (unsigned char *)query, (unsigned)(at - query) };
	CU_ASSERT_PTR_NOT_NULL(strstr(query, "RelayState=x&SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256"));
	CU_ASSERT(gnutls_base64_decode2(&b64, &sig) >= 0);
	CU_ASSERT(gnutls_pubkey_init(&public) >= 0 && gnutls_privkey_init(&private) >= 0 && gnutls_privkey_import_x509(private, key, 0) >= 0 &&
	    gnutls_pubkey_import_privkey(public, private, 0, 0) >= 0);
	CU_ASSERT(gnutls_pubkey_verify_data2(public, GNUTLS_SIGN_RSA_SHA256, 0, &data, &sig) >= 0);
	/* The helper never saw it. */
	CU_ASSERT_PTR_NULL(strstr(told, "PRIVATE"));
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(private);
	gnutls_x509_privkey_deinit(key);
	gnutls_free(pem.data);
	gnutls_free(sig.data);
	extra = "";
	stop();
}

/* ---- what is used twice, or was never asked for ---- */

static void
an_assertion_is_good_once(void)
{
	start();
	(void)sign_in("_1");
	post("okta", flow_of("okta"));
	answer(true, facts("_1", ""), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(403), "error"), "used already"));
	(void)sign_in("_2");
	/* … and by a keeper that has started since. */
	const char *why = "";
	close_keeper();
	CU_ASSERT_EQUAL_FATAL(open_keeper(&why), SP_OK);
	fake_links(&f);
	fake_connect(&f, &helper, ROLE_SAML, 0);
	post("okta", flow_of("okta"));
	answer(true, facts("_2", ""), "");
	json_decref(heard(403));
	stop();
}

static void
only_the_browser_that_asked(void)
{
	char flow[1024], altered[1024];
	start();
	(void)snprintf(flow, sizeof(flow), "%s", flow_of("okta"));
	(void)snprintf(altered, sizeof(altered), "%s", flow);
	altered[60] = altered[60] == 'A' ? 'B' : 'A';
	const char *const row[] = { "", "x", altered };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		post("okta", row[i]);
		CU_ASSERT_PTR_NULL(fake_heard(&helper, MSG_SAML));
		CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(403), "error"), "has not asked"));
	}
	post("okta", flow_of("other"));
	CU_ASSERT_PTR_NULL(fake_heard(&helper, MSG_SAML));
	json_decref(heard(403));
	/* Where the provider may begin: an answer to nothing, and to nothing only. */
	post("other", "");
	answer(false, "{}", "it answers a request that is not known here, or no longer");
	CU_ASSERT_PTR_NOT_NULL(strstr(told, "\"request\": \"\"") == NULL ? strstr(told, "\"request\":\"\"") : told);
	CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(403), "error"), "SAML: it answers a request"));
	stop();
}

/* ---- a helper that somebody has taken over ---- */

static void
a_helper_sends_nobody_elsewhere(void)
{
	const char *const row[] = {
		"{\"location\":\"https://evil.example.com/\",\"query\":\"SAMLRequest=a\"}",
		"{\"location\":\"https://other.example.com/\",\"query\":\"SAMLRequest=a\"}",
		"{\"location\":\"" PAGE "x\",\"query\":\"SAMLRequest=a\"}",
		"{\"location\":\"\",\"query\":\"SAMLRequest=a\"}",
		"{\"location\":\"https://idp.example.com/sso\",\"query\":\"SAMLRequest=a\"}",
		"{\"location\":\"" PAGE "\",\"query\":\"SAMLRequest=a\\r\\nSet-Cookie: x\"}",
		"{\"location\":\"" PAGE "\",\"query\":\"SAMLRequest=a#\"}",
		"{\"location\":\"" PAGE "\",\"query\":\"x=a\"}",
		"{}", "[]", "", "{\"location\":1,\"query\":2}",
	};
	start();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\"}");
		answer(true, row[i], "");
		json_decref(heard(503));
	}
	stop();
}

static void
a_helper_names_nobody_else(void)
{
	static const char *const row[] = {
		"{\"issuer\":\"urn:other\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"ann\"}}",
		"{\"issuer\":\"sallyport:local\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"ann\"}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"attributes\":{\"uid\":\"ann\"}}",
		"{\"issuer\":\"" ISSUER "\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"ann\"}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{\"uid\":[\"ann\",\"bob\"]}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\\n\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"ann\"}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"a\\u001bnn\"}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"assertion\":\"_9\",\"attributes\":{\"uid\":\"ann\",\"groups\":[1]}}",
		"{\"issuer\":\"" ISSUER "\",\"subject\":\"a\",\"assertion\":\"_9\",\"format\":\"urn:oasis:names:tc:SAML:2.0:nameid-format:transient\","
		"\"attributes\":{\"uid\":\"ann\"}}",
		"{\"identity\":\"local\"}",
	};
	start();
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		post("okta", flow_of("okta"));
		answer(true, row[i], "");
		json_decref(heard(403));
	}
	/* What it adds is not read: the class, the roles, the identity and the end are the keeper's. */
	post("okta", flow_of("okta"));
	answer(true, facts("_1", ",\"identity\":\"local\",\"class\":\"agent\",\"roles\":[\"mint\"],\"expires\":1,\"sub\":\"root\",\"session\":\"x\""), "");
	json_t *o = ask(text_at(heard(200), "secret"), CALL_WHOAMI, "{}", 200);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "identity")), "okta");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "class")), "human");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "subject")), "00u1");
	json_decref(o);
	/* An answer to what was not asked is nobody's. */
	const struct message m = { .type = MSG_SAML_TOLD, .id = 4711, .f = { Q(1), Z(facts("_2", "")), Z("") } };
	fake_forget(&f.console);
	CU_ASSERT_EQUAL(link_send(helper.link, &m), SP_OK);
	fake_turn(&f);
	CU_ASSERT(f.console.n == 0 && !helper.gone);
	stop();
}

static void
a_helper_that_is_away(void)
{
	start();
	(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\"}");
	CU_ASSERT_EQUAL(f.console.n, 0);
	fake_leave(&f, &helper);
	CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(503), "error"), "went away"));
	(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\"}");
	CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(503), "error"), "away or busy"));
	fake_connect(&f, &helper, ROLE_SAML, 0);
	(void)sign_in("_1");
	/* The console leaves while it waits: nobody is answered. */
	(void)begin(CALL_SIGNIN_BEGIN, "{\"identity\":\"okta\"}");
	fake_leave(&f, &f.console);
	answer(true, "{\"location\":\"" PAGE "\",\"query\":\"SAMLRequest=a\"}", "");
	fake_connect(&f, &f.console, ROLE_CONSOLE, 0);
	stop();
}

/* ---- ends ---- */

static void
revoked(void)
{
	char args[128];
	start();
	const char *secret = sign_in("_1");
	CU_ASSERT_TRUE(strlen(secret) > 40);
	struct message m = { .type = MSG_CALLER, .f = { Q(7), Q(0), Z("root") } };
	CU_ASSERT_EQUAL(keeper_told(&f.k, &m), SP_OK);
	(void)snprintf(args, sizeof(args), "{\"user\":\"ann\"}");
	m = (struct message){ .type = MSG_CALL, .f = { Q(7), Z(""), Q(CALL_REVOKE), Z(args) } };
	CU_ASSERT_PTR_NOT_NULL_FATAL(fake_ask(&f, &f.console, &m, MSG_RESULT));
	json_decref(heard(200));
	json_decref(ask(secret, CALL_WHOAMI, "{}", 401));
	/* Who signs in anew is somebody whom the provider still knows. */
	json_decref(ask(sign_in("_2"), CALL_WHOAMI, "{}", 200));
	stop();
}

static void
logged_out_by_the_provider(void)
{
	start();
	const char *secret = sign_in("_1");
	(void)begin(CALL_SAML_LOGOUT, "{\"id\":\"okta\",\"request\":\"PHg+\"}");
	answer(false, "{}", "a logout must be signed");
	CU_ASSERT_PTR_NOT_NULL(strstr(text_at(heard(403), "error"), "must be signed"));
	json_decref(ask(secret, CALL_WHOAMI, "{}", 200));
	(void)begin(CALL_SAML_LOGOUT, "{\"id\":\"okta\",\"request\":\"PHg+\"}");
	answer(true, "{\"issuer\":\"urn:other\",\"subject\":\"00u1\",\"id\":\"_l\"}", "");
	json_decref(heard(403));
	json_decref(ask(secret, CALL_WHOAMI, "{}", 200));
	(void)begin(CALL_SAML_LOGOUT, "{\"id\":\"okta\",\"request\":\"PHg+\"}");
	answer(true, "{\"issuer\":\"" ISSUER "\",\"subject\":\"00u1\",\"id\":\"_l\"}", "");
	json_decref(heard(200));
	json_decref(ask(secret, CALL_WHOAMI, "{}", 401));
	json_decref(ask(sign_in("_2"), CALL_WHOAMI, "{}", 200));
	stop();
}

static void
a_row_that_the_keeper_did_not_write(void)
{
	const char *const change[] = { "UPDATE signin SET expires = expires + 1", "UPDATE signin SET principal = replace(principal, 'ann', 'bob')",
		"UPDATE signin SET id = 'x'", "UPDATE signin SET created = created + 1000000" };
	for (size_t i = 0; i < sizeof(change) / sizeof(*change); i++) {
		char path[256], secret[64];
		const char *why = "";
		sqlite3 *db = NULL;
		start();
		(void)snprintf(secret, sizeof(secret), "%s", sign_in("_1"));
		close_keeper();
		(void)snprintf(path, sizeof(path), "%s/state.db", f.folder);
		CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_exec(db, change[i], NULL, NULL, NULL), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_changes(db), 1);
		(void)sqlite3_close(db);
		CU_ASSERT_EQUAL_FATAL(open_keeper(&why), SP_OK);
		fake_links(&f);
		fake_connect(&f, &helper, ROLE_SAML, 0);
		json_decref(ask(secret, CALL_WHOAMI, "{}", 401));
		stop();
	}
}

/* ---- metadata, as the keeper looks at it ---- */

static void
metadata_that_is_refused(void)
{
	static const struct {
		const char *text, *why;
	} row[] = {
		{ "<E/>", "no entityID" },
		{ "<E entityID=\"\"/>", "no entityID" },
		{ "<E entityID=\"a", "no entityID" },
		{ "<E entityID=x/>", "no entityID" },
		{ "<E entityID=\"a b\"/>", "not plain" },
		{ "<E entityID=\"a&amp;b\"/>", "not plain" },
		{ "<X><E entityID=\"a\"/><E entityID=\"b\"/></X>", "more than one entity" },
		{ "<!-- entityID=\"a\" --><E entityID=\"b\"/>", "more than one entity" },
		{ "<E entityID='urn:other'/>", "the same provider" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const char *why = "";
		fake_folder(&f);
		metadata = row[i].text;
		CU_ASSERT_EQUAL(open_keeper(&why), SP_ECONF);
		if (strstr(why, row[i].why) == NULL)
			printf("%s\n", why);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, row[i].why));
		keeper_close(&f.k);
		event_base_free(f.base);
		fake_clean(&f);
	}
	metadata = METADATA;
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "signing in", signing_in },
		{ "metadata and identities", metadata_and_identities },
		{ "signed requests", signed_requests },
		{ "ID4 an assertion is good once", an_assertion_is_good_once },
		{ "ID4 only the browser that asked", only_the_browser_that_asked },
		{ "a helper sends nobody elsewhere", a_helper_sends_nobody_elsewhere },
		{ "a helper names nobody else", a_helper_names_nobody_else },
		{ "a helper that is away", a_helper_that_is_away },
		{ "revoked", revoked },
		{ "ID4 logged out by the provider", logged_out_by_the_provider },
		{ "a row that the keeper did not write", a_row_that_the_keeper_did_not_write },
		{ "metadata that is refused", metadata_that_is_refused },
		CU_TEST_INFO_NULL,
	};
	log_init("test", 2, SP_ERROR);
	return cunit_main("saml at the keeper", tests);
}
