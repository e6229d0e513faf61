/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that modules keep beside their sessions (sp_share_put()), and which sessions belong together (sp_group()).
 *
 * A worker names its session, a scope and a key; whose the fact is follows from what the keeper itself knows of that session: its
 * target, and for the scope of a principal issuer and subject.  So no worker can ask for another's.  Facts lie in the store, with
 * the keeper's mark: they outlive workers and gateways.
 */
#ifndef SALLYPORT_KEEPER_SHARE_H
#define SALLYPORT_KEEPER_SHARE_H

#include "keeper.h"

#define SHARES_MAX 4096       /* of one owner: the one that would end first makes room */
#define SHARE_GROUPS_MAX 1000 /* that one session says to belong to */

int share_put(struct keeper *k, struct link *l, struct message *m);
int share_get(struct keeper *k, struct link *l, struct message *m);
int share_group(struct keeper *k, struct link *l, struct message *m);
/* What has ended. */
void share_forget(struct keeper *k);

#endif
