/* Unit tests of collector/ship against a Forward server with mutual TLS on the same loop. */
#include "collector/ship.h"

#include "collector/metrics.h"
#include "tests/lib/certs.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "tests/unit/collector/forward_server.h"

#include <stdio.h>

struct world {
    struct loop *loop;
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct tls_ctx *server_tls, *client_tls;
    struct forward_server server;
    struct ship *ship;
    uint64_t acked, refused; /* how many */
    uint64_t last_acked;
    uint64_t order[64];
    bool all_acked, room;
    size_t expected;
    char code[32];
    uint64_t asked, known;
};

static struct world w;
static struct err err;

static void on_acked(void *arg, uint64_t no)
{
    (void)arg;
    w.order[w.acked++ % 64] = no;
    w.all_acked = w.acked == w.expected;
}

static void on_refused(void *arg, uint64_t no, struct str message, const struct forward_ack *why)
{
    (void)arg;
    (void)no;
    assert_true(message.n > 10);
    check_str(why->text, "because");
    (void)str_to_z(why->code, w.code, sizeof(w.code));
    w.refused++;
    w.all_acked = true;
}

static void on_room(void *arg)
{
    (void)arg;
    w.room = true;
}

static const struct ship_handler HANDLER = {on_acked, on_refused, on_room, NULL, NULL};

static int setup(void **state)
{
    struct tls_files server = {.server = true, .require_client_cert = true},
                     client = {.server = false};

    (void)state;
    memset(&w, 0, sizeof(w));
    metrics_setup();
    assert_int_equal(loop_new(&w.loop, &err), 0);
    w.dir = tmpdir_open(w.path);
    certs_standard(w.path);
    server.cert = certs_path(w.path, "server.crt");
    server.key = certs_path(w.path, "server.key");
    server.ca = client.ca = certs_path(w.path, "ca.crt");
    client.cert = certs_path(w.path, "client.crt");
    client.key = certs_path(w.path, "client.key");
    assert_int_equal(tls_ctx_new(&server, &w.server_tls, &err), 0);
    assert_int_equal(tls_ctx_new(&client, &w.client_tls, &err), 0);
    forward_server_open(&w.server, w.loop, "127.0.0.1:0", w.server_tls);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ship_free(&w.ship);
    forward_server_close(&w.server);
    tls_ctx_unref(&w.server_tls);
    tls_ctx_unref(&w.client_tls);
    loop_free(&w.loop);
    tmpdir_close(w.dir);
    return 0;
}

static void open_ship(size_t window, dur_ns ack_timeout)
{
    struct ship_options opt = {
        .address = listener_address(w.server.listener),
        .tls = w.client_tls,
        .window_chunks = window,
        .window_bytes = 1 << 20,
        .ack_timeout = ack_timeout,
        .backoff_min_ms = 1,
        .backoff_max_ms = 10,
    };

    w.ship = ship_new(w.loop, &opt, &HANDLER, NULL);
}

/* Chunk `no`: one record of range [no, no + 1). */
static void add(uint64_t no)
{
    struct label field = {STR("log"), STR("text")};
    struct forward_part part = {.file_id = STR("f-1"), .start = no, .end = no + 1, .count = 1};
    struct forward_chunk chunk = {.tag = STR("logq"), .n_entries = 1, .parts = &part, .n_parts = 1};
    char token[CHUNK_TOKEN_BYTES];
    struct buf payload, message;

    buf_init(&payload, 4096);
    buf_init(&message, 4096);
    forward_pack_entry(&payload, 1, &field, 1);
    forward_token(&part, 1, token);
    chunk.payload = buf_str(&payload);
    chunk.token = str_of(token);
    forward_pack_chunk(&message, &chunk);
    ship_add(w.ship, no, token, &message);
    buf_fini(&payload);
    w.expected++;
}

static bool server_has(void *arg)
{
    return w.server.messages >= *(const size_t *)arg;
}

static void wait_messages(size_t n)
{
    wait_check(w.loop, server_has, &n, "messages at the server");
}

