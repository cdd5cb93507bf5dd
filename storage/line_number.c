/*
 * storage/line_number.c - see line_number.h.
 *
 * How exact doubles are: x < 2^49 is one, 1 / 10^(p + k) is off by at most 2^-53 of itself, the
 * product and the difference by as much of theirs.  Together that is below 3 x 2^-53 of x, 0.19,
 * while the numbers that are to be told apart are 1 apart and the limits lie in the middle between
 * two.
 *
 * How rough floats are: x, 1 / 10^(p + k) and the difference are each off by at most 2^-24 of
 * themselves, the middle by 2^-24.
 */
#include "storage/line_number.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { DIGITS_MAX = 15, LANES = 4, WIDE_LANES = 8, STEP = 16 };

static const uint64_t GREATEST = (UINT64_C(1) << 49) - 1;
/* Added and taken off again, what is left is the nearest whole number. */
static const double ROUNDER = 6755399441055744.0;
static const float WIDE_ROUNDER = 12582912.0F;
static const double FLOAT_OFF = 1.0 / (1 << 24);
static const double ROUGH_SHARE = 1.0 / 128; /* of numbers, at most, that pass without a literal */

/* The literal as a number of needle.n digits; false: it holds something else. */
static bool number_of(const struct find *f, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < f->needle.n; i++) {
        unsigned digit = (unsigned)(uint8_t)f->needle.p[i] - '0';
        if (digit > 9 || (f->fold != NULL && f->fold[i] != 0))
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

/* Whether some number of the column can have the digits d of `mod` at `place`. */
static bool may_stand(const struct slot_stamp *s, uint64_t d, uint64_t mod, uint64_t place)
{
    uint64_t low = s->min / place;
    uint64_t high = s->max / place;
    uint64_t more = (d + mod - low % mod) % mod;

    return more <= high - low;
}

static bool add_test(struct line_number *m, const struct slot_stamp *s, uint64_t d, uint64_t mod,
                     uint64_t place, bool not_first)
{
    double whole = (double)mod * (double)place;

    if (m->n == LINE_NUMBER_TESTS)
        return false;
    m->test[m->n++] = (struct line_number_test){
        .inverse = 1 / whole,
        .center = ((double)d * (double)place + ((double)place - 1) / 2) / whole,
        .half = (double)place / 2 / whole,
        .least = not_first ? whole : 0,
        .once = !not_first && s->max / place < mod,
    };
    return true;
}

/* All places of one literal. */
static bool add_literal(struct line_number *m, const struct find *f, const struct slot_stamp *s)
{
    size_t digits = f->needle.n;
    uint64_t mod = 1;
    uint64_t place = 1;
    uint64_t d = 0;
    bool zero = f->needle.p[0] == '0';

    if (digits > s->max_len || !number_of(f, &d))
        return true; /* in no number at all */
    if (digits > DIGITS_MAX || (zero && digits == 1))
        return false;
    for (size_t i = 0; i < digits; i++)
        mod *= 10;
    for (size_t p = 0; p + digits <= s->max_len; p++, place *= 10)
        /* A number does not begin with 0 unless all have the same width. */
        if (may_stand(s, d, mod, place) && !add_test(m, s, d, mod, place, zero && s->width == 0))
            return false;
    return true;
}

/* Tests in floats; false: too many numbers would pass. */
static bool make_rough(struct line_number *m, const struct slot_stamp *s)
{
    double share = 0;

    if (s->max > INT32_MAX)
        return false;
    for (size_t t = 0; t < m->n; t++) {
        struct line_number_test *q = &m->test[t];
        double off = 4 * FLOAT_OFF * ((double)s->max * q->inverse + 1);
        share += 2 * off;
        q->rough.inverse = (float)q->inverse;
        q->rough.center = (float)q->center;
        q->rough.half = (float)(q->half + off);
        q->rough.least = (float)(q->least * (1 - 4 * FLOAT_OFF));
    }
    return share <= ROUGH_SHARE;
}

bool line_number_init(struct line_number *m, const struct line_needle *w,
                      const struct slot_stamp *s)
{
    m->n = 0;
    m->portable = true;
#if defined(__x86_64__)
    m->portable = !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma");
#endif
    if (s->max > GREATEST || s->max_len > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (!add_literal(m, &w->find[i], s))
            return false;
    m->rough = !m->portable && make_rough(m, s);
    return true;
}

static bool has(const struct line_number *m, uint64_t v)
{
    double x = (double)v;

    for (size_t t = 0; t < m->n; t++) {
        const struct line_number_test *q = &m->test[t];
        double at = x * q->inverse - q->center;
        if (fabs(at - floor(at + 0.5)) < q->half && x >= q->least)
            return true;
    }
    return false;
}

static void mark_portable(const struct line_number *m, const uint64_t *v, size_t n, size_t first,
                          uint64_t *bits)
{
    for (size_t i = 0; i < n; i++)
        if (has(m, v[i]))
            bits[(first + i) / 64] |= UINT64_C(1) << ((first + i) % 64);
}

#if defined(__x86_64__)
enum { VECTORS = STEP / LANES };

struct step {
    __m256d x[VECTORS], found[VECTORS];
};

/* Numbers that are at the same distance from center in each period, or in the one that there is. */
__attribute__((target("avx2,fma"))) static inline void
test_numbers(struct step *s, const struct line_number_test *q, bool once)
{
    const __m256d rounder = _mm256_set1_pd(ROUNDER);
    const __m256d sign = _mm256_set1_pd(-0.0);
    const __m256d inverse = _mm256_set1_pd(q->inverse);
    const __m256d center = _mm256_set1_pd(q->center);
    const __m256d half = _mm256_set1_pd(q->half);

    for (size_t k = 0; k < VECTORS; k++) {
        __m256d at = _mm256_fmsub_pd(s->x[k], inverse, center);
        if (!once)
            at = _mm256_sub_pd(at, _mm256_sub_pd(_mm256_add_pd(at, rounder), rounder));
        at = _mm256_cmp_pd(_mm256_andnot_pd(sign, at), half, _CMP_LT_OQ);
        s->found[k] = _mm256_or_pd(s->found[k], at);
    }
}

/* Those of them that are not below the least. */
__attribute__((target("avx2,fma"))) static inline void test_large(struct step *s,
                                                                  const struct line_number_test *q)
{
    const __m256d least = _mm256_set1_pd(q->least);
    struct step one = *s;

    for (size_t k = 0; k < VECTORS; k++)
        one.found[k] = _mm256_setzero_pd();
    test_numbers(&one, q, false);
    for (size_t k = 0; k < VECTORS; k++)
        s->found[k] = _mm256_or_pd(
            s->found[k], _mm256_and_pd(one.found[k], _mm256_cmp_pd(s->x[k], least, _CMP_GE_OQ)));
}

/* Bit i: the i-th of sixteen numbers has a literal. */
__attribute__((target("avx2,fma"))) static unsigned test_step(const struct line_number *m,
                                                              const uint64_t *v)
{
    const __m256i exponent = _mm256_set1_epi64x(INT64_C(0x4330000000000000)); /* of 2^52 */
    const __m256d base = _mm256_castsi256_pd(exponent);
    struct step s;
    unsigned bits = 0;

    for (size_t k = 0; k < VECTORS; k++) {
        __m256i raw = _mm256_loadu_si256((const void *)(v + LANES * k));
        s.x[k] = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(raw, exponent)), base);
        s.found[k] = _mm256_setzero_pd();
    }
    for (size_t t = 0; t < m->n; t++) {
        const struct line_number_test *q = &m->test[t];
        if (q->once)
            test_numbers(&s, q, true);
        else if (q->least > 0)
            test_large(&s, q);
        else
            test_numbers(&s, q, false);
    }
    for (size_t k = 0; k < VECTORS; k++)
        bits |= (unsigned)_mm256_movemask_pd(s.found[k]) << (LANES * k);
    return bits;
}

