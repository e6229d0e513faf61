/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's API: what the files of this module share.
 *
 *   request ─ routes.c ─▶ row ─ resolve.c ─▶ full ids, facts ─▶ text ─ classify.c ─▶ attributes ─▶ rules
 *                          │                                         └ body.c
 *                          └ no row: unclear                 allowed ─▶ target ─ stream.c ─▶ client
 *
 * A row of the table names a route, the kind of operation that it is, and what has to be done for it.
 */
#ifndef SALLYPORT_DOCKER_H
#define SALLYPORT_DOCKER_H

#include <jansson.h>

#include "../http/proxy.h"

#define VERSION_MIN 24 /* of 1.NN */
#define VERSION_MAX 47
#define SELECT_MAX 16

struct docker_conf {
	struct proxy_conf proxy;
	struct sp_strings select;   /* labels, all of which a container has to have */
	const char *owner;          /* a label whose value is the principal */
	const char *env;            /* of inspect: shown, secrets, masked */
	uint64_t stream_idle;       /* ms; 0: none */
};

enum row_flags {
	ROW_READ = 1,       /* changes nothing */
	ROW_JSON = 2,       /* its body is read whole */
	ROW_BYTES = 4,      /* its body is bytes that flow, recorded: a tar archive */
	ROW_HIJACK = 8,     /* the connection becomes a stream */
	ROW_ENDLESS = 16,   /* its answer may take for ever */
	ROW_OPAQUE = 32,    /* what it does can't be seen: unclear "route" */
	ROW_LABELS = 64,    /* its `filters` are narrowed to the selected containers */
	ROW_ENV = 128,      /* its answer shows variables */
	ROW_FRAMES = 256,   /* its answer is in frames, unless the container has a terminal */
	ROW_ALL = 1024,     /* its answer tells of all containers, also of those that are not selected */
	ROW_ALL_ONCE = 16384, /* … before version 1.28 */
	ROW_EXIT = 2048,    /* its answer may say how a command ended */
	ROW_SIZE = 4096,    /* it is about the size of a terminal */
	ROW_PROGRESS = 8192, /* its answer is lines of JSON about how far it is */
	ROW_CLAIM = 512     /* its answer is the id of an exec, which is this principal's alone */
};

struct row {
	const char *method;   /* GET is HEAD too */
	const char *pattern;  /* :c container, :e exec, :i image of one segment or more, :x anything */
	const char *kind, *action;
	unsigned flags;
};

struct route {
	const struct row *row;       /* NULL: there is none */
	bool version_known;
	unsigned minor;              /* 24 of v1.24; 0: none is said, the engine's own */
	struct sp_bytes prefix;      /* "/v1.41", or empty */
	struct sp_bytes container, exec, image, other; /* as the path has them */
};

/* What row is meant; `path` is the target without its query, encoded. */
struct route docker_route(struct sp_bytes method, struct sp_bytes path);
/* Is it what Docker takes for a name or an id? */
bool docker_name_ok(struct sp_bytes name);
/* Is it a whole id, as the engine makes them? */
bool docker_id_ok(struct sp_bytes id);

/* ---- query.c: parameters, as the engine reads them ---- */

/* Why it is not clear what the query says, a word that stays; NULL: it is.  A row that is unclear anyway may have lists. */
const char *query_fault(const struct row *row, struct sp_bytes query);
/* The first with that name, decoded into `space`; p is NULL where there is none.  false: it is malformed, or does not fit. */
bool query_get(struct sp_bytes query, const char *name, struct sp_writer *space, struct sp_bytes *value_r);
/* All but `name`, written anew, each with a '&' behind it.  false: it is not clear. */
bool query_without(struct sp_bytes query, const char *name, struct sp_writer *out);

/* ---- attributes.c ---- */

enum { A_ACTION, A_EFFECT, A_CONTAINER, A_ID, A_LABELS, A_IMAGE, A_REGISTRY, A_PINNED, A_USER, A_ROOT, A_PRIVILEGED, A_PROGRAM, A_ARGV, A_SHELL, A_READS, A_WRITES, A_ENV,
	A_TTY, A_WORKDIR, A_HOST_PATHS, A_VOLUMES, A_CAPS, A_DEVICES, A_NAMESPACES, A_SECURITY, A_PORTS, A_NAME, A_PATH, A_DIRECTION, A_FORCE, A_QUERY };
