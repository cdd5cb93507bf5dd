/*
 * storage/block_encode.c - rows to frames.  Contract and layout: block.h.
 *
 * Whether templates pay is asked of the compressor itself: the lines as templates are compressed
 * first; only when that is no clear gain over what a sample of the raw text promises, all of the
 * text is compressed as well and the smaller one stays.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/block.h"
#include "storage/block_header.h"
#include "storage/column_int.h"
#include "storage/varint.h"

#include <zstd.h>

#include <stdlib.h>
#include <string.h>

enum {
    LEVEL_NUMBERS = 1,
    WINDOW_LOG_MAX = 20, /* bounds the memory of readers, and of high levels here */
    TABLE_LOG_MAX = 19,
    TEMPLATES_SURE = 16,     /* lines so many times smaller need no second look */
    SAMPLE_PIECE = 64 << 10, /* of raw text, compressed to see how small it would get */
    SAMPLE_PIECES = 4,
    PLAN_SHRINKS = 3, /* a plan gets about so much smaller */
    GAIN = 8,         /* compression that saves less than one byte in so many is left */
};

struct stored {
    uint16_t kind, codec;
    uint32_t raw_bytes;
    size_t at, n; /* in `bytes` */
};

struct arrival {
    uint64_t seq;
    uint32_t row;
};

struct block_encoder {
    unsigned magic;
#define BLOCK_ENCODER_MAGIC 0xb10ce4c0u
    ZSTD_CCtx *numbers, *text; /* owned */
    struct lines_encoder *lines;
    struct buf plain, scratch;
    struct buf plan;               /* of the lines */
    struct buf bytes;              /* of all frames, compressed */
    VEC(struct stored) data, head; /* DATA frames; those before them */
    struct stored census;          /* behind them, if has_census */
    bool has_census;
    VEC(struct block_frame) frame;   /* what came out */
    VEC(struct str) line;            /* of the rows */
    VEC(struct lines_attr_row) attr; /* of the rows */
    VEC(uint16_t) template;          /* of the rows */
    VEC(struct arrival) order;
    VEC(uint64_t) column;
};

/* zstd's own parameters but for the window, and tables no larger than it. */
static ZSTD_CCtx *new_context(int level)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    INVARIANT(c != NULL); /* a small fixed size, as with mem_new */
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    if (level >= BLOCK_LEVEL_SMALL) {
        (void)ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, WINDOW_LOG_MAX);
        (void)ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, TABLE_LOG_MAX);
        (void)ZSTD_CCtx_setParameter(c, ZSTD_c_chainLog, TABLE_LOG_MAX);
    }
    return c;
}

struct block_encoder *block_encoder_new(int zstd_level)
{
    struct block_encoder *e = mem_new(sizeof(*e));

    e->magic = BLOCK_ENCODER_MAGIC;
    e->numbers = new_context(LEVEL_NUMBERS);
    e->text = new_context(zstd_level == 0 ? 1 : zstd_level);
    e->lines = lines_encoder_new(zstd_level >= BLOCK_LEVEL_SMALL);
    buf_init(&e->plain, BLOCK_FRAME_MAX);
    buf_init(&e->scratch, BLOCK_FRAME_MAX);
    buf_init(&e->plan, BLOCK_FRAME_MAX);
    buf_init(&e->bytes, (size_t)1 << 30);
    return e;
}

