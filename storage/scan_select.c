/*
 * storage/scan_select.c - the rows of a block that pass.
 *
 * In the order of what it costs: the plan alone says of most blocks that no row can pass a line
 * filter; then times and streams, unless the whole block is wanted; then the columns that the
 * filters need; sequence numbers and the order of arrival for what is left.
 */
#include "storage/scan_internal.h"

#include <string.h>

static size_t count_bits(const struct scan_selection *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->words; i++)
        n += (size_t)__builtin_popcountll(s->bits[i]);
    return n;
}

/* Could a row pass all filters? */
static int judge_plan(struct scan_selection *s, bool *ret, struct err *err)
{
    const struct scan *sc = s->block.sc;
    int r;

    *ret = true;
    if (sc->req.n_filters == 0)
        return 0;
    r = scan_block_plans(&s->block, err);
    for (size_t i = 0; r == 0 && *ret && i < sc->req.n_filters; i++)
        *ret = line_match_plan(sc->match[i], s->block.lines_plan);
    return r;
}

/* ---- what must not be shown ---- */

static const struct hide_stream *hide_of(const struct scan_selection *s, size_t i)
{
    const struct scan_candidate *c = s->block.candidate;

    return c->part->streams[c->segment->stream[s->keys.stream[i]]].hide;
}

/* Must row i not be shown, as far as its line has no say in it? */
static bool is_hidden(struct scan_selection *s, size_t i)
{
    const struct scan_candidate *c = s->block.candidate;
    const struct hide_stream *h = c->hides ? hide_of(s, i) : NULL;

    if (h == NULL)
        return false;
    if (hide_needs_line(h, s->keys.ts[i], s->keys.seq[i])) {
        s->hides_by_line = true;
        return false;
    }
    return hide_row(h, s->keys.ts[i], s->keys.seq[i], c->segment->max_received, STR_NULL);
}

/* Take out the selected rows whose line decides that they must not be shown. */
static int hide_lines(struct scan_selection *s, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    int r = scan_block_lines(&s->block, err);

    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = s->keys.layout[i];
        const struct hide_stream *h = scan_is_selected(s, at) ? hide_of(s, i) : NULL;
        struct str line = STR_NULL;
        if (h == NULL || !hide_needs_line(h, s->keys.ts[i], s->keys.seq[i]))
            continue;
        r = lines_render(s->block.lines, at, s->block.arena, &line, err);
        if (r == 0 && hide_row(h, s->keys.ts[i], s->keys.seq[i], c->segment->max_received, line)) {
            s->bits[at / 64] &= ~(UINT64_C(1) << (at % 64));
            s->n--;
        }
    }
    return r;
}

static void select_all(struct scan_selection *s, size_t rows)
{
    memset(s->bits, 0xff, s->words * sizeof(*s->bits));
    if (rows % 64 != 0)
        s->bits[s->words - 1] = (UINT64_C(1) << (rows % 64)) - 1;
    s->n = rows;
}

/* ---- the end that is wanted ---- */

/* May rows be left out before anything but their times is known? */
static bool may_cut(const struct scan_selection *s)
{
    const struct scan *sc = s->block.sc;

    return scan_is_ordered(sc) && sc->req.n_filters == 0 && sc->req.n_conditions == 0 &&
           sc->rows_cap < s->block.candidate->block.rows;
}

static bool wants_stream(const struct scan_selection *s, size_t i)
{
    const struct scan_candidate *c = s->block.candidate;

    return c->all_streams || c->segment->stream[s->keys.stream[i]] != UINT32_MAX;
}

/* Rows arrive nearly in the order of time: the last ones of a block (the first ones, forward) that
 * fill the window tell how far it can reach at most, and the rest of the block need not be sorted
 * out to see that it lies behind. */
static int cut_window(struct scan_selection *s, size_t rows, struct err *err)
{
    const struct scan *sc = s->block.sc;
    bool all = s->block.candidate->all_streams;
    bool back = scan_is_backward(sc);
    ts_ns far = back ? INT64_MAX : INT64_MIN;
    size_t found = 0;
    int r = scan_block_keys(&s->block, BLOCK_WANT_TS | (all ? 0 : (unsigned)BLOCK_WANT_STREAM),
                            &s->keys, err);

    for (size_t k = 0; r == 0 && k < rows && found < sc->rows_cap; k++) {
        size_t i = back ? rows - 1 - k : k;
        ts_ns ts = s->keys.ts[i];
        if (ts < s->lo || ts > s->hi || !wants_stream(s, i))
            continue;
        found++;
        if (back ? ts < far : ts > far)
            far = ts;
    }
    if (r < 0 || found < sc->rows_cap)
        return r;
    s->is_cut = true;
    s->far = far;
    if (back)
        s->lo = far;
    else
        s->hi = far;
    return 0;
}

/* ---- selecting ---- */

static int select_by_keys(struct scan_selection *s, size_t rows, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    bool by_time = c->min_ts < s->lo || c->max_ts > s->hi;
    const struct block_keys *k = &s->keys;
    int r = scan_block_keys(&s->block,
                            c->hides ? (unsigned)BLOCK_WANT_KEYS
                                     : BLOCK_WANT_LAYOUT | BLOCK_WANT_STREAM |
                                           (by_time ? (unsigned)BLOCK_WANT_TS : 0),
                            &s->keys, err);

    for (size_t i = 0; r == 0 && i < rows; i++) {
        if (by_time && (k->ts[i] < s->lo || k->ts[i] > s->hi))
            continue;
        if (!wants_stream(s, i))
            continue;
        if (is_hidden(s, i))
            continue;
        s->bits[k->layout[i] / 64] |= UINT64_C(1) << (k->layout[i] % 64);
        s->n++;
    }
    return r;
}

