/*
 * storage/catalog_replace.c - segments that take the place of others, and what compaction notes
 * about them.  Contract: catalog.h.
 *
 * A replaced segment's row and blocks go in the transaction that brings the new one; what is kept
 * of it (table `replaced`) is what a proof of the exchange needs, and that its file has to go, once
 * nobody reads it any more.
 */
#include "base/obj.h"
#include "storage/catalog.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"

#include <string.h>

static int run_for(struct catalog *c, const char *sql, const uint8_t *uuid, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, sql, &st, err);

    if (r < 0)
        return r;
    db_bind_blob(st, 1, uuid, SEGMENT_UUID);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

static int keep_record(struct catalog *c, const uint8_t *uuid, const struct segment_info *info,
                       struct err *err)
{
    static const struct segment_info nothing;
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db,
                       "INSERT INTO replaced(uuid, class, root, rows, new_uuid, new_root, new_rows,"
                       " leaving) SELECT uuid, class, root, rows, ?, ?, ?, 1 FROM segments"
                       " WHERE uuid = ?",
                       &st, err);

    if (r < 0)
        return r;
    if (info == NULL)
        info = &nothing;
    db_bind_blob(st, 1, info->uuid, SEGMENT_UUID);
    db_bind_blob(st, 2, info->root.b, MERKLE_HASH);
    db_bind_u64(st, 3, info->rows);
    db_bind_blob(st, 4, uuid, SEGMENT_UUID);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

static int replace_one(struct catalog *c, const uint8_t *uuid, const struct segment_info *info,
                       struct err *err)
{
    bool found = false;
    int r = catalog_has(c, uuid, &found, err);

    if (r == 0 && !found)
        r = err_set(err, ERR_GONE, "a segment to be replaced is not in the catalog");
    if (r == 0)
        r = keep_record(c, uuid, info, err);
    if (r == 0)
        r = run_for(c,
                    "DELETE FROM blocks WHERE segment = (SELECT id FROM segments WHERE uuid = ?)",
                    uuid, err);
    if (r == 0)
        r = run_for(c, "DELETE FROM segments WHERE uuid = ?", uuid, err);
    return r;
}

static int is_due(struct catalog *c, const uint8_t *uuid, bool *due, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, "SELECT 1 FROM segments WHERE uuid = ? AND todo = 1", &st, err);

    if (r < 0)
        return r;
    db_bind_blob(st, 1, uuid, SEGMENT_UUID);
    r = db_step(c->db, st, err);
    if (r == 0) {
        *due = true;
        db_reset(st);
    }
    return r < 0 ? r : 0;
}

int catalog_replace(struct catalog *c, const uint8_t *uuids, size_t n,
                    const struct segment_info *info, struct err *err)
{
    uint64_t applied = 0;
    bool due = false;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = catalog_applied(c, &applied, err);
    if (r == 0)
        r = catalog_begin(c, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = is_due(c, uuids + i * SEGMENT_UUID, &due, err);
        if (r == 0)
            r = replace_one(c, uuids + i * SEGMENT_UUID, info, err);
    }
    if (r == 0 && info != NULL)
        r = catalog_add(c, info, err);
    if (r == 0 && info != NULL && due)
        r = run_for(c, "UPDATE segments SET todo = 1 WHERE uuid = ?", info->uuid, err);
    return catalog_end(c, r, applied, err);
}

int catalog_leaving(struct catalog *c, catalog_uuid_fn *fn, void *arg, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db, "SELECT uuid FROM replaced WHERE leaving = 1", &st, err);
    if (r < 0)
        return r;
    while (r == 0) {
        struct str uuid;
        r = db_step(c->db, st, err);
        if (r != 0)
            return r == 1 ? 0 : r;
        uuid = db_column_str(st, 0);
        r = uuid.n == SEGMENT_UUID ? fn(arg, (const uint8_t *)uuid.p, err)
                                   : err_set(err, ERR_CORRUPT, "catalog: uuid of a segment");
    }
    db_reset(st);
    return r;
}

int catalog_left(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return run_for(c, "UPDATE replaced SET leaving = 0 WHERE uuid = ?", uuid, err);
}

int catalog_mark_alone(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return run_for(c, "UPDATE segments SET todo = 2 WHERE uuid = ?", uuid, err);
}

int catalog_not_due(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return run_for(c, "UPDATE segments SET todo = 0 WHERE uuid = ? AND todo = 1", uuid, err);
}

int catalog_mark_due(struct catalog *c, ts_ns from, ts_ns to, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "UPDATE segments SET todo = 1"
                   " WHERE class = 1 AND todo = 0 AND max_ts >= ? AND min_ts <= ?",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, (uint64_t)from);
    db_bind_u64(st, 2, (uint64_t)to);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

/* ---- rows ---- */

static int get_row(struct sqlite3_stmt *st, struct catalog_row *ret, struct err *err)
{
    struct str uuid = db_column_str(st, 0);
    uint64_t class = db_column_u64(st, 1);
    uint64_t todo = db_column_u64(st, 2);

    if (uuid.n != SEGMENT_UUID || (class != SEGMENT_ORDINARY && class != SEGMENT_STRICT) ||
        todo > CATALOG_ALONE)
        return err_set(err, ERR_CORRUPT, "catalog: row of a segment");
    *ret = (struct catalog_row){
        .class = class == SEGMENT_STRICT ? SEGMENT_STRICT : SEGMENT_ORDINARY,
        .todo = (enum catalog_todo)todo,
        .level = (uint32_t)db_column_u64(st, 3),
        .wal_from = db_column_u64(st, 4),
        .wal_to = db_column_u64(st, 5),
        .rows = db_column_u64(st, 6),
        .raw_bytes = db_column_u64(st, 7),
        .stored_bytes = db_column_u64(st, 8),
        .min_ts = (ts_ns)db_column_u64(st, 9),
        .max_ts = (ts_ns)db_column_u64(st, 10),
        .min_received = (ts_ns)db_column_u64(st, 11),
        .max_received = (ts_ns)db_column_u64(st, 12),
        .n_blocks = (uint32_t)db_column_u64(st, 13),
        .n_streams = (uint32_t)(db_column_u64(st, 14) / 4),
    };
    memcpy(ret->uuid, uuid.p, SEGMENT_UUID);
    return 0;
}

int catalog_rows(struct catalog *c, catalog_row_fn *fn, void *arg, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = db_prepare(c->db,
                   "SELECT uuid, class, todo, level, wal_from, wal_to, rows, raw_bytes,"
                   " stored_bytes, min_ts, max_ts, min_received, max_received, blocks,"
                   " length(streams) FROM segments ORDER BY class, wal_from, id",
                   &st, err);
    while (r == 0) {
        struct catalog_row row;
        r = db_step(c->db, st, err);
        if (r != 0)
            return r == 1 ? 0 : r;
        r = get_row(st, &row, err);
        if (r == 0)
            r = fn(arg, &row, err);
    }
    if (st != NULL)
        db_reset(st);
    return r;
}
