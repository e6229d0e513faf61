/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: DESIGN's example is understood, and every contradiction is refused with its place. */
#include <config.h>
#include "cunit_main.h"

#include <stdio.h>

#include "core/base/log.h"
#include "core/base/settings.h"
#include "core/base/url.h"

static struct arena *arena;
static const char *err;
static struct settings s;

static int
load(const char *text)
{
	struct conf_node *top;
	arena_free(&arena);
	arena = arena_new(0);
	err = "";
	s = (struct settings){ .folder = "/etc/sallyport" };
	int rc = conf_parse(arena, "t", sp_str(text), &top, &err);
	if (rc == SP_OK)
		rc = settings_fill(arena, top, &s, &err);
	return rc == SP_OK ? settings_check(arena, &s, &err) : rc;
}

static void
refused(const char *text, const char *expected)
{
	CU_ASSERT_EQUAL(load(text), SP_ECONF);
	if (strcmp(err, expected) != 0)
		printf("\nfor %s\n  got  %s\n  want %s\n", text, err, expected);
	CU_ASSERT_STRING_EQUAL(err, expected);
}

#define LISTENER "listener pg { listen 127.0.0.1:5432; protocol postgres; cleartext loopback; }"
#define TARGET "target orders { protocol postgres; server db:5432; policy p.lua; }"

#define CONSOLE(more) "console { listen 0.0.0.0:8443; " more " }"
#define CONSOLE_TLS "tls cert=c key=k; "

