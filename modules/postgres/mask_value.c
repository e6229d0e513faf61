/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masked values in the type they had: text stays text, a date keeps its year, and what can't be
 * masked in its wire format becomes NULL.
 */
#include "postgres.h"

enum class { OPAQUE, TEXT, DOCUMENT, DATE, STAMP, STAMP_ZONE }; /* zero becomes NULL */

static const struct { uint32_t type; enum class class; } classes[] = {
	{ 25, TEXT }, { 1043, TEXT }, { 1042, TEXT }, { 19, TEXT }, { 705, TEXT },
	{ 114, DOCUMENT }, { 142, DOCUMENT }, { 3802, DOCUMENT }, /* json, xml, jsonb: only what detectors find */
	{ 1082, DATE }, { 1114, STAMP }, { 1184, STAMP_ZONE },
};

#define JSONB 3802u

static enum class
class_of(uint32_t type)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (classes[i].type == type)
			return classes[i].class;
	return OPAQUE;
}

bool
pg_type_is_text(uint32_t type)
{
	enum class class = class_of(type);
	return class == TEXT || class == DOCUMENT;
}

static int
write_null(struct sp_writer *out, size_t at)
{
	out->len = at;
	sp_wr_be32(out, UINT32_MAX);
	return out->bad ? SP_ENOMEM : SP_OK;
}

static int
write_text(const struct sp_mask *mask, struct sp_bytes value, uint8_t version, struct sp_writer *out)
{
	size_t at = out->len;
	sp_wr_be32(out, 0);
	if (version != 0)
		sp_wr_u8(out, version);
	int rc = sp_mask_value(mask, value, out);
	if (rc != SP_OK)
		return rc == SP_EDENIED ? write_null(out, at) : rc;
	sp_wr_patch32(out, at, out->len - at - 4);
	return out->bad ? SP_ENOMEM : SP_OK;
}

/* ---- years ---- */

/* Days since 2000-01-01 of the first of January of the year that `days` falls in. */
static int64_t
year_start(int64_t days)
{
	/* Civil-from-days in eras of 400 years that begin on the first of March. */
	int64_t z = days + 730425; /* since 0000-03-01 */
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, day = z - era * 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t in_year = day - (365 * year + year / 4 - year / 100);
	int64_t civil = year + era * 400 + (in_year >= 306 ? 1 : 0);
	int64_t before = civil - 1, before_era = (before >= 0 ? before : before - 399) / 400, of_era = before - before_era * 400;
	return before_era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + 306 - 730425;
}

static void
year_binary(enum class class, struct sp_bytes value, struct sp_writer *out)
{
	struct sp_reader r = sp_reader(value);
	const int64_t day = INT64_C(86400000000);
	if (class == DATE) {
		int32_t days = (int32_t)sp_rd_be32(&r);
		bool infinite = days == INT32_MAX || days == INT32_MIN;
		sp_wr_be32(out, 4);
		sp_wr_be32(out, (uint32_t)(infinite ? days : (int32_t)year_start(days)));
		return;
	}
	int64_t stamp = (int64_t)sp_rd_be64(&r);
	bool infinite = stamp == INT64_MAX || stamp == INT64_MIN;
	int64_t days = stamp / day - (stamp % day < 0 ? 1 : 0);
	sp_wr_be32(out, 8);
	sp_wr_be64(out, (uint64_t)(infinite ? stamp : year_start(days) * day));
}

/* ISO dates only: in the other styles a year's place depends on settings. */
static bool
year_text(enum class class, struct sp_bytes value, struct sp_writer *out)
{
	struct sp_reader r = sp_reader(value);
	struct sp_bytes year = sp_rd_until(&r, '-');
	bool bc = value.len > 3 && memcmp(value.p + value.len - 3, " BC", 3) == 0;
	if (r.bad || year.len < 4 || year.len > 7)
		return false;
	for (size_t i = 0; i < year.len; i++)
		if (year.p[i] < '0' || year.p[i] > '9')
			return false;
	size_t at = out->len;
	sp_wr_be32(out, 0);
	sp_wr_put(out, year);
	sp_wr_put(out, SP_LIT("-01-01"));
	if (class != DATE)
		sp_wr_put(out, SP_LIT(" 00:00:00"));
	if (class == STAMP_ZONE)
		sp_wr_put(out, SP_LIT("+00"));
	if (bc)
		sp_wr_put(out, SP_LIT(" BC"));
	sp_wr_patch32(out, at, out->len - at - 4);
	return true;
}

static int
write_year(const struct pg *p, enum class class, bool binary, struct sp_bytes value, struct sp_writer *out)
{
	size_t at = out->len, size = class == DATE ? 4 : 8;
	if (class < DATE || (binary && value.len != size) || (!binary && !p->iso_dates))
		return write_null(out, at);
	if (binary)
		year_binary(class, value, out);
	else if (!year_text(class, value, out))
		return write_null(out, at);
	return out->bad ? SP_ENOMEM : SP_OK;
}

int
pg_mask_field(struct pg *p, const struct sp_mask *mask, uint32_t type, bool binary, struct pg_value v,
    struct sp_writer *out)
{
	enum class class = class_of(type);
	enum sp_mask_kind kind = sp_mask_kind(mask);
	if (v.null || kind == SP_MASK_NULL)
		return write_null(out, out->len);
	if (kind == SP_MASK_YEAR)
		return write_year(p, class, binary, v.bytes, out);
	if (class == TEXT && (kind == SP_MASK_TEXT || kind == SP_MASK_DETECT))
		return write_text(mask, v.bytes, 0, out);
	if (class != DOCUMENT || kind != SP_MASK_DETECT)
		return write_null(out, out->len);
	if (type != JSONB || !binary)
		return write_text(mask, v.bytes, 0, out);
	struct sp_reader r = sp_reader(v.bytes); /* jsonb in binary: a version, then the text */
	uint8_t version = sp_rd_u8(&r);
	return version != 1 ? write_null(out, out->len) : write_text(mask, sp_rd_rest(&r), version, out);
}

bool
pg_mask_spares(const struct sp_mask *mask, uint32_t type, struct pg_value v)
{
	return v.null || (pg_type_is_text(type) && sp_mask_spares(mask, v.bytes));
}
