/*
 * storage/scan_patterns.c: every line asked for is counted once, under a pattern that it has, in
 * its bucket and level, or is left out.
 */
#include "tests/unit/storage/scan_world.h"

enum { EDGES = 7, SEEN_MAX = 4000 };

struct seen {
    char *text, *level;
    uint64_t rows[EDGES - 1];
};
struct seen_all {
    struct seen v[SEEN_MAX];
    size_t n, n_buckets, stop;
};

static char *copy(struct str s)
{
    char *p = calloc(1, s.n + 1);

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

static int note(void *arg, struct str text, struct str level, const uint64_t *rows)
{
    struct seen_all *all = arg;
    struct seen *s = &all->v[all->n];

    assert_true(all->n < SEEN_MAX);
    if (all->n > 0)
        assert_true(strcmp(s[-1].text, text.p) <= 0); /* in order */
    *s = (struct seen){.text = copy(text), .level = copy(level)};
    memcpy(s->rows, rows, all->n_buckets * sizeof(*rows));
    return ++all->n == all->stop ? 42 : 0;
}

static void forget_seen(struct seen_all *all)
{
    for (size_t i = 0; i < all->n; i++) {
        free(all->v[i].text);
        free(all->v[i].level);
    }
    free(all);
}

/* Does the line have the pattern?  Each `<_>` stands for anything. */
static bool has_pattern(struct str line, const char *text)
{
    struct str left = str_of(text);
    bool first = true;

    for (;;) {
        size_t gap = str_find(left, STR("<_>"));
        struct str piece = gap == SIZE_MAX ? left : str_sub(left, 0, gap);
        size_t at = str_find(line, piece);
        if (gap == SIZE_MAX)
            return first ? str_eq(line, piece) : str_ends(line, piece);
        if (at == SIZE_MAX || (first && at != 0))
            return false;
        line = str_from(line, at + piece.n);
        left = str_from(left, gap + 3);
        first = false;
    }
}

static bool has_level(const struct record *rec, const char *level)
{
    struct str found = STR("");

    for (uint32_t i = 0; i < rec->n_attr; i++)
        if (str_eq(rec->attr[i].name, STR("detected_level")))
            found = rec->attr[i].value;
    return str_eq(found, str_of(level));
}

static void check_patterns(const struct world *w, struct scan_patterns *p)
{
    struct seen_all *all = calloc(1, sizeof(*all));
    struct store_view v = make_view(w, 0);
    struct scan_stats st;
    struct answer a;
    uint64_t left = 0;
    uint64_t sum = 0;
    struct err err;

    p->req.from = p->edge[0];
    p->req.to = p->edge[p->n_edges - 1];
    p->pattern = note;
    p->arg = all;
    all->n_buckets = p->n_edges - 1;
    a = naive(w, 1, &p->req);
    if (scan_patterns_views(&v, 1, p, &left, &st, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < all->n; i++)
        for (size_t b = 0; b + 1 < p->n_edges; b++) {
            uint64_t lines = 0;
            for (size_t k = 0; k < a.n; k++) {
                const struct record *rec = a.v[k].rec;
                lines += rec->ts >= p->edge[b] && rec->ts < p->edge[b + 1] &&
                         has_level(rec, all->v[i].level) && has_pattern(rec->line, all->v[i].text);
            }
            if (all->v[i].rows[b] > lines)
                fail_msg("%d lines of '%s'", (int)all->v[i].rows[b], all->v[i].text);
            sum += all->v[i].rows[b];
        }
    assert_int_equal(sum + left, a.n);
    assert_true(a.n == 0 || sum > 0);
    free(a.v);
    forget_seen(all);
}

static void every_line_is_counted_once(void **state)
{
    static const uint64_t seeds[] = {2, DENSE};
    struct matcher m;
    struct err err;

    (void)state;
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("app-1"), &err), 0);
    for (size_t i = 0; i < 2; i++) {
        dur_ns hour = seeds[i] < DENSE ? NS_PER_H : 20 * NS_PER_S;
        struct world w = make_world(seeds[i], 200, false);
        struct mem_budget budget = {.name = "query"};
        struct scan_patterns p = {.req = {.budget = &budget}};
        ts_ns edge[EDGES];
        w.frames = frame_cache_new(0, NULL);
        if (i == 1)
            assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
        for (size_t k = 0; k < EDGES; k++)
            edge[k] = time_of_day(DAY) + (ts_ns)k * 7 * hour + 12345;
        p.edge = edge;
        p.n_edges = EDGES;
        check_patterns(&w, &p);
        p.req.matchers = &m;
        p.req.n_matchers = 1;
        check_patterns(&w, &p);
        p.n_edges = 2;
        edge[0] = 0;
        edge[1] = INT64_MAX;
        p.req.n_matchers = 0;
        check_patterns(&w, &p); /* from plans alone, where there is one level */
        assert_int_equal(budget.used, 0);
        free_world(&w);
    }
    matcher_fini(&m);
}

static void the_caller_may_end_it(void **state)
{
    struct world w = make_world(3, 100, false);
    struct seen_all *all = calloc(1, sizeof(*all));
    struct store_view v = make_view(&w, 0);
    const ts_ns edge[] = {0, INT64_MAX};
    struct scan_patterns p = {.edge = edge, .n_edges = 2, .pattern = note, .arg = all};
    struct scan_stats st;
    uint64_t left = 0;
    struct err err;

    (void)state;
    all->n_buckets = 1;
    all->stop = 2;
    assert_int_equal(scan_patterns_views(&v, 1, &p, &left, &st, &err), 42);
    forget_seen(all);
    free_world(&w);
}

CHECK_MAIN(cmocka_unit_test(every_line_is_counted_once), cmocka_unit_test(the_caller_may_end_it))
