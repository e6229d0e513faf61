/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: Lua text in, verdicts out (DESIGN: every rule is asked, the strictest answer wins).
 *
 *   policy_load()  runs the files once in a sandbox: rules, tags and tests become C structures, and
 *                  each `when` table a tree of predicates; only functions stay Lua.
 *   policy_run     one per session: its facts, and on first need its own lua_State for functions.
 *   policy_judge() one operation → one decision.  Pure but for what function rules do.
 *
 * Zero of everything here denies.
 */
#ifndef SALLYPORT_POLICY_H
#define SALLYPORT_POLICY_H

#include "../base/epoch.h"
#include "../base/principal.h"
#include "op.h"

struct policy;
struct policy_run;

struct policy_limits {
	uint64_t deadline_ms, memory;
};

/* Modules whose kinds and attributes the rules may name. */
struct policy_schema {
	const struct sp_module *const *module;
	size_t n;
};

/*
 * What a process needs that judges, made before it is locked down: time zones, the detectors'
 * automaton, the timer that ends runaway rules.  Afterwards judging calls timer_settime, rt_sigreturn
 * and clock_gettime, and takes SIGVTALRM.  Loading works without it where files can be read.
 */
int policy_prepare(void) SP_MUST;

/*
 * Loads the files of one target, in any order.  Every mistake is "file:line: what": unknown kind,
 * attribute (with the nearest), decision, predicate, mask, empty `when` of an allow …
 */
int policy_load(const struct policy_source *const *files, size_t n, const struct policy_schema *schema,
    const struct policy_limits *limits, struct policy **p_r, char **err_r) SP_MUST;
struct policy *policy_ref(struct policy *p);
void policy_free(struct policy **p);
const uint8_t *policy_hash(const struct policy *p); /* DIGEST_LEN, over the files */
/* Names in a `when` or `unless` that are no attribute: labels, which `-t` looks for on the target. */
struct policy_label {
	const char *name;       /* NULL ends the list */
	const char *file;
	unsigned line;
	const char *nearest;    /* attribute that may have been meant, or NULL */
};
const struct policy_label *policy_labels(const struct policy *p);

struct fact {
	const char *name;
	struct sp_bytes value;
};

/* A setting that a rule keeps as it is for a whole session. */
struct pin {
	const char *name, *value, *rule;
};

struct subject {
	const struct principal *principal;
	const struct target *target;
	const char *session;    /* id */
	const char *address;    /* of the client */
	const char *module;
	const struct fact *fact; /* sp_fact() */
	size_t nfacts;
	const struct pin *pin;   /* of its session, from the decision on "session" */
	size_t npins;
	uint64_t now;            /* wall µs, for time predicates */
};

struct policy_run *policy_run_new(struct policy *p);
/* Findings show values as they are; else what recordings hide is hidden in them too. */
void policy_run_reveal(struct policy_run *r);
void policy_run_free(struct policy_run **r);
/* Follow a reload: functions and notes start anew. */
void policy_run_switch(struct policy_run *r, struct policy *p);

/* May a rule look at that attribute of the module's, or at the text of an operation?  Code may, always. */
bool policy_looks_at(const struct policy *p, const struct sp_module *m, unsigned attr);
/* Is a rule on that kind of operation? */
bool policy_is_on(const struct policy *p, const char *kind);

struct approval_rule {
	const char *rule;
	uint8_t hash[32];       /* of the rule as written */
	const char *by;         /* group */
	unsigned count;
	uint64_t within;        /* ms */
	bool reason, next_run, in_transaction, unseen, sponsor;
	const char *text;
};

struct limit_rule {
	const char *rule;
	const char *per;        /* user, session, target, address */
	uint64_t count, window; /* rate; 0 0: none */
	uint64_t rows;          /* 0: none */
};

struct finding {            /* for explain and observe */
	const char *rule, *file;
	unsigned line;
	bool applies, observed;
	const char *decision;   /* deny, approve … */
	const char *why;        /* which condition failed, or what it matched */
};

