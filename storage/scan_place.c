/*
 * storage/scan_place.c - of which streams the selected rows of a block are, without its keys.
 *
 * In the layout the rows of one stream stand together, stream after stream, and the rollup says how
 * many there are of each.  Keys are the largest frame of a block, and a filter knows places.
 */
#include "storage/scan_internal.h"

/* Rows of each stream, from the rollup.  1: the block has none. */
static int rows_of_streams(struct scan_selection *s, size_t n_streams, uint32_t *rows,
                           struct err *err)
{
    const struct segment_block *b = &s->block.candidate->block;
    struct block_rollup ro = {.n = 0};
    uint64_t sum = 0;
    int r;

    if (n_streams == 1) {
        rows[0] = b->rows;
        return 0;
    }
    r = scan_block_sums(&s->block, &ro, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < ro.n; i++) { /* a stream of the block */
        rows[ro.entry[i].stream - b->first_stream] += ro.entry[i].rows;
        sum += ro.entry[i].rows;
    }
    return sum == b->rows ? 0 : err_set(err, ERR_CORRUPT, "rollup does not add up");
}

/* Bits [from, to). */
static uint32_t count_bits(const uint64_t *bits, size_t from, size_t to)
{
    uint32_t n = 0;

    while (from < to) {
        size_t last = (from | 63) + 1 < to ? (from | 63) + 1 : to;
        uint64_t word = bits[from / 64] >> (from % 64);
        if (last - from < 64)
            word &= (UINT64_C(1) << (last - from)) - 1;
        if (word != 0)
            n += (uint32_t)__builtin_popcountll(word);
        from = last;
    }
    return n;
}

int scan_place_streams(struct scan_selection *s, uint32_t *ret, struct err *err)
{
    const struct segment_block *b = &s->block.candidate->block;
    size_t n_streams = (size_t)b->last_stream - b->first_stream + 1;
    uint32_t *rows = arena_alloc(s->block.arena, n_streams * sizeof(*rows));
    size_t at = 0;
    int r;

    if (rows == NULL)
        return arena_err(s->block.arena, err);
    r = rows_of_streams(s, n_streams, rows, err);
    for (size_t i = 0; r == 0 && i < n_streams; i++) {
        ret[i] = count_bits(s->bits, at, at + rows[i]);
        at += rows[i];
    }
    return r;
}
