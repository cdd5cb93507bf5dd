/* storage/store_kv.c - the server's small durable values.  Contract: store.h. */
#include "base/obj.h"
#include "storage/store_internal.h"

#include <errno.h>

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

int store_kv_put(struct store *s, const char *space, struct str key, struct str value,
                 struct err *err)
{
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    r = meta_kv_put(s->meta, space, key, value, err);
    if (r < 0 && made_room(s, r, err))
        r = meta_kv_put(s->meta, space, key, value, err);
    return r;
}

int store_kv_get(struct store *s, const char *space, struct str key, struct buf *ret,
                 struct err *err)
{
    OBJ_CHECK(s, STORE_MAGIC);
    return meta_kv_get(s->meta, space, key, ret, err);
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
    struct buf value;
    struct buf last;
    struct str after = STR_NULL;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    buf_init(&key, VALUE_MAX);
    buf_init(&value, VALUE_MAX);
    buf_init(&last, VALUE_MAX);
    /* Pair by pair, so that fn may put and delete. */
    r = meta_kv_next(s->meta, space, NULL, &key, &value, err);
    while (r == 0) {
        r = fn(arg, buf_str(&key), buf_str(&value));
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
    buf_fini(&last);
    return r < 0 ? r : 0;
}
