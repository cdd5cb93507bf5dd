/*
 * storage/catalog_read.c - the reading half of a catalog.  Contract: catalog.h.
 *
 * What comes out of the file is checked as if it came from a stranger: SQLite's own checks say
 * nothing about our columns.  A walk that ends early resets its statement, so that no read
 * transaction stays open.
 */
#include "storage/catalog.h"

#include "base/obj.h"
#include "storage/block_header.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"

#include <sqlite3.h>

#include <string.h>

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "catalog: %s", what);
}

int catalog_applied(struct catalog *c, uint64_t *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db, "SELECT applied FROM partition", &st, err);
    if (r == 0)
        r = db_step(c->db, st, err);
    if (r != 0)
        return r == 1 ? corrupt("no applied position", err) : r;
    *ret = db_column_u64(st, 0);
    db_reset(st);
    return 0;
}

static int has_uuid(struct catalog *c, const char *sql, const uint8_t *uuid, bool *ret,
                    struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db, sql, &st, err);
    if (r < 0)
        return r;
    db_bind_blob(st, 1, uuid, SEGMENT_UUID);
    r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    *ret = r == 0;
    db_reset(st);
    return 0;
}

int catalog_has(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], bool *ret, struct err *err)
{
    return has_uuid(c, "SELECT 1 FROM segments WHERE uuid = ?", uuid, ret, err);
}

int catalog_is_leaving(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], bool *ret,
                       struct err *err)
{
    return has_uuid(c, "SELECT 1 FROM replaced WHERE uuid = ? AND leaving = 1", uuid, ret, err);
}

int catalog_covers(struct catalog *c, const struct catalog_span *span, bool *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "SELECT 1 FROM segments WHERE wal_from < ? AND wal_to > ? AND class = ? LIMIT 1",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, span->wal_to);
    db_bind_u64(st, 2, span->wal_from);
    db_bind_u64(st, 3, (uint64_t)span->class);
    r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    *ret = r == 0;
    db_reset(st);
    return 0;
}

int catalog_totals(struct catalog *c, struct catalog_totals *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "SELECT count(*), sum(rows), sum(line_bytes), sum(raw_bytes),"
                   " sum(stored_bytes), min(min_ts), max(max_ts), max(max_received) FROM segments",
                   &st, err);
    if (r == 0)
        r = db_step(c->db, st, err);
    if (r != 0)
        return r == 1 ? corrupt("no totals", err) : r;
    *ret = (struct catalog_totals){
        .segments = db_column_u64(st, 0),
        .rows = db_column_u64(st, 1),
        .line_bytes = db_column_u64(st, 2),
        .raw_bytes = db_column_u64(st, 3),
        .stored_bytes = db_column_u64(st, 4),
        .min_ts = (ts_ns)db_column_u64(st, 5),
        .max_ts = (ts_ns)db_column_u64(st, 6),
        .newest_received = (ts_ns)db_column_u64(st, 7),
    };
    db_reset(st);
    return 0;
}

int catalog_extent(struct catalog *c, struct catalog_extent *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db, "SELECT count(*), sum(blocks), sum(length(streams) / 4) FROM segments",
                   &st, err);
    if (r == 0)
        r = db_step(c->db, st, err);
    if (r != 0)
        return r == 1 ? corrupt("no extent", err) : r;
    *ret = (struct catalog_extent){
        .segments = db_column_u64(st, 0),
        .blocks = db_column_u64(st, 1),
        .streams = db_column_u64(st, 2),
    };
    db_reset(st);
    return 0;
}

/* ---- segments and blocks ---- */

