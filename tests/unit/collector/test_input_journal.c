/* Unit tests of collector/input_journal: a reader of the journal that is the test, all the way to
 * the store. */
#include "tests/unit/collector/journal_input_world.h"

#include "base/fault.h"
#include "base/mem.h"
#include "collector/journal_lines.h"

#include <stdlib.h>

/* One that is longer than what a socket holds: the loop has to take it meanwhile. */
static void say_slowly(const struct journal_frame *f)
{
    struct buf b;

    buf_init(&b, 2 * JOURNAL_FRAME_MAX);
    journal_frame_put(&b, f);
    for (size_t sent = 0; sent < b.n;) {
        ssize_t n = send(reader, b.p + sent, b.n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        (void)uv_run(loop_uv(w.loop), UV_RUN_NOWAIT);
    }
    buf_fini(&b);
}

static void say_here(unsigned no)
{
    struct journal_frame f = {.type = JOURNAL_HERE};

    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(no));
    say(f);
}

static void entries_become_records_with_labels(void **state)
{
    struct journal_frame f = journal_entry(1, "web", "hello\nworld\n");

    (void)state;
    begin("", "  - {type: journald, labels: {team: shop}}\n");
    assert_string_equal(place, "");
    f.v[JOURNAL_IMAGE] = STR("bb:1");
    f.v[JOURNAL_COMM] = STR("dockerd");
    f.v[JOURNAL_PRIORITY] = STR("3");
    say(f);
    world_wait("app=web container=web host=h image=bb:1 runtime=docker source=container team=shop "
               "stderr|hello\nworld container_id=4f5e6a7b8c9d");
    f = journal_entry(2, "", "session opened");
    f.v[JOURNAL_NAME] = f.v[JOURNAL_ID] = STR_NULL;
    f.v[JOURNAL_IDENTIFIER] = STR("sshd");
    f.v[JOURNAL_UNIT] = STR("ssh.service");
    f.v[JOURNAL_PRIORITY] = STR("4");
    say(f);
    world_wait("app=sshd host=h source=journald team=shop session opened level=warn "
               "unit=ssh.service");
    assert_int_equal(w.server.records, 2);
}

static void what_is_spooled_is_known_after_a_kill(void **state)
{
    (void)state;
    begin("", JOURNALD);
    say(journal_entry(1, "web", "one"));
    say(journal_entry(2, "web", "two"));
    world_wait_records(2);
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(2));
    say(journal_entry(2, "web", "two"));
    say(journal_entry(3, "web", "three"));
    world_wait("three");
    attach(); /* the reader died: the same without a kill */
    assert_string_equal(place, journal_cursor(3));
    say(journal_entry(3, "web", "three"));
    say(journal_entry(4, "web", "four"));
    world_wait("four");
    assert_int_equal(w.server.records, 4);
    assert_int_equal(metric_get(METRIC_JOURNAL_REPEATED), 2);
    assert_int_equal(metric_get(METRIC_JOURNAL_RESTARTS), 1);
}

static void an_open_record_is_read_again_after_a_kill(void **state)
{
    struct journal_frame end = journal_entry(6, "web", "end");

    (void)state;
    begin("", JOURNALD);
    say(journal_entry(1, "web", "before"));
    say(journal_piece(2, "web", "begin "));
    for (unsigned no = 3; no <= 5; no++) {
        struct journal_frame f = journal_entry(no, "db", no == 3 ? "three" : "others");
        f.v[JOURNAL_ID] = STR("77");
        say(f);
    }
    world_wait_records(4);
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(2));
    say(journal_piece(2, "web", "begin "));
    say(journal_entry(3, "db", "three"));
    attach(); /* in the middle of that */
    assert_string_equal(place, journal_cursor(2));
    say(journal_piece(2, "web", "begin "));
    for (unsigned no = 3; no <= 5; no++) {
        struct journal_frame f = journal_entry(no, "db", "again");
        f.v[JOURNAL_ID] = STR("77");
        say(f);
    }
    say(end);
    world_wait("begin end");
    say(journal_entry(7, "web", "after"));
    world_wait("after");
    assert_int_equal(w.server.records, 6);
    world_check_once("three");
    world_check_once("begin ");
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(7));
}

