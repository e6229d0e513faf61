/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL session on the fake core, put into a state and then fed by a fuzzer.
 *
 *   input:  state, then bytes for one side; 0xfe starts an event:
 *           fe 00 cut   01 allow   02 deny   03 cancel   04 full   05 drained   06 notice   07 admit   08 dial
 *           09 secured   0a proved   0b the other side's next word   0c what allowed it changed   fe a byte fe
 *           0d (session) the bytes that follow are the other side's
 *
 * The other side is played by fuzz_pg.c: a server that answers, or a client with a few things to ask.
 */
#ifndef FUZZ_PG_H
#define FUZZ_PG_H

#include "tests/module/transcript.h"

/* Runs one input; aborts when an invariant of the module does not hold. */
void fuzz_pg_run(enum sp_side side, const uint8_t *data, size_t size);
/* The same with bytes of both sides, in turns. */
void fuzz_pg_session(const uint8_t *data, size_t size);

#endif
