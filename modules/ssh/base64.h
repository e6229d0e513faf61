/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648), padded, as SSH writes keys and fingerprints. */
#ifndef SALLYPORT_SSH_BASE64_H
#define SALLYPORT_SSH_BASE64_H

#include <sallyport/wire.h>

/* How many bytes; 0 when it is no base64 or does not fit. */
size_t base64_decode(const char *text, uint8_t *out, size_t max);
bool base64_encode(struct sp_bytes in, char *out, size_t max);

#endif
