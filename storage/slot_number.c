/*
 * storage/slot_number.c - contract: slot_number.h; format: docs/formats/slot.md.
 *
 * Which way is smallest is guessed from summed bit lengths: that is one pass without branches, and
 * on log columns it orders the ways as zstd does (docs/adr/0006).
 */
#include "storage/slot_number.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/varint.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MODE_OFFSET, MODE_DELTA, MODE_DICT, MODES };
enum { HEAD_MODE = 7, HEAD_PACKED = 8 }; /* bits of the first byte; from 16 on the width */
enum {
    PLANES_MAX = 8,
    DICT_MIN = 64,      /* values below which a dictionary is not tried */
    DICT_SHARE = 4,     /* as many numbers to a value, or more */
    DICT_SAMPLE = 256,  /* values after which, again and again, it is asked if this may pay */
    DICT_GAIN_BITS = 4, /* bits a value below which there is nothing to gain */
    DICT_PROBES = 64,   /* places looked at: bounds the time that chosen numbers can cost */
};

/* ---- write ---- */

void slot_number_encoder_fini(struct slot_number_encoder *e)
{
    free(e->scaled);
    free(e->delta);
    slot_distinct_fini(&e->distinct);
    free(e->key);
    free(e->spare);
    slot_scale_fini(&e->scale);
    *e = (struct slot_number_encoder){0};
}

static unsigned bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* What divides all distances from `min`; 1 if nothing does or all are equal. */
static uint64_t common_step(const uint64_t *v, size_t n, uint64_t min)
{
    uint64_t step = 0;

    for (size_t i = 0; i < n && step != 1; i++)
        step = gcd(v[i] - min, step);
    return step == 0 ? 1 : step;
}

static void put_planes(const uint64_t *v, size_t n, unsigned width, struct buf *out)
{
    uint8_t *p = (uint8_t *)buf_room(out, n * width + 1);

    if (p == NULL)
        return;
    for (unsigned k = 0; k < width; k++)
        for (size_t i = 0; i < n; i++)
            p[k * n + i] = (uint8_t)(v[i] >> (8 * k));
    out->n += n * width;
}

/* Does the top plane of `bits` % 8 bits look random?  Beside the full planes below it zstd would
 * then spend more on it than its bits. */
static bool top_is_random(const uint64_t *v, size_t n, unsigned bits)
{
    unsigned shift = bits & ~7u;
    unsigned used = bits % 8;
    uint32_t seen[128] = {0};
    uint32_t most = 0;
    size_t again = 0;

    if (used == 0 || bits < 8 || n < DICT_MIN)
        return false;
    seen[v[0] >> shift & 127]++;
    for (size_t i = 1; i < n; i++) {
        seen[v[i] >> shift & 127]++;
        again += v[i] >> shift == v[i - 1] >> shift;
    }
    for (size_t k = 0; k < 128; k++)
        most = seen[k] > most ? seen[k] : most;
    /* In 2^used equal parts each is n >> used; a top half empty makes that twice as many. */
    return most < 3 * (n >> used) + 8 && again < 3 * (n >> used) + 8;
}

static size_t packed_bytes(size_t n, unsigned used)
{
    return (n * used + 7) / 8 + 1; /* one more, so that two can be read anywhere */
}

/* `used` bits of each value from bit `shift` on, one after the other. */
static void put_packed(const uint64_t *v, size_t n, unsigned shift, unsigned used, struct buf *out)
{
    uint8_t *p = (uint8_t *)buf_room(out, packed_bytes(n, used));
    uint64_t pending = 0;
    unsigned have = 0;

    if (p == NULL)
        return;
    out->n += packed_bytes(n, used);
    for (size_t i = 0; i < n; i++) {
        pending |= (v[i] >> shift) << have;
        for (have += used; have >= 8; have -= 8) {
            *p++ = (uint8_t)pending;
            pending >>= 8;
        }
    }
    if (have > 0)
        *p++ = (uint8_t)pending;
    *p = 0;
}

/* What a column looks like before it is written. */
struct shape {
    uint64_t min, max, step;
    uint64_t scaled_bits, delta_bits; /* summed */
    uint64_t delta_bias, delta_or;
};

