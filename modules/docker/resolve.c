/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the target before a request is judged: which container is meant, what it is.
 *
 *   /containers/web/… ─▶ GET /containers/web/json ─▶ id, name, image, labels, user, privileged
 *   /exec/7438…/…     ─▶ GET /exec/7438…/json     ─▶ its container, argv, user ─▶ the container, as above
 *
 * The id goes on in the name's place: between the question and the request a name may come to mean
 * another container, an id never does.  What the target said stands in the operation's text.
 */
#include "docker.h"

#include <stdio.h>
#include <stdlib.h>

static struct sp_bytes
text_of(const json_t *j)
{
	return json_is_string(j) ? (struct sp_bytes){ (const uint8_t *)json_string_value(j), json_string_length(j) } : (struct sp_bytes){ NULL, 0 };
}

/* "name: value\n"; the value is the target's, and stays on its line. */
static void
put_line(struct sp_session *s, const char *name, struct sp_bytes value)
{
	struct proxy *p = sp_state(s);
	struct sp_writer *w = &p->r.lines;
	sp_wr_put(w, sp_str(name));
	sp_wr_put(w, SP_LIT(": "));
	for (size_t i = 0; i < value.len; i++)
		sp_wr_u8(w, value.p[i] < ' ' || value.p[i] == 0x7f ? '?' : value.p[i]);
	sp_wr_u8(w, '\n');
}

static int
not_found(struct sp_session *s, const char *what, const char *name)
{
	char text[400];
	snprintf(text, sizeof(text), "No such %s: %.300s", what, name);
	return proxy_refuse(s, 404, false, text);
}

bool
docker_id_ok(struct sp_bytes id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'f')))
			return false;
	return id.len == 64;
}

static bool
copy_id(char to[65], const json_t *j)
{
	struct sp_bytes id = text_of(j);
	if (!docker_id_ok(id))
		return false;
	memcpy(to, id.p, 64);
	to[64] = '\0';
	return true;
}

/* Does the container have every label that `select` and `owner` want? */
static bool
is_selected(struct sp_session *s, const json_t *labels)
{
	const struct docker_conf *c = sp_conf(s);
	for (size_t i = 0; i < c->select.n; i++) {
		const char *cut = strchr(c->select.v[i], '=');
		char name[256];
		size_t n = cut == NULL ? strlen(c->select.v[i]) : (size_t)(cut - c->select.v[i]);
		if (n >= sizeof(name))
			return false;
		memcpy(name, c->select.v[i], n);
		name[n] = '\0';
		const json_t *value = json_object_get(labels, name);
		if (value == NULL || (cut != NULL && !sp_bytes_is(text_of(value), cut + 1)))
			return false;
	}
	return c->owner[0] == '\0' || sp_bytes_is(text_of(json_object_get(labels, c->owner)), sp_principal(s));
}

/* In the target: PREFIX/containers/ID/REST?QUERY. */
static int
put_id(struct sp_session *s)
{
	struct docker *d = sp_state(s);
	struct sp_writer *to = &d->proxy.r.target, out = proxy_buffer();
	struct sp_bytes old = sp_written(to), name = d->r.route.container, path, query;
	http_target_split(old, &path, &query);
	size_t before = (size_t)(name.p - d->r.path.p), after = before + name.len;
	if (d->r.path.len != path.len || after > path.len)
		return SP_EINTERNAL;
	sp_wr_put(&out, (struct sp_bytes){ old.p, before });
	sp_wr_put(&out, sp_str(d->r.id));
	sp_wr_put(&out, (struct sp_bytes){ old.p + after, old.len - after });
	proxy_free(to);
	*to = out;
	return out.bad ? SP_ENOMEM : SP_OK;
}