static void a_record_that_nobody_ends_is_given_up(void **state)
{
    (void)state;
    begin("partial_timeout: 50ms\n", JOURNALD);
    say(journal_piece(1, "web", "torn"));
    say_here(1);
    world_wait("torn partial=true container_id=4f5e6a7b8c9d");
    say(journal_entry(2, "web", "whole"));
    world_wait("whole");
    assert_int_equal(w.server.records, 2);
    again("partial_timeout: 50ms\n", JOURNALD);
    assert_string_equal(place, journal_cursor(2));
}

static void a_quiet_journal_keeps_its_place(void **state)
{
    (void)state;
    begin("", JOURNALD);
    say_here(9);
    while (faccessat(w.dir, "state/journald.position", F_OK, 0) != 0)
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(9));
    say(journal_entry(10, "web", "ten")); /* what is spooled is later */
    world_wait_records(1);
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(10));
}

static void long_and_binary_messages_are_cut_and_mended(void **state)
{
    static char text[5000];
    struct journal_frame f;

    (void)state;
    memset(text, 'y', sizeof(text) - 1);
    begin("max_line: 2KiB\n", JOURNALD);
    f = journal_entry(1, "web", text);
    f.v[JOURNAL_MESSAGE].n = 2048; /* as the reader cuts it */
    say(f);
    world_wait("truncated=4999");
    f = journal_entry(2, "web", "");
    f.v[JOURNAL_MESSAGE] = STR("a\0b\xff\x01 \"quoted\"");
    f.total = f.v[JOURNAL_MESSAGE].n;
    say(f);
    world_wait_records(2);
    assert_true(str_find(buf_str(&w.server.lines), STR("\xef\xbf\xbd\x01 \"quoted\"")) != SIZE_MAX);
    f = journal_entry(3, "web", "");
    f.v[JOURNAL_MESSAGE] = STR_NULL;
    say(f);
    world_wait_records(3);
}

/* A text that is six times as long in JSON is cut where a reader of lines would cut the JSON. */
static void a_text_of_control_bytes_is_cut_as_a_whole_line(void **state)
{
    char *text = mem_new(RECORD_LINE_MAX + 1);
    struct journal_frame f;

    (void)state;
    memset(text, 1, RECORD_LINE_MAX);
    begin("", JOURNALD);
    f = journal_entry(1, "web", text);
    say_slowly(&f);
    world_wait("truncated=1048576");
    assert_int_equal(metric_get(METRIC_RECORDS_UNDECODED), 0);
    free(text);
}

static const char KEY_LINE[] = "MIIEowIBAAKCAQEAtn5gSVxLmWVPwYVPZ3pWZkOO8yPT4mT0Zc7Vh2p1s4d6k8zq";

static void secrets_are_gone_before_the_spool(void **state)
{
    struct buf spool;

    (void)state;
    begin("redact: {detectors: [bearer, private_key]}\n", JOURNALD);
    say(journal_entry(1, "web", "curl -H Bearer 8899aabbccddeeff"));
    say(journal_entry(2, "web", "-----BEGIN RSA PRIVATE KEY-----"));
    say(journal_entry(3, "web", KEY_LINE));
    say(journal_entry(4, "web", "-----END RSA PRIVATE KEY-----"));
    world_wait_records(4);
    buf_init(&spool, 1 << 20);
    assert_int_equal(file_read(w.dir, SPOOL_FILE, &spool, &err), 0);
    assert_int_equal(str_find(buf_str(&spool), STR("8899aabbccddeeff")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&spool), STR("MIIEowIB")), SIZE_MAX);
    assert_true(str_find(buf_str(&spool), STR("Bearer [redacted:bearer]")) != SIZE_MAX);
    buf_fini(&spool);
}

/* Whether we are inside of one is not known any more. */
static void a_key_goes_on_after_a_kill(void **state)
{
    (void)state;
    begin("redact: {detectors: [private_key]}\n", JOURNALD);
    say(journal_entry(1, "web", "-----BEGIN RSA PRIVATE KEY-----"));
    world_wait_records(1);
    again("redact: {detectors: [private_key]}\n", JOURNALD);
    say(journal_entry(2, "web", KEY_LINE));
    say(journal_entry(3, "web", "b3Blbg=="));
    say(journal_entry(4, "web", "-----END RSA PRIVATE KEY-----"));
    say(journal_entry(5, "web", "plain"));
    say(journal_entry(6, "web", KEY_LINE)); /* no key: it is known where one ends */
    world_wait("plain");
    world_wait_records(6);
    world_check_once("MIIEowIB");
    assert_int_equal(str_find(buf_str(&w.server.lines), STR("b3Blbg")), SIZE_MAX);
    again("redact: {detectors: [private_key]}\n", JOURNALD);
    say(journal_entry(7, "web", "b3Blbg=="));
    world_wait("b3Blbg=="); /* too short to be taken for one */
}

