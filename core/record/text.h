/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from others, made safe to look at (RC5): no control character, no escape
 * sequence, no bidirectional override reaches a terminal or a log line as itself.
 */
#ifndef SALLYPORT_TEXT_H
#define SALLYPORT_TEXT_H

#include "../base/memory.h"

/* The next character: bytes used, or 0 when none is well-formed UTF-8 here (then skip one byte). */
size_t text_character(struct sp_bytes s, uint32_t *c_r);
/* Shown as itself by every terminal: no control, no invisible or direction-changing character. */
bool text_harmless(uint32_t c);

/* A JSON string with its quotes.  Bytes that are no UTF-8 become U+FFFD. */
void text_json(struct sp_writer *w, struct sp_bytes s);
/* JSON as a library wrote it: what is not harmless in its strings is escaped, its lines stay. */
void text_json_again(struct sp_writer *w, struct sp_bytes json);
/* `"name":"value"`, with a comma before it unless it is the object's first. */
void text_json_member(struct sp_writer *w, const char *name, struct sp_bytes value);
void text_json_number(struct sp_writer *w, const char *name, uint64_t value);
void text_number(struct sp_writer *w, uint64_t value);
void text_json_hex(struct sp_writer *w, const char *name, struct sp_bytes value);

/* For a terminal: \n \t \xNN \u{NNNN} are written for what is not harmless. */
void text_shown(struct sp_writer *w, struct sp_bytes s);
/* The same, but lines and tabs stay what they are; `indent` stands after each new line. */
void text_lines(struct sp_writer *w, struct sp_bytes s, const char *indent);
void text_put(struct sp_writer *w, const char *s);
void text_printf(struct sp_writer *w, const char *fmt, ...) SP_PRINTF(2, 3);
/* Columns that the text takes on a terminal, once made harmless: one each, two for East Asian ones. */
size_t text_width(struct sp_bytes shown);

#endif
