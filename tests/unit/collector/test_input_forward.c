/* Unit tests of collector/input_forward: fluent clients on a unix socket, all the way to the store.
 */
#include "tests/unit/collector/collector_world.h"

#include "base/fault.h"
#include "base/mem.h"
#include "collector/input_forward.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

struct client {
    struct stream *stream; /* NULL: it is closed */
    struct buf in;
    size_t acks;
    char last[FORWARD_TOKEN_MAX + 1]; /* token of the last ack */
    size_t want;
};
static struct client client;

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    size_t n;

    (void)s;
    (void)arg;
    buf_add_str(&client.in, bytes);
    for (;;) {
        struct forward_frame frame = {0};
        struct forward_limits limits = {0};
        struct forward_ack ack;
        if (client.in.n == 0 ||
            forward_frame_scan(&frame, buf_str(&client.in), &limits, &n, &err) != 0)
            return;
        assert_int_equal(forward_ack_parse(str_sub(buf_str(&client.in), 0, n), &ack, &err), 0);
        assert_false(ack.refused);
        (void)str_to_z(ack.token, client.last, sizeof(client.last));
        client.acks++;
        buf_drop(&client.in, n);
    }
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    (void)s;
    (void)why;
    (void)arg;
    client.stream = NULL;
}

static void client_connect(void)
{
    static const struct stream_handler HANDLER = {.data = on_data, .closed = on_closed};
    static const struct stream_options OPTIONS = {.connect_ms = 10000};
    char address[TMPDIR_PATH_MAX + 16];

    (void)snprintf(address, sizeof(address), "unix:%s/f.sock", w.path);
    buf_clear(&client.in);
    client.acks = 0;
    if (stream_connect(w.loop, address, &OPTIONS, &HANDLER, NULL, &client.stream, &err) < 0)
        fail_msg("%s", err.text);
}

static bool is_closed(void *arg)
{
    (void)arg;
    return client.stream == NULL;
}

static bool has_acks(void *arg)
{
    (void)arg;
    return client.acks >= client.want;
}

static void wait_acks(size_t n)
{
    client.want = n;
    wait_check(w.loop, has_acks, NULL, "acks");
}

static int setup(void **state)
{
    (void)world_setup(state);
    memset(&client, 0, sizeof(client));
    buf_init(&client.in, 1 << 20);
    w.server.show_labels = true;
    return 0;
}

static int teardown(void **state)
{
    world_die();
    if (client.stream != NULL)
        stream_close(client.stream, NULL);
    wait_check(w.loop, is_closed, NULL, "the end of the client");
    buf_fini(&client.in);
    return world_teardown(state);
}

#define FORWARD "  - {type: forward, listen: ['unix:@/f.sock'], labels: {app: shop}}\n"

/* Append a chunk with one entry whose line is `text`. */
static void add_chunk(struct buf *b, struct str token, struct str text)
{
    struct label fields[] = {{STR("log"), text}, {STR("k"), STR("v")}};
    struct forward_chunk c = {.tag = STR("web"), .n_entries = 1, .token = token};
    struct buf payload;

    buf_init(&payload, 8 << 20);
    forward_pack_entry(&payload, INT64_C(1795288478000000001), fields, 2);
    c.payload = buf_str(&payload);
    forward_pack_chunk(b, &c);
    assert_false(b->over);
    buf_fini(&payload);
}

static void send_chunk(const char *token, const char *text)
{
    struct buf b;

    buf_init(&b, 8 << 20);
    add_chunk(&b, str_of(token), str_of(text));
    stream_write(client.stream, buf_str(&b));
    buf_fini(&b);
}

/* One of so many kilobytes. */
static void send_large(const char *token, char c, size_t kib)
{
    char *text = mem_new((kib << 10) + 1);

    memset(text, c, kib << 10);
    send_chunk(token, text);
    free(text);
}

static void entries_become_records_with_labels(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "hello \"world\"\nsecond line");
    wait_acks(1);
    assert_string_equal(client.last, "one");
    world_wait("app=shop host=h source=forward hello \"world\"\nsecond line fluent.tag=web k=v\n");
    assert_int_equal(w.server.records, 1);
    assert_int_equal(metric_get(METRIC_FORWARD_RECORDS), 1);
}

#define DOCKER                                                                                     \
    "\x93\xa1t\xce\x5f\x00\x00\x00\x85\xac"                                                        \
    "container_id\xd9\x40"                                                                         \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\xae"                         \
    "container_name\xa4/web\xa6source\xa6stderr\xa3log\xa2no\xa1x\x05"

