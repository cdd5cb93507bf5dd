/*
 * wire/forward_auth.c - contract: forward_auth.h; messages and digests: docs/formats/forward.md.
 *
 * User name and password of a PING are not looked at: a sender that has an identity worth checking
 * has a certificate.
 */
#include "wire/forward_auth.h"

#include "wire/mp_pack.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum { SHA512_BYTES = 64, DIGEST_TEXT = 2 * SHA512_BYTES };

int forward_auth_helo(struct forward_auth *a, struct buf *out, struct err *err)
{
    msgpack_packer pk;

    if (RAND_bytes(a->nonce, sizeof(a->nonce)) != 1 || RAND_bytes(a->salt, sizeof(a->salt)) != 1)
        return err_set(err, ERR_IO, "no random bytes for a nonce");
    mp_pack_init(&pk, out);
    (void)msgpack_pack_array(&pk, 2);
    mp_pack_text(&pk, STR("HELO"));
    (void)msgpack_pack_map(&pk, 3);
    mp_pack_text(&pk, STR("nonce"));
    (void)msgpack_pack_bin_with_body(&pk, a->nonce, sizeof(a->nonce));
    mp_pack_text(&pk, STR("auth"));
    (void)msgpack_pack_bin_with_body(&pk, a->salt, sizeof(a->salt));
    mp_pack_text(&pk, STR("keepalive"));
    (void)msgpack_pack_true(&pk);
    return buf_err(out, "HELO", err);
}

/* hex(SHA-512(salt, hostname, nonce, shared key)) into 128 bytes. */
static int digest(const struct forward_auth *a, struct str salt, struct str hostname,
                  struct str shared_key, char ret[DIGEST_TEXT], struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char sum[EVP_MAX_MD_SIZE];
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha512(), NULL) == 1 &&
              EVP_DigestUpdate(md, salt.p, salt.n) == 1 &&
              EVP_DigestUpdate(md, hostname.p, hostname.n) == 1 &&
              EVP_DigestUpdate(md, a->nonce, sizeof(a->nonce)) == 1 &&
              EVP_DigestUpdate(md, shared_key.p, shared_key.n) == 1 &&
              EVP_DigestFinal_ex(md, sum, NULL) == 1;
    size_t i;

    EVP_MD_CTX_free(md);
    if (!ok)
        return err_set(err, ERR_NOMEM, "SHA-512 failed");
    for (i = 0; i < SHA512_BYTES; i++) {
        ret[2 * i] = hex[sum[i] >> 4];
        ret[2 * i + 1] = hex[sum[i] & 15];
    }
    return 0;
}

static void pack_pong(struct buf *out, bool welcome, struct str reason, struct str hostname,
                      struct str proof)
{
    msgpack_packer pk;

    mp_pack_init(&pk, out);
    (void)msgpack_pack_array(&pk, 5);
    mp_pack_text(&pk, STR("PONG"));
    if (welcome)
        (void)msgpack_pack_true(&pk);
    else
        (void)msgpack_pack_false(&pk);
    mp_pack_text(&pk, reason);
    mp_pack_text(&pk, hostname);
    mp_pack_text(&pk, proof);
}

int forward_auth_check(const struct forward_auth *a, const struct forward_message *ping,
                       struct str shared_key, struct str our_hostname, struct buf *out,
                       struct err *err)
{
    struct str salt = ping->ping[FORWARD_PING_SALT];
    struct str claimed = ping->ping[FORWARD_PING_DIGEST];
    char expected[DIGEST_TEXT], proof[DIGEST_TEXT];
    int r;

    if (ping->kind != FORWARD_PING)
        return err_set(err, ERR_DENIED, "data where PING was due");
    r = digest(a, salt, ping->ping[FORWARD_PING_HOSTNAME], shared_key, expected, err);
    if (r == 0)
        r = digest(a, salt, our_hostname, shared_key, proof, err);
    if (r < 0)
        return r;
    if (shared_key.n == 0 || claimed.n != sizeof(expected) ||
        CRYPTO_memcmp(claimed.p, expected, sizeof(expected)) != 0) {
        pack_pong(out, false, STR("shared_key mismatch"), STR(""), STR(""));
        return err_set(err, ERR_DENIED, "the shared key does not match");
    }
    pack_pong(out, true, STR(""), our_hostname, (struct str){proof, sizeof(proof)});
    return buf_err(out, "PONG", err);
}
