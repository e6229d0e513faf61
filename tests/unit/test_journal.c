/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: batches whole or not at all, in their order; and the folder of files behind it. */
#include <config.h>
#include "cunit_main.h"

#include "recorder_world.h"

#include "core/recorder/journal_file.h"

struct got {
	unsigned rings, entries;
	uint64_t position, last_batch;
	char text[512];
};

static int
on_ring(void *owner, uint64_t identity, uint64_t position)
{
	struct got *g = owner;
	CU_ASSERT_EQUAL(identity, 7);
	g->rings++;
	g->position = position;
	return SP_OK;
}

static int
on_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	struct got *g = owner;
	CU_ASSERT(b->number > g->last_batch || g->last_batch == 0 || b->number == g->last_batch);
	g->last_batch = b->number;
	g->entries++;
	size_t n = strlen(g->text);
	(void)snprintf(g->text + n, sizeof(g->text) - n, "%llu:%zu ", (unsigned long long)b->number, e->block.len);
	return SP_OK;
}

static int
replayed(int dir, struct got *g, bool *damaged)
{
	struct journal j = { .dir = dir, .fd = -1 };
	const struct journal_reader reader = { on_ring, on_entry, g, NULL };
	*g = (struct got){ .rings = 0 };
	return journal_replay(&j, &reader, damaged);
}

/* A batch with one block, which follows the last one of that session. */
static void
append(struct journal *j, struct block_maker *m, uint8_t chain[DIGEST_LEN], uint32_t number)
{
	static const uint8_t id[ID_LEN] = { 1 };
	struct batch b = { .number = 0 };
	struct journal_entry e = { .ring = 7, .state = { .blocks = number } };
	struct block block = { .number = number, .first = number, .frames = 1 };
	batch_begin(&b);
	memcpy(e.session, id, ID_LEN);
	memcpy(e.previous, chain, DIGEST_LEN);
	CU_ASSERT_EQUAL_FATAL(block_make(m, NULL, id, SP_LIT("frames"), &block, chain, &b.blocks), SP_OK);
	e.block = block.whole;
	memcpy(e.hash, chain, DIGEST_LEN);
	batch_ring(&b, 7, number * 8);
	batch_entry(&b, &e);
	CU_ASSERT_EQUAL_FATAL(journal_append(j, &b), SP_OK);
	CU_ASSERT_EQUAL(journal_sync(j), SP_OK);
	batch_free(&b);
}

static int
folder(char name[64])
{
	(void)snprintf(name, 64, "/tmp/sallyport-journal-XXXXXX");
	log_level(SP_ERROR);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(name));
	return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
done(int dir, const char *name)
{
	close(dir);
	(void)files_remove(name);
}

static void
test_replay(void)
{
	char name[64];
	int dir = folder(name);
	struct journal j = { .dir = dir, .fd = -1 };
	struct block_maker *m = block_maker_new();
	uint8_t chain[DIGEST_LEN] = { 0 };
	struct got g;
	bool damaged;
	CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK); /* nothing there yet */
	CU_ASSERT_EQUAL(journal_rotate(&j), SP_OK);
	for (uint32_t i = 1; i <= 3; i++)
		append(&j, m, chain, i);
	CU_ASSERT_EQUAL(journal_rotate(&j), SP_OK);
	append(&j, m, chain, 4);
	CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK);
	CU_ASSERT_FALSE(damaged);
	CU_ASSERT_EQUAL(g.rings, 4);
	CU_ASSERT_EQUAL(g.position, 32);
	CU_ASSERT_STRING_EQUAL(g.text, "1:70 2:70 3:70 4:70 ");
	CU_ASSERT_EQUAL(journal_remove(&j, 1), SP_OK);
	CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK);
	CU_ASSERT_STRING_EQUAL(g.text, "4:70 ");
	CU_ASSERT_EQUAL(journal_remove(&j, 1), SP_OK); /* again is no error */
	journal_close(&j);
	block_maker_free(&m);
	done(dir, name);
}

