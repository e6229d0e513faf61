/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often an address may try to sign in, or show a proof that is refused: a bucket for each.
 *
 * It holds BURST at once and gets one back every second.  There is room for PLACES addresses; who comes
 * when all near its place are taken has the place of who owes the least.
 */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "console.h"

#define PLACES 4096u
#define NEAR 8u
#define BURST 120u

struct bucket {
	uint8_t net[16];
	uint64_t since; /* mono s: as of when */
	unsigned owed;
};

struct attempts {
	uint8_t key[16]; /* so that nobody chooses its neighbours */
	struct bucket place[PLACES];
};

static unsigned
owed_now(const struct bucket *b, uint64_t now)
{
	uint64_t paid = now - b->since;
	return paid >= b->owed ? 0 : b->owed - (unsigned)paid;
}

static struct bucket *
bucket_of(struct attempts *a, const struct visitor *v, uint64_t now)
{
	uint8_t hash[DIGEST_LEN];
	struct bucket *least = NULL;
	digest_hmac((struct sp_bytes){ a->key, sizeof(a->key) }, (struct sp_bytes){ v->net, sizeof(v->net) }, hash);
	unsigned first = ((unsigned)hash[0] << 8 | hash[1]) % PLACES;
	for (unsigned i = 0; i < NEAR; i++) {
		struct bucket *b = &a->place[(first + i) % PLACES];
		if (memcmp(b->net, v->net, sizeof(b->net)) == 0)
			return b;
		if (least == NULL || owed_now(b, now) < owed_now(least, now))
			least = b;
	}
	*least = (struct bucket){ .since = now };
	memcpy(least->net, v->net, sizeof(least->net));
	return least;
}

bool
attempts_charge(struct console *c, const struct visitor *v, unsigned cost, unsigned *seconds_r)
{
	uint64_t now = clock_mono_ms() / 1000;
	*seconds_r = 0;
	if (v == NULL) /* at the control socket the kernel has said who it is */
		return true;
	if (c->attempts == NULL) {
		c->attempts = mem_alloc(sizeof(*c->attempts));
		random_bytes(c->attempts->key, sizeof(c->attempts->key));
	}
	struct bucket *b = bucket_of(c->attempts, v, now);
	unsigned owed = owed_now(b, now);
	unsigned wanted = owed + (cost == 0 ? ATTEMPTS_SIGN_IN : cost);
	if (wanted > BURST) {
		*seconds_r = wanted - BURST;
		return false;
	}
	b->owed = owed + cost;
	b->since = now;
	return true;
}

void
attempts_free(struct attempts **a)
{
	free(*a);
	*a = NULL;
}
