/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login and logout: a sign-in of this machine, made in a browser on any machine.
 *
 *   POST device ─▶ a code to show, a page to open ─ POST device/token every few seconds ─▶ secret, kept for its owner alone
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reach.h"

#define LONGEST_WAIT 60 /* seconds between two questions, whatever the gateway says */

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text == NULL ? "" : text;
}

/* Where there is a screen: no shell, no output, nobody waits for it. */
bool
open_browser(const char *url)
{
	const char *browser = getenv("BROWSER");
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "file:///", 8) != 0)
		return false;
	if (browser == NULL && getenv("DISPLAY") == NULL && getenv("WAYLAND_DISPLAY") == NULL)
		return false;
	if (browser == NULL || browser[0] == '\0')
		browser = "xdg-open";
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)setsid();
		if (fork() != 0)
			_exit(0);
		for (int fd = 0; fd < 3; fd++)
			(void)dup2(null, fd);
		(void)execlp(browser, browser, url, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return pid > 0;
}

static int
keep(const struct run *r, const char *url, const json_t *answer)
{
	char *ca = r->ca == NULL ? NULL : realpath(r->ca, NULL);
	json_t *all = saved_read(), *signins = json_object_get(all, "signins");
	json_t *one = json_pack("{s:s,s:s,s:s,s:s}", "secret", text_of(answer, "secret"), "user", text_of(answer, "user"), "name",
	    text_of(answer, "name"), "expires", text_of(answer, "expires"));
	const char *kept = ca != NULL ? ca : saved_text(all, url, "ca");
	if (kept != NULL)
		(void)json_object_set_new(one, "ca", json_string(kept));
	(void)json_object_set_new(signins, url, one);
	(void)json_object_set_new(all, "server", json_string(url));
	int rc = saved_write(all);
	json_decref(all);
	free(ca);
	return rc;
}

/* Asks until the person in front of the browser has said yes or no. */
static int
wait_for_answer(const struct run *r, const json_t *device, json_t **answer_r)
{
	json_int_t interval = json_integer_value(json_object_get(device, "interval"));
	json_int_t left = json_integer_value(json_object_get(device, "expires_in"));
	unsigned status = 0;
	*answer_r = NULL;
	if (interval < 1 || interval > LONGEST_WAIT)
		interval = 5;
	while (left > 0) {
		(void)sleep((unsigned)interval);
		left -= interval;
		json_decref(*answer_r);
		int rc = client_try(r, "POST", "/api/v1/device/token", json_pack("{s:s}", "device_code", text_of(device, "device_code")), &status, answer_r);
		if (rc != DONE)
			return rc;
		if (status == 200)
			return DONE;
		const char *code = text_of(*answer_r, "code");
		if (strcmp(code, "slow_down") == 0 || status == 429)
			interval = interval + 5 > LONGEST_WAIT ? LONGEST_WAIT : interval + 5;
		else if (strcmp(code, "authorization_pending") != 0)
			return client_refused(status, *answer_r);
	}
	return failed("nobody confirmed in time: run `sallyport login` again");
}

static void
tell(const json_t *device)
{
	(void)printf("To sign in, open\n\n    ");
	print_safe(stdout, sp_str(text_of(device, "verification_uri_complete")), 0);
	(void)printf("\n\nand check that the page shows the code ");
	print_safe(stdout, sp_str(text_of(device, "user_code")), 0);
	(void)printf("\n");
	(void)fflush(stdout);
}

int
run_login(struct run *r)
{
	struct reach at;
	char name[128] = "";
	json_t *device = NULL, *answer = NULL;
	int rc = reach_find(r, &at);
	char *url = mem_string(sp_str(at.url));
	reach_end(&at);
	if (rc == DONE && url[0] == '\0')
		rc = misused(r, "say where: --server https://HOST:PORT, or $SALLYPORT_SERVER");
	if (rc == DONE && gethostname(name, sizeof(name) - 1) != 0)
		name[0] = '\0';
	r->server = url;
	r->control = NULL;
	r->nobody = true;
	if (rc == DONE)
		rc = client_call(r, "POST", "/api/v1/device", json_pack("{s:s}", "name", name), &device);
	if (rc == DONE) {
		tell(device);
		if (!flag(r, "no-browser"))
			(void)open_browser(text_of(device, "verification_uri_complete"));
		rc = wait_for_answer(r, device, &answer);
	}
	if (rc == DONE)
		rc = keep(r, url, answer);
	if (rc == DONE) {
		(void)printf("Signed in as ");
		print_safe(stdout, sp_str(text_of(answer, "name")), 0);
		(void)printf(" until %s\n", text_of(answer, "expires"));
		r->nobody = false;
		rc = ssh_config_again(r);
	}
	json_decref(device);
	json_decref(answer);
	free(url);
	return rc;
}

/* The gateway ends it when it can be reached; here it is forgotten in any case. */
int
run_logout(struct run *r)
{
	struct reach at;
	unsigned status = 0;
	json_t *answer = NULL;
	int rc = reach_find(r, &at);
	const char *secret = rc == DONE ? saved_text(at.saved, at.url, "secret") : NULL;
	if (rc == DONE && secret == NULL)
		rc = failed("there is no sign-in%s%s to end", at.url[0] == '\0' ? "" : " at ", at.url);
	if (rc == DONE)
		rc = client_try(r, "POST", "/api/v1/logout", NULL, &status, &answer);
	bool told = rc == DONE && (status == 200 || status == 401);
	if (rc == DONE && !told)
		rc = client_refused(status, answer);
	if (secret != NULL) {
		(void)json_object_del(json_object_get(at.saved, "signins"), at.url);
		const char *last = json_string_value(json_object_get(at.saved, "server"));
		if (last != NULL && strcmp(last, at.url) == 0)
			(void)json_object_del(at.saved, "server");
		int kept = saved_write(at.saved);
		rc = rc == DONE ? kept : rc;
		(void)printf(told ? "Signed out of %s\n" : "The sign-in at %s is forgotten here; there it lives on until it expires\n", at.url);
	}
	json_decref(answer);
	reach_end(&at);
	return rc;
}
