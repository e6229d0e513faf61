/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the gateway: HTTP/1.1, one connection for each call (reach.c). */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../modules/http/http.h"
#include "reach.h"

#define JSON_MAX (64u << 20)

struct exchange {
	struct reach at;
	struct buffer in;
	struct http_head head;
	struct http_body body;
};

/* ---- the request ---- */

static void
put_query(struct sp_writer *w, const json_t *args)
{
	const char *name;
	json_t *value;
	char between = '?', number[32];
	json_object_foreach((json_t *)args, name, value) {
		sp_wr_u8(w, (uint8_t)between);
		between = '&';
		http_encode(sp_str(name), w);
		sp_wr_u8(w, '=');
		if (json_is_string(value)) {
			http_encode(sp_str(json_string_value(value)), w);
			continue;
		}
		(void)snprintf(number, sizeof(number), "%lld", json_is_integer(value) ? (long long)json_integer_value(value) : json_is_true(value));
		http_encode(sp_str(number), w);
	}
}

struct asking {
	const char *method, *path;
	json_t *args; /* a reference of whom it is handed to, or NULL */
	bool patient;  /* what is followed may be silent for long */
};

static int
write_request(struct sp_writer *w, const struct asking *q, const char *host, struct sp_bytes token)
{
	const char *method = q->method, *path = q->path;
	const json_t *args = q->args;
	bool get = strcmp(method, "GET") == 0;
	struct buffer target = { .p = NULL }, bearer = { .p = NULL };
	struct sp_writer t = buffer_writer(&target);
	char *body = get || args == NULL ? NULL : json_dumps(args, JSON_COMPACT);
	sp_wr_put(&t, sp_str(path));
	if (get)
		put_query(&t, args);
	int rc = buffer_written(&target, &t);
	http_put_request(w, sp_str(method), buffer_bytes(&target));
	http_put_field(w, "Host", sp_str(host));
	http_put_field(w, "Connection", SP_LIT("close"));
	if (token.len > 0) {
		if (rc == SP_OK)
			rc = buffer_printf(&bearer, "Bearer %.*s", (int)token.len, (const char *)token.p);
		http_put_field(w, "Authorization", buffer_bytes(&bearer));
	}
	if (body != NULL) {
		http_put_field(w, "Content-Type", SP_LIT("application/json"));
		http_put_field_u64(w, "Content-Length", strlen(body));
	}
	http_put_end(w);
	if (body != NULL)
		sp_wr_put(w, sp_str(body));
	free(body);
	buffer_free(&target);
	buffer_free(&bearer);
	return rc == SP_OK && !w->bad ? DONE : failed("an argument can't be sent");
}

/* ---- the answer ---- */

static int
exchange_begin(const struct run *r, const struct asking *q, struct exchange *x)
{
	struct buffer token = { .p = NULL }, out = { .p = NULL };
	*x = (struct exchange){ .in.max = 0 };
	int rc = reach_find(r, &x->at);
	x->at.patient = q->patient;
	if (rc == DONE && !r->nobody)
		rc = reach_token(r, &x->at, &token);
	struct sp_writer w = buffer_writer(&out);
	if (rc == DONE)
		rc = write_request(&w, q, x->at.host, buffer_bytes(&token));
	if (rc == DONE && buffer_written(&out, &w) != SP_OK)
		rc = failed("out of memory");
	if (rc == DONE)
		rc = reach_open(r, &x->at);
	if (rc == DONE)
		rc = reach_send(&x->at, buffer_bytes(&out));
	buffer_free(&token);
	buffer_free(&out);
	json_decref(q->args);
	http_head_begin(&x->head, HTTP_RESPONSE, NULL);
	long n = 0;
	while (rc == DONE && (n = http_head_parse(&x->head, buffer_bytes(&x->in))) == 0)
		rc = reach_receive(&x->at, &x->in);
	if (rc == DONE && n < 0)
		rc = failed("the gateway's answer is no HTTP: %s", http_error_text((int)n));
	if (rc == DONE) {
		buffer_drop(&x->in, (size_t)n);
		http_body_begin(&x->body, &x->head.framing);
	}
	return rc;
}

static void
exchange_end(struct exchange *x)
{
	reach_end(&x->at);
	buffer_free(&x->in);
}

/* Hands every piece of the body to take(); a result of take() other than DONE ends it. */
static int
exchange_body(struct exchange *x, int (*take)(void *owner, struct sp_bytes piece), void *owner)
{
	for (;;) {
		struct sp_reader r = sp_reader(buffer_bytes(&x->in));
		struct sp_bytes piece;
		size_t before = r.left;
		int rc, taken = DONE;
		while (taken == DONE && (rc = http_body_next(&x->body, &r, &piece)) == HTTP_BODY_PIECE)
			taken = take(owner, piece);
		buffer_drop(&x->in, before - r.left);
		if (taken != DONE)
			return taken;
		if (rc < 0)
			return failed("the gateway's answer is no HTTP: %s", http_error_text(rc));
		if (rc == HTTP_BODY_END)
			return DONE;
		if (reach_receive(&x->at, &x->in) != DONE)
			return FAILED;
	}
}

static int
into_buffer(void *owner, struct sp_bytes piece)
{
	return buffer_put(owner, piece) == SP_OK ? DONE : failed("the answer is longer than %u MB", JSON_MAX >> 20);
}

