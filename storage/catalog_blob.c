/* storage/catalog_blob.c - see catalog_blob.h. */
#include "storage/catalog_blob.h"

#include "storage/le.h"

#include <zstd.h>

#include <stdlib.h>

enum { PLAIN = 0, ZSTD = 1, LEVEL = 1, SMALL = 128 /* not worth a zstd frame */ };

static struct str place_of(struct catalog_blob_id id, uint8_t bytes[9])
{
    bytes[0] = (uint8_t)id.kind;
    le_put64(bytes + 1, id.number);
    return (struct str){(const char *)bytes, 9};
}

/* Codec byte and bytes, whatever is shorter. */
static int pack(struct str plain, struct buf *ret, struct err *err)
{
    size_t bound = ZSTD_compressBound(plain.n);
    char *room;
    size_t n;

    buf_clear(ret);
    buf_add_char(ret, ZSTD);
    room = plain.n < SMALL ? NULL : buf_room(ret, bound);
    n = room == NULL ? plain.n : ZSTD_compress(room, bound, plain.p, plain.n, LEVEL);
    if (!ZSTD_isError(n) && n < plain.n) {
        ret->n += n;
        return 0;
    }
    buf_clear(ret);
    buf_add_char(ret, PLAIN);
    buf_add_str(ret, plain);
    return buf_err(ret, "a blob of the catalog", err);
}

int catalog_blob_seal(struct crypt *c, struct catalog_blob_id id, struct str plain, struct buf *ret,
                      struct err *err)
{
    uint8_t place[9];
    struct buf packed;
    char *room;
    int r;

    buf_init(&packed, (size_t)2 * CATALOG_BLOB_MAX);
    buf_clear(ret);
    if (plain.n > CATALOG_BLOB_MAX)
        r = err_set(err, ERR_LIMIT, "a blob of the catalog has %zu bytes", plain.n);
    else
        r = pack(plain, &packed, err);
    room = r < 0 ? NULL : buf_room(ret, CRYPT_NONCE + packed.n + CRYPT_TAG);
    if (r == 0 && room == NULL)
        r = err_set(err, ERR_LIMIT, "a blob of the catalog is too large");
    if (r == 0)
        r = crypt_random(room, CRYPT_NONCE, err);
    if (r == 0)
        r = crypt_seal(c, (const uint8_t *)room, place_of(id, place), buf_str(&packed),
                       room + CRYPT_NONCE, err);
    if (r == 0)
        ret->n += CRYPT_NONCE + packed.n + CRYPT_TAG;
    buf_fini(&packed);
    return r;
}

static int unpack(struct str packed, struct arena *a, struct str *ret, struct err *err)
{
    struct str in = str_from(packed, 1);
    unsigned long long n;
    char *room;

    if (packed.n == 0 || (packed.p[0] != PLAIN && packed.p[0] != ZSTD))
        return err_set(err, ERR_CORRUPT, "catalog: codec of a blob");
    if (packed.p[0] == PLAIN) {
        *ret = in;
        return 0;
    }
    n = ZSTD_getFrameContentSize(in.p, in.n);
    if (n > CATALOG_BLOB_MAX) /* also what it says when it does not know */
        return err_set(err, ERR_CORRUPT, "catalog: size of a blob");
    room = arena_bytes(a, (size_t)n + 1);
    if (room == NULL)
        return arena_err(a, err);
    if (ZSTD_decompress(room, (size_t)n, in.p, in.n) != n)
        return err_set(err, ERR_CORRUPT, "catalog: a blob does not decompress");
    *ret = (struct str){room, (size_t)n};
    return 0;
}

int catalog_blob_open(struct crypt *c, struct catalog_blob_id id, struct str sealed,
                      struct arena *a, struct str *ret, struct err *err)
{
    struct str packed = {.n = sealed.n - CRYPT_NONCE - CRYPT_TAG};
    uint8_t place[9];
    char *room;
    int r;

    if (sealed.n < CRYPT_NONCE + CRYPT_TAG)
        return err_set(err, ERR_CORRUPT, "catalog: a blob is cut");
    room = arena_bytes(a, packed.n + 1);
    if (room == NULL)
        return arena_err(a, err);
    r = crypt_open(c, (const uint8_t *)sealed.p, place_of(id, place), str_from(sealed, CRYPT_NONCE),
                   room, err);
    if (r < 0)
        return err_wrap(err, "catalog");
    packed.p = room;
    return unpack(packed, a, ret, err);
}
