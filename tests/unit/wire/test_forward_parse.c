/* The outer array: every shape that senders write, and what is none. */
#include "tests/unit/wire/forward_fixture.h"

#define ENTRY     "92 d7 00 00 00 00 01 00 00 00 02 81 a1 'k' a1 'v'"
#define ENTRY_OUT "1000000002 k=s:v\n"

static void message_mode_takes_every_kind_of_time(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "93 a1 't' ce 00 00 00 07 81 a3 'log' a1 'x'", "7000000000 log=s:x\n");
    assert_int_equal(f->msg.mode, FORWARD_MESSAGE);
    assert_int_equal(f->msg.kind, FORWARD_EVENTS);
    assert_int_equal(f->msg.n_entries, 1);
    check_str(f->msg.tag, "t");
    assert_false(f->msg.has_chunk);
    check_reads(f, "93 a1 't' d7 00 00 00 00 07 00 00 00 08 80", "7000000008\n");
    check_reads(f, "93 a1 't' c7 08 00 00 00 00 07 00 00 00 08 80", "7000000008\n");
    check_reads(f, "93 a1 't' cb 40 1e 00 00 00 00 00 00 80", "7500000000\n");
    check_reads(f, "93 a1 't' c0 80", "1000\n");
    check_reads(f, "93 a1 't' 00 80", "1000\n");
    check_reads(f, "93 a1 't' d7 00 00 00 00 00 00 00 00 00 80", "1000\n");
    check_reads(f, "93 a1 't' ff 80", "-1000000000\n");
}

static void message_mode_takes_metadata_from_its_options(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "94 a1 't' 07 81 a1 'k' a1 'v' 82 a8 'metadata' 81 a1 'm' 01 a5 'chunk' a1 'c'",
                "7000000000 k=s:v | m=i:1\n");
    check_str(f->msg.chunk, "c");
    check_reads(f, "94 a1 't' 07 80 c0", "7000000000\n");
    check_reads(f, "94 a1 't' 07 80 80", "7000000000\n");
}

static void forward_mode_is_an_array_of_entries(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "92 a1 't' 92" ENTRY ENTRY, ENTRY_OUT ENTRY_OUT);
    assert_int_equal(f->msg.mode, FORWARD_FORWARD);
    assert_int_equal(f->msg.n_entries, 2);
    /* as Fluent Bit writes it: array16, header with empty map32 metadata, map32 everywhere */
    check_reads(f,
                "93 a1 't' dc 00 01"
                " 92 92 d7 00 00 00 00 01 00 00 00 02 df 00 00 00 00"
                " df 00 00 00 01 a3 'log' a1 'x'"
                " df 00 00 00 03 a5 'chunk' b8 'AAAAAAAAAAAAAAAAAAAAAA==' a4 'size' cd 00 01"
                " ad 'fluent_signal' 00",
                "1000000002 log=s:x\n");
    check_str(f->msg.chunk, "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_int_equal(f->msg.kind, FORWARD_EVENTS);
}

static void packed_mode_takes_str_and_bin_of_every_width(void **state)
{
    static const char *const heads[] = {"b0",    "d9 10",    "da 00 10",      "db 00 00 00 10",
                                        "c4 10", "c5 00 10", "c6 00 00 00 10"};
    struct fixture *f = *state;
    char text[256];
    size_t i;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        (void)snprintf(text, sizeof(text), "93 a1 't' %s %s c0", heads[i], ENTRY);
        check_reads(f, text, ENTRY_OUT);
        assert_int_equal(f->msg.mode, FORWARD_PACKED);
        assert_int_equal(f->msg.codec, CODEC_NONE);
    }
    check_reads(f, "92 a1 't' c4 20" ENTRY ENTRY, ENTRY_OUT ENTRY_OUT);
}

