/* storage/meta_kv.c - small values in key order, each write durable by itself.  Contract: meta.h.
 */
#include "base/obj.h"
#include "storage/meta_internal.h"

enum { KEY_MAX = 4096, VALUE_MAX = 16 << 20 };

int meta_kv_put(struct meta *m, const char *space, struct str key, struct str value,
                struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(m, META_MAGIC);
    if (key.n > KEY_MAX || value.n > VALUE_MAX)
        return err_set(err, ERR_LIMIT, "a value of %zu bytes under a key of %zu is too large",
                       value.n, key.n);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_prepare(m->db, "INSERT OR REPLACE INTO kv(space, key, value) VALUES (?1, ?2, ?3)", &st,
                   err);
    if (r == 0) {
        db_bind_str(st, 1, str_of(space));
        db_bind_blob(st, 2, key.p, key.n);
        db_bind_blob(st, 3, value.p, value.n);
        r = db_step(m->db, st, err);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? r : 0;
}

int meta_kv_get(struct meta *m, const char *space, struct str key, struct buf *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_prepare(m->db, "SELECT value FROM kv WHERE space = ?1 AND key = ?2", &st, err);
    if (r == 0) {
        db_bind_str(st, 1, str_of(space));
        db_bind_blob(st, 2, key.p, key.n);
        r = db_step(m->db, st, err);
    }
    if (r == 0) {
        buf_add_str(ret, db_column_str(st, 0));
        db_reset(st);
        r = buf_err(ret, "a stored value", err);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r;
}

int meta_kv_delete(struct meta *m, const char *space, struct str key, struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_prepare(m->db, "DELETE FROM kv WHERE space = ?1 AND key = ?2", &st, err);
    if (r == 0) {
        db_bind_str(st, 1, str_of(space));
        db_bind_blob(st, 2, key.p, key.n);
        r = db_step(m->db, st, err);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r < 0 ? r : 0;
}

int meta_kv_next(struct meta *m, const char *space, const struct str *after, struct buf *key,
                 struct buf *value, struct err *err)
{
    const char *sql = after == NULL ? "SELECT key, value FROM kv WHERE space = ?1"
                                      " ORDER BY key LIMIT 1"
                                    : "SELECT key, value FROM kv WHERE space = ?1 AND key > ?2"
                                      " ORDER BY key LIMIT 1";
    struct sqlite3_stmt *st;
    int r;

    OBJ_CHECK(m, META_MAGIC);
    (void)pthread_mutex_lock(&m->mutex);
    r = db_prepare(m->db, sql, &st, err);
    if (r == 0) {
        db_bind_str(st, 1, str_of(space));
        if (after != NULL)
            db_bind_blob(st, 2, after->p, after->n);
        r = db_step(m->db, st, err);
    }
    if (r == 0) {
        buf_clear(key);
        buf_clear(value);
        buf_add_str(key, db_column_str(st, 0));
        buf_add_str(value, db_column_str(st, 1));
        db_reset(st);
        r = buf_err(value, "a stored value", err);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return r;
}
