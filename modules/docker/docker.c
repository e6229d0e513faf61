/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker.so: settings, and what Docker's API adds to requests through the gateway.  docker.h has the picture.
 */
#include "docker.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 16384u
#define EXEC_LIFE SP_SHARE_TTL /* how long an exec is its creator's, ms */
#define CONF(member) offsetof(struct docker_conf, member)

static const struct sp_directive directives[] = {
	PROXY_DIRECTIVES("accept,content-type,x-registry-auth,x-registry-config,user-agent,x-docker-expose-session-uuid,"
			 "x-docker-expose-session-name,x-docker-expose-session-sharedkey,x-docker-expose-session-grpc-method"),
	{ "select", SP_TYPE_STRINGS, SP_IN_TARGET, CONF(select), "",
	    "Labels, NAME=VALUE, that a container has to have, and gets when it is created: others are not there for who comes through here." },
	{ "owner", SP_TYPE_STRING, SP_IN_TARGET, CONF(owner), "",
	    "A label that names who may use a container: set when one is created, wanted of each other, so that everybody sees their own." },
	{ "env", SP_TYPE_STRING, SP_IN_MODULE | SP_IN_TARGET, CONF(env), "secrets",
	    "Values of variables in what inspect shows: shown, masked, or secrets: masked where the name sounds like one." },
	{ "stream_idle", SP_TYPE_DURATION, SP_IN_MODULE | SP_IN_TARGET, CONF(stream_idle), "off",
	    "A terminal, an attached container, followed logs or events through which nothing went for so long, in either direction, end; a "
	    "command without a terminal does not: it may have nothing to say." },
	{ .name = NULL }
};

static int
docker_check(void *conf, const char **err_r)
{
	const struct docker_conf *c = conf;
	*err_r = "env is shown, secrets or masked";
	if (strcmp(c->env, "shown") != 0 && strcmp(c->env, "secrets") != 0 && strcmp(c->env, "masked") != 0)
		return SP_ECONF;
	*err_r = "select takes at most 16 labels";
	if (c->select.n > SELECT_MAX)
		return SP_ECONF;
	return proxy_check(&c->proxy, err_r);
}

/* ---- a request ---- */

/* Would the engine read parameters from the body too, before those of the query? */
static bool
is_form(struct sp_bytes type)
{
	static const char form[] = "application/x-www-form-urlencoded";
	size_t n = sizeof(form) - 1;
	return type.len >= n && http_name_is((struct sp_bytes){ type.p, n }, form);
}

static int
route(struct sp_session *s, struct sp_bytes head)
{
	struct docker *d = sp_state(s);
	struct proxy_request *r = &d->proxy.r;
	struct sp_bytes path, query;
	d->r = (struct docker_request){ .path = proxy_buffer() };
	http_target_split(sp_written(&r->target), &path, &query);
	sp_wr_put(&d->r.path, path);
	if (d->r.path.bad)
		return SP_ENOMEM;
	d->r.route = docker_route(sp_str(r->method), sp_written(&d->r.path));
	const struct row *row = d->r.route.row;
	unsigned flags = row == NULL ? 0 : row->flags;
	r->kind = row == NULL ? "docker.unknown" : row->kind;
	r->spool = !r->up_done && (flags & ROW_JSON);
	r->unseen = !r->up_done && !r->spool;
	r->unbounded = (flags & ROW_ENDLESS) != 0;
	r->hijack = (flags & ROW_HIJACK) != 0;
	r->progress = (flags & ROW_PROGRESS) != 0;
	const char *protocol = flags & ROW_OPAQUE ? "h2c" : "tcp"; /* BuildKit's streams are HTTP/2, which nobody looks into */
	r->upgrade = r->hijack && d->proxy.head.upgrade && http_name_is(http_field(&d->proxy.head, head, "upgrade"), protocol) ? protocol : NULL;
	r->hijack = r->hijack && (r->upgrade != NULL || !(flags & ROW_OPAQUE));
	if (!r->up_done && is_form(http_field(&d->proxy.head, head, "content-type"))) {
		r->refused = 415;
		snprintf(r->message, sizeof(r->message), "forms are not read here: send parameters in the query, bodies as application/json");
	}
	const struct docker_conf *c = sp_conf(s);
	r->rewrite = (flags & ROW_CLAIM) || ((flags & ROW_ENV) && strcmp(c->env, "shown") != 0);
	return SP_OK;
}

/* JSON goes on as it was understood, and in no other spelling. */
static int
write_anew(struct sp_session *s)
{
	struct docker *d = sp_state(s);
	struct sp_writer *body = &d->proxy.r.body;
	json_t *j = json_loadb((const char *)body->p, body->len, JSON_REJECT_DUPLICATES, NULL);
	char *text = json_is_object(j) ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	if (text == NULL)
		return docker_prepare(s); /* malformed: unclear */
	proxy_free(body);
	sp_wr_put(body, sp_str(text));
	free(text);
	return body->bad ? SP_ENOMEM : docker_prepare(s);
}

static int
prepare(struct sp_session *s)
{
	const struct docker *d = sp_state(s);
	return d->proxy.r.spool && d->proxy.r.body.len > 0 ? write_anew(s) : docker_prepare(s);
}

