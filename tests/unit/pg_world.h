/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of tests/bypass/setup.sql by hand, and one session's view of it: search_path public.
 * It goes through the rows that the catalogue queries give, as a target would send them.
 */
#ifndef PG_WORLD_H
#define PG_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "modules/postgres/names.h"

static const struct {
	enum pg_names_query query;
	const char *field[9];
} pg_world_rows[] = {
	{ PG_NAMES_RELATIONS, { "100", "public", "customers", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "100", "1", "id", "23", "t" } },
	{ PG_NAMES_COLUMNS, { "100", "2", "name", "25", "t" } },
	{ PG_NAMES_COLUMNS, { "100", "3", "email", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "100", "4", "card_number", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "100", "6", "born", "1082", "f" } }, /* 5 was dropped */
	{ PG_NAMES_RELATIONS, { "101", "public", "orders", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "101", "1", "id", "23", "t" } },
	{ PG_NAMES_COLUMNS, { "101", "2", "customer", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "101", "3", "item", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "101", "4", "price", "1700", "f" } },
	{ PG_NAMES_COLUMNS, { "101", "5", "state", "25", "f" } },
	{ PG_NAMES_RELATIONS, { "102", "public", "notes", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "102", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "102", "2", "text", "25", "f" } },
	{ PG_NAMES_RELATIONS, { "103", "public", "v", "v", "f" } },
	{ PG_NAMES_COLUMNS, { "103", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "103", "2", "x", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "103", "3", "y", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "103", "4", "name", "25", "f" } },
	{ PG_NAMES_DEPENDS, { "103", "100", "1" } },
	{ PG_NAMES_DEPENDS, { "103", "100", "2" } },
	{ PG_NAMES_DEPENDS, { "103", "100", "3" } },
	{ PG_NAMES_RELATIONS, { "104", "public", "vv", "v", "f" } },
	{ PG_NAMES_COLUMNS, { "104", "1", "z", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "104", "2", "id", "23", "f" } },
	{ PG_NAMES_DEPENDS, { "104", "103", "1" } },
	{ PG_NAMES_DEPENDS, { "104", "103", "2" } },
	{ PG_NAMES_RELATIONS, { "105", "public", "m", "m", "f" } },
	{ PG_NAMES_COLUMNS, { "105", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "105", "2", "n", "25", "f" } },
	{ PG_NAMES_DEPENDS, { "105", "100", "1" } },
	{ PG_NAMES_DEPENDS, { "105", "100", "4" } },
	{ PG_NAMES_RELATIONS, { "106", "public", "people", "p", "f" } },
	{ PG_NAMES_COLUMNS, { "106", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "106", "2", "email", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "106", "3", "year", "23", "f" } },
	{ PG_NAMES_RELATIONS, { "107", "public", "people_2024", "r", "t" } },
	{ PG_NAMES_COLUMNS, { "107", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "107", "2", "email", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "107", "3", "year", "23", "f" } },
	{ PG_NAMES_INHERITS, { "107", "106" } },
	{ PG_NAMES_RELATIONS, { "108", "public", "parent", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "108", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "108", "2", "email", "25", "f" } },
	{ PG_NAMES_RELATIONS, { "109", "public", "child", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "109", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "109", "2", "email", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "109", "3", "more", "25", "f" } },
	{ PG_NAMES_INHERITS, { "109", "108" } },
	{ PG_NAMES_RELATIONS, { "110", "public", "Odd.Table", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "110", "1", "E.mail", "25", "f" } },
	{ PG_NAMES_COLUMNS, { "110", "2", "email", "25", "f" } },
	{ PG_NAMES_RELATIONS, { "111", "crm", "people", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "111", "1", "id", "23", "f" } },
	{ PG_NAMES_COLUMNS, { "111", "2", "email", "25", "f" } },
	{ PG_NAMES_RELATIONS, { "112", "public", "s", "S", "f" } },
	{ PG_NAMES_RELATIONS, { "113", "pg_temp_7", "t7", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "113", "1", "a", "23", "f" } },
	{ PG_NAMES_RELATIONS, { "1259", "pg_catalog", "pg_class", "r", "f" } },
	{ PG_NAMES_COLUMNS, { "1259", "1", "oid", "26", "t" } },
	{ PG_NAMES_COLUMNS, { "1259", "2", "relname", "19", "t" } },
	{ PG_NAMES_RELATIONS, { "12000", "pg_catalog", "pg_stats", "v", "f" } },
	{ PG_NAMES_COLUMNS, { "12000", "1", "most_common_vals", "2277", "f" } },
	{ PG_NAMES_FUNCTIONS, { "20000", "public", "leak", "f", "s", "0", "0", "f", "" } },
	{ PG_NAMES_FUNCTIONS, { "20001", "public", "leaks", "f", "s", "0", "0", "f", "" } },
	{ PG_NAMES_FUNCTIONS, { "20002", "public", "first_of", "f", "i", "1", "0", "f", "" } },
	{ PG_NAMES_FUNCTIONS, { "20003", "public", "shout", "p", "v", "0", "0", "f", "" } },
	{ PG_NAMES_FUNCTIONS, { "20004", "public", "both_text", "f", "i", "2", "0", "f", "" } },
	{ PG_NAMES_FUNCTIONS, { "20005", "public", "similarity", "f", "i", "2", "0", "f", "pg_trgm" } },
	{ PG_NAMES_FUNCTIONS, { "20006", "public", "btrim", "f", "v", "1", "0", "f", "" } }, /* behind pg_catalog's */
	{ PG_NAMES_FUNCTIONS, { "20007", "crm", "many", "f", "v", "3", "1", "t", "" } },
	{ PG_NAMES_OPERATORS, { "20010", "public", "===", "i", "" } },
	{ PG_NAMES_OPERATORS, { "20011", "public", "%", "i", "pg_trgm" } },
};