static void dockers_driver_is_known_by_its_keys(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    stream_write(client.stream, STR(DOCKER));
    world_wait("app=shop container=web host=h runtime=docker source=container stderr|no "
               "container_id=0123456789abcdef");
    world_wait(" fluent.tag=t x=5\n");
}

static void a_chunk_that_comes_again_is_stored_once(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "first");
    send_chunk("one", "first"); /* before its ack */
    wait_acks(2);
    send_chunk("one", "first"); /* and after it */
    wait_acks(3);
    send_chunk("one", "another"); /* a counter that began anew */
    send_chunk("two", "first");
    wait_acks(5);
    world_wait_records(3);
    assert_int_equal(metric_get(METRIC_FORWARD_REPEATED), 2);
    world_check_once("another");
}

static void a_restart_knows_what_was_taken(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "first");
    wait_acks(1);
    world_die();
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "first");
    send_chunk("two", "second");
    wait_acks(2);
    world_wait("second");
    assert_int_equal(w.server.records, 2);
    world_check_once("first");
}

static void a_message_that_was_half_written_is_cut_off(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "first");
    wait_acks(1);
    world_die();
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    world_write("state/spool/forward/00000001.jsonl",
                "{\"t\":1795288478000000002,\"a\":{}}|torn\n{\"end\":2,\"t\":179528");
    world_start("", FORWARD);
    client_connect();
    send_chunk("two", "second");
    wait_acks(1);
    world_wait("second");
    assert_int_equal(w.server.records, 2);
    assert_int_equal(str_find(buf_str(&w.server.lines), STR("torn")), SIZE_MAX);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

#define SMALL                                                                                      \
    "  - {type: forward, listen: ['unix:@/f.sock'], spool_bytes: 1MiB, listen_mode: '0600'}\n"

static void chunks_of_earlier_files_are_known_too(void **state)
{
    char token[2] = "a";

    (void)state;
    world_start("", SMALL);
    client_connect();
    for (size_t i = 1; i <= 3; i++, token[0]++) { /* a file has a quarter */
        send_large(token, token[0], 200);
        wait_acks(i);
    }
    assert_int_equal(faccessat(w.dir, "state/spool/forward/00000002.jsonl", F_OK, 0), 0);
    assert_int_equal(faccessat(w.dir, "state/spool/forward/taken", F_OK, 0), 0);
    world_wait_records(3);
    world_die();
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    world_start("", SMALL);
    client_connect();
    send_large("a", 'a', 200);
    send_large("c", 'c', 200);
    send_chunk("d", "last");
    wait_acks(3);
    world_wait("last");
    assert_int_equal(w.server.records, 4);
    assert_int_equal(metric_get(METRIC_FORWARD_REPEATED), 2);
}

static void a_full_spool_is_not_read_into(void **state)
{
    char token[2] = "a";

    (void)state;
    w.server.hold_acks = true;
    world_start("", SMALL);
    client_connect();
    for (size_t i = 0; i < 8; i++, token[0]++)
        send_large(token, token[0], 200);
    world_wait_metric(METRIC_FORWARD_PAUSED, 1);
    assert_true(client.acks < 8); /* the rest waits at the client */
    assert_true(metric_get(METRIC_FORWARD_SPOOL_BYTES) >= 1 << 20);
    assert_true(metric_get(METRIC_FORWARD_SPOOL_BYTES) < 2 << 20);
}

static bool is_first_file_gone(void *arg)
{
    (void)arg;
    return faccessat(w.dir, "state/spool/forward/00000001.jsonl", F_OK, 0) != 0;
}

