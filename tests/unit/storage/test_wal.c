/* storage/wal_write.c, wal_replay.c: what was synced comes back once and in order, whatever happens
 * to the file; damage is told from a torn tail. */
#include "storage/wal.h"

#include "base/fault.h"
#include "base/file.h"
#include "storage/wal_format.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t KEY[32] = {1, 2, 3};

enum { FILE_BYTES = 1 << 20, SEEN_MAX = 256 };

/* What a replay delivered. */
struct seen {
    uint32_t ids[SEEN_MAX]; /* each body begins with its number */
    uint64_t positions[SEEN_MAX];
    size_t n;
    unsigned gaps;
    int broken; /* a body had not the bytes it was given */
};

static char pattern(uint32_t id, size_t i)
{
    return (char)(id * 31 + i * 7 + (i >> 8));
}

static char *make_body(uint32_t id, size_t n)
{
    char *p = malloc(n < 4 ? 4 : n);

    memcpy(p, &id, 4);
    for (size_t i = 4; i < n; i++)
        p[i] = pattern(id, i);
    return p;
}

static int see(void *arg, const struct wal_body *body, struct err *err)
{
    struct seen *s = arg;
    uint32_t id;

    (void)err;
    if (body->gap) {
        assert_true(body->from <= body->position);
        assert_non_null(body->file);
        s->gaps++;
        return 0;
    }
    assert_true(body->bytes.n >= 4);
    memcpy(&id, body->bytes.p, 4);
    for (size_t i = 4; i < body->bytes.n; i++)
        s->broken += body->bytes.p[i] != pattern(id, i);
    assert_true(s->n < SEEN_MAX);
    assert_true(s->n == 0 || s->positions[s->n - 1] < body->position);
    s->ids[s->n] = id;
    s->positions[s->n++] = body->position;
    return 0;
}

static int open_at(int dir, uint64_t floor, bool recover, struct wal **w, struct seen *s,
                   struct err *err)
{
    struct wal_options opt = {
        .dir_fd = dir,
        .key = KEY,
        .file_bytes = FILE_BYTES,
        .floor = floor,
        .recover = recover,
    };
    int r;

    memset(s, 0, sizeof(*s));
    r = wal_open(&opt, w, err);
    if (r == 0)
        r = wal_replay(*w, see, s, err);
    if (r < 0)
        wal_close(w);
    return r;
}

static int try_put(struct wal *w, uint32_t id, size_t n, struct err *err)
{
    char *p = make_body(id, n);
    struct str pieces[3] = {{p, n / 3}, {p + n / 3, 0}, {p + n / 3, n - n / 3}};
    uint64_t pos;
    int r;

    r = wal_append(w, pieces, 3, &pos, err);
    free(p);
    return r;
}

static void put(struct wal *w, uint32_t id, size_t n)
{
    struct err err;

    assert_int_equal(try_put(w, id, n, &err), 0);
}

static void sync_all(struct wal *w)
{
    struct err err;

    assert_int_equal(wal_sync(w, &err), 0);
}

/* Ids `first`, first + 1, ... and nothing else. */
static void saw(const struct seen *s, uint32_t first, size_t n)
{
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(s->ids[i], first + i);
    assert_int_equal(s->broken, 0);
}

/* A log of `groups` synced groups of one body each, closed as a crash leaves it. */
static void make_log(int dir, uint32_t groups, size_t body)
{
    struct wal *w = NULL;
    struct seen s;
    struct err err;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    for (uint32_t i = 0; i < groups; i++) {
        put(w, i, body);
        sync_all(w);
    }
    wal_close(&w);
}

