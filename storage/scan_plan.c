/*
 * storage/scan_plan.c - which days, segments and blocks a scan has to look at, and in what order.
 *
 * A day is opened only when the merge gets there, so a query for the newest thousand lines of a
 * month touches the last day alone.  Inside a day everything is pruned by the catalog: streams by
 * the matchers, segments and blocks by time and by whether one of those streams lies in them.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_index.h"
#include "storage/catalog_summary.h"
#include "storage/le.h"
#include "storage/scan_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_ID_MAX = 1 << 24 };

int scan_check_request(const struct scan_request *req, struct err *err)
{
    if (req->cancel != NULL && atomic_load_explicit(req->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the query was cancelled");
    if (req->deadline != 0 && time_mono() > req->deadline)
        return err_set(err, ERR_TIMEOUT, "the query took too long");
    return 0;
}

int scan_check_cancel(const struct scan *sc, struct err *err)
{
    return scan_check_request(&sc->req, err);
}

void scan_damage(struct scan_stats *st, struct partition *p, const struct err *why)
{
    if (st->damaged_blocks++ == 0)
        (void)snprintf(st->damage, sizeof(st->damage), "%s", why->text);
    if (p != NULL)
        partition_note_damage(p);
}

/* ---- units ---- */

static int by_bound(const void *a, const void *b)
{
    const struct scan_unit *x = a;
    const struct scan_unit *y = b;

    return (x->bound > y->bound) - (x->bound < y->bound);
}

/* A head may hold any time, so its bound is the edge of the request. */
static struct scan_unit head_unit(const struct scan *sc, struct store_view *v)
{
    return (struct scan_unit){v, 0, scan_is_backward(sc) ? INT64_MAX : INT64_MIN};
}

static struct scan_unit day_unit(const struct scan *sc, struct store_view *v, int32_t day)
{
    ts_ns start = time_of_day(day);
    ts_ns last = start > INT64_MAX - NS_PER_DAY ? INT64_MAX : start + NS_PER_DAY - 1;

    return (struct scan_unit){v, day, scan_is_backward(sc) ? last : start};
}

int scan_plan_units(struct scan *sc, struct err *err)
{
    size_t n = sc->n_views;

    for (size_t i = 0; i < sc->n_views; i++)
        n += sc->views[i].n_day;
    if (n > (size_t)1 << 24)
        return err_set(err, ERR_LIMIT, "%zu days of tenants are too many for one query", n);
    sc->units = mem_new(n * sizeof(*sc->units) + 1);
    for (size_t i = 0; i < sc->n_views; i++) {
        struct store_view *v = &sc->views[i];
        if (v->n_batch > 0)
            sc->units[sc->n_units++] = head_unit(sc, v);
        for (size_t k = 0; k < v->n_day; k++)
            sc->units[sc->n_units++] = day_unit(sc, v, v->day[k]);
    }
    if (sc->n_units > 1)
        qsort(sc->units, sc->n_units, sizeof(*sc->units), by_bound);
    for (size_t i = 0; scan_is_backward(sc) && i < sc->n_units / 2; i++) {
        struct scan_unit u = sc->units[i];
        sc->units[i] = sc->units[sc->n_units - 1 - i];
        sc->units[sc->n_units - 1 - i] = u;
    }
    return 0;
}

/* ---- one day ---- */

/* An array in an arena that doubles; what it outgrows stays behind until the arena goes. */
static void *grown(struct arena *a, void *v, size_t size, size_t n, size_t *cap, struct err *err)
{
    size_t want = *cap == 0 ? 64 : 2 * *cap;
    void *wider;

    if (n < *cap)
        return v;
    wider = arena_alloc(a, want * size);
    if (wider == NULL) {
        (void)arena_err(a, err);
        return NULL;
    }
    if (n > 0)
        memcpy(wider, v, n * size);
    *cap = want;
    return wider;
}

struct planner {
    struct scan *sc;
    struct scan_part *part;
    struct frame *list; /* scan_list; NULL: no stream matches */
    struct catalog_range range;
    uint32_t *index_of_id; /* index into part->streams + 1 */
    uint64_t n_ids;
    size_t cap_ids, cap_streams, cap_candidates;
    struct scan_segment *segment; /* whose blocks are being added */
};

