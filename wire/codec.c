/*
 * wire/codec.c - gzip and zstd, bounded.  Contract: codec.h.
 *
 * A sender may put several members (gzip) or frames (zstd) one after another; they are one stream
 * to us.  Input that produces nothing (empty members, skippable frames) is walked in time linear to
 * its length.
 *
 * Invariants
 *   (1) no more than `left` bytes come out: what is over it is found by unpacking one byte more
 * into `probe`, never by trusting a size that the input states; (2) a stream ends only between two
 * members, else it is cut off: ERR_CORRUPT.
 */
#include "wire/codec.h"

#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST 1 /* next_in points to const */
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum reader_state { READER_IDLE, READER_OPEN, READER_END, READER_BROKEN };

struct codec_reader {
    unsigned magic;
#define CODEC_READER_MAGIC 0x3c0d7e11u
    enum codec codec;
    enum reader_state state;
    bool inside;     /* a member has begun and not ended */
    bool fed;        /* more input comes behind `rest` */
    struct str rest; /* input not read yet; borrowed */
    size_t left;     /* output still allowed */
    size_t max_bytes;
    z_stream gzip;
    bool gzip_ready;
    int window;      /* zlib's word for format and window */
    ZSTD_DCtx *zstd; /* owned; NULL until needed */
};

enum codec codec_sniff(struct str bytes)
{
    if (str_starts(bytes, STR("\x1f\x8b")))
        return CODEC_GZIP;
    if (str_starts(bytes, STR("\x28\xb5\x2f\xfd")))
        return CODEC_ZSTD;
    return CODEC_NONE;
}

uint64_t codec_size_claim(enum codec c, struct str bytes)
{
    const unsigned char *p;
    unsigned long long n;

    if (c == CODEC_ZSTD) {
        n = ZSTD_getFrameContentSize(bytes.p, bytes.n);
        return n >= ZSTD_CONTENTSIZE_ERROR ? 0 : n; /* the two special values are the highest */
    }
    if (c == CODEC_GZIP && bytes.n >= 18) { /* header and trailer */
        p = (const unsigned char *)bytes.p + bytes.n - 4;
        return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
    }
    return c == CODEC_NONE ? bytes.n : 0;
}

struct codec_reader *codec_reader_new(void)
{
    struct codec_reader *r = mem_new(sizeof(*r));

    r->magic = CODEC_READER_MAGIC;
    return r;
}

void codec_reader_free(struct codec_reader **pr)
{
    struct codec_reader *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, CODEC_READER_MAGIC);
    if (r->gzip_ready)
        (void)inflateEnd(&r->gzip); /* fails on a broken stream only, and frees that too */
    (void)ZSTD_freeDCtx(r->zstd);   /* cannot fail outside of static allocation */
    r->magic = 0;
    free(r);
    *pr = NULL;
}

enum { WINDOW = 15, WINDOW_GZIP = WINDOW + 16, WINDOW_RAW = -WINDOW }; /* the largest */

static int start_zlib(struct codec_reader *r, int window, struct err *err)
{
    r->window = window;
    if (r->gzip_ready)
        return 0;
    if (inflateInit2(&r->gzip, window) != Z_OK)
        return err_set(err, ERR_NOMEM, "no memory to unpack gzip");
    r->gzip_ready = true;
    return 0;
}

/* HTTP says zlib's form, many senders leave its header out: RFC 1950 2.2 tells them apart. */
static int deflate_window(struct str bytes)
{
    unsigned first, second;

    if (bytes.n < 2)
        return WINDOW;
    first = (unsigned char)bytes.p[0];
    second = (unsigned char)bytes.p[1];
    return (first & 0x0f) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0 ? WINDOW
                                                                                      : WINDOW_RAW;
}

static int start_zstd(struct codec_reader *r, struct err *err)
{
    if (r->zstd == NULL) {
        r->zstd = ZSTD_createDCtx();
        if (r->zstd == NULL)
            return err_set(err, ERR_NOMEM, "no memory to unpack zstd");
        /* Both names and values are constants that this version of the library knows. */
        (void)ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, CODEC_WINDOW_LOG_MAX);
    }
    (void)ZSTD_DCtx_reset(r->zstd, ZSTD_reset_session_only); /* cannot fail */
    return 0;
}

int codec_reader_start(struct codec_reader *r, enum codec c, struct str bytes, size_t max_bytes,
                       struct err *err)
{
    int e = 0;

    OBJ_CHECK(r, CODEC_READER_MAGIC);
    r->codec = c;
    r->state = READER_OPEN;
    r->inside = r->fed = false;
    r->rest = bytes;
    r->left = r->max_bytes = max_bytes;
    if (c == CODEC_GZIP)
        e = start_zlib(r, WINDOW_GZIP, err);
    else if (c == CODEC_DEFLATE)
        e = start_zlib(r, deflate_window(bytes), err);
    else if (c == CODEC_ZSTD)
        e = start_zstd(r, err);
    if (e < 0)
        r->state = READER_BROKEN;
    return e;
}

