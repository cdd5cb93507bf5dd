/* storage/clock_guard.c, store_clock.c: a clock that runs ahead deletes nothing. */
#include "storage/clock_guard.h"

#include "tests/lib/feed.h"

static dur_ns boot;

static dur_ns fake_boot(void)
{
    return boot;
}

/* 2026-01-10, an hour after the boot. */
static void guard_init(struct clock_guard *g)
{
    boot = NS_PER_H;
    time_set(FEED_DAY);
    clock_guard_init(g, NS_PER_H, NS_PER_DAY, NULL);
    g->boot_clock = fake_boot;
    g->trusted = g->anchor = FEED_DAY - boot;
    g->anchor_at = boot;
}

static void pass(dur_ns span)
{
    boot += span;
    time_set(time_now() + span);
}

static void a_small_step_is_believed_and_a_large_one_is_not(void **state)
{
    struct clock_guard g;
    bool suspect;
    (void)state;

    guard_init(&g);
    time_set(FEED_DAY + 59 * NS_PER_MIN);
    assert_true(clock_guard_now(&g, &suspect) == FEED_DAY + 59 * NS_PER_MIN);
    assert_false(suspect);
    time_set(FEED_DAY + 90 * NS_PER_DAY);
    assert_true(clock_guard_now(&g, &suspect) == FEED_DAY + 59 * NS_PER_MIN);
    assert_true(suspect);
    pass(NS_PER_MIN); /* time goes on as before */
    assert_true(clock_guard_now(&g, &suspect) == FEED_DAY + NS_PER_H);
    assert_true(clock_guard_ahead(&g) > 89 * NS_PER_DAY);
    time_set(FEED_DAY + NS_PER_H); /* and is back */
    assert_true(clock_guard_now(&g, &suspect) == FEED_DAY + NS_PER_H);
    assert_false(suspect);
    assert_true(clock_guard_ahead(&g) == 0);
    clock_guard_fini(&g);
    time_unset();
}

static void a_clock_that_stays_ahead_is_believed_in_the_end(void **state)
{
    struct clock_guard g;
    bool suspect;
    (void)state;

    guard_init(&g);
    time_set(FEED_DAY + 90 * NS_PER_DAY);
    (void)clock_guard_now(&g, NULL);
    pass(23 * NS_PER_H);
    (void)clock_guard_now(&g, &suspect);
    assert_true(suspect);
    time_set(time_now() + 90 * NS_PER_DAY); /* another jump: the waiting begins anew */
    (void)clock_guard_now(&g, NULL);
    pass(23 * NS_PER_H);
    (void)clock_guard_now(&g, &suspect);
    assert_true(suspect);
    pass(2 * NS_PER_H);
    assert_true(clock_guard_now(&g, &suspect) == time_now());
    assert_false(suspect);
    clock_guard_fini(&g);
    time_unset();
}

static void many_small_steps_are_no_way_around(void **state)
{
    struct clock_guard g;
    (void)state;

    guard_init(&g);
    for (int i = 0; i < 100; i++) {
        time_set(time_now() + 30 * NS_PER_MIN);
        (void)clock_guard_now(&g, NULL);
    }
    assert_true(clock_guard_now(&g, NULL) <= FEED_DAY + NS_PER_H);
    clock_guard_fini(&g);
    time_unset();
}

static void the_next_process_of_the_same_boot_goes_on_with_it(void **state)
{
    struct clock_guard g;
    struct clock_guard_state left;
    (void)state;

    time_unset();
    clock_guard_init(&g, NS_PER_H, NS_PER_DAY, NULL);
    clock_guard_state(&g, &left);
    clock_guard_fini(&g);
    time_set(time_now() + 90 * NS_PER_DAY);
    clock_guard_init(&g, NS_PER_H, NS_PER_DAY, &left);
    assert_true(clock_guard_now(&g, NULL) < time_now() - 89 * NS_PER_DAY);
    clock_guard_fini(&g);
    left.boot[0] ^= 1; /* after a boot nobody knows */
    clock_guard_init(&g, NS_PER_H, NS_PER_DAY, &left);
    assert_true(clock_guard_now(&g, NULL) == time_now());
    clock_guard_fini(&g);
    time_unset();
}

static _Atomic unsigned told;

static void on_notice(void *arg, const char *event, const char *text)
{
    (void)arg;
    (void)text;
    if (strcmp(event, "clock.jumped") == 0)
        told++;
}

static void a_store_whose_clock_jumps_drops_no_day_and_stamps_no_future(void **state)
{
    struct feed f;
    struct store_stats st;
    ts_ns real;
    char text[64];
    (void)state;

    feed_init(&f);
    f.opt.clock_jump = NS_PER_H;
    f.opt.retention = 7 * NS_PER_DAY;
    f.opt.notice = on_notice;
    feed_open(&f);
    real = time_now();
    (void)snprintf(text, sizeof(text), "R %lld a one\n", (long long)real);
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    store_close(&f.s);
    time_set(real + 90 * NS_PER_DAY);
    feed_open(&f); /* the flush thread retires first of all */
    while (told == 0)
        ; /* a hang is the test's TIMEOUT */
    assert_true(store_receive_time(f.s) < real + NS_PER_H);
    store_stats(f.s, &st);
    assert_int_equal(st.partitions, 1);
    assert_int_equal(st.partitions_dropped, 0);
    assert_true(st.clock_ahead_seconds > 89 * 86400);
    feed_check(&f, "t", "one\n");
    time_unset();
    feed_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_step_is_believed_and_a_large_one_is_not),
        cmocka_unit_test(a_clock_that_stays_ahead_is_believed_in_the_end),
        cmocka_unit_test(many_small_steps_are_no_way_around),
        cmocka_unit_test(the_next_process_of_the_same_boot_goes_on_with_it),
        cmocka_unit_test(a_store_whose_clock_jumps_drops_no_day_and_stamps_no_future),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
