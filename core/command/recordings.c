/* SPDX-License-Identifier: Apache-2.0 */
/* `export`, `search`, `verify`: recordings, here or through the gateway. */
#include <config.h>

#include "recordings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../record/recording.h"

int
recording_fetch(const struct run *r, const char *what)
{
	char path[256];
	if (strchr(what, '/') != NULL || access(what, F_OK) == 0) {
		int fd = open(what, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			(void)failed("cannot open %s: %s", what, strerror(errno));
		return fd;
	}
	int fd = memfd_create("recording", MFD_CLOEXEC);
	if (fd < 0 || client_path("sessions", what, "/recording", path) != DONE || client_fetch(r, path, fd) != DONE) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return lseek(fd, 0, SEEK_SET) == 0 ? fd : -1;
}

int
run_export(struct run *r)
{
	char path[256];
	if (client_path("sessions", r->word[0], "/recording", path) != DONE)
		return FAILED;
	int fd = open(r->word[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed("cannot make %s: %s", r->word[1], strerror(errno));
	int rc = client_fetch(r, path, fd);
	if (close(fd) != 0 && rc == DONE)
		rc = failed("cannot write %s: %s", r->word[1], strerror(errno));
	if (rc != DONE)
		(void)unlink(r->word[1]);
	return rc;
}

/* ---- search ---- */

struct search {
	const struct run *r;
	json_t *matches, *done; /* done: NULL until the last line came */
};

static int
search_line(void *owner, json_t *line)
{
	struct search *s = owner;
	json_t *match = json_object_get(line, "match"), *done = json_object_get(line, "done");
	const json_t *error = json_object_get(line, "error"), *progress = json_object_get(line, "progress");
	if (error != NULL)
		return failed("%s", json_is_string(error) ? json_string_value(error) : "the search failed");
	if (progress != NULL)
		print_progress("searching", (uint64_t)json_integer_value(json_array_get(progress, 0)),
		    (uint64_t)json_integer_value(json_array_get(progress, 1)));
	if (done != NULL)
		s->done = json_incref(done);
	if (match == NULL)
		return DONE;
	if (s->r->json)
		return json_array_append(s->matches, match) == 0 ? DONE : failed("out of memory");
	print_progress_end();
	const char *text = json_string_value(json_object_get(match, "text"));
	(void)printf("%s.%lld  ", json_string_value(json_object_get(match, "session")), json_integer_value(json_object_get(match, "op")));
	print_safe(stdout, sp_str(text == NULL ? "" : text), 160);
	(void)printf("\n");
	return DONE;
}

/* What the search could not look into is said: silence would read as "not there". */
static int
search_told(const struct search *s)
{
	static const struct {
		const char *name, *text;
	} part[] = {
		{ "sealed", "are sealed to an auditor: search them where the key is, with --key" },
		{ "unreadable", "could not be read: `sallyport verify` says why" },
	};
	if (s->r->json) {
		(void)json_object_set(s->done, "matches", s->matches);
		return print_json(s->done);
	}
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++) {
		json_int_t n = json_integer_value(json_object_get(s->done, part[i].name));
		if (n > 0)
			(void)fprintf(stderr, "sallyport: %lld recordings %s\n", n, part[i].text);
	}
	if (json_is_true(json_object_get(s->done, "more")))
		(void)fprintf(stderr, "sallyport: there are more: narrow it with --user or --target\n");
	return DONE;
}

int
run_search(struct run *r)
{
	struct search s = { r, json_array(), NULL };
	json_t *args = json_pack("{ss}", "text", r->word[0]);
	if (option(r, "user") != NULL)
		(void)json_object_set_new(args, "user", json_string(option(r, "user")));
	if (option(r, "target") != NULL)
		(void)json_object_set_new(args, "target", json_string(option(r, "target")));
	int rc = client_lines(r, "/api/v1/search", args, search_line, &s);
	print_progress_end();
	if (rc == DONE)
		rc = s.done == NULL ? failed("the search ended before its end") : search_told(&s);
	json_decref(s.matches);
	json_decref(s.done);
	return rc;
}

/* ---- verify ---- */

static int
tell(const struct run *r, const char *what, const struct verify_result *v)
{
	if (r->json) {
		json_t *j = json_pack("{s:s,s:b,s:s,s:I,s:I}", "id", what, "ok", v->ok, "text", v->text, "blocks", (json_int_t)v->blocks, "frames",
		    (json_int_t)v->frames);
		int rc = print_json(j);
		json_decref(j);
		return v->ok ? rc : FAILED;
	}
	if (!v->ok) {
		(void)fprintf(stderr, "%s: NOT INTACT: ", what);
		print_safe(stderr, sp_str(v->text), 0);
		(void)fprintf(stderr, "\n");
		return FAILED;
	}
	(void)printf("%s: intact, %llu blocks, %llu frames%s%s\n", what, (unsigned long long)v->blocks, (unsigned long long)v->frames,
	    v->text[0] != '\0' ? "; " : "", v->text);
	return DONE;
}

static void
progress(uint64_t done, uint64_t all)
{
	print_progress("verifying", done, all);
}

static int
verify_folder(struct run *r)
{
	struct verify_result v = { .ok = false };
	uint8_t key[32];
	const char *hex = option(r, "key");
	if (hex != NULL && text_unhex(hex, key, sizeof(key)) != SP_OK)
		return misused(r, "--key takes 64 hexadecimal digits");
	int rc = verify_store(r->word[0], hex == NULL ? NULL : key, option(r, "anchor"), progress, &v);
	print_progress_end();
	v.ok = v.ok && rc == SP_OK;
	return tell(r, r->word[0], &v);
}

static int
verify_file(struct run *r)
{
	struct verify_result v = { .ok = false };
	int fd = open(r->word[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed("cannot open %s: %s", r->word[0], strerror(errno));
	int rc = verify_recording(fd, r->word[0], NULL, 0, &v);
	close(fd);
	v.ok = v.ok && rc == SP_OK;
	return tell(r, r->word[0], &v);
}

int
run_verify(struct run *r)
{
	static const char *const members[] = { "id", "ok", "text", "blocks", "frames", "entries", "signed_at", NULL };
	struct stat st;
	char path[256];
	json_t *answer;
	if (stat(r->word[0], &st) == 0)
		return S_ISDIR(st.st_mode) ? verify_folder(r) : verify_file(r);
	if (strchr(r->word[0], '/') != NULL)
		return failed("cannot open %s: %s", r->word[0], strerror(errno));
	if (client_path("sessions", r->word[0], "/verify", path) != DONE || client_call(r, "GET", path, NULL, &answer) != DONE)
		return FAILED;
	bool ok = json_is_true(json_object_get(answer, "ok"));
	if (r->json)
		(void)print_json(answer);
	else
		print_members(answer, members);
	json_decref(answer);
	return ok ? DONE : FAILED;
}
