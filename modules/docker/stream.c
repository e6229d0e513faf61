/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in a container, and a client: frames or a terminal's bytes, looked through and recorded.
 *
 *   client ─ stdin, never framed ─▶ recorded ─▶ target
 *   client ◀─ frames of our own ◀─ recorded ◀─ filter of its stream ◀─ frames ─ target
 *
 * What a detector holds back is let out after `hold`: whoever is at the other end may wait for it.
 */
#include "docker.h"

#include <stdio.h>

static void
put_frame(struct sp_writer *w, uint8_t stream, struct sp_bytes piece)
{
	if (piece.len == 0)
		return;
	sp_wr_be32(w, (uint32_t)stream << 24);
	sp_wr_be32(w, (uint32_t)piece.len);
	sp_wr_put(w, piece);
}

static int
show_piece(struct demux *d, uint8_t stream, struct sp_bytes piece, bool last, struct sp_writer *frames, struct sp_writer *plain)
{
	struct sp_writer shown = proxy_buffer();
	int rc = SP_OK;
	if (d->filter[stream] == NULL)
		sp_wr_put(&shown, piece);
	else
		rc = sp_filter_feed(d->filter[stream], piece, last, &shown);
	if (rc == SP_OK) {
		put_frame(frames, stream, sp_written(&shown));
		sp_wr_put(plain, sp_written(&shown));
		rc = shown.bad || frames->bad || plain->bad ? SP_ENOMEM : SP_OK;
	}
	proxy_free(&shown);
	return rc;
}

int
demux_feed(struct demux *d, struct sp_bytes in, struct sp_writer *frames, struct sp_writer *plain)
{
	struct sp_reader r = sp_reader(in);
	int rc = SP_OK;
	while (rc == SP_OK && r.left > 0) {
		if (d->have < sizeof(d->header)) {
			d->header[d->have++] = sp_rd_u8(&r);
			if (d->have < sizeof(d->header))
				continue;
			struct sp_reader h = sp_reader((struct sp_bytes){ d->header, sizeof(d->header) });
			if (sp_rd_u8(&h) > 2 || sp_rd_u8(&h) != 0 || sp_rd_be16(&h) != 0)
				return SP_EPROTO;
			d->left = sp_rd_be32(&h);
		} else {
			size_t n = d->left < r.left ? d->left : r.left;
			d->left -= (uint32_t)n;
			rc = show_piece(d, d->header[0], sp_rd_take(&r, n), false, frames, plain);
		}
		if (d->left == 0)
			d->have = 0;
	}
	return rc;
}

int
demux_flush(struct demux *d, struct sp_writer *frames, struct sp_writer *plain)
{
	int rc = SP_OK;
	for (uint8_t i = 0; i < 3 && rc == SP_OK; i++)
		if (d->filter[i] != NULL)
			rc = show_piece(d, i, (struct sp_bytes){ NULL, 0 }, true, frames, plain);
	return rc;
}

bool
demux_holds(const struct demux *d)
{
	for (size_t i = 0; i < 3; i++)
		if (d->filter[i] != NULL && sp_filter_holds(d->filter[i]))
			return true;
	return false;
}

void
demux_free(struct demux *d)
{
	for (size_t i = 0; i < 3; i++)
		sp_filter_free(&d->filter[i]);
}

/* One piece of an answer in frames, for proxy.h. */
int
stream_show(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out, struct sp_writer *plain)
{
	struct docker *d = sp_state(s);
	int rc = demux_feed(&d->r.demux, piece, out, plain);
	if (rc == SP_OK && last)
		rc = demux_flush(&d->r.demux, out, plain);
	return rc == SP_EPROTO ? sp_fail(s, rc, "the target's stream is in no frames that are known") : rc;
}

/* ---- a hijacked connection ---- */

