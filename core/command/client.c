/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the gateway: HTTP/1.1 over its control socket, one connection for each call. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../modules/http/http.h"
#include "command.h"

#define PATIENCE 120 /* seconds without a byte */
#define TOKEN_MAX (64u << 10)
#define JSON_MAX (64u << 20)

struct exchange {
	int fd;
	struct buffer in;
	struct http_head head;
	struct http_body body;
};

/* ---- where, and as whom ---- */

static const char *
control_path(const struct run *r)
{
	const char *path = r->control != NULL ? r->control : getenv("SALLYPORT_CONTROL");
	return path != NULL && path[0] != '\0' ? path : DEFAULT_CONTROL;
}

static int
gateway_connect(const struct run *r, int *fd_r)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { PATIENCE, 0 };
	const char *path = control_path(r);
	if (strlen(path) >= sizeof(address.sun_path))
		return failed("%s: the path is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	*fd_r = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd_r >= 0 && connect(*fd_r, (struct sockaddr *)&address, sizeof(address)) == 0) {
		(void)setsockopt(*fd_r, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		return DONE;
	}
	int error = errno;
	if (*fd_r >= 0)
		close(*fd_r);
	*fd_r = -1;
	if (error == EACCES || error == EPERM)
		return failed("%s: you may not use this socket: ask to join its group, or use sudo", path);
	if (error == ENOENT || error == ECONNREFUSED)
		return failed("%s: no gateway listens there: is sallyportd running? Else name its socket by --control or $SALLYPORT_CONTROL", path);
	return failed("%s: %s", path, strerror(error));
}

static int
read_token(const struct run *r, struct buffer *token)
{
	const char *from_env = getenv("SALLYPORT_TOKEN");
	if (r->token_file == NULL) {
		struct sp_bytes t = sp_str(from_env);
		return t.len == 0 || buffer_put(token, t) == SP_OK ? DONE : failed("out of memory");
	}
	int fd = open(r->token_file, O_RDONLY | O_CLOEXEC);
	uint8_t *room = buffer_room(token, TOKEN_MAX);
	ssize_t n = fd < 0 || room == NULL ? -1 : read(fd, room, TOKEN_MAX);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return failed("%s: %s", r->token_file, strerror(errno));
	while (n > 0 && (room[n - 1] == '\n' || room[n - 1] == '\r' || room[n - 1] == ' '))
		n--;
	buffer_added(token, (size_t)n);
	return n > 0 ? DONE : failed("%s: there is no token in it", r->token_file);
}

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

static int
write_request(struct sp_writer *w, const char *method, const char *path, const json_t *args, struct sp_bytes token)
{
	bool get = strcmp(method, "GET") == 0;
	struct buffer target = { .p = NULL }, bearer = { .p = NULL };
	struct sp_writer t = buffer_writer(&target);
	char *body = get || args == NULL ? NULL : json_dumps(args, JSON_COMPACT);
	sp_wr_put(&t, sp_str(path));
	if (get)
		put_query(&t, args);
	int rc = buffer_written(&target, &t);
	http_put_request(w, sp_str(method), buffer_bytes(&target));
	http_put_field(w, "Host", SP_LIT("sallyport"));
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

static int
send_all(int fd, struct sp_bytes out)
{
	struct sp_reader r = sp_reader(out);
	while (r.left > 0) {
		ssize_t n = send(fd, r.p, r.left, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed("the gateway hung up");
		(void)sp_rd_take(&r, (size_t)n);
	}
	return DONE;
}

/* ---- the answer ---- */

static int
receive(struct exchange *x)
{
	uint8_t *room = buffer_room(&x->in, 64u << 10);
	ssize_t n = room == NULL ? -1 : recv(x->fd, room, 64u << 10, 0);
	if (n < 0 && errno == EINTR)
		return DONE;
	if (n < 0 && errno == EAGAIN)
		return failed("the gateway did not answer for %d s", PATIENCE);
	if (n <= 0)
		return failed("the gateway hung up before its answer was complete");
	buffer_added(&x->in, (size_t)n);
	return DONE;
}

static int
exchange_begin(const struct run *r, const char *method, const char *path, json_t *args, struct exchange *x)
{
	struct buffer token = { .p = NULL }, out = { .p = NULL };
	*x = (struct exchange){ .fd = -1 };
	int rc = read_token(r, &token);
	struct sp_writer w = buffer_writer(&out);
	if (rc == DONE)
		rc = write_request(&w, method, path, args, buffer_bytes(&token));
	if (rc == DONE && buffer_written(&out, &w) != SP_OK)
		rc = failed("out of memory");
	if (rc == DONE)
		rc = gateway_connect(r, &x->fd);
	if (rc == DONE)
		rc = send_all(x->fd, buffer_bytes(&out));
	buffer_free(&token);
	buffer_free(&out);
	json_decref(args);
	http_head_begin(&x->head, HTTP_RESPONSE, NULL);
	long n = 0;
	while (rc == DONE && (n = http_head_parse(&x->head, buffer_bytes(&x->in))) == 0)
		rc = receive(x);
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
	if (x->fd >= 0)
		close(x->fd);
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
		if (receive(x) != DONE)
			return FAILED;
	}
}

static int
into_buffer(void *owner, struct sp_bytes piece)
{
	return buffer_put(owner, piece) == SP_OK ? DONE : failed("the answer is longer than %u MB", JSON_MAX >> 20);
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
		const char *why = json_string_value(json_object_get(json, "error"));
		print_progress_end();
		(void)fprintf(stderr, "sallyport: ");
		print_safe(stderr, sp_str(why == NULL ? http_reason(x->head.status) : why), 0);
		(void)fprintf(stderr, "\n");
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
	if (len == 0 || len > 64 || strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz") != len)
		return failed("\"%s\" is no id, nor the beginning of one: ids are 26 small letters and digits", id);
	(void)snprintf(path_r, 256, "/api/v1/%s/%s%s", collection, id, tail);
	return DONE;
}

int
client_call(const struct run *r, const char *method, const char *path, json_t *args, json_t **answer_r)
{
	struct exchange x;
	struct buffer body = { .max = JSON_MAX };
	*answer_r = NULL;
	int rc = exchange_begin(r, method, path, args, &x);
	if (rc == DONE && x.head.status != 200)
		rc = say_refusal(&x);
	else if (rc == DONE)
		rc = exchange_body(&x, into_buffer, &body);
	if (rc == DONE) {
		struct sp_bytes b = buffer_bytes(&body);
		*answer_r = b.len == 0 ? NULL : json_loadb((const char *)b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
		if (*answer_r == NULL)
			rc = failed("the gateway's answer is no JSON");
	}
	buffer_free(&body);
	exchange_end(&x);
	return rc;
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
	int rc = exchange_begin(r, "GET", path, args, &x);
	if (rc == DONE)
		rc = x.head.status != 200 ? say_refusal(&x) : exchange_body(&x, into_lines, &l);
	buffer_free(&l.rest);
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
	int rc = exchange_begin(r, "GET", path, NULL, &x);
	struct sink s = { .fd = fd, .all = x.head.framing.length };
	if (rc == DONE)
		rc = x.head.status != 200 ? say_refusal(&x) : exchange_body(&x, into_file, &s);
	print_progress_end();
	exchange_end(&x);
	return rc;
}
