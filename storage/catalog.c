/*
 * storage/catalog.c - the writing half of a catalog, and what it asks of SQLite.  Contract:
 * catalog.h; the reading half is catalog_read.c.
 *
 * A segment's streams are one blob of ids and not a row each: with a segment a minute and hundreds
 * of streams, rows would outnumber everything else in the catalog by far.
 */
#include "storage/catalog.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_index.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"

#include <sqlite3.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { VERSION = 1 };

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS partition("
    " one INTEGER PRIMARY KEY CHECK (one = 1), tenant INTEGER NOT NULL, day INTEGER NOT NULL,"
    " applied INTEGER NOT NULL) STRICT;" CATALOG_INDEX_SCHEMA "CREATE TABLE IF NOT EXISTS segments("
    " id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE, class INTEGER NOT NULL,"
    " level INTEGER NOT NULL, todo INTEGER NOT NULL,"
    " wal_from INTEGER NOT NULL, wal_to INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, line_bytes INTEGER NOT NULL, raw_bytes INTEGER NOT NULL,"
    " stored_bytes INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL,"
    " min_received INTEGER NOT NULL, max_received INTEGER NOT NULL,"
    " min_seq INTEGER NOT NULL, max_seq INTEGER NOT NULL,"
    " root BLOB NOT NULL, footer INTEGER NOT NULL, blocks INTEGER NOT NULL,"
    " streams BLOB NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS blocks("
    " segment INTEGER NOT NULL REFERENCES segments(id), idx INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, raw_bytes INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, frames INTEGER NOT NULL, first_stream INTEGER NOT NULL,"
    " last_stream INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL,"
    " PRIMARY KEY (segment, idx)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS replaced("
    " uuid BLOB PRIMARY KEY, class INTEGER NOT NULL, root BLOB NOT NULL, rows INTEGER NOT NULL,"
    " new_uuid BLOB NOT NULL, new_root BLOB NOT NULL, new_rows INTEGER NOT NULL,"
    " leaving INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

static _Atomic uint64_t last_generation;

static uint64_t next_generation(void)
{
    return atomic_fetch_add(&last_generation, 1) + 1;
}

/* One key for labels, one for their hashes, both from the partition's, which itself only wraps. */
static void derive(const uint8_t key[CRYPT_KEY], struct str purpose, uint8_t ret[CRYPT_KEY])
{
    const struct str pieces[] = {{(const char *)key, CRYPT_KEY}, purpose};

    crypt_sha256(pieces, 2, ret);
}

void catalog_labels_key(const uint8_t key[CRYPT_KEY], uint8_t ret[CRYPT_KEY])
{
    derive(key, STR("logq catalog labels"), ret);
}

static int check_partition(struct catalog *c, uint64_t tenant_id, int32_t day, struct err *err)
{
    struct sqlite3_stmt *st;
    uint64_t tenant;
    uint64_t found;
    int r = db_prepare(c->db,
                       "INSERT OR IGNORE INTO partition(one, tenant, day, applied) "
                       "VALUES (1, ?, ?, 0)",
                       &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, tenant_id);
    db_bind_u64(st, 2, (uint64_t)day);
    r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    r = db_prepare(c->db, "SELECT tenant, day FROM partition", &st, err);
    if (r == 0)
        r = db_step(c->db, st, err);
    if (r != 0)
        return r == 1 ? err_set(err, ERR_CORRUPT, "catalog names no partition") : r;
    tenant = db_column_u64(st, 0);
    found = db_column_u64(st, 1);
    db_reset(st);
    if (tenant != tenant_id || found != (uint64_t)day)
        return err_set(err, ERR_CORRUPT, "catalog is that of another partition");
    return 0;
}

static void take_key(struct catalog *c, const uint8_t key[CRYPT_KEY])
{
    uint8_t labels_key[CRYPT_KEY];

    catalog_labels_key(key, labels_key);
    derive(key, STR("logq catalog hashes"), c->hash_key);
    c->labels = crypt_new(labels_key);
    crypt_wipe(labels_key, sizeof(labels_key));
}

int catalog_open_reader(const char *path, bool still, const uint8_t *key, struct catalog **ret,
                        struct err *err)
{
    struct catalog *c = mem_new(sizeof(*c));
    int r;

    c->magic = CATALOG_MAGIC;
    c->generation = c->streams_state = next_generation();
    if (key != NULL)
        take_key(c, key);
    r = db_open_reader(path, still, VERSION, &c->db, err);
    if (r < 0)
        catalog_close(&c);
    else
        *ret = c;
    return r;
}

int catalog_open(const char *path, uint64_t tenant_id, int32_t day, const uint8_t key[CRYPT_KEY],
                 struct catalog **ret, struct err *err)
{
    struct catalog *c = mem_new(sizeof(*c));
    int r;

    c->magic = CATALOG_MAGIC;
    c->generation = c->streams_state = next_generation();
    take_key(c, key);
    r = db_open(path, SCHEMA, VERSION, &c->db, err);
    if (r == 0)
        r = check_partition(c, tenant_id, day, err);
    if (r < 0)
        catalog_close(&c);
    else
        *ret = c;
    return r;
}

void catalog_close(struct catalog **pc)
{
    struct catalog *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CATALOG_MAGIC);
    db_close(&c->db);
    crypt_free(&c->labels);
    crypt_wipe(c, sizeof(*c));
    free(c);
    *pc = NULL;
}

