/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error log: one sentence a line, one subject, input quoted and cut, no secrets, no row data.
 *
 *     2026-11-24T04:12:33.120Z warn worker[812] s=3kq7… message 'F' is not allowed in state ready
 */
#ifndef SALLYPORT_LOG_H
#define SALLYPORT_LOG_H

#include <stdarg.h>

#include "memory.h"

void log_init(const char *role, int fd, enum sp_level level);
void log_level(enum sp_level level);
/* Takes over fd, closes the former one: for `reopen`. */
void log_reopen(int fd);
void log_at(enum sp_level level, const char *fmt, ...) SP_PRINTF(2, 3);
void log_about(enum sp_level level, const char *about, const char *fmt, va_list args) SP_PRINTF(3, 0);

#define log_error(...) log_at(SP_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(SP_WARN, __VA_ARGS__)
#define log_info(...) log_at(SP_INFO, __VA_ARGS__)
#define log_debug(...) log_at(SP_DEBUG, __VA_ARGS__)

/* Input made fit for a line: controls, quotes and bad UTF-8 escaped, cut at 160 bytes with "…".
 * Good until the eighth call after. */
const char *log_quote(struct sp_bytes b);

#endif
