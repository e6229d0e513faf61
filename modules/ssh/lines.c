/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `shell exec`: a shell whose every line is a command of its own, judged before it is at the target.
 *
 *   keys ─▶ edit.c ─ a line ─▶ "cd '/srv' || exit 1\n" and the line ─▶ ssh.exec ─ verdict ─▶ target's channel ─▶ its end ─┐
 *            └─────────────────────────────── the next one ◀──────────────────────────────────────────────────────────────┘
 *
 * The gateway keeps what a shell would: the folder (the target says where `cd` leads), variables, history.  A
 * command has a terminal where the client has one; without one lines are read as they come, and commands have
 * no input.
 */
#include "ssh.h"

#include <stdio.h>
#include <stdlib.h>

#include "../shell/shell.h"
#include "edit.h"

#define FOLDER_MAX 4096u

struct lines {
	struct edit edit;
	struct sp_op *shell;   /* the shell's own operation, as long as it is open */
	char *folder, *before; /* where commands run, and ran; NULL: where the login begins */
	bool moves;            /* the line under way is a cd, and says where it leads */
	uint8_t said[FOLDER_MAX];
	size_t nsaid;
	int status;            /* of the last line */
	bool prompted, leaving;
};

void
lines_free(struct lines **lines)
{
	struct lines *l = *lines;
	*lines = NULL;
	if (l == NULL)
		return;
	edit_free(&l->edit);
	sp_op_free(&l->shell);
	free(l->folder);
	free(l->before);
	free(l);
}

int
lines_done(struct channel *c)
{
	struct lines *l = c->lines;
	char text[32];
	snprintf(text, sizeof(text), "exit status %d", l->status);
	const struct sp_outcome o = { .error = "", .text = text };
	int rc = l->shell == NULL ? SP_OK : sp_done(l->shell, &o);
	sp_op_free(&l->shell);
	return rc;
}

int
lines_begin(struct channel *c)
{
	c->lines = calloc(1, sizeof(*c->lines));
	if (c->lines == NULL)
		return SP_ENOMEM;
	c->lines->shell = c->op;
	c->op = NULL;
	if (!c->answered_early)
		request_answer(c, true);
	c->state = CH_EDITING;
	return SP_OK;
}

/* ---- what the gateway itself shows ---- */

static int
show(struct channel *c, struct sp_bytes b)
{
	return b.len == 0 ? SP_OK : flow_show(c, c->lines->shell, b);
}

static int
show_text(struct channel *c, const char *text)
{
	int rc = show(c, sp_str(text));
	return rc == SP_OK ? show(c, c->pty ? SP_LIT("\r\n") : SP_LIT("\n")) : rc;
}

/* "host:/srv> " */
static int
prompt(struct channel *c)
{
	uint8_t space[1024];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct lines *l = c->lines;
	const char *folder = l->folder == NULL ? "~" : l->folder;
	size_t n = strlen(folder), most = 60;
	l->prompted = true;
	if (!c->pty)
		return SP_OK;
	l->edit.columns = c->columns;
	snprintf(l->edit.prompt, sizeof(l->edit.prompt), "%.40s:%s> ", sp_target_name(c->s), n > most ? folder + n - most : folder);
	for (char *p = l->edit.prompt; *p != '\0'; p++)
		if ((uint8_t)*p < ' ' || (uint8_t)*p >= 0x7f)
			*p = '?';
	edit_begin(&l->edit);
	edit_show(&l->edit, &w);
	return show(c, sp_written(&w));
}

/* ---- the end of it ---- */

/* Once the client has what it was shown. */
static int
leave(struct channel *c)
{
	c->lines->leaving = true;
	return SP_OK;
}

/* ---- a line becomes a command ---- */

