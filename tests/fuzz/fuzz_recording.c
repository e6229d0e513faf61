/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hand at the disk may leave: recordings, ledger entries, anchors, journals.  The first byte
 * says which; in the odd ones the input is what hashes and chains are then made over, so that the
 * readers behind them are reached too.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/record/show.h"
#include "core/record/match.h"
#include "core/recorder/journal_file.h"
#include "core/record/recording.h"
#include "core/record/terminal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t id[ID_LEN] = { 1, 2, 3 };
static const uint8_t auditor[SEAL_KEY] = { 9, 9, 9 };

static int
file_of(struct sp_bytes b)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0 || (b.len > 0 && pwrite(fd, b.p, b.len, 0) != (ssize_t)b.len))
		abort();
	return fd;
}

/* ---- recordings ---- */

/* Passed once more it is the same: nothing is left that a terminal must not obey. */
static void
check_terminal(struct sp_bytes b)
{
	struct terminal t = { .len = 0 };
	struct buffer again = { .max = 1u << 26 };
	struct sp_writer w = buffer_writer(&again);
	terminal_feed(&t, b, &w);
	if (buffer_written(&again, &w) == SP_OK && (again.len != b.len || (b.len > 0 && memcmp(buffer_bytes(&again).p, b.p, b.len) != 0)))
		abort(); /* RC5 */
	buffer_free(&again);
}

static void
look_at(const struct frame *f, struct show *show)
{
	struct buffer out = { .max = 1u << 26 };
	struct sp_writer w = buffer_writer(&out);
	struct sp_bytes where;
	size_t at;
	show_frame(show, f, &w);
	int rc = buffer_written(&out, &w);
	if (rc == SP_OK && show->form == SHOW_TERMINAL)
		check_terminal(buffer_bytes(&out));
	else if (rc == SP_OK && show->form != SHOW_ASCIICAST) {
		struct sp_bytes b = buffer_bytes(&out);
		for (size_t i = 0; i < b.len; i++)
			if ((b.p[i] < ' ' && b.p[i] != '\n' && b.p[i] != '\t') || b.p[i] == 0x7f)
				abort(); /* RC5 */
	}
	(void)match_frame(f, SP_LIT("a"), &where, &at);
	buffer_free(&out);
}

static void
replay(int fd, enum show_form form, bool key)
{
	struct recording *r;
	const char *err;
	struct frame f;
	struct show show = { .form = form };
	if (recording_open(fd, key ? auditor : NULL, &r, &err) != SP_OK)
		return;
	while (recording_next(r, &f, &err) == 1)
		look_at(&f, &show);
	show_end(&show);
	recording_close(&r);
}

static void
read_recording(struct sp_bytes in)
{
	struct verify_result v;
	int fd = file_of(in);
	(void)!verify_recording(fd, "x", NULL, 0, &v);
	replay(fd, SHOW_TEXT, true);
}

/* Frames that hold, in a chain that holds; half of them sealed. */
static void
read_frames(struct sp_bytes in)
{
	static struct block_maker *m;
	static struct seal seal;
	uint8_t chain[DIGEST_LEN], public[SEAL_KEY];
	struct buffer out = { .max = 1u << 26 };
	struct sp_reader r = sp_reader(in);
	unsigned how = sp_rd_u8(&r);
	struct block b = { .number = 1, .first = 1, .frames = 1 + sp_rd_u8(&r) % 4 };
	if (m == NULL) {
		m = block_maker_new();
		seal_public(auditor, public);
		if (seal_begin(public, id, &seal) != SP_OK)
			abort();
	}
	uint8_t head[64];
	char name[ID_TEXT];
	struct sp_writer w = sp_writer(head, sizeof(head));
	frame_field(&w, KEY_SESSION, sp_str(id_format(id, name)));
	uint8_t frame[128];
	struct sp_writer fw = sp_writer(frame, sizeof(frame));
	(void)!frame_encode(&(struct frame){ .type = FRAME_HEADER, .payload = sp_written(&w) }, &fw);
	block_chain_start(id, chain);
	struct block first = { .number = 1, .first = 1, .frames = 1 };
	if (buffer_put(&out, SP_LIT(RECORDING_MAGIC)) != SP_OK ||
	    block_make(m, NULL, id, sp_written(&fw), &first, chain, &out) != SP_OK)
		abort();
	b.number = b.first = 2;
	if (block_make(m, (how & 1) != 0 ? &seal : NULL, id, sp_rd_rest(&r), &b, chain, &out) == SP_OK) {
		int fd = file_of(buffer_bytes(&out));
		struct verify_result v;
		if (verify_recording(fd, "x", NULL, 0, &v) != SP_OK)
			abort();
		replay(fd, (enum show_form)(how / 2 % SHOW_FORMS), (how & 64) == 0);
	}
	buffer_free(&out);
}

