/*
 * storage/scan_count.c - rows counted by stream, attributes and time, without records.  Contract:
 * scan.h.
 *
 * For a block, in the order of what it costs: the sums of its rollup, where all of it lies in one
 * bucket; the rollup, where each of its minutes does; else times and streams in bulk, with the bits
 * of the rows that filters left.  A block is added up in a table of its own and then added to the
 * cells, under a mutex, once for each stream, bucket and combination; only where such a table would
 * be larger than the block are rows added one by one.
 *
 * Invariant
 *   (1) of a block that turns out to be damaged nothing is in the cells: all that may be damaged is
 *       read before the first row is added, or what was added is taken back (scan_fold.c).
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_fold.h"
#include "storage/scan_sum.h"
#include "storage/scan_tally.h"

#include <stdlib.h>
#include <string.h>

enum {
    TABLE_SHARE = 8, /* cells of a block's table for each of its rows, at most */
    FIRST_LOCALS = 1 << 12,
};

/* ---- rollups ---- */

/* Are all the attributes that are counted by in the rollup? */
static bool rollup_has_attrs(const struct scan_counter *k, const struct lines_plan *p)
{
    if (p == NULL || (!k->c->all_attrs && k->c->n_attrs == 0))
        return true;
    for (size_t t = 0; t < p->n_templates; t++) {
        const struct lines_template *lt = &p->template[t];
        if (lt->kind != TEMPLATE_ATTRS)
            return false;
        for (size_t i = 0; i < lt->n_slots; i++)
            if (!str_eq(lt->piece[i], STR("detected_level")) &&
                scan_combos_want(&k->combos, lt->piece[i]))
                return false;
    }
    return true;
}

/* The bucket of a block's rows of a minute, SIZE_MAX when it lies outside; false: they lie in
 * several.  `hint`: a bucket that may be it. */
static bool minute_bucket(const struct scan_counter *k, const struct scan_candidate *c,
                          int64_t minute, size_t hint, size_t *ret)
{
    const ts_ns *edge = k->buckets.edge;
    ts_ns first;
    ts_ns last;

    if (__builtin_mul_overflow(minute, 60 * NS_PER_S, &first) ||
        __builtin_add_overflow(first, 60 * NS_PER_S, &last))
        return false;
    first++; /* a minute ends with its last instant, block.h */
    first = first < c->min_ts ? c->min_ts : first;
    last = last > c->max_ts ? c->max_ts : last;
    *ret = SIZE_MAX;
    if (last < edge[0] || first >= edge[k->buckets.n])
        return true;
    if (first < edge[0] || last >= edge[k->buckets.n])
        return false;
    *ret = scan_bucket_of(&k->buckets, first, hint);
    return scan_bucket_has(&k->buckets, *ret, last);
}

/* The bucket of all of a block's rows, SIZE_MAX where there is no such one. */
static size_t whole_bucket(const struct scan_buckets *buckets, const struct scan_candidate *c)
{
    size_t i;

    if (c->min_ts < buckets->edge[0] || c->max_ts >= buckets->edge[buckets->n])
        return SIZE_MAX;
    i = scan_bucket_of(buckets, c->min_ts, 0);
    return scan_bucket_has(buckets, i, c->max_ts) ? i : SIZE_MAX;
}

/* The bucket of each entry, `whole` unless SIZE_MAX.  1: the rows of one lie in several. */
static int rollup_buckets(const struct scan_counter *k, const struct scan_candidate *c,
                          const struct block_rollup *ro, size_t whole, size_t *ret)
{
    size_t hint = 0;

    for (size_t i = 0; i < ro->n; i++) {
        if (whole != SIZE_MAX) {
            ret[i] = whole;
            continue;
        }
        if (i > 0 && ro->entry[i].minute == ro->entry[i - 1].minute) {
            ret[i] = ret[i - 1];
            continue;
        }
        if (!minute_bucket(k, c, ro->entry[i].minute, hint, &ret[i]))
            return 1;
        hint = ret[i] == SIZE_MAX || ret[i] + 1 == k->buckets.n ? hint : ret[i] + 1;
    }
    return 0;
}

