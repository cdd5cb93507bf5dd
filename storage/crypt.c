/*
 * storage/crypt.c - AES-256-GCM on OpenSSL's EVP.  Contract: crypt.h.
 *
 * Why two cipher contexts per key: the key schedule is set once for each direction, a frame then
 * costs one nonce and no allocation.  A failed open wipes what it had written, so that no caller
 * can use bytes whose tag was wrong.
 */
#include "storage/crypt.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct crypt {
    unsigned magic;
#define CRYPT_MAGIC 0xc4197e35u
    EVP_CIPHER_CTX *seal; /* owned */
    EVP_CIPHER_CTX *open; /* owned */
};

struct crypt *crypt_new(const uint8_t key[CRYPT_KEY])
{
    struct crypt *c = mem_new(sizeof(*c));

    c->magic = CRYPT_MAGIC;
    c->seal = EVP_CIPHER_CTX_new();
    c->open = EVP_CIPHER_CTX_new();
    /* Only a broken libcrypto, or no memory for a few hundred bytes, fails here. */
    INVARIANT(c->seal != NULL && c->open != NULL);
    INVARIANT(EVP_EncryptInit_ex(c->seal, EVP_aes_256_gcm(), NULL, key, NULL) == 1);
    INVARIANT(EVP_DecryptInit_ex(c->open, EVP_aes_256_gcm(), NULL, key, NULL) == 1);
    return c;
}

void crypt_free(struct crypt **pc)
{
    struct crypt *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CRYPT_MAGIC);
    EVP_CIPHER_CTX_free(c->seal); /* wipes its key schedule */
    EVP_CIPHER_CTX_free(c->open);
    crypt_wipe(c, sizeof(*c));
    free(c);
    *pc = NULL;
}

void crypt_nonce(uint64_t number, uint8_t ret[CRYPT_NONCE])
{
    memset(ret, 0, CRYPT_NONCE - 8);
    for (unsigned i = 0; i < 8; i++)
        ret[CRYPT_NONCE - 8 + i] = (uint8_t)(number >> (8 * i));
}

static bool lengths_fit(struct str aad, struct str text)
{
    return aad.n <= INT_MAX && text.n <= INT_MAX - CRYPT_TAG;
}

int crypt_seal(struct crypt *c, const uint8_t nonce[CRYPT_NONCE], struct str aad, struct str plain,
               char *ret, struct err *err)
{
    unsigned char *out = (unsigned char *)ret;
    int n = 0;
    int ok;

    OBJ_CHECK(c, CRYPT_MAGIC);
    if (!lengths_fit(aad, plain))
        return err_set(err, ERR_LIMIT, "%zu bytes are too many for one sealed frame", plain.n);
    ok = EVP_EncryptInit_ex(c->seal, NULL, NULL, NULL, nonce);
    if (ok == 1 && aad.n != 0)
        ok = EVP_EncryptUpdate(c->seal, NULL, &n, (const unsigned char *)aad.p, (int)aad.n);
    if (ok == 1 && plain.n != 0)
        ok = EVP_EncryptUpdate(c->seal, out, &n, (const unsigned char *)plain.p, (int)plain.n);
    if (ok == 1)
        ok = EVP_EncryptFinal_ex(c->seal, out + plain.n, &n);
    if (ok == 1)
        ok = EVP_CIPHER_CTX_ctrl(c->seal, EVP_CTRL_GCM_GET_TAG, CRYPT_TAG, out + plain.n);
    if (ok != 1)
        return err_set(err, ERR_IO, "AES-256-GCM failed on %zu bytes", plain.n);
    return 0;
}

int crypt_open(struct crypt *c, const uint8_t nonce[CRYPT_NONCE], struct str aad, struct str sealed,
               char *ret, struct err *err)
{
    unsigned char *out = (unsigned char *)ret;
    unsigned char tag[CRYPT_TAG];
    unsigned char none[1];
    size_t plain;
    int n = 0;
    int ok;

    OBJ_CHECK(c, CRYPT_MAGIC);
    if (sealed.n < CRYPT_TAG)
        return err_set(err, ERR_CORRUPT, "%zu sealed bytes hold no tag", sealed.n);
    plain = sealed.n - CRYPT_TAG;
    if (!lengths_fit(aad, (struct str){sealed.p, plain}))
        return err_set(err, ERR_LIMIT, "%zu bytes are too many for one sealed frame", plain);
    memcpy(tag, sealed.p + plain, CRYPT_TAG);
    ok = EVP_DecryptInit_ex(c->open, NULL, NULL, NULL, nonce);
    if (ok == 1 && aad.n != 0)
        ok = EVP_DecryptUpdate(c->open, NULL, &n, (const unsigned char *)aad.p, (int)aad.n);
    if (ok == 1 && plain != 0)
        ok = EVP_DecryptUpdate(c->open, out, &n, (const unsigned char *)sealed.p, (int)plain);
    if (ok == 1)
        ok = EVP_CIPHER_CTX_ctrl(c->open, EVP_CTRL_GCM_SET_TAG, CRYPT_TAG, tag);
    if (ok == 1)
        ok = EVP_DecryptFinal_ex(c->open, none, &n);
    if (ok == 1)
        return 0;
    if (plain != 0)
        crypt_wipe(ret, plain);
    return err_set(err, ERR_CORRUPT, "%zu sealed bytes do not fit their key, place or tag", plain);
}

int crypt_wrap(const uint8_t kek[CRYPT_KEY], struct str aad, const uint8_t key[CRYPT_KEY],
               uint8_t ret[CRYPT_WRAPPED], struct err *err)
{
    struct crypt *c = NULL;
    int r;

    r = crypt_random(ret, CRYPT_NONCE, err);
    if (r < 0)
        return r;
    c = crypt_new(kek);
    r = crypt_seal(c, ret, aad, (struct str){(const char *)key, CRYPT_KEY},
                   (char *)ret + CRYPT_NONCE, err);
    crypt_free(&c);
    return r;
}

int crypt_unwrap(const uint8_t kek[CRYPT_KEY], struct str aad, const uint8_t wrapped[CRYPT_WRAPPED],
                 uint8_t ret[CRYPT_KEY], struct err *err)
{
    struct str sealed = {(const char *)wrapped + CRYPT_NONCE, CRYPT_KEY + CRYPT_TAG};
    struct crypt *c = crypt_new(kek);
    int r;

    r = crypt_open(c, wrapped, aad, sealed, (char *)ret, err);
    crypt_free(&c);
    return r;
}

int crypt_random(void *p, size_t n, struct err *err)
{
    if (n > INT_MAX)
        return err_set(err, ERR_LIMIT, "%zu random bytes are too many at once", n);
    if (fault_hit("crypt.random") || RAND_bytes(p, (int)n) != 1) {
        errno = EIO;
        return err_sys(err, "draw %zu random bytes", n);
    }
    return 0;
}

void crypt_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

void crypt_sha256(const struct str *pieces, size_t n, uint8_t ret[CRYPT_SHA256])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok;

    INVARIANT(ctx != NULL);
    ok = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (size_t i = 0; ok == 1 && i < n; i++)
        ok = EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n);
    if (ok == 1)
        ok = EVP_DigestFinal_ex(ctx, ret, NULL);
    INVARIANT(ok == 1);
    EVP_MD_CTX_free(ctx);
}