static void
test_console(void)
{
	CU_ASSERT_EQUAL(load("load_module postgres; " CONSOLE(CONSOLE_TLS "url https://gate.example.com:8443;") LISTENER), SP_OK);
	CU_ASSERT_STRING_EQUAL(s.console.tls.key, "/etc/sallyport/k");
	CU_ASSERT_STRING_EQUAL(settings_console_host(s.console.url), "gate.example.com:8443");
	CU_ASSERT_STRING_EQUAL(settings_console_host("https://[::1]"), "[::1]");
	static const char *const bad[] = { "", "https://", "http://gate.example.com", "https://Gate.example.com", "https://gate.example.com/",
		"https://gate.example.com:443", "https://gate.example.com:0", "https://user@gate.example.com", "https://a b", "https://a?b", "//a" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_PTR_NULL(settings_console_host(bad[i]));
	refused(CONSOLE(CONSOLE_TLS), "t:1: \"listen\" needs \"url https://HOST:PORT\": how browsers and `sallyport --server` reach it");
	refused(CONSOLE("url https://a;"), "t:1: \"listen\" needs \"tls cert=… key=…\": tokens and cookies pass through it");
	refused("console { listen gate:8443; tls cert=c key=k; url https://a; }",
	    "t:1: \"listen\" takes an address and a port, 0.0.0.0:8443 or [::1]:8443, unix:/PATH or systemd:NAME, not \"gate:8443\"");
	refused(CONSOLE(CONSOLE_TLS "url https://a; limit per_address=0;"), "t:1: \"limit\" takes connections= from 1 to 10000, and per_address= from 1");
	refused("load_module postgres;\n" CONSOLE(CONSOLE_TLS "url https://a;") "\nlistener pg { listen 0.0.0.0:8443; protocol postgres; tls cert=c key=k; }",
	    "t:3: \"console\" has the same address: 0.0.0.0:8443");
}

static const char example[] =
	"user sallyport; workers auto; load_module postgres;\n"
	"log /var/log/sallyport/error.log level=warn; audit audit.jsonl; access off;\n"
	"control /run/sallyport/control.sock mode=0660 group=adm may=mint,approve;\n"
	"store sqlite:/var/lib/sallyport/state.db;\n"
	"record { store /var/lib/sallyport/sessions; keep 90d; max 50g; sync always; sync_wait 2s; output head=1m;\n"
	"  anchor file:anchor; encrypt to=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff; }\n"
	"identity corp { oidc issuer=https://idp.example.com audience=sallyport api_audience=sallyport-api jwks=file:jwks.json;\n"
	"  class human; user claim=sub show=email; person claim=oid; groups claim=groups; roles approver=leads,dba; token_use once; }\n"
	"identity ci { oidc issuer=https://ci.example.com audience=sallyport jwks=file:/x; class workload;\n"
	"  allow repository_id=4711 ref=refs/heads/main; }\n"
	"policy { deadline 20ms; memory 8m; }\n"
	"local_issuer on beside;\n"
	"module postgres { statement_max 2m; }\n"
	"listener pg { listen 0.0.0.0:5432; protocol postgres; tls cert=tls/c.pem key=tls/k.pem; }\n"
	"target orders { protocol postgres; server 10.0.3.7:5432; tls verify-full ca=/etc/ca.pem;\n"
	"  login user=app_gw secret=file:secrets/orders; database orders; databases a b; allow groups=dba,dev users=ann;\n"
	"  label env=prod; policy policies/common.lua policies/orders.lua; timeout connect=3s idle=30m;\n"
	"  limit sessions=200 per_user=20; mode observe; row_max 16m; }\n";

static void
test_example(void)
{
	int rc = load(example);
	if (rc != SP_OK)
		printf("%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	CU_ASSERT(s.workers == 0 && s.log.level == SP_WARN && s.load_module.n == 1);
	CU_ASSERT_STRING_EQUAL(s.audit, "/etc/sallyport/audit.jsonl");
	CU_ASSERT_STRING_EQUAL(s.access, "");
	CU_ASSERT_EQUAL(s.control.may.n, 2);
	CU_ASSERT(s.record.sync == SYNC_ALWAYS && s.record.output_head == 1 << 20 && s.record.max == UINT64_C(50) << 30);
	CU_ASSERT_STRING_EQUAL(s.record.anchor, "file:/etc/sallyport/anchor");
	CU_ASSERT(s.local_issuer && s.local_issuer_beside);
	CU_ASSERT_STRING_EQUAL(s.listeners->tls.key, "/etc/sallyport/tls/k.pem");
	CU_ASSERT(s.listeners->handshake == 10000 && s.listeners->login == 30000 && !s.listeners->cleartext);
	const struct target *t = settings_target(&s, "orders");
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_STRING_EQUAL(t->login.secret, "file:/etc/sallyport/secrets/orders");
	CU_ASSERT_STRING_EQUAL(t->policy.v[1], "/etc/sallyport/policies/orders.lua");
	CU_ASSERT_STRING_EQUAL(t->tls.ca, "/etc/ca.pem");
	CU_ASSERT(t->timeout.connect == 3000 && t->timeout.login == 15000 && t->timeout.idle == 1800000);
	CU_ASSERT(t->allow.groups.n == 2 && t->allow.users.n == 1 && t->mode == MODE_OBSERVE && t->databases.n == 2);
	CU_ASSERT_STRING_EQUAL(t->catalogue.user, "");
	CU_ASSERT_STRING_EQUAL(s.identities->oidc.jwks, "file:/etc/sallyport/jwks.json");
	CU_ASSERT(s.identities->token_use == TOKEN_ONCE && s.identities->roles.approver.n == 2);
	CU_ASSERT_PTR_NULL(settings_target(&s, "order"));
	CU_ASSERT_STRING_EQUAL(s.listeners->b.name, "pg");
}

static void
test_defaults(void)
{
	CU_ASSERT_EQUAL_FATAL(load("load_module postgres;" LISTENER TARGET), SP_OK);
	CU_ASSERT(!s.local_issuer && s.record.output_head == UINT64_MAX && s.record.sync == SYNC_GROUP && s.record.keep == 0);
	CU_ASSERT(s.targets->tls.mode == TLS_VERIFY_FULL && s.targets->mode == MODE_ENFORCE);
	CU_ASSERT(s.targets->allow.groups.n == 0 && s.targets->allow.users.n == 0 && s.control.may.n == 0); /* nobody */
	CU_ASSERT_STRING_EQUAL(s.log.path, "stderr");
	CU_ASSERT_EQUAL(s.log.level, SP_INFO);
	CU_ASSERT_EQUAL(s.store_grace, 60000);
}

static void
test_listener(void)
{
	refused(LISTENER, "t:1: protocol \"postgres\" has no module: \"load_module postgres;\" is missing");
#define L(body) "load_module postgres; listener pg { protocol postgres; " body " }"
	refused(L("listen 5432; cleartext loopback;"),
	    "t:1: \"listen\" takes an address and a port, 127.0.0.1:5432 or [::1]:5432, unix:/PATH or systemd:NAME, not \"5432\"");
	refused(L("listen localhost:5432; cleartext loopback;"),
	    "t:1: \"listen\" takes an address and a port, 127.0.0.1:5432 or [::1]:5432, unix:/PATH or systemd:NAME, not \"localhost:5432\"");
	refused(L("listen 0.0.0.0:5432; cleartext loopback;"),
	    "t:1: \"cleartext loopback\" on 0.0.0.0:5432, which others reach too: tokens need TLS there");
	refused(L("listen 0.0.0.0:5432; public 127.0.0.1:5432; cleartext loopback;"),
	    "t:1: \"cleartext loopback\" on 0.0.0.0:5432, which others reach too: tokens need TLS there");
	refused(L("listen unix:run/pg; cleartext loopback;"),
	    "t:1: \"listen\" takes an address and a port, 127.0.0.1:5432 or [::1]:5432, unix:/PATH or systemd:NAME, not \"unix:run/pg\"");
	refused(L("listen systemd:; cleartext loopback;"),
	    "t:1: \"listen\" takes an address and a port, 127.0.0.1:5432 or [::1]:5432, unix:/PATH or systemd:NAME, not \"systemd:\"");
	refused(L("listen 127.0.0.1:5432; cleartext loopback; proxy_from 10.0.0.0/8 10.0.0.0/33;"),
	    "t:1: \"proxy_from\" takes networks, 10.0.0.0/24, not \"10.0.0.0/33\"");
	CU_ASSERT_EQUAL(load(L("listen unix:/run/pg; cleartext loopback;")), SP_OK);
	CU_ASSERT_EQUAL(load(L("listen systemd:pg; cleartext loopback; proxy_from 10.0.0.0/8 fd00::/8; keepalive off;")), SP_OK);
	refused(L("listen [::ffff:127.0.0.1]:5432; cleartext loopback;"),
	    "t:1: \"cleartext loopback\" on [::ffff:127.0.0.1]:5432, which others reach too: tokens need TLS there");
	refused(L("listen 127.0.0.1:5432;"),
	    "t:1: \"tls cert=… key=…\" is missing (or, for clients on this machine, \"cleartext loopback\")");
	refused(L("listen 127.0.0.1:5432; tls cert=a;"), "t:1: \"tls\" needs \"key=\"");
	refused(L("listen 127.0.0.1:5432; tls cert=a key=b certificates=on;"),
	    "t:1: \"tls certificates=on\" needs an \"identity\" with \"certificate ca=…\": who else would vouch for clients?");
	refused(L("listen 127.0.0.1:5432; cleartext;"), "t:1: \"cleartext\" needs arguments");
	refused(L("listen 127.0.0.1:5432; cleartext loopback; tls cert=a key=b;"),
	    "t:1: \"cleartext\" contradicts \"tls\": leave one of them out");
	refused(L("listen 127.0.0.1:5432; cleartext loopback; target x;"), "t:1: there is no target \"x\"");
	refused(L("listen 127.0.0.1:5432; cleartext loopback; timeout login=off;"),
	    "t:1: \"timeout\" of a listener can't be off: a silent client would stay for ever");
	refused("load_module postgres;" LISTENER "\nlistener b { protocol postgres; listen 127.0.0.1:5432; cleartext loopback; }",
	    "t:2: listener \"pg\" at t:1 has the same address");
	CU_ASSERT_EQUAL(load(L("listen [::1]:5432; cleartext loopback;")), SP_OK);
	CU_ASSERT_EQUAL(load(L("listen 0.0.0.0:5432; tls cert=a key=b;")), SP_OK);
}

static void
test_target(void)
{
#define T(body) "load_module postgres; target o { protocol postgres; " body " }"
	refused(T("policy p;"), "t:1: \"server\" is missing");
	refused(T("server a:1;"), "t:1: \"policy\" is missing");
	refused(T("server a; policy p;"), "t:1: \"server\" takes a host and a port, db.example.com:5432, not \"a\"");
	refused(T("server a:0; policy p;"), "t:1: \"server\" takes a host and a port, db.example.com:5432, not \"a:0\"");
	refused(T("server \"a b:1\"; policy p;"), "t:1: \"server\" takes a host and a port, db.example.com:5432, not \"a b:1\"");
	CU_ASSERT_EQUAL(load(T("server a:1; standby b:1 [::1]:2; policy p;")), SP_OK);
	refused(T("server a:1; standby b; policy p;"),
	    "t:1: \"standby\" takes hosts with their ports beside a \"server\" that is one too, not \"b\"");
	refused(T("server a:1; standby 169.254.169.254:80; policy p;"),
	    "t:1: \"standby\" 169.254.169.254:80 can't be a target: its address is link-local, a cloud's metadata, multicast or none: no target is there");
	refused(T("server a:1; policy p p;"), "t:1: \"policy\" has /etc/sallyport/p twice");
	refused(T("server a:1; policy p; login user=a secret=hunter2;"),
	    "t:1: \"login secret=\" says where the secret is: file:PATH, env:NAME or sealed:NAME");
	refused(T("server a:1; policy p; login user=a secret=sealed:x;"),
	    "t:1: \"sealed:x\" needs \"secrets key=file:PATH;\", which says what it is sealed under");
	refused("secrets key=file:k; " T("server a:1; policy p; login user=a secret=sealed:../x;"),
	    "t:1: \"sealed:../x\": a name has letters, digits, - _ and ., at most 64, and no . at its start");
	refused("secrets key=k; " T("server a:1; policy p;"), "t:1: \"secrets key=\" takes file:PATH, not \"k\"");
	refused("secrets key=file:s/k folder=s; " T("server a:1; policy p;"),
	    "t:1: \"secrets key=\" is in the folder of what it seals: keep it elsewhere");
#define EPHEMERAL(login, rest) T("server a:1; policy p; login ephemeral " login "; " rest)
#define ADMIN "admin user=adm secret=file:x; "
#define CATALOGUE "catalogue user=cat secret=file:y; "
	CU_ASSERT_EQUAL(load(EPHEMERAL("role=staff", ADMIN CATALOGUE)), SP_OK);
	CU_ASSERT_EQUAL(s.targets->login.valid, 15 * 60000);
	refused(EPHEMERAL("role=staff", "standby b:1; " ADMIN CATALOGUE),
	    "t:1: \"standby\" does not go with an ephemeral login: its roles are made at \"server\" alone");
	CU_ASSERT_STRING_EQUAL(settings_login(s.targets), "staff");
	refused(EPHEMERAL("role=staff user=x", ADMIN CATALOGUE),
	    "t:1: \"login ephemeral\" has its own user and secret: leave user=, secret=, cert= and cleartext out");
	refused(EPHEMERAL("role=r", "pool warm=1; " ADMIN CATALOGUE),
	    "t:1: \"pool\" does not go with \"login ephemeral\": each session has a role of its own");
	refused(EPHEMERAL("", ADMIN CATALOGUE), "t:1: \"login ephemeral\" needs \"role=\", whose rights its sessions have");
	refused(EPHEMERAL("role=staff", CATALOGUE), "t:1: \"login ephemeral\" needs \"admin user=… secret=…\", who may create roles");
	refused(EPHEMERAL("role=staff", ADMIN),
	    "t:1: \"login ephemeral\" needs \"catalogue user=… secret=…\": for the gateway's own connection no role is made");
	refused(EPHEMERAL("role=adm", ADMIN CATALOGUE),
	    "t:1: \"login ephemeral role=\" is the admin itself: give sessions a role that may do less");
	refused(EPHEMERAL("role=staff valid=1s", ADMIN CATALOGUE), "t:1: \"login ephemeral … valid=\" is between 1m and 24h");
	refused(T("server a:1; policy p; login user=x role=staff;"), "t:1: \"login role=\" goes with \"login ephemeral\"");
	refused(T("server a:1; policy p; login user=x; " ADMIN), "t:1: \"admin\" is for \"login ephemeral role=…\" only");
#define VAULT(login, rest) "vault v { server https://v:8200; token file:t; } " T("server a:1; policy p; login vault=v " login "; " rest)
	CU_ASSERT_EQUAL(load(VAULT("path=secret/data/x user=u", CATALOGUE)), SP_OK);
	CU_ASSERT(settings_lends(s.targets) && strcmp(settings_login(s.targets), "u") == 0);
	CU_ASSERT_EQUAL(load(VAULT("path=database/creds/x dynamic", CATALOGUE)), SP_OK);
	CU_ASSERT_STRING_EQUAL(settings_login(s.targets), "database/creds/x");
	refused(VAULT("path=/x user=u", CATALOGUE),
	    "t:1: \"login vault= path=\" is like secret/data/orders or database/creds/orders, not \"/x\"");
	refused(VAULT("path=a/../b user=u", CATALOGUE),
	    "t:1: \"login vault= path=\" is like secret/data/orders or database/creds/orders, not \"a/../b\"");
	refused(VAULT("path=x", CATALOGUE), "t:1: \"login vault=\" needs \"user=\", or \"dynamic\"");
	refused(VAULT("path=x user=u dynamic", CATALOGUE), "t:1: \"login vault= dynamic\" has its user from there: leave user= out");
	refused(VAULT("path=x user=u", ""),
	    "t:1: \"login vault=\" needs \"catalogue user=… secret=…\": for the gateway's own connection nothing is read there");
	refused(T("server a:1; policy p; login vault=w path=x user=u; " CATALOGUE), "t:1: there is no \"vault w { … }\"");
	refused(T("server a:1; policy p; login user=u path=x;"), "t:1: \"login path= dynamic\" go with \"login vault=NAME\"");
	refused("vault v { server http://v:8200; token file:t; } " T("server a:1; policy p;"),
	    "t:1: \"server\" of a vault is https: a token and passwords pass there (http on this machine only)");
	refused("vault v { server https://v:8200; token hvs.x; } " T("server a:1; policy p;"),
	    "t:1: \"token\" says where the token is: file:PATH, env:NAME or sealed:NAME");
#define COMMAND(run, login) "command c { " run " } " T("server a:1; policy p; login command=c " login "; " CATALOGUE)
	CU_ASSERT_EQUAL(load(COMMAND("run /bin/x \"a b\" c; timeout 2s;", "user=u")), SP_OK);
	CU_ASSERT(settings_lends(s.targets) && s.commands->run.n == 3 && s.commands->timeout == 2000);
	refused(COMMAND("run x;", "user=u"), "t:1: \"run\" takes a program's path, from / on, and at most 63 arguments");
	refused(COMMAND("run /x; timeout 2h;", "user=u"), "t:1: \"timeout\" of a command is between 100ms and 60s");
	refused(COMMAND("run /x;", "user=u secret=file:y"),
	    "t:1: \"login command=\" needs user=, and prints the secret: leave secret=, cert=, vault= and ephemeral out");
	refused(T("server a:1; policy p; login command=d user=u; " CATALOGUE), "t:1: there is no \"command d { … }\"");
	refused(T("server a:1; policy p; login secret=file:a;"), "t:1: \"login\" needs \"user=\"");
	refused(T("server a:1; policy p; tls off; login user=a secret=file:a cleartext on;"),
	    "t:1: \"login … cleartext on\" needs TLS to the target");
	refused(T("server a:1; policy p; tls off ca=x;"), "t:1: \"tls off\" takes no ca=, crl= or name=");
	refused(T("server a:1; policy p; tls require ca=x;"),
	    "t:1: \"tls require\" verifies nothing: ca=, crl= and name= go with \"tls verify-full\"");
	refused(T("server a:1; policy p; tls verify-full crl=x;"), "t:1: \"tls crl=\" needs ca=: the authorities whose lists these are");
	refused(T("server a:1; policy p; login user=u cert=x;"), "t:1: \"login\" needs both cert= and key=, or none");
	refused(T("server a:1; policy p; login user=u cert=x key=y;"), "t:1: \"login key=\" says where the key is: file:PATH or sealed:NAME");
	refused(T("server a:1; policy p; tls off; login user=u cert=x key=file:y;"), "t:1: \"login cert=\" needs TLS to the target");
	refused(T("server a:1; policy p; tls on;"), "t:1: \"mode\" is one of verify-full, require, off, not \"on\"");
	refused(T("server a:1; policy p; pool warm=1001;"),
	    "t:1: \"pool\" takes warm= of at most 1000 and age= of at most 1h: a login that was changed at the target must end");
	refused(T("server a:1; policy p; pool warm=1 age=off;"),
	    "t:1: \"pool\" takes warm= of at most 1000 and age= of at most 1h: a login that was changed at the target must end");
	refused(T("server a:1; policy p; timeout connect=off;"),
	    "t:1: \"timeout connect= login=\" can't be off: a hung target would hold sessions for ever");
	refused(T("server a:1; policy p; access grant;") "x", "t:1: \"x\" does not end: \";\" is missing");
	CU_ASSERT_EQUAL(load(T("server [::1]:1; policy p; tls ca=x; login user=a;")), SP_OK);
}

static void
test_urls(void)
{
	static const struct {
		const char *text, *host;
		unsigned port; /* 0: none of ours */
	} row[] = {
		{ "https://a", "a", 443 }, { "https://a/", "a", 443 }, { "https://a.example:8443/x/y?z=1&w=%20", "a.example", 8443 },
		{ "https://[::1]/x", "::1", 443 }, { "https://[::1]:7/x", "::1", 7 }, { "http://127.0.0.1:80/x", "127.0.0.1", 80 },
		{ "https://", "", 0 }, { "https:///x", "", 0 }, { "https://a:0/", "", 0 }, { "https://a:99999/", "", 0 }, { "https://a:/", "", 0 },
		{ "https://u@a/", "", 0 }, { "https://u:p@a/", "", 0 }, { "https://a/#f", "", 0 }, { "https://a#f", "", 0 }, { "https://a?x", "", 0 },
		{ "https://a/\\b", "", 0 }, { "https://a\\b/", "", 0 }, { "https://a/ b", "", 0 }, { "https://a/\n", "", 0 }, { "HTTPS://a/", "", 0 },
		{ "ftp://a/", "", 0 }, { "file:///etc/passwd", "", 0 }, { "//a/", "", 0 }, { "a", "", 0 }, { "", "", 0 }, { "https://[::1/", "", 0 },
		{ "https://-a/", "", 0 }, { "https://a b/", "", 0 }, { "https://a/\xc3\xa4", "", 0 }, { "javascript:alert(1)", "", 0 },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct url u;
		bool good = url_parse(row[i].text, &u) == SP_OK;
		if (good != (row[i].port > 0) || (good && (u.at.port != row[i].port || strcmp(u.at.host, row[i].host) != 0)))
			printf("%s\n", row[i].text);
		CU_ASSERT_EQUAL(good, row[i].port > 0);
		CU_ASSERT(!good || (u.at.port == row[i].port && strcmp(u.at.host, row[i].host) == 0));
	}
	CU_ASSERT(url_fits("https://a", false) && !url_fits("http://127.0.0.1/", false) && url_fits("http://127.0.0.1/", true));
	CU_ASSERT(url_fits("http://localhost:1/", true) && url_fits("http://[::1]:1/", true) && !url_fits("http://a/", true));
	CU_ASSERT(url_same_origin("https://a/x", "https://A:443/y") && !url_same_origin("https://a/x", "https://a:444/x"));
	CU_ASSERT(!url_same_origin("https://a/x", "http://a:443/x") && !url_same_origin("https://a", "https://b") && !url_same_origin("x", "x"));
}

static void
test_saml(void)
{
#define SAML "saml metadata=okta.xml;"
#define SI(body) "identity a { " body " } console { url https://gate.example.com; }"
	refused("identity a { " SAML " }", "t:1: \"saml\" needs \"console { url https://…; }\": responses are posted there");
	CU_ASSERT_EQUAL(load(SI(SAML)), SP_OK);
	CU_ASSERT_STRING_EQUAL(s.identities->saml.metadata, "/etc/sallyport/okta.xml");
	CU_ASSERT(s.identities->saml.entity[0] == '\0' && !s.identities->saml.idp_initiated && s.identities->session == 8u * 3600 * 1000);
	CU_ASSERT_STRING_EQUAL(s.identities->user.claim, "sub");
	CU_ASSERT_STRING_EQUAL(s.identities->groups.claim, "");
	CU_ASSERT_STRING_EQUAL(s.identities->person.claim, "");
	CU_ASSERT_EQUAL(load(SI("saml metadata=/x.xml entity_id=urn:gate idp_initiated=on sp_key=file:k sp_cert=c; user attribute=uid show=mail;"
	    " groups attribute=http://schemas.example.com/groups; person nameid; roles admin=x; session 1h;")), SP_OK);
	CU_ASSERT(s.identities->saml.idp_initiated && s.identities->session == 3600 * 1000);
	CU_ASSERT_STRING_EQUAL(s.identities->saml.key, "file:/etc/sallyport/k");
	CU_ASSERT_STRING_EQUAL(s.identities->saml.cert, "/etc/sallyport/c");
	CU_ASSERT_STRING_EQUAL(s.identities->user.claim, "uid");
	CU_ASSERT_STRING_EQUAL(s.identities->groups.claim, "http://schemas.example.com/groups");
	CU_ASSERT_STRING_EQUAL(s.identities->person.claim, "sub");
	refused(SI(SAML "oidc issuer=i audience=a jwks=file:j;"), "t:1: an identity is of \"oidc\" or of \"saml\", not of both: make two blocks");
	refused(SI("saml idp_initiated=on;"), "t:1: \"saml\" needs \"metadata=\"");
	refused(SI(SAML "class agent; allow a=b;"), "t:1: \"saml\" is for people: \"class\" must be human");
	refused(SI("saml metadata=x sp_key=file:k;"), "t:1: \"saml\" takes sp_key= and sp_cert= together");
	refused(SI("saml metadata=x sp_key=secret sp_cert=c;"), "t:1: \"saml secret=\" says where the secret is: file:PATH, env:NAME or sealed:NAME");
	refused(SI("saml metadata=x \"entity_id=a b\";"), "t:1: \"saml entity_id=\" is a URI of at most 1024 letters, not \"a b\"");
	refused(SI(SAML "user nameid attribute=x;"), "t:1: \"user\" and \"person\" take nameid or attribute=, not both");
	refused(SI(SAML "session off;"), "t:1: \"session\" can't be off");
	refused(SI("oidc issuer=i audience=a jwks=file:j; groups attribute=g;"),
	    "t:1: nameid and attribute= are of \"saml\": an identity of \"oidc\" takes claim=");
}

static void
test_ssh_keys(void)
{
#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SK(name, body) "ssh_key " name " { key \"ssh-ed25519 " KEY "\"; " body " }\n"
	CU_ASSERT_EQUAL(load(SK("a", "user nightly; groups jobs; session 1h;")), SP_OK);
	CU_ASSERT_EQUAL(s.ssh_keys->class, CLASS_WORKLOAD);
	CU_ASSERT_EQUAL(load(SK("a", "user ann; class human;")), SP_OK);
	refused(SK("a", "user robot; class agent;"),
	    "t:1: \"class agent\" needs a sponsor, which a key can't name: let the agent show tokens of an identity");
	refused(SK("a", "groups jobs;"), "t:1: \"user\" is missing");
	refused(SK("a", "user nightly; session off;"), "t:1: it needs a \"user\", and a \"session\" that is longer than nothing");
	refused("ssh_key a { key \"ssh-rsa AAAA\"; user nightly; }",
	    "t:1: \"key\" is an Ed25519 public key, in quotes: \"ssh-ed25519 AAAA…\", as its .pub file has it");
	refused(SK("a", "user one;") SK("b", "user two;"), "t:2: \"ssh_key a\" has the same key: a key is one principal's");
}

static void
test_identity(void)
{
#define I(body) "identity a { " body " }"
#define URLS "https://HOST/… (or, with insecure_loopback=on, http:// on this machine)"
#define OIDC "oidc issuer=i audience=a jwks=file:j;"
	refused(I(""), "t:1: it needs \"oidc issuer=…\", \"saml metadata=…\" or \"certificate ca=…\"");
	refused(I("oidc issuer=i audience=a;"), "t:1: \"oidc issuer=\" is " URLS ", since the provider is asked there; or give jwks=file:PATH,"
	    " and no client=");
	refused(I("oidc issuer=i client=a jwks=file:j;"), "t:1: \"oidc issuer=\" is " URLS ", since the provider is asked there; or give"
	    " jwks=file:PATH, and no client=");
	refused(I("oidc issuer=http://127.0.0.1/ audience=a;"), "t:1: \"oidc issuer=\" is " URLS ", since the provider is asked there; or"
	    " give jwks=file:PATH, and no client=");
	refused(I("oidc issuer=i audience= jwks=file:j;"),
	    "t:1: \"oidc\" needs issuer=, and client= (sign-ins) or audience= (tokens as they are)");
	refused(I("oidc issuer=i audience=a api_audience=a jwks=file:j;"),
	    "t:1: client=, audience= and api_audience= must differ: a token for one is not good for the other");
	refused(I("oidc issuer=https://i client=a audience=a;"),
	    "t:1: client=, audience= and api_audience= must differ: a token for one is not good for the other");
	refused(I("oidc issuer=i audience=a jwks=http://x;"), "t:1: \"oidc jwks=\" takes file:PATH or " URLS);
	refused(I("oidc issuer=https://i audience=a insecure_loopback=on jwks=http://x;"), "t:1: \"oidc jwks=\" takes file:PATH or " URLS);
	refused(I("oidc issuer=https://i client=a secret=hunter2;"),
	    "t:1: \"oidc secret=\" says where the secret is: file:PATH, env:NAME or sealed:NAME");
	refused(I("oidc issuer=https://i audience=a secret=file:x;"), "t:1: \"oidc secret=\" goes with client=");
	refused(I("oidc issuer=https://i client=a scope=profile;"), "t:1: \"oidc scope=\" needs openid");
	refused(I("oidc issuer=https://i client=a; class agent; allow a=b;"),
	    "t:1: \"oidc client=\" is for people: an identity of class agent shows tokens");
	refused(I(OIDC "class agent; allow a=b;"),
	    "t:1: \"class agent\" needs \"sponsor claim=\": who answers for an agent may not approve what it asks");
	refused(I(OIDC "sponsor claim=act;"), "t:1: \"sponsor\" goes with \"class agent\"");
	refused(I(OIDC "session off;"), "t:1: \"session\" can't be off");
	refused(I(OIDC) "\nidentity b { oidc issuer=i audience=b api_audience=a jwks=file:j; }", "t:2: identity \"a\" has the same issuer and"
	    " audience");
	CU_ASSERT_EQUAL(load(I("oidc issuer=https://idp.example.com:8443/realms/a client=c secret=env:S scope=openid,groups ca=x;")), SP_OK);
	CU_ASSERT(s.identities->session == 8u * 3600 * 1000 && s.identities->oidc.scope.n == 2 && !s.identities->oidc.insecure_loopback);
	CU_ASSERT_STRING_EQUAL(s.identities->oidc.ca, "/etc/sallyport/x");
	CU_ASSERT_EQUAL(load(I("oidc issuer=http://127.0.0.1:5 client=c insecure_loopback=on;")), SP_OK);
	CU_ASSERT_EQUAL(load(I("oidc issuer=i audience=a jwks=https://keys.example.com/x; class agent; allow a=b; sponsor claim=act;")), SP_ECONF);
	CU_ASSERT_EQUAL(load(I("oidc issuer=https://i audience=a jwks=https://keys.example.com/x; class agent; allow a=b; sponsor claim=act;")),
	    SP_OK);
	refused(I(OIDC "class workload;"),
	    "t:1: an identity of class workload needs \"allow claim=value\": its issuer vouches for others' workloads too");
	refused(I(OIDC "max_age off;"), "t:1: \"max_age\" can't be off");
	refused("identity local { " OIDC " }", "t:1: the name \"local\" is the gateway's own: choose another");
	refused(I(OIDC) "\nidentity b { " OIDC " }", "t:2: identity \"a\" has the same issuer and audience");
#define X509 "certificate ca=c; user claim=cn;"
	CU_ASSERT_EQUAL(load(I(X509)), SP_OK);
	CU_ASSERT_STRING_EQUAL(s.identities->certificate.ca, "/etc/sallyport/c");
	refused(I("certificate ca=c; user claim=ou;"), "t:1: of a certificate \"user claim=\" is cn, email, dns, uri or sub, not \"ou\"");
	refused(I(X509 OIDC), "t:1: an identity is of one of \"oidc\", \"saml\" and \"certificate\": make two blocks");
	refused(I(X509 "class workload;"),
	    "t:1: an identity of class workload needs \"allow claim=value\": its issuer vouches for others' workloads too");
	refused(I(X509 "class agent; allow o=x;"),
	    "t:1: \"class agent\" needs \"sponsor claim=\": who answers for an agent may not approve what it asks");
	refused(I(X509 "session off;"), "t:1: \"session\" can't be off");
	refused("local_issuer on;" I(OIDC),
	    "t:1: \"local_issuer on\" beside real identities: say \"local_issuer on beside\" if it is meant");
	CU_ASSERT_EQUAL(load("local_issuer on beside;" I(OIDC)), SP_OK);
	CU_ASSERT_EQUAL(load("local_issuer on;"), SP_OK);
}

static void
test_top(void)
{
	refused("lsten 1;", "t:1: unknown directive \"lsten\", did you mean \"listen\"? It belongs in \"listener NAME { }\"");
	refused("listen 1;", "t:1: \"listen\" belongs in \"listener NAME { }\"");
	refused("sync group;", "t:1: \"sync\" belongs in \"record { }\"");
	refused("record { workers 1; }", "t:1: \"workers\" belongs outside of all blocks");
	refused("record { lsten 1; }", "t:1: unknown directive \"lsten\", did you mean \"listen\"? It belongs in \"listener NAME { }\"");
	refused("frobnicate 1;", "t:1: unknown directive \"frobnicate\"");
	refused("wrkers 1;", "t:1: unknown directive \"wrkers\", did you mean \"workers\"?");
	refused("workers 257;", "t:1: \"workers\" is at most 256");
	refused("load_module a a;", "t:1: \"load_module a\" is given twice");
	refused("load_module a;\nload_module /x/a.so;", "t:1: \"load_module /x/a.so\" is given twice");
	refused("module x { }", "t:1: module \"x\" is not loaded: \"load_module x;\" is missing");
	refused("control /x mode=0666;", "t:1: \"control mode=\" is like 0660, with nothing for others, not \"0666\"");
	refused("control /x may=all;", "t:1: \"control may=\" takes mint and approve, not \"all\"");
	refused("\nrecord { output some; }", "t:2: \"output\" is full, off, or head=SIZE such as head=1m");
	refused("record { anchor x; }", "t:1: \"anchor\" takes file:PATH, syslog:FACILITY or syslog://HOST[:PORT], not \"x\"");
	static const char *const host[] = { "syslog://", "syslog://:514", "syslog://host:", "syslog://host:0", "syslog://host:65536", "syslog://::1",
		"syslog://[::1", "syslog://[host]", "syslog://[::1]x", "syslog://a/b", "syslog:/host", "syslog://-x" };
	for (size_t i = 0; i < sizeof(host) / sizeof(*host); i++) {
		char conf[128], text[256];
		(void)snprintf(conf, sizeof(conf), "\nrecord { anchor \"%s\"; }", host[i]);
		(void)snprintf(text, sizeof(text), "t:2: \"anchor\" takes syslog://HOST[:PORT]: a name, an address, or an IPv6 address in brackets, "
		    "not \"%s\"", host[i]);
		refused(conf, text);
	}
	refused("\n\nrecord { anchor syslog:FOO; }",
	    "t:3: \"anchor\" takes the facilities authpriv, auth, daemon, user and local0 to local7, not \"FOO\"");
	refused("record { anchor syslog:local8; }",
	    "t:1: \"anchor\" takes the facilities authpriv, auth, daemon, user and local0 to local7, not \"local8\"");
	refused("record { encrypt to=xy; }", "t:1: \"encrypt to=\" takes 64 hexadecimal digits");
	refused("record { ring 1k; }", "t:1: \"ring\" is between 1m and 1g");
	refused("policy { deadline 2s; }", "t:1: \"policy { deadline }\" is between 1ms and 1s");
	static const char *const odd[] = { "postgresql://x", "postgresql://u@h", "postgresql://@h/d", "postgresql://u@h/", "postgresql://u@h:0/d",
		"postgresql://u@h:x/d", "postgresql://u@/d", "postgresql://u@h/d?sslmode=disable", "postgresql://u:p@h/d", "mysql://u@h/d" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		char text[128], why[256];
		(void)snprintf(text, sizeof(text), "store %s;", odd[i]);
		(void)snprintf(why, sizeof(why), "t:1: \"store\" takes sqlite:PATH or postgresql://USER@HOST[:PORT]/DATABASE, not \"%s\"", odd[i]);
		refused(text, why);
	}
	refused("store postgresql://u@h/d;", "t:1: \"store … tls=verify-full\" needs ca=PATH");
	refused("store postgresql://u@h/d tls=off;", "t:1: \"store … tls=off\" is for a server on this machine: its rows and its password would go "
	    "in the clear");
	refused("store postgresql://u@127.0.0.1/d tls=off secret=hunter2;",
	    "t:1: \"store … secret=\" takes file:PATH, env:NAME or sealed:NAME, never the password itself");
	refused("limit sessions=0;", "t:1: \"limit\" of 0 would let nobody in");
}

static void
test_anchor_host(void)
{
	static const struct { const char *text, *host; unsigned port; bool literal; } cases[] = {
		{ "syslog://logs.example.com", "logs.example.com", 514, false }, { "syslog://logs:6514", "logs", 6514, false },
		{ "syslog://192.0.2.1", "192.0.2.1", 514, true }, { "syslog://192.0.2.1:1", "192.0.2.1", 1, true },
		{ "syslog://[2001:db8::1]", "2001:db8::1", 514, true }, { "syslog://[::1]:65535", "::1", 65535, true },
	};
	struct hostport h;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CU_ASSERT_EQUAL(settings_anchor_host(cases[i].text, &h), SP_OK);
		CU_ASSERT_STRING_EQUAL(h.host, cases[i].host);
		CU_ASSERT_EQUAL(h.port, cases[i].port);
		CU_ASSERT_EQUAL(h.literal, cases[i].literal);
	}
	CU_ASSERT_EQUAL(settings_anchor_host("syslog:authpriv", &h), SP_ECONF);
}

static void
test_hostport(void)
{
	static const struct { const char *text; bool ok, literal, loopback; } cases[] = {
		{ "127.0.0.1:1", true, true, true }, { "127.9.9.9:65535", true, true, true }, { "[::1]:5432", true, true, true },
		{ "10.0.0.1:5432", true, true, false }, { "[::]:5432", true, true, false }, { "db.example.com:5432", true, false, false },
		{ "0:5432", true, false, false }, { "127.1:5432", true, false, false }, { ":5432", false, 0, 0 }, { "a", false, 0, 0 },
		{ "a:", false, 0, 0 }, { "a:65536", false, 0, 0 }, { "a:1x", false, 0, 0 }, { "a:+1", false, 0, 0 }, { "[::1]", false, 0, 0 },
		{ "[::1]5432", false, 0, 0 }, { "[a]:1", false, 0, 0 }, { "::1:5432", false, 0, 0 }, { "", false, 0, 0 }, { "-x:1", false, 0, 0 },
	};
	struct hostport h;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = settings_hostport(cases[i].text, &h) == SP_OK;
		CU_ASSERT_EQUAL(ok, cases[i].ok);
		if (ok && (h.literal != cases[i].literal || h.loopback != cases[i].loopback))
			CU_FAIL(cases[i].text);
	}
	CU_ASSERT(settings_hostport("[::1]:5432", &h) == SP_OK && h.port == 5432 && strcmp(h.host, "::1") == 0);
	CU_ASSERT(sp_bytes_is(settings_module_name("postgres"), "postgres"));
	CU_ASSERT(sp_bytes_is(settings_module_name("/a.b/postgres.so"), "postgres"));
	CU_ASSERT(sp_bytes_is(settings_module_name("/a.so/"), ""));
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "example", test_example },
		{ "defaults", test_defaults },
		{ "listener", test_listener },
		{ "target", test_target },
		{ "identity", test_identity },
		{ "keys of SSH", test_ssh_keys },
		{ "identity of SAML", test_saml },
		{ "URLs", test_urls },
		{ "top", test_top },
		{ "hostport", test_hostport }, { "a log host for checkpoints", test_anchor_host },
		{ "console", test_console },
		CU_TEST_INFO_NULL,
	};
	int rc = cunit_main("settings", tests);
	arena_free(&arena);
	return rc;
}
