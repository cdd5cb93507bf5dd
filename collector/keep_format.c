/* collector/keep_format.c - contract: keep_format.h. */
#include "collector/keep_format.h"

#include "base/crc.h"
#include "collector/checkpoint.h"
#include "collector/le.h"
#include "wire/codec.h"

#include <string.h>

enum { VERSION = 1, LABELS_MAX = 1024 };
static const char FILE_MAGIC[8] = {'L', 'Q', 'K', 'E', 'E', 'P', '\r', '\n'};

/* ---- heads ---- */

static void seal(uint8_t *p, size_t n)
{
    le_put(p, crc32c(0, p + 4, n - 4), 4);
}

static bool is_whole(const uint8_t *p, size_t n)
{
    return le_get(p, 4) == crc32c(0, p + 4, n - 4);
}

void keep_format_head(const struct keep_head *h, uint8_t ret[KEEP_HEAD_BYTES])
{
    memset(ret, 0, KEEP_HEAD_BYTES);
    memcpy(ret + 4, FILE_MAGIC, sizeof(FILE_MAGIC));
    le_put(ret + 12, VERSION, 2);
    le_put(ret + 16, h->incarnation, 8);
    le_put(ret + 24, h->no, 8);
    le_put(ret + 32, h->salt, 4);
    le_put(ret + 36, h->head_len, 4);
    le_put(ret + 40, h->head_hash, 8);
    le_put(ret + 48, h->dev, 8);
    le_put(ret + 56, h->ino, 8);
    le_put(ret + 64, h->start, 8);
    seal(ret, KEEP_HEAD_BYTES);
}

int keep_parse_head(const uint8_t bytes[KEEP_HEAD_BYTES], struct keep_head *ret, struct err *err)
{
    if (!is_whole(bytes, KEEP_HEAD_BYTES) || memcmp(bytes + 4, FILE_MAGIC, sizeof(FILE_MAGIC)) != 0)
        return err_set(err, ERR_CORRUPT, "no kept log");
    if (le_get(bytes + 12, 2) != VERSION)
        return err_set(err, ERR_UNSUPPORTED, "a kept log of version %u, this program knows %d",
                       (unsigned)le_get(bytes + 12, 2), VERSION);
    ret->incarnation = le_get(bytes + 16, 8);
    ret->no = le_get(bytes + 24, 8);
    ret->salt = (uint32_t)le_get(bytes + 32, 4);
    ret->head_len = (uint32_t)le_get(bytes + 36, 4);
    ret->head_hash = le_get(bytes + 40, 8);
    ret->dev = le_get(bytes + 48, 8);
    ret->ino = le_get(bytes + 56, 8);
    ret->start = le_get(bytes + 64, 8);
    if (ret->head_len > CHECKPOINT_HEAD_MAX || ret->start > INT64_MAX)
        return err_set(err, ERR_CORRUPT, "a kept log with a head of %u bytes from %llu on",
                       (unsigned)ret->head_len, (unsigned long long)ret->start);
    return 0;
}

void keep_format_frame(const struct keep_frame *f, uint8_t ret[KEEP_FRAME_BYTES])
{
    memset(ret, 0, KEEP_FRAME_BYTES);
    le_put(ret + 4, (uint64_t)f->kind, 4);
    le_put(ret + 8, f->raw, 4);
    le_put(ret + 12, f->stored, 4);
    le_put(ret + 16, f->offset, 8);
    le_put(ret + 24, f->crc, 4);
    seal(ret, KEEP_FRAME_BYTES);
}

static bool is_sane(const struct keep_frame *f, uint64_t kind)
{
    if (f->stored == 0 || f->stored > KEEP_RAW_MAX || f->raw > KEEP_RAW_MAX ||
        f->offset > INT64_MAX)
        return false;
    switch (kind) {
    case KEEP_NAMES:
        return f->raw == 0;
    case KEEP_PLAIN:
        return f->raw == f->stored;
    case KEEP_ZSTD:
        return f->raw > 0;
    default:
        return false;
    }
}

int keep_parse_frame(const uint8_t bytes[KEEP_FRAME_BYTES], struct keep_frame *ret, struct err *err)
{
    uint64_t kind = le_get(bytes + 4, 4);

    if (!is_whole(bytes, KEEP_FRAME_BYTES))
        return err_set(err, ERR_CORRUPT, "a frame that is not whole");
    ret->raw = (uint32_t)le_get(bytes + 8, 4);
    ret->stored = (uint32_t)le_get(bytes + 12, 4);
    ret->offset = le_get(bytes + 16, 8);
    ret->crc = (uint32_t)le_get(bytes + 24, 4);
    if (!is_sane(ret, kind))
        return err_set(err, ERR_CORRUPT, "a frame of kind %llu with %u bytes for %u",
                       (unsigned long long)kind, (unsigned)ret->stored, (unsigned)ret->raw);
    ret->kind = (enum keep_kind)kind;
    return 0;
}

