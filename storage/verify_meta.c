/*
 * storage/verify_meta.c - meta.db and keyring.db against the days that are there.
 *
 * A day's row repeats what its catalog adds up to, once meta.db has come as far as the catalog: a
 * catalog that is ahead is what a crash leaves between two steps of a flush, and a row that says so
 * itself (META_CHANGING) what one leaves between two steps of a compaction.
 */
#include "storage/verify_internal.h"

#include "base/file.h"
#include "base/mem.h"
#include "storage/db.h"
#include "storage/meta.h"

#include <sqlite3.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { META_VERSION = 1, KEYRING_VERSION = 1 };

static const struct verify_finding META = {.file = "meta.db", .block = -1, .offset = -1};
static const struct verify_finding KEYRING = {.file = "keyring.db", .block = -1, .offset = -1};

struct look {
    struct verify *v;
    const struct verify_finding *where;
};

static int take_text(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    const struct look *l = arg;
    struct str s = db_column_str(st, 0);

    (void)err;
    if (!str_eq(s, STR("ok")))
        verify_tell(l->v, VERIFY_DAMAGE, l->where, "SQLite's check: %.*s",
                    (int)(s.n < 160 ? s.n : 160), s.p);
    return 0;
}

/* *ret stays NULL when it cannot be read, which was told. */
static int open_one(struct verify *v, const struct verify_finding *where, int version,
                    struct db **ret, struct err *err)
{
    struct look l = {v, where};
    char path[VERIFY_PATH];
    int r;

    (void)snprintf(path, sizeof(path), "%s/%s", v->dir, where->file);
    r = db_open_reader(path, v->store == NULL, version, ret, err);
    if (r == 0)
        r = verify_each(*ret, "PRAGMA integrity_check(20)", take_text, &l, err);
    if (r < 0) {
        db_close(ret);
        return verify_note(v, where, err);
    }
    return 0;
}

static int take_position(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    (void)err;
    *(uint64_t *)arg = db_column_u64(st, 0);
    return 0;
}

static int read_position(struct verify *v, uint64_t *ret, struct err *err)
{
    *ret = 0;
    return verify_each(v->meta, "SELECT wal_pos FROM progress", take_position, ret, err);
}

int verify_meta_open(struct verify *v, struct err *err)
{
    int r = open_one(v, &META, META_VERSION, &v->meta, err);

    if (r == 0)
        r = open_one(v, &KEYRING, KEYRING_VERSION, &v->keys, err);
    if (r == 0 && v->meta != NULL && read_position(v, &v->wal_pos, err) < 0)
        r = verify_note(v, &META, err);
    return r;
}

void verify_meta_close(struct verify *v)
{
    db_close(&v->meta);
    db_close(&v->keys);
}

/* A day that waits has a position of its own. */
static int read_waiting(struct verify_day *d, struct err *err)
{
    struct db *db = d->v->meta;
    struct sqlite3_stmt *st;
    uint64_t pos;
    int r = db_prepare(db, "SELECT pos FROM late WHERE tenant = ? AND day = ?", &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, d->tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)d->day);
    r = db_step(db, st, err);
    if (r != 0)
        return r < 0 ? r : 0;
    pos = db_column_u64(st, 0);
    if (pos < d->row.wal_pos)
        d->row.wal_pos = pos;
    db_reset(st);
    return 0;
}

int verify_meta_row(struct verify_day *d, struct err *err)
{
    struct db *db = d->v->meta;
    struct verify_meta_row *row = &d->row;
    struct sqlite3_stmt *st;
    int r;

    if (db == NULL)
        return 0;
    r = read_position(d->v, &row->wal_pos, err);
    if (r == 0)
        r = read_waiting(d, err);
    if (r == 0)
        r = db_prepare(db,
                       "SELECT state, rows, line_bytes, stored_bytes, segments, min_ts, max_ts,"
                       " newest_received FROM partition WHERE tenant = ? AND day = ?",
                       &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, d->tenant_id);
    db_bind_u64(st, 2, (uint64_t)d->day);
    r = db_step(db, st, err);
    if (r != 0)
        return r < 0 ? r : 0;
    row->found = true;
    row->state = db_column_u64(st, 0);
    row->rows = db_column_u64(st, 1);
    row->line_bytes = db_column_u64(st, 2);
    row->stored_bytes = db_column_u64(st, 3);
    row->segments = db_column_u64(st, 4);
    row->min_ts = (int64_t)db_column_u64(st, 5);
    row->max_ts = (int64_t)db_column_u64(st, 6);
    row->newest_received = (int64_t)db_column_u64(st, 7);
    db_reset(st);
    return 0;
}

