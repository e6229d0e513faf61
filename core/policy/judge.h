/* SPDX-License-Identifier: Apache-2.0 */
/* One judgement while it is made: shared by operations (judge.c), answers (result.c) and functions (function.c). */
#ifndef SALLYPORT_JUDGE_H
#define SALLYPORT_JUDGE_H

#include "rule.h"

#define NOTES_MAX 64
#define NOTE_LEN 256

struct note { /* what functions remember within a session */
	char name[64];
	char text[NOTE_LEN];
	size_t len;
	bool used;
};

struct policy_run {
	struct script script;  /* first: the sandbox's owner */
	struct policy *p;
	struct sandbox *box;   /* NULL until a function is asked */
	struct judging *j;     /* while one runs */
	struct note *note;
	struct fit *fits;      /* predicates that fits() was asked about */
	size_t nfits;
	struct arena *fits_arena;
	struct regex_list *regexes;
	bool reveal;           /* findings show all values */
};

struct judging {
	struct policy_run *run;
	const struct policy *p;
	struct asking q;
	struct budget budget;
	struct arena *arena;         /* the decision's */
	struct hiding *hiding;       /* of the operation's text, once a value is told */
	bool armed;                  /* the sandbox's time runs */
	bool uncacheable;            /* a function looked at what changes from run to run */
	bool before;                 /* an answer that is not there yet: what the operation reads may be in it */
	bool prepare;                /* announced, not run: parameters are not there yet */
	bool of_session;
	const char *kind;            /* whose attributes functions read */
	const struct rule *broken;   /* the first rule that failed, and why */
	const char *broken_why, *broken_detail;
	bool failed;                 /* the rule just asked did */
	bool spent;                  /* a rule that counts used up its time or memory */
	bool skipped;                /* the last function wanted what is not there yet */
	uint64_t valid_until;
};

int judging_begin(struct judging *j, struct policy_run *run, const struct subject *who, const struct op *op,
    struct arena *a) SP_MUST;
void judging_end(struct judging *j);
/* From here on with as much time as at the beginning. */
void judging_renew(struct judging *j);

/* Which condition decided, for explain. */
struct reason {
	const struct clause *clause;
	const struct condition *condition; /* NULL: a function, or none */
	enum truth truth;
};
/* Does the rule apply to the node, or column, that stands in j->q?  A rule that fails is noted in j. */
bool rule_applies(struct judging *j, const struct rule *r, struct reason *why_r);
bool rule_is_on(const struct rule *r, const char *kind);
/* Notes that a rule failed; observing rules never count. */
void judging_fail(struct judging *j, const struct rule *r, const char *why, const char *detail);
/* In words, in j's arena. */
const char *reason_text(struct judging *j, const struct rule *r, const struct reason *why, bool applies);
bool judging_observes(const struct judging *j, const struct rule *r);
/* The target is in observe mode: all is decided as ever, then let through by decision_spare(). */
bool judging_spares(const struct judging *j);
void decision_spare(struct decision *d);
/* Time windows of a rule bound how long an answer is good for. */
void judging_edges(struct judging *j, const struct rule *r);
int decision_observe(struct decision *d, const char *rule) SP_MUST;

/* function.c: asks `when` or `unless` of a rule that is code. */
enum truth function_ask(struct judging *j, const struct rule *r, bool when);
void function_close(struct policy_run *run);

#endif
