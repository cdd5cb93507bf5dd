/* Unit tests of collector/chunk: the same parts and records make the same message. */
#include "collector/chunk.h"

#include "tests/lib/check.h"
#include "wire/forward_parse.h"

#include <string.h>

static struct chunk *c;
static struct checkpoint_file file = {.no = 7, .id = "00000000000000aa-7"};
static struct err err;

static int setup(void **state)
{
    struct chunk_options opt = {.bytes = 1000, .codec = CODEC_ZSTD, .level = 1};

    (void)state;
    c = chunk_new(&opt);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chunk_free(&c);
    return 0;
}

static void fill(void)
{
    static struct label labels_v[] = {{{"container", 9}, {"web", 3}}};
    static const struct labels LABELS = {labels_v, 1};
    struct label fields[2] = {{STR("stream"), STR("stdout")}, {STR("log"), STR("hello")}};
    struct checkpoint_part a = {.file = &file, .start = 0, .end = 10};
    struct checkpoint_part b = {.file = &file, .start = 10, .end = 40, .count = 2};

    chunk_add_part(c, &a, &LABELS, NULL);
    chunk_add_entry(c, 5, fields, 2);
    chunk_add_entry(c, 6, fields, 2);
    chunk_add_part(c, &b, &LABELS, NULL);
}

static void what_rules_drop_fills_it(void **state)
{
    size_t before = c->message.n;

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_false(chunk_is_full(c));
        chunk_add_drop(c, &file, "noise", 50, 60);
    }
    assert_true(chunk_is_full(c)); /* without the rule it would have a thousand bytes now */
    assert_false(chunk_is_worth(c));
    assert_int_equal(c->message.n, before);
    assert_int_equal(c->drops.n, 1);
    assert_int_equal(c->drops.p[0].count, 10);
    assert_int_equal(c->drops.p[0].bytes, 500);
    chunk_clear(c);
    assert_false(chunk_is_full(c));
}

static void beyond_its_bounds_nothing_is_added(void **state)
{
    static char text[1 << 20];
    struct label field = {STR("log"), {text, sizeof(text)}};
    struct chunk_mark before;
    uint64_t entries;

    (void)state;
    memset(text, 'x', sizeof(text));
    fill();
    before = chunk_mark(c);
    entries = c->entries;
    for (int i = 0; i < 20 && !chunk_is_over(c); i++)
        chunk_add_entry(c, 7, &field, 1);
    assert_true(chunk_is_over(c));
    chunk_back(c, before);
    assert_false(chunk_is_over(c));
    assert_int_equal(c->entries, entries);
    chunk_add_entry(c, 8, &field, 1); /* and goes on */
    assert_int_equal(c->entries, entries + 1);
}

static void the_message_says_what_was_put_in(void **state)
{
    static const struct forward_limits LIMITS = {0};
    struct arena *a = arena_new(NULL, 1 << 20);
    struct forward_reader *r = forward_reader_new();
    struct forward_message m;
    struct forward_entry e;
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;

    (void)state;
    buf_init(&message, 1 << 20);
    fill();
    assert_int_equal(chunk_pack(c, &message, token, &err), 0);
    assert_int_equal(forward_parse(buf_str(&message), &LIMITS, a, &m, &err), 0);
    check_str(m.tag, "logq");
    check_str(m.chunk, token);
    assert_int_equal(m.codec, CODEC_ZSTD);
    assert_int_equal(m.n_parts, 2);
    check_str(m.parts[0].file_id, file.id);
    assert_int_equal(m.parts[0].count, 0);
    assert_int_equal(m.parts[0].labels.n, 0); /* constants go where there are records */
    assert_int_equal(m.parts[1].start, 10);
    assert_int_equal(m.parts[1].end, 40);
    assert_int_equal(m.parts[1].count, 2);
    check_str(labels_get(&m.parts[1].labels, STR("container")), "web");
    assert_int_equal(forward_reader_start(r, &m, &LIMITS, 1, a, &err), 0);
    assert_int_equal(forward_reader_next(r, &e, &err), 0);
    assert_int_equal(e.ts, 5);
    check_str(e.fields[1].text, "hello");
    assert_int_equal(forward_reader_next(r, &e, &err), 0);
    assert_int_equal(forward_reader_next(r, &e, &err), 1);
    forward_reader_free(&r);
    arena_free(&a);
    buf_fini(&message);
}

static void the_same_again_is_the_same_bytes(void **state)
{
    char first[CHUNK_TOKEN_BYTES], second[CHUNK_TOKEN_BYTES];
    struct buf a, b;

    (void)state;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    fill();
    assert_int_equal(chunk_pack(c, &a, first, &err), 0);
    chunk_clear(c);
    assert_true(chunk_is_empty(c));
    fill();
    assert_int_equal(chunk_pack(c, &b, second, &err), 0);
    assert_string_equal(first, second);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    buf_fini(&a);
    buf_fini(&b);
}

