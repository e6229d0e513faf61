/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-ship: the audit log, line by line, to a log host (over TLS or TCP: RFC 5424 in RFC 5425 framing, or JSON lines).
 *
 *   audit.jsonl ─ read only, behind the recorder ─▶ frames ─▶ log host        the file is the buffer, however long the host is away
 *                                       └ what surely arrived: audit.jsonl.shipped, for the next start
 *
 *   RESTING ─▶ NAMING ─▶ CONNECTING ─▶ SHAKING ─▶ UP ─ lost ─▶ RESTING       longer each time, a minute at most
 *
 * Syslog has no answer, so nobody says what arrived: a line counts as sent once the connection has lived on for
 * SURE_MS after it.  What does not count is sent again, so that a line may come twice and none is lost.
 */
#include <config.h>

#include <errno.h>
#include <event2/dns.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/tls.h"
#include "helper.h"

#define TICK_MS 200
#define SURE_MS 3000
#define PATIENCE_MS 15000  /* for a name, a connection, a handshake; for a host that takes nothing */
#define REST_FIRST 1000
#define REST_LAST 60000
#define CHUNK (128u << 10) /* of the log, framed at once */
#define LINE_MAX (1u << 20)
#define FILES 8            /* rotated away before they were sent */
#define MARKS 64
#define RECORD 64          /* bytes of the position */

enum state { RESTING, NAMING, CONNECTING, SHAKING, UP, STATES };
static const char *const state_names[] = { "resting", "naming", "connecting", "shaking hands", "up" };
_Static_assert(sizeof(state_names) / sizeof(*state_names) == STATES, "a name for each state");

struct mark {
	uint64_t at, offset; /* mono ms; of the file: all before it was given to the kernel then */
};

struct ship {
	struct helper *h;
	enum state state;
	uint64_t since, retry_at, rest; /* mono ms */
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *asking;
	struct tls_credentials *system, *trust; /* trust: of the epoch; NULL: system */
	struct tls *tls;
	int fd;
	struct event *io, *tick;
	unsigned turn, addresses;       /* which of the host's addresses is tried */
	bool deaf;                      /* and the log says so already */
	char host[256], self[256];

	int file[FILES];                /* the log, and those that follow it */
	unsigned files;
	int position;
	uint64_t inode, at, sure, kept; /* of file[0]: read up to; surely sent; written down */
	struct buffer part, out;        /* a line that is not whole yet; frames */
	struct mark mark[MARKS];
	unsigned marks;
};

static void on_io(evutil_socket_t fd, short what, void *arg);

static void
enter(struct ship *s, enum state state)
{
	log_debug("the log host: from %s to %s", state_names[s->state], state_names[state]);
	s->state = state;
	s->since = clock_mono_ms();
}

/* ---- the file ---- */

static void
keep_position(struct ship *s)
{
	char text[RECORD + 1];
	if (s->position < 0 || s->kept == s->sure)
		return;
	int n = snprintf(text, sizeof(text), "%020llu %020llu", (unsigned long long)s->inode, (unsigned long long)s->sure);
	if (n > 0 && n < RECORD) {
		memset(text + n, ' ', RECORD - (size_t)n);
		text[RECORD - 1] = '\n';
		if (pwrite(s->position, text, RECORD, 0) != RECORD)
			log_warn("what was sent to the log host cannot be written down: %s", strerror(errno));
	}
	s->kept = s->sure;
}

static void
rewind_to_sure(struct ship *s)
{
	s->at = s->sure;
	s->marks = 0;
	buffer_free(&s->part);
	buffer_free(&s->out);
}

/* From where the last process, or the last gateway, came to; a log that was never sent begins with what comes now. */
static void
begin_file(struct ship *s, bool first)
{
	struct stat st;
	char text[RECORD + 1] = "";
	unsigned long long inode = 0, offset = 0;
	s->inode = s->sure = 0;
	if (fstat(s->file[0], &st) == 0) {
		s->inode = st.st_ino;
		bool known = first && s->position >= 0 && pread(s->position, text, RECORD, 0) > 0 && sscanf(text, "%llu %llu", &inode, &offset) == 2;
		if (known && inode == s->inode && offset <= (uint64_t)st.st_size)
			s->sure = offset;
		else if (first && !known)
			s->sure = (uint64_t)st.st_size;
		else if (known && inode != s->inode)
			log_warn("the audit log was rotated while nobody sent it: what was left of the old file is not sent");
	}
	s->kept = UINT64_MAX;
	rewind_to_sure(s);
	keep_position(s);
}

/* The next file, once all of this one has surely arrived. */
static void
next_file(struct ship *s)
{
	struct stat st;
	if (s->files < 2 || fstat(s->file[0], &st) != 0 || s->sure < (uint64_t)st.st_size)
		return;
	(void)close(s->file[0]);
	memmove(s->file, s->file + 1, --s->files * sizeof(*s->file));
	begin_file(s, false);
}

