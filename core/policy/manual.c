/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the policy language for the manual: names from the tables that the loader reads by, a sentence for each. */
#include <config.h>

#include "../base/directive.h"
#include "detect.h"
#include "rule.h"

static const char *const decision_help[DECISIONS] = {
	[DECIDE_KILL] = "The session ends.",
	[DECIDE_DENY] = "The operation does not run; its text is the reason that the user reads.",
	[DECIDE_APPROVE] = "The operation waits for a person.",
	[DECIDE_LIMIT] = "It runs so many times in a time, or returns so many rows; beyond that it is an error.",
	[DECIDE_MASK] = "Columns of the answer, or what a detector finds in output, are hidden.",
	[DECIDE_PIN] = "On `session`: a setting of the target keeps this value for the whole session; what would change it is refused.",
	[DECIDE_ALLOW] = "Lifts one named refusal of what is unclear, never a rule.",
};

static const char *const predicate_help[TESTS] = {
	[TEST_EQUAL] = "", [TEST_BOOL] = "", [TEST_NUMBER] = "", /* written as they are: "a", true, 5 */
	[TEST_PREFIX] = "`prefix \"scratch.\"`: begins with it.",
	[TEST_SUFFIX] = "`suffix \"_old\"`: ends with it.",
	[TEST_MATCHES] = "`matches \"^pg_\"`: a regular expression (PCRE2) finds something in it; over its limit it is unknown.",
	[TEST_TAGGED] = "`tagged \"pii\"`: a column that a pattern of the tag fits.",
	[TEST_CIDR] = "`cidr \"10.0.0.0/8\"`: the client's address is in the network.",
	[TEST_AT_LEAST] = "`at_least(5)`: a number, size (`\"16m\"`) or time (`\"3s\"`) of 5 or more.",
	[TEST_AT_MOST] = "`at_most(5)`: 5 or less.",
	[TEST_MORE_THAN] = "`more_than(5)`",
	[TEST_LESS_THAN] = "`less_than(5)`",
	[TEST_WITHIN] = "`within \"Mon-Fri 09:00-18:00 Europe/Berlin\"`: of `time`.",
	[TEST_OUTSIDE] = "`outside \"Mon-Fri 09:00-18:00 Europe/Berlin\"`: of `time`.",
	[TEST_ABSENT] = "`absent`: the operation has no such value.",
	[TEST_PRESENT] = "`present`: it has one.",
	[TEST_ANY_OF] = "`any_of(…)`: one of these; a plain list `{ \"a\", \"b\" }` says the same.",
	[TEST_ALL_OF] = "`all_of(…)`: all of these.",
	[TEST_NONE_OF] = "`none_of(…)`: none of these; what is not known counts against the one who asks.",
};

static const char *const method_help[METHODS] = {
	[METHOD_NULL] = "The value becomes NULL.",
	[METHOD_REDACT] = "Four stars, whatever the length.",
	[METHOD_HASH] = "Sixteen hex digits by a key for each tag: equal values stay equal, so that joins work.",
	[METHOD_DATE_YEAR] = "A date keeps its year.",
	[METHOD_EMAIL] = "The first character and the domain stay.",
	[METHOD_KEEP] = "`mask.keep { first = 2, last = 2 }`: these characters stay, never more than half; `mask.last4` is `{ last = 4 }`.",
	[METHOD_COMPOSE] = "`mask.compose(mask.hash, mask.keep { first = 8 })`: one after the other.",
};

static const char *const detector_help[DETECTORS] = {
	[DETECT_EMAIL] = "E-mail addresses.",
	[DETECT_CARD] = "Payment card numbers of 13 to 19 digits that satisfy Luhn's formula.",
	[DETECT_IBAN] = "Account numbers (IBAN) with a right check sum.",
	[DETECT_SSN] = "US social security numbers, as 123-45-6789.",
	[DETECT_PHONE] = "Telephone numbers with + and a country, and of ten digits as 3-3-4.",
	[DETECT_IP] = "IPv4 and IPv6 addresses.",
	[DETECT_JWT] = "JSON web tokens.",
	[DETECT_AWS_KEY] = "AWS access keys and named secret keys.",
	[DETECT_PRIVATE_KEY] = "Private keys in PEM.",
	[DETECT_BEARER] = "What follows the word bearer.",
	[DETECT_GITHUB_TOKEN] = "Tokens of GitHub.",
	[DETECT_SLACK_TOKEN] = "Tokens of Slack.",
};

