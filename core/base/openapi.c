/* SPDX-License-Identifier: Apache-2.0 */
/* See openapi.h. */
#include <config.h>

#include "openapi.h"

#include <stdio.h>

#define JSON_TYPE "application/json"

/* ---- members, as route.h writes them ---- */

static json_t *
schema_of(struct sp_bytes type)
{
	char ref[96];
	if (type.len == 0)
		return json_pack("{s:s}", "type", "string");
	if (sp_bytes_is(type, "time"))
		return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
	if (sp_bytes_is(type, "number"))
		return json_pack("{s:s}", "type", "integer");
	if (sp_bytes_is(type, "flag"))
		return json_pack("{s:s}", "type", "boolean");
	if (sp_bytes_is(type, "any"))
		return json_object();
	(void)snprintf(ref, sizeof(ref), "#/components/schemas/%.*s", (int)(type.len < 64 ? type.len : 64), (const char *)type.p);
	return json_pack("{s:s}", "$ref", ref);
}

static bool
ends_with(struct sp_bytes *word, const char *tail)
{
	size_t n = strlen(tail);
	if (word->len < n || memcmp(word->p + word->len - n, tail, n) != 0)
		return false;
	word->len -= n;
	return true;
}

/* "expires:time?", "groups[]" */
static int
add_member(json_t *properties, json_t *required, struct sp_bytes word)
{
	bool optional = ends_with(&word, "?"), list = ends_with(&word, "[]");
	struct sp_reader r = sp_reader(word);
	struct sp_bytes name = sp_rd_until(&r, ':'), type = sp_rd_rest(&r);
	if (r.bad)
		name = word;
	json_t *schema = schema_of(type);
	if (list)
		schema = json_pack("{s:s,s:o}", "type", "array", "items", schema);
	char text[64];
	(void)snprintf(text, sizeof(text), "%.*s", (int)(name.len < sizeof(text) ? name.len : sizeof(text) - 1), (const char *)name.p);
	if (!optional && json_array_append_new(required, json_string(text)) != 0)
		return SP_ENOMEM;
	return json_object_set_new(properties, text, schema) == 0 ? SP_OK : SP_ENOMEM;
}

static json_t *
object_schema(const char *members)
{
	json_t *properties = json_object(), *required = json_array();
	struct sp_reader r = sp_reader(sp_str(members));
	int rc = SP_OK;
	while (r.left > 0 && rc == SP_OK) {
		struct sp_reader rest = r;
		struct sp_bytes word = sp_rd_until(&r, ' ');
		if (r.bad) {
			word = sp_rd_rest(&rest);
			r = rest;
		}
		if (word.len > 0)
			rc = add_member(properties, required, word);
	}
	json_t *o = json_pack("{s:s,s:o,s:o}", "type", "object", "properties", properties, "required", required);
	if (rc == SP_OK)
		return o;
	json_decref(o);
	return NULL;
}

/* ---- one route ---- */

static json_t *
answer_content(enum call call)
{
	const char *members = answer_find(call);
	if (members == NULL)
		return NULL;
	if (strcmp(members, "bytes") == 0)
		return json_pack("{s:{s:{}}}", "application/octet-stream", "schema");
	if (strcmp(members, "plain") == 0)
		return json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string");
	if (strncmp(members, "lines ", 6) == 0)
		return json_pack("{s:{s:o}}", "application/x-ndjson", "schema", schema_of(sp_str(members + 6)));
	if (strncmp(members, "events ", 7) == 0)
		return json_pack("{s:{s:o}}", "text/event-stream", "schema", schema_of(sp_str(members + 7)));
	return json_pack("{s:{s:o}}", JSON_TYPE, "schema", object_schema(members));
}

static json_t *
argument_schema(const struct argument *a)
{
	static const char *const types[] = { [ARGUMENT_TEXT] = "string", [ARGUMENT_FLAG] = "boolean", [ARGUMENT_NUMBER] = "integer" };
	if (a->type == ARGUMENT_TEXTS)
		return json_pack("{s:s,s:{s:s}}", "type", "array", "items", "type", "string");
	json_t *o = json_pack("{s:s}", "type", types[a->type]);
	if (a->type == ARGUMENT_NUMBER)
		(void)json_object_set_new(o, "minimum", json_integer(0));
	return o;
}

/* What GET takes in its query, and all take in their path. */
static json_t *
parameters(const struct route *r)
{
	json_t *list = json_array();
	if (strstr(r->path, ":id") != NULL)
		(void)json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:{s:s}}", "name", "id", "in", "path", "required", 1, "schema", "type", "string"));
	for (const struct argument *a = argument_table; a->name != NULL && strcmp(r->method, "GET") == 0; a++)
		if (a->call == r->call)
			(void)json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "name", a->name, "in", "query", "description", a->help,
			    "schema", argument_schema(a)));
	return list;
}

