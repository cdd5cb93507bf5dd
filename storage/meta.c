/*
 * storage/meta.c - the store's own tables.  Contract: meta.h.
 *
 * Invariants
 *   (1) `progress` has one row, and the tables of ranges, dedup, tenants and partitions are true
 * for its wal_pos: they change only in the transaction that moves it; (2) a partition that is
 * META_GONE keeps its row for ever: dropped at a position.
 */
#include "storage/meta.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS progress("
    " id INTEGER PRIMARY KEY CHECK (id = 1), wal_pos INTEGER NOT NULL,"
    " last_seq INTEGER NOT NULL, last_received INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS tenant("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS partition("
    " tenant INTEGER NOT NULL, day INTEGER NOT NULL, state INTEGER NOT NULL,"
    " dropped_pos INTEGER NOT NULL, rows INTEGER NOT NULL, line_bytes INTEGER NOT NULL,"
    " stored_bytes INTEGER NOT NULL, segments INTEGER NOT NULL, min_ts INTEGER NOT NULL,"
    " max_ts INTEGER NOT NULL, newest_received INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, day)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS partition_labels("
    " tenant INTEGER NOT NULL, day INTEGER NOT NULL, labels BLOB NOT NULL,"
    " PRIMARY KEY (tenant, day)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS stored_range(" /* key: peer and file id; see ranges.h */
    " key BLOB PRIMARY KEY, finished INTEGER NOT NULL, ranges BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS late("
    " tenant INTEGER NOT NULL, day INTEGER NOT NULL, pos INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, day)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS dedup("
    " number INTEGER PRIMARY KEY, key BLOB NOT NULL, at INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS kv("
    " space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (space, key)) WITHOUT ROWID;";

int meta_open(const char *path, struct meta **ret, struct err *err)
{
    struct meta *m = mem_new(sizeof(*m));
    int r;

    m->magic = META_MAGIC;
    (void)pthread_mutex_init(&m->mutex, NULL); /* cannot fail for a default mutex here */
    r = db_open(path, SCHEMA, VERSION, &m->db, err);
    if (r < 0) {
        meta_close(&m);
        return r;
    }
    *ret = m;
    return 0;
}

void meta_close(struct meta **pm)
{
    struct meta *m = *pm;

    if (m == NULL)
        return;
    OBJ_CHECK(m, META_MAGIC);
    db_close(&m->db);
    (void)pthread_mutex_destroy(&m->mutex);
    m->magic = 0;
    free(m);
    *pm = NULL;
}

/* ---- load ---- */

static int load_progress(struct meta *m, struct meta_progress *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    *ret = (struct meta_progress){0};
    r = db_prepare(m->db, "SELECT wal_pos, last_seq, last_received FROM progress", &st, err);
    if (r == 0)
        r = db_step(m->db, st, err);
    if (r != 0)
        return r < 0 ? r : 0; /* no row: nothing was committed yet */
    ret->wal_pos = db_column_u64(st, 0);
    ret->last_seq = db_column_u64(st, 1);
    ret->last_received = (ts_ns)db_column_u64(st, 2);
    db_reset(st);
    return 0;
}

typedef int row_fn(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err);

static int tenant_row(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err)
{
    struct meta_tenant t = {db_column_u64(st, 0), db_column_str(st, 1)};

    return l->tenant(l->arg, &t, err);
}

static int partition_row(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err)
{
    uint64_t state = db_column_u64(st, 2);
    struct meta_partition p = {
        .tenant_id = db_column_u64(st, 0),
        .day = (int32_t)db_column_u64(st, 1),
        .state = (enum meta_state)state,
        .dropped_pos = db_column_u64(st, 3),
        .rows = db_column_u64(st, 4),
        .line_bytes = db_column_u64(st, 5),
        .stored_bytes = db_column_u64(st, 6),
        .segments = db_column_u64(st, 7),
        .min_ts = (ts_ns)db_column_u64(st, 8),
        .max_ts = (ts_ns)db_column_u64(st, 9),
        .newest_received = (ts_ns)db_column_u64(st, 10),
    };

    if (state == META_CHANGING) {
        p.state = META_LIVE;
        p.is_changing = true;
    } else if (state > META_GONE)
        return err_set(err, ERR_CORRUPT, "a partition has state %llu", (unsigned long long)state);
    return l->partition(l->arg, &p, err);
}

static int ranges_row(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err)
{
    struct ranges_row row = {
        .key = db_column_str(st, 0),
        .touched = (ts_ns)db_column_u64(st, 1),
        .encoded = db_column_str(st, 2),
    };

    return l->ranges(l->arg, &row, err);
}

static int dedup_row(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err)
{
    struct str key = db_column_str(st, 1);
    struct dedup_entry e = {.when = (ts_ns)db_column_u64(st, 2)};

    if (key.n != DEDUP_KEY)
        return err_set(err, ERR_CORRUPT, "a chunk identity has %zu bytes", key.n);
    memcpy(e.key, key.p, DEDUP_KEY);
    return l->dedup(l->arg, db_column_u64(st, 0), &e, err);
}

static int late_row(const struct meta_loader *l, struct sqlite3_stmt *st, struct err *err)
{
    struct meta_late late = {db_column_u64(st, 0), (int32_t)db_column_u64(st, 1),
                             db_column_u64(st, 2)};

    return l->late(l->arg, &late, err);
}

static int load_rows(struct meta *m, const char *sql, row_fn *fn, const struct meta_loader *l,
                     struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, sql, &st, err);
    while (r == 0) {
        r = db_step(m->db, st, err);
        if (r != 0)
            break;
        r = fn(l, st, err);
        if (r < 0)
            db_reset(st);
    }
    return r < 0 ? r : 0;
}