/* A table of words, each with its sentence; a word whose sentence was forgotten is an error, so that `make check` finds it. */
static int
put_words(struct buffer *out, const char *title, const char *const *name, const char *const *help, size_t n)
{
	int rc = buffer_printf(out, "\n## %s\n\n| word | what it means |\n|---|---|\n", title);
	for (size_t i = 0; i < n && rc == SP_OK; i++) {
		if (help[i] == NULL)
			return SP_EINTERNAL;
		if (help[i][0] == '\0')
			continue;
		rc = buffer_printf(out, "| `%s` | ", name[i]);
		if (rc == SP_OK)
			rc = manual_cell(help[i], out);
		if (rc == SP_OK)
			rc = buffer_printf(out, " |\n");
	}
	return rc;
}

/* "sql.prepare" may read what "sql.statement" may, and then stands in its title. */
static bool
same_attributes(struct arena *a, const struct policy_schema *schema, const char *kind, const char *other)
{
	const char *const *x = attribute_names(a, schema, kind), *const *y = attribute_names(a, schema, other);
	for (; x != NULL && y != NULL && *x != NULL && *y != NULL && strcmp(*x, *y) == 0; x++)
		y++;
	return x != NULL && y != NULL && *x == NULL && *y == NULL;
}

static int
put_kind(struct arena *a, const struct policy_schema *schema, const char *const *all, const char *const *kind, struct buffer *out)
{
	for (; all != kind; all++)
		if (same_attributes(a, schema, *all, *kind))
			return SP_OK;
	int rc = buffer_printf(out, "\n## On");
	for (all = kind; *all != NULL && rc == SP_OK; all++)
		if (same_attributes(a, schema, *all, *kind))
			rc = buffer_printf(out, "%s `%s`", all == kind ? "" : ",", *all);
	if (rc == SP_OK)
		rc = buffer_printf(out, "\n\n");
	return rc == SP_OK ? attribute_manual(a, schema, *kind, out) : rc;
}

int
policy_manual_attributes(struct arena *a, const struct policy_schema *schema, struct buffer *out)
{
	const char *const *all = kind_names(a, schema);
	int rc = all == NULL ? SP_ENOMEM : buffer_printf(out, "\n## On every kind, `session` among them\n\n");
	if (rc == SP_OK)
		rc = attribute_manual(a, schema, NULL, out);
	for (const char *const *kind = all; rc == SP_OK && *kind != NULL; kind++)
		if (strcmp(*kind, "session") != 0)
			rc = put_kind(a, schema, all, kind, out);
	return rc;
}

int
policy_manual_words(struct arena *a, const struct policy_schema *schema, struct buffer *out)
{
	const char *const *kind = kind_names(a, schema);
	int rc = kind == NULL ? SP_ENOMEM : buffer_printf(out, "\n## Kinds (`on = …`)\n\n");
	for (; rc == SP_OK && *kind != NULL; kind++)
		rc = buffer_printf(out, "- `%s`\n", *kind);
	if (rc == SP_OK)
		rc = put_words(out, "Decisions, strictest first", decide_name + 1, decision_help + 1, DECISIONS - 1);
	if (rc == SP_OK)
		rc = put_words(out, "Predicates", test_name, predicate_help, TESTS);
	if (rc == SP_OK)
		rc = put_words(out, "Masks (`mask.…`), strongest first", method_name, method_help, METHODS);
	if (rc == SP_OK)
		rc = put_words(out, "Detectors (`detect = …`)", detector_name, detector_help, DETECTORS);
	return rc;
}
