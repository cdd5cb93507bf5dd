/*
 * storage/segment_writer.c with threads: blocks encoded side by side make the file that they make
 * one after the other, in the memory that there is, and all of it or nothing.
 */
#include "storage/segment.h"

#include "base/fault.h"
#include "base/mem.h"
#include "storage/block.h"
#include "storage/objstore.h"
#include "storage/scan_pool.h"
#include "storage/segment_format.h"
#include "storage/segment_reader.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t KEY[CRYPT_KEY] = "0123456789abcdef0123456789abcde";
static const struct segment_options OPT = {
    .tenant_id = 7, .day = 20261121, .key = KEY, .wal_from = 100, .wal_to = 200};

enum { BIG_ROWS = 5, ALL_ROWS = 40 * BIG_ROWS, ALL_BLOCKS = 2 * BIG_ROWS };

/* Many blocks of few bytes: a row that is too large for others stands alone, as here every 40th. */
static struct batch *make_batch(void)
{
    size_t n = BLOCK_ROW_ALONE + 1;
    struct batch *b = batch_new(NULL, 0);
    char *big = malloc(n);
    struct err err;

    memset(big, '.', n); /* which is no id */
    for (uint32_t i = 0; i < ALL_ROWS; i++) {
        struct label label = {STR("app"), STR("a")};
        struct labels labels = {&label, 1};
        struct record rec = {.ts = INT64_C(1795219200000000000) + i, .seq = i + 1};
        char small[80];
        (void)snprintf(small, sizeof(small), "request %u of 0123456789abcdef0123456789%06x took %u",
                       i, i, i * 7);
        rec.line = i % 40 == 20 ? (struct str){big, n} : str_of(small);
        big[i] = '0';
        assert_int_equal(batch_stream(b, &labels, &rec.stream, &err), 0);
        rec.line.p = arena_bytes(b->arena, rec.line.n);
        memcpy((void *)(uintptr_t)rec.line.p, i % 40 == 20 ? big : small, rec.line.n);
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    free(big);
    return b;
}

static int write_batch(struct objstore *os, struct batch *b, struct scan_pool *pool,
                       struct mem_budget *budget, struct segment_info **ret, struct err *err)
{
    struct segment_options opt = OPT;
    struct segment_row rows[ALL_ROWS];

    opt.pool = pool;
    opt.budget = budget;
    for (uint32_t i = 0; i < ALL_ROWS; i++)
        rows[i] = (struct segment_row){b, i, b->records[i].ts + i};
    return segment_writer_write(os, &opt, rows, ALL_ROWS, ret, err);
}

static void check_same_block(struct segment_reader *ra, const struct segment_info *a,
                             struct segment_reader *rb, const struct segment_info *b, uint32_t i)
{
    struct segment_reader_block x;
    struct segment_reader_block y;
    struct arena *arena = arena_new(NULL, 0);
    struct err err;

    assert_int_equal(segment_reader_block(ra, &a->blocks[i], i, arena, &x, &err), 0);
    assert_int_equal(segment_reader_block(rb, &b->blocks[i], i, arena, &y, &err), 0);
    assert_int_equal(x.header.first_frame, y.header.first_frame);
    assert_int_equal(x.header.min_received, y.header.min_received);
    assert_int_equal(x.header.max_received, y.header.max_received);
    assert_memory_equal(x.entry, y.entry, x.header.frames * (size_t)BLOCK_FRAME_ENTRY);
    for (enum block_frame_kind kind = BLOCK_KEYS; kind < BLOCK_KINDS; kind++) {
        for (uint32_t k = 0; k < x.count[kind]; k++) {
            struct str p;
            struct str q;
            assert_int_equal(segment_reader_frame(ra, &x, kind, k, arena, &p, &err), 0);
            assert_int_equal(segment_reader_frame(rb, &y, kind, k, arena, &q, &err), 0);
            assert_true(str_eq(p, q));
        }
    }
    arena_free(&arena);
}

/* The same but for uuid and key. */
static void check_same(struct objstore *os, const struct segment_info *a,
                       const struct segment_info *b)
{
    struct segment_reader *ra = NULL;
    struct segment_reader *rb = NULL;
    struct err err;

    assert_int_equal(a->n_blocks, b->n_blocks);
    assert_int_equal(a->data_end, b->data_end);
    assert_int_equal(a->footer_offset, b->footer_offset);
    assert_int_equal(a->file_bytes, b->file_bytes);
    assert_int_equal(a->line_bytes, b->line_bytes);
    assert_int_equal(segment_reader_open(os, a->uuid, KEY, &ra, &err), 0);
    assert_int_equal(segment_reader_open(os, b->uuid, KEY, &rb, &err), 0);
    for (uint32_t i = 0; i < a->n_blocks; i++) {
        assert_int_equal(a->blocks[i].offset, b->blocks[i].offset);
        check_same_block(ra, a, rb, b, i);
    }
    assert_int_equal(segment_reader_verify(rb, b, NULL, &err), 0);
    segment_reader_free(&ra);
    segment_reader_free(&rb);
}

static void threads_change_nothing_in_the_file(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = (size_t)SEGMENT_BLOCK_MEMORY * 3 / 2};
    struct batch *b = make_batch();
    int dir = tmpdir_open(NULL);
    struct segment_info *alone = NULL;
    struct objstore *os = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    assert_int_equal(write_batch(os, b, NULL, NULL, &alone, &err), 0);
    assert_int_equal(alone->n_blocks, ALL_BLOCKS + 1);
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct scan_pool *pool = NULL;
        struct segment_info *info = NULL;
        assert_int_equal(scan_pool_new(threads, &pool, &err), 0);
        assert_int_equal(write_batch(os, b, pool, threads == 5 ? &budget : NULL, &info, &err), 0);
        check_same(os, alone, info);
        segment_info_free(&info);
        scan_pool_free(&pool);
    }
    assert_int_equal(budget.peak, SEGMENT_BLOCK_MEMORY); /* one more was to be had, not three */
    assert_int_equal(budget.used, 0);
    segment_info_free(&alone);
    batch_unref(&b);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* Fails each hit of a point in turn; how often. */
static unsigned fail_each(const char *point, int want)
{
    struct mem_budget budget = {.name = "test"};
    struct batch *b = make_batch();
    int dir = tmpdir_open(NULL);
    struct scan_pool *pool = NULL;
    struct objstore *os = NULL;
    unsigned failed = 0;
    struct err err;

    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    assert_int_equal(scan_pool_new(4, &pool, &err), 0);
    FAULT_EACH(point) {
        struct segment_info *info = NULL;
        int r = write_batch(os, b, pool, &budget, &info, &err);
        assert_true(r == 0 || r == want);
        assert_int_equal(tmpdir_count(dir), r == 0 ? 1 : 0);
        assert_int_equal(budget.used, 0);
        failed += r != 0;
        segment_info_free(&info);
    }
    scan_pool_free(&pool);
    batch_unref(&b);
    objstore_free(&os);
    tmpdir_close(dir);
    return failed;
}

static void a_block_that_cannot_be_encoded_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(fail_each("segment.encode", ERR_NOMEM), ALL_BLOCKS + 1);
}

static void blocks_side_by_side_that_cannot_be_stored_leave_nothing_behind(void **state)
{
    (void)state;
    assert_in_range(fail_each("file", ERR_IO), 5, 1000);
}

CHECK_MAIN(cmocka_unit_test(threads_change_nothing_in_the_file),
           cmocka_unit_test(a_block_that_cannot_be_encoded_leaves_nothing_behind),
           cmocka_unit_test(blocks_side_by_side_that_cannot_be_stored_leave_nothing_behind))
