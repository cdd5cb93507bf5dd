/* tests/unit/query/test_exec.c - order, ends and limits of a run. */
#include "query/exec.h"

#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>
#include <string.h>

/* Thirty lines "0" ... "29", one a second from 0 s on, over two streams. */
static void fill(struct fake *f)
{
    fake_init(f);
    for (int i = 0; i < 30; i++) {
        char line[20];
        (void)snprintf(line, sizeof(line), "%d", i);
        fake_add(f, i % 2 == 0 ? "{app=\"x\"}" : "{app=\"y\"}", NULL, i * NS_PER_S, str_of(line));
    }
}

static int add_line(void *arg, const struct query_entry *e)
{
    buf_addf(arg, " %.*s", STR_ARG(e->line));
    return 0;
}

static void check_lines(const char *query, const struct query_params *p, const char *want)
{
    struct source source;
    struct query_stats stats;
    struct buf out;
    const struct exec_sink sink = {.fn = add_line, .arg = &out};
    struct err err;
    struct fake f;
    struct ast a;

    buf_init(&out, 10000);
    fill(&f);
    source = fake_source(&f);
    assert_int_equal(fake_query(query, &a, &err), 0);
    assert_int_equal(exec_log(&a, &source, p, &sink, &stats, &err), 0);
    check_str(buf_str(&out), want);
    ast_fini(&a);
    fake_fini(&f);
    buf_fini(&out);
}

static void entries_come_in_order_up_to_the_limit(void **state)
{
    struct query_params p = {
        .start = 2 * NS_PER_S, .end = 6 * NS_PER_S, .direction = QUERY_FORWARD};

    (void)state;
    check_lines("{app=~\".+\"}", &p, " 2 3 4 5"); /* half-open */
    p.direction = QUERY_BACKWARD;
    check_lines("{app=~\".+\"}", &p, " 5 4 3 2");
    p.limit = 2;
    check_lines("{app=~\".+\"}", &p, " 5 4");
    p.end = 30 * NS_PER_S;
    check_lines("{app=~\".+\"} |= \"1\"", &p, " 21 19");
    check_lines("{app=~\".+\"} | app=\"y\"", &p, " 29 27");
}

static void interval_thins_entries_out(void **state)
{
    struct query_params p = {.start = 0,
                             .end = 30 * NS_PER_S,
                             .interval = 4 * NS_PER_S,
                             .limit = 3,
                             .direction = QUERY_FORWARD};

    (void)state;
    check_lines("{app=~\".+\"}", &p, " 0 4 8");
    p.direction = QUERY_BACKWARD;
    check_lines("{app=~\".+\"}", &p, " 29 25 21");
    check_lines("{app=\"x\"}", &p, " 28 24 20");
}

static void a_cursor_goes_on_behind_the_last_entry(void **state)
{
    struct query_params p = {
        .start = NS_PER_S, .end = 10 * NS_PER_S, .limit = 2, .direction = QUERY_FORWARD};
    struct query_stats stats;
    struct source source;
    struct buf out;
    const struct exec_sink sink = {.fn = add_line, .arg = &out};
    struct err err;
    struct fake f;
    struct ast a;

    (void)state;
    buf_init(&out, 1000);
    fake_init(&f);
    for (int i = 0; i < 5; i++) {
        char line[20];
        (void)snprintf(line, sizeof(line), "%d", i);
        fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, str_of(line)); /* all at the same time */
    }
    source = fake_source(&f);
    assert_int_equal(fake_query("{app=\"x\"}", &a, &err), 0);
    for (uint64_t after = 0; after < 6; after += 2) {
        p.after_seq = after;
        assert_int_equal(exec_log(&a, &source, &p, &sink, &stats, &err), 0);
        buf_add_char(&out, ';');
    }
    check_str(buf_str(&out), " 0 1; 2 3; 4;");
    ast_fini(&a);
    fake_fini(&f);
    buf_fini(&out);
}

/* All pages of two lines, each behind the cursor of the one before. */
static void check_pages(const char *query, enum query_direction direction, const char *want)
{
    struct query_params p = {.start = 0, .end = 10 * NS_PER_S, .limit = 2, .direction = direction};
    struct query_stats stats;
    struct source source;
    struct buf out;
    const struct exec_sink sink = {.fn = add_line, .arg = &out};
    struct err err;
    struct fake f;
    struct ast a;

    buf_init(&out, 1000);
    fake_init(&f);
    for (int i = 0; i < 7; i++) { /* five at the same time */
        char line[20];
        (void)snprintf(line, sizeof(line), "%d", i);
        fake_add(&f, "{app=\"x\"}", NULL, (i == 0 ? 1 : i == 6 ? 3 : 2) * NS_PER_S, str_of(line));
    }
    source = fake_source(&f);
    assert_int_equal(fake_query(query, &a, &err), 0);
    do {
        assert_int_equal(exec_log(&a, &source, &p, &sink, &stats, &err), 0);
        buf_add_char(&out, ';');
        p.cursor = stats.next;
    } while (p.cursor.set);
    check_str(buf_str(&out), want);
    ast_fini(&a);
    fake_fini(&f);
    buf_fini(&out);
}