struct decision {
	enum sp_what what;      /* SP_DENY is zero */
	bool hold;              /* what == SP_ALLOW once all approvals are met */
	enum sp_because because;
	const char *rule, *text;/* what decided; for the user */
	const char *unclear;    /* the reason, when that is what decided; or NULL */
	const char *detail;     /* of a failed rule, for the log: what Lua said */
	struct approval_rule *approval;
	size_t napprovals;
	struct limit_rule *limit;
	size_t nlimits;
	const struct pin *pin;  /* of "session": what its rules pin, whatever else they say */
	size_t npins;
	const char *unpins;     /* the rule that pins a setting which the operation changes, whoever refuses it; or NULL */
	const char **observed;  /* names of observe rules that would have applied */
	size_t nobserved;
	struct {                /* what a target in observe mode kept from being; "" in all: nothing */
		const char *what;   /* kill, deny, held */
		const char *rule, *text;
	} would;
	uint64_t valid_until;   /* wall µs: the next edge of a time predicate; UINT64_MAX */
	bool cacheable;         /* false: a function rule read parameters or notes */
	bool of_session;        /* a rule read the session's id: not for another session of the principal */
	const bool *lifted;     /* by index of the shape's unclear parts: an allow took it away */
	struct arena *arena;    /* owns all of it; decision_free() */
};
void decision_free(struct decision *d);

/* op->kind is a kind of the module, or "session".  findings_r may be NULL; else all rules are listed, in d's arena. */
int policy_judge(struct policy_run *r, const struct subject *who, const struct op *op, struct decision *d_r,
    struct finding **findings_r, size_t *nfindings_r) SP_MUST;

/*
 * What the rules on "session" pin for somebody: of d_r only the pins mean something.  They are part of the
 * subject of all that the session asks.  SP_EDENIED: a rule failed, so nobody knows.
 */
int policy_pins(struct policy_run *r, const struct subject *who, const struct sp_module *m, struct decision *d_r) SP_MUST;

/* Some rule keeps that setting at that value, for whomever. */
bool policy_may_pin(const struct policy *p, const char *name, const char *value);

/* ---- results and masks ---- */

struct policy_masks;        /* one per result description; what sp_mask points into */

/*
 * Judges a described answer by the `sql.result`-like kind of the module, and "output" rules for
 * detectors.  masks_r: one entry per column, NULL shown.  A deny puts its text into *d_r.
 */
int policy_judge_result(struct policy_run *r, const struct subject *who, const struct op *op, const char *kind,
    const struct sp_column *column, size_t n, struct decision *d_r, struct policy_masks **masks_r) SP_MUST;
const struct sp_mask *policy_mask(const struct policy_masks *m, size_t column);
const char *policy_mask_rule(const struct policy_masks *m, size_t column); /* "" when shown */
size_t policy_masked(const struct policy_masks *m); /* how many columns have one */
bool policy_looks(const struct policy_masks *m, const char *rule); /* this rule on "output" has values looked through */
void policy_masks_free(struct policy_masks **m);
/*
 * An operation with effects must not run only for its answer to be denied: asked before it runs, with
 * nothing known of the columns but what it reads and returns.  SP_ALLOW in d_r->what: nothing in the way.
 */
int policy_judge_result_before(struct policy_run *r, const struct subject *who, const struct op *op, const char *kind,
    struct decision *d_r) SP_MUST;
/* policy_judge() of something that is about to run, and what would deny its answer when it has effects: the one way to decide. */
int policy_judge_whole(struct policy_run *r, const struct subject *who, const struct op *op, struct decision *d_r,
    struct finding **findings_r, size_t *nfindings_r) SP_MUST;
/* Keys of `mask.hash`: a callback gives the key of a tag or "" ; false: not there (yet), the value becomes NULL. */
void policy_mask_keys(bool (*key)(void *owner, const char *tag, uint8_t key_r[32]), void *owner);

