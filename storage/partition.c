/* storage/partition.c - writing to a partition, and what a scan asks of it.  Contract: partition.h.
 */
#include "storage/partition.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_index.h"
#include "storage/catalog_summary.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t partition_tenant(const struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    return p->tenant_id;
}

int32_t partition_day(const struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    return p->day;
}

struct objstore *partition_objects(const struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    return p->objects;
}

const uint8_t *partition_key(const struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    return p->key;
}

bool partition_is_dropped(const struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    return atomic_load(&p->dropped);
}

void partition_note_damage(struct partition *p)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    atomic_fetch_add(&p->cache->damaged, 1);
}

uint64_t partition_unreadable(const struct partition *p, const char **text)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    *text = p->unreadable_text;
    return p->unreadable;
}

int partition_read(struct partition *p, partition_read_fn *fn, void *arg, struct err *err)
{
    int r;

    OBJ_CHECK(p, PARTITION_MAGIC);
    (void)pthread_mutex_lock(&p->mutex);
    r = fn(arg, p->catalog, err);
    (void)pthread_mutex_unlock(&p->mutex);
    return r;
}

static int read_applied(void *arg, struct catalog *c, struct err *err)
{
    return catalog_applied(c, arg, err);
}

int partition_applied(struct partition *p, uint64_t *ret, struct err *err)
{
    return partition_read(p, read_applied, ret, err);
}

static int read_totals(void *arg, struct catalog *c, struct err *err)
{
    return catalog_totals(c, arg, err);
}

int partition_totals(struct partition *p, struct partition_written *ret, struct err *err)
{
    struct catalog_totals t;
    uint64_t applied = 0;
    int r = partition_read(p, read_totals, &t, err);

    if (r == 0)
        r = partition_read(p, read_applied, &applied, err);
    if (r < 0)
        return r;
    *ret = (struct partition_written){
        .rows = t.rows,
        .line_bytes = t.line_bytes,
        .raw_bytes = t.raw_bytes,
        .stored_bytes = t.stored_bytes,
        .segments = t.segments,
        .min_ts = t.min_ts,
        .max_ts = t.max_ts,
        .newest_received = t.newest_received,
        .wal_to = applied,
    };
    return 0;
}

struct summary {
    uint32_t known, *end;
    struct buf *ret;
};

static int read_summary(void *arg, struct catalog *c, struct err *err)
{
    struct summary *s = arg;
    int r = catalog_streams_end(c, s->end, err);

    return r < 0 || *s->end == s->known ? r : catalog_summary(c, s->ret, err);
}

int partition_summary(struct partition *p, uint32_t known, uint32_t *end, struct buf *ret,
                      struct err *err)
{
    struct summary s = {known, end, ret};

    return partition_read(p, read_summary, &s, err);
}

/* ---- writing ---- */

/* The segments of one span, at most one of each class. */
struct span {
    struct segment_info *info[2];
    size_t n;
    uint64_t wal_to;
};

static int insert(void *arg, struct catalog *c, struct err *err)
{
    const struct span *s = arg;

    return catalog_insert(c, s->info, s->n, s->wal_to, err);
}

static int advance(void *arg, struct catalog *c, struct err *err)
{
    return catalog_advance(c, *(const uint64_t *)arg, err);
}

struct lookup {
    const uint8_t *uuid;
    bool found;
};

static int look_up(void *arg, struct catalog *c, struct err *err)
{
    struct lookup *l = arg;

    return catalog_has(c, l->uuid, &l->found, err);
}

/* The commit failed: take the file away again, so that retries on a full disk do not fill it
 * further.  Only when the catalog says that it does not know the segment; else the next opening
 * sorts it out. */
static void remove_segment(struct partition *p, const struct segment_info *info)
{
    struct lookup l = {.uuid = info->uuid, .found = true};
    char name[SEGMENT_NAME_MAX];
    struct err ignored;

    if (partition_read(p, look_up, &l, &ignored) < 0 || l.found)
        return;
    segment_name(info->uuid, name);
    (void)objstore_delete(p->objects, name, &ignored); /* as above */
}

