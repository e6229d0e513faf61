/* SPDX-License-Identifier: Apache-2.0 */
/* What policies see of an operation: kinds and attributes; and values that have several spellings, said in one. */
#include "docker.h"

const char *const docker_kinds[] = { "docker.exec", "docker.exec.create", "docker.exec.use", "docker.container.create", "docker.container",
	"docker.archive", "docker.image", "docker.network", "docker.volume", "docker.plugin", "docker.swarm", "docker.system", "docker.unknown", NULL };

#define EXEC "docker.exec docker.exec.create"
#define MADE "docker.container.create"
#define ONE EXEC " docker.exec.use docker.container docker.archive"
#define ALL ONE " " MADE " docker.image docker.network docker.volume docker.plugin docker.swarm docker.system docker.unknown"
#define ROW(name, type, on, help) { name, type, SP_OF_OPERATION, on, help }
const struct sp_attr docker_attrs[] = {
	[A_ACTION] = ROW("action", SP_TYPE_STRING, ALL, "What is done, by a word: create, start, stop, remove, logs, inspect, pull, build, …"),
	[A_EFFECT] = ROW("effect", SP_TYPE_STRING, ALL, "`read` when nothing is changed, else `write`."),
	[A_CONTAINER] = ROW("container", SP_TYPE_STRING, ONE " " MADE, "Name of the container, as the target has it."),
	[A_ID] = ROW("container_id", SP_TYPE_STRING, ONE, "Its full id, which is what goes to the target in the name's place."),
	[A_LABELS] = ROW("labels", SP_TYPE_STRINGS, ONE " " MADE, "Its labels: `env=prod`."),
	[A_IMAGE] = ROW("image", SP_TYPE_STRING, ONE " " MADE " docker.image", "Its image, or the image meant: `registry.example.com/team/app:1`."),
	[A_REGISTRY] = ROW("registry", SP_TYPE_STRING, ONE " " MADE " docker.image", "Where that image is from; `docker.io` when its name does not say."),
	[A_PINNED] = ROW("pinned", SP_TYPE_BOOL, ONE " " MADE " docker.image", "The image is named by its digest."),
	[A_USER] = ROW("user", SP_TYPE_STRING, EXEC " " MADE, "Whom the command runs as in the container; empty where nothing says, which is root."),
	[A_ROOT] = ROW("root", SP_TYPE_BOOL, EXEC " " MADE, "… and whether that is root, or may be."),
	[A_PRIVILEGED] = ROW("privileged", SP_TYPE_BOOL, ONE " " MADE, "The command, or its container, is privileged."),
	[A_PROGRAM] = ROW("program", SP_TYPE_STRING, EXEC " " MADE, "Its program, without the folder."),
	[A_ARGV] = ROW("argv", SP_TYPE_STRINGS, EXEC " " MADE, "Its words, the program's own first."),
	[A_SHELL] = ROW("shell", SP_TYPE_STRING, EXEC " " MADE, "The shell that reads it, for `sh -c LINE`: each command of the line is judged by itself, `program` and `argv` are its own."),
	[A_READS] = ROW("reads", SP_TYPE_STRINGS, EXEC " " MADE, "Files that redirections of such a line read."),
	[A_WRITES] = ROW("writes", SP_TYPE_STRINGS, EXEC " " MADE, "… and those that they write."),
	[A_ENV] = ROW("variables", SP_TYPE_STRINGS, "docker.exec.create " MADE, "Names of the variables that are set."),
	[A_TTY] = ROW("tty", SP_TYPE_BOOL, EXEC " " MADE, "It gets a terminal."),
	[A_WORKDIR] = ROW("workdir", SP_TYPE_STRING, "docker.exec.create " MADE, "Where it runs."),
	[A_HOST_PATHS] = ROW("host_paths", SP_TYPE_STRINGS, MADE, "Files and folders of the host that it sees."),
	[A_VOLUMES] = ROW("volumes", SP_TYPE_STRINGS, MADE, "Named volumes that it sees."),
	[A_CAPS] = ROW("caps", SP_TYPE_STRINGS, MADE, "Capabilities added, without CAP_: `SYS_ADMIN`."),
	[A_DEVICES] = ROW("devices", SP_TYPE_STRINGS, MADE, "Devices of the host that it gets."),
	[A_NAMESPACES] = ROW("namespaces", SP_TYPE_STRINGS, MADE, "Those that it shares: `pid=host`, `net=host`, `ipc=host`, `uts=host`, `user=host`, `cgroup=host`, `net=container`; and networks that somebody made: `net=NAME`."),
	[A_SECURITY] = ROW("security", SP_TYPE_STRINGS, MADE, "Security options: `seccomp=unconfined`."),
	[A_PORTS] = ROW("ports", SP_TYPE_STRINGS, MADE, "Ports of the host that lead to it, `127.0.0.1:8080:80/tcp`; `:80/tcp` where the host chooses, `all` for all that the image exposes."),
	[A_NAME] = ROW("name", SP_TYPE_STRING, "docker.network docker.volume", "Name of the network or volume, as the request has it."),
	[A_PATH] = ROW("path", SP_TYPE_STRING, "docker.archive", "The file or folder in the container."),
	[A_DIRECTION] = ROW("direction", SP_TYPE_STRING, "docker.archive", "`in` to the container, `out` of it."),
	[A_FORCE] = ROW("force", SP_TYPE_BOOL, "docker.container docker.image docker.volume", "What runs, or is in use, is removed too."),
	[A_QUERY] = ROW("query", SP_TYPE_STRINGS, ALL, "The parameters of the request: `signal=SIGKILL`."),
	{ .name = NULL }
};

