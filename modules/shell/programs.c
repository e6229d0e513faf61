/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that run what their arguments or their input say: to know them by name is no sandbox, but
 * it keeps a rule about `rm` from being answered by `sh -c rm`.
 */
#include "shell.h"

/* Sorted by what they are; "python" stands for python3 and python3.11 too. */
static const char *const interpreters[] = {
	"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "csh", "tcsh", "fish", "rbash", "busybox", "toybox",
	"python", "perl", "ruby", "node", "nodejs", "php", "lua", "luajit", "tclsh", "expect", "awk", "gawk", "mawk", "nawk", "sed",
	"irb", "psql", "mysql", "sqlite", "gdb", "ed", "ex", "vi", "vim", "view", "nvim", "emacs", "nano", "less", "more", "man",
	"env", "sudo", "su", "doas", "runuser", "pkexec", "chroot", "unshare", "nsenter", "setpriv", "setsid", "capsh",
	"xargs", "parallel", "nohup", "nice", "ionice", "chrt", "taskset", "timeout", "time", "stdbuf", "watch", "flock", "script",
	"strace", "ltrace", "eval", "exec", "source", ".", "command", "builtin", "trap", "alias", "at", "batch", "crontab", "systemd-run",
	"ssh", "slogin", "docker", "podman", "kubectl", "lxc", "screen", "tmux", "make", "start-stop-daemon", "run-parts", NULL
};

struct sp_bytes
shell_base_name(struct sp_bytes path)
{
	size_t at = path.len;
	while (at > 0 && path.p[at - 1] != '/')
		at--;
	return (struct sp_bytes){ path.len == 0 ? path.p : path.p + at, path.len - at };
}

/* Its name, and perhaps a version: digits and dots. */
static bool
is_called(struct sp_bytes name, const char *like)
{
	size_t n = strlen(like);
	if (name.len < n || memcmp(name.p, like, n) != 0)
		return false;
	for (size_t i = n; i < name.len; i++)
		if (name.p[i] != '.' && (name.p[i] < '0' || name.p[i] > '9'))
			return false;
	return true;
}

static bool
has_word(const struct sp_bytes *word, size_t n, const char *const *any)
{
	for (size_t i = 1; i < n; i++)
		for (const char *const *a = any; *a != NULL; a++)
			if (word[i].len >= strlen(*a) && memcmp(word[i].p, *a, strlen(*a)) == 0)
				return true;
	return false;
}

bool
shell_is_interpreter(const struct sp_bytes *word, size_t n)
{
	/* only with arguments that begin so */
	static const char *const find[] = { "-exec", "-ok", "-fprint", "-fls", NULL };
	static const char *const tar[] = { "--to-command", "--checkpoint-action", "--use-compress-program", "-I", "--rsh-command", NULL };
	static const char *const git[] = { "-c", "--exec-path", "--config-env", NULL };
	static const char *const rsync[] = { "-e", "--rsh", NULL };
	if (n == 0)
		return false;
	struct sp_bytes name = shell_base_name(word[0]);
	for (size_t i = 0; interpreters[i] != NULL; i++)
		if (is_called(name, interpreters[i]))
			return true;
	if (sp_bytes_is(name, "find"))
		return has_word(word, n, find);
	if (sp_bytes_is(name, "tar"))
		return has_word(word, n, tar);
	if (sp_bytes_is(name, "git"))
		return has_word(word, n, git);
	/* of a server -e is a list of what the client can do: "-e.iLsfxCIvu" */
	return sp_bytes_is(name, "rsync") && (n < 2 || !sp_bytes_is(word[1], "--server")) && has_word(word, n, rsync);
}