static void remove_span(struct partition *p, const struct span *s)
{
    for (size_t i = 0; i < s->n; i++)
        remove_segment(p, s->info[i]);
}

static int fail_at_published(struct err *err)
{
    if (!fault_hit("segment.published"))
        return 0;
    errno = EIO;
    return err_sys(err, "take a segment into the catalog");
}

static int catalog_span(struct partition *p, struct span *s, struct err *err)
{
    int r = partition_read(p, insert, s, err);

    /* Behind a failed write or fsync the commit may come back to life after a crash, and then it
     * must not name a file that is gone: the next opening finds what to do with it. */
    if (r < 0 && (r != ERR_IO || err->sys == ENOSPC))
        remove_span(p, s);
    return r;
}

/* The class of a row; streams of a batch are asked about once. */
struct classes {
    const struct batch *batch;
    uint8_t *class; /* of its streams; 0: not asked yet; owned */
};

static enum segment_class class_of(struct classes *k, const struct segment_row *row)
{
    uint32_t stream = row->batch->records[row->record].stream;

    if (k->batch != row->batch) { /* rows of one batch mostly stand together */
        free(k->class);
        k->class = mem_new(row->batch->n_streams + (size_t)1);
        k->batch = row->batch;
    }
    if (k->class[stream] == 0)
        k->class[stream] = (uint8_t)segment_class_of(&row->batch->streams[stream]);
    return k->class[stream] == SEGMENT_STRICT ? SEGMENT_STRICT : SEGMENT_ORDINARY;
}

/* Strict rows to the front, each part in the order it had; how many they are. */
static size_t part_classes(struct segment_row *rows, size_t n)
{
    struct segment_row *rest = mem_grow(NULL, n * sizeof(*rest));
    struct classes k = {0};
    size_t strict = 0;
    size_t n_rest = 0;

    for (size_t i = 0; i < n; i++) {
        if (class_of(&k, &rows[i]) == SEGMENT_STRICT)
            rows[strict++] = rows[i];
        else
            rest[n_rest++] = rows[i];
    }
    memcpy(rows + strict, rest, n_rest * sizeof(*rest));
    free(rest);
    free(k.class);
    return strict;
}

static int publish(struct partition *p, struct segment_options *opt, struct segment_row *rows,
                   size_t n, struct span *s, struct err *err)
{
    int r = segment_writer_write(p->objects, opt, rows, n, &s->info[s->n], err);

    s->n += r == 0;
    return r == 0 ? fail_at_published(err) : r;
}

static void add_up(struct partition_written *w, const struct segment_info *info)
{
    bool first = w->segments++ == 0;

    w->rows += info->rows;
    w->line_bytes += info->line_bytes;
    w->raw_bytes += info->raw_bytes;
    w->stored_bytes += info->file_bytes;
    w->min_ts = first || info->min_ts < w->min_ts ? info->min_ts : w->min_ts;
    w->max_ts = first || info->max_ts > w->max_ts ? info->max_ts : w->max_ts;
    if (first || info->max_received > w->newest_received)
        w->newest_received = info->max_received;
}

/* Two files and one commit: each says which classes the span has, so that one without the other is
 * known for what it is (docs/formats/catalog.md). */
static int write_rows(struct partition *p, struct segment_row *rows, size_t n, uint64_t wal_from,
                      struct partition_written *ret, struct err *err)
{
    struct segment_options opt = {.tenant_id = p->tenant_id,
                                  .day = p->day,
                                  .key = p->key,
                                  .wal_from = wal_from,
                                  .wal_to = ret->wal_to,
                                  .pool = p->pool,
                                  .budget = p->budget};
    struct span s = {.wal_to = ret->wal_to};
    size_t strict = part_classes(rows, n);
    int r = 0;

