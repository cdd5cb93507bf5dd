/*
 * storage/store_erase.c - the bytes of what was deleted go.  Contract: store_internal.h.
 *
 * A request hides at once and can be taken back for a while.  Then the segments that it may touch
 * are due: compaction writes them anew without what it names (compact.h).  When none is left that
 * is due, nothing of it is on the disk any more, and it is processed.
 *
 * Invariants
 *   (1) a request is STORE_DELETE_STARTED in memory, where compaction looks, before the first
 *       segment is marked, and in meta.db when every one that it may touch has been: a crash
 *       between marks them again;
 *   (2) it is started only when memory holds no record of it: what is in memory becomes a segment
 *       that nobody marked;
 *   (3) it is processed only when no catalog, nor meta.db, has labels of streams that went with it.
 */
#include "base/map.h"
#include "base/obj.h"
#include "storage/catalog_index.h"
#include "storage/compact.h"
#include "storage/frame_cache.h"
#include "storage/partition_cache.h"
#include "storage/store_internal.h"
#include "storage/tombstone.h"

#include <stdlib.h>
#include <string.h>

/* A day that a request reaches into. */
struct days {
    VEC(int32_t) v;
};

static void find_days(struct store *s, const struct tombstone *t, struct days *ret)
{
    const struct meta_partition *p;

    ret->v.n = 0;
    (void)pthread_mutex_lock(&s->mutex);
    VEC_EACH(&s->days, p) {
        if (p->tenant_id == tombstone_tenant(t) && p->state == META_LIVE &&
            p->max_ts >= tombstone_from(t) && p->min_ts < tombstone_to(t))
            VEC_PUSH(&ret->v, p->day);
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

/* keeps (2) */
static bool is_in_memory(struct store *s, const struct tombstone *t)
{
    uint64_t tenant_id = tombstone_tenant(t);
    struct head_item *items;
    bool found;
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mutex);
    found = s->replaying;
    items = store_head_take(s, &tenant_id, UINT64_MAX, &n);
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < n; i++) {
        const struct batch *b = items[i].batch;
        found = found || (b->n_records > 0 && b->records[0].seq <= tombstone_seq(t));
    }
    head_release(&items, n);
    return found;
}

