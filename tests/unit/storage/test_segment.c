/*
 * storage/segment_writer.c and segment_reader.c: what goes in comes out, whatever damages the file
 * is seen, a failing disk leaves all or nothing, and the leaf hash is the one that
 * docs/formats/segment.md prints.
 */
#include "storage/segment_reader.h"

#include "base/fault.h"
#include "base/file.h"
#include "storage/objstore.h"
#include "storage/segment_format.h"
#include "tests/unit/storage/segment_source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The record that a row of seq `seq` came from. */
static const struct record *record_of(const struct source *s, uint64_t seq, const struct batch **b)
{
    size_t n = s->n / 3;

    assert_true(seq >= 1 && seq <= s->n);
    *b = s->batch[(seq - 1) / n];
    return &(*b)->records[(seq - 1) % n];
}

/* A block being read: the data frames of its lines, or those of its attributes. */
struct data {
    struct segment_reader *reader;
    const struct segment_reader_block *block;
    struct arena *arena;
    uint32_t first;
};

static int read_data(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct data *d = arg;
    int rc =
        segment_reader_frame(d->reader, d->block, BLOCK_DATA, d->first + index, d->arena, ret, err);

    return rc == 1 ? err_set(err, ERR_CORRUPT, "no such frame") : rc;
}

static int open_lines(struct data *d, struct str plan, struct lines **ret, struct err *err)
{
    struct lines_plan *p = NULL;
    int rc = lines_plan_new(plan, d->block->header.rows, NULL, &p, err);

    if (rc == 0)
        rc = lines_open(p, read_data, d, d->arena, ret, err);
    if (rc < 0)
        lines_plan_free(&p);
    return rc;
}

static void close_lines(struct lines *l)
{
    struct lines_plan *p = l == NULL ? NULL : (struct lines_plan *)(uintptr_t)lines_plan_of(l);

    lines_plan_free(&p);
}

static int read_frame(struct data *d, enum block_frame_kind kind, struct str *ret, struct err *err)
{
    int rc = segment_reader_frame(d->reader, d->block, kind, 0, d->arena, ret, err);

    return rc == 1 ? err_set(err, ERR_CORRUPT, "no such frame") : rc;
}

static int read_block(struct segment_reader *r, const struct segment_info *info, uint32_t index,
                      struct arena *a, struct batch **ret, struct err *err)
{
    struct segment_reader_block b;
    struct data lines_data = {r, &b, a, 0};
    struct data attrs_data = {r, &b, a, 0};
    struct block_plans plans = {STR_NULL, STR_NULL};
    struct block_keys keys;
    struct lines *lines = NULL;
    struct lines *attrs = NULL;
    struct str frame = STR_NULL;
    struct batch *out = batch_new(NULL, 0);
    int rc = segment_reader_block(r, &info->blocks[index], index, a, &b, err);

    if (rc == 0)
        rc = read_frame(&lines_data, BLOCK_KEYS, &frame, err);
    if (rc == 0) {
        struct block_shape shape = {b.header.rows, b.header.first_stream, b.header.last_stream};
        rc = block_keys_decode(frame, &shape, BLOCK_WANT_KEYS, a, &keys, err);
    }
    if (rc == 0)
        rc = read_frame(&lines_data, BLOCK_PLAN, &frame, err);
    if (rc == 0)
        rc = block_plans_split(frame, &plans, err);
    if (rc == 0)
        rc = open_lines(&lines_data, plans.lines, &lines, err);
    if (rc == 0 && plans.attrs.n > 0) {
        attrs_data.first = (uint32_t)lines_plan_of(lines)->n_frames;
        rc = open_lines(&attrs_data, plans.attrs, &attrs, err);
    }
    for (uint32_t i = 0; rc == 0 && i < b.header.rows; i++) {
        struct record rec = {.ts = keys.ts[i], .seq = keys.seq[i]};
        rc = batch_stream(out, &info->streams[keys.stream[i]].labels, &rec.stream, err);
        if (rc == 0)
            rc = lines_render(lines, keys.layout[i], out->arena, &rec.line, err);
        if (rc == 0 && attrs != NULL)
            rc = lines_attrs(attrs, keys.layout[i], out->arena, &rec.attr, &rec.n_attr, err);
        if (rc == 0)
            rc = batch_add(out, &rec, err);
    }
    close_lines(lines);
    close_lines(attrs);
    if (rc < 0)
        batch_unref(&out);
    else
        *ret = out;
    return rc;
}

