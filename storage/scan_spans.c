/*
 * storage/scan_spans.c - has anything changed that a scan could see?  Contract: scan.h, scan_spans.
 *
 * Segments do not change: what lies in partitions changes when there are others.  So what is
 * flushed or compacted leaves the time that it does not touch as it was.  What is hidden changes
 * with the set of delete requests, and a set that comes again gives no state of before: who asked
 * for that may have read while there was another.  Records in memory come and go without a mark,
 * and retention by stream hides from one moment to the next: such spans have no state.
 */
#include "base/hash.h"
#include "storage/hide.h"
#include "storage/scan_internal.h"

#include <stdlib.h>

static bool day_overlaps(int32_t day, const struct scan_span *span)
{
    ts_ns start = time_of_day(day);

    return start < span->to && (start > INT64_MAX - NS_PER_DAY || start + NS_PER_DAY > span->from);
}

static void mix(struct scan_span *span, uint64_t tenant, uint64_t what, uint64_t state)
{
    const uint64_t v[] = {span->state, tenant, what, state};

    span->state = hash_bytes(v, sizeof(v), 0) | 1; /* never 0 */
}

static bool has_state(const struct store_view *v, const struct scan_span *span)
{
    if (v->is_partial || hide_may_expire(v->hide, span->from, v->now))
        return false;
    for (size_t i = 0; i < v->n_batch; i++)
        if (v->batch[i]->max_ts >= span->from && v->batch[i]->min_ts < span->to)
            return false;
    return true;
}

/* The spans that a day is part of. */
struct spans_of_day {
    struct scan_span *v;
    size_t n;
    uint64_t tenant;
    int32_t day;
};

static int mix_segment(void *arg, const struct catalog_segment *s, struct err *err)
{
    const struct spans_of_day *d = arg;
    uint64_t id = hash_bytes(s->uuid, sizeof(s->uuid), 0);

    (void)err;
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].state != 0 && s->min_ts < d->v[i].to && s->max_ts >= d->v[i].from)
            mix(&d->v[i], d->tenant, (uint64_t)d->day, id);
    return 0;
}

static int mix_segments(void *arg, struct catalog *c, struct err *err)
{
    const struct spans_of_day *d = arg;
    struct catalog_range range = {.visible = INT64_MAX, .from = INT64_MAX, .to = INT64_MIN};

    for (size_t i = 0; i < d->n; i++) {
        if (d->v[i].state == 0 || !day_overlaps(d->day, &d->v[i]))
            continue;
        range.from = d->v[i].from < range.from ? d->v[i].from : range.from;
        range.to = d->v[i].to > range.to ? d->v[i].to : range.to;
    }
    return range.from >= range.to ? 0 : catalog_segments(c, &range, mix_segment, arg, err);
}

/* A day that cannot be read gives its spans no state; scans will speak of it. */
static void mix_day(const struct store_view *v, int32_t day, struct scan_span *spans, size_t n)
{
    struct spans_of_day d = {spans, n, v->tenant_id, day};
    struct partition *p = NULL;
    struct err ignored;
    int r = partition_cache_get(v->partitions, v->tenant_id, day, false, &p, &ignored);

    if (r == 0)
        r = partition_read(p, mix_segments, &d, &ignored);
    partition_unref(&p);
    for (size_t i = 0; r < 0 && i < n; i++)
        if (day_overlaps(day, &spans[i]))
            spans[i].state = 0;
}

static void mix_view(const struct store_view *v, struct scan_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (spans[i].state != 0 && has_state(v, &spans[i]))
            mix(&spans[i], v->tenant_id, 0, v->hide_renewed);
        else
            spans[i].state = 0;
    }
    for (size_t day = 0; day < v->n_day; day++)
        mix_day(v, v->day[day], spans, n);
}

void scan_spans_views(struct store_view *views, size_t n_views, struct scan_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        spans[i].state = 1;
    for (size_t i = 0; i < n_views; i++) {
        mix_view(&views[i], spans, n);
        view_release(&views[i]);
    }
}
