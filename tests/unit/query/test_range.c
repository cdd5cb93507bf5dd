/* tests/unit/query/test_range.c - range aggregations against a naive evaluation. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <math.h>
#include <stdio.h>

/* ---- a model: look at every record for every step ---- */

struct model {
    const struct fake *f;
    const char *app;    /* the selected stream, or NULL for all */
    const char *needle; /* of a line filter, or NULL */
    bool unwrap;        /* values are the numbers that lines are */
    dur_ns range, offset;
};

struct sample {
    ts_ns ts;
    double v;
    size_t bytes;
};

/* Samples of (T - range - offset, T - offset] in order of time; `by_app`: only of this app. */
static size_t model_samples(const struct model *m, ts_ns t, const char *by_app, struct sample *ret)
{
    size_t n = 0;

    for (uint32_t i = 0; i < m->f->all->n_records; i++) {
        const struct record *rec = &m->f->all->records[i];
        struct str app = labels_get(&m->f->all->streams[rec->stream], STR("app"));
        double v = 0;
        if (rec->ts <= t - m->offset - m->range || rec->ts > t - m->offset)
            continue;
        if ((m->app != NULL && !str_eq(app, str_of(m->app))) ||
            (by_app != NULL && !str_eq(app, str_of(by_app))))
            continue;
        if (m->needle != NULL && str_find(rec->line, str_of(m->needle)) == SIZE_MAX)
            continue;
        if (m->unwrap && !str_to_f64(str_from(rec->line, 2), &v))
            continue;
        ret[n++] = (struct sample){rec->ts, v, rec->line.n};
    }
    return n;
}

typedef double model_fn(const struct model *m, const struct sample *s, size_t n);

static double model_count(const struct model *m, const struct sample *s, size_t n)
{
    (void)m;
    (void)s;
    return (double)n;
}

static double model_rate(const struct model *m, const struct sample *s, size_t n)
{
    (void)s;
    return (double)n / ((double)m->range / 1e9);
}

static double model_bytes(const struct model *m, const struct sample *s, size_t n)
{
    size_t sum = 0;

    (void)m;
    for (size_t i = 0; i < n; i++)
        sum += s[i].bytes;
    return (double)sum;
}

static double model_sum(const struct model *m, const struct sample *s, size_t n)
{
    double sum = 0;

    (void)m;
    for (size_t i = 0; i < n; i++)
        sum += s[i].v;
    return sum;
}

static double model_avg(const struct model *m, const struct sample *s, size_t n)
{
    return model_sum(m, s, n) / (double)n;
}

static double model_max(const struct model *m, const struct sample *s, size_t n)
{
    double best = -1e300;

    (void)m;
    for (size_t i = 0; i < n; i++)
        best = s[i].v > best ? s[i].v : best;
    return best;
}

static double model_min(const struct model *m, const struct sample *s, size_t n)
{
    double best = 1e300;

    (void)m;
    for (size_t i = 0; i < n; i++)
        best = s[i].v < best ? s[i].v : best;
    return best;
}

static double model_stdvar(const struct model *m, const struct sample *s, size_t n)
{
    double mean = model_avg(m, s, n);
    double squares = 0;

    for (size_t i = 0; i < n; i++)
        squares += (s[i].v - mean) * (s[i].v - mean);
    return squares / (double)n;
}

static double model_first(const struct model *m, const struct sample *s, size_t n)
{
    (void)m;
    (void)n;
    return s[0].v;
}

static double model_last(const struct model *m, const struct sample *s, size_t n)
{
    (void)m;
    return s[n - 1].v;
}

/* ---- random data ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Lines "v=NUMBER", the odd one "v=x"; times collide, the order of adding is that of time. */
static void fill(struct fake *f, uint64_t *seed, int n)
{
    static const char *const streams[] = {"{app=\"x\", pod=\"1\"}", "{app=\"x\", pod=\"2\"}",
                                          "{app=\"y\", pod=\"1\"}"};
    ts_ns ts = 0;

    fake_init(f);
    for (int i = 0; i < n; i++) {
        char line[50];
        ts += (ts_ns)(next_random(seed) % 4) * NS_PER_S;
        (void)snprintf(line, sizeof(line), "v=%d", (int)(next_random(seed) % 1000) - 300);
        fake_add(f, streams[next_random(seed) % 3], NULL, ts, str_of(line));
    }
}