static int open_file(int dir, uint64_t number)
{
    char name[WAL_NAME + 1];
    int fd;

    wal_format_name(number, name);
    fd = openat(dir, name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void flip(int dir, uint64_t number, off_t at)
{
    int fd = open_file(dir, number);
    char c;

    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

static void bodies_of_all_sizes_come_back_in_order(void **state)
{
    static const size_t SIZES[] = {4,  5,  100,       WAL_CHUNK - 1,     WAL_CHUNK, WAL_CHUNK + 1,
                                   77, 10, 300 << 10, 3 * WAL_CHUNK + 9, 4,         2 * WAL_CHUNK};
    enum { N = sizeof(SIZES) / sizeof(*SIZES) };
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct wal_stats st;
    struct seen s;
    struct err err;
    uint64_t end;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    assert_int_equal(s.n, 0);
    for (uint32_t i = 0; i < N; i++) {
        put(w, i, SIZES[i]);
        if (i % 3 == 2)
            sync_all(w);
    }
    end = wal_position(w);
    wal_stats(w, &st);
    assert_true(st.files > 3);
    wal_close(&w);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    saw(&s, 0, N);
    assert_true(s.positions[N - 1] == end && wal_position(w) == end);
    wal_stats(w, &st);
    assert_int_equal(st.torn_bytes, 0);
    assert_int_equal(st.replayed_bodies, N);
    wal_close(&w);
    tmpdir_close(dir);
}

static void every_start_goes_on_behind_the_last(void **state)
{
    int dir = tmpdir_open(NULL);
    uint64_t last = 0;
    struct err err;
    (void)state;

    for (uint32_t start = 0; start < 5; start++) {
        struct wal *w = NULL;
        struct seen s;
        assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
        saw(&s, 0, start);
        put(w, start, 50);
        sync_all(w);
        assert_true(wal_position(w) > last);
        last = wal_position(w);
        wal_close(&w);
    }
    assert_int_equal(tmpdir_count(dir), 5); /* a file each */
    tmpdir_close(dir);
}

static void what_the_floor_covers_is_not_delivered_and_trimmed(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    uint64_t mid = 0;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    for (uint32_t i = 0; i < 10; i++) {
        put(w, i, FILE_BYTES / 3);
        sync_all(w);
        mid = i == 4 ? wal_position(w) : mid;
    }
    assert_int_equal(tmpdir_count(dir), 5);
    assert_int_equal(wal_trim(w, mid, &err), 0);
    assert_int_equal(tmpdir_count(dir), 3); /* the third file holds bodies 4 and 5 */
    wal_close(&w);
    assert_int_equal(open_at(dir, mid, false, &w, &s, &err), 0);
    saw(&s, 5, 5);
    wal_fail(w);
    assert_int_equal(wal_trim(w, wal_position(w), &err), 0);
    wal_close(&w);
    assert_int_equal(tmpdir_count(dir), 0);
    tmpdir_close(dir);
}

/* A second reading that begins anew, for want of memory, must not miss what was trimmed meanwhile.
 */
static void what_was_trimmed_is_not_read_again(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    (void)state;

    make_log(dir, 10, FILE_BYTES / 3); /* two to a file */
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    saw(&s, 0, 10);
    assert_int_equal(wal_trim(w, s.positions[4], &err), 0);
    memset(&s, 0, sizeof(s));
    assert_int_equal(wal_replay_again(w, see, &s, &err), 0);
    saw(&s, 4, 6);
    wal_close(&w);
    tmpdir_close(dir);
}

static void a_start_never_gives_positions_of_lost_files_again(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    (void)state;

    assert_int_equal(open_at(dir, 5000, false, &w, &s, &err), 0);
    put(w, 0, 10);
    sync_all(w);
    assert_true(wal_position(w) > 5000 + (UINT64_C(1) << 35));
    wal_close(&w);
    assert_int_equal(open_at(dir, 5000, false, &w, &s, &err), 0);
    saw(&s, 0, 1);
    wal_close(&w);
    tmpdir_close(dir);
}

static void a_tail_cut_anywhere_loses_only_what_was_not_whole(void **state)
{
    enum { GROUPS = 6, BODY = 100, FRAME = WAL_FRAME + BODY + 16 };
    (void)state;

    for (off_t cut = WAL_HEADER; cut <= WAL_HEADER + GROUPS * FRAME; cut += 13) {
        int dir = tmpdir_open(NULL);
        struct wal *w = NULL;
        struct wal_stats st;
        struct seen s;
        struct err err;
        int fd;

        make_log(dir, GROUPS, BODY);
        fd = open_file(dir, 1);
        assert_int_equal(ftruncate(fd, cut), 0);
        (void)close(fd);
        assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
        saw(&s, 0, (size_t)(cut - WAL_HEADER) / FRAME);
        wal_stats(w, &st);
        /* Zero bytes at the very end cannot be told from reserved space. */
        assert_true(st.torn_bytes <= (uint64_t)(cut - WAL_HEADER) % FRAME);
        assert_int_equal(st.torn_bytes != 0, (cut - WAL_HEADER) % FRAME != 0);
        put(w, 100, 10); /* and it goes on */
        sync_all(w);
        wal_close(&w);
        assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
        assert_int_equal(s.n, (size_t)(cut - WAL_HEADER) / FRAME + 1);
        wal_close(&w);
        tmpdir_close(dir);
    }
}

static void a_group_that_the_disk_wrote_in_another_order_is_a_torn_tail(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct wal_stats st;
    struct seen s;
    struct err err;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    put(w, 0, 100);
    sync_all(w);
    for (uint32_t i = 1; i < 5; i++) /* one group: no frame says that another was synced */
        put(w, i, 100);
    sync_all(w);
    wal_close(&w);
    flip(dir, 1, WAL_HEADER + 2 * (WAL_FRAME + 116) + 60); /* body 2 */
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    saw(&s, 0, 2);
    wal_stats(w, &st);
    assert_int_equal(st.torn_bytes, 3 * (WAL_FRAME + 116));
    wal_close(&w);
    tmpdir_close(dir);
}

static void a_flipped_bit_before_good_frames_is_refused_by_name_and_offset(void **state)
{
    enum { FRAME = WAL_FRAME + 116 };
    (void)state;

    for (off_t at = 0; at < FRAME; at += 7) { /* header, body, tag */
        int dir = tmpdir_open(NULL);
        struct wal *w = NULL;
        struct seen s;
        struct err err;

        make_log(dir, 6, 100);
        flip(dir, 1, WAL_HEADER + 2 * FRAME + at);
        assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "0000000000000001.wal"));
        assert_non_null(strstr(err.text, "offset 440"));
        tmpdir_close(dir);
    }
}

static void frames_before_the_floor_are_passed_over_by_their_headers(void **state)
{
    enum { FRAME = WAL_FRAME + 116 };
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    uint64_t floor;
    (void)state;

    make_log(dir, 6, 100);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    wal_close(&w);
    floor = s.positions[3];
    flip(dir, 1, WAL_HEADER + 2 * FRAME + WAL_FRAME + 5); /* a record that is in a segment */
    assert_int_equal(open_at(dir, floor, false, &w, &s, &err), 0);
    saw(&s, 4, 2);
    wal_close(&w);
    flip(dir, 1, WAL_HEADER + 2 * FRAME + 8); /* where the next frame begins is not known */
    assert_int_equal(open_at(dir, floor, false, &w, &s, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "offset 440"));
    flip(dir, 1, WAL_HEADER + 2 * FRAME + 8);
    flip(dir, 1, WAL_HEADER + 4 * FRAME + WAL_FRAME + 5); /* the first behind the floor */
    assert_int_equal(open_at(dir, floor, false, &w, &s, &err), ERR_CORRUPT);
    tmpdir_close(dir);
}

static void a_zeroed_page_in_the_middle_is_damage_not_the_end(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    char zero[4096] = {0};
    int fd;
    (void)state;

    make_log(dir, 200, 100);
    fd = open_file(dir, 1);
    assert_int_equal(pwrite(fd, zero, sizeof(zero), 8192), sizeof(zero));
    (void)close(fd);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
    tmpdir_close(dir);
}

static void recovery_passes_over_damage_and_tells_of_it(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct wal_stats st;
    struct seen s;
    struct err err;
    (void)state;

    make_log(dir, 6, 100);
    flip(dir, 1, WAL_HEADER + 2 * (WAL_FRAME + 116) + 50);
    assert_int_equal(open_at(dir, 0, true, &w, &s, &err), 0);
    assert_int_equal(s.n, 5);
    assert_int_equal(s.ids[1], 1);
    assert_int_equal(s.ids[2], 3);
    assert_int_equal(s.gaps, 1);
    wal_stats(w, &st);
    assert_int_equal(st.skipped_frames, 1);
    assert_int_equal(st.torn_bytes, 0);
    wal_close(&w);
    tmpdir_close(dir);
}

static void damage_in_the_last_group_is_told_once_a_later_file_exists(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    (void)state;

    make_log(dir, 3, 100);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    put(w, 3, 100);
    sync_all(w);
    wal_close(&w);
    flip(dir, 1, WAL_HEADER + 2 * (WAL_FRAME + 116) + 50); /* the last of the first file */
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
    assert_int_equal(open_at(dir, 0, true, &w, &s, &err), 0);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.ids[2], 3);
    assert_int_equal(s.gaps, 1);
    wal_close(&w);
    tmpdir_close(dir);
}

