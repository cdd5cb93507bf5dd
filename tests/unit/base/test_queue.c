/* base/queue.c: between threads nothing is lost, doubled or reordered. */
#include "base/queue.h"

#include "tests/lib/check.h"

#include <pthread.h>

enum { THREADS = 3, ITEMS = 3000 };

struct producer {
    struct queue *q;
    unsigned char *items; /* item i of a producer is its address plus i */
};

static void *produce(void *arg)
{
    struct producer *p = arg;

    for (size_t i = 0; i < ITEMS; i++)
        if (!queue_push(p->q, p->items + i, -1))
            return p;
    return NULL;
}

struct consumer {
    struct queue *q;
    unsigned char *bases[THREADS];
    unsigned char seen[THREADS][ITEMS];
    unsigned out_of_order;
};

static void *consume(void *arg)
{
    struct consumer *c = arg;
    size_t last[THREADS] = {0};
    unsigned char *item;

    while ((item = queue_pop(c->q, -1)) != NULL)
        for (size_t t = 0; t < THREADS; t++)
            if (item >= c->bases[t] && item < c->bases[t] + ITEMS) {
                size_t i = (size_t)(item - c->bases[t]);
                c->seen[t][i]++;
                c->out_of_order += i < last[t];
                last[t] = i;
            }
    return NULL;
}

static void every_item_arrives_once_and_in_order(void **state)
{
    static unsigned char items[THREADS][ITEMS];
    static struct consumer consumers[2];
    struct producer producers[THREADS];
    struct queue *q = queue_new(7);
    pthread_t in[THREADS];
    pthread_t out[2];
    void *failed;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        consumers[i].q = q;
        for (size_t t = 0; t < THREADS; t++)
            consumers[i].bases[t] = items[t];
        assert_int_equal(pthread_create(&out[i], NULL, consume, &consumers[i]), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        producers[t] = (struct producer){q, items[t]};
        assert_int_equal(pthread_create(&in[t], NULL, produce, &producers[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(in[t], &failed), 0);
        assert_null(failed);
    }
    queue_close(q);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(out[i], NULL), 0);
    for (size_t t = 0; t < THREADS; t++)
        for (size_t i = 0; i < ITEMS; i++)
            assert_int_equal(consumers[0].seen[t][i] + consumers[1].seen[t][i], 1);
    assert_int_equal(consumers[0].out_of_order + consumers[1].out_of_order, 0);
    queue_free(&q);
    assert_null(q);
}

static void full_and_empty_end_in_time(void **state)
{
    struct queue *q = queue_new(1);
    int a;
    dur_ns start;

    (void)state;
    assert_null(queue_pop(q, 0));
    start = time_mono();
    assert_null(queue_pop(q, 5 * NS_PER_MS));
    assert_true(time_mono() - start >= 5 * NS_PER_MS);
    assert_true(queue_push(q, &a, 0));
    assert_false(queue_push(q, &a, 0));
    assert_false(queue_push(q, &a, NS_PER_MS));
    assert_int_equal(queue_count(q), 1);
    assert_ptr_equal(queue_pop(q, INT64_MAX), &a);
    queue_free(&q);
}

static void closed_drains_and_refuses(void **state)
{
    struct queue *q = queue_new(4);
    int a;
    int b;

    (void)state;
    assert_true(queue_push(q, &a, -1));
    assert_true(queue_push(q, &b, -1));
    queue_close(q);
    assert_false(queue_push(q, &a, -1));
    assert_ptr_equal(queue_pop(q, -1), &a);
    assert_ptr_equal(queue_pop(q, -1), &b);
    assert_null(queue_pop(q, -1));
    queue_free(&q);
}

struct waiter {
    struct queue *q;
    int item;
    bool pushed;
};

static void *push_one(void *arg)
{
    struct waiter *w = arg;

    w->pushed = queue_push(w->q, &w->item, -1);
    return NULL;
}

static void closing_wakes_who_waits_for_room(void **state)
{
    struct queue *q = queue_new(1);
    struct waiter w = {.q = q, .pushed = true};
    pthread_t t;
    int a;

    (void)state;
    assert_true(queue_push(q, &a, 0));
    assert_int_equal(pthread_create(&t, NULL, push_one, &w), 0);
    queue_close(q); /* before or while it waits: both must end */
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_false(w.pushed);
    assert_ptr_equal(queue_pop(q, 0), &a);
    queue_free(&q);
}

CHECK_MAIN(cmocka_unit_test(every_item_arrives_once_and_in_order),
           cmocka_unit_test(full_and_empty_end_in_time),
           cmocka_unit_test(closed_drains_and_refuses),
           cmocka_unit_test(closing_wakes_who_waits_for_room))