static void pages_hold_each_entry_once(void **state)
{
    (void)state;
    check_pages("{app=\"x\"}", QUERY_FORWARD, " 0 1; 2 3; 4 5; 6;");
    check_pages("{app=\"x\"}", QUERY_BACKWARD, " 6 5; 4 3; 2 1; 0;");
    check_pages("{app=\"x\"} != \"2\"", QUERY_BACKWARD, " 6 5; 4 3; 1 0;;");
    check_pages("{app=\"x\"} | app=\"x\" | line_format \"z\"", QUERY_FORWARD, " z z; z z; z z; z;");
    check_pages("{app=\"x\"} | dedup", QUERY_FORWARD, " 0 1;"); /* has no next page */
}

static void a_cursor_does_not_go_with_dedup(void **state)
{
    struct query_params p = {
        .start = 0, .end = 10 * NS_PER_S, .limit = 2, .cursor = {true, 5, 1, 1}};
    struct query_stats stats;
    struct source source;
    const struct exec_sink sink = {.fn = add_line};
    struct err err;
    struct fake f;
    struct ast a;

    (void)state;
    fill(&f);
    source = fake_source(&f);
    assert_int_equal(fake_query("{app=\"x\"} | dedup", &a, &err), 0);
    assert_int_equal(exec_log(&a, &source, &p, &sink, &stats, &err), ERR_INVALID);
    ast_fini(&a);
    fake_fini(&f);
}

static void dedup_keeps_the_first_of_each_value(void **state)
{
    struct query_params p = {.start = 0, .end = 30 * NS_PER_S, .direction = QUERY_FORWARD};

    (void)state;
    check_lines("{app=~\".+\"} | dedup by (app)", &p, " 0 1");
    p.direction = QUERY_BACKWARD;
    check_lines("{app=~\".+\"} | dedup by (app)", &p, " 29 28");
    p.direction = QUERY_FORWARD;
    check_lines("{app=~\".+\"} | regexp \"(?P<d>.)$\" | dedup by (d)", &p, " 0 1 2 3 4 5 6 7 8 9");
    check_lines("{app=~\".+\"} | regexp \"(?<d>[0-4])$\" | dedup by (app, d)", &p,
                " 0 1 2 3 4 5 6"); /* 5 and 6: no d */
    check_lines("{app=~\".+\"} | line_format \"{{.app}}\" | dedup", &p, " x y");
    check_lines("{app=~\".+\"} | dedup by (app) | line_format \"z\" | dedup", &p, " z");
    p.limit = 3;
    check_lines("{app=~\".+\"} | regexp \"^(?P<d>.)\" | dedup by (d)", &p, " 0 1 2");
}

static void filters_behind_dedup_see_what_it_lets_pass(void **state)
{
    struct query_params p = {.start = 0, .end = 30 * NS_PER_S, .direction = QUERY_FORWARD};

    (void)state;
    check_lines("{app=~\".+\"} | dedup by (app) |= \"2\"", &p, "");
    check_lines("{app=~\".+\"} |= \"2\" | dedup by (app)", &p, " 2 21");
    check_lines("{app=~\".+\"} | dedup by (nothing) | app=\"y\"", &p, "");
}

/* Very many values through dedup; *err says that there is no room. */
static void run_out_of_memory(size_t query_bytes, struct mem_budget *server, struct err *err)
{
    struct query_params p = {.start = 0,
                             .end = 10 * NS_PER_S,
                             .direction = QUERY_FORWARD,
                             .limits = {.memory_bytes = query_bytes},
                             .budget = server};
    struct query_stats stats;
    struct source source;
    struct buf out;
    const struct exec_sink sink = {.fn = add_line, .arg = &out};
    struct fake f;
    struct ast a;

    buf_init(&out, 1 << 20);
    fake_init(&f);
    for (int i = 0; i < 20000; i++) {
        char line[20];
        (void)snprintf(line, sizeof(line), "%d", i);
        fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, str_of(line));
    }
    source = fake_source(&f);
    assert_int_equal(fake_query("{app=\"x\"} | dedup", &a, err), 0);
    assert_int_equal(exec_log(&a, &source, &p, &sink, &stats, err), ERR_NOMEM);
    ast_fini(&a);
    fake_fini(&f);
    buf_fini(&out);
}