int
client_refused(unsigned status, const json_t *answer)
{
	const char *why = json_string_value(json_object_get(answer, "error"));
	print_progress_end();
	(void)fprintf(stderr, "sallyport: ");
	print_safe(stderr, sp_str(why == NULL ? http_reason(status) : why), 0);
	(void)fprintf(stderr, "\n");
	return FAILED;
}

/* Says why the gateway refused. */
static int
say_refusal(struct exchange *x)
{
	struct buffer body = { .max = JSON_MAX };
	int rc = exchange_body(x, into_buffer, &body);
	if (rc == DONE) {
		struct sp_bytes b = buffer_bytes(&body);
		json_t *json = b.len == 0 ? NULL : json_loadb((const char *)b.p, b.len, 0, NULL);
		(void)client_refused(x->head.status, json);
		json_decref(json);
	}
	buffer_free(&body);
	return FAILED;
}

/* ---- what subcommands call ---- */

int
client_path(const char *collection, const char *id, const char *tail, char path_r[256])
{
	size_t len = strlen(id);
	if (len == 0 || len > 64 || strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz-") != len)
		return failed("\"%s\" is no id, nor the beginning of one: ids are 26 small letters and digits", id);
	(void)snprintf(path_r, 256, "/api/v1/%s/%s%s", collection, id, tail);
	return DONE;
}

int
client_try(const struct run *r, const char *method, const char *path, json_t *args, unsigned *status_r, json_t **answer_r)
{
	struct exchange x;
	struct buffer body = { .max = JSON_MAX };
	*answer_r = NULL;
	*status_r = 0;
	int rc = exchange_begin(r, &(struct asking){ .method = method, .path = path, .args = args }, &x);
	if (rc == DONE)
		rc = exchange_body(&x, into_buffer, &body);
	if (rc == DONE) {
		struct sp_bytes b = buffer_bytes(&body);
		*status_r = x.head.status;
		*answer_r = b.len == 0 ? NULL : json_loadb((const char *)b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
		if (*answer_r == NULL && x.head.status == 200)
			rc = failed("the gateway's answer is no JSON");
	}
	buffer_free(&body);
	exchange_end(&x);
	return rc;
}

int
client_call(const struct run *r, const char *method, const char *path, json_t *args, json_t **answer_r)
{
	unsigned status;
	int rc = client_try(r, method, path, args, &status, answer_r);
	if (rc != DONE || status == 200)
		return rc;
	(void)client_refused(status, *answer_r);
	json_decref(*answer_r);
	*answer_r = NULL;
	return FAILED;
}

struct lines {
	struct buffer rest;
	int (*each)(void *owner, json_t *line);
	void *owner;
};

static int
into_lines(void *owner, struct sp_bytes piece)
{
	struct lines *l = owner;
	if (buffer_put(&l->rest, piece) != SP_OK)
		return failed("a line of the answer is too long");
	for (;;) {
		struct sp_reader r = sp_reader(buffer_bytes(&l->rest));
		struct sp_bytes line = sp_rd_until(&r, '\n');
		if (r.bad)
			return DONE;
		json_t *json = json_loadb((const char *)line.p, line.len, JSON_REJECT_DUPLICATES, NULL);
		int rc = json == NULL ? failed("the gateway's answer is no JSON") : l->each(l->owner, json);
		json_decref(json);
		buffer_drop(&l->rest, line.len + 1);
		if (rc != DONE)
			return rc;
	}
}

int
client_lines(const struct run *r, const char *path, json_t *args, int (*each)(void *, json_t *), void *owner)
{
	struct exchange x;
	struct lines l = { .each = each, .owner = owner };
	bool patient = json_is_true(json_object_get(args, "follow"));
	int rc = exchange_begin(r, &(struct asking){ .method = "GET", .path = path, .args = args, .patient = patient }, &x);
	if (rc == DONE)
		rc = x.head.status != 200 ? say_refusal(&x) : exchange_body(&x, into_lines, &l);
	buffer_free(&l.rest);
	exchange_end(&x);
	return rc;
}

static int
into_stdout(void *owner, struct sp_bytes piece)
{
	(void)owner;
	if (fwrite(piece.p, 1, piece.len, stdout) != piece.len || fflush(stdout) != 0)
		return failed("cannot write: %s", strerror(errno));
	return DONE;
}

int
client_stream(const struct run *r, const char *path, json_t *args)
{
	struct exchange x;
	int rc = exchange_begin(r, &(struct asking){ .method = "GET", .path = path, .args = args, .patient = true }, &x);
	if (rc == DONE)
		rc = x.head.status != 200 ? say_refusal(&x) : exchange_body(&x, into_stdout, NULL);
	exchange_end(&x);
	return rc;
}

struct sink {
	int fd;
	uint64_t done, all;
};

static int
into_file(void *owner, struct sp_bytes piece)
{
	struct sink *s = owner;
	struct sp_reader r = sp_reader(piece);
	while (r.left > 0) {
		ssize_t n = write(s->fd, r.p, r.left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed("the recording can't be written: %s", strerror(errno));
		(void)sp_rd_take(&r, (size_t)n);
	}
	s->done += piece.len;
	print_progress("recording", s->done, s->all);
	return DONE;
}

int
client_fetch(const struct run *r, const char *path, int fd)
{
	struct exchange x;
	int rc = exchange_begin(r, &(struct asking){ .method = "GET", .path = path }, &x);
	struct sink s = { .fd = fd, .all = x.head.framing.length };
	if (rc == DONE)
		rc = x.head.status != 200 ? say_refusal(&x) : exchange_body(&x, into_file, &s);
	print_progress_end();
	exchange_end(&x);
	return rc;
}
