/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the gateway is, and as whom it is asked.
 *
 *   --control PATH ─▶ that socket, as one's account or with a token
 *   --server URL   ─▶ HTTPS, always verified; with a token, or the sign-in that `login` kept for that URL
 *
 * An option counts before the environment, the environment before what the last login kept, and that before the
 * default socket.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/settings.h"
#include "../base/tls.h"
#include "reach.h"

#define PATIENCE 120 /* seconds without a byte */
#define CONNECT_PATIENCE 20
#define TOKEN_MAX (64u << 10)
#define CA_MAX (1u << 20)

static const char *
set_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- where ---- */

static int
server_url(const char *given, struct reach *at)
{
	char *url_r = at->url;
	size_t len = strlen(given);
	while (len > 0 && given[len - 1] == '/')
		len--;
	if (len >= 312)
		return failed("\"%s\" is too long for a server's address", given);
	for (size_t i = 0; i < len; i++)
		url_r[i] = given[i] >= 'A' && given[i] <= 'Z' ? (char)(given[i] + 32) : given[i];
	url_r[len] = '\0';
	if (len > 4 && strcmp(url_r + len - 4, ":443") == 0)
		url_r[len - 4] = '\0';
	if (settings_console_host(url_r) == NULL)
		return failed("\"%s\" is no server: it takes https://HOST or https://HOST:PORT", given);
	(void)snprintf(at->host, sizeof(at->host), "%s", settings_console_host(url_r));
	return DONE;
}

int
reach_find(const struct run *r, struct reach *at)
{
	*at = (struct reach){ .fd = -1 };
	const char *server = r->server, *control = r->control;
	if (server != NULL && control != NULL)
		return misused(r, "--server and --control are two places: give one");
	if (server == NULL && control == NULL) {
		server = set_or_null(getenv("SALLYPORT_SERVER"));
		control = set_or_null(getenv("SALLYPORT_CONTROL"));
	}
	at->saved = saved_read();
	if (server == NULL && control == NULL)
		server = set_or_null(json_string_value(json_object_get(at->saved, "server")));
	if (server != NULL)
		return server_url(server, at);
	(void)snprintf(at->host, sizeof(at->host), "sallyport");
	at->control = control != NULL ? control : DEFAULT_CONTROL;
	return DONE;
}

static int
connect_control(struct reach *at)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = at->control;
	if (strlen(path) >= sizeof(address.sun_path))
		return failed("%s: the path is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	at->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (at->fd >= 0 && connect(at->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return DONE;
	int error = errno;
	if (error == EACCES || error == EPERM)
		return failed("%s: you may not use this socket: ask to join its group, or use sudo", path);
	if (error == ENOENT || error == ECONNREFUSED)
		return failed("%s: no gateway listens there: is sallyportd running? Else name its socket by --control or $SALLYPORT_CONTROL, "
			      "or a server by --server or $SALLYPORT_SERVER",
		    path);
	return failed("%s: %s", path, strerror(error));
}

/* ---- HTTPS ---- */

static int
connect_any(struct reach *at, const struct addrinfo *list)
{
	const struct timeval patience = { CONNECT_PATIENCE, 0 };
	int error = EHOSTUNREACH;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		at->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (at->fd < 0)
			continue;
		(void)setsockopt(at->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (connect(at->fd, a->ai_addr, a->ai_addrlen) == 0)
			return DONE;
		error = errno == EINPROGRESS ? ETIMEDOUT : errno;
		(void)close(at->fd);
		at->fd = -1;
	}
	return failed("%s: %s", at->url, strerror(error));
}

static int
read_ca(const struct run *r, const struct reach *at, struct buffer *pem)
{
	const char *path = r->ca != NULL ? r->ca : set_or_null(getenv("SALLYPORT_CA"));
	if (path == NULL)
		path = saved_text(at->saved, at->url, "ca");
	if (path == NULL)
		return DONE;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *room = buffer_room(pem, CA_MAX);
	ssize_t n = fd < 0 || room == NULL ? -1 : read(fd, room, CA_MAX);
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return failed("%s: %s", path, n == 0 ? "it is empty" : strerror(error));
	buffer_added(pem, (size_t)n);
	return DONE;
}

/* The socket does not block once TLS is on it: TLS itself may want a round that is nobody's bytes. */
static int
wait_until(const struct reach *at, short events)
{
	struct pollfd p = { .fd = at->fd, .events = events };
	int n;
	do
		n = poll(&p, 1, at->patient ? -1 : PATIENCE * 1000);
	while (n < 0 && errno == EINTR);
	return n > 0 ? DONE : failed("the gateway did not answer for %d s", PATIENCE);
}

