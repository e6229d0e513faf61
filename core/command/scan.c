/* SPDX-License-Identifier: Apache-2.0 */
/* scan-hostkey: what ssh-keyscan finds, as the fingerprints that a target's `host_key` and `host_ca` take. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../base/settings.h"
#include "command.h"

#define KEYS 8
#define KEY_TEXT 4096

struct found {
	char kind[64], print[64];
	/* of a certificate; authority "": it is a plain key */
	char authority[64], names[512]; /* with commas */
	time_t until;                   /* 0: for ever */
};

/* The lines of ssh-keyscan, "HOST KIND BASE64", or of certificates "KIND BASE64"; no shell. */
static FILE *
scan(const char *host, const char *port, bool certificates, pid_t *pid_r)
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
		(void)execlp("ssh-keyscan", "ssh-keyscan", "-T", "10", "-t", "ed25519,ecdsa,rsa", "-p", port,
		    certificates ? "-c" : "--", certificates ? "--" : host, certificates ? host : NULL, (char *)NULL);
		_exit(127);
	}
	(void)close(pipe_[1]);
	return fdopen(pipe_[0], "r");
}

static bool
unbase64(const char *base64, struct buffer *out)
{
	char text[KEY_TEXT];
	size_t n = 0;
	for (; base64[n] > ' ' && base64[n] != '=' && n < sizeof(text); n++)
		text[n] = base64[n] == '+' ? '-' : base64[n] == '/' ? '_' : base64[n];
	return text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, out) == SP_OK && out->len > 0;
}

/* As `ssh-keygen -l` prints it. */
static void
fingerprint(struct sp_bytes blob, char print_r[64])
{
	uint8_t digest[DIGEST_LEN];
	struct buffer shown = { 0 };
	digest_sha256(blob, digest);
	bool ok = text_base64((struct sp_bytes){ digest, sizeof(digest) }, &shown) == SP_OK;
	(void)snprintf(print_r, 64, "SHA256:%.*s", ok ? 43 : 0, ok ? (const char *)buffer_bytes(&shown).p : "");
	buffer_free(&shown);
}

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

/* Only what is printed anywhere: a host says what it likes. */
static void
read_names(struct sp_bytes list, char *names, size_t room)
{
	struct sp_reader r = sp_reader(list);
	size_t n = 0;
	while (!r.bad && r.left > 0) {
		struct sp_bytes name = rd_string(&r);
		if (n > 0 && n + 1 < room)
			names[n++] = ',';
		for (size_t i = 0; i < name.len && n + 1 < room; i++)
			names[n++] = name.p[i] > ' ' && name.p[i] < 0x7f && name.p[i] != ',' ? (char)name.p[i] : '?';
	}
	names[n] = '\0';
}

/* PROTOCOL.certkeys of OpenSSH; modules/ssh/host_certificate.c is who checks one. */
static bool
read_certificate(struct sp_bytes blob, struct found *f)
{
	enum { TYPE_HOST = 2 };
	struct sp_reader r = sp_reader(blob);
	(void)rd_string(&r);
	(void)rd_string(&r); /* the nonce */
	for (unsigned i = strncmp(f->kind, "ssh-ed25519-", 12) == 0 ? 1 : 0; i < 2; i++)
		(void)rd_string(&r);
	(void)sp_rd_be64(&r);
	uint32_t use = sp_rd_be32(&r);
	(void)rd_string(&r); /* id */
	struct sp_bytes names = rd_string(&r);
	(void)sp_rd_be64(&r);
	uint64_t before = sp_rd_be64(&r);
	for (unsigned i = 0; i < 3; i++)
		(void)rd_string(&r); /* critical options, extensions, reserved */
	struct sp_bytes authority = rd_string(&r);
	(void)rd_string(&r);
	if (!sp_rd_done(&r) || use != TYPE_HOST)
		return false;
	read_names(names, f->names, sizeof(f->names));
	f->until = before > INT32_MAX * 100ull ? 0 : (time_t)before;
	fingerprint(authority, f->authority);
	return true;
}

static bool
read_key(const char *base64, struct found *f)
{
	struct buffer blob = { 0 };
	bool ok = unbase64(base64, &blob);
	f->authority[0] = f->names[0] = '\0';
	if (ok && strstr(f->kind, "-cert-") != NULL)
		ok = read_certificate(buffer_bytes(&blob), f);
	else if (ok)
		fingerprint(buffer_bytes(&blob), f->print);
	buffer_free(&blob);
	return ok;
}

