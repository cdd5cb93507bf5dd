/* storage/template.h: lines come back byte for byte, and are cut where they should be. */
#include "storage/template.h"

#include "base/buf.h"
#include "base/json.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Slots ascend, are disjoint and lie within the line. */
static void check_slots(struct str line, const struct template_line *l)
{
    size_t at = 0;

    assert_true(l->n_slots <= TEMPLATE_SLOTS_MAX);
    for (uint32_t i = 0; i < l->n_slots; i++) {
        assert_true(l->slot[i].at >= at);
        assert_true(l->slot[i].n <= line.n - l->slot[i].at);
        at = l->slot[i].at + l->slot[i].n;
        assert_true(at <= line.n);
    }
}

/* The line with slots in < > and, in front, the letter of its kind. */
static const char *show(const char *text)
{
    static struct buf out;
    struct str line = str_of(text);
    char *exact = bytes_exact(line);
    struct template_line l;
    size_t at = 0;

    buf_fini(&out);
    buf_init(&out, 1 << 20);
    template_split((struct str){exact, line.n}, &l);
    check_slots(line, &l);
    buf_add_char(&out, "RTJLA"[l.kind]);
    buf_add_char(&out, ' ');
    for (uint32_t i = 0; i < l.n_slots; i++) {
        buf_add_str(&out, str_sub(line, at, l.slot[i].at - at));
        buf_add_char(&out, '<');
        buf_add_str(&out, str_sub(line, l.slot[i].at, l.slot[i].n));
        buf_add_char(&out, '>');
        at = l.slot[i].at + l.slot[i].n;
    }
    buf_add_str(&out, str_from(line, at));
    buf_add_char(&out, '\0');
    free(exact);
    return out.p;
}

struct example {
    const char *line, *cut;
};

static void check_examples(const struct example *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(show(e[i].line), e[i].cut);
}
#define CHECK_EXAMPLES(e) check_examples(e, sizeof(e) / sizeof((e)[0]))

static void text_is_cut_at_words_with_digits(void **state)
{
    static const struct example e[] = {
        {"", "T "},
        {"no digit here", "T no digit here"},
        {"42", "T <42>"},
        {"took 15 ms", "T took <15> ms"},
        {"took 15ms, 64KB", "T took <15>ms, <64>KB"},
        {"load 0.75", "T load <0.75>"},
        {"blk_1074150032_409208 done", "T blk_<1074150032>_<409208> done"},
        {"generating core.22376", "T generating core.<22376>"},
        {"worker7 of node12", "T worker<7> of node<12>"},
        {"commit 3f2a9c1d by", "T commit <3f2a9c1d> by"},
        {"at 0x7fff12ab", "T at 0x<7fff12ab>"},
        {"v1.2.3-rc4", "T v<1>.<2>.<3>-rc<4>"},
        {"\xc3\xa9\x74\x31\xc3\xa9", "T \xc3\xa9t<1>\xc3\xa9"},
    };

    (void)state;
    CHECK_EXAMPLES(e);
}

static void addresses_times_and_ids_are_one_slot(void **state)
{
    static const struct example e[] = {
        {"from 10.1.2.3:50010 to /10.0.0.255", "T from <10.1.2.3>:<50010> to /<10.0.0.255>"},
        {"1.2.3.4.5", "T <1>.<2>.<3>.<4>.<5>"},
        {"2015-10-18 18:01:50,353 INFO", "T <2015-10-18 18:01:50,353> INFO"},
        {"2018-03-24T17:15:20.683531Z x", "T <2018-03-24T17:15:20.683531Z> x"},
        {"2018-03-24T17:15:20+02:00", "T <2018-03-24T17:15:20+02:00>"},
        {"Jul  2 04:15:43 combo", "T Jul  <2> <04:15:43> combo"},
        {"20171223-22:15:29:635|x", "T <20171223>-<22>:<15>:<29>:<635>|x"},
        {"id 123e4567-e89b-12d3-a456-426614174000.",
         "T id <123e4567-e89b-12d3-a456-426614174000>."},
        {"id deadbeef-abcd-12d3-a456-426614174000.",
         "T id <deadbeef-abcd-12d3-a456-426614174000>."},
        {"mac aa:bb:cc:d0:ee:ff up", "T mac <aa:bb:cc:d0:ee:ff> up"},
        {"ip fe80::1:2ab up", "T ip <fe80::1:2ab> up"},
        {"pod app-7d9f8b6c5d-xbcdz up", "T pod app-<7d9f8b6c5d-xbcdz> up"},
    };

    (void)state;
    CHECK_EXAMPLES(e);
}