struct shape {
    const char *query; /* @ stands for range and offset */
    model_fn *fn;
    bool unwrap, by_app;
    const char *needle;
};

static void compare_series(const struct model *m, const struct shape *shape, const char *by_app,
                           const struct query_params *p, const struct query_series *s,
                           const char *query)
{
    struct sample samples[400];
    size_t at = 0;

    for (ts_ns t = p->start; t <= p->end; t += p->step == 0 ? 1 : p->step) {
        size_t n = model_samples(m, t, by_app, samples);
        bool has = s != NULL && at < s->n && s->ts[at] == t;
        double want = n == 0 ? 0 : shape->fn(m, samples, n);
        if (has != (n > 0))
            fail_msg("%s at %g s: point %d, samples %zu", query, (double)t / 1e9, has, n);
        if (has && fabs(s->value[at] - want) > 1e-9 * (1 + fabs(want)))
            fail_msg("%s at %g s: %g, not %g", query, (double)t / 1e9, s->value[at], want);
        at += has;
    }
    assert_true(s == NULL || at == s->n);
}

static const struct query_series *series_of_app(const struct query_result *res, const char *app)
{
    for (size_t i = 0; i < res->n; i++)
        if (app == NULL || str_eq(labels_get(&res->series[i].labels, STR("app")), str_of(app)))
            return &res->series[i];
    return NULL;
}

static void try_shape(struct fake *f, const struct shape *shape, struct query_params *p,
                      struct model *m)
{
    struct source source = fake_source(f);
    struct query_result *res = NULL;
    struct query_stats stats;
    struct err err;
    char query[300];
    const char *mark = strchr(shape->query, '@');
    struct ast a;

    (void)snprintf(query, sizeof(query), "%.*s[%llds] offset %llds%s", (int)(mark - shape->query),
                   shape->query, (long long)(m->range / NS_PER_S),
                   (long long)(m->offset / NS_PER_S), mark + 1);
    m->needle = shape->needle;
    m->unwrap = shape->unwrap;
    if (fake_query(query, &a, &err) < 0 || exec_metric(&a, &source, p, &res, &stats, &err) < 0)
        fail_msg("%s: %s", query, err.text);
    assert_int_equal(f->scans, 1); /* once for all steps */
    f->scans = 0;
    if (shape->by_app) {
        compare_series(m, shape, "x", p, series_of_app(res, "x"), query);
        compare_series(m, shape, "y", p, series_of_app(res, "y"), query);
    } else {
        assert_true(res->n <= 1);
        compare_series(m, shape, NULL, p, series_of_app(res, NULL), query);
    }
    query_result_free(&res);
    ast_fini(&a);
}

static void all_agree_with_a_naive_evaluation(void **state)
{
#define UNWRAP "{app=~\".+\"} | logfmt | unwrap v | __error__=\"\" "
    static const struct shape shapes[] = {
        {"sum(count_over_time({app=~\".+\"}@))", model_count, false, false, NULL},
        {"sum by (app) (count_over_time({app=~\".+\"} |= \"1\" @))", model_count, false, true, "1"},
        {"sum by (app) (rate({app=~\".+\"}@))", model_rate, false, true, NULL},
        {"sum by (app) (bytes_over_time({app=~\".+\"}@))", model_bytes, false, true, NULL},
        {"sum without (pod) (sum_over_time(" UNWRAP "@))", model_sum, true, true, NULL},
        {"avg_over_time(" UNWRAP "@) by (app)", model_avg, true, true, NULL},
        {"max_over_time(" UNWRAP "@) by (app)", model_max, true, true, NULL},
        {"min_over_time(" UNWRAP "@) without (pod)", model_min, true, true, NULL},
        {"stdvar_over_time(" UNWRAP "@) by (app)", model_stdvar, true, true, NULL},
        {"first_over_time(" UNWRAP "@) by ()", model_first, true, false, NULL},
        {"last_over_time(" UNWRAP "@) by (app)", model_last, true, true, NULL},
    };
    uint64_t seed = 20261121;

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct fake f;
        fill(&f, &seed, (int)(next_random(&seed) % 200));
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
            struct query_params p = {
                .start = (ts_ns)(next_random(&seed) % 200) * NS_PER_S,
                .step = (ts_ns)(next_random(&seed) % 30) * NS_PER_S,
            };
            struct model m = {
                .f = &f,
                .range = (dur_ns)(1 + next_random(&seed) % 60) * NS_PER_S,
                .offset = ((dur_ns)(next_random(&seed) % 40) - 20) * NS_PER_S,
            };
            p.end = p.start + (p.step == 0 ? 0 : (ts_ns)(next_random(&seed) % 300) * NS_PER_S);
            try_shape(&f, &shapes[i], &p, &m);
        }
        fake_fini(&f);
    }
}