static void files_go_when_all_of_them_is_at_the_server(void **state)
{
    enum { COUNT = 12 };
    char token[2] = "a";

    (void)state;
    world_start("", SMALL);
    client_connect();
    for (size_t i = 1; i <= COUNT; i++, token[0]++) { /* twice what may be there at once */
        send_large(token, token[0], 220);
        wait_acks(i);
    }
    world_wait_records(COUNT);
    wait_check(w.loop, is_first_file_gone, NULL, "the end of a file");
    assert_int_equal(w.server.records, COUNT);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_client_that_makes_no_sense_is_sent_away(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    send_chunk("one", "good");
    stream_write(client.stream, STR("\x80"));
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    assert_int_equal(metric_get(METRIC_FORWARD_REJECTED_MALFORMED), 1);
    client_connect();
    stream_write(client.stream, STR("\x96\xa4PING\xa1h\xa1s\xa1t\xa1u\xa1p"));
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    assert_int_equal(metric_get(METRIC_FORWARD_REJECTED_MALFORMED), 2);
    client_connect();
    stream_write(client.stream, STR("\x93\xa1t\xc6\x7f\xff\xff\xff")); /* so long a payload */
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    assert_int_equal(metric_get(METRIC_FORWARD_REJECTED_LIMIT), 1);
    client_connect();
    send_chunk("two", "next");
    wait_acks(1);
    world_wait("next");
    world_wait("good"); /* what came whole was taken, without its ack */
}

static void half_a_message_leaves_nothing(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    /* its first entry is good, the second is none */
    stream_write(client.stream, STR("\x93\xa1t\x92\x92\x01\x81\xa3log\xa3"
                                    "bad\x05\x80"));
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    client_connect();
    send_chunk("one", "good");
    wait_acks(1);
    world_wait("good");
    assert_int_equal(w.server.records, 1);
}

static void many_messages_in_one_write_get_their_acks_in_order(void **state)
{
    enum { COUNT = 4000 };
    char token[128] = "";
    struct buf b;

    (void)state;
    world_start("", FORWARD);
    client_connect();
    buf_init(&b, 8 << 20);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(token, sizeof(token), "%0100d", i);
        add_chunk(&b, str_of(token), str_of(token));
    }
    stream_write(client.stream, buf_str(&b));
    buf_fini(&b);
    wait_acks(COUNT);
    assert_int_equal(client.acks, COUNT);
    assert_string_equal(client.last, token);
    world_wait_records(COUNT);
    assert_true(metric_get(METRIC_FORWARD_SYNCS) < COUNT / 4);
}

static void rules_and_redaction_are_for_them_too(void **state)
{
    (void)state;
    world_start("redact: {detectors: bearer}\nrules: [{if: {line: noise}, then: drop}]\n", FORWARD);
    client_connect();
    send_chunk("one", "noise");
    send_chunk("two", "Bearer 0123456789abcdef");
    wait_acks(2);
    world_wait("app=shop host=h source=forward Bearer [redacted:bearer] fluent.tag=web k=v\n");
    assert_int_equal(metric_get(METRIC_DROPPED_RULE), 1);
    assert_int_equal(str_find(buf_str(&w.server.lines), STR("noise")), SIZE_MAX);
}

/* All have the same time: nothing is given back to the rate. */
static void a_rate_goes_on_in_the_next_file(void **state)
{
    char token[16];

    (void)state;
    world_start("rules: [{name: slow, rate: 5, burst: 10}]\n",
                "  - {type: forward, listen: ['unix:@/f.sock'], spool_bytes: 1MiB}\n");
    client_connect();
    send_large("big", 'x', 300);
    wait_acks(1);
    assert_int_equal(faccessat(w.dir, "state/spool/forward/00000002.jsonl", F_OK, 0), 0);
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(token, sizeof(token), "t%u", i);
        send_chunk(token, "small");
    }
    wait_acks(13);
    world_wait_metric(METRIC_DROPPED_RATE, 3);
    world_wait_metric(METRIC_RECORDS, 10);
    world_wait("small");
    assert_int_equal(metric_get(METRIC_DROPPED_RATE), 3);
}

static void what_was_sent_before_the_input_was_removed_is_shipped(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_start("chunk: {delay: 60s}\n", FORWARD);
    client_connect();
    send_chunk("one", "before Bearer 0123456789abcdef");
    wait_acks(1);
    world_die();
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    w.server.hold_acks = false;
    world_start("redact: {detectors: bearer}\n", "  - {type: file, paths: ['@/logs/*.log']}\n");
    world_wait("host=h source=forward before Bearer [redacted:bearer] fluent.tag=web k=v\n");
}

static void a_disk_that_fails_is_tried_again(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    fault_start("forward_input.append");
    assert_true(fault_next());
    send_chunk("one", "first");
    world_wait_metric(METRIC_FORWARD_SPOOL_FAILED, 1);
    assert_int_equal(client.acks, 0);
    send_chunk("two", "second"); /* waits meanwhile */
    wait_acks(2);
    world_wait_records(2);
    assert_int_equal(metric_get(METRIC_FORWARD_PAUSED), 1);
    world_check_once("first");
    world_check_once("second");
    while (fault_next())
        ; /* it is over */
}

