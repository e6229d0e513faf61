/* SPDX-License-Identifier: Apache-2.0 */
/* What was installed, or built, together with this program. */
#include <config.h>

#include "command.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
beside(const char *const *places, char *path, size_t room)
{
	char self[PATH_MAX], whole[PATH_MAX + 256], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	for (; *places != NULL; places++) {
		(void)snprintf(whole, sizeof(whole), "%s/%s", self, *places);
		if (realpath(whole, real) != NULL && strlen(real) < room) {
			(void)snprintf(path, room, "%s", real);
			return true;
		}
	}
	return false;
}