static bool spool_says(const char *text)
{
    struct buf spool;
    bool has;

    buf_init(&spool, 1 << 20);
    assert_int_equal(file_read(w.dir, SPOOL_FILE, &spool, &err), 0);
    has = str_find(buf_str(&spool), str_of(text)) != SIZE_MAX;
    buf_fini(&spool);
    return has;
}

static bool is_said(void *arg)
{
    return spool_says((const char *)arg);
}

/* A sync that succeeds behind one that failed proves nothing. */
static void what_was_not_synced_is_written_again(void **state)
{
    static const char ZEROS[2048];
    char text[1024], want[] = "precious";
    struct stat before, after;
    int fd;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    begin("", JOURNALD);
    say(journal_entry(1, "web", text)); /* longer than what a file is known by */
    world_wait_records(1);
    assert_int_equal(fstatat(w.dir, SPOOL_FILE, &before, 0), 0);
    fault_start("spool.sync");
    assert_true(fault_next());
    say(journal_entry(2, "web", "precious"));
    say_here(2); /* it is written at once, and again by the timer */
    do
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    while (fstatat(w.dir, SPOOL_FILE, &after, 0) == 0 && after.st_size == before.st_size);
    while (fault_next())
        ;
    fd = openat(w.dir, SPOOL_FILE, O_WRONLY | O_CLOEXEC); /* as a file system may leave it */
    assert_true(fd >= 0 && after.st_size - before.st_size <= (off_t)sizeof(ZEROS));
    assert_true(pwrite(fd, ZEROS, (size_t)(after.st_size - before.st_size), before.st_size) > 0);
    (void)close(fd);
    wait_check(w.loop, is_said, want, "the line once more");
}

static void what_is_excluded_is_not_spooled(void **state)
{
    struct journal_frame f = journal_entry(1, "noise", "nothing");

    (void)state;
    begin("", "  - {type: journald, select: {exclude: {container: 'no*'}}}\n");
    f.v[JOURNAL_ID] = STR("11");
    say(f);
    say(journal_entry(2, "web", "something"));
    world_wait("something");
    assert_int_equal(w.server.records, 1);
}

static void removed_entries_are_a_gap(void **state)
{
    struct journal_frame f = {.type = JOURNAL_GAP, .total = 17};

    (void)state;
    begin("", JOURNALD);
    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(1));
    say(f);
    say(journal_entry(19, "web", "after"));
    world_wait("gap=journal_vacuumed");
    world_wait("at most 17 entries");
    world_wait("after");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
}

static void entries_that_cannot_be_read_are_a_gap(void **state)
{
    struct journal_frame f = {.type = JOURNAL_DAMAGE, .total = 2};

    (void)state;
    begin("", JOURNALD);
    say(journal_entry(1, "web", "before"));
    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(3));
    say(f);
    f.total = 1;
    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(5));
    say(f);
    world_wait("gap=journal_unreadable");
    world_wait("at most 3 entries"); /* not each is one */
    assert_int_equal(metric_get(METRIC_JOURNAL_UNREADABLE), 3);
    while (faccessat(w.dir, "state/journald.position", F_OK, 0) != 0)
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(5));
}

static void damage_is_counted_once(void **state)
{
    struct journal_frame f = {.type = JOURNAL_DAMAGE, .total = 1}, other;

    (void)state;
    begin("", JOURNALD);
    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(3));
    other = journal_entry(4, "db", "other");
    other.v[JOURNAL_ID] = STR("77");
    say(journal_piece(2, "web", "begin "));
    say(f);
    say(other);
    world_wait("other");
    again("", JOURNALD);
    assert_string_equal(place, journal_cursor(2));
    say(journal_piece(2, "web", "begin "));
    say(f);
    say(other);
    say(journal_entry(5, "web", "end"));
    world_wait("begin end");
    assert_int_equal(metric_get(METRIC_JOURNAL_UNREADABLE), 1);
}

