/* storage/block_decode.c - frames to columns.  Contract and layout: block.h. */
#include "storage/block.h"
#include "storage/column_int.h"
#include "storage/varint.h"

#include <zstd.h>

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "block: %s", what);
}

int block_frame_open(void *zstd, const struct block_frame *f, struct arena *a, struct str *ret,
                     struct err *err)
{
    char *to;
    size_t n;

    if (f->raw_bytes > BLOCK_FRAME_MAX)
        return corrupt("frame is too long", err);
    if (f->codec == BLOCK_PLAIN) {
        if (f->bytes.n != f->raw_bytes)
            return corrupt("length of a plain frame", err);
        *ret = f->bytes;
        return 0;
    }
    if (f->codec != BLOCK_ZSTD)
        return corrupt("unknown codec of a frame", err);
    /* Asked before anything is allocated: a frame that lies about its size is not worth the memory.
     */
    if (ZSTD_getFrameContentSize(f->bytes.p, f->bytes.n) != f->raw_bytes)
        return corrupt("length of a compressed frame", err);
    to = arena_bytes(a, f->raw_bytes + (size_t)1);
    if (to == NULL)
        return arena_err(a, err);
    n = ZSTD_decompressDCtx(zstd, to, f->raw_bytes, f->bytes.p, f->bytes.n);
    if (ZSTD_isError(n) || n != f->raw_bytes)
        return corrupt("frame does not decompress", err);
    *ret = (struct str){to, n};
    return 0;
}

/* Where each row lies: rows of the first stream in their order, then those of the next. */
static int make_layout(struct block_keys *k, const struct block_shape *shape, struct arena *a,
                       struct err *err)
{
    size_t streams = (size_t)(shape->last_stream - shape->first_stream) + 1;
    uint32_t *next = arena_alloc(a, (streams + 1) * sizeof(*next));

    k->layout = arena_room(a, shape->rows, sizeof(*k->layout));
    if (next == NULL || k->layout == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < shape->rows; i++)
        next[k->stream[i] - shape->first_stream + 1]++;
    for (size_t s = 0; s < streams; s++)
        next[s + 1] += next[s];
    for (size_t i = 0; i < shape->rows; i++)
        k->layout[i] = next[k->stream[i] - shape->first_stream]++;
    return 0;
}

static int narrow_streams(const uint64_t *wide, const struct block_shape *shape, uint32_t *ret,
                          struct err *err)
{
    uint64_t top = 0;

    for (size_t i = 0; i < shape->rows; i++) {
        top = wide[i] > top ? wide[i] : top;
        ret[i] = shape->first_stream + (uint32_t)wide[i];
    }
    if (top > shape->last_stream - shape->first_stream)
        return corrupt("stream outside of its interval", err);
    return 0;
}

/* Take one key column off the front: `ret` NULL skips it. */
static int take_column(struct str *frame, size_t n, uint64_t *ret, struct err *err)
{
    struct str column;
    uint64_t bytes;
    int r = 0;

    if (!varint_get(frame, &bytes) || bytes > frame->n)
        return corrupt("keys are cut", err);
    column = str_sub(*frame, 0, (size_t)bytes);
    *frame = str_from(*frame, (size_t)bytes);
    if (ret != NULL) {
        r = column_int_decode(&column, n, ret, err);
        if (r == 0 && column.n != 0)
            r = corrupt("bytes behind a column of keys", err);
    }
    return r;
}

static int take_streams(struct str *frame, const struct block_shape *shape, struct arena *a,
                        uint32_t **ret, struct err *err)
{
    uint64_t *wide = arena_room(a, shape->rows, sizeof(*wide));
    uint32_t *stream = arena_room(a, shape->rows, sizeof(*stream));
    int r;

    if (wide == NULL || stream == NULL)
        return arena_err(a, err);
    r = take_column(frame, shape->rows, wide, err);
    if (r == 0)
        r = narrow_streams(wide, shape, stream, err);
    *ret = stream;
    return r;
}

int block_keys_decode(struct str frame, const struct block_shape *shape, unsigned wanted,
                      struct arena *a, struct block_keys *ret, struct err *err)
{
    bool streams = (wanted & (BLOCK_WANT_STREAM | BLOCK_WANT_LAYOUT)) != 0;
    struct block_keys k = {0};
    size_t n = shape->rows;
    uint64_t *ts = NULL;
    int r;

    if ((wanted & BLOCK_WANT_TS) != 0 && (ts = arena_room(a, n, sizeof(*ts))) == NULL)
        return arena_err(a, err);
    if ((wanted & BLOCK_WANT_SEQ) != 0 && (k.seq = arena_room(a, n, sizeof(*k.seq))) == NULL)
        return arena_err(a, err);
    r = take_column(&frame, n, ts, err);
    k.ts = (ts_ns *)ts; /* the same 64 bits, read as signed */
    if (r == 0)
        r = streams ? take_streams(&frame, shape, a, &k.stream, err)
                    : take_column(&frame, n, NULL, err);
    if (r == 0)
        r = take_column(&frame, n, k.seq, err);
    if (r == 0 && frame.n != 0)
        r = corrupt("bytes behind the keys", err);
    for (size_t i = 1; r == 0 && k.seq != NULL && i < n; i++)
        if (k.seq[i] <= k.seq[i - 1])
            r = corrupt("rows out of order", err);
    if (r == 0 && (wanted & BLOCK_WANT_LAYOUT) != 0)
        r = make_layout(&k, shape, a, err);
    if (r == 0)
        *ret = k;
    return r;
}

int block_plans_split(struct str frame, struct block_plans *ret, struct err *err)
{
    struct str part[2];

    for (size_t i = 0; i < 2; i++) {
        uint64_t n;
        if (!varint_get(&frame, &n) || n > frame.n)
            return corrupt("plans are cut", err);
        part[i] = str_sub(frame, 0, (size_t)n);
        frame = str_from(frame, (size_t)n);
    }
    if (frame.n != 0 || part[0].n == 0)
        return corrupt("plans do not fill their frame", err);
    *ret = (struct block_plans){part[0], part[1]};
    return 0;
}
