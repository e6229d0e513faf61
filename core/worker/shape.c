/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes: texts, analysed, and remembered by text.
 *
 *   text ─ seen before? ─▶ its shape
 *        └ another with the same skeleton, of which nothing said depends on literals? ─▶ like that one's
 *          └ classify() ─▶ a new shape, which may be a model for others
 *
 * Nothing is looked up by hash alone: every hit compares the whole key.  Both tables of a generation are
 * dropped together when full, after one more life as the old generation; models are dropped all at once.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "budget.h"
#include "epoch_use.h"
#include "operation.h"

#define SHAPES 4096              /* buckets of a generation, and how many it may hold */
#define MODELS 1024
#define LITERALS 64              /* of a text that is like others */
#define LIKE_MAX 4096u           /* its length */

/* ---- hashing: fast, keyed by a random seed ---- */

uint64_t
shape_hash(struct sp_bytes b, uint64_t seed)
{
	static uint64_t key;
	if (key == 0) {
		random_bytes(&key, sizeof(key));
		key |= 1;
	}
	uint64_t h = seed ^ key, v;
	for (; b.len >= 8; b.p += 8, b.len -= 8) {
		memcpy(&v, b.p, 8);
		h = (h ^ v) * 0x9fb21c651e98df25u;
		h ^= h >> 29;
	}
	v = b.len;
	memcpy(&v, b.p == NULL ? (const uint8_t *)"" : b.p, b.len < 7 ? b.len : 7);
	h = (h ^ v ^ (uint64_t)b.len << 56) * key;
	return h ^ h >> 32;
}

/* ---- shapes ---- */

struct kept_shape {
	struct kept_shape *next;
	struct shape *shape;
	const void *conf;
	uint64_t version, epoch, hash; /* epoch: where conf is */
};

static struct generation {
	struct kept_shape *bucket[SHAPES];
	size_t n, bytes;
} young, old;

static void
generation_clear(struct generation *g)
{
	for (size_t i = 0; i < SHAPES; i++) {
		for (struct kept_shape *k = g->bucket[i], *next; k != NULL; k = next) {
			next = k->next;
			shape_free(&k->shape);
			free(k);
		}
	}
	memset(g, 0, sizeof(*g));
}

/* A text means what its kind says; one that is prepared is the one that is run. */
static bool
kind_reads_alike(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	return kind_is_prepare(a) != kind_is_prepare(b) && strncmp(a, b, strcspn(a, ".") + 1) == 0;
}

static struct kept_shape **
generation_find(struct generation *g, const struct sp_session *s, const char *kind, struct sp_bytes text, uint64_t hash)
{
	struct kept_shape **at = &g->bucket[hash % SHAPES];
	for (; *at != NULL; at = &(*at)->next) {
		const struct kept_shape *k = *at;
		if (k->hash == hash && k->version == s->view_version && k->conf == s->conf &&
		    k->epoch == s->dialled->epoch->number && k->shape->module == s->module && sp_bytes_eq(k->shape->text, text) &&
		    kind_reads_alike(k->shape->kind, kind))
			return at;
	}
	return NULL;
}

static void
generation_add(struct generation *g, struct kept_shape *k)
{
	k->next = g->bucket[k->hash % SHAPES];
	g->bucket[k->hash % SHAPES] = k;
	g->n++;
	g->bytes += k->shape->text.len + 512;
}

/* ---- models ---- */

struct model {
	struct model *next;
	struct shape *shape;
	const void *conf;
	uint64_t version, epoch, hash;
	struct sp_bytes key;
	struct sp_span span[LITERALS];
	size_t nspans;
};

static struct {
	struct model *bucket[MODELS];
	size_t n;
} models;

struct skeleton {
	uint8_t key[2 * LIKE_MAX];
	size_t len;
	struct sp_span span[LITERALS];
	size_t nspans;
	uint64_t hash;
};

/* False: no other text is like this one. */
static bool
skeleton_of(const struct sp_session *s, struct sp_bytes text, struct skeleton *k)
{
	struct sp_writer w = sp_writer(k->key, sizeof(k->key));
	long n = s->module->skeleton == NULL || text.len > LIKE_MAX ? -1 : s->module->skeleton(text, &w, k->span, LITERALS);
	if (n <= 0 || w.bad)
		return false;
	k->nspans = (size_t)n;
	k->len = w.len;
	k->hash = shape_hash((struct sp_bytes){ k->key, k->len }, s->view_version ^ (uintptr_t)s->conf);
	return true;
}

