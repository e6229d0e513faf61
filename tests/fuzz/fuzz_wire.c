/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor: any sequence of reads stays inside its bytes and accounts for each of them; what was
 * written is read back the same, and a writer without room says so.
 *
 *   input: number of steps, steps (read kind and size), then what is read
 */
#include <config.h>

#include <stdlib.h>

#include <sallyport/wire.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool what)
{
	if (!what)
		abort();
}

static struct sp_bytes
read_some(struct sp_reader *r, uint8_t step)
{
	uint8_t b[8];
	struct sp_writer w = sp_writer(b, sizeof(b));
	static struct sp_bytes number;
	switch (step % 8) {
	case 0:
		sp_wr_u8(&w, sp_rd_u8(r));
		break;
	case 1:
		sp_wr_be16(&w, sp_rd_be16(r));
		break;
	case 2:
		sp_wr_be32(&w, sp_rd_be32(r));
		break;
	case 3:
		sp_wr_be64(&w, sp_rd_be64(r));
		break;
	case 4:
		return sp_rd_cstr(r);
	case 5:
		return sp_rd_until(r, step);
	case 6:
		return sp_rd_take(r, step / 8u);
	default:
		return step < 128 ? sp_rd_take(r, SIZE_MAX - step) : sp_rd_rest(r);
	}
	static uint8_t kept[8];
	memcpy(kept, b, w.len);
	number = (struct sp_bytes){ kept, w.len };
	return number;
}

/* Reads as told; writes what it read into memory of every length up to that. */
static void
read_all(struct sp_bytes steps, struct sp_bytes in, struct sp_writer *w)
{
	struct sp_reader r = sp_reader(in);
	for (size_t i = 0; i < steps.len; i++) {
		size_t before = r.left;
		bool was_bad = r.bad;
		struct sp_bytes v = read_some(&r, steps.p[i]);
		must(r.left <= before && r.left <= in.len);
		must(r.p == in.p + (in.len - r.left)); /* every byte is accounted for */
		must(!was_bad || r.bad);
		must(!was_bad || r.left == before);    /* latched: nothing moves any more */
		must(v.len <= in.len + 8);
		if (!r.bad)
			sp_wr_put(w, v);
	}
	must(sp_rd_done(&r) == (!r.bad && r.left == 0));
}

static void
patch(struct sp_writer *w, size_t at, size_t v)
{
	bool fits = !w->bad && v <= UINT32_MAX && at <= w->len && w->len - at >= 4;
	sp_wr_patch32(w, at, v);
	must(fits == !w->bad);
	if (!fits)
		return;
	struct sp_reader r = sp_reader(sp_written(w));
	(void)sp_rd_take(&r, at);
	must(sp_rd_be32(&r) == v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sp_reader r = sp_reader((struct sp_bytes){ data, size });
	size_t nsteps = sp_rd_u8(&r), room = sp_rd_u8(&r);
	uint32_t at = sp_rd_u8(&r), v = sp_rd_be32(&r);
	struct sp_bytes steps = sp_rd_take(&r, nsteps), in = sp_rd_rest(&r);
	if (r.bad)
		return 0;
	/* Blocks of exactly these lengths, so that a sanitizer sees one byte too far. */
	uint8_t *from = malloc(in.len + !in.len), *to = malloc(room + !room);
	if (from == NULL || to == NULL)
		abort();
	if (in.len > 0)
		memcpy(from, in.p, in.len);
	struct sp_writer w = sp_writer(to, room);
	read_all(steps, (struct sp_bytes){ from, in.len }, &w);
	must(w.len <= room && sp_written(&w).len == (w.bad ? 0 : w.len));
	struct sp_bytes word = { from, in.len < 5 ? in.len : 5 };
	bool has_nul = word.len > 0 && memchr(word.p, 0, word.len) != NULL;
	sp_wr_cstr(&w, word);
	must(!has_nul || w.bad);
	patch(&w, at, (size_t)v << (at % 8));
	free(from);
	free(to);
	return 0;
}
