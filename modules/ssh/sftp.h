/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SFTP version 3 as OpenSSH speaks it: packets to typed values, and back.  Nothing here knows of libssh
 * or of a session.
 */
#ifndef SALLYPORT_SSH_SFTP_H
#define SALLYPORT_SSH_SFTP_H

#include <sallyport/wire.h>

#define SFTP_PACKET_MAX ((256u << 10) + 1024u)
#define SFTP_PATH_MAX 4096u
#define SFTP_HANDLE_MAX 256u

enum sftp_type {
	FXP_INIT = 1, FXP_VERSION, FXP_OPEN, FXP_CLOSE, FXP_READ, FXP_WRITE, FXP_LSTAT, FXP_FSTAT, FXP_SETSTAT, FXP_FSETSTAT,
	FXP_OPENDIR, FXP_READDIR, FXP_REMOVE, FXP_MKDIR, FXP_RMDIR, FXP_REALPATH, FXP_STAT, FXP_RENAME, FXP_READLINK, FXP_SYMLINK,
	FXP_STATUS = 101, FXP_HANDLE, FXP_DATA, FXP_NAME, FXP_ATTRS, FXP_EXTENDED = 200, FXP_EXTENDED_REPLY
};
enum { FX_OK, FX_EOF, FX_NO_SUCH_FILE, FX_PERMISSION_DENIED, FX_FAILURE, FX_BAD_MESSAGE, FX_OP_UNSUPPORTED = 8 };
enum { FXF_READ = 1, FXF_WRITE = 2, FXF_CREAT = 8, FXF_EXCL = 32 };

/* One request; what its type does not have is empty.  Borrowed from the packet. */
struct sftp_request {
	uint8_t type;
	uint32_t id;                  /* INIT, VERSION: the version */
	struct sp_bytes extension;    /* EXTENDED: its name */
	struct sp_bytes path, to;     /* as on the wire, in that order */
	struct sp_bytes handle;
	struct sp_bytes attributes;   /* as on the wire, whole */
	struct sp_bytes data;         /* WRITE */
	uint32_t flags, length;
	uint64_t offset;
	const char *operation;        /* the word that rules know it by; NULL: it has no path, or is not to be judged by itself */
	bool known;                   /* false: an extension that is not passed on */
	/*
	 * How its paths are looked up before they are judged, in the order in which they are judged: f, links of every part are
	 * followed; l, of all but the last, which is meant itself; F, as f, and the target is sent the path as it was.
	 */
	const char *links;
};

struct sftp_reply {
	uint8_t type;
	uint32_t id;                  /* VERSION: the version */
	struct sp_bytes rest;         /* all behind the id */
	uint32_t status;              /* STATUS */
	struct sp_bytes handle;       /* HANDLE */
	struct sp_bytes data;         /* DATA */
	struct sp_bytes name;         /* NAME: the first */
};

/*
 * The length of the packet at the front of `in`, its own four bytes too; 0: more is needed to say, *want_r
 * bytes in all; negative: it is too long, or empty.
 */
long sftp_packet(struct sp_bytes in, size_t *want_r);
/* A whole packet.  False: malformed, or of a type that this side does not send. */
bool sftp_read_request(struct sp_bytes packet, struct sftp_request *r_r);
bool sftp_read_reply(struct sp_bytes packet, struct sftp_reply *r_r);
/* May this extension of a server be offered to the client? */
bool sftp_extension_known(struct sp_bytes name);

/* Whole packets, appended.  `path` and `to` stand for those of the request. */
void sftp_write_request(struct sp_writer *w, const struct sftp_request *r, struct sp_bytes path, struct sp_bytes to);
void sftp_write_data(struct sp_writer *w, uint32_t id, struct sp_bytes data);
void sftp_write_status(struct sp_writer *w, uint32_t id, uint32_t status, const char *text);

/* Paths in an operation's text: newlines part them, so that one in a path is \n, and \ is \\. */
void sftp_write_name(struct sp_writer *w, struct sp_bytes path);
/* The next one; empty when none is left.  It has to be no longer than SFTP_PATH_MAX. */
struct sp_bytes sftp_read_name(struct sp_reader *r, uint8_t out[SFTP_PATH_MAX]);

/*
 * An absolute path without ".", ".." and "//" in it, from what a client sends and the folder that it
 * is relative to.  Empty: too long, or it has a NUL in it.
 */
struct sp_bytes sftp_clean_path(struct sp_bytes folder, struct sp_bytes path, uint8_t out[SFTP_PATH_MAX]);

#endif
