/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `doctor`: everything that a gateway stands on, looked at from the machine that it runs on, in plain sentences.
 *
 *   the configuration, by the daemon's own check, with a log-in at each target ─▶ files ─▶ certificates ─▶ disks, clock, kernel
 *
 * Nothing is changed.  What it cannot see, for want of rights, it says.
 */
#include <config.h>

#include "doctor.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_CONF SYSCONFDIR "/sallyport/sallyport.conf"

static const char *const finding_name[] = { [GOOD] = "ok", [WARNING] = "warning", [DANGER] = "danger" };

void
doctor_say(struct doctor *d, enum finding what, const char *about, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->dangers += what == DANGER;
	d->warnings += what == WARNING;
	json_t *said = json_string(text);
	(void)json_array_append_new(d->found, json_pack("{s:s,s:s,s:o}", "finding", finding_name[what], "about", about, "text",
	    said == NULL ? json_string("(not UTF-8)") : said));
	if (d->r->json)
		return;
	(void)printf("%-8s %-14s ", finding_name[what], about);
	print_safe(stdout, sp_str(text), 0);
	(void)putchar('\n');
	(void)fflush(stdout);
}

bool
doctor_wants(const struct doctor *d, const struct target *t)
{
	return d->only == NULL || strcmp(d->only, t->b.name) == 0;
}

/* ---- what the daemon says ---- */

/* What a data login may do that no rule can take from it. */
static bool
is_danger(const char *line)
{
	static const char *const powers[] = { "is a superuser", "passes row security", "makes roles", "reads or writes the server's files",
		"may write, though" };
	for (size_t i = 0; i < sizeof(powers) / sizeof(*powers); i++)
		if (strstr(line, powers[i]) != NULL)
			return true;
	return false;
}

/* "target NAME, …" of another target than the one that was named. */
static bool
is_other(const struct doctor *d, const char *line)
{
	size_t n = d->only == NULL ? 0 : strlen(d->only);
	if (d->only == NULL || strncmp(line, "target ", 7) != 0)
		return false;
	line += 7 + (line[7] == '"');
	return strncmp(line, d->only, n) != 0 || (line[n] != ',' && line[n] != '"' && line[n] != ' ');
}

/* "2026-11-26T…": what its processes log on the way is said again, in short, by itself. */
static bool
is_log(const char *line)
{
	return strspn(line, "0123456789-") == 10 && line[10] == 'T';
}

/* What begins with a target's name goes on with what that target said: no word of it makes the line another (P12). */
static void
take_line(struct doctor *d, char *line)
{
	static const char warning[] = "warning: ", program[] = "sallyportd: ";
	size_t n = strcspn(line, "\n");
	bool warned = strncmp(line, warning, sizeof(warning) - 1) == 0;
	line[n] = '\0';
	const char *text = warned ? line + sizeof(warning) - 1 : line;
	if (strncmp(text, program, sizeof(program) - 1) == 0)
		text += sizeof(program) - 1;
	if (strncmp(text, "target ", 7) == 0) {
		static const char observe[] = " is in observe mode: ";
		const char *after = strchr(text + 7, ' ');
		warned = warned || (after != NULL && strncmp(after, observe, sizeof(observe) - 1) == 0);
		if (!is_other(d, text))
			doctor_say(d, is_danger(text) || !warned ? DANGER : WARNING, "target", "%s", text);
		else
			d->others += !warned;
		return;
	}
	bool ok = strstr(text, ": syntax is ok, ") != NULL || strstr(text, ": all targets answered") != NULL;
	if (text[0] != '\0' && !is_log(text) && strstr(text, ": test failed: ") == NULL)
		doctor_say(d, ok ? GOOD : is_danger(text) || !warned ? DANGER : WARNING, "configuration", "%s", text);
}

static pid_t
start(const char *path, const char *conf, int fd)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(127);
	execl(path, "sallyportd", "-c", conf, "-t", "--connect", (char *)NULL);
	_exit(127);
}

void
doctor_daemon(struct doctor *d)
{
	static const char *const places[] = { "../sbin/sallyportd", "sallyportd", NULL };
	char path[PATH_MAX], *line = NULL;
	size_t room = 0;
	int fd[2], status = 0;
	if (!beside(places, path, sizeof(path)) || pipe(fd) != 0) {
		doctor_say(d, d->s == NULL ? DANGER : WARNING, "configuration", "%s%ssallyportd is not beside this program, so that its own check is missing: run `sallyportd -t --connect`",
		    d->s == NULL && d->wrong != NULL ? d->wrong : "", d->s == NULL && d->wrong != NULL ? "; and " : "");
		return;
	}
	pid_t pid = start(path, d->conf, fd[1]);
	(void)close(fd[1]);
	FILE *f = fdopen(fd[0], "r");
	while (f != NULL && getline(&line, &room, f) > 0)
		take_line(d, line);
	free(line);
	if (f != NULL)
		(void)fclose(f);
	bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
	if (!ended || WEXITSTATUS(status) > 1 || (WEXITSTATUS(status) == 1 && d->dangers == 0 && d->others == 0))
		doctor_say(d, DANGER, "configuration", "%s -t --connect could not be run to its end", path);
}

/* ---- all of it ---- */

static void
look(struct doctor *d)
{
	static void (*const part[])(struct doctor *) = { doctor_daemon, doctor_files, doctor_certificates, doctor_disks, doctor_clock, doctor_kernel };
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++)
		if (i == 0 || d->s != NULL)
			part[i](d);
}

static int
conclude(struct doctor *d)
{
	int rc = DONE;
	if (d->r->json) {
		json_t *o = json_pack("{s:O,s:I,s:I}", "found", d->found, "dangers", (json_int_t)d->dangers, "warnings", (json_int_t)d->warnings);
		rc = print_json(o);
		json_decref(o);
	} else {
		(void)printf("\n%u dangers, %u warnings\n", d->dangers, d->warnings);
	}
	return rc == DONE && d->dangers > 0 ? FAILED : rc;
}

int
run_doctor(struct run *r)
{
	struct doctor d = { .r = r, .conf = option(r, "conf") == NULL ? DEFAULT_CONF : option(r, "conf"), .only = r->nwords > 0 ? r->word[0] : NULL,
		.found = json_array() };
	struct epoch *e = NULL;
	int rc = DONE;
	if (epoch_read(d.conf, &e, &d.wrong) == SP_OK)
		d.s = &e->settings;
	if (d.s != NULL && d.only != NULL && settings_target(d.s, d.only) == NULL)
		rc = failed("%s has no target \"%s\"", d.conf, d.only);
	if (rc == DONE && geteuid() != 0)
		doctor_say(&d, WARNING, "doctor", "started without root, it may not see all files; what it can't see is no good sign");
	if (rc == DONE) {
		look(&d);
		rc = conclude(&d);
	}
	json_decref(d.found);
	epoch_free(&e);
	return rc;
}
