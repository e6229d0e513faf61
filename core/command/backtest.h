/* SPDX-License-Identifier: Apache-2.0 */
/* What `policy backtest` reads of recordings, and how it judges that again. */
#ifndef SALLYPORT_COMMAND_BACKTEST_H
#define SALLYPORT_COMMAND_BACKTEST_H

#include "../base/epoch.h"
#include "../record/recording.h"
#include "../record/seal.h"
#include "policies.h"

enum { SAID_NONE, SAID_ALLOW, SAID_DENY, SAID_HELD, SAID_KILL, SAIDS };
extern const char *const said_name[SAIDS];

struct told { /* a verdict, and the rule that gave it */
	unsigned said;
	char rule[128];
};

struct judged;  /* an operation, as others like it: kept */
struct judges;  /* all that was judged so far */

struct who {    /* of one session */
	struct arena *arena;
	struct principal principal;
	struct target target;
	const char *session, *address;
	uint64_t started, now; /* wall µs */
	uint8_t digest[DIGEST_LEN]; /* over what rules may read of it */
};

struct judges *judges_new(const struct policies *p);
void judges_free(struct judges **j);
/* By the payload of its FRAME_OPERATION.  NULL: it is none that is judged (a statement that is only prepared). */
struct judged *judges_ask(struct judges *j, const struct who *who, const struct frame *operation, struct told *told_r);
/* Not all that rules may read of it was recorded: what is missing was unknown to them. */
bool judged_cut(const struct judged *o);
/* Is this limit one of those that count it? */
bool judged_limits(const struct judged *o, const char *rule);
/* Which of the columns of its FRAME_COLUMNS would be hidden, and by which rule: calls each() for every column. */
int judges_columns(struct judges *j, const struct who *who, struct judged *o, const struct frame *columns,
    void (*each)(void *owner, struct sp_bytes name, bool was, const char *rule), void *owner) SP_MUST;
/* What it is like, for people: "SELECT public.orders". */
const char *judged_text(const struct judged *o);

/* Calls take() for each recording of the store, or of the gateway's: a readable fd, closed by who is called. */
int backtest_each(struct run *r, int (*take)(void *owner, int fd, const char *name), void *owner) SP_MUST;

#endif
