/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as bytes for other processes, and as text for people.
 *
 *     list   be32 number of directives, then each of them
 *     each   cstr name | be16 number of words, cstr each | cstr file | be32 line | u8 block | list, if a block
 */
#include <config.h>

#include "conf.h"

/* ---- bytes ---- */

static void pack_list(struct sp_writer *w, const struct conf_node *first, unsigned depth);

static void
pack_node(struct sp_writer *w, const struct conf_node *node, unsigned depth)
{
	sp_wr_cstr(w, sp_str(node->name));
	sp_wr_be16(w, (uint16_t)node->nargs);
	for (unsigned i = 0; i < node->nargs; i++)
		sp_wr_cstr(w, sp_str(node->args[i]));
	sp_wr_cstr(w, sp_str(node->file));
	sp_wr_be32(w, node->line);
	sp_wr_u8(w, node->block);
	if (node->block)
		pack_list(w, node->child, depth + 1);
}

static void
pack_list(struct sp_writer *w, const struct conf_node *first, unsigned depth)
{
	uint32_t n = 0;
	if (depth > CONF_DEPTH)
		w->bad = true;
	for (const struct conf_node *node = first; node != NULL; node = node->next)
		n++;
	sp_wr_be32(w, n);
	for (const struct conf_node *node = first; node != NULL && !w->bad; node = node->next)
		pack_node(w, node, depth);
}

int
conf_pack(const struct conf_node *top, struct buffer *out)
{
	struct sp_writer w = buffer_writer(out);
	pack_list(&w, top, 0);
	return buffer_written(out, &w);
}

struct unpacking {
	struct arena *arena;
	struct sp_reader in;
	const char *file; /* of the node before: most come from the same one */
	unsigned nodes;
};

static const char *
unpack_string(struct unpacking *u)
{
	const char *s = arena_string(u->arena, sp_rd_cstr(&u->in));
	if (s == NULL)
		u->in.bad = true;
	return s;
}

static const char *
unpack_file(struct unpacking *u)
{
	struct sp_reader again = u->in;
	if (u->file == NULL || !sp_bytes_is(sp_rd_cstr(&again), u->file))
		return u->file = unpack_string(u);
	u->in = again;
	return u->file;
}

static int unpack_list(struct unpacking *u, unsigned depth, struct conf_node **first_r);

static int
unpack_node(struct unpacking *u, unsigned depth, struct conf_node *node)
{
	node->name = unpack_string(u);
	node->nargs = sp_rd_be16(&u->in);
	if (u->in.bad || node->nargs > CONF_ARGS || node->name[0] == '\0')
		return SP_EPROTO;
	const char **args = arena_alloc(u->arena, (node->nargs + 1) * sizeof(*args));
	if (args == NULL)
		return SP_ENOMEM;
	for (unsigned i = 0; i < node->nargs; i++)
		args[i] = unpack_string(u);
	node->args = args;
	node->file = unpack_file(u);
	node->line = sp_rd_be32(&u->in);
	uint8_t block = sp_rd_u8(&u->in);
	if (u->in.bad || block > 1)
		return SP_EPROTO;
	node->block = block;
	return block ? unpack_list(u, depth + 1, &node->child) : SP_OK;
}

static int
unpack_list(struct unpacking *u, unsigned depth, struct conf_node **first_r)
{
	uint32_t n = sp_rd_be32(&u->in);
	struct conf_node **tail = first_r;
	if (u->in.bad || depth > CONF_DEPTH || n > CONF_NODES - u->nodes)
		return SP_EPROTO;
	for (u->nodes += n; n > 0; n--) {
		struct conf_node *node = arena_alloc(u->arena, sizeof(*node));
		if (node == NULL)
			return SP_ENOMEM;
		int rc = unpack_node(u, depth, node);
		if (rc != SP_OK)
			return rc;
		*tail = node;
		tail = &node->next;
	}
	return SP_OK;
}

int
conf_unpack(struct arena *a, struct sp_bytes in, struct conf_node **top_r)
{
	struct unpacking u = { .arena = a, .in = sp_reader(in) };
	struct conf_node *top = NULL;
	*top_r = NULL;
	int rc = unpack_list(&u, 0, &top);
	if (rc != SP_OK)
		return rc;
	if (!sp_rd_done(&u.in))
		return SP_EPROTO;
	*top_r = top;
	return SP_OK;
}

/* ---- text ---- */

static bool
needs_quotes(const char *word)
{
	return word[0] == '\0' || word[0] == '#' || strpbrk(word, " \t\r\n;{}\"") != NULL;
}

static int
print_word(const char *word, struct buffer *out)
{
	if (!needs_quotes(word))
		return buffer_put(out, sp_str(word));
	int rc = buffer_put(out, SP_LIT("\""));
	for (; *word != '\0' && rc == SP_OK; word++)
		rc = buffer_printf(out, *word == '"' || *word == '\\' ? "\\%c" : "%c", *word);
	return rc != SP_OK ? rc : buffer_put(out, SP_LIT("\""));
}

static int
print_node(const struct conf_node *node, unsigned depth, struct buffer *out)
{
	int rc = buffer_printf(out, "%*s%s", (int)(4 * depth), "", node->name);
	for (unsigned i = 0; i < node->nargs && rc == SP_OK; i++) {
		rc = buffer_put(out, SP_LIT(" "));
		if (rc == SP_OK)
			rc = print_word(node->args[i], out);
	}
	if (rc == SP_OK)
		rc = node->block ? buffer_put(out, SP_LIT(" {\n")) : buffer_put(out, SP_LIT(";\n"));
	if (!node->block)
		return rc;
	for (const struct conf_node *child = node->child; child != NULL && rc == SP_OK; child = child->next)
		rc = print_node(child, depth + 1, out);
	return rc != SP_OK ? rc : buffer_printf(out, "%*s}\n", (int)(4 * depth), "");
}

int
conf_print(const struct conf_node *top, struct buffer *out)
{
	const char *file = NULL;
	int rc = SP_OK;
	for (const struct conf_node *node = top; node != NULL && rc == SP_OK; node = node->next) {
		if (file == NULL || strcmp(file, node->file) != 0) {
			file = node->file;
			rc = buffer_printf(out, "# %.*s\n", (int)strcspn(file, "\r\n"), file);
		}
		if (rc == SP_OK)
			rc = print_node(node, 0, out);
	}
	return rc;
}
