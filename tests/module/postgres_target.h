/* SPDX-License-Identifier: Apache-2.0 */
/* A PostgreSQL server in a few lines: it lets anyone in and tells the names of a small shop. */
#ifndef POSTGRES_TARGET_H
#define POSTGRES_TARGET_H

#include <sallyport/module.h>

/* For fake_side(): the gateway's own connections. */
size_t postgres_target_answer(void *owner, const char *purpose, struct sp_bytes in, struct sp_writer *out);

#endif
