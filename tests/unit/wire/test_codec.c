/* Packed payloads: what goes in comes out, and a bomb or a torn stream ends as an error. */
#include "wire/codec.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static const enum codec both[] = {CODEC_GZIP, CODEC_ZSTD};

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* `text` packed as one member, in the arena. */
static struct str packed(enum codec c, struct str text)
{
    struct codec_writer *w = codec_writer_new();
    struct buf out;
    struct err err;
    struct str s;

    buf_init(&out, (size_t)64 << 20);
    assert_int_equal(codec_pack(w, c, 1, text, &out, &err), 0);
    s = arena_str(arena, buf_str(&out));
    buf_fini(&out);
    codec_writer_free(&w);
    return s;
}

static int unpacked(enum codec c, struct str s, size_t max, struct str *ret)
{
    struct buf out;
    struct err err;
    int r;

    buf_init(&out, (size_t)64 << 20);
    r = codec_unpack(c, s, max, &out, &err);
    *ret = arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return r;
}

static void what_is_packed_unpacks(void **state)
{
    struct str text = bytes_repeat(arena, STR("a line of log text, "), 5000), out;
    size_t i, n;
    (void)state;

    for (i = 0; i < 2; i++) {
        for (n = 0; n <= text.n; n = n * 7 + 1) {
            struct str in = str_sub(text, 0, n), p = packed(both[i], in);
            assert_int_equal(codec_sniff(p), both[i]);
            assert_int_equal(codec_size_claim(both[i], p), n);
            assert_int_equal(unpacked(both[i], p, n, &out), 0);
            assert_true(str_eq(out, in));
        }
    }
    assert_int_equal(codec_sniff(STR("\x92\xd7")), CODEC_NONE);
    assert_int_equal(unpacked(CODEC_NONE, text, text.n, &out), 0);
    assert_true(str_eq(out, text));
    assert_int_equal(unpacked(CODEC_NONE, text, text.n - 1, &out), ERR_LIMIT);
}

static void members_one_after_another_are_one_stream(void **state)
{
    struct str skippable = bytes(arena, "50 2a 4d 18 03 00 00 00 'xyz'"), all, out;
    size_t i;
    (void)state;

    for (i = 0; i < 2; i++) {
        all = bytes_join(arena, packed(both[i], STR("one ")), packed(both[i], STR("")));
        all = bytes_join(arena, all, packed(both[i], STR("two")));
        assert_int_equal(unpacked(both[i], all, 100, &out), 0);
        check_str(out, "one two");
    }
    all = bytes_join(arena, skippable, packed(CODEC_ZSTD, STR("kept")));
    all = bytes_join(arena, all, skippable);
    assert_int_equal(unpacked(CODEC_ZSTD, all, 100, &out), 0);
    check_str(out, "kept");
}

/* HTTP's deflate, with the header that it should have and without. */
/* Input in pieces of any size; an end of a member is no end, one inside of a member is. */
static void a_stream_is_fed_in_pieces(void **state)
{
    struct str text = bytes_repeat(arena, STR("a line of log text, "), 5000);

    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (size_t step = 1; step < 400; step = step * 3 + 1) {
            struct str one = packed(both[k], text), rest, piece;
            char out[1000];
            size_t total = 0, n;
            struct codec_reader *r = codec_reader_new();
            struct err err;
            assert_int_equal(codec_reader_start(r, both[k], STR(""), SIZE_MAX, &err), 0);
            codec_reader_feed(r, STR(""), false);
            for (int member = 0; member < 2; member++)
                for (rest = one; rest.n > 0; rest = str_from(rest, piece.n)) {
                    while (codec_reader_pull(r, out, sizeof(out), &n, &err) == 0)
                        total += n;
                    piece = str_sub(rest, 0, step);
                    codec_reader_feed(r, piece, false);
                }
            while (codec_reader_pull(r, out, sizeof(out), &n, &err) == 0)
                total += n;
            assert_int_equal(total, 2 * text.n);
            codec_reader_feed(r, str_sub(one, 0, one.n - 1), true);
            while ((n = 0, codec_reader_pull(r, out, sizeof(out), &n, &err)) == 0)
                total += n;
            assert_int_equal(codec_reader_pull(r, out, sizeof(out), &n, &err), ERR_CORRUPT);
            codec_reader_free(&r);
        }
}

static void deflate_is_read_in_both_of_its_forms(void **state)
{
    struct str forms[] = {bytes(arena, "78 9c 4b 4c 4a 06 00 02 4d 01 27"),
                          bytes(arena, "4b 4c 4a 06 00")};
    struct str out;
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(unpacked(CODEC_DEFLATE, forms[i], 3, &out), 0);
        check_str(out, "abc");
        assert_int_equal(unpacked(CODEC_DEFLATE, forms[i], 2, &out), ERR_LIMIT);
        for (size_t n = 1; n < forms[i].n; n++)
            assert_int_equal(unpacked(CODEC_DEFLATE, str_sub(forms[i], 0, n), 3, &out),
                             ERR_CORRUPT);
        assert_int_equal(unpacked(CODEC_DEFLATE, bytes_join(arena, forms[i], STR("more")), 3, &out),
                         ERR_CORRUPT);
    }
    assert_int_equal(unpacked(CODEC_GZIP, forms[0], 3, &out), ERR_CORRUPT);
}