/* What the others take in their body; NULL: nothing. */
static json_t *
body(const struct route *r)
{
	json_t *properties = json_object();
	for (const struct argument *a = argument_table; a->name != NULL && strcmp(r->method, "GET") != 0; a++) {
		json_t *schema = a->call == r->call ? argument_schema(a) : NULL;
		if (schema == NULL)
			continue;
		(void)json_object_set_new(schema, "description", json_string(a->help));
		(void)json_object_set_new(properties, a->name, schema);
	}
	if (json_object_size(properties) == 0) {
		json_decref(properties);
		return NULL;
	}
	const char *type = r->call == CALL_BACKCHANNEL || r->call == CALL_SLACK ? "application/x-www-form-urlencoded" : JSON_TYPE;
	return json_pack("{s:{s:{s:{s:s,s:o,s:b}}}}", "content", type, "schema", "type", "object", "properties", properties, "additionalProperties", 0);
}

static json_t *
roles(unsigned role)
{
	json_t *list = json_array();
	for (const struct caller_role_name *n = caller_roles; n->name != NULL; n++)
		if ((role & n->bit) != 0)
			(void)json_array_append_new(list, json_string(n->name));
	return list;
}

/* "GET /api/v1/sessions/:id" → "get_sessions_id" */
static void
operation_id(const struct route *r, char out[128])
{
	const char *path = strncmp(r->path, "/api/v1", 7) == 0 ? r->path + 7 : r->path;
	size_t n = 0;
	for (const char *m = r->method; *m != '\0' && n < 16; m++)
		out[n++] = (char)(*m + ('a' - 'A'));
	for (; *path != '\0' && n < 127; path++)
		if (*path != ':')
			out[n++] = *path == '/' || *path == '-' ? '_' : *path;
	out[n] = '\0';
}

static json_t *
operation(const struct route *r)
{
	char id[128];
	operation_id(r, id);
	json_t *content = answer_content(r->call), *taken = body(r);
	if (content == NULL) {
		json_decref(taken);
		return NULL;
	}
	json_t *security = r->role == MAY_ANYBODY ? json_array() : json_pack("[{s:[]},{s:[]}]", "bearer", "cookie");
	json_t *o = json_pack("{s:s,s:s,s:o,s:{s:{s:s,s:o},s:{s:s}},s:o,s:o}", "operationId", id, "summary", r->help, "parameters", parameters(r),
	    "responses", "200", "description", "Done.", "content", content, "default", "$ref", "#/components/responses/refused", "security", security,
	    "x-sallyport-roles", roles(r->role));
	if (taken != NULL && json_object_set_new(o, "requestBody", taken) != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* "/api/v1/sessions/:id/kill" → "/api/v1/sessions/{id}/kill" */
static void
path_template(const char *path, char out[128])
{
	size_t n = 0;
	while (*path != '\0' && n < 120) {
		if (*path == ':') {
			out[n++] = '{';
			for (path++; *path != '\0' && *path != '/' && n < 120; path++)
				out[n++] = *path;
			out[n++] = '}';
		} else {
			out[n++] = *path++;
		}
	}
	out[n] = '\0';
}

static int
add_route(json_t *paths, const struct route *r)
{
	char path[128], method[16];
	size_t n = 0;
	path_template(r->path, path);
	for (; r->method[n] != '\0' && n < sizeof(method) - 1; n++)
		method[n] = (char)(r->method[n] + ('a' - 'A'));
	method[n] = '\0';
	json_t *item = json_object_get(paths, path), *o = operation(r);
	if (item == NULL && json_object_set_new(paths, path, item = json_object()) != 0)
		return SP_ENOMEM;
	return o != NULL && json_object_set_new(item, method, o) == 0 ? SP_OK : SP_ENOMEM;
}

/* ---- the whole ---- */

static json_t *
components(void)
{
	json_t *schemas = json_object();
	for (const struct shape_row *s = shape_table; s->name != NULL; s++)
		(void)json_object_set_new(schemas, s->name, object_schema(s->members));
	json_t *refused = json_pack("{s:s,s:{s:{s:{s:s,s:{s:{s:s}},s:[s]}}}}", "description", "Refused: a sentence that says what to do.", "content", JSON_TYPE,
	    "schema", "type", "object", "properties", "error", "type", "string", "required", "error");
	json_t *bearer = json_pack("{s:s,s:s,s:s}", "type", "http", "scheme", "bearer", "description",
	    "A token of the API's audience, or the secret of a sign-in.");
	json_t *cookie = json_pack("{s:s,s:s,s:s,s:s}", "type", "apiKey", "in", "cookie", "name", "__Host-sallyport", "description",
	    "A browser's sign-in. What changes something needs Origin and X-Sallyport-CSRF, which whoami tells, too.");
	return json_pack("{s:o,s:{s:o},s:{s:o,s:o}}", "schemas", schemas, "responses", "refused", refused, "securitySchemes", "bearer", bearer, "cookie",
	    cookie);
}

json_t *
openapi_document(void)
{
	json_t *paths = json_object();
	int rc = SP_OK;
	for (const struct route *r = route_table; r->method != NULL && rc == SP_OK; r++)
		rc = add_route(paths, r);
	json_t *o = json_pack("{s:s,s:{s:s,s:s,s:s,s:{s:s,s:s}},s:o,s:o}", "openapi", "3.1.0", "info", "title", "Sallyport", "version", PACKAGE_VERSION,
	    "summary", "A Layer-7 access gateway: sessions, requests, recordings.", "license", "name", "Apache-2.0", "identifier", "Apache-2.0",
	    "paths", paths, "components", components());
	if (rc == SP_OK)
		return o;
	json_decref(o);
	return NULL;
}