static void dedup_is_held_to_the_memory_of_the_query(void **state)
{
    struct err err;

    (void)state;
    run_out_of_memory(1 << 20, NULL, &err);
    assert_non_null(strstr(err.text, "raise the limit (query.memory"));
}

static void a_server_without_memory_does_not_blame_the_query(void **state)
{
    struct mem_budget server = {.name = "server", .limit = 1 << 20};
    struct err err;

    (void)state;
    run_out_of_memory(1 << 30, &server, &err);
    assert_null(strstr(err.text, "query.memory"));
    assert_non_null(strstr(err.text, "ask again later"));
    assert_int_equal(server.used, 0);
}

static int stop_at_third(void *arg, const struct query_entry *e)
{
    int *left = arg;

    (void)e;
    return --*left > 0 ? 0 : left[1];
}

static void the_caller_may_end_a_run(void **state)
{
    static const int codes[] = {1, ERR_IO};
    struct query_params p = {.start = 0, .end = 30 * NS_PER_S, .direction = QUERY_FORWARD};
    struct err err;
    struct fake f;
    struct ast a;

    (void)state;
    fill(&f);
    assert_int_equal(fake_query("{app=~\".+\"}", &a, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        struct source source = fake_source(&f);
        struct query_stats stats;
        int left[2] = {3, codes[i]};
        const struct exec_sink sink = {.fn = stop_at_third, .arg = left};
        int r = exec_log(&a, &source, &p, &sink, &stats, &err);
        assert_int_equal(r, codes[i] < 0 ? codes[i] : 0);
        assert_int_equal(stats.entries, 3);
    }
    ast_fini(&a);
    fake_fini(&f);
}

/* ---- limits ---- */

static void check_limit(const char *query, const struct query_params *p, int code, const char *want)
{
    struct buf out;
    struct fake f;
    int r;

    buf_init(&out, 1 << 20);
    fill(&f);
    r = fake_run(&f, query, p, &out);
    buf_add_char(&out, '\0');
    if (r != code || strstr(out.p, want) == NULL)
        fail_msg("%s: %d %s", query, r, out.p);
    fake_fini(&f);
    buf_fini(&out);
}

static void limits_are_named_with_what_raises_them(void **state)
{
    struct query_params base = {.start = 0, .end = 60 * NS_PER_S, .step = NS_PER_S};
    struct query_params p;

    (void)state;
    p = base;
    p.limits.series = 1;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_LIMIT,
                "maximum number of series (1) reached for a single query");
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_LIMIT, "raise query.series");
    check_limit("sum(count_over_time({app=~\".+\"} | logfmt [1m]))", &p, 0, "{}");
    p = base;
    p.limits.points = 59;
    check_limit("vector(1)", &p, ERR_LIMIT,
                "exceeded maximum resolution of 59 points per time series. Try increasing the "
                "value of the step parameter");
    p = base;
    p.limits.memory_bytes = 6000;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_NOMEM, "query.memory");
    check_limit("{app=~\".+\"} | logfmt", &p, ERR_NOMEM, "raise the limit");
    p = base;
    p.limits.length = 60 * NS_PER_S - 1;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_LIMIT,
                "the query time range exceeds the limit (query length: 1m, limit: 59");
    check_limit("{app=~\".+\"}", &p, ERR_LIMIT,
                "raise query.length or the tenant's max_query_length");
    p.limits.length = 60 * NS_PER_S;
    check_limit("sum(count_over_time({app=~\".+\"}[1m]))", &p, 0, "{}");
    p = base;
    p.limits.range = 60 * NS_PER_S - 1;
    check_limit("1 + sum(count_over_time({app=~\".+\"}[1m]))", &p, ERR_LIMIT,
                "[interval] value exceeds limit (59");
    check_limit("1 + sum(count_over_time({app=~\".+\"}[1m]))", &p, ERR_LIMIT,
                "raise query.range or the tenant's max_query_range");
    p.limits.range = 60 * NS_PER_S;
    check_limit("sum(count_over_time({app=~\".+\"}[1m]))", &p, 0, "{}");
    p = base;
    p.limits.line_bytes = 10;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_LIMIT, "raise query.lines");
    p = base;
    p.limits.time = 1;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_TIMEOUT, "raise query.time");
    check_limit("{app=~\".+\"}", &p, ERR_TIMEOUT, "the query took longer than");
}

static void of_too_many_series_the_greatest_can_be_had(void **state)
{
    struct query_params p = {.start = 0, .end = 60 * NS_PER_S, .step = NS_PER_S};

    (void)state;
    p.limits.series = 1;
    p.top_series = true;
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, 0, "{");
    check_limit("sum by (app) (count_over_time({app=~\".+\"}[1m])) or vector(100000)", &p, 0,
                "{} 100000@0");
}