static void chunks_added_before_the_connection_are_sent(void **state)
{
    (void)state;
    open_ship(8, 30 * NS_PER_S);
    add(1);
    add(2);
    assert_int_equal(ship_in_flight(w.ship), 2);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.records, 2);
    assert_int_equal(w.order[0], 1);
    assert_int_equal(ship_in_flight(w.ship), 0);
    assert_int_equal(w.server.connections, 1);
}

static void the_window_is_full_until_an_ack(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    open_ship(2, 30 * NS_PER_S);
    assert_true(ship_has_room(w.ship));
    add(1);
    assert_true(ship_has_room(w.ship));
    add(2);
    assert_false(ship_has_room(w.ship));
    wait_messages(2); /* both without waiting for an ack */
    w.room = false;
    forward_server_release(&w.server);
    WAIT_FOR(w.loop, w.room);
    assert_true(ship_has_room(w.ship));
}

static void acks_match_in_any_order(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    open_ship(8, 30 * NS_PER_S);
    for (uint64_t i = 1; i <= 3; i++)
        add(i);
    wait_messages(3);
    forward_server_release(&w.server); /* newest first */
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.order[0], 3);
    assert_int_equal(w.order[2], 1);
}

static void a_lost_ack_costs_a_resend_and_nothing_else(void **state)
{
    (void)state;
    w.server.lose_after = 2;
    open_ship(8, 30 * NS_PER_S);
    for (uint64_t i = 1; i <= 4; i++)
        add(i);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.connections, 2);
    assert_int_equal(w.server.records, 4); /* stored once each */
    assert_true(w.server.repeated >= 1);
    assert_int_equal(metric_get(METRIC_CHUNKS_ACKED), 4);
}

static void a_silent_server_is_left_after_the_timeout(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    open_ship(8, 50 * NS_PER_MS);
    add(1);
    wait_messages(2); /* the second is a resend on a new connection */
    assert_true(w.server.connections >= 2);
    assert_true(metric_get(METRIC_ACK_TIMEOUTS) >= 1);
    w.server.hold_acks = false;
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.records, 1);
}

static void a_refused_chunk_is_handed_back_and_the_next_goes_on(void **state)
{
    (void)state;
    w.server.refuse = "INVALID";
    open_ship(8, 30 * NS_PER_S);
    add(1);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.refused, 1);
    assert_string_equal(w.code, "INVALID");
    assert_int_equal(ship_in_flight(w.ship), 0);
    w.server.refuse = NULL;
    w.all_acked = false;
    w.expected = 0;
    add(2);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.acked, 1);
}

static void an_answer_that_is_none_ends_the_connection(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    open_ship(8, 30 * NS_PER_S);
    add(1);
    wait_messages(1);
    stream_write(w.server.stream, STR("\xc1\xc1\xc1"));
    wait_messages(2);
    assert_int_equal(w.acked, 0);
    stream_write(w.server.stream, STR("\x81\xa3"
                                      "ack"
                                      "\xa5"
                                      "other")); /* somebody else's: counted, no harm */
    w.server.hold_acks = false;
    forward_server_release(&w.server);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(metric_get(METRIC_ACK_UNKNOWN) >= 1, 1);
    assert_int_equal(w.server.records, 1);
}

static void a_server_that_comes_late_is_found(void **state)
{
    char address[64];

    (void)state;
    (void)snprintf(address, sizeof(address), "%s", listener_address(w.server.listener));
    open_ship(8, 30 * NS_PER_S);
    forward_server_close(&w.server); /* gone before the first connection is made */
    add(1);
    while (metric_get(METRIC_CONNECT_FAILED) < 2)
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    forward_server_open(&w.server, w.loop, address, w.server_tls);
    WAIT_FOR(w.loop, w.all_acked);
}

static void new_certificates_mean_a_new_connection(void **state)
{
    (void)state;
    open_ship(8, 30 * NS_PER_S);
    add(1);
    WAIT_FOR(w.loop, w.all_acked);
    ship_set_tls(w.ship, w.client_tls);
    w.all_acked = false;
    add(2);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.connections, 2);
    assert_int_equal(w.server.records, 2);
}

