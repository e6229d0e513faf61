/* SPDX-License-Identifier: Apache-2.0 */
/* Two clocks: monotonic for limits and deadlines, wall for records and tokens. */
#ifndef SALLYPORT_CLOCK_H
#define SALLYPORT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_mono_us(void);
uint64_t clock_wall_us(void); /* since 1970 */
#define clock_mono_ms() (clock_mono_us() / 1000)
/* "2026-11-24T04:12:33.120Z"; buf holds 25. */
const char *clock_format(uint64_t wall_us, char buf[32]);
/* The same read back, with as many digits behind the second as there are.  false: it is no such time. */
bool clock_parse(const char *text, uint64_t *wall_us_r);

#endif
