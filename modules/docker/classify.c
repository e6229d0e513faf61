/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an operation's text to attributes.  The text is the request, and what the target said of the container:
 *
 *   POST /v1.41/containers/5abd…/exec
 *   container: web
 *   container.label: env=prod
 *
 *   {"Cmd":["id"]}
 */
#include "docker.h"

#include "../http/fields.h"

/* ---- what the target said ---- */

struct facts {
	struct sp_bytes name, id, image, user, exec_user, argv;
	bool privileged, exec_privileged, exec_tty, exec_stdin, exec;
};

static int
find_facts(struct sp_bytes lines, struct facts *f)
{
	struct sp_reader r = sp_reader(lines);
	struct sp_bytes name, value;
	const struct { const char *name; struct sp_bytes *to; } texts[] = { { "container", &f->name }, { "container.id", &f->id },
		{ "container.image", &f->image }, { "container.user", &f->user }, { "exec.user", &f->exec_user }, { "exec.argv", &f->argv } };
	const struct { const char *name; bool *to; } bools[] = { { "container.privileged", &f->privileged }, { "exec.privileged", &f->exec_privileged },
		{ "exec.tty", &f->exec_tty }, { "exec.stdin", &f->exec_stdin } };
	while (proxy_next_line(&r, &name, &value)) {
		for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
			if (sp_bytes_is(name, texts[i].name))
				*texts[i].to = value;
		for (size_t i = 0; i < sizeof(bools) / sizeof(*bools); i++)
			if (sp_bytes_is(name, bools[i].name))
				*bools[i].to = !sp_bytes_is(value, "false");
	}
	f->exec = f->argv.p != NULL;
	return r.bad ? SP_EPROTO : SP_OK;
}

static int
say_labels(struct sp_op *op, struct sp_bytes lines)
{
	struct sp_reader r = sp_reader(lines);
	struct sp_bytes name, value;
	int rc = SP_OK;
	while (rc == SP_OK && proxy_next_line(&r, &name, &value))
		if (sp_bytes_is(name, "container.label"))
			rc = sp_op_add(op, A_LABELS, value);
	return rc;
}

static int
say_container(struct sp_op *op, const struct facts *f)
{
	int rc = sp_op_str(op, A_CONTAINER, f->name);
	if (rc == SP_OK && f->id.p != NULL)
		rc = sp_op_str(op, A_ID, f->id);
	if (rc == SP_OK && f->image.len > 0)
		rc = docker_say_image(op, f->image);
	return rc == SP_OK ? sp_op_bool(op, A_PRIVILEGED, f->privileged || f->exec_privileged) : rc;
}

/* An exec that exists: whom it runs as. */
static int
say_exec(struct sp_op *op, const struct facts *f)
{
	struct sp_bytes user = f->exec_user.len > 0 ? f->exec_user : f->user;
	int rc = sp_op_str(op, A_USER, user);
	if (rc == SP_OK)
		rc = sp_op_bool(op, A_ROOT, docker_is_root(user));
	return rc == SP_OK ? sp_op_bool(op, A_TTY, f->exec_tty) : rc;
}

/* … and what the target says it would run. */
static int
words_of_exec(const struct facts *f, struct words *w)
{
	json_t *one;
	size_t i;
	w->owner = json_loadb((const char *)f->argv.p, f->argv.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_array(w->owner))
		return SP_EPROTO;
	json_array_foreach(w->owner, i, one) {
		if (!json_is_string(one) || w->n == WORDS_MAX)
			return SP_EPROTO;
		w->word[w->n++] = (struct sp_bytes){ (const uint8_t *)json_string_value(one), json_string_length(one) };
	}
	return SP_OK;
}

/* ---- the request ---- */

/* A parameter; one that can't be read whole makes the operation unclear, and is as if it were not there. */
static int
take(struct sp_op *op, const struct proxy_text *t, const char *name, struct sp_writer space, struct sp_bytes *value_r)
{
	return query_get(t->query, name, &space, value_r) ? SP_OK : sp_op_unclear(op, "query", sp_str(name));
}