/* Read everything; check rows against the source if there is one.  The first error wins. */
static int read_segment(struct objstore *os, const uint8_t *uuid, const struct source *s,
                        struct err *err)
{
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    struct arena *a = arena_new(NULL, 0);
    size_t rows = 0;
    int rc = segment_reader_open(os, uuid, KEY, &r, err);

    if (rc == 0)
        rc = segment_reader_info(r, NULL, &info, err);
    if (rc == 0)
        rc = segment_reader_verify(r, info, NULL, err);
    for (uint32_t i = 0; rc == 0 && i < info->n_blocks; i++) {
        struct batch *b = NULL;
        rc = read_block(r, info, i, a, &b, err);
        for (uint32_t k = 0; rc == 0 && s != NULL && k < b->n_records; k++) {
            const struct batch *from;
            const struct record *want = record_of(s, b->records[k].seq, &from);
            const char *what = records_differ(b, &b->records[k], from, want);
            if (what != NULL)
                fail_msg("block %u row %u: %s", i, k, what);
        }
        rows += rc == 0 ? b->n_records : 0;
        batch_unref(&b);
        arena_reset(a);
    }
    if (rc == 0 && s != NULL)
        assert_int_equal(rows, s->n);
    segment_info_free(&info);
    segment_reader_free(&r);
    arena_free(&a);
    return rc;
}

#ifdef __SANITIZE_THREAD__
enum { ROUNDS = 8 }; /* ten times as slow, and looking for other things */
#else
enum { ROUNDS = 12 };
#endif

static void records_come_back(void **state)
{
    int dir = tmpdir_open(NULL);
    struct objstore *os = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t n = round < 3 ? round + 1 : round * 211;
        struct source s = make_source(round, n, 1 + round * 17, round % 2 == 1);
        struct segment_info *info = write_source(os, &s);
        assert_int_equal(info->rows, s.n);
        assert_int_equal(info->min_seq, 1);
        assert_int_equal(info->max_seq, s.n);
        assert_true(info->max_received - info->min_received == 2);
        for (uint32_t i = 1; i < info->n_streams; i++)
            assert_true(labels_cmp(&info->streams[i - 1].labels, &info->streams[i].labels) < 0);
        if (read_segment(os, info->uuid, &s, &err) < 0)
            fail_msg("%s", err.text);
        segment_info_free(&info);
        free_source(&s);
    }
    objstore_free(&os);
    tmpdir_close(dir);
}

