/* SPDX-License-Identifier: Apache-2.0 */
/* The Docker module: its table of routes, texts to attributes, bodies that change privileges, frames cut anywhere. */
#include <config.h>

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/policy/policy.h"
#include "../../modules/docker/docker.h"
#include "cunit_main.h"

extern const struct sp_module sallyport_module_docker;

static struct shape *
shape_of(const char *kind, const char *text)
{
	const struct sp_scope scope = { .view = NULL };
	return shape_make(&sallyport_module_docker, &scope, kind, sp_str(text));
}

static bool
is_unclear(const char *kind, const char *text, const char *why, const char *name)
{
	struct shape *s = shape_of(kind, text);
	bool found = false;
	for (size_t i = 0; i < s->nunclear; i++)
		found = found || (strcmp(s->unclear[i].why, why) == 0 && sp_bytes_is(s->unclear[i].name, name));
	shape_free(&s);
	return found;
}

static bool
is_clear(const char *kind, const char *text)
{
	struct shape *s = shape_of(kind, text);
	bool clear = !s->failed && s->nunclear == 0;
	shape_free(&s);
	return clear;
}

static const char *
action_of(const char *method, const char *path)
{
	struct route r = docker_route(sp_str(method), sp_str(path));
	return r.row == NULL ? "" : r.row->action;
}

static void
routes(void)
{
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/containers/json"), "list");
	CU_ASSERT_STRING_EQUAL(action_of("HEAD", "/v1.47/_ping"), "ping");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/v1.24/images/a.b/c/d/json"), "inspect");
	CU_ASSERT_STRING_EQUAL(action_of("DELETE", "/images/a.b/c"), "remove");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/v1.23/info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/v1.48/info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/v1.041/info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/v1.41/v1.41/info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/info/"), "info");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "//info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("get", "/info"), "");
	CU_ASSERT_STRING_EQUAL(action_of("POST", "/containers/a/exec/x"), "");
	CU_ASSERT_STRING_EQUAL(action_of("GET", "/"), "");
	struct route r = docker_route(SP_LIT("POST"), SP_LIT("/v1.41/containers/web/exec"));
	CU_ASSERT(sp_bytes_is(r.container, "web") && sp_bytes_is(r.prefix, "/v1.41"));
	CU_ASSERT(docker_name_ok(SP_LIT("web_1.a-b")) && !docker_name_ok(SP_LIT("..")) && !docker_name_ok(SP_LIT("a%2fb")) && !docker_name_ok(SP_LIT("")));
}

