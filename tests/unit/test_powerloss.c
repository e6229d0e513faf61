/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal over a disk that forgets: at any call the power may go, and of what was not synced any sectors, lengths and
 * names are there.  What a sync promised is read, in order, and nothing that was not written in this life of a file.
 */
#include <config.h>
#include "cunit_main.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "recorder_world.h"

#include "core/recorder/journal_file.h"

#define OURS __attribute__((visibility("default")))
#define INODES 512
#define SECTOR 512

struct op {
	char what; /* w, t; c, r, u */
	uint64_t at;
	size_t len;
	uint8_t *bytes;
	unsigned inode;
	char from[32], to[32];
};

struct inode {
	ino_t ino;
	uint8_t *disk;
	size_t size;
	struct op *op;
	size_t n, cap;
};

struct name {
	char name[32];
	unsigned inode;
};

static struct {
	bool on, dead;
	dev_t dev;
	ino_t dir;
	struct inode inode[INODES];
	unsigned ninodes;
	struct name name[64];
	unsigned nnames;
	struct op *op;
	size_t n, cap;
	long until; /* calls, to the power's end */
	unsigned errors; /* of 100 syncs */
} disk;

static unsigned
pick(unsigned n)
{
	return (unsigned)rand() % n;
}

static void *
grow(void *p, size_t n, size_t *cap, size_t each)
{
	if (n < *cap)
		return p;
	*cap = *cap * 2 + 16;
	return realloc(p, *cap * each);
}

static struct inode *
inode_of(int fd, bool any)
{
	struct stat st;
	if (!disk.on || fstat(fd, &st) != 0 || st.st_dev != disk.dev)
		return NULL;
	for (unsigned i = disk.ninodes; i > 0; i--)
		if (disk.inode[i - 1].ino == st.st_ino)
			return &disk.inode[i - 1];
	(void)any;
	return NULL;
}

static bool
is_dir(int fd)
{
	struct stat st;
	return disk.on && fstat(fd, &st) == 0 && st.st_dev == disk.dev && st.st_ino == disk.dir;
}

static bool
gone(void)
{
	if (disk.until > 0 && --disk.until == 0)
		disk.dead = true;
	if (disk.dead)
		errno = EIO;
	return disk.dead;
}

static void
apply(struct inode *i, const struct op *o)
{
	size_t end = o->what == 'w' ? o->at + o->len : o->at;
	if (end > i->size || o->what == 't') {
		i->disk = realloc(i->disk, end + 1);
		if (end > i->size)
			memset(i->disk + i->size, 0, end - i->size);
		i->size = end;
	}
	if (o->what == 'w')
		memcpy(i->disk + o->at, o->bytes, o->len);
}

static void
log_write(struct inode *i, const uint8_t *p, size_t len, uint64_t at)
{
	while (len > 0) {
		size_t n = SECTOR - at % SECTOR;
		n = n < len ? n : len;
		i->op = grow(i->op, i->n, &i->cap, sizeof(*i->op));
		i->op[i->n] = (struct op){ .what = 'w', .at = at, .len = n, .bytes = malloc(n) };
		memcpy(i->op[i->n++].bytes, p, n);
		p += n;
		at += n;
		len -= n;
	}
}

/* share: of 100 that make it to the disk; not in any order of theirs, but where two say something of one place. */
static void
settle_inode(struct inode *i, unsigned share)
{
	for (size_t k = 0; k < i->n; k++) {
		if (share == 100 || pick(100) < share)
			apply(i, &i->op[k]);
		free(i->op[k].bytes);
	}
	i->n = 0;
}

static struct name *
find_name(const char *name)
{
	for (unsigned i = 0; i < disk.nnames; i++)
		if (strcmp(disk.name[i].name, name) == 0)
			return &disk.name[i];
	return NULL;
}

static void
drop_name(const char *name)
{
	struct name *n = find_name(name);
	if (n != NULL)
		*n = disk.name[--disk.nnames];
}

static void
put_name(const char *name, unsigned inode)
{
	drop_name(name);
	(void)snprintf(disk.name[disk.nnames].name, 32, "%s", name);
	disk.name[disk.nnames++].inode = inode;
}

static void
settle_dir(unsigned share)
{
	for (size_t k = 0; k < disk.n; k++) {
		const struct op *o = &disk.op[k];
		struct name *from;
		if (share != 100 && pick(100) >= share)
			continue;
		if (o->what == 'c')
			put_name(o->to, o->inode);
		if (o->what == 'u')
			drop_name(o->from);
		if (o->what == 'r') {
			put_name(o->to, o->inode);
			if ((from = find_name(o->from)) != NULL && from->inode == o->inode)
				drop_name(o->from);
		}
	}
	disk.n = 0;
}