/* ---- single cases ---- */

static void check_answer(struct fake *f, const char *query, ts_ns start, ts_ns end, dur_ns step,
                         const char *want)
{
    struct query_params p = {.start = start, .end = end, .step = step};
    struct buf out;

    buf_init(&out, 100000);
    (void)fake_run(f, query, &p, &out);
    if (!str_eq(buf_str(&out), str_of(want)))
        fail_msg("%s gives\n%.*s, not\n%s", query, STR_ARG(buf_str(&out)), want);
    buf_fini(&out);
}

/* At one second; the message begins with `want`. */
static void check_fails(struct fake *f, const char *query, const char *want)
{
    struct query_params p = {.start = NS_PER_S, .end = NS_PER_S};
    struct buf out;

    buf_init(&out, 100000);
    if (fake_run(f, query, &p, &out) >= 0 || !str_starts(buf_str(&out), str_of(want)))
        fail_msg("%s gives\n%.*s, not\n%s", query, STR_ARG(buf_str(&out)), want);
    buf_fini(&out);
}

static void fill_ten(struct fake *f)
{
    fake_init(f);
    for (int i = 1; i <= 10; i++) {
        char line[50];
        (void)snprintf(line, sizeof(line), "v=%d d=%dms b=%dkB", i, i * 100, i);
        fake_add(f, i % 2 == 0 ? "{app=\"x\"}" : "{app=\"y\"}", i > 8 ? "{tag=\"t\"}" : NULL,
                 i * NS_PER_S, str_of(line));
    }
}

static void ranges_are_open_at_their_begin(void **state)
{
    struct fake f;

    (void)state;
    fill_ten(&f);
    check_answer(&f, "sum(count_over_time({app=~\".+\"}[5s]))", 10 * NS_PER_S, 10 * NS_PER_S, 0,
                 "{} 5@10\n");
    check_answer(&f, "sum(count_over_time({app=~\".+\"}[5s]))", 0, 20 * NS_PER_S, 5 * NS_PER_S,
                 "{} 5@5 5@10\n");
    check_answer(&f, "sum(count_over_time({app=~\".+\"}[1ms]))", 0, 3 * NS_PER_S, NS_PER_S / 2,
                 "{} 1@1 1@2 1@3\n");
    check_answer(&f, "sum(count_over_time({app=~\".+\"}[0]))", 0, 3 * NS_PER_S, NS_PER_S, "");
    check_answer(&f, "count_over_time({app=\"z\"}[5s])", 0, 3 * NS_PER_S, NS_PER_S, "");
    fake_fini(&f);
}

