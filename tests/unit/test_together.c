/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that stand together come to what they come to by themselves: in recordings, in lines of the logs, and after a crash. */
#include <config.h>
#include "cunit_main.h"

#include <signal.h>

#include "core/base/message.h"
#include "recorder_world.h"

static uint64_t rnd;

static unsigned
any(unsigned n)
{
	rnd ^= rnd << 13;
	rnd ^= rnd >> 7;
	rnd ^= rnd << 17;
	return (unsigned)((rnd >> 20) % n);
}

/* ---- what came of it ---- */

/* Frames without cuts, one text line each, into `out`; number and type by number into types (if not NULL). */
struct seen { uint8_t type; uint32_t op; };

static size_t
read_all(const struct world *w, const uint8_t *id, const uint8_t *private, struct buffer *out, struct seen *seen, size_t most, uint64_t cut[64])
{
	char path[256];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	size_t n = 0;
	int rc;
	session_file(w, id, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	out->max = 64u << 20;
	CU_ASSERT_EQUAL_FATAL(recording_open(fd, private, &rec, &err), SP_OK);
	while ((rc = recording_next(rec, &f, &err)) == 1) {
		if (n < most)
			seen[n] = (struct seen){ (uint8_t)f.type, f.op };
		n++;
		if (f.type == FRAME_CUT) {
			uint64_t v;
			if (frame_field_u64_get(frame_get(&f, KEY_BYTES), &v))
				cut[f.op % 64] += v;
			continue;
		}
		if (f.type == FRAME_HEADER)
			continue;
		uint8_t sum[DIGEST_LEN];
		digest_sha256(f.payload, sum);
		CU_ASSERT_EQUAL_FATAL(buffer_printf(out, "%s.%u op %u ch %u at %llu len %zu %02x%02x%02x%02x\n", frame_name((unsigned)f.type), f.flags, f.op,
		    f.channel, (unsigned long long)f.at, f.payload.len, sum[0], sum[1], sum[2], sum[3]), SP_OK);
	}
	if (rc != 0)
		(void)printf("\n  %s\n", err);
	CU_ASSERT_EQUAL(rc, 0);
	recording_close(&rec);
	return n;
}

/* Lines of that session, without time and number; each number names a frame of its op that is a decision. */
static unsigned
read_lines(const char *path, const uint8_t *id, struct buffer *out, const struct seen *seen, size_t n, bool clear)
{
	char name[ID_TEXT], key[96];
	unsigned wrong = 0;
	struct sp_bytes b = file_bytes(path);
	(void)snprintf(key, sizeof(key), "\"session\":\"%s\",\"frame\":", id_format(id, name));
	for (const char *line = (const char *)b.p, *stop; line != NULL && (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
		const char *at = memmem(line, (size_t)(stop - line), key, strlen(key));
		if (at == NULL)
			continue;
		at += strlen(key);
		char *rest;
		unsigned long number = strtoul(at, &rest, 10), op = 0;
		const char *comma = memchr(at, ',', (size_t)(stop - at));
		(void)sscanf(comma, ",\"op\":%lu,", &op);
		if (clear) {
			bool fits = number >= 1 && number <= n && seen[number - 1].op == op &&
			    (seen[number - 1].type == FRAME_VERDICT || seen[number - 1].type == FRAME_HELD || seen[number - 1].type == FRAME_COLUMNS);
			wrong += !fits;
		}
		const char *started = memmem(comma, (size_t)(stop - comma), "\"started\"", 9);
		size_t len = (size_t)((started != NULL ? started : stop) - comma);
		CU_ASSERT_EQUAL_FATAL(buffer_printf(out, "%.*s\n", (int)len, comma), SP_OK);
	}
	return wrong;
}

static unsigned long stored_frames, stored_together;

/* How many frames of its clear blocks stand together there. */
static void
count_together(const struct world *w, const uint8_t *id)
{
	char path[256];
	struct block_file f;
	struct block b;
	struct buffer plain = { .max = BLOCK_PLAIN_MAX };
	session_file(w, id, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(block_file_open(&f, fd, id), SP_OK);
	while (block_file_next(&f, &b) == 1) {
		stored_frames += b.frames;
		if (block_plain(&b, NULL, id, &plain) != SP_OK)
			continue;
		struct frames_walk all = { .in = sp_reader(buffer_bytes(&plain)) };
		struct frame g;
		while (frames_next(&all, &g) == 1)
			stored_together += all.of.type == FRAME_TOGETHER && all.n > 0 && g.payload.p >= all.of.payload.p &&
			    g.payload.p <= all.of.payload.p + all.of.payload.len;
	}
	block_file_close(&f);
	close(fd);
	buffer_free(&plain);
}

/* ---- two worlds ---- */

static void
put_header(struct world *w, const uint8_t *id)
{
	uint8_t bytes[1024];
	char text[ID_TEXT];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_SESSION, sp_str(id_format(id, text)));
	frame_field(&o, KEY_PRINCIPAL, SP_LIT("{\"identity\":\"corp\",\"issuer\":\"https://idp.example.com\",\"subject\":\"s-1\",\"user\":\"ann\","
	    "\"name\":\"Ann\",\"person\":\"p-1\",\"groups\":[\"dba\"],\"roles\":[],\"token\":\"\",\"class\":\"human\",\"expires\":4102444800000000}"));
	frame_field(&o, KEY_TARGET, SP_LIT("orders"));
	frame_field(&o, KEY_PART, SP_LIT("orders"));
	frame_field(&o, KEY_MODULE, SP_LIT("postgres"));
	frame_field_u64(&o, KEY_STARTED, 1000000);
	const struct frame f = { .type = FRAME_HEADER, .at = 1, .payload = sp_written(&o) };
	CU_ASSERT_FATAL(ring_put(w->ring[0], id, &f, NULL, 0) > 0);
	(void)ring_publish(w->ring[0]);
}

static void
small_ring(struct world *w)
{
	world_drop_ring(w, 0);
	CU_ASSERT_EQUAL_FATAL(ring_create(64u << 10, &w->memory[0]), SP_OK);
	CU_ASSERT_EQUAL_FATAL(ring_map(w->memory[0], &w->ring[0]), SP_OK);
}

static void
ticks(struct world *w[2], unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		(void)ring_publish(w[i]->ring[0]);
		for (unsigned k = 0; k < n; k++)
			(void)recorder_tick(w[i]->r);
	}
}

static void
nothing(struct world *w)
{
	(void)w;
}

static void
up_to_journal(struct world *w)
{
	w->r->swept = w->r->now;
	int fd = w->r->audit.fd;
	w->r->audit.fd = open("/dev/full", O_WRONLY);
	log_level(SP_ERROR + 1);
	(void)recorder_tick(w->r);
	w->r->audit.fd = fd;
}

static void
one_tick(struct world *w)
{
	(void)recorder_tick(w->r);
}

static size_t
payload_of(enum frame_type type, uint8_t *into, size_t cap)
{
	struct sp_writer o = sp_writer(into, cap);
	size_t n = any(20) == 0 ? any(20000) : any(4) == 0 ? any(3000) : any(60);
	static const char *const what[] = { "allow", "deny", "held", "kill", "" };
	switch (type) {
	case FRAME_ROWS:
		for (unsigned i = any(10); i > 0 && !o.bad; i--) {
			sp_wr_be16(&o, 1);
			sp_wr_be32(&o, 40);
			sp_wr_put(&o, SP_LIT("0123456789012345678901234567890123456789"));
		}
		break;
	case FRAME_OUTPUT:
	case FRAME_INPUT:
		memset(into, (int)any(256), n);
		return n;
	case FRAME_VERDICT:
		frame_field(&o, KEY_WHAT, sp_str(what[any(5)]));
		frame_field(&o, KEY_RULE, SP_LIT("a-rule"));
		if (any(4) == 0)
			frame_field(&o, KEY_OBSERVED, SP_LIT("other-rule"));
		break;
	case FRAME_COLUMNS:
		frame_field(&o, KEY_COLUMN, SP_LIT("\1name"));
		if (any(2) == 0)
			frame_field(&o, KEY_WOULD, SP_LIT("mask"));
		break;
	case FRAME_DONE:
		frame_field_u64(&o, KEY_ROWS, any(100));
		break;
	case FRAME_OPERATION:
		frame_field(&o, KEY_KIND, SP_LIT("sql.statement"));
		frame_field(&o, KEY_TAG, SP_LIT("SELECT"));
		if (any(2) == 0)
			frame_field(&o, KEY_KEPT, SP_LIT("\1"));
		else
			frame_field(&o, KEY_AS, SP_LIT("\1"));
		frame_field(&o, KEY_ATTRIBUTE, SP_LIT("0:a=b"));
		/* fall through */
	default:
		if (any(3) > 0) {
			memset(into + o.len + 5, 'x', n);
			struct sp_writer head = sp_writer(into + o.len, 5);
			frame_field_head(&head, KEY_TEXT, n);
			return o.len + 5 + n;
		}
		break;
	}
	return o.len;
}

/* ---- a run ---- */

#define MOST 65536

struct run {
	uint64_t seed;
	struct world *w[2]; /* 0: each frame by itself, 1: together */
	uint8_t id[2][ID_LEN], private[SEAL_KEY];
	uint64_t head, at;
	uint32_t op;
	unsigned stays; /* one of so many frames is of another operation */
	bool evicts;    /* more operations than are remembered */
	bool full;      /* rings are full now and then */
	bool dies, seals, sealed;
};

static const uint64_t heads[] = { UINT64_MAX, 0, 100, 1000, 20000 };

static void
run_begin(struct run *r, uint64_t seed, bool evicts)
{
	rnd = seed * 0x9e3779b97f4a7c15u + 1;
	*r = (struct run){ .seed = seed, .evicts = evicts, .at = 10, .private = { 7 } };
	r->full = any(2) == 0;
	r->dies = any(2) == 0;
	r->seals = !r->full && any(2) == 0;
	r->stays = 2 + any(12);
	r->head = evicts ? 4 : heads[any(5)];
	const unsigned sync = any(3);
	id_new(r->id[0]);
	id_new(r->id[1]);
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = r->w[i] = world_new();
		w->options.head = r->head;
		w->options.sync = SYNC_WRITE + sync;
		seal_public(r->private, w->options.auditor);
		small_ring(w);
		world_start(w);
		put_header(w, r->id[0]);
		put_header(w, r->id[1]);
	}
	ticks(r->w, 1);
}

