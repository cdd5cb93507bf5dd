/* base/json_write.c: what it writes is JSON, and reads back as what was meant. */
#include "base/json.h"

#include "tests/lib/check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void commas_and_colons_come_by_themselves(void **state)
{
    struct json_writer w;
    struct buf out;
    (void)state;

    buf_init(&out, 1000);
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_kv_u64(&w, "a", UINT64_MAX);
    json_put_kv_str(&w, "b", STR("x\"y"));
    json_put_key(&w, STR("c"));
    json_put_array(&w);
    json_put_i64(&w, INT64_MIN);
    json_put_bool(&w, true);
    json_put_bool(&w, false);
    json_put_null(&w);
    json_put_array(&w);
    json_put_array_end(&w);
    json_put_object(&w);
    json_put_key(&w, STR("d"));
    json_put_object(&w);
    json_put_object_end(&w);
    json_put_object_end(&w);
    json_put_raw(&w, STR("[1, 2]"));
    json_put_string(&w, STR(""));
    json_put_array_end(&w);
    json_put_key(&w, STR("e"));
    json_put_f64(&w, 0.5);
    json_put_object_end(&w);
    check_str(buf_str(&out), "{\"a\":18446744073709551615,\"b\":\"x\\\"y\",\"c\":["
                             "-9223372036854775808,true,false,null,[],{\"d\":{}},[1, 2],\"\"],"
                             "\"e\":0.5}");
    buf_fini(&out);
}

static void check_quote(struct str s, const char *want)
{
    struct buf out;

    buf_init(&out, 10000);
    json_quote(&out, s);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void strings_become_valid_utf8(void **state)
{
    (void)state;
    check_quote(STR_NULL, "\"\"");
    check_quote(STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    check_quote(STR("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    check_quote(STR("a\0b"), "\"a\\u0000b\"");
    check_quote(STR("\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e"),
                "\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\"");
    check_quote(STR("x\xffy"), "\"x\xef\xbf\xbdy\"");
    check_quote(STR("\xe2\x82\"\xac"), "\"\xef\xbf\xbd\\\"\xef\xbf\xbd\"");
    check_quote(STR("0123456789abcdef\n0123456789abcdef0123456789abcde\xc3\xa9"),
                "\"0123456789abcdef\\n0123456789abcdef0123456789abcde\xc3\xa9\"");
}

/* Every byte at every place around the 16-byte steps reads back as itself. */
static void what_is_quoted_reads_back(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 16);
    (void)state;

    for (unsigned byte = 0; byte < 128; byte++) {
        for (size_t place = 0; place < 40; place++) {
            struct json_reader r;
            struct json_token tok;
            struct err err;
            struct buf out;
            char text[40];
            struct str back;
            memset(text, 'x', sizeof(text));
            text[place] = (char)byte;
            buf_init(&out, 1000);
            json_quote(&out, (struct str){text, sizeof(text)});
            json_reader_init(&r, buf_str(&out));
            assert_int_equal(json_next(&r, &tok, &err), 0);
            back = json_text(&tok, a);
            assert_int_equal(back.n, sizeof(text));
            assert_memory_equal(back.p, text, sizeof(text));
            buf_fini(&out);
            arena_reset(a);
        }
    }
    arena_free(&a);
}

static void check_f64(double v, const char *want)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, 100);
    json_writer_init(&w, &out);
    json_put_f64(&w, v);
    if (want != NULL)
        check_str(buf_str(&out), want);
    if (isfinite(v)) {
        double back = NAN;
        assert_true(str_to_f64(buf_str(&out), &back));
        assert_memory_equal(&back, &v, sizeof(v));
    }
    buf_fini(&out);
}

static void doubles_read_back_the_same(void **state)
{
    uint64_t bits = 88172645463325252u; /* xorshift */
    (void)state;

    check_f64(0, "0");
    check_f64(-0.0, "-0");
    check_f64(0.1, "0.1");
    check_f64(1.0 / 3, "0.3333333333333333");
    check_f64(0.1 + 0.2, "0.30000000000000004");
    check_f64(1e21, "1e+21");
    check_f64(1234567, "1234567");
    check_f64(9007199254740991.0, "9007199254740991");
    check_f64(DBL_MAX, "1.7976931348623157e+308");
    check_f64(DBL_MIN, "2.2250738585072014e-308");
    check_f64(DBL_TRUE_MIN, NULL);
    check_f64((double)NAN, "null");
    check_f64((double)INFINITY, "null");
    check_f64(-(double)INFINITY, "null");
    for (int i = 0; i < 2000; i++) {
        double v;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&v, &bits, sizeof(v));
        if (isfinite(v))
            check_f64(v, NULL);
    }
}

static void overflow_shows_in_the_buf(void **state)
{
    struct json_writer w;
    struct buf out;
    struct err err;
    (void)state;

    buf_init(&out, 10);
    json_writer_init(&w, &out);
    json_put_array(&w);
    json_put_string(&w, STR("more than ten bytes"));
    json_put_array_end(&w);
    assert_int_equal(buf_err(&out, "answer", &err), ERR_LIMIT);
    assert_true(out.n <= 10);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(commas_and_colons_come_by_themselves),
           cmocka_unit_test(strings_become_valid_utf8), cmocka_unit_test(what_is_quoted_reads_back),
           cmocka_unit_test(doubles_read_back_the_same),
           cmocka_unit_test(overflow_shows_in_the_buf))
