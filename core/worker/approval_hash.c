/* SPDX-License-Identifier: Apache-2.0 */
/* See approval_hash.h. */
#include <config.h>

#include "approval_hash.h"

static void
hash_number(struct digest *d, size_t n)
{
	uint8_t number[4];
	struct sp_writer w = sp_writer(number, sizeof(number));
	sp_wr_be32(&w, (uint32_t)n);
	digest_add_part(d, sp_written(&w));
}

static void
hash_meanings(struct digest *d, const struct shape *shape)
{
	hash_number(d, shape->nmeanings);
	for (size_t i = 0; i < shape->nmeanings; i++) {
		digest_add_part(d, sp_str(shape->meaning[i].name));
		digest_add_part(d, shape->meaning[i].value);
	}
}

void
approval_hash(const struct sp_op *op, const struct approval_rule *a, uint8_t out[DIGEST_LEN])
{
	const struct sp_session *s = op->s;
	const struct principal *p = &s->principal;
	const char *const always[] = { p->issuer, p->subject, s->target_name, s->part, s->login };
	struct digest *d = digest_begin();
	digest_add_part(d, SP_LIT("sallyport approval 2"));
	digest_add_part(d, a->next_run ? SP_LIT("next run") : SP_LIT("this session"));
	digest_add_part(d, op->op.shape->text);
	hash_meanings(d, op->op.shape);
	hash_number(d, op->op.nparams);
	for (unsigned i = 0; i < op->op.nparams; i++) {
		const struct param *v = &op->op.param[i];
		uint8_t head[7];
		struct sp_writer w = sp_writer(head, sizeof(head));
		sp_wr_be32(&w, v->type);
		sp_wr_be16(&w, v->format);
		sp_wr_u8(&w, v->null);
		digest_add_part(d, sp_written(&w));
		digest_add_part(d, v->value);
	}
	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
		digest_add_part(d, sp_str(always[i]));
	for (size_t i = 0; i < s->nfacts; i++) {
		/* What a client calls itself changes nothing of what is done. */
		if (strcmp(s->fact[i].name, "application_name") == 0 || (a->next_run && strcmp(s->fact[i].name, "transaction") == 0))
			continue;
		digest_add_part(d, sp_str(s->fact[i].name));
		digest_add_part(d, s->fact[i].value);
	}
	if (!a->next_run) {
		digest_add_part(d, (struct sp_bytes){ s->id, ID_LEN });
		digest_add_part(d, sp_str(p->token));
	}
	digest_add_part(d, (struct sp_bytes){ a->hash, sizeof(a->hash) });
	digest_end(&d, out);
}

const struct approval_rule *
approval_missing(const struct sp_op *op, const struct decision *d)
{
	uint8_t hash[DIGEST_LEN];
	for (size_t i = 0; i < d->napprovals; i++) {
		bool have = false;
		if (op_napproved(op) > 0)
			approval_hash(op, &d->approval[i], hash);
		for (unsigned k = 0; k < op_napproved(op); k++)
			have = have || memcmp(op->approvals->had[k], hash, DIGEST_LEN) == 0;
		if (!have)
			return &d->approval[i];
	}
	return NULL;
}
