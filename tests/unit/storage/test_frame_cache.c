/* storage/frame_cache.c: a byte budget that holds, counted values, and nothing left of what was
 * dropped. */
#include "storage/frame_cache.h"

#include "tests/lib/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic unsigned freed;

static void count_free(void *value)
{
    atomic_fetch_add(&freed, 1);
    free(value);
}

static struct frame_key key_of(uint32_t i)
{
    struct frame_key key = {.block = i, .kind = FRAME_BYTES, .index = (uint16_t)(i % 7)};

    memset(key.id, (int)(i % 5), sizeof(key.id));
    return key;
}

static struct frame *put(struct frame_cache *c, uint32_t i, int32_t day, size_t bytes)
{
    struct frame_key key = key_of(i);
    struct frame_owner owner = {1, day};
    uint32_t *v = malloc(sizeof(*v));

    *v = i;
    return frame_cache_put(c, &key, &owner, v, bytes, count_free);
}

static void put_away(struct frame_cache *c, uint32_t i, int32_t day, size_t bytes)
{
    struct frame *f = put(c, i, day, bytes);

    assert_int_equal(*(const uint32_t *)frame_value(f), i);
    frame_unref(&f);
}

static bool has(struct frame_cache *c, uint32_t i)
{
    struct frame_key key = key_of(i);
    struct frame *f = frame_cache_get(c, &key);

    if (f == NULL)
        return false;
    assert_int_equal(*(const uint32_t *)frame_value(f), i);
    frame_unref(&f);
    return true;
}

static void bytes_stay_within_the_maximum(void **state)
{
    enum { MAX = 64 << 10, N = 2000 };
    struct mem_budget budget = {.name = "test"};
    struct frame_cache *c = frame_cache_new(MAX, &budget);
    struct frame_cache_stats st;
    unsigned before = atomic_load(&freed);
    unsigned found = 0;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        put_away(c, i, 1, 100 + i % 300);
        frame_cache_stats(c, &st);
        assert_true(st.bytes <= MAX);
        assert_int_equal(atomic_load(&budget.used), st.bytes);
    }
    put_away(c, N, 1, MAX); /* never fits a shard */
    assert_false(has(c, N));
    frame_cache_stats(c, &st);
    assert_true(st.entries > 50 && st.evictions == N - st.entries);
    for (uint32_t i = 0; i < N; i++)
        found += has(c, i);
    assert_int_equal(found, st.entries);
    frame_cache_free(&c);
    assert_int_equal(atomic_load(&freed) - before, N + 1);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void a_round_over_more_than_fits_still_finds_a_share(void **state)
{
    enum { MAX = 256 << 10, N = 600, BYTES = 800 }; /* about half fits */
    struct frame_cache *c = frame_cache_new(MAX, NULL);
    struct frame_cache_stats st;

    (void)state;
    for (int round = 0; round < 20; round++)
        for (uint32_t i = 0; i < N; i++)
            if (!has(c, i))
                put_away(c, i, 1, BYTES);
    frame_cache_stats(c, &st);
    assert_true(st.hits > 20 * N / 10);
    frame_cache_free(&c);
}

static void a_held_frame_outlives_its_entry(void **state)
{
    struct frame_cache *c = frame_cache_new(1 << 20, NULL);
    struct frame *held = put(c, 3, 5, 100);
    unsigned before = atomic_load(&freed);

    (void)state;
    frame_cache_drop(c, &(struct frame_owner){1, 5});
    assert_false(has(c, 3));
    assert_int_equal(atomic_load(&freed), before);
    assert_int_equal(*(const uint32_t *)frame_value(held), 3);
    frame_unref(&held);
    assert_int_equal(atomic_load(&freed), before + 1);
    frame_cache_free(&c);
}

static void nothing_of_a_dropped_partition_is_left(void **state)
{
    struct frame_cache *c = frame_cache_new(1 << 20, NULL);

    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        put_away(c, i, (int32_t)(i % 2), 50);
    frame_cache_drop(c, &(struct frame_owner){1, 1});
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(has(c, i), i % 2 == 0);
    frame_cache_free(&c);
}

static void a_key_that_is_put_again_has_one_entry(void **state)
{
    struct frame_cache *c = frame_cache_new(1 << 20, NULL);
    struct frame_cache_stats st;

    (void)state;
    put_away(c, 9, 1, 50);
    put_away(c, 9, 1, 70);
    assert_true(has(c, 9));
    frame_cache_stats(c, &st);
    assert_int_equal(st.entries, 1);
    frame_cache_free(&c);
}

static void no_cache_keeps_nothing(void **state)
{
    struct frame *f = put(NULL, 1, 1, 10);

    (void)state;
    assert_int_equal(*(const uint32_t *)frame_value(f), 1);
    frame_unref(&f);
    assert_false(has(NULL, 1));
}

/* ---- threads ---- */

static void *use(void *arg)
{
    struct frame_cache *c = arg;

    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t k = i * 7919u % 500;
        if (!has(c, k))
            put_away(c, k, (int32_t)(k % 3), 200);
        if (i % 500 == 0)
            frame_cache_drop(c, &(struct frame_owner){1, (int32_t)(i / 500 % 3)});
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct frame_cache *c = frame_cache_new(64 << 10, NULL);
    pthread_t t[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, use, c), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    frame_cache_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_within_the_maximum),
        cmocka_unit_test(a_round_over_more_than_fits_still_finds_a_share),
        cmocka_unit_test(a_held_frame_outlives_its_entry),
        cmocka_unit_test(nothing_of_a_dropped_partition_is_left),
        cmocka_unit_test(a_key_that_is_put_again_has_one_entry),
        cmocka_unit_test(no_cache_keeps_nothing),
        cmocka_unit_test(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
