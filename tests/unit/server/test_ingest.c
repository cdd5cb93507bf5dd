/* server/ingest*.c: payloads into records, the same ones every time. */
#include "server/ingest.h"

#include "server/metrics.h"
#include "server/peers.h"
#include "tests/lib/check.h"
#include "wire/forward_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVED_S = 1763752478 };

struct fixture {
    struct buf message, payload, decided;
    struct batch *batch;
    struct ingest_times times; /* of the last decode */
    struct ingest_refused refused;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    metrics_setup();
    buf_init(&f->message, 8 << 20);
    buf_init(&f->payload, 8 << 20);
    buf_init(&f->decided, 64 << 10);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    batch_unref(&f->batch);
    buf_fini(&f->message);
    buf_fini(&f->payload);
    buf_fini(&f->decided);
    free(f);
    return 0;
}

static int decode(struct fixture *f, uint32_t kind, bool parts, const struct labels *forced)
{
    struct ingest_decided d = {
        .host = STR("node1"), .may_have_parts = parts, .payload_bytes = 8 << 20};
    struct store_payload p = {.kind = kind,
                              .tenant = STR("default"),
                              .peer = STR("peer"),
                              .received = RECEIVED_S * NS_PER_S,
                              .bytes = buf_str(&f->message)};

    if (forced != NULL)
        d.forced = *forced;
    buf_clear(&f->decided);
    ingest_decided_pack(&d, &f->decided);
    p.decided = buf_str(&f->decided);
    batch_unref(&f->batch);
    return ingest_decode_times(NULL, &p, &f->batch, &f->times, &f->refused, &f->err);
}

static struct str attr_of(const struct record *r, const char *name)
{
    struct labels l = {NULL, r->n_attr};
    struct label copy[RECORD_ATTRS_MAX];

    memcpy(copy, r->attr, r->n_attr * sizeof(*copy));
    l.v = copy;
    return labels_get(&l, str_of(name));
}

static struct str label_of(const struct batch *b, const struct record *r, const char *name)
{
    return labels_get(&b->streams[r->stream], str_of(name));
}

static void add_entry(struct fixture *f, ts_ns ts, const char *stream, const char *line)
{
    struct label fields[] = {{STR("stream"), str_of(stream)}, {STR("log"), str_of(line)}};

    forward_pack_entry(&f->payload, ts, fields, 2);
}

static void pack(struct fixture *f, const struct forward_part *parts, size_t n)
{
    struct forward_chunk c = {.tag = STR("logq"),
                              .payload = buf_str(&f->payload),
                              .token = STR("token"),
                              .parts = parts,
                              .n_parts = n};

    forward_pack_chunk(&f->message, &c);
    assert_false(f->message.over);
}

static void parts_of_our_collector_become_records_with_ranges(void **state)
{
    struct fixture *f = *state;
    struct label labels[] = {{STR("container"), STR("web")}, {STR("source"), STR("container")}};
    struct label attrs[] = {{STR("container_id"), STR("abc")}};
    struct forward_part parts[] = {
        {.file_id = STR("f1"),
         .start = 10,
         .end = 70,
         .count = 3,
         .labels = {labels, 2},
         .attrs = {attrs, 1}},
        {.file_id = STR("f2"), .start = 0, .end = 9, .count = 0, .labels = {labels, 2}},
    };
    const struct batch *b;

    add_entry(f, 1000, "stdout", "first");
    add_entry(f, 1001, "stderr", "an error");
    add_entry(f, 1002, "stdout", "third");
    pack(f, parts, 2);
    assert_int_equal(decode(f, INGEST_FORWARD, true, NULL), 0);
    b = f->batch;
    assert_int_equal(b->n_records, 3);
    assert_int_equal(b->n_parts, 2);
    assert_int_equal(b->parts[0].end, 70);
    assert_int_equal(b->parts[0].count, 3);
    check_str(b->parts[1].file_id, "f2");
    check_str(b->records[0].line, "first");
    check_str(label_of(b, &b->records[0], "stream"), "stdout");
    check_str(label_of(b, &b->records[1], "stream"), "stderr");
    check_str(label_of(b, &b->records[0], "service_name"), "web");
    check_str(attr_of(&b->records[0], "container_id"), "abc");
    check_str(attr_of(&b->records[0], "detected_level"), "unknown");
    check_str(attr_of(&b->records[1], "detected_level"), "error");
    assert_ptr_equal(b->records[0].attr, b->records[2].attr); /* shared: nothing of their own */
}

