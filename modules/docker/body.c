/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies to attributes, by tables: each field that Docker knows, and what it may be.
 *
 *   FINE     changes no privilege           READ    becomes attributes
 *   EMPTY    must be absent, null or empty: else the operation is unclear, "field" and its name
 *
 * A field that is in no table is unclear: Docker takes names in any case, and new ones come.
 */
#include "docker.h"

#include <stdio.h>
#include <stdlib.h>

enum care { FINE = 1, EMPTY, NULL_ONLY, READ };

struct field {
	const char *name;
	enum care care;
	int (*read)(struct sp_op *op, const json_t *j);
};

static struct sp_bytes
text_of(const json_t *j)
{
	return json_is_string(j) ? (struct sp_bytes){ (const uint8_t *)json_string_value(j), json_string_length(j) } : (struct sp_bytes){ NULL, 0 };
}

static bool
is_empty(const json_t *j)
{
	return json_is_null(j) || json_is_false(j) || (json_is_string(j) && json_string_length(j) == 0) ||
	    (json_is_integer(j) && json_integer_value(j) == 0) || (json_is_array(j) && json_array_size(j) == 0) ||
	    (json_is_object(j) && json_object_size(j) == 0);
}

static int
unclear_field(struct sp_op *op, const char *name)
{
	return sp_op_unclear(op, "field", sp_str(name));
}

static int
read_object(struct sp_op *op, const struct field *table, const json_t *j)
{
	const char *key;
	json_t *value;
	int rc = SP_OK;
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		const struct field *f = table;
		while (f->name != NULL && strcmp(f->name, key) != 0)
			f++;
		if (f->name == NULL || (f->care == EMPTY && !is_empty(value)) || (f->care == NULL_ONLY && !json_is_null(value)))
			rc = unclear_field(op, key);
		else if (f->care == READ && !json_is_null(value))
			rc = f->read(op, value);
		if (rc != SP_OK)
			return rc;
	}
	return SP_OK;
}

static int
read_body(struct sp_op *op, const struct field *table, struct sp_bytes body)
{
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return sp_op_unclear(op, "body", SP_LIT("malformed"));
	}
	int rc = read_object(op, table, j);
	json_decref(j);
	return rc;
}

/* ---- single fields ---- */

static int
read_text(struct sp_op *op, unsigned attr, const json_t *j, const char *name)
{
	return json_is_string(j) ? sp_op_str(op, attr, text_of(j)) : unclear_field(op, name);
}

static int
read_bool(struct sp_op *op, unsigned attr, const json_t *j, const char *name)
{
	return json_is_boolean(j) ? sp_op_bool(op, attr, json_is_true(j)) : unclear_field(op, name);
}