static bool
put_one(struct run *r, unsigned i, const uint8_t *id, const struct frame *f)
{
	bool ok = ring_put(r->w[i]->ring[0], id, f, NULL, 0) > 0;
	if (ok && i == 0)
		(void)ring_publish(r->w[i]->ring[0]);
	return ok;
}

static void
say_any(struct run *r)
{
	static const enum frame_type types[] = { FRAME_OPERATION, FRAME_VERDICT, FRAME_COLUMNS, FRAME_ROWS, FRAME_OUTPUT, FRAME_INPUT, FRAME_NOTICE,
		FRAME_DONE, FRAME_OWN, FRAME_HELD, FRAME_RESIZE, FRAME_WHY, FRAME_GROUP };
	static uint8_t payload[65536];
	const uint8_t *id = r->id[any(20) == 0];
	struct frame f = { .type = types[any(13)], .channel = any(40) == 0 };
	if (r->evicts && any(3) > 0)
		f.type = any(2) == 0 ? FRAME_OPERATION : FRAME_VERDICT;
	if (r->op == 0 || any(r->stays) == 0)
		r->op = any(30) == 0 ? 0 : 1 + any(r->evicts ? 150 : 6);
	r->at += any(5) == 0;
	f.op = r->op;
	f.at = r->at;
	f.payload = (struct sp_bytes){ payload, payload_of(f.type, payload, sizeof(payload)) };
	if (!r->full && (ring_space(r->w[0]->ring[0]) < 40000 || ring_space(r->w[1]->ring[0]) < 40000))
		ticks(r->w, 1);
	for (unsigned i = 0; i < 2; i++)
		if (!put_one(r, i, id, &f)) {
			ticks(r->w, 1);
			CU_ASSERT_FATAL(put_one(r, i, id, &f));
		}
}