/* A chunk that is refused is lost, with all that is beside it. */
static void labels_make_room_for_those_that_every_stream_has(void **state)
{
    struct fixture *f = *state;
    char names[RECORD_LABELS_MAX][8];
    struct label labels[RECORD_LABELS_MAX], forced[] = {{STR("cluster"), STR("c1")}};
    struct labels forced_labels = {forced, 1};
    struct forward_part part = {
        .file_id = STR("f1"), .start = 0, .end = 70, .count = 2, .labels = {labels, 0}};
    const struct batch *b;

    for (size_t i = 0; i < RECORD_LABELS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%02zu", i);
        labels[part.labels.n++] = (struct label){str_of(names[i]), STR("v")};
    }
    add_entry(f, 1000, "stdout", "first");
    add_entry(f, 1001, "", "second");
    pack(f, &part, 1);
    if (decode(f, INGEST_FORWARD, true, &forced_labels) < 0)
        fail_msg("%s", f->err.text);
    b = f->batch;
    assert_int_equal(b->n_records, 2);
    assert_int_equal(b->streams[b->records[0].stream].n, RECORD_LABELS_MAX);
    check_str(label_of(b, &b->records[0], "stream"), "stdout");
    check_str(label_of(b, &b->records[0], "cluster"), "c1");
    check_str(label_of(b, &b->records[0], "n00"), "v");
    assert_true(label_of(b, &b->records[0], "service_name").n > 0);
    assert_true(metric_get(METRIC_INGEST_TRUNCATED_LABEL) > 0);
}

static void counts_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    struct forward_part part = {.file_id = STR("f1"), .start = 0, .end = 5, .count = 2};

    add_entry(f, 1, "stdout", "only one");
    pack(f, &part, 1);
    assert_int_equal(decode(f, INGEST_FORWARD, true, NULL), ERR_CORRUPT);
    assert_non_null(strstr(f->err.text, "f1"));
    buf_clear(&f->message);
    part.count = 0;
    pack(f, &part, 1);
    assert_int_equal(decode(f, INGEST_FORWARD, true, NULL), ERR_CORRUPT);
}

static void parts_of_a_stranger_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct forward_part part = {.file_id = STR("f1"), .start = 0, .end = 5, .count = 1};

    add_entry(f, 1, "stdout", "hello");
    pack(f, &part, 1);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    assert_int_equal(f->batch->n_parts, 0);
    check_str(label_of(f->batch, &f->batch->records[0], "host"), "node1");
    check_str(attr_of(&f->batch->records[0], "fluent.tag"), "logq");
}

static void dockers_driver_gets_a_containers_labels(void **state)
{
    static const char ID[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct fixture *f = *state;
    struct label forced[] = {{STR("site"), STR("lab")}};
    struct labels forced_labels = {forced, 1};
    struct label fields[] = {{STR("container_id"), str_of(ID)},
                             {STR("container_name"), STR("/web")},
                             {STR("source"), STR("stderr")},
                             {STR("log"), STR("oops")}};
    const struct record *r;

    forward_pack_entry(&f->payload, 1, fields, 4);
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, &forced_labels), 0);
    r = &f->batch->records[0];
    check_str(r->line, "oops");
    check_str(label_of(f->batch, r, "container"), "web");
    check_str(label_of(f->batch, r, "stream"), "stderr");
    check_str(label_of(f->batch, r, "runtime"), "docker");
    check_str(label_of(f->batch, r, "site"), "lab");
    check_str(attr_of(r, "container_id"), ID);
}

