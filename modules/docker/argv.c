/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in a container: its words, and for a shell's line those of each command.
 *
 *   ["sh", "-c", "ls /srv && rm -r x"] ─▶ a node for `ls /srv`, another for `rm -r x`; shell = "sh"
 *
 * The line is read as for SSH (modules/shell): what it can't see is unclear, "shell", and what another program would read
 * is unclear, "program".  A shell without a line, or with options of other kinds, is a program like any other.
 */
#include "docker.h"

#include "../shell/shell.h"

struct reading {
	struct sp_op *op;
	struct sp_bytes shell;
	const struct again *again;
	bool first; /* no command was begun yet */
	bool begun; /* the node of the command under way is there */
};

/* The first command is the root node's, each further one has a node of its own. */
static int
begin_command(struct reading *r)
{
	if (r->begun)
		return SP_OK;
	int rc = SP_OK;
	if (!r->first) {
		rc = sp_op_node(r->op);
		rc = rc == SP_OK ? r->again->say(r->op, r->again->of) : rc;
	}
	r->first = false;
	r->begun = true;
	return rc == SP_OK ? sp_op_str(r->op, A_SHELL, r->shell) : rc;
}

/* What is fixed of it; what is not is unknown, and restrictions apply to it. */
static int
on_command(void *owner, const struct shell_command *c)
{
	struct reading *r = owner;
	int rc = begin_command(r);
	r->begun = false;
	if (rc == SP_OK)
		rc = !c->named ? sp_op_unknown(r->op, A_PROGRAM) : c->nwords == 0 ? SP_OK : sp_op_str(r->op, A_PROGRAM, shell_base_name(c->word[0]));
	if (rc == SP_OK && !c->words_known)
		rc = sp_op_unknown(r->op, A_ARGV);
	for (size_t i = 0; i < c->nwords && rc == SP_OK && c->words_known; i++)
		rc = sp_op_add(r->op, A_ARGV, c->word[i]);
	for (size_t i = 0; i < c->nredirects && rc == SP_OK && c->files_known; i++)
		rc = sp_op_add(r->op, c->writes[i] ? A_WRITES : A_READS, c->to[i]);
	if (rc != SP_OK || c->files_known)
		return rc;
	rc = sp_op_unknown(r->op, A_WRITES);
	return rc == SP_OK ? sp_op_unknown(r->op, A_READS) : rc;
}

static int
on_opaque(void *owner, const char *what, struct sp_bytes name)
{
	struct reading *r = owner;
	int rc = begin_command(r);
	if (rc != SP_OK)
		return rc;
	return name.len > 0 ? sp_op_unclear(r->op, "program", name) : sp_op_unclear(r->op, "shell", sp_str(what));
}

/* sh -c LINE [NAME ARGUMENT…], with options that change nothing of how the line is read; empty: it is none. */
static struct sp_bytes
line_of(const struct sp_bytes *word, size_t n)
{
	static const char *const shells[] = { "sh", "bash", "dash", "ash", NULL };
	const struct sp_bytes none = { NULL, 0 };
	bool shell = false, line = false;
	for (size_t i = 0; n > 2 && shells[i] != NULL; i++)
		shell = shell || sp_bytes_is(shell_base_name(word[0]), shells[i]);
	for (size_t i = 1; shell && i < n; i++) {
		bool option = word[i].len > 0 && (word[i].p[0] == '-' || word[i].p[0] == '+');
		if (!option)
			return line ? word[i] : none;
		if (word[i].len < 2 || word[i].p[0] == '+') /* "-" ends options, as "--" does */
			return none;
		for (size_t k = 1; k < word[i].len; k++) {
			if (memchr("ceuxl", word[i].p[k], 5) == NULL)
				return none;
			line = line || word[i].p[k] == 'c';
		}
	}
	return none;
}

static int
say_line(struct sp_op *op, struct sp_bytes shell, struct sp_bytes line, const struct again *again)
{
	static struct shell_scratch scratch; /* one thread, and classify() is not called inside itself */
	struct reading r = { .op = op, .shell = shell, .again = again, .first = true };
	const struct shell_reader to = { on_command, on_opaque, &r };
	int rc = shell_read(line, &scratch, &to);
	return rc == SP_OK && r.first ? sp_op_unclear(op, "shell", SP_LIT("syntax")) : rc; /* nothing at all */
}

int
docker_say_argv(struct sp_op *op, const struct sp_bytes *word, size_t n, const struct again *again)
{
	if (n == 0)
		return SP_OK;
	struct sp_bytes program = shell_base_name(word[0]), line = line_of(word, n);
	if (line.len > 0)
		return say_line(op, program, line, again);
	int rc = sp_op_str(op, A_PROGRAM, program);
	for (size_t i = 0; i < n && rc == SP_OK; i++)
		rc = sp_op_add(op, A_ARGV, word[i]);
	return rc == SP_OK && shell_is_interpreter(word, n) ? sp_op_unclear(op, "program", program) : rc;
}