static void a_reader_that_says_nonsense_is_left(void **state)
{
    char byte;

    (void)state;
    begin("", JOURNALD);
    assert_int_equal(send(reader, "\xff\xff\xff\xff", 4, MSG_NOSIGNAL), 4);
    while (recv(reader, &byte, 1, MSG_DONTWAIT) != 0)
        (void)uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    attach();
    say(journal_entry(1, "web", "one"));
    world_wait("one");
}

/* ---- rules ---- */

/* Of another container. */
static struct journal_frame other(unsigned no, const char *text)
{
    struct journal_frame f = journal_entry(no, "db", text);

    f.v[JOURNAL_ID] = STR("77777777777777");
    return f;
}

static void rules_decide_before_secrets_go_and_before_the_spool(void **state)
{
    struct journal_frame f;

    (void)state;
    begin("redact: {detectors: [bearer]}\n"
          "rules:\n"
          "  - {name: token, if: {line: Bearer 8899aabbccddeeff}, then: drop}\n"
          "  - {name: info, if: {level: info, labels: {source: journald, app: sshd}}, then: drop}\n"
          "  - {name: errs, if: {stream: stderr, labels: {container: web}}, sample: 0}\n",
          JOURNALD);
    say(journal_entry(1, "web", "with Bearer 8899aabbccddeeff"));
    f = journal_entry(2, "", "session opened");
    f.v[JOURNAL_NAME] = f.v[JOURNAL_ID] = STR_NULL;
    f.v[JOURNAL_IDENTIFIER] = STR("sshd");
    say(f);
    f = journal_entry(3, "web", "to stderr");
    f.v[JOURNAL_PRIORITY] = STR("3");
    say(f);
    say(journal_entry(4, "web", "with Bearer 0099aabbccddeeff"));
    world_wait("with Bearer [redacted:bearer]");
    assert_int_equal(w.server.records, 1);
    assert_int_equal(metric_get(METRIC_DROPPED_RULE), 2);
    assert_int_equal(metric_get(METRIC_DROPPED_SAMPLE), 1);
    assert_false(spool_says("session opened") || spool_says("to stderr"));
}

static void what_was_dropped_is_told_once_over_kills(void **state)
{
    char want[] = "[[\"noise\",\"77777777777777\",\"db\",2,15]]";

    (void)state;
    begin(NOISE, JOURNALD);
    for (unsigned no = 1; no <= 3; no++)
        say(journal_entry(no, "web", "noise"));
    say(journal_entry(4, "web", "kept"));
    world_wait("kept");
    again(NOISE, JOURNALD);
    assert_string_equal(place, journal_cursor(4));
    say(journal_entry(4, "web", "kept"));
    world_wait("source=logq {\"drop\":\"noise\"");
    world_wait("bytes=15 container=web container_id=4f5e6a7b8c9d count=3 drop=noise file=journal");
    say(other(5, "noise"));
    say(other(6, "noise, too"));
    wait_check(w.loop, is_said, want, "drops alone");
    again(NOISE, JOURNALD);
    assert_string_equal(place, journal_cursor(6));
    say(other(6, "noise, too"));
    world_wait("bytes=15 container=db container_id=77777777777777 count=2 drop=noise");
    again(NOISE, JOURNALD);
    say(journal_entry(7, "web", "the last"));
    world_wait("the last");
    world_check_once("count=3 drop=noise");
    world_check_once("count=2 drop=noise");
    assert_int_equal(w.server.records, 4);
}

/* As many of each container as if it were alone. */
static void rates_are_for_each_stream(void **state)
{
    (void)state;
    begin("rules: [{name: flood, if: {line: flood}, rate: 1, burst: 2}]\n", JOURNALD);
    for (unsigned no = 1; no <= 10; no++)
        say(no % 2 == 0 ? other(no, "flood") : journal_entry(no, "web", "flood"));
    say(other(11, "after"));
    world_wait("after");
    assert_int_equal(w.server.records, 5);
    assert_int_equal(metric_get(METRIC_DROPPED_RATE), 6);
    assert_true(spool_says("[[\"flood\",\"4f5e6a7b8c9d\",\"web\",3,15],[\"flood\","));
}

