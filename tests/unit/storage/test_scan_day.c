/* storage/scan_day.c: the streams that are kept are those of the catalog, whatever came in since.
 */
#include "tests/unit/storage/scan_world.h"

#include "base/vec.h"
#include "storage/catalog_index.h"

enum { FEW_STREAMS = 40, MANY_STREAMS = 6000, RECORDS = 15000, TEXT_MAX = 64 << 20 };

struct fixture {
    struct world w;
    struct partition *p;
    size_t n; /* flushes so far */
};

static struct fixture set_up(size_t cache_bytes)
{
    struct fixture f = {.w = open_world()};
    struct err err;

    f.w.frames = frame_cache_new(cache_bytes, NULL);
    assert_int_equal(partition_cache_get(f.w.cache, 1, DAY, true, &f.p, &err), 0);
    return f;
}

static void tear_down(struct fixture *f)
{
    partition_unref(&f->p);
    free_world(&f->w);
}

/* A segment of records of so many streams. */
static void add(struct fixture *f, uint32_t records, uint32_t streams)
{
    struct records_options opt = {.seed = 5 + f->n,
                                  .n = records,
                                  .n_streams = streams,
                                  .first_seq = 1 + f->n * RECORDS,
                                  .from = time_of_day(DAY),
                                  .span = NS_PER_H};

    f->w.batch[0][f->n] = records_make(&opt);
    f->w.pos[0][f->n] = 10 * (f->n + 1);
    flush(&f->w, 0, 10 * f->n, 10 * (f->n + 1));
    f->n++;
}

struct asked {
    struct fixture *f;
    const struct catalog_selector *sel;
    struct buf kept, direct;
};

static int note(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    (void)err;
    buf_addf(arg, "%llu ", (unsigned long long)id);
    labels_format(arg, l);
    buf_add_char(arg, '\n');
    return 0;
}

static int ask_both(void *arg, struct catalog *c, struct err *err)
{
    struct asked *a = arg;
    const struct scan_day day = {a->f->w.frames, a->f->p, c};
    int r = scan_day_select(&day, a->sel, note, &a->kept, err);

    return r == 0 ? catalog_select(c, a->sel, note, &a->direct, err) : r;
}

/* How many lines both have. */
static size_t check(struct fixture *f, const struct catalog_selector *sel)
{
    struct asked a = {.f = f, .sel = sel};
    struct err err;
    size_t n = 0;

    buf_init(&a.kept, TEXT_MAX);
    buf_init(&a.direct, TEXT_MAX);
    if (partition_read(f->p, ask_both, &a, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(str_eq(buf_str(&a.kept), buf_str(&a.direct)));
    for (size_t i = 0; i < a.kept.n; i++)
        n += a.kept.p[i] == '\n';
    buf_fini(&a.kept);
    buf_fini(&a.direct);
    return n;
}

static uint64_t hits(const struct fixture *f)
{
    struct frame_cache_stats st;

    frame_cache_stats(f->w.frames, &st);
    return st.hits;
}

static void any_selector_gives_what_the_catalog_gives(void **state)
{
    struct fixture f = set_up(0);
    struct arena *a = arena_new(NULL, 0);
    struct idset some;
    uint64_t rng = 3;
    size_t found = 0;
    struct err err;

    (void)state;
    add(&f, 300, FEW_STREAMS);
    assert_int_equal(idset_init(&some, FEW_STREAMS, false, a, &err), 0);
    for (size_t i = 0; i < FEW_STREAMS; i += 3)
        idset_add(&some, i);
    for (unsigned round = 0; round < 100; round++) {
        struct matcher m[2];
        struct catalog_selector sel = {m, records_random(&rng) % 3,
                                       records_random(&rng) % 2 == 0 ? &some : NULL};
        for (size_t i = 0; i < sel.n_matchers; i++)
            ask_matcher(&m[i], &rng);
        found += check(&f, &sel);
        for (size_t i = 0; i < sel.n_matchers; i++)
            matcher_fini(&m[i]);
    }
    assert_true(found > 100);
    assert_true(hits(&f) >= 99);
    arena_free(&a);
    tear_down(&f);
}

static void new_streams_are_seen_and_known_ones_stay(void **state)
{
    static const struct catalog_selector all = {.n_matchers = 0};
    struct fixture f = set_up(0);
    size_t before;
    uint64_t hits_before;

    (void)state;
    add(&f, 300, FEW_STREAMS / 2);
    before = check(&f, &all);
    add(&f, 300, FEW_STREAMS);
    assert_true(check(&f, &all) > before);
    hits_before = hits(&f);
    add(&f, 10, FEW_STREAMS / 2);
    (void)check(&f, &all); /* a new segment, no new stream */
    assert_int_equal(hits(&f), hits_before + 1);
    tear_down(&f);
}

static void too_many_are_not_kept(void **state)
{
    static const struct catalog_selector all = {.n_matchers = 0};
    struct frame_cache_stats st;
    struct fixture f = set_up(0);

    (void)state;
    add(&f, RECORDS, MANY_STREAMS);
    assert_true(check(&f, &all) > 4096);
    assert_true(check(&f, &all) > 4096);
    frame_cache_stats(f.w.frames, &st);
    assert_int_equal(st.entries, 1); /* that they are too many */
    assert_in_range(st.bytes, 1, 1000);
    assert_int_equal(st.hits, 1);
    tear_down(&f);
}

static void what_does_not_fit_is_not_kept(void **state)
{
    static const struct catalog_selector all = {.n_matchers = 0};
    struct frame_cache_stats st;
    struct fixture f = set_up(16 << 10); /* an eighth of it for one */

    (void)state;
    add(&f, 300, FEW_STREAMS);
    assert_int_equal(check(&f, &all), FEW_STREAMS);
    assert_int_equal(check(&f, &all), FEW_STREAMS);
    frame_cache_stats(f.w.frames, &st);
    assert_int_equal(st.entries, 1); /* that they are too many */
    assert_int_equal(st.hits, 1);
    tear_down(&f);
}

static void tenants_and_days_have_their_own(void **state)
{
    static const struct catalog_selector all = {.n_matchers = 0};
    struct fixture f = set_up(0);
    struct partition *mine = f.p;
    struct partition *other[2] = {NULL, NULL};
    struct err err;

    (void)state;
    add(&f, 300, FEW_STREAMS);
    assert_int_equal(partition_cache_get(f.w.cache, 2, DAY, true, &other[0], &err), 0);
    assert_int_equal(partition_cache_get(f.w.cache, 1, DAY + 1, true, &other[1], &err), 0);
    for (size_t i = 0; i < 2; i++) {
        f.p = mine;
        assert_int_equal(check(&f, &all), FEW_STREAMS);
        for (size_t k = 0; k < 2; k++) {
            f.p = other[k];
            assert_int_equal(check(&f, &all), 0);
        }
    }
    partition_unref(&other[0]);
    partition_unref(&other[1]);
    f.p = mine;
    tear_down(&f);
}

CHECK_MAIN(cmocka_unit_test(any_selector_gives_what_the_catalog_gives),
           cmocka_unit_test(new_streams_are_seen_and_known_ones_stay),
           cmocka_unit_test(too_many_are_not_kept), cmocka_unit_test(what_does_not_fit_is_not_kept),
           cmocka_unit_test(tenants_and_days_have_their_own))