static void a_missing_or_headless_file_is_refused(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    char name[WAL_NAME + 1];
    (void)state;

    make_log(dir, 8, FILE_BYTES / 3);
    flip(dir, 2, 20);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
    assert_int_equal(open_at(dir, 0, true, &w, &s, &err), 0);
    assert_int_equal(s.n, 6);
    assert_int_equal(s.gaps, 1);
    wal_close(&w);
    wal_format_name(2, name);
    assert_int_equal(unlinkat(dir, name, 0), 0);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
    assert_int_equal(open_at(dir, 0, true, &w, &s, &err), 0);
    assert_int_equal(s.n, 6);
    assert_int_equal(s.gaps, 1);
    wal_close(&w);
    wal_format_name(1, name);
    assert_int_equal(unlinkat(dir, name, 0), 0);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), ERR_CORRUPT);
    tmpdir_close(dir);
}

static void a_body_without_its_last_frame_is_ignored(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    int fd;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    put(w, 0, 100);
    sync_all(w);
    put(w, 1, 2 * WAL_CHUNK + 5);
    sync_all(w);
    wal_close(&w);
    fd = open_file(dir, 2);
    assert_int_equal(ftruncate(fd, WAL_HEADER + 2 * (WAL_FRAME + WAL_CHUNK + 16)), 0);
    (void)close(fd);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    saw(&s, 0, 1);
    put(w, 1, 100); /* two whole frames of the old one stand before it */
    sync_all(w);
    wal_close(&w);
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    saw(&s, 0, 2);
    wal_close(&w);
    tmpdir_close(dir);
}

