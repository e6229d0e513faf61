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
	(void)nftw(name, world_remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
		{ "store", test_store }, { "store and links (RC3)", test_store_links }, CU_TEST_INFO_NULL,
	};
	return cunit_main("journal", tests);
}