/* The fields of a map come as they were sent, duplicates too: none may grow the labels. */
static void a_key_named_a_hundred_times_makes_one_label(void **state)
{
    static const char ID[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    enum { TIMES = 100 };
    struct fixture *f = *state;
    struct label fields[2 + 2 * TIMES] = {{STR("container_id"), str_of(ID)},
                                          {STR("log"), STR("oops")}};

    for (size_t i = 0; i < TIMES; i++) {
        fields[2 + i] = (struct label){STR("source"), STR("stdout")};
        fields[2 + TIMES + i] = (struct label){STR("container_name"), STR("/web")};
    }
    forward_pack_entry(&f->payload, 1, fields, 2 + 2 * TIMES);
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    check_str(label_of(f->batch, &f->batch->records[0], "container"), "web");
    check_str(label_of(f->batch, &f->batch->records[0], "stream"), "stdout");
}

static void an_attribute_over_the_limit_is_cut(void **state)
{
    enum { LONG = 1 << 20, MOST = 64 << 10 };
    struct fixture *f = *state;
    char *value = malloc(LONG);
    struct label fields[] = {{STR("log"), STR("x")}, {STR("k"), {value, LONG}}};

    assert_non_null(value);
    memset(value, 'v', LONG);
    forward_pack_entry(&f->payload, 1, fields, 2);
    pack(f, NULL, 0);
    free(value);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    assert_int_equal(attr_of(&f->batch->records[0], "k").n, MOST);
    assert_int_equal(metric_get(METRIC_INGEST_TRUNCATED_LABEL), 1);
}

static void a_record_without_a_line_is_its_json(void **state)
{
    struct fixture *f = *state;
    struct label fields[] = {{STR("a"), STR("x\"y")}, {STR("b"), STR("")}};

    forward_pack_entry(&f->payload, 1, fields, 2);
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    check_str(f->batch->records[0].line, "{\"a\":\"x\\\"y\",\"b\":\"\"}");
}

static void a_record_from_the_future_is_stored_when_it_came(void **state)
{
    struct fixture *f = *state;
    const struct record *r;

    add_entry(f, (RECEIVED_S + 599) * NS_PER_S, "stdout", "soon");
    add_entry(f, (RECEIVED_S + 3600) * NS_PER_S, "stdout", "late");
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    r = f->batch->records;
    assert_int_equal(r[0].ts, (RECEIVED_S + 599) * NS_PER_S);
    assert_null(attr_of(&r[0], "ts_claimed").p);
    assert_int_equal(r[1].ts, RECEIVED_S * NS_PER_S);
    check_str(attr_of(&r[1], "ts_claimed"), "2025-11-21T20:14:38Z");
    assert_int_equal(f->times.ahead, 1);
    assert_int_equal(f->times.late, 0);
}

static void a_record_of_a_day_before_keeps_its_time_and_is_counted(void **state)
{
    struct fixture *f = *state;
    ts_ns midnight = time_day_start(RECEIVED_S * NS_PER_S);

    add_entry(f, midnight - NS_PER_H, "stdout", "just so");
    add_entry(f, midnight - NS_PER_H - 1, "stdout", "late");
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    assert_int_equal(f->batch->records[1].ts, midnight - NS_PER_H - 1);
    assert_int_equal(f->times.ahead, 0);
    assert_int_equal(f->times.late, 1);
}

static void a_line_over_the_limit_is_cut_and_marked(void **state)
{
    struct fixture *f = *state;
    char *line = malloc(RECORD_LINE_MAX + 11);

    memset(line, 'x', RECORD_LINE_MAX + 10);
    line[RECORD_LINE_MAX + 10] = '\0';
    add_entry(f, 1, "stdout", line);
    pack(f, NULL, 0);
    free(line);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    assert_int_equal(f->batch->records[0].line.n, RECORD_LINE_MAX);
    check_str(attr_of(&f->batch->records[0], "truncated"), "1048586");
}

static void decoding_twice_gives_the_same(void **state)
{
    struct fixture *f = *state;
    struct batch *first;

    for (int i = 0; i < 100; i++)
        add_entry(f, i, i % 3 ? "stdout" : "stderr",
                  i % 2 ? "level=info x" : "{\"level\":\"warn\"}");
    pack(f, NULL, 0);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    first = batch_ref(f->batch);
    assert_int_equal(decode(f, INGEST_FORWARD, false, NULL), 0);
    assert_int_equal(first->n_records, f->batch->n_records);
    assert_int_equal(first->n_streams, f->batch->n_streams);
    for (uint32_t i = 0; i < first->n_records; i++) {
        const struct record *a = &first->records[i], *b = &f->batch->records[i];
        assert_true(a->ts == b->ts && str_eq(a->line, b->line) && a->n_attr == b->n_attr);
        assert_true(labels_equal(&first->streams[a->stream], &f->batch->streams[b->stream]));
    }
    batch_unref(&first);
}

/* The log may have been written by a newer server. */
static void decisions_of_no_meaning_here_are_passed_over(void **state)
{
    static const char DECIDED[] =
        "{\"v\":1,\"later\":{\"host\":\"no\",\"forced\":{\"app\":\"no\"}},\"host\":\"node1\","
        "\"list\":[{\"parts\":true},[]],\"parts\":false,\"payload_bytes\":8388608,"
        "\"forced\":{\"app\":\"web\"},\"end\":null}";
    struct fixture *f = *state;
    struct store_payload p = {.kind = INGEST_FORWARD,
                              .tenant = STR("default"),
                              .peer = STR("peer"),
                              .received = RECEIVED_S * NS_PER_S,
                              .decided = STR(DECIDED)};

    add_entry(f, 1, "stdout", "hello");
    pack(f, NULL, 0);
    p.bytes = buf_str(&f->message);
    if (ingest_decode(NULL, &p, &f->batch, &f->err) < 0)
        fail_msg("%s", f->err.text);
    check_str(label_of(f->batch, &f->batch->records[0], "host"), "node1");
    check_str(label_of(f->batch, &f->batch->records[0], "app"), "web");
    batch_unref(&f->batch);
    p.decided = STR("{\"host\":{}}");
    assert_int_equal(ingest_decode(NULL, &p, &f->batch, &f->err), ERR_CORRUPT);
    p.decided = STR("{\"later\":{\"a\":1}");
    assert_int_equal(ingest_decode(NULL, &p, &f->batch, &f->err), ERR_CORRUPT);
}

static int push(struct fixture *f, const char *body)
{
    buf_clear(&f->message);
    buf_add_z(&f->message, body);
    return decode(f, INGEST_PUSH_JSON, false, NULL);
}

static void push_reads_lokis_json(void **state)
{
    struct fixture *f = *state;
    const struct batch *b;

    assert_int_equal(push(f, "{\"streams\":[{\"values\":[[\"5\",\"a\\nb\"],[\"6\",\"c\",{\"k\":"
                             "\"v\"}]],\"stream\":{\"app\":\"x\",\"e\":\"\"}},"
                             "{\"stream\":{\"app\":\"y\"},\"values\":[]}]}"),
                     0);
    b = f->batch;
    assert_int_equal(b->n_records, 2);
    assert_int_equal(b->records[0].ts, 5);
    check_str(b->records[0].line, "a\nb");
    check_str(attr_of(&b->records[1], "k"), "v");
    check_str(label_of(b, &b->records[0], "app"), "x");
    assert_null(label_of(b, &b->records[0], "e").p);
    check_str(label_of(b, &b->records[0], "service_name"), "x");
}

static size_t times_of(const struct record *r, const char *name)
{
    size_t n = 0;

    for (uint32_t i = 0; i < r->n_attr; i++)
        n += str_eq(r->attr[i].name, str_of(name));
    return n;
}

static void a_level_that_a_client_gives_is_kept_in_lokis_words(void **state)
{
    static const char *const WANT[] = {"error", "notice", "Loud", "info", "unknown"};
    struct fixture *f = *state;

    assert_int_equal(push(f, "{\"streams\":[{\"stream\":{\"app\":\"x\"},\"values\":["
                             "[\"1\",\"info\",{\"detected_level\":\"ERR\",\"level\":\"debug\"}],"
                             "[\"2\",\"info\",{\"level\":\"notice\"}],"
                             "[\"3\",\"info\",{\"detected_level\":\"Loud\"}],"
                             "[\"4\",\"x\",{\"severity_number\":\"9\"}],"
                             "[\"5\",\"info\",{\"level\":\"unknown\"}]]}]}"),
                     0);
    assert_int_equal(f->batch->n_records, 5);
    for (size_t i = 0; i < 5; i++) {
        check_str(attr_of(&f->batch->records[i], "detected_level"), WANT[i]);
        assert_int_equal(times_of(&f->batch->records[i], "detected_level"), 1);
    }
    assert_int_equal(push(f, "{\"streams\":[{\"stream\":{\"app\":\"x\",\"level\":\"notice\"},"
                             "\"values\":[[\"1\",\"info\"],[\"2\",\"error\"]]}]}"),
                     0);
    for (size_t i = 0; i < 2; i++)
        check_str(attr_of(&f->batch->records[i], "detected_level"), "notice");
}

static void push_names_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *body, *says;
    } CASES[] = {
        {"", "byte 0"},
        {"[]", "object expected at byte 0"},
        {"{}", "no \"streams\""},
        {"{\"streams\":1}", "array of streams expected at byte 11"},
        {"{\"streams\":[{\"values\":[]}]}", "no \"stream\" labels"},
        {"{\"streams\":[{\"stream\":{\"a\":1},\"values\":[]}]}", "string expected at byte 27"},
        {"{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[1,\"x\"]]}]}",
         "timestamp as a string"},
        {"{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"x\",\"x\"]]}]}", "'x' at byte"},
        {"{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\"]]}]}", "line as a string"},
        {"{\"streams\":[]}x", "behind the end"},
        {"{\"streams\":[", "push: "},
    };

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture *f = *state;
        if (push(f, CASES[i].body) == 0 || strstr(f->err.text, CASES[i].says) == NULL)
            fail_msg("%s: '%s' does not say '%s'", CASES[i].body, f->err.text, CASES[i].says);
    }
}

