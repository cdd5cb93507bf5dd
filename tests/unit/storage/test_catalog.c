/*
 * storage/catalog*.c and partition*.c: what a write commits, what a crash leaves, how a lost
 * catalog comes back, and how many partitions stay open.
 */
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
#include "tests/unit/storage/catalog_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_write_commits_segment_and_position_together(void **state)
{
    struct fixture f = set_up();
    struct partition_written w;
    struct partition_written total;
    struct partition *p = get(&f, 1, DAY);
    struct dump d;
    struct err err;

    (void)state;
    assert_int_equal(applied(p), 0);
    assert_int_equal(write_some(p, 1, 10, 100, &w, &err), 0);
    assert_true(w.rows == 100 && w.segments == 1 && w.wal_to == 10);
    assert_int_equal(applied(p), 10);
    assert_int_equal(write_some(p, 2, 25, 50, &w, &err), 0);
    assert_true(w.newest_received == time_of_day(DAY) + 25);
    assert_int_equal(write_some(p, 3, 30, 0, &w, &err), 0); /* only the position */
    assert_int_equal(w.segments, 0);
    assert_int_equal(write_some(p, 3, 30, 5, &w, &err), ERR_INVALID);
    assert_int_equal(write_late(p, 40, &err), ERR_INVALID);
    partition_unref(&p);

    reopen(&f);
    p = get(&f, 1, DAY);
    assert_int_equal(applied(p), 30);
    d = dump(p);
    assert_true(d.segments == 2 && d.rows == 150 && d.streams == 5);
    assert_int_equal(partition_totals(p, &total, &err), 0);
    assert_true(total.rows == 150 && total.segments == 2 && total.wal_to == 30 &&
                total.newest_received == time_of_day(DAY) + 25);
    assert_true(total.stored_bytes > 0 && total.line_bytes > 0 &&
                total.raw_bytes >= total.line_bytes);
    partition_unref(&p);
    tear_down(&f);
}

static void a_partition_that_is_not_there_is_gone(void **state)
{
    struct fixture f = set_up();
    struct partition *p = NULL;
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(partition_cache_get(f.cache, 1, DAY, false, &p, &err), ERR_GONE);
    p = get(&f, 1, DAY);
    assert_int_equal(write_some(p, 1, 10, 3, &w, &err), 0);
    partition_unref(&p);
    assert_int_equal(partition_cache_get(f.cache, 1, DAY, false, &p, &err), 0);
    assert_int_equal(keyring_shred_partition(f.keyring, 1, DAY, &err), 0);
    assert_int_equal(partition_cache_drop(f.cache, 1, DAY, &err), 0);
    assert_true(partition_is_dropped(p)); /* who had it may put it away in peace */
    partition_unref(&p);
    assert_int_equal(partition_cache_get(f.cache, 1, DAY, false, &p, &err), ERR_GONE);
    assert_int_equal(partition_cache_drop(f.cache, 1, DAY, &err), 0);

    p = get(&f, 1, DAY); /* made anew */
    assert_int_equal(applied(p), 0);
    assert_int_equal(write_some(p, 1, 50, 3, &w, &err), 0);
    partition_unref(&p);
    partition_cache_free(&f.cache);
    assert_int_equal(keyring_shred_partition(f.keyring, 1, DAY, &err), 0);
    open_cache(&f, 0);
    assert_int_equal(partition_cache_get(f.cache, 1, DAY, false, &p, &err), ERR_GONE);
    tear_down(&f);
}

static void a_directory_that_somebody_took_is_damage(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct err err;

    (void)state;
    partition_unref(&p);
    partition_cache_free(&f.cache);
    assert_int_equal(file_remove_tree(f.dir, "tenants/0000000000000001/20261121", &err), 0);
    open_cache(&f, 0);
    assert_int_equal(partition_cache_get(f.cache, 1, DAY, false, &p, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "20261121"));
    tear_down(&f);
}