static void
ship_reopen(struct helper *h, int audit, int position)
{
	struct ship *s = h->own;
	struct stat now, then;
	if (s->position >= 0)
		(void)close(s->position);
	s->position = position;
	bool same = s->files > 0 && audit >= 0 && fstat(audit, &now) == 0 && fstat(s->file[s->files - 1], &then) == 0 && now.st_ino == then.st_ino;
	if (audit < 0 || same || s->files == FILES) {
		if (!same && audit >= 0)
			log_error("the audit log is rotated faster than the log host takes it: a file is not sent");
		if (audit >= 0)
			(void)close(audit);
		return;
	}
	s->file[s->files++] = audit;
	if (s->files == 1)
		begin_file(s, true);
}

/* ---- frames ---- */

static bool
is_warning(struct sp_bytes line)
{
	static const char *const words[] = { "\"verdict\":\"deny\"", "\"verdict\":\"kill\"", "\"event\": \"refused\"", "\"event\":\"refused\"" };
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (memmem(line.p, line.len, words[i], strlen(words[i])) != NULL)
			return true;
	return false;
}

/* RFC 5424: <PRI>1 TIME HOST APP PROCID MSGID SD MSG, counted; or the line as it is. */
static int
put_frame(struct ship *s, struct sp_bytes line)
{
	static const char before[] = "{\"time\":\"";
	const struct settings *c = &s->h->epoch->settings;
	char head[512], when[32] = "-";
	if (c->siem.format == SIEM_JSON)
		return buffer_put(&s->out, line) == SP_OK ? buffer_put(&s->out, SP_LIT("\n")) : SP_ENOMEM;
	struct sp_reader r = sp_reader(line);
	if (sp_bytes_is(sp_rd_take(&r, sizeof(before) - 1), before)) {
		struct sp_bytes t = sp_rd_until(&r, '"');
		if (t.len > 0 && t.len < sizeof(when) && strspn((const char *)t.p, "0123456789-:.TZ+") >= t.len)
			(void)snprintf(when, sizeof(when), "%.*s", (int)t.len, (const char *)t.p);
	}
	int n = snprintf(head, sizeof(head), "<%u>1 %s %s sallyport - audit - ", c->siem.facility_number * 8u + (is_warning(line) ? 4u : 6u), when, s->self);
	if (n < 0 || (size_t)n >= sizeof(head))
		return SP_EINTERNAL;
	int rc = buffer_printf(&s->out, "%zu %s", (size_t)n + line.len, head);
	return rc == SP_OK ? buffer_put(&s->out, line) : rc;
}

/* One chunk of whole lines, when the last one is out. */
static void
fill(struct ship *s)
{
	uint8_t *room = s->files == 0 ? NULL : buffer_room(&s->part, CHUNK);
	ssize_t n = room == NULL ? 0 : pread(s->file[0], room, CHUNK, (off_t)s->at);
	if (n <= 0)
		return;
	buffer_added(&s->part, (size_t)n);
	s->at += (uint64_t)n;
	for (;;) {
		struct sp_reader r = sp_reader(buffer_bytes(&s->part));
		struct sp_bytes line = sp_rd_until(&r, '\n');
		if (r.bad)
			break;
		if (line.len > 0 && put_frame(s, line) != SP_OK)
			log_error("a line of the audit log is too long to be sent");
		buffer_drop(&s->part, line.len + 1);
	}
	if (s->part.len > LINE_MAX) {
		log_error("a line of the audit log is too long to be sent");
		buffer_free(&s->part);
	}
}

/* ---- the connection ---- */

static void
lose(struct ship *s, const char *why)
{
	bool more = s->state == CONNECTING && ++s->turn < s->addresses;
	if (!s->deaf && !more)
		log_warn("the log host %s: %s; the audit log waits for it", s->host, why);
	s->deaf = s->deaf || !more;
	if (s->asking != NULL)
		evdns_getaddrinfo_cancel(s->asking);
	s->asking = NULL;
	if (s->io != NULL)
		event_free(s->io);
	s->io = NULL;
	tls_free(&s->tls);
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	if (!more) {
		s->turn = 0;
		s->rest = s->rest == 0 ? REST_FIRST : s->rest * 2 > REST_LAST ? REST_LAST : s->rest * 2;
	}
	s->retry_at = clock_mono_ms() + (more ? 0 : s->rest);
	rewind_to_sure(s);
	enter(s, RESTING);
}

static void
listen_for(struct ship *s, short what)
{
	if (s->io != NULL)
		event_free(s->io);
	s->io = event_new(s->h->process.base, s->fd, (short)(what | EV_PERSIST), on_io, s);
	if (s->io == NULL || event_add(s->io, NULL) != 0)
		lose(s, "no event");
}

