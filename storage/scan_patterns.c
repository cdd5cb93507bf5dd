/*
 * storage/scan_patterns.c - what lines look like, counted.  Contract: scan.h.
 *
 * For a block, in the order of what it costs: its plan, where it is asked for as a whole, lies in
 * one bucket and has one level; its census, where each of its minutes lies in one bucket; else
 * template, time and level of each row.  No line is written out.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_combo.h"
#include "storage/template.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_SLOTS = 1 << 10,
    OVERHEAD = 96,
    FEW = 4,
    DENSE_LEVELS = 8,
    DENSE_MAX = 1 << 16, /* cells of the table in front */
    SPAN_MAX = 1 << 16,  /* minutes of a block that is counted by its census */
};

struct pattern {
    struct str text, level;
    uint64_t *rows;
};

struct patterner {
    const struct scan_patterns *p;
    struct scan *sc;
    struct scan_buckets buckets;
    pthread_mutex_t mutex;       /* guards what follows; taken before the next */
    pthread_mutex_t combo_mutex; /* guards combos */
    struct scan_count by_level;  /* what combos go by */
    struct scan_combos combos;
    struct arena *arena;
    struct map *map; /* text, NUL, level -> struct pattern */
    VEC(struct pattern *) v;
    struct buf key;
    uint64_t left_out;
};

/* ---- the table, under the mutex ---- */

/* NULL: there are too many (*ret_r 0), or an error. */
static struct pattern *find_pattern(struct patterner *k, struct str text, struct str level,
                                    int *ret_r, struct err *err)
{
    struct pattern *p;

    *ret_r = 0;
    buf_clear(&k->key);
    buf_add_str(&k->key, text);
    buf_add_char(&k->key, '\0');
    buf_add_str(&k->key, level);
    p = map_get(k->map, buf_str(&k->key));
    if (p != NULL || k->v.n == SCAN_PATTERNS_MAX)
        return p;
    p = arena_alloc(k->arena, sizeof(*p));
    if (p != NULL) {
        p->text = arena_str(k->arena, text);
        p->level = arena_str(k->arena, level);
        p->rows = arena_alloc(k->arena, k->buckets.n * sizeof(*p->rows));
    }
    if (p == NULL || p->text.p == NULL || p->level.p == NULL || p->rows == NULL ||
        arena_bytes(k->arena, k->key.n + OVERHEAD) == NULL) { /* what the map will hold */
        *ret_r = arena_err(k->arena, err);
        return NULL;
    }
    (void)map_put(k->map, buf_str(&k->key), p);
    VEC_PUSH(&k->v, p);
    return p;
}

/* ---- texts ---- */

static void add_piece(struct buf *b, struct str piece, bool is_last)
{
    bool joins = piece.n == 0 && b->n > 0; /* two slots side by side are one to the eye */

    buf_add_str(b, piece);
    if (!is_last && !joins)
        buf_add_z(b, "<_>");
}

static void write_template(struct buf *b, const struct lines_template *t)
{
    buf_clear(b);
    for (size_t i = 0; i <= t->n_slots; i++)
        add_piece(b, t->piece[i], i == t->n_slots);
}

static void write_line(struct buf *b, struct str line, const struct template_line *t)
{
    uint32_t at = 0;

    buf_clear(b);
    for (uint32_t i = 0; i < t->n_slots; i++) {
        add_piece(b, str_sub(line, at, t->slot[i].at - at), false);
        at = t->slot[i].at + t->slot[i].n;
    }
    add_piece(b, str_from(line, at), true);
}

/* The text of a pattern, as far as it is kept. */
static struct str shown(const struct buf *b)
{
    return str_sub(buf_str(b), 0, SCAN_PATTERN_BYTES);
}

/* ---- blocks ---- */

/* Rows by template, bucket and level: a hash table that doubles. */
struct cell {
    uint64_t key; /* + 1 */
    uint64_t rows;
};
struct cells {
    struct arena *arena;
    struct cell *v;
    size_t n, size;
    uint64_t rows; /* that a census gave */
};

