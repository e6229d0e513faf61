/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash. */
#ifndef SALLYPORT_COMPLETION_H
#define SALLYPORT_COMPLETION_H

#include "command.h"

int completion_print(struct buffer *out) SP_MUST;

#endif
