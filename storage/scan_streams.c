/*
 * storage/scan_streams.c - which streams there are, without reading a line.  Contract: scan.h,
 * scan_streams.
 */
#include "base/map.h"
#include "base/mem.h"
#include "storage/catalog_index.h"
#include "storage/catalog_summary.h"
#include "storage/le.h"
#include "storage/scan_internal.h"
#include "storage/stream_blob.h"

#include <stdlib.h>

enum { SEEN_OVERHEAD = 64, BLOB_MAX = 1 << 24 };

struct lister {
    const struct scan_request *req;
    struct map *seen; /* blobs of labels that were told */
    size_t charged;   /* to the budget */
    struct buf blob;
    scan_stream_fn *fn;
    void *arg;
    const struct store_view *view; /* the one being listed */
    int32_t day;
    struct partition *partition; /* the day's */
    struct idset wanted; /* ids in the catalog being listed: in a segment of the request's time */
    struct arena *day_arena;
    const struct scan_texts *texts; /* NULL: streams are told, not texts */
    struct hide_span *spans;        /* of each id, over its segments; NULL: nothing is hidden */
    size_t cap_spans;
    struct arena *arena; /* for one stream's hiding */
    int told;            /* what fn returned, when that ended the walk */
};

static int tell_texts(struct lister *ls, const struct labels *l)
{
    struct str value;

    if (ls->texts->name.n > 0) {
        value = labels_get(l, ls->texts->name);
        return value.p == NULL ? 0 : ls->texts->fn(ls->texts->arg, value);
    }
    for (size_t i = 0; i < l->n; i++) {
        int r = ls->texts->fn(ls->texts->arg, l->v[i].name);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Tell of a stream if it matches and is new. */
static int tell(struct lister *ls, const struct labels *l, struct err *err)
{
    size_t cost;
    int r;

    if (!matchers_match(ls->req->matchers, ls->req->n_matchers, l))
        return 0;
    if (ls->texts != NULL)
        return ls->told = tell_texts(ls, l);
    buf_clear(&ls->blob);
    stream_blob_put(&ls->blob, l);
    r = buf_err(&ls->blob, "labels of a stream", err);
    if (r < 0 || map_get(ls->seen, buf_str(&ls->blob)) != NULL)
        return r;
    cost = ls->blob.n + SEEN_OVERHEAD;
    r = ls->req->budget == NULL ? 0 : mem_budget_take(ls->req->budget, cost, err);
    if (r < 0)
        return r;
    ls->charged += cost;
    (void)map_put(ls->seen, buf_str(&ls->blob), ls); /* no maximum but the budget's */
    ls->told = ls->fn(ls->arg, l);
    return ls->told;
}

static int list_head(struct lister *ls, const struct batch *b, struct err *err)
{
    uint8_t *found = mem_new(b->n_streams + (size_t)1);
    int r = 0;

    for (uint32_t i = 0; i < b->n_records; i++)
        if (b->records[i].ts >= ls->req->from && b->records[i].ts < ls->req->to)
            found[b->records[i].stream] = 1;
    for (uint32_t i = 0; r == 0 && i < b->n_streams; i++)
        if (found[i])
            r = tell(ls, &b->streams[i], err);
    free(found);
    return r;
}

/* Widen what is known of stream `id` by a segment that it has rows in. */
static void note_span(struct lister *ls, size_t id, bool fresh, const struct catalog_segment *s)
{
    const struct hide_span add = {s->min_ts, s->max_ts, s->max_received, s->min_seq, s->max_seq};
    struct hide_span *to;

    if (id >= ls->cap_spans) {
        ls->cap_spans = 2 * id + 64;
        ls->spans = mem_grow(ls->spans, ls->cap_spans * sizeof(*ls->spans));
    }
    to = &ls->spans[id];
    if (fresh) {
        *to = add;
        return;
    }
    to->min_ts = to->min_ts < add.min_ts ? to->min_ts : add.min_ts;
    to->max_ts = to->max_ts > add.max_ts ? to->max_ts : add.max_ts;
    to->max_received = to->max_received > add.max_received ? to->max_received : add.max_received;
    to->min_seq = to->min_seq < add.min_seq ? to->min_seq : add.min_seq;
    to->max_seq = to->max_seq > add.max_seq ? to->max_seq : add.max_seq;
}

static int note_segment(void *arg, const struct catalog_segment *s, struct err *err)
{
    struct lister *ls = arg;

    for (uint32_t i = 0; i < s->n_streams; i++) {
        size_t id = le_get32(s->streams + 4 * (size_t)i);
        if (id >= (size_t)1 << 24)
            return err_set(err, ERR_CORRUPT, "catalog: id of a stream");
        if (ls->view->hide != NULL)
            note_span(ls, id, !idset_has(&ls->wanted, id), s);
        idset_add(&ls->wanted, id);
    }
    return 0;
}

/* 1: all of its rows are hidden. */
static int is_hidden(struct lister *ls, uint64_t id, const struct labels *l, struct err *err)
{
    const struct hide_stream *h = NULL;
    int r;

    if (ls->view->hide == NULL)
        return 0;
    arena_reset(ls->arena);
    r = hide_stream(ls->view->hide, l, ls->view->now, ls->arena, &h, err);
    return r < 0 ? r : hide_span(h, &ls->spans[id]) == HIDE_ALL;
}

static int tell_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct lister *ls = arg;
    int r;

    r = is_hidden(ls, id, l, err);
    return r == 0 ? tell(ls, l, err) : r < 0 ? r : 0;
}

static int tell_text(void *arg, struct str text, struct err *err)
{
    struct lister *ls = arg;

    (void)err;
    return ls->told = ls->texts->fn(ls->texts->arg, text);
}

static int read_day(void *arg, struct catalog *c, struct err *err)
{
    struct lister *ls = arg;
    struct catalog_range range = {view_visible(ls->view, ls->day), ls->req->from, ls->req->to - 1};
    const struct catalog_selector sel = {
        .matchers = ls->req->matchers, .n_matchers = ls->req->n_matchers, .within = &ls->wanted};
    const struct scan_day day = {ls->view->frames, ls->partition, c};
    uint32_t end = 0;
    int r = catalog_streams_end(c, &end, err);

    if (r == 0)
        r = idset_init(&ls->wanted, end, false, ls->day_arena, err);
    if (r == 0)
        r = catalog_segments(c, &range, note_segment, ls, err);
    if (r < 0)
        return r;
    if (ls->texts != NULL && ls->view->hide == NULL)
        return catalog_labels(c, &sel, ls->texts->name, tell_text, ls, err);
    return scan_day_select(&day, &sel, tell_stream, ls, err);
}

static int tell_short(void *arg, struct str text)
{
    struct lister *ls = arg;

    return ls->told = ls->texts->fn(ls->texts->arg, text);
}

/* What the day's labels in short can answer; true: with *ret the outcome. */
static bool list_summary(struct lister *ls, int32_t day, int *ret)
{
    const struct scan_request *req = ls->req;
    const struct store_view *v = ls->view;
    struct str labels;

    *ret = 0;
    if (partition_cache_labels(v->partitions, v->tenant_id, day, ls->day_arena, &labels) != 0)
        return false;
    if (!catalog_summary_may_match(labels, req->matchers, req->n_matchers))
        return true;
    if (ls->texts == NULL || req->n_matchers > 0 || v->hide != NULL ||
        req->from > time_of_day(day) || req->to < time_of_day(day) + NS_PER_DAY)
        return false;
    *ret = catalog_summary_each(labels, ls->texts->name, tell_short, ls);
    return *ret != 1 || ls->told != 0;
}

static int list_day(struct lister *ls, int32_t day, struct err *err)
{
    int r;

    arena_reset(ls->day_arena);
    ls->day = day;
    if (list_summary(ls, day, &r))
        return r;
    r = partition_cache_get(ls->view->partitions, ls->view->tenant_id, day, false, &ls->partition,
                            err);
    if (r == 0)
        r = partition_read(ls->partition, read_day, ls, err);
    partition_unref(&ls->partition);
    if (ls->told == 0 && r == ERR_GONE) /* retention was faster */
        r = 0;
    return r;
}

static int list_view(struct lister *ls, struct err *err)
{
    const struct store_view *v = ls->view;
    int r = scan_check_request(ls->req, err);

    for (size_t i = 0; r == 0 && i < v->n_batch; i++)
        r = list_head(ls, v->batch[i], err);
    for (size_t i = 0; r == 0 && i < v->n_day; i++) {
        r = scan_check_request(ls->req, err);
        if (r == 0)
            r = list_day(ls, v->day[i], err);
    }
    return r;
}

static int list_views(struct lister *ls, struct store_view *views, size_t n_views, struct err *err)
{
    const struct scan_request *req = ls->req;
    int r = 0;

    ls->seen = map_new(0, NULL);
    ls->arena = arena_new(req->budget, 0);
    ls->day_arena = arena_new(req->budget, 0);
    buf_init(&ls->blob, BLOB_MAX);
    for (size_t i = 0; r == 0 && req->from < req->to && i < n_views; i++) {
        ls->view = &views[i];
        r = list_view(ls, err);
    }
    for (size_t i = 0; i < n_views; i++)
        view_release(&views[i]);
    map_free(&ls->seen);
    buf_fini(&ls->blob);
    free(ls->spans);
    arena_free(&ls->arena);
    arena_free(&ls->day_arena);
    if (req->budget != NULL)
        mem_budget_give(req->budget, ls->charged);
    return r;
}

int scan_streams_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                       scan_stream_fn *fn, void *arg, struct err *err)
{
    struct lister ls = {.req = req, .fn = fn, .arg = arg};

    return list_views(&ls, views, n_views, err);
}

int scan_labels_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                      const struct scan_texts *to, struct err *err)
{
    struct lister ls = {.req = req, .texts = to};

    return list_views(&ls, views, n_views, err);
}