static int make_bits(struct scan_selection *s, struct err *err)
{
    s->words = (s->block.candidate->block.rows + (size_t)63) / 64;
    s->bits = arena_alloc(s->block.arena, s->words * sizeof(*s->bits));
    return s->bits == NULL ? arena_err(s->block.arena, err) : 0;
}

int scan_select_bits(struct scan_selection *s, struct err *err)
{
    int r = s->bits == NULL ? make_bits(s, err) : 1;

    if (r == 0)
        select_all(s, s->block.candidate->block.rows);
    return r < 0 ? r : 0;
}

static int select_rows(struct scan_selection *s, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    size_t rows = c->block.rows;
    bool by_keys;
    int r = may_cut(s) ? cut_window(s, rows, err) : 0;

    if (r < 0)
        return r;
    by_keys = c->min_ts < s->lo || c->max_ts > s->hi || !c->all_streams || c->hides;
    if (!by_keys && s->block.sc->req.n_filters == 0) {
        s->n = rows;
        return 0;
    }
    if (!by_keys)
        return scan_select_bits(s, err);
    r = make_bits(s, err);
    return r < 0 ? r : select_by_keys(s, rows, err);
}

static int count_lines(struct scan_selection *s, struct err *err)
{
    const struct scan *sc = s->block.sc;
    const struct segment_block *b = &s->block.candidate->block;
    double share = (double)s->n / (double)b->rows;
    uint64_t bytes = 0;

    if (sc->req.need_line || sc->req.n_filters > 0)
        bytes = (uint64_t)((double)b->raw_bytes * share);
    return scan_count_lines(s->block.sc, s->block.worker, s->n, bytes, err);
}

static int filter_rows(struct scan_selection *s, struct err *err)
{
    const struct scan *sc = s->block.sc;
    struct line_match_stats stats = {.columns = 0};
    int r = 0;

    if (sc->req.n_filters == 0 || s->n == 0)
        return 0;
    r = scan_block_lines(&s->block, err);
    for (size_t i = 0; r == 0 && s->n > 0 && i < sc->req.n_filters; i++) {
        r = line_match_block(sc->match[i], s->block.lines, s->bits, s->block.arena, &stats, err);
        s->n = count_bits(s);
    }
    return r;
}

/* ---- what is left ---- */

static int take_rows(struct scan_selection *s, struct scan_result *ret, struct err *err)
{
    struct scan *sc = s->block.sc;
    struct scan_candidate *c = s->block.candidate;
    const struct block_keys *k = &s->keys;
    int r = scan_rows_reserve(sc, &ret->rows, s->n, err);

    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = k->layout[i];
        if (scan_is_selected(s, at))
            ret->rows.v[ret->rows.n++] =
                (struct scan_row){k->ts[i], k->seq[i], c, at, c->segment->stream[k->stream[i]]};
    }
    if (r == 0 && ret->rows.n > sc->rows_cap) {
        scan_window_cut(sc, &ret->rows, sc->rows_cap, &ret->far);
        ret->is_cut = true;
    }
    return r;
}

static int take_records(struct scan_selection *s, struct scan_result *ret, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    const struct block_keys *k = &s->keys;
    int r = 0;

    ret->ready = arena_alloc(ret->arena, s->n * sizeof(*ret->ready));
    if (ret->ready == NULL)
        return arena_err(ret->arena, err);
    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = k->layout[i];
        struct scan_ready *ready = &ret->ready[ret->n_ready];
        if (!scan_is_selected(s, at))
            continue;
        ready->rec = (struct record){.ts = k->ts[i], .seq = k->seq[i]};
        ready->stream = &c->part->streams[c->segment->stream[k->stream[i]]];
        r = scan_render_row(&s->block, at, ret->arena, &ready->rec, err);
        ret->n_ready++;
    }
    return r;
}

int scan_select_open(struct scan_selection *s, struct err *err)
{
    bool possible = true;
    int r = judge_plan(s, &possible, err);

    if (r == 0 && possible)
        r = scan_test_plan(s, &possible, err);
    if (r < 0)
        return r;
    if (!possible) {
        s->block.candidate->dead = true;
        return 0;
    }
    r = select_rows(s, err);
    if (r == 0 && s->n > 0)
        r = count_lines(s, err);
    if (r == 0)
        r = filter_rows(s, err);
    if (r == 0 && s->n > 0)
        r = scan_test_rows(s, err);
    if (r == 0 && s->hides_by_line && s->n > 0)
        r = hide_lines(s, err);
    return r;
}

static int select_block(struct scan_selection *s, struct scan_result *ret, struct err *err)
{
    int r = scan_select_open(s, err);

    ret->is_cut = s->is_cut; /* also when all rows that are left must not be shown */
    ret->far = s->far;
    if (r < 0 || s->n == 0)
        return r;
    r = scan_block_keys(&s->block, BLOCK_WANT_KEYS, &s->keys, err);
    if (r < 0)
        return r;
    return scan_is_ordered(s->block.sc) ? take_rows(s, ret, err) : take_records(s, ret, err);
}

int scan_block_select(struct scan *sc, struct scan_worker *w, struct scan_candidate *c,
                      struct scan_result *ret, struct err *err)
{
    struct scan_selection s = {.n = 0};
    int r;

    scan_range(sc, &s.lo, &s.hi);
    scan_block_init(&s.block, sc, w, c, w->work);
    r = scan_edge_select(&s, ret, err);
    if (r == 1)
        r = select_block(&s, ret, err);
    scan_block_fini(&s.block);
    arena_recycle(w->work, SCAN_WORK_KEPT);
    if (r < 0) {
        ret->rows.n = 0;
        ret->n_ready = 0;
        c->dead = true; /* if it is damage: once is enough */
    }
    return scan_block_forgive(w, c, r, err);
}
