/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the keeper signs what a recording is so far; the entries chain all sessions to one
 * another and go into STORE/ledger and to the anchor.
 *
 *   sign_session(): MSG_SIGN ─▶ keeper ─▶ MSG_SIGNED: sign_answer() ─▶ ledger, anchor, session
 *
 * While the keeper is away nothing is asked: what a session then wants signed is one entry when it
 * is back.  Before anything is signed it is in the session's file, so a verifier finds it there.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "../base/log.h"
#include "recorder.h"

#define SYSLOG_SOCKET "/dev/log"
#define CHECKPOINT_MS 60000
#define CHECKPOINT_BYTES (4u << 20)
#define ASK_AGAIN_MS 30000

/* ---- the file ---- */

static int
open_anchor(struct recorder *r, const char *anchor)
{
	if (anchor == NULL || anchor[0] == '\0')
		return SP_OK;
	if (strncmp(anchor, "file:", 5) == 0) {
		r->ledger.anchor = open(anchor + 5, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
		return r->ledger.anchor < 0 ? SP_EIO : SP_OK;
	}
	r->ledger.remote = strncmp(anchor, "syslog://", 9) == 0;
	if (r->ledger.remote)
		return SP_OK;
	if (settings_anchor_facility(anchor, &r->ledger.facility) != SP_OK) {
		errno = EINVAL;
		return SP_EIO;
	}
	r->ledger.syslog = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return r->ledger.syslog < 0 ? SP_EIO : SP_OK;
}

/* The last whole entry; a torn one behind it is cut off: the keeper has it. */
static int
read_last(struct ledger_file *l, uint64_t size)
{
	uint8_t head[LEDGER_HEAD], last[LEDGER_ENTRY];
	struct ledger_entry e;
	if (read_at(l->fd, head, sizeof(head), 0) != SP_OK || memcmp(head, LEDGER_MAGIC, 8) != 0)
		return SP_EPROTO;
	memcpy(l->key, head + 8, sizeof(l->key));
	l->have_key = true;
	uint64_t n = (size - LEDGER_HEAD) / LEDGER_ENTRY, end = LEDGER_HEAD + n * LEDGER_ENTRY;
	if (end != size && ftruncate(l->fd, (off_t)end) != 0)
		return SP_EIO;
	ledger_first(l->key, l->previous);
	if (n == 0)
		return SP_OK;
	if (read_at(l->fd, last, sizeof(last), end - LEDGER_ENTRY) != SP_OK ||
	    ledger_decode((struct sp_bytes){ last, sizeof(last) }, &e) != SP_OK || e.number != n)
		return SP_EPROTO;
	l->number = n;
	ledger_hash(last, l->previous);
	return SP_OK;
}

int
ledger_open(struct recorder *r, const char *anchor, const char **err_r)
{
	static char text[320];
	struct ledger_file *l = &r->ledger;
	struct stat st;
	*l = (struct ledger_file){ .fd = -1, .anchor = -1, .syslog = -1 };
	if (open_anchor(r, anchor) != SP_OK) {
		(void)snprintf(text, sizeof(text), "anchor %.200s: %s", anchor, strerror(errno));
		*err_r = text;
		return SP_EIO;
	}
	l->fd = openat(r->store.top, "ledger", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->fd < 0 || fstat(l->fd, &st) != 0) {
		(void)snprintf(text, sizeof(text), "the ledger: %s", strerror(errno));
		*err_r = text;
		return SP_EIO;
	}
	if (st.st_size >= LEDGER_HEAD && read_last(l, (uint64_t)st.st_size) != SP_OK) {
		*err_r = "the ledger is damaged: run `sallyport verify` on the store, and put the damaged file aside";
		return SP_EPROTO;
	}
	return SP_OK;
}

void
ledger_close(struct recorder *r)
{
	struct ledger_file *l = &r->ledger;
	if (l->fd >= 0) {
		(void)fdatasync(l->fd);
		close(l->fd);
	}
	if (l->anchor >= 0)
		close(l->anchor);
	if (l->syslog >= 0)
		close(l->syslog);
	*l = (struct ledger_file){ .fd = -1, .anchor = -1, .syslog = -1 };
}

int
ledger_sync(struct recorder *r)
{
	if (!r->ledger.unsynced)
		return SP_OK;
	if (fdatasync(r->ledger.fd) != 0 || (r->ledger.anchor >= 0 && fdatasync(r->ledger.anchor) != 0 && errno != EINVAL))
		return SP_EIO;
	r->ledger.unsynced = false;
	return SP_OK;
}

/* ---- the keeper ---- */

static void
say(struct recorder *r, const struct message *m)
{
	if (r->send != NULL && r->send(r->send_owner, m) != SP_OK)
		log_warn("the keeper cannot be told: %s", message_name(m->type));
}

static void
say_have(struct recorder *r)
{
	r->ledger.gap = false;
	say(r, &(struct message){ .type = MSG_HAVE, .f = { Q(r->ledger.number) } });
}

int
sign_keys(struct recorder *r, struct sp_bytes key)
{
	struct ledger_file *l = &r->ledger;
	uint8_t head[LEDGER_HEAD];
	struct sp_writer w = sp_writer(head, sizeof(head));
	if (key.len != sizeof(l->key))
		return SP_EPROTO;
	if (l->have_key && memcmp(l->key, key.p, key.len) != 0) {
		log_error("the ledger was begun with another signing key than the keeper's: nothing is signed until they agree");
		r->send = NULL;
		return SP_OK;
	}
	if (!l->have_key) {
		sp_wr_put(&w, SP_LIT(LEDGER_MAGIC));
		sp_wr_put(&w, key);
		if (write_at(l->fd, sp_written(&w), 0) != SP_OK || fsync(l->fd) != 0 || fsync(r->store.top) != 0) {
			log_error("the ledger cannot be begun: %s", strerror(errno));
			return SP_OK; /* the next sweep finds the keeper without a key and does nothing */
		}
		memcpy(l->key, key.p, key.len);
		l->have_key = true;
		ledger_first(l->key, l->previous);
	}
	say_have(r);
	return SP_OK;
}

void
sign_keeper_gone(struct recorder *r)
{
	r->send = NULL;
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next)
			s->sign.asked = 0;
}