/* Cut or changed at every byte: what comes out is whole batches from the front, never a part of one. */
static void
test_every_byte(void)
{
	char name[64], path[128];
	int dir = folder(name);
	struct journal j = { .dir = dir, .fd = -1 };
	struct block_maker *m = block_maker_new();
	uint8_t chain[DIGEST_LEN] = { 0 };
	struct got g;
	bool damaged;
	CU_ASSERT_EQUAL(journal_rotate(&j), SP_OK);
	append(&j, m, chain, 1);
	uint64_t first = j.size;
	append(&j, m, chain, 2);
	journal_close(&j);
	(void)snprintf(path, sizeof(path), "%s/00000001.jnl", name);
	struct sp_bytes whole = file_bytes(path);
	uint8_t *copy = mem_alloc(whole.len);
	for (size_t i = 0; i < whole.len; i++) {
		int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
		CU_ASSERT_EQUAL(write(fd, whole.p, i), (ssize_t)i);
		CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK);
		CU_ASSERT_STRING_EQUAL(g.text, i >= first ? "1:70 " : "");
		memcpy(copy, whole.p, whole.len);
		copy[i] ^= 0x10;
		CU_ASSERT_EQUAL(pwrite(fd, copy, whole.len, 0), (ssize_t)whole.len);
		CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK);
		CU_ASSERT_STRING_EQUAL(g.text, i >= first ? "1:70 " : "");
		close(fd);
	}
	free(copy);
	block_maker_free(&m);
	done(dir, name);
}

/* A failed write leaves nothing behind, and the batch may be appended again, here or in another segment. */
static void
test_failed_append(void)
{
	char name[64];
	int dir = folder(name);
	struct journal j = { .dir = dir, .fd = -1 };
	struct batch b = { .number = 0 };
	struct got g;
	bool damaged;
	batch_begin(&b);
	batch_ring(&b, 7, 8);
	CU_ASSERT_EQUAL(journal_rotate(&j), SP_OK);
	int fd = j.fd;
	j.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint64_t size = j.size;
	CU_ASSERT_EQUAL(journal_append(&j, &b), SP_EIO);
	CU_ASSERT(j.size == size && j.batch == 0);
	close(j.fd);
	j.fd = fd;
	CU_ASSERT_EQUAL(journal_append(&j, &b), SP_OK);
	CU_ASSERT_EQUAL(journal_append(&j, &b), SP_OK);
	CU_ASSERT_EQUAL(b.number, 2);
	journal_close(&j);
	CU_ASSERT_EQUAL(replayed(dir, &g, &damaged), SP_OK);
	CU_ASSERT_EQUAL(g.rings, 2);
	batch_free(&b);
	done(dir, name);
}

/* ---- segments that are written over ---- */

struct over {
	char name[64];
	int dir, log;
	struct journal j;
	struct block_maker *m;
	uint8_t chain[DIGEST_LEN];
	struct got got;
};

static void
over_begin(struct over *o)
{
	*o = (struct over){ .log = memfd_create("log", MFD_CLOEXEC), .m = block_maker_new() };
	o->dir = folder(o->name);
	o->j = (struct journal){ .dir = o->dir, .fd = -1 };
	log_init("test", o->log, SP_WARN);
}

static void
over_end(struct over *o)
{
	log_init("test", STDERR_FILENO, SP_ERROR);
	journal_close(&o->j);
	block_maker_free(&o->m);
	close(o->log);
	done(o->dir, o->name);
}

