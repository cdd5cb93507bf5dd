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

/* ---- beside the plainest way ---- */

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Three streams; many records of one time, some of a time far from all others. */
static void fill_random(struct fake *f, uint64_t *seed, size_t n, size_t hit_each)
{
    static const char *const streams[] = {"{app=\"a\"}", "{app=\"a\",pod=\"1\"}", "{app=\"b\"}"};
    ts_ns ts = NS_PER_DAY;
    char line[32];

    fake_init(f);
    for (size_t i = 0; i < n; i++) {
        uint64_t kind = next_random(seed) % 2000;
        bool is_hit = next_random(seed) % hit_each == 0;
        ts += kind == 0 ? NS_PER_DAY : kind < 4 ? NS_PER_DAY / 3 : (ts_ns)(kind % 3);
        (void)snprintf(line, sizeof(line), "%s%zu", is_hit ? "hit" : "line", i);
        fake_add(f, streams[next_random(seed) % 3], NULL, ts, str_of(line));
    }
}

/* Marks what is within `n` records of its stream and a day behind a hit, or before one. */
static void mark(const struct fake *f, bool before, size_t n, bool *marked)
{
    size_t count = f->all->n_records;

    for (size_t i = 0; i < count; i++) {
        const struct record *hit = &f->all->records[before ? count - 1 - i : i];
        size_t left = n;
        if (hit->line.p[0] != 'h')
            continue;
        for (size_t k = i + 1; k < count && left > 0; k++) {
            size_t at = before ? count - 1 - k : k;
            const struct record *rec = &f->all->records[at];
            if (rec->stream != hit->stream)
                continue;
            if (before ? rec->ts < hit->ts - NS_PER_DAY : rec->ts >= hit->ts + NS_PER_DAY)
                break;
            marked[at] = true;
            left--;
        }
    }
}

static void expect(const struct fake *f, const struct query_params *p, struct buf *out)
{
    size_t count = f->all->n_records;
    bool *marked = mem_new(count);

    mark(f, true, p->before, marked);
    mark(f, false, p->after, marked);
    for (size_t i = 0; i < count; i++) {
        size_t at = p->direction == QUERY_FORWARD ? i : count - 1 - i;
        struct str line = f->all->records[at].line;
        if (line.p[0] == 'h' || marked[at])
            buf_addf(out, "%s%.*s", line.p[0] == 'h' ? " *" : " ", STR_ARG(line));
    }
    free(marked);
}

static void many_hits_have_what_each_of_them_has(void **state)
{
    static const size_t around[][2] = {{1, 0}, {0, 1}, {2, 3}, {20, 5}, {100, 100}};
    static const size_t hit_each[] = {5, 70, 1500};
    uint64_t seed = 42;

    (void)state;
    for (size_t i = 0; i < 3 * sizeof(around) / sizeof(around[0]); i++) {
        struct query_params p = {.start = 0, .end = INT64_MAX, .limit = 1000};
        struct exec_sink sink = {.fn = put};
        struct source source;
        struct buf wanted;
        struct buf got;
        struct err err = {0};
        struct fake f;
        struct ast a;

        buf_init(&wanted, OUT_MAX);
        buf_init(&got, OUT_MAX);
        sink.arg = &got;
        p.before = (unsigned)around[i / 3][0];
        p.after = (unsigned)around[i / 3][1];
        p.direction = i % 2 == 0 ? QUERY_FORWARD : QUERY_BACKWARD;
        fill_random(&f, &seed, 4500, hit_each[i % 3]);
        source = fake_source(&f);
        assert_int_equal(fake_query("{app=~\".+\"} |= \"hit\"", &a, &err), 0);
        assert_int_equal(exec_log(&a, &source, &p, &sink, NULL, &err), 0);
        expect(&f, &p, &wanted);
        assert_true(str_eq(buf_str(&got), buf_str(&wanted)));
        ast_fini(&a);
        fake_fini(&f);
        buf_fini(&wanted);
        buf_fini(&got);
    }
}

