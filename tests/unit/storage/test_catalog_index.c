/* storage/catalog_index.c, catalog_streams.c, catalog_run.c, catalog_sweep.c, idset.c: selectors
 * and listings give what looking at every stream gives, however the streams came in. */
#include "storage/catalog_index.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "storage/postings.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 20261121 };

struct fixture {
    int dir;
    char path[TMPDIR_PATH_MAX], db[TMPDIR_PATH_MAX + 16];
    struct catalog *c;
    struct arena *arena;
    VEC(struct labels) all; /* of id i + 1 */
    uint64_t wal;
};

static const uint8_t KEY[CRYPT_KEY] = {7};

static void reopen(struct fixture *f)
{
    struct err err;

    catalog_close(&f->c);
    if (catalog_open(f->db, 1, DAY, KEY, &f->c, &err) < 0)
        fail_msg("%s", err.text);
}

static struct fixture *set_up(void)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->dir = tmpdir_open(f->path);
    (void)snprintf(f->db, sizeof(f->db), "%s/catalog.db", f->path);
    f->arena = arena_new(NULL, 0);
    reopen(f);
    return f;
}

static void tear_down(struct fixture *f)
{
    catalog_close(&f->c);
    VEC_FINI(&f->all);
    arena_free(&f->arena);
    tmpdir_close(f->dir);
    free(f);
}

/* A stream's labels, a function of its number: few values, many values, and one that is missing. */
static struct labels labels_of(struct fixture *f, size_t i)
{
    struct label v[4];
    size_t n = 0;
    struct labels l;
    struct err err;

