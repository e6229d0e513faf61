/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `policy backtest` over recordings that were made for it (backtest.c, backtest_judge.c, backtest_read.c): what rules read is
 * what was recorded, in full or known to be cut; sealed ones only with the key; names of others, torn and foreign files.
 */
#include <config.h>
#include "cunit_main.h"

#include "command_world.h"
#include "recorder_world.h"

#define main command_main
#include "core/command/main.c"
#undef main

static struct world *w;
static uint8_t id[ID_LEN], auditor[SEAL_KEY];
static char file[256], key[2 * SEAL_KEY + 1];
static uint32_t number;

/* The module as built, in a folder of ours: the way up from the build tree may be open to others. */
static const char *
module(void)
{
	static char path[128];
	const char *built = getenv("BACKTEST_MODULE");
	(void)snprintf(path, sizeof(path), "%s/postgres.so", command.folder);
	CU_ASSERT_TRUE_FATAL(files_copy(built == NULL ? "modules/postgres/.libs/postgres.so" : built, path, 0755));
	return path;
}

static void
begin(bool sealed)
{
	w = world_new();
	memset(auditor, 7, sizeof(auditor));
	text_hex((struct sp_bytes){ auditor, sizeof(auditor) }, key);
	w->options.seals = sealed;
	seal_public(auditor, w->options.auditor);
	world_start(w);
	say_header(w, id);
	number = 0;
}

static void
done(void)
{
	say_end(w, id);
	world_tick(w);
	world_stop(w, false);
	session_file(w, id, file);
}

/* "text" or "0:verb=select" or "role=boss", by their form; then allowed. */
static uint32_t
say(const char *text, const char *const *lines)
{
	struct buffer b = { 0 };
	struct sp_writer o = buffer_writer(&b);
	frame_field(&o, KEY_KIND, SP_LIT("sql.statement"));
	frame_field(&o, KEY_TEXT, sp_str(text));
	frame_field(&o, KEY_TAG, SP_LIT("SELECT"));
	frame_field(&o, KEY_TEXT_HASH, SP_LIT("01234567890123456789012345678901"));
	for (; *lines != NULL; lines++)
		frame_field(&o, (*lines)[0] == '!' ? KEY_UNCLEAR : (*lines)[0] >= '0' && (*lines)[0] <= '9' ? KEY_ATTRIBUTE : KEY_FACT,
		    sp_str(*lines + ((*lines)[0] == '!')));
	CU_ASSERT_EQUAL_FATAL(buffer_written(&b, &o), SP_OK);
	number++;
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = number, .at = number * 1000, .payload = buffer_bytes(&b) });
	buffer_free(&b);
	say_verdict(w, id, number, "allow");
	return number;
}

static void
say_column(uint32_t op, const char *name)
{
	uint8_t bytes[512], column[256];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes)), c = sp_writer(column, sizeof(column));
	sp_wr_u8(&c, 0);
	sp_wr_be32(&c, 25);
	sp_wr_be16(&c, 0);
	sp_wr_put(&c, sp_str(name));
	frame_field(&o, KEY_COLUMN, sp_written(&c));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_COLUMNS, .op = op, .at = op * 1000 + 2, .payload = sp_written(&o) });
}

#define SAY(text, ...) say(text, (const char *const[]){ __VA_ARGS__, NULL })

/* Over the whole store. */
static json_t *
judged(const char *policy, int code)
{
	RUN(NULL, "policy", "backtest", command_file("new.lua", policy), "--module", module(), "--store", w->dir, "--json");
	if (command.code != code)
		printf("\n  %d, \"%.2000s\", \"%.2000s\"\n", command.code, command.out, command.err);
	CU_ASSERT_EQUAL(command.code, code);
	json_t *o = json_loads(command.out, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	return o;
}

static json_int_t
count(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* How often this became that: of all differences with these beginnings. */
static json_int_t
became(const json_t *o, const char *was, const char *now)
{
	const json_t *d;
	size_t i;
	json_int_t n = 0;
	json_array_foreach(json_object_get(o, "differences"), i, d)
		if (strcmp(json_string_value(json_object_get(d, "was")), was) == 0 && strcmp(json_string_value(json_object_get(d, "now")), now) == 0)
			n += count(d, "n");
	return n;
}

#define DENY(name, when) "rule '" name "' { doc = '', on = 'sql.statement', when = { " when " }, deny = 'no' }\n"

/* ---- what rules read ---- */

static void
test_numbers(void)
{
	begin(false);
	SAY("a", "0:verb=select", "0:limit=10000000");
	SAY("b", "0:verb=select", "0:limit=18446744073709551615");
	SAY("c", "0:verb=select", "0:limit=999999");
	SAY("d", "0:verb=select", "0:limit=18446744073709551616"); /* none: unknown, which may be more */
	SAY("e", "0:verb=select", "0:limit=-1");
	SAY("f", "0:verb=select", "0:limit=");
	SAY("g", "0:verb=select", "0:limit=12x");
	SAY("h", "0:verb=select", "0:where=0");
	SAY("i", "0:verb=select", "0:where=1");
	done();
	json_t *o = judged(DENY("much", "limit = more_than(5000000)") DENY("all", "where = false"), 1);
	CU_ASSERT_EQUAL(count(o, "operations"), 9);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by much"), 6);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by all"), 1);
	json_decref(o);
	world_free(&w);
}

