/* SPDX-License-Identifier: Apache-2.0 */
/* See masked.h. */
#include "masked.h"

#include <stdlib.h>

int
masked_begin(struct sp_op *op, struct masked **m_r)
{
	struct sp_filter *filter;
	*m_r = NULL;
	int rc = sp_file_filter(op, false, &filter);
	if (rc != SP_OK || filter == NULL)
		return rc;
	struct masked *m = calloc(1, sizeof(*m));
	if (m == NULL) {
		sp_filter_free(&filter);
		return SP_ENOMEM;
	}
	m->filter = filter;
	sha256_init(&m->theirs);
	*m_r = m;
	return SP_OK;
}

enum masked_answer
masked_read(const struct masked *m, uint64_t offset, uint32_t length, struct sp_bytes *data_r)
{
	const size_t want = length < MASKED_MOST ? length : MASKED_MOST;
	*data_r = (struct sp_bytes){ m->out, m->len < want ? m->len : want };
	if (m->ended && offset >= m->at + m->len)
		return m->status == 0 ? MASKED_END : MASKED_FAILED;
	if (offset != m->at || want == 0)
		return MASKED_REFUSED;
	return m->len >= want || m->ended ? MASKED_DATA : MASKED_WAIT;
}

void
masked_given(struct masked *m, size_t n)
{
	m->at += n;
	m->len -= n;
	memmove(m->out, m->out + n, m->len);
}

static int
grow(struct sp_writer *w, size_t more)
{
	size_t cap = w->cap == 0 ? MASKED_READ : w->cap;
	while (cap - w->len < more)
		cap *= 2;
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL)
		return SP_ENOMEM;
	w->p = p;
	w->cap = cap;
	return SP_OK;
}

int
masked_take(struct masked *m, struct sp_bytes data, uint32_t status)
{
	struct sp_writer w = { .p = m->out, .len = m->len, .cap = m->cap, .grow = grow };
	m->waiting = false;
	m->ended = data.len == 0;
	m->status = status;
	m->asked += data.len;
	sha256_update(&m->theirs, data.len, data.p);
	int rc = sp_filter_feed(m->filter, data, m->ended, &w);
	m->out = w.p;
	m->cap = w.cap;
	m->len = w.len;
	if (rc == SP_OK && (w.bad || (m->ended && m->at + m->len != m->asked)))
		rc = SP_EINTERNAL; /* a file would change its length */
	return rc;
}

void
masked_free(struct masked **masked)
{
	struct masked *m = *masked;
	*masked = NULL;
	if (m == NULL)
		return;
	sp_filter_free(&m->filter);
	free(m->out);
	free(m);
}