static int
say_archive(struct sp_op *op, const struct proxy_text *t)
{
	uint8_t space[4096];
	struct sp_bytes path;
	int rc = take(op, t, "path", sp_writer(space, sizeof(space)), &path);
	if (rc == SP_OK)
		rc = sp_op_str(op, A_DIRECTION, sp_bytes_is(t->method, "PUT") ? SP_LIT("in") : SP_LIT("out"));
	if (rc != SP_OK || path.p == NULL)
		return rc != SP_OK ? rc : sp_op_unclear(op, "path", SP_LIT("missing"));
	return docker_say_path(op, A_PATH, path, "path"); /* a rule by prefix must not be fooled */
}

static int
say_pull(struct sp_op *op, const struct proxy_text *t)
{
	uint8_t space[1024], tag_space[256], all[1300];
	struct sp_bytes image, tag;
	struct sp_writer w = sp_writer(all, sizeof(all));
	int rc = take(op, t, "fromImage", sp_writer(space, sizeof(space)), &image);
	if (rc == SP_OK)
		rc = take(op, t, "tag", sp_writer(tag_space, sizeof(tag_space)), &tag);
	if (rc != SP_OK)
		return rc;
	if (image.len == 0) /* from an archive, or from an address: SSRF by the daemon */
		return sp_op_unclear(op, "route", SP_LIT("import"));
	sp_wr_put(&w, image);
	if (tag.len > 0) {
		sp_wr_u8(&w, tag.len > 7 && memcmp(tag.p, "sha256:", 7) == 0 ? '@' : ':');
		sp_wr_put(&w, tag);
	}
	return docker_say_image(op, sp_written(&w));
}

static int
say_name(struct sp_op *op, const struct proxy_text *t)
{
	uint8_t space[300];
	struct sp_bytes name;
	int rc = take(op, t, "name", sp_writer(space, sizeof(space)), &name);
	return rc != SP_OK || name.p == NULL ? rc : sp_op_str(op, A_CONTAINER, name);
}

static int
say_body(struct sp_op *op, const struct row *row, const struct proxy_text *t, const struct facts *f)
{
	const char *kind = row->kind;
	if (strcmp(kind, "docker.exec.create") == 0)
		return body_of_exec(op, t->body, f->user);
	if (strcmp(kind, "docker.exec") == 0)
		return body_of_start(op, t->body);
	if (strcmp(kind, "docker.container.create") == 0)
		return body_of_create(op, t->body);
	if (strcmp(kind, "docker.volume") == 0)
		return body_of_volume(op, t->body);
	return strcmp(kind, "docker.network") == 0 ? body_of_network(op, t->body) : SP_OK;
}

static int
say_force(struct sp_op *op, const struct row *row, const struct proxy_text *t)
{
	uint8_t space[16];
	struct sp_bytes force;
	if (strcmp(row->kind, "docker.container") != 0 && strcmp(row->kind, "docker.image") != 0 && strcmp(row->kind, "docker.volume") != 0)
		return SP_OK;
	int rc = take(op, t, "force", sp_writer(space, sizeof(space)), &force);
	return rc == SP_OK ? sp_op_bool(op, A_FORCE, force.len > 0 && !sp_bytes_is(force, "0") && !sp_bytes_is(force, "false")) : rc;
}

static int
say_other(struct sp_op *op, struct sp_bytes name)
{
	return docker_name_ok(name) ? sp_op_str(op, A_NAME, name) : sp_op_unclear(op, "name", SP_LIT("malformed"));
}

/* A part of the path, as the engine reads it. */
static int
say_decoded(struct sp_op *op, struct sp_bytes encoded, int (*say)(struct sp_op *op, struct sp_bytes name))
{
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	http_decode(encoded, false, &w);
	return w.bad ? sp_op_unclear(op, "name", SP_LIT("malformed")) : say(op, sp_written(&w));
}