/* What is only pending when a next file is due must not be known for ever. */
static void a_chunk_is_known_only_when_it_is_on_the_disk(void **state)
{
    (void)state;
    world_start("", SMALL);
    client_connect();
    send_large("a", 'a', 200);
    wait_acks(1);
    send_large("b", 'b', 200); /* a file has a quarter: it is full */
    wait_acks(2);
    fault_start("forward_input.append");
    assert_true(fault_next());
    send_chunk("c", "third");
    world_wait_metric(METRIC_FORWARD_SPOOL_FAILED, 1);
    world_die();
    while (fault_next())
        ;
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    world_start("", SMALL);
    client_connect();
    send_chunk("c", "third");
    wait_acks(1);
    world_wait("third");
    world_check_once("third");
    assert_int_equal(metric_get(METRIC_FORWARD_REPEATED), 0);
}

static void a_next_file_that_cannot_be_begun_is_tried_again(void **state)
{
    (void)state;
    world_start("", SMALL);
    assert_int_equal(mkdirat(w.dir, "state/spool/forward/taken.tmp", 0700), 0); /* in the way */
    client_connect();
    send_large("a", 'a', 200);
    send_large("b", 'b', 200);
    wait_acks(2);
    send_large("c", 'c', 200);
    wait_acks(3);
    assert_int_not_equal(faccessat(w.dir, "state/spool/forward/00000002.jsonl", F_OK, 0), 0);
    assert_int_equal(unlinkat(w.dir, "state/spool/forward/taken.tmp", AT_REMOVEDIR), 0);
    send_chunk("d", "last");
    wait_acks(4);
    assert_int_equal(faccessat(w.dir, "state/spool/forward/00000002.jsonl", F_OK, 0), 0);
    world_wait_records(4);
    world_check_once("last");
}

#define FIRST_FILE "state/spool/forward/00000001.jsonl"

