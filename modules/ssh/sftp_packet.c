/* SPDX-License-Identifier: Apache-2.0 */
/* See sftp.h.  Which fields a request has is in one table; a byte too many or too few makes it malformed. */
#include "sftp.h"

/* p path, t second path, h handle, a attributes to the end, d data, f flags, o offset, l length */
static const struct request_row {
	uint8_t type;
	const char *fields;
	const char *operation;
	const char *links;
} rows[] = {
	{ FXP_INIT, "", NULL, "" },
	{ FXP_OPEN, "pfa", "open", "f" },
	{ FXP_CLOSE, "h", NULL, "" },
	{ FXP_READ, "hol", NULL, "" },
	{ FXP_WRITE, "hod", NULL, "" },
	{ FXP_LSTAT, "p", "stat", "l" },
	{ FXP_FSTAT, "h", NULL, "" },
	{ FXP_SETSTAT, "pa", "setstat", "f" },
	{ FXP_FSETSTAT, "ha", "setstat", "" },
	{ FXP_OPENDIR, "p", "list", "f" },
	{ FXP_READDIR, "h", NULL, "" },
	{ FXP_REMOVE, "p", "remove", "l" },
	{ FXP_MKDIR, "pa", "mkdir", "l" },
	{ FXP_RMDIR, "p", "rmdir", "l" },
	{ FXP_REALPATH, "p", "realpath", "" },
	{ FXP_STAT, "p", "stat", "f" },
	{ FXP_RENAME, "pt", "rename", "ll" },
	{ FXP_READLINK, "p", "readlink", "l" },
	{ FXP_SYMLINK, "pt", "symlink", "lF" }, /* OpenSSH's order: what it leads to, then the link */
};

/* Extensions by name; their fields are those behind it. */
static const struct extension_row {
	const char *name, *fields, *operation, *links;
} extensions[] = {
	{ "posix-rename@openssh.com", "pt", "rename", "ll" },
	{ "hardlink@openssh.com", "pt", "hardlink", "Fl" },
	{ "lsetstat@openssh.com", "pa", "setstat", "l" },
	{ "statvfs@openssh.com", "p", "stat", "f" },
	{ "fstatvfs@openssh.com", "h", NULL, "" },
	{ "fsync@openssh.com", "h", NULL, "" },
	{ "limits@openssh.com", "", NULL, "" },
};

static struct sp_bytes
rd_string(struct sp_reader *r)
{
	return sp_rd_take(r, sp_rd_be32(r));
}

static void
wr_string(struct sp_writer *w, struct sp_bytes b)
{
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

long
sftp_packet(struct sp_bytes in, size_t *want_r)
{
	struct sp_reader r = sp_reader(in);
	uint32_t length = sp_rd_be32(&r);
	*want_r = 4;
	if (r.bad)
		return 0;
	if (length == 0 || length > SFTP_PACKET_MAX)
		return -1;
	*want_r = 4 + (size_t)length;
	return r.left < length ? 0 : 4 + (long)length;
}

/* ---- requests ---- */

static bool
read_attributes(struct sp_reader *r, struct sp_bytes *a_r)
{
	const uint8_t *from = r->p;
	size_t before = r->left;
	uint32_t flags = sp_rd_be32(r);
	if (flags & 1)
		(void)sp_rd_be64(r);
	if (flags & 2)
		(void)sp_rd_be64(r);
	if (flags & 4)
		(void)sp_rd_be32(r);
	if (flags & 8)
		(void)sp_rd_be64(r);
	if (r->bad || (flags & ~15u) != 0)
		return false;
	*a_r = (struct sp_bytes){ from, before - r->left };
	return true;
}

static bool
read_fields(struct sp_reader *r, const char *fields, struct sftp_request *q)
{
	bool good = true;
	for (; *fields != '\0' && good; fields++) {
		switch (*fields) {
		case 'p':
			q->path = rd_string(r);
			break;
		case 't':
			q->to = rd_string(r);
			break;
		case 'h':
			q->handle = rd_string(r);
			good = q->handle.len > 0 && q->handle.len <= SFTP_HANDLE_MAX;
			break;
		case 'a':
			good = read_attributes(r, &q->attributes);
			break;
		case 'd':
			q->data = rd_string(r);
			break;
		case 'f':
			q->flags = sp_rd_be32(r);
			break;
		case 'o':
			q->offset = sp_rd_be64(r);
			break;
		default:
			q->length = sp_rd_be32(r);
			break;
		}
	}
	return good && sp_rd_done(r);
}

static bool
read_extended(struct sp_reader *r, struct sftp_request *q)
{
	q->extension = rd_string(r);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		if (!sp_bytes_is(q->extension, extensions[i].name))
			continue;
		q->operation = extensions[i].operation;
		q->links = extensions[i].links;
		q->known = true;
		return read_fields(r, extensions[i].fields, q);
	}
	return !r->bad; /* whole, and answered with "unsupported" */
}

