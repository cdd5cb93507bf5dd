/* storage/column_int.c - see column_int.h for the format. */
#include "storage/column_int.h"

#include "base/mem.h"
#include "storage/le.h"
#include "storage/varint.h"

#include <stdlib.h>

enum {
    KIND_CONST,
    KIND_FOR,
    KIND_DELTA,
    KIND_RUNS,
};

enum {
    GROUP = 128,
    GROUP_BYTES_MAX = GROUP * 8 + 16, /* packed, and room to load eight bytes past the last */
    WIDTH_WIDE = 56, /* a value of so many bits lies within eight bytes wherever it starts */
    SCALES = 4,
    RUN_GAIN = 4, /* runs pay when there are this many times fewer of them than values */
};

static const uint64_t SCALE[SCALES] = {1, 1000, 1000000, 1000000000};

static unsigned width_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* The least value as signed, and how many bits the distances from it need. */
static unsigned group_shape(const uint64_t *v, size_t n, uint64_t *base)
{
    int64_t min = (int64_t)v[0];
    uint64_t bits = 0;

    for (size_t i = 1; i < n; i++)
        min = (int64_t)v[i] < min ? (int64_t)v[i] : min;
    for (size_t i = 0; i < n; i++)
        bits |= v[i] - (uint64_t)min;
    *base = (uint64_t)min;
    return width_of(bits);
}

static size_t packed_bytes(size_t n, unsigned width)
{
    return (n * width + 7) / 8;
}

static size_t groups_size(const uint64_t *v, size_t n)
{
    size_t bytes = 0;

    for (size_t at = 0; at < n; at += GROUP) {
        size_t m = n - at < GROUP ? n - at : GROUP;
        uint64_t base;
        unsigned width = group_shape(v + at, m, &base);
        bytes += packed_bytes(m, width) + 1 + (width_of(zigzag(base)) + 6) / 7;
    }
    return bytes;
}

static void put_group(struct buf *b, const uint64_t *v, size_t n)
{
    char packed[GROUP_BYTES_MAX] = {0};
    uint64_t base;
    unsigned width = group_shape(v, n, &base);
    size_t bit = 0;

    varint_put(b, zigzag(base));
    buf_add_char(b, (char)width);
    for (size_t i = 0; i < n; i++, bit += width) {
        char *p = packed + bit / 8;
        unsigned shift = bit % 8;
        uint64_t x = v[i] - base;
        le_put64(p, le_get64(p) | x << shift);
        if (shift > 0 && shift + width > 64)
            p[8] = (char)(x >> (64 - shift));
    }
    buf_add(b, packed, packed_bytes(n, width));
}

static void put_groups(struct buf *b, const uint64_t *v, size_t n)
{
    for (size_t at = 0; at < n; at += GROUP)
        put_group(b, v + at, n - at < GROUP ? n - at : GROUP);
}

static size_t count_runs(const uint64_t *v, size_t n)
{
    size_t runs = n > 0;

    for (size_t i = 1; i < n; i++)
        runs += v[i] != v[i - 1];
    return runs;
}

static void put_kind(struct buf *b, unsigned kind, unsigned scale)
{
    buf_add_char(b, (char)(kind | scale << 4));
}

static void put_runs(struct buf *b, const uint64_t *v, size_t n, size_t runs)
{
    uint64_t *values = mem_grow(NULL, runs * sizeof(*values));
    uint64_t *lengths = mem_grow(NULL, runs * sizeof(*lengths));
    size_t r = 0;

    for (size_t i = 0; i < n; r++) {
        size_t end = i + 1;
        while (end < n && v[end] == v[i])
            end++;
        values[r] = v[i];
        lengths[r] = end - i;
        i = end;
    }
    put_kind(b, KIND_RUNS, 0);
    varint_put(b, runs);
    column_int_encode(b, values, runs);
    column_int_encode(b, lengths, runs);
    free(values);
    free(lengths);
}

/* The largest scale that divides every value (as signed). */
static unsigned common_scale(const uint64_t *v, size_t n)
{
    unsigned scale = SCALES - 1;

    for (size_t i = 0; i < n && scale > 0; i++)
        while (scale > 0 && (int64_t)v[i] % (int64_t)SCALE[scale] != 0)
            scale--;
    return scale;
}

void column_int_encode(struct buf *b, const uint64_t *v, size_t n)
{
    uint64_t *scaled;
    uint64_t *deltas;
    unsigned scale;
    size_t runs = count_runs(v, n);

    if (runs <= 1) {
        put_kind(b, KIND_CONST, 0);
        varint_put(b, zigzag(n == 0 ? 0 : v[0]));
        return;
    }
    if (runs <= n / RUN_GAIN) {
        put_runs(b, v, n, runs);
        return;
    }
    scale = common_scale(v, n);
    scaled = mem_grow(NULL, n * sizeof(*scaled));
    deltas = mem_grow(NULL, n * sizeof(*deltas));
    for (size_t i = 0; i < n; i++)
        scaled[i] = (uint64_t)((int64_t)v[i] / (int64_t)SCALE[scale]);
    for (size_t i = 1; i < n; i++)
        deltas[i] = scaled[i] - scaled[i - 1];
    if (groups_size(deltas + 1, n - 1) < groups_size(scaled, n)) {
        put_kind(b, KIND_DELTA, scale);
        varint_put(b, zigzag(scaled[0]));
        put_groups(b, deltas + 1, n - 1);
    } else {
        put_kind(b, KIND_FOR, scale);
        put_groups(b, scaled, n);
    }
    free(scaled);
    free(deltas);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "number column: %s", what);
}