static int
shake_hands(struct reach *at, const char *name, struct sp_bytes ca)
{
	const struct tls_start start = { .alpn = "http/1.1", .name = name, .verify = true };
	const char *why = "no memory";
	bool wants_write;
	int rc = tls_credentials_trust(ca, &at->trust, &why);
	if (rc == SP_OK)
		rc = tls_new(at->trust, at->fd, &start, &at->tls);
	if (rc != SP_OK)
		return failed("%s: %s", at->url, why);
	while ((rc = tls_handshake(at->tls, &wants_write, &why)) == 0)
		if (wait_until(at, wants_write ? POLLOUT : POLLIN) != DONE)
			return FAILED;
	return rc == 1 ? DONE : failed("%s: %s", at->url, why);
}

static int
connect_server(const struct run *r, struct reach *at)
{
	struct hostport h;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct buffer ca = { .p = NULL };
	char text[340], port[8];
	const char *end = strchr(at->host, ']');
	(void)snprintf(text, sizeof(text), "%s%s", at->host, strchr(end == NULL ? at->host : end, ':') == NULL ? ":443" : "");
	if (settings_hostport(text, &h) != SP_OK)
		return failed("%s is no server", at->url);
	(void)snprintf(port, sizeof(port), "%u", (unsigned)h.port);
	int rc = read_ca(r, at, &ca), found = rc == DONE ? getaddrinfo(h.host, port, &hints, &list) : 0;
	if (rc == DONE && found != 0)
		rc = failed("%s: %s", at->url, gai_strerror(found));
	if (rc == DONE)
		rc = connect_any(at, list);
	if (list != NULL)
		freeaddrinfo(list);
	if (rc == DONE && fcntl(at->fd, F_SETFL, O_NONBLOCK) != 0)
		rc = failed("%s: %s", at->url, strerror(errno));
	if (rc == DONE)
		rc = shake_hands(at, h.host, buffer_bytes(&ca));
	buffer_free(&ca);
	return rc;
}

int
reach_open(const struct run *r, struct reach *at)
{
	if (at->url[0] != '\0')
		return connect_server(r, at);
	const struct timeval patience = { PATIENCE, 0 };
	int rc = connect_control(at);
	if (rc == DONE && !at->patient)
		(void)setsockopt(at->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return rc;
}

/* ---- as whom ---- */

static int
token_from_file(const char *path, struct buffer *token)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *room = buffer_room(token, TOKEN_MAX);
	ssize_t n = fd < 0 || room == NULL ? -1 : read(fd, room, TOKEN_MAX);
	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return failed("%s: %s", path, strerror(errno));
	while (n > 0 && (room[n - 1] == '\n' || room[n - 1] == '\r' || room[n - 1] == ' '))
		n--;
	buffer_added(token, (size_t)n);
	return n > 0 ? DONE : failed("%s: there is no token in it", path);
}

int
reach_token(const struct run *r, const struct reach *at, struct buffer *token)
{
	if (r->token_file != NULL)
		return token_from_file(r->token_file, token);
	const char *text = set_or_null(getenv("SALLYPORT_TOKEN"));
	if (text == NULL && at->url[0] != '\0')
		text = saved_text(at->saved, at->url, "secret");
	return text == NULL || buffer_put(token, sp_str(text)) == SP_OK ? DONE : failed("out of memory");
}

/* ---- bytes ---- */

int
reach_send(struct reach *at, struct sp_bytes out)
{
	struct sp_reader r = sp_reader(out);
	while (r.left > 0) {
		long n = at->tls != NULL ? tls_write(at->tls, r.p, r.left) : (long)send(at->fd, r.p, r.left, MSG_NOSIGNAL);
		if (n < 0 && at->tls == NULL && errno == EINTR)
			continue;
		if (n == -1 && at->tls != NULL) {
			if (wait_until(at, POLLOUT) != DONE)
				return FAILED;
			continue;
		}
		if (n <= 0)
			return failed("the gateway hung up");
		(void)sp_rd_take(&r, (size_t)n);
	}
	return DONE;
}

int
reach_receive(struct reach *at, struct buffer *in)
{
	uint8_t *room = buffer_room(in, 64u << 10);
	long n = room == NULL ? -2 : at->tls != NULL ? tls_read(at->tls, room, 64u << 10) : (long)recv(at->fd, room, 64u << 10, 0);
	if (n < 0 && at->tls == NULL && errno == EINTR)
		return DONE;
	if (n == -1 && at->tls != NULL)
		return wait_until(at, POLLIN); /* the caller comes again */
	if (n == -1 && errno == EAGAIN)
		return failed("the gateway did not answer for %d s", PATIENCE);
	if (n <= 0)
		return failed("the gateway hung up before its answer was complete");
	buffer_added(in, (size_t)n);
	return DONE;
}

void
reach_end(struct reach *at)
{
	if (at->tls != NULL)
		tls_bye(at->tls);
	tls_free(&at->tls);
	tls_credentials_free(&at->trust);
	if (at->fd >= 0)
		(void)close(at->fd);
	at->fd = -1;
	json_decref(at->saved);
	at->saved = NULL;
}
