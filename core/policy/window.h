/* SPDX-License-Identifier: Apache-2.0 */
/* Hours of the week in a time zone: "Mon-Fri 09:00-18:00 Europe/Berlin". */
#ifndef SALLYPORT_WINDOW_H
#define SALLYPORT_WINDOW_H

#include "../base/memory.h"

struct window;

/* Days and hours may be lists: "Mon-Thu,Sat 08:00-12:00,13:00-17:00 UTC".  Hours past midnight belong to the day they began. */
int window_parse(struct arena *a, const char *text, struct window **w_r, const char **err_r) SP_MUST;
bool window_inside(const struct window *w, uint64_t now_us);
/* When that may change next, wall µs. */
uint64_t window_next(const struct window *w, uint64_t now_us);

#endif