static uint64_t key_of(size_t template, size_t bucket, uint32_t combo)
{
    return ((uint64_t) template << 48 | (uint64_t)bucket << 16 | combo) + 1;
}

static struct cell *probe(const struct cells *c, uint64_t key)
{
    size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (c->size - 1);

    while (c->v[at].key != 0 && c->v[at].key != key)
        at = (at + 1) & (c->size - 1);
    return &c->v[at];
}

static int widen(struct cells *c, struct err *err)
{
    struct cells w = {c->arena, NULL, c->n, c->size == 0 ? FIRST_SLOTS : 4 * c->size, c->rows};

    w.v = arena_alloc(w.arena, w.size * sizeof(*w.v));
    if (w.v == NULL)
        return arena_err(w.arena, err);
    for (size_t i = 0; i < c->size; i++)
        if (c->v[i].key != 0)
            *probe(&w, c->v[i].key) = c->v[i];
    *c = w;
    return 0;
}

static int add_rows(struct cells *c, uint64_t key, uint64_t rows, struct err *err)
{
    int r = 2 * c->n >= c->size ? widen(c, err) : 0;
    struct cell *cell;

    if (r < 0)
        return r;
    cell = probe(c, key);
    c->n += cell->key == 0;
    cell->key = key;
    cell->rows += rows;
    return 0;
}

/* Does the plan alone tell the level of all rows?  Then *ret is their combination. */
static int common_level(struct patterner *k, const struct lines_plan *p, bool *is_common,
                        uint32_t *ret, struct err *err)
{
    static const struct str name = STR_INIT("detected_level");
    struct label l = {name, STR_NULL};

    *ret = 0;
    *is_common = true;
    for (size_t t = 0; p != NULL && *is_common && t < p->n_templates; t++) {
        const struct lines_template *lt = &p->template[t];
        struct str level = STR_NULL;
        *is_common = lt->kind == TEMPLATE_ATTRS;
        for (size_t i = 0; i < lt->n_slots; i++) {
            const struct slot_stamp *st = &p->column[lt->first_column + i].stamp;
            if (!str_eq(lt->piece[i], name))
                continue;
            *is_common = *is_common && st->kind == SLOT_CONST;
            level = st->constant.p == NULL ? STR("") : st->constant;
        }
        *is_common =
            *is_common &&
            (t == 0 || ((level.p == NULL) == (l.value.p == NULL) && str_eq(level, l.value)));
        l.value = level;
    }
    if (!*is_common || l.value.p == NULL)
        return 0;
    return scan_combos_find(&k->combos, &l, 1, ret, err);
}

/* A small table in front of the cells: by template, bucket and one of the first few levels. */
struct dense {
    uint32_t *rows; /* NULL: it would be too large */
    size_t n_templates, first_bucket, n_buckets;
    uint32_t combo[DENSE_LEVELS];
    size_t n_combos, last;
};

static int open_dense(struct dense *d, struct arena *a, struct err *err)
{
    size_t n = d->n_templates * d->n_buckets * DENSE_LEVELS; /* below 2^12 * 2^32 * 2^3 */

    if (n > DENSE_MAX)
        return 0;
    d->rows = arena_alloc(a, n * sizeof(*d->rows));
    return d->rows == NULL ? arena_err(a, err) : 0;
}

/* The row's place; NULL: there is none. */
static uint32_t *dense_place(struct dense *d, size_t template, size_t bucket, uint32_t combo)
{
    if (d->rows == NULL)
        return NULL;
    if (d->n_combos == 0 || d->combo[d->last] != combo) {
        d->last = 0;
        while (d->last < d->n_combos && d->combo[d->last] != combo)
            d->last++;
        if (d->last == DENSE_LEVELS) {
            d->last = 0;
            return NULL;
        }
        d->combo[d->last] = combo;
        d->n_combos += d->last == d->n_combos;
    }
    return &d->rows[(template * d->n_buckets + bucket - d->first_bucket) * DENSE_LEVELS + d->last];
}