static void lines_that_cannot_be_read_may_be_left_out(void **state)
{
    const char *query = "sum by (v) (count_over_time({app=~\".+\"} | json [1m])) or vector(7)";
    struct query_params p = {.start = 0, .end = 60 * NS_PER_S, .step = NS_PER_S};

    (void)state;
    check_limit(query, &p, ERR_INVALID, "pipeline error: 'JSONParserErr'");
    p.lenient = true;
    check_limit(query, &p, 0, "{} 7@0 7@1");
}

static void a_step_is_needed_and_an_end_behind_the_start(void **state)
{
    struct query_params p = {.start = 0, .end = 1};

    (void)state;
    check_limit("vector(1)", &p, ERR_INVALID, "needs a step");
    p.step = -1;
    check_limit("vector(1)", &p, ERR_INVALID, "needs a step");
    p.end = -1;
    check_limit("vector(1)", &p, ERR_INVALID, "before its start");
}

static void a_cancelled_run_ends(void **state)
{
    atomic_bool cancel = true;
    struct query_params p = {.start = 0, .end = 60 * NS_PER_S, .step = NS_PER_S, .cancel = &cancel};

    (void)state;
    check_limit("{app=~\".+\"}", &p, ERR_CANCELLED, "cancelled");
    check_limit("count_over_time({app=~\".+\"}[1m])", &p, ERR_CANCELLED, "cancelled");
    check_limit("max(sum by (app) (vector(1) + vector(1) * vector(2) / vector(3) - vector(4)))", &p,
                ERR_CANCELLED, "cancelled"); /* also where no records are read */
}

static void an_error_of_the_store_ends_the_run_and_nothing_stays_charged(void **state)
{
    static const char *const queries[] = {
        "{app=~\".+\"} | logfmt",
        "sum(count_over_time({app=~\".+\"}[1m]))",
        "sum_over_time({app=~\".+\"} | regexp `(?P<v>.*)` | unwrap v [1m])",
    };
    struct mem_budget parent = {.name = "server"};
    struct query_params p = {.start = 0, .end = 60 * NS_PER_S, .step = NS_PER_S, .budget = &parent};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, 100000);
    fill(&f);
    for (int fail = 3; fail >= 0; fail--) { /* in the third batch ... and not at all */
        f.fail_after = fail;
        for (size_t i = 0; i < 3; i++) {
            int r = fake_run(&f, queries[i], &p, &out);
            assert_int_equal(r, fail > 0 ? ERR_IO : 0);
            assert_int_equal(parent.used, 0);
            assert_true(parent.peak > 0);
        }
    }
    fake_fini(&f);
    buf_fini(&out);
}

/* Who asks for the last two hours asks up to some minutes from now, for clocks differ. */
static void what_lies_ahead_is_not_held_against_the_length(void **state)
{
    ts_ns now = time_now();
    struct query_params p = {.start = now - 2 * NS_PER_H, .end = now + QUERY_AHEAD};

    (void)state;
    p.limits.length = 2 * NS_PER_H;
    check_limit("{app=~\".+\"}", &p, 0, "");
    p.end += NS_PER_MIN;
    check_limit("{app=~\".+\"}", &p, ERR_LIMIT, "(query length: 2h11m, limit: 2h)");
    p.end = now - 1;
    p.start = p.end - 2 * NS_PER_H - 1;
    check_limit("{app=~\".+\"}", &p, ERR_LIMIT, "the query time range exceeds the limit");
}

CHECK_MAIN(cmocka_unit_test(entries_come_in_order_up_to_the_limit),
           cmocka_unit_test(interval_thins_entries_out),
           cmocka_unit_test(a_cursor_goes_on_behind_the_last_entry),
           cmocka_unit_test(dedup_keeps_the_first_of_each_value),
           cmocka_unit_test(filters_behind_dedup_see_what_it_lets_pass),
           cmocka_unit_test(dedup_is_held_to_the_memory_of_the_query),
           cmocka_unit_test(a_server_without_memory_does_not_blame_the_query),
           cmocka_unit_test(pages_hold_each_entry_once),
           cmocka_unit_test(a_cursor_does_not_go_with_dedup),
           cmocka_unit_test(the_caller_may_end_a_run),
           cmocka_unit_test(limits_are_named_with_what_raises_them),
           cmocka_unit_test(what_lies_ahead_is_not_held_against_the_length),
           cmocka_unit_test(of_too_many_series_the_greatest_can_be_had),
           cmocka_unit_test(lines_that_cannot_be_read_may_be_left_out),
           cmocka_unit_test(a_step_is_needed_and_an_end_behind_the_start),
           cmocka_unit_test(a_cancelled_run_ends),
           cmocka_unit_test(an_error_of_the_store_ends_the_run_and_nothing_stays_charged))
