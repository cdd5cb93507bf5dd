/*
 * storage/db.c - one connection to one SQLite file.  Contract: db.h.
 *
 * Why synchronous=FULL: what we commit here is what lets the WAL be deleted; with NORMAL the last
 * commits may go at a power cut.  Why the file is made by us first: SQLite would make it with mode
 * 0644 before umask, and its journals copy the mode.  It is made only when absent, because closing
 * a second descriptor of a file drops the POSIX locks that another connection of this process holds
 * on it.
 *
 * Invariants
 *   (1) a statement in `cache` is reset and unbound whenever nobody is between db_prepare and the
 * db_step that ended it, so no read transaction is left open by a finished walk; (2) after a failed
 * db_commit no transaction is open.
 */
#include "storage/db.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_MS = 5000, CHECKED_PAGES = 2048 /* 8 MiB */ };

struct cached {
    size_t text_n; /* length of its SQL: a cheap first look */
    sqlite3_stmt *st;
};

struct db {
    unsigned magic;
#define DB_MAGIC 0xdb5e17a9u
    sqlite3 *handle;
    VEC(struct cached) cache;
};

static int code_of(int rc, int *sys)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        *sys = ENOSPC;
        return ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_TIMEOUT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

int db_err(struct db *d, const char *what, struct err *err)
{
    int sys = sqlite3_system_errno(d->handle);
    int rc = sqlite3_extended_errcode(d->handle);
    const char *path = sqlite3_db_filename(d->handle, NULL);
    int code = code_of(rc, &sys);

    (void)err_set(err, code, "%s in '%s': %s (%d)", what, path == NULL ? "" : path,
                  sqlite3_errmsg(d->handle), rc);
    err->sys = code == ERR_IO ? sys : 0;
    return code;
}

