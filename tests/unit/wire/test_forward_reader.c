/* Entries: every value becomes text, every payload is walked within its limits. */
#include "tests/unit/wire/forward_fixture.h"

#define TIME "d7 00 00 00 00 01 00 00 00 02 "

static struct str pack(struct fixture *f, enum codec c, struct str text)
{
    struct codec_writer *w = codec_writer_new();
    struct buf out;
    struct str s;

    buf_init(&out, (size_t)64 << 20);
    assert_int_equal(codec_pack(w, c, 1, text, &out, &f->err), 0);
    s = bytes_join(f->build, buf_str(&out), STR(""));
    buf_fini(&out);
    codec_writer_free(&w);
    return s;
}

static void values_of_every_kind_become_text(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "92 a1 't' 91 92" TIME "86 a1 'a' c0 a1 'b' c2 a1 'c' c3 a1 'd' f4 a1 'e' 05"
                " a1 'f' cf ff ff ff ff ff ff ff ff",
                "1000000002 a=n:null b=b:false c=b:true d=i:-12 e=i:5 f=i:18446744073709551615\n");
    check_reads(f,
                "92 a1 't' 91 92" TIME "84 a1 'a' cb 3f f8 00 00 00 00 00 00 a1 'b' ca 3f 00 00"
                " 00 a1 'c' cb 7f f8 00 00 00 00 00 00 a1 'd' d3 80 00 00 00 00 00 00 00",
                "1000000002 a=f:1.5 b=f:0.5 c=f:null d=i:-9223372036854775808\n");
    check_reads(f, "92 a1 't' 91 92" TIME "83 a1 'a' a1 'x' a1 'b' c4 02 'yz' a1 'c' d9 00",
                "1000000002 a=s:x b=s:yz c=s:\n");
}

static void times_inside_a_record_are_rfc3339(void **state)
{
    struct fixture *f = *state;

    /* msgpack timestamps of 32, 64 and 96 bits, and an EventTime */
    check_reads(f,
                "92 a1 't' 91 92" TIME "82 a1 'a' d6 ff 00 00 00 01 a1 'b' d7 ff 77 35 94 00"
                " 00 00 00 01",
                "1000000002 a=t:1970-01-01T00:00:01Z b=t:1970-01-01T00:00:01.5Z\n");
    check_reads(f,
                "92 a1 't' 91 92" TIME "82 a1 'a' c7 0c ff 00 00 00 01 ff ff ff ff ff ff ff ff"
                " a1 'b' d7 00 00 00 00 01 00 00 00 01",
                "1000000002 a=t:1969-12-31T23:59:59.000000001Z"
                " b=t:1970-01-01T00:00:01.000000001Z\n");
}

static void other_ext_is_base64(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "92 a1 't' 91 92" TIME "84 a1 'a' d5 05 'ab' a1 'b' c7 00 05 a1 'c' c7 03 ff 01"
                " 02 03 a1 'd' c7 0c ff ff ff ff ff 00 00 00 00 00 00 00 01",
                "1000000002 a=s:YWI= b=s: c=s:AQID d=s://///wAAAAAAAAAB\n");
}

static void nested_values_become_json(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "92 a1 't' 91 92" TIME "82 a1 'a' 82 a1 'x' 93 01 c0 a1 '\"' a1 'y' 80 a1 'b' 92"
                " cb 3f f8 00 00 00 00 00 00 c3",
                "1000000002 a=j:{\"x\":[1,null,\"\\\"\"],\"y\":{}} b=j:[1.5,true]\n");
    /* text as text, other bytes and ext in base64, times as times */
    check_reads(f,
                "92 a1 't' 91 92" TIME "81 a1 'a' 94 c4 01 'x' c4 01 ff d4 05 01 d6 ff 00 00 00"
                " 01",
                "1000000002 a=j:[\"x\",\"/w==\",\"AQ==\",\"1970-01-01T00:00:01Z\"]\n");
    /* keys that are no strings */
    check_reads(f,
                "92 a1 't' 91 92" TIME "84 05 01 c4 01 'k' 02 91 01 03 a1 'm' 83 05 01 91 02 03"
                " c4 01 'b' 04",
                "1000000002 5=i:1 k=i:2 [1]=i:3 m=j:{\"5\":1,\"[2]\":3,\"b\":4}\n");
}