static int close_dense(const struct dense *d, struct cells *cells, struct err *err)
{
    size_t place = 0;
    int r = 0;

    for (size_t t = 0; d->rows != NULL && t < d->n_templates; t++)
        for (size_t b = 0; b < d->n_buckets; b++)
            for (size_t l = 0; l < DENSE_LEVELS; l++, place++)
                if (r == 0 && d->rows[place] > 0)
                    r = add_rows(cells, key_of(t, d->first_bucket + b, d->combo[l]), d->rows[place],
                                 err);
    return r;
}

static int count_each(struct patterner *k, struct scan_selection *s, struct cells *cells,
                      struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    struct scan_combo_block *combos = NULL;
    struct lines_ids ids = {.template = NULL};
    uint32_t common = 0;
    bool is_common = false;
    size_t b = scan_bucket_of(&k->buckets, c->min_ts < s->lo ? s->lo : c->min_ts, 0);
    size_t end = scan_bucket_of(&k->buckets, c->max_ts > s->hi ? s->hi : c->max_ts, b);
    struct dense dense = {.first_bucket = b, .n_buckets = end - b + 1};
    int r = scan_block_lines(&s->block, err);

    if (r == 0)
        r = lines_ids(s->block.lines, &ids, err);
    if (r == 0)
        r = common_level(k, s->block.attrs_plan, &is_common, &common, err);
    if (r == 0 && !is_common)
        r = scan_combo_open(&k->combos, &s->block, &combos, err);
    if (r == 0)
        r = scan_block_keys(&s->block, BLOCK_WANT_TS | BLOCK_WANT_LAYOUT, &s->keys, err);
    if (r == 0) {
        dense.n_templates = s->block.lines_plan->n_templates;
        r = open_dense(&dense, s->block.arena, err);
    }
    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = s->keys.layout[i];
        size_t template = ids.template == NULL ? 0 : ids.template[at];
        uint32_t combo = common;
        uint32_t *place;
        if (!scan_is_selected(s, at))
            continue;
        b = scan_bucket_of(&k->buckets, s->keys.ts[i], b);
        if (combos != NULL)
            r = scan_combo_of(combos, at, &combo, err);
        place = r == 0 ? dense_place(&dense, template, b, combo) : NULL;
        if (place != NULL)
            ++*place;
        else if (r == 0)
            r = add_rows(cells, key_of(template, b, combo), 1, err);
    }
    return r == 0 ? close_dense(&dense, cells, err) : r;
}

/* 1: the plan is not enough. */
static int count_plan(struct patterner *k, struct scan_selection *s, struct cells *cells,
                      struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    const struct lines_plan *p;
    uint32_t combo = 0;
    bool is_common = false;
    size_t b;
    int r;

    if (c->min_ts < s->lo || c->max_ts > s->hi || !c->all_streams || c->hides)
        return 1;
    b = scan_bucket_of(&k->buckets, c->min_ts, 0);
    if (!scan_bucket_has(&k->buckets, b, c->max_ts))
        return 1;
    r = scan_block_plans(&s->block, err);
    if (r == 0)
        r = common_level(k, s->block.attrs_plan, &is_common, &combo, err);
    if (r != 0 || !is_common)
        return r != 0 ? r : 1;
    p = s->block.lines_plan;
    for (size_t t = 0; r == 0 && t < p->n_templates; t++)
        r = add_rows(cells, key_of(t, b, combo), p->template[t].rows, err);
    return r == 0 ? scan_count_lines(k->sc, s->block.worker, c->block.rows, 0, err) : r;
}

/* ---- the census ---- */

/* The bucket of each minute that a block may have rows in. */
struct minutes {
    int64_t first;
    size_t n;
    uint32_t *bucket;
};
static const uint32_t outside = UINT32_MAX;

static int64_t minute_of(ts_ns ts)
{
    int64_t minute = ts / NS_PER_MIN;

    return ts % NS_PER_MIN < 0 ? minute - 1 : minute;
}

