/*
 * storage/partition.h - one tenant's one day: a directory with its catalog, its key and its
 * segments.
 *
 * Position rule.  Every row of the partition that lies in the WAL at or before `applied` is in a
 * catalogued segment, exactly once; none behind it is.  A segment states the span (wal_from,
 * wal_to] that it covers, and the catalog row, its blocks, its streams and the new `applied` are
 * one transaction.  Hence
 *   - after a crash, replay skips for this partition what is at or before `applied`;
 *   - a segment file that the catalog does not know is taken in when its span starts at or behind
 * `applied` and all classes of the span are there, and removed when it does not (its rows are in
 * others): that is also how a lost catalog is made again;
 *   - a reader that was told "visible up to P" sees exactly the segments with wal_to <= P, whenever
 * it comes: flushing is "write, commit, and later, in one step, move P and drop the head's
 * batches".
 *
 * Compaction replaces segments by others of the same span; who began to read before goes on with
 * the old ones, whose files go when the last view from before is released (partition_cache.h,
 * pins).
 *
 * Thread-safe.  A partition is counted; it comes from partition_cache.h, which bounds how many are
 * open.
 */
#ifndef LOGQ_STORAGE_PARTITION_H
#define LOGQ_STORAGE_PARTITION_H

#include "storage/segment.h"

struct catalog;
struct keyring;
struct objstore;
struct partition;
struct partition_cache;

void partition_unref(struct partition **pp);

uint64_t partition_tenant(const struct partition *p);
int32_t partition_day(const struct partition *p);

/* The WAL position up to which rows are in segments; 0 in a new partition.  ERR_IO, ERR_CORRUPT. */
int partition_applied(struct partition *p, uint64_t *ret, struct err *err);

/* What a write added, for meta.db's row of the partition. */
struct partition_written {
    uint64_t rows, line_bytes, raw_bytes, stored_bytes, segments;
    ts_ns min_ts, max_ts; /* inclusive */
    ts_ns newest_received;
    uint64_t wal_to;
};

/*
 * Write `n` rows (all of this day, none at or before partition_applied; ascending seq; reordered
 * here) as one segment for each class that they have and commit them to the catalog with `wal_to`
 * as the new applied position.  With n == 0 only the position moves.  Blocking; one writer at a
 * time.  ERR_INVALID when wal_to does not pass the applied position; ERR_IO (sys ENOSPC: disk
 * full): nothing happened, try again; ERR_LIMIT, ERR_CORRUPT.  Fault points: "segment.published"
 * (file there, catalog not yet), "catalog.commit", "partition.committed".
 */
int partition_write(struct partition *p, struct segment_row *rows, size_t n, uint64_t wal_to,
                    struct partition_written *ret, struct err *err);

/* Whether that encodes blocks on several threads: see segment_options of these names (NULL: it does
 * not).  Both are borrowed, for the next partition_write alone; the writer's thread. */
void partition_help(struct partition *p, struct scan_pool *pool, struct mem_budget *budget);

/*
 * `info` (published in partition_objects; NULL: no row was left) takes the place of the `n`
 * segments with these uuids, which go when nobody reads them any more.  Blocking; not while another
 * writes.  ERR_GONE: one of them is not catalogued any more.  After a failure the new file is
 * removed, as partition_write does.  Fault points: "compact.published", "catalog.commit",
 * "compact.committed".
 */
int partition_replace(struct partition *p, const uint8_t *uuids, size_t n,
                      const struct segment_info *info, struct err *err);

/* Sum over all catalogued segments (segments == 0: the rest is meaningless), for meta.db after a
 * catalog was made again. */
int partition_totals(struct partition *p, struct partition_written *ret, struct err *err);

/* Append its labels in short, sealed, for meta.db (catalog_summary.h), unless the end of its stream
 * ids is still `known` (0: not known); sets *end.  Nothing is appended also when they are too many.
 */
int partition_summary(struct partition *p, uint32_t known, uint32_t *end, struct buf *ret,
                      struct err *err);

/*
 * The catalog turned out to be damaged while it was open (`why`): set it aside as
 * catalog.db.damaged-<unix seconds> and make it again from the segments.  Nothing is lost by it.
 * For the writer.  ERR_IO, ERR_CORRUPT: it could not be done, the partition is as unusable as it
 * was.
 */
int partition_rebuild(struct partition *p, const struct err *why, struct err *err);

/* ---- for scans ---- */

/* Call fn with the catalog; it is nobody else's meanwhile, so be quick.  What fn returns is
 * returned. */
typedef int partition_read_fn(void *arg, struct catalog *c, struct err *err);
int partition_read(struct partition *p, partition_read_fn *fn, void *arg, struct err *err);

struct objstore *partition_objects(const struct partition *p); /* lives as long as the reference */
const uint8_t *partition_key(const struct partition *p);       /* CRYPT_KEY bytes; as above */
bool partition_is_dropped(
    const struct partition *p);                  /* by retention: what is missing is no damage */
void partition_note_damage(struct partition *p); /* counts */

/* How many segments lie there that no catalog can take in, and what is wrong with the first. */
uint64_t partition_unreadable(const struct partition *p, const char **text);

#endif