/* They were being written when we were killed: nobody has read them. */
static void lines_without_a_state_behind_them_are_made_again(void **state)
{
    static const char TORN[] =
        "{\"time\":1,\"stream\":\"stdout\",\"container\":\"web\",\"line\":\"two\"}\n"
        "{\"time\":2,\"line\":\"tw";
    int fd;

    (void)state;
    begin("", JOURNALD);
    say(journal_entry(1, "web", "one"));
    world_wait("one");
    world_die();
    fd = openat(w.dir, SPOOL_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, TORN, sizeof(TORN) - 1), sizeof(TORN) - 1);
    (void)close(fd);
    begin("", JOURNALD);
    assert_string_equal(place, journal_cursor(1));
    say(journal_entry(1, "web", "one"));
    say(journal_entry(2, "web", "two"));
    say(journal_entry(3, "web", "three"));
    world_wait("three");
    world_check_once("two");
    assert_int_equal(w.server.records, 3);
}

/* ---- records of several lines ---- */

#define HEAD "Exception in thread \"main\" java.lang.IllegalStateException: "

static void lines_of_a_trace_are_one_record(void **state)
{
    (void)state;
    begin("", JAVA);
    say(journal_entry(1, "web", HEAD "one\n"));
    say(other(2, HEAD "other"));
    say(journal_entry(3, "web", "\tat a.b.C.d(C.java:1)\n"));
    say(other(4, "\tat e.f.G.h(G.java:2)"));
    say(journal_entry(5, "web", "\tat a.b.C.main(C.java:9)\n"));
    say(journal_entry(6, "web", "after"));
    say(other(7, "after the other"));
    world_wait("after the other");
    world_check_once(HEAD "one\n\tat a.b.C.d(C.java:1)\n\tat a.b.C.main(C.java:9) container_id");
    world_check_once(HEAD "other\n\tat e.f.G.h(G.java:2) container_id");
    assert_int_equal(w.server.records, 4);
    assert_int_equal(metric_get(METRIC_RECORDS_MULTILINE), 2);
}

/* The first of its lines in two pieces, and a line of another stream is whole in between. */
static void a_trace_goes_on_after_a_kill(void **state)
{
    (void)state;
    begin("", JAVA);
    say(journal_entry(1, "web", "before"));
    say(journal_piece(2, "web", "Exception in thread \"main\" "));
    say(other(3, "of the other"));
    say(journal_entry(4, "web", "java.lang.IllegalStateException: one"));
    say(journal_entry(5, "web", "\tat a.b.C.d(C.java:1)"));
    say(other(6, "of the other, again"));
    world_wait_records(3);
    again("", JAVA);
    assert_string_equal(place, journal_cursor(2));
    say(journal_piece(2, "web", "Exception in thread \"main\" "));
    attach(); /* in the middle of that */
    assert_string_equal(place, journal_cursor(2));
    say(journal_piece(2, "web", "Exception in thread \"main\" "));
    say(other(3, "of the other"));
    say(journal_entry(4, "web", "java.lang.IllegalStateException: one"));
    say(journal_entry(5, "web", "\tat a.b.C.d(C.java:1)"));
    say(other(6, "of the other, again"));
    say(journal_entry(7, "web", "\tat a.b.C.main(C.java:9)"));
    say(journal_entry(8, "web", "after"));
    world_wait("after");
    world_check_once(HEAD "one\n\tat a.b.C.d(C.java:1)\n\tat a.b.C.main(C.java:9) container_id");
    assert_int_equal(w.server.records, 5);
    again("", JAVA);
    assert_string_equal(place, journal_cursor(8));
}

/* A record of pieces that was whole before the trace began is none of it, though its pieces are
 * between. */
static void what_was_whole_is_not_read_into_a_trace(void **state)
{
    struct journal_frame f[5];

    (void)state;
    f[0] = journal_piece(1, "web", HEAD);
    f[0].v[JOURNAL_PARTIAL_ID] = STR("aa");
    f[1] = journal_piece(2, "web", "a line ");
    f[1].v[JOURNAL_PARTIAL_ID] = STR("bb");
    f[2] = journal_entry(3, "web", "of its own");
    f[2].v[JOURNAL_PARTIAL_ID] = STR("bb");
    f[3] = journal_entry(4, "web", "one");
    f[3].v[JOURNAL_PARTIAL_ID] = STR("aa");
    f[4] = other(5, "of the other");
    begin("", JAVA);
    for (size_t i = 0; i < 5; i++)
        say(f[i]);
    world_wait_records(2);
    again("", JAVA);
    assert_string_equal(place, journal_cursor(1));
    for (size_t i = 0; i < 5; i++) {
        char cursor[JOURNAL_CURSOR_MAX];
        (void)str_to_z(str_of(journal_cursor((unsigned)i + 1)), cursor, sizeof(cursor));
        f[i].v[JOURNAL_CURSOR] = str_of(cursor);
        say(f[i]);
    }
    say(journal_entry(6, "web", "\tat a.b.C.d(C.java:1)"));
    say(journal_entry(7, "web", "after"));
    world_wait("after");
    world_check_once("a line of its own");
    world_check_once(HEAD "one\n\tat a.b.C.d(C.java:1) container_id");
    assert_int_equal(w.server.records, 4);
}

