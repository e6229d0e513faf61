/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport replay`: a recording, all at once or as it happened.  Sealed ones are opened here, where the key is. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../record/recording.h"
#include "../record/show.h"
#include "recordings.h"

struct replay {
	struct show show;
	struct buffer out;
	double speed;
	uint64_t at;
	bool have_key;
};

static void
wait_for(struct replay *p, const struct frame *f)
{
	if (p->speed > 0 && f->at > p->at) {
		double s = (double)(f->at - p->at) / 1e6 / p->speed;
		struct timespec ts = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };
		(void)nanosleep(&ts, NULL);
	}
	p->at = f->at;
}

static int
replay_all(struct replay *p, struct recording *rec)
{
	struct frame f;
	const char *err = "";
	int rc;
	while ((rc = recording_next(rec, &f, &err)) == 1) {
		p->show.unsealed = p->have_key && recording_sealed(rec);
		wait_for(p, &f);
		struct sp_writer w = buffer_writer(&p->out);
		show_frame(&p->show, &f, &w);
		if (buffer_written(&p->out, &w) != SP_OK)
			return failed("out of memory");
		struct sp_bytes b = buffer_bytes(&p->out);
		if (b.len > 0 && fwrite(b.p, 1, b.len, stdout) != b.len)
			return failed("cannot write");
		buffer_drop(&p->out, b.len);
		if (p->speed > 0)
			(void)fflush(stdout);
	}
	return rc < 0 ? failed("%s", err) : DONE;
}

static int
replay_fd(struct run *r, struct replay *p, int fd)
{
	uint8_t key[SEAL_KEY];
	struct recording *rec = NULL;
	const char *err = "";
	int rc = recording_key(r, key, &p->have_key);
	if (rc != DONE) {
		close(fd);
		return rc;
	}
	rc = recording_open(fd, p->have_key ? key : NULL, &rec, &err) == SP_OK ? DONE : failed("%s: %s", r->word[0], err);
	mem_wipe(key, sizeof(key));
	if (rc == DONE)
		rc = replay_all(p, rec);
	if (rc == DONE && recording_sealed(rec) && !p->have_key)
		(void)fprintf(stderr, "sallyport: texts and output of this recording are sealed to an auditor: --key FILE opens them\n");
	recording_close(&rec);
	return rc;
}

/* The gateway shows it as it comes: a file grows where the gateway is. */
static int
follow(struct run *r, enum show_form form)
{
	static const char *const forms[] = { [SHOW_TEXT] = "text", [SHOW_JSONL] = "jsonl", [SHOW_ASCIICAST] = "asciicast" };
	char path[256];
	if (option(r, "speed") != NULL || option(r, "key") != NULL)
		return misused(r, "--follow shows what happens now: without --speed, and without --key");
	if (client_path("recordings", r->word[0], "/replay", path) != DONE)
		return FAILED;
	return client_stream(r, path, json_pack("{s:s,s:b}", "format", forms[form], "follow", 1));
}

int
run_replay(struct run *r)
{
	const char *form = option(r, "format"), *speed = option(r, "speed");
	char *end = NULL;
	struct replay p = { .show = { .form = r->json ? SHOW_JSONL : SHOW_TEXT }, .out = { .max = 256u << 20 } };
	p.show.rows.max = 64u << 20;
	if (form != NULL && !show_form_named(form, &p.show.form))
		return misused(r, "--format is text, jsonl or asciicast, not \"%s\"", form);
	p.speed = speed == NULL ? 0 : strtod(speed, &end);
	if (speed != NULL && (end == speed || *end != '\0' || !(p.speed >= 0) || p.speed > 1e6))
		return misused(r, "--speed takes a number: 1 is as it happened, 2 twice as fast, 0 at once");
	if (flag(r, "follow"))
		return follow(r, p.show.form);
	int fd = recording_fetch(r, r->word[0]);
	int rc = fd < 0 ? FAILED : replay_fd(r, &p, fd);
	show_end(&p.show);
	buffer_free(&p.out);
	return rc;
}
