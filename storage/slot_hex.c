/*
 * storage/slot_hex.c - strings of hex digits, two in a byte.  Contract: slot_internal.h; format:
 * docs/formats/slot.md.
 *
 * Random digits have nothing for zstd to find, and half the bytes are half the work.  Ids that
 * begin with a time or a machine lie in planes (byte k of all values together), where what they
 * share is found.
 */
#include "storage/le.h"
#include "storage/slot_internal.h"

#include <string.h>

_Static_assert((int)SLOT_DASHES_MAX == (int)SLOT_HEX_DASHES, "dashes of a value fit");

enum {
    DIGITS_MIN = 4,
    SAMPLE = 1024, /* values looked at for structure */
};
enum { FLAG_UPPER = 1, FLAG_PLANES = 2, FLAGS = 3 };

/* What is read ahead of and behind a value's digits when they go by eights. */
enum { ROOM = SLOT_HEX_MAX + 10 };

/* Eight digits as four bytes, first digit in the first byte's high half. */
static uint32_t pack8(const char *digits)
{
    uint64_t v = le_get64(digits);

    v = (v & UINT64_C(0x0f0f0f0f0f0f0f0f)) + 9 * (v >> 6 & UINT64_C(0x0101010101010101));
    v = (v << 4 | v >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v | v >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(v | v >> 16);
}

/* And back; `letter` is what a digit from ten on has more than '0' + 10. */
static void unpack8(uint32_t bytes, uint64_t letter, char *digits)
{
    uint64_t v = bytes;

    v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
    v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v >> 4 & UINT64_C(0x000f000f000f000f)) | (v << 8 & UINT64_C(0x0f000f000f000f00));
    v += UINT64_C(0x3030303030303030) +
         letter * ((v + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101));
    le_put64(digits, v);
}

/* Length and dashes as in the first value. */
static bool shape_of(struct str first, struct slot_hex *h)
{
    if (first.n < DIGITS_MIN || first.n > SLOT_HEX_MAX)
        return false;
    *h = (struct slot_hex){.length = (uint8_t)first.n};
    for (size_t i = 0; i < first.n; i++) {
        if (first.p[i] != '-')
            continue;
        if (h->n_dashes == SLOT_HEX_DASHES)
            return false;
        h->dash[h->n_dashes++] = (uint8_t)i;
    }
    return first.n - h->n_dashes >= DIGITS_MIN;
}

bool slot_hex_fits(const struct str *v, size_t n, unsigned classes, struct slot_hex *ret)
{
    if ((classes & ~(unsigned)(SLOT_HEX_CLASSES | SLOT_DASH)) != 0 ||
        ((classes & SLOT_HEX_LOWER) != 0 && (classes & SLOT_HEX_UPPER) != 0) ||
        !shape_of(v[0], ret))
        return false;
    ret->upper = (classes & SLOT_HEX_UPPER) != 0;
    for (size_t i = 0; i < n; i++) {
        size_t dashes = 0;
        if (v[i].n != ret->length)
            return false;
        for (size_t k = 0; k < ret->n_dashes; k++)
            if (v[i].p[ret->dash[k]] != '-')
                return false;
        for (size_t k = 0; (classes & SLOT_DASH) != 0 && k < v[i].n; k++)
            dashes += v[i].p[k] == '-';
        if (dashes != ret->n_dashes)
            return false;
    }
    return true;
}

/* One value's digits as bytes; the last may hold one only, in its high half. */
static void pack(const struct slot_hex *h, struct str s, uint8_t *to, size_t stride)
{
    char digits[ROOM];
    uint8_t bytes[ROOM / 2];
    size_t n = 0;
    size_t from = 0;

    for (size_t k = 0; k <= h->n_dashes; k++) {
        size_t end = k < h->n_dashes ? h->dash[k] : s.n;
        memcpy(digits + n, s.p + from, end - from);
        n += end - from;
        from = end + 1;
    }
    memset(digits + n, '0', 8);
    for (size_t k = 0; k < n; k += 8)
        le_put32(bytes + k / 2, pack8(digits + k));
    if (stride == 1)
        memcpy(to, bytes, (n + 1) / 2);
    else
        for (size_t k = 0; k < (n + 1) / 2; k++)
            to[k * stride] = bytes[k];
}