static void look(struct slot_number_encoder *e, const uint64_t *v, size_t n, struct shape *s)
{
    *s = (struct shape){.min = v[0], .max = v[0]};
    for (size_t i = 1; i < n; i++) {
        s->min = v[i] < s->min ? v[i] : s->min;
        s->max = v[i] > s->max ? v[i] : s->max;
    }
    s->step = common_step(v, n, s->min);
    if (s->step == 1)
        for (size_t i = 0; i < n; i++)
            e->scaled[i] = v[i] - s->min;
    else
        for (size_t i = 0; i < n; i++)
            e->scaled[i] = (v[i] - s->min) / s->step;
    for (size_t i = 0; i < n; i++)
        s->scaled_bits += bits_of(e->scaled[i]);
    if (n > 1)
        s->delta_bias = e->scaled[1] - e->scaled[0];
    for (size_t i = 1; i < n && s->delta_bias != 0; i++)
        if (e->scaled[i] - e->scaled[i - 1] != s->delta_bias)
            s->delta_bias = 0;
    for (size_t i = 1; i < n; i++) {
        uint64_t d = zigzag(e->scaled[i] - e->scaled[i - 1] - s->delta_bias);
        e->delta[i - 1] = d;
        s->delta_or |= d;
        s->delta_bits += bits_of(d);
    }
}

/* Offsets from the least, or deltas; no dictionary. */
static void put_plain(const struct slot_number_encoder *e, const struct shape *s, bool delta,
                      size_t n, struct buf *out)
{
    const uint64_t *v = delta ? e->delta : e->scaled;
    size_t rows = delta ? n - 1 : n;
    unsigned bits = bits_of(delta ? s->delta_or : (s->max - s->min) / s->step);
    bool packed = top_is_random(v, rows, bits);
    unsigned width = packed ? bits / 8 : (bits + 7) / 8;

    buf_add_char(
        out, (char)((delta ? MODE_DELTA : MODE_OFFSET) | (packed ? HEAD_PACKED : 0) | width << 4));
    if (packed)
        buf_add_char(out, (char)(bits % 8));
    varint_put(out, delta ? s->min + e->scaled[0] * s->step : s->min);
    varint_put(out, s->step);
    if (delta)
        varint_put(out, s->delta_bias);
    put_planes(v, rows, width, out);
    if (packed)
        put_packed(v, rows, bits & ~7u, bits % 8, out);
}

void slot_number_sort(struct slot_number_key *key, struct slot_number_key *spare, size_t n)
{
    struct slot_number_key *from = key;
    struct slot_number_key *to = spare;
    uint64_t differs = 0;

    for (size_t i = 1; i < n; i++)
        differs |= key[i].key ^ key[0].key;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t at[256] = {0};
        size_t sum = 0;
        struct slot_number_key *t = from;
        if ((differs >> shift & 255) == 0)
            continue;
        for (size_t i = 0; i < n; i++)
            at[from[i].key >> shift & 255]++;
        for (size_t b = 0; b < 256; b++) {
            size_t count = at[b];
            at[b] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[at[from[i].key >> shift & 255]++] = from[i];
        from = to;
        to = t;
    }
    if (from != key)
        memcpy(key, from, n * sizeof(*key));
}

static void grow_scratch(struct slot_number_encoder *e, size_t n)
{
    if (n <= e->cap)
        return;
    e->scaled = mem_grow(e->scaled, n * sizeof(*e->scaled));
    e->delta = mem_grow(e->delta, n * sizeof(*e->delta));
    e->cap = n;
}

static void grow_keys(struct slot_number_encoder *e, size_t max)
{
    if (max <= e->key_cap)
        return;
    e->key = mem_grow(e->key, max * sizeof(*e->key));
    e->spare = mem_grow(e->spare, max * sizeof(*e->spare));
    e->key_cap = max;
}

/* The distinct ones of e->scaled in e->key and the id of each value, in order of appearance; how
 * many, 0: more than `max`, or too costly to find out. */