static void the_ack_token_comes_as_it_was_sent(void **state)
{
    struct fixture *f = *state;

    /* Ruby's encode64 ends in a newline */
    check_reads(f, "93 a1 't' 91" ENTRY " 81 a5 'chunk' b9 'MTIzNDU2Nzg5MDEyMzQ1Ng=='0a",
                ENTRY_OUT);
    assert_true(f->msg.has_chunk);
    check_str(f->msg.chunk, "MTIzNDU2Nzg5MDEyMzQ1Ng==\n");
    check_reads(f, "93 a1 't' 91" ENTRY " 81 a5 'chunk' a0", ENTRY_OUT);
    assert_true(f->msg.has_chunk);
    check_reads(f, "93 a1 't' 91" ENTRY " 81 a5 'chunk' c0", ENTRY_OUT);
    assert_false(f->msg.has_chunk);
    check_refuses(f, "93 a1 't' 91" ENTRY " 81 a5 'chunk' 05", ERR_CORRUPT, "chunk");
}

static void a_token_over_its_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct str head = bytes(f->build, "93 a1 't' 90 81 a5 'chunk' da 01");
    struct str xs = bytes_repeat(f->build, STR("x"), 257), s;

    s = bytes_join(f->build, bytes_join(f->build, head, STR("\0")), str_sub(xs, 0, 256));
    assert_int_equal(fixture_parse(f, s), 0);
    assert_int_equal(f->msg.chunk.n, 256);
    s = bytes_join(f->build, bytes_join(f->build, head, STR("\1")), xs);
    assert_int_equal(fixture_parse(f, s), ERR_LIMIT);
}

static void unknown_options_in_any_order_are_passed_over(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "93 a1 't' c4 10" ENTRY " 86 b2 'eventEntryDataSize' 14 a4 'size' 14"
                " a1 'x' 81 a1 'y' 93 01 02 c0 05 06 a5 'chunk' a1 'c'"
                " aa 'compressed' a4 'text'",
                ENTRY_OUT);
    check_str(f->msg.chunk, "c");
    assert_int_equal(f->msg.codec, CODEC_NONE);
}

static void codec_is_the_option_and_magic_overrules_it(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_parse(f, bytes(f->build, "92 a1 't' c4 04 1f 8b 08 00")), 0);
    assert_int_equal(f->msg.codec, CODEC_GZIP);
    assert_int_equal(fixture_parse(f, bytes(f->build, "93 a1 't' c4 04 28 b5 2f fd"
                                                      " 81 aa 'compressed' a4 'gzip'")),
                     0);
    assert_int_equal(f->msg.codec, CODEC_ZSTD);
    assert_int_equal(
        fixture_parse(f, bytes(f->build, "93 a1 't' c4 01 00 81 aa 'compressed' a4 'zstd'")), 0);
    assert_int_equal(f->msg.codec, CODEC_ZSTD);
    check_refuses(f, "93 a1 't' c4 01 00 81 aa 'compressed' a3 'lz4'", ERR_CORRUPT, "codec");
    assert_int_equal(
        fixture_parse(f, bytes(f->build, "93 a1 't' 91" ENTRY " 81 aa 'compressed' a4 'gzip'")), 0);
    assert_int_equal(f->msg.codec, CODEC_NONE); /* says nothing in other modes */
}

static void nil_and_empty_streams_are_heartbeats(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "c0", "");
    assert_int_equal(f->msg.kind, FORWARD_HEARTBEAT);
    assert_false(f->msg.has_chunk);
    check_reads(f, "92 a1 't' 90", "");
    assert_int_equal(f->msg.kind, FORWARD_HEARTBEAT);
    check_reads(f, "93 a1 't' a0 81 a5 'chunk' a1 'c'", "");
    assert_int_equal(f->msg.kind, FORWARD_HEARTBEAT);
    check_str(f->msg.chunk, "c");
}

