/*
 * collector/redact_scan.c - contract: redact_scan.h.
 *
 * A block of 32 bytes becomes masks, a bit for each byte; the rest is shifts of those, with the
 * block before in the low half of 64 bits so that nothing is lost between two blocks.  Literals are
 * found by three bytes of each: a byte's halves look up the sets of literals that may have it there
 * (two shuffles), and what is left of three such looks is a candidate.
 */
#include "collector/redact_scan.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK = 32, AHEAD = REDACT_LITERAL_BYTES - 1 };

struct masks {
    uint32_t literal, at, digit, blank, dot, colon, hex;
};

/* BLOCK bytes at p, AHEAD more can be read. */
typedef void block_fn(const struct redact_needles *n, const char *p, struct masks *ret);

static inline uint8_t lower(char c)
{
    return (uint8_t)((unsigned char)c | 0x20);
}

void redact_needles_add(struct redact_needles *n, unsigned set, struct str literal, bool any_case)
{
    uint8_t bit = (uint8_t)(1u << set);

    n->hints |= REDACT_LITERAL;
    for (size_t i = 0; i < REDACT_LITERAL_BYTES; i++) {
        uint8_t b = (uint8_t)literal.p[i];
        n->low[i][b & 15] |= bit;
        n->high[i][b >> 4] |= bit;
        if (any_case && lower((char)b) >= 'a' && lower((char)b) <= 'z')
            n->high[i][(b ^ 0x20) >> 4] |= bit;
    }
}

/* ---- blocks ---- */

static uint8_t sets_of(const struct redact_needles *n, size_t i, char c)
{
    uint8_t b = (uint8_t)c;

    return n->low[i][b & 15] & n->high[i][b >> 4];
}

/* %40, or %25 where that is encoded once more. */
static bool is_encoded_at(const char *p)
{
    return p[0] == '%' && ((p[1] == '4' && p[2] == '0') || (p[1] == '2' && p[2] == '5'));
}

static void block_portable(const struct redact_needles *n, const char *p, struct masks *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < BLOCK; i++) {
        uint32_t bit = UINT32_C(1) << i;
        char c = p[i];
        if ((sets_of(n, 0, c) & sets_of(n, 1, p[i + 1]) & sets_of(n, 2, p[i + 2])) != 0)
            ret->literal |= bit;
        if (c == '@' || is_encoded_at(p + i))
            ret->at |= bit;
        if (c >= '0' && c <= '9')
            ret->digit |= bit;
        if (c == ' ' || c == '-')
            ret->blank |= bit;
        if (c == '.')
            ret->dot |= bit;
        if (c == ':')
            ret->colon |= bit;
        if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f'))
            ret->hex |= bit;
    }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i sets_avx2(const struct redact_needles *n, size_t i, const char *p)
{
    __m256i v = _mm256_loadu_si256((const void *)p);
    __m256i half = _mm256_set1_epi8(15);
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)n->low[i]));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)n->high[i]));

    low = _mm256_shuffle_epi8(low, _mm256_and_si256(v, half));
    high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), half));
    return _mm256_and_si256(low, high);
}

AVX2 static inline uint32_t equal_avx2(__m256i v, char c)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}

/* first <= byte <= last */
AVX2 static inline uint32_t within_avx2(__m256i v, char first, char last)
{
    __m256i from_first = _mm256_sub_epi8(v, _mm256_set1_epi8(first));
    __m256i span = _mm256_set1_epi8((char)(last - first));

    return (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_min_epu8(from_first, span), from_first));
}

/* is_encoded_at, 32 times */
AVX2 static __attribute__((noinline)) uint32_t encoded_avx2(const char *p)
{
    __m256i first = _mm256_loadu_si256((const void *)(p + 1));
    __m256i second = _mm256_loadu_si256((const void *)(p + 2));

    return equal_avx2(_mm256_loadu_si256((const void *)p), '%') &
           ((equal_avx2(first, '4') & equal_avx2(second, '0')) |
            (equal_avx2(first, '2') & equal_avx2(second, '5')));
}

