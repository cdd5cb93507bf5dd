/* server/delivery.c: notifications arrive at a real receiver, in order, once, whatever happens. */
#include "server/delivery.h"

#include "server/metrics.h"
#include "tests/lib/feed.h"
#include "tests/lib/hook.h"

struct fixture {
    struct feed f;
    struct hook h;
    struct webhook_target targets[2];
    struct delivery_options opt;
    struct delivery *d;
};

static void fixture_open(struct fixture *x, const int *script)
{
    memset(x, 0, sizeof(*x));
    metrics_setup();
    feed_init(&x->f);
    feed_open(&x->f);
    hook_open(&x->h, script);
    x->targets[0].url = x->h.url;
    x->targets[1].url = "http://127.0.0.1:1/dead";
    x->opt =
        (struct delivery_options){.targets = x->targets, .n_targets = 2, .retry_unit = NS_PER_MS};
}

static void begin(struct fixture *x)
{
    struct err err;

    x->opt.store = x->f.s;
    if (delivery_open(&x->opt, &x->d, &err) < 0)
        fail_msg("%s", err.text);
}

static void fixture_close(struct fixture *x)
{
    delivery_close(&x->d);
    hook_close(&x->h);
    feed_fini(&x->f);
}

static void add(struct fixture *x, size_t target, const char *id, const char *lane)
{
    struct delivery_item item = {
        .target = target, .id = id, .lane = str_of(lane), .body = str_of(id)};
    struct err err;

    if (delivery_add(x->d, &item, &err) < 0)
        fail_msg("%s", err.text);
}

static int count_one(void *arg, struct str key, struct str value)
{
    (void)key;
    (void)value;
    ++*(size_t *)arg;
    return 0;
}

static size_t stored(struct fixture *x)
{
    struct err err;
    size_t n = 0;

    assert_int_equal(store_kv_each(x->f.s, "deliveries", count_one, &n, &err), 0);
    return n;
}

/* The receiver has its answer before we have forgotten the notification. */
static void wait_until_queued(struct fixture *x, size_t n)
{
    dur_ns end = time_mono() + HOOK_WAIT_S * NS_PER_S;

    while (delivery_queued(x->d) != n && time_mono() < end)
        (void)usleep(1000);
    assert_int_equal(delivery_queued(x->d), n);
}

static void what_arrived_is_forgotten(void **state)
{
    struct fixture x;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(200));
    begin(&x);
    delivery_start(x.d);
    add(&x, 0, "msg_1", "a");
    check_str(hook_header(hook_wait(&x.h, 1), "webhook-id"), "msg_1");
    wait_until_queued(&x, 0);
    assert_int_equal(stored(&x), 0);
    assert_int_equal(metric_get(METRIC_WEBHOOK_SENT), 1);
    fixture_close(&x);
}

static void a_receiver_that_fails_is_tried_again(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(500, 0, 429, 200));
    begin(&x);
    delivery_start(x.d);
    add(&x, 0, "msg_1", "a");
    got = hook_wait(&x.h, 4);
    for (size_t i = 0; i < 4; i++) {
        check_str(hook_header(&got[i], "webhook-id"), "msg_1");
        assert_string_equal(got[i].body, "msg_1");
    }
    wait_until_queued(&x, 0);
    assert_int_equal(metric_get(METRIC_WEBHOOK_RETRIES), 3);
    assert_int_equal(metric_get(METRIC_WEBHOOK_SENT), 1);
    assert_int_equal(hook_count(&x.h), 4);
    fixture_close(&x);
}

static void retry_after_is_honoured(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(429, 200));
    hook_answer(&x.h, HOOK_SCRIPT(429, 200), "Retry-After: 1\r\n");
    begin(&x);
    delivery_start(x.d);
    add(&x, 0, "msg_1", "a");
    got = hook_wait(&x.h, 2);
    assert_true(got[1].at - got[0].at >= 990 * NS_PER_MS);
    fixture_close(&x);
}

static void what_is_refused_is_dropped_and_counted(void **state)
{
    struct fixture x;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(400, 200));
    begin(&x);
    delivery_start(x.d);
    add(&x, 0, "msg_1", "a");
    add(&x, 0, "msg_2", "a");
    check_str(hook_header(&hook_wait(&x.h, 2)[1], "webhook-id"), "msg_2");
    wait_until_queued(&x, 0);
    assert_int_equal(metric_get(METRIC_WEBHOOK_DROPPED), 1);
    assert_int_equal(metric_get(METRIC_WEBHOOK_SENT), 1);
    assert_int_equal(stored(&x), 0);
    fixture_close(&x);
}

