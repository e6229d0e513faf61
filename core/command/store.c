/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport store migrate` and `new-ledger`: start sallyport-store, which links what a command for everyone should not. */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define DEFAULT_CONF SYSCONFDIR "/sallyport/sallyport.conf"

static int
start(struct run *r, const char *what)
{
	static const char *const places[] = { "../libexec/sallyport/sallyport-store", "sallyport-store", NULL };
	const char *given = option(r, "conf"), *conf = given == NULL ? DEFAULT_CONF : given;
	char path[PATH_MAX], *real = realpath(conf, NULL);
	if (real == NULL)
		return failed("cannot read %s: %s (name another with --conf FILE)", conf, strerror(errno));
	bool found = beside(places, path, sizeof(path));
	if (found) {
		char *argv[] = { path, real, (char *)(uintptr_t)what, NULL };
		(void)execv(path, argv);
	}
	free(real);
	return failed("sallyport-store can't be started: %s", found ? strerror(errno) : "it is not where this program was installed");
}

int
run_store_migrate(struct run *r)
{
	return start(r, NULL);
}

int
run_store_ledger(struct run *r)
{
	return start(r, "new-ledger");
}