static void compare(struct verify_day *d)
{
    const struct verify_meta_row *row = &d->row;
    bool may_differ = d->exchanging || row->state == META_CHANGING;
    bool has = d->segments > 0;
    const struct {
        const char *name;
        uint64_t meta, catalog;
        bool counts;
    } column[] = {
        {"rows", row->rows, d->rows, true},
        {"line_bytes", row->line_bytes, d->line_bytes, true},
        {"stored_bytes", row->stored_bytes, d->stored_bytes, true},
        {"segments", row->segments, d->segments, true},
        {"min_ts", (uint64_t)row->min_ts, (uint64_t)d->min_ts, has},
        {"max_ts", (uint64_t)row->max_ts, (uint64_t)d->max_ts, has},
        {"newest_received", (uint64_t)row->newest_received, (uint64_t)d->newest_received, has},
    };

    for (size_t i = 0; i < sizeof(column) / sizeof(column[0]); i++)
        if (column[i].counts && column[i].meta != column[i].catalog)
            verify_tell(d->v, may_differ ? VERIFY_NOTE : VERIFY_DAMAGE, &META,
                        "table partition: %s of %s is %" PRIu64 ", its catalog says %" PRIu64,
                        column[i].name, d->dir, column[i].meta, column[i].catalog);
}

void verify_meta_day(struct verify_day *d)
{
    const struct verify_meta_row *row = &d->row;
    bool ahead = d->applied > row->wal_pos;

    if (d->v->meta == NULL || d->unsure)
        return;
    if (!row->found) {
        if (d->segments > 0)
            verify_tell(d->v, ahead ? VERIFY_NOTE : VERIFY_DAMAGE, &META,
                        "table partition: there is no row of %s", d->dir);
    } else if (row->state > META_CHANGING) {
        verify_tell(d->v, VERIFY_DAMAGE, &META, "table partition: state of %s is %" PRIu64, d->dir,
                    row->state);
    } else if (row->state != META_LIVE && row->state != META_CHANGING) {
        verify_tell(d->v, row->state == META_GOING || ahead ? VERIFY_NOTE : VERIFY_DAMAGE, &META,
                    "table partition: %s was dropped, and is there", d->dir);
    } else if (!ahead) {
        compare(d);
    }
}

int verify_meta_key(struct verify *v, uint64_t tenant_id, int32_t day, bool *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    *ret = true; /* nobody says that there is none */
    if (v->keys == NULL)
        return 0;
    r = db_prepare(v->keys,
                   "SELECT 1 FROM partition_key JOIN tenant_key USING (tenant)"
                   " WHERE tenant = ? AND day = ?",
                   &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, tenant_id);
    db_bind_u64(st, 2, (uint64_t)(int64_t)day);
    r = db_step(v->keys, st, err);
    if (r < 0)
        return r;
    *ret = r == 0;
    if (r == 0)
        db_reset(st);
    return 0;
}

static int see_row(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct verify *v = arg;
    uint64_t tenant_id = db_column_u64(st, 0);
    int32_t day = (int32_t)db_column_u64(st, 1);
    uint64_t state = db_column_u64(st, 2);
    uint64_t segments = db_column_u64(st, 3);
    char dir[64];
    bool has_key = true;
    bool is_live;
    int r;

    (void)snprintf(dir, sizeof(dir), "tenants/%016" PRIx64 "/%08d", tenant_id, day);
    r = verify_meta_key(v, tenant_id, day, &has_key, err);
    if (r < 0)
        return r;
    is_live = state == META_LIVE || state == META_CHANGING;
    if (is_live && segments > 0 && faccessat(v->dir_fd, dir, F_OK, 0) != 0)
        verify_tell(v, VERIFY_DAMAGE, &META, "table partition: %s is not there", dir);
    if (is_live && segments > 0 && !has_key)
        verify_tell(v, VERIFY_DAMAGE, &KEYRING, "there is no key of %s", dir);
    if (state == META_GONE && v->keys != NULL && has_key && faccessat(v->dir_fd, dir, F_OK, 0) != 0)
        verify_tell(v, VERIFY_NOTE, &KEYRING,
                    "%s was dropped, and has a key: it was about to begin anew", dir);
    return 0;
}

static int see_tenant(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct verify *v = arg;

    (void)err;
    verify_tell(v, VERIFY_DAMAGE, &META, "table tenant: none has the id %016" PRIx64,
                db_column_u64(st, 0));
    return 0;
}

int verify_meta(struct verify *v, struct err *err)
{
    int r;

    if (v->meta == NULL || v->store != NULL) /* days come and go beside a running store */
        return 0;
    r = verify_each(v->meta, "SELECT tenant, day, state, segments FROM partition", see_row, v, err);
    if (r == 0)
        r = verify_each(v->meta,
                        "SELECT DISTINCT tenant FROM partition WHERE tenant NOT IN"
                        " (SELECT id FROM tenant)",
                        see_tenant, v, err);
    return r < 0 ? verify_note(v, &META, err) : 0;
}