static void json_is_cut_at_its_leaves(void **state)
{
    static const struct example e[] = {
        {"{}", "J {}"},
        {"{\"a\":1,\"b\":\"x\",\"c\":null}", "J {\"a\":<1>,\"b\":\"<x>\",\"c\":<null>}"},
        {"{ \"a\" : { \"b\" : [ 1, {\"c\":[]} ] } } ",
         "J { \"a\" : { \"b\" : [< 1, {\"c\":[]} >] } } "},
        {"{\"msg\":\"took 15 ms\"}", "J {\"msg\":\"took <15> ms\"}"},
        {"{\"msg\":\"started\"}", "J {\"msg\":\"<started>\"}"},
        {"{\"a\":\"q\\\"\\u00e9\"}", "J {\"a\":\"<q\\\"\\u00e9>\"}"},
        {"{\"a\":[]}", "J {\"a\":[<>]}"},
        {"{\"a\":-1.5e+3}", "J {\"a\":<-1.5e+3>}"},
    };
    static const char *const broken[] = {
        "{",           "{\"a\"}",      "{\"a\":}",        "{\"a\":1,}",
        "{\"a\":01}",  "{\"a\":1.}",   "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}",
        "{\"a\":tru}", "{\"a\":[1,]}", "{\"a\":[1}",      "{\"a\":1}]",
        "{\"a\":1 2}", "{\"a\":\"b",   "{\"a\":nullx}",   "{a:1}",
        "{\"a\":-}",   "{\"a\":[}",    "{\"a\":1}{",      "{\"a\":1e}",
    };

    (void)state;
    CHECK_EXAMPLES(e);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(show(broken[i])[0], 'T');
}

static void logfmt_is_cut_at_its_values(void **state)
{
    static const struct example e[] = {
        {"level=info n=3 dur=1.5ms", "L level=<info> n=<3> dur=<1.5ms>"},
        {"a= b=\"\" c=\"x y\"", "L a=<> b=\"<>\" c=\"<x y>\""},
        {"level=warn msg=\"took 15 ms\" x=y", "L level=<warn> msg=\"took <15> ms\" x=<y>"},
        {"level=warn msg=slow15 x=y", "L level=<warn> msg=<slow15> x=<y>"},
        {"at 12 a=1 b=2 c=3", "L at <12> a=<1> b=<2> c=<3>"},
        {"a=1 b=2 c=3=4", "T a=<1> b=<2> c=<3>=<4>"},
        {"a=1 b=2 c=\"3", "T a=<1> b=<2> c=\"<3>"},
        {"a=1 b=2 c=\"3\"d", "T a=<1> b=<2> c=\"<3>\"d"},
    };

    (void)state;
    CHECK_EXAMPLES(e);
}

static void access_logs_are_cut_at_their_fields(void **state)
{
    static const struct example e[] = {
        {"1.2.3.4 - - [17/May/2015:10:05:07 +0000] \"GET /a?b=1 HTTP/1.1\" 200 2892",
         "A <1.2.3.4> <-> <-> [<17/May/2015:10:05:07> <+0000>] \"<GET> </a?b=1> <HTTP/1.1>\" <200> "
         "<2892>"},
        {"h - u [17/May/2015:10:05:07 +0000] \"-\" 400 - \"-\" \"a \\\" b\" 0.003",
         "A <h> <-> <u> [<17/May/2015:10:05:07> <+0000>] \"<->\" <400> <-> \"<->\" \"<a \\\" b>\" "
         "<0.003>"},
        {"h - u [now] \"GET\" 400", "T h - u [now] \"GET\" <400>"},
    };

    (void)state;
    CHECK_EXAMPLES(e);
}