static void
put_quoted(struct sp_writer *w, const char *text)
{
	sp_wr_u8(w, '\'');
	for (; *text != '\0'; text++)
		if (*text == '\'')
			sp_wr_put(w, SP_LIT("'\\''"));
		else
			sp_wr_u8(w, (uint8_t)*text);
	sp_wr_u8(w, '\'');
}

static int
ask_line(struct channel *c, struct sp_bytes text)
{
	c->command = strndup((const char *)text.p, text.len);
	if (c->command == NULL)
		return SP_ENOMEM;
	c->op = sp_op_new(c->s, c->number, scp_command(text) ? "ssh.scp" : "ssh.exec", text);
	if (c->op == NULL)
		return SP_ENOMEM;
	sp_op_set_cookie(c->op, c);
	c->purpose = FOR_EXEC;
	c->decided = false;
	c->what = SP_DENY;
	c->answered_early = true; /* its client has an open shell */
	c->state = CH_ASKED;
	return sp_ask(c->op);
}

static int
run(struct channel *c, struct sp_bytes line)
{
	static uint8_t space[EDIT_MAX + 5 * FOLDER_MAX];
	struct sp_writer w = sp_writer(space, sizeof(space));
	if (c->lines->folder != NULL) {
		sp_wr_put(&w, SP_LIT("cd "));
		put_quoted(&w, c->lines->folder);
		sp_wr_put(&w, SP_LIT(" || exit 1\n"));
	}
	sp_wr_put(&w, line);
	return ask_line(c, sp_written(&w));
}

/* ---- lines that the gateway reads for itself ---- */

struct own { /* a line that is one command of fixed words */
	char word[3][FOLDER_MAX];
	unsigned n, commands;
	bool other;
};

static int
own_opaque(void *owner, const char *what, struct sp_bytes name)
{
	struct own *own = owner;
	(void)what;
	(void)name;
	own->other = true;
	return 0;
}

static int
own_command(void *owner, const struct shell_command *command)
{
	struct own *own = owner;
	own->other = own->other || ++own->commands > 1 || command->nredirects > 0 || command->nwords > 3;
	for (size_t i = 0; i < command->nwords && !own->other; i++) {
		struct sp_bytes w = command->word[i];
		own->other = w.len >= FOLDER_MAX || (w.len > 0 && memchr(w.p, '\0', w.len) != NULL);
		if (own->other)
			break;
		if (w.len > 0)
			memcpy(own->word[i], w.p, w.len);
		own->word[i][w.len] = '\0';
		own->n = (unsigned)i + 1;
	}
	return 0;
}

/* The target says where it leads: its links, and whether it may be entered, are not known here. */
static int
run_cd(struct channel *c, const struct own *own)
{
	static uint8_t space[9 * FOLDER_MAX];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct lines *l = c->lines;
	const char *to = own->n < 2 ? NULL : own->word[1];
	if (to != NULL && strcmp(to, "-") == 0)
		to = l->before;
	else if (to != NULL && (to[0] == '-' || to[0] == '\0' || own->n > 2))
		return show_text(c, "cd takes one folder");
	if (to != NULL && to[0] != '/' && l->folder != NULL) {
		sp_wr_put(&w, SP_LIT("cd "));
		put_quoted(&w, l->folder);
		sp_wr_put(&w, SP_LIT(" && "));
	}
	sp_wr_put(&w, SP_LIT("cd"));
	if (to != NULL) {
		sp_wr_u8(&w, ' ');
		put_quoted(&w, to);
	}
	sp_wr_put(&w, SP_LIT(" && pwd"));
	l->moves = true;
	l->nsaid = 0;
	return ask_line(c, sp_written(&w));
}

static int
run_exit(struct channel *c, const struct own *own)
{
	if (own->n > 1)
		c->lines->status = (int)(strtoul(own->word[1], NULL, 10) & 255);
	return leave(c);
}

static int
run_history(struct channel *c, const struct own *own)
{
	const struct edit *e = &c->lines->edit;
	int rc = SP_OK;
	(void)own;
	for (unsigned i = 0; i < e->nhistory && rc == SP_OK; i++)
		rc = show_text(c, e->history[i]);
	return rc;
}