int meta_load(struct meta *m, const struct meta_loader *l, struct meta_progress *ret,
              struct err *err)
{
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = load_progress(m, ret, err);
    if (r == 0)
        r = load_rows(m, "SELECT id, name FROM tenant", tenant_row, l, err);
    if (r == 0)
        r = load_rows(m,
                      "SELECT tenant, day, state, dropped_pos, rows, line_bytes, stored_bytes,"
                      " segments, min_ts, max_ts, newest_received FROM partition"
                      " ORDER BY tenant, day",
                      partition_row, l, err);
    if (r == 0)
        r = load_rows(m, "SELECT key, finished, ranges FROM stored_range", ranges_row, l, err);
    if (r == 0)
        r = load_rows(m, "SELECT number, key, at FROM dedup ORDER BY number", dedup_row, l, err);
    if (r == 0)
        r = load_rows(m, "SELECT tenant, day, pos FROM late ORDER BY tenant, day", late_row, l,
                      err);
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? err_wrap(err, "load meta.db") : 0;
}

/* ---- commit ---- */

static int put_progress(struct meta *m, const struct meta_progress *p, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db,
                   "INSERT OR REPLACE INTO progress(id, wal_pos, last_seq, last_received)"
                   " VALUES (1, ?1, ?2, ?3)",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, p->wal_pos);
    db_bind_u64(st, 2, p->last_seq);
    db_bind_u64(st, 3, (uint64_t)p->last_received);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_tenant(struct meta *m, const struct meta_tenant *t, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "INSERT INTO tenant(id, name) VALUES (?1, ?2)", &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, t->id);
    db_bind_str(st, 2, t->name);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_partition(struct meta *m, const struct meta_partition *p, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db,
                   "INSERT OR REPLACE INTO partition(tenant, day, state, dropped_pos, rows,"
                   " line_bytes, stored_bytes, segments, min_ts, max_ts, newest_received)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, p->tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)p->day);
    db_bind_u64(st, 3,
                (uint64_t)(p->state == META_LIVE && p->is_changing ? META_CHANGING : p->state));
    db_bind_u64(st, 4, p->dropped_pos);
    db_bind_u64(st, 5, p->rows);
    db_bind_u64(st, 6, p->line_bytes);
    db_bind_u64(st, 7, p->stored_bytes);
    db_bind_u64(st, 8, p->segments);
    db_bind_u64(st, 9, (uint64_t)p->min_ts);
    db_bind_u64(st, 10, (uint64_t)p->max_ts);
    db_bind_u64(st, 11, (uint64_t)p->newest_received);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int drop_labels(struct meta *m, uint64_t tenant_id, int32_t day, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "DELETE FROM partition_labels WHERE tenant = ?1 AND day = ?2", &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)day);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_labels(struct meta *m, const struct meta_labels *l, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    if (l->sealed.n == 0)
        return drop_labels(m, l->tenant_id, l->day, err);
    r = db_prepare(m->db,
                   "INSERT OR REPLACE INTO partition_labels(tenant, day, labels)"
                   " VALUES (?1, ?2, ?3)",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, l->tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)l->day);
    db_bind_blob(st, 3, l->sealed.p, l->sealed.n);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_ranges(struct meta *m, const struct ranges_row *row, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db,
                   "INSERT OR REPLACE INTO stored_range(key, finished, ranges)"
                   " VALUES (?1, ?2, ?3)",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_blob(st, 1, row->key.p, row->key.n);
    db_bind_u64(st, 2, (uint64_t)row->touched);
    db_bind_blob(st, 3, row->encoded.p, row->encoded.n);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int drop_ranges(struct meta *m, struct str key, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "DELETE FROM stored_range WHERE key = ?1", &st, err);
    if (r < 0)
        return r;
    db_bind_blob(st, 1, key.p, key.n);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_dedup(struct meta *m, uint64_t number, const struct dedup_entry *e, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "INSERT OR REPLACE INTO dedup(number, key, at) VALUES (?1, ?2, ?3)", &st,
                   err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, number);
    db_bind_blob(st, 2, e->key, DEDUP_KEY);
    db_bind_u64(st, 3, (uint64_t)e->when);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int drop_dedup(struct meta *m, uint64_t first, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "DELETE FROM dedup WHERE number < ?1", &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, first);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_late(struct meta *m, const struct meta_late *l, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    r = db_prepare(m->db, "INSERT INTO late(tenant, day, pos) VALUES (?1, ?2, ?3)", &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, l->tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)l->day);
    db_bind_u64(st, 3, l->pos);
    return db_step(m->db, st, err) < 0 ? err->code : 0;
}