static void
flush(struct ship *s)
{
	while (s->out.len > 0) {
		struct sp_bytes b = buffer_bytes(&s->out);
		long n = s->tls != NULL ? tls_write(s->tls, b.p, b.len) : (long)send(s->fd, b.p, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && (s->tls != NULL || errno == EAGAIN || errno == EINTR)) {
			listen_for(s, EV_READ | EV_WRITE);
			return;
		}
		if (n <= 0) {
			lose(s, "it closed the connection");
			return;
		}
		s->since = clock_mono_ms();
		buffer_drop(&s->out, (size_t)n);
	}
}

/* All that was read is out: sure in a while. */
static void
set_mark(struct ship *s, uint64_t now)
{
	uint64_t offset = s->at - s->part.len;
	if (s->marks > 0 && (s->mark[s->marks - 1].offset == offset || now - s->mark[s->marks - 1].at < SURE_MS / MARKS * 2))
		return;
	if (s->marks == MARKS)
		memmove(s->mark, s->mark + 1, --s->marks * sizeof(*s->mark));
	s->mark[s->marks++] = (struct mark){ now, offset };
}

static void
count_sure(struct ship *s, uint64_t now)
{
	unsigned n = 0;
	while (n < s->marks && now - s->mark[n].at >= SURE_MS)
		s->sure = s->mark[n++].offset;
	if (n == 0)
		return;
	memmove(s->mark, s->mark + n, (s->marks - n) * sizeof(*s->mark));
	s->marks -= n;
	s->rest = 0; /* it works: the next loss is a first one again */
	keep_position(s);
	next_file(s);
}

static void
send_on(struct ship *s)
{
	for (unsigned i = 0; i < 16 && s->state == UP; i++) { /* then others have their turn */
		flush(s);
		if (s->state != UP || s->out.len > 0)
			return;
		set_mark(s, clock_mono_ms());
		fill(s);
		if (s->out.len == 0)
			return;
	}
}

static void
is_up(struct ship *s)
{
	if (s->deaf)
		log_info("the log host %s takes the audit log again", s->host);
	else
		log_info("the audit log goes to %s", s->host);
	s->deaf = false;
	enter(s, UP);
	listen_for(s, EV_READ);
	send_on(s);
}

static void
shake(struct ship *s)
{
	bool wants_write;
	const char *why = "";
	int rc = tls_handshake(s->tls, &wants_write, &why);
	if (rc < 0)
		lose(s, why);
	else if (rc == 0)
		listen_for(s, wants_write ? EV_WRITE : EV_READ);
	else
		is_up(s);
}

static void
connected(struct ship *s)
{
	int error = 0;
	socklen_t len = sizeof(error);
	const struct settings *c = &s->h->epoch->settings;
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
		lose(s, strerror(error));
		return;
	}
	if (strncmp(c->siem.to, "tls:", 4) != 0) {
		is_up(s);
		return;
	}
	const struct tls_start start = { .name = s->host, .verify = true }; /* the name is looked at until the handshake is over */
	if (tls_new(s->trust != NULL ? s->trust : s->system, s->fd, &start, &s->tls) != SP_OK) {
		lose(s, "no memory for TLS");
		return;
	}
	enter(s, SHAKING);
	shake(s);
}

/* Syslog hosts say nothing: what can be read is the end, or a round of TLS. */
static void
hear(struct ship *s)
{
	uint8_t room[512];
	for (;;) {
		long n = s->tls != NULL ? tls_read(s->tls, room, sizeof(room)) : (long)recv(s->fd, room, sizeof(room), MSG_DONTWAIT);
		if (n > 0)
			continue;
		if (n != -1 || (s->tls == NULL && errno != EAGAIN && errno != EINTR))
			lose(s, "it closed the connection");
		return;
	}
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct ship *s = arg;
	(void)fd;
	if (s->state == CONNECTING)
		connected(s);
	else if (s->state == SHAKING)
		shake(s);
	else if (s->state == UP && (what & EV_READ) != 0)
		hear(s);
	if (s->state == UP && (what & EV_WRITE) != 0) {
		listen_for(s, EV_READ);
		send_on(s);
	}
}

