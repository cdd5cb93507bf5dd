/* base/metric.c: what is counted, and the text Prometheus reads. */
#include "base/metric.h"

#include "tests/lib/check.h"

#include <math.h>
#include <pthread.h>

enum { RECEIVED, BOMB, LATE, OPEN, ACK, N_METRICS };

static const struct metric_def DEFS[N_METRICS] = {
    [RECEIVED] = {"logq_received_bytes_total", "", "bytes \\ from\nothers", METRIC_TYPE_COUNTER},
    [BOMB] = {"logq_rejected_total", "reason=\"bomb\"", "refused", METRIC_TYPE_COUNTER},
    [LATE] = {"logq_rejected_total", "reason=\"late\"", "refused", METRIC_TYPE_COUNTER},
    [OPEN] = {"logq_open", "", "connections", METRIC_TYPE_GAUGE},
    [ACK] = {"logq_ack_seconds", "peer=\"a\"", "until the ack", METRIC_TYPE_HISTOGRAM},
};

static void numbers_come_out_as_prometheus_text(void **state)
{
    struct buf out;
    (void)state;

    metric_setup(DEFS, ACK); /* without the histogram */
    metric_add(RECEIVED, 40);
    metric_add(RECEIVED, 2);
    metric_add(LATE, 1);
    metric_set(OPEN, 7);
    metric_sub(OPEN, 9);
    assert_int_equal(metric_get(RECEIVED), 42);
    buf_init(&out, 1 << 16);
    metric_write(&out);
    check_str(buf_str(&out), "# HELP logq_received_bytes_total bytes \\\\ from\\nothers\n"
                             "# TYPE logq_received_bytes_total counter\n"
                             "logq_received_bytes_total 42\n"
                             "# HELP logq_rejected_total refused\n"
                             "# TYPE logq_rejected_total counter\n"
                             "logq_rejected_total{reason=\"bomb\"} 0\n"
                             "logq_rejected_total{reason=\"late\"} 1\n"
                             "# HELP logq_open connections\n"
                             "# TYPE logq_open gauge\n"
                             "logq_open -2\n");
    buf_fini(&out);
    metric_setup(NULL, 0);
}

static void a_histogram_counts_into_its_buckets(void **state)
{
    struct buf out;
    (void)state;

    metric_setup(DEFS, N_METRICS);
    metric_observe(ACK, 0.0005); /* a bound counts as inside */
    metric_observe(ACK, 0.0006);
    metric_observe(ACK, 2);
    metric_observe(ACK, 61);
    metric_observe(ACK, -1);
    metric_observe(ACK, (double)NAN);
    assert_int_equal(metric_get(ACK), 6);
    buf_init(&out, 1 << 16);
    metric_write(&out);
    assert_true(str_ends(buf_str(&out), STR("# HELP logq_ack_seconds until the ack\n"
                                            "# TYPE logq_ack_seconds histogram\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.0005\"} 3\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.001\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.0025\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.005\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.01\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.025\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.05\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.1\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.25\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"0.5\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"1\"} 4\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"2.5\"} 5\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"5\"} 5\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"10\"} 5\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"30\"} 5\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"60\"} 5\n"
                                            "logq_ack_seconds_bucket{peer=\"a\",le=\"+Inf\"} 6\n"
                                            "logq_ack_seconds_sum{peer=\"a\"} 63.001100000\n"
                                            "logq_ack_seconds_count{peer=\"a\"} 6\n")));
    buf_fini(&out);
    metric_setup(NULL, 0);
}

static void before_setup_nothing_happens(void **state)
{
    struct buf out;
    (void)state;

    metric_setup(NULL, 0);
    metric_add(RECEIVED, 1);
    metric_sub(OPEN, 1);
    metric_set(OPEN, 1);
    metric_observe(ACK, 1);
    assert_int_equal(metric_get(RECEIVED), 0);
    buf_init(&out, 1 << 16);
    metric_write(&out);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void *count_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        metric_add(RECEIVED, 1);
        metric_observe(ACK, 0.003);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    pthread_t threads[4];
    (void)state;

    metric_setup(DEFS, N_METRICS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_get(RECEIVED), 80000);
    assert_int_equal(metric_get(ACK), 80000);
    metric_setup(NULL, 0);
}

CHECK_MAIN(cmocka_unit_test(numbers_come_out_as_prometheus_text),
           cmocka_unit_test(a_histogram_counts_into_its_buckets),
           cmocka_unit_test(before_setup_nothing_happens), cmocka_unit_test(threads_lose_no_count))