static int
say_row(struct sp_op *op, const struct route *to, const struct proxy_text *t)
{
	const struct row *row = to->row;
	const char *fault = query_fault(row, t->query);
	int rc = fault == NULL ? SP_OK : sp_op_unclear(op, "query", sp_str(fault));
	if (rc == SP_OK)
		rc = sp_op_str(op, A_ACTION, sp_str(row->action));
	if (rc == SP_OK)
		rc = sp_op_str(op, A_EFFECT, row->flags & ROW_READ ? SP_LIT("read") : SP_LIT("write"));
	if (rc == SP_OK)
		rc = sp_op_tag(op, row->action);
	if (rc == SP_OK && (row->flags & ROW_OPAQUE))
		rc = sp_op_unclear(op, "route", sp_str(row->action));
	if (rc == SP_OK && to->image.p != NULL && strcmp(row->kind, "docker.image") == 0)
		rc = say_decoded(op, to->image, docker_say_image);
	bool named = strcmp(row->kind, "docker.network") == 0 || strcmp(row->kind, "docker.volume") == 0;
	if (rc == SP_OK && to->other.p != NULL && named)
		rc = say_decoded(op, to->other, say_other);
	if (rc == SP_OK && strcmp(row->action, "pull") == 0)
		rc = say_pull(op, t);
	if (rc == SP_OK && strcmp(row->kind, "docker.archive") == 0)
		rc = say_archive(op, t);
	if (rc == SP_OK && strcmp(row->kind, "docker.container.create") == 0)
		rc = say_name(op, t);
	return rc == SP_OK ? say_force(op, row, t) : rc;
}

struct request {
	struct route to;
	struct proxy_text t;
	struct facts f;
};

/* All but what it runs: also of each further command of a shell's line. */
static int
say_request(struct sp_op *op, const void *of)
{
	const struct request *q = of;
	const struct row *row = q->to.row;
	const struct facts *f = &q->f;
	int rc = say_labels(op, q->t.lines);
	if (rc == SP_OK && q->t.query.len > 0)
		rc = fields_of_form(op, A_QUERY, A_QUERY, q->t.query);
	if (rc == SP_OK)
		rc = say_row(op, &q->to, &q->t);
	if (rc == SP_OK && (q->to.container.p != NULL || q->to.exec.p != NULL))
		rc = say_container(op, f);
	if (rc == SP_OK && strcmp(row->kind, "docker.exec") == 0)
		rc = f->exec ? say_exec(op, f) : sp_op_unclear(op, "exec", SP_LIT("unknown"));
	struct sp_reader r = sp_reader(q->t.lines);
	struct sp_bytes name, value;
	bool unseen = f->exec_stdin || ((row->flags & ROW_HIJACK) && strcmp(row->kind, "docker.exec") != 0);
	while (rc == SP_OK && proxy_next_line(&r, &name, &value)) {
		bool body = sp_bytes_is(name, "!body");
		unseen = unseen || body;
		if (body && !(row->flags & ROW_BYTES))
			rc = sp_op_unclear(op, "body", sp_str(row->action));
	}
	if (rc == SP_OK && unseen) /* stdin, an archive: whoever decides has not seen them */
		rc = sp_op_unseen(op);
	return rc == SP_OK && (row->flags & ROW_JSON) ? say_body(op, row, &q->t, f) : rc;
}

static int
say_words(struct sp_op *op, const struct request *q)
{
	const char *kind = q->to.row->kind;
	const struct again again = { say_request, q };
	bool made = strcmp(kind, "docker.exec.create") == 0 || strcmp(kind, "docker.container.create") == 0;
	struct words w = { .owner = NULL };
	int rc = made ? body_words(op, q->t.body, &w) : strcmp(kind, "docker.exec") == 0 && q->f.exec ? words_of_exec(&q->f, &w) : SP_OK;
	if (rc == SP_OK)
		rc = docker_say_argv(op, w.word, w.n, &again);
	json_decref(w.owner);
	return rc;
}

int
docker_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct request q = { .f = { .privileged = false } };
	(void)scope;
	if (!proxy_read_text(text, &q.t))
		return SP_EPROTO;
	q.to = docker_route(q.t.method, q.t.path);
	if (q.to.row == NULL) {
		int rc = sp_op_unclear(op, "route", q.to.version_known ? SP_LIT("unknown") : SP_LIT("version"));
		return rc == SP_OK && q.t.query.len > 0 ? fields_of_form(op, A_QUERY, A_QUERY, q.t.query) : rc;
	}
	if (strcmp(q.to.row->kind, sp_op_kind(op)) != 0)
		return SP_EPROTO;
	int rc = find_facts(q.t.lines, &q.f);
	if (rc == SP_OK)
		rc = say_request(op, &q);
	return rc == SP_OK ? say_words(op, &q) : rc;
}