static int put_all_late(struct meta *m, const struct meta_change *c, struct err *err)
{
    int r = db_exec(m->db, "DELETE FROM late", err);

    for (size_t i = 0; r == 0 && i < c->n_late; i++)
        r = put_late(m, &c->late[i], err);
    return r;
}

static int put_change(struct meta *m, const struct meta_change *c, struct err *err)
{
    int r;

    r = put_progress(m, &c->progress, err);
    for (size_t i = 0; r == 0 && i < c->n_tenants; i++)
        r = put_tenant(m, &c->tenants[i], err);
    for (size_t i = 0; r == 0 && i < c->n_partitions; i++)
        r = put_partition(m, &c->partitions[i], err);
    for (size_t i = 0; r == 0 && i < c->n_labels; i++)
        r = put_labels(m, &c->labels[i], err);
    for (size_t i = 0; r == 0 && i < c->n_gone_ranges; i++)
        r = drop_ranges(m, c->gone_ranges[i], err);
    for (size_t i = 0; r == 0 && i < c->n_ranges; i++)
        r = put_ranges(m, &c->ranges[i], err);
    for (size_t i = 0; r == 0 && i < c->n_dedup; i++)
        r = put_dedup(m, c->dedup_number + i, &c->dedup[i], err);
    if (r == 0)
        r = drop_dedup(m, c->dedup_first, err);
    if (r == 0)
        r = put_all_late(m, c, err);
    return r;
}

int meta_commit(struct meta *m, const struct meta_change *c, struct err *err)
{
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_begin(m->db, err);
    if (r == 0) {
        r = put_change(m, c, err);
        if (r == 0 && fault_hit("meta.commit")) {
            errno = ENOSPC;
            r = err_sys(err, "commit");
        }
        if (r == 0)
            r = db_commit(m->db, err);
        else
            db_rollback(m->db);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? err_wrap(err, "commit to meta.db") : 0;
}

int meta_partition_state(struct meta *m, const struct meta_partition *p, struct err *err)
{
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = put_partition(m, p, err);
    if (r == 0)
        r = drop_labels(m, p->tenant_id, p->day, err);
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? err_wrap(err, "partition %d in meta.db", (int)p->day) : 0;
}

int meta_partition_put(struct meta *m, const struct meta_partition *p, struct err *err)
{
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = put_partition(m, p, err);
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? err_wrap(err, "partition %d in meta.db", (int)p->day) : 0;
}

/* ---- labels ---- */

int meta_labels_get(struct meta *m, uint64_t tenant_id, int32_t day, struct buf *ret,
                    struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_prepare(m->db, "SELECT labels FROM partition_labels WHERE tenant = ?1 AND day = ?2", &st,
                   err);
    if (r == 0) {
        db_bind_u64(st, 1, tenant_id);
        db_bind_u64(st, 2, (uint64_t)(int64_t)day);
        r = db_step(m->db, st, err);
    }
    if (r == 0) {
        buf_add_str(ret, db_column_str(st, 0));
        db_reset(st);
        r = buf_err(ret, "labels of a partition", err);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r;
}

int meta_labels_put(struct meta *m, const struct meta_labels *l, struct err *err)
{
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = put_labels(m, l, err);
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? err_wrap(err, "labels of a partition in meta.db") : 0;
}
