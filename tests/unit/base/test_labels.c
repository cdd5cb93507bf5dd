/* base/labels.c: sorting, identity, and the text form there and back. */
#include "base/labels.h"

#include "base/json.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void names_are_identifiers(void **state)
{
    (void)state;
    assert_true(label_name_ok(STR("_a9")));
    assert_true(label_name_ok(STR("A")));
    assert_false(label_name_ok(STR("")));
    assert_false(label_name_ok(STR("9a")));
    assert_false(label_name_ok(STR("a-b")));
    assert_false(label_name_ok(STR("a\xc3\xbc")));
}

static void sort_drops_empty_values_and_earlier_twins(void **state)
{
    struct label v[] = {{STR("b"), STR("1")}, {STR("a"), STR("2")}, {STR("b"), STR("3")},
                        {STR("c"), STR("")},  {STR("d"), STR("4")}, {STR("d"), STR("")}};

    (void)state;
    assert_int_equal(labels_sort(v, 6), 2);
    check_str(v[0].name, "a");
    check_str(v[1].name, "b");
    check_str(v[1].value, "3");
    assert_int_equal(labels_sort(v, 0), 0);
}

/* More labels than the simple sort takes, each name twice, the later one being right. */
static void sort_is_stable_at_any_size(void **state)
{
    (void)state;
    for (size_t names = 1; names < 400; names = names * 3 / 2 + 1) {
        size_t n = 2 * names;
        struct label *v = calloc(n, sizeof(*v));
        char(*text)[24] = calloc(n, sizeof(*text));

        for (size_t i = 0; i < n; i++) {
            (void)snprintf(text[i], sizeof(text[i]), "n%03zu", i * 7919 % names);
            v[i].name = str_of(text[i]);
            v[i].value = i < names ? STR("old") : STR("new");
        }
        if (names % 7919 != 0)
            assert_int_equal(labels_sort(v, n), names);
        for (size_t i = 0; i < names; i++) {
            check_str(v[i].value, "new");
            if (i > 0)
                assert_true(str_cmp(v[i - 1].name, v[i].name) < 0);
        }
        free(v);
        free(text);
    }
}

static void equal_sets_and_only_they_have_equal_hashes(void **state)
{
    struct label a[] = {{STR("a"), STR("bc")}, {STR("d"), STR("e")}};
    struct label b[] = {{STR("ab"), STR("c")}, {STR("d"), STR("e")}};
    struct labels la = {a, 2};
    struct labels lb = {b, 2};
    struct labels one = {a, 1};
    struct hash128 ha = labels_hash(&la);
    struct hash128 hb = labels_hash(&lb);

    (void)state;
    assert_false(ha.lo == hb.lo && ha.hi == hb.hi);
    assert_false(labels_equal(&la, &lb));
    assert_false(labels_equal(&la, &one));
    assert_true(labels_cmp(&one, &la) < 0);
    assert_true(labels_cmp(&la, &lb) < 0);
    assert_true(labels_cmp(&lb, &la) > 0);
    assert_int_equal(labels_cmp(&la, &la), 0);
}

/* The short and the long way around the hash state must agree with the definition. */
static void the_hash_is_that_of_the_lengths_and_texts(void **state)
{
    static char flat[3000];
    static char value[2000];

    (void)state;
    memset(value, 'v', sizeof(value));
    for (size_t n = 1; n < sizeof(value); n += 97) {
        struct label l = {STR("k"), {value, n}};
        struct labels set = {&l, 1};
        struct hash128 got = labels_hash(&set);
        struct hash128 want;

        memcpy(flat, "\1\0\0\0k", 5);
        flat[5] = (char)(n & 0xff);
        flat[6] = (char)(n >> 8);
        flat[7] = flat[8] = 0;
        memcpy(flat + 9, value, n);
        want = hash128_bytes(flat, 9 + n);
        assert_true(got.lo == want.lo && got.hi == want.hi);
    }
}

static void quotes_as_go_does(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    quote_add(&b, STR("a\"\\\n\t\r\a\b\v\f\x01\x7f"));
    check_str(buf_str(&b), "\"a\\\"\\\\\\n\\t\\r\\a\\b\\v\\f\\x01\\x7f\"");
    buf_clear(&b);
    quote_add(&b,
              STR("gr\xc3\xbc\xff\xe2\x82z\xc2\xa0\xe2\x80\x8b\xf0\x9f\x98\x80\xf3\xa0\x80\x81"));
    check_str(buf_str(&b),
              "\"gr\xc3\xbc\\xff\\xe2\\x82z\\u00a0\\u200b\xf0\x9f\x98\x80\\U000e0001\"");
    buf_fini(&b);
}

/* Every byte, and every pair of a lead and a following byte, survives printing and parsing. */
static void any_value_comes_back_from_its_text(void **state)
{
    struct buf b;
    struct arena *a = arena_new(NULL, 0);
    struct err err;

    (void)state;
    buf_init(&b, 1000);
    for (unsigned c = 0; c < 256; c++)
        for (unsigned d = 0; d < 256; d += 5) {
            char text[3] = {(char)c, (char)d, 'x'};
            struct label l = {STR("k"), {text, 3}};
            struct labels in = {&l, 1};
            struct labels out;
            buf_clear(&b);
            arena_reset(a);
            labels_format(&b, &in);
            assert_int_equal(labels_parse(a, buf_str(&b), &out, &err), 0);
            assert_true(labels_equal(&in, &out));
        }
    buf_fini(&b);
    arena_free(&a);
}

