/*
 * storage/backup.c - making a backup.  Contract and order: backup.h; bringing one back:
 * backup_restore.c.
 *
 * Invariants
 *   (1) the WAL is held before meta.db is copied, so it has all past M; its copy ends where all was
 *       durable when it began, so that no frame is torn in it;
 *   (2) a catalog is copied under a pin from before, and its segments are taken from the copy;
 *   (3) MANIFEST appears after all else is durable.
 */
#include "storage/backup.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/backup_files.h"
#include "storage/db.h"
#include "storage/partition_cache.h"
#include "storage/segment.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { META_VERSION = 1, CATALOG_VERSION = 1, KEYRING_VERSION = 1 };

struct backup {
    const struct backup_options *opt;
    struct backup_result *ret;
    struct store *store; /* NULL: nobody has the directory */
    const char *dir;
    int from, to; /* directories */
    struct buf manifest;
};

static int is_cancelled(const struct backup *b, struct err *err)
{
    if (b->opt->cancel != NULL && atomic_load(b->opt->cancel))
        return err_set(err, ERR_CANCELLED, "the backup was cancelled");
    return 0;
}

static void note(struct backup *b, const struct backup_file *f)
{
    b->ret->files++;
    b->ret->bytes += f->bytes;
    backup_manifest_add(&b->manifest, f);
}

/* ---- databases ---- */

static int sync_file(int dir, const char *path, struct err *err)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = 0;

    if (fd < 0 || fsync(fd) != 0)
        r = err_sys(err, "fsync '%s'", path);
    if (fd >= 0)
        (void)close(fd); /* synced */
    return r;
}

/* A copy of the database as of one instant; beside its writers. */
static int copy_db(const char *from, bool still, int version, const char *to, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    struct db *db = NULL;
    int r = db_open_reader(from, still, version, &db, err);

    if (r == 0)
        r = db_prepare(db, "VACUUM INTO ?", &st, err);
    if (r == 0) {
        db_bind_str(st, 1, str_of(to));
        r = db_step(db, st, err);
    }
    db_close(&db);
    return r < 0 ? err_wrap(err, "copy '%s'", from) : 0;
}

/* `path` of DATA, into the backup. */
static int take_db(struct backup *b, const char *path, int version, struct err *err)
{
    struct backup_file f = {.is_root = false};
    char from[PATH_MAX];
    char to[PATH_MAX];
    int r;

    if (snprintf(from, sizeof(from), "%s/%s", b->dir, path) >= (int)sizeof(from) ||
        snprintf(to, sizeof(to), "%s/%s", b->opt->to, path) >= (int)sizeof(to))
        return err_set(err, ERR_INVALID, "a path is too long");
    (void)snprintf(f.path, sizeof(f.path), "%s", path);
    r = copy_db(from, b->store == NULL, version, to, err);
    if (r == 0)
        r = sync_file(b->to, path, err);
    if (r == 0)
        r = backup_files_hash(b->to, path, &f.bytes, f.hash, err);
    if (r == 0)
        note(b, &f);
    return r;
}

/* ---- days ---- */

struct place {
    uint64_t tenant_id;
    int32_t day;
};

struct segment {
    uint8_t uuid[SEGMENT_UUID], root[CRYPT_SHA256];
};

struct lists {
    VEC(struct place) days;
    VEC(struct segment) segments;
};

static int read_rows(struct backup *b, const char *path, int version, const char *sql,
                     void (*fn)(struct lists *l, struct sqlite3_stmt *st), struct lists *l,
                     struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    struct db *db = NULL;
    char full[PATH_MAX];
    int r;

    (void)snprintf(full, sizeof(full), "%s/%s", b->opt->to, path); /* it fitted before */
    r = db_open_reader(full, true, version, &db, err);
    if (r == 0)
        r = db_prepare(db, sql, &st, err);
    while (r == 0) {
        r = db_step(db, st, err);
        if (r == 0)
            fn(l, st);
    }
    db_close(&db);
    return r < 0 ? r : 0;
}

static void see_day(struct lists *l, struct sqlite3_stmt *st)
{
    struct place p = {db_column_u64(st, 0), (int32_t)db_column_u64(st, 1)};

    VEC_PUSH(&l->days, p);
}

