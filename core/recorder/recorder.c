/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing the recorder, and what other processes ask of it. */
#include <config.h>

#include "recorder.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"

#define SETTLE_MS 10000 /* how long a recovered session waits for its ring: master hands it over at once, if it lives */
#define FINISH_MS 3000

int
options_from(const struct settings *s, struct options *o_r, const char **err_r)
{
	*o_r = (struct options){ .keep = s->record.keep, .max = s->record.max, .head = s->record.output_head, .sync = s->record.sync };
	if (s->record.encrypt[0] == '\0')
		return SP_OK;
	struct seal tried;
	static const uint8_t nobody[ID_LEN];
	o_r->seals = true;
	if (text_unhex(s->record.encrypt, o_r->auditor, SEAL_KEY) != SP_OK || seal_begin(o_r->auditor, nobody, &tried) != SP_OK) {
		*err_r = "record: `encrypt to=` wants an X25519 public key, 64 hexadecimal digits";
		return SP_ECONF;
	}
	mem_wipe(&tried, sizeof(tried));
	return SP_OK;
}

static uint64_t
boot_name(const char *path)
{
	uint8_t hash[DIGEST_LEN];
	char text[64];
	uint64_t name = 0;
	FILE *f = fopen(path, "re");
	if (f == NULL || fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	if (f != NULL)
		(void)fclose(f);
	digest_sha256(sp_str(text), hash);
	memcpy(&name, hash, sizeof(name));
	return name;
}

void
recorder_clock(struct recorder *r)
{
	r->wall = clock_wall_us();
	(void)clock_format(r->wall, r->time);
}

int
recorder_open(struct recorder *r, const struct paths *p, const struct options *o, const char **err_r)
{
	TAILQ_INIT(&r->buffered);
	TAILQ_INIT(&r->unsynced);
	r->options = *o;
	r->now = clock_mono_ms();
	recorder_clock(r);
	r->audit.fd = r->access.fd = -1;
	r->ledger.fd = r->ledger.anchor = r->ledger.syslog = -1;
	r->maker = block_maker_new();
	r->batch.blocks.max = SIZE_MAX / 4;
	r->batch.records.max = SIZE_MAX / 4;
	r->retention = retention_new();
	r->counts = counts_new();
	r->decisions = decisions_new();
	r->boot = boot_name(p->boot);
	/* "": master hands the files in a moment, and lines wait for them */
	if ((p->audit[0] != '\0' && lines_open(&r->audit, p->audit) != SP_OK) ||
	    (p->access[0] != '\0' && lines_open(&r->access, p->access) != SP_OK)) {
		*err_r = "the audit or access log cannot be opened";
		return SP_EIO;
	}
	int rc = store_open(&r->store, p->store, err_r);
	if (rc != SP_OK)
		return rc;
	r->journal = (struct journal){ .dir = r->store.journal, .fd = -1, .full = journal_full(r->store.journal) };
	rc = ledger_open(r, p->anchor == NULL ? "" : p->anchor, err_r);
	if (rc == SP_OK)
		rc = recorder_recover(r, err_r);
	r->settled = r->now + SETTLE_MS;
	r->lines_due = true;
	if (rc == SP_OK && p->audit[0] != '\0')
		recorder_recover_lines(r);
	return rc;
}

/* ---- rings ---- */

int
recorder_ring(struct recorder *r, unsigned worker, int memory, int wake, int bell, struct source **s_r)
{
	struct source *src = mem_alloc(sizeof(*src));
	uint64_t position;
	*s_r = NULL;
	*src = (struct source){ .worker = worker, .wake = wake, .bell = bell, .next = r->sources };
	int rc = ring_map(memory, &src->ring);
	if (rc == SP_OK && recovered_position(r, source_ring(r, src), &position))
		rc = ring_seek(src->ring, position);
	if (rc != SP_OK) {
		log_error("worker %u: its ring cannot be used", worker);
		ring_unmap(&src->ring);
		free(src);
		return rc;
	}
	ring_fail(src->ring, r->failing);
	r->sources = src;
	*s_r = src;
	return SP_OK;
}

uint64_t
source_ring(const struct recorder *r, const struct source *src)
{
	return ring_identity(src->ring) ^ r->boot;
}

void
source_free(struct recorder *r, struct source *src)
{
	struct source **at = &r->sources;
	while (*at != src)
		at = &(*at)->next;
	*at = src->next;
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next)
			if (s->source == src)
				s->source = NULL;
	if (src->event != NULL)
		event_free(src->event);
	if (src->wake >= 0)
		close(src->wake);
	if (src->bell >= 0)
		close(src->bell);
	ring_unmap(&src->ring);
	free(src);
}