static int add_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct planner *pl = arg;
    struct scan_part *part = pl->part;
    struct scan_stream s = {.batch_no = 0};
    void *v;
    int r;

    if (id >= STREAM_ID_MAX || id < pl->n_ids)
        return err_set(err, ERR_CORRUPT, "catalog: id of a stream");
    while (id >= pl->cap_ids) {
        v = grown(part->arena, pl->index_of_id, sizeof(*pl->index_of_id), pl->cap_ids, &pl->cap_ids,
                  err);
        if (v == NULL)
            return err->code;
        pl->index_of_id = v;
    }
    v = grown(part->arena, part->streams, sizeof(*part->streams), part->n_streams, &pl->cap_streams,
              err);
    if (v == NULL)
        return err->code;
    part->streams = v;
    r = labels_copy(part->arena, l, &s.labels, err);
    if (r == 0)
        r = hide_stream(part->view->hide, &s.labels, part->view->now, part->arena, &s.hide, err);
    if (r < 0)
        return r;
    part->streams[part->n_streams++] = s;
    pl->index_of_id[id] = (uint32_t)part->n_streams;
    pl->n_ids = id + 1;
    return 0;
}

/* How many of the streams that the block may hold match. */
static uint32_t wanted_streams(const struct scan_segment *s, const struct segment_block *b)
{
    uint32_t n = 0;

    for (uint32_t i = b->first_stream; i <= b->last_stream && i < s->n_streams; i++)
        n += s->stream[i] != UINT32_MAX;
    return n;
}

/* What of the block's wanted streams must not be shown. */
static enum hide_verdict hide_block(const struct scan_part *part, const struct scan_segment *s,
                                    const struct segment_block *b)
{
    const struct hide_span span = {b->min_ts, b->max_ts, s->max_received, s->min_seq, s->max_seq};
    bool shown = false;
    bool hidden = false;

    if (part->view->hide == NULL)
        return HIDE_NOTHING;
    for (uint32_t i = b->first_stream; i <= b->last_stream && i < s->n_streams; i++) {
        enum hide_verdict v;
        if (s->stream[i] == UINT32_MAX)
            continue;
        v = hide_span(part->streams[s->stream[i]].hide, &span);
        shown = shown || v != HIDE_ALL;
        hidden = hidden || v != HIDE_NOTHING;
    }
    return !shown ? HIDE_ALL : hidden ? HIDE_SOME : HIDE_NOTHING;
}

static int add_block(struct planner *pl, const struct scan_list_block *at, struct err *err)
{
    struct scan_part *part = pl->part;
    struct segment_block b = {
        .offset = at->offset,
        .stored_bytes = at->stored_bytes,
        .raw_bytes = at->raw_bytes,
        .rows = at->rows,
        .frames = at->frames,
        .first_stream = at->first_stream,
        .last_stream = at->last_stream,
        .min_ts = at->min_ts,
        .max_ts = at->max_ts,
    };
    uint32_t wanted = wanted_streams(pl->segment, &b);
    enum hide_verdict hidden = wanted == 0 ? HIDE_ALL : hide_block(part, pl->segment, &b);
    void *v;

    if (hidden == HIDE_ALL)
        return 0;
    if (b.last_stream >= pl->segment->n_streams) {
        struct err why;
        (void)err_set(&why, ERR_CORRUPT, "catalog: block of streams that its segment lacks");
        scan_damage(&pl->sc->stats, part->partition, &why);
        return 0;
    }
    v = grown(part->arena, part->candidates, sizeof(*part->candidates), part->n_candidates,
              &pl->cap_candidates, err);
    if (v == NULL)
        return err->code;
    part->candidates = v;
    part->candidates[part->n_candidates++] = (struct scan_candidate){
        .min_ts = b.min_ts,
        .max_ts = b.max_ts,
        .part = part,
        .segment = pl->segment,
        .block = b,
        .index = at->index,
        .all_streams = wanted == b.last_stream - b.first_stream + 1,
        .hides = hidden != HIDE_NOTHING,
    };
    pl->sc->stats.blocks++;
    return 0;
}

/* *ret stays NULL when none of its streams matches. */
static int match_segment(struct planner *pl, const struct catalog_segment *s,
                         struct scan_segment **ret, struct err *err)
{
    struct scan_segment *seg;
    uint32_t *stream;
    bool any = false;