static void see_segment(struct lists *l, struct sqlite3_stmt *st)
{
    struct str uuid = db_column_str(st, 0);
    struct str root = db_column_str(st, 1);
    struct segment s;

    if (uuid.n != SEGMENT_UUID || root.n != CRYPT_SHA256)
        return; /* what is no segment is not missed: verification names it */
    memcpy(s.uuid, uuid.p, SEGMENT_UUID);
    memcpy(s.root, root.p, CRYPT_SHA256);
    VEC_PUSH(&l->segments, s);
}

static int take_segment(struct backup *b, const char *dir, const struct segment *s, struct err *err)
{
    struct backup_file f = {.is_root = true};
    char name[SEGMENT_NAME_MAX];
    struct stat st;
    int r = is_cancelled(b, err);

    segment_name(s->uuid, name);
    (void)snprintf(f.path, sizeof(f.path), "%s/%s", dir, name);
    memcpy(f.hash, s->root, CRYPT_SHA256);
    if (r < 0)
        return r;
    (void)fault_hit("backup.segment"); /* a place to be killed at */
    if (linkat(b->from, f.path, b->to, f.path, 0) == 0) {
        if (fstatat(b->to, f.path, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return err_sys(err, "stat '%s'", f.path);
        f.bytes = (uint64_t)st.st_size;
        b->ret->linked_bytes += f.bytes;
    } else if (errno == ENOENT) {
        return err_set(err, ERR_CORRUPT, "segment '%s' is missing", f.path);
    } else { /* another file system, or one without links */
        const struct backup_copy c = {b->from, b->to, f.path, f.path, UINT64_MAX};
        r = backup_files_copy(&c, &f.bytes, NULL, err);
    }
    if (r == 0)
        note(b, &f);
    return r;
}

static int sync_dir(int at, const char *path, struct err *err)
{
    int fd = -1;
    int r = file_open_dir(at, path, &fd, err);

    if (r == 0)
        r = file_sync_dir(fd, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    return r;
}

static int take_day(struct backup *b, const struct place *p, struct err *err)
{
    struct lists l = {.days = {NULL, 0, 0}};
    char dir[64];
    char catalog[96];
    int r = is_cancelled(b, err);

    (void)snprintf(dir, sizeof(dir), "tenants/%016" PRIx64 "/%08d", p->tenant_id, p->day);
    (void)snprintf(catalog, sizeof(catalog), "%s/catalog.db", dir);
    if (r == 0)
        r = file_make_dirs(b->to, dir, 0700, err);
    if (r == 0)
        r = take_db(b, catalog, CATALOG_VERSION, err);
    if (r == 0)
        r = read_rows(b, catalog, CATALOG_VERSION, "SELECT uuid, root FROM segments", see_segment,
                      &l, err); /* keeps (2) */
    for (size_t i = 0; r == 0 && i < l.segments.n; i++)
        r = take_segment(b, dir, &l.segments.p[i], err);
    if (r == 0)
        r = sync_dir(b->to, dir, err);
    if (r == 0) { /* the tenant's, too */
        dir[sizeof("tenants/") - 1 + 16] = '\0';
        r = sync_dir(b->to, dir, err);
    }
    VEC_FINI(&l.segments);
    return r;
}

static int take_days(struct backup *b, struct err *err)
{
    struct lists l = {.days = {NULL, 0, 0}};
    int r =
        read_rows(b, "meta.db", META_VERSION,
                  "SELECT tenant, day FROM partition WHERE state IN (0, 3) ORDER BY tenant, day",
                  see_day, &l, err);

    if (r == 0)
        r = file_make_dirs(b->to, "tenants", 0700, err);
    for (size_t i = 0; r == 0 && i < l.days.n; i++)
        r = take_day(b, &l.days.p[i], err);
    VEC_FINI(&l.days);
    return r == 0 ? sync_dir(b->to, "tenants", err) : r;
}

/* ---- WAL ---- */

struct wal_list {
    VEC(uint64_t) numbers;
};

static int see_wal(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct wal_list *l = arg;
    uint64_t number;

    (void)dir_fd;
    (void)err;
    if (wal_format_parse_name(name, &number))
        VEC_PUSH(&l->numbers, number);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* Position of its first byte.  1: it is gone: it ended before what meta.db has. */
static int base_of(int dir, const char *path, uint64_t *ret, struct err *err)
{
    char bytes[WAL_HEADER];
    struct wal_header h;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r;

    if (fd < 0)
        return errno == ENOENT ? 1 : err_sys(err, "open '%s'", path);
    r = file_pread_all(fd, bytes, sizeof(bytes), 0, err);
    if (r == 0)
        r = wal_format_parse_header(bytes, &h, err);
    if (r == 0)
        *ret = h.base;
    (void)close(fd); /* only read from */
    return r < 0 ? err_wrap(err, "'%s'", path) : 0;
}

static int take_wal_file(struct backup *b, uint64_t number, uint64_t durable, struct err *err)
{
    struct backup_file f = {.is_root = false};
    struct backup_copy c = {b->from, b->to, f.path, f.path, UINT64_MAX};
    char name[WAL_NAME + 1];
    uint64_t base = 0;
    int r;

    wal_format_name(number, name);
    (void)snprintf(f.path, sizeof(f.path), "wal/%s", name);
    r = base_of(b->from, f.path, &base, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (durable != UINT64_MAX) {
        if (base >= durable)
            return 0;             /* made meanwhile */
        c.limit = durable - base; /* keeps (1): nothing behind it is in flight */
    }
    (void)fault_hit("backup.wal"); /* a place to be killed at */
    r = backup_files_copy(&c, &f.bytes, f.hash, err);
    if (r == 0)
        note(b, &f);
    return r;
}

static int take_wal(struct backup *b, struct err *err)
{
    uint64_t durable = b->store == NULL ? UINT64_MAX : wal_position(b->store->wal);
    struct wal_list l = {.numbers = {NULL, 0, 0}};
    int fd = -1;
    int r = file_make_dirs(b->to, "wal", 0700, err);

    if (r == 0)
        r = file_open_dir(b->from, "wal", &fd, err);
    if (r == 0)
        r = file_walk(fd, see_wal, &l, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    if (l.numbers.n > 1)
        qsort(l.numbers.p, l.numbers.n, sizeof(*l.numbers.p), by_number);
    for (size_t i = 0; r == 0 && i < l.numbers.n; i++) {
        r = is_cancelled(b, err);
        if (r == 0)
            r = take_wal_file(b, l.numbers.p[i], durable, err);
    }
    VEC_FINI(&l.numbers);
    return r == 0 ? sync_dir(b->to, "wal", err) : r;
}

/* ---- all of it ---- */

static int see_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    return err_set(err, ERR_EXISTS, "'%s' is not empty: '%.60s' is there", (const char *)arg, name);
}

/* An empty directory at `path`. */
static int make_empty(const char *path, int *ret_fd, struct err *err)
{
    int r = file_make_dirs(AT_FDCWD, path, 0700, err);

    if (r == 0)
        r = file_open_dir(AT_FDCWD, path, ret_fd, err);
    return r == 0 ? file_walk(*ret_fd, see_entry, (void *)(uintptr_t)path, err) : r;
}

/* Is `path` the directory `in`, or below it?  Both exist. */
static bool is_within(const char *path, const char *in)
{
    char a[PATH_MAX];
    char b[PATH_MAX];
    size_t n;

    if (realpath(path, a) == NULL || realpath(in, b) == NULL)
        return true;
    n = strlen(b);
    return strncmp(a, b, n) == 0 && (a[n] == '\0' || a[n] == '/' || strcmp(b, "/") == 0);
}

static int take_keyring(struct backup *b, struct err *err)
{
    const char *dir = b->opt->keyring_to;
    char from[PATH_MAX];
    char to[PATH_MAX];
    int fd = -1;
    int r;

    if (dir == NULL)
        return 0;
    r = make_empty(dir, &fd, err);
    if (r == 0 && (is_within(dir, b->opt->to) || is_within(dir, b->dir)))
        r = err_set(err, ERR_INVALID, "the keyring's copy must not lie beside the data");
    if (r == 0 && (snprintf(from, sizeof(from), "%s/keyring.db", b->dir) >= (int)sizeof(from) ||
                   snprintf(to, sizeof(to), "%s/keyring.db", dir) >= (int)sizeof(to)))
        r = err_set(err, ERR_INVALID, "a path is too long");
    if (r == 0)
        r = copy_db(from, b->store == NULL, KEYRING_VERSION, to, err);
    if (r == 0)
        r = sync_file(fd, "keyring.db", err);
    if (r == 0)
        r = file_sync_dir(fd, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    return r;
}

static void take_position(struct lists *l, struct sqlite3_stmt *st)
{
    struct place p = {.tenant_id = db_column_u64(st, 0)};

    VEC_PUSH(&l->days, p);
}

static int note_position(struct backup *b, struct err *err)
{
    struct lists l = {.days = {NULL, 0, 0}};
    int r = read_rows(b, "meta.db", META_VERSION, "SELECT wal_pos FROM progress", take_position, &l,
                      err);

    b->ret->wal_pos = l.days.n == 0 ? 0 : l.days.p[0].tenant_id;
    VEC_FINI(&l.days);
    return r;
}

static int run(struct backup *b, struct err *err)
{
    int r = make_empty(b->opt->to, &b->to, err);

    if (r == 0 && is_within(b->opt->to, b->dir))
        r = err_set(err, ERR_INVALID, "a backup must not lie in the data directory");
    buf_init(&b->manifest, BACKUP_MANIFEST_MAX);
    backup_manifest_begin(&b->manifest);
    if (r == 0)
        r = take_db(b, "meta.db", META_VERSION, err);
    if (r == 0)
        r = note_position(b, err);
    if (r == 0)
        r = take_days(b, err);
    if (r == 0)
        r = take_wal(b, err);
    if (r == 0)
        r = take_keyring(b, err);
    backup_manifest_end(&b->manifest, b->ret->files);
    if (r == 0)
        r = buf_err(&b->manifest, "MANIFEST", err);
    if (r == 0)
        r = file_sync_dir(b->to, err);
    if (r == 0)
        r = file_replace(b->to, "MANIFEST", 0600, buf_str(&b->manifest), err); /* keeps (3) */
    buf_fini(&b->manifest);
    if (b->to >= 0)
        (void)close(b->to); /* a directory */
    return r < 0 ? err_wrap(err, "backup") : 0;
}

/* ---- doors ---- */

int backup_store(struct store *s, const struct backup_options *opt, struct backup_result *ret,
                 struct err *err)
{
    struct backup b = {
        .opt = opt, .ret = ret, .store = s, .dir = s->opt.dir, .from = s->dir_fd, .to = -1};
    struct partition_pin pin;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    *ret = (struct backup_result){0};
    (void)pthread_mutex_lock(&s->flush_mutex); /* a day that is being dropped goes first */
    (void)pthread_mutex_lock(&s->mutex);
    s->backups++;
    pin = partition_cache_pin(s->partitions, 0, s->visible);
    (void)pthread_mutex_unlock(&s->mutex);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    wal_hold(s->wal);
    r = run(&b, err);
    wal_release(s->wal);
    partition_cache_unpin(s->partitions, &pin);
    (void)pthread_mutex_lock(&s->mutex);
    s->backups--;
    (void)pthread_mutex_unlock(&s->mutex);
    return r;
}

int backup_dir(const char *dir, const struct backup_options *opt, struct backup_result *ret,
               struct err *err)
{
    struct backup b = {.opt = opt, .ret = ret, .dir = dir, .from = -1, .to = -1};
    int lock = -1;
    int r;

    *ret = (struct backup_result){0};
    r = file_open_dir(AT_FDCWD, dir, &b.from, err);
    if (r == 0)
        r = file_lock(b.from, "lock", &lock, err);
    if (r == 0)
        r = run(&b, err);
    if (lock >= 0)
        (void)close(lock); /* gives it back */
    if (b.from >= 0)
        (void)close(b.from);
    return r;
}
