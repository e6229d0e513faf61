/* SPDX-License-Identifier: Apache-2.0 */
/* Without libFuzzer: runs a fuzz target once over every file of the folders given, as `make check` does. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
		perror(path);
		return -1;
	}
	long size = ftell(f);
	rewind(f);
	/* Exactly as large as the input, so that a sanitizer sees one byte too far. */
	uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
	size_t got = data == NULL || size < 0 ? 0 : fread(data, 1, (size_t)size, f);
	fclose(f);
	if (data != NULL && got == (size_t)size)
		(void)LLVMFuzzerTestOneInput(data, got);
	free(data);
	return 0;
}

static int
replay_folder(const char *folder, unsigned *n)
{
	DIR *d = opendir(folder);
	if (d == NULL) {
		perror(folder);
		return -1;
	}
	int rc = 0;
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
		char path[4096];
		if (e->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= (int)sizeof(path))
			continue;
		rc = replay_file(path);
		++*n;
	}
	closedir(d);
	return rc;
}

int
main(int argc, char **argv)
{
	unsigned n = 0;
	const char *srcdir = getenv("srcdir");
	if (argc == 1) { /* under `make check`: the corpus that bears this program's name */
		const char *name = strrchr(argv[0], '/');
		name = name == NULL ? argv[0] : name + 1;
		name = strncmp(name, "lt-", 3) == 0 ? name + 3 : name;
		name = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
		char folder[4096];
		if (snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir, name) >= (int)sizeof(folder))
			return 2;
		if (replay_folder(folder, &n) != 0)
			return 1;
	}
	for (int i = 1; i < argc; i++)
		if (replay_folder(argv[i], &n) != 0)
			return 1;
	printf("%u inputs\n", n);
	return n == 0;
}
