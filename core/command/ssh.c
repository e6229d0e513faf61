/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh-config: a key of this machine's, certified by the gateway, and lines for OpenSSH's clients.
 *
 *     ~/.config/sallyport/ssh/    key, key.pub      ssh-keygen makes them, once
 *                                 key-cert.pub      what the gateway signed, good for hours
 *                                 known_hosts       the gateway's own key, as it was told by TLS
 *                                 config            a Host for each SSH target: `Include` it in ~/.ssh/config
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/directive.h"
#include "reach.h"

#define PATH_ROOM 4200
/* Preferred to ChaCha20, which costs a gateway more than AES in hardware does; all others stay (OpenSSH 8.0 knows ^). */
#define CIPHERS "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"

struct ssh_place {
	char folder[4100], key[PATH_ROOM], public[PATH_ROOM], certificate[PATH_ROOM], known[PATH_ROOM], config[PATH_ROOM];
};

static int
find_place(struct ssh_place *p)
{
	char home[4096];
	saved_folder(home);
	if (home[0] == '\0')
		return failed("there is no home to keep a key in: set $HOME");
	int rc = saved_make_folders(home);
	(void)snprintf(p->folder, sizeof(p->folder), "%s/ssh", home);
	if (rc == DONE)
		rc = saved_make_folders(p->folder);
	(void)snprintf(p->key, sizeof(p->key), "%s/key", p->folder);
	(void)snprintf(p->public, sizeof(p->public), "%s/key.pub", p->folder);
	(void)snprintf(p->certificate, sizeof(p->certificate), "%s/key-cert.pub", p->folder);
	(void)snprintf(p->known, sizeof(p->known), "%s/known_hosts", p->folder);
	(void)snprintf(p->config, sizeof(p->config), "%s/config", p->folder);
	return rc;
}

/* OpenSSH's own programs, by name; no shell. */
static int
start(const char *const argv[])
{
	int status = 0;
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return DONE;
	return failed("%s %s", argv[0], pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "is not installed" : "did not do it");
}