/* Append and sync as the store does: after a failure the whole group again, in a new file. */
static int commit_group(struct wal *w, uint32_t first, uint32_t n, size_t body, struct err *err)
{
    int r = 0;

    for (int attempt = 0; attempt < 2; attempt++) {
        r = 0;
        for (uint32_t i = 0; r == 0 && i < n; i++)
            r = try_put(w, first + i, body, err);
        if (r == 0)
            r = wal_sync(w, err);
        if (r == 0)
            return 0;
        wal_fail(w);
    }
    return r;
}

/* Where the first byte that was never written is. */
static off_t first_hole(int dir, uint64_t number)
{
    int fd = open_file(dir, number);
    off_t at = lseek(fd, 0, SEEK_HOLE);

    assert_true(at > 0);
    close(fd);
    return at;
}

static void zeros_are_written_ahead_of_small_groups_alone(void **state)
{
    enum { AHEAD = 256 << 10, LARGE = 100 << 10 };
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen seen;
    struct err err;
    off_t small;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &seen, &err), 0);
    put(w, 1, 100);
    sync_all(w);
    small = first_hole(dir, 1);
    assert_true(small >= AHEAD); /* a file system that knows no holes has the first at the end */
    put(w, 2, 100);
    sync_all(w);
    assert_int_equal(first_hole(dir, 1), small); /* there were zeros enough */
    for (uint32_t i = 3; i < 7; i++) {
        put(w, i, LARGE);
        sync_all(w);
    }
    if (small < FILE_BYTES)
        assert_true(first_hole(dir, 1) < 4 * LARGE + AHEAD / 2); /* no zeros of theirs */
    wal_close(&w);
    tmpdir_close(dir);
}

