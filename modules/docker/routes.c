/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the API's routes, 1.24 to 1.47.  What is not in it is unclear, and so denied. */
#include "docker.h"

#define C "docker.container"
#define I "docker.image"
#define S "docker.system"
#define N "docker.network"
#define V "docker.volume"
#define P "docker.plugin"
#define W "docker.swarm"

static const struct row rows[] = {
	{ "GET", "/_ping", S, "ping", ROW_READ },
	{ "GET", "/version", S, "version", ROW_READ },
	{ "GET", "/info", S, "info", ROW_READ },
	{ "GET", "/events", S, "events", ROW_READ | ROW_ENDLESS | ROW_LABELS },
	{ "GET", "/system/df", S, "df", ROW_READ | ROW_ALL },
	{ "POST", "/auth", S, "auth", ROW_OPAQUE },
	{ "POST", "/session", S, "session", ROW_OPAQUE | ROW_HIJACK | ROW_ENDLESS },
	{ "POST", "/grpc", S, "grpc", ROW_OPAQUE | ROW_HIJACK | ROW_ENDLESS },

	{ "GET", "/containers/json", C, "list", ROW_READ | ROW_LABELS },
	{ "POST", "/containers/create", "docker.container.create", "create", ROW_JSON },
	{ "POST", "/containers/prune", C, "prune", ROW_LABELS },
	{ "GET", "/containers/:c/json", C, "inspect", ROW_READ | ROW_ENV },
	{ "GET", "/containers/:c/top", C, "top", ROW_READ },
	{ "GET", "/containers/:c/logs", C, "logs", ROW_READ | ROW_ENDLESS | ROW_FRAMES },
	{ "GET", "/containers/:c/changes", C, "diff", ROW_READ },
	{ "GET", "/containers/:c/export", C, "export", ROW_READ | ROW_ENDLESS },
	{ "GET", "/containers/:c/stats", C, "stats", ROW_READ | ROW_ENDLESS },
	{ "POST", "/containers/:c/resize", C, "resize", ROW_SIZE },
	{ "POST", "/containers/:c/start", C, "start", 0 },
	{ "POST", "/containers/:c/stop", C, "stop", 0 },
	{ "POST", "/containers/:c/restart", C, "restart", 0 },
	{ "POST", "/containers/:c/kill", C, "kill", 0 },
	{ "POST", "/containers/:c/update", C, "update", ROW_OPAQUE },
	{ "POST", "/containers/:c/rename", C, "rename", 0 },
	{ "POST", "/containers/:c/pause", C, "pause", 0 },
	{ "POST", "/containers/:c/unpause", C, "unpause", 0 },
	{ "POST", "/containers/:c/wait", C, "wait", ROW_READ | ROW_ENDLESS | ROW_EXIT },
	{ "POST", "/containers/:c/attach", C, "attach", ROW_HIJACK | ROW_ENDLESS | ROW_FRAMES },
	{ "GET", "/containers/:c/attach/ws", C, "attach", ROW_OPAQUE },
	{ "DELETE", "/containers/:c", C, "remove", 0 },
	{ "GET", "/containers/:c/archive", "docker.archive", "copy", ROW_READ | ROW_ENDLESS },
	{ "PUT", "/containers/:c/archive", "docker.archive", "copy", ROW_BYTES | ROW_ENDLESS },
	{ "POST", "/containers/:c/exec", "docker.exec.create", "create", ROW_JSON | ROW_CLAIM },

	{ "POST", "/exec/:e/start", "docker.exec", "start", ROW_JSON | ROW_HIJACK | ROW_ENDLESS | ROW_FRAMES },
	{ "POST", "/exec/:e/resize", "docker.exec.use", "resize", ROW_SIZE },
	{ "GET", "/exec/:e/json", "docker.exec.use", "inspect", ROW_READ | ROW_EXIT },

	{ "GET", "/images/json", I, "list", ROW_READ },
	{ "GET", "/images/search", I, "search", ROW_READ | ROW_OPAQUE },
	{ "GET", "/images/get", I, "save", ROW_READ | ROW_ENDLESS | ROW_OPAQUE },
	{ "POST", "/images/create", I, "pull", ROW_ENDLESS | ROW_PROGRESS },
	{ "POST", "/images/load", I, "load", ROW_OPAQUE | ROW_ENDLESS },
	{ "POST", "/images/prune", I, "prune", 0 },
	{ "GET", "/images/:i/json", I, "inspect", ROW_READ | ROW_ENV },
	{ "GET", "/images/:i/history", I, "history", ROW_READ | ROW_OPAQUE },
	{ "GET", "/images/:i/get", I, "save", ROW_READ | ROW_ENDLESS },
	{ "GET", "/distribution/:i/json", I, "inspect", ROW_READ | ROW_OPAQUE }, /* the engine asks any registry */
	{ "POST", "/images/:i/push", I, "push", ROW_ENDLESS | ROW_PROGRESS },
	{ "POST", "/images/:i/tag", I, "tag", ROW_OPAQUE },
	{ "DELETE", "/images/:i", I, "remove", 0 },
	{ "POST", "/build", I, "build", ROW_OPAQUE | ROW_ENDLESS },
	{ "POST", "/build/prune", I, "prune", 0 },
	{ "POST", "/build/cancel", I, "cancel", 0 },
	{ "POST", "/commit", I, "commit", ROW_OPAQUE },

	{ "GET", "/networks", N, "list", ROW_READ | ROW_ALL_ONCE },
	{ "GET", "/networks/:x", N, "inspect", ROW_READ | ROW_ALL },
	{ "POST", "/networks/create", N, "create", ROW_JSON },
	{ "POST", "/networks/prune", N, "prune", 0 },
	{ "POST", "/networks/:x/connect", N, "connect", ROW_OPAQUE },
	{ "POST", "/networks/:x/disconnect", N, "disconnect", ROW_OPAQUE },
	{ "DELETE", "/networks/:x", N, "remove", 0 },

	{ "GET", "/volumes", V, "list", ROW_READ },
	{ "GET", "/volumes/:x", V, "inspect", ROW_READ },
	{ "POST", "/volumes/create", V, "create", ROW_JSON },
	{ "POST", "/volumes/prune", V, "prune", 0 },
	{ "PUT", "/volumes/:x", V, "update", ROW_OPAQUE },
	{ "DELETE", "/volumes/:x", V, "remove", 0 },

	{ "GET", "/plugins", P, "list", ROW_READ },
	{ "GET", "/plugins/privileges", P, "privileges", ROW_READ | ROW_OPAQUE },
	{ "GET", "/plugins/:i/json", P, "inspect", ROW_READ },
	{ "POST", "/plugins/pull", P, "install", ROW_OPAQUE },
	{ "POST", "/plugins/create", P, "create", ROW_OPAQUE },
	{ "POST", "/plugins/:i/enable", P, "enable", ROW_OPAQUE },
	{ "POST", "/plugins/:i/disable", P, "disable", ROW_OPAQUE },
	{ "POST", "/plugins/:i/upgrade", P, "upgrade", ROW_OPAQUE },
	{ "POST", "/plugins/:i/push", P, "push", ROW_OPAQUE },
	{ "POST", "/plugins/:i/set", P, "set", ROW_OPAQUE },
	{ "DELETE", "/plugins/:i", P, "remove", ROW_OPAQUE },

	{ "GET", "/swarm", W, "inspect", ROW_READ | ROW_OPAQUE },
	{ "GET", "/swarm/unlockkey", W, "unlockkey", ROW_OPAQUE },
	{ "POST", "/swarm/:x", W, "change", ROW_OPAQUE },
	{ "GET", "/nodes", W, "nodes", ROW_READ },
	{ "GET", "/nodes/:x", W, "nodes", ROW_READ },
	{ "POST", "/nodes/:x/update", W, "nodes", ROW_OPAQUE },
	{ "DELETE", "/nodes/:x", W, "nodes", ROW_OPAQUE },
	{ "GET", "/services", W, "services", ROW_READ | ROW_OPAQUE },
	{ "GET", "/services/:x", W, "services", ROW_READ | ROW_OPAQUE },
	{ "GET", "/services/:x/logs", W, "services", ROW_READ | ROW_OPAQUE },
	{ "POST", "/services/create", W, "services", ROW_OPAQUE },
	{ "POST", "/services/:x/update", W, "services", ROW_OPAQUE },
	{ "DELETE", "/services/:x", W, "services", ROW_OPAQUE },
	{ "GET", "/tasks", W, "tasks", ROW_READ | ROW_OPAQUE },
	{ "GET", "/tasks/:x", W, "tasks", ROW_READ | ROW_OPAQUE },
	{ "GET", "/tasks/:x/logs", W, "tasks", ROW_READ | ROW_OPAQUE },
	{ "GET", "/secrets", W, "secrets", ROW_READ | ROW_OPAQUE },
	{ "GET", "/secrets/:x", W, "secrets", ROW_READ | ROW_OPAQUE },
	{ "POST", "/secrets/create", W, "secrets", ROW_OPAQUE },
	{ "POST", "/secrets/:x/update", W, "secrets", ROW_OPAQUE },
	{ "DELETE", "/secrets/:x", W, "secrets", ROW_OPAQUE },
	{ "GET", "/configs", W, "configs", ROW_READ | ROW_OPAQUE },
	{ "GET", "/configs/:x", W, "configs", ROW_READ | ROW_OPAQUE },
	{ "POST", "/configs/create", W, "configs", ROW_OPAQUE },
	{ "POST", "/configs/:x/update", W, "configs", ROW_OPAQUE },
	{ "DELETE", "/configs/:x", W, "configs", ROW_OPAQUE },
};