/* Values of up to 56 bits, eight bytes loaded for each: no load passes `p + room`.  Returns how
 * many were done. */
static size_t unpack_wide(const char *p, size_t room, size_t n, unsigned width, uint64_t base,
                          uint64_t *ret)
{
    uint64_t mask = (UINT64_C(1) << width) - 1;
    size_t last = room < 8 ? 0 : (room - 8) * 8 / (width == 0 ? 1 : width) + 1;
    size_t m = room < 8 ? 0 : (n < last ? n : last);

    for (size_t i = 0; i < m; i++) {
        size_t bit = i * width;
        ret[i] = base + (le_get64(p + bit / 8) >> (bit % 8) & mask);
    }
    return m;
}

/* The rest, from a copy that has bytes behind its end. */
static void unpack_rest(const char *p, size_t from, size_t n, unsigned width, uint64_t base,
                        uint64_t *ret)
{
    char packed[GROUP_BYTES_MAX] = {0};
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;

    memcpy(packed, p, packed_bytes(n, width));
    for (size_t i = from; i < n; i++) {
        size_t bit = i * width;
        unsigned shift = bit % 8;
        uint64_t x = le_get64(packed + bit / 8) >> shift;
        if (shift > 0 && shift + width > 64)
            x |= (uint64_t)(uint8_t)packed[bit / 8 + 8] << (64 - shift);
        ret[i] = base + (x & mask);
    }
}

static int get_group(struct str *in, size_t n, uint64_t *ret, struct err *err)
{
    uint64_t base;
    unsigned width;
    size_t bytes;
    size_t done = 0;

    if (!varint_get(in, &base) || in->n < 1)
        return corrupt("group without its head", err);
    width = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    if (width > 64)
        return corrupt("more than 64 bits", err);
    bytes = packed_bytes(n, width);
    if (bytes > in->n)
        return corrupt("group is cut", err);
    base = unzigzag(base);
    if (width <= WIDTH_WIDE)
        done = unpack_wide(in->p, in->n, n, width, base, ret);
    if (done < n)
        unpack_rest(in->p, done, n, width, base, ret);
    *in = str_from(*in, bytes);
    return 0;
}

static int get_groups(struct str *in, size_t n, uint64_t *ret, struct err *err)
{
    for (size_t at = 0; at < n; at += GROUP) {
        int r = get_group(in, n - at < GROUP ? n - at : GROUP, ret + at, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int get_runs(struct str *in, size_t n, uint64_t *ret, struct err *err)
{
    uint64_t *values = NULL;
    uint64_t *lengths = NULL;
    uint64_t runs;
    size_t at = 0;
    int r;

    /* Also bounds the depth of columns in columns: each has at most half the values of the one
     * around it. */
    if (!varint_get(in, &runs) || runs > n / 2)
        return corrupt("count of runs", err);
    values = mem_grow(NULL, (size_t)runs * sizeof(*values) + 1);
    lengths = mem_grow(NULL, (size_t)runs * sizeof(*lengths) + 1);
    r = column_int_decode(in, (size_t)runs, values, err);
    if (r == 0)
        r = column_int_decode(in, (size_t)runs, lengths, err);
    for (size_t i = 0; r == 0 && i < runs; i++) {
        if (lengths[i] > n - at)
            r = corrupt("runs are too long", err);
        for (uint64_t k = 0; r == 0 && k < lengths[i]; k++)
            ret[at++] = values[i];
    }
    if (r == 0 && at != n)
        r = corrupt("runs are too short", err);
    free(values);
    free(lengths);
    return r;
}

static int get_body(struct str *in, unsigned kind, size_t n, uint64_t *ret, struct err *err)
{
    uint64_t first;

    switch (kind) {
    case KIND_CONST:
        if (!varint_get(in, &first))
            return corrupt("no value", err);
        for (size_t i = 0; i < n; i++)
            ret[i] = unzigzag(first);
        return 0;
    case KIND_FOR:
        return get_groups(in, n, ret, err);
    case KIND_DELTA:
        if (n == 0 || !varint_get(in, &first))
            return corrupt("no first value", err);
        ret[0] = unzigzag(first);
        if (get_groups(in, n - 1, ret + 1, err) < 0)
            return ERR_CORRUPT;
        for (size_t i = 1; i < n; i++)
            ret[i] += ret[i - 1];
        return 0;
    case KIND_RUNS:
        return get_runs(in, n, ret, err);
    default:
        return corrupt("unknown kind", err);
    }
}

int column_int_decode(struct str *in, size_t n, uint64_t *ret, struct err *err)
{
    unsigned kind;
    unsigned scale;
    int r;

    if (in->n < 1)
        return corrupt("no head", err);
    kind = (uint8_t)in->p[0] & 15;
    scale = (uint8_t)in->p[0] >> 4;
    if (scale >= SCALES)
        return corrupt("unknown scale", err);
    *in = str_from(*in, 1);
    r = get_body(in, kind, n, ret, err);
    if (r == 0 && scale > 0)
        for (size_t i = 0; i < n; i++)
            ret[i] *= SCALE[scale];
    return r;
}