static void lines_that_nobody_goes_on_with_are_a_record(void **state)
{
    (void)state;
    begin("multiline_timeout: 100ms\n", "  - {type: journald, multiline: {start: '^[0-9]{4}-'}}\n");
    say(journal_entry(1, "web", "2026-11-22 one"));
    say(journal_entry(2, "web", "goes on"));
    say_here(2);
    world_wait("2026-11-22 one\ngoes on container_id");
    say(journal_entry(3, "web", "2026-11-22 two"));
    say(journal_entry(4, "web", "2026-11-22 three"));
    world_wait("2026-11-22 two");
    again("multiline_timeout: 100ms\n", JOURNALD); /* what was held stays together */
    assert_string_equal(place, journal_cursor(4));
    say(journal_entry(4, "web", "2026-11-22 three"));
    say(journal_entry(5, "web", "2026-11-22 four"));
    world_wait("2026-11-22 three container_id");
    world_wait("2026-11-22 four");
    assert_int_equal(w.server.records, 4);
}

/* Of more streams than lines can be held of the oldest are a record. */
static void lines_are_held_of_so_many_streams(void **state)
{
    char id[32];

    (void)state;
    begin("", "  - {type: journald, multiline: {start: '^begin'}}\n");
    for (unsigned no = 1; no <= JOURNAL_LINES_MAX + 2; no++) {
        struct journal_frame f = journal_entry(no, "web", "begin");
        (void)snprintf(id, sizeof(id), "%014x", no);
        f.v[JOURNAL_ID] = str_of(id);
        say_slowly(&f);
    }
    world_wait_records(2);
    world_wait("begin container_id=00000000000002");
    again("", "  - {type: journald, multiline: {start: '^begin'}}\n");
    assert_string_equal(place, journal_cursor(3));
}

/* Entry `no` of these: a trace of each of so many streams, then lines and pieces of one more. */
static struct journal_frame entry_of_twins(unsigned no, char id[32])
{
    /* What a state has of both streams is one number: whoever writes entries can find such pairs.
     */
    static const char *const TWINS[] = {"e4e1794468ae9067", "4ecec0203a580214"};
    bool is_last = no > JOURNAL_LINES_MAX;
    struct journal_frame f =
        journal_entry(no, "web", is_last ? "x" : "java.lang.IllegalStateException: one");

    (void)snprintf(id, 32, "%016x", no);
    f.v[JOURNAL_ID] = no == 1 ? str_of(TWINS[0]) : is_last ? str_of(TWINS[1]) : str_of(id);
    if (no > JOURNAL_LINES_MAX + 1) {
        f.v[JOURNAL_PARTIAL] = STR("true");
        f.v[JOURNAL_PARTIAL_ID] = str_of(id);
    }
    return f;
}

static void streams_that_look_alike_in_a_state_are_not_mixed_up(void **state)
{
    enum { MORE = 8, LAST = JOURNAL_LINES_MAX + 1 + JOURNAL_JOINS_MAX + MORE };
    struct journal_frame f;
    char id[32];

    (void)state;
    begin("", JAVA);
    for (unsigned no = 1; no <= LAST; no++) {
        f = entry_of_twins(no, id);
        say_slowly(&f);
    }
    world_wait_records(1 + MORE);
    again("", JAVA);
    assert_string_equal(place, journal_cursor(1));
    for (unsigned no = 1; no <= LAST; no++) {
        f = entry_of_twins(no, id);
        say_slowly(&f);
    }
    for (unsigned no = LAST + 1; no <= LAST + 2; no++) {
        f = journal_entry(no, "web", no == LAST + 1 ? "\tat a.b.C.d(C.java:1)" : "after");
        f.v[JOURNAL_ID] = entry_of_twins(1, id).v[JOURNAL_ID];
        say_slowly(&f);
    }
    world_wait("after");
    world_check_once("java.lang.IllegalStateException: one\n\tat a.b.C.d(C.java:1) container_id");
    assert_int_equal(w.server.records, 1 + MORE + 2);
}