static void
recorders_die(struct run *r)
{
	static void (*const point[])(struct world *) = { nothing, up_to_journal, one_tick, world_sweep };
	const unsigned k = any(4);
	if (any(2) == 0)
		ticks(r->w, 1);
	for (unsigned i = 0; i < 2; i++) {
		(void)ring_publish(r->w[i]->ring[0]);
		world_stop_at_once(r->w[i]);
		world_crash(r->w[i], point[k]);
		world_start(r->w[i]);
	}
}

/* What else happens between two frames. */
static void
disturb(struct run *r)
{
	if (any(8) == 0)
		(void)ring_publish(r->w[1]->ring[0]);
	if (any(25) == 0)
		ticks(r->w, 1);
	if (!r->evicts && any(60) == 0) {
		const uint64_t head = heads[any(5)];
		ticks(r->w, 2);
		for (unsigned i = 0; i < 2; i++)
			r->w[i]->options.head = r->w[i]->r->options.head = head;
	}
	if (r->seals && any(60) == 0) {
		ticks(r->w, 2);
		for (unsigned i = 0; i < 2; i++)
			r->w[i]->options.seals = r->w[i]->r->options.seals = !r->w[i]->r->options.seals;
		r->sealed = true;
	}
	if (r->dies && any(120) == 0)
		recorders_die(r);
}

