/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the SSH module that need no libssh: what stands before it (SS1, SS11), SFTP's packets and paths. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../modules/ssh/edit.h"
#include "../../modules/ssh/guard.h"
#include "../../modules/ssh/scp.h"
#include "../../modules/ssh/sftp.h"
#include "../../modules/ssh/typed.h"
#include "cunit_main.h"

static long
look(struct guard *g, const void *p, size_t n)
{
	size_t want;
	const char *why = "";
	return guard_look(g, (struct sp_bytes){ p, n }, &want, &why);
}

/* A packet before the keys, with as much padding as it takes. */
static size_t
packet(uint8_t out[1024], const void *payload, size_t n)
{
	size_t padding = 8 - (5 + n) % 8;
	padding += padding < 4 ? 8 : 0;
	struct sp_writer w = sp_writer(out, 1024);
	sp_wr_be32(&w, (uint32_t)(1 + n + padding));
	sp_wr_u8(&w, (uint8_t)padding);
	sp_wr_put(&w, (struct sp_bytes){ payload, n });
	memset(sp_wr_room(&w, padding), 0, padding);
	return w.len;
}

static size_t
kexinit(uint8_t out[512], const char *exchanges)
{
	static const uint8_t cookie[16] = { 1 };
	struct sp_writer w = sp_writer(out, 512);
	sp_wr_u8(&w, 20);
	sp_wr_put(&w, (struct sp_bytes){ cookie, sizeof(cookie) });
	sp_wr_be32(&w, (uint32_t)strlen(exchanges));
	sp_wr_put(&w, sp_str(exchanges));
	for (unsigned i = 1; i < 10; i++)
		sp_wr_be32(&w, 0);
	sp_wr_u8(&w, 0);
	sp_wr_be32(&w, 0);
	return w.len;
}

static void
ss1_nothing_but_the_exchange_before_the_keys(void)
{
	static const uint8_t others[] = { 2, 3, 4, 5, 6, 7, 50, 80, 90, 94, 255 };
	uint8_t payload[512], p[1024];
	for (size_t i = 0; i < sizeof(others); i++) {
		struct guard g = { .at = GUARD_PACKETS };
		payload[0] = others[i];
		payload[1] = 0;
		CU_ASSERT(look(&g, p, packet(p, payload, 2)) < 0);
	}
	struct guard g = { .at = GUARD_BANNER };
	CU_ASSERT_EQUAL(look(&g, "SSH-2.0-x\r\n", 11), 11);
	size_t n = packet(p, payload, kexinit(payload, "curve25519-sha256,kex-strict-c-v00@openssh.com"));
	CU_ASSERT_EQUAL(look(&g, p, n), (long)n);
	CU_ASSERT_TRUE(g.strict);
	payload[0] = 21;
	n = packet(p, payload, 1);
	CU_ASSERT_EQUAL(look(&g, p, n), (long)n);
	CU_ASSERT_EQUAL(g.at, GUARD_OPEN);
	CU_ASSERT_EQUAL(look(&g, "\xff\xff\xff\xff", 4), 4); /* encrypted now: libssh's */
	g = (struct guard){ .at = GUARD_PACKETS };
	n = packet(p, payload, kexinit(payload, "curve25519-sha256,kex-strict-c-v00@openssh.com.example"));
	CU_ASSERT_EQUAL(look(&g, p, n), (long)n);
	CU_ASSERT_FALSE(g.strict);
}

static void
ss11_lengths_are_checked_first(void)
{
	static const uint32_t lengths[] = { 0, 1, 4, 11, 13, 35001, 35008, 0x7fffffff, 0x80000000, 0xffffffff };
	uint8_t p[64] = { 0 };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct guard g = { .at = GUARD_PACKETS };
		struct sp_writer w = sp_writer(p, sizeof(p));
		sp_wr_be32(&w, lengths[i]);
		CU_ASSERT(look(&g, p, sizeof(p)) < 0);
		CU_ASSERT(look(&g, p, 4) < 0); /* four bytes are enough to say so */
	}
	for (unsigned padding = 0; padding < 256; padding++) {
		struct guard g = { .at = GUARD_PACKETS };
		struct sp_writer w = sp_writer(p, sizeof(p));
		sp_wr_be32(&w, 12);
		sp_wr_u8(&w, (uint8_t)padding);
		sp_wr_u8(&w, 21);
		CU_ASSERT_EQUAL(look(&g, p, 16) > 0, padding >= 4 && padding < 11);
	}
}

