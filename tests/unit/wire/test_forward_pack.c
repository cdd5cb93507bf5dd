/* What we write: exact bytes, and the same again through our own reader. */
#include "wire/forward_pack.h"

#include "tests/unit/wire/forward_fixture.h"

#define LABEL(k, v)                                                                                \
    {                                                                                              \
        STR(k), STR(v)                                                                             \
    }

static void check_bytes(struct fixture *f, struct buf *b, const char *text)
{
    struct str want = bytes(f->build, text);

    assert_false(b->over);
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
    buf_fini(b);
}

static void an_entry_is_time_and_map(void **state)
{
    struct label fields[] = {LABEL("stream", "stdout"), LABEL("log", "hi")};
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 1000);
    forward_pack_entry(&b, 1700000000 * NS_PER_S + 5, fields, 2);
    check_bytes(f, &b,
                "92 d7 00 65 53 f1 00 00 00 00 05 82 a6 'stream' a6 'stdout'"
                " a3 'log' a2 'hi'");
    buf_init(&b, 1000);
    forward_pack_entry(&b, -1, NULL, 0);
    check_bytes(f, &b, "92 d7 00 00 00 00 00 00 00 00 00 80");
    buf_init(&b, 1000);
    forward_pack_entry(&b, INT64_MAX, NULL, 0); /* never a group marker */
    check_bytes(f, &b, "92 d7 00 ff ff ff fd 3b 9a c9 ff 80");
}

static void an_entry_that_does_not_fit_leaves_nothing(void **state)
{
    struct label fields[] = {LABEL("log", "hi")};
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 19);
    forward_pack_entry(&b, 1, fields, 1);
    check_bytes(f, &b, "92 d7 00 00 00 00 00 00 00 00 01 81 a3 'log' a2 'hi'");
    buf_init(&b, 18);
    forward_pack_entry(&b, 1, fields, 1);
    assert_true(b.over);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void every_length_comes_back(void **state)
{
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 100000};
    struct fixture *f = *state;
    struct forward_entry e;
    struct label fields[18];
    struct buf b;
    size_t i, n;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct str s = bytes_repeat(f->build, STR("y"), lengths[i]);
        buf_init(&b, (size_t)1 << 20);
        fields[0] = (struct label){STR("log"), s};
        forward_pack_entry(&b, 7, fields, 1);
        assert_int_equal(fixture_parse(f, fixture_packed(f, "92 a1 't' c6", buf_str(&b), "")), 0);
        buf_fini(&b);
        assert_int_equal(forward_reader_start(f->reader, &f->msg, &f->limits, 1, f->arena, &f->err),
                         0);
        assert_int_equal(forward_reader_next(f->reader, &e, &f->err), 0);
        assert_true(str_eq(e.fields[0].text, s));
        assert_int_equal(forward_reader_next(f->reader, &e, &f->err), 1);
    }
    for (n = 14; n <= 18; n++) { /* map heads change at 16 */
        buf_init(&b, 1000);
        for (i = 0; i < n; i++)
            fields[i] = (struct label){STR("k"), STR("v")};
        forward_pack_entry(&b, 7, fields, n);
        assert_int_equal(fixture_parse(f, fixture_packed(f, "92 a1 't' c6", buf_str(&b), "")), 0);
        buf_fini(&b);
        assert_int_equal(forward_reader_start(f->reader, &f->msg, &f->limits, 1, f->arena, &f->err),
                         0);
        assert_int_equal(forward_reader_next(f->reader, &e, &f->err), 0);
        assert_int_equal(e.n_fields, n);
    }
}

/* The worked example of docs/formats/forward.md. */
static void a_chunk_is_what_the_manual_says(void **state)
{
    struct label labels[] = {LABEL("container", "web"), LABEL("host", "n1")};
    struct label attrs[] = {LABEL("container_id", "4f5e")};
    struct forward_part part = {.file_id = STR("0a1b-7"),
                                .end = 4096,
                                .count = 1,
                                .maybe_twice = true,
                                .labels = {labels, 2},
                                .attrs = {attrs, 1}};
    struct forward_chunk c = {
        .tag = STR("logq"), .payload = STR("xyz"), .n_entries = 1, .parts = &part, .n_parts = 1};
    struct fixture *f = *state;
    char token[25];
    struct buf b;

    forward_token(&part, 1, token);
    c.token = str_of(token);
    buf_init(&b, 1000);
    forward_pack_chunk(&b, &c);
    check_bytes(f, &b,
                "93 a4 'logq' c4 03 'xyz' 83 a5 'chunk' b8 'vNzeyjVi2Nk8LsUek8u51w=='"
                " a4 'size' 01 a2 'lq' 82 a1 'v' 01 a1 'p' 91 97 a6 '0a1b-7' 00 cd 10 00 01"
                " 82 a9 'container' a3 'web' a4 'host' a2 'n1' 81 ac 'container_id' a4 '4f5e' 01");
    c.codec = CODEC_ZSTD;
    c.n_parts = 0;
    buf_init(&b, 1000);
    forward_pack_chunk(&b, &c);
    check_bytes(f, &b,
                "93 a4 'logq' c4 03 'xyz' 83 a5 'chunk' b8 'vNzeyjVi2Nk8LsUek8u51w=='"
                " a4 'size' 01 aa 'compressed' a4 'zstd'");
}