/* Is there a byte that takes much fewer values than chance would give it? */
static bool has_structure(const uint8_t *rows, size_t n, size_t width)
{
    size_t sample = n < SAMPLE ? n : SAMPLE;

    for (size_t k = 0; k < width; k++) {
        bool seen[256] = {false};
        size_t distinct = 0;
        for (size_t i = 0; i < sample; i++) {
            uint8_t byte = rows[i * width + k];
            distinct += !seen[byte];
            seen[byte] = true;
        }
        if (distinct < (sample < 128 ? sample / 2 : 80))
            return true;
    }
    return false;
}

void slot_hex_put(const struct slot_hex *h, const struct str *v, size_t n, bool repeats, bool other,
                  struct buf *out)
{
    size_t width = (h->length - (size_t)h->n_dashes + 1) / 2;
    size_t flags_at = out->n + 1;
    uint8_t *p;

    buf_add_char(out, SLOT_WAY_HEX);
    buf_add_char(out, (char)(h->upper ? FLAG_UPPER : 0));
    buf_add_char(out, (char)h->n_dashes);
    buf_add(out, h->dash, h->n_dashes);
    p = (uint8_t *)buf_room(out, n * width + 1);
    if (p == NULL)
        return;
    out->n += n * width;
    for (size_t i = 0; i < n; i++)
        pack(h, v[i], p + i * width, 1);
    if ((!repeats && has_structure(p, n, width)) == other)
        return;
    out->p[flags_at] |= FLAG_PLANES;
    for (size_t i = 0; i < n; i++)
        pack(h, v[i], p + i, n);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "hex slot: %s", what);
}

/* What the head says, checked against the length of each value. */
static int get_head(struct str *in, uint32_t length, struct slot_hex *h, uint8_t *flags,
                    struct err *err)
{
    *h = (struct slot_hex){.length = (uint8_t)length};
    if (length == 0 || length > SLOT_HEX_MAX || in->n < 2)
        return corrupt("no head", err);
    *flags = (uint8_t)in->p[0];
    h->n_dashes = (uint8_t)in->p[1];
    *in = str_from(*in, 2);
    if (*flags > FLAGS || h->n_dashes > SLOT_HEX_DASHES || h->n_dashes > in->n)
        return corrupt("flags or dashes", err);
    for (size_t k = 0; k < h->n_dashes; k++) {
        h->dash[k] = (uint8_t)in->p[k];
        if (h->dash[k] >= length || (k > 0 && h->dash[k] <= h->dash[k - 1]))
            return corrupt("places of dashes", err);
    }
    *in = str_from(*in, h->n_dashes);
    h->upper = (*flags & FLAG_UPPER) != 0;
    return 0;
}

int slot_digits_open(const struct slot_stamp *s, struct str bytes, size_t n,
                     struct slot_digits *ret, struct err *err)
{
    struct str in = str_from(bytes, 1);
    struct slot_hex h;
    uint8_t flags = 0;
    int r;

    if ((s->kind != SLOT_HEX && s->kind != SLOT_TEXT) || bytes.n == 0 ||
        (uint8_t)bytes.p[0] != SLOT_WAY_HEX || s->min_len != s->max_len)
        return 1;
    r = get_head(&in, s->min_len, &h, &flags, err);
    if (r < 0)
        return r;
    *ret = (struct slot_digits){.length = s->min_len, .n_dashes = h.n_dashes, .upper = h.upper};
    memcpy(ret->dash, h.dash, sizeof(h.dash));
    ret->width = (s->min_len - h.n_dashes + 1) / 2;
    if (n > SLOT_TEXT_MAX / s->min_len || in.n != n * ret->width)
        return corrupt("digits are cut", err);
    ret->bytes = (const uint8_t *)in.p;
    ret->row = (flags & FLAG_PLANES) != 0 ? 1 : ret->width;
    ret->column = (flags & FLAG_PLANES) != 0 ? n : 1;
    return 0;
}

