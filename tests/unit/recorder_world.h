/* SPDX-License-Identifier: Apache-2.0 */
/* A recorder on a folder of its own, a worker's end of a ring, and a keeper that signs. */
#ifndef RECORDER_WORLD_H
#define RECORDER_WORLD_H

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/recorder/recorder.h"
#include "files.h"

#define RING_SIZE (4u << 20)
#define WORLD_ENTRIES 4096

struct world {
	char dir[64];
	char audit[96], access[96], anchor[128], boot[96];
	struct options options;
	void (*begun)(struct world *w); /* a recorder that has its journal and no ring yet; NULL: nothing is done with it */
	struct recorder *r;
	int memory[4]; /* rings, which outlive recorders */
	struct ring *ring[4];
	uint64_t moment; /* frames of operations are of this time, and nobody sees them yet; 0: each of its own, at once */
	uint8_t seed[32], public[32];
	/* the keeper */
	uint8_t (*entry)[LEDGER_ENTRY]; /* shared with a recorder that is killed: it outlives that */
	unsigned entries;
	unsigned removes, refuse; /* refuse: tombstones not given */
	bool deaf;                /* asked, it does not answer */
};

static inline void
world_path(const struct world *w, const char *tail, char out[256])
{
	(void)snprintf(out, 256, "%s/%s", w->dir, tail);
}

/* ---- the keeper ---- */

static inline void
world_append(struct world *w, struct ledger_entry *e)
{
	uint8_t *at = w->entry[w->entries];
	e->number = w->entries + 1;
	e->wall = clock_wall_us();
	if (w->entries == 0)
		ledger_first(w->public, e->previous);
	else
		ledger_hash(w->entry[w->entries - 1], e->previous);
	ledger_encode(e, at);
	CU_ASSERT_EQUAL_FATAL(digest_sign(w->seed, (struct sp_bytes){ at, LEDGER_SIGNED }, e->signature), SP_OK);
	ledger_encode(e, at);
	w->entries++;
}

/* What it signed for a recorder in another process, it has. */
static inline void
world_keeper_knows(struct world *w)
{
	while (w->entries < WORLD_ENTRIES && w->entry[w->entries][8] != 0)
		w->entries++;
}

static inline void
world_answer(struct world *w, unsigned i)
{
	struct sp_bytes entry = { w->entry[i], LEDGER_ENTRY };
	CU_ASSERT_EQUAL(sign_answer(w->r, entry, (struct sp_bytes){ w->entry[i] + LEDGER_SIGNED, SIGNATURE_LEN }), SP_OK);
}

static inline bool
world_last_of(struct world *w, const uint8_t *id, struct ledger_entry *e_r)
{
	for (unsigned i = w->entries; i > 0; i--)
		if (memcmp(w->entry[i - 1] + 9, id, ID_LEN) == 0)
			return ledger_decode((struct sp_bytes){ w->entry[i - 1], LEDGER_ENTRY }, e_r) == SP_OK;
	return false;
}

static inline void
world_sign(struct world *w, const struct message *m)
{
	struct ledger_entry e = { .kind = (enum ledger_kind)m->f[0].q, .blocks = (uint32_t)m->f[2].q, .frames = (uint32_t)m->f[3].q,
		.bytes = m->f[5].q }, last;
	memcpy(e.session, m->f[1].s.p, ID_LEN);
	memcpy(e.chain, m->f[4].s.p, DIGEST_LEN);
	if (world_last_of(w, e.session, &last) && (e.kind == LEDGER_OPEN || (last.kind == e.kind && last.blocks == e.blocks))) {
		world_answer(w, (unsigned)last.number - 1);
		return;
	}
	if (world_last_of(w, e.session, &last) && (last.kind >= LEDGER_CLOSE)) {
		if (last.kind == LEDGER_TOMBSTONE)
			world_answer(w, (unsigned)last.number - 1);
		return;
	}
	world_append(w, &e);
	world_answer(w, w->entries - 1);
}

static inline int
world_say(void *owner, const struct message *m)
{
	struct world *w = owner;
	struct ledger_entry e;
	if (w->deaf)
		return SP_OK;
	if (m->type == MSG_SIGN)
		world_sign(w, m);
	if (m->type == MSG_HAVE)
		for (unsigned i = (unsigned)m->f[0].q; i < w->entries; i++)
			world_answer(w, i);
	if (m->type == MSG_REMOVE) {
		w->removes++;
		if (w->refuse == 0 && world_last_of(w, m->f[0].s.p, &e)) {
			e.kind = LEDGER_TOMBSTONE;
			world_append(w, &e);
			world_answer(w, w->entries - 1);
		}
	}
	return SP_OK;
}

