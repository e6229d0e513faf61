/* SPDX-License-Identifier: Apache-2.0 */
/* Cancel keys and who tried them. */
#include <config.h>

#include "cancel.h"

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/log.h"

#define BUCKETS 4096
#define ADDRESSES 1024 /* buckets of tries; addresses that share one share its rate */
#define BURST 20
#define PER_SECOND 5

struct cancel_key {
	struct cancel_key *next;
	uint8_t digest[DIGEST_LEN];
	struct live *s;
};

struct tries {
	uint64_t at; /* mono ms */
	uint32_t left;
};

struct cancels {
	uint8_t key[DIGEST_LEN];
	struct cancel_key *bucket[BUCKETS];
	struct tries tries[ADDRESSES];
};

void
cancel_open(struct keeper *k)
{
	k->cancels = mem_alloc(sizeof(*k->cancels));
	random_bytes(k->cancels->key, DIGEST_LEN);
}

void
cancel_close(struct keeper *k)
{
	free(k->cancels);
	k->cancels = NULL;
}

static struct sp_bytes
own_key(const struct keeper *k)
{
	return (struct sp_bytes){ k->cancels->key, DIGEST_LEN };
}

static int
digest_of(const struct keeper *k, uint64_t pid, struct sp_bytes secret, uint8_t out[DIGEST_LEN])
{
	uint8_t text[8 + 64];
	struct sp_writer w = sp_writer(text, sizeof(text));
	sp_wr_be64(&w, pid);
	sp_wr_put(&w, secret);
	if (w.bad || secret.len < 4)
		return SP_EPROTO;
	digest_hmac(own_key(k), sp_written(&w), out);
	mem_wipe(text, sizeof(text));
	return SP_OK;
}

static struct cancel_key **
slot(struct keeper *k, const uint8_t digest[DIGEST_LEN])
{
	struct cancel_key **at = &k->cancels->bucket[(digest[0] << 8 | digest[1]) % BUCKETS];
	while (*at != NULL && memcmp((*at)->digest, digest, DIGEST_LEN) != 0)
		at = &(*at)->next;
	return at;
}

int
cancel_key(struct keeper *k, struct link *l, struct message *m)
{
	struct live *s = live_of(k, m->f[0].s, l);
	uint8_t digest[DIGEST_LEN];
	if (s == NULL || s->side)
		return SP_OK;
	if (digest_of(k, m->f[1].q, m->f[2].s, digest) != SP_OK)
		return SP_EPROTO;
	cancel_forget(k, s);
	struct cancel_key **at = slot(k, digest);
	if (*at != NULL) {
		log_warn("session %s has the cancel key of another: neither can be cancelled by it", s->name);
		cancel_forget(k, (*at)->s);
		return SP_OK;
	}
	*at = mem_alloc(sizeof(**at));
	memcpy((*at)->digest, digest, DIGEST_LEN);
	(*at)->s = s;
	s->cancel = *at;
	return SP_OK;
}

void
cancel_forget(struct keeper *k, struct live *s)
{
	if (s->cancel == NULL)
		return;
	struct cancel_key **at = slot(k, s->cancel->digest);
	struct cancel_key *gone = *at;
	*at = gone->next;
	s->cancel = NULL;
	mem_wipe(gone, sizeof(*gone));
	free(gone);
}

/* A bucket of BURST tries that fills at PER_SECOND. */
static bool
may_try(struct keeper *k, struct sp_bytes address)
{
	uint8_t digest[DIGEST_LEN];
	char host[64] = { 0 };
	struct arena *a = arena_new(4096);
	const char *text = a == NULL ? NULL : live_host(a, address);
	(void)strncpy(host, text == NULL ? "" : text, sizeof(host) - 1);
	arena_free(&a);
	digest_hmac(own_key(k), sp_str(host), digest);
	struct tries *t = &k->cancels->tries[(digest[0] << 8 | digest[1]) % ADDRESSES];
	uint64_t now = clock_mono_ms(), more = (now - t->at) * PER_SECOND / 1000;
	if (t->at == 0 || more >= BURST) {
		*t = (struct tries){ now, BURST };
	} else if (more > 0) {
		t->left = t->left + more > BURST ? BURST : t->left + (uint32_t)more;
		t->at = now;
	}
	if (t->left == 0)
		return false;
	t->left--;
	return true;
}

int
cancel_request(struct keeper *k, struct link *l, struct message *m)
{
	uint8_t digest[DIGEST_LEN];
	(void)l;
	if (!may_try(k, m->f[0].s)) {
		log_debug("cancel requests from %s come too fast", log_quote(m->f[0].s));
		return SP_OK;
	}
	if (digest_of(k, m->f[1].q, m->f[2].s, digest) != SP_OK)
		return SP_OK;
	const struct cancel_key *found = *slot(k, digest);
	if (found == NULL) {
		log_info("a cancel request from %s has a key of no session", log_quote(m->f[0].s));
		return SP_OK;
	}
	const struct message told = { .type = MSG_CANCELLED, .f = { S(((struct sp_bytes){ found->s->id, ID_LEN })) } };
	reply(k, found->s->worker->link, &told);
	return SP_OK;
}