static void parses_loosely_set_text(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct labels l;
    struct err err;
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(
        labels_parse(a,
                     STR(" { job = \"x\\u00fc\\x41\\101\\U0001f600\" ,app=`a\"\\n`, e=\"\", } \n"),
                     &l, &err),
        0);
    labels_format(&b, &l);
    check_str(buf_str(&b), "{app=\"a\\\"\\\\n\", job=\"x\xc3\xbc"
                           "AA\xf0\x9f\x98\x80\"}");
    assert_int_equal(labels_parse(a, STR("{}"), &l, &err), 0);
    assert_int_equal(l.n, 0);
    buf_fini(&b);
    arena_free(&a);
}

static void names_the_column_of_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        const char *column;
    } bad[] = {
        {"", "column 1:"},
        {"a=\"b\"", "column 1:"},
        {"{", "column 2:"},
        {"{a", "column 3:"},
        {"{a=", "column 4:"},
        {"{a=b}", "column 4:"},
        {"{a=\"b", "column 4:"},
        {"{a=\"b\\\"}", "column 4:"},
        {"{a=\"b\\", "column 7:"},
        {"{a=\"\\q\"}", "column 5:"},
        {"{a=\"\\x4\"}", "column 5:"},
        {"{a=\"\\400\"}", "column 5:"},
        {"{a=\"\\ud800\"}", "column 5:"},
        {"{a=\"\\U00110000\"}", "column 5:"},
        {"{a=\"b\" c=\"d\"}", "column 8:"},
        {"{a=\"b\"}x", "column 8:"},
        {"{1=\"b\"}", "column 2:"},
        {"{,}", "column 2:"},
        {"{a=\"b\",,}", "column 8:"},
        {"{a=`b}", "column 4:"},
        {"{a=\"b\nc\"}", "column 6:"},
        {"{a=\"1\",a=\"2\"}", "label 'a' is given twice"},
        {"{a=\"\\x", "column 5:"},
        {"{a=\"\\1", "column 5:"},
    };
    struct arena *a = arena_new(NULL, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct labels l;
        struct err err;
        assert_int_equal(labels_parse(a, str_of(bad[i].text), &l, &err), ERR_INVALID);
        if (strstr(err.text, bad[i].column) == NULL)
            fail_msg("'%s': %s", bad[i].text, err.text);
    }
    arena_free(&a);
}

static void a_full_arena_is_an_error(void **state)
{
    struct labels l;
    struct labels copy;
    struct err err;
    int ok = 0;

    (void)state;
    for (size_t max = 1; max < 1000; max++) {
        struct arena *a = arena_new(NULL, max);
        int r = labels_parse(a, STR("{a=\"b\", c=\"d\\n\", e=`f`}"), &l, &err);
        if (r == 0)
            r = labels_copy(a, &l, &copy, &err);
        assert_true(r == 0 || r == ERR_LIMIT);
        if (r == 0)
            assert_true(labels_equal(&l, &copy));
        ok += r == 0;
        arena_free(&a);
    }
    assert_in_range(ok, 1, 900);
}

static void an_object_has_each_label_and_only_utf8(void **state)
{
    struct label v[] = {{STR("a"), STR("say \"no\"")}, {STR("b"), STR("\xff")}};
    struct labels none = {NULL, 0}, l = {v, 2};
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    json_writer_init(&w, &b);
    json_put_array(&w);
    labels_put_json(&w, &none);
    labels_put_json(&w, &l);
    json_put_array_end(&w);
    check_str(buf_str(&b), "[{},{\"a\":\"say \\\"no\\\"\",\"b\":\"\xef\xbf\xbd\"}]");
    buf_fini(&b);
}

static void absent_labels_are_null(void **state)
{
    struct label v[] = {{STR("a"), STR("1")}};
    struct labels l = {v, 1};

    (void)state;
    check_str(labels_get(&l, STR("a")), "1");
    assert_null(labels_get(&l, STR("b")).p);
}

CHECK_MAIN(cmocka_unit_test(names_are_identifiers),
           cmocka_unit_test(sort_drops_empty_values_and_earlier_twins),
           cmocka_unit_test(sort_is_stable_at_any_size),
           cmocka_unit_test(equal_sets_and_only_they_have_equal_hashes),
           cmocka_unit_test(the_hash_is_that_of_the_lengths_and_texts),
           cmocka_unit_test(quotes_as_go_does),
           cmocka_unit_test(any_value_comes_back_from_its_text),
           cmocka_unit_test(parses_loosely_set_text),
           cmocka_unit_test(names_the_column_of_what_is_wrong),
           cmocka_unit_test(a_full_arena_is_an_error),
           cmocka_unit_test(an_object_has_each_label_and_only_utf8),
           cmocka_unit_test(absent_labels_are_null))