/* ---- the recorder ---- */

static inline int
world_try(struct world *w, const char **err_r)
{
	const struct paths p = { w->dir, w->audit, w->access, w->anchor, w->boot };
	w->r = mem_alloc(sizeof(*w->r));
	memset(w->r, 0, sizeof(*w->r));
	return recorder_open(w->r, &p, &w->options, err_r);
}

static inline void
world_keeper(struct world *w)
{
	w->r->send = world_say;
	w->r->send_owner = w;
	CU_ASSERT_EQUAL(sign_keys(w->r, (struct sp_bytes){ w->public, 32 }), SP_OK);
}

static inline void
world_start(struct world *w)
{
	const char *err = "";
	struct source *src;
	CU_ASSERT_EQUAL_FATAL(world_try(w, &err), SP_OK);
	if (w->begun != NULL)
		w->begun(w);
	for (unsigned i = 0; i < 4; i++)
		if (w->memory[i] >= 0)
			CU_ASSERT_EQUAL_FATAL(recorder_ring(w->r, i, w->memory[i], -1, -1, &src), SP_OK);
	world_keeper(w);
}

/* Which run of the kernel it is. */
static inline void
world_boots(const struct world *w, unsigned n)
{
	int fd = open(w->boot, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && dprintf(fd, "%u\n", n) > 0);
	close(fd);
}

static inline struct world *
world_new(void)
{
	struct world *w = mem_alloc(sizeof(*w));
	memset(w, 0, sizeof(*w));
	w->entry = mmap(NULL, WORLD_ENTRIES * sizeof(*w->entry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(w->entry != MAP_FAILED);
	log_level(SP_ERROR);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/sallyport-recorder-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(w->dir));
	(void)snprintf(w->audit, sizeof(w->audit), "%s/audit", w->dir);
	(void)snprintf(w->access, sizeof(w->access), "%s/access", w->dir);
	(void)snprintf(w->anchor, sizeof(w->anchor), "file:%s/anchor", w->dir);
	(void)snprintf(w->boot, sizeof(w->boot), "%s/boot", w->dir);
	world_boots(w, 1);
	w->options = (struct options){ .head = UINT64_MAX, .sync = SYNC_GROUP };
	CU_ASSERT_EQUAL_FATAL(digest_keypair(w->seed, w->public), SP_OK);
	for (unsigned i = 0; i < 4; i++)
		w->memory[i] = -1;
	CU_ASSERT_EQUAL_FATAL(ring_create(RING_SIZE, &w->memory[0]), SP_OK);
	CU_ASSERT_EQUAL_FATAL(ring_map(w->memory[0], &w->ring[0]), SP_OK);
	return w;
}

static inline void
world_ring(struct world *w, unsigned i)
{
	struct source *src;
	CU_ASSERT_EQUAL_FATAL(ring_create(RING_SIZE, &w->memory[i]), SP_OK);
	CU_ASSERT_EQUAL_FATAL(ring_map(w->memory[i], &w->ring[i]), SP_OK);
	if (w->r != NULL)
		CU_ASSERT_EQUAL_FATAL(recorder_ring(w->r, i, w->memory[i], -1, -1, &src), SP_OK);
}

/* A worker that died, and its ring with it. */
static inline void
world_drop_ring(struct world *w, unsigned i)
{
	ring_unmap(&w->ring[i]);
	close(w->memory[i]);
	w->memory[i] = -1;
}

/* An orderly end of the recorder. */
static inline void
world_stop(struct world *w, bool tear)
{
	if (w->r == NULL)
		return;
	recorder_finish(w->r, tear);
	recorder_close(w->r);
	free(w->r);
	w->r = NULL;
}

/* …with no tick any more. */
static inline void
world_stop_at_once(struct world *w)
{
	recorder_close(w->r);
	free(w->r);
	w->r = NULL;
}

static inline void
world_free(struct world **w)
{
	world_stop(*w, false);
	for (unsigned i = 0; i < 4; i++)
		if ((*w)->memory[i] >= 0)
			world_drop_ring(*w, i);
	(void)files_remove((*w)->dir);
	(void)munmap((*w)->entry, WORLD_ENTRIES * sizeof(*(*w)->entry));
	free(*w);
	*w = NULL;
}

/*
 * Runs the recorder in a process that ends like one that was killed, at once and with nothing
 * written any more.  Its keeper's answers are lost too, as they would be.
 */
static inline void
world_crash(struct world *w, void (*work)(struct world *w))
{
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		world_start(w);
		work(w);
		_exit(0);
	}
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	world_keeper_knows(w);
	for (unsigned i = 0; i < 4; i++) { /* what the other process put, this one did not */
		if (w->memory[i] < 0)
			continue;
		ring_unmap(&w->ring[i]);
		CU_ASSERT_EQUAL_FATAL(ring_map(w->memory[i], &w->ring[i]), SP_OK);
	}
}

