/* SPDX-License-Identifier: Apache-2.0 */
/* How a COPY … TO writes its rows, and the SELECT that has the same columns. */
#ifndef PG_COPY_FORM_H
#define PG_COPY_FORM_H

#include <sallyport/module.h>

#define PG_COPY_NULL_MAX 32u

enum pg_copy_format { PG_COPY_UNKNOWN, PG_COPY_TEXT, PG_COPY_CSV, PG_COPY_BINARY }; /* zero can't be masked */

struct pg_copy_form {
	enum pg_copy_format format;
	bool header;
	uint8_t delimiter, quote, escape;
	uint8_t null_len;
	uint8_t null[PG_COPY_NULL_MAX];
};

/*
 * `text` has to be one COPY … TO and nothing else, or the form stays PG_COPY_UNKNOWN.  query: the SELECT,
 * empty where there is none; 2 * text.len + 64 bytes are enough for it.
 */
void pg_copy_form_read(struct sp_bytes text, struct pg_copy_form *form_r, struct sp_writer *query);

#endif
