/* SPDX-License-Identifier: Apache-2.0 */
/* Logins tried and inspected, for `sallyportd -t --connect`. */
#ifndef SALLYPORT_TRIAL_H
#define SALLYPORT_TRIAL_H

#include "worker.h"

int trial_start(struct worker *w) SP_MUST; /* SP_EPROTO: it has clients, or may get some */
void trial_over(struct worker *w);         /* tells master, when nothing is left to try */
void trial_closed(struct sp_session *s);   /* of one that trial_start() made */

#endif