/* Every endpoint that the engine's reference names from 1.24 to 1.47, with or without a version: none is left to chance. */
static void
endpoints(void)
{
	static const char *const all[] = { "GET /_ping", "HEAD /_ping", "GET /version", "GET /info", "GET /events", "GET /system/df", "POST /auth", "POST /session", "POST /grpc",
		"GET /containers/json", "POST /containers/create", "GET /containers/a/json", "GET /containers/a/top", "GET /containers/a/logs", "GET /containers/a/changes",
		"GET /containers/a/export", "GET /containers/a/stats", "POST /containers/a/resize", "POST /containers/a/start", "POST /containers/a/stop",
		"POST /containers/a/restart", "POST /containers/a/kill", "POST /containers/a/update", "POST /containers/a/rename", "POST /containers/a/pause",
		"POST /containers/a/unpause", "POST /containers/a/attach", "GET /containers/a/attach/ws", "POST /containers/a/wait", "DELETE /containers/a",
		"HEAD /containers/a/archive", "GET /containers/a/archive", "PUT /containers/a/archive", "POST /containers/prune", "POST /containers/a/exec",
		"POST /exec/a/start", "POST /exec/a/resize", "GET /exec/a/json", "GET /images/json", "POST /build", "POST /build/prune", "POST /images/create",
		"GET /images/a/b:1/json", "GET /images/a/history", "POST /images/a/push", "POST /images/a/tag", "DELETE /images/a", "GET /images/search", "POST /images/prune",
		"POST /commit", "GET /images/a/get", "GET /images/get", "POST /images/load", "GET /distribution/a/json", "GET /networks", "GET /networks/a", "DELETE /networks/a",
		"POST /networks/create", "POST /networks/a/connect", "POST /networks/a/disconnect", "POST /networks/prune", "GET /volumes", "POST /volumes/create",
		"GET /volumes/a", "PUT /volumes/a", "DELETE /volumes/a", "POST /volumes/prune", "GET /plugins", "GET /plugins/privileges", "POST /plugins/pull",
		"GET /plugins/a/json", "DELETE /plugins/a", "POST /plugins/a/enable", "POST /plugins/a/disable", "POST /plugins/a/upgrade", "POST /plugins/create",
		"POST /plugins/a/push", "POST /plugins/a/set", "GET /nodes", "GET /nodes/a", "DELETE /nodes/a", "POST /nodes/a/update", "GET /swarm", "POST /swarm/init",
		"POST /swarm/join", "POST /swarm/leave", "POST /swarm/update", "GET /swarm/unlockkey", "POST /swarm/unlock", "GET /services", "POST /services/create",
		"GET /services/a", "DELETE /services/a", "POST /services/a/update", "GET /services/a/logs", "GET /tasks", "GET /tasks/a", "GET /tasks/a/logs", "GET /secrets",
		"POST /secrets/create", "GET /secrets/a", "DELETE /secrets/a", "POST /secrets/a/update", "GET /configs", "POST /configs/create", "GET /configs/a",
		"DELETE /configs/a", "POST /configs/a/update" };
	static const char *const prefix[] = { "", "/v1.24", "/v1.30", "/v1.41", "/v1.47" }, *const strange[] = { "/v1.23", "/v1.48", "/v1.100", "/v2.30", "/v01.30", "/V1.30", "/1.30", "/v1.30.0" };
	char method[8], path[64], whole[96];
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		CU_ASSERT_EQUAL_FATAL(sscanf(all[i], "%7s %63s", method, path), 2);
		for (size_t k = 0; k < sizeof(prefix) / sizeof(*prefix) + sizeof(strange) / sizeof(*strange); k++) {
			bool known = k < sizeof(prefix) / sizeof(*prefix);
			(void)snprintf(whole, sizeof(whole), "%s%s", known ? prefix[k] : strange[k - sizeof(prefix) / sizeof(*prefix)], path);
			bool found = action_of(method, whole)[0] != '\0';
			if (found != known)
				printf("%s %s\n", method, whole);
			CU_ASSERT_EQUAL(found, known);
		}
	}
}

#define CREATE "docker.container.create", "POST /containers/create\n\n"
#define EXEC "docker.exec.create", "POST /containers/abc/exec\ncontainer: web\n\n"

/* Whatever is asked of an exec, and in whatever version: it is somebody's. */
static void
an_exec_is_somebodys(void)
{
	static const char *const path[] = { "/exec/abc/start", "/exec/abc/unheard", "/v1.41/exec/abc", "/v9.9/exec/abc/start" };
	for (size_t i = 0; i < sizeof(path) / sizeof(*path); i++)
		CU_ASSERT(sp_bytes_is(docker_route(SP_LIT("POST"), sp_str(path[i])).exec, "abc"));
	CU_ASSERT_PTR_NULL(docker_route(SP_LIT("POST"), SP_LIT("/containers/exec/unheard")).exec.p);
}

