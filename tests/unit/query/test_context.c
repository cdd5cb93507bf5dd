/* query/context.c: lines around hits, of their own stream, each once and in one order. */
#include "query/context.h"

#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

enum { OUT_MAX = 1 << 20 };

static int put(void *arg, const struct query_entry *e)
{
    buf_addf(arg, "%s%.*s", e->is_context ? " " : " *", STR_ARG(e->line));
    return 0;
}

/* Streams a and b in turn, a0 b0 a1 b1 ... a9 b9; the first three have one time. */
static void fill(struct fake *f)
{
    char line[16];

    fake_init(f);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(line, sizeof(line), "%c%d", "ab"[i % 2], i / 2);
        fake_add(f, i % 2 == 0 ? "{app=\"a\"}" : "{app=\"b\"}", NULL, i < 3 ? 2 : i, str_of(line));
    }
}

static int run(const char *text, const struct query_params *p, struct buf *out)
{
    const struct exec_sink sink = {.fn = put, .arg = out};
    struct source source;
    struct err err = {0};
    struct fake f;
    struct ast a;
    int r;

    fill(&f);
    source = fake_source(&f);
    assert_int_equal(fake_query(text, &a, &err), 0);
    r = exec_log(&a, &source, p, &sink, NULL, &err);
    if (r < 0)
        buf_add_z(out, err.text);
    ast_fini(&a);
    fake_fini(&f);
    return r;
}

static void check_around(const char *text, const struct query_params *p, int code,
                         const char *expected)
{
    struct buf out;

    buf_init(&out, OUT_MAX);
    assert_int_equal(run(text, p, &out), code);
    check_str(buf_str(&out), expected);
    buf_fini(&out);
}

static const struct query_params FORWARD = {
    .start = 0, .end = 100, .limit = 10, .direction = QUERY_FORWARD};

static void neighbours_of_the_same_stream_are_marked(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.before = 1;
    p.after = 2;
    check_around("{app=~\".+\"} |= \"a5\"", &p, 0, " a4 *a5 a6 a7");
    p.direction = QUERY_BACKWARD;
    check_around("{app=~\".+\"} |= \"a5\"", &p, 0, " a7 a6 *a5 a4");
    p.before = 0;
    check_around("{app=~\".+\"} |~ \"b(3|9)\"", &p, 0, " *b9 b5 b4 *b3");
}

static void what_overlaps_is_given_once_and_hits_stay_hits(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.before = p.after = 2;
    check_around("{app=~\".+\"} |~ \"(a4|a5|b5)\"", &p, 0, " a2 a3 b3 *a4 b4 *a5 *b5 a6 b6 a7 b7");
}

static void lines_of_one_time_are_told_apart(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.before = p.after = 1;
    check_around("{app=\"a\"} |= \"a1\"", &p, 0, " a0 *a1 a2");
    check_around("{app=\"a\"} |= \"a0\"", &p, 0, " *a0 a1");
    check_around("{app=\"b\"} |= \"b9\"", &p, 0, " b8 *b9");
}

static void context_may_lie_outside_of_the_span(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.start = 10;
    p.end = 11;
    p.before = p.after = 1;
    check_around("{app=\"a\"}", &p, 0, " a4 *a5 a6");
}

static void the_limit_is_of_hits(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.limit = 1;
    p.after = 3;
    check_around("{app=\"b\"} |= \"b\"", &p, 0, " *b0 b1 b2 b3");
}

static void the_pipeline_is_for_hits_alone(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.before = 1;
    check_around("{app=\"a\"} |= \"a5\" | line_format \"<{{.app}}>\" | drop app", &p, 0,
                 " a4 *<a>");
}

static void too_much_is_refused(void **state)
{
    struct query_params p = FORWARD;

    (void)state;
    p.before = QUERY_CONTEXT_MAX + 1;
    check_around("{app=\"a\"}", &p, ERR_INVALID, "before and after are at most 100");
    p.before = 1;
    p.limit = 0;
    check_around("{app=\"a\"}", &p, ERR_INVALID,
                 "with before or after the limit is from 1 to 1000");
    p.limit = 10;
    p.limits.memory_bytes = 4000;
    p.after = 10;
    {
        struct buf out;
        buf_init(&out, OUT_MAX);
        assert_int_equal(run("{app=\"a\"}", &p, &out), ERR_NOMEM);
        buf_fini(&out);
    }
}

CHECK_MAIN(cmocka_unit_test(neighbours_of_the_same_stream_are_marked),
           cmocka_unit_test(what_overlaps_is_given_once_and_hits_stay_hits),
           cmocka_unit_test(lines_of_one_time_are_told_apart),
           cmocka_unit_test(context_may_lie_outside_of_the_span),
           cmocka_unit_test(the_limit_is_of_hits), cmocka_unit_test(the_pipeline_is_for_hits_alone),
           cmocka_unit_test(too_much_is_refused))