static size_t find_distinct(struct slot_number_encoder *e, size_t n, size_t max)
{
    size_t places = slot_distinct_open(&e->distinct, n, max);
    size_t count = 0;
    size_t check = DICT_SAMPLE;

    grow_keys(e, max);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = e->scaled[i];
        size_t at = (size_t)((v * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (places - 1);
        unsigned probes = 0;
        if (i == check) {
            if (!slot_distinct_may_repeat(i, count, n, DICT_SHARE))
                return 0;
            check *= 4;
        }
        if (i > 0 && v == e->scaled[i - 1]) {
            e->distinct.id[i] = e->distinct.id[i - 1];
            continue;
        }
        while (e->distinct.table[at] != 0 && e->key[e->distinct.table[at] - 1].key != v) {
            at = (at + 1) & (places - 1);
            if (++probes > DICT_PROBES)
                return 0;
        }
        if (e->distinct.table[at] == 0) {
            if (count == max)
                return 0;
            e->key[count] = (struct slot_number_key){v, (uint32_t)count};
            e->distinct.table[at] = (uint32_t)++count;
        }
        e->distinct.id[i] = e->distinct.table[at] - 1;
    }
    return count;
}

static void put_ids(const uint32_t *id, const uint32_t *rank, size_t n, unsigned width,
                    struct buf *out)
{
    uint8_t *p = (uint8_t *)buf_room(out, n * width + 1);

    if (p == NULL)
        return;
    if (width == 1)
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)rank[id[i]];
    else
        for (size_t i = 0; i < n; i++)
            le_put16(p + 2 * i, (uint16_t)rank[id[i]]);
    out->n += n * width;
}

/* As distinct values and ids, if that is less than `bits`; false: nothing was written. */
static bool put_dict(struct slot_number_encoder *e, const struct shape *s, size_t n, uint64_t bits,
                     struct buf *out)
{
    unsigned entry_bits = bits_of((s->max - s->min) / s->step);
    size_t max = entry_bits <= 16 ? 256 : SLOT_NUMBER_IDS_MAX;
    uint32_t *rank;
    struct shape entries;
    size_t count;

    if (entry_bits <= 8 || n < DICT_MIN || bits / n < DICT_GAIN_BITS)
        return false;
    count = find_distinct(e, n, max < n / DICT_SHARE ? max : n / DICT_SHARE);
    if (count < 2 || n * bits_of(count - 1) + count * entry_bits >= bits)
        return false;
    slot_number_sort(e->key, e->spare, count);
    rank = e->distinct.table; /* not needed any more */
    for (size_t i = 0; i < count; i++) {
        rank[e->key[i].id] = (uint32_t)i;
        e->scaled[i] = s->min + e->key[i].key * s->step;
    }
    buf_add_char(out, (char)(MODE_DICT | (count <= 256 ? 1 : 2) << 4));
    varint_put(out, count);
    put_ids(e->distinct.id, rank, n, count <= 256 ? 1 : 2, out);
    look(e, e->scaled, count, &entries);
    put_plain(e, &entries, entries.delta_bits < entries.scaled_bits, count, out);
    return true;
}

/* All ways, and then that again which zstd packs best.  Spoils e->scaled. */
static void put_smallest(struct slot_number_encoder *e, const uint64_t *v, size_t n,
                         struct shape *s, struct buf *out)
{
    size_t before = out->n;
    size_t least = SIZE_MAX;
    unsigned best = MODE_OFFSET;

    for (unsigned way = MODE_OFFSET; way < MODES; way++) {
        bool delta = way == MODE_DELTA;
        size_t weight;
        if (way == MODE_DICT && !put_dict(e, s, n, UINT64_MAX, out))
            continue;
        if (way != MODE_DICT)
            put_plain(e, s, delta, n, out);
        if (out->over)
            return;
        weight = slot_weigh(&e->scale, str_from(buf_str(out), before));
        if (weight < least) {
            least = weight;
            best = way;
        }
        if (best == MODE_DICT)
            return; /* it stands there, and was the last */
        out->n = before;
    }
    look(e, v, n, s);
    put_plain(e, s, best == MODE_DELTA, n, out);
}

void slot_number_put(struct slot_number_encoder *e, const uint64_t *v, size_t n, bool small,
                     struct buf *out)
{
    struct shape s;
    bool delta;

    grow_scratch(e, n);
    look(e, v, n, &s);
    delta = s.delta_bits < s.scaled_bits;
    if (small && n >= DICT_MIN)
        put_smallest(e, v, n, &s, out);
    else if (!put_dict(e, &s, n, delta ? s.delta_bits : s.scaled_bits, out))
        put_plain(e, &s, delta, n, out);
}