/* What the session wants signed now; 0 for nothing. */
static unsigned
wanted(const struct recorder *r, const struct session *s)
{
	if (s->state.blocks == 0 || s->sign.closed || (s->sign.asked != 0 && r->now - s->sign.asked < ASK_AGAIN_MS))
		return 0;
	if (s->clear.n > 0 || s->sealed.n > 0)
		return 0; /* torn just now: its last frame is in no block yet */
	if (s->state.state != SESSION_LIVE)
		return s->state.state == SESSION_TORN ? LEDGER_TORN : LEDGER_CLOSE;
	if (!s->sign.opened)
		return LEDGER_OPEN;
	bool due = r->now - s->sign.at >= CHECKPOINT_MS || s->bytes - s->sign.bytes >= CHECKPOINT_BYTES;
	return due && s->state.blocks > s->sign.blocks ? LEDGER_CHECKPOINT : 0;
}

void
sign_gap(struct recorder *r)
{
	if (r->send != NULL && r->ledger.have_key && r->ledger.gap)
		say_have(r);
}

bool
sign_session(struct recorder *r, struct session *s)
{
	unsigned kind = r->send == NULL || !r->ledger.have_key ? 0 : wanted(r, s);
	if (kind == 0 || file_flush(r, s) != SP_OK)
		return false;
	const struct message m = { .type = MSG_SIGN,
		.f = { Q(kind), S(((struct sp_bytes){ s->id, ID_LEN })), Q(s->state.blocks), Q(s->state.frames),
		    S(((struct sp_bytes){ s->chain, DIGEST_LEN })), Q(s->bytes), Q(r->wall) } };
	s->sign.asked = r->now == 0 ? 1 : r->now;
	say(r, &m);
	return true;
}

/* ---- entries ---- */

/* Not syslog(3): when the daemon was started anew that needs a socket, which this process may no longer make. */
static void
anchor_syslog(struct ledger_file *l, const char *line, int len)
{
	static const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET };
	char text[2 * LEDGER_ENTRY + 128];
	int n = snprintf(text, sizeof(text), "<%d>sallyport[%d]: %.*s", l->facility | LOG_NOTICE, (int)getpid(), len, line);
	bool sent = sendto(l->syslog, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to)) == n;
	if (!sent && !l->deaf)
		log_error("the anchor: %s takes nothing: %s; entries until it does are not anchored", SYSLOG_SOCKET, strerror(errno));
	if (sent && l->deaf)
		log_info("the anchor: %s takes entries again", SYSLOG_SOCKET);
	l->deaf = !sent;
}

static void
anchor_remote(struct recorder *r, struct sp_bytes line)
{
	bool sent = r->anchor != NULL && r->anchor(r->anchor_owner, line) == SP_OK;
	if (!sent && !r->ledger.deaf)
		log_error("the anchor: master takes nothing; entries until it does are not anchored");
	r->ledger.deaf = !sent;
}

