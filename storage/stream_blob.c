/* storage/stream_blob.c - see stream_blob.h. */
#include "storage/stream_blob.h"

#include "storage/varint.h"

static void put(struct buf *b, struct str s)
{
    varint_put(b, s.n);
    buf_add_str(b, s);
}

void stream_blob_put(struct buf *b, const struct labels *l)
{
    varint_put(b, l->n);
    for (size_t i = 0; i < l->n; i++) {
        put(b, l->v[i].name);
        put(b, l->v[i].value);
    }
}

static bool get(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

int stream_blob_get(struct str *in, struct arena *a, struct labels *ret, struct err *err)
{
    struct labels l = {0};
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n / 2)
        return err_set(err, ERR_CORRUPT, "stream: count of labels");
    l.v = arena_alloc(a, (size_t)n * sizeof(*l.v));
    if (l.v == NULL)
        return arena_err(a, err);
    for (; l.n < n; l.n++)
        if (!get(in, &l.v[l.n].name) || !get(in, &l.v[l.n].value))
            return err_set(err, ERR_CORRUPT, "stream: label is cut");
    *ret = l;
    return 0;
}
