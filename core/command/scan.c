/* SPDX-License-Identifier: Apache-2.0 */
/* scan-hostkey: what ssh-keyscan finds, as the fingerprints that a target's `host_key` takes. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../base/settings.h"
#include "command.h"

#define KEYS 8
#define KEY_TEXT 4096

struct found {
	char kind[64], print[64];
};

/* The lines of ssh-keyscan, "HOST KIND BASE64"; no shell. */
static FILE *
scan(const char *host, const char *port, pid_t *pid_r)
{
	int pipe_[2];
	if (pipe(pipe_) != 0)
		return NULL;
	(void)fflush(NULL);
	*pid_r = fork();
	if (*pid_r == 0) {
		(void)dup2(pipe_[1], STDOUT_FILENO);
		(void)close(pipe_[0]);
		(void)close(pipe_[1]);
		(void)execlp("ssh-keyscan", "ssh-keyscan", "-T", "10", "-t", "ed25519,ecdsa,rsa", "-p", port, "--", host, (char *)NULL);
		_exit(127);
	}
	(void)close(pipe_[1]);
	return fdopen(pipe_[0], "r");
}

/* As `ssh-keygen -l` prints it. */
static bool
fingerprint(const char *base64, char print_r[64])
{
	char text[KEY_TEXT];
	uint8_t digest[DIGEST_LEN];
	struct buffer blob = { 0 }, shown = { 0 };
	size_t n = 0;
	for (; base64[n] > ' ' && base64[n] != '=' && n < sizeof(text); n++)
		text[n] = base64[n] == '+' ? '-' : base64[n] == '/' ? '_' : base64[n];
	bool ok = text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, &blob) == SP_OK && blob.len > 0;
	digest_sha256(buffer_bytes(&blob), digest);
	ok = ok && text_base64((struct sp_bytes){ digest, sizeof(digest) }, &shown) == SP_OK;
	(void)snprintf(print_r, 64, "SHA256:%.*s", (int)(shown.len > 43 ? 43 : shown.len), (const char *)buffer_bytes(&shown).p);
	buffer_free(&blob);
	buffer_free(&shown);
	return ok;
}

static size_t
read_keys(FILE *in, struct found found[KEYS])
{
	char line[KEY_TEXT + 512], base64[KEY_TEXT];
	size_t n = 0;
	while (fgets(line, sizeof(line), in) != NULL) {
		if (n == KEYS || line[0] == '#' || sscanf(line, "%*s %63s %4095s", found[n].kind, base64) != 2)
			continue;
		if (strncmp(found[n].kind, "ssh-", 4) != 0 && strncmp(found[n].kind, "ecdsa-", 6) != 0)
			continue;
		n += fingerprint(base64, found[n].print);
	}
	return n;
}

static int
show(const struct run *r, const struct found *found, size_t n)
{
	if (r->json) {
		json_t *o = json_pack("{s:s,s:[]}", "server", r->word[0], "keys");
		for (size_t i = 0; i < n; i++)
			(void)json_array_append_new(json_object_get(o, "keys"), json_pack("{s:s,s:s}", "kind", found[i].kind, "fingerprint", found[i].print));
		int rc = print_json(o);
		json_decref(o);
		return rc;
	}
	(void)printf("host_key ");
	for (size_t i = 0; i < n; i++)
		(void)printf("%s%s", i == 0 ? "" : ",", found[i].print);
	(void)printf(";\n");
	for (size_t i = 0; i < n; i++)
		(void)printf("    # %s %s\n", found[i].print, found[i].kind);
	(void)fprintf(stderr, "Compare them with what the host itself says: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub, there.\n");
	return DONE;
}

int
run_scan_hostkey(struct run *r)
{
	struct found found[KEYS];
	struct hostport at;
	char whole[320], port[8];
	pid_t pid = -1;
	int status = 0;
	const char *word = r->word[0], *colon = strrchr(word, ':');
	bool bare = colon == NULL || strchr(word, ':') != colon; /* a name, or an IPv6 address without brackets */
	(void)snprintf(whole, sizeof(whole), word[0] == '[' || !bare ? "%s" : strchr(word, ':') == NULL ? "%s:22" : "[%s]:22", word);
	if (settings_hostport(whole, &at) != SP_OK || at.host[0] == '-')
		return misused(r, "HOST, HOST:PORT or [ADDRESS]:PORT, not \"%s\"", word);
	(void)snprintf(port, sizeof(port), "%u", (unsigned)at.port);
	FILE *in = scan(at.host, port, &pid);
	size_t n = in == NULL ? 0 : read_keys(in, found);
	if (in != NULL)
		(void)fclose(in);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid <= 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
		return failed("ssh-keyscan is not installed (apt-get install openssh-client)");
	return n == 0 ? failed("no SSH host answers at %s port %s", at.host, port) : show(r, found, n);
}