/* True when schema.table.column carries any tag that a mask or an approval hides. */
bool policy_tagged(const struct policy *p, struct sp_bytes column);
/*
 * Tags that match none of the columns that `each` gives: report() is told each pattern and where it
 * stands.  Nothing is reported when there are too many columns to look at.
 */
void policy_tags_unmatched(const struct policy *p, sp_columns_fn *each, void *owner,
    void (*report)(void *to, const char *tag, const char *pattern, const char *file, unsigned line), void *to);
/* Any column attribute of any node is tagged: its errors, literals and unknown columns are sensitive. */
bool policy_touches_tagged(const struct policy *p, const struct op *op);

/* ---- tests and explanation ---- */

struct policy_report {
	unsigned run, failed;
	struct buffer text;     /* a line per failure, with file:line */
};
/* The `test` entries of the loaded files and of the given *_test.lua files. */
int policy_test(struct policy *p, const struct policy_source *const *tests, size_t n, const struct sp_module *module,
    struct policy_report *report_r) SP_MUST;
struct json_t;
/* What analysis found in each statement of an operation: an object of attributes and their texts; the caller's. */
struct json_t *policy_statements(const struct op *op);
/*
 * Why a verdict is what it is, and what would make it another, as one JSON object: verdict, because, rule, text, would (of a target in observe mode),
 * statements[] (each an object of attributes), unclear[] of { why name statement lifted }, rules[] of { rule place
 * decision doc applies observed why when[] unless[] text }, pass[] (sentences).  d and its findings come from
 * policy_judge(); with `values` the statements' attributes are told, which recordings hold anyway.
 */
int policy_explain(const struct policy *p, const struct op *op, const struct decision *d, const struct finding *f, size_t n,
    bool values, struct buffer *json) SP_MUST;
/*
 * The same of what nobody asked: the session's pins first, then all rules.  The run may be asked about the answer's
 * columns afterwards; `who` points to pins that live in *session_r, for decision_free().
 */
int policy_what_if(struct policy_run *run, struct subject *who, const struct op *op, struct decision *session_r, struct buffer *json) SP_MUST;
/* Which literals recordings hide: those of no column, and those of tagged ones. */
struct tagging {
	const struct policy *policy; /* the rest is zero at first */
	unsigned n;
	struct {
		const char *column;
		bool tagged;
	} seen[16];
};
bool tagging_hides(struct tagging *t, const struct literal *l);
/* What they hide of the text, in the arena; NULL when it has no room: then everything is. */
struct hiding *hiding_new(const struct policy *p, const struct shape *s, struct arena *a);
/* The text from `at` on: up to the next hidden part, and that; *i is 0 at first.  False after the last. */
bool hiding_next(const struct hiding *h, size_t *i, size_t at, struct sp_bytes *shown_r, struct sp_bytes *hidden_r);
/* A value that stands in what is hidden: it is not written elsewhere either. */
bool hiding_has(struct hiding *h, struct sp_bytes value);
/* "2026-11-24 10:00 Europe/Berlin" as wall µs; false: it is no such time. */
bool policy_time(struct arena *a, const char *text, uint64_t *us_r) SP_MUST;
/* The module's settings as they are when nothing is written; NULL: no memory. */
void *policy_default_conf(const struct sp_module *m, struct arena *a);
/* doc, kind, decision of every rule, as JSON: for `policy check --json` and the console. */
int policy_describe(const struct policy *p, struct buffer *json) SP_MUST;

/* ---- the manual, as Markdown ---- */

/* What rules on each kind may read. */
int policy_manual_attributes(struct arena *a, const struct policy_schema *schema, struct buffer *out) SP_MUST;
/* Kinds, decisions, predicates, masks, detectors. */
int policy_manual_words(struct arena *a, const struct policy_schema *schema, struct buffer *out) SP_MUST;

#endif