    v[n++] = (struct label){STR("app"), arena_printf(f->arena, "app-%zu", i % 7)};
    v[n++] = (struct label){STR("pod"), arena_printf(f->arena, "pod-%zu", i * 7919 % 100003)};
    if (i % 3 == 0)
        v[n++] = (struct label){STR("zone"), arena_printf(f->arena, "%zu", i % 2)};
    v[n++] = (struct label){STR("job"), STR("same")};
    n = labels_sort(v, n);
    if (labels_copy(f->arena, &(struct labels){v, n}, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

/* One segment with the streams [from, to), known or new. */
static void insert(struct fixture *f, size_t from, size_t to)
{
    struct segment_info info = {.rows = 1, .n_streams = (uint32_t)(to - from)};
    struct segment_info *infos[1] = {&info};
    uint64_t seed = ++f->wal;
    struct err err;

    for (size_t i = 0; i < sizeof(info.uuid); i++)
        info.uuid[i] = (uint8_t)records_random(&seed);
    info.wal_from = f->wal - 1;
    info.wal_to = f->wal;
    info.class = SEGMENT_ORDINARY;
    info.streams = mem_new((to - from) * sizeof(*info.streams) + 1);
    for (size_t i = from; i < to; i++) {
        while (f->all.n <= i) {
            struct labels l = labels_of(f, f->all.n);
            VEC_PUSH(&f->all, l);
        }
        info.streams[i - from].labels = f->all.p[i];
    }
    if (catalog_insert(f->c, infos, 1, f->wal, &err) < 0)
        fail_msg("%s", err.text);
    free(info.streams);
}

struct got {
    struct fixture *f;
    size_t n, wrong;
    uint64_t sum;
};

static int count_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct got *g = arg;

    (void)err;
    g->n++;
    g->sum += id;
    if (id == 0 || id > g->f->all.n || !labels_equal(l, &g->f->all.p[id - 1]))
        g->wrong++;
    return 0;
}

/* A selector in one string: "name op value", several separated by blanks. */
struct question {
    struct matcher m[4];
    size_t n;
};

static void add_matcher(struct question *q, enum match_op op, const char *name, const char *value)
{
    struct err err;

    if (matcher_init(&q->m[q->n++], op, str_of(name), str_of(value), &err) < 0)
        fail_msg("%s", err.text);
}

static void end_question(struct question *q)
{
    while (q->n > 0)
        matcher_fini(&q->m[--q->n]);
}

static void check_select(struct fixture *f, const struct question *q)
{
    struct catalog_selector sel = {.matchers = q->m, .n_matchers = q->n};
    struct got g = {.f = f}, want = {.f = f};
    struct err err;

    for (size_t i = 0; i < f->all.n; i++)
        if (matchers_match(q->m, q->n, &f->all.p[i])) {
            want.n++;
            want.sum += i + 1;
        }
    if (catalog_select(f->c, &sel, count_stream, &g, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(g.wrong, 0);
    if (g.n != want.n || g.sum != want.sum)
        fail_msg("%.*s op %d: %zu streams, not %zu", STR_ARG(q->m[0].name), (int)q->m[0].op, g.n,
                 want.n);
}

static void check_questions(struct fixture *f)
{
    static const struct {
        enum match_op op;
        const char *name, *value;
    } ONE[] = {
        {MATCH_EQ, "job", "same"},     {MATCH_EQ, "app", "app-3"},    {MATCH_EQ, "pod", "pod-7919"},
        {MATCH_EQ, "pod", "pod-none"}, {MATCH_EQ, "zone", ""},        {MATCH_EQ, "zone", "1"},
        {MATCH_NE, "zone", ""},        {MATCH_NE, "zone", "1"},       {MATCH_NE, "app", "app-0"},
        {MATCH_RE, "pod", "pod-.*19"}, {MATCH_RE, "zone", "0|"},      {MATCH_RE, "absent", ".*"},
        {MATCH_RE, "absent", ".+"},    {MATCH_NRE, "pod", "pod-1.*"}, {MATCH_NRE, "zone", ".+"},
        {MATCH_NRE, "zone", "0|"},     {MATCH_EQ, "ap", "app-3"},     {MATCH_EQ, "job", "sam"},
        {MATCH_NE, "absent", "x"},     {MATCH_RE, "app", "app-[12]"},
    };
    enum { N = sizeof(ONE) / sizeof(ONE[0]) };

    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) {
            struct question q = {.n = 0};
            add_matcher(&q, ONE[i].op, ONE[i].name, ONE[i].value);
            if (k != i)
                add_matcher(&q, ONE[k].op, ONE[k].name, ONE[k].value);
            check_select(f, &q);
            end_question(&q);
        }
}

static void selectors_find_what_looking_at_all_finds(void **state)
{
    struct fixture *f = set_up();
    (void)state;

    check_questions(f); /* of nothing */
    insert(f, 0, 1);
    insert(f, 0, 5);
    check_questions(f);
    for (size_t n = 5; n < 400; n += 13) /* many small ones */
        insert(f, n - 2, n + 13);
    check_questions(f);
    insert(f, 100, 6000);
    check_questions(f);
    reopen(f);
    check_questions(f);
    tear_down(f);
}

struct texts {
    struct buf out;
    size_t n;
};

static int note_text(void *arg, struct str text, struct err *err)
{
    struct texts *t = arg;

    (void)err;
    t->n++;
    if (t->out.n < 4096) {
        buf_add_str(&t->out, text);
        buf_add_char(&t->out, ' ');
    }
    return 0;
}

static void check_labels(struct fixture *f, const struct catalog_selector *sel, const char *name,
                         const char *want, size_t n)
{
    struct texts t = {.n = 0};
    struct err err;

    buf_init(&t.out, 1 << 16);
    if (catalog_labels(f->c, sel, str_of(name), note_text, &t, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(t.n, n);
    if (want != NULL)
        check_str(buf_str(&t.out), want);
    buf_fini(&t.out);
}

static void labels_are_listed_as_far_as_the_selector_goes(void **state)
{
    struct fixture *f = set_up();
    struct catalog_selector sel = {.n_matchers = 0};
    struct question q = {.n = 0};
    struct idset within;
    struct err err;
    (void)state;

    check_labels(f, &sel, "", "", 0);
    insert(f, 0, 1);
    insert(f, 1, 2);
    check_labels(f, &sel, "", "app job pod zone ", 4);
    check_labels(f, &sel, "zone", "0 ", 1);
    for (size_t n = 2; n < 5000; n += 613)
        insert(f, n, n + 613);
    check_labels(f, &sel, "app", "app-0 app-1 app-2 app-3 app-4 app-5 app-6 ", 7);
    check_labels(f, &sel, "pod", NULL, f->all.n);
    check_labels(f, &sel, "po", "", 0);
    assert_int_equal(idset_init(&within, 10000, false, f->arena, &err), 0);
    idset_add(&within, 2); /* stream 1: no zone */
    sel.within = &within;
    check_labels(f, &sel, "", "app job pod ", 3);
    check_labels(f, &sel, "app", "app-1 ", 1);
    idset_add(&within, 5);
    add_matcher(&q, MATCH_RE, "app", "app-[^1]");
    sel.matchers = q.m;
    sel.n_matchers = q.n;
    check_labels(f, &sel, "app", "app-4 ", 1);
    end_question(&q);
    tear_down(f);
}

/* What was read of streams stays true until one comes or goes, however many segments do. */
static void the_state_of_streams_changes_with_them(void **state)
{
    struct fixture *f = set_up();
    uint64_t generation, known;
    (void)state;

    insert(f, 0, 10);
    known = catalog_streams_state(f->c);
    generation = catalog_generation(f->c);
    insert(f, 2, 8);
    assert_true(catalog_generation(f->c) != generation);
    assert_true(catalog_streams_state(f->c) == known);
    insert(f, 8, 11);
    assert_true(catalog_streams_state(f->c) != known);
    known = catalog_streams_state(f->c);
    reopen(f);
    assert_true(catalog_streams_state(f->c) != known);
    tear_down(f);
}

static int take_first(void *arg, const struct catalog_row *row, struct err *err)
{
    (void)err;
    memcpy(arg, row->uuid, SEGMENT_UUID);
    return 1;
}

/* Segments that hold a few of the streams take the others with them. */
static void a_sweep_forgets_streams_without_a_segment(void **state)
{
    struct fixture *f = set_up();
    struct catalog_selector none = {.n_matchers = 0};
    struct question q = {.n = 0};
    struct got g = {.f = f};
    uint8_t uuid[SEGMENT_UUID];
    uint64_t known;
    size_t gone = 0;
    struct err err;
    (void)state;

    insert(f, 0, 3000);
    insert(f, 1000, 1010);
    insert(f, 2990, 3010);
    assert_int_equal(catalog_streams_sweep(f->c, &gone, &err), 0);
    assert_int_equal(gone, 0);
    assert_int_equal(catalog_rows(f->c, take_first, uuid, &err), 1);
    assert_int_equal(catalog_replace(f->c, uuid, 1, NULL, &err), 0);
    known = catalog_streams_state(f->c);
    if (catalog_streams_sweep(f->c, &gone, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(catalog_streams_state(f->c) != known);
    assert_int_equal(gone, 3010 - 30);
    reopen(f);
    assert_int_equal(catalog_streams(f->c, count_stream, &g, &err), 0);
    assert_int_equal(g.n, 30);
    assert_int_equal(g.wrong, 0);
    check_labels(f, &none, "pod", NULL, 30);
    add_matcher(&q, MATCH_EQ, "job", "same");
    g = (struct got){.f = f};
    assert_int_equal(catalog_select(f->c,
                                    &(struct catalog_selector){.matchers = q.m, .n_matchers = 1},
                                    count_stream, &g, &err),
                     0);
    assert_int_equal(g.n, 30);
    end_question(&q);
    /* One that went comes back under a new id. */
    insert(f, 0, 1);
    g = (struct got){.f = f};
    assert_int_equal(catalog_streams(f->c, count_stream, &g, &err), 0);
    assert_int_equal(g.n, 31);
    tear_down(f);
}

static void no_label_lies_in_clear(void **state)
{
    struct fixture *f = set_up();
    char command[TMPDIR_PATH_MAX + 64];
    (void)state;

    insert(f, 0, 2);
    insert(f, 2, 900);
    catalog_close(&f->c);
    (void)snprintf(command, sizeof(command), "grep -rqa -e pod- -e app- -e zone '%s'", f->path);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_not_equal(system(command), 0);
    tear_down(f);
}

static void postings_are_intervals_and_refuse_garbage(void **state)
{
    struct postings_writer w = {.next = 0};
    struct postings_reader r;
    uint32_t from, to;
    bool ok = true;
    struct buf b;
    uint64_t seed = 5;
    (void)state;

    buf_init(&b, 1 << 10);
    w.out = &b;
    postings_add(&w, 1, 2);
    postings_add(&w, 2, 4);
    postings_add(&w, 9, 10);
    postings_end(&w);
    r.in = buf_str(&b);
    r.next = 0;
    assert_true(postings_next(&r, &from, &to, &ok) && from == 1 && to == 4);
    assert_true(postings_next(&r, &from, &to, &ok) && from == 9 && to == 10);
    assert_false(postings_next(&r, &from, &to, &ok));
    assert_true(ok);
    for (int i = 0; i < 20000; i++) {
        char bytes[12];
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = (char)records_random(&seed);
        r = (struct postings_reader){.in = {bytes, sizeof(bytes)}};
        ok = true;
        while (postings_next(&r, &from, &to, &ok))
            assert_true(from < to && to <= POSTINGS_ID_MAX);
    }
    buf_fini(&b);
}

static void sets_are_sets(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct idset s, t;
    struct err err;
    (void)state;

    assert_int_equal(idset_init(&s, 200, false, a, &err), 0);
    idset_add(&s, 63);
    idset_add(&s, 200); /* outside */
    idset_add_range(&s, 64, 66);
    idset_add_range(&s, 190, 1000);
    assert_int_equal(idset_count(&s), 13);
    assert_int_equal(idset_next(&s, 0), 63);
    assert_int_equal(idset_next(&s, 66), 190);
    assert_int_equal(idset_next(&s, 200), SIZE_MAX);
    assert_true(idset_has_any(&s, 65, 66));
    assert_false(idset_has_any(&s, 66, 190));
    assert_int_equal(idset_init(&t, 200, true, a, &err), 0);
    idset_and_not(&t, &s);
    assert_int_equal(idset_count(&t), 187);
    idset_and(&t, &s);
    assert_int_equal(idset_count(&t), 0);
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(selectors_find_what_looking_at_all_finds),
           cmocka_unit_test(labels_are_listed_as_far_as_the_selector_goes),
           cmocka_unit_test(the_state_of_streams_changes_with_them),
           cmocka_unit_test(a_sweep_forgets_streams_without_a_segment),
           cmocka_unit_test(no_label_lies_in_clear),
           cmocka_unit_test(postings_are_intervals_and_refuse_garbage),
           cmocka_unit_test(sets_are_sets))
