/* SPDX-License-Identifier: Apache-2.0 */
/* See scp.h: the protocol of rcp, as OpenSSH's scp.c speaks it. */
#include "scp.h"

static const struct sp_bytes nothing;

/* Digits, up to a space: *r_ends behind it. */
static bool
rd_number(struct sp_reader *r, unsigned base, uint64_t *n_r)
{
	const struct sp_bytes digits = sp_rd_until(r, ' ');
	*n_r = 0;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.p[i] < '0' || digits.p[i] >= '0' + base || digits.len > 18)
			return false;
		*n_r = *n_r * base + (unsigned)(digits.p[i] - '0');
	}
	return !r->bad && digits.len > 0;
}

/* "T1700000000 0 1700000000 0\n", "E\n": nothing that could be more than that passes as it is. */
static int
bare_line(const struct scp_stream *x, struct sp_writer *out)
{
	uint8_t numbers[80];
	uint64_t n;
	bool good = x->line[0] == 'E' ? x->len == 2 : x->len <= sizeof(numbers);
	if (good && x->line[0] == 'T') {
		memcpy(numbers, x->line + 1, x->len - 2);
		numbers[x->len - 2] = ' '; /* behind the last one, too */
		struct sp_reader r = sp_reader((struct sp_bytes){ numbers, x->len - 1 });
		for (unsigned i = 0; i < 4 && good; i++)
			good = rd_number(&r, 10, &n);
		good = good && r.left == 0;
	}
	if (good)
		sp_wr_put(out, (struct sp_bytes){ x->line, x->len });
	return good ? SP_OK : SP_EPROTO;
}

/* "C0644 12 name\n", "D0755 0 name\n": numbers as they are, the name looked through. */
static int
named_line(struct scp_stream *x, struct sp_filter *filter, struct sp_writer *out)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ x->line, x->len - 1 });
	uint64_t mode, length;
	(void)sp_rd_u8(&r);
	if (!rd_number(&r, 8, &mode) || !rd_number(&r, 10, &length) || r.left == 0)
		return SP_EPROTO;
	if (x->line[0] == 'C') {
		x->at = SCP_AT_BODY;
		x->left = length;
	}
	sp_wr_put(out, (struct sp_bytes){ x->line, x->len - 1 - r.left });
	int rc = sp_filter_feed(filter, sp_rd_rest(&r), true, out);
	sp_wr_u8(out, '\n');
	return rc;
}

static int
end_of_line(struct scp_stream *x, struct sp_filter *filter, struct sp_writer *out)
{
	const uint8_t first = x->line[0];
	x->at = SCP_AT_LINE;
	if (first == 'C' || first == 'D')
		return named_line(x, filter, out);
	if (first != 1 && first != 2 && first != 'T' && first != 'E')
		return SP_EPROTO;
	if (first == 'T' || first == 'E')
		return bare_line(x, out);
	sp_wr_u8(out, first);
	return sp_filter_feed(filter, (struct sp_bytes){ x->line + 1, x->len - 1 }, true, out);
}

static int
take_line(struct scp_stream *x, struct sp_filter *filter, struct sp_reader *r, struct sp_writer *out)
{
	const uint8_t b = sp_rd_u8(r);
	if (x->at == SCP_AT_STATUS && x->len == 0 && b == 0) {
		x->at = SCP_AT_LINE;
		sp_wr_u8(out, 0);
		return SP_OK;
	}
	if (x->len == sizeof(x->line) || (x->at == SCP_AT_STATUS && x->len == 0 && b > 2))
		return SP_EPROTO;
	x->line[x->len++] = b;
	if (b != '\n')
		return SP_OK;
	int rc = end_of_line(x, filter, out);
	x->len = 0;
	return rc;
}

static int
take_body(struct scp_stream *x, struct sp_filter *filter, struct sp_reader *r, struct sp_writer *out)
{
	const struct sp_bytes some = sp_rd_take(r, x->left < r->left ? (size_t)x->left : r->left);
	x->left -= some.len;
	if (x->left == 0)
		x->at = SCP_AT_STATUS;
	return sp_filter_feed(filter, some, x->left == 0, out);
}

int
scp_feed(struct scp_stream *x, struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out)
{
	struct sp_reader r = sp_reader(in);
	int rc = SP_OK;
	while (rc == SP_OK && (r.left > 0 || (x->at == SCP_AT_BODY && x->left == 0)))
		rc = x->at == SCP_AT_BODY ? take_body(x, filter, &r, out) : take_line(x, filter, &r, out);
	return rc == SP_OK && last ? sp_filter_feed(filter, nothing, true, out) : rc;
}
