/* storage/block_encode.c - rows to frames.  Contract and layout: block.h. */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/block.h"
#include "storage/block_header.h"
#include "storage/column_int.h"

#include <zstd.h>

#include <stdlib.h>
#include <string.h>

struct block_encoder {
    unsigned magic;
#define BLOCK_ENCODER_MAGIC 0xb10ce4c0u
    ZSTD_CCtx *zstd; /* owned */
    int level;
    struct buf plain;
    struct buf stored[BLOCK_KINDS];
    struct block_frame frame[BLOCK_KINDS];
    size_t n_frames;
};

struct arrival {
    uint64_t seq;
    uint32_t row;
};

struct block_encoder *block_encoder_new(int zstd_level)
{
    struct block_encoder *e = mem_new(sizeof(*e));

    e->magic = BLOCK_ENCODER_MAGIC;
    e->zstd = ZSTD_createCCtx();
    INVARIANT(e->zstd != NULL); /* a small fixed size, as with mem_new */
    e->level = zstd_level == 0 ? 1 : zstd_level;
    buf_init(&e->plain, BLOCK_FRAME_MAX);
    for (size_t i = 0; i < BLOCK_KINDS; i++)
        buf_init(&e->stored[i], ZSTD_compressBound(BLOCK_FRAME_MAX));
    return e;
}

void block_encoder_free(struct block_encoder **pe)
{
    struct block_encoder *e = *pe;

    if (e == NULL)
        return;
    OBJ_CHECK(e, BLOCK_ENCODER_MAGIC);
    (void)ZSTD_freeCCtx(e->zstd);
    buf_fini(&e->plain);
    for (size_t i = 0; i < BLOCK_KINDS; i++)
        buf_fini(&e->stored[i]);
    e->magic = 0;
    free(e);
    *pe = NULL;
}

size_t block_row_bytes(const struct block_row *row)
{
    size_t n = row->line.n;

    for (uint32_t i = 0; i < row->n_attr; i++)
        n += row->attr[i].name.n + row->attr[i].value.n;
    return n;
}

static int by_seq(const void *a, const void *b)
{
    const struct arrival *x = a;
    const struct arrival *y = b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void put_keys(struct buf *b, const struct block_row *rows, size_t n)
{
    struct arrival *order = mem_grow(NULL, n * sizeof(*order));
    uint64_t *column = mem_grow(NULL, n * sizeof(*column));
    bool sorted = true;

    for (size_t i = 0; i < n; i++) {
        order[i] = (struct arrival){rows[i].seq, (uint32_t)i};
        sorted = sorted && (i == 0 || rows[i - 1].seq < rows[i].seq);
    }
    if (!sorted)
        qsort(order, n, sizeof(*order), by_seq);
    for (size_t i = 0; i < n; i++)
        column[i] = (uint64_t)rows[order[i].row].ts;
    column_int_encode(b, column, n);
    for (size_t i = 0; i < n; i++)
        column[i] = order[i].seq;
    column_int_encode(b, column, n);
    for (size_t i = 0; i < n; i++)
        column[i] = rows[order[i].row].stream - rows[0].stream; /* the first one */
    column_int_encode(b, column, n);
    free(order);
    free(column);
}

static void put_lines(struct buf *b, const struct block_row *rows, size_t n)
{
    uint64_t *lengths = mem_grow(NULL, n * sizeof(*lengths));

    for (size_t i = 0; i < n; i++)
        lengths[i] = rows[i].line.n;
    column_int_encode(b, lengths, n);
    free(lengths);
    for (size_t i = 0; i < n; i++)
        buf_add_str(b, rows[i].line);
}

/* Compress e->plain as frame `kind`, or keep it as it is where that is no longer. */
static int add_frame(struct block_encoder *e, enum block_frame_kind kind, struct err *err)
{
    struct buf *out = &e->stored[kind];
    struct block_frame *f = &e->frame[e->n_frames];
    size_t bound = ZSTD_compressBound(e->plain.n);
    char *room;
    size_t n;

    if (buf_err(&e->plain, "frame of a block", err) < 0)
        return ERR_LIMIT;
    buf_clear(out);
    room = buf_room(out, bound);
    if (room == NULL)
        return err_set(err, ERR_NOMEM, "no memory to compress %zu bytes", e->plain.n);
    n = ZSTD_compressCCtx(e->zstd, room, bound, e->plain.p, e->plain.n, e->level);
    *f = (struct block_frame){.kind = (uint16_t)kind, .raw_bytes = (uint32_t)e->plain.n};
    if (ZSTD_isError(n) || n >= e->plain.n) {
        memcpy(room, e->plain.p, e->plain.n);
        n = e->plain.n;
        f->codec = BLOCK_PLAIN;
    } else {
        f->codec = BLOCK_ZSTD;
    }
    out->n = n;
    f->bytes = buf_str(out);
    e->n_frames++;
    buf_clear(&e->plain);
    return 0;
}

int block_encoder_run(struct block_encoder *e, const struct block_row *rows, size_t n,
                      const struct block_frame **ret, size_t *ret_n, struct err *err)
{
    int r;

    OBJ_CHECK(e, BLOCK_ENCODER_MAGIC);
    INVARIANT(n > 0 && n <= BLOCK_ROWS_MAX);
    e->n_frames = 0;
    buf_clear(&e->plain);
    put_keys(&e->plain, rows, n);
    r = add_frame(e, BLOCK_KEYS, err);
    if (r == 0) {
        put_lines(&e->plain, rows, n);
        r = add_frame(e, BLOCK_LINES, err);
    }
    if (r == 0) {
        block_attrs_encode(&e->plain, rows, n);
        if (e->plain.n > 0 || e->plain.over)
            r = add_frame(e, BLOCK_ATTRS, err);
    }
    if (r < 0)
        return r;
    *ret = e->frame;
    *ret_n = e->n_frames;
    return 0;
}
