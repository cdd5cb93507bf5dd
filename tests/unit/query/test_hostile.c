/*
 * tests/unit/query/test_hostile.c - texts that are made to hurt.
 *
 * Each is as long as a text may be.  All of them end in an error with a place, or in a query,
 * within a time that no quadratic parser would keep to.
 */
#include "query/query.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SOON_MS = 400 }; /* a few ms without sanitizers */

static const struct hostile {
    const char *head, *unit, *tail;
} texts[] = {
    {"", "(", ""},
    {"", "{", ""},
    {"", "[", ""},
    {"", "sum(", ""},
    {"", "!", ""},
    {"", "\xff", ""},
    {"", "{a=\"b\"} ", ""},
    {"{a=\"b\"} | x=1", " or x=1", "("},
    {"{a=\"b\"} | x=1", ", x=1", "("},
    {"{a=\"b\"} | x=1", " and x=1 or x=1", ""},
    {"{a=\"b\"} | ", "(", ""},
    {"{a=\"b\"", ",a=\"b\"", "}("},
    {"{a=\"b\"", ",a=~\"b.+c\"", "}"},
    {"{a=\"b\"}", " |~ \"x.*y\"", ""},
    {"{a=\"b\"} |~ \"", "a.*", "\""},
    {"{a=\"b\"} |~ \"", "x{1000}", "\""},
    {"{a=\"b\"} |~ \"", "\\\\pL", "\""},
    {"{a=\"b\"} |~ \"", "(", "\""},
    {"{a=\"b\"}", " | regexp \"(?P<x>a)\"", ""},
    {"{a=\"b\"}", " | json x=\"a.b\"", "("},
    {"{a=\"b\"} | json x=`a", "[1]", "`"},
    {"{a=\"b\"} | pattern \"", "<a> ", "\""},
    {"{a=\"b\"} | pattern \"", "<a", "\""},
    {"{a=\"b\"} |> \"", "<_> ", "\""},
    {"{a=\"", "\\u0041", "\"}"},
    {"{a=\"", "a", ""},
    {"", "1", ""},
    {"1", "+1", ""},
    {"1", "^1", ""},
    {"vector(1)", "+vector(1)", ""},
    {"{a=\"b\"} | x > 1", "h1m", ""},
    {"{a=\"b\"} | drop a", ",a", ""},
    {"{a=\"b\"} |= ip(\"", "1.", "\")"},
    {"{", "\xc3\xa9", "=\"x\"}"},
    {"#", "#", ""},
    {"", "//x\n", ""},
    {"count_over_time({a=\"b\"}[", "1", "])"},
    {"sum by (a", ",a", ") (vector(1))"},
    {"1", "--1", " ?"},
    {"{a=\"b\"}", "|a>1s", " ?"},
    {"{a=\"b\"} | line_format `", "{{.a}}", "`"},
    {"{a=\"b\"} | line_format `{{printf \"\"", " (len .a)", "}}`"},
    {"{a=\"b\"} | line_format `", "{{if .a}}", "`"},
    {"{a=\"b\"}", " | line_format `{{1}}`", ""},
    {"{a=\"b\"} | pattern `<a>", "-<_>", "`"},
};

static struct str make(const struct hostile *h, char *text)
{
    size_t head = strlen(h->head);
    size_t unit = strlen(h->unit);
    size_t tail = strlen(h->tail);
    size_t n = head;

    memcpy(text, h->head, head);
    for (; n + unit + tail <= QUERY_TEXT_MAX; n += unit)
        memcpy(text + n, h->unit, unit);
    memcpy(text + n, h->tail, tail);
    return (struct str){text, n + tail};
}

static double cpu_ms(void)
{
    return (double)clock() * 1000 / (double)CLOCKS_PER_SEC;
}

static void check_text(const struct hostile *h, struct str text)
{
    struct query *q = NULL;
    struct err err = {0};
    unsigned line = 0;
    unsigned column = 0;
    double began = cpu_ms();
    int r = query_parse(text, &q, &line, &column, &err);
    double took = cpu_ms() - began;

    if (took > SOON_MS)
        fail_msg("%s%s...: %.0f ms", h->head, h->unit, took);
    if (r < 0 && (r != ERR_INVALID || line == 0 || column == 0 ||
                  strstr(err.text, "parse error at line ") != err.text))
        fail_msg("%s%s...: %d %s", h->head, h->unit, r, err.text);
    query_unref(&q);
}

static void hostile_texts_end_soon_and_name_a_place(void **state)
{
    char *text = malloc(QUERY_TEXT_MAX + 1);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_text(&texts[i], make(&texts[i], text));
    free(text);
}

static struct str templates(char *text, size_t n_stages, size_t n_actions)
{
    size_t n = (size_t)sprintf(text, "{a=\"b\"}");

    for (size_t i = 0; i < n_stages; i++) {
        n += (size_t)sprintf(text + n, "|line_format `");
        for (size_t k = 0; k < n_actions; k++)
            n += (size_t)sprintf(text + n, "{{1}}");
        text[n++] = '`';
    }
    return (struct str){text, n};
}

/* Compiling takes the longest of all that a text can ask for: a number, {{ and }} are three. */
static void templates_of_a_query_are_counted_together(void **state)
{
    static const struct {
        size_t n_stages, n_actions;
        bool ok;
    } cases[] = {{1, 2700, true}, {1, 2800, false}, {3, 900, true}, {3, 1000, false}};
    char *text = malloc(QUERY_TEXT_MAX + 1);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query *q = NULL;
        unsigned line = 0;
        unsigned column = 0;
        struct err err = {0};
        int r = query_parse(templates(text, cases[i].n_stages, cases[i].n_actions), &q, &line,
                            &column, &err);
        assert_int_equal(r, cases[i].ok ? 0 : ERR_INVALID);
        if (r < 0) {
            assert_non_null(strstr(err.text, "too many words and signs"));
            assert_int_equal(line, 1);
            assert_true(column > 7);
        }
        query_unref(&q);
    }
    free(text);
}

static void random_bytes_are_refused(void **state)
{
    static char text[64 << 10];
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct query *q = NULL;
        struct err err = {0};
        unsigned line = 0;
        for (size_t i = 0; i < sizeof(text); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text[i] = (char)(x >> 32);
        }
        assert_int_equal(query_parse((struct str){text, sizeof(text)}, &q, &line, NULL, &err),
                         ERR_INVALID);
        assert_true(line > 0);
    }
}

CHECK_MAIN(cmocka_unit_test(hostile_texts_end_soon_and_name_a_place),
           cmocka_unit_test(templates_of_a_query_are_counted_together),
           cmocka_unit_test(random_bytes_are_refused))
