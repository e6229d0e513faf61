/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of a request, as the engine reads it: names and values decoded, the first of a name counts.
 *
 * Where two readers could differ (a name twice, a bad escape, a semicolon, more than fits) it is not clear.
 */
#include "docker.h"

#include <stdio.h>

#define PAIRS 64
#define NAME 64

/* false: malformed, or longer than any name of Docker's. */
static bool
name_of(struct sp_bytes key, char to[NAME])
{
	struct sp_writer w = sp_writer((uint8_t *)to, NAME - 1);
	http_decode(key, true, &w);
	to[w.bad ? 0 : w.len] = '\0';
	return !w.bad;
}

/* No parameter begins with a capital; members of a body do, which SDKs send here as well, lists of them one by one. */
static bool
is_none_of_the_engines(const char *name)
{
	return name[0] >= 'A' && name[0] <= 'Z';
}

static const char *
fault_of(struct sp_bytes query, bool lists)
{
	char name[PAIRS][NAME];
	struct sp_reader r = sp_reader(query);
	struct sp_bytes key, value;
	size_t n = 0;
	if (query.len > 0 && memchr(query.p, ';', query.len) != NULL) /* it parts pairs for some */
		return "malformed";
	while (http_query_next(&r, &key, &value)) {
		if (key.len == 0 && value.len == 0) /* "&&" */
			continue;
		if (n == PAIRS || !name_of(key, name[n]))
			return "malformed";
		if (is_none_of_the_engines(name[n]))
			continue;
		for (size_t i = 0; i < n && !lists; i++)
			if (strcmp(name[i], name[n]) == 0)
				return "repeated";
		n++;
	}
	return NULL;
}

const char *
query_fault(const struct row *row, struct sp_bytes query)
{
	return fault_of(query, (row->flags & ROW_OPAQUE) != 0);
}

bool
query_get(struct sp_bytes query, const char *name, struct sp_writer *space, struct sp_bytes *value_r)
{
	struct sp_reader r = sp_reader(query);
	struct sp_bytes key, value;
	char decoded[NAME];
	*value_r = (struct sp_bytes){ NULL, 0 };
	while (http_query_next(&r, &key, &value)) {
		if (!name_of(key, decoded) || strcmp(decoded, name) != 0)
			continue;
		http_decode(value, true, space);
		if (!space->bad)
			*value_r = space->len > 0 ? sp_written(space) : SP_LIT("");
		return !space->bad;
	}
	return true;
}

bool
query_without(struct sp_bytes query, const char *name, struct sp_writer *out)
{
	struct sp_reader r = sp_reader(query);
	struct sp_bytes key, value;
	char decoded[NAME];
	if (fault_of(query, false) != NULL)
		return false;
	while (http_query_next(&r, &key, &value)) {
		struct sp_writer plain = proxy_buffer();
		bool good = name_of(key, decoded);
		http_decode(value, true, &plain);
		good = good && !plain.bad;
		if (good && decoded[0] != '\0' && strcmp(decoded, name) != 0) {
			http_encode(sp_str(decoded), out);
			sp_wr_u8(out, '=');
			http_encode(sp_written(&plain), out);
			sp_wr_u8(out, '&');
		}
		proxy_free(&plain);
		if (!good)
			return false;
	}
	return !out->bad;
}