/* false: rows of the minute lie in several buckets, or only some of them in any. */
static bool minute_bucket(const struct scan_buckets *b, int64_t minute, uint32_t *ret)
{
    ts_ns first;
    ts_ns last;
    size_t i;

    *ret = outside;
    if (__builtin_mul_overflow(minute, NS_PER_MIN, &first) ||
        __builtin_add_overflow(first, NS_PER_MIN - 1, &last))
        return false;
    if (last < b->edge[0] || first >= b->edge[b->n])
        return true;
    if (first < b->edge[0] || last >= b->edge[b->n])
        return false;
    i = scan_bucket_of(b, first, 0);
    *ret = (uint32_t)i;
    return scan_bucket_has(b, i, last);
}

/* 1: a minute of the block has no bucket of its own. */
static int open_minutes(const struct patterner *k, const struct scan_block *b, struct minutes *m,
                        struct err *err)
{
    int64_t last = minute_of(b->candidate->max_ts);

    m->first = minute_of(b->candidate->min_ts);
    if (last - m->first >= SPAN_MAX)
        return 1;
    m->n = (size_t)(last - m->first) + 1;
    m->bucket = arena_alloc(b->arena, m->n * sizeof(*m->bucket));
    if (m->bucket == NULL)
        return arena_err(b->arena, err);
    for (size_t i = 0; i < m->n; i++)
        if (!minute_bucket(&k->buckets, m->first + (int64_t)i, &m->bucket[i]))
            return 1;
    return 0;
}

static int level_combos(struct patterner *k, struct arena *a, const struct block_census *u,
                        uint32_t **ret, struct err *err)
{
    uint32_t *combo = arena_alloc(a, u->n_levels * sizeof(*combo));
    int r = combo == NULL ? arena_err(a, err) : 0;

    for (size_t i = 0; r == 0 && i < u->n_levels; i++) {
        struct label l = {STR("detected_level"), u->level[i]};
        if (l.value.p != NULL)
            r = scan_combos_find(&k->combos, &l, 1, &combo[i], err);
    }
    *ret = combo;
    return r;
}

static int add_run(const struct block_census *u, const struct block_census_run *run,
                   const struct minutes *m, uint32_t combo, struct cells *cells, struct err *err)
{
    uint64_t rows = 0;
    uint32_t bucket = outside;
    int r = 0;

    for (size_t i = run->first; r == 0 && i < (size_t)run->first + run->n; i++) {
        uint64_t at = (uint64_t)u->entry[i].minute - (uint64_t)m->first;
        if (at >= m->n)
            return err_set(err, ERR_CORRUPT, "census: a minute outside of the block");
        if (m->bucket[at] != bucket) {
            if (rows > 0)
                r = add_rows(cells, key_of(run->template, bucket, combo), rows, err);
            bucket = m->bucket[at];
            rows = 0;
        }
        rows += bucket == outside ? 0 : u->entry[i].rows;
        cells->rows += bucket == outside ? 0 : u->entry[i].rows;
    }
    if (r == 0 && rows > 0)
        r = add_rows(cells, key_of(run->template, bucket, combo), rows, err);
    return r;
}

/* 1: the census does not tell. */
static int count_census(struct patterner *k, struct scan_block *b, struct cells *cells,
                        struct err *err)
{
    const struct scan_candidate *c = b->candidate;
    struct block_census u = {.n = 0};
    struct minutes m = {.n = 0};
    uint32_t *combo = NULL;
    int r = c->hides ? 1 : open_minutes(k, b, &m, err);

    if (r == 0)
        r = scan_block_census(b, &u, err);
    if (r == 0)
        r = level_combos(k, b->arena, &u, &combo, err);
    for (size_t i = 0; r == 0 && i < u.n_runs; i++)
        if (c->segment->stream[u.run[i].stream] != UINT32_MAX)
            r = add_run(&u, &u.run[i], &m, combo[u.run[i].level], cells, err);
    return r == 0 ? scan_count_lines(k->sc, b->worker, cells->rows, 0, err) : r;
}

