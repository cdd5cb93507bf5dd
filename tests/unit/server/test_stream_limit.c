/* server/stream_limit.c: known streams pass, new ones up to the limit, all or none of a batch. */
#include "server/stream_limit.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1768003200) * NS_PER_S)

/* Offer streams {n="from"} ... {n="to - 1"}. */
static int offer(struct stream_limit *l, const char *tenant, int from, int to, ts_ns now,
                 struct err *err)
{
    struct batch *b = batch_new(NULL, 0);
    int r;

    for (int i = from; i < to; i++) {
        char text[16];
        struct label v[1] = {{STR("n"), STR_NULL}};
        struct labels ls = {v, 1};
        uint32_t index;
        (void)snprintf(text, sizeof(text), "%d", i);
        v[0].value = str_of(text);
        assert_int_equal(batch_stream(b, &ls, &index, err), 0);
    }
    r = stream_limit_admit(l, str_of(tenant), b, now, err);
    batch_unref(&b);
    return r;
}

static void new_streams_are_taken_up_to_the_limit(void **state)
{
    struct stream_limit *l = stream_limit_new(1000);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 990, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 500, 1000, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 999, 1001, NOW, &err), ERR_LIMIT);
    assert_string_equal(err.text,
                        "tenant 't' has 1000 streams today (storage.max_streams), none is "
                        "added: {n=\"1000\"}");
    assert_int_equal(offer(l, "t", 0, 1000, NOW, &err), 0); /* known ones */
    assert_int_equal(offer(l, "u", 0, 1000, NOW, &err), 0); /* another tenant */
    stream_limit_free(&l);
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    struct stream_limit *l = stream_limit_new(10);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 8, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 8, 11, NOW, &err), ERR_LIMIT);
    assert_int_equal(offer(l, "t", 8, 10, NOW, &err), 0); /* nothing of the other was counted */
    stream_limit_free(&l);
}

static void the_next_day_begins_anew(void **state)
{
    struct stream_limit *l = stream_limit_new(3);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 3, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 3, 4, NOW, &err), ERR_LIMIT);
    assert_int_equal(offer(l, "t", 3, 6, NOW + NS_PER_DAY, &err), 0);
    stream_limit_free(&l);
}

static void without_a_limit_everything_is_taken(void **state)
{
    struct stream_limit *l = stream_limit_new(0);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 5000, NOW, &err), 0);
    assert_int_equal(offer(NULL, "t", 0, 5000, NOW, &err), 0);
    stream_limit_free(&l);
}

CHECK_MAIN(cmocka_unit_test(new_streams_are_taken_up_to_the_limit),
           cmocka_unit_test(a_batch_is_taken_whole_or_not_at_all),
           cmocka_unit_test(the_next_day_begins_anew),
           cmocka_unit_test(without_a_limit_everything_is_taken))
