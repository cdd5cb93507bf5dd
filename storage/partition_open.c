/*
 * storage/partition_open.c - opening a partition: directory, key, catalog, and files that the
 * catalog does not know.
 *
 * The catalog is made again by the same rule that takes in what a crash has left (partition.h,
 * position rule): a catalog that is missing or damaged is put aside and starts empty, and then
 * every segment is unknown to it. Unknown segments are looked at in order of the span they cover,
 * the longest first among those that start at the same position: it is the last attempt at that
 * span, the others are leftovers of attempts that failed.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/time.h"
#include "base/vec.h"
#include "storage/catalog.h"
#include "storage/keyring.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"
#include "storage/segment_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 40 };

struct unknown {
    uint8_t uuid[SEGMENT_UUID];
    uint64_t wal_from, wal_to;
};

struct look {
    struct partition *p;
    VEC(struct unknown) found;
};

static void partition_name(const struct partition *p, char ret[NAME_MAX_BYTES])
{
    (void)snprintf(ret, NAME_MAX_BYTES, "%016" PRIx64 "/%08d", p->tenant_id, p->day);
}

static void note_unreadable(struct partition *p, const struct err *why)
{
    if (p->unreadable++ == 0)
        (void)snprintf(p->unreadable_text, sizeof(p->unreadable_text), "%.199s", why->text);
    atomic_fetch_add(&p->cache->damaged, 1);
}

/* What a segment says of the span it covers; 1: it cannot be read, which is noted. */
static int look_into(struct partition *p, struct unknown *u, struct err *err)
{
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    int rc = segment_reader_open(p->objects, u->uuid, NULL, &r, err);

    if (rc == 0)
        rc = segment_reader_info(r, NULL, &info, err);
    if (rc == 0 && (info->tenant_id != p->tenant_id || info->day != p->day))
        rc = err_set(err, ERR_CORRUPT, "a segment of another partition lies here");
    if (rc == 0) {
        u->wal_from = info->wal_from;
        u->wal_to = info->wal_to;
    }
    segment_info_free(&info);
    segment_reader_free(&r);
    if (rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED)
        return rc;
    note_unreadable(p, err);
    return 1;
}

static int see_object(void *arg, const char *name, struct err *err)
{
    struct look *l = arg;
    struct unknown u = {.wal_from = 0};
    bool known = false;
    int r;

    if (!segment_uuid_of(name, u.uuid))
        return 0;
    r = catalog_has(l->p->catalog, u.uuid, &known, err);
    if (r < 0 || known)
        return r;
    r = look_into(l->p, &u, err);
    if (r == 0)
        VEC_PUSH(&l->found, u);
    return r < 0 ? r : 0;
}

static int by_span(const void *a, const void *b)
{
    const struct unknown *x = a;
    const struct unknown *y = b;

    if (x->wal_from != y->wal_from)
        return x->wal_from < y->wal_from ? -1 : 1;
    if (x->wal_to != y->wal_to)
        return x->wal_to > y->wal_to ? -1 : 1;
    return memcmp(x->uuid, y->uuid, SEGMENT_UUID);
}

static int adopt(struct partition *p, const struct unknown *u, struct err *err)
{
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    int rc = segment_reader_open(p->objects, u->uuid, p->key, &r, err);

    if (rc == 0)
        rc = segment_reader_info(r, NULL, &info, err);
    if (rc == ERR_CORRUPT) { /* its key or its stream table is damaged */
        note_unreadable(p, err);
        rc = 0;
    } else if (rc == 0) {
        rc = catalog_insert(p->catalog, info, err);
        if (rc == 0)
            atomic_fetch_add(&p->cache->adopted_segments, 1);
    }
    segment_info_free(&info);
    segment_reader_free(&r);
    return rc;
}