void codec_reader_feed(struct codec_reader *r, struct str bytes, bool last)
{
    OBJ_CHECK(r, CODEC_READER_MAGIC);
    INVARIANT(r->rest.n == 0);
    r->rest = bytes;
    r->fed = !last;
}

static size_t copy_step(struct codec_reader *r, char *dst, size_t cap)
{
    size_t n = r->rest.n < cap ? r->rest.n : cap;

    if (n > 0)
        memcpy(dst, r->rest.p, n);
    r->rest = str_from(r->rest, n);
    return n;
}

/* Each step unpacks something into dst, or eats input, or fails; *ret_n is what came out, perhaps
 * 0. */
static int gzip_step(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n, struct err *err)
{
    uInt in = r->rest.n < UINT32_MAX ? (uInt)r->rest.n : UINT32_MAX;
    uInt out = cap < UINT32_MAX ? (uInt)cap : UINT32_MAX;
    int z;

    if (!r->inside && inflateReset2(&r->gzip, r->window) != Z_OK)
        return err_set(err, ERR_CORRUPT, "gzip does not start again");
    r->inside = true;
    r->gzip.next_in = (const Bytef *)r->rest.p;
    r->gzip.avail_in = in;
    r->gzip.next_out = (Bytef *)dst;
    r->gzip.avail_out = out;
    z = inflate(&r->gzip, Z_NO_FLUSH);
    r->rest = str_from(r->rest, in - r->gzip.avail_in);
    *ret_n = out - r->gzip.avail_out;
    if (z == Z_STREAM_END) {
        r->inside = false;
        if (r->codec == CODEC_DEFLATE && r->rest.n > 0)
            return err_set(err, ERR_CORRUPT, "bytes behind the end of deflate");
        return 0;
    }
    if (z == Z_MEM_ERROR)
        return err_set(err, ERR_NOMEM, "no memory to unpack gzip");
    if (z == Z_BUF_ERROR && r->fed)
        return 0;
    if (z == Z_BUF_ERROR)
        return err_set(err, ERR_CORRUPT, "gzip is cut off");
    if (z != Z_OK)
        return err_set(err, ERR_CORRUPT, "gzip: %s", r->gzip.msg != NULL ? r->gzip.msg : "broken");
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the library writes to dst */
static int zstd_step(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n, struct err *err)
{
    ZSTD_inBuffer in = {r->rest.p, r->rest.n, 0};
    ZSTD_outBuffer out = {dst, cap, 0};
    size_t z = ZSTD_decompressStream(r->zstd, &out, &in);

    if (ZSTD_isError(z)) {
        ZSTD_ErrorCode code = ZSTD_getErrorCode(z);
        if (code == ZSTD_error_frameParameter_windowTooLarge)
            return err_set(err, ERR_LIMIT, "zstd needs a window over %u MiB",
                           1u << (CODEC_WINDOW_LOG_MAX - 20));
        if (code == ZSTD_error_memory_allocation)
            return err_set(err, ERR_NOMEM, "no memory to unpack zstd");
        return err_set(err, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(z));
    }
    r->inside = z != 0;
    if (in.pos == 0 && out.pos == 0 && (r->inside || r->rest.n > 0) && !r->fed)
        return err_set(err, ERR_CORRUPT, "zstd is cut off");
    r->rest = str_from(r->rest, in.pos);
    *ret_n = out.pos;
    return 0;
}

/* Up to cap bytes; *ret_n == 0: the stream has ended, or is to be fed. */
static int fill(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n, struct err *err)
{
    int e = 0;

    *ret_n = 0;
    while (*ret_n == 0 && (r->inside || r->rest.n > 0)) {
        switch (r->codec) {
        case CODEC_NONE:
            *ret_n = copy_step(r, dst, cap);
            break;
        case CODEC_GZIP:
        case CODEC_DEFLATE:
            e = gzip_step(r, dst, cap, ret_n, err);
            break;
        case CODEC_ZSTD:
            e = zstd_step(r, dst, cap, ret_n, err);
            break;
        }
        if (e < 0)
            return e;
        if (r->fed && *ret_n == 0 && r->rest.n == 0)
            break;
    }
    return 0;
}

int codec_reader_pull(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n, struct err *err)
{
    char probe;
    size_t n;
    int e;

    OBJ_CHECK(r, CODEC_READER_MAGIC);
    INVARIANT(cap > 0 && r->state != READER_IDLE);

    *ret_n = 0;
    if (r->state == READER_BROKEN)
        return err_set(err, ERR_CORRUPT, "the packed bytes were broken before");
    if (r->state == READER_END)
        return 1;
    if (r->left == 0) /* keeps (1) */
        e = fill(r, &probe, 1, &n, err);
    else
        e = fill(r, dst, cap < r->left ? cap : r->left, &n, err);
    if (e == 0 && r->left == 0 && n > 0)
        e = err_set(err, ERR_LIMIT, "unpacks to more than %zu bytes", r->max_bytes);
    if (e < 0) {
        r->state = READER_BROKEN;
        *ret_n = r->left == 0 ? 0 : n;
        return e;
    }
    if (n == 0) {
        r->state = r->fed ? READER_OPEN : READER_END;
        return 1;
    }
    r->left -= n;
    *ret_n = n;
    return 0;
}

static int unpack_all(struct codec_reader *r, struct buf *out, struct err *err)
{
    char piece[16384];
    size_t n = 0;
    int e;

    for (;;) {
        e = codec_reader_pull(r, piece, sizeof(piece), &n, err);
        if (e != 0)
            return e < 0 ? e : 0;
        buf_add(out, piece, n);
        e = buf_err(out, "unpacked bytes", err);
        if (e < 0)
            return e;
    }
}

int codec_unpack(enum codec c, struct str bytes, size_t max_bytes, struct buf *out, struct err *err)
{
    struct codec_reader *r = codec_reader_new();
    int e = codec_reader_start(r, c, bytes, max_bytes, err);

    if (e == 0)
        e = unpack_all(r, out, err);
    codec_reader_free(&r);
    return e;
}

struct codec_writer {
    unsigned magic;
#define CODEC_WRITER_MAGIC 0x3c0d7e22u
    z_stream gzip;
    bool gzip_ready;
    ZSTD_CCtx *zstd; /* owned; NULL until needed */
};

struct codec_writer *codec_writer_new(void)
{
    struct codec_writer *w = mem_new(sizeof(*w));

    w->magic = CODEC_WRITER_MAGIC;
    return w;
}

void codec_writer_free(struct codec_writer **pw)
{
    struct codec_writer *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, CODEC_WRITER_MAGIC);
    if (w->gzip_ready)
        (void)deflateEnd(&w->gzip);
    (void)ZSTD_freeCCtx(w->zstd);
    w->magic = 0;
    free(w);
    *pw = NULL;
}

