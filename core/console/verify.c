/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying one recording: its chain against what the keeper signed of it. */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../record/recording.h"
#include "console.h"

#define SLICE_US 3000

struct evidence {
	uint8_t key[32];
	struct ledger_entry *entry;
	size_t n;
	const char *id;
};

/* The keeper's answer: key, and entries that it signed. */
static int
read_evidence(const json_t *root, struct evidence *e)
{
	const json_t *entries = json_object_get(root, "entries");
	const char *key = json_string_value(json_object_get(root, "key"));
	uint8_t bytes[LEDGER_ENTRY];
	e->id = json_string_value(json_object_get(root, "id"));
	if (e->id == NULL || key == NULL || text_unhex(key, e->key, sizeof(e->key)) != SP_OK)
		return SP_EPROTO;
	e->entry = mem_alloc((json_array_size(entries) + 1) * sizeof(*e->entry));
	for (; e->n < json_array_size(entries); e->n++) {
		const char *hex = json_string_value(json_array_get(entries, e->n));
		if (hex == NULL || text_unhex(hex, bytes, sizeof(bytes)) != SP_OK || !ledger_signed_by(bytes, e->key) ||
		    ledger_decode((struct sp_bytes){ bytes, sizeof(bytes) }, &e->entry[e->n]) != SP_OK)
			return SP_EPROTO;
	}
	return SP_OK;
}

static void
tell_result(struct caller *c, const struct evidence *e, const struct verify_result *v)
{
	char when[32];
	json_t *json = json_pack("{sssbsbsssIsIsIss}", "id", e->id, "ok", v->ok, "ended", v->ended, "text", v->text, "blocks", (json_int_t)v->blocks,
	    "frames", (json_int_t)v->frames, "entries", (json_int_t)e->n, "signed_at",
	    v->signed_at == 0 ? "" : clock_format(v->signed_at, when));
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	if (text == NULL)
		caller_refuse(c, 500, "the result can't be written");
	else
		caller_reply(c, 200, sp_str(text));
	free(text);
	json_decref(json);
}

struct verify_call {
	struct caller *caller;
	struct evidence evidence;
	struct verifying *walk;
	json_t *root; /* the evidence's texts are in it */
	int fd;
};

void
verify_call_free(struct verify_call **v)
{
	if (*v == NULL)
		return;
	verify_end(&(*v)->walk);
	free((*v)->evidence.entry);
	json_decref((*v)->root);
	close((*v)->fd);
	free(*v);
	*v = NULL;
}

struct verify_call *
verify_call_new(struct caller *c, struct answer *a)
{
	struct verify_call *v = mem_alloc(sizeof(*v));
	*v = (struct verify_call){ .caller = c, .fd = a->fd };
	a->fd = -1;
	v->root = json_loadb((const char *)a->json.p, a->json.len, JSON_REJECT_DUPLICATES, NULL);
	if (read_evidence(v->root, &v->evidence) != SP_OK) {
		caller_refuse(c, 502, "a ledger entry of this session is malformed or not signed by the keeper's key");
		verify_call_free(&v);
		return NULL;
	}
	v->walk = verify_begin(v->fd, v->evidence.id, v->evidence.entry, v->evidence.n);
	caller_work_ready(c, true);
	return v;
}

void
verify_call_step(struct verify_call *v)
{
	struct verify_result result;
	uint64_t until = clock_mono_us() + SLICE_US;
	int rc;
	do
		rc = verify_step(v->walk, &result);
	while (rc == 1 && clock_mono_us() < until);
	if (rc == 1)
		return;
	caller_work_ready(v->caller, false);
	tell_result(v->caller, &v->evidence, &result);
}