static void set_state(struct store *s, struct tombstone *t, enum store_delete_state state)
{
    (void)pthread_mutex_lock(&s->mutex);
    tombstone_set_state(t, state);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* Compaction spares a held stream of a day as a whole, so one that has any hold counts.  1: it
 * is. */
static int is_held(struct store *s, const struct tombstone *t, struct err *err)
{
    struct days days = {{0}};
    int r = 0;

    find_days(s, t, &days);
    for (size_t i = 0; r == 0 && i < days.v.n; i++) {
        r = store_hold_on_day(s, tombstone_tenant(t), days.v.p[i], t, err);
        if (r == ERR_GONE) /* retention was faster */
            r = 0;
    }
    VEC_FINI(&days.v);
    return r;
}

/* Every segment that it may touch is due. */
static int mark(struct store *s, struct tombstone *t, struct err *err)
{
    uint64_t renewed = partition_cache_renewed(s->partitions);
    struct days days = {{0}};
    int r = 0;

    find_days(s, t, &days);
    (void)pthread_mutex_lock(&s->flush_mutex); /* no exchange of segments meanwhile */
    for (size_t i = 0; r == 0 && i < days.v.n; i++) {
        r = compact_due(s->compact, tombstone_tenant(t), days.v.p[i], tombstone_from(t),
                        tombstone_to(t) - 1, err);
        if (r == ERR_GONE) /* retention was faster */
            r = 0;
    }
    if (r == 0)
        tombstone_set_marked(t, renewed);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    VEC_FINI(&days.v);
    return r;
}

static int start(struct store *s, struct tombstone *t, struct err *err)
{
    int r = is_in_memory(s, t) ? 1 : is_held(s, t, err);

    if (r != 0) /* the next run looks again; it hides until then */
        return r < 0 ? r : 0;
    set_state(s, t, STORE_DELETE_STARTED); /* keeps (1) */
    r = mark(s, t, err);
    if (r == 0)
        r = store_delete_state(s, t, STORE_DELETE_STARTED, err); /* keeps (1) */
    if (r < 0)
        set_state(s, t, STORE_DELETE_RECEIVED); /* all of it is tried again */
    return r;
}

struct look {
    const struct tombstone *t;
    bool left;
};

/* One that cannot be read stays what it is, and the request goes on hiding what is in it. */
static int look_at_row(void *arg, const struct catalog_row *row, struct err *err)
{
    struct look *l = arg;

    (void)err;
    if (row->class == SEGMENT_ORDINARY && row->todo != CATALOG_NOTHING &&
        row->max_ts >= tombstone_from(l->t) && row->min_ts < tombstone_to(l->t))
        l->left = true;
    return l->left;
}

static int look_at_leaving(void *arg, const uint8_t uuid[SEGMENT_UUID], struct err *err)
{
    struct look *l = arg;

    (void)uuid;
    (void)err;
    l->left = true; /* a reader keeps it; without the catalog it would be taken in again */
    return 0;
}

static int look_at_day(void *arg, struct catalog *c, struct err *err)
{
    int r = catalog_rows(c, look_at_row, arg, err);

    return r < 0 ? r : catalog_leaving(c, look_at_leaving, arg, err);
}

static int sweep_day(void *arg, struct catalog *c, struct err *err)
{
    return catalog_streams_sweep(c, arg, err);
}

/* Compaction did so, too, unless a crash or a full disk came between: keeps (3).  And who was
 * reading then may have brought back into memory what was read of the old segments. */
static int clean_day(struct store *s, struct partition *p, struct err *err)
{
    const struct frame_owner owner = {partition_tenant(p), partition_day(p)};
    size_t gone = 0;
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex); /* a flush brings labels, too */
    r = partition_read(p, sweep_day, &gone, err);
    frame_cache_drop(s->frames, &owner); /* behind it: a reader may keep labels until then */
    if (r == 0)
        r = store_erase_labels(s, p, err);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

/* fn is look_at_day with `arg`; NULL: clean_day. */
static int each_day(struct store *s, const struct tombstone *t, partition_read_fn *fn, void *arg,
                    struct err *err)
{
    struct days days = {{0}};
    int r = 0;

    find_days(s, t, &days);
    for (size_t i = 0; r == 0 && i < days.v.n; i++) {
        struct partition *p = NULL;
        r = partition_cache_get(s->partitions, tombstone_tenant(t), days.v.p[i], false, &p, err);
        if (r == 0)
            r = fn != NULL ? partition_read(p, fn, arg, err) : clean_day(s, p, err);
        partition_unref(&p);
        if (r == ERR_GONE) /* retention was faster */
            r = 0;
    }
    VEC_FINI(&days.v);
    return r;
}

static int finish(struct store *s, struct tombstone *t, struct err *err)
{
    struct look look = {.t = t, .left = is_in_memory(s, t)};
    int r = is_held(s, t, err);

    if (r != 0) /* compaction takes its marks off: who releases the hold says so */
        return r < 0 ? r : 0;
    /* A catalog that was lost has lost its marks, perhaps in the life before: once more. */
    if (tombstone_marked(t) != partition_cache_renewed(s->partitions))
        return mark(s, t, err);
    if (!look.left)
        r = each_day(s, t, look_at_day, &look, err);
    if (r == 0 && !look.left)
        r = is_held(s, t, err); /* a hold came meanwhile? */
    if (r != 0 || look.left || tombstone_marked(t) != partition_cache_renewed(s->partitions))
        return r < 0 ? r : 0;
    r = each_day(s, t, NULL, NULL, err);
    return r == 0 ? store_delete_state(s, t, STORE_DELETE_PROCESSED, err) : r;
}

/* References on the requests that are not done: malloc'ed. */
static struct tombstone **take_open(struct store *s, size_t *ret_n)
{
    struct tombstone **all;
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mutex);
    all = mem_new(s->tombstones.n * sizeof(*all) + 1);
    for (size_t i = 0; i < s->tombstones.n; i++)
        if (tombstone_state(s->tombstones.p[i]) != STORE_DELETE_PROCESSED)
            all[n++] = tombstone_ref(s->tombstones.p[i]);
    (void)pthread_mutex_unlock(&s->mutex);
    *ret_n = n;
    return all;
}

static int run_one(struct store *s, struct tombstone *t, ts_ns now, struct err *err)
{
    struct store_delete d;

    tombstone_describe(t, &d);
    if (d.state == STORE_DELETE_RECEIVED && now - d.created >= STORE_DELETE_GRACE)
        return start(s, t, err);
    return d.state == STORE_DELETE_STARTED ? finish(s, t, err) : 0;
}

int store_erase_run(struct store *s, ts_ns now, struct err *err)
{
    struct tombstone **open;
    size_t n = 0;
    int ret = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    open = take_open(s, &n);
    for (size_t i = 0; i < n; i++) { /* one that fails is tried again; the others go on */
        struct err why;
        if (run_one(s, open[i], now, &why) < 0 && ret == 0) {
            *err = why;
            ret = why.code;
        }
        tombstone_unref(&open[i]);
    }
    free((void *)open);
    return ret;
}

/* ---- labels ---- */

int store_erase_labels(struct store *s, struct partition *p, struct err *err)
{
    struct meta_labels l = {.tenant_id = partition_tenant(p), .day = partition_day(p)};
    uint32_t end = 0;
    struct buf sealed;
    int r;

    buf_init(&sealed, 1 << 20);
    r = partition_summary(p, 0, &end, &sealed, err);
    l.sealed = buf_str(&sealed);
    if (r == 0)
        r = meta_labels_put(s->meta, &l, err);
    buf_fini(&sealed);
    return r;
}
