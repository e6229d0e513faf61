/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about facts beside sessions: what the keeper says, and the question put once more to the next one. */
#ifndef SALLYPORT_WORKER_SHARE_H
#define SALLYPORT_WORKER_SHARE_H

#include "worker.h"

/* MSG_SHARED */
int share_told(struct worker *w, struct sp_session *s, const struct message *m);
/* A new keeper knows of the session again. */
void share_again(struct sp_session *s);

#endif
