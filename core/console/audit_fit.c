/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines of the audit log were asked for.  Most are told from their bytes, before anything is taken apart. */
#include <config.h>

#include "../record/match.h"
#include "console.h"

static const char *
arg(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

static bool
is(const json_t *entry, const char *member, const char *wanted)
{
	const char *value = json_string_value(json_object_get(entry, member));
	return value != NULL && strcmp(value, wanted) == 0;
}

static bool
holds_text(struct sp_bytes in, struct sp_bytes text)
{
	return match_find(in, text) < in.len;
}

/* In any value, however deep; names of members are no content. */
static bool
holds(const json_t *value, struct sp_bytes text)
{
	const char *name;
	json_t *one;
	size_t i;
	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, name, one)
			if (holds(one, text))
				return true;
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, one)
			if (holds(one, text))
				return true;
	}
	return json_is_string(value) && holds_text((struct sp_bytes){ (const uint8_t *)json_string_value(value), json_string_length(value) }, text);
}

/* JSON writes it as it stands. */
static bool
stands_as_it_is(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\' || *c == '/')
			return false;
	return true;
}

bool
audit_might_fit(const json_t *args, struct sp_bytes line)
{
	static const char *const names[] = { "text", "user", "target", "verdict", "session" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *wanted = arg(args, names[i]);
		if (wanted != NULL && *wanted != '\0' && stands_as_it_is(wanted) && !holds_text(line, sp_str(wanted)))
			return false;
	}
	return true;
}

bool
audit_fits(const json_t *args, const json_t *entry)
{
	const char *user = arg(args, "user"), *event = arg(args, "event"), *session = arg(args, "session"), *text = arg(args, "text"), *id;
	static const char *const same[] = { "target", "verdict" };
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		if (arg(args, same[i]) != NULL && !is(entry, same[i], arg(args, same[i])))
			return false;
	if (user != NULL && !is(entry, "user", user) && !is(entry, "by", user))
		return false;
	if (event != NULL && !(strcmp(event, "decision") == 0 ? json_object_get(entry, "verdict") != NULL : is(entry, "event", event)))
		return false;
	const char *would = arg(args, "would");
	if (would != NULL && !is(entry, "would", would) && (strcmp(would, "any") != 0 || json_object_get(entry, "would") == NULL))
		return false;
	if (text != NULL && *text != '\0' && !holds(entry, sp_str(text)))
		return false;
	id = json_string_value(json_object_get(entry, "session"));
	return session == NULL || (id != NULL && strncmp(id, session, strlen(session)) == 0);
}
