/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-recorder: what it is told is heard in process.c. */
#include <config.h>

#include "process.h"

int
main(int argc, char **argv)
{
	static struct recorder_process p;
	role_init(&p.role, ROLE_RECORDER, argc, argv, &recorder_handler, &p);
	int status = role_run(&p.role);
	recorder_close(&p.recorder);
	return status;
}