static void messages_stay_whole_when_asked(void **state)
{
    struct str line = STR("{\"n\":1,\"msg\":\"took 15 ms\"}");
    struct template_line l;

    (void)state;
    template_split_whole(line, &l);
    assert_int_equal(l.n_slots, 2);
    check_str(str_sub(line, l.slot[1].at, l.slot[1].n), "took 15 ms");
}

static void what_is_too_much_is_raw(void **state)
{
    struct template_line l;
    size_t n = (64 << 10) + 1;
    char *p = malloc(n);

    (void)state;
    assert_non_null(p);
    memset(p, 'a', n);
    template_split((struct str){p, n}, &l);
    assert_int_equal(l.kind, TEMPLATE_RAW);
    assert_int_equal(l.n_slots, 1);
    assert_int_equal(l.slot[0].n, n);
    for (size_t i = 0; i < 2 * TEMPLATE_SLOTS_MAX + 2; i++)
        p[i] = i % 2 == 0 ? '1' : ' ';
    template_split((struct str){p, 2 * TEMPLATE_SLOTS_MAX}, &l);
    assert_int_equal(l.kind, TEMPLATE_TEXT);
    assert_int_equal(l.n_slots, TEMPLATE_SLOTS_MAX);
    template_split((struct str){p, 2 * TEMPLATE_SLOTS_MAX + 1}, &l);
    assert_int_equal(l.kind, TEMPLATE_RAW);
    free(p);
}

/* Bytes that make all kinds of lines and nearly such. */
static size_t make_line(char *p, size_t max)
{
    static const char *const parts[] = {
        "{",
        "}",
        "\"a\":",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "=",
        "a=",
        "1",
        "12",
        ":",
        "0x1f",
        "deadbeef",
        "-",
        ".",
        "10.1.2.3",
        "2015-10-18",
        "T",
        " ",
        "12:34:56",
        "msg",
        "\"msg\":",
        "x",
        "GET",
        "/",
        "\xff",
        "true",
        "null",
        "abc",
        "_",
        "aa:b1:",
        "123e4567-e89b-12d3-a456-426614174000",
        "h - - [17/May/2015:10:05:07 +0000] \"GET / HTTP/1.1\" 200 1",
        "k=\"v\" ",
        "\\u00e9",
    };
    size_t n = 0;
    size_t count = rnd() % 30;

    for (size_t i = 0; i < count; i++) {
        const char *part = parts[rnd() % (sizeof(parts) / sizeof(parts[0]))];
        size_t len = strlen(part);
        if (len > max - n)
            break;
        memcpy(p + n, part, len);
        n += len;
    }
    if (rnd() % 8 == 0 && n < max)
        p[n++] = (char)rnd();
    return n;
}

static void any_line_comes_back(void **state)
{
    char raw[1024];

    (void)state;
    for (unsigned round = 0; round < 40000; round++) {
        struct str line = {raw, make_line(raw, sizeof(raw))};
        char *exact = bytes_exact(line);
        struct template_line l;

        template_split((struct str){exact, line.n}, &l);
        check_slots(line, &l);
        free(exact);
    }
}

/* ---- names ---- */

static void cut_pieces(struct str line, const struct template_line *l, struct str *piece)
{
    size_t at = 0;

    for (uint32_t i = 0; i < l->n_slots; i++) {
        piece[i] = str_sub(line, at, l->slot[i].at - at);
        at = l->slot[i].at + l->slot[i].n;
    }
    piece[l->n_slots] = str_from(line, at);
}