/* ---- hints ---- */

static void write_meta(const char *dir, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(file_make_dirs(w.dir, dir, 0700, &err), 0);
    assert_int_equal(file_replace(w.dir, path, 0600, str_of(text), &err), 0);
}

#define DOCKER_ID "dddddddddddddddd"
#define HIDDEN_ID "eeeeeeeeeeeeeeee"
#define HINTED    "  - {type: journald, runtime_state: ['@/docker', '@/podman']}\n"

static struct journal_frame docker_entry(unsigned no, const char *id, const char *text)
{
    struct journal_frame f = journal_entry(no, "web", text);

    f.v[JOURNAL_ID] = str_of(id);
    f.v[JOURNAL_COMM] = STR("dockerd");
    return f;
}

static void containers_say_what_is_done_to_their_entries(void **state)
{
    (void)state;
    write_meta("docker/" DOCKER_ID, "config.v2.json",
               "{\"ID\":\"" DOCKER_ID "\",\"Name\":\"/web\",\"Image\":\"sha256:1\",\"Config\":{"
               "\"Image\":\"bb:2\",\"Labels\":{\"app\":\"shop\",\"logq.io/redact\":\"ip\","
               "\"logq.io/multiline\":\"java\"}}}");
    write_meta("docker/" HIDDEN_ID, "config.v2.json",
               "{\"ID\":\"" HIDDEN_ID "\",\"Name\":\"/hidden\",\"Image\":\"sha256:1\",\"Config\":{"
               "\"Labels\":{\"logq.io/exclude\":\"true\"}}}");
    write_meta("podman/4f5e6a7b8c9d/userdata", "config.json",
               "{\"ociVersion\":\"1\",\"annotations\":{\"logq.io/redact\":\"email\"}}");
    begin("", HINTED);
    say(docker_entry(1, HIDDEN_ID, "nobody wants this"));
    say(docker_entry(2, DOCKER_ID, HEAD "at 10.1.2.3"));
    say(docker_entry(3, DOCKER_ID, "\tat a.b.C.d(C.java:1)"));
    say(docker_entry(4, DOCKER_ID, "by joe@example.org"));
    say(journal_entry(5, "db", "by joe@example.org at 10.1.2.3"));
    world_wait("app=db container=db host=h runtime=podman source=container stdout|"
               "by [redacted:email] at 10.1.2.3");
    world_check_once("app=shop container=web host=h image=bb:2 runtime=docker source=container "
                     "stdout|" HEAD "at [redacted:ip]\n\tat a.b.C.d(C.java:1) "
                     "container_id=" DOCKER_ID " image_digest=sha256:1");
    world_check_once("by joe@example.org container_id=" DOCKER_ID);
    assert_int_equal(w.server.records, 3);
    assert_false(spool_says("10.1.2.3 ") || spool_says("nobody"));
}

/* With its files gone it is what it was; one with hints: false is not listened to. */
static void a_container_that_is_gone_is_what_it_was(void **state)
{
    (void)state;
    write_meta("docker/" DOCKER_ID, "config.v2.json",
               "{\"ID\":\"" DOCKER_ID "\",\"Name\":\"/web\",\"Image\":\"sha256:1\",\"Config\":{"
               "\"Labels\":{\"logq.io/redact\":\"ip\"}}}");
    begin("", HINTED);
    say(docker_entry(1, DOCKER_ID, "at 10.1.2.3"));
    world_wait("at [redacted:ip]");
    assert_int_equal(unlinkat(w.dir, "docker/" DOCKER_ID "/config.v2.json", 0), 0);
    again("", HINTED);
    say(docker_entry(2, DOCKER_ID, "again 10.1.2.3"));
    world_wait("again [redacted:ip]");
    again("", "  - {type: journald, hints: false, runtime_state: ['@/docker']}\n");
    say(docker_entry(3, DOCKER_ID, "now 10.1.2.3"));
    world_wait("now 10.1.2.3");
}