bool
sftp_read_request(struct sp_bytes packet, struct sftp_request *q)
{
	struct sp_reader r = sp_reader(packet);
	(void)sp_rd_be32(&r);
	*q = (struct sftp_request){ .type = sp_rd_u8(&r), .links = "" };
	q->id = sp_rd_be32(&r);
	if (r.bad)
		return false;
	if (q->type == FXP_EXTENDED)
		return read_extended(&r, q);
	if (q->type == FXP_INIT) { /* a client's extensions are nobody's business */
		q->known = true;
		return true;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].type != q->type)
			continue;
		q->operation = rows[i].operation;
		q->links = rows[i].links;
		q->known = true;
		if (!read_fields(&r, rows[i].fields, q))
			return false;
		if (q->type == FXP_OPEN && q->flags == FXF_READ)
			q->operation = "read";
		if (q->type == FXP_OPEN && (q->flags & FXF_CREAT) != 0 && (q->flags & FXF_EXCL) != 0) /* a link there makes it fail */
			q->links = "l";
		return true;
	}
	return false;
}

static const char *
fields_of(const struct sftp_request *q)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].type == q->type)
			return rows[i].fields;
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++)
		if (sp_bytes_is(q->extension, extensions[i].name))
			return extensions[i].fields;
	return "";
}

static void
write_field(struct sp_writer *w, const struct sftp_request *q, char field)
{
	switch (field) {
	case 'h':
		wr_string(w, q->handle);
		break;
	case 'a':
		sp_wr_put(w, q->attributes);
		break;
	case 'd':
		wr_string(w, q->data);
		break;
	case 'f':
		sp_wr_be32(w, q->flags);
		break;
	case 'o':
		sp_wr_be64(w, q->offset);
		break;
	default:
		sp_wr_be32(w, q->length);
		break;
	}
}

void
sftp_write_request(struct sp_writer *w, const struct sftp_request *q, struct sp_bytes path, struct sp_bytes to)
{
	size_t at = w->len;
	sp_wr_be32(w, 0);
	sp_wr_u8(w, q->type);
	sp_wr_be32(w, q->id);
	if (q->type == FXP_EXTENDED)
		wr_string(w, q->extension);
	for (const char *f = fields_of(q); *f != '\0'; f++) {
		if (*f == 'p')
			wr_string(w, path);
		else if (*f == 't')
			wr_string(w, to);
		else
			write_field(w, q, *f);
	}
	sp_wr_patch32(w, at, w->len - at - 4);
}

void
sftp_write_status(struct sp_writer *w, uint32_t id, uint32_t status, const char *text)
{
	size_t at = w->len;
	sp_wr_be32(w, 0);
	sp_wr_u8(w, FXP_STATUS);
	sp_wr_be32(w, id);
	sp_wr_be32(w, status);
	wr_string(w, sp_str(text));
	wr_string(w, SP_LIT("en"));
	sp_wr_patch32(w, at, w->len - at - 4);
}

