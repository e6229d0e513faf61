/* SPDX-License-Identifier: Apache-2.0 */
/* Marks and seals of rows. */
#include <config.h>

#include "row.h"

#include "../base/aead.h"
#include "../base/log.h"

void
row_mac(const struct keys *k, const char *table, const char *types, const struct field *column, uint8_t mac_r[DIGEST_LEN])
{
	uint8_t key[DIGEST_LEN];
	struct buffer all = { 0 };
	struct sp_writer w = buffer_writer(&all);
	keys_derive(k, "row", sp_str(table), key);
	for (size_t i = 0; types[i] != '\0'; i++) {
		sp_wr_u8(&w, (uint8_t)types[i]);
		if (types[i] == 'q') {
			sp_wr_be64(&w, column[i].q);
			continue;
		}
		sp_wr_be64(&w, column[i].s.len);
		sp_wr_put(&w, column[i].s);
	}
	if (buffer_written(&all, &w) != SP_OK) {
		/* A mark that is not of the row would be worse than none: this one fits nothing. */
		random_bytes(mac_r, DIGEST_LEN);
	} else {
		digest_hmac((struct sp_bytes){ key, sizeof(key) }, buffer_bytes(&all), mac_r);
	}
	mem_wipe(key, sizeof(key));
	buffer_free(&all);
}

bool
row_good(const struct keys *k, const char *table, const char *types, const struct field *column, struct sp_bytes mac)
{
	uint8_t own[DIGEST_LEN];
	row_mac(k, table, types, column, own);
	if (mac.len == DIGEST_LEN && mem_equal(mac, (struct sp_bytes){ own, sizeof(own) }))
		return true;
	log_error("a row of the store's table %s was not written by this keeper, or was altered since: it is refused", table);
	return false;
}

int
row_copy(struct arena *a, const char *types, const struct field *row, struct field *column_r)
{
	for (size_t i = 0; types[i] != '\0'; i++) {
		column_r[i] = row[i];
		if (types[i] == 'q')
			continue;
		column_r[i].s.p = (const uint8_t *)arena_string(a, row[i].s);
		if (column_r[i].s.p == NULL)
			return SP_ENOMEM;
	}
	return SP_OK;
}

int
row_seal(const struct keys *k, const char *table, struct sp_bytes id, struct sp_bytes value, struct buffer *out)
{
	uint8_t key[AEAD_KEY];
	keys_derive(k, "seal", sp_str(table), key);
	int rc = aead_seal(key, id, value, out);
	mem_wipe(key, sizeof(key));
	return rc;
}

int
row_open(const struct keys *k, const char *table, struct sp_bytes id, struct sp_bytes sealed, struct buffer *out)
{
	uint8_t key[AEAD_KEY];
	keys_derive(k, "seal", sp_str(table), key);
	int rc = aead_open(key, id, sealed, out);
	mem_wipe(key, sizeof(key));
	return rc;
}
