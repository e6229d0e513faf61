/* SPDX-License-Identifier: Apache-2.0 */
/* `export`, `verify`: recordings, here or through the gateway. */
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

/* ---- an auditor's key ---- */

/* 64 hexadecimal digits, or what `openssl genpkey -algorithm X25519 -outform DER` writes. */
static int
read_key(const uint8_t *text, size_t len, uint8_t key_r[SEAL_KEY])
{
	static const uint8_t pkcs8[] = { 0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20 };
	char hex[2 * SEAL_KEY + 1] = "";
	if (len == sizeof(pkcs8) + SEAL_KEY && memcmp(text, pkcs8, sizeof(pkcs8)) == 0) {
		memcpy(key_r, text + sizeof(pkcs8), SEAL_KEY);
		return SP_OK;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (len != 2 * SEAL_KEY)
		return SP_EPROTO;
	memcpy(hex, text, len);
	int rc = text_unhex(hex, key_r, SEAL_KEY);
	mem_wipe(hex, sizeof(hex));
	return rc;
}

int
recording_key(struct run *r, uint8_t key_r[SEAL_KEY], bool *have_r)
{
	const char *path = option(r, "key");
	uint8_t text[256];
	*have_r = false;
	if (path == NULL)
		return DONE;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return failed("cannot read the key %s: %s", path, strerror(error));
	int rc = read_key(text, (size_t)n, key_r);
	mem_wipe(text, sizeof(text));
	if (rc != SP_OK)
		return failed("%s holds no X25519 private key: make one with `openssl genpkey -algorithm X25519 -outform DER -out FILE`", path);
	*have_r = true;
	return DONE;
}

/* ---- verify ---- */

static int
tell(const struct run *r, const char *what, const struct verify_result *v, bool with_key)
{
	if (r->json) {
		json_t *j = json_pack("{s:s,s:b,s:b,s:s,s:I,s:I}", "id", what, "ok", v->ok, "key_given", with_key, "text", v->text, "blocks",
		    (json_int_t)v->blocks, "frames", (json_int_t)v->frames);
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
	if (v.ok && hex == NULL && !r->json)
		(void)fprintf(stderr, "sallyport: with the key that the ledger itself names: give the keeper's by --key to be sure that it is the same\n");
	return tell(r, r->word[0], &v, hex != NULL);
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
	if (v.ok && !r->json)
		(void)fprintf(stderr, "sallyport: only its own chain, which whoever changes it can make anew: `sallyport verify ID` asks what was signed\n");
	return tell(r, r->word[0], &v, false);
}

int
run_verify(struct run *r)
{
	static const char *const members[] = { "id", "ok", "ended", "text", "blocks", "frames", "entries", "signed_at", NULL };
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