/* ---- read ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "numbers of a slot: %s", what);
}

static int get_head(struct str *in, struct slot_number *c, struct err *err)
{
    uint8_t head;

    if (in->n < 1)
        return corrupt("no head", err);
    head = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    c->mode = head & HEAD_MODE;
    c->width = head >> 4;
    if (c->mode >= MODES)
        return corrupt("unknown way", err);
    if ((head & HEAD_PACKED) == 0)
        return 0;
    if (c->mode == MODE_DICT || in->n < 1 || in->p[0] < 1 || in->p[0] > 7)
        return corrupt("bits of the top", err);
    c->top = (unsigned)in->p[0];
    *in = str_from(*in, 1);
    return 0;
}

static int open_plain(struct str *in, struct slot_number *c, struct err *err)
{
    size_t rows = c->n - (c->mode == MODE_DELTA);

    if (c->width + (c->top > 0) > PLANES_MAX)
        return corrupt("more than eight planes", err);
    if (!varint_get(in, &c->base) || !varint_get(in, &c->step))
        return corrupt("no base", err);
    if (c->mode == MODE_DELTA && !varint_get(in, &c->bias))
        return corrupt("no bias", err);
    if (c->width > 0 && rows > in->n / c->width)
        return corrupt("planes are cut", err);
    c->bytes = (const uint8_t *)in->p;
    *in = str_from(*in, rows * c->width);
    if (c->top == 0)
        return 0;
    /* rows * top cannot wrap: a column of so many rows has no arena to be read into. */
    if (rows > SIZE_MAX / 8 - 8 || packed_bytes(rows, c->top) > in->n)
        return corrupt("top bits are cut", err);
    c->packed = (const uint8_t *)in->p;
    *in = str_from(*in, packed_bytes(rows, c->top));
    return 0;
}

/* The list of distinct values behind the ids. */
static int open_entries(struct str *in, size_t n, struct arena *a, struct slot_number *c,
                        struct err *err)
{
    struct slot_number list = {.n = n};
    uint64_t *entry = arena_alloc(a, n * sizeof(*entry));
    int r;

    if (entry == NULL)
        return arena_err(a, err);
    r = get_head(in, &list, err);
    if (r == 0 && list.mode == MODE_DICT)
        r = corrupt("a dictionary in a dictionary", err);
    if (r == 0)
        r = open_plain(in, &list, err);
    if (r == 0)
        r = slot_number_read(&list, n, entry, err);
    c->entry = entry;
    c->n_entries = n;
    return r;
}

/* How many entries a dictionary has, and its ids. */
static int take_ids(struct str *in, struct slot_number *c, uint64_t *ret, struct err *err)
{
    uint64_t count;

    if (!varint_get(in, &count) || count == 0 || count > c->n || count > SLOT_NUMBER_IDS_MAX)
        return corrupt("size of the dictionary", err);
    if (c->width != 1 && c->width != 2)
        return corrupt("width of the ids", err);
    if (c->n > in->n / c->width)
        return corrupt("ids are cut", err);
    c->bytes = (const uint8_t *)in->p;
    *in = str_from(*in, c->n * c->width);
    *ret = count;
    return 0;
}

static int open_dict(struct str *in, struct arena *a, struct slot_number *c, struct err *err)
{
    uint64_t count = 0;
    int r = take_ids(in, c, &count, err);

    return r < 0 ? r : open_entries(in, (size_t)count, a, c, err);
}

int slot_number_open(struct str *in, size_t n, struct arena *a, struct slot_number *ret,
                     struct err *err)
{
    struct slot_number c = {.n = n};
    int r;

    if (n == 0)
        return corrupt("no values", err);
    r = get_head(in, &c, err);
    if (r == 0)
        r = c.mode == MODE_DICT ? open_dict(in, a, &c, err) : open_plain(in, &c, err);
    if (r == 0)
        *ret = c;
    return r;
}

/* The top bits of rows [at, at + m) on top of what is there. */
static void read_packed(const struct slot_number *c, size_t at, size_t m, uint64_t *restrict ret)
{
    unsigned mask = (1u << c->top) - 1;
    unsigned shift = 8 * c->width;
    size_t bit = at * c->top;

    for (size_t i = 0; i < m; i++, bit += c->top) {
        unsigned two = le_get16(c->packed + bit / 8);
        ret[i] |= (uint64_t)(two >> bit % 8 & mask) << shift;
    }
}

/* m values from `width` planes of `rows` bytes; inlined for each width, so that it is one pass. */
static inline __attribute__((always_inline)) void
join(const uint8_t *restrict p, size_t rows, unsigned width, size_t m, uint64_t *restrict ret)
{
    for (size_t i = 0; i < m; i++) {
        uint64_t v = 0;
        for (unsigned k = 0; k < width; k++)
            v |= (uint64_t)p[k * rows + i] << (8 * k);
        ret[i] = v;
    }
}