static void
anchor(struct recorder *r, const struct ledger_entry *e, const uint8_t bytes[LEDGER_ENTRY])
{
	char hex[2 * LEDGER_ENTRY + 1], line[2 * LEDGER_ENTRY + 64];
	struct ledger_file *l = &r->ledger;
	text_hex((struct sp_bytes){ bytes, LEDGER_ENTRY }, hex);
	int n = snprintf(line, sizeof(line), "sallyport-anchor %llu %s\n", (unsigned long long)e->number, hex);
	if (l->anchor >= 0 && write(l->anchor, line, (size_t)n) != n)
		log_error("the anchor cannot be written: %s", strerror(errno));
	if (l->syslog >= 0)
		anchor_syslog(l, line, n - 1);
	if (l->remote)
		anchor_remote(r, (struct sp_bytes){ (const uint8_t *)line, (size_t)n - 1 });
}

static void
session_signed(struct recorder *r, const struct ledger_entry *e)
{
	struct session *s = session_find(r, e->session);
	/* The recorder died before the segment went: from that we have it again. */
	if (e->kind == LEDGER_TOMBSTONE && s != NULL && s->state.state != SESSION_LIVE && !s->touched) {
		session_free(r, s);
		s = NULL;
	}
	if (e->kind == LEDGER_TOMBSTONE)
		retention_tombstone(r, e->session);
	if (s == NULL || e->kind == LEDGER_TOMBSTONE)
		return;
	s->sign.asked = 0;
	s->sign.opened = true;
	s->sign.blocks = e->blocks;
	s->sign.bytes = e->bytes;
	s->sign.at = r->now;
	if ((e->kind == LEDGER_CLOSE || e->kind == LEDGER_TORN) && e->blocks == s->state.blocks)
		s->sign.closed = true;
}

/* Sent again: the answer was lost, not the entry.  Another one of that number is a keeper's whose ledger was begun anew. */
static int
answered_again(struct recorder *r, const struct ledger_entry *e, const uint8_t bytes[LEDGER_ENTRY])
{
	uint8_t had[LEDGER_ENTRY];
	if (e->number == 0)
		return SP_EPROTO;
	if (read_at(r->ledger.fd, had, sizeof(had), LEDGER_HEAD + (e->number - 1) * LEDGER_ENTRY) == SP_OK && memcmp(had, bytes, sizeof(had)) == 0) {
		session_signed(r, e);
		return SP_OK;
	}
	log_error("ledger: the keeper's entry %llu is not the one on file: its ledger was begun anew with the same key, and nothing is signed. "
	    "Stop the gateway and bring its store back; or run `sallyport store new-ledger` and move the recordings away", (unsigned long long)e->number);
	r->send = NULL;
	return SP_OK;
}

int
sign_answer(struct recorder *r, struct sp_bytes entry, struct sp_bytes signature)
{
	struct ledger_file *l = &r->ledger;
	uint8_t bytes[LEDGER_ENTRY];
	struct ledger_entry e;
	if (entry.len < LEDGER_SIGNED || entry.len > LEDGER_ENTRY || signature.len != SIGNATURE_LEN || !l->have_key)
		return SP_EPROTO;
	memcpy(bytes, entry.p, LEDGER_SIGNED);
	memcpy(bytes + LEDGER_SIGNED, signature.p, SIGNATURE_LEN);
	if (ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) }, &e) != SP_OK || !ledger_signed_by(bytes, l->key))
		return SP_EPROTO;
	if (e.number <= l->number)
		return answered_again(r, &e, bytes);
	if (e.number != l->number + 1 || memcmp(e.previous, l->previous, DIGEST_LEN) != 0) {
		log_warn("ledger: entry %llu comes after entry %llu: asking for what is between",
		    (unsigned long long)e.number, (unsigned long long)l->number);
		l->gap = true;
		return SP_OK;
	}
	uint64_t at = LEDGER_HEAD + l->number * LEDGER_ENTRY;
	if (write_at(l->fd, (struct sp_bytes){ bytes, sizeof(bytes) }, at) != SP_OK) {
		log_error("the ledger cannot be written: %s", strerror(errno));
		l->gap = true;
		return SP_OK;
	}
	l->number = e.number;
	l->unsynced = true;
	ledger_hash(bytes, l->previous);
	anchor(r, &e, bytes);
	session_signed(r, &e);
	return SP_OK;
}