static int
say_container(struct sp_session *s, const json_t *j)
{
	struct docker *d = sp_state(s);
	const json_t *config = json_object_get(j, "Config"), *labels = json_object_get(config, "Labels");
	const char *key;
	json_t *value;
	struct sp_bytes name = text_of(json_object_get(j, "Name"));
	if (!copy_id(d->r.id, json_object_get(j, "Id")))
		return proxy_refuse(s, 502, true, "the target does not say which container that is");
	if (!is_selected(s, labels))
		return not_found(s, "container", d->r.exec[0] != '\0' ? d->r.id : (const char *)"it is none of those that can be used here");
	if (name.len > 0 && name.p[0] == '/')
		name = (struct sp_bytes){ name.p + 1, name.len - 1 };
	put_line(s, "container", name);
	put_line(s, "container.id", sp_str(d->r.id));
	put_line(s, "container.image", text_of(json_object_get(config, "Image")));
	put_line(s, "container.user", text_of(json_object_get(config, "User")));
	put_line(s, "container.privileged", json_is_true(json_object_get(json_object_get(j, "HostConfig"), "Privileged")) ? SP_LIT("true") : SP_LIT("false"));
	json_object_foreach((json_t *)(uintptr_t)labels, key, value) {
		char text[1024];
		snprintf(text, sizeof(text), "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
		put_line(s, "container.label", sp_str(text));
	}
	if (d->r.exec[0] == '\0')
		d->r.terminal = json_is_true(json_object_get(config, "Tty"));
	int rc = d->r.exec[0] == '\0' ? put_id(s) : SP_OK;
	if (rc == SP_OK)
		rc = d->proxy.r.lines.bad ? SP_ETOOBIG : SP_OK;
	return rc == SP_OK ? proxy_judge(s) : rc;
}

static int
ask_container(struct sp_session *s, struct sp_bytes name)
{
	char target[300];
	snprintf(target, sizeof(target), "/containers/%.*s/json", (int)name.len, (const char *)name.p);
	return proxy_fetch(s, sp_str(target));
}

static int
say_exec(struct sp_session *s, const json_t *j)
{
	struct docker *d = sp_state(s);
	const json_t *process = json_object_get(j, "ProcessConfig");
	char id[65];
	size_t i;
	json_t *word;
	if (!copy_id(id, json_object_get(j, "ContainerID")) || !json_is_object(process))
		return proxy_refuse(s, 502, true, "the target does not say what that exec is");
	put_line(s, "exec.user", text_of(json_object_get(process, "user")));
	put_line(s, "exec.privileged", json_is_true(json_object_get(process, "privileged")) ? SP_LIT("true") : SP_LIT("false"));
	d->r.terminal = json_is_true(json_object_get(process, "tty"));
	put_line(s, "exec.tty", d->r.terminal ? SP_LIT("true") : SP_LIT("false"));
	put_line(s, "exec.stdin", json_is_true(json_object_get(j, "OpenStdin")) ? SP_LIT("true") : SP_LIT("false"));
	struct sp_writer words = proxy_buffer(); /* as JSON, so that each word stays what it is */
	json_t *all = json_array();
	(void)json_array_append(all, json_object_get(process, "entrypoint"));
	json_array_foreach(json_object_get(process, "arguments"), i, word)
		(void)json_array_append(all, word);
	char *dumped = json_dumps(all, JSON_COMPACT | JSON_ENSURE_ASCII);
	put_line(s, "exec.argv", sp_str(dumped));
	free(dumped);
	json_decref(all);
	proxy_free(&words);
	d->r.asked_exec = true;
	return ask_container(s, sp_str(id));
}

int
docker_fetched(struct sp_session *s, unsigned status, struct sp_bytes body)
{
	struct docker *d = sp_state(s);
	bool exec = d->r.exec[0] != '\0' && !d->r.asked_exec;
	char name[304];
	struct sp_bytes asked = exec ? d->r.route.exec : d->r.route.container;
	snprintf(name, sizeof(name), "%.*s", (int)(asked.len < 300 ? asked.len : 300), asked.p == NULL ? "" : (const char *)asked.p);
	if (status == 404)
		return not_found(s, exec ? "exec instance" : "container", name);
	json_t *j = status == 200 ? json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!json_is_object(j)) {
		json_decref(j);
		return proxy_refuse(s, 502, true, "the target does not say what the request is about");
	}
	int rc = exec ? say_exec(s, j) : say_container(s, j);
	json_decref(j);
	return rc;
}

/* ---- what needs no question ---- */

/* Its `filters` with the labels of this target, so that only these containers are listed. */
static int
narrow(struct sp_session *s)
{
	const struct docker_conf *c = sp_conf(s);
	struct docker *d = sp_state(s);
	struct sp_writer *to = &d->proxy.r.target, out = proxy_buffer(), filters = proxy_buffer(), narrowed = proxy_buffer();
	struct sp_bytes path, query, old;
	http_target_split(sp_written(to), &path, &query);
	sp_wr_put(&out, path);
	sp_wr_u8(&out, '?');
	if (!query_without(query, "filters", &out) || !query_get(query, "filters", &filters, &old)) {
		proxy_free(&out);
		proxy_free(&filters);
		return proxy_refuse(s, 400, false, "the query is malformed, or says a parameter twice");
	}
	const char *label[SELECT_MAX + 1];
	char own[600];
	struct sp_strings all = { label, 0 };
	for (size_t i = 0; i < c->select.n; i++)
		label[all.n++] = c->select.v[i];
	snprintf(own, sizeof(own), "%s=%s", c->owner, sp_principal(s));
	if (c->owner[0] != '\0')
		label[all.n++] = own;
	int rc = filters_with_labels(old, &all, &narrowed);
	sp_wr_put(&out, SP_LIT("filters="));
	http_encode(sp_written(&narrowed), &out);
	proxy_free(&filters);
	proxy_free(&narrowed);
	proxy_free(to);
	*to = out;
	if (rc == SP_EPROTO)
		return proxy_refuse(s, 400, false, "filters is no JSON of Docker's");
	return rc != SP_OK ? rc : out.bad ? SP_ENOMEM : proxy_judge(s);
}

