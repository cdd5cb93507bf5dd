/* tests/unit/storage/catalog_world.h - a keyring and a partition cache in a directory of the test's
 * own, segments written into a partition, and what its catalog says. */
#ifndef LOGQ_TESTS_UNIT_STORAGE_CATALOG_WORLD_H
#define LOGQ_TESTS_UNIT_STORAGE_CATALOG_WORLD_H

#include "storage/catalog.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/keyring.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/partition_cache.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY = 20261121 };

struct fixture {
    int dir;
    char path[TMPDIR_PATH_MAX];
    char tenants[TMPDIR_PATH_MAX + 16];
    struct keyring *keyring;
    struct partition_cache *cache;
};

static inline void open_cache(struct fixture *f, size_t max_open)
{
    struct err err;

    if (partition_cache_new(f->tenants, f->keyring, max_open, &f->cache, &err) < 0)
        fail_msg("%s", err.text);
}

static inline struct fixture set_up(void)
{
    struct fixture f = {0};
    char db[TMPDIR_PATH_MAX + 16];
    char master[TMPDIR_PATH_MAX + 16];
    struct err err;

    f.dir = tmpdir_open(f.path);
    (void)snprintf(f.tenants, sizeof(f.tenants), "%s/tenants", f.path);
    (void)snprintf(db, sizeof(db), "%s/keyring.db", f.path);
    (void)snprintf(master, sizeof(master), "%s/master", f.path);
    if (keyring_make_master(master, &err) < 0 || keyring_open(db, master, &f.keyring, &err) < 0)
        fail_msg("%s", err.text);
    open_cache(&f, 0);
    return f;
}

static inline void tear_down(struct fixture *f)
{
    partition_cache_free(&f->cache);
    keyring_close(&f->keyring);
    tmpdir_close(f->dir);
}

static inline void reopen(struct fixture *f)
{
    partition_cache_free(&f->cache);
    open_cache(f, 0);
}

static inline struct partition *get(struct fixture *f, uint64_t tenant, int32_t day)
{
    struct partition *p = NULL;
    struct err err;

    if (partition_cache_get(f->cache, tenant, day, true, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

static inline int write_some(struct partition *p, uint64_t seed, uint64_t wal_to, uint32_t n,
                             struct partition_written *ret, struct err *err)
{
    struct records_options opt = {.seed = seed,
                                  .n = n == 0 ? 1 : n,
                                  .n_streams = 5,
                                  .first_seq = wal_to * 1000,
                                  .from = time_of_day(partition_day(p)),
                                  .span = NS_PER_H};
    struct batch *b = records_make(&opt);
    struct segment_row *rows = calloc(opt.n, sizeof(*rows));
    int r;

    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct segment_row){b, i, opt.from + (ts_ns)wal_to};
    r = partition_write(p, rows, n, wal_to, ret, err);
    free(rows);
    batch_unref(&b);
    return r;
}

/* A row of the day after, which a scan would never look for here. */
static inline int write_late(struct partition *p, uint64_t wal_to, struct err *err)
{
    struct records_options opt = {
        .seed = 1, .n = 1, .from = time_of_day(DAY) + NS_PER_DAY, .span = 1};
    struct batch *b = records_make(&opt);
    struct segment_row row = {b, 0, 1};
    struct partition_written w;
    int r = partition_write(p, &row, 1, wal_to, &w, err);

    batch_unref(&b);
    return r;
}

static inline uint64_t applied(struct partition *p)
{
    uint64_t ret = 0;
    struct err err;

    assert_int_equal(partition_applied(p, &ret, &err), 0);
    return ret;
}

static const struct catalog_range EVERYTHING = {UINT64_MAX, INT64_MIN, INT64_MAX};

struct dump {
    uint64_t rows, streams, blocks, segments;
    struct catalog *c;
};

static inline int dump_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct dump *d = arg;

    (void)err;
    assert_true(id > 0);
    assert_true(l->n >= 2);
    check_str(labels_get(l, STR("host")), "h1");
    d->streams++;
    return 0;
}

static inline int dump_block(void *arg, uint32_t index, const struct segment_block *b,
                             struct err *err)
{
    struct dump *d = arg;

    (void)index;
    (void)err;
    d->blocks++;
    d->rows += b->rows;
    return 0;
}

static inline int dump_segment(void *arg, const struct catalog_segment *s, struct err *err)
{
    struct dump *d = arg;

    d->segments++;
    assert_true(s->n_streams >= 1);
    return catalog_blocks(d->c, s->id, &EVERYTHING, dump_block, d, err);
}

static inline int dump_all(void *arg, struct catalog *c, struct err *err)
{
    struct dump *d = arg;
    int r;

    d->c = c;
    r = catalog_streams(c, dump_stream, d, err);
    return r < 0 ? r : catalog_segments(c, &EVERYTHING, dump_segment, d, err);
}

static inline struct dump dump(struct partition *p)
{
    struct dump d = {0};
    struct err err;

    if (partition_read(p, dump_all, &d, &err) < 0)
        fail_msg("%s", err.text);
    return d;
}

/* The only directory of the only tenant. */
static inline int partition_dir(const struct fixture *f)
{
    int fd = openat(f->dir, "tenants/0000000000000001/20261121", O_RDONLY | O_DIRECTORY);

    assert_true(fd >= 0);
    return fd;
}

#endif