static int get_segment(struct sqlite3_stmt *st, struct catalog_segment *s, struct err *err)
{
    struct str uuid = db_column_str(st, 1);
    struct str streams = db_column_str(st, 5);
    uint64_t blocks = db_column_u64(st, 4);

    if (uuid.n != SEGMENT_UUID || streams.n % 4 != 0 ||
        streams.n / 4 > (size_t)SEGMENT_STREAMS_MAX || blocks > UINT32_MAX)
        return corrupt("row of a segment", err);
    *s = (struct catalog_segment){
        .id = db_column_u64(st, 0),
        .min_ts = (ts_ns)db_column_u64(st, 2),
        .max_ts = (ts_ns)db_column_u64(st, 3),
        .max_received = (ts_ns)db_column_u64(st, 6),
        .min_seq = db_column_u64(st, 7),
        .max_seq = db_column_u64(st, 8),
        .wal_to = db_column_u64(st, 9),
        .n_blocks = (uint32_t)blocks,
        .n_streams = (uint32_t)(streams.n / 4),
        .streams = (const uint8_t *)streams.p,
    };
    memcpy(s->uuid, uuid.p, SEGMENT_UUID);
    return 0;
}

int catalog_segments(struct catalog *c, const struct catalog_range *range, catalog_segment_fn *fn,
                     void *arg, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "SELECT id, uuid, min_ts, max_ts, blocks, streams, max_received, min_seq,"
                   " max_seq, wal_to FROM segments"
                   " WHERE wal_to <= ? AND max_ts >= ? AND min_ts <= ?"
                   " ORDER BY min_ts, id",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, range->visible > INT64_MAX ? INT64_MAX : range->visible);
    db_bind_u64(st, 2, (uint64_t)range->from);
    db_bind_u64(st, 3, (uint64_t)range->to);
    while (r == 0) {
        struct catalog_segment s;
        r = db_step(c->db, st, err);
        if (r != 0)
            return r == 1 ? 0 : r;
        r = get_segment(st, &s, err);
        if (r == 0)
            r = fn(arg, &s, err);
    }
    db_reset(st);
    return r;
}

static int get_block(struct sqlite3_stmt *st, uint32_t *index, struct segment_block *b,
                     struct err *err)
{
    uint64_t idx = db_column_u64(st, 0);
    uint64_t rows = db_column_u64(st, 4);
    uint64_t frames = db_column_u64(st, 5);
    uint64_t first = db_column_u64(st, 6);
    uint64_t last = db_column_u64(st, 7);

    if (idx > UINT32_MAX || rows == 0 || rows > BLOCK_ROWS_MAX || frames > BLOCK_FRAMES_MAX ||
        last < first || last >= SEGMENT_STREAMS_MAX)
        return corrupt("row of a block", err);
    *index = (uint32_t)idx;
    *b = (struct segment_block){
        .offset = db_column_u64(st, 1),
        .stored_bytes = db_column_u64(st, 2),
        .raw_bytes = db_column_u64(st, 3),
        .rows = (uint32_t)rows,
        .frames = (uint32_t)frames,
        .first_stream = (uint32_t)first,
        .last_stream = (uint32_t)last,
        .min_ts = (ts_ns)db_column_u64(st, 8),
        .max_ts = (ts_ns)db_column_u64(st, 9),
    };
    return 0;
}

int catalog_blocks(struct catalog *c, uint64_t segment, const struct catalog_range *range,
                   catalog_block_fn *fn, void *arg, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "SELECT idx, offset, stored_bytes, raw_bytes, rows, frames, first_stream,"
                   " last_stream, min_ts, max_ts FROM blocks"
                   " WHERE segment = ? AND max_ts >= ? AND min_ts <= ? ORDER BY idx",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, segment);
    db_bind_u64(st, 2, (uint64_t)range->from);
    db_bind_u64(st, 3, (uint64_t)range->to);
    while (r == 0) {
        struct segment_block b;
        uint32_t index = 0;
        r = db_step(c->db, st, err);
        if (r != 0)
            return r == 1 ? 0 : r;
        r = get_block(st, &index, &b, err);
        if (r == 0)
            r = fn(arg, index, &b, err);
    }
    db_reset(st);
    return r;
}
