/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-worker: its sessions are in worker.c and what that calls. */
#include <config.h>

#include <gnutls/gnutls.h>

#include "worker.h"

int
main(int argc, char **argv)
{
	static struct role_process role;
	gnutls_global_init();
	worker_init(&the_worker);
	the_worker.role = &role;
	role_init(&role, ROLE_WORKER, argc, argv, &worker_handler, &the_worker);
	the_worker.index = role.index;
	return role_run(&role);
}