/* ---- its answer ---- */

/* A number of a query; 0: there is none that a terminal could have. */
static unsigned
number_of(struct sp_bytes query, const char *name)
{
	uint8_t space[8];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct sp_bytes text;
	unsigned n = 0;
	if (!query_get(query, name, &w, &text))
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || i > 4)
			return 0;
		n = 10 * n + (unsigned)(text.p[i] - '0');
	}
	return n <= UINT16_MAX ? n : 0;
}

/* {"ConsoleSize": [rows, columns]} */
static unsigned
size_of(const json_t *body, size_t i)
{
	json_int_t n = json_integer_value(json_array_get(json_object_get(body, "ConsoleSize"), i));
	return n > 0 && n <= UINT16_MAX ? (unsigned)n : 0;
}

/* What the request says of its terminal, once the target has taken it. */
static int
record_size(struct sp_session *s)
{
	const struct docker *d = sp_state(s);
	const struct row *row = d->r.route.row;
	struct sp_bytes path, query;
	unsigned columns, rows;
	if (row == NULL || d->proxy.r.status >= 300)
		return SP_OK;
	if (row->flags & ROW_SIZE) {
		http_target_split(sp_written(&d->proxy.r.target), &path, &query);
		columns = number_of(query, "w");
		rows = number_of(query, "h");
	} else if (strcmp(row->kind, "docker.exec") == 0 && d->r.terminal) {
		json_t *body = json_loadb((const char *)d->proxy.r.body.p, d->proxy.r.body.len, 0, NULL);
		columns = size_of(body, 1);
		rows = size_of(body, 0);
		json_decref(body);
	} else {
		return SP_OK;
	}
	return columns == 0 || rows == 0 ? SP_OK : sp_record_size(s, d->proxy.r.op, columns, rows);
}