static inline void
world_tick(struct world *w)
{
	for (unsigned i = 0; i < 3; i++)
		(void)recorder_tick(w->r);
}

/* …with everything that waits for a quiet moment. */
static inline void
world_sweep(struct world *w)
{
	for (unsigned i = 0; i < 4; i++) {
		w->r->swept = 0;
		(void)recorder_tick(w->r);
	}
}

static inline bool
world_has_spare(const struct world *w)
{
	char path[256];
	world_path(w, "journal/spare.jnl", path);
	return access(path, F_OK) == 0;
}

/* Batches that say little, until the journal writes over an old segment. */
static inline void
world_writes_over(struct world *w)
{
	uint64_t full = w->r->journal.full;
	w->r->journal.full = 8192;
	for (unsigned i = 0; i < 100 && !w->r->journal.tail; i++) {
		batch_begin(&w->r->batch);
		for (uint64_t ring = 1; ring < 200; ring++)
			batch_ring(&w->r->batch, ring, i);
		CU_ASSERT_EQUAL_FATAL(journal_append(&w->r->journal, &w->r->batch), SP_OK);
		world_sweep(w);
	}
	CU_ASSERT_TRUE_FATAL(w->r->journal.tail);
	w->r->journal.full = full;
}

/* ---- a worker ---- */

static inline void
say_frame(struct world *w, unsigned ring, const uint8_t *id, struct frame f)
{
	const bool waits = w->moment != 0 && f.op != 0;
	f.at = waits ? w->moment : f.at;
	CU_ASSERT_FATAL(ring_put(w->ring[ring], id, &f, NULL, 0) > 0);
	if (!waits)
		(void)ring_publish(w->ring[ring]);
}

static inline void
say_header_to(struct world *w, unsigned ring, uint8_t *id)
{
	uint8_t bytes[1024];
	char text[ID_TEXT];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	id_new(id);
	frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
	frame_field(&o, KEY_PRINCIPAL, SP_LIT("{\"identity\":\"corp\",\"issuer\":\"https://idp.example.com\",\"subject\":\"s-1\",\"user\":\"ann\","
	    "\"name\":\"Ann\",\"person\":\"p-1\",\"groups\":[\"dba\"],\"roles\":[],\"token\":\"\",\"class\":\"human\",\"expires\":4102444800000000}"));
	frame_field(&o, KEY_TARGET, SP_LIT("orders"));
	frame_field(&o, KEY_PART, SP_LIT("orders"));
	frame_field(&o, KEY_MODULE, SP_LIT("postgres"));
	frame_field(&o, KEY_ADDRESS, SP_LIT("192.0.2.1"));
	frame_field(&o, KEY_LOGIN, SP_LIT("app_gw"));
	frame_field_u64(&o, KEY_STARTED, clock_wall_us());
	say_frame(w, ring, id, (struct frame){ .type = FRAME_HEADER, .at = 1, .payload = sp_written(&o) });
}

static inline void
say_header(struct world *w, uint8_t *id)
{
	say_header_to(w, 0, id);
}

static inline void
say_operation(struct world *w, const uint8_t *id, uint32_t op, const char *text)
{
	uint8_t bytes[4096], hash[DIGEST_LEN];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	digest_sha256(sp_str(text), hash);
	frame_field(&o, KEY_KIND, SP_LIT("sql.statement"));
	frame_field(&o, KEY_TEXT, sp_str(text));
	frame_field(&o, KEY_TAG, SP_LIT("SELECT"));
	frame_field(&o, KEY_TEXT_HASH, (struct sp_bytes){ hash, sizeof(hash) });
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = op, .at = op * 1000, .payload = sp_written(&o) });
}