static inline struct pg_names *
pg_world_names(void)
{
	struct pg_names_builder *b = pg_names_begin(0);

	if (b == NULL)
		abort();
	for (size_t i = 0; i < sizeof(pg_world_rows) / sizeof(*pg_world_rows); i++) {
		struct sp_bytes field[9];
		size_t n = pg_names_fields[pg_world_rows[i].query];
		for (size_t k = 0; k < n; k++)
			field[k] = sp_str(pg_world_rows[i].field[k]);
		if (pg_names_feed(b, pg_world_rows[i].query, field, n) != SP_OK)
			abort();
	}
	struct pg_names *names = pg_names_finish(&b, 1);
	if (names == NULL)
		abort();
	return names;
}

static inline struct sp_bytes
pg_world_prepared(const struct pg_view *v, struct sp_bytes name)
{
	static char list[120024] = "SELECT 1 WHERE 1 IN (1";
	(void)v;
	if (sp_bytes_is(name, "known_list")) {
		for (size_t i = 22; i + 2 < sizeof(list); i += 2)
			memcpy(list + i, ",1", 2);
		list[sizeof(list) - 2] = ')';
		return (struct sp_bytes){ (const uint8_t *)list, sizeof(list) - 1 };
	}
	if (sp_bytes_is(name, "known_delete"))
		return SP_LIT("DELETE FROM orders");
	return sp_bytes_is(name, "known_select") ? SP_LIT("SELECT email FROM customers WHERE id = $1") : (struct sp_bytes){ NULL, 0 };
}

/* names: pg_world_names(), to be freed after the view's last use. */
static inline struct pg_view
pg_world_view(const struct pg_names *names)
{
	static const char *const path[] = { "pg_catalog", "public" }, *const temporary[] = { "t7", "unseen" };

	return (struct pg_view){ .names = names, .path = path, .npath = 2, .temporary = temporary, .ntemporary = 2,
		.temporary_schema = "pg_temp_7", .role = "app_gw", .prepared = pg_world_prepared };
}

#endif