void
recorder_worker_gone(struct recorder *r, unsigned worker)
{
	for (struct source *src = r->sources; src != NULL; src = src->next)
		if (src->worker == worker)
			src->gone = true;
}

/* ---- asked by others ---- */

void
recorder_reopen(struct recorder *r, int audit, int access)
{
	if (audit >= 0)
		lines_swap(&r->audit, audit);
	if (access >= 0)
		lines_swap(&r->access, access);
	if (r->lines_due)
		recorder_recover_lines(r);
}

int
recorder_audit(struct recorder *r, struct sp_bytes json)
{
	if (json.len == 0 || memchr(json.p, '\n', json.len) != NULL)
		return SP_EPROTO;
	int rc = buffer_put(&r->audit.pending, json);
	return rc == SP_OK ? buffer_put(&r->audit.pending, SP_LIT("\n")) : rc;
}

int
recorder_fetch(struct recorder *r, struct sp_bytes id, const char **err_r)
{
	*err_r = "there is no such recording";
	if (id.len != ID_LEN)
		return -1;
	/* What its worker has published by now belongs to it: the batch under way, then one with the rest. */
	for (int i = 0; i < 2; i++)
		(void)recorder_tick(r);
	struct session *s = session_find(r, id.p);
	if (s != NULL && file_flush(r, s) != SP_OK) {
		*err_r = "the recording cannot be written to disk now";
		return -1;
	}
	return store_fetch(&r->store, id.p);
}

/* ---- the end ---- */

/* all: also those whose worker is there. */
static void
tear_rest(struct recorder *r, bool all)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		for (struct session *s = r->bucket[i]; s != NULL; s = s->next)
			if (s->state.state == SESSION_LIVE && !s->ending && (all || s->source == NULL))
				session_tear(r, s, "the gateway ended");
}

void
recorder_settle(struct recorder *r)
{
	if (r->settled == 0 || r->now < r->settled)
		return;
	r->settled = 0;
	tear_rest(r, false);
}

void
recorder_finish(struct recorder *r, bool tear)
{
	uint64_t stop = clock_mono_ms() + FINISH_MS;
	while (recorder_tick(r) && clock_mono_ms() < stop)
		continue;
	if (tear) {
		tear_rest(r, true);
		(void)recorder_tick(r);
	}
	r->swept = 0;
	(void)recorder_tick(r);
}

void
recorder_close(struct recorder *r)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		while (r->bucket[i] != NULL) {
			if (file_flush(r, r->bucket[i]) != SP_OK)
				log_error("a recording's last blocks are only in the journal");
			session_free(r, r->bucket[i]);
		}
	while (r->sources != NULL)
		source_free(r, r->sources);
	lines_close(&r->audit);
	lines_close(&r->access);
	ledger_close(r);
	journal_close(&r->journal);
	store_close(&r->store);
	batch_free(&r->batch);
	block_maker_free(&r->maker);
	retention_free(&r->retention);
	counts_free(&r->counts);
	decisions_free(&r->decisions);
	recovered_free(&r->recovered);
	buffer_free(&r->parted);
}
