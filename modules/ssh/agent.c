/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key that the keeper has, for libssh, which signs with keys that it holds, or by an agent.
 *
 *   pair: [ identities: one ][ failure ]      ─▶ ssh_userauth_agent() fails; what it wanted signed is in the pair
 *   keeper signs it, if it is this log-in and nothing else
 *   pair: [ identities: one ][ signature ]    ─▶ ssh_userauth_agent() again: logged in
 *
 * What is signed depends on nothing but the connection, the login and the key: it is the same both times.  Our end is shut
 * before the second time, so that a question that we did not foresee is an error and no wait.
 */
#include "ssh.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGENT_FAILURE = 5, AGENT_REQUEST_IDENTITIES = 11, AGENT_IDENTITIES = 12, AGENT_SIGN_REQUEST = 13, AGENT_SIGNATURE = 14 };

struct agent {
	int fd;
	uint8_t key[128], asked[4096];
	size_t key_len, asked_len;
	bool answered;
};

static void
put_string(struct sp_writer *w, struct sp_bytes b)
{
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

/* One identity, and the second message. */
static int
say(struct sp_session *s, uint8_t type, struct sp_bytes signature)
{
	struct agent *a = ((struct ssh *)sp_state(s))->agent;
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	sp_wr_be32(&w, (uint32_t)(1 + 4 + 4 + a->key_len + 4));
	sp_wr_u8(&w, AGENT_IDENTITIES);
	sp_wr_be32(&w, 1);
	put_string(&w, (struct sp_bytes){ a->key, a->key_len });
	put_string(&w, (struct sp_bytes){ NULL, 0 });
	sp_wr_be32(&w, (uint32_t)(type == AGENT_FAILURE ? 1 : 1 + 4 + signature.len));
	sp_wr_u8(&w, type);
	if (type != AGENT_FAILURE)
		put_string(&w, signature);
	struct sp_bytes out = sp_written(&w);
	bool sent = !w.bad && send(a->fd, out.p, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.len;
	return sent ? SP_OK : ssh_fail(s, SP_EINTERNAL, "the agent's answers could not be written");
}

int
agent_begin(struct sp_session *s, struct sp_bytes public)
{
	struct ssh *h = sp_state(s);
	int fd[2];
	struct agent *a = h->agent = sp_alloc(s, sizeof(*a));
	if (a == NULL)
		return SP_ENOMEM;
	a->fd = -1;
	if (public.len > sizeof(a->key))
		return ssh_fail(s, SP_EINTERNAL, "the keeper's public key is too long");
	memcpy(a->key, public.p, public.len);
	a->key_len = public.len;
	int rc = sp_descriptors(s, fd);
	if (rc != SP_OK)
		return rc;
	a->fd = fd[0];
	if (ssh_set_agent_socket(h->leg[SP_TARGET].ssh, fd[1]) != SSH_OK) { /* else libssh closes it */
		close(fd[1]);
		return ssh_fail(s, SP_EINTERNAL, "libssh takes no agent");
	}
	return say(s, AGENT_FAILURE, (struct sp_bytes){ NULL, 0 });
}

bool
agent_wanted(struct sp_session *s, struct sp_bytes *what_r)
{
	struct agent *a = ((struct ssh *)sp_state(s))->agent;
	*what_r = (struct sp_bytes){ NULL, 0 };
	if (a->answered)
		return false;
	ssize_t n = recv(a->fd, a->asked, sizeof(a->asked), MSG_DONTWAIT);
	struct sp_reader r = sp_reader((struct sp_bytes){ a->asked, n < 0 ? 0 : (size_t)n });
	struct sp_reader first = sp_reader(sp_rd_take(&r, sp_rd_be32(&r))), second = sp_reader(sp_rd_take(&r, sp_rd_be32(&r)));
	bool both = !r.bad && sp_rd_u8(&first) == AGENT_REQUEST_IDENTITIES && sp_rd_u8(&second) == AGENT_SIGN_REQUEST;
	struct sp_bytes key = sp_rd_take(&second, sp_rd_be32(&second));
	*what_r = sp_rd_take(&second, sp_rd_be32(&second));
	return both && !second.bad && sp_bytes_eq(key, (struct sp_bytes){ a->key, a->key_len });
}

int
agent_answer(struct sp_session *s, struct sp_bytes signature)
{
	struct agent *a = ((struct ssh *)sp_state(s))->agent;
	a->answered = true;
	int rc = say(s, AGENT_SIGNATURE, signature);
	(void)shutdown(a->fd, SHUT_WR);
	return rc;
}

void
agent_end(struct sp_session *s)
{
	struct agent *a = ((struct ssh *)sp_state(s))->agent;
	if (a != NULL && a->fd >= 0)
		close(a->fd);
	if (a != NULL)
		a->fd = -1;
}