static void each_body_is_there_once_wherever_the_wal_fails(void **state)
{
    (void)state;

    FAULT_EACH("wal.") {
        int dir = tmpdir_open(NULL);
        struct wal *w = NULL;
        struct seen s;
        struct err err;
        int r = open_at(dir, 0, false, &w, &s, &err);

        if (r == 0) { /* 5 groups of 4: a group crosses files */
            for (uint32_t g = 0; g < 5; g++)
                assert_int_equal(commit_group(w, 4 * g, 4, FILE_BYTES / 5, &err), 0);
            wal_close(&w);
        } else {
            assert_int_equal(r, ERR_IO);
        }
        if (r == 0) {
            assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
            saw(&s, 0, 20);
            wal_close(&w);
        }
        tmpdir_close(dir);
    }
}

static void a_full_disk_while_reserving_says_so(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    fault_start("wal.create");
    assert_true(fault_next());
    assert_int_equal(try_put(w, 0, 10, &err), ERR_IO);
    assert_int_equal(err.sys, ENOSPC);
    while (fault_next())
        ;
    wal_fail(w);
    assert_int_equal(tmpdir_count(dir), 0); /* no litter */
    put(w, 0, 10);
    sync_all(w);
    wal_close(&w);
    tmpdir_close(dir);
}

static void nothing_of_a_body_lies_in_clear(void **state)
{
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct seen s;
    struct err err;
    struct str secret = STR("a secret that nobody may read in the file");
    struct buf b;
    uint64_t pos;
    (void)state;

    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    assert_int_equal(wal_append(w, &secret, 1, &pos, &err), 0);
    sync_all(w);
    wal_close(&w);
    buf_init(&b, 2 * FILE_BYTES);
    assert_int_equal(file_read(dir, "0000000000000001.wal", &b, &err), 0);
    assert_true(b.n > WAL_HEADER + secret.n);
    assert_true(str_find(buf_str(&b), str_sub(secret, 0, 8)) == SIZE_MAX);
    buf_fini(&b);
    tmpdir_close(dir);
}

static void a_body_over_the_limit_is_refused_before_anything_is_written(void **state)
{
    static char big[1 << 20];
    int dir = tmpdir_open(NULL);
    struct wal *w = NULL;
    struct str pieces[WAL_BODY_MAX / (1 << 20) + 1];
    struct seen s;
    struct err err;
    uint64_t pos;
    (void)state;

    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
        pieces[i] = (struct str){big, sizeof(big)};
    assert_int_equal(open_at(dir, 0, false, &w, &s, &err), 0);
    assert_int_equal(wal_append(w, pieces, sizeof(pieces) / sizeof(*pieces), &pos, &err),
                     ERR_LIMIT);
    assert_int_equal(tmpdir_count(dir), 0);
    wal_close(&w);
    tmpdir_close(dir);
}

CHECK_MAIN(cmocka_unit_test(bodies_of_all_sizes_come_back_in_order),
           cmocka_unit_test(every_start_goes_on_behind_the_last),
           cmocka_unit_test(what_the_floor_covers_is_not_delivered_and_trimmed),
           cmocka_unit_test(what_was_trimmed_is_not_read_again),
           cmocka_unit_test(a_start_never_gives_positions_of_lost_files_again),
           cmocka_unit_test(a_tail_cut_anywhere_loses_only_what_was_not_whole),
           cmocka_unit_test(a_group_that_the_disk_wrote_in_another_order_is_a_torn_tail),
           cmocka_unit_test(a_flipped_bit_before_good_frames_is_refused_by_name_and_offset),
           cmocka_unit_test(frames_before_the_floor_are_passed_over_by_their_headers),
           cmocka_unit_test(a_zeroed_page_in_the_middle_is_damage_not_the_end),
           cmocka_unit_test(recovery_passes_over_damage_and_tells_of_it),
           cmocka_unit_test(damage_in_the_last_group_is_told_once_a_later_file_exists),
           cmocka_unit_test(a_missing_or_headless_file_is_refused),
           cmocka_unit_test(a_body_without_its_last_frame_is_ignored),
           cmocka_unit_test(zeros_are_written_ahead_of_small_groups_alone),
           cmocka_unit_test(each_body_is_there_once_wherever_the_wal_fails),
           cmocka_unit_test(a_full_disk_while_reserving_says_so),
           cmocka_unit_test(nothing_of_a_body_lies_in_clear),
           cmocka_unit_test(a_body_over_the_limit_is_refused_before_anything_is_written))
