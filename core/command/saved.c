/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `login` keeps, for the next command: the server, and the secret of the sign-in there.
 *
 *     ~/.config/sallyport/signins.json     only its owner may read it; a file that others could read is not used
 *     { "server": URL of the last login, "signins": { URL: { "secret", "user", "expires", "ca" } } }
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

#define FILE_NAME "signins.json"
#define FILE_MOST (1u << 20)

void
saved_folder(char path_r[4096])
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	const struct passwd *pw = home == NULL || home[0] != '/' ? getpwuid(getuid()) : NULL;
	if (pw != NULL)
		home = pw->pw_dir;
	path_r[0] = '\0';
	if (xdg != NULL && xdg[0] == '/')
		(void)snprintf(path_r, 4096 - 64, "%s/sallyport", xdg);
	else if (home != NULL && home[0] == '/')
		(void)snprintf(path_r, 4096 - 64, "%s/.config/sallyport", home);
}

static json_t *
nothing(void)
{
	return json_pack("{s:{}}", "signins");
}

json_t *
saved_read(void)
{
	char path[4096];
	struct stat st;
	saved_folder(path);
	if (path[0] == '\0')
		return nothing();
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", FILE_NAME);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return nothing();
	json_t *o = NULL;
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		(void)failed("%s: it is not yours alone, and is not used: chmod 600 it, or remove it and log in again", path);
	else if (st.st_size < FILE_MOST)
		o = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	(void)close(fd);
	if (json_is_object(json_object_get(o, "signins")))
		return o;
	json_decref(o);
	return nothing();
}

int
saved_make_folders(char *path)
{
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0755);
		*p = '/';
	}
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return failed("%s: %s", path, strerror(errno));
	return DONE;
}

/* In whole or not at all, and never readable by others. */
int
saved_write(const json_t *all)
{
	char path[4096], fresh[4096];
	saved_folder(path);
	if (path[0] == '\0')
		return failed("there is no home to keep a sign-in in: set $HOME or $XDG_CONFIG_HOME");
	if (saved_make_folders(path) != DONE)
		return FAILED;
	size_t len = strlen(path);
	(void)snprintf(fresh, sizeof(fresh), "%.4000s/%s.XXXXXX", path, FILE_NAME);
	(void)snprintf(path + len, sizeof(path) - len, "/%s", FILE_NAME);
	int fd = mkstemp(fresh); /* 0600 */
	int good = fd >= 0 && json_dumpfd(all, fd, JSON_INDENT(2)) == 0 && fsync(fd) == 0;
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (good && rename(fresh, path) == 0)
		return DONE;
	if (fd >= 0)
		(void)unlink(fresh);
	return failed("%s: %s", path, strerror(good ? errno : error));
}

const char *
saved_text(const json_t *all, const char *server, const char *name)
{
	return json_string_value(json_object_get(json_object_get(json_object_get(all, "signins"), server), name));
}