void block_encoder_free(struct block_encoder **pe)
{
    struct block_encoder *e = *pe;

    if (e == NULL)
        return;
    OBJ_CHECK(e, BLOCK_ENCODER_MAGIC);
    (void)ZSTD_freeCCtx(e->numbers);
    (void)ZSTD_freeCCtx(e->text);
    lines_encoder_free(&e->lines);
    buf_fini(&e->plain);
    buf_fini(&e->scratch);
    buf_fini(&e->plan);
    buf_fini(&e->bytes);
    VEC_FINI(&e->data);
    VEC_FINI(&e->head);
    VEC_FINI(&e->frame);
    VEC_FINI(&e->line);
    VEC_FINI(&e->attr);
    VEC_FINI(&e->template);
    VEC_FINI(&e->order);
    VEC_FINI(&e->column);
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

/* ---- keys ---- */

static int by_seq(const void *a, const void *b)
{
    const struct arrival *x = a;
    const struct arrival *y = b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* e->column as a number column with its length in front. */
static void put_column(struct block_encoder *e)
{
    buf_clear(&e->scratch);
    column_int_encode(&e->scratch, e->column.p, e->column.n);
    varint_put(&e->plain, e->scratch.n);
    buf_add_str(&e->plain, buf_str(&e->scratch));
}

static void put_keys(struct block_encoder *e, const struct block_row *rows, size_t n)
{
    bool sorted = true;

    VEC_RESERVE(&e->order, n);
    VEC_RESERVE(&e->column, n);
    e->column.n = n;
    for (size_t i = 0; i < n; i++) {
        e->order.p[i] = (struct arrival){rows[i].seq, (uint32_t)i};
        sorted = sorted && (i == 0 || rows[i - 1].seq < rows[i].seq);
    }
    if (!sorted)
        qsort(e->order.p, n, sizeof(*e->order.p), by_seq);
    for (size_t i = 0; i < n; i++)
        e->column.p[i] = (uint64_t)rows[e->order.p[i].row].ts;
    put_column(e);
    for (size_t i = 0; i < n; i++)
        e->column.p[i] = rows[e->order.p[i].row].stream - rows[0].stream; /* the first one */
    put_column(e);
    for (size_t i = 0; i < n; i++)
        e->column.p[i] = e->order.p[i].seq;
    put_column(e);
}

/* ---- frames ---- */

/* Compress `plain` behind what is in e->bytes, or keep it as it is where that saves little: it
 * never needs more room than itself, and numbers that are packed already, which filters read by the
 * million, take longer to decompress than to search. */
static int compress(struct block_encoder *e, ZSTD_CCtx *zstd, enum block_frame_kind kind,
                    struct str plain, struct stored *ret, struct err *err)
{
    char *room;
    size_t n;

    if (plain.n > BLOCK_FRAME_MAX)
        return err_set(err, ERR_LIMIT, "frame of %zu bytes", plain.n);
    room = buf_room(&e->bytes, plain.n);
    if (room == NULL)
        return err_set(err, ERR_NOMEM, "no memory to compress %zu bytes", plain.n);
    n = ZSTD_compress2(zstd, room, plain.n, plain.p, plain.n);
    *ret =
        (struct stored){.kind = (uint16_t)kind, .raw_bytes = (uint32_t)plain.n, .at = e->bytes.n};
    if (ZSTD_isError(n) || n >= plain.n - plain.n / GAIN) {
        if (plain.n > 0)
            memcpy(room, plain.p, plain.n);
        ret->codec = BLOCK_PLAIN;
        n = plain.n;
    } else {
        ret->codec = BLOCK_ZSTD;
    }
    ret->n = n;
    e->bytes.n += n;
    return 0;
}

/* The same with e->plain, which is empty afterwards. */
static int compress_plain(struct block_encoder *e, ZSTD_CCtx *zstd, enum block_frame_kind kind,
                          struct stored *ret, struct err *err)
{
    int r = buf_err(&e->plain, "frame of a block", err);

    if (r == 0)
        r = compress(e, zstd, kind, buf_str(&e->plain), ret, err);
    if (r == 0)
        buf_clear(&e->plain);
    return r;
}

static int add_head(struct block_encoder *e, ZSTD_CCtx *zstd, enum block_frame_kind kind,
                    struct err *err)
{
    struct stored s;
    int r = compress_plain(e, zstd, kind, &s, err);

    if (r == 0)
        VEC_PUSH(&e->head, s);
    return r;
}

/* The data frames behind those in e->data; what they and the plan will take in *ret_bytes. */
static int add_data(struct block_encoder *e, const struct lines_encoded *l, size_t *ret_bytes,
                    struct err *err)
{
    size_t bytes = l->plan.n / PLAN_SHRINKS;

    for (size_t i = 0; i < l->n_frames; i++) {
        ZSTD_CCtx *zstd = l->frame[i].content == LINES_TEXT ? e->text : e->numbers;
        struct stored s;
        int r = compress(e, zstd, BLOCK_DATA, l->frame[i].bytes, &s, err);
        if (r < 0)
            return r;
        VEC_PUSH(&e->data, s);
        bytes += s.n;
    }
    *ret_bytes = bytes;
    return 0;
}

/* ---- lines ---- */

static size_t text_bytes(const struct block_encoder *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->line.n; i++)
        n += e->line.p[i].n;
    return n;
}

/* Text of the rows from `row` on, at least `want` bytes of it if there are so many, in e->scratch.
 */
static void add_sample(struct block_encoder *e, size_t row, size_t want)
{
    size_t end = e->scratch.n + want;

    for (; row < e->line.n && e->scratch.n < end; row++)
        buf_add_str(&e->scratch, str_sub(e->line.p[row], 0, SAMPLE_PIECE));
}

/* What the text would take, from a sample. */
static size_t estimate_raw(struct block_encoder *e, size_t bytes)
{
    size_t bound;
    size_t n;
    char *room;

    buf_clear(&e->scratch);
    for (size_t i = 0; i < SAMPLE_PIECES; i++)
        add_sample(e, e->line.n * i / SAMPLE_PIECES, SAMPLE_PIECE);
    bound = ZSTD_compressBound(e->scratch.n);
    room = buf_room(&e->bytes, bound);
    if (room == NULL || e->scratch.n == 0)
        return bytes;
    n = ZSTD_compress2(e->text, room, bound, e->scratch.p, e->scratch.n);
    if (ZSTD_isError(n))
        return bytes;
    return (size_t)((double)n / (double)e->scratch.n * (double)bytes);
}

/* Whether compressing all of the text may give less than `bytes`, what templates take. */
static bool may_raw_pay(struct block_encoder *e, size_t bytes)
{
    size_t text = text_bytes(e);

    if (bytes < text / TEMPLATES_SURE)
        return false;
    if (text <= (size_t)SAMPLE_PIECES * SAMPLE_PIECE)
        return true;
    return bytes > estimate_raw(e, text) / 4 * 3; /* a sample repeats less than the whole */
}

/* Keep frames [from, n) of e->data in place of those before. */
static void drop_before(struct block_encoder *e, size_t from)
{
    memmove(e->data.p, e->data.p + from, (e->data.n - from) * sizeof(*e->data.p));
    e->data.n -= from;
}

/* The template of each row, from the frame that says so. */
static void keep_templates(struct block_encoder *e, const struct lines_encoded *l)
{
    const uint8_t *ids = NULL;
    size_t width = 0;

    if (l->n_frames > 0 && l->frame[0].content == LINES_IDS) {
        ids = (const uint8_t *)l->frame[0].bytes.p;
        width = l->frame[0].bytes.n / e->line.n;
    }
    for (size_t i = 0; i < e->line.n; i++) {
        unsigned t = width == 0 ? 0 : ids[i * width];
        if (width == 2)
            t |= (unsigned)ids[i * 2 + 1] << 8;
        e->template.p[i] = (uint16_t)t;
    }
}

static int put_lines(struct block_encoder *e, struct err *err)
{
    struct lines_encoded l;
    size_t templates = 0;
    size_t raw = 0;
    size_t n;
    int r = lines_encode(e->lines, e->line.p, e->line.n, &l, err);

    if (r == 0)
        r = add_data(e, &l, &templates, err);
    if (r < 0)
        return r;
    buf_clear(&e->plan);
    buf_add_str(&e->plan, l.plan);
    keep_templates(e, &l);
    n = e->data.n;
    if (l.raw_rows == e->line.n || !may_raw_pay(e, templates))
        return 0;
    r = lines_encode_raw(e->lines, e->line.p, e->line.n, &l, err);
    if (r == 0)
        r = add_data(e, &l, &raw, err);
    if (r < 0)
        return r;
    if (raw >= templates) {
        e->data.n = n;
        return 0;
    }
    drop_before(e, n);
    buf_clear(&e->plan);
    buf_add_str(&e->plan, l.plan);
    keep_templates(e, &l);
    return 0;
}

/* Attributes, then the frame with both plans. */
static int put_attrs(struct block_encoder *e, struct err *err)
{
    struct lines_encoded l;
    size_t bytes;
    int r = lines_encode_attrs(e->lines, e->attr.p, e->attr.n, &l, err);

    if (r == 0)
        r = add_data(e, &l, &bytes, err);
    if (r < 0)
        return r;
    varint_put(&e->plain, e->plan.n);
    buf_add_str(&e->plain, buf_str(&e->plan));
    varint_put(&e->plain, l.plan.n);
    buf_add_str(&e->plain, l.plan);
    return add_head(e, e->text, BLOCK_PLAN, err);
}

/* ---- the block ---- */

static void start(struct block_encoder *e, const struct block_row *rows, size_t n)
{
    e->data.n = e->head.n = 0;
    buf_clear(&e->plain);
    buf_clear(&e->bytes);
    VEC_RESERVE(&e->line, n);
    VEC_RESERVE(&e->attr, n);
    VEC_RESERVE(&e->template, n);
    e->line.n = e->attr.n = e->template.n = n;
    for (size_t i = 0; i < n; i++) {
        e->line.p[i] = rows[i].line;
        e->attr.p[i] = (struct lines_attr_row){rows[i].attr, rows[i].n_attr};
    }
}

static void add_frame(struct block_encoder *e, const struct stored *s)
{
    struct block_frame f = {s->kind, s->codec, s->raw_bytes, {e->bytes.p + s->at, s->n}};

    VEC_PUSH(&e->frame, f);
}

static int hand_out(struct block_encoder *e, const struct block_frame **ret, size_t *ret_n,
                    struct err *err)
{
    size_t n = e->head.n + e->data.n + (e->has_census ? 1 : 0);

    if (n > BLOCK_FRAMES_MAX)
        return err_set(err, ERR_LIMIT, "block of %zu frames", n);
    e->frame.n = 0;
    for (size_t i = 0; i < e->head.n; i++)
        add_frame(e, &e->head.p[i]);
    for (size_t i = 0; i < e->data.n; i++)
        add_frame(e, &e->data.p[i]);
    if (e->has_census)
        add_frame(e, &e->census);
    *ret = e->frame.p;
    *ret_n = e->frame.n;
    return 0;
}

int block_encoder_run(struct block_encoder *e, const struct block_row *rows, size_t n,
                      const struct block_frame **ret, size_t *ret_n, struct err *err)
{
    int r;

    OBJ_CHECK(e, BLOCK_ENCODER_MAGIC);
    INVARIANT(n > 0 && n <= BLOCK_ROWS_MAX);
    start(e, rows, n);
    put_keys(e, rows, n);
    r = add_head(e, e->numbers, BLOCK_KEYS, err);
    if (r == 0)
        r = put_lines(e, err);
    if (r == 0)
        r = put_attrs(e, err);
    if (r == 0 && block_rollup_encode(&e->plain, rows, n))
        r = add_head(e, e->numbers, BLOCK_ROLLUP, err);
    e->has_census = r == 0 && block_census_encode(&e->plain, rows, e->template.p, n);
    if (e->has_census)
        r = compress_plain(e, e->numbers, BLOCK_CENSUS, &e->census, err);
    return r < 0 ? r : hand_out(e, ret, ret_n, err);
}
