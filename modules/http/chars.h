/* SPDX-License-Identifier: Apache-2.0 */
/* Inside modules/http: what each byte may stand for, and numbers as HTTP writes them. */
#ifndef SALLYPORT_HTTP_CHARS_H
#define SALLYPORT_HTTP_CHARS_H

#include "http.h"

enum char_class {
	CH_NEVER,     /* controls: zero refuses */
	CH_DIGIT,
	CH_HEX,       /* a-f A-F */
	CH_ALPHA,     /* the other letters */
	CH_TOKEN_URI, /* in tokens and in targets: ! $ % & ' * + - . _ ~ */
	CH_TOKEN,     /* in tokens only: # ^ ` | */
	CH_URI,       /* in targets only: ( ) , / = ? @ */
	CH_COLON,
	CH_SEMICOLON,
	CH_PRINT,     /* in values only: " < > [ \ ] { } */
	CH_SPACE,
	CH_TAB,
	CH_CR,
	CH_LF,
	CH_HIGH,      /* 0x80 and above */
	CH_CLASSES
};

extern const uint8_t chars_class[256];

/* Only digits, at least one, and it fits. */
bool chars_decimal(struct sp_bytes in, uint64_t *n_r);
/* 0..15, or -1. */
int chars_hex(uint8_t c);
uint8_t chars_lower(uint8_t c);
bool chars_are_token(struct sp_bytes in);
bool chars_are_value(struct sp_bytes in);
bool chars_are_target(struct sp_bytes in);

/* What the fields of a whole head say together: framing, Host, what may stand once (fields.c). */
int http_head_agree(struct http_head *h, struct sp_bytes head);
/* Fields that must not come after the body. */
bool http_trailer_allowed(struct sp_bytes name);

#endif
