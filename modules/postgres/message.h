/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL messages as typed values: read by a cursor that must end exactly at the message's
 * end, written with lengths that are computed, never taken over.
 *
 *   type (1) | length (4, counts itself) | body
 *
 * Formats: PostgreSQL manual, chapter "Frontend/Backend Protocol", sections "Message Data Types",
 * "Message Formats" and, for pg_read_error(), "Error and Notice Message Fields".
 *
 * Ownership: what a reader yields points into the body it was given.  Errors: SP_EPROTO, a body that
 * is too short, too long or against the format; SP_ETOOBIG, a message that can't be written; then
 * nothing of what the writer holds is sent.
 *
 * Messages before authentication have no type; wire_startup() frames them and gives them one of
 * the M_ pseudo types, so that the table in postgres.c can name them like any other.
 */
#ifndef PG_MESSAGE_H
#define PG_MESSAGE_H

#include <sallyport/module.h>

#define PG_HEADER 5u
#define PG_NAME_MAX 63u          /* NAMEDATALEN - 1: the server cuts longer names, so we refuse them */
#define PG_STARTUP_MAX 10000u
#define PG_MESSAGE_MAX 0x3ffffffeu /* the longest length there is, itself counted: the server's own limit */

enum { /* pseudo types, below every printable one */
	M_STARTUP = 1, M_SSL, M_GSS, M_CANCEL, M_DIRECT_TLS, M_SSL_ANSWER
};

struct pg_message {
	uint8_t type;
	size_t size;          /* of the whole message, header included */
	struct sp_bytes body; /* may be cut short when the table says that the message streams */
};

struct pg_startup {
	uint32_t version;
	struct sp_bytes parameters; /* NUL-terminated names and values, without the last NUL */
};

struct pg_parse {
	struct sp_bytes name, text;
	uint16_t ntypes;
	struct sp_bytes types;
};

struct pg_bind {
	struct sp_bytes portal, statement;
	uint16_t nformats, nvalues, nresults;
	struct sp_bytes formats, values, results;
};

struct pg_value {
	bool null;
	struct sp_bytes bytes;
};

/* The next of the values of a Bind or of a row; NULL, too, where there is none. */
static inline struct pg_value
pg_next_value(struct sp_reader *r)
{
	uint32_t len = sp_rd_be32(r);
	if (r->bad || len == UINT32_MAX)
		return (struct pg_value){ .null = true };
	return (struct pg_value){ .bytes = sp_rd_take(r, len) };
}

struct pg_target { /* Describe and Close: what they name */
	uint8_t kind; /* 'S' or 'P' */
	struct sp_bytes name;
};

struct pg_execute {
	struct sp_bytes portal;
	uint32_t max_rows;
};

struct pg_field { /* one column of a RowDescription */
	struct sp_bytes name;
	uint32_t table, type;
	uint16_t column, format;
};

struct pg_copy { /* CopyInResponse, CopyOutResponse */
	uint8_t binary;
	uint16_t ncolumns;
};

struct pg_error_text { /* the fields of an ErrorResponse or NoticeResponse that we read */
	struct sp_bytes severity, code, message;
};

int pg_read_startup(struct sp_bytes packet, struct pg_startup *m_r) SP_MUST;
/* The next name and value of startup parameters; false at the end. */
bool pg_next_parameter(struct sp_reader *r, struct sp_bytes *name_r, struct sp_bytes *value_r);
int pg_read_cstr(struct sp_bytes body, struct sp_bytes *text_r) SP_MUST; /* Query, password, tags */
int pg_read_parse(struct sp_bytes body, struct pg_parse *m_r) SP_MUST;
int pg_read_bind(struct sp_bytes body, struct pg_bind *m_r) SP_MUST;
uint16_t pg_format(struct sp_bytes formats, uint16_t n, unsigned i);
uint32_t pg_oid_at(struct sp_bytes oids, unsigned i);
int pg_read_target(struct sp_bytes body, struct pg_target *m_r) SP_MUST;
int pg_read_execute(struct sp_bytes body, struct pg_execute *m_r) SP_MUST;
/* RowDescription: the count, then pg_next_field() that often; the body is checked whole here. */
int pg_read_row_description(struct sp_bytes body, uint16_t *n_r) SP_MUST;
struct pg_field pg_next_field(struct sp_reader *r);
int pg_read_parameter_description(struct sp_bytes body) SP_MUST;
/* True when a DataRow has exactly n fields that fill the body exactly. */
bool pg_row_fits(struct sp_bytes body, uint16_t n);
int pg_read_copy(struct sp_bytes body, struct pg_copy *m_r) SP_MUST;
int pg_read_error(struct sp_bytes body, struct pg_error_text *m_r) SP_MUST;
int pg_read_parameter_status(struct sp_bytes body, struct sp_bytes *name_r, struct sp_bytes *value_r) SP_MUST;
int pg_read_notification(struct sp_bytes body, uint32_t *pid_r, struct sp_bytes *channel_r) SP_MUST;
/* Rows that a CommandComplete tag counts: "INSERT 0 5" is 5, "BEGIN" is 0. */
uint64_t pg_tag_rows(struct sp_bytes tag);

/* ---- writing: pg_begin() … fields … pg_end(), which fills in the length ---- */

size_t pg_begin(struct sp_writer *w, uint8_t type); /* type 0: none, as in startup packets */
int pg_end(struct sp_writer *w, size_t at) SP_MUST;
int pg_write_empty(struct sp_writer *w, uint8_t type) SP_MUST; /* Sync, Flush, NoData … */
int pg_write_cstr(struct sp_writer *w, uint8_t type, struct sp_bytes text) SP_MUST;
int pg_write_parse(struct sp_writer *w, const char *name, struct sp_bytes text) SP_MUST;
int pg_write_target(struct sp_writer *w, uint8_t type, uint8_t kind, struct sp_bytes name) SP_MUST;
int pg_write_ready(struct sp_writer *w, uint8_t status) SP_MUST;

#endif