/* What is created has the labels of this target, and its owner's: else it would not be there for who made it. */
static int
own_labels(struct sp_session *s)
{
	const struct docker_conf *c = sp_conf(s);
	struct docker *d = sp_state(s);
	struct sp_writer *body = &d->proxy.r.body;
	int rc = SP_OK;
	for (size_t i = 0; i <= c->select.n && rc == SP_OK; i++) {
		bool own = i == c->select.n;
		const char *cut = own ? NULL : strchr(c->select.v[i], '=');
		char name[256] = "";
		if ((own && c->owner[0] == '\0') || (!own && (cut == NULL || (size_t)(cut - c->select.v[i]) >= sizeof(name))))
			continue;
		if (!own)
			memcpy(name, c->select.v[i], (size_t)(cut - c->select.v[i]));
		struct sp_writer out = proxy_buffer();
		rc = body_with_label(sp_written(body), own ? c->owner : name, own ? sp_principal(s) : cut + 1, &out);
		if (rc == SP_OK) {
			proxy_free(body);
			*body = out;
		} else {
			proxy_free(&out);
		}
	}
	return rc == SP_OK || rc == SP_EPROTO ? proxy_judge(s) : rc; /* which finds it malformed */
}

int
docker_shared(struct sp_session *s, const struct sp_shared *f)
{
	struct docker *d = sp_state(s);
	d->r.told = true;
	d->r.unsaid = !f->ok;
	d->r.kept = f->ok && f->found;
	return proxy_again(s);
}

/* An exec belongs to who created it: others don't learn that it is there. */
static int
prepare_exec(struct sp_session *s, struct sp_bytes exec)
{
	struct docker *d = sp_state(s);
	if (!docker_id_ok(exec))
		return not_found(s, "exec instance", "an exec is named by its whole id");
	memcpy(d->r.exec, exec.p, 64);
	if (!d->r.asked_keeper) {
		d->r.asked_keeper = true;
		int rc = sp_share_get(s, SP_SHARE_PRINCIPAL, exec);
		if (rc != SP_OK || !d->r.told)
			return rc != SP_OK ? rc : PROXY_LATER;
	}
	if (d->r.unsaid)
		return proxy_refuse(s, 503, true, "whose exec that is can't be looked up now: try again in a few seconds");
	if (!d->r.kept)
		return not_found(s, "exec instance", d->r.exec);
	d->proxy.r.group = d->r.exec;
	char target[100];
	snprintf(target, sizeof(target), "/exec/%s/json", d->r.exec);
	return proxy_fetch(s, sp_str(target));
}

int
docker_prepare(struct sp_session *s)
{
	const struct docker_conf *c = sp_conf(s);
	struct docker *d = sp_state(s);
	const struct row *row = d->r.route.row;
	struct sp_bytes exec = d->r.route.exec;
	if (row == NULL)
		return exec.p == NULL ? proxy_judge(s)
				      : not_found(s, "exec instance", "this path below one is not known here, or this version of the API: try an older one (DOCKER_API_VERSION=1.41)");
	if (exec.p != NULL)
		return prepare_exec(s, exec);
	if (d->r.route.container.p != NULL)
		return docker_name_ok(d->r.route.container) ? ask_container(s, d->r.route.container) : not_found(s, "container", "that is no name of one");
	bool narrowed = c->select.n > 0 || c->owner[0] != '\0';
	bool all = (row->flags & ROW_ALL) || ((row->flags & ROW_ALL_ONCE) && d->r.route.minor != 0 && d->r.route.minor < 28);
	if (all && narrowed)
		return proxy_refuse(s, 403, false, "this tells of containers that are not there for who comes through here");
	if ((row->flags & ROW_LABELS) && narrowed)
		return narrow(s);
	return strcmp(row->kind, "docker.container.create") == 0 ? own_labels(s) : proxy_judge(s);
}