static void
run_end(struct world *w, const struct run *r)
{
	struct verify_result v;
	(void)ring_publish(w->ring[0]);
	say_end(w, r->id[0]);
	say_end(w, r->id[1]);
	world_sweep(w);
	world_sweep(w);
	CU_ASSERT_FALSE_FATAL(ring_failed(w->ring[0]));
	CU_ASSERT_TRUE(verified(w, NULL, &v));
}

static uint64_t sizes[2];

/* Frames and lines of both are the same, and each line names a frame that is its own. */
static bool
same(const struct run *r, const uint8_t *id)
{
	static struct seen seen[MOST];
	struct buffer frames[2] = { 0 }, lines[2] = { 0 };
	uint64_t cut[2][64] = { 0 };
	unsigned wrong = 0;
	char path[256];
	for (unsigned i = 0; i < 2; i++) {
		const struct world *w = r->w[i];
		size_t n = read_all(w, id, r->private, &frames[i], seen, MOST, cut[i]);
		wrong += read_lines(w->audit, id, &lines[i], seen, n, !r->sealed);
		(void)read_lines(w->access, id, &lines[i], seen, n, false);
		session_file(w, id, path);
		sizes[i] += file_bytes(path).len;
	}
	count_together(r->w[1], id);
	bool is = wrong == 0 && sp_bytes_eq(buffer_bytes(&frames[0]), buffer_bytes(&frames[1])) &&
	    sp_bytes_eq(buffer_bytes(&lines[0]), buffer_bytes(&lines[1])) && memcmp(cut[0], cut[1], sizeof(cut[0])) == 0;
	for (unsigned i = 0; i < 2; i++) {
		buffer_free(&frames[i]);
		buffer_free(&lines[i]);
	}
	return is;
}

static void
runs(uint64_t from, bool evicts)
{
	for (uint64_t seed = from; seed < from + 25; seed++) {
		struct run r;
		run_begin(&r, seed, evicts);
		for (unsigned n = 0; n < 700; n++) {
			say_any(&r);
			disturb(&r);
		}
		for (unsigned i = 0; i < 2; i++)
			run_end(r.w[i], &r);
		bool is = same(&r, r.id[0]) && same(&r, r.id[1]);
		if (!is)
			(void)printf("\n  seed %llu: not the same\n", (unsigned long long)seed);
		CU_ASSERT(is);
		for (unsigned i = 0; i < 2; i++)
			world_free(&r.w[i]);
	}
}

static void
test_any(void)
{
	runs(1, false);
	(void)printf("%lu of %lu frames stand together, %llu bytes for %llu ", stored_together, stored_frames, (unsigned long long)sizes[1],
	    (unsigned long long)sizes[0]);
	CU_ASSERT(sizes[1] < sizes[0] && stored_together > stored_frames / 10);
}

static void
test_many_operations(void)
{
	runs(1000, true);
	runs(1225, true); /* what was found once */
}

