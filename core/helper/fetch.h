/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch helper: HTTPS requests of the keeper's, one job each.
 *
 *   MSG_OUTSIDE ─▶ WAITING ─▶ NAME ─▶ ASKING ─▶ MSG_OUTSIDE_TOLD
 *                  at most     evdns   libcurl
 *                  16 others
 *
 * https only, but to this machine where the configuration says so; TLS verified, by the authorities that the
 * job names (a file of the epoch), else by the system's; no redirects, no proxy, no cookies, no compression;
 * each job has its deadline and its largest answer.  A name is resolved here and connected by address, which is looked
 * at once more when the socket is made (fetch_address.h).
 */
#ifndef SALLYPORT_HELPER_FETCH_H
#define SALLYPORT_HELPER_FETCH_H

#include "helper.h"

extern const struct helper_kind fetch_kind;

#endif
