/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ssh asks while it logs in by a ticket: `connect` has named us as its SSH_ASKPASS.
 *
 *   "…password: ", "…Token: " ─▶ the ticket's password       anything else (an unknown host key) ─▶ the terminal
 */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "command.h"

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

int
askpass(const char *prompt, const char *password)
{
	char line[256];
	if (ends_with(prompt, "password: ") || ends_with(prompt, "Token: ")) {
		(void)puts(password);
		return DONE;
	}
	FILE *terminal = fopen("/dev/tty", "r+");
	if (terminal == NULL)
		return FAILED;
	(void)fputs(prompt, terminal);
	(void)fflush(terminal);
	bool answered = fgets(line, sizeof(line), terminal) != NULL;
	(void)fclose(terminal);
	if (answered)
		(void)fputs(line, stdout);
	return answered ? DONE : FAILED;
}