static void what_is_packed_parses(void **state)
{
    struct label labels[] = {LABEL("container", "web"), LABEL("host", "n1")};
    struct forward_part parts[3] = {
        {.file_id = STR("a"), .end = 10, .count = 2, .labels = {labels, 2}},
        {.file_id = STR("b"), .start = UINT64_MAX - 1, .end = UINT64_MAX, .attrs = {labels, 1}},
        {.file_id = STR("c"), .start = 5, .end = 5, .count = 70000, .maybe_twice = true},
    };
    struct label field[] = {LABEL("log", "line")};
    struct codec_writer *w = codec_writer_new();
    struct fixture *f = *state;
    struct buf entries, payload, out;
    struct forward_chunk c = {
        .tag = STR("t"), .n_entries = 2, .token = STR("tok"), .parts = parts, .n_parts = 3};
    int codec;

    buf_init(&entries, 1000);
    forward_pack_entry(&entries, 1, field, 1);
    forward_pack_entry(&entries, 2, field, 1);
    for (codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        buf_init(&payload, 1000);
        buf_init(&out, 2000);
        assert_int_equal(codec_pack(w, (enum codec)codec, 1, buf_str(&entries), &payload, &f->err),
                         0);
        c.payload = buf_str(&payload);
        c.codec = (enum codec)codec;
        forward_pack_chunk(&out, &c);
        assert_int_equal(fixture_read(f, buf_str(&out)), 0);
        check_str(buf_str(&f->text), "1 log=s:line\n2 log=s:line\n");
        check_str(f->msg.chunk, "tok");
        assert_int_equal(f->msg.codec, codec);
        assert_int_equal(f->msg.n_parts, 3);
        assert_true(labels_equal(&f->msg.parts[0].labels, &parts[0].labels));
        assert_true(labels_equal(&f->msg.parts[1].attrs, &parts[1].attrs));
        assert_int_equal(f->msg.parts[1].end, UINT64_MAX);
        assert_int_equal(f->msg.parts[2].count, 70000);
        assert_true(f->msg.parts[2].maybe_twice);
        buf_fini(&payload);
        buf_fini(&out);
    }
    buf_fini(&entries);
    codec_writer_free(&w);
}

static void answers_are_what_senders_expect(void **state)
{
    struct fixture *f = *state;
    struct forward_ack ack;
    struct buf b;

    buf_init(&b, 1000);
    forward_pack_ack(&b, STR("abc\n"));
    check_bytes(f, &b, "81 a3 'ack' a4 'abc'0a");
    buf_init(&b, 1000);
    forward_pack_refusal(&b, STR("abc"), STR("INVALID"), STR("part 1 overlaps"));
    assert_int_equal(forward_ack_parse(buf_str(&b), &ack, &f->err), 0);
    assert_true(ack.refused);
    check_str(ack.token, "abc");
    check_str(ack.code, "INVALID");
    check_str(ack.text, "part 1 overlaps");
    check_bytes(f, &b,
                "82 a3 'ack' a3 'abc' a2 'lq' 82 a7 'refused' a7 'INVALID'"
                " a4 'text' af 'part 1 overlaps'");
}

static void a_refusal_may_name_parts(void **state)
{
    const bool refused[4] = {false, true, false, true};
    struct fixture *f = *state;
    struct forward_ack ack;
    bool got[4];
    struct buf b;

    buf_init(&b, 1000);
    forward_pack_refused_parts(&b, STR("abc"), STR("LIMIT"), STR("why"), refused, 4);
    assert_int_equal(forward_ack_parse(buf_str(&b), &ack, &f->err), 0);
    assert_true(ack.refused && ack.has_parts);
    forward_ack_parts(&ack, 4, got);
    assert_memory_equal(got, refused, sizeof(got));
    forward_ack_parts(&ack, 3, got); /* it cannot be about these: then about all */
    assert_true(got[0] && got[1] && got[2]);
    ack.has_parts = false;
    forward_ack_parts(&ack, 4, got);
    assert_true(got[0] && got[1] && got[2] && got[3]);
    check_bytes(f, &b,
                "82 a3 'ack' a3 'abc' a2 'lq' 83 a7 'refused' a5 'LIMIT'"
                " a4 'text' a3 'why' a5 'parts' 92 01 03");
}

static void a_token_names_its_parts(void **state)
{
    struct forward_part p[2] = {{.file_id = STR("0a1b-7"), .end = 4096},
                                {.file_id = STR("0a1b-8"), .start = 10, .end = 10}};
    char token[25];
    (void)state;

    forward_token(p, 1, token);
    assert_string_equal(token, "vNzeyjVi2Nk8LsUek8u51w==");
    forward_token(p, 2, token);
    assert_string_equal(token, "AZUjBs6m/4x2wN5ghdv5sA==");
    p[0].maybe_twice = true; /* a resend elsewhere is the same chunk */
    forward_token(p, 2, token);
    assert_string_equal(token, "AZUjBs6m/4x2wN5ghdv5sA==");
    p[1].end = 11;
    forward_token(p, 2, token);
    assert_string_not_equal(token, "AZUjBs6m/4x2wN5ghdv5sA==");
}

CHECK_MAIN(T(an_entry_is_time_and_map), T(an_entry_that_does_not_fit_leaves_nothing),
           T(every_length_comes_back), T(a_chunk_is_what_the_manual_says), T(what_is_packed_parses),
           T(answers_are_what_senders_expect), T(a_refusal_may_name_parts),
           T(a_token_names_its_parts))