/* Room for `want` bytes, or for as many as `out` may still take. */
static char *room_up_to(struct buf *out, size_t want, size_t *ret_n)
{
    size_t left = out->max > out->n ? out->max - out->n : 0;

    *ret_n = want < left ? want : left;
    return buf_room(out, *ret_n);
}

static int no_fit(const struct buf *out, struct err *err)
{
    return err_set(err, ERR_LIMIT, "packed bytes do not fit %zu bytes", out->max);
}

static int pack_zstd(struct codec_writer *w, int level, struct str bytes, struct buf *out,
                     struct err *err)
{
    size_t cap, n;
    char *room;

    if (w->zstd == NULL)
        w->zstd = ZSTD_createCCtx();
    if (w->zstd == NULL)
        return err_set(err, ERR_NOMEM, "no memory to pack zstd");
    room = room_up_to(out, ZSTD_compressBound(bytes.n), &cap);
    if (room == NULL || cap == 0)
        return no_fit(out, err);
    n = ZSTD_compressCCtx(w->zstd, room, cap, bytes.p, bytes.n, level);
    if (ZSTD_isError(n) && cap < ZSTD_compressBound(bytes.n))
        return no_fit(out, err);
    if (ZSTD_isError(n))
        return err_set(err, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(n));
    out->n += n;
    return 0;
}

static int pack_gzip(struct codec_writer *w, int level, struct str bytes, struct buf *out,
                     struct err *err)
{
    size_t cap;
    char *room;
    int z;

    if (bytes.n > UINT32_MAX / 2)
        return err_set(err, ERR_LIMIT, "%zu bytes are too many for one gzip member", bytes.n);
    if (w->gzip_ready) {
        z = deflateReset(&w->gzip);
        if (z == Z_OK)
            z = deflateParams(&w->gzip, level, Z_DEFAULT_STRATEGY);
    } else {
        z = deflateInit2(&w->gzip, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
        w->gzip_ready = z == Z_OK;
    }
    if (z != Z_OK)
        return err_set(err, ERR_NOMEM, "no memory to pack gzip");
    room = room_up_to(out, deflateBound(&w->gzip, (uLong)bytes.n), &cap);
    if (room == NULL)
        return no_fit(out, err);
    w->gzip.next_in = (const Bytef *)bytes.p;
    w->gzip.avail_in = (uInt)bytes.n;
    w->gzip.next_out = (Bytef *)room;
    w->gzip.avail_out = cap < UINT32_MAX ? (uInt)cap : UINT32_MAX;
    z = deflate(&w->gzip, Z_FINISH);
    if (z != Z_STREAM_END)
        return no_fit(out, err);
    out->n += (size_t)((char *)w->gzip.next_out - room);
    return 0;
}

int codec_pack(struct codec_writer *w, enum codec c, int level, struct str bytes, struct buf *out,
               struct err *err)
{
    OBJ_CHECK(w, CODEC_WRITER_MAGIC);
    switch (c) {
    case CODEC_GZIP:
        return pack_gzip(w, level, bytes, out, err);
    case CODEC_ZSTD:
        return pack_zstd(w, level, bytes, out, err);
    case CODEC_DEFLATE:
        INVARIANT(c != CODEC_DEFLATE); /* for reading only */
        break;
    case CODEC_NONE:
        break;
    }
    buf_add_str(out, bytes);
    return buf_err(out, "packed bytes", err);
}
