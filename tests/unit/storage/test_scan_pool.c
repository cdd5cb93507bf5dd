/* storage/scan_pool.c: every job once, slots that nobody shares, the first failure told, and scans
 * that move side by side. */
#include "storage/scan_pool.h"

#include "tests/lib/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 1000 };

struct work {
    _Atomic unsigned done[JOBS];
    _Atomic unsigned in_slot[SCAN_POOL_SLOTS];
    atomic_bool shared;
    _Atomic size_t begun;
    size_t fail_from; /* jobs from here fail; 0: none */
};

static int job(void *arg, size_t i, unsigned slot, struct err *err)
{
    struct work *w = arg;

    if (slot >= SCAN_POOL_SLOTS || atomic_fetch_add(&w->in_slot[slot], 1) != 0)
        atomic_store(&w->shared, true);
    atomic_fetch_add(&w->begun, 1);
    atomic_fetch_add(&w->done[i], 1);
    (void)atomic_fetch_sub(&w->in_slot[slot], 1);
    if (w->fail_from != 0 && i >= w->fail_from)
        return err_set(err, ERR_CORRUPT, "job %zu", i);
    return 0;
}

static struct scan_pool *make(unsigned threads)
{
    struct scan_pool *p = NULL;
    struct err err;

    if (scan_pool_new(threads, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

static void check_all(struct scan_pool *p)
{
    static struct work w;
    struct err err;

    memset(&w, 0, sizeof(w));
    assert_int_equal(scan_pool_run(p, JOBS, job, &w, &err), 0);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&w.done[i]), 1);
    assert_false(atomic_load(&w.shared));
}

static void every_job_is_done_once(void **state)
{
    struct scan_pool *p = make(3);

    (void)state;
    assert_int_equal(scan_pool_slots(p), 4);
    for (int i = 0; i < 50; i++)
        check_all(p);
    scan_pool_free(&p);
    check_all(NULL);
}

static void the_first_failure_is_told_and_no_job_begins_after_it(void **state)
{
    static struct work w;
    struct scan_pool *p = make(3);
    struct err err;

    (void)state;
    for (int i = 0; i < 50; i++) {
        memset(&w, 0, sizeof(w));
        w.fail_from = 100;
        assert_int_equal(scan_pool_run(p, JOBS, job, &w, &err), ERR_CORRUPT);
        assert_string_equal(err.text, "job 100");
        assert_true(atomic_load(&w.begun) <= 100 + SCAN_POOL_SLOTS);
    }
    scan_pool_free(&p);
}

static void *run_many(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct work *w = calloc(1, sizeof(*w));
        struct err err;
        if (scan_pool_run(arg, JOBS, job, w, &err) != 0 || atomic_load(&w->shared))
            return w;
        free(w);
    }
    return NULL;
}

static void scans_share_the_helpers(void **state)
{
    struct scan_pool *p = make(2);
    pthread_t t[3];
    void *bad;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_many, p), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
    scan_pool_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_is_done_once),
        cmocka_unit_test(the_first_failure_is_told_and_no_job_begins_after_it),
        cmocka_unit_test(scans_share_the_helpers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
