/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an approval binds to (P7): SHA-256 over parts, each with its length (be32) in front:
 *
 *   "sallyport approval 2"   "this session" or "next run"   the exact text
 *   how many meanings (be32), and per meaning (sp_op_means(): a table, what EXECUTE runs): name, value
 *   how many parameters (be32), and per parameter: type (be32) format (be16) null (u8), then the value
 *   issuer   subject   target   database   login
 *   per fact, in the module's order: name, value (search_path, role, transaction …)
 *   this session only: session id, token id        the asking rule's hash
 *
 * "Next run" leaves out the fact "transaction" too.  tests/unit/test_approval_hash.c has vectors.
 */
#ifndef SALLYPORT_APPROVAL_HASH_H
#define SALLYPORT_APPROVAL_HASH_H

#include "operation.h"

void approval_hash(const struct sp_op *op, const struct approval_rule *a, uint8_t out[DIGEST_LEN]);
/*
 * The first approval that the decision wants and the operation, as it is now, was not given; or NULL.
 * One that was given while search_path, role or the transaction were others does not count.
 */
const struct approval_rule *approval_missing(const struct sp_op *op, const struct decision *d);

#endif