static void duplicate_keys_come_as_they_come(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "92 a1 't' 91 92" TIME "82 a1 'a' 01 a1 'a' 02", "1000000002 a=i:1 a=i:2\n");
}

static void metadata_stands_beside_the_time(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "92 a1 't' 93 92 92" TIME "81 a1 'm' a1 'x' 81 a1 'k' 01 92 92" TIME "c0 80"
                " 92" TIME "81 a1 'k' a1 'v'",
                "1000000002 k=i:1 | m=s:x\n1000000002\n1000000002 k=s:v\n");
}

static void group_markers_are_passed_over_and_counted(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "92 a1 't' 94 92 92 d7 00 ff ff ff ff 00 00 00 00 81 a1 'm' 81 a1 'r' 01 80"
                " 92" TIME "81 a1 'k' a1 'v' 92 92 d7 00 ff ff ff fe 00 00 00 00 80 80"
                " 92 d7 00 ff ff ff fe 00 00 00 00 81 a1 'k' a1 'v'",
                "1000000002 k=s:v\n");
    assert_int_equal(forward_reader_skipped(f->reader), 3);
    check_reads(f, "92 a1 't' 91 92 d7 00 ff ff ff fd 00 00 00 00 80", "4294967293000000000\n");
    assert_int_equal(forward_reader_skipped(f->reader), 0);
}

static void times_out_of_range_are_clamped(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "92 a1 't' 92 92 cf ff ff ff ff ff ff ff ff 80 92 cb ff f0 00 00 00 00 00 00 80",
                "9223372036854775807\n-9223372036854775808\n");
    check_reads(f, "92 a1 't' 91 92 cb 7f f8 00 00 00 00 00 00 80", "1000\n"); /* not a number */
}

static void what_is_no_entry_is_named(void **state)
{
    struct fixture *f = *state;
#define FLAT "92" TIME "81 a1 'k' a1 'v'"

    check_refuses(f, "92 a1 't' 92" FLAT "05", ERR_CORRUPT, "entry 1: it is not");
    check_refuses(f, "92 a1 't' 91 91 05", ERR_CORRUPT, "entry 0: it is not");
    check_refuses(f, "92 a1 't' 91 92 a1 'x' 80", ERR_CORRUPT, "entry 0: its time");
    check_refuses(f, "92 a1 't' 91 92 d4 00 05 80", ERR_CORRUPT, "entry 0: its time");
    check_refuses(f, "92 a1 't' 91 92" TIME "05", ERR_CORRUPT, "no map");
    check_refuses(f, "92 a1 't' 91 92 93" TIME "80 80 80", ERR_CORRUPT, "header");
    check_refuses(f, "92 a1 't' c4 11" FLAT "92", ERR_CORRUPT, "entry 1: it is cut off");
    check_refuses(f, "92 a1 't' c4 11" FLAT "c1", ERR_CORRUPT, "entry 1");
}

static void claims_inside_a_payload_are_not_believed(void **state)
{
    struct fixture *f = *state;
    struct str many = bytes_repeat(f->build, bytes(f->build, "dd 00 98 96 80"), 30);
    struct str head = bytes(f->build, "92" TIME "81 a1 'k'");

    check_refuses(f, "92 a1 't' c4 05 dd 0f ff ff ff", ERR_LIMIT, "entry 0");
    check_refuses(f, "92 a1 't' c4 05 db ff ff ff ff", ERR_LIMIT, "entry 0");
    check_refuses(f, "92 a1 't' c4 05 dd 00 98 96 80", ERR_CORRUPT, "cut off");
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", many, "")), ERR_LIMIT);
    many = bytes_join(f->build, head, many);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", many, "")), ERR_LIMIT);
    assert_true(arena_held(f->arena) < 100000);
}

static void values_of_an_entry_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct str head = bytes(f->build, "92" TIME "81 a1 'k' dd 00 80 00 00");
    struct str nils = bytes_repeat(f->build, STR("\xc0"), (size_t)8 << 20), s;

    s = bytes_join(f->build, head, nils);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), ERR_LIMIT);
    assert_non_null(strstr(f->err.text, "values"));
    assert_true(arena_held(f->arena) < 100000);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", nils, "")), ERR_CORRUPT);
}

