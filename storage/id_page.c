/* storage/id_page.c - see id_page.h. */
#include "storage/id_page.h"

#include "base/obj.h"
#include "storage/id_key.h"
#include "storage/le.h"
#include "storage/varint.h"

#include <stdbool.h>

/* A page taken apart; borrowed. */
struct page {
    uint64_t n;
    unsigned width;
    uint32_t levels;         /* what of a place is kept beside its bucket: below this */
    const uint8_t *upper;    /* 2 n bits: of each bucket a 1 for each pair, then a 0 */
    const uint8_t *lower;    /* width bits each: level * blocks + block */
    size_t n_upper, n_lower; /* bytes */
};

static uint32_t levels_of(unsigned width, unsigned n_blocks)
{
    uint32_t levels = (UINT32_C(1) << width) / n_blocks;

    return levels == 0 ? 1 : levels;
}

static unsigned bits_of(unsigned n_blocks)
{
    return n_blocks < 2 ? 0 : 32 - (unsigned)__builtin_clz(n_blocks - 1);
}

/* The bucket of a place, and what is left of it, as a fraction again. */
static uint32_t split(uint32_t place, uint64_t buckets, uint32_t *rest)
{
    uint64_t wide = place * buckets;

    *rest = (uint32_t)wide;
    return (uint32_t)(wide >> 32);
}

static uint32_t level_of(uint32_t rest, uint32_t levels)
{
    return (uint32_t)((uint64_t)rest * levels >> 32);
}

/* ---- writing ---- */

static void put_upper(struct buf *b, const uint32_t *v, size_t n, unsigned width)
{
    size_t at = b->n;
    size_t bytes = (2 * n + 7) / 8;
    uint8_t *p = (uint8_t *)buf_room(b, bytes);

    if (p == NULL)
        return;
    memset(p, 0, bytes);
    for (size_t i = 0; i < n; i++) {
        size_t bit = (v[i] >> width) + i;
        p[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    b->n = at + bytes;
}

static void put_lower(struct buf *b, const uint32_t *v, size_t n, unsigned width)
{
    uint64_t held = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < n; i++) {
        held |= (uint64_t)(v[i] & ((UINT32_C(1) << width) - 1)) << bits;
        for (bits += width; bits >= 8; bits -= 8) {
            buf_add_char(b, (char)held);
            held >>= 8;
        }
    }
    if (bits > 0)
        buf_add_char(b, (char)held);
}

void id_page_put(struct buf *b, const struct id_page *page, uint32_t *scratch)
{
    unsigned least = bits_of(page->n_blocks);
    unsigned width = least > page->width ? least : page->width;
    uint32_t levels = levels_of(width, page->n_blocks);
    size_t n = page->n;

    INVARIANT(n < ID_PAGE_PAIRS && width <= ID_PAGE_WIDTH_MAX && page->n_blocks > 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t rest;
        uint32_t bucket = split(page->pairs[i].place, n, &rest);
        scratch[i] =
            bucket << width | (level_of(rest, levels) * page->n_blocks + page->pairs[i].block);
    }
    id_sort(scratch, scratch + n, n);
    varint_put(b, n);
    buf_add_char(b, (char)width);
    put_upper(b, scratch, n, width);
    put_lower(b, scratch, n, width);
}

/* ---- reading ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "page of ids: %s", what);
}

static int open_page(struct str in, unsigned n_blocks, struct page *p, struct err *err)
{
    if (!varint_get(&in, &p->n) || p->n >= ID_PAGE_PAIRS || in.n == 0)
        return corrupt("count of pairs", err);
    p->width = (uint8_t)in.p[0];
    in = str_from(in, 1);
    if (p->width > 16 || n_blocks == 0 || n_blocks > ID_PAGE_BLOCKS || p->width < bits_of(n_blocks))
        return corrupt("width of a pair", err);
    p->n_upper = (size_t)(2 * p->n + 7) / 8;
    p->n_lower = (size_t)(p->n * p->width + 7) / 8;
    if (in.n != p->n_upper + p->n_lower)
        return corrupt("its length", err);
    p->levels = levels_of(p->width, n_blocks);
    p->upper = (const uint8_t *)in.p;
    p->lower = p->upper + p->n_upper;
    return 0;
}

static bool is_set(const struct page *p, uint64_t bit)
{
    return bit / 8 < p->n_upper && (p->upper[bit / 8] >> bit % 8 & 1) != 0;
}

static uint32_t lower_at(const struct page *p, uint64_t i)
{
    uint64_t bit = i * p->width;
    uint32_t v = 0;

    for (size_t k = 0; k < 4 && bit / 8 + k < p->n_lower; k++)
        v |= (uint32_t)p->lower[bit / 8 + k] << 8 * k;
    return v >> bit % 8 & ((UINT32_C(1) << p->width) - 1);
}

/* Behind the zero that ends the bucket before this one: a bit of `upper`; past its end if there is
 * none. */
static uint64_t begin_of(const struct page *p, uint32_t bucket)
{
    uint64_t left = bucket; /* zeros to pass */
    size_t at = 0;          /* bytes passed */

    if (bucket == 0)
        return 0;
    while (p->n_upper - at >= 8) {
        uint64_t zeros = ~le_get64(p->upper + at);
        uint64_t n = (uint64_t)__builtin_popcountll(zeros);
        if (n >= left)
            break;
        left -= n;
        at += 8;
    }
    for (uint64_t bit = at * (uint64_t)8; bit < p->n_upper * (uint64_t)8; bit++)
        if (!is_set(p, bit) && --left == 0)
            return bit + 1;
    return UINT64_MAX;
}

int id_page_ask(struct str page, unsigned n_blocks, uint32_t place, struct id_blocks *hits,
                struct err *err)
{
    struct page p;
    uint32_t bucket, level, rest;
    uint64_t bit;
    int r = open_page(page, n_blocks, &p, err);

    if (r < 0 || p.n == 0)
        return r;
    bucket = split(place, p.n, &rest);
    level = level_of(rest, p.levels);
    for (bit = begin_of(&p, bucket); bit != UINT64_MAX && is_set(&p, bit); bit++) {
        uint32_t v;
        if (bit - bucket >= p.n)
            return corrupt("more pairs than it has", err);
        v = lower_at(&p, bit - bucket);
        if (v / n_blocks == level)
            hits->bits[v % n_blocks / 64] |= UINT64_C(1) << v % n_blocks % 64;
    }
    return bit == UINT64_MAX ? corrupt("too few buckets", err) : 0;
}

int id_page_check(struct str page, unsigned n_blocks, uint64_t *ret_pairs, struct err *err)
{
    struct page p;
    uint64_t pairs = 0;
    uint64_t before = 0; /* least value that the next pair may have */
    uint64_t bucket = 0;
    int r = open_page(page, n_blocks, &p, err);

    if (r < 0)
        return r;
    for (uint64_t bit = 0; bit < p.n_upper * (uint64_t)8; bit++) {
        uint64_t v;
        if (!is_set(&p, bit)) {
            bucket++;
            continue;
        }
        if (pairs == p.n || bucket >= p.n)
            return corrupt("more pairs than it has", err);
        v = bucket << p.width | lower_at(&p, pairs++);
        if (v < before)
            return corrupt("pairs out of order", err);
        if ((v & ((UINT64_C(1) << p.width) - 1)) / n_blocks >= p.levels)
            return corrupt("a pair of no block", err);
        before = v;
    }
    if (pairs != p.n)
        return corrupt("fewer pairs than it says", err);
    *ret_pairs = pairs;
    return 0;
}
