/*
 * storage/verify.c - the way through a data directory.  Contract: verify.h; parts:
 * verify_internal.h.
 *
 * Beside a running store a day's catalog and its row in meta.db are read as of one instant, under
 * the mutex that flush and compaction take for their commits; a pin from before keeps the files of
 * that instant in place, and from there on nobody is held up.
 */
#include "storage/verify.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"
#include "storage/keyring.h"
#include "storage/objstore.h"
#include "storage/partition_cache.h"
#include "storage/store_internal.h"
#include "storage/verify_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void verify_tell(struct verify *v, enum verify_kind kind, const struct verify_finding *where,
                 const char *fmt, ...)
{
    struct verify_finding f = *where;
    char text[320];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    f.kind = kind;
    f.text = text;
    v->ret->damage += kind == VERIFY_DAMAGE;
    v->ret->unchecked += kind == VERIFY_UNCHECKED;
    v->ret->notes += kind == VERIFY_NOTE;
    if (v->fn != NULL)
        v->fn(v->arg, &f);
}

int verify_note(struct verify *v, const struct verify_finding *where, const struct err *err)
{
    enum verify_kind kind = VERIFY_UNCHECKED;

    if (err->code == ERR_CANCELLED || err->code == ERR_NOMEM)
        return err->code;
    if (err->code == ERR_CORRUPT || err->code == ERR_GONE || err->code == ERR_EXISTS ||
        err->code == ERR_LIMIT)
        kind = VERIFY_DAMAGE;
    verify_tell(v, kind, where, "%s", err->text);
    return 0;
}

int verify_is_cancelled(const struct verify *v, struct err *err)
{
    if (v->opt->cancel != NULL && atomic_load(v->opt->cancel))
        return err_set(err, ERR_CANCELLED, "the verification was cancelled");
    return 0;
}

void verify_segment_file(const struct verify_day *d, const uint8_t *uuid, char ret[VERIFY_NAME])
{
    char name[SEGMENT_NAME_MAX];

    segment_name(uuid, name);
    (void)snprintf(ret, VERIFY_NAME, "%s/%s", d->dir, name);
}

/* ---- a day ---- */

