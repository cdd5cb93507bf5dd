/*
 * storage/store_kv.c - the server's small durable values.  Contract: store.h.
 *
 * A value lies sealed in meta.db: nonce (12 random bytes), then AES-256-GCM of the value, bound to
 * its space and key, so that rows cannot be exchanged.  The key is SHA-256("logq kv key v1", WAL
 * key): it ends with the keyring, as all of DATA does.  Spaces and keys stand in clear.
 */
#include "base/obj.h"
#include "storage/keyring.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <string.h>

enum { VALUE_MAX = 16 << 20 };

/* Disk full: give the ballast up, and try once more. */
static bool made_room(struct store *s, int r, const struct err *err)
{
    bool released;

    if (r != ERR_IO || err->sys != ENOSPC)
        return false;
    (void)pthread_mutex_lock(&s->flush_mutex);
    released = ballast_release(&s->ballast);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return released;
}

int store_kv_open(struct store *s, struct err *err)
{
    uint8_t wal_key[KEY_BYTES];
    struct str pieces[2] = {STR("logq kv key v1"), {(const char *)wal_key, sizeof(wal_key)}};
    int r = keyring_wal(s->keyring, wal_key, err);

    if (r == 0)
        crypt_sha256(pieces, 2, s->kv_key);
    crypt_wipe(wal_key, sizeof(wal_key));
    return r;
}

/* What a value is bound to: space, NUL, key. */
static void bind_place(struct buf *out, const char *space, struct str key)
{
    buf_add(out, space, strlen(space) + 1);
    buf_add_str(out, key);
}

/* Append nonce and sealed value to `out`. */
static int seal(struct store *s, const char *space, struct str key, struct str value,
                struct buf *out, struct err *err)
{
    uint8_t nonce[CRYPT_NONCE];
    struct crypt *c = crypt_new(s->kv_key);
    struct buf aad;
    char *room;
    int r = crypt_random(nonce, sizeof(nonce), err);

    buf_init(&aad, VALUE_MAX);
    bind_place(&aad, space, key);
    buf_add(out, nonce, sizeof(nonce));
    room = buf_room(out, value.n + CRYPT_TAG);
    if (r == 0 && (room == NULL || aad.over))
        r = err_set(err, ERR_LIMIT, "a value of %zu bytes is too large to keep", value.n);
    if (r == 0)
        r = crypt_seal(c, nonce, buf_str(&aad), value, room, err);
    if (r == 0)
        out->n += value.n + CRYPT_TAG;
    buf_fini(&aad);
    crypt_free(&c);
    return r;
}

/* Append what `sealed` holds to `out`. */
static int unseal(struct store *s, const char *space, struct str key, struct str sealed,
                  struct buf *out, struct err *err)
{
    struct crypt *c;
    struct buf aad;
    size_t n;
    char *room;
    int r = 0;

    if (sealed.n < CRYPT_NONCE + CRYPT_TAG)
        return err_set(err, ERR_CORRUPT, "a value in space '%s' is cut off", space);
    n = sealed.n - CRYPT_NONCE - CRYPT_TAG;
    c = crypt_new(s->kv_key);
    buf_init(&aad, VALUE_MAX);
    bind_place(&aad, space, key);
    room = buf_room(out, n);
    if (room == NULL && n > 0)
        r = err_set(err, ERR_LIMIT, "a value of %zu bytes has no room", n);
    if (r == 0)
        r = crypt_open(c, (const uint8_t *)sealed.p, buf_str(&aad), str_from(sealed, CRYPT_NONCE),
                       room, err);
    if (r == 0)
        out->n += n;
    else
        (void)err_wrap(err, "a value in space '%s'", space);
    buf_fini(&aad);
    crypt_free(&c);
    return r;
}

int store_kv_put(struct store *s, const char *space, struct str key, struct str value,
                 struct err *err)
{
    struct buf sealed;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    buf_init(&sealed, VALUE_MAX);
    r = seal(s, space, key, value, &sealed, err);
    if (r == 0)
        r = meta_kv_put(s->meta, space, key, buf_str(&sealed), err);
    if (r < 0 && made_room(s, r, err))
        r = meta_kv_put(s->meta, space, key, buf_str(&sealed), err);
    buf_fini(&sealed);
    return r;
}

int store_kv_get(struct store *s, const char *space, struct str key, struct buf *ret,
                 struct err *err)
{
    struct buf sealed;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    buf_init(&sealed, VALUE_MAX);
    r = meta_kv_get(s->meta, space, key, &sealed, err);
    if (r == 0)
        r = unseal(s, space, key, buf_str(&sealed), ret, err);
    buf_fini(&sealed);
    return r;
}

int store_kv_delete(struct store *s, const char *space, struct str key, struct err *err)
{
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    r = meta_kv_delete(s->meta, space, key, err);
    if (r < 0 && made_room(s, r, err))
        r = meta_kv_delete(s->meta, space, key, err);
    return r;
}

int store_kv_each(struct store *s, const char *space, store_kv_fn *fn, void *arg, struct err *err)
{
    struct buf key;
    struct buf value; /* sealed */
    struct buf plain;
    struct buf last;
    struct str after = STR_NULL;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    buf_init(&key, VALUE_MAX);
    buf_init(&value, VALUE_MAX);
    buf_init(&plain, VALUE_MAX);
    buf_init(&last, VALUE_MAX);
    /* Pair by pair, so that fn may put and delete. */
    r = meta_kv_next(s->meta, space, NULL, &key, &value, err);
    while (r == 0) {
        buf_clear(&plain);
        r = unseal(s, space, buf_str(&key), buf_str(&value), &plain, err);
        if (r == 0)
            r = fn(arg, buf_str(&key), buf_str(&plain));
        if (r != 0)
            break;
        buf_clear(&last);
        buf_add_str(&last, buf_str(&key));
        after = buf_str(&last);
        r = meta_kv_next(s->meta, space, &after, &key, &value, err);
        if (r == 1)
            break;
    }
    buf_fini(&key);
    buf_fini(&value);
    buf_fini(&plain);
    buf_fini(&last);
    return r < 0 ? r : 0;
}
