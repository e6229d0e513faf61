/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL module against its transcripts: each played whole, byte by byte, and cut at every
 * place; and the walk: every message in every state, from both sides, does what the table says.
 */
#include <config.h>

#include "postgres_target.h"
#include "transcript.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sp_module sallyport_module_postgres;

static void
prepare(struct fake *f)
{
	fake_side(f, postgres_target_answer, NULL);
}

static bool
play(struct transcript *t, const char *file, enum transcript_split split, size_t at)
{
	t->split = split;
	t->at = at;
	if (transcript_play(t, file))
		return true;
	(void)fprintf(stderr, "FAIL %s (%s %zu)\n", t->error_r, split == SPLIT_NONE ? "whole" : split == SPLIT_EACH ? "bytes" : "cut at", at);
	return false;
}

static bool
play_every_way(const char *folder, const char *file)
{
	struct transcript t = { .module = &sallyport_module_postgres, .folder = folder, .prepare = prepare };
	bool ok = play(&t, file, SPLIT_NONE, 0);
	size_t longest = t.longest_r;
	ok = ok && play(&t, file, SPLIT_EACH, 0);
	for (size_t at = 1; ok && at < longest && at < 600; at++)
		ok = play(&t, file, SPLIT_AT, at);
	return ok;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_transcript(const struct dirent *d)
{
	size_t n = strlen(d->d_name);
	return n > 4 && strcmp(d->d_name + n - 4, ".txt") == 0;
}

int
main(int argc, char **argv)
{
	char folder[1024];
	struct dirent **entry;
	unsigned played = 0, failed = 0;
	const char *top = getenv("srcdir");
	(void)snprintf(folder, sizeof(folder), "%s/tests/module/postgres", top == NULL ? "." : top);
	for (int i = 1; i < argc; i++)
		failed += !play_every_way(folder, argv[i]);
	if (argc > 1)
		return failed > 0;
	int n = scandir(folder, &entry, is_transcript, by_name);
	for (int i = 0; i < n; i++, played++) {
		failed += !play_every_way(folder, entry[i]->d_name);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	(void)printf("%u transcripts, %u failed\n", played, failed);
	return failed > 0 || played == 0;
}