/* A value of `width` bytes from `p` (each `stride` further), as text at `to`. */
static void unpack(const struct slot_hex *h, const uint8_t *p, size_t width, size_t stride,
                   char *to)
{
    const uint64_t letter = h->upper ? 'A' - '0' - 10 : 'a' - '0' - 10;
    uint8_t bytes[ROOM / 2];
    char digits[ROOM];
    size_t n = 0;
    size_t from = 0;

    if (stride == 1)
        memcpy(bytes, p, width);
    else
        for (size_t k = 0; k < width; k++)
            bytes[k] = p[k * stride];
    memset(bytes + width, 0, 4);
    for (size_t k = 0; k < width; k += 4)
        unpack8(le_get32(bytes + k), letter, digits + 2 * k);
    for (size_t k = 0; k < h->n_dashes; k++) {
        memcpy(to + from, digits + n, h->dash[k] - from);
        n += h->dash[k] - from;
        to[h->dash[k]] = '-';
        from = (size_t)h->dash[k] + 1;
    }
    memcpy(to + from, digits + n, h->length - from);
}

/* `bytes` bytes as digits: a column without dashes is one run of them. */
static void unpack_run(const struct slot_hex *h, const uint8_t *p, size_t bytes, char *to)
{
    const uint64_t letter = h->upper ? 'A' - '0' - 10 : 'a' - '0' - 10;
    char digits[8];
    uint8_t rest[4] = {0};
    size_t k = 0;

    for (; bytes - k >= 4; k += 4)
        unpack8(le_get32(p + k), letter, to + 2 * k);
    memcpy(rest, p + k, bytes - k);
    unpack8(le_get32(rest), letter, digits);
    memcpy(to + 2 * k, digits, 2 * (bytes - k));
}

int slot_hex_pick(const struct slot_place *at, uint32_t length, struct arena *a, struct str *ret,
                  struct err *err)
{
    struct str in = at->bytes;
    struct slot_hex h;
    uint8_t flags = 0;
    size_t width;
    char *text;
    int r = get_head(&in, length, &h, &flags, err);

    if (r < 0)
        return r;
    width = (length - (size_t)h.n_dashes + 1) / 2;
    if (at->n > SLOT_TEXT_MAX / length || in.n != at->n * width)
        return corrupt("digits are cut", err);
    text = arena_bytes(a, length);
    if (text == NULL)
        return arena_err(a, err);
    if ((flags & FLAG_PLANES) != 0)
        unpack(&h, (const uint8_t *)in.p + at->i, width, at->n, text);
    else
        unpack(&h, (const uint8_t *)in.p + at->i * width, width, 1, text);
    *ret = (struct str){text, length};
    return 0;
}

int slot_hex_open(struct str in, size_t n, uint32_t length, struct arena *a, struct slot_view *ret,
                  struct err *err)
{
    struct slot_hex h;
    uint8_t flags = 0;
    size_t width;
    uint32_t *end;
    char *text;
    int r = get_head(&in, length, &h, &flags, err);

    if (r < 0)
        return r;
    width = (length - (size_t)h.n_dashes + 1) / 2;
    if (n > SLOT_TEXT_MAX / length || in.n != n * width)
        return corrupt("digits are cut", err);
    end = slot_room(a, n, sizeof(*end));
    text = arena_bytes(a, n * length);
    if (end == NULL || text == NULL)
        return arena_err(a, err);
    if ((flags & FLAG_PLANES) == 0 && length == 2 * width) {
        unpack_run(&h, (const uint8_t *)in.p, in.n, text);
        in.n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = (const uint8_t *)in.p;
        if ((flags & FLAG_PLANES) != 0)
            unpack(&h, p + i, width, n, text + i * length);
        else if (in.n > 0)
            unpack(&h, p + i * width, width, 1, text + i * length);
        end[i] = (uint32_t)((i + 1) * length);
    }
    ret->kind = SLOT_VIEW_TEXT;
    ret->text = (struct str){text, n * length};
    ret->end = end;
    return 0;
}