static void on_about(void *arg, bool is_hello, struct forward_about *ret)
{
    (void)arg;
    ret->hello.host = is_hello ? STR("n1") : STR_NULL;
    ret->hello.incarnation = 5;
    ret->status.lag_s = ++w.asked;
    ret->next = 9;
}

static void on_known(void *arg, uint64_t incarnation, uint64_t next)
{
    (void)arg;
    assert_int_equal(incarnation, 5);
    w.known = next;
}

/* A ship that tells of itself every so often. */
static void open_telling_ship(uint64_t status_ms, dur_ns ack_timeout)
{
    struct ship_handler h = HANDLER;
    struct ship_options opt = {
        .address = listener_address(w.server.listener),
        .tls = w.client_tls,
        .window_chunks = 8,
        .window_bytes = 1 << 20,
        .ack_timeout = ack_timeout,
        .backoff_min_ms = 1,
        .backoff_max_ms = 10,
        .status_ms = status_ms,
    };

    h.about = on_about;
    h.known = on_known;
    w.ship = ship_new(w.loop, &opt, &h, NULL);
}

static void each_connection_begins_with_a_hello(void **state)
{
    (void)state;
    w.server.known_next = 77;
    open_telling_ship(3600000, 30 * NS_PER_S);
    add(1);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.abouts, 1);
    assert_true(w.server.last.has_hello && w.server.last.has_status);
    assert_string_equal(w.server.host, "n1");
    assert_int_equal(w.server.last.next, 9);
    assert_int_equal(w.known, 77);
    ship_set_tls(w.ship, w.client_tls);
    w.all_acked = false;
    add(2);
    WAIT_FOR(w.loop, w.all_acked);
    assert_int_equal(w.server.abouts, 2);
    assert_true(w.server.last.has_hello);
    assert_int_equal(metric_get(METRIC_ACK_UNKNOWN), 0);
}

static bool has_told(void *arg)
{
    return w.server.abouts >= *(const size_t *)arg;
}

static void the_server_is_told_from_time_to_time(void **state)
{
    size_t n = 4;

    (void)state;
    open_telling_ship(5, 30 * NS_PER_S);
    wait_check(w.loop, has_told, &n, "four words");
    assert_int_equal(w.server.connections, 1);
    assert_false(w.server.last.has_hello);
    assert_true(w.server.last.status.lag_s >= 4);
}

static void a_server_that_falls_silent_while_nothing_is_sent_is_left(void **state)
{
    size_t n = 2;

    (void)state;
    open_telling_ship(5, 50 * NS_PER_MS);
    wait_check(w.loop, has_told, &n, "a status");
    w.server.mute = true;
    while (w.server.connections < 2)
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    assert_true(metric_get(METRIC_ACK_TIMEOUTS) >= 1);
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(chunks_added_before_the_connection_are_sent, setup, teardown),
    cmocka_unit_test_setup_teardown(the_window_is_full_until_an_ack, setup, teardown),
    cmocka_unit_test_setup_teardown(acks_match_in_any_order, setup, teardown),
    cmocka_unit_test_setup_teardown(a_lost_ack_costs_a_resend_and_nothing_else, setup, teardown),
    cmocka_unit_test_setup_teardown(a_silent_server_is_left_after_the_timeout, setup, teardown),
    cmocka_unit_test_setup_teardown(a_refused_chunk_is_handed_back_and_the_next_goes_on, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(an_answer_that_is_none_ends_the_connection, setup, teardown),
    cmocka_unit_test_setup_teardown(a_server_that_comes_late_is_found, setup, teardown),
    cmocka_unit_test_setup_teardown(each_connection_begins_with_a_hello, setup, teardown),
    cmocka_unit_test_setup_teardown(the_server_is_told_from_time_to_time, setup, teardown),
    cmocka_unit_test_setup_teardown(a_server_that_falls_silent_while_nothing_is_sent_is_left, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(new_certificates_mean_a_new_connection, setup, teardown))
