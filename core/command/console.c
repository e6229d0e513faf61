/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console: a link that signs the caller's account in at the console, once.
 *
 * A browser is handed a file of the caller's that leads there: an address in its arguments could be read by everybody
 * on the machine.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define PAGE "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\"><title>Sallyport</title>" \
	     "<meta http-equiv=\"refresh\" content=\"0; url=%s\"><p><a href=\"%s\">To the console</a></p>\n"

/* Nothing that could be more than an address in a page of ours. */
static bool
is_plain_url(const char *url)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/#[]";
	return strncmp(url, "https://", 8) == 0 && strlen(url) < 2048 && strspn(url, plain) == strlen(url);
}

/* DONE: path_r leads there, for its owner alone. */
static int
write_page(const char *url, char path_r[4096 + 32])
{
	char folder[4096], fresh[4096 + 32];
	saved_folder(folder);
	if (folder[0] == '\0')
		return failed("there is no home for the page that leads there: set $HOME or $XDG_CONFIG_HOME, or open the link yourself");
	if (saved_make_folders(folder) != DONE)
		return FAILED;
	(void)snprintf(fresh, sizeof(fresh), "%.4000s/console.XXXXXX", folder);
	(void)snprintf(path_r, 4096 + 32, "%.4000s/console.html", folder);
	int fd = mkstemp(fresh); /* 0600 */
	bool good = fd >= 0 && dprintf(fd, PAGE, url, url) > 0;
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (good && rename(fresh, path_r) == 0)
		return DONE;
	error = good ? errno : error;
	if (fd >= 0)
		(void)unlink(fresh);
	return failed("%s: %s", path_r, strerror(error));
}

int
run_console(struct run *r)
{
	char path[4096 + 32], address[4096 + 64];
	json_t *answer = NULL;
	if (r->control == NULL && r->server == NULL) {
		const char *control = getenv("SALLYPORT_CONTROL");
		r->nobody = true; /* no token: the account is meant */
		r->control = control != NULL && control[0] != '\0' ? control : DEFAULT_CONTROL; /* whatever a login has kept */
	}
	int rc = client_call(r, "POST", "/api/v1/console-link", json_object(), &answer);
	const char *url = json_string_value(json_object_get(answer, "url"));
	if (rc == DONE && (url == NULL || !is_plain_url(url)))
		rc = failed("the gateway's answer has no link");
	if (rc == DONE && r->json)
		rc = print_json(answer);
	else if (rc == DONE)
		(void)printf("%s\n", url);
	(void)fflush(stdout);
	if (rc == DONE && flag(r, "open"))
		rc = write_page(url, path);
	if (rc == DONE && flag(r, "open")) {
		(void)snprintf(address, sizeof(address), "file://%s", path);
		if (!open_browser(address))
			(void)fprintf(stderr, "sallyport: there is no screen here, and no $BROWSER: open the link yourself, within two minutes\n");
	}
	json_decref(answer);
	return rc;
}