/* ---- places ---- */

#define OPS 1500u

/* What was said of an operation, open fields first; and the words of it that a line has. */
static struct { char text[256], line[64]; bool said; } told[OPS + 2];
static struct { unsigned what; uint32_t by; } held[RECORD_PLACES];
static unsigned next_held;

static void
add_fields(struct sp_bytes payload, bool open, char *out, size_t cap)
{
	struct sp_reader r = sp_reader(payload);
	struct sp_bytes v;
	unsigned key;
	size_t n = strlen(out);
	while (frame_next_field(&r, &key, &v))
		if (frame_key_is_open(key) == open && key != KEY_KEPT && key != KEY_AS)
			n += (size_t)snprintf(out + n, cap - n, "%u=%.*s ", key, (int)(v.len < 40 ? v.len : 40), (const char *)v.p);
}

static void
put_texts(struct sp_writer *w, unsigned what, bool tail)
{
	char text[48];
	if (!tail) {
		(void)snprintf(text, sizeof(text), "kind%u", what % 7);
		frame_field(w, KEY_KIND, sp_str(text));
		if (what % 3 != 0)
			frame_field(w, KEY_TAG, SP_LIT("TAG"));
		(void)snprintf(text, sizeof(text), "0:a=%u", what);
		frame_field(w, KEY_ATTRIBUTE, sp_str(text));
		return;
	}
	(void)snprintf(text, sizeof(text), "select %u", what);
	frame_field(w, KEY_TEXT, sp_str(text));
	(void)snprintf(text, sizeof(text), "hash %010u                 ", what);
	frame_field(w, KEY_TEXT_HASH, (struct sp_bytes){ (const uint8_t *)text, DIGEST_LEN });
}

/* As plan_record_put(): texts that come again whole, or only their beginning, in the place that has it or is to. */
static void
say_placed(struct run *r, uint32_t op)
{
	uint8_t bytes[1024], whole[1024], place;
	struct sp_writer w = sp_writer(bytes, sizeof(bytes)), all = sp_writer(whole, sizeof(whole));
	const unsigned model = any(any(10) == 0 ? 60 : 12), what = model % 2 == 0 ? model : model + 100 * any(50), id = model + 1;
	unsigned i = 0;
	while (i < RECORD_PLACES && held[i].what != id)
		i++;
	const bool has = i < RECORD_PLACES && frame_place_serves(held[i].by, op);
	if (i == RECORD_PLACES) {
		i = next_held;
		next_held = (i + 1) % RECORD_PLACES;
	}
	place = (uint8_t)i;
	if (!has)
		held[i].what = id, held[i].by = op;
	/* what all of a model share may say nothing of the text */
	put_texts(&all, model, false);
	put_texts(&all, what, true);
	if (!has)
		put_texts(&w, model, false);
	if (!has && model % 2 == 0)
		put_texts(&w, what, true);
	frame_field(&w, has ? KEY_AS : KEY_KEPT, (struct sp_bytes){ &place, 1 });
	if (model % 2 != 0)
		put_texts(&w, what, true);
	if (any(2) == 0) {
		frame_field(&w, KEY_PARAM, SP_LIT("param"));
		frame_field(&all, KEY_PARAM, SP_LIT("param"));
	}
	told[op].said = true;
	told[op].text[0] = '\0';
	add_fields(sp_written(&all), true, told[op].text, sizeof(told[op].text));
	add_fields(sp_written(&all), false, told[op].text, sizeof(told[op].text));
	char hex[2 * DIGEST_LEN + 1], hash[48];
	(void)snprintf(hash, sizeof(hash), "hash %010u                 ", what);
	for (unsigned k = 0; k < DIGEST_LEN; k++)
		(void)snprintf(hex + 2 * k, 3, "%02x", (uint8_t)hash[k]);
	(void)snprintf(told[op].line, sizeof(told[op].line), "kind%u %s %.40s", model % 7, model % 3 != 0 ? "TAG" : "", hex);
	for (unsigned k = 0; k < 2; k++) {
		struct frame f = { .type = FRAME_OPERATION, .op = op, .at = r->at, .payload = sp_written(&w) };
		CU_ASSERT_FATAL(put_one(r, k, r->id[0], &f));
	}
}

