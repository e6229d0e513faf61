/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules against their transcripts, tests/module/MODULE/NAME.txt: each played whole, byte by byte, and cut at
 * every place.  With arguments MODULE/NAME.txt: only those.
 */
#include <config.h>

#include "postgres_target.h"
#include "transcript.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sp_module sallyport_module_postgres, sallyport_module_skeleton;

static void
prepare_postgres(struct fake *f)
{
	fake_side(f, postgres_target_answer, NULL);
}

static const struct subject {
	const struct sp_module *module;
	void (*prepare)(struct fake *f);
} subjects[] = {
	{ &sallyport_module_postgres, prepare_postgres },
	{ &sallyport_module_skeleton, NULL },
};
#define SUBJECTS (sizeof(subjects) / sizeof(*subjects))

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
play_every_way(const struct subject *of, const char *folder, const char *file)
{
	struct transcript t = { .module = of->module, .folder = folder, .prepare = of->prepare };
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

/* Counts in *played_r; the number that failed. */
static unsigned
play_folder(const struct subject *of, const char *only, unsigned *played_r)
{
	char folder[1024];
	struct dirent **entry;
	const char *top = getenv("srcdir");
	unsigned failed = 0;
	(void)snprintf(folder, sizeof(folder), "%s/tests/module/%s", top == NULL ? "." : top, of->module->name);
	int n = scandir(folder, &entry, is_transcript, by_name);
	for (int i = 0; i < n; i++) {
		if (only == NULL || strcmp(entry[i]->d_name, only) == 0) {
			failed += !play_every_way(of, folder, entry[i]->d_name);
			++*played_r;
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return failed;
}

int
main(int argc, char **argv)
{
	unsigned played = 0, failed = 0;
	for (size_t i = 0; i < SUBJECTS; i++) {
		size_t n = strlen(subjects[i].module->name);
		if (argc == 1)
			failed += play_folder(&subjects[i], NULL, &played);
		for (int k = 1; k < argc; k++)
			if (strncmp(argv[k], subjects[i].module->name, n) == 0 && argv[k][n] == '/')
				failed += play_folder(&subjects[i], argv[k] + n + 1, &played);
	}
	(void)printf("%u transcripts, %u failed\n", played, failed);
	return failed > 0 || played == 0;
}
