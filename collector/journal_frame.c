/* collector/journal_frame.c - contract: journal_frame.h. */
#include "collector/journal_frame.h"

#include "collector/le.h"

enum { LENGTH_BYTES = 4, HEAD_BYTES = 1 + 8 + 8 };

static void put_number(struct buf *out, uint64_t v, unsigned n)
{
    uint8_t bytes[8];

    le_put(bytes, v, n);
    buf_add(out, bytes, n);
}

void journal_frame_put(struct buf *out, const struct journal_frame *f)
{
    size_t n = HEAD_BYTES;

    for (size_t i = 0; i < JOURNAL_FIELDS; i++)
        n += LENGTH_BYTES + f->v[i].n;
    if (n > JOURNAL_FRAME_MAX) {
        out->over = true;
        return;
    }
    put_number(out, n, LENGTH_BYTES);
    put_number(out, (uint64_t)f->type, 1);
    put_number(out, (uint64_t)f->time, 8);
    put_number(out, f->total, 8);
    for (size_t i = 0; i < JOURNAL_FIELDS; i++) {
        put_number(out, f->v[i].p == NULL ? 0 : f->v[i].n + 1, LENGTH_BYTES);
        buf_add_str(out, f->v[i]);
    }
}

struct scan {
    const uint8_t *p;
    size_t n; /* bytes left */
};

static bool take_number(struct scan *s, unsigned n, uint64_t *ret)
{
    if (s->n < n)
        return false;
    *ret = le_get(s->p, n);
    s->p += n;
    s->n -= n;
    return true;
}

static bool take_field(struct scan *s, struct str *ret)
{
    uint64_t n;

    if (!take_number(s, LENGTH_BYTES, &n) || (n > 0 && n - 1 > s->n))
        return false;
    *ret = STR_NULL;
    if (n == 0)
        return true;
    *ret = (struct str){(const char *)s->p, (size_t)n - 1};
    s->p += n - 1;
    s->n -= (size_t)n - 1;
    return true;
}

int journal_frame_take(struct str bytes, struct journal_frame *ret, size_t *used, struct err *err)
{
    struct scan s = {(const uint8_t *)bytes.p, bytes.n};
    struct journal_frame f = {.type = JOURNAL_START};
    uint64_t length, type, time;
    bool ok;

    if (!take_number(&s, LENGTH_BYTES, &length))
        return 1;
    if (length < HEAD_BYTES || length > JOURNAL_FRAME_MAX)
        return err_set(err, ERR_CORRUPT, "a frame of %llu bytes", (unsigned long long)length);
    if (s.n < length)
        return 1;
    s.n = (size_t)length;
    ok = take_number(&s, 1, &type) && type < JOURNAL_TYPES && take_number(&s, 8, &time) &&
         take_number(&s, 8, &f.total);
    for (size_t i = 0; ok && i < JOURNAL_FIELDS; i++)
        ok = take_field(&s, &f.v[i]);
    if (!ok || s.n != 0)
        return err_set(err, ERR_CORRUPT, "a frame that is none");
    f.type = (enum journal_type)type;
    f.time = (ts_ns)time;
    *used = LENGTH_BYTES + (size_t)length;
    *ret = f;
    return 0;
}