static void
say_of(struct run *r, uint32_t op, enum frame_type type, const char *what)
{
	uint8_t bytes[256];
	struct sp_writer w = sp_writer(bytes, sizeof(bytes));
	if (type == FRAME_VERDICT)
		frame_field(&w, KEY_WHAT, sp_str(what));
	else if (type == FRAME_DONE)
		frame_field_u64(&w, KEY_ROWS, 1);
	else
		frame_field(&w, KEY_MESSAGE, SP_LIT("x"));
	const struct frame f = { .type = type, .op = op, .at = r->at, .payload = sp_written(&w) };
	for (unsigned k = 0; k < 2; k++)
		CU_ASSERT_FATAL(put_one(r, k, r->id[0], &f));
}

static void
check_places(const struct run *r, const struct world *w)
{
	char path[256];
	static char got[OPS + 2][256], part[OPS + 2][256];
	struct recording *rec;
	struct frame f;
	const char *err = "";
	unsigned wrong = 0, lines = 0, early = 0;
	int rc;
	memset(got, 0, sizeof(got));
	memset(part, 0, sizeof(part));
	session_file(w, r->id[0], path);
	CU_ASSERT_EQUAL_FATAL(recording_open(open(path, O_RDONLY | O_CLOEXEC), r->private, &rec, &err), SP_OK);
	while ((rc = recording_next(rec, &f, &err)) == 1) {
		if (f.type != FRAME_OPERATION)
			continue;
		if ((f.flags & FRAME_PART) == 0)
			add_fields(f.payload, true, got[f.op], 256);
		if (f.flags != FRAME_HALF)
			add_fields(f.payload, false, part[f.op], 256);
		early += f.flags == FRAME_PART && got[f.op][0] == '\0';
	}
	if (early > 0)
		(void)printf("\n  seed %llu: %u sealed halves come before their clear ones", (unsigned long long)r->seed, early);
	CU_ASSERT_EQUAL(early, 0);
	for (unsigned i = 0; i < OPS + 2; i++)
		(void)snprintf(got[i] + strlen(got[i]), sizeof(got[i]) - strlen(got[i]), "%s", part[i]);
	CU_ASSERT_EQUAL(rc, 0);
	recording_close(&rec);
	for (unsigned i = 0; i < OPS + 2; i++)
		if (told[i].said && strcmp(told[i].text, got[i]) != 0 && wrong++ < 3)
			(void)printf("\n  seed %llu op %u said %s\n  read %s", (unsigned long long)r->seed, i, told[i].text, got[i]);
	struct sp_bytes log = file_bytes(w->audit);
	json_error_t error;
	for (const char *line = (const char *)log.p, *stop; line != NULL && (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
		char said[128];
		json_t *j = json_loadb(line, (size_t)(stop - line), 0, &error);
		const char *kind = json_string_value(json_object_get(j, "kind")), *tag = json_string_value(json_object_get(j, "tag"));
		const char *sha = json_string_value(json_object_get(j, "sha256"));
		unsigned op = (unsigned)json_integer_value(json_object_get(j, "op"));
		(void)snprintf(said, sizeof(said), "%s %s %.40s", kind == NULL ? "null" : kind, tag == NULL ? "null" : tag, sha == NULL ? "null" : sha);
		lines++;
		if (strcmp(said, told[op].line) != 0 && wrong++ < 6)
			(void)printf("\n  seed %llu op %u told %s\n  line %s", (unsigned long long)r->seed, op, told[op].line, said);
		json_decref(j);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(lines > 0);
}

/* Operations of a worker that keeps its word, some held for long: read with the key as they were said, and in the log, too. */
static void
places_run(uint64_t seed)
{
	struct run r;
	uint32_t waits[8] = { 0 }, op = 0;
	run_begin(&r, seed, false);
	r.full = false;
	r.seals = any(2) == 0;
	r.dies = true;
	memset(told, 0, sizeof(told));
	memset(held, 0, sizeof(held));
	next_held = 0;
	for (unsigned n = 0; n < 800 && op + 3 < OPS; n++) {
		const bool late = any(40) == 0; /* announced, and recorded behind what ran of it */
		r.at += any(4) == 0;
		if (any(50) == 0)
			op += any(80); /* numbers of what was never recorded */
		if (op + 3 >= OPS)
			break;
		op++;
		if (late)
			op++;
		for (unsigned k = 0; k < 1u + late; k++) {
			const uint32_t now = op - k;
			say_placed(&r, now);
			if (k == 0 && any(20) == 0 && waits[now % 8] == 0) {
				say_of(&r, now, FRAME_VERDICT, "held");
				waits[now % 8] = now;
				continue;
			}
			say_of(&r, now, FRAME_VERDICT, any(5) == 0 ? "deny" : "allow");
			if (any(3) == 0)
				say_of(&r, now, FRAME_NOTICE, NULL);
			say_of(&r, now, FRAME_DONE, NULL);
		}
		if (any(60) == 0 && waits[op % 8] != 0) {
			say_of(&r, waits[op % 8], FRAME_VERDICT, "allow");
			say_of(&r, waits[op % 8], FRAME_DONE, NULL);
			waits[op % 8] = 0;
		}
		if (any(30) == 0)
			ticks(r.w, 1);
		disturb(&r);
		if (ring_space(r.w[0]->ring[0]) < 40000 || ring_space(r.w[1]->ring[0]) < 40000)
			ticks(r.w, 2);
	}
	for (unsigned k = 0; k < 8; k++)
		if (waits[k] != 0)
			say_of(&r, waits[k], FRAME_VERDICT, "deny");
	for (unsigned i = 0; i < 2; i++) {
		run_end(r.w[i], &r);
		check_places(&r, r.w[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		world_free(&r.w[i]);
}

static void
test_places_any(void)
{
	const char *from = getenv("SEED");
	uint64_t seed = from == NULL ? 1 : strtoull(from, NULL, 10);
	for (uint64_t i = 0; i < 25; i++)
		places_run(seed + i);
}

/* ---- the number in a line ---- */

static void
number_beside(bool together)
{
	struct world *w = world_new();
	static struct seen seen[1024];
	struct buffer frames = { 0 }, lines = { 0 };
	uint64_t cut[64] = { 0 };
	uint8_t id[ID_LEN];
	w->options.head = 4;
	world_start(w);
	say_header(w, id);
	for (uint32_t op = 1; op <= OPERATIONS_MAX; op++) {
		say_operation(w, id, op, "SELECT 1");
		say_verdict(w, id, op, "allow");
	}
	world_tick(w);
	say_rows(w, id, 1, 3, "value"); /* cut: to be said in this tick */
	w->moment = together ? 1000000 : 0;
	say_verdict(w, id, 1000, "allow"); /* one that had to make room; or what a worker that was taken over says */
	say_rows(w, id, 1000, 0, "");      /* makes room: the first's cut is said before what stands together, behind the line's number */
	(void)ring_publish(w->ring[0]);
	w->moment = 0;
	say_end(w, id);
	world_sweep(w);
	size_t n = read_all(w, id, NULL, &frames, seen, 1024, cut);
	CU_ASSERT_EQUAL(read_lines(w->audit, id, &lines, seen, n, true), 0);
	buffer_free(&frames);
	buffer_free(&lines);
	world_free(&w);
}

static void
test_number_apart(void)
{
	number_beside(false);
}

static void
test_number_together(void)
{
	number_beside(true);
}

/* …and what an honest one says: COLUMNS and ROWS of an operation that had to make room, in observe mode. */
static void
test_number_of_columns(void)
{
	struct world *w = world_new();
	static struct seen seen[1024];
	struct buffer frames = { 0 }, lines = { 0 };
	uint64_t cut[64] = { 0 };
	uint8_t id[ID_LEN], bytes[64];
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	frame_field(&o, KEY_WOULD, SP_LIT("mask"));
	w->options.head = 4;
	world_start(w);
	say_header(w, id);
	for (uint32_t op = 1; op <= OPERATIONS_MAX + 1; op++) { /* the first makes room for the last */
		say_operation(w, id, op, "SELECT 1");
		say_verdict(w, id, op, "allow");
	}
	world_tick(w);
	say_rows(w, id, 2, 3, "value"); /* the oldest there is: cut; its portal is suspended */
	w->moment = 1000000;
	say_frame(w, 0, id, (struct frame){ .type = FRAME_COLUMNS, .op = 1, .payload = sp_written(&o) });
	say_rows(w, id, 1, 0, "");
	(void)ring_publish(w->ring[0]);
	w->moment = 0;
	say_end(w, id);
	world_sweep(w);
	size_t n = read_all(w, id, NULL, &frames, seen, 1024, cut);
	CU_ASSERT_EQUAL(read_lines(w->audit, id, &lines, seen, n, true), 0);
	buffer_free(&frames);
	buffer_free(&lines);
	world_free(&w);
}

/* After kill -9 the line is derived again, with the number that it should have had: one decision, two lines. */
static uint8_t crashed[ID_LEN];

static void
cut_and_verdict(struct world *w)
{
	world_tick(w);
	say_rows(w, crashed, 1, 3, "value");
	w->moment = 1000000;
	say_verdict(w, crashed, 1000, "allow");
	say_rows(w, crashed, 1000, 0, "");
	(void)ring_publish(w->ring[0]);
	world_tick(w);
}

static void
test_number_after_crash(void)
{
	struct world *w = world_new();
	unsigned n = 0;
	w->options.head = 4;
	say_header(w, crashed);
	for (uint32_t op = 1; op <= OPERATIONS_MAX; op++) {
		say_operation(w, crashed, op, "SELECT 1");
		say_verdict(w, crashed, op, "allow");
	}
	world_crash(w, cut_and_verdict);
	world_start(w);
	world_sweep(w);
	for (const char *at = (const char *)file_bytes(w->audit).p; at != NULL && (at = strstr(at, "\"op\":1000,")) != NULL; at++)
		n++;
	CU_ASSERT_EQUAL(n, 1);
	world_free(&w);
}

/* ---- more lines than memory ---- */

/* How many of three recorders die. */
static int
flood(bool together, size_t size)
{
	struct world *w = world_new();
	uint8_t id[ID_LEN], bytes[8 * 5];
	world_drop_ring(w, 0);
	CU_ASSERT_EQUAL_FATAL(ring_create(size, &w->memory[0]), SP_OK);
	CU_ASSERT_EQUAL_FATAL(ring_map(w->memory[0], &w->ring[0]), SP_OK);
	id_new(id);
	put_header(w, id);
	struct sp_writer o = sp_writer(bytes, sizeof(bytes));
	for (unsigned i = 0; i < 8; i++)
		frame_field_head(&o, FRAME_VERDICT, 0);
	struct frame f = { .type = together ? FRAME_TOGETHER : FRAME_VERDICT, .op = 1, .at = 2 };
	if (together)
		f.payload = sp_written(&o);
	while (ring_put(w->ring[0], id, &f, NULL, 0) > 0)
		f.at++; /* apart: no two of a moment */
	(void)ring_publish(w->ring[0]);
	int status = -1, deaths = 0;
	for (unsigned i = 0; i < 3; i++) { /* each recorder after it finds the same ring */
		(void)fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			world_start(w);
			world_tick(w);
			_exit(0);
		}
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		deaths += status != 0;
		world_keeper_knows(w);
	}
	world_free(&w);
	return deaths;
}

/* By a worker that was taken over: frames of a few bytes, each with a line of some hundred. */
static void
test_flood_apart(void)
{
	CU_ASSERT_EQUAL(flood(false, 16u << 20), 0);
}

static void
test_flood_together(void)
{
	CU_ASSERT_EQUAL(flood(true, 8u << 20), 0);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "any places", test_places_any },
		{ "any frames", test_any },
		{ "any frames of many operations", test_many_operations },
		{ "a line's number, apart", test_number_apart },
		{ "a line's number", test_number_together },
		{ "a line's number, of columns", test_number_of_columns },
		{ "a line's number, after a crash", test_number_after_crash },
		{ "a flood of lines, apart", test_flood_apart },
		{ "a flood of lines", test_flood_together },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("together", tests);
}