static void fields_and_entries_are_bounded(void **state)
{
    struct fixture *f = *state;

    f->limits.fields = 2;
    check_reads(f, "92 a1 't' 91 92" TIME "82 a1 'k' a1 'v' a1 'l' 01", "1000000002 k=s:v l=i:1\n");
    check_refuses(f, "92 a1 't' 91 92" TIME "83 a1 'k' a1 'v' a1 'l' 01 a1 'm' 02", ERR_LIMIT,
                  "entry 0: 3 fields");
    check_refuses(f, "92 a1 't' 91 92" TIME "83 a1 'k' a1 'v' a1 'l' a1 'v' a1 'm' a5 'value'",
                  ERR_LIMIT, "entry 0: 3 fields");
    f->limits.entries = 2;
    check_reads(f, "92 a1 't' 92" FLAT FLAT, "1000000002 k=s:v\n1000000002 k=s:v\n");
    check_refuses(f, "92 a1 't' 93" FLAT FLAT FLAT, ERR_LIMIT, "more than 2");
}

static void depth_of_an_entry_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct str head = bytes(f->build, "92" TIME "81 a1 'k'"), s;

    s = bytes_join(f->build, bytes_repeat(f->build, STR("\x91"), 14), STR("\xc0"));
    s = bytes_join(f->build, head, s);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), 0);
    s = bytes_join(f->build, bytes_repeat(f->build, STR("\x91"), 15), STR("\xc0"));
    s = bytes_join(f->build, head, s);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), ERR_LIMIT);
}

/* Keys that are maps whose keys are maps: each level escapes the quotes of the one below again. */
static void escapes_of_keys_do_not_explode(void **state)
{
    struct fixture *f = *state;
    struct str head = bytes(f->build, "92" TIME "81 a1 'k'"), key, s;

    f->limits.depth = 32;
    key = bytes_repeat(f->build, STR("\x81"), 28);
    s = bytes_join(f->build, key, bytes(f->build, "a1 '\"'"));
    s = bytes_join(f->build, head, s);
    s = bytes_join(f->build, s, bytes_repeat(f->build, STR("\xc0"), 28));
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), ERR_LIMIT);
    assert_non_null(strstr(f->err.text, "rendered"));
}

/* 300 entries of all shapes and many sizes; *text: what they read as, uncompressed. */
static struct str mixed_payload(struct fixture *f, struct str *text)
{
    struct str flat = bytes(f->build, FLAT), rich, all = STR_NULL, line;
    size_t i;

    rich = bytes(f->build, "92 92" TIME "81 a1 'm' 01 82 a1 'n' 81 a1 'x' c0 a1 'i' 07");
    for (i = 0; i < 100; i++) {
        struct str body = bytes_repeat(f->build, STR("x"), i * i * 2);
        line = bytes(f->build, "92" TIME "81 a3 'log' da");
        line = bytes_join(f->build, line,
                          (struct str){(char[]){(char)(body.n >> 8), (char)(body.n & 0xff)}, 2});
        line = bytes_join(f->build, line, body);
        all = bytes_join(f->build, all, line);
        all = bytes_join(f->build, all, i % 2 == 0 ? flat : rich);
        all = bytes_join(f->build, all, flat);
    }
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", all, "")), 0);
    *text = bytes_join(f->build, buf_str(&f->text), STR(""));
    return all;
}

static void packed_payloads_read_as_plain_ones(void **state)
{
    static const size_t cuts[] = {1, 100, 4000, 70000, 1000000};
    struct fixture *f = *state;
    struct str text, all, part;
    size_t c, at;
    int codec;

    all = mixed_payload(f, &text);
    assert_true(all.n > 600000);
    assert_int_equal(str_find(text, STR("1000000002 n=j:{\"x\":null} i=i:7 | m=i:1\n")) != SIZE_MAX,
                     1);
    for (codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        for (c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
            struct buf packed;
            size_t step = cuts[c] == 1 ? 1 : cuts[c];
            struct str whole = cuts[c] == 1 ? str_sub(all, 0, 3000) : all;
            buf_init(&packed, (size_t)64 << 20);
            for (at = 0; at < whole.n; at += step) { /* members cut entries anywhere */
                part = pack(f, (enum codec)codec, str_sub(whole, at, step));
                buf_add_str(&packed, part);
            }
            if (cuts[c] == 1) {
                assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", whole, "")),
                                 ERR_CORRUPT); /* the last entry is cut */
                part = bytes_join(f->build, buf_str(&f->text), STR(""));
                assert_int_equal(
                    fixture_read(f, fixture_packed(f, "92 a1 't' db", buf_str(&packed), "")),
                    ERR_CORRUPT);
                assert_true(str_eq(buf_str(&f->text), part));
            } else {
                assert_int_equal(
                    fixture_read(f, fixture_packed(f, "92 a1 't' c6", buf_str(&packed), "")), 0);
                assert_true(str_eq(buf_str(&f->text), text));
                assert_true(arena_held(f->arena) < 3 * all.n + (2 << 20));
            }
            buf_fini(&packed);
        }
    }
}