int keep_unpack(const struct keep_frame *f, struct str stored, struct buf *out, struct err *err)
{
    size_t before = out->n;
    int r = 0;

    if (stored.n != f->stored || crc32c(0, stored.p, stored.n) != f->crc)
        return err_set(err, ERR_CORRUPT, "a frame with a wrong checksum");
    if (f->kind == KEEP_ZSTD) {
        r = codec_unpack(CODEC_ZSTD, stored, f->raw, out, err);
    } else {
        buf_add_str(out, stored);
        r = buf_err(out, "frame", err);
    }
    if (r == 0 && f->kind != KEEP_NAMES && out->n - before != f->raw)
        r = err_set(err, ERR_CORRUPT, "a frame of %zu bytes, not %u", out->n - before,
                    (unsigned)f->raw);
    return r == ERR_LIMIT ? err_set(err, ERR_CORRUPT, "a frame of more bytes than it says") : r;
}

/* ---- names ---- */

static void put_u32(struct buf *out, size_t v)
{
    uint8_t p[4];

    le_put(p, v, sizeof(p));
    buf_add(out, p, sizeof(p));
}

static void put_labels(struct buf *out, const struct labels *l)
{
    put_u32(out, l->n);
    for (size_t i = 0; i < l->n; i++) {
        put_u32(out, l->v[i].name.n);
        buf_add_str(out, l->v[i].name);
        put_u32(out, l->v[i].value.n);
        buf_add_str(out, l->v[i].value);
    }
}

int keep_format_names(const struct keep_names *n, struct buf *out, struct err *err)
{
    size_t before = out->n;

    put_u32(out, n->path.n);
    buf_add_str(out, n->path);
    buf_add_char(out, n->described ? 1 : 0);
    put_labels(out, &n->labels);
    put_labels(out, &n->attrs);
    if (out->over || out->n - before > KEEP_RAW_MAX) {
        out->n = before;
        return err_set(err, ERR_LIMIT, "labels too large to keep");
    }
    return 0;
}

/* false: there is no such string. */
static bool take_str(struct str *rest, struct str *ret)
{
    uint64_t n;

    if (rest->n < 4)
        return false;
    n = le_get((const uint8_t *)rest->p, 4);
    *rest = str_from(*rest, 4);
    if (n > rest->n)
        return false;
    *ret = str_sub(*rest, 0, (size_t)n);
    *rest = str_from(*rest, (size_t)n);
    return true;
}

static int take_labels(struct str *rest, struct arena *a, struct labels *ret, struct err *err)
{
    uint64_t n = rest->n < 4 ? UINT64_MAX : le_get((const uint8_t *)rest->p, 4);

    if (n > LABELS_MAX)
        return err_set(err, ERR_CORRUPT, "the number of a kept log's labels");
    *rest = str_from(*rest, 4);
    ret->n = (size_t)n;
    ret->v = arena_alloc(a, (ret->n + 1) * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < ret->n; i++)
        if (!take_str(rest, &ret->v[i].name) || !take_str(rest, &ret->v[i].value) ||
            (i > 0 && str_cmp(ret->v[i - 1].name, ret->v[i].name) >= 0))
            return err_set(err, ERR_CORRUPT, "the labels of a kept log");
    return 0;
}

int keep_parse_names(struct str bytes, struct arena *a, struct keep_names *ret, struct err *err)
{
    struct str rest = bytes;
    int r;

    if (!take_str(&rest, &ret->path) || rest.n < 1 || ret->path.n > CHECKPOINT_PATH_MAX ||
        memchr(ret->path.n == 0 ? "" : ret->path.p, '\0', ret->path.n) != NULL)
        return err_set(err, ERR_CORRUPT, "the path of a kept log");
    ret->described = rest.p[0] != 0;
    rest = str_from(rest, 1);
    r = take_labels(&rest, a, &ret->labels, err);
    if (r == 0)
        r = take_labels(&rest, a, &ret->attrs, err);
    return r == 0 && rest.n > 0 ? err_set(err, ERR_CORRUPT, "more than the names of a kept log")
                                : r;
}
