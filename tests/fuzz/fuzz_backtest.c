/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations and columns of a recording, as `policy backtest` judges them again: whatever stands there gets one verdict, the
 * same each time, and every column is told of.  The first two bytes are the operation's length; the columns follow.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "core/command/backtest.h"
#include "tests/unit/toy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy[] =
    "tag 'pii' { '*.ssn' }\n"
    "rule 'much' { on = 'sql.statement', when = { limit = more_than(1000) }, deny = 'no' }\n"
    "rule 'secret' { on = 'sql.statement', when = { tables = 'public.secret' }, unless = { role = 'boss' }, deny = 'no' }\n"
    "rule 'text' { on = 'sql.statement', when = function(op) return op.text == 'x' end, approve = { by = 'leads' } }\n"
    "rule 'some' { on = 'sql.statement', when = { user = 'ann' }, allow = { unclear = 'function', name = 'f' } }\n"
    "rule 'often' { on = 'sql.statement', when = { verb = 'delete' }, limit = { per = 'user', rate = '5/1h' } }\n"
    "rule 'ssn' { on = 'sql.result', when = { column = tagged 'pii' }, unless = { role = 'boss' }, mask = mask.last4 }\n"
    "rule 'names' { on = 'sql.result', when = { name = 'secret' }, deny = 'no' }\n";

#define ANEW 10000 /* inputs: what is remembered of 130,000 operations would be a GB under sanitizers */

static struct policies loaded;
static struct judges *judges;
static size_t told, asked;

static void
begin(void)
{
	char *err = NULL;
	loaded.module = &toy_module;
	loaded.policy = toy_policy(policy, &err);
	if (loaded.policy == NULL)
		abort();
}

/* The same ones for many inputs, since what they remember is to be right. */
static void
judges_come(void)
{
	if (loaded.policy == NULL)
		begin();
	if (asked++ % ANEW == 0) {
		judges_free(&judges);
		judges = judges_new(&loaded);
	}
}

static void
take_column(void *owner, struct sp_bytes name, bool was, const char *rule)
{
	(void)owner;
	(void)was;
	if (strlen(rule) > 127 || (name.len > 0 && name.p == NULL))
		abort();
	told++;
}

static size_t
columns_of(const struct frame *f)
{
	struct sp_reader r = sp_reader(f->payload);
	struct sp_bytes v;
	unsigned key;
	size_t n = 0;
	while (frame_next_field(&r, &key, &v))
		n += key == KEY_COLUMN && v.len >= 7;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	size_t n = sp_rd_be16(&r);
	struct frame operation = { .type = FRAME_OPERATION, .op = 1, .payload = sp_rd_take(&r, n < r.left ? n : r.left) };
	struct frame columns = { .type = FRAME_COLUMNS, .op = 1, .payload = sp_rd_rest(&r) };
	struct who who = { .session = "s1", .address = "192.0.2.1", .now = UINT64_C(1767787200000000) };
	struct told first, again;
	judges_come();
	who.principal = (struct principal){ .identity = "corp", .issuer = "https://idp.example", .subject = "42", .user = "ann", .name = "Ann",
		.person = "ann-1", .class = "human", .token = "" };
	who.target.b.name = "orders";
	who.target.protocol = "toy";
	if (r.bad || frame_check(&operation) != SP_OK || frame_check(&columns) != SP_OK)
		return 0;
	struct judged *o = judges_ask(judges, &who, &operation, &first);
	if (o == NULL)
		return 0;
	if (judges_ask(judges, &who, &operation, &again) != o || first.said == SAID_NONE || first.said >= SAIDS || first.said != again.said ||
	    strcmp(first.rule, again.rule) != 0 || strlen(judged_text(o)) > 255)
		abort();
	(void)judged_limits(o, "often");
	told = 0;
	if (judges_columns(judges, &who, o, &columns, take_column, NULL) != SP_OK || told != columns_of(&columns))
		abort();
	return 0;
}