static void
log_dir(struct op o, const char *from, const char *to)
{
	disk.op = grow(disk.op, disk.n, &disk.cap, sizeof(*disk.op));
	(void)snprintf(o.from, 32, "%s", from);
	(void)snprintf(o.to, 32, "%s", to);
	disk.op[disk.n++] = o;
}

/* ---- the calls ---- */

OURS int
openat(int dir, const char *name, int flags, ...)
{
	va_list va;
	va_start(va, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(va, mode_t) : 0;
	va_end(va);
	struct stat st;
	bool ours = is_dir(dir) && (flags & O_CREAT) != 0;
	bool is_new = ours && fstatat(dir, name, &st, 0) != 0;
	if (ours && gone())
		return -1;
	int fd = (int)syscall(SYS_openat, dir, name, flags, mode);
	if (ours && is_new && fstat(fd, &st) == 0) {
		disk.inode[disk.ninodes++] = (struct inode){ .ino = st.st_ino };
		log_dir((struct op){ .what = 'c', .inode = disk.ninodes - 1 }, "", name);
	} else if (ours && (flags & O_TRUNC) != 0) {
		struct inode *i = inode_of(fd, true);
		i->op = grow(i->op, i->n, &i->cap, sizeof(*i->op));
		i->op[i->n++] = (struct op){ .what = 't' };
	}
	return fd;
}

OURS ssize_t
pwrite(int fd, const void *p, size_t len, off_t at)
{
	struct inode *i = inode_of(fd, true);
	if (i != NULL) {
		bool last = gone();
		log_write(i, p, len, (uint64_t)at); /* cut short by the end of power: some of it */
		if (last)
			return -1;
	}
	return syscall(SYS_pwrite64, fd, p, len, at);
}

OURS ssize_t
pwritev(int fd, const struct iovec *part, int n, off_t at)
{
	size_t len = 0;
	for (int i = 0; i < n; i++)
		len += part[i].iov_len;
	uint8_t *all = malloc(len + 1), *to = all;
	for (int i = 0; i < n; i++) {
		if (part[i].iov_len > 0)
			memcpy(to, part[i].iov_base, part[i].iov_len);
		to += part[i].iov_len;
	}
	ssize_t rc = pwrite(fd, all, len, at);
	free(all);
	return rc;
}

static int
sync_it(int fd)
{
	struct inode *i = inode_of(fd, true);
	bool dir = is_dir(fd);
	if ((i != NULL || dir) && gone())
		return -1;
	if (i != NULL && pick(100) < disk.errors) {
		settle_inode(i, pick(100)); /* the rest is dropped */
		errno = EIO;
		return -1;
	}
	if (i != NULL)
		settle_inode(i, 100);
	if (dir)
		settle_dir(100);
	return 0;
}

OURS int
fsync(int fd)
{
	return sync_it(fd);
}

OURS int
fdatasync(int fd)
{
	return sync_it(fd);
}

OURS int
ftruncate(int fd, off_t size)
{
	struct inode *i = inode_of(fd, true);
	if (i != NULL && gone())
		return -1;
	if (i != NULL) {
		i->op = grow(i->op, i->n, &i->cap, sizeof(*i->op));
		i->op[i->n++] = (struct op){ .what = 't', .at = (uint64_t)size };
	}
	return (int)syscall(SYS_ftruncate, fd, size);
}

OURS int
renameat(int from, const char *a, int to, const char *b)
{
	if (is_dir(from)) {
		if (gone())
			return -1;
		int fd = (int)syscall(SYS_openat, from, a, O_RDONLY);
		struct inode *i = fd < 0 ? NULL : inode_of(fd, true);
		if (fd >= 0)
			close(fd);
		if (i != NULL)
			log_dir((struct op){ .what = 'r', .inode = (unsigned)(i - disk.inode) }, a, b);
	}
	return (int)syscall(SYS_renameat, from, a, to, b);
}

OURS int
unlinkat(int dir, const char *a, int flags)
{
	if (is_dir(dir)) {
		if (gone())
			return -1;
		log_dir((struct op){ .what = 'u' }, a, "");
	}
	return (int)syscall(SYS_unlinkat, dir, a, flags);
}

/* ---- a folder as the disk has it ---- */

static void
disk_begin(const char *path)
{
	struct stat st;
	CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
	disk.on = true;
	disk.dead = false;
	disk.until = 0;
	disk.dev = st.st_dev;
	disk.dir = st.st_ino;
}

static void
forget_inodes(void)
{
	for (unsigned i = 0; i < disk.ninodes; i++) {
		free(disk.inode[i].disk);
		free(disk.inode[i].op);
	}
	disk.ninodes = 0;
}

/* The power is gone, and back. */
static void
disk_lost(const char *path, unsigned share)
{
	disk.on = false;
	settle_dir(share);
	for (unsigned i = 0; i < disk.ninodes; i++)
		settle_inode(&disk.inode[i], share);
	CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
	struct inode kept[64];
	for (unsigned i = 0; i < disk.nnames; i++) {
		char file[256];
		struct stat st;
		struct inode *from = &disk.inode[disk.name[i].inode];
		(void)snprintf(file, sizeof(file), "%s/%s", path, disk.name[i].name);
		int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		CU_ASSERT_EQUAL(write(fd, from->disk, from->size), (ssize_t)from->size);
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		close(fd);
		kept[i] = (struct inode){ .ino = st.st_ino, .disk = malloc(from->size + 1), .size = from->size };
		memcpy(kept[i].disk, from->disk == NULL ? (uint8_t *)"" : from->disk, from->size);
		disk.name[i].inode = i;
	}
	forget_inodes();
	disk.ninodes = disk.nnames;
	memcpy(disk.inode, kept, disk.nnames * sizeof(*kept));
	disk_begin(path);
}

/* ---- what is read ---- */

#define MOST 4096
static struct { uint64_t segment; bool promised; unsigned gone; } said[MOST]; /* by position; gone: 1 asked for, 2 removed */
static uint64_t positions, read_last;
static bool was_read[MOST];
static unsigned wrong;

static int
on_ring(void *owner, uint64_t identity, uint64_t position)
{
	(void)owner;
	if (identity != 7 || position == 0 || position > positions || position < read_last)
		wrong++;
	else
		was_read[position] = true;
	read_last = position;
	return SP_OK;
}

static int
on_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	(void)owner;
	(void)b;
	(void)e;
	return SP_OK;
}