static int rollup_combos(struct scan_counter *k, const struct block_rollup *ro, uint32_t *ret,
                         struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ro->n_levels; i++) {
        struct label l = {STR("detected_level"), ro->level[i]};
        if (l.value.p != NULL)
            r = scan_combos_find(&k->combos, &l, 1, &ret[i], err);
    }
    return r;
}

/* What the rows of one stream are added to, by level. */
struct level_cells {
    struct scan_cells *cells; /* NULL: they do not count */
    bool is_known;
};

static int find_cells(struct scan_counter *k, struct scan_stream *stream, uint32_t combo,
                      struct level_cells *ret, struct err *err)
{
    int r = ret->is_known ? 0 : scan_tally_cells(k, stream, combo, &ret->cells, err);

    ret->is_known = r == 0;
    return r;
}

static void add_entry(const struct block_rollup_entry *e, size_t bucket, struct scan_cells *to)
{
    if (to == NULL)
        return;
    to->rows[bucket] += e->rows;
    if (to->bytes != NULL)
        to->bytes[bucket] += e->line_bytes;
}

static int add_rollup(struct scan_counter *k, struct scan_block *b, const struct block_rollup *ro,
                      const uint32_t *combo, const size_t *bucket, struct err *err)
{
    struct level_cells cells[BLOCK_LEVELS_MAX];
    struct scan_stream *stream = NULL;
    uint64_t rows = 0;
    int r = 0;

    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; r == 0 && i < ro->n; i++) {
        const struct block_rollup_entry *e = &ro->entry[i];
        if (i == 0 || e->stream != ro->entry[i - 1].stream) {
            stream = scan_count_stream(b->candidate, e->stream);
            memset(cells, 0, ro->n_levels * sizeof(*cells));
        }
        if (stream == NULL || bucket[i] == SIZE_MAX)
            continue;
        rows += e->rows;
        r = find_cells(k, stream, combo[e->level], &cells[e->level], err);
        if (r == 0)
            add_entry(e, bucket[i], cells[e->level].cells);
    }
    (void)pthread_mutex_unlock(&k->mutex);
    return r < 0 ? r : scan_count_lines(k->sc, b->worker, rows, 0, err);
}

/* 1: the rollup does not tell. */
static int count_rollup(struct scan_counter *k, struct scan_block *b, struct err *err)
{
    size_t whole = whole_bucket(&k->buckets, b->candidate);
    struct block_rollup ro = {.n = 0};
    uint32_t *combo;
    size_t *bucket;
    int r;

    if (k->sc->req.n_filters > 0 || b->candidate->hides || k->c->by_line || k->c->value != NULL)
        return 1;
    if (k->c->all_attrs || k->c->n_attrs > 0) {
        r = scan_block_plans(b, err);
        if (r < 0 || !rollup_has_attrs(k, b->attrs_plan))
            return r < 0 ? r : 1;
    }
    r = whole == SIZE_MAX ? scan_block_rollup(b, &ro, err) : scan_block_sums(b, &ro, err);
    if (r != 0)
        return r;
    bucket = arena_room(b->arena, ro.n, sizeof(*bucket));
    combo = arena_alloc(b->arena, ro.n_levels * sizeof(*combo) + 1);
    if (bucket == NULL || combo == NULL)
        return arena_err(b->arena, err);
    r = rollup_buckets(k, b->candidate, &ro, whole, bucket);
    if (r == 0)
        r = rollup_combos(k, &ro, combo, err);
    return r == 0 ? add_rollup(k, b, &ro, combo, bucket, err) : r;
}

/* ---- keys ---- */

/* One block's rows, added up. */
struct table {
    struct scan_selection *s;
    uint32_t *local; /* by place in the layout; NULL: all rows are 0 */
    uint32_t *combo; /* of a local */
    size_t first_bucket, n_buckets;
    uint32_t first_stream; /* number in the segment */
    size_t n_streams;      /* 1 also when all are alike */
    size_t n_locals;
    uint32_t *rows; /* [(stream * n_buckets + bucket) * n_locals + local] */
    uint64_t *bytes;
};