static struct model *
model_find(const struct sp_session *s, const struct skeleton *k)
{
	struct model *m = models.bucket[k->hash % MODELS];
	while (m != NULL && !(m->hash == k->hash && m->version == s->view_version && m->conf == s->conf &&
	    m->epoch == s->dialled->epoch->number && m->shape->module == s->module && sp_bytes_eq(m->key, (struct sp_bytes){ k->key, k->len })))
		m = m->next;
	return m;
}

static void
models_clear(void)
{
	for (size_t i = 0; i < MODELS; i++)
		for (struct model *m = models.bucket[i], *next; m != NULL; m = next) {
			next = m->next;
			shape_free(&m->shape);
			free((void *)(uintptr_t)m->key.p);
			free(m);
		}
	memset(&models, 0, sizeof(models));
}

static void
model_add(const struct sp_session *s, struct shape *shape, const struct skeleton *k)
{
	if (models.n >= MODELS)
		models_clear();
	struct model *m = mem_alloc(sizeof(*m));
	*m = (struct model){ .next = models.bucket[k->hash % MODELS], .shape = shape, .conf = s->conf, .version = s->view_version,
		.epoch = s->dialled->epoch->number, .hash = k->hash, .key = { (uint8_t *)mem_string((struct sp_bytes){ k->key, k->len }), k->len },
		.nspans = k->nspans };
	memcpy(m->span, k->span, k->nspans * sizeof(*k->span));
	shape->refs++;
	models.bucket[k->hash % MODELS] = m;
	models.n++;
}

/* What is taken from a model is what asking would give.  Built with sanitizers, each is asked for. */
static void
like_check(struct sp_session *s, const char *kind, const struct shape *like)
{
#ifdef SANITIZED
	struct sp_scope scope = { s->conf, s->view };
	struct shape *asked = shape_make(s->module, &scope, kind, like->text);
	if (asked != NULL && !shape_equal(asked, like)) {
		log_error("a text is not what others are that differ in literals only");
		abort();
	}
	shape_free(&asked);
#else
	(void)s;
	(void)kind;
	(void)like;
#endif
}

static struct shape *
shape_by_model(struct sp_session *s, const char *kind, struct sp_bytes text, const struct skeleton *k)
{
	struct model *m = model_find(s, k);
	struct shape *shape = m == NULL ? NULL :
	    shape_like(m->shape, (struct spans){ m->span, m->nspans }, text, (struct spans){ k->span, k->nspans });
	if (shape != NULL)
		like_check(s, kind, shape);
	return shape;
}

/* ---- looking up ---- */

static void
shape_keep(struct sp_session *s, struct kept_shape *k)
{
	if (young.n >= SHAPES || young.bytes > s->epoch->epoch->settings.policy.statement_cache / 2) {
		generation_clear(&old);
		old = young;
		memset(&young, 0, sizeof(young));
	}
	generation_add(&young, k);
}

static struct kept_shape *
shape_classify(struct sp_session *s, const char *kind, struct sp_bytes text, uint64_t hash)
{
	struct sp_scope scope = { s->conf, s->view };
	uint64_t since = budget_begin(s);
	struct shape *shape = shape_make(s->module, &scope, kind, text);
	budget_charge(s, since);
	if (shape == NULL)
		return NULL;
	struct kept_shape *k = mem_alloc(sizeof(*k));
	*k = (struct kept_shape){ .shape = shape, .conf = s->conf, .version = s->view_version,
		.epoch = s->dialled->epoch->number, .hash = hash };
	return k;
}

struct shape *
shape_find(struct sp_session *s, const char *kind, struct sp_bytes text)
{
	static struct skeleton skeleton;
	uint64_t hash = shape_hash(text, s->view_version ^ (uintptr_t)s->conf);
	struct kept_shape **at = generation_find(&young, s, kind, text, hash), *k;
	if (at != NULL) {
		(*at)->shape->refs++;
		return (*at)->shape;
	}
	at = generation_find(&old, s, kind, text, hash);
	if (at != NULL) {
		k = *at;
		*at = k->next;
	} else {
		bool like = skeleton_of(s, text, &skeleton);
		struct shape *shape = like ? shape_by_model(s, kind, text, &skeleton) : NULL;
		if (shape != NULL) /* not kept: the next one differs again */
			return shape;
		k = shape_classify(s, kind, text, hash);
		if (k == NULL)
			return NULL;
		if (like && k->shape->alike && !k->shape->failed)
			model_add(s, k->shape, &skeleton);
	}
	shape_keep(s, k);
	k->shape->refs++;
	return k->shape;
}