static unsigned alarms, losses, rounds;

static void
restart(struct journal *j, const char *path)
{
	const struct journal_reader reader = { on_ring, on_entry, NULL, NULL };
	bool damaged = false;
	uint64_t full = j->full;
	journal_close(j);
	if (j->dir >= 0)
		close(j->dir);
	*j = (struct journal){ .fd = -1, .full = full, .dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	memset(was_read, 0, sizeof(was_read));
	read_last = 0;
	CU_ASSERT_EQUAL(journal_replay(j, &reader, &damaged), SP_OK);
	alarms += damaged;
	for (uint64_t p = 1; p <= positions; p++)
		if (said[p].promised && said[p].gone == 0 && !was_read[p]) {
			losses++;
			said[p].gone = 1; /* once */
		}
	/* what is there now counts: it was read */
	for (uint64_t p = 1; p <= positions; p++)
		if (was_read[p])
			said[p].promised = true;
	for (uint64_t p = 1; p <= positions; p++)
		if (!was_read[p])
			said[p].promised = false;
}

/* ---- what the recorder does ---- */

static uint8_t loot[20000]; /* bytes of the journal's, as someone may have them recorded */

static int
append(struct journal *j, struct block_maker *m, uint64_t position)
{
	static const uint8_t id[ID_LEN] = { 1 };
	static uint8_t chain[DIGEST_LEN];
	struct batch b = { .number = 0 };
	struct journal_entry e = { .ring = 7, .state = { .blocks = 1 } };
	struct block block = { .number = 1, .first = 1, .frames = 1 };
	batch_begin(&b);
	memcpy(e.session, id, ID_LEN);
	memset(chain, 0, sizeof(chain));
	size_t at = pick(sizeof(loot) - 3000);
	CU_ASSERT_EQUAL_FATAL(block_make(m, NULL, id, (struct sp_bytes){ loot + at, 1 + pick(2900) }, &block, chain, &b.blocks), SP_OK);
	e.block = block.whole;
	memcpy(e.hash, chain, DIGEST_LEN);
	batch_ring(&b, 7, position);
	batch_entry(&b, &e);
	int rc = journal_append(j, &b);
	batch_free(&b);
	return rc;
}

static void
take_loot(struct journal *j)
{
	if (j->fd >= 0 && pread(j->fd, loot, sizeof(loot), pick(4000)) < 0)
		return;
}

/* The next segment; anew: as after a sync that failed. */
static int
turn(struct journal *j, bool anew)
{
	if (anew && journal_keep_none(j) != SP_OK)
		return SP_EIO;
	return journal_rotate(j);
}

static void
write_one(struct journal *j, struct block_maker *m)
{
	uint64_t p = ++positions;
	bool doubtful = false;
	for (unsigned tries = 0; tries < 20 && !disk.dead; tries++) {
		if (doubtful && turn(j, true) != SP_OK)
			continue;
		doubtful = false;
		said[p].segment = j->segment;
		if (append(j, m, p) != SP_OK)
			continue;
		if (journal_sync(j) == SP_OK) {
			said[p].promised = true;
			return;
		}
		doubtful = true;
	}
}

static void
remove_old(struct journal *j)
{
	while (j->oldest < j->segment && !disk.dead) {
		for (uint64_t p = 1; p <= positions; p++)
			if (said[p].segment <= j->oldest)
				said[p].gone = 1;
		if (journal_remove(j, j->oldest) != SP_OK)
			return;
		j->oldest++;
	}
}

static void
live(struct journal *j, struct block_maker *m)
{
	while (!disk.dead && positions < MOST - 2) {
		if (j->size >= j->full) {
			if (turn(j, pick(12) == 0) == SP_OK) {
				write_one(j, m); /* as a census */
				if (pick(3) > 0)
					remove_old(j);
			}
			continue;
		}
		if (pick(40) == 0)
			(void)!journal_keep_none(j);
		if (pick(10) == 0)
			take_loot(j);
		write_one(j, m);
	}
}

static void
run(unsigned errors)
{
	char top[64] = "/tmp/sallyport-power-XXXXXX", path[128];
	struct block_maker *m = block_maker_new();
	losses = wrong = alarms = 0;
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
	for (unsigned world = 0; world < 16; world++) {
		struct journal j = { .fd = -1, .dir = -1, .full = 4000 + pick(9000) };
		memset(said, 0, sizeof(said));
		positions = 0;
		disk.errors = 0;
		(void)snprintf(path, sizeof(path), "%s/%u-0", top, world);
		CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
		forget_inodes();
		disk.nnames = 0;
		disk.n = 0;
		disk_begin(path);
		for (unsigned life = 1; life < 60; life++) {
			rounds++;
			unsigned losses_before = losses, wrong_before = wrong;
			disk.errors = 0;
			disk.until = 0;
			restart(&j, path);
			if ((losses != losses_before || wrong != wrong_before) && losses < 5)
				(void)printf("\n  world %u life %u: %u lost, %u wrong\n", world, life, losses - losses_before, wrong - wrong_before);
			disk.until = 1 + (long)pick(life % 3 == 0 ? 12 : 300);
			disk.errors = errors;
			int rc = SP_EIO;
			while (!disk.dead && rc != SP_OK)
				rc = journal_keep_none(&j) == SP_OK ? journal_rotate(&j) : SP_EIO;
			if (rc == SP_OK) {
				write_one(&j, m);
				/* what was read is in the sessions' files by then */
				if (pick(2) == 0)
					remove_old(&j);
				live(&j, m);
			}
			(void)snprintf(path, sizeof(path), "%s/%u-%u", top, world, life);
			static const unsigned share[] = { 0, 20, 50, 80, 99, 100 };
			disk_lost(path, share[pick(6)]);
		}
		journal_close(&j);
		close(j.dir);
		disk.on = false;
	}
	(void)printf("\n  %u lives, %u lost, %u wrong, %u false alarms\n", rounds, losses, wrong, alarms);
	CU_ASSERT_EQUAL(losses, 0);
	CU_ASSERT_EQUAL(wrong, 0);
	if (errors == 0)
		CU_ASSERT_EQUAL(alarms, 0);
	forget_inodes();
	free(disk.op);
	disk.op = NULL;
	disk.n = disk.cap = 0;
	block_maker_free(&m);
	(void)files_remove(top);
}

static void
test_power(void)
{
	run(0);
}

static void
test_power_and_errors(void)
{
	run(5);
}

int
main(void)
{
	CU_TestInfo tests[] = { { "power", test_power }, { "power, and syncs that fail", test_power_and_errors }, CU_TEST_INFO_NULL };
	log_init("test", open("/dev/null", O_WRONLY | O_CLOEXEC), SP_ERROR);
	srand(getenv("SEED") == NULL ? 1 : (unsigned)atoi(getenv("SEED")));
	return cunit_main("powerloss", tests);
}
