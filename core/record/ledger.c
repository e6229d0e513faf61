/* SPDX-License-Identifier: Apache-2.0 */
/* Ledger entries: bytes, hashes, signatures. */
#include "recording.h"

static const char *const kind_names[] = {
	[0] = "none", [LEDGER_OPEN] = "open", [LEDGER_CHECKPOINT] = "checkpoint", [LEDGER_CLOSE] = "close",
	[LEDGER_TORN] = "torn", [LEDGER_TOMBSTONE] = "tombstone",
};
_Static_assert(sizeof(kind_names) / sizeof(*kind_names) == LEDGER_TOMBSTONE + 1, "a name per kind");

const char *
ledger_kind_name(unsigned kind)
{
	return kind <= LEDGER_TOMBSTONE ? kind_names[kind] : "unknown";
}

void
ledger_encode(const struct ledger_entry *e, uint8_t out[LEDGER_ENTRY])
{
	struct sp_writer w = sp_writer(out, LEDGER_ENTRY);
	sp_wr_be64(&w, e->number);
	sp_wr_u8(&w, (uint8_t)e->kind);
	sp_wr_put(&w, (struct sp_bytes){ e->session, ID_LEN });
	sp_wr_be32(&w, e->blocks);
	sp_wr_be32(&w, e->frames);
	sp_wr_be64(&w, e->bytes);
	sp_wr_put(&w, (struct sp_bytes){ e->chain, DIGEST_LEN });
	sp_wr_be64(&w, e->wall);
	sp_wr_put(&w, (struct sp_bytes){ e->previous, DIGEST_LEN });
	sp_wr_put(&w, (struct sp_bytes){ e->signature, SIGNATURE_LEN });
}

static void
read_array(struct sp_reader *r, uint8_t *into, size_t n)
{
	struct sp_bytes b = sp_rd_take(r, n);
	if (b.len == n)
		memcpy(into, b.p, n);
}

int
ledger_decode(struct sp_bytes in, struct ledger_entry *e_r)
{
	struct sp_reader r = sp_reader(in);
	*e_r = (struct ledger_entry){ 0 };
	e_r->number = sp_rd_be64(&r);
	unsigned kind = sp_rd_u8(&r);
	read_array(&r, e_r->session, ID_LEN);
	e_r->blocks = sp_rd_be32(&r);
	e_r->frames = sp_rd_be32(&r);
	e_r->bytes = sp_rd_be64(&r);
	read_array(&r, e_r->chain, DIGEST_LEN);
	e_r->wall = sp_rd_be64(&r);
	read_array(&r, e_r->previous, DIGEST_LEN);
	read_array(&r, e_r->signature, SIGNATURE_LEN);
	if (!sp_rd_done(&r) || kind < LEDGER_OPEN || kind > LEDGER_TOMBSTONE)
		return SP_EPROTO;
	e_r->kind = (enum ledger_kind)kind;
	return SP_OK;
}

void
ledger_first(const uint8_t public_key[32], uint8_t out[DIGEST_LEN])
{
	struct digest *d = digest_begin();
	digest_add(d, SP_LIT("sallyport ledger 1"));
	digest_add(d, (struct sp_bytes){ public_key, 32 });
	digest_end(&d, out);
}

void
ledger_hash(const uint8_t entry[LEDGER_ENTRY], uint8_t out[DIGEST_LEN])
{
	digest_sha256((struct sp_bytes){ entry, LEDGER_ENTRY }, out);
}

bool
ledger_signed_by(const uint8_t entry[LEDGER_ENTRY], const uint8_t public_key[32])
{
	return digest_verify(public_key, (struct sp_bytes){ entry, LEDGER_SIGNED }, entry + LEDGER_SIGNED);
}