static void overwrite(int dir, const char *name, off_t at, const char *text)
{
    int fd = openat(dir, name, O_WRONLY);

    assert_true(fd >= 0);
    assert_true(pwrite(fd, text, strlen(text), at) == (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

/* Lose the catalog in the given way, and expect everything back. */
static void lose_and_rebuild(struct fixture *f, unsigned way)
{
    int dir = partition_dir(f);
    struct partition_cache_stats stats;
    struct partition *p;
    struct dump d;

    partition_cache_free(&f->cache);
    if (way == 0) {
        assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
    } else if (way == 1) {
        overwrite(dir, "catalog.db", 0, "this is no database");
    } else {
        for (off_t at = 4096 + 100; at < 9 * 4096; at += 4096)
            overwrite(dir, "catalog.db", at, "\xff\xff\xff\xff\xff\xff\xff\xff");
        overwrite(dir, "catalog.db", 4096, "\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    }
    open_cache(f, 0);
    p = get(f, 1, DAY);
    partition_cache_stats(f->cache, &stats);
    assert_true(stats.rebuilt_catalogs == 1 && stats.adopted_segments == 3);
    assert_int_equal(applied(p), 30);
    d = dump(p);
    assert_true(d.segments == 3 && d.rows == 210 && d.streams == 5);
    partition_unref(&p);
    assert_int_equal(close(dir), 0);
}

static void a_lost_catalog_is_made_again(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(write_some(p, 1, 10, 100, &w, &err), 0);
    assert_int_equal(write_some(p, 2, 20, 100, &w, &err), 0);
    assert_int_equal(write_some(p, 3, 30, 10, &w, &err), 0);
    partition_unref(&p);
    for (unsigned way = 0; way < 3; way++)
        lose_and_rebuild(&f, way);
    p = get(&f, 1, DAY); /* and goes on from there */
    assert_int_equal(write_some(p, 4, 40, 10, &w, &err), 0);
    assert_int_equal(dump(p).rows, 220);
    partition_unref(&p);
    tear_down(&f);
}

static void make_segment(struct fixture *f, uint64_t seed, uint64_t wal_from, uint64_t wal_to,
                         unsigned span_classes)
{
    struct records_options opt = {
        .seed = seed, .n = 20, .n_streams = 2, .from = time_of_day(DAY), .span = NS_PER_H};
    struct batch *b = records_make(&opt);
    struct segment_row rows[20];
    uint8_t key[KEY_BYTES];
    struct segment_options so = {.tenant_id = 1,
                                 .day = DAY,
                                 .key = key,
                                 .wal_from = wal_from,
                                 .wal_to = wal_to,
                                 .span_classes = span_classes};
    struct segment_info *info = NULL;
    struct objstore *os = NULL;
    int dir = partition_dir(f);
    struct err err;

    for (uint32_t i = 0; i < 20; i++) {
        b->records[i].seq = wal_to * 1000 + i;
        rows[i] = (struct segment_row){b, i, 1};
    }
    assert_int_equal(keyring_partition(f->keyring, 1, DAY, 0, key, &err), 0);
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    assert_int_equal(segment_writer_write(os, &so, rows, 20, &info, &err), 0);
    segment_info_free(&info);
    objstore_free(&os);
    assert_int_equal(close(dir), 0);
    batch_unref(&b);
}

/* A file whose catalog row was never committed: as a kill between publish and commit leaves it. */
static void make_orphan(struct fixture *f, uint64_t seed, uint64_t wal_from, uint64_t wal_to)
{
    make_segment(f, seed, wal_from, wal_to, 0);
}

/* One that was published with one of the other class. */
static void make_one_of_two(struct fixture *f, uint64_t seed, uint64_t wal_from, uint64_t wal_to)
{
    make_segment(f, seed, wal_from, wal_to, SEGMENT_ORDINARY | SEGMENT_STRICT);
}

static void an_unknown_segment_is_taken_in_or_removed(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_cache_stats stats;
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(write_some(p, 1, 10, 30, &w, &err), 0);
    partition_unref(&p);
    make_orphan(&f, 5, 10, 20); /* killed before the commit: its rows are nowhere else */
    make_orphan(&f, 6, 0, 10);  /* an attempt that failed: its rows are in another */
    make_orphan(&f, 7, 0, 5);
    reopen(&f);
    p = get(&f, 1, DAY);
    partition_cache_stats(f.cache, &stats);
    assert_true(stats.adopted_segments == 1 && stats.removed_leftovers == 2);
    assert_int_equal(applied(p), 20);
    assert_true(dump(p).rows == 50 && dump(p).segments == 2);
    partition_unref(&p);
    reopen(&f);
    p = get(&f, 1, DAY);
    assert_int_equal(dump(p).rows, 50);
    partition_unref(&p);
    tear_down(&f);
}

/* Two attempts at one span, the second longer, and no catalog that says which one counted. */
static void a_rebuild_takes_each_span_once(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    struct dump d;

    (void)state;
    partition_unref(&p);
    make_orphan(&f, 1, 0, 10);
    make_orphan(&f, 2, 10, 20); /* failed */
    make_orphan(&f, 3, 10, 30);
    make_orphan(&f, 4, 30, 40);
    partition_cache_free(&f.cache);
    assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
    open_cache(&f, 0);
    p = get(&f, 1, DAY);
    d = dump(p);
    assert_true(d.segments == 3 && d.rows == 60);
    assert_int_equal(applied(p), 40);
    partition_unref(&p);
    assert_int_equal(close(dir), 0);
    tear_down(&f);
}

static uint64_t twenty(void *arg, uint64_t tenant_id, int32_t day)
{
    (void)arg;
    (void)tenant_id;
    (void)day;
    return 20;
}

/* Of the last span only one class is left, the other was compacted away; meta.db knows that the
 * span counted. */
static void a_class_that_is_left_alone_is_taken_in_when_its_span_counted(void **state)
{
    (void)state;

    for (int known = 0; known < 2; known++) {
        struct fixture f = set_up();
        struct partition *p = get(&f, 1, DAY);
        int dir = partition_dir(&f);
        const char *text = NULL;

        partition_unref(&p);
        make_orphan(&f, 1, 0, 10);
        make_one_of_two(&f, 2, 10, 20);
        partition_cache_free(&f.cache);
        assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
        open_cache(&f, 0);
        if (known)
            partition_cache_ask_position(f.cache, twenty, NULL);
        p = get(&f, 1, DAY);
        assert_int_equal(dump(p).segments, known ? 2 : 1);
        assert_int_equal(applied(p), known ? 20 : 10);
        assert_int_equal(partition_unreadable(p, &text), known ? 0 : 1);
        partition_unref(&p);
        assert_int_equal(close(dir), 0);
        tear_down(&f);
    }
}

static void a_damaged_segment_does_not_stop_a_rebuild(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    const char *text = NULL;
    struct err err;

    (void)state;
    partition_unref(&p);
    make_orphan(&f, 1, 0, 10);
    partition_cache_free(&f.cache);
    assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
    assert_int_equal(
        file_replace(dir, "00112233445566778899aabbccddeeff.lqs", 0600, STR("rubbish"), &err), 0);
    open_cache(&f, 0);
    p = get(&f, 1, DAY);
    assert_int_equal(dump(p).rows, 20);
    assert_int_equal(partition_unreadable(p, &text), 1);
    assert_non_null(strstr(text, "00112233445566778899aabbccddeeff.lqs"));
    partition_unref(&p);
    assert_int_equal(close(dir), 0);
    tear_down(&f);
}

static int damage_key(void *arg, int dir_fd, const char *name, struct err *err)
{
    char header[128];
    uint32_t crc;
    int fd;

    (void)err;
    if (strstr(name, ".lqs") == NULL)
        return 0;
    fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    header[80] = (char)~header[80]; /* in the wrapped key */
    crc = crc32c(0, header, 124);
    le_put32(header + 124, crc);
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
    assert_int_equal(close(fd), 0);
    (void)snprintf(arg, 64, "%s", name);
    return 0;
}

static void a_segment_that_cannot_be_opened_is_no_leftover(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    const char *text = NULL;
    char name[64] = "";
    struct err err;

    (void)state;
    partition_unref(&p);
    make_orphan(&f, 1, 0, 10);
    assert_int_equal(file_walk(dir, damage_key, name, &err), 0);
    make_orphan(&f, 2, 10, 20);
    for (int i = 0; i < 2; i++) { /* the second time its span lies before the applied position */
        reopen(&f);
        p = get(&f, 1, DAY);
        assert_int_equal(applied(p), 20);
        assert_int_equal(partition_unreadable(p, &text), 1);
        assert_int_equal(faccessat(dir, name, F_OK, 0), 0);
        partition_unref(&p);
    }
    assert_int_equal(close(dir), 0);
    tear_down(&f);
}

static void failing_writes_change_nothing(void **state)
{
    static const char *const points[] = {"file", "catalog.commit", "segment.published",
                                         "db.commit"};
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_written w;
    uint64_t pos = 0;
    uint64_t rows = 0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        unsigned failed = 0;
        FAULT_EACH(points[i]) {
            int r = write_some(p, pos, pos + 10, 7, &w, &err);
            assert_true(r == 0 || r == ERR_IO);
            failed += r != 0;
            pos += r == 0 ? 10 : 0;
            rows += r == 0 ? 7 : 0;
        }
        assert_true(failed > 0);
        assert_true(applied(p) == pos);
        assert_true(dump(p).rows == rows);
    }
    partition_unref(&p);
    reopen(&f);
    p = get(&f, 1, DAY);
    assert_true(applied(p) == pos && dump(p).rows == rows);
    partition_unref(&p);
    tear_down(&f);
}

/* ---- two classes ---- */

/* Rows of two streams, one strict; half a span each. */
static struct batch *make_two_classes(uint64_t first_seq, uint32_t n)
{
    struct label audit[] = {
        {STR("app"), STR("x")}, {STR("host"), STR("h1")}, {STR("source"), STR("kernel_audit")}};
    struct label plain[] = {
        {STR("app"), STR("x")}, {STR("host"), STR("h1")}, {STR("source"), STR("container")}};
    struct labels l[] = {{audit, 3}, {plain, 3}};
    struct batch *b = batch_new(NULL, 0);
    struct err err;

    for (uint32_t i = 0; i < n; i++) {
        struct record rec = {.ts = time_of_day(DAY) + i, .seq = first_seq + i, .line = STR("line")};
        assert_int_equal(batch_stream(b, &l[i % 2], &rec.stream, &err), 0);
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    return b;
}

static int write_two_classes(struct partition *p, uint64_t wal_to, struct partition_written *ret,
                             struct err *err)
{
    struct batch *b = make_two_classes(wal_to * 1000, 20);
    struct segment_row rows[20];
    int r;

    for (uint32_t i = 0; i < 20; i++)
        rows[i] = (struct segment_row){b, i, 1};
    r = partition_write(p, rows, 20, wal_to, ret, err);
    batch_unref(&b);
    return r;
}

struct rows_seen {
    struct catalog_row row[32];
    size_t n;
};

static int see_row(void *arg, const struct catalog_row *row, struct err *err)
{
    struct rows_seen *s = arg;

    (void)err;
    assert_true(s->n < 32);
    s->row[s->n++] = *row;
    return 0;
}

static int see_rows(void *arg, struct catalog *c, struct err *err)
{
    return catalog_rows(c, see_row, arg, err);
}

static struct rows_seen rows_of(struct partition *p)
{
    struct rows_seen s = {.n = 0};
    struct err err;

    if (partition_read(p, see_rows, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static int see_generation(void *arg, struct catalog *c, struct err *err)
{
    (void)err;
    *(uint64_t *)arg = catalog_generation(c);
    return 0;
}

static uint64_t generation_of(struct partition *p)
{
    uint64_t ret = 0;
    struct err err;

    assert_int_equal(partition_read(p, see_generation, &ret, &err), 0);
    return ret;
}

static void strict_rows_have_segments_of_their_own(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_written w;
    struct rows_seen s;
    uint64_t before = generation_of(p);
    struct err err;

    (void)state;
    assert_int_equal(write_two_classes(p, 10, &w, &err), 0);
    assert_true(w.segments == 2 && w.rows == 20);
    assert_true(generation_of(p) != before);
    s = rows_of(p);
    assert_int_equal(s.n, 2);
    assert_true(s.row[0].class == SEGMENT_ORDINARY && s.row[1].class == SEGMENT_STRICT);
    for (size_t i = 0; i < 2; i++)
        assert_true(s.row[i].rows == 10 && s.row[i].wal_from == 0 && s.row[i].wal_to == 10 &&
                    s.row[i].level == 0 && s.row[i].n_streams == 1);
    partition_unref(&p);
    tear_down(&f);
}

/* One class of a span alone, as a kill between two publishes leaves it. */
static void make_half(struct fixture *f, const struct catalog_span *span, unsigned classes)
{
    struct batch *b = make_two_classes(span->wal_to * 1000, 20);
    struct segment_row rows[20];
    uint8_t key[KEY_BYTES];
    struct segment_options so = {.tenant_id = 1,
                                 .day = DAY,
                                 .key = key,
                                 .wal_from = span->wal_from,
                                 .wal_to = span->wal_to,
                                 .class = span->class,
                                 .span_classes = classes};
    struct segment_info *info = NULL;
    struct objstore *os = NULL;
    int dir = partition_dir(f);
    struct err err;

    for (uint32_t i = 0; i < 10; i++)
        rows[i] = (struct segment_row){b, 2 * i + (span->class == SEGMENT_ORDINARY), 1};
    assert_int_equal(keyring_partition(f->keyring, 1, DAY, 0, key, &err), 0);
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    assert_int_equal(segment_writer_write(os, &so, rows, 10, &info, &err), 0);
    segment_info_free(&info);
    objstore_free(&os);
    assert_int_equal(close(dir), 0);
    batch_unref(&b);
}

static void half_a_span_does_not_count(void **state)
{
    static const struct catalog_span half = {SEGMENT_STRICT, 10, 20};
    static const struct catalog_span other = {SEGMENT_ORDINARY, 10, 20};
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_cache_stats stats;
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(write_two_classes(p, 10, &w, &err), 0);
    partition_unref(&p);
    make_half(&f, &half, SEGMENT_CLASSES);
    reopen(&f);
    p = get(&f, 1, DAY); /* removed: its rows are in the WAL, with those that are missing */
    partition_cache_stats(f.cache, &stats);
    assert_true(stats.removed_leftovers == 1 && stats.adopted_segments == 0);
    assert_true(applied(p) == 10 && dump(p).rows == 20);
    partition_unref(&p);

    make_half(&f, &half, SEGMENT_CLASSES);
    make_half(&f, &other, SEGMENT_CLASSES);
    reopen(&f);
    p = get(&f, 1, DAY); /* both are there: as good as committed */
    partition_cache_stats(f.cache, &stats);
    assert_true(stats.removed_leftovers == 0 && stats.adopted_segments == 2);
    assert_true(applied(p) == 20 && dump(p).rows == 40);
    partition_unref(&p);
    tear_down(&f);
}

static void a_lost_catalog_does_not_take_half_a_span(void **state)
{
    static const struct catalog_span half = {SEGMENT_ORDINARY, 10, 20};
    static const struct catalog_span later = {SEGMENT_ORDINARY, 20, 30};
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    const char *text = NULL;
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(write_two_classes(p, 10, &w, &err), 0);
    partition_unref(&p);
    make_half(&f, &half, SEGMENT_CLASSES);
    partition_cache_free(&f.cache);
    assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
    open_cache(&f, 0);
    p = get(&f, 1, DAY); /* was it committed?  Nobody knows: kept, reported, not counted */
    assert_true(applied(p) == 10 && dump(p).rows == 20);
    assert_int_equal(partition_unreadable(p, &text), 1);
    partition_unref(&p);

    make_half(&f, &later, SEGMENT_ORDINARY); /* proves that it was */
    partition_cache_free(&f.cache);
    assert_int_equal(unlinkat(dir, "catalog.db", 0), 0);
    open_cache(&f, 0);
    p = get(&f, 1, DAY);
    assert_true(applied(p) == 30 && dump(p).rows == 40);
    assert_int_equal(partition_unreadable(p, &text), 0);
    partition_unref(&p);
    assert_int_equal(close(dir), 0);
    tear_down(&f);
}

static void two_classes_fail_together(void **state)
{
    static const char *const points[] = {"file", "catalog.commit", "segment.published",
                                         "db.commit"};
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    struct partition_written w;
    uint64_t pos = 0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        FAULT_EACH(points[i]) {
            int r = write_two_classes(p, pos + 10, &w, &err);
            assert_true(r == 0 || r == ERR_IO);
            pos += r == 0 ? 10 : 0;
        }
        assert_true(applied(p) == pos);
        assert_true(dump(p).rows == 2 * pos);
    }
    partition_unref(&p);
    reopen(&f);
    p = get(&f, 1, DAY);
    assert_true(applied(p) == pos && dump(p).rows == 2 * pos);
    partition_unref(&p);
    tear_down(&f);
}

static int count_aside(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    (void)err;
    *(unsigned *)arg += str_starts(str_of(name), STR("catalog.db.damaged-"));
    return 0;
}

static void two_damaged_catalogs_are_kept(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    struct partition_written w;
    struct err err;

    (void)state;
    assert_int_equal(write_some(p, 1, 10, 7, &w, &err), 0);
    for (unsigned i = 0; i < 5; i++) {
        unsigned n = 0;
        struct err why = {.text = "a test says so"};
        time_set(time_of_day(DAY) + (ts_ns)i * NS_PER_H);
        assert_int_equal(partition_rebuild(p, &why, &err), 0);
        assert_int_equal(file_walk(dir, count_aside, &n, &err), 0);
        assert_int_equal(n, i == 0 ? 1 : 2);
        assert_int_equal(dump(p).rows, 7);
    }
    time_unset();
    partition_unref(&p);
    assert_int_equal(close(dir), 0);
    tear_down(&f);
}

static void only_so_many_stay_open(void **state)
{
    struct fixture f = set_up();
    struct partition *held[3];
    struct partition_cache_stats stats;
    struct partition_written w;
    struct err err;

    (void)state;
    partition_cache_free(&f.cache);
    open_cache(&f, 2);
    for (int32_t i = 0; i < 9; i++) {
        struct partition *p = get(&f, 1, DAY + i);
        assert_int_equal(write_some(p, 1, 10, 2, &w, &err), 0);
        partition_unref(&p);
        partition_cache_stats(f.cache, &stats);
        assert_true(stats.open <= 2);
    }
    for (int32_t i = 0; i < 3; i++) /* what is in use is never closed */
        held[i] = get(&f, 1, DAY + i);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(dump(held[i]).rows, 2);
        partition_unref(&held[i]);
    }
    partition_cache_stats(f.cache, &stats);
    assert_true(stats.open <= 2);
    tear_down(&f);
}

static void labels_do_not_lie_in_clear(void **state)
{
    struct fixture f = set_up();
    struct partition *p = get(&f, 1, DAY);
    int dir = partition_dir(&f);
    struct partition_written w;
    struct buf b;
    struct err err;

    (void)state;
    assert_int_equal(write_some(p, 1, 10, 100, &w, &err), 0);
    partition_unref(&p);
    partition_cache_free(&f.cache);
    buf_init(&b, 16 << 20);
    assert_int_equal(file_read(dir, "catalog.db", &b, &err), 0);
    assert_true(b.n > 4096);
    assert_int_equal(str_find(buf_str(&b), STR("app-1")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&b), STR("solo")), SIZE_MAX);
    buf_fini(&b);
    assert_int_equal(close(dir), 0);
    open_cache(&f, 0);
    tear_down(&f);
}

static void objects_have_names_that_stay_in_their_directory(void **state)
{
    struct fixture f = set_up();
    struct objstore *os = NULL;
    struct objstore_object *o = NULL;
    struct objstore_put *put = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(f.dir, &os, &err), 0);
    assert_int_equal(objstore_open(os, "../x", &o, &err), ERR_INVALID);
    assert_int_equal(objstore_open(os, "", &o, &err), ERR_INVALID);
    assert_int_equal(objstore_open(os, ".hidden", &o, &err), ERR_INVALID);
    assert_int_equal(objstore_put(os, "a.tmp", &put, &err), ERR_INVALID);
    assert_int_equal(objstore_put(os, "a/b", &put, &err), ERR_INVALID);
    assert_int_equal(objstore_delete(os, "a b", &err), ERR_INVALID);
    assert_int_equal(objstore_open(os, "absent", &o, &err), ERR_GONE);
    assert_int_equal(objstore_delete(os, "absent", &err), 0);
    assert_int_equal(objstore_put(os, "there", &put, &err), 0);
    assert_int_equal(objstore_append(put, "abc", 3, &err), 0);
    assert_int_equal(objstore_open(os, "there", &o, &err), ERR_GONE); /* not before it is whole */
    assert_int_equal(objstore_publish(put, &err), 0);
    objstore_discard(&put);
    assert_int_equal(objstore_put(os, "there", &put, &err), ERR_EXISTS);
    assert_int_equal(objstore_open(os, "there", &o, &err), 0);
    assert_int_equal(objstore_size(o), 3);
    {
        char got[4] = "";
        assert_int_equal(objstore_read(o, 1, got, 2, &err), 0);
        assert_string_equal(got, "bc");
        assert_int_equal(objstore_read(o, 2, got, 2, &err), ERR_CORRUPT);
        assert_int_equal(objstore_read(o, UINT64_MAX, got, 2, &err), ERR_CORRUPT);
    }
    objstore_close(&o);
    objstore_free(&os);
    tear_down(&f);
}

CHECK_MAIN(cmocka_unit_test(a_write_commits_segment_and_position_together),
           cmocka_unit_test(a_partition_that_is_not_there_is_gone),
           cmocka_unit_test(a_directory_that_somebody_took_is_damage),
           cmocka_unit_test(a_lost_catalog_is_made_again),
           cmocka_unit_test(an_unknown_segment_is_taken_in_or_removed),
           cmocka_unit_test(a_rebuild_takes_each_span_once),
           cmocka_unit_test(a_class_that_is_left_alone_is_taken_in_when_its_span_counted),
           cmocka_unit_test(a_damaged_segment_does_not_stop_a_rebuild),
           cmocka_unit_test(a_segment_that_cannot_be_opened_is_no_leftover),
           cmocka_unit_test(failing_writes_change_nothing),
           cmocka_unit_test(strict_rows_have_segments_of_their_own),
           cmocka_unit_test(half_a_span_does_not_count),
           cmocka_unit_test(a_lost_catalog_does_not_take_half_a_span),
           cmocka_unit_test(two_classes_fail_together),
           cmocka_unit_test(two_damaged_catalogs_are_kept),
           cmocka_unit_test(only_so_many_stay_open), cmocka_unit_test(labels_do_not_lie_in_clear),
           cmocka_unit_test(objects_have_names_that_stay_in_their_directory))
