/*
 * storage/crypt.h - AES-256-GCM as storage uses it (NIST SP 800-38D), key wrapping, random bytes,
 * SHA-256.
 *
 * A context is one thread's; it keeps its cipher state between calls.
 */
#ifndef LOGQ_STORAGE_CRYPT_H
#define LOGQ_STORAGE_CRYPT_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum {
    CRYPT_KEY = 32,
    CRYPT_NONCE = 12,
    CRYPT_TAG = 16,
    CRYPT_WRAPPED = 12 + 32 + 16,
    CRYPT_SHA256 = 32
};

struct crypt;
struct crypt *crypt_new(const uint8_t key[CRYPT_KEY]); /* keeps a copy */
void crypt_free(struct crypt **pc);                    /* wipes it */

/* The deterministic nonce of frame `number` under a key that is used for this one file only. */
void crypt_nonce(uint64_t number, uint8_t ret[CRYPT_NONCE]);

/* ret holds plain.n + CRYPT_TAG bytes. */
int crypt_seal(struct crypt *c, const uint8_t nonce[CRYPT_NONCE], struct str aad, struct str plain,
               char *ret, struct err *err);
/* ret holds sealed.n - CRYPT_TAG bytes; it may be sealed.p itself.  ERR_CORRUPT when bytes, aad,
 * nonce or key do not fit. */
int crypt_open(struct crypt *c, const uint8_t nonce[CRYPT_NONCE], struct str aad, struct str sealed,
               char *ret, struct err *err);

/* Wrap a key under another with a random nonce; `aad` binds it to its place. */
int crypt_wrap(const uint8_t kek[CRYPT_KEY], struct str aad, const uint8_t key[CRYPT_KEY],
               uint8_t ret[CRYPT_WRAPPED], struct err *err);
int crypt_unwrap(const uint8_t kek[CRYPT_KEY], struct str aad, const uint8_t wrapped[CRYPT_WRAPPED],
                 uint8_t ret[CRYPT_KEY], struct err *err);

int crypt_random(void *p, size_t n, struct err *err);
void crypt_wipe(void *p, size_t n); /* not optimised away */

/* SHA-256 over the pieces in order. */
void crypt_sha256(const struct str *pieces, size_t n, uint8_t ret[CRYPT_SHA256]);

#endif