static int
read_public(const struct ssh_place *p, char line_r[1024])
{
	const char *const keygen[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sallyport", "-f", p->key, NULL };
	if (access(p->public, R_OK) != 0) {
		int rc = start(keygen);
		if (rc != DONE)
			return rc;
	}
	FILE *f = fopen(p->public, "re");
	bool read = f != NULL && fgets(line_r, 1024, f) != NULL;
	if (f != NULL)
		(void)fclose(f);
	line_r[strcspn(read ? line_r : "", "\r\n")] = '\0';
	return read ? DONE : failed("%s can't be read", p->public);
}

static int
write_file(const char *path, const char *text)
{
	char fresh[PATH_ROOM + 8];
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t n = strlen(text);
	bool written = fd >= 0 && write(fd, text, n) == (ssize_t)n;
	if (fd >= 0)
		written = close(fd) == 0 && written;
	return written && rename(fresh, path) == 0 ? DONE : failed("%s can't be written: %s", path, strerror(errno));
}

static const char *
member(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

/* What ssh_config takes as one word that means itself; a server may send anything. */
static bool
plain(const char *word)
{
	for (const char *p = word; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"'\\*?!%,#=$`", *p) != NULL)
			return false;
	return word[0] != '\0' && word[0] != '-';
}

/* The host of "https://HOST:PORT" when the gateway listens everywhere. */
static const char *
host_of(const struct run *r, const json_t *answer, char space[320])
{
	struct reach at;
	const char *host = option(r, "host") != NULL ? option(r, "host") : member(answer, "host");
	(void)snprintf(space, 320, "%s", host);
	if (host[0] == '\0' && reach_find(r, &at) == DONE) {
		const char *from = strncmp(at.url, "https://", 8) == 0 ? at.url + 8 : at.url;
		bool v6 = from[0] == '[';
		(void)snprintf(space, 320, "%.*s", (int)strcspn(from + v6, v6 ? "]" : ":/"), from + v6);
		reach_end(&at);
	}
	return space[0] == '\0' ? "localhost" : space;
}

static int
write_config(const struct run *r, const struct ssh_place *p, const json_t *answer, const json_t *targets)
{
	char space[320];
	size_t i;
	json_t *t;
	unsigned n = 0;
	struct buffer text = { 0 };
	const char *host = host_of(r, answer, space);
	long long port = json_integer_value(json_object_get(answer, "port"));
	if (port == 0 || !plain(host))
		return failed(port == 0 ? "the gateway has no listener for ssh" : "where the gateway is can't be written into a configuration: give --host");
	int rc = buffer_printf(&text, "# Written by `sallyport ssh-config`.\n");
	json_array_foreach(targets, i, t) {
		if (strcmp(member(t, "protocol"), "ssh") != 0 || !plain(member(t, "name")))
			continue;
		n++;
		rc = rc != SP_OK ? rc : buffer_printf(&text, "\nHost %s\n    HostName %s\n    Port %lld\n    User %s\n    HostKeyAlias sallyport-%s-%lld\n"
				"    IdentityFile \"%s\"\n    CertificateFile \"%s\"\n    IdentitiesOnly yes\n    PreferredAuthentications publickey\n    Ciphers " CIPHERS "\n",
				member(t, "name"), host, port, member(t, "name"), host, port, p->key, p->certificate);
		if (member(answer, "host_key")[0] != '\0')
			rc = rc != SP_OK ? rc : buffer_printf(&text, "    UserKnownHostsFile \"%s\"\n    GlobalKnownHostsFile none\n    StrictHostKeyChecking yes\n"
					"    UpdateHostKeys no\n", p->known);
	}
	if (rc == SP_OK)
		rc = buffer_put(&text, (struct sp_bytes){ (const uint8_t *)"", 1 });
	rc = rc == SP_OK ? write_file(p->config, (const char *)buffer_bytes(&text).p) : failed("out of memory");
	buffer_free(&text);
	if (rc == DONE)
		(void)printf("%u host%s in %s\n", n, n == 1 ? "" : "s", p->config);
	return rc;
}

/* For all hosts of the configuration that names the file. */
static int
write_known(const struct ssh_place *p, const char *key)
{
	char text[4096];
	for (const char *c = key; *c != '\0'; c++)
		if ((*c < '0' || *c > '9') && (*c < 'a' || *c > 'z') && (*c < 'A' || *c > 'Z') && strchr("+/=-@. ", *c) == NULL)
			return failed("the gateway's answer has no host key");
	int n = snprintf(text, sizeof(text), "* %s\n", key);
	return key[0] == '\0' ? DONE : (size_t)n < sizeof(text) ? write_file(p->known, text) : failed("the gateway's host key is too long");
}

static int
certify(const struct run *r, const struct ssh_place *p, const char *line, uint64_t ms, json_t **answer_r)
{
	json_t *args = json_pack("{s:s}", "key", line);
	if (ms > 0)
		(void)json_object_set_new(args, "for", json_integer((json_int_t)ms));
	int rc = client_call(r, "POST", "/api/v1/ssh-certificate", args, answer_r);
	if (rc != DONE)
		return rc;
	char text[8192];
	rc = write_known(p, member(*answer_r, "host_key"));
	if (rc != DONE)
		return rc;
	int n = snprintf(text, sizeof(text), "%s\n", member(*answer_r, "certificate"));
	return n > 1 && (size_t)n < sizeof(text) ? write_file(p->certificate, text) : failed("the gateway's answer has no certificate");
}

static int
add_to_agent(const struct ssh_place *p, uint64_t ms)
{
	char seconds[24];
	const char *const add[] = { "ssh-add", "-q", "-t", seconds, p->key, NULL };
	(void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(ms == 0 ? 8 * 3600 : ms / 1000 + 1));
	return start(add);
}

static int
do_all(const struct run *r, const struct ssh_place *p, uint64_t ms, bool agent)
{
	char line[1024];
	json_t *answer = NULL, *targets = NULL;
	int rc = read_public(p, line);
	if (rc == DONE)
		rc = certify(r, p, line, ms, &answer);
	if (rc == DONE)
		rc = client_call(r, "GET", "/api/v1/targets", NULL, &targets);
	if (rc == DONE)
		rc = write_config(r, p, answer, json_object_get(targets, "targets"));
	if (rc == DONE && agent)
		rc = add_to_agent(p, ms);
	if (rc == DONE) {
		(void)printf("certificate %s: new sessions until ", member(answer, "id"));
		print_safe(stdout, sp_str(member(answer, "window")), 0);
		(void)printf("\n");
	}
	json_decref(answer);
	json_decref(targets);
	return rc;
}

int
run_ssh_config(struct run *r)
{
	const char *span = option(r, "for");
	uint64_t ms = 0;
	struct ssh_place p;
	if (span != NULL && (directive_duration(span, &ms) != SP_OK || ms == 0))
		return misused(r, "--for takes a duration with its unit, such as 2h, not \"%s\"", span);
	int rc = find_place(&p);
	if (rc == DONE)
		rc = do_all(r, &p, ms, flag(r, "agent"));
	if (rc == DONE)
		(void)printf("~/.ssh/config needs one line, once:  Include %s\n", p.config);
	return rc;
}

int
ssh_config_again(struct run *r)
{
	char line[1024];
	json_t *answer = NULL;
	struct ssh_place p;
	if (find_place(&p) != DONE || access(p.certificate, F_OK) != 0)
		return DONE;
	int rc = read_public(&p, line);
	if (rc == DONE)
		rc = certify(r, &p, line, 0, &answer);
	if (rc == DONE)
		(void)printf("SSH certificate %s, too\n", member(answer, "id"));
	json_decref(answer);
	return rc;
}