static int
read_strings(struct sp_op *op, unsigned attr, const json_t *j, const char *name)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, name);
	json_array_foreach((json_t *)(uintptr_t)j, i, one) {
		rc = json_is_string(one) ? sp_op_add(op, attr, text_of(one)) : unclear_field(op, name);
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

/* By these a program runs what no argument shows: a shell a file or a text, the loader a library. */
static bool
runs_unseen(struct sp_bytes name)
{
	static const char *const variables[] = { "BASH_ENV", "ENV", "PS4", "SHELLOPTS", "BASHOPTS", "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH" };
	static const char function[] = "BASH_FUNC_";
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
		if (sp_bytes_is(name, variables[i]))
			return true;
	return name.len >= sizeof(function) - 1 && memcmp(name.p, function, sizeof(function) - 1) == 0;
}

/* NAME=VALUE or NAME: the names. */
static int
read_env(struct sp_op *op, const json_t *j)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, "Env");
	json_array_foreach((json_t *)(uintptr_t)j, i, one) {
		struct sp_bytes text = text_of(one);
		const uint8_t *cut = text.len == 0 ? NULL : memchr(text.p, '=', text.len);
		struct sp_bytes name = { text.p, cut == NULL ? text.len : (size_t)(cut - text.p) };
		rc = name.len > 0 ? sp_op_add(op, A_ENV, name) : unclear_field(op, "Env");
		if (rc == SP_OK && runs_unseen(name))
			rc = sp_op_unclear(op, "program", name);
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

#define READER(id, call) \
	static int id(struct sp_op *op, const json_t *j) { return call; }
READER(read_privileged, read_bool(op, A_PRIVILEGED, j, "Privileged"))
READER(read_tty, read_bool(op, A_TTY, j, "Tty"))
READER(read_workdir, read_text(op, A_WORKDIR, j, "WorkingDir"))
READER(read_image, json_is_string(j) ? docker_say_image(op, text_of(j)) : unclear_field(op, "Image"))
READER(read_name, read_text(op, A_NAME, j, "Name"))
READER(read_security, read_strings(op, A_SECURITY, j, "SecurityOpt"))

static int
say_user(struct sp_op *op, struct sp_bytes user)
{
	int rc = sp_op_str(op, A_USER, user);
	return rc == SP_OK ? sp_op_bool(op, A_ROOT, docker_is_root(user)) : rc;
}

static int
read_user(struct sp_op *op, const json_t *j)
{
	return json_is_string(j) ? SP_OK : unclear_field(op, "User"); /* said once, by the caller: absent counts too */
}

/* ---- words ---- */

/* Of the entrypoint, then of the command; either may be one text. */
int
body_words(struct sp_op *op, struct sp_bytes body, struct words *w)
{
	const char *const part[] = { "Entrypoint", "Cmd" };
	w->owner = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	for (size_t k = 0; k < 2; k++) {
		json_t *some = json_object_get(w->owner, part[k]), *one;
		size_t i;
		if (json_is_string(some) && w->n < WORDS_MAX)
			w->word[w->n++] = text_of(some);
		json_array_foreach(some, i, one) {
			if (!json_is_string(one) || w->n == WORDS_MAX)
				return unclear_field(op, part[k]);
			w->word[w->n++] = text_of(one);
		}
	}
	return SP_OK;
}

/* ---- exec ---- */

int
body_of_exec(struct sp_op *op, struct sp_bytes body, struct sp_bytes container_user)
{
	static const struct field table[] = { { "AttachStdin", FINE, NULL }, { "AttachStdout", FINE, NULL }, { "AttachStderr", FINE, NULL },
		{ "DetachKeys", FINE, NULL }, { "Tty", READ, read_tty }, { "Env", READ, read_env }, { "Cmd", FINE, NULL },
		{ "Privileged", READ, read_privileged }, { "User", READ, read_user }, { "WorkingDir", READ, read_workdir }, { "ConsoleSize", FINE, NULL },
		{ "Detach", FINE, NULL }, { "Container", EMPTY, NULL }, { NULL, EMPTY, NULL } };
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return sp_op_unclear(op, "body", SP_LIT("malformed"));
	}
	struct sp_bytes user = text_of(json_object_get(j, "User"));
	int rc = say_user(op, user.len > 0 ? user : container_user);
	if (rc == SP_OK)
		rc = read_object(op, table, j);
	json_decref(j);
	return rc;
}

int
body_of_start(struct sp_op *op, struct sp_bytes body)
{
	static const struct field table[] = { { "Detach", FINE, NULL }, { "Tty", FINE, NULL }, { "ConsoleSize", FINE, NULL },
		{ "hijack", FINE, NULL }, { "stdin", FINE, NULL }, /* of SDKs, which Docker does not read */ { NULL, EMPTY, NULL } };
	return body.len == 0 ? SP_OK : read_body(op, table, body);
}

/* ---- a container ---- */

static int
add_text(struct sp_op *op, unsigned attr, const char *a, const char *b)
{
	char text[600];
	snprintf(text, sizeof(text), "%s%s", a, b);
	return sp_op_add(op, attr, sp_str(text));
}

/* One that somebody made: who is in it is in reach. */
static int
say_network(struct sp_op *op, struct sp_bytes name)
{
	char text[256];
	if (name.len == 0 || sp_bytes_is(name, "default") || sp_bytes_is(name, "bridge") || sp_bytes_is(name, "none"))
		return SP_OK;
	if (name.len >= sizeof(text) || memchr(name.p, 0, name.len) != NULL)
		return unclear_field(op, "NetworkMode");
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	return add_text(op, A_NAMESPACES, "net=", text);
}

