/*
 * storage/slot_hex.c - strings of hex digits, two in a byte.  Contract: slot_internal.h; format:
 * docs/formats/slot.md.
 *
 * Random digits have nothing for zstd to find, and half the bytes are half the work.  Ids that
 * begin with a time or a machine lie in planes (byte k of all values together), where what they
 * share is found.
 */
#include "storage/slot_internal.h"

#include <string.h>

enum {
    DIGITS_MIN = 4,
    SAMPLE = 1024, /* values looked at for structure */
};
enum { FLAG_UPPER = 1, FLAG_PLANES = 2, FLAGS = 3 };

static const char LOWER[] = "0123456789abcdef";
static const char UPPER[] = "0123456789ABCDEF";

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c & 0x0f) + 9;
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

bool slot_hex_fits(const struct str *v, size_t n, struct slot_hex *ret)
{
    const unsigned upper = SLOT_DIGIT | SLOT_HEX_UPPER | SLOT_DASH;
    const unsigned lower = SLOT_DIGIT | SLOT_HEX_LOWER | SLOT_DASH;
    unsigned classes = 0;

    if (!shape_of(v[0], ret))
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t dashes = 0;
        if (v[i].n != ret->length)
            return false;
        for (size_t k = 0; k < v[i].n; k++) {
            classes |= slot_class_of[(uint8_t)v[i].p[k]];
            dashes += v[i].p[k] == '-';
        }
        if (((classes & ~upper) != 0 && (classes & ~lower) != 0) || dashes != ret->n_dashes)
            return false;
        for (size_t k = 0; k < ret->n_dashes; k++)
            if (v[i].p[ret->dash[k]] != '-')
                return false;
    }
    ret->upper = (classes & SLOT_HEX_UPPER) != 0;
    return true;
}

/* One value's digits as bytes; the last may hold one only, in its high half. */
static void pack(const struct slot_hex *h, struct str s, uint8_t *to, size_t stride)
{
    char digits[SLOT_HEX_MAX + 1];
    size_t n = 0;
    size_t from = 0;

    for (size_t k = 0; k <= h->n_dashes; k++) {
        size_t end = k < h->n_dashes ? h->dash[k] : s.n;
        memcpy(digits + n, s.p + from, end - from);
        n += end - from;
        from = end + 1;
    }
    digits[n] = '0';
    for (size_t k = 0; k < n; k += 2)
        to[k / 2 * stride] = (uint8_t)(nibble(digits[k]) << 4 | nibble(digits[k + 1]));
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

void slot_hex_put(const struct slot_hex *h, const struct str *v, size_t n, bool repeats,
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
    if (repeats || !has_structure(p, n, width))
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

/* n values of `width` bytes from `p` (byte k of a value `stride` further), as text at `to`. */
static void unpack(const struct slot_hex *h, const uint8_t *p, size_t width, size_t stride,
                   char *to)
{
    const char *digit = h->upper ? UPPER : LOWER;
    char digits[SLOT_HEX_MAX + 1];
    size_t n = 0;
    size_t from = 0;

    for (size_t k = 0; k < width; k++) {
        uint8_t byte = p[k * stride];
        digits[2 * k] = digit[byte >> 4];
        digits[2 * k + 1] = digit[byte & 15];
    }
    for (size_t k = 0; k < h->n_dashes; k++) {
        memcpy(to + from, digits + n, h->dash[k] - from);
        n += h->dash[k] - from;
        to[h->dash[k]] = '-';
        from = (size_t)h->dash[k] + 1;
    }
    memcpy(to + from, digits + n, h->length - from);
}

int slot_hex_open(struct str in, size_t n, uint32_t length, struct arena *a, struct slot_view *ret,
                  struct err *err)
{
    struct slot_hex h;
    uint8_t flags;
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
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = (const uint8_t *)in.p;
        if ((flags & FLAG_PLANES) != 0)
            unpack(&h, p + i, width, n, text + i * length);
        else
            unpack(&h, p + i * width, width, 1, text + i * length);
        end[i] = (uint32_t)((i + 1) * length);
    }
    ret->kind = SLOT_VIEW_TEXT;
    ret->text = (struct str){text, n * length};
    ret->end = end;
    return 0;
}