bool
docker_is_root(struct sp_bytes user)
{
	struct sp_reader r = sp_reader(user), rest = r;
	struct sp_bytes name = sp_rd_until(&r, ':');
	if (r.bad)
		name = sp_rd_rest(&rest);
	bool zero = true;
	for (size_t i = 0; i < name.len; i++)
		zero = zero && (name.p[i] == '0' || (i == 0 && (name.p[i] == '+' || name.p[i] == '-'))); /* as Go reads a number */
	return zero || sp_bytes_is(name, "root");
}

static bool
has_capital(struct sp_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'Z')
			return true;
	return false;
}

static struct sp_bytes
behind(struct sp_bytes text, size_t n)
{
	return (struct sp_bytes){ text.p + n, text.len - n };
}

/* registry.example.com:5000/team/app@sha256:…, and of Docker's own registry app, however long it was written. */
int
docker_say_image(struct sp_op *op, struct sp_bytes image)
{
	struct sp_reader r = sp_reader(image);
	struct sp_bytes first = sp_rd_until(&r, '/');
	bool host = !r.bad && (sp_bytes_is(first, "localhost") || memchr(first.p, '.', first.len) != NULL || memchr(first.p, ':', first.len) != NULL);
	bool pinned = false;
	static const char mark[] = "@sha256:", library[] = "library/";
	if ((!r.bad && (first.len == 0 || has_capital(first))) || (image.len > 0 && memchr(image.p, '%', image.len) != NULL))
		return sp_op_unclear(op, "image", SP_LIT("malformed")); /* with capitals it is a host, spelled as no rule would */
	if (host && (sp_bytes_is(first, "docker.io") || sp_bytes_is(first, "index.docker.io"))) {
		image = behind(image, first.len + 1);
		host = false;
	}
	size_t n = sizeof(library) - 1;
	if (!host && image.len > n && memcmp(image.p, library, n) == 0 && memchr(image.p + n, '/', image.len - n) == NULL)
		image = behind(image, n);
	for (size_t i = 0; i + sizeof(mark) - 1 + 64 <= image.len; i++)
		pinned = pinned || memcmp(image.p + i, mark, sizeof(mark) - 1) == 0;
	int rc = sp_op_str(op, A_IMAGE, image);
	if (rc == SP_OK)
		rc = sp_op_str(op, A_REGISTRY, host ? first : SP_LIT("docker.io"));
	return rc == SP_OK ? sp_op_bool(op, A_PINNED, pinned) : rc;
}

int
docker_say_path(struct sp_op *op, unsigned attr, struct sp_bytes path, const char *why)
{
	uint8_t space[4096];
	struct sp_writer w = sp_writer(space, sizeof(space));
	struct sp_reader r = sp_reader(path);
	bool up = false;
	if (attr == A_PATH || (path.len > 0 && path.p[0] == '/')) /* in a container all begin at its root */
		sp_wr_u8(&w, '/');
	while (r.left > 0) {
		struct sp_reader rest = r;
		struct sp_bytes part = sp_rd_until(&r, '/');
		if (r.bad) {
			part = sp_rd_rest(&rest);
			r = rest;
		}
		if (part.len == 0 || sp_bytes_is(part, "."))
			continue;
		up = up || sp_bytes_is(part, "..");
		if (w.len > 0 && w.p[w.len - 1] != '/')
			sp_wr_u8(&w, '/');
		sp_wr_put(&w, part);
	}
	if (w.bad || up)
		return sp_op_unclear(op, why, w.bad ? SP_LIT("too long") : SP_LIT(".."));
	return docker_attrs[attr].type == SP_TYPE_STRINGS ? sp_op_add(op, attr, sp_written(&w)) : sp_op_str(op, attr, sp_written(&w));
}