static void push_refuses_a_label_name_without_end(void **state)
{
    struct fixture *f = *state;

    buf_add_z(&f->message, "{\"streams\":[{\"stream\":{\"");
    for (int i = 0; i <= RECORD_LABEL_NAME_MAX; i++)
        buf_add_char(&f->message, 'n');
    buf_add_z(&f->message, "\":\"v\"},\"values\":[]}]}");
    assert_int_equal(decode(f, INGEST_PUSH_JSON, false, NULL), 0);
    assert_non_null(strstr(f->refused.why[0].text, "name has 1025 bytes, more than 1024: 'nnn"));
}

/* A body whose 2nd, 3rd, 4th and 5th entries cannot be stored. */
static void build_push_of_seven(struct fixture *f)
{
    buf_add_z(&f->message,
              "{\"streams\":["
              "{\"stream\":{\"a\":\"1\"},\"values\":[[\"1\",\"one\"]]},"
              "{\"stream\":{\"a b\":\"c\"},\"values\":[[\"2\",\"two\"],[\"3\",\"three\",{}]]},"
              "{\"values\":[[\"4\",\"four\"]],\"stream\":{\"a\":\"\"}},"
              "{\"stream\":{\"a\":\"2\"},\"values\":[[\"5\",\"five\",{");
    for (unsigned i = 0; i <= RECORD_ATTRS_MAX - 4; i++)
        buf_addf(&f->message, "%s\"k%u\":\"v\"", i > 0 ? "," : "", i);
    buf_add_z(&f->message, "}],[\"6\",\"six\",{\"k\":\"v\"}],[\"7\",\"seven\"]]}]}");
}

