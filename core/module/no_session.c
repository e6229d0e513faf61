/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's side of the ABI in programs that have modules and no sessions: check, `sallyport`.
 *
 * Modules resolve all their calls when they are loaded.  Of these, classify() and check() use only
 * the sp_op_… calls of core/policy/op.c and the few below that need no session; the others can't be
 * reached without a struct sp_session, which nobody here can make, and so refuse.  They are weak:
 * where the policy library brings the real one, that one counts.
 */
#include <config.h>

#include <stdarg.h>

#include "../base/digest.h"
#include "../base/log.h"

/* ---- what works without a session ---- */

void
sp_log(const struct sp_session *s, enum sp_level level, const char *fmt, ...)
{
	va_list args;
	(void)s;
	va_start(args, fmt);
	log_about(level, "", fmt, args);
	va_end(args);
}

int
sp_random(void *p, size_t n)
{
	random_bytes(p, n);
	return SP_OK;
}

int
sp_fail(struct sp_session *s, int rc, const char *fmt, ...)
{
	va_list args;
	(void)s;
	va_start(args, fmt);
	log_about(SP_WARN, "", fmt, args);
	va_end(args);
	return rc;
}

/* ---- what refuses ---- */

#define NOTHING ((struct sp_bytes){ NULL, 0 })

#define REFUSES(name, ...) \
	__attribute__((weak)) int name(__VA_ARGS__) \
	{ \
		return SP_EINTERNAL; \
	}
#define GIVES(type, value, name, ...) \
	__attribute__((weak)) type name(__VA_ARGS__) \
	{ \
		return value; \
	}