static void
test_statements(void)
{
	begin(false);
	/* What all of a model share comes first, and what is the text's own last. */
	SAY("a", "0:verb=batch", "1:verb=select", "2:verb=select", "0:size=9", "1:size=5000", "2:size=3");
	SAY("b", "0:verb=batch", "1:verb=select", "2:verb=delete", "2:where=0");
	SAY("c", "64:verb=delete"); /* no record of ours */
	SAY("d", "0x:verb=delete");
	SAY("e", "0verb");
	SAY("f", "0:verb=select", "!0:failed=");
	SAY("g", "0:verb=select", "!0:function=f");
	SAY("h", "0:verb=select", "0:none_such=1"); /* of a newer version */
	done();
	json_t *o = judged(DENY("long", "size = more_than(4000)") DENY("all", "where = false"), 1);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by long"), 1);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by all"), 1);
	CU_ASSERT_EQUAL(count(o, "operations"), 8);
	json_int_t all = 0;
	const json_t *d;
	size_t i;
	json_array_foreach(json_object_get(o, "differences"), i, d)
		all += count(d, "n");
	CU_ASSERT_EQUAL(all, 7); /* all but the last */
	json_decref(o);
	world_free(&w);
}

/* What was too long for its recording, or hidden there, is unknown; and that it was is said. */
static void
test_cut(void)
{
	begin(false);
	SAY("a", "0:verb=select", "0:tables=public.a,public.b," RECORD_CUT);
	SAY("b", "0:verb=select", "0:tables=public.a,public.b");
	SAY("c", "0:verb=select", "0:tables=public.a,{hidden}");
	SAY("d", "0:verb=batch", "1:verb=select", "63:" RECORD_CUT "=");
	done();
	json_t *o = judged(DENY("secret", "tables = 'public.secret'"), 1);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by secret, perhaps"), 2);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by secret"), 0);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "differences")), 3); /* the last is not known as a whole */
	json_decref(o);
	world_free(&w);
}

/* Two texts that analysis finds alike are not alike to a function. */
static void
test_texts(void)
{
	begin(false);
	SAY("SELECT 1", "0:verb=select");
	SAY("SELECT 2", "0:verb=select");
	SAY("SELECT 1", "0:verb=select");
	done();
	json_t *o = judged("rule 'one' { doc = '', on = 'sql.statement', when = function(op) return op.text == 'SELECT 1' end, deny = 'no' }\n", 1);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by one"), 2);
	json_decref(o);
	world_free(&w);
}

/* A result is judged by the facts of its own operation, not by those of the last that was new. */
static void
test_facts(void)
{
	begin(false);
	SAY("a", "0:verb=select", "0:columns=public.t.name", "role=boss");
	SAY("b", "0:verb=select", "0:columns=public.t.name", "role=clerk");
	say_column(SAY("a", "0:verb=select", "0:columns=public.t.name", "role=boss"), "name");
	say_column(SAY("b", "0:verb=select", "0:columns=public.t.name", "role=clerk"), "name");
	say_column(SAY("c", "0:verb=select", "0:columns=public.t.name"), "name"); /* nobody knows */
	done();
	json_t *o = judged("rule 'clerks' { doc = '', on = 'sql.result', when = { column = 'public.t.name', role = 'clerk' }, mask = mask.redact }\n", 1);
	CU_ASSERT_EQUAL(became(o, "show name", "mask name by clerks"), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "differences")), 1);
	json_decref(o);
	world_free(&w);
}

/* Masks of operations that are judged each time anew: as many as there are answers. */
static void
test_masks_that_change(void)
{
	begin(false);
	for (unsigned i = 0; i < 20; i++)
		say_column(SAY("a", "0:verb=select", "0:columns=public.t.name"), "name");
	done();
	json_t *o = judged("rule 'nights' { doc = '', on = 'sql.statement', when = { time = outside 'Mon-Sun 00:00-24:00 Europe/Berlin' }, deny = 'no' }\n"
			   "rule 'names' { doc = '', on = 'sql.result', when = { column = 'public.t.name' }, mask = mask.redact }\n", 1);
	CU_ASSERT_EQUAL(became(o, "show name", "mask name by names"), 20);
	json_decref(o);
	world_free(&w);
}

/* ---- sealed ---- */

