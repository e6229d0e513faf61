/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of revoked certificates (CRLs), and what they say of a certificate whose chain was found good.
 *
 *   leaf ─ its issuer's list ─▶ issuer ─ its issuer's list ─▶ … ─▶ one of `ca` that nobody in `ca` issued
 *
 * Who asks for lists gets none but certain answers: a certificate whose issuer has no list here, or only lists that are out
 * of date, counts as revoked.
 */
#ifndef SALLYPORT_REVOKED_H
#define SALLYPORT_REVOKED_H

#include <gnutls/x509.h>

#include "memory.h"

struct revoked;

/* ca, crl: PEM.  Each list must be signed by one of ca.  *err_r stays. */
int revoked_new(struct sp_bytes ca, struct sp_bytes crl, struct revoked **r_r, const char **err_r) SP_MUST;
void revoked_free(struct revoked **r);
/* At wall seconds since 1970.  SP_EDENIED: revoked, or nobody can say; *err_r stays. */
int revoked_check(const struct revoked *r, gnutls_x509_crt_t leaf, uint64_t now, const char **err_r) SP_MUST;

#endif
