/* Unit tests of collector/forward_line: a record becomes a line of the spool and comes back as it
 * was. */
#include "collector/forward_line.h"

#include "base/mem.h"
#include "collector/decode.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1024, OUT_MAX = 4 << 20 };

static struct decoder d;
static struct buf out;
static struct label attrs[256];

static int setup(void **state)
{
    (void)state;
    decoder_init(&d);
    buf_init(&out, OUT_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    decoder_fini(&d);
    buf_fini(&out);
    return 0;
}

static struct forward_record record(struct str line, size_t n)
{
    attrs[n] = (struct label){STR("fluent.tag"), STR("t")};
    return (struct forward_record){.line = line, .attrs = attrs, .n_attrs = n + 1};
}

/* `rec` as a line, and that read again. */
static struct piece through(const struct forward_record *rec)
{
    struct piece p;
    struct str line;

    buf_clear(&out);
    (void)forward_line_add(&out, INT64_C(1795288478773648831), rec, MAX_LINE);
    line = buf_str(&out);
    assert_true(line.n <= MAX_LINE + FORWARD_LINE_SLACK);
    assert_int_equal(str_find_char(line, '\n'), line.n - 1);
    assert_true(decode_forward(&d, str_sub(line, 0, line.n - 1), &p));
    assert_int_equal(p.ts, INT64_C(1795288478773648831));
    assert_true(p.last && !p.raw);
    return p;
}

static const char *find(const struct label *v, size_t n, const char *name)
{
    static char text[256];

    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, str_of(name)))
            return str_to_z(v[i].value, text, sizeof(text));
    return "(absent)";
}
#define LABEL(p, name) find((p).labels, (p).n_labels, name)
#define ATTR(p, name)  find((p).attrs, (p).n_attrs, name)

static void a_text_of_any_bytes_comes_back(void **state)
{
    char all[512];
    struct forward_record rec;
    struct piece p;

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    rec = record((struct str){all, sizeof(all)}, 0);
    p = through(&rec);
    assert_int_equal(p.text.n, sizeof(all));
    assert_memory_equal(p.text.p, all, sizeof(all));
    assert_int_equal(p.missing, 0);
    rec = record(STR("\x1a\n\n\x1a"
                     "1"),
                 0);
    check_str(through(&rec).text, "\x1a\n\n\x1a"
                                  "1");
    rec = record(STR("  {\"a\": 1}| "), 0);
    check_str(through(&rec).text, "  {\"a\": 1}| ");
    rec = record(STR_NULL, 0);
    check_str(through(&rec).text, "");
}

static void attributes_come_back_too(void **state)
{
    struct forward_record rec;
    struct piece p;

    (void)state;
    attrs[0] = (struct label){STR("a \"b\"\n\\"), STR("\"\\\n\xff\x01")};
    attrs[1] = (struct label){STR("empty"), STR("")};
    attrs[2] = (struct label){STR("twice"), STR("1")};
    attrs[3] = (struct label){STR("twice"), STR("2")};
    rec = record(STR("x"), 4);
    p = through(&rec);
    assert_string_equal(ATTR(p, "a \"b\"\n\\"), "\"\\\n\xff\x01");
    assert_string_equal(ATTR(p, "empty"), "(absent)");
    assert_string_equal(ATTR(p, "twice"), "2");
    assert_string_equal(ATTR(p, "fluent.tag"), "t");
    assert_int_equal(p.n_attrs, 3);
    assert_string_equal(LABEL(p, "source"), "forward");
    assert_int_equal(p.n_labels, 1);
    assert_int_equal(p.stream, DECODE_NONE);
}

static void names_of_our_own_get_a_mark(void **state)
{
    struct forward_record rec;
    struct piece p;

    (void)state;
    attrs[0] = (struct label){STR("stream"), STR("stdout")};
    attrs[1] = (struct label){STR("undecoded"), STR("yes")};
    rec = record(STR("x"), 2);
    p = through(&rec);
    assert_string_equal(ATTR(p, "stream_"), "stdout");
    assert_string_equal(ATTR(p, "undecoded_"), "yes");
    assert_int_equal(p.n_attrs, 3);
}

static void dockers_driver_names_its_container(void **state)
{
    struct forward_record rec = record(STR("x"), 0);
    struct piece p;

    (void)state;
    rec.is_docker = true;
    rec.stream = STR("stderr");
    rec.container = STR("web");
    p = through(&rec);
    assert_string_equal(LABEL(p, "source"), "container");
    assert_string_equal(LABEL(p, "runtime"), "docker");
    assert_string_equal(LABEL(p, "container"), "web");
    assert_int_equal(p.stream, DECODE_STDERR);
}

