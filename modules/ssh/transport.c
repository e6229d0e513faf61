/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libssh wants a descriptor of its own: each of its sessions gets one end of a pair, and what the core
 * reads and writes is moved through the other.  So the core keeps what it is there for: TLS-free
 * sockets, back-pressure, records that leave before bytes (P1), wiped input.
 */
#include "ssh.h"

#include <sys/socket.h>
#include <unistd.h>

/* Modern ones only.  What is not an AEAD of AES-GCM needs strict key exchange: leg_check(). */
const char *const ssh_ciphers = "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr";
const char *const ssh_exchanges = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";
const char *const ssh_macs = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

int
leg_open(struct sp_session *s, enum sp_side side, int *fd_r)
{
	struct ssh *h = sp_state(s);
	int fd[2];
	*fd_r = -1;
	int rc = sp_descriptors(s, fd);
	if (rc != SP_OK)
		return rc;
	h->leg[side].fd = fd[0];
	*fd_r = fd[1];
	h->leg[side].ssh = ssh_new();
	if (h->event == NULL)
		h->event = ssh_event_new();
	if (h->leg[side].ssh != NULL && h->event != NULL) {
		ssh_set_counters(h->leg[side].ssh, &h->leg[side].socket, NULL);
		return SP_OK;
	}
	close(fd[1]);
	*fd_r = -1;
	return SP_ENOMEM;
}

void
leg_add(struct ssh *h, enum sp_side side)
{
	struct leg *l = &h->leg[side];
	if (!l->added && l->ssh != NULL)
		l->added = ssh_event_add_session(h->event, l->ssh) == SSH_OK;
}

void
leg_close(struct ssh *h, enum sp_side side)
{
	struct leg *l = &h->leg[side];
	if (l->added)
		(void)ssh_event_remove_session(h->event, l->ssh);
	l->added = false;
	if (l->ssh != NULL)
		ssh_free(l->ssh);
	if (l->bind != NULL)
		ssh_bind_free(l->bind);
	l->ssh = NULL;
	l->bind = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* Nothing of the client's is looked at while it waits for the keeper, an approval or the target (SS8). */
static bool
side_waits(const struct ssh *h, enum sp_side side)
{
	return side == SP_CLIENT && h->state != HELLO && h->state != AUTH && h->state != READY;
}

int
leg_feed(struct sp_session *s, enum sp_side side, bool *moved_r)
{
	struct ssh *h = sp_state(s);
	struct leg *l = &h->leg[side];
	while (l->fd >= 0 && !side_waits(h, side)) {
		struct sp_bytes in = sp_peek(s, side);
		const char *why = "";
		size_t want = 1;
		long n = in.len == 0 ? 0 : guard_look(&l->guard, in, &want, &why);
		if (n < 0)
			return ssh_fail(s, SP_EPROTO, "the %s was cut off: %s", side == SP_CLIENT ? "client" : "target", why);
		if (n == 0)
			return in.len == 0 ? SP_OK : sp_want(s, side, want, 64u << 10);
		ssize_t sent = send(l->fd, in.p, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent <= 0)
			return SP_OK; /* full: libssh reads first */
		*moved_r = true;
		int rc = sp_drop(s, side, (size_t)sent);
		if (rc != SP_OK)
			return rc;
		if (sent < n && l->guard.at != GUARD_OPEN)
			return ssh_fail(s, SP_EINTERNAL, "a packet before the keys did not fit");
	}
	return SP_OK;
}

int
leg_take(struct sp_session *s, enum sp_side side, bool *moved_r)
{
	static uint8_t space[64u << 10]; /* the module runs in one thread, and never twice at once */
	struct leg *l = &((struct ssh *)sp_state(s))->leg[side];
	while (l->fd >= 0 && !sp_full(s, side)) {
		ssize_t n = recv(l->fd, space, sizeof(space), MSG_DONTWAIT);
		if (n <= 0)
			break;
		*moved_r = true;
		int rc = l->gone ? SP_OK : sp_put(s, side, (struct sp_bytes){ space, (size_t)n });
		if (rc != SP_OK)
			return rc;
	}
	if (l->ssh != NULL && (ssh_get_poll_flags(l->ssh) & SSH_WRITE_PENDING) == 0 && !sp_full(s, side)) {
		*moved_r = *moved_r || l->unsent >= UNSENT; /* who waited for room has it now */
		l->unsent = 0;
	}
	return SP_OK;
}

size_t
leg_room(struct ssh *h, enum sp_side side, ssh_channel to)
{
	size_t window = ssh_channel_window_size(to), left = h->leg[side].unsent < UNSENT ? UNSENT - h->leg[side].unsent : 0;
	size_t room = window < left ? window : left;
	return room < CHUNK ? room : CHUNK;
}

static bool
is_gcm(const char *cipher)
{
	return cipher != NULL && strstr(cipher, "-gcm@") != NULL;
}

int
leg_check(struct sp_session *s, enum sp_side side)
{
	struct leg *l = &((struct ssh *)sp_state(s))->leg[side];
	if (l->guard.strict || (is_gcm(ssh_get_cipher_in(l->ssh)) && is_gcm(ssh_get_cipher_out(l->ssh))))
		return SP_OK;
	return ssh_fail(s, SP_EPROTO, "the %s does no strict key exchange (CVE-2023-48795), and no AES-GCM either: it has to be updated",
	    side == SP_CLIENT ? "client" : "target");
}
