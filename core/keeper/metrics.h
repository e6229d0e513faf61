/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for Prometheus: what the keeper counts, what workers add up on the board, what the recorder has seen. */
#ifndef SALLYPORT_KEEPER_METRICS_H
#define SALLYPORT_KEEPER_METRICS_H

#include "api.h"

void metrics_open(struct keeper *k);
void metrics_close(struct keeper *k);
/* From master: the board.  Does not take fd over. */
int metrics_board(struct keeper *k, int fd) SP_MUST;
struct board *metrics_shared(struct keeper *k); /* it, or NULL until it came */

/* What happened, each a line of code where it happens. */
void metrics_login(struct keeper *k, bool admitted);
void metrics_decided(struct keeper *k, uint64_t waited_us); /* a request, by a person */
void metrics_committed(struct keeper *k, uint64_t us);
void metrics_clock_stepped(struct keeper *k);
void metrics_refused(struct keeper *k);                     /* a call without a proof */

/* CALL_METRICS; the recorder's numbers come by MSG_MEASURED. */
int api_metrics(struct api *a);
int metrics_measured(struct keeper *k, struct link *l, struct message *m);
/* The recorder, or who asked, is gone. */
void metrics_link_gone(struct keeper *k, const struct link *l);

#endif