AVX2 static inline __attribute__((always_inline)) void block_avx2(const struct redact_needles *n,
                                                                  const char *p, struct masks *ret)
{
    __m256i v = _mm256_loadu_si256((const void *)p);
    __m256i sets = _mm256_and_si256(_mm256_and_si256(sets_avx2(n, 0, p), sets_avx2(n, 1, p + 1)),
                                    sets_avx2(n, 2, p + 2));

    ret->literal = ~equal_avx2(sets, 0);
    ret->at = equal_avx2(v, '@');
    if (equal_avx2(v, '%') != 0)
        ret->at |= encoded_avx2(p);
    ret->digit = within_avx2(v, '0', '9');
    ret->blank = equal_avx2(v, ' ') | equal_avx2(v, '-');
    ret->dot = equal_avx2(v, '.');
    ret->colon = equal_avx2(v, ':');
    ret->hex = ret->digit | within_avx2(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a', 'f');
}
#endif

/* ---- masks to hints ---- */

static inline uint64_t join(uint32_t before, uint32_t now)
{
    return (uint64_t)now << 32 | before;
}

/* The 13th, the 16th bit of each run of set ones. */
static inline uint64_t first_13(uint64_t m)
{
    m &= m << 1;
    m &= m << 2;
    m &= m << 4;
    m &= m << 5;
    return m & ~(m << 1);
}

static inline uint64_t first_16(uint64_t m)
{
    m &= m << 1;
    m &= m << 2;
    m &= m << 4;
    m &= m << 8;
    return m & ~(m << 1);
}

/* Colons with one of `from` before them and at most four hex digits between. */
static inline uint64_t chained(uint64_t from, uint64_t colon, uint64_t hex)
{
    uint64_t found = 0;

    for (int i = 0; i <= 4; i++) {
        from <<= 1;
        found |= from & colon;
        from &= hex;
    }
    return found;
}

struct hints {
    uint32_t of[REDACT_HINTS]; /* of REDACT_LITERAL << i */
};

static inline __attribute__((always_inline)) void
find_hints(unsigned wanted, const struct masks *b, const struct masks *m, struct hints *ret)
{
    uint64_t digit = join(b->digit, m->digit);

    memset(ret, 0, sizeof(*ret));
    if ((wanted & REDACT_LITERAL) != 0)
        ret->of[0] = m->literal;
    if ((wanted & REDACT_AT) != 0)
        ret->of[1] = m->at;
    if ((wanted & REDACT_DIGITS) != 0)
        ret->of[2] = (uint32_t)(first_13(digit) >> 32);
    if ((wanted & REDACT_GROUPS) != 0)
        ret->of[3] = (uint32_t)(first_16(digit | join(b->blank, m->blank)) >> 32);
    if ((wanted & REDACT_QUAD) != 0) {
        uint64_t behind = digit & join(b->dot, m->dot) << 1 & digit << 2;
        ret->of[4] = (uint32_t)((behind & (behind << 2 | behind << 3 | behind << 4)) >> 32);
    }
    if ((wanted & REDACT_COLON) != 0 && m->colon != 0) {
        uint64_t colon = join(b->colon, m->colon), hex = join(b->hex, m->hex);
        uint64_t second = chained(colon, colon, hex);
        ret->of[5] = (uint32_t)(((colon & colon << 1) | chained(second, colon, hex)) >> 32);
    }
}

static inline void tell(const struct hints *h, size_t base, redact_hint_fn *fn, void *arg)
{
    uint32_t all = h->of[0] | h->of[1] | h->of[2] | h->of[3] | h->of[4] | h->of[5];

    for (; all != 0; all &= all - 1) {
        unsigned i = (unsigned)__builtin_ctz(all), hints = 0;
        for (unsigned k = 0; k < REDACT_HINTS; k++)
            hints |= (h->of[k] >> i & 1) << k;
        fn(arg, base + i, hints);
    }
}

/* A text's end is put into a block of its own with zeros behind, which hint at nothing. */
static inline __attribute__((always_inline)) void scan(block_fn *block,
                                                       const struct redact_needles *n,
                                                       struct str text, redact_hint_fn *fn,
                                                       void *arg)
{
    struct masks before = {0}, now;
    struct hints hints;
    size_t at = 0;

    for (; text.n - at >= BLOCK + AHEAD; at += BLOCK) {
        block(n, text.p + at, &now);
        find_hints(n->hints, &before, &now, &hints);
        tell(&hints, at, fn, arg);
        before = now;
    }
    while (at < text.n) {
        char rest[BLOCK + AHEAD] = {0};
        size_t left = text.n - at;
        memcpy(rest, text.p + at, left < sizeof(rest) ? left : sizeof(rest));
        block(n, rest, &now);
        find_hints(n->hints, &before, &now, &hints);
        tell(&hints, at, fn, arg);
        before = now;
        at += left < BLOCK ? left : BLOCK;
    }
}

void redact_scan_portable(const struct redact_needles *n, struct str text, redact_hint_fn *fn,
                          void *arg)
{
    scan(block_portable, n, text, fn, arg);
}

#if defined(__x86_64__)
AVX2 static void scan_avx2(const struct redact_needles *n, struct str text, redact_hint_fn *fn,
                           void *arg)
{
    scan(block_avx2, n, text, fn, arg);
}
#endif

void redact_scan(const struct redact_needles *n, struct str text, redact_hint_fn *fn, void *arg)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        scan_avx2(n, text, fn, arg);
        return;
    }
#endif
    redact_scan_portable(n, text, fn, arg);
}