static void metrics_and_traces_are_told_from_logs(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "93 a1 't' c4 03 'abc' 82 ad 'fluent_signal' 01 a5 'chunk' a1 'c'", "");
    assert_int_equal(f->msg.kind, FORWARD_SIGNAL);
    check_str(f->msg.chunk, "c");
    check_reads(f, "93 a1 't' c4 03 'abc' 81 ad 'fluent_signal' cc 02", "");
    assert_int_equal(f->msg.kind, FORWARD_SIGNAL);
}

static void ping_has_six_elements(void **state)
{
    struct fixture *f = *state;

    check_reads(f, "96 a4 'PING' a1 'h' c4 02 ff 00 a1 'd' a1 'u' a1 'p'", "");
    assert_int_equal(f->msg.kind, FORWARD_PING);
    check_str(f->msg.ping[FORWARD_PING_HOSTNAME], "h");
    assert_int_equal(f->msg.ping[FORWARD_PING_SALT].n, 2);
    check_str(f->msg.ping[FORWARD_PING_DIGEST], "d");
    check_str(f->msg.ping[FORWARD_PING_USER], "u");
    check_str(f->msg.ping[FORWARD_PING_PASSWORD], "p");
    check_refuses(f, "96 a4 'PING' a1 'h' 05 a1 'd' a1 'u' a1 'p'", ERR_CORRUPT, "PING");
    check_refuses(f, "95 a4 'PING' a1 'h' a1 's' a1 'd' a1 'u'", ERR_CORRUPT, "array");
    check_reads(f, "92 a4 'PING' 91" ENTRY, ENTRY_OUT); /* a tag like any other */
}

static void what_is_no_message_is_corrupt(void **state)
{
    struct fixture *f = *state;

    check_refuses(f, "'G'", ERR_CORRUPT, "array");
    check_refuses(f, "81 a1 't' 90", ERR_CORRUPT, "array");
    check_refuses(f, "90", ERR_CORRUPT, "array of 0");
    check_refuses(f, "91 a1 't'", ERR_CORRUPT, "array of 1");
    check_refuses(f, "95 a1 't' 07 80 80 80", ERR_CORRUPT, "array of 5");
    check_refuses(f, "94 a1 't' 90 80 80", ERR_CORRUPT, "array of 4");
    check_refuses(f, "92 a1 't' 07", ERR_CORRUPT, "no record");
    check_refuses(f, "92 05 90", ERR_CORRUPT, "tag");
    check_refuses(f, "92 a1 't' c3", ERR_CORRUPT, "second element");
    check_refuses(f, "92 a1 't' 81 01 02", ERR_CORRUPT, "second element");
    check_refuses(f, "93 a1 't' 90 05", ERR_CORRUPT, "options");
}

#define LQ(parts) "93 a1 't' 91" ENTRY " 81 a2 'lq' 82 a1 'v' 01 a1 'p' " parts

static void parts_are_read_whole(void **state)
{
    struct fixture *f = *state;
    const struct forward_part *p;

    check_reads(f,
                LQ("92 97 a2 'f1' 00 cd 01 00 01 82 a4 'host' a1 'h' a3 'app' a1 'a'"
                   " 81 a8 'pod.uid/' a1 'u' 00"
                   " 99 a2 'f2' 05 05 00 80 80 03 c0 91 81 01 02"),
                ENTRY_OUT);
    assert_int_equal(f->msg.n_parts, 2);
    free(f->exact); /* parts do not point into the message */
    f->exact = NULL;
    p = &f->msg.parts[0];
    check_str(p->file_id, "f1");
    assert_int_equal(p->start, 0);
    assert_int_equal(p->end, 256);
    assert_int_equal(p->count, 1);
    assert_false(p->maybe_twice);
    assert_int_equal(p->labels.n, 2);
    check_str(p->labels.v[0].name, "app"); /* sorted */
    check_str(labels_get(&p->labels, STR("host")), "h");
    check_str(labels_get(&p->attrs, STR("pod.uid/")), "u");
    p = &f->msg.parts[1];
    check_str(p->file_id, "f2");
    assert_int_equal(p->labels.n, 0);
    assert_true(p->maybe_twice);
}