static void
test_sealed(void)
{
	static const char policy[] = DENY("secret", "tables = 'public.secret'");
	begin(true);
	SAY("SELECT 1 FROM secret", "0:verb=select", "0:tables=public.secret");
	SAY("SELECT 1 FROM other", "0:verb=select", "0:tables=public.other");
	done();
	json_t *o = judged(policy, 1); /* nothing is known: not "nothing would change" */
	CU_ASSERT_EQUAL(count(o, "operations"), 0);
	CU_ASSERT_EQUAL(count(o, "sealed"), 1);
	json_decref(o);
	RUN(NULL, "policy", "backtest", command_file("new.lua", policy), "--module", module(), "--store", w->dir);
	command_expect(1, "0 operations of 1 sessions", "sealed to an auditor, and were not judged: --key FILE");
	RUN(NULL, "policy", "backtest", command_file("new.lua", policy), "--module", module(), "--store", w->dir, "--key", command_file("key", key));
	command_expect(1, "deny by secret", NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(command.out, "2 operations of 1 sessions, 1 kinds of difference"));
	RUN(NULL, "policy", "backtest", command_file("new.lua", DENY("none", "tables = 'public.none'")), "--module", module(), "--store", w->dir,
	    "--key", command_file("key", key));
	command_expect(0, "2 operations of 1 sessions, 0 kinds of difference", NULL);
	world_free(&w);
}

/* ---- hostile ---- */

/* Names that are no UTF-8, or are cut within a character, or drive a terminal: told, and harmless. */
static void
test_names(void)
{
	char name[300] = "0:tables=public.", controls[] = "0:tables=public.\x1b[2J\xe2\x80\xae";
	size_t n = strlen(name);
	for (size_t i = 0; i < 120; i++, n += 2)
		memcpy(name + n, "\xc3\xa4", 3);
	begin(false);
	SAY("a", "0:verb=drop", "0:tables=public.\xe4\xff");
	SAY("b", "0:verb=drop", name);
	name[15] = 'x'; /* by one byte more: the other half */
	SAY("c", "0:verb=drop", name, "0:object=x");
	SAY("d", "0:verb=drop", controls);
	done();
	json_t *o = judged(DENY("drops", "verb = 'drop'"), 1);
	CU_ASSERT_EQUAL(became(o, "allow", "deny by drops"), 4);
	json_decref(o);
	RUN(NULL, "policy", "backtest", command_file("new.lua", DENY("drops", "verb = 'drop'")), "--module", module(), "--store", w->dir);
	command_expect(1, "4 kinds of difference", NULL);
	for (const char *p = command.out; *p != '\0'; p++)
		CU_ASSERT(((uint8_t)*p >= ' ' && *p != 0x7f) || *p == '\n');
	CU_ASSERT_PTR_NULL(strstr(command.out, "\xe2\x80\xae"));
	world_free(&w);
}

static void
put_file(const char *name, struct sp_bytes text)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/sessions/%s", w->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && write(fd, text.p, text.len) == (ssize_t)text.len);
	close(fd);
}

static void
remove_file(const char *name)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/sessions/%s", w->dir, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
}

/* What can't be read is no recording without differences. */
static void
test_files(void)
{
	static const char policy[] = DENY("none", "tables = 'public.none'");
	uint8_t whole[1u << 16];
	begin(false);
	SAY("a", "0:verb=select", "0:tables=public.a");
	SAY("b", "0:verb=select", "0:tables=public.b");
	done();
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, whole, sizeof(whole));
	close(fd);
	CU_ASSERT_FATAL(n > 300 && n < (ssize_t)sizeof(whole));
	put_file("notes.txt", SP_LIT("nothing of ours"));
	put_file("empty.spr", SP_LIT(""));
	json_decref(judged(policy, 0));
	put_file("foreign.spr", SP_LIT("nothing of ours"));
	json_t *o = judged(policy, 1);
	CU_ASSERT_EQUAL(count(o, "unreadable"), 1);
	CU_ASSERT_EQUAL(count(o, "operations"), 2);
	json_decref(o);
	remove_file("foreign.spr");
	for (ssize_t at = 8; at < n; at += 7) {
		uint8_t was = whole[at];
		put_file("torn\x1b[2J.spr", (struct sp_bytes){ whole, (size_t)at });
		RUN(NULL, "policy", "backtest", command_file("new.lua", policy), "--module", module(), "--store", w->dir);
		CU_ASSERT(command.code == 0 || command.code == 1);
		CU_ASSERT_PTR_NULL(strchr(command.err, 0x1b));
		whole[at] ^= 0x20;
		put_file("torn\x1b[2J.spr", (struct sp_bytes){ whole, (size_t)n });
		whole[at] = was;
		RUN(NULL, "policy", "backtest", command_file("new.lua", policy), "--module", module(), "--store", w->dir);
		command_expect(1, "operations of", "could not be read to their end");
		CU_ASSERT_PTR_NULL(strchr(command.err, 0x1b));
	}
	world_free(&w);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "numbers", test_numbers }, { "statements of a text", test_statements }, { "what was cut", test_cut }, { "texts", test_texts },
		{ "facts", test_facts }, { "masks that change", test_masks_that_change }, { "sealed (P9)", test_sealed }, { "names (RC5)", test_names },
		{ "files (RC1)", test_files }, CU_TEST_INFO_NULL,
	};
	command_begin();
	int rc = cunit_main("backtest", tests);
	command_end();
	return rc;
}