static void
ss11_banners_end(void)
{
	static const char *const bad[] = { "SSH-1.5-x\r\n", "SSH-9\n", "SSH-\n" };
	static char long_line[300];
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct guard g = { .at = GUARD_BANNER };
		CU_ASSERT(look(&g, bad[i], strlen(bad[i])) < 0);
	}
	struct guard g = { .at = GUARD_BANNER };
	memset(long_line, 'x', sizeof(long_line));
	CU_ASSERT(look(&g, long_line, sizeof(long_line)) < 0);
	g = (struct guard){ .at = GUARD_BANNER };
	long n = 0;
	for (unsigned i = 0; i < 100 && n >= 0; i++)
		n = look(&g, "hello\r\n", 7);
	CU_ASSERT(n < 0);
	g = (struct guard){ .at = GUARD_BANNER };
	CU_ASSERT_EQUAL(look(&g, "SSH-2.0", 7), 0);
}

/* ---- SFTP ---- */

static void
paths_are_clean(void)
{
	static const struct {
		const char *folder, *path, *clean;
	} row[] = {
		{ "/home/a", "x", "/home/a/x" }, { "/home/a", "", "/home/a" }, { "/home/a", ".", "/home/a" }, { "/home/a", "..", "/home" },
		{ "/home/a", "../../../../etc", "/etc" }, { "/home/a", "/etc//./shadow", "/etc/shadow" }, { "/", "/", "/" },
		{ "/", "/..", "/" }, { "/", "/a/b/../../c/", "/c" }, { "/h", "...", "/h/..." }, { "/h", "/a/..b", "/a/..b" },
	};
	uint8_t out[SFTP_PATH_MAX];
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		CU_ASSERT_TRUE(sp_bytes_is(sftp_clean_path(sp_str(row[i].folder), sp_str(row[i].path), out), row[i].clean));
	CU_ASSERT_EQUAL(sftp_clean_path(sp_str("/"), (struct sp_bytes){ (const uint8_t *)"/a\0b", 4 }, out).len, 0);
	static uint8_t deep[2 * SFTP_PATH_MAX];
	memset(deep, 'x', sizeof(deep));
	CU_ASSERT_EQUAL(sftp_clean_path(sp_str("/"), (struct sp_bytes){ deep, sizeof(deep) }, out).len, 0);
}

static void
names_in_a_text_come_back(void)
{
	static const char *const name[] = { "/a", "/with\nnewline", "/back\\slash", "/both\\\n", "/\\n", "/\\\\n\n", "= /b" };
	uint8_t space[256], out[SFTP_PATH_MAX];
	struct sp_writer w = sp_writer(space, sizeof(space));
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		if (i > 0)
			sp_wr_u8(&w, '\n');
		sftp_write_name(&w, sp_str(name[i]));
	}
	struct sp_reader r = sp_reader(sp_written(&w));
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		CU_ASSERT_TRUE(sp_bytes_is(sftp_read_name(&r, out), name[i]));
	CU_ASSERT_EQUAL(r.left, 0);
	r = sp_reader(SP_LIT("/a\\")); /* nothing behind it: itself */
	CU_ASSERT_TRUE(sp_bytes_is(sftp_read_name(&r, out), "/a\\"));
}

static void
requests_are_whole_or_malformed(void)
{
	uint8_t space[256];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct sftp_request q = { .type = FXP_RENAME, .id = 7 }, got;
	sftp_write_request(&w, &q, SP_LIT("/a"), SP_LIT("/b"));
	struct sp_bytes whole = sp_written(&w);
	CU_ASSERT_TRUE(sftp_read_request(whole, &got));
	CU_ASSERT_TRUE(sp_bytes_is(got.path, "/a") && sp_bytes_is(got.to, "/b") && got.id == 7);
	CU_ASSERT_STRING_EQUAL(got.operation, "rename");
	for (size_t n = 0; n < whole.len; n++) {
		uint8_t *cut = malloc(n + 1); /* of its own length: a sanitizer sees a step too far */
		memcpy(cut, whole.p, n);
		CU_ASSERT_FALSE(sftp_read_request((struct sp_bytes){ cut, n }, &got));
		free(cut);
	}
	sp_wr_u8(&w, 0);
	CU_ASSERT_FALSE(sftp_read_request(sp_written(&w), &got)); /* a byte too many */
}