/* Room for the numbers there are now in the worker's map of them. */
static int widen_locals(struct scan_worker *w, size_t n, struct err *err)
{
    size_t cap = w->n_local == 0 ? FIRST_LOCALS : w->n_local;

    while (cap < n)
        cap *= 2;
    if (cap == w->n_local)
        return 0;
    w->local = arena_alloc(w->out, cap * sizeof(*w->local));
    w->n_local = w->local == NULL ? 0 : cap;
    return w->local == NULL ? arena_err(w->out, err) : 0;
}

/* Combinations that the selected rows have get small numbers, in place of their own. */
static int make_local(struct scan_counter *k, struct table *t, uint32_t *combo, struct err *err)
{
    struct scan_block *b = &t->s->block;
    struct scan_worker *w = b->worker;
    size_t n = b->candidate->block.rows;
    int r = widen_locals(w, scan_combos_count(&k->combos), err);

    if (r < 0)
        return r;
    t->combo = arena_room(b->arena, n, sizeof(*t->combo));
    if (t->combo == NULL)
        return arena_err(b->arena, err);
    t->local = combo;
    for (uint32_t at = 0; at < n; at++) {
        uint32_t *local = &w->local[combo[at]];
        if (!scan_is_selected(t->s, at))
            continue;
        if (*local == 0) {
            t->combo[t->n_locals++] = combo[at];
            *local = (uint32_t)t->n_locals;
        }
        combo[at] = *local - 1;
    }
    for (size_t i = 0; i < t->n_locals; i++)
        w->local[t->combo[i]] = 0;
    return 0;
}

/* What tells the rows of a block apart but stream and time. */
struct telling {
    struct scan_combo_block *attrs; /* NULL: all rows are 0 */
    struct scan_fields fields[SCAN_FIELD_SETS];
    bool by_line;
};

static void fill_fields(const struct scan_counter *k, struct scan_fields ret[SCAN_FIELD_SETS])
{
    ret[SCAN_FIELDS_ALL] = ret[SCAN_FIELDS_TESTED] = scan_fields_of(&k->sc->req);
    ret[SCAN_FIELDS_TESTED].label = k->c->field;
    ret[SCAN_FIELDS_TESTED].n = k->c->n_fields;
    ret[SCAN_FIELDS_TESTED].set = SCAN_FIELDS_TESTED;
}

static int open_telling(struct scan_counter *k, struct scan_selection *s, struct telling *ret,
                        struct err *err)
{
    int r = scan_combo_open(&k->combos, &s->block, &ret->attrs, err);

    ret->by_line = k->c->by_line;
    fill_fields(k, ret->fields);
    if (r == 0 && ret->by_line)
        r = scan_block_lines(&s->block, err);
    return r;
}

int scan_count_combos(struct scan_counter *k, struct scan_selection *s, const uint64_t *only,
                      uint32_t **ret, struct err *err)
{
    size_t n = s->block.candidate->block.rows;
    struct telling t = {.attrs = NULL};
    int r = open_telling(k, s, &t, err);

    *ret = NULL;
    if (r < 0 || (t.attrs == NULL && !t.by_line))
        return r;
    *ret = arena_alloc(s->block.arena, n * sizeof(**ret));
    if (*ret == NULL)
        return arena_err(s->block.arena, err);
    if (t.attrs != NULL)
        r = scan_combo_numbers(t.attrs, s, only, *ret, err);
    if (r == 0 && t.by_line)
        r = scan_reduce_numbers(&k->combos, s, t.fields, only, *ret, err);
    return r;
}

/* Nothing but times and streams. */
static void tally_plain(const struct scan_counter *k, struct table *t)
{
    const struct block_keys *keys = &t->s->keys;
    size_t n = t->s->block.candidate->block.rows;
    size_t b = t->first_bucket;

    for (size_t i = 0; i < n; i++) {
        size_t row = t->n_streams == 1 ? 0 : keys->stream[i] - t->first_stream;
        if (t->n_buckets > 1)
            b = scan_bucket_of(&k->buckets, keys->ts[i], b);
        t->rows[row * t->n_buckets + b - t->first_bucket]++;
    }
}

