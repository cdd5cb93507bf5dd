/*
 * storage/scan_spans.c - has anything changed that a scan could see?  Contract: scan.h, scan_spans.
 *
 * What lies in partitions changes with a commit of their catalogs, what is hidden with the set of
 * delete requests.  Records in memory come and go without a mark, and retention by stream hides
 * from one moment to the next: such spans have no state.
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

/* 0: it cannot be read, of which scans will speak. */
static uint64_t generation_of(const struct store_view *v, int32_t day)
{
    struct partition *p = NULL;
    struct err ignored;
    uint64_t ret;

    if (partition_cache_get(v->partitions, v->tenant_id, day, false, &p, &ignored) < 0)
        return 0;
    ret = partition_generation(p);
    partition_unref(&p);
    return ret;
}

static void mix_day(const struct store_view *v, int32_t day, struct scan_span *spans, size_t n)
{
    uint64_t generation = 0;

    for (size_t i = 0; i < n; i++) {
        if (spans[i].state == 0 || !day_overlaps(day, &spans[i]))
            continue;
        if (generation == 0)
            generation = generation_of(v, day);
        if (generation != 0)
            mix(&spans[i], v->tenant_id, (uint64_t)day, generation);
        else
            spans[i].state = 0;
    }
}

static void mix_view(const struct store_view *v, struct scan_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (spans[i].state != 0 && has_state(v, &spans[i]))
            mix(&spans[i], v->tenant_id, 0, hide_serial(v->hide));
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