static void it_is_full_by_bytes_and_by_parts(void **state)
{
    struct checkpoint_part part = {.file = &file};
    char text[600];
    struct label field = {STR("log"), {text, sizeof(text)}};

    (void)state;
    memset(text, 'x', sizeof(text));
    chunk_add_entry(c, 1, &field, 1);
    assert_false(chunk_is_full(c));
    chunk_add_entry(c, 1, &field, 1);
    assert_true(chunk_is_full(c));
    chunk_clear(c);
    for (part.end = 1; part.end < CHUNK_PARTS_MAX; part.end++)
        chunk_add_part(c, &part, NULL, NULL);
    assert_false(chunk_is_full(c));
    chunk_add_part(c, &part, NULL, NULL);
    assert_true(chunk_is_full(c));
}

/* A log that is called long things, in many parts. */
static void what_logs_are_called_fills_it(void **state)
{
    char text[400], token[CHUNK_TOKEN_BYTES];
    struct label v[1] = {{STR("team"), {text, sizeof(text)}}};
    const struct labels names = {v, 1};
    struct checkpoint_part part = {.file = &file, .end = 1, .count = 0};
    struct buf message;

    (void)state;
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 10; i++)
        chunk_add_part(c, &part, &names, &names); /* without a record it is not said */
    assert_false(chunk_is_worth(c));
    part.count = 1;
    chunk_add_part(c, &part, &names, NULL);
    assert_false(chunk_is_full(c));
    chunk_add_part(c, &part, &names, &names);
    assert_true(chunk_is_worth(c));
    assert_true(chunk_is_full(c));
    buf_init(&message, 600); /* as large as it may be beside them */
    assert_int_equal(chunk_pack(c, &message, token, &err), 0);
    assert_in_range(message.n, 3 * sizeof(text), 600 + 3 * (sizeof(text) + 16));
    buf_fini(&message);
    chunk_clear(c);
    assert_false(chunk_is_worth(c));
    assert_false(chunk_is_full(c));
}

static void entries_can_be_taken_back(void **state)
{
    struct label field = {STR("log"), STR("x")};
    struct chunk_mark mark;
    size_t bytes;

    (void)state;
    chunk_add_entry(c, 1, &field, 1);
    bytes = c->message.n;
    mark = chunk_mark(c);
    chunk_add_entry(c, 1, &field, 1);
    chunk_back(c, mark);
    assert_int_equal(c->message.n, bytes);
    assert_int_equal(c->entries, 1);
}

/* It is the payload's own memory, with a head before and the parts behind. */
static void an_uncompressed_message_says_the_same(void **state)
{
    static const struct forward_limits LIMITS = {0};
    struct chunk_options opt = {.bytes = 1000, .codec = CODEC_NONE};
    struct arena *a = arena_new(NULL, 1 << 20);
    struct forward_message m;
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;
    struct str payload;

    (void)state;
    chunk_free(&c);
    c = chunk_new(&opt);
    for (int i = 0; i < 2; i++) { /* its memory is given away, and it goes on */
        buf_init(&message, 1 << 20);
        fill();
        payload = str_from(buf_str(&c->message), c->head);
        assert_int_equal(chunk_pack(c, &message, token, &err), 0);
        chunk_clear(c);
        assert_int_equal(forward_parse(buf_str(&message), &LIMITS, a, &m, &err), 0);
        check_str(m.tag, "logq");
        check_str(m.chunk, token);
        assert_int_equal(m.codec, CODEC_NONE);
        assert_int_equal(m.n_parts, 2);
        assert_int_equal(m.entries.n, payload.n);
        buf_fini(&message);
    }
    arena_free(&a);
}

static void while_busy_it_may_grow_past_what_is_worth_sending(void **state)
{
    struct chunk_options opt = {.bytes = 1000, .bytes_busy = 3000, .codec = CODEC_NONE};
    static const char TEXT[2000];
    struct label field = {STR("log"), {TEXT, sizeof(TEXT)}};

    (void)state;
    chunk_free(&c);
    c = chunk_new(&opt);
    assert_false(chunk_is_worth(c));
    chunk_add_entry(c, 1, &field, 1);
    assert_true(chunk_is_worth(c));
    assert_false(chunk_is_full(c));
    chunk_add_entry(c, 1, &field, 1);
    assert_true(chunk_is_full(c));
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(what_rules_drop_fills_it, setup, teardown),
           cmocka_unit_test_setup_teardown(beyond_its_bounds_nothing_is_added, setup, teardown),
           cmocka_unit_test_setup_teardown(the_message_says_what_was_put_in, setup, teardown),
           cmocka_unit_test_setup_teardown(the_same_again_is_the_same_bytes, setup, teardown),
           cmocka_unit_test_setup_teardown(it_is_full_by_bytes_and_by_parts, setup, teardown),
           cmocka_unit_test_setup_teardown(what_logs_are_called_fills_it, setup, teardown),
           cmocka_unit_test_setup_teardown(entries_can_be_taken_back, setup, teardown),
           cmocka_unit_test_setup_teardown(an_uncompressed_message_says_the_same, setup, teardown),
           cmocka_unit_test_setup_teardown(while_busy_it_may_grow_past_what_is_worth_sending, setup,
                                           teardown))
