/* SPDX-License-Identifier: Apache-2.0 */
/* The error log: one write() per line, so that lines of many processes never mix. */
#include <config.h>

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

#define LINE_MAX_BYTES 4096
#define QUOTE_IN 160
#define QUOTES 8

static const char *const level_name[] = {
	[SP_ERROR] = "error", [SP_WARN] = "warn", [SP_INFO] = "info", [SP_DEBUG] = "debug",
};
#define LEVELS (sizeof(level_name) / sizeof(*level_name))

static struct {
	char role[32];
	int fd;
	enum sp_level level;
} sink = { "sallyport", STDERR_FILENO, SP_INFO };

void
log_init(const char *role, int fd, enum sp_level level)
{
	(void)snprintf(sink.role, sizeof(sink.role), "%s", role);
	sink.fd = fd;
	sink.level = level;
}

void
log_level(enum sp_level level)
{
	sink.level = level;
}

/* The number stays, what it means changes: fd 2 must never become free for something else. */
void
log_reopen(int fd)
{
	if (fd == sink.fd)
		return;
	if (dup3(fd, sink.fd, sink.fd > STDERR_FILENO ? O_CLOEXEC : 0) >= 0)
		(void)close(fd);
	else
		sink.fd = fd;
}

/* The arguments are quoted by log_quote(), but a line stays one line whatever comes. */
static void
line_straighten(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			p[i] = ' ';
	}
}

void
log_about(enum sp_level level, const char *about, const char *fmt, va_list args)
{
	if (level > sink.level || level < SP_ERROR || level >= LEVELS)
		return;
	char line[LINE_MAX_BYTES], when[32];
	bool named = about != NULL && *about != '\0';
	int n = snprintf(line, sizeof(line), "%s %s %s[%ld] %s%s", clock_format(clock_wall_us(), when),
	    level_name[level], sink.role, (long)getpid(), named ? about : "", named ? " " : "");
	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 1;
	n = vsnprintf(line + len, sizeof(line) - len, fmt, args);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len ? (size_t)n : sizeof(line) - len - 1;
	line_straighten(line, len);
	line[len++] = '\n';
	while (write(sink.fd, line, len) < 0 && errno == EINTR)
		;
}

void
log_at(enum sp_level level, const char *fmt, ...)
{
	int saved = errno;
	va_list args;
	va_start(args, fmt);
	log_about(level, NULL, fmt, args);
	va_end(args);
	errno = saved;
}

/* ---- quoting ---- */

/* Length of the well-formed UTF-8 character at p, or 0; *c_r is its code point. */
static size_t
utf8_at(const uint8_t *p, size_t left, uint32_t *c_r)
{
	static const struct { uint8_t mask, lead; uint32_t least; } form[] = {
		{ 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
	};
	*c_r = 0;
	for (size_t n = 0; n < 4; n++) {
		if ((p[0] & form[n].mask) != form[n].lead)
			continue;
		if (left <= n)
			return 0;
		uint32_t c = p[0] & (uint8_t)~form[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < form[n].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*c_r = c;
		return n + 1;
	}
	return 0;
}

/* Characters that move the cursor, hide or turn round what a reader sees. */
static bool
is_deceptive(uint32_t c)
{
	static const struct { uint32_t first, last; } range[] = {
		{ 0x00, 0x1f }, { '"', '"' }, { '\\', '\\' }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x61c, 0x61c },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
	};
	for (size_t i = 0; i < sizeof(range) / sizeof(*range); i++) {
		if (c >= range[i].first && c <= range[i].last)
			return true;
	}
	return false;
}

static void
put_escaped(struct sp_writer *w, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	static const char *const plain = "\n\r\t\"\\", *const letter = "nrt\"\\";
	const char *at = c == 0 ? NULL : strchr(plain, c);
	sp_wr_u8(w, '\\');
	if (at != NULL) {
		sp_wr_u8(w, (uint8_t)letter[at - plain]);
		return;
	}
	sp_wr_u8(w, 'x');
	sp_wr_u8(w, (uint8_t)hex[c >> 4]);
	sp_wr_u8(w, (uint8_t)hex[c & 15]);
}

const char *
log_quote(struct sp_bytes b)
{
	static char ring[QUOTES][QUOTE_IN * 4 + 4];
	static unsigned turn;
	char *out = ring[turn++ % QUOTES];
	struct sp_writer w = sp_writer(out, sizeof(ring[0]));
	size_t i = 0;
	while (i < b.len) {
		uint32_t c;
		size_t n = utf8_at(b.p + i, b.len - i, &c), step = n == 0 ? 1 : n;
		if (step > QUOTE_IN - i)
			break;
		if (n > 0 && !is_deceptive(c)) {
			sp_wr_put(&w, (struct sp_bytes){ b.p + i, n });
		} else {
			for (size_t k = 0; k < step; k++)
				put_escaped(&w, b.p[i + k]);
		}
		i += step;
	}
	if (i < b.len)
		sp_wr_put(&w, SP_LIT("…"));
	sp_wr_u8(&w, 0);
	return out;
}