/* The length of a row's line. */
static int length_of(struct scan_block *b, const struct lines_ids *ids, uint32_t at, uint32_t *ret,
                     struct err *err)
{
    const uint32_t *length = NULL;
    int r = lines_lengths(b->lines, ids->template == NULL ? 0 : ids->template[at], &length, err);

    if (r == 0)
        *ret = length[ids->rank == NULL ? at : ids->rank[at]];
    return r;
}

static int tally_rows(struct table *t, const struct scan_buckets *buckets, struct err *err)
{
    struct scan_selection *s = t->s;
    const struct block_keys *keys = &s->keys;
    size_t n = s->block.candidate->block.rows;
    size_t b = t->first_bucket;
    struct lines_ids ids = {.template = NULL};
    int r = t->bytes == NULL ? 0 : lines_ids(s->block.lines, &ids, err);

    for (size_t i = 0; r == 0 && i < n; i++) {
        uint32_t at = keys->layout == NULL ? (uint32_t)i : keys->layout[i]; /* NULL: any order */
        uint32_t length = 0;
        size_t place = 0;
        if (!scan_is_selected(s, at))
            continue;
        if (t->bytes != NULL)
            r = length_of(&s->block, &ids, at, &length, err);
        if (t->n_streams > 1)
            place = keys->stream[i] - t->first_stream;
        if (t->n_buckets > 1)
            b = scan_bucket_of(buckets, keys->ts[i], b);
        place = (place * t->n_buckets + b - t->first_bucket) * t->n_locals;
        place += t->local == NULL ? 0 : t->local[at];
        t->rows[place]++;
        if (t->bytes != NULL)
            t->bytes[place] += length;
    }
    return r;
}

