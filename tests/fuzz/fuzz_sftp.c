/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SFTP packets of either side, the first byte says which.  A request that is understood is, written anew,
 * the same bytes (P4); a clean path stays as it is, and nothing in it leads anywhere else.
 */
#include <stdlib.h>

#include "modules/ssh/sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool true_here)
{
	if (!true_here)
		abort();
}

/* A part of this name, "" for two slashes in a row. */
static bool
has(struct sp_bytes path, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 1; path.len > 1 && i + n <= path.len; i++)
		if (path.p[i - 1] == '/' && memcmp(path.p + i, name, n) == 0 && (i + n == path.len || path.p[i + n] == '/'))
			return true;
	return false;
}

static void
clean(struct sp_bytes path)
{
	static uint8_t one[SFTP_PATH_MAX], two[SFTP_PATH_MAX];
	struct sp_bytes c = sftp_clean_path(SP_LIT("/home/ann"), path, one);
	if (c.len == 0)
		return;
	must(c.p[0] == '/' && memchr(c.p, 0, c.len) == NULL && !has(c, "") && !has(c, "..") && !has(c, "."));
	struct sp_bytes again = sftp_clean_path(SP_LIT("/elsewhere"), c, two);
	must(sp_bytes_eq(c, again));
}

static void
request(struct sp_bytes packet)
{
	static uint8_t space[2 * SFTP_PACKET_MAX];
	struct sftp_request q;
	if (!sftp_read_request(packet, &q) || !q.known)
		return;
	clean(q.path);
	clean(q.to);
	if (q.type == FXP_INIT)
		return; /* a client's extensions are dropped */
	struct sp_writer w = sp_writer(space, sizeof(space));
	sftp_write_request(&w, &q, q.path, q.to);
	must(!w.bad && sp_bytes_eq(sp_written(&w), packet));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct sp_bytes in = { data + 1, size - 1 };
	size_t want = 0;
	long n = sftp_packet(in, &want);
	must(n <= (long)in.len && (n != 0 || want > in.len));
	while (n > 0) {
		struct sftp_reply y;
		struct sp_bytes packet = { in.p, (size_t)n };
		if (data[0] & 1)
			(void)sftp_read_reply(packet, &y);
		else
			request(packet);
		in.p += n;
		in.len -= (size_t)n;
		n = sftp_packet(in, &want);
	}
	return 0;
}
