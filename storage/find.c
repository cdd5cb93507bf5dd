/* storage/find.c - see find.h. */
#include "storage/find.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* How common a byte is in logs: a guess from English and from what programs print.  Lower is rarer.
 */
static unsigned commonness(unsigned char c)
{
    static const char by_rank[] = " e0t1ainors2-:l.d3cu4m5h6p7f98g/,=b\"_y[]vTkIw()NEA";
    const char *hit = c == 0 ? NULL : memchr(by_rank, c, sizeof(by_rank) - 1);

    return hit == NULL ? 0 : (unsigned)(sizeof(by_rank) - (size_t)(hit - by_rank));
}

static unsigned commonness_at(const struct find *f, size_t i)
{
    unsigned char c = (unsigned char)f->needle.p[i];

    if (f->fold == NULL || f->fold[i] == 0)
        return commonness(c);
    return commonness(c) + commonness((unsigned char)(c ^ f->fold[i]));
}

void find_init_fold(struct find *f, struct str needle, const uint8_t *fold)
{
    *f = (struct find){.needle = needle, .fold = fold, .portable = true};
#if defined(__x86_64__)
    f->portable = !__builtin_cpu_supports("avx2");
#endif
    if (needle.n < 2)
        return;
    f->rare[1] = 1;
    if (commonness_at(f, 1) < commonness_at(f, 0)) {
        f->rare[0] = 1;
        f->rare[1] = 0;
    }
    for (size_t i = 2; i < needle.n; i++) {
        unsigned c = commonness_at(f, i);
        if (c < commonness_at(f, f->rare[0])) {
            f->rare[1] = f->rare[0];
            f->rare[0] = i;
        } else if (c < commonness_at(f, f->rare[1])) {
            f->rare[1] = i;
        }
    }
}

void find_init(struct find *f, struct str needle)
{
    find_init_fold(f, needle, NULL);
}

/* Whether the folded needle stands at p. */
static bool is_folded_at(const struct find *f, const char *p)
{
    for (size_t i = 0; i < f->needle.n; i++)
        if (((unsigned char)(p[i] ^ f->needle.p[i]) & ~f->fold[i]) != 0)
            return false;
    return true;
}

static size_t find_folded(const struct find *f, struct str text, size_t from)
{
    for (size_t i = from; text.n - i >= f->needle.n; i++)
        if (is_folded_at(f, text.p + i))
            return i;
    return SIZE_MAX;
}

static size_t find_portable(struct str needle, struct str text, size_t from)
{
    const char *hit = memmem(text.p + from, text.n - from, needle.p, needle.n);

    return hit == NULL ? SIZE_MAX : (size_t)(hit - text.p);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t find_avx2(const struct find *f, struct str text,
                                                        size_t from)
{
    const struct str needle = f->needle;
    const __m256i a = _mm256_set1_epi8(needle.p[f->rare[0]]);
    const __m256i b = _mm256_set1_epi8(needle.p[f->rare[1]]);
    const char *at_a = text.p + f->rare[0];
    const char *at_b = text.p + f->rare[1];
    size_t i = from;

    /* Places i .. i + 31: both loads end inside the text while the last whole needle does. */
    for (; text.n - i >= needle.n + 31; i += 32) {
        __m256i hit_a = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at_a + i)), a);
        __m256i hit_b = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at_b + i)), b);
        unsigned mask = (unsigned)_mm256_movemask_epi8(_mm256_and_si256(hit_a, hit_b));
        for (; mask != 0; mask &= mask - 1) {
            size_t at = i + (unsigned)__builtin_ctz(mask);
            if (memcmp(text.p + at, needle.p, needle.n) == 0)
                return at;
        }
    }
    return find_portable(needle, text, i);
}

/* The same with the bits that may differ set on both sides. */
__attribute__((target("avx2"))) static size_t find_folded_avx2(const struct find *f,
                                                               struct str text, size_t from)
{
    const __m256i fold_a = _mm256_set1_epi8((char)f->fold[f->rare[0]]);
    const __m256i fold_b = _mm256_set1_epi8((char)f->fold[f->rare[1]]);
    const __m256i a = _mm256_or_si256(_mm256_set1_epi8(f->needle.p[f->rare[0]]), fold_a);
    const __m256i b = _mm256_or_si256(_mm256_set1_epi8(f->needle.p[f->rare[1]]), fold_b);
    const char *at_a = text.p + f->rare[0];
    const char *at_b = text.p + f->rare[1];
    size_t i = from;