/* A kernel says once that it could not write, and has forgotten the bytes. */
static void what_was_not_synced_is_written_again(void **state)
{
    struct stat st, later;
    struct buf text;
    char *lost;
    int fd;

    (void)state;
    world_start("", FORWARD);
    client_connect();
    fault_start("spool.sync");
    assert_true(fault_next());
    send_chunk("one", "first");
    world_wait_metric(METRIC_FORWARD_SPOOL_FAILED, 1);
    assert_int_equal(client.acks, 0);
    fd = openat(w.dir, FIRST_FILE, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
    lost = mem_new((size_t)st.st_size);
    memset(lost, '?', (size_t)st.st_size);
    assert_int_equal(file_pwrite_all(fd, lost, (size_t)st.st_size, 0, &err), 0);
    free(lost);
    wait_acks(1);
    while (fault_next())
        ;
    assert_true(fstat(fd, &later) == 0 && later.st_size == st.st_size);
    (void)close(fd);
    buf_init(&text, 1 << 16);
    assert_int_equal(file_read(w.dir, FIRST_FILE, &text, &err), 0);
    assert_int_not_equal(str_find(buf_str(&text), STR("|first\n")), SIZE_MAX);
    buf_fini(&text);
}

static void a_slow_disk_has_its_pauses(void **state)
{
    enum { COUNT = 25, PAUSE_MS = 300 }; /* forward_input.slow: three times 100 ms */
    dur_ns begin = time_mono();
    char token[2] = "a";

    (void)state;
    world_start("", FORWARD);
    client_connect();
    fault_start("forward_input.slow");
    assert_true(fault_next());
    send_chunk("first", "x");
    wait_acks(1);
    for (size_t i = 0; i < COUNT; i++, token[0]++) /* more than one flush takes, or waits for one */
        send_large(token, token[0], 200);
    wait_acks(2);
    assert_true(time_mono() - begin >= PAUSE_MS * NS_PER_MS);
    wait_acks(1 + COUNT);
    while (fault_next())
        ;
    world_wait_records(1 + COUNT);
    assert_int_equal(metric_get(METRIC_FORWARD_PAUSED), 0); /* that is of what went wrong */
}

static void a_line_that_is_none_has_the_labels_of_the_input(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_start("chunk: {delay: 60s}\n", FORWARD);
    client_connect();
    stream_write(client.stream, STR(DOCKER));
    world_wait_metric(METRIC_FORWARD_SYNCS, 1);
    world_die();
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    w.server.hold_acks = false;
    world_write(FIRST_FILE, "{\"t\":what}|is this\n{\"end\":2,\"t\":1,\"a\":{}}|whole\n");
    world_start("", FORWARD);
    world_wait("source=container stderr|no ");
    world_wait("app=shop host=h source=forward {\"t\":what}|is this undecoded=true\n");
    world_wait("app=shop host=h source=forward whole\n");
}

static void what_was_not_taken_is_not_counted(void **state)
{
    enum { KEYS = 70 }; /* some are too many */
    struct buf b;

    (void)state;
    world_start("", FORWARD);
    client_connect();
    buf_init(&b, 1 << 16);
    /* two entries, the second is none */
    buf_add_str(&b, STR("\x93\xa1t\x92\x92\x01\xde\x00\x47\xa3log\xa1x"));
    for (int i = 0; i < KEYS; i++)
        buf_addf(&b, "\xa3k%02d\xa1v", i);
    buf_add_str(&b, STR("\x05\x80"));
    stream_write(client.stream, buf_str(&b));
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
    assert_int_equal(metric_get(METRIC_FORWARD_REJECTED_MALFORMED), 1);
    assert_int_equal(metric_get(METRIC_FORWARD_ATTRS_DROPPED), 0);
    buf_fini(&b);
}

/* After a reload nobody could bind some of its addresses. */
enum { MANY = INPUT_FORWARD_CONNECTIONS };
static struct stream *idle[MANY];
static size_t n_ended;

static void on_idle_data(struct stream *s, struct str bytes, void *arg)
{
    (void)s;
    (void)bytes;
    (void)arg;
}

static void on_idle_closed(struct stream *s, const struct err *why, void *arg)
{
    struct stream **at = arg;

    (void)s;
    (void)why;
    *at = NULL;
    n_ended++;
}

static bool have_ended(void *arg)
{
    return n_ended >= *(const size_t *)arg;
}

/* The first of them is the one that is idle for longest. */
static void idle_connections_do_not_shut_others_out(void **state)
{
    static const struct stream_handler HANDLER = {.data = on_idle_data, .closed = on_idle_closed};
    static const struct stream_options OPTIONS = {.connect_ms = 10000};
    char address[TMPDIR_PATH_MAX + 16];
    struct str listen[1];
    struct input_forward_options opt = {.loop = w.loop,
                                        .listen = {listen, 1},
                                        .state_fd = w.dir,
                                        .max_line = 1 << 16,
                                        .spool_bytes = 1 << 20,
                                        .idle_ms = 1};
    struct input_forward *in = NULL;
    size_t one = 1, all = MANY;

    (void)state;
    n_ended = 0;
    (void)snprintf(address, sizeof(address), "unix:%s/f.sock", w.path);
    listen[0] = str_of(address);
    assert_int_equal(input_forward_open(&opt, &in, &err), 0);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(
            stream_connect(w.loop, address, &OPTIONS, &HANDLER, &idle[i], &idle[i], &err), 0);
        world_wait_metric(METRIC_FORWARD_CONNECTIONS, (unsigned)i + 1);
    }
    assert_int_equal(n_ended, 0);
    client_connect();
    send_chunk("one", "first");
    wait_acks(1);
    wait_check(w.loop, have_ended, &one, "the end of one that is idle");
    assert_null(idle[0]);
    assert_int_equal(n_ended, 1);
    assert_int_equal(metric_get(METRIC_FORWARD_EVICTED), 1);
    assert_int_equal(metric_get(METRIC_FORWARD_OPEN), MANY);
    input_forward_free(&in);
    for (size_t i = 0; i < MANY; i++)
        if (idle[i] != NULL)
            stream_close(idle[i], NULL);
    wait_check(w.loop, have_ended, &all, "the end of the others");
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
}

