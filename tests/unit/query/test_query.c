/* tests/unit/query/test_query.c - queries over a real store, records in its head and in segments.
 */
#include "query/query.h"

#include "query/format.h"
#include "tests/lib/feed.h"

#include <inttypes.h>

#define T0     FEED_DAY
#define TENANT "t"

static struct query *parse(const char *text)
{
    struct query *q = NULL;
    struct err err;

    if (query_parse(str_of(text), &q, NULL, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return q;
}

static int add_line(void *arg, const struct query_entry *e)
{
    buf_add_str(arg, labels_get(&e->stream, STR("app")));
    buf_addf(arg, ":%.*s\n", STR_ARG(e->line));
    return 0;
}

static struct query_params params(const struct str *tenant)
{
    return (struct query_params){.tenants = tenant,
                                 .n_tenants = 1,
                                 .start = T0,
                                 .end = T0 + NS_PER_H,
                                 .direction = QUERY_FORWARD};
}

static void check_log(struct store *s, const char *text, const struct query_params *p,
                      const char *want)
{
    struct query *q = parse(text);
    struct query_stats stats;
    struct err err;
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_int_equal(query_kind(q), QUERY_LOG);
    if (query_run_log(q, s, p, add_line, &out, &stats, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    check_str(buf_str(&out), want);
    buf_fini(&out);
    query_unref(&q);
}

static void check_metric(struct store *s, const char *text, const struct query_params *p,
                         const char *want)
{
    struct query *q = parse(text);
    struct query_result *res = NULL;
    struct query_stats stats;
    struct err err;
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_int_equal(query_kind(q), QUERY_METRIC);
    if (query_run_metric(q, s, p, &res, &stats, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    for (size_t i = 0; i < res->n; i++) {
        labels_format(&out, &res->series[i].labels);
        for (size_t k = 0; k < res->series[i].n; k++)
            buf_addf(&out, " %g@%g", res->series[i].value[k],
                     (double)(res->series[i].ts[k] - T0) / 1e9);
        buf_add_char(&out, '\n');
    }
    check_str(buf_str(&out), want);
    query_result_free(&res);
    buf_fini(&out);
    query_unref(&q);
}

/* Line `i` of ten a second apart, of apps x and y in turn; every fifth is JSON. */
static void put_lines(struct feed *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "R %" PRId64 " %s %s\n", T0 + i * NS_PER_S,
                       i % 2 == 0 ? "x" : "y",
                       i % 5 == 0 ? "{\"level\":\"error\",\"n\":7}" : "level=info n=3");
        assert_int_equal(feed_put(f, TENANT, text), STORE_STORED);
    }
}

static void check_all(struct store *s)
{
    const struct str tenant = STR(TENANT);
    const struct str other = STR("other");
    struct query_params p = params(&tenant);

    check_log(s, "{app=\"y\"}", &p,
              "y:level=info n=3\ny:level=info n=3\ny:{\"level\":\"error\",\"n\":7}\n"
              "y:level=info n=3\ny:level=info n=3\n");
    check_log(s, "{app=~\".+\"} | json | level=\"error\"", &p,
              "x:{\"level\":\"error\",\"n\":7}\ny:{\"level\":\"error\",\"n\":7}\n");
    check_log(s, "{app=~\".+\"} |= \"error\" |~ \"n.*7\" != \"x\"", &p,
              "x:{\"level\":\"error\",\"n\":7}\ny:{\"level\":\"error\",\"n\":7}\n");
    p.direction = QUERY_BACKWARD;
    p.limit = 1;
    check_log(s, "{app=~\".+\"}", &p, "y:level=info n=3\n");
    p.tenants = &other;
    check_log(s, "{app=~\".+\"}", &p, "");

    p = params(&tenant);
    p.start = p.end = T0 + 9 * NS_PER_S;
    check_metric(s, "sum by (app) (count_over_time({app=~\".+\"}[10s]))", &p,
                 "{app=\"x\"} 5@9\n{app=\"y\"} 5@9\n");
    check_metric(s, "sum(rate({app=~\".+\"} |= \"error\" [10s])) > 0", &p, "{} 0.2@9\n");
    check_metric(s, "sum(rate({app=~\".+\"} |= \"nothing\" [10s])) > 0", &p, "");
    check_metric(s, "sum_over_time({app=\"x\"} | logfmt | unwrap n [10s])", &p,
                 "{app=\"x\", level=\"info\"} 12@9\n");
    check_metric(s, "count_over_time({app=\"none\"}[10s])", &p, "");
    p.start = T0 + 4 * NS_PER_S;
    p.step = 5 * NS_PER_S;
    check_metric(s, "sum(bytes_over_time({app=~\".+\"}[5s]))", &p, "{} 79@4 79@9\n");
}

static void answers_are_the_same_from_head_and_segments(void **state)
{
    struct err err;
    struct feed f;

    (void)state;
    feed_init(&f);
    feed_open(&f);
    put_lines(&f, 0, 10);
    check_all(f.s); /* all in the head */
    feed_fini(&f);

    feed_init(&f);
    feed_open(&f);
    put_lines(&f, 0, 6);
    assert_int_equal(store_flush(f.s, &err), 0);
    put_lines(&f, 6, 10);
    check_all(f.s); /* in both */
    assert_int_equal(store_flush(f.s, &err), 0);
    check_all(f.s); /* all in segments */
    feed_reopen(&f);
    check_all(f.s);
    feed_fini(&f);
}

static void grafanas_health_check_is_two(void **state)
{
    const struct str tenant = STR(TENANT);
    struct query_params p = params(&tenant);
    struct query *q = parse("vector(1)+vector(1)");
    struct query_result *res = NULL;
    struct query_stats stats;
    struct err err;
    struct buf out;
    struct feed f;

    (void)state;
    feed_init(&f);
    feed_open(&f);
    p.start = p.end = 4 * NS_PER_S;
    buf_init(&out, 100000);
    assert_int_equal(query_run_metric(q, f.s, &p, &res, &stats, &err), 0);
    format_loki_result(&out, res, &stats);
    assert_true(str_find(buf_str(&out), STR("\"resultType\":\"vector\",\"result\":[{\"metric\":{},"
                                            "\"value\":[4,\"2\"]}]")) != SIZE_MAX);
    query_result_free(&res);
    query_unref(&q);
    buf_fini(&out);
    feed_fini(&f);
}

static void a_budget_is_given_back_whole(void **state)
{
    const struct str tenant = STR(TENANT);
    struct mem_budget budget = {.name = "server"};
    struct query_params p = params(&tenant);
    struct err err;
    struct feed f;

    (void)state;
    p.budget = &budget;
    feed_init(&f);
    feed_open(&f);
    put_lines(&f, 0, 10);
    assert_int_equal(store_flush(f.s, &err), 0);
    check_log(f.s, "{app=\"x\"} | logfmt | n=\"none\"", &p, "");
    p.end = p.start + 9 * NS_PER_S;
    p.step = NS_PER_S;
    check_metric(f.s, "max_over_time({app=\"x\"} | logfmt | unwrap n [1s]) by () > 99", &p, "");
    assert_true(budget.peak > 0);
    assert_int_equal(budget.used, 0);
    feed_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(answers_are_the_same_from_head_and_segments),
           cmocka_unit_test(grafanas_health_check_is_two),
           cmocka_unit_test(a_budget_is_given_back_whole))
