/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport secret`: sealed secrets, changed by whoever may write them: root, or the keeper's own user.
 *
 * Not by way of the gateway: a secret would pass the console on its way to the keeper.  Here it goes
 * from the terminal, or a pipe, into this process and sealed to the disk.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/role.h"
#include "command.h"
#include "secret_files.h"

#define DEFAULT_CONF SYSCONFDIR "/sallyport/sallyport.conf"

struct asked {
	struct run *r;
	struct arena *arena;
	struct settings settings;
	struct secret_folder folder;
};

/* Not more of the configuration than its settings: its keys and policies are others'. */
static int
read_settings(struct asked *q)
{
	const char *given = option(q->r, "conf"), *path = given == NULL ? DEFAULT_CONF : given, *err = path;
	struct conf_node *tree;
	char *real = realpath(path, NULL);
	if (real == NULL)
		return failed("cannot read %s: %s (name another with --conf FILE)", path, strerror(errno));
	q->settings.folder = conf_folder(q->arena, real);
	int rc = conf_read(q->arena, real, &tree, &err);
	free(real);
	if (rc == SP_OK)
		rc = settings_fill(q->arena, tree, &q->settings, &err);
	return rc == SP_OK ? DONE : failed("%s", err);
}

static int
begin(struct asked *q, struct run *r)
{
	*q = (struct asked){ .r = r, .arena = arena_new(0), .folder = { .fd = -1 } };
	role_no_dumps();
	return read_settings(q);
}

static int
begin_here(struct asked *q, struct run *r)
{
	int rc = begin(q, r);
	return rc == DONE ? secret_folder_open(&q->settings, false, &q->folder) : rc;
}

static int
end(struct asked *q, int rc)
{
	secret_folder_close(&q->folder);
	arena_free(&q->arena);
	return rc;
}

static int
check_name(struct run *r)
{
	if (sealed_name_ok(r->word[0]))
		return DONE;
	return misused(r, "a name has letters, digits, - _ and ., at most %d, and no . at its start", SEALED_NAME_MAX);
}

/* ---- who uses it ---- */

static bool
names(const char *where, const char *name)
{
	return strncmp(where, "sealed:", 7) == 0 && strcmp(where + 7, name) == 0;
}

/* The targets that name the secret, with commas between. */
static int
used_by(const struct settings *s, const char *name, struct buffer *out)
{
	int rc = SP_OK;
	for (const struct target *t = s->targets; t != NULL; t = (const struct target *)t->b.next)
		if (names(t->login.secret, name) || names(t->login.key, name) || names(t->catalogue.secret, name) ||
		    names(t->admin.secret, name) || names(t->estimate.secret, name))
			rc = buffer_printf(out, "%s%s", out->len == 0 ? "" : ",", t->b.name);
	for (const struct vault *v = s->vaults; v != NULL; v = (const struct vault *)v->b.next)
		if (names(v->token, name))
			rc = buffer_printf(out, "%svault %s", out->len == 0 ? "" : ",", v->b.name);
	return rc == SP_OK ? buffer_put(out, (struct sp_bytes){ (const uint8_t *)"", 1 }) : rc;
}

/* ---- reading it ---- */

static struct termios terminal_before;

static int
echo(bool on)
{
	struct termios t = terminal_before;
	if (!on)
		t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &t);
}

/* Who is interrupted leaves a terminal that shows what is typed. */
static void
on_interrupt(int number)
{
	(void)echo(true);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

/* Up to a newline on a terminal, all of it from a pipe; the newline is not a part of it. */
static int
read_once(bool terminal, uint8_t text[SEALED_PLAIN_MAX + 2], size_t *len_r)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = read(STDIN_FILENO, text + len, SEALED_PLAIN_MAX + 2 - len);
		if (n < 0)
			return failed("cannot read the secret: %s", strerror(errno));
		len += (size_t)n;
		bool line = terminal && len > 0 && text[len - 1] == '\n';
		if (n == 0 || line || len == SEALED_PLAIN_MAX + 2)
			break;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	*len_r = len;
	if (len == 0 || len > SEALED_PLAIN_MAX)
		return failed(len == 0 ? "an empty secret is none" : "a secret has at most %d bytes", SEALED_PLAIN_MAX);
	return memchr(text, 0, len) == NULL ? DONE : failed("a secret has no NUL in it");
}

static int
ask_twice(uint8_t text[SEALED_PLAIN_MAX + 2], size_t *len_r)
{
	uint8_t again[SEALED_PLAIN_MAX + 2];
	size_t len = 0;
	(void)signal(SIGINT, on_interrupt);
	(void)signal(SIGTERM, on_interrupt);
	if (echo(false) != 0)
		return failed("cannot turn the terminal's echo off: %s", strerror(errno));
	(void)fprintf(stderr, "Secret: ");
	int rc = read_once(true, text, len_r);
	if (rc == DONE) {
		(void)fprintf(stderr, "\nThe same again: ");
		rc = read_once(true, again, &len);
	}
	(void)echo(true);
	(void)fprintf(stderr, "\n");
	if (rc == DONE && !mem_equal((struct sp_bytes){ text, *len_r }, (struct sp_bytes){ again, len }))
		rc = failed("these were not the same; nothing was changed");
	mem_wipe(again, sizeof(again));
	return rc;
}

static int
read_secret(uint8_t text[SEALED_PLAIN_MAX + 2], size_t *len_r)
{
	return tcgetattr(STDIN_FILENO, &terminal_before) == 0 ? ask_twice(text, len_r) : read_once(false, text, len_r);
}

/* ---- the subcommands ---- */

int
run_secret_set(struct run *r)
{
	struct asked q;
	uint8_t text[SEALED_PLAIN_MAX + 2];
	size_t len = 0;
	int rc = check_name(r);
	if (rc != DONE)
		return rc;
	rc = begin(&q, r);
	if (rc == DONE)
		rc = read_secret(text, &len);
	/* Only now: the folder is locked. */
	if (rc == DONE)
		rc = secret_folder_open(&q.settings, true, &q.folder);
	if (rc == DONE)
		rc = secret_key_make(&q.folder);
	if (rc == DONE)
		rc = secret_put(&q.folder, r->word[0], (struct sp_bytes){ text, len });
	mem_wipe(text, sizeof(text));
	if (rc == DONE)
		(void)printf("%s is sealed; `sallyportd -s reload` puts it in force\n", r->word[0]);
	return end(&q, rc);
}

int
run_secret_remove(struct run *r)
{
	struct asked q;
	struct buffer users = { 0 };
	int rc = check_name(r);
	if (rc != DONE)
		return rc;
	rc = begin_here(&q, r);
	if (rc == DONE && used_by(&q.settings, r->word[0], &users) == SP_OK && users.len > 1)
		rc = failed("%s is the secret of %s: change the configuration first", r->word[0], (const char *)buffer_bytes(&users).p);
	if (rc == DONE)
		rc = secret_remove(&q.folder, r->word[0]);
	buffer_free(&users);
	return end(&q, rc);
}

int
run_secret_rotate(struct run *r)
{
	struct asked q;
	size_t n = 0;
	bool finished = false;
	int rc = begin_here(&q, r);
	if (rc == DONE)
		rc = secret_rotate(&q.folder, &n, &finished);
	if (rc == DONE)
		(void)printf("%s: %zu %s sealed anew; the old key is gone\n", finished ? "an earlier rotation is finished" : "there is a new key", n,
		    n == 1 ? "secret was" : "secrets were");
	return end(&q, rc);
}

struct rows {
	const struct asked *q;
	json_t *all;
};

static int
add_row(void *owner, const char *name, const char *state, uint64_t sealed)
{
	const struct rows *rows = owner;
	struct buffer users = { 0 };
	char when[32];
	int rc = used_by(&rows->q->settings, name, &users);
	(void)clock_format(sealed, when);
	json_t *row = rc != SP_OK ? NULL : json_pack("{ss,ss,ss,ss}", "name", name, "sealed", when, "state", state, "used_by", (const char *)buffer_bytes(&users).p);
	buffer_free(&users);
	return json_array_append_new(rows->all, row) == 0 ? DONE : failed("no memory for a list");
}

static void
print_rows(const json_t *all)
{
	static const char *const heads[] = { "NAME", "SEALED", "STATE", "USED BY", NULL };
	struct table *t = table_new(heads);
	size_t i;
	const json_t *row;
	json_array_foreach(all, i, row) {
		table_member(t, row, "name");
		table_member(t, row, "sealed");
		table_member(t, row, "state");
		table_member(t, row, "used_by");
	}
	table_print(&t);
}

int
run_secret_list(struct run *r)
{
	struct asked q;
	struct rows rows = { &q, json_array() };
	int rc = begin_here(&q, r);
	if (rc == DONE)
		rc = secret_each(&q.folder, add_row, &rows);
	if (rc == DONE && r->json)
		rc = print_json(rows.all);
	else if (rc == DONE)
		print_rows(rows.all);
	json_decref(rows.all);
	return end(&q, rc);
}