static void push_leaves_out_what_cannot_be(void **state)
{
    struct fixture *f = *state;
    struct buf text;

    build_push_of_seven(f);
    for (int again = 0; again < 2; again++) { /* as after a crash */
        assert_int_equal(decode(f, INGEST_PUSH_JSON, false, NULL), 0);
        assert_int_equal(f->batch->n_records, 3);
        check_str(f->batch->records[0].line, "one");
        check_str(f->batch->records[1].line, "six");
        check_str(attr_of(&f->batch->records[1], "k"), "v");
        check_str(f->batch->records[2].line, "seven");
        assert_int_equal(f->refused.entries, 4);
        assert_int_equal(f->refused.n_why, 3);
    }
    buf_init(&text, 4096);
    ingest_refused_print(&f->refused, 3, &text);
    check_str(buf_str(&text),
              "push: 4 of 7 entries refused, the others are stored: 'a b' is no label name (in the "
              "stream at byte 56); error at least one label pair is required per stream; more than "
              "124 labels at byte 1460");
    buf_clear(&text);
    f->refused.n_why = 5;
    ingest_refused_print(&f->refused, 0, &text);
    assert_true(str_starts(buf_str(&text), STR("push: 4 of 4 entries refused: 'a b'")));
    assert_true(str_ends(buf_str(&text), STR("; and 2 more of such")));
    buf_fini(&text);
}

