/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-console: what it is told is heard in console.c. */
#include <config.h>

#include "console.h"

int
main(int argc, char **argv)
{
	static struct console console;
	role_init(&console.role, ROLE_CONSOLE, argc, argv, &console_handler, &console);
	return role_run(&console.role);
}
