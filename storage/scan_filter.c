/*
 * storage/scan_filter.c - line filters over one line, and over all lines of a block at once.
 *
 * A literal is searched in a block's whole text while many lines are still in question, and line by
 * line when few are: the search of a line costs a call, the search of the text costs its bytes.
 */
#include "storage/scan_internal.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE_TEXT_SHARE = 8 }; /* search the text when at least one line in so many is selected */

int scan_filter_init(struct scan *sc, struct err *err)
{
    const struct scan_request *req = &sc->req;
    size_t bytes = req->n_filters * sizeof(*sc->literals);

    for (size_t i = 0; i < req->n_filters; i++)
        bytes += req->filters[i].n * sizeof(struct find);
    if (bytes > (size_t)16 << 20)
        return err_set(err, ERR_LIMIT, "too many line filters");
    sc->literals = mem_new(req->n_filters * sizeof(*sc->literals) + 1);
    for (size_t i = 0; i < req->n_filters; i++) {
        const struct scan_filter *f = &req->filters[i];
        if (f->op == SCAN_MATCHES || f->op == SCAN_MATCHES_NOT)
            continue;
        sc->literals[i].find = mem_new(f->n * sizeof(struct find) + 1);
        for (size_t k = 0; k < f->n; k++)
            find_init(&sc->literals[i].find[k], f->text[k]);
    }
    return 0;
}

void scan_filter_free(struct scan *sc)
{
    for (size_t i = 0; sc->literals != NULL && i < sc->req.n_filters; i++)
        free(sc->literals[i].find);
    free(sc->literals);
    sc->literals = NULL;
}

static bool is_negative(const struct scan_filter *f)
{
    return f->op == SCAN_CONTAINS_NOT || f->op == SCAN_MATCHES_NOT;
}

/* Whether any alternative of filter i is in the line. */
static bool is_in(const struct scan *sc, size_t i, struct str line)
{
    const struct scan_filter *f = &sc->req.filters[i];

    for (size_t k = 0; k < f->n; k++) {
        bool hit = sc->literals[i].find == NULL
                       ? regexp_matches(f->re[k], line)
                       : find_next(&sc->literals[i].find[k], line, 0) != SIZE_MAX;
        if (hit)
            return true;
    }
    return false;
}

bool scan_filter_line(const struct scan *sc, struct str line)
{
    for (size_t i = 0; i < sc->req.n_filters; i++)
        if (is_in(sc, i, line) == is_negative(&sc->req.filters[i]))
            return false;
    return true;
}

static size_t count_bits(const uint64_t *bits, size_t words)
{
    size_t n = 0;

    for (size_t i = 0; i < words; i++)
        n += (size_t)__builtin_popcountll(bits[i]);
    return n;
}

static void filter_each(const struct scan *sc, size_t i, const struct block_lines *lines,
                        uint64_t *selected, size_t words)
{
    bool negative = is_negative(&sc->req.filters[i]);

    for (size_t w = 0; w < words; w++)
        for (uint64_t left = selected[w]; left != 0; left &= left - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(left);
            if (is_in(sc, i, block_line(lines, w * 64 + bit)) == negative)
                selected[w] &= ~(UINT64_C(1) << bit);
        }
}

static void filter_text(const struct scan *sc, size_t i, const struct block_lines *lines, size_t n,
                        uint64_t *selected, uint64_t *hits)
{
    const struct scan_filter *f = &sc->req.filters[i];
    size_t words = (n + 63) / 64;

    memset(hits, 0, words * sizeof(*hits));
    for (size_t k = 0; k < f->n; k++)
        find_lines(&sc->literals[i].find[k], lines->text, lines->end, n, hits);
    for (size_t w = 0; w < words; w++)
        selected[w] &= is_negative(f) ? ~hits[w] : hits[w];
}

int scan_filter_lines(const struct scan *sc, const struct block_lines *lines, size_t n,
                      uint64_t *selected, struct arena *a, struct err *err)
{
    size_t words = (n + 63) / 64;
    uint64_t *hits = arena_alloc(a, words * sizeof(*hits));

    if (hits == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < sc->req.n_filters; i++) {
        size_t left = count_bits(selected, words);
        if (left == 0)
            break;
        if (sc->literals[i].find != NULL && left >= n / WHOLE_TEXT_SHARE)
            filter_text(sc, i, lines, n, selected, hits);
        else
            filter_each(sc, i, lines, selected, words);
    }
    return 0;
}

int scan_count_lines(struct scan *sc, uint64_t lines, uint64_t bytes, struct err *err)
{
    sc->stats.lines += lines;
    sc->stats.line_bytes += bytes;
    if (sc->req.max_line_bytes != 0 && sc->stats.line_bytes > sc->req.max_line_bytes)
        return err_set(err, ERR_LIMIT, "the query looks at more than %" PRIu64 " bytes of lines",
                       sc->req.max_line_bytes);
    return 0;
}