/* What a stream is refused for does not make the rest of it readable. */
static void a_refused_stream_is_read_all_the_same(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        push(f, "{\"streams\":[{\"stream\":{\"a b\":\"c\"},\"values\":[[\"x\",\"y\"]]}]}"),
        ERR_INVALID);
    assert_non_null(strstr(f->err.text, "'x' at byte"));
    assert_int_equal(push(f, "{\"streams\":[{\"stream\":{},\"values\":[]}]}"), 0);
    assert_int_equal(f->refused.entries, 0); /* nothing is lost with it */
}

static void push_streams(struct fixture *f, uint32_t kind, unsigned n)
{
    struct mem_budget budget = {.name = "test", .limit = 16 * f->message.n};
    struct store_payload p = {.kind = kind,
                              .tenant = STR("default"),
                              .peer = STR("push"),
                              .decided = STR("{}"),
                              .received = RECEIVED_S * NS_PER_S,
                              .bytes = buf_str(&f->message)};

    if (ingest_decode(&budget, &p, &f->batch, &f->err) < 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(f->batch->n_streams, n);
    batch_unref(&f->batch);
}

/* Nor do many streams. */
static void a_push_takes_about_what_it_brings(void **state)
{
    enum { STREAMS = 20000 };
    struct fixture *f = *state;

    buf_add_z(&f->message, "{\"streams\":[");
    for (unsigned i = 0; i < STREAMS; i++)
        buf_addf(&f->message, "%s{\"stream\":{\"a\":\"%u\"},\"values\":[]}", i > 0 ? "," : "", i);
    buf_add_z(&f->message, "]}");
    push_streams(f, INGEST_PUSH_JSON, STREAMS);
    buf_clear(&f->message);
    for (unsigned i = 0; i < STREAMS; i++)
        buf_addf(&f->message, "\n%c\n%c{aaaaaa=\"value_%08u\"}", 27, 25, i);
    push_streams(f, INGEST_PUSH_PROTO, STREAMS);
}

/* Many short lines do not take many times their length. */
static void an_import_takes_about_what_it_brings(void **state)
{
    enum { LINES = 20000 };
    struct fixture *f = *state;
    struct mem_budget budget = {.name = "test"};
    struct store_payload p = {.kind = INGEST_IMPORT,
                              .tenant = STR("default"),
                              .peer = STR("import"),
                              .decided = STR("{}"),
                              .received = RECEIVED_S * NS_PER_S};

    for (int i = 0; i < LINES; i++)
        buf_addf(&f->message, "{\"ts_ns\":\"%d\",\"labels\":{\"a\":\"b\"},\"line\":\"x\"}\n", i);
    p.bytes = buf_str(&f->message);
    budget.limit = 16 * p.bytes.n;
    if (ingest_decode(&budget, &p, &f->batch, &f->err) < 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(f->batch->n_records, LINES);
    batch_unref(&f->batch);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(parts_of_our_collector_become_records_with_ranges),
           T(labels_make_room_for_those_that_every_stream_has),
           T(counts_that_do_not_fit_are_refused), T(parts_of_a_stranger_do_not_count),
           T(dockers_driver_gets_a_containers_labels),
           T(a_key_named_a_hundred_times_makes_one_label), T(an_attribute_over_the_limit_is_cut),
           T(a_record_without_a_line_is_its_json),
           T(a_record_from_the_future_is_stored_when_it_came),
           T(a_record_of_a_day_before_keeps_its_time_and_is_counted),
           T(a_line_over_the_limit_is_cut_and_marked), T(decoding_twice_gives_the_same),
           T(decisions_of_no_meaning_here_are_passed_over), T(push_reads_lokis_json),
           T(a_level_that_a_client_gives_is_kept_in_lokis_words),
           T(push_names_what_is_wrong_and_where), T(push_refuses_a_label_name_without_end),
           T(push_leaves_out_what_cannot_be), T(a_refused_stream_is_read_all_the_same),
           T(an_import_takes_about_what_it_brings), T(a_push_takes_about_what_it_brings))
