/*
 * storage/id_key.c - see id_key.h.
 *
 * Every line that is stored comes through here, and most have no id: a text is looked at in steps
 * of ID_RUN bytes.  A run that is long enough does not lie inside of a step, so of each only its
 * first and its last byte that are in no run count.
 */
#include "storage/id_key.h"

#include "base/mem.h"
#include "storage/le.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { WINDOW = ID_RUN - ID_GRAM + 1, SORT_BITS = 11, SORT_SIZE = 1 << SORT_BITS };

#define FACTOR_LOW  UINT64_C(0x9e3779b97f4a7c15)
#define FACTOR_HIGH UINT64_C(0xd6e8feb86659fd93)
#define FACTOR_KEY  UINT64_C(0xbf58476d1ce4e5b9)

void id_keys_init(struct id_keys *k)
{
    *k = (struct id_keys){.p = NULL};
    id_keys_clear(k);
}

void id_keys_fini(struct id_keys *k)
{
    free(k->p);
    free(k->spare);
    *k = (struct id_keys){.p = NULL};
}

void id_keys_clear(struct id_keys *k)
{
    k->n = 0;
    for (uint32_t i = 0; i < ID_RECENT; i++)
        k->recent[i] = ~i; /* no key that belongs there */
}

/* ---- keys ---- */

static void add_key(struct id_keys *k, uint64_t hash)
{
    uint32_t key = (uint32_t)((hash ^ hash >> 32) * FACTOR_KEY >> 32);

    if (k->recent[key % ID_RECENT] == key)
        return;
    k->recent[key % ID_RECENT] = key;
    if (k->n == k->cap) {
        k->cap = k->cap == 0 ? 1024 : 2 * k->cap;
        k->p = mem_grow(k->p, k->cap * sizeof(*k->p));
    }
    k->p[k->n++] = key;
}

static uint64_t hash_at(const char *p)
{
    return le_get64(p) * FACTOR_LOW + le_get64(p + 8) * FACTOR_HIGH;
}

/* The least hash of each WINDOW grams in a row of a run of `n` bytes, changes alone. */
static void add_run(struct id_keys *k, const char *p, size_t n)
{
    uint64_t hash[WINDOW]; /* of gram i at i % WINDOW */
    uint64_t least = UINT64_MAX;
    size_t at = 0; /* of the least */

    for (size_t i = 0; i < WINDOW; i++) {
        hash[i] = hash_at(p + i);
        at = hash[i] < least ? i : at;
        least = hash[i] < least ? hash[i] : least;
    }
    add_key(k, least);
    for (size_t i = WINDOW; i + ID_GRAM <= n; i++) {
        uint64_t before = least;
        uint64_t h = hash_at(p + i);
        hash[i % WINDOW] = h;
        if (h <= least) {
            at = i;
            least = h;
        } else if (at + WINDOW == i) { /* it left the window */
            least = UINT64_MAX;
            for (size_t m = i - WINDOW + 1; m <= i; m++) {
                at = hash[m % WINDOW] <= least ? m : at;
                least = hash[m % WINDOW] <= least ? hash[m % WINDOW] : least;
            }
        }
        if (least != before)
            add_key(k, least);
    }
}

/* ---- runs ---- */

#if defined(__SSE2__)
/* Which of the 16 bytes are in a run. */
static unsigned classify(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)),
                                   _mm_cmplt_epi8(low, _mm_set1_epi8('z' + 1)));
    __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
                                  _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));
    __m128i dash =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('-')), _mm_cmpeq_epi8(v, _mm_set1_epi8('_')));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), dash));
}
#else
static bool is_in_run(char c)
{
    unsigned char letter = (unsigned char)c | 0x20;

    return (c >= '0' && c <= '9') || (letter >= 'a' && letter <= 'z') || c == '-' || c == '_';
}
#endif

/* Bit i: byte i of ID_RUN is in no run. */
static uint32_t outside(const char *p)
{
#if defined(__SSE2__)
    return ~(classify(p) | classify(p + 16) << 16);
#else
    uint32_t out = 0;

    for (unsigned i = 0; i < ID_RUN; i++)
        out |= (uint32_t)!is_in_run(p[i]) << i;
    return out;
#endif
}

void id_keys_add(struct id_keys *k, struct str text)
{
    size_t begin = 0; /* of the run that may go on */
    size_t at = 0;    /* up to here it was looked at */

    if (text.n < ID_RUN)
        return;
    while (at < text.n) {
        size_t from = text.n - at < ID_RUN ? text.n - ID_RUN : at; /* the last step looks back */
        uint32_t out = outside(text.p + from) & UINT32_MAX << (at - from);
        at = from + ID_RUN;
        if (out == 0)
            continue;
        if (from + (size_t)__builtin_ctz(out) >= begin + ID_RUN)
            add_run(k, text.p + begin, from + (size_t)__builtin_ctz(out) - begin);
        begin = from + ID_RUN - (size_t)__builtin_clz(out);
    }
    if (text.n >= begin + ID_RUN)
        add_run(k, text.p + begin, text.n - begin);
}

/* ---- order ---- */

void id_sort(uint32_t *v, uint32_t *spare, size_t n)
{
    uint32_t *from = v;
    uint32_t *to = spare;

    for (unsigned shift = 0; shift < 32; shift += SORT_BITS) {
        size_t place[SORT_SIZE] = {0};
        size_t sum = 0;
        uint32_t *swap = from;
        for (size_t i = 0; i < n; i++)
            place[from[i] >> shift & (SORT_SIZE - 1)]++;
        for (size_t b = 0; b < SORT_SIZE; b++) {
            size_t count = place[b];
            place[b] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[place[from[i] >> shift & (SORT_SIZE - 1)]++] = from[i];
        from = to;
        to = swap;
    }
    if (n > 0) /* after three turns */
        memcpy(v, from, n * sizeof(*v));
}

void id_keys_sort(struct id_keys *k)
{
    size_t kept = 0;

    if (k->n == 0)
        return;
    if (k->spare_cap < k->n) {
        k->spare_cap = k->cap;
        k->spare = mem_grow(k->spare, k->spare_cap * sizeof(*k->spare));
    }
    id_sort(k->p, k->spare, k->n);
    for (size_t i = 0; i < k->n; i++)
        if (kept == 0 || k->p[i] != k->p[kept - 1])
            k->p[kept++] = k->p[i];
    k->n = kept;
}
