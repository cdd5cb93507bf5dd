/* wire/forward_about.c: what a collector says of itself, through a whole message and back. */
#include "wire/forward_about.h"

#include "tests/lib/check.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"

#include <string.h>

static const struct forward_about ABOUT = {
    .has_hello = true,
    .has_status = true,
    .hello = {.version = {"1.2", 3},
              .host = {"n1", 2},
              .started_ns = 1700000000000000000u,
              .incarnation = UINT64_MAX,
              .previous = 7},
    .status = {.files = 3,
               .lag_bytes = 1u << 31,
               .lag_s = 5,
               .gaps = 6,
               .gap_bytes = 7,
               .twice_bytes = 8,
               .restarts = 9},
    .next = 42,
};

static struct err err;

static int parse(const struct buf *b, struct arena *a, struct forward_message *ret)
{
    struct forward_frame frame = {0};
    size_t n = 0;

    assert_int_equal(forward_frame_scan(&frame, buf_str(b), NULL, &n, &err), 0);
    assert_int_equal(n, b->n);
    return forward_parse(buf_str(b), &(struct forward_limits){0}, a, ret, &err);
}

static void what_is_said_arrives(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 16);
    struct forward_message m;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 16);
    forward_about_pack(&b, STR("t"), &ABOUT);
    assert_int_equal(parse(&b, a, &m), 0);
    assert_int_equal(m.kind, FORWARD_HEARTBEAT);
    check_str(m.chunk, "t");
    assert_true(m.about.has_hello && m.about.has_status);
    check_str(m.about.hello.version, "1.2");
    check_str(m.about.hello.host, "n1");
    assert_int_equal(m.about.hello.started_ns, ABOUT.hello.started_ns);
    assert_int_equal(m.about.hello.incarnation, UINT64_MAX);
    assert_int_equal(m.about.hello.previous, 7);
    assert_memory_equal(&m.about.status, &ABOUT.status, sizeof(ABOUT.status));
    assert_int_equal(m.about.next, 42);
    buf_fini(&b);
    arena_free(&a);
}

static void a_chunk_may_say_what_is_next(void **state)
{
    struct forward_part part = {.file_id = STR("f"), .end = 1, .count = 1};
    struct forward_chunk chunk = {
        .tag = STR("logq"), .payload = STR("xyz"), .parts = &part, .n_parts = 1, .next = 77};
    struct arena *a = arena_new(NULL, 1 << 16);
    struct forward_message m;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 16);
    forward_pack_chunk(&b, &chunk);
    assert_int_equal(parse(&b, a, &m), 0);
    assert_int_equal(m.n_parts, 1);
    assert_int_equal(m.about.next, 77);
    assert_false(m.about.has_hello || m.about.has_status);
    buf_fini(&b);
    arena_free(&a);
}

static void what_is_not_known_is_passed_over_and_what_is_broken_refused(void **state)
{
    /* hello: {host: 5, "new": [1], version: "v"}; status: {files: "x", gaps: 2} */
    static const char GOOD[] = "\x83\xa4host\x05\xa3new\x91\x01\xa7version\xa1v";
    static const char STATUS[] = "\x82\xa5"
                                 "files\xa1x\xa4gaps\x02";
    static const char *const BAD[] = {"\x81", "\x81\x05\x05", "\x91\x01", "\x81\xa4host"};
    struct forward_about about = {0};

    (void)state;
    assert_int_equal(forward_about_parse(STR("hello"), str_of(GOOD), &about, &err), 0);
    check_str(about.hello.version, "v");
    assert_int_equal(about.hello.host.n, 0);
    assert_int_equal(forward_about_parse(STR("status"), str_of(STATUS), &about, &err), 0);
    assert_int_equal(about.status.files, 0);
    assert_int_equal(about.status.gaps, 2);
    assert_int_equal(forward_about_parse(STR("next"), STR("\xa1x"), &about, &err), 0);
    assert_int_equal(about.next, 0);
    assert_int_equal(forward_about_parse(STR("else"), STR("\x05"), &about, &err), 1);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(forward_about_parse(STR("hello"), str_of(BAD[i]), &about, &err),
                         ERR_CORRUPT);
}

static void a_long_text_is_cut(void **state)
{
    struct forward_about about = {0};
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    buf_add(&b, "\x81\xa4host\xda\x02\x58", 9);
    for (int i = 0; i < 600; i++)
        buf_add_char(&b, 'h');
    assert_int_equal(forward_about_parse(STR("hello"), buf_str(&b), &about, &err), 0);
    assert_int_equal(about.hello.host.n, FORWARD_ABOUT_TEXT_MAX);
    buf_fini(&b);
}

static void the_answer_says_what_was_known(void **state)
{
    struct forward_ack ack;
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    forward_about_answer(&b, STR("t"), 5, 99);
    assert_int_equal(forward_ack_parse(buf_str(&b), &ack, &err), 0);
    check_str(ack.token, "t");
    assert_true(ack.has_known && !ack.refused);
    assert_int_equal(ack.known_incarnation, 5);
    assert_int_equal(ack.known_next, 99);
    buf_clear(&b);
    forward_pack_ack(&b, STR("t"));
    assert_int_equal(forward_ack_parse(buf_str(&b), &ack, &err), 0);
    assert_false(ack.has_known);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_arrives),
        cmocka_unit_test(a_chunk_may_say_what_is_next),
        cmocka_unit_test(what_is_not_known_is_passed_over_and_what_is_broken_refused),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(the_answer_says_what_was_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