int db_exec(struct db *d, const char *sql, struct err *err)
{
    OBJ_CHECK(d, DB_MAGIC);
    if (sqlite3_exec(d->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_err(d, "run a statement", err);
    return 0;
}

/* The single value of a pragma, as text, in `ret`. */
static int pragma(struct db *d, const char *sql, char *ret, size_t cap, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc;

    rc = sqlite3_prepare_v2(d->handle, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        struct str s = db_column_str(st, 0);
        (void)str_to_z(s, ret, cap);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        int r = db_err(d, sql, err);
        (void)sqlite3_finalize(st);
        return r;
    }
    (void)sqlite3_finalize(st);
    return 0;
}

static int check_version(struct db *d, const char *schema, int version, struct err *err)
{
    char text[32] = "";
    char set[64];
    uint64_t found = 0;
    int r;

    r = db_begin(d, err);
    if (r == 0)
        r = pragma(d, "PRAGMA user_version", text, sizeof(text), err);
    if (r == 0) {
        (void)str_to_u64(str_of(text), &found); /* SQLite prints a number; 0 is the safe reading */
        if (found != 0 && found != (uint64_t)version)
            r = err_set(err, ERR_INVALID, "'%s' has version %s, this program knows %d",
                        sqlite3_db_filename(d->handle, NULL), text, version);
    }
    if (r == 0)
        r = db_exec(d, schema, err);
    if (r == 0 && found == 0) {
        (void)sqlite3_snprintf((int)sizeof(set), set, "PRAGMA user_version=%d", version);
        r = db_exec(d, set, err);
    }
    if (r == 0)
        return db_commit(d, err);
    db_rollback(d);
    return r;
}

/* A large one is not read whole at each open: its blobs carry their own tags, and what its pages
 * lack shows when they are read. */
static int quick_check(struct db *d, struct err *err)
{
    char text[128] = "";
    uint64_t pages = 0;
    int r = pragma(d, "PRAGMA page_count", text, sizeof(text), err);

    if (r == 0)
        (void)str_to_u64(str_of(text), &pages); /* SQLite prints a number */
    if (r < 0 || pages > CHECKED_PAGES)
        return r;
    r = pragma(d, "PRAGMA quick_check(1)", text, sizeof(text), err);
    if (r == 0 && strcmp(text, "ok") != 0)
        r = err_set(err, ERR_CORRUPT, "'%s' fails its check: %s",
                    sqlite3_db_filename(d->handle, NULL), text);
    return r;
}

static int set_up(struct db *d, const char *schema, int version, struct err *err)
{
    char text[128] = "";
    int r;

    (void)sqlite3_busy_timeout(d->handle, BUSY_MS);
    (void)sqlite3_extended_result_codes(d->handle, 1);
    r = db_exec(d, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON", err);
    if (r == 0)
        r = pragma(d, "PRAGMA journal_mode=WAL", text, sizeof(text), err);
    if (r == 0 && strcmp(text, "wal") != 0)
        r = err_set(err, ERR_IO, "'%s' cannot be put into WAL mode",
                    sqlite3_db_filename(d->handle, NULL));
    if (r == 0)
        r = db_exec(d, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON",
                    err);
    if (r == 0)
        r = quick_check(d, err);
    return r == 0 ? check_version(d, schema, version, err) : r;
}

static int make_file(const char *path, struct err *err)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0)
        (void)close(fd); /* empty: nothing that could fail to be written */
    else if (errno != EEXIST)
        return err_sys(err, "create '%s'", path);
    return 0;
}

int db_open(const char *path, const char *schema, int version, struct db **ret, struct err *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    struct db *d = NULL;
    int r;

    if (fault_hit("db.open")) {
        errno = ENOSPC;
        return err_sys(err, "open '%s'", path);
    }
    r = make_file(path, err);
    if (r < 0)
        return r;
    d = mem_new(sizeof(*d));
    d->magic = DB_MAGIC;
    if (sqlite3_open_v2(path, &d->handle, flags, NULL) != SQLITE_OK) {
        if (d->handle == NULL)
            r = err_set(err, ERR_NOMEM, "no memory for a connection to '%s'", path);
        else
            r = db_err(d, "open", err);
    } else {
        r = set_up(d, schema, version, err);
    }
    if (r < 0) {
        db_close(&d);
        return r;
    }
    *ret = d;
    return 0;
}

/* "file:PATH" with what has a meaning in there escaped; with `immutable` SQLite neither locks nor
 * looks for a journal. */
static void make_uri(const char *path, bool immutable, struct buf *ret)
{
    buf_add_z(ret, "file:");
    for (; *path != '\0'; path++) {
        if (strchr("%?#", *path) != NULL)
            buf_addf(ret, "%%%02X", (unsigned)(unsigned char)*path);
        else
            buf_add_char(ret, *path);
    }
    if (immutable)
        buf_add_z(ret, "?immutable=1");
    buf_add_char(ret, '\0');
}

static bool has_journal(const char *path)
{
    char journal[PATH_MAX];
    int n = snprintf(journal, sizeof(journal), "%s-wal", path);

    return n > 0 && n < (int)sizeof(journal) && access(journal, F_OK) == 0;
}

static int set_up_reader(struct db *d, int version, struct err *err)
{
    char text[32] = "";
    uint64_t found = 0;
    int r;

    (void)sqlite3_busy_timeout(d->handle, BUSY_MS);
    (void)sqlite3_extended_result_codes(d->handle, 1);
    r = db_exec(d, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON", err);
    if (r == 0)
        r = pragma(d, "PRAGMA user_version", text, sizeof(text), err);
    if (r == 0 && (!str_to_u64(str_of(text), &found) || found != (uint64_t)version))
        r = err_set(err, ERR_INVALID, "'%s' has version %s, this program knows %d",
                    sqlite3_db_filename(d->handle, NULL), text, version);
    return r;
}

int db_open_reader(const char *path, bool still, int version, struct db **ret, struct err *err)
{
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    struct db *d;
    struct buf uri;
    int r = 0;

    if (access(path, F_OK) != 0)
        return errno == ENOENT ? err_set(err, ERR_GONE, "there is no '%s'", path)
                               : err_sys(err, "open '%s'", path);
    buf_init(&uri, (size_t)4 * PATH_MAX);
    make_uri(path, still && !has_journal(path), &uri);
    r = buf_err(&uri, "path of a database", err);
    if (r < 0) {
        buf_fini(&uri);
        return r;
    }
    d = mem_new(sizeof(*d));
    d->magic = DB_MAGIC;
    if (sqlite3_open_v2(uri.p, &d->handle, flags, NULL) == SQLITE_OK)
        r = set_up_reader(d, version, err);
    else if (d->handle == NULL)
        r = err_set(err, ERR_NOMEM, "no memory for a connection to '%s'", path);
    else
        r = db_err(d, "open", err);
    buf_fini(&uri);
    if (r < 0)
        db_close(&d);
    else
        *ret = d;
    return r;
}

void db_close(struct db **pd)
{
    struct db *d = *pd;
    struct cached *it;

    if (d == NULL)
        return;
    OBJ_CHECK(d, DB_MAGIC);
    VEC_EACH(&d->cache, it) {
        (void)sqlite3_finalize(it->st);
    }
    VEC_FINI(&d->cache);
    (void)sqlite3_close_v2(d->handle);
    d->magic = 0;
    free(d);
    *pd = NULL;
}

struct sqlite3 *db_handle(struct db *d)
{
    OBJ_CHECK(d, DB_MAGIC);
    return d->handle;
}

int db_begin(struct db *d, struct err *err)
{
    return db_exec(d, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *d, struct err *err)
{
    int r = 0;

    OBJ_CHECK(d, DB_MAGIC);
    if (fault_hit("db.commit")) {
        errno = ENOSPC;
        r = err_sys(err, "commit in '%s'", sqlite3_db_filename(d->handle, NULL));
    }
    if (r == 0)
        r = db_exec(d, "COMMIT", err);
    if (r < 0)
        db_rollback(d); /* keeps (2) */
    return r;
}

void db_rollback(struct db *d)
{
    OBJ_CHECK(d, DB_MAGIC);
    if (sqlite3_get_autocommit(d->handle) == 0)
        (void)sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL,
                           NULL); /* fails only if already done */
}

int db_prepare(struct db *d, const char *sql, struct sqlite3_stmt **ret, struct err *err)
{
    struct cached fresh = {.text_n = strlen(sql)};
    struct cached *it;

    OBJ_CHECK(d, DB_MAGIC);
    VEC_EACH(&d->cache, it) {
        if (it->text_n == fresh.text_n && strcmp(sqlite3_sql(it->st), sql) == 0) {
            (void)sqlite3_reset(
                it->st); /* repeats the error of the last step, which was reported */
            (void)sqlite3_clear_bindings(it->st);
            *ret = it->st;
            return 0;
        }
    }
    if (sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &fresh.st, NULL) !=
        SQLITE_OK)
        return db_err(d, "prepare a statement", err);
    VEC_PUSH(&d->cache, fresh);
    *ret = fresh.st;
    return 0;
}

int db_step(struct db *d, struct sqlite3_stmt *st, struct err *err)
{
    int r = 1;
    int rc;

    OBJ_CHECK(d, DB_MAGIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 0;
    if (rc != SQLITE_DONE)
        r = db_err(d, "step", err);
    (void)sqlite3_reset(st); /* keeps (1); the error, if any, is in `err` already */
    (void)sqlite3_clear_bindings(st);
    return r;
}

void db_reset(struct sqlite3_stmt *st)
{
    (void)sqlite3_reset(st); /* repeats the error of the last step, which was reported */
    (void)sqlite3_clear_bindings(st);
}

void db_bind_str(struct sqlite3_stmt *st, int i, struct str s)
{
    (void)sqlite3_bind_text64(st, i, s.n == 0 ? "" : s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void db_bind_blob(struct sqlite3_stmt *st, int i, const void *p, size_t n)
{
    if (n == 0)
        (void)sqlite3_bind_zeroblob(st, i, 0);
    else
        (void)sqlite3_bind_blob64(st, i, p, n, SQLITE_TRANSIENT);
}

void db_bind_u64(struct sqlite3_stmt *st, int i, uint64_t v)
{
    (void)sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

struct str db_column_str(struct sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_type(st, i) == SQLITE_BLOB ? sqlite3_column_blob(st, i)
                                                              : sqlite3_column_text(st, i);
    int n = sqlite3_column_bytes(st, i);

    return p == NULL ? STR_NULL : (struct str){p, (size_t)n};
}

uint64_t db_column_u64(struct sqlite3_stmt *st, int i)
{
    return (uint64_t)sqlite3_column_int64(st, i);
}
