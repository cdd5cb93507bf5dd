/*
 * tests/unit/query/test_hostile.c - texts that are made to hurt.
 *
 * Each is as long as a text may be.  All of them end in an error with a place, or in a query,
 * within a time that no quadratic parser would keep to.
 */
#include "query/query.h"

#include "tests/lib/check.h"

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
           cmocka_unit_test(random_bytes_are_refused))