#define SEGMENTS 16

/* Cut at slashes; 0: too many, or an empty one. */
static size_t
cut(struct sp_bytes path, struct sp_bytes segment[SEGMENTS])
{
	struct sp_reader r = sp_reader(path);
	size_t n = 0;
	(void)sp_rd_u8(&r);
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes one = sp_rd_until(&r, '/');
		if (r.bad) {
			one = sp_rd_rest(&rest);
			r = rest;
		}
		if (n == SEGMENTS || one.len == 0)
			return 0;
		segment[n++] = one;
	}
	return n;
}

static bool
take_version(struct sp_bytes segment, unsigned *minor_r)
{
	unsigned minor = 0;
	if (segment.len < 4 || segment.len > 5 || memcmp(segment.p, "v1.", 3) != 0)
		return false;
	for (size_t i = 3; i < segment.len; i++) {
		if (segment.p[i] < '0' || segment.p[i] > '9')
			return false;
		minor = minor * 10 + (unsigned)(segment.p[i] - '0');
	}
	*minor_r = minor;
	return minor >= VERSION_MIN && minor <= VERSION_MAX;
}

static struct sp_bytes
joined(const struct sp_bytes *segment, size_t n)
{
	const uint8_t *end = segment[n - 1].p + segment[n - 1].len;
	return (struct sp_bytes){ segment[0].p, (size_t)(end - segment[0].p) };
}

