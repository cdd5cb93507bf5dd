/* storage/partition.c - writing to a partition, and what a scan asks of it.  Contract: partition.h.
 */
#include "storage/partition.h"

#include "base/fault.h"
#include "base/obj.h"
#include "storage/catalog.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"

#include <errno.h>

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

/* ---- writing ---- */

static int insert(void *arg, struct catalog *c, struct err *err)
{
    return catalog_insert(c, arg, err);
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

static int catalog_segment(struct partition *p, struct segment_info *info, struct err *err)
{
    int r;

    if (fault_hit("segment.published")) {
        errno = EIO;
        r = err_sys(err, "take a segment into the catalog");
        remove_segment(p, info);
        return r;
    }
    r = partition_read(p, insert, info, err);
    /* Behind a failed write or fsync the commit may come back to life after a crash, and then it
     * must not name a file that is gone: the next opening finds what to do with it. */
    if (r < 0 && (r != ERR_IO || err->sys == ENOSPC))
        remove_segment(p, info);
    return r;
}

static int write_rows(struct partition *p, struct segment_row *rows, size_t n, uint64_t wal_from,
                      struct partition_written *ret, struct err *err)
{
    struct segment_options opt = {.tenant_id = p->tenant_id,
                                  .day = p->day,
                                  .key = p->key,
                                  .wal_from = wal_from,
                                  .wal_to = ret->wal_to};
    struct segment_info *info = NULL;
    int r = segment_writer_write(p->objects, &opt, rows, n, &info, err);

    if (r == 0)
        r = catalog_segment(p, info, err);
    if (r == 0) {
        ret->rows = info->rows;
        ret->line_bytes = info->line_bytes;
        ret->raw_bytes = info->raw_bytes;
        ret->stored_bytes = info->file_bytes;
        ret->segments = 1;
        ret->min_ts = info->min_ts;
        ret->max_ts = info->max_ts;
        ret->newest_received = info->max_received;
    }
    segment_info_free(&info);
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
