/* tests/unit/query/test_vector.c - operators on series, over lines that are counted. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

/* `n` lines of one stream, a second apart, the last at 60 s. */
static void add_lines(struct fake *f, const char *labels, int n)
{
    for (int i = 0; i < n; i++)
        fake_add(f, labels, NULL, (60 - i) * NS_PER_S, STR("x"));
}

static void fill(struct fake *f)
{
    fake_init(f);
    add_lines(f, "{app=\"foo\", pod=\"1\"}", 1);
    add_lines(f, "{app=\"foo\", pod=\"2\"}", 2);
    add_lines(f, "{app=\"foo\", pod=\"3\"}", 6);
    add_lines(f, "{app=\"bar\", pod=\"1\"}", 4);
}

static void check_at_60(const char *query, const char *want)
{
    struct query_params p = {.start = 60 * NS_PER_S, .end = 60 * NS_PER_S};
    struct buf out;
    struct fake f;

    buf_init(&out, 100000);
    fill(&f);
    (void)fake_run(&f, query, &p, &out);
    if (!str_eq(buf_str(&out), str_of(want)))
        fail_msg("%s gives\n%.*s, not\n%s", query, STR_ARG(buf_str(&out)), want);
    fake_fini(&f);
    buf_fini(&out);
}

#define ALL "count_over_time({app=~\".+\"}[1m])"
#define FOO "count_over_time({app=\"foo\"}[1m])"
#define BAR "count_over_time({app=\"bar\"}[1m])"

