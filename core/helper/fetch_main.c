/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport-fetch: what it does is in fetch.c. */
#include <config.h>

#include "fetch.h"

int
main(int argc, char **argv)
{
	return helper_main(&fetch_kind, argc, argv);
}
