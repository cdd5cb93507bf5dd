/* Unit tests of collector/reader: a packed log is read by offsets as the plain one is. */
#include "collector/reader.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "wire/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 20 };

struct fixture {
    int dir;
    char *text;
    struct buf packed;
};
static struct fixture f;
static struct err err;

static int setup(void **state)
{
    struct codec_writer *w = codec_writer_new();
    unsigned seed = 3;

    (void)state;
    f.dir = tmpdir_open(NULL);
    f.text = mem_new(TEXT_BYTES);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        f.text[i] = (char)('a' + (seed >> 20) % 16);
    }
    buf_init(&f.packed, 4 << 20);
    /* Two members, as of `cat a.gz b.gz`. */
    assert_int_equal(
        codec_pack(w, CODEC_GZIP, 1, (struct str){f.text, TEXT_BYTES / 3}, &f.packed, &err), 0);
    assert_int_equal(codec_pack(w, CODEC_GZIP, 1,
                                (struct str){f.text + TEXT_BYTES / 3, TEXT_BYTES - TEXT_BYTES / 3},
                                &f.packed, &err),
                     0);
    codec_writer_free(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tmpdir_close(f.dir);
    free(f.text);
    buf_fini(&f.packed);
    return 0;
}

static struct reader open_it(struct str bytes, bool packed)
{
    struct reader r;
    int fd;

    assert_int_equal(file_replace(f.dir, "x", 0600, bytes, &err), 0);
    fd = openat(f.dir, "x", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    reader_open(&r, fd, packed);
    return r;
}

static void expect(struct reader *r, uint64_t offset, size_t n)
{
    char *got = mem_new(n);
    size_t want = offset >= TEXT_BYTES      ? 0
                  : TEXT_BYTES - offset < n ? (size_t)(TEXT_BYTES - offset)
                                            : n;

    assert_int_equal(reader_read(r, got, n, offset), want);
    assert_memory_equal(got, f.text + offset, want);
    free(got);
}

static void packed_bytes_are_found_by_their_offset(void **state)
{
    struct reader r = open_it(buf_str(&f.packed), true);
    unsigned seed = 5;

    (void)state;
    for (uint64_t at = 0; at <= TEXT_BYTES; at += 100000) {
        expect(&r, at, 120000);
        expect(&r, at, 10);
        expect(&r, at + 1, 200000); /* as a line that is longer than a buffer is read again */
    }
    for (int i = 0; i < 20; i++) {
        seed = seed * 1664525u + 1013904223u;
        expect(&r, (seed >> 8) % TEXT_BYTES, 1 + (seed >> 4) % 70000);
        if (i % 5 == 4) {
            reader_rest(&r);
            assert_true(reader_is_resting(&r));
        }
    }
    reader_close(&r);
}

static void the_end_is_known_once_it_was_reached(void **state)
{
    struct reader r = open_it(buf_str(&f.packed), true);
    struct reader_stat st;

    (void)state;
    assert_true(reader_reaches(&r, TEXT_BYTES / 2));
    assert_int_equal(reader_stat(&r, &st), 0);
    assert_true(st.size > TEXT_BYTES / 2 && !st.is_sure);
    expect(&r, TEXT_BYTES - 10, 100);
    assert_false(reader_reaches(&r, TEXT_BYTES + 1));
    assert_true(reader_reaches(&r, TEXT_BYTES));
    reader_rest(&r); /* what is known stays */
    assert_int_equal(reader_stat(&r, &st), 0);
    assert_int_equal(st.size, TEXT_BYTES);
    assert_true(st.is_sure);
    reader_close(&r);
}

static void what_is_in_front_of_damage_can_be_read(void **state)
{
    struct str half = str_sub(buf_str(&f.packed), 0, f.packed.n / 2);
    struct reader r = open_it(half, true);
    char piece[1000];
    struct reader_stat st;

    (void)state;
    expect(&r, 0, 100000);
    assert_int_equal(reader_read(&r, piece, sizeof(piece), TEXT_BYTES - 1), -1);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(reader_stat(&r, &st), 0);
    assert_true(st.is_sure && st.size > 100000 && st.size < TEXT_BYTES);
    expect(&r, st.size - 10, 10);
    reader_close(&r);
    r = open_it(STR("no gzip at all"), true); /* bytes that are not packed are what they are */
    assert_int_equal(reader_read(&r, piece, sizeof(piece), 3), 11);
    reader_close(&r);
}

static void a_plain_file_is_read_as_it_is(void **state)
{
    struct reader r = open_it((struct str){f.text, TEXT_BYTES}, false);
    struct reader_stat st;

    (void)state;
    expect(&r, 77, 5000);
    expect(&r, TEXT_BYTES - 5, 100);
    assert_int_equal(reader_stat(&r, &st), 0);
    assert_true(st.is_sure && st.size == TEXT_BYTES);
    assert_true(reader_reaches(&r, TEXT_BYTES));
    assert_false(reader_reaches(&r, TEXT_BYTES + 1));
    reader_close(&r);
    assert_true(reader_is_packed(STR("a.log.1.gz")) && reader_is_packed(STR("a.zst")));
    assert_false(reader_is_packed(STR("a.log.1")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(packed_bytes_are_found_by_their_offset), TEST(the_end_is_known_once_it_was_reached),
           TEST(what_is_in_front_of_damage_can_be_read), TEST(a_plain_file_is_read_as_it_is))
