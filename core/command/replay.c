/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport replay`: a recording, all at once or as it happened.  Sealed ones are opened here, where the key is. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/directive.h"
#include "../record/recording.h"
#include "../record/show.h"
#include "player.h"
#include "recordings.h"

struct replay {
	struct show show;
	struct buffer out;
	struct player player;
	bool have_key;
};

/* When its time has come. */
static int
replay_frame(void *owner, const struct frame *f)
{
	struct replay *p = owner;
	if (!p->player.over)
		player_wait(&p->player, f->at);
	if (p->player.over)
		return DONE;
	struct sp_writer w = buffer_writer(&p->out);
	show_frame(&p->show, f, &w);
	if (buffer_written(&p->out, &w) != SP_OK)
		return failed("out of memory");
	struct sp_bytes b = buffer_bytes(&p->out);
	if (b.len > 0 && fwrite(b.p, 1, b.len, stdout) != b.len)
		return failed("cannot write");
	buffer_drop(&p->out, b.len);
	if (p->player.speed > 0)
		(void)fflush(stdout);
	return DONE;
}

static int
replay_all(struct replay *p, struct recording *rec)
{
	struct frame f;
	const char *err = "";
	int rc = 0, told = DONE;
	while (!p->player.over && told == DONE && (rc = recording_next(rec, &f, &err)) == 1) {
		p->show.unsealed = p->have_key && recording_sealed(rec);
		told = replay_frame(p, &f);
	}
	return rc < 0 ? failed("%s", err) : told;
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
	static const char *const forms[] = { [SHOW_TEXT] = "text", [SHOW_JSONL] = "jsonl", [SHOW_ASCIICAST] = "asciicast", [SHOW_TERMINAL] = "terminal" };
	char path[256];
	if (option(r, "speed") != NULL || option(r, "key") != NULL)
		return misused(r, "--follow shows what happens now: without --speed, and without --key");
	if (client_path("recordings", r->word[0], "/replay", path) != DONE)
		return FAILED;
	return client_stream(r, path, json_pack("{s:s,s:b}", "format", forms[form], "follow", 1));
}

int
run_watch(struct run *r)
{
	return follow(r, SHOW_TERMINAL);
}

/* --speed and --idle; a screen is played as it was. */
static int
read_times(struct run *r, struct replay *p)
{
	const char *speed = option(r, "speed"), *idle = option(r, "idle");
	bool screen = p->show.form == SHOW_TERMINAL;
	char *end = NULL;
	uint64_t ms = screen ? 2000 : 0;
	p->player.speed = speed != NULL ? strtod(speed, &end) : screen ? 1 : 0;
	if (speed != NULL && (end == speed || *end != '\0' || !(p->player.speed >= 0) || p->player.speed > 1e6))
		return misused(r, "--speed takes a number: 1 is as it happened, 2 twice as fast, 0 at once");
	if (idle != NULL && directive_duration(idle, &ms) != SP_OK)
		return misused(r, "--idle takes a time, such as 500ms or 2s");
	p->player.idle = ms * 1000;
	return DONE;
}

int
run_replay(struct run *r)
{
	const char *form = option(r, "format");
	struct replay p = { .show = { .form = r->json ? SHOW_JSONL : SHOW_TEXT }, .out = { .max = 256u << 20 } };
	p.show.rows.max = 64u << 20;
	if (form != NULL && !show_form_named(form, &p.show.form))
		return misused(r, "--format is text, jsonl, asciicast or terminal, not \"%s\"", form);
	int rc = read_times(r, &p);
	if (rc != DONE)
		return rc;
	if (flag(r, "follow"))
		return follow(r, p.show.form);
	/* No session's id is that long: a group's name. */
	bool together = flag(r, "together") || (strlen(r->word[0]) >= ID_TEXT && access(r->word[0], F_OK) != 0);
	if (together && (option(r, "key") != NULL || p.show.form == SHOW_TERMINAL))
		return misused(r, "--together shows what the gateway can read, as text, jsonl or asciicast: without --key");
	int fd = together ? -1 : recording_fetch(r, r->word[0]);
	player_begin(&p.player, p.player.speed > 0);
	if (together)
		rc = recordings_together(r, p.show.form == SHOW_ASCIICAST, replay_frame, &p);
	else
		rc = fd < 0 ? FAILED : replay_fd(r, &p, fd);
	player_end(&p.player);
	show_end(&p.show);
	buffer_free(&p.out);
	return rc;
}