/* ---- the ledger, an anchor ---- */

static char folder_name[] = "/tmp/sallyport-fuzz-XXXXXX";
static int folder_fd = -1;

static void
folder_remove(void)
{
	static const char *const files[] = { "ledger", "anchor", "00000001.jnl" };
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		(void)unlinkat(folder_fd, files[i], 0);
	(void)unlinkat(folder_fd, "sessions", AT_REMOVEDIR);
	(void)rmdir(folder_name);
}

static int
folder(void)
{
	if (folder_fd >= 0)
		return folder_fd;
	if (mkdtemp(folder_name) == NULL || (folder_fd = open(folder_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    mkdirat(folder_fd, "sessions", 0700) != 0 || atexit(folder_remove) != 0)
		abort();
	return folder_fd;
}

static void
put(const char *name, struct sp_bytes b)
{
	int fd = openat(folder(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || (b.len > 0 && write(fd, b.p, b.len) != (ssize_t)b.len))
		abort();
	close(fd);
}

static void
read_ledger(struct sp_bytes in)
{
	struct verify_result v;
	struct ledger_entry e;
	uint8_t again[LEDGER_ENTRY];
	char anchor[80];
	if (ledger_decode(in, &e) == SP_OK) {
		ledger_encode(&e, again);
		if (memcmp(again, in.p, LEDGER_ENTRY) != 0)
			abort();
	}
	put("ledger", in);
	put("anchor", in);
	(void)snprintf(anchor, sizeof(anchor), "%s/anchor", folder_name);
	(void)!verify_store(folder_name, NULL, anchor, NULL, &v);
}

/* ---- the journal ---- */

static int
on_ring(void *owner, uint64_t identity, uint64_t position)
{
	(void)identity, (void)position;
	++*(unsigned *)owner;
	return SP_OK;
}

static int
on_entry(void *owner, const struct batch *b, const struct journal_entry *e)
{
	(void)b;
	if (e->state.state >= SESSION_STATES || (e->block.len > 0 && e->block.p == NULL))
		abort();
	++*(unsigned *)owner;
	return SP_OK;
}

static unsigned
read_journal(struct sp_bytes in)
{
	struct journal j = { .dir = folder(), .fd = -1 };
	unsigned n = 0;
	const struct journal_reader reader = { on_ring, on_entry, &n, NULL };
	bool damaged;
	put("00000001.jnl", in);
	(void)!journal_replay(&j, &reader, &damaged);
	return n;
}

/* Records that a batch's hash holds for. */
static void
read_records(struct sp_bytes in)
{
	struct journal j = { .dir = folder(), .fd = -1 };
	struct batch b = { .number = 1 };
	struct sp_reader r = sp_reader(in);
	unsigned n = 0;
	const struct journal_reader reader = { on_ring, on_entry, &n, NULL };
	bool damaged;
	(void)unlinkat(folder(), "00000001.jnl", 0);
	batch_begin(&b);
	struct sp_bytes records = sp_rd_take(&r, in.len - in.len / 3);
	if (buffer_put(&b.records, records) != SP_OK || buffer_put(&b.blocks, sp_rd_rest(&r)) != SP_OK)
		abort();
	(void)!batch_each(&b, on_entry, &n);
	if (journal_rotate(&j) != SP_OK || journal_append(&j, &b) != SP_OK)
		abort();
	journal_close(&j);
	j = (struct journal){ .dir = folder(), .fd = -1 };
	(void)!journal_replay(&j, &reader, &damaged);
	(void)unlinkat(folder(), "00000001.jnl", 0);
	batch_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	unsigned what = sp_rd_u8(&r) % 5;
	struct sp_bytes in = sp_rd_rest(&r);
	log_level((enum sp_level)0);
	switch (what) {
	case 0:
		read_recording(in);
		break;
	case 1:
		read_frames(in);
		break;
	case 2:
		read_ledger(in);
		break;
	case 3:
		(void)read_journal(in);
		break;
	default:
		read_records(in);
	}
	return 0;
}
