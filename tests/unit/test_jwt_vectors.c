/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that another implementation made, good and bad: jwt_vectors.json, by jwt_vectors.py (ID3). */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "cunit_main.h"

#include "core/keeper/jwt.h"

static json_t *vectors;

static void
open_vectors(void)
{
	char path[4096];
	const char *source = getenv("srcdir");
	json_error_t error;
	(void)snprintf(path, sizeof(path), "%s/tests/unit/jwt_vectors.json", source == NULL ? "." : source);
	vectors = json_load_file(path, 0, &error);
	if (vectors == NULL)
		printf("%s: %s\n", path, error.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(vectors);
}

static struct jwks *
keys_of(const json_t *group)
{
	char *text = json_dumps(json_object_get(group, "keys"), JSON_COMPACT);
	struct jwks *set = NULL;
	const char *why = "";
	CU_ASSERT_EQUAL_FATAL(jwks_parse(sp_str(text), &set, &why), SP_OK);
	free(text);
	return set;
}

static void
try_group(const json_t *group, unsigned count[2])
{
	struct jwks *keys = keys_of(group);
	const struct jwt_rules rules = { .keys = keys, .issuer = json_string_value(json_object_get(vectors, "issuer")),
		.audience = json_string_value(json_object_get(vectors, "audience")), .other_audience = "",
		.now = (uint64_t)json_integer_value(json_object_get(vectors, "now")) * 1000000, .max_age = 12ull * 3600 * 1000 };
	size_t i;
	const json_t *t;
	json_array_foreach(json_object_get(group, "tests"), i, t) {
		const json_t *token = json_object_get(t, "token");
		bool wanted = json_is_true(json_object_get(t, "good"));
		struct jwt jwt;
		const char *why = NULL;
		const struct sp_bytes text = { (const uint8_t *)json_string_value(token), json_string_length(token) };
		bool good = jwt_verify(text, &rules, &jwt, &why) == SP_OK;
		if (good != wanted)
			printf("%s, %s: %s\n", jwk_algorithm_name(&keys->key[0]), json_string_value(json_object_get(t, "comment")), good ? "taken" : why);
		CU_ASSERT_EQUAL(good, wanted);
		CU_ASSERT_EQUAL(good, why == NULL);
		jwt_clear(&jwt);
		count[wanted]++;
	}
	jwks_free(&keys);
}

static void
test_vectors(void)
{
	size_t i;
	const json_t *group;
	unsigned count[2] = { 0 };
	open_vectors();
	json_array_foreach(json_object_get(vectors, "groups"), i, group)
		try_group(group, count);
	/* A file that was cut would show nothing. */
	CU_ASSERT(i == 10 && count[false] > 300 && count[true] > 20);
	json_decref(vectors);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "tokens made elsewhere", test_vectors }, CU_TEST_INFO_NULL };
	return cunit_main("jwt_vectors", tests);
}