static void aggregations_reduce_series(void **state)
{
    static const char *const cases[][2] = {
        {"sum(" ALL ")", "{} 13@60\n"},
        {"sum by (app) (" ALL ")", "{app=\"bar\"} 4@60\n{app=\"foo\"} 9@60\n"},
        {"sum without (pod) (" ALL ")", "{app=\"bar\"} 4@60\n{app=\"foo\"} 9@60\n"},
        {"sum by (none) (" ALL ")", "{} 13@60\n"},
        {"sum without () (" BAR ")", "{app=\"bar\", pod=\"1\"} 4@60\n"},
        {"avg by (app) (" ALL ")", "{app=\"bar\"} 4@60\n{app=\"foo\"} 3@60\n"},
        {"min(" ALL ")", "{} 1@60\n"},
        {"max(" ALL ")", "{} 6@60\n"},
        {"count by (app) (" ALL ")", "{app=\"bar\"} 1@60\n{app=\"foo\"} 3@60\n"},
        {"stdvar(" FOO ")", "{} 4.66667@60\n"},
        {"stddev by (app) (" FOO ")", "{app=\"foo\"} 2.16025@60\n"},
        {"max(sum by (app) (" ALL "))", "{} 9@60\n"},
        {"sum(vector(2))", "{} 2@60\n"},
        {"sum(" ALL " > 3)", "{} 10@60\n"},
        {"sum(" ALL " > 100)", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void numbers_apply_to_each_point(void **state)
{
    static const char *const cases[][2] = {
        {BAR " * 2", "{app=\"bar\", pod=\"1\"} 8@60\n"},
        {"2 ^ " BAR, "{app=\"bar\", pod=\"1\"} 16@60\n"},
        {"10 - " BAR " / 2", "{app=\"bar\", pod=\"1\"} 8@60\n"},
        {BAR " % 3", "{app=\"bar\", pod=\"1\"} 1@60\n"},
        {BAR " / 0", "{app=\"bar\", pod=\"1\"} nan@60\n"},
        {FOO " > 1", "{app=\"foo\", pod=\"2\"} 2@60\n{app=\"foo\", pod=\"3\"} 6@60\n"},
        {"2 > " FOO, "{app=\"foo\", pod=\"1\"} 1@60\n"},
        {FOO " == bool 2",
         "{app=\"foo\", pod=\"1\"} 0@60\n{app=\"foo\", pod=\"2\"} 1@60\n{app=\"foo\", pod=\"3\"} "
         "0@60\n"},
        {"1 + 2 * 3", "{} 7@60\n"},
        {"vector(3) > bool 2", "{} 1@60\n"},
        {"vector(3) * bool 2", "{} 6@60\n"}, /* to no effect, as in Loki */
        {"vector(3) * on (a) group_left 2", "{} 6@60\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void the_best_series_come_in_order(void **state)
{
    static const char *const cases[][2] = {
        {"topk(2, " ALL ")", "{app=\"foo\", pod=\"3\"} 6@60\n{app=\"bar\", pod=\"1\"} 4@60\n"},
        {"approx_topk(1, " ALL ")", "{app=\"foo\", pod=\"3\"} 6@60\n"},
        {"bottomk(2, " ALL ")", "{app=\"foo\", pod=\"1\"} 1@60\n{app=\"foo\", pod=\"2\"} 2@60\n"},
        {"topk(9, " FOO ")", "{app=\"foo\", pod=\"3\"} 6@60\n{app=\"foo\", pod=\"2\"} 2@60\n"
                             "{app=\"foo\", pod=\"1\"} 1@60\n"},
        {"topk by (app) (1, " ALL ")",
         "{app=\"foo\", pod=\"3\"} 6@60\n{app=\"bar\", pod=\"1\"} 4@60\n"},
        {"topk without (pod) (1, " ALL ")",
         "{app=\"foo\", pod=\"3\"} 6@60\n{app=\"bar\", pod=\"1\"} 4@60\n"},
        {"sort(" ALL ")", "{app=\"foo\", pod=\"1\"} 1@60\n{app=\"foo\", pod=\"2\"} 2@60\n"
                          "{app=\"bar\", pod=\"1\"} 4@60\n{app=\"foo\", pod=\"3\"} 6@60\n"},
        {"sort_desc(" FOO ")", "{app=\"foo\", pod=\"3\"} 6@60\n{app=\"foo\", pod=\"2\"} 2@60\n"
                               "{app=\"foo\", pod=\"1\"} 1@60\n"},
        /* NaN is last whichever way, and of equals the first by labels comes first */
        {"topk(2, " BAR " / 0 or " FOO " * 0)",
         "{app=\"foo\", pod=\"1\"} 0@60\n{app=\"foo\", pod=\"2\"} 0@60\n"},
        {"sort(" BAR " / 0 or " FOO " * 0 > -1)",
         "{app=\"foo\", pod=\"1\"} 0@60\n{app=\"foo\", pod=\"2\"} 0@60\n"
         "{app=\"foo\", pod=\"3\"} 0@60\n{app=\"bar\", pod=\"1\"} nan@60\n"},
        {"topk(3, " ALL " > 100)", ""},
        {"sum(topk(2, " ALL "))", "{} 10@60\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void label_replace_writes_labels(void **state)
{
    static const char *const cases[][2] = {
        {"label_replace(" BAR ", \"x\", \"$1-${1}_$$\", \"app\", \"(b).*\")",
         "{app=\"bar\", pod=\"1\", x=\"b-b_$\"} 4@60\n"},
        {"label_replace(" BAR ", \"x\", \"${n}$none$\", \"app\", \"(?P<n>b).*\")",
         "{app=\"bar\", pod=\"1\", x=\"b$\"} 4@60\n"},
        {"label_replace(" BAR ", \"x\", \"y\", \"app\", \"ba\")", /* not all of the value */
         "{app=\"bar\", pod=\"1\"} 4@60\n"},
        {"label_replace(" BAR ", \"pod\", \"\", \"app\", \".*\")", "{app=\"bar\"} 4@60\n"},
        {"label_replace(" BAR ", \"pod\", \"new\", \"absent\", \"\")",
         "{app=\"bar\", pod=\"new\"} 4@60\n"},
        {"sum by (x) (label_replace(" ALL ", \"x\", \"$1\", \"app\", \"(.).*\"))",
         "{x=\"b\"} 4@60\n{x=\"f\"} 9@60\n"},
        {"label_replace(" FOO ", \"pod\", \"1\", \"app\", \".*\")",
         "label_replace: two series would have the same labels; keep the label they differ in, or "
         "aggregate them first"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void equal_parts_are_read_once(void **state)
{
    static const struct {
        const char *query, *want;
        unsigned scans;
    } cases[] = {
        {FOO " / (" FOO " + " FOO ")",
         "{app=\"foo\", pod=\"1\"} 0.5@60\n{app=\"foo\", pod=\"2\"} 0.5@60\n"
         "{app=\"foo\", pod=\"3\"} 0.5@60\n",
         1},
        /* each user may change its own */
        {"sum(" FOO ") / on () (sum(" FOO ") * 3) + on () sum(" FOO ") ", "{} 9.33333@60\n", 1},
        {"sum(topk(1, " FOO ")) + sum(" FOO ")", "{} 15@60\n", 2}, /* one is fused */
        {"max(topk(1, " FOO ")) + max(bottomk(1, " FOO "))", "{} 7@60\n", 1},
        {"sum(count_over_time( {app = `foo`} [60s] )) * sum(" FOO ")", "{} 81@60\n", 1},
        {"max(" FOO ") + max(" BAR ")", "{} 10@60\n", 2},
        {"max(label_replace(" FOO ", \"x\", \"y\", \"app\", \".*\")) + max(" FOO ")", "{} 12@60\n",
         1},
    };
    struct query_params p = {.start = 60 * NS_PER_S, .end = 60 * NS_PER_S};
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake f;
        fill(&f);
        (void)fake_run(&f, cases[i].query, &p, &out);
        if (!str_eq(buf_str(&out), str_of(cases[i].want)) || f.scans != cases[i].scans)
            fail_msg("%s: %u scans\n%.*s", cases[i].query, (unsigned)f.scans,
                     STR_ARG(buf_str(&out)));
        fake_fini(&f);
    }
    buf_fini(&out);
}

static void the_best_are_chosen_at_each_step(void **state)
{
    struct query_params p = {.start = 0, .end = 60 * NS_PER_S, .step = 30 * NS_PER_S};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, 100000);
    fake_init(&f);
    for (int i = 1; i <= 3; i++)
        fake_add(&f, "{app=\"a\"}", NULL, i * NS_PER_S, STR("x"));
    fake_add(&f, "{app=\"b\"}", NULL, 25 * NS_PER_S, STR("x"));
    fake_add(&f, "{app=\"b\"}", NULL, 45 * NS_PER_S, STR("x"));
    assert_int_equal(fake_run(&f, "topk(1, count_over_time({app=~\".+\"}[30s]))", &p, &out), 0);
    check_str(buf_str(&out), "{app=\"a\"} 3@30\n{app=\"b\"} 1@60\n");
    assert_int_equal(fake_run(&f, "bottomk(1, count_over_time({app=~\".+\"}[30s]))", &p, &out), 0);
    check_str(buf_str(&out), "{app=\"b\"} 1@30 1@60\n");
    /* labels become equal, but never at one step */
    assert_int_equal(
        fake_run(&f,
                 "label_replace(topk(1, count_over_time({app=~\".+\"}[30s])), \"app\", "
                 "\"c\", \"\", \"\")",
                 &p, &out),
        0);
    check_str(buf_str(&out), "{app=\"c\"} 3@30 1@60\n");
    assert_int_equal(fake_run(&f, "approx_topk(1, count_over_time({app=\"a\"}[30s]))", &p, &out),
                     ERR_INVALID);
    fake_fini(&f);
    buf_fini(&out);
}

static void vectors_pair_by_their_labels(void **state)
{
    static const char *const cases[][2] = {
        {"vector(1)+vector(1)", "{} 2@60\n"},
        {FOO " + " FOO,
         "{app=\"foo\", pod=\"1\"} 2@60\n{app=\"foo\", pod=\"2\"} 4@60\n{app=\"foo\", pod=\"3\"} "
         "12@60\n"},
        {FOO " + " BAR, ""},
        {FOO " - ignoring (app) " BAR, "{pod=\"1\"} -3@60\n"},
        {FOO " / on (pod) " BAR, "{pod=\"1\"} 0.25@60\n"},
        {FOO " < on (pod) " BAR, "{pod=\"1\"} 1@60\n"},
        {FOO " > bool on (pod) " BAR, "{pod=\"1\"} 0@60\n"},
        {FOO " + bool on (pod) " BAR, "{pod=\"1\"} 5@60\n"},
        {FOO " and bool on (pod) group_left (x) " BAR, "{app=\"foo\", pod=\"1\"} 1@60\n"},
        {BAR " unless on (pod) group_right () " FOO, ""},
        {"count_over_time({app=\"bar\"} | label_format none=`` [1m]) + on (none) group_left "
         "vector(1)",
         "{app=\"bar\", pod=\"1\"} 5@60\n"}, /* without a value is as good as none */
        {"count_over_time({app=\"bar\"} | label_format none=`` [1m]) * ignoring (zz) " BAR,
         "{app=\"bar\", pod=\"1\"} 16@60\n"},
        {"count_over_time({app=\"bar\"} | label_format none=`` [1m]) * " BAR,
         "{app=\"bar\", pod=\"1\"} 16@60\n"},
        {"count_over_time({app=\"bar\"} | label_format none=`` [1m]) and " BAR,
         "{app=\"bar\", none=\"\", pod=\"1\"} 4@60\n"},
        {"sum by (none) (count_over_time({app=\"bar\"} | label_format none=`` [1m]))",
         "{none=\"\"} 4@60\n"},
        {FOO " / on (app) group_left sum by (app) (" FOO ")",
         "{app=\"foo\", pod=\"1\"} 0.111111@60\n{app=\"foo\", pod=\"2\"} 0.222222@60\n"
         "{app=\"foo\", pod=\"3\"} 0.666667@60\n"},
        {"sum by (app) (" FOO ") - on (app) group_right " FOO,
         "{app=\"foo\", pod=\"1\"} 8@60\n{app=\"foo\", pod=\"2\"} 7@60\n{app=\"foo\", pod=\"3\"} "
         "3@60\n"},
        {"sum by (pod) (" FOO ") + on (pod) group_left (app) " BAR,
         "{app=\"bar\", pod=\"1\"} 5@60\n"},
        {FOO " > on () sum(" BAR ")",
         "multiple matches for labels: many-to-one matching must be explicit "
         "(group_left/group_right)"},
        {"sum(" BAR ") > on () " FOO,
         "found duplicate series on the right hand-side;many-to-many matching not allowed: "
         "matching labels must be unique on one side"},
        {"sum by (app) (" FOO ") > on () group_right sum by (app) (" ALL ")",
         "{app=\"bar\"} 9@60\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void sets_choose_series(void **state)
{
    static const char *const cases[][2] = {
        {ALL " and " BAR, "{app=\"bar\", pod=\"1\"} 4@60\n"},
        {ALL " and on (pod) " BAR,
         "{app=\"bar\", pod=\"1\"} 4@60\n{app=\"foo\", pod=\"1\"} 1@60\n"},
        {FOO " unless on (pod) " BAR,
         "{app=\"foo\", pod=\"2\"} 2@60\n{app=\"foo\", pod=\"3\"} 6@60\n"},
        {"(" FOO " > 2) or " BAR, "{app=\"bar\", pod=\"1\"} 4@60\n{app=\"foo\", pod=\"3\"} 6@60\n"},
        {"sum(count_over_time({app=\"none\"}[1m])) or vector(0)", "{} 0@60\n"},
        {"sum(" BAR ") or vector(0)", "{} 4@60\n"},
        {FOO " and on () count_over_time({app=\"none\"}[1m])", ""},
        {BAR " unless on () count_over_time({app=\"none\"}[1m])",
         "{app=\"bar\", pod=\"1\"} 4@60\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_at_60(cases[i][0], cases[i][1]);
}

static void each_step_is_on_its_own(void **state)
{
    struct query_params p = {.start = 0, .end = 90 * NS_PER_S, .step = 30 * NS_PER_S};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, 100000);
    fake_init(&f);
    fake_add(&f, "{app=\"a\", n=\"1\"}", NULL, 25 * NS_PER_S, STR("x"));
    fake_add(&f, "{app=\"a\", n=\"2\"}", NULL, 55 * NS_PER_S, STR("x"));
    fake_add(&f, "{app=\"b\", n=\"1\"}", NULL, 25 * NS_PER_S, STR("x"));
    fake_add(&f, "{app=\"b\", n=\"2\"}", NULL, 55 * NS_PER_S, STR("x"));
    /* two series of one signature, never at the same step: no duplicates */
    assert_int_equal(fake_run(&f,
                              "count_over_time({app=\"a\"}[30s]) + on (app) group_left "
                              "sum by (app) (count_over_time({app=\"a\"}[30s]))",
                              &p, &out),
                     0);
    check_str(buf_str(&out), "{app=\"a\", n=\"1\"} 2@30\n{app=\"a\", n=\"2\"} 2@60\n");
    assert_int_equal(fake_run(&f,
                              "count_over_time({app=\"a\"}[30s]) + on () "
                              "count_over_time({app=\"b\"}[30s])",
                              &p, &out),
                     0);
    check_str(buf_str(&out), "{} 2@30 2@60\n");
    assert_int_equal(fake_run(&f, "sum(count_over_time({app=\"a\"}[30s])) or vector(0)", &p, &out),
                     0);
    check_str(buf_str(&out), "{} 0@0 1@30 1@60 0@90\n");
    assert_int_equal(fake_run(&f, "2 + 3", &p, &out), 0);
    check_str(buf_str(&out), "{} 5@0 5@30 5@60 5@90\n");
    fake_fini(&f);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(aggregations_reduce_series),
           cmocka_unit_test(numbers_apply_to_each_point),
           cmocka_unit_test(the_best_series_come_in_order),
           cmocka_unit_test(label_replace_writes_labels),
           cmocka_unit_test(equal_parts_are_read_once),
           cmocka_unit_test(the_best_are_chosen_at_each_step),
           cmocka_unit_test(vectors_pair_by_their_labels), cmocka_unit_test(sets_choose_series),
           cmocka_unit_test(each_step_is_on_its_own))
