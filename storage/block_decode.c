/* storage/block_decode.c - frames to columns.  Contract and layout: block.h. */
#include "storage/block.h"
#include "storage/column_int.h"

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

    k->layout = arena_alloc(a, shape->rows * sizeof(*k->layout));
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
    for (size_t i = 0; i < shape->rows; i++) {
        if (wide[i] > shape->last_stream - shape->first_stream)
            return corrupt("stream outside of its interval", err);
        ret[i] = shape->first_stream + (uint32_t)wide[i];
    }
    return 0;
}

int block_keys_decode(struct str frame, const struct block_shape *shape, struct arena *a,
                      struct block_keys *ret, struct err *err)
{
    struct block_keys k = {0};
    size_t n = shape->rows;
    uint64_t *wide = arena_alloc(a, n * sizeof(*wide));
    uint64_t *ts = arena_alloc(a, n * sizeof(*ts));
    int r;

    k.seq = arena_alloc(a, n * sizeof(*k.seq));
    k.stream = arena_alloc(a, n * sizeof(*k.stream));
    if (wide == NULL || ts == NULL || k.seq == NULL || k.stream == NULL)
        return arena_err(a, err);
    r = column_int_decode(&frame, n, ts, err);
    if (r == 0)
        r = column_int_decode(&frame, n, k.seq, err);
    if (r == 0)
        r = column_int_decode(&frame, n, wide, err);
    if (r == 0 && frame.n != 0)
        r = corrupt("bytes behind the keys", err);
    if (r == 0)
        r = narrow_streams(wide, shape, k.stream, err);
    for (size_t i = 1; r == 0 && i < n; i++)
        if (k.seq[i] <= k.seq[i - 1])
            r = corrupt("rows out of order", err);
    if (r == 0)
        r = make_layout(&k, shape, a, err);
    k.ts = (ts_ns *)ts; /* the same 64 bits, read as signed */
    if (r == 0)
        *ret = k;
    return r;
}

int block_lines_decode(struct str frame, size_t n, struct arena *a, struct block_lines *ret,
                       struct err *err)
{
    uint64_t *lengths = arena_alloc(a, n * sizeof(*lengths));
    uint32_t *end = arena_alloc(a, n * sizeof(*end));
    size_t at = 0;
    int r;

    if (lengths == NULL || end == NULL)
        return arena_err(a, err);
    r = column_int_decode(&frame, n, lengths, err);
    if (r < 0)
        return r;
    if (frame.n > BLOCK_FRAME_MAX)
        return corrupt("text is too long", err);
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] > frame.n - at)
            return corrupt("lines are cut", err);
        at += (size_t)lengths[i];
        end[i] = (uint32_t)at;
    }
    if (at != frame.n)
        return corrupt("bytes behind the last line", err);
    *ret = (struct block_lines){frame, end};
    return 0;
}