extern const struct sp_attr docker_attrs[];
extern const char *const docker_kinds[];
int docker_say_image(struct sp_op *op, struct sp_bytes image);
/* A path, as it is opened, to the attribute: no empty part and no "."; ".." is unclear, `why` and `name` say where. */
int docker_say_path(struct sp_op *op, unsigned attr, struct sp_bytes path, const char *why);
/* "", "0", "root", each with a group or without. */
bool docker_is_root(struct sp_bytes user);

/* ---- classify.c ---- */

int docker_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text);

/* ---- argv.c ---- */

/* What was said of the operation so far, said once more of a node of its own. */
struct again {
	int (*say)(struct sp_op *op, const void *of);
	const void *of;
};
/*
 * The words of an exec, or of a container's command.  Of `sh -c LINE` each command of the line is a node with all that
 * is known of the operation: what a rule says of `rm` holds for that one too.
 */
int docker_say_argv(struct sp_op *op, const struct sp_bytes *word, size_t n, const struct again *again);

/* ---- body.c: JSON bodies to attributes; a field that is not known makes the operation unclear ---- */

int body_of_exec(struct sp_op *op, struct sp_bytes body, struct sp_bytes container_user);
/* What it runs, as far as the body says: words borrowed from `owner`, which is the caller's to json_decref(). */
#define WORDS_MAX 256
struct words {
	json_t *owner;
	struct sp_bytes word[WORDS_MAX];
	size_t n;
};
int body_words(struct sp_op *op, struct sp_bytes body, struct words *w);
int body_of_start(struct sp_op *op, struct sp_bytes body);
int body_of_create(struct sp_op *op, struct sp_bytes body);
int body_of_volume(struct sp_op *op, struct sp_bytes body);
int body_of_network(struct sp_op *op, struct sp_bytes body);
/* The same with what `owner` adds to its labels; SP_EPROTO: it is no JSON. */
int body_with_label(struct sp_bytes body, const char *name, const char *value, struct sp_writer *out);
/* A `filters` parameter with labels added. */
int filters_with_labels(struct sp_bytes filters, const struct sp_strings *labels, struct sp_writer *out);
/* An inspect's answer with its variables hidden, as `env` has it. */
int answer_hide_env(struct sp_bytes body, const char *env, struct sp_writer *out);

/* ---- resolve.c: questions to the target before a request is judged ---- */

int docker_prepare(struct sp_session *s);
int docker_fetched(struct sp_session *s, unsigned status, struct sp_bytes body);
/* What the keeper says of an exec: whose it is, or that it is kept. */
int docker_shared(struct sp_session *s, const struct sp_shared *f);

/* ---- stream.c ---- */

/* An answer in frames: 01 000000 len32 bytes … */
struct demux {
	uint8_t header[8];
	uint8_t have;      /* of it */
	uint32_t left;     /* of the frame's bytes */
	struct sp_filter *filter[3]; /* by stream; [0] is the raw one's */
};
/* What can be shown of `in`, in frames of our own, to `frames`, and without them to `plain`. */
int demux_feed(struct demux *d, struct sp_bytes in, struct sp_writer *frames, struct sp_writer *plain) SP_MUST;
/* … what the filters held. */
int demux_flush(struct demux *d, struct sp_writer *frames, struct sp_writer *plain) SP_MUST;
bool demux_holds(const struct demux *d);
void demux_free(struct demux *d);

int stream_data(struct sp_session *s, enum sp_side from);
int stream_eof(struct sp_session *s, enum sp_side from);
int stream_due(struct sp_session *s);
/* A line of the gateway's own, on stderr where there is one. */
int stream_say(struct sp_session *s, const char *text);
int stream_show(struct sp_session *s, struct sp_bytes piece, bool last, struct sp_writer *out, struct sp_writer *plain);

/* ---- of one session ---- */

struct docker_request {
	struct route route;     /* its bytes are in `path` */
	struct sp_writer path;
	bool terminal;          /* the container's, or the exec's */
	bool framed;            /* the answer is in frames */
	bool client_upgrade;
	bool asked_exec;
	bool asked_keeper, told, kept; /* whose the exec is: asked; answered; yes, or it is kept */
	bool unsaid;            /* … but the keeper could not say */
	char id[65];            /* of the container */
	char exec[65];
	struct demux demux;
	struct sp_writer seen;  /* ROW_EXIT: of the answer */
	bool shut[2];
};

struct docker {
	struct proxy proxy;
	struct docker_request r;
};

#endif