static int take_in(struct partition *p, const struct unknown *u, struct err *err)
{
    char name[SEGMENT_NAME_MAX];
    uint64_t applied = 0;
    bool covered = false;
    struct err why;
    int r = catalog_applied(p->catalog, &applied, err);

    if (r < 0)
        return r;
    if (u->wal_from >= applied && u->wal_to > applied)
        return adopt(p, u, err);
    r = catalog_covers(p->catalog, u->wal_from, u->wal_to, &covered, err);
    if (r < 0)
        return r;
    if (!covered) { /* no leftover: it could not be opened when its turn was */
        (void)err_set(&why, ERR_CORRUPT, "no other segment has the span of this one");
        note_unreadable(p, &why);
        return 0;
    }
    segment_name(u->uuid, name);
    r = objstore_delete(p->objects, name, err);
    if (r == 0)
        atomic_fetch_add(&p->cache->removed_leftovers, 1);
    return r;
}

static int take_in_unknown(struct partition *p, struct err *err)
{
    struct look l = {.p = p};
    int r = objstore_list(p->objects, see_object, &l, err);

    if (r == 0 && l.found.n > 1)
        qsort(l.found.p, l.found.n, sizeof(*l.found.p), by_span);
    for (size_t i = 0; r == 0 && i < l.found.n; i++)
        r = take_in(p, &l.found.p[i], err);
    VEC_FINI(&l.found);
    return r;
}

/* Move a catalog that cannot be used out of the way, keeping it for whoever wants to know why. */
static int put_aside(const struct partition *p, int dir_fd, const struct err *why, struct err *err)
{
    char name[64];
    char text[sizeof(why->text) + 96];

    (void)snprintf(name, sizeof(name), "catalog.db.damaged-%" PRId64,
                   (int64_t)(time_now() / NS_PER_S));
    if (renameat(dir_fd, "catalog.db", dir_fd, name) != 0 && errno != ENOENT)
        return err_sys(err, "put a damaged catalog aside");
    /* Journals of the old file must not be played into the new one. */
    if ((unlinkat(dir_fd, "catalog.db-wal", 0) != 0 && errno != ENOENT) ||
        (unlinkat(dir_fd, "catalog.db-shm", 0) != 0 && errno != ENOENT))
        return err_sys(err, "remove a damaged catalog's journal");
    (void)snprintf(text, sizeof(text), "set aside as %s: %s", name, why->text);
    if (p->cache->notice != NULL)
        p->cache->notice(p->cache->notice_arg, "catalog.rebuilt", text);
    return file_sync_dir(dir_fd, err);
}

static int open_db(const struct partition *p, const char *name, struct catalog **ret,
                   struct err *err)
{
    size_t n = strlen(p->cache->dir) + NAME_MAX_BYTES + sizeof("//catalog.db");
    char *path = mem_new(n);
    int r;

    (void)snprintf(path, n, "%s/%s/catalog.db", p->cache->dir, name);
    r = catalog_open(path, p->tenant_id, p->day, p->key, ret, err);
    free(path);
    return r;
}

/* An empty catalog in place of the one that is no good.  The old one is closed only then: what
 * fails here leaves the partition with something that answers, if only by errors. */
static int renew_catalog(struct partition *p, int dir_fd, const char *name, const struct err *why,
                         struct err *err)
{
    struct catalog *fresh = NULL;
    int r = put_aside(p, dir_fd, why, err);

    if (r == 0)
        r = open_db(p, name, &fresh, err);
    if (r == 0) {
        catalog_close(&p->catalog);
        p->catalog = fresh;
        r = file_sync_dir(dir_fd, err);
    }
    return r;
}

/* 1: it is a new one. */
static int open_catalog(struct partition *p, int dir_fd, const char *name, struct err *err)
{
    bool fresh = faccessat(dir_fd, "catalog.db", F_OK, 0) != 0;
    int r = open_db(p, name, &p->catalog, err);

    if (r == ERR_CORRUPT) {
        struct err why = *err;
        r = renew_catalog(p, dir_fd, name, &why, err);
        return r < 0 ? r : 1;
    }
    if (r == 0 && fresh)
        r = file_sync_dir(dir_fd, err);
    return r < 0 ? r : fresh;
}

/* New directories are made durable from the top, or a power cut could take a whole partition with
 * its entry. */