static const char *show_fields(const char *text)
{
    static struct buf out;
    static const char *const whole[] = {"part", "string", "scalar", "array"};
    struct str line = str_of(text);
    struct arena *a = arena_new(NULL, 1 << 20);
    struct str piece[TEMPLATE_SLOTS_MAX + 1];
    struct template_field *f;
    struct template_line l;
    struct err err;

    template_split(line, &l);
    cut_pieces(line, &l, piece);
    assert_int_equal(template_fields(l.kind, piece, l.n_slots, a, &f, &err), 0);
    buf_fini(&out);
    buf_init(&out, 1 << 20);
    for (uint32_t i = 0; i < l.n_slots; i++) {
        for (size_t j = 0; j < f[i].path.n; j++)
            buf_add_char(&out, f[i].path.p[j] == '\0' ? '>' : f[i].path.p[j]);
        buf_addf(&out, ":%s ", whole[f[i].whole]);
    }
    buf_add_char(&out, '\0');
    arena_free(&a);
    return out.p;
}

static void fields_of_json_have_their_paths(void **state)
{
    (void)state;
    assert_string_equal(show_fields("{\"a\":1,\"b\":{\"c\":\"x\",\"d\":{\"e\":[1,2]},\"f\":true},"
                                    "\"g\\\"\":null}"),
                        "a:scalar b>c:string b>d>e:array b>f:scalar g\\\":scalar ");
    assert_string_equal(show_fields("{\"msg\":\"took 15 of 20\",\"err\":\"none\",\"log\":\"7\"}"),
                        "msg:part msg:part err:string log:string ");
    assert_string_equal(show_fields("{\"a\":{},\"b\":{\"x\":{}},\"c\":\"\\\"\"}"), "c:string ");
}

/* ---- against the reader of JSON ---- */

static void put_blank(struct buf *b)
{
    if (rnd() % 6 == 0)
        buf_add_char(b, " \t\r\n"[rnd() % 4]);
}

static void put_value(struct buf *b, unsigned depth);

static void put_members(struct buf *b, unsigned depth, bool object)
{
    size_t n = rnd() % 5;

    buf_add_char(b, object ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        static const char *const keys[] = {"a", "b.c", "\\u00e9\\\"", "", "msg", "a,b", "]{"};
        put_blank(b);
        if (object) {
            buf_addf(b, "\"%s\"", keys[rnd() % 7]);
            put_blank(b);
            buf_add_char(b, ':');
            put_blank(b);
        }
        put_value(b, depth + 1);
        put_blank(b);
        if (i + 1 < n)
            buf_add_char(b, ',');
    }
    put_blank(b);
    buf_add_char(b, object ? '}' : ']');
}

static void put_value(struct buf *b, unsigned depth)
{
    static const char *const scalars[] = {
        "1",
        "-0.5e+7",
        "true",
        "null",
        "false",
        "\"\"",
        "\"took 15 ms\"",
        "12",
        "\"x\"",
        "\"\\n\"",
        "\"{\\\"a\\\":1}\"",
        "\"\xc3\xa9 \xff\"",
        "\",\"",
        "\"]}\"",
    };

    if (depth < 4 && rnd() % 4 == 0)
        put_members(b, depth, rnd() % 2 == 0);
    else
        buf_add_z(b, scalars[rnd() % (sizeof(scalars) / sizeof(scalars[0]))]);
}

struct leaf {
    struct str path, value;
    enum template_whole whole;
};

/* The value behind the key that `r` has just passed, which is no object. */
static void take_leaf(struct json_reader *r, const struct json_token *first, struct leaf *l)
{
    struct err err;

    assert_int_equal(json_skip(r, &l->value, &err), 0);
    l->whole = TEMPLATE_SCALAR;
    if (first->type == JSON_STRING || first->type == JSON_ARRAY) {
        l->whole = first->type == JSON_ARRAY ? TEMPLATE_ARRAY : TEMPLATE_STRING;
        l->value = str_sub(l->value, 1, l->value.n - 2);
    }
}