static void a_lane_keeps_its_order_and_others_do_not_wait(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(500, 200));
    x.opt.retry_unit = 200 * NS_PER_MS;
    begin(&x);
    add(&x, 1, "msg_dead", "a"); /* nobody is there */
    add(&x, 0, "msg_1", "a");
    add(&x, 0, "msg_2", "a");
    delivery_start(x.d);
    (void)hook_wait(&x.h, 1); /* failed; msg_2 must wait for it */
    add(&x, 0, "msg_3", "b");
    got = hook_wait(&x.h, 4);
    check_str(hook_header(&got[1], "webhook-id"), "msg_3");
    check_str(hook_header(&got[2], "webhook-id"), "msg_1");
    check_str(hook_header(&got[3], "webhook-id"), "msg_2");
    fixture_close(&x);
}

static void a_restart_delivers_what_was_left(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(500, 200));
    x.opt.retry_unit = NS_PER_H;
    begin(&x);
    delivery_start(x.d);
    add(&x, 0, "msg_1", "a");
    (void)hook_wait(&x.h, 1);
    add(&x, 0, "msg_2", "a");
    delivery_close(&x.d);
    feed_reopen(&x.f);
    assert_int_equal(stored(&x), 2);
    begin(&x);
    assert_int_equal(delivery_queued(x.d), 2);
    delivery_start(x.d);
    got = hook_wait(&x.h, 3);
    check_str(hook_header(&got[1], "webhook-id"), "msg_1");
    assert_string_equal(got[1].body, "msg_1");
    check_str(hook_header(&got[2], "webhook-id"), "msg_2");
    wait_until_queued(&x, 0);
    assert_int_equal(stored(&x), 0);
    fixture_close(&x);
}

/* A newer server may have said more of it. */
static void members_of_no_meaning_here_are_passed_over(void **state)
{
    static const char SAVED[] =
        "{\"v\":1,\"later\":{\"id\":\"no\",\"created\":\"no\"},\"id\":\"msg_1\","
        "\"list\":[[],{\"body\":\"no\"}],\"lane\":\"a\",\"created\":%llu,"
        "\"body\":\"hello\",\"url\":\"%s\",\"end\":null}";
    const struct hook_request *got;
    struct fixture x;
    struct err err;
    char text[512];

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(200));
    (void)snprintf(text, sizeof(text), SAVED, (unsigned long long)time_now(), x.h.url);
    assert_int_equal(store_kv_put(x.f.s, "deliveries", STR("1-msg_1"), str_of(text), &err), 0);
    begin(&x);
    assert_int_equal(delivery_queued(x.d), 1);
    delivery_start(x.d);
    got = hook_wait(&x.h, 1);
    check_str(hook_header(&got[0], "webhook-id"), "msg_1");
    assert_string_equal(got[0].body, "hello");
    wait_until_queued(&x, 0);
    fixture_close(&x);
}

static void what_no_webhook_wants_any_more_is_dropped_at_start(void **state)
{
    struct fixture x;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(200));
    begin(&x);
    add(&x, 1, "msg_1", "a");
    delivery_close(&x.d);
    x.opt.n_targets = 1;
    begin(&x);
    assert_int_equal(delivery_queued(x.d), 0);
    assert_int_equal(stored(&x), 0);
    assert_int_equal(metric_get(METRIC_WEBHOOK_DROPPED), 1);
    fixture_close(&x);
}

static void a_full_queue_drops_its_oldest(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(200));
    x.opt.max_queued = 2;
    begin(&x);
    add(&x, 0, "msg_1", "a");
    add(&x, 0, "msg_2", "a");
    add(&x, 0, "msg_3", "a");
    assert_int_equal(delivery_queued(x.d), 2);
    assert_int_equal(stored(&x), 2);
    assert_int_equal(metric_get(METRIC_WEBHOOK_DROPPED), 1);
    delivery_start(x.d);
    got = hook_wait(&x.h, 2);
    check_str(hook_header(&got[0], "webhook-id"), "msg_2");
    check_str(hook_header(&got[1], "webhook-id"), "msg_3");
    fixture_close(&x);
}

static void what_is_queued_already_is_queued_once(void **state)
{
    struct fixture x;

    (void)state;
    fixture_open(&x, HOOK_SCRIPT(200));
    begin(&x);
    add(&x, 0, "msg_1", "a");
    add(&x, 0, "msg_1", "a");
    assert_int_equal(delivery_queued(x.d), 1);
    fixture_close(&x);
}

CHECK_MAIN(cmocka_unit_test(what_arrived_is_forgotten),
           cmocka_unit_test(a_receiver_that_fails_is_tried_again),
           cmocka_unit_test(retry_after_is_honoured),
           cmocka_unit_test(what_is_refused_is_dropped_and_counted),
           cmocka_unit_test(a_lane_keeps_its_order_and_others_do_not_wait),
           cmocka_unit_test(a_restart_delivers_what_was_left),
           cmocka_unit_test(members_of_no_meaning_here_are_passed_over),
           cmocka_unit_test(what_no_webhook_wants_any_more_is_dropped_at_start),
           cmocka_unit_test(a_full_queue_drops_its_oldest),
           cmocka_unit_test(what_is_queued_already_is_queued_once))