static void a_long_text_is_cut_and_says_so(void **state)
{
    char *text = mem_new(100000);
    struct forward_record rec;
    struct piece p;

    (void)state;
    memset(text, 'x', 100000);
    rec = record((struct str){text, MAX_LINE}, 0);
    assert_int_equal(through(&rec).missing, 0);
    rec = record((struct str){text, 5000}, 0);
    p = through(&rec);
    assert_int_equal(p.text.n, MAX_LINE);
    assert_int_equal(p.missing, 5000 - MAX_LINE);
    memset(text, '\n', 100000); /* escapes have little room, but nothing breaks */
    rec = record((struct str){text, 100000}, 0);
    p = through(&rec);
    assert_int_equal(p.text.n + p.missing, 100000);
    assert_true(p.text.n > 0 && p.text.p[p.text.n - 1] == '\n');
    free(text);
}

static void attributes_without_a_place_are_counted(void **state)
{
    static char names[200][8];
    char *text = mem_new(100000);
    struct forward_record rec;
    struct piece p;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "k%zu", i);
        attrs[i] = (struct label){str_of(names[i]), STR("v")};
    }
    rec = record(STR("x"), 200);
    p = through(&rec);
    assert_int_equal(p.n_attrs, DECODE_ATTRS_MAX);
    assert_string_equal(ATTR(p, "fluent.tag"), "t");
    assert_string_equal(ATTR(p, "attributes_dropped"), "138");
    assert_string_equal(ATTR(p, "k61"), "v");
    assert_string_equal(ATTR(p, "k62"), "(absent)");
    memset(text, '"', 100000);
    attrs[0].value = (struct str){text, 100000};
    rec = record(STR("x"), 1);
    p = through(&rec);
    assert_string_equal(ATTR(p, "attributes_dropped"), "1");
    assert_int_equal(p.n_attrs, 2);
    free(text);
}

static void the_last_line_of_a_message_says_so(void **state)
{
    const struct hash128 id = {.lo = UINT64_C(0x0123456789abcdef), .hi = UINT64_C(0xfedcba98)};
    struct forward_record rec = record(STR("x"), 0);
    struct hash128 got = {0, 0};
    bool has_id = true;
    struct piece p;
    size_t last;

    (void)state;
    (void)forward_line_add(&out, 1, &rec, MAX_LINE);
    last = out.n;
    (void)forward_line_add(&out, 2, &rec, MAX_LINE);
    assert_false(forward_line_is_end(str_from(buf_str(&out), last), &has_id, &got));
    forward_line_end(&out, last, 2, &id);
    assert_false(forward_line_is_end(buf_str(&out), &has_id, &got));
    assert_true(forward_line_is_end(str_from(buf_str(&out), last), &has_id, &got));
    assert_true(has_id && got.lo == id.lo && got.hi == id.hi);
    assert_true(decode_forward(&d, str_sub(buf_str(&out), last, out.n - last - 1), &p));
    check_str(p.text, "x");
    assert_int_equal(p.ts, 2);
    last = out.n;
    (void)forward_line_add(&out, 3, &rec, MAX_LINE);
    forward_line_end(&out, last, 1, NULL);
    assert_true(forward_line_is_end(str_from(buf_str(&out), last), &has_id, &got));
    assert_false(has_id);
    assert_true(decode_forward(&d, str_sub(buf_str(&out), last, out.n - last - 1), &p));
}

static void a_line_that_nobody_wrote_is_none(void **state)
{
    static const char *const BAD[] = {
        "",
        "x",
        "{}",
        "{}|x",
        "{\"t\":1}",
        "{\"t\":1} x",
        "{\"t\":\"1\"}|x",
        "{\"t\":1,\"a\":1}|x",
        "{\"t\":1,\"a\":{\"k\":1}}|x",
        "{\"t\":1,\"a\":{\"k\":\"v\"}|x",
        "{\"t\":1,\"b\":\"x\"}|x",
        "{\"t\":1,\"s\":\"stdin\"}|x",
        "{\"t\":1,\"cut\":-1}|x",
        "{\"t\":1}|\x1a",
        "{\"t\":1}|\x1ax",
    };
    struct hash128 id;
    struct piece p;
    bool has_id;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        char *exact = bytes_exact(str_of(BAD[i]));
        if (decode_forward(&d, (struct str){exact, strlen(BAD[i])}, &p))
            fail_msg("'%s' is a record", BAD[i]);
        free(exact);
    }
    assert_false(forward_line_is_end(STR("{\"end\":x,"), &has_id, &id));
    assert_false(
        forward_line_is_end(STR("{\"end\":1,\"chunk\":\"0123456789abcdefg"), &has_id, &id));
    assert_false(forward_line_is_end(STR("{\"end\":1,\"chunk\":\"01"), &has_id, &id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_text_of_any_bytes_comes_back), TEST(attributes_come_back_too),
           TEST(names_of_our_own_get_a_mark), TEST(dockers_driver_names_its_container),
           TEST(a_long_text_is_cut_and_says_so), TEST(attributes_without_a_place_are_counted),
           TEST(the_last_line_of_a_message_says_so), TEST(a_line_that_nobody_wrote_is_none))