static size_t
read_keys(FILE *in, struct found found[KEYS + 1], size_t n)
{
	char line[KEY_TEXT + 512], base64[KEY_TEXT];
	while (fgets(line, sizeof(line), in) != NULL) {
		struct found *f = &found[n];
		bool certificate = strncmp(line, "ssh-", 4) == 0 || strncmp(line, "ecdsa-", 6) == 0;
		if (n == KEYS || line[0] == '#' || sscanf(line, certificate ? "%63s %4095s" : "%*s %63s %4095s", f->kind, base64) != 2)
			continue;
		if (strncmp(f->kind, "ssh-", 4) != 0 && strncmp(f->kind, "ecdsa-", 6) != 0)
			continue;
		n += read_key(base64, f);
	}
	return n;
}

static int
show_json(const struct run *r, const struct found *found, size_t n)
{
	json_t *o = json_pack("{s:s,s:[],s:[]}", "server", r->word[0], "keys", "certificates");
	for (size_t i = 0; i < n; i++) {
		const struct found *f = &found[i];
		if (f->authority[0] == '\0')
			(void)json_array_append_new(json_object_get(o, "keys"), json_pack("{s:s,s:s}", "kind", f->kind, "fingerprint", f->print));
		else
			(void)json_array_append_new(json_object_get(o, "certificates"), json_pack("{s:s,s:s,s:s,s:I}", "kind", f->kind, "authority",
			    f->authority, "names", f->names, "until", (json_int_t)f->until));
	}
	int rc = print_json(o);
	json_decref(o);
	return rc;
}

/* "host_key A,B;" of the plain ones, "host_ca C;" of the certificates' authorities; and what they are. */
static void
show_line(const char *directive, const struct found *found, size_t n)
{
	const bool certificates = strcmp(directive, "host_ca") == 0;
	unsigned shown = 0;
	for (size_t i = 0; i < n; i++) {
		const char *print = certificates ? found[i].authority : found[i].print;
		bool before = certificates != (found[i].authority[0] != '\0');
		for (size_t k = 0; k < i && certificates; k++)
			before = before || strcmp(found[k].authority, print) == 0;
		if (before)
			continue;
		(void)printf("%s%s%s", shown == 0 ? directive : "", shown == 0 ? " " : ",", print);
		shown++;
	}
	if (shown > 0)
		(void)printf(";\n");
}

static int
show(const struct run *r, const struct found *found, size_t n)
{
	char until[32] = "";
	if (r->json)
		return show_json(r, found, n);
	show_line("host_key", found, n);
	for (size_t i = 0; i < n; i++)
		if (found[i].authority[0] == '\0')
			(void)printf("    # %s %s\n", found[i].print, found[i].kind);
	show_line("host_ca", found, n);
	for (size_t i = 0; i < n; i++) {
		struct tm tm = { 0 };
		if (found[i].authority[0] == '\0')
			continue;
		(void)strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&found[i].until, &tm));
		(void)printf("    # %s %s for %s until %s\n", found[i].authority, found[i].kind, found[i].names, found[i].until == 0 ? "ever" : until);
	}
	(void)fprintf(stderr, "Compare them with what the host itself says: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub, there;\n"
			      "an authority's with those who keep it. One of the two lines is enough.\n");
	return DONE;
}

/* How many there are, with those that were found before; negative: ssh-keyscan is not there. */
static int
find(const struct hostport *at, bool certificates, struct found found[KEYS + 1], int n)
{
	char port[8];
	pid_t pid = -1;
	int status = 0;
	(void)snprintf(port, sizeof(port), "%u", (unsigned)at->port);
	FILE *in = scan(at->host, port, certificates, &pid);
	n = in == NULL ? n : (int)read_keys(in, found, (size_t)n);
	if (in != NULL)
		(void)fclose(in);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid <= 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127) ? -1 : n;
}

int
run_scan_hostkey(struct run *r)
{
	struct found found[KEYS + 1]; /* one more to read into */
	struct hostport at;
	char whole[320];
	const char *word = r->word[0], *colon = strrchr(word, ':');
	bool bare = colon == NULL || strchr(word, ':') != colon; /* a name, or an IPv6 address without brackets */
	(void)snprintf(whole, sizeof(whole), word[0] == '[' || !bare ? "%s" : strchr(word, ':') == NULL ? "%s:22" : "[%s]:22", word);
	if (settings_hostport(whole, &at) != SP_OK || at.host[0] == '-')
		return misused(r, "HOST, HOST:PORT or [ADDRESS]:PORT, not \"%s\"", word);
	int n = find(&at, false, found, 0);
	if (n > 0)
		n = find(&at, true, found, n);
	if (n < 0)
		return failed("ssh-keyscan is not installed (apt-get install openssh-client)");
	return n == 0 ? failed("no SSH host answers at %s port %u", at.host, (unsigned)at.port) : show(r, found, (size_t)n);
}