static void texts_live_as_long_as_the_arena(void **state)
{
    struct fixture *f = *state;
    struct str text, all = pack(f, CODEC_ZSTD, mixed_payload(f, &text));
    struct forward_entry e;
    struct forward_field kept[300];
    size_t n = 0;

    assert_int_equal(fixture_parse(f, fixture_packed(f, "92 a1 't' c6", all, "")), 0);
    assert_int_equal(forward_reader_start(f->reader, &f->msg, &f->limits, 1, f->arena, &f->err), 0);
    while (forward_reader_next(f->reader, &e, &f->err) == 0)
        kept[n++] = e.fields[0];
    assert_int_equal(n, 300);
    check_str(kept[0].key, "log");
    check_str(kept[1].text, "v");
    check_str(kept[4].text, "{\"x\":null}");
    for (n = 0; n < 100; n++) {
        assert_int_equal(kept[3 * n].text.n, n * n * 2);
        assert_int_equal(str_find_char(kept[3 * n].text, 'v'), SIZE_MAX);
    }
}

static void a_long_line_outgrows_every_window(void **state)
{
    struct fixture *f = *state;
    struct str line = bytes_repeat(f->build, STR("0123456789"), 500000), all;
    int codec;

    all = bytes_join(f->build, bytes(f->build, "92" TIME "81 a3 'log' db 00 4c 4b 40"), line);
    for (codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        struct str p = pack(f, (enum codec)codec, all);
        assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", p, "")), 0);
        assert_int_equal(f->text.n, line.n + strlen("1000000002 log=s:\n"));
    }
}

static void a_bomb_costs_no_more_than_its_limit(void **state)
{
    struct fixture *f = *state;
    struct str flat = bytes(f->build, FLAT), s;
    struct str payload = bytes_repeat(f->build, flat, (size_t)400000);
    int codec;

    f->limits.payload_bytes = 1 << 20;
    for (codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        s = bytes_repeat(f->build, pack(f, (enum codec)codec, payload), 3);
        assert_true(s.n < 200000);
        assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), ERR_LIMIT);
        assert_true(arena_held(f->arena) < 4 << 20);
        assert_true(f->text.n > 0); /* what came before is delivered */
    }
}

static void an_arena_that_is_full_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct str s = pack(f, CODEC_ZSTD, bytes_repeat(f->build, bytes(f->build, FLAT), 100000));

    arena_free(&f->arena);
    f->arena = arena_new(NULL, 100000);
    assert_int_equal(fixture_read(f, fixture_packed(f, "92 a1 't' c6", s, "")), ERR_LIMIT);
    check_reads(f, "92 a1 't' 91" FLAT, "1000000002 k=s:v\n"); /* and the reader serves on */
}

CHECK_MAIN(T(values_of_every_kind_become_text), T(times_inside_a_record_are_rfc3339),
           T(other_ext_is_base64), T(nested_values_become_json),
           T(duplicate_keys_come_as_they_come), T(metadata_stands_beside_the_time),
           T(group_markers_are_passed_over_and_counted), T(times_out_of_range_are_clamped),
           T(what_is_no_entry_is_named), T(claims_inside_a_payload_are_not_believed),
           T(values_of_an_entry_are_bounded), T(fields_and_entries_are_bounded),
           T(depth_of_an_entry_is_bounded), T(escapes_of_keys_do_not_explode),
           T(packed_payloads_read_as_plain_ones), T(texts_live_as_long_as_the_arena),
           T(a_long_line_outgrows_every_window), T(a_bomb_costs_no_more_than_its_limit),
           T(an_arena_that_is_full_is_an_error))