/* ---- segments ---- */

static int insert_blocks(struct catalog *c, const struct segment_info *info, uint64_t segment,
                         struct err *err)
{
    struct sqlite3_stmt *st;
    int r = 0;

    for (uint32_t i = 0; i < info->n_blocks && r >= 0; i++) {
        const struct segment_block *b = &info->blocks[i];
        r = db_prepare(c->db,
                       "INSERT INTO blocks(segment, idx, offset, stored_bytes, raw_bytes, rows,"
                       " frames, first_stream, last_stream, min_ts, max_ts)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       &st, err);
        if (r < 0)
            return r;
        db_bind_u64(st, 1, segment);
        db_bind_u64(st, 2, i);
        db_bind_u64(st, 3, b->offset);
        db_bind_u64(st, 4, b->stored_bytes);
        db_bind_u64(st, 5, b->raw_bytes);
        db_bind_u64(st, 6, b->rows);
        db_bind_u64(st, 7, b->frames);
        db_bind_u64(st, 8, b->first_stream);
        db_bind_u64(st, 9, b->last_stream);
        db_bind_u64(st, 10, (uint64_t)b->min_ts);
        db_bind_u64(st, 11, (uint64_t)b->max_ts);
        r = db_step(c->db, st, err);
    }
    return r < 0 ? r : 0;
}

static int insert_segment(struct catalog *c, const struct segment_info *info, struct str ids,
                          uint64_t *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db,
                       "INSERT INTO segments(uuid, todo, wal_from, wal_to, rows, line_bytes,"
                       " raw_bytes, stored_bytes, min_ts, max_ts, min_received, max_received,"
                       " min_seq, max_seq, root, footer, blocks, streams, class, level)"
                       " VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       &st, err);

    if (r < 0)
        return r;
    db_bind_blob(st, 1, info->uuid, SEGMENT_UUID);
    db_bind_u64(st, 2, info->wal_from);
    db_bind_u64(st, 3, info->wal_to);
    db_bind_u64(st, 4, info->rows);
    db_bind_u64(st, 5, info->line_bytes);
    db_bind_u64(st, 6, info->raw_bytes);
    db_bind_u64(st, 7, info->file_bytes);
    db_bind_u64(st, 8, (uint64_t)info->min_ts);
    db_bind_u64(st, 9, (uint64_t)info->max_ts);
    db_bind_u64(st, 10, (uint64_t)info->min_received);
    db_bind_u64(st, 11, (uint64_t)info->max_received);
    db_bind_u64(st, 12, info->min_seq);
    db_bind_u64(st, 13, info->max_seq);
    db_bind_blob(st, 14, info->root.b, MERKLE_HASH);
    db_bind_u64(st, 15, info->footer_offset);
    db_bind_u64(st, 16, info->n_blocks);
    db_bind_blob(st, 17, ids.p, ids.n);
    db_bind_u64(st, 18, (uint64_t)info->class);
    db_bind_u64(st, 19, info->level);
    r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    *ret = (uint64_t)sqlite3_last_insert_rowid(db_handle(c->db));
    return 0;
}

static int set_applied(struct catalog *c, uint64_t wal_to, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, "UPDATE partition SET applied = ?", &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, wal_to);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

int catalog_add(struct catalog *c, const struct segment_info *info, struct err *err)
{
    struct buf ids;
    uint64_t segment = 0;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    buf_init(&ids, (size_t)SEGMENT_STREAMS_MAX * 4);
    r = catalog_streams_add(c, info->streams, info->n_streams, &ids, err);
    if (r == 0)
        r = buf_err(&ids, "streams of a segment", err);
    if (r == 0)
        r = insert_segment(c, info, buf_str(&ids), &segment, err);
    if (r == 0)
        r = insert_blocks(c, info, segment, err);
    buf_fini(&ids);
    return r;
}

/* End the transaction that `r` is the outcome of. */
static int commit(struct catalog *c, int r, struct err *err)
{
    if (r == 0 && fault_hit("catalog.commit")) {
        errno = ENOSPC;
        r = err_sys(err, "commit to the catalog");
    }
    if (r == 0) {
        c->generation = next_generation();
        return db_commit(c->db, err);
    }
    db_rollback(c->db);
    return r;
}

uint64_t catalog_generation(const struct catalog *c)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return c->generation;
}

uint64_t catalog_streams_state(const struct catalog *c)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return c->streams_state;
}

void catalog_streams_changed(struct catalog *c)
{
    c->streams_state = next_generation();
}

int catalog_begin(struct catalog *c, struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return db_begin(c->db, err);
}

int catalog_end(struct catalog *c, int outcome, uint64_t wal_to, struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    if (outcome == 0)
        outcome = set_applied(c, wal_to, err);
    return commit(c, outcome, err);
}

int catalog_insert(struct catalog *c, struct segment_info *const *infos, size_t n, uint64_t wal_to,
                   struct err *err)
{
    int r = catalog_begin(c, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = catalog_add(c, infos[i], err);
    return catalog_end(c, r, wal_to, err);
}

int catalog_advance(struct catalog *c, uint64_t wal_to, struct err *err)
{
    return catalog_insert(c, NULL, 0, wal_to, err);
}
