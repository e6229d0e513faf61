/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords out of a HashiCorp Vault, by its HTTP API: KV version 2, and dynamic database secrets.
 *
 *   LEND kv       GET /v1/PATH               data.data.FIELD is the password
 *   LEND dynamic  GET /v1/PATH               data.username, data.password; lease_id, lease_duration
 *   LEND renew    PUT /v1/sys/leases/renew   lease_duration
 *   RETURN        PUT /v1/sys/leases/revoke
 *
 * One after the other: who waits longer than its target's `timeout connect` is refused by the keeper.
 */
#ifndef SALLYPORT_HELPER_LEND_VAULT_H
#define SALLYPORT_HELPER_LEND_VAULT_H

#include <jansson.h>

#include "helper.h"

/* Before the lock-down. */
int vault_open(void) SP_MUST;
/* True when the job is one of these, and is done. */
bool vault_job(struct helper *h, const json_t *job, const struct message *m, struct sp_bytes token);

#endif