static bool
there(const struct over *o, const char *name)
{
	return faccessat(o->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint64_t
size_of(const struct over *o, const char *name)
{
	struct stat st = { .st_size = 0 };
	CU_ASSERT_EQUAL(fstatat(o->dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return (uint64_t)st.st_size;
}

static bool
said(const struct over *o, const char *what)
{
	static char text[4096];
	ssize_t n = pread(o->log, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	return strstr(text, what) != NULL;
}

/* Segment 1 has batches 1 to 4 and is the spare, 2 has batch 5 and is the last. */
static void
with_spare(struct over *o)
{
	over_begin(o);
	CU_ASSERT_EQUAL(journal_rotate(&o->j), SP_OK);
	for (uint32_t i = 1; i <= 4; i++)
		append(&o->j, o->m, o->chain, i);
	CU_ASSERT_EQUAL(journal_rotate(&o->j), SP_OK);
	append(&o->j, o->m, o->chain, 5);
	CU_ASSERT_EQUAL(journal_remove(&o->j, 1), SP_OK);
	CU_ASSERT(o->j.spare && there(o, JOURNAL_SPARE) && !there(o, "00000001.jnl"));
}

static void
check_replay(struct over *o, const char *text, const char *warning)
{
	bool damaged = true;
	CU_ASSERT_EQUAL(replayed(o->dir, &o->got, &damaged), SP_OK);
	CU_ASSERT_STRING_EQUAL(o->got.text, text);
	CU_ASSERT_FALSE(damaged);
	CU_ASSERT(warning == NULL ? !said(o, "journal") : said(o, warning));
}

/* What is left of the other life counts for nothing, and nothing is said of it; it goes when the segment is left. */
static void
test_over(void)
{
	struct over o;
	with_spare(&o);
	check_replay(&o, "5:70 ", NULL);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	CU_ASSERT(o.j.tail && !o.j.spare && !there(&o, JOURNAL_SPARE));
	CU_ASSERT(size_of(&o, "00000003.jnl") > 4 * (o.j.size + 70));
	check_replay(&o, "5:70 ", NULL); /* a crash before the first batch */
	append(&o.j, o.m, o.chain, 6);
	uint64_t size = o.j.size;
	CU_ASSERT(size_of(&o, "00000003.jnl") > size);
	check_replay(&o, "5:70 6:70 ", NULL);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	CU_ASSERT_EQUAL(size_of(&o, "00000003.jnl"), size);
	append(&o.j, o.m, o.chain, 7);
	check_replay(&o, "5:70 6:70 7:70 ", NULL);
	over_end(&o);
}

/* A batch of another life, whole, its number a later one's, just where the next would stand; also of one that had the same number. */
static void
test_over_as_if(void)
{
	for (unsigned same = 0; same < 2; same++) {
		struct over o;
		over_begin(&o);
		CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
		append(&o.j, o.m, o.chain, 1);
		uint64_t at = o.j.size;
		o.j.batch = 99;
		append(&o.j, o.m, o.chain, 2);
		check_replay(&o, "1:70 100:70 ", NULL);
		CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
		CU_ASSERT_EQUAL(journal_remove(&o.j, 1), SP_OK);
		if (same == 1)
			CU_ASSERT_EQUAL(unlinkat(o.dir, "00000002.jnl", 0), 0);
		o.j.segment = same == 1 ? 0 : 2;
		o.j.batch = 1;
		CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
		append(&o.j, o.m, o.chain, 3);
		CU_ASSERT_EQUAL(o.j.size, at);
		check_replay(&o, "2:70 ", "ends torn");
		over_end(&o);
	}
}

static void
test_over_torn(void)
{
	struct over o;
	with_spare(&o);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	append(&o.j, o.m, o.chain, 6);
	append(&o.j, o.m, o.chain, 7);
	CU_ASSERT_EQUAL(pwrite(o.j.fd, "of another life", 15, (off_t)o.j.size - 15), 15);
	check_replay(&o, "5:70 6:70 ", "00000003.jnl ends torn");
	over_end(&o);
}

/* Started again on one that ends so, twice: what is behind is cut off, and no damage is seen in what is not the last one any more. */
static void
test_over_restarted(void)
{
	struct over o;
	bool damaged;
	const struct journal_reader reader = { on_ring, on_entry, &o.got, NULL };
	with_spare(&o);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	append(&o.j, o.m, o.chain, 6);
	uint64_t size = o.j.size;
	journal_close(&o.j);
	o.j = (struct journal){ .dir = o.dir, .fd = -1 };
	CU_ASSERT_EQUAL(journal_replay(&o.j, &reader, &damaged), SP_OK);
	CU_ASSERT(o.j.segment == 3 && o.j.size == size && o.j.tail);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	CU_ASSERT_EQUAL(size_of(&o, "00000003.jnl"), size);
	append(&o.j, o.m, o.chain, 7);
	check_replay(&o, "5:70 6:70 7:70 ", NULL);
	over_end(&o);
}

/* Died after the spare got its head: it has no name that counts, and the next start drops it. */
static void
test_over_not_yet(void)
{
	struct over o;
	uint8_t head[JOURNAL_HEAD] = "SLPJNL02\0\0\0\0\0\0\0\3 another life";
	with_spare(&o);
	int fd = openat(o.dir, JOURNAL_SPARE, O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(write_at(fd, (struct sp_bytes){ head, sizeof(head) }, 0), SP_OK);
	close(fd);
	check_replay(&o, "5:70 ", NULL);
	CU_ASSERT_EQUAL(journal_keep_none(&o.j), SP_OK);
	CU_ASSERT_FALSE(there(&o, JOURNAL_SPARE));
	CU_ASSERT_EQUAL(journal_remove(&o.j, 2), SP_OK); /* it was there by then */
	CU_ASSERT(!o.j.spare && !there(&o, JOURNAL_SPARE) && !there(&o, "00000002.jnl"));
	over_end(&o);
}

/* A file whose head names another segment is none. */
static void
test_over_other_head(void)
{
	struct over o;
	with_spare(&o);
	CU_ASSERT_EQUAL(renameat(o.dir, JOURNAL_SPARE, o.dir, "00000003.jnl"), 0);
	check_replay(&o, "5:70 ", "00000003.jnl ends torn");
	over_end(&o);
}

/* What fails is done without the spare, and one that is not there is no failure. */
static void
test_over_fails(void)
{
	struct over o;
	with_spare(&o);
	CU_ASSERT_EQUAL(mkdirat(o.dir, "00000003.jnl", 0700), 0);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_EIO);
	CU_ASSERT(o.j.segment == 2 && !o.j.spare && !there(&o, JOURNAL_SPARE));
	append(&o.j, o.m, o.chain, 6); /* the present one goes on */
	CU_ASSERT_EQUAL(unlinkat(o.dir, "00000003.jnl", AT_REMOVEDIR), 0);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	CU_ASSERT_EQUAL(journal_remove(&o.j, 2), SP_OK);
	CU_ASSERT_EQUAL(unlinkat(o.dir, JOURNAL_SPARE, 0), 0);
	CU_ASSERT_EQUAL(journal_rotate(&o.j), SP_OK);
	append(&o.j, o.m, o.chain, 7);
	check_replay(&o, "7:70 ", NULL);
	over_end(&o);
}

/* ---- the store's files ---- */

static void
test_store(void)
{
	char name[64];
	int dir = folder(name);
	struct store s, other;
	const char *err = "";
	uint8_t id[ID_LEN], read_back[8];
	CU_ASSERT_EQUAL_FATAL(store_open(&s, name, &err), SP_OK);
	CU_ASSERT_NOT_EQUAL(store_open(&other, name, &err), SP_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "another recorder"));
	id_new(id);
	CU_ASSERT_EQUAL(store_size(&s, id), -1);
	CU_ASSERT_EQUAL(store_write(&s, id, 3, SP_LIT("x")), SP_EIO); /* only offset 0 makes it */
	CU_ASSERT_EQUAL(store_write(&s, id, 0, SP_LIT("abc")), SP_OK);
	CU_ASSERT_EQUAL(store_write(&s, id, 3, SP_LIT("def")), SP_OK);
	CU_ASSERT_EQUAL(store_sync(&s, id, true), SP_OK);
	CU_ASSERT_EQUAL(store_renew(&s, id), SP_OK);
	CU_ASSERT_EQUAL(store_truncate(&s, id, 5), SP_OK);
	CU_ASSERT_EQUAL(store_size(&s, id), 5);
	int fd = store_fetch(&s, id);
	CU_ASSERT_EQUAL(read_at(fd, read_back, 5, 0), SP_OK);
	CU_ASSERT_EQUAL(memcmp(read_back, "abcde", 5), 0);
	CU_ASSERT_EQUAL(read_at(fd, read_back, 2, 4), SP_EIO);
	close(fd);
	CU_ASSERT_EQUAL(store_remove(&s, id), SP_OK);
	CU_ASSERT_EQUAL(store_remove(&s, id), SP_OK);
	CU_ASSERT_EQUAL(store_fetch(&s, id), -1);
	store_close(&s);
	CU_ASSERT_NOT_EQUAL(store_open(&s, "/proc/nowhere/at/all", &err), SP_OK);
	done(dir, name);
}

/* A link under a recording's name is not followed. */
static void
test_store_links(void)
{
	char name[64], path[256], folder_path[256], text[ID_TEXT];
	int dir = folder(name);
	struct store s;
	const char *err = "";
	uint8_t id[ID_LEN];
	CU_ASSERT_EQUAL_FATAL(store_open(&s, name, &err), SP_OK);
	id_new(id);
	id_format(id, text);
	(void)snprintf(folder_path, sizeof(folder_path), "%s/sessions/%.2s", name, text);
	CU_ASSERT_EQUAL(mkdir(folder_path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/sessions/%.2s/%s.spr", name, text, text);
	CU_ASSERT_EQUAL(symlink("/etc/passwd", path), 0);
	CU_ASSERT_EQUAL(store_fetch(&s, id), -1);
	CU_ASSERT_EQUAL(store_write(&s, id, 0, SP_LIT("x")), SP_EIO);
	store_close(&s);
	done(dir, name);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "replay", test_replay }, { "every byte (RC7)", test_every_byte }, { "failed append (RC2)", test_failed_append },
		{ "written over (RC7)", test_over }, { "as if written there (RC7)", test_over_as_if }, { "written over and torn (RC7)", test_over_torn },
		{ "written over and started again", test_over_restarted }, { "not yet written over", test_over_not_yet },
		{ "another segment's head", test_over_other_head }, { "writing over fails", test_over_fails },
		{ "store", test_store }, { "store and links (RC3)", test_store_links }, CU_TEST_INFO_NULL,
	};
	return cunit_main("journal", tests);
}