/* Rows [at, at + m) of planes of `rows` bytes each. */
static void read_planes(const struct slot_number *c, size_t rows, size_t at, size_t m,
                        uint64_t *restrict ret)
{
    const uint8_t *p = c->bytes + at;

    switch (c->width) {
    case 0:
        memset(ret, 0, m * sizeof(*ret));
        break;
    case 1:
        join(p, rows, 1, m, ret);
        break;
    case 2:
        join(p, rows, 2, m, ret);
        break;
    case 3:
        join(p, rows, 3, m, ret);
        break;
    case 4:
        join(p, rows, 4, m, ret);
        break;
    default:
        join(p, rows, c->width, m, ret);
    }
    if (c->top > 0)
        read_packed(c, at, m, ret);
}

#if defined(__x86_64__)
/* Rows [at, at + m) of up to four bytes and top bits each, eight rows at a time, `base` added; how
 * many were done: what would read past the bytes is left. */
__attribute__((target("avx2,bmi2"))) static size_t read_eight(const struct slot_number *c,
                                                              size_t rows, size_t at, size_t m,
                                                              uint64_t base, uint64_t *restrict ret)
{
    enum { LANES = 8 };
    const size_t packed = c->top > 0 ? packed_bytes(rows, c->top) : 0;
    const uint64_t spread = UINT64_C(0x0101010101010101) * ((1u << c->top) - 1);
    const __m256i add = _mm256_set1_epi64x((long long)base);
    size_t i = 0;

    for (; m - i >= LANES; i += LANES) {
        __m256i v = _mm256_setzero_si256();
        __m256i low;
        __m256i high;
        for (unsigned k = 0; k < c->width; k++) {
            __m128i byte = _mm_loadl_epi64((const void *)(c->bytes + k * rows + at + i));
            v = _mm256_or_si256(
                v, _mm256_sll_epi32(_mm256_cvtepu8_epi32(byte), _mm_cvtsi32_si128((int)(8 * k))));
        }
        if (c->top > 0) {
            size_t bit = (at + i) * c->top;
            uint64_t tops;
            if (packed - bit / 8 < 8)
                break;
            tops = _pdep_u64(le_get64(c->packed + bit / 8) >> bit % 8, spread);
            v = _mm256_or_si256(
                v, _mm256_sll_epi32(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)tops)),
                                    _mm_cvtsi32_si128((int)(8 * c->width))));
        }
        low = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(v));
        high = _mm256_cvtepu32_epi64(_mm256_extracti128_si256(v, 1));
        _mm256_storeu_si256((void *)(ret + i), _mm256_add_epi64(low, add));
        _mm256_storeu_si256((void *)(ret + i + 4), _mm256_add_epi64(high, add));
    }
    return i;
}
#endif

/* The same of any width, all of them. */
static void read_rows(const struct slot_number *c, size_t rows, size_t at, size_t m, uint64_t base,
                      uint64_t *restrict ret)
{
    size_t done = 0;

#if defined(__x86_64__)
    if (c->width + (c->top > 0) <= 4 && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("bmi2"))
        done = read_eight(c, rows, at, m, base, ret);
#endif
    if (done == m)
        return;
    read_planes(c, rows, at + done, m - done, ret + done);
    for (size_t i = done; base != 0 && i < m; i++)
        ret[i] += base;
}

static void read_offsets(const struct slot_number *c, size_t m, uint64_t *restrict ret)
{
    read_rows(c, c->n, c->next, m, c->step == 1 ? c->base : 0, ret);
    for (size_t i = 0; c->step != 1 && i < m; i++)
        ret[i] = c->base + ret[i] * c->step;
}

static void read_deltas(struct slot_number *c, size_t m, uint64_t *restrict ret)
{
    uint64_t at = c->last;

    if (c->next == 0) {
        *ret++ = at = c->base;
        read_rows(c, c->n - 1, 0, m - 1, 0, ret);
        m--;
    } else {
        read_rows(c, c->n - 1, c->next - 1, m, 0, ret);
    }
    for (size_t i = 0; i < m; i++) {
        at += (unzigzag(ret[i]) + c->bias) * c->step;
        ret[i] = at;
    }
    c->last = at;
}

