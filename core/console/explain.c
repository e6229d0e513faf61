/* SPDX-License-Identifier: Apache-2.0 */
/* Explaining one operation: its recording is read slice by slice, up to that operation's end. */
#include <config.h>

#include <stdlib.h>

#include "../base/clock.h"
#include "../record/explain.h"
#include "../record/recording.h"
#include "console.h"

#define SLICE_US 3000

struct reading {
	struct job job;
	struct caller *caller;
	struct recording *recording;
	struct explain *explain;
};

static void
reading_end(struct job *job)
{
	struct reading *r = (struct reading *)job;
	recording_close(&r->recording);
	if (r->explain != NULL)
		json_decref(explain_end(&r->explain));
	free(r);
}

static void
tell(struct reading *r)
{
	struct caller *c = r->caller;
	json_t *o = explain_end(&r->explain);
	if (o == NULL) {
		caller_refuse(c, 404, "that session has no such operation");
		return;
	}
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (text == NULL)
		caller_refuse(c, 500, "the explanation can't be written");
	else
		caller_reply(c, 200, sp_str(text));
	free(text);
}

static void
reading_step(struct job *job)
{
	struct reading *r = (struct reading *)job;
	uint64_t until = clock_mono_us() + SLICE_US;
	struct frame f;
	const char *why;
	while (clock_mono_us() < until) {
		int rc = recording_next(r->recording, &f, &why);
		if (rc < 0) {
			caller_refuse(r->caller, 500, "the recording can't be read: %s", why);
			return;
		}
		if (rc == 0 || explain_frame(r->explain, &f)) {
			tell(r);
			return;
		}
	}
}

void
explain_answer(struct caller *c, struct answer *a)
{
	json_t *root = json_loadb((const char *)a->json.p, a->json.len, JSON_REJECT_DUPLICATES, NULL);
	json_int_t op = json_integer_value(json_object_get(root, "op"));
	struct reading *r = mem_alloc(sizeof(*r));
	const char *why;
	int fd = a->fd;
	*r = (struct reading){ .job = { reading_step, reading_end }, .caller = c };
	json_decref(root);
	a->fd = -1;
	if (op < 1 || op > UINT32_MAX || recording_open(fd, NULL, &r->recording, &why) != SP_OK) {
		free(r);
		caller_refuse(c, 502, "the recording can't be opened");
		return;
	}
	r->explain = explain_begin((uint32_t)op);
	caller_work(c, &r->job);
	caller_work_ready(c, true);
}
