/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line as a client sends it.  Where nothing of it is opaque, its words, quoted anew, are the same
 * words: so rules judge what the shell will run.
 */
#include <stdlib.h>

#include "modules/shell/shell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned commands, opaque;
	struct sp_writer quoted; /* the first command, each word in '…' */
	size_t nwords;
	bool clear;
};

static void
quote(struct sp_writer *w, struct sp_bytes word)
{
	sp_wr_u8(w, '\'');
	for (size_t i = 0; i < word.len; i++) {
		if (word.p[i] == '\'')
			sp_wr_put(w, SP_LIT("'\\''"));
		else
			sp_wr_u8(w, word.p[i]);
	}
	sp_wr_put(w, SP_LIT("' "));
}

static int
on_command(void *owner, const struct shell_command *c)
{
	struct seen *s = owner;
	if (c->nwords > SHELL_WORDS || c->nredirects > SHELL_REDIRECTS || (c->opaque && s->opaque == 0))
		abort();
	if (s->commands++ > 0)
		return 0;
	s->clear = c->words_known && c->nredirects == 0 && c->named;
	s->nwords = c->nwords;
	for (size_t i = 0; i < c->nwords; i++)
		quote(&s->quoted, c->word[i]);
	return 0;
}

static int
on_opaque(void *owner, const char *what, struct sp_bytes name)
{
	struct seen *s = owner;
	(void)name;
	for (size_t i = 0; shell_opaque[i] != NULL; i++)
		if (shell_opaque[i] == what || strcmp(shell_opaque[i], what) == 0)
			s->opaque++;
	if (s->opaque == 0)
		abort(); /* a word that rules can't know */
	return 0;
}

static void
read_line(struct sp_bytes line, struct seen *s, uint8_t *space, size_t max)
{
	static struct shell_scratch scratch;
	const struct shell_reader r = { on_command, on_opaque, s };
	*s = (struct seen){ .quoted = sp_writer(space, max) };
	if (shell_read(line, &scratch, &r) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t one[8 * SHELL_LINE], two[8 * SHELL_LINE];
	struct seen first, again;
	read_line((struct sp_bytes){ data, size }, &first, one, sizeof(one));
	struct sp_bytes quoted = sp_written(&first.quoted);
	if (first.opaque > 0 || first.commands != 1 || !first.clear || first.nwords == 0 || first.quoted.bad || quoted.len >= SHELL_LINE / 2)
		return 0;
	read_line(quoted, &again, two, sizeof(two));
	struct sp_bytes same = sp_written(&again.quoted);
	if (again.opaque > 0 || again.commands != 1 || again.nwords != first.nwords || !sp_bytes_eq(quoted, same))
		abort();
	return 0;
}
