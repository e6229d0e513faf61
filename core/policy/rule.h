/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules as C structures, what a policy is made of, and how the loader reads them from Lua.
 */
#ifndef SALLYPORT_RULE_H
#define SALLYPORT_RULE_H

#include "attribute.h"
#include "detect.h"
#include "library.h"
#include "mask.h"
#include "predicate.h"
#include "sandbox.h"

#define LOAD_MS 250 /* what running the files of a policy once may take, each */

enum decide { DECIDE_NONE, DECIDE_KILL, DECIDE_DENY, DECIDE_APPROVE, DECIDE_LIMIT, DECIDE_MASK, DECIDE_PIN, DECIDE_ALLOW, DECISIONS };
extern const char *const decide_name[DECISIONS];

struct condition { /* one name of a `when` or `unless` and its predicate */
	struct attribute attribute;
	struct test *test;
	const char *text; /* for explain: `verb = any_of { "delete", "update" }` */
};

struct clause { /* all conditions have to fit */
	bool given, function;
	const struct condition *condition;
	size_t n;
};

struct rule {
	const char *name, *doc, *file;
	unsigned line;
	const char *const *on; /* NULL-terminated */
	enum kind_class class;
	struct clause when, unless;
	enum decide decide;
	bool observe;
	const char *text;      /* of a deny or kill */
	struct approval_rule approval;
	bool next_run_given;
	struct limit_rule limit;
	const struct method *mask;
	const struct pin *pin;
	size_t npins;
	uint32_t detect;
	struct {
		const char *why;
		const struct test *name;
	} allow;
	bool of_session;       /* reads the session's id: differs between two of one principal */
	const struct window **window; /* whose edges end the life of an answer */
	size_t nwindows;
	uint8_t hash[32];
	const char *print;     /* canonical text of all of it, what the hash is over */
};

struct test_case; /* cases.h */

struct script_file { /* compiled, for sessions that need its functions */
	const char *path, *chunk;
	struct sp_bytes code;
};

struct regex_list {
	struct regex *regex;
	struct regex_list *next;
};

struct policy {
	struct arena *arena;
	unsigned refs;
	uint8_t hash[32];
	struct policy_schema schema;
	struct policy_limits limits;
	struct rule **rule;
	size_t nrules;
	struct tag *tags;
	const char **tag_names;
	struct policy_label *label;
	size_t nlabels;
	struct test_case *cases;
	struct script_file *file;
	size_t nfiles;
	struct regex_list *regexes;
	bool functions, pins;   /* some rule has one, decides so */
};

/* ---- loading ---- */

struct loader {
	struct script script; /* first: the sandbox's owner */
	struct policy *p;
	struct sandbox *box;
	const struct policy_source *file; /* being run */
	const char *chunk;
	bool tests_only;      /* a *_test.lua file */
	struct pending {
		const char *what, *name;
		unsigned line;
		struct pending *next;
	} *pending;           /* `rule "x"` whose body has not come */
	struct test_case **cases; /* where tests go */
	struct arena *arena;  /* of what is loaded */
	struct regex_list **regexes; /* freed with it */
	struct buffer errors;
	unsigned nerrors;
	bool no_memory;
};

/* Notes a mistake: "file:line: text". */
void loader_error(struct loader *l, unsigned line, const char *fmt, ...) SP_PRINTF(3, 4);
/* Line on which `word =` stands in the file, from a line on; that line when it is not found. */
unsigned loader_line_of(const struct loader *l, unsigned line, const char *word);
/* `, did you mean "x"?` or "". */
const char *loader_hint(struct loader *l, const char *word, const char *const *names);
/* Copies of what Lua has on its stack. */
char *loader_string(struct loader *l, lua_State *L, int index);
/* Sorted names of the string keys of the table at `index`; NULL-terminated; keys of other types are mistakes. */
const char **loader_keys(struct loader *l, lua_State *L, int index, unsigned line, const char *what);

/* The table on top of the stack is the body. */
void rule_read(struct loader *l, lua_State *L, const char *name, unsigned line);
void tag_read(struct loader *l, lua_State *L, const char *name, unsigned line);
void rule_finish(struct loader *l); /* once all files are read: tags that rules name, sensitive tags */

struct rule_place { /* what an error text begins with */
	const char *where;
	unsigned line;
};

/* The predicate at `index` for an attribute; NULL and a mistake noted. */
struct test *test_read(struct loader *l, lua_State *L, int index, const struct attribute *a, const struct rule_place *at);
struct tag *tag_find(const struct policy *p, const char *name);
const struct method *method_read(struct loader *l, lua_State *L, int index, const struct rule_place *at);

#endif