/* A variable of later commands: an operation like those that a client asks for before its shell. */
static int
run_export(struct channel *c, const struct own *own)
{
	const char *value = own->n == 2 ? strchr(own->word[1], '=') : NULL;
	if (value == NULL)
		return show_text(c, "export takes NAME=VALUE");
	if (!request_variable_fits(c, own->word[1]))
		return show_text(c, "the gateway does not keep this variable: `environment` of the target names those that it does");
	c->op = sp_op_new(c->s, c->number, "ssh.env", sp_str(own->word[1]));
	if (c->op == NULL)
		return SP_ENOMEM;
	sp_op_set_cookie(c->op, c);
	c->purpose = FOR_NOTHING;
	c->decided = false;
	c->what = SP_DENY;
	c->answered_early = true;
	c->state = CH_ASKED;
	return sp_ask(c->op);
}

static const struct {
	const char *name;
	int (*run)(struct channel *c, const struct own *own);
} own_commands[] = {
	{ "cd", run_cd }, { "exit", run_exit }, { "logout", run_exit }, { "history", run_history }, { "export", run_export },
};

static int
take_line(struct channel *c, struct sp_bytes line)
{
	static struct shell_scratch scratch;
	static struct own own;
	own.n = own.commands = 0;
	own.other = false;
	const struct shell_reader to = { own_command, own_opaque, &own };
	c->lines->prompted = false;
	c->lines->moves = false;
	while (line.len > 0 && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\r'))
		line.len--;
	if (line.len == 0 || line.p[0] == '#')
		return SP_OK;
	if (shell_read(line, &scratch, &to) == 0 && !own.other && own.n > 0)
		for (size_t i = 0; i < sizeof(own_commands) / sizeof(*own_commands); i++)
			if (strcmp(own.word[0], own_commands[i].name) == 0)
				return own_commands[i].run(c, &own);
	return run(c, line);
}

/* ---- between two lines ---- */

/* The folder that a cd came to: what `pwd` said. */
static int
move(struct channel *c)
{
	struct lines *l = c->lines;
	while (l->nsaid > 0 && (l->said[l->nsaid - 1] == '\n' || l->said[l->nsaid - 1] == '\r'))
		l->nsaid--;
	l->moves = false;
	if (!c->exited || c->status != 0)
		return SP_OK;
	if (l->nsaid == 0 || l->said[0] != '/' || memchr(l->said, '\n', l->nsaid) != NULL)
		return show_text(c, "the target does not say where this leads");
	free(l->before);
	l->before = l->folder;
	l->folder = strndup((const char *)l->said, l->nsaid);
	return l->folder == NULL ? SP_ENOMEM : SP_OK;
}

bool
lines_keep(struct channel *c, unsigned stream, struct sp_bytes b)
{
	struct lines *l = c->lines;
	if (l == NULL || !l->moves || stream != 0)
		return false;
	size_t n = b.len < sizeof(l->said) - l->nsaid ? b.len : sizeof(l->said) - l->nsaid;
	if (n > 0)
		memcpy(l->said + l->nsaid, b.p, n);
	l->nsaid += n;
	return true;
}

bool
lines_feeds(const struct channel *c)
{
	return c->lines == NULL || (c->pty && !c->lines->moves);
}

bool
lines_has_errors(const struct channel *c)
{
	return c->lines == NULL || !c->pty;
}

bool
lines_needs_pty(const struct channel *c)
{
	return c->pty && (c->lines == NULL || !c->lines->moves);
}

int
lines_next(struct channel *c, int status)
{
	struct lines *l = c->lines;
	int rc = l->moves ? move(c) : SP_OK;
	l->status = status;
	channel_drop_leg(c, SP_TARGET);
	for (unsigned i = 0; i < 2; i++) {
		sp_filter_free(&c->filter[i]);
		c->hold_until[i] = 0;
		c->eof_sent[i] = false;
	}
	sp_op_free(&c->op);
	free(c->command);
	c->command = NULL;
	c->noted = c->nsent = 0;
	c->flushed = c->pty_sent = c->exited = c->signalled = c->core_dumped = c->resized = false;
	c->purpose = FOR_SHELL;
	c->state = CH_EDITING;
	return rc;
}

/* Without a terminal lines are as they come, and nobody edits them. */
static enum edit_what
plain_key(struct edit *e, uint8_t key)
{
	if (key == '\n')
		return EDIT_LINE;
	if (e->len < EDIT_MAX)
		e->line[e->len++] = key;
	return EDIT_MORE;
}

static int
take_key(struct channel *c, uint8_t key, struct sp_writer *screen)
{
	struct lines *l = c->lines;
	enum edit_what what = c->pty ? edit_key(&l->edit, key, screen) : plain_key(&l->edit, key);
	if (what == EDIT_MORE)
		return SP_OK;
	int rc = show(c, sp_written(screen));
	screen->len = 0;
	l->prompted = false;
	if (rc != SP_OK || what == EDIT_CANCEL)
		return rc;
	if (what == EDIT_END)
		return leave(c);
	static uint8_t line[EDIT_MAX];
	size_t n = l->edit.len;
	memcpy(line, l->edit.line, n);
	bool kept = !c->pty || edit_remember(&l->edit);
	edit_begin(&l->edit);
	return kept ? take_line(c, (struct sp_bytes){ line, n }) : SP_ENOMEM;
}

static int
take_keys(struct channel *c, bool *moved_r)
{
	static uint8_t space[64u << 10];
	struct pending *in = &c->come[2];
	int rc = SP_OK;
	while (rc == SP_OK && c->state == CH_EDITING && !c->lines->leaving && in->at < in->len && flow_shown(c)) {
		struct sp_writer screen = sp_writer(space, sizeof(space));
		*moved_r = true;
		if (!c->lines->prompted)
			rc = prompt(c);
		while (rc == SP_OK && c->lines->prompted && !c->lines->leaving && in->at < in->len && screen.len < sizeof(space) / 2)
			rc = take_key(c, in->p[in->at++], &screen);
		if (rc == SP_OK)
			rc = show(c, sp_written(&screen));
		if (rc == SP_OK)
			rc = flow_send(c, 0, moved_r);
	}
	flow_forget(in);
	return rc;
}

/* The client sends no more: a last line without its end, then nothing. */
static int
end_of_keys(struct channel *c)
{
	uint8_t space[64];
	struct sp_writer screen = sp_writer(space, sizeof(space));
	return c->lines->edit.len == 0 ? leave(c) : take_key(c, c->pty ? '\r' : '\n', &screen);
}

int
lines_step(struct channel *c, bool *moved_r)
{
	struct lines *l = c->lines;
	struct pending *in = &c->come[2];
	size_t n = 0;
	int rc = flow_send(c, 0, moved_r);
	if (rc != SP_OK || !flow_shown(c))
		return rc;
	if (l->leaving) {
		*moved_r = true;
		rc = lines_done(c);
		return rc == SP_OK ? channel_refuse(c, l->status) : rc;
	}
	if (!l->prompted) {
		*moved_r = true;
		rc = prompt(c);
	}
	if (rc == SP_OK && in->at == in->len)
		rc = flow_gulp(c, SP_CLIENT, false, in, &n);
	l->edit.columns = c->columns;
	if (rc == SP_OK)
		rc = take_keys(c, moved_r);
	if (rc != SP_OK || c->state != CH_EDITING || l->leaving || in->at < in->len || !flow_shown(c) || !ssh_channel_is_eof(c->leg[SP_CLIENT]))
		return rc;
	*moved_r = true;
	return end_of_keys(c);
}