/*
 * An operation's fields as words: kind, tag, hash of a text, attribute, by their letter and value; K and S with the number of a place.
 * "BIG" has a value that no place takes, and another place than a number, that as it is.
 */
static inline void
say_fields(struct world *w, const uint8_t *id, uint32_t op, const char *words)
{
	static const struct { char letter; enum frame_key key; } row[] = { { 'k', KEY_KIND }, { 't', KEY_TAG }, { 'h', KEY_TEXT_HASH },
		{ 'a', KEY_ATTRIBUTE }, { 'K', KEY_KEPT }, { 'S', KEY_AS } };
	static uint8_t big[RECORD_KEPT_MAX];
	uint8_t hash[DIGEST_LEN];
	struct buffer b = { 0 };
	struct sp_writer o = buffer_writer(&b);
	for (const char *at = words; *at != '\0'; at += *at == ' ') {
		size_t n = strcspn(at, " "), i = 0;
		struct sp_bytes value = { (const uint8_t *)at + 1, n - 1 };
		uint8_t place = (uint8_t)atoi(at + 1);
		while (row[i].letter != *at)
			i++;
		if (*at == 'h') {
			digest_sha256(value, hash);
			value = (struct sp_bytes){ hash, sizeof(hash) };
		}
		if (strchr("KS", *at) != NULL && n > 1 && at[1] >= '0' && at[1] <= '9')
			value = (struct sp_bytes){ &place, 1 };
		if (sp_bytes_is(value, "BIG"))
			value = (struct sp_bytes){ big, sizeof(big) };
		frame_field(&o, row[i].key, value);
		at += n;
	}
	CU_ASSERT_EQUAL_FATAL(buffer_written(&b, &o), SP_OK);
	say_frame(w, 0, id, (struct frame){ .type = FRAME_OPERATION, .op = op, .at = op * 1000, .payload = buffer_bytes(&b) });
	buffer_free(&b);
}

static inline void
say_verdict(struct world *w, const uint8_t *id, uint32_t op, const char *what)
{
	uint8_t bytes[256];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_WHAT, sp_str(what));
	frame_field(&o, KEY_RULE, SP_LIT("a-rule"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_VERDICT, .op = op, .at = op * 1000 + 1, .payload = sp_written(&o) });
}

static inline void
say_rows(struct world *w, const uint8_t *id, uint32_t op, unsigned n, const char *value)
{
	struct buffer b = { 0 };
	struct sp_writer o = buffer_writer(&b);
	for (unsigned i = 0; i < n; i++) {
		sp_wr_be16(&o, 1);
		sp_wr_be32(&o, (uint32_t)strlen(value));
		sp_wr_put(&o, sp_str(value));
	}
	CU_ASSERT_EQUAL_FATAL(buffer_written(&b, &o), SP_OK);
	say_frame(w, 0, id, (struct frame){ .type = FRAME_ROWS, .op = op, .at = op * 1000 + 2, .payload = buffer_bytes(&b) });
	buffer_free(&b);
}

static inline void
say_done(struct world *w, const uint8_t *id, uint32_t op, uint64_t rows)
{
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field_u64(&o, KEY_ROWS, rows);
	say_frame(w, 0, id, (struct frame){ .type = FRAME_DONE, .op = op, .at = op * 1000 + 3, .payload = sp_written(&o) });
}

static inline void
say_end(struct world *w, const uint8_t *id)
{
	uint8_t bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_WHY, SP_LIT("eof"));
	say_frame(w, 0, id, (struct frame){ .type = FRAME_END, .at = 9000000, .payload = sp_written(&o) });
}

/* Operation, verdict, a row, done. */
static inline void
say_statement(struct world *w, const uint8_t *id, uint32_t op, const char *text)
{
	say_operation(w, id, op, text);
	say_verdict(w, id, op, "allow");
	say_rows(w, id, op, 1, "value");
	say_done(w, id, op, 1);
}

/* The same, in one record. */
static inline void
say_together(struct world *w, const uint8_t *id, uint32_t op, const char *text)
{
	w->moment = op * 1000;
	say_statement(w, id, op, text);
	w->moment = 0;
	(void)ring_publish(w->ring[0]);
}

/* ---- what came of it ---- */