/* Only what creates fails at a link: all others follow it. */
static void
an_open_follows_links(void)
{
	static const struct {
		uint32_t flags;
		const char *links;
	} row[] = { { 0x01, "f" }, { 0x0a, "f" }, { 0x21, "f" }, { 0x22, "f" }, { 0x2a, "l" } };
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint8_t space[64];
		struct sp_writer w = sp_writer(space, sizeof(space));
		struct sftp_request q = { .type = FXP_OPEN, .flags = row[i].flags, .attributes = { (const uint8_t *)"\0\0\0\0", 4 } }, got;
		sftp_write_request(&w, &q, SP_LIT("/a"), (struct sp_bytes){ NULL, 0 });
		CU_ASSERT_TRUE(sftp_read_request(sp_written(&w), &got));
		CU_ASSERT_STRING_EQUAL(got.links, row[i].links);
	}
}

static void
lengths_of_packets(void)
{
	size_t want;
	CU_ASSERT_EQUAL(sftp_packet(SP_LIT("\0\0\0\5abcde"), &want), 9);
	CU_ASSERT_EQUAL(sftp_packet(SP_LIT("\0\0\0\5abcd"), &want), 0);
	CU_ASSERT_EQUAL(want, 9);
	CU_ASSERT_EQUAL(sftp_packet(SP_LIT("\0\0"), &want), 0);
	CU_ASSERT(sftp_packet(SP_LIT("\0\0\0\0"), &want) < 0);
	CU_ASSERT(sftp_packet(SP_LIT("\xff\xff\xff\xff"), &want) < 0);
}

/* ---- the line editor ---- */

static const struct {
	const char *keys, *line; /* what was typed, and the line that it made */
} typed[] = {
	{ "ls -l\r", "ls -l" }, { "lx\177s\r", "ls" }, { "b\001a\005c\r", "abc" }, { "ac\033[Db\r", "abc" },
	{ "ac\033ODb\r", "abc" }, { "one two\027x\r", "one x" }, { "gone\025here\r", "here" }, { "abX\001\006\006\013c\r", "abc" },
	{ "aXb\001\033[C\033[3~\r", "ab" }, { "\303\244\303\266\177x\r", "\303\244x" }, { "\303\244b\033[D\033[Dx\r", "x\303\244b" },
	{ "first\rsecond\r\033[A\033[A\r", "first" }, { "first\rsecond\r\020\r", "second" }, { "a\r\033[A\033[Bb\r", "b" },
	{ "x\tz\r", "xz" }, { "a\033[1;5Db\r", "ba" }, { "x\033[99~y\r", "xy" }, { "\033[A\033[B\177\033[3~ok\r", "ok" },
	{ "a\r\nb\r\n", "b" }, { "a\001\004b\r", "b" },
};

static void
lines_as_they_are_typed(void)
{
	static uint8_t space[1u << 16];
	for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++) {
		struct edit e = { .prompt = "host:~> ", .columns = 80 };
		enum edit_what what = EDIT_MORE;
		bool ended = false;
		for (const char *k = typed[i].keys; *k != '\0'; k++) {
			struct sp_writer screen = sp_writer(space, sizeof(space));
			what = edit_key(&e, (uint8_t)*k, &screen);
			CU_ASSERT_FALSE(screen.bad);
			ended = what == EDIT_LINE;
			if (ended && k[1] != '\0' && strcmp(k + 1, "\n") != 0) {
				CU_ASSERT_TRUE(edit_remember(&e));
				edit_begin(&e);
			} else if (ended) {
				break;
			}
		}
		bool good = ended && sp_bytes_is((struct sp_bytes){ e.line, e.len }, typed[i].line);
		if (!good)
			fprintf(stderr, "\nline %zu: \"%.*s\"\n", i, (int)e.len, e.line);
		CU_ASSERT_TRUE(good);
		edit_free(&e);
	}
}

static void
keys_that_end(void)
{
	uint8_t space[1024];
	struct edit e = { .prompt = "> ", .columns = 80 };
	struct sp_writer w = sp_writer(space, sizeof(space));
	CU_ASSERT_EQUAL(edit_key(&e, 4, &w), EDIT_END);
	CU_ASSERT_EQUAL(edit_key(&e, 'a', &w), EDIT_MORE);
	CU_ASSERT_EQUAL(edit_key(&e, 4, &w), EDIT_MORE);
	CU_ASSERT_EQUAL(edit_key(&e, 3, &w), EDIT_CANCEL);
	edit_free(&e);
}

