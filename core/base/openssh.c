/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See openssh.h.
 *
 *   "-----BEGIN OPENSSH PRIVATE KEY-----", lines of base64, "-----END …"      (PROTOCOL.key of OpenSSH)
 *   "openssh-key-v1\0" | string cipher | string kdf | string options | u32 keys | string public key | what is secret
 */
#include <config.h>

#include "openssh.h"

#include <string.h>

#include "digest.h"

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END "-----END "
#define KEY_MAX 16384u

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

/* All of it is base64 in lines. */
static int
unarmour(struct sp_bytes file, struct buffer *out)
{
	char text[KEY_MAX];
	size_t n = 0;
	const uint8_t *begin = memmem(file.p, file.len, BEGIN, strlen(BEGIN));
	if (begin == NULL || file.len > KEY_MAX)
		return SP_EPROTO;
	struct sp_reader r = sp_reader(file);
	(void)sp_rd_take(&r, (size_t)(begin - file.p) + strlen(BEGIN));
	const uint8_t *end = memmem(r.p, r.left, END, strlen(END));
	struct sp_bytes body = sp_rd_take(&r, end == NULL ? 0 : (size_t)(end - r.p));
	for (size_t i = 0; i < body.len; i++) {
		char c = (char)body.p[i];
		if (c > ' ' && c != '=')
			text[n++] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	int rc = text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, out);
	mem_wipe(text, sizeof(text));
	return rc;
}

int
openssh_public(struct sp_bytes file, struct buffer *line)
{
	struct buffer key = { 0 };
	int rc = unarmour(file, &key);
	struct sp_reader r = sp_reader(buffer_bytes(&key));
	bool fits = rc == SP_OK && sp_bytes_is(sp_rd_cstr(&r), "openssh-key-v1");
	for (unsigned i = 0; i < 3; i++)
		(void)rd_string(&r);
	fits = sp_rd_be32(&r) == 1 && fits;
	struct sp_bytes public = rd_string(&r);
	struct sp_reader p = sp_reader(public);
	struct sp_bytes kind = rd_string(&p);
	rc = fits && !r.bad && !p.bad && kind.len < 64 ? buffer_printf(line, "%.*s ", (int)kind.len, (const char *)kind.p) : SP_EPROTO;
	if (rc == SP_OK)
		rc = text_base64(public, line);
	buffer_free(&key); /* and wiped */
	return rc;
}