/* The leaves of the object `line` in order, as base/json.h reads it; how many. */
static size_t read_leaves(struct str line, struct arena *a, struct leaf *leaf)
{
    struct str path[JSON_DEPTH_MAX] = {STR_INIT("")};
    unsigned depth = 0;
    struct json_reader r;
    struct json_token tok;
    struct err err;
    size_t n = 0;

    json_reader_init(&r, line);
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_OBJECT);
    for (;;) {
        struct json_reader ahead;
        assert_int_equal(json_next(&r, &tok, &err), 0);
        if (tok.type == JSON_OBJECT_END && depth-- == 0)
            break;
        if (tok.type == JSON_OBJECT_END)
            continue;
        leaf[n].path = arena_printf(a, "%.*s%s%.*s", STR_ARG(path[depth]), depth > 0 ? ">" : "",
                                    STR_ARG(tok.raw));
        ahead = r;
        assert_int_equal(json_next(&ahead, &tok, &err), 0);
        if (tok.type == JSON_OBJECT) {
            path[++depth] = leaf[n].path;
            r = ahead;
            continue;
        }
        assert_true(n < TEMPLATE_SLOTS_MAX);
        take_leaf(&r, &tok, &leaf[n++]);
    }
    assert_int_equal(str_trim(json_rest(&r)).n, 0);
    return n;
}

static void check_leaves(struct str line, const struct template_line *l)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    static struct leaf leaf[TEMPLATE_SLOTS_MAX + 1];
    struct str piece[TEMPLATE_SLOTS_MAX + 1];
    struct template_field *f;
    struct err err;

    cut_pieces(line, l, piece);
    assert_int_equal(template_fields(l->kind, piece, l->n_slots, a, &f, &err), 0);
    assert_int_equal(read_leaves(line, a, leaf), l->n_slots);
    for (uint32_t i = 0; i < l->n_slots; i++) {
        for (size_t k = 0; k < f[i].path.n; k++)
            assert_int_equal(f[i].path.p[k] == '\0' ? '>' : f[i].path.p[k], leaf[i].path.p[k]);
        assert_int_equal(f[i].path.n, leaf[i].path.n);
        assert_int_equal(f[i].whole, leaf[i].whole);
        assert_true(str_eq(str_sub(line, l->slot[i].at, l->slot[i].n), leaf[i].value));
    }
    arena_free(&a);
}

static void slots_are_the_leaves_that_a_json_reader_sees(void **state)
{
    unsigned objects = 0;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 16);
    for (unsigned round = 0; round < 5000; round++) {
        struct template_line l;
        buf_clear(&b);
        put_members(&b, 0, true);
        if (rnd() % 4 == 0) /* mostly no object any more */
            b.p[rnd() % b.n] = "{}[]\",:\\1x"[rnd() % 10];
        template_split_whole(buf_str(&b), &l);
        if (l.kind != TEMPLATE_JSON)
            continue;
        objects++;
        check_leaves(buf_str(&b), &l);
    }
    assert_true(objects > 3000);
    buf_fini(&b);
}

static void fields_of_logfmt_have_their_keys(void **state)
{
    (void)state;
    assert_string_equal(show_fields("at 7: a=1 b.c=\"x y\" msg=\"took 15 of 20\" d="),
                        ":part a:scalar b.c:string msg:part msg:part d:scalar ");
    assert_string_equal(show_fields("7 of 9"), ":part :part ");
}

CHECK_MAIN(cmocka_unit_test(text_is_cut_at_words_with_digits),
           cmocka_unit_test(addresses_times_and_ids_are_one_slot),
           cmocka_unit_test(json_is_cut_at_its_leaves),
           cmocka_unit_test(logfmt_is_cut_at_its_values),
           cmocka_unit_test(access_logs_are_cut_at_their_fields),
           cmocka_unit_test(messages_stay_whole_when_asked),
           cmocka_unit_test(what_is_too_much_is_raw), cmocka_unit_test(any_line_comes_back),
           cmocka_unit_test(fields_of_json_have_their_paths),
           cmocka_unit_test(slots_are_the_leaves_that_a_json_reader_sees),
           cmocka_unit_test(fields_of_logfmt_have_their_keys))