/* The patterns of one template that were met, by level. */
struct met {
    uint32_t combo[FEW];
    struct pattern *pattern[FEW];
    uint32_t n;
};

static int merge_cell(struct patterner *k, const struct lines_plan *p, struct met *met,
                      const struct cell *cell, struct buf *text, struct err *err)
{
    size_t t = (cell->key - 1) >> 48;
    size_t bucket = (cell->key - 1) >> 16 & UINT32_MAX;
    uint32_t combo = (cell->key - 1) & UINT16_MAX;
    struct met *m = &met[t];
    struct pattern *found = NULL;
    int r = 0;

    if (p->template[t].kind == TEMPLATE_RAW) {
        k->left_out += cell->rows;
        return 0;
    }
    for (uint32_t i = 0; i < m->n; i++)
        if (m->combo[i] == combo)
            found = m->pattern[i];
    if (found == NULL) {
        write_template(text, &p->template[t]);
        found = find_pattern(k, shown(text), scan_combos_value(&k->combos, combo), &r, err);
        if (found != NULL && m->n < FEW) {
            m->combo[m->n] = combo;
            m->pattern[m->n++] = found;
        }
    }
    if (found == NULL)
        k->left_out += cell->rows;
    else
        found->rows[bucket] += cell->rows;
    return r;
}

static int merge_cells(struct patterner *k, struct scan_block *b, const struct cells *cells,
                       struct err *err)
{
    const struct lines_plan *p = b->lines_plan;
    struct met *met = arena_alloc(b->arena, p->n_templates * sizeof(*met));
    struct buf text;
    int r = 0;

    if (met == NULL)
        return arena_err(b->arena, err);
    buf_init(&text, BLOCK_FRAME_MAX);
    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; r == 0 && i < cells->size; i++)
        if (cells->v[i].key != 0)
            r = merge_cell(k, p, met, &cells->v[i], &text, err);
    (void)pthread_mutex_unlock(&k->mutex);
    buf_fini(&text);
    return r;
}

static int do_block(struct patterner *k, struct scan_worker *w, struct scan_candidate *c,
                    struct err *err)
{
    struct scan_selection s = {.n = 0};
    struct cells cells = {.arena = w->work};
    int r;

    scan_range(k->sc, &s.lo, &s.hi);
    scan_block_init(&s.block, k->sc, w, c, w->work);
    r = count_plan(k, &s, &cells, err);
    if (r == 1)
        r = count_census(k, &s.block, &cells, err);
    if (r == 1) {
        r = scan_select_open(&s, err);
        if (r == 0 && s.n > 0)
            r = count_each(k, &s, &cells, err);
    }
    if (r == 0 && cells.n > 0)
        r = merge_cells(k, &s.block, &cells, err);
    scan_block_fini(&s.block);
    arena_recycle(w->work, SCAN_WORK_KEPT);
    return scan_block_forgive(w, c, r, err);
}

/* ---- the head ---- */

static struct str level_of_record(const struct record *rec)
{
    for (uint32_t i = 0; i < rec->n_attr; i++)
        if (str_eq(rec->attr[i].name, STR("detected_level")))
            return rec->attr[i].value;
    return STR("");
}

static int do_head(struct patterner *k, struct scan_worker *w, struct scan_candidate *c,
                   struct err *err)
{
    const struct batch *b = c->part->view->batch[c->index];
    struct template_line *t = mem_new(sizeof(*t));
    struct buf text;
    uint64_t lines = 0;
    size_t at = 0;
    int r = 0;

