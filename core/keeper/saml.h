/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SAML as the keeper sees it, who reads no XML: the helper says what stands in a response, and the keeper
 * what that makes of somebody.
 *
 *   login  ─▶ helper: request  ─▶ signed here ─▶ where the browser goes, and a flow: who asked for what, under a MAC
 *   acs    ─▶ helper: response ─▶ a principal of that one identity; new? ─▶ a sign-in
 *   logout ─▶ helper: logout   ─▶ the subject's sign-ins and sessions end
 *
 * Of what the helper says only the subject and its attributes are believed, and only for the identity
 * that was asked: its issuer is "saml:" and the entityID that the keeper itself finds in the metadata.  The
 * keeper holds no list of requests: the flow is the browser's, good for ten minutes; an assertion is good once.
 */
#ifndef SALLYPORT_KEEPER_SAML_H
#define SALLYPORT_KEEPER_SAML_H

#include "api.h"

struct saml_trust; /* of one epoch */

/* Issuers and keys of the identities of SAML; e and c outlive it.  *err_r is good until the next call. */
int saml_trust_new(const struct epoch *e, struct saml_trust **t_r, const char **err_r) SP_MUST;
void saml_trust_free(struct saml_trust **t);

void saml_open_jobs(struct keeper *k);
void saml_close_jobs(struct keeper *k);
int saml_told(struct keeper *k, struct link *l, struct message *m);
void saml_lost(struct keeper *k, unsigned index);
void saml_tick(struct keeper *k);

/* The identity's own metadata: what our side is called there. */
int api_saml_metadata(struct api *a);
/* Begins a sign-in; also for CALL_SIGNIN_BEGIN of an identity of SAML. */
int api_saml_login(struct api *a);
int api_saml_acs(struct api *a);
int api_saml_logout(struct api *a);

#endif
