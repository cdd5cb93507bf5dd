/*
 * storage/partition_open.c - opening a partition: directory, key, catalog.
 *
 * A catalog that is missing or damaged is put aside and starts empty; then every segment is unknown
 * to it, and partition_adopt.c takes them in by the rule that it has for what a crash leaves.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/time.h"
#include "storage/catalog.h"
#include "storage/keyring.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAMAGED "catalog.db.damaged-"

enum {
    NAME_MAX_BYTES = 40,
    KEPT_ASIDE = 2, /* damaged catalogs */
};

static void partition_name(const struct partition *p, char ret[NAME_MAX_BYTES])
{
    (void)snprintf(ret, NAME_MAX_BYTES, "%016" PRIx64 "/%08d", p->tenant_id, p->day);
}

struct aside {
    uint64_t oldest; /* of the names "catalog.db.damaged-<unix seconds>" */
    size_t n;
};

static int see_aside(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct aside *a = arg;
    struct str s = str_of(name);
    uint64_t at = 0;

    (void)dir_fd;
    (void)err;
    if (!str_starts(s, STR(DAMAGED)))
        return 0;
    for (size_t i = sizeof(DAMAGED) - 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || at > UINT64_MAX / 10 - 1)
            return 0;
        at = at * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (a->n++ == 0 || at < a->oldest)
        a->oldest = at;
    return 0;
}

/* A disk that damages one catalog after the other must not be filled by what is kept of them. */
static int make_room(int dir_fd, struct err *err)
{
    for (;;) {
        struct aside a = {0};
        char name[64];
        int r = file_walk(dir_fd, see_aside, &a, err);
        if (r < 0 || a.n < KEPT_ASIDE)
            return r;
        (void)snprintf(name, sizeof(name), DAMAGED "%" PRIu64, a.oldest);
        if (unlinkat(dir_fd, name, 0) != 0)
            return err_sys(err, "remove an old damaged catalog");
    }
}

/* Move a catalog that cannot be used out of the way, keeping it for whoever wants to know why. */
static int put_aside(const struct partition *p, int dir_fd, const struct err *why, struct err *err)
{
    char name[64];
    char text[sizeof(why->text) + 96];

    int r = make_room(dir_fd, err);

    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), DAMAGED "%" PRId64, (int64_t)(time_now() / NS_PER_S));
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
 * is missing while its key is there was taken by somebody else.  *make stays true when the key is
 * new, too. */
static int open_dir(struct partition *p, const char *name, bool *make, int *ret_fd, struct err *err)
{
    int r = keyring_partition(p->cache->keyring, p->tenant_id, p->day, false, p->key, err);
    bool may_make = *make;

    *make = may_make && r == ERR_GONE;
    if (*make)
        r = keyring_partition(p->cache->keyring, p->tenant_id, p->day, true, p->key, err);
    if (r < 0)
        return r;
    r = file_open_dir(p->cache->dir_fd, name, ret_fd, err);
    if (r != ERR_GONE)
        return r;
    if (!may_make)
        return err_set(err, ERR_CORRUPT, "its directory is missing, but its key is not");
    r = make_dir(p, name, err);
    return r < 0 ? r : file_open_dir(p->cache->dir_fd, name, ret_fd, err);
}

/* A constraint that does not hold is damage, too: an index that disagrees with its table. */
static bool is_damage(int code)
{
    return code == ERR_CORRUPT || code == ERR_EXISTS;
}

/* Fill a new catalog from the segments.  `is_first`: there was none before that could be lost, as
 * long as there are no segments either. */
static int refill(struct partition *p, bool is_first, struct err *err)
{
    uint64_t before = atomic_load(&p->cache->adopted_segments);
    int r = partition_adopt(p, true, err);
    bool is_new = r == 0 && atomic_load(&p->cache->adopted_segments) == before;

    if (!is_first || !is_new)
        atomic_fetch_add(&p->cache->renewed, 1);
    if (r == 0 && !is_new)
        atomic_fetch_add(&p->cache->rebuilt_catalogs, 1);
    return r;
}

static int open_all(struct partition *p, int dir_fd, const char *name, bool is_first,
                    struct err *err)
{
    int fresh;
    int r = p->cache->objects == NULL
                ? objstore_fs_open(dir_fd, &p->objects, err)
                : p->cache->objects(p->cache->objects_arg, p->tenant_id, p->day, &p->objects, err);

    if (r < 0)
        return r;
    fresh = open_catalog(p, dir_fd, name, err);
    if (fresh < 0)
        return fresh;
    if (fresh == 1)
        return refill(p, is_first, err);
    r = partition_adopt(p, false, err);
    if (is_damage(r)) {
        struct err why = *err;
        r = renew_catalog(p, dir_fd, name, &why, err);
        if (r == 0)
            r = refill(p, false, err);
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
        r = refill(p, false, err);
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
    r = open_dir(p, name, &make, &dir_fd, err);
    if (r == 0)
        r = open_all(p, dir_fd, name, make, err);
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
