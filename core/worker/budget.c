/* SPDX-License-Identifier: Apache-2.0 */
/* See budget.h. */
#include <config.h>

#include "budget.h"

#include <time.h>

#include "../base/clock.h"
#include "epoch_use.h"
#include "sends.h"

#define WINDOW_MS 1000
#define NOTABLE_US 50000

static uint64_t
thread_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t
budget_begin(struct sp_session *s)
{
	sends_go(s->w->sends);
	return thread_clock();
}

/* ms to wait until this much fits again. */
static uint64_t
spend(struct sp_session *s, const char *issuer, const char *whose, uint64_t us)
{
	const struct board_share share = { s->epoch->epoch->settings.policy.budget * 1000, WINDOW_MS };
	uint8_t hash[DIGEST_LEN], key[16];
	char text[1024];
	int n = snprintf(text, sizeof(text), "budget\n%s\n%s", issuer, whose);
	digest_sha256((struct sp_bytes){ (const uint8_t *)text, n < 0 ? 0 : strnlen(text, sizeof(text)) }, hash);
	memcpy(key, hash, sizeof(key));
	return board_spend(s->w->board, key, &share, us, s->w->now);
}

void
budget_charge(struct sp_session *s, uint64_t since)
{
	uint64_t used = thread_clock() - since;
	if (used > NOTABLE_US && s->w->board != NULL) /* several of them in one turn are work, not a worker that is stuck */
		board_beat(s->w->board, s->w->board_slot, clock_mono_ms());
	if (s->purpose[0] != '\0' || s->principal.subject == NULL || s->w->board == NULL || s->epoch->epoch->settings.policy.budget == 0)
		return;
	uint64_t wait = spend(s, s->principal.issuer, s->principal.subject, used);
	if (wait == 0)
		return;
	if (!budget_waits(s))
		sp_log(s, SP_INFO, "its statements took too long to judge: the client waits for %llu ms", (unsigned long long)wait);
	s->paused_until = s->w->now + wait;
}