/* "host", "container:ID", "private", "" …: what it shares is named. */
static int
read_mode(struct sp_op *op, const json_t *j, const char *what, const char *field)
{
	struct sp_bytes mode = text_of(j);
	static const char shared[] = "container:";
	if (!json_is_string(j))
		return unclear_field(op, field);
	if (sp_bytes_is(mode, "host"))
		return add_text(op, A_NAMESPACES, what, "=host");
	if (mode.len < sizeof(shared) - 1 || memcmp(mode.p, shared, sizeof(shared) - 1) != 0)
		return strcmp(what, "net") == 0 ? say_network(op, mode) : SP_OK;
	int rc = add_text(op, A_NAMESPACES, what, "=container");
	return rc == SP_OK ? sp_op_unclear(op, "namespace", sp_str(what)) : rc; /* of a container that nobody looked at */
}
READER(read_net, read_mode(op, j, "net", "NetworkMode"))
READER(read_pid, read_mode(op, j, "pid", "PidMode"))
READER(read_ipc, read_mode(op, j, "ipc", "IpcMode"))
READER(read_uts, read_mode(op, j, "uts", "UTSMode"))
READER(read_userns, read_mode(op, j, "user", "UsernsMode"))
READER(read_cgroupns, read_mode(op, j, "cgroup", "CgroupnsMode"))

/* "/host:/inside:ro", "volume:/inside" */
static int
read_binds(struct sp_op *op, const json_t *j)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, "Binds");
	json_array_foreach((json_t *)(uintptr_t)j, i, one) {
		struct sp_reader r = sp_reader(text_of(one));
		struct sp_bytes from = sp_rd_until(&r, ':');
		bool fixed = !r.bad && from.len > 0;
		rc = !fixed ? unclear_field(op, "Binds") : from.p[0] == '/' ? docker_say_path(op, A_HOST_PATHS, from, "host_path") : sp_op_add(op, A_VOLUMES, from);
		if (rc == SP_OK && fixed && (from.p[0] == '.' || from.p[0] == '~'))
			rc = unclear_field(op, "Binds");
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

static int
read_mount(struct sp_op *op, const json_t *j)
{
	static const struct field table[] = { { "Type", FINE, NULL }, { "Source", FINE, NULL }, { "Target", FINE, NULL }, { "ReadOnly", FINE, NULL },
		{ "Consistency", FINE, NULL }, { "BindOptions", FINE, NULL }, { "TmpfsOptions", FINE, NULL }, { "VolumeOptions", EMPTY, NULL }, { NULL, EMPTY, NULL } };
	struct sp_bytes type = text_of(json_object_get(j, "Type")), from = text_of(json_object_get(j, "Source"));
	int rc = json_is_object(j) ? read_object(op, table, j) : unclear_field(op, "Mounts");
	if (rc != SP_OK || sp_bytes_is(type, "tmpfs"))
		return rc;
	if (sp_bytes_is(type, "bind"))
		return from.len > 0 && from.p[0] == '/' ? docker_say_path(op, A_HOST_PATHS, from, "host_path") : unclear_field(op, "Mounts");
	if (rc == SP_OK && sp_bytes_is(type, "volume"))
		return from.len == 0 ? SP_OK : sp_op_add(op, A_VOLUMES, from);
	return rc == SP_OK ? unclear_field(op, "Mounts") : rc;
}

static int
read_mounts(struct sp_op *op, const json_t *j)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, "Mounts");
	json_array_foreach((json_t *)(uintptr_t)j, i, one)
		if ((rc = read_mount(op, one)) != SP_OK)
			return rc;
	return rc;
}