static void
on_named(int result, struct evutil_addrinfo *list, void *arg)
{
	struct ship *s = arg;
	s->asking = NULL;
	if (result == EVUTIL_EAI_CANCEL)
		return;
	if (result != 0 || list == NULL) {
		lose(s, result == 0 ? "it has no address" : evutil_gai_strerror(result));
		return;
	}
	enter(s, CONNECTING);
	const struct evutil_addrinfo *a = list;
	s->addresses = 0;
	for (const struct evutil_addrinfo *b = list; b != NULL; b = b->ai_next)
		if (s->addresses++ == s->turn)
			a = b;
	s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = s->fd < 0 ? -1 : connect(s->fd, a->ai_addr, a->ai_addrlen), error = errno;
	evutil_freeaddrinfo(list);
	if (rc != 0 && (s->fd < 0 || error != EINPROGRESS)) {
		lose(s, strerror(error));
		return;
	}
	listen_for(s, EV_WRITE);
}

static void
begin_connection(struct ship *s)
{
	struct hostport h;
	char port[8];
	const struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
	if (settings_siem_host(s->h->epoch->settings.siem.to, &h) != SP_OK)
		return;
	(void)snprintf(port, sizeof(port), "%u", (unsigned)h.port);
	(void)snprintf(s->host, sizeof(s->host), "%s", h.host);
	enter(s, NAMING);
	struct evdns_getaddrinfo_request *q = evdns_getaddrinfo(s->dns, h.host, port, &hints, on_named, s);
	if (q != NULL && s->state == NAMING)
		s->asking = q; /* else it was answered at once */
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct ship *s = arg;
	uint64_t now = clock_mono_ms();
	(void)fd, (void)what;
	if (s->state == RESTING && now >= s->retry_at)
		begin_connection(s);
	else if (s->state != UP && s->state != RESTING && now - s->since > PATIENCE_MS)
		lose(s, "it does not answer");
	else if (s->state == UP && s->out.len > 0 && now - s->since > PATIENCE_MS)
		lose(s, "it takes nothing");
	if (s->state != UP)
		return;
	send_on(s);
	if (s->state == UP)
		count_sure(s, now);
}

/* ---- begin and end ---- */

static void
take_trust(struct ship *s)
{
	const struct settings *c = &s->h->epoch->settings;
	const struct epoch_file *f = c->siem.ca[0] == '\0' ? NULL : epoch_find_file(s->h->epoch, c->siem.ca);
	const char *why = "";
	tls_credentials_free(&s->trust);
	if (f != NULL && tls_credentials_trust(f->content, &s->trust, &why) != SP_OK)
		log_error("siem ca=: %s", why);
}

static int
ship_start(struct helper *h, const char **err_r)
{
	struct ship *s = mem_alloc(sizeof(*s));
	const struct timeval tick = { 0, TICK_MS * 1000 };
	*s = (struct ship){ .h = h, .fd = -1, .position = -1 };
	h->own = s;
	if (gethostname(s->self, sizeof(s->self) - 1) != 0 || s->self[0] == '\0')
		(void)snprintf(s->self, sizeof(s->self), "-");
	for (char *p = s->self; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			*p = '-';
	s->dns = evdns_base_new(h->process.base, EVDNS_BASE_INITIALIZE_NAMESERVERS);
	if (s->dns == NULL)
		s->dns = evdns_base_new(h->process.base, 0); /* no server: addresses still do */
	s->tick = event_new(h->process.base, -1, EV_PERSIST, on_tick, s);
	if (s->dns == NULL || s->tick == NULL || event_add(s->tick, &tick) != 0) {
		*err_r = "no memory for a connection to the log host";
		return SP_ENOMEM;
	}
	int rc = tls_credentials_trust((struct sp_bytes){ NULL, 0 }, &s->system, err_r);
	if (rc != SP_OK && h->epoch->settings.siem.ca[0] == '\0')
		return rc;
	take_trust(s);
	return SP_OK;
}

static void
ship_epoch(struct helper *h)
{
	struct ship *s = h->own;
	take_trust(s);
	bool deaf = s->deaf;
	s->deaf = true; /* nothing is wrong */
	lose(s, "");
	s->deaf = deaf;
	s->rest = 0;
	s->retry_at = 0;
}

static int
ship_job(struct helper *h, struct message *m)
{
	(void)h, (void)m;
	return SP_EPROTO; /* the keeper has nothing to say to it */
}

static void
ship_close(struct helper *h)
{
	struct ship *s = h->own;
	if (s == NULL)
		return;
	s->deaf = true;
	lose(s, "");
	event_free(s->tick);
	evdns_base_free(s->dns, 0);
	tls_credentials_free(&s->trust);
	tls_credentials_free(&s->system);
	for (unsigned i = 0; i < s->files; i++)
		(void)close(s->file[i]);
	if (s->position >= 0)
		(void)close(s->position);
	free(s);
	h->own = NULL;
}

int
main(int argc, char **argv)
{
	static const struct helper_kind kind = { .role = ROLE_SHIP, .start = ship_start, .epoch = ship_epoch, .job = ship_job, .reopen = ship_reopen,
		.close = ship_close };
	return helper_main(&kind, argc, argv);
}
