/* SPDX-License-Identifier: Apache-2.0 */
/* What a role of ours is called, and the comment by which it is known again. */
#include <config.h>

#include "lend.h"

#include <stdio.h>

enum { USER_LETTERS = 20, MAC_BYTES = 16 };

void
role_name_new(const char *user, char out[ROLE_NAME])
{
	uint8_t id[ID_LEN];
	char random[ID_TEXT], letters[USER_LETTERS + 2] = "";
	size_t n = 0;
	for (const char *p = user; *p != '\0' && n < USER_LETTERS; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			letters[n++] = c;
	}
	if (n > 0)
		letters[n] = '_';
	id_new(id);
	(void)snprintf(out, ROLE_NAME, LEND_PREFIX "%s%.20s", letters, id_format(id, random));
}

static void
mac(const uint8_t key[DIGEST_LEN], const char *role, const char *target, const char *session, char out[2 * MAC_BYTES + 1])
{
	const char *const part[] = { "sallyport lend 1", role, target, session };
	uint8_t sum[DIGEST_LEN];
	struct buffer b = { 0 };
	int rc = SP_OK;
	for (size_t i = 0; i < sizeof(part) / sizeof(*part) && rc == SP_OK; i++)
		rc = buffer_put(&b, (struct sp_bytes){ (const uint8_t *)part[i], strlen(part[i]) + 1 });
	/* Half of it is enough; out of memory nothing is ours. */
	digest_hmac((struct sp_bytes){ key, DIGEST_LEN }, rc == SP_OK ? buffer_bytes(&b) : SP_LIT(""), sum);
	text_hex((struct sp_bytes){ sum, MAC_BYTES }, out);
	buffer_free(&b);
}

void
mark_format(const uint8_t key[DIGEST_LEN], const char *role, const char *target, const char *session, char out[MARK_TEXT + 256])
{
	char sum[2 * MAC_BYTES + 1];
	mac(key, role, target, session, sum);
	(void)snprintf(out, MARK_TEXT + 256, "sallyport 1 %.250s %s %s", target, session, sum);
}

bool
mark_read(const uint8_t key[DIGEST_LEN], const char *role, const char *target, const char *mark, char session_r[ID_TEXT])
{
	char want[MARK_TEXT + 256];
	size_t n = strlen(mark), tail = ID_TEXT - 1 + 1 + 2 * MAC_BYTES;
	session_r[0] = '\0';
	if (strncmp(role, LEND_PREFIX, sizeof(LEND_PREFIX) - 1) != 0 || n <= tail || mark[n - tail - 1] != ' ')
		return false;
	memcpy(session_r, mark + n - tail, ID_TEXT - 1);
	session_r[ID_TEXT - 1] = '\0';
	mark_format(key, role, target, session_r, want);
	return mem_equal(sp_str(want), sp_str(mark));
}
