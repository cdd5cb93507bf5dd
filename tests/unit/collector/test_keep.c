/* Unit tests of collector/keep: what was kept of a log is read as it was, or said to be damaged. */
#include "collector/keep.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 1 << 20, PIECE = 100000, START = 1000, NO = 7 };
#define FILE_NAME "keep/0000000000000012-0000000000000007.lqk"

static struct label label_v[] = {{STR_INIT("app"), STR_INIT("web")},
                                 {STR_INIT("host"), STR_INIT("h")}};
static const struct keep_names NAMES = {STR_INIT("/logs/a.log"), true, {label_v, 2}, {NULL, 0}};
static const struct keep_head HEAD = {.incarnation = 0x12,
                                      .no = NO,
                                      .salt = 5,
                                      .head_len = 64,
                                      .head_hash = 99,
                                      .dev = 3,
                                      .ino = 4,
                                      .start = START};

struct fixture {
    int dir;
    char *text;
    struct keep *keep;
};
static struct fixture f;
static struct err err;

static int setup(void **state)
{
    unsigned seed = 3;

    (void)state;
    metrics_setup();
    log_set_level(LOG_LEVEL_ERROR);
    f.dir = tmpdir_open(NULL);
    f.text = mem_new(TEXT_BYTES);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        f.text[i] =
            (char)('a' + (seed >> 20) % (i < TEXT_BYTES / 2 ? 16 : 100)); /* some do not pack */
    }
    assert_int_equal(keep_open(f.dir, 0x12, &f.keep, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keep_close(&f.keep);
    tmpdir_close(f.dir);
    free(f.text);
    return 0;
}

/* Put text[START..end) in pieces.  Returns how much of it was put, `*r` the last result. */
static uint64_t put_text(uint64_t end, int *r)
{
    struct keep_writer *w = NULL;
    uint64_t put = START;

    *r = keep_begin(f.keep, &HEAD, &NAMES, &w, &err);
    while (*r == 0 && put < end) {
        size_t n = end - put < PIECE ? (size_t)(end - put) : PIECE;
        *r = keep_put(w, (struct str){f.text + put, n}, &err);
        put += *r == 0 ? n : 0;
    }
    if (w != NULL)
        assert_int_equal(keep_end(w), put);
    if (*r == 0)
        *r = keep_sync(w, &err);
    keep_writer_free(&w);
    return put;
}

static void check_text(struct keep_reader *r, uint64_t end)
{
    char *p = mem_new(TEXT_BYTES);

    assert_int_equal(keep_reader_start(r), START);
    assert_int_equal(keep_reader_end(r), end);
    assert_int_equal(keep_reader_read(r, p, TEXT_BYTES, START), end - START);
    assert_memory_equal(p, f.text + START, end - START);
    for (uint64_t at = START; at < end; at += 77777) {
        size_t n = end - at < 5000 ? (size_t)(end - at) : 5000;
        assert_int_equal(keep_reader_read(r, p, 5000, at), n);
        assert_memory_equal(p, f.text + at, n);
    }
    free(p);
}

static void what_was_kept_is_read_by_offsets(void **state)
{
    struct keep_reader *r;
    char c;
    int e;

    (void)state;
    assert_int_equal(put_text(TEXT_BYTES, &e), TEXT_BYTES);
    assert_int_equal(e, 0);
    assert_true(keep_bytes(f.keep) < TEXT_BYTES);
    assert_int_equal(keep_read(f.keep, NO, TEXT_BYTES, &r, &err), 0);
    check_text(r, TEXT_BYTES);
    assert_int_equal(keep_reader_read(r, &c, 1, TEXT_BYTES), 0);
    assert_int_equal(keep_reader_read(r, &c, 1, START - 1), -1);
    assert_int_equal(errno, EBADMSG);
    keep_reader_rest(r);
    assert_true(keep_reader_is_resting(r));
    check_text(r, TEXT_BYTES);
    keep_reader_free(&r);
    keep_remove(f.keep, NO);
    assert_int_equal(keep_bytes(f.keep), 0);
    assert_int_equal(keep_read(f.keep, NO, 0, &r, &err), ERR_GONE);
}

static void take(void *arg, const struct keep_head *h, const struct keep_names *n)
{
    unsigned *found = arg;

    ++*found;
    assert_int_equal(h->start, START);
    assert_int_equal(h->head_hash, HEAD.head_hash);
    assert_int_equal(h->ino, HEAD.ino);
    check_str(n->path, "/logs/a.log");
    assert_true(n->described && labels_equal(&n->labels, &NAMES.labels) && n->attrs.n == 0);
}

static void a_later_start_finds_it_also_under_another_number(void **state)
{
    struct keep_reader *r;
    unsigned found = 0;
    int e;

    (void)state;
    (void)put_text(TEXT_BYTES, &e);
    keep_close(&f.keep);
    assert_int_equal(keep_open(f.dir, 0x13, &f.keep, &err), 0); /* the journal was lost */
    assert_true(keep_bytes(f.keep) > 0);
    assert_int_equal(keep_each(f.keep, take, &found, &err), 0);
    assert_int_equal(found, 1);
    assert_int_equal(keep_adopt(f.keep, &HEAD, 3, 77, &err), 0);
    assert_int_equal(keep_read(f.keep, 3, TEXT_BYTES, &r, &err), 0);
    check_text(r, TEXT_BYTES);
    keep_reader_free(&r);
    assert_int_equal(keep_each(f.keep, take, &found, &err), 0);
    assert_int_equal(found, 2);
}

static void cut_file(off_t bytes)
{
    int fd = openat(f.dir, FILE_NAME, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    (void)close(fd);
}

static void a_torn_end_is_cut_off_wherever_it_was_torn(void **state)
{
    off_t all;
    int e;

    (void)state;
    (void)put_text(START + 2 * PIECE, &e);
    all = (off_t)keep_bytes(f.keep);
    for (off_t n = all; n > KEEP_HEAD_BYTES + 200; n -= 997) {
        struct keep_reader *r;
        uint64_t end;
        cut_file(n);
        assert_int_equal(keep_read(f.keep, NO, 0, &r, &err), 0);
        end = keep_reader_end(r);
        assert_true(end == START || end == START + PIECE || (end == START + 2 * PIECE && n == all));
        check_text(r, end);
        keep_reader_free(&r);
    }
}

/* As a new start finds it. */
static unsigned count_found(void)
{
    unsigned found = 0;

    keep_close(&f.keep);
    assert_int_equal(keep_open(f.dir, 0x12, &f.keep, &err), 0);
    assert_int_equal(keep_each(f.keep, take, &found, &err), 0);
    return found;
}

static void what_is_torn_before_its_first_byte_is_removed(void **state)
{
    struct keep_frame names;
    struct buf file;
    size_t begin;
    int e;

    (void)state;
    (void)put_text(START + PIECE, &e);
    buf_init(&file, 1 << 20);
    assert_int_equal(file_read(f.dir, FILE_NAME, &file, &err), 0);
    assert_int_equal(keep_parse_frame((const uint8_t *)file.p + KEEP_HEAD_BYTES, &names, &err), 0);
    begin = KEEP_HEAD_BYTES + KEEP_FRAME_BYTES + names.stored;
    for (size_t n = 0; n <= begin; n += n + 7 < begin ? 7 : 1) {
        struct str part = {file.p, n};
        uint64_t before = metric_get(METRIC_SPOOL_ORPHANS);
        assert_int_equal(file_replace(f.dir, FILE_NAME, 0600, part, &err), 0);
        assert_int_equal(count_found(), n == begin);
        assert_int_equal(metric_get(METRIC_SPOOL_ORPHANS) - before, n < begin);
        assert_int_equal(keep_bytes(f.keep), n < begin ? 0 : n);
        assert_int_equal(faccessat(f.dir, FILE_NAME, F_OK, 0), n < begin ? -1 : 0);
    }
    assert_int_equal(metric_get(METRIC_FILES_UNREADABLE), 0);
    buf_fini(&file);
}

static void what_another_program_may_read_stays(void **state)
{
    struct buf file;
    uint32_t crc;
    int e;

    (void)state;
    (void)put_text(START + PIECE, &e);
    buf_init(&file, 1 << 20);
    assert_int_equal(file_read(f.dir, FILE_NAME, &file, &err), 0);
    file.p[12] = 9; /* the version */
    crc = crc32c(0, file.p + 4, KEEP_HEAD_BYTES - 4);
    for (int i = 0; i < 4; i++)
        file.p[i] = (char)(crc >> 8 * i);
    assert_int_equal(file_replace(f.dir, FILE_NAME, 0600, buf_str(&file), &err), 0);
    assert_int_equal(count_found(), 0);
    assert_int_equal(metric_get(METRIC_FILES_UNREADABLE), 1);
    assert_int_equal(keep_bytes(f.keep), file.n);
    buf_fini(&file);
}

static void what_cannot_be_read_now_stays(void **state)
{
    (void)state;
    FAULT_EACH("file.read") {
        unsigned found = 0;
        int e;
        assert_int_equal(put_text(START + PIECE, &e), START + PIECE);
        e = keep_each(f.keep, take, &found, &err);
        assert_int_equal(e, found == 1 ? 0 : ERR_IO);
        assert_int_equal(found + metric_get(METRIC_FILES_UNREADABLE), 1);
        assert_true(keep_bytes(f.keep) > 0);
        assert_int_equal(metric_get(METRIC_SPOOL_ORPHANS), 0);
        metric_set(METRIC_FILES_UNREADABLE, 0);
    }
}

static void no_flipped_bit_is_read_as_text(void **state)
{
    struct buf file;
    int e;

    (void)state;
    (void)put_text(START + 2 * PIECE, &e);
    buf_init(&file, 1 << 20);
    assert_int_equal(file_read(f.dir, FILE_NAME, &file, &err), 0);
    for (size_t i = 0; i < file.n; i += i < 400 ? 1 : 499) {
        struct keep_reader *r;
        char *p = mem_new(TEXT_BYTES);
        file.p[i] = (char)(file.p[i] ^ 0x10);
        assert_int_equal(file_replace(f.dir, FILE_NAME, 0600, buf_str(&file), &err), 0);
        file.p[i] = (char)(file.p[i] ^ 0x10);
        e = keep_read(f.keep, NO, START + 2 * PIECE, &r, &err);
        if (e == 0) {
            ssize_t n = keep_reader_read(r, p, TEXT_BYTES, START);
            if (n > 0)
                assert_memory_equal(p, f.text + START, (size_t)n);
            /* The frame of names is not read here, and some bytes mean nothing. */
            assert_true(n < 2 * PIECE || i < KEEP_HEAD_BYTES + KEEP_FRAME_BYTES + 200);
            keep_reader_free(&r);
        } else {
            assert_true(i < KEEP_HEAD_BYTES && (e == ERR_CORRUPT || e == ERR_UNSUPPORTED));
        }
        free(p);
    }
    buf_fini(&file);
}

enum { FRAMES = 4 };

/* Where the head of frame `n` (from 0; behind the names) is in the file. */
static size_t find_frame(const struct buf *file, size_t n)
{
    size_t at = KEEP_HEAD_BYTES;
    struct keep_frame frame;

    for (size_t i = 0; i <= n; i++) {
        assert_int_equal(keep_parse_frame((const uint8_t *)file->p + at, &frame, &err), 0);
        at += KEEP_FRAME_BYTES + frame.stored;
    }
    return at;
}

/* Frame `n` is damaged `in` bytes behind its beginning: all others are read. */
static void check_damage(struct buf *file, size_t n, size_t in)
{
    uint64_t end = START + FRAMES * PIECE, hole = START + n * PIECE;
    size_t at = find_frame(file, n) + in;
    char *p = mem_new(TEXT_BYTES);
    struct keep_reader *r;

    file->p[at] = (char)(file->p[at] ^ 1);
    assert_int_equal(file_replace(f.dir, FILE_NAME, 0600, buf_str(file), &err), 0);
    file->p[at] = (char)(file->p[at] ^ 1);
    assert_int_equal(keep_read(f.keep, NO, end, &r, &err), 0);
    if (n > 0)
        assert_int_equal(keep_reader_read(r, p, TEXT_BYTES, START), hole - START);
    assert_memory_equal(p, f.text + START, hole - START);
    assert_int_equal(keep_reader_read(r, p, 10, hole), -1);
    assert_int_equal(errno, EBADMSG);
    assert_true(keep_reader_is_damaged(r));
    if (n + 1 < FRAMES) {
        assert_int_equal(keep_reader_end(r), end);
        assert_int_equal(keep_reader_skip(r, hole), hole + PIECE);
        assert_int_equal(keep_reader_read(r, p, TEXT_BYTES, hole + PIECE), end - hole - PIECE);
        assert_memory_equal(p, f.text + hole + PIECE, end - hole - PIECE);
        assert_false(keep_reader_is_damaged(r));
    } else {
        assert_int_equal(keep_reader_skip(r, hole), keep_reader_end(r));
    }
    keep_reader_free(&r);
    free(p);
}

static void behind_damage_reading_goes_on(void **state)
{
    struct buf file;
    int e;

    (void)state;
    (void)put_text(START + FRAMES * PIECE, &e);
    buf_init(&file, 1 << 20);
    assert_int_equal(file_read(f.dir, FILE_NAME, &file, &err), 0);
    for (size_t n = 0; n < FRAMES; n++) {
        check_damage(&file, n, KEEP_FRAME_BYTES + 1000);
        if (n + 1 < FRAMES)             /* else it is the end of what is there */
            check_damage(&file, n, 13); /* the head that says how long it is */
    }
    buf_fini(&file);
}

static void the_end_can_be_cut_off(void **state)
{
    uint64_t all, left;
    struct keep_reader *r;
    int e;

    (void)state;
    (void)put_text(START + FRAMES * PIECE, &e);
    all = keep_bytes(f.keep);
    assert_int_equal(keep_cut(f.keep, NO, START + PIECE + 1, &left, &err), 0);
    assert_int_equal(left, START + 2 * PIECE);
    assert_true(keep_bytes(f.keep) < all);
    assert_int_equal(keep_read(f.keep, NO, left, &r, &err), 0);
    check_text(r, left);
    keep_reader_free(&r);
    assert_int_equal(keep_cut(f.keep, NO, left, &left, &err), 0);
    assert_int_equal(left, START + 2 * PIECE);
    assert_int_equal(keep_cut(f.keep, NO, START, &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(keep_bytes(f.keep), 0);
    assert_int_equal(keep_cut(f.keep, NO, START, &left, &err), ERR_GONE);
}

static void a_write_that_fails_leaves_what_was_there(void **state)
{
    (void)state;
    FAULT_EACH("file") {
        struct keep_reader *r = NULL;
        int e;
        uint64_t put = put_text(START + 3 * PIECE, &e);
        assert_true(e == 0 || e == ERR_IO);
        if (keep_read(f.keep, NO, 0, &r, &err) == 0) {
            if (e < 0)
                check_text(r, put);
            keep_reader_free(&r);
        } else {
            assert_true(e < 0 || err.code == ERR_IO); /* reading fails in its turn, too */
        }
        keep_remove(f.keep, NO);
        assert_int_equal(keep_bytes(f.keep), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_read_by_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(a_later_start_finds_it_also_under_another_number, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off_wherever_it_was_torn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_torn_before_its_first_byte_is_removed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_another_program_may_read_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_now_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(no_flipped_bit_is_read_as_text, setup, teardown),
        cmocka_unit_test_setup_teardown(behind_damage_reading_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_can_be_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_fails_leaves_what_was_there, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