static void where_it_cannot_listen_it_does_not(void **state)
{
    const int fds[INPUT_FORWARD_LISTENERS] = {-1, 0, 0};
    char good[TMPDIR_PATH_MAX + 16], no_directory[TMPDIR_PATH_MAX + 32];
    struct str listen[3] = {STR("unix:/not/to/be/bound"), {NULL, 0}, {NULL, 0}};
    struct input_forward_options opt = {.loop = w.loop,
                                        .listen = {listen, 3},
                                        .bound_fds = fds,
                                        .state_fd = w.dir,
                                        .max_line = 1 << 16,
                                        .spool_bytes = 1 << 20};
    struct input_forward *in = NULL;

    (void)state;
    (void)snprintf(no_directory, sizeof(no_directory), "unix:%s/none/f.sock", w.path);
    (void)snprintf(good, sizeof(good), "unix:%s/f.sock", w.path);
    listen[1] = str_of(no_directory);
    listen[2] = str_of(good);
    assert_true(input_forward_open(&opt, &in, &err) < 0);
    assert_null(in);
    opt.go_on = true;
    assert_int_equal(input_forward_open(&opt, &in, &err), 0);
    assert_string_equal(input_forward_address(in, 0), good);
    assert_null(input_forward_address(in, 1));
    client_connect();
    send_chunk("one", "first");
    wait_acks(1);
    input_forward_free(&in);
    wait_check(w.loop, is_closed, NULL, "the end of the connection");
}

static void count_listening(void *arg)
{
    ++*(unsigned *)arg;
}

static bool is_counted(void *arg)
{
    return *(const unsigned *)arg > 0;
}

/* As another program's port that is free some time later. */
static void where_it_cannot_listen_it_tries_again(void **state)
{
    char address[TMPDIR_PATH_MAX + 32];
    struct str listen[1];
    unsigned listening = 0;
    struct input_forward_options opt = {.loop = w.loop,
                                        .listen = {listen, 1},
                                        .go_on = true,
                                        .listening = count_listening,
                                        .arg = &listening,
                                        .state_fd = w.dir,
                                        .max_line = 1 << 16,
                                        .spool_bytes = 1 << 20};
    struct input_forward *in = NULL;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/none/f.sock", w.path);
    listen[0] = str_of(address);
    assert_int_equal(input_forward_open(&opt, &in, &err), 0);
    world_wait_metric(METRIC_FORWARD_LISTEN_FAILED, 2);
    assert_null(input_forward_address(in, 0));
    assert_int_equal(listening, 0);
    assert_int_equal(file_make_dirs(w.dir, "none", 0700, &err), 0);
    wait_check(w.loop, is_counted, &listening, "a listener");
    assert_string_equal(input_forward_address(in, 0), address);
    (void)snprintf(address, sizeof(address), "%s/none/f.sock", w.path);
    assert_int_equal(access(address, F_OK), 0);
    input_forward_free(&in);
}

static void heartbeats_and_signals_are_acknowledged(void **state)
{
    (void)state;
    world_start("", FORWARD);
    client_connect();
    stream_write(client.stream, STR("\xc0\x93\xa1t\x90\x81\xa5"
                                    "chunk\xa1"
                                    "a"
                                    "\x93\xa1t\xc4\x01\x80\x82\xa5"
                                    "chunk\xa1"
                                    "b\xad"
                                    "fluent_signal\x01"));
    wait_acks(2);
    assert_string_equal(client.last, "b");
    assert_int_equal(metric_get(METRIC_FORWARD_SIGNALS), 1);
    assert_int_equal(metric_get(METRIC_FORWARD_RECORDS), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(entries_become_records_with_labels), TEST(dockers_driver_is_known_by_its_keys),
           TEST(a_chunk_that_comes_again_is_stored_once), TEST(a_restart_knows_what_was_taken),
           TEST(a_message_that_was_half_written_is_cut_off),
           TEST(chunks_of_earlier_files_are_known_too), TEST(a_full_spool_is_not_read_into),
           TEST(files_go_when_all_of_them_is_at_the_server),
           TEST(a_client_that_makes_no_sense_is_sent_away), TEST(half_a_message_leaves_nothing),
           TEST(many_messages_in_one_write_get_their_acks_in_order),
           TEST(rules_and_redaction_are_for_them_too), TEST(a_rate_goes_on_in_the_next_file),
           TEST(what_was_sent_before_the_input_was_removed_is_shipped),
           TEST(a_disk_that_fails_is_tried_again),
           TEST(a_chunk_is_known_only_when_it_is_on_the_disk),
           TEST(a_next_file_that_cannot_be_begun_is_tried_again),
           TEST(what_was_not_synced_is_written_again), TEST(a_slow_disk_has_its_pauses),
           TEST(a_line_that_is_none_has_the_labels_of_the_input),
           TEST(what_was_not_taken_is_not_counted), TEST(idle_connections_do_not_shut_others_out),
           TEST(where_it_cannot_listen_it_does_not), TEST(where_it_cannot_listen_it_tries_again),
           TEST(heartbeats_and_signals_are_acknowledged))
