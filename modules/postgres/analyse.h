/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a text to an operation: what a statement is, does and touches.
 *
 *   text ─▶ scan.c   length, encoding, nesting      ─▶ unclear: size, encoding, depth
 *        ─▶ libpg_query, PostgreSQL's own grammar   ─▶ unclear: syntax
 *        ─▶ analyse*.c   statements, names, columns ─▶ attributes; unclear: node, code, function, setting
 *
 * Unclear is denied unless a rule lifts that very reason and name:
 *
 *   syntax    the grammar (PostgreSQL 15) does not take it; name: the keyword or sign it stopped at,
 *             or "a name", "a constant", "end of text"
 *   size      longer than `statement max`
 *   depth     nested deeper than we can follow
 *   encoding  NUL inside, or not UTF-8
 *   node      a construct that this version does not know; name: its kind
 *   code      code we can't see; name: "do LANGUAGE", "execute NAME", schema.function …
 *   function  neither built in nor known to be harmless; name: schema.function
 *   setting   not in the table of settings, or a value that is not allowed; name: the setting
 *
 * standard_conforming_strings off is refused without appeal: after it texts would mean other things.
 */
#ifndef PG_ANALYSE_H
#define PG_ANALYSE_H

#include <sallyport/module.h>

#define PG_STATEMENT_MAX (1u << 20) /* when the scope has no configuration */
#define PG_DEPTH_MAX 4000u          /* levels of nesting */

/*
 * Fills op's attributes.  scope->view is a const struct pg_view (names.h) or NULL.  Never fails for
 * what the text says but as above: an unclear text is an operation too.
 */
int pg_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text);
/* As of struct sp_module. */
long pg_skeleton(struct sp_bytes text, struct sp_writer *key, struct sp_span *span, size_t max);

#endif