/* Sixteen numbers below 2^31 as floats, in their order. */
__attribute__((target("avx2,fma"))) static inline void load_rough(const uint64_t *v, __m256 x[2])
{
    for (size_t k = 0; k < 2; k++) {
        __m256 low = _mm256_loadu_ps((const void *)(v + WIDE_LANES * k));
        __m256 high = _mm256_loadu_ps((const void *)(v + WIDE_LANES * k + LANES));
        __m256i half = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
        x[k] = _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(half, 0xd8));
    }
}

/* test_step, which may also be true of numbers that have no literal. */
__attribute__((target("avx2,fma"))) static unsigned rough_step(const struct line_number *m,
                                                               const uint64_t *v)
{
    const __m256 rounder = _mm256_set1_ps(WIDE_ROUNDER);
    const __m256 sign = _mm256_set1_ps(-0.0F);
    __m256 found[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256 x[2];

    load_rough(v, x);
    for (size_t t = 0; t < m->n; t++) {
        const struct line_number_test *q = &m->test[t];
        const __m256 inverse = _mm256_set1_ps(q->rough.inverse);
        const __m256 center = _mm256_set1_ps(q->rough.center);
        const __m256 half = _mm256_set1_ps(q->rough.half);
        const __m256 least = _mm256_set1_ps(q->rough.least);
        for (size_t k = 0; k < 2; k++) {
            __m256 at = _mm256_fmsub_ps(x[k], inverse, center);
            if (!q->once)
                at = _mm256_sub_ps(at, _mm256_sub_ps(_mm256_add_ps(at, rounder), rounder));
            at = _mm256_cmp_ps(_mm256_andnot_ps(sign, at), half, _CMP_LE_OQ);
            if (q->least > 0)
                at = _mm256_and_ps(at, _mm256_cmp_ps(x[k], least, _CMP_GE_OQ));
            found[k] = _mm256_or_ps(found[k], at);
        }
    }
    return (unsigned)_mm256_movemask_ps(found[0]) | (unsigned)_mm256_movemask_ps(found[1])
                                                        << WIDE_LANES;
}

__attribute__((target("avx2,fma"))) static void
mark_avx2(const struct line_number *m, const uint64_t *v, size_t n, size_t first, uint64_t *bits)
{
    uint64_t last[STEP] = {0};
    size_t i = 0;

    for (; n - i >= STEP; i += STEP)
        if (!m->rough || rough_step(m, v + i) != 0)
            bits[(first + i) / 64] |= (uint64_t)test_step(m, v + i) << (i % 64);
    if (i == n)
        return;
    memcpy(last, v + i, (n - i) * sizeof(*v));
    bits[(first + i) / 64] |= (uint64_t)(test_step(m, last) & ((1u << (n - i)) - 1)) << (i % 64);
}
#endif

void line_number_mark(const struct line_number *m, const uint64_t *v, size_t n, size_t first,
                      uint64_t *bits)
{
    if (m->n == 0)
        return;
#if defined(__x86_64__)
    if (!m->portable) {
        mark_avx2(m, v, n, first, bits);
        return;
    }
#endif
    mark_portable(m, v, n, first, bits);
}