static void series_have_all_labels_unless_grouped(void **state)
{
    struct fake f;

    (void)state;
    fill_ten(&f);
    check_answer(&f, "count_over_time({app=~\".+\"}[1m])", 10 * NS_PER_S, 10 * NS_PER_S, 0,
                 "{app=\"x\"} 4@10\n{app=\"x\", tag=\"t\"} 1@10\n{app=\"y\"} 4@10\n"
                 "{app=\"y\", tag=\"t\"} 1@10\n");
    check_answer(&f, "sum by (tag) (count_over_time({app=~\".+\"}[1m]))", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{} 8@10\n{tag=\"t\"} 2@10\n");
    check_answer(&f, "sum without (app) (count_over_time({app=~\".+\"}[1m]))", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{} 8@10\n{tag=\"t\"} 2@10\n");
    check_answer(&f, "sum by (app) (count_over_time({app=~\".+\"}[1m]))", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{app=\"x\"} 5@10\n{app=\"y\"} 5@10\n");
    fake_fini(&f);
}

static void unwrapped_values_have_units(void **state)
{
    struct fake f;

    (void)state;
    fill_ten(&f);
    fake_add(&f, "{app=\"x\"}", NULL, 10 * NS_PER_S, STR("no value here"));
    check_answer(&f, "max_over_time({app=\"x\"} | logfmt | unwrap duration(d) [1m]) by (app)",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{app=\"x\"} 1@10\n");
    check_answer(&f, "min_over_time({app=\"x\"} | logfmt | unwrap bytes(b) [1m]) by (app)",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{app=\"x\"} 2000@10\n");
    check_answer(&f, "rate({app=\"x\"} | logfmt | drop d, b, tag | unwrap v [10s])", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{app=\"x\"} 3@10\n");
    check_answer(&f, "quantile_over_time(0.5,{app=\"x\"} | logfmt | unwrap v | v>2 [1m]) by ()",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{} 7@10\n");
    check_answer(&f, "quantile_over_time(1.5,{app=\"x\"} | logfmt | unwrap v [1m]) by ()",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{} inf@10\n");
    check_answer(&f, "stddev_over_time({app=\"x\"} | logfmt | unwrap v [1m]) by ()", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{} 2.82843@10\n");
    fake_fini(&f);
}

static void counters_are_extrapolated_and_may_restart(void **state)
{
    static const int values[] = {100, 130, 160, 250, 280, 340};
    struct fake f;

    (void)state;
    fake_init(&f);
    for (int i = 0; i < 6; i++) {
        char line[30];
        (void)snprintf(line, sizeof(line), "c=%d", values[i]);
        fake_add(&f, "{app=\"a\"}", NULL, (90 + 30 * i) * NS_PER_S, str_of(line));
    }
    check_answer(&f, "rate_counter({app=\"a\"} | logfmt | unwrap c [1m])", 60 * NS_PER_S,
                 180 * NS_PER_S, 60 * NS_PER_S, "{app=\"a\"} 1@120 3@180\n");
    check_answer(&f, "rate_counter({app=\"a\"} | logfmt | unwrap c [10s])", 90 * NS_PER_S,
                 90 * NS_PER_S, 0, "{app=\"a\"} 0@90\n"); /* one sample */
    fake_fini(&f);
    fake_init(&f);
    fake_add(&f, "{app=\"a\"}", NULL, 60 * NS_PER_S, STR("c=90"));
    fake_add(&f, "{app=\"a\"}", NULL, 90 * NS_PER_S, STR("c=120"));
    fake_add(&f, "{app=\"a\"}", NULL, 120 * NS_PER_S, STR("c=30"));
    check_answer(&f, "rate_counter({app=\"a\"} | logfmt | unwrap c [90s])", 120 * NS_PER_S,
                 120 * NS_PER_S, 0, "{app=\"a\"} 1@120\n");
    fake_fini(&f);
}

static void absence_is_a_series(void **state)
{
    struct fake f;

    (void)state;
    fill_ten(&f);
    check_answer(&f, "absent_over_time({app=\"x\", pod=\"1\", a=~\".*\"}[5s])", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{app=\"x\", pod=\"1\"} 1@10\n");
    check_answer(&f, "absent_over_time({app=\"x\"}[5s])", 10 * NS_PER_S, 20 * NS_PER_S,
                 5 * NS_PER_S, "{app=\"x\"} 1@15 1@20\n");
    check_answer(&f, "absent_over_time({app=\"x\", app!=\"y\", b=~\".*\"}[5s])", 20 * NS_PER_S,
                 20 * NS_PER_S, 0, "{} 1@20\n");
    check_answer(&f, "absent_over_time({app=\"x\"} | logfmt | unwrap none [1m])", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{app=\"x\"} 1@10\n");
    fake_fini(&f);
}

static void a_failed_line_fails_the_query_unless_filtered(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("{\"v\":1}"));
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("bad"));
    check_answer(&f, "count_over_time({app=\"x\"} | json [5s])", NS_PER_S, NS_PER_S, 0,
                 "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", "
                 "__error_details__=\"the line is no complete JSON object\", app=\"...'. Use a "
                 "label filter to intentionally skip this error. (e.g | "
                 "__error__!=\"JSONParserErr\").");
    fake_add(&f, "{ap=\"\xc3\xbc\"}", NULL, NS_PER_S, STR("bad"));
    check_answer(&f, "count_over_time({ap=\"\xc3\xbc\"} | json [5s])", NS_PER_S, NS_PER_S, 0,
                 "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", "
                 "__error_details__=\"the line is no complete JSON object\", ap=\"...'. Use a "
                 "label filter to intentionally skip this error. (e.g | "
                 "__error__!=\"JSONParserErr\")."); /* no half of a character */
    check_answer(&f, "sum(count_over_time({app=\"x\"} | json | __error__=\"\" [5s]))", NS_PER_S,
                 NS_PER_S, 0, "{} 1@1\n");
    check_answer(&f,
                 "sum(count_over_time({app=\"x\"} | json | drop __error__, __error_details__ "
                 "[5s]))",
                 NS_PER_S, NS_PER_S, 0, "{} 2@1\n");
    check_answer(&f, "sum(count_over_time({app=\"x\"} | json | __error__!=\"\" [5s]))", NS_PER_S,
                 NS_PER_S, 0, "{} 1@1\n");
    check_answer(
        &f, "count_over_time({app=\"x\"} | json | (app=\"y\" or __error__!=\"\") | keep s [5s])",
        NS_PER_S, NS_PER_S, 0,
        "{__error__=\"JSONParserErr\", __error_details__=\"the line is no complete JSON object\"} "
        "1@1\n");
    check_answer(&f, "sum by (__error__) (count_over_time({app=\"x\"} | json [5s]))", NS_PER_S,
                 NS_PER_S, 0, "{} 1@1\n{__error__=\"JSONParserErr\"} 1@1\n");
    check_answer(&f, "sum(sum_over_time({app=\"x\"} | logfmt | unwrap app [5s]))", NS_PER_S,
                 NS_PER_S, 0,
                 "pipeline error: 'SampleExtractionErr' for series: "
                 "'{__error__=\"SampleExtractionErr\", __error_details__=\"cannot unwrap "
                 "\\\"x\\\"\"}'. Use a label filter to intentionally skip this error. (e.g | "
                 "__error__!=\"SampleExtractionErr\").");
    fake_fini(&f);
}

static void a_line_is_read_as_far_as_the_query_asks(void **state)
{
#define COUNTED(stages) "(count_over_time({app=\"x\"} | " stages " [5s]))"
    static const struct {
        const char *query, *want; /* NULL: a line fails it */
    } cases[] = {
        {"sum" COUNTED("json"), "{} 2@1\n"},
        {"sum" COUNTED("json | drop v"), "{} 2@1\n"},
        {"sum" COUNTED("json | line_format `x` | logfmt --strict"), "{} 2@1\n"},
        {"sum(bytes_over_time({app=\"x\"} | json [5s]))", "{} 20@1\n"},
        {"absent_over_time({app=\"x\"} | json [5s])", ""},
        {"sum by (v)" COUNTED("json"), "{v=\"1\"} 1@1\n{v=\"2\"} 1@1\n"},
        {"sum by (v)" COUNTED("json | json"), "{v=\"1\"} 1@1\n{v=\"2\"} 1@1\n"},
        {"sum" COUNTED("json | v > 1"), "{} 1@1\n"},
        {"sum(sum_over_time({app=\"x\"} | json | unwrap v [5s]))", "{} 3@1\n"},
        {"sum by (x)" COUNTED("json | label_format x=v"), NULL}, /* there may be an `x`, too */
        {"sum by (w)" COUNTED("json"), NULL},
        {"sum by (app)" COUNTED("json"), NULL},
        {"sum by (v, w)" COUNTED("json"), NULL},
        {"sum without (v)" COUNTED("json"), NULL},
        {"sum" COUNTED("json | line_format `{{.w}}`"), NULL},
        {"count" COUNTED("json"), NULL},
        {"max by (v) (max_over_time({app=\"x\"} | json | unwrap v [5s]))", NULL},
    };
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("{\"v\":1,\"w\":2}"));
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("{\"v\":2,"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].want == NULL)
            check_fails(&f, cases[i].query, "pipeline error: 'JSONParserErr'");
        else
            check_answer(&f, cases[i].query, NS_PER_S, NS_PER_S, 0, cases[i].want);
    }
    fake_fini(&f);
#undef COUNTED
}

static void what_is_unwrapped_stays_where_it_is_asked_for(void **state)
{
    static const struct {
        const char *query, *want;
    } cases[] = {
        {"sum by (v) (sum_over_time({app=\"x\"} | logfmt | unwrap v [2s]))", "{v=\"2\"} 2@2\n"},
        {"sum by (app) (sum_over_time({app=\"x\"} | logfmt | unwrap v [2s]))", "{app=\"x\"} 2@2\n"},
        {"max_over_time({app=\"x\"} | logfmt | unwrap v [2s]) by (app, v)",
         "{app=\"x\", v=\"2\"} 2@2\n"},
        {"max by (v) (max_over_time({app=\"x\"} | logfmt | unwrap v [2s]))", "{} 2@2\n"},
        {"avg by (v) (sum_over_time({app=\"x\"} | logfmt | unwrap v [2s]))", "{} 2@2\n"},
        {"sum without (b, d) (sum_over_time({app=\"x\"} | logfmt | unwrap v [2s]))",
         "{app=\"x\"} 2@2\n"},
    };
    struct fake f;

    (void)state;
    fill_ten(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_answer(&f, cases[i].query, 2 * NS_PER_S, 2 * NS_PER_S, 0, cases[i].want);
    fake_fini(&f);
}

static void without_leaves_no_empty_labels(void **state)
{
    struct fake f;

    (void)state;
    fill_ten(&f);
    check_answer(&f, "sum without (app) (count_over_time({app=\"x\"} | label_format e=`` [2s]))",
                 2 * NS_PER_S, 2 * NS_PER_S, 0, "{} 1@2\n");
    check_answer(&f, "avg without (app) (count_over_time({app=\"x\"} | label_format e=`` [2s]))",
                 2 * NS_PER_S, 2 * NS_PER_S, 0, "{} 1@2\n");
    check_answer(&f, "sum by (e) (count_over_time({app=\"x\"} | label_format e=`` [2s]))",
                 2 * NS_PER_S, 2 * NS_PER_S, 0, "{e=\"\"} 1@2\n");
    fake_fini(&f);
}

static void a_grouping_asks_only_for_errors_of_parsers(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("{\"v\":1}"));
    fake_add(&f, "{app=\"x\"}", NULL, NS_PER_S, STR("{\"v\":2"));
    check_answer(&f, "sum by (__error__) (sum_over_time({app=\"x\"} | json | unwrap v [5s]))",
                 NS_PER_S, NS_PER_S, 0, "{} 1@1\n{__error__=\"JSONParserErr\"} 2@1\n");
    check_answer(&f, "max_over_time({app=\"x\"} | json | unwrap v [5s]) by (__error__)", NS_PER_S,
                 NS_PER_S, 0, "{} 1@1\n{__error__=\"JSONParserErr\"} 2@1\n");
    check_fails(&f, "max by (__error__) (max_over_time({app=\"x\"} | json | unwrap v [5s]))",
                "pipeline error: 'JSONParserErr'");
    check_fails(&f, "count by (__error__) (count_over_time({app=\"x\"} | json [5s]))",
                "pipeline error: 'JSONParserErr'");
    check_fails(&f, "sum by (__error__) (sum_over_time({app=\"x\"} | logfmt | unwrap app [5s]))",
                "pipeline error: 'SampleExtractionErr'");
    check_fails(&f, "sum by (__error__) (count_over_time({app=\"x\"} | app > 1 [5s]))",
                "pipeline error: 'LabelFilterErr'");
    fake_fini(&f);
}

static void only_what_is_looked_at_is_asked_for(void **state)
{
    static const struct {
        const char *query;
        bool line, attrs;
        size_t filters;
    } cases[] = {
        {"sum(count_over_time({app=\"x\"} |= \"1\" |~ \"v\" [1m]))", false, false, 2},
        {"sum by (app) (count_over_time({app=\"x\"}[1m]))", false, false, 0},
        {"sum by (tag) (count_over_time({app=\"x\"}[1m]))", false, true, 0},
        {"count_over_time({app=\"x\"}[1m])", false, true, 0},
        {"sum(bytes_over_time({app=\"x\"}[1m]))", true, false, 0},
        {"sum(count_over_time({app=\"x\"} | logfmt |= \"1\" [1m]))", false, false, 1},
        {"sum by (v) (count_over_time({app=\"x\"} | logfmt |= \"1\" [1m]))", true, true, 1},
        {"sum(count_over_time({app=\"x\"} | app=\"x\" [1m]))", false, true, 0},
        {"absent_over_time({app=\"x\"}[1m])", false, false, 0},
    };
    struct query_params p = {.start = 10 * NS_PER_S, .end = 10 * NS_PER_S};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, 100000);
    fill_ten(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fake_run(&f, cases[i].query, &p, &out), 0);
        if (f.asked.need_line != cases[i].line || f.asked.need_attrs != cases[i].attrs ||
            f.asked.n_filters != cases[i].filters)
            fail_msg("%s: line %d, attributes %d, %zu filters", cases[i].query, f.asked.need_line,
                     f.asked.need_attrs, f.asked.n_filters);
        assert_true(f.asked.from == 10 * NS_PER_S - NS_PER_MIN + 1);
        assert_true(f.asked.to == 10 * NS_PER_S + 1);
    }
    fake_fini(&f);
    buf_fini(&out);
}

static void times_at_the_ends_of_the_range_do_not_overflow(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_add(&f, "{app=\"x\"}", NULL, INT64_MAX, STR("late"));
    fake_add(&f, "{app=\"x\"}", NULL, INT64_MIN, STR("early"));
    fake_add(&f, "{app=\"x\"}", NULL, 0, STR("now"));
    check_answer(&f, "sum(count_over_time({app=\"x\"}[290y]))", 0, 0, 0, "{} 1@0\n");
    check_answer(&f, "sum(count_over_time({app=\"x\"}[290y] offset 290y))", INT64_MAX - 1,
                 INT64_MAX - 1, 0, "{} 1@9.22337e+09\n");
    check_answer(&f, "sum(count_over_time({app=\"x\"}[1s] offset -2000000h))", INT64_MAX - 1,
                 INT64_MAX - 1, 0, "");
    fake_fini(&f);
}

static void different_values_are_counted(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    for (int i = 1; i <= 10; i++) {
        char line[50];
        (void)snprintf(line, sizeof(line), i == 10 ? "n=1" : "u=%d n=%d", i % 3, i);
        fake_add(&f, i % 2 == 0 ? "{app=\"x\"}" : "{app=\"y\"}", NULL, i * NS_PER_S, str_of(line));
    }
    check_answer(&f, "count_distinct_over_time(u, {app=~\".+\"} | logfmt [1m]) by ()",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{} 3@10\n");
    check_answer(&f, "count_distinct_over_time(u, {app=~\".+\"} | logfmt | n<3 [1m]) by (app)",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "{app=\"x\"} 1@10\n{app=\"y\"} 1@10\n");
    check_answer(&f, "count_distinct_over_time(u, {app=~\".+\"} | logfmt | keep u [2s])",
                 2 * NS_PER_S, 10 * NS_PER_S, 4 * NS_PER_S, "{} 2@2 2@6 1@10\n");
    check_answer(&f, "count_distinct_over_time(app, {app=~\".+\"} [1m]) by ()", 10 * NS_PER_S,
                 10 * NS_PER_S, 0, "{} 2@10\n");
    check_answer(&f, "count_distinct_over_time(none, {app=~\".+\"} | logfmt [1m]) by ()",
                 10 * NS_PER_S, 10 * NS_PER_S, 0, "");
    fake_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(all_agree_with_a_naive_evaluation),
           cmocka_unit_test(ranges_are_open_at_their_begin),
           cmocka_unit_test(series_have_all_labels_unless_grouped),
           cmocka_unit_test(unwrapped_values_have_units),
           cmocka_unit_test(counters_are_extrapolated_and_may_restart),
           cmocka_unit_test(absence_is_a_series), cmocka_unit_test(different_values_are_counted),
           cmocka_unit_test(a_failed_line_fails_the_query_unless_filtered),
           cmocka_unit_test(a_line_is_read_as_far_as_the_query_asks),
           cmocka_unit_test(what_is_unwrapped_stays_where_it_is_asked_for),
           cmocka_unit_test(without_leaves_no_empty_labels),
           cmocka_unit_test(a_grouping_asks_only_for_errors_of_parsers),
           cmocka_unit_test(only_what_is_looked_at_is_asked_for),
           cmocka_unit_test(times_at_the_ends_of_the_range_do_not_overflow))
