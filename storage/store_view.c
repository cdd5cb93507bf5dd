/*
 * storage/store_view.c - one tenant at one instant, for scans.  Contract: view.h.
 *
 * What is in memory, days and the position up to which segments are visible are taken under one
 * mutex, the same that a flush takes to exchange them: each record is in exactly one of them.
 */
#include "storage/view.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/hide.h"
#include "storage/store_internal.h"

#include <stdlib.h>
#include <string.h>

static void take_batches(struct store *s, ts_ns from, ts_ns to, struct store_view *v)
{
    struct head_item *items;
    size_t n;
    size_t kept = 0;

    items = store_head_take(s, &v->tenant_id, UINT64_MAX, &n);
    if (n == 0)
        return;
    v->batch = mem_new(n * sizeof(*v->batch));
    for (size_t i = 0; i < n; i++) {
        struct batch *b = items[i].batch;
        if (b->max_ts < from || b->min_ts >= to)
            batch_unref(&b); /* the head has one too: this frees nothing */
        else
            v->batch[kept++] = b;
    }
    v->n_batch = kept;
    free(items);
}

static void take_days(struct store *s, ts_ns from, ts_ns to, struct store_view *v)
{
    bool found;
    size_t first = store_tenant_day(s, v->tenant_id, INT32_MIN, &found);
    size_t end = first;

    while (end < s->days.n && s->days.p[end].tenant_id == v->tenant_id)
        end++;
    if (end == first)
        return;
    v->day = mem_new((end - first) * sizeof(*v->day));
    for (size_t i = first; i < end; i++) {
        const struct meta_partition *p = &s->days.p[i];
        if (p->state == META_LIVE && p->max_ts >= from && p->min_ts < to)
            v->day[v->n_day++] = p->day;
    }
}

/* The days of the view of which records wait. */
static void take_late(struct store *s, struct store_view *v)
{
    if (s->late.days.n == 0 || v->n_day == 0)
        return;
    v->late = mem_new(v->n_day * sizeof(*v->late));
    for (size_t i = 0; i < v->n_day; i++) {
        uint64_t visible = late_visible(&s->late, v->tenant_id, v->day[i], v->visible);
        if (visible < v->visible)
            v->late[v->n_late++] = (struct view_late){v->day[i], visible};
    }
}

int store_view_take(struct store *s, struct str tenant, ts_ns from, ts_ns to,
                    struct store_view *ret, struct err *err)
{
    const struct store_tenant *t;
    uint64_t least;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)err; /* the arrays are bounded by the head and by retention */
    memset(ret, 0, sizeof(*ret));
    ret->partitions = s->partitions;
    ret->frames = s->frames;
    ret->pool = s->pool;
    ret->now = store_clock_now(s);
    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    ret->visible = least = s->visible;
    if (t != NULL) {
        ret->tenant_id = t->id;
        ret->hide = hide_ref(t->hide);
        ret->hide_renewed = t->hide_renewed;
        take_batches(s, from, to, ret);
        take_days(s, from, to, ret);
        take_late(s, ret);
        least = late_least(&s->late, t->id, least);
    }
    /* What one of its days sees must not be put together with what it does not see. */
    ret->pin = partition_cache_pin(s->partitions, ret->tenant_id, least);
    ret->is_pinned = true;
    ret->is_partial = s->replaying;
    (void)pthread_mutex_unlock(&s->mutex);
    if (ret->is_partial)
        store_refill_text(s, ret->partial_text, sizeof(ret->partial_text));
    return 0;
}
