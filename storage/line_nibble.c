/* storage/line_nibble.c - see line_nibble.h. */
#include "storage/line_nibble.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BYTES_MAX = 128, WIDE = 32 };

/* The needle from one half of a byte on: byte i under mask[i] is value[i]. */
struct packed {
    size_t n;
    unsigned low; /* 1: it begins in the low half */
    size_t probe; /* bytes probe and probe + 1 are looked for */
    uint8_t value[BYTES_MAX + 1], mask[BYTES_MAX + 1];
};

/* Two stretches of bytes, both are looked at in the same place. */
struct pair {
    const uint8_t *a, *b;
    uint8_t value_a, mask_a, value_b, mask_b;
};

struct search {
    const struct slot_digits *d;
    const struct packed *needle;
    size_t digits; /* of a value */
    size_t length; /* of the needle */
    uint64_t *bits;
};

unsigned line_nibble_of(const struct find *f, size_t i, bool upper)
{
    uint8_t fold = f->fold == NULL ? 0 : f->fold[i];
    uint8_t byte = (uint8_t)f->needle.p[i];

    for (unsigned v = 0; v < 16; v++) {
        uint8_t c = (uint8_t)(v < 10 ? '0' + v : (upper ? 'A' : 'a') + v - 10);
        if (c == byte || c == (byte ^ fold))
            return v;
    }
    return 16;
}

/* false: some byte is no digit. */
static bool pack(const struct find *f, bool upper, unsigned low, struct packed *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->low = low;
    for (size_t i = 0; i < f->needle.n; i++) {
        unsigned v = line_nibble_of(f, i, upper);
        size_t at = i + low;
        if (v == 16)
            return false;
        ret->value[at / 2] |= (uint8_t)(at % 2 == 0 ? v << 4 : v);
        ret->mask[at / 2] |= at % 2 == 0 ? 0xf0 : 0x0f;
    }
    ret->n = (f->needle.n + low + 1) / 2;
    /* Whole bytes where there are two; else the needle is two bytes, or its first is half. */
    ret->probe = ret->n > 2 && ret->mask[0] != 0xff ? 1 : 0;
    return true;
}

/* The first place from `from` on where both bytes are right; n: none. */
static size_t next_portable(const struct pair *p, size_t from, size_t n)
{
    while (from < n &&
           ((p->a[from] & p->mask_a) != p->value_a || (p->b[from] & p->mask_b) != p->value_b))
        from++;
    return from;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t next_avx2(const struct pair *p, size_t from, size_t n)
{
    const __m256i value_a = _mm256_set1_epi8((char)p->value_a);
    const __m256i value_b = _mm256_set1_epi8((char)p->value_b);
    const __m256i mask_a = _mm256_set1_epi8((char)p->mask_a);
    const __m256i mask_b = _mm256_set1_epi8((char)p->mask_b);

    for (; n - from >= WIDE; from += WIDE) {
        __m256i a = _mm256_and_si256(_mm256_loadu_si256((const void *)(p->a + from)), mask_a);
        __m256i b = _mm256_and_si256(_mm256_loadu_si256((const void *)(p->b + from)), mask_b);
        unsigned hit = (unsigned)_mm256_movemask_epi8(
            _mm256_and_si256(_mm256_cmpeq_epi8(a, value_a), _mm256_cmpeq_epi8(b, value_b)));
        if (hit != 0)
            return from + (unsigned)__builtin_ctz(hit);
    }
    return next_portable(p, from, n);
}
#endif

typedef size_t next_fn(const struct pair *p, size_t from, size_t n);

/* The needle begins in byte `at` of value `i`, as far as its two bytes tell. */
static void check(const struct search *s, size_t i, size_t at)
{
    const struct slot_digits *d = s->d;
    const uint8_t *p = d->bytes + i * d->row + at * d->column;
    size_t digit = 2 * at + s->needle->low;

    if (digit + s->length > s->digits)
        return;
    for (size_t k = 0; k < s->needle->n; k++)
        if ((p[k * d->column] & s->needle->mask[k]) != s->needle->value[k])
            return;
    for (size_t k = 0; k < d->n_dashes; k++) { /* dash k stands before digit dash[k] - k */
        size_t before = d->dash[k] - k;
        if (before > digit && before < digit + s->length)
            return;
    }
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static struct pair pair_at(const struct packed *needle, const uint8_t *p, size_t column)
{
    return (struct pair){p + needle->probe * column,       p + (needle->probe + 1) * column,
                         needle->value[needle->probe],     needle->mask[needle->probe],
                         needle->value[needle->probe + 1], needle->mask[needle->probe + 1]};
}

/* Values one after the other: one stretch of bytes.  What begins in one value and ends in the next
 * is found too, and does not pass the check. */
static void search_rows(const struct search *s, size_t n, next_fn *next)
{
    const struct slot_digits *d = s->d;
    struct pair p = pair_at(s->needle, d->bytes, 1);
    size_t end = n * d->width - s->needle->n + 1;

    for (size_t at = next(&p, 0, end); at < end; at = next(&p, at + 1, end))
        check(s, at / d->width, at % d->width);
}

/* Byte k of all values together. */
static void search_planes(const struct search *s, size_t n, next_fn *next)
{
    const struct slot_digits *d = s->d;

    for (size_t at = 0; at + s->needle->n <= d->width; at++) {
        struct pair p = pair_at(s->needle, d->bytes + at * d->column, d->column);
        for (size_t i = next(&p, 0, n); i < n; i = next(&p, i + 1, n))
            check(s, i, at);
    }
}

static bool mark(const struct find *f, const struct slot_digits *d, size_t n, next_fn *next,
                 uint64_t *bits)
{
    if (f->needle.n < LINE_NIBBLE_MIN || memchr(f->needle.p, '-', f->needle.n) != NULL)
        return false;
    if (f->needle.n > d->length - d->n_dashes)
        return true;
    for (unsigned low = 0; low < 2; low++) {
        struct packed needle;
        struct search s = {d, &needle, d->length - d->n_dashes, f->needle.n, bits};
        if (!pack(f, d->upper, low, &needle))
            return true;
        if (needle.n > d->width)
            continue;
        if (d->column == 1)
            search_rows(&s, n, next);
        else
            search_planes(&s, n, next);
    }
    return true;
}

bool line_nibble_mark_portable(const struct find *f, const struct slot_digits *d, size_t n,
                               uint64_t *bits)
{
    return mark(f, d, n, next_portable, bits);
}

bool line_nibble_mark(const struct find *f, const struct slot_digits *d, size_t n, uint64_t *bits)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return mark(f, d, n, next_avx2, bits);
#endif
    return line_nibble_mark_portable(f, d, n, bits);
}