/* What stands behind a colon of the pattern. */
static void
take_param(struct route *to, uint8_t what, struct sp_bytes value)
{
	struct sp_bytes *const at = what == 'c' ? &to->container : what == 'e' ? &to->exec : what == 'i' ? &to->image : &to->other;
	*at = value;
}

static bool
row_fits(const struct row *row, const struct sp_bytes *segment, size_t n, struct route *to)
{
	struct sp_bytes pattern[SEGMENTS];
	size_t m = cut(sp_str(row->pattern), pattern), i = 0;
	for (size_t k = 0; k < m; k++) {
		bool param = pattern[k].p[0] == ':';
		size_t more = param && pattern[k].p[1] == 'i' && n > m ? n - m : 0; /* an image's name may have slashes */
		if (i + more >= n || (!param && !sp_bytes_eq(pattern[k], segment[i])))
			return false;
		if (param)
			take_param(to, pattern[k].p[1], joined(&segment[i], more + 1));
		i += more + 1;
	}
	return i == n;
}

struct route
docker_route(struct sp_bytes method, struct sp_bytes path)
{
	struct sp_bytes segment[SEGMENTS];
	struct route none = { .row = NULL, .version_known = true }, to = none;
	size_t n = cut(path, segment), first = 0;
	if (n > 0 && segment[0].len > 1 && segment[0].p[0] == 'v' && segment[0].p[1] >= '0' && segment[0].p[1] <= '9') {
		none.prefix = (struct sp_bytes){ path.p, segment[0].len + 1 };
		none.version_known = take_version(segment[0], &none.minor);
		first = 1;
	}
	if (n > first + 1 && sp_bytes_is(segment[first], "exec"))
		none.exec = segment[first + 1]; /* whatever is asked of it, it is somebody's */
	if (!none.version_known || n <= first)
		return none;
	bool head = sp_bytes_is(method, "HEAD");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		to = none;
		if (sp_bytes_is(head ? SP_LIT("GET") : method, rows[i].method) && row_fits(&rows[i], segment + first, n - first, &to)) {
			to.row = &rows[i];
			return to;
		}
	}
	return none;
}

bool
docker_name_ok(struct sp_bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && (i == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return name.len > 0 && name.len <= 255;
}