    for (; text.n - i >= f->needle.n + 31; i += 32) {
        __m256i byte_a = _mm256_or_si256(_mm256_loadu_si256((const void *)(at_a + i)), fold_a);
        __m256i byte_b = _mm256_or_si256(_mm256_loadu_si256((const void *)(at_b + i)), fold_b);
        __m256i hit = _mm256_and_si256(_mm256_cmpeq_epi8(byte_a, a), _mm256_cmpeq_epi8(byte_b, b));
        unsigned mask = (unsigned)_mm256_movemask_epi8(hit);
        for (; mask != 0; mask &= mask - 1) {
            size_t at = i + (unsigned)__builtin_ctz(mask);
            if (is_folded_at(f, text.p + at))
                return at;
        }
    }
    return find_folded(f, text, i);
}
#endif

size_t find_next(const struct find *f, struct str text, size_t from)
{
    if (from > text.n || text.n - from < f->needle.n)
        return SIZE_MAX;
    if (f->needle.n == 0)
        return from;
    if (f->fold != NULL) {
#if defined(__x86_64__)
        if (!f->portable)
            return find_folded_avx2(f, text, from);
#endif
        return find_folded(f, text, from);
    }
    if (f->needle.n == 1) {
        const char *hit = memchr(text.p + from, f->needle.p[0], text.n - from);
        return hit == NULL ? SIZE_MAX : (size_t)(hit - text.p);
    }
#if defined(__x86_64__)
    if (!f->portable)
        return find_avx2(f, text, from);
#endif
    return find_portable(f->needle, text, from);
}

/* The line that holds byte `at`, searched from line `from` on: gallop, then halve. */
static size_t line_of(const uint32_t *end, size_t n, size_t from, size_t at)
{
    size_t step = 1;
    size_t low = from;
    size_t high = from;

    while (high < n && end[high] <= at) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    if (high > n)
        high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (end[mid] <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void find_lines(const struct find *f, struct str text, const uint32_t *end, size_t n,
                uint64_t *bits)
{
    size_t line = 0;
    size_t at = 0;

    if (f->needle.n == 0) {
        for (size_t i = 0; i < n; i++)
            bits[i / 64] |= UINT64_C(1) << (i % 64);
        return;
    }
    while ((at = find_next(f, text, at)) != SIZE_MAX) {
        line = line_of(end, n, line, at);
        if (line >= n)
            return;
        if (f->needle.n <= end[line] - at) {
            bits[line / 64] |= UINT64_C(1) << (line % 64);
            at = end[line];
        } else {
            at++;
        }
    }
}

/* ---- texts with newlines ---- */

static size_t count_portable(const char *p, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += p[i] == '\n';
    return count;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t count_avx2(const char *p, size_t n)
{
    enum { WIDE = 32, ROUNDS = 255 }; /* a byte counts so far */
    const __m256i newline = _mm256_set1_epi8('\n');
    size_t count = 0;

    while (n >= WIDE) {
        size_t rounds = n / WIDE < ROUNDS ? n / WIDE : ROUNDS;
        __m256i sum = _mm256_setzero_si256();
        uint64_t part[4];
        for (size_t i = 0; i < rounds; i++) {
            __m256i v = _mm256_loadu_si256((const void *)(p + i * WIDE));
            sum = _mm256_sub_epi8(sum, _mm256_cmpeq_epi8(v, newline));
        }
        _mm256_storeu_si256((void *)part, _mm256_sad_epu8(sum, _mm256_setzero_si256()));
        count += (size_t)(part[0] + part[1] + part[2] + part[3]);
        p += rounds * WIDE;
        n -= rounds * WIDE;
    }
    return count + count_portable(p, n);
}
#endif

static size_t count_newlines(const struct find *f, const char *p, size_t n)
{
#if defined(__x86_64__)
    if (!f->portable)
        return count_avx2(p, n);
#endif
    (void)f;
    return count_portable(p, n);
}

void find_ended(const struct find *f, struct str text, size_t n, uint64_t *bits)
{
    size_t line = 0;
    size_t from = 0;
    size_t at = 0;

    if (f->needle.n == 0 || memchr(f->needle.p, '\n', f->needle.n) != NULL)
        return;
    while ((at = find_next(f, text, at)) != SIZE_MAX) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        line += count_newlines(f, text.p + from, at - from);
        if (line >= n || end == NULL)
            return;
        bits[line / 64] |= UINT64_C(1) << (line % 64);
        from = at = (size_t)(end - text.p); /* the newline is counted by the next */
    }
}