    partition_help(p, NULL, NULL);
    opt.span_classes =
        (strict > 0 ? (unsigned)SEGMENT_STRICT : 0) | (strict < n ? (unsigned)SEGMENT_ORDINARY : 0);
    if (strict > 0) {
        opt.class = SEGMENT_STRICT;
        r = publish(p, &opt, rows, strict, &s, err);
    }
    if (r == 0 && strict < n) {
        opt.class = SEGMENT_ORDINARY;
        r = publish(p, &opt, rows + strict, n - strict, &s, err);
    }
    if (r < 0)
        remove_span(p, &s);
    else
        r = catalog_span(p, &s, err);
    for (size_t i = 0; i < s.n; i++) {
        if (r == 0)
            add_up(ret, s.info[i]);
        segment_info_free(&s.info[i]);
    }
    return r;
}

/* A scan prunes whole days by the partition's name, so a row of another day would be lost to it. */
static bool all_of_day(const struct partition *p, const struct segment_row *rows, size_t n)
{
    ts_ns start = time_of_day(p->day);

    for (size_t i = 0; i < n; i++) {
        ts_ns ts = rows[i].batch->records[rows[i].record].ts;
        if (ts < start || (uint64_t)ts - (uint64_t)start >= (uint64_t)NS_PER_DAY)
            return false;
    }
    return true;
}

void partition_help(struct partition *p, struct scan_pool *pool, struct mem_budget *budget)
{
    OBJ_CHECK(p, PARTITION_MAGIC);
    p->pool = pool;
    p->budget = budget;
}

int partition_write(struct partition *p, struct segment_row *rows, size_t n, uint64_t wal_to,
                    struct partition_written *ret, struct err *err)
{
    struct partition_written w = {.wal_to = wal_to};
    uint64_t applied = 0;
    int r;

    r = partition_applied(p, &applied, err);
    if (r < 0)
        return r;
    if (wal_to <= applied || wal_to > INT64_MAX)
        return err_set(err, ERR_INVALID, "position %llu does not follow %llu",
                       (unsigned long long)wal_to, (unsigned long long)applied);
    if (!all_of_day(p, rows, n))
        return err_set(err, ERR_INVALID, "partition %08d: a row of another day", p->day);
    if (n > 0)
        r = write_rows(p, rows, n, applied, &w, err);
    else
        r = partition_read(p, advance, &wal_to, err);
    if (r < 0)
        return err_wrap(err, "partition %08d", p->day);
    (void)fault_hit("partition.committed"); /* only for ending the process here: it is done */
    *ret = w;
    return 0;
}

/* ---- replacing ---- */

struct replacement {
    const uint8_t *uuids;
    size_t n;
    const struct segment_info *info;
};

static int replace(void *arg, struct catalog *c, struct err *err)
{
    const struct replacement *rp = arg;

    return catalog_replace(c, rp->uuids, rp->n, rp->info, err);
}

int partition_replace(struct partition *p, const uint8_t *uuids, size_t n,
                      const struct segment_info *info, struct err *err)
{
    struct replacement rp = {uuids, n, info};
    int r = 0;

    if (fault_hit("compact.published")) {
        errno = EIO;
        r = err_sys(err, "replace segments in the catalog");
        if (info != NULL)
            remove_segment(p, info);
        return r;
    }
    r = partition_read(p, replace, &rp, err);
    if (r < 0 && info != NULL && (r != ERR_IO || err->sys == ENOSPC))
        remove_segment(p, info); /* else as with a flush: the next opening decides */
    if (r < 0)
        return err_wrap(err, "partition %08d", p->day);
    (void)fault_hit("compact.committed"); /* a place to be killed at */
    for (size_t i = 0; i < n; i++)
        partition_cache_retire(p->cache, p->tenant_id, p->day, uuids + i * SEGMENT_UUID);
    return 0;
}