    for (uint32_t i = 0; i < s->n_streams && !any; i++) {
        uint64_t id = le_get32(s->streams + 4 * (size_t)i);
        any = id < pl->n_ids && pl->index_of_id[id] != 0;
    }
    if (!any)
        return 0;
    seg = arena_alloc(pl->part->arena, sizeof(*seg));
    stream = arena_alloc(pl->part->arena, s->n_streams * sizeof(*stream));
    if (seg == NULL || stream == NULL)
        return arena_err(pl->part->arena, err);
    for (uint32_t i = 0; i < s->n_streams; i++) {
        uint64_t id = le_get32(s->streams + 4 * (size_t)i);
        stream[i] =
            id < pl->n_ids && pl->index_of_id[id] != 0 ? pl->index_of_id[id] - 1 : UINT32_MAX;
    }
    memcpy(seg->uuid, s->uuid, SEGMENT_UUID);
    seg->n_streams = s->n_streams;
    seg->max_received = s->max_received;
    seg->min_seq = s->min_seq;
    seg->max_seq = s->max_seq;
    seg->stream = stream;
    *ret = seg;
    return 0;
}

static bool is_in_range(const struct planner *pl, ts_ns min_ts, ts_ns max_ts)
{
    return max_ts >= pl->range.from && min_ts <= pl->range.to;
}

static int add_segment(struct planner *pl, const struct scan_list *list,
                       const struct scan_list_segment *s, struct err *err)
{
    const struct scan_list_block *block = list->blocks.p + s->first_block;
    struct scan_segment *seg = NULL;
    const uint64_t *may = NULL;
    int r = match_segment(pl, &s->row, &seg, err);

    if (r < 0 || seg == NULL)
        return r;
    pl->segment = seg;
    pl->sc->stats.segments++;
    r = scan_ids_ask(pl->sc, pl->part, seg, s->row.n_blocks, &may, err);
    for (uint32_t i = 0; r == 0 && i < s->n_blocks; i++) {
        const struct scan_list_block *b = &block[i];
        if (is_in_range(pl, b->min_ts, b->max_ts) &&
            (may == NULL || b->index >= s->row.n_blocks ||
             (may[b->index / 64] >> b->index % 64 & 1) != 0))
            r = add_block(pl, b, err);
    }
    return r;
}

static int add_segments(struct planner *pl, struct err *err)
{
    const struct scan_list *list = frame_value(pl->list);
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->segments.n; i++) {
        const struct catalog_segment *s = &list->segments.p[i].row;
        if (s->wal_to <= pl->range.visible && is_in_range(pl, s->min_ts, s->max_ts))
            r = add_segment(pl, list, &list->segments.p[i], err);
    }
    return r;
}

static int read_day(void *arg, struct catalog *c, struct err *err)
{
    struct planner *pl = arg;
    const struct catalog_selector sel = {.matchers = pl->sc->req.matchers,
                                         .n_matchers = pl->sc->req.n_matchers};
    const struct scan_day day = {pl->sc->frames, pl->part->partition, c};
    int r = scan_day_select(&day, &sel, add_stream, pl, err);

    if (r < 0 || pl->part->n_streams == 0)
        return r;
    return scan_list_get(pl->sc, pl->part->partition, c, &pl->range, &pl->list, err);
}

static int by_min_ts(const void *a, const void *b)
{
    const struct scan_candidate *x = *(struct scan_candidate *const *)a;
    const struct scan_candidate *y = *(struct scan_candidate *const *)b;

    return (x->min_ts > y->min_ts) - (x->min_ts < y->min_ts);
}

static int by_max_ts_falling(const void *a, const void *b)
{
    const struct scan_candidate *x = *(struct scan_candidate *const *)a;
    const struct scan_candidate *y = *(struct scan_candidate *const *)b;

    return (x->max_ts < y->max_ts) - (x->max_ts > y->max_ts);
}

/* Is this the answer's problem (the data), or the query's (its limits)? */
static bool is_damage(int code)
{
    return code == ERR_CORRUPT || code == ERR_IO || code == ERR_UNSUPPORTED ||
           code == ERR_INVALID || code == ERR_TIMEOUT;
}

static void note_unreadable(struct scan *sc, struct scan_part *part)
{
    const char *text = NULL;
    uint64_t n = partition_unreadable(part->partition, &text);
    struct err why;

    if (n == 0)
        return;
    (void)err_set(&why, ERR_CORRUPT, "%s", text);
    for (uint64_t i = 0; i < n; i++)
        scan_damage(&sc->stats, part->partition, &why);
}

/* Can a stream of that day match, as far as that is known without opening it? */
static bool may_match(const struct scan *sc, struct scan_part *part, int32_t day)
{
    struct str labels;
    bool may;

    if (sc->req.n_matchers == 0)
        return true;
    may = partition_cache_labels(part->view->partitions, part->view->tenant_id, day, part->arena,
                                 &labels) != 0 ||
          catalog_summary_may_match(labels, sc->req.matchers, sc->req.n_matchers);
    arena_reset(part->arena); /* the day's own things come later */
    return may;
}