static void count_catalog(struct verify_day *d)
{
    static const char *const SUFFIX[] = {"", "-wal"};
    struct verify_bytes *bytes = &d->v->ret->bytes;

    for (size_t i = 0; i < sizeof(SUFFIX) / sizeof(SUFFIX[0]); i++) {
        char name[VERIFY_NAME];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%s%s", d->catalog_file, SUFFIX[i]);
        if (fstatat(d->v->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; /* told where it is opened */
        bytes->catalog += (uint64_t)st.st_size;
        bytes->total += (uint64_t)st.st_size;
    }
}

static int take_key(struct verify_day *d, struct err *err)
{
    const struct verify_finding where = {.file = "keyring.db", .block = -1, .offset = -1};
    bool there = true;
    int r;

    if (d->v->keyring == NULL) {
        r = verify_meta_key(d->v, d->tenant_id, d->day, &there, err);
        if (r == 0 && !there)
            verify_tell(d->v, VERIFY_DAMAGE, &where, "there is no key of %s", d->dir);
        return r < 0 ? verify_note(d->v, &where, err) : 0;
    }
    r = keyring_partition(d->v->keyring, d->tenant_id, d->day, 0, d->key, err);
    d->has_key = r == 0;
    return r < 0 ? verify_note(d->v, &where, err) : 0;
}

static int see_segment(void *arg, const char *name, struct err *err)
{
    uint8_t uuid[SEGMENT_UUID];

    (void)err;
    *(bool *)arg = *(bool *)arg || segment_uuid_of(name, uuid);
    return 0;
}

/* A directory and a catalog come first, then segments, then the row in meta.db: a crash between the
 * first two leaves something that nobody knows of and that holds nothing. */
static int look_whether_begun(struct verify_day *d, struct err *err)
{
    bool has_segment = false;
    int r = verify_meta_row(d, err);

    if (r == 0)
        r = objstore_list(d->objects, see_segment, &has_segment, err);
    d->is_begun = r == 0 && d->v->meta != NULL && !d->row.found && !has_segment;
    return r == ERR_CANCELLED || r == ERR_NOMEM ? r
                                                : 0; /* the rest is told where it is looked at */
}

/* The catalog, and the row of meta.db, as of one instant. */
static int open_catalog(struct verify_day *d, struct err *err)
{
    const struct verify_finding where = {.file = d->catalog_file, .block = -1, .offset = -1};
    struct verify *v = d->v;
    char path[VERIFY_PATH];
    int r;

    (void)snprintf(path, sizeof(path), "%s/%s", v->dir, d->catalog_file);
    if (v->store != NULL)
        (void)pthread_mutex_lock(&v->store->flush_mutex);
    r = catalog_open_reader(path, v->store == NULL, d->has_key ? d->key : NULL, &d->catalog, err);
    if (r == 0)
        r = db_exec(d->catalog->db, "BEGIN; SELECT one FROM partition", err);
    if (r == 0)
        r = verify_meta_row(d, err);
    if (v->store != NULL)
        (void)pthread_mutex_unlock(&v->store->flush_mutex);
    if (r < 0)
        catalog_close(&d->catalog);
    if (r < 0 && d->is_begun && r != ERR_CANCELLED && r != ERR_NOMEM) {
        verify_tell(v, VERIFY_NOTE, &where, "the day was being made: %s", err->text);
        return 0;
    }
    return r < 0 ? verify_note(v, &where, err) : 0;
}

static int check_open_day(struct verify_day *d, struct err *err)
{
    int r = take_key(d, err);

    if (r == 0)
        r = open_catalog(d, err);
    count_catalog(d);
    if (r == 0)
        r = verify_catalog(d, err);
    if (r == 0)
        verify_meta_day(d);
    catalog_close(&d->catalog);
    verify_seqs_free(&d->seqs);
    crypt_wipe(d->key, sizeof(d->key));
    return r;
}

static int check_still_day(struct verify_day *d, struct err *err)
{
    const struct verify_finding where = {.file = d->dir, .block = -1, .offset = -1};
    int fd = -1;
    int r = file_open_dir(d->v->dir_fd, d->dir, &fd, err);

    if (r == 0)
        r = objstore_fs_open(fd, &d->objects, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    if (r == 0)
        r = look_whether_begun(d, err);
    r = r < 0 ? verify_note(d->v, &where, err) : check_open_day(d, err);
    objstore_free(&d->objects);
    return r;
}

/* Beside a running store. */
static int check_live_day(struct verify_day *d, struct err *err)
{
    const struct verify_finding where = {.file = d->dir, .block = -1, .offset = -1};
    struct store *s = d->v->store;
    struct partition *p = NULL;
    struct partition_pin pin;
    int r;

    (void)pthread_mutex_lock(&s->mutex);
    pin = partition_cache_pin(s->partitions, 0, s->visible);
    (void)pthread_mutex_unlock(&s->mutex);
    r = partition_cache_get(s->partitions, d->tenant_id, d->day, false, &p, err);
    if (r == 0) {
        uint64_t before = d->v->ret->damage;
        d->objects = partition_objects(p);
        r = check_open_day(d, err);
        if (r == 0 && partition_is_dropped(p) && d->v->ret->damage != before)
            verify_tell(d->v, VERIFY_NOTE, &where, "was dropped by retention meanwhile");
    } else if (r == ERR_GONE) {
        r = 0; /* dropped meanwhile */
    } else {
        r = verify_note(d->v, &where, err);
    }
    partition_unref(&p);
    partition_cache_unpin(s->partitions, &pin);
    return r;
}

static int check_day(struct verify *v, uint64_t tenant_id, int32_t day, struct err *err)
{
    struct verify_day d = {.v = v, .tenant_id = tenant_id, .day = day};
    int r = verify_is_cancelled(v, err);

    if (r < 0)
        return r;
    (void)snprintf(d.dir, sizeof(d.dir), "tenants/%016" PRIx64 "/%08d", tenant_id, day);
    (void)snprintf(d.catalog_file, sizeof(d.catalog_file), "%s/catalog.db", d.dir);
    v->ret->partitions++;
    return v->store == NULL ? check_still_day(&d, err) : check_live_day(&d, err);
}

/* ---- all days ---- */

struct place {
    uint64_t tenant_id;
    int32_t day;
};

struct places {
    struct verify *v;
    VEC(struct place) list;
    uint64_t tenant_id;
    char dir[32]; /* being walked */
};

static bool read_number(const char *name, size_t digits, unsigned base, uint64_t *ret)
{
    uint64_t n = 0;

    if (strlen(name) != digits)
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
                         : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
                                                  : 99;
        if (digit >= base)
            return false;
        n = n * base + digit;
    }
    *ret = n;
    return true;
}

static void tell_stranger(const struct places *s, const char *name)
{
    struct verify_finding where = {.block = -1, .offset = -1};
    char file[VERIFY_NAME];

    (void)snprintf(file, sizeof(file), "%s/%.60s", s->dir, name);
    where.file = file;
    verify_tell(s->v, VERIFY_NOTE, &where, "is no file of ours");
}

static int see_day(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct places *s = arg;
    struct place place = {.tenant_id = s->tenant_id};
    uint64_t day;

    (void)dir_fd;
    (void)err;
    if (!read_number(name, 8, 10, &day)) {
        tell_stranger(s, name);
        return 0;
    }
    place.day = (int32_t)day;
    VEC_PUSH(&s->list, place);
    return 0;
}

static int see_tenant(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct places *s = arg;
    int fd = -1;
    int r;

    (void)snprintf(s->dir, sizeof(s->dir), "tenants");
    if (!read_number(name, 16, 16, &s->tenant_id)) {
        tell_stranger(s, name);
        return 0;
    }
    r = file_open_dir(dir_fd, name, &fd, err);
    (void)snprintf(s->dir, sizeof(s->dir), "tenants/%.16s", name);
    if (r == 0)
        r = file_walk(fd, see_day, s, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    return r;
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;

    if (x->tenant_id != y->tenant_id)
        return x->tenant_id < y->tenant_id ? -1 : 1;
    return (x->day > y->day) - (x->day < y->day);
}

static int check_days(struct verify *v, struct err *err)
{
    const struct verify_finding where = {.file = "tenants", .block = -1, .offset = -1};
    struct places s = {.v = v};
    int fd = -1;
    int r = file_open_dir(v->dir_fd, "tenants", &fd, err);

    if (r == ERR_GONE) /* nothing was ever flushed, or meta.db knows of days that are not there */
        return 0;
    if (r == 0)
        r = file_walk(fd, see_tenant, &s, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    if (r < 0)
        r = verify_note(v, &where, err);
    if (s.list.n > 1)
        qsort(s.list.p, s.list.n, sizeof(*s.list.p), by_place);
    for (size_t i = 0; r == 0 && i < s.list.n; i++)
        r = check_day(v, s.list.p[i].tenant_id, s.list.p[i].day, err);
    VEC_FINI(&s.list);
    return r;
}

/* A server never ran on it. */
static bool is_new(const struct verify *v)
{
    static const char *const NAMES[] = {"meta.db", "keyring.db", "wal", "tenants"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (faccessat(v->dir_fd, NAMES[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return false;
    return true;
}

static int run(struct verify *v, struct err *err)
{
    int r;

    v->ret->with_keys = v->keyring != NULL;
    r = verify_meta_open(v, err);
    if (r == 0)
        r = verify_wal(v, err);
    if (r == 0)
        r = check_days(v, err);
    if (r == 0)
        r = verify_meta(v, err);
    verify_meta_close(v);
    return r;
}

/* ---- doors ---- */

static int open_keyring(struct verify *v, struct err *err)
{
    const struct verify_finding where = {.file = "keyring.db", .block = -1, .offset = -1};
    char path[VERIFY_PATH];

    if (v->opt->master_key == NULL)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/keyring.db", v->dir);
    if (access(path, F_OK) != 0) {
        verify_tell(v, VERIFY_DAMAGE, &where, "is not there");
        return 0;
    }
    return keyring_open(path, v->opt->master_key, &v->keyring, err);
}

int verify_structure(const struct verify_options *opt, verify_report_fn *fn, void *arg,
                     struct verify_result *ret, struct err *err)
{
    struct verify v = {.opt = opt, .fn = fn, .arg = arg, .ret = ret, .dir = opt->dir, .dir_fd = -1};
    int lock = -1;
    int r;

    *ret = (struct verify_result){0};
    r = file_open_dir(AT_FDCWD, opt->dir, &v.dir_fd, err);
    if (r == 0) {
        r = file_lock(v.dir_fd, "lock", &lock, err);
        if (r == ERR_IO && (err->sys == EROFS || err->sys == EACCES))
            r = 0; /* a copy on a medium that nobody writes to */
    }
    if (r == 0 && !is_new(&v)) {
        r = open_keyring(&v, err);
        if (r == 0)
            r = run(&v, err);
    }
    keyring_close(&v.keyring);
    if (lock >= 0)
        (void)close(lock); /* gives it back */
    if (v.dir_fd >= 0)
        (void)close(v.dir_fd);
    return r;
}

int verify_store(struct store *s, const struct verify_options *opt, verify_report_fn *fn, void *arg,
                 struct verify_result *ret, struct err *err)
{
    struct verify v = {.opt = opt,
                       .fn = fn,
                       .arg = arg,
                       .ret = ret,
                       .dir = s->opt.dir,
                       .dir_fd = s->dir_fd,
                       .store = s,
                       .keyring = s->keyring};

    OBJ_CHECK(s, STORE_MAGIC);
    *ret = (struct verify_result){0};
    return run(&v, err);
}