static int
to_client(struct sp_session *s, struct sp_bytes in, bool last)
{
	const struct docker_conf *c = sp_conf(s);
	struct docker *d = sp_state(s);
	struct sp_filter *raw = d->r.demux.filter[0];
	struct sp_writer out = proxy_buffer(), plain = proxy_buffer();
	int rc;
	if (d->r.framed)
		rc = stream_show(s, in, last, &out, &plain);
	else if (raw != NULL)
		rc = sp_filter_feed(raw, in, last, &out);
	else
		rc = out.grow == NULL ? SP_EINTERNAL : (sp_wr_put(&out, in), SP_OK);
	struct sp_bytes shown = sp_written(d->r.framed ? &plain : &out);
	if (rc == SP_OK && (out.bad || plain.bad))
		rc = SP_ENOMEM;
	if (rc == SP_OK && shown.len > 0)
		rc = sp_record(s, d->proxy.r.op, SP_REC_OUTPUT, shown);
	if (rc == SP_OK && out.len > 0)
		rc = sp_put(s, SP_CLIENT, sp_written(&out));
	d->proxy.r.bytes += shown.len;
	proxy_free(&out);
	proxy_free(&plain);
	bool holds = !last && demux_holds(&d->r.demux);
	d->proxy.r.hold_until = holds ? proxy_now() + c->proxy.hold + 1 : 0;
	return rc;
}

int
stream_data(struct sp_session *s, enum sp_side from)
{
	struct docker *d = sp_state(s);
	struct sp_bytes in = sp_peek(s, from);
	if (sp_full(s, SP_OTHER(from)))
		return SP_OK;
	proxy_moved(s);
	if (from == SP_TARGET) {
		int rc = to_client(s, in, false);
		return rc == SP_OK ? sp_drop(s, from, in.len) : rc;
	}
	/* what is typed is recorded as the terminal echoes it: a password is not (RC6) */
	int rc = d->r.terminal || in.len == 0 ? SP_OK : sp_record(s, d->proxy.r.op, SP_REC_INPUT, in);
	return rc == SP_OK ? sp_pass(s, from, in.len) : rc;
}

int
stream_say(struct sp_session *s, const char *text)
{
	struct docker *d = sp_state(s);
	if (d->r.route.row->flags & ROW_OPAQUE)
		return SP_OK; /* HTTP/2: no place for words */
	struct sp_writer line = proxy_buffer(), out = proxy_buffer();
	sp_wr_put(&line, d->r.framed ? SP_LIT("") : SP_LIT("\r\n"));
	for (size_t i = 0; text[i] != '\0'; i++) /* others' words on a terminal */
		sp_wr_u8(&line, (uint8_t)text[i] < ' ' || text[i] == 0x7f ? '?' : (uint8_t)text[i]);
	sp_wr_put(&line, d->r.framed ? SP_LIT("\n") : SP_LIT("\r\n"));
	if (d->r.framed)
		put_frame(&out, 2, sp_written(&line));
	int rc = line.bad || out.bad ? SP_ENOMEM : sp_record(s, d->proxy.r.op, SP_REC_NOTICE, sp_written(&line));
	if (rc == SP_OK)
		rc = sp_put(s, SP_CLIENT, sp_written(d->r.framed ? &out : &line));
	proxy_free(&line);
	proxy_free(&out);
	return rc;
}

int
stream_due(struct sp_session *s)
{
	return to_client(s, (struct sp_bytes){ NULL, 0 }, true);
}

int
stream_eof(struct sp_session *s, enum sp_side from)
{
	struct docker *d = sp_state(s);
	if (from == SP_CLIENT)
		return sp_shut(s, SP_TARGET); /* stdin ends; what runs may go on to speak */
	const struct sp_outcome o = { .error = "", .text = "closed" };
	int rc = to_client(s, (struct sp_bytes){ NULL, 0 }, true);
	if (rc == SP_OK && d->r.framed && d->r.demux.have > 0)
		rc = sp_fail(s, SP_EPROTO, "the target's stream ends amid a frame");
	if (rc == SP_OK)
		rc = sp_done(d->proxy.r.op, &o);
	d->proxy.r.close = true;
	return rc == SP_OK ? proxy_finish(s) : rc;
}