/* {"ExitCode": 3, "Running": false, …} of an exec, {"StatusCode": 3} of a container that was waited for. */
static int
pieces(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out)
{
	struct docker *d = sp_state(s);
	struct sp_writer *seen = &d->r.seen;
	sp_wr_put(out, piece);
	if (seen->grow == NULL)
		*seen = proxy_buffer();
	if (piece.len <= SEEN_MAX - seen->len)
		sp_wr_put(seen, piece);
	if (!last || seen->bad)
		return SP_OK;
	json_t *j = json_loadb((const char *)seen->p, seen->len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *code = json_object_get(j, "ExitCode");
	if (code == NULL)
		code = json_object_get(j, "StatusCode");
	if (json_is_integer(code) && !json_is_true(json_object_get(j, "Running")))
		snprintf(d->proxy.r.said, sizeof(d->proxy.r.said), "exit %lld", (long long)json_integer_value(code));
	json_decref(j);
	return SP_OK;
}

/* Is somebody looking on, for whom nothing is a reason to end it?  A command without a terminal works for its own sake. */
static bool
is_watched(const struct docker *d)
{
	static const char *const actions[] = { "attach", "logs", "events", "stats" };
	const struct row *row = d->r.route.row;
	bool watched = row != NULL && strcmp(row->kind, "docker.exec") == 0 && d->r.terminal;
	for (size_t i = 0; row != NULL && i < sizeof(actions) / sizeof(*actions); i++)
		watched = watched || strcmp(row->action, actions[i]) == 0;
	return watched;
}

/* Are its streams in no frames?  Of an exec its start says so, and the engine goes by that, whatever it was made with. */
static bool
is_raw(const struct docker *d)
{
	if (strcmp(d->r.route.row->kind, "docker.exec") != 0)
		return d->r.terminal;
	json_t *body = json_loadb((const char *)d->proxy.r.body.p, d->proxy.r.body.len, 0, NULL);
	bool raw = json_is_true(json_object_get(body, "Tty"));
	json_decref(body);
	return raw;
}

/* What is in a container is told in a field, too: of a link where it leads. */
static int
record_stat(struct sp_session *s)
{
	const struct docker *d = sp_state(s);
	struct sp_bytes stat = http_field(&d->proxy.answer, sp_peek(s, SP_TARGET), "x-docker-container-path-stat");
	return stat.len == 0 ? SP_OK : sp_record(s, d->proxy.r.op, SP_REC_NOTICE, stat);
}

/* The answer's head is there. */
static int
begin(struct sp_session *s)
{
	const struct docker_conf *conf = sp_conf(s);
	struct docker *d = sp_state(s);
	const struct row *row = d->r.route.row;
	d->r.framed = d->proxy.r.framed = row != NULL && (row->flags & ROW_FRAMES) && !is_raw(d) && d->proxy.r.status < 300;
	d->proxy.r.rewrite = d->proxy.r.early ? d->proxy.r.status >= 300 : d->proxy.r.rewrite && (d->proxy.r.status == 200 || d->proxy.r.status == 201);
	d->proxy.r.silence = is_watched(d) ? conf->stream_idle : 0;
	d->proxy.r.pieces = row != NULL && (row->flags & ROW_EXIT) && d->proxy.r.status == 200;
	int rc = record_size(s);
	if (rc == SP_OK)
		rc = record_stat(s);
	for (unsigned i = 0; i < 3 && rc == SP_OK; i++)
		if (d->r.framed || (d->proxy.r.hijack && i == 0))
			rc = sp_stream_filter(d->proxy.r.op, &d->r.demux.filter[i]);
	return rc;
}

static bool
holds(struct sp_session *s)
{
	const struct docker *d = sp_state(s);
	return demux_holds(&d->r.demux);
}

static int
unshown(struct sp_session *s, int rc, const char *why)
{
	struct proxy *p = sp_state(s);
	snprintf(p->r.message, sizeof(p->r.message), "%s", why);
	return rc;
}

/* An exec was made: its id is shown once the keeper has written down whose it is. */
static int
keep_exec(struct sp_session *s, struct sp_bytes body)
{
	struct docker *d = sp_state(s);
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	const char *id = json_string_value(json_object_get(j, "Id"));
	int rc = id != NULL && docker_id_ok(sp_str(id)) ? SP_OK : unshown(s, SP_EPROTO, "the target does not say which exec it has made");
	if (rc == SP_OK && !d->r.asked_keeper) {
		d->r.asked_keeper = true;
		rc = sp_group(s, d->proxy.r.op, sp_str(id));
		if (rc == SP_OK)
			rc = sp_share_put(s, SP_SHARE_PRINCIPAL, sp_str(id), SP_LIT("exec"), EXEC_LIFE);
	}
	json_decref(j);
	if (rc != SP_OK || !d->r.told)
		return rc != SP_OK ? rc : PROXY_LATER;
	return d->r.kept ? SP_OK : unshown(s, SP_EIO, "whose exec that is could not be kept: try again in a few seconds");
}

/* A line of progress, as Docker's clients read them. */
static void
announce(struct sp_writer *out, bool failed, const char *text)
{
	if (failed) {
		sp_wr_put(out, SP_LIT("{\"errorDetail\":{\"message\":"));
		proxy_put_json(out, text);
		sp_wr_put(out, SP_LIT("},\"error\":"));
	} else {
		sp_wr_put(out, SP_LIT("{\"status\":"));
	}
	proxy_put_json(out, text);
	sp_wr_put(out, SP_LIT("}\r\n"));
}

/* The target refuses, and the client was told 200: {"message": …} in the words of progress. */
static int
fail_early(struct sp_bytes body, struct sp_writer *out)
{
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	const char *message = json_string_value(json_object_get(j, "message"));
	announce(out, true, message == NULL ? "the target refuses, and does not say why" : message);
	json_decref(j);
	return SP_OK;
}

static int
rewrite(struct sp_session *s, unsigned status, struct sp_bytes body, struct sp_writer *out)
{
	const struct docker_conf *c = sp_conf(s);
	const struct docker *d = sp_state(s);
	(void)status;
	if (d->proxy.r.early)
		return fail_early(body, out);
	if (d->r.route.row->flags & ROW_CLAIM) {
		sp_wr_put(out, body);
		return keep_exec(s, body);
	}
	int rc = answer_hide_env(body, c->env, out);
	return rc == SP_EPROTO ? unshown(s, rc, "the target's answer is no JSON") : rc;
}

static void
forget(struct sp_session *s)
{
	struct docker *d = sp_state(s);
	demux_free(&d->r.demux);
	proxy_free(&d->r.path);
	proxy_free(&d->r.seen);
	d->r = (struct docker_request){ .path = proxy_buffer() };
}

static void
refusal(struct sp_writer *out, unsigned status, const char *message)
{
	(void)status;
	sp_wr_put(out, SP_LIT("{\"message\":"));
	proxy_put_json(out, message);
	sp_wr_put(out, SP_LIT("}\n"));
}

static const struct proxy_hooks hooks = { .route = route, .prepare = prepare, .fetched = docker_fetched, .begin = begin, .show = stream_show, .holds = holds,
	.rewrite = rewrite, .pieces = pieces, .stream = stream_data, .stream_eof = stream_eof, .stream_due = stream_due,
	.stream_say = stream_say, .announce = announce, .forget = forget, .refusal = refusal };

static int
docker_accept(struct sp_session *s)
{
	return proxy_accept(s, &hooks);
}

SP_MODULE(docker) = {
	.abi_major = SP_ABI_MAJOR,
	.abi_minor = SP_ABI_MINOR,
	.size = sizeof(struct sp_module),
	.name = "docker",
	.caps = SP_CAP_CREDENTIAL,
	.directives = directives,
	.attrs = docker_attrs,
	.kinds = docker_kinds,
	.conf_size = sizeof(struct docker_conf),
	.session_size = sizeof(struct docker),
	.check = docker_check,
	.classify = docker_classify,
	.accept = docker_accept,
	.admitted = proxy_admitted,
	.open = proxy_open,
	.proved = proxy_proved,
	.data = proxy_data,
	.held = proxy_held,
	.verdict = proxy_verdict,
	.secure = proxy_secure,
	.eof = proxy_eof,
	.end = proxy_end,
	.close = proxy_close,
	.shared = docker_shared,
};
