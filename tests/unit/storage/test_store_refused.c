/* storage/store_decide.c: chunks of which some parts are refused. */
#include "storage/store.h"

#include "tests/lib/feed.h"

/* Of a chunk whose sender refuses some parts. */
static enum store_outcome put_but(struct feed *f, const char *text, bool *refused)
{
    struct feed_chunk *c = feed_prepare(f, "t", "peer", text, "");

    c->a.refused = refused;
    store_append(f->s, &c->a);
    return feed_answer(c, NULL);
}

static void a_refused_part_leaves_nothing_and_the_others_are_stored(void **state)
{
    static const char CHUNK[] = "P f 0 10 1\nR 1 a one\nP g 0 10 2\nR 2 b two\nR 3 b three\n"
                                "P h 0 10 1\nR 4 a four\n";
    bool refused[3] = {false, true, false};
    struct feed f;
    struct store_range r[4];
    struct store_stats st;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(put_but(&f, CHUNK, refused), STORE_STORED);
    for (unsigned i = 0; i < 2; i++) { /* and after a replay */
        feed_check(&f, "t", "one\nfour\n");
        assert_int_equal(store_ranges(f.s, STR("peer"), STR("g"), r, 4), 0);
        assert_false(store_has_range(f.s, STR("peer"), STR("g"), 0, 10));
        assert_true(store_has_range(f.s, STR("peer"), STR("h"), 2, 10));
        assert_false(store_has_range(f.s, STR("peer"), STR("h"), 2, 11));
        assert_int_equal(put_but(&f, CHUNK, refused), STORE_DUPLICATE);
        assert_true(!refused[0] && refused[1] && !refused[2]);
        store_stats(f.s, &st);
        assert_int_equal(st.refused_parts, i == 0 ? 2 : 1);
        assert_int_equal(st.duplicate_parts, 2);
        feed_reopen(&f);
    }
    assert_int_equal(feed_put(&f, "t", CHUNK), STORE_STORED); /* now it may be */
    feed_check(&f, "t", "one\ntwo\nthree\nfour\n");
    feed_fini(&f);
}

/* A file that the store cannot remember refuses its own part, if the sender can be told so. */
static void a_file_with_too_many_ranges_refuses_its_part_alone(void **state)
{
    bool refused[2] = {false, false};
    struct feed f;
    struct buf b;
    struct err err;
    struct feed_chunk *c;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < 4096; i++)
        buf_addf(&b, "P f %u %u 0\n", 2 * i, 2 * i + 1);
    buf_add_char(&b, '\0');
    assert_int_equal(feed_put(&f, "t", b.p), STORE_STORED);
    c = feed_prepare(&f, "t", "peer", "P f 9000 9001 1\nR 1 a one\nP g 0 9 1\nR 2 a two\n", "");
    c->a.refused = refused;
    store_append(f.s, &c->a);
    assert_int_equal(feed_answer(c, &err), STORE_STORED);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(refused[0] && !refused[1]);
    feed_check(&f, "t", "two\n");
    buf_fini(&b);
    feed_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(a_refused_part_leaves_nothing_and_the_others_are_stored),
           cmocka_unit_test(a_file_with_too_many_ranges_refuses_its_part_alone))
