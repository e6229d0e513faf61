/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-keeper: the process that has the secrets. */
#include <config.h>

#include "keeper.h"

int
main(int argc, char **argv)
{
	static struct role_process role;
	static struct keeper keeper;
	keeper.role = &role;
	role_init(&role, ROLE_KEEPER, argc, argv, &keeper_handler, &keeper);
	keeper.trial = role.index != 0;
	int status = role_run(&role);
	keeper_close(&keeper);
	return status;
}