static void a_footer_says_all_that_the_writer_knew(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(5, 900, 30, true);
    struct objstore *os = NULL;
    struct segment_reader *r = NULL;
    struct segment_info *got = NULL;
    struct segment_info *info;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &got, &err), 0);
    assert_true(got->tenant_id == 7 && got->day == 20261121);
    assert_true(got->rows == info->rows && got->raw_bytes == info->raw_bytes &&
                got->line_bytes == info->line_bytes && got->file_bytes == info->file_bytes &&
                got->footer_offset == info->footer_offset);
    assert_true(got->min_ts == info->min_ts && got->max_ts == info->max_ts &&
                got->min_received == info->min_received && got->max_received == info->max_received);
    assert_true(got->wal_from == 100 && got->wal_to == 200);
    assert_memory_equal(got->root.b, info->root.b, MERKLE_HASH);
    assert_int_equal(got->n_blocks, info->n_blocks);
    assert_true(info->n_blocks > 2); /* long lines have blocks of their own */
    assert_memory_equal(got->blocks, info->blocks, info->n_blocks * sizeof(*info->blocks));
    assert_int_equal(got->n_streams, info->n_streams);
    for (uint32_t i = 0; i < got->n_streams; i++) {
        assert_true(labels_equal(&got->streams[i].labels, &info->streams[i].labels));
        assert_true(got->streams[i].rows == info->streams[i].rows &&
                    got->streams[i].min_ts == info->streams[i].min_ts &&
                    got->streams[i].max_ts == info->streams[i].max_ts);
    }
    segment_info_free(&got);
    segment_reader_free(&r);

    /* Without a key: everything but streams, and the proof. */
    assert_int_equal(segment_reader_open(os, info->uuid, NULL, &r, &err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &got, &err), 0);
    assert_null(got->streams);
    assert_int_equal(segment_reader_verify(r, got, NULL, &err), 0);
    segment_info_free(&got);
    segment_reader_free(&r);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void nothing_that_was_written_lies_in_clear(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(9, 300, 4, false);
    struct objstore *os = NULL;
    struct segment_info *info;
    char name[SEGMENT_NAME_MAX];
    struct buf b;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    segment_name(info->uuid, name);
    buf_init(&b, 16 << 20);
    assert_int_equal(file_read(dir, name, &b, &err), 0);
    assert_int_equal(str_find(buf_str(&b), STR("served")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&b), STR("detected_level")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&b), STR("app-1")), SIZE_MAX);
    buf_fini(&b);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void a_wrong_key_opens_nothing(void **state)
{
    static const uint8_t other[CRYPT_KEY] = {1};
    int dir = tmpdir_open(NULL);
    struct source s = make_source(2, 3, 1, false);
    struct objstore *os = NULL;
    struct segment_reader *r = NULL;
    struct segment_info *info;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_int_equal(segment_reader_open(os, info->uuid, other, &r, &err), ERR_CORRUPT);
    info->uuid[0] ^= 1;
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), ERR_GONE);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void two_records_with_one_seq_are_refused(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(2, 3, 1, false);
    struct objstore *os = NULL;
    struct segment_info *info = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    s.rows[1] = s.rows[4];
    assert_int_equal(segment_writer_write(os, &OPT, s.rows, s.n, &info, &err), ERR_INVALID);
    assert_int_equal(tmpdir_count(dir), 0);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* ---- streams of rows, and copies ---- */

static void streams_come_in_order_or_not_at_all(void **state)
{
    struct label a[] = {{STR("app"), STR("a")}};
    struct label b[] = {{STR("app"), STR("b")}};
    struct labels la = {a, 1};
    struct labels lb = {b, 1};
    struct segment_item it = {.ts = OPT.day, .seq = 7, .line = STR("one"), .max_received = 3};
    int dir = tmpdir_open(NULL);
    struct segment_writer *w = NULL;
    struct segment_info *info = NULL;
    struct objstore *os = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    assert_int_equal(segment_writer_open(os, &OPT, &w, &err), 0);
    assert_int_equal(segment_writer_finish(w, &info, &err), 1); /* nothing: no segment */
    segment_writer_free(&w);
    assert_int_equal(tmpdir_count(dir), 0);

    assert_int_equal(segment_writer_open(os, &OPT, &w, &err), 0);
    assert_int_equal(segment_writer_stream(w, &la, &err), 0); /* without rows: not in the table */
    assert_int_equal(segment_writer_stream(w, &lb, &err), 0);
    assert_int_equal(segment_writer_add(w, &it, true, &err), 0);
    assert_int_equal(segment_writer_stream(w, &la, &err), ERR_INVALID);
    assert_int_equal(segment_writer_stream(w, &lb, &err), ERR_INVALID);
    assert_int_equal(segment_writer_finish(w, &info, &err), 0);
    assert_true(info->n_streams == 1 && labels_equal(&info->streams[0].labels, &lb));
    assert_true(info->rows == 1 && info->max_received == 3 && info->min_received == 0);
    segment_info_free(&info);
    segment_writer_free(&w);

    assert_int_equal(segment_writer_open(os, &OPT, &w, &err), 0);
    assert_int_equal(segment_writer_stream(w, &la, &err), 0);
    assert_int_equal(segment_writer_add(w, &it, true, &err), 0);
    assert_int_equal(segment_writer_add(w, &it, true, &err), ERR_INVALID);
    segment_writer_free(&w);
    assert_int_equal(tmpdir_count(dir), 1);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* Two are copied into one, and that with a third into another: every record and every leaf of the
 * three is in the last. */
static void a_copy_keeps_records_and_leaves(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(21, 700, 9, true);
    struct segment_info *one[3] = {NULL};
    struct segment_info *two = NULL;
    struct segment_info *all = NULL;
    struct segment_info *back = NULL;
    struct segment_reader *r = NULL;
    struct objstore *os = NULL;
    uint8_t uuid[3][SEGMENT_UUID];
    uint32_t block = 0;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(segment_writer_write(os, &OPT, s.rows + i * 700, 700, &one[i], &err), 0);
        assert_true(one[i]->n_blocks > 1);
        memcpy(uuid[i], one[i]->uuid, SEGMENT_UUID);
    }
    assert_int_equal(copy_all(os, uuid, 2, NULL, &two, &err), 0);
    memcpy(uuid[0], two->uuid, SEGMENT_UUID);
    memcpy(uuid[1], uuid[2], SEGMENT_UUID);
    if (copy_all(os, uuid, 2, NULL, &all, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(all->rows == s.n && all->min_seq == 1 && all->max_seq == s.n);
    for (size_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < one[i]->n_blocks; k++, block++)
            assert_memory_equal(all->blocks[block].leaf.b, one[i]->blocks[k].leaf.b, MERKLE_HASH);
    assert_int_equal(block, all->n_blocks);
    if (read_segment(os, all->uuid, &s, &err) < 0)
        fail_msg("%s", err.text);

    assert_int_equal(segment_reader_open(os, all->uuid, NULL, &r, &err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &back, &err), 0);
    assert_int_equal(segment_reader_verify(r, back, NULL, &err), 0);
    assert_true(back->class == SEGMENT_STRICT && back->level == 1 && back->n_replaces == 2);
    assert_memory_equal(back->replaces, uuid, 2 * sizeof(uuid[0]));
    assert_true(back->line_bytes == one[0]->line_bytes + one[1]->line_bytes + one[2]->line_bytes);
    segment_info_free(&back);
    segment_reader_free(&r);
    for (size_t i = 0; i < 3; i++)
        segment_info_free(&one[i]);
    segment_info_free(&two);
    segment_info_free(&all);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* ---- damage ---- */

static void write_bytes(int dir, const char *name, struct str s)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_true(write(fd, s.p, s.n) == (ssize_t)s.n);
    assert_int_equal(close(fd), 0);
}

static void flip_every_bit(bool copy)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(4, 40, 3, false);
    struct objstore *os = NULL;
    struct segment_info *info;
    char name[SEGMENT_NAME_MAX];
    uint64_t rng = 1;
    struct buf b;
    struct err err;

    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    if (copy) {
        uint8_t uuid[1][SEGMENT_UUID];
        memcpy(uuid[0], info->uuid, SEGMENT_UUID);
        segment_info_free(&info);
        assert_int_equal(copy_all(os, uuid, 1, NULL, &info, &err), 0);
    }
    segment_name(info->uuid, name);
    buf_init(&b, 16 << 20);
    assert_int_equal(file_read(dir, name, &b, &err), 0);
    for (size_t at = 0; at < b.n; at += at < 600 || at + 700 > b.n ? 1 : 7) {
        unsigned bit = 1u << records_random(&rng) % 8;
        int r;
        b.p[at] = (char)((unsigned char)b.p[at] ^ bit);
        write_bytes(dir, name, buf_str(&b));
        r = read_segment(os, info->uuid, NULL, &err);
        if (r != ERR_CORRUPT && r != ERR_UNSUPPORTED)
            fail_msg("byte %zu of %zu: %d", at, b.n, r);
        assert_non_null(strstr(err.text, name)); /* says which file */
        b.p[at] = (char)((unsigned char)b.p[at] ^ bit);
    }
    buf_fini(&b);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    flip_every_bit(false);
}

static void every_flipped_bit_of_a_copy_is_seen(void **state)
{
    (void)state;
    flip_every_bit(true);
}

static void every_cut_is_seen(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(4, 40, 3, false);
    struct objstore *os = NULL;
    struct segment_info *info;
    char name[SEGMENT_NAME_MAX];
    struct buf b;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    segment_name(info->uuid, name);
    buf_init(&b, 16 << 20);
    assert_int_equal(file_read(dir, name, &b, &err), 0);
    for (size_t n = 0; n < b.n; n += n < 400 || n + 400 > b.n ? 1 : 13) {
        write_bytes(dir, name, str_sub(buf_str(&b), 0, n));
        assert_int_equal(read_segment(os, info->uuid, NULL, &err), ERR_CORRUPT);
    }
    buf_add_char(&b, 'x'); /* and so is a byte too many */
    write_bytes(dir, name, buf_str(&b));
    assert_int_equal(read_segment(os, info->uuid, NULL, &err), ERR_CORRUPT);
    buf_fini(&b);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void a_damaged_block_leaves_the_others_readable(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(8, 900, 3, true);
    struct objstore *os = NULL;
    struct segment_reader *r = NULL;
    struct segment_info *info;
    struct arena *a = arena_new(NULL, 0);
    char name[SEGMENT_NAME_MAX];
    unsigned good = 0;
    struct err err;
    int fd;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_true(info->n_blocks > 2);
    segment_name(info->uuid, name);
    fd = openat(dir, name, O_WRONLY);
    assert_true(pwrite(fd, "??", 2, (off_t)info->blocks[1].offset + 300) == 2);
    assert_int_equal(close(fd), 0);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    for (uint32_t i = 0; i < info->n_blocks; i++) {
        struct batch *b = NULL;
        int rc = read_block(r, info, i, a, &b, &err);
        assert_int_equal(rc, i == 1 ? ERR_CORRUPT : 0);
        if (rc == 0)
            good += b->n_records;
        else
            assert_non_null(strstr(err.text, "block 1"));
        batch_unref(&b);
        arena_reset(a);
    }
    assert_int_equal(good, s.n - info->blocks[1].rows);
    assert_int_equal(segment_reader_verify(r, info, NULL, &err), ERR_CORRUPT);
    arena_free(&a);
    segment_reader_free(&r);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* Opening a large block costs its header and directory, a frame its own bytes; a small block is one
 * read. */
static void a_frame_is_read_by_itself(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(8, 9000, 3, false);
    struct source few = make_source(8, 20, 3, false);
    struct objstore *os = NULL;
    struct segment_reader *r = NULL;
    struct segment_info *info;
    struct segment_reader_block b;
    struct arena *a = arena_new(NULL, 0);
    struct str frame;
    uint64_t before;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    before = segment_reader_bytes(r);
    assert_int_equal(segment_reader_block(r, &info->blocks[0], 0, a, &b, &err), 0);
    assert_true(b.header.stored_bytes > 64 << 10);
    assert_int_equal(segment_reader_bytes(r) - before,
                     BLOCK_HEADER_STORED + b.header.frames * BLOCK_FRAME_ENTRY);
    assert_true(b.count[BLOCK_DATA] > 1);
    for (unsigned kind = BLOCK_KEYS; kind < BLOCK_KINDS; kind++)
        for (uint32_t i = 0; i <= b.count[kind]; i++) {
            bool is_there = i < b.count[kind];
            uint32_t at = b.first[kind] + i;
            before = segment_reader_bytes(r);
            assert_int_equal(
                segment_reader_frame(r, &b, (enum block_frame_kind)kind, i, a, &frame, &err),
                is_there ? 0 : 1);
            assert_int_equal(
                segment_reader_bytes(r) - before,
                is_there ? block_frame_get(b.entry + at * (size_t)BLOCK_FRAME_ENTRY).stored_bytes
                         : 0);
        }
    segment_reader_free(&r);
    segment_info_free(&info);
    info = write_source(os, &few);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    assert_int_equal(segment_reader_block(r, &info->blocks[0], 0, a, &b, &err), 0);
    before = segment_reader_bytes(r);
    for (unsigned round = 0; round < 2; round++) /* as often as one likes */
        assert_int_equal(segment_reader_frame(r, &b, BLOCK_KEYS, 0, a, &frame, &err), 0);
    assert_int_equal(segment_reader_bytes(r), before);
    arena_free(&a);
    segment_reader_free(&r);
    segment_info_free(&info);
    free_source(&s);
    free_source(&few);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* A frame of another block of the same file, both whole and both authentic, is not taken for the
 * right one. */
static void a_moved_frame_is_seen(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(11, 900, 3, true);
    struct objstore *os = NULL;
    struct segment_reader *r = NULL;
    struct segment_info *info;
    struct segment_info *forged;
    struct arena *a = arena_new(NULL, 0);
    struct batch *b = NULL;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &forged, &err), 0);
    forged->blocks[0] = info->blocks[1];
    assert_int_equal(read_block(r, forged, 0, a, &b, &err), ERR_CORRUPT);
    forged->blocks[0] = info->blocks[0];
    forged->blocks[0].first_stream++;
    assert_int_equal(read_block(r, forged, 0, a, &b, &err), ERR_CORRUPT);
    segment_info_free(&forged);
    arena_free(&a);
    segment_reader_free(&r);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void fails_cleanly_wherever_io_fails(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(6, 20, 3, false);
    struct objstore *os = NULL;
    unsigned failed = 0;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    FAULT_EACH("file") {
        struct segment_info *info = NULL;
        int r = segment_writer_write(os, &OPT, s.rows, s.n, &info, &err);
        assert_true(r == 0 || r == ERR_IO);
        assert_int_equal(tmpdir_count(dir), r == 0 ? 1 : 0); /* all or nothing, and no litter */
        failed += r != 0;
        segment_info_free(&info);
    }
    assert_true(failed > 4);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

static void reading_fails_with_an_error_wherever_io_fails(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(6, 20, 3, false);
    struct objstore *os = NULL;
    struct segment_info *info;
    unsigned failed = 0;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    FAULT_EACH("file") {
        int r = read_segment(os, info->uuid, NULL, &err);
        assert_true(r == 0 || r == ERR_IO);
        failed += r != 0;
    }
    assert_true(failed > 4);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* docs/formats/segment.md, "Test vector". */
static void the_leaf_hash_is_the_documented_one(void **state)
{
    static const char want[] = "e1695d3f01f96d4e5c856db469bbb3a00087fe8af5b3e2820590dfd270273887";
    struct block_header h = {.index = 1,
                             .tenant_id = 0x0102030405060708,
                             .min_ts = 1795288478773648831,
                             .max_ts = 1795288479000000000,
                             .min_received = 1795288479000000001,
                             .max_received = 1795288479000000002,
                             .min_seq = 41,
                             .max_seq = 43,
                             .rows = 3,
                             .codec = BLOCK_CODEC_TEMPLATES,
                             .raw_bytes = 300,
                             .stored_bytes = 4,
                             .first_stream = 2,
                             .last_stream = 3,
                             .frames = 2,
                             .first_frame = 3};
    uint8_t p[BLOCK_HEADER_STORED];
    char text[2 * MERKLE_HASH + 1];
    struct str stored = STR("logq");
    struct merkle_hash leaf;

    (void)state;
    for (size_t i = 0; i < sizeof(h.segment); i++)
        h.segment[i] = (uint8_t)i;
    crypt_sha256(&stored, 1, h.digest.b);
    block_header_put(&h, p);
    leaf = block_header_leaf(p);
    for (size_t i = 0; i < MERKLE_HASH; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", leaf.b[i]);
    assert_string_equal(text, want);
}

CHECK_MAIN(cmocka_unit_test(records_come_back),
           cmocka_unit_test(a_footer_says_all_that_the_writer_knew),
           cmocka_unit_test(nothing_that_was_written_lies_in_clear),
           cmocka_unit_test(a_wrong_key_opens_nothing),
           cmocka_unit_test(two_records_with_one_seq_are_refused),
           cmocka_unit_test(streams_come_in_order_or_not_at_all),
           cmocka_unit_test(a_copy_keeps_records_and_leaves),

           cmocka_unit_test(every_flipped_bit_of_a_copy_is_seen),
           cmocka_unit_test(every_flipped_bit_is_seen), cmocka_unit_test(every_cut_is_seen),
           cmocka_unit_test(a_damaged_block_leaves_the_others_readable),
           cmocka_unit_test(a_frame_is_read_by_itself), cmocka_unit_test(a_moved_frame_is_seen),
           cmocka_unit_test(fails_cleanly_wherever_io_fails),
           cmocka_unit_test(reading_fails_with_an_error_wherever_io_fails),
           cmocka_unit_test(the_leaf_hash_is_the_documented_one))