static void what_lq_says_more_is_passed_over(void **state)
{
    struct fixture *f = *state;

    check_reads(f,
                "93 a1 't' 91" ENTRY " 81 a2 'lq' 84 a1 'z' 81 01 02 a1 'p' 90 a1 'v' cc 01"
                " a1 'y' c0",
                ENTRY_OUT);
    assert_int_equal(f->msg.n_parts, 0);
}

static void a_bad_part_is_named(void **state)
{
    struct fixture *f = *state;
#define GOOD "97 a1 'f' 00 01 01 80 80 00 "

    check_refuses(f, LQ("92" GOOD "97 a1 'f' 02 01 01 80 80 00"), ERR_CORRUPT,
                  "part 1: it ends before it starts");
    check_refuses(f, LQ("91 97 a0 00 01 01 80 80 00"), ERR_CORRUPT, "part 0: its file id");
    check_refuses(f, LQ("91 97 05 00 01 01 80 80 00"), ERR_CORRUPT, "part 0: its file id");
    check_refuses(f,
                  LQ("91 97 d9 41 '01234567890123456789012345678901234567890123456789012345678901"
                     "234' 00 01 01 80 80 00"),
                  ERR_CORRUPT, "part 0: its file id");
    check_refuses(f, LQ("91 97 a1 'f' ff 01 01 80 80 00"), ERR_CORRUPT, "start");
    check_refuses(f, LQ("91 97 a1 'f' 00 c0 01 80 80 00"), ERR_CORRUPT, "end");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 ce ff ff ff ff 80 80 00"), ERR_CORRUPT, "count");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 90 80 00"), ERR_CORRUPT, "labels are no map");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 80 c0 00"), ERR_CORRUPT, "attributes are no map");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 80 80 a0"), ERR_CORRUPT, "flags");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 81 a2 '1a' a1 'v' 80 00"), ERR_CORRUPT, "name");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 81 a1 'a' 05 80 00"), ERR_CORRUPT, "value");
    check_refuses(f, LQ("91 97 a1 'f' 00 01 01 80 81 a0 a1 'v' 00"), ERR_CORRUPT, "empty");
    check_refuses(f, LQ("91 96 a1 'f' 00 01 01 80 80"), ERR_CORRUPT, "array of seven");
    check_refuses(f, LQ("80"), ERR_CORRUPT, "no array");
    check_refuses(f, "93 a1 't' 90 81 a2 'lq' a1 'x'", ERR_CORRUPT, "no map");
    check_refuses(f, "93 a1 't' 90 81 a2 'lq' 81 a1 'v' 02", ERR_CORRUPT, "version");
    check_refuses(f, "93 a1 't' 90 81 a2 'lq' 80", ERR_CORRUPT, "version");
}

static void numbers_of_parts_and_labels_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct str head = bytes(f->build, "93 a1 't' 90 81 a2 'lq' 82 a1 'v' 01 a1 'p' dc 10");
    struct str parts = bytes_repeat(f->build, bytes(f->build, GOOD), 4097), s;

    s = bytes_join(f->build, bytes_join(f->build, head, STR("\0")),
                   str_sub(parts, 0, parts.n / 4097 * 4096));
    assert_int_equal(fixture_parse(f, s), 0);
    assert_int_equal(f->msg.n_parts, 4096);
    s = bytes_join(f->build, bytes_join(f->build, head, STR("\1")), parts);
    assert_int_equal(fixture_parse(f, s), ERR_CORRUPT);
    assert_non_null(strstr(f->err.text, "4097 parts"));

    head = bytes(f->build, "93 a1 't' 90 81 a2 'lq' 82 a1 'v' 01 a1 'p' 91 97 a1 'f' 00 01 01"
                           " de 00 21");
    s = bytes_join(f->build, head, bytes_repeat(f->build, STR("\xa1l\xa1v"), 33));
    s = bytes_join(f->build, s, bytes(f->build, "80 00"));
    assert_int_equal(fixture_parse(f, s), ERR_CORRUPT);
    assert_non_null(strstr(f->err.text, "part 0: too many labels"));
}