/* Hits of one stream, `distance` lines from each other: what is around is looked for so often. */
static unsigned scans_for(size_t distance, size_t n_hits)
{
    struct query_params p = {.start = 0, .end = INT64_MAX, .limit = 1000, .before = 2, .after = 2};
    struct buf out;
    struct fake f;
    unsigned n;

    buf_init(&out, OUT_MAX);
    fake_init(&f);
    for (size_t i = 0; i < distance * n_hits; i++)
        fake_add(&f, "{app=\"a\"}", NULL, (ts_ns)i * NS_PER_MS,
                 i % distance == 0 ? STR("hit") : STR("line"));
    assert_int_equal(fake_run(&f, "{app=\"a\"} |= \"hit\"", &p, &out), 0);
    n = f.scans;
    fake_fini(&f);
    buf_fini(&out);
    return n;
}

static void near_hits_are_read_at_once(void **state)
{
    (void)state;
    assert_int_equal(scans_for(2, 500), 1 + 2);
    assert_int_equal(scans_for(100, 50), 1 + 2);
    assert_int_equal(scans_for(3000, 5), 1 + 2 * 5);
}

static void a_hit_behind_many_of_its_time_is_found(void **state)
{
    struct query_params p = {.start = 0, .end = 100, .limit = 10, .before = 1, .after = 1};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, OUT_MAX);
    fake_init(&f);
    for (int i = 0; i < 5000; i++)
        fake_add(&f, "{app=\"a\"}", NULL, 5,
                 i == 2500                ? STR("hit")
                 : i == 2499 || i == 2501 ? STR("near")
                                          : STR("line"));
    assert_int_equal(fake_run(&f, "{app=\"a\"} |= \"hit\"", &p, &out), 0);
    check_str(buf_str(&out), "{app=\"a\"} near\n{app=\"a\"} hit\n{app=\"a\"} near\n");
    fake_fini(&f);
    buf_fini(&out);
}

/* Hits a few hours from each other: the last is more than a day behind the first, and what follows
 * it more than a day behind the second. */
static void a_chain_of_hits_is_followed_to_its_end(void **state)
{
    static const struct {
        ts_ns hours;
        const char *line;
    } lines[] = {{0, "far"},   {11, "near"}, {24, "hit1"}, {46, "hit2"},
                 {60, "hit3"}, {72, "near"}, {96, "far"}};
    struct query_params p = {.start = 0,
                             .end = INT64_MAX,
                             .limit = 10,
                             .direction = QUERY_FORWARD,
                             .before = 1,
                             .after = 1};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, OUT_MAX);
    fake_init(&f);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        fake_add(&f, "{app=\"a\"}", NULL, lines[i].hours * NS_PER_H, str_of(lines[i].line));
    assert_int_equal(fake_run(&f, "{app=\"a\"} |= \"hit\"", &p, &out), 0);
    check_str(buf_str(&out), "{app=\"a\"} near\n{app=\"a\"} hit1\n{app=\"a\"} hit2\n"
                             "{app=\"a\"} hit3\n{app=\"a\"} near\n");
    fake_fini(&f);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(neighbours_of_the_same_stream_are_marked),
           cmocka_unit_test(what_overlaps_is_given_once_and_hits_stay_hits),
           cmocka_unit_test(lines_of_one_time_are_told_apart),
           cmocka_unit_test(context_may_lie_outside_of_the_span),
           cmocka_unit_test(the_limit_is_of_hits), cmocka_unit_test(the_pipeline_is_for_hits_alone),
           cmocka_unit_test(too_much_is_refused),
           cmocka_unit_test(many_hits_have_what_each_of_them_has),
           cmocka_unit_test(near_hits_are_read_at_once),
           cmocka_unit_test(a_hit_behind_many_of_its_time_is_found),
           cmocka_unit_test(a_chain_of_hits_is_followed_to_its_end))