/* No row is longer than the terminal, whatever is typed and wherever the cursor is; the line takes no more than fits. */
static void
long_lines_scroll(void)
{
	static uint8_t space[1u << 16];
	static const char *const moves[] = { "\001", "\005", "\033[D", "\033[D\033[D\177", "x", "\303\244" };
	struct edit e = { .prompt = "host:/srv> ", .columns = 40 };
	for (unsigned i = 0; i < 6000; i++) {
		struct sp_writer w = sp_writer(space, sizeof(space));
		(void)edit_key(&e, (uint8_t)('a' + i % 26), &w);
		CU_ASSERT_FALSE(w.bad);
	}
	CU_ASSERT_EQUAL(e.len, EDIT_MAX);
	for (unsigned i = 0; i < 200; i++)
		for (const char *k = moves[i % 6]; *k != '\0'; k++) {
			struct sp_writer w = sp_writer(space, sizeof(space));
			unsigned columns = 0;
			(void)edit_key(&e, (uint8_t)*k, &w);
			struct sp_bytes b = sp_written(&w);
			for (size_t n = 1; n < b.len && b.p[n] != 0x1b; n++)
				columns += (b.p[n] & 0xc0) != 0x80;
			CU_ASSERT_TRUE(columns < 40 && e.at <= e.len);
		}
	edit_free(&e);
}

/* ---- what was typed, from the screen ---- */

/* k: keys, s: what the screen shows; in that order. */
struct event {
	char what;
	const char *text;
};

static void
typed_is(const struct event *e, const char *lines)
{
	static struct typed t;
	uint8_t space[512];
	struct sp_writer w = sp_writer(space, sizeof(space));
	t = (struct typed){ .state = 0 };
	for (; e->text != NULL; e++)
		if (e->what == 'k')
			typed_keys(&t, sp_str(e->text));
		else
			typed_screen(&t, sp_str(e->text), 20, &w);
	CU_ASSERT_TRUE(sp_bytes_is(sp_written(&w), lines));
	if (!sp_bytes_is(sp_written(&w), lines))
		printf("\nwanted \"%s\", got \"%.*s\"\n", lines, (int)w.len, (const char *)space);
}

static void
commands_from_the_screen(void)
{
	const struct event plain[] = { { 's', "h:~$ " }, { 'k', "ls" }, { 's', "ls" }, { 'k', "\r" }, { 's', "\r\nfile\r\nh:~$ " }, { 'k', "w\r" },
		{ 's', "w\r\nout\r\n" }, { 0 } };
	typed_is(plain, "ls\nw\n");
	const struct event edited[] = { { 's', "\033]0;title\007\033[01;32mh\033[00m$ " }, { 'k', "ech" }, { 's', "ech" }, { 'k', "x\177o yz\033[D" },
		{ 's', "x\b\033[Ko yz\b" }, { 'k', "a\r" }, { 's', "\033[1@a\r\n" }, { 0 } };
	typed_is(edited, "echo yaz\n");
	const struct event history[] = { { 's', "$ " }, { 'k', "\033[A" }, { 's', "make all" }, { 'k', "\033[A" }, { 's', "\b\b\b\b\b\b\b\bid\033[K" }, { 'k', "\r" },
		{ 's', "\r\nuid\r\n" }, { 0 } };
	typed_is(history, "id\n");
	const struct event rows[] = { { 's', "$ " }, { 'k', "0123456789abcdefghij" }, { 's', "0123456789abcdefgh \rij" }, { 'k', "\001X" },
		{ 's', "\033[AX0123456789abcdefghij\033[A\r\033[C\033[C\033[C" }, { 'k', "\r" }, { 's', "\r\n\r\n" }, { 0 } };
	typed_is(rows, "X0123456789abcdefghij\n");
	const struct event letters[] = { { 's', "$ " }, { 'k', "echo \303\274\r" }, { 's', "echo \303\274\r\n" }, { 0 } };
	typed_is(letters, "echo \303\274\n");
}