static void a_torn_stream_is_corrupt_wherever_it_tears(void **state)
{
    struct str out;
    size_t i, n;
    (void)state;

    for (i = 0; i < 2; i++) {
        struct str p = packed(both[i], bytes_repeat(arena, STR("some text "), 40));
        for (n = 1; n < p.n; n++) {
            char *exact = bytes_exact(str_sub(p, 0, n));
            int r = unpacked(both[i], (struct str){exact, n}, 1000, &out);
            free(exact);
            assert_int_equal(r, ERR_CORRUPT);
        }
    }
}

static void flipped_bits_and_garbage_are_corrupt(void **state)
{
    struct str p = packed(CODEC_GZIP, STR("some text that has a checksum")), out;
    char *bad = bytes_exact(p);
    (void)state;

    bad[p.n - 6] = (char)(bad[p.n - 6] ^ 0x10); /* in the crc */
    assert_int_equal(unpacked(CODEC_GZIP, (struct str){bad, p.n}, 1000, &out), ERR_CORRUPT);
    free(bad);
    assert_int_equal(unpacked(CODEC_GZIP, STR("no gzip at all"), 1000, &out), ERR_CORRUPT);
    assert_int_equal(unpacked(CODEC_ZSTD, STR("no zstd at all"), 1000, &out), ERR_CORRUPT);
    assert_int_equal(unpacked(CODEC_GZIP, bytes_join(arena, p, STR("tail")), 1000, &out),
                     ERR_CORRUPT);
}

static void a_bomb_ends_at_the_limit(void **state)
{
    struct str zeros = bytes_repeat(arena, (struct str){"\0", 1}, (size_t)4 << 20), out, many;
    size_t i;
    (void)state;

    for (i = 0; i < 2; i++) {
        struct str p = packed(both[i], zeros);
        assert_true(p.n < zeros.n / 100);
        assert_int_equal(unpacked(both[i], p, 100000, &out), ERR_LIMIT);
        assert_int_equal(out.n, 100000);
        assert_int_equal(unpacked(both[i], p, zeros.n - 1, &out), ERR_LIMIT);
        assert_int_equal(unpacked(both[i], p, zeros.n, &out), 0);
        many = bytes_repeat(arena, p, 1000); /* 4 GB */
        assert_int_equal(unpacked(both[i], many, (size_t)6 << 20, &out), ERR_LIMIT);
    }
}

static void a_frame_that_wants_a_huge_window_is_refused(void **state)
{
    /* window descriptor 0x88: 2^27 bytes; then one raw block, the last, of one byte */
    struct str frame = bytes(arena, "28 b5 2f fd 00 88 09 00 00 'x'"), out;
    (void)state;

    assert_int_equal(unpacked(CODEC_ZSTD, frame, 1000, &out), ERR_LIMIT);
    frame = bytes(arena, "28 b5 2f fd 00 68 09 00 00 'x'"); /* 2^23 */
    assert_int_equal(unpacked(CODEC_ZSTD, frame, 1000, &out), 0);
    check_str(out, "x");
}

static void a_reader_serves_again_after_an_error(void **state)
{
    struct codec_reader *r = codec_reader_new();
    struct str good[2] = {packed(CODEC_GZIP, STR("good")), packed(CODEC_ZSTD, STR("good"))};
    struct err err;
    char piece[8];
    size_t i, n;
    (void)state;

    for (i = 0; i < 6; i++) {
        enum codec c = both[i % 2];
        struct str torn = str_sub(good[i % 2], 0, good[i % 2].n - 1);
        int e;
        assert_int_equal(codec_reader_start(r, c, torn, 100, &err), 0);
        while ((e = codec_reader_pull(r, piece, sizeof(piece), &n, &err)) == 0)
            assert_true(n > 0);
        assert_int_equal(e, ERR_CORRUPT);
        assert_int_equal(codec_reader_pull(r, piece, sizeof(piece), &n, &err), ERR_CORRUPT);

        assert_int_equal(codec_reader_start(r, c, good[i % 2], 4, &err), 0);
        assert_int_equal(codec_reader_pull(r, piece, 3, &n, &err), 0);
        assert_int_equal(n, 3);
        assert_memory_equal(piece, "goo", 3);
        assert_int_equal(codec_reader_pull(r, piece, 3, &n, &err), 0);
        assert_int_equal(n, 1);
        assert_int_equal(codec_reader_pull(r, piece, 3, &n, &err), 1);
        assert_int_equal(codec_reader_pull(r, piece, 3, &n, &err), 1);
    }
    codec_reader_free(&r);
    assert_null(r);
}

static void what_does_not_fit_is_not_appended(void **state)
{
    struct codec_writer *w = codec_writer_new();
    struct buf out;
    struct err err;
    size_t i;
    (void)state;

    for (i = 0; i < 2; i++) {
        buf_init(&out, 20);
        buf_add_z(&out, "before");
        assert_int_equal(codec_pack(w, both[i], 1, STR("qwertyuiopasdfghjklzxcvbnm"), &out, &err),
                         ERR_LIMIT);
        check_str(buf_str(&out), "before");
        buf_fini(&out);
        buf_init(&out, 1000);
        assert_int_equal(codec_pack(w, both[i], 9, STR("fits"), &out, &err), 0);
        buf_fini(&out);
    }
    codec_writer_free(&w);
    assert_null(w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(what_is_packed_unpacks), T(members_one_after_another_are_one_stream),
           T(a_stream_is_fed_in_pieces), T(deflate_is_read_in_both_of_its_forms),
           T(a_torn_stream_is_corrupt_wherever_it_tears), T(flipped_bits_and_garbage_are_corrupt),
           T(a_bomb_ends_at_the_limit), T(a_frame_that_wants_a_huge_window_is_refused),
           T(a_reader_serves_again_after_an_error), T(what_does_not_fit_is_not_appended))