static int make_dir(struct partition *p, const char *name, struct err *err)
{
    char tenant[NAME_MAX_BYTES];
    int fd = -1;
    int r = file_make_dirs(p->cache->dir_fd, name, 0700, err);

    (void)snprintf(tenant, sizeof(tenant), "%016" PRIx64, p->tenant_id);
    if (r == 0)
        r = file_sync_dir(p->cache->dir_fd, err);
    if (r == 0)
        r = file_open_dir(p->cache->dir_fd, tenant, &fd, err);
    if (r == 0)
        r = file_sync_dir(fd, err);
    if (fd >= 0)
        (void)close(fd); /* a directory: nothing unwritten */
    return r;
}

/* The key is asked for first: retention destroys it before it removes anything, so a directory that
 * is missing while its key is there was taken by somebody else. */
static int open_dir(struct partition *p, const char *name, bool make, int *ret_fd, struct err *err)
{
    int r = keyring_partition(p->cache->keyring, p->tenant_id, p->day, make, p->key, err);

    if (r < 0)
        return r;
    r = file_open_dir(p->cache->dir_fd, name, ret_fd, err);
    if (r != ERR_GONE)
        return r;
    if (!make)
        return err_set(err, ERR_CORRUPT, "its directory is missing, but its key is not");
    r = make_dir(p, name, err);
    return r < 0 ? r : file_open_dir(p->cache->dir_fd, name, ret_fd, err);
}

/* A constraint that does not hold is damage, too: an index that disagrees with its table. */
static bool is_damage(int code)
{
    return code == ERR_CORRUPT || code == ERR_EXISTS;
}

/* Fill a new catalog from the segments. */
static int refill(struct partition *p, struct err *err)
{
    uint64_t before = atomic_load(&p->cache->adopted_segments);
    int r;

    p->unreadable = 0;
    r = take_in_unknown(p, err);
    if (r == 0 && atomic_load(&p->cache->adopted_segments) != before)
        atomic_fetch_add(&p->cache->rebuilt_catalogs, 1);
    return r;
}

static int open_all(struct partition *p, int dir_fd, const char *name, struct err *err)
{
    int fresh;
    int r = objstore_fs_open(dir_fd, &p->objects, err);

    if (r < 0)
        return r;
    fresh = open_catalog(p, dir_fd, name, err);
    if (fresh < 0)
        return fresh;
    if (fresh == 1)
        return refill(p, err);
    p->unreadable = 0;
    r = take_in_unknown(p, err);
    if (is_damage(r)) {
        struct err why = *err;
        r = renew_catalog(p, dir_fd, name, &why, err);
        if (r == 0)
            r = refill(p, err);
    }
    return r;
}

int partition_rebuild(struct partition *p, const struct err *why, struct err *err)
{
    char name[NAME_MAX_BYTES];
    int dir_fd = -1;
    int r;

    OBJ_CHECK(p, PARTITION_MAGIC);
    partition_name(p, name);
    (void)pthread_mutex_lock(&p->mutex);
    r = file_open_dir(p->cache->dir_fd, name, &dir_fd, err);
    if (r == 0)
        r = renew_catalog(p, dir_fd, name, why, err);
    if (r == 0)
        r = refill(p, err);
    (void)pthread_mutex_unlock(&p->mutex);
    if (dir_fd >= 0)
        (void)close(dir_fd); /* a directory: nothing unwritten */
    return r < 0 ? err_wrap(err, "make the catalog of %s again", name) : 0;
}

int partition_open(struct partition *p, bool make, struct err *err)
{
    char name[NAME_MAX_BYTES];
    int dir_fd = -1;
    int r;

    if (p->is_open)
        return 0;
    partition_name(p, name);
    r = open_dir(p, name, make, &dir_fd, err);
    if (r == 0)
        r = open_all(p, dir_fd, name, err);
    if (dir_fd >= 0)
        (void)close(dir_fd); /* a directory: nothing unwritten */
    if (r < 0) {
        partition_close(p);
        return r == ERR_GONE ? r : err_wrap(err, "partition %s", name);
    }
    p->is_open = true;
    return 0;
}

void partition_close(struct partition *p)
{
    catalog_close(&p->catalog);
    objstore_free(&p->objects);
    crypt_wipe(p->key, sizeof(p->key));
    p->is_open = false;
}