#define DOES_NOTHING(name, ...) \
	__attribute__((weak)) void name(__VA_ARGS__) \
	{ \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

GIVES(struct sp_bytes, NOTHING, sp_peek, struct sp_session *s, enum sp_side from)
REFUSES(sp_pass, struct sp_session *s, enum sp_side from, size_t n)
REFUSES(sp_drop, struct sp_session *s, enum sp_side from, size_t n)
REFUSES(sp_want, struct sp_session *s, enum sp_side from, size_t n, size_t max)
REFUSES(sp_put, struct sp_session *s, enum sp_side to, struct sp_bytes b)
GIVES(bool, true, sp_full, struct sp_session *s, enum sp_side to)
REFUSES(sp_shut, struct sp_session *s, enum sp_side side)
GIVES(enum sp_tls_mode, SP_TLS_REQUIRED, sp_tls_mode, const struct sp_session *s, enum sp_side side)
GIVES(bool, false, sp_tls_active, const struct sp_session *s, enum sp_side side)
REFUSES(sp_starttls, struct sp_session *s, enum sp_side side, bool direct, const char *alpn)
GIVES(struct sp_bytes, NOTHING, sp_channel_binding, struct sp_session *s)
GIVES(struct sp_bytes, NOTHING, sp_host_key, const struct sp_session *s)
DOES_NOTHING(sp_handshaken, struct sp_session *s)
REFUSES(sp_descriptors, struct sp_session *s, int fd_r[2])

REFUSES(sp_authenticate, struct sp_session *s, const struct sp_proof *proof)
REFUSES(sp_prove, struct sp_session *s, const struct sp_challenge *c)
GIVES(const char *, "", sp_login_mechanism, const struct sp_session *s)
GIVES(const char *, "", sp_login, const struct sp_session *s)
GIVES(const char *, "", sp_principal, const struct sp_session *s)
GIVES(const char *, "", sp_session_id, const struct sp_session *s)
GIVES(const char *, "", sp_target_name, const struct sp_session *s)
GIVES(const char *, "", sp_target_part, const struct sp_session *s)
GIVES(const char *, "", sp_server, const struct sp_session *s)
GIVES(bool, false, sp_pin, const struct sp_session *s, size_t i, struct sp_setting *pin_r)
REFUSES(sp_ready, struct sp_session *s)

REFUSES(sp_cancel_key, struct sp_session *s, uint32_t pid, struct sp_bytes secret)
REFUSES(sp_cancel, struct sp_session *s, uint32_t pid, struct sp_bytes secret)
GIVES(struct sp_session *, NULL, sp_side_session, struct sp_session *s, const char *purpose, void *cookie)
REFUSES(sp_pool_key, struct sp_session *s, struct sp_bytes key)
GIVES(struct sp_bytes, NOTHING, sp_pool_key_of, const struct sp_session *s)
GIVES(const char *, "", sp_purpose, const struct sp_session *s)
GIVES(void *, NULL, sp_cookie, const struct sp_session *s)
GIVES(bool, false, sp_inspects, const struct sp_session *s)
REFUSES(sp_inspected, struct sp_session *s)
GIVES(uint64_t, 0, sp_recheck, const struct sp_session *s)
GIVES(void *, NULL, sp_target_block, struct sp_session *s, size_t size, void (*end)(void *block))
REFUSES(sp_client_certificate, const struct sp_session *s, struct sp_writer *out)
REFUSES(sp_share_put, struct sp_session *s, enum sp_share scope, struct sp_bytes key, struct sp_bytes value, uint64_t ttl)
REFUSES(sp_share_get, struct sp_session *s, enum sp_share scope, struct sp_bytes key)
REFUSES(sp_group, struct sp_session *s, const struct sp_op *op, struct sp_bytes name)
DOES_NOTHING(sp_wake, struct sp_session *s)
DOES_NOTHING(sp_estimated, struct sp_session *s, const char *request, const char *text)

void
sp_found(struct sp_session *s, bool refuse, const char *fmt, ...)
{
	(void)s;
	(void)refuse;
	(void)fmt;
}

bool
sp_op_stands(const struct sp_op *op)
{
	(void)op;
	return false;
}

DOES_NOTHING(sp_view, struct sp_session *s, const void *view, uint64_t version)
DOES_NOTHING(sp_wrote, struct sp_session *s, bool wrote)
REFUSES(sp_fact, struct sp_session *s, const char *name, struct sp_bytes value)
GIVES(struct sp_op *, NULL, sp_op_new, struct sp_session *s, unsigned channel, const char *kind, struct sp_bytes text)
GIVES(struct sp_op *, NULL, sp_op_again, struct sp_session *s, struct sp_op *model, const char *kind)
DOES_NOTHING(sp_op_free, struct sp_op **op)
REFUSES(sp_ask, struct sp_op *op)
DOES_NOTHING(sp_withdraw, struct sp_op *op)
REFUSES(sp_done, struct sp_op *op, const struct sp_outcome *o)
REFUSES(sp_own_statement, struct sp_session *s, struct sp_bytes text)

REFUSES(sp_columns_begin, struct sp_op *op, unsigned n)
REFUSES(sp_column, struct sp_op *op, unsigned i, const struct sp_column *c)
REFUSES(sp_columns_judge, struct sp_op *op, const struct sp_verdict **denied_r)
DOES_NOTHING(sp_columns_keep, struct sp_op *op, struct sp_bytes description, uint64_t version)
GIVES(bool, false, sp_columns_again, struct sp_op *op, struct sp_bytes description, uint64_t version)
GIVES(const struct sp_mask *, NULL, sp_column_mask, const struct sp_op *op, unsigned i)
GIVES(enum sp_mask_kind, SP_MASK_NULL, sp_mask_kind, const struct sp_mask *m)
REFUSES(sp_mask_value, const struct sp_mask *m, struct sp_bytes in, struct sp_writer *out)
GIVES(bool, false, sp_mask_spares, const struct sp_mask *m, struct sp_bytes in)
GIVES(bool, true, sp_op_sensitive, const struct sp_op *op)
GIVES(bool, true, sp_column_tagged, const struct sp_session *s, struct sp_bytes column)
GIVES(bool, false, sp_pins, const struct sp_session *s, const char *setting, const char *value)
DOES_NOTHING(sp_columns_known, struct sp_session *s, sp_columns_fn *each, void *owner)

REFUSES(sp_stream_filter, struct sp_op *op, struct sp_filter **filter_r)
REFUSES(sp_file_filter, struct sp_op *op, bool all, struct sp_filter **filter_r)
REFUSES(sp_filter_feed, struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out)
GIVES(bool, false, sp_filter_holds, const struct sp_filter *filter)
DOES_NOTHING(sp_filter_free, struct sp_filter **filter)
REFUSES(sp_record, struct sp_session *s, const struct sp_op *op, enum sp_stream stream, struct sp_bytes b)
REFUSES(sp_record_size, struct sp_session *s, const struct sp_op *op, unsigned columns, unsigned rows)

GIVES(void *, NULL, sp_state, const struct sp_session *s)
GIVES(const void *, NULL, sp_conf, const struct sp_session *s)
GIVES(void *, NULL, sp_alloc, struct sp_session *s, size_t n)
DOES_NOTHING(sp_timer, struct sp_session *s, uint64_t after)

/* Writes go to a writer that has no room. */
struct sp_writer *
sp_out(struct sp_session *s, enum sp_side to)
{
	static struct sp_writer none;
	none = (struct sp_writer){ .bad = true };
	return &none;
}

#pragma GCC diagnostic pop