static void
what_is_not_echoed_is_no_command(void)
{
	const struct event password[] = { { 's', "Password: " }, { 'k', "secret\r" }, { 's', "\r\nsecret service, welcome\r\n$ " }, { 'k', "id\r" }, { 's', "id\r\n" }, { 0 } };
	typed_is(password, "id\n");
	const struct event given_up[] = { { 's', "$ " }, { 'k', "rm x" }, { 's', "rm x" }, { 'k', "\003" }, { 's', "^C\r\n$ " }, { 'k', "\r" }, { 's', "\r\n$ " }, { 0 } };
	typed_is(given_up, "");
	const struct event editor[] = { { 's', "$ " }, { 'k', "vi\r" }, { 's', "vi\r\n\033[?1049h\033[HHello" }, { 'k', "ix\ry\r" }, { 's', "x\r\ny\r\n\033[?1049l$ " },
		{ 'k', "w\r" }, { 's', "w\r\n" }, { 0 } };
	typed_is(editor, "vi\nw\n");
}

static void
any_bytes_on_a_screen(void)
{
	static struct typed t;
	static const char often[] = "\033[[;;0123456789ABCDGHJKP@hl?\r\n\b\t]\a";
	static uint8_t space[4 * TYPED_CELLS];
	uint32_t seed = 7;
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint8_t b = (seed >> 8 & 3) != 0 ? (uint8_t)often[(seed >> 16) % (sizeof(often) - 1)] : (uint8_t)(seed >> 24);
		struct sp_writer w = sp_writer(space, sizeof(space));
		if ((seed >> 10 & 7) == 0)
			typed_keys(&t, (struct sp_bytes){ &b, 1 });
		typed_screen(&t, (struct sp_bytes){ &b, 1 }, seed >> 12 & 63, &w);
		CU_ASSERT_TRUE_FATAL(t.at < TYPED_CELLS && t.len <= TYPED_CELLS && t.nparameters < 4);
	}
}

/* In place of the core's: a star for each byte, so that what was looked through can be told from what was not. */
int
sp_filter_feed(struct sp_filter *filter, struct sp_bytes in, bool last, struct sp_writer *out)
{
	(void)filter, (void)last;
	for (size_t i = 0; i < in.len; i++)
		sp_wr_u8(out, '*');
	return SP_OK;
}

static void
scp_lines_hold_nothing_else(void)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} row[] = {
		{ "T1700000000 0 1700000001 0\n", "T1700000000 0 1700000001 0\n" }, { "E\n", "E\n" }, { "C0644 3 abc\n", "C0644 3 ***\n" },
		{ "D0755 0 d\nE\n", "D0755 0 *\nE\n" }, { "\1no such file\n", "\1*************" },
		{ "Tpay 4111 1111 1111 1111\n", NULL }, { "T4111 1111 1111 1111 0\n", NULL }, { "T1 2 3\n", NULL }, { "T1 0 1 \n", NULL },
		{ "T1 0 1 0x\n", NULL }, { "T\n", NULL }, { "E4111 1111 1111 1111\n", NULL },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		static struct scp_stream x;
		uint8_t space[256];
		struct sp_writer w = sp_writer(space, sizeof(space));
		memset(&x, 0, sizeof(x));
		const int rc = scp_feed(&x, NULL, sp_str(row[i].in), true, &w);
		CU_ASSERT_EQUAL(rc, row[i].out == NULL ? SP_EPROTO : SP_OK);
		CU_ASSERT(row[i].out == NULL ? w.len == 0 : sp_bytes_is(sp_written(&w), row[i].out));
	}
}

int
main(void)
{
	CU_TestInfo tests[] = { { "SS1 nothing but the exchange before the keys", ss1_nothing_but_the_exchange_before_the_keys },
		{ "SS11 lengths are checked first", ss11_lengths_are_checked_first }, { "SS11 banners end", ss11_banners_end },
		{ "paths are clean", paths_are_clean }, { "SFTP: names in a text come back", names_in_a_text_come_back },
		{ "requests are whole or malformed", requests_are_whole_or_malformed },
		{ "SFTP: an open follows links", an_open_follows_links },
		{ "lengths of packets", lengths_of_packets }, { "scp: lines hold nothing else", scp_lines_hold_nothing_else }, { "SSH: lines as they are typed", lines_as_they_are_typed },
		{ "SSH: keys that end a line", keys_that_end },
		{ "SSH: long lines scroll", long_lines_scroll }, { "SSH: commands from the screen", commands_from_the_screen },
		{ "SSH: what is not echoed is no command", what_is_not_echoed_is_no_command }, { "SSH: any bytes on a screen", any_bytes_on_a_screen },
		CU_TEST_INFO_NULL };
	return cunit_main("ssh parts", tests);
}
