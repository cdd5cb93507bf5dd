/*
 * storage/scan_patterns.c: every line asked for is counted once, under a pattern that it has, in
 * its bucket and level, or is left out; what blocks have counted by the minute is what their rows
 * come to.
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

struct told {
    struct seen_all *all;
    struct scan_stats stats;
    uint64_t left;
};

static struct told tell(const struct world *w, struct scan_patterns *p, const ts_ns *edge,
                        size_t n_edges)
{
    struct told t = {.all = calloc(1, sizeof(*t.all))};
    struct store_view v = make_view(w, 0);
    struct err err;

    t.all->n_buckets = n_edges - 1;
    p->edge = edge;
    p->n_edges = n_edges;
    p->pattern = note;
    p->arg = t.all;
    if (scan_patterns_views(&v, 1, p, &t.left, &t.stats, &err) != 0)
        fail_msg("%s", err.text);
    return t;
}

/* Whole minutes come from the censuses; cut in two anywhere, from rows. */
static void compare_with_parts(const struct world *w, struct scan_patterns *p, uint64_t *rng)
{
    enum { STEPS = EDGES / 2 };
    ts_ns edge[STEPS + 1];
    ts_ns part[2 * STEPS + 1];
    dur_ns step = (ts_ns)(1 + records_random(rng) % 2) * NS_PER_MIN;
    struct told whole;
    struct told parts;

    edge[0] = time_of_day(DAY) + (ts_ns)(records_random(rng) % 8) * NS_PER_MIN;
    part[0] = edge[0];
    for (size_t i = 1; i <= STEPS; i++) {
        edge[i] = edge[i - 1] + step;
        part[2 * i - 1] = edge[i - 1] + 1 + (ts_ns)(records_random(rng) % ((uint64_t)step - 1));
        part[2 * i] = edge[i];
    }
    whole = tell(w, p, edge, STEPS + 1);
    parts = tell(w, p, part, 2 * STEPS + 1);
    assert_true(whole.left == parts.left);
    assert_int_equal(whole.all->n, parts.all->n);
    for (size_t i = 0; i < whole.all->n; i++) {
        const struct seen *x = &whole.all->v[i];
        const struct seen *y = &parts.all->v[i];
        assert_string_equal(x->text, y->text);
        assert_string_equal(x->level, y->level);
        for (size_t b = 0; b < STEPS; b++)
            assert_true(x->rows[b] == y->rows[2 * b] + y->rows[2 * b + 1]);
    }
    forget_seen(whole.all);
    forget_seen(parts.all);
}

/* Few templates, so that blocks have censuses. */
static struct world make_wordy_world(void)
{
    static const char *const verb[] = {"opened", "closed", "moved"};
    struct world w = open_world();

    make_batches(&w, DENSE + 7, 1200, false);
    for (size_t t = 0; t < TENANTS; t++)
        for (size_t i = 0; i < BATCHES; i++)
            for (uint32_t k = 0; k < w.batch[t][i]->n_records; k++) {
                struct record *rec = &w.batch[t][i]->records[k];
                rec->line = arena_printf(w.batch[t][i]->arena, "file %u %s by user %u", k,
                                         verb[rec->seq / 3 % 3], k * 7 % 50);
            }
    flush_batches(&w);
    return w;
}

static void minutes_are_what_their_rows_come_to(void **state)
{
    struct world w = make_wordy_world();
    struct scan_patterns p = {.req = {.tenants = NULL}};
    ts_ns edge[2] = {time_of_day(DAY), time_of_day(DAY) + 20 * NS_PER_MIN};
    struct frame_cache_stats st;
    uint64_t rng = 77;
    struct matcher m;
    struct told all;
    struct err err;

    (void)state;
    w.frames = frame_cache_new(0, NULL);
    all = tell(&w, &p, edge, 2);
    assert_int_equal(all.stats.blocks_read, 3); /* one of each flush */
    frame_cache_stats(w.frames, &st);
    /* Plans and censuses, nothing else; and each day's streams, and of one the list of blocks. */
    assert_int_equal(st.entries, 2 * all.stats.blocks_read + DAYS + 1);
    forget_seen(all.all);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("app-1"), &err), 0);
    for (size_t i = 0; i < 40; i++) {
        p.req.matchers = &m;
        p.req.n_matchers = i % 2;
        compare_with_parts(&w, &p, &rng);
    }
    matcher_fini(&m);
    free_world(&w);
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

CHECK_MAIN(cmocka_unit_test(every_line_is_counted_once),
           cmocka_unit_test(minutes_are_what_their_rows_come_to),
           cmocka_unit_test(the_caller_may_end_it))