static int
read_caps(struct sp_op *op, const json_t *j)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, "CapAdd");
	json_array_foreach((json_t *)(uintptr_t)j, i, one) {
		char name[64] = "";
		struct sp_bytes text = text_of(one);
		if (text.len == 0 || text.len >= sizeof(name))
			return unclear_field(op, "CapAdd");
		for (size_t k = 0; k < text.len; k++)
			name[k] = (char)(text.p[k] >= 'a' && text.p[k] <= 'z' ? text.p[k] + 'A' - 'a' : text.p[k]);
		rc = sp_op_add(op, A_CAPS, sp_str(strncmp(name, "CAP_", 4) == 0 ? name + 4 : name));
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

static int
read_devices(struct sp_op *op, const json_t *j)
{
	size_t i;
	json_t *one;
	int rc = json_is_array(j) ? SP_OK : unclear_field(op, "Devices");
	json_array_foreach((json_t *)(uintptr_t)j, i, one) {
		struct sp_bytes path = text_of(json_object_get(one, "PathOnHost"));
		rc = path.len > 0 ? docker_say_path(op, A_DEVICES, path, "host_path") : unclear_field(op, "Devices");
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

static int
read_port(struct sp_op *op, const char *port, const json_t *j)
{
	static const struct field table[] = { { "HostIp", FINE, NULL }, { "HostPort", FINE, NULL }, { NULL, EMPTY, NULL } };
	struct sp_bytes ip = text_of(json_object_get(j, "HostIp")), number = text_of(json_object_get(j, "HostPort"));
	char text[256];
	int rc = json_is_object(j) ? read_object(op, table, j) : unclear_field(op, "PortBindings");
	int n = snprintf(text, sizeof(text), "%.*s%s%.*s:%s", (int)(ip.len < 64 ? ip.len : 64), ip.len == 0 ? "" : (const char *)ip.p, ip.len == 0 ? "" : ":",
	    (int)(number.len < 32 ? number.len : 32), number.len == 0 ? "" : (const char *)number.p, port);
	if (rc == SP_OK && (n < 0 || (size_t)n >= sizeof(text) || ip.len > 64 || number.len > 32))
		rc = unclear_field(op, "PortBindings");
	return rc == SP_OK ? sp_op_add(op, A_PORTS, sp_str(text)) : rc;
}

/* {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]} */
static int
read_ports(struct sp_op *op, const json_t *j)
{
	const char *port;
	json_t *list, *one;
	size_t i;
	int rc = json_is_object(j) ? SP_OK : unclear_field(op, "PortBindings");
	json_object_foreach((json_t *)(uintptr_t)j, port, list) {
		if (!json_is_array(list) && !json_is_null(list))
			rc = unclear_field(op, "PortBindings");
		if (rc == SP_OK && json_array_size(list) == 0)
			rc = add_text(op, A_PORTS, ":", port);
		json_array_foreach(list, i, one)
			if (rc == SP_OK)
				rc = read_port(op, port, one);
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

static int
read_all_ports(struct sp_op *op, const json_t *j)
{
	if (!json_is_boolean(j))
		return unclear_field(op, "PublishAllPorts");
	return json_is_true(j) ? sp_op_add(op, A_PORTS, SP_LIT("all")) : SP_OK;
}

/* Logs that stay with the daemon; others send them somewhere. */
static int
read_log(struct sp_op *op, const json_t *j)
{
	struct sp_bytes type = text_of(json_object_get(j, "Type"));
	bool fine = type.len == 0 || sp_bytes_is(type, "json-file") || sp_bytes_is(type, "local") || sp_bytes_is(type, "none") || sp_bytes_is(type, "journald");
	return fine ? SP_OK : unclear_field(op, "LogConfig");
}

static int
read_runtime(struct sp_op *op, const json_t *j)
{
	return is_empty(j) || sp_bytes_is(text_of(j), "runc") ? SP_OK : unclear_field(op, "Runtime");
}

static int
read_labels(struct sp_op *op, const json_t *j)
{
	const char *key;
	json_t *value;
	int rc = json_is_object(j) ? SP_OK : unclear_field(op, "Labels");
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		char text[1024];
		int n = snprintf(text, sizeof(text), "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
		rc = n > 0 && (size_t)n < sizeof(text) ? sp_op_add(op, A_LABELS, sp_str(text)) : unclear_field(op, "Labels");
		if (rc != SP_OK)
			return rc;
	}
	return rc;
}

static const struct field host_fields[] = {
	{ "Binds", READ, read_binds }, { "Mounts", READ, read_mounts }, { "NetworkMode", READ, read_net }, { "PidMode", READ, read_pid },
	{ "IpcMode", READ, read_ipc }, { "UTSMode", READ, read_uts }, { "UsernsMode", READ, read_userns }, { "CgroupnsMode", READ, read_cgroupns },
	{ "Privileged", READ, read_privileged }, { "CapAdd", READ, read_caps }, { "Devices", READ, read_devices }, { "SecurityOpt", READ, read_security },
	{ "LogConfig", READ, read_log }, { "Runtime", READ, read_runtime },
	{ "CapDrop", FINE, NULL }, { "PortBindings", READ, read_ports }, { "RestartPolicy", FINE, NULL }, { "AutoRemove", FINE, NULL }, { "ConsoleSize", FINE, NULL },
	{ "Dns", FINE, NULL }, { "DnsOptions", FINE, NULL }, { "DnsSearch", FINE, NULL }, { "ExtraHosts", FINE, NULL }, { "OomScoreAdj", FINE, NULL },
	{ "PublishAllPorts", READ, read_all_ports }, { "ReadonlyRootfs", FINE, NULL }, { "ShmSize", FINE, NULL }, { "Isolation", FINE, NULL }, { "CpuShares", FINE, NULL },
	{ "Memory", FINE, NULL }, { "NanoCpus", FINE, NULL }, { "BlkioWeight", FINE, NULL }, { "BlkioWeightDevice", FINE, NULL },
	{ "BlkioDeviceReadBps", FINE, NULL }, { "BlkioDeviceWriteBps", FINE, NULL }, { "BlkioDeviceReadIOps", FINE, NULL }, { "BlkioDeviceWriteIOps", FINE, NULL },
	{ "CpuPeriod", FINE, NULL }, { "CpuQuota", FINE, NULL }, { "CpuRealtimePeriod", FINE, NULL }, { "CpuRealtimeRuntime", FINE, NULL },
	{ "CpusetCpus", FINE, NULL }, { "CpusetMems", FINE, NULL }, { "KernelMemory", FINE, NULL }, { "KernelMemoryTCP", FINE, NULL },
	{ "MemoryReservation", FINE, NULL }, { "MemorySwap", FINE, NULL }, { "MemorySwappiness", FINE, NULL }, { "OomKillDisable", FINE, NULL },
	{ "PidsLimit", FINE, NULL }, { "Ulimits", FINE, NULL }, { "CpuCount", FINE, NULL }, { "CpuPercent", FINE, NULL }, { "IOMaximumIOps", FINE, NULL },
	{ "IOMaximumBandwidth", FINE, NULL }, { "Init", FINE, NULL }, { "Tmpfs", FINE, NULL },
	{ "ContainerIDFile", EMPTY, NULL }, { "VolumeDriver", EMPTY, NULL }, { "VolumesFrom", EMPTY, NULL }, { "GroupAdd", EMPTY, NULL }, { "Links", EMPTY, NULL },
	{ "Cgroup", EMPTY, NULL }, { "CgroupParent", EMPTY, NULL }, { "DeviceCgroupRules", EMPTY, NULL }, { "DeviceRequests", EMPTY, NULL },
	{ "Sysctls", EMPTY, NULL }, { "StorageOpt", EMPTY, NULL }, { "Capabilities", EMPTY, NULL }, { "Annotations", EMPTY, NULL },
	{ "MaskedPaths", NULL_ONLY, NULL }, { "ReadonlyPaths", NULL_ONLY, NULL }, /* an empty list would unmask them all */
	{ NULL, EMPTY, NULL }
};

static int
read_host(struct sp_op *op, const json_t *j)
{
	return json_is_object(j) ? read_object(op, host_fields, j) : unclear_field(op, "HostConfig");
}

static int
read_endpoints(struct sp_op *op, const json_t *j)
{
	const char *key;
	json_t *value;
	int rc = json_is_object(j) ? SP_OK : unclear_field(op, "EndpointsConfig");
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
		if ((rc = say_network(op, sp_str(key))) != SP_OK)
			return rc;
	return rc;
}

static int
read_networking(struct sp_op *op, const json_t *j)
{
	static const struct field table[] = { { "EndpointsConfig", READ, read_endpoints }, { NULL, EMPTY, NULL } };
	return json_is_object(j) ? read_object(op, table, j) : unclear_field(op, "NetworkingConfig");
}

int
body_of_create(struct sp_op *op, struct sp_bytes body)
{
	static const struct field table[] = { { "Image", READ, read_image }, { "HostConfig", READ, read_host }, { "NetworkingConfig", READ, read_networking },
		{ "Env", READ, read_env }, { "Tty", READ, read_tty }, { "WorkingDir", READ, read_workdir }, { "Labels", READ, read_labels },
		{ "User", READ, read_user }, { "Cmd", FINE, NULL }, { "Entrypoint", FINE, NULL }, { "Hostname", FINE, NULL }, { "Domainname", FINE, NULL },
		{ "AttachStdin", FINE, NULL }, { "AttachStdout", FINE, NULL }, { "AttachStderr", FINE, NULL }, { "ExposedPorts", FINE, NULL },
		{ "OpenStdin", FINE, NULL }, { "StdinOnce", FINE, NULL }, { "Healthcheck", EMPTY, NULL }, { "ArgsEscaped", FINE, NULL }, { "Volumes", FINE, NULL },
		{ "NetworkDisabled", FINE, NULL }, { "MacAddress", FINE, NULL }, { "OnBuild", EMPTY, NULL }, { "StopSignal", FINE, NULL },
		{ "StopTimeout", FINE, NULL }, { "Shell", EMPTY, NULL }, { NULL, EMPTY, NULL } };
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return sp_op_unclear(op, "body", SP_LIT("malformed"));
	}
	const json_t *host = json_object_get(j, "HostConfig");
	int rc = say_user(op, text_of(json_object_get(j, "User")));
	if (rc == SP_OK && json_object_get(host, "Privileged") == NULL)
		rc = sp_op_bool(op, A_PRIVILEGED, false);
	if (rc == SP_OK)
		rc = read_object(op, table, j);
	json_decref(j);
	return rc;
}

/* The local driver mounts what its options say, the host's root too. */
int
body_of_volume(struct sp_op *op, struct sp_bytes body)
{
	static const struct field table[] = { { "Name", READ, read_name }, { "Labels", FINE, NULL }, { "DriverOpts", EMPTY, NULL }, { "ClusterVolumeSpec", EMPTY, NULL },
		{ "Driver", FINE, NULL }, { NULL, EMPTY, NULL } };
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	struct sp_bytes driver = text_of(json_object_get(j, "Driver"));
	int rc = driver.len == 0 || sp_bytes_is(driver, "local") ? SP_OK : unclear_field(op, "Driver");
	json_decref(j);
	return rc == SP_OK ? read_body(op, table, body) : rc;
}

int
body_of_network(struct sp_op *op, struct sp_bytes body)
{
	static const struct field table[] = { { "Name", READ, read_name }, { "Labels", FINE, NULL }, { "CheckDuplicate", FINE, NULL }, { "Internal", FINE, NULL },
		{ "Attachable", FINE, NULL }, { "EnableIPv6", FINE, NULL }, { "EnableIPv4", FINE, NULL }, { "Driver", FINE, NULL }, { "Scope", EMPTY, NULL },
		{ "Ingress", EMPTY, NULL }, { "ConfigOnly", EMPTY, NULL }, { "ConfigFrom", EMPTY, NULL }, { "IPAM", FINE, NULL }, { "Options", EMPTY, NULL },
		{ NULL, EMPTY, NULL } };
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	struct sp_bytes driver = text_of(json_object_get(j, "Driver"));
	int rc = driver.len == 0 || sp_bytes_is(driver, "bridge") ? SP_OK : unclear_field(op, "Driver");
	json_decref(j);
	return rc == SP_OK ? read_body(op, table, body) : rc;
}

/* ---- bodies that are changed ---- */

static int
dump(json_t *j, struct sp_writer *out)
{
	char *text = json_dumps(j, JSON_COMPACT);
	if (text == NULL)
		return SP_ENOMEM;
	sp_wr_put(out, sp_str(text));
	free(text);
	return out->bad ? SP_ENOMEM : SP_OK;
}

int
body_with_label(struct sp_bytes body, const char *name, const char *value, struct sp_writer *out)
{
	json_t *j = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL), *labels = json_object_get(j, "Labels");
	int rc = json_is_object(j) ? SP_OK : SP_EPROTO;
	if (rc == SP_OK && !json_is_object(labels)) {
		labels = json_object();
		(void)json_object_set_new(j, "Labels", labels);
	}
	if (rc == SP_OK)
		rc = json_object_set_new(labels, name, json_string(value)) == 0 ? dump(j, out) : SP_ENOMEM;
	json_decref(j);
	return rc;
}

/* {"label":["a=b"]}, and as it was before 1.22: {"label":{"a=b":true}} */
int
filters_with_labels(struct sp_bytes filters, const struct sp_strings *labels, struct sp_writer *out)
{
	json_t *j = filters.len == 0 ? json_object() : json_loadb((const char *)filters.p, filters.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *old = json_object_get(j, "label"), *all = json_array(), *value;
	const char *key;
	size_t i;
	int rc = json_is_object(j) ? SP_OK : SP_EPROTO;
	json_object_foreach(j, key, value) { /* one form for all of them: Docker would read a mixture in none */
		const char *word;
		json_t *one, *list = json_array();
		json_array_foreach(value, i, one)
			(void)json_array_append(list, one);
		json_t *flag;
		json_object_foreach(value, word, flag)
			if (json_is_true(flag))
				(void)json_array_append_new(list, json_string(word));
		if (value == old)
			(void)json_array_extend(all, list);
		else
			(void)json_object_set(j, key, list);
		json_decref(list);
	}
	for (i = 0; i < labels->n; i++)
		(void)json_array_append_new(all, json_string(labels->v[i]));
	if (rc == SP_OK)
		rc = json_object_set(j, "label", all) == 0 ? dump(j, out) : SP_ENOMEM;
	json_decref(all);
	json_decref(j);
	return rc;
}

static bool
is_secret_name(const char *text, size_t n)
{
	static const char *const words[] = { "PASS", "SECRET", "TOKEN", "KEY", "CRED", "AUTH", "DSN", "DATABASE_URL", "PRIVATE", "SALT", "PWD", "COOKIE", "CONNECTION" };
	for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++) {
		size_t m = strlen(words[w]);
		for (size_t i = 0; i + m <= n; i++) {
			size_t k = 0;
			while (k < m && (text[i + k] == words[w][k] || text[i + k] == words[w][k] + ('a' - 'A')))
				k++;
			if (k == m)
				return true;
		}
	}
	return false;
}

static void
hide_list(json_t *env, bool all)
{
	size_t i;
	json_t *one;
	json_array_foreach(env, i, one) {
		const char *text = json_is_string(one) ? json_string_value(one) : "", *cut = strchr(text, '=');
		size_t n = cut == NULL ? strlen(text) : (size_t)(cut - text);
		char hidden[300];
		if (cut == NULL || (!all && !is_secret_name(text, n)))
			continue;
		snprintf(hidden, sizeof(hidden), "%.*s=****", (int)(n < 256 ? n : 256), text);
		(void)json_array_set_new(env, i, json_string(hidden));
	}
}

int
answer_hide_env(struct sp_bytes body, const char *env, struct sp_writer *out)
{
	json_t *j = json_loadb((const char *)body.p, body.len, 0, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		return SP_EPROTO;
	}
	bool all = strcmp(env, "masked") == 0;
	hide_list(json_object_get(json_object_get(j, "Config"), "Env"), all);
	hide_list(json_object_get(json_object_get(j, "ContainerConfig"), "Env"), all);
	int rc = dump(j, out);
	json_decref(j);
	return rc;
}