static int merge(struct scan_counter *k, const struct table *t, struct err *err)
{
    const struct scan_candidate *c = t->s->block.candidate;
    size_t place = 0;
    int r = 0;

    (void)pthread_mutex_lock(&k->mutex);
    for (size_t s = 0; r == 0 && s < t->n_streams; s++)
        for (size_t b = 0; r == 0 && b < t->n_buckets; b++)
            for (size_t l = 0; r == 0 && l < t->n_locals; l++, place++) {
                struct scan_tally_key key = {scan_count_stream(c, t->first_stream + (uint32_t)s),
                                             t->combo == NULL ? 0 : t->combo[l],
                                             t->first_bucket + b};
                if (t->rows[place] > 0)
                    r = scan_tally_add(k, &key, t->rows[place],
                                       t->bytes == NULL ? 0 : t->bytes[place], err);
            }
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

/* Of the lines of all selected rows, by place in the layout. */
static int lengths_of(struct scan_selection *s, uint32_t **ret, struct err *err)
{
    size_t n = s->block.candidate->block.rows;
    struct lines_ids ids = {.template = NULL};
    int r = lines_ids(s->block.lines, &ids, err);

    *ret = arena_alloc(s->block.arena, n * sizeof(**ret) + 1);
    if (*ret == NULL)
        return arena_err(s->block.arena, err);
    for (uint32_t at = 0; r == 0 && at < n; at++)
        if (scan_is_selected(s, at))
            r = length_of(&s->block, &ids, at, &(*ret)[at], err);
    return r;
}

/* Row by row into the cells, when all that may be damaged was read. */
static int count_directly(struct scan_counter *k, struct table *t, struct err *err)
{
    struct scan_selection *s = t->s;
    const struct scan_candidate *c = s->block.candidate;
    const struct block_keys *keys = &s->keys;
    uint32_t *length = NULL;
    size_t b = t->first_bucket;
    int r = k->c->bytes ? lengths_of(s, &length, err) : 0;

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = keys->layout == NULL ? (uint32_t)i : keys->layout[i]; /* NULL: any order */
        struct scan_tally_key key = {.combo = t->local == NULL ? 0 : t->combo[t->local[at]]};
        if (!scan_is_selected(s, at))
            continue;
        key.stream = scan_count_stream(c, t->n_streams == 1 ? t->first_stream : keys->stream[i]);
        b = t->n_buckets == 1 ? b : scan_bucket_of(&k->buckets, keys->ts[i], b);
        key.bucket = b;
        r = scan_tally_add(k, &key, 1, length == NULL ? 0 : length[at], err);
    }
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

/* false: it would be too large. */
static bool make_table(const struct scan_counter *k, struct table *t)
{
    struct arena *a = t->s->block.arena;
    size_t rows = t->s->block.candidate->block.rows;
    size_t n = t->n_streams * t->n_buckets; /* below 2^16 * 2^32 */

    if (t->n_locals == 0 || n > rows * TABLE_SHARE / t->n_locals + 1)
        return false;
    t->rows = arena_alloc(a, n * t->n_locals * sizeof(*t->rows));
    if (k->c->bytes)
        t->bytes = arena_alloc(a, n * t->n_locals * sizeof(*t->bytes));
    return t->rows != NULL && (!k->c->bytes || t->bytes != NULL);
}

/* Nothing but streams, of one bucket: places tell.  1: they do not. */
static int count_places(struct scan_counter *k, struct table *t, struct err *err)
{
    int r;

    if (t->s->bits == NULL || t->local != NULL || k->c->bytes || t->n_buckets > 1 ||
        t->n_streams == 1 || !make_table(k, t))
        return 1;
    r = scan_place_streams(t->s, t->rows, err);
    return r != 0 ? r : merge(k, t, err);
}

/* Which streams the table tells apart: one that stands for all, where they are alike. */
static int find_streams(struct scan_counter *k, struct table *t, struct err *err)
{
    const struct scan_candidate *c = t->s->block.candidate;
    struct scan_stream *first = NULL;
    bool alike = k->c->names != NULL;
    int r = 0;

    t->first_stream = c->block.first_stream;
    t->n_streams = (size_t)c->block.last_stream - c->block.first_stream + 1;
    (void)pthread_mutex_lock(&k->mutex);
    for (uint32_t i = c->block.first_stream; r == 0 && alike && i <= c->block.last_stream; i++) {
        struct scan_stream *st = scan_count_stream(c, i);
        if (st != NULL && st->tally == NULL)
            r = scan_tally_find(k, st, err);
        if (st != NULL && first == NULL) {
            first = st;
            t->first_stream = i;
        }
        alike = st == NULL || st->tally == first->tally;
    }
    (void)pthread_mutex_unlock(&k->mutex);
    if (alike && first != NULL)
        t->n_streams = 1;
    else
        t->first_stream = c->block.first_stream;
    return r;
}

static int count_table(struct scan_counter *k, struct table *t, struct err *err)
{
    bool is_plain = t->s->bits == NULL && t->local == NULL && !k->c->bytes;
    unsigned want = 0;
    int r;

    want |= t->n_buckets > 1 ? BLOCK_WANT_TS : 0;
    want |= t->n_streams > 1 ? BLOCK_WANT_STREAM : 0;
    want |= is_plain || want == 0 ? 0 : BLOCK_WANT_LAYOUT;
    r = want == 0 ? 0 : scan_block_keys(&t->s->block, want, &t->s->keys, err);
    if (r != 0)
        return r;
    if (!make_table(k, t))
        return count_directly(k, t, err);
    if (is_plain)
        tally_plain(k, t);
    else
        r = tally_rows(t, &k->buckets, err);
    return r != 0 ? r : merge(k, t, err);
}

/* A block without anything for the parser: it need not be read when such rows do not count.  1:
 * they may. */
static int pass_over(struct scan_counter *k, struct scan_selection *s, struct table *t,
                     struct err *err)
{
    struct scan_fields f = scan_fields_of(&k->sc->req);
    struct scan_cells *cells = NULL;
    uint32_t combo = 0;
    int r;

    if (!k->c->by_line || s->bits != NULL || k->c->names == NULL)
        return 1;
    f.label = k->c->field; /* all conditions hold, or there are none */
    f.n = k->c->n_fields;
    f.set = SCAN_FIELDS_TESTED;
    r = scan_reduce_nothing(&k->combos, &s->block, &f, &combo, err);
    if (r == 0)
        r = find_streams(k, t, err);
    if (r != 0 || t->n_streams > 1)
        return r != 0 ? r : 1;
    (void)pthread_mutex_lock(&k->mutex);
    r = scan_tally_cells(k, scan_count_stream(s->block.candidate, t->first_stream), combo, &cells,
                         err);
    (void)pthread_mutex_unlock(&k->mutex);
    return r != 0 ? r : cells != NULL;
}

/* Rows of one bucket, of streams that are alike. */
static int fold(struct scan_counter *k, struct scan_selection *s, const struct table *t,
                struct err *err)
{
    const struct scan_tally_key key = {scan_count_stream(s->block.candidate, t->first_stream), 0,
                                       t->first_bucket};
    struct scan_fields fields[SCAN_FIELD_SETS];

    fill_fields(k, fields);
    return scan_fold_block(k, s, fields, &key, err);
}

/* Rows by the combination of each. */
static int count_rows(struct scan_counter *k, struct scan_selection *s, struct table *t,
                      struct err *err)
{
    uint32_t *combo = NULL;
    int r = scan_count_combos(k, s, NULL, &combo, err);

    t->n_locals = combo == NULL;
    if (r == 0 && k->c->bytes)
        r = scan_block_lines(&s->block, err);
    if (r == 0 && combo != NULL && t->n_streams == 1 && t->n_buckets == 1 && !k->c->bytes) {
        const struct scan_tally_key key = {scan_count_stream(s->block.candidate, t->first_stream),
                                           0, t->first_bucket};
        return scan_pile_add(k, s, combo, &key, err);
    }
    if (r == 0 && combo != NULL)
        r = make_local(k, t, combo, err);
    if (r == 0)
        r = count_places(k, t, err);
    return r == 1 ? count_table(k, t, err) : r;
}

static int count_selected(struct scan_counter *k, struct scan_selection *s, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    ts_ns first = c->min_ts < s->lo ? s->lo : c->min_ts;
    ts_ns last = c->max_ts > s->hi ? s->hi : c->max_ts;
    struct table t = {.s = s, .first_bucket = scan_bucket_of(&k->buckets, first, 0)};
    bool may_fold = false;
    int r = pass_over(k, s, &t, err);

    if (r != 1)
        return r;
    t.n_buckets = scan_bucket_of(&k->buckets, last, t.first_bucket) - t.first_bucket + 1;
    r = find_streams(k, &t, err);
    if (r == 0 && t.n_streams == 1 && t.n_buckets == 1)
        r = scan_fold_may(k, &s->block, &may_fold, err);
    if (r < 0)
        return r;
    return may_fold ? fold(k, s, &t, err) : count_rows(k, s, &t, err);
}

static int count_block(struct scan_counter *k, struct scan_worker *w, struct scan_candidate *c,
                       struct err *err)
{
    struct scan_selection s = {.n = 0};
    int r;

    scan_range(k->sc, &s.lo, &s.hi);
    scan_block_init(&s.block, k->sc, w, c, w->work);
    r = count_rollup(k, &s.block, err);
    if (r == 1) {
        r = scan_select_open(&s, err);
        if (r == 0 && s.n > 0)
            r = k->c->value != NULL ? scan_values_block(k, &s, err) : count_selected(k, &s, err);
    }
    scan_block_fini(&s.block);
    arena_recycle(w->work, SCAN_WORK_KEPT);
    return scan_block_forgive(w, c, r, err);
}

/* ---- the head ---- */

static int head_line(struct scan_counter *k, struct scan_worker *w, const struct record *rec,
                     uint32_t *combo, struct err *err)
{
    const struct scan_fields fields = scan_fields_of(&k->sc->req);
    struct str line = rec->line;

    if (scan_reduce_text(&fields, line, &w->line))
        line = buf_str(&w->line);
    return scan_combos_line(&k->combos, *combo, line, false, combo, err);
}

static int count_head(struct scan_counter *k, struct scan_worker *w, struct scan_candidate *c,
                      struct err *err)
{
    const struct batch *b = c->part->view->batch[c->index];
    bool by_attrs = k->c->all_attrs || k->c->n_attrs > 0;
    uint64_t lines = 0;
    uint64_t bytes = 0;
    size_t at = 0;
    int r = 0;

    w->stats.head_batches++;
    (void)pthread_mutex_lock(&k->mutex);
    for (uint32_t i = 0; r == 0 && i < b->n_records; i++) {
        const struct record *rec = &b->records[i];
        struct scan_tally_key key = {.stream = &c->streams[rec->stream]};
        if (!scan_head_wants(k->sc, c, rec))
            continue;
        lines++;
        bytes += k->sc->req.n_filters > 0 ? rec->line.n : 0;
        if (!scan_filter_line(k->sc, rec->line))
            continue;
        if (k->c->value != NULL) {
            r = scan_values_head(k, c, rec, err);
            continue;
        }
        if (by_attrs && rec->n_attr > 0)
            r = scan_combos_find(&k->combos, rec->attr, rec->n_attr, &key.combo, err);
        if (r == 0 && k->c->by_line)
            r = head_line(k, w, rec, &key.combo, err);
        at = scan_bucket_of(&k->buckets, rec->ts, at);
        key.bucket = at;
        if (r == 0)
            r = scan_tally_add(k, &key, 1, rec->line.n, err);
    }
    (void)pthread_mutex_unlock(&k->mutex);
    return r != 0 ? r : scan_count_lines(k->sc, w, lines, bytes, err);
}

/* ---- the whole ---- */

static int count_one(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct scan_counter *k = arg;
    struct scan_candidate *c = k->sc->live.p[job];
    struct scan_worker *w = scan_group_worker(k->sc, slot);
    int r = scan_check_cancel(k->sc, err);

    if (r < 0)
        return r;
    return c->segment == NULL ? count_head(k, w, c, err) : count_block(k, w, c, err);
}

static int count_all(struct scan_counter *k, struct err *err)
{
    struct scan *sc = k->sc;
    int r = 0;

    while (r == 0 && sc->next_unit < sc->n_units) {
        r = scan_plan_open(sc, err);
        if (r == 0)
            r = scan_pool_run(sc->pool, sc->live.n, count_one, k, err);
        for (unsigned i = 0; r == 0 && i < SCAN_POOL_SLOTS; i++)
            r = scan_pile_end(k, &sc->worker[i], err);
        sc->n_looked = sc->live.n;
        scan_plan_retire(sc);
    }
    return r;
}

int scan_count_views(struct store_view *views, size_t n_views, const struct scan_count *c,
                     struct scan_stats *stats, struct err *err)
{
    struct scan_counter k = {.c = c};
    struct scan_request req = c->req;
    int r;

    INVARIANT(c->n_edges > 1);
    req.order = SCAN_ANY;
    req.need_line = false;
    req.need_attrs = false;
    req.from = c->edge[0];
    req.to = c->edge[c->n_edges - 1];
    r = scan_open_views(views, n_views, &req, &k.sc, err);
    if (r < 0)
        return r;
    scan_buckets_init(&k.buckets, c->edge, c->n_edges);
    k.arena = arena_new(req.budget, 0);
    k.asking = arena_new(req.budget, 0);
    k.classes = map_new(0, NULL);
    INVARIANT(pthread_mutex_init(&k.mutex, NULL) == 0);
    INVARIANT(pthread_mutex_init(&k.combo_mutex, NULL) == 0);
    scan_combos_init(&k.combos, c, &k.combo_mutex);
    r = count_all(&k, err);
    scan_stats(k.sc, stats);
    scan_close(&k.sc);
    scan_combos_fini(&k.combos);
    (void)pthread_mutex_destroy(&k.combo_mutex);
    (void)pthread_mutex_destroy(&k.mutex);
    map_free(&k.classes);
    arena_free(&k.arena);
    arena_free(&k.asking);
    return r;
}