static inline void
session_file(const struct world *w, const uint8_t *id, char out[256])
{
	char text[ID_TEXT];
	id_format(id, text);
	(void)snprintf(out, 256, "%s/sessions/%.2s/%s.spr", w->dir, text, text);
}

/* All frames in a file: their types as letters, texts of operations into `texts` (may be NULL). */
static inline const char *
frames_of(const struct world *w, const uint8_t *id, const uint8_t *auditor)
{
	static char types[4096];
	static const char letter[FRAMES + 1] = "?HOVCRoinDWhzcETwg#";
	char path[256];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	size_t n = 0;
	static char why[512];
	session_file(w, id, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = SP_EIO;
	if (fd >= 0 && recording_open(fd, auditor, &rec, &err) == SP_OK) {
		while ((rc = recording_next(rec, &f, &err)) == 1 && n + 1 < sizeof(types))
			types[n++] = letter[f.type];
		(void)snprintf(why, sizeof(why), "%s", err == NULL ? "" : err);
		recording_close(&rec);
	} else {
		(void)snprintf(why, sizeof(why), "%s", err);
	}
	types[n] = '\0';
	return rc < 0 ? why : types;
}

static inline struct sp_bytes
file_bytes(const char *path)
{
	static uint8_t *bytes; /* one at a time */
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	free(bytes);
	bytes = NULL;
	if (fd < 0 || fstat(fd, &st) != 0)
		return (struct sp_bytes){ NULL, 0 };
	bytes = mem_alloc((size_t)st.st_size + 1);
	CU_ASSERT_EQUAL(read(fd, bytes, (size_t)st.st_size), st.st_size);
	bytes[st.st_size] = 0;
	close(fd);
	return (struct sp_bytes){ bytes, (size_t)st.st_size };
}

static inline bool
file_has(const char *path, const char *text)
{
	struct sp_bytes b = file_bytes(path);
	return b.p != NULL && memmem(b.p, b.len, text, strlen(text)) != NULL;
}

static inline unsigned
file_lines(const char *path)
{
	struct sp_bytes b = file_bytes(path);
	unsigned n = 0;
	for (size_t i = 0; i < b.len; i++)
		n += b.p[i] == '\n';
	return n;
}

/* What the audit log says of an operation: "KIND TAG", or "null null", and " TEXT" when the hash is that text's. */
static inline const char *
line_of(const struct world *w, uint32_t op, const char *text)
{
	static char said[128];
	struct sp_bytes log = file_bytes(w->audit);
	json_error_t error;
	uint8_t hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];
	digest_sha256(sp_str(text), hash);
	for (unsigned i = 0; i < DIGEST_LEN; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	(void)snprintf(said, sizeof(said), "no line");
	for (const char *line = (const char *)log.p, *stop; line != NULL && (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
		json_t *j = json_loadb(line, (size_t)(stop - line), JSON_REJECT_DUPLICATES, &error);
		const char *kind = json_string_value(json_object_get(j, "kind")), *tag = json_string_value(json_object_get(j, "tag"));
		const char *sha = json_string_value(json_object_get(j, "sha256"));
		if (json_integer_value(json_object_get(j, "op")) == op)
			(void)snprintf(said, sizeof(said), "%s %s%s%s", kind == NULL ? "null" : kind, tag == NULL ? "null" : tag,
			    sha == NULL ? "" : " ", sha == NULL ? "" : strcmp(sha, hex) == 0 ? text : "other");
		json_decref(j);
	}
	return said;
}

/* Each line is JSON, as other programs read it. */
static inline void
check_lines(const char *path, unsigned n)
{
	struct sp_bytes log = file_bytes(path);
	json_error_t error;
	for (const char *line = (const char *)log.p, *stop; line != NULL && (stop = strchr(line, '\n')) != NULL; line = stop + 1, n--) {
		json_t *j = json_loadb(line, (size_t)(stop - line), JSON_REJECT_DUPLICATES, &error);
		if (j == NULL)
			(void)printf("\n  %s: %.*s\n", error.text, (int)(stop - line), line);
		CU_ASSERT(json_is_object(j));
		json_decref(j);
	}
	CU_ASSERT_EQUAL(n, 0);
}

static inline bool
verified(const struct world *w, const char *anchor, struct verify_result *v)
{
	int rc = verify_store(w->dir, w->public, anchor, NULL, v);
	CU_ASSERT_EQUAL(v->ok, rc == SP_OK);
	return v->ok;
}

#endif
