/* Unit tests of collector/decode_cri: the line formats of containerd, CRI-O and podman. */
#include "collector/decode.h"
#include "tests/lib/check.h"

#include <string.h>

static bool decode(const char *line, struct piece *p)
{
    struct decoder d;
    bool ok;

    decoder_init(&d);
    ok = decode_cri(&d, str_of(line), p); /* the piece points into the line, not into the decoder */
    decoder_fini(&d);
    return ok;
}

static void a_whole_line_is_taken_apart(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode("2026-11-21T19:14:38.773648831Z stdout F hello  world", &p));
    assert_int_equal(p.ts, INT64_C(1795288478773648831));
    assert_int_equal(p.stream, DECODE_STDOUT);
    assert_true(p.last);
    assert_false(p.raw);
    check_str(p.text, "hello  world");
}

static void a_line_of_docker_is_taken_as_such(void **state)
{
    static const char LINE[] =
        "{\"log\":\"half\",\"stream\":\"stderr\",\"time\":\"2026-11-21T19:14:38.5Z\"}";
    struct decoder d;
    struct piece p;

    (void)state;
    decoder_init(&d);
    assert_true(decode_cri(&d, str_of(LINE), &p));
    assert_int_equal(p.ts, INT64_C(1795288478500000000));
    assert_int_equal(p.stream, DECODE_STDERR);
    assert_false(p.last); /* it has no newline */
    check_str(p.text, "half");
    decoder_fini(&d);
}

static void an_offset_counts(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode("2026-11-21T21:14:38.5+02:00 stderr P x", &p));
    assert_int_equal(p.ts, INT64_C(1795288478500000000));
    assert_int_equal(p.stream, DECODE_STDERR);
    assert_false(p.last);
    check_str(p.text, "x");
}

static void more_tags_may_stand_behind_the_first(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode("2026-11-21T19:14:38Z stdout F:new:x body", &p));
    assert_true(p.last);
    check_str(p.text, "body");
}

static void a_text_may_be_empty_or_missing(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode("2026-11-21T19:14:38Z stdout F ", &p));
    assert_int_equal(p.text.n, 0);
    assert_true(decode("2026-11-21T19:14:38Z stdout P", &p));
    assert_int_equal(p.text.n, 0);
    assert_true(decode("2026-11-21T19:14:38Z stdout F:x", &p));
    assert_int_equal(p.text.n, 0);
}

static void what_is_not_such_a_line_is_said_to_be_none(void **state)
{
    static const char *const BAD[] = {
        "",
        " ",
        "hello",
        "2026-11-21T19:14:38Z",
        "2026-11-21T19:14:38Z stdout",
        "2026-11-21T19:14:38Z stdout X x",
        "2026-11-21T19:14:38Z stdout Full x",
        "2026-11-21T19:14:38Z stdin F x",
        "2026-13-21T19:14:38Z stdout F x",
        "2026-11-21 stdout F x",
    };
    struct piece p;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (decode(BAD[i], &p))
            fail_msg("taken: '%s'", BAD[i]);
}

static void bytes_pass_through(void **state)
{
    static const char LINE[] = "2026-11-21T19:14:38Z stdout F a\0\xff\r";
    struct decoder d;
    struct piece p;

    (void)state;
    decoder_init(&d);
    assert_true(decode_cri(&d, (struct str){LINE, sizeof(LINE) - 1}, &p));
    assert_int_equal(p.text.n, 4);
    assert_memory_equal(p.text.p, "a\0\xff\r", 4);
    decoder_fini(&d);
}

CHECK_MAIN(cmocka_unit_test(a_whole_line_is_taken_apart),
           cmocka_unit_test(a_line_of_docker_is_taken_as_such), cmocka_unit_test(an_offset_counts),
           cmocka_unit_test(more_tags_may_stand_behind_the_first),
           cmocka_unit_test(a_text_may_be_empty_or_missing),
           cmocka_unit_test(what_is_not_such_a_line_is_said_to_be_none),
           cmocka_unit_test(bytes_pass_through))