/* Without step 1 in front: every prefix of a message is an error and no read past its end. */
static void parse_alone_is_safe_on_torn_bytes(void **state)
{
    struct fixture *f = *state;
    struct str s =
        bytes(f->build, LQ("91 97 a1 'f' 00 01 01 81 a1 'a' a1 'b' 81 a1 'c' a1 'd' 00"));
    size_t n;

    for (n = 0; n < s.n; n++) {
        char *exact = bytes_exact(str_sub(s, 0, n));
        int r = forward_parse((struct str){exact, n}, NULL, f->arena, &f->msg, &f->err);
        free(exact);
        assert_int_equal(r, ERR_CORRUPT);
    }
    assert_int_equal(
        forward_parse(bytes_join(f->build, s, STR("\xc0")), NULL, f->arena, &f->msg, &f->err),
        ERR_CORRUPT);
    assert_int_equal(forward_parse(bytes(f->build, "92 a1 't' dd 0f ff ff ff"), NULL, f->arena,
                                   &f->msg, &f->err),
                     ERR_CORRUPT);
}

static void acks_are_read_with_all_that_may_stand_beside(void **state)
{
    struct fixture *f = *state;
    struct forward_ack ack;

    assert_int_equal(forward_ack_parse(bytes(f->build, "81 a3 'ack' a2 't'0a"), &ack, &f->err), 0);
    check_str(ack.token, "t\n");
    assert_false(ack.refused);
    assert_int_equal(forward_ack_parse(bytes(f->build, "83 a1 'x' 91 c0 a2 'lq' 82 a5 'known' 90"
                                                       " a1 'z' c0 a3 'ack' c4 01 't'"),
                                       &ack, &f->err),
                     0);
    check_str(ack.token, "t");
    assert_false(ack.refused);
    assert_int_equal(
        forward_ack_parse(bytes(f->build, "82 a3 'ack' a1 't' a2 'lq' 83 a7 'refused' a5 'LIMIT'"
                                          " a4 'text' a3 'too' a1 'q' c3"),
                          &ack, &f->err),
        0);
    assert_true(ack.refused);
    check_str(ack.code, "LIMIT");
    check_str(ack.text, "too");
    static const char *const bad[] = {
        "c0",
        "80",
        "81 a1 'x' a1 't'",
        "81 a3 'ack' 05",
        "82 a3 'ack' a1 't' a2 'lq' 05",
        "81 a3 'ack' a1 't' c0",
        "81 a3 'ack' a2 't'",
        "91 a3 'ack'",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(forward_ack_parse(bytes(f->build, bad[i]), &ack, &f->err), ERR_CORRUPT);
}

CHECK_MAIN(T(message_mode_takes_every_kind_of_time),
           T(message_mode_takes_metadata_from_its_options), T(forward_mode_is_an_array_of_entries),
           T(packed_mode_takes_str_and_bin_of_every_width), T(the_ack_token_comes_as_it_was_sent),
           T(a_token_over_its_limit_is_refused), T(unknown_options_in_any_order_are_passed_over),
           T(codec_is_the_option_and_magic_overrules_it), T(nil_and_empty_streams_are_heartbeats),
           T(metrics_and_traces_are_told_from_logs), T(ping_has_six_elements),
           T(what_is_no_message_is_corrupt), T(parts_are_read_whole),
           T(what_lq_says_more_is_passed_over), T(a_bad_part_is_named),
           T(numbers_of_parts_and_labels_are_bounded), T(parse_alone_is_safe_on_torn_bytes),
           T(acks_are_read_with_all_that_may_stand_beside))