    w->stats.head_batches++;
    buf_init(&text, 4 * RECORD_LINE_MAX);
    for (uint32_t i = 0; r == 0 && i < b->n_records; i++) {
        const struct record *rec = &b->records[i];
        struct pattern *found = NULL;
        if (!scan_head_wants(k->sc, c, rec))
            continue;
        lines++;
        template_split(rec->line, t);
        if (t->kind != TEMPLATE_RAW)
            write_line(&text, rec->line, t);
        at = scan_bucket_of(&k->buckets, rec->ts, at);
        (void)pthread_mutex_lock(&k->mutex);
        if (t->kind != TEMPLATE_RAW)
            found = find_pattern(k, shown(&text), level_of_record(rec), &r, err);
        if (found == NULL)
            k->left_out++;
        else
            found->rows[at]++;
        (void)pthread_mutex_unlock(&k->mutex);
    }
    buf_fini(&text);
    free(t);
    return r < 0 ? r : scan_count_lines(k->sc, w, lines, 0, err);
}

/* ---- the whole ---- */

static int do_one(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct patterner *k = arg;
    struct scan_candidate *c = k->sc->live.p[job];
    struct scan_worker *w = scan_group_worker(k->sc, slot);
    int r = scan_check_cancel(k->sc, err);

    if (r == 0)
        r = c->segment == NULL ? do_head(k, w, c, err) : do_block(k, w, c, err);
    return r == 1 ? err_set(err, ERR_LIMIT, "too many levels") : r;
}

static int by_text(const void *a, const void *b)
{
    const struct pattern *x = *(struct pattern *const *)a;
    const struct pattern *y = *(struct pattern *const *)b;
    int r = str_cmp(x->text, y->text);

    return r != 0 ? r : str_cmp(x->level, y->level);
}

static int tell(struct patterner *k)
{
    int r = 0;

    if (k->v.n > 1)
        qsort((void *)k->v.p, k->v.n, sizeof(*k->v.p), by_text);
    for (size_t i = 0; r == 0 && i < k->v.n; i++)
        r = k->p->pattern(k->p->arg, k->v.p[i]->text, k->v.p[i]->level, k->v.p[i]->rows);
    return r;
}

static int do_all(struct patterner *k, struct err *err)
{
    struct scan *sc = k->sc;
    int r = 0;

    while (r == 0 && sc->next_unit < sc->n_units) {
        r = scan_plan_open(sc, err);
        if (r == 0)
            r = scan_pool_run(sc->pool, sc->live.n, do_one, k, err);
        sc->n_looked = sc->live.n;
        scan_plan_retire(sc);
    }
    return r == 0 ? tell(k) : r;
}

int scan_patterns_views(struct store_view *views, size_t n_views, const struct scan_patterns *p,
                        uint64_t *left_out, struct scan_stats *stats, struct err *err)
{
    static const struct str level = STR_INIT("detected_level");
    struct patterner k = {.p = p, .by_level = {.req = p->req, .attrs = &level, .n_attrs = 1}};
    struct scan_request req = p->req;
    int r;

    INVARIANT(p->n_edges > 1);
    req.order = SCAN_ANY;
    req.need_line = false;
    req.need_attrs = false;
    req.n_filters = 0;
    req.from = p->edge[0];
    req.to = p->edge[p->n_edges - 1];
    r = scan_open_views(views, n_views, &req, &k.sc, err);
    if (r < 0)
        return r;
    scan_buckets_init(&k.buckets, p->edge, p->n_edges);
    k.arena = arena_new(req.budget, 0);
    k.map = map_new(0, NULL);
    buf_init(&k.key, 4 * SCAN_PATTERN_BYTES + RECORD_LINE_MAX);
    INVARIANT(pthread_mutex_init(&k.mutex, NULL) == 0);
    INVARIANT(pthread_mutex_init(&k.combo_mutex, NULL) == 0);
    scan_combos_init(&k.combos, &k.by_level, &k.combo_mutex);
    r = do_all(&k, err);
    *left_out = k.left_out;
    scan_stats(k.sc, stats);
    scan_close(&k.sc);
    scan_combos_fini(&k.combos);
    (void)pthread_mutex_destroy(&k.combo_mutex);
    (void)pthread_mutex_destroy(&k.mutex);
    map_free(&k.map);
    buf_fini(&k.key);
    VEC_FINI(&k.v);
    arena_free(&k.arena);
    return r;
}