void
sftp_write_data(struct sp_writer *w, uint32_t id, struct sp_bytes data)
{
	sp_wr_be32(w, (uint32_t)(1 + 4 + 4 + data.len));
	sp_wr_u8(w, FXP_DATA);
	sp_wr_be32(w, id);
	wr_string(w, data);
}

/* ---- replies ---- */

bool
sftp_read_reply(struct sp_bytes packet, struct sftp_reply *y)
{
	struct sp_reader r = sp_reader(packet);
	(void)sp_rd_be32(&r);
	*y = (struct sftp_reply){ .type = sp_rd_u8(&r), .id = 0 };
	y->id = sp_rd_be32(&r);
	y->rest = (struct sp_bytes){ r.p, r.bad ? 0 : r.left };
	if (r.bad)
		return false;
	switch (y->type) {
	case FXP_VERSION:
	case FXP_ATTRS:
	case FXP_EXTENDED_REPLY:
		return true;
	case FXP_STATUS:
		y->status = sp_rd_be32(&r);
		return !r.bad;
	case FXP_HANDLE:
		y->handle = rd_string(&r);
		return sp_rd_done(&r) && y->handle.len > 0 && y->handle.len <= SFTP_HANDLE_MAX;
	case FXP_DATA:
		y->data = rd_string(&r);
		return sp_rd_done(&r);
	case FXP_NAME:
		(void)sp_rd_be32(&r);
		y->name = rd_string(&r);
		return true; /* of an empty list there is none */
	default:
		return false;
	}
}

bool
sftp_extension_known(struct sp_bytes name)
{
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++)
		if (sp_bytes_is(name, extensions[i].name))
			return true;
	return false;
}

/* ---- paths ---- */

void
sftp_write_name(struct sp_writer *w, struct sp_bytes path)
{
	for (size_t i = 0; i < path.len; i++) {
		bool newline = path.p[i] == '\n';
		if (newline || path.p[i] == '\\')
			sp_wr_u8(w, '\\');
		sp_wr_u8(w, newline ? 'n' : path.p[i]);
	}
}

struct sp_bytes
sftp_read_name(struct sp_reader *r, uint8_t out[SFTP_PATH_MAX])
{
	struct sp_writer w = sp_writer(out, SFTP_PATH_MAX);
	while (r->left > 0) {
		uint8_t b = sp_rd_u8(r);
		if (b == '\n')
			break;
		if (b == '\\' && r->left > 0 && (*r->p == '\\' || *r->p == 'n'))
			b = sp_rd_u8(r) == 'n' ? '\n' : '\\';
		sp_wr_u8(&w, b);
	}
	return w.bad ? (struct sp_bytes){ NULL, 0 } : sp_written(&w);
}

/* Appends the parts of a path; false: no room. */
static bool
add_parts(struct sp_writer *w, struct sp_bytes path)
{
	struct sp_reader r = sp_reader(path);
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes part = sp_rd_until(&r, '/');
		if (r.bad) {
			r = rest;
			part = sp_rd_rest(&r);
		}
		if (part.len == 0 || sp_bytes_is(part, "."))
			continue;
		if (sp_bytes_is(part, "..")) {
			while (w->len > 0 && w->p[--w->len] != '/')
				;
			continue;
		}
		sp_wr_u8(w, '/');
		sp_wr_put(w, part);
	}
	return !w->bad;
}

struct sp_bytes
sftp_clean_path(struct sp_bytes folder, struct sp_bytes path, uint8_t out[SFTP_PATH_MAX])
{
	struct sp_writer w = sp_writer(out, SFTP_PATH_MAX);
	bool absolute = path.len > 0 && path.p[0] == '/';
	bool good = path.len == 0 || memchr(path.p, 0, path.len) == NULL;
	if (good && !absolute)
		good = add_parts(&w, folder);
	if (good)
		good = add_parts(&w, path);
	if (good && w.len == 0)
		sp_wr_u8(&w, '/');
	return good ? sp_written(&w) : (struct sp_bytes){ NULL, 0 };
}
