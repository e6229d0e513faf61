/* SPDX-License-Identifier: Apache-2.0 */
/* JSON answers, masked by tags. */
#ifndef SALLYPORT_HTTP_MASK_H
#define SALLYPORT_HTTP_MASK_H

#include <sallyport/module.h>

/* Does a rule hide something by a tag, so that answers have to be read? */
bool mask_wanted(const struct sp_session *s);
/* The answer with what is tagged hidden.  SP_EPROTO: it is no JSON; SP_EDENIED: none of it may be shown. */
int mask_json(struct sp_op *op, struct sp_bytes body, struct sp_writer *out);

#endif