static void
what_is_not_known_is_unclear(void)
{
	CU_ASSERT(is_unclear("docker.unknown", "GET /unheard", "route", "unknown"));
	CU_ASSERT(is_unclear("docker.unknown", "GET /v9.9/info", "route", "version"));
	CU_ASSERT(is_unclear("docker.image", "POST /build", "route", "build"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"hostconfig\":{}}", "field", "hostconfig"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"HostConfig\":{\"privileged\":true}}", "field", "privileged"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"HostConfig\":{\"MaskedPaths\":[]}}", "field", "MaskedPaths"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"HostConfig\":{\"Sysctls\":{\"a\":\"b\"}}}", "field", "Sysctls"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"HostConfig\":{\"PidMode\":\"container:x\"}}", "namespace", "pid"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"Image\":\"b\"}", "body", "malformed"));
	CU_ASSERT(is_unclear(CREATE "[]", "body", "malformed"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\"} x", "body", "malformed"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[\"id\"],\"cmd\":[\"rm\"]}", "field", "cmd"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[\"sh\",\"-c\"]}", "program", "sh") && is_unclear(EXEC "{\"Cmd\":[\"sh\",\"x\"]}", "program", "sh"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[1]}", "field", "Cmd"));
	CU_ASSERT(is_unclear("docker.container", "POST /containers/a/start\ncontainer: a\n!body: unseen\n", "body", "start"));
	CU_ASSERT(is_unclear("docker.archive", "GET /containers/a/archive?path=/x/../y\ncontainer: a\n", "path", ".."));
	CU_ASSERT(is_clear(CREATE "{\"Image\":\"a\",\"HostConfig\":{\"MaskedPaths\":null,\"Memory\":1}}"));
	CU_ASSERT(is_clear(EXEC "{\"Cmd\":[\"id\"],\"Tty\":true,\"Env\":[\"A=b\"]}"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[\"bash\",\"-c\",\"ls\"],\"Env\":[\"BASH_ENV=$(id)\"]}", "program", "BASH_ENV"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[\"sh\",\"-xc\",\"ls\"],\"Env\":[\"A=b\",\"PS4=$(id)\"]}", "program", "PS4"));
	CU_ASSERT(is_unclear(EXEC "{\"Cmd\":[\"bash\",\"-c\",\"ls\"],\"Env\":[\"BASH_FUNC_ls%%=() { id; }\"]}", "program", "BASH_FUNC_ls%%"));
	CU_ASSERT(is_unclear(CREATE "{\"Image\":\"a\",\"Env\":[\"LD_PRELOAD=/x.so\"]}", "program", "LD_PRELOAD"));
	CU_ASSERT(is_clear("docker.archive", "PUT /containers/a/archive?path=/x\ncontainer: a\n!body: unseen\n"));
	/* a text of another kind is no text of this one */
	struct shape *s = shape_of("docker.system", "POST /containers/create\n\n{}");
	CU_ASSERT(s->failed || s->nunclear > 0);
	shape_free(&s);
}

static bool
says(const char *kind, const char *text, unsigned attr, const char *wanted)
{
	struct shape *s = shape_of(kind, text);
	const struct value *v = &s->node[0].value[attr];
	bool list = docker_attrs[attr].type == SP_TYPE_STRINGS;
	bool same = s->nunclear == 0 && v->known && (list ? v->n > 0 && sp_bytes_is(v->set[0], wanted) : sp_bytes_is(v->text, wanted));
	shape_free(&s);
	return same;
}

#define STARTED(argv) "docker.exec", "POST /exec/abc/start\ncontainer: web\ncontainer.label: env=prod\ncontainer.user: web\nexec.argv: " argv "\n\n{}"
#define LINE(line) EXEC "{\"User\":\"web\",\"Cmd\":[\"/bin/sh\",\"-ec\",\"" line "\"]}"

/* Which nodes has it, by program, and is every other attribute with each of them? */
static bool
runs(const char *kind, const char *text, const char *const *program, size_t n)
{
	struct shape *s = shape_of(kind, text);
	bool same = !s->failed && s->nunclear == 0 && s->nnodes == n;
	for (size_t i = 0; same && i < n; i++) {
		const struct value *v = s->node[i].value;
		same = sp_bytes_is(v[A_PROGRAM].text, program[i]) && sp_bytes_is(v[A_SHELL].text, "sh") && sp_bytes_is(v[A_CONTAINER].text, "web") &&
		    sp_bytes_is(v[A_USER].text, "web") && v[A_ARGV].n > 0 && sp_bytes_eq(v[A_ACTION].text, s->node[0].value[A_ACTION].text);
	}
	shape_free(&s);
	return same;
}

/* `sh -c` is no way around a rule on words: each command of its line is a node with all that is known. */
static void
lines_of_shells_are_read(void)
{
	static const char *const three[] = { "ls", "rm", "wc" };
	CU_ASSERT(runs(LINE("ls /srv && /bin/rm -r 'x y' | wc"), three, 3));
	CU_ASSERT(runs(STARTED("[\"sh\",\"-c\",\"ls; rm x; wc -l\",\"sh\",\"a\"]"), three, 3));
	CU_ASSERT(runs(STARTED("[\"sh\",\"-e\",\"-c\",\"ls\"]"), three, 1));
	CU_ASSERT(is_unclear(LINE("rm $X"), "shell", "variable") && is_unclear(LINE("ls; $X"), "shell", "variable"));
	CU_ASSERT(is_unclear(LINE("ls; sh -c 'rm x'"), "program", "sh") && is_unclear(LINE("for i in a; do rm x; done"), "shell", "compound"));
	CU_ASSERT(is_unclear(LINE("rm `ls`"), "shell", "substitution") && is_unclear(LINE("#"), "shell", "syntax"));
	static const char *const others[] = { "[\"sh\",\"-c\",\"-\",\"ls\"]", "[\"sh\",\"-c\",\"--\",\"ls\"]", "[\"sh\",\"-c\",\"+x\",\"ls\"]", "[\"sh\",\"-ic\",\"ls\"]",
		"[\"sh\",\"-o\",\"c\",\"ls\"]", "[\"sh\",\"-c\",\"\"]" };
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		char text[300];
		snprintf(text, sizeof(text), "POST /exec/abc/start\ncontainer: web\nexec.argv: %s\n\n{}", others[i]);
		CU_ASSERT(is_unclear("docker.exec", text, "program", "sh"));
	}
	CU_ASSERT(says(LINE("ls > /etc/x"), A_WRITES, "/etc/x") && says(LINE("wc < /etc/x"), A_READS, "/etc/x"));
}

#define IMAGE(name) "docker.image", "DELETE /images/" name
#define ARCHIVE(path) "docker.archive", "GET /containers/a/archive?path=" path "\ncontainer: a\n"
#define HOST(what) CREATE "{\"Image\":\"a\",\"HostConfig\":{" what "}}"

/* One thing has one name for rules, however it is spelled. */
static void
names_are_the_engines(void)
{
	CU_ASSERT(says(IMAGE("prod%2dapp"), A_IMAGE, "prod-app"));
	CU_ASSERT(says(IMAGE("docker.io/library/app"), A_IMAGE, "app") && says(IMAGE("index.docker.io/corp/app"), A_IMAGE, "corp/app"));
	CU_ASSERT(says(IMAGE("library/app:1"), A_IMAGE, "app:1") && says(IMAGE("library/x/app"), A_IMAGE, "library/x/app"));
	CU_ASSERT(says(IMAGE("index.docker.io/corp/app"), A_REGISTRY, "docker.io") && says(IMAGE("localhost/app"), A_REGISTRY, "localhost"));
	CU_ASSERT(says(IMAGE("evil.example/library/app"), A_IMAGE, "evil.example/library/app"));
	CU_ASSERT(is_unclear(IMAGE("Evil/app"), "image", "malformed") && is_unclear(IMAGE("a%2525b"), "image", "malformed"));
	CU_ASSERT(says(ARCHIVE("//etc/./shadow/"), A_PATH, "/etc/shadow") && says(ARCHIVE("etc/shadow"), A_PATH, "/etc/shadow"));
	CU_ASSERT(says(ARCHIVE("/"), A_PATH, "/") && says(ARCHIVE("/.."), A_PATH, "/") == false);
	CU_ASSERT(says(HOST("\"Binds\":[\"//var/run/./docker.sock:/x\"]"), A_HOST_PATHS, "/var/run/docker.sock"));
	CU_ASSERT(says(HOST("\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/./etc/\",\"Target\":\"/x\"}]"), A_HOST_PATHS, "/etc"));
	CU_ASSERT(says(HOST("\"Devices\":[{\"PathOnHost\":\"/dev//sda\"}]"), A_DEVICES, "/dev/sda"));
	CU_ASSERT(is_unclear(HOST("\"Binds\":[\"/srv/../etc:/x\"]"), "host_path", ".."));
	CU_ASSERT(is_unclear(HOST("\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"etc\"}]"), "field", "Mounts"));
}

static void
what_else_is_said(void)
{
	CU_ASSERT(says(HOST("\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]}"), A_PORTS, "127.0.0.1:8080:80/tcp"));
	CU_ASSERT(says(HOST("\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}"), A_PORTS, "8080:80/tcp"));
	CU_ASSERT(says(HOST("\"PortBindings\":{\"80/tcp\":null}"), A_PORTS, ":80/tcp") && says(HOST("\"PublishAllPorts\":true"), A_PORTS, "all"));
	CU_ASSERT(is_clear(HOST("\"PortBindings\":{},\"PublishAllPorts\":false")));
	CU_ASSERT(is_unclear(HOST("\"PortBindings\":{\"80/tcp\":[{\"hostip\":\"\"}]}"), "field", "hostip"));
	CU_ASSERT(is_unclear(HOST("\"PortBindings\":{\"80/tcp\":\"8080\"}"), "field", "PortBindings"));
	CU_ASSERT(says("docker.volume", "DELETE /volumes/prod%2ddata", A_NAME, "prod-data") && says("docker.network", "GET /networks/prod", A_NAME, "prod"));
	CU_ASSERT(is_unclear("docker.volume", "DELETE /volumes/%2e%2e", "name", "malformed"));
	CU_ASSERT(says("docker.volume", "POST /volumes/create\n\n{\"Name\":\"data\"}", A_NAME, "data"));
	static const struct { const char *kind, *text, *action; } opaque[] = { { "docker.image", "POST /images/a/tag?repo=corp/app", "tag" },
		{ "docker.image", "GET /images/get?names=a&names=b", "save" }, { "docker.image", "GET /images/search?term=evil.example/x", "search" },
		{ "docker.plugin", "GET /plugins/privileges?remote=evil.example/x", "privileges" }, { "docker.image", "GET /images/a/history", "history" } };
	for (size_t i = 0; i < sizeof(opaque) / sizeof(*opaque); i++)
		CU_ASSERT(is_unclear(opaque[i].kind, opaque[i].text, "route", opaque[i].action));
}

#define LONG "11111111111111111"

/* Each of these names is read by the engine as what it is decoded, and the first of two counts. */
static void
parameters_are_read_as_the_engine_reads_them(void)
{
	CU_ASSERT(is_unclear("docker.archive", "GET /containers/a/archive?p%61th=/etc/shadow&path=/tmp\ncontainer: a\n", "query", "repeated"));
	CU_ASSERT(is_unclear("docker.image", "POST /images/create?from%49mage=evil/x&fromImage=corp/app", "query", "repeated"));
	CU_ASSERT(is_unclear("docker.image", "POST /images/create?fromImage=a&x=1;fromImage=b", "query", "malformed"));
	CU_ASSERT(is_unclear("docker.container", "POST /containers/prune?%66ilters=&filters=", "query", "repeated"));
	CU_ASSERT(is_unclear("docker.container", "DELETE /containers/a?force=" LONG "\ncontainer: a\n", "query", "force"));
	CU_ASSERT(is_unclear("docker.container", "DELETE /containers/a?%zz=1\ncontainer: a\n", "query", "malformed"));
	CU_ASSERT(is_clear("docker.container", "DELETE /containers/a?%66orce=1&&v=1\ncontainer: a\n"));
	struct shape *s = shape_of("docker.archive", "GET /containers/a/archive?p%61th=/etc/shadow\ncontainer: a\n");
	CU_ASSERT(sp_bytes_is(s->node[0].value[A_PATH].text, "/etc/shadow"));
	shape_free(&s);
	s = shape_of("docker.container", "DELETE /containers/a?%66orce=1\ncontainer: a\n");
	CU_ASSERT(s->node[0].value[A_FORCE].number != 0);
	shape_free(&s);
	s = shape_of("docker.image", "POST /images/create?from%49mage=evil.example/x&tag=1");
	CU_ASSERT(sp_bytes_is(s->node[0].value[A_IMAGE].text, "evil.example/x:1"));
	shape_free(&s);
	/* a first value that does not fit is not passed over for the next */
	static char path[4101], text[6000];
	memset(path, 'x', sizeof(path) - 1);
	snprintf(text, sizeof(text), "GET /containers/a/archive?path=/%s&path=/tmp\ncontainer: a\n", path);
	CU_ASSERT(is_unclear("docker.archive", text, "query", "path"));
}

static void
a_query_is_written_anew(void)
{
	static const struct { const char *in, *out; } row[] = { { "", "" }, { "all=1&%66ilters={}", "all=1&" }, { "filters=&x=a%2fb+c", "x=a%2Fb%20c&" },
		{ "a", "a=&" } };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct sp_writer out = proxy_buffer();
		CU_ASSERT(query_without(sp_str(row[i].in), "filters", &out) && sp_bytes_is(sp_written(&out), row[i].out));
		proxy_free(&out);
	}
	static const char *const bad[] = { "filters=&%66ilters={}", "a=%zz", "a=1;b=2", "a=%00", "%=1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sp_writer out = proxy_buffer();
		CU_ASSERT(!query_without(sp_str(bad[i]), "filters", &out));
		proxy_free(&out);
	}
}

static void
attributes(void)
{
	struct shape *s = shape_of(EXEC "{\"Cmd\":[\"/bin/id\",\"-u\"],\"User\":\"0\",\"Privileged\":true}");
	const struct value *v = s->node[0].value;
	CU_ASSERT(sp_bytes_is(v[A_PROGRAM].text, "id") && sp_bytes_is(v[A_CONTAINER].text, "web") && sp_bytes_is(v[A_ACTION].text, "create"));
	CU_ASSERT(v[A_ROOT].known && v[A_ROOT].number != 0 && v[A_PRIVILEGED].number != 0);
	shape_free(&s);
	CU_ASSERT(docker_is_root(SP_LIT("")) && docker_is_root(SP_LIT("0:5")) && docker_is_root(SP_LIT("root:x")) && docker_is_root(SP_LIT("000")));
	CU_ASSERT(docker_is_root(SP_LIT("-0")) && docker_is_root(SP_LIT("-00:7")) && docker_is_root(SP_LIT("+0")));
	CU_ASSERT(!docker_is_root(SP_LIT("web")) && !docker_is_root(SP_LIT("1000:0")) && !docker_is_root(SP_LIT("rooty")));
}

static void
frames_cut_anywhere(void)
{
	static const uint8_t in[] = { 1, 0, 0, 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, '!' };
	for (size_t cut = 0; cut <= sizeof(in); cut++) {
		struct demux d = { .have = 0 };
		struct sp_writer frames = proxy_buffer(), plain = proxy_buffer();
		CU_ASSERT_EQUAL(demux_feed(&d, (struct sp_bytes){ in, cut }, &frames, &plain), SP_OK);
		CU_ASSERT_EQUAL(demux_feed(&d, (struct sp_bytes){ in + cut, sizeof(in) - cut }, &frames, &plain), SP_OK);
		CU_ASSERT(sp_bytes_is(sp_written(&plain), "hello!") && d.have == 0);
		struct demux again = { .have = 0 };
		struct sp_writer more = proxy_buffer(), second = proxy_buffer();
		CU_ASSERT_EQUAL(demux_feed(&again, sp_written(&frames), &more, &second), SP_OK);
		CU_ASSERT(sp_bytes_is(sp_written(&second), "hello!"));
		proxy_free(&frames);
		proxy_free(&plain);
		proxy_free(&more);
		proxy_free(&second);
	}
	static const uint8_t bad[][8] = { { 3, 0, 0, 0, 0, 0, 0, 1 }, { 1, 1, 0, 0, 0, 0, 0, 1 }, { 1, 0, 0, 1, 0, 0, 0, 1 }, "HTTP/1.1" };
	for (size_t i = 0; i < 4; i++) {
		struct demux d = { .have = 0 };
		struct sp_writer frames = proxy_buffer(), plain = proxy_buffer();
		CU_ASSERT_EQUAL(demux_feed(&d, (struct sp_bytes){ bad[i], 8 }, &frames, &plain), SP_EPROTO);
		proxy_free(&frames);
		proxy_free(&plain);
	}
}

static void
bodies_are_changed(void)
{
	static const char *const label[] = { "team=blue", "owner=ann" };
	const struct sp_strings labels = { label, 2 };
	static const struct { const char *in, *out; } row[] = {
		{ "", "{\"label\":[\"team=blue\",\"owner=ann\"]}" },
		{ "{\"label\":[\"a\"],\"name\":{\"x\":true,\"y\":false}}", "{\"label\":[\"a\",\"team=blue\",\"owner=ann\"],\"name\":[\"x\"]}" },
		{ "{\"label\":{\"a=b\":true}}", "{\"label\":[\"a=b\",\"team=blue\",\"owner=ann\"]}" },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct sp_writer out = proxy_buffer();
		CU_ASSERT_EQUAL(filters_with_labels(sp_str(row[i].in), &labels, &out), SP_OK);
		CU_ASSERT(sp_bytes_is(sp_written(&out), row[i].out));
		proxy_free(&out);
	}
	struct sp_writer out = proxy_buffer();
	CU_ASSERT_EQUAL(filters_with_labels(SP_LIT("[]"), &labels, &out), SP_EPROTO);
	CU_ASSERT_EQUAL(answer_hide_env(SP_LIT("{\"Config\":{\"Env\":[\"A=b\",\"db_password=x\",\"C\"]}}"), "secrets", &out), SP_OK);
	CU_ASSERT(sp_bytes_is(sp_written(&out), "{\"Config\":{\"Env\":[\"A=b\",\"db_password=****\",\"C\"]}}"));
	proxy_free(&out);
	CU_ASSERT_EQUAL(body_with_label(SP_LIT("{\"Labels\":{\"owner\":\"bob\"}}"), "owner", "ann", &out), SP_OK);
	CU_ASSERT(sp_bytes_is(sp_written(&out), "{\"Labels\":{\"owner\":\"ann\"}}"));
	proxy_free(&out);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "routes", routes },
		{ "every endpoint of the reference", endpoints }, { "an exec is somebody's", an_exec_is_somebodys }, { "what is not known is unclear", what_is_not_known_is_unclear },
		{ "attributes", attributes }, { "parameters are read as the engine reads them", parameters_are_read_as_the_engine_reads_them },
		{ "a query is written anew", a_query_is_written_anew }, { "names are the engine's", names_are_the_engines },
		{ "lines of shells are read", lines_of_shells_are_read },
		{ "what else is said", what_else_is_said }, { "frames cut anywhere", frames_cut_anywhere }, { "bodies are changed", bodies_are_changed }, CU_TEST_INFO_NULL };
	return cunit_main("docker", tests);
}