/* What another user writes in a container's name is put together with nothing of it. */
static void who_writes_in_the_name_of_a_container_changes_nothing_of_it(void **state)
{
    struct journal_frame forged;

    (void)state;
    write_meta("docker/" DOCKER_ID, "config.v2.json",
               "{\"ID\":\"" DOCKER_ID "\",\"Name\":\"/web\",\"Config\":{\"Labels\":{"
               "\"logq.io/redact\":\"ip\",\"logq.io/multiline\":\"java\"}}}");
    begin("", HINTED);
    forged = docker_entry(1, DOCKER_ID, "forged");
    forged.v[JOURNAL_COMM] = STR("conmon"); /* so that it is looked for elsewhere */
    forged.v[JOURNAL_UID] = STR("4711");
    say(forged);
    say(docker_entry(2, DOCKER_ID, HEAD "at 10.1.2.3"));
    forged.v[JOURNAL_CURSOR] = str_of(journal_cursor(3));
    say(forged);
    say(docker_entry(4, DOCKER_ID, "\tat a.b.C.d(C.java:1)"));
    say(docker_entry(5, DOCKER_ID, "after"));
    world_wait("after");
    world_check_once(HEAD "at [redacted:ip]\n\tat a.b.C.d(C.java:1) container_id");
    assert_int_equal(w.server.records, 4);
}

/* Anybody may write entries. */
static void what_is_no_id_is_no_path(void **state)
{
    (void)state;
    write_meta("secret", "config.v2.json",
               "{\"Name\":\"/x\",\"Config\":{\"Labels\":{\"app\":\"stolen\"}}}");
    begin("", "  - {type: journald, runtime_state: ['@/docker']}\n");
    assert_int_equal(file_make_dirs(w.dir, "docker", 0700, &err), 0);
    say(docker_entry(1, "../secret", "hello"));
    world_wait("app=web container=web");
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(entries_become_records_with_labels, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_spooled_is_known_after_a_kill, setup, teardown),
    cmocka_unit_test_setup_teardown(an_open_record_is_read_again_after_a_kill, setup, teardown),
    cmocka_unit_test_setup_teardown(a_record_that_nobody_ends_is_given_up, setup, teardown),
    cmocka_unit_test_setup_teardown(a_quiet_journal_keeps_its_place, setup, teardown),
    cmocka_unit_test_setup_teardown(long_and_binary_messages_are_cut_and_mended, setup, teardown),
    cmocka_unit_test_setup_teardown(a_text_of_control_bytes_is_cut_as_a_whole_line, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(secrets_are_gone_before_the_spool, setup, teardown),
    cmocka_unit_test_setup_teardown(a_key_goes_on_after_a_kill, setup, teardown),
    cmocka_unit_test_setup_teardown(what_was_not_synced_is_written_again, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_excluded_is_not_spooled, setup, teardown),
    cmocka_unit_test_setup_teardown(removed_entries_are_a_gap, setup, teardown),
    cmocka_unit_test_setup_teardown(entries_that_cannot_be_read_are_a_gap, setup, teardown),
    cmocka_unit_test_setup_teardown(damage_is_counted_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_reader_that_says_nonsense_is_left, setup, teardown),
    cmocka_unit_test_setup_teardown(rules_decide_before_secrets_go_and_before_the_spool, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_was_dropped_is_told_once_over_kills, setup, teardown),
    cmocka_unit_test_setup_teardown(rates_are_for_each_stream, setup, teardown),
    cmocka_unit_test_setup_teardown(lines_without_a_state_behind_them_are_made_again, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(lines_of_a_trace_are_one_record, setup, teardown),
    cmocka_unit_test_setup_teardown(a_trace_goes_on_after_a_kill, setup, teardown),
    cmocka_unit_test_setup_teardown(what_was_whole_is_not_read_into_a_trace, setup, teardown),
    cmocka_unit_test_setup_teardown(lines_that_nobody_goes_on_with_are_a_record, setup, teardown),
    cmocka_unit_test_setup_teardown(lines_are_held_of_so_many_streams, setup, teardown),
    cmocka_unit_test_setup_teardown(streams_that_look_alike_in_a_state_are_not_mixed_up, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(containers_say_what_is_done_to_their_entries, setup, teardown),
    cmocka_unit_test_setup_teardown(a_container_that_is_gone_is_what_it_was, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_no_id_is_no_path, setup, teardown),
    cmocka_unit_test_setup_teardown(who_writes_in_the_name_of_a_container_changes_nothing_of_it,
                                    setup, teardown))