static int open_day(struct scan *sc, struct scan_part *part, int32_t day, struct err *err)
{
    struct planner pl = {
        .sc = sc,
        .part = part,
        .range = {view_visible(part->view, day), sc->req.from, sc->req.to - 1},
    };
    int r;

    if (!may_match(sc, part, day))
        return 0;
    r = partition_cache_get(part->view->partitions, part->view->tenant_id, day, false,
                            &part->partition, err);
    sc->stats.partitions++;
    if (r == 0) {
        note_unreadable(sc, part);
        r = partition_read(part->partition, read_day, &pl, err);
        if (r == 0 && pl.list != NULL)
            r = add_segments(&pl, err);
        frame_unref(&pl.list);
    }
    if (r == ERR_GONE) /* retention was faster than we */
        return 0;
    if (r < 0 && is_damage(r)) {
        part->n_candidates = 0;
        if (part->partition == NULL || !partition_is_dropped(part->partition)) {
            (void)err_wrap(err, "day %08d", day);
            scan_damage(&sc->stats, part->partition, err);
        }
        return 0;
    }
    return r;
}

/* ---- the head ---- */

static int open_head(struct scan *sc, struct scan_part *part, struct err *err)
{
    const struct store_view *v = part->view;
    int r;

    part->candidates = arena_alloc(part->arena, v->n_batch * sizeof(*part->candidates));
    if (part->candidates == NULL)
        return arena_err(part->arena, err);
    for (size_t i = 0; i < v->n_batch; i++) {
        const struct batch *b = v->batch[i];
        struct scan_candidate *c = &part->candidates[part->n_candidates];
        if (b->n_records == 0 || b->max_ts < sc->req.from || b->min_ts >= sc->req.to)
            continue;
        *c = (struct scan_candidate){
            .min_ts = b->min_ts,
            .max_ts = b->max_ts,
            .part = part,
            .index = (uint32_t)i,
        };
        r = scan_head_streams(sc, c, err);
        if (r < 0)
            return r;
        part->n_candidates++;
    }
    return 0;
}

/* ---- parts ---- */

static void free_part(struct scan *sc, struct scan_part *part)
{
    struct scan_part **at = &sc->parts;

    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    for (size_t i = 0; i < SCAN_POOL_SLOTS; i++) /* they read from the partition's objects */
        scan_block_close_readers(&sc->worker[i], part);
    partition_unref(&part->partition);
    arena_free(&part->arena);
    free(part);
}

int scan_plan_open(struct scan *sc, struct err *err)
{
    struct scan_unit *u = &sc->units[sc->next_unit++];
    struct scan_part *part = mem_new(sizeof(*part));
    int r = scan_check_cancel(sc, err);

    part->view = u->view;
    part->arena = arena_new(sc->req.budget, 0);
    part->next = sc->parts;
    sc->parts = part;
    if (r == 0)
        r = u->day == 0 ? open_head(sc, part, err) : open_day(sc, part, u->day, err);
    if (r < 0)
        return r;
    part->n_live = part->n_candidates;
    for (size_t i = 0; i < part->n_candidates; i++)
        VEC_PUSH(&sc->live, &part->candidates[i]);
    if (scan_is_ordered(sc) && sc->live.n - sc->n_looked > 1)
        qsort((void *)(sc->live.p + sc->n_looked), sc->live.n - sc->n_looked, sizeof(*sc->live.p),
              scan_is_backward(sc) ? by_max_ts_falling : by_min_ts);
    if (part->n_live == 0)
        free_part(sc, part);
    return 0;
}

static bool is_over(const struct scan *sc, const struct scan_candidate *c, size_t place)
{
    if (!scan_is_ordered(sc))
        return place < sc->n_looked;
    return c->dead || c->max_ts < sc->lo || c->min_ts > sc->hi;
}

void scan_plan_retire(struct scan *sc)
{
    size_t kept = 0;

    for (size_t i = 0; i < sc->live.n; i++) {
        struct scan_candidate *c = sc->live.p[i];
        if (!is_over(sc, c, i)) {
            sc->live.p[kept++] = c;
            continue;
        }
        scan_render_close(sc, c);
        if (--c->part->n_live == 0)
            free_part(sc, c->part);
    }
    sc->live.n = kept;
    sc->n_looked = 0;
}

void scan_plan_free(struct scan *sc)
{
    while (sc->parts != NULL)
        free_part(sc, sc->parts);
    VEC_FINI(&sc->live);
    free(sc->units);
    sc->units = NULL;
}