static int read_dict(const struct slot_number *c, size_t m, uint64_t *restrict ret, struct err *err)
{
    const uint8_t *p = c->bytes + c->next * c->width;
    size_t greatest = 0;

    for (size_t i = 0; i < m; i++) {
        size_t id = c->width == 1 ? p[i] : le_get16(p + 2 * i);
        greatest = id > greatest ? id : greatest;
    }
    if (greatest >= c->n_entries)
        return corrupt("id outside of the dictionary", err);
    for (size_t i = 0; i < m; i++)
        ret[i] = c->entry[c->width == 1 ? p[i] : le_get16(p + 2 * i)];
    return 0;
}

int slot_number_read(struct slot_number *c, size_t m, uint64_t *ret, struct err *err)
{
    int r = 0;

    INVARIANT(m <= c->n - c->next);
    if (m == 0)
        return 0;
    if (c->mode == MODE_OFFSET)
        read_offsets(c, m, ret);
    else if (c->mode == MODE_DELTA)
        read_deltas(c, m, ret);
    else
        r = read_dict(c, m, ret, err);
    c->next += m;
    return r;
}

/* ---- one value ---- */

enum { PICK_CHUNK = 1024 };

/* Instead of a dictionary, its list of values, and which of them value *i is. */
static int enter_dict(struct str *in, struct slot_number *c, size_t *i, struct err *err)
{
    struct slot_number list = {0};
    uint64_t count = 0;
    int r = take_ids(in, c, &count, err);

    if (r < 0)
        return r;
    list.n = (size_t)count;
    *i = c->width == 1 ? c->bytes[*i] : le_get16(c->bytes + 2 * *i);
    if (*i >= list.n)
        return corrupt("id outside of the dictionary", err);
    r = get_head(in, &list, err);
    if (r == 0 && list.mode == MODE_DICT)
        r = corrupt("a dictionary in a dictionary", err);
    if (r == 0)
        r = open_plain(in, &list, err);
    *c = list;
    return r;
}

/* Read from the front up to value i: the sum of those before it, and it. */
static int read_up_to(struct slot_number *c, size_t i, uint64_t *sum, uint64_t *ret, size_t *passed,
                      struct err *err)
{
    uint64_t number[PICK_CHUNK];
    int r = 0;

    *sum = 0;
    *passed += i;
    for (size_t done = 0; r == 0 && done <= i; done += PICK_CHUNK) {
        size_t left = i + 1 - done;
        size_t m = left < PICK_CHUNK ? left : PICK_CHUNK;
        r = slot_number_read(c, m, number, err);
        for (size_t k = 0; r == 0 && k < m - (left == m); k++)
            *sum += number[k];
        if (r == 0)
            *ret = number[m - 1];
    }
    return r;
}

int slot_number_pick(struct str *in, size_t n, size_t i, uint64_t *ret, size_t *passed,
                     struct err *err)
{
    struct slot_number c = {.n = n};
    uint64_t sum;
    int r;

    if (i >= n)
        return corrupt("no such value", err);
    r = get_head(in, &c, err);
    if (r == 0)
        r = c.mode == MODE_DICT ? enter_dict(in, &c, &i, err) : open_plain(in, &c, err);
    if (r < 0)
        return r;
    if (c.mode == MODE_DELTA)
        return read_up_to(&c, i, &sum, ret, passed, err);
    c.next = i;
    return slot_number_read(&c, 1, ret, err);
}

/* Of the first i values, without their top bits. */
static uint64_t sum_planes(const struct slot_number *c, size_t i)
{
    uint64_t sum = 0;

    for (unsigned k = 0; k < c->width; k++) {
        const uint8_t *p = c->bytes + k * c->n;
        uint64_t plane = 0;
        for (size_t at = 0; at < i; at++)
            plane += p[at];
        sum += plane << (8 * k);
    }
    return sum;
}

int slot_number_sum(struct slot_number *c, size_t i, uint64_t *sum, uint64_t *ret, size_t *passed,
                    struct err *err)
{
    enum { PLANE_SPEED = 16 }; /* bytes that are added in the time of a value that is read */

    INVARIANT(c->next == 0 && i < c->n);
    if (c->mode != MODE_OFFSET || c->top > 0)
        return read_up_to(c, i, sum, ret, passed, err);
    *passed += i * c->width / PLANE_SPEED;
    *sum = c->base * i + c->step * sum_planes(c, i);
    c->next = i;
    return slot_number_read(c, 1, ret, err);
}
